// The shell: signing in, finding the way, asking again in a while.

import { comesBack, leaveForProvider, provider, session, signIn, signInFromProvider, signOut } from "./api.js";
import { announce, field, h, morph, problem } from "./dom.js";
import audit from "./audit.js";
import job from "./job.js";
import jobs from "./jobs.js";
import members from "./members.js";
import people, { ownPassword } from "./people.js";
import policy from "./policy.js";
import tables from "./tables.js";

const VIEWS = { jobs, members, tables, policy, audit, people };
const RANK = { viewer: 0, approver: 1, admin: 2 };

const app = document.getElementById("app");
let who = null;
let shown = { view: null, params: [], data: null, turn: 0 };
let timer = 0;

const may = (role) => RANK[who.role] >= RANK[role];

// Light and dark.

function theme(name) {
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
}

function storedTheme() {
  try {
    return localStorage.getItem("theme");
  } catch {
    return null;
  }
}

function toggleTheme() {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  theme(dark ? "light" : "dark");
  try {
    localStorage.setItem("theme", dark ? "light" : "dark");
  } catch { /* it lasts until the page is loaded again */ }
}

// Signing in.

function login(note, kind = "") {
  clearTimeout(timer);
  who = null;
  document.title = "Sign in · Privity";
  const error = h("div", { class: "form-error", role: "alert" });
  const button = h("button", { class: "button main wide", type: "submit" }, "Sign in");
  const form = h("form", { class: "card login-card", "aria-labelledby": "login-title" },
    h("div", { class: "brand big" }, h("img", { src: "/assets/icon.svg", alt: "", width: 34, height: 34 }), "Privity"), h("h1", { id: "login-title" }, "Sign in to this node"),
    note && h("p", { class: `notice ${kind}` }, note),
    field("Name", { name: "name", required: true, autocomplete: "username", autocapitalize: "none", spellcheck: "false" }),
    field("Password", { name: "password", type: "password", required: true, autocomplete: "current-password" }), error, button,
    h("p", { class: "small muted" }, "Accounts are made on the node's machine: ", h("code", {}, "privity user add NAME --role admin")));
  form.onsubmit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    error.textContent = "";
    try {
      const { name, password } = Object.fromEntries(new FormData(form));
      who = await signIn(name, password);
      start();
    } catch (wrong) {
      error.textContent = wrong.status === 401 ? "No such name and password." : wrong.message;
      button.disabled = false;
      form.elements.password.select();
    }
  };
  app.replaceChildren(h("main", { class: "login", id: "main" }, form));
  form.elements.name.focus();
  offerProvider(form, error);
}

/** A button for the identity provider, where there is one. */
async function offerProvider(form, error) {
  const name = await provider().catch(() => null);
  if (!name || !form.isConnected) return;
  const leave = h("button", { class: "button wide", type: "button" }, `Sign in with ${name}`);
  leave.onclick = async () => {
    leave.disabled = true;
    error.textContent = "";
    try {
      await leaveForProvider();
    } catch (wrong) {
      error.textContent = wrong.message;
      leave.disabled = false;
    }
  };
  error.after(leave);
}

// The page around views.

function shell() {
  const links = Object.entries(VIEWS).filter(([key]) => key !== "people" || may("admin")).map(([key, view]) => h("a", { href: `#/${key}`, class: "nav", "data-view": key }, view.title));
  const menu = h("details", { class: "menu" }, h("summary", {}, h("span", { class: "who" }, who.person ?? "tool"), h("span", { class: "small muted" }, who.role)),
    h("div", { class: "menu-items" },
      h("button", { type: "button", class: "menu-item", onclick: toggleTheme }, "Light or dark"),
      !who.provider && h("button", { type: "button", class: "menu-item", onclick: ownPassword }, "Change password"),
      h("button", { type: "button", class: "menu-item", onclick: async () => {
        await signOut().catch(() => {});
        login("You are signed out.");
      } }, "Sign out")));
  app.replaceChildren(
    h("a", { class: "skip", href: "#main", onclick: (event) => {
      event.preventDefault();
      document.getElementById("main").focus();
    } }, "Skip to content"),
    h("header", { class: "bar" },
      h("a", { class: "brand", href: "#/jobs" }, h("img", { src: "/assets/icon.svg", alt: "", width: 26, height: 26 }), "Privity"),
      h("span", { class: "organisation" }, who.organisation),
      h("nav", { "aria-label": "Views" }, links), menu),
    h("main", { id: "main", tabindex: "-1" }));
}

function mark(key) {
  for (const link of app.querySelectorAll("[data-view]")) {
    if (link.dataset.view === key) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

const main = () => document.getElementById("main");

function draw(content) {
  if (main().firstElementChild && shown.drawn) morph(main().firstElementChild, content);
  else main().replaceChildren(content);
  shown.drawn = true;
}

const context = () => ({ session: who, may, redraw: () => shown.data && draw(shown.view.render(shown.data, context())), refresh: () => load(false) });

const skeleton = () => h("div", { class: "skeleton", "aria-busy": "true" }, h("p", { class: "unseen" }, "Loading"), h("div", { class: "bone title" }), h("div", { class: "bone" }), h("div", { class: "bone" }));

async function load(poll) {
  clearTimeout(timer);
  const turn = shown.turn += 1;
  const { view, params } = shown;
  try {
    const data = await view.load(params, context(), poll);
    if (turn !== shown.turn || !who) return;
    shown.data = data;
    shown.failed = false;
    draw(view.render(data, context()));
  } catch (error) {
    if (turn !== shown.turn || !who) return;
    // What is there stays while a node is away for a moment.
    if (!shown.data) draw(problem(error, () => load(false)));
    else if (!shown.failed) announce(`This is not up to date: ${error.message}`);
    shown.failed = true;
  }
  document.body.classList.toggle("stale", Boolean(shown.failed));
  if (who) timer = setTimeout(() => document.hidden ? wait() : load(true), shown.failed ? 5000 : view.every);
}

function wait() {
  document.addEventListener("visibilitychange", () => who && load(true), { once: true });
}

function route() {
  if (!who) return;
  const [, key = "jobs", ...params] = location.hash.split("/").map(decodeURIComponent);
  const view = key === "jobs" && params.length ? job : VIEWS[key] ?? jobs;
  const first = shown.view === null;
  shown = { view, params, data: null, turn: shown.turn + 1, drawn: false };
  document.title = `${view.title} · ${who.organisation} · Privity`;
  mark(VIEWS[key] ? key : "jobs");
  for (const menu of app.querySelectorAll("details.menu")) menu.open = false;
  main().replaceChildren(skeleton());
  scrollTo(0, 0);
  load(false).then(() => first || main().querySelector("h1")?.focus({ preventScroll: true }));
}

function start() {
  shell();
  shown = { view: null, params: [], data: null, turn: shown.turn + 1 };
  route();
}

theme(storedTheme());
addEventListener("hashchange", route);
addEventListener("signed-out", () => who && login("Your session is over. Sign in again.", "warn"));
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

try {
  if (comesBack()) {
    try {
      who = await signInFromProvider();
    } catch (error) {
      login(error.message, "warn");
    }
  } else {
    who = await session();
  }
  if (who) start();
  else if (!document.querySelector(".login")) login();
} catch (error) {
  app.replaceChildren(h("main", { class: "login", id: "main" }, problem(error, () => location.reload())));
}
