//! SQL: text to rows, over one [`Transaction`].
//!
//! A statement is parsed into syntax ([`parse()`]), which depends on nothing but its text; bound to the schema as the
//! transaction sees it, with names resolved and types checked (`binder`), which gives a plan in relational [`algebra`];
//! given less work to do (`optimizer`); and executed by operators that pull batches of rows from each other ([`executor`]).
//! Statements that write take their rows from such a plan (`dml`). The schema lies in the same versioned store as the
//! rows (`catalog`, [`schema`]), and statements that change it are transactional like any others (`ddl`).
//!
//! [`Transaction`]: crate::mvcc::Transaction

pub mod algebra;
mod as_of;
mod ast;
mod binder;
mod block;
mod catalog;
mod ddl;
mod dml;
mod error;
pub mod executor;
mod explain;
pub mod functions;
mod optimizer;
mod ordered;
mod output;
mod parse;
mod prepared;
pub mod schema;
mod settings;
mod statement;
pub mod types;

pub use as_of::AsOf;
pub use ast::{Kind, Statement};
pub use block::Block;
pub use catalog::{ColumnStatistics, Statistics};
pub use error::{Error, Failure, SqlState};
pub use output::{Output, Write};
pub use parse::{Limits, parse, parse_all, parse_all_within, parse_within};
pub use prepared::Prepared;
pub use settings::{Setting, Variables};
pub use statement::{Environment, Options, Plan, execute, execute_with};

#[cfg(test)]
mod tests;
