//! INSERT, UPDATE and DELETE: the rows that they are about as a query, and what is made of them.

use std::sync::Arc;

use super::super::algebra::{Expr, JoinKind, Node};
use super::super::ast;
use super::super::error::{Error, SqlState};
use super::super::schema::Table;
use super::super::types::Column;
use super::from::{From, target};
use super::scope::{Named, Scope};
use super::typed::{Typed, assign};
use super::{Binder, Context, Result, nearest};

/// A table that is written, with what must hold for its rows.
#[derive(Clone, Debug)]
pub(in super::super) struct Target {
    pub table: Arc<Table>,
    pub checks: Vec<Check>,
}

/// A CHECK constraint: a condition over the table's columns that must not be false.
#[derive(Clone, Debug)]
pub(in super::super) struct Check {
    pub name: String,
    pub condition: Expr,
}

/// What RETURNING gives.
#[derive(Clone, Debug)]
pub(in super::super) struct Returning {
    pub columns: Vec<Column>,
    pub exprs: Vec<Expr>,
}

#[derive(Clone, Debug)]
pub(in super::super) struct Insert {
    pub target: Target,
    /// Whole rows of the table.
    pub source: Node,
    pub conflict: Option<OnConflict>,
    /// Over the new rows.
    pub returning: Option<Returning>,
}

/// A column and its new value.
type Set = (usize, Expr);

#[derive(Clone, Debug)]
pub(in super::super) struct OnConflict {
    /// The keys whose conflicts are meant: the primary key (`None`) and indexes. Without any, all are.
    pub keys: Vec<Option<usize>>,
    /// DO UPDATE: the columns and their new values, and the condition. The expressions are over the row that is there, then
    /// the row that was to be inserted.
    pub update: Option<(Vec<Set>, Option<Expr>)>,
}

#[derive(Clone, Debug)]
pub(in super::super) struct Update {
    pub target: Target,
    /// The row as it is, its key, the new values of the columns that are set, and what RETURNING reads besides.
    pub source: Node,
    /// The columns that are set.
    pub columns: Vec<usize>,
    /// Over the new row, and what follows the new values in `source`.
    pub returning: Option<Returning>,
}

#[derive(Clone, Debug)]
pub(in super::super) struct Delete {
    pub target: Target,
    /// The row, its key, and what RETURNING reads besides.
    pub source: Node,
    /// Over the old row, and what follows the key in `source`.
    pub returning: Option<Returning>,
}

impl Binder<'_> {
    /// A table with its constraints.
    pub fn target(&self, table: Arc<Table>) -> Result<Target> {
        let mut checks = Vec::with_capacity(table.checks.len());
        for check in &table.checks {
            let condition = super::super::parse::parse_expression(&check.condition)?;
            checks.push(Check { name: check.name.clone(), condition: self.check(&table, &condition)? });
        }
        Ok(Target { table, checks })
    }

    /// What a column is by default.
    pub fn default_of(&self, table: &Table, column: usize) -> Result<Expr> {
        match &table.columns[column].default {
            None => Ok(Expr::Constant(super::super::types::Value::Null)),
            Some(text) => self.default(table, column, &super::super::parse::parse_expression(text)?),
        }
    }

    pub fn insert(&self, insert: &ast::Insert) -> Result<Insert> {
        let table = self.table(&insert.table)?;
        let mut positions = Vec::with_capacity(insert.columns.len());
        for name in &insert.columns {
            let position = column(&table, name)?;
            if positions.contains(&position) {
                let message = format!("column {name:?} is named twice");
                return Err(Error::new(SqlState::DUPLICATE_COLUMN, message).into());
            }
            positions.push(position);
        }
        let named = !positions.is_empty();
        if !named {
            positions = (0..table.columns.len()).filter(|&position| !table.columns[position].dropped).collect();
        }
        let fits = |count: usize| -> Result<()> {
            if count > positions.len() || named && count < positions.len() {
                let message = format!("a row has {count} values for {} columns", positions.len());
                return Err(Error::new(SqlState::SYNTAX_ERROR, message).into());
            }
            Ok(())
        };
        let mut defaults = Vec::with_capacity(table.columns.len());
        for position in 0..table.columns.len() {
            defaults.push(self.default_of(&table, position)?);
        }
        let width = table.columns.len();
        let source = match &insert.source {
            ast::Source::Default => Node::Values { rows: vec![defaults], width },
            ast::Source::Values(values) => {
                let scope = Scope::default();
                let scoped = self.scoped(&scope, Context::default(), "VALUES");
                let mut rows = Vec::with_capacity(values.len());
                for values in values {
                    fits(values.len())?;
                    let mut row = defaults.clone();
                    for (&position, value) in positions.iter().zip(values) {
                        if let Some(value) = value {
                            row[position] = assign(scoped.bind(value)?, &table, position)
                                .map_err(|error| error.at(value.position()))?;
                        }
                    }
                    rows.push(row);
                }
                Node::Values { rows, width }
            }
            ast::Source::Query(query) => {
                let query = self.query(query)?;
                fits(query.columns.len())?;
                let mut exprs = defaults;
                for (index, (&position, from)) in positions.iter().zip(&query.columns).enumerate() {
                    let value = Typed { expr: Expr::Column(index), datatype: from.datatype, adapts: from.adapts };
                    exprs[position] = assign(value, &table, position)?;
                }
                super::select::project(query.node, exprs)
            }
        };
        let alias = insert.alias.as_deref().unwrap_or(&table.name);
        let scope = Scope::of_table(&table, alias);
        let conflict = insert.conflict.as_ref().map(|conflict| self.conflict(conflict, &table, alias)).transpose()?;
        let returning = self.returning(insert.returning.as_deref(), &scope)?;
        Ok(Insert { target: self.target(table)?, source, conflict, returning })
    }

    fn conflict(&self, conflict: &ast::Conflict, table: &Table, alias: &str) -> Result<OnConflict> {
        let keys = match &conflict.target {
            ast::ConflictTarget::Any if conflict.update.is_some() => {
                let message = "ON CONFLICT DO UPDATE must say which columns conflict";
                return Err(Error::new(SqlState::SYNTAX_ERROR, message).into());
            }
            ast::ConflictTarget::Any => Vec::new(),
            ast::ConflictTarget::Columns(names) => {
                let mut wanted = names.iter().map(|name| column(table, name)).collect::<Result<Vec<_>>>()?;
                wanted.sort_unstable();
                wanted.dedup();
                let same = |mut columns: Vec<usize>| {
                    columns.sort_unstable();
                    columns == wanted
                };
                let mut keys = Vec::new();
                if !table.primary_key.is_empty() && same(table.primary_key.clone()) {
                    keys.push(None);
                }
                for (position, index) in table.indexes.iter().enumerate() {
                    if index.unique && same(index.columns.iter().map(|by| by.column).collect()) {
                        keys.push(Some(position));
                    }
                }
                if keys.is_empty() {
                    let message = format!("table {:?} has no unique key over {}", table.name, names.join(", "));
                    return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message).into());
                }
                keys
            }
            ast::ConflictTarget::Constraint(name) => {
                let index = table.indexes.iter().position(|index| index.unique && index.name == *name);
                if index.is_none() && (table.primary_key.is_empty() || *name != primary_key_name(table)) {
                    let message = format!("table {:?} has no unique constraint {name:?}", table.name);
                    return Err(Error::new(SqlState::UNDEFINED_OBJECT, message).into());
                }
                vec![index]
            }
        };
        let Some((assignments, filter)) = &conflict.update else { return Ok(OnConflict { keys, update: None }) };
        let width = table.columns.len();
        let mut scope = Scope::of_table(table, alias);
        // Without the table's name, a column is that of the row that is there.
        let excluded = Scope::of_table(table, "excluded").columns.into_iter();
        let excluded = excluded.map(|column| Named { merged: true, ..column }).collect();
        scope.append(Scope { columns: excluded, keys: Vec::new() }, width);
        let scoped = self.scoped(&scope, Context::default(), "DO UPDATE");
        let set = self.assignments(assignments, table, scoped)?;
        let filter = filter.as_ref().map(|filter| scoped.condition(filter, "WHERE")).transpose()?;
        Ok(OnConflict { keys, update: Some((set, filter)) })
    }

    fn assignments(
        &self,
        assignments: &[ast::Assignment],
        table: &Table,
        scoped: super::expression::Scoped<'_, '_>,
    ) -> Result<Vec<(usize, Expr)>> {
        let mut set: Vec<(usize, Expr)> = Vec::with_capacity(assignments.len());
        for (name, value) in assignments {
            let position = column(table, name)?;
            if set.iter().any(|(other, _)| *other == position) {
                let message = format!("column {name:?} is set twice");
                return Err(Error::new(SqlState::DUPLICATE_COLUMN, message).into());
            }
            let expr = match value {
                Some(value) => {
                    let typed = scoped.bind(value)?;
                    assign(typed, table, position).map_err(|error| error.at(value.position()))?
                }
                None => self.default_of(table, position)?,
            };
            set.push((position, expr));
        }
        Ok(set)
    }

    pub fn update(&self, update: &ast::Update) -> Result<Update> {
        let table = self.table(&update.table)?;
        let alias = update.alias.as_deref().unwrap_or(&table.name);
        let width = table.columns.len();
        let (source, (columns, scope)) = self.with(&update.with, update.recursive, Context::default(), &|context| {
            let others = (&update.from[..], update.filter.as_ref());
            let From { node, scope } = self.joined(target(&table, alias), others, context)?;
            let scoped = self.scoped(&scope, context, "UPDATE");
            let (columns, values): (Vec<usize>, Vec<Expr>) =
                self.assignments(&update.assignments, &table, scoped)?.into_iter().unzip();
            let (stays, rest) = ((0..=width).map(Expr::Column), (width + 1..node.width()).map(Expr::Column));
            let source = super::select::project(node, stays.chain(values).chain(rest).collect());
            Ok((source, (columns, scope)))
        })?;
        let returning = self.returning(update.returning.as_deref(), &without_key(scope, width))?;
        Ok(Update { target: self.target(table)?, source, columns, returning })
    }

    pub fn delete(&self, delete: &ast::Delete) -> Result<Delete> {
        let table = self.table(&delete.table)?;
        let alias = delete.alias.as_deref().unwrap_or(&table.name);
        let (source, scope) = self.with(&delete.with, delete.recursive, Context::default(), &|context| {
            let others = (&delete.using[..], delete.filter.as_ref());
            let From { node, scope } = self.joined(target(&table, alias), others, context)?;
            Ok((node, scope))
        })?;
        let returning = self.returning(delete.returning.as_deref(), &without_key(scope, table.columns.len()))?;
        Ok(Delete { target: self.target(table)?, source, returning })
    }

    /// The rows of a table that is written, beside those of others, for which a condition holds.
    fn joined(
        &self,
        target: From,
        (others, filter): (&[ast::From], Option<&ast::Expr>),
        context: Context<'_>,
    ) -> Result<From> {
        let mut from = target;
        for other in others {
            from = self.join(from, other, JoinKind::Inner, &ast::JoinCondition::None, context)?;
        }
        let Some(filter) = filter else { return Ok(from) };
        let predicate = self.scoped(&from.scope, context, "WHERE").condition(filter, "WHERE")?;
        Ok(From { node: Node::Filter { input: Box::new(from.node), predicate }, scope: from.scope })
    }

    fn returning(&self, items: Option<&[ast::Item]>, scope: &Scope) -> Result<Option<Returning>> {
        let Some(items) = items else { return Ok(None) };
        let (outputs, exprs) = self.scoped(scope, Context::default(), "RETURNING").returning(items)?;
        Ok(Some(Returning { columns: outputs.iter().map(super::Output::column).collect(), exprs }))
    }
}

/// The columns of a table that is written and of others, without the key between them.
fn without_key(mut scope: Scope, width: usize) -> Scope {
    for column in &mut scope.columns {
        if column.position > width {
            column.position -= 1;
        }
    }
    scope
}

/// What the primary key's constraint is called.
pub(in super::super) fn primary_key_name(table: &Table) -> String {
    table.key_name.clone().unwrap_or_else(|| format!("{}_pkey", table.name))
}

/// The position of a table's column.
pub(in super::super) fn column(table: &Table, name: &str) -> Result<usize> {
    let columns = || table.columns.iter().enumerate().filter(|(_, column)| !column.dropped);
    let found = columns().find(|(_, column)| column.name == name);
    Ok(found.map(|(position, _)| position).ok_or_else(|| {
        let message = format!("table {:?} has no column {name:?}", table.name);
        let error = Error::new(SqlState::UNDEFINED_COLUMN, message);
        match nearest(name, columns().map(|(_, column)| column.name.as_str())) {
            Some(nearest) => error.with_hint(format!("did you mean {nearest:?}?")),
            None => error,
        }
    })?)
}
