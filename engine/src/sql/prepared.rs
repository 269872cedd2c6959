//! Statements that are kept, with their plans.

use std::cell::RefCell;
use std::rc::Rc;

use super::ast::Statement;
use super::error::Failure;
use super::output::Output;
use super::statement::{Environment, Plan};
use super::types::{DataType, Value};
use crate::mvcc::Transaction;

/// A statement that is parsed, and planned when it is first run. The plan is made anew when the schema or the types of the
/// parameters have changed.
#[derive(Debug)]
pub struct Prepared {
    statement: Statement,
    plan: RefCell<Option<Rc<Plan>>>,
}

impl Prepared {
    /// A statement without a plan so far.
    pub fn new(statement: Statement) -> Self {
        Self { statement, plan: RefCell::default() }
    }

    /// The statement.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// A plan for these parameters, and for the schema as the transaction sees it: the one that there is, if it is right.
    ///
    /// # Panics
    /// If the statement is one of its session.
    pub fn plan(
        &self,
        params: &[Value],
        txn: &dyn Transaction,
        environment: Environment<'_>,
    ) -> Result<Rc<Plan>, Failure> {
        if let Some(plan) = &*self.plan.borrow()
            && plan.is_valid(params, txn, environment.options)?
        {
            return Ok(Rc::clone(plan));
        }
        let types: Vec<Option<DataType>> = params.iter().map(Value::datatype).collect();
        let plan = Rc::new(Plan::new(&self.statement, &types, txn, environment)?);
        *self.plan.borrow_mut() = Some(Rc::clone(&plan));
        Ok(plan)
    }

    /// Runs the statement. One that fails leaves the transaction's writes as they were.
    ///
    /// # Panics
    /// As [`Prepared::plan`].
    pub fn execute(
        &self,
        params: &[Value],
        txn: &mut dyn Transaction,
        environment: Environment<'_>,
    ) -> Result<Output, Failure> {
        self.plan(params, txn, environment)?.execute(params, txn, environment)
    }
}
