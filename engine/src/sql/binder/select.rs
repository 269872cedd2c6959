//! SELECT: the rows of FROM, filtered, grouped, projected and ordered.
//!
//! Expressions are bound over the rows of FROM first, with aggregates as columns that follow these. If the rows are
//! grouped, what equals a group's key, and each aggregate, is then replaced by its column in the grouped rows; a column
//! that is left over is one that has no single value in a group.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::super::algebra::{Aggregate, AggregateMethod, Expr, Node, SortKey};
use super::super::ast::{self, Item};
use super::super::error::{Error, SqlState};
use super::super::types::Value;
use super::expression::{Aggregates, Scoped};
use super::query::ordinal;
use super::scope::Scope;
use super::{Binder, Context, Output, Query, Result, Typed};

/// A result column.
struct Selected {
    output: Output,
    expr: Expr,
    /// Whether it was called by AS.
    aliased: bool,
}

impl Binder<'_> {
    pub(super) fn select(&self, select: &ast::Select, order_by: &[ast::Order], context: Context<'_>) -> Result<Query> {
        let from = self.from(&select.from, context)?;
        let (mut node, scope) = (from.node, from.scope);
        if let Some(filter) = &select.filter {
            let predicate = self.scoped(&scope, context, "WHERE").condition(filter, "WHERE")?;
            node = Node::Filter { input: Box::new(node), predicate };
        }
        let aggregates = Aggregates { width: node.width(), calls: RefCell::default() };
        let scoped = Scoped { aggregates: Some(&aggregates), ..self.scoped(&scope, context, "SELECT") };
        let mut items = scoped.items(&select.items)?;
        let aliases: Vec<(String, Typed)> = items
            .iter()
            .filter(|item| item.aliased)
            .map(|Selected { output, expr, .. }| {
                let typed = Typed { expr: expr.clone(), datatype: output.datatype, adapts: output.adapts };
                (output.name.clone(), typed)
            })
            .collect();
        let scoped = Scoped { aliases: &aliases, ..scoped };
        let mut groups = Vec::with_capacity(select.group_by.len());
        for group in &select.group_by {
            groups.push(group_key(group, scoped, &items)?);
        }
        let mut having = select.having.as_ref().map(|having| scoped.condition(having, "HAVING")).transpose()?;
        let mut keys = Vec::with_capacity(order_by.len());
        for order in order_by {
            keys.push(order_key(order, scoped, &items)?);
        }
        let calls = aggregates.calls.into_inner();
        if !calls.is_empty() || !groups.is_empty() || having.is_some() {
            let exprs = items.iter().map(|item| &item.expr).chain(keys.iter().map(|key| &key.expr)).chain(&having);
            let determined = determined(exprs, &groups, &scope);
            groups.extend(determined.into_iter().map(Expr::Column));
            let grouped = Grouped { groups: &groups, width: aggregates.width, scope: &scope };
            for item in &mut items {
                grouped.replace(&mut item.expr)?;
            }
            for key in &mut keys {
                grouped.replace(&mut key.expr)?;
            }
            if let Some(having) = &mut having {
                grouped.replace(having)?;
            }
            let method = AggregateMethod::Hash;
            node = Node::Aggregate(Box::new(Aggregate { input: node, groups, calls, method }));
            if let Some(predicate) = having {
                node = Node::Filter { input: Box::new(node), predicate };
            }
        }
        let (outputs, mut exprs): (Vec<Output>, Vec<Expr>) =
            items.into_iter().map(|Selected { output, expr, .. }| (output, expr)).unzip();
        let width = exprs.len();
        // The keys of the order that are no result columns are computed beside them, and left out in the end.
        for key in &mut keys {
            let position = exprs.iter().position(|expr| *expr == key.expr).unwrap_or_else(|| {
                exprs.push(key.expr.clone());
                exprs.len() - 1
            });
            key.expr = Expr::Column(position);
        }
        let hidden = exprs.len() > width;
        node = project(node, exprs);
        if select.distinct {
            if hidden {
                let message = "with SELECT DISTINCT, what ORDER BY names must be selected";
                return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message).into());
            }
            node = Node::Distinct { input: Box::new(node) };
        }
        if !keys.is_empty() {
            node = Node::Sort { input: Box::new(node), keys, first: None };
        }
        if hidden {
            node = Node::Project { input: Box::new(node), exprs: (0..width).map(Expr::Column).collect() };
        }
        Ok(Query { node, columns: outputs })
    }
}

impl Scoped<'_, '_> {
    fn items(&self, items: &[Item]) -> Result<Vec<Selected>> {
        let mut selected = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Item::All { table } => {
                    let mut columns: Vec<_> = match table {
                        None => self.scope.columns.iter().filter(|column| !column.merged).collect(),
                        Some(table) => self.scope.columns.iter().filter(|column| column.table == *table).collect(),
                    };
                    if let Some(table) = table {
                        columns.sort_by_key(|column| column.position);
                        if columns.is_empty() {
                            let error = super::scope::undefined(self.scope, Context::default(), Some(table), "*");
                            return Err(error.into());
                        }
                    } else if columns.is_empty() {
                        return Err(Error::new(SqlState::SYNTAX_ERROR, "* needs a table").into());
                    }
                    selected.extend(columns.into_iter().map(|column| Selected {
                        output: Output { name: column.name.clone(), datatype: column.datatype, adapts: column.adapts },
                        expr: Expr::Column(column.position),
                        aliased: false,
                    }));
                }
                Item::Expr { expr, alias } => {
                    let Typed { expr: bound, datatype, adapts } = self.bind(expr)?;
                    // Only literals adapt further outwards; parameters have had their chance.
                    let adapts = adapts && !matches!(bound, Expr::Parameter(_));
                    let name = alias.clone().unwrap_or_else(|| name_of(expr));
                    let output = Output { name, datatype, adapts };
                    selected.push(Selected { output, expr: bound, aliased: alias.is_some() });
                }
            }
        }
        Ok(selected)
    }

    /// Binds what RETURNING names.
    pub(super) fn returning(&self, items: &[Item]) -> Result<(Vec<Output>, Vec<Expr>)> {
        let items = self.items(items)?;
        Ok(items.into_iter().map(|Selected { output, expr, .. }| (output, expr)).unzip())
    }
}

/// What a result column without an alias is called: as in PostgreSQL, but that neither a CAST nor a CASE has the name of
/// a column in it, which ORDER BY might mean.
fn name_of(expr: &ast::Expr) -> String {
    let mut expr = expr;
    loop {
        return match expr {
            ast::Expr::Column { name, .. } => name.clone(),
            ast::Expr::Call(call) => call.name.clone(),
            ast::Expr::Case { .. } => "case".to_string(),
            ast::Expr::Exists(_) => "exists".to_string(),
            ast::Expr::Scalar(query) => {
                if let ast::Body::Select(select) = &query.body
                    && let [Item::Expr { expr: inner, alias }] = &select.items[..]
                {
                    if let Some(alias) = alias {
                        return alias.clone();
                    }
                    expr = inner;
                    continue;
                }
                "?column?".to_string()
            }
            _ => "?column?".to_string(),
        };
    }
}

/// A key of GROUP BY: a column, the position or alias of a result column, or an expression.
fn group_key(group: &ast::Expr, scoped: Scoped<'_, '_>, items: &[Selected]) -> Result<Expr> {
    let key = match group {
        ast::Expr::Literal(Value::Integer(n)) => items[ordinal(*n, items.len(), "GROUP BY")?].expr.clone(),
        group => {
            // An alias stands for a whole key, not within one.
            let aliases = if matches!(group, ast::Expr::Column { .. }) { scoped.aliases } else { &[] };
            Scoped { aliases, aggregates: None, clause: "GROUP BY", ..scoped }.bind(group)?.expr
        }
    };
    let (width, mut aggregated) = (scoped.aggregates.map_or(usize::MAX, |aggregates| aggregates.width), false);
    key.walk(0, &mut |depth, expr| aggregated |= depth == 0 && matches!(expr, Expr::Column(n) if *n >= width));
    if aggregated {
        let message = "an aggregate cannot stand in GROUP BY";
        return Err(Error::new(SqlState::GROUPING_ERROR, message).at(group.position()).into());
    }
    Ok(key)
}

/// A key of ORDER BY: the position of a result column, its name, or an expression over the rows.
fn order_key(order: &ast::Order, scoped: Scoped<'_, '_>, items: &[Selected]) -> Result<SortKey> {
    let ast::Order { expr, descending, nulls_first } = order;
    let key = match expr {
        ast::Expr::Literal(Value::Integer(n)) => items[ordinal(*n, items.len(), "ORDER BY")?].expr.clone(),
        ast::Expr::Literal(value) if !matches!(value, Value::Null) => {
            let message = "ORDER BY has a constant that is no position";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).into());
        }
        ast::Expr::Column { table: None, name, .. }
            if let Some(first) = items.iter().find(|item| item.output.name == *name) =>
        {
            if items.iter().any(|item| item.output.name == *name && item.expr != first.expr) {
                let error = Error::new(SqlState::AMBIGUOUS_COLUMN, format!("ORDER BY {name:?} is ambiguous"));
                return Err(error.at(expr.position()).into());
            }
            first.expr.clone()
        }
        expr => Scoped { clause: "ORDER BY", ..scoped }.bind(expr)?.expr,
    };
    Ok(SortKey { expr: key, descending: *descending, nulls_first: *nulls_first })
}

/// The columns in some expressions that are no groups, and are the same in all rows of a group since a primary key is. As
/// groups they change nothing.
fn determined<'e>(exprs: impl Iterator<Item = &'e Expr>, groups: &[Expr], scope: &Scope) -> BTreeSet<usize> {
    let is_group = |column: usize| groups.contains(&Expr::Column(column));
    let mut found = BTreeSet::new();
    for expr in exprs {
        expr.walk(0, &mut |depth, expr| {
            if let Some(column) = column_of(expr, depth)
                && !is_group(column)
                && scope.determines(is_group, column)
            {
                found.insert(column);
            }
        });
    }
    found
}

/// The column of a query's rows that an expression is; in subqueries of it, so many deep, these rows are outer ones.
fn column_of(expr: &Expr, depth: usize) -> Option<usize> {
    match expr {
        Expr::Column(column) if depth == 0 => Some(*column),
        Expr::Outer { level, column } if depth > 0 && *level == depth => Some(*column),
        _ => None,
    }
}

/// What grouped rows consist of.
struct Grouped<'g> {
    groups: &'g [Expr],
    /// How wide the rows are that are grouped.
    width: usize,
    scope: &'g Scope,
}

impl Grouped<'_> {
    /// Makes an expression over the rows that are grouped one over the grouped rows.
    fn replace(&self, expr: &mut Expr) -> Result<()> {
        let mut left_over = None;
        expr.walk_mut(0, &mut |depth, expr| {
            let column = column_of(expr, depth);
            let made =
                |column: usize| if depth == 0 { Expr::Column(column) } else { Expr::Outer { level: depth, column } };
            if let Some(column) = column {
                let group = self.groups.iter().position(|group| *group == Expr::Column(column));
                match (column.checked_sub(self.width), group) {
                    (Some(aggregate), _) => *expr = made(self.groups.len() + aggregate),
                    (None, Some(group)) => *expr = made(group),
                    (None, None) => left_over = left_over.or(Some(column)),
                }
            } else if depth == 0
                && !matches!(expr, Expr::Constant(_) | Expr::Parameter(_))
                && let Some(group) = self.groups.iter().position(|group| group == expr)
            {
                *expr = Expr::Column(group);
            }
        });
        let Some(column) = left_over else { return Ok(()) };
        let name = self.scope.columns.iter().find(|named| named.position == column);
        let name = name.map_or_else(String::new, |named| match named.table.as_str() {
            "" => named.name.clone(),
            table => format!("{table}.{}", named.name),
        });
        let message = format!("column {name:?} is neither in GROUP BY nor in an aggregate");
        Err(Error::new(SqlState::GROUPING_ERROR, message).into())
    }
}

/// Columns of rows, unless they are just those that are there.
pub(super) fn project(input: Node, exprs: Vec<Expr>) -> Node {
    let width = input.width();
    if exprs.len() == width && exprs.iter().enumerate().all(|(position, expr)| *expr == Expr::Column(position)) {
        return input;
    }
    Node::Project { input: Box::new(input), exprs }
}
