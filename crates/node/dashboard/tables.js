// Tables of this organisation that jobs may name.

import { get, remove } from "./api.js";
import { card, dialog, empty, facts, h, toast } from "./dom.js";
import { number } from "./format.js";

const load = (_, ctx, poll) => get("tables", poll);

function withdraw(table, ctx) {
  dialog({
    title: `Withdraw ${table.name}?`,
    content: h("p", {}, "Jobs that name it can be approved or started no more. The file stays where it is."),
    action: "Withdraw", kind: "danger",
    act: async () => {
      await remove(`tables/${encodeURIComponent(table.name)}`);
      toast(`${table.name} is withdrawn`);
      ctx.refresh();
    },
  });
}

const one = (ctx) => (table) => h("section", { class: "card", "data-key": table.name, "aria-label": `Table ${table.name}` },
  h("div", { class: "spread" }, h("h2", {}, table.name), ctx.may("admin") && h("button", { class: "button", type: "button", onclick: () => withdraw(table, ctx) }, "Withdraw")),
  facts(["Rows", number(table.rows)], ["File", table.path ? h("code", { class: "wrap" }, table.path) : "shown to admins"], table.test_path && ["Rows to evaluate on", h("code", { class: "wrap" }, table.test_path)]),
  h("details", {}, h("summary", {}, "Contract of its columns"), h("pre", { tabindex: "0" }, table.schema)));

function render(tables, ctx) {
  return h("div", {},
    h("header", { class: "head" }, h("h1", { tabindex: "-1" }, "Tables")),
    tables.length ? tables.map(one(ctx)) : card("Catalogue", empty("No tables yet", "Register one on the node's machine: ", h("code", {}, "privity table add NAME --data FILE --schema FILE"), ". Its rows never leave this node; jobs name it, and each job needs this organisation's approval.")));
}

export default { title: "Tables", load, render, every: 10000 };
