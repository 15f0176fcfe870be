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
export { type Link, type LinkEnd, type LinkHost, type LinkOptions, linkUrl, openLink } from "./session.ts";
export type { LinkEvent } from "./events.ts";
export type { Handler, HandlerParams } from "./dispatcher.ts";
export { DEFERRED, type HandlerResult } from "./results.ts";
export { verdictState, type VersionMatches, type VersionVerdict } from "./version_check.ts";
export type { JsonObject, Reply, WireError } from "./wire.ts";
export type { LogLevel, LogLine } from "./log_ring.ts";
export { type LinkNdjsonEnd, type LinkNdjsonOptions, runLinkNdjson } from "./ndjson.ts";
