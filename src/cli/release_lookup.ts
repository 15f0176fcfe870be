/**
 * Where update and version look for releases, and what they say where that fails.
 *
 * @module
 */
import type { ProgramOwner } from "../update/owner.ts";
import { checkedBase, readRelease, type Release, ReleaseError } from "../update/release.ts";
import { RELEASES } from "../version.ts";
import { EXIT, type ExitCode } from "./exit_codes.ts";
import { failureDocument } from "./problems.ts";
import type { Context } from "./verb.ts";

/** As the installers take it: the folder with SHA256SUMS and the programs of one release. */
const BASE_VARIABLE = "FOSTER_DOWNLOAD_BASE";

/** The newest release, or that of a version. @throws ReleaseError */
export async function findRelease({ host, signal }: Context, version: string | null): Promise<Release> {
  const given = host.env.get(BASE_VARIABLE);
  if (given) return await readRelease(host, checkedBase(given), signal);
  if (RELEASES === null) {
    throw new ReleaseError(
      "this build was not told where releases are",
      `${BASE_VARIABLE} says it: an https address with SHA256SUMS and the programs`,
    );
  }
  const path = version === null ? "latest/download" : `download/v${version}`;
  return await readRelease(host, checkedBase(`${RELEASES}/${path}`), signal);
}

/** The package manager, if any, that has to replace this program, and the program's real path. */
export async function programHere(
  { host: { engine, files } }: Context,
): Promise<{ path: string; owner: ProgramOwner | null }> {
  const { ownerOf, SOURCE_OWNER } = await import("../update/owner.ts");
  const [command] = engine.selfCommand;
  const path = await files.realPath(command) ?? command;
  return { path, owner: engine.standalone ? ownerOf(path) : SOURCE_OWNER };
}

/** Runs what may fail for the release's sake. */
export async function sayingFailures({ output }: Context, run: () => Promise<ExitCode>): Promise<ExitCode> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof ReleaseError)) throw error;
    const { code, message, hint } = error;
    if (output.json) output.document(failureDocument({ code, message, hint, exitCode: EXIT.no }));
    output.problem(hint === "" ? message : `${message}\n  ${hint}`);
    return EXIT.no;
  }
}
