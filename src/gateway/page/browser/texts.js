/** How numbers, times and states are said. */

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** The two largest units: `3 h 12 min`. */
export function duration(ms) {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < MINUTE_MS) return `${Math.floor(ms / 1000)} s`;
  const parts = ms < HOUR_MS
    ? [[ms / MINUTE_MS, "min"], [ms % MINUTE_MS / 1000, "s"]]
    : ms < DAY_MS
    ? [[ms / HOUR_MS, "h"], [ms % HOUR_MS / MINUTE_MS, "min"]]
    : [[ms / DAY_MS, "d"], [ms % DAY_MS / HOUR_MS, "h"]];
  return parts.map(([value, unit]) => [Math.floor(value), unit]).filter(([value], at) =>
    at === 0 || value > 0
  )
    .map(([value, unit]) => `${value} ${unit}`).join(" ");
}

export function milliseconds(ms) {
  if (ms === null) return "–";
  if (ms >= 10_000) return `${Math.round(ms / 1000)} s`;
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return ms >= 10 ? `${Math.round(ms)} ms` : `${ms.toFixed(1)} ms`;
}

export function bytes(count) {
  if (count === null) return "–";
  const mebibytes = count / 1024 / 1024;
  if (mebibytes >= 1024) return `${(mebibytes / 1024).toFixed(1)} GiB`;
  return mebibytes >= 10 || mebibytes === 0 ? `${Math.round(mebibytes)} MiB` : `${mebibytes.toFixed(1)} MiB`;
}

/** A rate or a small number. */
export function rate(value) {
  if (value === 0) return "0";
  return value >= 10 ? String(Math.round(value)) : value >= 1 ? value.toFixed(1) : value.toFixed(2);
}

/** A number in few characters. */
export function compact(count) {
  for (const [size, unit] of [[1e6, "M"], [1e3, "k"]]) {
    if (count < size) continue;
    const value = count / size;
    return `${value >= 10 ? Math.round(value) : value.toFixed(1)}${unit}`;
  }
  return String(count);
}

export function counted(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}

/** The time of day, with the date where it is not today's. */
export function clock(at, now = Date.now()) {
  const time = new Date(at);
  const isToday = new Date(now).toDateString() === time.toDateString();
  const two = (value) => String(value).padStart(2, "0");
  const hours = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  return isToday
    ? hours
    : `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${hours}`;
}

/**
 * What a server's state looks like: the colour that it has, and the word for it.
 *
 * @param {{ state: string, on_demand: boolean }} server
 * @param {string | null} busy
 */
export function look(server, busy = null) {
  if (busy !== null) {
    return { tone: "warn", word: { start: "starting", stop: "stopping", restart: "restarting" }[busy] };
  }
  if (server.state === "stopped" && server.on_demand) return { tone: "asleep", word: "asleep" };
  switch (server.state) {
    case "ready":
      return { tone: "good", word: "ready" };
    case "spawning":
      return { tone: "warn", word: "starting" };
    case "stopping":
    case "guarded":
      return { tone: "warn", word: server.state };
    case "stopped":
    case "uninitialized":
      return { tone: "off", word: "stopped" };
    default:
      return { tone: "bad", word: server.state.replaceAll("_", " ") };
  }
}

const EVENTS = {
  spawning: ["starting", "warn"],
  spawned: ["process started", "good"],
  ready: ["ready", "good"],
  adopted: ["adopted", "good"],
  crashed: ["crashed", "bad"],
  not_ready: ["not ready in time", "bad"],
  incompatible: ["incompatible", "bad"],
  interrupted: ["start interrupted", "off"],
  refresh_retry: ["started again with a refreshed package", "warn"],
  probe_failed: ["gave no answer", "warn"],
  restarting: ["restarting", "warn"],
  recovered: ["recovered", "good"],
  stopping: ["stopping", "off"],
  stopped: ["stopped", "off"],
  exhausted: ["restarts used up", "bad"],
  record_set_aside: ["record set aside", "warn"],
  record_rebuilt: ["record rebuilt", "warn"],
  supervising: ["supervised", "off"],
  supervisor_ended: ["supervisor ended", "off"],
  verdict: ["version changed", "warn"],
};

export function eventLook(event) {
  const [word, tone] = EVENTS[event] ?? [event.replaceAll("_", " "), "off"];
  return { word, tone };
}

/** What an action came to, as the verb says it. */
export function outcomeLines({ ok, server }, what) {
  if (!ok) return [server.message || `${what} failed`, server.hint].filter((line) => line !== "");
  const parts = [`${server.name}: ${server.state}`];
  if (server.state === "ready" && server.pid !== null) parts.push(`pid ${server.pid}`);
  if (server.state === "ready" && server.elapsed_ms > 0) parts.push(`in ${duration(server.elapsed_ms)}`);
  return [parts.join(" · "), server.message].filter((line) => line !== "");
}
