//! Records what clients saw.
//!
//! An operation is on record from the moment it is invoked, with what is true if nothing more is ever heard of it: failed while
//! nothing was sent that could commit, unknown from then on. So a client can be stopped anywhere (its future dropped),
//! and its record stays right.

use std::collections::BTreeMap;
use std::fmt;

/// What was seen by one client, or by all of them after [`Recorder::merge`].
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) surprises: Vec<Surprise>,
}

/// One operation from invocation to completion: a transaction, whose statements may be many or one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) client: u64,
    pub(crate) name: &'static str,
    /// In nanoseconds.
    pub(crate) invoked: u64,
    /// In nanoseconds; `None` when the operation never ended, or ended unknown.
    pub(crate) completed: Option<u64>,
    pub(crate) outcome: Outcome,
    /// Whether it failed for a conflict with another.
    pub(crate) conflict: bool,
    /// The position it reads at.
    pub(crate) snapshot: Option<u64>,
    /// The position of its writes.
    pub(crate) committed: Option<u64>,
    /// Whether it asked for an old position.
    pub(crate) as_of: bool,
    /// What it read, and wrote or tried to write.
    pub(crate) accesses: Vec<Access>,
    /// What it is to the linearizability checker, if anything.
    pub(crate) register: Option<(u32, RegisterCall)>,
    /// What was answered to it.
    pub(crate) answer: Option<RegisterAnswer>,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// It happened.
    Ok,
    /// It did not and will not happen.
    Failed,
    /// It may have happened, or may happen yet.
    Unknown,
}

/// A read or a write of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read { key: u32, value: Option<i64> },
    Write { key: u32, value: Option<i64> },
    ReadList { list: u32, elements: Vec<i64> },
    Append { list: u32, element: i64 },
}

/// A call of a register operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RegisterCall {
    Read,
    Write(i64),
    CompareAndSet { from: i64, to: i64 },
    Insert(i64),
    Delete,
}

/// Its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RegisterAnswer {
    Value(Option<i64>),
    Changed(bool),
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
    }

    /// Counts operations by how they ended.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        for attempt in &self.attempts {
            let column = match attempt.outcome {
                Outcome::Ok => {
                    stats.ok += 1;
                    stats.commits += u64::from(attempt.committed.is_some());
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

impl fmt::Display for Surprise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, at, sql, what } = self;
        write!(f, "client {client} at {}.{:03} ms: {sql}: {what}", at / 1_000_000, at / 1_000 % 1_000)
    }
}
