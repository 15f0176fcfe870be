import { assertEquals } from "@std/assert";
import { hasSignature, type Signature, spawnMainParent } from "../../src/lifecycle/observe/signature.ts";

const SIGNATURE: Signature = { names: ["godot-ai"], flags: ["--pid-file", "--transport"] };

const CASES: { name: string; argv: string[] | null; signed: boolean; signature?: Partial<Signature> }[] = [
  { name: "name and flag", argv: ["/bin/godot-ai", "--transport", "streamable-http"], signed: true },
  {
    name: "the other spelling of the name",
    argv: ["python", "-m", "godot_ai", "--transport", "x"],
    signed: true,
  },
  { name: "any case", argv: ["C:\\Tools\\GODOT-AI.EXE", "--TRANSPORT=x"], signed: true },
  { name: "a flag with its value", argv: ["godot-ai", "--pid-file=/run/server.pid"], signed: true },
  { name: "the name in a path", argv: ["/opt/godot-ai/bin/server", "--transport", "x"], signed: true },
  { name: "the name without a flag", argv: ["godot-ai", "serve"], signed: false },
  { name: "a flag without the name", argv: ["server", "--transport", "x"], signed: false },
  { name: "a flag that only begins alike", argv: ["godot-ai", "--transporter"], signed: false },
  {
    name: "the name of the pid file alone",
    argv: ["server", "--pid-file", "/run/godot-ai.pid"],
    signed: false,
  },
  {
    name: "the name of the pid file after =",
    argv: ["server", "--pid-file=/run/godot-ai.pid"],
    signed: false,
  },
  {
    name: "the name in a pid file path with spaces",
    argv: ["server", "--pid-file", "/home/a user/my godot-ai/server.pid"],
    signed: false,
  },
  {
    name: "the name in a pid file path with spaces after =",
    argv: ["server", "--pid-file=/home/a user/my godot-ai/server.pid"],
    signed: false,
  },
  {
    name: "the bare flag that is left of a pid file, beside the name",
    argv: ["godot-ai", "--pid-file", "/run/x.pid"],
    signed: true,
  },
  {
    name: "the flag in upper case with the name in its value",
    argv: ["server", "--PID-FILE", "godot-ai"],
    signed: false,
  },
  { name: "a pid file flag at the very end", argv: ["godot-ai", "--pid-file"], signed: true },
  { name: "an empty command line", argv: [], signed: false },
  { name: "empty tokens", argv: ["", ""], signed: false },
  { name: "a command line that can't be read", argv: null, signed: false },
  {
    name: "anything when no name is known",
    argv: ["godot-ai", "--transport", "x"],
    signature: { names: [] },
    signed: false,
  },
  {
    name: "anything when the known name is empty",
    argv: ["x", "--transport", "x"],
    signature: { names: [""] },
    signed: false,
  },
  { name: "the name when no flag is asked for", argv: ["godot-ai"], signature: { flags: [] }, signed: true },
];
for (const { name, argv, signed, signature } of CASES) {
  Deno.test(`hasSignature() ${signed ? "accepts" : "does not accept"} ${name}`, () =>
    assertEquals(hasSignature(argv, { ...SIGNATURE, ...signature }), signed));
}

const WORKERS: [string[], number | null][] = [
  [[
    "python.exe",
    "-c",
    "from multiprocessing.spawn import spawn_main; spawn_main(parent_pid=123, pipe_handle=5)",
  ], 123],
  [["python.exe", "-c", "spawn_main(parent_pid=1234)", "--multiprocessing-fork"], 1234],
  [["python.exe", "-c", "respawn_main(parent_pid=123)"], null],
  [["python.exe", "-c", "spawn_main(parent_pid=)"], null],
  [["python.exe", "parent_pid=123"], null],
  [[], null],
];
for (const [argv, expected] of WORKERS) {
  Deno.test(`spawnMainParent() finds ${expected} in ${JSON.stringify(argv.slice(2))}`, () => {
    assertEquals(spawnMainParent(argv), expected);
  });
}
