// The run as the page sees it: the report, and what follows from it. Nothing here draws.

const run = JSON.parse(document.getElementById('data').textContent);

// Events come in order; one that was recorded late (a message, once its fate was known) is put where it belongs.
const events = run.events.sort((a, b) => a.at_ns - b.at_ns || a.n - b.n);
const operations = run.operations.sort((a, b) => a.invoke_ns - b.invoke_ns || a.id - b.id);
const nodes = Array.from({ length: run.nodes }, (_, i) => i + 1);

/** How many of a sorted list are at or below `x`. */
function upTo(list, x, key) {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (key(list[middle]) <= x) low = middle + 1;
    else high = middle;
  }
  return low;
}

const atNs = (event) => event.at_ns;

/** The end of the run: no bar reaches beyond it. */
const END = [events, operations].reduce(
  (end, list) => list.reduce((e, x) => Math.max(e, x.at_ns ?? x.complete_ns ?? x.invoke_ns), end),
  Math.max(run.end_ns, run.found_ns, 1),
);

/** What a node becomes by an event, or nothing if that does not change it. */
function change(event) {
  switch (event.what) {
    case 'starts':
      return { up: true, paused: false, role: 'recovering', life: event.life };
    case 'stops':
      return { up: false, paused: false, role: 'down' };
    case 'role':
      return { role: event.role, term: event.term };
    case 'log':
      return { last: event.last, commit: event.commit, applied: event.applied, term: event.term };
    case 'pauses':
      return { paused: true };
    case 'resumes':
      return { paused: false };
    default:
      return null;
  }
}

/** For each node, its states: each holds from event `i` on. The first holds before all events. */
const states = [
  null,
  ...nodes.map((node) => {
    let state = {
      i: -1,
      at: 0,
      up: false,
      paused: false,
      role: 'down',
      term: 0,
      last: 0,
      commit: 0,
      applied: 0,
      life: 0,
    };
    const list = [state];
    events.forEach((event, i) => {
      const changed = event.node === node && change(event);
      if (!changed) return;
      state = { ...state, ...changed, i, at: event.at_ns };
      list.push(state);
    });
    return list;
  }),
];

/** The state of a node after event `i`. */
function stateAt(node, i) {
  return states[node][upTo(states[node], i, (state) => state.i) - 1];
}

/** For each node, the stretches of time in which role, term, life and pause stay the same. */
const stretches = [
  null,
  ...nodes.map((node) => {
    const list = [];
    for (const { at, up, paused, role, term, life } of states[node]) {
      const open = list.at(-1);
      if (
        open &&
        open.up === up &&
        open.paused === paused &&
        open.role === role &&
        open.term === term &&
        open.life === life
      )
        continue;
      if (open) open.end = at;
      list.push({ at, end: END, up, paused, role, term, life });
    }
    // States that last no time at all were never to be seen.
    return list.filter(({ at, end }) => end > at);
  }),
];

/** How far the log is committed anywhere, as it grows: what a node is measured by that has fallen behind. */
const frontier = (() => {
  const list = [{ at: 0, commit: 0 }];
  for (const event of events) {
    if (event.what === 'log' && event.commit > list.at(-1).commit) list.push({ at: event.at_ns, commit: event.commit });
  }
  return list;
})();

/** The faults, each in the first free row of those below one another. */
const faults = (() => {
  const ends = [];
  return events.flatMap((event, i) => {
    if (event.what !== 'fault') return [];
    const until = Math.max(event.at_ns, event.until_ns ?? END);
    const fault = {
      i,
      event,
      at: event.at_ns,
      until,
      kind: event.kind,
      text: event.text,
      nodes: event.nodes,
      cut: event.cut,
      row: -1,
    };
    if (until > fault.at) {
      const free = ends.findIndex((end) => end <= fault.at);
      // More than six at a time share the last row: the panel lists them all.
      fault.row = free >= 0 ? free : Math.min(ends.length, 5);
      ends[fault.row] = Math.max(until, ends[fault.row] ?? 0);
    }
    return [fault];
  });
})();
const faultRows = faults.reduce((rows, fault) => Math.max(rows, fault.row + 1), 0);

/** The faults that are at work after event `i`, at time `t`. */
const faultsAt = (t, i) => faults.filter((f) => f.i <= i && (f.until > t || f.at === t));

/** Where a fault strikes, without direction: pairs of places, and whether both ways are cut. */
function cutPairs(cut) {
  const pairs = new Map();
  for (const [from, to] of cut) {
    const back = pairs.get(`${to} ${from}`);
    if (back) back.both = true;
    else if (!pairs.has(`${from} ${to}`)) pairs.set(`${from} ${to}`, { from, to, both: false });
  }
  return [...pairs.values()];
}
for (const fault of faults) fault.pairs = cutPairs(fault.cut);

/** The messages, with their place among themselves, and the longest time that one was under way. */
const messages = events.filter((event) => event.what === 'message').map((event, order) => ({ order, ...event }));
const longest = messages.reduce((most, m) => Math.max(most, (m.arrives_ns ?? m.at_ns) - m.at_ns), 0);
const kinds = [...new Set(messages.map((m) => m.kind))].sort();

/** The messages that are sent before `end` and may be under way after `start`. */
function messagesBetween(start, end) {
  return messages.slice(upTo(messages, start - longest - 1, atNs), upTo(messages, end, atNs));
}

/** For each client, its operations in order; `next` is when its next one begins. */
const lanes = new Map(run.clients.map((client) => [client, []]));
for (const operation of operations) {
  if (!lanes.has(operation.client)) lanes.set(operation.client, []);
  const lane = lanes.get(operation.client);
  if (lane.length > 0) lane.at(-1).next = operation.invoke_ns;
  operation.next = END;
  lane.push(operation);
}
const clients = [...lanes.keys()];

/** Until when an operation is drawn. Without an answer it is open until the client does something else. */
const closes = (operation) => operation.complete_ns ?? Math.max(operation.next, operation.invoke_ns);
const longestOperation = operations.reduce((most, o) => Math.max(most, closes(o) - o.invoke_ns), 0);

/** The operations to blame, in the order of the cycle if there is one. */
const blamed = operations.filter((operation) => operation.blamed);
const byId = new Map(operations.map((operation) => [operation.id, operation]));

/** The operations that are waiting for their answer at a time. */
function operationsAt(t) {
  const from = upTo(operations, t - longestOperation - 1, (o) => o.invoke_ns);
  const to = upTo(operations, t, (o) => o.invoke_ns);
  return operations.slice(from, to).filter((o) => closes(o) > t || o.invoke_ns === t);
}

/** The place among the events of event number `n`, or of the last one before it. */
function eventIndex(n) {
  return events.findLastIndex((event) => event.n <= n);
}

/** Events that are worth stopping at when messages and what is usual in the log are passed over. */
const notable = (event) => !['message', 'log', 'entry'].includes(event.what) && (event.what !== 'applies' || event.wrong);

/** For each index of the log, in order: the entries that stood there, and what applying them came to, as it becomes known. */
const entries = (() => {
  const list = new Map();
  const at = (index) => {
    if (!list.has(index)) list.set(index, { stored: [], rulings: [] });
    return list.get(index);
  };
  events.forEach((event, i) => {
    if (event.what === 'entry') at(event.index).stored.push({ i, event });
    if (event.what === 'applies') at(event.index).rulings.push({ i, event });
  });
  return list;
})();
const indexes = [...entries.keys()].sort((a, b) => a - b);

/** The last `count` entries that are in a log after event `i`, the newest first: what each is, and what it came to. */
function entriesAt(i, count) {
  const known = (list) => upTo(list, i, (item) => item.i);
  // A node's log is told of after what it does with it.
  const last = nodes.reduce((most, node) => Math.max(most, stateAt(node, i).last), events[i]?.index ?? 0);
  const found = [];
  for (let k = upTo(indexes, last, (index) => index) - 1; k >= 0 && found.length < count; k -= 1) {
    const { stored, rulings } = entries.get(indexes[k]);
    const entry = stored[known(stored) - 1];
    const ruled = rulings.slice(0, known(rulings));
    if (!entry && !ruled.length) continue;
    const wrong = ruled.find(({ event }) => event.wrong);
    const applied = [...new Set(ruled.map(({ event }) => event.node))].sort();
    found.push({ index: indexes[k], entry, ruling: wrong ?? ruled[0], applied });
  }
  return found;
}

/** An event in words, without its time. */
function describe(event) {
  const node = event.node ? `n${event.node}` : 'cluster';
  switch (event.what) {
    case 'message': {
      const term = event.term === null ? '' : ` (term ${event.term})`;
      const fate = event.fate === 'delivered' ? '' : `, ${event.fate}`;
      return `${event.from} → ${event.to} ${event.kind}${term}${event.text ? `: ${event.text}` : ''}${fate}`;
    }
    case 'starts':
      return `${node} starts${event.life > 1 ? `, life ${event.life}` : ''}`;
    case 'stops':
      return `${node} stops: ${event.why}`;
    case 'role':
      return `${node} is ${event.role} in term ${event.term}`;
    case 'log':
      return `${node} log: last ${event.last}, commit ${event.commit}, applied ${event.applied}`;
    case 'entry':
      return `${node} has entry ${event.index} first: ${event.text}`;
    case 'applies':
      return `${node} applies entry ${event.index}, ${event.entry}: ${event.ruling}`;
    case 'pauses':
      return `${node} is paused`;
    case 'resumes':
      return `${node} resumes`;
    case 'fault':
      return `${event.kind}${event.text ? `: ${event.text}` : ''}`;
    case 'disk':
      return `${node} disk: ${event.text}`;
    case 'probe':
      return `${node} probe: ${event.name}${event.count > 1 ? `, time ${event.count}` : ''}`;
    case 'violation':
      return `violation: ${event.text}`;
    default:
      return `${event.node ? `${node}: ` : ''}${event.text}`;
  }
}

/** What an operation is called wherever it is mentioned. */
const called = (operation) => `T${operation.id} c${operation.client} ${operation.name}`;

/** Whether a text names an operation. */
const mentions = (text, id) => new RegExp(`(^|[^\\p{L}\\p{N}])T${id}(?!\\d)`, 'u').test(text);

/** Where an operation read and wrote in the log, in words. */
function positions({ snapshot, commit }) {
  const parts = [];
  if (snapshot !== null) parts.push(`read at ${snapshot}`);
  if (commit !== null) parts.push(`wrote at ${commit}`);
  return parts.join(', ');
}
