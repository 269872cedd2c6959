//! Golden scripts: what nodes do, message by message, in the situations that Raft's rules are for.
//!
//! Each command prints what it changed: a message that was sent as `1 → 2 @term: ...`, a node's changes as `2: ...`.
//! Effects of a delivery are indented below it. Commands that take a `turn=open` leave the node's turn unfinished, so
//! that nothing is durable or sent.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;

use goldenscript::{ArgumentConsumer, Command, Context, Runner};

use super::super::{Append, Entry, Envelope, Message, NodeId, Nonce, Options, Payload, Raft, Role};
use super::cluster::{Cluster, Stored};

#[derive(Default)]
struct Script {
    cluster: Option<Cluster>,
    /// Messages that are held back.
    held: Vec<Envelope>,
    /// What nodes had stored when an image was taken.
    images: BTreeMap<NodeId, Stored>,
}

fn show_entry(entry: &Entry) -> String {
    let payload = match &entry.payload {
        Payload::Empty => "no-op".into(),
        Payload::Command(command) => String::from_utf8_lossy(command).into_owned(),
        Payload::Reinstate { node, nonce } => format!("reinstate {node} after {nonce}"),
    };
    format!("{}@{} {payload}", entry.index, entry.term)
}

fn show_status(recovering: Option<Nonce>) -> String {
    recovering.map(|nonce| format!(", recovering from {nonce}")).unwrap_or_default()
}

fn show_entries(entries: &[Entry]) -> String {
    format!("[{}]", entries.iter().map(show_entry).collect::<Vec<_>>().join(", "))
}

fn kind(message: &Message) -> &'static str {
    match message {
        Message::PreVote { .. } => "pre-vote",
        Message::PreVoteGranted => "pre-vote-granted",
        Message::Vote { .. } => "vote",
        Message::VoteGranted => "vote-granted",
        Message::Append(_) => "append",
        Message::AppendAccepted { .. } => "accepted",
        Message::AppendRejected { .. } => "rejected",
        Message::Commit { .. } => "commit",
        Message::ReadIndex { .. } => "read-index",
        Message::ReadIndexResponse { .. } => "read-index-response",
        Message::NewerTerm => "newer-term",
    }
}

fn show_message(Envelope { from, to, term, message }: &Envelope) -> String {
    let content = match message {
        Message::PreVote { last_index, last_term } | Message::Vote { last_index, last_term } => {
            format!(" last {last_index}@{last_term}")
        }
        Message::Append(Append { prev_index, prev_term, entries, commit, round, matched }) => {
            let entries = show_entries(entries);
            format!(" {entries} after {prev_index}@{prev_term}, commit {commit}, round {round}, matched {matched}")
        }
        Message::AppendAccepted { matched, round, recovering } => {
            format!(" {matched}, round {round}{}", show_status(*recovering))
        }
        Message::AppendRejected { prev_index, conflict_term, conflict_index, round, recovering } => {
            let status = show_status(*recovering);
            format!(" {prev_index}, conflict from {conflict_index}@{conflict_term}, round {round}{status}")
        }
        Message::Commit { index, index_term } => format!(" {index}@{index_term}"),
        // Tokens on the wire are marked by the life of their node.
        Message::ReadIndexResponse { index, .. } => format!(" at {index}"),
        Message::ReadIndex { .. } | Message::PreVoteGranted | Message::VoteGranted | Message::NewerTerm => {
            String::new()
        }
    };
    format!("{from} → {to} @{term}: {}{content}", kind(message))
}

fn show_role(raft: &Raft) -> String {
    let status = if raft.is_recovering() { "recovering " } else { "" };
    match raft.role() {
        Role::Follower { leader: None } => format!("{status}follower"),
        Role::Follower { leader: Some(leader) } => format!("{status}follower of {leader}"),
        Role::PreCandidate => "pre-candidate".into(),
        Role::Candidate => "candidate".into(),
        Role::Leader => "leader".into(),
    }
}

/// A node's state as the parts that change apart from each other.
fn show_parts(raft: &Raft) -> [String; 5] {
    [
        show_role(raft),
        format!("term {}", raft.term()),
        raft.vote().map_or("no vote".into(), |vote| format!("vote for {vote}")),
        format!("last {}@{}", raft.last_index(), raft.last_term()),
        format!("commit {}", raft.commit_index()),
    ]
}

fn parse_ids(ids: &str) -> Result<Vec<NodeId>, Box<dyn Error>> {
    Ok(ids.split('/').map(str::parse).collect::<Result<_, _>>()?)
}

/// Which messages a command is about: `from=`, `to=`, `kind=`, and at most `count=` of them.
struct Filter {
    from: Option<NodeId>,
    to: Option<NodeId>,
    kind: Option<String>,
    count: usize,
}

impl Filter {
    fn parse(args: &mut ArgumentConsumer) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            from: args.take_key("from").map(str::parse).transpose()?,
            to: args.take_key("to").map(str::parse).transpose()?,
            kind: args.take_key("kind").map(str::to_owned),
            count: args.take_key("count").map_or(Ok(usize::MAX), str::parse)?,
        })
    }

    /// Takes the matching messages out.
    fn take(&self, messages: &mut Vec<Envelope>) -> Vec<Envelope> {
        let mut left = self.count;
        let matches = |envelope: &mut Envelope| {
            let matches = left > 0
                && self.from.is_none_or(|from| from == envelope.from)
                && self.to.is_none_or(|to| to == envelope.to)
                && self.kind.as_deref().is_none_or(|name| name == kind(&envelope.message));
            left -= usize::from(matches);
            matches
        };
        messages.extract_if(.., matches).collect()
    }
}

impl Script {
    fn cluster(&mut self) -> &mut Cluster {
        self.cluster.as_mut().expect("a script begins with `cluster`")
    }

    /// Runs an action and prints its effects.
    fn act(&mut self, indent: &str, action: impl FnOnce(&mut Cluster)) -> String {
        let cluster = self.cluster();
        let before: BTreeMap<NodeId, [String; 5]> =
            cluster.nodes.iter().filter_map(|(&id, node)| Some((id, show_parts(node.raft.as_ref()?)))).collect();
        let (reads, noticed) = (cluster.confirmed.len(), cluster.noticed.len());
        // What is sent now shows behind what is on its way.
        let on_its_way = std::mem::take(&mut cluster.network);
        action(cluster);
        let mut output = String::new();
        for (&id, node) in &cluster.nodes {
            let after = node.raft.as_ref().map(show_parts);
            let changes = match (before.get(&id), after) {
                (Some(before), Some(after)) => {
                    let changed = after.into_iter().zip(before).filter(|(after, before)| after != *before);
                    changed.map(|(after, _)| after).collect::<Vec<_>>().join(", ")
                }
                (None, Some(after)) => after.join(", "),
                (Some(_), None) => "down".into(),
                (None, None) => String::new(),
            };
            if !changes.is_empty() {
                writeln!(output, "{indent}{id}: {changes}").unwrap();
            }
        }
        for (id, token, index) in &cluster.confirmed[reads..] {
            writeln!(output, "{indent}{id}: read {token} at {index}").unwrap();
        }
        for (id, forgot) in &cluster.noticed[noticed..] {
            writeln!(output, "{indent}{id}: {forgot}").unwrap();
        }
        for envelope in &cluster.network {
            writeln!(output, "{indent}{}", show_message(envelope)).unwrap();
        }
        let sent = std::mem::replace(&mut cluster.network, on_its_way);
        cluster.network.extend(sent);
        output
    }

    fn deliver(&mut self, envelope: Envelope) -> String {
        let shown = show_message(&envelope);
        format!("{shown}\n{}", self.act("  ", |cluster| cluster.deliver(envelope)))
    }

    /// Gives inputs to a node, in a turn that ends unless it is to stay open.
    fn turn(
        &mut self,
        args: &mut ArgumentConsumer,
        id: NodeId,
        input: impl FnOnce(&mut Cluster),
    ) -> Result<String, Box<dyn Error>> {
        let open = match args.take_key("turn") {
            None => false,
            Some("open") => true,
            Some(other) => return Err(format!("unknown turn {other}").into()),
        };
        Ok(self.act("", |cluster| {
            input(cluster);
            if !open {
                cluster.ready(id);
            }
        }))
    }
}

impl Runner for Script {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Result<String, Box<dyn Error>> {
        let mut output = String::new();
        let mut args = command.consume_args();
        let id = |args: &mut ArgumentConsumer| -> Result<NodeId, Box<dyn Error>> {
            Ok(args.next_pos().ok_or("which node?")?.parse()?)
        };
        match command.name.as_str() {
            // cluster SIZE: starts a cluster.
            "cluster" => {
                let size = id(&mut args)?;
                let mut number = |key, default| args.take_key(key).map_or(Ok(default), str::parse::<u32>);
                let options = Options {
                    election_ticks: number("election", 10)?,
                    heartbeat_ticks: number("heartbeat", 3)?,
                    max_entries_per_append: number("max-entries", 10)? as usize,
                    max_bytes_per_append: number("max-bytes", 1000)? as usize,
                    max_inflight_entries: u64::from(number("max-inflight", 20)?),
                };
                self.cluster = Some(Cluster::new(size, options));
            }
            // elect ID [appends=lost] [slow=IDS]: lets a node win an election, without a word. Its first entry reaches all,
            // or none. No time passes for slow nodes.
            "elect" => {
                let id = id(&mut args)?;
                let lost = args.take_key("appends") == Some("lost");
                let slow = args.take_key("slow").map_or(Ok(Vec::new()), parse_ids)?;
                for _ in 0..100 {
                    if self.cluster().raft(id).is_some_and(|raft| raft.role() == Role::Leader) {
                        break;
                    }
                    // The others must miss a leader before they grant anything, but are not to campaign themselves.
                    for other in self.cluster().ids().into_iter().filter(|other| *other != id && !slow.contains(other))
                    {
                        self.cluster().tick(other);
                    }
                    let rival = |e: &Envelope| e.from != id && matches!(e.message, Message::PreVote { .. });
                    self.cluster().network.retain(|envelope| !rival(envelope));
                    self.cluster().tick(id);
                    self.cluster().deliver_round();
                }
                if lost {
                    self.cluster().network.clear();
                }
                while !self.cluster().network.is_empty() {
                    self.cluster().deliver_round();
                }
                let leader = self.cluster().raft(id).is_some_and(|raft| raft.role() == Role::Leader);
                assert!(leader, "{id} could not be elected");
            }
            // tick IDS [times=N]
            "tick" => {
                let ids = parse_ids(args.next_pos().ok_or("which nodes?")?)?;
                let times = args.take_key("times").map_or(Ok(1), str::parse)?;
                for id in ids {
                    output.push_str(&self.act("", |cluster| (0..times).for_each(|_| cluster.tick(id))));
                }
            }
            // campaign ID: ticks until the node asks for pre-votes.
            "campaign" => {
                let id = id(&mut args)?;
                output = self.act("", |cluster| cluster.campaign(id));
            }
            // propose ID COMMANDS...
            "propose" => {
                let id = id(&mut args)?;
                let mut commands = Vec::new();
                while let Some(command) = args.next_pos() {
                    commands.push(command);
                }
                let mut refused = None;
                output = self.turn(&mut args, id, |cluster| {
                    for command in commands {
                        if !cluster.propose_command(id, command.as_bytes()) {
                            refused = cluster.raft(id).map(|raft| raft.clone().propose([].into()).unwrap_err());
                        }
                    }
                })?;
                if let Some(refused) = refused {
                    return Err(refused.into());
                }
            }
            // read ID: asks for a read, under tokens that count from 1.
            "read" => {
                let id = id(&mut args)?;
                output = self.turn(&mut args, id, |cluster| {
                    cluster.read(id);
                })?;
            }
            // ready ID: ends an open turn.
            "ready" => {
                let id = id(&mut args)?;
                output = self.act("", |cluster| cluster.ready(id));
            }
            // deliver [FILTER]: delivers what is on its way now.
            "deliver" => {
                let filter = Filter::parse(&mut args)?;
                for envelope in filter.take(&mut self.cluster().network) {
                    output.push_str(&self.deliver(envelope));
                }
            }
            // duplicate [FILTER]: delivers what is on its way, and leaves it there.
            "duplicate" => {
                let filter = Filter::parse(&mut args)?;
                for envelope in filter.take(&mut self.cluster().network.clone()) {
                    output.push_str(&self.deliver(envelope));
                }
            }
            // run: delivers until nothing is on its way.
            "run" => {
                let mut left = 500;
                while let Some(envelope) =
                    (!self.cluster().network.is_empty()).then(|| self.cluster().network.remove(0))
                {
                    output.push_str(&self.deliver(envelope));
                    left -= 1;
                    assert!(left > 0, "messages without end");
                }
            }
            // drop [FILTER]
            "drop" => {
                for envelope in Filter::parse(&mut args)?.take(&mut self.cluster().network) {
                    writeln!(output, "lost: {}", show_message(&envelope))?;
                }
            }
            // hold [FILTER]: keeps messages back until `release`.
            "hold" => {
                let envelopes = Filter::parse(&mut args)?.take(&mut self.cluster().network);
                for envelope in &envelopes {
                    writeln!(output, "held: {}", show_message(envelope))?;
                }
                self.held.extend(envelopes);
            }
            "release" => {
                let held = std::mem::take(&mut self.held);
                self.cluster().network.extend(held);
            }
            // partition GROUPS...: cuts the links between groups, as in `partition 1/2 3`.
            "partition" => {
                let mut groups = BTreeMap::new();
                let mut group = 0;
                while let Some(ids) = args.next_pos() {
                    group += 1;
                    groups.extend(parse_ids(ids)?.into_iter().map(|id| (id, group)));
                }
                self.cluster().partition(|id| groups.get(&id).copied().unwrap_or(0));
            }
            "heal" => self.cluster().cut.clear(),
            // crash ID [stored=true]: what is not stored is lost; or it is stored, but nothing was sent.
            "crash" => {
                let id = id(&mut args)?;
                let stored = args.take_key("stored").map_or(Ok(false), str::parse)?;
                output = self.act("", |cluster| {
                    if stored {
                        cluster.persist(id);
                    }
                    cluster.crash(id);
                });
            }
            "restart" => {
                let id = id(&mut args)?;
                output = self.act("", |cluster| cluster.restart(id));
            }
            // wipe ID: takes a node down with all it stored; it comes back by `restart`.
            "wipe" => {
                let id = id(&mut args)?;
                output = self.act("", |cluster| cluster.wipe(id));
            }
            // image ID: remembers what a node has stored, for `roll-back ID`, which takes it down and restores that.
            "image" => {
                let id = id(&mut args)?;
                let stored = self.cluster().nodes[&id].stored.clone();
                self.images.insert(id, stored);
            }
            "roll-back" => {
                let id = id(&mut args)?;
                let image = self.images[&id].clone();
                output = self.act("", |cluster| cluster.roll_back(id, image));
            }
            // status: every node's state.
            "status" => {
                for (id, node) in &self.cluster().nodes {
                    let state = node.raft.as_ref().map_or("down".into(), |raft| show_parts(raft).join(", "));
                    writeln!(output, "{id}: {state}")?;
                }
            }
            // logs: every node's entries.
            "logs" => {
                for (id, node) in &self.cluster().nodes {
                    let entries =
                        node.raft.as_ref().map_or(&node.stored.entries[..], |raft| raft.entries(1, raft.last_index()));
                    writeln!(output, "{id}: {}", show_entries(entries))?;
                }
            }
            other => return Err(format!("unknown command {other}").into()),
        }
        args.reject_next()?;
        Ok(output)
    }
}

golden_scripts! {
    "raft/tests/scripts", Script::default();
    amnesia,
    amnesia_of_two,
    amnesia_over_leaders,
    amnesia_promises,
    check_quorum,
    commit,
    conflict,
    crash,
    election,
    figure_8,
    lost_append,
    pipeline,
    pre_vote,
    read,
    roll_back,
    split_vote,
    stale_messages,
    up_to_date,
    vote_once,
}
