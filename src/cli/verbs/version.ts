import { UsageError } from "../args.ts";
import { EXIT } from "../exit_codes.ts";
import type { Verb } from "../verb.ts";
import { versionDocument, versionLine } from "../version_text.ts";

export const version: Verb = {
  name: "version",
  summary: "print the version, or with --check whether there is a newer one",
  usage: "[--check]",
  details:
    "--check asks the place of releases, which is the only time that foster looks beyond this machine by itself.\n" +
    "Exit code 0 whether there is a newer one or not, 1 where that could not be found out.",
  options: [{ name: "check", kind: "flag", summary: "look for a newer release" }],
  examples: [
    ["version", "as foster --version"],
    ["version --check", "is there a newer one, and what brings it?"],
  ],
  async run(context, args) {
    const { host, output } = context;
    if (args.names.length > 0) throw new UsageError("version takes no names");
    if (!args.flag("check")) {
      if (output.json) output.document(versionDocument(host));
      else output.line(versionLine(host, { verbose: args.flag("verbose") }));
      return EXIT.done;
    }
    const { findRelease, programHere, sayingFailures } = await import("../release_lookup.ts");
    return await sayingFailures(context, async () => {
      const { ReleaseError } = await import("../../update/release.ts");
      const { isNewer } = await import("../../update/update.ts");
      const own = versionDocument(host);
      const { base, version: latest } = await findRelease(context, null);
      if (latest === null) throw new ReleaseError(`${base} does not say which version it is`);
      const { owner } = await programHere(context);
      const hasNewer = isNewer(latest, own.version);
      const command = owner?.command ?? "foster update";
      if (output.json) {
        output.document({
          ...own,
          latest,
          update_available: hasNewer,
          managed_by: owner?.manager ?? null,
          command,
        });
      } else if (hasNewer) output.line(`foster ${own.version}; ${latest} is there: ${command}`);
      else output.line(`foster ${own.version} is the newest (released: ${latest})`);
      return EXIT.done;
    });
  },
};
