import { basename } from "node:path";
import { restoreFile, type RestoreResult } from "../../clients/attach/file.ts";
import { type KeptEntry, listKept } from "../../clients/attach/kept.ts";
import { HostError, withinReach } from "../../host/host.ts";
import { namedClient } from "../clients.ts";
import { confirmed } from "../confirm.ts";
import { EXIT } from "../exit_codes.ts";
import type { Context, Verb } from "../verb.ts";

export const detach: Verb = {
  name: "detach",
  summary: "give MCP clients back the settings that attach changed",
  usage: "[CLIENT…] [OPTIONS]",
  details:
    "Without names: all of them. A file that nobody else changed is what it was, byte for byte; in any other, each entry\n" +
    "is. Entries that somebody changed since are left alone, and named. What attach had kept is deleted then.",
  options: [
    { name: "dry-run", kind: "flag", summary: "show what would be given back, and change nothing" },
    { name: "yes", kind: "flag", alias: "y", summary: "do not ask" },
  ],
  examples: [
    ["detach --dry-run", "shows what would be given back"],
    ["detach --yes", "every client has its own entries back"],
    ["detach cursor --yes", "the same for one client"],
  ],
  async run(context, args) {
    const { host, output, state } = context;
    const clients = args.names.length > 0
      ? [...new Set(args.names)].map((name) => namedClient(name).id)
      : null;
    const remains = (entry: KeptEntry): KeptEntry | null => {
      const others = clients === null ? [] : entry.clients.filter((each) => !clients.includes(each));
      return others.length === 0 ? null : { ...entry, clients: others };
    };
    const { kept: all, unreadable } = await listKept({ host, stateFolder: state.path });
    for (const file of unreadable) output.talk(`passed over: ${file} can't be read`);
    const kept = all.filter(({ entries }) =>
      clients === null || entries.some((entry) => entry.clients.some((each) => clients.includes(each)))
    );
    if (kept.length === 0) {
      if (output.json) output.document({ files: [] });
      else output.talk("no client is attached");
      return EXIT.done;
    }
    const isDry = args.flag("dry-run");
    if (!isDry && !args.flag("yes")) {
      if (!output.json) {
        for (const { path, entries } of kept) {
          output.talk(`${path}: ${entries.map(({ name }) => name).join(", ")}`);
        }
      }
      if (!await confirmed(context, "Give these files back?")) {
        output.talk("nothing was changed");
        return EXIT.no;
      }
    }
    const results: RestoreResult[] = [];
    for (const each of kept) {
      try {
        results.push(
          await restoreFile(host, each.path, { stateFolder: state.path, remains, isDry }),
        );
      } catch (error) {
        if (!(error instanceof HostError)) throw error;
        const left = each.entries.filter((entry) => remains(entry) === null).map(({ name }) => name);
        results.push({ path: each.path, kind: "unchanged", restored: [], left, problem: error.message });
      }
    }
    if (output.json) output.document({ files: results, ...(isDry ? { written: false } : {}) });
    else {
      for (const result of results) output.line(said(result, isDry));
      await sayWhatStays(
        context,
        kept.flatMap(({ entries }) => entries).filter((each) => remains(each) === null),
      );
      if (isDry) output.talk("nothing was written");
    }
    return results.some(({ problem }) => problem !== null) ? EXIT.usage : EXIT.done;
  },
};

/** The definitions are the user's, also where attach --import moved them there. */
async function sayWhatStays({ host, output }: Context, entries: readonly KeptEntry[]): Promise<void> {
  const files = Map.groupBy(entries, ({ config }) => config);
  for (const [file, own] of files) {
    if (file === null || basename(file) === ".mcp.json") continue;
    if (await withinReach(host.files.stat(file), null) === null) continue;
    const names = [...new Set(own.map(({ server }) => server))];
    output.talk(
      `${names.map((name) => `"${name}"`).join(", ")}: the definitions stay in ${file}; ` +
        "to be rid of them, delete them there, or the whole file",
    );
  }
}

function said({ path, kind, restored, left, problem }: RestoreResult, isDry: boolean): string {
  if (problem !== null) return `${path}: left alone: ${problem}`;
  const others = left.length === 0 ? "" : `; left, since somebody changed it: ${left.join(", ")}`;
  const givenBack = isDry ? "would be given back" : "given back";
  switch (kind) {
    case "whole":
      return `${path}: ${givenBack} as it was before attach (${restored.join(", ")})${others}`;
    case "entries":
      return `${path}: ${givenBack}: ${
        restored.join(", ") || "nothing"
      }; all else stays as it is now${others}`;
    case "gone":
      return `${path}: is gone`;
    case "unchanged":
      return `${path}: nothing of foster's is left in it${others}`;
  }
}
