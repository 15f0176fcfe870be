import { assert, assertEquals } from "@std/assert";
import { fitsOutbound, planOutbound } from "../../src/link/outbound.ts";
import { MESSAGE_LIMIT_BYTES } from "../../src/link/wire.ts";

const LIMIT = 4_194_304;

Deno.test("planOutbound() goes by a limit of 4 194 304 bytes", () =>
  assertEquals(MESSAGE_LIMIT_BYTES, LIMIT));

Deno.test("fitsOutbound() allows exactly the limit and nothing more", () => {
  assert(fitsOutbound("x".repeat(LIMIT), 0));
  assert(!fitsOutbound("x".repeat(LIMIT + 1), 0));
  assert(fitsOutbound("x".repeat(1_000), LIMIT - 1_000));
  assert(!fitsOutbound("x".repeat(1_000), LIMIT - 999));
});

Deno.test("fitsOutbound() counts UTF-8 bytes, not characters", () => {
  assert(fitsOutbound("é".repeat(LIMIT / 2), 0));
  assert(!fitsOutbound("é".repeat(LIMIT / 2), 1));
  assert(!fitsOutbound("日".repeat(LIMIT / 2), 0));
});

Deno.test("planOutbound() refuses a message without a request id over the limit", () => {
  const plan = planOutbound({ text: "x".repeat(LIMIT + 1), requestId: null }, {
    bufferedBytes: 0,
    readiness: "ready",
  });
  const overflow = { bufferedBytes: 0, messageBytes: LIMIT + 1, limitBytes: LIMIT };
  assertEquals(plan, { kind: "refuse", overflow });
});

Deno.test("planOutbound() replaces an answer over the limit with an error that gives the sizes", () => {
  const plan = planOutbound({ text: "x".repeat(LIMIT), requestId: "ab" }, {
    bufferedBytes: 10,
    readiness: "playing",
  });
  assertEquals(plan.kind, "replace");
  if (plan.kind !== "replace") return;
  const sent = JSON.parse(plan.text);
  assertEquals(sent.error.data, { buffered_bytes: 10, message_bytes: LIMIT, limit_bytes: LIMIT });
  assertEquals(
    [sent.request_id, sent.status, sent.data, sent.error.code, sent.readiness],
    ["ab", "error", {}, "INTERNAL_ERROR", "playing"],
  );
});

Deno.test("planOutbound() drops an answer where not even the error fits", () => {
  const plan = planOutbound({ text: "x".repeat(500), requestId: "ab" }, {
    bufferedBytes: LIMIT - 100,
    readiness: "ready",
  });
  assertEquals(plan, {
    kind: "drop",
    overflow: { bufferedBytes: LIMIT - 100, messageBytes: 500, limitBytes: LIMIT },
  });
});
