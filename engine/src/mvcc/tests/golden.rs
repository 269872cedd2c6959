//! Golden scripts. A prefix names the transaction that a command belongs to; without one, it is about the store.
//!
//! - `begin [at=VERSION] [serializable] [readonly]`, `commit`, `resume` (the state is encoded and decoded again)
//! - `set KEY=VALUE...`, `delete KEY...`, `get KEY... [read=data|schema|constraint]`
//! - `scan [from=KEY | after=KEY] [to=KEY | through=KEY] [reverse] [read=…]`
//! - `savepoint NAME`, `rollback NAME`
//! - `noop` (a position without writes), `put KEY=VALUE...` and `remove KEY...` (a commit of its own)
//! - `get KEY... [at=VERSION]`, `scan … [at=VERSION]`, `changed … since=VERSION` (in a range), `latest KEY...`
//! - `collect WATERMARK` (at a position of its own), `reopen`, `dump` (all versions, and the store's positions)

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::ops::Bound;

use goldenscript::ArgumentConsumer;

use crate::encoding::value;
use crate::mvcc::layout::{VersionKey, all_versions};
use crate::mvcc::{Isolation, Read, Savepoint, Scan, Store, Transaction, Txn, Version, View};
use crate::storage::{KeyRange, Memory, Storage};

struct Runner {
    store: Store<Memory>,
    running: BTreeMap<String, Running>,
}

struct Running {
    txn: Txn,
    savepoints: BTreeMap<String, Savepoint>,
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
            Some(name) => self.transaction(name, &command.name, &mut args)?,
            None => self.global(&command.name, &mut args)?,
        };
        args.reject_next()?;
        Ok(output)
    }
}

impl Runner {
    fn global(&mut self, command: &str, args: &mut ArgumentConsumer<'_>) -> Result<String, Box<dyn Error>> {
        let mut output = String::new();
        let next = self.store.applied() + 1;
        match command {
            "noop" => self.store.commit(next, [], [])?,
            "put" => {
                let writes =
                    std::iter::from_fn(|| args.next_key()).map(|(key, value)| (bytes(key), Some(bytes(value))));
                self.store.commit(next, writes, [])?;
            }
            "remove" => {
                let writes = std::iter::from_fn(|| args.next_pos()).map(|key| (bytes(key), None));
                self.store.commit(next, writes, [])?;
            }
            "get" => {
                let at = number(args.take_key("at"))?.unwrap_or(self.store.applied());
                while let Some(key) = args.next_pos() {
                    show_value(&mut output, key, self.store.snapshot_get(key.as_bytes(), at)?)?;
                }
            }
            "scan" => {
                let at = number(args.take_key("at"))?.unwrap_or(self.store.applied());
                let (range, reverse) = range_and_direction(args)?;
                output = show_scan(self.store.snapshot_scan(range, at)?, reverse)?;
            }
            "changed" => {
                let since = number(args.take_key("since"))?.ok_or("since=VERSION is missing")?;
                let (range, _) = range_and_direction(args)?;
                write!(output, "{:?}", self.store.changed_since(&range, since)?)?;
            }
            "latest" => {
                while let Some(key) = args.next_pos() {
                    writeln!(output, "{key} {:?}", self.store.latest_version(key.as_bytes())?)?;
                }
            }
            "collect" => {
                let watermark = number(args.next_pos())?.ok_or("the watermark is missing")?;
                write!(output, "removed {}", self.store.collect(next, watermark)?)?;
            }
            "reopen" => self.store = Store::new(self.store.storage().clone())?,
            "dump" => {
                writeln!(output, "applied {}, watermark {}", self.store.applied(), self.store.watermark())?;
                for pair in self.store.storage().scan(all_versions()) {
                    let (key, value) = pair?;
                    let key = VersionKey::parse(key)?;
                    let value = if key.is_tombstone() { "deleted".into() } else { format!("= {}", text(&value)) };
                    writeln!(output, "{}@{} {value}", text(&key.user_key()?), key.version())?;
                }
            }
            _ => return Err(format!("no command {command}").into()),
        }
        Ok(output)
    }

    fn transaction(
        &mut self,
        name: &str,
        command: &str,
        args: &mut ArgumentConsumer<'_>,
    ) -> Result<String, Box<dyn Error>> {
        if command == "begin" {
            let snapshot = number(args.take_key("at"))?.unwrap_or(self.store.applied());
            let (mut isolation, mut read_only) = (Isolation::Snapshot, false);
            while let Some(option) = args.next_pos() {
                match option {
                    "serializable" => isolation = Isolation::Serializable,
                    "readonly" => read_only = true,
                    _ => return Err(format!("no option {option}").into()),
                }
            }
            let running = Running { txn: Txn::new(snapshot, isolation, read_only), savepoints: BTreeMap::new() };
            self.running.insert(name.into(), running);
            return Ok(format!("reads at {snapshot}"));
        }
        if command == "commit" {
            let commit = self.running.remove(name).ok_or("no such transaction")?.txn.into_commit();
            return Ok(match self.store.validate(&commit)? {
                Ok(()) => {
                    let version = self.store.applied() + 1;
                    self.store.commit(version, commit.writes, [])?;
                    format!("committed at {version}")
                }
                Err(conflict) => show_conflict(&conflict),
            });
        }
        let Running { txn, savepoints } = self.running.get_mut(name).ok_or("no such transaction")?;
        if command == "resume" {
            *txn = value::deserialize(&value::serialize(txn)?)?;
            return Ok(String::new());
        }
        let read = match args.take_key("read") {
            None | Some("data") => Read::Data,
            Some("schema") => Read::Schema,
            Some("constraint") => Read::Constraint,
            Some(other) => return Err(format!("no kind of read {other}").into()),
        };
        let mut view = View::new(&self.store, txn);
        let mut output = String::new();
        match command {
            "set" => {
                while let Some((key, value)) = args.next_key() {
                    view.set(bytes(key), bytes(value))?;
                }
            }
            "delete" => {
                while let Some(key) = args.next_pos() {
                    view.delete(bytes(key))?;
                }
            }
            "get" => {
                while let Some(key) = args.next_pos() {
                    show_value(&mut output, key, view.get(key.as_bytes(), read)?)?;
                }
            }
            "scan" => {
                let (range, reverse) = range_and_direction(args)?;
                output = show_scan(view.scan(range, read)?, reverse)?;
            }
            "savepoint" => {
                savepoints.insert(args.next_pos().ok_or("the name is missing")?.into(), view.savepoint());
            }
            "rollback" => {
                let name = args.next_pos().ok_or("the name is missing")?;
                view.rollback_to(*savepoints.get(name).ok_or("no such savepoint")?);
            }
            _ => return Err(format!("no command {command} in a transaction").into()),
        }
        Ok(output)
    }
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn number(argument: Option<&str>) -> Result<Option<Version>, Box<dyn Error>> {
    Ok(argument.map(str::parse).transpose()?)
}

fn range_and_direction(args: &mut ArgumentConsumer<'_>) -> Result<(KeyRange, bool), Box<dyn Error>> {
    let start = match (args.take_key("from"), args.take_key("after")) {
        (Some(key), _) => Bound::Included(bytes(key)),
        (None, Some(key)) => Bound::Excluded(bytes(key)),
        (None, None) => Bound::Unbounded,
    };
    let end = match (args.take_key("to"), args.take_key("through")) {
        (Some(key), _) => Bound::Excluded(bytes(key)),
        (None, Some(key)) => Bound::Included(bytes(key)),
        (None, None) => Bound::Unbounded,
    };
    let reverse = match args.next_pos() {
        None => false,
        Some("reverse") => true,
        Some(other) => return Err(format!("no direction {other}").into()),
    };
    Ok(((start, end), reverse))
}

fn show_value(output: &mut String, key: &str, value: Option<Vec<u8>>) -> Result<(), Box<dyn Error>> {
    match value {
        Some(value) => writeln!(output, "{key} = {}", text(&value))?,
        None => writeln!(output, "{key} is not there")?,
    }
    Ok(())
}

fn show_scan(scan: Scan<'_>, reverse: bool) -> Result<String, Box<dyn Error>> {
    let show = |pair| -> Result<String, Box<dyn Error>> {
        let (key, value): (Vec<u8>, Vec<u8>) = pair?;
        Ok(format!("{} = {}", text(&key), text(&value)))
    };
    let lines: Vec<String> = if reverse {
        scan.rev().map(show).collect::<Result<_, _>>()?
    } else {
        scan.map(show).collect::<Result<_, _>>()?
    };
    Ok(if lines.is_empty() { "nothing".into() } else { lines.join("\n") })
}

fn show_conflict(conflict: &crate::mvcc::Conflict) -> String {
    use crate::mvcc::Conflict;
    match conflict {
        Conflict::Write { key, version } => format!("conflict: it wrote {}, which changed at {version}", text(key)),
        Conflict::Read { key, version } => format!("conflict: it read {}, which changed at {version}", text(key)),
        Conflict::TooOld { watermark } => format!("conflict: its snapshot is older than the watermark {watermark}"),
    }
}

golden_scripts! {
    "mvcc/testscripts", Runner { store: Store::new(Memory::new()).unwrap(), running: BTreeMap::new() };
    collect,
    conflicts,
    own_writes,
    ranges,
    resume,
    savepoints,
    serializable,
    time_travel,
    visibility,
}
