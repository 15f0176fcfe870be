import { assertEquals } from "@std/assert";
import { EditorServer, guard } from "./editor_server.ts";
import { linkHost } from "./rig.ts";

const upgrades: [headers: [string, string][], accepted: boolean][] = [
  [[["Host", "127.0.0.1:9500"]], true],
  [[["Host", "LocalHost."]], true],
  [[["Host", "[::1]:9500"]], true],
  [[["Host", "::1"]], false],
  [[["Host", "example.com"]], false],
  [[], false],
  [[["Host", "localhost"], ["host", "localhost"]], false],
  [[["Host", "localhost"], ["Origin", " "]], true],
  [[["Host", "localhost"], ["Origin", "https://localhost:3000"]], true],
  [[["Host", "localhost"], ["Origin", "ws://127.0.0.1"]], true],
  [[["Host", "localhost"], ["Origin", "null"]], false],
  [[["Host", "localhost"], ["Origin", "https://example.com"]], false],
  [[["Host", "localhost"], ["Sec-Fetch-Site", "cross-site"]], false],
  [[["Host", "localhost"], ["Sec-Fetch-Site", "same-site"]], false],
  [[["Host", "localhost"], ["Sec-Fetch-Site", "none"]], true],
];

for (const [headers, accepted] of upgrades) {
  Deno.test(`guard() ${accepted ? "lets in" : "turns down"} ${JSON.stringify(headers)}`, () => {
    const request = {
      rawHeaders: headers.flat(),
      headers: Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), value])),
    };
    assertEquals(guard(request) === null, accepted);
  });
}

for (const first of ["nonsense", "{}", '{"type":"handshake","session_id":"a"}', null]) {
  Deno.test(`EditorServer closes without acknowledging on ${first ?? "silence"}`, async () => {
    const server = await EditorServer.start({ handshakeMs: first === null ? 20 : 10_000 });
    const socket = linkHost().net.webSocket(`ws://127.0.0.1:${server.port}`);
    const heard: unknown[] = [];
    const closed = new Promise<number>((resolve) => socket.onclose = ({ code }) => resolve(code));
    socket.onmessage = ({ data }) => heard.push(data);
    if (first !== null) socket.onopen = () => socket.send(first);
    assertEquals(await closed, 1000);
    assertEquals([heard, server.sessions.size], [[], 0]);
    await server.close();
  });
}
