/** Small plots of the last minutes, as SVG. */
import { setAttribute, setText, svg } from "./elements.js";

/** The time that a plot shows. */
export const WINDOW_MS = 5 * 60_000;
/** A longer pause between two values is a gap in the line. */
const GAP_MS = 7000;

/** Runs of points without a gap: `[x, y]` in a box, y from the bottom. Points are `[at, value]`; null values are left out. */
export function runsOf(points, { now, width, height, ceiling }) {
  const runs = [];
  let last = -Infinity;
  for (const [at, value] of points) {
    if (value === null || at < now - WINDOW_MS) continue;
    const x = (1 - (now - at) / WINDOW_MS) * width;
    const point = [x, height - Math.min(1, value / ceiling) * height];
    if (at - last > GAP_MS) runs.push([point]);
    else runs.at(-1).push(point);
    last = at;
  }
  return runs;
}

function pathOf(run) {
  return run.map(([x, y], at) => `${at === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

/** `bars` are points in another colour, from the bottom: what failed. */
export class Plot {
  element;
  #lines = svg("path", { class: "line" });
  #area = svg("path", { class: "area" });
  #bars = svg("path", { class: "bars" });
  #dots = svg("path", { class: "line dots" });
  #label = svg("title");
  #name;
  #width;
  #height;

  constructor({ name, width, height, tone = "" }) {
    [this.#name, this.#width, this.#height] = [name, width, height];
    this.element = svg(
      "svg",
      { class: `plot ${tone}`, viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img" },
      this.#label,
      this.#area,
      this.#bars,
      this.#lines,
      this.#dots,
    );
  }

  update({ points, bars = [], now, say, floor = 0 }) {
    const box = { now, width: this.#width, height: this.#height - 2 };
    const highest = Math.max(floor, 1e-9, ...points.map(([, value]) => value ?? 0));
    const ceiling = highest * 1.1;
    const runs = runsOf(points, { ...box, ceiling }).map((run) => run.map(([x, y]) => [x, y + 1]));
    const long = runs.filter((run) => run.length > 1);
    this.#lines.setAttribute("d", long.map(pathOf).join(""));
    const bottom = this.#height;
    this.#area.setAttribute(
      "d",
      long.map((run) =>
        `${pathOf(run)}L${run.at(-1)[0].toFixed(1)} ${bottom}L${run[0][0].toFixed(1)} ${bottom}Z`
      ).join(""),
    );
    this.#dots.setAttribute(
      "d",
      runs.filter((run) => run.length === 1).map(([[x, y]]) => `M${x} ${y}h.1`).join(""),
    );
    const failed = runsOf(bars.filter(([, value]) => value > 0), { ...box, ceiling }).flat();
    this.#bars.setAttribute(
      "d",
      failed.map(([x, y]) => `M${x.toFixed(1)} ${bottom}V${y.toFixed(1)}`).join(""),
    );
    const text = `${this.#name}, last 5 minutes: ${say}`;
    this.element.classList.toggle("flat", !points.some(([, value]) => value > 0));
    setText(this.#label, text);
    setAttribute(this.element, "aria-label", text);
  }
}
