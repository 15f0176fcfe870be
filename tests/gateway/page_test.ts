/** The page's document, and the parts of its script that decide something. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { createHash } from "node:crypto";
import { pageDocument } from "../../src/gateway/page/document.ts";
import { runsOf, WINDOW_MS } from "../../src/gateway/page/browser/plots.js";
import { laneOf, ticksOf } from "../../src/gateway/page/browser/timeline.js";
import {
  bytes,
  compact,
  duration,
  look,
  milliseconds,
  outcomeLines,
} from "../../src/gateway/page/browser/texts.js";

Deno.test("the page's policy allows its own script and style by their hashes, and no others", () => {
  const { html, policy } = pageDocument();
  for (const [tag, directive] of [["style", "style-src"], ["script", "script-src"]] as const) {
    const [, text = ""] = new RegExp(`<${tag}[^>]*>([^]*?)</${tag}>`).exec(html) ?? [];
    assert(text.length > 1000, `the ${tag} stands in the page`);
    const hash = createHash("sha256").update(text).digest("base64");
    assertMatch(policy, new RegExp(`${directive} 'sha256-${hash.replaceAll(/[+/]/g, "\\$&")}'(?:;|$)`));
  }
  assert(!/unsafe|\*|https?:/.test(policy), policy);
});

Deno.test("the page's script is one script without imports, and takes no HTML from anybody", () => {
  const { html } = pageDocument();
  const [, script = ""] = /<script[^>]*>([^]*?)<\/script>/.exec(html) ?? [];
  // It parses: the constructor throws otherwise.
  new Function(script);
  assert(!/^(?:import|export) /m.test(script));
  assert(!/innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function/.test(script));
  assert(!/ style="| on[a-z]+="/.test(html.replace(script, "")));
});

const MINUTE = 60_000;
const at = (minutes: number) => new Date(minutes * MINUTE).toISOString();
const event = (minutes: number, name: string, pid: number | null = null) => ({
  key: "docs",
  at: at(minutes),
  event: name,
  pid,
  message: "",
});
const over = (minutes: number) => ({ from: 0, to: minutes * MINUTE, isStdio: false, isUp: true });

Deno.test("laneOf() shows a server that crashes and is back", () => {
  const events = [
    event(1, "spawning"),
    event(2, "ready"),
    event(5, "crashed"),
    event(5, "restarting"),
    event(6, "ready"),
  ];
  const { segments, marks } = laneOf(events, over(10));
  assertEquals(
    segments.filter(({ from, to }) => to > from).map((
      { state, from, to },
    ) => [state, from / MINUTE, to / MINUTE]),
    [["starting", 1, 2], ["up", 2, 5], ["starting", 5, 6], ["up", 6, 10]],
  );
  assertEquals(marks.map((mark) => mark.event), ["ready", "crashed", "restarting", "ready"]);
});

Deno.test("laneOf() has a stdio server up while one of its processes is", () => {
  const events = [
    event(1, "spawned", 1),
    event(2, "spawned", 2),
    event(3, "crashed", 1),
    event(4, "stopped", 2),
    event(6, "spawned", 3),
    event(7, "crashed", 3),
  ];
  const { segments } = laneOf(events, { ...over(10), isStdio: true, isUp: false });
  assertEquals(segments.map(({ state, from, to }) => [state, from / MINUTE, to / MINUTE]), [
    ["up", 1, 4],
    ["down", 4, 6],
    ["up", 6, 7],
    ["failed", 7, 10],
  ]);
});

Deno.test("laneOf() does not call up what has no process, and cuts what began before", () => {
  const { segments, marks } = laneOf([event(1, "ready")], {
    from: 5 * MINUTE,
    to: 10 * MINUTE,
    isStdio: false,
    isUp: false,
  });
  assertEquals(segments.map(({ state, from }) => [state, from / MINUTE]), [["unknown", 5]]);
  assertEquals(marks, []);
});

Deno.test("ticksOf() gives a few full times within the range", () => {
  for (const minutes of [10, 60, 24 * 60]) {
    const ticks = ticksOf(0, minutes * MINUTE);
    assert(ticks.length >= 3 && ticks.length <= 8, `${minutes} min: ${ticks.length}`);
    assert(ticks.every((each) => each % MINUTE === 0));
  }
});

Deno.test("runsOf() leaves a gap where nothing was measured", () => {
  const now = WINDOW_MS;
  const points = [[now - 20_000, 1], [now - 18_000, 2], [now - 4000, 3], [now - 2000, null], [now, 4]];
  const runs = runsOf(points, { now, width: 300, height: 10, ceiling: 4 });
  assertEquals(runs.map((run) => run.length), [2, 2]);
  assertEquals(runs.at(-1)?.at(-1), [300, 0]);
});

Deno.test("figures are said in words that fit", () => {
  assertEquals([500, 61_000, 3 * 3_600_000, 90_000_000].map(duration), [
    "500 ms",
    "1 min 1 s",
    "3 h",
    "1 d 1 h",
  ]);
  assertEquals([null, 3.14, 33.4, 1234, 12_345].map(milliseconds), ["–", "3.1 ms", "33 ms", "1.2 s", "12 s"]);
  assertEquals([7, 999, 2739, 15_400, 2_500_000].map(compact), ["7", "999", "2.7k", "15k", "2.5M"]);
  assertEquals([null, 0, 5 * 1024 ** 2, 2 * 1024 ** 3].map(bytes), ["–", "0 MiB", "5.0 MiB", "2.0 GiB"]);
});

Deno.test("look() tells asleep, stopped and in trouble apart", () => {
  const server = (state: string, on_demand = false) => ({ state, on_demand });
  assertEquals(look(server("stopped", true)).word, "asleep");
  assertEquals(look(server("stopped")).word, "stopped");
  assertEquals(look(server("foreign_port")), { tone: "bad", word: "foreign port" });
  assertEquals(look(server("ready"), "stop").word, "stopping");
});

Deno.test("outcomeLines() says what the verb says, with its hint", () => {
  const server = { name: "docs", state: "ready", pid: 7, elapsed_ms: 120, message: "", hint: "" };
  assertEquals(outcomeLines({ ok: true, server }, "start"), ["docs: ready · pid 7 · in 120 ms"]);
  const refused = { ...server, message: `Cannot stop "docs"`, hint: "foster status" };
  assertEquals(outcomeLines({ ok: false, server: refused }, "stop"), [`Cannot stop "docs"`, "foster status"]);
  assertStringIncludes(outcomeLines({ ok: false, server }, "stop").join(), "stop failed");
});
