import { assertEquals } from "@std/assert";
import { type Brand, isBranded } from "../../src/lifecycle/observe/signature.ts";

const BRAND: Brand = { names: ["godot-ai"], flags: ["--pid-file", "--transport"] };

const CASES: { name: string; argv: string[] | null; branded: boolean; brand?: Partial<Brand> }[] = [
  { name: "name and flag", argv: ["/bin/godot-ai", "--transport", "streamable-http"], branded: true },
  {
    name: "the other spelling of the name",
    argv: ["python", "-m", "godot_ai", "--transport", "x"],
    branded: true,
  },
  { name: "any case", argv: ["C:\\Tools\\GODOT-AI.EXE", "--TRANSPORT=x"], branded: true },
  { name: "a flag with its value", argv: ["godot-ai", "--pid-file=/run/server.pid"], branded: true },
  { name: "the name in a path", argv: ["/opt/godot-ai/bin/server", "--transport", "x"], branded: true },
  { name: "the name without a flag", argv: ["godot-ai", "serve"], branded: false },
  { name: "a flag without the name", argv: ["server", "--transport", "x"], branded: false },
  { name: "a flag that only begins alike", argv: ["godot-ai", "--transporter"], branded: false },
  {
    name: "the name of the pid file alone",
    argv: ["server", "--pid-file", "/run/godot-ai.pid"],
    branded: false,
  },
  {
    name: "the name of the pid file after =",
    argv: ["server", "--pid-file=/run/godot-ai.pid"],
    branded: false,
  },
  {
    name: "the name in a pid file path with spaces",
    argv: ["server", "--pid-file", "/home/a user/my godot-ai/server.pid"],
    branded: false,
  },
  {
    name: "the name in a pid file path with spaces after =",
    argv: ["server", "--pid-file=/home/a user/my godot-ai/server.pid"],
    branded: false,
  },
  {
    name: "the bare flag that is left of a pid file, beside the name",
    argv: ["godot-ai", "--pid-file", "/run/x.pid"],
    branded: true,
  },
  {
    name: "the flag in upper case with the name in its value",
    argv: ["server", "--PID-FILE", "godot-ai"],
    branded: false,
  },
  { name: "a pid file flag at the very end", argv: ["godot-ai", "--pid-file"], branded: true },
  { name: "an empty command line", argv: [], branded: false },
  { name: "empty tokens", argv: ["", ""], branded: false },
  { name: "a command line that can't be read", argv: null, branded: false },
  {
    name: "anything when no name is known",
    argv: ["godot-ai", "--transport", "x"],
    brand: { names: [] },
    branded: false,
  },
  {
    name: "anything when the known name is empty",
    argv: ["x", "--transport", "x"],
    brand: { names: [""] },
    branded: false,
  },
  { name: "the name when no flag is asked for", argv: ["godot-ai"], brand: { flags: [] }, branded: true },
];
for (const { name, argv, branded, brand } of CASES) {
  Deno.test(`isBranded() ${branded ? "accepts" : "does not accept"} ${name}`, () =>
    assertEquals(isBranded(argv, { ...BRAND, ...brand }), branded));
}
