// Four organisations that begin with nothing, each with its node in a process of its own, train the fraud case and lose one of them on the way.
// What pages have no button for is typed, as people would: making a node and starting it, joining, registering a table, submitting, exporting a log.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { both, environment, free, go, heading, home, journey, open, page, PASSWORD, pause, privity, PRIVITY, shot, signIn, SITE, start, vote } from "./hands.mjs";

const BANKS = ["bank-a", "bank-b", "bank-c"];
const HELPER = "supervisor";
const NAMES = [...BANKS, HELPER];
const [LOST, OTHERS] = ["bank-c", ["bank-a", "bank-b", HELPER]];
const PROJECT = "fraud-2026";
const ACCEPTED = "whoever can disconnect one party turns active security off";
const RULES = `@id("fraud")
@reason("jobs of bank-a in the fraud project that begin with active security")
permit (principal == Organisation::"bank-a", action == Action::"run", resource)
when { context.project == "${PROJECT}" && context.adversary == "active" };
`;

const made = join(SITE, "fraud");
const nodes = new Map();
const line = (name, digest) => JSON.parse(privity(name, ["job", "show", digest, "--json"])).line;

/** A key of a job file, wherever it stands, or else at the top. */
const set = (text, key, value) => new RegExp(`^${key} = .*$`, "m").test(text) ? text.replace(new RegExp(`^${key} = .*$`, "m"), `${key} = ${value}`) : `${key} = ${value}\n${text}`;

function submit(file, changes) {
  const text = readFileSync(join(made, "job.toml"), "utf8").replace(/^(address|fingerprint) = .*\n/gm, "").replaceAll('"helper"', `"${HELPER}"`);
  writeFileSync(join(made, file), Object.entries(changes).reduce((job, [key, value]) => set(job, key, value), text));
  const tables = BANKS.flatMap((name) => ["--table", `${name}=payments`]);
  return privity("bank-a", ["job", "submit", join(made, file), "--project", PROJECT, "--purpose", "Find fraud that no bank sees alone", "--person", "ann", ...tables]).trim();
}

async function enter(name, person, digest, options) {
  const tab = await open(options);
  await signIn(tab, name, person);
  await heading(tab, "Jobs");
  if (digest) await tab.goto(`${page(name)}/#/jobs/${digest}`);
  return tab;
}

async function joins(ann, name) {
  await ann.getByRole("button", { name: "Invite" }).click();
  const dialog = ann.getByRole("dialog");
  await dialog.getByLabel("Project").fill(PROJECT);
  await dialog.getByLabel("Organisation").fill(name);
  if (name === HELPER) await dialog.getByLabel("comes without data").check();
  await dialog.getByRole("button", { name: "Make an invitation" }).click();
  const command = await dialog.locator("pre").textContent();
  await dialog.getByRole("button", { name: "Close" }).click();
  const joining = spawn(PRIVITY, command.split(" ").slice(1), { env: environment(name) });
  const exited = new Promise((resolve) => joining.on("exit", resolve));
  const said = new Promise((resolve) => joining.stdout.on("data", (text) => /^words: (.*)$/m.exec(text) && resolve(/^words: (.*)$/m.exec(text)[1])));
  const words = await Promise.race([said, exited.then((code) => assert.fail(`${name} ended with ${code} and without words`))]);
  await ann.getByRole("button", { name: "Confirm words" }).click();
  await dialog.getByLabel("Six words").fill(words);
  await dialog.getByRole("button", { name: "Confirm" }).click();
  await dialog.waitFor({ state: "detached" });
  assert.equal(await exited, 0, `${name} has joined`);
}

/** Without a pointer: the button, the reason, the button of the dialog. */
async function approveByKeyboard(tab) {
  await tab.getByRole("button", { name: "Approve", exact: true }).focus();
  await tab.keyboard.press("Enter");
  await tab.getByRole("dialog").getByLabel("Reason").waitFor();
  await tab.keyboard.type("read by keyboard");
  await tab.keyboard.press("Tab");
  await tab.keyboard.press("Tab");
  assert.equal(await tab.evaluate(() => document.activeElement.textContent), "Approve");
  await tab.keyboard.press("Enter");
  await tab.getByRole("dialog").waitFor({ state: "detached" });
}

/** Two persons decide where people do; whoever submitted it is one of the two. */
async function decide(digest) {
  const votes = [["bank-a", "bea"], [LOST, "bea"], [LOST, "cal"], [HELPER, "bea"]];
  for (const [name, person] of votes) await (await vote(name, person, digest, "Approve", "read, agreed")).context().close();
  const last = await enter(HELPER, "cal", digest);
  await approveByKeyboard(last);
  await last.context().close();
}

/** What a page says to those who do not see it, from now on. */
async function listen(tab) {
  await tab.evaluate(() => {
    globalThis.said = [];
    new MutationObserver(() => said.push(document.getElementById("announcer").textContent)).observe(document.getElementById("announcer"), { childList: true, characterData: true, subtree: true });
  });
  return () => tab.evaluate(() => said);
}

/** Goes back in the log to an entry: many passes may have been logged since. */
async function older(tab, entry) {
  const rows = tab.getByRole("region", { name: "Entries of the audit log" }).getByRole("row");
  await rows.nth(1).waitFor();
  while (await entry.count() === 0) {
    const before = await rows.count();
    await tab.getByRole("button", { name: "Older entries" }).click();
    await rows.nth(before).waitFor();
  }
}

/** From nothing to verified logs. */
export async function organisations() {
  let ann;
  await journey("four organisations from nothing: invited, joined, catalogued", async () => {
    execFileSync(PRIVITY, ["demo", "fraud", "--rows", "3000", "--epochs", "1", "--adversary", "active", "--json", "--keep", made], { stdio: "ignore" });
    for (const name of NAMES) privity(name, ["init", "--org", name, "--listen", await free(), "--admin", await free(), ...(name === HELPER ? ["--helper"] : [])]);
    nodes.set("bank-a", await start("bank-a"));
    privity("bank-a", ["user", "add", "ann", "--role", "admin"], PASSWORD);
    ann = await enter("bank-a", "ann");
    await go(ann, "Members");
    await ann.getByText("No project yet").waitFor();
    for (const name of NAMES.slice(1)) {
      await joins(ann, name);
      nodes.set(name, await start(name));
    }
    await ann.getByRole("region", { name: `Members of ${PROJECT}` }).getByText("helper, no data").waitFor();
    privity("bank-b", ["user", "add", "ann", "--role", "admin"], PASSWORD);
    for (const name of NAMES) for (const person of ["bea", "cal"]) privity(name, ["user", "add", person, "--role", "approver"], PASSWORD);
    for (const name of BANKS) privity(name, ["table", "add", "payments", "--data", join(made, name, "data.csv"), "--schema", join(made, "schema.toml"), "--project", PROJECT, ...(name === "bank-b" ? ["--show-rows"] : [])]);
    await go(ann, "Tables");
    await ann.getByText("payments").first().waitFor();
    await ann.getByText(`Catalogue of ${PROJECT}`).click();
    const catalogue = ann.locator("details", { hasText: `Catalogue of ${PROJECT}` });
    for (const name of BANKS.slice(1)) await catalogue.getByText(name).first().waitFor();
    await both(ann, "fraud-tables");
  });

  let trial;
  await journey("one decides by its policy, the others by hand", async () => {
    const admin = await enter("bank-b", "ann");
    await go(admin, "Policy");
    await admin.getByLabel("Text, in Cedar").fill(RULES);
    await admin.getByRole("button", { name: "Check" }).click();
    await admin.getByText("1 rule: fraud.").waitFor();
    await admin.getByRole("button", { name: "Take into use" }).click();
    await admin.getByRole("dialog").getByRole("button", { name: "Take into use" }).click();
    await admin.getByRole("dialog").waitFor({ state: "detached" });
    trial = submit("trial.toml", { epochs: 1 });
    await ann.goto(`${page("bank-a")}/#/jobs/${trial}`);
    await ann.getByText("policy:fraud").waitFor();
    await both(ann, "fraud-by-policy");
    await decide(trial);
    await ann.getByRole("heading", { level: 1, name: /done/ }).waitFor({ timeout: 180_000 });
    await admin.context().close();
  });

  let digest;
  await journey("what may be done without one of them is compared and approved", async () => {
    digest = submit("job-3.toml", { epochs: 150, lanes: 2, on_loss: '"continue"', after_loss: '"passive"', accept: `"${ACCEPTED}"` });
    const first = await vote(LOST, "cal", digest, "Approve", "read");
    await first.getByText("1 of 2 have approved").waitFor();
    const changes = first.getByRole("region", { name: "Differences from the last approved job" });
    for (const what of ["training: epochs", "on loss", "after loss", "accept"]) await changes.getByText(what, { exact: true }).waitFor();
    await both(first, "fraud-differences");
    await first.context().close();
    const second = await enter(HELPER, "bea", digest);
    await second.getByText(/they go on without it from the last epoch/).waitFor();
    await approveByKeyboard(second);
    await second.context().close();
    for (const [name, person] of [[HELPER, "cal"], [LOST, "bea"], ["bank-a", "bea"]]) await (await vote(name, person, digest, "Approve", "read, agreed")).context().close();
  });

  const tabs = new Map();
  const heard = new Map();
  await journey("one is killed, and the others go on", async () => {
    await ann.goto(`${page("bank-a")}/#/jobs/${digest}`);
    tabs.set("bank-a", ann);
    tabs.set("bank-b", await enter("bank-b", "bea", digest));
    tabs.set(HELPER, await enter(HELPER, "bea", digest));
    for (const [name, tab] of tabs) {
      await heading(tab, /running/);
      heard.set(name, await listen(tab));
    }
    await ann.locator(".curve .point").nth(2).waitFor();
    await both(ann, "fraud-running");
    nodes.get(LOST).kill("SIGKILL");
    for (const tab of tabs.values()) {
      await tab.getByText(`${LOST} is lost; bank-a, bank-b and ${HELPER} go on without it.`).waitFor();
      await tab.getByText("Passive security from then on, no longer active").waitFor();
      await heading(tab, /running/);
    }
    await ann.getByText("It does not answer yet.").waitFor();
    await both(ann, "fraud-lost");
    for (const [name, said] of heard) assert.ok((await said()).some((text) => text.includes(`${LOST} is lost; the others go on without it, with passive security only`)), `${name} says so aloud: ${await said()}`);
    await go(tabs.get("bank-b"), "Jobs");
    await tabs.get("bank-b").getByText(`, without ${LOST}`, { exact: true }).waitFor();
    await both(tabs.get("bank-b"), "fraud-jobs-lost");
    await tabs.get("bank-b").goto(`${page("bank-b")}/#/jobs/${digest}`);
  });

  await journey("the three are done, and the fourth learns so", async () => {
    nodes.set(LOST, await start(LOST));
    // Unless the three are done so soon.
    await ann.getByText("Its node answers again; this job stays without it.").or(ann.getByText(`${LOST} was lost on the way`)).waitFor();
    const back = await enter(LOST, "bea", digest);
    await back.getByText("The manifest lets three go on where one is lost.").or(back.getByText("has its results already")).waitFor();
    await both(back, "fraud-back");
    for (const [name, tab] of tabs) {
      await tab.getByRole("heading", { level: 1, name: /done/ }).waitFor({ timeout: 600_000 });
      await tab.getByText(`${LOST} was lost on the way`).waitFor();
      await tab.getByText(/100 %, complete/).waitFor();
      await tab.getByRole("region", { name: "Quality of the model" }).getByText("Held-out rows of all").waitFor();
      const { attempt, reason } = line(name, digest);
      assert.deepEqual([attempt, reason], [1, `done, without ${LOST}`]);
    }
    await both(ann, "fraud-done");
    await heading(back, /aborted/);
    await back.getByText(`has its results already (done, without ${LOST})`).waitFor();
    await both(back, "fraud-back-aborted");
    await back.context().close();
    const phone = await enter("bank-b", "bea", digest, { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
    await phone.getByText(`${LOST} was lost on the way`).waitFor();
    await shot(phone, "fraud-phone");
    await phone.context().close();
  });

  await journey("what the four logs say of it is verified", async () => {
    for (const name of NAMES) {
      const tab = tabs.get(name) ?? await enter(name, "bea");
      await go(tab, "Audit log");
      await tab.getByRole("combobox", { name: "Job" }).selectOption(digest);
      await tab.waitForURL(`**/#/audit/${digest}`);
      if (name !== LOST) await older(tab, tab.getByText(`attempt 1: ${LOST} is lost`));
      await tab.getByText("No member is late in cosigning.").waitFor();
      await both(tab, `fraud-audit-${name}`);
    }
    // Every head of now is cosigned by all.
    await pause(12_000);
    const exports = NAMES.map((name) => join(made, `${name}.privityaudit`));
    NAMES.forEach((name, i) => privity(name, ["audit", "export", "--log", join(home(name), "audit"), "--out", exports[i]]));
    const verdict = privity("bank-a", ["audit", "verify", ...exports]);
    assert.match(verdict, /4 logs/);
    for (const node of nodes.values()) node.kill();
  });
}
