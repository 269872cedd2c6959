// The panel: levels, anomalies, the explanation, and what is chosen.

/** How many steps of an order are listed around the one that is taken. */
const LISTED = 9;

function drawHead() {
  document.body.classList.add(report.verdict);
  write(element('badge'), report.verdict);
  write(element('source'), report.source);
  write(element('summary'), report.summary);
  const facts = isObjects
    ? [count(report.clients, 'client'), report.keys ? count(report.keys, 'key') : '', `${grouped(report.unknown)} of unknown outcome`, `${count(report.explored, 'configuration')} explored`]
    : [count(report.sessions, 'session'), report.timed ? 'with times' : 'without times', report.anomalies.length ? (report.anomalies.length === 1 ? '1 anomaly' : `${report.anomalies.length} anomalies`) : ''];
  write(element('facts'), facts.filter(Boolean).join(' · '));
}

function drawLevels() {
  if (isObjects) return;
  element('levels').hidden = false;
  const body = element('levels').querySelector('tbody');
  for (const { level, verdict, anomaly, reason } of report.levels) {
    const row = make('tr');
    row.append(make('td', level), make('td', verdict, `verdict ${verdict}`));
    const why = make('td', reason);
    if (anomaly !== undefined) {
      const button = make('button', report.anomalies[anomaly].name);
      button.type = 'button';
      button.addEventListener('click', () => chooseAnomaly(anomaly));
      why.append(button);
    }
    row.append(why);
    body.append(row);
  }
  element('found').hidden = !report.anomalies.length;
  report.anomalies.forEach((anomaly, at) => {
    const card = make('button', undefined, 'card');
    card.type = 'button';
    card.append(make('b', anomaly.name), ` ${anomaly.message}`);
    card.addEventListener('click', () => chooseAnomaly(at));
    element('anomalies').append(card);
  });
}

/** What the positions say that the database reports, level by level, and what contradicts them. */
function drawPositions() {
  const { positions = [], positions_skipped: skipped } = report;
  if (!positions.length && skipped === undefined) return;
  element('positions').hidden = false;
  if (skipped !== undefined) write(element('skipped'), `They are not judged: ${skipped}`);
  const body = element('positions').querySelector('tbody');
  for (const { level, verdict, anomaly, message } of positions) {
    const row = make('tr');
    const why = make('td', verdict === 'unknown' ? message : undefined);
    if (anomaly !== undefined) {
      const button = make('button', anomaly);
      button.type = 'button';
      button.addEventListener('click', () => chooseContradiction(contradictions.findIndex((one) => one.message === message)));
      why.append(button);
    }
    row.append(make('td', level), make('td', verdict, `verdict ${verdict}`), why);
    body.append(row);
  }
  contradictions.forEach(({ anomaly, message, evidence = [] }, at) => {
    const card = make('button', undefined, 'card');
    card.type = 'button';
    card.append(make('b', anomaly), ` ${message}`);
    const list = make('ul');
    for (const line of evidence) list.append(make('li', line));
    card.append(list);
    card.addEventListener('click', () => chooseContradiction(at));
    element('contradictions').append(card);
  });
}

/** Shows which card is pressed, of the anomalies or the contradictions. */
function press(within, at) {
  for (const id of ['anomalies', 'contradictions']) {
    [...element(id).children].forEach((card, k) => card.setAttribute('aria-pressed', String(id === within && k === at)));
  }
}

/** Shows the transactions of a contradiction of the reported positions in the timeline. */
function chooseContradiction(at) {
  state.contradiction = at;
  const { message, evidence = [] } = contradictions[at];
  parts = new Set(named([message, ...evidence].join(' ')));
  press('contradictions', at);
  element('figure').hidden = true;
  element('onlyLabel').hidden = false;
  refilter();
  resize();
  focusOn([...parts]);
}

/** Shows an anomaly: its graph, its evidence, and its transactions in the timeline. */
function chooseAnomaly(at) {
  state.anomaly = at;
  parts = new Set(anomalies[at].places);
  const { name, message, evidence, cycle, violates } = report.anomalies[at];
  press('anomalies', at);
  [...element('anomalies').children].forEach((card, k) => {
    card.querySelector('ul')?.remove();
    if (k !== at) return;
    const list = make('ul');
    const lines = evidence.length ? evidence : cycle.map((edge) => edge.reason);
    for (const line of lines) list.append(make('li', line));
    if (violates.length) list.append(make('li', `Rules out: ${violates.join(', ')}.`));
    card.append(list);
  });
  element('figure').hidden = false;
  element('caption').replaceChildren(make('b', name), message);
  const parsed = new DOMParser().parseFromString(anomalies[at].svg.replace('<svg ', '<svg xmlns="http'+'://www.w3.org/2000/svg" '), 'image/svg+xml');
  element('graph').replaceChildren(document.importNode(parsed.documentElement, true));
  for (const group of element('graph').querySelectorAll('[data-transaction]')) {
    group.addEventListener('click', () => choose(Number(group.dataset.transaction)));
  }
  element('onlyLabel').hidden = false;
  refilter();
  resize();
  focusOn([...parts]);
}

/** Shows the time of some bars, with room around them. */
function focusOn(some) {
  if (!some.length) return;
  const from = Math.min(...some.map((i) => bars.start[i]));
  const to = Math.max(...some.map((i) => bars.end[i] ?? bars.start[i] + 1));
  const room = Math.max((to - from) * 0.4, END / 400, 3);
  show(from - room, to + room);
  bringIntoView(some[0]);
}

function drawStory() {
  if (!isObjects) return;
  element('story').hidden = false;
  for (const line of data.lines) {
    const item = make('li', line);
    if (line.includes('cannot be explained') || line.startsWith('these contradict')) item.className = 'strong';
    element('lines').append(item);
  }
}

/** Chooses a bar, and shows the longest order with it. */
function choose(i, keep = false) {
  state.chosen = i;
  element('chosen').hidden = i < 0;
  if (i >= 0) {
    write(element('what'), `${bars.name[i]}: ${bars.text[i]}`);
    const outcome = { o: 'ok', f: 'did not happen', u: 'unknown' }[bars.outcome[i]];
    const times = data.timed ? `${grouped(bars.start[i])} to ${bars.end[i] === null ? 'the end: it never returned' : grouped(bars.end[i])}` : 'not known';
    const rows = [['client', clients[bars.client[i]]], ['keys', bars.keys[i].map((key) => keys[key]).join(', ') || 'none'], ['time', times], ['outcome', outcome]];
    if (i === stuck) rows.push(['verdict', 'this cannot be explained']);
    else if (orders.length && orderOf[i] < 0 && bars.outcome[i] !== 'f') rows.push(['order', 'in none that was kept']);
    element('details').querySelector('tbody').replaceChildren(
      ...rows.map(([name, text]) => {
        const row = make('tr');
        row.append(make('td', name), make('td', text));
        return row;
      }),
    );
    if (!keep && orders.length && orderOf[i] >= 0) {
      state.order = orderOf[i];
      placePoints();
      state.step = points.get(i).rank + 1;
    }
    bringIntoView(i);
  }
  drawOrder();
  refresh();
}

/** The order of effects, around the step that is taken. */
function drawOrder() {
  element('order').hidden = state.order < 0;
  if (state.order < 0) return;
  const order = orders[state.order];
  write(element('orderTitle'), stuck === null ? 'Order of effects' : `Partial order of effects ${orders.length > 1 ? `(${state.order + 1} of ${orders.length})` : ''}`);
  const rest = stuck === null ? '' : ' of the longest that have no contradiction';
  write(element('orderText'), `${grouped(state.step)} of ${grouped(order.length)} operations have taken effect${rest}.`);
  element('back').disabled = state.step === 0;
  element('forth').disabled = element('last').disabled = state.step === order.length;
  const from = Math.max(0, Math.min(state.step - 1 - LISTED, order.length - 2 * LISTED - 1));
  const items = [];
  for (let k = from; k < Math.min(order.length, from + 2 * LISTED + 1); k += 1) {
    const i = order[k];
    const item = make('li', undefined, k === state.step - 1 ? 'here' : '');
    item.append(make('span', grouped(k + 1)), make('span', `${bars.text[i]} (${clients[bars.client[i]]})`));
    item.addEventListener('click', () => step(k + 1));
    items.push(item);
  }
  element('steps').replaceChildren(...items);
}

/** Goes to a step of the shown order. */
function step(to) {
  if (state.order < 0) return;
  const order = orders[state.order];
  state.step = Math.min(Math.max(to, 0), order.length);
  if (state.step > 0) choose(order[state.step - 1], true);
  else choose(-1);
}

function drawLegend() {
  const entries = [['ok', 'ok'], ['unknown', 'unknown outcome']];
  if (bars.outcome.includes('f')) entries.push(['failed', 'did not happen']);
  if (stuck !== null) entries.push(['stuck', 'cannot be explained']);
  if (data.core.length > 1) entries.push(['part', 'contradicts it']);
  if (!isObjects && (anomalies.length || contradictions.length)) entries.push(['part', 'takes part in what is wrong']);
  if (orders.length) entries.push(['dotmark', 'takes effect']);
  element('legend').replaceChildren(
    ...entries.map(([name, text]) => {
      const item = make('li');
      item.append(make('i', undefined, name), text);
      return item;
    }),
  );
}
