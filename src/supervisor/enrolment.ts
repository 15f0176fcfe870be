/**
 * A server as the supervisor is told of it, and how that stands in enrolled.json.
 *
 * @module
 */
import { type Decoder, integer, list, nullable, object, oneOf, text } from "../base/decode.ts";
import type { Enrolled, EnrolledFile } from "../registry/supervisor_files.ts";
import { absolutePath, identity, type ProcessIdentity, serverName } from "../registry/values.ts";

export interface SupervisedServer {
  key: string;
  name: string;
  /** The definition file; null for a preset. */
  config: string | null;
  /** Folder of the verb that enrolled it: a preset begins there. */
  folder: string;
  by: "up" | "run" | "connect" | "serve" | "attach";
  /** How long a server that was started for clients stays without them; null for ever. */
  idle_ms: number | null;
  timeout_ms: number | null;
  /** The server ends with this process. */
  owner: ProcessIdentity | null;
}

export const supervisedServer: Decoder<SupervisedServer> = object({
  key: text(/^[a-z0-9._-]{1,128}$/),
  name: serverName,
  config: nullable(absolutePath),
  folder: absolutePath,
  by: oneOf("up", "run", "connect", "serve", "attach"),
  idle_ms: nullable(integer(0)),
  timeout_ms: nullable(integer(0)),
  owner: nullable(identity),
});

export const supervisedServers: Decoder<SupervisedServer[]> = list(supervisedServer);

/** Enrolled for requests to start it: it is kept while nothing of it runs. */
export function isForRequests({ by }: SupervisedServer): boolean {
  return by === "serve" || by === "attach";
}

export function serversOf({ files }: Enrolled, folder: string): SupervisedServer[] {
  return files.flatMap(({ path, servers }) =>
    servers.map((server): SupervisedServer => ({
      key: server.key,
      name: server.name,
      config: path,
      folder: server.folder ?? folder,
      by: server.by,
      idle_ms: server.idle_ms,
      timeout_ms: server.timeout_ms,
      owner: server.owner,
    }))
  );
}

/** Keeps what is known of a file besides its servers; of a server whose key `staysDown` lacks, what stood there before. */
export function filesOf(
  servers: readonly SupervisedServer[],
  { before, staysDown }: { before: readonly EnrolledFile[]; staysDown: ReadonlyMap<string, boolean> },
): EnrolledFile[] {
  const paths = new Set([...before.map(({ path }) => path), ...servers.map(({ config }) => config)]);
  return [...paths].flatMap((path): EnrolledFile[] => {
    const known = before.find((file) => file.path === path);
    const own = servers.filter(({ config }) => config === path).map(
      ({ key, name, by, folder, idle_ms, timeout_ms, owner }) => {
        const noted = known?.servers.find((each) => each.key === key)?.stays_down ?? false;
        const stays_down = staysDown.get(key) ?? noted;
        return { name, key, by, stays_down, folder, idle_ms, timeout_ms, owner };
      },
    );
    const sha256 = known?.sha256 ?? null;
    return own.length === 0 && sha256 === null ? [] : [{ path, sha256, servers: own }];
  });
}
