//! Writers whose outcome nobody knows and that report no commit position.
//!
//! Such a writer may have committed at any free position within its bounds, or never. The bounds start at its snapshot
//! and close in with every observation. Once a read can only be explained by it, it is *seen*: it certainly committed,
//! and an empty range of positions is a contradiction from then on. A writer that is not seen and has no position left
//! did not commit, and is forgotten; so is one that is overwritten wherever it wrote.

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::positions::Positions;
use crate::history::Transaction;

/// A writer of unknown outcome, by the order in which it was told.
pub(super) type Name = u64;

/// Where a writer committed: after the first and up to the second position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) after: u64,
    pub(super) upto: u64,
}

impl Bounds {
    /// The positions in both.
    pub(super) fn and(self, other: Self) -> Self {
        Self { after: self.after.max(other.after), upto: self.upto.min(other.upto) }
    }

    /// Whether all positions are after `after` and up to `upto`.
    pub(super) fn within(self, after: u64, upto: u64) -> bool {
        self.after >= after && self.upto <= upto
    }
}

/// One writer.
#[derive(Debug)]
pub(super) struct Writer<T> {
    pub(super) transaction: T,
    /// Where it committed if it did.
    pub(super) bounds: Bounds,
    /// Whether it certainly committed.
    pub(super) seen: bool,
    /// In how many keys it may still be read or overwritten.
    keys: usize,
}

/// What becomes of a writer that a known one overwrites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overtaken {
    /// It may still commit later.
    Open,
    /// If it committed, then before.
    Before,
    /// It did not commit.
    Never,
    /// It was seen, and there is no position where it can have committed.
    Contradiction,
}

/// All that are not forgotten.
#[derive(Debug)]
pub(super) struct Unknown<T> {
    writers: HashMap<Name, Writer<T>, FxBuildHasher>,
    next: Name,
}

impl<T: std::ops::Deref<Target = Transaction>> Unknown<T> {
    pub(super) fn new() -> Self {
        Self { writers: HashMap::default(), next: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.writers.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.writers.len()
    }

    /// Adds a writer of `keys` keys, which can only have committed after `after`.
    pub(super) fn add(&mut self, transaction: T, after: u64, keys: usize) -> Name {
        let bounds = Bounds { after: after.max(transaction.snapshot.unwrap_or(0)), upto: u64::MAX };
        let name = self.next;
        self.next += 1;
        self.writers.insert(name, Writer { transaction, bounds, seen: false, keys });
        name
    }

    /// A writer, unless it is forgotten.
    pub(super) fn get(&self, name: Name) -> Option<&Writer<T>> {
        self.writers.get(&name)
    }

    /// The bounds of a writer that certainly committed.
    pub(super) fn seen(&self, name: Name) -> Option<Bounds> {
        self.writers.get(&name).filter(|writer| writer.seen).map(|writer| writer.bounds)
    }

    /// Notes that a writer certainly committed within `bounds`. Returns whether it can have.
    pub(super) fn see(&mut self, name: Name, bounds: Bounds, positions: &Positions) -> bool {
        let Some(writer) = self.writers.get_mut(&name) else { return false };
        let joint = writer.bounds.and(bounds);
        if !positions.free(joint.after, joint.upto) {
            return false;
        }
        (writer.bounds, writer.seen) = (joint, true);
        true
    }

    /// Notes that a writer did not commit after `from` and up to `upto`. Returns whether it can have where it is left.
    pub(super) fn absent(&mut self, name: Name, from: u64, upto: u64, positions: &Positions) -> bool {
        let Some(writer) = self.writers.get_mut(&name) else { return true };
        if writer.bounds.after >= from {
            writer.bounds.after = writer.bounds.after.max(upto);
        }
        !writer.seen || positions.free(writer.bounds.after, writer.bounds.upto)
    }

    /// A known writer that read at `snapshot` commits one of its keys at `commit`. First committer wins, if
    /// `conflicts`: one of them saw the other.
    pub(super) fn overtake(
        &mut self,
        name: Name,
        (snapshot, commit): (u64, u64),
        conflicts: bool,
        positions: &Positions,
    ) -> Overtaken {
        let Some(writer) = self.writers.get_mut(&name) else { return Overtaken::Never };
        let bounds = &mut writer.bounds;
        if conflicts {
            match writer.transaction.snapshot {
                _ if bounds.upto < commit => bounds.upto = bounds.upto.min(snapshot),
                Some(own) if own < commit => bounds.upto = bounds.upto.min(snapshot),
                Some(_) => bounds.after = bounds.after.max(commit),
                None => {}
            }
            if !positions.free(bounds.after, bounds.upto) {
                return if writer.seen { Overtaken::Contradiction } else { Overtaken::Never };
            }
        }
        if writer.bounds.upto < commit { Overtaken::Before } else { Overtaken::Open }
    }

    /// Notes that a writer matters in one key less, and forgets it after the last.
    pub(super) fn leave(&mut self, name: Name) {
        if let Some(writer) = self.writers.get_mut(&name) {
            writer.keys -= 1;
            if writer.keys == 0 {
                self.writers.remove(&name);
            }
        }
    }

    /// Forgets a writer that did not commit.
    pub(super) fn forget(&mut self, name: Name) {
        self.writers.remove(&name);
    }
}
