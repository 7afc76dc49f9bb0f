// Members of projects, the links between them, and invitations.

import { get, post } from "./api.js";
import { card, dialog, empty, facts, field, h, problem, table, toast } from "./dom.js";
import { ago, digest, figure, time } from "./format.js";

const found = new Map();

async function load(_, ctx, poll) {
  const [status, projects] = await Promise.all([get("status", poll), get("projects", poll)]);
  const invitations = ctx.may("admin") ? await get("invitations", poll) : [];
  return { status, projects, invitations };
}

async function examine(project, ctx) {
  found.set(project, { busy: true });
  ctx.redraw();
  try {
    found.set(project, { at: Date.now() / 1000, findings: await get(`projects/${encodeURIComponent(project)}/examination`) });
  } catch (error) {
    found.set(project, { error });
  }
  ctx.redraw();
}

function invite(data, ctx) {
  dialog({
    title: "Invite an organisation",
    content: [
      field("Project", { name: "project", required: true, pattern: "[A-Za-z0-9._\\-]{1,64}", value: data.projects.find((p) => p.founder === data.status.organisation)?.name ?? "" }, "It is founded if there is none of this name."),
      field("Organisation", { name: "organisation", required: true, pattern: "[A-Za-z0-9._\\-]{1,64}" }, "The name under which its node was made."),
      h("label", { class: "check" }, h("input", { type: "checkbox", name: "helper" }), " comes without data, as a helper"),
    ],
    action: "Make an invitation",
    act: async ({ project, organisation, helper }) => {
      const code = await post("invitations", { project, organisation, helper: Boolean(helper) });
      ctx.refresh();
      return () => show(organisation, code);
    },
  });
}

function show(organisation, code) {
  const command = `privity join ${code}`;
  dialog({
    title: `The invitation of ${organisation}`,
    content: [
      h("ol", {}, h("li", {}, "Send this line by a channel that you trust. It is shown once, and lasts three days."), h("li", {}, `A person at ${organisation} runs it and sees six words.`), h("li", {}, "Have the words read out to you, by voice, and confirm them here.")),
      h("pre", { class: "code", tabindex: "0" }, command),
      h("button", { class: "button", type: "button", onclick: async (event) => {
        try {
          await navigator.clipboard.writeText(command);
          event.target.textContent = "Copied";
        } catch {
          event.target.textContent = "Select the line and copy it";
        }
      } }, "Copy"),
    ],
  });
}

function confirm(invitation, ctx) {
  dialog({
    title: `Confirm the words of ${invitation.organisation}`,
    content: [
      h("p", {}, "Type the six words that a person there reads out to you. If they are not the ones seen here, somebody else may have used the code: the invitation is void then."),
      field("Six words", { name: "words", required: true, autocomplete: "off", autocapitalize: "none", spellcheck: "false" }),
    ],
    action: "Confirm",
    act: async ({ words }) => {
      await post("confirmations", { organisation: invitation.organisation, words });
      toast(`${invitation.organisation} is a member`);
      ctx.refresh();
    },
  });
}

function membersTable(project, { status }) {
  const here = (m) => m.organisation === status.organisation;
  const seen = (m) => status.peers[m.organisation];
  return table(`Members of ${project.name}`, [
    { name: "Organisation", cell: (m) => h("div", {}, h("span", { class: "strong" }, m.organisation), h("div", { class: "small muted" }, [m.organisation === project.founder && "founder", m.helper && "helper, no data", here(m) && "this node"].filter(Boolean).join(", "))) },
    { name: "Answers", cell: (m) => here(m) ? h("span", { class: "muted" }, "–") : !seen(m) ? h("span", { class: "badge aborted" }, h("span", { class: "dot", "aria-hidden": "true" }), "not yet")
      : seen(m).ago_ms > 30000 ? h("span", { class: "badge paused" }, h("span", { class: "dot", "aria-hidden": "true" }), "last ", ago(Date.now() / 1000 - seen(m).ago_ms / 1000)) : h("span", { class: "badge done" }, h("span", { class: "dot", "aria-hidden": "true" }), "yes") },
    { name: "Program", cell: (m) => here(m) ? digest(status.build, 8) : !seen(m) ? "–" : seen(m).pong.build === status.build ? h("span", { title: seen(m).pong.build }, "the same") : h("span", { class: "reason", title: seen(m).pong.build }, "another release") },
    { name: "Run by", cell: (m) => m.operator },
    { name: "Address", cell: (m) => h("code", {}, m.address) },
    { name: "Root", cell: (m) => digest(m.root, 12) },
  ], project.members, (m) => m.organisation);
}

function latency(from, to, status) {
  if (from === to) return null;
  if (from === status.organisation) return status.peers[to]?.took_ms ?? null;
  return status.peers[from]?.pong.seen[to] ?? null;
}

function linksTable(project, { status }) {
  const names = project.members.map((m) => m.organisation);
  const cell = (from, to) => {
    if (from === to) return h("span", { class: "muted" }, "·");
    const ms = latency(from, to, status);
    return ms === null ? h("span", { class: "muted" }, "–") : h("span", { class: ms > 250 ? "slow" : undefined }, ms < 1 ? "< 1 ms" : `${ms} ms`);
  };
  return table(`Time of answers between members of ${project.name}`, [
    { name: "From \\ to", cell: (from) => from }, ...names.map((to) => ({ name: to, number: true, cell: (from) => cell(from, to) })),
  ], names, (name) => name, true);
}

/** What messages reach, from whom to whom. */
function rates(project, result, own) {
  const names = project.members.map((m) => m.organisation);
  const rate = (from, to) => from === own ? result.findings[to]?.megabits : result.findings[from]?.rates[to];
  const cell = (from, to) => from === to ? h("span", { class: "muted" }, "·") : typeof rate(from, to) === "number" ? `${Math.round(rate(from, to))}` : h("span", { class: "muted" }, "–");
  return [h("h3", {}, "Megabits a second"), table(`Megabits a second between members of ${project.name}`, [
    { name: "From \\ to", cell: (from) => from }, ...names.map((to) => ({ name: to, number: true, cell: (from) => cell(from, to) })),
  ], names, (name) => name, true)];
}

function examination(project, ctx, own) {
  const result = found.get(project.name);
  const button = h("button", { class: "button", type: "button", disabled: result?.busy, onclick: () => examine(project.name, ctx) }, result?.busy ? "Measuring…" : "Measure links");
  const note = h("p", { class: "small muted" }, "Fastest of three round trips with handshake, and half a megabyte to each member; each of them sends as much to all others.");
  if (!result || result.busy) return h("div", { class: "spread" }, note, button);
  if (result.error) return problem(result.error, () => examine(project.name, ctx));
  const rows = Object.entries(result.findings);
  return h("div", {}, h("div", { class: "spread" }, h("p", { class: "small muted" }, "Measured from this node ", ago(result.at), "."), button),
    table(`Links of this node in ${project.name}`, [
      { name: "To", cell: ([name]) => name },
      { name: "Round trip", number: true, cell: ([, f]) => f.round_trip_ms === null ? "–" : `${figure(f.round_trip_ms)} ms` },
      { name: "Bandwidth", number: true, cell: ([, f]) => f.megabits === null ? "–" : `${Math.round(f.megabits)} Mbit/s` },
      { name: "Clock", number: true, cell: ([, f]) => f.clock === null ? "–" : `${f.clock > 0 ? "+" : ""}${f.clock} s` },
      { name: "Program", cell: ([, f]) => f.same_program === null ? "–" : f.same_program ? "the same" : h("span", { class: "reason" }, "another") },
      { name: "Problems", cell: ([, f]) => f.problems.length ? h("ul", { class: "plain reason" }, f.problems.map((p) => h("li", {}, p))) : h("span", { class: "muted" }, "none") },
    ], rows, ([name]) => name), rates(project, result, own));
}

function invitationsCard(data, ctx) {
  if (!ctx.may("admin")) return null;
  const now = Date.now() / 1000;
  const words = { open: "waits for them", joining: "compare words", done: "is a member", refused: "void: other words" };
  const over = (i) => i.expires < now && i.state !== "done";
  return card("Invitations", data.invitations.length ? table("Invitations", [
    { name: "Organisation", cell: (i) => h("div", {}, h("span", { class: "strong" }, i.organisation), i.helper && h("div", { class: "small muted" }, "helper, no data")) },
    { name: "Project", cell: (i) => i.project },
    { name: "State", cell: (i) => h("span", { class: `badge ${over(i) ? "expired" : { open: "pending", joining: "running", done: "done", refused: "denied" }[i.state] ?? "expired"}` }, h("span", { class: "dot", "aria-hidden": "true" }), over(i) ? "out of time" : words[i.state] ?? i.state) },
    { name: "Until", cell: (i) => time(i.expires) },
    { name: "What next", cell: (i) => i.state === "joining" && !over(i) ? h("button", { class: "button", type: "button", onclick: () => confirm(i, ctx) }, "Confirm words") : h("span", { class: "muted" }, "–") },
  ], data.invitations) : h("p", { class: "muted" }, "None were made at this node."));
}

function render(data, ctx) {
  const { status, projects } = data;
  return h("div", {},
    h("header", { class: "head" }, h("h1", { tabindex: "-1" }, "Members"), ctx.may("admin") && h("button", { class: "button main", type: "button", onclick: () => invite(data, ctx) }, "Invite")),
    card("This node", facts(["Organisation", status.organisation], ["Reached at", h("code", {}, status.address)], ["Root", digest(status.root, 24)], ["Program", digest(status.build, 24)])),
    projects.length ? projects.map((project) => h("section", { class: "card", "data-key": project.name, "aria-label": `Project ${project.name}` },
      h("h2", {}, `Project ${project.name}`), membersTable(project, data),
      project.members.length > 1 && [h("h3", {}, "Time of answers"), linksTable(project, data), h("h3", {}, "Links of this node"), examination(project, ctx, status.organisation)]))
      : h("section", { class: "card" }, empty("No project yet", "Invite an organisation to found one, or join one with the code of an invitation: ", h("code", {}, "privity join CODE"), ".")),
    invitationsCard(data, ctx));
}

export default { title: "Members", load, render, every: 5000 };
