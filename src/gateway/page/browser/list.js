/** The servers, one below the other. */
import { h, Keyed, setAttribute, setText } from "./elements.js";
import { Plot } from "./plots.js";
import { lastOf, MEASURES } from "./store.js";
import { bytes, counted, look } from "./texts.js";

/** The key of the entry for all of them. */
export const ALL = "";

export class ServerList {
  element;
  #store;
  #items;
  #filter = "";
  #selected = ALL;
  #empty = h("p", { class: "nothing" });

  constructor(store, { onSelect }) {
    this.#store = store;
    const list = h("ul", { class: "servers" });
    this.#items = new Keyed(list, ({ key }) => entry(key, () => onSelect(key)));
    this.element = h("nav", { class: "side", "aria-label": "Servers" }, list, this.#empty);
  }

  set filter(text) {
    this.#filter = text.trim().toLowerCase();
    this.update();
  }

  /** What is shown now, the entry for all of them first. */
  keys() {
    const matching = this.#store.servers.filter(({ name, key, state, server }) =>
      [name, key, state, server.name ?? ""].some((text) => text.toLowerCase().includes(this.#filter))
    );
    return [ALL, ...matching.map(({ key }) => key)];
  }

  select(key) {
    this.#selected = key;
    this.update();
    this.#items.get(key)?.element.scrollIntoView({ block: "nearest" });
  }

  focus(key) {
    this.#items.get(key)?.element.querySelector("button").focus();
  }

  update() {
    const now = Date.now();
    const items = this.keys().map((key) => ({
      key,
      now,
      isSelected: key === this.#selected,
      ...(key === ALL ? summary(this.#store) : server(this.#store, key)),
    }));
    this.#items.update(items, ({ key }) => key);
    const isEmpty = items.length === 1;
    this.#empty.hidden = !isEmpty;
    setText(
      this.#empty,
      !isEmpty ? "" : this.#filter === "" ? "No servers yet." : "No server is called that.",
    );
  }
}

function entry(key, onClick) {
  const dot = h("span", { class: "dot", "aria-hidden": "true" });
  const name = h("bdi", { class: "name" });
  const facts = h("span", { class: "facts" });
  const word = h("span", { class: "word" });
  const plot = new Plot({ name: "Requests a second", width: 72, height: 22 });
  plot.element.setAttribute("aria-hidden", "true");
  const button = h(
    "button",
    { type: "button", class: key === ALL ? "server all" : "server", onclick: onClick },
    dot,
    h("span", { class: "text" }, name, h("span", { class: "below" }, word, facts)),
    plot.element,
  );
  const element = h("li", {}, button);
  return {
    element,
    update(item) {
      setText(name, item.name);
      setText(word, item.word);
      setText(facts, item.facts);
      setAttribute(dot, "data-tone", item.tone);
      setAttribute(word, "data-tone", item.tone);
      setAttribute(button, "aria-current", item.isSelected ? "true" : null);
      plot.update({ points: item.points, bars: item.failed, now: item.now, say: "", floor: 1 });
    },
  };
}

function server(store, key) {
  const found = store.find(key);
  const { tone, word } = look(found, store.busyWith(key));
  const memory = lastOf(store.points(key, MEASURES.memory));
  const facts = [
    found.sessions > 0 ? counted(found.sessions, "client") : null,
    memory ? bytes(memory) : null,
  ].filter((part) => part !== null);
  return {
    name: found.name,
    tone,
    word,
    facts: facts.map((part) => ` · ${part}`).join(""),
    points: store.points(key, MEASURES.requests),
    failed: store.points(key, MEASURES.failed),
  };
}

function summary(store) {
  const tones = store.servers.map((each) => look(each, store.busyWith(each.key)).tone);
  const count = (tone) => tones.filter((each) => each === tone).length;
  const troubled = count("bad");
  return {
    name: "All servers",
    tone: troubled > 0 ? "bad" : count("warn") > 0 ? "warn" : count("good") > 0 ? "good" : "off",
    word: troubled > 0 ? `${troubled} in trouble` : `${count("good")} ready`,
    facts: ` · ${counted(store.servers.length, "server")}`,
    points: store.totals(MEASURES.requests),
    failed: store.totals(MEASURES.failed),
  };
}
