import { assertEquals, assertStringIncludes } from "@std/assert";
import { ShellHint } from "../../src/base/shell_hint.ts";
import { type Finding, inOrder, needsAttention, quoted } from "../../src/doctor/findings.ts";
import { judgeCache, judgeTools, wantedTools } from "../../src/doctor/machine.ts";

const shell = new ShellHint({ windows: false, stateDir: null, config: null });

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
  Deno.test(`ShellHint.word() writes ${JSON.stringify(text)} as the shell reads it`, async () => {
    assertEquals(shell.word(text), word);
    const { stdout } = await new Deno.Command("bash", {
      args: ["-c", `printf %s ${word}`],
      env: { LC_ALL: "C.UTF-8" },
    }).output();
    assertEquals(new TextDecoder().decode(stdout), text);
  });
}

Deno.test("ShellHint.foster() repeats the state folder and the definition file", () => {
  const more = new ShellHint({ windows: false, stateDir: "/my state", config: "/a.json" });
  assertEquals(more.foster("down", "docs"), "foster down docs --state-dir '/my state' --config /a.json");
  assertEquals(shell.cleanup(), "foster doctor processes --cleanup-stale-records");
});

Deno.test("ShellHint.end() never gives kill a bare number with a sign", () => {
  assertEquals(shell.end(812), "kill -s TERM 812");
  assertEquals(
    new ShellHint({ windows: true, stateDir: null, config: null }).end(812),
    "taskkill /PID 812 /T",
  );
});

Deno.test("quoted() escapes what a terminal would act upon", () => {
  assertEquals(quoted("docs"), '"docs"');
  assertEquals(quoted("a\nb\u001b[2J\u202e\u009b"), '"a\\nb\\u001b[2J\\u202e\\u009b"');
});

Deno.test("judgeCache() counts stale folders and bytes, and says who keeps the others", () => {
  const seen = { cacheDir: "/cache/uv", stale: 0, bytes: 0, kept: [] };
  assertEquals(judgeCache({ ...seen, kept: ["young", "busy", "link"] }, shell), []);
  assertEquals(judgeCache({ ...seen, stale: 2, bytes: 4096 }, shell), [{
    level: "warn",
    section: "cache",
    code: "stale_builds",
    message: '2 build folders left over in "/cache/uv": 4096 bytes',
    fix: "foster sweep --apply",
  }]);
  const [running] = judgeCache({ ...seen, kept: ["locked"] }, shell);
  assertEquals([running?.level, running?.code, running?.fix], ["info", "uv_running", "foster sweep"]);
  const [unknown] = judgeCache({ ...seen, kept: ["unknown"] }, shell);
  assertEquals([unknown?.level, unknown?.code], ["info", "unknown_builds"]);
});

Deno.test("judgeTools() only informs of what is missing or readable", () => {
  const missing = wantedTools("linux").flat();
  const open = [{ path: "/my state", mode: 0o755, folder: true }, {
    path: "/state/id",
    mode: 0o644,
    folder: false,
  }];
  const findings = judgeTools({ system: "linux", missing, fullAccess: false, open }, shell);
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
  assertEquals(judgeTools({ system: "linux", missing: ["lsof"], fullAccess: true, open: [] }, shell), []));

for (
  const [mode, level, says] of [[0o770, "warn", "its group may write"], [
    0o777,
    "error",
    "everybody may write",
  ]] as const
) {
  Deno.test(`judgeTools() finds a state folder of mode ${mode.toString(8)} worth a ${level}`, () => {
    const open = [{ path: "/state", mode, folder: true }];
    const [finding] = judgeTools({ system: "linux", missing: [], fullAccess: true, open }, shell);
    assertEquals([finding?.level, finding?.fix], [level, "chmod 700 /state"]);
    assertStringIncludes(finding?.message ?? "", says);
  });
}
