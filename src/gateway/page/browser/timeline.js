/** When servers ran, started, crashed and came back. */
import { clock, eventLook } from "./texts.js";
import { setAttribute, svg } from "./elements.js";

const NEXT = {
  spawning: "starting",
  spawned: "starting",
  restarting: "starting",
  refresh_retry: "starting",
  ready: "up",
  adopted: "up",
  recovered: "up",
  crashed: "failed",
  not_ready: "failed",
  incompatible: "failed",
  exhausted: "failed",
  stopping: "starting",
  stopped: "down",
  interrupted: "down",
};

const MARKS = new Set([
  "crashed",
  "not_ready",
  "incompatible",
  "exhausted",
  "restarting",
  "ready",
  "adopted",
]);

/**
 * Times with one state each, and what is marked, from the events of one server, oldest first. A stdio server is up while
 * one of its processes is. `isUp`: whether it is now, whatever the events say.
 */
export function laneOf(events, { from, to, isStdio, isUp }) {
  const segments = [];
  const marks = [];
  const live = new Set();
  let open = null;
  const turn = (state, at) => {
    if (open !== null && open.state === state) return;
    if (open !== null) segments.push({ ...open, to: at });
    open = { state, from: at };
  };
  for (const { at: text, event, pid, message } of events) {
    const at = Date.parse(text);
    if (at > to) continue;
    if (isStdio) {
      if (event === "spawned") live.add(pid);
      else if (event === "crashed" || event === "stopped") live.delete(pid);
      else continue;
      turn(live.size > 0 ? "up" : event === "crashed" ? "failed" : "down", at);
    } else if (NEXT[event] !== undefined) turn(NEXT[event], at);
    const isMarked = MARKS.has(event) || (isStdio && event === "spawned");
    if (isMarked && at >= from) marks.push({ at, event, message });
  }
  if (open !== null) {
    // An end that nobody wrote down.
    if (open.state === "up" && !isUp) open.state = "unknown";
    segments.push({ ...open, to });
  }
  const shown = segments.filter((segment) => segment.to > from).map((segment) => ({
    ...segment,
    from: Math.max(from, segment.from),
  }));
  return { segments: shown, marks };
}

/** Full minutes, hours or parts of them between two times, for the axis. */
export function ticksOf(from, to) {
  const steps = [60_000, 2 * 60_000, 10 * 60_000, 30 * 60_000, 3_600_000, 4 * 3_600_000, 6 * 3_600_000];
  const step = steps.find((each) => (to - from) / each <= 7) ?? steps.at(-1);
  const offset = new Date(to).getTimezoneOffset() * 60_000;
  const ticks = [];
  for (let at = Math.ceil((from - offset) / step) * step + offset; at <= to; at += step) ticks.push(at);
  return ticks;
}

const LANE = 26;
const BAR = 10;
const AXIS = 20;

/** Draws lanes below each other into an SVG of this width in pixels. */
export function drawTimeline(element, { lanes, from, to, width }) {
  const height = lanes.length * LANE + AXIS;
  const x = (at) => Math.round((at - from) / (to - from) * width * 10) / 10;
  const parts = [];
  for (const at of ticksOf(from, to)) {
    parts.push(svg("line", { class: "tick", x1: x(at), x2: x(at), y1: 0, y2: height - AXIS }));
    if (x(at) < 18 || x(at) > width - 18) continue;
    const label = svg("text", { class: "tick-label", x: x(at), y: height - 5, "text-anchor": "middle" });
    label.textContent = clock(at, at).slice(0, 5);
    parts.push(label);
  }
  lanes.forEach(({ segments, marks }, index) => {
    const top = index * LANE + (LANE - BAR) / 2;
    parts.push(svg("rect", { class: "lane", x: 0, y: top, width, height: BAR, rx: 3 }));
    for (const { state, from: begin, to: end } of segments) {
      const wide = Math.max(2, x(end) - x(begin));
      parts.push(
        svg("rect", { class: `segment ${state}`, x: x(begin), y: top, width: wide, height: BAR, rx: 2 }),
      );
    }
    for (const { at, event, message } of marks) {
      const { word, tone } = eventLook(event);
      const title = svg("title");
      title.textContent = `${clock(at)} ${word}${message === "" ? "" : `: ${message}`}`;
      const middle = top + BAR / 2;
      const shape = tone === "bad"
        ? svg("path", { d: `M${x(at) - 5} ${middle - 5}l10 10m0-10l-10 10` })
        : svg("path", { d: `M${x(at)} ${top - 4}v${BAR + 8}` });
      parts.push(svg("g", { class: `mark ${tone}`, "data-event": event }, title, shape));
    }
  });
  setAttribute(element, "viewBox", `0 0 ${width} ${height}`);
  setAttribute(element, "width", width);
  setAttribute(element, "height", height);
  element.replaceChildren(...parts);
}
