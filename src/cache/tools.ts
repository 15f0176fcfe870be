/**
 * The package tools that foster runs: the options that may stand before the package, and the environment they get.
 *
 * @module
 */
import type { Host } from "../host/host.ts";

/**
 * `env` without what the runtime refuses to hand on: under scoped permissions Deno starts nothing at all with a variable
 * that changes which libraries a program loads.
 */
export function toolEnvironment(
  { engine }: Pick<Host, "engine">,
  env: Readonly<Record<string, string>>,
): Record<string, string> {
  if (engine.fullAccess) return { ...env };
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(?:LD|DYLD)_/.test(name)));
}

/** The options that a tool knows. */
interface OptionTable {
  /** Options that stand alone. */
  alone: readonly string[];
  /** Options whose value is the next argument, or follows a `=`. */
  valued: readonly string[];
  /** Beginnings of more options that stand alone. */
  prefixes: readonly string[];
}

function optionTable(alone: string, valued: string, prefixes = ""): OptionTable {
  return { alone: wordsOf(alone), valued: wordsOf(valued), prefixes: wordsOf(prefixes) };
}

function wordsOf(text: string): string[] {
  return text.split(" ").filter((word) => word !== "");
}

export interface OptionRead {
  name: string;
  value: string | null;
  /** The arguments that it was written as. */
  args: readonly string[];
}

export type OptionsRead =
  | { kind: "read"; options: OptionRead[]; rest: string[] }
  | { kind: "unknown_option"; option: string };

/**
 * Splits `args` at the first operand. An option that is in no table ends the reading: its value could be taken for the
 * operand, and the wrong thing would be fetched.
 */
export function readOptions(args: readonly string[], table: OptionTable): OptionsRead {
  const options: OptionRead[] = [];
  let at = 0;
  for (let arg = args[at]; arg !== undefined && arg.startsWith("-") && arg !== "-"; arg = args[at]) {
    if (arg === "--") return { kind: "read", options, rest: args.slice(at + 1) };
    const read = readOne(arg, args[at + 1], table);
    if (read === null) return { kind: "unknown_option", option: arg };
    options.push(read);
    at += read.args.length;
  }
  return { kind: "read", options, rest: args.slice(at) };
}

function readOne(arg: string, next: string | undefined, table: OptionTable): OptionRead | null {
  const { alone, valued, prefixes } = table;
  if (alone.includes(arg) || prefixes.some((prefix) => arg.startsWith(prefix))) {
    return { name: arg, value: null, args: [arg] };
  }
  if (valued.includes(arg)) return next === undefined ? null : { name: arg, value: next, args: [arg, next] };
  const equals = arg.indexOf("=");
  if (equals > 0) {
    const name = arg.slice(0, equals);
    const known = alone.includes(name) || valued.includes(name);
    return known ? { name, value: arg.slice(equals + 1), args: [arg] } : null;
  }
  // -p3.12, or several letters such as -qq in one.
  const short = arg.slice(0, 2);
  if (!arg.startsWith("--") && valued.includes(short)) {
    return { name: short, value: arg.slice(2), args: [arg] };
  }
  const letters = arg.startsWith("--") ? [] : [...arg.slice(1)];
  if (letters.length > 1 && letters.every((letter) => alone.includes(`-${letter}`))) {
    return { name: arg, value: null, args: [arg] };
  }
  return null;
}

export const uvOptions = optionTable(
  "--isolated --no-env-file --lfs --no-index -U --upgrade --no-sources --reinstall --force-reinstall " +
    "--compile-bytecode --no-build-isolation --no-build --no-binary --require-build-hashes " +
    "--no-require-build-hashes -n --no-cache --refresh --managed-python --no-managed-python " +
    "--no-python-downloads -q --quiet -v --verbose --system-certs --native-tls --offline --no-progress " +
    "--no-config --preview --no-preview",
  "--from -w --with --with-editable --with-requirements -c --constraints -b --build-constraints --overrides " +
    "--env-file --python-platform --torch-backend --index --default-index -i --index-url --extra-index-url -f " +
    "--find-links --index-strategy --keyring-provider -P --upgrade-package --upgrade-group --resolution " +
    "--prerelease --prerelease-package --fork-strategy --exclude-newer --exclude-newer-package " +
    "--no-sources-package --reinstall-package --link-mode -C --config-setting --config-settings " +
    "--config-settings-package --no-build-isolation-package --no-build-package --no-binary-package " +
    "--cache-dir --refresh-package -p --python --color --allow-insecure-host --directory --project " +
    "--config-file --python-preference --preview-features",
);

export const npmOptions = optionTable(
  "-y --yes --no --no-install -q --quiet -s --silent -d -dd -ddd --verbose --offline --prefer-offline " +
    "--prefer-online --ignore-scripts --ignore-existing --foreground-scripts --workspaces " +
    "--include-workspace-root -f --force --legacy-peer-deps --strict-peer-deps --no-audit --no-fund " +
    "--no-update-notifier --no-progress",
  "-p --package -c --call -w --workspace -C --prefix --registry --cache --userconfig --globalconfig " +
    "--loglevel --script-shell --node-options --before --tag --omit --include --fetch-retries --fetch-timeout " +
    "--https-proxy --proxy --cafile",
);

export const bunOptions = optionTable(
  "--bun -b -y --yes --no-install --verbose --silent --ignore-scripts --trust",
  "-p --package --cwd --env-file --minimum-release-age --registry --ca --cafile",
);

/** Of `deno run`, `deno serve` and `deno x`. An optional value always follows a `=`. */
export const denoOptions = optionTable(
  "--no-remote --no-npm --node-modules-dir --vendor -r --reload --no-lock --no-config --frozen -q --quiet " +
    "--unsafely-ignore-certificate-errors -A -R -W -N -E -S -I -P --permission-set --no-prompt --check " +
    "--no-check --no-code-cache --cached-only --use-env-proxy --env-file --inspect --inspect-brk " +
    "--inspect-wait --v8-flags --watch --watch-hmr --hmr --no-clear-screen -y --yes --parallel",
  "-c --config --import-map --cert --min-dep-age --node-modules-linker -L --log-level --location --seed " +
    "--ext --host --port --preload --require --conditions -p --package",
  "--allow- --deny- --ignore- --unstable",
);

/** Options of `deno run` that `deno cache` has too: they change what is fetched, or from where. */
export const denoCacheOptions: readonly string[] = wordsOf(
  "--no-remote --no-npm --node-modules-dir --node-modules-linker --vendor -r --reload --no-lock --no-config " +
    "-c --config --import-map --cert --min-dep-age -I --allow-import --deny-import --allow-scripts " +
    "--unsafely-ignore-certificate-errors",
);
