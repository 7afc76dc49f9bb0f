// The rules by which this organisation decides on jobs.

import { get, post, put } from "./api.js";
import { card, dialog, empty, facts, h, table, toast } from "./dom.js";
import { digest, list, plural } from "./format.js";

// A text that somebody changes, the digest of the policy that it began from, and what checking it said.
let draft = null;

const load = (_, ctx, poll) => get("policy", poll);

const own = (ctx) => draft?.person === ctx.session.person ? draft : null;

function rulesTable(rules) {
  return table("Rules of the policy", [
    { name: "Rule", cell: (r) => h("code", {}, r.name) },
    { name: "Effect", cell: (r) => h("span", { class: `badge ${r.permits ? "done" : "denied"}` }, h("span", { class: "dot", "aria-hidden": "true" }), r.permits ? "permits" : "forbids") },
    { name: "Who approves", cell: (r) => !r.permits ? h("span", { class: "muted" }, "–") : r.approvers ? plural(r.approvers, "person", "persons") : "nobody need" },
    { name: "Reason", cell: (r) => r.reason || h("span", { class: "muted" }, "none given") },
    { name: "Line", number: true, cell: (r) => r.line },
  ], rules, (r) => r.name);
}

function inUse(policy) {
  return card("In use",
    policy.problem && h("div", { class: "notice warn", role: "alert" }, h("p", {}, h("strong", {}, `The file ${policy.file} has another text, which is not in use: `), policy.problem.words)),
    facts(["Rules", plural(policy.rules.length, "rule")],
      ["File", policy.built_in ? h("span", {}, "none: the built-in policy. Another one goes into ", h("code", {}, policy.file), " of the node’s directory.") : h("span", {}, h("code", {}, policy.file), " in the node’s directory")],
      ["Digest", digest(policy.digest, 24)]),
    rulesTable(policy.rules),
    h("p", { class: "small muted" }, "What no rule permits is denied. What a rule forbids is denied, whatever others permit. Of the rules that permit a job, the one that asks for most persons counts."));
}

function edited(policy, ctx, text) {
  draft = { person: ctx.session.person, text, base: own(ctx)?.base ?? policy.digest, checked: null };
  if (text === policy.text && draft.base === policy.digest) draft = null;
  ctx.redraw();
}

async function check(policy, ctx) {
  draft = own(ctx) ?? { person: ctx.session.person, text: policy.text, base: policy.digest };
  const { text } = draft;
  const checked = await post("policy/check", { text }).catch((error) => ({ problem: { line: null, words: error.message } }));
  if (draft?.text === text) draft.checked = checked;
  ctx.redraw();
}

/** Puts the cursor on a line. */
function goTo(line) {
  const area = document.getElementById("policy-text");
  const lines = area.value.split("\n");
  const from = lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
  area.focus();
  area.setSelectionRange(from, from + (lines[line - 1] ?? "").length);
  document.querySelector(".gutter .wrong")?.scrollIntoView({ block: "center" });
}

function verdict(policy, ctx) {
  const checked = own(ctx)?.checked;
  if (!checked) return null;
  const { problem, rules } = checked;
  if (problem) {
    return h("div", { class: "notice bad spread" }, h("p", {}, h("strong", {}, "This is no policy. "), problem.words),
      problem.line && h("button", { class: "button", type: "button", onclick: () => goTo(problem.line) }, `Go to line ${problem.line}`));
  }
  return h("div", { class: "notice good" }, h("p", {}, h("strong", {}, checked.digest === policy.digest ? "This is the policy in use. " : "This is a policy. "), `${plural(rules.length, "rule")}: ${list(rules.map((r) => r.name))}.`));
}

function take(policy, ctx) {
  const { text, base } = own(ctx);
  dialog({
    title: `Take another policy into use at ${ctx.session.organisation}?`,
    content: [
      h("p", {}, "From then on it decides on jobs that come in, and on what it takes to approve those that wait. What is decided stays."),
      h("p", { class: "muted small" }, "The audit log says that you did it: ", h("strong", {}, ctx.session.person), "."),
    ],
    action: "Take into use",
    act: async () => {
      await put("policy", { text, replaces: base });
      draft = null;
      toast("Another policy is in use");
      ctx.refresh();
    },
  });
}

function editor(policy, ctx) {
  const mine = own(ctx);
  const text = mine?.text ?? policy.text;
  const lines = text.split("\n").length;
  const wrong = mine?.checked?.problem?.line;
  const area = h("textarea", {
    id: "policy-text", "data-key": `${mine?.base ?? policy.digest}`, class: "mono", wrap: "off", rows: Math.max(8, lines), spellcheck: "false", autocapitalize: "none", autocomplete: "off",
    "aria-describedby": "policy-hint policy-verdict", "aria-invalid": wrong ? "true" : undefined, oninput: (event) => edited(policy, ctx, event.target.value),
  });
  area.value = text;
  const changed = mine !== null && text !== policy.text;
  return card("Change",
    mine && mine.base !== policy.digest && h("div", { class: "notice warn" }, h("p", {}, "Another policy is in use by now than the one that this text began from. Keep what you wrote elsewhere, undo, and put it in again.")),
    h("label", { for: "policy-text" }, "Text, in Cedar"),
    h("div", { class: "editor" }, h("div", { class: "gutter", "aria-hidden": "true" }, Array.from({ length: Math.max(8, lines) }, (_, i) => h("span", { class: i + 1 === wrong ? "wrong" : undefined }, i + 1))), area),
    h("p", { class: "hint", id: "policy-hint" }, "Every rule has an @id; @reason says why it is there, @approvers how many persons must approve what it permits. docs/POLICY.md lists the facts that rules may use."),
    h("div", { id: "policy-verdict", role: "status" }, verdict(policy, ctx)),
    h("div", { class: "buttons" },
      h("button", { class: "button", type: "button", disabled: !mine, onclick: () => {
        draft = null;
        const field = document.getElementById("policy-text");
        field.value = policy.text;
        ctx.redraw();
      } }, "Undo changes"),
      h("button", { class: "button", type: "button", onclick: () => check(policy, ctx) }, "Check"),
      h("button", { class: "button main", type: "button", disabled: !changed, onclick: async () => {
        await check(policy, ctx);
        if (own(ctx)?.checked && !own(ctx).checked.problem) take(policy, ctx);
      } }, "Take into use")));
}

function render(policy, ctx) {
  return h("div", {},
    h("header", { class: "head" }, h("h1", { tabindex: "-1" }, "Policy")),
    inUse(policy),
    ctx.may("admin") ? editor(policy, ctx)
      : card("Text", policy.text ? h("pre", { tabindex: "0", "aria-label": "Text of the policy" }, policy.text) : empty("No text", "The policy is empty."), h("p", { class: "small muted" }, "Changing it takes the role admin.")));
}

export default { title: "Policy", load, render, every: 10000 };
