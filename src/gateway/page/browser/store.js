/** What the page knows: the servers, their last minutes, and what happened to them. */

const SAMPLES_KEPT = 150;
const EVENTS_KEPT = 400;

export class Store {
  supervisor = null;
  servers = [];
  /** What is being done, by key. */
  busy = {};
  samples = [];
  #events = new Map();

  take(message) {
    const { supervisor, servers, busy } = message;
    Object.assign(this, { supervisor, servers, busy });
    if (message.type === "whole") {
      this.samples = message.samples;
      this.#events.clear();
    } else if (message.sample !== null) this.samples = [...this.samples, message.sample].slice(-SAMPLES_KEPT);
    for (const event of message.events) {
      const known = this.#events.get(event.key) ?? [];
      known.push(event);
      if (known.length > EVENTS_KEPT) known.shift();
      this.#events.set(event.key, known);
    }
  }

  find(key) {
    return this.servers.find((server) => server.key === key) ?? null;
  }

  busyWith(key) {
    return this.busy[key] ?? null;
  }

  /** Oldest first. */
  eventsOf(key) {
    return this.#events.get(key) ?? [];
  }

  /** Of all servers, the newest first. */
  newestEvents(count) {
    const names = new Map(this.servers.map(({ key, name }) => [key, name]));
    return [...this.#events.values()].flat().filter(({ key }) => names.has(key))
      .map((event) => ({ ...event, name: names.get(event.key) }))
      .sort((a, b) => a.at < b.at ? 1 : a.at > b.at ? -1 : 0).slice(0, count);
  }

  /** `[at, value]` for each sample; `of` gets a measure and the seconds since the sample before. */
  points(key, of) {
    return this.samples.flatMap(({ at, measures }, index) => {
      const measure = measures[key];
      return measure === undefined ? [] : [[at, of(measure, this.#secondsBefore(index))]];
    });
  }

  /** As {@link points}, of all servers together. */
  totals(of) {
    return this.samples.map(({ at, measures }, index) => [
      at,
      Object.values(measures).reduce(
        (sum, measure) => sum + (of(measure, this.#secondsBefore(index)) ?? 0),
        0,
      ),
    ]);
  }

  /** The mean time of the requests of all servers, null where there were none. */
  meanLatencies() {
    return this.samples.map(({ at, measures }) => {
      const timed = Object.values(measures).filter(([requests, , ms]) => requests > 0 && ms !== null);
      const requests = timed.reduce((sum, [count]) => sum + count, 0);
      const ms = timed.reduce((sum, [count, , each]) => sum + count * each, 0);
      return [at, requests === 0 ? null : ms / requests];
    });
  }

  #secondsBefore(index) {
    const [before, now] = [this.samples[index - 1], this.samples[index]];
    return before === undefined ? 2 : Math.max(0.1, (now.at - before.at) / 1000);
  }
}

export const MEASURES = {
  requests: ([count], seconds) => count / seconds,
  failed: ([, count], seconds) => count / seconds,
  latency: ([, , ms]) => ms,
  memory: ([, , , bytes]) => bytes,
  clients: ([, , , , sessions]) => sessions,
};

/** The last value that is known. */
export function lastOf(points) {
  return points.findLast(([, value]) => value !== null)?.[1] ?? null;
}
