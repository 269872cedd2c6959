//! The database in a process: the same SQL and transactions as in a cluster, on one node without Raft.
//!
//! ```
//! use engine::Database;
//! use engine::sql::Output;
//!
//! let database = Database::in_memory();
//! let mut session = database.session();
//! session.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, 'one')")?;
//! let select = session.prepare("SELECT name FROM t WHERE id = $1")?;
//! let Output::Select { rows, .. } = session.run(&select, &[1.into()])? else { unreachable!() };
//! assert_eq!(rows, [["one".into()]]);
//! # Ok::<(), engine::sql::Failure>(())
//! ```
//!
//! Sessions share the database within one thread, and their transactions may interleave as they like: the first of two
//! that conflict to commit wins, and the other one fails with 40001. A statement outside of a transaction is one of its
//! own. A commit is durable when it returns, unless [`DatabaseOptions::sync`] is off.

mod session;

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;

use crate::disk::{Disk, OsDisk};
use crate::mvcc::{Store, Time, Version};
use crate::sql::executor::{Clock, DiskSpill, Spill};
use crate::sql::functions::{Registry, Scalar};
use crate::sql::{self, Failure, Options};
use crate::storage::{self, BitCask, BitCaskOptions, Memory, Storage};

pub use crate::sql::Prepared;
pub use session::Session;

/// How a database keeps its data.
#[derive(Clone, Copy, Debug)]
pub struct DatabaseOptions {
    /// Whether a commit is durable before it returns.
    pub sync: bool,
    /// How many commits back AS OF SYSTEM TIME can read. Older versions of rows are removed from time to time.
    pub history: u64,
    /// How statements are run.
    pub statements: Options,
    /// What time it is, for AS OF SYSTEM TIME: milliseconds since the beginning of 1970, UTC. Without it, commits have no
    /// time, and the past is found by position.
    pub time: Option<fn() -> Time>,
    /// What EXPLAIN ANALYZE tells the time by; without it, it tells none. The engine has no clock of its own.
    pub clock: Option<Clock>,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self { sync: true, history: 10_000, statements: Options::default(), time: None, clock: None }
    }
}

/// A database. Clones are the same one.
pub struct Database<S: Storage>(Rc<Shared<S>>);

/// What the sessions of a database share.
struct Shared<S: Storage> {
    store: RefCell<Store<S>>,
    functions: RefCell<Registry>,
    options: DatabaseOptions,
    next_session: Cell<u64>,
    /// The snapshots of open transactions, in order.
    snapshots: RefCell<Vec<Version>>,
    /// No commit has an earlier time than this one: somebody has read what was there before.
    passed: Cell<Time>,
    /// Versions written since the last garbage collection.
    written: Cell<u64>,
    /// Where what does not fit into memory goes, if anywhere.
    spill: Option<Box<dyn Spill>>,
}

impl Database<Memory> {
    /// An empty database that is gone with the last session.
    pub fn in_memory() -> Self {
        Self::on(Memory::new(), DatabaseOptions::default()).unwrap_or_else(|error| unreachable!("it is empty: {error}"))
    }
}

impl Database<BitCask<OsDisk>> {
    /// Opens the database in a directory, which is made if there is none. One process at a time can have it open.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Failure> {
        Self::open_with(path, DatabaseOptions::default())
    }

    /// As [`Database::open`], with options.
    pub fn open_with(path: impl AsRef<Path>, options: DatabaseOptions) -> Result<Self, Failure> {
        Self::on_disk(OsDisk::create(path.as_ref()).map_err(storage::Error::from)?, options)
    }
}

impl<D: Disk + 'static> Database<BitCask<D>> {
    /// Opens the database of a disk. Nothing else may be on it.
    pub fn on_disk(disk: D, options: DatabaseOptions) -> Result<Self, Failure> {
        let spill = DiskSpill::open(disk.clone(), "temporary").map_err(storage::Error::from)?;
        Self::with(BitCask::open(disk, "data", BitCaskOptions::default())?, options, Some(Box::new(spill)))
    }
}

impl<S: Storage> Clone for Database<S> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<S: Storage> Database<S> {
    /// A database on any storage. It has no temporary files, so a statement that needs more memory than it may have fails.
    pub fn on(storage: S, options: DatabaseOptions) -> Result<Self, Failure> {
        Self::with(storage, options, None)
    }

    fn with(storage: S, options: DatabaseOptions, spill: Option<Box<dyn Spill>>) -> Result<Self, Failure> {
        let (functions, snapshots, passed, written) = Default::default();
        let store = RefCell::new(Store::new(storage)?);
        let next_session = Cell::new(1);
        Ok(Self(Rc::new(Shared { store, functions, options, next_session, snapshots, passed, written, spill })))
    }

    /// A new session.
    pub fn session(&self) -> Session<S> {
        let number = self.0.next_session.get();
        self.0.next_session.set(number + 1);
        Session::new(Rc::clone(&self.0), number)
    }

    /// Adds a function that statements can call. It must be pure: the same arguments, the same value.
    pub fn add_function(&self, function: &'static Scalar) -> Result<(), sql::Error> {
        self.0.functions.borrow_mut().add(function)
    }

    /// The position of the last commit, which AS OF SYSTEM TIME can name.
    pub fn position(&self) -> Version {
        self.0.store.borrow().applied()
    }
}
