/**
 * Finds the parts of a setting that must not be copied: whole values, and what stands inside URLs, headers, connection
 * strings, JSON and `--flag=value`.
 *
 * @module
 */
import { isObject } from "../../base/json.ts";

/** Part of a text that is a secret. */
export interface SecretPart {
  start: number;
  end: number;
  /** What it is called where it stands: a variable, a flag, a parameter; null where nothing names it. */
  name: string | null;
}

export interface SecretSearch {
  parts: SecretPart[];
  /** Something in it may be a secret, and may as well be none: somebody has to look. */
  isDoubtful: boolean;
}

export interface SecretContext {
  /** Name of the variable, flag or header that the text is the value of, null for none. */
  name: string | null;
  /** The client's references to variables: they are no secrets. Global. */
  references: RegExp | null;
}

const NOTHING: SecretSearch = { parts: [], isDoubtful: false };

/** Where the secrets of a text are, in order and without overlap. */
export function findSecrets(text: string, context: SecretContext): SecretSearch {
  const { name, references } = context;
  if (text.trim() === "" || isReferenceOnly(text, references)) return NOTHING;
  const whole = (): SecretSearch => ({ parts: [{ start: 0, end: text.length, name }], isDoubtful: false });
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) return whole();
  const json = /^\s*[{[]/.test(text) ? jsonOf(text) : undefined;
  if (json !== undefined) return inJson(text, json, context);
  if (/^\s*[a-z][a-z0-9+.-]*:\/\//i.test(text)) return inUrls(text, context);
  if (name !== null && isSecretName(name) && !isHarmless(name, text) && !hasReference(text, references)) {
    return whole();
  }
  const [, login, password = ""] = /^(?:u|user|userpwd)$/i.test(name ?? "")
    ? /^([^\s:]+:)(\S+)$/.exec(text) ?? []
    : [];
  // Two numbers are a user and a group.
  if (login !== undefined && !/^[0-9]+$/.test(password) && !hasReference(password, references)) {
    return { parts: [{ start: login.length, end: text.length, name: "password" }], isDoubtful: false };
  }
  const header = headerOf(text);
  if (header !== null && isSecretName(header.name)) {
    return shifted(findSecrets(header.value, { ...context, name: header.name }), header.start);
  }
  const pairs = pairsOf(text);
  if (pairs === null) return inWords(text, context);
  return joined(
    pairs.map(({ name, value, start }) =>
      shifted(findSecrets(value, { ...context, name: named(name) }), start)
    ),
  );
}

/** Whether a value under this name (of a variable or an option) holds a secret. */
export function isSecret(name: string, value: string, references: RegExp | null = null): boolean {
  return findSecrets(value, { name, references }).parts.length > 0;
}

/** `Name: value`; a drive letter or a protocol is no name. */
function headerOf(text: string): Pair | null {
  const [, lead = "", name = "", value] = /^(\s*([A-Za-z][\w-]+):[ \t]*)((?!\/\/)\S[^]*)$/.exec(text) ?? [];
  return value === undefined ? null : { name, value, start: lead.length };
}

// ------------------------------------------------------------------------------------------------------------ names

const SECRET_WORD =
  /(?:^|_)(?:api_?keys?|keys?|tokens?|secrets?|pass|passwd|passwords?|pwd|passphrase|passcode|pin|otp|credentials?|creds|auth|authorization|bearer|pat|cookies?|dsn|sig|signature|sas|jwt|private|webhook)(?:_|$)/i;
const SECRET_ENDING = /(?:key|token|secret|password|passwd|passphrase|bearer)$/i;
/** Says something about a secret and is none. */
const ABOUT_ONE =
  /(?:^|_)(?:file|path|dir|folder|ids?|name|type|mode|method|scheme|provider|prefix|header|limit|limits|max|min|count|size|length|ttl|timeout|expiry|expires|region|version|model|endpoint|host|port|enabled|disabled|required|algorithm|alg|audience|issuer|scope|scopes|store|manager|user|username|email)$/i;

/** `apiKey`, `api-key` and `API_KEY` in one spelling. */
function named(name: string): string {
  return name.trim().replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2").replaceAll(/[^A-Za-z0-9]+/g, "_");
}

/** Whether what stands under this name is to be taken for a secret. */
function isSecretName(name: string): boolean {
  const plain = named(name);
  return !ABOUT_ONE.test(plain) && (SECRET_WORD.test(plain) || SECRET_ENDING.test(plain));
}

const SWITCH =
  /^(?:true|false|yes|no|on|off|none|null|undefined|default|enabled|disabled|required|optional)$/i;
const SCHEME =
  /^(?:basic|bearer|digest|oauth2?|oidc|jwt|apikey|api[_-]key|token|local|password|ldap|saml|iam|cookie)$/i;
const NEVER_A_NUMBER =
  /(?:^|_)(?:pass|passwd|passwords?|pwd|passcode|pin|otp|secrets?)(?:_|$)|(?:password|secret)$/i;

/** Numbers and switches, kinds of authentication, paths and addresses: `MAX_TOKEN=4096` is no secret. */
function isHarmless(name: string, value: string): boolean {
  const text = value.trim();
  if (/^[0-9]{1,7}$/.test(text)) return !NEVER_A_NUMBER.test(named(name));
  if (SWITCH.test(text) || SCHEME.test(text)) return true;
  const isPath = /^(?:~?\/|\.{1,2}\/|[A-Za-z]:[\\/])[^\s]*$/.test(text);
  return isPath && !text.split(/[\\/]/).some(isRandom);
}

// ------------------------------------------------------------------------------------------------------- references

function isReferenceOnly(text: string, references: RegExp | null): boolean {
  if (references === null || !hasReference(text, references)) return false;
  const rest = text.replaceAll(references, "").replace(/^\s*(?:bearer|basic|token)\b/i, "");
  return !/[A-Za-z0-9]/.test(rest);
}

function hasReference(text: string, references: RegExp | null): boolean {
  return references !== null && text.search(references) !== -1;
}

// ------------------------------------------------------------------------------------------------------------- JSON

function jsonOf(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

function inJson(text: string, json: unknown, context: SecretContext): SecretSearch {
  const parts: SecretPart[] = [];
  let [from, isDoubtful] = [0, false];
  const visit = (value: unknown, name: string | null): void => {
    if (Array.isArray(value)) return value.forEach((each) => visit(each, name));
    if (isObject(value)) return Object.entries(value).forEach(([key, each]) => visit(each, key));
    if (typeof value !== "string" || value === "") return;
    const written = JSON.stringify(value).slice(1, -1);
    const at = text.indexOf(written, from);
    const found = findSecrets(value, { ...context, name });
    isDoubtful ||= found.isDoubtful;
    if (found.parts.length === 0) {
      if (at !== -1) from = at + written.length;
    } else if (at === -1) {
      // Written with other escapes than ours: the whole text goes.
      parts.push({ start: 0, end: text.length, name });
    } else {
      parts.push({ start: at, end: at + written.length, name });
      from = at + written.length;
    }
  };
  visit(json, context.name);
  const everything = parts.find(({ start, end }) => start === 0 && end === text.length);
  return { parts: everything === undefined ? parts : [everything], isDoubtful };
}

// ------------------------------------------------------------------------------------------------------------- URLs

const URL_PATTERN = /[a-z][a-z0-9+.-]*:\/\/[^\s"'<>]+/gi;

const WEBHOOK_HOST =
  /^(?:hooks\.slack\.com|(?:ptb\.|canary\.)?discord(?:app)?\.com\/api\/webhooks|[\w.-]*webhook\.office\.com|hooks\.zapier\.com|hook\.[\w.-]*make\.com|maker\.ifttt\.com|outlook\.office\.com\/webhook|chat\.googleapis\.com)/i;

function inUrls(text: string, context: SecretContext): SecretSearch {
  return joined(
    [...text.matchAll(URL_PATTERN)].map((match) => shifted(inUrl(match[0], context), match.index)),
  );
}

function inUrl(url: string, context: SecretContext): SecretSearch {
  const found: SecretSearch[] = [];
  const begin = url.indexOf("://") + 3;
  const queryAt = url.search(/[?#]/);
  const end = queryAt === -1 ? url.length : queryAt;
  const authorityEnd = indexOrEnd(url.slice(begin, end), "/") + begin;
  const authority = url.slice(begin, authorityEnd);
  const at = authority.lastIndexOf("@");
  if (at !== -1) {
    const colon = authority.slice(0, at).indexOf(":");
    // A name alone is shown, unless it is the token itself.
    const start = colon === -1 ? 0 : colon + 1;
    const value = authority.slice(start, at);
    const name = context.name ?? "password";
    const isUserAlone = colon === -1 && !isRandom(value) && knownToken(value) === null;
    if (value !== "" && !isUserAlone && !isReferenceOnly(value, context.references)) {
      found.push({ parts: [{ start: begin + start, end: begin + at, name }], isDoubtful: false });
    }
  }
  found.push(shifted(inPath(url.slice(authorityEnd, end), { authority, context }), authorityEnd));
  for (const match of url.slice(end).matchAll(/([?&#;])([^=&#]+)=([^&#]*)/g)) {
    const [, separator = "", name = "", value = ""] = match;
    const start = end + match.index + separator.length + name.length + 1;
    const sub = findSecrets(decoded(value), { ...context, name });
    // What is encoded may be of another length: the whole parameter goes.
    if (sub.parts.length > 0) {
      found.push({ parts: [{ start, end: start + value.length, name }], isDoubtful: false });
    } else found.push({ parts: [], isDoubtful: sub.isDoubtful });
  }
  return joined(found);
}

function inPath(
  path: string,
  { authority, context }: { authority: string; context: SecretContext },
): SecretSearch {
  if (path.length < 2) return NOTHING;
  const isWebhook = WEBHOOK_HOST.test(authority + path) ||
    context.name !== null && /(?:^|_)webhook(?:_|$)/i.test(named(context.name)) && /^\/.+\/./.test(path);
  if (isWebhook) {
    const name = context.name ?? "webhook_path";
    return { parts: [{ start: 1, end: path.length, name }], isDoubtful: false };
  }
  const found: SecretSearch[] = [];
  for (const { 0: segment, index } of path.matchAll(/[^/]+/g)) {
    if (isReferenceOnly(segment, context.references)) continue;
    const isBot = /^bot\d+:[\w-]{20,}$/.test(segment);
    if (isBot || isRandom(segment) || knownToken(segment) !== null) {
      found.push({
        parts: [{ start: index, end: index + segment.length, name: context.name }],
        isDoubtful: false,
      });
    } else if (UUID.test(segment)) found.push({ parts: [], isDoubtful: true });
  }
  return joined(found);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function indexOrEnd(text: string, part: string): number {
  const at = text.indexOf(part);
  return at === -1 ? text.length : at;
}

// ---------------------------------------------------------------------------------------------- NAME=VALUE and words

interface Pair {
  name: string;
  value: string;
  start: number;
}

/** `NAME=VALUE`, `--name=value`, `A=1;B=2` and `a=1 b=2`; null where the text is nothing of it. */
function pairsOf(text: string): Pair[] | null {
  for (const separator of [/;/, /\s+/]) {
    const pieces = piecesOf(text, separator).filter(({ text }) => text.trim() !== "");
    const pairs = pieces.map(pairOf);
    if (pieces.length > 1 && pairs.every((pair) => pair !== null)) return pairs;
  }
  // A command line may begin with an assignment.
  const only = /\s--?[A-Za-z]/.test(text) ? null : pairOf({ text, start: 0 });
  return only === null ? null : [only];
}

function pairOf({ text, start }: { text: string; start: number }): Pair | null {
  const [, lead = "", name = "", value] =
    /^(\s*(?:--?)?([A-Za-z_][A-Za-z0-9_. -]*?)\s*=\s*)([^]*)$/.exec(text) ?? [];
  return value === undefined ? null : { name, value, start: start + lead.length };
}

function piecesOf(text: string, separator: RegExp): { text: string; start: number }[] {
  const pieces: { text: string; start: number }[] = [];
  let start = 0;
  for (const match of text.matchAll(new RegExp(separator, "g"))) {
    pieces.push({ text: text.slice(start, match.index), start });
    start = match.index + match[0].length;
  }
  return [...pieces, { text: text.slice(start), start }];
}

/** Tokens by their looks, anywhere in the text; URLs in it on their own. */
function inWords(text: string, context: SecretContext): SecretSearch {
  if (text.search(URL_PATTERN) !== -1) return inUrls(text, context);
  const scheme = /\b(?:bearer|basic)\s+(?=\S{6,})/i.exec(text);
  if (scheme !== null) {
    const start = scheme.index + scheme[0].length;
    const { length } = /^\S*/.exec(text.slice(start))?.[0] ?? "";
    const value = text.slice(start, start + length);
    if (isReferenceOnly(value, context.references)) return NOTHING;
    return { parts: [{ start, end: start + length, name: context.name }], isDoubtful: false };
  }
  const found: SecretSearch[] = [];
  let flag: string | null = null;
  for (const { 0: word, index } of text.matchAll(/[^\s"',;()]+/g)) {
    const before = flag;
    flag = /^--?([A-Za-z][\w-]*)$/.exec(word)?.[1] ?? null;
    if (hasReference(word, context.references)) continue;
    const isPart = word !== text;
    const pair = isPart ? pairOf({ text: word, start: 0 }) : null;
    const token = knownToken(word);
    if (isPart && before !== null && flag === null && isSecretName(before)) {
      found.push(shifted(findSecrets(word, { ...context, name: before }), index));
    } else if (pair !== null) {
      found.push(
        shifted(findSecrets(pair.value, { ...context, name: named(pair.name) }), index + pair.start),
      );
    } else if (token !== null) {
      const start = index + token.index;
      found.push({ parts: [{ start, end: start + token.length, name: context.name }], isDoubtful: false });
    } else if (isRandom(word) && !isPinned(word)) {
      found.push({
        parts: [{ start: index, end: index + word.length, name: context.name }],
        isDoubtful: false,
      });
    } else if (UUID.test(word) || isTokenLike(word)) found.push({ parts: [], isDoubtful: true });
  }
  return joined(found);
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Beginnings that services give their tokens; a name of words with hyphens between them is none. */
const KNOWN_TOKENS: readonly RegExp[] = [
  /\b(?:sk|pk|rk)[-_](?:[A-Za-z0-9]{12,}\b|(?:ant|proj|live|test|or|svcacct|lf)[-_][\w-]{8,})/,
  /\bgh[opsur]_[A-Za-z0-9]{16,}/,
  /\bgithub_pat_\w+/,
  /\bgl(?:pat|rt|dt|cbt|ptt)-[\w-]{8,}/,
  /\bxox[a-z]-[\w-]{8,}/,
  /\bxapp-[0-9][\w-]{8,}/,
  /\b(?:AKIA|ASIA)[A-Z0-9]{12,}/,
  /\bAIza[\w-]{20,}/,
  /\bya29\.[\w-]{20,}/,
  /\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?/,
  /\b(?:hf|npm|nfp|ntn|lin_api|dop_v1|shpat|shpss|figd|pul|rnd|re|fc|gsk|xai|phc|phx|sntrys|dapi|whsec|pplx|sbp|secret)_(?=\w*[0-9])\w{16,}/,
  /\b(?:tvly|fc|xai|pplx|dapi|key)-(?=[A-Za-z]*[0-9])[A-Za-z0-9]{16,}/,
  /\bSG\.[\w-]{16,}\.[\w-]{16,}/,
  /\bpypi-[\w-]{16,}/,
  /\bATATT[\w=-]{16,}/,
  /\bAGE-SECRET-KEY-1[A-Z0-9]{16,}/,
  /\b[0-9]{8,10}:[A-Za-z0-9_-]{35}\b/,
];

function knownToken(text: string): { index: number; length: number } | null {
  for (const pattern of KNOWN_TOKENS) {
    const match = pattern.exec(text);
    if (match !== null) return { index: match.index, length: match[0].length };
  }
  return null;
}

/** A long run of letters and digits that change all the time, as no word, version or model name does. */
function isRandom(text: string): boolean {
  for (const [run] of text.matchAll(/[A-Za-z0-9_+=]{20,}/g)) {
    if (/^[0-9a-f]{32,}$/i.test(run) && /[0-9]/.test(run) && /[a-f]/i.test(run)) return true;
    const changes = run.match(/[A-Za-z](?=[0-9])|[0-9](?=[A-Za-z])/g)?.length ?? 0;
    if (changes >= 3) return true;
    const cases = run.match(/[a-z](?=[A-Z])|[A-Z](?=[a-z])/g)?.length ?? 0;
    if (changes >= 1 && cases >= run.length / 4) return true;
  }
  return false;
}

/** A content hash or a commit that pins a version. */
function isPinned(text: string): boolean {
  return /(?:sha(?:1|256|384|512)[:-]|[@#])[A-Za-z0-9+/=]{32,}$/.test(text);
}

function isTokenLike(text: string): boolean {
  return /^(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_]{16,}$/.test(text);
}

// ------------------------------------------------------------------------------------------------------------ joining

function shifted({ parts, isDoubtful }: SecretSearch, by: number): SecretSearch {
  return {
    parts: parts.map(({ start, end, name }) => ({ start: start + by, end: end + by, name })),
    isDoubtful,
  };
}

function joined(found: readonly SecretSearch[]): SecretSearch {
  return {
    parts: found.flatMap(({ parts }) => parts),
    isDoubtful: found.some(({ isDoubtful }) => isDoubtful),
  };
}
