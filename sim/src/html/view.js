// What part of the run is shown, where everything is on the canvas, and how times and colours are written.

/** The window of time that is shown. Every change goes through `show`. */
const view = { start: 0, end: END };

/** The moment that the panel shows: a time, and the last event that has happened by then. */
const cursor = { t: 0, i: -1 };

/** Shorter windows than this show nothing new: the run has no finer times that matter. */
const SHORTEST = Math.min(END, 1000);

/** Moves the window, kept inside the run. */
function show(start, end) {
  const length = Math.min(END, Math.max(SHORTEST, end - start));
  view.start = Math.max(0, Math.min(END - length, start));
  view.end = view.start + length;
}

/** Changes the length of the window by a factor, and keeps `t` where it is. */
function zoom(factor, t) {
  const length = Math.min(END, Math.max(SHORTEST, (view.end - view.start) * factor));
  const share = (t - view.start) / (view.end - view.start);
  show(t - share * length, t - share * length + length);
}

// Layout. `sheet` is in CSS pixels; `y` of a lane is its upper edge; `scroll` is how much of the top is out of sight.

const GUTTER = 52;
const AXIS = 24;
const PHASES = 18;
const FAULT = 17;
const FOOT = 20;
const LEAST_NODE = 30;

const sheet = { width: 0, height: 0, scroll: 0, plot: 1, faults: 0, nodes: [], clients: new Map(), bottom: 0 };

const MOST_NODE = 66;
const MOST_CLIENT = 26;

/** How much of the sheet is above the lanes. */
const headHeight = () => AXIS + PHASES + 4 + faultRows * FAULT + (faultRows ? 6 : 0);

/** The height beyond which the lanes would not grow. */
const mostHeight = () => headHeight() + nodes.length * MOST_NODE + 6 + clients.length * MOST_CLIENT + FOOT;

/** Spreads the lanes over the height, and returns the height that they need. */
function arrange(width, height) {
  sheet.width = width;
  sheet.plot = Math.max(1, width - GUTTER - 10);
  sheet.faults = AXIS + PHASES + 4;
  const above = headHeight();
  const free = height - above - 6 - FOOT;
  // A node lane is worth three client lanes.
  const unit = free / (nodes.length * 3 + clients.length);
  const nodeHeight = Math.max(LEAST_NODE, Math.min(MOST_NODE, unit * 3));
  const clientHeight = Math.max(12, Math.min(MOST_CLIENT, (free - nodes.length * nodeHeight) / clients.length));
  let y = above;
  sheet.nodes = [null, ...nodes.map(() => ({ y: (y += nodeHeight) - nodeHeight, h: nodeHeight }))];
  y += 6;
  sheet.clients = new Map(
    clients.map((client) => [client, { y: (y += clientHeight) - clientHeight, h: clientHeight }]),
  );
  sheet.bottom = y;
  sheet.height = Math.max(height, Math.ceil(y + FOOT));
  return sheet.height;
}

const xOf = (t) => GUTTER + ((t - view.start) / (view.end - view.start)) * sheet.plot;
const timeOf = (x) => Math.round(view.start + ((x - GUTTER) / sheet.plot) * (view.end - view.start));
const clampTime = (t) => Math.max(0, Math.min(END, t));

/** The bar of a node within its lane. Marks are above it, the log is below if there is room. */
function barOf(node) {
  const { y, h } = sheet.nodes[node];
  const height = Math.round(16 + Math.max(0, h - 44) * 0.3);
  return { y: y + 11, h: height, log: y + 13 + height, logH: h - height - 17 };
}

/** The height at which messages of a place begin and end, or nothing for a place without a lane. */
function placeY(place) {
  const number = Number(place.slice(1));
  if (place[0] === 'n' && sheet.nodes[number]) {
    const bar = barOf(number);
    return bar.y + bar.h / 2;
  }
  const lane = place[0] === 'c' && sheet.clients.get(number);
  return lane ? lane.y + lane.h / 2 : null;
}

// Times in words. Digits are grouped by thin spaces, so that nanoseconds can be read.

const THIN = '\u202f';

/** A time as seconds with some decimals. */
function clock(ns, decimals = 6) {
  const whole = Math.floor(ns / 1e9);
  const digits = String(Math.round(ns % 1e9))
    .padStart(9, '0')
    .slice(0, decimals);
  return digits ? `${whole}.${digits.replace(/(\d{3})(?=\d)/g, `$1${THIN}`)}` : String(whole);
}

/** A length of time in the unit that fits it. */
function duration(ns) {
  if (ns >= 1e9) return `${(ns / 1e9).toPrecision(3)} s`;
  if (ns >= 1e6) return `${Number((ns / 1e6).toPrecision(3))} ms`;
  if (ns >= 1e3) return `${Number((ns / 1e3).toPrecision(3))} µs`;
  return `${ns} ns`;
}

const grouped = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ',');

/** The distance between marks of the axis: 1, 2 or 5 times a power of ten, at least `least` pixels. */
function tick(least) {
  const wanted = ((view.end - view.start) / sheet.plot) * least;
  const power = 10 ** Math.floor(Math.log10(wanted));
  return [1, 2, 5, 10].map((x) => x * power).find((step) => step >= wanted);
}

// Colours come from the style sheet, so that light and dark are decided in one place.

const colour = {};
const pattern = {};

/** Diagonal lines on a clear ground. */
function hatch(stroke, gap, width) {
  const tile = document.createElement('canvas');
  tile.width = tile.height = gap;
  const pen = tile.getContext('2d');
  pen.strokeStyle = stroke;
  pen.lineWidth = width;
  pen.beginPath();
  for (const shift of [-gap, 0, gap]) {
    pen.moveTo(shift - 1, gap + 1);
    pen.lineTo(shift + gap + 1, -1);
  }
  pen.stroke();
  return pen.createPattern(tile, 'repeat');
}

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const names = [
    'paper',
    'panel',
    'ink',
    'muted',
    'faint',
    'line',
    'lane',
    'leader',
    'on-leader',
    'follower',
    'on-follower',
    'candidate',
    'on-candidate',
    'pre-candidate',
    'on-pre-candidate',
    'recovering',
    'on-recovering',
    'ok',
    'failed',
    'unknown',
    'bad',
    'on-bad',
    'cut',
    'fault',
    'on-fault',
    'disk',
    'probe',
    'cursor',
    'kind-0',
    'kind-1',
    'kind-2',
    'kind-3',
    'kind-4',
    'kind-5',
    'kind-6',
  ];
  for (const name of names) colour[name] = style.getPropertyValue(`--${name}`).trim();
  pattern.paused = hatch(colour.paper, 7, 2.5);
  pattern.cut = hatch(colour.cut, 8, 1);
}

/** The colour of a role. An unknown role looks like a follower. */
const roleColour = (role) => colour[role] ?? colour.follower;
const kindColour = (kind) => colour[`kind-${kinds.indexOf(kind) % 7}`];

const MONO = 'ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';
const SANS = 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif';

/** A pen for a canvas, which is made to fit its place on the screen. */
function penFor(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.height = `${height}px`;
  }
  const pen = canvas.getContext('2d');
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return pen;
}

// A size in points and the width of a sign of the fixed font at that size, measured once.
const signWidths = new Map();

/** Text cut to a width, in the fixed font. Nothing if not even three signs fit. */
function fitted(pen, text, size, width) {
  if (!signWidths.has(size)) {
    pen.font = `${size}px ${MONO}`;
    signWidths.set(size, pen.measureText('0').width);
  }
  const signs = Math.floor(width / signWidths.get(size));
  if (text.length <= signs) return text;
  return signs < 4 ? '' : `${text.slice(0, signs - 1)}…`;
}
