/**
 * The WebSocket session that editor-style servers expect, for programs that embed it.
 *
 * ```ts
 * import { createDenoHost } from "../host/engine/deno/mod.ts";
 * import { openLink } from "./mod.ts";
 *
 * const link = openLink(await createDenoHost(), {
 *   name: "godot-ai",
 *   port: 9500,
 *   projectPath: "/home/me/games/demo",
 *   clientVersion: "2.4.2",
 *   runtimeVersion: "4.5.0",
 *   launchMode: "managed",
 *   expectedVersion: "2.4.2",
 *   handlers: {
 *     get_scene: () => ({ data: { path: "res://main.tscn" } }),
 *     render: async ({ frames }) => ({ data: { frames: await render(frames) } }),
 *   },
 *   onEvent: (event) => console.error(event.type),
 * });
 * const verdict = await link.firstVerdict;
 * if (verdict?.kind === "ready") link.sendEvent("scene_changed", { current_scene: "res://main.tscn" });
 * await link.close();
 * ```
 *
 * @module
 */
export { type Link, type LinkChanges, type LinkHost, type LinkOptions, linkUrl, openLink } from "./link.ts";
export type { LinkEvent, LogLevel, LogLine } from "./connection.ts";
export { DEFERRED, type Handler, type HandlerParams, type HandlerResult } from "./commands.ts";
export { verdictState, type VersionMatches, type VersionVerdict } from "./version.ts";
export type { JsonObject, Reply, WireError } from "./wire.ts";
export { type LinkNdjsonEnd, type LinkNdjsonOptions, runLinkNdjson } from "./ndjson.ts";
