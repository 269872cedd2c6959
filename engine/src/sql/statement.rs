//! Statements that have been planned: made once, and run as often as the schema stays what it was.

use std::borrow::Cow;
use std::cell::RefCell;

use super::algebra::Node;
use super::ast::{self, Statement};
use super::binder::{Binder, Delete, Insert, Output as Named, Query, Returning, Update};
use super::catalog::{Catalog, Object, Seen, is_unchanged};
use super::ddl;
use super::dml::{self, Writing, Written};
use super::error::{Error, Failure};
use super::executor::{self, Clock, Profile, Rows, Settings, Spill};
use super::explain::explain;
use super::functions::Registry;
use super::optimizer::{self, Facts};
use super::output::{Output, Write};
use super::settings::{Variables, level_name};
use super::types::{Column, DataType, Value};
use crate::mvcc::{Read, Snapshot, Transaction};

/// How a statement is run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether to look for better ways than to look at all rows and sort. Off for comparison.
    pub optimize: bool,
    /// The limits.
    pub settings: Settings,
}

impl Default for Options {
    fn default() -> Self {
        Self { optimize: true, settings: Settings::default() }
    }
}

/// What statements run with besides their transaction.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    /// The functions that they can call.
    pub functions: &'a Registry,
    /// How they are run.
    pub options: Options,
    /// The settings that SHOW shows; without them, those of a new session.
    pub variables: Option<&'a Variables>,
    /// Where what does not fit into memory goes, if anywhere.
    pub spill: Option<&'a dyn Spill>,
    /// What EXPLAIN ANALYZE tells the time by, if anything.
    pub clock: Option<Clock>,
}

impl<'a> Environment<'a> {
    /// The context of an execution.
    pub fn context(&self, txn: &'a dyn Transaction, params: &'a [Value]) -> executor::Context<'a> {
        let context = executor::Context::new(txn, params).with_settings(self.options.settings);
        match self.spill {
            Some(spill) => context.with_spill(spill),
            None => context,
        }
    }
}

/// A plan of a statement, for parameters of certain types and for a schema. It can be run again: see [`Plan::is_valid`].
#[derive(Clone, Debug)]
pub struct Plan {
    body: Body,
    /// What the plan was made from.
    seen: Seen,
    /// The last snapshot where that was found to be so.
    current: RefCell<Option<Snapshot>>,
    params: Vec<Option<DataType>>,
    /// It holds rows of system tables, and is good once.
    momentary: bool,
    /// With the optimizer.
    optimized: bool,
}

#[derive(Clone, Debug)]
enum Body {
    Query {
        node: Node,
        columns: Vec<Column>,
    },
    Insert(Insert),
    Update(Update),
    Delete(Delete),
    Explain {
        analyze: bool,
        body: Box<Self>,
    },
    /// What is not planned.
    Direct(ast::Node),
}

type Result<T> = std::result::Result<T, Failure>;

/// Runs a statement in a transaction. A statement that fails leaves the transaction's writes as they were.
///
/// # Panics
/// If the statement is one of its session: BEGIN, COMMIT and the like.
pub fn execute(statement: &Statement, params: &[Value], txn: &mut impl Transaction) -> Result<Output> {
    execute_with(Options::default(), statement, params, txn)
}

/// As [`execute`], with options.
///
/// # Panics
/// As [`execute`].
pub fn execute_with(
    options: Options,
    statement: &Statement,
    params: &[Value],
    txn: &mut impl Transaction,
) -> Result<Output> {
    let functions = Registry::default();
    let types: Vec<Option<DataType>> = params.iter().map(Value::datatype).collect();
    let environment = Environment { functions: &functions, options, variables: None, spill: None, clock: None };
    Plan::new(statement, &types, txn, environment)?.execute(params, txn, environment)
}

impl Plan {
    /// Plans a statement, for parameters of these types; `None` is that of a NULL.
    ///
    /// # Panics
    /// If the statement is one of its session.
    pub fn new(
        Statement { node, .. }: &Statement,
        params: &[Option<DataType>],
        txn: &dyn Transaction,
        environment: Environment<'_>,
    ) -> Result<Self> {
        let catalog = Catalog::new(txn);
        let binder = Binder::new(&catalog, environment.functions, params);
        let facts = Facts::new(&catalog);
        let body = Body::new(node, &binder, &facts, environment)?;
        if let Some(failure) = facts.into_failure() {
            return Err(failure);
        }
        let momentary = binder.is_momentary() || matches!(node, ast::Node::Show(_)) || matches!(body, Body::Direct(_));
        let optimized = environment.options.optimize;
        let (seen, current) = (catalog.into_seen(), RefCell::new(txn.snapshot()));
        Ok(Self { body, seen, current, params: params.to_vec(), momentary, optimized })
    }

    /// Whether the plan is right for these parameters, for what a transaction sees of the schema, and for how it would be
    /// made now.
    pub fn is_valid(&self, params: &[Value], txn: &dyn Transaction, options: Options) -> Result<bool> {
        let fits = |(planned, given): (&Option<DataType>, &Value)| match given.datatype() {
            // NULL is of every type.
            None => true,
            given => *planned == given,
        };
        Ok(!self.momentary
            && self.optimized == options.optimize
            && self.params.len() == params.len()
            && self.params.iter().zip(params).all(fits)
            && self.is_current(txn)?)
    }

    /// Whether what it was made from is still so.
    fn is_current(&self, txn: &dyn Transaction) -> Result<bool> {
        let snapshot = txn.snapshot();
        if snapshot.is_some() && *self.current.borrow() == snapshot {
            return Ok(true);
        }
        let current = is_unchanged(&self.seen, txn)?;
        if current && snapshot.is_some() {
            *self.current.borrow_mut() = snapshot;
        }
        Ok(current)
    }

    /// The columns of the rows that the statement gives, if it gives any.
    pub fn columns(&self) -> Option<&[Column]> {
        match &self.body {
            Body::Query { columns, .. } => Some(columns),
            Body::Insert(Insert { returning, .. })
            | Body::Update(Update { returning, .. })
            | Body::Delete(Delete { returning, .. }) => returning.as_ref().map(|returning| &returning.columns[..]),
            Body::Explain { .. } | Body::Direct(_) => None,
        }
    }

    /// Runs the plan. A statement that fails leaves the transaction's writes as they were.
    pub fn execute(&self, params: &[Value], txn: &mut dyn Transaction, environment: Environment<'_>) -> Result<Output> {
        let savepoint = txn.savepoint();
        let result = self.body.run(params, &mut *txn, environment);
        if result.is_err() {
            txn.rollback_to(savepoint);
        }
        result
    }

    /// The rows of a query, to be pulled; `None` if the statement is none. See [`Plan::execute`] for the others.
    pub fn open<'a>(&'a self, context: &'a executor::Context<'a>) -> Result<Option<Rows<'a>>> {
        match &self.body {
            Body::Query { node, .. } => executor::open(node, context).map(Some),
            _ => Ok(None),
        }
    }
}

impl Body {
    fn new(node: &ast::Node, binder: &Binder<'_>, facts: &Facts<'_>, environment: Environment<'_>) -> Result<Self> {
        let optimized = |node: Node| if environment.options.optimize { optimizer::optimize(node, facts) } else { node };
        Ok(match node {
            ast::Node::Transaction(kind) => unreachable!("{kind:?} is for the session"),
            ast::Node::Query(query) => {
                let Query { node, columns } = binder.query(query)?;
                Self::Query { node: optimized(node), columns: columns.iter().map(Named::column).collect() }
            }
            ast::Node::Insert(insert) => {
                let insert = binder.insert(insert)?;
                Self::Insert(Insert { source: optimized(insert.source), ..insert })
            }
            ast::Node::Update(update) => {
                let update = binder.update(update)?;
                Self::Update(Update { source: optimized(update.source), ..update })
            }
            ast::Node::Delete(delete) => {
                let delete = binder.delete(delete)?;
                Self::Delete(Delete { source: optimized(delete.source), ..delete })
            }
            ast::Node::Explain { analyze, statement } => {
                let body = Box::new(Self::new(statement, binder, facts, environment)?);
                Self::Explain { analyze: *analyze, body }
            }
            ast::Node::Show(what) => show(what, facts.catalog(), environment)?,
            ast::Node::Truncate(_)
            | ast::Node::CreateTable(_)
            | ast::Node::CreateIndex(_)
            | ast::Node::CreateView(_)
            | ast::Node::Drop(_)
            | ast::Node::AlterTable(_)
            | ast::Node::Analyze(_) => Self::Direct(node.clone()),
        })
    }

    fn run(&self, params: &[Value], txn: &mut dyn Transaction, environment: Environment<'_>) -> Result<Output> {
        let (write, Written { count, rows }, returning) = match self {
            Self::Query { node, columns } => {
                let context = environment.context(&*txn, params);
                let rows = executor::collect(node, &context)?;
                return Ok(Output::Select { columns: columns.clone(), rows });
            }
            Self::Direct(node) => return ddl::execute(node, txn, environment.functions),
            Self::Explain { analyze, body } => {
                return Ok(Output::Explain { text: body.explain(*analyze, params, txn, environment)? });
            }
            Self::Insert(insert) => {
                let mut writing = Writing { txn, params, environment };
                (Write::Insert, dml::insert(insert, &mut writing)?, &insert.returning)
            }
            Self::Update(update) => {
                let mut writing = Writing { txn, params, environment };
                (Write::Update, dml::update(update, &mut writing)?, &update.returning)
            }
            Self::Delete(delete) => {
                let mut writing = Writing { txn, params, environment };
                (Write::Delete, dml::delete(delete, &mut writing)?, &delete.returning)
            }
        };
        Ok(match (returning, write) {
            (Some(Returning { columns, .. }), write) => {
                Output::Returning { write, count, columns: columns.clone(), rows }
            }
            (None, Write::Insert) => Output::Insert { count },
            (None, Write::Update) => Output::Update { count },
            (None, Write::Delete) => Output::Delete { count },
        })
    }

    fn explain(
        &self,
        analyze: bool,
        params: &[Value],
        txn: &mut dyn Transaction,
        environment: Environment<'_>,
    ) -> Result<String> {
        let (title, node) = match self {
            Self::Query { node, .. } => (None, node),
            Self::Insert(insert) => (Some(format!("Insert: {}", insert.target.table.name)), &insert.source),
            Self::Update(update) => {
                let table = &update.target.table;
                let names: Vec<&str> =
                    update.columns.iter().map(|&column| table.columns[column].name.as_str()).collect();
                (Some(format!("Update: {} ({})", table.name, names.join(", "))), &update.source)
            }
            Self::Delete(delete) => (Some(format!("Delete: {}", delete.target.table.name)), &delete.source),
            Self::Explain { .. } | Self::Direct(_) => {
                return Err(Error::unsupported("EXPLAIN of this statement").into());
            }
        };
        let profile = Profile::new(environment.clock);
        if analyze {
            let context = environment.context(&*txn, params).with_profile(&profile);
            let mut rows = executor::open(node, &context)?;
            while rows.next_batch()?.is_some() {}
        }
        let text = {
            let catalog = Catalog::new(&*txn);
            let facts = Facts::new(&catalog);
            let text = explain(node, title, &facts, analyze.then_some(&profile));
            if let Some(failure) = facts.into_failure() {
                return Err(failure);
            }
            text
        };
        if analyze && !matches!(self, Self::Query { .. }) {
            self.run(params, txn, environment)?;
        }
        Ok(text)
    }
}

/// SHOW.
fn show(what: &str, catalog: &Catalog<'_>, environment: Environment<'_>) -> Result<Body> {
    let text = |name: &str| Column { name: name.to_string(), datatype: Some(DataType::Text) };
    let fresh = || Variables::new(environment.options, Settings::UNLIMITED);
    let variables = environment.variables.map_or_else(|| Cow::Owned(fresh()), Cow::Borrowed);
    let (columns, rows) = match what {
        "tables" => {
            let objects = catalog.objects(Read::Schema)?;
            let names = objects.into_iter().filter(|(_, object)| !matches!(object, Object::Index(_)));
            (vec![text("table_name")], names.map(|(name, _)| vec![name.into()]).collect())
        }
        "all" => (["name", "setting", "description"].map(text).to_vec(), variables.show_all()),
        other => {
            let (isolation, read_only) = catalog.modes();
            let (name, value) = match other {
                "server_version" => ("server_version", env!("CARGO_PKG_VERSION").to_string()),
                "server_encoding" => ("server_encoding", "UTF8".to_string()),
                "transaction_isolation" | "transaction_isolation_level" => {
                    ("transaction_isolation", level_name(isolation).to_string())
                }
                "transaction_read_only" => ("transaction_read_only", if read_only { "on" } else { "off" }.to_string()),
                other => variables.show(other)?,
            };
            (vec![text(name)], vec![vec![value.into()]])
        }
    };
    let node = Node::Rows { rows: std::sync::Arc::new(rows), width: columns.len() };
    Ok(Body::Query { node, columns })
}
