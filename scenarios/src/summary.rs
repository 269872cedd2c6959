//! Says what was drawn, for people.

use crate::fault::{FaultKind, Us};
use crate::scenario::{Latency, Mode, Scenario, StorageOptions};
use crate::work::{Isolation, OnDelete, Workload};
use std::collections::BTreeMap;

impl Scenario {
    /// What was drawn, as labels and texts: a line each, to be shown one below the other.
    pub fn summary(&self) -> Vec<(String, String)> {
        let mut lines = vec![
            ("scenario".to_owned(), self.describe_workload()),
            ("clients".to_owned(), self.describe_clients()),
            ("nodes".to_owned(), self.describe_nodes()),
            ("storage".to_owned(), self.describe_storage()),
            ("network".to_owned(), self.describe_network()),
            ("disks".to_owned(), self.describe_disks()),
            ("clocks".to_owned(), self.describe_clocks()),
        ];
        lines.push((format!("faults ({})", self.faults_mode), self.describe_faults()));
        lines.push(("mode".to_owned(), self.describe_mode()));
        lines
    }

    fn describe_workload(&self) -> String {
        let data = match self.workload {
            Workload::Register { keys } => format!("{keys} rows, each read and changed by one statement at a time"),
            Workload::Bank { accounts, balance } => {
                format!("{accounts} accounts with {balance} each, and money moving between them")
            }
            Workload::Append { lists } => format!("{lists} lists, appended to and read by transactions"),
            Workload::WriteSkew { keys, isolation } => {
                let isolation = match isolation {
                    Isolation::Snapshot => "under snapshot isolation, which allows write skew",
                    Isolation::Serializable => "under serializable isolation",
                };
                format!("{keys} rows, of which transactions read two and write one, {isolation}")
            }
            Workload::LongFork { keys } => format!("{keys} rows, written alone and read together"),
            Workload::TimeTravel { keys } => format!("{keys} rows, read as of earlier positions"),
            Workload::Unique { names } => format!("{names} names, each with one owner at most"),
            Workload::ForeignKey { parents, children, on_delete } => {
                let action = match on_delete {
                    OnDelete::NoAction => "hold on to them",
                    OnDelete::Cascade => "go with them",
                    OnDelete::SetNull => "stay without them",
                };
                format!("{parents} parents, and {children} children that {action}")
            }
            Workload::Index { items, buckets } => format!("{items} items in {buckets} buckets, found by an index"),
            Workload::Ddl { keys } => format!("{keys} rows, while their table changes"),
            Workload::Sql {} => "scripts on each client's own tables, with the answers of one process".to_owned(),
        };
        format!("{}: {data}", self.name())
    }

    fn describe_clients(&self) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for step in self.clients.iter().flat_map(|client| &client.steps) {
            *counts.entry(step.operation.name()).or_default() += 1;
        }
        let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
        counts.sort_by_key(|&(name, count)| (std::cmp::Reverse(count), name));
        let counts: Vec<String> = counts.into_iter().map(|(name, count)| format!("{count} {name}")).collect();
        format!(
            "{} with {} operations ({}); they ask again after {} ms, up to {}",
            self.clients.len(),
            self.operations(),
            counts.join(", "),
            self.client_timeout_ms,
            times(u64::from(self.patience)),
        )
    }

    fn describe_nodes(&self) -> String {
        let engine = &self.engine;
        let election_ms = engine.tick_ms * engine.election_ticks;
        format!(
            "{}; elections after {election_ms} to {} ms, heartbeats every {} ms, at most {} entries a message",
            self.nodes,
            2 * election_ms,
            engine.tick_ms * engine.heartbeat_ticks,
            engine.max_entries_per_append,
        )
    }

    fn describe_storage(&self) -> String {
        let kind = match self.engine.storage {
            StorageOptions::Memory => "in memory, applied again from the log on a restart".to_owned(),
            StorageOptions::BitCask { compact_garbage_percent, .. } => {
                format!("BitCask, compacted at {compact_garbage_percent} % garbage")
            }
        };
        let retention = match self.engine.retention {
            None => "all versions kept".to_owned(),
            Some(positions) => format!("versions kept for {positions} positions"),
        };
        format!(
            "{kind}; flushed every {}; {retention}; {} parsed statements kept",
            entries(self.engine.flush_every),
            self.engine.cached_statements
        )
    }

    fn describe_network(&self) -> String {
        let network = &self.network;
        let mut parts = vec![latency(network.latency)];
        for (name, ppm) in [
            ("lost", network.loss_ppm),
            ("duplicated", network.duplicate_ppm),
            ("reordered", network.reorder_ppm),
            ("replayed late", network.replay_ppm),
        ] {
            if ppm > 0 {
                parts.push(format!("{} {name}", percent(ppm)));
            }
        }
        parts.join(", ")
    }

    fn describe_disks(&self) -> String {
        let disk = &self.disk;
        let mut parts = vec![format!("sectors of {} bytes, sync {}", disk.sector, latency(disk.sync))];
        for (name, ppm) in [
            ("of reads fail", disk.eio_read_ppm),
            ("of writes fail", disk.eio_write_ppm),
            ("of syncs fail", disk.eio_sync_ppm),
            ("stall", disk.stall_ppm),
            ("of reads show a wrong bit", disk.rot_read_ppm),
            ("of reads show another place", disk.misdirect_read_ppm),
            ("of failed syncs drop their pages", if disk.eio_sync_ppm > 0 { disk.drop_on_sync_failure_ppm } else { 0 }),
            ("of operations with writes in flight lose power", disk.crash_in_flight_ppm),
        ] {
            if ppm > 0 {
                parts.push(format!("{} {name}", percent(ppm)));
            }
        }
        let mut lost = Vec::new();
        for (name, ppm) in [("of unsynced sectors", disk.lose_unsynced_ppm), ("of unsynced names", disk.lose_dir_ppm)] {
            if ppm > 0 {
                lost.push(format!("{} {name}", percent(ppm)));
            }
        }
        if !lost.is_empty() {
            parts.push(format!("a power failure loses {}", lost.join(" and ")));
        }
        if disk.tear_ppm > 0 {
            parts.push("a write can survive in part".to_owned());
        }
        parts.join(", ")
    }

    fn describe_clocks(&self) -> String {
        let skew = self.clocks.iter().map(|clock| clock.skew_us.unsigned_abs()).max().unwrap_or(0);
        let drift = self.clocks.iter().map(|clock| clock.drift_ppm.unsigned_abs()).max().unwrap_or(0);
        match (skew, drift) {
            (0, 0) => "right".to_owned(),
            (_, 0) => format!("off by up to {}", duration(skew)),
            (0, _) => format!("up to {} fast or slow", percent(drift)),
            _ => format!("off by up to {}, and up to {} fast or slow", duration(skew), percent(drift)),
        }
    }

    fn describe_mode(&self) -> String {
        let mode = match self.mode {
            Mode::Recoverable => "recoverable: good copies stay on a quorum, and the cluster has to recover",
            Mode::Unrestricted => "unrestricted: any disk may be destroyed, and no answer may be wrong",
        };
        let core = if self.core.len() < usize::from(self.nodes) {
            let core: Vec<String> = self.core.iter().map(|node| format!("n{node}")).collect();
            format!("; {} are left in the end", core.join(" "))
        } else {
            String::new()
        };
        let buggify = if self.buggify == 0 { "" } else { "; the engine acts up by itself" };
        format!("{mode}{core}{buggify}")
    }

    fn describe_faults(&self) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for fault in &self.faults {
            if !matches!(fault.kind, FaultKind::Restart { .. }) {
                *counts.entry(fault.kind.name()).or_default() += 1;
            }
        }
        let mut parts: Vec<String> = counts.into_iter().map(|(name, count)| format!("{count} {name}")).collect();
        if !self.fates.is_empty() {
            parts.push(format!("{} single decisions", self.fates.len()));
        }
        if parts.is_empty() {
            return "none scheduled".to_owned();
        }
        let last = self.faults.iter().filter_map(|fault| fault.when.us()).max().unwrap_or(0);
        let waiting = self.faults.iter().filter(|fault| fault.when.us().is_none()).count();
        let waiting = if waiting > 0 { format!(", {waiting} of them when something happens") } else { String::new() };
        format!("{}, over {}{waiting}", parts.join(", "), duration(last))
    }
}

fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        _ => format!("{count} times"),
    }
}

fn entries(count: u32) -> String {
    if count == 1 { "entry".to_owned() } else { format!("{count} entries") }
}

/// "0.3 to about 1.2 ms": the least and the mean.
fn latency(latency: Latency) -> String {
    format!("takes {} at least and {} on average", duration(latency.min_us), duration(latency.mean_us))
}

/// Parts per million as a percentage, without digits that say nothing.
fn percent(ppm: u32) -> String {
    let digits = format!("{}.{:04}", ppm / 10_000, ppm % 10_000);
    // Two digits that count are enough.
    let first = digits.find(|digit| ('1'..='9').contains(&digit)).unwrap_or(0);
    let point = digits.find('.').unwrap_or(digits.len());
    let end = if first < point { point + 2 } else { first + 2 };
    let digits = digits[..end.min(digits.len())].trim_end_matches('0').trim_end_matches('.');
    format!("{digits} %")
}

/// A duration in a unit that fits.
fn duration(us: u64) -> String {
    Us(us).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Overrides;

    #[test]
    fn numbers_read_well() {
        for (ppm, text) in [
            (1_000_000, "100 %"),
            (123_456, "12.3 %"),
            (50_000, "5 %"),
            (12_000, "1.2 %"),
            (1_234, "0.12 %"),
            (40, "0.004 %"),
            (1, "0.0001 %"),
            (0, "0 %"),
        ] {
            assert_eq!(percent(ppm), text);
        }
        for (us, text) in [
            (0, "0 µs"),
            (999, "999 µs"),
            (1_250, "1.2 ms"),
            (25_999, "25 ms"),
            (1_000_000, "1.0 s"),
            (61_500_000, "61.5 s"),
        ] {
            assert_eq!(duration(us), text);
        }
    }

    #[test]
    fn a_summary_has_a_text_for_each_label() {
        for seed in 0..200 {
            let scenario = Scenario::draw(seed, &Overrides::default());
            for (label, text) in scenario.summary() {
                assert!(!label.is_empty() && !text.is_empty() && !text.contains('\n'), "{label}: {text:?}");
            }
        }
    }
}
