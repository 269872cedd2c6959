//! Draws the workload and what each client does.

use super::region::{Record, Region};
use super::{Size, script};
use crate::work::{
    ClientProgram, Isolation, MicroOperation, OnDelete, Operation, RowOperation, SchemaChange, Step, Way, Workload,
    WorkloadKind,
};

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
        // Some find more than others: few operations of the first three are wasted.
        let drawn = WorkloadKind::ALL[record.weighted(&[3, 3, 3, 1, 1, 1, 2, 2, 1, 2, 2])];
        // Long runs get more keys, or searching their histories would take for ever.
        let count = (record.range(2, 12) as u32).max(size.operations as u32 / 100);
        let count = count.min(100_000);
        let balance = record.range(20, 400) as i64;
        // Each kind may be rare or frequent, never absent.
        let weights = [(); 4].map(|()| record.scale(1, 16));
        let hot = record.choose(&[0, 0, 50, 90]);
        let burst = record.choose(&[0, 50, 80, 95]);
        let second = record.range(2, 6) as u32;
        let variant = record.below(6) as usize;
        let workload = match kind.unwrap_or(drawn) {
            WorkloadKind::Register => Workload::Register { keys: count },
            WorkloadKind::Bank => Workload::Bank { accounts: count, balance },
            WorkloadKind::Append => Workload::Append { lists: count },
            WorkloadKind::WriteSkew => {
                let isolation = [Isolation::Snapshot, Isolation::Serializable, Isolation::Serializable][variant % 3];
                Workload::WriteSkew { keys: count, isolation }
            }
            WorkloadKind::LongFork => Workload::LongFork { keys: count },
            WorkloadKind::TimeTravel => Workload::TimeTravel { keys: count },
            WorkloadKind::Unique => Workload::Unique { names: count },
            WorkloadKind::ForeignKey => {
                let on_delete = [OnDelete::NoAction, OnDelete::Cascade, OnDelete::SetNull][variant % 3];
                // Few, so that a parent often goes while a child comes.
                Workload::ForeignKey { parents: second.div_ceil(2), children: count, on_delete }
            }
            WorkloadKind::Index => Workload::Index { items: count, buckets: second },
            WorkloadKind::Ddl => Workload::Ddl { keys: count },
            WorkloadKind::Sql => Workload::Sql {},
        };
        // With this mean the pauses of a client fill the time until the horizon.
        let pauses = (size.share(1) as u64 * (100 - burst)).div_ceil(100).max(1);
        Self { workload, weights, hot, burst, pause_us: size.horizon_us / pauses }
    }

    pub(super) fn program(&self, id: u32, steps: usize, region: &mut Region<'_>) -> ClientProgram {
        let steps = (0..steps).map(|number| self.step(id, number, &mut region.record())).collect();
        ClientProgram { id, steps }
    }

    fn step(&self, client: u32, number: usize, record: &mut Record<48>) -> Step {
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
            Workload::WriteSkew { keys, .. } => self.skew(record, kind, keys),
            Workload::LongFork { keys } => match kind {
                0 | 1 => {
                    let key = self.pick(record, keys);
                    Operation::OnRows { operations: vec![RowOperation::Put { key }], back: None }
                }
                _ => Operation::OnRows { operations: self.gets(record, keys), back: None },
            },
            Workload::TimeTravel { keys } => match kind {
                0 => Operation::OnRows { operations: self.gets(record, keys), back: None },
                1 => Operation::OnRows { operations: self.puts(record, keys), back: None },
                _ => {
                    let operations = self.gets(record, keys);
                    Operation::OnRows { operations, back: Some(record.below(60)) }
                }
            },
            Workload::Unique { names } => self.names(record, kind, names),
            Workload::ForeignKey { parents, children, .. } => self.families(record, kind, parents, children),
            Workload::Index { items, buckets } => self.items(record, kind, items, buckets),
            Workload::Ddl { keys } => self.ddl(record, kind, keys),
            Workload::Sql {} => {
                let statements = script::draw(client, number, &mut record.more());
                Operation::Script { statements }
            }
        };
        Step { think_us, operation }
    }

    /// Reads two rows and writes one of them, or both, or none.
    fn skew(&self, record: &mut Record<48>, kind: usize, keys: u32) -> Operation {
        // Pairs, so that two transactions are often about the same two rows.
        let one = self.pick(record, keys);
        let two = if one ^ 1 < keys { one ^ 1 } else { one };
        let mut operations = vec![RowOperation::Get { key: one }, RowOperation::Get { key: two }];
        match kind {
            0 => operations.push(RowOperation::Put { key: one }),
            1 => operations.push(RowOperation::Put { key: two }),
            2 => operations.extend(self.puts(record, keys)),
            _ => operations.extend(self.gets(record, keys)),
        }
        Operation::OnRows { operations, back: None }
    }

    fn gets(&self, record: &mut Record<48>, keys: u32) -> Vec<RowOperation> {
        let count = record.range(1, 4);
        (0..count).map(|_| RowOperation::Get { key: self.pick(record, keys) }).collect()
    }

    fn puts(&self, record: &mut Record<48>, keys: u32) -> Vec<RowOperation> {
        let count = record.below(3) + 1;
        (0..count).map(|_| RowOperation::Put { key: self.pick(record, keys) }).collect()
    }

    fn names(&self, record: &mut Record<48>, kind: usize, names: u32) -> Operation {
        let name = self.pick(record, names);
        let other = another(record, name, names);
        match kind {
            0 | 1 => Operation::Claim { name, look: record.percent(50) },
            2 if other == name || record.percent(50) => Operation::Release { name },
            2 => Operation::Rename { from: name, to: other },
            _ => Operation::ReadNames {},
        }
    }

    fn families(&self, record: &mut Record<48>, kind: usize, parents: u32, children: u32) -> Operation {
        let (parent, child) = (self.pick(record, parents), self.pick(record, children));
        match kind {
            0 if record.percent(40) => Operation::AddParent { parent },
            0 => Operation::RemoveParent { parent },
            1 | 2 => match record.below(5) {
                0..=2 => Operation::AddChild { child, parent, look: record.percent(50) },
                3 => Operation::MoveChild { child, parent },
                _ => Operation::RemoveChild { child },
            },
            _ => Operation::ReadFamilies {},
        }
    }

    fn items(&self, record: &mut Record<48>, kind: usize, items: u32, buckets: u32) -> Operation {
        let (item, bucket) = (self.pick(record, items), self.pick(record, buckets));
        let other = another(record, bucket, buckets);
        match kind {
            0 | 1 => Operation::PutItem { item, bucket },
            2 if other == bucket || record.percent(50) => Operation::DropItem { item },
            2 => Operation::MoveItems { from: bucket, to: other },
            _ if record.percent(50) => Operation::ReadBucket { bucket },
            _ => Operation::ReadItems {},
        }
    }

    fn ddl(&self, record: &mut Record<48>, kind: usize, keys: u32) -> Operation {
        match kind {
            0 => Operation::OnRows { operations: self.puts(record, keys), back: None },
            1 => {
                let operations = self.puts(record, keys).into_iter().chain(self.gets(record, keys)).collect();
                Operation::OnRows { operations, back: None }
            }
            2 => {
                let change = record.choose(&[
                    SchemaChange::CreateIndex,
                    SchemaChange::DropIndex,
                    SchemaChange::AddColumn,
                    SchemaChange::DropColumn,
                    SchemaChange::CreateView,
                    SchemaChange::DropView,
                ]);
                let key = self.pick(record, keys);
                Operation::Alter { change, with: record.percent(40).then_some(key), undo: record.percent(10) }
            }
            _ => {
                let way = record.choose(&[Way::Value, Way::Value, Way::Column, Way::View]);
                Operation::ReadThrough { key: self.pick(record, keys), way }
            }
        }
    }

    fn bank(&self, record: &mut Record<48>, kind: usize, accounts: u32) -> Operation {
        let account = self.pick(record, accounts);
        let other = another(record, account, accounts);
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
    fn pick(&self, record: &mut Record<48>, count: u32) -> u32 {
        let hot = record.percent(self.hot);
        record.below(u64::from(if hot { count.div_ceil(4) } else { count })) as u32
    }
}

/// Another one of `count`, unless there is but one.
fn another(record: &mut Record<48>, one: u32, count: u32) -> u32 {
    (one + 1 + record.below(u64::from(count.max(2) - 1)) as u32) % count
}
