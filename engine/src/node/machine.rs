//! The replicated state machine: applies committed log entries, in order, to the versioned store.
//!
//! Applying is a pure function of replicated state and the entry, so every replica decides alike. Each entry becomes
//! one storage batch that holds its effects, the client's transaction number and the applied position: after a crash
//! an entry has either happened with all of that or not at all, and a retried commit is answered from the record of
//! the first one. An entry that does not decode is a bug or a corruption, and stops the node.

use serde::{Deserialize, Serialize};

use super::command::{Abort, Command, Outcome};
use super::protocol::ClientId;
use crate::encoding::value;
use crate::mvcc::{self, Commit, Conflict, Store, Time, Version};
use crate::raft::{Entry, Index, Payload};
use crate::sql::Output;
use crate::storage::{self, Storage};

/// The last finished transaction of a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    transaction: u64,
    outcome: Outcome,
}

/// What applying an entry decided about a client's transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The client.
    pub client: ClientId,
    /// Its transaction.
    pub transaction: u64,
    /// The transaction's fate.
    pub outcome: Outcome,
}

/// What applying an entry decided about a client's transaction, without the answer: for those who watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The client.
    pub client: ClientId,
    /// Its transaction.
    pub transaction: u64,
    /// Where it committed, or why it did not.
    pub fate: Result<Version, Abort>,
}

impl Decided {
    /// A stable digest of what an entry decided, if it was about a transaction, to compare replicas.
    pub fn digest(decided: Option<&Self>) -> u64 {
        let Some(Self { client, transaction, fate }) = decided else { return 0 };
        let (kind, position) = match fate {
            Ok(version) => (1, *version),
            Err(Abort::Conflict { version, written }) => (2 + u64::from(*written), *version),
            Err(Abort::TooOld { watermark }) => (4, *watermark),
            Err(Abort::Resolved) => (5, 0),
            Err(Abort::Superseded) => (6, 0),
        };
        [*client, *transaction, kind, position]
            .into_iter()
            .fold(0xcbf2_9ce4_8422_2325, |hash, part| (hash ^ part).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23))
    }
}

impl From<&Applied> for Decided {
    fn from(Applied { client, transaction, outcome }: &Applied) -> Self {
        let fate = match outcome {
            Outcome::Committed { version, .. } => Ok(*version),
            Outcome::Aborted(abort) => Err(abort.clone()),
        };
        Self { client: *client, transaction: *transaction, fate }
    }
}

/// The state machine over a store.
pub struct Machine<S: Storage> {
    store: Store<S>,
    flush_every: u64,
    unflushed: u64,
}

impl<S: Storage> Machine<S> {
    /// A machine that goes on from what `store` holds, and flushes it after every `flush_every` entries.
    pub fn new(store: Store<S>, flush_every: u64) -> Self {
        assert!(flush_every > 0, "flush_every must be at least 1");
        Self { store, flush_every, unflushed: 0 }
    }

    /// The versioned store.
    pub fn store(&self) -> &Store<S> {
        &self.store
    }

    /// The index of the last applied entry.
    pub fn applied(&self) -> Index {
        self.store.applied()
    }

    /// Applies the next entry. Returns what it decided, if it was about a transaction.
    pub fn apply(&mut self, entry: &Entry) -> Result<Option<Applied>, mvcc::Error> {
        assert_eq!(entry.index, self.applied() + 1, "entries are applied in order, each once");
        let decided = match &entry.payload {
            // Who votes is no matter of the state machine.
            Payload::Empty | Payload::Reinstate { .. } => {
                self.store.commit(entry.index, [], [])?;
                None
            }
            Payload::Command(command) => match Command::decode(command).map_err(storage::Error::from)? {
                Command::Commit { client, transaction, output, commit } => {
                    Some(self.commit(entry.index, None, client, transaction, output, commit)?)
                }
                Command::CommitAt { time, client, transaction, output, commit } => {
                    Some(self.commit(entry.index, Some(time), client, transaction, output, commit)?)
                }
                Command::Advance { time } => {
                    self.store.commit_at(Some(time), entry.index, [], [])?;
                    None
                }
                Command::Resolve { client, transaction } => Some(self.resolve(entry.index, client, transaction)?),
                Command::Collect { watermark } => {
                    self.collect(entry.index, watermark)?;
                    None
                }
            },
        };
        self.unflushed += 1;
        if self.unflushed >= self.flush_every {
            self.flush()?;
        }
        Ok(decided)
    }

    /// Makes what was applied durable.
    pub fn flush(&mut self) -> Result<(), mvcc::Error> {
        self.store.storage_mut().flush()?;
        self.unflushed = 0;
        Ok(())
    }

    /// The remembered fate of a client's transaction: `None` when it is not finished (so far).
    pub fn outcome(&self, client: ClientId, transaction: u64) -> Result<Option<Outcome>, mvcc::Error> {
        let Some(record) = self.record(client)? else { return Ok(None) };
        Ok(match record.transaction.cmp(&transaction) {
            std::cmp::Ordering::Less => None,
            std::cmp::Ordering::Equal => Some(record.outcome),
            std::cmp::Ordering::Greater => {
                probe!("a transaction is older than the last one of its client");
                Some(Outcome::Aborted(Abort::Superseded))
            }
        })
    }

    fn commit(
        &mut self,
        index: Index,
        time: Option<Time>,
        client: ClientId,
        transaction: u64,
        output: Output,
        commit: Commit,
    ) -> Result<Applied, mvcc::Error> {
        if let Some(outcome) = self.outcome(client, transaction)? {
            probe!("a retried commit was answered from the table");
            self.store.commit(index, [], [])?;
            return Ok(Applied { client, transaction, outcome });
        }
        let (outcome, writes) = match self.store.validate(&commit)? {
            Ok(()) => {
                let Commit { snapshot, writes, .. } = commit;
                (Outcome::Committed { snapshot, version: index, output }, writes)
            }
            Err(conflict) => {
                match conflict {
                    Conflict::Write { .. } => probe!("a write lost against an earlier commit"),
                    Conflict::Read { .. } => {}
                    Conflict::TooOld { .. } => {
                        probe!("a snapshot is older than the watermark when its transaction commits");
                    }
                }
                (Outcome::Aborted(conflict.into()), Vec::new())
            }
        };
        let record = Self::encode(client, transaction, &outcome)?;
        self.store.commit_at(time, index, writes, [record])?;
        Ok(Applied { client, transaction, outcome })
    }

    fn resolve(&mut self, index: Index, client: ClientId, transaction: u64) -> Result<Applied, mvcc::Error> {
        if let Some(outcome) = self.outcome(client, transaction)? {
            probe!("a transaction in doubt was settled before its question came");
            self.store.commit(index, [], [])?;
            return Ok(Applied { client, transaction, outcome });
        }
        probe!("a transaction that was lost with its gateway is aborted for good");
        let outcome = Outcome::Aborted(Abort::Resolved);
        let record = Self::encode(client, transaction, &outcome)?;
        self.store.commit(index, [], [record])?;
        Ok(Applied { client, transaction, outcome })
    }

    fn collect(&mut self, index: Index, watermark: Version) -> Result<(), mvcc::Error> {
        if watermark <= self.store.watermark() || watermark >= index {
            probe!("the watermark was there already");
            return self.store.commit(index, [], []);
        }
        let removed = self.store.collect(index, watermark)?;
        tracing::debug!(index, watermark, removed, "collected old versions");
        Ok(())
    }

    fn record(&self, client: ClientId) -> Result<Option<Record>, mvcc::Error> {
        let Some(bytes) = self.store.get_meta(&Self::record_key(client))? else { return Ok(None) };
        Ok(Some(value::deserialize(&bytes).map_err(storage::Error::from)?))
    }

    fn record_key(client: ClientId) -> Vec<u8> {
        let mut key = b"client/".to_vec();
        key.extend_from_slice(&client.to_be_bytes());
        key
    }

    fn encode(
        client: ClientId,
        transaction: u64,
        outcome: &Outcome,
    ) -> Result<(Vec<u8>, Option<Vec<u8>>), mvcc::Error> {
        let record = Record { transaction, outcome: outcome.clone() };
        Ok((Self::record_key(client), Some(value::serialize(&record).map_err(storage::Error::from)?)))
    }
}

impl From<Conflict> for Abort {
    fn from(conflict: Conflict) -> Self {
        match conflict {
            Conflict::Write { version, .. } => Self::Conflict { version, written: true },
            Conflict::Read { version, .. } => Self::Conflict { version, written: false },
            Conflict::TooOld { watermark } => Self::TooOld { watermark },
        }
    }
}
