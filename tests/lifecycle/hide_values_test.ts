import { assertEquals } from "@std/assert";
import { valueHider } from "../../src/lifecycle/start/hide_values.ts";
import { FakeHost } from "../host/fake_host.ts";

Deno.test("valueHider() names the variables in place of their values, in arguments and environment", () => {
  const host = new FakeHost({ env: { HOME: "/home/user", KEY: "s3cr3t-key" } });
  const hidden = valueHider(host, {
    env: { TOKEN: "t0ken-value", PORT: "80" },
    envNames: ["TOKEN", "PORT"],
    args: ["--index", "https://u:s3cr3t-key@host/"],
    maskedArgs: ["--index", "https://u:${env:KEY}@host/"],
    maskedCommand: "npx",
    maskedCwd: "/",
  });
  assertEquals(
    hidden("GET https://u:s3cr3t-key@host/: 401, s3cr3t-key, t0ken-value, 80 packages"),
    "GET https://u:${env:KEY}@host/: 401, ${env:KEY}, ${TOKEN}, 80 packages",
  );
});

Deno.test("valueHider() hides what a program printed into a part of an argument", () => {
  const hidden = valueHider(new FakeHost(), {
    env: {},
    envNames: [],
    args: ["--url=https://me:p4ss-word@host/?k=v"],
    maskedArgs: ["--url=https://me:${cmd:pass show host}@host/?k=v"],
    maskedCommand: "npx",
    maskedCwd: "/",
  });
  assertEquals(hidden("401 for p4ss-word at host"), "401 for ${cmd:pass show host} at host");
});
