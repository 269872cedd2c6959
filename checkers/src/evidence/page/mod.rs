//! The evidence as one HTML file that needs nothing else.
//!
//! The page holds the history and the judgement as JSON, with its style and its scripts, which draw all the rest in the
//! browser: bars over time by client, where each call took effect, the call that cannot be explained, partial orders to
//! step through; for transactions the levels, the anomalies, and the cycle as a graph. Only what is in view is drawn, so a
//! long history opens at once. The content security policy forbids the page the network and every script but its own,
//! whatever texts the history had. Opened with `#selftest`, the page tries itself out, and leaves what it measured in
//! `<pre id="selftest">`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::frame::{self, Parts};
use super::objects::operation_text;
use super::transactions::transaction_text;
use super::{Report, shortened, svg};
use crate::formats::{Decided, Judged, Objects};
use crate::history::{History, Names, Outcome};
use crate::transactions::Judgement;

const BODY: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");

/// The scripts, in the order in which they need each other. They share one scope.
const SCRIPTS: [&str; 5] = [
    include_str!("model.js"),
    include_str!("scene.js"),
    include_str!("panel.js"),
    include_str!("page.js"),
    include_str!("selftest.js"),
];

/// How long the text of one bar may be.
const LONGEST: usize = 400;

/// What the scripts draw.
#[derive(Serialize)]
struct Data<'a> {
    report: &'a Report,
    /// What the report says, line by line.
    lines: Vec<String>,
    /// Whether times are times, and not only an order.
    timed: bool,
    clients: Vec<String>,
    keys: Vec<String>,
    bars: Bars,
    /// Orders in which calls can have taken effect.
    orders: Vec<Vec<usize>>,
    /// For every call the longest such order with it, or -1.
    order_of: Vec<i64>,
    stuck: Option<usize>,
    /// Calls that contradict each other.
    core: Vec<usize>,
    anomalies: Vec<AnomalyData>,
}

/// Calls or transactions, a column each.
#[derive(Default, Serialize)]
struct Bars {
    /// What the page calls it.
    name: Vec<String>,
    /// A place in `clients`.
    client: Vec<usize>,
    /// Places in `keys`.
    keys: Vec<Vec<usize>>,
    /// Since the first time in the history.
    start: Vec<u64>,
    /// Nothing for what never returned.
    end: Vec<Option<u64>>,
    /// `o`k, `f`ailed, `u`nknown.
    outcome: Vec<char>,
    text: Vec<String>,
}

#[derive(Serialize)]
struct AnomalyData {
    places: Vec<usize>,
    svg: String,
}

/// Gives the numbers of a history places in a list of names.
#[derive(Default)]
struct Places {
    places: BTreeMap<u64, usize>,
    names: Vec<String>,
}

impl Places {
    fn of(&mut self, number: u64, name: impl FnOnce(u64) -> String) -> usize {
        *self.places.entry(number).or_insert_with(|| {
            self.names.push(shortened(&name(number), 60));
            self.names.len() - 1
        })
    }
}

impl Bars {
    fn push(
        &mut self,
        name: String,
        client: usize,
        keys: Vec<usize>,
        times: (u64, Option<u64>),
        outcome: Outcome,
        text: String,
    ) {
        self.name.push(name);
        self.client.push(client);
        self.keys.push(keys);
        self.start.push(times.0);
        self.end.push(times.1);
        self.outcome.push(match outcome {
            Outcome::Ok => 'o',
            Outcome::Failed => 'f',
            Outcome::Unknown => 'u',
        });
        self.text.push(text);
    }
}

/// The page about calls of objects.
pub fn objects(report: &Report, objects: &Objects, judged: &Judged) -> String {
    let names: &Names = &objects.names;
    let (mut clients, mut keys, mut bars) = (Places::default(), Places::default(), Bars::default());
    let first = objects.calls.iter().map(|call| call.invoke).min().unwrap_or_default();
    for call in &objects.calls {
        let client = clients.of(call.client, |client| names.client(client));
        let key = call.key.map(|key| keys.of(key, |key| names.key(key))).into_iter().collect();
        let times = (call.invoke - first, call.complete.map(|complete| complete - first));
        let text = shortened(&operation_text(call), LONGEST);
        bars.push(format!("line {}", call.line), client, key, times, call.outcome, text);
    }
    let (orders, stuck, core) = match &judged.decided {
        Decided::Linearizable { order } => (vec![order.clone()], None, Vec::new()),
        Decided::Illegal(stuck) => (stuck.orders(), Some(stuck.call), stuck.core.clone()),
        Decided::Unknown { .. } => (Vec::new(), None, Vec::new()),
    };
    let order_of = longest(&orders, objects.calls.len());
    let data = Data {
        report,
        lines: lines(report),
        timed: true,
        clients: clients.names,
        keys: keys.names,
        bars,
        orders,
        order_of,
        stuck,
        core,
        anomalies: Vec::new(),
    };
    render(&data)
}

/// The page about transactions.
pub fn transactions(report: &Report, history: &History, judgement: &Judgement) -> String {
    let names: &Names = &history.names;
    let (mut clients, mut keys, mut bars) = (Places::default(), Places::default(), Bars::default());
    let first = history.transactions.iter().map(|transaction| transaction.invoke).min().unwrap_or_default();
    for (place, transaction) in history.transactions.iter().enumerate() {
        let client = clients.of(transaction.client, |client| names.client(client));
        let mut touched: Vec<usize> = transaction
            .operations
            .iter()
            .flat_map(crate::formats::keys_of)
            .map(|key| keys.of(key, |key| names.key(key)))
            .collect();
        touched.sort_unstable();
        touched.dedup();
        let times = (transaction.invoke - first, transaction.complete.map(|complete| complete - first));
        let text = shortened(&transaction_text(history, place), LONGEST);
        bars.push(format!("T{}", transaction.id), client, touched, times, transaction.outcome, text);
    }
    let anomalies = judgement.anomalies.iter().map(|anomaly| AnomalyData {
        places: anomaly.transactions.clone(),
        svg: svg::anomaly_inline(history, anomaly),
    });
    let data = Data {
        report,
        lines: Vec::new(),
        timed: history.timed,
        clients: clients.names,
        keys: keys.names,
        bars,
        orders: Vec::new(),
        order_of: Vec::new(),
        stuck: None,
        core: Vec::new(),
        anomalies: anomalies.collect(),
    };
    render(&data)
}

fn lines(report: &Report) -> Vec<String> {
    report.text().lines().skip(1).map(|line| line.trim_start().to_owned()).collect()
}

/// For every call the longest order that it is in.
fn longest(orders: &[Vec<usize>], calls: usize) -> Vec<i64> {
    let mut longest = vec![-1_i64; calls];
    for (place, order) in orders.iter().enumerate() {
        for call in order {
            let before = longest[*call];
            if before < 0 || orders[before as usize].len() < order.len() {
                longest[*call] = place as i64;
            }
        }
    }
    longest
}

fn render(data: &Data<'_>) -> String {
    let json = serde_json::to_string(data).expect("a page is plain data");
    let title = format!("{}: {}", data.report.source, data.report.verdict.word());
    let style = format!("{STYLE}{}", svg::STYLE);
    frame::page(&Parts { title: &title, style: &style, body: BODY, data: &json, scripts: &SCRIPTS })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_its_longest_order() {
        assert_eq!(longest(&[vec![0, 1], vec![2, 0, 1], vec![3]], 5), [1, 1, 1, 2, -1]);
    }
}
