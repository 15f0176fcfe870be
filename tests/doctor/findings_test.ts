import { assertEquals } from "@std/assert";
import { type Finding, inOrder, needsAttention, quoted, Typed } from "../../src/doctor/findings.ts";
import { judgeCache } from "../../src/doctor/cache.ts";
import { judgeTools, wantedTools } from "../../src/doctor/tools.ts";

const typed = new Typed({ system: "linux", stateDir: null, config: null });

function finding(section: Finding["section"], level: Finding["level"]): Finding {
  return { section, level, code: "x", message: "x", fix: "" };
}

Deno.test("inOrder() goes by section, and puts the gravest first", () => {
  const mixed = [
    finding("tools", "info"),
    finding("ports", "info"),
    finding("ports", "error"),
    finding("processes", "warn"),
  ];
  assertEquals(inOrder(mixed).map(({ section, level }) => `${section} ${level}`), [
    "processes warn",
    "ports error",
    "ports info",
    "tools info",
  ]);
});

Deno.test("needsAttention() does not mind information", () => {
  assertEquals(needsAttention([finding("tools", "info")]), false);
  assertEquals(needsAttention([finding("tools", "info"), finding("cache", "warn")]), true);
});

for (
  const [text, word] of [
    ["docs", "docs"],
    ["/state/servers", "/state/servers"],
    ["my server", "'my server'"],
    ["it's", "'it'\\''s'"],
    ["$(reboot)", "'$(reboot)'"],
    ["a\nb\u001b[2J", "$'a\\x0ab\\x1b[2J'"],
    ["tür'", "$'t\\u00fcr\\''"],
    ["", "''"],
  ] as const
) {
  Deno.test(`Typed.word() writes ${JSON.stringify(text)} as the shell reads it`, async () => {
    assertEquals(typed.word(text), word);
    const { stdout } = await new Deno.Command("bash", {
      args: ["-c", `printf %s ${word}`],
      env: { LC_ALL: "C.UTF-8" },
    }).output();
    assertEquals(new TextDecoder().decode(stdout), text);
  });
}

Deno.test("Typed.foster() repeats the state folder and the definition file", () => {
  const more = new Typed({ system: "linux", stateDir: "/my state", config: "/a.json" });
  assertEquals(more.foster("down", "docs"), "foster down docs --state-dir '/my state' --config /a.json");
  assertEquals(typed.cleanup(), "foster doctor processes --cleanup-stale-records");
});

Deno.test("Typed.end() never gives kill a bare number with a sign", () => {
  assertEquals(typed.end(812), "kill -s TERM 812");
  assertEquals(
    new Typed({ system: "windows", stateDir: null, config: null }).end(812),
    "taskkill /PID 812 /T",
  );
});

Deno.test("quoted() escapes what a terminal would act upon", () => {
  assertEquals(quoted("docs"), '"docs"');
  assertEquals(quoted("a\nb\u001b[2J\u202e\u009b"), '"a\\nb\\u001b[2J\\u202e\\u009b"');
});

Deno.test("judgeCache() counts stale folders and bytes, and says who keeps the others", () => {
  const seen = { cacheDir: "/cache/uv", stale: 0, bytes: 0, kept: [] };
  assertEquals(judgeCache({ ...seen, kept: ["young", "busy", "link"] }, typed), []);
  assertEquals(judgeCache({ ...seen, stale: 2, bytes: 4096 }, typed), [{
    level: "warn",
    section: "cache",
    code: "stale_builds",
    message: '2 build folders left over in "/cache/uv": 4096 bytes',
    fix: "foster sweep --apply",
  }]);
  const [running] = judgeCache({ ...seen, kept: ["locked"] }, typed);
  assertEquals([running?.level, running?.code, running?.fix], ["info", "uv_running", "foster sweep"]);
  const [unknown] = judgeCache({ ...seen, kept: ["unknown"] }, typed);
  assertEquals([unknown?.level, unknown?.code], ["info", "unknown_builds"]);
});

Deno.test("judgeTools() only ever informs", () => {
  const missing = wantedTools("linux").flat();
  const open = [{ path: "/my state", mode: 0o755, folder: true }, {
    path: "/state/id",
    mode: 0o644,
    folder: false,
  }];
  const findings = judgeTools({ system: "linux", missing, fullAccess: false, open }, typed);
  assertEquals(needsAttention(findings), false);
  assertEquals(findings.map(({ code }) => code), [
    "missing_tool",
    "missing_tool",
    "missing_tool",
    "slow_path",
    "open_mode",
    "open_mode",
  ]);
  assertEquals(findings.slice(-2).map(({ fix }) => fix), ["chmod 700 '/my state'", "chmod 600 /state/id"]);
});

Deno.test("judgeTools() is content with either lsof or ss", () =>
  assertEquals(judgeTools({ system: "linux", missing: ["lsof"], fullAccess: true, open: [] }, typed), []));
