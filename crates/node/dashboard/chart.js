// Progress of a job from its engine's events, and curves of its loss.

import { s } from "./dom.js";

/** What events say so far. A new attempt that begins anew drops the losses before it. */
export function follow(known, events) {
  const progress = known ?? { last: 0, losses: [], epoch: 0, share: 0, notes: [], connected: null };
  for (const { seq, at, event } of events) {
    progress.last = Math.max(progress.last, seq);
    if (event.event === "connected") {
      Object.assign(progress, { connected: { at, seconds: event.seconds, from: 0 }, earlier: progress.losses.length ? progress.losses : progress.earlier ?? [], losses: [], epoch: 0, share: 0 });
    } else if (event.event === "resumed") {
      progress.notes.push({ at, text: `went on after pass ${event.epochs}` });
      progress.epoch = progress.connected.from = event.epochs;
      progress.losses = progress.earlier.filter(([epoch]) => epoch < event.epochs);
    } else if (event.event === "lost") {
      progress.notes.push({ at, text: `${event.party} was lost; from then on: ${event.security}` });
      progress.lost = { at, party: event.party, security: event.security };
    } else if (event.event === "progress") {
      Object.assign(progress, { epoch: event.epoch, share: event.of ? event.done / event.of : 0 });
    } else if (event.event === "epoch") {
      progress.losses = progress.losses.filter(([epoch]) => epoch < event.epoch);
      progress.losses.push([event.epoch, event.loss]);
      Object.assign(progress, { epoch: event.epoch + 1, share: 0 });
    } else if (event.event === "failed") {
      progress.notes.push({ at, text: event.message });
    }
  }
  return progress;
}

/** The share of all passes that is done. */
export const share = (progress, epochs) => Math.min(1, ((progress?.epoch ?? 0) + (progress?.share ?? 0)) / Math.max(1, epochs));

const spoken = (losses) => losses.length ? `Training loss by pass: ${losses.map(([, loss]) => loss.toPrecision(3)).join(", ")}` : "No losses yet";

function scale(losses, epochs, [left, top, right, bottom]) {
  const values = losses.map(([, loss]) => loss);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const spread = high - low || Math.abs(high) || 1;
  const x = (epoch) => left + (right - left) * (epochs > 1 ? epoch / (epochs - 1) : 0.5);
  const y = (loss) => bottom - (bottom - top) * (high === low ? 0.5 : (loss - low) / spread);
  return { x, y, low, high };
}

const path = (losses, { x, y }) => losses.map(([epoch, loss], i) => `${i ? "L" : "M"}${x(epoch).toFixed(1)} ${y(loss).toFixed(1)}`).join("");

/** A small curve for a row of a table. */
export function sparkline(losses, epochs) {
  const at = scale(losses, epochs, [3, 3, 93, 21]);
  return s("svg", { class: "sparkline", viewBox: "0 0 96 24", role: "img", "aria-label": spoken(losses) },
    losses.length > 1 && s("path", { d: path(losses, at), class: "line" }),
    losses.length > 0 && s("circle", { cx: at.x(losses.at(-1)[0]), cy: at.y(losses.at(-1)[1]), r: 2.5, class: "point" }));
}

/** A curve with axes. It takes the same place with and without losses. */
export function curve(losses, epochs) {
  const at = scale(losses.length ? losses : [[0, 0]], epochs, [56, 14, 624, 150]);
  const text = (x, y, anchor, content) => s("text", { x, y, "text-anchor": anchor, class: "axis" }, content);
  const ends = epochs > 1 ? [0, epochs - 1] : [0];
  return s("svg", { class: "curve", viewBox: "0 0 640 184", role: "img", "aria-label": spoken(losses) },
    [14, 82, 150].map((y) => s("line", { x1: 56, x2: 624, y1: y, y2: y, class: "grid" })),
    ends.map((epoch, i) => text(at.x(epoch), 172, epochs === 1 ? "middle" : i ? "end" : "start", `pass ${epoch + 1}`)),
    losses.length > 0 && (at.high === at.low ? [[82, at.low]] : [[14, at.high], [150, at.low]]).map(([y, value]) => text(48, y + 4, "end", value.toPrecision(3))),
    losses.length === 0 && text(340, 86, "middle", "the first loss comes after the first pass"),
    losses.length > 1 && s("path", { d: path(losses, at), class: "line" }),
    losses.map(([epoch, loss]) => s("circle", { cx: at.x(epoch), cy: at.y(loss), r: 3.5, class: "point" }, s("title", {}, `pass ${epoch + 1}: ${loss.toPrecision(4)}`))));
}
