import { assertEquals } from "@std/assert";
import { bunVersion, denoVersion } from "../../scripts/bun_tool.ts";
import { differences } from "../../scripts/check_versions.ts";

const AGREED = {
  deno: {
    version: "1.2.3",
    imports: { zod: "npm:zod@4.0.0", "@std/assert": "npm:deno-std@1.3.0/assert/mod.js" },
  },
  pkg: { version: "1.2.3", dependencies: { zod: "4.0.0" } },
  version: "1.2.3",
  workflows: [`env:\n  BUN_VERSION: ${bunVersion}\n  DENO_VERSION: ${denoVersion}\n`],
  installs: [`RUN npm install --global deno@${denoVersion} bun@${bunVersion}\n`],
};

const CASES: { title: string; files: typeof AGREED; expected: string[] }[] = [
  { title: "none where all agree", files: AGREED, expected: [] },
  {
    title: "another version of a package",
    files: { ...AGREED, pkg: { version: "1.2.3", dependencies: { zod: "4.1.0" } } },
    expected: ["package.json: zod is 4.1.0, not 4.0.0"],
  },
  {
    title: "a package that one of them lacks",
    files: { ...AGREED, deno: { version: "1.2.3", imports: {} as typeof AGREED.deno.imports } },
    expected: ["package.json: zod is 4.0.0, not needed"],
  },
  {
    title: "versions of foster, Deno and Bun",
    files: {
      ...AGREED,
      version: "1.2.4",
      workflows: ["BUN_VERSION: 0.0.1\nDENO_VERSION: 0.0.2"],
      installs: ["npx -y deno@0.0.3 run"],
    },
    expected: [
      "src/version.ts is 1.2.4, not 1.2.3",
      `a workflow's BUN_VERSION is 0.0.1, not ${bunVersion}`,
      `a workflow's DENO_VERSION is 0.0.2, not ${denoVersion}`,
      `an installed deno is 0.0.3, not ${denoVersion}`,
    ],
  },
];

for (const { title, files, expected } of CASES) {
  Deno.test(`differences() names ${title}`, () => assertEquals(differences(files), expected));
}
