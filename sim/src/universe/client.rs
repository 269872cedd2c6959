//! A client of the database: finds a gateway, retries, and knows what it does not know.
//!
//! A statement whose answer is lost is tried again on the next gateway under the same transaction number, which the
//! database applies once. When patience runs out, a statement that could have taken effect is *unknown*, and one that
//! could not (a read, or a statement of a transaction that never got to COMMIT) has *failed*.

use std::rc::Rc;
use std::sync::Arc;

use engine::node::protocol::{Body, ClientId, ReplyBody, Request};
use engine::sql::types::Value;
use engine::sql::{self, Kind, Output, SqlState};
use scenarios::{Client, Executed, Failure};

use super::{Packet, Universe, time};
use crate::network::Address;

/// A client in a universe.
pub struct SimClient {
    universe: Rc<Universe>,
    id: u32,
    gateway: u8,
    connection: Option<u64>,
    request: u64,
    transaction: u64,
    begun: bool,
}

/// What sending one request led to.
enum Answer {
    Executed(Executed),
    Failed(sql::Error),
    /// The gateway does not know the connection; an earlier delivery may have had an effect.
    NotConnected,
    /// No answer came in time.
    Lost,
}

/// What a statement is to the client's state.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Begin,
    Commit,
    Rollback,
    Read,
    Write,
}

impl Sort {
    pub(super) fn of(sql: &str) -> Self {
        // What is no statement gets its error from the gateway, and does nothing.
        sql::parse(sql).map_or(Self::Read, |statement| match statement.kind() {
            Kind::Begin { .. } => Self::Begin,
            Kind::Commit => Self::Commit,
            Kind::Rollback => Self::Rollback,
            _ if statement.is_read_only() => Self::Read,
            _ => Self::Write,
        })
    }
}

impl SimClient {
    /// A client that first tries the gateway of its number.
    pub fn new(universe: Rc<Universe>, id: u32) -> Self {
        let gateway = (id % u32::from(universe.scenario.nodes)) as u8 + 1;
        Self { universe, id, gateway, connection: None, request: 0, transaction: 0, begun: false }
    }

    fn next_gateway(&mut self) {
        self.connection = None;
        self.gateway = self.gateway % self.universe.scenario.nodes + 1;
    }

    /// Sends a request and waits for its answer, for the client's timeout.
    async fn ask(&mut self, connection: u64, body: Body) -> Option<ReplyBody> {
        self.request += 1;
        let request = Request { client: ClientId::from(self.id), connection, request: self.request, body };
        self.universe.send(Address::Client(self.id), Address::Node(self.gateway), Packet::Request(request));
        let deadline = time::now_ns() + u64::from(self.universe.scenario.client_timeout_ms) * 1_000_000;
        let reply = self.universe.wait_for_reply(self.id, self.request, deadline).await?;
        Some(reply.body.clone())
    }

    async fn connect(&mut self) -> Option<u64> {
        if self.connection.is_none()
            && let Some(ReplyBody::Connected(connection)) = self.ask(0, Body::Connect).await
        {
            self.connection = Some(connection);
        }
        self.connection
    }

    async fn attempt(&mut self, connection: u64, sql: &Arc<str>, params: &[Value], retry: bool) -> Answer {
        let body = Body::Execute {
            sql: Arc::clone(sql),
            params: params.to_vec(),
            transaction: self.transaction,
            begun: self.begun,
            retry,
        };
        match self.ask(connection, body).await {
            Some(ReplyBody::Executed { output, snapshot, committed }) => {
                Answer::Executed(Executed { output, snapshot, committed })
            }
            Some(ReplyBody::Failed(error)) => Answer::Failed(error),
            Some(ReplyBody::NotConnected) => {
                self.connection = None;
                Answer::NotConnected
            }
            Some(ReplyBody::Connected(_)) | None => Answer::Lost,
        }
    }

    /// Tries a statement on one gateway after another until there is a definite answer.
    async fn persist(&mut self, sql: &Arc<str>, params: &[Value], sort: Sort) -> Result<Executed, Failure> {
        let mut sent = false;
        for _ in 0..=self.universe.scenario.patience {
            let Some(connection) = self.connect().await else {
                self.next_gateway();
                continue;
            };
            let answer = self.attempt(connection, sql, params, sent).await;
            sent = true;
            match answer {
                Answer::Executed(executed) => return Ok(executed),
                Answer::Failed(error) if error.state == SqlState::STATEMENT_COMPLETION_UNKNOWN => {
                    return Err(Failure::Unknown { reason: error.to_string() });
                }
                Answer::Failed(error) => return Err(Failure::Failed(error)),
                Answer::NotConnected | Answer::Lost => self.next_gateway(),
            }
        }
        if sent && matches!(sort, Sort::Commit | Sort::Write) {
            Err(Failure::Unknown { reason: "no gateway answered".into() })
        } else {
            Err(Failure::Failed(unreachable_gateway()))
        }
    }
}

fn unreachable_gateway() -> sql::Error {
    sql::Error::new(SqlState::CONNECTION_FAILURE, "no gateway answered")
}

impl Client for SimClient {
    fn id(&self) -> u64 {
        u64::from(self.id)
    }

    fn now(&self) -> u64 {
        time::now_ns()
    }

    async fn execute(&mut self, sql: &str, params: &[Value]) -> Result<Executed, Failure> {
        let (sql, sort) = self.universe.intern(sql);
        if !self.begun {
            self.transaction += 1;
            if sort == Sort::Begin {
                self.begun = true;
                let result = self.persist(&sql, params, sort).await;
                self.begun = result.is_ok();
                return result;
            }
            return self.persist(&sql, params, sort).await;
        }
        match (sort, self.connection) {
            (Sort::Commit, _) => {
                let result = self.persist(&sql, params, sort).await;
                self.begun = false;
                result
            }
            (Sort::Rollback, connection) => {
                if let Some(connection) = connection
                    && let Answer::Lost | Answer::NotConnected = self.attempt(connection, &sql, params, false).await
                {
                    self.next_gateway();
                }
                // Without an answer the transaction is rolled back too: nothing will ever commit it.
                self.begun = false;
                Ok(Executed { output: Output::Rollback, snapshot: None, committed: None })
            }
            (_, Some(connection)) => match self.attempt(connection, &sql, params, false).await {
                Answer::Executed(executed) => Ok(executed),
                Answer::Failed(error) => Err(Failure::Failed(error)),
                Answer::NotConnected | Answer::Lost => {
                    self.next_gateway();
                    Err(Failure::Failed(unreachable_gateway()))
                }
            },
            (_, None) => Err(Failure::Failed(unreachable_gateway())),
        }
    }

    async fn sleep(&mut self, duration_us: u64) {
        time::sleep_ns(duration_us * 1_000).await;
    }
}
