//! Evidence for people: what a judgement says, as text, as data, as pictures, and as one page.
//!
//! [`Report`] is a judgement in words and plain data; it is what the command prints, also as JSON. [`page`] makes one HTML
//! file of it that needs nothing else, [`svg`] and [`dot`] draw. Nothing here decides anything;
//! [`PositionsReport::of`] asks the judge of positions.

pub mod dot;
pub mod frame;
mod objects;
pub mod page;
mod positions;
pub mod svg;
mod transactions;

use serde::Serialize;

pub use objects::{Frontier, ObjectsReport, StuckReport, operation_text, report as objects};
pub use positions::PositionsReport;
pub use transactions::{
    AnomalyReport, EdgeReport, LevelReport, TransactionsReport, default_levels, edge_text, report as transactions,
    transaction_text,
};

/// The JSON schema of what the command prints with `--json`.
pub const RESULT_SCHEMA: &str = include_str!("../../schema/result.schema.json");

/// The JSON schema of what the command prints for a stream with `--json`.
pub const STREAM_SCHEMA: &str = include_str!("../../schema/stream.schema.json");

/// Whether a history is what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It is.
    Holds,
    /// This could not be found out.
    Unknown,
    /// It is not.
    Violated,
}

impl Answer {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Unknown => "unknown",
            Self::Violated => "violated",
        }
    }
}

/// What was found in one history.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Where the history is from.
    pub source: String,
    /// The verdict over everything that was asked.
    pub verdict: Answer,
    /// One sentence.
    pub summary: String,
    /// What there is to say.
    #[serde(flatten)]
    pub about: About,
}

/// What a history is about.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum About {
    /// Calls of objects.
    Objects(ObjectsReport),
    /// Transactions.
    Transactions(TransactionsReport),
}

impl Report {
    /// The report for a terminal.
    pub fn text(&self) -> String {
        let mut text = format!("{}: {}\n", self.source, self.summary);
        let lines = match &self.about {
            About::Objects(objects) => objects.lines(),
            About::Transactions(transactions) => transactions.lines(),
        };
        for line in lines {
            text.push_str("  ");
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

/// `1 transaction`, `2 transactions`.
pub(crate) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A text of at most so many signs.
fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
