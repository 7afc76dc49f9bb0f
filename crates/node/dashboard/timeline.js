// What happened to a job, as the logs of all its participants tell it. All of them are asked, so only when somebody wants to know.

import { get } from "./api.js";
import { h, problem } from "./dom.js";
import { ago, moment, number, plural } from "./format.js";

let told = { job: null };

async function ask(job, ctx) {
  told = { job, busy: true, last: told.job === job ? told.last : null };
  ctx.redraw();
  try {
    const answer = await get(`jobs/${encodeURIComponent(job)}/timeline`);
    if (told.job === job) told = { job, last: { at: Date.now() / 1000, ...answer } };
  } catch (error) {
    if (told.job === job) told = { job, error };
  }
  ctx.redraw();
}

/** Moments in a row of one organisation that say the same, as one. */
export function grouped(moments) {
  const groups = [];
  const last = new Map();
  for (const { organisation, at, what } of moments) {
    const group = last.get(organisation);
    if (group?.what === what) {
      group.until = at;
      group.times += 1;
    } else {
      groups.push({ organisation, at, until: at, what, times: 1 });
      last.set(organisation, groups.at(-1));
    }
  }
  return groups;
}

const line = (group) => h("li", {}, moment(group.at), h("span", { class: "strong" }, group.organisation),
  h("span", { class: "wrap" }, group.what, group.times > 1 && h("span", { class: "muted" }, ` · ${number(group.times)} times, until `, moment(group.until))));

function content(job, ctx) {
  const { last, busy, error } = told.job === job ? told : {};
  if (error) return problem(error, () => ask(job, ctx));
  if (!last) return h("p", { class: "muted", role: "status" }, "Asking the nodes of all participants…");
  const silent = Object.entries(last.silent);
  return h("div", {},
    h("div", { class: "spread" }, h("p", { class: "small muted" }, `${plural(last.moments.length, "entry", "entries")} of the participants' audit logs, read `, ago(last.at), ", in the order of their clocks, which may differ. Each organisation tells of its own log; auditors compare them."),
      h("button", { class: "button", type: "button", disabled: busy, onclick: () => ask(job, ctx) }, busy ? "Asking…" : "Ask again")),
    silent.map(([name, why]) => h("div", { class: "notice warn" }, h("p", {}, h("strong", {}, `${name} does not tell: `), why))),
    last.moments.length ? h("ol", { class: "timeline", "aria-label": "What happened" }, grouped(last.moments).map(line)) : h("p", { class: "muted" }, "Nothing is told."));
}

/** The section of a job's page. */
export const timeline = (job, ctx) => h("details", {
  class: "card", "data-key": "timeline", ontoggle: (event) => event.target.open && (told.job !== job || told.error) && ask(job, ctx),
}, h("summary", {}, h("h2", {}, "Timeline")), content(job, ctx));
