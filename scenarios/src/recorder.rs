//! Records what clients saw.
//!
//! An operation is on record from the moment it is invoked, with what is true if nothing more is ever heard of it: failed while
//! nothing was sent that could commit, unknown from then on. So a client can be stopped anywhere (its future dropped),
//! and its record stays right.

use checkers::history::{Micro, Operation, Outcome, Transaction};
use checkers::linearizability::register::{Op, Ret};
use engine::sql::{Error, Output};
use std::collections::BTreeMap;
use std::fmt;

/// What was seen by one client, or by all of them after [`Recorder::merge`].
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) surprises: Vec<Surprise>,
    /// What breaks a rule of the workload's.
    pub(crate) findings: Vec<Finding>,
    /// How often such a rule was looked at.
    pub(crate) compared: u64,
    /// Scripts, in the order of each client.
    pub(crate) scripts: Vec<Script>,
}

/// One operation from invocation to completion: a transaction, whose statements may be many or one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) name: &'static str,
    /// What it read, and wrote or tried to write.
    pub(crate) transaction: Transaction,
    /// Whether it failed for a conflict with another.
    pub(crate) conflict: bool,
    /// Whether it read all there is, at one position.
    pub(crate) whole: bool,
    /// What it is to the linearizability checker, if anything: the row, what was asked of it, and what was answered.
    pub(crate) register: Option<(u64, Op, Option<Ret>)>,
}

/// One operation, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its name in the history: the checkers call it `T` and this.
    pub id: u64,
    /// The client.
    pub client: u64,
    /// What kind of operation it was.
    pub name: &'static str,
    /// When it was invoked, in nanoseconds.
    pub invoke: u64,
    /// When it was over, if that is known.
    pub complete: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
    /// What it read and wrote.
    pub text: String,
    /// The log position that it read at.
    pub snapshot: Option<u64>,
    /// The log position of its commit.
    pub commit: Option<u64>,
}

/// An answer that no right database gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Surprise {
    pub(crate) client: u64,
    /// In nanoseconds.
    pub(crate) at: u64,
    pub(crate) sql: String,
    pub(crate) what: String,
}

/// A rule that what was read breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Its name, like `orphan`.
    pub(crate) anomaly: &'static str,
    pub(crate) client: u64,
    /// In nanoseconds.
    pub(crate) at: u64,
    pub(crate) what: String,
}

/// Statements that a client ran, and what came of them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Script {
    pub(crate) client: u64,
    /// In nanoseconds.
    pub(crate) at: u64,
    pub(crate) statements: Vec<String>,
    /// The answer to each statement; nothing when it is unknown whether they happened. What certainly did not happen is
    /// not on record.
    pub(crate) answers: Option<Vec<Result<Output, Error>>>,
}

/// How operations ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Happened.
    pub ok: u64,
    /// Certainly did not happen.
    pub failed: u64,
    /// May have happened.
    pub unknown: u64,
    /// Of those that happened: transactions that committed writes.
    pub commits: u64,
    /// Of those that failed: lost against another transaction.
    pub conflicts: u64,
    /// Ok, failed and unknown by the name of the operation.
    pub by_operation: BTreeMap<&'static str, [u64; 3]>,
}

impl Recorder {
    /// An empty record.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds another client's record.
    pub fn merge(&mut self, other: Self) {
        self.attempts.extend(other.attempts);
        self.surprises.extend(other.surprises);
        self.findings.extend(other.findings);
        self.compared += other.compared;
        self.scripts.extend(other.scripts);
    }

    /// The transactions as the checkers take them, by the time of invocation.
    ///
    /// When an answer is lost and the statement asked for again, the answer that comes may know the commit's position and
    /// not the snapshot. Of a transaction that read nothing, all that its snapshot has to be is before its commit.
    pub fn history(&self) -> Vec<Transaction> {
        let named = self.by_name().map(|(id, attempt)| {
            let mut transaction = Transaction { id, ..attempt.transaction.clone() };
            let blind = |micro: &Micro| matches!(micro, Micro::Write { .. } | Micro::Append { .. });
            if transaction.operations.iter().all(blind) {
                let before = transaction.commit.map(|commit| commit.saturating_sub(1));
                transaction.snapshot = transaction.snapshot.or(before);
            }
            transaction
        });
        named.collect()
    }

    /// All operations in words, by the time of invocation.
    pub fn told(&self) -> Vec<Told> {
        let told = self.by_name().map(|(id, attempt)| {
            let Transaction { client, invoke, complete, outcome, snapshot, commit, ref operations, .. } =
                attempt.transaction;
            let text = match &attempt.register {
                Some((key, asked, answer)) => call(*key, asked, answer.as_ref()),
                None => operations.iter().map(micro).collect::<Vec<_>>().join(", "),
            };
            Told { id, client, name: attempt.name, invoke, complete, outcome, text, snapshot, commit }
        });
        told.collect()
    }

    /// What was seen by those that read all rows, by the names that they have in the history.
    pub(crate) fn views(&self) -> Vec<(u64, Vec<(u64, i64)>)> {
        let whole = |attempt: &Attempt| attempt.whole && attempt.transaction.outcome == Outcome::Ok;
        let views = self.by_name().filter(|(_, attempt)| whole(attempt)).map(|(id, attempt)| {
            let rows = attempt.transaction.operations.iter().filter_map(|micro| match *micro {
                Micro::Read { key, value } => Some((key, value?)),
                _ => None,
            });
            (id, rows.collect())
        });
        views.collect()
    }

    /// The operations with their names: numbers from 1, in the order of invocation.
    fn by_name(&self) -> impl Iterator<Item = (u64, &Attempt)> {
        let mut attempts: Vec<&Attempt> = self.attempts.iter().collect();
        attempts.sort_by_key(|attempt| (attempt.transaction.invoke, attempt.transaction.client));
        (1..).zip(attempts)
    }

    /// What was asked of each row and answered, as the linearizability checker takes it. What certainly did not happen is
    /// left out.
    pub(crate) fn registers(&self) -> BTreeMap<u64, Vec<Operation<Op, Ret>>> {
        let mut registers: BTreeMap<u64, Vec<Operation<Op, Ret>>> = BTreeMap::new();
        for Attempt { transaction, register, .. } in &self.attempts {
            if let Some((key, input, output)) = register
                && transaction.outcome != Outcome::Failed
            {
                let Transaction { client, invoke, complete, .. } = *transaction;
                let (input, output) = (input.clone(), output.clone());
                registers.entry(*key).or_default().push(Operation { client, invoke, complete, input, output });
            }
        }
        registers
    }

    /// What was asked of a row and failed for certain, as if nobody knew how it ended: to ask whether it happened nevertheless.
    pub(crate) fn failed_on(&self, row: u64) -> impl Iterator<Item = Operation<Op, Ret>> {
        self.attempts.iter().filter_map(move |Attempt { transaction, register, .. }| match register {
            Some((key, input, _)) if *key == row && transaction.outcome == Outcome::Failed => {
                let Transaction { client, invoke, .. } = *transaction;
                Some(Operation { client, invoke, complete: None, input: input.clone(), output: None })
            }
            _ => None,
        })
    }

    /// Counts operations by how they ended.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        for attempt in &self.attempts {
            let column = match attempt.transaction.outcome {
                Outcome::Ok => {
                    stats.ok += 1;
                    stats.commits += u64::from(attempt.transaction.commit.is_some());
                    0
                }
                Outcome::Failed => {
                    stats.failed += 1;
                    stats.conflicts += u64::from(attempt.conflict);
                    1
                }
                Outcome::Unknown => {
                    stats.unknown += 1;
                    2
                }
            };
            stats.by_operation.entry(attempt.name).or_default()[column] += 1;
        }
        stats
    }
}

/// A step in a few signs.
fn micro(micro: &Micro) -> String {
    let value = |value: &Option<i64>| value.map_or("nothing".to_owned(), |value| value.to_string());
    match micro {
        Micro::Read { key, value: seen } => format!("{key} is {}", value(seen)),
        Micro::Write { key, value: None } => format!("deletes {key}"),
        Micro::Write { key, value: written } => format!("{key} := {}", value(written)),
        Micro::ReadList { key, elements } => format!("list {key} is {elements:?}"),
        Micro::Append { key, element } => format!("list {key} += {element}"),
        Micro::ReadRows { predicate, rows } => format!("rows that are {predicate:?}: {rows:?}"),
    }
}

/// What was asked of a row, and answered.
fn call(row: u64, asked: &Op, answer: Option<&Ret>) -> String {
    let asked = match (asked, answer) {
        (Op::Read, Some(Ret::Value(Some(value)))) => return format!("{row} is {value}"),
        (Op::Read, Some(Ret::Value(None))) => return format!("{row} is nothing"),
        (Op::Read, _) => format!("reads {row}"),
        (Op::Write(value), _) => format!("{row} := {value}"),
        (Op::CompareAndSet { from, to }, _) => format!("if {row} is {from}, {row} := {to}"),
        (Op::Insert(value), _) => format!("inserts {row} := {value}"),
        (Op::Delete, _) => format!("deletes {row}"),
    };
    let answer = match answer {
        Some(Ret::Changed(true)) => "which changed it",
        Some(Ret::Changed(false)) => "which changed nothing",
        Some(Ret::Value(_)) => "which answered with a value",
        None => "without an answer",
    };
    format!("{asked}, {answer}")
}

impl Stats {
    /// Adds another run's counts.
    pub fn merge(&mut self, other: &Self) {
        self.ok += other.ok;
        self.failed += other.failed;
        self.unknown += other.unknown;
        self.commits += other.commits;
        self.conflicts += other.conflicts;
        for (name, counts) in &other.by_operation {
            let mine = self.by_operation.entry(name).or_default();
            for (count, more) in mine.iter_mut().zip(counts) {
                *count += more;
            }
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { anomaly: _, client, at, what } = self;
        write!(f, "client {client} at {}.{:03} ms: {what}", at / 1_000_000, at / 1_000 % 1_000)
    }
}

impl fmt::Display for Surprise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, at, sql, what } = self;
        write!(f, "client {client} at {}.{:03} ms: {sql}: {what}", at / 1_000_000, at / 1_000 % 1_000)
    }
}
