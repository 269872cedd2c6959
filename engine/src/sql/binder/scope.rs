//! Scopes: the columns that the expressions of a query can name.

use std::ops::Range;

use super::super::algebra::Expr;
use super::super::error::{Error, SqlState};
use super::super::schema::Table;
use super::super::types::DataType;
use super::{Context, Outer, Output, Typed};

/// The columns of a row, by name, in the order of `*`.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    pub columns: Vec<Named>,
    /// The primary keys of the tables.
    pub keys: Vec<TableKey>,
}

/// A primary key among the columns of a row.
#[derive(Clone, Debug)]
pub(super) struct TableKey {
    pub columns: Vec<usize>,
    /// The columns of its table, which it determines.
    pub table: Range<usize>,
}

/// A column that can be named.
#[derive(Clone, Debug)]
pub(super) struct Named {
    /// The table, or its alias; empty for a column that USING made of two.
    pub table: String,
    pub name: String,
    pub datatype: Option<DataType>,
    pub adapts: bool,
    /// Where it is in the row.
    pub position: usize,
    /// USING made one column of it and another: only its table's name leads to it.
    pub merged: bool,
}

impl Scope {
    /// A table's columns, in a row of all that it has.
    pub fn of_table(table: &Table, alias: &str) -> Self {
        let columns = table.columns.iter().enumerate().filter(|(_, column)| !column.dropped);
        let columns = columns.map(|(position, column)| Named {
            table: alias.to_string(),
            name: column.name.clone(),
            datatype: Some(column.datatype),
            adapts: false,
            position,
            merged: false,
        });
        let key = TableKey { columns: table.primary_key.clone(), table: 0..table.columns.len() };
        let keys = if table.primary_key.is_empty() { Vec::new() } else { vec![key] };
        Self { columns: columns.collect(), keys }
    }

    /// The columns of a query that has a name.
    pub fn of_query(columns: &[Output], alias: &str) -> Self {
        let columns = columns.iter().enumerate().map(|(position, column)| Named {
            table: alias.to_string(),
            name: column.name.clone(),
            datatype: column.datatype,
            adapts: false,
            position,
            merged: false,
        });
        Self { columns: columns.collect(), keys: Vec::new() }
    }

    /// Whether a table of a name is there.
    pub fn has_table(&self, table: &str) -> bool {
        self.columns.iter().any(|column| column.table == table)
    }

    /// Adds the columns of another row, which follows this one.
    pub fn append(&mut self, other: Self, width: usize) {
        let shifted = other.columns.into_iter().map(|column| Named { position: column.position + width, ..column });
        self.columns.extend(shifted);
        let shifted = other.keys.into_iter().map(|TableKey { columns, table }| TableKey {
            columns: columns.into_iter().map(|column| column + width).collect(),
            table: table.start + width..table.end + width,
        });
        self.keys.extend(shifted);
    }

    /// Whether rows that are the same in some columns are so in another one, since a primary key is among those. Where an
    /// outer join has no row of the key's table, all of its columns are NULL.
    pub fn determines(&self, same: impl Fn(usize) -> bool, column: usize) -> bool {
        self.keys.iter().any(|key| key.table.contains(&column) && key.columns.iter().all(|column| same(*column)))
    }

    /// The column of a name, if there is one.
    pub fn find(&self, table: Option<&str>, name: &str) -> Result<Option<&Named>, Error> {
        let mut found = self.columns.iter().filter(|column| {
            column.name == name
                && match table {
                    Some(table) => column.table == table,
                    None => !column.merged,
                }
        });
        let first = found.next();
        if let (Some(first), Some(second)) = (first, found.next()) {
            let error = Error::new(SqlState::AMBIGUOUS_COLUMN, format!("column {name:?} is ambiguous"));
            return Err(if first.table == second.table {
                error
            } else {
                error.with_hint(format!("write {:?}.{name:?} or {:?}.{name:?}", first.table, second.table))
            });
        }
        Ok(first)
    }

    pub fn resolve(&self, table: Option<&str>, name: &str) -> Result<Option<Typed>, Error> {
        Ok(self.find(table, name)?.map(|column| Typed {
            expr: Expr::Column(column.position),
            datatype: column.datatype,
            adapts: column.adapts,
        }))
    }
}

/// The column of a name in an outer row.
pub(super) fn resolve_outer(context: Context<'_>, table: Option<&str>, name: &str) -> Result<Option<Typed>, Error> {
    let (mut level, mut outer) = (1, context.outer);
    while let Some(Outer { scope, outer: next, .. }) = outer {
        if let Some(column) = scope.find(table, name)? {
            let expr = Expr::Outer { level, column: column.position };
            return Ok(Some(Typed { expr, datatype: column.datatype, adapts: column.adapts }));
        }
        (level, outer) = (level + 1, *next);
    }
    Ok(None)
}

/// The error that there is no such column, with the nearest one that there is.
pub(super) fn undefined(scope: &Scope, context: Context<'_>, table: Option<&str>, name: &str) -> Error {
    let mut scopes = vec![scope];
    let mut outer = context.outer;
    while let Some(Outer { scope, outer: next, .. }) = outer {
        scopes.push(scope);
        outer = *next;
    }
    let columns = || scopes.iter().flat_map(|scope| &scope.columns);
    if let Some(table) = table
        && !columns().any(|column| column.table == table)
    {
        let message = format!("there is no table {table:?} in this query");
        let error = Error::new(SqlState::UNDEFINED_TABLE, message);
        return match nearest(table, columns().map(|column| column.table.as_str())) {
            Some(nearest) => error.with_hint(format!("did you mean {nearest:?}?")),
            None => error,
        };
    }
    let candidates = columns().filter(|column| table.is_none_or(|table| column.table == table));
    let message = match table {
        Some(table) => format!("table {table:?} has no column {name:?}"),
        None => format!("there is no column {name:?}"),
    };
    let error = Error::new(SqlState::UNDEFINED_COLUMN, message);
    match nearest(name, candidates.map(|column| column.name.as_str())) {
        Some(nearest) => error.with_hint(format!("did you mean {nearest:?}?")),
        None => error,
    }
}

/// The most similar name, if one is similar.
pub(in super::super) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    let limit = (length / 3 + 1).min(length.saturating_sub(1));
    names
        .filter(|other| !other.is_empty())
        .map(|other| (distance(name, other), other))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &y) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
