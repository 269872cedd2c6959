//! INSERT, UPDATE, DELETE and TRUNCATE.
//!
//! A statement first reads the rows that it is about, all of them, and so never meets its own writes. Queries that are
//! evaluated later (in RETURNING, and in ON CONFLICT DO UPDATE) read the [`Past`] of the statement's start. Then old rows and
//! index entries make way before new ones come, so a statement may permute the values of a unique key (which PostgreSQL
//! cannot). Foreign keys are looked at in the end ([`foreign`]). Reads that a constraint depends on are validated at
//! commit under every isolation level.

mod foreign;
mod write;

use super::algebra::Expr;
use super::binder::{Delete, Insert, OnConflict, Returning, Update};
use super::error::{Error, Failure, SqlState};
use super::executor;
use super::schema::keys::RowKey;
use super::schema::{Row, Table};
use super::statement::Environment;
use super::types::Value;
use crate::mvcc::{Past, Read, Transaction};

pub(super) use foreign::{has_key, violation};
pub(super) use write::{check_row, put_entry, put_row, rows_of};

use foreign::References;
use write::{Change, apply};

type Result<T> = std::result::Result<T, Failure>;

/// What a statement that writes runs with.
pub(super) struct Writing<'a> {
    pub txn: &'a mut dyn Transaction,
    pub params: &'a [Value],
    pub environment: Environment<'a>,
}

impl Writing<'_> {
    fn context(&self) -> executor::Context<'_> {
        self.environment.context(&*self.txn, self.params)
    }

    /// Calls `f` with a context for expressions: one that does not see the writes since the `start`, if it is given.
    fn evaluate<T>(&self, start: Option<&mut Past>, f: impl FnOnce(&executor::Context<'_>) -> Result<T>) -> Result<T> {
        match start {
            None => f(&self.context()),
            Some(start) => {
                let past = self.txn.past(start);
                f(&self.environment.context(&*past, self.params))
            }
        }
    }

    /// The start of the statement, which is now, if one of these expressions reads tables.
    fn start<'e>(&self, exprs: impl IntoIterator<Item = &'e Expr>) -> Option<Past> {
        let mut reads = false;
        for expr in exprs {
            expr.walk(0, &mut |_, expr| reads = reads || matches!(expr, Expr::Subquery(_)));
        }
        reads.then(|| Past::at(self.txn.savepoint()))
    }

    /// As [`Writing::start`], for RETURNING.
    fn start_of(&self, returning: Option<&Returning>) -> Option<Past> {
        self.start(returning.into_iter().flat_map(|returning| &returning.exprs))
    }

    fn collect(&self, node: &super::algebra::Node) -> Result<Vec<Row>> {
        let context = self.context();
        executor::open(node, &context)?.collect()
    }
}

/// How many rows were written, and what RETURNING gives.
pub(super) struct Written {
    pub count: u64,
    pub rows: Vec<Row>,
}

impl Written {
    fn new(
        count: usize,
        rows: &[Row],
        returning: Option<&Returning>,
        writing: &Writing<'_>,
        mut start: Option<Past>,
    ) -> Result<Self> {
        let Some(Returning { exprs, .. }) = returning else {
            return Ok(Self { count: count as u64, rows: Vec::new() });
        };
        let rows = writing.evaluate(start.as_mut(), |context| {
            let row = |row: &Row| exprs.iter().map(|expr| executor::evaluate(expr, row, context)).collect();
            rows.iter().map(row).collect::<Result<_>>()
        })?;
        Ok(Self { count: count as u64, rows })
    }
}

/// INSERT.
pub(super) fn insert(insert: &Insert, writing: &mut Writing<'_>) -> Result<Written> {
    let Insert { target, source, conflict, returning } = insert;
    let rows = writing.collect(source)?;
    let start = writing.start_of(returning.as_ref());
    let update = conflict.as_ref().and_then(|conflict| conflict.update.as_ref());
    let mut start_of_update =
        writing.start(update.into_iter().flat_map(|(set, filter)| set.iter().map(|(_, value)| value).chain(filter)));
    let mut references = References::default();
    let mut written: Vec<Row> = Vec::new();
    let keep = returning.is_some();
    let mut count = 0;
    // What ON CONFLICT has touched, which it may not touch again.
    let mut touched: Vec<RowKey> = Vec::new();
    for row in rows {
        let row = check_row(target, row, writing.params)?;
        if let Some(conflict) = conflict
            && let Some((key, old)) = conflicting(&target.table, conflict, &row, writing.txn)?
        {
            let Some((set, filter)) = &conflict.update else { continue };
            if touched.contains(&key) {
                let message = "ON CONFLICT DO UPDATE would change a row for the second time";
                return Err(Error::new(SqlState::CARDINALITY_VIOLATION, message).into());
            }
            let both: Row = old.iter().chain(&row).cloned().collect();
            let new = writing.evaluate(start_of_update.as_mut(), |context| {
                if let Some(filter) = filter
                    && executor::truth(filter, &both, context)? != Some(true)
                {
                    return Ok(None);
                }
                let mut new = old.clone();
                for (column, value) in set {
                    new[*column] = executor::evaluate(value, &both, context)?;
                }
                Ok(Some(new))
            })?;
            let Some(new) = new else { continue };
            let new = check_row(target, new, writing.params)?;
            let change = Change { key, old: Some(old), new: Some(new.clone()) };
            let keys = apply(&target.table, vec![change], writing.txn, &mut references)?;
            touched.extend(keys);
            count += 1;
            if keep {
                written.push(new);
            }
            continue;
        }
        let key = put_row(&target.table, &row, writing.txn)?;
        references.inserted(&target.table, &row);
        if conflict.as_ref().is_some_and(|conflict| conflict.update.is_some()) {
            touched.push(key);
        }
        count += 1;
        if keep {
            written.push(row);
        }
    }
    references.settle(writing)?;
    Written::new(count, &written, returning.as_ref(), writing, start)
}

/// The row that stands in the way of a new one, if a conflict with it is meant.
fn conflicting(
    table: &Table,
    conflict: &OnConflict,
    row: &Row,
    txn: &dyn Transaction,
) -> Result<Option<(RowKey, Row)>> {
    let meant = |key: Option<usize>| conflict.keys.is_empty() || conflict.keys.contains(&key);
    let mut found = None;
    if !table.primary_key.is_empty() && meant(None) {
        let key = RowKey::of(table, row);
        if txn.get(&table.row_key(&key), Read::Constraint)?.is_some() {
            found = Some(key);
        }
    }
    for (position, index) in table.indexes.iter().enumerate().filter(|(_, index)| index.unique) {
        if found.is_some() || !meant(Some(position)) {
            continue;
        }
        // Where NULLs are among the values there can be no conflict.
        if write::is_alone(index, row) {
            let (entry, _) = table.index_entry(index, row, &RowKey::number(&[]));
            let value = txn.get(&entry, Read::Constraint)?;
            found = value.map(|value| table.index_row_key(index, &entry, &value)).transpose()?;
        }
    }
    let Some(key) = found else { return Ok(None) };
    let bytes = txn.get(&table.row_key(&key), Read::Constraint)?.ok_or_else(|| {
        Error::new(SqlState::INTERNAL_ERROR, format!("an index entry of table {:?} has no row", table.name))
    })?;
    Ok(Some((key, table.decode_row(&bytes)?)))
}

/// UPDATE.
pub(super) fn update(update: &Update, writing: &mut Writing<'_>) -> Result<Written> {
    let Update { target, source, columns, returning } = update;
    let table = &target.table;
    let width = table.columns.len();
    let mut changes = Vec::new();
    let mut written = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for mut row in writing.collect(source)? {
        let key = RowKey::from_value(&row[width])?;
        // A row that UPDATE ... FROM finds several partners for is changed once, as the first one says.
        if !seen.insert(key.clone()) {
            continue;
        }
        let rest = row.split_off(width + 1);
        row.truncate(width);
        let mut new = row.clone();
        let mut rest = rest.into_iter();
        for (&column, value) in columns.iter().zip(&mut rest) {
            new[column] = value;
        }
        let new = check_row(target, new, writing.params)?;
        if returning.is_some() {
            written.push(new.iter().cloned().chain(rest).collect());
        }
        changes.push(Change { key, old: Some(row), new: Some(new) });
    }
    let count = changes.len();
    let start = writing.start_of(returning.as_ref());
    let mut references = References::default();
    apply(table, changes, writing.txn, &mut references)?;
    references.settle(writing)?;
    Written::new(count, &written, returning.as_ref(), writing, start)
}

/// DELETE.
pub(super) fn delete(delete: &Delete, writing: &mut Writing<'_>) -> Result<Written> {
    let Delete { target, source, returning } = delete;
    let width = target.table.columns.len();
    let mut changes = Vec::new();
    let mut written = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for mut row in writing.collect(source)? {
        let key = RowKey::from_value(&row[width])?;
        if !seen.insert(key.clone()) {
            continue;
        }
        if returning.is_some() {
            written.push(row[..width].iter().chain(&row[width + 1..]).cloned().collect());
        }
        row.truncate(width);
        changes.push(Change { key, old: Some(row), new: None });
    }
    let count = changes.len();
    let start = writing.start_of(returning.as_ref());
    let mut references = References::default();
    apply(&target.table, changes, writing.txn, &mut references)?;
    references.settle(writing)?;
    Written::new(count, &written, returning.as_ref(), writing, start)
}
