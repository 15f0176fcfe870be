import { assertEquals, assertRejects } from "@std/assert";
import { keyOf } from "../../src/relay/message.ts";
import { OpenRequests } from "../../src/relay/open_requests.ts";
import { OwnRequests } from "../../src/relay/own_requests.ts";
import { FakeHost } from "../host/fake_host.ts";
import { Life, parcel } from "./connect_parts.ts";

function scene() {
  const { clock, random } = new FakeHost();
  const requests = new OpenRequests(() => {
    throw new Error("the client is to hear nothing");
  });
  const closing = new AbortController();
  const own = new OwnRequests({ clock, random }, { requests, signal: closing.signal });
  return { clock, requests, closing, own, life: new Life() };
}

Deno.test("OwnRequests gives the answer to who asked", async () => {
  const { requests, own, life } = scene();
  const answer = own.ask(life, parcel({ id: "i", method: "initialize" }));
  assertEquals(life.received, ['{"id":"i","method":"initialize"}']);
  const open = requests.find(keyOf("i"));
  assertEquals(open?.upstream, life);
  const line = new TextEncoder().encode('{"id":"i","result":{}}');
  open?.keep?.(line);
  assertEquals(await answer, line);
});

Deno.test("OwnRequests waits 15 s for an answer, and then knows the request no more", async () => {
  const { clock, requests, own, life } = scene();
  const failed = assertRejects(
    () => own.ask(life, parcel({ id: "i", method: "ping" })),
    Error,
    "within 15 s",
  );
  await clock.advance(15_000);
  await failed;
  assertEquals(requests.find(keyOf("i")), undefined);
});

Deno.test("OwnRequests waits no longer than there is a client", async () => {
  const { closing, own, life } = scene();
  const failed = assertRejects(
    () => own.ask(life, parcel({ id: "i", method: "ping" })),
    Error,
    "nobody waits",
  );
  closing.abort();
  await failed;
});
