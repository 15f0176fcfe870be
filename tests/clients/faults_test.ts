import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { basename, dirname, join } from "@std/path";
import { changeFile, planFile } from "../../src/clients/attach/file.ts";
import { entryName } from "../../src/clients/attach/plan.ts";
import { targetFile, worksFor } from "../../src/clients/attach/targets.ts";
import type { Client } from "../../src/clients/client.ts";
import { planImport } from "../../src/clients/import/plan.ts";
import { gatherSources } from "../../src/clients/import/sources.ts";
import { clientOf, CLIENTS } from "../../src/clients/known/mod.ts";
import { readDefinitions } from "../../src/definitions/read_text.ts";
import { type Host, HostError } from "../../src/host/host.ts";
import {
  change,
  defined,
  entriesOf,
  inHome,
  keptOf,
  NO_OVERRIDES,
  restoreAll,
  type Rig,
  SERVERS,
  works,
} from "./rig.ts";

const MIB = 1024 * 1024;

interface Family {
  syntax: string;
  client: Client;
  /** Settings with one server, `a`. */
  text: string;
  /** The same with an entry that is no object, beside it. */
  odd: string;
  twice: string;
  /** The entry `docs` of somebody else. */
  others: string;
  /** A line that means nothing. */
  filler(index: number): string;
  /** Where lines of filler may stand. */
  fill(text: string, lines: string): string;
}

const FAMILIES: Family[] = [
  {
    syntax: "JSON",
    client: known("cursor"),
    text: '{\n  "mcpServers": {\n    "a": { "command": "x" }\n  },\n  "z": {\n    "n": 1\n  }\n}\n',
    odd:
      '{\n  "mcpServers": {\n    "a": { "command": "x" },\n    "b": 5,\n    "c": ["d"],\n    "e": null\n  }\n}\n',
    twice: '{\n  "mcpServers": {\n    "a": {},\n    "a": { "command": "x" }\n  }\n}\n',
    others: '{\n  "mcpServers": {\n    "docs": { "command": "theirs" }\n  }\n}\n',
    filler: (index) => `    "k${index}": "${"x".repeat(1000)}",\n`,
    fill: (text, lines) => text.replace('    "n": 1', () => `${lines}    "n": 1`),
  },
  {
    syntax: "JSON with comments",
    client: known("gemini"),
    text: '{\n  // mine\n  "mcpServers": {\n    "a": { "command": "x" } // a\n  } /* end */\n}\n',
    odd: '{\n  "mcpServers": {\n    "a": { "command": "x" }, // a\n    "b": 5\n  }\n}\n',
    twice: '{\n  "mcpServers": {},\n  "mcpServers": { "a": {} } // b\n}\n',
    others: '{\n  "mcpServers": {\n    "docs": { "command": "theirs" } // keep\n  }\n}\n',
    filler: (index) => `  // ${index} ${"x".repeat(1000)}\n`,
    fill: (text, lines) => text.replace("{\n", () => `{\n${lines}`),
  },
  {
    syntax: "JSONC",
    client: known("vscode"),
    text: '{\n\t"servers": {\n\t\t"a": { "command": "x" }, // a\n\t},\n\t/* end */\n}\n',
    odd: '{\n\t"servers": {\n\t\t"a": { "command": "x" },\n\t\t"b": 5,\n\t\t"c": null,\n\t},\n}\n',
    twice: '{\n\t"servers": { "a": {}, "a": {}, },\n}\n',
    others: '{\n\t"servers": {\n\t\t"docs": { "command": "theirs", },\n\t},\n}\n',
    filler: (index) => `\t// ${index} ${"x".repeat(1000)}\n`,
    fill: (text, lines) => text.replace("{\n", () => `{\n${lines}`),
  },
  {
    syntax: "TOML",
    client: known("codex"),
    text: '# mine\nmodel = "x"\n\n[mcp_servers.a]\ncommand = "x" # a\n\n# of t\n[t]\nn = 1\n',
    odd: '[mcp_servers.a]\ncommand = "x"\n\n[mcp_servers]\nb = 5\nc = ["d"]\n',
    twice: '[mcp_servers.a]\ncommand = "x"\n[mcp_servers.a]\ncommand = "y"\n',
    others: '[mcp_servers.docs]\ncommand = "theirs" # keep\n',
    filler: (index) => `# ${index} ${"x".repeat(1000)}\n`,
    fill: (text, lines) => text.replace("# of t\n", () => `# of t\n${lines}`),
  },
  {
    syntax: "YAML",
    client: known("goose"),
    text: "# mine\nm: x\nextensions: # all\n  a:\n    cmd: x # a\n  # end\nz: 1\n",
    odd: "extensions:\n  a:\n    cmd: x\n  b: 5\n  c: [d]\n  e:\n",
    twice: "extensions:\n  a:\n    cmd: x\n  a:\n    cmd: y\n",
    others: "extensions:\n  docs: # keep\n    cmd: theirs\n",
    filler: (index) => `# ${index} ${"x".repeat(1000)}\n`,
    fill: (text, lines) => text.replace("# mine\n", () => `# mine\n${lines}`),
  },
  {
    syntax: "a YAML list",
    client: known("continue"),
    text:
      "name: x\nversion: 0.0.1\nschema: v1\nmcpServers:\n  - name: a # a\n    command: x\n# end\nrules: []\n",
    odd: "name: x\nmcpServers:\n  - name: a\n    command: x\n  - 5\n  - uses: somebody/mcp\n",
    twice: "name: x\nmcpServers:\n  - name: a\n    command: x\nname: y\n",
    others: "name: x\nmcpServers:\n  - name: docs # keep\n    command: theirs\n",
    filler: (index) => `# ${index} ${"x".repeat(1000)}\n`,
    fill: (text, lines) => text.replace("# end\n", () => `# end\n${lines}`),
  },
];

function known(id: string): Client {
  const client = clientOf(id);
  assert(client !== null);
  return client;
}

async function pathOf({ client }: Pick<Family, "client">, { places }: Rig): Promise<string> {
  const file = await targetFile(client, places, "user");
  assert(file !== null);
  await Deno.mkdir(dirname(file.path), { recursive: true });
  return file.path;
}

function withFiles(rig: Rig, files: Partial<Host["files"]>): Rig {
  return { ...rig, host: { ...rig.host, files: { ...rig.host.files, ...files } } };
}

for (const family of FAMILIES) {
  const { syntax, client, text } = family;

  for (
    const [what, content] of [
      ["an empty file", ""],
      ["a file of blanks", "\n"],
      ["what it knows", text],
      ["no line end at the end", text.trimEnd()],
      ["CRLF", text.replaceAll("\n", "\r\n")],
      ["mixed line ends", text.replace("\n", "\r\n")],
      ["a byte order mark", `\uFEFF${text}`],
      ["entries of unknown types", family.odd],
    ] as const
  ) {
    Deno.test(`attach and detach of ${syntax} with ${what} give back every byte`, async () => {
      await inHome(async (rig) => {
        const path = await pathOf(family, rig);
        await Deno.writeTextFile(path, content);
        const [result] = await change(rig, await works(client, rig.places));
        assertEquals([result?.problem, result?.changes.length], [null, 2]);
        const attached = await Deno.readTextFile(path);
        assertEquals(attached.startsWith("\uFEFF"), content.startsWith("\uFEFF"));
        assertEquals((await change(rig, await works(client, rig.places)))[0]?.edits, []);
        assertEquals((await restoreAll(rig)).map(({ kind }) => kind), ["whole"]);
        assertEquals(await Deno.readTextFile(path), content);
      });
    });
  }

  Deno.test(`attach and detach of 10 MB of ${syntax} give back every byte, also after somebody else wrote`, async () => {
    await inHome(async (rig) => {
      const path = await pathOf(family, rig);
      const lines = Array.from({ length: 10 * MIB / 1000 }, (_, index) => family.filler(index)).join("");
      const content = family.fill(text, lines);
      assert(content.length > 10 * MIB);
      await Deno.writeTextFile(path, content);
      const [result] = await change(rig, await works(client, rig.places));
      assertEquals([result?.problem, result?.changes.length], [null, 2]);
      assertEquals((await restoreAll(rig)).map(({ kind }) => kind), ["whole"]);
      assert(await Deno.readTextFile(path) === content);
      await change(rig, await works(client, rig.places));
      await Deno.writeTextFile(path, (await Deno.readTextFile(path)).replace("xxxxx", "yyyyy"));
      assertEquals((await restoreAll(rig)).map(({ kind }) => kind), ["entries"]);
      assert(await Deno.readTextFile(path) === content.replace("xxxxx", "yyyyy"));
    });
  });

  for (
    const [what, content, problem] of [
      ["a key that stands twice", family.twice, /twice|unique|redefine|already|Map keys/i],
      ["text that is no UTF-8", new Uint8Array([0x7b, 0xff, 0xfe, 0x7d]), /not valid UTF-8/],
      ["UTF-16", new Uint8Array([0xff, 0xfe, 0x7b, 0, 0x7d, 0]), /UTF-16/],
    ] as const
  ) {
    Deno.test(`attach leaves ${syntax} with ${what} alone and says why`, async () => {
      await inHome(async (rig) => {
        const path = await pathOf(family, rig);
        const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
        await Deno.writeFile(path, bytes);
        const [result] = await change(rig, await works(client, rig.places));
        assert(problem.test(result?.problem ?? ""), `${result?.problem}`);
        assertEquals([await Deno.readFile(path), await keptOf(rig)], [bytes, []]);
      });
    });
  }

  Deno.test(`attach leaves somebody else's entry of the name in ${syntax} alone`, async () => {
    await inHome(async (rig) => {
      const path = await pathOf(family, rig);
      await Deno.writeTextFile(path, family.others);
      const [result] = await change(rig, await works(client, rig.places));
      assertEquals([result?.left.map(({ name }) => name), result?.changes.length], [["docs"], 1]);
      const now = await Deno.readTextFile(path);
      for (const line of family.others.match(/.*theirs.*|.*keep.*/g) ?? []) {
        assert(now.replaceAll(",", "").includes(line.replaceAll(",", "")), now);
      }
      await restoreAll(rig);
      assertEquals(await Deno.readTextFile(path), family.others);
    });
  });

  Deno.test(`attach leaves ${syntax} that is read-only, or another user's, alone and says so`, async () => {
    await inHome(async (rig) => {
      const path = await pathOf(family, rig);
      await Deno.writeTextFile(path, text);
      const statAs = (changed: { mode?: number; uid?: number }): Host["files"]["stat"] => async (asked) => {
        const found = await rig.host.files.stat(asked);
        return asked === path && found !== null ? { ...found, ...changed } : found;
      };
      const userId = rig.host.program.userId;
      for (
        const [changed, problem] of [
          [{ mode: 0o444 }, "it is read-only"],
          ...(userId === null ? [] : [[{ uid: userId + 1 }, "it belongs to another user"] as const]),
        ] as const
      ) {
        const its = withFiles(rig, { stat: statAs(changed) });
        const [work] = await works(client, rig.places);
        assert(work !== undefined);
        assertEquals((await planFile(its.host, work)).problem, problem);
        assertEquals((await changeFile(its.host, work, rig.stateFolder)).problem, problem);
        await change(rig, [work]);
        const attached = await Deno.readTextFile(path);
        assertEquals((await restoreAll(its))[0]?.problem, problem);
        assertEquals(await Deno.readTextFile(path), attached);
        await restoreAll(rig);
        assertEquals(await Deno.readTextFile(path), text);
      }
    });
  });

  Deno.test(`attach to ${syntax} that cannot be written keeps nothing of it`, async () => {
    await inHome(async (rig) => {
      const path = await pathOf(family, rig);
      await Deno.writeTextFile(path, text);
      const all = await works(client, rig.places);
      for (const step of ["writeNew", "rename"] as const) {
        const denied = () => Promise.reject(new HostError("denied", "Cannot write it"));
        await assertRejects(() => change(withFiles(rig, { [step]: denied }), all), HostError);
        assertEquals([await Deno.readTextFile(path), await keptOf(rig)], [text, []]);
        assertEquals([...Deno.readDirSync(dirname(path))].map(({ name }) => name), [basename(path)]);
      }
    });
  });

  Deno.test(`attach writes ${syntax} again where its client wrote over it at once, and detach still gives it back`, async () => {
    await inHome(async (rig) => {
      const path = await pathOf(family, rig);
      await Deno.writeTextFile(path, text);
      let writes = 0;
      const rename: Host["files"]["rename"] = async (from, to) => {
        await rig.host.files.rename(from, to);
        if (to === path && writes++ === 0) await Deno.writeTextFile(path, text);
      };
      const [result] = await change(withFiles(rig, { rename }), await works(client, rig.places));
      assertEquals([result?.problem, result?.changes.length], [null, 2]);
      assertEquals((await entriesOf(client, rig)).length, 3);
      await restoreAll(rig);
      assertEquals(await Deno.readTextFile(path), text);
    });
  });

  Deno.test(`detach does not write over what the client of ${syntax} wrote after the first look`, async () => {
    await inHome(async (rig) => {
      const path = await pathOf(family, rig);
      await Deno.writeTextFile(path, text);
      await change(rig, await works(client, rig.places));
      const theirs = (await Deno.readTextFile(path)).replace('"x"', '"their-x"').replace(": x", ": their-x");
      let reads = 0;
      const readOwn: Host["files"]["readOwn"] = async (asked, slice) => {
        const read = await rig.host.files.readOwn(asked, slice);
        if (asked === path && reads++ === 0) await Deno.writeTextFile(path, theirs);
        return read;
      };
      assertEquals((await restoreAll(withFiles(rig, { readOwn }))).map(({ kind }) => kind), ["entries"]);
      const expected = text.replace('"x"', '"their-x"').replace(": x", ": their-x");
      assertEquals(await Deno.readTextFile(path), expected);
    });
  });

  if (Deno.build.os !== "windows") {
    Deno.test(`attach leaves a link to nothing in the place of ${syntax} alone`, async () => {
      await inHome(async (rig) => {
        const path = await pathOf(family, rig);
        await Deno.symlink(join(rig.folder, "not-mounted"), path);
        const [result] = await change(rig, await works(client, rig.places));
        assertEquals(result?.problem, "is a link to nothing");
        assert((await Deno.lstat(path)).isSymlink);
      });
    });

    Deno.test(`attach and detach follow the link in the place of ${syntax}, and keep the file's mode`, async () => {
      await inHome(async (rig) => {
        const path = await pathOf(family, rig);
        const real = join(rig.folder, "dotfiles");
        await Deno.writeTextFile(real, text, { mode: 0o640 });
        await Deno.symlink(real, path);
        await change(rig, await works(client, rig.places));
        assertStringIncludes(await Deno.readTextFile(real), "/opt/foster");
        await restoreAll(rig);
        assertEquals([await Deno.readTextFile(real), (await Deno.stat(real)).mode! & 0o777], [text, 0o640]);
        assert((await Deno.lstat(path)).isSymlink);
      });
    });
  }
}

Deno.test("a client that writes its settings all the time loses nothing by attach and detach", async () => {
  await inHome(async (rig) => {
    const client = known("claude-code");
    const path = join(rig.places.home, ".claude.json");
    await Deno.writeTextFile(path, '{"n": 0}');
    let isOver = false;
    const lost: string[] = [];
    const writer = (async () => {
      // As Claude Code does: read, change, rename over it, all in one moment.
      for (let n = 1; !isOver; n++) {
        const settings = JSON.parse(Deno.readTextFileSync(path));
        if (settings.n !== n - 1) lost.push(`${settings.n} in place of ${n - 1}`);
        Deno.writeTextFileSync(`${path}.tmp`, JSON.stringify({ ...settings, n }));
        Deno.renameSync(`${path}.tmp`, path);
        await rig.host.clock.sleep(20, AbortSignal.timeout(10_000));
      }
    })();
    for (let round = 0; round < 5; round++) {
      for (let tries = 0; tries < 20; tries++) {
        const [result] = await change(rig, await works(client, rig.places));
        if (result?.problem === null) break;
      }
      for (let tries = 0; tries < 20 && (await restoreAll(rig)).some(({ problem }) => problem !== null);) {
        tries++;
      }
    }
    isOver = true;
    await writer;
    assertEquals(lost, []);
    assertEquals(Object.keys(JSON.parse(await Deno.readTextFile(path))), ["n"]);
    assertEquals(await keptOf(rig), []);
  });
});

Deno.test("a change of the definition file, a repair and a partial detach still end in every byte of before", async () => {
  await inHome(async (rig) => {
    for (const family of FAMILIES) {
      const path = await pathOf(family, rig);
      await Deno.writeTextFile(path, family.text);
      await change(rig, await works(family.client, rig.places));
      await change(rig, await works(family.client, rig.places, "/moved/foster"));
      assertStringIncludes(await Deno.readTextFile(path), "/moved/foster");
      assertEquals((await restoreAll(rig)).map(({ kind }) => kind), ["whole"]);
      assertEquals(await Deno.readTextFile(path), family.text);
    }
  });
});

Deno.test("attach once more keeps the environment and the settings that an entry of foster's has", async () => {
  await inHome(async (rig) => {
    const client = known("claude-code");
    const path = join(rig.places.home, ".claude.json");
    await change(rig, await works(client, rig.places));
    const settings = JSON.parse(await Deno.readTextFile(path));
    settings.mcpServers.docs.env = { TOKEN: "secret" };
    settings.mcpServers.docs.timeout = 5000;
    await Deno.writeTextFile(path, JSON.stringify(settings));
    const [again] = await change(rig, await works(client, rig.places));
    assertEquals(again?.edits, []);
    await change(rig, await works(client, rig.places, "/moved/foster"));
    const { docs } = JSON.parse(await Deno.readTextFile(path)).mcpServers;
    assertEquals([docs.command, docs.env, docs.timeout], ["/moved/foster", { TOKEN: "secret" }, 5000]);
  });
});

Deno.test("attach leaves an entry that connects to a server of another definition file alone", async () => {
  await inHome(async (rig) => {
    const client = known("cursor");
    await change(rig, await works(client, rig.places));
    const [result] = await change(
      rig,
      await worksFor(client, rig.places, {
        scope: "user",
        servers: [defined("docs", "/other/foster.json")],
        connect: {
          command: "/opt/foster",
          argsFor: () => ["connect", "docs", "--config", "/other/foster.json"],
        },
        http: null,
        imported: null,
      }),
    );
    assertEquals([result?.left.map(({ name }) => name), result?.changes], [["docs"], []]);
  });
});

Deno.test("two clients of one file share its entries: the first to be detached takes nothing from the other", async () => {
  await inHome(async (rig) => {
    const [claude, copilot] = [known("claude-code"), known("copilot")];
    const options = {
      scope: "project" as const,
      servers: SERVERS,
      connect: { command: "/opt/foster", argsFor: ({ name }: { name: string }) => ["connect", name] },
      http: null,
      imported: null,
    };
    const both = async () => [
      ...await change(rig, await worksFor(claude, rig.places, options)),
      ...await change(rig, await worksFor(copilot, rig.places, options)),
    ];
    await both();
    assertEquals((await both()).map(({ edits }) => edits), [[], []]);
    const path = join(rig.places.folder, ".mcp.json");
    await restoreAll(rig, ["claude-code"]);
    assertEquals(Object.keys(JSON.parse(await Deno.readTextFile(path)).mcpServers), ["docs", "My-Notes-v2"]);
    await restoreAll(rig, ["copilot"]);
    assertEquals(await Deno.stat(path).catch(() => null), null);
  });
});

Deno.test("what attach kept and cannot read is left as it is, and so are the settings", async () => {
  await inHome(async (rig) => {
    const client = known("cursor");
    await change(rig, await works(client, rig.places));
    const path = await pathOf({ client }, rig);
    const text = await Deno.readTextFile(path);
    const folder = join(rig.stateFolder, "attached");
    const [kept] = [...Deno.readDirSync(folder)].filter(({ name }) => name.endsWith(".json"));
    assert(kept !== undefined);
    const later = (await Deno.readTextFile(join(folder, kept.name))).replace('"schema":1', '"schema":2');
    await Deno.writeTextFile(join(folder, kept.name), later);
    const [result] = await change(rig, await works(client, rig.places, "/moved/foster"));
    assertStringIncludes(result?.problem ?? "", kept.name);
    assertEquals(await Deno.readTextFile(path), text);
    assertEquals(await Deno.readTextFile(join(folder, kept.name)), later);
  });
});

Deno.test("the state folder holds of a client's settings only what attach took out of them", async () => {
  await inHome(async (rig) => {
    const path = join(rig.places.home, ".claude.json");
    await Deno.writeTextFile(
      path,
      '{"oauth": "token-of-the-client", "mcpServers": {"a": {"env": {"K": "token-of-a"}}}, "z": "history"}',
    );
    await change(rig, await works(known("claude-code"), rig.places));
    for await (const { name } of Deno.readDir(join(rig.stateFolder, "attached"))) {
      const file = join(rig.stateFolder, "attached", name);
      assert(!/token-of|history/.test(await Deno.readTextFile(file)), name);
      if (Deno.build.os !== "windows") assertEquals((await Deno.stat(file)).mode! & 0o777, 0o600);
    }
  });
});

/** Imports what Claude Code starts, and puts foster in its place. */
async function importAll(rig: Rig, http: Parameters<typeof worksFor>[2]["http"]): Promise<void> {
  const { host, places } = rig;
  const { sources } = await gatherSources(host, places);
  const plan = planImport(sources, { file: "/p/foster.json", text: null });
  const servers = readDefinitions({ file: "/p/foster.json", text: plan.text, project: true }, NO_OVERRIDES);
  const all = await worksFor(known("claude-code"), places, {
    scope: "user",
    servers,
    connect: { command: "/opt/foster", argsFor: ({ name }) => ["connect", name] },
    http,
    imported: plan,
  });
  await change(rig, all);
}

Deno.test("no token gets into a project's file, not even where import finds a server in it", async () => {
  await inHome(async (rig) => {
    const { places } = rig;
    await Deno.writeTextFile(
      join(places.folder, ".mcp.json"),
      '{"mcpServers": {"one": {"command": "one", "env": {"LEVEL": "2"}}}}',
    );
    await Deno.writeTextFile(
      join(places.home, ".claude.json"),
      '{"mcpServers": {"two": {"command": "two", "env": {"LEVEL": "2"}}}}',
    );
    await importAll(rig, () => ({ url: "http://127.0.0.1:4000/mcp/x", authorization: "Bearer t0ken" }));
    const project = await Deno.readTextFile(join(places.folder, ".mcp.json"));
    assert(!project.includes("t0ken") && project.includes("/opt/foster"), project);
    const user = JSON.parse(await Deno.readTextFile(join(places.home, ".claude.json")));
    // Clients stop at an entry that has a url and an environment.
    assertEquals(Object.keys(user.mcpServers.two).sort(), ["headers", "type", "url"]);
  });
});

Deno.test("two scopes with one name are two servers, and detach gives both back", async () => {
  await inHome(async (rig) => {
    const { places } = rig;
    const path = join(places.home, ".claude.json");
    const text = JSON.stringify(
      {
        mcpServers: { docs: { command: "users-docs" } },
        projects: { [places.root]: { mcpServers: { docs: { command: "projects-docs" } } } },
      },
      null,
      2,
    );
    await Deno.writeTextFile(path, text);
    await importAll(rig, null);
    const settings = JSON.parse(await Deno.readTextFile(path));
    assertEquals(settings.projects[places.root].mcpServers.docs.args, ["connect", "docs"]);
    assertEquals(settings.mcpServers.docs.args, ["connect", "docs-claude-code"]);
    await restoreAll(rig);
    assertEquals(await Deno.readTextFile(path), text);
  });
});

Deno.test("servers whose names are one in a client get an entry each", async () => {
  for (const client of CLIENTS) {
    const names = ["my docs", "my-docs", "my_docs", "Docs", "workspace"];
    const entries = await worksOf(client, names);
    assertEquals(new Set(entries).size, names.length, `${client.id}: ${entries}`);
    assert(entries.every((name) => /^[A-Za-z0-9-]{1,40}$/.test(name)), entries.join());
    assert(entries.includes(entryName("my docs", client)) || client.id === "goose");
  }
});

async function worksOf(client: Client, names: readonly string[]): Promise<string[]> {
  let entries: string[] = [];
  await inHome(async ({ places }) => {
    const all = await worksFor(client, places, {
      scope: "user",
      servers: names.map((name) => defined(name, "/p/foster.json")),
      connect: { command: "/opt/foster", argsFor: ({ name }) => ["connect", name] },
      http: null,
      imported: null,
    });
    entries = all.flatMap(({ wanted }) => wanted.map(({ name }) => name));
  });
  return entries;
}
