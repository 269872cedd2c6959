//! Orrery's database engine: storage, MVCC transactions, Raft and SQL as one deterministic state machine.
//!
//! The engine does no I/O of its own: time, messages, a [`disk::Disk`] and a seed come in, messages and replies go
//! out. A host (the simulator, or a server) moves bytes and time. Each module knows only those above it in this list.

#[cfg(test)]
#[macro_use]
mod golden;

#[macro_use]
pub mod probe;

mod mix;

pub mod buggify;
pub mod disk;
pub mod encoding;
pub mod storage;

pub mod mvcc;
pub mod raft;

pub mod sql;

pub mod node;

pub mod database;

pub use database::Database;
