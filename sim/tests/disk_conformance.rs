//! Without faults, the virtual disk and the operating system's file system answer alike: random scripts, errors among
//! them, run on both, and every result and all that is left in the end must agree.

#![cfg(unix)]

use engine::disk::{Disk, Error, ErrorKind, File, OsDisk};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng as _;
use sim::disk::{DeviceOptions, DiskOptions, SimDisk};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

const SCRIPTS: usize = 4_000;

/// Where Linux keeps files in memory.
const MEMORY: &str = "/dev/shm";

/// No longer, so that many fit.
const STEPS: usize = 60;

/// One step: what to do, on which path or handle, and two numbers.
type Step = (u8, u8, u16, u16);

/// What a step gave.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Done,
    Number(u64),
    Flag(bool),
    Bytes(Vec<u8>),
    Names(Vec<String>),
}

/// A step in words, and its result.
type Outcome = (String, Result<Value, ErrorKind>);

/// A directory of the operating system that is removed again.
struct Scratch(PathBuf);

impl Scratch {
    fn below(parent: impl Into<PathBuf>) -> Self {
        let path = parent.into().join(format!("orrery-disk-conformance-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("create");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("remove");
    }
}

#[test]
fn the_virtual_disk_answers_like_a_real_one() {
    // How many scripts ran, and how often each step had which result. bolero catches panics.
    let tally = AssertUnwindSafe(RefCell::new((0, BTreeMap::<(String, &str), u64>::new())));
    // Most scripts run where syncs and removals cost nothing, if there is such a place, and some on the disk.
    let slow = Scratch::below(env!("CARGO_TARGET_TMPDIR"));
    let fast = Path::new(MEMORY).is_dir().then(|| Scratch::below(MEMORY));
    bolero::check!().with_type().with_iterations(SCRIPTS).cloned().for_each(|(wide, script): (bool, Vec<Step>)| {
        let script = &script[..script.len().min(STEPS)];
        let (ran, seen) = &mut *tally.borrow_mut();
        let device = DeviceOptions { sector: if wide { 4_096 } else { 512 }, ..DeviceOptions::default() };
        let sim = SimDisk::on_device(DiskOptions::default(), device, ChaCha8Rng::seed_from_u64(*ran));
        let simulated = play(script, || {
            sim.process_crash();
            sim.restart();
            sim.clone()
        });
        let scratch = fast.as_ref().filter(|_| *ran % 32 > 0).unwrap_or(&slow);
        let root = scratch.0.join(ran.to_string());
        std::fs::create_dir(&root).expect("create");
        let real = play(script, || OsDisk::new(root.clone()));
        std::fs::remove_dir_all(&root).expect("remove");
        for (at, (simulated, real)) in simulated.iter().zip(&real).enumerate() {
            assert_eq!(simulated, real, "step {at}: the virtual disk first, then the real one");
        }
        assert_eq!(simulated.len(), real.len());
        for (step, result) in real {
            let verb = step.split('(').next().expect("a verb").to_owned();
            *seen.entry((verb, class(&result))).or_default() += 1;
        }
        *ran += 1;
    });
    let (ran, seen) = &*tally.borrow();
    assert!(*ran >= 2_000, "only {ran} scripts");
    for (verb, classes) in [
        ("open", &["ok", "not found", "other"][..]),
        ("read", &["ok", "end of file", "other"]),
        ("write", &["ok", "other"]),
        ("len", &["ok"]),
        ("set_len", &["ok", "other"]),
        ("sync", &["ok"]),
        ("rename", &["ok", "not found", "other"]),
        ("remove", &["ok", "not found", "other"]),
        ("list", &["ok", "not found", "other"]),
        ("exists", &["ok", "other"]),
        ("create_dir", &["ok", "other"]),
        ("sync_dir", &["ok", "not found", "other"]),
        ("reopen", &["ok"]),
    ] {
        for class in classes {
            let times = seen.get(&(verb.to_owned(), *class)).copied().unwrap_or_default();
            assert!(times >= 20, "{verb} ended in {class} only {times} times");
        }
    }
}

/// Runs a script on a disk, which `reopen` gives anew, and looks at everything in the end.
fn play<D: Disk>(script: &[Step], reopen: impl Fn() -> D) -> Vec<Outcome> {
    let mut player = Player { disk: reopen(), handles: Vec::new(), outcomes: Vec::new() };
    for (number, &step) in script.iter().enumerate() {
        if step.0 % 32 == 31 {
            player.handles.clear();
            player.disk = reopen();
            player.note("reopen()".to_owned(), Ok(Value::Done));
        } else {
            player.step(number as u8, step);
        }
    }
    player.handles.clear();
    player.disk = reopen();
    player.look_at("");
    player.outcomes
}

struct Player<D: Disk> {
    disk: D,
    handles: Vec<D::File>,
    outcomes: Vec<Outcome>,
}

impl<D: Disk> Player<D> {
    fn note(&mut self, step: String, result: Result<Value, Error>) {
        self.outcomes.push((step, result.map_err(|error| plain(error.kind))));
    }

    fn step(&mut self, number: u8, (action, which, a, b): Step) {
        let (path, other) = (path(which, a), path((b >> 8) as u8, b));
        match action % 32 {
            0..8 => self.open(&path),
            8 | 9 => {
                let result = self.disk.rename(&path, &other).map(|()| Value::Done);
                self.note(format!("rename({path:?}, {other:?})"), result);
            }
            10 => {
                let result = self.disk.remove(&path).map(|()| Value::Done);
                self.note(format!("remove({path:?})"), result);
            }
            11 => {
                let result = self.disk.list(&path).map(Value::Names);
                self.note(format!("list({path:?})"), result);
            }
            15 if b.is_multiple_of(2) => {
                let result = self.disk.sync_dir(&path).map(|()| Value::Done);
                self.note(format!("sync_dir({path:?})"), result);
            }
            12 | 15 => {
                let result = self.disk.exists(&path).map(Value::Flag);
                self.note(format!("exists({path:?})"), result);
            }
            13 | 14 => {
                let result = self.disk.create_dir(&path).map(|()| Value::Done);
                self.note(format!("create_dir({path:?})"), result);
            }
            action => self.use_handle(number, action, which, a, b),
        }
    }

    fn open(&mut self, path: &str) {
        let result = self.disk.open(path).map(|file| {
            // Old handles stay for a while, to files that may have lost their names.
            if self.handles.len() == 4 {
                self.handles.remove(0);
            }
            self.handles.push(file);
            Value::Done
        });
        self.note(format!("open({path:?})"), result);
    }

    /// A step on an open file, if there is one.
    fn use_handle(&mut self, number: u8, action: u8, which: u8, a: u16, b: u16) {
        if self.handles.is_empty() {
            return;
        }
        let nth = usize::from(which) % self.handles.len();
        let file = &self.handles[nth];
        let len = usize::from(b % 1_500);
        // Up to the largest offset, file systems differ in how long a file they allow.
        let offset = match a % 64 {
            0 => u64::MAX,
            1 => u64::MAX - u64::from(b),
            2 => i64::MAX as u64 + u64::from(b % 2),
            _ => u64::from(a / 64) * 7,
        };
        let (step, result) = match action {
            16..20 => {
                let mut bytes = vec![0; len / 4];
                let result = file.read_at(&mut bytes, offset);
                (format!("read({nth}, {} bytes, {offset})", bytes.len()), result.map(|()| Value::Bytes(bytes)))
            }
            20..26 => {
                let data: Vec<u8> = (0..len).map(|i| number.wrapping_mul(37) ^ (i / 3) as u8).collect();
                (format!("write({nth}, {len} bytes, {offset})"), file.write_at(&data, offset).map(|()| Value::Done))
            }
            26 => (format!("len({nth})"), file.len().map(Value::Number)),
            27 | 28 => {
                let len = match a % 16 {
                    0 => u64::MAX - u64::from(b),
                    1 => 0,
                    _ => u64::from(b % 4_000),
                };
                (format!("set_len({nth}, {len})"), file.set_len(len).map(|()| Value::Done))
            }
            // Rare, because real ones take long.
            _ if b.is_multiple_of(8) => (format!("sync({nth})"), file.sync().map(|()| Value::Done)),
            _ => (format!("len({nth})"), file.len().map(Value::Number)),
        };
        self.note(step, result);
    }

    /// Lists a directory and all below it, with the contents of the files.
    fn look_at(&mut self, dir: &str) {
        let listed = self.disk.list(dir);
        self.note(format!("list({dir:?})"), listed.clone().map(Value::Names));
        for name in listed.expect("listed before") {
            let path = if dir.is_empty() { name } else { format!("{dir}/{name}") };
            if self.disk.list(&path).is_ok() {
                self.look_at(&path);
                continue;
            }
            let contents = self.disk.open(&path).and_then(|file| {
                let mut bytes = vec![0; file.len()? as usize];
                file.read_at(&mut bytes, 0)?;
                Ok(Value::Bytes(bytes))
            });
            self.note(format!("contents({path:?})"), contents);
        }
    }
}

/// A path, mostly of few names, so that files and directories meet in the same places; sometimes not a good one.
fn path(which: u8, detail: u16) -> String {
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    const BAD: [&str; 12] = ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a\0b", "b/\0", "x/a\0"];
    let name = |shift: u16| NAMES[usize::from(detail >> shift & 3)];
    match which % 16 {
        0 => BAD[usize::from(detail) % BAD.len()].to_owned(),
        1 if detail.is_multiple_of(4) => format!("{}/{}", name(4), "n".repeat(250 + usize::from(detail >> 8 & 7))),
        1 if detail % 4 == 1 => format!("{}/x", "n".repeat(254 + usize::from(detail >> 8 & 3))),
        2..7 => format!("{}/{}", name(0), name(2)),
        7 | 8 => format!("{}/{}/{}", name(0), name(2), name(4)),
        _ => name(0).to_owned(),
    }
}

/// What the operating system says in words is of no matter.
fn plain(kind: ErrorKind) -> ErrorKind {
    match kind {
        ErrorKind::Other(_) => ErrorKind::Other(String::new()),
        kind => kind,
    }
}

fn class(result: &Result<Value, ErrorKind>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(ErrorKind::NotFound) => "not found",
        Err(ErrorKind::UnexpectedEof) => "end of file",
        Err(ErrorKind::Other(_)) => "other",
        Err(kind) => panic!("without faults, nothing ends in {kind:?}"),
    }
}
