//! How fast universes are: CPU time and memory, never wall-clock time.
//!
//! `cargo bench` prints one line for each figure: the median over several universes, beside what is demanded. CPU time is
//! that of the universe's thread, so that what else the machine does matters little. A time that is over its demand
//! makes the program fail, by a factor of two: a slow machine is no regression.

use std::process::ExitCode;

use scenarios::{FaultsMode, Overrides, Scenario, WorkloadKind};
use sim::play;
use sim::report::{Report, number};

/// How many universes a figure is the median of.
const UNIVERSES: u64 = 40;

fn main() -> ExitCode {
    let quiet_bank = Overrides {
        scenario: Some(WorkloadKind::Bank),
        nodes: Some(5),
        clients: Some(16),
        ops: Some(4_000),
        faults: Some(FaultsMode::None),
        ..Overrides::default()
    };
    let hostile = Overrides { faults: Some(FaultsMode::Full), ..Overrides::default() };

    let default: Vec<Report> = (0..UNIVERSES).map(|seed| played(seed, &hostile)).collect();
    let peak = peak_mebibytes();
    let bank: Vec<Report> = (0..UNIVERSES / 4).map(|seed| played(seed, &quiet_bank)).collect();
    let fine = [
        at_least("committed writes a CPU second, fault-free bank of 5 nodes", 3_000, &bank, |report| {
            rate(report.counts.committed, report)
        }),
        at_least("messages a CPU second, default seeds with full faults", 300_000, &default, |report| {
            rate(report.counts.messages, report)
        }),
        at_least("universes a CPU second, default seeds with full faults", 7, &default, |report| rate(1, report)),
        at_most("CPU microseconds a universe, default seeds with full faults", 150_000, median(&default, |r| r.cpu_us)),
        peak.is_none_or(|peak| at_most("MiB at the peak, over all default seeds", 100, peak)),
    ];
    if fine.iter().all(|fine| *fine) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn played(seed: u64, overrides: &Overrides) -> Report {
    let report = play(&Scenario::draw(seed, overrides));
    assert!(report.outcome.is_pass(), "seed {seed}: {:?}", report.outcome);
    report
}

fn rate(count: u64, report: &Report) -> u64 {
    count * 1_000_000 / report.cpu_us.max(1)
}

fn median(reports: &[Report], figure: impl Fn(&Report) -> u64) -> u64 {
    let mut figures: Vec<u64> = reports.iter().map(figure).collect();
    figures.sort_unstable();
    figures[figures.len() / 2]
}

fn at_least(what: &str, demanded: u64, reports: &[Report], figure: impl Fn(&Report) -> u64) -> bool {
    let measured = median(reports, figure);
    line(what, measured, &format!("at least {}", number(demanded)));
    measured >= demanded / 2
}

fn at_most(what: &str, demanded: u64, measured: u64) -> bool {
    line(what, measured, &format!("at most {}", number(demanded)));
    measured <= demanded * 2
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn line(what: &str, measured: u64, demanded: &str) {
    println!("{:>12}  {what} (demanded: {demanded})", number(measured));
}

/// The most memory that this process has used, where the system tells.
#[expect(clippy::disallowed_methods, reason = "reads what the kernel says of this process")]
fn peak_mebibytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(peak.trim().strip_suffix(" kB")?.parse::<u64>().ok()? / 1024)
}
