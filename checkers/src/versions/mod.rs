//! Isolation, judged while the run goes on, with the commit positions that the database reports.
//!
//! The database says at which position of its commit order every transaction read (its snapshot) and committed. That
//! makes the check one pass over the positions and its evidence precise, and is not trusted: every observation must
//! agree with it.
//!
//! * An acknowledged writer has a commit position of its own, after its snapshot.
//! * A transaction reads its own writes, else what the newest commit at or before its snapshot left. This holds for rows,
//!   lists, and for all rows that match a predicate.
//! * First committer wins: nobody committed a key between the snapshot and the commit of another writer of it.
//! * A transaction sees whatever was acknowledged before it was invoked, unless it asked for a historic snapshot; or,
//!   at the weaker levels, what was acknowledged to its client, or nothing in particular.
//! * If the database claims that the order of commits is a serial order, what a writer read still holds where it commits.
//!
//! A writer of unknown outcome without a known position may have committed at any free position after its snapshot
//! where first committer wins lets it, or never. Once a read can only be explained by such a writer, it has committed
//! at a position within bounds, and no read beyond them may miss it (its bounds close in with every observation). The order of several such writers
//! among each other is not derived: judges without positions do so.
//!
//! The method is that of Chronos and Aion (Li et al., "Online Timestamp-based Transactional Isolation Checking of
//! Database Systems", 2024): with a position for every snapshot and commit no graph is needed. [`Checker`] holds back
//! what was told until nobody can still commit before it, then replays it in the order of positions against the newest
//! version of every key. For that it must know who is running ([`Checker::invoked`]); then it keeps one version of every
//! key, writers of unknown outcome that may still be read, and what the running transactions hold back. It takes
//! O(log c) for every transaction, where c are held back, and constant time for every operation, plus the length of lists
//! read and the number of rows that match.
//!
//! A violation says that the positions contradict the observations. If it takes the positions alone to see it, then
//! perhaps the database reports wrong positions for right data; judges without positions tell.

mod blame;
mod frontier;
mod lists;
mod own;
mod positions;
mod replay;
mod rows;
#[cfg(test)]
mod tests;
mod unknown;

use std::collections::{BinaryHeap, VecDeque};
use std::ops::Deref;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use crate::history::{Outcome, Transaction};
use crate::transactions::Level;
use crate::{Verdict, Violation};
use frontier::Frontier;
use lists::Lists;
use positions::Positions;
use rows::Rows;
use unknown::Unknown;

/// What a transaction must have seen of those that were acknowledged before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recency {
    /// Nothing in particular.
    None,
    /// Whatever was acknowledged to the same client.
    Session,
    /// Whatever was acknowledged before it was invoked, to anyone.
    RealTime,
}

/// What is demanded of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What must have been seen.
    pub recency: Recency,
    /// Whether two that write the same key must not overlap.
    pub first_committer_wins: bool,
    /// Whether the database claims that transactions take effect one after the other in the order of commits.
    pub serial: bool,
    /// How many of the transactions told last are kept, so that a wrong read can be called by its name. Has no influence
    /// on whether it is found.
    pub remember: usize,
}

impl Default for Options {
    /// Strong snapshot isolation.
    fn default() -> Self {
        Self { recency: Recency::RealTime, first_committer_wins: true, serial: false, remember: 4096 }
    }
}

impl Options {
    /// What a level demands, if positions can decide it: from snapshot isolation on upwards.
    pub fn of(level: Level) -> Option<Self> {
        let (recency, serial) = match level {
            Level::SnapshotIsolation => (Recency::None, false),
            Level::StrongSessionSnapshotIsolation => (Recency::Session, false),
            Level::StrongSnapshotIsolation => (Recency::RealTime, false),
            Level::Serializable => (Recency::None, true),
            Level::StrongSessionSerializable => (Recency::Session, true),
            Level::StrictSerializable => (Recency::RealTime, true),
            _ => return None,
        };
        Some(Self { recency, serial, first_committer_wins: !serial, ..Self::default() })
    }
}

/// How much a checker keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Snapshots and commits that are held back, because somebody may still commit before them.
    pub waiting: usize,
    /// Transactions that were announced and are not over.
    pub running: usize,
    /// Rows, of which the newest version is kept.
    pub rows: usize,
    /// Lists.
    pub lists: usize,
    /// Elements of all lists.
    pub elements: usize,
    /// Writers of unknown outcome that may still be read.
    pub unknown: usize,
}

/// A snapshot or commit that is to be replayed.
#[derive(Debug)]
struct Event<T> {
    position: u64,
    kind: Kind,
    /// In which order it was told.
    serial: u64,
    transaction: T,
}

/// Who reads at a position sees what was committed there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Commit,
    Snapshot,
}

impl<T> Event<T> {
    fn order(&self) -> (u64, Kind, u64) {
        (self.position, self.kind, self.serial)
    }
}

impl<T> PartialEq for Event<T> {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl<T> Eq for Event<T> {}

impl<T> PartialOrd for Event<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The lowest position is the greatest, as [`BinaryHeap`] wants it.
impl<T> Ord for Event<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.order().cmp(&self.order())
    }
}

/// The online judge. `T` is how transactions are held: [`Arc`](std::sync::Arc) in a run, a plain reference for those
/// that are in memory anyway.
#[derive(Debug)]
pub struct Checker<T> {
    options: Options,
    frontier: Frontier<T>,
    /// By client: the greatest position acknowledged to it, and by whom.
    sessions: HashMap<u64, (u64, T), FxBuildHasher>,
    waiting: BinaryHeap<Event<T>>,
    /// At the end, what was still waiting, the lowest position last.
    rest: Vec<Event<T>>,
    /// Everything up to here was replayed.
    settled: u64,
    serial: u64,
    positions: Positions,
    /// The last commit that was replayed, and whose it was.
    last_commit: Option<(u64, u64)>,
    rows: Rows<T>,
    lists: Lists,
    unknown: Unknown<T>,
    /// The transactions told last.
    told: VecDeque<T>,
    /// Whether others were forgotten.
    forgot: bool,
    comparisons: u64,
    violation: Option<Violation>,
    gave_up: Option<String>,
}

impl<T: Deref<Target = Transaction> + Clone> Checker<T> {
    /// A judge that has seen nothing.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            frontier: Frontier::new(),
            sessions: HashMap::default(),
            waiting: BinaryHeap::new(),
            rest: Vec::new(),
            settled: 0,
            serial: 0,
            positions: Positions::default(),
            last_commit: None,
            rows: Rows::new(),
            lists: Lists::default(),
            unknown: Unknown::new(),
            told: VecDeque::new(),
            forgot: false,
            comparisons: 0,
            violation: None,
            gave_up: None,
        }
    }

    /// Tells that a transaction was invoked at `time`. If all are announced, in the order of time and before anything
    /// that completes later is pushed, then [`Recency::RealTime`] lets the checker judge while the run goes on, and forget;
    /// otherwise it waits for [`settle`](Self::settle) or the end.
    pub fn invoked(&mut self, id: u64, time: u64) {
        self.frontier.invoked(id, time);
        self.advance();
    }

    /// Tells of a transaction, in the order of completion. One of unknown outcome is told of when its client gives up,
    /// or at the end. The one that made the initial state comes first; without a commit position it precedes all.
    ///
    /// Nothing is judged after the first violation.
    pub fn push(&mut self, transaction: T) {
        if self.violation.is_some() {
            return;
        }
        if let Err(violation) = self.tell(&transaction) {
            self.violation = Some(violation);
            return;
        }
        self.frontier.over(transaction.id);
        if self.options.remember > 0 {
            if self.told.len() >= self.options.remember {
                self.told.pop_front();
                self.forgot = true;
            }
            self.told.push_back(transaction);
        } else {
            self.forgot = true;
        }
        self.advance();
    }

    /// Promises that whatever is still to come reads at `position` or later and commits after it.
    pub fn settle(&mut self, position: u64) {
        while self.violation.is_none()
            && self.waiting.peek().is_some_and(|event| event.position <= position)
            && let Some(event) = self.waiting.pop()
        {
            debug_assert!(event.position >= self.settled, "events are replayed in order");
            self.replay(event);
        }
        self.settled = self.settled.max(position);
    }

    /// What was found so far.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// How much is kept.
    pub fn kept(&self) -> Kept {
        Kept {
            waiting: self.waiting.len(),
            running: self.frontier.running(),
            rows: self.rows.len(),
            lists: self.lists.len(),
            elements: self.lists.values().map(|list| list.content.len()).sum(),
            unknown: self.unknown.len(),
        }
    }

    /// Judges what was held back, and says what was found.
    pub fn finish(mut self) -> Verdict {
        self.rest = std::mem::take(&mut self.waiting).into_vec();
        self.rest.sort_unstable();
        while self.violation.is_none()
            && let Some(event) = self.rest.pop()
        {
            self.replay(event);
        }
        match (self.violation, self.gave_up) {
            (Some(violation), _) => Verdict::Fail(violation),
            (None, Some(reason)) => Verdict::GaveUp { reason, comparisons: self.comparisons },
            (None, None) => Verdict::Pass { comparisons: self.comparisons },
        }
    }

    /// Replays what is settled.
    fn advance(&mut self) {
        if self.options.recency == Recency::RealTime
            && let Some(position) = self.frontier.settled()
            && position > self.settled
        {
            self.settle(position);
        }
    }

    /// Checks what one transaction says of itself, and holds back its snapshot and commit until they are settled.
    fn tell(&mut self, transaction: &T) -> Result<(), Violation> {
        let Transaction { id, outcome, snapshot, initial, .. } = **transaction;
        if outcome == Outcome::Failed {
            return Ok(());
        }
        let acknowledged = outcome == Outcome::Ok;
        let writes = transaction.writes();
        let commit = if initial && writes { transaction.commit.or(Some(0)) } else { transaction.commit };
        let commit = commit.filter(|_| writes);
        if acknowledged && writes && commit.is_none() {
            let message = format!("writer T{id} was acknowledged without a commit position");
            return Err(blame::violation("commit-missing", message, transaction));
        }
        let reads = writes || !transaction.operations.is_empty();
        if acknowledged && reads && snapshot.is_none() && !initial && !(self.options.serial && writes) {
            let message = format!("T{id} was acknowledged without a snapshot");
            return Err(blame::violation("snapshot-missing", message, transaction));
        }
        if let (Some(commit), Some(snapshot)) = (commit, snapshot)
            && snapshot >= commit
        {
            let message = format!("T{id} committed at {commit}, not after its snapshot {snapshot}");
            return Err(blame::violation("commit-order", message, transaction));
        }
        if acknowledged && !initial {
            self.recency(transaction, commit)?;
        }
        let Some(commit) = commit else {
            if acknowledged && let Some(snapshot) = snapshot {
                self.hold(snapshot, Kind::Snapshot, transaction);
            }
            if !acknowledged && writes {
                self.doubt(transaction);
            }
            return Ok(());
        };
        self.hold(commit, Kind::Commit, transaction);
        if acknowledged && let Some(snapshot) = snapshot {
            self.hold(snapshot, Kind::Snapshot, transaction);
        }
        Ok(())
    }

    fn hold(&mut self, position: u64, kind: Kind, transaction: &T) {
        let late = position < self.settled || (kind == Kind::Commit && position == self.settled && position > 0);
        if late {
            let reason = format!(
                "T{} was told of after its position {position} was settled (at {})",
                transaction.id, self.settled
            );
            self.gave_up.get_or_insert(reason);
            return;
        }
        self.serial += 1;
        self.waiting.push(Event { position, kind, serial: self.serial, transaction: transaction.clone() });
    }

    /// A snapshot holds everything acknowledged before the invocation, as far as the level demands it.
    fn recency(&mut self, transaction: &T, commit: Option<u64>) -> Result<(), Violation> {
        let Transaction { id, client, invoke, complete, snapshot, historic, .. } = **transaction;
        let Some(position) = commit.or(snapshot) else { return Ok(()) };
        if self.options.recency == Recency::None {
            return Ok(());
        }
        let sees = snapshot.unwrap_or(position.saturating_sub(u64::from(commit.is_some())));
        if !historic {
            self.comparisons += 1;
            let session = self.sessions.get(&client).filter(|(before, _)| *before > sees);
            if let Some((before, other)) = session {
                let message = format!(
                    "T{id} read snapshot {sees}, but its client was told before that T{} is at position {before}",
                    other.id
                );
                return Err(blame::with("stale-snapshot", message, &[&**other, &**transaction], transaction));
            }
            if self.options.recency == Recency::RealTime
                && let Some(newest) = self.frontier.before(invoke).filter(|newest| newest.position > sees)
            {
                let message = format!(
                    "T{id} was invoked at {invoke} and read snapshot {sees}, but T{} at position {} was acknowledged \
                     before",
                    newest.transaction.id, newest.position
                );
                return Err(blame::with(
                    "stale-snapshot",
                    message,
                    &[&*newest.transaction, &**transaction],
                    transaction,
                ));
            }
        }
        let newest = self.sessions.entry(client).or_insert_with(|| (position, transaction.clone()));
        if newest.0 < position {
            *newest = (position, transaction.clone());
        }
        let completed = complete.unwrap_or(u64::MAX);
        if self.options.recency == Recency::RealTime
            && !self.frontier.acknowledge(completed, position, transaction.clone())
        {
            let reason = format!("T{id} completed at {completed}, and was told of after one that completed later");
            self.gave_up.get_or_insert(reason);
        }
        Ok(())
    }

    /// Takes in a writer of unknown outcome and position.
    fn doubt(&mut self, transaction: &T) {
        let binds = self.options.recency == Recency::RealTime && !transaction.historic;
        let seen = if binds { self.frontier.before(transaction.invoke).map_or(0, |newest| newest.position) } else { 0 };
        let rows = own::last_writes(transaction);
        let lists = own::appends(transaction);
        let name = self.unknown.add(transaction.clone(), seen, rows.len() + lists.len());
        for (key, value) in rows {
            self.rows.pending.entry(key).or_default().writers.push((name, value));
        }
        for (key, elements) in lists {
            self.lists.entry(key).or_default().pending.push((name, elements));
        }
    }
}

/// Judges transactions that are all there, in any order.
///
/// Acknowledged transactions must report their snapshot, and writers also their commit position. At the serializable
/// levels the latter is enough for writers.
pub fn check(transactions: &[Transaction], options: Options) -> Verdict {
    let mut order: Vec<&Transaction> = transactions.iter().collect();
    order.sort_by_key(|transaction| {
        (!transaction.initial, transaction.complete.unwrap_or(u64::MAX), transaction.invoke)
    });
    let mut checker = Checker::new(Options { remember: usize::MAX, ..options });
    for transaction in order {
        checker.push(transaction);
    }
    checker.finish()
}
