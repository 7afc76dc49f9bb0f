// One job: what runs, on what, who learns what, what protects it, what it costs, who approved it, how far it is.

import { get, post } from "./api.js";
import { announce, card, dialog, empty, facts, field, h, table, toast } from "./dom.js";
import { ago, bytes, digest, duration, figure, list, number, plural, state, time } from "./format.js";
import { curve, follow, share } from "./chart.js";
import { consequence, notices, silent, spoken, standing, without } from "./loss.js";
import { timeline } from "./timeline.js";
import { columns, difference, kind, range, summary } from "./manifest.js";

// Seconds between passes that are said aloud.
const RARELY = 20;
// So many events come at once, and so often they are asked for.
const [MOST, OFTEN] = [1000, 10];

let known = null;
let passSaid = 0;

const isOver = (line) => ["done", "aborted", "denied", "expired"].includes(line.state);

async function load([name], ctx, poll) {
  const path = `jobs/${encodeURIComponent(name)}`;
  // Only a change is worth another answer, or a price that was not there.
  const line = poll && known?.name === name ? (await get("jobs", true)).find((line) => line.digest === known.details.line.digest) : null;
  const same = line && line.updated === known.details.line.updated && line.without === known.details.line.without && known.details.plan.parties && line.state === known.details.line.state && line.state !== "pending";
  const details = same ? known.details : await get(path, poll);
  if (known?.name !== name) known = null;
  const progress = await newest(path, known?.progress, poll);
  const status = isOver(details.line) ? null : await get("status", poll);
  const now = { name, details, progress, status };
  if (known) say(known, now);
  known = now;
  return known;
}

async function newest(path, before, poll) {
  // What was known before stays as it was.
  let progress = before && { ...before };
  for (let asked = 0; asked < OFTEN; asked += 1) {
    const events = await get(`${path}/events?after=${progress?.last ?? 0}`, poll);
    progress = follow(progress, events);
    if (events.length < MOST) break;
  }
  return progress;
}

// What changed, for those who do not see it: all in one, as a second message would take the place of the first.
function say(before, now) {
  const { line } = now.details;
  const away = silent(before.details, before.status).map(([name]) => name);
  const seconds = Date.now() / 1000;
  const pass = before.progress.losses.length < now.progress.losses.length && seconds - passSaid > RARELY;
  if (pass) passSaid = seconds;
  const said = [
    line.state === "running" && line.without && line.without !== before.details.line.without && spoken(line.without),
    ...silent(now.details, now.status).filter(([name]) => !away.includes(name) && name !== line.without).map(([name]) => `${name} does not answer`),
    before.details.line.state !== line.state && `The job is ${line.state}${without(line)}`,
    pass && `Pass ${now.progress.epoch} done, loss ${figure(now.progress.losses.at(-1)[1])}`,
  ].filter(Boolean);
  if (said.length) announce(`${said.join(". ")}.`);
}

const reasonField = (required) => field("Reason", { name: "reason", rows: 3, maxlength: 500, required }, "It is signed with the decision, and all participants see it.");

function decide(details, decision, ctx) {
  const deny = decision === "deny";
  const { line, manifest } = details;
  dialog({
    title: deny ? `Deny ${line.name}?` : `Approve ${line.name}?`,
    content: [
      h("p", {}, deny ? "The job will not run, at any participant. If it runs, it is stopped. This cannot be taken back."
        : `You agree that this job runs on the rows it names, and that what stands under “Who learns what” is opened. Its purpose: “${manifest.purpose}”`),
      h("p", { class: "muted small" }, "What is signed is the digest ", h("code", { class: "wrap" }, line.digest), ", by this organisation's key, with your name: ", h("strong", {}, ctx.session.person), "."),
      reasonField(deny),
    ],
    action: deny ? "Deny" : "Approve",
    kind: deny ? "danger" : "main",
    act: async ({ reason }) => {
      const said = await post(`jobs/${line.digest}/votes`, { decision, reason: reason.trim() || "approved after reading" });
      toast(`Recorded: ${said}`);
      ctx.refresh();
    },
  });
}

function giveUp(details, ctx) {
  dialog({
    title: `Give up ${details.line.name}?`, content: h("p", {}, "All participants are told, and none attempts it again."), action: "Give up", kind: "danger",
    act: async () => {
      await post(`jobs/${details.line.digest}/abort`, ctx.session.person ?? "tool");
      ctx.refresh();
    },
  });
}

// How much of this organisation's model a job takes.
function taken({ own_model: use }) {
  if (!use) return null;
  const most = use.rows * use.attempts;
  const before = use.limit ? `${number(use.scored)} of at most ${plural(use.limit, "row")} were scored before` : `${plural(use.scored, "row")} were scored before, and there is no limit`;
  return h("p", { class: "small" }, "It takes up to ", h("strong", {}, plural(most, "row")), ` of this organisation's model ${use.model}: ${plural(use.rows, "row")} in each of ${plural(use.attempts, "attempt")}. ${use.registered ? before : "No model of this name is registered now"}.`);
}

function decision(details, ctx) {
  const { line, voters, wanted } = details;
  if (!line.ours) return null;
  const progress = wanted > 1 && h("p", { class: "votes" },
    h("span", { class: "pips", "aria-hidden": "true" }, Array.from({ length: wanted }, (_, i) => h("span", { class: i < voters.length ? "pip full" : "pip" }))),
    h("strong", {}, `${voters.length} of ${wanted} have approved`), h("span", { class: "muted" }, voters.length ? `: ${list(voters)}` : `. The policy asks for ${plural(wanted, "person", "persons")}.`));
  const mine = voters.includes(ctx.session.person);
  const note = !wanted ? "Nobody can approve it now: the policy forbids it, or its time is over." : mine ? "You have approved it. Another person has to, too." : null;
  const approve = note ? null : h("button", { class: "button main", type: "button", onclick: () => decide(details, "approve", ctx) }, "Approve");
  return h("section", { class: "card decide", "data-key": "decision", "aria-label": "Decision of this organisation" },
    h("div", {}, h("h2", {}, `${ctx.session.organisation} has not decided`), h("p", { class: "muted" }, "Read what runs, on which columns, and who learns what. Nothing runs until every participant approves."), taken(details), progress, ctx.may("approver") && note && h("p", { class: "small" }, note)),
    ctx.may("approver") ? h("div", { class: "buttons" },
      h("button", { class: "button danger", type: "button", onclick: () => decide(details, "deny", ctx) }, "Deny"),
      approve)
      : h("p", { class: "muted" }, "Deciding takes the role approver."));
}

function progressCard({ details, progress }) {
  const { line, report, manifest } = details;
  if (["pending", "denied", "expired"].includes(line.state) && !progress.connected) return null;
  const epochs = manifest.job.training.epochs;
  const part = line.state === "done" ? 1 : share(progress, epochs);
  const losses = report?.losses?.length ? report.losses.map((loss, i) => [i, loss]) : progress.losses;
  const since = part - (progress.connected?.from ?? 0) / Math.max(1, epochs);
  const eta = line.state === "running" && since > 0.02 && progress.connected ? (Date.now() / 1000 - progress.connected.at) * (1 - part) / since : null;
  const words = line.state === "done" ? "complete" : progress.connected ? manifest.job.score ? "computes" : `pass ${Math.min(epochs, progress.epoch + 1)} of ${epochs}` : "not started";
  const label = h("div", { class: "spread" }, h("span", {}, `${Math.floor(part * 100)} %, ${words}`), h("span", { class: "muted" }, eta ? `about ${duration(eta)} left` : "\u00a0"));
  return card("Progress", label,
    h("progress", { value: part.toFixed(3), max: "1", "aria-label": "Progress" }), manifest.job.score ? null : h("figure", {}, curve(losses, epochs), h("figcaption", { class: "small muted" }, "Mean training loss after each pass. It is opened to all, as listed under “Who learns what”.")),
    progress.notes.length > 0 && h("ul", { class: "notes" }, progress.notes.map((note) => h("li", {}, time(note.at), " ", note.text))));
}

function resultCard({ report, manifest }) {
  const scored = manifest.job.score && report?.files?.find((file) => file.endsWith("predictions.csv"))?.split("/").at(-1);
  if (!report?.joint && !report?.own) return scored ? card("Result", facts(["Results of the own rows", h("span", {}, h("code", {}, scored), ", in the job's directory at this node")])) : null;
  const row = (name, of) => of && { name, ...of };
  const rows = [row("Held-out rows of all", report.joint), row(manifest.job.score ? "Rows here, by their labels" : "Held-out rows here", report.own)].filter(Boolean);
  return card("Result", table("Quality of the model", [
    { name: "Judged on", cell: (r) => r.name }, { name: "Rows", number: true, cell: (r) => number(r.rows) }, { name: "Accuracy", number: true, cell: (r) => figure(r.accuracy) },
    { name: "AUC", number: true, cell: (r) => figure(r.auc) }, { name: "Log loss", number: true, cell: (r) => figure(r.log_loss) },
  ], rows), scored && facts(["Results of the own rows", h("span", {}, h("code", {}, scored), ", in the job's directory at this node")]), report.warning && h("p", { class: "reason" }, report.warning));
}

function participantsCard(data) {
  const { line, manifest, approvals } = data.details;
  const missing = isOver(line) ? ["expired", "none"] : ["pending", "missing"];
  const model_ = (name) => manifest.models?.find((m) => m.organisation === name)?.model;
  const table_ = (name) => manifest.datasets.find((d) => d.organisation === name)?.table;
  const decided = (name) => approvals.find((a) => a.organisation === name);
  return card("Participants and decisions", table("Participants and their decisions", [
    { name: "Organisation", cell: (p) => h("div", {}, h("span", { class: "strong" }, p.name), standing(p.name, data), h("div", { class: "small muted" }, "root ", digest(p.fingerprint, 8))) },
    { name: "Brings", cell: (p) => p.rows ? h("div", {}, "table ", h("code", {}, table_(p.name)), h("div", { class: "small muted" }, `${plural(p.rows, "row")}${p.test_rows ? ` and ${number(p.test_rows)} held out` : ""}`)) : p.model ? h("div", {}, "model ", h("code", {}, model_(p.name))) : "no data, helps" },
    { name: "Decision", cell: (p) => decided(p.name) ? h("span", { class: `badge ${decided(p.name).decision === "approve" ? "done" : "denied"}` }, h("span", { class: "dot", "aria-hidden": "true" }), decided(p.name).decision === "approve" ? "approved" : "denied")
      : h("span", { class: `badge ${missing[0]}` }, h("span", { class: "dot", "aria-hidden": "true" }), missing[1]) },
    { name: "By", cell: (p) => decided(p.name) ? h("div", {}, decided(p.name).by.join(", "), h("div", { class: "small muted" }, ago(decided(p.name).at))) : "–" },
    { name: "Reason", cell: (p) => decided(p.name)?.reason || "–" },
  ], manifest.job.participants, (p) => p.name));
}

function columnsCard({ manifest }) {
  const all = columns(manifest);
  return card("Columns that are used", all.length ? table("Columns that every table has", [
    { name: "Column", cell: (c) => h("code", {}, c.name) }, { name: "Kind", cell: kind }, { name: "Values", cell: range },
  ], all, (c) => c.name) : empty("No columns", "The contract names none."));
}

function learnsCard({ plan, manifest }) {
  const { release } = manifest;
  return card("Who learns what",
    plan.openings ? table("What is opened, and to whom", [
      { name: "Opened", cell: (o) => o.what }, { name: "To", cell: (o) => list(o.recipients) },
      { name: "Times", number: true, cell: (o) => number(o.times) }, { name: "Values each", number: true, cell: (o) => number(o.values) },
    ], plan.openings) : h("p", { class: "reason" }, plan.problem),
    facts(["Recipients", list(release.recipients) || "nobody"], ["At least", manifest.job.score ? "each result rests on one row, and its owner alone learns it" : release.min_cohort ? plural(release.min_cohort, "row") : "no lower bound on rows"],
      ["Nothing opens after", time(release.until, true)], ["Privacy budget", release.epsilon_milli ? `ε ${release.epsilon_milli / 1000}` : "none taken: nothing that is opened is noised"]),
    h("p", { class: "muted small" }, "All participants also learn sizes, columns and timing. What is opened can be studied for what it was made of.", manifest.job.score && " Results tell of the model: with enough of them it can be copied, and every attempt may open them again."));
}

function protectionCard({ line, guarantee, plan, manifest }) {
  const [name, ...rest] = guarantee.split(": ");
  const parts = rest.join(": ").split("; ");
  return card("What protects it",
    line.without && h("p", { class: "reason" }, `Since ${line.without} was lost, passive security only, as said above. This held until then:`),
    h("p", {}, "Rows leave their owner only as random shares, which no participant can read alone. What the protocol ", h("strong", {}, name), " promises, and what not:"),
    h("ul", {}, parts.map((part) => h("li", {}, part))),
    facts(["Withstands", plan.withstands], ["If a participant is lost", consequence(plan)], ["Checkpoints", plan.escrow]),
    manifest.job.accept && h("p", { class: "reason" }, "Accepted by whoever approves: ", manifest.job.accept));
}

function priceCard({ plan, report, line }) {
  if (!plan.parties) return card("Price", h("p", { class: "muted" }, `There is no price: ${plan.problem}.`));
  const sum = (bytes_) => bytes_?.reduce((a, b) => a + b, 0);
  const own = plan.parties.findIndex((p) => p.name === report?.party);
  const actual = (name, planned, measured, show) => [name, h("span", {}, measured === undefined ? `${show(planned)} planned` : `${show(measured)}, ${show(planned)} planned`)];
  return card("Price",
    facts(actual("Time", plan.seconds, report?.seconds, duration),
      report && own >= 0 ? actual("Sent from here", sum(plan.parties[own].bytes_sent), sum(report.bytes_sent), bytes) : ["Sent by all", `${bytes(plan.bytes)} planned`],
      report && own >= 0 ? actual("Rounds", plan.parties[own].rounds, report.rounds, number) : ["Rounds", `${number(plan.rounds)} planned`]),
    table("Traffic of each participant", [
      { name: "Participant", cell: (p) => p.name }, { name: "Sends", number: true, cell: (p) => bytes(sum(p.bytes_sent)) },
      { name: "Rounds", number: true, cell: (p) => number(p.rounds) }, { name: "Memory", number: true, cell: (p) => bytes(p.memory) },
    ], plan.parties, (p) => p.name, true),
    h("p", { class: "muted small" }, `Time is a prediction for ${plan.speeds.rtt_ms.toFixed(1)} ms and ${number(Math.round(plan.speeds.mbit))} Mbit/s; bytes and rounds are counted, not estimated.${line.without ? ` Planned is the job of all; measured figures are those of the others' session since ${line.without} was lost.` : line.attempt > 1 ? " Measured figures are those of the last attempt." : ""}`));
}

function changesCard({ previous, manifest }) {
  if (!previous) return card("Changes", h("p", { class: "muted" }, "This organisation has approved no earlier job of this name in this project: read all of it."));
  const changes = difference(previous.manifest, manifest);
  return card("Changes", h("p", { class: "small muted" }, "Since the last job of this name that this organisation approved, ", h("a", { href: `#/jobs/${previous.digest}` }, digest(previous.digest)), ":"),
    changes.length ? table("Differences from the last approved job", [
      { name: "What", cell: (c) => c.name }, { name: "Before", cell: (c) => h("span", { class: "before" }, c.before ?? "not there") }, { name: "Now", cell: (c) => h("span", { class: "now" }, c.now ?? "not there") },
    ], changes, (c) => c.path) : h("p", {}, "Nothing but its number and its times."));
}

function render(data, ctx) {
  const { details } = data;
  const { line, manifest } = details;
  return h("div", {},
    h("header", { class: "head" }, h("div", {}, h("p", { class: "small" }, h("a", { href: "#/jobs" }, "Jobs"), h("span", { class: "muted" }, ` / ${line.project}`)), h("h1", { tabindex: "-1" }, line.name, " ", state(line.state))),
      ctx.may("admin") && !isOver(line) && manifest.submitter === ctx.session.organisation && h("button", { class: "button", type: "button", onclick: () => giveUp(details, ctx) }, "Give up")),
    ["aborted", "denied", "paused", "expired"].includes(line.state) && h("div", { "data-key": "why", class: `notice ${line.state === "paused" ? "warn" : "bad"}` }, h("p", {}, h("strong", {}, `Why it is ${line.state}: `), line.reason || "no reason is known"), details.code > 0 && h("p", { class: "small muted" }, "Exit code ", h("code", {}, details.code), ", the same at all participants that stopped")),
    notices(data), decision(details, ctx),
    card("What runs", h("p", { class: "lead" }, summary(manifest)), h("blockquote", {}, manifest.purpose),
      facts(["Submitted by", `${manifest.person} of ${manifest.submitter}`], ["Submitted", time(manifest.created, true)], ["Must start before", time(manifest.expires, true)],
        ["Attempts", `${line.attempt} of at most ${manifest.attempts}`], ["Protocol", manifest.job.protocol], ["Digest", digest(line.digest, 16)])),
    line.ours && changesCard(details), progressCard(data), resultCard(details), participantsCard(data), timeline(line.digest, ctx), learnsCard(details), protectionCard(details), !line.ours && changesCard(details), columnsCard(details), priceCard(details),
    h("details", { class: "card", "data-key": "manifest" }, h("summary", {}, h("h2", {}, "The manifest as it is signed")), h("pre", { tabindex: "0" }, JSON.stringify(manifest, null, 2))),
    h("p", {}, h("a", { href: `#/audit/${line.digest}` }, "Entries of the audit log about this job")));
}

export default { title: "Job", load, render, every: 2000 };
