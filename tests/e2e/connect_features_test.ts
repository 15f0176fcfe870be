import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import type { Client, ClientOptions } from "@modelcontextprotocol/client";
import {
  connectTo,
  fixture,
  killServer,
  nextServer,
  notes,
  stdioFixture,
  textOf,
} from "../fixtures/connect_client.ts";
import { Foster, npxReason, until } from "./harness.ts";
import { unless } from "../skip.ts";

const OLDER: ClientOptions = {
  capabilities: { sampling: {}, elicitation: {}, roots: { listChanged: true } },
};
const NEWER: ClientOptions = { versionNegotiation: { mode: "auto" } };

/** A client that answers what a server may ask, and remembers what it was told. */
function listening(told: string[]): (client: Client) => void {
  return (client) => {
    client.setRequestHandler("sampling/createMessage", () => ({
      model: "none",
      role: "assistant",
      content: { type: "text", text: "sampled" },
    }));
    client.setRequestHandler("elicitation/create", () => ({ action: "accept", content: { name: "Ada" } }));
    client.setRequestHandler("roots/list", () => ({ roots: [{ uri: "file:///work" }] }));
    const kinds = [
      "notifications/message",
      "notifications/resources/updated",
      "notifications/resources/list_changed",
      "notifications/tools/list_changed",
    ] as const;
    for (const kind of kinds) client.setNotificationHandler(kind, () => void told.push(kind));
  };
}

/** What every server of these tests can do, asked through any transport. */
async function useEverything(client: Client, told: string[]): Promise<void> {
  await client.ping();
  const { tools } = await client.listTools();
  assert(tools.some((tool) => tool.name === "echo"));
  assertEquals(textOf(await client.callTool({ name: "echo", arguments: { text: "grüße" } })), "grüße");
  const { contents } = await client.readResource({ uri: "test://thing" });
  assertEquals(contents.length, 1);
  assertEquals((await client.listResources()).resources.length, 1);
  assertEquals((await client.listPrompts()).prompts.length, 1);
  const prompt = await client.getPrompt({ name: "greet", arguments: { name: "Ada" } });
  assertEquals(prompt.messages.length, 1);
  const completion = await client.complete({
    ref: { type: "ref/prompt", name: "greet" },
    argument: { name: "name", value: "A" },
  });
  assertEquals(completion.completion.values, ["Ada", "Alan"]);
  await client.setLoggingLevel("info");
  await client.subscribeResource({ uri: "test://thing" });
  for (
    const [what, expected] of [["sampling", "sampled"], ["elicitation", "Ada"], ["roots", "file:///work"]]
  ) {
    const answer = textOf(await client.callTool({ name: "ask", arguments: { what } }));
    assert(answer.includes(String(expected)), answer);
  }
  const progress: number[] = [];
  await client.callTool({ name: "slow", arguments: { ms: 100 } }, {
    onprogress: (step) => void progress.push(step.progress),
  });
  assert(progress.length >= 3, String(progress));
  await client.callTool({ name: "tell", arguments: {} });
  await until(
    "every notification",
    () =>
      told.includes("notifications/message") && told.includes("notifications/resources/updated") &&
      told.includes("notifications/resources/list_changed"),
  );
  await client.unsubscribeResource({ uri: "test://thing" });
}

for (const options of [[], ["--json"], ["--no-stream", "--json"]]) {
  const how = options.length === 0 ? "streams" : options.join(" ");
  const canAsk = options.length === 0;
  Deno.test(`foster connect carries every feature when the server answers with ${how}`, async () => {
    await using foster = await Foster.create();
    await foster.define({ fixture: fixture({ options }) });
    const told: string[] = [];
    await using connected = await connectTo(foster, ["fixture", "--idle", "1s"], {
      ...OLDER,
      prepare: listening(told),
    });
    if (canAsk) await useEverything(connected.client, told);
    else {assertEquals(
        textOf(await connected.client.callTool({ name: "echo", arguments: { text: "a" } })),
        "a",
      );}
    assertEquals(connected.errors, []);
  });
}

Deno.test("foster connect carries every feature when the server is a private stdio child", async () => {
  await using foster = await Foster.create();
  await foster.define({ fixture: stdioFixture() });
  const told: string[] = [];
  await using connected = await connectTo(foster, ["fixture"], { ...OLDER, prepare: listening(told) });
  await useEverything(connected.client, told);
  assertEquals(connected.errors, []);
});

Deno.test("foster connect cancels a call when the client does", async () => {
  await using foster = await Foster.create();
  const callsFile = join(foster.folder, "calls");
  await foster.define({ fixture: fixture({ options: [`--calls-file=${callsFile}`] }) });
  for (const options of [OLDER, NEWER]) {
    await Deno.remove(callsFile).catch(() => {});
    await using connected = await connectTo(foster, ["fixture", "--idle", "1s"], options);
    await connected.client.listTools();
    const cancel = new AbortController();
    const call = connected.client.callTool({ name: "slow", arguments: { ms: 60_000 } }, {
      signal: cancel.signal,
    });
    await until("the call to begin", async () => (await notes(callsFile)).includes("slow begins"));
    cancel.abort();
    await assertRejects(() => call);
    await until("the server to hear of it", async () => (await notes(callsFile)).includes("slow cancelled"));
  }
});

Deno.test("foster connect speaks the newer revision when client and server do", async () => {
  await using foster = await Foster.create();
  const toolsFile = join(foster.folder, "tools");
  await foster.define({ fixture: fixture({ options: ["--modern-only", `--tools-file=${toolsFile}`] }) });
  const told: string[] = [];
  await using connected = await connectTo(foster, ["fixture", "--idle", "1s"], {
    ...NEWER,
    listChanged: { tools: { onChanged: () => void told.push("tools") } },
  });
  const { client } = connected;
  assertEquals(client.getNegotiatedProtocolVersion(), "2026-07-28");
  assertEquals(textOf(await client.callTool({ name: "echo", arguments: { text: "a" } })), "a");
  const before = (await client.listTools()).tools.length;
  assertEquals((await client.readResource({ uri: "test://thing" })).contents.length, 1);
  assertEquals((await client.getPrompt({ name: "greet", arguments: { name: "Ada" } })).messages.length, 1);

  await Deno.writeTextFile(toolsFile, "added\n");
  const key = await onlyKey(foster);
  const pid = await killServer(foster, key);
  await nextServer(foster, { key, pid });
  await until("the news of the changed tools", () => told.includes("tools"));
  assertEquals((await client.listTools()).tools.length, before + 1);
  assertEquals(connected.drops(), 0);
});

Deno.test("foster connect restores the session when the server is replaced", async () => {
  await using foster = await Foster.create();
  const [callsFile, toolsFile] = [join(foster.folder, "calls"), join(foster.folder, "tools")];
  await foster.define({
    fixture: fixture({ options: [`--calls-file=${callsFile}`, `--tools-file=${toolsFile}`] }),
  });
  const told: string[] = [];
  await using connected = await connectTo(foster, ["fixture", "--idle", "1s"], {
    ...OLDER,
    prepare: listening(told),
  });
  const { client } = connected;
  await client.setLoggingLevel("warning");
  await client.subscribeResource({ uri: "test://thing" });
  const { tools } = await client.listTools();
  await Deno.writeTextFile(toolsFile, "added\n");
  await Deno.remove(callsFile);
  const key = await onlyKey(foster);
  const pid = await killServer(foster, key);
  // Nobody asks for anything: it is noticed by itself.
  await until(
    "the news of the changed tools",
    () => told.includes("notifications/tools/list_changed"),
    20_000,
  );
  const seen = await notes(callsFile);
  for (const expected of ["initialize", "level warning", "subscribe test://thing"]) {
    assert(seen.includes(expected), `${expected} is missing: ${seen}`);
  }
  assertEquals((await client.listTools()).tools.length, tools.length + 1);
  assert(Number(textOf(await client.callTool({ name: "pid", arguments: {} }))) !== pid);
  assertEquals(connected.drops(), 0);
  assertEquals(connected.errors, []);
});

for (const status of [404, 400]) {
  Deno.test(`foster connect begins a new session when the server answers ${status} to the old one`, async () => {
    await using foster = await Foster.create();
    const callsFile = join(foster.folder, "calls");
    const options = [`--unknown-status=${status}`, "--no-stream", `--calls-file=${callsFile}`];
    await foster.define({ fixture: fixture({ options }) });
    await using connected = await connectTo(foster, ["fixture", "--idle", "1s"], OLDER);
    const { client } = connected;
    const key = await onlyKey(foster);
    const pid = await killServer(foster, key);
    await nextServer(foster, { key, pid });
    // It was refused for its session, so it did not run.
    assertEquals(textOf(await client.callTool({ name: "count", arguments: { n: 1 } })), "1");
    assertEquals((await notes(callsFile)).filter((line) => line === "count 1").length, 1);
    assertEquals(connected.drops(), 0);
  });
}

Deno.test("foster connect says that a call may have run when the server dies of it", async () => {
  await using foster = await Foster.create();
  const callsFile = join(foster.folder, "calls");
  const toOne = { shared: fixture({ options: [`--calls-file=${callsFile}`] }) };
  await foster.define({ ...toOne, own: stdioFixture(`--calls-file=${callsFile}`) });
  for (const name of ["shared", "own"]) {
    await using connected = await connectTo(foster, [name, "--idle", "1s"], OLDER);
    const { client } = connected;
    const [dead, read] = await Promise.allSettled([
      client.callTool({ name: "die", arguments: { n: 1 } }),
      client.readResource({ uri: "test://thing" }),
    ]);
    assert(dead.status === "rejected");
    const said = String(dead.reason);
    assert(said.includes(`"${name}" restarted`) && said.includes("may or may not have run"), said);
    assert(read.status === "fulfilled", `${name}: ${read.status === "rejected" ? read.reason : ""}`);
    assertEquals((await client.listTools()).tools.length > 0, true);
    assertEquals((await notes(callsFile)).filter((line) => line === "die 1").length, 1);
    assertEquals(connected.drops(), 0);
    await Deno.remove(callsFile);
  }
});

for (const [who, options] of [["older", OLDER], ["newer", NEWER]] as const) {
  Deno.test(`foster connect carries the ${who} client when the server is the demo`, async () => {
    await using foster = await Foster.create();
    await using connected = await connectTo(foster, ["demo", "--idle", "1s"], options);
    const { client } = connected;
    assertEquals(client.getServerVersion()?.name, "foster-demo");
    assertEquals(textOf(await client.callTool({ name: "add", arguments: { a: 1, b: 2 } })), "3");
    assertEquals((await client.listTools()).tools.length, 5);
    assertEquals((await client.listResources()).resources.length, 1);
    assertEquals(connected.errors, []);
  });
}

const noEverything = await npxReason("@modelcontextprotocol/server-everything@2026.8.31");
const REFERENCE = unless(
  noEverything,
  "foster connect carries an older client when the server is the reference server",
);
Deno.test(REFERENCE, async () => {
  await using foster = await Foster.create();
  await foster.define({ everything: { extends: "everything", port: "auto" } });
  await using connected = await connectTo(foster, ["everything", "--idle", "1s"], OLDER);
  const { client } = connected;
  assertEquals(textOf(await client.callTool({ name: "echo", arguments: { message: "hi" } })), "Echo: hi");
  const { resources } = await client.listResources();
  const [first] = resources;
  assert(first !== undefined);
  assert((await client.readResource({ uri: first.uri })).contents.length > 0);
  assert((await client.listPrompts()).prompts.length > 0);
  const key = await onlyKey(foster);
  const pid = await killServer(foster, key);
  await nextServer(foster, { key, pid });
  assertEquals(
    textOf(await client.callTool({ name: "echo", arguments: { message: "again" } })),
    "Echo: again",
  );
  assertEquals(connected.drops(), 0);
});

async function onlyKey(foster: Foster): Promise<string> {
  for await (const { name } of Deno.readDir(join(foster.stateDir, "servers"))) return name;
  throw new Error("there is no server");
}
