import { assertEquals } from "@std/assert";
import { StateEvents } from "../../src/link/state_events.ts";

const scene = (current_scene: string) => ({ current_scene });

Deno.test("StateEvents counts a value as told only once it was sent", () => {
  const states = new StateEvents();
  states.begin("ready");
  states.want("scene_changed", scene("a"), { again: false });
  assertEquals(states.untold(), [{ event: "scene_changed", data: scene("a") }]);
  assertEquals(states.untold().length, 1);
  states.markTold("scene_changed");
  states.want("scene_changed", scene("a"), { again: false });
  assertEquals(states.untold(), []);
  states.want("scene_changed", scene("a"), { again: true });
  assertEquals(states.untold().length, 1);
});

Deno.test("StateEvents keeps only the latest value of what could not be sent", () => {
  const states = new StateEvents();
  states.begin("ready");
  for (const name of ["a", "b", "c"]) states.want("scene_changed", scene(name), { again: true });
  assertEquals(states.untold(), [{ event: "scene_changed", data: scene("c") }]);
});

Deno.test("StateEvents tells a new connection everything but the readiness its handshake gave", () => {
  const states = new StateEvents();
  states.want("scene_changed", scene("a"), { again: false });
  states.want("readiness_changed", { readiness: "playing" }, { again: false });
  states.begin("playing");
  assertEquals(states.untold().map(({ event }) => event), ["scene_changed"]);
  states.begin("ready");
  assertEquals(states.untold().map(({ event }) => event), ["scene_changed", "readiness_changed"]);
});
