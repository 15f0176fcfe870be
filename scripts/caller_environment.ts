/**
 * What a child of the benchmark or of a test takes over from its caller.
 *
 * @module
 */

/** Where programs, homes and caches are, and how packages and certificates are reached: nothing else leads a child. */
const names = new RegExp(
  "^(?:PATH|HOME|TMPDIR|TEMP|TMP|SYSTEMROOT|PATHEXT|COMSPEC|APPDATA|LOCALAPPDATA|USERPROFILE|DENO_DIR|DENO_CERT|" +
    "DENO_TLS_CA_STORE|NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE|\\w+_PROXY|" +
    "NPM_CONFIG_\\w+|UV_\\w+|PIP_\\w+)$",
  "i",
);

/** The caller's variables that a bare child needs as well. */
export function callerEnvironment(): Record<string, string> {
  return Object.fromEntries(Object.entries(Deno.env.toObject()).filter(([name]) => names.test(name)));
}
