//! Random SQL against the engine, and judges that need no expected answers.
//!
//! A [`case`](ast::Case) is a schema, data and statements, drawn from bytes ([`generate`]), so that a seed and a fuzzer come in
//! by the same door. Each statement runs in several ways that have to agree ([`judge`]): with the optimizer and without; on
//! tables with secondary indexes and on tables without; with literals and with parameters; within memory and spilling;
//! before and after reopening; in SQLite; and, after `SQLancer` (Rigger and Su, 2020), cut into the three parts that a
//! predicate makes of its rows, and counted by a query that no index can help. What differs between the engine
//! and SQLite for a reason is a named [`Difference`](render::Difference), and nothing else is let through. A mismatch is made small
//! ([`shrink`]) and printed as a script.
//!
//! It does not try concurrent transactions: the simulator does.

pub mod ast;
pub mod cli;
pub mod coverage;
pub mod generate;
pub mod judge;
pub mod render;
pub mod run;
pub mod shrink;

/// A case from bytes, which a generator of random numbers or a fuzzer gives.
pub fn case_of(bytes: &[u8]) -> ast::Case {
    generate::case(&mut arbitrary::Unstructured::new(bytes))
}
