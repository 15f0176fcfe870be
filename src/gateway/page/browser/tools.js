/** The tools of a server, as it listed them last. */
import { h, setText } from "./elements.js";
import { serverPath } from "./stream.js";
import { clock, counted } from "./texts.js";

export class ToolsView {
  element;
  #api;
  #note = h("span", { class: "dim" });
  #ask = h("button", { type: "button", class: "small" }, "Ask the server");
  #filter = h("input", {
    type: "search",
    placeholder: "Filter tools",
    "aria-label": "Filter tools",
    autocomplete: "off",
  });
  #list = h("ul", { class: "tools" });
  #key = null;

  constructor(api) {
    this.#api = api;
    this.#ask.addEventListener("click", () => this.#load("POST"));
    this.#filter.addEventListener("input", () => this.#match());
    this.element = h(
      "div",
      { class: "tools-view" },
      h("div", { class: "tools-row" }, this.#filter, this.#ask, this.#note),
      this.#list,
    );
  }

  /** `isCheap`: the server runs and answers without another process. */
  async open({ key, isCheap }) {
    this.#key = key;
    this.#list.replaceChildren();
    this.#filter.value = "";
    const isKnown = await this.#load("GET");
    if (!isKnown && isCheap && this.#key === key) await this.#load("POST");
  }

  async #load(method) {
    const key = this.#key;
    setText(this.#note, method === "POST" ? "asking …" : "");
    this.#ask.disabled = method === "POST";
    try {
      const { at, tools } = await this.#api.ask(serverPath(key, "tools"), { method });
      if (this.#key !== key) return true;
      if (tools === null) {
        setText(this.#note, "It has not said yet: asking starts it where it is not running.");
        return false;
      }
      setText(this.#note, `${counted(tools.length, "tool")}, as of ${clock(at)}`);
      this.#list.replaceChildren(...tools.map(toolRow));
      this.#match();
      return true;
    } catch (error) {
      if (this.#key === key) setText(this.#note, error.message);
      return true;
    } finally {
      this.#ask.disabled = false;
    }
  }

  #match() {
    const wanted = this.#filter.value.trim().toLowerCase();
    for (const row of this.#list.children) {
      row.hidden = wanted !== "" && !row.querySelector(".about").textContent.toLowerCase().includes(wanted);
    }
  }
}

function toolRow({ name, title, description, schema }) {
  const about = h(
    "span",
    { class: "about" },
    h("bdi", { class: "tool-name" }, name),
    title === "" || title === name ? null : h("bdi", { class: "tool-title" }, title),
    description === "" ? null : h("bdi", { class: "tool-text" }, description),
  );
  if (schema === "" || schema === "null") return h("li", {}, h("div", { class: "plain" }, about));
  return h("li", {}, h("details", {}, h("summary", {}, about), h("pre", { tabindex: "0" }, schema)));
}
