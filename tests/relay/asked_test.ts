import { assertEquals } from "@std/assert";
import { Asked } from "../../src/relay/asked.ts";
import type { Upstream } from "../../src/relay/upstream/upstream.ts";
import { Life } from "./connect_parts.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function scene() {
  const told: string[] = [];
  const asked = new Asked((line) => void told.push(decoder.decode(line)));
  const ask = (life: Upstream, id: number) =>
    asked.ask(life, { id, line: encoder.encode(`{"id":${id},"method":"roots/list"}`) });
  const answer = (id: number | string) =>
    asked.answer(encoder.encode(`{"id":${JSON.stringify(id)},"result":{}}`), { kind: "response", id });
  return { told, asked, ask, answer };
}

Deno.test("Asked gives a question another id when an earlier life's question still has it", () => {
  const { told, ask, answer } = scene();
  const [first, second] = [new Life(), new Life()];
  ask(first, 0);
  ask(second, 0);
  assertEquals(told, ['{"id":0,"method":"roots/list"}', '{"id":"foster-asked-1","method":"roots/list"}']);
  answer("foster-asked-1");
  answer(0);
  assertEquals(first.received, ['{"id":0,"result":{}}']);
  assertEquals(second.received, ['{"id":0,"result":{}}']);
});

Deno.test("Asked shows a question once when a resumed stream repeats it", () => {
  const { told, ask } = scene();
  const life = new Life();
  ask(life, 0);
  ask(life, 0);
  assertEquals(told.length, 1);
});

Deno.test("Asked tells nobody of an answer when nobody waits for it", () => {
  const { told, asked, ask, answer } = scene();
  const life = new Life();
  ask(life, 5);
  asked.cancelAll(new Life());
  asked.cancelAll(life);
  answer(5);
  answer(6);
  assertEquals(life.received, []);
  assertEquals(told.length, 2);
  assertEquals(JSON.parse(told[1] ?? "").params.requestId, 5);
});
