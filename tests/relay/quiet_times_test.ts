import { assertEquals } from "@std/assert";
import { QuietTimes } from "../../src/relay/quiet_times.ts";
import { FakeHost } from "../host/fake_host.ts";

Deno.test("QuietTimes gives memory back after the first moment without anything, and then where nothing goes on", async () => {
  const host = new FakeHost();
  const quiet = new QuietTimes(host, new AbortController().signal);
  await host.clock.advance(60_000);
  assertEquals(host.releases, 0, "nothing happened yet");
  for (let call = 0; call < 20; call++) {
    quiet.touch();
    await host.clock.advance(500);
  }
  assertEquals(host.releases, 0, "it goes on");
  await host.clock.advance(2000);
  const first = host.releases;
  assertEquals(first > 0, true);
  await host.clock.advance(3_600_000);
  assertEquals(host.releases, first, "nothing happened since");
  quiet.touch();
  await host.clock.advance(1500);
  assertEquals(host.releases, first, "a client that asks every other second is not slowed down by it");
  await host.clock.advance(5000);
  assertEquals(host.releases > first, true);
});

Deno.test("QuietTimes does nothing more once its program ends", async () => {
  const host = new FakeHost();
  const ending = new AbortController();
  const quiet = new QuietTimes(host, ending.signal);
  quiet.touch();
  ending.abort(new Error("over"));
  quiet.touch();
  await host.clock.advance(60_000);
  assertEquals(host.releases, 0);
});
