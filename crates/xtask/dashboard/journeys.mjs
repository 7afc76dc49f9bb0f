// What people do in the dashboard, clicked through at four nodes that run: `cargo xtask dashboard` starts them and this.
// PRIVITY is the program, SITE the directory of `privity up --local 4`, CHROMIUM the browser, SHOTS where pictures go.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { both, close, free, go, heading, home, journey, key, open, page, PASSWORD, privity, PRIVITY, shot, signIn, SITE, start, vote } from "./hands.mjs";
import { organisations } from "./organisations.mjs";
import { provider } from "./provider.mjs";

const NAMES = ["hospital-a", "hospital-b", "hospital-c", "helper"];

function submit(file) {
  const tables = NAMES.slice(0, 3).flatMap((name) => ["--table", `${name}=tumours`]);
  return privity("hospital-a", ["job", "submit", file, "--project", "tumours", "--purpose", "A joint model for the tumour board", "--person", "ann", ...tables]).trim();
}

privity("hospital-a", ["user", "add", "ann", "--role", "admin"], PASSWORD);
for (const name of NAMES) for (const person of ["bea", "cal"]) privity(name, ["user", "add", person, "--role", "approver"], PASSWORD);
privity("hospital-b", ["user", "add", "vic", "--role", "viewer"], PASSWORD);
const ann = await open();

await journey("sign in, by keyboard", async () => {
  await signIn(ann, "hospital-a", "ann", "seven green bicyclez");
  await ann.getByText("No such name and password.").waitFor();
  await both(ann, "sign-in");
  await ann.getByLabel("Password").fill(PASSWORD);
  await ann.keyboard.press("Enter");
  await heading(ann, "Jobs");
  await ann.getByText("No jobs yet").waitFor();
  await ann.keyboard.press("Tab");
  assert.equal(await ann.evaluate(() => document.activeElement.textContent), "Skip to content");
  await ann.keyboard.press("Enter");
  assert.equal(await ann.evaluate(() => document.activeElement.id), "main");
});

await journey("members, links, an invitation and its words", async () => {
  await go(ann, "Members");
  await ann.getByRole("button", { name: "Measure links" }).click();
  await ann.getByRole("region", { name: "Links of this node in tumours" }).getByText("Mbit/s").first().waitFor();
  const rates = ann.getByRole("region", { name: "Megabits a second between members of tumours" });
  await rates.waitFor();
  assert.ok(!(await rates.textContent()).includes("–"), "each tells what its links reach");
  await both(ann, "members-measured");
  await ann.getByRole("button", { name: "Invite" }).click();
  assert.equal(await ann.getByRole("dialog").getByLabel("Project").inputValue(), "tumours");
  await ann.keyboard.press("Escape");
  await ann.getByRole("dialog").waitFor({ state: "detached" });
  await ann.getByRole("button", { name: "Invite" }).click();
  await ann.getByRole("dialog").getByLabel("Organisation").fill("clinic-d");
  await ann.getByRole("button", { name: "Make an invitation" }).click();
  const command = await ann.getByRole("dialog").locator("pre").textContent();
  await ann.getByRole("dialog").getByRole("button", { name: "Close" }).click();
  privity("clinic-d", ["init", "--org", "clinic-d", "--listen", await free(), "--admin", await free()]);
  const joining = spawn(PRIVITY, command.split(" ").slice(1), { env: { ...process.env, PRIVITY_HOME: home("clinic-d") } });
  const exited = new Promise((resolve) => joining.on("exit", resolve));
  const said = new Promise((resolve) => joining.stdout.on("data", (text) => /^words: (.*)$/m.exec(text) && resolve(/^words: (.*)$/m.exec(text)[1])));
  const words = await Promise.race([said, exited.then((code) => assert.fail(`clinic-d ended with ${code} and without words`))]);
  await ann.getByRole("button", { name: "Confirm words" }).click();
  await both(ann, "words");
  await ann.getByRole("dialog").getByLabel("Six words").fill(words);
  await ann.getByRole("dialog").getByRole("button", { name: "Confirm" }).click();
  await ann.getByRole("region", { name: "Members of tumours" }).getByText("clinic-d").first().waitFor();
  assert.equal(await exited, 0, "clinic-d has joined");
  await both(ann, "members");
});

await journey("tables", async () => {
  await go(ann, "Tables");
  await ann.getByText("Contract of its columns").click();
  await ann.getByText("[[columns]]").waitFor();
  await both(ann, "tables");
});

const digest = submit(join(SITE, "job.toml"));

await journey("a viewer reads", async () => {
  const vic = await open({ colorScheme: "dark" });
  await signIn(vic, "hospital-b", "vic");
  await vic.getByRole("button", { name: /For us to decide 1/ }).click();
  await vic.getByRole("link", { name: "breast-cancer" }).click();
  await vic.getByText("Deciding takes the role approver.").waitFor();
  assert.equal(await vic.getByRole("button", { name: "Approve" }).count(), 0);
  assert.equal(await vic.getByRole("link", { name: "People" }).count(), 0);
  await vic.getByRole("region", { name: "What is opened, and to whom" }).getByText("hospital-a").first().waitFor();
  await both(vic, "job");
  await go(vic, "Policy");
  await vic.getByLabel("Text of the policy").getByText("others-learn").waitFor();
  assert.equal(await vic.getByRole("button", { name: "Take into use" }).count(), 0);
  await shot(vic, "policy-viewer");
});

await journey("approvers decide, and it runs", async () => {
  const first = await vote("hospital-b", "bea", digest, "Approve", "read");
  await first.getByText("1 of 2 have approved").waitFor();
  await first.getByText("You have approved it. Another person has to, too.").waitFor();
  assert.equal(await first.getByRole("button", { name: "Approve" }).count(), 0);
  await both(first, "one-of-two");
  const tab = await vote("hospital-b", "cal", digest, "Approve", "read, agreed");
  await tab.getByRole("region", { name: "Participants and their decisions" }).getByText("read, agreed").waitFor();
  await tab.getByText("bea, cal").waitFor();
  // Whoever submits it is one of the two.
  await ann.goto(`${page("hospital-a")}/#/jobs/${digest}`);
  await heading(ann, /breast-cancer/);
  await ann.getByText("1 of 2 have approved").waitFor();
  await vote("hospital-a", "bea", digest, "Approve", "read");
  for (const name of ["hospital-c", "helper"]) for (const person of ["bea", "cal"]) await vote(name, person, digest, "Approve", "read");
  await heading(ann, /running|done/);
  await shot(ann, "running");
  await go(ann, "Jobs");
  await both(ann, "jobs-running");
  await ann.goto(`${page("hospital-a")}/#/jobs/${digest}`);
  await ann.getByRole("heading", { level: 1, name: /done/ }).waitFor({ timeout: 300_000 });
  const epochs = JSON.parse(privity("hospital-a", ["job", "show", digest, "--json"])).manifest.job.training.epochs;
  await ann.locator(".curve .point").nth(epochs - 1).waitFor();
  await ann.getByText(/100 %, complete/).waitFor();
  await ann.getByText(/, .* planned/).first().waitFor();
  await both(ann, "done");
  const approvals = JSON.parse(privity("hospital-b", ["job", "show", digest, "--json"])).approvals;
  assert.deepEqual(approvals.find((a) => a.organisation === "hospital-b").by, ["bea", "cal"], "who signed in is who is recorded");
});

await journey("the timeline, from all participants", async () => {
  await ann.goto(`${page("hospital-a")}/#/jobs/${digest}`);
  await ann.locator("summary", { hasText: "Timeline" }).focus();
  await ann.keyboard.press("Enter");
  const told = ann.getByRole("list", { name: "What happened" });
  await told.getByText("attempt 1 is done").first().waitFor();
  for (const name of NAMES) await told.getByText(name, { exact: true }).first().waitFor();
  assert.equal(await ann.getByText("does not tell").count(), 0, "everybody tells");
  const lines = await told.getByRole("listitem").allTextContents();
  assert.ok(lines.some((line) => / · \d+ times, until /.test(line)), "what is said again and again is one line");
  await ann.getByRole("button", { name: "Ask again" }).click();
  await ann.getByText("read just now").waitFor();
  await both(ann, "timeline");
});

await journey("a changed job is compared and denied", async () => {
  const file = join(SITE, "changed.toml");
  writeFileSync(file, readFileSync(join(SITE, "job.toml"), "utf8").replace(/^epochs = \d+$/m, "epochs = 3"));
  const changed = submit(file);
  const tab = await open();
  await signIn(tab, "hospital-b", "bea");
  await heading(tab, "Jobs");
  await both(tab, "jobs-to-decide");
  await tab.goto(`${page("hospital-b")}/#/jobs/${changed}`);
  await tab.getByRole("region", { name: "Differences from the last approved job" }).getByText("training: epochs").waitFor();
  await shot(tab, "changes");
  await tab.getByRole("button", { name: "Deny", exact: true }).click();
  await shot(tab, "deny");
  await tab.keyboard.press("Escape");
  await vote("hospital-b", "bea", changed, "Deny", "too few passes");
  await ann.goto(`${page("hospital-a")}/#/jobs/${changed}`);
  await ann.getByText("hospital-b denies it: too few passes").waitFor();
  await go(ann, "Jobs");
  await ann.getByRole("button", { name: /Over 2/ }).click();
  await both(ann, "jobs");
  await ann.getByRole("link", { name: "breast-cancer" }).first().click();
  await heading(ann, /denied/);
  await shot(ann, "denied");
});

await journey("the policy is read, tried and changed", async () => {
  await go(ann, "Policy");
  const text = ann.getByLabel("Text, in Cedar");
  const before = await text.inputValue();
  await both(ann, "policy");
  const wrong = before.replace("context.model_to", "context.modle_to");
  await text.fill(wrong);
  await ann.getByRole("button", { name: "Check" }).click();
  await ann.getByText("This is no policy.").waitFor();
  await both(ann, "policy-wrong");
  await ann.getByRole("button", { name: /Go to line/ }).click();
  assert.match(await text.evaluate((area) => area.value.slice(area.selectionStart, area.selectionEnd)), /modle_to|permit/);
  await ann.getByRole("button", { name: "Undo changes" }).click();
  assert.equal(await text.inputValue(), before);
  const forbids = `${before}\n@id("no-trials")\n@reason("jobs of project trials do not run here")\nforbid (principal, action == Action::"run", resource)\nwhen { context.project == "trials" };\n`;
  await text.fill(forbids);
  await ann.getByRole("button", { name: "Check" }).click();
  await ann.getByText("4 rules: people-decide, others-learn, own-model and no-trials.").waitFor();
  await ann.getByRole("button", { name: "Take into use" }).click();
  const dialog = ann.getByRole("dialog");
  await dialog.getByText("ann").waitFor();
  await shot(ann, "policy-take");
  await dialog.getByRole("button", { name: "Take into use" }).click();
  await dialog.waitFor({ state: "detached" });
  await ann.getByRole("region", { name: "Rules of the policy" }).getByText("no-trials").waitFor();
  assert.equal(readFileSync(join(home("hospital-a"), "policy.cedar"), "utf8"), forbids);
  await shot(ann, "policy-changed");
  await go(ann, "Audit log");
  await ann.getByText(/changed by ann/).first().waitFor();
});

await journey("the audit log", async () => {
  await go(ann, "Audit log");
  await ann.getByRole("combobox", { name: "Job" }).selectOption(digest);
  await ann.getByText("Attempt done").waitFor();
  assert.equal(await ann.getByText("Log begun").count(), 0, "only what is about the job");
  await both(ann, "audit");
});

await journey("a model is registered, queried and counted", async () => {
  const job = readFileSync(join(SITE, "job.toml"), "utf8");
  const [, rows, test] = /name = "hospital-b"[^[]*?\nrows = (\d+)\ntest_rows = (\d+)/.exec(job);
  const all = Number(rows) + Number(test);
  privity("hospital-a", ["model", "add", "tumours-net", "--file", join(home("hospital-a"), "jobs", digest, "model.json"), "--most-rows", "1000"]);
  const file = join(SITE, "score.toml");
  writeFileSync(file, `name = "second opinion"\nprotocol = "gmw"\n[[participants]]\nname = "hospital-a"\nrows = 0\nmodel = true\n[[participants]]\nname = "hospital-b"\nrows = ${all}\n`
    + '[data]\nschema = "schema.toml"\n[model]\nkind = "logistic"\n[score]\n');
  const args = ["job", "submit", file, "--project", "tumours", "--purpose", "A second opinion", "--person", "bea", "--table", "hospital-b=tumours", "--model", "hospital-a=tumours-net"];
  const scored = privity("hospital-b", args).trim();
  await go(ann, "Jobs");
  await ann.getByRole("button", { name: /^All/ }).click();
  await ann.getByRole("link", { name: "second opinion" }).waitFor();
  const says = `Scores ${all} rows of hospital-b with model “tumours-net” of hospital-a (a logistic regression). hospital-b learns the prediction of its own rows; hospital-a learns no row and no result.`;
  const first = await vote("hospital-a", "bea", scored, "Approve", "read");
  await first.getByText(says).waitFor();
  await first.getByText("1 of 2 have approved").waitFor();
  await both(first, "query-to-decide");
  await vote("hospital-a", "cal", scored, "Approve", "read, agreed");
  const vic = await open();
  await signIn(vic, "hospital-b", "vic");
  await heading(vic, "Jobs");
  await vic.goto(`${page("hospital-b")}/#/jobs/${scored}`);
  await vic.getByRole("heading", { level: 1, name: /done/ }).waitFor();
  await vic.getByText("predictions.csv").waitFor();
  await both(vic, "query-done");
  await go(ann, "Tables");
  await ann.getByRole("region", { name: "Model tumours-net" }).getByText(new RegExp(`^${all} of 1`)).waitFor();
  await both(ann, "models");
});

await journey("people", async () => {
  await go(ann, "People");
  await ann.getByRole("button", { name: "Add a person" }).click();
  const dialog = ann.getByRole("dialog");
  await dialog.getByLabel("Name").fill("dan");
  await dialog.getByLabel("Role").selectOption("approver");
  await dialog.getByLabel("First password").fill("a long one with dan in it");
  await dialog.getByRole("button", { name: "Add" }).click();
  await dialog.getByText("the password has the name in it").waitFor();
  await dialog.getByLabel("First password").fill(PASSWORD);
  await dialog.getByRole("button", { name: "Add" }).click();
  const row = ann.getByRole("row", { name: /dan/ });
  await row.getByRole("button", { name: "Role" }).click();
  await dialog.getByLabel("Role").selectOption("viewer");
  await dialog.getByRole("button", { name: "Change" }).click();
  await row.getByText("viewer").waitFor();
  await both(ann, "people");
  await row.getByRole("button", { name: "Remove" }).click();
  await dialog.getByRole("button", { name: "Remove" }).click();
  await row.waitFor({ state: "detached" });
});

await journey("own password, light and dark, signing out", async () => {
  const menu = ann.locator("summary", { hasText: "ann" });
  await menu.click();
  await ann.getByRole("button", { name: "Change password" }).click();
  await ann.getByLabel("Old password").fill(PASSWORD);
  await ann.getByLabel("New password").fill("eight blue bicycles");
  await ann.getByRole("button", { name: "Change", exact: true }).click();
  await ann.getByRole("dialog").waitFor({ state: "detached" });
  await menu.click();
  await ann.getByRole("button", { name: "Light or dark" }).click();
  await ann.reload();
  await heading(ann, "People");
  assert.equal(await ann.evaluate(() => document.documentElement.dataset.theme), "dark");
  await menu.click();
  await ann.getByRole("button", { name: "Sign out" }).click();
  await ann.getByText("You are signed out.").waitFor();
  await shot(ann, "signed-out-dark");
  await signIn(ann, "hospital-a", "ann", "eight blue bicycles");
  await heading(ann, "Jobs");
});

await journey("a phone", async () => {
  const phone = await open({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await signIn(phone, "hospital-b", "bea");
  await heading(phone, "Jobs");
  await shot(phone, "phone-jobs");
  for (const view of ["Members", "Tables", "Policy", "Audit log"]) {
    await go(phone, view);
    await shot(phone, `phone-${view.toLowerCase().replace(" ", "-")}`);
  }
  await phone.goto(`${page("hospital-b")}/#/jobs/${digest}`);
  await heading(phone, /breast-cancer/);
  await phone.getByText("Timeline").click();
  await phone.getByRole("list", { name: "What happened" }).waitFor();
  await shot(phone, "phone-job");
});

await journey("signing in at an identity provider", async () => {
  const olga = await provider("olga", ["staff", "privity-officers"]);
  privity("clinic-o", ["init", "--org", "clinic-o", "--listen", await free(), "--admin", await free()]);
  appendFileSync(join(home("clinic-o"), "node.toml"),
    `\n[oidc]\nissuer = "${olga.issuer}"\nclient_id = "privity"\nname = "Clinic O"\nroles_claim = "groups"\n[oidc.roles]\nprivity-officers = "approver"\n`);
  const node = await start("clinic-o");
  const tab = await open();
  await tab.goto(page("clinic-o"));
  const button = tab.getByRole("button", { name: "Sign in with Clinic O" });
  await button.waitFor();
  await both(tab, "sign-in-provider");
  await button.focus();
  await tab.keyboard.press("Enter");
  await tab.getByRole("link", { name: "Go on as olga" }).click();
  await heading(tab, "Jobs");
  await tab.locator("summary", { hasText: "olga" }).click();
  assert.equal(await tab.getByRole("button", { name: "Change password" }).count(), 0, "its password is the provider's");
  await shot(tab, "signed-in-by-provider");
  await tab.getByRole("button", { name: "Sign out" }).click();
  await tab.getByText("You are signed out.").waitFor();
  // What the provider sent back once is worth nothing a second time.
  await tab.goBack();
  assert.equal(await tab.getByRole("heading", { level: 1, name: "Jobs" }).count(), 0);
  node.kill();
  olga.close();
});

await organisations();
await close();
console.log("every journey ends well");
