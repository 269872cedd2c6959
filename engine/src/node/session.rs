//! Sessions: what a gateway knows of one connected client.

use std::rc::Rc;
use std::sync::Arc;

use super::protocol::{Reply, ReplyBody};
use crate::mvcc::Time;
use crate::sql::{self, Block, Prepared, Variables, types::Value};

/// A connected client.
pub(super) struct Session {
    /// The number that all its requests must carry.
    pub connection: u64,
    /// The number of its newest request.
    pub request: u64,
    /// The answer to its newest request, kept in case the client asks again.
    pub answer: Option<Arc<Reply>>,
    /// What its newest request waits for.
    pub waiting: Waiting,
    /// The transaction that it opened with BEGIN.
    pub open: Option<Open>,
    /// When its newest request came, in ticks.
    pub active: u64,
    /// Its settings, but for those that the open transaction has changed.
    pub variables: Variables,
}

/// An open transaction.
pub(super) struct Open {
    /// The client's number of it.
    pub number: u64,
    /// What it has done so far.
    pub block: Block,
}

/// What a request waits for.
pub(super) enum Waiting {
    /// Nothing.
    Nothing,
    /// A confirmed read position, and the local replica to reach it.
    Read(Execution),
    /// Its commit, or the settling of an earlier attempt, to be applied here.
    Commit {
        /// The client's number of the transaction.
        transaction: u64,
        /// What to answer if no attempt committed, instead of the reason in the log.
        error: Option<sql::Error>,
        /// The session's settings, if it commits and has changed them.
        variables: Option<Variables>,
    },
}

/// A statement that is ready to run once it has a snapshot.
pub(super) struct Execution {
    pub statement: Rc<Prepared>,
    pub params: Vec<Value>,
    pub transaction: u64,
    pub retry: bool,
    /// The time that it reads at, once that is known.
    pub time: Option<Time>,
}

impl Session {
    /// A session of a client that has just connected with this request.
    pub fn new(connection: u64, request: u64, now: u64, variables: Variables) -> Self {
        Self { connection, request, answer: None, waiting: Waiting::Nothing, open: None, active: now, variables }
    }

    /// Its settings now.
    pub fn variables(&self) -> &Variables {
        self.open.as_ref().map_or(&self.variables, |open| open.block.variables(&self.variables))
    }

    /// Answers the newest request.
    pub fn reply(&mut self, client: u64, body: ReplyBody, replies: &mut Vec<Arc<Reply>>) {
        assert!(self.answer.is_none(), "a request is answered once");
        let reply = Arc::new(Reply { client, request: self.request, body });
        self.waiting = Waiting::Nothing;
        self.answer = Some(Arc::clone(&reply));
        replies.push(reply);
    }

    /// Answers with an error; within a transaction, that transaction has failed.
    pub fn fail(&mut self, client: u64, error: sql::Error, replies: &mut Vec<Arc<Reply>>) {
        if let Some(open) = &mut self.open {
            open.block.fail();
        }
        self.reply(client, ReplyBody::Failed(error), replies);
    }
}
