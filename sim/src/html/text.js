// What is read: the verdict, the evidence, the story, the run that passes, and the search.

const PARTS = { ' ': 'same', '-': 'here', '+': 'there' };

const capital = (words) => words.charAt(0).toUpperCase() + words.slice(1);

/** `lost-update` as a title. */
const titled = (name) => capital(name.replace(/[-_]/g, ' ').trim());

function fillHead() {
  document.body.classList.add(run.passed ? 'passed' : 'failed');
  write(element('badge'), run.passed ? 'pass' : run.class);
  write(element('title'), run.title);
  write(element('anomaly'), run.passed ? 'Nothing was found' : titled(run.anomaly || run.class));
  write(
    element('message'),
    run.message || (run.passed ? 'Every checker has judged this universe, and found nothing.' : ''),
  );
  const fact = (name, value, go) => {
    const made = make('span', go ? 'link' : '', make('i', '', name), value);
    if (go) pressable(made, go);
    element('facts').append(made, ' ');
  };
  fact('seed', run.seed);
  if (!run.passed) {
    if (run.checker) fact('found by', run.checker);
    fact(
      'at',
      `${clock(run.found_ns)} s, event ${grouped(run.found_event)}${run.found_node ? `, on n${run.found_node}` : ''}`,
      toViolation,
    );
  }
  if (run.passed) fact('length', `${clock(END, 3)} s`);
  fact('revision', run.revision);
  const decisive = element('decisive');
  decisive.hidden = !run.decisive;
  if (run.decisive) {
    const { at_ns: at, text } = run.decisive;
    decisive.append(make('b', '', `Decisive: ${clock(at)} s`), make('span', '', text));
    pressable(decisive, toDecisive);
  }
  element('replay').title = run.verdict_line;
  write(element('replay').firstElementChild, run.replay);
  element('copy').addEventListener('click', copyReplay);
}

async function copyReplay() {
  const button = element('copy');
  try {
    await navigator.clipboard.writeText(run.replay);
    write(button, 'Copied');
  } catch {
    // Without the right to the clipboard the command is selected, ready for a key.
    getSelection().selectAllChildren(element('replay').firstElementChild);
    write(button, 'Selected');
  }
  setTimeout(() => write(button, 'Copy'), 1500);
}

/** The operations to blame with what links them, then the words of the checker. */
function fillEvidence() {
  const box = element('evidence');
  if (run.passed && !run.evidence.length) {
    box.append(make('h2', '', 'What was drawn'), drawnTable());
    return;
  }
  if (blamed.length) {
    box.append(
      make(
        'h2',
        '',
        run.cycle.length ? 'The cycle' : blamed.length > 1 ? 'Operations to blame' : 'The operation to blame',
      ),
    );
    const list = make('ol', 'blamed');
    for (const operation of inCycle()) {
      list.append(blamedLine(operation));
      for (const edge of run.cycle.filter((e) => e.from === operation.id)) {
        const to = byId.get(edge.to);
        list.append(make('li', 'edge', `↳ ${edge.why} → T${edge.to}${to ? ` c${to.client}` : ''}`));
      }
    }
    box.append(list);
  }
  if (run.evidence.length) {
    const lines = make('pre', 'lines', run.evidence.join('\n'));
    box.append(make('h2', '', 'Evidence'), lines);
  }
}

function blamedLine(operation) {
  const times = `${clock(operation.invoke_ns, 3)}${operation.complete_ns === null ? ' s …' : `–${clock(operation.complete_ns, 3)} s`}`;
  const line = make(
    'li',
    'link',
    make('b', '', called(operation)),
    make('em', operation.outcome, operation.outcome),
    make('span', 'when', times),
    make('span', 'what', operation.text),
    make('span', 'where', positions(operation)),
    make('span', 'why', operation.why),
  );
  return pressable(line, () => jumpToOperation(operation));
}

/** The operations to blame, along the cycle as far as it goes. */
function inCycle() {
  const order = [];
  let id = run.cycle[0]?.from;
  while (id !== undefined && !order.includes(id)) {
    order.push(id);
    id = run.cycle.find((edge) => edge.from === id)?.to;
  }
  const first = order.map((x) => byId.get(x)).filter((o) => o?.blamed);
  // Then what the rule names first and what was decided wrongly, then what wrote the values in question.
  const rank = (o) => (mentions(run.message, o.id) || /entry \d+:/.test(o.why) ? 0 : o.why.startsWith('it wrote') ? 1 : 2);
  return [...first, ...blamed.filter((o) => !order.includes(o.id)).sort((a, b) => rank(a) - rank(b))];
}

// The story.

let sentences = [];

function fillStory() {
  const list = make('ol', 'story');
  sentences = run.story.map((sentence) => {
    const mark = sentence.blamed || (!run.passed && sentence.event === run.found_event);
    const line = make(
      'li',
      mark ? 'bad' : '',
      make('b', '', clock(sentence.at_ns, 3)),
      make('span', '', sentence.text),
    );
    list.append(pressable(line, () => jump(sentence.at_ns, { i: sentenceIndex(sentence) })));
    return line;
  });
  // Within the story the arrows lead from line to line.
  list.addEventListener('keydown', (event) => {
    const by = { ArrowDown: 'nextElementSibling', ArrowUp: 'previousElementSibling' }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    event.target[by]?.focus();
  });
  if (!sentences.length)
    list.append(make('li', 'empty', make('b', ''), make('span', '', 'Nothing was told of this run.')));
  element('read').prepend(make('section', 'column', make('h2', '', 'The story'), list));
}

/** The place of the event a sentence is about, if it happened at the time that the sentence says. */
function sentenceIndex(sentence) {
  const i = eventIndex(sentence.event);
  return events[i]?.at_ns === sentence.at_ns ? i : undefined;
}

/** Marks the last sentence that is true by now, and keeps it in sight. */
function followStory() {
  // Of sentences at one time, those of later events are not yet true; one that the cursor has no event for is.
  const n = events[cursor.i]?.at_ns === cursor.t ? events[cursor.i].n : Infinity;
  let k = upTo(run.story, cursor.t, atNs) - 1;
  while (k > 0 && run.story[k].at_ns === cursor.t && run.story[k].event > n) k -= 1;
  sentences.forEach((line, n) => {
    line.classList.toggle('here', n === k);
    line.classList.toggle('later', n > k);
  });
  const line = sentences[k];
  if (!line) return;
  const list = line.parentElement;
  const top = line.offsetTop;
  if (top < list.scrollTop || top + line.offsetHeight > list.scrollTop + list.clientHeight) {
    list.scrollTop = top - list.clientHeight / 2;
  }
}

// The run that passes, and what was drawn: two tabs.

function drawnTable() {
  const rows = run.drawn.map(([name, text]) => make('tr', '', make('th', '', name), make('td', '', text)));
  return make('table', 'drawn', make('tbody', '', ...rows));
}

function comparison() {
  const { what, lines, fates, passed_over: over, first_difference_event: n, first_difference_ns: at } = run.passing;
  const go = make('button', 'textual', `event ${grouped(n)} at ${clock(at)} s`);
  go.type = 'button';
  go.addEventListener('click', () => jump(at, { i: sentenceIndex({ event: n, at_ns: at }) }));
  const before = over ? ` after ${grouped(over)} difference${over > 1 ? 's' : ''} of less consequence` : '';
  const intro = make('p', '', `${capital(what)} passes. What matters first differs at `, go, `${before}.`);
  const table = make(
    'table',
    'fates',
    ...fates.map(({ operation, here, there }) =>
      make(
        'tbody',
        '',
        make('tr', 'here', make('th', '', `T${operation} here`), make('td', '', here)),
        make('tr', 'there', make('th', '', 'there'), make('td', '', there)),
      ),
    ),
  );
  const diff = make(
    'div',
    'diff',
    ...lines.map(([sign, text]) =>
      make('div', PARTS[sign] ?? 'same', make('i', '', sign.slice(0, 1)), make('span', '', text)),
    ),
  );
  const legend = make(
    'p',
    'signs',
    make('span', 'here', '− only in this run'),
    make('span', 'there', '+ only in the run that passes'),
  );
  return make('div', '', intro, ...(fates.length ? [table] : []), diff, legend);
}

function fillTabs() {
  const tabs = [];
  if (run.passing) tabs.push(['The nearest run that passes', comparison()]);
  if (!run.passed || run.evidence.length) tabs.push(['What was drawn', drawnTable()]);
  const column = make('section', 'column tabs');
  const bar = element('tabs');
  const pages = element('pages');
  element('read').classList.toggle('single', tabs.length === 0);
  tabs.forEach(([name, page], k) => {
    const tab = make('button', '', name);
    tab.type = 'button';
    tab.setAttribute('role', 'tab');
    const choose = () =>
      [...bar.children].forEach((other, n) => {
        other.setAttribute('aria-selected', String(n === k));
        pages.children[n].hidden = n !== k;
      });
    tab.addEventListener('click', choose);
    bar.append(tab);
    pages.append(page);
    page.hidden = k > 0;
    tab.setAttribute('aria-selected', String(k === 0));
  });
  column.append(bar, pages);
  if (tabs.length) element('read').append(column);
}

// Search.

/** All that can be found: group, time, text, what it is in small letters, and where a click goes. Made at the first search. */
let index = null;

function searchable() {
  const entry = (group, at, text, go) => ({ group, at, text, small: text.toLowerCase(), go });
  index ??= [
    ...run.story.map((s) => entry('Story', s.at_ns, s.text, () => jump(s.at_ns, { i: sentenceIndex(s) }))),
    ...operations.map((o) =>
      entry('Operations', o.invoke_ns, `${called(o)} ${o.outcome} ${o.text} ${positions(o)}`, () => jumpToOperation(o)),
    ),
    ...events.map((e, i) => entry('Events', e.at_ns, describe(e), () => jump(e.at_ns, { i }))),
  ];
  return index;
}

/** The finds for a query: all of its words are in the text. A number alone is an event's, too. */
function find(query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  const found = searchable().filter(({ small }) => words.every((word) => small.includes(word)));
  const number = /^#?\d+$/.test(query.trim()) ? Number(query.trim().replace('#', '')) : null;
  const i = number === null ? -1 : eventIndex(number);
  if (events[i]?.n !== number) return found;
  const text = `event ${grouped(number)}: ${describe(events[i])}`;
  return [{ group: 'Event', at: events[i].at_ns, text, go: () => jump(events[i].at_ns, { i }) }, ...found];
}

const MOST_FOUND = 40;
let chosen = -1;

function showFound() {
  const results = element('results');
  const found = find(element('query').value);
  results.replaceChildren();
  results.hidden = !element('query').value.trim();
  chosen = -1;
  if (!found.length) results.append(make('p', 'empty', 'Nothing found.'));
  for (const group of [...new Set(found.map((entry) => entry.group))]) {
    const members = found.filter((entry) => entry.group === group);
    const more = members.length > MOST_FOUND ? `, the first ${MOST_FOUND} shown` : '';
    results.append(make('h3', '', `${group} (${grouped(members.length)}${more})`));
    for (const { at, text, go } of members.slice(0, MOST_FOUND)) {
      const line = make('div', 'found', make('b', '', clock(at)), make('span', '', text));
      line.addEventListener('mousedown', (event) => event.preventDefault());
      line.addEventListener('click', () => {
        go();
        results.hidden = true;
      });
      results.append(line);
    }
  }
}

function listenToSearch() {
  const query = element('query');
  const results = element('results');
  query.addEventListener('input', showFound);
  query.addEventListener('focus', showFound);
  query.addEventListener('blur', () => {
    results.hidden = true;
  });
  query.addEventListener('keydown', (event) => {
    const lines = [...results.querySelectorAll('.found')];
    if (event.key === 'Escape') query.blur();
    if (event.key === 'Enter') lines[Math.max(0, chosen)]?.click();
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !lines.length) return;
    event.preventDefault();
    chosen = Math.max(0, Math.min(lines.length - 1, chosen + step));
    lines.forEach((line, k) => line.classList.toggle('chosen', k === chosen));
    lines[chosen].scrollIntoView({ block: 'nearest' });
  });
}
