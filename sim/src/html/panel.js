// What holds at the cursor: the line over the canvas, and the panel beside it. Drawn on every step of a scrub, so it
// changes only what differs, and keeps its elements.

const over = document.getElementById('over');
const orrery = document.getElementById('orrery');
const element = (id) => document.getElementById(id);

/** Makes an element with a class and children; text is only ever put in as text. */
function make(tag, name, ...children) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return made;
}

function write(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

function classify(target, name) {
  if (target.className !== name) target.className = name;
}

// The cursor on the canvas.

/** What the pointer is over, as `hitAt` found it. */
let hovered = null;

function outline(pen, { x, end, y, h }) {
  const left = Math.max(x, GUTTER) - 1.5;
  pen.strokeStyle = colour.cursor;
  pen.lineWidth = 1.5;
  pen.strokeRect(left, y - 1.5, Math.max(4, Math.min(end, sheet.width) - left + 1.5), h + 3);
}

function drawOver() {
  const pen = penFor(over, sheet.width, sheet.height);
  if (hovered?.operation) outline(pen, operationBar(hovered.operation));
  const x = Math.round(xOf(cursor.t));
  if (x < GUTTER - 1 || x > sheet.width + 1) return;
  pen.fillStyle = colour.cursor;
  pen.fillRect(x - 0.5, AXIS - 3, 1.5, sheet.bottom - AXIS + 3);
  pen.font = `600 11px ${SANS}`;
  const text = `${clock(cursor.t)} s`;
  const width = pen.measureText(text).width + 12;
  const left = Math.max(GUTTER, Math.min(sheet.width - width - 2, x - width / 2));
  const top = sheet.scroll;
  round(pen, left, top + 2, width, AXIS - 6, 4);
  pen.fillStyle = colour.paper;
  pen.textAlign = 'left';
  pen.textBaseline = 'middle';
  pen.fillText(text, left + 6, top + AXIS / 2 - 0.5);
}

// The cluster as a ring: roles, cut links, and the messages under way.

/** Where a place is on the ring. Nodes are inside, clients are outside. */
function ringPlaces(width, height) {
  const places = new Map();
  const [cx, cy] = [width / 2, height / 2];
  const put = (name, k, count, rx, ry, turn) => {
    const angle = -Math.PI / 2 + ((k + turn) / count) * 2 * Math.PI;
    places.set(name, { x: cx + rx * Math.cos(angle), y: cy + ry * Math.sin(angle) });
  };
  nodes.forEach((node, k) => put(`n${node}`, k, nodes.length, width * 0.27, height * 0.31, 0));
  clients.forEach((client, k) => put(`c${client}`, k, clients.length, width * 0.46, height * 0.455, 0.5));
  return places;
}

function drawOrrery() {
  const { clientWidth: width, clientHeight: height } = orrery;
  const pen = penFor(orrery, width, height);
  const places = ringPlaces(width, height);
  pen.strokeStyle = colour.line;
  pen.lineWidth = 1;
  pen.beginPath();
  pen.ellipse(width / 2, height / 2, width * 0.46, height * 0.455, 0, 0, 7);
  pen.stroke();
  drawRingLinks(pen, places);
  drawUnderWay(pen, places);
  for (const client of clients) {
    const { x, y } = places.get(`c${client}`);
    pen.fillStyle = colour.panel;
    dot(pen, x, y, 8);
    pen.fillStyle = colour.muted;
    pen.font = `9px ${SANS}`;
    pen.textAlign = 'center';
    pen.textBaseline = 'middle';
    pen.fillText(`c${client}`, x, y + 0.5);
  }
  for (const node of nodes) drawPlanet(pen, node, places.get(`n${node}`));
}

function drawRingLinks(pen, places) {
  const cut = new Map();
  for (const fault of faultsAt(cursor.t, cursor.i)) {
    for (const pair of fault.pairs) cut.set([pair.from, pair.to].sort().join(' '), pair);
  }
  const line = (from, to, stroke, dashed) => {
    pen.strokeStyle = stroke;
    pen.setLineDash(dashed ? [3, 4] : []);
    pen.lineWidth = dashed ? 1.4 : 1;
    pen.beginPath();
    pen.moveTo(from.x, from.y);
    pen.lineTo(to.x, to.y);
    pen.stroke();
  };
  for (const one of nodes) {
    for (const other of nodes) {
      if (one < other && !cut.has(`n${one} n${other}`))
        line(places.get(`n${one}`), places.get(`n${other}`), colour.line, false);
    }
  }
  for (const { from, to, both } of cut.values()) {
    const [a, b] = [places.get(from), places.get(to)];
    if (!a || !b) continue;
    line(a, b, colour.cut, true);
    pen.setLineDash([]);
    // A cut in one direction has a bar before the one that hears nothing.
    if (!both) cross(pen, colour.cut, a.x + (b.x - a.x) * 0.72, a.y + (b.y - a.y) * 0.72, 3.5);
  }
  pen.setLineDash([]);
}

function drawUnderWay(pen, places) {
  for (const message of messagesBetween(cursor.t - longest, cursor.t)) {
    const { at_ns: at, arrives_ns: arrives } = message;
    if (arrives === null || arrives < cursor.t || arrives === at) continue;
    const [a, b] = [places.get(message.from), places.get(message.to)];
    if (!a || !b) continue;
    const share = (cursor.t - at) / (arrives - at);
    pen.fillStyle = kindColour(message.kind);
    dot(pen, a.x + (b.x - a.x) * share, a.y + (b.y - a.y) * share, 2.6);
  }
}

function drawPlanet(pen, node, { x, y }) {
  const state = stateAt(node, cursor.i);
  const radius = nodes.length > 6 ? 11 : 14;
  if (state.role === 'leader') {
    pen.strokeStyle = colour.leader;
    pen.lineWidth = 1.5;
    pen.beginPath();
    pen.arc(x, y, radius + 3.5, 0, 7);
    pen.stroke();
  }
  pen.fillStyle = state.up ? roleColour(state.role) : colour.panel;
  dot(pen, x, y, radius);
  pen.strokeStyle = state.up ? roleColour(state.role) : colour.muted;
  pen.lineWidth = 1.2;
  pen.setLineDash(state.up ? [] : [3, 3]);
  pen.beginPath();
  pen.arc(x, y, radius, 0, 7);
  pen.stroke();
  pen.setLineDash([]);
  if (state.paused) {
    pen.fillStyle = pattern.paused;
    dot(pen, x, y, radius);
  }
  pen.fillStyle = state.up && !state.paused ? (colour[`on-${state.role}`] ?? colour.ink) : colour.ink;
  pen.font = `600 11px ${SANS}`;
  pen.textAlign = 'center';
  pen.textBaseline = 'middle';
  pen.fillText(`n${node}`, x, y + 0.5);
}

// The table of nodes.

const rows = nodes.map((node) => {
  const cells = ['node', 'role', 'term', 'last', 'commit', 'applied'].map((name) => make('td', name));
  cells[0].append(make('i', 'dot'), `n${node}`);
  element('nodes').tBodies[0].append(make('tr', '', ...cells));
  return { node, row: cells[0].parentElement, cells };
});

/** What the node is doing, in a word or two. */
function standing(state) {
  if (!state.up) return 'down';
  return state.paused ? `paused (${state.role})` : state.role;
}

function fillNodes() {
  for (const { node, row, cells } of rows) {
    const state = stateAt(node, cursor.i);
    classify(row, `${state.paused ? 'paused ' : ''}role-${state.role.replace(/[^a-z-]/g, '')}`);
    write(cells[1], standing(state));
    [state.term, state.last, state.commit, state.applied].forEach((n, k) => write(cells[k + 2], grouped(n)));
  }
}

// Lists. A list keeps its lines and writes new text into them.

/** Makes an element act on a click, and on the keys that press a button. */
function pressable(target, go) {
  target.tabIndex = 0;
  target.addEventListener('click', go);
  target.addEventListener('keydown', (event) => {
    if (event.target !== target || (event.key !== 'Enter' && event.key !== ' ')) return;
    event.preventDefault();
    event.stopPropagation();
    go();
  });
  return target;
}

/** Fills a list with lines of `[class, lead, text, go]`; a click on a line calls its `go`. */
function fillList(list, lines, empty) {
  const shown = lines.length ? lines : [['empty', '', empty, null]];
  while (list.children.length > shown.length) list.lastElementChild.remove();
  while (list.children.length < shown.length) {
    const line = make('li', '', make('b'), make('span'));
    pressable(line, () => line.go?.());
    list.append(line);
  }
  shown.forEach(([name, lead, text, go], k) => {
    const line = list.children[k];
    classify(line, go ? `${name} link` : name);
    write(line.firstElementChild, lead);
    write(line.lastElementChild, text);
    line.go = go;
    line.tabIndex = go ? 0 : -1;
    line.title = text;
  });
}

function faultLine(fault) {
  const links = fault.pairs.map(({ from, to, both }) => `${from} ${both ? '↮' : '↛'} ${to}`).join(', ');
  const struck = fault.nodes.length && !fault.cut.length ? `n${fault.nodes.join(', n')}` : '';
  const text = [fault.text, struck, links && `cut: ${links}`].filter(Boolean).join(' · ');
  return [fault.cut.length ? 'cut' : 'fault', fault.kind, text, () => jump(fault.at, { i: fault.i })];
}

function operationLine(operation) {
  return [
    operation.blamed ? 'bad' : operation.outcome,
    `T${operation.id}`,
    `c${operation.client} ${operation.name}  ${operation.text}`,
    () => jumpToOperation(operation),
  ];
}

/** How many entries of the log are listed. */
const ENTRIES = 12;

function entryLine({ index, entry, ruling, applied }) {
  const { i, event } = ruling ?? entry;
  const what = entry ? entry.event.text : event.entry;
  const by = applied.length ? `; applied by n${applied.join(', n')}` : '; not applied';
  const concerned = blamed.some((operation) => mentions(what, operation.id));
  const name = ruling?.event.wrong ? 'wrong' : concerned ? 'bad' : '';
  const text = `${what}${ruling ? ` → ${ruling.event.ruling}` : ''}${by}`;
  return [name, String(index), text, () => jump(event.at_ns, { i })];
}

/** How many events are listed. Fixed until the size changes, so that nothing below them moves in a scrub. */
let around = 9;

function fitPanel() {
  const panel = element('panel');
  const above = element('around').getBoundingClientRect().top - panel.getBoundingClientRect().top + panel.scrollTop;
  const space = panel.clientHeight - above - 140;
  around = Math.max(7, Math.min(21, Math.floor(space / 19))) | 1;
}

function eventLines() {
  const before = Math.floor(around / 2);
  const from = Math.max(0, Math.min(cursor.i - before, events.length - around));
  return events.slice(from, from + around).map((event, k) => {
    const i = from + k;
    const when = i === cursor.i ? 'here ' : i > cursor.i ? 'later ' : '';
    const name = `${when}${event.wrong === true ? 'wrong ' : ''}what-${event.what}`;
    return [name, clock(event.at_ns), describe(event), () => jump(event.at_ns, { i })];
  });
}

/** Brings the panel to the cursor. */
function drawPanel() {
  write(element('clock'), `${clock(cursor.t)} s`);
  const event = events[cursor.i];
  write(
    element('at'),
    event
      ? `event ${grouped(event.n)} · ${grouped(cursor.i + 1)} of ${grouped(events.length)} recorded`
      : `before the first of ${grouped(events.length)} events`,
  );
  fillNodes();
  fillList(element('log'), entriesAt(cursor.i, ENTRIES).map(entryLine), 'empty');
  fillList(element('faults'), faultsAt(cursor.t, cursor.i).slice(0, 8).map(faultLine), 'none');
  const flying = operationsAt(cursor.t);
  fillList(element('flying'), flying.slice(0, 6).map(operationLine), 'none');
  fillList(element('around'), eventLines(), 'none');
  drawOrrery();
}
