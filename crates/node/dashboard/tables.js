// Tables and models of this organisation that jobs may name.

import { get, remove } from "./api.js";
import { card, dialog, empty, facts, h, toast } from "./dom.js";
import { catalogue } from "./catalogue.js";
import { list, number } from "./format.js";

async function load(_, ctx, poll) {
  const [tables, models, projects] = await Promise.all([get("tables", poll), get("models", poll), get("projects", poll)]);
  return { tables, models, projects };
}

const shown = ({ projects, shows_rows }) => projects.length ? `to members of ${list(projects)}${shows_rows ? ", with the number of rows" : ""}` : "to nobody";

function withdraw(kind, { name }, ctx) {
  dialog({
    title: `Withdraw ${name}?`,
    content: h("p", {}, "Jobs that name it can be approved or started no more. The file stays where it is."),
    action: "Withdraw", kind: "danger",
    act: async () => {
      await remove(`${kind}/${encodeURIComponent(name)}`);
      toast(`${name} is withdrawn`);
      ctx.refresh();
    },
  });
}

const one = (ctx) => (table) => h("section", { class: "card", "data-key": table.name, "aria-label": `Table ${table.name}` },
  h("div", { class: "spread" }, h("h2", {}, table.name), ctx.may("admin") && h("button", { class: "button", type: "button", onclick: () => withdraw("tables", table, ctx) }, "Withdraw")),
  facts(["Rows", number(table.rows)], ["Shown", shown(table)], ["File", table.path ? h("code", { class: "wrap" }, table.path) : "shown to admins"], table.test_path && ["Rows to evaluate on", h("code", { class: "wrap" }, table.test_path)]),
  h("details", {}, h("summary", {}, "Contract of its columns"), h("pre", { tabindex: "0" }, table.schema)));

const file = ({ path }) => path ? h("code", { class: "wrap" }, path) : "shown to admins";

const model = (ctx) => (model) => h("section", { class: "card", "data-key": `model ${model.name}`, "aria-label": `Model ${model.name}` },
  h("div", { class: "spread" }, h("h2", {}, "Model ", model.name), ctx.may("admin") && h("button", { class: "button", type: "button", onclick: () => withdraw("models", model, ctx) }, "Withdraw")),
  facts(["What it is", model.form], ["Rows scored with it", model.limit ? `${number(model.scored)} of ${number(model.limit)}` : `${number(model.scored)}, no limit`],
    ...model.files.map((one, i) => [model.files.length > 1 ? `File of class ${i}` : "File", file(one)]), ["Digest", h("code", { class: "wrap" }, model.digest)]),
  h("details", {}, h("summary", {}, "Contract of the columns that it reads"), h("pre", { tabindex: "0" }, model.schema)));

function render({ tables, models, projects }, ctx) {
  return h("div", {},
    h("header", { class: "head" }, h("h1", { tabindex: "-1" }, "Tables")),
    tables.length ? tables.map(one(ctx)) : card("Catalogue", empty("No tables yet", "Register one on the node's machine: ", h("code", {}, "privity table add NAME --data FILE --schema FILE [--project PROJECT] [--show-rows]"), ". Its rows never leave this node; jobs name it, and each job needs this organisation's approval.")),
    models.map(model(ctx)),
    projects.map((project) => catalogue(project.name, ctx)));
}

export default { title: "Tables", load, render, every: 10000 };
