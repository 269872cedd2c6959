//! What clients are answered: what statements gave, and what became of transactions.

use super::command::{Abort, Outcome};
use super::protocol::ReplyBody;
use crate::mvcc::Version;
use crate::sql::{self, Output, SqlState};

/// The answer to a statement that is done.
pub(super) fn executed(output: Output, snapshot: Option<Version>) -> ReplyBody {
    ReplyBody::Executed { output, snapshot, committed: None }
}

/// The answer that tells a transaction's fate. `error` is what this attempt met, in case that none committed.
pub(super) fn settled(outcome: Outcome, error: Option<sql::Error>) -> ReplyBody {
    match outcome {
        Outcome::Committed { snapshot, version, output } => {
            ReplyBody::Executed { output, snapshot: Some(snapshot), committed: Some(version) }
        }
        Outcome::Aborted(abort) => ReplyBody::Failed(error.unwrap_or_else(|| abort.into())),
    }
}

impl From<Abort> for sql::Error {
    fn from(abort: Abort) -> Self {
        let (state, message) = match abort {
            Abort::Conflict { version, written: true } => (
                SqlState::SERIALIZATION_FAILURE,
                format!("a row that the transaction wrote was changed at position {version}, after its snapshot"),
            ),
            Abort::Conflict { version, written: false } => (
                SqlState::SERIALIZATION_FAILURE,
                format!("what the transaction read was changed at position {version}, after its snapshot"),
            ),
            Abort::TooOld { watermark } => (
                SqlState::SNAPSHOT_TOO_OLD,
                format!("the transaction's snapshot is older than the garbage-collection watermark {watermark}"),
            ),
            Abort::Resolved => (
                SqlState::TRANSACTION_ROLLBACK,
                "the transaction was lost with its gateway before it committed".to_string(),
            ),
            Abort::Superseded => (
                SqlState::STATEMENT_COMPLETION_UNKNOWN,
                "the client has since finished a later transaction, so the fate of this one is no longer known"
                    .to_string(),
            ),
        };
        Self::new(state, message).with_hint("begin again")
    }
}
