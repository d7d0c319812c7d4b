// SPDX-License-Identifier: Apache-2.0
// Asks for the status again and again while the page is seen, and shows it. What comes from weir (names of files,
// what etcd held, error texts) is only ever set as text; the Content-Security-Policy refuses all else.
"use strict";

const $ = (id) => document.getElementById(id);
const WINDOW = 300, PAUSE = 1000, LONGEST_PAUSE = 10000, PATIENCE = 8000, SHOWN = 25, FILES_ASKED = 1000, SMOOTH = 5;

const model = {
  status: null, reasons: [], // as they came last
  at: 0,                     // when that was, seconds
  points: [],                // {t, in, out, inBytes, outBytes}, rates; null: unknown
  rates: new Map(),          // key -> {t, v, rate}[] of counters
  failing: 0,                // since when weir does not answer
  unit: "records",
};

// ---- Text -----------------------------------------------------------------------------------------------------

// Characters that change how what follows is read are shown by their numbers.
const visible = (text) => String(text).replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
  (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));

const scale = (value, step, units) => {
  let unit = 0;
  while (Math.abs(value) >= step * 0.99995 && unit < units.length - 1) { value /= step; unit++; }
  const digits = unit === 0 && Number.isInteger(value) ? 0 : Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0;
  return value.toLocaleString("en", { maximumFractionDigits: digits }) + (units[unit] ? "\u202f" + units[unit] : "");
};
const bytes = (value) => scale(Math.round(value), 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]);
const count = (value) => Math.abs(value) < 100000 ? Math.round(value).toLocaleString("en") : scale(value, 1000, ["", "k", "M", "G", "T"]);
const perSecond = (value, text) => value == null ? "–" : text(value > 0 && value < 10 ? Math.round(value * 10) / 10 : value) + "/s";
const records = (value) => value > 0 && value < 10 ? value.toLocaleString("en", { maximumFractionDigits: 1 }) : count(value);
const plural = (n, one, many) => count(n) + " " + (n === 1 ? one : many || one + "s");
const span = (s) => s < 90 ? Math.round(s) + " s" : s < 5400 ? Math.round(s / 60) + " min"
  : s < 129600 ? Math.round(s / 3600) + " h" : Math.round(s / 86400) + " days";

// A state is told by its sign and its word; the colour comes on top.
const STATES = {
  running: ["●", "good"], open: ["●", "good"], connected: ["●", "good"], ended: ["✓", "good"],
  starting: ["○", "warn"], waiting: ["○", "warn"], stopping: ["■", "warn"], retiring: ["■", "warn"], rotated: ["↻", ""], retrying: ["▲", "bad"],
  failing: ["✕", "bad"], "not connected": ["✕", "bad"],
};

// ---- The document ---------------------------------------------------------------------------------------------

const make = (tag, name, text) => {
  const e = document.createElement(tag);
  if (name) e.className = name;
  if (text != null) e.textContent = text;
  return e;
};
// What did not change is not touched: a selection or a screen reader stays where it is.
const put = (element, text) => { if (element.textContent !== text) element.textContent = text; };
const show = (element, yes) => { if (element.hidden === yes) element.hidden = !yes; };
const path = (text) => { const b = make("bdi", "path"); b.textContent = visible(text); return b; };

function putState(element, state, word) {
  const [sign, tone] = STATES[state] || ["○", ""];
  const key = state + word;
  if (element.dataset.state === key) return;
  element.dataset.state = key;
  element.className = "state " + tone;
  const mark = make("i", "", sign);
  mark.setAttribute("aria-hidden", "true");
  element.replaceChildren(mark, make("span", "", visible(word || state)));
}

// Children of `parent` for `items`, one each, kept by key. While a reload goes on, two may have the same name.
function list(parent, items, keyOf, create, update) {
  const old = new Map([...parent.children].map((e) => [e.dataset.key, e])), taken = new Map();
  let before = parent.firstElementChild;
  for (const item of items) {
    const name = keyOf(item), number = taken.get(name) || 0, key = name + "\0" + number;
    taken.set(name, number + 1);
    let e = old.get(key);
    if (e) old.delete(key);
    else { e = create(item); e.dataset.key = key; }
    if (e === before) before = before.nextElementSibling;
    else parent.insertBefore(e, before);
    update(e, item);
  }
  for (const e of old.values()) e.remove();
}

// ---- Rates ----------------------------------------------------------------------------------------------------

// Of a counter, over the last seconds; null as long as that is not known.
function rateOf(key, t, value) {
  let past = model.rates.get(key);
  if (!past || past[past.length - 1].v > value) model.rates.set(key, past = []);
  past.push({ t, v: value });
  while (past.length > 2 && t - past[1].t >= SMOOTH) past.shift();
  past.seen = t;
  const first = past[0];
  return t > first.t ? (value - first.v) / (t - first.t) : null;
}

function forgetRates(t) {
  for (const [key, past] of model.rates) if (past.seen !== t) model.rates.delete(key);
}

const sum = (items, member) => items.reduce((all, item) => all + (item[member] || 0), 0);

// Read and delivered since the last answer. Inputs that go take their counters along: that is no rate.
function addPoint(before, now, dt, t) {
  const delta = (side, member) => {
    const old = new Map(before[side].map((i) => [i.alias, i[member]]));
    let all = 0;
    for (const i of now[side]) {
      const was = old.has(i.alias) ? old.get(i.alias) : i[member];
      all += i[member] >= was ? i[member] - was : i[member];
    }
    return all / dt;
  };
  model.points.push({ t, in: delta("inputs", "records"), out: delta("outputs", "records"),
    inBytes: delta("inputs", "bytes"), outBytes: delta("outputs", "bytes") });
}

// Makes of the status what is shown of it.
function digest(status, t) {
  const before = model.status;
  const dt = before ? status.uptime_s - before.uptime_s : 0; // weir's own clock: an answer may be late
  if (dt > 0 && dt < 60) addPoint(before, status, dt, t);
  else if (dt !== 0) { model.points.push({ t, in: null, out: null, inBytes: null, outBytes: null }); }
  if (dt < 0) model.rates.clear();
  while (model.points.length && model.points[0].t < t - WINDOW - 10) model.points.shift();
  const files = [];
  for (const input of status.inputs) {
    input.rate = rateOf("i" + input.alias, status.uptime_s, input.records);
    input.behind = 0;
    for (const f of input.files || []) {
      f.input = input.alias;
      f.behind = f.lag ?? Math.max(0, f.size - f.committed); // lag: without a last line that has no end yet
      f.rate = rateOf("f" + input.alias + "\0" + f.path, status.uptime_s, f.committed);
      input.behind += f.behind;
      files.push(f);
    }
    input.fileCount = Math.max((input.open_files || 0) + (input.parked_files || 0), (input.files || []).length);
  }
  for (const o of status.outputs) {
    o.rate = rateOf("o" + o.alias, status.uptime_s, o.records);
    o.byteRate = rateOf("b" + o.alias, status.uptime_s, o.bytes);
    const past = model.rates.get("b" + o.alias);
    o.line = (past.line = (past.line || []).concat([o.byteRate]).slice(-90));
  }
  forgetRates(status.uptime_s);
  status.files = files;
  status.sources = Object.entries(status).filter(([name, v]) => Array.isArray(v) && !["inputs", "outputs", "files", "sources"].includes(name))
    .flatMap(([name, v]) => v.filter((s) => s && typeof s === "object").map((s) => ({ ...s, plugin: name })));
  model.status = status;
  model.at = t;
}

// ---- What needs a look ----------------------------------------------------------------------------------------

const shownOf = {}; // how many of each long list

function more(button, key, total, what) {
  const shown = shownOf[key] || SHOWN;
  show(button, total > shown);
  const left = total - shown, next = Math.min(left, 200);
  put(button, `Show ${next} more${left > next ? ` of ${count(left)}` : ""} ${what}`);
}

function problemsOf(status) {
  const all = [];
  const add = (who, what) => all.push({ who, what });
  for (const o of status.outputs) {
    if (o.error) add(o.alias, o.error);
    else if (o.state === "retrying") add(o.alias, "could not write, and tries again");
  }
  for (const s of status.sources) {
    if (s.connected === false && !status.inputs.some((i) => i.alias === s.alias && i.error)) add(s.alias, "is not connected; what it applied last stays in force");
    const refused = s.refused_entries ?? (s.refused || []).length;
    if (refused) add(s.alias, `refused ${plural(refused, "entry", "entries")}, see below`);
  }
  for (const i of status.inputs) {
    if (i.error) add(i.alias, i.error);
    for (const c of i.complaints || []) add(i.alias, typeof c === "string" ? c : JSON.stringify(c));
  }
  const known = new Set(all.map((p) => p.who + ": " + p.what));
  for (const r of model.reasons) {
    const at = r.indexOf(": ");
    if (!known.has(r)) add(at < 0 ? "weir" : r.slice(0, at), at < 0 ? r : r.slice(at + 2));
  }
  return all;
}

function showProblems(all) {
  const section = $("problems"), ul = section.querySelector("ul");
  show(section, all.length > 0);
  put(section.querySelector(".count"), all.length ? count(all.length) : "");
  list(ul, all.slice(0, shownOf.problems || 8), (p) => p.who + "\0" + p.what, (p) => {
    const li = make("li"), text = make("span");
    const mark = make("i", "bad", "✕");
    mark.setAttribute("aria-hidden", "true");
    const who = make("b");
    who.append(path(p.who));
    text.append(who, " ", make("bdi", "", visible(p.what)));
    li.append(mark, text);
    return li;
  }, () => {});
  const button = section.querySelector(".more"), left = all.length - (shownOf.problems || 8);
  show(button, left > 0);
  put(button, `Show ${Math.min(left, 200)} more of ${count(left)}`);
}

// ---- The plot -------------------------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";
const draw = (name, attributes, text) => {
  const e = document.createElementNS(SVG, name);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  if (text != null) e.textContent = text;
  return e;
};

// The next of 1, 2, 5, 10 … (in powers of 1024 for bytes) at or above a value.
function niceTop(value, binary) {
  if (value <= 0) return 1;
  let unit = 1;
  if (binary) while (value / unit >= 1024) unit *= 1024;
  const power = 10 ** Math.floor(Math.log10(value / unit));
  for (const m of [1, 2, 5, 10]) if (m * power * unit >= value) return m * power * unit;
  return value;
}

// Runs of known points, as the path of a line.
function linePath(points, x, y) {
  let d = "", on = false;
  for (const p of points) {
    if (p.v == null) { on = false; continue; }
    d += `${on ? "L" : "M"}${x(p.t).toFixed(1)} ${y(p.v).toFixed(1)}`;
    on = true;
  }
  return d;
}

function areaPath(points, x, y, floor) {
  let d = "", run = [];
  const close = () => {
    if (run.length > 1) d += `M${x(run[0].t).toFixed(1)} ${floor}` + run.map((p) => `L${x(p.t).toFixed(1)} ${y(p.v).toFixed(1)}`).join("")
      + `L${x(run[run.length - 1].t).toFixed(1)} ${floor}Z`;
    run = [];
  };
  for (const p of points) { if (p.v == null) close(); else run.push(p); }
  close();
  return d;
}

let cross = null;   // a time the reader points at
let plotted = null; // what the plot shows where

function showPlot() {
  const host = $("plot"), width = host.clientWidth, height = host.clientHeight;
  if (!width) return;
  const binary = model.unit === "bytes", text = binary ? bytes : records;
  const of = (member) => model.points.map((p) => ({ t: p.t, v: p[binary ? member + "Bytes" : member] }));
  const ins = of("in"), outs = of("out"), now = model.at;
  const first = model.points.find((p) => p.t > now - WINDOW);
  const window = [60, 120].find((w) => first && first.t >= now - w) || WINDOW; // not an empty plot at first
  const top = niceTop(Math.max(...[...ins, ...outs].filter((p) => p.t > now - window).map((p) => p.v || 0), 0), binary);
  const left = 64, right = 8, above = 10, floor = height - 22;
  plotted = { now, window, left, right };
  const x = (t) => left + (t - now + window) / window * (width - left - right);
  const y = (v) => floor - v / top * (floor - above);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  for (const part of [0, 0.5, 1]) {
    svg.append(draw("line", { class: "grid", x1: left, x2: width - right, y1: y(top * part), y2: y(top * part) }),
      draw("text", { x: left - 8, y: y(top * part) + 4, "text-anchor": "end" }, part && top * part < 1 ? (top * part).toFixed(1) : text(top * part)));
  }
  const steps = width < 480 ? 2 : window === WINDOW ? 5 : 4;
  for (let i = 0; i <= steps; i++) {
    const ago = window * i / steps;
    svg.append(draw("text", { x: x(now - ago), y: height - 4, "text-anchor": i === 0 ? "end" : i === steps ? "start" : "middle" },
      i === 0 ? "now" : ago % 60 ? `−${ago} s` : `−${ago / 60} min`));
  }
  const clip = (points) => points.filter((p) => p.t >= now - window);
  svg.append(draw("path", { class: "area", d: areaPath(clip(outs), x, y, floor) }),
    draw("path", { class: "line-out", d: linePath(clip(outs), x, y) }), draw("path", { class: "line-in", d: linePath(clip(ins), x, y) }));
  let said = "Point at the plot, or use the arrow keys in it, to read a moment.";
  if (cross != null && model.points.length) {
    const p = model.points.reduce((a, b) => Math.abs(b.t - cross) < Math.abs(a.t - cross) ? b : a);
    svg.append(draw("line", { class: "cross", x1: x(p.t), x2: x(p.t), y1: above, y2: floor }));
    const suffix = binary ? "" : " records";
    const v = (n) => n == null ? "unknown" : text(n) + suffix + "/s";
    said = `${span(now - p.t)} ago: read ${v(binary ? p.inBytes : p.in)}, delivered ${v(binary ? p.outBytes : p.out)}`;
  }
  put($("readout"), said);
  host.replaceChildren(svg);
  const last = model.points[model.points.length - 1];
  host.setAttribute("aria-label", "Throughput of the last five minutes." + (last && last.in != null
    ? ` Now: read ${records(last.in)}, delivered ${records(last.out)} records a second. Arrow keys read it point by point.` : ""));
}

function pointAt(event) {
  if (!plotted) return;
  const box = $("plot").getBoundingClientRect(), { now, window, left, right } = plotted;
  cross = now - window + Math.min(1, Math.max(0, (event.clientX - box.left - left) / (box.width - left - right))) * window;
  showPlot();
}

function moveCross(event) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step && event.key !== "Escape") return;
  const points = model.points;
  if (step && points.length) {
    let at = cross == null ? points.length - 1 : points.findIndex((p) => p.t >= cross - 0.001);
    if (at < 0) at = points.length - 1;
    cross = points[Math.min(points.length - 1, Math.max(0, at + (cross == null ? 0 : step)))].t;
    $("readout").setAttribute("aria-live", "polite");
  } else cross = null;
  event.preventDefault();
  showPlot();
}

// ---- Tiles ----------------------------------------------------------------------------------------------------

function recent(member) {
  const known = model.points.filter((p) => p.t > model.at - SMOOTH && p[member] != null);
  return known.length ? known.reduce((a, p) => a + p[member], 0) / known.length : null;
}

function showTiles(s) {
  put($("tile-in"), perSecond(recent("in"), records));
  put($("tile-in-more"), perSecond(recent("inBytes"), bytes) + " of records");
  put($("tile-out"), perSecond(recent("out"), records));
  put($("tile-out-more"), perSecond(recent("outBytes"), bytes) + " of records");
  const behind = sum(s.files, "behind"), late = s.files.filter((f) => f.behind > 0).length;
  put($("tile-behind"), bytes(behind));
  const lost = sum(s.files, "abandoned");
  put($("tile-behind-more"), (late ? "in " + plural(late, "file") : "every file is delivered") + (lost ? `, ${bytes(lost)} given up` : ""));
  const trouble = sum(s.outputs, "retries"), rejected = sum(s.outputs, "rejected");
  put($("tile-queue"), bytes(sum(s.outputs, "queued_bytes")));
  put($("tile-queue-more"), trouble || rejected ? `${plural(trouble, "retry", "retries")}, ${count(rejected)} rejected` : "no retries, none rejected");
}

// ---- Outputs and sources --------------------------------------------------------------------------------------

function row(dl, name, value, tone) {
  let dt = [...dl.children].find((e) => e.tagName === "DT" && e.textContent === name);
  if (value == null) { if (dt) { dt.nextElementSibling.remove(); dt.remove(); } return; }
  if (!dt) { dt = make("dt", "", name); dl.append(dt, make("dd")); }
  const dd = dt.nextElementSibling;
  put(dd, value);
  dd.className = tone || "";
}

function card(item) {
  const e = make("article", "card"), h = make("h3"), name = make("span");
  name.append(path(item.alias), " ", make("span", "quiet", visible(item.name || item.plugin)));
  h.append(name, make("span", "state"));
  e.append(h);
  return e;
}

function spark(svg, line) {
  const width = 240, height = 34, top = Math.max(...line.map((v) => v || 0), 1);
  const points = line.map((v, i) => ({ t: i + 90 - line.length, v }));
  const x = (t) => t / 89 * width, y = (v) => height - 2 - v / top * (height - 4);
  svg.replaceChildren(draw("path", { class: "area", d: areaPath(points, x, y, height) }),
    draw("path", { class: "line-out", d: linePath(points, x, y), "vector-effect": "non-scaling-stroke" }));
}

function showOutputs(s) {
  const all = s.outputs;
  put(document.querySelector("#outputs-title .count"), count(all.length));
  list($("outputs"), all.slice(0, shownOf.outputs || SHOWN), (o) => o.alias, (o) => {
    const e = card(o), svg = draw("svg", { class: "spark", viewBox: "0 0 240 34", preserveAspectRatio: "none", "aria-hidden": "true" });
    e.append(svg, make("dl"), make("p", "error bad"));
    return e;
  }, (e, o) => {
    putState(e.querySelector(".state"), o.error ? "failing" : o.state, o.error ? `${o.state}, with an error` : o.state);
    e.classList.toggle("troubled", !!o.error || o.state === "retrying");
    spark(e.querySelector(".spark"), o.line);
    const dl = e.querySelector("dl");
    row(dl, "Delivered", `${perSecond(o.rate, records)} · ${perSecond(o.byteRate, bytes)}`);
    row(dl, "In all", `${count(o.records)} · ${bytes(o.bytes)}`);
    row(dl, "Queue", bytes(o.queued_bytes));
    row(dl, "Retries", count(o.retries), o.retries ? "warn" : "");
    row(dl, "Rejected", count(o.rejected), o.rejected ? "bad" : "");
    const p = e.querySelector(".error");
    show(p, !!o.error);
    put(p, o.error ? visible(o.error) : "");
  });
  more($("outputs-more"), "outputs", all.length, "outputs");
}

const TOLD = ["alias", "plugin", "connected", "revision", "applied_revision", "entries", "refused_entries", "refused"];

function refusedText(r) {
  if (r == null || typeof r !== "object") return visible(r);
  const { key, entry, error, ...rest } = r;
  const where = [key, entry != null ? "entry " + entry : null].filter((p) => p != null).map(visible).join(", ");
  const others = Object.keys(rest).length ? visible(JSON.stringify(rest)) : "";
  return [where, error != null ? visible(error) : null, others].filter(Boolean).join(": ");
}

function showSources(s) {
  show($("sources-section"), s.sources.length > 0);
  put(document.querySelector("#sources-title .count"), count(s.sources.length));
  list($("sources"), s.sources, (x) => x.plugin + "\0" + x.alias, (x) => {
    const e = card(x);
    e.append(make("dl"), make("ul"));
    return e;
  }, (e, x) => {
    const refused = Array.isArray(x.refused) ? x.refused : [], of = x.refused_entries ?? refused.length;
    const connected = x.connected === undefined ? "running" : x.connected ? "connected" : "not connected";
    putState(e.querySelector(".state"), connected);
    e.classList.toggle("troubled", x.connected === false || of > 0);
    const dl = e.querySelector("dl");
    if (x.revision !== undefined || x.applied_revision !== undefined) {
      const level = x.applied_revision === x.revision;
      row(dl, "Revision", level ? `${x.revision}, applied` : `${x.applied_revision ?? "none"} applied of ${x.revision} seen`, level ? "" : "warn");
    }
    row(dl, "Entries", x.entries === undefined ? null : count(x.entries));
    row(dl, "Refused", count(of), of ? "bad" : "");
    for (const [name, value] of Object.entries(x)) // what a plugin of somebody else's tells
      if (!TOLD.includes(name)) row(dl, visible(name), visible(typeof value === "object" ? JSON.stringify(value) : value));
    const ul = e.querySelector("ul");
    show(ul, refused.length > 0);
    list(ul, refused.slice(0, 20), (r) => refusedText(r), (r) => {
      const li = make("li"), b = make("bdi", "", refusedText(r)), mark = make("span", "bad", "✕ ");
      mark.setAttribute("aria-hidden", "true");
      li.append(mark, b);
      return li;
    }, () => {});
    const left = of - Math.min(refused.length, 20);
    if (left > 0) ul.append(make("li", "quiet", `and ${count(left)} more`)); // no key: gone at the next list()
  });
}

// ---- Inputs and files -----------------------------------------------------------------------------------------

const order = { inputs: { by: "behind", down: true }, files: { by: "behind", down: true } };
const NUMBERS = ["files", "rate", "behind", "size"];

function sorted(key, items, valueOf) {
  const { by, down } = order[key], sign = down ? -1 : 1;
  return items.sort((a, b) => {
    const x = valueOf(a, by), y = valueOf(b, by);
    const c = typeof x === "number" || typeof y === "number" ? (x || 0) - (y || 0) : String(x ?? "").localeCompare(String(y ?? ""));
    return c ? c * sign : String(valueOf(a, null)).localeCompare(String(valueOf(b, null)));
  });
}

function matching(id, items, textOf) {
  const words = $(id).value.toLowerCase().split(/\s+/).filter(Boolean);
  return words.length ? items.filter((i) => { const t = textOf(i).toLowerCase(); return words.every((w) => t.includes(w)); }) : items;
}

function cells(e, labels) {
  for (const [label, number] of labels) {
    const td = make("td", number ? "number" : "");
    if (label) td.dataset.label = label;
    e.append(td);
  }
}

function none(table, total, shown, what) {
  const p = table.parentElement.querySelector(".none");
  show(p, shown === 0);
  show(table, total > 0);
  put(p, total ? `None of ${plural(total, what)} matches the filter.` : `There are no ${what}s.`);
}

const stateOf = (i) => i.error ? "failing" : i.state;

function showInputs(s) {
  const table = $("inputs"), all = s.inputs;
  put(document.querySelector("#inputs-title .count"), count(all.length));
  show($("inputs-filter"), all.length > 5 || $("inputs-filter").value !== "");
  table.classList.toggle("ownerless", all.every((i) => i.owner == null));
  const found = sorted("inputs", matching("inputs-filter", all.slice(), (i) =>
    [i.alias, i.name, i.owner, i.tag, i.topic, i.state, i.error].join(" ")),
  (i, by) => by === null ? i.alias : by === "files" ? i.fileCount : by === "state" ? stateOf(i) : i[by]);
  list(table.tBodies[0], found.slice(0, shownOf.inputs || SHOWN), (i) => i.alias, (i) => {
    const e = make("tr");
    cells(e, [["", 0], ["", 0], ["from", 0], ["to", 0], ["files", 1], ["records", 1], ["behind", 1]]);
    e.cells[0].append(path(i.alias), " ", make("span", "quiet", visible(i.name)));
    e.cells[1].append(make("span"));
    return e;
  }, (e, i) => {
    putState(e.cells[1].firstElementChild, stateOf(i), i.error ? i.state + ", with an error" : i.state);
    put(e.cells[2], i.owner == null ? "" : visible(i.owner));
    put(e.cells[3], visible(i.tag || "") + (i.topic ? " → " + visible(i.topic) : ""));
    put(e.cells[4], i.files ? count(i.fileCount) : "");
    put(e.cells[5], perSecond(i.rate, records));
    put(e.cells[6], i.files ? bytes(i.behind) : "");
  });
  none(table, all.length, found.length, "input");
  more($("inputs-more"), "inputs", found.length, "inputs");
}

function showFiles(s) {
  const table = $("files"), all = s.files, there = sum(s.inputs, "fileCount");
  put(document.querySelector("#files-title .count"), there > all.length
    ? `the ${count(all.length)} with most behind, of ${count(there)}` : count(all.length));
  const found = sorted("files", matching("files-filter", all.slice(), (f) => [f.path, f.input, f.state].join(" ")),
    (f, by) => by === null ? f.path : f[by]);
  const page = found.slice(0, shownOf.files || SHOWN), worst = Math.max(...page.map((f) => f.behind), 1);
  list(table.tBodies[0], page, (f) => f.input + "\0" + f.path, (f) => {
    const e = make("tr");
    cells(e, [["", 0], ["in", 0], ["", 0], ["size", 1], ["delivered", 1], ["behind", 1]]);
    e.cells[0].append(path(f.path));
    e.cells[1].append(path(f.input));
    e.cells[2].append(make("span"));
    e.cells[5].append(make("span"), make("span", "quiet"), make("span", "bar"), make("div", "bad"));
    return e;
  }, (e, f) => {
    putState(e.cells[2].firstElementChild, f.state);
    put(e.cells[3], bytes(f.size));
    put(e.cells[4], perSecond(f.rate, bytes));
    const [text, time, bar, lost] = e.cells[5].children;
    put(text, bytes(f.behind));
    put(time, f.behind > 0 && f.lag_seconds >= 1 ? " · for " + span(f.lag_seconds) : "");
    show(bar, f.behind > 0);
    bar.style.width = Math.max(2, f.behind / worst * 100) + "%";
    show(lost, f.abandoned > 0);
    put(lost, f.abandoned ? `${bytes(f.abandoned)} given up` : "");
  });
  none(table, all.length, found.length, "file");
  more($("files-more"), "files", found.length, "files");
}

// ---- The whole ------------------------------------------------------------------------------------------------

function render() {
  const s = model.status;
  if (!s) return;
  const problems = problemsOf(s);
  if (!model.failing) {
    putState($("overall"), problems.length ? "retrying" : "running", problems.length
      ? plural(problems.length, "thing needs a look", "things need a look") : "Everything flows");
    document.title = (problems.length ? `(${problems.length}) ` : "") + "weir";
  }
  put($("version"), visible(s.version));
  put($("process"), `up ${span(s.uptime_s)} · configuration ${count(s.generation)}`);
  showProblems(problems);
  showTiles(s);
  showPlot();
  showOutputs(s);
  showSources(s);
  showInputs(s);
  showFiles(s);
}

function isAway(why) {
  const now = Date.now() / 1000;
  model.failing ||= now;
  putState($("overall"), "failing", "weir is away");
  document.title = "weir is away";
  show($("away"), true);
  const last = model.at ? ` What is shown is ${span(now - model.at)} old.` : "";
  put($("away"), `weir does not answer, since ${span(now - model.failing)}: ${why}.${last} It is asked again and again.`);
  document.body.classList.add("stale");
}

function isBack() {
  model.failing = 0;
  show($("away"), false);
  show($("token"), false);
  document.body.classList.remove("stale");
}

// ---- Asking ---------------------------------------------------------------------------------------------------

const TOKEN = "weir-token";

async function fetchJson(url, signal) {
  const token = sessionStorage.getItem(TOKEN);
  const answer = await fetch(url, { signal, cache: "no-store", credentials: "omit", headers: token ? { Authorization: "Bearer " + token } : {} });
  if (answer.status === 401) throw Object.assign(new Error("a token is needed"), { token: true });
  if (!answer.ok && !url.startsWith("readyz")) throw new Error(`it answered ${answer.status}`);
  return answer.json();
}

let timer = 0, asking = false;

function askLater(pause) {
  clearTimeout(timer);
  timer = document.hidden ? 0 : setTimeout(ask, pause);
}

async function ask() {
  if (asking) return;
  asking = true;
  clearTimeout(timer);
  const control = new AbortController(), begin = performance.now();
  const patience = setTimeout(() => control.abort(), PATIENCE);
  let pause = PAUSE;
  try {
    const [status, ready] = await Promise.all([fetchJson(`api/v1/status?files=${FILES_ASKED}&sort=lag`, control.signal), fetchJson("readyz", control.signal)]);
    model.reasons = Array.isArray(ready.reasons) ? ready.reasons.map(String) : [];
    isBack();
    digest(status, Date.now() / 1000);
    render();
    pause = Math.min(LONGEST_PAUSE, Math.max(PAUSE, 10 * (performance.now() - begin))); // never more than a tenth of the time
  } catch (error) {
    if (error.token) askForToken();
    else isAway(control.signal.aborted ? `no answer within ${PATIENCE / 1000} s` : error.message === "Failed to fetch" ? "there is no connection" : error.message);
    pause = 2 * PAUSE;
  } finally {
    clearTimeout(patience);
    asking = false;
  }
  if ($("token").hidden) askLater(pause);
}

function askForToken() {
  const wrong = sessionStorage.getItem(TOKEN) !== null;
  sessionStorage.removeItem(TOKEN);
  show($("token"), true);
  put($("token-wrong"), wrong ? "That was not it." : "");
  putState($("overall"), "waiting", "A token is needed");
  $("token-text").focus();
}

// ---- What the reader does ---------------------------------------------------------------------------------------

function onSort(table, header) {
  const o = order[table.id], by = header.dataset.sort;
  order[table.id] = { by, down: o.by === by ? !o.down : NUMBERS.includes(by) };
  markSort(table);
  render();
}

function markSort(table) {
  const o = order[table.id];
  for (const th of table.tHead.rows[0].cells) {
    if (th.dataset.sort === o.by) th.setAttribute("aria-sort", o.down ? "descending" : "ascending");
    else th.removeAttribute("aria-sort");
  }
}

for (const table of [$("inputs"), $("files")]) {
  for (const th of table.tHead.rows[0].cells) {
    const button = make("button", "", th.textContent);
    button.type = "button";
    button.addEventListener("click", () => onSort(table, th));
    th.replaceChildren(button);
  }
  markSort(table);
}
for (const key of ["inputs", "files", "outputs"]) {
  $(key + "-more").addEventListener("click", () => { shownOf[key] = (shownOf[key] || SHOWN) + 200; render(); });
}
$("problems").querySelector(".more").addEventListener("click", () => { shownOf.problems = (shownOf.problems || 8) + 200; render(); });
for (const key of ["inputs", "files"]) $(key + "-filter").addEventListener("input", render);
for (const unit of ["records", "bytes"]) {
  $("unit-" + unit).addEventListener("click", () => {
    model.unit = unit;
    for (const u of ["records", "bytes"]) $("unit-" + u).setAttribute("aria-pressed", String(u === unit));
    showPlot();
  });
}
$("plot").addEventListener("pointermove", pointAt);
$("plot").addEventListener("pointerleave", () => { cross = null; showPlot(); });
$("plot").addEventListener("keydown", moveCross);
$("plot").addEventListener("blur", () => { cross = null; $("readout").setAttribute("aria-live", "off"); showPlot(); });
new ResizeObserver(showPlot).observe($("plot"));
$("token").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, $("token-text").value.trim());
  $("token-text").value = "";
  show($("token"), false);
  ask();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.ctrlKey && !event.metaKey && !event.altKey && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) {
    $("files-filter").focus();
    event.preventDefault();
  }
});
document.addEventListener("visibilitychange", () => { if (document.hidden) clearTimeout(timer); else if ($("token").hidden) ask(); });
ask();
