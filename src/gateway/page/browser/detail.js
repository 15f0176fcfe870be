/** One server: what it is, what can be done with it, and what it does. */
import { h, icon, setAttribute, setText } from "./elements.js";
import { LogView } from "./logs.js";
import { eventRows, Figures, Timeline } from "./panels.js";
import { serverPath, TokenError } from "./stream.js";
import { duration, look, outcomeLines } from "./texts.js";
import { ToolsView } from "./tools.js";

const TABS = [["logs", "Logs"], ["tools", "Tools"], ["events", "Events"]];
const ACTIONS = [["start", "Start"], ["stop", "Stop"], ["restart", "Restart"]];

export class Detail {
  element;
  #api;
  #store;
  #onLost;
  #key = null;
  #tab = "logs";
  #name = h("bdi");
  #state = h("span", { class: "pill" });
  #message = h("p", { class: "message" });
  #facts = h("dl", { class: "facts-list" });
  #outcome = h("div", { class: "outcome", role: "status", "aria-live": "polite" });
  #buttons;
  #tabs;
  #figures = new Figures();
  #timeline = new Timeline({ hasNames: false });
  #logs;
  #tools;
  #events = h("ol", { class: "events" });
  #panels;
  #confirm;

  constructor({ api, store, onBack, onLost }) {
    this.#api = api;
    this.#store = store;
    this.#onLost = onLost;
    this.#logs = new LogView(api);
    this.#tools = new ToolsView(api);
    this.#buttons = new Map(ACTIONS.map(([action, label]) => [
      action,
      h(
        "button",
        { type: "button", class: `action ${action}`, onclick: () => this.act(action) },
        icon(action),
        label,
      ),
    ]));
    this.#panels = new Map([
      ["logs", this.#logs.element],
      ["tools", this.#tools.element],
      ["events", h("div", { class: "events-view", tabindex: "0" }, this.#events)],
    ]);
    this.#tabs = new Map(TABS.map(([tab, label]) => [
      tab,
      h("button", {
        type: "button",
        role: "tab",
        id: `tab-${tab}`,
        "aria-controls": `panel-${tab}`,
        onclick: () => this.show(tab),
        onkeydown: (event) => this.#moveTab(event, tab),
      }, label),
    ]));
    for (const [tab, panel] of this.#panels) {
      for (
        const [name, value] of [["role", "tabpanel"], ["id", `panel-${tab}`], [
          "aria-labelledby",
          `tab-${tab}`,
        ]]
      ) {
        panel.setAttribute(name, value);
      }
    }
    this.#confirm = confirmDialog();
    this.element = h(
      "article",
      { class: "detail", hidden: true },
      h(
        "header",
        { class: "head" },
        h(
          "button",
          { type: "button", class: "back", "aria-label": "Back to all servers", onclick: onBack },
          icon("back"),
        ),
        h("h2", { tabindex: "-1" }, this.#name),
        this.#state,
        h("div", { class: "actions" }, [...this.#buttons.values()]),
      ),
      this.#outcome,
      this.#message,
      this.#facts,
      this.#figures.element,
      this.#timeline.element,
      h(
        "section",
        { class: "panel tabs" },
        h("div", { role: "tablist", "aria-label": "More about the server" }, [...this.#tabs.values()]),
        [...this.#panels.values()],
      ),
      this.#confirm.element,
    );
  }

  get key() {
    return this.#key;
  }

  /** Shows a server, or none. */
  open(key) {
    if (this.#key !== key) setText(this.#outcome, "");
    this.#key = key;
    this.element.hidden = key === null;
    if (key === null) this.#logs.close();
    else {
      this.#name.textContent = this.#store.find(key)?.name ?? key;
      this.show(this.#tab);
      this.update();
    }
  }

  /** Streams end while nobody looks. */
  rest() {
    this.#logs.close();
  }

  wake() {
    if (this.#key !== null) this.show(this.#tab);
  }

  show(tab) {
    this.#tab = tab;
    for (const [each, button] of this.#tabs) {
      button.setAttribute("aria-selected", String(each === tab));
      button.tabIndex = each === tab ? 0 : -1;
      this.#panels.get(each).hidden = each !== tab;
    }
    if (tab === "logs") this.#logs.open(this.#key);
    else this.#logs.close();
    if (tab === "tools") {
      const server = this.#store.find(this.#key);
      const isCheap = server !== null && server.state === "ready" && server.transport !== "stdio";
      this.#tools.open({ key: this.#key, isCheap });
    }
  }

  focusTab(tab) {
    this.show(tab);
    this.#tabs.get(tab).focus();
  }

  focus() {
    this.element.querySelector("h2").focus();
  }

  update() {
    const server = this.#key === null ? null : this.#store.find(this.#key);
    if (server === null) return;
    const busy = this.#store.busyWith(server.key);
    const { tone, word } = look(server, busy);
    setText(this.#name, server.name);
    setText(this.#state, word);
    setAttribute(this.#state, "data-tone", tone);
    const next = server.next_attempt === null
      ? ""
      : `Next attempt in ${duration(Math.max(0, Date.parse(server.next_attempt) - Date.now()))}`;
    setText(this.#message, [server.message, next].filter((part) => part !== "").join(" · "));
    this.#message.hidden = this.#message.textContent === "";
    this.#setButtons(server, busy);
    this.#setFacts(server);
    this.#figures.update(this.#store, server.key);
    this.#timeline.update(this.#store, [server]);
    eventRows(this.#events, [...this.#store.eventsOf(server.key)].reverse());
  }

  /** As `up`, `down` and `restart` do it, and what they say of it. */
  async act(action) {
    const server = this.#key === null ? null : this.#store.find(this.#key);
    if (server === null || this.#buttons.get(action).getAttribute("aria-disabled") === "true") return;
    const uses = [[server.sessions, "client"], [server.open, "open request"]].filter(([count]) => count > 0);
    if (action === "stop" && uses.length > 0 && !await this.#confirm.ask(server.name, uses)) return;
    this.#store.busy = { ...this.#store.busy, [server.key]: action };
    this.update();
    this.#say(
      [`${{ start: "Starting", stop: "Stopping", restart: "Restarting" }[action]} ${server.name} …`],
      "warn",
    );
    try {
      const answer = await this.#api.ask(serverPath(server.key, action), { method: "POST" });
      if (this.#key === server.key) this.#say(outcomeLines(answer, action), answer.ok ? "good" : "bad");
    } catch (error) {
      if (error instanceof TokenError) this.#onLost(error);
      else if (this.#key === server.key) this.#say([error.message], "bad");
    } finally {
      const { [server.key]: _over, ...others } = this.#store.busy;
      this.#store.busy = others;
      this.update();
    }
  }

  #say(lines, tone) {
    setAttribute(this.#outcome, "data-tone", tone);
    this.#outcome.replaceChildren(...lines.map((line) => h("p", {}, line)));
  }

  #setButtons(server, busy) {
    const isUp = ["ready", "spawning", "stopping", "incompatible"].includes(server.state);
    const usable = {
      start: !isUp || !server.supervised,
      stop: isUp || server.state === "crashed",
      restart: isUp,
    };
    if (server.state === "ready") usable.start = false;
    for (const [action, button] of this.#buttons) {
      // Not disabled: the focus would be lost.
      setAttribute(button, "aria-disabled", String(busy !== null || !usable[action]));
      setAttribute(button, "aria-busy", busy === action ? "true" : null);
      setAttribute(button, "aria-label", `${ACTIONS.find(([each]) => each === action)[1]} ${server.name}`);
    }
  }

  #setFacts(server) {
    const { name, version, protocol } = server.server;
    const facts = [
      ["Endpoint", server.endpoint],
      ["Server", [name, version].filter((part) => part).join(" ") || null],
      [
        "Protocol",
        [protocol === null ? null : `MCP ${protocol}`, server.transport].filter((part) => part).join(" · ") ||
        null,
      ],
      [
        "Process",
        server.pid === null
          ? null
          : `pid ${server.pid}${server.copies > 1 ? ` and ${server.copies - 1} more` : ""}`,
      ],
      ["Up", server.since === null ? null : duration(Date.now() - Date.parse(server.since))],
      ["Restarts", server.restarts === 0 ? null : String(server.restarts)],
      // Said where it is not as one would think.
      ["Supervised", server.pid !== null && !server.supervised && !server.on_demand ? "no" : null],
    ].filter(([, value]) => value !== null);
    const labels = [...this.#facts.querySelectorAll("dt")].map((each) => each.textContent).join();
    if (labels !== facts.map(([label]) => label).join()) {
      this.#facts.replaceChildren(
        ...facts.map(([label, value]) =>
          h(
            "div",
            {},
            h("dt", {}, label),
            h("dd", {}, h("bdi", {}, value), label === "Endpoint" ? copyButton() : null),
          )
        ),
      );
    }
    const values = this.#facts.querySelectorAll("dd > bdi");
    facts.forEach(([, value], at) => setText(values[at], value));
  }

  #moveTab(event, tab) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const at = TABS.findIndex(([each]) => each === tab);
    this.focusTab(TABS[(at + step + TABS.length) % TABS.length][0]);
  }
}

function copyButton() {
  const button = h(
    "button",
    { type: "button", class: "copy", "aria-label": "Copy the endpoint" },
    icon("copy"),
  );
  button.addEventListener("click", async () => {
    // Not there where the page came over the network without TLS.
    await navigator.clipboard?.writeText(button.previousSibling.textContent).catch(() => {});
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 1200);
  });
  return button;
}

/** Asks before clients lose their server. */
function confirmDialog() {
  const text = h("p");
  const element = h(
    "dialog",
    { class: "dialog", "aria-label": "Stop the server" },
    h(
      "form",
      { method: "dialog" },
      text,
      h(
        "div",
        { class: "actions" },
        h("button", { value: "no", class: "action" }, "Keep it running"),
        h("button", { value: "stop", class: "action danger" }, "Stop"),
      ),
    ),
  );
  return {
    element,
    ask(name, uses) {
      const counts = uses.map(([count, word]) => `${count} ${word}${count === 1 ? "" : "s"}`).join(" and ");
      text.replaceChildren(h("bdi", { class: "name" }, name), ` has ${counts}.`);
      element.returnValue = "no";
      element.showModal();
      return new Promise((resolve) =>
        element.addEventListener("close", () => resolve(element.returnValue === "stop"), { once: true })
      );
    },
  };
}
