//! Smaller tables, indexes and alterations.

use super::{Shrinking, drop_item, without_one};
use crate::ast::{
    Alter, Alteration, Column, Conflict, Expr, ForeignKey, From, Index, On, Part, Source, Step, Table, Walk, Write,
    WriteKind,
};

impl Shrinking {
    pub(super) fn drop_columns(&mut self) -> anyhow::Result<bool> {
        let mut changed = false;
        let names: Vec<(String, String)> = self
            .case
            .steps
            .iter()
            .filter_map(|step| if let Step::Table(table) = step { Some(table) } else { None })
            .flat_map(|table| table.columns.iter().map(|column| (table.name.clone(), column.name.clone())))
            .collect();
        for (table, column) in names {
            let mut case = self.case.clone();
            case.steps.iter_mut().for_each(|step| drop_column(step, &table, &column));
            changed |= self.accept(case)?;
        }
        Ok(changed)
    }

    /// Makes the tables as they are after an ALTER TABLE, and leaves that out.
    pub(super) fn undo_alterations(&mut self) -> anyhow::Result<bool> {
        let mut changed = false;
        let mut position = 0;
        while position < self.case.steps.len() {
            if let Step::Alter(alter) = self.case.steps[position].clone() {
                let mut case = self.case.clone();
                case.steps.remove(position);
                match &alter.change {
                    Alteration::Add(column) => add_at_once(&mut case.steps[..position], &alter.table, column),
                    Alteration::Drop(_) => {}
                    Alteration::Rename(from, to) => {
                        case.steps[position..].iter_mut().for_each(|step| rename_column(step, to, from));
                    }
                    Alteration::RenameTable(to) => {
                        case.steps[position..].iter_mut().for_each(|step| rename_table(step, to, &alter.table));
                    }
                }
                if self.accept(case)? {
                    changed = true;
                    continue;
                }
            }
            position += 1;
        }
        Ok(changed)
    }
}

/// Gives a table a column when it is made, unless it has another name then.
fn add_at_once(steps: &mut [Step], name: &str, column: &Column) {
    for step in steps {
        if let Step::Table(table) = step
            && table.name == name
        {
            table.columns.push(column.clone());
        }
    }
}

/// Gives a column of any table another name, wherever it stands.
fn rename_column(step: &mut Step, from: &str, to: &str) {
    let rename = |name: &mut String| {
        if name == from {
            *name = to.to_string();
        }
    };
    step.walk(&mut |part| match part {
        Part::Expr(Expr::Column { name, .. }) => rename(name),
        Part::From(From::Join { on: On::Using(names), .. }) => names.iter_mut().for_each(rename),
        _ => {}
    });
    match step {
        Step::Index(index) => index.columns.iter_mut().for_each(|(name, _)| rename(name)),
        Step::Alter(Alter { change: Alteration::Drop(name) | Alteration::Rename(name, _), .. }) => rename(name),
        Step::Write(Write { kind: WriteKind::Insert { columns, conflict, .. }, .. }) => {
            columns.iter_mut().for_each(rename);
            if let Some(Conflict { target, update }) = conflict {
                target.iter_mut().for_each(rename);
                update.iter_mut().flat_map(|(set, _)| set).for_each(|(name, _)| rename(name));
            }
        }
        Step::Write(Write { kind: WriteKind::Update { set, .. }, .. }) => {
            for (name, _) in set {
                rename(name);
            }
        }
        _ => {}
    }
}

/// Gives a table another name, wherever it stands.
fn rename_table(step: &mut Step, from: &str, to: &str) {
    let rename = |name: &mut String| {
        if name == from {
            *name = to.to_string();
        }
    };
    step.walk(&mut |part| match part {
        Part::Expr(Expr::Column { table: Some(name), .. }) | Part::From(From::Table { name, .. }) => rename(name),
        _ => {}
    });
    match step {
        Step::Index(Index { table, .. }) | Step::Alter(Alter { table, .. }) => rename(table),
        Step::Write(write) => rename(&mut write.table),
        _ => {}
    }
}

fn drop_column(step: &mut Step, name: &str, column: &str) {
    match step {
        Step::Table(table) => {
            for key in table.foreign_keys.iter_mut().filter(|key| key.parent == name) {
                if let Some(position) = key.referenced.iter().position(|other| other == column) {
                    key.columns.remove(position);
                    key.referenced.remove(position);
                }
            }
            table.foreign_keys.retain(|key| !key.columns.is_empty());
            if table.name == name {
                table.drop_column(column);
            }
        }
        Step::Index(index) if index.table == name => index.columns.retain(|(other, _)| other != column),
        Step::Write(write) if write.table == name => {
            if let WriteKind::Insert { columns, source, .. } = &mut write.kind
                && let Some(position) = columns.iter().position(|other| other == column)
            {
                columns.remove(position);
                match source {
                    Source::Values(rows) => rows.iter_mut().for_each(|row| drop(row.remove(position))),
                    Source::Query(query) => drop_item(query, position),
                }
            }
        }
        _ => {}
    }
}

/// Foreign keys without one of them, or without consequences.
fn smaller_foreign_keys(keys: &[ForeignKey]) -> Vec<Vec<ForeignKey>> {
    let mut smaller: Vec<Vec<ForeignKey>> = without_one(keys).collect();
    for (position, key) in keys.iter().enumerate() {
        let plain = [
            ForeignKey { on_delete: "ON DELETE NO ACTION", ..key.clone() },
            ForeignKey { on_update: "ON UPDATE NO ACTION", ..key.clone() },
        ];
        for key in plain {
            let mut keys = keys.to_vec();
            keys[position] = key;
            smaller.push(keys);
        }
    }
    smaller
}

/// A table, an index or an alteration without one of its clauses.
pub(super) fn smaller_steps(step: &Step) -> Vec<Step> {
    match step {
        Step::Table(table) => {
            let column = |column: &Column| Column { nullable: true, default: None, ..column.clone() };
            let columns = table.columns.iter().map(column).collect();
            let smaller = [
                Table { checks: Vec::new(), ..table.clone() },
                Table { foreign_keys: Vec::new(), ..table.clone() },
                Table { uniques: Vec::new(), ..table.clone() },
                Table { primary_key: Vec::new(), ..table.clone() },
                Table { columns, ..table.clone() },
            ];
            let keys = smaller_foreign_keys(&table.foreign_keys);
            let keys = keys.into_iter().map(|foreign_keys| Table { foreign_keys, ..table.clone() });
            smaller.into_iter().chain(keys).map(Step::Table).collect()
        }
        Step::Index(index) => {
            let up = index.columns.iter().map(|(name, _)| (name.clone(), false)).collect();
            let smaller = [
                Index { unique: false, ..index.clone() },
                Index { columns: index.columns[..1].to_vec(), ..index.clone() },
                Index { columns: index.columns[1..].to_vec(), ..index.clone() },
                Index { columns: up, ..index.clone() },
            ];
            smaller.into_iter().filter(|index| !index.columns.is_empty()).map(Step::Index).collect()
        }
        Step::Alter(Alter { table, change: Alteration::Add(column) }) => {
            let plain = Column { nullable: true, default: None, ..column.clone() };
            let smaller = [Column { nullable: true, ..column.clone() }, plain];
            let alter = |column| Step::Alter(Alter { table: table.clone(), change: Alteration::Add(column) });
            smaller.map(alter).to_vec()
        }
        _ => Vec::new(),
    }
}
