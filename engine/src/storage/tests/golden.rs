//! Golden scripts: `scripts/any` runs on every store, `scripts/bitcask` shows the file, and what becomes of a damaged one.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use goldenscript::{Command, Context, Runner};

use super::super::*;
use super::{InMemory, OnDisk, Subject, busy, frantic, lazy};
use crate::disk::{Disk, File, MemDisk, MemFile};

/// Runs commands on a store, of which there is none only while it is closed.
struct Script<S: Subject> {
    subject: S,
    store: Option<S::Store>,
    /// The disk, where the store has one that scripts may look at.
    disk: Option<MemDisk>,
}

const DATA: &str = "a/store/data";

impl<S: Subject> Script<S> {
    fn new(mut subject: S, disk: Option<MemDisk>) -> Self {
        let store = Some(subject.open());
        Self { subject, store, disk }
    }

    fn store(&mut self) -> Result<&mut S::Store, Box<dyn StdError>> {
        self.store.as_mut().ok_or_else(|| "the store is closed".into())
    }

    fn data(&self) -> Result<MemFile, Box<dyn StdError>> {
        Ok(self.disk.as_ref().ok_or("this store has no file")?.open(DATA)?)
    }
}

/// Text as it is, and other bytes escaped.
fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// A range in the notation of Rust: `a..b`, `a..=b`, `..`; a start with `>` is excluded.
fn parse_range(text: &str) -> Result<KeyRange, Box<dyn StdError>> {
    let (start, end) = text.split_once("..").ok_or("a range has two dots")?;
    let bytes = |text: &str| text.as_bytes().to_vec();
    let start = match start.strip_prefix('>') {
        _ if start.is_empty() => Bound::Unbounded,
        Some(start) => Bound::Excluded(bytes(start)),
        None => Bound::Included(bytes(start)),
    };
    let end = match end.strip_prefix('=') {
        _ if end.is_empty() => Bound::Unbounded,
        Some(end) => Bound::Included(bytes(end)),
        None => Bound::Excluded(bytes(end)),
    };
    Ok((start, end))
}

impl<S: Subject> Runner for Script<S> {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Result<String, Box<dyn StdError>> {
        let mut args = command.consume_args();
        let mut output = String::new();
        match command.name.as_str() {
            // A key alone is removed, a key with a value set.
            "apply" => {
                let mut batch = Batch::default();
                for argument in args.by_ref() {
                    match argument {
                        goldenscript::Argument::Positional(key) => batch.delete(key.clone().into()),
                        goldenscript::Argument::KeyValue(key, value) => {
                            batch.set(key.clone().into(), value.clone().into());
                        }
                        _ => return Err("neither a key nor a pair".into()),
                    }
                }
                self.store()?.apply(batch)?;
            }
            "get" => {
                while let Some(key) = args.next_pos() {
                    let value = self.store()?.get(key.as_bytes())?;
                    writeln!(output, "{key} → {}", value.map_or("none".into(), |value| format!("{:?}", show(&value))))?;
                }
            }
            "scan" | "reverse" => {
                let range = parse_range(args.next_pos().unwrap_or(".."))?;
                let scan = self.store()?.scan(range);
                let pairs: Vec<_> = if command.name == "scan" { scan.collect() } else { scan.rev().collect() };
                for pair in pairs {
                    let (key, value) = pair?;
                    writeln!(output, "{} → {:?}", show(&key), show(&value))?;
                }
            }
            "flush" => self.store()?.flush()?,
            "status" => {
                let Status { name, keys, size, disk_size, live_disk_size } = self.store()?.status();
                write!(output, "{name}: {keys} keys, {size} bytes")?;
                if disk_size > 0 {
                    let garbage = self.store()?.status().garbage_disk_size();
                    write!(output, ", {disk_size} on disk, {live_disk_size} live, {garbage} garbage")?;
                }
            }
            "reopen" => {
                let store = self.store.take().ok_or("the store is closed")?;
                self.store = Some(self.subject.reopen(store));
            }
            "close" => self.store = None,
            // Only now may opening fail.
            "open" => {
                let disk = self.disk.clone().ok_or("this store has no file")?;
                drop(BitCask::open(disk, "a/store", lazy())?);
                self.store = Some(self.subject.open());
            }
            "cut" => {
                let file = self.data()?;
                let count: u64 = args.next_pos().ok_or("how many bytes?")?.parse()?;
                file.set_len(file.len()? - count)?;
            }
            "flip" => {
                let file = self.data()?;
                let offset = args.next_pos().ok_or("which byte?")?.parse()?;
                let mut byte = [0];
                file.read_at(&mut byte, offset)?;
                file.write_at(&[byte[0] ^ 1], offset)?;
            }
            "dump" => {
                let file = self.data()?;
                let mut bytes = vec![0; file.len()? as usize];
                file.read_at(&mut bytes, 0)?;
                for (number, line) in bytes.chunks(16).enumerate() {
                    let hex: Vec<String> = line.chunks(4).map(hex).collect();
                    let text: String =
                        line.iter().map(|&b| if b.is_ascii_graphic() { char::from(b) } else { '.' }).collect();
                    writeln!(output, "{:04} {:35} {text}", number * 16, hex.join(" "))?;
                }
            }
            "ls" => {
                let disk = self.disk.as_ref().ok_or("this store has no file")?;
                write!(output, "{}", disk.list("a/store")?.join(" "))?;
            }
            "touch" => {
                let disk = self.disk.as_ref().ok_or("this store has no file")?;
                disk.open(&format!("a/store/{}", args.next_pos().ok_or("which file?")?))?.write_at(b"leftover", 0)?;
            }
            name => return Err(format!("unknown command {name}").into()),
        }
        args.reject_next()?;
        Ok(output)
    }
}

fn script(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/storage/tests/scripts").join(path)
}

fn run<S: Subject>(subject: S, disk: Option<MemDisk>, path: &str) {
    goldenscript::run(&mut Script::new(subject, disk), script(path)).expect(path);
}

#[test]
fn any_store() {
    for path in ["any/batches", "any/scans"] {
        run(InMemory, None, path);
        for options in [lazy(), busy(), frantic()] {
            let disk = MemDisk::new();
            run(OnDisk(disk.clone(), options), Some(disk), path);
        }
    }
}

#[test]
fn bitcask() {
    for path in ["bitcask/log", "bitcask/torn_tail", "bitcask/damage"] {
        let disk = MemDisk::new();
        run(OnDisk(disk.clone(), lazy()), Some(disk), path);
    }
    let disk = MemDisk::new();
    let options = BitCaskOptions { compact_garbage_bytes: 100, compact_garbage_percent: 50, compact_on_open: true };
    run(OnDisk(disk.clone(), options), Some(disk), "bitcask/compaction");
}

/// Bytes in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
