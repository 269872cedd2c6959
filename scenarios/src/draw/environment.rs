//! Draws what the nodes run on: their options, the network, disks and clocks.
//!
//! Faults of a class that is off, or of a mode that has none, are drawn and thrown away, so that the rest stays the same.

use super::Size;
use super::region::{Record, Region};
use crate::scenario::{Clock, DiskOptions, EngineOptions, FaultsMode, Latency, NetworkOptions, StorageOptions};

/// Tells whether a class of faults is on.
pub(super) fn class<const N: usize>(record: &mut Record<N>, mode: FaultsMode) -> bool {
    let on = record.percent(55);
    on && mode != FaultsMode::None
}

/// Draws a rate from 1 to `most` parts per million, or less when faults are light.
fn rate<const N: usize>(record: &mut Record<N>, mode: FaultsMode, most: u64) -> u32 {
    let on = class(record, mode);
    let rate = record.scale(most / 64 + 1, most);
    match (on, mode) {
        (false, _) | (_, FaultsMode::None) => 0,
        (true, FaultsMode::Light) => (rate / 8 + 1) as u32,
        (true, FaultsMode::Full) => rate as u32,
    }
}

pub(super) fn network(record: &mut Record<128>, mode: FaultsMode) -> NetworkOptions {
    let min_us = record.scale(50, 4_000);
    let mean_us = min_us + record.scale(50, 4_000);
    let tail_ppm = record.scale(100, 20_000) as u32;
    let tail_us = record.scale(1_000, 64_000);
    NetworkOptions {
        latency: Latency { min_us, mean_us },
        tail_ppm,
        tail_us,
        loss_ppm: rate(record, mode, 80_000),
        duplicate_ppm: rate(record, mode, 80_000),
        reorder_ppm: rate(record, mode, 200_000),
        reorder_us: record.scale(1_000, 128_000),
        replay_ppm: rate(record, mode, 20_000),
        replay_us: record.scale(100_000, 8_000_000),
    }
}

pub(super) fn disk(record: &mut Record<160>, mode: FaultsMode) -> DiskOptions {
    let mut latency = |low, high| {
        let min_us = record.scale(low, high);
        Latency { min_us, mean_us: min_us + record.scale(low, high) }
    };
    let write = latency(1, 64);
    let sync = latency(20, 4_000);
    DiskOptions {
        write,
        sync,
        // Each failure stops a node, so that more than some in a run leave nobody to serve.
        eio_read_ppm: rate(record, mode, 1_000),
        eio_write_ppm: rate(record, mode, 1_000),
        eio_sync_ppm: rate(record, mode, 3_000),
        stall_ppm: rate(record, mode, 5_000),
        stall_ms: record.scale(5, 1_000) as u32,
        lose_unsynced_ppm: lost(record, mode),
        tear_ppm: lost(record, mode),
        lose_dir_ppm: lost(record, mode),
        sector: record.choose(&[512, 512, 4_096]),
        rot_read_ppm: rate(record, mode, 500),
        misdirect_read_ppm: rate(record, mode, 500),
        drop_on_sync_failure_ppm: lost(record, mode),
        crash_in_flight_ppm: rate(record, mode, 4_000),
    }
}

/// How much of what is not synced goes with the power: nothing, some, or all.
fn lost(record: &mut Record<160>, mode: FaultsMode) -> u32 {
    let on = class(record, mode);
    let all = record.percent(30);
    let some = record.range(50_000, 950_000) as u32;
    match (on, all) {
        (false, _) => 0,
        (true, true) => 1_000_000,
        (true, false) => some,
    }
}

pub(super) fn clocks(region: &mut Region<'_>, nodes: u8, mode: FaultsMode) -> Vec<Clock> {
    let mut all: Record<16> = region.record();
    let (skewed, drifting) = (class(&mut all, mode), class(&mut all, mode));
    let (most_skew, most_drift) = match mode {
        FaultsMode::None => (1, 1),
        FaultsMode::Light => (all.scale(1_000, 100_000), all.scale(1, 200)),
        FaultsMode::Full => (all.scale(1_000, 60_000_000), all.scale(10, 50_000)),
    };
    (0..nodes)
        .map(|_| {
            let mut record: Record<8> = region.record();
            let skew = record.range(0, 2 * most_skew) as i64 - most_skew as i64;
            let drift = record.range(0, 2 * most_drift) as i32 - most_drift as i32;
            Clock { skew_us: if skewed { skew } else { 0 }, drift_ppm: if drifting { drift } else { 0 } }
        })
        .collect()
}

pub(super) fn engine(
    record: &mut Record<192>,
    size: &Size,
    network: &NetworkOptions,
    disk: &DiskOptions,
) -> EngineOptions {
    let tick_ms = record.choose(&[5, 10, 10, 20, 20, 50]);
    let tick_ms = if size.unsettled { 5 } else { tick_ms };
    let election_ticks = record.range(8, 20) as u32;
    let heartbeat_ticks = record.range(1, 3) as u32;
    // A vote is two messages and two syncs: elections that time out before would never end.
    let round_us = 2 * (network.latency.mean_us + disk.sync.mean_us + disk.write.mean_us);
    let least_tick_ms = (6 * round_us).div_ceil(1_000 * u64::from(election_ticks)) as u32;
    let tiny = record.percent(15) || size.unsettled;
    let max_entries_per_append = if tiny { record.range(1, 3) } else { record.scale(8, 512) } as u32;
    let max_bytes_per_append = if tiny { record.range(1, 400) } else { record.scale(1_024, 1 << 20) } as u32;
    let max_inflight = if tiny { record.range(1, 2) } else { record.scale(2, 256) } as u32;
    let collected = record.percent(50);
    // Few enough in some runs that transactions outlive their snapshots, but not in all.
    let short = record.percent(15);
    let retention = if short { record.range(3, 20) } else { record.scale(40, 2_000) };
    let in_memory = record.percent(30);
    let compact_garbage_percent = record.range(10, 60) as u8;
    let compact_min_bytes = record.scale(64, 64 << 10);
    EngineOptions {
        tick_ms: tick_ms.max(least_tick_ms),
        election_ticks,
        heartbeat_ticks,
        max_entries_per_append,
        max_bytes_per_append,
        max_inflight,
        retention: collected.then_some(retention),
        storage: if in_memory {
            StorageOptions::Memory
        } else {
            StorageOptions::BitCask { compact_garbage_percent, compact_min_bytes }
        },
        flush_every: record.scale(1, 256) as u32,
        cached_statements: record.scale(1, 256) as u32,
    }
}
