//! SQL: text to rows, over one [`Transaction`].
//!
//! A statement is parsed into syntax ([`parse()`]), which depends on nothing but its text; planned against the schema as
//! the transaction sees it, with types checked and constants folded (`plan`); given the best way to its rows
//! (`access`); and executed by iterators that pull rows from each other (`execute`).
//!
//! [`Transaction`]: crate::mvcc::Transaction

mod access;
mod ast;
mod catalog;
mod error;
mod execute;
mod expression;
mod parse;
mod plan;
pub mod types;

pub use ast::{Kind, Statement};
pub use error::{Error, Failure, SqlState};
pub use execute::{Options, Output, execute, execute_with};
pub use parse::parse;

#[cfg(test)]
mod tests;
