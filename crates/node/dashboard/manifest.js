// What a manifest says, in plain words, and in what two of them differ.

import { list, number, plural } from "./format.js";

const LAYERS = (hidden) => hidden.length === 1 ? `one hidden layer of ${hidden[0]} neurons` : `hidden layers of ${list(hidden.map(String))} neurons`;

/** The kind of model, in words. */
export function model({ kind }) {
  if (kind === "linear") return "a linear regression";
  if (kind === "logistic") return "a logistic regression";
  if (kind?.mlp) return `a neural network with ${LAYERS(kind.mlp.hidden)}`;
  return `a model: ${JSON.stringify(kind)}`;
}

// What the owner of a row learns of it.
const RESULTS = { prediction: "the prediction", class: "the class with the highest score", shares: "the share of each class" };

/** What runs where rows are scored: whose rows, whose model, and who learns what of them. */
function scoring({ job, models }, rows, owners) {
  const { organisation, model: name } = models?.[0] ?? { organisation: "another participant", model: "?" };
  const several = job.score.models > 1 ? `, one for each of ${number(job.score.models)} classes` : "";
  const each = holders(job).length > 1 ? `Each of ${owners}` : owners;
  return `Scores ${plural(rows, "row")} of ${owners} with model “${name}” of ${organisation} (${model(job.model)}${several}). ${each} learns ${RESULTS[job.score.output] ?? job.score.output} of its own rows; `
    + `${organisation} learns no row and no result. Nothing is trained.`;
}

const holders = (job) => job.participants.filter((p) => p.rows > 0);

/** What runs, in a sentence or two. */
export function summary(manifest) {
  const { job } = manifest;
  const rows = job.participants.reduce((sum, p) => sum + p.rows, 0);
  const owners = list(holders(job).map((p) => p.name));
  if (job.score) return scoring(manifest, rows, owners);
  const { epochs, batch } = job.training;
  return `Trains ${model(job.model)} on ${plural(rows, "row")} of ${owners}: ${plural(epochs, "pass", "passes")} in batches of ${number(batch)}.`;
}

/** Columns of the contract that all rows follow. */
export const columns = ({ job }) => job.data.schema.columns ?? [];

/** The values that a column may have, in words. */
export function range(column) {
  if (column.values) return column.values.join(", ");
  const bounds = [column.min, column.max].map((bound) => bound ?? null);
  if (bounds[0] === null && bounds[1] === null) return "not bounded";
  return `${bounds[0] ?? "…"} to ${bounds[1] ?? "…"}`;
}

/** A kind of column, in a word. */
export const kind = (column) => typeof column.kind === "string" ? column.kind : Object.keys(column.kind ?? {}).join(" ");

// Different in any two manifests, and of no weight.
const ALWAYS = new Set(["id", "created", "expires", "release.until", "version"]);

function flat(value, at, into) {
  if (value !== null && typeof value === "object") {
    const entries = Array.isArray(value) ? value.map((item, i) => [item?.name ?? item?.organisation ?? String(i + 1), item]) : Object.entries(value);
    if (entries.length === 0) into.set(at, Array.isArray(value) ? "none" : "empty");
    const plain = Array.isArray(value) && value.every((item) => typeof item !== "object");
    if (plain && value.length) into.set(at, value.join(", "));
    else for (const [key, item] of entries) flat(item, at ? `${at}.${key}` : key, into);
  } else {
    into.set(at, String(value));
  }
  return into;
}

const NAMES = [
  ["job.participants.", "participant "], ["job.data.schema.columns.", "column "], ["job.training.", "training: "], ["job.model.", "model: "], ["job.outputs.", "outputs: "],
  ["job.evaluation.", "evaluation: "], ["job.numbers.", "number format: "], ["job.link.", "assumed link: "], ["datasets.", "table of "], ["models.", "model of "], ["release.", "release: "], ["job.", ""],
];

function name(path) {
  const known = NAMES.find(([start]) => path.startsWith(start));
  const text = known ? known[1] + path.slice(known[0].length) : path;
  return text.replaceAll("_", " ").replaceAll(".", ", ");
}

/** In what a manifest differs from an earlier one: name, before, now. */
export function difference(before, now) {
  const [old, fresh] = [flat(before, "", new Map()), flat(now, "", new Map())];
  const paths = [...new Set([...old.keys(), ...fresh.keys()])].filter((path) => !ALWAYS.has(path) && old.get(path) !== fresh.get(path));
  return paths.map((path) => ({ path, name: name(path), before: old.get(path), now: fresh.get(path) }));
}
