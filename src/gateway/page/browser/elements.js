/** Elements of the page. Whatever servers say becomes text: nothing here takes HTML. */

const SVG = "http://www.w3.org/2000/svg";

/** An element. `on…` are listeners; null and false attributes are left out. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== false));
  return element;
}

/** Sets only what differs: a selection or a screen reader's place stays where it is. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
  if (value === null || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

/** Elements by key, in order, each made once and updated in place. */
export class Keyed {
  #parent;
  #make;
  #made = new Map();

  /** `make` gives `{ element, update(item) }`. */
  constructor(parent, make) {
    this.#parent = parent;
    this.#make = make;
  }

  update(items, keyOf) {
    const keys = new Set(items.map(keyOf));
    for (const [key, { element }] of this.#made) {
      if (keys.has(key)) continue;
      element.remove();
      this.#made.delete(key);
    }
    items.forEach((item, at) => {
      const key = keyOf(item);
      const made = this.#made.get(key) ?? this.#make(item);
      this.#made.set(key, made);
      made.update(item);
      if (this.#parent.children[at] !== made.element) {
        this.#parent.insertBefore(made.element, this.#parent.children[at] ?? null);
      }
    });
  }

  get(key) {
    return this.#made.get(key) ?? null;
  }
}

const ICONS = {
  start: "M7 5l11 7-11 7z",
  stop: "M6 6h12v12H6z",
  restart: "M19 12a7 7 0 1 1-2.2-5.1M19 3v5h-5",
  copy: "M9 9h10v10H9zM5 15V5h10",
  theme: "M12 4a8 8 0 1 0 8 8 6 6 0 0 1-8-8z",
  keys: "M3 7h18v10H3zM7 10.5h.01M11 10.5h.01M15 10.5h.01M8 14h8",
  back: "M15 5l-7 7 7 7",
};

export function icon(name) {
  const isSolid = name === "start" || name === "stop";
  return svg(
    "svg",
    {
      viewBox: "0 0 24 24",
      class: isSolid ? "icon solid" : "icon",
      "aria-hidden": "true",
      focusable: "false",
    },
    svg("path", { d: ICONS[name] }),
  );
}
