// Who may sign in.

import { get, post, put, remove } from "./api.js";
import { card, dialog, empty, field, h, table, toast } from "./dom.js";
import { ago } from "./format.js";

const ROLES = [["viewer", "viewer: looks"], ["approver", "approver: looks, approves and denies"], ["admin", "admin: everything"]];
const RULE = "At least 12 characters, without the name; several words are best.";

const load = (_, ctx, poll) => get("people", poll);
const path = (name) => `people/${encodeURIComponent(name)}`;
const secret = (label, name, hint) => field(label, { name, type: "password", required: true, minlength: 12, maxlength: 256, autocomplete: "new-password" }, hint);

function add(ctx) {
  dialog({
    title: "Let a person sign in",
    content: [
      field("Name", { name: "name", required: true, pattern: "[A-Za-z0-9._\\-]{1,64}", autocomplete: "off" }, "Letters, digits, -, _ and . only. Decisions are recorded under it."),
      field("Role", { name: "role", options: ROLES, value: "viewer" }), secret("First password", "password", RULE),
    ],
    action: "Add",
    act: async (person) => {
      await post("people", person);
      toast(`${person.name} may sign in`);
      ctx.refresh();
    },
  });
}

function role(person, ctx) {
  dialog({
    title: `Role of ${person.name}`,
    content: [field("Role", { name: "role", options: ROLES, value: person.role }), h("p", { class: "muted" }, "Their sessions end.")],
    action: "Change",
    act: async (change) => {
      await put(path(person.name), change);
      ctx.refresh();
    },
  });
}

function password(person, ctx) {
  dialog({
    title: `New password for ${person.name}`, content: [secret("New password", "password", `${RULE} Their sessions end.`)], action: "Change",
    act: async (change) => {
      await put(path(person.name), change);
      toast(`${person.name} has another password`);
      ctx.refresh();
    },
  });
}

function forget(person, ctx) {
  dialog({
    title: `Remove ${person.name}?`, content: h("p", {}, "They sign in no more, and their sessions end. What they decided stays as it is recorded."), action: "Remove", kind: "danger",
    act: async () => {
      await remove(path(person.name));
      toast(`${person.name} may sign in no more`);
      ctx.refresh();
    },
  });
}

/** Another password for oneself. */
export function ownPassword() {
  dialog({
    title: "Change your password",
    content: [field("Old password", { name: "old", type: "password", required: true, autocomplete: "current-password" }), secret("New password", "new", `${RULE} Your other sessions end.`)],
    action: "Change",
    act: async (change) => {
      await put("session/password", change);
      toast("Your password is changed");
    },
  });
}

function render(people, ctx) {
  const self = (p) => p.name === ctx.session.person;
  return h("div", {},
    h("header", { class: "head" }, h("h1", { tabindex: "-1" }, "People"), h("button", { class: "button main", type: "button", onclick: () => add(ctx) }, "Add a person")),
    people.length ? h("section", { class: "card flush", "aria-label": "People" }, table("People who may sign in", [
      { name: "Name", cell: (p) => h("span", { class: "strong" }, p.name, self(p) && h("span", { class: "muted" }, " (you)")) },
      { name: "Role", cell: (p) => p.provider ? `${p.role}, by the identity provider` : p.role },
      { name: "Since", cell: (p) => ago(p.created) },
      { name: "Role or password changed", cell: (p) => ago(p.changed) },
      { name: "What to do", cell: (p) => self(p) ? h("span", { class: "muted" }, "by another admin") : h("div", { class: "buttons left" }, !p.provider && h("button", { class: "button", type: "button", onclick: () => role(p, ctx) }, "Role"),
        !p.provider && h("button", { class: "button", type: "button", onclick: () => password(p, ctx) }, "Password"), h("button", { class: "button", type: "button", onclick: () => forget(p, ctx) }, "Remove")) },
    ], people, (p) => p.name)) : card("Nobody", empty("Nobody may sign in", "You use the node's token.")),
    h("p", { class: "small muted" }, "Viewers look. Approvers decide on jobs, too. Admins also change members, tables, jobs, the policy and people. Whoever reads the node's directory has its token and may do all of it."));
}

export default { title: "People", load, render, every: 10000 };
