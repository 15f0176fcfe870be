/** What a failed start of a server that listens means for who waits for it. */
import { assertEquals } from "@std/assert";
import { environmentOverrides, normalise } from "../../src/definitions/normalise.ts";
import { ManagedSource } from "../../src/gateway/managed_source.ts";
import { emptyRow, type Outcome, type OutcomeKind } from "../../src/lifecycle/row.ts";
import { older } from "../relay/bench.ts";
import { GatewayRig } from "./rig.ts";

const failed = (kind: OutcomeKind): Outcome => ({
  kind,
  row: { ...emptyRow("docs", "docs"), message: kind, hint: "" },
});

function sourceOf(rig: GatewayRig, outcomes: Outcome[]): () => Promise<string> {
  const definition = normalise({ command: "x", port: 1024 }, {
    name: "docs",
    key: "docs",
    source: { kind: "preset" },
    baseFolder: rig.folder,
    overrides: environmentOverrides(() => undefined),
  });
  const source = new ManagedSource(rig.world, {
    definition,
    bringUp: () => Promise.resolve(outcomes.shift() ?? failed("no")),
  });
  const { signal } = new AbortController();
  return async () => (await source.acquire({ demand: true, signal })).kind;
}

Deno.test("a server that was there is waited for over one bad start, and no longer", async () => {
  await using rig = await GatewayRig.open();
  const server = await older();
  const row = { ...emptyRow("docs", "docs"), endpoint: server.url.href, adoption: "external" as const };
  const there: Outcome = { kind: "done", row };
  const acquire = sourceOf(rig, [
    failed("crashed"),
    there,
    failed("crashed"),
    failed("not_ready"),
  ]);
  assertEquals(await acquire(), "refused", "one that never was there crashes");
  assertEquals(await acquire(), "there");
  await server.close();
  assertEquals([await acquire(), await acquire()], ["later", "refused"]);
});

Deno.test("a server that is given up is not waited for", async () => {
  await using rig = await GatewayRig.open();
  const server = await older();
  const row = { ...emptyRow("docs", "docs"), endpoint: server.url.href, adoption: "external" as const };
  const acquire = sourceOf(rig, [{ kind: "done", row }, failed("exhausted")]);
  assertEquals(await acquire(), "there");
  await server.close();
  assertEquals(await acquire(), "refused");
});
