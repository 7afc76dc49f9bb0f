// What all journeys do: programs, browsers, pages, pictures.
// PRIVITY is the program, SITE a directory with a directory for each node, CHROMIUM the browser, SHOTS where pictures go.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, openSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { join } from "node:path";
import { chromium } from "playwright-core";

export const { PRIVITY, SITE } = process.env;
const { CHROMIUM, SHOTS } = process.env;
export const PASSWORD = "seven green bicycles";
const WAIT = 120_000;

export const home = (name) => join(SITE, name);
export const key = (name, which) => new RegExp(`^${which} = "(.*)"$`, "m").exec(readFileSync(join(home(name), "node.toml"), "utf8"))[1];
export const page = (name) => `http://${key(name, "admin")}`;
export const environment = (name) => ({ ...process.env, PRIVITY_HOME: home(name) });
export const privity = (name, args, input) => execFileSync(PRIVITY, args, { env: environment(name), input, encoding: "utf8" });
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export const free = () => new Promise((resolve) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    server.close(() => resolve(`127.0.0.1:${port}`));
  });
});

/** A node in a process of its own, which serves its page; it ends with this program at the latest. */
export async function start(name) {
  const log = openSync(join(home(name), "node.log"), "a");
  const node = spawn(PRIVITY, ["node"], { env: environment(name), stdio: ["ignore", "ignore", log] });
  process.on("exit", () => node.kill());
  const answers = async () => fetch(page(name)).then((answer) => answer.ok, () => false);
  for (const until = Date.now() + WAIT; !(await answers()); await pause(100)) assert.ok(Date.now() < until && node.exitCode === null, `${name} answers`);
  return node;
}

// It asks nothing of the internet by itself.
const QUIET = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
mkdirSync(SHOTS, { recursive: true });
const browser = await chromium.launch({ executablePath: CHROMIUM, args: [...QUIET, ...(process.getuid?.() === 0 ? ["--no-sandbox"] : [])] });
const problems = [];

/** No more pages; nothing may have gone wrong in any. */
export async function close() {
  await browser.close();
  assert.deepEqual(problems, []);
}

export async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const tab = await context.newPage();
  tab.setDefaultTimeout(WAIT);
  tab.on("pageerror", (error) => problems.push(`error: ${error.message}`));
  // Refused requests are part of what is tried here.
  tab.on("console", (message) => message.type() === "error" && !message.text().startsWith("Failed to load resource") && problems.push(`console: ${message.text()}`));
  tab.on("request", (request) => /^http:\/\/127\.0\.0\.1:/.test(request.url()) || problems.push(`foreign request: ${request.url()}`));
  return tab;
}

export async function signIn(tab, name, person, password = PASSWORD) {
  await tab.goto(page(name));
  await tab.getByLabel("Name").fill(person);
  await tab.getByLabel("Password").fill(password);
  await tab.getByRole("button", { name: "Sign in" }).click();
}

export const heading = (tab, name) => tab.getByRole("heading", { level: 1, name }).waitFor();

export async function go(tab, name) {
  await tab.getByRole("navigation").getByRole("link", { name }).click();
  await heading(tab, name);
}

// Where a page fails those who see it otherwise, by the rules of WCAG 2.2 A and AA that a program can check.
const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

async function accessible(tab, name) {
  // The page's policy lets no script be added: a debugger may evaluate one.
  await tab.evaluate(readFileSync(AXE, "utf8"));
  const { violations } = await tab.evaluate((values) => globalThis.axe.run(document, { runOnly: { type: "tag", values } }), RULES);
  for (const { id, help, nodes } of violations) problems.push(`${name}: ${id}: ${help}: ${nodes.slice(0, 3).map((node) => node.target.join(" ")).join("; ")}`);
}

export async function shot(tab, name) {
  const wide = await tab.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (wide > 0) problems.push(`${name} is ${wide} pixels wider than its window`);
  await tab.evaluate(() => scrollTo(0, 0));
  await tab.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true });
  await accessible(tab, name);
}

export async function journey(name, steps) {
  const started = Date.now();
  await steps();
  console.log(`${name}: ${((Date.now() - started) / 1000).toFixed(1)} s`);
}

/** A picture in light and one in dark. */
export async function both(tab, name) {
  await shot(tab, name);
  await tab.emulateMedia({ colorScheme: "dark" });
  await shot(tab, `${name}-dark`);
  await tab.emulateMedia({ colorScheme: "light" });
}

export async function vote(name, person, digest, decision, reason) {
  const tab = await open();
  await signIn(tab, name, person);
  await heading(tab, "Jobs");
  await tab.goto(`${page(name)}/#/jobs/${digest}`);
  await tab.getByRole("button", { name: decision, exact: true }).click();
  const dialog = tab.getByRole("dialog");
  await dialog.getByLabel("Reason").fill(reason);
  await dialog.getByRole("button", { name: decision, exact: true }).click();
  await dialog.waitFor({ state: "detached" });
  return tab;
}
