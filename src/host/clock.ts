/**
 * Time and chance, as every engine with the web's interfaces has them.
 *
 * @module
 */
import { MAX_DURATION_MS } from "../base/duration.ts";
import type { Clock, Random } from "./host.ts";

/** `unref` takes a timer out of what keeps the program alive. */
export function createClock(unref: (timer: ReturnType<typeof setTimeout>) => void): Clock {
  return {
    now: () => Date.now(),

    monotonic: () => performance.now(),

    sleep(ms, signal) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const stop = () => {
          clearTimeout(timer);
          reject(signal?.reason);
        };
        const timer = setTimeout(() => {
          signal?.removeEventListener("abort", stop);
          resolve();
        }, Math.min(ms, MAX_DURATION_MS));
        signal?.addEventListener("abort", stop, { once: true });
      });
    },

    every(ms, tick) {
      const timer = setInterval(tick, ms);
      unref(timer);
      return () => clearInterval(timer);
    },

    // By hand, because a signal made by AbortSignal.any lives no longer than somebody points at it.
    deadline(ms, parent) {
      const controller = new AbortController();
      if (parent?.aborted) {
        controller.abort(parent.reason);
        return controller.signal;
      }
      const follow = () => {
        clearTimeout(timer);
        controller.abort(parent?.reason);
      };
      const timer = setTimeout(() => {
        parent?.removeEventListener("abort", follow);
        controller.abort(new DOMException(`Not done within ${ms} ms`, "TimeoutError"));
      }, Math.min(ms, MAX_DURATION_MS));
      unref(timer);
      parent?.addEventListener("abort", follow, { once: true });
      return controller.signal;
    },
  };
}

export const random: Random = {
  hex(bytes) {
    return [...crypto.getRandomValues(new Uint8Array(bytes))]
      .map((byte) => byte.toString(16).padStart(2, "0")).join("");
  },
  unit: () => Math.random(),
};
