/** Real stdio servers of each kind behind the gateway, with the official client of each revision in front. */
import { assert, assertEquals, assertMatch, assertNotEquals, assertRejects } from "@std/assert";
import { META, NEWER_REVISION } from "../../src/mcp/revisions/messages.ts";
import { serveEndpoint, SESSION_HEADER } from "../../src/gateway/endpoint.ts";
import { OlderSession } from "../../src/gateway/older_session.ts";
import { Sessions, sweepSessions } from "../../src/gateway/sessions.ts";
import { sessionIds, writeSessionFile } from "../../src/registry/supervisor_files.ts";
import { environmentOverrides, normalise } from "../../src/definitions/normalise.ts";
import { GatewayServer } from "../../src/gateway/server.ts";
import { emptyRow } from "../../src/lifecycle/row.ts";
import { older } from "../relay/bench.ts";
import { noHalt, unless } from "../skip.ts";
import { callText, GatewayRig, type Revision, STDIO_SERVER, until } from "./rig.ts";

const REVISIONS: readonly Revision[] = ["older", "newer"];

for (const mode of ["older", "newer", "both", "dies"]) {
  for (const revision of REVISIONS) {
    Deno.test(`a client of the ${revision} revision uses a stdio server that is "${mode}"`, async () => {
      await using rig = await GatewayRig.open();
      await rig.enrol("docs", mode);
      const client = await rig.connect("docs", revision);
      const { tools } = await client.listTools();
      assert(tools.some(({ name }) => name === "echo"));
      assertEquals(await callText(client, "echo", { text: "é\u2028\n" }), "é\u2028\n");
      await client.close();
      assertEquals(rig.faults, []);
    });
  }
}

Deno.test("two older clients have a process each, two newer ones share theirs", async () => {
  await using rig = await GatewayRig.open();
  await rig.enrol("docs", "both");
  const older = await Promise.all([rig.connect("docs", "older"), rig.connect("docs", "older")]);
  const newer = await Promise.all([rig.connect("docs", "newer"), rig.connect("docs", "newer")]);
  const pids = await Promise.all([...older, ...newer].map((client) => callText(client, "pid")));
  assertNotEquals(pids[0], pids[1]);
  assertEquals(pids[2], pids[3]);
  assertEquals(new Set(pids).size, 3);
  await Promise.all([...older, ...newer].map((client) => client.close()));
});

Deno.test("sharing: shared has one process for clients of both revisions, and each gets its own answers", async () => {
  for (const mode of ["older", "newer"]) {
    await using rig = await GatewayRig.open();
    await rig.enrol("docs", mode, { sharing: "shared" });
    const clients = await Promise.all([
      rig.connect("docs", "older"),
      rig.connect("docs", "older"),
      rig.connect("docs", "newer"),
    ]);
    const pids = await Promise.all(clients.map((client) => callText(client, "pid")));
    assertEquals(new Set(pids).size, 1, mode);
    const texts = await Promise.all(
      Array.from(
        { length: 60 },
        (_, n) => callText(clients[n % 3] as typeof clients[0], "echo", { text: `${n}` }),
      ),
    );
    assertEquals(texts, Array.from({ length: 60 }, (_, n) => `${n}`));
    await Promise.all(clients.map((client) => client.close()));
  }
});

for (const mode of ["older", "newer"]) {
  Deno.test(`a newer client waits for a server that is "${mode}" and installs for long: it is started once`, async () => {
    await using rig = await GatewayRig.open();
    const starts = `${rig.folder}/starts`;
    // As npx does it: one process that works, and then a child that is the server.
    const script =
      `echo x >> ${starts}; end=$(( $(date +%s) + 7 )); while [ $(date +%s) -lt $end ]; do :; done; exec "$@"`;
    const server = [Deno.execPath(), "run", "-q", "--no-lock", "-A", STDIO_SERVER, mode];
    await rig.enrol("docs", mode, { command: "sh", args: ["-c", script, "sh", ...server] });
    const client = await rig.connect("docs", "newer");
    assertEquals(await callText(client, "echo", { text: "there" }), "there");
    // A server that answers that it speaks the older revision gets another process, for that revision.
    const lines = Deno.readTextFileSync(starts).trim().split("\n").length;
    assertEquals(lines, mode === "newer" ? 1 : 2);
    await client.close();
  });
}

Deno.test("a newer client reaches a server that is silent to its question", async () => {
  await using rig = await GatewayRig.open();
  await rig.enrol("docs", "silent");
  const client = await rig.connect("docs", "newer");
  assertEquals(await callText(client, "echo", { text: "there" }), "there");
  await client.close();
});

Deno.test("nothing runs before something is asked, and lists of a server that sleeps start nothing", async () => {
  await using rig = await GatewayRig.open();
  await rig.enrol("docs", "both");
  assertEquals(rig.pids("docs"), []);
  for (const revision of REVISIONS) {
    const first = await rig.connect("docs", revision);
    await first.listTools();
    await first.close();
  }
  await rig.gateway.find("docs")?.rest();
  assertEquals(rig.pids("docs"), []);
  for (const revision of REVISIONS) {
    const client = await rig.connect("docs", revision);
    const { tools } = await client.listTools();
    assert(tools.length > 0);
    assertEquals(rig.pids("docs"), [], `${revision}: from memory`);
    assertEquals(await callText(client, "echo", { text: "hi" }), "hi");
    assertEquals(rig.pids("docs").length, 1);
    await client.close();
    await rig.gateway.find("docs")?.rest();
  }
});

Deno.test("a server that is killed between two calls: the next call is answered by its successor", async () => {
  await using rig = await GatewayRig.open();
  await rig.enrol("docs", "both");
  for (const revision of REVISIONS) {
    const client = await rig.connect("docs", revision);
    const first = Number(await callText(client, "pid"));
    assert(rig.pids("docs").includes(first));
    Deno.kill(first, "SIGKILL");
    await until(() => !rig.pids("docs").includes(first), "its end was seen");
    assertNotEquals(Number(await callText(client, "pid")), first);
    await client.close();
  }
});

Deno.test("a call in flight when its server dies is answered with an error, and is not sent again", async () => {
  await using rig = await GatewayRig.open();
  await rig.enrol("docs", "both");
  for (const revision of REVISIONS) {
    const client = await rig.connect("docs", revision);
    await callText(client, "state");
    const error = await assertRejects(() => callText(client, "exit", { code: 7 }), Error);
    assertMatch(error.message, /may or may not have run/);
    assertEquals(await callText(client, "state"), "1", "the successor has had no other call");
    await client.close();
  }
});

Deno.test("a server that crashes at its start is told at once, with its last words", async () => {
  await using rig = await GatewayRig.open();
  await rig.enrol("docs", "crash");
  const startedAt = performance.now();
  const error = await assertRejects(() => rig.connect("docs", "older"), Error);
  assertMatch(error.message, /exit code 3.*no module named nothing/s);
  // The official client shows nothing of the error that answers its discover.
  const response = await fetch(rig.url("docs"), {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "mcp-protocol-version": NEWER_REVISION,
      "mcp-method": "server/discover",
    },
    body: JSON.stringify({
      jsonrpc: "2.0",
      id: 1,
      method: "server/discover",
      params: { _meta: { [META.version]: NEWER_REVISION, [META.clientCapabilities]: {} } },
    }),
  });
  // As one JSON or, where it takes a while, as a stream of events.
  const answer = (await response.text()).split("\n").findLast((line) => line.includes("{")) ?? "";
  assertMatch(
    JSON.parse(answer.replace(/^data: /, "")).error.message,
    /exit code 3.*no module named nothing/s,
  );
  assert(performance.now() - startedAt < 30_000, "a client waits as long for what never starts");
});

Deno.test("a session goes on in the next life of the gateway, and its level is restored", async () => {
  await using rig = await GatewayRig.open();
  await rig.enrol("docs", "older");
  const client = await rig.connect("docs", "older");
  const first = await callText(client, "pid");
  await rig.restart();
  await rig.enrol("docs", "older");
  assertNotEquals(await callText(client, "pid"), first);
  await client.close();
});

Deno.test("a handshake whose client is gone does not outlast the server's own end", async () => {
  await using rig = await GatewayRig.open();
  const args = ["eval", "-q", "await Deno.stdin.readable.pipeTo(new WritableStream())"];
  await rig.enrol("docs", "older", { command: Deno.execPath(), args });
  const leaving = new AbortController();
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "n", version: "1" } };
  const asked = fetch(rig.url("docs"), {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params }),
    signal: leaving.signal,
  });
  await until(() => rig.pids("docs").length === 1, "it runs");
  leaving.abort();
  await assertRejects(() => asked, DOMException);
  const found = rig.gateway.find("docs");
  // The gateway may hear of it a little later.
  await until(async () => {
    await found?.rest();
    return found?.sessions.size === 0 && rig.pids("docs").length === 0;
  }, "nobody waits, and nothing runs");
});

Deno.test("DELETE ends the session's process within two seconds, and the session for good", async () => {
  await using rig = await GatewayRig.open();
  await rig.enrol("docs", "older");
  const client = await rig.connect("docs", "older");
  const pid = Number(await callText(client, "pid"));
  const transport = client.transport as unknown as { terminateSession(): Promise<void>; sessionId: string };
  const { sessionId } = transport;
  await transport.terminateSession();
  await until(() => !rig.pids("docs").includes(pid), "its process is gone", 4000);
  const again = await fetch(rig.url("docs"), {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-session-id": sessionId,
    },
    body: '{"jsonrpc":"2.0","id":1,"method":"ping"}',
  });
  assertEquals(again.status, 404);
  await again.body?.cancel();
  await client.close();
});

for (const revision of REVISIONS) {
  for (const mode of ["older", "newer"]) {
    Deno.test(`a ${revision} client answers the question of a server that is "${mode}"`, async () => {
      await using rig = await GatewayRig.open();
      await rig.enrol("docs", mode);
      const client = await rig.connect("docs", revision, { capabilities: { elicitation: { form: {} } } });
      client.setRequestHandler(
        "elicitation/create",
        () => Promise.resolve({ action: "accept", content: { name: "me" } }),
      );
      const answer = JSON.parse(await callText(client, "ask"));
      const given = Array.isArray(answer) ? answer[0] : answer;
      assertEquals([given.action, given.content], ["accept", { name: "me" }]);
      if (Array.isArray(answer)) assertEquals(answer[1], "état");
      await client.close();
    });

    Deno.test(`a ${revision} client sees the progress of a server that is "${mode}"`, async () => {
      await using rig = await GatewayRig.open();
      await rig.enrol("docs", mode);
      const client = await rig.connect("docs", revision);
      const seen: number[] = [];
      const params = { name: "progress", arguments: {} };
      await client.callTool(params, { onprogress: ({ progress }) => void seen.push(progress) });
      assertEquals(seen, [1, 2, 3]);
      await client.close();
    });
  }
}

Deno.test("a client's environment reaches no file of the state folder", async () => {
  await using rig = await GatewayRig.open();
  await rig.enrol("docs", "older", { env: { API_KEY: "hunter2-in-the-definition" } });
  const client = await rig.connect("docs", "older");
  assertEquals(await callText(client, "env", { name: "API_KEY" }), "hunter2-in-the-definition");
  await client.close();
  await rig.gateway.close();
  const grep = await new Deno.Command("grep", { args: ["-rl", "hunter2", `${rig.folder}/state`] }).output();
  assertEquals(new TextDecoder().decode(grep.stdout), "");
});

Deno.test("processes that outlive a gateway are ended by the next, with proof", async () => {
  await using rig = await GatewayRig.open();
  await rig.enrol("docs", "older");
  const client = await rig.connect("docs", "older");
  const pid = Number(await callText(client, "pid"));
  await client.close();
  // The record of a gateway that is gone: its pid was given to nobody since.
  const copies = `${rig.folder}/state/servers/docs/copies`;
  for (const { name } of Deno.readDirSync(copies)) {
    const record = JSON.parse(Deno.readTextFileSync(`${copies}/${name}`));
    record.owner = { pid: record.pid + 1_000_000, start_token: record.owner.start_token };
    Deno.writeTextFileSync(`${copies}/other-life.json`, JSON.stringify({ ...record, copy: "other-life" }));
  }
  await rig.gateway.find("docs")?.copies.endOrphans();
  await until(() => !rig.pids("docs").includes(pid), "it is gone");
});

Deno.test("a process's session file goes with it, also where the next gateway ends it", async () => {
  await using rig = await GatewayRig.open();
  await rig.enrol("docs", "older", { session: { env: "DOCS_SESSION", payload: { id: "${sessionId}" } } });
  const files = () =>
    [...Deno.readDirSync(`${rig.folder}/state/servers/docs`)].flatMap(({ name }) =>
      name.startsWith("session-") ? [name] : []
    );
  const clients = await Promise.all([rig.connect("docs", "older"), rig.connect("docs", "older")]);
  const sessions = await Promise.all(
    clients.map((client) => callText(client, "env", { name: "DOCS_SESSION" })),
  );
  assertEquals(files().sort(), sessions.map((path) => path.split("/").at(-1)).sort());
  assertEquals(new Set(sessions).size, 2);

  const copies = `${rig.folder}/state/servers/docs/copies`;
  const [{ name: kept } = { name: "" }] = Deno.readDirSync(copies);
  const record = JSON.parse(Deno.readTextFileSync(`${copies}/${kept}`));
  await rig.gateway.find("docs")?.copies.endAll();
  await until(() => files().length === 0, "both files are gone");

  // What a gateway left that was killed after it had written both.
  const left = `${rig.folder}/state/servers/docs/session-${record.session}.json`;
  Deno.writeTextFileSync(left, "{}");
  const owner = { pid: 4_000_000, start_token: record.owner.start_token };
  Deno.writeTextFileSync(
    `${copies}/other-life.json`,
    JSON.stringify({ ...record, owner, copy: "other-life" }),
  );
  Deno.writeTextFileSync(`${copies}/other-life.json.0123456789ab.draft`, "{");
  await rig.gateway.find("docs")?.copies.endOrphans();
  assertEquals([files(), [...Deno.readDirSync(copies)]], [[], []]);
  await Promise.all(clients.map((client) => client.close()));
});

for (const mode of ["older", "newer"]) {
  Deno.test(`GatewayServer.check() of a pinned server that is "${mode}" keeps its process, whoever asks how often`, async () => {
    await using rig = await GatewayRig.open();
    await rig.enrol("docs", mode);
    rig.pinned.add("docs");
    const server = rig.gateway.find("docs");
    assert(server !== null);
    const kinds = await Promise.all([1, 2, 3].map(async () => (await server.check(15_000)).kind));
    assertEquals(kinds, ["ready", "ready", "ready"]);
    const [pid = 0] = rig.pids("docs");
    await server.check(15_000);
    assertEquals(rig.pids("docs"), [pid]);
    Deno.kill(pid, "SIGKILL");
    await until(() => !rig.pids("docs").includes(pid), "the process is gone");
    assertEquals((await server.check(15_000)).kind, "ready");
    assertEquals(rig.pids("docs").length, 1);
    await server.rest();
    assertEquals(rig.pids("docs"), []);
    assertEquals((await server.check(15_000)).kind, "ready");
  });
}

Deno.test(
  unless(
    noHalt,
    "GatewayServer.check() that gets no answer in time leaves a pinned process that was ready before",
  ),
  async () => {
    await using rig = await GatewayRig.open();
    await rig.enrol("docs", "both");
    rig.pinned.add("docs");
    const server = rig.gateway.find("docs");
    assert(server !== null);
    assertEquals((await server.check(15_000)).kind, "ready");
    const pids = rig.pids("docs");
    for (const pid of pids) Deno.kill(pid, "SIGSTOP");
    const late = await server.check(50);
    for (const pid of pids) Deno.kill(pid, "SIGCONT");
    assertEquals(late, {
      kind: "failed",
      outcome: "not_ready",
      message: '"docs" did not answer within 50 ms; its process was left as it is',
      hint: 'foster logs "docs" shows what it said; --timeout waits longer',
    });
    assertEquals((await server.check(15_000)).kind, "ready");
    assertEquals(rig.pids("docs"), pids);
  },
);

Deno.test("GatewayServer.check() says which way a start failed", async () => {
  await using rig = await GatewayRig.open();
  for (
    const { name, more, outcome, timeoutMs } of [
      { name: "nowhere", more: { command: "no-such-program" }, outcome: "no_command", timeoutMs: 15_000 },
      { name: "late", more: {}, outcome: "not_ready", timeoutMs: 0 },
      { name: "broken", more: { args: ["eval", "Deno.exit(3)"] }, outcome: "crashed", timeoutMs: 15_000 },
    ]
  ) {
    await rig.enrol(name, "both", more);
    const result = await rig.gateway.find(name)?.check(timeoutMs);
    assert(result?.kind === "failed");
    assertEquals(result.outcome, outcome, name);
    await until(() => rig.pids(name).length === 0, "nothing is left of it");
  }
});

for (const revision of REVISIONS) {
  Deno.test(`a definition that changes during a call of a ${revision} client counts once the call is over`, async () => {
    await using rig = await GatewayRig.open();
    const settings = (value: string) => ({ env: { SETTING: value }, sharing: "session" as const });
    await rig.enrol("docs", "both", settings("before"));
    const client = await rig.connect("docs", revision);
    const slow = callText(client, "slow", { ms: 1500 });
    await until(() => rig.gateway.find("docs")?.openCalls === 1 && rig.pids("docs").length === 1, "it runs");
    await rig.enrol("docs", "both", settings("after"));
    assertEquals(await slow, "slept");
    await until(() => rig.pids("docs").length === 0, "the process of the earlier definition is gone");
    assertEquals(await callText(client, "env", { name: "SETTING" }), "after");
    await client.close();
  });
}

const KINDS = [["older", "session"], ["older", "shared"], ["both", "shared"], ["both", "auto"]] as const;
for (const [mode, sharing] of KINDS) {
  for (const revision of REVISIONS) {
    Deno.test(`a call of a ${revision} client at a server that is "${mode}" and ${sharing} ends with its server, and says how`, async () => {
      await using rig = await GatewayRig.open();
      await rig.enrol("docs", mode, { sharing });
      const client = await rig.connect("docs", revision);
      for (const restarts of [true, false]) {
        const slow = assertRejects(() => callText(client, "slow", { ms: 60_000 }), Error);
        await until(
          () => rig.gateway.find("docs")?.openCalls === 1 && rig.pids("docs").length > 0,
          "it runs",
        );
        await rig.gateway.find("docs")?.rest({ restarts });
        const how = restarts ? "restarted" : "was stopped";
        assertMatch((await slow).message, new RegExp(`"docs" ${how} while .*may or may not have run`));
      }
      await client.close();
    });
  }
}

Deno.test("a call that comes while its unused server is being ended waits for that, and goes to the next one", async () => {
  await using rig = await GatewayRig.open();
  const { host } = rig.world;
  const seen: string[] = [];
  const behind = await older({ seen });
  let starts = 0;
  let isUp = true;
  const ending = Promise.withResolvers<void>();
  let isEnding = false;
  const definition = normalise({ command: "x", port: 1024, idle: "100ms" }, {
    name: "docs",
    key: "docs",
    source: { kind: "preset" },
    baseFolder: rig.folder,
    overrides: environmentOverrides(() => undefined),
  });
  const server = await GatewayServer.open(rig.world, {
    definition,
    timeoutMs: 5000,
    epoch: "0badcafe",
    secret: "s",
    environment: () => null,
    ownerEnvironment: () => null,
    ownerTimeoutMs: () => null,
    ownerMayTranslate: () => true,
    bringUp: () => {
      starts++;
      const row = { ...emptyRow("docs", "docs"), endpoint: behind.url.href, adoption: "external" as const };
      return Promise.resolve({ kind: "done" as const, row });
    },
    isUp: () => isUp,
    idleMs: () => null,
    isPinned: () => false,
    onIdle: () => {
      isEnding = true;
      return ending.promise.then(() => void (isUp = false));
    },
    admit: () => null,
    onFault: (error) => void rig.faults.push(error),
  });
  const { id: sessionId } = await initialized(server.sessions);
  const call = async (id: number) => {
    const session = await server.sessions.find(sessionId, { headers: new Headers() });
    assert(session instanceof OlderSession);
    return await session.request(
      new TextEncoder().encode(JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params: {} })),
      {
        accepted: { json: true, events: false },
        isBatch: false,
        ids: [`${id}`],
        headers: {},
        messages: [{ jsonrpc: "2.0", id, method: "tools/call", params: {} }],
      },
    );
  };
  const calls = () => seen.filter((method) => method === "tools/call").length;
  assertEquals((await (await call(2)).json()).result, { method: "tools/call" });
  await until(() => {
    server.tick({ withComments: false });
    return isEnding;
  }, "it counts as unused");
  const answered = call(3);
  await host.clock.sleep(100);
  assertEquals(calls(), 1, "nothing is sent to a server that is being ended");
  ending.resolve();
  assertEquals((await (await answered).json()).result, { method: "tools/call" });
  assertEquals([calls(), rig.faults], [2, []]);
  assert(starts >= 1);
  await server.close();
  await behind.close();
});

/** Sessions of their own, whose server answers initialize alone. */
function sessionsOf(
  rig: GatewayRig,
  { refused = null as string | null, faults = [] as unknown[] } = {},
): Sessions {
  return new Sessions(rig.world, {
    key: "docs",
    epoch: "0badcafe",
    memoryFor: () => ({ find: () => null, noteAnswer: () => {}, noteList: () => {} }),
    restMs: () => Infinity,
    endsWithStream: () => false,
    isThere: () => true,
    open: (client) => ({
      receive: async (exchange, _line, messages) => {
        const result = { protocolVersion: "2025-11-25", capabilities: {} };
        const line = new TextEncoder().encode(
          JSON.stringify({ jsonrpc: "2.0", id: messages[0]?.id, result }),
        );
        await client.write(line, { kind: "answer", exchange, isLast: true });
      },
      cancel: () => {},
      finish: () => Promise.resolve(),
      close: () => Promise.resolve(),
    }),
    admit: () => refused,
    onRequest: () => {},
    onFault: (error) => void faults.push(error),
  });
}

/** Through the endpoint, as a client does. */
async function initialized(sessions: Sessions): Promise<{ id: string; session: OlderSession }> {
  const response = await serveEndpoint(
    {
      sessions,
      newerClients: () => {
        throw new Error("an older client");
      },
    },
    new Request("http://x/", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        jsonrpc: "2.0",
        id: 1,
        method: "initialize",
        params: { protocolVersion: "2025-11-25" },
      }),
    }),
  );
  assertMatch((await response.json()).result.protocolVersion, /^2025-/);
  const id = response.headers.get(SESSION_HEADER) ?? "";
  const session = await sessions.find(id, response);
  assert(session instanceof OlderSession);
  return { id, session };
}

Deno.test("Sessions: one that is known and has no room now is refused, and not unknown", async () => {
  await using rig = await GatewayRig.open();
  const before = sessionsOf(rig);
  const { id } = await initialized(before);
  await before.close();
  const request = { headers: new Headers() };
  assertEquals(await sessionsOf(rig, { refused: "all in use" }).find(id, request), { refused: "all in use" });
  const again = sessionsOf(rig);
  assert(await again.find(id, request) instanceof OlderSession);
  await again.close();
});

Deno.test("Sessions: one that can't be written down is answered all the same", async () => {
  await using rig = await GatewayRig.open();
  await Deno.writeTextFile(`${rig.folder}/state/sessions`, "in the way");
  const faults: unknown[] = [];
  const sessions = sessionsOf(rig, { faults });
  await initialized(sessions);
  assertEquals(faults.length, 1);
  await sessions.close();
});

Deno.test("Sessions: one that was ended is unknown at once and for good, whatever was being written", async () => {
  await using rig = await GatewayRig.open();
  const sessions = sessionsOf(rig);
  const { id, session } = await initialized(sessions);
  const writing = sessions.noteHandshake(session, true);
  const ending = sessions.end(session);
  assertEquals(await sessions.find(id, { headers: new Headers() }), null);
  await Promise.all([writing, ending]);
  assertEquals(await sessionIds(rig.world.host, rig.world.state.path), []);
});

Deno.test("sweepSessions() removes the files of sessions that are a day old, and no others", async () => {
  await using rig = await GatewayRig.open();
  const { host, state } = rig.world;
  const ids = ["1".repeat(32), "2".repeat(32)];
  for (const [index, id] of ids.entries()) {
    const used = new Date(host.clock.now() - index * 25 * 3_600_000).toISOString();
    await writeSessionFile(host, state.path, {
      schema: 1,
      id,
      key: "docs",
      revision: "2025-11-25",
      initialize: {},
      level: null,
      subscriptions: [],
      server_session: null,
      since: used,
      used_at: used,
    });
  }
  await sweepSessions(rig.world);
  assertEquals(await sessionIds(host, state.path), [ids[0]]);
});

Deno.test("after a restart lists come from the live process again, not from memory", async () => {
  await using rig = await GatewayRig.open();
  await rig.enrol("docs", "newer");
  const client = await rig.connect("docs", "newer");
  await client.listTools();
  const pid = Number(await callText(client, "pid"));
  Deno.kill(pid, "SIGKILL");
  await until(() => rig.pids("docs").length === 0, "the process is gone");
  await callText(client, "echo", { text: "x" });
  await callText(client, "change");
  const { tools } = await client.listTools(undefined, { cacheMode: "bypass" } as never);
  assert(tools.some(({ name }) => name.startsWith("new")), tools.map(({ name }) => name).join());
  await client.close();
});
