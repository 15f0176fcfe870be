/** What the page asks of the gateway. The token goes in a header, never in an address. */

const KEPT = "foster-token";
const LINE_LIMIT = 32 * 1024 * 1024;

/** The gateway does not take this token, or no longer. */
export class TokenError extends Error {}

export class Api {
  #token = sessionStorage.getItem(KEPT);

  get hasToken() {
    return this.#token !== null;
  }

  /** Takes what stands behind the # of an address, and takes it out of there. Nothing else keeps it. */
  async takeFrom(hash) {
    const given = new URLSearchParams(hash.replace(/^#/, ""));
    const [token, code] = [given.get("token"), given.get("code")];
    if (token === null && code === null) return;
    history.replaceState(null, "", location.pathname);
    if (token !== null) this.keep(token);
    if (code === null) return;
    const response = await fetch("/ui/token", {
      method: "POST",
      headers: { authorization: `Bearer ${code}` },
    });
    if (response.ok) this.keep((await response.json()).token);
    // A page that has the token already does without.
    else if (!this.hasToken) throw new TokenError((await response.json()).message);
  }

  keep(token) {
    this.#token = token;
    sessionStorage.setItem(KEPT, token);
  }

  forget() {
    this.#token = null;
    sessionStorage.removeItem(KEPT);
  }

  async ask(path, { method = "GET", signal } = {}) {
    const response = await this.#fetch(path, { method, signal });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.message ?? `the gateway answers ${response.status}`);
    return answer;
  }

  /** Calls back with each message, until the stream ends. */
  async follow(path, { signal, onOpen = () => {}, onMessage }) {
    const response = await this.#fetch(path, { signal });
    if (!response.ok) throw new Error((await response.json()).message);
    onOpen();
    const messages = new Messages();
    const decoder = new TextDecoder();
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      for (const message of messages.add(decoder.decode(value, { stream: true }))) onMessage(message);
    }
  }

  async #fetch(path, { method = "GET", signal }) {
    const headers = { authorization: `Bearer ${this.#token ?? ""}` };
    const response = await fetch(`/ui/${path}`, { method, headers, signal, cache: "no-store" });
    if (response.status !== 401) return response;
    throw new TokenError((await response.json()).message);
  }
}

/** Puts server-sent events together from pieces of text. */
export class Messages {
  #rest = "";

  add(text) {
    this.#rest += text;
    if (this.#rest.length > LINE_LIMIT) throw new Error("a message without an end");
    const parts = this.#rest.split("\n\n");
    this.#rest = parts.pop();
    return parts.flatMap((part) => {
      const data = part.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
      return data.length === 0 ? [] : [JSON.parse(data.join("\n"))];
    });
  }
}

export function serverPath(key, what) {
  return `servers/${encodeURIComponent(key)}/${what}`;
}
