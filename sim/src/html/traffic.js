// Messages between lanes, drawn only when asked for, and only those in the window that pass the filters.

const traffic = { on: false, kinds: new Set(kinds), from: '', to: '', both: true, undelivered: false };

/** More arrows than this say nothing: they are thinned out, and the page says so. */
const MOST_ARROWS = 1200;

function wanted(message) {
  if (!traffic.kinds.has(message.kind)) return false;
  if (traffic.undelivered && message.fate === 'delivered') return false;
  const along = (from, to) => (!traffic.from || traffic.from === from) && (!traffic.to || traffic.to === to);
  return along(message.from, message.to) || (traffic.both && along(message.to, message.from));
}

/** Draws the messages. Returns how many are in the window, and how many arrows that made. */
function drawMessages(pen) {
  if (!traffic.on) return null;
  const inWindow = messagesBetween(view.start, view.end).filter(
    (m) => wanted(m) && (m.arrives_ns ?? m.at_ns) >= view.start,
  );
  const arrows = thinned(inWindow);
  const heads = arrows.length < 700;
  // One path for each look: a stroke for each arrow would cost ten times as much.
  const looks = new Map();
  for (const arrow of arrows) {
    const look = arrow.lost ? 'lost' : arrow.message.kind;
    if (!looks.has(look)) looks.set(look, []);
    looks.get(look).push(arrow);
  }
  for (const [look, list] of looks)
    drawLook(pen, list, look === 'lost' ? colour.bad : kindColour(look), heads, arrows.length);
  return { messages: inWindow.length, arrows: arrows.length };
}

/** Takes one of every so many, if there are more than `most`: always the same ones, so that they stay in a pan. */
function few(list, most, order) {
  let each = 1;
  while (list.length > most * each) each *= 2;
  return each > 1 ? list.filter((x) => order(x) % each === 0) : list;
}

/** Messages that would lie on each other become one arrow, and too many are thinned out. */
function thinned(list) {
  const taken = new Set();
  const arrows = [];
  for (const message of few(list, MOST_ARROWS * 4, (m) => m.order)) {
    const arrow = arrowOf(message);
    if (!arrow) continue;
    const key = `${message.from}${message.to}${message.kind}${Math.round(arrow.x / 2)} ${Math.round(arrow.end / 2)}`;
    if (taken.has(key)) continue;
    taken.add(key);
    arrows.push(arrow);
  }
  return few(arrows, MOST_ARROWS, (arrow) => arrow.message.order);
}

/** Where a message is drawn. One that never arrives ends a little way off. */
function arrowOf(message) {
  const [y, to] = [placeY(message.from), placeY(message.to)];
  if (y === null || to === null) return null;
  const x = xOf(message.at_ns);
  const lost = message.arrives_ns === null;
  return lost
    ? { message, lost, x, y, end: x + 5, to: y + (to - y) * 0.4 }
    : { message, lost, x, y, end: xOf(message.arrives_ns), to };
}

function drawLook(pen, list, stroke, heads, many) {
  const lost = list[0].lost;
  pen.strokeStyle = stroke;
  pen.globalAlpha = many < 300 ? 0.85 : lost ? 0.5 : 0.3;
  pen.lineWidth = many < 300 ? 1.2 : 0.8;
  pen.beginPath();
  for (const { x, y, end, to } of list) {
    pen.moveTo(x, y);
    pen.lineTo(end, to);
    if (!lost) continue;
    pen.moveTo(end - 2.5, to - 2.5);
    pen.lineTo(end + 2.5, to + 2.5);
    pen.moveTo(end + 2.5, to - 2.5);
    pen.lineTo(end - 2.5, to + 2.5);
  }
  pen.stroke();
  if (heads && !lost) {
    for (const { x, y, end, to } of list) arrowHead(pen, { x, y }, { x: end, y: to }, stroke, 6);
  }
  pen.globalAlpha = 1;
}
