/**
 * Why a goal is missed where it is.
 *
 * @module
 */

const OWN_PAGES = "most of it are pages of the binary's file, which all that run share: see what is its own";
const HANDSHAKE = "it ends with a real handshake: a bare `foster probe` takes nearly as long";
const HELPERS = "without full permissions helper programs stand in for /proc";
const RUNTIME = "the runtime's own start is a good part of it, see `--version`";
const RESTART = "a look at the port, the records and the spawn; it varies by a third from run to run";

/** By the beginning of the figure's name: the first that fits counts. */
export const reasons: readonly (readonly [start: string, why: string])[] = [
  ["binary: --version", "an empty program in this runtime takes two thirds of it"],
  ["binary: ps with 10", RUNTIME],
  ["list of 10 servers", RUNTIME],
  ["binary: memory of ps", "the runtime alone takes 25 MiB, nearly all of it pages of the binary's file"],
  ["binary: up of what is up", HANDSHAKE],
  ["binary: share of a core", "the client is loaded meanwhile, and the port is dialled every 25 ms"],
  ["deno: up of what is up", `as the binary's; and ${HELPERS}`],
  ["deno: ready seen", `who listens is looked at before it is called ready, and ${HELPERS}`],
  ["deno: decision on a held port", HELPERS],
  [
    "deno: share of a core",
    "the client is loaded and compiled meanwhile, and the port is dialled every 25 ms",
  ],
  [
    "run: idle bridge over its own child, CPU",
    "one request of the official client, and the runtime's own ticks",
  ],
  ["run: idle bridge over an adopted server, CPU", "as over its own child, and its process is looked at"],
  ["run: idle bridge", OWN_PAGES],
  ["run: restart beyond", RESTART],
  ["killed → port open again", RESTART],
  ["memory of the supervisor", OWN_PAGES],
  ["connect: 5 MiB results", "all bytes pass one more process and its pipe"],
];
