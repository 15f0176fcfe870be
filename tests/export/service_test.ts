import { assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { presentService, servicePlace, writeService } from "../../src/export/install.ts";
import { ownerOf, type ServiceKind, serviceText } from "../../src/export/service.ts";
import { inFolder, machine } from "../definitions/machine.ts";
import { missing, notLinux, unless } from "../skip.ts";

const ODD = ["a b", 'q"uote', "100%", "$HOME", "back\\slash", "ü", "<&>", ""];

function textOf(kind: ServiceKind, command: readonly string[] = ["/bin/echo", ...ODD]): string {
  return serviceText(kind, { command, variables: ["API_KEY"] });
}

async function python(program: string, input: string): Promise<unknown> {
  const child = new Deno.Command("python3", { args: ["-c", program], stdin: "piped", stdout: "piped" })
    .spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { stdout } = await child.output();
  return JSON.parse(new TextDecoder().decode(stdout));
}

const noPython = await missing("python3");
Deno.test(
  unless(noPython, "serviceText() of launchd is a property list with the whole command"),
  async () => {
    const read = "import sys, json, plistlib; print(json.dumps(plistlib.loads(sys.stdin.buffer.read())))";
    const list = await python(read, textOf("launchd")) as Record<string, unknown>;
    assertEquals(list["ProgramArguments"], ["/bin/echo", ...ODD]);
    assertEquals([list["RunAtLoad"], list["KeepAlive"]], [true, { SuccessfulExit: false }]);
  },
);

Deno.test(
  unless(noPython, "serviceText() of a Windows task is well-formed, with the whole command"),
  async () => {
    const read = "import sys, json, xml.etree.ElementTree as e\n" +
      "r = e.fromstring(sys.stdin.buffer.read().decode()); n = '{http://schemas.microsoft.com/windows/2004/02/mit/task}'\n" +
      "x = r.find(n + 'Actions').find(n + 'Exec'); print(json.dumps([x.find(n + 'Command').text, x.find(n + 'Arguments').text]))";
    const [program, line] = await python(read, textOf("task")) as string[];
    assertEquals(program, "/bin/echo");
    assertEquals(line, '"a b" "q\\"uote" 100% $HOME back\\slash ü <&> ""');
  },
);

const noSystemd = notLinux ?? await missing("systemd-analyze");
Deno.test(
  unless(noSystemd, "serviceText() of systemd is one that systemd-analyze has nothing against"),
  async () => {
    await inFolder({ "foster.service": textOf("systemd") }, async (folder) => {
      const { code, stderr } = await new Deno.Command("systemd-analyze", {
        args: ["verify", "--user", "--man=no", join(folder, "foster.service")],
        env: { HOME: folder, XDG_RUNTIME_DIR: folder },
      }).output();
      assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
    });
  },
);

Deno.test("serviceText() quotes for systemd what it would expand", () => {
  assertMatch(
    textOf("systemd"),
    /^ExecStart=\/bin\/echo "a b" "q\\"uote" 100%% \$\$HOME "back\\\\slash" "ü" "<&>" ""$/m,
  );
});

Deno.test("ownerOf() knows foster's own text, an edited one and anybody else's", () => {
  for (const kind of ["systemd", "launchd", "task"] as const) {
    assertEquals(ownerOf(textOf(kind)), "foster", kind);
    assertEquals(ownerOf(`${textOf(kind)}\n`), "edited", kind);
  }
  assertEquals(ownerOf("[Unit]\nDescription=mine\n"), "foreign");
});

Deno.test("writeService() replaces its own file, and never an edited one, a foreign one or a link", async () => {
  await inFolder({ foreign: "[Unit]\n" }, async (folder) => {
    const host = machine({ HOME: folder, XDG_CONFIG_HOME: join(folder, "config") }, "linux");
    const { file } = servicePlace(host, "systemd") ?? {};
    assertEquals(file, join(folder, "config", "systemd", "user", "foster.service"));
    if (file === undefined) return;
    const [first, second] = [textOf("systemd"), textOf("systemd", ["/bin/true"])];
    assertEquals((await writeService(host, file, first)).kind, "written");
    assertEquals((await writeService(host, file, first)).kind, "unchanged");
    assertEquals((await writeService(host, file, second)).kind, "written");
    assertEquals(await Deno.readTextFile(file), second);
    const edited = `${second}# mine\n`;
    await Deno.writeTextFile(file, edited);
    assertEquals((await writeService(host, file, first)).kind, "not_ours");
    assertEquals(await Deno.readTextFile(file), edited);
    assertEquals((await presentService(host, file)).kind, "edited");
    const foreign = join(folder, "foreign");
    assertEquals((await presentService(host, foreign)).kind, "foreign");
    await Deno.symlink(foreign, join(folder, "link"));
    assertEquals((await writeService(host, join(folder, "link"), first)).kind, "not_ours");
    assertEquals(await Deno.readTextFile(foreign), "[Unit]\n");
  });
});
