//! Pictures: a cycle of transactions, and the calls around one that cannot be explained.
//!
//! The transactions of a cycle stand on a circle, in its order; its arrows go around it. Calls are bars over time, a line
//! for each client, and a dot where each took effect.

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::fmt::Write;

use super::objects::operation_text;
use super::shortened;
use super::transactions::{edge_text, micro_text};
use crate::formats::{Decided, Judged, Objects};
use crate::history::{History, Outcome};
use crate::transactions::Anomaly;

/// How many transactions of an anomaly are drawn.
const DRAWN: usize = 24;
/// How many calls are drawn.
const BARS: usize = 40;
const WIDTH: f64 = 210.0;
const LINE: f64 = 16.0;

pub(super) const STYLE: &str = "\
svg{font:12px system-ui,sans-serif;color-scheme:light dark;--paper:#fff;--box:#f4f5f6;--ink:#1d2126;--muted:#656c75;\
--line:#b9bfc7;--wr:#0072b2;--ww:#7a5ba6;--rw:#d55e00;--other:#656c75;--ok:#9fb4c6;--bad:#d55e00;--dot:#1d2126}\
@media(prefers-color-scheme:dark){svg{--paper:#15181c;--box:#20262c;--ink:#e6e8ea;--muted:#98a1ab;--line:#4a545f;\
--wr:#4aa8e4;--ww:#b79be0;--rw:#f0803c;--other:#98a1ab;--ok:#4d6274;--bad:#f0803c;--dot:#fff}}\
.paper{fill:var(--paper)}.box{fill:var(--box);stroke:var(--line)}text{fill:var(--ink)}.muted{fill:var(--muted)}\
.name{font-weight:600}.edge{fill:none;stroke-width:1.8}.mark{stroke:none}.tag{font-weight:600;paint-order:stroke;\
stroke:var(--paper);stroke-width:5px;text-anchor:middle}.wr{stroke:var(--wr)}.ww{stroke:var(--ww)}.rw{stroke:var(--rw)}\
.other{stroke:var(--other)}.mark.wr,.tag.wr{fill:var(--wr)}.mark.ww,.tag.ww{fill:var(--ww)}.mark.rw,.tag.rw{fill:var(--rw)}\
.mark.other,.tag.other{fill:var(--other)}.mark{stroke:none}.tag{stroke:var(--paper)}.rw.edge{stroke-dasharray:6 4}\
.bar{fill:var(--ok)}.bar.bad{fill:var(--bad)}.bar.open{opacity:.55}.dot{fill:var(--dot)}.lane{stroke:var(--line);stroke-width:.5}";

/// The transactions of an anomaly and its cycle, as one SVG document.
pub fn anomaly(history: &History, anomaly: &Anomaly) -> String {
    document(&anomaly_parts(history, anomaly), Some(&format!("{}: {}", anomaly.name, anomaly.message)))
}

/// The same, to stand in a page that has the style.
pub(super) fn anomaly_inline(history: &History, anomaly: &Anomaly) -> String {
    let Parts { width, height, body } = anomaly_parts(history, anomaly);
    format!(
        "<svg viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\">{body}</svg>"
    )
}

struct Parts {
    width: f64,
    height: f64,
    body: String,
}

struct Node {
    x: f64,
    y: f64,
    half: f64,
}

fn anomaly_parts(history: &History, anomaly: &Anomaly) -> Parts {
    let on_cycle: Vec<usize> = anomaly.cycle.iter().map(|edge| edge.from).collect();
    let places: &[usize] = if on_cycle.is_empty() { &anomaly.transactions } else { &on_cycle };
    let places = &places[..places.len().min(DRAWN)];
    let lines = |place: usize| history.transactions[place].operations.len().clamp(1, 5) as f64;
    let tallest = places.iter().map(|place| lines(*place)).fold(1.0, f64::max) * LINE + 34.0;
    let (across, down) = match places.len() {
        0 | 1 => (0.0, 0.0),
        2 => (WIDTH * 0.95, 0.0),
        many => {
            let around = many as f64 / TAU;
            ((WIDTH * 1.35 * around).max(WIDTH * 0.95), ((tallest + 50.0) * around * 1.4).max(tallest))
        }
    };
    let (width, height) =
        (2.0 * across + WIDTH + 40.0, 2.0 * down + tallest + if places.len() == 2 { 90.0 } else { 40.0 });
    let mut nodes: BTreeMap<usize, Node> = BTreeMap::new();
    for (at, place) in places.iter().enumerate() {
        let angle = TAU * (at as f64 / places.len() as f64) - if places.len() == 2 { TAU / 2.0 } else { TAU / 4.0 };
        let (x, y) = (width / 2.0 + across * angle.cos(), height / 2.0 + down * angle.sin());
        nodes.insert(*place, Node { x, y, half: f64::midpoint(lines(*place) * LINE, 30.0) });
    }
    let mut body = String::new();
    for edge in &anomaly.cycle {
        if let (Some(from), Some(to)) = (nodes.get(&edge.from), nodes.get(&edge.to)) {
            arrow(&mut body, from, to, edge.why.label(), &edge_text(history, edge));
        }
    }
    for (place, node) in &nodes {
        let transaction = &history.transactions[*place];
        let (left, top) = (node.x - WIDTH / 2.0, node.y - node.half);
        let outcome = match transaction.outcome {
            Outcome::Ok => "",
            Outcome::Failed => ", aborted",
            Outcome::Unknown => ", unknown",
        };
        let name = format!("session {}{outcome}", history.names.client(transaction.client));
        put(
            &mut body,
            format_args!(
                "<g data-transaction=\"{place}\"><rect class=\"box\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{WIDTH}\" height=\"{:.1}\" rx=\"6\"/>\
             <text class=\"name\" x=\"{:.1}\" y=\"{:.1}\">T{} <tspan class=\"muted\" font-weight=\"400\">{}</tspan></text>",
                2.0 * node.half,
                left + 10.0,
                top + 18.0,
                transaction.id,
                escaped(&shortened(&name, 22)),
            ),
        );
        let steps = &transaction.operations;
        let shown = if steps.len() > 5 { 4 } else { steps.len() };
        for (row, micro) in steps[..shown].iter().enumerate() {
            let text = escaped(&shortened(&micro_text(micro, &history.names), 28));
            put(
                &mut body,
                format_args!(
                    "<text x=\"{:.1}\" y=\"{:.1}\">{text}</text>",
                    left + 10.0,
                    top + 36.0 + LINE * row as f64
                ),
            );
        }
        if steps.len() > shown {
            let y = top + 36.0 + LINE * shown as f64;
            put(
                &mut body,
                format_args!(
                    "<text class=\"muted\" x=\"{:.1}\" y=\"{y:.1}\">… {} more steps</text>",
                    left + 10.0,
                    steps.len() - shown
                ),
            );
        }
        body.push_str("</g>");
    }
    Parts { width, height, body }
}

/// An arrow from the border of one box to that of another, bent to its left so that an arrow back does not lie on it.
fn arrow(body: &mut String, from: &Node, to: &Node, label: &str, reason: &str) {
    let class = match label {
        "ww" => "ww",
        "wr" | "wrp" => "wr",
        "rw" | "rwp" => "rw",
        _ => "other",
    };
    let (across, down) = (to.x - from.x, to.y - from.y);
    let length = across.hypot(down).max(1.0);
    let bend = (length * 0.22).min(60.0);
    let (middle_x, middle_y) =
        (f64::midpoint(from.x, to.x) + down / length * bend, f64::midpoint(from.y, to.y) - across / length * bend);
    let begin = border(from, middle_x, middle_y);
    let end = border(to, middle_x, middle_y);
    let angle = (end.1 - middle_y).atan2(end.0 - middle_x);
    let wing = |turn: f64| (end.0 - 11.0 * (angle + turn).cos(), end.1 - 11.0 * (angle + turn).sin());
    let (one, other) = (wing(0.4), wing(-0.4));
    // Where the curve is half way.
    let (x, y) = ((begin.0 + 2.0 * middle_x + end.0) / 4.0, (begin.1 + 2.0 * middle_y + end.1) / 4.0);
    put(
        body,
        format_args!(
            "<g><title>{}</title><path class=\"edge {class}\" d=\"M{:.1} {:.1}Q{middle_x:.1} {middle_y:.1} {:.1} {:.1}\"/>\
         <path class=\"mark {class}\" d=\"M{:.1} {:.1}L{:.1} {:.1}L{:.1} {:.1}Z\"/>\
         <text class=\"tag {class}\" x=\"{x:.1}\" y=\"{:.1}\">{}</text></g>",
            escaped(reason),
            begin.0,
            begin.1,
            end.0,
            end.1,
            end.0,
            end.1,
            one.0,
            one.1,
            other.0,
            other.1,
            y + 4.0,
            escaped(label),
        ),
    );
}

/// Where the way from the middle of a box to a point leaves the box.
fn border(node: &Node, x: f64, y: f64) -> (f64, f64) {
    let (across, down) = (x - node.x, y - node.y);
    let (wide, high) = (WIDTH / 2.0 + 4.0, node.half + 4.0);
    let scale = (wide / across.abs().max(0.001)).min(high / down.abs().max(0.001)).min(1.0);
    (node.x + across * scale, node.y + down * scale)
}

/// The calls around the one that cannot be explained, or the first ones, as one SVG document.
pub fn timeline(objects: &Objects, judged: &Judged) -> String {
    let calls = &objects.calls;
    let (stuck, order): (Option<usize>, &[usize]) = match &judged.decided {
        Decided::Illegal(stuck) => (Some(stuck.call), &stuck.prefix),
        Decided::Linearizable { order } => (None, order),
        Decided::Unknown { .. } => (None, &[]),
    };
    let mut shown: Vec<usize> = match stuck {
        Some(stuck) => {
            let until = calls[stuck].complete.unwrap_or(u64::MAX);
            let same = (0..calls.len()).filter(|at| calls[*at].key == calls[stuck].key && calls[*at].invoke <= until);
            let mut near: Vec<usize> = same.filter(|at| *at != stuck).collect();
            // What ended last before the impossible answer tells most about it.
            near.sort_by_key(|at| {
                std::cmp::Reverse((calls[*at].complete.unwrap_or(u64::MAX).min(until), calls[*at].invoke))
            });
            near.truncate(BARS - 1);
            near.push(stuck);
            near
        }
        None => (0..calls.len().min(BARS)).collect(),
    };
    shown.sort_by_key(|at| (calls[*at].invoke, *at));
    let mut moments: Vec<u64> =
        shown.iter().flat_map(|at| [Some(calls[*at].invoke), calls[*at].complete]).flatten().collect();
    moments.sort_unstable();
    moments.dedup();
    let mut lanes: Vec<u64> = shown.iter().map(|at| calls[*at].client).collect();
    lanes.sort_unstable();
    lanes.dedup();
    let step = 46.0;
    let x = |time: u64| 110.0 + step * moments.partition_point(|moment| *moment < time) as f64;
    let (width, height) = (150.0 + step * moments.len() as f64, 40.0 * lanes.len() as f64 + 20.0);
    let ranks: BTreeMap<usize, usize> = order.iter().enumerate().map(|(rank, at)| (*at, rank)).collect();
    let mut body = String::new();
    for (row, client) in lanes.iter().enumerate() {
        let y = 30.0 + 40.0 * row as f64;
        let name = escaped(&shortened(&objects.names.client(*client), 12));
        put(
            &mut body,
            format_args!(
                "<line class=\"lane\" x1=\"100\" x2=\"{width:.0}\" y1=\"{y}\" y2=\"{y}\"/><text class=\"muted\" x=\"10\" y=\"{:.1}\">{name}</text>",
                y + 4.0
            ),
        );
    }
    let mut points: Vec<(usize, f64, f64, f64)> = Vec::new();
    for at in &shown {
        let call = &calls[*at];
        let y = 30.0 + 40.0 * lanes.partition_point(|client| *client < call.client) as f64;
        let (left, right) = (x(call.invoke), call.complete.map_or(width - 10.0, x));
        let class = if Some(*at) == stuck {
            "bar bad"
        } else if call.outcome == Outcome::Ok {
            "bar"
        } else {
            "bar open"
        };
        let text = operation_text(call);
        put(
            &mut body,
            format_args!(
                "<g><title>line {}: {}</title><rect class=\"{class}\" x=\"{left:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"12\" rx=\"3\"/><text x=\"{left:.1}\" y=\"{:.1}\" font-size=\"10\">{}</text></g>",
                call.line,
                escaped(&text),
                y - 2.0,
                (right - left).max(6.0),
                y - 6.0,
                escaped(&shortened(&text, 26)),
            ),
        );
        if let Some(rank) = ranks.get(at) {
            points.push((*rank, left + 3.0, (right - 3.0).max(left + 3.0), y + 4.0));
        }
    }
    // Each takes effect within its bar, and after those before it in the order.
    points.sort_by_key(|(rank, ..)| *rank);
    let mut now = 0.0_f64;
    for (_, left, right, y) in points {
        now = now.max(left).min(right.max(now));
        put(&mut body, format_args!("<circle class=\"dot\" cx=\"{now:.1}\" cy=\"{y:.1}\" r=\"3\"/>"));
    }
    document(&Parts { width, height, body }, None)
}

fn document(parts: &Parts, caption: Option<&str>) -> String {
    let Parts { width, height, body } = parts;
    let (extra, title) = match caption {
        Some(caption) => (30.0, format!("<text x=\"20\" y=\"22\">{}</text>", escaped(&shortened(caption, 160)))),
        None => (0.0, String::new()),
    };
    let (whole, moved) = (height + extra, extra);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {whole:.0}\" width=\"{width:.0}\" height=\"{whole:.0}\">\
         <style>{STYLE}</style><rect class=\"paper\" width=\"100%\" height=\"100%\"/>{title}<g transform=\"translate(0 {moved})\">{body}</g></svg>\n"
    )
}

fn put(body: &mut String, text: std::fmt::Arguments<'_>) {
    body.write_fmt(text).expect("a string takes whatever is written");
}

fn escaped(text: &str) -> String {
    let printable = |sign: char| if sign.is_control() { '\u{fffd}' } else { sign };
    let text: String = text.chars().map(printable).collect();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
