//! Commands: what the Raft log replicates, and what applying one decides.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::protocol::ClientId;
use crate::encoding;
use crate::mvcc::{Commit, Time, Version};
use crate::sql::Output;

/// A replicated command. Everything that applying it depends on is inside it or in replicated state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Commits a transaction if its writes and validated reads meet no newer version.
    Commit {
        /// The client.
        client: ClientId,
        /// The client's number of the transaction.
        transaction: u64,
        /// What to answer, now and to every retry.
        output: Output,
        /// Snapshot, writes and validated reads.
        commit: Commit,
    },
    /// Settles a transaction whose COMMIT went unanswered: if it has not been applied so far, it never will be.
    Resolve {
        /// The client.
        client: ClientId,
        /// The client's number of the transaction.
        transaction: u64,
    },
    /// Garbage-collects the versions that no snapshot at or above `watermark` sees.
    Collect {
        /// The oldest position that stays readable.
        watermark: Version,
    },
    /// As `Commit`, by a gateway that knows what time it is.
    CommitAt {
        /// What the gateway's clock said.
        time: Time,
        /// The client.
        client: ClientId,
        /// The client's number of the transaction.
        transaction: u64,
        /// What to answer, now and to every retry.
        output: Output,
        /// Snapshot, writes and validated reads.
        commit: Commit,
    },
    /// Lets no later commit have an earlier time, so that it is known what was there at that time.
    Advance {
        /// The time.
        time: Time,
    },
}

impl Command {
    /// Encodes the command for the log.
    pub fn encode(&self) -> Result<Arc<[u8]>, encoding::Error> {
        Ok(encoding::value::serialize(self)?.into())
    }

    /// Decodes a command.
    pub fn decode(bytes: &[u8]) -> Result<Self, encoding::Error> {
        encoding::value::deserialize(bytes)
    }
}

/// The fate of a transaction, the same on every replica, and remembered for the client's retries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// It committed.
    Committed {
        /// The position that it read at. Of several attempts this is the one that committed.
        snapshot: Version,
        /// The log position.
        version: Version,
        /// What the client is answered.
        output: Output,
    },
    /// It did not commit and never will.
    Aborted(Abort),
}

/// Why a transaction did not commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Abort {
    /// Another transaction committed a write to a key that this one wrote (first committer wins), or read under
    /// validation.
    Conflict {
        /// Where the other one committed.
        version: Version,
        /// Whether the key was written (else read).
        written: bool,
    },
    /// Its snapshot fell behind the garbage-collection watermark.
    TooOld {
        /// The watermark.
        watermark: Version,
    },
    /// Its client gave it up before it was applied.
    Resolved,
    /// The client has since finished a later transaction.
    Superseded,
}
