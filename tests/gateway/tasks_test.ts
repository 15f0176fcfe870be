import { assertEquals } from "@std/assert";
import { OpenTasks } from "../../src/gateway/tasks.ts";
import { META } from "../../src/mcp/revisions/messages.ts";
import { encode } from "./conversation_rig.ts";

const HOUR_MS = 3_600_000;
const older = { id: 1, method: "tools/call", params: { name: "a", task: { ttl: 1 } } };
const newer = {
  id: 1,
  method: "tools/call",
  params: {
    name: "a",
    _meta: { [META.clientCapabilities]: { extensions: { "io.modelcontextprotocol/tasks": {} } } },
  },
};
const about = (method: string) => ({ id: 2, method, params: { taskId: "t" } });
const task = { taskId: "t", status: "working" };

function begun(): OpenTasks {
  const tasks = new OpenTasks();
  tasks.sent(1, [older]);
  tasks.answered(1, encode({ id: 1, result: { task } }), 0);
  return tasks;
}

for (
  const [revision, request, result] of [
    ["older", older, { task }],
    ["newer", newer, { resultType: "task", ...task }],
  ] as const
) {
  Deno.test(`OpenTasks counts a task of the ${revision} revision from its answer on, for an hour after the last word on it`, () => {
    const tasks = new OpenTasks();
    tasks.sent(1, [request]);
    assertEquals(tasks.count(0), 0);
    tasks.answered(1, encode({ id: 1, result }), 0);
    assertEquals([tasks.count(0), tasks.count(HOUR_MS - 1)], [1, 1]);
    tasks.sent(2, [about("tasks/get")]);
    tasks.answered(2, encode({ id: 2, result: task }), HOUR_MS - 1);
    assertEquals([tasks.count(HOUR_MS), tasks.count(2 * HOUR_MS)], [1, 0]);
  });
}

for (
  const [what, end] of [
    ["its result", (tasks: OpenTasks) => {
      tasks.sent(2, [about("tasks/result")]);
      tasks.answered(2, encode({ id: 2, result: { content: [] } }), 1);
    }],
    ["its cancellation", (tasks: OpenTasks) => {
      tasks.sent(2, [about("tasks/cancel")]);
      tasks.answered(2, encode({ id: 2, result: { ...task, status: "cancelled" } }), 1);
    }],
    ["an answer that says so", (tasks: OpenTasks) => {
      tasks.sent(2, [about("tasks/get")]);
      tasks.answered(2, encode({ id: 2, result: { ...task, status: "completed" } }), 1);
    }],
    [
      "a notification that says so",
      (tasks: OpenTasks) =>
        tasks.heard(
          encode({ method: "notifications/tasks/status", params: { ...task, status: "failed" } }),
          1,
        ),
    ],
    ["the end of its process", (tasks: OpenTasks) => tasks.clear()],
  ] as const
) {
  Deno.test(`OpenTasks counts a task until ${what}`, () => {
    const tasks = begun();
    end(tasks);
    assertEquals(tasks.count(1), 0);
  });
}

Deno.test("OpenTasks counts nothing that was refused, cancelled, or is no task", () => {
  const tasks = new OpenTasks();
  tasks.sent(1, [older]);
  tasks.answered(1, encode({ id: 1, error: { code: -1, message: "no" } }), 0);
  tasks.sent(2, [newer]);
  tasks.answered(2, encode({ id: 1, result: { content: [] } }), 0);
  tasks.sent(3, [older]);
  tasks.forget(3);
  tasks.answered(3, encode({ id: 1, result: { task } }), 0);
  tasks.answered(4, encode({ id: 1, result: { task } }), 0);
  assertEquals(tasks.count(0), 0);
});
