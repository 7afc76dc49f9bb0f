// The node's own audit log, and whether others have seen it.

import { get } from "./api.js";
import { card, empty, facts, h, table } from "./dom.js";
import { bytes, digest, list, number, plural, time } from "./format.js";

let older = [];
let expanded = null;

async function load([job], ctx, poll) {
  if (expanded !== (job ?? "")) [older, expanded] = [[], job ?? ""];
  const [standing, page, jobs] = await Promise.all([get("audit", poll), get(query(job), poll), get("jobs", poll)]);
  return { standing, page, jobs, job };
}

const query = (job, before) => `audit/entries?limit=50${job ? `&job=${encodeURIComponent(job)}` : ""}${before === undefined ? "" : `&before=${before}`}`;

async function more(data, button, ctx) {
  button.disabled = true;
  const last = older.at(-1) ?? data.page;
  older.push(await get(query(data.job, last.before)));
  ctx.redraw();
}

const total = (sent) => Object.values(sent).reduce((a, b) => a + b, 0);

const WORDS = {
  begun: (r) => ["Log begun", `of ${r.organisation}`],
  cut: (r) => ["Line cut off", `${plural(r.bytes, "byte")} of ${r.file}, left by a crash; no signed head covered them`],
  joined: (r) => ["Member", `${r.organisation} in project ${r.project}`],
  left: (r) => ["Member no more", `${r.organisation} in project ${r.project}, by ${r.by}`],
  forgotten: (r) => ["Root forgotten", `of ${r.organisation}, by ${r.by}`],
  revoked: (r) => ["Certificates void", `of ${r.organisation}`],
  key: (r) => ["Key", `of ${r.purpose}: ${r.event}`],
  model: (r) => ["Model", r.digest ? `${r.model}${r.most_rows ? `, for ${plural(r.most_rows, "row")} at most` : ""}` : `${r.model} withdrawn`],
  table: (r) => ["Table", r.schema ? `${r.table} with ${plural(r.rows, "row")}${r.shown ? `, shown to members of ${list(r.shown)}${r.rows_shown ? " with that number" : ""}` : ""}` : `${r.table} withdrawn`],
  person: (r) => ["Person", `${r.name}: ${r.event}, by ${r.by}`],
  policy: (r) => ["Policy", `${r.digest.slice(0, 12)}, ${{ start: "in use as the node started", "policy.cedar": "changed in its file" }[r.by] ?? `changed by ${r.by}`}`],
  budget: (r) => ["Privacy budget", r.epsilon_milli_total === null ? `of project ${r.project}: no limit` : `of project ${r.project}: epsilon ${r.epsilon_milli_total / 1000} ${r.period_days ? `in ${plural(r.period_days, "day")}` : "in all"}`],
  spent: (r) => ["Taken of the privacy budget", `epsilon ${r.epsilon_milli / 1000}, project ${r.project}`],
  submitted: (r) => ["Job came in", `from ${r.submitter}, project ${r.project}`],
  decided: (r) => [r.decision === "approve" ? "Approved" : "Denied", `by ${r.organisation}: ${r.by.join(", ")}`],
  attempt: (r) => ["Attempt signed", `number ${r.number}${r.parameters.filter(([name, lanes]) => name === "lanes" && lanes !== "1").map(([, lanes]) => `, in ${lanes} lanes`).join("")}`],
  lost: (r) => ["Went on without one", `attempt ${r.number}: ${r.lost} is lost, as all others state; from then on: ${r.security}`],
  session: (r) => ["Session", `of attempt ${r.number}: ${r.session.slice(0, 12)}`],
  opening: (r) => ["Opening", `attempt ${r.number}: ${r.what}`],
  ended: (r) => r.number === 0 ? [`Job ${r.end}`, `without an attempt: ${r.reason}`] : [`Attempt ${r.end}`, `number ${r.number}: ${r.reason}; sent ${bytes(total(r.sent))}${r.verdicts ? `, ${plural(r.verdicts, "check")} passed` : ""}`],
  cosigned: (r) => ["Cosigned", `the log of ${r.organisation} at ${plural(r.size, "entry", "entries")}`],
};

function words(record) {
  const known = WORDS[record.kind];
  return known ? known(record) : [record.kind.replaceAll("_", " "), Object.entries(record).filter(([key, value]) => key !== "kind" && typeof value !== "object").map(([key, value]) => `${key} ${value}`).join(", ")];
}

function entries(data) {
  const names = new Map(data.jobs.map((line) => [line.digest, line.name]));
  const all = [data.page, ...older].flatMap((page) => page.entries);
  const unique = [...new Map(all.map((entry) => [entry.index, entry])).values()].sort((a, b) => b.index - a.index);
  if (!unique.length) return empty("No entries", data.job ? "None of the entries looked through is about this job." : "The log is empty.");
  return table("Entries of the audit log, the newest first", [
    { name: "No.", cell: (e) => number(e.index) },
    { name: "When", cell: (e) => time(e.at) },
    { name: "What", cell: (e) => h("span", { class: "strong" }, words(e.record)[0]) },
    { name: "Details", cell: (e) => h("details", { class: "inline" }, h("summary", {}, words(e.record)[1]), h("pre", { tabindex: "0" }, JSON.stringify(e.record, null, 2))) },
    { name: "Job", cell: (e) => e.record.manifest ? h("a", { href: `#/jobs/${e.record.manifest}` }, names.get(e.record.manifest) ?? digest(e.record.manifest, 8)) : "–" },
  ], unique, (e) => String(e.index));
}

function verification({ standing }) {
  const late = standing.witnesses.filter((w) => w.overdue).map((w) => w.organisation);
  const head = standing.head;
  return card("Verification",
    standing.closed && h("div", { class: "notice bad", role: "alert" }, h("p", {}, h("strong", {}, "The log takes nothing more: "), standing.closed), h("p", {}, "Nothing that must be logged is done until the node is started again.")),
    late.length > 0 ? h("div", { class: "notice warn" }, h("p", {}, h("strong", {}, "Overdue: "), `${list(late)} should have cosigned a later head by now (within ${standing.lag} s). Until then, nobody but this node would notice if its last entries were replaced.`))
      : h("div", { class: "notice good" }, h("p", {}, standing.witnesses.length ? "No member is late in cosigning." : "There are no other members to cosign this log yet.")),
    facts(["Entries", number(standing.size)], ["Signed head", head ? `covers ${plural(head.size, "entry", "entries")}` : "none yet"], head && ["Signed", time(head.at, true)], head && ["Merkle root", digest(head.root, 24)]),
    standing.witnesses.length > 0 && table("Members that cosign", [
      { name: "Member", cell: (w) => w.organisation },
      { name: "Has cosigned", cell: (w) => w.size === null ? "nothing yet" : `${number(w.size)} of ${plural(standing.size, "entry", "entries")}` },
      { name: "State", cell: (w) => h("span", { class: `badge ${w.overdue ? "paused" : w.size === null ? "expired" : "done"}` }, h("span", { class: "dot", "aria-hidden": "true" }), w.overdue ? "overdue" : w.size === null ? "not yet" : "in time") },
      { name: "Its log, seen here", number: true, cell: (w) => plural(w.seen, "entry", "entries") },
    ], standing.witnesses, (w) => w.organisation),
    h("p", { class: "small muted" }, "An auditor verifies exports of several organisations together, without this page and without this node."));
}

function render(data, ctx) {
  const last = older.at(-1) ?? data.page;
  return h("div", {},
    h("header", { class: "head" }, h("h1", { tabindex: "-1" }, "Audit log")),
    verification(data),
    h("section", { class: "card", "aria-label": "Entries" }, h("div", { class: "spread" }, h("h2", {}, "Entries"),
      h("label", { class: "inline-field" }, "Job ", h("select", { onchange: (event) => {
        location.hash = event.target.value ? `#/audit/${event.target.value}` : "#/audit";
      } }, h("option", { value: "", selected: !data.job }, "all"), data.jobs.map((line) => h("option", { value: line.digest, selected: line.digest === data.job }, `${line.name} ${line.digest.slice(0, 8)}`))))),
    entries(data),
    last.before !== null && h("p", {}, h("button", { class: "button", type: "button", onclick: (event) => more(data, event.target, ctx) }, "Older entries"))));
}

export default { title: "Audit log", load, render, every: 5000 };
