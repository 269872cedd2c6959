//! Foreign keys: what a statement has written is looked at in its end, when all its rows are there.
//!
//! Rows that refer to others need these to be there; rows that others refer to and that went, or changed the key, have
//! consequences for the others: an error, or changes that have consequences of their own. Each round takes all changes of
//! a table at once, so keys may be exchanged under ON UPDATE CASCADE too.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use super::super::algebra::{Access, Binary, Expr, KeyRange, Node, Scan};
use super::super::binder::{Binder, Target};
use super::super::catalog::Catalog;
use super::super::error::{Error, Failure, SqlState};
use super::super::executor;
use super::super::schema::keys::{RowKey, encode_into};
use super::super::schema::{Action, ForeignKey, Row, Table};
use super::super::types::Value;
use super::Writing;
use super::write::{Change, apply, check_row};
use crate::mvcc::{Read, Transaction};

type Result<T> = std::result::Result<T, Failure>;

/// The most rounds of consequences.
const MAX_ROUNDS: usize = 1000;

type WantedKey = (String, String, Vec<u8>);
type Wanted = (Arc<Table>, ForeignKey, Vec<Value>);

/// What a statement has done to rows with foreign keys, and to rows that foreign keys refer to.
#[derive(Default)]
pub(super) struct References {
    /// Values that must be there in the end, by table, foreign key and encoded values.
    wanted: BTreeMap<WantedKey, Wanted>,
    /// Rows that others may refer to, as they were and as they are.
    gone: Vec<(Arc<Table>, Row, Option<Row>)>,
    /// Values that went, and that must not be referred to in the end: under NO ACTION and RESTRICT.
    refused: Vec<Refused>,
}

/// Values of a key that went while nothing may refer to them.
struct Refused {
    parent: Arc<Table>,
    child: Arc<Table>,
    /// The position of the foreign key among the child's.
    key: usize,
    values: Vec<Value>,
}

impl References {
    /// A row has come.
    pub fn inserted(&mut self, table: &Arc<Table>, row: &Row) {
        for key in &table.foreign_keys {
            self.want(table, key, row);
        }
    }

    /// A row has changed.
    pub fn changed(&mut self, table: &Arc<Table>, old: &Row, new: &Row) {
        for key in &table.foreign_keys {
            if key.columns.iter().any(|&column| old[column] != new[column]) {
                self.want(table, key, new);
            }
        }
    }

    /// A row has gone, or changed.
    pub fn removed(&mut self, table: &Arc<Table>, old: Row, new: Option<Row>) {
        if !table.referenced_by.is_empty() {
            self.gone.push((Arc::clone(table), old, new));
        }
    }

    fn want(&mut self, table: &Arc<Table>, key: &ForeignKey, row: &Row) {
        let values: Vec<Value> = key.columns.iter().map(|&column| row[column].clone()).collect();
        // As MATCH SIMPLE has it: a NULL among the values, and they refer to nothing.
        if values.iter().any(|value| matches!(value, Value::Null)) {
            return;
        }
        let mut encoded = Vec::new();
        for value in &values {
            encode_into(&mut encoded, value, false);
        }
        let entry = (Arc::clone(table), key.clone(), values);
        self.wanted.insert((table.name.clone(), key.name.clone(), encoded), entry);
    }

    /// Draws the consequences, and checks that all that is referred to is there.
    pub fn settle(mut self, writing: &mut Writing<'_>) -> Result<()> {
        let mut rounds = 0;
        while !self.gone.is_empty() {
            rounds += 1;
            if rounds > MAX_ROUNDS {
                let message = format!("foreign keys have consequences over more than {MAX_ROUNDS} rows in a row");
                return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message).into());
            }
            self.round(writing)?;
        }
        for Refused { parent, child, key, values } in &self.refused {
            let key = &child.foreign_keys[*key];
            // The values may have come back, and rows that referred to them may have gone or changed.
            if !has_key(parent, &key.referenced, values, writing.txn)?
                && !matching(child, &key.columns, values, writing.txn)?.is_empty()
            {
                return Err(still_referred_to(parent, child, key, values));
            }
        }
        for (table, key, values) in self.wanted.values() {
            let parent = Catalog::new(&*writing.txn).table(&key.table)?;
            let parent = parent.ok_or_else(|| missing_table(&key.table))?;
            // A row that wanted it may have changed again, or gone, as a consequence.
            if !has_key(&parent, &key.referenced, values, writing.txn)?
                && !matching(table, &key.columns, values, writing.txn)?.is_empty()
            {
                return Err(violation(table, key, values, &parent));
            }
        }
        Ok(())
    }

    /// Takes the rows that went from one table, and changes those that refer to them.
    fn round(&mut self, writing: &mut Writing<'_>) -> Result<()> {
        let parent = Arc::clone(&self.gone[0].0);
        let (gone, rest) = std::mem::take(&mut self.gone).into_iter().partition(|(table, _, _)| table.id == parent.id);
        self.gone = rest;
        let gone: Vec<(Arc<Table>, Row, Option<Row>)> = gone;
        for name in &parent.referenced_by {
            let child = Catalog::new(&*writing.txn).table(name)?.ok_or_else(|| missing_table(name))?;
            let mut consequences = Consequences { target: None, rows: BTreeMap::new() };
            for (position, key) in child.foreign_keys.iter().enumerate() {
                if key.table == parent.name {
                    self.consequences(&parent, &child, position, &gone, &mut consequences, writing)?;
                }
            }
            let Consequences { target: Some((target, _)), rows } = consequences else { continue };
            let mut changes: Vec<Change> = Vec::with_capacity(rows.len());
            for (row_key, Consequence { old, new, defaults }) in rows {
                let new = new.map(|new| check_row(&target, new, writing.params)).transpose()?;
                if let Some(new) = &new {
                    // The default may be just what has gone.
                    for position in defaults {
                        self.want(&child, &child.foreign_keys[position], new);
                    }
                }
                changes.push(Change { key: row_key, old: Some(old), new });
            }
            apply(&child, changes, writing.txn, self)?;
        }
        Ok(())
    }

    /// Collects what a foreign key of a child makes of its rows.
    fn consequences(
        &mut self,
        parent: &Arc<Table>,
        child: &Arc<Table>,
        position: usize,
        gone: &[(Arc<Table>, Row, Option<Row>)],
        consequences: &mut Consequences,
        writing: &Writing<'_>,
    ) -> Result<()> {
        let key = &child.foreign_keys[position];
        let values_of =
            |row: &Row| -> Vec<Value> { key.referenced.iter().map(|&column| row[column].clone()).collect() };
        let mut seen: BTreeSet<RowKey> = BTreeSet::new();
        for (_, old, new) in gone {
            let values = values_of(old);
            let after = new.as_ref().map(values_of);
            if after.as_ref() == Some(&values) || values.iter().any(|value| matches!(value, Value::Null)) {
                continue;
            }
            let action = if after.is_some() { key.on_update } else { key.on_delete };
            if action == Action::Refuse {
                let (parent, child) = (Arc::clone(parent), Arc::clone(child));
                self.refused.push(Refused { parent, child, key: position, values });
                continue;
            }
            for (row_key, old) in matching(child, &key.columns, &values, &*writing.txn)? {
                if !seen.insert(row_key.clone()) {
                    continue;
                }
                if consequences.target.is_none() {
                    consequences.target = Some(target_of(child, writing)?);
                }
                let (_, defaults) = consequences.target.as_ref().expect("it was set just now");
                let row = consequences.rows.entry(row_key).or_insert_with(|| Consequence::none(old));
                // A row that goes with one of its keys goes, whatever the others make of it.
                let Some(new) = &mut row.new else { continue };
                match (action, &after) {
                    (Action::Refuse, _) => unreachable!("it has no consequences"),
                    (Action::Cascade, None) => row.new = None,
                    (Action::Cascade, Some(after)) => {
                        for (&column, value) in key.columns.iter().zip(after) {
                            new[column] = value.clone();
                        }
                    }
                    (Action::SetNull, _) => key.columns.iter().for_each(|&column| new[column] = Value::Null),
                    (Action::SetDefault, _) => {
                        let context = writing.context();
                        for &column in &key.columns {
                            new[column] = executor::evaluate(&defaults[column], &[], &context)?;
                        }
                        row.defaults.push(position);
                    }
                }
            }
        }
        Ok(())
    }
}

/// What all foreign keys of a child to one parent make of its rows. They change at once, as one may make way for another.
struct Consequences {
    /// The child with its constraints, and the defaults of its columns.
    target: Option<(Target, Vec<Expr>)>,
    rows: BTreeMap<RowKey, Consequence>,
}

struct Consequence {
    old: Row,
    /// `None` if the row goes.
    new: Option<Row>,
    /// The foreign keys whose values are those by default.
    defaults: Vec<usize>,
}

impl Consequence {
    fn none(old: Row) -> Self {
        Self { new: Some(old.clone()), old, defaults: Vec::new() }
    }
}

/// A table that a consequence writes, with its constraints and defaults.
fn target_of(table: &Arc<Table>, writing: &Writing<'_>) -> Result<(Target, Vec<Expr>)> {
    let catalog = Catalog::new(&*writing.txn);
    let binder = Binder::new(&catalog, writing.environment.functions, &[]);
    let defaults = (0..table.columns.len()).map(|column| binder.default_of(table, column)).collect::<Result<_>>()?;
    Ok((binder.target(Arc::clone(table))?, defaults))
}

fn missing_table(name: &str) -> Failure {
    Error::new(SqlState::INTERNAL_ERROR, format!("a foreign key names the table {name:?}, which is not there")).into()
}

fn still_referred_to(parent: &Table, child: &Table, key: &ForeignKey, values: &[Value]) -> Failure {
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    let message = format!(
        "the row ({}) of table {:?} is still referred to by table {:?} ({:?})",
        values.join(", "),
        parent.name,
        child.name,
        key.name
    );
    Error::new(SqlState::FOREIGN_KEY_VIOLATION, message).into()
}

/// The error that values of a foreign key refer to nothing.
pub(in super::super) fn violation(table: &Table, key: &ForeignKey, values: &[Value], parent: &Table) -> Failure {
    let names: Vec<&str> = key.columns.iter().map(|&column| table.columns[column].name.as_str()).collect();
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    let message = format!(
        "({}) = ({}) of table {:?} refers to a row that table {:?} does not have ({:?})",
        names.join(", "),
        values.join(", "),
        table.name,
        parent.name,
        key.name
    );
    Error::new(SqlState::FOREIGN_KEY_VIOLATION, message).into()
}

/// Whether a table has a row with these values in its primary key or a unique index, whose columns are given in any order.
pub(in super::super) fn has_key(
    table: &Table,
    columns: &[usize],
    values: &[Value],
    txn: &dyn Transaction,
) -> Result<bool> {
    let mut row: Row = vec![Value::Null; table.columns.len()];
    for (&column, value) in columns.iter().zip(values) {
        row[column] = value.clone();
    }
    let same = |others: &[usize]| others.len() == columns.len() && others.iter().all(|other| columns.contains(other));
    if !table.primary_key.is_empty() && same(&table.primary_key) {
        let key = table.row_key(&RowKey::of(table, &row));
        return Ok(txn.get(&key, Read::Constraint)?.is_some());
    }
    for index in table.indexes.iter().filter(|index| index.unique) {
        let by: Vec<usize> = index.columns.iter().map(|by| by.column).collect();
        if same(&by) {
            let (key, _) = table.index_entry(index, &row, &RowKey::number(&[]));
            return Ok(txn.get(&key, Read::Constraint)?.is_some());
        }
    }
    let message = format!("a foreign key refers to columns of table {:?} that are no key", table.name);
    Err(Error::new(SqlState::INTERNAL_ERROR, message).into())
}

/// The rows of a table that have values in columns, read for a constraint: by an index, if one starts with them.
pub(in super::super) fn matching(
    table: &Table,
    columns: &[usize],
    values: &[Value],
    txn: &dyn Transaction,
) -> Result<Vec<(RowKey, Row)>> {
    let width = table.columns.len();
    let equal = |(&column, value): (&usize, &Value)| {
        let (left, right) = (Box::new(Expr::Column(column)), Box::new(Expr::Constant(value.clone())));
        Expr::Binary(Binary::Equal, left, right)
    };
    let both = |a: Expr, b: Expr| Expr::Binary(Binary::And, Box::new(a), Box::new(b));
    let filter = columns.iter().zip(values).map(equal).reduce(both);
    let prefix_of = |by: Vec<usize>| -> Option<Vec<Expr>> {
        let first = by.get(..columns.len())?;
        let value = |column| columns.iter().position(|other| other == column).map(|at| values[at].clone());
        first.iter().map(|column| value(column).map(Expr::Constant)).collect()
    };
    let by_index = |position: usize| prefix_of(table.indexes[position].columns.iter().map(|by| by.column).collect());
    let (index, prefix) = match prefix_of(table.primary_key.clone()) {
        Some(prefix) => (None, prefix),
        None => (0..table.indexes.len())
            .find_map(|position| by_index(position).map(|prefix| (Some(position), prefix)))
            .unwrap_or_default(),
    };
    let range = KeyRange { prefix, low: Bound::Unbounded, high: Bound::Unbounded };
    let scan = Scan {
        table: Arc::new(table.clone()),
        alias: table.name.clone(),
        columns: (0..=width).collect(),
        access: Access { index, ranges: vec![range], only: false },
        reverse: false,
        filter,
    };
    let node = Node::Scan(Box::new(scan));
    let context = executor::Context::new(txn, &[]).with_read(Read::Constraint);
    let rows = executor::open(&node, &context)?.collect()?;
    rows.into_iter()
        .map(|mut row| {
            let key = RowKey::from_value(&row[width])?;
            row.truncate(width);
            Ok((key, row))
        })
        .collect()
}
