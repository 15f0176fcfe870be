import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  asHostError,
  attempt,
  attemptOrNull,
  hostErrorCode,
  orNull,
  systemCode,
} from "../../src/host/engine/node/error.ts";
import { HostError } from "../../src/host/host.ts";
import { once } from "../../src/base/once.ts";

function fail(code: string): never {
  throw Object.assign(new Error("it says no"), { code });
}

Deno.test("systemCode() is the system's word where the error has one", () => {
  assertEquals(systemCode(Object.assign(new Error(), { code: "EPERM" })), "EPERM");
  assertEquals([new Error(), Object.assign(new Error(), { code: 5 }), "EPERM"].map(systemCode), ["", "", ""]);
});

Deno.test("hostErrorCode() tells Deno's own refusal from the system's", () => {
  const refused = Object.assign(new Error("Requires run access"), { name: "NotCapable" });
  assertEquals(hostErrorCode(refused), "no_permission");
  assertEquals(hostErrorCode(Object.assign(new Error("EACCES"), { code: "EACCES" })), "denied");
  assertEquals(hostErrorCode("a text"), "failed");
});

Deno.test("asHostError() says what was being done and why it failed, and keeps the cause", () => {
  const cause = new Error("it says no");
  const error = asHostError("Cannot read /a", cause);
  assertEquals([error.code, error.message, error.cause], ["failed", "Cannot read /a: it says no", cause]);
  assertEquals(asHostError("Cannot do more", error), error);
});

Deno.test("attempt() throws HostError for everything, attemptOrNull() nothing for what is not there", async () => {
  assertEquals(
    (await assertRejects(() => attempt("Cannot", () => fail("ENOENT")), HostError)).code,
    "not_found",
  );
  assertEquals(await attemptOrNull("Cannot", () => fail("ENOENT")), null);
  assertEquals(await attemptOrNull("Cannot", () => Promise.resolve(5)), 5);
  await assertRejects(() => attemptOrNull("Cannot", () => fail("EPERM")), HostError, "Cannot: it says no");
});

Deno.test("orNull() is null for what is not there, and throws all else as it came", () => {
  assertEquals(orNull(() => fail("ENOENT")), null);
  assertEquals(assertThrows(() => orNull(() => fail("EPERM"))) instanceof HostError, false);
});

Deno.test("once() does it at the first call only", () => {
  let count = 0;
  const act = once(() => count += 1);
  act();
  act();
  assertEquals(count, 1);
});
