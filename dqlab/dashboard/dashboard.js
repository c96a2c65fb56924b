// The dashboard's picture: a store of what the kernel told, and functions that draw it at an instant.
//
//   kernel ── key frame (trait "picture") ──┐
//          ── difference (message) ─────────┴─> Store ──> scene(at) ──> numbers, charts, lanes, output, failures
//
// Drawn only when something came or the reader moved; no library, no network, no build step.

const BAR = { id: 0, start: 1, end: 2, kind: 3, task: 4, count: 5, busy: 6, text: 7 };
const NOTHING = [0, 0, 0, 0, 0, 0, null, null, "empty"];
const SMOOTH = 2;            // seconds over which the rate is averaged
const FAILURES = 20;         // rows in the table
const PRINTED = 100;         // lines of output
const SILENCE = 15;          // seconds without a word from the kernel after which the picture says so
const STATES = {             // the icon is a path in a 14 x 14 box: state is said by shape and word, not by colour alone
  empty: ["Empty", "M7 1a6 6 0 1 0 0 12A6 6 0 0 0 7 1zm0 2a4 4 0 1 1 0 8 4 4 0 0 1 0-8z"],
  busy: ["Busy", "M3 1l10 6-10 6z"],
  paused: ["Paused", "M2 1h4v12H2zM8 1h4v12H8z"],
  waiting: ["No worker", "M7 0l7 13H0zM6 5v4h2V5zm0 5v2h2v-2z"],
  finished: ["Finished", "M5 12L0 7l2-2 3 3 7-7 2 2z"],
  over: ["Ended", "M2 2h10v10H2z"],
  away: ["Master away", "M2 0l5 5 5-5 2 2-5 5 5 5-2 2-5-5-5 5-2-2 5-5-5-5z"],
  gone: ["Disconnected", "M2 0l5 5 5-5 2 2-5 5 5 5-2 2-5-5-5 5-2-2 5-5-5-5z"],
};
const OUTCOMES = { done: "done", retry: "raised, is tried again", failed: "failed for good", lost: "lost with its worker",
  cancelled: "cancelled", running: "running" };

// ------------------------------------------------------------------ what is known

class Store {
  constructor() { this.clear(); }

  clear() {
    Object.assign(this, { now: 0, bins: [], lanes: new Map(), links: new Map(), failures: [], printed: [], paused: [], absences: [], heard: Date.now() });
  }

  merge(frame, keep) {
    if (frame.now === undefined) return;
    if (frame.key) this.clear();
    Object.assign(this, { now: frame.now, paused: frame.paused, heard: Date.now() });
    this.failures = frame.failures ?? this.failures;
    this.absences = frame.absences ?? this.absences;
    this.printed = frame.printed ?? this.printed;
    for (const bin of frame.bins) {
      let i = this.bins.length;
      while (i > 0 && this.bins[i - 1][0] > bin[0]) i--;
      if (i > 0 && this.bins[i - 1][0] === bin[0]) this.bins[i - 1] = bin;
      else this.bins.splice(i, 0, bin);
    }
    for (const [name, host, joined, left, end, reason, task, since, bars] of frame.lanes) {
      const lane = this.lanes.get(name) ?? { name, bars: new Map() };
      Object.assign(lane, { host, joined, left, end, reason, task, since });
      for (const bar of bars) lane.bars.set(bar[BAR.id], bar);
      this.lanes.set(name, lane);
    }
    for (const link of frame.links) this.links.set(link.slice(0, 4).join(), link);
    if (keep) this.forget(this.now - keep);
  }

  forget(horizon) {
    while (this.bins.length > 1 && this.bins[1][0] < horizon) this.bins.shift();
    for (const [key, link] of this.links) if (link[3] < horizon) this.links.delete(key);
    for (const [name, lane] of this.lanes) {
      if (lane.left !== null && lane.left < horizon) this.lanes.delete(name);
      for (const [id, bar] of lane.bars) { if (bar[BAR.end] < horizon) lane.bars.delete(id); else break; }
    }
  }
}

const stores = new WeakMap();

/** The store of a model: made once, shared by its views, fed by key frames and differences. */
function storeOf(model) {
  if (stores.has(model)) return stores.get(model);
  const store = new Store();
  stores.set(model, store);
  const take = (frame) => {
    store.merge(frame, model.get("replay") ? 0 : model.get("window") * 1.2);
    store.onchange?.forEach((draw) => draw());
  };
  take(model.get("picture"));
  model.on("change:picture", () => take(model.get("picture")));
  model.on("msg:custom", take);
  return store;
}

/** All that one drawing needs: the window [from, to], the instant `at`, and what can be seen of the store then. */
function scene(store, model, at) {
  const span = model.get("window"), replay = model.get("replay");
  const from = replay ? Math.max(0, at - span) : at - span;
  const bins = store.bins.filter((bin) => bin[0] >= from - SMOOTH - 1 && bin[0] <= at);
  let levels = NOTHING;
  for (const bin of store.bins) { if (bin[0] > at) break; levels = bin[2] ?? levels; }
  const lanes = [...store.lanes.values()]
    .filter((lane) => lane.joined <= at && (lane.left === null || lane.left > from))
    .sort((a, b) => order(a.host, b.host) || a.joined - b.joined || order(a.name, b.name));
  const rate = rates(bins, at);
  const away = model.get("away") || store.absences.some(([begin, end]) => begin < at && at < end);
  return { from, to: from + span, at, span, replay, bins, levels, lanes, rate, paused: replay ? [] : store.paused,
    state: model.get("ended") ? (model.get("lost") ? "gone" : "over") : away ? "away" : levels[8],
    absences: store.absences.filter(([begin, end]) => begin <= at && end > from),
    links: [...store.links.values()].filter((link) => link[3] <= at && link[3] > from),
    failures: store.failures.filter((failure) => failure[2] <= at).slice(-FAILURES),
    printed: store.printed.filter((line) => line[2] <= at).slice(-PRINTED) };
}

/** Tasks per second of each worker over the last `SMOOTH` seconds before `at`. */
function rates(bins, at) {
  const rate = new Map();
  for (const [start, done] of bins)
    if (start > at - SMOOTH && start <= at)
      for (const name in done) rate.set(name, (rate.get(name) ?? 0) + done[name] / SMOOTH);
  return rate;
}

/** Share of the last ten seconds (or of its life) in which a lane had work. */
function utilisation(lane, at) {
  const from = Math.max(at - 10, lane.joined), to = Math.min(at, lane.left ?? at);
  let busy = lane.task !== null && lane.since < to ? to - Math.max(lane.since, from) : 0;
  for (const bar of lane.bars.values()) {
    const overlap = Math.min(bar[BAR.end], to) - Math.max(bar[BAR.start], from);
    if (overlap > 0) busy += overlap * Math.min(1, bar[BAR.busy] / Math.max(1e-6, bar[BAR.end] - bar[BAR.start]));
  }
  return to > from ? Math.min(1, busy / (to - from)) : 0;
}

// ------------------------------------------------------------------ words and numbers

/** Task 3 of the first client is "3"; the others say whose it is. */
const named = (task) => (Math.floor(task / 1e12) === 1 || task < 1e12 ? "" : `${Math.floor(task / 1e12)}-`) + (task % 1e12);
const order = (a, b) => a.localeCompare(b, "en", { numeric: true });
const sum = (values) => { let total = 0; for (const value of values) total += value; return total; };
const short = (n) => n < 10 && n % 1 ? n.toFixed(1) : n < 1e5 ? Math.round(n).toLocaleString("en") : n < 1e6 ? `${Math.round(n / 1e3)}k` : `${(n / 1e6).toPrecision(3)}M`;
const tiny = (n) => n < 1e4 ? short(n) : n < 1e6 ? `${Math.round(n / 1e3)}k` : `${(n / 1e6).toPrecision(2)}M`;
const percent = (share) => `${Math.round(share * 100)} %`;

/** Seconds as [number, unit]. */
function duration(s) {
  if (s === null || s === undefined) return ["–", ""];
  if (s < 0.001) return [(s * 1e6).toFixed(0), "µs"];
  if (s < 0.1) return [(s * 1e3).toPrecision(2).replace(/\.0$/, ""), "ms"];
  if (s < 1) return [(s * 1e3).toFixed(0), "ms"];
  return s < 100 ? [s.toFixed(1), "s"] : [short(s), "s"];
}
const lasting = (s) => duration(s).join(" ");

function describe(bar, lane, at) {
  const [, start, end, kind, task, count, busy, text] = bar;
  const what = end > at ? "running" : kind;
  const who = lane.host ? `${lane.name} on ${lane.host}` : lane.name;
  if (count > 1) return `${short(count)} short tasks, from task ${named(task)} on: ${OUTCOMES[kind]}\n${who}, ${lasting(busy / count)} each`;
  const length = what === "running" ? `for ${lasting(at - start)} so far` : `${lasting(end - start)}, ended at ${end.toFixed(2)} s`;
  return `Task ${named(task)}: ${OUTCOMES[what]}\n${who}, ${length}${text && what !== "running" ? "\n" + text.slice(0, 90) : ""}`;
}

// ------------------------------------------------------------------ drawing

function colours(root) {
  const style = getComputedStyle(root);
  const names = ["ink", "soft", "paper", "raised", "rule", "done", "running", "ready", "retry", "failed", "lost"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

/** A canvas made sharp for this screen, cleared, with its size in CSS pixels. */
function sheet(canvas) {
  const scale = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  const g = canvas.getContext("2d");
  g.setTransform(scale, 0, 0, scale, 0, 0);
  g.clearRect(0, 0, width, height);
  g.font = `13px ${getComputedStyle(canvas).fontFamily}`;
  g.textBaseline = "middle";
  return [g, width, height];
}

function say(g, text, x, y, colour, align = "left", font, room = 0) {
  if (font) g.font = g.font.replace(/^.*?(\d+px)/, font);
  if (room) text = clip(g, text, room);
  Object.assign(g, { fillStyle: colour, textAlign: align });
  g.fillText(text, x, y);
}

/** Seconds along the bottom: before now when live, since the start in a replay. */
function timeAxis(g, s, x, left, right, top, bottom, ink) {
  const most = Math.min(7, (right - left) / 60);   // labels that fit beside each other
  const step = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600].find((n) => s.span / n <= most) ?? 7200;
  const zero = s.replay ? 0 : s.at;
  for (let k = Math.ceil((s.from - zero) / step); zero + k * step <= s.to + 1e-6; k++) {
    const px = x(zero + k * step);
    g.fillStyle = ink.rule;
    g.fillRect(Math.round(px), top, 1, bottom - top);
    const text = k === 0 && !s.replay ? "now" : `${String(k * step).replace("-", "−")} s`;
    say(g, text, Math.min(Math.max(px, left), right), bottom + 10, ink.soft, px > right - 14 ? "right" : px < left + 14 ? "left" : "center", "12px");
  }
}

function niceTop(most) {
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
  return [1, 1.5, 2, 3, 4, 5, 8, 10].map((n) => n * power).find((n) => n >= most) ?? most;
}

/** Layers stacked on each other as steps over time. `columns`: [time, [height of each layer]]; returns the scale. */
function areas(canvas, s, ink, columns, paint, unit) {
  const [g, width, height] = sheet(canvas);
  const left = 50, right = width - 4, top = 12, bottom = height - 20;
  const x = (t) => left + ((t - s.from) / s.span) * (right - left);
  const highest = niceTop(Math.max(...columns.map((column) => sum(column[1])), 4));
  const y = (v) => bottom - (v / highest) * (bottom - top);
  timeAxis(g, s, x, left, right, top, bottom, ink);
  for (const share of [0, 0.5, 1]) {
    g.fillStyle = ink.rule;
    g.fillRect(left, Math.round(y(share * highest)), right - left, 1);
    say(g, tiny(share * highest) + (share === 1 ? unit : ""), left - 6, y(share * highest), ink.soft, "right", "12px");
  }
  g.save();
  g.beginPath(); g.rect(left, 0, Math.max(0, x(s.at) - left), height); g.clip();
  const layers = columns[0]?.[1].length ?? 0, floor = columns.map(() => 0);
  for (let layer = 0; layer < layers; layer++) {
    g.beginPath();
    columns.forEach(([t], i) => g.lineTo(x(t), y(floor[i])));
    for (let i = columns.length - 1; i >= 0; i--) g.lineTo(x(columns[i][0]), y(floor[i] + columns[i][1][layer]));
    columns.forEach((column, i) => { floor[i] += column[1][layer]; });
    paint(g, layer);
  }
  g.beginPath();
  columns.forEach(([t], i) => g.lineTo(x(t), y(floor[i])));
  Object.assign(g, { strokeStyle: ink.ink, lineWidth: 1.5, lineJoin: "round" });
  g.stroke();
  g.restore();
  return { left, right };
}

function drawRate(canvas, s, ink) {
  const names = [...new Set(s.bins.flatMap((bin) => Object.keys(bin[1])))].sort(order);
  const steps = 120, width = s.span / steps, columns = [];
  const sums = new Map(names.map((name) => [name, 0]));
  let head = 0, tail = 0;
  for (let i = 0; i <= steps; i++) {         // a window of `SMOOTH` seconds slides over the slices
    const t = s.replay ? s.from + i * width : s.at - (steps - i) * width;
    if (t > s.at + 1e-6) break;
    for (; head < s.bins.length && s.bins[head][0] <= t; head++) for (const n in s.bins[head][1]) sums.set(n, sums.get(n) + s.bins[head][1][n]);
    for (; tail < head && s.bins[tail][0] <= t - SMOOTH; tail++) for (const n in s.bins[tail][1]) sums.set(n, sums.get(n) - s.bins[tail][1][n]);
    columns.push([t, names.map((name) => sums.get(name) / SMOOTH)]);
  }
  areas(canvas, s, ink, columns, (g, layer) => {
    Object.assign(g, { fillStyle: ink.done, strokeStyle: ink.paper, lineWidth: 0.75, globalAlpha: layer % 2 ? 0.55 : 0.8 });
    g.fill();
    g.globalAlpha = 1;
    g.stroke();
  }, "/s");
}

function drawBacklog(canvas, s, ink) {
  const columns = [];
  let level = null;
  for (const [t, , levels] of s.bins) {
    if (!levels) continue;
    if (level) columns.push([Math.max(t, s.from), level]);
    level = [levels[1], levels[0], levels[2]];   // leased at the bottom, ready on it, delayed on top
    columns.push([Math.max(t, s.from), level]);
  }
  if (!level) { level = [s.levels[1], s.levels[0], s.levels[2]]; columns.push([s.from, level]); }
  columns.push([s.at, level]);
  areas(canvas, s, ink, columns, (g, layer) => {
    g.fillStyle = [ink.running, ink.ready, hatch(g, ink.retry)][layer];
    g.globalAlpha = [0.25, 0.8, 0.8][layer];
    g.fill();
    g.globalAlpha = 1;
    if (layer === 0) { Object.assign(g, { strokeStyle: ink.running, lineWidth: 1.5 }); g.stroke(); }
  }, "");
}

const patterns = new Map();
/** Stripes in a colour: diagonal ones mean "comes again", upright ones "many short tasks". */
function hatch(g, colour, upright = false) {
  const key = colour + upright;
  if (!patterns.has(key)) {
    const tile = Object.assign(document.createElement("canvas"), { width: 6, height: 6 }), p = tile.getContext("2d");
    Object.assign(p, { fillStyle: colour, strokeStyle: colour, lineWidth: 2 });
    p.globalAlpha = upright ? 0.72 : 0.35;
    p.fillRect(0, 0, 6, 6);
    p.globalAlpha = 1;
    if (upright) p.fillRect(0, 0, 2, 6);
    else { p.beginPath(); p.moveTo(-1, 7); p.lineTo(7, -1); p.moveTo(-4, 4); p.lineTo(4, -4); p.moveTo(2, 10); p.lineTo(10, 2); p.stroke(); }
    patterns.set(key, tile);
  }
  return g.createPattern(patterns.get(key), "repeat");
}

/** The lanes; returns the boxes under which the mouse finds a task. */
function drawLanes(canvas, s, ink) {
  const [g, width, height] = sheet(canvas), boxes = [];
  const left = 136, right = width - 118, top = 2, bottom = height - 20;
  const hosts = new Set(s.lanes.map((lane) => lane.host)).size, gap = 5;
  const row = Math.max(2, Math.min(28, (bottom - top - gap * (hosts - 1)) / Math.max(1, s.lanes.length)));
  const thick = Math.max(2, Math.min(18, row - 4)), every = Math.ceil(10 / row);   // so many lanes share one label
  const x = (t) => left + ((t - s.from) / s.span) * (right - left);
  const middle = new Map();
  s.lanes.reduce((y, lane, i) => {
    const begin = y + (i && s.lanes[i - 1].host !== lane.host ? gap : 0);
    middle.set(lane.name, begin + row / 2);
    return begin + row;
  }, top);
  const font = `${Math.max(9, Math.min(14, Math.floor(row - 1)))}px`;
  timeAxis(g, s, x, left, right, top, bottom, ink);
  s.lanes.forEach((lane, i) => {
    const y = middle.get(lane.name), gone = lane.left !== null && lane.left <= s.at;
    const host = lane.host || "plain clients", first = i === 0 || s.lanes[i - 1].host !== lane.host;
    const labelled = first || i % every === 0;
    if (first && i > 0) { g.fillStyle = ink.soft; g.fillRect(0, Math.round(y - (row + gap) / 2), width, 1); }
    if (first) say(g, host, 2, y, ink.soft, "left", `${Math.max(10, Math.min(13, Math.floor(row)))}px`, 82);
    if (labelled) say(g, lane.name, left - 8, y, gone ? ink.soft : ink.ink, "right", font, first ? 44 : 120);
    const life = [x(Math.max(lane.joined, s.from)), x(Math.min(lane.left ?? s.at, s.at))];
    g.fillStyle = ink.ready;
    g.fillRect(life[0], Math.round(y) - 0.5, life[1] - life[0], 1);
    g.save();
    g.beginPath(); g.rect(left, 0, right - left, height); g.clip();
    const bars = [...lane.bars.values()].filter((bar) => bar[BAR.start] <= s.at && bar[BAR.end] >= s.from);
    if (!gone && lane.task !== null && !s.replay) bars.push([0, lane.since, s.at + 1, "running", lane.task, 1, 0, ""]);
    bars.sort((a, b) => (a[BAR.kind] !== "done") - (b[BAR.kind] !== "done"));   // what went wrong lies on top
    boxes.unshift(...bars.map((bar) => ({ bar, lane, ...drawBar(g, bar, x, y, thick, s.at, ink) })).reverse());
    g.restore();
    if (gone) farewell(g, lane, x(lane.left), y, thick, ink);
    const doing = gone ? lane.end : `${tiny(s.rate.get(lane.name) ?? 0)}/s`;
    if (labelled) say(g, doing, width - 56, y, gone ? ink.soft : ink.ink, "right", font);
    if (labelled && !gone) say(g, percent(utilisation(lane, s.at)), width - 2, y, ink.soft, "right", font);
    boxes.push({ lane, left: 0, right: width, top: y - row / 2, bottom: y + row / 2 });
  });
  for (const [begin, end] of s.absences) drawAbsence(g, Math.max(left, x(begin)), Math.min(right, x(Math.min(end, s.at))), top, bottom, ink);
  for (const link of s.links) drawLink(g, link, x, middle, thick, ink);
  if (!s.lanes.length) say(g, "no worker yet", (left + right) / 2, (top + bottom) / 2, ink.soft, "center", "15px");
  return boxes;
}

function drawBar(g, [, start, end, kind, task, count], x, y, thick, at, ink) {
  const running = end > at, what = running ? "running" : kind;
  const narrowest = what === "done" || running ? 1.5 : 6;      // a task that fails at once must be seen as well
  const right = Math.max(x(Math.min(end, at)) - (count > 1 ? 0 : 1), x(start) + 1.5), left = Math.min(x(start), right - narrowest), top = y - thick / 2, colour = ink[what] ?? ink.ready;
  const hollow = what === "running" || what === "lost";
  g.beginPath();
  if (count > 1) g.rect(left, top, right - left, thick); else g.roundRect(left, top, right - left, thick, 2);
  g.fillStyle = count > 1 ? hatch(g, colour, true) : what === "retry" ? hatch(g, colour) : colour;
  g.globalAlpha = hollow ? 0.22 : 1;
  g.fill();
  g.globalAlpha = 1;
  if (hollow || what === "retry") {
    Object.assign(g, { strokeStyle: colour, lineWidth: 1.5 });
    g.setLineDash(what === "lost" ? [3, 2] : []);
    g.stroke();
    g.setLineDash([]);
  }
  const room = right - left;
  if (what === "failed" && thick < 11) {       // too flat for a word: a frame
    Object.assign(g, { strokeStyle: ink.ink, lineWidth: 1.5 });
    g.stroke();
  }
  if (thick >= 11 && count === 1) {
    const text = what === "failed" ? (room > 40 ? `${named(task)} !` : "!") : named(task);
    const fits = room > 9 * text.length + 4 || what === "failed";
    if (fits && what === "retry") {            // stripes would cross the digits
      g.fillStyle = ink.paper;
      g.fillRect((left + right) / 2 - 4 * text.length - 2, top + 2, 8 * text.length + 4, thick - 4);
    }
    if (fits) say(g, text, (left + right) / 2, y + 0.5, hollow || what === "retry" ? ink.ink : ink.paper, "center", "12px");
  }
  return { left: left - 1, right: right + 1, top, bottom: top + thick };
}

/** A gap through all lanes while the master was dead, with a cross where it was last seen. */
function drawAbsence(g, begin, end, top, bottom, ink) {
  const right = Math.max(end, begin + 2);
  Object.assign(g, { fillStyle: ink.paper, globalAlpha: 0.85 });
  g.fillRect(begin, top, right - begin, bottom - top);
  Object.assign(g, { fillStyle: hatch(g, ink.failed), globalAlpha: 0.35 });
  g.fillRect(begin, top, right - begin, bottom - top);
  Object.assign(g, { fillStyle: ink.failed, globalAlpha: 1 });
  for (const edge of [begin, right]) g.fillRect(edge - 0.75, top, 1.5, bottom - top);
  cross(g, begin, top + 8, 6, [[ink.paper, 7], [ink.failed, 3.5]]);
  say(g, "no master", begin + 12, top + 8, ink.failed, "left", "12px");
}

/** The end of a lane: a cross if the worker died, a short bar if it was told to stop. */
function farewell(g, lane, px, y, thick, ink) {
  if (lane.end !== "died") { g.fillStyle = ink.soft; g.fillRect(px - 1, y - thick / 2 - 1, 3, thick + 2); return; }
  const r = Math.max(4, Math.min(8, thick / 2));
  cross(g, px, y, r, [[ink.paper, 7], [ink.ink, 3.5]]);
}

function cross(g, px, y, r, strokes) {
  for (const [colour, width] of strokes) {
    Object.assign(g, { strokeStyle: colour, lineWidth: width, lineCap: "round" });
    g.beginPath();
    g.moveTo(px - r, y - r); g.lineTo(px + r, y + r); g.moveTo(px + r, y - r); g.lineTo(px - r, y + r);
    g.stroke();
  }
  g.lineCap = "butt";
}

function drawLink(g, [source, lost, target, taken, , count], x, middle, thick, ink) {
  if (source === target || !middle.has(source) || !middle.has(target)) return;
  const down = Math.sign(middle.get(target) - middle.get(source)) || 1;
  const [x0, y0, x1, y1] = [x(lost) + 9, middle.get(source), x(taken) + 1.5, middle.get(target) - (down * thick) / 2 - down];
  const bend = Math.max(16, (x1 - x0) / 2);
  for (const [colour, width] of [[ink.paper, 4], [ink.lost, 2]]) {
    Object.assign(g, { strokeStyle: colour, fillStyle: colour, lineWidth: width });
    g.beginPath();
    g.moveTo(x0, y0); g.bezierCurveTo(x0 + bend, y0, Math.max(x1, x0 + 8), y1 - down * 12, x1, y1 - down * 5);
    g.stroke();
  }
  g.beginPath();
  g.moveTo(x1, y1); g.lineTo(x1 - 4.5, y1 - down * 8); g.lineTo(x1 + 4.5, y1 - down * 8);
  g.fill();
  if (count > 1) say(g, `${count} tasks`, x0 + bend + 4, (y0 + y1) / 2, ink.lost, "left", "12px");
}

/** An element that holds elements, and text which is never markup: all that a record or a worker says goes through here. */
function element(name, children) {
  const made = document.createElement(name);
  made.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return made;
}
const cells = (name, contents) => element("tr", contents.map((content) => element(name, [content])));

function clip(g, text, room) {
  while (text.length > 3 && g.measureText(text).width > room) text = text.slice(0, -2) + "…";
  return text;
}

// ------------------------------------------------------------------ the page

const key = (kind, text) => `<span><i class="${kind}"></i>${text}</span>`;
const tile = (name, text, tone, extra = "") => `<div style="--tone: var(--${tone})" ${extra}><label>${text}</label><output aria-live="off" data-number="${name}"></output></div>`;
const PAGE = `
  <header data-part="numbers"><div class="state" role="status"><svg viewBox="0 0 14 14" aria-hidden="true"><path></path></svg><b></b></div><div class="note"></div></header>
  <div class="tiles" data-part="numbers">${tile("rate", "throughput", "done")}${tile("ready", "ready", "ready")}${tile("leased", "leased", "running")}
    ${tile("delayed", "delayed", "retry", 'class="hatch"')}${tile("done", "done", "done")}${tile("failed", "failed", "failed")}
    ${tile("redelivered", "redelivered", "lost", 'class="hatch"')}${tile("latency", "latency: median · 95th %", "rule")}</div>
  <div class="charts" data-part="charts">
    <figure><figcaption>Throughput <span class="what">tasks/s, one layer per worker</span></figcaption><canvas role="img" class="rate"></canvas></figure>
    <figure><figcaption>Backlog <span class="what">tasks</span>${key("running", "leased")}<span><i style="background: var(--ready)"></i>ready</span>${key("retry", "delayed")}</figcaption><canvas role="img" class="backlog"></canvas></figure>
  </div>
  <figure class="lanes" data-part="lanes"><figcaption>Workers ${key("running", "running")}${key("done", "done")}${key("retry", "raised, retried")}${key("failed", "failed")}${key("lost", "lost")}
    <span><b class="cross">✕</b>worker died</span><span class="columns">tasks/s</span><span class="column">busy</span></figcaption><canvas role="img" class="lane"></canvas></figure>
  <div class="transport" data-part="replay"><button type="button">▶ Play</button><input type="range" min="0" step="0.05" aria-label="Time in the run">
    <output aria-live="off"></output><label>speed <select></select></label></div>
  <details class="output" data-part="output"><summary>Output <span></span></summary><pre></pre></details>
  <div class="failures" data-part="failures"></div><div class="tip" hidden></div>`;

function render({ model, el }) {
  const store = storeOf(model), root = document.createElement("div"), $ = (query) => root.querySelector(query);
  root.className = "dqlab";
  root.innerHTML = PAGE;
  el.append(root);
  let boxes = [], last = null, failuresShown = null, playing = 0;
  const speeds = [...new Set([0.25, 0.5, 1, 2, 5, 10, model.get("speed")])].sort((a, b) => a - b);
  $("select").append(...speeds.map((v) => new Option(`× ${v}`, v)));
  const parts = () => [...model.get("parts"), ...(model.get("replay") ? ["replay"] : [])];
  for (const part of root.querySelectorAll("[data-part]")) part.hidden = !parts().includes(part.dataset.part);

  function draw() {
    if (!root.isConnected || !root.clientWidth) return;
    const at = model.get("replay") ? Math.min(model.get("at"), store.now) : store.now;
    const ground = getComputedStyle(root).backgroundColor.match(/[\d.]+/g) ?? [255, 255, 255];
    root.classList.toggle("dark", 0.3 * ground[0] + 0.6 * ground[1] + 0.1 * ground[2] < 128);
    const ink = colours(root), s = last = scene(store, model, at);
    numbers(s);
    if (parts().includes("charts")) { drawRate($(".rate"), s, ink); drawBacklog($(".backlog"), s, ink); }
    if (parts().includes("lanes")) boxes = drawLanes($(".lane"), s, ink);
    if (parts().includes("output")) output(s);
    if (parts().includes("failures")) failures(s);
    if (s.replay) transport(s);
  }

  function numbers(s) {
    const quiet = !s.replay && !model.get("ended") && !model.get("away") && Date.now() - store.heard > SILENCE * 1000;
    const state = quiet ? "gone" : s.state, alive = s.lanes.filter((lane) => lane.left === null || lane.left > s.at);
    const [word, icon] = STATES[state] ?? STATES.empty;
    const names = state === "paused" && s.paused.length ? `: ${s.paused.join(", ")}` : "";
    const crosses = s.lanes.filter((lane) => lane.end === "died" && lane.left <= s.at).length;
    $(".state b").textContent = word + names;
    $(".state path").setAttribute("d", icon);
    const hosts = new Set(alive.map((lane) => lane.host)).size;
    const people = `${alive.length} worker${alive.length === 1 ? "" : "s"}${hosts > 1 ? ` on ${hosts} hosts` : ""}`;
    const note = model.get("ended") || (model.get("away") ? "it is looked for, and goes on when it is back" : quiet ? "no word from the kernel: has it been restarted?" : model.get("note"));
    $(".note").textContent = note ? `${people} · ${note}` : people;
    const total = sum(s.rate.values()), show = (name, ...pairs) => {       // a number and its unit, in small, again and again
      const cell = $(`[data-number=${name}]`), text = pairs.flat().join("");
      if (cell.textContent !== text) cell.replaceChildren(...pairs.flatMap(([number, unit]) => [number, element("small", [unit])]));
    };
    show("rate", [short(total), "tasks/s"]);
    ["ready", "leased", "delayed", "done", "failed", "redelivered"].forEach((name, i) => show(name, [short(s.levels[i]), s.levels[i] === 1 ? "task" : "tasks"]));
    const [[a, unit], [b, other]] = [duration(s.levels[6]), duration(s.levels[7])];
    show("latency", ...(unit === other ? [[`${a} · ${b}`, unit]] : [[a, unit], [` · ${b}`, other]]));
    Object.assign(root.dataset, { state, workers: alive.length, lanes: s.lanes.length, crosses, absences: s.absences.length, links: s.links.length, rate: total.toFixed(1), done: s.levels[3], at: s.at });
    $(".rate").setAttribute("aria-label", `Throughput over time, now ${short(total)} tasks per second`);
    $(".backlog").setAttribute("aria-label", `Backlog over time, now ${s.levels[0]} ready, ${s.levels[1]} leased, ${s.levels[2]} delayed`);
    $(".lane").setAttribute("aria-label", `${s.lanes.length} lanes: ${s.lanes.map((lane) => lane.name + (lane.end ? " " + lane.end : "")).join(", ")}; ${s.links.length} hand-overs${s.absences.length ? `; ${s.absences.length} times without a master` : ""}`);
  }

  /** What tasks print: the last line, and when opened those before it. There is nothing to see before the first. */
  function output(s) {
    const lines = s.printed.map(([task, worker, , text]) => `[${worker} task ${named(task)}] ${text}`);
    const box = $(".output"), text = lines.join("\n"), before = box.querySelector("pre");
    box.hidden = !lines.length;
    if (before.textContent === text) return;
    before.textContent = text;
    before.scrollTop = before.scrollHeight;
    box.querySelector("span").textContent = lines.at(-1) ?? "";
  }

  function failures(s) {
    const shown = JSON.stringify(s.failures);
    if (shown === failuresShown) return;
    failuresShown = shown;
    const box = $(".failures"), open = new Set([...box.querySelectorAll("details[open]")].map((row) => row.dataset.task));
    const focused = box.contains(document.activeElement) && document.activeElement.parentElement.dataset.task;
    const why = (task, reason, traceback) => {
      if (!traceback) return reason;
      const details = element("details", [element("summary", [reason]), element("pre", [traceback])]);
      details.dataset.task = task;
      details.open = open.has(String(task));
      return details;
    };
    const row = ([task, queue, , reason, traceback]) => cells("td", [named(task), queue, why(task, reason, traceback)]);
    box.replaceChildren(!s.failures.length ? element("p", ["No failed task"]) : element("table", [
      element("thead", [cells("th", ["task", "queue", "failed because"])]), element("tbody", [...s.failures].reverse().map(row))]));
    const again = [...box.querySelectorAll("details")].find((details) => details.dataset.task === focused);
    again?.querySelector("summary").focus({ preventScroll: true });
  }

  function transport(s) {
    const slider = $("input");
    slider.max = store.now;
    if (document.activeElement !== slider || playing) slider.value = s.at;
    $(".transport output").textContent = `${s.at.toFixed(1)} of ${store.now.toFixed(1)} s`;
    $("button").textContent = playing ? "❚❚ Pause" : "▶ Play";
    $("select").value = String(model.get("speed"));
  }

  function seek(at, tell = true) {
    model.set("at", Math.round(Math.max(0, Math.min(at, store.now)) * 100) / 100);
    if (tell) model.save_changes();
    draw();
  }

  function play() {
    const began = performance.now(), from = model.get("at") >= store.now - 0.1 ? 0 : model.get("at"), speed = model.get("speed");
    playing = setInterval(() => {
      const at = from + ((performance.now() - began) / 1000) * speed;
      if (at >= store.now || !root.isConnected) stop();
      seek(at, !playing);
    }, 100);
  }
  function stop() { clearInterval(playing); playing = 0; model.save_changes(); draw(); }

  $("button").onclick = () => (playing ? stop() : (play(), draw()));
  $("input").oninput = (event) => { if (playing) stop(); seek(Number(event.target.value)); };
  $("select").onchange = (event) => { model.set("speed", Number(event.target.value)); model.save_changes(); if (playing) { stop(); play(); } };

  $(".lane").onmousemove = (event) => {
    const box = boxes.find((b) => event.offsetX >= b.left && event.offsetX <= b.right && event.offsetY >= b.top && event.offsetY <= b.bottom);
    if (!box) return tip();
    const { lane } = box, gone = lane.left !== null && lane.left <= last.at;
    tip(box.bar ? describe(box.bar, lane, last.at) : `${lane.name} on ${lane.host || "?"}${gone ? `: ${lane.end} at ${lane.left.toFixed(2)} s${lane.reason ? "\n" + lane.reason : ""}` : `: busy ${percent(utilisation(lane, last.at))} of the last 10 s`}`, event);
  };
  $(".rate").onmousemove = (event) => tip([...last.rate].sort((a, b) => order(a[0], b[0])).slice(0, 16).map(([name, rate]) => `${name}  ${short(rate)}/s`).join("\n") || "no task done in the last 2 s", event);
  for (const canvas of root.querySelectorAll("canvas")) canvas.onmouseleave = () => tip();
  function tip(text, event) {
    const box = $(".tip");
    box.hidden = !text;
    if (!text) return;
    box.textContent = text;
    const frame = root.getBoundingClientRect(), [px, py] = [event.clientX - frame.left, event.clientY - frame.top];
    box.style.left = `${Math.min(px + 14, frame.width - box.offsetWidth - 4)}px`;
    box.style.top = `${Math.max(2, Math.min(py + 16, frame.height - box.offsetHeight - 4))}px`;
  }

  store.onchange = (store.onchange ?? new Set()).add(draw);
  const watch = new MutationObserver(() => { draw(); setTimeout(draw, 500); });
  watch.observe(document.body, { attributes: true });
  const size = new ResizeObserver(draw);
  size.observe(root);
  const clock = setInterval(() => { if (!model.get("replay") && Date.now() - store.heard > SILENCE * 1000) draw(); }, 2000);
  for (const name of ["ended", "lost", "away", "note", "at", "window"]) model.on(`change:${name}`, draw);
  draw();
  return () => { store.onchange.delete(draw); watch.disconnect(); size.disconnect(); clearInterval(clock); clearInterval(playing); model.off(null, draw); };
}

export default { initialize: ({ model }) => { storeOf(model); }, render };
