//! The log in memory: all entries, and how many of them are durable.
//!
//! Invariants, asserted in release builds too: indexes are contiguous, terms never decrease, and only the caller's
//! uncommitted entries are ever replaced. Entries start after a base position, which is 0 until there is compaction.

use super::message::{Entry, Index, NodeId, Nonce, Payload, Term};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct MemoryLog {
    /// The position before the first entry. A compacted log would start later.
    base_index: Index,
    /// The term at `base_index`.
    base_term: Term,
    entries: Vec<Entry>,
    /// Entries up to here are durable.
    persisted: Index,
    /// Which of the entries reinstate a node, in order.
    reinstatements: Vec<(Index, NodeId, Nonce)>,
}

impl MemoryLog {
    /// A log of recovered, durable entries.
    pub(super) fn new(entries: Vec<Entry>) -> Self {
        let mut log =
            Self { base_index: 0, base_term: 0, entries: Vec::new(), persisted: 0, reinstatements: Vec::new() };
        log.entries.reserve_exact(entries.len());
        for entry in entries {
            log.push(entry);
        }
        log.mark_persisted();
        log
    }

    pub(super) fn last_index(&self) -> Index {
        self.base_index + self.entries.len() as u64
    }

    pub(super) fn last_term(&self) -> Term {
        self.entries.last().map_or(self.base_term, |entry| entry.term)
    }

    /// The last durable position.
    pub(super) fn persisted_index(&self) -> Index {
        self.persisted
    }

    /// The entries that are not durable yet.
    pub(super) fn unpersisted(&self) -> &[Entry] {
        &self.entries[self.offset(self.persisted + 1)..]
    }

    pub(super) fn mark_persisted(&mut self) {
        self.persisted = self.last_index();
    }

    /// The entry at an index, if the log holds it.
    pub(super) fn get(&self, index: Index) -> Option<&Entry> {
        let offset = index.checked_sub(self.base_index + 1)?;
        self.entries.get(usize::try_from(offset).ok()?)
    }

    /// The term at an index, or `None` when the log does not know it: past its end, or compacted. Never a made-up term
    /// that could match by accident.
    pub(super) fn term(&self, index: Index) -> Option<Term> {
        if index == self.base_index { Some(self.base_term) } else { self.get(index).map(|entry| entry.term) }
    }

    /// The entries of a range, both ends included. Panics when the log does not hold them all.
    pub(super) fn range(&self, from: Index, to: Index) -> &[Entry] {
        if from > to {
            return &[];
        }
        assert!(from > self.base_index && to <= self.last_index(), "entries {from}..={to} are not in the log");
        &self.entries[self.offset(from)..self.offset(to + 1)]
    }

    /// Entries from an index on, at most `max_entries` and `max_bytes`, but at least one if there is one.
    pub(super) fn batch(&self, from: Index, max_entries: usize, max_bytes: usize) -> &[Entry] {
        let rest = &self.entries[self.offset(from)..];
        let mut bytes = 0;
        let count = rest
            .iter()
            .take(max_entries)
            .take_while(|entry| {
                let first = bytes == 0;
                bytes += entry.size();
                first || bytes <= max_bytes
            })
            .count();
        &rest[..count]
    }

    /// The first entry that has the same term as the one at `index`.
    pub(super) fn first_of_term(&self, index: Index) -> Index {
        let term = self.term(index).expect("the index is in the log");
        self.base_index + 1 + self.entries.partition_point(|entry| entry.term < term) as u64
    }

    /// The last entry of a term among those up to `index`.
    pub(super) fn last_of_term(&self, term: Term, index: Index) -> Option<Index> {
        let entries = &self.entries[..self.offset(index + 1)];
        let count = entries.partition_point(|entry| entry.term <= term);
        let entry = entries[..count].last()?;
        (entry.term == term).then_some(entry.index)
    }

    /// The first entry that ends this amnesia of a node.
    pub(super) fn reinstatement(&self, node: NodeId, nonce: Nonce) -> Option<Index> {
        let found = self.reinstatements.iter().find(|&&(_, of, ends)| (of, ends) == (node, nonce));
        found.map(|&(index, ..)| index)
    }

    /// Appends one entry.
    pub(super) fn push(&mut self, entry: Entry) {
        assert_eq!(entry.index, self.last_index() + 1, "log indexes are contiguous");
        assert!(entry.term >= self.last_term(), "terms never decrease along the log");
        if let Payload::Reinstate { node, nonce } = entry.payload {
            self.reinstatements.push((entry.index, node, nonce));
        }
        self.entries.push(entry);
    }

    /// Removes the entries from `index` on.
    pub(super) fn truncate_from(&mut self, index: Index) {
        self.entries.truncate(self.offset(index));
        self.reinstatements.truncate(self.reinstatements.partition_point(|&(at, ..)| at < index));
        self.persisted = self.persisted.min(index - 1);
    }

    /// Where an index is (or would be) in `entries`.
    fn offset(&self, index: Index) -> usize {
        assert!(index > self.base_index && index <= self.last_index() + 1, "index {index} is outside the log");
        (index - self.base_index - 1) as usize
    }
}
