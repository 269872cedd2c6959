//! What it costs to find an order of versions that nobody saw: `cargo bench -p checkers --bench registers`.
//!
//! Every line is one history of registers that a tiny database under strong snapshot isolation would produce, of which
//! only is known who read what from whom and, where it says so, the order of sessions. The time is that of the search,
//! in CPU seconds of its thread.

use checkers::history::{History, Micro, Outcome, Transaction};
use checkers::transactions::search::{Arc, Decision, Isolation, Kind, Object, Problem, Version, decide};
use checkers::transactions::{Finding, Options, judge};
use rustix::time::{ClockId, clock_gettime};

/// Steps that a decision may take.
const BUDGET: u64 = 20_000_000_000;

fn seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Numbers that look random and follow from a seed (`SplitMix64`).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) % limit as u64) as usize
    }
}

/// What a history looks like.
#[derive(Clone, Copy)]
struct Shape {
    transactions: usize,
    sessions: usize,
    keys: usize,
    operations: usize,
    /// How many operations of ten are reads. If all are, each key that is read is then written.
    reads: usize,
    /// Whether whoever read what was overwritten before it committed fails too.
    serializable: bool,
}

struct Running {
    /// How many transactions had committed when it began.
    begun: usize,
    reads: Vec<usize>,
    writes: Vec<usize>,
}

/// Runs transactions one event at a time; of two that write the same at once, the later one fails and leaves no trace.
fn run(shape: Shape, by_session: bool) -> Problem {
    let random = &mut Random(7);
    let objects = (0..shape.keys as u32).map(|tag| Object { tag, ..Object::default() }).collect();
    let mut problem = Problem { vertices: shape.transactions as u32, known: Vec::new(), objects };
    let mut sessions: Vec<Option<Running>> = (0..shape.sessions).map(|_| None).collect();
    let mut latest: Vec<Option<u32>> = vec![None; shape.sessions];
    let mut committed = 0;
    while committed < shape.transactions {
        let session = random.below(shape.sessions);
        let Some(done) = sessions[session].take() else {
            let (mut reads, mut writes) = (Vec::new(), Vec::new());
            for _ in 0..shape.operations {
                let key = random.below(shape.keys);
                if random.below(10) < shape.reads {
                    reads.push(key);
                }
                if shape.reads == 10 || reads.last() != Some(&key) {
                    writes.push(key);
                }
            }
            for keys in [&mut reads, &mut writes] {
                keys.sort_unstable();
                keys.dedup();
            }
            sessions[session] = Some(Running { begun: committed, reads, writes });
            continue;
        };
        let last = |key: usize| problem.objects[key].versions.last().map(|version: &Version| version.writer as usize);
        let is_overwritten = |key: &usize| last(*key).is_some_and(|writer| writer >= done.begun);
        if done.writes.iter().any(is_overwritten) || shape.serializable && done.reads.iter().any(is_overwritten) {
            continue;
        }
        let own = committed as u32;
        for key in done.reads {
            let object = &mut problem.objects[key];
            let seen = object.versions.iter_mut().rev().find(|version| (version.writer as usize) < done.begun);
            match seen {
                Some(version) => version.readers.push(own),
                None => object.initial.push(own),
            }
        }
        for key in done.writes {
            problem.objects[key].versions.push(Version { writer: own, readers: Vec::new() });
        }
        if let Some(from) = latest[session].replace(own).filter(|_| by_session) {
            problem.known.push(Arc { from, to: own, kind: Kind::Session, tag: 0 });
        }
        committed += 1;
    }
    // The order in which versions are given must not help.
    for object in &mut problem.objects {
        for at in (1..object.versions.len()).rev() {
            object.versions.swap(at, random.below(at + 1));
        }
    }
    problem
}

/// Lets one reader of a late version have read an early one.
fn spoil(problem: &mut Problem) {
    for object in &mut problem.objects {
        let writer = |at: usize| object.versions[at].writer;
        let early = (0..object.versions.len()).min_by_key(|at| writer(*at));
        let late = (0..object.versions.len()).filter(|at| !object.versions[*at].readers.is_empty());
        let late = late.max_by_key(|at| writer(*at));
        if let Some((early, late)) = early.zip(late).filter(|(early, late)| early != late)
            && let Some(reader) = object.versions[late].readers.pop()
        {
            object.versions[early].readers.push(reader);
            return;
        }
    }
}

fn main() {
    let general = Shape { transactions: 2_000, sessions: 10, keys: 100, operations: 8, reads: 5, serializable: false };
    let updates = Shape { transactions: 10_000, keys: 1_000, operations: 4, reads: 10, ..general };
    let sparse = Shape { transactions: 5_000, sessions: 20, keys: 10_000, operations: 15, ..general };
    let long = Shape { transactions: 10_000, sessions: 20, keys: 1_000, ..general };
    let hot = Shape { keys: 10, operations: 2, sessions: 3, ..general };
    for shape in [general, updates, sparse, long, hot] {
        for serializable in [false, true] {
            let shape = Shape { serializable, ..shape };
            let isolation = if serializable { Isolation::Serializable } else { Isolation::Snapshot };
            measure(shape, isolation, true, false);
            measure(shape, isolation, false, false);
            measure(shape, isolation, true, true);
        }
        for is_spoilt in [false, true] {
            judged(shape, is_spoilt);
        }
    }
}

/// The same history as one of operations, without times.
fn history(shape: Shape, problem: &Problem) -> History {
    let mut operations: Vec<(u64, Vec<Micro>)> = vec![(0, Vec::new()); shape.transactions];
    let mut clients = 0;
    let mut next: Vec<Option<u32>> = vec![None; shape.transactions];
    for arc in &problem.known {
        next[arc.from as usize] = Some(arc.to);
    }
    let is_first = |at: u32| problem.known.iter().all(|arc| arc.to != at);
    for first in (0..shape.transactions as u32).filter(|at| is_first(*at)) {
        let mut at = Some(first);
        while let Some(transaction) = at {
            operations[transaction as usize].0 = clients;
            at = next[transaction as usize];
        }
        clients += 1;
    }
    for object in &problem.objects {
        let key = u64::from(object.tag);
        for reader in &object.initial {
            operations[*reader as usize].1.push(Micro::Read { key, value: None });
        }
        for version in &object.versions {
            for reader in &version.readers {
                operations[*reader as usize].1.push(Micro::Read { key, value: Some(i64::from(version.writer)) });
            }
        }
    }
    for object in &problem.objects {
        for version in &object.versions {
            let write = Micro::Write { key: u64::from(object.tag), value: Some(i64::from(version.writer)) };
            operations[version.writer as usize].1.push(write);
        }
    }
    let transactions = operations.into_iter().zip(0..).map(|((client, operations), id)| Transaction {
        id,
        client,
        invoke: 2 * id,
        complete: Some(2 * id + 1),
        outcome: Outcome::Ok,
        snapshot: None,
        commit: None,
        historic: false,
        initial: false,
        operations,
    });
    History { transactions: transactions.collect(), timed: false, ..History::default() }
}

fn judged(shape: Shape, is_spoilt: bool) {
    let mut problem = run(shape, true);
    if is_spoilt {
        spoil(&mut problem);
    }
    let history = history(shape, &problem);
    let before = seconds();
    let judgement = judge(&history, &Options::default());
    let time = seconds() - before;
    let strongest = |wanted: fn(&Finding) -> bool| {
        let levels: Vec<&str> =
            judgement.findings.iter().filter(|(_, finding)| wanted(finding)).map(|(level, _)| level.name()).collect();
        if levels.is_empty() { "none".to_owned() } else { levels.join(" ") }
    };
    print(&format!(
        "{:>8.0} CPU ms: the judge of all levels with its usual budget{}; holding: {}; undecided: {}",
        time * 1e3,
        if is_spoilt { ", one stale read" } else { "" },
        strongest(|finding| *finding == Finding::Holds),
        strongest(|finding| matches!(finding, Finding::Undecided { .. })),
    ));
}

fn measure(shape: Shape, isolation: Isolation, by_session: bool, is_spoilt: bool) {
    let mut problem = run(shape, by_session);
    if is_spoilt {
        spoil(&mut problem);
    }
    let before = seconds();
    let decision = decide(&problem, isolation, BUDGET);
    let time = seconds() - before;
    let Shape { transactions, sessions, keys, operations, reads, .. } = shape;
    print(&format!(
        "{:>8.0} CPU ms: {isolation:?}, {transactions} transactions of {sessions} sessions{}, {operations} operations \
         ({}0 % reads) on {keys} keys{}: {}",
        time * 1e3,
        if by_session { " in order" } else { "" },
        reads,
        if is_spoilt { ", one stale read" } else { "" },
        match decision {
            Decision::Possible { .. } => "possible".to_owned(),
            Decision::Impossible(refutation) => format!("impossible, {} orders forced", refutation.forced.len()),
            Decision::Unknown { reason, .. } => format!("unknown: {reason}"),
        }
    ));
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn print(line: &str) {
    println!("{line}");
}
