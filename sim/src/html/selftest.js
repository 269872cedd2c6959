// With `#selftest` the page tries itself out, before it has finished loading, so that a headless browser has the result.

/** Counts what is asked of the canvas: a measure of a frame's work that does not depend on the machine. */
function countDrawing() {
  const count = { calls: 0 };
  const pens = CanvasRenderingContext2D.prototype;
  for (const name of ['fillRect', 'strokeRect', 'fill', 'stroke', 'fillText', 'drawImage']) {
    const original = pens[name];
    pens[name] = function counted(...given) {
      count.calls += 1;
      return original.apply(this, given);
    };
  }
  return count;
}

/** Paints, and waits until it is done: the canvas is read back and the panel laid out. Returns how long that took. */
function timed(act) {
  const began = performance.now();
  act();
  paint();
  for (const canvas of [scene, over, orrery, map]) canvas.getContext('2d').getImageData(0, 0, 1, 1);
  void element('panel').offsetHeight;
  return performance.now() - began;
}

/** The state of a node after event `i`, from the events alone: what the panel must show. */
function replayed(node, i) {
  const state = { role: 'down', paused: false, term: 0, last: 0, commit: 0, applied: 0 };
  for (const event of events.slice(0, i + 1)) {
    if (event.node !== node) continue;
    if (event.what === 'starts') Object.assign(state, { role: 'recovering', paused: false });
    if (event.what === 'stops') Object.assign(state, { role: 'down', paused: false });
    if (event.what === 'pauses' || event.what === 'resumes') state.paused = event.what === 'pauses';
    if (event.what === 'role') Object.assign(state, { role: event.role, term: event.term });
    if (event.what === 'log')
      Object.assign(state, { last: event.last, commit: event.commit, applied: event.applied, term: event.term });
  }
  return [
    state.paused ? `paused (${state.role})` : state.role,
    ...[state.term, state.last, state.commit, state.applied].map(grouped),
  ];
}

/** What must be in sight and can be reached by Tab. */
const isInSight = (line, list) => {
  const [inner, outer] = [line.getBoundingClientRect(), list.getBoundingClientRect()];
  return inner.top < outer.bottom && inner.bottom > outer.top;
};

const tests = {
  'the page opens at the decisive moment': (check) => {
    if (!run.decisive) return;
    check(opened.t === run.decisive.at_ns, `opened at ${opened.t}`);
    jump(0);
    toDecisive();
    paint();
    check(cursor.t === run.decisive.at_ns, 'the key leads there');
    check(view.start <= cursor.t && cursor.t <= view.end, 'it is in the window');
    const line = element('read').querySelector('.story .here');
    check(!run.story.length || (line && isInSight(line, line.parentElement)), 'the story is at its place');
    check(element('decisive').textContent.includes(run.decisive.text), 'it is told');
  },
  'lines can be reached and pressed by keys': (check) => {
    for (const [k, line] of sentences.entries()) check(line.tabIndex === 0, `sentence ${k}`);
    for (const line of element('evidence').querySelectorAll('.link')) check(line.tabIndex === 0, 'an operation');
    const press = (line, key) => line.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
    if (sentences.length < 2) return;
    const n = Math.floor(sentences.length / 2);
    press(sentences[n], 'Enter');
    check(cursor.t === run.story[n].at_ns, 'a sentence leads to its moment');
    sentences[0].focus();
    press(sentences[0], 'ArrowDown');
    check(document.activeElement === sentences[1], 'the arrows lead on');
  },
  'nothing that the rule names is cut': (check) => {
    const whole = (target, text) => {
      check(target && target.textContent.includes(text), `the text ${text.slice(0, 40)}`);
      const style = getComputedStyle(target);
      check(style.textOverflow !== 'ellipsis' && style.webkitLineClamp === 'none', `the style of ${text.slice(0, 40)}`);
    };
    whole(element('message'), run.message);
    inCycle().forEach((operation, k) => whole(element('evidence').querySelectorAll('.what')[k], operation.text));
    sentences.forEach((line, k) => whole(line.lastElementChild, run.story[k].text));
    for (const line of element('around').querySelectorAll('span')) {
      check(line.scrollWidth <= line.clientWidth + 1 && getComputedStyle(line).textOverflow !== 'ellipsis', `an event around: ${line.textContent.slice(0, 40)}`);
    }
  },
  'the log says what its entries are': (check) => {
    const found = events.findLastIndex((event) => event.what === 'applies' && event.wrong);
    const i = found >= 0 ? found : events.findLastIndex((event) => event.what === 'entry');
    if (i < 0) return;
    jump(events[i].at_ns, { i });
    paint();
    const line = [...element('log').children].find((l) => l.firstElementChild.textContent === String(events[i].index));
    const text = found >= 0 ? events[i].ruling : events[i].text;
    check(line?.textContent.includes(text), `entry ${events[i].index}`);
    check(line?.classList.contains('wrong') === found >= 0, 'marked');
  },
  'one operation has one name': (check) => {
    for (const operation of blamed) {
      const line = [...element('evidence').querySelectorAll('.blamed b')].find((b) =>
        b.textContent.startsWith(`T${operation.id} `),
      );
      check(line, `T${operation.id} in the evidence`);
      check(operationLine(operation)[1] === `T${operation.id}`, `T${operation.id} in the panel`);
    }
  },
  'the panel shows what the events say': (check) => {
    if (!events.length) return;
    const spread = Array.from({ length: 13 }, (_, k) => Math.floor((events.length - 1) * (k / 12)));
    const firsts = [...new Set(events.map((event) => event.what))].map((what) =>
      events.findIndex((e) => e.what === what),
    );
    for (const i of [...spread, ...firsts]) {
      jump(events[i].at_ns, { i });
      paint();
      for (const { node, cells } of rows) {
        const shown = cells
          .slice(1)
          .map((cell) => cell.textContent)
          .join(' ');
        check(shown === replayed(node, i).join(' '), `n${node} after event ${i}: ${shown}`);
      }
      check(element('clock').textContent === `${clock(events[i].at_ns)} s`, 'the clock');
      check(element('around').querySelector('.here span').textContent === describe(events[i]), 'the event');
    }
  },
  'keys step through the events': (check) => {
    const press = (key, shiftKey = false) => {
      document.body.dispatchEvent(new KeyboardEvent('keydown', { key, shiftKey, bubbles: true }));
    };
    if (!events.length) return;
    jump(0, { i: 0 });
    press('ArrowRight');
    check(cursor.i === Math.min(1, events.length - 1), 'next');
    press('ArrowLeft');
    check(cursor.i === 0, 'previous');
    press('ArrowRight', true);
    check(cursor.i === 0 || notable(events[cursor.i]), 'next notable');
  },
  'the window zooms and stays inside the run': (check) => {
    show(0, END);
    zoom(0.1, END / 3);
    check(Math.abs(view.end - view.start - Math.max(SHORTEST, END / 10)) < 2, 'length');
    check(view.start <= END / 3 && END / 3 <= view.end, 'keeps its place');
    for (let k = 0; k < 60; k += 1) zoom(0.5, END);
    check(view.end <= END && view.end - view.start >= SHORTEST, 'the shortest');
    timed(() => {
      sceneStale = true;
    });
    for (let k = 0; k < 80; k += 1) zoom(2, 0);
    check(view.start === 0 && view.end === END, 'the whole');
    element('over').dispatchEvent(new WheelEvent('wheel', { deltaY: -300, cancelable: true }));
    check(view.end - view.start < END || END <= SHORTEST, 'the wheel');
    show(0, END);
  },
  'the search finds events, operations and the story': (check) => {
    const middle = events[Math.floor(events.length / 2)];
    if (middle)
      check(
        find(describe(middle)).some(({ text }) => text === describe(middle)),
        'an event',
      );
    if (operations.length)
      check(
        find(called(operations[0])).some(({ group }) => group === 'Operations'),
        'an operation',
      );
    if (run.story.length)
      check(
        find(run.story[0].text).some(({ group }) => group === 'Story'),
        'a sentence',
      );
    if (middle) {
      element('query').value = describe(middle);
      showFound();
      element('results').querySelector('.found')?.click();
      check(element('results').hidden, 'a click closes the results');
    }
    element('query').value = '';
    check(find('a text that nobody wrote, surely').length === 0, 'nothing');
  },
  'messages come and go': (check) => {
    if (!messages.length) return;
    const m = messages[Math.floor(messages.length / 2)];
    setMessages(true);
    show(m.at_ns - 1e6, m.at_ns + 1e6);
    const all = drawScene();
    check(all.messages > 0 && all.arrows > 0 && all.arrows <= MOST_ARROWS, `shown: ${JSON.stringify(all)}`);
    traffic.kinds = new Set([m.kind]);
    traffic.from = m.from;
    traffic.to = m.to;
    traffic.both = false;
    const some = drawScene();
    check(some.messages > 0 && some.messages <= all.messages, 'filtered');
    Object.assign(traffic, { kinds: new Set(kinds), from: '', to: '', both: true });
    setMessages(false);
    check(drawScene() === null, 'off');
  },
  'the violation and the blamed operations can be reached': (check) => {
    show(0, Math.max(SHORTEST, END / 50));
    toViolation();
    if (!run.passed)
      check(cursor.t === run.found_ns && view.start <= cursor.t && cursor.t <= view.end, 'the violation');
    for (const operation of blamed) {
      jumpToOperation(operation);
      check(cursor.t === operation.invoke_ns && view.start <= cursor.t && cursor.t <= view.end, `#${operation.id}`);
    }
    check(element('evidence').querySelectorAll('.blamed > .link').length === blamed.length, 'all are told');
  },
  'an address leads to its place': (check) => {
    const i = Math.floor(events.length / 3);
    if (!events.length) return;
    history.replaceState(null, '', `#t=${events[i].at_ns}`);
    check(followAddress() && cursor.t === events[i].at_ns, 'a time');
    history.replaceState(null, '', `#event=${events[i].n}`);
    check(followAddress() && events[cursor.i].n === events[i].n, 'an event');
    history.replaceState(null, '', '#selftest');
    check(!followAddress(), 'none');
  },
  'no text of the run has become an element': (check) => {
    element('query').value = ' ';
    showKeys();
    element('keys').close();
    showTip({ title: run.title, text: run.message }, { clientX: 9, clientY: 9 });
    showTip(null);
    check(!document.querySelector('img, iframe, object, embed, link, form, base'), 'a foreign element');
    check(document.scripts.length === 2, 'a foreign script');
    const handlers = [...document.querySelectorAll('*')].flatMap((e) => e.getAttributeNames());
    check(!handlers.some((name) => name.startsWith('on')), 'a handler');
    check(!('injected' in document.body.dataset), 'a script has run');
  },
  'a pointer over an operation tells what it is': (check) => {
    show(0, END);
    const operation = blamed[0] ?? operations[0];
    if (!operation) return;
    jumpToOperation(operation);
    const bar = operationBar(operation);
    const hit = hitAt(bar.x + 1, bar.y + 1);
    check(hit?.title.startsWith(called(operation)), `${hit?.title}`);
  },
};

/** The times and the drawing of many frames. */
function measured(frames, count, act) {
  const times = [];
  let most = 0;
  for (let k = 0; k < frames; k += 1) {
    const before = count.calls;
    times.push(timed(() => act(k / frames)));
    most = Math.max(most, count.calls - before);
  }
  const mean = times.reduce((sum, t) => sum + t, 0) / frames;
  return {
    frames,
    mean_ms: Number(mean.toFixed(3)),
    slowest_ms: Number(Math.max(...times).toFixed(3)),
    most_calls: most,
  };
}

function measure() {
  const count = countDrawing();
  show(0, END);
  const scrubbing = measured(200, count, (share) => setCursor(END * share));
  const panning = measured(50, count, (share) => {
    show(END * share * 0.8, END * (share * 0.8 + 0.2));
    sceneStale = true;
  });
  setMessages(true);
  const zooming = measured(30, count, (share) => {
    show(END / 3, END / 3 + END * 0.6 * (1 - share));
    sceneStale = true;
  });
  setMessages(false);
  show(0, END);
  return { scrubbing, panning, 'zooming with messages': zooming };
}

function selftest() {
  glides = false;
  const failures = [];
  let checks = 0;
  for (const [name, test] of Object.entries(tests)) {
    const check = (holds, what) => {
      checks += 1;
      if (!holds) failures.push(`${name}: ${what}`);
    };
    try {
      test(check);
    } catch (error) {
      failures.push(`${name}: ${error.stack ?? error}`);
    }
  }
  let frames = {};
  try {
    frames = measure();
  } catch (error) {
    failures.push(`measuring: ${error.stack ?? error}`);
  }
  const result = {
    passed: failures.length === 0,
    checks,
    failures,
    events: events.length,
    frames,
    plot: [sheet.width, sheet.height],
  };
  element('selftest').textContent = JSON.stringify(result, null, 2);
  document.body.dataset.selftest = result.passed ? 'pass' : 'fail';
}

if (location.hash === '#selftest') selftest();
