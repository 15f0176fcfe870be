import { assertEquals } from "@std/assert";
import { SessionBook } from "../../src/demo/session_book.ts";

function bookOf(...ids: string[]): SessionBook<string> {
  const book = new SessionBook<string>();
  for (const id of ids) book.register(id, id);
  return book;
}

Deno.test("SessionBook.register() makes the first session the active one", () => {
  assertEquals(bookOf("a", "b").active(), "a");
});

Deno.test("SessionBook.register() changes nothing when the id is taken", () => {
  const book = bookOf("a");
  assertEquals(book.register("a", "another"), false);
  assertEquals(book.get("a"), "a");
});

Deno.test("SessionBook.unregister() promotes the only one left when the active one goes", () => {
  const book = bookOf("a", "b");
  book.unregister("a");
  assertEquals(book.active(), "b");
});

Deno.test("SessionBook.unregister() leaves none active when several are left", () => {
  const book = bookOf("a", "b", "c");
  book.unregister("a");
  assertEquals(book.active(), null);
  assertEquals(book.all(), ["b", "c"]);
});

Deno.test("SessionBook.unregister() keeps the active one when another goes", () => {
  const book = bookOf("a", "b", "c");
  book.unregister("b");
  assertEquals(book.active(), "a");
});

Deno.test("SessionBook.register() makes the next one active when all were gone", () => {
  const book = bookOf("a");
  book.unregister("a");
  assertEquals(book.active(), null);
  book.register("b", "b");
  assertEquals(book.active(), "b");
});
