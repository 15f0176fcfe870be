import { assertEquals } from "@std/assert";
import { ServerRequests } from "../../src/relay/server_requests.ts";
import { Life } from "./scene.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function scene() {
  let last = 100;
  const requests = new ServerRequests(() => String(++last));
  const ask = (life: Life, id: string) => {
    const line = encoder.encode(`{"id":${id},"method":"roots/list"}`);
    const shown = requests.open(life, { id, line, related: null });
    return shown instanceof Uint8Array ? decoder.decode(shown) : shown;
  };
  const answer = (id: string) => {
    const answered = requests.answer(encoder.encode(`{"id":${id},"result":{}}`), { kind: "response", id });
    return answered === null ? null : { upstream: answered.upstream, line: decoder.decode(answered.line) };
  };
  return { requests, ask, answer };
}

Deno.test("ServerRequests gives a request another id when an earlier process's request still has it", () => {
  const { ask, answer } = scene();
  const [first, second] = [new Life(), new Life()];
  assertEquals([ask(first, "0"), ask(second, "0")], [
    '{"id":0,"method":"roots/list"}',
    '{"id":101,"method":"roots/list"}',
  ]);
  assertEquals(answer("101"), { upstream: second, line: '{"id":0,"result":{}}' });
  assertEquals(answer("0"), { upstream: first, line: '{"id":0,"result":{}}' });
});

Deno.test("ServerRequests shows a request once when a resumed stream repeats it", () => {
  const { ask } = scene();
  const life = new Life();
  ask(life, "0");
  assertEquals(ask(life, "0"), null);
});

Deno.test("ServerRequests passes no answer on when no server waits for it", () => {
  const { requests, ask, answer } = scene();
  const life = new Life();
  ask(life, '"a"');
  assertEquals(requests.cancelAll(new Life()), []);
  const cancelled = requests.cancelAll(life).map(({ line }) => JSON.parse(decoder.decode(line)));
  assertEquals(cancelled.map(({ params }) => params.requestId), ["a"]);
  assertEquals([answer('"a"'), answer("6")], [null, null]);
});

Deno.test("ServerRequests takes one answer", () => {
  const { ask, answer } = scene();
  ask(new Life(), "1");
  assertEquals([answer("1") === null, answer("1") === null], [false, true]);
});

Deno.test("ServerRequests takes a request back under the id that the client knows", () => {
  const { requests, ask, answer } = scene();
  const [first, second] = [new Life(), new Life()];
  ask(first, "0");
  ask(second, "0");
  const line = encoder.encode('{"method":"notifications/cancelled","params":{"requestId":0}}');
  const shown = requests.takenBack(second, { id: "0", line });
  assertEquals(shown && JSON.parse(decoder.decode(shown)).params, { requestId: 101 });
  assertEquals(requests.takenBack(second, { id: "0", line }), null);
  assertEquals([answer("101"), answer("0")?.upstream], [null, first]);
});

Deno.test("ServerRequests has a bound", () => {
  const { ask } = scene();
  const life = new Life();
  for (let id = 0; id < 1000; id++) ask(life, String(id));
  assertEquals(ask(life, "1000"), "full");
});
