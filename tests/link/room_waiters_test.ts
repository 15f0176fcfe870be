import { assertEquals } from "@std/assert";
import { RoomWaiters } from "../../src/link/room_waiters.ts";

Deno.test("RoomWaiters lets each go when little enough is left for it, and all at the end", async () => {
  const waiters = new RoomWaiters();
  const [some, none] = [waiters.wait(10), waiters.wait(0)];
  waiters.look(11);
  assertEquals(waiters.size, 2);
  waiters.look(10);
  await some;
  assertEquals(waiters.size, 1);
  waiters.release();
  await none;
  assertEquals(waiters.size, 0);
});
