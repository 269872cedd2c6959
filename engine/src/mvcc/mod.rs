//! Multi-version concurrency control where **a version is a log position**: the writes of the Raft entry at index `v`
//! become versions `v` of their keys, a snapshot is a log index, and reading at `v` sees every version up to `v`.

mod layout;
mod reads;
mod scan;
mod store;
mod txn;
mod view;

pub use store::Store;
pub use txn::{Commit, Conflict, Txn};
pub use view::View;

use crate::storage::{self, KeyRange, Pair};

/// A commit position: the index of the Raft entry that wrote a version. 0 is before everything.
pub type Version = u64;

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

/// A place to return to within a transaction's writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Savepoint(usize);

/// A running transaction, as the SQL layer sees it: a consistent snapshot under the transaction's own writes.
pub trait Transaction {
    /// Reads a key.
    fn get(&self, key: &[u8], read: Read) -> Result<Option<Vec<u8>>, Error>;
    /// Scans a range; the iterator goes both ways and includes own writes.
    fn scan(&self, range: KeyRange, read: Read) -> Result<Scan<'_>, Error>;
    /// Buffers a write. An error in a read-only transaction.
    fn set(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), Error>;
    /// Buffers a removal. An error in a read-only transaction.
    fn delete(&mut self, key: Vec<u8>) -> Result<(), Error>;
    /// Marks the present state of the writes.
    fn savepoint(&self) -> Savepoint;
    /// Undoes all writes since the mark. Recorded reads stay, since the caller has seen their answers.
    fn rollback_to(&mut self, savepoint: Savepoint);
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
    /// The store failed; the process must stop.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

#[cfg(test)]
mod tests;
