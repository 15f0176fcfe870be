import { assertEquals } from "@std/assert";
import { type ParsedStatus, parseStatus } from "../../src/mcp/snapshot.ts";

const NOTHING: ParsedStatus = { version: "", name: "", wsPort: 0, packagePath: "" };

const ANSWERS: [string, string, ParsedStatus | null][] = [
  [
    "takes everything when all is told",
    `{"name":"docs","server_version":"2.4.2","version":"1","ws_port":9500,"package_path":"/opt/docs"}`,
    { version: "2.4.2", name: "docs", wsPort: 9500, packagePath: "/opt/docs" },
  ],
  ["falls back to version when there is no server_version", `{"version":"1.0"}`, {
    ...NOTHING,
    version: "1.0",
  }],
  ["falls back to version when server_version is no text", `{"server_version":2,"version":"1.0"}`, {
    ...NOTHING,
    version: "1.0",
  }],
  ["ignores a ws_port when it is no whole number", `{"ws_port":"9500"}`, NOTHING],
  ["ignores a name when it is no text", `{"name":["docs"]}`, NOTHING],
  ["gives nothing when nothing is told", `{}`, NOTHING],
  ["refuses when it is an array", `[]`, null],
  ["refuses when it is null", `null`, null],
  ["refuses when it is a number", `7`, null],
  ["refuses when it is no JSON", `<html>`, null],
  ["refuses when it is empty", ``, null],
];

for (const [name, text, expected] of ANSWERS) {
  Deno.test(`parseStatus() ${name}`, () => assertEquals(parseStatus(text), expected));
}
