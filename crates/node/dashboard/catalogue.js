// What the members of a project show each other of their tables. All of them are asked, so only when somebody wants to know.

import { get } from "./api.js";
import { h, problem, table } from "./dom.js";
import { ago, number, plural } from "./format.js";

const told = new Map();

async function ask(project, ctx) {
  told.set(project, { busy: true, last: told.get(project)?.last });
  ctx.redraw();
  try {
    told.set(project, { last: { at: Date.now() / 1000, ...await get(`projects/${encodeURIComponent(project)}/tables`) } });
  } catch (error) {
    told.set(project, { error });
  }
  ctx.redraw();
}

function holds({ kind, min, max, values, missing }) {
  const range = min !== undefined && max !== undefined ? `from ${min} to ${max}` : min !== undefined ? `from ${min}` : max !== undefined ? `up to ${max}` : "any";
  const what = { number: range, category: values?.join(", "), label: (values ?? ["0", "1"]).join(" or "), day: "a day's number", person: "stays at its owner" }[kind] ?? "";
  return missing === undefined ? what : `${what}; ${missing === "zeros" ? "may be empty" : `an empty cell counts as ${missing}`}`;
}

const contract = (name, { columns }) => table(`Columns of ${name}`, [
  { name: "Column", cell: (c) => h("span", { class: "wrap" }, c.name) },
  { name: "Kind", cell: (c) => c.kind },
  { name: "Values", cell: (c) => h("span", { class: "wrap" }, holds(c)) },
], columns, (c) => c.name);

const line = (organisation) => (offer) => ({ organisation, ...offer });

function content(project, ctx) {
  const { last, busy, error } = told.get(project) ?? {};
  if (error) return problem(error, () => ask(project, ctx));
  if (!last) return h("p", { class: "muted", role: "status" }, "Asking the nodes of all members…");
  const offers = Object.entries(last.members).flatMap(([organisation, tables]) => tables.map(line(organisation)));
  const none = Object.entries(last.members).filter(([, tables]) => !tables.length).map(([name]) => name);
  return h("div", {},
    h("div", { class: "spread" }, h("p", { class: "small muted" }, `${plural(offers.length, "table")}, asked `, ago(last.at), ". Each owner says what is shown: name, columns, and the number of rows or not. Nothing else leaves its node."),
      h("button", { class: "button", type: "button", disabled: busy, onclick: () => ask(project, ctx) }, busy ? "Asking…" : "Ask again")),
    Object.entries(last.silent).map(([name, why]) => h("div", { class: "notice warn" }, h("p", {}, h("strong", {}, `${name}: `), why))),
    offers.length > 0 && table(`Tables of members of ${project}`, [
      { name: "Table", cell: (o) => h("span", { class: "strong" }, o.name) },
      { name: "Of", cell: (o) => o.organisation },
      { name: "Rows", number: true, cell: (o) => o.rows === undefined ? h("span", { class: "muted" }, "not shown") : number(o.rows) },
      { name: "Columns", cell: (o) => h("details", { class: "inline" }, h("summary", {}, plural(o.contract.columns.length, "column")), contract(`${o.name} of ${o.organisation}`, o.contract)) },
    ], offers, (o) => `${o.organisation}/${o.name}`),
    none.length > 0 && h("p", { class: "small muted" }, `No tables are shown by: ${none.join(", ")}.`));
}

/** The section of a project. */
export const catalogue = (project, ctx) => h("details", {
  class: "card", "data-key": `catalogue ${project}`, ontoggle: (event) => event.target.open && !told.get(project)?.busy && !told.get(project)?.last && ask(project, ctx),
}, h("summary", {}, h("h2", {}, `Catalogue of ${project}`)), content(project, ctx));
