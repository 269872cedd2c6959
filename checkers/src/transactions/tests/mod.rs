//! The judge against histories written by hand, a model of a database, and exhaustive searches.

mod anomalies;
mod choices;
mod lists;
mod model;

use super::{Level, Options, judge};
use crate::history::{History, Micro, Outcome, Transaction};
use crate::{Verdict, Violation};

pub(super) fn txn(id: u64, time: (u64, u64), operations: Vec<Micro>) -> Transaction {
    Transaction {
        id,
        client: id,
        invoke: time.0,
        complete: Some(time.1),
        outcome: Outcome::Ok,
        snapshot: None,
        commit: None,
        historic: false,
        initial: false,
        operations,
    }
}

fn unknown(transaction: Transaction) -> Transaction {
    Transaction { outcome: Outcome::Unknown, ..transaction }
}

fn failed(transaction: Transaction) -> Transaction {
    Transaction { outcome: Outcome::Failed, ..transaction }
}

fn historic(transaction: Transaction) -> Transaction {
    Transaction { historic: true, ..transaction }
}

fn a(key: u64, element: i64) -> Micro {
    Micro::Append { key, element }
}

fn l(key: u64, elements: &[i64]) -> Micro {
    Micro::ReadList { key, elements: elements.to_vec() }
}

/// All at the same time, so that real time orders nothing.
fn concurrent(operations: &[&[Micro]]) -> Vec<Transaction> {
    (1..).zip(operations).map(|(id, operations)| txn(id, (0, 9), operations.to_vec())).collect()
}

/// One after the other.
fn serial(operations: &[&[Micro]]) -> Vec<Transaction> {
    (1..).zip(operations).map(|(id, operations)| txn(id, (10 * id, 10 * id + 5), operations.to_vec())).collect()
}

fn timed(transactions: &[Transaction]) -> History {
    History { transactions: transactions.to_vec(), timed: true, ..History::default() }
}

fn check(transactions: &[Transaction], level: Level) -> Verdict {
    let (history, options) = (timed(transactions), Options { levels: vec![level], ..Options::default() });
    judge(&history, &options).verdict("transactions", &history, level)
}
