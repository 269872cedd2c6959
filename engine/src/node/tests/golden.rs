//! Golden scripts. A prefix names the client that a command belongs to.
//!
//! - `cluster SIZE [retention=N] [idle=TICKS] [limit=BYTES]`, which starts all nodes and makes node 1 the leader
//! - `CLIENT: connect NODE`, `CLIENT: disconnect`
//! - `CLIENT: sql STATEMENT [parameters...]`: a request, and its answer
//! - `CLIENT: again`: the same request once more, as a network that doubles messages would deliver it
//! - `CLIENT: retry [back=N]`: the last statement, or the Nth last, as another attempt of a client that got no answer
//! - `elect` (time passes until there is a leader), `tick NODE [times=N]`, `isolate NODE`, `heal`, `proposals lost|kept`, `kill NODE`, `start NODE`
//! - `log`: each node's last log index, and what it has applied

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;

use goldenscript::ArgumentConsumer;

use super::cluster::Cluster;
use crate::node::GatewayOptions;
use crate::node::protocol::{Body, ReplyBody, Request};
use crate::raft::{self, NodeId};
use crate::sql::Output;
use crate::sql::types::Value;

#[derive(Default)]
struct Runner {
    cluster: Option<Cluster>,
    clients: BTreeMap<String, Client>,
}

struct Client {
    id: u64,
    node: NodeId,
    connection: u64,
    request: u64,
    transaction: u64,
    begun: bool,
    /// The statements that it asked for.
    asked: Vec<Request>,
}

impl goldenscript::Runner for Runner {
    type Command = goldenscript::Command;

    fn run(
        &mut self,
        command: &goldenscript::Command,
        context: &goldenscript::Context,
    ) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        let output = match &context.prefix {
            Some(name) => self.client(name, &command.name, &mut args)?,
            None => self.global(&command.name, &mut args)?,
        };
        args.reject_next()?;
        Ok(output)
    }
}

impl Runner {
    fn cluster(&mut self) -> &mut Cluster {
        self.cluster.as_mut().expect("a script begins with `cluster`")
    }

    fn global(&mut self, command: &str, args: &mut ArgumentConsumer<'_>) -> Result<String, Box<dyn Error>> {
        if command == "cluster" {
            let mut cluster = Cluster::new(node(args)?);
            cluster.retention = args.take_key("retention").map(str::parse).transpose()?;
            let default = GatewayOptions::default();
            cluster.gateway = GatewayOptions {
                idle_ticks: args.take_key("idle").map_or(Ok(default.idle_ticks), str::parse)?,
                max_commit_bytes: args.take_key("limit").map_or(Ok(default.max_commit_bytes), str::parse)?,
                ..default
            };
            cluster.ids().into_iter().for_each(|id| cluster.start(id));
            (0..raft::Options::default().election_ticks * 2).for_each(|_| cluster.tick(1));
            assert_eq!(cluster.elect(), 1, "only node 1 has felt that there is no leader");
            self.cluster = Some(cluster);
            return Ok(String::new());
        }
        match command {
            "elect" => {
                let leader = self.cluster().elect();
                return Ok(format!("{leader} leads\n{}", self.answers("")));
            }
            "tick" => {
                let (id, times) = (node(args)?, args.take_key("times").map_or(Ok(1), str::parse)?);
                (0..times).for_each(|_| self.cluster().tick(id));
            }
            "isolate" => self.cluster().isolate(node(args)?),
            "heal" => self.cluster().heal(),
            "kill" => self.cluster().kill(node(args)?),
            "start" => self.cluster().start(node(args)?),
            "proposals" => {
                self.cluster().lose_proposals = match args.next_pos() {
                    Some("lost") => true,
                    Some("kept") => false,
                    other => return Err(format!("lost or kept, not {other:?}").into()),
                };
            }
            "log" => return Ok(self.log()),
            other => return Err(format!("unknown command {other}").into()),
        }
        Ok(self.answers(""))
    }

    /// Where the nodes' logs and machines stand.
    fn log(&mut self) -> String {
        let cluster = self.cluster();
        let mut text = String::new();
        for id in cluster.ids() {
            match cluster.node(id) {
                Some(node) => {
                    let (last, applied) = (node.raft().last_index(), node.machine().applied());
                    writeln!(text, "{id}: last {last}, applied {applied}, {} connected", node.connections()).unwrap();
                }
                None => writeln!(text, "{id}: down").unwrap(),
            }
        }
        text
    }

    fn client(&mut self, name: &str, command: &str, args: &mut ArgumentConsumer<'_>) -> Result<String, Box<dyn Error>> {
        let id = self.clients.len() as u64 + 1;
        let client = self.clients.entry(name.to_string()).or_insert(Client {
            id,
            node: 0,
            connection: 0,
            request: 0,
            transaction: 0,
            begun: false,
            asked: Vec::new(),
        });
        match command {
            "connect" => {
                client.node = node(args)?;
                client.connection = 0;
                let request = client.request(Body::Connect);
                let node = client.node;
                self.cluster().request(node, request);
                let reply = self.cluster().replies.pop();
                let Some(ReplyBody::Connected(connection)) = reply.map(|reply| reply.body.clone()) else {
                    return Ok("no answer".into());
                };
                self.clients.get_mut(name).unwrap().connection = connection;
                return Ok(String::new());
            }
            "disconnect" => {
                let request = client.request(Body::Disconnect);
                let node = client.node;
                self.cluster().request(node, request);
            }
            "sql" => {
                let sql = args.next_pos().ok_or("which statement?")?.to_string();
                let params = std::iter::from_fn(|| args.next_pos().map(parameter)).collect();
                if !client.begun {
                    client.transaction += 1;
                }
                let (transaction, begun) = (client.transaction, client.begun || sql.starts_with("BEGIN"));
                client.begun = begun && !matches!(sql.as_str(), "COMMIT" | "ROLLBACK");
                let body = Body::Execute { sql: sql.into(), params, transaction, begun, retry: false };
                let (node, request) = (client.node, client.request(body));
                client.asked.push(request.clone());
                self.cluster().request(node, request);
            }
            "again" => {
                let (node, request) = (client.node, client.asked.last().ok_or("nothing was asked")?.clone());
                self.cluster().request(node, request);
            }
            "retry" => {
                let back = args.take_key("back").map_or(Ok(1), str::parse::<usize>)?;
                let asked = client.asked.iter().rev().nth(back - 1).ok_or("nothing was asked")?;
                let mut body = asked.body.clone();
                if let Body::Execute { retry, .. } = &mut body {
                    *retry = true;
                }
                let (node, request) = (client.node, client.request(body));
                self.cluster().request(node, request);
            }
            other => return Err(format!("unknown command {other}").into()),
        }
        Ok(self.answers(name))
    }

    /// The answers that have come, with the names of those that got them and are not `me`.
    fn answers(&mut self, me: &str) -> String {
        let mut text = String::new();
        for reply in std::mem::take(&mut self.cluster().replies) {
            let client = self.clients.iter().find(|(_, client)| client.id == reply.client);
            let name = client.map_or("?", |(name, _)| name);
            let whose = if name == me { String::new() } else { format!("{name}: ") };
            writeln!(text, "{whose}{}", answer(&reply.body)).unwrap();
        }
        text
    }
}

impl Client {
    fn request(&mut self, body: Body) -> Request {
        self.request += 1;
        Request { client: self.id, connection: self.connection, request: self.request, body }
    }
}

fn node(args: &mut ArgumentConsumer<'_>) -> Result<NodeId, Box<dyn Error>> {
    Ok(args.next_pos().ok_or("which node?")?.parse()?)
}

fn parameter(text: &str) -> Value {
    text.parse().map_or_else(|_| Value::Text(text.into()), Value::Integer)
}

fn answer(body: &ReplyBody) -> String {
    match body {
        ReplyBody::Connected(_) => "connected".into(),
        ReplyBody::NotConnected => "not connected".into(),
        ReplyBody::Failed(error) => error.to_string(),
        ReplyBody::Executed { output, snapshot, committed } => {
            let mut text = match output {
                Output::Select { rows, .. } => rows
                    .iter()
                    .map(|row| row.iter().map(ToString::to_string).collect::<Vec<_>>().join("|"))
                    .collect::<Vec<_>>()
                    .join(" "),
                other => format!("{other:?}"),
            };
            if let Some(snapshot) = snapshot {
                write!(text, " at {snapshot}").unwrap();
            }
            if let Some(committed) = committed {
                write!(text, ", committed {committed}").unwrap();
            }
            text
        }
    }
}

golden_scripts! {
    "node/testscripts", Runner::default();
    basics,
    collection,
    duplicates,
    leader_change,
    limits,
    lost_answers,
    lost_gateway,
    recovery,
}
