//! FROM: tables, views, common tables, queries, and joins of them.

use std::sync::Arc;

use super::super::algebra::{Binary, Expr, Is, Join, JoinKind, JoinMethod, Node, Scan};
use super::super::ast;
use super::super::catalog::Relation;
use super::super::error::{Error, SqlState};
use super::super::schema::Table;
use super::scope::{Named, Scope};
use super::typed::{Typed, adapt, comparable};
use super::{Binder, Commons, Context, MAX_VIEWS, Outer, Output, Query, Result};

/// Rows with the names of their columns.
pub(super) struct From {
    pub node: Node,
    pub scope: Scope,
}

impl Binder<'_> {
    /// Binds what stands between the commas of FROM.
    pub(super) fn from(&self, from: &[ast::From], context: Context<'_>) -> Result<From> {
        let mut bound: Option<From> = None;
        for item in from {
            bound = Some(match bound {
                None => self.one_of_from(item, context, None)?,
                Some(left) => self.join(left, item, JoinKind::Inner, &ast::JoinCondition::None, context)?,
            });
        }
        // Without FROM there is one row without columns.
        Ok(bound.unwrap_or_else(|| From {
            node: Node::Values { rows: vec![Vec::new()], width: 0 },
            scope: Scope::default(),
        }))
    }

    /// Binds one item; `left` are the rows to its left, which LATERAL can name.
    fn one_of_from(&self, item: &ast::From, context: Context<'_>, left: Option<&Scope>) -> Result<From> {
        match item {
            ast::From::Table { name, alias } => self.relation(name, alias.as_ref(), context),
            ast::From::Query { query, lateral, alias } => {
                let outer = left.map(|scope| Outer { scope, outer: context.outer, aggregates: None });
                let context = match &outer {
                    Some(outer) if *lateral => Context { outer: Some(outer), ..context },
                    _ => context,
                };
                let query = self.bind_query(query, context)?;
                named(query, alias.as_ref().map_or("", |alias| &alias.name), alias.as_ref())
            }
            ast::From::Join { left: first, right, kind, condition } => self.deeper(|| {
                let first = self.one_of_from(first, context, left)?;
                self.join(first, right, *kind, condition, context)
            }),
        }
    }

    /// A table, a view or a common table.
    fn relation(&self, name: &ast::Name, alias: Option<&ast::Alias>, context: Context<'_>) -> Result<From> {
        let called = alias.map_or(name.name.as_str(), |alias| &alias.name);
        if name.schema.is_none()
            && let Some(common) = common(context, &name.name)
        {
            let node = Node::Common { id: common.id, width: common.columns.len() };
            return named(Query { node, columns: common.columns.to_vec() }, called, alias);
        }
        if let Some((columns, rows)) = self.catalog.system_table(name)? {
            self.momentary.set(true);
            let node = Node::Rows { rows: Arc::new(rows), width: columns.len() };
            let output = |(name, datatype): (&str, _)| Output {
                name: name.to_string(),
                datatype: Some(datatype),
                adapts: false,
            };
            return named(Query { node, columns: columns.iter().copied().map(output).collect() }, called, alias);
        }
        match self.catalog.relation(name)? {
            Some(Relation::Table(table)) => {
                let mut scope = Scope::of_table(&table, called);
                if let Some((_, count)) =
                    context.shapes.and_then(|shapes| shapes.iter().find(|(shape, _)| *shape == table.name))
                {
                    scope.columns.retain(|column| column.position < *count);
                }
                rename(&mut scope.columns, called, alias)?;
                Ok(From { node: Node::Scan(Box::new(Scan::all(table, called.to_string()))), scope })
            }
            Some(Relation::View(view)) => {
                if self.views.get() == MAX_VIEWS {
                    let message = format!("views refer to views at most {MAX_VIEWS} deep");
                    return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, message).into());
                }
                self.views.set(self.views.get() + 1);
                let parsed = super::super::parse::parse_query(&view.query)?;
                let query = self.deeper(|| self.view(&parsed, &view.shapes));
                self.views.set(self.views.get() - 1);
                let mut query = query?;
                for (column, name) in query.columns.iter_mut().zip(&view.columns) {
                    column.name.clone_from(name);
                    column.adapts = false;
                }
                named(query, called, alias)
            }
            None => Err(self.catalog.undefined_table(name, commons(context))?.into()),
        }
    }

    pub(super) fn join(
        &self,
        left: From,
        right: &ast::From,
        kind: JoinKind,
        condition: &ast::JoinCondition,
        context: Context<'_>,
    ) -> Result<From> {
        let right_is_lateral = matches!(right, ast::From::Query { lateral: true, .. });
        let right = self.one_of_from(right, context, Some(&left.scope))?;
        for column in &right.scope.columns {
            if !column.table.is_empty() && left.scope.has_table(&column.table) {
                let error = Error::new(
                    SqlState::DUPLICATE_ALIAS,
                    format!("the table name {:?} stands twice in FROM", column.table),
                );
                return Err(error.with_hint("give one of them an alias").into());
            }
        }
        if right_is_lateral && matches!(kind, JoinKind::Right | JoinKind::Full) {
            return Err(Error::unsupported("LATERAL on the right of a RIGHT or FULL JOIN").into());
        }
        let left_width = left.node.width();
        let shared: Vec<String> = match condition {
            ast::JoinCondition::None | ast::JoinCondition::On(_) => Vec::new(),
            ast::JoinCondition::Using(columns) => columns.clone(),
            ast::JoinCondition::Natural => left
                .scope
                .columns
                .iter()
                .filter(|column| !column.merged)
                .filter(|column| right.scope.columns.iter().any(|other| !other.merged && other.name == column.name))
                .map(|column| column.name.clone())
                .collect(),
        };
        let mut on = None;
        let mut merged = Vec::with_capacity(shared.len());
        for name in &shared {
            let side = |scope: &Scope, side: &str| -> Result<Typed> {
                Ok(scope.resolve(None, name)?.ok_or_else(|| {
                    let message = format!("the {side} side of the join has no column {name:?}");
                    Error::new(SqlState::UNDEFINED_COLUMN, message)
                })?)
            };
            let (a, mut b) = (side(&left.scope, "left")?, side(&right.scope, "right")?);
            if let Expr::Column(position) = &mut b.expr {
                *position += left_width;
            }
            merged.push((a.clone(), b.clone()));
            let (a, b) = adapt(a, b)?;
            comparable(Binary::Equal, &a, &b)?;
            let equal = Expr::Binary(Binary::Equal, Box::new(a.expr), Box::new(b.expr));
            on = Some(match on {
                None => equal,
                Some(on) => Expr::Binary(Binary::And, Box::new(on), Box::new(equal)),
            });
        }
        let mut scope = left.scope;
        scope.append(right.scope, left_width);
        if let ast::JoinCondition::On(condition) = condition {
            on = Some(self.scoped(&scope, context, "ON").condition(condition, "ON")?);
        }
        let method = if right_is_lateral { JoinMethod::Lateral } else { JoinMethod::NestedLoop };
        let mut node = Node::Join(Box::new(Join { left: left.node, right: right.node, kind, on, method }));
        merge(&mut node, &mut scope, &shared, merged, kind)?;
        Ok(From { node, scope })
    }
}

/// Makes one column of each pair that USING names.
fn merge(
    node: &mut Node,
    scope: &mut Scope,
    names: &[String],
    pairs: Vec<(Typed, Typed)>,
    kind: JoinKind,
) -> Result<()> {
    let mut columns = Vec::with_capacity(names.len() + scope.columns.len());
    let width = node.width();
    let mut exprs: Vec<Expr> = Vec::new();
    for (name, (a, b)) in names.iter().zip(pairs) {
        let datatype = super::typed::common_type("USING", [&a, &b].into_iter())?;
        let chosen = match kind {
            JoinKind::Right => b,
            JoinKind::Full => {
                let known = Expr::Is { expr: Box::new(a.expr.clone()), what: Is::Null, negated: true };
                let results = super::expression::cast_all(vec![a, b], datatype)?;
                let [a, b] = <[Expr; 2]>::try_from(results).expect("two went in");
                let expr = Expr::Case { operand: None, branches: vec![(known, a)], otherwise: Some(Box::new(b)) };
                Typed::new(expr, datatype)
            }
            _ => a,
        };
        let position = if let Expr::Column(position) = chosen.expr {
            position
        } else {
            exprs.push(chosen.expr);
            width + exprs.len() - 1
        };
        let (table, merged, adapts) = (String::new(), false, false);
        columns.push(Named { table, name: name.clone(), datatype: chosen.datatype, adapts, position, merged });
    }
    if !exprs.is_empty() {
        let input = Box::new(std::mem::replace(node, Node::Nothing { width: 0 }));
        *node = Node::Project { input, exprs: (0..width).map(Expr::Column).chain(exprs).collect() };
    }
    for column in &mut scope.columns {
        column.merged |= names.contains(&column.name);
    }
    // A column that was made of two before, and now is one with a third, has no name of its own left.
    scope.columns.retain(|column| !(column.merged && column.table.is_empty()));
    columns.append(&mut scope.columns);
    scope.columns = columns;
    Ok(())
}

fn common<'c>(context: Context<'c>, name: &str) -> Option<&'c Commons<'c>> {
    let mut commons = context.commons;
    while let Some(common) = commons {
        if common.name == name {
            return Some(common);
        }
        commons = common.parent;
    }
    None
}

/// The names of the common tables.
fn commons(context: Context<'_>) -> Vec<&str> {
    let (mut names, mut commons) = (Vec::new(), context.commons);
    while let Some(common) = commons {
        names.push(common.name);
        commons = common.parent;
    }
    names
}

/// Gives a query's columns a table name.
fn named(query: Query, called: &str, alias: Option<&ast::Alias>) -> Result<From> {
    let mut scope = Scope::of_query(&query.columns, called);
    for (named, column) in scope.columns.iter_mut().zip(&query.columns) {
        named.adapts = column.adapts;
    }
    rename(&mut scope.columns, called, alias)?;
    Ok(From { node: query.node, scope })
}

/// Renames columns as an alias says.
fn rename(columns: &mut [Named], called: &str, alias: Option<&ast::Alias>) -> Result<()> {
    let names = alias.map_or(&[][..], |alias| &alias.columns);
    if alias.is_some_and(|alias| alias.whole) && names.len() != columns.len() {
        let message = format!("a query gives {} columns for a row value of {}", columns.len(), names.len());
        return Err(Error::new(SqlState::SYNTAX_ERROR, message).into());
    }
    if names.len() > columns.len() {
        let message = format!("{called:?} has {} columns, but the alias names {}", columns.len(), names.len());
        return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message).into());
    }
    for (column, name) in columns.iter_mut().zip(names) {
        column.name.clone_from(name);
    }
    Ok(())
}

/// All rows of a table that is written, each with its key as one more column, and what their columns are called.
pub(super) fn target(table: &Arc<Table>, alias: &str) -> From {
    let mut scan = Scan::all(Arc::clone(table), alias.to_string());
    scan.columns.push(table.columns.len());
    From { node: Node::Scan(Box::new(scan)), scope: Scope::of_table(table, alias) }
}
