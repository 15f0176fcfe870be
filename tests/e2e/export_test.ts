import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { notLinux, unless } from "../skip.ts";
import { exists, Foster, freePort, until } from "./harness.ts";

const TOKEN = "0123456789abcdef".repeat(4);

Deno.test("what export prints for a container is served with the token of a mounted secret, and probed", async () => {
  await using foster = await Foster.create();
  await foster.define({ shown: { extends: "demo", env: { API_KEY: "planted-value" } } });
  const printed = await foster.expect(0, ["export", "kubernetes", "--json"]);
  assertEquals(printed.stdout.match(/planted-value/g), null);
  const { manifests, secrets } = printed.json<
    { manifests: Record<string, never>[]; secrets: { name: string }[] }
  >();
  assertEquals(secrets.map(({ name }) => name), ["SHOWN_API_KEY"]);
  // deno-lint-ignore no-explicit-any
  const [config, , deployment] = manifests as any[];
  const [container] = deployment.spec.template.spec.containers;

  // What the container has, on this machine.
  const port = freePort();
  const text = config.data["foster.json"].replace('"/data"', JSON.stringify(foster.folder));
  const file = await foster.write("container.json", text);
  const tokenFile = await foster.write("token", `${TOKEN}\n`);
  const replaced: Record<string, string> = {
    "/etc/foster/foster.json": file,
    "/run/secrets/foster/token": tokenFile,
    "0.0.0.0": "127.0.0.1",
    "8420": String(port),
  };
  const env = { SHOWN_API_KEY: "given" };
  const args = container.args.map((arg: string) => replaced[arg] ?? arg);
  const serving = foster.start(args, { env });
  await until("the gateway answers", async () => await exists(join(foster.stateDir, "supervisor.json")));
  const [, ...probe] = container.readinessProbe.exec.command;
  const probing = probe.map((arg: string) => arg.replace("8420", String(port)));
  const probed = await foster.expect(0, [...probing, "--json"]);
  assertEquals(probed.json<{ ok: boolean; server: { name: string } }>().server.name, "foster-demo");
  const answers = await Promise.all([undefined, `Bearer ${TOKEN}`].map(async (authorization) => {
    const response = await fetch(`http://127.0.0.1:${port}/mcp/shown`, {
      method: "POST",
      headers: authorization === undefined ? {} : { authorization },
    });
    await response.body?.cancel();
    return response.status === 401;
  }));
  assertEquals(answers, [true, false]);
  const other = await foster.write("other", `${"f".repeat(64)}\n`);
  const refused = await foster.run(["serve", "--config", file, "--token-file", other]);
  assertEquals([refused.code, /runs with another token/.test(refused.stderr)], [2, true]);
  serving.kill("SIGTERM");
  await serving.end();
});

Deno.test("serve --token-file refuses what is no token, and shows nothing of it", async () => {
  await using foster = await Foster.create();
  const file = await foster.write("token", "planted-token with blanks\n");
  const { code, stderr } = await foster.run(["serve", "demo", "--token-file", file]);
  assertEquals(code, 2);
  assertMatch(stderr, /openssl rand -hex 32/);
  assertEquals(stderr.match(/planted/g), null);
});

Deno.test("export names every server that can't go into a container, and what leaves it out", async () => {
  await using foster = await Foster.create();
  await foster.define({ good: { extends: "demo" }, bad: { command: "./here.sh", args: ["~/notes"] } });
  const { code, stdout, stderr } = await foster.run(["export", "compose"]);
  assertEquals([code, stdout], [2, ""]);
  assertMatch(stderr, /"bad": its command "\.\/here\.sh"[^]*"bad": its argument "~\/notes"/);
  assertMatch(stderr, /foster export compose "good"/);
  await foster.expect(0, ["export", "compose", "good"]);
});

Deno.test(
  unless(
    notLinux,
    "export systemd --install writes the unit, says what to type, and --uninstall takes it back",
  ),
  async () => {
    await using foster = await Foster.create();
    const file = await foster.define({ shown: { extends: "demo", env: { KEY: "${env:MY_KEY}" } } });
    // Without a session there is nothing that could be enabled.
    const env = { XDG_RUNTIME_DIR: undefined, DBUS_SESSION_BUS_ADDRESS: undefined };
    const unit = join(foster.home, ".config", "systemd", "user", "foster.service");
    const installed = await foster.expect(0, ["export", "systemd", "--install"], { env });
    assertMatch(installed.stdout, /systemctl --user enable --now foster\.service/);
    assertMatch(installed.stderr, /MY_KEY/);
    const text = await Deno.readTextFile(unit);
    assert(text.includes(`--config ${file}`), text);
    assertMatch(text, /^EnvironmentFile=-%E\/foster\/environment$/m);
    await foster.expect(0, ["export", "systemd", "--uninstall"], { env });
    assertEquals(await exists(unit), false);

    await Deno.writeTextFile(unit, "[Unit]\nDescription=mine\n");
    for (const option of ["--install", "--uninstall"]) {
      const { code, stderr } = await foster.run(["export", "systemd", option], { env });
      assertEquals(code, 2);
      assertMatch(stderr, /was not written by foster/);
    }
    assertEquals(await Deno.readTextFile(unit), "[Unit]\nDescription=mine\n");
    const { code } = await foster.run(["export", "launchd", "--install"], { env });
    assertEquals(code, 2);
  },
);

Deno.test(unless(notLinux, "attach goes over HTTP where the user's service is installed"), async () => {
  await using foster = await Foster.create();
  await foster.define({ shown: { extends: "demo" } });
  // The service is for the usual state folder.
  const env = {
    FOSTER_STATE_DIR: undefined,
    XDG_RUNTIME_DIR: undefined,
    DBUS_SESSION_BUS_ADDRESS: undefined,
  };
  const run = async (...args: string[]) => await foster.expect(0, args, { env });
  const entry = async () => {
    await run("attach", "cursor", "--yes");
    const text = await Deno.readTextFile(join(foster.home, ".cursor", "mcp.json"));
    await run("detach", "--yes");
    return Object.keys(JSON.parse(text).mcpServers.shown);
  };
  await run("serve", "--detach");
  try {
    assert((await entry()).includes("command"));
    await run("export", "systemd", "--install");
    assert((await entry()).includes("url"));
    await run("export", "systemd", "--uninstall");
    assert((await entry()).includes("command"));
  } finally {
    await run("down", "--all");
    await run("serve", "--stop");
  }
});
