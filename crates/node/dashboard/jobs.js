// All jobs of the node.

import { get } from "./api.js";
import { announce, empty, h, table } from "./dom.js";
import { ago, bytes, digest, duration, state } from "./format.js";
import { follow, share, sparkline } from "./chart.js";
import { spoken, without } from "./loss.js";

const FILTERS = [
  ["all", "All", () => true],
  ["ours", "For us to decide", (line) => line.ours],
  ["live", "Live", (line) => ["pending", "ready", "running", "paused"].includes(line.state)],
  ["over", "Over", (line) => ["done", "aborted", "denied", "expired"].includes(line.state)],
];

let chosen = "all";
const followed = new Map();
const prices = new Map();
const states = new Map();
const lost = new Map();

const path = (line) => `jobs/${encodeURIComponent(line.digest)}`;

// Plan and result of the newest jobs; asked for once in each state, if the plan has a price by then.
async function price(line) {
  const known = prices.get(line.digest);
  if (known?.state === line.state && known.total !== undefined) return;
  const details = await get(path(line), true);
  const own = details.plan.parties?.findIndex((p) => p.name === details.report?.party) ?? -1;
  const sum = (list) => list?.reduce((a, b) => a + b, 0);
  prices.set(line.digest, {
    state: line.state, seconds: details.plan.seconds, total: details.plan.bytes,
    planned: own < 0 ? undefined : sum(details.plan.parties[own].bytes_sent), sent: sum(details.report?.bytes_sent), took: details.report?.seconds,
  });
}

async function load(_, ctx, poll) {
  const lines = await get("jobs", poll);
  const said = [];
  for (const line of lines) {
    const before = states.get(line.digest);
    if (before && line.state === "running" && line.without && line.without !== lost.get(line.digest)) said.push(`Job ${line.name}: ${spoken(line.without)}`);
    else if (before && before !== line.state) said.push(`Job ${line.name} is ${line.state}${without(line)}`);
    states.set(line.digest, line.state);
    lost.set(line.digest, line.without);
  }
  if (said.length) announce(`${said.join(". ")}.`);
  await Promise.all(lines.filter((line) => line.state === "running").slice(0, 8).map(async (line) => {
    const known = followed.get(line.digest);
    followed.set(line.digest, follow(known, await get(`${path(line)}/events?after=${known?.last ?? 0}`, true)));
  }));
  if (poll) await Promise.all(lines.slice(0, 8).map(price));
  else Promise.all(lines.slice(0, 8).map(price)).then(ctx.redraw, () => {});
  return lines;
}

function progress(line) {
  if (line.state !== "running") return h("span", { class: ["aborted", "denied", "expired", "paused"].includes(line.state) ? "reason clip" : "muted", title: line.reason }, { done: `complete${without(line)}`, pending: "waits for decisions" }[line.state] ?? (line.reason || "–"));
  const known = followed.get(line.digest);
  const part = share(known, line.epochs);
  return h("div", { class: "progress-cell" },
    h("progress", { value: part.toFixed(3), max: "1", "aria-label": `Progress of ${line.name}` }),
    h("span", { class: "small muted" }, line.epochs ? `${Math.floor(part * 100)} %, pass ${Math.min(line.epochs, (known?.epoch ?? 0) + 1)} of ${line.epochs}` : "computes", line.without && h("span", { class: "reason" }, `, without ${line.without}`)),
    known?.losses.length > 1 && sparkline(known.losses, line.epochs));
}

function cost(line) {
  const known = prices.get(line.digest);
  if (!known) return h("span", { class: "muted" }, "–");
  if (known.sent === undefined) return h("span", { class: "muted" }, `plan ${bytes(known.total)}, ${duration(known.seconds)}`);
  return h("span", {}, `${bytes(known.sent)}, plan ${bytes(known.planned)}`, h("br"), h("span", { class: "muted" }, `${duration(known.took)}, plan ${duration(known.seconds)}`));
}

const COLUMNS = [
  { name: "Job", cell: (line) => h("div", {}, h("a", { class: "strong", href: `#/jobs/${line.digest}` }, line.name), h("div", { class: "small muted" }, line.project, " · ", digest(line.digest, 8))) },
  { name: "State", cell: (line) => h("div", {}, state(line.state), line.ours && h("div", { class: "small ours" }, "decide")) },
  { name: "Progress or reason", cell: progress },
  { name: "Sent and took", cell: cost },
  { name: "From", cell: (line) => line.submitter },
  { name: "Changed", cell: (line) => ago(line.updated) },
];

function render(lines, ctx) {
  const buttons = FILTERS.map(([key, name, keeps]) => h("button", {
    type: "button", class: "tab", "aria-pressed": String(chosen === key), onclick: () => {
      chosen = key;
      ctx.redraw();
    },
  }, name, " ", h("span", { class: "count" }, lines.filter(keeps).length)));
  const shown = lines.filter(FILTERS.find(([key]) => key === chosen)[2]);
  return h("div", {},
    h("header", { class: "head" }, h("h1", { tabindex: "-1" }, "Jobs")),
    h("div", { class: "tabs", role: "group", "aria-label": "Which jobs" }, buttons),
    shown.length ? h("section", { class: "card flush", "aria-label": "Jobs" }, table("Jobs, the newest first", COLUMNS, shown, (line) => line.digest))
      : lines.length ? h("section", { class: "card" }, empty("None of these", "No job is in this state now."))
        : h("section", { class: "card" }, empty("No jobs yet", "Somebody of a member submits one: ", h("code", {}, "privity job submit job.toml --project PROJECT --purpose WHY"), ". It then stands here, for this organisation to approve or deny.")));
}

export default { title: "Jobs", load, render, every: 2000 };
