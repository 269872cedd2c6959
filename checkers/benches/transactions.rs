//! How fast histories of transactions are judged: CPU time of this thread, never wall-clock time.
//!
//! `cargo bench` prints one line for each figure, beside what is demanded: histories of list-append transactions that are
//! strict serializable, judged at all levels, and such where ten thousand transactions are one strongly connected
//! component, judged at those levels that cycles of the graph decide. A time that is over its demand makes the program fail, by a factor of two: a slow machine is no regression.

use std::process::ExitCode;

use checkers::history::{History, Micro, Outcome, Transaction};
use checkers::transactions::{Finding, Judgement, Level, Options, judge};
use rustix::time::{ClockId, clock_gettime};

/// How many appends a list gets before a new one takes its place.
const APPENDS: usize = 32;

/// How many lists are in use at a time.
const LISTS: u64 = 20;

/// How many transactions run at a time.
const CLIENTS: u64 = 20;

fn main() -> ExitCode {
    let mut fine = Vec::new();
    for (count, demanded) in [(10_000, 30), (100_000, 300), (1_000_000, 5_000)] {
        let history = good(count);
        let (judgement, time) = judged(&history, &Options::default());
        assert!(judgement.anomalies.is_empty() && judgement.findings.len() == Level::ALL.len());
        assert!(judgement.findings.values().all(|finding| *finding == Finding::Holds));
        fine.push(at_most(&format!("CPU milliseconds, {count} transactions at all levels"), demanded, time));
    }
    fine.extend(peak_mebibytes().map(|peak| at_most("MiB at the peak", 2048, peak)));
    // The levels that cycles of the graph decide.
    let levels = Level::ALL.into_iter().filter(|level| *level >= Level::RepeatableRead);
    let tangled = Options { levels: levels.collect(), ..Options::default() };
    for (what, history) in [
        ("a ring of 10000 transactions", ring(10_000)),
        ("a tangle of 10000 transactions", stale(10_000, 100)),
        ("a loose tangle of 10000 transactions", stale(10_000, 2)),
    ] {
        let (judgement, time) = judged(&history, &tangled);
        assert!(!judgement.anomalies.is_empty());
        let mut names: Vec<String> = judgement.anomalies.iter().map(|anomaly| anomaly.name.to_string()).collect();
        names.dedup();
        fine.push(at_most(&format!("CPU milliseconds, {what} ({})", names.join(", ")), 100, time));
    }
    if fine.iter().all(|fine| *fine) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A judgement, and how many CPU milliseconds it took.
fn judged(history: &History, options: &Options) -> (Judgement, u64) {
    let start = cpu_milliseconds();
    let judgement = judge(history, options);
    (judgement, cpu_milliseconds() - start)
}

fn cpu_milliseconds() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
}

/// Numbers below others, from a seed.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// One list.
#[derive(Clone, Default)]
struct List {
    elements: Vec<i64>,
    /// How many elements there were after each commit that appended any.
    lengths: Vec<(u64, usize)>,
}

/// The lists that are in use, with all that was ever appended.
struct Lists {
    /// By key.
    contents: Vec<List>,
    active: Vec<u64>,
    next: i64,
}

impl Lists {
    fn new() -> Self {
        Self { contents: vec![List::default(); LISTS as usize], active: (0..LISTS).collect(), next: 0 }
    }

    /// A transaction that reads as of one commit and appends in another.
    fn transaction(&mut self, draw: &mut Draw, id: u64, snapshot: u64) -> Transaction {
        let mut operations = Vec::new();
        let mut appended: Vec<(u64, i64)> = Vec::new();
        for _ in 0..=draw.below(4) {
            let key = self.active[draw.below(LISTS) as usize];
            if draw.below(2) == 0 {
                let List { elements, lengths } = &self.contents[key as usize];
                let known = lengths.partition_point(|(commit, _)| *commit <= snapshot);
                let length = known.checked_sub(1).map_or(0, |last| lengths[last].1);
                let own = appended.iter().filter(|(own, _)| *own == key).map(|(_, element)| *element);
                let elements = elements[..length].iter().copied().chain(own).collect();
                operations.push(Micro::ReadList { key, elements });
            } else {
                self.next += 1;
                appended.push((key, self.next));
                operations.push(Micro::Append { key, element: self.next });
            }
        }
        for (key, element) in appended {
            let List { elements, lengths } = &mut self.contents[key as usize];
            elements.push(element);
            lengths.push((id, elements.len()));
            if elements.len() >= APPENDS
                && let Some(slot) = self.active.iter().position(|active| *active == key)
            {
                self.active[slot] = self.contents.len() as u64;
                self.contents.push(List::default());
            }
        }
        let complete = Some(10 * (id + CLIENTS) - 5 + draw.below(5));
        Transaction { client: id % CLIENTS, invoke: 10 * id, complete, ..transaction(id, operations) }
    }
}

fn transaction(id: u64, operations: Vec<Micro>) -> Transaction {
    Transaction {
        id,
        client: id,
        invoke: 0,
        complete: Some(1),
        outcome: Outcome::Ok,
        snapshot: None,
        commit: None,
        historic: false,
        initial: false,
        operations,
    }
}

fn history(transactions: Vec<Transaction>) -> History {
    History { transactions, timed: true, ..History::default() }
}

/// Transactions that took effect one by one.
fn good(count: u64) -> History {
    let (mut lists, mut draw) = (Lists::new(), Draw(1));
    history((1..=count).map(|id| lists.transaction(&mut draw, id, id - 1)).collect())
}

/// Transactions that read what was there up to so many commits ago, and append nevertheless.
fn stale(count: u64, most: u64) -> History {
    let (mut lists, mut draw) = (Lists::new(), Draw(2));
    let mut transaction = |id: u64| {
        let old = 1 + draw.below(most);
        lists.transaction(&mut draw, id, id.saturating_sub(old))
    };
    history((1..=count).map(&mut transaction).collect())
}

/// Transactions each of which read what the next one appended, and the last what the first did.
fn ring(count: u64) -> History {
    let step = |id: u64| {
        let read = Micro::ReadList { key: (id + 1) % count, elements: vec![1] };
        transaction(id, vec![Micro::Append { key: id, element: 1 }, read])
    };
    history((0..count).map(step).collect())
}

fn at_most(what: &str, demanded: u64, measured: u64) -> bool {
    line(what, measured, demanded);
    measured <= demanded * 2
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn line(what: &str, measured: u64, demanded: u64) {
    println!("{measured:>8}  {what} (demanded: at most {demanded})");
}

/// The most memory that this process has used, where the system tells.
#[expect(clippy::disallowed_methods, reason = "reads what the kernel says of this process")]
fn peak_mebibytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(peak.trim().strip_suffix(" kB")?.parse::<u64>().ok()? / 1024)
}
