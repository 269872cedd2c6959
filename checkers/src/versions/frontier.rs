//! How far the run has come: what was acknowledged when, and who is still running.
//!
//! From both follows what can be forgotten. Whoever runs now was invoked after some transactions had been acknowledged,
//! and where commit positions follow real time it reads and commits beyond their positions. So once the oldest running
//! transaction is known, everything up to the greatest position acknowledged before its invocation is settled.

use std::collections::VecDeque;

use hashbrown::HashSet;
use rustc_hash::FxBuildHasher;

/// The acknowledged transaction of the greatest position up to some time.
#[derive(Clone, Debug)]
pub(super) struct Acknowledged<T> {
    /// When it completed.
    pub(super) time: u64,
    /// Where it committed, or read if it wrote nothing.
    pub(super) position: u64,
    pub(super) transaction: T,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Frontier<T> {
    /// Whoever had a greater position than all that were acknowledged before it; times and positions ascend.
    acknowledged: VecDeque<Acknowledged<T>>,
    /// Announced transactions with the time of their invocation, oldest first; those not in `running` are over.
    announced: VecDeque<(u64, u64)>,
    running: HashSet<u64, FxBuildHasher>,
    /// The latest time seen; nothing is announced before it any more. `None` until something was announced.
    now: Option<u64>,
    /// The latest completion of an acknowledged transaction.
    completed: u64,
}

impl<T> Frontier<T> {
    pub(super) fn new() -> Self {
        Self {
            acknowledged: VecDeque::new(),
            announced: VecDeque::new(),
            running: HashSet::default(),
            now: None,
            completed: 0,
        }
    }

    /// Notes that a transaction was invoked. If that is told late, `time` counts as the latest that was seen.
    pub(super) fn invoked(&mut self, id: u64, time: u64) {
        let now = self.now.map_or(time, |now| now.max(time));
        self.now = Some(now);
        if self.running.insert(id) {
            self.announced.push_back((id, now));
        }
    }

    /// Notes that a transaction is over.
    pub(super) fn over(&mut self, id: u64) {
        if self.running.remove(&id) {
            while self.announced.front().is_some_and(|(id, _)| !self.running.contains(id)) {
                self.announced.pop_front();
            }
        }
    }

    /// Notes an acknowledged transaction. Returns whether it comes in the order of completion.
    pub(super) fn acknowledge(&mut self, time: u64, position: u64, transaction: T) -> bool {
        let ordered = time >= self.completed;
        self.completed = self.completed.max(time);
        if self.acknowledged.back().is_none_or(|last| last.position < position) {
            self.acknowledged.push_back(Acknowledged { time: self.completed, position, transaction });
        }
        ordered
    }

    /// Who had the greatest position of those that completed before `time`.
    pub(super) fn before(&self, time: u64) -> Option<&Acknowledged<T>> {
        let newer = self.acknowledged.partition_point(|one| one.time < time);
        newer.checked_sub(1).map(|at| &self.acknowledged[at])
    }

    /// The position up to which everything was told, if transactions are announced, and forgets what nobody asks for
    /// any more.
    pub(super) fn settled(&mut self) -> Option<u64> {
        let oldest = self.announced.front().map(|(_, time)| *time).or(self.now)?;
        while self.acknowledged.get(1).is_some_and(|next| next.time < oldest) {
            self.acknowledged.pop_front();
        }
        self.acknowledged.front().filter(|first| first.time < oldest).map(|first| first.position)
    }

    /// How many transactions are running, as far as they were announced.
    pub(super) fn running(&self) -> usize {
        self.running.len()
    }
}
