/**
 * Which values of other programs' settings must not be copied into a definition file.
 *
 * @module
 */

const SECRET_WORD =
  /(?:^|[_.-])(?:api_?key|key|keys|token|secret|secrets|pass|passwd|password|pwd|passphrase|credentials?|auth|authorization|bearer|pat|cookie|dsn)(?:[_.-]|$)/i;
const SECRET_ENDING = /(?:key|token|secret|password|passwd)$/i;
const PLACE_OF_ONE = /(?:^|[_.-])(?:file|path|dir|folder|id|name|type|mode)$/i;
/** Numbers and switches: `MAX_TOKEN=4096` is none. */
const HARMLESS = /^(?:|[0-9]{1,7}|true|false|yes|no|on|off|none|null)$/i;

const SECRET_VALUES: readonly RegExp[] = [
  /^(?:sk|pk|rk)[-_][A-Za-z0-9_-]{8,}$/,
  /^gh[opsur]_[A-Za-z0-9]{16,}$/,
  /^github_pat_\w+$/,
  /^glpat-/,
  /^xox[a-z]-/,
  /^(?:AKIA|ASIA)[A-Z0-9]{12,}$/,
  /^AIza[\w-]{20,}$/,
  /^ey[\w-]{8,}\.[\w-]{8,}\./,
  /^(?:bearer|basic|token)\s+\S{8,}$/i,
  /-----BEGIN [A-Z ]*PRIVATE KEY-----/,
  /^[a-z][a-z0-9+.-]*:\/\/[^/@\s]*:[^/@\s]+@/i,
  /[?&](?:api_?key|token|secret|password|access_token)=[^&\s]+/i,
];
/** Long texts of letters and digits without words in them: keys whose name says nothing. */
const RANDOM_LOOKING = /^(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_+=-]{32,}$/;

/** Whether a value under this name (of a variable or an option) is to be taken for a secret. */
export function isSecret(name: string, value: string): boolean {
  if (HARMLESS.test(value.trim()) || isReference(value)) return false;
  if (looksSecret(value)) return true;
  if (PLACE_OF_ONE.test(name)) return false;
  const plain = name.replaceAll(/([a-z])([A-Z])/g, "$1_$2");
  return SECRET_WORD.test(plain) || SECRET_ENDING.test(plain);
}

/** Whether the value alone gives it away. */
export function looksSecret(value: string): boolean {
  return SECRET_VALUES.some((pattern) => pattern.test(value)) || RANDOM_LOOKING.test(value);
}

/** A value that is nothing but one variable, perhaps after `Bearer`. */
function isReference(value: string): boolean {
  return /^(?:bearer\s+)?\$\{[^{}]*\}$/i.test(value.trim());
}
