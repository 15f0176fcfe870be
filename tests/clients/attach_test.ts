import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { dirname, join } from "@std/path";
import { changeFile, planFile, restoreFile } from "../../src/clients/attach/file.ts";
import { answerIn } from "../../src/clients/attach/first_start.ts";
import { placedEntries } from "../../src/clients/attach/kept.ts";
import { checkKept, repairKept } from "../../src/clients/attach/repair.ts";
import { entryName } from "../../src/clients/attach/plan.ts";
import { winningEntries } from "../../src/clients/attach/precedence.ts";
import { clientsHere, targetFile, worksFor } from "../../src/clients/attach/targets.ts";
import type { Client } from "../../src/clients/client.ts";
import { editEntries } from "../../src/clients/edit_entries.ts";
import { EntryFormError } from "../../src/clients/entry_editor.ts";
import { planImport } from "../../src/clients/import/plan.ts";
import { gatherSources } from "../../src/clients/import/sources.ts";
import { clientOf, CLIENTS } from "../../src/clients/known/mod.ts";
import type { ServerDefinition } from "../../src/definitions/definition.ts";
import { readDefinitions } from "../../src/definitions/read_text.ts";
import { define } from "../definitions/machine.ts";
import {
  change,
  defined,
  entriesOf,
  inHome,
  keptOf,
  NO_OVERRIDES,
  placed,
  recordedOf,
  restoreAll,
  SERVERS,
  works,
} from "./rig.ts";

for (const client of CLIENTS) {
  Deno.test(`attach and detach give ${client.title} its settings back byte for byte`, async () => {
    await inHome(async (rig) => {
      const { path, bytes } = await placed(client, rig.places);
      const before = await entriesOf(client, rig);
      const [first] = await change(rig, await works(client, rig.places));
      assertEquals([first?.problem, first?.left.length], [null, before.includes("docs") ? 1 : 0]);
      const names = SERVERS.map(({ name }) => entryName(name, client));
      assertEquals(new Set(await entriesOf(client, rig)), new Set([...before, ...names]));
      const attached = await Deno.readFile(path);
      // Lines that were there are all there still, in their order.
      const [was, is] = [bytes, attached].map((each) => new TextDecoder().decode(each).split(/\r?\n/));
      let at = 0;
      for (const line of was ?? []) {
        const found = (is ?? []).findIndex((each, index) =>
          index >= at && each.replace(/,$/, "") === line.replace(/,$/, "")
        );
        assert(found !== -1, `${line} is gone`);
        at = found + 1;
      }
      assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);

      const [again] = await change(rig, await works(client, rig.places));
      assertEquals(again?.edits, []);
      assertEquals(await Deno.readFile(path), attached);

      const [moved] = await change(rig, await works(client, rig.places, "/usr/bin/foster"));
      const renewed = moved?.changes.map(({ kind }) => kind);
      assertEquals(renewed, Array(2 - (first?.left.length ?? 0)).fill("replace"));
      assertStringIncludes(await Deno.readTextFile(path), "/usr/bin/foster");

      const [restored] = await restoreAll(rig);
      assertEquals([restored?.kind, restored?.left], ["whole", []]);
      assertEquals(await Deno.readFile(path), bytes);
      assertEquals(await keptOf(rig), []);
    });
  });

  Deno.test(`detach takes only foster's entries out of ${client.title}'s settings once somebody else has written`, async () => {
    await inHome(async (rig) => {
      const { path, bytes } = await placed(client, rig.places);
      const before = await entriesOf(client, rig);
      await change(rig, await works(client, rig.places));
      const attached = await Deno.readTextFile(path);
      // Every syntax takes an empty line at the end.
      await Deno.writeTextFile(path, attached + "\n");
      const [restored] = await restoreAll(rig);
      assertEquals([restored?.kind, restored?.left], ["entries", []]);
      assertEquals(await entriesOf(client, rig), before);
      const [now, was] = [
        await Deno.readTextFile(path),
        new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes),
      ];
      const plain = (text: string) => text.replaceAll(/[\s,\uFEFF]+/g, "");
      assertEquals(plain(now), plain(was));
    });
  });

  Deno.test(`attach makes ${client.title}'s settings where there are none, and detach removes them`, async () => {
    await inHome(async (rig) => {
      const [made] = await change(rig, await works(client, rig.places));
      assertEquals(made?.changes.map(({ kind }) => kind), ["add", "add"]);
      assertEquals((await entriesOf(client, rig)).length, 2);
      assertEquals((await restoreAll(rig)).map(({ kind }) => kind), ["whole"]);
      const left = [];
      for await (const { name } of Deno.readDir(rig.places.home)) left.push(name);
      assertEquals(left, ["x"]);
    });
  });
}

Deno.test("attach leaves an entry of the same name alone that is another server, and detach one that was changed", async () => {
  await inHome(async (rig) => {
    const client = clientOf("cursor");
    assert(client !== null);
    const path = join(rig.places.home, ".cursor", "mcp.json");
    await Deno.mkdir(dirname(path));
    await Deno.writeTextFile(path, '{"mcpServers": {"docs": {"command": "somebody-elses"}}}');
    const [result] = await change(rig, await works(client, rig.places));
    assertEquals(result?.left.map(({ name }) => name), ["docs"]);
    assertEquals(result?.changes.map(({ name }) => name), ["My-Notes-v2"]);
    const text = (await Deno.readTextFile(path)).replace("/opt/foster", "/mine/foster");
    await Deno.writeTextFile(path, text);
    const [restored] = await restoreAll(rig);
    assertEquals([restored?.kind, restored?.restored, restored?.left], ["unchanged", [], ["My-Notes-v2"]]);
    assertEquals(await Deno.readTextFile(path), text);
  });
});

Deno.test("attach replaces an entry that starts the same server by itself", async () => {
  await inHome(async (rig) => {
    const client = clientOf("claude-code");
    assert(client !== null);
    const path = join(rig.places.home, ".claude.json");
    const earlier = '{"mcpServers": {"docs": {"command": "npx", "args": ["-y", "docs"]}}, "x": 1}';
    await Deno.writeTextFile(path, earlier);
    const servers = [
      define({ port: undefined, command: "npx", args: ["-y", "docs"], transport: "stdio" }, { name: "docs" }),
    ];
    const all = await worksFor(client, rig.places, {
      scope: "user",
      servers,
      connect: { command: "/opt/foster", argsFor: ({ name }) => ["connect", name] },
      http: null,
      imported: null,
    });
    const [result] = await change(rig, all);
    assertEquals(result?.changes.map(({ kind }) => kind), ["replace"]);
    await Deno.writeTextFile(path, (await Deno.readTextFile(path)).replace('"x": 1', '"x": 2'));
    await restoreAll(rig);
    assertEquals(await Deno.readTextFile(path), earlier.replace('"x": 1', '"x": 2'));
  });
});

for (
  const [what, client, text, problem] of [
    ["a broken file", "cursor", "{ broken", "not valid JSON"],
    ["a comment where the client is strict", "claude-code", '{"a": 1 /* x */}', "has comments"],
    ["a trailing comma where the client stops at it", "gemini", '{"a": 1,} // x', "trailing commas"],
    ["a key that stands twice", "vscode", '{"servers": {}, "servers": {}}', "written twice"],
    ["a list in place of an object", "cursor", "[]", "holds no object"],
    ["servers that are no object", "cursor", '{"mcpServers": 1}', "form that foster does not edit"],
    ["an inline table", "codex", 'mcp_servers = { a = { command = "x" } }', "form that foster does not edit"],
    ["broken TOML", "codex", "[mcp_servers", "not valid TOML"],
    ["a flow mapping", "goose", "extensions: { a: { cmd: x } }", "braces or brackets"],
    ["broken YAML", "goose", "a: [1", "not valid YAML"],
  ] as const
) {
  Deno.test(`attach leaves ${what} alone and says why`, async () => {
    await inHome(async (rig) => {
      const known = clientOf(client);
      const file = known === null ? null : await targetFile(known, rig.places, "user");
      assert(known !== null && file !== null);
      await Deno.mkdir(dirname(file.path), { recursive: true });
      await Deno.writeTextFile(file.path, text);
      const [result] = await change(rig, await works(known, rig.places));
      assertStringIncludes(result?.problem ?? "", problem);
      assertEquals(await Deno.readTextFile(file.path), text);
      assertEquals(await keptOf(rig), []);
    });
  });
}

Deno.test("attach follows a link to the file that it leads to, and keeps its mode", async () => {
  if (Deno.build.os === "windows") return;
  await inHome(async (rig) => {
    const client = clientOf("cursor");
    assert(client !== null);
    const real = join(rig.folder, "dotfiles.json");
    await Deno.writeTextFile(real, "{}\n", { mode: 0o640 });
    await Deno.mkdir(join(rig.places.home, ".cursor"));
    const link = join(rig.places.home, ".cursor", "mcp.json");
    await Deno.symlink(real, link);
    await change(rig, await works(client, rig.places));
    assert((await Deno.lstat(link)).isSymlink);
    assertEquals((await Deno.stat(real)).mode! & 0o777, 0o640);
    assertStringIncludes(await Deno.readTextFile(real), "/opt/foster");
    await restoreAll(rig);
    assertEquals(await Deno.readTextFile(real), "{}\n");
  });
});

Deno.test("attach plans anew from what another program wrote in the same moment", async () => {
  await inHome(async (rig) => {
    const client = clientOf("claude-code");
    assert(client !== null);
    const path = join(rig.places.home, ".claude.json");
    await Deno.writeTextFile(path, '{"n": 1}');
    let writes = 0;
    const writeAtomic: typeof rig.host.files.writeAtomic = async (...asked) => {
      // What is kept is written just before the settings are.
      if (writes++ === 0) await Deno.writeTextFile(path, '{"n": 2}');
      await rig.host.files.writeAtomic(...asked);
    };
    const files = { ...rig.host.files, writeAtomic };
    await change({ ...rig, host: { ...rig.host, files } }, await works(client, rig.places));
    const settings = JSON.parse(await Deno.readTextFile(path));
    assertEquals([settings.n, Object.keys(settings.mcpServers).length], [2, 2]);
    assertEquals((await restoreAll(rig)).map(({ kind }) => kind), ["whole"]);
    assertEquals(await Deno.readTextFile(path), '{"n": 2}');
  });
});

Deno.test("attach leaves a file alone that another program breaks right after the first look", async () => {
  await inHome(async (rig) => {
    const client = clientOf("cursor");
    assert(client !== null);
    const { path } = await placed(client, rig.places);
    const [work] = await works(client, rig.places);
    assert(work !== undefined);
    const readOwn: typeof rig.host.files.readOwn = async (...asked) => {
      const read = await rig.host.files.readOwn(...asked);
      if (asked[0] === path) await Deno.writeTextFile(path, "{ half");
      return read;
    };
    const host = { ...rig.host, files: { ...rig.host.files, readOwn } };
    const { changes, problem } = await changeFile(host, work, rig.stateFolder);
    assertEquals(changes, []);
    assertStringIncludes(problem ?? "", "line 1");
    assertEquals(await Deno.readTextFile(path), "{ half");
  });
});

Deno.test("attach after import puts foster where the entries stood, and keeps their secrets where they were", async () => {
  await inHome(async (rig) => {
    const { host, places } = rig;
    const here: Client[] = [];
    const before = new Map<string, Uint8Array>();
    for (const client of CLIENTS) {
      const { path, bytes } = await placed(client, places);
      before.set(path, bytes);
      here.push(client);
    }
    assertEquals((await clientsHere(places)).map(({ id }) => id), CLIENTS.map(({ id }) => id));
    const { sources } = await gatherSources(host, places);
    const plan = planImport(sources, { file: "/p/foster.json", text: null });
    for (const secret of ["ghp_", "hunter2", "BSAexample", "0123456789abcdef", "abc123"]) {
      assertEquals(plan.text.includes(secret), false, secret);
    }
    const servers: ServerDefinition[] = readDefinitions({
      file: "/p/foster.json",
      text: plan.text,
      project: true,
    }, NO_OVERRIDES);
    for (const client of here) {
      const all = await worksFor(client, places, {
        scope: "user",
        servers,
        connect: { command: "/opt/foster", argsFor: ({ name }) => ["connect", name] },
        http: null,
        imported: plan,
      });
      for (const result of await change(rig, all)) {
        assertEquals([result.problem, result.left], [null, []], client.id);
      }
    }
    const claude = JSON.parse(await Deno.readTextFile(join(places.home, ".claude.json")));
    assertEquals(claude.mcpServers.github.command, "/opt/foster");
    assert(claude.mcpServers.github.env.GITHUB_PERSONAL_ACCESS_TOKEN.startsWith("ghp_"));
    assertEquals(claude.mcpServers.sentry.url, "https://mcp.sentry.dev/mcp");
    const cursor = JSON.parse(await Deno.readTextFile(join(places.home, ".cursor", "mcp.json")));
    assertEquals(cursor.mcpServers.postgres.env, { LOG_LEVEL: "debug", PASSWORD: "hunter2" });
    const cline = JSON.parse(
      await Deno.readTextFile(join(places.home, ".cline/data/settings/cline_mcp_settings.json")),
    );
    assertEquals([cline.mcpServers.weather.autoApprove, cline.mcpServers.weather.timeout], [
      ["get_forecast"],
      60,
    ]);
    assertStringIncludes(
      await Deno.readTextFile(join(places.home, ".codex/config.toml")),
      "startup_timeout_sec = 60",
    );
    const inPlace = placedEntries(await keptOf(rig));
    for (const client of here) {
      const again = await worksFor(client, places, {
        scope: "user",
        servers,
        connect: { command: "/opt/foster", argsFor: ({ name }) => ["connect", name] },
        http: null,
        imported: null,
        placed: inPlace,
      });
      for (const { edits, left } of await change(rig, again)) {
        assertEquals([edits, left], [[], []], client.id);
      }
    }
    await restoreAll(rig);
    for (const [path, bytes] of before) assertEquals(await Deno.readFile(path), bytes, path);
  });
});

Deno.test("detach of one client leaves what another one has in the same file", async () => {
  await inHome(async (rig) => {
    const [claude, copilot] = [clientOf("claude-code"), clientOf("copilot")];
    assert(claude !== null && copilot !== null);
    const [docs] = SERVERS;
    const options = (servers: ServerDefinition[]) => ({
      scope: "project" as const,
      servers,
      connect: { command: "/opt/foster", argsFor: ({ name }: ServerDefinition) => ["connect", name] },
      http: null,
      imported: null,
    });
    await change(rig, await worksFor(claude, rig.places, options(docs === undefined ? [] : [docs])));
    await change(rig, await worksFor(copilot, rig.places, options(SERVERS.slice(1))));
    await restoreAll(rig, ["claude-code"]);
    const path = join(rig.places.folder, ".mcp.json");
    assertEquals(Object.keys(JSON.parse(await Deno.readTextFile(path)).mcpServers), ["My-Notes-v2"]);
    assertEquals((await restoreAll(rig)).map(({ kind }) => kind), ["whole"]);
    assertEquals(await Deno.stat(path).catch(() => null), null);
  });
});

Deno.test("checkKept() and repairKept() renew what fits no more, and give back what stood where a server vanished", async () => {
  await inHome(async (rig) => {
    const { host, places, stateFolder } = rig;
    const earlier = new Map<Client, Uint8Array>();
    for (const client of CLIENTS) {
      earlier.set(client, (await placed(client, places)).bytes);
      await change(rig, await works(client, places));
    }
    const options = (command: string, servers: readonly ServerDefinition[]) => ({
      stateFolder,
      connect: {
        command,
        argsFor: ({ name }: ServerDefinition) => ["connect", name, "--config", "/p/foster.json"],
      },
      http: null,
      find: (_config: string | null, name: string) =>
        Promise.resolve(servers.find((each) => each.name === name) ?? null),
    });
    const kindsOf = async (given: ReturnType<typeof options>) =>
      [...new Set((await checkKept(host, given)).map(({ kind }) => kind))].sort();
    assertEquals(await kindsOf(options("/opt/foster", SERVERS)), ["fits"]);

    const moved = options("/new/foster", SERVERS);
    const stale = await checkKept(host, moved);
    assertEquals([...new Set(stale.map(({ kind }) => kind))], ["stale"]);
    for (const { problem } of await repairKept(host, stale, { ...moved, places })) {
      assertEquals(problem, null);
    }
    assertEquals(await kindsOf(moved), ["fits"]);

    const fewer = options("/new/foster", SERVERS.slice(1));
    assertEquals(await kindsOf(fewer), ["fits", "vanished"]);
    const vanished = (await checkKept(host, fewer)).filter(({ kind }) => kind === "vanished");
    await repairKept(host, vanished, { ...fewer, places });
    assertEquals(await kindsOf(fewer), ["fits"]);
    for (const client of CLIENTS) {
      const names = await entriesOf(client, rig);
      const had = new TextDecoder().decode(earlier.get(client)).includes("docs-mcp");
      assertEquals([client.id, names.includes("docs")], [client.id, had]);
    }
    // Each entry is given back by itself now: what is left is what was there.
    for (const { left, problem } of await restoreAll(rig)) assertEquals([left, problem], [[], null]);
  });
});

Deno.test("checkKept() tells what somebody took away and what somebody changed", async () => {
  await inHome(async ({ host, places, stateFolder, ...rig }) => {
    const client = clientOf("cursor");
    assert(client !== null);
    await change({ host, places, stateFolder, ...rig }, await works(client, places));
    const path = join(places.home, ".cursor", "mcp.json");
    const settings = JSON.parse(await Deno.readTextFile(path));
    delete settings.mcpServers.docs;
    settings.mcpServers["My-Notes-v2"].command = "/mine";
    await Deno.writeTextFile(path, JSON.stringify(settings));
    const checks = await checkKept(host, {
      stateFolder,
      connect: { command: "/opt/foster", argsFor: () => [] },
      http: null,
      find: () => Promise.resolve(null),
    });
    assertEquals(checks.map(({ kind }) => kind), ["gone", "changed"]);
  });
});

Deno.test("planFile() writes HTTP entries as each client knows them", async () => {
  await inHome(async ({ host, places }) => {
    for (const client of CLIENTS) {
      const [work] = await worksFor(client, places, {
        scope: "user",
        servers: SERVERS.slice(0, 1),
        connect: { command: "/opt/foster", argsFor: () => [] },
        http: () => ({ url: "http://127.0.0.1:4000/mcp/docs", authorization: "Bearer t0ken" }),
        imported: null,
      });
      assert(work !== undefined);
      const value = JSON.stringify((await planFile(host, work)).changes[0]?.value);
      assertEquals(value.includes("t0ken"), client.id !== "claude-desktop", client.id);
    }
  });
});

Deno.test("an address is written as the program of the file knows it, where one client has two of them", () => {
  const windsurf = clientOf("windsurf");
  const entry = { name: "docs", url: "http://127.0.0.1:4000/mcp/docs", authorization: "Bearer t" };
  const keys = (path: string) => Object.keys(windsurf?.httpEntry?.(entry, path) ?? {});
  assertEquals(keys("/home/me/.config/devin/mcp_config.json"), ["url", "transport", "headers"]);
  assertEquals(keys("C:\\Users\\me\\AppData\\Roaming\\devin\\mcp_config.json"), [
    "url",
    "transport",
    "headers",
  ]);
  assertEquals(keys("/home/me/.codeium/windsurf/mcp_config.json"), ["serverUrl", "headers"]);
});

Deno.test("entryName() is a name that every client can hold", () => {
  const cursor = clientOf("cursor");
  assert(cursor !== null);
  assertEquals(entryName("docs", cursor), "docs");
  assertEquals(entryName("My Notes.v2", cursor), "My-Notes-v2");
  const odd = ["workspace", "a".repeat(64), "---", "a_b"].map((name) => entryName(name, cursor));
  assert(odd.every((name) => /^[A-Za-z0-9-]{1,40}$/.test(name) && name !== "workspace"), odd.join());
});

Deno.test("editEntries() makes no edit that would change anything else", async () => {
  const file = { path: "f", scope: "user", syntax: "toml", at: ["mcp_servers"], project: null } as const;
  const edit = { kind: "set", name: "docs", value: { command: "x" } } as const;
  await assertRejects(() => editEntries("[mcp_servers]\ndocs.command = 'y'\n", file, [edit]), EntryFormError);
  assertEquals(
    await editEntries("a = 1", file, [edit]),
    'a = 1\n\n[mcp_servers.docs]\ncommand = "x"\n',
  );
});

Deno.test("answerIn() counts the tools that a server lists, or says why there are none", () => {
  const line = (message: unknown) => `${JSON.stringify(message)}\n`;
  const hello = line({ jsonrpc: "2.0", id: 1, result: {} });
  assertEquals(answerIn(`${hello}noise\n${line({ jsonrpc: "2.0", id: 2, result: { tools: [{}, {}] } })}`), {
    kind: "started",
    tools: 2,
  });
  const error = line({ jsonrpc: "2.0", id: 1, error: { code: -32000, message: "no command" } });
  assertEquals(answerIn(error), { kind: "failed", why: "no command" });
  assertEquals(answerIn(""), { kind: "failed", why: "it gave no answer" });
});

/** Every scope of a client that attach writes into by itself, in both ways. */
const SCOPES = CLIENTS.flatMap((client) =>
  (["user", "project"] as const).flatMap((scope) =>
    (["stdio", "http"] as const).map((via) => ({ client, scope, via }))
  )
);

for (const { client, scope, via } of SCOPES) {
  if (via === "http" && (scope === "project" || client.httpEntry === null)) continue;
  const what = `${client.title}'s ${scope === "user" ? "own settings" : "settings of a project"} over ${via}`;
  Deno.test(`attach, a moved foster, a new port, repair and detach give back every byte of ${what}`, async () => {
    await inHome(async (rig) => {
      const { host, places, stateFolder } = rig;
      const file = await targetFile(client, places, scope);
      if (file === null) return assertEquals(scope, "project");
      const bytes = await recordedOf(client);
      await Deno.mkdir(dirname(file.path), { recursive: true });
      await Deno.writeFile(file.path, bytes);
      const options = (command: string, port: number) => ({
        stateFolder,
        places,
        scope,
        servers: SERVERS,
        imported: null,
        connect: {
          command,
          argsFor: ({ name }: ServerDefinition) => ["connect", name, "--config", "/p/foster.json"],
        },
        http: via === "stdio" ? null : () => ({
          url: `http://127.0.0.1:${port}/mcp/docs`,
          authorization: `Bearer t0ken-${port}`,
        }),
        find: (_config: string | null, name: string) =>
          Promise.resolve(SERVERS.find((each) => each.name === name) ?? null),
      });
      const first = options("/opt/foster", 4001);
      const [attached] = await change(rig, await worksFor(client, places, first));
      assertEquals([attached?.problem, attached?.path], [null, file.path]);
      const again = await change(rig, await worksFor(client, places, first));
      assertEquals(again.map(({ edits }) => edits), [[]]);
      const kinds = async (
        given: typeof first,
      ) => [...new Set((await checkKept(host, given)).map(({ kind }) => kind))];
      assertEquals(await kinds(first), ["fits"]);

      const moved = options("/new/foster", 4002);
      const stale = await checkKept(host, moved);
      assertEquals([...new Set(stale.map(({ kind }) => kind))], ["stale"]);
      for (const { problem } of await repairKept(host, stale, moved)) assertEquals(problem, null);
      assertEquals(await kinds(moved), ["fits"]);
      const text = await Deno.readTextFile(file.path);
      assert(!/\/opt\/foster|4001/.test(text) && /\/new\/foster|4002/.test(text), text);

      assertEquals((await restoreAll(rig)).map(({ kind }) => kind), ["whole"]);
      assertEquals(await Deno.readFile(file.path), bytes);
      assertEquals(await keptOf(rig), []);
    });
  });
}

for (const isLinked of [false, true]) {
  Deno.test(`attach refuses the file that ${isLinked ? "leads to" : "holds"} its definitions, for every client and scope`, async () => {
    await inHome(async (rig) => {
      for (const client of CLIENTS) {
        for (const scope of ["user", "project"] as const) {
          const file = await targetFile(client, rig.places, scope);
          if (file === null) continue;
          const text = file.syntax === "toml" ? "" : file.syntax === "yaml" ? "name: x\n" : "{}\n";
          await Deno.mkdir(dirname(file.path), { recursive: true });
          const real = isLinked ? join(rig.folder, `${client.id}-${scope}`) : file.path;
          if (isLinked) await Deno.symlink(real, file.path).catch(() => {});
          await Deno.writeTextFile(real, text);
          const servers = [defined("docs", await Deno.realPath(file.path))];
          const connect = { command: "/opt/foster", argsFor: () => ["connect", "docs"] };
          const all = await worksFor(client, rig.places, {
            scope,
            servers,
            connect,
            http: null,
            imported: null,
          });
          for (const result of await change(rig, all)) {
            assertEquals(result.edits, [], client.id);
            assertStringIncludes(result.problem ?? "", `foster import ${file.path} --write`);
          }
          assertEquals(await Deno.readTextFile(file.path), text);
          await Deno.remove(file.path);
          if (isLinked) await Deno.remove(real);
        }
      }
    });
  });
}

for (
  const [id, text] of [
    ["claude-code", '{\n  "primaryApiKey": "sk-ant-planted"\n}\n'],
    ["claude-code", '{"primaryApiKey":"sk-ant-planted","mcpServers":{}}'],
    [
      "vscode",
      '{\n  "servers": {"a": {"command": "x", "env": {"K": "sk-ant-planted"}}} // sk-ant-planted\n}\n',
    ],
    ["zed", '{"theme": "sk-ant-planted", "context_servers": {}, }'],
    ["gemini", '{\n  "key": "sk-ant-planted" // sk-ant-planted\n}\n'],
    ["codex", 'key = "sk-ant-planted"'],
    ["codex", 'key = "sk-ant-planted"\nmcp_servers = { a = { command = "sk-ant-planted" } }\n'],
    ["goose", "KEY: sk-ant-planted"],
    ["goose", "KEY: sk-ant-planted\r\nextensions: {} # sk-ant-planted\r\n"],
    ["goose", "KEY: sk-ant-planted\nextensions: {} # sk-ant-planted\n"],
    ["continue", "name: sk-ant-planted\nmcpServers: []\n"],
  ] as const
) {
  Deno.test(`the difference of ${id} shows nothing of what stands beside the entry in ${text}`, async () => {
    await inHome(async (rig) => {
      const client = clientOf(id);
      assert(client !== null);
      const { path } = await placed(client, rig.places);
      await Deno.writeTextFile(path, text);
      const [work] = await works(client, rig.places);
      assert(work !== undefined);
      const result = await planFile(rig.host, work);
      const diff = result.diff().join("\n");
      assert(!diff.includes("planted"), diff);
      if (result.problem === null) assertStringIncludes(diff, "/opt/foster");
    });
  });
}

Deno.test("an entry of foster's own for another definition file is left alone and called foster's own", async () => {
  await inHome(async (rig) => {
    const client = clientOf("cursor");
    assert(client !== null);
    await change(rig, await works(client, rig.places));
    const all = await worksFor(client, rig.places, {
      scope: "user",
      servers: [defined("docs", "/other.json")],
      connect: { command: "/opt/foster", argsFor: () => ["connect", "docs", "--config", "/other.json"] },
      http: null,
      imported: null,
    });
    const [result] = await change(rig, all);
    assertEquals(result?.left, [{
      name: "docs",
      reason:
        `"docs" is foster's own entry already, for "docs" of /p/foster.json: foster detach takes it out first`,
    }]);
  });
});

Deno.test("a look at what detach would do changes nothing", async () => {
  await inHome(async (rig) => {
    const client = clientOf("cursor");
    assert(client !== null);
    const { path } = await placed(client, rig.places);
    await change(rig, await works(client, rig.places));
    for (const more of ["", "\n"]) {
      await Deno.writeTextFile(path, await Deno.readTextFile(path) + more);
      const text = await Deno.readTextFile(path);
      const kept = await keptOf(rig);
      const options = { stateFolder: rig.stateFolder, remains: () => null };
      const dry = await restoreFile(rig.host, kept[0]?.path ?? "", { ...options, isDry: true });
      assertEquals([await Deno.readTextFile(path), await keptOf(rig)], [text, kept]);
      if (more !== "") assertEquals(await restoreFile(rig.host, kept[0]?.path ?? "", options), dry);
      else assertEquals(dry.kind, "whole");
    }
  });
});

Deno.test("winningEntries() names a project's own entry that Claude Code prefers to the user's, unless it was refused", async () => {
  await inHome(async (rig) => {
    const client = clientOf("claude-code");
    assert(client !== null);
    const { host, places } = rig;
    const path = join(places.folder, ".mcp.json");
    const user = join(places.home, ".claude.json");
    await Deno.writeTextFile(path, '{"mcpServers": {"docs": {"command": "npx"}, "other": {"command": "x"}}}');
    const winners = async (project: unknown) => {
      await Deno.writeTextFile(user, JSON.stringify({ projects: { [places.root]: project } }));
      const file = await targetFile(client, places, "user");
      assert(file !== null);
      const found = await winningEntries(host, { client, places, file, names: ["docs"] });
      return found.map(({ name, path, isPending }) => [name, path, isPending]);
    };
    assertEquals(await winners({}), [["docs", path, true]]);
    assertEquals(await winners({ enabledMcpjsonServers: ["docs"] }), [["docs", path, false]]);
    assertEquals(await winners({ disabledMcpjsonServers: ["docs"] }), []);
    assertEquals(await winners({ mcpServers: { docs: { command: "y" } } }), [["docs", user, false]]);
    await Deno.writeTextFile(
      path,
      '{"mcpServers": {"docs": {"command": "/opt/foster", "args": ["connect", "docs"]}}}',
    );
    assertEquals(await winners({ enabledMcpjsonServers: ["docs"] }), []);
  });
});
