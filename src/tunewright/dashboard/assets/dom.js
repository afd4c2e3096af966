// Elements of the page. Texts become text nodes only, so that no text of a script is ever read as HTML.

const MOST_FOLDED_ROWS = 200;

/** Create an element. `on...` attributes are listeners; null, undefined and false leave an attribute out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter(child => child !== null && child !== undefined && child !== false));
  return element;
}

/** Change a text only if it differs: selections and screen readers are left alone. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Build the children of an element anew only if the facts behind them changed: focus, selections and pressed buttons stay. */
export function redraw(element, facts, build) {
  const signature = JSON.stringify(facts);
  if (element.dataset.signature === signature) return;
  element.dataset.signature = signature;
  const focused = element.contains(document.activeElement) ? document.activeElement.textContent : null;
  element.replaceChildren(...[build()].flat().filter(child => child !== null && child !== undefined && child !== ""));
  if (focused === null) return;
  const places = [...element.querySelectorAll("a, button")];
  (places.find(place => place.textContent === focused) ?? places[0])?.focus({preventScroll: true});
}

/** Create an element of an SVG. */
export function svg(tag, attributes, children = []) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A text of any length in two lines; the button shows all of it. */
export function clampedText(text, className = "", most = 160) {
  if (text.length < most) return [h("span", {class: className || null}, text)];
  const body = h("span", {class: `clamp ${className}`}, text);
  const button = h(
    "button",
    {
      type: "button",
      class: "link",
      "aria-expanded": "false",
      onclick: () => {
        const isOpen = body.classList.toggle("open");
        button.setAttribute("aria-expanded", String(isOpen));
        button.textContent = isOpen ? "Show less" : "Show all";
      },
    },
    "Show all",
  );
  return [body, button];
}

/** A card with a heading, and controls at its right. */
export function card(title, controls, ...children) {
  const head = title ? h("div", {class: "card-head"}, h("h2", {}, title), controls ? h("div", {class: "controls"}, controls) : null) : null;
  return h("section", {class: "card", "aria-label": title || null}, head, ...children);
}

/** A sentence in place of content that does not exist yet. */
export function emptyNote(text) {
  return h("p", {class: "empty"}, text);
}

const STATUS_SHAPES = {
  running: "\u25B6",
  completed: "\u2713",
  stopped: "\u25A0",
  paused: "\u2016",
  failed: "\u2715",
  interrupted: "\u25CC",
};

/** A status as shape, colour and word. */
export function statusPill(status) {
  return h(
    "span",
    {class: `pill ${status}`},
    h("span", {class: "shape", "aria-hidden": "true"}, STATUS_SHAPES[status] ?? "\u25CB"),
    status,
  );
}

/** A labelled choice; `options` are texts or [value, label] pairs. */
export function choice(label, options, value, onchange) {
  const select = h("select", {onchange: event => onchange(event.target.value)});
  fillChoice(select, options, value);
  return h("label", {class: "field"}, h("span", {}, label), select);
}

/** Replace the options of a choice, if they changed. */
export function fillChoice(select, options, value) {
  const pairs = options.map(option => (Array.isArray(option) ? option : [option, option]));
  const signature = JSON.stringify(pairs);
  if (select.dataset.signature !== signature) {
    select.dataset.signature = signature;
    select.replaceChildren(...pairs.map(([key, text]) => h("option", {value: key}, text)));
  }
  select.value = value;
}

/** A row of buttons of which one is pressed. */
export function switcher(label, options, value, onchange) {
  const buttons = options.map(([key, text]) =>
    h(
      "button",
      {
        type: "button",
        "aria-pressed": String(key === value),
        onclick: event => {
          for (const button of buttons) button.setAttribute("aria-pressed", String(button === event.currentTarget));
          onchange(key);
        },
      },
      text,
    ),
  );
  return h("div", {class: "switcher", role: "group", "aria-label": label}, buttons);
}

/** A labelled check box. */
export function checkbox(label, value, onchange) {
  const box = h("input", {type: "checkbox", onchange: event => onchange(event.target.checked)});
  box.checked = value;
  return h("label", {class: "check"}, box, label);
}

/** A button that copies a text and says so. */
export function copyButton(label, text) {
  const button = h(
    "button",
    {
      type: "button",
      class: "copy",
      onclick: async () => {
        const content = typeof text === "function" ? text() : text;
        button.textContent = (await copyText(content)) ? "Copied" : "Press Ctrl+C";
        setTimeout(() => {
          button.textContent = label;
        }, 1500);
      },
    },
    label,
  );
  return button;
}

/** Copy a text; without access to the clipboard (a page on http or disk) by a selection. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h("textarea", {class: "off-screen", "aria-hidden": "true"});
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/** A command to copy. */
export function commandLine(command) {
  return h("div", {class: "command"}, h("code", {tabindex: "0"}, command), copyButton("Copy", command));
}

/** Pairs of a label and a text or element; empty ones are left out. */
export function facts(pairs) {
  const list = h("dl", {class: "facts"});
  for (const [label, content] of pairs) {
    if (content !== null && content !== undefined && content !== "") list.append(h("div", {}, h("dt", {}, label), h("dd", {}, content)));
  }
  return list;
}

/** The text alternative of a chart: a folded table, built when it is opened, and again at each drawing of the chart. */
export function foldedTable(head, rows) {
  const body = h("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": "Values of the chart"});
  const draw = () => {
    if (!details.open) return;
    const found = rows(),
      shown = found.slice(0, MOST_FOLDED_ROWS),
      titles = head();
    redraw(body, [titles, shown, found.length], () => [
      shown.length ? plainTable(titles, shown) : emptyNote("No values yet."),
      found.length > shown.length ? h("p", {class: "small"}, `The first ${shown.length} of ${found.length.toLocaleString("en-US")} rows.`) : "",
    ]);
  };
  const details = h("details", {class: "values", ontoggle: draw, ondrawn: draw}, h("summary", {}, "Values as a table"), body);
  return details;
}

/** A table of texts. */
function plainTable(titles, rows) {
  const line = (tag, texts, attributes = {}) =>
    h(
      "tr",
      {},
      texts.map(text => h(tag, attributes, text)),
    );
  return h(
    "table",
    {},
    h("thead", {}, line("th", titles, {scope: "col"})),
    h(
      "tbody",
      {},
      rows.map(row => line("td", row)),
    ),
  );
}
