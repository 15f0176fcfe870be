/**
 * Why a goal is missed where it is.
 *
 * @module
 */

/** By the beginning of the figure's name: the first that fits counts. */
export const reasons: readonly (readonly [start: string, why: string])[] = [
  ["binary: ps with 10", "the runtime's own start is a good part of it, see `--version`"],
  ["binary: memory of ps", "the runtime alone takes 20 MiB, and `--version` 27"],
  ["binary: up of what is up", "it ends with a real handshake: a bare `foster probe` takes nearly as long"],
  ["deno: up of what is up", "as the binary, and helper programs stand in for /proc"],
  [
    "run: idle bridge over its own child, CPU",
    "one request of the official client, and the runtime's own ticks",
  ],
  ["run: idle bridge over an adopted server, CPU", "as over its own child, and its process is looked at"],
  ["run: idle bridge", "an idle program takes 25 MiB in this runtime, the official client comes on top"],
  [
    "memory of the supervisor",
    "an idle program takes 25 MiB in this runtime, the official client comes on top",
  ],
  ["list of 10 servers", "the runtime's own start is a good part of it, see `--version`"],
  ["connect: 5 MiB results", "all bytes pass one more process and its pipe"],
];
