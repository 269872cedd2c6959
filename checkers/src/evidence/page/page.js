// The page itself: frames, pointer, keys and filters.

let asked = false;
let lastDrawn = 0;

/** Asks for a frame. */
function refresh() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    paint();
  });
}

function paint() {
  lastDrawn = drawScene();
  const filtered = passed < COUNT ? `${grouped(passed)} of ` : '';
  write(element('span'), `${filtered}${grouped(COUNT)} ${isObjects ? 'operations' : 'transactions'}`);
}

function refilter() {
  filter();
  refresh();
}

function fillSelect(id, names, set) {
  const select = element(id);
  select.parentElement.hidden = names.length < 2;
  const places = names.map((_, at) => at).sort((a, b) => names[a].localeCompare(names[b], 'en', { numeric: true }));
  const options = document.createDocumentFragment();
  for (const at of places) {
    const option = make('option', names[at]);
    option.value = at;
    options.append(option);
  }
  select.append(options);
  select.addEventListener('change', () => {
    set(select.value === '' ? -1 : Number(select.value));
    stage.scrollTop = 0;
    refilter();
  });
}

fillSelect('client', clients, (at) => { state.client = at; });
fillSelect('key', keys, (at) => { state.key = at; });
element('query').addEventListener('input', () => {
  state.query = element('query').value.trim().toLowerCase();
  refilter();
});
element('query').addEventListener('keydown', (event) => {
  if (event.key !== 'Enter') return;
  const next = (from) => { for (let i = from; i < COUNT; i += 1) if (passing[i]) return i; return -1; };
  const found = next(state.chosen + 1);
  choose(found >= 0 ? found : next(0));
});
element('only').addEventListener('change', () => {
  state.only = element('only').checked;
  stage.scrollTop = 0;
  refilter();
});

/** Shows what is wrong: the call that cannot be explained, or the next anomaly, or the next contradiction of positions. */
function blame() {
  if (stuck !== null) {
    const near = data.core.length > 1 ? data.core : orders[state.order].slice(-6);
    focusOn([stuck, ...near.filter((i) => bars.end[i] !== null)]);
    choose(stuck, true);
  } else if (anomalies.length) {
    chooseAnomaly((state.anomaly + 1) % anomalies.length);
  } else if (contradictions.length) {
    chooseContradiction((state.contradiction + 1) % contradictions.length);
  }
}

element('closer').addEventListener('click', () => zoom(0.5));
element('farther').addEventListener('click', () => zoom(2));
element('whole').addEventListener('click', () => show(0, END));
element('blame').addEventListener('click', blame);
element('blame').hidden = stuck === null && !anomalies.length && !contradictions.length;
element('back').addEventListener('click', () => step(state.step - 1));
element('forth').addEventListener('click', () => step(state.step + 1));
element('last').addEventListener('click', () => step(Infinity));
stage.addEventListener('scroll', refresh, { passive: true });
addEventListener('resize', () => { resize(); refresh(); });
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { readColours(); refresh(); });

// The pointer: a bar under it tells what it is, a click chooses it, dragging moves, the wheel with a key zooms.

const tip = element('tip');
let drag = null;
scene.addEventListener('pointerdown', (event) => {
  drag = { x: event.clientX, start: view.start, end: view.end, moved: false };
});
addEventListener('pointerup', () => { drag = null; });
scene.addEventListener('pointermove', (event) => {
  if (drag && event.buttons) {
    const by = (event.clientX - drag.x) / perTime();
    drag.moved ||= Math.abs(event.clientX - drag.x) > 3;
    if (drag.moved) show(drag.start - by, drag.end - by);
  }
  const i = barAt(event.offsetX, event.offsetY);
  tip.hidden = i < 0 || Boolean(drag?.moved);
  if (i < 0) return;
  tip.replaceChildren(make('b', bars.name[i]), bars.text[i]);
  tip.style.left = `${Math.min(event.clientX + 14, innerWidth - 430)}px`;
  tip.style.top = `${Math.min(event.clientY + 16, innerHeight - 80)}px`;
});
scene.addEventListener('pointerleave', () => { tip.hidden = true; });
scene.addEventListener('click', (event) => {
  if (!drag?.moved) choose(barAt(event.offsetX, event.offsetY));
});
scene.addEventListener('wheel', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) {
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.25 : 0.8, timeOf(event.offsetX));
  } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    event.preventDefault();
    const by = ((event.deltaX || event.deltaY) / view.width) * (view.end - view.start);
    show(view.start + by, view.end + by);
  }
}, { passive: false });

// Keys.

const KEYS = {
  'ArrowRight, ArrowLeft': 'next and previous of the client',
  'ArrowDown, ArrowUp': 'next and previous client',
  'n, p': 'step through the order of effects',
  'e': 'to the end of the order',
  '+, -, 0': 'zoom in, out, show everything',
  'b': 'what is wrong',
  '/': 'find',
  'Escape': 'choose nothing',
};

/** Goes from the chosen bar to one beside it. */
function move(along, across) {
  if (!shownLanes.length) return;
  if (state.chosen < 0) {
    choose(lanes[shownLanes[0]].find((i) => passing[i]) ?? -1);
    return;
  }
  const row = shownLanes.indexOf(bars.client[state.chosen]);
  if (across) {
    const lane = lanes[shownLanes[Math.min(Math.max(row + across, 0), shownLanes.length - 1)]];
    const at = firstWhere(lane.length, (k) => endOf(lane[k]) >= bars.start[state.chosen]);
    choose(lane[Math.min(at, lane.length - 1)]);
    return;
  }
  const lane = lanes[bars.client[state.chosen]];
  let at = lane.indexOf(state.chosen) + along;
  while (at >= 0 && at < lane.length && !passing[lane[at]]) at += along;
  if (at >= 0 && at < lane.length) choose(lane[at]);
}

document.body.addEventListener('keydown', (event) => {
  if (event.target.matches('input, select') || event.ctrlKey || event.metaKey || event.altKey) return;
  const act = {
    ArrowRight: () => move(1, 0), ArrowLeft: () => move(-1, 0), ArrowDown: () => move(0, 1), ArrowUp: () => move(0, -1),
    n: () => step(state.step + 1), p: () => step(state.step - 1), e: () => step(Infinity),
    '+': () => zoom(0.5), '=': () => zoom(0.5), '-': () => zoom(2), 0: () => show(0, END),
    b: blame, '/': () => element('query').focus(), '?': () => element('keys').showModal(), Escape: () => choose(-1),
  }[event.key];
  if (!act || (event.key.startsWith('Arrow') && event.target !== scene && event.target !== document.body)) return;
  event.preventDefault();
  act();
});
const keyTable = make('table');
for (const [key, text] of Object.entries(KEYS)) {
  const row = make('tr');
  row.append(make('td', key), make('td', text));
  keyTable.append(row);
}
element('keys').append(keyTable);
element('keys').addEventListener('click', () => element('keys').close());
element('help').addEventListener('click', () => element('keys').showModal());

// At first.

readColours();
drawHead();
drawLevels();
drawPositions();
drawStory();
drawLegend();
placePoints();
filter();
resize();
if (stuck !== null || anomalies.length || contradictions.length) blame();
else {
  // Of a long history the beginning says more than a grey whole.
  if (COUNT > 400) show(0, END / (COUNT / 200));
  drawOrder();
}
paint();
const readyAfter = performance.now() - began;
