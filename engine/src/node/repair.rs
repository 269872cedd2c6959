//! Opening a node's log and store, and repairing what its disk has lost.
//!
//! The store holds nothing that the log does not: a damaged one is set aside, and everything is applied again. The log is
//! another matter. It is what the node has promised to the others, so a node that has lost it must not vote until they
//! have given it back what it needs (`raft::amnesia`): its log and its store are set aside, and it begins to recover with
//! empty ones. That is also what happens when the store has applied more than the log holds, for then the log has lost
//! entries.
//!
//! A crash at any moment of this leaves a disk without a log, which is a loss again. A node whose peers are no quorum
//! without it is not repaired, because they could never give it its vote back; there an operator has to decide.

use std::collections::BTreeSet;

use super::machine::Machine;
use super::{Config, Error};
use crate::disk::Disk;
use crate::mvcc::{self, Store};
use crate::raft::{Log, Lost, NodeId, Nonce, Opened, Raft, Recovered};
use crate::storage::{self, Storage};

/// Where the log is on a node's disk.
const DIR: &str = "raft";

/// What is asked of a node's store when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// The store as it is, or an empty one if there is none.
    Kept,
    /// An empty store. What there is, is to be set aside.
    Empty,
}

/// What opening a node has done to its disk, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Nothing was lost.
    Nothing,
    /// The store was damaged, and is built again from the log.
    StoreRebuilt(storage::Error),
    /// The log was lost. The node recovers from its peers, and votes again when they have reinstated it. The reason is not
    /// known when an earlier life has found out, and stopped before its node was open.
    LogLost(Option<Error>),
}

/// Prepares the disk of a new cluster's node, durably, before its first start. A disk that was not formatted counts as one
/// that was wiped. So this must never be done to a disk of a node that has been in use, which may have promised something.
/// A disk that holds a log, or what is left of one, is not changed.
pub fn format<D: Disk>(disk: &D) -> Result<(), storage::Error> {
    Log::format(disk.clone(), DIR)
}

/// A node's log and state machine.
pub(super) struct Parts<D: Disk, S: Storage> {
    pub log: Log<D>,
    pub recovered: Recovered,
    pub machine: Machine<S>,
    pub repair: Repair,
}

/// Opens the log and the store of a node, and repairs what can be.
pub(super) fn open<D: Disk, S: Storage>(
    config: &Config,
    disk: D,
    seed: u64,
    mut open_store: impl FnMut(Freshness) -> Result<S, storage::Error>,
) -> Result<Parts<D, S>, Error> {
    let mut open = |freshness| -> Result<Machine<S>, mvcc::Error> {
        Ok(Machine::new(Store::new(open_store(freshness)?)?, config.flush_every))
    };
    let (lost, reason) = match Log::open(disk, DIR)? {
        Opened::Lost(lost, error) => (lost, error.into()),
        Opened::Whole(log, recovered) => {
            let (machine, repair) = match open(Freshness::Kept) {
                Err(mvcc::Error::Storage(error)) if error.is_loss() => {
                    probe!("a damaged store is built again from the log");
                    tracing::warn!(%error, "the store is damaged: it is set aside, and built again from the log");
                    (open(Freshness::Empty)?, Repair::StoreRebuilt(error))
                }
                machine => (machine?, Repair::Nothing),
            };
            // A log that says nothing but that it was lost has never belonged to an open node.
            let begun = recovered.hard_state.recovering.is_some() && recovered.hard_state.term == 0;
            let repair = if begun { Repair::LogLost(None) } else { repair };
            let (applied, last) = (machine.applied(), recovered.entries.last().map_or(0, |entry| entry.index));
            if applied <= last {
                return Ok(Parts { log, recovered, machine, repair });
            }
            (log.into_lost(), Error::StoreAheadOfLog { applied, last })
        }
    };
    let (log, recovered, machine) = begin_again(config.id, &config.peers, lost, &reason, seed, open)?;
    Ok(Parts { log, recovered, machine, repair: Repair::LogLost(Some(reason)) })
}

/// Begins with an empty log and an empty store, as a node that has forgotten everything.
fn begin_again<D: Disk, S: Storage>(
    id: NodeId,
    peers: &BTreeSet<NodeId>,
    lost: Lost<D>,
    reason: &Error,
    seed: u64,
    mut open: impl FnMut(Freshness) -> Result<Machine<S>, mvcc::Error>,
) -> Result<(Log<D>, Recovered, Machine<S>), Error> {
    if !Raft::can_spare_one(id, peers) {
        return Err(reason.clone());
    }
    tracing::warn!(%reason, "the log is lost: it is set aside, and the node recovers from its peers");
    lost.set_aside()?;
    let machine = open(Freshness::Empty)?;
    assert_eq!(machine.applied(), 0, "an empty store was asked for");
    let (log, recovered) = lost.begin(nonce(seed))?;
    Ok((log, recovered, machine))
}

/// A name for the amnesia that begins in the life with this seed.
fn nonce(seed: u64) -> Nonce {
    // Neighbouring seeds give nonces far apart, and no two seeds but one pair the same one.
    Nonce::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)).unwrap_or(Nonce::MAX)
}
