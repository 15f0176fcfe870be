/** The page: its frame, its keys, and its connection to the gateway. */
import { Detail } from "./detail.js";
import { h, icon, setAttribute, setText } from "./elements.js";
import { ALL, ServerList } from "./list.js";
import { eventRows, Figures, Timeline } from "./panels.js";
import { Store } from "./store.js";
import { Api, TokenError } from "./stream.js";
import { bytes, duration } from "./texts.js";

const THEME = "foster-theme";
const RETRY_MS = [500, 1000, 2000, 5000];
/** A page that nobody sees lets its streams go after so long. */
const HIDDEN_MS = 60_000;
const RECENT_EVENTS = 60;

const KEYS = [
  ["j / k", "next or previous server"],
  ["Enter", "open the server"],
  ["Esc", "back to all servers"],
  ["/", "find a server"],
  ["u", "start it (up)"],
  ["d", "stop it (down)"],
  ["r", "restart it"],
  ["l · t · e", "its log, tools, events"],
  ["?", "this list"],
];

const api = new Api();
const store = new Store();

class Overview {
  #figures = new Figures();
  #timeline = new Timeline({ hasNames: true });
  #events = h("ol", { class: "events" });
  #hint = h(
    "section",
    { class: "panel hint", hidden: true },
    h("h3", {}, "Nothing here yet"),
    h("p", {}, "Bring servers up, or put those of a definition file behind one address:"),
    h("pre", {}, "foster up demo\nfoster serve --detach"),
  );
  element = h(
    "article",
    { class: "overview" },
    h("h2", { class: "unseen", tabindex: "-1" }, "All servers"),
    this.#hint,
    this.#figures.element,
    this.#timeline.element,
    h(
      "section",
      { class: "panel", "aria-label": "What happened" },
      h("header", {}, h("h3", {}, "What happened")),
      this.#events,
    ),
  );

  update() {
    const isEmpty = store.servers.length === 0;
    this.#hint.hidden = !isEmpty;
    this.#timeline.element.hidden = isEmpty;
    this.#figures.update(store, null);
    this.#timeline.update(store, store.servers);
    eventRows(this.#events, store.newestEvents(RECENT_EVENTS));
  }
}

class Frame {
  #selected = ALL;
  #list = new ServerList(store, { onSelect: (key) => this.select(key, { focuses: true }) });
  #overview = new Overview();
  #detail = new Detail({
    api,
    store,
    onBack: () => this.select(ALL, { focuses: true }),
    onLost: (error) => askForToken(error),
  });
  #filter = h("input", {
    type: "search",
    placeholder: "Find",
    "aria-label": "Find a server",
    autocomplete: "off",
    spellcheck: "false",
    "aria-keyshortcuts": "/",
    oninput: () => this.#list.filter = this.#filter.value,
  });
  #live = h("span", { class: "live", role: "status" });
  #facts = h("span", { class: "supervisor" });
  #help = h(
    "dialog",
    { class: "dialog", "aria-label": "Keys" },
    h("h3", {}, "Keys"),
    h(
      "dl",
      { class: "keys" },
      KEYS.map(([key, what]) => h("div", {}, h("dt", {}, h("kbd", {}, key)), h("dd", {}, what))),
    ),
    h("form", { method: "dialog" }, h("button", { class: "action" }, "Close")),
  );
  element = h(
    "div",
    { class: "frame" },
    h(
      "header",
      { class: "top" },
      h("h1", {}, h("span", { class: "mark", "aria-hidden": "true" }, "f"), "foster"),
      this.#live,
      this.#facts,
      this.#filter,
      h(
        "button",
        { type: "button", class: "round", "aria-label": "Dark or light", onclick: turnTheme },
        icon("theme"),
      ),
      h("button", {
        type: "button",
        class: "round",
        "aria-label": "Keys",
        onclick: () => this.#help.showModal(),
      }, icon("keys")),
    ),
    this.#list.element,
    h("main", {}, this.#overview.element, this.#detail.element),
    this.#help,
  );

  constructor() {
    document.addEventListener("keydown", (event) => this.#press(event));
  }

  select(key, { focuses = false } = {}) {
    this.#selected = key;
    const isAll = key === ALL;
    this.element.classList.toggle("showing", !isAll);
    this.#overview.element.hidden = !isAll;
    this.#list.select(key);
    this.#detail.open(isAll ? null : key);
    document.title = isAll ? "foster" : `${store.find(key)?.name ?? key} · foster`;
    history.replaceState(null, "", isAll ? location.pathname : `#server=${encodeURIComponent(key)}`);
    if (isAll) this.#overview.update();
    // Where one hides the other, the focus has to go along.
    if (focuses && matchMedia("(max-width: 859px)").matches) {
      if (isAll) this.#list.focus(ALL);
      else this.#detail.focus();
    }
  }

  update() {
    const { pid, version, since, resident_bytes } = store.supervisor;
    setText(
      this.#facts,
      [`v${version}`, `pid ${pid}`, `up ${duration(Date.now() - Date.parse(since))}`, bytes(resident_bytes)]
        .join(" · "),
    );
    this.#list.update();
    if (this.#selected === ALL) this.#overview.update();
    else if (store.find(this.#selected) === null) this.select(ALL);
    else this.#detail.update();
  }

  /** `state`: live, waiting or gone. */
  setLive(state, text) {
    setAttribute(this.#live, "data-state", state);
    setText(this.#live, text);
    this.element.classList.toggle("stale", state !== "live");
  }

  rest() {
    this.#detail.rest();
  }

  wake() {
    this.#detail.wake();
  }

  #press(event) {
    const isTyping = event.target instanceof HTMLInputElement;
    if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
      if (isTyping) {
        event.target.value = "";
        event.target.dispatchEvent(new Event("input"));
        event.target.blur();
      } else this.select(ALL, { focuses: true });
      return;
    }
    if (isTyping && event.target === this.#filter && event.key === "Enter") {
      const [, first] = this.#list.keys();
      if (first === undefined) return;
      event.target.value = "";
      this.#list.filter = "";
      event.target.blur();
      this.select(first, { focuses: true });
      return;
    }
    if (
      isTyping || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")
    ) return;
    const action = { u: "start", d: "stop", r: "restart" }[event.key];
    const tab = { l: "logs", t: "tools", e: "events" }[event.key];
    const step = { j: 1, k: -1 }[event.key];
    if (event.key === "/") this.#filter.focus();
    else if (event.key === "?") this.#help.showModal();
    else if (step !== undefined) this.#move(step);
    else if (this.#selected === ALL) return;
    else if (action !== undefined) this.#detail.act(action);
    else if (tab !== undefined) this.#detail.focusTab(tab);
    else return;
    event.preventDefault();
  }

  #move(step) {
    const keys = this.#list.keys();
    const at = keys.indexOf(this.#selected);
    const next = keys[Math.min(keys.length - 1, Math.max(0, at + step))];
    if (next === undefined) return;
    this.select(next);
    this.#list.focus(next);
  }
}

function turnTheme() {
  const isDark = getComputedStyle(document.documentElement).colorScheme === "dark" ||
    (document.documentElement.dataset.theme === undefined &&
      matchMedia("(prefers-color-scheme: dark)").matches);
  setTheme(isDark ? "light" : "dark");
  localStorage.setItem(THEME, isDark ? "light" : "dark");
}

function setTheme(theme) {
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
}

/** The page without a token, or with one that is not taken. */
function askForToken(error = null) {
  following?.abort();
  api.forget();
  const input = h("input", {
    type: "password",
    id: "address",
    autocomplete: "off",
    spellcheck: "false",
    placeholder: "http://127.0.0.1:…/#token=…",
  });
  const problem = h("p", { class: "problem", role: "alert" }, error?.message ?? "");
  app.replaceChildren(h(
    "main",
    { class: "gate" },
    h("h1", {}, h("span", { class: "mark", "aria-hidden": "true" }, "f"), "foster"),
    h(
      "p",
      {},
      "This page shows and controls the servers of this machine. It opens with the address that ",
      h("code", {}, "foster ui"),
      " prints.",
    ),
    problem,
    h(
      "form",
      {
        onsubmit: (event) => {
          event.preventDefault();
          const given = input.value.trim();
          const hash = given.includes("#") ? given.slice(given.indexOf("#")) : `#token=${given}`;
          begin(hash);
        },
      },
      h("label", { for: "address" }, "Address or token"),
      h("div", { class: "row" }, input, h("button", { class: "action" }, "Open")),
    ),
  ));
  input.focus();
}

let following = null;
let hiddenTimer = null;
let frame = null;

async function begin(hash) {
  const wanted = new URLSearchParams(hash.replace(/^#/, "")).get("server");
  try {
    await api.takeFrom(hash);
  } catch (error) {
    return askForToken(error);
  }
  if (!api.hasToken) return askForToken();
  following?.abort();
  frame ??= new Frame();
  frame.setLive("waiting", "connecting");
  await follow(wanted);
}

/** Goes on for as long as the page is seen, over every end of the connection. */
async function follow(wanted = null) {
  const ending = new AbortController();
  following = ending;
  let tries = 0;
  let isFirst = true;
  while (!ending.signal.aborted) {
    try {
      await api.follow("watch", {
        signal: ending.signal,
        onMessage: (message) => {
          tries = 0;
          store.take(message);
          if (isFirst) {
            if (frame.element.parentElement !== app) app.replaceChildren(frame.element);
            if (wanted !== null && store.find(wanted) !== null) frame.select(wanted);
          }
          isFirst = false;
          frame.setLive("live", "live");
          frame.update();
        },
      });
    } catch (error) {
      if (ending.signal.aborted) return;
      if (error instanceof TokenError) return askForToken(error);
      if (isFirst && frame.element.parentElement !== app) app.replaceChildren(waitingNote(error));
    }
    if (ending.signal.aborted) return;
    frame.setLive(
      "gone",
      tries < RETRY_MS.length ? "reconnecting" : "the supervisor has ended: foster ui starts it",
    );
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)]));
  }
}

function waitingNote(error) {
  return h("main", { class: "gate" }, h("p", { role: "alert" }, error.message));
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(hiddenTimer);
  if (document.hidden) {
    hiddenTimer = setTimeout(() => {
      following?.abort();
      frame?.rest();
    }, HIDDEN_MS);
  } else if (following?.signal.aborted && api.hasToken) {
    frame.wake();
    follow();
  }
});
addEventListener("hashchange", () => {
  if (/[#&](?:token|code)=/.test(location.hash)) begin(location.hash);
});

const app = document.getElementById("app");
setTheme(localStorage.getItem(THEME));
begin(location.hash);
