//! How fast the search for linearizability is: CPU time of the check alone, never wall-clock time.
//!
//! `cargo bench -p checkers --bench linearizability` prints one line for each figure beside what is demanded, over
//! histories that are made up. With a directory of recorded histories as argument it judges those too, and fails if a
//! verdict is not the one that the file's name says. A time that is over its demand by a factor of two makes the program
//! fail: a slow machine is no regression.

use std::path::PathBuf;
use std::process::ExitCode;

use checkers::linearizability::online::{Holding, Monitor};
use checkers::linearizability::tester::Tester;
use checkers::linearizability::{Hints, Options, cas_register, key_value};
use rustix::time::{ClockId, clock_gettime};
use stateright::semantics::{ConsistencyTester, SequentialSpec};

#[path = "linearizability/public.rs"]
mod public;
#[path = "linearizability/shapes.rs"]
mod shapes;

use public::verdict;
use shapes::Dice;

/// How often a check is repeated; the figure is the median.
const RUNS: usize = 5;

fn main() -> anyhow::Result<ExitCode> {
    let mut fine = made_up();
    for directory in std::env::args().skip(1).filter(|argument| !argument.starts_with("--")) {
        fine &= recorded(&PathBuf::from(directory))?;
    }
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// CPU microseconds of this thread.
fn now() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000
}

/// The median CPU microseconds of a check, and its result.
fn measured<T>(check: impl Fn() -> T) -> (u64, T) {
    let mut result = check();
    let mut figures: Vec<u64> = (0..RUNS)
        .map(|_| {
            let before = now();
            result = check();
            now() - before
        })
        .collect();
    figures.sort_unstable();
    (figures[RUNS / 2], result)
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn at_most(what: &str, demanded: u64, measured: u64) -> bool {
    println!("{measured:>12}  {what} (demanded: at most {demanded})");
    measured <= demanded * 2
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn note(line: &str) {
    println!("{line}");
}

/// The most memory that this process has used, where the system tells.
#[expect(clippy::disallowed_methods, reason = "reads what the kernel says of this process")]
fn peak_mebibytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(peak.trim().strip_suffix(" kB")?.parse::<u64>().ok()? / 1024)
}

fn made_up() -> bool {
    let (options, unsplit) = (Options::default(), Options { split: false, ..Options::default() });
    let register = cas_register::CasRegister(None);
    let store = key_value::KeyValue::default();
    let mut fine = true;

    let histories: Vec<_> = (0..100).map(|seed| shapes::key_value(10, 500, &mut Dice(seed))).collect();
    let costs: Vec<(u64, _)> =
        histories.iter().take(20).map(|history| measured(|| verdict(&store, history, &unsplit))).collect();
    assert!(costs.iter().all(|(_, (legal, _))| *legal == Some(true)));
    let slowest = costs.iter().map(|(cost, _)| *cost).max().unwrap_or_default();
    fine &= at_most("CPU microseconds for the slowest store of 10 clients, 500 operations, unsplit", 450_000, slowest);
    fine &= peak_mebibytes().is_none_or(|peak| at_most("MiB at the peak of that", 150, peak));

    let costs: Vec<(u64, _)> =
        histories.iter().map(|history| measured(|| verdict(&store, history, &options))).collect();
    assert!(costs.iter().all(|(_, (legal, _))| *legal == Some(true)));
    let slowest = costs.iter().map(|(cost, _)| *cost).max().unwrap_or_default();
    fine &= at_most("CPU microseconds for the slowest store of 10 clients, 500 operations, by key", 500, slowest);

    let histories: Vec<_> = (0..20).map(|seed| shapes::key_value(50, 1712, &mut Dice(seed))).collect();
    let costs: Vec<(u64, _)> =
        histories.iter().map(|history| measured(|| verdict(&store, history, &options))).collect();
    assert!(costs.iter().all(|(_, (legal, _))| *legal == Some(true)));
    let mut sorted: Vec<u64> = costs.iter().map(|(cost, _)| *cost).collect();
    sorted.sort_unstable();
    let (median, slowest) = (sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
    fine &= at_most("CPU microseconds for a store of 50 clients, 1712 operations, by key", 4_000, median);
    note(&format!("{slowest:>12}  CPU microseconds for the slowest of {} such", sorted.len()));

    for (what, shape) in [("legal", shapes::etcd as fn(&mut Dice) -> _), ("changed", shapes::etcd_changed)] {
        let histories: Vec<_> = (0..500).map(|seed| shape(&mut Dice(seed))).collect();
        let costs: Vec<(u64, _)> =
            histories.iter().map(|history| measured(|| verdict(&register, history, &options))).collect();
        assert!(costs.iter().all(|(_, (legal, _))| legal.is_some()));
        assert!(what == "changed" || costs.iter().all(|(_, (legal, _))| *legal == Some(true)));
        let slowest = costs.iter().map(|(cost, _)| *cost).max().unwrap_or_default();
        fine &= at_most(&format!("CPU microseconds for the slowest of 500 {what} logs like etcd's"), 1_000, slowest);
    }
    fine & tester() & online()
}

/// A register with unique writes and a stale read at its end, through the tester that stands in for stateright's: told
/// nothing of the object, and told what our register declares.
fn tester() -> bool {
    fn fed<H: Hints<cas_register::CasRegister>>(operations: usize) -> Tester<u64, cas_register::CasRegister, H> {
        let mut tester = Tester::new(cas_register::CasRegister(Some(-1)));
        let history = shapes::unique(10, operations, &mut Dice(1));
        let mut events: Vec<(u64, usize)> = Vec::new();
        for (at, one) in history.iter().enumerate() {
            events.push((one.invoke, at));
            events.extend(one.complete.map(|complete| (complete, at)));
        }
        events.sort_unstable();
        for (time, at) in events {
            let one = &history[at];
            let event = match &one.output {
                Some(output) if one.complete == Some(time) => tester.on_return(one.client, output.clone()).map(|_| ()),
                _ => tester.on_invoke(one.client, one.input.clone()).map(|_| ()),
            };
            event.expect("a well-formed history");
        }
        let (write, read) = (cas_register::Op::Write(-2), cas_register::Op::Read);
        for (op, ret) in [(write, cas_register::Ret::Written), (read, cas_register::Ret::Value(Some(-1)))] {
            tester.on_invret(99, op, ret).expect("a well-formed history");
        }
        tester
    }
    let mut fine = true;
    for operations in [3_200, 32_000] {
        let (bare, told) = (fed::<()>(operations), fed::<cas_register::CasRegister>(operations));
        let (cost, legal) = measured(|| bare.is_consistent());
        assert!(!legal);
        let what = format!("CPU microseconds for the tester, 10 clients, {operations} operations, bad");
        if operations == 3_200 {
            fine &= at_most(&what, 200_000, cost);
        } else {
            note(&format!("{cost:>12}  {what}"));
        }
        let (cost, legal) = measured(|| told.is_consistent());
        assert!(!legal);
        fine &= at_most(&format!("{what}, unique writes declared"), 200_000, cost);
    }
    fine
}

/// A million operations of four clients, judged while they happen.
fn online() -> bool {
    let mut monitor = Monitor::<cas_register::CasRegister, cas_register::CasRegister>::new(
        cas_register::CasRegister(Some(-1)),
        1_000_000,
    );
    let (mut dice, mut now_most, mut early) = (Dice(7), Holding::default(), Holding::default());
    let mut register = cas_register::CasRegister(Some(-1));
    let mut open: Vec<Option<(cas_register::Op, Option<cas_register::Ret>)>> = vec![None; 4];
    let before = now();
    let (mut returned, mut serial) = (0_u64, 0_i64);
    while returned < 1_000_000 {
        let client = dice.below(4);
        match &mut open[client as usize] {
            None => {
                serial += 1;
                let op = if dice.below(2) == 0 { cas_register::Op::Read } else { cas_register::Op::Write(serial) };
                open[client as usize] = Some((op.clone(), None));
                monitor.invoke(client, op).expect("a well-formed history");
            }
            Some((op, answer @ None)) => *answer = Some(register.invoke(op)),
            Some((_, Some(answer))) => {
                monitor.respond(client, answer).expect("a correct register");
                open[client as usize] = None;
                returned += 1;
                let holding = monitor.holding();
                now_most = Holding {
                    configurations: now_most.configurations.max(holding.configurations),
                    states: now_most.states.max(holding.states),
                    slots: now_most.slots.max(holding.slots),
                    transitions: now_most.transitions.max(holding.transitions),
                };
                if returned == 100_000 {
                    early = now_most;
                }
            }
        }
    }
    note(&format!("{:>12}  CPU microseconds for a million operations online, 4 clients", now() - before));
    note(&format!("              at most {early:?} after 100,000, {now_most:?} after all"));
    now_most.states <= early.states * 2 && now_most.transitions <= early.transitions * 2
}

/// Judges all histories of a directory.
fn recorded(directory: &std::path::Path) -> anyhow::Result<bool> {
    let options = Options::default();
    let mut fine = true;
    let mut groups: std::collections::BTreeMap<String, (u64, u64, String, u64, u64)> = Default::default();
    for file in public::files(directory)? {
        let (name, expected) = (&file.name, file.expected);
        let judged = |options: &Options| {
            let (cost, judged) = measured(|| file.judge(options));
            judged.map(|(legal, explored)| (cost, legal, explored))
        };
        let (cost, legal, explored) = judged(&options)?;
        if legal != Some(expected) {
            note(&format!("{name}: expected {expected}, found {legal:?}"));
            fine = false;
        }
        let group = name.split('-').next().unwrap_or_default().to_owned();
        let (count, total, slowest, most, configurations) = groups.entry(group).or_default();
        *count += 1;
        *total += cost;
        *configurations += explored;
        if cost >= *most {
            *most = cost;
            slowest.clone_from(name);
        }
        if file.is_key_value() {
            let demanded = if name.contains("c50") { 4_000 } else { 500 };
            fine &= at_most(&format!("CPU microseconds for {name} by key, {explored} configurations"), demanded, cost);
            let (cost, legal, explored) = judged(&Options { split: false, ..Options::default() })?;
            let what = format!("CPU microseconds for it unsplit, {explored} configurations, found {legal:?}");
            if name.starts_with("kv-c10-ok") {
                fine &= legal == Some(true) && at_most(&what, 450_000, cost);
                fine &= peak_mebibytes().is_none_or(|peak| at_most("MiB at the peak so far", 150, peak));
            } else {
                note(&format!("{cost:>12}  {what}"));
            }
        }
    }
    for (group, (count, total, slowest, most, explored)) in groups {
        note(&format!("{total:>12}  CPU microseconds for all {count} {group}, {explored} configurations"));
        if group != "kv" {
            fine &= at_most(&format!("CPU microseconds for the slowest of them, {slowest}"), 1_000, most);
        }
    }
    Ok(fine)
}
