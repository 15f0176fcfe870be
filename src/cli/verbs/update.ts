import { EXIT } from "../exit_codes.ts";
import { UsageError } from "../args.ts";
import type { Verb } from "../verb.ts";
import { VERSION } from "../../version.ts";

export const update: Verb = {
  name: "update",
  summary: "replace this program by the newest release",
  usage: "[OPTIONS]",
  details:
    "The download is checked against the release's SHA256SUMS and tried, then moved into place in one step; where\n" +
    "anything is wrong, nothing is changed. Where a package manager brought foster, it is named, and what to type.\n" +
    "An earlier version is installed only where --to names it. FOSTER_DOWNLOAD_BASE: another place for releases.",
  options: [{ name: "to", kind: "text", value: "V", summary: "this version, an earlier one too" }],
  examples: [
    ["update", "to the newest release"],
    ["update --to 0.2.0", "to that one"],
  ],
  async run(context, args) {
    const { host, output, signal } = context;
    if (args.names.length > 0) throw new UsageError("update takes no names", "--to V names a version");
    const to = args.text("to")?.replace(/^v/, "") ?? null;
    const { findRelease, programHere, sayingFailures } = await import("../release_lookup.ts");
    const { path, owner } = await programHere(context);
    if (owner !== null) {
      const { manager, command } = owner;
      if (output.json) {
        output.document({ updated: false, version: VERSION, path, managed_by: manager, command });
      }
      const whose = manager === "source" ? "foster runs from source" : `foster was brought by ${manager}`;
      output.problem(`${whose}; to update it type:\n  ${command}`);
      return EXIT.no;
    }
    return await sayingFailures(context, async () => {
      const { ReleaseError } = await import("../../update/release.ts");
      const updating = await import("../../update/update.ts");
      const release = await findRelease(context, to);
      if (to !== null && release.version !== null && release.version !== to) {
        throw new ReleaseError(`${release.base} is the release ${release.version}, not ${to}`);
      }
      const result = await updating.update(host, {
        program: path,
        release,
        isNamed: to !== null,
        signal,
        onProgress: (text) => output.progress(text),
      });
      switch (result.kind) {
        case "updated":
          if (output.json) output.document({ updated: true, from: result.from, version: result.to, path });
          else output.line(`foster ${result.from} was replaced by ${result.to}: ${path}`);
          return EXIT.done;
        case "current":
          if (output.json) {
            output.document({ updated: false, version: result.version, path, managed_by: null });
          } else output.line(`foster ${result.version} is the newest`);
          return EXIT.done;
        case "older":
          throw new ReleaseError(
            `the newest release is ${result.version}, and this is ${VERSION}: nothing was changed`,
            `foster update --to ${result.version} installs the earlier one`,
          );
      }
    });
  },
};
