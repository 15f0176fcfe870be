import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { findCommand, newestVersion } from "../../src/definitions/launch/find_command.ts";
import { resolveLaunch } from "../../src/definitions/launch/command_line.ts";
import { define, inFolder, machine, varsOf } from "./machine.ts";

const PROGRAM = "#!/bin/sh\n";

Deno.test("findCommand() looks on PATH first, then where desktop programs miss it", async () => {
  await inFolder({
    "bin/one": PROGRAM,
    "bin/plain": "not a program",
    "home/.local/bin/one": PROGRAM,
    "home/.local/bin/two": PROGRAM,
    "home/.cargo/bin/three": PROGRAM,
    "home/.bun/bin/four": PROGRAM,
    "home/.deno/bin/five": PROGRAM,
    "home/.nvm/versions/node/v9.9.0/bin/six": PROGRAM,
    "home/.nvm/versions/node/v22.1.0/bin/six": PROGRAM,
  }, async (folder) => {
    const host = machine({ PATH: `:${folder}/bin`, HOME: `${folder}/home` });
    const table: [string, string, boolean][] = [
      ["one", "bin/one", true],
      ["two", "home/.local/bin/two", false],
      ["three", "home/.cargo/bin/three", false],
      ["four", "home/.bun/bin/four", false],
      ["five", "home/.deno/bin/five", false],
      ["six", "home/.nvm/versions/node/v22.1.0/bin/six", false],
    ];
    for (const [command, path, onPath] of table) {
      assertEquals(await findCommand(host, command, { cwd: folder }), { path: `${folder}/${path}`, onPath });
    }
    for (const command of ["plain", "foster-no-such-command"]) {
      const found = await findCommand(host, command, { cwd: folder });
      assert("tried" in found);
      assertEquals(found.tried.slice(0, 2), [`${folder}/bin`, `${folder}/home/.local/bin`]);
      assert(found.tried.includes("/usr/local/bin"));
    }
  });
});

Deno.test("findCommand() takes nvm's current version before its newest", async () => {
  await inFolder({ "n/bin/six": PROGRAM, ".nvm/versions/node/v22.1.0/bin/six": PROGRAM }, async (folder) => {
    const host = machine({ PATH: "", HOME: folder, NVM_BIN: `${folder}/n/bin` });
    assertEquals(await findCommand(host, "six", { cwd: folder }), {
      path: `${folder}/n/bin/six`,
      onPath: false,
    });
  });
});

Deno.test("findCommand() takes a path from the working folder and never from PATH", async () => {
  await inFolder({ "tools/run": PROGRAM, "bin/tools/run": PROGRAM }, async (folder) => {
    const host = machine({ PATH: `${folder}/bin` });
    for (const command of ["./tools/run", "tools/run", `${folder}/tools/run`]) {
      assertEquals(await findCommand(host, command, { cwd: folder }), {
        path: `${folder}/tools/run`,
        onPath: true,
      });
    }
    assertEquals(await findCommand(host, "./run", { cwd: folder }), { tried: [`${folder}/run`] });
  });
});

Deno.test("findCommand() tries the extensions of PATHEXT on Windows", async () => {
  const host = machine({ PATH: "/a;/b", PATHEXT: ".EXE;.CMD" }, "windows");
  const asked: string[] = [];
  const files = {
    ...host.files,
    isExecutable: (path: string) => {
      asked.push(path);
      return Promise.resolve(path === "/b/npx.cmd");
    },
  };
  assertEquals(await findCommand({ ...host, files }, "npx", { cwd: "/" }), {
    path: "/b/npx.cmd",
    onPath: true,
  });
  assertEquals(asked, ["/a/npx.exe", "/a/npx.cmd", "/b/npx.exe", "/b/npx.cmd"]);
  assertEquals(await findCommand({ ...host, files }, "npx.CMD", { cwd: "/" }), { tried: ["/a", "/b"] });
});

Deno.test("newestVersion() compares numbers, not letters", () => {
  assertEquals(newestVersion(["v9.9.0", "v22.1.0", "v22.0.10", "system", ".cache"]), "v22.1.0");
  assertEquals(newestVersion([]), null);
});

const LAUNCH = {
  command: undefined,
  launch: [
    { tier: "dev_venv", command: ".venv/bin/python", args: ["-m", "pkg"], ifExists: "src/pkg", searchUp: 2 },
    { tier: "uvx", command: "uvx", args: ["pkg"] },
    { tier: "system", command: "pkg" },
  ],
  args: ["--port", "${port}", "--key", "${env:KEY}"],
};

Deno.test("resolveLaunch() takes the first tier whose folder and command are there", async () => {
  await inFolder({
    "repo/src/pkg/__init__.py": "",
    "repo/.venv/bin/python": PROGRAM,
    "repo/1/2/3/x": "",
    "bare/.venv/bin/python": PROGRAM,
    "bare/x": "",
    "source/src/pkg/__init__.py": "",
    "bin/uvx": PROGRAM,
    "sys/pkg": PROGRAM,
  }, async (folder) => {
    const table: [string, string, "auto" | "dev" | "user", string | null][] = [
      ["repo", "bin", "auto", "repo/.venv/bin/python"],
      ["repo/1/2", "bin", "auto", "repo/.venv/bin/python"],
      ["repo/1/2", "bin", "dev", "repo/.venv/bin/python"],
      ["repo", "bin", "user", "bin/uvx"],
      ["repo/1/2/3", "bin", "auto", "bin/uvx"],
      ["bare", "bin", "auto", "bin/uvx"],
      ["bare", "bin", "dev", "bin/uvx"],
      ["source", "bin", "auto", "bin/uvx"],
      ["bare", "sys", "auto", "sys/pkg"],
      ["bare", "none", "auto", null],
      ["repo", "none", "user", null],
    ];
    for (const [base, path, mode, command] of table) {
      const definition = define({ ...LAUNCH, modeEnv: "X_MODE" }, { baseFolder: `${folder}/${base}` });
      const host = machine({ PATH: `${folder}/${path}`, HOME: folder });
      const vars = varsOf(definition, mode === "auto" ? {} : { X_MODE: mode });
      const found = await resolveLaunch(host, definition, { vars });
      assertEquals(
        found.kind === "launch" ? found.command : null,
        command && `${folder}/${command}`,
        `${base} ${mode}`,
      );
    }
  });
});

Deno.test("resolveLaunch() knows dev and user in any case, from the definition before the environment", async () => {
  await inFolder({ "src/pkg/x": "", ".venv/bin/python": PROGRAM, "bin/uvx": PROGRAM }, async (folder) => {
    const tierOf = async (written: Parameters<typeof define>[0], env: Record<string, string>) => {
      const [checkout, uvx] = LAUNCH.launch;
      if (checkout === undefined || uvx === undefined) throw new Error("no tiers");
      // The checkout stands last: only dev puts it first.
      const definition = define({ ...LAUNCH, launch: [uvx, checkout], ...written }, { baseFolder: folder });
      const host = machine({ PATH: `${folder}/bin` });
      const found = await resolveLaunch(host, definition, { vars: varsOf(definition, env) });
      return found.kind === "launch" ? found.tier : null;
    };
    const modeEnv = "X_MODE";
    for (
      const [text, tier] of [["", "uvx"], [" DEV ", "dev_venv"], ["User", "uvx"], [
        "developer",
        "uvx",
      ]] as const
    ) {
      assertEquals(await tierOf({ modeEnv }, { X_MODE: text }), tier, text);
    }
    assertEquals(await tierOf({ modeEnv, env: { X_MODE: "user" } }, { X_MODE: "dev" }), "uvx");
    assertEquals(await tierOf({ modeEnv, env: { X_MODE: "dev" } }, { X_MODE: "user" }), "dev_venv");
    assertEquals(await tierOf({}, { X_MODE: "dev" }), "uvx");
  });
});

Deno.test("resolveLaunch() gives the arguments in full and masked, refresh arguments first when asked", async () => {
  await inFolder({ ".local/bin/uvx": PROGRAM }, async (folder) => {
    const definition = define({ ...LAUNCH, refreshArgs: ["--refresh"] }, { baseFolder: folder });
    const vars = varsOf(definition, { KEY: "secret" });
    const host = machine({ PATH: "", HOME: folder });
    assertEquals(await resolveLaunch(host, definition, { vars, refresh: true }), {
      kind: "launch",
      tier: "uvx",
      command: `${folder}/.local/bin/uvx`,
      maskedCommand: `${folder}/.local/bin/uvx`,
      args: ["--refresh", "pkg", "--port", "3001", "--key", "secret"],
      maskedArgs: ["--refresh", "pkg", "--port", "3001", "--key", "${env:KEY}"],
      extraPath: `${folder}/.local/bin`,
    });
  });
});

Deno.test("resolveLaunch() gives the command in full and masked, and keeps a value out of its complaint", async () => {
  await inFolder({ "secret/start": PROGRAM }, async (folder) => {
    const resolve = (command: string) => {
      const definition = define({ command }, { baseFolder: folder });
      const vars = varsOf(definition, { WHERE: `${folder}/secret` });
      return resolveLaunch(machine({ PATH: "" }), definition, { vars });
    };
    const found = await resolve("${env:WHERE}/start");
    assert(found.kind === "launch");
    assertEquals([found.command, found.maskedCommand], [`${folder}/secret/start`, "${env:WHERE}/start"]);
    const missing = await resolve("${env:WHERE}/stop");
    assertEquals(JSON.stringify(missing).includes(`${folder}/secret`), false);
  });
});

Deno.test("resolveLaunch() means foster itself by foster", async () => {
  const host = machine({ PATH: "" });
  const engine = { ...host.engine, selfCommand: ["/opt/foster", "--flag"] as const };
  const definition = define({ command: "foster", args: ["demo-server"] });
  assertEquals(
    await resolveLaunch({ ...host, engine }, definition, { vars: varsOf(definition) }),
    {
      kind: "launch",
      tier: "command",
      command: "/opt/foster",
      maskedCommand: "/opt/foster",
      args: ["--flag", "demo-server"],
      maskedArgs: ["--flag", "demo-server"],
      extraPath: null,
    },
  );
});

Deno.test("resolveLaunch() says what was tried and how to get it when there is no command", async () => {
  await inFolder({}, async (folder) => {
    const table: [Parameters<typeof define>[0], string[], string][] = [
      [LAUNCH, [
        `no folder with src/pkg at or above ${folder}`,
        "uvx: not in ",
        `${folder}/.local/bin`,
        "; pkg: ",
      ], "pip"],
      [{ command: "foster-missing" }, ["foster-missing: not in"], "install foster-missing"],
      [{ command: "./run" }, [`./run: not in ${folder}/run`], '"command"'],
    ];
    for (const [written, parts, hint] of table) {
      const definition = define(written, { baseFolder: folder });
      const host = machine({ PATH: "", HOME: folder });
      const found = await resolveLaunch(host, definition, { vars: varsOf(definition) });
      assert(found.kind === "no_command");
      for (const part of ['Cannot start "docs"', ...parts]) assertStringIncludes(found.message, part);
      assertStringIncludes(found.hint, hint);
    }
  });
});

Deno.test("resolveLaunch() says that arguments belong into args where a command holds them too", async () => {
  await inFolder({ "bin/python3": PROGRAM, "my program": PROGRAM }, async (folder) => {
    const resolve = (command: string, env: Record<string, string> = {}) => {
      const definition = define({ command }, { baseFolder: folder });
      return resolveLaunch(machine({ PATH: `${folder}/bin`, HOME: folder }), definition, {
        vars: varsOf(definition, env),
      });
    };
    const hintOf = async (command: string, env?: Record<string, string>) => {
      const found = await resolve(command, env);
      assert(found.kind === "no_command");
      return found.hint;
    };
    assertEquals(
      await hintOf("python3 src/server.py --port ${port} '--name=my docs'"),
      'arguments belong into "args": "command": "python3", ' +
        '"args": ["src/server.py", "--port", "${port}", "--name=my docs"]',
    );
    const secret = await hintOf("python3 server.py ${env:KEY}", { KEY: "a secret" });
    assert(secret.includes('"${env:KEY}"') && !secret.includes("a secret"), secret);
    assertStringIncludes(await hintOf("foster-missing server.py"), "install foster-missing server.py");
    // A program may have a blank in its name.
    assertEquals((await resolve("./my program")).kind, "launch");
  });
});
