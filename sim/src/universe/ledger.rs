//! The ledger of a filmed run: says in words what the entries of the log are, and what applying them decided.
//!
//! It knows only what the nodes show: the entries that they have stored, and what each made of them. From that it follows
//! which entries are copies of one another (commands for one transaction of one client), and whether a state machine decides
//! what none may: a transaction commits twice, or in spite of an earlier abort, or not alike on all nodes.
//!
//! A transaction is written `c3.5`, for the fifth of client 3. Whoever knows the operations that clients were at gives it the
//! operation's name ([`crate::names`]).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use engine::node::protocol::{Body, Reply, ReplyBody, Request};
use engine::node::{Abort, Command, Decided};
use engine::raft::{Entry, Index, Payload, Term};
use engine::sql::types::Value;
use engine::sql::{Output, Write};

/// The most entries of one message that are told one by one.
const TOLD: usize = 8;

/// A client and the number of its transaction.
type Transaction = (u64, u64);

/// What is known of the log.
#[derive(Default)]
pub struct Ledger {
    /// The entries that some node has stored.
    known: BTreeSet<(Index, Term)>,
    /// Where commands for a transaction have stood.
    places: BTreeMap<Transaction, BTreeSet<Index>>,
    /// What the first node to apply an entry decided about a transaction, by index.
    decided: BTreeMap<Transaction, BTreeMap<Index, Result<Index, Abort>>>,
    /// The transactions that requests were about, by client and request.
    requests: BTreeMap<(u64, u64), u64>,
}

/// What applying an entry came to.
pub struct Ruling {
    /// In words.
    pub text: String,
    /// Whether no right state machine decides so.
    pub wrong: bool,
}

/// `3 rows`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn list<'a>(values: impl IntoIterator<Item = &'a Value>) -> String {
    let values = values.into_iter().map(|value| match value {
        Value::Text(text) => format!("'{text}'"),
        other => other.to_string(),
    });
    values.collect::<Vec<_>>().join(", ")
}

impl Ledger {
    /// Notes an entry that a node has stored. Returns what it is, if no node had it before.
    pub fn learn(&mut self, entry: &Entry) -> Option<String> {
        if !self.known.insert((entry.index, entry.term)) {
            return None;
        }
        if let Some(transaction) = entry.payload.command().and_then(|command| transaction(command)) {
            self.places.entry(transaction).or_default().insert(entry.index);
        }
        Some(self.entry(entry))
    }

    /// What an entry is, and whether it is a copy of an earlier one.
    pub fn entry(&self, entry: &Entry) -> String {
        let earlier = entry.payload.command().and_then(|command| {
            let transaction = transaction(command)?;
            self.places.get(&transaction)?.range(..entry.index).next().copied()
        });
        let copy = earlier.map_or(String::new(), |index| format!(", another copy: entry {index} is for it too"));
        format!("{}{copy}", label(entry))
    }

    /// The entries of a message, by their indexes.
    pub fn entries(&self, entries: &[Entry]) -> String {
        let told = entries.iter().take(TOLD).map(|entry| format!("{} {}", entry.index, self.entry(entry)));
        let mut text = told.collect::<Vec<_>>().join("; ");
        if let Some(last) = entries.get(TOLD..).and_then(<[Entry]>::last) {
            let _ = write!(text, "; and {} more, up to {}", entries.len() - TOLD, last.index);
        }
        text
    }

    /// What a command on its way to the leader is, and where the log has it already.
    pub fn proposal(&self, command: &[u8]) -> String {
        let places = transaction(command).and_then(|transaction| self.places.get(&transaction)?.first().copied());
        let known = places.map_or(String::new(), |index| format!(", which the log has as entry {index} already"));
        format!("{}{known}", words(command))
    }

    /// What it came to that a node applied an entry.
    pub fn applied(&mut self, entry: &Entry, decided: Option<&Decided>) -> Ruling {
        let Some(Decided { client, transaction, fate }) = decided else {
            let text = if entry.payload.command().is_some() { "old versions are removed" } else { "nothing to decide" };
            return Ruling { text: text.to_string(), wrong: false };
        };
        let name = format!("c{client}.{transaction}");
        let rulings = self.decided.entry((*client, *transaction)).or_default();
        let elsewhere = rulings.entry(entry.index).or_insert_with(|| fate.clone());
        if elsewhere != fate {
            let text = format!("{} here, but another node decided otherwise", told(&name, fate));
            return Ruling { text, wrong: true };
        }
        let earlier = rulings.range(..entry.index).next_back();
        match (fate, earlier) {
            (Ok(version), Some((before, first))) if *version == entry.index => {
                let first = if first.is_ok() { "committed" } else { "aborted" };
                Ruling { text: format!("{name} commits AGAIN: entry {before} had {first} it already"), wrong: true }
            }
            (Ok(version), _) if *version != entry.index => {
                let text =
                    format!("nothing changes: {name} was committed by entry {version}, and that is the answer again");
                Ruling { text, wrong: false }
            }
            (Err(abort), Some((before, Err(first)))) if abort == first => {
                Ruling { text: format!("nothing changes: {name} was aborted by entry {before}"), wrong: false }
            }
            // What has a fate keeps it, until the client's next transaction takes its place.
            (Err(abort), Some((before, first))) if *abort != Abort::Superseded => {
                let first = if first.is_ok() { "committed" } else { "aborted" };
                let ruling =
                    told(&name, fate).replacen("aborted", &format!("aborted THOUGH entry {before} had {first} it"), 1);
                Ruling { text: ruling, wrong: true }
            }
            _ => Ruling { text: told(&name, fate), wrong: false },
        }
    }

    /// What a client asks.
    pub fn request(&mut self, Request { client, request, body, .. }: &Request) -> String {
        match body {
            Body::Connect => format!("connects, request {request}"),
            Body::Disconnect => format!("disconnects, request {request}"),
            Body::Execute { sql, params, transaction, retry, .. } => {
                self.requests.insert((*client, *request), *transaction);
                let with = if params.is_empty() { String::new() } else { format!(" with {}", list(params)) };
                let again = if *retry { ", tried again" } else { "" };
                format!("c{client}.{transaction}, request {request}{again}: {sql}{with}")
            }
        }
    }

    /// What a client is answered.
    pub fn reply(&self, Reply { client, request, body }: &Reply) -> String {
        let transaction = self.requests.get(&(*client, *request));
        let about = transaction.map_or(String::new(), |transaction| format!("c{client}.{transaction}, "));
        let answer = match body {
            ReplyBody::Connected(_) => "connected".to_string(),
            ReplyBody::NotConnected => "not connected here; connect again".to_string(),
            ReplyBody::Executed { output: result, snapshot, committed } => {
                let read = snapshot.map_or(String::new(), |snapshot| format!(", read at {snapshot}"));
                let wrote = committed.map_or(String::new(), |committed| format!(", committed at {committed}"));
                format!("{}{read}{wrote}", output(result))
            }
            ReplyBody::Failed(error) => format!("failed: {error}"),
        };
        format!("{about}request {request}: {answer}")
    }
}

/// The transaction that a command is about, if it is about one.
fn transaction(command: &[u8]) -> Option<Transaction> {
    match Command::decode(command) {
        Ok(
            Command::Commit { client, transaction, .. }
            | Command::CommitAt { client, transaction, .. }
            | Command::Resolve { client, transaction },
        ) => Some((client, transaction)),
        Ok(Command::Collect { .. } | Command::Advance { .. }) | Err(_) => None,
    }
}

/// What an entry is.
pub fn label(entry: &Entry) -> String {
    match &entry.payload {
        Payload::Empty => format!("the first entry of term {}, which holds nothing", entry.term),
        Payload::Reinstate { node, .. } => format!("gives n{node} its vote back"),
        Payload::Command(command) => words(command),
    }
}

fn words(command: &[u8]) -> String {
    match Command::decode(command) {
        Ok(
            Command::Commit { client, transaction, commit, .. } | Command::CommitAt { client, transaction, commit, .. },
        ) => {
            let writes = counted(commit.writes.len(), "write");
            format!("commit of c{client}.{transaction} ({writes}, read at {})", commit.snapshot)
        }
        Ok(Command::Resolve { client, transaction }) => {
            format!("question whether c{client}.{transaction} has committed, which aborts it if not")
        }
        Ok(Command::Advance { time }) => format!("the time {time}"),
        Ok(Command::Collect { watermark }) => format!("removal of versions older than {watermark}"),
        Err(_) => format!("a command of {} bytes that does not decode", command.len()),
    }
}

/// A transaction's fate in words.
fn told(name: &str, fate: &Result<Index, Abort>) -> String {
    match fate {
        Ok(_) => format!("{name} commits"),
        Err(Abort::Conflict { version, written: true }) => {
            format!("{name} is aborted: entry {version} has changed what it wrote, after its snapshot")
        }
        Err(Abort::Conflict { version, written: false }) => {
            format!("{name} is aborted: entry {version} has changed what it read, after its snapshot")
        }
        Err(Abort::TooOld { watermark }) => {
            format!("{name} is aborted: its snapshot is older than {watermark}, the oldest that is kept")
        }
        Err(Abort::Resolved) => format!("{name} is aborted for good, since it has not committed so far"),
        Err(Abort::Superseded) => format!("nothing changes: the client has finished a later transaction than {name}"),
    }
}

fn output(output: &Output) -> String {
    match output {
        Output::Begin => "begun".to_string(),
        Output::Commit => "commit done".to_string(),
        Output::Rollback => "rolled back".to_string(),
        Output::CreateTable => "table created".to_string(),
        Output::DropTable => "table dropped".to_string(),
        Output::Insert { count } => format!("{} inserted", counted(*count as usize, "row")),
        Output::Update { count } => format!("{} updated", counted(*count as usize, "row")),
        Output::Delete { count } => format!("{} deleted", counted(*count as usize, "row")),
        Output::Select { rows, .. } => all(rows),
        Output::Returning { write, rows, .. } => {
            let verb = match write {
                Write::Insert => "inserted",
                Write::Update => "updated",
                Write::Delete => "deleted",
            };
            format!("{verb}: {}", all(rows))
        }
        Output::Explain { text } => text.clone(),
        Output::CreateIndex => "index created".to_string(),
        Output::DropIndex => "index dropped".to_string(),
        Output::CreateView => "view created".to_string(),
        Output::DropView => "view dropped".to_string(),
        Output::AlterTable => "table altered".to_string(),
        Output::Truncate => "table emptied".to_string(),
        Output::Analyze => "statistics gathered".to_string(),
        Output::Savepoint => "savepoint set".to_string(),
        Output::Release => "savepoint released".to_string(),
        Output::Set => "set".to_string(),
    }
}

fn all(rows: &[Vec<Value>]) -> String {
    if rows.is_empty() {
        return "no rows".to_string();
    }
    rows.iter().map(|row| format!("({})", list(row))).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use engine::mvcc::Commit;

    use super::*;

    fn entry(index: Index, client: u64, transaction: u64) -> Entry {
        let commit = Commit { snapshot: 3, writes: Vec::new(), read_keys: Vec::new(), read_ranges: Vec::new() };
        let command = Command::Commit { client, transaction, output: Output::Commit, commit };
        Entry { index, term: 1, payload: Payload::Command(command.encode().unwrap()) }
    }

    fn ruled(ledger: &mut Ledger, index: Index, fate: Result<Index, Abort>) -> (String, bool) {
        let decided = Decided { client: 3, transaction: 5, fate };
        let Ruling { text, wrong } = ledger.applied(&entry(index, 3, 5), Some(&decided));
        (text, wrong)
    }

    #[test]
    fn copies_are_told_from_first_ones() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.learn(&entry(7, 3, 5)).as_deref(), Some("commit of c3.5 (0 writes, read at 3)"));
        assert_eq!(ledger.learn(&entry(7, 3, 5)), None);
        assert!(ledger.learn(&entry(8, 3, 6)).is_some_and(|text| !text.contains("copy")));
        assert!(
            ledger.learn(&entry(9, 3, 5)).is_some_and(|text| text.ends_with("another copy: entry 7 is for it too"))
        );
        let command = entry(7, 3, 5).payload.command().cloned().unwrap();
        assert!(ledger.proposal(&command).ends_with("which the log has as entry 7 already"));
        let many: Vec<Entry> = (20..30).map(|index| entry(index, 1, index)).collect();
        assert!(ledger.entries(&many).ends_with("; and 2 more, up to 29"));
    }

    #[test]
    fn what_no_state_machine_may_decide_is_wrong() {
        let ledger = &mut Ledger::default();
        assert_eq!(ruled(ledger, 7, Ok(7)), ("c3.5 commits".to_string(), false));
        // Another node, and the same one after a restart.
        assert_eq!(ruled(ledger, 7, Ok(7)), ("c3.5 commits".to_string(), false));
        // A copy is answered from the table.
        assert!(!ruled(ledger, 9, Ok(7)).1);
        let (text, wrong) = ruled(ledger, 11, Ok(11));
        assert!(wrong && text.contains("commits AGAIN: entry 9 had committed it"), "{text}");
        assert!(ruled(ledger, 12, Err(Abort::Conflict { version: 7, written: true })).1);
        assert!(!ruled(ledger, 13, Err(Abort::Superseded)).1);
        // Replicas differ.
        assert!(ruled(ledger, 7, Err(Abort::Resolved)).1);
    }
}
