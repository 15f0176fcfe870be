import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Link, type LinkNdjsonEnd, type LinkNdjsonOptions, runLinkNdjson } from "../../src/link/mod.ts";
import { INPUT_LINE_LIMIT_BYTES } from "../../src/link/ndjson.ts";
import { type JsonObject, MESSAGE_LIMIT_BYTES } from "../../src/link/wire.ts";
import { EditorServer, type EditorServerOptions, Inbox, type Peer } from "./editor_server.ts";
import { linkHost, seen, turn } from "./rig.ts";

interface Rig {
  server: EditorServer;
  peer: Peer;
  lines: Inbox<JsonObject>;
  /** Writes one line of input, as far as it is read. */
  say(line: unknown): Promise<void>;
  write(text: string): Promise<void>;
  endInput(): Promise<void>;
  abort: AbortController;
  link: Promise<Link>;
  end: Promise<LinkNdjsonEnd>;
}

function driven(
  name: string,
  options: {
    server?: EditorServerOptions;
    link?: Partial<LinkNdjsonOptions["link"]>;
    once?: boolean;
    onVerdict?(): void;
  },
  body: (rig: Rig) => Promise<void>,
): void {
  Deno.test(name, async () => {
    const server = await EditorServer.start(options.server);
    const pipe = new TransformStream<Uint8Array, Uint8Array>();
    const writer = pipe.writable.getWriter();
    const lines = new Inbox<JsonObject>();
    const abort = new AbortController();
    const opened = Promise.withResolvers<Link>();
    const end = runLinkNdjson(linkHost(), {
      once: options.once,
      onVerdict: options.onVerdict,
      onLink: opened.resolve,
      link: {
        name: "docs",
        port: server.port,
        projectPath: "/games/demo",
        clientVersion: "2.4.2",
        runtimeVersion: "4.5.0",
        launchMode: "managed",
        ...options.link,
      },
      input: pipe.readable,
      output: (line) => lines.push(JSON.parse(line)),
      signal: abort.signal,
    });
    const write = (text: string) => writer.write(new TextEncoder().encode(text));
    const say = (line: unknown) => write(`${JSON.stringify(line)}\n`);
    try {
      const peer = await server.peers.next();
      const endInput = () => writer.close();
      await body({ server, peer, lines, say, write, endInput, abort, link: opened.promise, end });
    } finally {
      abort.abort();
      await end;
      await writer.abort().catch(() => undefined);
      await server.close();
    }
  });
}

const ofType = (type: string) => (line: JsonObject) => line.type === type;

driven(
  "runLinkNdjson() tells open, ack and verdict, then the commands",
  {},
  async ({ peer, lines, say }) => {
    const answer = peer.command("ping", { n: 1 });
    const command = await lines.find(ofType("command"));
    assertEquals(lines.all, [
      { type: "open", session_id: peer.sessionId },
      { type: "ack", server_version: "2.4.2" },
      { type: "verdict", state: "ready", expected: null, actual: "2.4.2" },
      { type: "command", request_id: command.request_id, command: "ping", params: { n: 1 } },
    ]);
    await say({ type: "response", request_id: command.request_id, data: { n: 1 } });
    const { status, data, readiness } = await answer;
    assertEquals({ status, data, readiness }, { status: "ok", data: { n: 1 }, readiness: "ready" });
  },
);

driven(
  "runLinkNdjson() passes events, readiness and error responses on",
  {},
  async ({ peer, lines, say }) => {
    await lines.find(ofType("verdict"));
    await say({ type: "readiness", readiness: "ready" });
    await say({ type: "event", event: "scene_changed", data: { current_scene: "a" } });
    await say({ type: "event", event: "scene_changed", data: { current_scene: "a" } });
    await say({ type: "readiness", readiness: "playing" });
    await say({ type: "event", event: "custom" });
    const sent = [];
    for (let n = 0; n < 4; n += 1) sent.push((await peer.messages.next()).event);
    assertEquals(sent, ["scene_changed", "scene_changed", "readiness_changed", "custom"]);
    const answer = peer.command("ping");
    const { request_id } = await lines.find(ofType("command"));
    const error = { code: "NODE_NOT_FOUND", message: "no", data: { path: "/a" } };
    await say({ type: "response", request_id, error });
    assertEquals((await answer).error, error);
  },
);

driven(
  "runLinkNdjson() answers a bad line with a warning and lives on",
  {},
  async ({ peer, lines, say, write }) => {
    await lines.find(ofType("verdict"));
    await write("nonsense\n\n");
    await write('[]\n{"type":"dance"}\n');
    await say({ type: "response", request_id: "unknown", data: {} });
    await say({ type: "event", event: "last" });
    await peer.messages.next();
    const warnings = lines.all.filter((line) => line.type === "log" && line.level === "warn");
    assertEquals(warnings.map(({ message }) => message), [
      "input line ignored: it is not JSON",
      "input line ignored: it is not an object",
      "input line ignored: its type is none of event, response, readiness, pause, resume, close",
      'server "docs": dropped a late answer: its request is unknown, answered or expired',
    ]);
  },
);

driven("runLinkNdjson() skips a line that is too long", {}, async ({ peer, lines, say, write }) => {
  await lines.find(ofType("verdict"));
  const part = "x".repeat(1 << 20);
  for (let bytes = 0; bytes <= INPUT_LINE_LIMIT_BYTES; bytes += part.length) await write(part);
  await write("\n");
  await say({ type: "event", event: "last" });
  await peer.messages.next();
  assertStringIncludes(String((await lines.find(ofType("log"))).message), "over the limit");
});

driven("runLinkNdjson() answers commands with an error once the input is closed", {}, async (rig) => {
  const { peer, lines, endInput } = rig;
  const waiting = peer.command("ping");
  await lines.find(ofType("command"));
  await endInput();
  const code = ({ error }: JsonObject) => (error as { code: string }).code;
  assertEquals(code(await waiting), "INTERNAL_ERROR");
  assertEquals(code(await peer.command("ping")), "INTERNAL_ERROR");
  assertEquals(lines.all.filter(ofType("command")).length, 1);
});

driven(
  "runLinkNdjson() takes its pauses back when the input ends",
  {},
  async ({ peer, lines, say, endInput }) => {
    await lines.find(ofType("verdict"));
    await say({ type: "pause" });
    await say({ type: "pause" });
    await endInput();
    assertEquals((await peer.command("ping")).status, "error");
  },
);

driven("runLinkNdjson() reads and sends nothing while paused, and keeps the answers", {}, async (rig) => {
  const { peer, lines, say } = rig;
  const answer = peer.command("first");
  const { request_id } = await lines.find(ofType("command"));
  await say({ type: "pause" });
  await say({ type: "response", request_id, data: { n: 1 } });
  await say({ type: "event", event: "scene_changed", data: { current_scene: "a" } });
  const second = peer.command("second");
  for (let n = 0; n < 30; n += 1) await turn();
  assertEquals(peer.messages.all, []);
  assertEquals(lines.all.filter(ofType("command")).length, 1);
  await say({ type: "resume" });
  assertEquals((await answer).data, { n: 1 });
  const next = await lines.find(ofType("command"));
  assertEquals(next.command, "second");
  await say({ type: "response", request_id: next.request_id, data: {} });
  await second;
  assertEquals(peer.messages.all.filter(({ event }) => event === "scene_changed").length, 1);
});

driven("runLinkNdjson() closes on a close line", {}, async ({ peer, lines, say, end }) => {
  await lines.find(ofType("verdict"));
  await say({ type: "close" });
  assertEquals(await end, { kind: "closed" });
  assertEquals(await peer.closed, { code: 1000, reason: "Plugin unloading" });
  assertEquals(lines.all.at(-1), { type: "closed", code: 1000, reason: "Plugin unloading" });
});

driven("runLinkNdjson() closes on the signal", {}, async ({ peer, abort, end }) => {
  abort.abort();
  assertEquals(await end, { kind: "interrupted" });
  assertEquals((await peer.closed).code, 1000);
});

driven("runLinkNdjson() with once ends with the verdict of a wrong server", {
  server: { version: "2.3.0" },
  link: { expectedVersion: "2.4.2" },
  once: true,
}, async ({ lines, end }) => {
  const { kind, ...blocked } = await end;
  assertEquals(kind, "blocked");
  assertStringIncludes(JSON.stringify(blocked), "2.3.0");
  const types = lines.all.map(({ type }) => type);
  assertEquals(types, ["open", "ack", "verdict", "log", "closed"]);
  assertEquals(lines.all[2], { type: "verdict", state: "incompatible", expected: "2.4.2", actual: "2.3.0" });
});

driven("runLinkNdjson() stays, blocked, with a wrong server and goes on when it is unblocked", {
  server: { version: "2.3.0" },
  link: { expectedVersion: "2.4.2" },
}, async ({ lines, say, server, link }) => {
  await lines.find(ofType("closed"));
  // Input is still taken while it is blocked.
  await say({ type: "readiness", readiness: "playing" });
  await say({ type: "event", event: "custom" });
  assertStringIncludes(String((await lines.find((line) => line.level === "warn")).message), "was not sent");
  (await link).unblock({ expectedVersion: "2.3.0" });
  assertEquals((await lines.find(ofType("verdict"))).state, "ready");
  assertEquals(server.peers.all.at(-1)?.handshake.readiness, "playing");
});

driven("runLinkNdjson() puts an error in the place of a response over the limit", {}, async (rig) => {
  const { peer, lines, say } = rig;
  const answer = peer.command("big");
  const { request_id } = await lines.find(ofType("command"));
  await say({ type: "response", request_id, data: { fill: "x".repeat(MESSAGE_LIMIT_BYTES) } });
  const { error } = await answer as { error: { code: string; data: JsonObject } };
  assertEquals([error.code, error.data.limit_bytes], ["INTERNAL_ERROR", MESSAGE_LIMIT_BYTES]);
  const told = await lines.find(ofType("backpressure"));
  assertEquals([told.action, told.request_id], ["replaced", request_id]);
});

driven("runLinkNdjson() stops reading while the server does not, and loses nothing", {}, async (rig) => {
  const { peer, lines, say } = rig;
  await lines.find(ofType("verdict"));
  peer.socket.pause();
  let written = 0;
  const fill = "x".repeat(1 << 20);
  const writing = (async () => {
    for (let n = 0; n < 40; n += 1) {
      await say({ type: "event", event: "custom", data: { n, fill } });
      written += 1;
    }
  })();
  await seen(() => lines.all.at(-1)?.action === "waiting");
  for (let n = 0; n < 50; n += 1) await turn();
  assert(written < 40);
  assertEquals(lines.all.at(-1)?.action, "waiting");
  for (const line of lines.all.filter(ofType("backpressure"))) {
    assert(Number(line.buffered_bytes) <= MESSAGE_LIMIT_BYTES, JSON.stringify(line));
  }
  peer.socket.resume();
  await writing;
  for (let n = 0; n < 40; n += 1) assertEquals(((await peer.messages.next()).data as { n: number }).n, n);
});

driven("runLinkNdjson() tells of drops and attempts, and goes on", {}, async ({ peer, lines, server }) => {
  await lines.find(ofType("verdict"));
  peer.socket.close(1000, "restart");
  assertEquals(await lines.find(ofType("closed")), { type: "closed", code: 1000, reason: "restart" });
  assertEquals(await lines.find(ofType("reconnecting")), {
    type: "reconnecting",
    attempt: 1,
    next_retry_s: 1,
  });
  await lines.find(ofType("verdict"));
  assertEquals((await server.peers.next()).sessionId, peer.sessionId);
});

const inputs: [line: string, warning: string | null][] = [
  ['{"type":"event","event":"scene_changed","data":{"current_scene":"a"}}', null],
  ['{"type":"event","event":"scene_changed"}', null],
  ['{"type":"event"}', "event needs a text as event"],
  ['{"type":"event","event":"x","data":[]}', "event needs an object as data"],
  ['{"type":"response","request_id":"","data":{}}', null],
  ['{"type":"response","request_id":"","data":{},"error":null}', null],
  ['{"type":"response","request_id":"","error":{"code":"C","message":"m"}}', null],
  ['{"type":"response","request_id":"a"}', "response needs data or error"],
  ['{"type":"response","data":{}}', "response needs a text as request_id"],
  ['{"type":"response","request_id":"a","data":"text"}', "response needs an object as data"],
  ['{"type":"response","request_id":"a","error":"text"}', "response needs an error with code and message"],
  ['{"type":"response","request_id":"a","data":{},"status":"fine"}', "response needs ok or error as status"],
  ['{"type":"readiness","readiness":"playing"}', null],
  ['{"type":"readiness"}', "readiness needs a text as readiness"],
  ['{"type":"pause"}', null],
  ['{"type":"resume"}', null],
  ['{"type":"dance"}', "its type is none of event, response, readiness, pause, resume, close"],
  ["[]", "it is not an object"],
  ["null", "it is not an object"],
  ["nonsense", "it is not JSON"],
  ["\xff\xfe", "it is not UTF-8"],
];

Deno.test("runLinkNdjson() takes each line of input or says what is wrong with it", async () => {
  const server = await EditorServer.start();
  const lines: JsonObject[] = [];
  const input = new Uint8Array(
    inputs.flatMap(([line]) => [...`${line}\n`].map((each) => each.charCodeAt(0))),
  );
  const pipe = new TransformStream<Uint8Array, Uint8Array>();
  const end = runLinkNdjson(linkHost(), {
    link: {
      name: "docs",
      port: server.port,
      projectPath: "/",
      clientVersion: "1",
      runtimeVersion: "1",
      launchMode: "",
    },
    input: pipe.readable,
    output: (line) => lines.push(JSON.parse(line)),
    signal: new AbortController().signal,
  });
  await server.peers.next();
  await seen(() => lines.some(({ type }) => type === "verdict"));
  const writer = pipe.writable.getWriter();
  await writer.write(input);
  await writer.write(new TextEncoder().encode('{"type":"close"}\n'));
  assertEquals(await end, { kind: "closed" });
  const warnings = lines.filter(ofType("log")).map(({ message }) => message);
  assertEquals(
    warnings,
    inputs.filter(([, warning]) => warning !== null).map(([, warning]) => `input line ignored: ${warning}`),
  );
  await server.close();
});

driven("runLinkNdjson() says in the verdict that a server never acknowledged", {
  server: { greet: () => undefined },
}, async ({ lines }) => {
  const verdict = await lines.find(ofType("verdict"));
  assertEquals(verdict, {
    type: "verdict",
    state: "incompatible",
    expected: null,
    actual: "",
    error: "missing_handshake_ack",
  });
});

driven("runLinkNdjson() gives no verdict, and so changes no record, for an open socket alone", {
  server: { greet: () => undefined },
  onVerdict: () => {
    throw new Error("there is no acknowledgement");
  },
}, async ({ lines }) => {
  await lines.find(ofType("open"));
  for (let n = 0; n < 20; n += 1) await turn();
  assertEquals(lines.all.map(({ type }) => type), ["open"]);
});
