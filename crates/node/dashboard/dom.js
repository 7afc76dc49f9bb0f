// Elements, their renewal in place, and dialogs. Data goes into pages as text nodes and attributes only.

const HANDLERS = ["onclick", "onsubmit", "onchange", "oninput", "ontoggle"];
const SVG = "http://www.w3.org/2000/svg";

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (HANDLERS.includes(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

/** An element of HTML. */
export const h = (tag, props, ...children) => fill(document.createElement(tag), props, children);

/** An element of SVG. */
export const s = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);

const keyOf = (node) => node.nodeType === Node.ELEMENT_NODE ? node.getAttribute("data-key") : null;

/** Makes one tree like another, keeping what is there: focus, scroll positions and what was typed stay. */
export function morph(from, to) {
  if (from.nodeType !== to.nodeType || from.nodeName !== to.nodeName || keyOf(from) !== keyOf(to)) {
    from.replaceWith(to);
    return;
  }
  if (from.nodeType !== Node.ELEMENT_NODE) {
    if (from.data !== to.data) from.data = to.data;
    return;
  }
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && name !== "open") from.removeAttribute(name);
  }
  for (const { name, value } of to.attributes) {
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  for (const handler of HANDLERS) from[handler] = to[handler];
  morphChildren(from, to);
}

function morphChildren(from, to) {
  const kept = new Set([...to.childNodes].map(keyOf));
  // What goes, goes first: then what stays need not move, and keeps its focus.
  for (const node of [...from.childNodes]) if (keyOf(node) && !kept.has(keyOf(node))) node.remove();
  const keyed = new Map([...from.childNodes].filter(keyOf).map((node) => [keyOf(node), node]));
  let at = from.firstChild;
  for (const wanted of [...to.childNodes]) {
    const known = keyOf(wanted) && keyed.get(keyOf(wanted));
    if (known) {
      if (known === at) at = at.nextSibling;
      else from.insertBefore(known, at);
      morph(known, wanted);
    } else if (at && !keyOf(at) && !keyOf(wanted)) {
      const next = at.nextSibling;
      morph(at, wanted);
      at = next;
    } else {
      from.insertBefore(wanted, at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

/** Says something to those who do not see it. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

/** A message that goes by itself, one at a time. */
export function toast(text) {
  document.querySelector(".toast")?.remove();
  const note = h("div", { class: "toast" }, text);
  document.body.append(note);
  announce(text);
  setTimeout(() => note.remove(), 6000);
}

/** What went wrong, in words, its code apart. */
export function problem(error, again) {
  return h("div", { class: "notice bad", role: "alert" },
    h("p", {}, h("strong", {}, "This did not work. "), error.message),
    error.code && h("p", { class: "muted small" }, "Code ", h("code", {}, error.code)),
    again && h("button", { class: "button", type: "button", onclick: again }, "Try again"));
}

/** A card with a heading. */
export function card(title, ...content) {
  return h("section", { class: "card", "data-key": title }, h("h2", {}, title), ...content);
}

/** Terms and what they are. */
export function facts(...pairs) {
  const shown = pairs.filter((pair) => pair && pair[1] !== undefined && pair[1] !== null);
  return h("dl", { class: "facts" }, shown.map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))));
}

/** A table. Columns: heading, and how a row becomes a cell; `number` aligns right. On narrow pages rows of many columns become lists, unless it is a grid. */
export function table(caption, columns, rows, key, grid = false) {
  const kind = `scroll${columns.length > 3 && !grid ? " stack" : ""}${rows.length > 16 && columns.length < 4 ? " compact" : ""}`;
  const cell = (row) => (column, i) => h(i ? "td" : "th", { class: column.number ? "number" : undefined, scope: i ? undefined : "row", "data-label": column.name },
    column.cell(row));
  return h("div", { class: kind, role: "region", "aria-label": caption, tabindex: "0" }, h("table", {},
    h("caption", { class: "unseen" }, caption),
    h("thead", {}, h("tr", {}, columns.map((column) => h("th", { scope: "col", class: column.number ? "number" : undefined }, column.name)))),
    h("tbody", {}, rows.map((row) => h("tr", { "data-key": key ? key(row) : undefined }, columns.map(cell(row)))))));
}

/** Nothing is there, and what to do about it. */
export function empty(title, ...text) {
  return h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), h("p", { class: "muted" }, ...text));
}

let fields = 0;

/** A labelled field of a form. */
export function field(label, props, hint) {
  const id = `field-${fields += 1}`;
  const tag = props.rows ? "textarea" : props.options ? "select" : "input";
  const { options, ...rest } = props;
  const input = h(tag, { ...rest, id, "aria-describedby": hint ? `${id}-hint` : undefined },
    options?.map(([value, name]) => h("option", { value, selected: value === props.value }, name)));
  if (tag === "textarea" && props.value) input.value = props.value;
  return h("div", { class: "field" }, h("label", { for: id }, label), input, hint && h("p", { class: "hint", id: `${id}-hint` }, hint));
}

/** A form over the page: the browser keeps focus in it, and Escape closes it. `act` gets what was filled in, and may return what comes next. */
export function dialog({ title, content, action, kind, act }) {
  const error = h("div", { class: "form-error", role: "alert" });
  const close = () => box.close();
  const buttons = h("div", { class: "buttons" },
    h("button", { class: "button", type: "button", onclick: close }, action ? "Cancel" : "Close"),
    action && h("button", { class: `button ${kind ?? "main"}`, type: "submit" }, action));
  const form = h("form", {}, h("h2", { id: "dialog-title" }, title), content, error, buttons);
  const box = h("dialog", { "aria-labelledby": "dialog-title" }, form);
  form.onsubmit = async (event) => {
    event.preventDefault();
    const submit = buttons.lastChild;
    submit.disabled = true;
    error.textContent = "";
    try {
      const next = await act(Object.fromEntries(new FormData(form)));
      close();
      next?.();
    } catch (problem) {
      error.textContent = problem.message;
      submit.disabled = false;
    }
  };
  box.addEventListener("close", () => box.remove());
  document.body.append(box);
  box.showModal();
  form.querySelector("input, textarea, select")?.focus();
}
