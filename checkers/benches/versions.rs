//! What it costs to judge reported positions while a run goes on: `cargo bench -p checkers --bench versions`.
//!
//! Every line is one run of the tiny database with 30 clients, judged event by event. The time is that of the judge alone,
//! in CPU seconds of its thread; the memory is what it keeps at most, and the peak of the whole process with the
//! generator in it. `-- TRANSACTIONS` sets the size.

use std::sync::Arc;

use checkers::generate::{Event, Options, Run};
use checkers::transactions::Level;
use checkers::versions::{self, Checker, Kept};
use rustix::time::{ClockId, clock_gettime};

/// How many events are judged between two looks at the clock.
const BATCH: usize = 4096;

fn seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// The most memory that this process has used, in MiB.
#[expect(clippy::disallowed_methods, reason = "a measurement of the host")]
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn most(one: Kept, other: Kept) -> Kept {
    Kept {
        waiting: one.waiting.max(other.waiting),
        running: one.running.max(other.running),
        rows: one.rows.max(other.rows),
        lists: one.lists.max(other.lists),
        elements: one.elements.max(other.elements),
        unknown: one.unknown.max(other.unknown),
    }
}

fn run(name: &str, options: &Options) {
    let mut checker = Checker::new(versions::Options::of(options.level).expect("a level that positions decide"));
    let mut events = Run::new(options, 1);
    let (mut operations, mut time, mut kept) = (0, 0.0, Kept::default());
    loop {
        let batch: Vec<Event> = events.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            break;
        }
        for event in &batch {
            if let Event::Over(transaction) = event {
                operations += transaction.operations.len();
            }
        }
        let before = seconds();
        for event in batch {
            match event {
                Event::Invoked { id, time } => checker.invoked(id, time),
                Event::Over(transaction) => checker.push(Arc::new(transaction)),
            }
        }
        time += seconds() - before;
        kept = most(kept, checker.kept());
    }
    let before = seconds();
    let verdict = checker.finish();
    time += seconds() - before;
    print(&format!(
        "{name}: {} transactions, {operations} operations in {time:.2} CPU s: {:.1} M operations per CPU s; kept at \
         most {} waiting, {} rows, {} lists of {} elements, {} unknown; peak of the process {} MiB; {}",
        options.transactions,
        operations as f64 / time / 1e6,
        kept.waiting,
        kept.rows,
        kept.lists,
        kept.elements,
        kept.unknown,
        peak(),
        if verdict.is_pass() { "passes" } else { "is rejected" }
    ));
}

#[expect(clippy::print_stdout, reason = "the report of a command")]
fn print(line: &str) {
    println!("{line}");
}

fn main() {
    let asked = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let most = asked.unwrap_or(1_000_000);
    let options = |transactions| Options {
        clients: 30,
        keys: 1000,
        operations: (2, 6),
        kinds: (1, 0, 0),
        aborted: 10,
        unknown: 1,
        lag: 50,
        ..Options::new(Level::StrongSnapshotIsolation, transactions)
    };
    for transactions in [most / 100, most / 10, most] {
        run("rows", &options(transactions));
    }
    let lists = Options { kinds: (0, 1, 0), keys: 100, retire: Some(32), ..options(most) };
    run("lists", &lists);
    run("rows and lists", &Options { kinds: (1, 1, 0), ..lists.clone() });
    run("strict serializable", &Options { level: Level::StrictSerializable, ..options(most) });
    run("rows and predicates", &Options { kinds: (8, 0, 1), keys: 20, ..options(most / 10) });
    run("one outcome in 20 unknown", &Options { unknown: 50, ..options(most) });
}
