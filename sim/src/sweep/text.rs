//! A summary for a terminal.

use std::collections::BTreeMap;
use std::ops::Range;

use scenarios::Overrides;

use super::statistics::{Round, percent, rule_of_three, wilson};
use super::{Failure, Summary};
use crate::report::{self, FAULTS, faults, number, seconds};

impl Failure {
    /// The verdict, with the command that plays it again.
    pub fn line(&self) -> String {
        format!("{} | replay: {}", self.outcome.line_at(self.seed, &self.revision), self.replay())
    }

    /// The command that plays the trace.
    pub fn replay(&self) -> String {
        format!("cargo run -p sim -- replay {}", self.trace.display())
    }

    /// The command that plays it without its trace, in a sweep with these overrides.
    pub fn command(&self, overrides: &Overrides) -> String {
        format!("cargo run -p sim -- {}", crate::cli::command_line(self.seed, overrides))
    }
}

impl Summary {
    /// The summary for a terminal, without failures one by one.
    pub(super) fn table(&self, partial: bool) -> String {
        let mut text = String::new();
        let mut row = |label: &str, value: String| report::row(&mut text, &format!("  {label:<11} "), &value);
        row("sweep", self.swept());
        row("universes", format!("{} played, {} failed", number(self.played), number(self.failures.len() as u64)));
        if self.skipped > 0 {
            row("", format!("{} not played: the time limit came first", number(self.skipped)));
        }
        for problem in self.problems(partial) {
            row("", problem);
        }
        row("scenarios", by_name(&self.scenarios));
        for (label, value) in ["speed", "", ""].into_iter().zip(self.speed()) {
            row(label, value);
        }
        let counts = &self.counts;
        row(
            "operations",
            format!("{} ok, {} failed, {} unknown", number(counts.ok), number(counts.failed), number(counts.unknown)),
        );
        row("faults", faults(&counts.faults));
        let missing: Vec<&str> = FAULTS.into_iter().filter(|kind| !counts.faults.contains_key(*kind)).collect();
        if self.hostile() && !missing.is_empty() {
            row("", format!("never fired: {}", missing.join(", ")));
        }
        let under = number(counts.committed_under_fault);
        row("", format!("{} writes committed, {under} of them while something was wrong", number(counts.committed)));
        row("checked", by_name(&self.checks));
        let silent = self.silent_probes();
        let never = if silent.is_empty() { String::new() } else { format!("; never: {}", silent.join(", ")) };
        let reached = self.probes.len() - silent.len();
        row("probes", format!("{reached} of {} passed{never}", self.probes.len()));
        row("determinism", self.determinism());
        if self.played > 0 {
            row("confidence", self.confidence());
        }
        text
    }

    /// The summary for a terminal.
    pub fn text(&self, partial: bool) -> String {
        let mut text = self.table(partial);
        for failure in &self.failures {
            text.push_str(&failure.line());
            text.push('\n');
        }
        text
    }

    /// The verdict over everything, in one line.
    pub fn line(&self, partial: bool) -> String {
        let verdict = if self.exit_code(partial) == 0 { "PASS" } else { "FAIL" };
        let mut ranges: Vec<String> = self.sweeps().keys().map(|(start, end, _)| format!("{start}..{end}")).collect();
        ranges.dedup();
        let shards: Vec<String> = match &self.parts[..] {
            [part] if part.shard.of() > 1 => vec![part.shard.to_string()],
            [_] => Vec::new(),
            _ if self.missing().is_empty() => Vec::new(),
            parts => parts.iter().map(|part| part.shard.to_string()).collect(),
        };
        let shards = if shards.is_empty() { String::new() } else { format!(" shard={}", shards.join(",")) };
        let revisions = self.revisions().into_iter().collect::<Vec<_>>().join(",");
        let (seeds, played, digest) = (ranges.join(","), self.played, &self.digest);
        format!("{verdict} sweep seeds={seeds}{shards} played={played} rev={revisions} digest={digest}")
    }

    /// What was swept.
    pub(super) fn swept(&self) -> String {
        let of_range = |(start, end, of): (u64, u64, u64), shards: usize| {
            let Range { start, end } = start..end;
            match (of, shards as u64, &self.parts[..]) {
                (1, ..) => format!("seeds {start}..{end}"),
                (_, 1, [part]) => format!("seeds {start}..{end}, shard {} of {of}", part.shard.index()),
                (_, there, _) if there == of => format!("seeds {start}..{end} in {of} shards"),
                (_, there, _) => format!("seeds {start}..{end}, {there} of {of} shards"),
            }
        };
        let sweeps = self.sweeps().into_iter().map(|(sweep, shards)| of_range(sweep, shards.len()));
        sweeps.collect::<Vec<_>>().join("; ")
    }

    /// Lines that say how fast it was.
    fn speed(&self) -> [String; 3] {
        let Self { played, counts, wall_us, core_us, cores, cpu_us, twice_cpu_us, .. } = self;
        let cpu = (*cpu_us).max(1);
        let per_cpu_second = |n: u64| number((u128::from(n) * 1_000_000 / u128::from(cpu)) as u64);
        let per_hour = u128::from(*played) * 3_600_000_000 / u128::from((cpu_us + twice_cpu_us).max(1));
        let together = if self.parts.len() > 1 { ", had all parts run at once" } else { "" };
        [
            format!(
                "{} seeds/s on {cores} core{}{together}; {} seeds/s a core; {} seeds a CPU-hour",
                rate(*played, *wall_us),
                if *cores == 1 { "" } else { "s" },
                rate(*played, *core_us),
                number(per_hour as u64)
            ),
            format!(
                "{} CPU, median {} and p99 {} a universe; {} CPU to play some twice",
                seconds(*cpu_us),
                milliseconds(self.cpu_us_p50),
                milliseconds(self.cpu_us_p99),
                seconds(*twice_cpu_us)
            ),
            format!(
                "virtual : CPU time {} : 1; {} messages and {} committed writes a CPU second",
                number(counts.virtual_us / cpu),
                per_cpu_second(counts.messages),
                per_cpu_second(counts.committed)
            ),
        ]
    }

    /// How many were played twice, and how that went.
    fn determinism(&self) -> String {
        let differ = self.failures.iter().filter(|failure| failure.outcome.class() == "determinism").count();
        let found = match (self.twice, differ) {
            (0, 0) => String::new(),
            (_, 0) => ", and all went alike".into(),
            (_, n) => format!(", and {} went differently", number(n as u64)),
        };
        format!("{} of {} universes played twice{found}", number(self.twice), number(self.played))
    }

    /// What the failures say about universes that were not played. There must have been some that were.
    pub(super) fn confidence(&self) -> String {
        let (played, failed) = (self.played, self.failures.len() as u64);
        if failed == 0 {
            let bound = percent(rule_of_three(played), Round::Up);
            return format!(
                "no failure in {}: under {bound} of universes like these fail (95 %, rule of three)",
                number(played)
            );
        }
        let (low, high) = wilson(failed, played);
        format!(
            "{} failed in {}, a rate of {}: {} to {} of universes like these fail (95 %, Wilson interval)",
            number(failed),
            number(played),
            percent(failed as f64 / played as f64, Round::Near),
            percent(low, Round::Down),
            percent(high, Round::Up)
        )
    }
}

/// So many in so many microseconds, by the second.
fn rate(n: u64, us: u64) -> String {
    let tenths = u128::from(n) * 10_000_000 / u128::from(us.max(1));
    format!("{}.{}", number((tenths / 10) as u64), tenths % 10)
}

fn milliseconds(us: u64) -> String {
    format!("{}.{} ms", us / 1_000, us / 100 % 10)
}

fn by_name(map: &BTreeMap<String, u64>) -> String {
    if map.is_empty() {
        return "none".to_string();
    }
    map.iter().map(|(name, n)| format!("{name} {}", number(*n))).collect::<Vec<_>>().join(", ")
}
