//! Multi-version concurrency control where **a version is a log position**: the writes of the Raft entry at index `v`
//! become versions `v` of their keys, a snapshot is a log index, and reading at `v` sees every version up to `v`.

mod cursor;
mod layout;
mod past;
mod reads;
mod scan;
mod store;
mod txn;
mod view;

use std::borrow::Cow;
use std::rc::Rc;

pub use past::Past;
pub use store::Store;
pub use txn::{Commit, Conflict, Txn};
pub use view::View;

use crate::storage::{self, KeyRange, Pair};

/// A commit position: the index of the Raft entry that wrote a version. 0 is before everything.
pub type Version = u64;

/// A time that a commit has, in units and from a moment that the caller chooses: milliseconds since 1970. 0 is before every
/// commit.
pub type Time = u64;

/// Why a transaction reads a key, which decides whether the commit validates the read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Read {
    /// The schema: always validated, so that no statement outruns a schema change.
    Schema,
    /// A constraint (unique probe): always validated, so that no interleaving breaks a constraint.
    Constraint,
    /// Rows: validated under [`Isolation::Serializable`] only.
    Data,
}

/// How isolated a transaction is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Isolation {
    /// Each statement reads at a snapshot of its own. What was written before stays validated.
    ReadCommitted,
    /// Snapshot isolation: first committer wins; write skew is possible.
    #[default]
    Snapshot,
    /// Every read is validated at commit.
    Serializable,
}

/// What a write makes of a key: a value, or `None` for a removal.
type Change = Option<Vec<u8>>;

/// An iterator over visible keys and values.
pub type Scan<'a> = Box<dyn DoubleEndedIterator<Item = Result<Pair, Error>> + 'a>;

/// A key and its value, lent.
pub type Lent<'a> = (&'a [u8], &'a [u8]);

/// Visible keys and values one after the other, lent until the next one is asked for: cheaper than a [`Scan`], which
/// copies each.
pub trait Cursor {
    /// The next key and its value. The key is empty unless it is asked for.
    fn next(&mut self, with_key: bool) -> Result<Option<Lent<'_>>, Error>;
}

/// A store as of a position, which is what it is for as long as it can be read. Two are equal if they are of the same store and position.
#[derive(Clone, Debug)]
pub struct Snapshot {
    store: Rc<()>,
    position: Version,
}

impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        self.position == other.position && Rc::ptr_eq(&self.store, &other.store)
    }
}

impl Eq for Snapshot {}

/// A place to return to within a transaction's writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Savepoint(usize);

/// A number for a row: the snapshot of the transaction that made it, how many it had made before, and who the transaction
/// is. Of two transactions at the same snapshot, no two have the same identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowNumber {
    /// The position that the transaction reads at.
    pub snapshot: Version,
    /// How many numbers the transaction had given.
    pub count: u64,
    /// The transaction: its client, and the client's number for it.
    pub transaction: (u64, u64),
}

/// A running transaction, as the SQL layer sees it: a consistent snapshot under the transaction's own writes.
pub trait Transaction {
    /// Reads a key.
    fn get(&self, key: &[u8], read: Read) -> Result<Option<Vec<u8>>, Error>;
    /// As [`Transaction::get`], without a copy of what is at hand.
    fn read(&self, key: &[u8], read: Read) -> Result<Option<Cow<'_, [u8]>>, Error> {
        Ok(self.get(key, read)?.map(Cow::Owned))
    }
    /// Scans a range; the iterator goes both ways and includes own writes.
    fn scan(&self, range: KeyRange, read: Read) -> Result<Scan<'_>, Error>;
    /// As [`Transaction::scan`], in one direction and without copies.
    fn cursor(&self, range: KeyRange, reverse: bool, read: Read) -> Result<Box<dyn Cursor + '_>, Error> {
        Ok(Box::new(cursor::Pairs::new(self.scan(range, read)?, reverse)))
    }
    /// Buffers a write. An error in a read-only transaction.
    fn set(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), Error>;
    /// Buffers a removal. An error in a read-only transaction.
    fn delete(&mut self, key: Vec<u8>) -> Result<(), Error>;
    /// Marks the present state of the writes.
    fn savepoint(&self) -> Savepoint;
    /// Undoes all writes since the mark. Recorded reads stay, since the caller has seen their answers.
    fn rollback_to(&mut self, savepoint: Savepoint);
    /// What it reads, if that is a snapshot without writes of its own, and its commit validates no reads: two transactions
    /// that have the same one read the same, and what is known of it need not be read again.
    fn snapshot(&self) -> Option<Snapshot> {
        None
    }
    /// How isolated it is, and whether it only reads.
    fn modes(&self) -> (Isolation, bool);
    /// What it saw at a savepoint, without what it has written since. A view that takes no writes.
    fn past<'a>(&'a self, past: &'a mut Past) -> Box<dyn Transaction + 'a>;
    /// A number for a row that has no other key: one that no other transaction can give, and greater than those that this
    /// one has given.
    fn fresh_row(&mut self) -> RowNumber;
}

/// Why a read or a write within a transaction fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The transaction was opened READ ONLY.
    #[error("cannot write in a read-only transaction")]
    ReadOnly,
    /// The snapshot is older than what garbage collection has kept.
    #[error("snapshot {snapshot} is too old: versions below {watermark} were garbage-collected")]
    SnapshotTooOld {
        /// The transaction's snapshot.
        snapshot: Version,
        /// The oldest readable position.
        watermark: Version,
    },
    /// A position that has not been reached.
    #[error("version {version} is in the future: the latest is {latest}")]
    Future {
        /// The position asked for.
        version: Version,
        /// The latest position there is.
        latest: Version,
    },
    /// A time that garbage collection has forgotten.
    #[error("the time is too old: positions below {watermark} were garbage-collected")]
    TimeTooOld {
        /// The oldest readable position.
        watermark: Version,
    },
    /// The transaction has done something already.
    #[error("the transaction has begun to read or write: its modes are what they are")]
    Running,
    /// The store failed; the process must stop.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

#[cfg(test)]
mod tests;
