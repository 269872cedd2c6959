//! A cycle of transactions for Graphviz.

use std::fmt::Write;

use super::shortened;
use super::transactions::{edge_text, transaction_text};
use crate::history::History;
use crate::transactions::Anomaly;

/// The transactions of an anomaly and the dependencies of its cycle, as a graph in DOT.
pub fn anomaly(history: &History, anomaly: &Anomaly) -> String {
    let mut dot = String::from("digraph anomaly {\n");
    let mut line = |text: String| writeln!(dot, "  {text}").expect("a string takes whatever is written");
    line(format!("label={};", quoted(&format!("{}: {}", anomaly.name, anomaly.message))));
    line("node [shape=box, style=rounded, fontname=\"sans-serif\"];".to_owned());
    line("edge [fontname=\"sans-serif\"];".to_owned());
    for place in &anomaly.transactions {
        let transaction = &history.transactions[*place];
        let session = history.names.client(transaction.client);
        let text =
            format!("T{} (session {session})\n{}", transaction.id, shortened(&transaction_text(history, *place), 120));
        line(format!("T{} [label={}];", transaction.id, quoted(&text)));
    }
    for edge in &anomaly.cycle {
        let (from, to) = (history.transactions[edge.from].id, history.transactions[edge.to].id);
        let style = if edge.why.label().starts_with("rw") { ", style=dashed" } else { "" };
        let (label, reason) = (quoted(edge.why.label()), quoted(&edge_text(history, edge)));
        line(format!("T{from} -> T{to} [label={label}, tooltip={reason}{style}];"));
    }
    dot.push_str("}\n");
    dot
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
