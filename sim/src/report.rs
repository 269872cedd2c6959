//! What a run tells: the account of one universe, for a terminal and as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use scenarios::Scenario;
use serde::{Deserialize, Serialize};

use crate::story::{LEGEND, Moment, lanes};
use crate::verdict::{Finding, Verdict};

/// How many signs a node's lane has.
const LANE: usize = 60;

/// The account of one universe.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The name of the scenario.
    pub scenario: String,
    /// How it ended.
    pub outcome: Verdict,
    /// The digest over all events, in hexadecimal.
    pub digest: String,
    /// What happened. The same for equal scenarios, whatever the machine.
    pub counts: Counts,
    /// What was checked, with the number of comparisons that each checker made.
    pub checks: Vec<(String, u64)>,
    /// How many nodes there are.
    pub nodes: u8,
    /// What happened to them.
    pub story: Vec<Moment>,
    /// How often rare places in the code were passed, for those that were.
    pub probes: BTreeMap<String, u64>,
    /// Hashes of the abstract states that the cluster was in, if that was asked for.
    #[serde(skip)]
    pub states: BTreeSet<u64>,
    /// CPU time that the run took, in microseconds.
    pub cpu_us: u64,
}

/// What happened in a universe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Counts {
    /// Events in the digest.
    pub events: u64,
    /// Virtual time, in microseconds.
    pub virtual_us: u64,
    /// Operations with an answer.
    pub ok: u64,
    /// Operations that certainly did not happen.
    pub failed: u64,
    /// Operations that may have happened.
    pub unknown: u64,
    /// SQL transactions that are known to have committed writes.
    pub committed: u64,
    /// Of these, how many while something was wrong.
    pub committed_under_fault: u64,
    /// Messages that were delivered: between nodes, and between clients and nodes.
    pub messages: u64,
    /// Terms that had a leader.
    pub leaders: u64,
    /// Log entries that were committed.
    pub entries: u64,
    /// Disk syncs on all nodes.
    pub syncs: u64,
    /// Faults that fired, by kind.
    pub faults: BTreeMap<String, u64>,
}

impl Counts {
    /// Adds another run's counts.
    pub fn add(&mut self, other: &Self) {
        let Self {
            events,
            virtual_us,
            ok,
            failed,
            unknown,
            committed,
            committed_under_fault,
            messages,
            leaders,
            entries,
            syncs,
            faults,
        } = other;
        self.committed_under_fault += committed_under_fault;
        self.events += events;
        self.virtual_us += virtual_us;
        self.ok += ok;
        self.failed += failed;
        self.unknown += unknown;
        self.committed += committed;
        self.messages += messages;
        self.leaders += leaders;
        self.entries += entries;
        self.syncs += syncs;
        for (kind, count) in faults {
            *self.faults.entry(kind.clone()).or_default() += count;
        }
    }
}

/// Groups digits by thousands.
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Microseconds as seconds.
pub fn seconds(us: u64) -> String {
    format!("{}.{:03} s", us / 1_000_000, us / 1_000 % 1_000)
}

/// The block that says what was drawn.
pub fn draw(scenario: &Scenario) -> String {
    let mut text = format!("universe {}: scenario {}\n", scenario.seed, scenario.name());
    rows(&mut text, "drawn", scenario.summary().iter().map(|(label, value)| (label.as_str(), value.as_str())));
    text
}

impl Report {
    /// The blocks that say what happened, what was checked, and the verdict.
    pub fn text(&self) -> String {
        let counts = &self.counts;
        let mut text = String::new();
        let happened = [
            ("time", format!("{} virtual in {} of CPU", seconds(counts.virtual_us), seconds(self.cpu_us))),
            (
                "operations",
                format!(
                    "{} ok, {} failed, {} unknown; {} committed writes",
                    number(counts.ok),
                    number(counts.failed),
                    number(counts.unknown),
                    number(counts.committed)
                ),
            ),
            (
                "cluster",
                format!(
                    "{} messages, {} leaders, {} log entries committed, {} disk syncs",
                    number(counts.messages),
                    number(counts.leaders),
                    number(counts.entries),
                    number(counts.syncs)
                ),
            ),
            ("faults", faults(&counts.faults)),
        ];
        rows(&mut text, "happened", happened.iter().map(|(label, value)| (*label, value.as_str())));
        let lanes = lanes(&self.story, self.nodes, counts.virtual_us, LANE);
        let lanes = (1..).zip(lanes).map(|(node, lane)| (format!("node {node}"), lane));
        let end = seconds(counts.virtual_us);
        let axis = format!("0 s{end:>width$}", width = LANE - 3);
        let heads = [("signs".into(), LEGEND.into()), ("time".into(), axis)];
        let lanes: Vec<(String, String)> = heads.into_iter().chain(lanes).collect();
        rows(&mut text, "nodes", lanes.iter().map(|(label, value)| (label.as_str(), value.as_str())));
        let checks: Vec<(String, String)> =
            self.checks.iter().map(|(name, n)| (name.clone(), format!("{} comparisons", number(*n)))).collect();
        rows(&mut text, "checked", checks.iter().map(|(label, value)| (label.as_str(), value.as_str())));
        if let Some(finding) = self.outcome.finding() {
            text.push_str(&evidence(finding));
        }
        text
    }
}

/// What was found, for a person.
fn evidence(finding: &Finding) -> String {
    let Finding { checker, anomaly, message, evidence, .. } = finding;
    let mut text = format!("\nfound by {checker}: {anomaly}\n  {message}\n");
    for line in evidence {
        let _ = writeln!(text, "    {line}");
    }
    text.push('\n');
    text
}

/// Every kind of fault that can fire, and what nodes do about it, as it is counted.
pub const FAULTS: [&str; 56] = [
    "clock jump ahead",
    "clock jump back",
    "crash loop",
    "crash mid-step",
    "directory entry lost",
    "disk errors",
    "disk full",
    "disk stall",
    "disk wiped",
    "heal",
    "held back by the atlas",
    "latency spike",
    "log given up",
    "log rotten",
    "log sector lost",
    "log write misdirected",
    "message cut off",
    "message delayed",
    "message duplicated",
    "message lost",
    "message of a kind lost",
    "message reordered",
    "message replayed",
    "misdirected read",
    "no space",
    "node gone for good",
    "older image",
    "pages dropped by a failed sync",
    "partition bridge",
    "partition client-side",
    "partition flapping",
    "partition halves",
    "partition isolate",
    "partition one-way",
    "partition ring",
    "pause",
    "power loss",
    "power loss in flight",
    "process crash",
    "read error",
    "reinstated",
    "restart",
    "rotten read",
    "short reigns",
    "slow disk operation",
    "stop on damage",
    "stop on disk error",
    "store rebuilt",
    "store rotten",
    "store sector lost",
    "store write misdirected",
    "swizzle",
    "sync error",
    "write error",
    "write lost",
    "write torn",
];

/// Counts of faults by kind, the most frequent first.
pub fn faults(faults: &BTreeMap<String, u64>) -> String {
    let mut fired: Vec<_> = faults.iter().filter(|(_, count)| **count > 0).collect();
    fired.sort_by_key(|(kind, count)| (std::cmp::Reverse(**count), kind.as_str()));
    if fired.is_empty() {
        return "none".to_string();
    }
    fired.iter().map(|(kind, count)| format!("{kind} {}", number(**count))).collect::<Vec<_>>().join(", ")
}

/// A block of labelled lines.
fn rows<'a>(text: &mut String, title: &str, rows: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut title = title;
    for (label, value) in rows {
        row(text, &format!("  {title:<9} {label:<24} "), value);
        title = "";
    }
}

/// A line that begins with a label. A long value goes on in the next lines, below where it began.
pub fn row(text: &mut String, label: &str, value: &str) {
    const WIDTH: usize = 100;
    let indent = label.chars().count();
    let mut line = label.to_string();
    let mut column = indent;
    for (position, word) in value.split(' ').enumerate() {
        let width = word.chars().count();
        if position > 0 && column + 1 + width > WIDTH {
            line.push('\n');
            line.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if position > 0 {
            line.push(' ');
            column += 1;
        }
        line.push_str(word);
        column += width;
    }
    text.push_str(line.trim_end());
    text.push('\n');
}
