//! Queries: common tables, VALUES, and UNION, INTERSECT and EXCEPT.

use super::super::algebra::{Expr, Node, Recursive, SetOperator, SortKey};
use super::super::ast::{self, Body};
use super::super::error::{Error, SqlState};
use super::super::types::{DataType, Value};
use super::expression::cast_all;
use super::scope::Scope;
use super::select::project;
use super::typed::{Typed, common_of, common_type};
use super::{Binder, Commons, Context, Output, Query, Result};

impl Binder<'_> {
    pub(super) fn bind_query(&self, query: &ast::Query, context: Context<'_>) -> Result<Query> {
        let body = &|context: Context<'_>| {
            let Query { node, columns } = self.ordered(query, context)?;
            Ok((node, columns))
        };
        let (node, columns) = self.with(&query.with, query.recursive, context, body)?;
        Ok(Query { node, columns })
    }

    /// Binds common tables, and around them what `body` binds, which gives something besides.
    pub(super) fn with<T>(
        &self,
        with: &[ast::Common],
        recursive: bool,
        context: Context<'_>,
        body: &dyn Fn(Context<'_>) -> Result<(Node, T)>,
    ) -> Result<(Node, T)> {
        self.deeper(|| self.with_rest((with, 0), recursive, context, body))
    }

    /// Binds the common tables from one on, then the rest.
    fn with_rest<T>(
        &self,
        (with, nth): (&[ast::Common], usize),
        recursive: bool,
        context: Context<'_>,
        body: &dyn Fn(Context<'_>) -> Result<(Node, T)>,
    ) -> Result<(Node, T)> {
        let Some(common) = with.get(nth) else { return body(context) };
        let before = &with[..nth];
        if before.iter().any(|other| other.name == common.name) {
            let message = format!("the common table {:?} is defined twice", common.name);
            return Err(Error::new(SqlState::DUPLICATE_ALIAS, message).into());
        }
        let id = self.common_id();
        let (bound, step) = match recursive_parts(common) {
            Some((first, step, all)) if recursive => self.recursive(id, common, first, step, all, context)?,
            _ => {
                let mut bound = self.bind_query(&common.query, context)?;
                name_columns(&mut bound.columns, common)?;
                (bound, None)
            }
        };
        let commons = Commons { name: &common.name, id, columns: &bound.columns, parent: context.commons };
        let context = Context { commons: Some(&commons), ..context };
        let (inner, besides) = self.deeper(|| self.with_rest((with, nth + 1), recursive, context, body))?;
        let node = Node::With { id, common: Box::new(bound.node), recursive: step, body: Box::new(inner) };
        Ok((node, besides))
    }

    fn recursive(
        &self,
        id: usize,
        common: &ast::Common,
        first: &Body,
        step: &Body,
        all: bool,
        context: Context<'_>,
    ) -> Result<(Query, Option<Box<Recursive>>)> {
        let mut first = self.body(first, context)?;
        name_columns(&mut first.columns, common)?;
        for column in &mut first.columns {
            column.adapts = false;
        }
        let commons = Commons { name: &common.name, id, columns: &first.columns, parent: context.commons };
        let step = self.body(step, Context { commons: Some(&commons), ..context })?;
        if step.columns.len() != first.columns.len() {
            return Err(different_widths("UNION", first.columns.len(), step.columns.len()).into());
        }
        let mut exprs = Vec::with_capacity(step.columns.len());
        for (position, (column, wanted)) in step.columns.iter().zip(&mut first.columns).enumerate() {
            let typed = Typed { expr: Expr::Column(position), datatype: column.datatype, adapts: column.adapts };
            match (wanted.datatype, column.datatype) {
                // The first rows are NULL, so the later ones decide.
                (None, datatype) => wanted.datatype = datatype,
                (Some(to), Some(from))
                    if from != to && !column.adapts && !(from == DataType::Integer && to == DataType::Float) =>
                {
                    let position = position + 1;
                    let message =
                        format!("column {position} of the recursive query is of type {to} at first, then {from}");
                    return Err(Error::new(SqlState::DATATYPE_MISMATCH, message).with_hint("use CAST").into());
                }
                _ => {}
            }
            exprs.push(match wanted.datatype {
                Some(to) => typed.cast(to)?.expr,
                None => typed.expr,
            });
        }
        let mut found = false;
        step.node.for_each_common(&mut |other| found |= other == id);
        // Without a reference to itself it is a plain UNION.
        let step = Recursive { step: project(step.node, exprs), all };
        if !found {
            let (operator, left, right) = (SetOperator::Union, Box::new(first.node), Box::new(step.step));
            let node = Node::Set { operator, all, left, right };
            return Ok((Query { node, columns: first.columns }, None));
        }
        Ok((first, Some(Box::new(step))))
    }

    /// Binds a query without its common tables.
    fn ordered(&self, query: &ast::Query, context: Context<'_>) -> Result<Query> {
        let bound = match &query.body {
            Body::Select(select) => self.select(select, &query.order_by, context)?,
            body if query.order_by.is_empty() => self.body(body, context)?,
            body => {
                let bound = self.body(body, context)?;
                self.order_output(bound, &query.order_by, context)?
            }
        };
        if query.limit.is_none() && query.offset.is_none() {
            return Ok(bound);
        }
        let count = |expr: &Option<ast::Expr>, clause: &'static str| -> Result<Option<Expr>> {
            let Some(expr) = expr else { return Ok(None) };
            let scope = Scope::default();
            let typed = self.scoped(&scope, context, clause).bind(expr)?;
            if let Some(datatype @ (DataType::Boolean | DataType::Text)) = typed.datatype
                && !typed.adapts
            {
                let message = format!("the argument of {clause} is of type {datatype}, not INTEGER");
                return Err(Error::new(SqlState::DATATYPE_MISMATCH, message).into());
            }
            Ok(Some(typed.cast(DataType::Integer)?.expr))
        };
        let (limit, offset) = (count(&query.limit, "LIMIT")?, count(&query.offset, "OFFSET")?);
        Ok(Query { node: Node::Limit { input: Box::new(bound.node), offset, limit }, columns: bound.columns })
    }

    /// ORDER BY of what is no SELECT: over the output columns.
    fn order_output(&self, bound: Query, order_by: &[ast::Order], context: Context<'_>) -> Result<Query> {
        let scope = Scope::of_query(&bound.columns, "");
        let mut keys = Vec::with_capacity(order_by.len());
        for ast::Order { expr, descending, nulls_first } in order_by {
            let expr = match expr {
                ast::Expr::Literal(Value::Integer(n)) => Expr::Column(ordinal(*n, bound.columns.len(), "ORDER BY")?),
                expr => self.scoped(&scope, Context { outer: None, ..context }, "ORDER BY").bind(expr)?.expr,
            };
            keys.push(SortKey { expr, descending: *descending, nulls_first: *nulls_first });
        }
        Ok(Query { node: Node::Sort { input: Box::new(bound.node), keys, first: None }, columns: bound.columns })
    }

    fn body(&self, body: &Body, context: Context<'_>) -> Result<Query> {
        match body {
            Body::Select(select) => self.select(select, &[], context),
            Body::Query(query) => self.bind_query(query, context),
            Body::Values(rows) => self.values(rows, context),
            Body::Set { operator, all, left, right } => {
                let name = match operator {
                    SetOperator::Union => "UNION",
                    SetOperator::Intersect => "INTERSECT",
                    SetOperator::Except => "EXCEPT",
                };
                let left = self.deeper(|| self.body(left, context))?;
                let right = self.deeper(|| self.body(right, context))?;
                set(name, *operator, *all, left, right)
            }
        }
    }

    fn values(&self, rows: &[Vec<ast::Expr>], context: Context<'_>) -> Result<Query> {
        let scope = Scope::default();
        let scoped = self.scoped(&scope, context, "VALUES");
        let width = rows.first().map_or(0, Vec::len);
        let mut columns: Vec<Vec<Typed>> = (0..width).map(|_| Vec::with_capacity(rows.len())).collect();
        for row in rows {
            if row.len() != width {
                let message = format!("the rows of VALUES have {width} and {} columns", row.len());
                return Err(Error::new(SqlState::SYNTAX_ERROR, message).into());
            }
            for (column, value) in columns.iter_mut().zip(row) {
                column.push(scoped.bind(value)?);
            }
        }
        let mut bound: Vec<Vec<Expr>> = rows.iter().map(|_| Vec::with_capacity(width)).collect();
        let mut outputs = Vec::with_capacity(width);
        for (position, values) in columns.into_iter().enumerate() {
            let datatype = common_type("VALUES", values.iter())?;
            let adapts = values.iter().all(|value| value.adapts || value.datatype.is_none()) && datatype.is_some();
            for (row, value) in bound.iter_mut().zip(cast_all(values, datatype)?) {
                row.push(value);
            }
            outputs.push(Output { name: format!("column{}", position + 1), datatype, adapts });
        }
        Ok(Query { node: Node::Values { rows: bound, width }, columns: outputs })
    }
}

/// The position that an ordinal says, from 0.
pub(super) fn ordinal(n: i64, width: usize, clause: &str) -> Result<usize> {
    match usize::try_from(n) {
        Ok(n) if (1..=width).contains(&n) => Ok(n - 1),
        _ => {
            let message = format!("{clause} position {n} is not in the result, which has {width} columns");
            Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message).into())
        }
    }
}

fn different_widths(name: &str, left: usize, right: usize) -> Error {
    let message = format!("the sides of {name} have {left} and {right} columns");
    Error::new(SqlState::SYNTAX_ERROR, message)
}

fn set(name: &str, operator: SetOperator, all: bool, left: Query, right: Query) -> Result<Query> {
    if left.columns.len() != right.columns.len() {
        return Err(different_widths(name, left.columns.len(), right.columns.len()).into());
    }
    let mut columns = Vec::with_capacity(left.columns.len());
    for (a, b) in left.columns.iter().zip(&right.columns) {
        let datatype = common_of(name, [(a.datatype, a.adapts), (b.datatype, b.adapts)].into_iter())?;
        let adapts = a.adapts && b.adapts;
        columns.push(Output { name: a.name.clone(), datatype, adapts });
    }
    let side = |side: Query| -> Result<Box<Node>> {
        let plain = side
            .columns
            .iter()
            .zip(&columns)
            .all(|(from, to)| from.datatype.is_none_or(|_| from.datatype == to.datatype));
        if plain {
            return Ok(Box::new(side.node));
        }
        let exprs = side.columns.iter().zip(&columns).enumerate().map(|(position, (from, to))| {
            let typed = Typed { expr: Expr::Column(position), datatype: from.datatype, adapts: from.adapts };
            match to.datatype {
                Some(to) => Ok(typed.cast(to)?.expr),
                None => Ok(typed.expr),
            }
        });
        let exprs = exprs.collect::<Result<_>>()?;
        Ok(Box::new(project(side.node, exprs)))
    };
    let (left, right) = (side(left)?, side(right)?);
    Ok(Query { node: Node::Set { operator, all, left, right }, columns })
}

/// The parts of a query that may be recursive.
fn recursive_parts(common: &ast::Common) -> Option<(&Body, &Body, bool)> {
    let ast::Query { with, body, order_by, limit, offset, .. } = &common.query;
    match body {
        Body::Set { operator: SetOperator::Union, all, left, right }
            if with.is_empty() && order_by.is_empty() && limit.is_none() && offset.is_none() =>
        {
            Some((left, right, *all))
        }
        _ => None,
    }
}

fn name_columns(columns: &mut [Output], common: &ast::Common) -> Result<()> {
    if common.columns.len() > columns.len() {
        let (has, named) = (columns.len(), common.columns.len());
        let message = format!("the common table {:?} has {has} columns, but {named} names", common.name);
        return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message).into());
    }
    for (column, name) in columns.iter_mut().zip(&common.columns) {
        column.name.clone_from(name);
    }
    Ok(())
}
