/**
 * What Homebrew, winget and scoop want to know of a release, and its bill of materials.
 *
 * @module
 */
import { about, PACKAGE } from "./targets.ts";

/** What an archive of a release is: its file and its SHA-256. */
export interface Archive {
  file: string;
  sha256: string;
}

export interface Release {
  version: string;
  /** Where the archives lie, without a slash at the end. */
  base: string;
  homepage: string;
  /** By the end of its name, as `linux-x64.tar.xz`. */
  archives: ReadonlyMap<string, Archive>;
}

function urlOf({ base }: Release, { file }: Archive): string {
  return `${base}/${file}`;
}

export function homebrew(release: Release): string {
  const part = (system: string, parts: readonly (readonly [cpu: string, name: string])[]) => {
    const inner = parts.flatMap(([cpu, name]) => {
      const archive = release.archives.get(name);
      if (archive === undefined) return [];
      const url = urlOf(release, archive);
      return [`    on_${cpu} do\n      url "${url}"\n      sha256 "${archive.sha256}"\n    end\n`];
    });
    return inner.length === 0 ? "" : `  on_${system} do\n${inner.join("")}  end\n\n`;
  };
  const macos = part("macos", [["arm", "macos-arm64.tar.xz"], ["intel", "macos-x64.tar.xz"]]);
  const linux = part("linux", [["arm", "linux-arm64.tar.xz"], ["intel", "linux-x64.tar.xz"]]);
  return `class FosterMcp < Formula
  desc "${about.summary.split(":")[0]}"
  homepage "${release.homepage}"
  version "${release.version}"
  license "${about.license}"

${macos}${linux}  def install
    bin.install "foster"
    bin.install_symlink "foster" => "${PACKAGE}"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/foster --version")
  end
end
`;
}

export function scoop(release: Release): string {
  const archive = release.archives.get("windows-x64.zip");
  const manifest = {
    version: release.version,
    description: about.summary,
    homepage: release.homepage,
    license: about.license,
    architecture: archive === undefined
      ? {}
      : { "64bit": { url: urlOf(release, archive), hash: archive.sha256 } },
    bin: ["foster.exe", ["foster.exe", PACKAGE]],
    checkver: { github: release.homepage },
  };
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

/** The three files of a winget manifest, by name. */
export function winget(release: Release): Map<string, string> {
  const archive = release.archives.get("windows-x64.zip");
  if (archive === undefined) return new Map();
  const id = "Foster.Foster";
  const head = (type: string) =>
    `PackageIdentifier: ${id}\nPackageVersion: ${release.version}\n${type}ManifestVersion: 1.6.0\n`;
  return new Map([
    [`${id}.yaml`, head("DefaultLocale: en-US\nManifestType: version\n")],
    [
      `${id}.installer.yaml`,
      `Platform: [Windows.Desktop]\nInstallerType: zip\nNestedInstallerType: portable\nNestedInstallerFiles:\n` +
      `  - RelativeFilePath: foster.exe\n    PortableCommandAlias: foster\nInstallers:\n  - Architecture: x64\n` +
      `    InstallerUrl: ${urlOf(release, archive)}\n    InstallerSha256: ${archive.sha256.toUpperCase()}\n` +
      head("ManifestType: installer\n"),
    ],
    [
      `${id}.locale.en-US.yaml`,
      `PackageLocale: en-US\nPublisher: foster maintainers\nPackageName: foster\nLicense: ${about.license}\n` +
      `ShortDescription: "${about.summary}"\n` + head("ManifestType: defaultLocale\n"),
    ],
  ]);
}

/** The npm packages of a lock file, each as `name@version` with its integrity. */
export type Locked = Record<string, { integrity?: string; dependencies?: string[] }>;

/** SPDX 2.3: foster and every package that is built into it, reached from `roots`. */
export function sbom(
  { version, locked, roots }: { version: string; locked: Locked; roots: readonly string[] },
): string {
  const own = {
    name: PACKAGE,
    SPDXID: "SPDXRef-foster",
    versionInfo: version,
    licenseDeclared: about.license,
  };
  const reached = reachedFrom(locked, roots);
  const packages = reached.map((key, index) => {
    const at = key.lastIndexOf("@");
    const [name, versionInfo] = [key.slice(0, at), key.slice(at + 1)];
    const [, hash = ""] = /^sha512-(.+)$/.exec(locked[key]?.integrity ?? "") ?? [];
    return {
      name,
      SPDXID: `SPDXRef-npm-${index}`,
      versionInfo,
      downloadLocation: `https://www.npmjs.com/package/${name}/v/${versionInfo}`,
      licenseDeclared: "NOASSERTION",
      checksums: hash === "" ? [] : [{ algorithm: "SHA512", checksumValue: hexOf(hash) }],
      externalRefs: [{
        referenceCategory: "PACKAGE-MANAGER",
        referenceType: "purl",
        referenceLocator: `pkg:npm/${name.replace("@", "%40")}@${versionInfo}`,
      }],
    };
  });
  return `${
    JSON.stringify(
      {
        spdxVersion: "SPDX-2.3",
        dataLicense: "CC0-1.0",
        SPDXID: "SPDXRef-DOCUMENT",
        name: `${PACKAGE}-${version}`,
        documentNamespace: `https://spdx.org/spdxdocs/${PACKAGE}-${version}`,
        creationInfo: { created: "1980-01-01T00:00:00Z", creators: ["Tool: foster-package"] },
        packages: [{ ...own, downloadLocation: "NOASSERTION" }, ...packages],
        relationships: [
          {
            spdxElementId: "SPDXRef-DOCUMENT",
            relationshipType: "DESCRIBES",
            relatedSpdxElement: own.SPDXID,
          },
          ...packages.map(({ SPDXID }) => ({
            spdxElementId: own.SPDXID,
            relationshipType: "CONTAINS",
            relatedSpdxElement: SPDXID,
          })),
        ],
      },
      null,
      2,
    )
  }\n`;
}

function reachedFrom(locked: Locked, roots: readonly string[]): string[] {
  const keys = Object.keys(locked);
  const keyOf = (name: string) => keys.find((key) => key === name || key.startsWith(`${name}@`));
  const found = new Set<string>();
  const open = [...roots];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const key = keyOf(next);
    if (key === undefined || found.has(key)) continue;
    found.add(key);
    open.push(...locked[key]?.dependencies ?? []);
  }
  return [...found].sort();
}

function hexOf(base64: string): string {
  return Array.from(atob(base64), (char) => char.charCodeAt(0).toString(16).padStart(2, "0")).join("");
}
