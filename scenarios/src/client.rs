//! What a workload needs of a database: one session that executes SQL.
//!
//! An implementation finds a node to talk to, waits, retries while it is safe, and in the end says *ok*, *failed* or
//! *unknown*. It must never say *failed* of what may still happen: checkers rely on it.

use engine::sql::types::Value;
use engine::sql::{self, Output};

/// One session of one client. Calls come one at a time.
///
/// `BEGIN`, `COMMIT` and `ROLLBACK` go through [`Client::execute`] like everything else; a statement outside of `BEGIN` and
/// `COMMIT` is a transaction of its own. After a statement within a transaction has failed, the workload sends
/// `ROLLBACK`, which an implementation may answer by itself when the transaction is lost already.
#[expect(async_fn_in_trait, reason = "a universe is single-threaded: futures need not be Send")]
pub trait Client {
    /// The client's id, unique in the scenario.
    fn id(&self) -> u64;
    /// The time, in nanoseconds of a clock that all clients share.
    fn now(&self) -> u64;
    /// Executes one statement with its parameters `$1`, `$2` and so on.
    ///
    /// A transaction's gateway that is lost before `COMMIT` was sent is [`Failure::Failed`]: nothing of it can happen any
    /// more. A lost answer to `COMMIT`, or to a writing statement that is its own transaction, is [`Failure::Unknown`]
    /// unless the implementation finds out what became of it.
    async fn execute(&mut self, sql: &str, params: &[Value]) -> Result<Executed, Failure>;
    /// Waits.
    async fn sleep(&mut self, duration_us: u64);
}

/// A statement's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Executed {
    /// What it returned.
    pub output: Output,
    /// The log position that its transaction reads at, when it is known.
    pub snapshot: Option<u64>,
    /// The log position of its transaction's commit, on the statement that committed writes.
    pub committed: Option<u64>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    /// It certainly did not and will not happen.
    #[error(transparent)]
    Failed(sql::Error),
    /// It may have happened, or may happen yet.
    #[error("outcome unknown: {reason}")]
    Unknown {
        /// What the client waited for in vain.
        reason: String,
    },
}
