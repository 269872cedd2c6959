// The page itself: frames, jumps, pointer and keys.

// Frames. Whatever changes asks for one; a frame draws only what has to be drawn.

let sceneStale = true;
let panelStale = true;
let asked = false;

/** Asks for a frame, with a new picture of the lanes if the window or the lanes have changed. */
function refresh(lanesChanged = false) {
  sceneStale ||= lanesChanged;
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    paint();
  });
}

function paint() {
  if (sceneStale) {
    const shown = drawScene();
    write(element('span'), `${duration(Math.round(view.end - view.start))} in view${shown ? tellMessages(shown) : ''}`);
  }
  drawMap();
  drawOver();
  if (panelStale) {
    drawPanel();
    followStory();
  }
  sceneStale = panelStale = false;
}

function tellMessages({ messages: count, arrows }) {
  return `, ${grouped(count)} messages${arrows < count ? `, ${grouped(arrows)} drawn` : ''}`;
}

// The cursor and the window.

let hashTimer = 0;

/** Sets the cursor to a time, and to the last event by then unless one is named. */
function setCursor(t, i) {
  cursor.t = clampTime(t);
  cursor.i = i ?? upTo(events, cursor.t, atNs) - 1;
  panelStale = true;
  // The address is for sharing: it need not keep up with a scrub.
  clearTimeout(hashTimer);
  hashTimer = setTimeout(() => history.replaceState(null, '', `#t=${Math.round(cursor.t)}`), 300);
}

const calm = matchMedia('(prefers-reduced-motion: reduce)');
let glides = true;

/** Where a glide under way is going. */
let goal = null;

/** Ends a glide at once, so that what comes next begins where it was going. */
function settle() {
  if (goal) show(goal.start, goal.end);
  goal = null;
}

/** Moves the window there, in a short glide so that the eye can follow. */
function glide(start, end) {
  const from = { ...view };
  show(start, end);
  const to = { ...view };
  goal = null;
  refresh(true);
  if (!glides || calm.matches || document.hidden) return;
  goal = to;
  const began = performance.now();
  const step = () => {
    if (goal !== to) return;
    const share = Math.min(1, (performance.now() - began) / 180);
    const eased = 1 - (1 - share) ** 3;
    show(from.start + (to.start - from.start) * eased, from.end + (to.end - from.end) * eased);
    sceneStale = true;
    paint();
    if (share < 1) requestAnimationFrame(step);
    else settle();
  };
  step();
}

/** Brings the cursor to a moment, and the window with it: so that `width` nanoseconds are well seen, if given. */
function jump(t, { i, width = 0 } = {}) {
  setCursor(t, i);
  let length = view.end - view.start;
  if (width && (width / length) * sheet.plot < 40) length = Math.max(SHORTEST, width * 7);
  const margin = length * 0.04;
  if (length !== view.end - view.start || t < view.start + margin || t > view.end - margin) {
    glide(t - length * 0.4, t + length * 0.6);
  }
  refresh();
}

/** Scrolls to a lane that is out of sight. */
function revealLane({ y, h }) {
  const stage = element('stage');
  if (y < stage.scrollTop + AXIS || y + h > stage.scrollTop + stage.clientHeight) {
    stage.scrollTop = y - stage.clientHeight / 2;
  }
}

function jumpToOperation(operation) {
  revealLane(sheet.clients.get(operation.client));
  jump(operation.invoke_ns, { width: Math.max(1, closes(operation) - operation.invoke_ns) });
}

/** The window that shows the decisive moment, and of the operations to blame what led to it. */
function decisiveWindow() {
  const { at_ns: at } = run.decisive;
  const from = blamed.map((operation) => operation.invoke_ns).filter((t) => t > 0 && t <= at);
  const to = blamed.filter((operation) => operation.invoke_ns <= at).map(closes);
  const start = Math.min(at, ...from);
  const end = Math.max(at, ...to);
  const margin = Math.max((end - start) * 0.15, 20e6);
  return [start - margin, end + margin];
}

function toDecisive() {
  if (!run.decisive) return;
  const { at_ns: at, event: n } = run.decisive;
  const told = events.findIndex((event) => event.n === n && event.at_ns === at && event.what === 'applies' && event.wrong);
  setCursor(at, told >= 0 ? told : undefined);
  glide(...decisiveWindow());
}

function toViolation() {
  if (run.passed) return;
  const i = eventIndex(run.found_event);
  jump(run.found_ns, { i: events[i]?.at_ns <= run.found_ns ? upTo(events, run.found_ns, atNs) - 1 : undefined });
}

/** The next operation to blame after the cursor, or the first. */
function toBlame() {
  const next = blamed.find((operation) => operation.invoke_ns > cursor.t) ?? blamed[0];
  if (next) jumpToOperation(next);
}

/** The event before or after the cursor; of the notable ones only, if asked. */
function step(by, wantedEvent = () => true) {
  let i = cursor.i + by;
  while (i >= 0 && i < events.length && !wantedEvent(events[i])) i += by;
  if (i >= 0 && i < events.length) jump(events[i].at_ns, { i });
}

// What is under the pointer.

/** The operation, mark, fault or stretch at a place of the canvas, and how it is told. */
function hitAt(x, y) {
  if (x < GUTTER) return null;
  for (const [client, lane] of sheet.clients) {
    if (y >= lane.y && y < lane.y + lane.h) return hitOperation(client, x);
  }
  for (const node of nodes) {
    const lane = sheet.nodes[node];
    if (y >= lane.y && y < lane.y + lane.h) return hitMark(node, x, y) ?? hitStretch(node, x);
  }
  return y < sheet.faults ? null : hitFault(x, y);
}

function hitOperation(client, x) {
  let best = null;
  for (const operation of visibleOperations(client)) {
    const bar = operationBar(operation);
    const width = Math.max(operation.blamed ? 5 : 2, bar.end - bar.x);
    if (x < bar.x - 3 || x > bar.x + width + 3 || (best && best.operation.blamed && !operation.blamed)) continue;
    const length =
      operation.complete_ns === null ? 'no answer' : `took ${duration(operation.complete_ns - operation.invoke_ns)}`;
    best = {
      operation,
      at: operation.invoke_ns,
      title: `${called(operation)} · ${operation.outcome}`,
      text: [operation.text, positions(operation), `${clock(operation.invoke_ns)} s, ${length}`]
        .filter(Boolean)
        .join('\n'),
    };
  }
  return best;
}

function hitMark(node, x, y) {
  if (y > sheet.nodes[node].y + 13) return null;
  const near = visibleMarks().filter((mark) => mark.node === node && Math.abs(xOf(mark.at) - x) < 6);
  if (!near.length) return null;
  const shown = near.slice(0, 6).map((mark) => describe(mark.event));
  if (near.length > 6) shown.push(`and ${near.length - 6} more`);
  return { at: near[0].at, i: near[0].i, title: `${clock(near[0].at)} s`, text: shown.join('\n') };
}

function hitStretch(node, x) {
  const t = timeOf(x);
  const stretch = stretches[node].find((s) => s.at <= t && t < s.end);
  if (!stretch) return null;
  const term = stretch.up ? ` in term ${stretch.term}` : '';
  return {
    title: `n${node} ${standing(stretch)}${term}`,
    text: `from ${clock(stretch.at)} s, for ${duration(stretch.end - stretch.at)}`,
  };
}

function hitFault(x, y) {
  const row = Math.floor((y - sheet.faults) / FAULT);
  const fault = faults.find((f) => f.row === row && xOf(f.at) - 2 <= x && x <= xOf(f.until) + 2);
  if (!fault) return null;
  const [, kind, text] = faultLine(fault);
  return { title: kind, text: `${text}\n${clock(fault.at)} s, for ${duration(fault.until - fault.at)}` };
}

function showTip(hit, event) {
  const tip = element('tip');
  tip.hidden = !hit;
  if (!hit) return;
  tip.replaceChildren(make('b', '', hit.title), make('span', '', hit.text));
  const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
  const below = event.clientY + 18;
  tip.style.left = `${left}px`;
  tip.style.top = `${below + tip.offsetHeight < innerHeight ? below : event.clientY - tip.offsetHeight - 12}px`;
}

// Pointer and wheel. The upper strip scrubs; below it a drag moves the window and a click sets the cursor.

function listenToPointer() {
  let drag = null;
  over.addEventListener('pointerdown', (event) => {
    over.setPointerCapture(event.pointerId);
    settle();
    over.focus({ preventScroll: true });
    const onCursor = Math.abs(event.offsetX - xOf(cursor.t)) < 5;
    drag = {
      x: event.clientX,
      y: event.clientY,
      start: view.start,
      moved: false,
      scrubs: event.offsetY - sheet.scroll < AXIS + PHASES || event.shiftKey || onCursor,
    };
    drag.scroll = element('stage').scrollTop;
    if (drag.scrubs && !onCursor) scrub(event);
  });
  over.addEventListener('pointermove', (event) => {
    if (!drag) return hover(event);
    drag.moved ||= Math.abs(event.clientX - drag.x) > 3 || Math.abs(event.clientY - drag.y) > 3;
    if (drag.scrubs) return scrub(event);
    if (drag.moved) pan(event);
  });
  const pan = (event) => {
    const start = drag.start - ((event.clientX - drag.x) / sheet.plot) * (view.end - view.start);
    show(start, start + view.end - view.start);
    element('stage').scrollTop = drag.scroll - (event.clientY - drag.y);
    over.style.cursor = 'grabbing';
    leave();
    refresh(true);
  };
  over.addEventListener('pointerup', (event) => {
    if (drag && !drag.moved && !drag.scrubs) click(event);
    drag = null;
    over.style.cursor = '';
  });
  over.addEventListener('pointercancel', () => {
    drag = null;
  });
  over.addEventListener('pointerleave', leave);
  over.addEventListener('dblclick', (event) => {
    const hit = hitAt(event.offsetX, event.offsetY);
    if (hit?.operation) jumpToOperation(hit.operation);
  });
  over.addEventListener('wheel', wheel, { passive: false });
}

function scrub(event) {
  setCursor(timeOf(Math.max(GUTTER, Math.min(sheet.width, event.offsetX))));
  refresh();
}

function hover(event) {
  hovered = hitAt(event.offsetX, event.offsetY);
  showTip(hovered, event);
  over.style.cursor =
    event.offsetY - sheet.scroll < AXIS + PHASES || Math.abs(event.offsetX - xOf(cursor.t)) < 5
      ? 'ew-resize'
      : hovered
        ? 'pointer'
        : '';
  refresh();
}

function leave() {
  hovered = null;
  showTip(null);
  refresh();
}

function click(event) {
  const hit = hitAt(event.offsetX, event.offsetY);
  if (hit?.at !== undefined) setCursor(hit.at, hit.i);
  else setCursor(timeOf(event.offsetX));
  refresh();
}

function wheel(event) {
  event.preventDefault();
  settle();
  leave();
  const lines = event.deltaMode === 1 ? 16 : 1;
  const [dx, dy] = event.shiftKey ? [event.deltaY * lines, 0] : [event.deltaX * lines, event.deltaY * lines];
  if (Math.abs(dx) > Math.abs(dy)) {
    const by = (dx / sheet.plot) * (view.end - view.start);
    show(view.start + by, view.end + by);
  } else zoom(Math.exp(Math.max(-200, Math.min(200, dy)) * 0.003), timeOf(Math.max(GUTTER, event.offsetX)));
  refresh(true);
}

// Keys.

const zoomKey = (factor) => {
  const inside = cursor.t >= view.start && cursor.t <= view.end;
  const before = { ...view };
  zoom(factor, inside ? cursor.t : (view.start + view.end) / 2);
  const { start, end } = view;
  Object.assign(view, before);
  glide(start, end);
};
const panKey = (share) =>
  glide(view.start + share * (view.end - view.start), view.end + share * (view.end - view.start));

/** Each key: what it does, and how the help tells it. Keys without a text share that of the one before. */
const KEYS = [
  ['ArrowLeft', '←', 'previous event', (e) => step(-1, e.shiftKey ? notable : undefined)],
  ['ArrowRight', '→', 'next event', (e) => step(1, e.shiftKey ? notable : undefined)],
  [null, 'Shift ← →', 'previous or next event that is not a message or a log position', null],
  ['+', '+', 'zoom in', () => zoomKey(0.5)],
  ['=', null, null, () => zoomKey(0.5)],
  ['-', '−', 'zoom out', () => zoomKey(2)],
  ['0', '0', 'the whole run', () => glide(0, END)],
  ['PageUp', 'Page up', 'earlier', () => panKey(-0.5)],
  ['PageDown', 'Page down', 'later', () => panKey(0.5)],
  ['Home', 'Home', 'first event', () => jump(0)],
  ['End', 'End', 'last event', () => jump(END)],
  ['d', 'd', 'the decisive moment', toDecisive],
  ['v', 'v', 'the moment at which the violation was found', toViolation],
  ['b', 'b', 'next operation to blame', toBlame],
  ['m', 'm', 'messages', () => element('messages').click()],
  ['/', '/', 'search', () => element('query').focus()],
  ['?', '?', 'this help', () => showKeys()],
];

const MOUSE = [
  ['Wheel', 'zoom about the pointer'],
  ['Shift wheel', 'earlier and later'],
  ['Drag', 'move the window'],
  ['Drag the time line', 'scrub; so does Shift drag anywhere'],
  ['Click', 'set the cursor to what is there'],
  ['Double click', 'show an operation whole'],
];

function showKeys() {
  const table = (rows) =>
    make(
      'table',
      '',
      make(
        'tbody',
        '',
        ...rows.map(([key, text]) => make('tr', '', make('th', '', make('kbd', '', key)), make('td', '', text))),
      ),
    );
  const close = make('button', '', 'Close');
  close.addEventListener('click', () => element('keys').close());
  element('keys').replaceChildren(
    make('h2', '', 'Keys and pointer'),
    make('div', 'tables', table(KEYS.filter(([, key]) => key).map(([, key, text]) => [key, text])), table(MOUSE)),
    close,
  );
  element('keys').showModal();
}

function listenToKeys() {
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || element('keys').open) return;
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const found = KEYS.find(([key, , , act]) => act && key === event.key);
    if (!found) return;
    event.preventDefault();
    settle();
    found[3](event);
  });
}

// The buttons and filters.

function listenToTools() {
  const press = (id, act) => element(id).addEventListener('click', act);
  press('closer', () => zoomKey(0.5));
  press('farther', () => zoomKey(2));
  press('whole', () => glide(0, END));
  press('blame', toBlame);
  press('decide', toDecisive);
  press('violation', toViolation);
  press('help', showKeys);
  press('previous', (event) => step(-1, event.shiftKey ? notable : undefined));
  press('next', (event) => step(1, event.shiftKey ? notable : undefined));
  press('messages', () => setMessages(!traffic.on));
  element('violation').hidden = run.passed;
  element('decide').hidden = !run.decisive;
  element('blame').hidden = !blamed.length;
  element('messages').disabled = !messages.length;
}

function setMessages(on) {
  traffic.on = on;
  element('messages').setAttribute('aria-pressed', String(on));
  element('filters').hidden = !on;
  resize();
}

function fillFilters() {
  for (const kind of kinds) {
    const chip = make('button', 'chip', make('i', `kind-${kinds.indexOf(kind) % 7}`), kind);
    chip.type = 'button';
    chip.setAttribute('aria-pressed', 'true');
    chip.addEventListener('click', () => {
      const on = !traffic.kinds.delete(kind);
      if (on) traffic.kinds.add(kind);
      chip.setAttribute('aria-pressed', String(on));
      refresh(true);
    });
    element('kinds').append(chip);
  }
  for (const id of ['from', 'to']) {
    const places = ['', ...nodes.map((n) => `n${n}`), ...clients.map((c) => `c${c}`)];
    element(id).append(...places.map((place) => new Option(place || 'any', place)));
    element(id).addEventListener('change', () => {
      traffic[id] = element(id).value;
      refresh(true);
    });
  }
  for (const id of ['both', 'undelivered']) {
    element(id).addEventListener('change', () => {
      traffic[id] = element(id).checked;
      refresh(true);
    });
  }
}

const LEGEND = [
  ['bar leader', 'leader'],
  ['bar follower', 'follower'],
  ['bar candidate', 'candidate'],
  ['bar pre-candidate', 'pre-candidate'],
  ['bar recovering', 'recovering'],
  ['bar paused', 'paused'],
  ['bar down', 'down'],
  ['bar cut', 'partition'],
  ['bar fault', ''],
  ['mark strike', 'fault'],
  ['mark starts', 'starts'],
  ['mark stops', 'stops'],
  ['mark disk', 'disk'],
  ['mark probe', 'probe'],
  ['mark wrong', 'decided wrongly'],
  ['bar ok', 'ok'],
  ['bar failed', 'failed'],
  ['bar unknown', 'unknown'],
  ['bar bad', 'to blame'],
];

// Size and colours.

function resize() {
  const stage = element('stage');
  const height = arrange(stage.clientWidth, stage.clientHeight);
  // In a tall window the lanes take what they can use, and what is read has the rest.
  const rest = element('time').offsetHeight - stage.offsetHeight;
  document.body.style.setProperty('--time-most', `${mostHeight() + rest}px`);
  element('sheet').style.height = `${height}px`;
  fitPanel();
  drawMapPicture();
  panelStale = true;
  refresh(true);
}

function recolour() {
  readColours();
  drawMapPicture();
  panelStale = true;
  refresh(true);
}

/** Goes where the address says: `#t=NANOSECONDS` or `#event=NUMBER`. Returns whether it says so. */
function followAddress() {
  const address = new URLSearchParams(location.hash.slice(1));
  const number = (name) => (/^\d+$/.test(address.get(name) ?? '') ? Number(address.get(name)) : null);
  if (number('event') !== null) {
    const i = eventIndex(number('event'));
    jump(events[i]?.at_ns ?? 0, { i });
    return true;
  }
  if (number('t') === null) return false;
  jump(clampTime(number('t')));
  return true;
}

/** Where the page was opened: the address changes with the cursor. */
const opened = { t: 0 };

/** Looks at the moment that matters most. */
function open() {
  const gliding = glides;
  glides = false;
  if (run.decisive) toDecisive();
  else setCursor(run.passed ? END : run.found_ns);
  followAddress();
  glides = gliding;
  opened.t = cursor.t;
}

fillHead();
fillEvidence();
fillStory();
fillTabs();
fillFilters();
element('legend').append(
  ...LEGEND.filter(([, text]) => blamed.length || (text !== 'to blame' && text !== 'decided wrongly')).map(([name, text]) =>
    make('li', '', make('i', name), text),
  ),
);
listenToTools();
listenToPointer();
listenToMap();
listenToKeys();
listenToSearch();
element('stage').addEventListener('scroll', () => {
  sheet.scroll = element('stage').scrollTop;
  refresh(true);
});
readColours();
arrange(element('stage').clientWidth, element('stage').clientHeight);
resize();
open();
paint();
new ResizeObserver(resize).observe(element('stage'));
new ResizeObserver(resize).observe(element('panel'));
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', recolour);
addEventListener('hashchange', followAddress);
