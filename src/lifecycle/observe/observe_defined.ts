import type { ServerDefinition } from "../../definitions/definition.ts";
import type { Host } from "../../host/host.ts";
import { type Observation, observe, type ObserveOptions } from "./observe.ts";
import { signatureOf } from "./signature.ts";

/** Observes a server by its definition: at the address that it has there, known by its brand. */
export async function observeDefined(
  host: Pick<Host, "processes" | "net" | "system">,
  definition: Pick<ServerDefinition, "host" | "brand" | "brandFlags">,
  asked: Pick<ObserveOptions, "folder" | "record" | "port" | "thorough">,
): Promise<Observation> {
  return await observe(host, { ...asked, hostname: definition.host, signature: signatureOf(definition) });
}
