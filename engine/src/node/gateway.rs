//! The gateway: runs the sessions of a node's clients.
//!
//! A statement outside of a transaction, and BEGIN, wait for a read position: all that wait when `ready` comes share
//! one ReadIndex request, and run when the local replica has applied that position. Statements within a transaction
//! run at once on its snapshot. A commit is proposed to the leader and answered when this replica applies it; a lost
//! proposal or read request is sent again after a while, or as soon as a new leader is known. Sending a proposal twice
//! is harmless, since the transaction's number is applied once.
//!
//! The gateway holds no durable state: when its node dies, the open transactions are gone, and clients settle the
//! COMMITs in doubt through any other gateway.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::answers::{executed, settled};
use super::command::{Abort, Command, Outcome};
use super::machine::{Applied, Machine};
use super::past::{Passing, Past, past};
use super::protocol::{Body, ClientId, Reply, ReplyBody, Request};
use super::session::{Execution, Open, Session, Waiting};
use super::{Error, GatewayOptions, Ready};
use crate::mvcc::{Isolation, Time, Transaction, Txn, Version, View};
use crate::raft::{Index, NodeId, Raft};
use crate::sql::functions::Registry;
use crate::sql::types::Value;
use crate::sql::{self, Block, Environment, Failure, Kind, Limits, Output, Prepared, SqlState, Variables};
use crate::storage::Storage;

/// The clients that share a read request: with the number of the request that waits.
struct ReadGroup {
    waiting: Vec<(ClientId, u64)>,
    asked: u64,
}

/// A command on its way into the log.
struct Proposal {
    command: Arc<[u8]>,
    sent: u64,
}

/// Runs the sessions of a node's clients.
pub(super) struct Gateway {
    options: GatewayOptions,
    /// Ticks since the node opened.
    now: u64,
    next_connection: u64,
    sessions: BTreeMap<ClientId, Session>,
    /// By text, and by the limits that it was parsed within.
    statements: BTreeMap<(Arc<str>, Limits), Rc<Prepared>>,
    /// Requests that wait for the next read request to the leader.
    to_read: Vec<(ClientId, u64)>,
    next_token: u64,
    /// Read requests without an answer so far, by token.
    reads: BTreeMap<u64, ReadGroup>,
    /// Confirmed read positions that the replica has not reached.
    confirmed: Vec<(Index, Vec<(ClientId, u64)>)>,
    /// Commands that have not been applied here, by client and transaction.
    proposals: BTreeMap<(ClientId, u64), Proposal>,
    /// What the host's clock says, if it was told.
    time: Option<Time>,
    /// What must be passed before it is known what was there at a time: each with the requests that wait for it.
    passing: BTreeMap<Time, Passing>,
    /// Commands to be sent to the leader, now or again.
    to_propose: Vec<Arc<[u8]>>,
    leader: Option<NodeId>,
}

impl Gateway {
    /// A gateway without sessions. Connection numbers start from a place that depends on the life's seed.
    pub fn new(options: GatewayOptions, seed: u64) -> Self {
        // An odd multiplier spreads nearby seeds over the whole range, far apart from each other.
        let next_connection = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self {
            options,
            now: 0,
            next_connection,
            sessions: BTreeMap::new(),
            statements: BTreeMap::new(),
            to_read: Vec::new(),
            next_token: 0,
            reads: BTreeMap::new(),
            confirmed: Vec::new(),
            proposals: BTreeMap::new(),
            time: None,
            passing: BTreeMap::new(),
            to_propose: Vec::new(),
            leader: None,
        }
    }

    /// The number of sessions.
    pub fn connections(&self) -> usize {
        self.sessions.len()
    }

    /// A unit of time has passed: sends again what is late (or all, if that is to be `early`), ends idle sessions.
    pub fn tick(&mut self, leader: Option<NodeId>, early: bool) {
        self.now += 1;
        let new_leader = leader.is_some() && leader != self.leader;
        self.leader = leader;
        let (now, resend_ticks) = (self.now, self.options.resend_ticks);
        let late = |since: u64| early || new_leader || now - since >= resend_ticks;

        let tokens: Vec<u64> =
            self.reads.iter().filter(|(_, group)| late(group.asked)).map(|(&token, _)| token).collect();
        for token in tokens {
            if let Some(group) = self.reads.remove(&token) {
                probe!("a late read was asked for again");
                self.to_read.extend(group.waiting);
            }
        }
        let resend: Vec<(ClientId, u64)> =
            self.proposals.iter().filter(|(_, proposal)| late(proposal.sent)).map(|(&key, _)| key).collect();
        for key in resend {
            probe!("a late proposal was sent again");
            self.send(key);
        }
        for passing in self.passing.values_mut().filter(|passing| late(passing.sent)) {
            probe!("a time was sent to the log again");
            passing.sent = self.now;
            self.to_propose.push(Arc::clone(&passing.command));
        }
        let idle: Vec<ClientId> = self
            .sessions
            .iter()
            .filter(|(_, session)| self.now - session.active >= self.options.idle_ticks)
            .map(|(&client, _)| client)
            .collect();
        for client in idle {
            probe!("an idle session was ended");
            tracing::debug!(client, "ended an idle session");
            self.end(client);
        }
    }

    /// The host's clock says what time it is.
    pub fn tell_time(&mut self, time: Time) {
        self.time = Some(time);
    }

    /// Lets the requests go on that have waited for a time to pass, if it has.
    pub fn time_passed<S: Storage>(&mut self, machine: &Machine<S>) {
        while let Some(entry) = self.passing.first_entry().filter(|entry| *entry.key() <= machine.store().time()) {
            self.confirmed.push((machine.applied(), entry.remove().waiting));
        }
    }

    /// Takes a client's request.
    pub fn request<S: Storage>(
        &mut self,
        request: Request,
        machine: &Machine<S>,
        out: &mut Ready,
    ) -> Result<(), Error> {
        let Request { client, connection, request, body } = request;
        if let Body::Connect = body {
            self.connect(client, request, out);
            return Ok(());
        }
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&client).filter(|session| session.connection == connection) else {
            probe!("a request on a connection that is gone");
            out.replies.push(Arc::new(Reply { client, request, body: ReplyBody::NotConnected }));
            return Ok(());
        };
        session.active = now;
        if request <= session.request {
            probe!("a request came twice");
            // A duplicate: of the newest request it may mean that the answer was lost.
            if request == session.request {
                out.replies.extend(session.answer.clone());
            }
            return Ok(());
        }
        session.request = request;
        session.answer = None;
        if let Waiting::Commit { transaction, .. } = std::mem::replace(&mut session.waiting, Waiting::Nothing) {
            // The client has given up the wait. What was proposed may still be applied.
            self.proposals.remove(&(client, transaction));
        }
        match body {
            Body::Connect => unreachable!("handled above"),
            Body::Disconnect => {
                self.end(client);
                Ok(())
            }
            Body::Execute { sql, params, transaction, begun, retry } => {
                self.execute(client, &sql, params, transaction, begun, retry, machine, out)
            }
        }
    }

    fn connect(&mut self, client: ClientId, request: u64, out: &mut Ready) {
        if let Some(session) = self.sessions.get(&client)
            && request <= session.request
        {
            probe!("a late connect did not end its session");
            // A late duplicate of a Connect must not end the session that it opened.
            if request == session.request {
                out.replies.extend(session.answer.clone());
            }
            return;
        }
        self.end(client);
        let connection = self.next_connection;
        self.next_connection = self.next_connection.wrapping_add(2);
        let mut session =
            Session::new(connection, request, self.now, Variables::new(self.options.statements, self.options.most));
        session.reply(client, ReplyBody::Connected(connection), &mut out.replies);
        self.sessions.insert(client, session);
    }

    /// Ends a client's session, as if it had been idle for long.
    pub fn drop_session(&mut self, client: ClientId) {
        self.end(client);
    }

    /// Ends a session: its open transaction is gone, and nothing more is proposed for it.
    fn end(&mut self, client: ClientId) {
        self.sessions.remove(&client);
        let keys: Vec<_> = self.proposals.range((client, 0)..=(client, u64::MAX)).map(|(&key, _)| key).collect();
        for key in keys {
            self.proposals.remove(&key);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one request, and the node's parts")]
    fn execute<S: Storage>(
        &mut self,
        client: ClientId,
        sql: &Arc<str>,
        params: Vec<Value>,
        transaction: u64,
        begun: bool,
        retry: bool,
        machine: &Machine<S>,
        out: &mut Ready,
    ) -> Result<(), Error> {
        let limits = self.session(client).variables().limits();
        let statement = match self.parse(sql, limits) {
            Ok(statement) => statement,
            Err(error) => {
                self.session(client).fail(client, error, &mut out.replies);
                return Ok(());
            }
        };
        let session = self.session(client);
        if !begun {
            // The client is in no transaction, so it has given up one that may be open here.
            session.open = None;
        }
        let open_here = session.open.as_ref().is_some_and(|open| open.number == transaction);
        match statement.statement().kind() {
            Kind::Begin { .. } if begun && open_here => {
                session.reply(client, executed(Output::Begin, None), &mut out.replies);
            }
            Kind::Begin { .. } => {
                session.open = None;
                self.wait_for_read(client, Execution { statement, params, transaction, retry, time: None });
            }
            Kind::Commit if !begun => {
                session.reply(client, executed(Output::Commit, None), &mut out.replies);
            }
            Kind::Commit if open_here => self.commit_open(client, out),
            Kind::Commit => return self.settle_lost(client, transaction, machine, out),
            Kind::Rollback => {
                session.open = None;
                session.reply(client, executed(Output::Rollback, None), &mut out.replies);
            }
            Kind::Query if !begun => {
                self.wait_for_read(client, Execution { statement, params, transaction, retry, time: None });
            }
            Kind::Query if open_here => {
                let open = session.open.as_ref().expect("it is open here");
                if open.block.txn.isolation() == Isolation::ReadCommitted && !open.block.has_failed() {
                    // It reads what is committed now.
                    self.wait_for_read(client, Execution { statement, params, transaction, retry, time: None });
                } else {
                    return self.run_in_open(client, &statement, &params, machine, out);
                }
            }
            kind @ (Kind::Savepoint(_)
            | Kind::Release(_)
            | Kind::RollbackTo(_)
            | Kind::SetTransaction { .. }
            | Kind::Set(_))
                if open_here =>
            {
                let open = session.open.as_mut().expect("it is open here");
                match open.block.control(kind, &session.variables) {
                    Ok(output) => session.reply(client, executed(output, None), &mut out.replies),
                    Err(Failure::Sql(error)) => session.fail(client, error, &mut out.replies),
                    Err(Failure::Storage(error)) => return Err(error.into()),
                }
            }
            kind @ (Kind::SetTransaction { .. } | Kind::Set(_)) if !begun => match session.variables.control(&kind) {
                Ok(()) => session.reply(client, executed(Output::Set, None), &mut out.replies),
                Err(error) => session.fail(client, error, &mut out.replies),
            },
            Kind::Query
            | Kind::Savepoint(_)
            | Kind::Release(_)
            | Kind::RollbackTo(_)
            | Kind::SetTransaction { .. }
            | Kind::Set(_) => {
                let error = if begun {
                    sql::Error::new(SqlState::NO_ACTIVE_TRANSACTION, "the transaction is not open on this node")
                        .with_hint("its gateway was restarted or the session timed out; begin again")
                } else {
                    sql::Error::new(SqlState::NO_ACTIVE_TRANSACTION, "there is no transaction")
                };
                session.fail(client, error, &mut out.replies);
            }
        }
        Ok(())
    }

    fn parse(&mut self, sql: &Arc<str>, limits: Limits) -> Result<Rc<Prepared>, sql::Error> {
        let key = (Arc::clone(sql), limits);
        if let Some(statement) = self.statements.get(&key) {
            return Ok(Rc::clone(statement));
        }
        let statement = Rc::new(Prepared::new(sql::parse_within(sql, limits)?));
        if self.statements.len() >= self.options.cached_statements {
            self.statements.clear();
        }
        self.statements.insert(key, Rc::clone(&statement));
        Ok(statement)
    }

    fn session(&mut self, client: ClientId) -> &mut Session {
        self.sessions.get_mut(&client).expect("the caller has found the session")
    }

    /// Runs a statement in the session's open transaction.
    fn run_in_open<S: Storage>(
        &mut self,
        client: ClientId,
        statement: &Prepared,
        params: &[Value],
        machine: &Machine<S>,
        out: &mut Ready,
    ) -> Result<(), Error> {
        let session = self.session(client);
        let open = session.open.as_mut().expect("the caller has found the transaction");
        if let Err(error) = open.block.check(statement.statement()) {
            session.fail(client, error, &mut out.replies);
            return Ok(());
        }
        let (txn, variables) = open.block.parts(&session.variables);
        let snapshot = txn.snapshot();
        match run(statement, params, &mut View::new(machine.store(), txn), variables) {
            Ok(output) => session.reply(client, executed(output, Some(snapshot)), &mut out.replies),
            Err(Failure::Sql(error)) => session.fail(client, error, &mut out.replies),
            Err(Failure::Storage(error)) => return Err(error.into()),
        }
        Ok(())
    }

    /// COMMIT of the session's open transaction.
    fn commit_open(&mut self, client: ClientId, out: &mut Ready) {
        let session = self.session(client);
        let Open { number, block } = session.open.take().expect("the caller has found the transaction");
        if block.has_failed() {
            session.reply(client, executed(Output::Rollback, None), &mut out.replies);
            return;
        }
        let (txn, variables) = block.into_parts();
        if txn.has_writes() {
            self.propose_commit(client, number, Output::Commit, txn, variables, out);
        } else {
            session.variables = variables.unwrap_or_else(|| session.variables.clone());
            // All its reads saw one confirmed snapshot: that is its place in the order.
            session.reply(client, executed(Output::Commit, Some(txn.snapshot())), &mut out.replies);
        }
    }

    /// COMMIT of a transaction that this gateway does not know: it has committed, or it never will.
    fn settle_lost<S: Storage>(
        &mut self,
        client: ClientId,
        transaction: u64,
        machine: &Machine<S>,
        out: &mut Ready,
    ) -> Result<(), Error> {
        if let Some(outcome) = machine.outcome(client, transaction)? {
            probe!("a COMMIT in doubt was found in the table");
            self.session(client).reply(client, settled(outcome, None), &mut out.replies);
            return Ok(());
        }
        probe!("a COMMIT in doubt was put to the log");
        let command = Command::Resolve { client, transaction }.encode().map_err(crate::storage::Error::from)?;
        self.session(client).waiting = Waiting::Commit { transaction, error: None, variables: None };
        self.propose((client, transaction), command);
        Ok(())
    }

    /// Proposes a commit, and lets the session wait for it.
    fn propose_commit(
        &mut self,
        client: ClientId,
        transaction: u64,
        output: Output,
        txn: Txn,
        variables: Option<Variables>,
        out: &mut Ready,
    ) {
        let limit = self.options.max_commit_bytes;
        let commit = txn.into_commit();
        let command = match self.time {
            Some(time) => Command::CommitAt { time, client, transaction, output, commit },
            None => Command::Commit { client, transaction, output, commit },
        };
        let command = command.encode();
        let session = self.session(client);
        match command {
            Ok(command) if command.len() <= limit => {
                session.waiting = Waiting::Commit { transaction, error: None, variables };
                self.propose((client, transaction), command);
            }
            Ok(command) => {
                let message = format!("the transaction is too large: {} bytes, at most {limit}", command.len());
                session.fail(client, sql::Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message), &mut out.replies);
            }
            Err(error) => {
                let error =
                    sql::Error::new(SqlState::INTERNAL_ERROR, format!("the transaction does not encode: {error}"));
                session.fail(client, error, &mut out.replies);
            }
        }
    }

    fn propose(&mut self, key: (ClientId, u64), command: Arc<[u8]>) {
        self.proposals.insert(key, Proposal { command, sent: self.now });
        self.send(key);
    }

    /// Sends a proposal to the leader.
    fn send(&mut self, key: (ClientId, u64)) {
        let Some(proposal) = self.proposals.get_mut(&key) else { return };
        proposal.sent = self.now;
        self.to_propose.push(Arc::clone(&proposal.command));
    }

    fn wait_for_read(&mut self, client: ClientId, execution: Execution) {
        let session = self.session(client);
        session.waiting = Waiting::Read(execution);
        let request = session.request;
        self.to_read.push((client, request));
    }

    /// Whether requests wait for `start_reads`.
    pub fn has_reads_to_start(&self) -> bool {
        !self.to_read.is_empty()
    }

    /// Asks the leader for one read position for all that wait.
    pub fn start_reads(&mut self, raft: &mut Raft) {
        if self.to_read.is_empty() {
            return;
        }
        let token = self.next_token;
        self.next_token += 1;
        self.reads.insert(token, ReadGroup { waiting: std::mem::take(&mut self.to_read), asked: self.now });
        raft.read(token);
    }

    /// The leader has confirmed a read position.
    pub fn read_confirmed(&mut self, token: u64, index: Index) {
        if let Some(group) = self.reads.remove(&token) {
            self.confirmed.push((index, group.waiting));
        }
    }

    /// Runs the statements whose read position the replica has reached.
    pub fn run_reads<S: Storage>(&mut self, machine: &Machine<S>, out: &mut Ready) -> Result<(), Error> {
        let applied = machine.applied();
        let mut position = 0;
        while position < self.confirmed.len() {
            if self.confirmed[position].0 > applied {
                probe!("a read waited for its replica to catch up");
                position += 1;
                continue;
            }
            let (_, waiting) = self.confirmed.remove(position);
            for (client, request) in waiting {
                self.run_at(client, request, applied, machine, out)?;
            }
        }
        Ok(())
    }

    /// Runs a waiting statement at a snapshot, unless its client has gone on.
    fn run_at<S: Storage>(
        &mut self,
        client: ClientId,
        request: u64,
        snapshot: Version,
        machine: &Machine<S>,
        out: &mut Ready,
    ) -> Result<(), Error> {
        let Some(session) = self.sessions.get_mut(&client).filter(|session| session.request == request) else {
            return Ok(());
        };
        let Waiting::Read(execution) = std::mem::replace(&mut session.waiting, Waiting::Nothing) else {
            return Ok(());
        };
        let kind = execution.statement.statement().kind();
        let as_of = match &kind {
            Kind::Begin { as_of, .. } => *as_of,
            _ => execution.statement.statement().as_of(),
        };
        let past = match as_of.map(|as_of| past(as_of, execution.time, self.time, machine)) {
            None => None,
            Some(Ok(Past::At(version))) => Some(version),
            // It is not known so far what will have been there: a commit may be on its way that has an earlier time.
            Some(Ok(Past::After(time))) => {
                session.waiting = Waiting::Read(Execution { time: Some(time), ..execution });
                return self.pass(time + 1, (client, request));
            }
            Some(Err(Failure::Sql(error))) => {
                session.fail(client, error, &mut out.replies);
                return Ok(());
            }
            Some(Err(Failure::Storage(error))) => return Err(error.into()),
        };
        let Execution { statement, params, transaction, retry, time: _ } = execution;
        if let Kind::Begin { read_only, isolation, .. } = kind {
            let (usual, usually_read_only) = session.variables.modes();
            let (isolation, read_only) = (isolation.unwrap_or(usual), read_only.unwrap_or(usually_read_only));
            let txn = match past {
                Some(version) => Txn::new(version, isolation, true),
                None => Txn::new(snapshot, isolation, read_only).identified(client, transaction),
            };
            let snapshot = txn.snapshot();
            session.open = Some(Open { number: transaction, block: Block::new(txn) });
            session.reply(client, executed(Output::Begin, Some(snapshot)), &mut out.replies);
            return Ok(());
        }
        if let Some(open) = session.open.as_mut().filter(|open| open.number == transaction) {
            if let Err(conflict) = open.block.txn.advance(machine.store(), snapshot)? {
                session.fail(client, Abort::from(conflict).into(), &mut out.replies);
                return Ok(());
            }
            return self.run_in_open(client, &statement, &params, machine, out);
        }
        let writes = !statement.statement().is_read_only();
        if writes
            && retry
            && let Some(outcome) = machine.outcome(client, transaction)?
        {
            probe!("a statement that was tried again had happened");
            session.reply(client, settled(outcome, None), &mut out.replies);
            return Ok(());
        }
        let (isolation, read_only) = session.variables.modes();
        let snapshot = past.unwrap_or(snapshot);
        let mut txn = Txn::new(snapshot, isolation, read_only || !writes).identified(client, transaction);
        match run(&statement, &params, &mut View::new(machine.store(), &mut txn), &session.variables) {
            // On a retry, an earlier attempt may still be on its way to the log. Whatever this attempt answers, the log
            // must decide between the two.
            Ok(output) if txn.has_writes() || (writes && retry) => {
                self.propose_commit(client, transaction, output, txn, None, out);
            }
            Ok(output) => session.reply(client, executed(output, Some(snapshot)), &mut out.replies),
            Err(Failure::Sql(error)) if writes && retry => {
                probe!("a statement fails that may have happened before");
                let command = Command::Resolve { client, transaction }.encode().map_err(crate::storage::Error::from)?;
                session.waiting = Waiting::Commit { transaction, error: Some(error), variables: None };
                self.propose((client, transaction), command);
            }
            Err(Failure::Sql(error)) => session.fail(client, error, &mut out.replies),
            Err(Failure::Storage(error)) => return Err(error.into()),
        }
        Ok(())
    }

    /// Lets a request wait until no commit can have a time before this one.
    fn pass(&mut self, time: Time, waiting: (ClientId, u64)) -> Result<(), Error> {
        probe!("a read of a time waits for the log to pass it");
        if let Some(passing) = self.passing.get_mut(&time) {
            passing.waiting.push(waiting);
            return Ok(());
        }
        let command = Command::Advance { time }.encode().map_err(crate::storage::Error::from)?;
        self.to_propose.push(Arc::clone(&command));
        self.passing.insert(time, Passing { command, sent: self.now, waiting: vec![waiting] });
        Ok(())
    }

    /// A transaction's fate was applied here: answers its client, if it is ours and waits.
    pub fn settle(&mut self, applied: Applied, out: &mut Ready) {
        let Applied { client, transaction: decided, outcome } = applied;
        if self.proposals.remove(&(client, decided)).is_none() {
            return;
        }
        let Some(session) = self.sessions.get_mut(&client) else { return };
        if let Waiting::Commit { transaction, .. } = &session.waiting
            && *transaction == decided
        {
            let Waiting::Commit { error, variables, .. } = std::mem::replace(&mut session.waiting, Waiting::Nothing)
            else {
                unreachable!("matched above")
            };
            if let (Outcome::Committed { .. }, Some(variables)) = (&outcome, variables) {
                session.variables = variables;
            }
            session.reply(client, settled(outcome, error), &mut out.replies);
        }
    }

    /// Takes the commands that are to go to the leader. Without a leader they may be dropped: they are sent again.
    pub fn take_proposals(&mut self) -> Vec<Arc<[u8]>> {
        std::mem::take(&mut self.to_propose)
    }
}

/// Runs a statement, with the functions that every database has.
fn run(
    statement: &Prepared,
    params: &[Value],
    txn: &mut dyn Transaction,
    variables: &Variables,
) -> Result<Output, Failure> {
    let functions = Registry::default();
    let (options, variables) = (variables.options(), Some(variables));
    // No time passes for a node while it runs a statement.
    let environment = Environment { functions: &functions, options, variables, spill: None, clock: None };
    statement.execute(params, txn, environment)
}
