//! Draws the workload and what each client does.

use super::Size;
use super::region::{Record, Region};
use crate::scenario::{ClientProgram, MicroOperation, Operation, Step, Workload, WorkloadKind};

/// What the clients have in common.
pub(super) struct Plan {
    pub(super) workload: Workload,
    /// How likely each kind of operation is.
    weights: [u64; 4],
    /// How likely a step goes to one of the first keys, in percent.
    hot: u64,
    /// How likely a step follows the one before it almost at once, in percent.
    burst: u64,
    /// The mean of the waits between bursts.
    pause_us: u64,
}

impl Plan {
    pub(super) fn draw(record: &mut Record<64>, size: &Size, kind: Option<WorkloadKind>) -> Self {
        let drawn = record.choose(&WorkloadKind::ALL);
        // Long runs get more keys, or searching their histories would take for ever.
        let count = (record.range(2, 12) as u32).max(size.operations as u32 / 100);
        let count = count.min(100_000);
        let balance = record.range(20, 400) as i64;
        // Each kind may be rare or frequent, never absent.
        let weights = [(); 4].map(|()| record.scale(1, 16));
        let hot = record.choose(&[0, 0, 50, 90]);
        let burst = record.choose(&[0, 50, 80, 95]);
        let workload = match kind.unwrap_or(drawn) {
            WorkloadKind::Register => Workload::Register { keys: count },
            WorkloadKind::Bank => Workload::Bank { accounts: count, balance },
            WorkloadKind::Append => Workload::Append { lists: count },
        };
        // With this mean the pauses of a client fill the time until the horizon.
        let pauses = (size.share(1) as u64 * (100 - burst)).div_ceil(100).max(1);
        Self { workload, weights, hot, burst, pause_us: size.horizon_us / pauses }
    }

    pub(super) fn program(&self, id: u32, steps: usize, region: &mut Region<'_>) -> ClientProgram {
        let steps = (0..steps).map(|_| self.step(&mut region.record())).collect();
        ClientProgram { id, steps }
    }

    fn step(&self, record: &mut Record<36>) -> Step {
        let burst = record.percent(self.burst);
        let think_us = if burst { record.range(0, 3_000) } else { record.range(0, 2 * self.pause_us) };
        let kind = record.weighted(&self.weights);
        let operation = match self.workload {
            Workload::Register { keys } => {
                let key = self.pick(record, keys);
                match kind {
                    0 => Operation::Read { key },
                    1 => Operation::Write { key },
                    2 => Operation::CompareAndSet { key },
                    // Deleted rows are soon inserted again, or there would be nothing to see.
                    _ if record.percent(30) => Operation::Delete { key },
                    _ => Operation::Insert { key },
                }
            }
            Workload::Bank { accounts, .. } => self.bank(record, kind, accounts),
            Workload::Append { lists } => match kind {
                0 => Operation::Append { list: self.pick(record, lists) },
                1 => Operation::ReadList { list: self.pick(record, lists) },
                _ => {
                    let count = record.range(1, 4);
                    let operations = (0..count)
                        .map(|_| {
                            let append = record.percent(50);
                            let list = self.pick(record, lists);
                            if append { MicroOperation::Append { list } } else { MicroOperation::Read { list } }
                        })
                        .collect();
                    Operation::Transaction { operations }
                }
            },
        };
        Step { think_us, operation }
    }

    fn bank(&self, record: &mut Record<36>, kind: usize, accounts: u32) -> Operation {
        let account = self.pick(record, accounts);
        // Another account, unless there is but one.
        let other = (account + 1 + record.below(u64::from(accounts.max(2) - 1)) as u32) % accounts;
        let amount = record.range(1, 25) as i64;
        let back = record.percent(30).then_some(record.below(60));
        match kind {
            _ if account == other => Operation::ReadAccounts { back },
            0 => Operation::ReadAccounts { back },
            1 if record.percent(50) => Operation::Close { account, heir: other },
            1 => Operation::Open { account, from: other, amount },
            _ => Operation::Transfer { from: account, to: other, amount },
        }
    }

    /// One of `count`, more often of the first when some are hot.
    fn pick(&self, record: &mut Record<36>, count: u32) -> u32 {
        let hot = record.percent(self.hot);
        record.below(u64::from(if hot { count.div_ceil(4) } else { count })) as u32
    }
}
