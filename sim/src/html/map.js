// The overview of the whole run, with the window in it. The picture is drawn once; only the frame moves.

const map = element('map');
const MAP_HEIGHT = 46;
let mapPicture = null;

const mapX = (t) => GUTTER + (t / END) * sheet.plot;
const mapTime = (x) => clampTime(((x - GUTTER) / sheet.plot) * END);

/** Draws all nodes as thin rows, where operations are dense, where faults are, what is blamed. */
function drawMapPicture() {
  mapPicture = document.createElement('canvas');
  const pen = penFor(mapPicture, sheet.width, MAP_HEIGHT);
  pen.fillStyle = colour.lane;
  pen.fillRect(GUTTER, 4, sheet.plot, MAP_HEIGHT - 8);
  const row = Math.min(6, (MAP_HEIGHT - 20) / nodes.length);
  for (const fault of faults) {
    pen.globalAlpha = 0.3;
    pen.fillStyle = fault.cut.length ? colour.cut : colour.fault;
    pen.fillRect(mapX(fault.at), 4, Math.max(1, mapX(fault.until) - mapX(fault.at)), MAP_HEIGHT - 8);
  }
  pen.globalAlpha = 1;
  for (const node of nodes) {
    let drawn = -1;
    for (const s of stretches[node]) {
      const [x, end] = [mapX(s.at), mapX(s.end)];
      if (!s.up || (end < drawn + 0.7 && s.role !== 'leader')) continue;
      drawn = end;
      pen.globalAlpha = s.paused ? 0.4 : 1;
      pen.fillStyle = roleColour(s.role);
      pen.fillRect(x, 7 + (node - 1) * row, Math.max(0.7, end - x), row - 1);
    }
  }
  pen.globalAlpha = 1;
  drawDensity(pen);
  pen.fillStyle = colour.bad;
  for (const operation of blamed) pen.fillRect(mapX(operation.invoke_ns) - 1, MAP_HEIGHT - 14, 3, 10);
  if (!run.passed) pen.fillRect(Math.min(mapX(run.found_ns), sheet.width - 12) - 1, 4, 2, MAP_HEIGHT - 8);
}

/** How many operations were at work in each stretch of three pixels. */
function drawDensity(pen) {
  const bins = new Array(Math.ceil(sheet.plot / 3)).fill(0);
  for (const o of operations) bins[Math.min(bins.length - 1, Math.floor(((o.invoke_ns / END) * sheet.plot) / 3))] += 1;
  const most = Math.max(1, ...bins);
  pen.fillStyle = colour.ok;
  bins.forEach((count, k) => {
    const h = (count / most) * 9;
    pen.fillRect(GUTTER + k * 3, MAP_HEIGHT - 5 - h, 2, h);
  });
}

function drawMap() {
  const pen = penFor(map, sheet.width, MAP_HEIGHT);
  pen.drawImage(mapPicture, 0, 0, sheet.width, MAP_HEIGHT);
  const [x, end] = [mapX(view.start), Math.max(mapX(view.end), mapX(view.start) + 3)];
  pen.globalAlpha = 0.72;
  pen.fillStyle = colour.paper;
  pen.fillRect(GUTTER, 0, x - GUTTER, MAP_HEIGHT);
  pen.fillRect(end, 0, sheet.width - end, MAP_HEIGHT);
  pen.globalAlpha = 1;
  pen.strokeStyle = colour.muted;
  pen.lineWidth = 1;
  pen.strokeRect(Math.round(x) + 0.5, 2.5, Math.max(2, Math.round(end - x) - 1), MAP_HEIGHT - 5);
  pen.fillStyle = colour.cursor;
  pen.fillRect(mapX(cursor.t) - 0.5, 2, 1.5, MAP_HEIGHT - 4);
  pen.fillStyle = colour.muted;
  pen.font = `11px ${SANS}`;
  pen.textAlign = 'right';
  pen.textBaseline = 'middle';
  pen.fillText('all', GUTTER - 10, MAP_HEIGHT / 2);
}

/** Drags the window, or one of its edges; a press beside it brings it there. */
function listenToMap() {
  let grip = null;
  map.addEventListener('pointerdown', (event) => {
    map.setPointerCapture(event.pointerId);
    settle();
    const x = event.offsetX;
    const [left, right] = [mapX(view.start), mapX(view.end)];
    if (right - left > 16 && Math.abs(x - left) < 6) grip = 'left';
    else if (right - left > 16 && Math.abs(x - right) < 6) grip = 'right';
    else grip = x >= left && x <= right ? mapTime(x) - view.start : (view.end - view.start) / 2;
    moveWindow(x);
  });
  const moveWindow = (x) => {
    const t = mapTime(x);
    if (grip === 'left') show(Math.min(t, view.end - SHORTEST), view.end);
    else if (grip === 'right') show(view.start, Math.max(t, view.start + SHORTEST));
    else show(t - grip, t - grip + view.end - view.start);
    refresh(true);
  };
  map.addEventListener('pointermove', (event) => grip !== null && moveWindow(event.offsetX));
  for (const end of ['pointerup', 'pointercancel'])
    map.addEventListener(end, () => {
      grip = null;
    });
}
