// With `#selftest` the page tries itself out, before it has finished loading, so that a headless browser has the result.

const tests = {
  'the verdict is told': (check) => {
    check(element('badge').textContent === report.verdict, 'the badge');
    check(element('summary').textContent === report.summary, 'the summary');
    check(document.body.classList.contains(report.verdict), 'the colour');
  },
  'only what is in view is drawn': (check) => {
    show(0, END);
    paint();
    const rows = Math.ceil(view.height / LANE) + 2;
    check(lastDrawn <= rows * view.width, `${lastDrawn} bars for ${rows} rows`);
    if (COUNT) check(lastDrawn > 0, 'something is drawn');
    show(END / 2, END / 2 + END / 50);
    paint();
    let inside = 0;
    for (let i = 0; i < COUNT; i += 1) if (bars.start[i] <= view.end && endOf(i) >= view.start) inside += 1;
    check(lastDrawn <= inside, `${lastDrawn} bars drawn, ${inside} in view`);
  },
  'the window zooms and stays inside the history': (check) => {
    show(0, END);
    zoom(2);
    check(view.start === 0 && view.end === END, 'no farther than everything');
    for (let k = 0; k < 40; k += 1) zoom(0.5, END);
    check(view.end <= END + 1e-6 && view.start >= 0, 'inside');
    show(-100, 10);
    check(view.start === 0, 'not before the beginning');
  },
  'keys go from bar to bar': (check) => {
    if (!COUNT) return;
    const press = (key) => scene.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
    choose(-1);
    press('ArrowRight');
    const first = state.chosen;
    check(first >= 0, 'one is chosen');
    check(!element('chosen').hidden && element('what').textContent.includes(bars.text[first]), 'it is told');
    press('ArrowRight');
    const lane = lanes[bars.client[first]];
    check(lane.length === 1 || state.chosen === lane[1], 'the next');
    press('ArrowLeft');
    check(state.chosen === first, 'the one before');
    press('ArrowDown');
    check(shownLanes.length === 1 || bars.client[state.chosen] === shownLanes[1], 'the next client');
    press('Escape');
    check(state.chosen === -1 && element('chosen').hidden, 'nothing');
  },
  'a bar is found where it is drawn': (check) => {
    for (const i of [0, COUNT >> 1, COUNT - 1]) {
      if (i < 0 || !COUNT) continue;
      show(bars.start[i] - 5, bars.start[i] + 5);
      bringIntoView(i);
      const row = shownLanes.indexOf(bars.client[i]);
      const found = barAt(xOf(bars.start[i]) + 1, TOP + row * LANE - stage.scrollTop + LANE / 2);
      check(found === i || bars.start[found] === bars.start[i] || endOf(found) >= bars.start[i], `bar ${i}, found ${found}`);
    }
  },
  'orders are orders of effects': (check) => {
    orders.forEach((order, at) => {
      state.order = at;
      placePoints();
      let bad = 0;
      for (const i of order) if (points.get(i).time > endOf(i)) bad += 1;
      check(bad === 0, `${bad} take effect after they returned`);
      check(new Set(order).size === order.length, 'each once');
    });
    if (!orders.length) return;
    step(0);
    check(element('back').disabled && state.step === 0, 'the beginning');
    step(1);
    check(state.chosen === orders[state.order][0], 'the first');
    step(Infinity);
    check(element('forth').disabled && state.step === orders[state.order].length, 'the end');
    check(element('steps').children.length <= 2 * LISTED + 1, 'a short list');
  },
  'filters filter': (check) => {
    const select = element('client');
    for (const at of [0, clients.length - 1]) {
      if (clients.length < 2) break;
      select.value = at;
      select.dispatchEvent(new Event('change'));
      check(shownLanes.length === 1 && passed === lanes[at].length, `client ${at}`);
    }
    select.value = '';
    select.dispatchEvent(new Event('change'));
    check(passed === COUNT, 'all again');
    element('query').value = '\u0001nothing';
    element('query').dispatchEvent(new Event('input'));
    check(passed === 0 && shownLanes.length === 0, 'nothing is found');
    paint();
    element('query').value = '';
    element('query').dispatchEvent(new Event('input'));
    check(passed === COUNT, 'everything is back');
  },
  'every anomaly is shown': (check) => {
    anomalies.forEach((anomaly, at) => {
      chooseAnomaly(at);
      const graph = element('graph').querySelector('svg');
      check(graph && graph.querySelectorAll('.box').length > 0, `${at} has its boxes`);
      check(graph.querySelectorAll('.edge').length === report.anomalies[at].cycle.length || report.anomalies[at].cycle.length > 24, `${at} has its edges`);
      check(element('caption').textContent.startsWith(report.anomalies[at].name), `${at} is named`);
    });
    if (!isObjects) check(element('levels').querySelectorAll('tr').length === report.levels.length, 'levels');
  },
  'the reported positions are told': (check) => {
    const { positions = [], positions_skipped: skipped } = report;
    check(element('positions').hidden === (!positions.length && skipped === undefined), 'they are there if they were judged');
    check(element('skipped').textContent.includes(skipped ?? ''), 'why they are not judged');
    const rows = [...element('positions').querySelectorAll('tr')];
    check(rows.length === positions.length, 'a row for each level');
    rows.forEach((row, at) => {
      const { level, verdict, anomaly = '' } = positions[at];
      const told = [...row.children].map((cell) => cell.textContent);
      check(told[0] === level && told[1] === verdict && (verdict === 'unknown' || told[2] === anomaly), `${level} is told`);
      row.querySelector('button')?.click();
      check(anomaly === '' || contradictions[state.contradiction].message === positions[at].message, `${level} shows its evidence`);
    });
    contradictions.forEach(({ message, evidence = [] }, at) => {
      chooseContradiction(at);
      const card = element('contradictions').children[at];
      check([message, ...evidence].every((line) => card.textContent.includes(line)), `contradiction ${at} has its evidence`);
      check(card.getAttribute('aria-pressed') === 'true' && parts.size > 0, `contradiction ${at} is shown`);
    });
    if (anomalies.length) chooseAnomaly(0);
  },
  'what is wrong comes first': (check) => {
    if (stuck === null) return;
    blame();
    check(state.chosen === stuck, 'it is chosen');
    check(bars.start[stuck] <= view.end && endOf(stuck) >= view.start, 'it is in view');
  },
};

if (location.hash === '#selftest') {
  const result = { passed: true, checks: 0, failures: [], ready_ms: readyAfter, since_navigation_ms: began + readyAfter, bars: COUNT };
  for (const [name, test] of Object.entries(tests)) {
    const check = (holds, what) => {
      result.checks += 1;
      if (!holds) result.failures.push(`${name}: ${what}`);
    };
    try {
      test(check);
    } catch (error) {
      result.failures.push(`${name}: ${error.stack}`);
    }
  }
  const before = performance.now();
  for (let k = 0; k < 20; k += 1) {
    show((END * k) / 25, (END * k) / 25 + END / 5);
    paint();
    pen.getImageData(0, 0, 1, 1);
  }
  result.frame_ms = (performance.now() - before) / 20;
  result.passed = result.failures.length === 0;
  element('selftest').textContent = JSON.stringify(result);
  document.body.dataset.selftest = result.passed ? 'pass' : 'fail';
}
