//! The log in memory.

use super::{Entry, Index, Term};

/// Contiguous entries. The first has index `offset + 1`; entries up to the offset are of the past (none are, so far).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entries {
    offset: Index,
    entries: Vec<Entry>,
}

impl Entries {
    pub fn new(entries: Vec<Entry>) -> Self {
        for (position, entry) in entries.iter().enumerate() {
            assert_eq!(entry.index, position as Index + 1, "the log's entries are contiguous");
        }
        Self { offset: 0, entries }
    }

    pub fn last_index(&self) -> Index {
        self.offset + self.entries.len() as Index
    }

    pub fn last_term(&self) -> Term {
        self.entries.last().map_or(0, |entry| entry.term)
    }

    pub fn get(&self, index: Index) -> Option<&Entry> {
        self.entries.get(usize::try_from(index.checked_sub(self.offset + 1)?).ok()?)
    }

    /// The term of the entry at an index; 0 at index 0. `None` if there is no such entry.
    pub fn term(&self, index: Index) -> Option<Term> {
        if index == 0 { Some(0) } else { self.get(index).map(|entry| entry.term) }
    }

    /// The entries from `from` to `to`, both included; those that exist.
    pub fn slice(&self, from: Index, to: Index) -> &[Entry] {
        let end = (to.min(self.last_index()).saturating_sub(self.offset)) as usize;
        let start = (from.saturating_sub(self.offset + 1) as usize).min(end);
        &self.entries[start..end]
    }

    pub fn push(&mut self, entry: Entry) {
        assert_eq!(entry.index, self.last_index() + 1, "an entry follows the last one");
        assert!(entry.term >= self.last_term(), "terms do not decrease along the log");
        self.entries.push(entry);
    }

    /// Drops the entries after `index`.
    pub fn truncate(&mut self, index: Index) {
        self.entries.truncate((index - self.offset) as usize);
    }

    /// The first index of the run of entries that have the same term as the one at `index`.
    pub fn first_of_term_at(&self, index: Index) -> Index {
        let term = self.term(index);
        let before = self.slice(1, index).iter().rev().take_while(|entry| Some(entry.term) == term).count();
        index + 1 - before as Index
    }

    /// The last index at or before `limit` whose entry has a term of at most `term`; 0 if there is none.
    pub fn last_up_to_term(&self, term: Term, limit: Index) -> Index {
        self.slice(1, limit).partition_point(|entry| entry.term <= term) as Index + self.offset
    }
}
