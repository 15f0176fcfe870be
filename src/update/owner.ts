/**
 * Who put this foster where it is: a program that a package manager owns is replaced by that manager alone.
 *
 * @module
 */
import { VERSION } from "../version.ts";

export interface ProgramOwner {
  /** `source`: it runs from a checkout. */
  manager:
    | "source"
    | "npm"
    | "pnpm"
    | "yarn"
    | "bun"
    | "pip"
    | "pipx"
    | "uv"
    | "brew"
    | "winget"
    | "scoop"
    | "mise"
    | "nix";
  /** What to type. */
  command: string;
}

/** The first that fits: caches of runners before the managers whose folders hold them. */
const OWNERS: readonly (readonly [path: RegExp, manager: ProgramOwner["manager"], command: string])[] = [
  [/\/_npx\//, "npm", "npx -y foster-mcp@latest"],
  [/\/dlx-?[^/]*\//, "pnpm", "pnpm dlx foster-mcp@latest"],
  [/\/\.?bunx-[^/]*\//, "bun", "bunx foster-mcp@latest"],
  [/\/mise\/installs\//, "mise", "mise upgrade"],
  [/\/nix\/store\//, "nix", "nix profile upgrade foster-mcp"],
  [/\/(?:\.bun|bun)\/install\/.*\/node_modules\//, "bun", "bun add --global foster-mcp@latest"],
  [/\/pnpm\/.*\/node_modules\/|\/node_modules\/\.pnpm\//, "pnpm", "pnpm add --global foster-mcp@latest"],
  [/\/yarn\/.*\/node_modules\//, "yarn", "yarn global add foster-mcp@latest"],
  [/\/lib\/node_modules\/|\/npm\/node_modules\//, "npm", "npm install --global foster-mcp@latest"],
  [/\/node_modules\//, "npm", "npm install foster-mcp@latest"],
  [/\/uv\/tools\//, "uv", "uv tool upgrade foster-mcp"],
  [/\/(?:uv\/.*|archive-v\d+\/.*)(?:site-packages|foster_mcp)\//, "uv", "uvx foster-mcp@latest"],
  [/\/pipx\/venvs\//, "pipx", "pipx upgrade foster-mcp"],
  [/\/(?:site|dist)-packages\//, "pip", "pip install --upgrade foster-mcp"],
  [/\/Cellar\/|\/homebrew\/|\/linuxbrew\//i, "brew", "brew upgrade foster-mcp"],
  [/\/winget\/packages\//i, "winget", "winget upgrade Foster.Foster"],
  [/\/scoop\/apps\//i, "scoop", "scoop update foster-mcp"],
];

/** By the real path of the program; null where nobody but the user put it there. */
export function ownerOf(realPath: string): ProgramOwner | null {
  const path = realPath.replaceAll("\\", "/");
  const [, manager, command] = OWNERS.find(([pattern]) => pattern.test(path)) ?? [];
  return manager === undefined || command === undefined ? null : { manager, command };
}

/** What runners unpack for one run, and temporary folders. */
const CACHES = /\/(?:_npx|dlx-?[^/]*|\.?bunx-[^/]*|archive-v\d+|tmp)\//;

/** How long a path of this foster leads to it: what other programs keep has to last. */
export function lifeOf(path: string): "lasting" | "cached" | "versioned" {
  if (CACHES.test(path.replaceAll("\\", "/"))) return "cached";
  return path.includes(VERSION) && ownerOf(path) !== null ? "versioned" : "lasting";
}

/** Where it runs from source. */
export const SOURCE_OWNER: ProgramOwner = { manager: "source", command: "git pull" };
