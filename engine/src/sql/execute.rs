//! Execution: iterators that pull rows from each other, and the statements that write.

use std::cmp::Ordering;
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::access::{Access, Scan};
use super::ast::{self, Node, Statement};
use super::catalog::{Row, Table, define, is_key};
use super::error::{Error, Failure, SqlState};
use super::expression::Expression;
use super::plan::{self, Order, Scope, Select};
use super::types::{Column, Value};
use crate::encoding::value;
use crate::mvcc::{Read, Transaction};

/// What a statement gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Output {
    /// BEGIN.
    Begin,
    /// COMMIT.
    Commit,
    /// ROLLBACK.
    Rollback,
    /// CREATE TABLE.
    CreateTable,
    /// DROP TABLE.
    DropTable,
    /// INSERT.
    Insert {
        /// How many rows.
        count: u64,
    },
    /// UPDATE.
    Update {
        /// How many rows.
        count: u64,
    },
    /// DELETE.
    Delete {
        /// How many rows.
        count: u64,
    },
    /// SELECT.
    Select {
        /// Their names and types.
        columns: Vec<Column>,
        /// The rows, in order.
        rows: Vec<Vec<Value>>,
    },
    /// EXPLAIN.
    Explain {
        /// The plan as lines, each step indented below the one that pulls from it.
        text: String,
    },
}

/// How a statement is run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether to look for better ways than to look at all rows and sort. Off for comparison.
    pub optimize: bool,
}

/// Runs a statement in a transaction. A statement that fails leaves the transaction's writes as they were.
///
/// # Panics
/// If the statement is BEGIN, COMMIT or ROLLBACK, which are its session's.
pub fn execute(statement: &Statement, params: &[Value], txn: &mut impl Transaction) -> Result<Output, Failure> {
    execute_with(Options { optimize: true }, statement, params, txn)
}

/// As [`execute`], with options.
pub fn execute_with(
    options: Options,
    statement: &Statement,
    params: &[Value],
    txn: &mut impl Transaction,
) -> Result<Output, Failure> {
    let savepoint = txn.savepoint();
    let result = run(options, &statement.0, params, txn);
    if result.is_err() {
        txn.rollback_to(savepoint);
    }
    result
}

fn run(
    Options { optimize }: Options,
    node: &Node,
    params: &[Value],
    txn: &mut impl Transaction,
) -> Result<Output, Failure> {
    match node {
        Node::Transaction(kind) => unreachable!("{kind:?} is for the session"),
        Node::CreateTable(create) => create_table(create, txn),
        Node::DropTable { names, if_exists } => drop_tables(names, *if_exists, txn),
        Node::Insert(insert) => Ok(Output::Insert { count: self::insert(insert, params, txn)? }),
        Node::Update(update) => Ok(Output::Update { count: self::update(update, params, optimize, txn)? }),
        Node::Delete(delete) => Ok(Output::Delete { count: self::delete(delete, params, optimize, txn)? }),
        Node::Select(select) => {
            let plan = plan_select(select, params, optimize, txn)?;
            let rows = select_rows(&plan, txn)?;
            Ok(Output::Select { columns: plan.columns, rows })
        }
        Node::Explain(node) => Ok(Output::Explain { text: explain(node, params, optimize, txn)? }),
    }
}

fn create_table(create: &ast::CreateTable, txn: &mut impl Transaction) -> Result<Output, Failure> {
    if Table::get(txn, &create.name)?.is_some() {
        if create.if_not_exists {
            return Ok(Output::CreateTable);
        }
        let message = format!("table {:?} exists", create.name);
        return Err(Error::new(SqlState::DUPLICATE_TABLE, message).into());
    }
    define(create)?.create(txn)?;
    Ok(Output::CreateTable)
}

fn drop_tables(names: &[String], if_exists: bool, txn: &mut impl Transaction) -> Result<Output, Failure> {
    for name in names {
        match Table::get(txn, name)? {
            Some(table) => table.drop(txn)?,
            None if if_exists => {}
            None => {
                let message = format!("there is no table {name:?}");
                return Err(Error::new(SqlState::UNDEFINED_TABLE, message).into());
            }
        }
    }
    Ok(Output::DropTable)
}

fn plan_select(
    select: &ast::Select,
    params: &[Value],
    optimize: bool,
    txn: &impl Transaction,
) -> Result<Select, Failure> {
    let table = select.from.as_ref().map(|from| Table::must_get(txn, &from.name)).transpose()?;
    Ok(plan::select(select, table, params, optimize)?)
}

type Rows<'a> = Box<dyn Iterator<Item = Result<Row, Failure>> + 'a>;

/// The rows that a scan's condition holds for.
fn scan_rows<'a>(scan: &'a Scan, txn: &'a impl Transaction) -> Result<Rows<'a>, Failure> {
    let found = found_rows(scan, txn)?;
    let Some(filter) = &scan.filter else { return Ok(found) };
    Ok(Box::new(found.filter_map(move |row| match row {
        Ok(row) => match filter.truth(&row) {
            Ok(Some(true)) => Some(Ok(row)),
            Ok(_) => None,
            Err(error) => Some(Err(error.into())),
        },
        Err(error) => Some(Err(error)),
    })))
}

/// The rows that a scan looks at.
fn found_rows<'a>(scan: &'a Scan, txn: &'a impl Transaction) -> Result<Rows<'a>, Failure> {
    let Some(table) = &scan.table else { return Ok(Box::new(std::iter::once(Ok(Row::new())))) };
    let get = move |key: &Value| -> Result<Option<Row>, Failure> {
        let bytes = txn.get(&table.row_key(key)?, Read::Data)?;
        Ok(bytes.map(|bytes| table.decode_row(&bytes)).transpose()?)
    };
    let range = match &scan.access {
        Access::Nothing => return Ok(Box::new(std::iter::empty())),
        Access::Keys(keys) if scan.reverse => {
            return Ok(Box::new(keys.iter().rev().filter_map(move |key| get(key).transpose())));
        }
        Access::Keys(keys) => return Ok(Box::new(keys.iter().filter_map(move |key| get(key).transpose()))),
        Access::Unique(column, values) => {
            return Ok(Box::new(values.iter().filter_map(move |value| {
                let lookup = || -> Result<Option<Row>, Failure> {
                    let Some(bytes) = txn.get(&table.unique_key(*column, value)?, Read::Data)? else { return Ok(None) };
                    get(&value::deserialize(&bytes)?)
                };
                lookup().transpose()
            })));
        }
        Access::All => table.rows(),
        Access::Range(start, end) => {
            let (first, last) = table.rows();
            let bound = |bound: &Bound<Value>, otherwise: Bound<Vec<u8>>| -> Result<Bound<Vec<u8>>, Failure> {
                Ok(match bound {
                    Bound::Included(key) => Bound::Included(table.row_key(key)?),
                    Bound::Excluded(key) => Bound::Excluded(table.row_key(key)?),
                    Bound::Unbounded => otherwise,
                })
            };
            (bound(start, first)?, bound(end, last)?)
        }
    };
    let decode = move |pair: Result<(Vec<u8>, Vec<u8>), crate::mvcc::Error>| Ok(table.decode_row(&pair?.1)?);
    let pairs = txn.scan(range, Read::Data)?;
    Ok(if scan.reverse { Box::new(pairs.rev().map(decode)) } else { Box::new(pairs.map(decode)) })
}

fn select_rows(plan: &Select, txn: &impl Transaction) -> Result<Vec<Row>, Failure> {
    let rows: Rows<'_> = match &plan.scan {
        Some(scan) => scan_rows(scan, txn)?,
        None => Box::new(std::iter::once(Ok(Row::new()))),
    };
    let rows = if plan.order.is_empty() { rows } else { sort(rows, &plan.order)? };
    let offset = usize::try_from(plan.offset).unwrap_or(usize::MAX);
    let limit = plan.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    rows.skip(offset)
        .take(limit)
        .map(|row| {
            let row = row?;
            Ok(plan.items.iter().map(|item| item.evaluate(&row)).collect::<Result<_, Error>>()?)
        })
        .collect()
}

fn sort<'a>(rows: Rows<'_>, order: &[Order]) -> Result<Rows<'a>, Failure> {
    let mut keyed: Vec<(Vec<Value>, Row)> = rows
        .map(|row| {
            let row = row?;
            let keys = order.iter().map(|order| order.expr.evaluate(&row)).collect::<Result<_, Error>>()?;
            Ok((keys, row))
        })
        .collect::<Result<_, Failure>>()?;
    keyed.sort_by(|(a, _), (b, _)| {
        let keys = a.iter().zip(b).zip(order);
        keys.map(|((a, b), order)| compare(a, b, order)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    });
    Ok(Box::new(keyed.into_iter().map(|(_, row)| Ok(row))))
}

fn compare(a: &Value, b: &Value, order: &Order) -> Ordering {
    match (a, b) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => {
            if order.nulls_first {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        }
        (_, Value::Null) => {
            if order.nulls_first {
                Ordering::Greater
            } else {
                Ordering::Less
            }
        }
        (a, b) if order.descending => b.sort_order(a),
        (a, b) => a.sort_order(b),
    }
}

fn insert(insert: &ast::Insert, params: &[Value], txn: &mut impl Transaction) -> Result<u64, Failure> {
    let table = Table::must_get(txn, &insert.table)?;
    let mut positions = Vec::with_capacity(insert.columns.len());
    for name in &insert.columns {
        let position = table.column(name, None)?;
        if positions.contains(&position) {
            let message = format!("column {name:?} is named twice");
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message).into());
        }
        positions.push(position);
    }
    let named = !positions.is_empty();
    if !named {
        positions = (0..table.columns.len()).collect();
    }
    let scope = Scope::without_table(params);
    for values in &insert.rows {
        if values.len() > positions.len() || named && values.len() < positions.len() {
            let message = format!("a row has {} values for {} columns", values.len(), positions.len());
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).into());
        }
        let mut row: Row = table.columns.iter().map(|column| column.default.clone()).collect();
        for (&position, value) in positions.iter().zip(values) {
            if let Some(value) = value {
                let (value, literal) = scope.assigned(value)?;
                row[position] = table.columns[position].assign(value.evaluate(&[])?, literal)?;
            }
        }
        put_new(&table, &row, txn)?;
    }
    Ok(insert.rows.len() as u64)
}

/// The longest text of a primary key or a unique column, in bytes. Storage has a limit of its own, which is above what the
/// encoding makes of this.
const MAX_KEY: usize = 8 << 10;

/// Checks what holds for a row by itself.
fn check_row(table: &Table, row: &Row) -> Result<(), Error> {
    for (position, (column, value)) in table.columns.iter().zip(row).enumerate() {
        if let Value::Text(text) = value
            && (position == table.primary_key || column.unique)
            && text.len() > MAX_KEY
        {
            let (name, length) = (&column.name, text.len());
            let message =
                format!("the value of column {name:?} has {length} bytes: it is a key, which has at most {MAX_KEY}");
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        if matches!(value, Value::Null) && !column.nullable {
            let message = format!("column {:?} of table {:?} is NOT NULL", column.name, table.name);
            return Err(Error::new(SqlState::NOT_NULL_VIOLATION, message));
        }
    }
    if !is_key(&row[table.primary_key]) {
        let message = format!("NaN cannot be the primary key of table {:?}", table.name);
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    Ok(())
}

fn duplicate(table: &Table, column: usize, value: &Value) -> Failure {
    let name = &table.columns[column].name;
    let message = format!("there is a row with {name} = {value} in table {:?}, where {name} is unique", table.name);
    Error::new(SqlState::UNIQUE_VIOLATION, message).into()
}

/// Stores a row that must not be there, with its unique entries.
fn put_new(table: &Table, row: &Row, txn: &mut impl Transaction) -> Result<(), Failure> {
    check_row(table, row)?;
    let primary_key = &row[table.primary_key];
    let key = table.row_key(primary_key)?;
    if txn.get(&key, Read::Constraint)?.is_some() {
        return Err(duplicate(table, table.primary_key, primary_key));
    }
    for (column, entry) in table.unique_entries(row)? {
        put_entry(table, column, entry, row, txn)?;
    }
    Ok(txn.set(key, value::serialize(row)?)?)
}

/// Stores a unique entry that must not be there.
fn put_entry(
    table: &Table,
    column: usize,
    entry: Vec<u8>,
    row: &Row,
    txn: &mut impl Transaction,
) -> Result<(), Failure> {
    if txn.get(&entry, Read::Constraint)?.is_some() {
        return Err(duplicate(table, column, &row[column]));
    }
    Ok(txn.set(entry, value::serialize(&row[table.primary_key])?)?)
}

fn delete(delete: &ast::Delete, params: &[Value], optimize: bool, txn: &mut impl Transaction) -> Result<u64, Failure> {
    let scan = plan_rows(&delete.table, delete.filter.as_ref(), params, optimize, txn)?;
    let rows: Vec<Row> = scan_rows(&scan, txn)?.collect::<Result<_, _>>()?;
    let table = scan.table.as_ref().expect("a DELETE has a table");
    for row in &rows {
        for (_, entry) in table.unique_entries(row)? {
            txn.delete(entry)?;
        }
        txn.delete(table.row_key(&row[table.primary_key])?)?;
    }
    Ok(rows.len() as u64)
}

/// Plans the rows that an UPDATE or DELETE is about.
fn plan_rows(
    from: &ast::Table,
    filter: Option<&ast::Expr>,
    params: &[Value],
    optimize: bool,
    txn: &impl Transaction,
) -> Result<Scan, Failure> {
    let table = Table::must_get(txn, &from.name)?;
    let scope = Scope::of(&table, from.alias.as_ref(), params);
    let filter = filter.map(|filter| scope.condition(filter, "WHERE")).transpose()?;
    Ok(Scan::new(table, filter, optimize))
}

/// The expressions that an UPDATE assigns: the column, the expression, and whether it is a literal.
type Assignments = Vec<(usize, Option<(Expression, bool)>)>;

fn assignments(update: &ast::Update, table: &Table, params: &[Value]) -> Result<Assignments, Error> {
    let scope = Scope::of(table, update.table.alias.as_ref(), params);
    let mut assignments: Assignments = Vec::with_capacity(update.assignments.len());
    for (name, value) in &update.assignments {
        let position = table.column(name, None)?;
        if assignments.iter().any(|(other, _)| *other == position) {
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, format!("column {name:?} is set twice")));
        }
        assignments.push((position, value.as_ref().map(|value| scope.assigned(value)).transpose()?));
    }
    Ok(assignments)
}

/// Rows are read before any is written, and keys that change are all taken away before they are given out again: so
/// no row is updated twice, and `SET id = id + 1` meets no row that is about to make way.
fn update(update: &ast::Update, params: &[Value], optimize: bool, txn: &mut impl Transaction) -> Result<u64, Failure> {
    let scan = plan_rows(&update.table, update.filter.as_ref(), params, optimize, txn)?;
    let table = scan.table.as_ref().expect("an UPDATE has a table");
    let assignments = assignments(update, table, params)?;
    let mut changes: Vec<(Row, Row)> = Vec::new();
    for old in scan_rows(&scan, txn)? {
        let old = old?;
        let mut new = old.clone();
        for (position, value) in &assignments {
            let column = &table.columns[*position];
            new[*position] = match value {
                Some((value, literal)) => column.assign(value.evaluate(&old)?, *literal)?,
                None => column.default.clone(),
            };
        }
        check_row(table, &new)?;
        changes.push((old, new));
    }
    let moves = |old: &Row, new: &Row| {
        let (old, new) = (&old[table.primary_key], &new[table.primary_key]);
        !old.compare(new).is_some_and(Ordering::is_eq)
    };
    for (old, new) in &changes {
        let kept = table.unique_entries(new)?;
        let moved = moves(old, new);
        for entry in table.unique_entries(old)? {
            if moved || !kept.contains(&entry) {
                txn.delete(entry.1)?;
            }
        }
        if moved {
            txn.delete(table.row_key(&old[table.primary_key])?)?;
        }
    }
    for (old, new) in &changes {
        if moves(old, new) {
            put_new(table, new, txn)?;
            continue;
        }
        let had = table.unique_entries(old)?;
        for (column, entry) in table.unique_entries(new)? {
            if !had.contains(&(column, entry.clone())) {
                put_entry(table, column, entry, new, txn)?;
            }
        }
        txn.set(table.row_key(&new[table.primary_key])?, value::serialize(new)?)?;
    }
    Ok(changes.len() as u64)
}

fn explain(node: &Node, params: &[Value], optimize: bool, txn: &impl Transaction) -> Result<String, Failure> {
    let mut lines = Vec::new();
    let scan = match node {
        Node::Select(select) => {
            let plan = plan_select(select, params, optimize, txn)?;
            let items: Vec<String> = plan.items.iter().map(ToString::to_string).collect();
            lines.push(format!("Project: {}", items.join(", ")));
            if let Some(limit) = plan.limit {
                lines.push(format!("Limit: {limit}"));
            }
            if plan.offset > 0 {
                lines.push(format!("Offset: {}", plan.offset));
            }
            if !plan.order.is_empty() {
                let keys: Vec<String> = plan
                    .order
                    .iter()
                    .map(|order| format!("{}{}", order.expr, if order.descending { " DESC" } else { "" }))
                    .collect();
                lines.push(format!("Sort: {}", keys.join(", ")));
            }
            plan.scan
        }
        Node::Insert(insert) => {
            let table = Table::must_get(txn, &insert.table)?;
            lines.push(format!("Insert: {}", table.name));
            lines.push(format!("Values: {} rows", insert.rows.len()));
            return Ok(tree(&lines));
        }
        Node::Update(update) => {
            let scan = plan_rows(&update.table, update.filter.as_ref(), params, optimize, txn)?;
            let table = scan.table.as_ref().expect("an UPDATE has a table");
            let set: Vec<String> = assignments(update, table, params)?
                .iter()
                .map(|(position, value)| {
                    let value = value.as_ref().map_or_else(|| "DEFAULT".to_string(), |(value, _)| value.to_string());
                    format!("{} = {value}", table.columns[*position].name)
                })
                .collect();
            lines.push(format!("Update: {} ({})", table.name, set.join(", ")));
            Some(scan)
        }
        Node::Delete(delete) => {
            let scan = plan_rows(&delete.table, delete.filter.as_ref(), params, optimize, txn)?;
            lines.push(format!("Delete: {}", delete.table.name));
            Some(scan)
        }
        other => unreachable!("the parser does not explain {other:?}"),
    };
    match scan {
        Some(scan) => {
            lines.extend(scan.filter.as_ref().map(|filter| format!("Filter: {filter}")));
            lines.push(scan.to_string());
        }
        None => lines.push("Row".to_string()),
    }
    Ok(tree(&lines))
}

/// Lines, each below the one that pulls from it.
fn tree(lines: &[String]) -> String {
    let indented = lines.iter().enumerate().map(|(depth, line)| match depth {
        0 => line.clone(),
        depth => format!("{}└─ {line}", "   ".repeat(depth - 1)),
    });
    indented.collect::<Vec<_>>().join("\n")
}
