// The bars over time. Only what is in view is drawn, and what is narrower than a pixel only once.

const scene = element('scene');
const stage = element('stage');
const pen = scene.getContext('2d');
const LANE = 30;
const NAMES = 92;
const TOP = 22;
const view = { start: 0, end: END, width: 800, height: 300 };

let colours = {};
function readColours() {
  const style = getComputedStyle(document.documentElement);
  const names = ['page', 'text', 'quiet', 'rule', 'lane', 'bar', 'bar-text', 'failed', 'unknown', 'stuck', 'part', 'point', 'focus', 'dim', 'on'];
  colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

const perTime = () => (view.width - NAMES - 12) / (view.end - view.start);
const xOf = (time) => NAMES + (time - view.start) * perTime();
const timeOf = (x) => view.start + (x - NAMES) / perTime();

function resize() {
  const ratio = devicePixelRatio || 1;
  view.width = stage.clientWidth;
  view.height = stage.clientHeight;
  scene.width = Math.round(view.width * ratio);
  scene.height = Math.round(view.height * ratio);
  scene.style.width = `${view.width}px`;
  scene.style.height = `${view.height}px`;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.font = '12px system-ui, sans-serif';
}

/** Shows the times from `start` to `end`, within the history. */
function show(start, end) {
  const width = Math.min(Math.max(end - start, Math.min(4, END)), END);
  view.start = Math.min(Math.max(start, 0), END - width);
  view.end = view.start + width;
  refresh();
}

function zoom(factor, at = (view.start + view.end) / 2) {
  show(at - (at - view.start) * factor, at + (view.end - at) * factor);
}

/** Brings a bar into view. */
function bringIntoView(i) {
  const width = view.end - view.start;
  const middle = (bars.start[i] + Math.min(endOf(i), bars.start[i] + width)) / 2;
  if (bars.start[i] < view.start || bars.start[i] > view.end) show(middle - width / 2, middle + width / 2);
  const row = shownLanes.indexOf(bars.client[i]);
  const top = row * LANE;
  if (row >= 0 && (top < stage.scrollTop || top + LANE + TOP > stage.scrollTop + view.height))
    stage.scrollTop = Math.max(0, top - view.height / 2);
}

function colourOf(i) {
  if (i === stuck) return colours.stuck;
  if (parts.has(i)) return colours.part;
  if (bars.outcome[i] === 'f') return colours.failed;
  return bars.outcome[i] === 'u' ? colours.unknown : colours.bar;
}

/** Draws what is in view, and returns how many bars that were. */
function drawScene() {
  element('sheet').style.height = `${Math.max(shownLanes.length * LANE + TOP + 8, view.height)}px`;
  pen.fillStyle = colours.page;
  pen.fillRect(0, 0, view.width, view.height);
  const scrolled = stage.scrollTop;
  const firstRow = Math.max(0, Math.floor(scrolled / LANE));
  const lastRow = Math.min(shownLanes.length, Math.ceil((scrolled + view.height) / LANE));
  let drawn = 0;
  for (let row = firstRow; row < lastRow; row += 1) drawn += drawLane(row, TOP + row * LANE - scrolled);
  drawPoints(firstRow, lastRow, scrolled);
  drawAxis();
  return drawn;
}

function drawLane(row, y) {
  const at = shownLanes[row];
  const lane = lanes[at];
  if (row % 2) {
    pen.fillStyle = colours.lane;
    pen.fillRect(0, y, view.width, LANE);
  }
  let drawn = 0;
  // The bars of one client follow each other, so the first in view is found by halves.
  const from = firstWhere(lane.length, (k) => endOf(lane[k]) >= view.start);
  let [busy, busyColour] = [-1, ''];
  for (let k = from; k < lane.length; k += 1) {
    const i = lane[k];
    if (bars.start[i] > view.end) break;
    const [left, right] = [Math.max(xOf(bars.start[i]), NAMES - 4), Math.min(xOf(endOf(i)), view.width + 4)];
    const colour = colourOf(i);
    const important = i === stuck || i === state.chosen || parts.has(i);
    if (right <= busy && colour === busyColour && !important) continue;
    [busy, busyColour] = [Math.max(Math.ceil(right), left + 1), colour];
    pen.globalAlpha = passing[i] ? 1 : Number(colours.dim);
    pen.fillStyle = colour;
    const width = Math.max(right - left, important ? 4 : 1.5);
    pen.beginPath();
    pen.roundRect(left, y + 6, width, LANE - 13, Math.min(3, width / 2));
    pen.fill();
    if (bars.end[i] === null) {
      // What never returned has an open end.
      pen.fillStyle = row % 2 ? colours.lane : colours.page;
      for (let x = right - 6; x > left + 6 && x > right - 30; x -= 8) pen.fillRect(x, y + 6, 2, LANE - 13);
    }
    if (i === state.chosen) {
      pen.strokeStyle = colours.focus;
      pen.lineWidth = 2;
      pen.strokeRect(left - 2, y + 4, width + 4, LANE - 9);
    }
    if (width > 34) {
      pen.fillStyle = i === stuck ? colours.on : colours['bar-text'];
      pen.save();
      pen.beginPath();
      pen.rect(left, y, width - 4, LANE);
      pen.clip();
      const label = isObjects ? bars.text[i] : `${bars.name[i]}  ${bars.text[i]}`;
      pen.fillText(label.slice(0, Math.ceil(width / 4)), Math.max(left, NAMES) + 5, y + LANE / 2 + 3.5);
      pen.restore();
    }
    drawn += 1;
  }
  pen.globalAlpha = 1;
  pen.fillStyle = row % 2 ? colours.lane : colours.page;
  pen.fillRect(0, y, NAMES - 2, LANE);
  pen.fillStyle = colours.quiet;
  pen.fillText(clients[at].slice(0, 13), 20, y + LANE / 2 + 3.5);
  return drawn;
}

/** Where the calls of the shown order take effect, up to the step that is taken. */
function drawPoints(firstRow, lastRow, scrolled) {
  if (state.order < 0) return;
  const order = orders[state.order];
  const rows = new Map(shownLanes.slice(firstRow, lastRow).map((at, k) => [at, firstRow + k]));
  const from = firstWhere(order.length, (k) => points.get(order[k]).time >= view.start);
  let [previous, previousRow] = [-9, -1];
  for (let k = from; k < Math.min(order.length, state.step); k += 1) {
    const point = points.get(order[k]);
    if (point.time > view.end) break;
    const row = rows.get(bars.client[order[k]]);
    if (row === undefined || !passing[order[k]]) continue;
    const x = xOf(point.time) + 2;
    if (x - previous < 1.5 && row === previousRow) continue;
    [previous, previousRow] = [x, row];
    const y = TOP + row * LANE - scrolled + LANE - 8;
    const here = k === state.step - 1 && state.step < order.length;
    pen.fillStyle = here ? colours.focus : colours.point;
    pen.beginPath();
    pen.arc(x, y, here ? 5 : 2.6, 0, 7);
    pen.fill();
    if (here) {
      pen.strokeStyle = colours.focus;
      pen.lineWidth = 1;
      pen.beginPath();
      pen.moveTo(x, TOP);
      pen.lineTo(x, view.height);
      pen.stroke();
    }
  }
}

function drawAxis() {
  pen.fillStyle = colours.page;
  pen.fillRect(0, 0, view.width, TOP);
  pen.fillStyle = colours.rule;
  pen.fillRect(0, TOP - 1, view.width, 1);
  pen.fillStyle = colours.quiet;
  if (!data.timed) {
    pen.fillText('no times: only the order within a session is known', NAMES, 14);
    return;
  }
  const raw = (view.end - view.start) / Math.max(2, view.width / 120);
  const power = 10 ** Math.floor(Math.log10(Math.max(raw, 1)));
  const tick = Math.max(1, [1, 2, 5, 10].find((factor) => factor * power >= raw) * power);
  for (let time = Math.ceil(view.start / tick) * tick; time <= view.end; time += tick) {
    pen.fillRect(xOf(time), TOP - 5, 1, 5);
    pen.fillText(grouped(time), xOf(time) + 4, 14);
  }
}

/** The bar under a point of the canvas, or -1. */
function barAt(x, y) {
  const row = Math.floor((y - TOP + stage.scrollTop) / LANE);
  if (y < TOP || row < 0 || row >= shownLanes.length) return -1;
  const lane = lanes[shownLanes[row]];
  const slack = 3 / perTime();
  const time = timeOf(x);
  const last = firstWhere(lane.length, (k) => bars.start[lane[k]] > time + slack);
  for (let k = last - 1; k >= Math.max(0, last - 3); k -= 1) if (endOf(lane[k]) >= time - slack) return lane[k];
  return -1;
}
