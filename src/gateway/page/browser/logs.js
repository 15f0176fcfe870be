/** A server's log as it grows. */
import { h, setText } from "./elements.js";
import { serverPath } from "./stream.js";
import { counted } from "./texts.js";

const LINES_KEPT = 2000;
/** So near the end it follows. */
const NEAR_PX = 40;
const RETRY_MS = 2000;

const LEVELS = [
  [/\b(?:error|fatal|panic|exception|traceback|critical)\b/i, "bad"],
  [/\bwarn(?:ing)?\b/i, "warn"],
  [/^\s*(?:\[?debug\]?|trace)\b/i, "off"],
];

export class LogView {
  element;
  #api;
  #lines = h("div", { class: "log", role: "log", tabindex: "0", "aria-label": "Log", "aria-live": "off" });
  #filter = h("input", {
    type: "search",
    placeholder: "Filter lines",
    "aria-label": "Filter lines",
    autocomplete: "off",
  });
  #follow = h("button", { type: "button", class: "small", "aria-pressed": "true" }, "Follow");
  #wrap = h("button", { type: "button", class: "small", "aria-pressed": "false" }, "Wrap");
  #count = h("span", { class: "dim" });
  #ending = null;
  #following = true;
  #waiting = [];
  #isDrawing = false;

  constructor(api) {
    this.#api = api;
    this.#filter.addEventListener("input", () => {
      for (const line of this.#lines.children) this.#match(line);
      this.#scroll();
    });
    this.#follow.addEventListener("click", () => this.#setFollowing(!this.#following));
    this.#wrap.addEventListener("click", () => {
      const isOn = this.#lines.classList.toggle("wrap");
      this.#wrap.setAttribute("aria-pressed", String(isOn));
    });
    this.#lines.addEventListener("scroll", () => {
      const { scrollHeight, scrollTop, clientHeight } = this.#lines;
      const isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR_PX;
      if (isAtEnd !== this.#following) this.#setFollowing(isAtEnd, { scrolls: false });
    });
    this.element = h(
      "div",
      { class: "logs" },
      h("div", { class: "tools-row" }, this.#filter, this.#follow, this.#wrap, this.#count),
      this.#lines,
    );
  }

  /** Shows another server's log from its end. */
  open(key) {
    this.close();
    this.#lines.replaceChildren();
    this.#waiting = [];
    setText(this.#count, "");
    this.#setFollowing(true);
    const ending = new AbortController();
    this.#ending = ending;
    this.#run(key, ending.signal);
  }

  close() {
    this.#ending?.abort();
    this.#ending = null;
  }

  focusFilter() {
    this.#filter.focus();
  }

  async #run(key, signal) {
    while (!signal.aborted) {
      let isFirst = true;
      try {
        await this.#api.follow(serverPath(key, "logs"), {
          signal,
          onMessage: ({ lines, missed }) => {
            if (signal.aborted) return;
            if (isFirst) {
              this.#lines.replaceChildren();
              this.#waiting = [];
            }
            if (missed > 0) {
              this.#waiting.push({ text: `… ${counted(missed, "line")} passed by too fast`, isNote: true });
            }
            this.#waiting.push(...lines.map((text) => ({ text })));
            if (isFirst && lines.length === 0) {
              this.#waiting.push({ text: "Nothing in the log yet.", isNote: true });
            }
            isFirst = false;
            this.#waiting = this.#waiting.slice(-LINES_KEPT);
            this.#drawSoon();
          },
        });
      } catch {
        // The connection is shown elsewhere.
      }
      if (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  #drawSoon() {
    if (this.#isDrawing) return;
    this.#isDrawing = true;
    requestAnimationFrame(() => {
      this.#isDrawing = false;
      const lines = this.#waiting.map(({ text, isNote = false }) => {
        const [, tone = null] = isNote ? [] : LEVELS.find(([pattern]) => pattern.test(text)) ?? [];
        const line = h(
          "div",
          { class: isNote ? "line note" : "line", "data-tone": tone },
          text === "" ? "\u00a0" : text,
        );
        this.#match(line);
        return line;
      });
      this.#waiting = [];
      this.#lines.append(...lines);
      while (this.#lines.children.length > LINES_KEPT) this.#lines.firstChild.remove();
      const count = this.#lines.querySelectorAll(".line:not(.note)").length;
      setText(this.#count, counted(count, "line"));
      this.#scroll();
    });
  }

  #match(line) {
    const wanted = this.#filter.value.trim().toLowerCase();
    line.hidden = wanted !== "" && !line.textContent.toLowerCase().includes(wanted);
  }

  #setFollowing(isOn, { scrolls = true } = {}) {
    this.#following = isOn;
    this.#follow.setAttribute("aria-pressed", String(isOn));
    if (scrolls) this.#scroll();
  }

  #scroll() {
    if (this.#following) this.#lines.scrollTop = this.#lines.scrollHeight;
  }
}
