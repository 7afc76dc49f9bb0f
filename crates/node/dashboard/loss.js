// Who does not answer, and whom a job goes on without.

import { h } from "./dom.js";
import { duration, list, moment } from "./format.js";

// Nodes ask each other every two seconds and wait three for the answer.
const SILENT = 6;

/** Participants that do not answer this node while it matters: name, and seconds since the last answer. */
export function silent({ line, manifest }, status) {
  if (!status || !["running", "paused"].includes(line.state)) return [];
  const others = manifest.job.participants.map((p) => p.name).filter((name) => name !== status.organisation);
  return others.map((name) => [name, (status.peers[name]?.ago_ms ?? Infinity) / 1000]).filter(([, seconds]) => seconds >= SILENT);
}

/** What happens if a participant is lost, as the manifest has it, where the question stands before it. */
export const consequence = (plan) => plan.on_loss?.replace(/^if a party is lost[:,] /, "");

/** After a state: without whom. */
export const without = (line) => line.without ? `, without ${line.without}` : "";

/** That a job goes on without somebody, for those who do not see the page. */
export const spoken = (name) => `${name} is lost; the others go on without it, with passive security only`;

function goesOn({ line, manifest }, progress, away) {
  const [name, over] = [line.without, line.state === "done"];
  const { participants } = manifest.job;
  const others = list(participants.map((p) => p.name).filter((other) => other !== name));
  const since = progress.lost?.party === name ? ["At ", moment(progress.lost.at), " these three"] : ["These three"];
  const rows = participants.some((p) => p.name === name && p.rows) ? "its rows have no part in what was trained from then on, and it gets no results" : "it gets no results";
  const back = over ? "." : away ? ". It does not answer yet." : ". Its node answers again; this job stays without it.";
  return h("div", { class: "notice warn", "data-key": "lost" },
    h("p", {}, h("strong", {}, over ? `${name} was lost on the way; ${others} went on without it.` : `${name} is lost; ${others} go on without it.`)),
    h("p", {}, "The manifest allows that. ", since, ` had all signed that ${name} does not answer them, and went on from the last pass that all four had: ${rows}${back}`),
    h("p", {}, h("strong", {}, "Passive security from then on, no longer active: "), "rows stay hidden from any one of the three that follows the protocol. Two that collude, or one that deviates, are not covered: that could go unnoticed."));
}

/** Above all else on the page of a job: who is lost, why it goes on and what protects it now; or who does not answer, and what may follow. */
export function notices({ details, progress, status }) {
  const { line } = details;
  const away = silent(details, status);
  const waits = away.filter(([name]) => name !== line.without);
  const left = line.state === "paused" && details.manifest.job.on_loss === "continue";
  return [
    left && h("div", { class: "notice", "data-key": "left" }, "The manifest lets three go on where one is lost. If the others went on without this node, it learns so when they are done, and gets no results; else all four go on together."),
    line.without && goesOn(details, progress, waits.length < away.length),
    waits.length > 0 && h("div", { class: "notice warn", "data-key": "silent" },
      waits.map(([name, seconds]) => h("p", {}, h("strong", {}, `${name} does not answer this node`), Number.isFinite(seconds) ? `, for ${duration(seconds)} now.` : " since this node was started.")),
      !line.without && line.state === "running" && details.plan.on_loss && h("p", {}, `As the manifest has it: ${details.plan.on_loss}.`)),
  ];
}

/** Under a participant's name. */
export function standing(name, { details, status }) {
  if (details.line.without === name) return h("div", { class: "small reason" }, "lost on the way");
  return silent(details, status).some(([other]) => other === name) ? h("div", { class: "small reason" }, "does not answer") : null;
}
