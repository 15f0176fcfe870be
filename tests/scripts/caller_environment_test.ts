import { assertEquals } from "@std/assert";
import { callerEnvironment } from "../../scripts/caller_environment.ts";

for (
  const { name, isTaken } of [
    { name: "DENO_DIR", isTaken: true },
    { name: "NODE_EXTRA_CA_CERTS", isTaken: true },
    { name: "SSL_CERT_FILE", isTaken: true },
    { name: "DENO_CERT", isTaken: true },
    { name: "HTTPS_PROXY", isTaken: true },
    { name: "no_proxy", isTaken: true },
    { name: "npm_config_registry", isTaken: true },
    { name: "UV_INDEX_URL", isTaken: true },
    { name: "FOSTER_STATE_DIR", isTaken: false },
    { name: "XDG_STATE_HOME", isTaken: false },
    { name: "INIT_CWD", isTaken: false },
    { name: "GITHUB_TOKEN", isTaken: false },
  ]
) {
  Deno.test(`callerEnvironment() ${isTaken ? "takes" : "leaves"} ${name}`, () => {
    const before = Deno.env.get(name);
    Deno.env.set(name, "value");
    try {
      assertEquals(callerEnvironment()[name], isTaken ? "value" : undefined);
    } finally {
      if (before === undefined) Deno.env.delete(name);
      else Deno.env.set(name, before);
    }
  });
}
