//! Recorded histories, as files: what they say, in which notation, and what is wrong with them.
//!
//! Four notations are read: our JSON lines, the EDN histories of Jepsen and Elle, Porcupine's Jepsen log of etcd, and
//! Porcupine's key-value log; the first two are also written. Whatever the notation, the result is one of two things:
//! calls of objects ([`Objects`], for linearizability) or transactions ([`History`]).
//!
//! A reader takes text that anybody may have written. It answers with a well-formed history or with the first line that
//! is wrong and the reason, never with a panic and never with a history that it has guessed together. It does not judge
//! what the clients were told. `docs/checkers.md` describes the notations, and `checkers/schema` has JSON schemas.

mod assemble;
mod edn;
mod etcd_log;
mod events;
mod intern;
mod jsonl;
mod keyed;
mod models;
mod objects;
mod scalar;
mod stream;
mod write_edn;
mod write_jsonl;

use serde::Serialize;

pub use models::{Decided, Judged, Stuck, judge, judge_until};
pub use objects::{Call, Kind, ModelName, Objects};
pub use stream::Stream;
pub use write_jsonl::event;

use crate::history::{History, HistoryError, Micro};

/// The JSON schema of a line of a history of transactions.
pub const TRANSACTIONS_SCHEMA: &str = include_str!("../../schema/transactions.schema.json");

/// The JSON schema of a line of a history of operations.
pub const OPERATIONS_SCHEMA: &str = include_str!("../../schema/operations.schema.json");

/// The notations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Our own: one JSON object a line, for an operation or a transaction.
    Jsonl,
    /// Jepsen's and Elle's: maps of EDN with `:type`, `:process`, `:f` and `:value`, one after the other or in a vector.
    Edn,
    /// The log lines of Jepsen's etcd test, as Porcupine keeps them: `INFO jepsen.util - 0 :invoke :read nil`.
    EtcdLog,
    /// Porcupine's key-value log: EDN maps with a `:key`.
    KvLog,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Jsonl, Self::Edn, Self::EtcdLog, Self::KvLog];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Edn => "edn",
            Self::EtcdLog => "etcd-log",
            Self::KvLog => "kv-log",
        }
    }

    /// What the first sign and the first words of a text look like, if like anything.
    pub fn guess(text: &str) -> Option<Self> {
        let start = text.trim_start();
        let line = start.lines().next()?;
        if line.strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with('"')) {
            Some(Self::Jsonl)
        } else if line.starts_with("{:process") && line.contains(":key ") {
            Some(Self::KvLog)
        } else if line.starts_with(['{', '[', '(', '#', ';']) {
            Some(Self::Edn)
        } else if text.lines().any(etcd_log::is_event) {
            Some(Self::EtcdLog)
        } else {
            None
        }
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Recorded {
    /// Calls of objects, to be judged for linearizability.
    Objects(Objects),
    /// Transactions, to be judged against the levels of isolation.
    Transactions(History),
}

/// Reads a history of which only the bytes are known; without a format, the text tells it.
///
/// # Errors
/// The first line that is wrong, and why.
pub fn read(bytes: &[u8], format: Option<Format>) -> Result<Recorded, HistoryError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
        HistoryError { line, reason: "this is not UTF-8 text".into() }
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(HistoryError { line: 1, reason: "the file is empty".into() });
    }
    let Some(format) = format.or_else(|| Format::guess(text)) else {
        let reason = "this looks like none of the known formats (jsonl, edn, etcd-log, kv-log)".into();
        return Err(HistoryError { line: 1, reason });
    };
    let recorded = match format {
        Format::Jsonl => jsonl::read(text),
        Format::Edn => edn::read(text),
        Format::EtcdLog => etcd_log::read(text).map(Recorded::Objects),
        Format::KvLog => edn::read_kv_log(text).map(Recorded::Objects),
    };
    let recorded = recorded.map_err(|error| HistoryError { reason: shortened(error.reason), ..error })?;
    let is_empty = match &recorded {
        Recorded::Objects(objects) => objects.calls.is_empty(),
        Recorded::Transactions(history) => history.transactions.is_empty(),
    };
    // Nothing would be found to hold.
    if is_empty { wrong(1, "there is no operation in the file") } else { Ok(recorded) }
}

/// A reason that quotes no more of the file than somebody wants to read.
fn shortened(reason: String) -> String {
    const MOST: usize = 240;
    match reason.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &reason[..end]),
        None => reason,
    }
}

/// A written history, and what the format could not say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The history.
    pub text: String,
    /// What was left out or said less exactly, one sentence each.
    pub losses: Vec<String>,
}

/// Writes a history; the logs of other programs are only read.
///
/// # Errors
/// When the format is only read, or has no words for what the history says.
pub fn write(recorded: &Recorded, format: Format) -> Result<Written, String> {
    match (format, recorded) {
        (Format::Jsonl, Recorded::Objects(objects)) => Ok(write_jsonl::objects(objects)),
        (Format::Jsonl, Recorded::Transactions(history)) => Ok(write_jsonl::transactions(history)),
        (Format::Edn, Recorded::Objects(objects)) => write_edn::objects(objects),
        (Format::Edn, Recorded::Transactions(history)) => write_edn::transactions(history),
        (Format::EtcdLog | Format::KvLog, _) => {
            Err(format!("{format} is only read; histories are written as jsonl or edn"))
        }
    }
}

/// The keys that a step is about.
pub(crate) fn keys_of(micro: &Micro) -> Vec<u64> {
    match micro {
        Micro::Read { key, .. }
        | Micro::Write { key, .. }
        | Micro::ReadList { key, .. }
        | Micro::Append { key, .. } => {
            vec![*key]
        }
        Micro::ReadRows { rows, .. } => rows.iter().map(|(key, _)| *key).collect(),
    }
}

/// A line that is wrong.
fn wrong<T>(line: usize, reason: impl Into<String>) -> Result<T, HistoryError> {
    Err(HistoryError { line, reason: reason.into() })
}
