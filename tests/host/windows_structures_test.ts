import { assertEquals, assertNotEquals } from "@std/assert";
import {
  batchArguments,
  isBatchFile,
  joinCommandLine,
  splitCommandLine,
} from "../../src/host/system/windows/argv.ts";
import { commandText, environmentBlock } from "../../src/host/system/windows/spawn.ts";
import {
  isoOf,
  parseEnvironment,
  parseJobList,
  parseProcessList,
  parseTcpTable,
  parseUnicodeString,
  utf16Bytes,
  utf16Text,
  viewOf,
} from "../../src/host/system/windows/structures.ts";
import { fileTime } from "./fake_ntdll.ts";

Deno.test("isoOf() cuts to milliseconds, as PowerShell's times are cut", () => {
  assertEquals(isoOf(fileTime(1_700_000_000_123)), "2023-11-14T22:13:20.123Z");
  assertEquals(isoOf(fileTime(1_700_000_000_123) + 9_999n), "2023-11-14T22:13:20.123Z");
  assertEquals([isoOf(0n), isoOf(-1n)], [null, null]);
});

Deno.test("parseProcessList() gives up where an entry leaves the buffer", () => {
  const bytes = new Uint8Array(512);
  viewOf(bytes).setUint32(4, 1, true);
  viewOf(bytes).setBigUint64(80, 8n, true);
  assertEquals(parseProcessList(bytes)?.map(({ pid }) => pid), [8]);
  viewOf(bytes).setUint32(0, 300, true);
  assertEquals(parseProcessList(bytes), null);
  assertEquals(parseProcessList(new Uint8Array(100)), null);
});

Deno.test("parseTcpTable() takes no more rows than there are", () => {
  const bytes = new Uint8Array(28);
  viewOf(bytes).setUint32(0, 2, true);
  assertEquals(parseTcpTable(bytes, "ipv4"), null);
  viewOf(bytes).setUint32(0, 1, true);
  assertEquals(parseTcpTable(bytes, "ipv4"), [{ port: 0, address: "0.0.0.0", pid: 0 }]);
  assertEquals(parseTcpTable(bytes, "ipv6"), null);
  assertEquals(parseTcpTable(new Uint8Array(2), "ipv4"), null);
});

Deno.test("parseJobList() says where it is not whole", () => {
  const bytes = new Uint8Array(24);
  viewOf(bytes).setUint32(0, 5, true);
  viewOf(bytes).setUint32(4, 2, true);
  viewOf(bytes).setBigUint64(8, 12n, true);
  viewOf(bytes).setBigUint64(16, 16n, true);
  assertEquals(parseJobList(bytes), { pids: [12, 16], isWhole: false });
  viewOf(bytes).setUint32(0, 2, true);
  assertEquals(parseJobList(bytes), { pids: [12, 16], isWhole: true });
});

Deno.test("parseEnvironment() ends with the empty entry, whatever stands behind it", () => {
  const block = utf16Bytes("=C:=C:\\x\0A=1\0Ü=ß 😀\0\0B=2\0");
  assertEquals(parseEnvironment(block), ["=C:=C:\\x", "A=1", "Ü=ß 😀"]);
});

Deno.test("parseUnicodeString() takes no more than the buffer has", () => {
  const bytes = new Uint8Array(20);
  bytes.set(utf16Bytes("a").subarray(0, 2), 16);
  viewOf(bytes).setUint16(0, 2, true);
  assertEquals(parseUnicodeString(bytes), "a");
  viewOf(bytes).setUint16(0, 200, true);
  assertEquals(parseUnicodeString(bytes), null);
});

Deno.test("environmentBlock() is sorted without regard to case and has the last of names that differ in it", () => {
  const text = utf16Text(environmentBlock({ path: "a", Temp: "t", PATH: "b", "=C:": "x" }));
  assertEquals(text, "=C:=x\0PATH=b\0Temp=t\0\0");
  assertEquals(utf16Text(environmentBlock({})), "\0\0");
});

const awkward = [
  "",
  " ",
  "plain",
  "two words",
  `say "hi"`,
  `"`,
  `\\`,
  `a\\"b`,
  `ends with \\`,
  `C:\\Program Files\\x\\`,
  `\\\\server\\share\\`,
  "100%",
  "%PATH%",
  "^caret & pipe | < >",
  "tab\there",
  "zwei ü 😀",
];

Deno.test("joinCommandLine() is taken apart into the same arguments again", () => {
  for (const program of ["C:\\x.exe", "C:\\Program Files\\x y.exe"]) {
    assertEquals(splitCommandLine(joinCommandLine(program, awkward)), [program, ...awkward]);
    for (const arg of awkward) {
      assertEquals(splitCommandLine(joinCommandLine(program, [arg, "x"])), [program, arg, "x"]);
    }
  }
});

Deno.test("batchArguments() leaves nothing outside of quotes that cmd.exe would act on", () => {
  for (const arg of awkward) {
    const passed = batchArguments("C:\\a b\\npx.cmd", [arg]) ?? "";
    const inner = /^\/d \/e:on \/v:off \/s \/c "(.*)"$/.exec(passed)?.[1] ?? "";
    const outside = inner.split('"').filter((_, index) => index % 2 === 0).join("");
    assertNotEquals(inner, "");
    assertEquals(/[&|<>^()!]/.test(outside), false, inner);
    assertEquals(inner.replaceAll("%%cd:~,%", "").includes("%"), false, inner);
  }
  assertEquals(
    batchArguments("C:\\a.cmd", ["-y", "@scope/pkg"]),
    '/d /e:on /v:off /s /c ""C:\\a.cmd" -y @scope/pkg"',
  );
  assertEquals(batchArguments("C:\\a.cmd", [`x"&calc`]), '/d /e:on /v:off /s /c ""C:\\a.cmd" "x""&calc""');
  for (const bad of ["a\nb", "a\rb", "a\0b"]) assertEquals(batchArguments("C:\\a.cmd", [bad]), null);
});

Deno.test("isBatchFile() knows the names that Windows takes for one", () => {
  const yes = ["npx.cmd", "C:\\a\\UVX.BAT", "x.cmd. ", "x.bat."];
  const no = ["x.exe", "cmd", "x.cmd.exe", "x.command"];
  assertEquals([...yes, ...no].filter(isBatchFile), yes);
});

Deno.test("commandText() runs a program itself, and a batch file through the shell", () => {
  const shell = "C:\\Windows\\System32\\cmd.exe";
  assertEquals(commandText({ command: "C:\\n.exe", args: ["a b"] }, shell), {
    application: "C:\\n.exe",
    line: `"C:\\n.exe" "a b"`,
  });
  assertEquals(commandText({ command: "C:\\n.cmd", args: ["a b"] }, shell), {
    application: shell,
    line: `"${shell}" /d /e:on /v:off /s /c ""C:\\n.cmd" "a b""`,
  });
});
