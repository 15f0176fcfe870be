/** Parts that the overview and a server's own view share: figures with their plots, and the time line. */
import { h, setText, svg } from "./elements.js";
import { Plot } from "./plots.js";
import { MEASURES } from "./store.js";
import { drawTimeline, laneOf } from "./timeline.js";
import { bytes, clock, compact, counted, eventLook, milliseconds, rate } from "./texts.js";

/** A figure of now, and how it was. */
export class Figure {
  element;
  #value = h("span", { class: "value" });
  #note = h("span", { class: "note" });
  #plot;

  constructor(name, tone) {
    this.#plot = new Plot({ name, width: 240, height: 48, tone });
    this.element = h(
      "section",
      { class: "figure", "aria-label": name },
      h("h3", {}, name),
      h("p", {}, this.#value, this.#note),
      this.#plot.element,
    );
  }

  update({ value, note = "", points, bars, now, floor }) {
    setText(this.#value, value);
    setText(this.#note, note);
    this.#plot.update({ points, bars, now, floor, say: `${value} ${note}`.trim() });
  }
}

/** The four figures: of one server, or of all with `key` null. */
export class Figures {
  element;
  #requests = new Figure("Requests", "blue");
  #latency = new Figure("Latency", "violet");
  #memory = new Figure("Memory", "teal");
  #clients = new Figure("Clients", "amber");

  constructor() {
    const figures = [this.#requests, this.#latency, this.#memory, this.#clients];
    this.element = h("div", { class: "figures" }, figures.map(({ element }) => element));
  }

  update(store, key) {
    const now = Date.now();
    const points = (of) => key === null ? store.totals(of) : store.points(key, of);
    const servers = key === null ? store.servers : [store.find(key)];
    const sum = (of) => servers.reduce((total, server) => total + of(server), 0);
    const total = sum(({ requests }) => Object.values(requests).reduce((all, each) => all + each, 0));
    const troubled = sum(({ requests }) => requests.failed + requests.refused);
    const requests = points(MEASURES.requests);
    this.#requests.update({
      now,
      points: requests,
      bars: points(MEASURES.failed),
      floor: 1,
      value: `${rate(requests.at(-1)?.[1] ?? 0)}/s`,
      note: `${compact(total)} in all${troubled > 0 ? ` · ${compact(troubled)} failed` : ""}`,
    });
    const latencies = key === null ? store.meanLatencies() : store.points(key, MEASURES.latency);
    const timed = latencies.filter(([, ms]) => ms !== null).map(([, ms]) => ms);
    this.#latency.update({
      now,
      points: latencies,
      floor: 1,
      value: milliseconds(timed.at(-1) ?? null),
      note: timed.length === 0 ? "no requests yet" : `peak ${milliseconds(Math.max(...timed))}`,
    });
    const memory = points(MEASURES.memory);
    const used = memory.map(([, value]) => value).filter((value) => value !== null);
    this.#memory.update({
      now,
      points: memory,
      floor: 1024 * 1024,
      value: bytes(used.at(-1) ?? null),
      note: used.length === 0 ? "" : `peak ${bytes(Math.max(...used))}`,
    });
    const open = sum((server) => server.open);
    const waiting = sum((server) => server.waiting);
    const together = key === null ? store.supervisor.sessions : 0;
    this.#clients.update({
      now,
      points: points(MEASURES.clients),
      floor: 1,
      value: String(sum(({ sessions }) => sessions) + together),
      note: [
        `${counted(open, "open request")}`,
        waiting > 0 ? `${waiting} waiting` : "",
      ].filter((part) => part !== "").join(", "),
    });
  }
}

const RANGES = [["10 min", 10 * 60_000], ["1 h", 3_600_000], ["24 h", 24 * 3_600_000]];

/** Lanes of some servers over a time that can be chosen. */
export class Timeline {
  element;
  #names = h("div", { class: "lane-names", "aria-hidden": "true" });
  #svg = svg("svg", { class: "timeline", role: "img" });
  #box = h("div", { class: "lanes" }, this.#svg);
  #buttons;
  #range = RANGES[0][1];
  #shown = null;

  constructor({ hasNames }) {
    this.#buttons = RANGES.map(([label, ms]) =>
      h("button", {
        type: "button",
        onclick: () => {
          this.#range = ms;
          this.#draw();
        },
      }, label)
    );
    this.element = h(
      "section",
      { class: "panel", "aria-label": "Time line" },
      h(
        "header",
        {},
        h("h3", {}, "Time line"),
        h("div", { class: "segmented", role: "group", "aria-label": "Time shown" }, this.#buttons),
      ),
      h("div", { class: hasNames ? "with-names" : "" }, hasNames ? this.#names : null, this.#box),
      legend(),
    );
    new ResizeObserver(() => this.#draw()).observe(this.#box);
  }

  update(store, servers) {
    this.#shown = { store, servers };
    this.#draw();
  }

  #draw() {
    this.#buttons.forEach((button, at) =>
      button.setAttribute("aria-pressed", String(RANGES[at][1] === this.#range))
    );
    const width = Math.floor(this.#box.clientWidth);
    if (this.#shown === null || width === 0) return;
    const { store, servers } = this.#shown;
    const to = Date.now();
    const from = to - this.#range;
    const lanes = servers.map(({ key, transport, state }) =>
      laneOf(store.eventsOf(key), { from, to, isStdio: transport === "stdio", isUp: state === "ready" })
    );
    drawTimeline(this.#svg, { lanes, from, to, width });
    const crashes =
      lanes.flatMap(({ marks }) => marks).filter(({ event }) => eventLook(event).tone === "bad").length;
    const range = RANGES.find(([, ms]) => ms === this.#range)[0];
    this.#svg.setAttribute(
      "aria-label",
      `Last ${range}: ${crashes === 0 ? "no failures" : counted(crashes, "failure")}`,
    );
    const names = servers.map(({ name }) => h("bdi", {}, name));
    if (this.#names.textContent !== servers.map(({ name }) => name).join("")) {
      this.#names.replaceChildren(...names);
    }
  }
}

function legend() {
  const entries = [["up", "running"], ["starting", "starting"], ["failed", "failed"]];
  return h(
    "p",
    { class: "legend", "aria-hidden": "true" },
    entries.map(([state, word]) => h("span", {}, h("i", { class: `swatch ${state}` }), word)),
    h("span", {}, h("i", { class: "swatch cross" }, "×"), "crash"),
  );
}

/** What is said several times in a row is one entry. */
function together(events) {
  const entries = [];
  for (const event of events) {
    const last = entries.at(-1);
    const isSame = ["key", "event", "pid", "message"].every((each) => last?.[each] === event[each]);
    if (isSame) last.times++;
    else entries.push({ ...event, times: 1 });
  }
  return entries;
}

/** What happened, the newest first. */
export function eventRows(list, events) {
  const rows = together(events).map(({ at, event, pid, message, name = null, times }) => {
    const { word, tone } = eventLook(event);
    return h(
      "li",
      {},
      h("time", { datetime: at }, clock(Date.parse(at))),
      h("span", { class: "dot", "data-tone": tone, "aria-hidden": "true" }),
      name === null ? null : h("bdi", { class: "who" }, name),
      h("span", { class: "what", "data-tone": tone }, word),
      h(
        "span",
        { class: "more" },
        [pid === null ? "" : `pid ${pid}`, message, times > 1 ? `${times} times` : ""].filter((part) =>
          part !== ""
        ).join(" · "),
      ),
    );
  });
  const print = (items) => items.map((item) => item.textContent).join("\n");
  // A selection in it stays where nothing new came.
  if (print(rows) !== print([...list.children])) list.replaceChildren(...rows);
}
