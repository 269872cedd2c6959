//! Binding: syntax and schema into a plan, with names resolved and types checked.
//!
//! The plan is the plainest one: full scans with filters above them, and nested loops. What makes it fast is the
//! optimizer's business. Each query has a [`Scope`], the columns that its expressions can name; the scopes of the queries
//! around it are reached by level. Types are those of PostgreSQL as far as there are such types here: a literal text, or
//! a text parameter, takes on the type that its place asks for.

mod dml;
mod expression;
mod from;
mod query;
mod scope;
mod select;
mod typed;

use std::cell::Cell;
use std::sync::Arc;

use super::algebra::{Expr, Node};
use super::ast;
use super::catalog::Catalog;
use super::error::{Error, Failure, SqlState};
use super::functions::Registry;
use super::schema::Table;
use super::types::{Column, DataType};

pub(super) use dml::{Check, Delete, Insert, OnConflict, Returning, Target, Update, column, primary_key_name};
pub(super) use scope::nearest;

use scope::Scope;
use typed::Typed;

type Result<T> = std::result::Result<T, Failure>;

/// How deep the operators, queries and views of a statement may be altogether.
const MAX_DEPTH: usize = 700;
/// How deep views may refer to views.
const MAX_VIEWS: usize = 16;

/// Binds the parts of one statement.
pub(super) struct Binder<'a> {
    catalog: &'a Catalog<'a>,
    functions: &'a Registry,
    /// The types of the parameters; `None` is that of a NULL.
    params: &'a [Option<DataType>],
    next_common: Cell<usize>,
    depth: Cell<usize>,
    views: Cell<usize>,
    /// Whether the plan holds rows that stand for more than the schema keys that were read.
    momentary: Cell<bool>,
}

/// A query that has been bound.
pub(super) struct Query {
    pub node: Node,
    pub columns: Vec<Output>,
}

/// A column that a query gives.
#[derive(Clone, Debug)]
pub(super) struct Output {
    pub name: String,
    pub datatype: Option<DataType>,
    /// All its values are literal texts, which take on another type where one is asked for.
    pub adapts: bool,
}

impl Output {
    pub fn column(&self) -> Column {
        Column { name: self.name.clone(), datatype: self.datatype }
    }
}

/// What surrounds a query.
#[derive(Clone, Copy, Default)]
struct Context<'c> {
    /// The row of the query around it.
    outer: Option<&'c Outer<'c>>,
    commons: Option<&'c Commons<'c>>,
    /// In a view: how many columns its tables had when it was made, which `*` stands for.
    shapes: Option<&'c [(String, usize)]>,
}

impl<'c> Context<'c> {
    /// The query so many levels out, from 1.
    fn outer_at(self, level: usize) -> Option<&'c Outer<'c>> {
        let mut outer = self.outer;
        for _ in 1..level {
            outer = outer.and_then(|outer| outer.outer);
        }
        outer
    }
}

/// A row of an outer query.
#[expect(clippy::struct_field_names, reason = "one of them is further out")]
struct Outer<'c> {
    scope: &'c Scope,
    outer: Option<&'c Outer<'c>>,
    /// The aggregates of that query, where they may stand.
    aggregates: Option<&'c expression::Aggregates>,
}

/// A common table that can be named.
struct Commons<'c> {
    name: &'c str,
    id: usize,
    columns: &'c [Output],
    parent: Option<&'c Commons<'c>>,
}

impl<'a> Binder<'a> {
    pub fn new(catalog: &'a Catalog<'a>, functions: &'a Registry, params: &'a [Option<DataType>]) -> Self {
        let (next_common, depth, views, momentary) = Default::default();
        Self { catalog, functions, params, next_common, depth, views, momentary }
    }

    /// Whether the plan is good for one execution only.
    pub fn is_momentary(&self) -> bool {
        self.momentary.get()
    }

    /// Binds a query.
    pub fn query(&self, query: &ast::Query) -> Result<Query> {
        self.bind_query(query, Context::default())
    }

    /// Binds the query of a view.
    pub fn view(&self, query: &ast::Query, shapes: &[(String, usize)]) -> Result<Query> {
        self.bind_query(query, Context { shapes: Some(shapes), ..Context::default() })
    }

    /// Binds a condition over the columns of a table: CHECK.
    pub fn check(&self, table: &Table, condition: &ast::Expr) -> Result<Expr> {
        let scope = Scope::of_table(table, &table.name);
        let scoped = self.scoped(&scope, Context::default(), "CHECK");
        let bound = scoped.condition(condition, "CHECK")?;
        Self::without_query(&bound, "CHECK")?;
        Ok(bound)
    }

    /// Binds what a column of another type becomes, over the columns of the table as it was.
    pub fn conversion(&self, before: &Table, after: &Table, column: usize, using: &ast::Expr) -> Result<Expr> {
        let scope = Scope::of_table(before, &before.name);
        let bound = self.scoped(&scope, Context::default(), "USING").bind(using)?;
        let bound = typed::assign(bound, after, column)?;
        Self::without_query(&bound, "USING")?;
        Ok(bound)
    }

    /// Binds a DEFAULT, which has no columns, for a column of a table.
    pub fn default(&self, table: &Table, column: usize, default: &ast::Expr) -> Result<Expr> {
        let scope = Scope::default();
        let scoped = self.scoped(&scope, Context::default(), "DEFAULT");
        let bound = scoped.bind(default)?;
        let bound = typed::assign(bound, table, column)?;
        Self::without_query(&bound, "DEFAULT")?;
        Ok(bound)
    }

    fn without_query(expr: &Expr, clause: &str) -> Result<()> {
        let (mut queries, mut params) = (false, false);
        expr.walk(0, &mut |_, expr| {
            queries |= matches!(expr, Expr::Subquery(_));
            params |= matches!(expr, Expr::Parameter(_));
        });
        if queries {
            return Err(Error::unsupported(format!("a query in {clause}")).into());
        }
        if params {
            let message = format!("there are no parameters in {clause}");
            return Err(Error::new(SqlState::UNDEFINED_PARAMETER, message).into());
        }
        Ok(())
    }

    /// A table that can be written.
    pub fn table(&self, name: &ast::Name) -> Result<Arc<Table>> {
        self.catalog.must_table(name)
    }

    /// Goes one level deeper.
    fn deeper<T>(&self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        self.depth.set(self.depth.get() + 1);
        if self.depth.get() > MAX_DEPTH {
            let message = format!("the statement is nested too deeply, views included: at most {MAX_DEPTH} levels");
            return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, message).into());
        }
        let result = f();
        self.depth.set(self.depth.get() - 1);
        result
    }

    fn scoped<'s>(
        &'s self,
        scope: &'s Scope,
        context: Context<'s>,
        clause: &'static str,
    ) -> expression::Scoped<'s, 'a> {
        expression::Scoped { binder: self, scope, context, aliases: &[], aggregates: None, clause }
    }

    fn common_id(&self) -> usize {
        let id = self.next_common.get();
        self.next_common.set(id + 1);
        id
    }
}
