//! What a wrong read is called, and what shows it.
//!
//! Only transactions that are still held or among those told last can be named. Which anomaly it is depends on them;
//! that it is one does not.

use std::ops::Deref;

use super::{Checker, Event};
use crate::Violation;
use crate::history::{Micro, Outcome, Transaction};

impl<T: Deref<Target = Transaction> + Clone> Checker<T> {
    /// What reading `value`, which is neither the newest at `snapshot` nor of a possible writer, is called.
    pub(super) fn wrong_value(&self, reader: &T, key: u64, value: Option<i64>, snapshot: u64) -> &'static str {
        let leaves = |other: &T| leaves(other, key, value);
        let later = |event: &Event<T>| event.transaction.commit > Some(snapshot) && leaves(&event.transaction);
        if self.waiting.iter().chain(&self.rest).any(later) {
            return "future-read";
        }
        let others = || self.told.iter().filter(|other| other.id != reader.id);
        let of = |outcome| others().any(|other| other.outcome == outcome && other.commit.is_none() && leaves(other));
        let committed = |other: &T| other.outcome != Outcome::Failed && other.commit.is_some();
        let wrote = |other: &T| other.operations.contains(&Micro::Write { key, value });
        let newest = self.rows.get(key).is_some_and(|row| wrote(&row.writer));
        if value.is_none() || others().any(|other| committed(other) && leaves(other)) {
            "stale-read"
        } else if others().any(|other| other.outcome == Outcome::Failed && leaves(other)) {
            "G1a"
        } else if of(Outcome::Unknown) {
            "impossible-read"
        } else if newest || others().any(wrote) {
            "G1b"
        } else if self.forgot {
            "unexplained-read"
        } else {
            "garbage-read"
        }
    }

    /// What reading `element` in a list, which is neither in its content nor of a pending writer, is called, and why.
    pub(super) fn wrong_element(&self, key: u64, element: i64, snapshot: u64) -> (&'static str, String) {
        let appends = |other: &T| other.operations.contains(&Micro::Append { key, element });
        let later = |event: &&Event<T>| event.transaction.commit > Some(snapshot) && appends(&event.transaction);
        if let Some(commit) =
            self.waiting.iter().chain(&self.rest).find(later).and_then(|event| event.transaction.commit)
        {
            return ("future-read", format!("{element} was committed later, at {commit}"));
        }
        match self.told.iter().find(|other| appends(other)).map(|other| other.outcome) {
            Some(Outcome::Failed) => ("G1a", format!("the append of {element} failed")),
            Some(_) => ("G1b", format!("{element} is not all its transaction appended")),
            None if self.forgot => {
                ("unexplained-read", format!("none of the transactions that are still remembered appended {element}"))
            }
            None => ("garbage-read", format!("nobody appended {element}")),
        }
    }
}

/// Whether a transaction leaves this value in a row.
fn leaves(transaction: &Transaction, row: u64, left: Option<i64>) -> bool {
    let last = transaction.operations.iter().rev().find_map(|micro| match micro {
        Micro::Write { key, value } if *key == row => Some(*value == left),
        _ => None,
    });
    last.unwrap_or(false)
}

pub(super) fn show(value: Option<i64>) -> String {
    value.map_or("nothing".into(), |value| value.to_string())
}

fn describe(transaction: &Transaction) -> String {
    let Transaction { id, client, invoke, complete, outcome, snapshot, commit, operations, .. } = transaction;
    let time = |time: &Option<u64>| time.map_or("?".into(), |time| time.to_string());
    format!(
        "T{id} of client {client} [{invoke}, {}] {outcome:?}, snapshot {}, commit {}: {operations:?}",
        time(complete),
        time(snapshot),
        time(commit)
    )
}

/// A violation that `transaction` shows alone.
pub(super) fn violation(anomaly: &str, message: String, transaction: &Transaction) -> Violation {
    with(anomaly, message, &[transaction], transaction)
}

/// A violation that became visible when `last` completed.
pub(super) fn with(anomaly: &str, message: String, evidence: &[&Transaction], last: &Transaction) -> Violation {
    Violation {
        checker: "versions",
        anomaly: anomaly.into(),
        message,
        evidence: evidence.iter().copied().map(describe).collect(),
        at: last.complete,
    }
}
