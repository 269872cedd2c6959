//! Reads of the past by time, on nodes whose clocks disagree.

use std::collections::BTreeMap;

use super::cluster::Cluster;
use crate::node::Input;
use crate::node::protocol::{Body, ReplyBody, Request};
use crate::raft::NodeId;
use crate::sql::types::Value;
use crate::sql::{Output, SqlState};

/// Milliseconds that all times here are after.
const BEGINNING: u64 = 1_700_000_000_000;

/// Clients, each on a node, with the clocks of the nodes.
struct Clients {
    cluster: Cluster,
    connections: BTreeMap<NodeId, u64>,
    requests: u64,
    transactions: u64,
}

impl Clients {
    fn new() -> Self {
        let mut cluster = Cluster::new(3);
        (1..=3).for_each(|id| cluster.start(id));
        cluster.elect();
        let mut clients = Self { cluster, connections: BTreeMap::new(), requests: 0, transactions: 0 };
        for id in 1..=3 {
            let ReplyBody::Connected(connection) = clients.ask(id, Body::Connect) else { panic!("not connected") };
            clients.connections.insert(id, connection);
        }
        clients
    }

    /// Sets a node's clock.
    fn tell(&mut self, id: NodeId, time: u64) {
        self.cluster.tell_time(id, BEGINNING + time);
    }

    fn ask(&mut self, id: NodeId, body: Body) -> ReplyBody {
        self.requests += 1;
        let connection = self.connections.get(&id).copied().unwrap_or(0);
        let (client, request) = (u64::from(id), self.requests);
        self.cluster.request(id, Request { client, connection, request, body });
        for _ in 0..100 {
            let reply = self.cluster.replies.iter().find(|reply| reply.client == client && reply.request == request);
            if let Some(reply) = reply {
                return reply.body.clone();
            }
            self.cluster.ids().into_iter().for_each(|id| self.cluster.tick(id));
        }
        panic!("no answer");
    }

    fn execute(&mut self, id: NodeId, sql: &str) -> ReplyBody {
        self.transactions += 1;
        let (params, transaction) = (Vec::new(), self.transactions);
        self.ask(id, Body::Execute { sql: sql.into(), params, transaction, begun: false, retry: false })
    }

    fn write(&mut self, id: NodeId, value: i64) {
        let reply = self.execute(id, &format!("UPDATE t SET a = {value}"));
        assert!(matches!(reply, ReplyBody::Executed { committed: Some(_), .. }), "{reply:?}");
    }

    /// The row as of a time: the value, or what is wrong.
    fn read(&mut self, id: NodeId, time: u64) -> Result<Value, SqlState> {
        // The clock is asked at each tick, so the text of the time can be exact.
        let time = BEGINNING + time;
        let (seconds, ms) = (time / 1000 - 1_700_000_000, time % 1000);
        let sql = format!("SELECT a FROM t AS OF SYSTEM TIME '2023-11-14 22:13:{}.{ms:03}' WHERE id = 1", 20 + seconds);
        match self.execute(id, &sql) {
            ReplyBody::Executed { output: Output::Select { mut rows, .. }, .. } => Ok(rows.remove(0).remove(0)),
            ReplyBody::Failed(error) => Err(error.state),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_time_says_the_same_forever_whatever_clocks_say() {
    let mut clients = Clients::new();
    for id in 1..=3 {
        clients.tell(id, 1_000);
    }
    clients.execute(1, "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER)");
    clients.execute(1, "INSERT INTO t VALUES (1, 0)");
    for id in 1..=3 {
        clients.tell(id, 2_000);
    }
    clients.write(1, 10);
    clients.tell(1, 5_000);
    clients.tell(2, 4_000);
    // Nobody has committed anything after 2.000 so far. What was there at 3.000 is certain from here on.
    assert_eq!(clients.read(1, 3_000), Ok(10.into()));
    assert_eq!(clients.read(1, 1_999), Ok(0.into()));
    assert_eq!(clients.read(1, 2_000), Ok(10.into()));
    // The clock of the third node has not moved: what it commits counts as later all the same.
    clients.write(3, 20);
    for id in 1..=2 {
        assert_eq!(clients.read(id, 3_000), Ok(10.into()), "on node {id}");
        assert_eq!(clients.read(id, 3_001), Ok(20.into()), "on node {id}");
    }
    // It does not know that 3.000 has come.
    assert_eq!(clients.read(3, 3_000), Err(SqlState::INVALID_PARAMETER_VALUE));
    assert_eq!(clients.read(2, 4_001), Err(SqlState::INVALID_PARAMETER_VALUE));
    // What was before the table was there.
    assert_eq!(clients.read(1, 500), Err(SqlState::UNDEFINED_TABLE));
    clients.write(1, 30);
    clients.tell(1, 9_000);
    assert_eq!(clients.read(1, 4_999), Ok(20.into()));
    assert_eq!(clients.read(1, 5_000), Ok(30.into()));
}

#[test]
fn a_node_without_a_clock_knows_positions_only() {
    let mut clients = Clients::new();
    clients.execute(1, "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER)");
    clients.execute(1, "INSERT INTO t VALUES (1, 0)");
    assert_eq!(clients.read(1, 0), Err(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE));
    let position = clients.cluster.node(1).unwrap().machine().applied();
    clients.write(2, 10);
    let sql = format!("SELECT a FROM t AS OF SYSTEM TIME {position}");
    let reply = clients.execute(1, &sql);
    let ReplyBody::Executed { output: Output::Select { rows, .. }, snapshot, .. } = reply else { panic!("{reply:?}") };
    assert_eq!((rows, snapshot), (vec![vec![0.into()]], Some(position)));
}

/// The time of a read is resolved once, however late the log passes it.
#[test]
fn how_long_ago_is_counted_from_when_it_was_asked() {
    let mut clients = Clients::new();
    for id in 1..=3 {
        clients.tell(id, 1_000);
    }
    clients.execute(1, "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER)");
    clients.execute(1, "INSERT INTO t VALUES (1, 0)");
    clients.tell(1, 2_000);
    let reply = clients.execute(1, "SELECT a FROM t AS OF SYSTEM TIME '-0ms'");
    assert!(matches!(reply, ReplyBody::Executed { .. }), "{reply:?}");
    clients.cluster.input(1, Input::Tick);
    clients.write(1, 10);
    let reply = clients.execute(1, "SELECT a FROM t AS OF SYSTEM TIME '-1ms'");
    let ReplyBody::Executed { output: Output::Select { rows, .. }, .. } = reply else { panic!("{reply:?}") };
    assert_eq!(rows, [[0.into()]]);
}

/// A statement that would keep its node busy forever ends by itself.
#[test]
fn a_cross_join_does_not_keep_a_node_busy() {
    let mut clients = Clients::new();
    clients.execute(1, "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER)");
    let rows: Vec<String> = (0..50).map(|id| format!("({id}, {id})")).collect();
    clients.execute(1, &format!("INSERT INTO t VALUES {}", rows.join(", ")));
    // Settings are those of the session, within what the node allows.
    let set = clients.execute(1, "SET max_steps = 0");
    assert!(matches!(set, ReplyBody::Failed(ref error) if error.state == SqlState::INVALID_PARAMETER_VALUE), "{set:?}");
    let sql =
        "SELECT count(*) FROM t, t AS a, t AS b, t AS c, t AS d, t AS e WHERE t.a + a.a + b.a + c.a + d.a + e.a < 0";
    let reply = clients.execute(1, sql);
    assert!(matches!(reply, ReplyBody::Failed(ref error) if error.state == SqlState::QUERY_CANCELED), "{reply:?}");
    clients.write(1, 1);
}
