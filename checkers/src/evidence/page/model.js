// What the page knows: the history in columns, its lanes, and what is chosen and filtered.

const began = performance.now();
const element = (id) => document.getElementById(id);
const data = JSON.parse(element('data').textContent);
const { report, bars, clients, keys, orders, order_of: orderOf, stuck, anomalies } = data;
const COUNT = bars.start.length;
const isObjects = report.kind === 'objects';

/** What contradicts the positions that the database reports: each once, though it rules out several levels. */
const contradictions = (report.positions ?? []).filter((one, at, all) => one.verdict === 'violated' && all.findIndex((other) => other.message === one.message) === at);

/** The bars that a text names. */
const placeOf = new Map(bars.name.map((name, i) => [name, i]));
const named = (text) => (text.match(/\bT\d+\b/g) ?? []).map((name) => placeOf.get(name)).filter((i) => i !== undefined);

/** The last time that anything happened; what never returned goes on until then. */
let END = 1;
for (let i = 0; i < COUNT; i += 1) END = Math.max(END, bars.start[i] + 1, (bars.end[i] ?? 0) + 1);
const endOf = (i) => bars.end[i] ?? END;

/** The bars of each client, by time. */
const lanes = clients.map(() => []);
for (let i = 0; i < COUNT; i += 1) lanes[bars.client[i]].push(i);
for (const lane of lanes) lane.sort((a, b) => bars.start[a] - bars.start[b] || endOf(a) - endOf(b));

const state = {
  /** The chosen bar, or -1. */
  chosen: -1,
  /** The order that is shown, and how many of its steps have been taken. */
  order: orders.length ? 0 : -1,
  step: 0,
  anomaly: -1,
  contradiction: -1,
  client: -1,
  key: -1,
  query: '',
  only: false,
};
if (orders.length) state.step = orders[0].length;

/** Where each call of the shown order takes effect: within its bar, and not before those before it. */
const points = new Map();
function placePoints() {
  points.clear();
  if (state.order < 0) return;
  let now = 0;
  const order = orders[state.order];
  for (let k = 0; k < order.length; k += 1) {
    now = Math.max(now, bars.start[order[k]]);
    points.set(order[k], { time: now, rank: k });
  }
}

/** The bars that take part in the anomaly that is shown. */
let parts = new Set(data.core);

const lower = bars.text.map((text, i) => `${bars.name[i]} ${text}`.toLowerCase());

/** Whether a bar passes the filters. */
function passes(i) {
  if (state.client >= 0 && bars.client[i] !== state.client) return false;
  if (state.key >= 0 && !bars.keys[i].includes(state.key)) return false;
  if (state.only && !parts.has(i)) return false;
  return !state.query || lower[i].includes(state.query);
}

/** The lanes by the names of their clients. */
const laneOrder = clients.map((_, at) => at).sort((a, b) => clients[a].localeCompare(clients[b], 'en', { numeric: true }));

/** The lanes in view: those of clients that have something that passes. */
let shownLanes = [];
let passing = new Uint8Array(COUNT);
let passed = 0;
function filter() {
  passed = 0;
  passing = new Uint8Array(COUNT);
  for (let i = 0; i < COUNT; i += 1) {
    if (passes(i)) {
      passing[i] = 1;
      passed += 1;
    }
  }
  shownLanes = [];
  const everything = passed === COUNT;
  for (const at of laneOrder) if (everything || lanes[at].some((i) => passing[i])) shownLanes.push(at);
}

/** The first place in a sorted list for which something holds. */
function firstWhere(length, holds) {
  let [low, high] = [0, length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

const grouped = (number) => String(Math.round(number)).replace(/\B(?=(\d{3})+$)/g, '\u202f');

const count = (number, what) => `${grouped(number)} ${what}${number === 1 ? '' : 's'}`;

/** Sets a text, and touches the page only if it is another one. */
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A new element with a text. */
function make(tag, text, className) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (className) node.className = className;
  return node;
}
