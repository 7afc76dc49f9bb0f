// Numbers, times and digests for people.

import { h } from "./dom.js";

/** Bytes in powers of a thousand. */
export function bytes(n) {
  if (n === undefined || n === null) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (n >= 999.5 && unit < 4) {
    n /= 1000;
    unit += 1;
  }
  return `${unit === 0 || n >= 100 ? Math.round(n) : n.toPrecision(3).replace(/\.?0+$/, "")} ${units[unit]}`;
}

/** Seconds as two units at most. */
export function duration(seconds) {
  if (seconds === undefined || seconds === null) return "–";
  if (seconds < 1) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const [d, hours, m, rest] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60, whole % 60];
  if (d) return `${d} d ${hours} h`;
  if (hours) return `${hours} h ${m} min`;
  return m ? `${m} min ${rest} s` : `${rest} s`;
}

export const number = (n) => n === undefined || n === null ? "–" : Number(n).toLocaleString("en-GB").replaceAll(",", "\u2009");

export const figure = (n) => n === undefined || n === null ? "–" : Number(n).toPrecision(4);

const local = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });

const precise = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

const utc = (date) => `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;

/** A time of the node, in local time; in UTC where one points at it. */
export function time(at, exact = false) {
  const date = new Date(at * 1000);
  return h("time", { datetime: date.toISOString(), title: utc(date) }, (exact ? full : local).format(date));
}

/** A time to the second. */
export function moment(at) {
  const date = new Date(at * 1000);
  return h("time", { datetime: date.toISOString(), title: utc(date) }, precise.format(date));
}

/** How long ago a time is. */
export function ago(at) {
  const date = new Date(at * 1000);
  const seconds = Math.round(Date.now() / 1000 - at);
  const text = seconds < 10 ? "just now" : seconds < 60 ? "under a minute ago" : seconds < 3600 ? `${Math.floor(seconds / 60)} min ago`
    : seconds < 86400 ? `${Math.floor(seconds / 3600)} h ago` : local.format(date);
  return h("time", { datetime: date.toISOString(), title: `${full.format(date)} (${utc(date)})` }, text);
}

/** The beginning of a digest; all of it where one points at it. */
export const digest = (text, digits = 12) => text ? h("code", { title: text }, text.slice(0, digits)) : "–";

export const list = (names) => names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;

export const plural = (n, one, many = `${one}s`) => `${number(n)} ${n === 1 ? one : many}`;

const MEANING = {
  pending: "waiting for decisions", ready: "approved by all, about to start", running: "running", paused: "stopped, may go on",
  done: "done", aborted: "failed or given up", denied: "denied", expired: "out of time",
};

/** Where a job stands. */
export const state = (name) => h("span", { class: `badge ${name}`, title: MEANING[name] }, h("span", { class: "dot", "aria-hidden": "true" }), name);
