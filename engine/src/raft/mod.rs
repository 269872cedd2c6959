//! Raft (Ongaro & Ousterhout, 2014) as plain data, and the log on disk that makes it durable.
//!
//! [`Raft`] is one node of the protocol: it takes ticks, messages, proposals and reads, and gives out messages, entries
//! to store and confirmed reads. It does no I/O and knows no time but [`Raft::tick`], so it can be cloned, compared and
//! hashed. [`Log`] stores what [`Raft::unpersisted`] shows. The host (the node layer) moves data between them, always
//! in this order, which is what makes a promise durable before anyone hears of it:
//!
//! 1. any number of inputs: [`Raft::tick`], [`Raft::step`], [`Raft::propose`], [`Raft::read`];
//! 2. while [`Raft::unpersisted`] shows something: append it, sync, [`Raft::persisted`];
//! 3. [`Raft::take_messages`] and [`Raft::take_reads`]; entries up to [`Raft::commit_index`] may be applied.
//!
//! A leader decides what to replicate only in step 3, so that all inputs of one turn share a sync, an append for each
//! peer, and a round of reads.
//!
//! What is in: pre-vote and check-quorum (Ongaro's thesis, 9.6 and 6.2), replication with conflict hints and bounded
//! pipelining, ReadIndex in shared rounds (thesis, 6.4). Membership is a fixed set, held as data in one place. Not in:
//! snapshots, log compaction, membership change and leadership transfer.
//!
//! A node that has lost its log has forgotten what it promised. [`Log::open`] or [`Raft::step`] find that out, and the host
//! gives the log up ([`Lost`]) and begins a new one. The node then follows without a vote, until its peers have committed
//! an entry that gives it its vote back; `amnesia` tells how, and why that is safe. It takes a quorum without the node,
//! so clusters of one or two cannot do it ([`Raft::can_spare_one`]).

mod amnesia;
mod config;
mod core;
mod election;
mod log;
mod memory;
mod message;
mod read;
mod record;
mod recovery;
mod replication;
#[cfg(test)]
mod tests;

pub use self::core::{NotLeader, Options, Raft, Role, Unpersisted};
pub use amnesia::Forgot;
pub use log::{Log, Lost, Opened, Recovered};
pub use message::{Append, Entry, Envelope, HardState, Index, Message, NodeId, Nonce, Payload, Term};
