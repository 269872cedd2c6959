// The main canvas: lanes over time. What is too narrow to see is drawn once for each pixel, so a picture of the whole run
// costs about as much as one of a millisecond.

const scene = document.getElementById('scene');

/** The stretches of a sorted list of `{at, end}` that touch the window. */
function visible(list, at, end) {
  const from = Math.max(0, upTo(list, view.start, end) - 1);
  return list.slice(from, upTo(list, view.end, at));
}

function drawScene() {
  const pen = penFor(scene, sheet.width, sheet.height);
  pen.fillStyle = colour.paper;
  pen.fillRect(0, 0, sheet.width, sheet.height);
  pen.save();
  pen.beginPath();
  pen.rect(GUTTER, 0, sheet.width - GUTTER, sheet.height);
  pen.clip();
  drawGrounds(pen);
  drawGrid(pen);
  drawPhases(pen);
  drawPartitions(pen);
  for (const node of nodes) drawStretches(pen, node);
  drawLinkEnds(pen);
  drawLogs(pen);
  drawMarks(pen);
  drawFaults(pen);
  for (const client of clients) drawOperations(pen, client);
  const messagesShown = drawMessages(pen);
  drawBlamed(pen);
  drawCycle(pen);
  drawFound(pen);
  pen.restore();
  drawGutter(pen);
  drawAxis(pen);
  return messagesShown;
}

/** A quiet ground under every node, and a line under every client. */
function drawGrounds(pen) {
  pen.fillStyle = colour.lane;
  for (const node of nodes) {
    const { y, h } = sheet.nodes[node];
    pen.fillRect(GUTTER, y + 2, sheet.width, h - 4);
  }
  pen.fillStyle = colour.line;
  for (const { y, h } of sheet.clients.values()) pen.fillRect(GUTTER, Math.round(y + h / 2), sheet.width, 1);
}

/** The times that the axis tells. */
function ticks() {
  const step = tick(96);
  const times = [];
  for (let t = Math.ceil(view.start / step) * step; t <= view.end; t += step) times.push(t);
  return { step, times };
}

function drawGrid(pen) {
  pen.fillStyle = colour.line;
  pen.globalAlpha = 0.6;
  for (const t of ticks().times) pen.fillRect(Math.round(xOf(t)), AXIS + PHASES, 1, sheet.bottom - AXIS - PHASES);
  pen.globalAlpha = 1;
}

/** The times stay in sight when the lanes are scrolled. */
function drawAxis(pen) {
  const top = sheet.scroll;
  pen.fillStyle = colour.paper;
  pen.fillRect(0, top, sheet.width, AXIS - 1);
  const { step, times } = ticks();
  const decimals = Math.max(0, Math.min(9, 9 - Math.floor(Math.log10(step) + 1e-9)));
  pen.font = `11px ${SANS}`;
  pen.textAlign = 'center';
  pen.textBaseline = 'middle';
  for (const t of times) {
    const x = Math.round(xOf(t));
    pen.fillStyle = colour.line;
    pen.fillRect(x, top + AXIS - 5, 1, 5);
    pen.fillStyle = colour.muted;
    if (x < sheet.width - 34 && x > GUTTER + 12) pen.fillText(`${clock(t, decimals)} s`, x, top + AXIS / 2);
  }
}

function drawGutter(pen) {
  pen.textAlign = 'right';
  pen.textBaseline = 'middle';
  for (const node of nodes) {
    const bar = barOf(node);
    pen.fillStyle = colour.ink;
    pen.font = `600 13px ${SANS}`;
    pen.fillText(`n${node}`, GUTTER - 10, bar.y + bar.h / 2);
    pen.fillStyle = colour.muted;
    pen.font = `9px ${SANS}`;
    if (bar.logH >= 8) pen.fillText('log', GUTTER - 10, bar.log + bar.logH / 2);
  }
  pen.fillStyle = colour.muted;
  pen.font = `11px ${SANS}`;
  for (const [client, { y, h }] of sheet.clients) pen.fillText(`c${client}`, GUTTER - 10, y + h / 2 + 0.5);
  if (faultRows) pen.fillText('faults', GUTTER - 10, sheet.faults + FAULT / 2 - 1);
  if (run.phases.length) pen.fillText('phase', GUTTER - 10, AXIS + PHASES / 2);
}

function drawPhases(pen) {
  pen.textAlign = 'left';
  pen.textBaseline = 'middle';
  pen.font = `11px ${SANS}`;
  run.phases.forEach(([at, name], k) => {
    const [x, end] = [xOf(at), xOf(run.phases[k + 1]?.[0] ?? END)];
    if (end < GUTTER || x > sheet.width) return;
    if (k % 2 === 1) {
      pen.fillStyle = colour.faint;
      pen.fillRect(x, AXIS, end - x, sheet.bottom - AXIS);
    }
    pen.fillStyle = colour.line;
    if (k > 0) dashes(pen, x, AXIS, sheet.bottom);
    const left = Math.max(x, GUTTER) + 6;
    const text = fitted(pen, name, 11, Math.min(end, sheet.width) - left - 4);
    pen.font = `11px ${SANS}`;
    pen.fillStyle = colour.muted;
    pen.fillText(text, left, AXIS + PHASES / 2);
  });
}

/** A dashed line from top to bottom, made of rectangles: cheaper than a dashed path. */
function dashes(pen, x, top, bottom) {
  for (let y = top; y < bottom; y += 6) pen.fillRect(Math.round(x), y, 1, Math.min(3, bottom - y));
}

/** A partition lies as a band behind the lanes that it parts, with the links that it cuts. */
function drawPartitions(pen) {
  for (const fault of faults) {
    if (!fault.cut.length || fault.until < view.start || fault.at > view.end) continue;
    const [x, end] = [xOf(fault.at), Math.max(xOf(fault.until), xOf(fault.at) + 1)];
    const heights = fault.cut
      .flat()
      .map(placeY)
      .filter((y) => y !== null);
    if (!heights.length) continue;
    const [top, bottom] = [Math.min(...heights) - 10, Math.max(...heights) + 10];
    pen.globalAlpha = 0.22;
    pen.fillStyle = pattern.cut;
    pen.fillRect(x, top, end - x, bottom - top);
    pen.globalAlpha = 0.7;
    pen.fillStyle = colour.cut;
    pen.fillRect(Math.round(x), top, 1, bottom - top);
    pen.fillRect(Math.round(end), top, 1, bottom - top);
    pen.globalAlpha = 1;
    pen.strokeStyle = colour.cut;
    pen.lineWidth = 1.2;
    pen.beginPath();
    for (const link of linksOf(fault)) {
      pen.moveTo(link.x, link.one);
      pen.lineTo(link.x, link.other);
    }
    pen.stroke();
  }
}

/** Where the cut links of a partition are drawn: side by side at its right edge, away from the words in the bars, or
 * nowhere if there is no room. */
function linksOf(fault) {
  const [left, right] = [Math.max(xOf(fault.at), GUTTER) + 6, Math.min(xOf(fault.until), sheet.width) - 7];
  const gap = Math.min(9, (right - left) / fault.pairs.length);
  if (gap < 4) return [];
  return fault.pairs
    .map(({ from, to, both }, k) => ({ x: right - gap * (k + 0.5), one: placeY(from), other: placeY(to), both }))
    .filter(({ one, other }) => one !== null && other !== null);
}

/** A dot at each end that hears nothing, over the bars. */
function drawLinkEnds(pen) {
  for (const fault of faults) {
    if (!fault.cut.length || fault.until < view.start || fault.at > view.end) continue;
    const links = linksOf(fault);
    // Where the links take much of the band, dots would hide what the bars say.
    if (links.length * 36 > xOf(fault.until) - xOf(fault.at)) continue;
    for (const { x, one, other, both } of links) {
      for (const y of both ? [one, other] : [other]) {
        pen.fillStyle = colour.paper;
        dot(pen, x, y, 3.4);
        pen.fillStyle = colour.cut;
        dot(pen, x, y, 2.4);
      }
    }
  }
}

function dot(pen, x, y, radius) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 7);
  pen.fill();
}

/** The bar of a node: its role by colour, its term where there is room, nothing but a line while it is down. */
function drawStretches(pen, node) {
  const { y, h } = barOf(node);
  let drawn = -1;
  pen.textBaseline = 'middle';
  pen.textAlign = 'left';
  for (const s of visible(
    stretches[node],
    (x) => x.at,
    (x) => x.end,
  )) {
    const x = Math.max(xOf(s.at), GUTTER - 2);
    const end = Math.min(xOf(s.end), sheet.width);
    // Of many stretches within one pixel the first is shown, and leaders always are.
    if (end < drawn + 1 && s.role !== 'leader') continue;
    drawn = end;
    const width = Math.max(1, end - x);
    if (!s.up) {
      pen.fillStyle = colour.muted;
      dashes2(pen, x, end, y + h / 2);
      label(pen, 'down', x, end, y + h / 2, colour.muted, colour.lane);
      continue;
    }
    pen.fillStyle = roleColour(s.role);
    pen.fillRect(x, y, width > 3 ? width - 1 : width, h);
    if (s.paused) {
      pen.fillStyle = pattern.paused;
      pen.fillRect(x, y, width, h);
    }
    const text = s.paused ? 'paused' : end - x > 130 ? `${s.role} · term ${s.term}` : String(s.term || '');
    label(
      pen,
      text,
      x,
      end,
      y + h / 2,
      s.paused ? colour.ink : (colour[`on-${s.role}`] ?? colour.ink),
      s.paused ? colour.paper : null,
    );
  }
}

/** A horizontal dashed line. */
function dashes2(pen, from, to, y) {
  const start = Math.max(from, GUTTER);
  for (let x = start + 3; x < to - 2; x += 6) pen.fillRect(x, y - 0.5, 3, 1);
}

/** A word in a bar, if it fits; on a ground of its own if one is given. */
function label(pen, text, from, to, y, ink, ground) {
  pen.font = `11px ${SANS}`;
  const left = Math.max(from, GUTTER) + 5;
  // A sign is at most 7 pixels wide, which spares measuring most of the words.
  if (!text || to - left < Math.min(text.length * 7, 200) * 0.72 + 4) return;
  if (ground) {
    pen.fillStyle = ground;
    pen.fillRect(left - 3, y - 8, pen.measureText(text).width + 6, 16);
  }
  pen.fillStyle = ink;
  pen.fillText(text, left, y + 0.5);
}

/** For each pixel of the plot, what a list of `{at}` holds there. */
function sampled(list) {
  let k = upTo(list, view.start, (s) => s.at) - 1;
  const samples = [];
  for (let x = GUTTER; x <= Math.min(sheet.width, xOf(END)); x += 1) {
    const t = timeOf(x);
    while (k + 1 < list.length && list[k + 1].at <= t) k += 1;
    samples.push(list[Math.max(0, k)]);
  }
  return samples;
}

/** The logs: how far each is committed (a line), what it holds beyond that, and how far it is behind the others. */
function drawLogs(pen) {
  if (!nodes.length || barOf(1).logH < 8) return;
  const front = sampled(frontier);
  const logs = nodes.map((node) => sampled(states[node]));
  // The window has a scale of its own, so that small steps are seen from near.
  const low = Math.min(...logs.map((log) => log[0].commit));
  const high = Math.max(low + 4, ...logs.map((log) => log.at(-1).last), front.at(-1).commit);
  for (const node of nodes) {
    const { log: top, logH: h } = barOf(node);
    const y = (index) => top + h - ((Math.max(low, index) - low) / (high - low)) * h;
    const commits = logs[node - 1].map((s) => y(s.commit));
    between(
      pen,
      commits,
      front.map((s) => y(s.commit)),
      colour.candidate,
      0.5,
    );
    between(
      pen,
      commits,
      logs[node - 1].map((s) => y(Math.max(s.last, s.commit))),
      colour.muted,
      0.35,
    );
    line(pen, commits, colour.muted);
  }
}

/** Fills the area between two lines that have a height for each pixel. */
function between(pen, one, other, fill, alpha) {
  pen.beginPath();
  one.forEach((y, x) => pen.lineTo(GUTTER + x, y));
  for (let x = other.length - 1; x >= 0; x -= 1) pen.lineTo(GUTTER + x, other[x]);
  pen.globalAlpha = alpha;
  pen.fillStyle = fill;
  pen.fill();
  pen.globalAlpha = 1;
}

function line(pen, heights, stroke) {
  pen.beginPath();
  heights.forEach((y, x) => pen.lineTo(GUTTER + x, y));
  pen.strokeStyle = stroke;
  pen.lineWidth = 1;
  pen.stroke();
}

// Marks: single moments, above the bar of their node. Each kind has a form of its own, so colour is never needed.

const forms = {
  starts: (pen, x, y) =>
    shape(pen, colour.recovering, [
      [x - 3, y - 4],
      [x + 4, y],
      [x - 3, y + 4],
    ]),
  stops: (pen, x, y) => cross(pen, colour.ink, x, y, 3.2),
  disk: (pen, x, y) =>
    shape(pen, colour.disk, [
      [x, y - 4.5],
      [x + 4.5, y],
      [x, y + 4.5],
      [x - 4.5, y],
    ]),
  fault: (pen, x, y) =>
    shape(pen, colour.fault, [
      [x - 4.5, y - 4],
      [x + 4.5, y - 4],
      [x, y + 4.5],
    ]),
  probe: (pen, x, y) => {
    pen.fillStyle = colour.probe;
    dot(pen, x, y, 3);
  },
  note: (pen, x, y) => {
    pen.fillStyle = colour.muted;
    pen.fillRect(x - 2.5, y - 2.5, 5, 5);
  },
  // An exclamation mark: the state machine has decided what none may.
  applies: (pen, x, y) => {
    pen.fillStyle = colour.bad;
    pen.fillRect(x - 1.8, y - 5.5, 3.6, 7);
    pen.fillRect(x - 1.8, y + 3, 3.6, 3);
  },
  violation: (pen, x, y) =>
    shape(pen, colour.bad, [
      [x, y - 6],
      [x + 5, y + 4],
      [x - 5, y + 4],
    ]),
};

function shape(pen, fill, points) {
  pen.fillStyle = fill;
  pen.beginPath();
  points.forEach(([x, y], k) => (k ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.fill();
}

function cross(pen, stroke, x, y, r) {
  pen.strokeStyle = stroke;
  pen.lineWidth = 1.6;
  pen.beginPath();
  pen.moveTo(x - r, y - r);
  pen.lineTo(x + r, y + r);
  pen.moveTo(x + r, y - r);
  pen.lineTo(x - r, y + r);
  pen.stroke();
}

/** The marks of all nodes: the event, and the nodes it is drawn at. In order of time. */
const marks = events.flatMap((event, i) => {
  if (!forms[event.what] || (event.what === 'applies' && !event.wrong)) return [];
  const lasts = event.what === 'fault' && event.until_ns !== event.at_ns;
  // A fault that strikes everywhere and lasts has its bar: a mark in every lane would say no more.
  const everywhere = lasts && (event.cut.length > 0 || event.nodes.length >= run.nodes);
  const at = event.what !== 'fault' ? [event.node] : everywhere ? [] : event.nodes;
  return at.filter((node) => node >= 1 && node <= run.nodes).map((node) => ({ i, event, node, at: event.at_ns }));
});

function drawMarks(pen) {
  // Of equal marks that would cover each other, one is enough.
  const last = new Map();
  for (const mark of visibleMarks()) {
    const x = xOf(mark.at);
    const key = `${mark.node} ${mark.event.what}`;
    if (x - (last.get(key) ?? -9) < 4) continue;
    last.set(key, x);
    forms[mark.event.what](pen, x, sheet.nodes[mark.node].y + 6);
  }
}

const visibleMarks = () =>
  marks.slice(
    upTo(marks, view.start - 1, (m) => m.at),
    upTo(marks, view.end, (m) => m.at),
  );

/** The faults that last, as bars below the phases. */
function drawFaults(pen) {
  const ends = [];
  pen.textBaseline = 'middle';
  pen.textAlign = 'left';
  for (const fault of faults) {
    if (fault.row < 0 || fault.until < view.start || fault.at > view.end) continue;
    const [x, end] = [xOf(fault.at), Math.min(xOf(fault.until), sheet.width + 4)];
    if (end - (ends[fault.row] ?? -9) < 1) continue;
    ends[fault.row] = end;
    const y = sheet.faults + fault.row * FAULT;
    pen.fillStyle = fault.cut.length ? colour.cut : colour.fault;
    round(pen, x, y, Math.max(2, end - x - 1), FAULT - 4, 3);
    const left = Math.max(x, GUTTER) + 5;
    const text = fitted(pen, `${fault.kind}${fault.text ? ` · ${fault.text}` : ''}`, 10, end - left - 4);
    pen.font = `10px ${MONO}`;
    pen.fillStyle = colour['on-fault'];
    pen.fillText(text, left, y + (FAULT - 4) / 2 + 0.5);
  }
}

function round(pen, x, y, width, height, radius) {
  pen.beginPath();
  pen.roundRect(x, y, width, height, Math.min(radius, width / 2));
  pen.fill();
}

// Operations.

/** A colour and a form for each outcome: whole, an outline, or open at the end. */
function drawOperation(pen, operation, x, end, y, h) {
  const width = Math.max(1.5, end - x - 0.5);
  if (operation.outcome === 'failed') {
    pen.strokeStyle = colour.failed;
    pen.lineWidth = 1.2;
    if (width > 4) pen.strokeRect(x + 0.5, y + 0.5, width - 1, h - 1);
    else {
      pen.fillStyle = colour.failed;
      pen.fillRect(x, y + h / 2 - 1, width, 2);
    }
  } else if (operation.outcome === 'ok') {
    pen.fillStyle = colour.ok;
    pen.fillRect(x, y, width, h);
  } else drawOpen(pen, x, width, y, h, colour.unknown);
}

/** A bar that nobody has closed: it runs out in a thin tail. */
function drawOpen(pen, x, width, y, h, fill) {
  pen.fillStyle = fill;
  if (width < 8) pen.fillRect(x, y, width, h);
  else {
    const whole = Math.min(width * 0.4, Math.max(6, width * 0.1));
    pen.fillRect(x, y, whole, h);
    const middle = y + h / 2;
    shape(pen, fill, [
      [x + whole, middle - 2],
      [x + width, middle - 0.5],
      [x + width, middle + 0.5],
      [x + whole, middle + 2],
    ]);
  }
}

/** The bar of an operation: where it begins and ends, and its height. */
function operationBar(operation) {
  const lane = sheet.clients.get(operation.client);
  const h = Math.round(lane.h * 0.6);
  return { x: xOf(operation.invoke_ns), end: xOf(closes(operation)), y: Math.round(lane.y + (lane.h - h) / 2), h };
}

function visibleOperations(client) {
  const lane = lanes.get(client);
  const from = Math.max(0, upTo(lane, view.start, (o) => o.invoke_ns) - 1);
  return lane.slice(
    from,
    upTo(lane, view.end, (o) => o.invoke_ns),
  );
}

function drawOperations(pen, client) {
  let drawn = -9;
  let drawnOutcome = '';
  pen.textBaseline = 'middle';
  pen.textAlign = 'left';
  for (const operation of visibleOperations(client)) {
    const { x, end, y, h } = operationBar(operation);
    // What falls into a pixel that is taken is left out, unless it ended otherwise.
    if (end < drawn + 1 && operation.outcome === drawnOutcome) continue;
    drawn = Math.max(end, x + 1.5);
    drawnOutcome = operation.outcome;
    drawOperation(pen, operation, x, end, y, h);
    if (end - x < 50 || h < 10) continue;
    const left = Math.max(x, GUTTER) + 4;
    const text = fitted(pen, `T${operation.id} ${operation.text || operation.name}`, 9, end - left - 3);
    pen.font = `9px ${MONO}`;
    pen.fillStyle = operation.outcome === 'failed' ? colour.muted : colour.paper;
    pen.fillText(text, left, y + h / 2 + 0.5);
  }
}

/** The operations to blame are always drawn, over all others, and wide enough to be seen. */
function drawBlamed(pen) {
  pen.textBaseline = 'middle';
  pen.textAlign = 'left';
  for (const operation of blamed) {
    const { x, end, y, h } = operationBar(operation);
    if (end < GUTTER - 8 || x > sheet.width + 8) continue;
    const width = Math.max(5, end - x);
    pen.fillStyle = colour.paper;
    round(pen, x - 2.5, y - 3.5, width + 5, h + 7, 3);
    if (operation.outcome === 'unknown') drawOpen(pen, x, width, y - 1.5, h + 3, colour.bad);
    else {
      pen.fillStyle = colour.bad;
      round(pen, x - 0.5, y - 1.5, width + 1, h + 3, 2);
    }
    const left = Math.max(x, GUTTER) + 5;
    const text = fitted(pen, `T${operation.id} ${operation.text || operation.name}`, 10, end - left - 4);
    pen.font = `600 10px ${MONO}`;
    pen.fillStyle = colour['on-bad'];
    pen.fillText(text, left, y + h / 2 + 0.5);
  }
}

/** How the operations to blame depend on each other: arrows between them. */
function drawCycle(pen) {
  run.cycle.forEach((edge) => {
    const [from, to] = [byId.get(edge.from), byId.get(edge.to)];
    if (!from || !to || from === to) return;
    const [a, b] = [middle(from), middle(to)];
    if (Math.max(a.x, b.x) < GUTTER || Math.min(a.x, b.x) > sheet.width) return;
    const down = a.y <= b.y ? 1 : -1;
    // To and fro bend to different sides.
    const bend = 18 + Math.abs(a.y - b.y) * 0.18;
    const control = { x: (a.x + b.x) / 2 + bend * down, y: (a.y + b.y) / 2 };
    pen.strokeStyle = colour.bad;
    pen.lineWidth = 1.6;
    pen.beginPath();
    pen.moveTo(a.x, a.y + a.h * down);
    pen.quadraticCurveTo(control.x, control.y, b.x, b.y - b.h * down);
    pen.stroke();
    arrowHead(pen, control, { x: b.x, y: b.y - b.h * down }, colour.bad, 6);
    // From afar the words would hide the lanes that the arrows only cross.
    if (Math.max(a.width, b.width) > 24)
      cycleLabel(pen, edge.why, (a.x + b.x) / 4 + control.x / 2, (a.y + b.y) / 4 + control.y / 2, down);
  });
}

function cycleLabel(pen, why, x, y, side) {
  pen.font = `600 10px ${SANS}`;
  const width = pen.measureText(why).width;
  const left = side > 0 ? x + 4 : x - width - 4;
  pen.fillStyle = colour.paper;
  round(pen, left - 4, y - 7, width + 8, 14, 3);
  pen.fillStyle = colour.bad;
  pen.textAlign = 'left';
  pen.fillText(why, left, y + 0.5);
}

/** The middle of the visible part of an operation's bar. */
function middle(operation) {
  const { x, end, y, h } = operationBar(operation);
  const [left, right] = [Math.max(x, GUTTER), Math.min(Math.max(end, x + 5), sheet.width)];
  return { x: right > left ? (left + right) / 2 : x, y: y + h / 2, h: h / 2 + 2, width: end - x };
}

function arrowHead(pen, from, to, fill, size) {
  const angle = Math.atan2(to.y - from.y, to.x - from.x);
  const point = (turn) => [to.x - size * Math.cos(angle + turn), to.y - size * Math.sin(angle + turn)];
  shape(pen, fill, [[to.x, to.y], point(0.45), point(-0.45)]);
}

/** The moment at which the violation was found. */
function drawFound(pen) {
  if (run.passed) return;
  const x = xOf(run.found_ns);
  if (x < GUTTER - 60 || x > sheet.width + 60) return;
  pen.fillStyle = colour.bad;
  pen.fillRect(Math.round(x) - 1, AXIS, 2, sheet.bottom - AXIS);
  pen.font = `600 11px ${SANS}`;
  const text = 'found';
  const width = pen.measureText(text).width + 12;
  const left = Math.min(x - 1, sheet.width - width - 1);
  round(pen, left, sheet.bottom, width, 16, 3);
  pen.fillStyle = colour['on-bad'];
  pen.textAlign = 'left';
  pen.textBaseline = 'middle';
  pen.fillText(text, left + 6, sheet.bottom + 8.5);
}
