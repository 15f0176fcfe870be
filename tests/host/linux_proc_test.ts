import { assert, assertEquals, assertExists } from "@std/assert";
import { fromFileUrl } from "@std/path";
import {
  parseAddress,
  parseConnections,
  parseFdLinks,
  parseListeningPorts,
  parseListenSockets,
  parseLsof,
  parseNulList,
  parseResident,
  parseSs,
  parseStat,
  parseStatLines,
  parseUnitPath,
  pidsAmong,
} from "../../src/host/system/linux/proc.ts";

function recorded(name: string): string {
  return Deno.readTextFileSync(fromFileUrl(new URL(`../recorded/linux/${name}`, import.meta.url)));
}

for (
  const { name, pid, zombie } of [
    { name: "stat_plain", pid: 16680, zombie: false },
    { name: "stat_parentheses", pid: 16721, zombie: false },
    { name: "stat_newline", pid: 16722, zombie: false },
    { name: "stat_quote", pid: 16723, zombie: false },
    { name: "stat_zombie", pid: 16724, zombie: true },
  ]
) {
  Deno.test(`parseStat() reads the recorded ${name}`, () => {
    const stat = parseStat(recorded(name));
    assertExists(stat);
    assertEquals([stat.pid, stat.zombie, stat.groupId], [pid, zombie, 16589]);
    assertEquals(stat.parentPid, name === "stat_plain" ? 16589 : 16680);
    assertEquals(stat.startTicks, name === "stat_plain" ? "308574" : "308591");
    assertEquals(stat.cpuMs, name === "stat_plain" ? 60 : 0);
  });
}

Deno.test("parseStat() gives null for every text that was cut off before the start time", () => {
  for (const name of ["stat_plain", "stat_parentheses", "stat_newline"]) {
    const whole = recorded(name);
    const enough = whole.indexOf(" 308") + " 308574".length + 1;
    for (let length = 0; length < enough; length += 1) assertEquals(parseStat(whole.slice(0, length)), null);
  }
});

for (
  const text of ["", "\n", "garbage", "12", "12 (a", "12 (a)", "12 (a) S", ") 12 (a S 1 2 3", "x (a) S 1 1 1"]
) {
  Deno.test(`parseStat() gives null for ${JSON.stringify(text)}`, () => assertEquals(parseStat(text), null));
}

Deno.test("parseStatLines() reads several processes, a zombie among them", () => {
  const stats = parseStatLines(recorded("stats_stdout"), [16680, 16724]);
  assertEquals(stats?.map((stat) => [stat.pid, stat.zombie]), [[16680, false], [16724, true]]);
});

for (
  const { why, text, pids } of [
    {
      why: "a name with a newline forges the line of another process",
      text: "stats_forged",
      pids: [16722, 16721],
    },
    { why: "a forged line takes the place of a missing one", text: "stat_newline", pids: [16722, 1] },
    { why: "a forged line is all that is asked for", text: "stat_newline", pids: [1] },
    { why: "there is a line too few", text: "stats_stdout", pids: [16680, 999999, 16724] },
    { why: "there is a line too many", text: "stats_stdout", pids: [16680] },
    { why: "the order is another", text: "stats_stdout", pids: [16724, 16680] },
  ]
) {
  Deno.test(`parseStatLines() gives null when ${why}`, () => {
    assertEquals(parseStatLines(recorded(text), pids), null);
  });
}

Deno.test("parseResident() reads several processes, with 0 for kernel threads and zombies", () => {
  const resident = parseResident(recorded("statuses"));
  assertEquals([...resident.keys()], [16680, 2, 16722, 16724]);
  assertEquals([resident.get(2), resident.get(16724)], [0, 0]);
  assert((resident.get(16680) ?? 0) > 1_000_000);
});

for (
  const { port, sockets } of [
    { port: 18881, sockets: [{ address: "127.0.0.1", inode: "33132" }] },
    { port: 18882, sockets: [{ address: "0.0.0.0", inode: "33133" }] },
    { port: 18883, sockets: [{ address: "::1", inode: "33134" }] },
    { port: 18884, sockets: [{ address: "::", inode: "33135" }] },
    { port: 18885, sockets: [{ address: "::", inode: "33136" }] },
    { port: 18886, sockets: [{ address: "::ffff:127.0.0.1", inode: "33137" }] },
    { port: 18890, sockets: [{ address: "127.0.0.1", inode: "33138" }] },
    // The local port of a connection, and the remote one of another.
    { port: 0xA3B9, sockets: [] },
    { port: 0xE2C2, sockets: [] },
    { port: 0, sockets: [] },
  ]
) {
  Deno.test(`parseListenSockets() finds what listens on port ${port}`, () => {
    assertEquals(parseListenSockets(recorded("tcp") + recorded("tcp6"), port), sockets);
  });
}

for (
  const text of [
    "",
    "\n\n",
    "no table at all",
    "   0: 0100007F:49CA 00000000:0000 0A",
    "0: :49CA x 0A a b c d e 1",
  ]
) {
  Deno.test(`parseListenSockets() finds nothing in ${JSON.stringify(text)}`, () => {
    assertEquals(parseListenSockets(text, 0x49CA), []);
  });
}

for (
  const [hex, address] of [
    ["0100007F", "127.0.0.1"],
    ["00000000", "0.0.0.0"],
    ["0A01A8C0", "192.168.1.10"],
    ["00000000000000000000000000000000", "::"],
    ["00000000000000000000000001000000", "::1"],
    ["0000000000000000FFFF00000100007F", "::ffff:127.0.0.1"],
    ["000080FE00000000FF565002BEEDFE3A", "fe80::250:56ff:3afe:edbe"],
    ["B80D0120000000000000000001000000", "2001:db8::1"],
    ["0100007", null],
    ["0100007G", null],
    ["", null],
  ] as const
) {
  Deno.test(`parseAddress() reads ${hex || "nothing"} as ${address}`, () =>
    assertEquals(parseAddress(hex), address));
}

for (
  const { text, list } of [
    { text: "npx\0-y\0a b\0", list: ["npx", "-y", "a b"] },
    { text: "a\0\0b\0", list: ["a", "", "b"] },
    { text: "title set by itself", list: ["title set by itself"] },
    { text: "A=1\0B=x\ny=2\0", list: ["A=1", "B=x\ny=2"] },
    { text: "", list: [] },
  ]
) {
  Deno.test(`parseNulList() splits ${JSON.stringify(text)}`, () => assertEquals(parseNulList(text), list));
}

Deno.test("pidsAmong() takes the names that are whole positive numbers", () => {
  assertEquals(pidsAmong(["1", "42", "0", "007", "self", "-1", "1.5", "", "4294967295"]), [
    1,
    42,
    4294967295,
  ]);
});

Deno.test("parseSs() finds all holders of a socket, of other users too", () => {
  const text = recorded("ss");
  assertEquals(parseSs(text, ["33132"])?.map((owner) => owner.pid), [16725, 16721, 16680]);
  assertEquals(parseSs(text, ["33138"]), [{ pid: 16725, inode: "33138" }]);
});

Deno.test("parseSs() finds no holder where ss shows none", () =>
  assertEquals(parseSs(recorded("ss"), ["1060"]), []));

for (
  const { why, text } of [
    { why: "recorded names have quotes and newlines", text: recorded("ss_quote") },
    {
      why: "a name pretends to be another process",
      text: `LISTEN 0 5 127.0.0.1:1 0.0.0.0:* users:(("q",pid=1,fd=3",pid=9,fd=3)) ino:7 sk:1 cgroup:/ <->\n`,
    },
    {
      why: "a name breaks the line",
      text: `LISTEN 0 5 127.0.0.1:1 0.0.0.0:* users:(("q\n",pid=9,fd=3)) ino:7 sk:1 <->\n`,
    },
    {
      why: "what follows pretends to be another socket",
      text:
        `LISTEN 0 5 127.0.0.1:1 0.0.0.0:* users:(("q",pid=9,fd=3)) ino:8 sk:1 cgroup:/a) ino:7 sk:2 <->\n`,
    },
  ]
) {
  Deno.test(`parseSs() gives null when ${why}`, () => assertEquals(parseSs(text, ["7", "33132"]), null));
}

Deno.test("parseSs() is not misled by a socket number in a name or after it", () => {
  const after =
    `LISTEN 0 5 127.0.0.1:1 0.0.0.0:* users:(("q",pid=9,fd=3)) ino:8 sk:1 cgroup:/a ino:7 sk:2 <->\n`;
  assertEquals(parseSs(after, ["7"]), []);
  const line =
    `LISTEN 0 5 127.0.0.1:1 0.0.0.0:* users:(("a ino:7 sk:",pid=9,fd=3)) ino:8 sk:1 cgroup:/ <->\n`;
  assertEquals(parseSs(line, ["7"]), []);
  assertEquals(parseSs(line, ["8"]), [{ pid: 9, inode: "8" }]);
});

Deno.test("parseLsof() finds the holders of one socket", () => {
  assertEquals(parseLsof(recorded("lsof"), ["33132"]).map((owner) => owner.pid), [
    16680,
    16721,
    16722,
    16723,
    16725,
  ]);
  assertEquals(parseLsof(recorded("lsof"), ["1"]), []);
  assertEquals(parseLsof("d33132\nfoo\n", ["33132"]), []);
});

Deno.test("parseFdLinks() takes only whole lines about asked sockets", () => {
  const text =
    "/proc/12/fd socket:[345]\n/proc/13/fd socket:[3456]\n/proc/x/fd socket:[345]\n/proc/14/fd pipe:[345]\n";
  assertEquals(parseFdLinks(text, ["345"]), [{ pid: 12, inode: "345" }]);
});

Deno.test("parseConnections() counts what a port accepted, and names the other ends that are of this machine", () => {
  const rest = "00000000:00000000 00:00000000 00000000  1000        0";
  const text = [
    `   0: 0100007F:0BB9 00000000:0000 0A ${rest} 1 1 0 100 0 0 10 0`,
    `   1: 0100007F:0BB9 0100007F:9C40 01 ${rest} 2 1 0 100 0 0 10 0`,
    `   2: 0100007F:9C40 0100007F:0BB9 01 ${rest} 3 1 0 100 0 0 10 0`,
    `   3: 0100007F:0BB9 0100007F:9C41 06 ${rest} 0 1 0 100 0 0 10 0`,
    `   4: 0100007F:0BBA 0100007F:9C42 01 ${rest} 5 1 0 100 0 0 10 0`,
  ].join("\n");
  assertEquals(parseConnections(text, 3001), { accepted: 1, outgoing: ["3"] });
  assertEquals(parseConnections("garbage", 3001), { accepted: 0, outgoing: [] });
});

Deno.test("parseListeningPorts() finds the ports of listening sockets of both families, and of no others", () => {
  const text = [
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
    "   0: 0100007F:0BB9 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1 0 100 0 0 10 0",
    "   1: 0100007F:0BBA 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 2 1 0 100 0 0 10 0",
    "  12: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:0 0 0 0 3",
  ].join("\n");
  assertEquals(parseListeningPorts(text), new Set([3001, 8080]));
});

for (
  const [text, unit] of [
    ["0::/user.slice/user-1000.slice/session-3.scope\n", "/user.slice/user-1000.slice/session-3.scope"],
    ["9:name=systemd:/system.slice/cron.service\n8:pids:/x\n0::/\n", "/system.slice/cron.service"],
    ["9:name=systemd:/\n4:memory:/docker/1\n0::/app.slice/a:b.service\n", "/app.slice/a:b.service"],
    ["0::/\n", null],
    ["", null],
    ["garbage\n0:/x\n", null],
  ] as const
) {
  Deno.test(`parseUnitPath() finds ${unit} in ${JSON.stringify(text)}`, () => {
    assertEquals(parseUnitPath(text), unit);
  });
}
