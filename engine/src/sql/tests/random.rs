//! Random statements on a random table, beside the model, with the optimizer and without.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arbitrary::Unstructured;
use bolero::check;

use super::database::{Database, off, on};
use super::generate::{self, Column, Expr, Generator, Select, Statement};
use super::model::{Expected, Model};
use crate::sql::types::Value;
use crate::sql::{Error, Output, SqlState};

/// What the runs have met. A test that never looks up a key proves nothing about it.
#[derive(Default)]
struct Met {
    key: AtomicUsize,
    range: AtomicUsize,
    unique: AtomicUsize,
    violations: AtomicUsize,
    unclear: AtomicUsize,
    clear: AtomicUsize,
}

fn count(cell: &AtomicUsize) {
    cell.fetch_add(1, Ordering::Relaxed);
}

/// A database and its model, with the statements so far.
struct Run {
    database: Database,
    model: Model,
    log: Vec<String>,
}

impl Run {
    fn start(columns: Vec<Column>) -> Self {
        let mut database = Database::new();
        let create = generate::create(&columns);
        database.run("", &create, &[], on()).unwrap();
        Self { database, model: Model { columns, rows: Vec::new() }, log: vec![create] }
    }

    fn step(&mut self, statement: &Statement, met: &Met) {
        let (sql, params) = statement.sql(&self.model.columns);
        self.log.push(format!("{sql} {params:?}"));
        let log = || self.log.join("\n");
        let explained = self.database.try_out("", &format!("EXPLAIN {sql}"), &params, on());
        if let Ok(Output::Explain { text }) = &explained {
            for (part, cell) in [("Key lookup", &met.key), (" >", &met.range), ("Index lookup", &met.unique)] {
                if text.contains(part) {
                    count(cell);
                }
            }
        }
        let naive = self.database.try_out("", &sql, &params, off());
        let output = self.database.run("", &sql, &params, on());
        if let Ok(expected) = self.model.run(statement) {
            count(&met.clear);
            check_output(&output, &expected, statement, &log);
            check_output(&naive, &expected, statement, &log);
            if matches!(&expected, Expected::Fails(states) if states.contains(&SqlState::UNIQUE_VIOLATION)) {
                count(&met.violations);
            }
        } else {
            count(&met.unclear);
            // An access path may keep away from the rows where evaluation fails, but not the other way about.
            if let Ok(naive) = naive {
                let output = output.unwrap_or_else(|error| panic!("{error}\nonly with the optimizer\n{}", log()));
                assert!(same(&output, &naive), "{output:?}\n{naive:?}\n{}", log());
            }
            self.model.rows = self.stored();
        }
        assert_eq!(sorted(&self.stored()), sorted(&self.model.rows), "{}", log());
    }

    /// All rows, by a scan.
    fn stored(&self) -> Vec<Vec<Value>> {
        match self.database.try_out("", "SELECT * FROM t", &[], off()) {
            Ok(Output::Select { rows, .. }) => rows,
            other => panic!("{other:?}"),
        }
    }

    /// Every value is found by the entries of its column, and nothing else is.
    fn check_entries(&self, u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        for (position, column) in self.model.columns.iter().enumerate() {
            let mut values: Vec<Value> = self.model.rows.iter().map(|row| row[position].clone()).collect();
            for _ in 0..4 {
                values.push(generate::value(u, column.datatype)?);
            }
            for value in values {
                let equal = Expr::Binary(
                    "=",
                    Box::new(Expr::Column(position, column.name, column.datatype)),
                    Box::new(Expr::Parameter(value)),
                );
                let (items, order, limit, offset) = Default::default();
                let select = Statement::Select(Select { items, filter: Some(equal), order, limit, offset });
                let (sql, params) = select.sql(&self.model.columns);
                let output = self.database.try_out("", &sql, &params, on());
                let mut model = Model { columns: self.model.columns.clone(), rows: self.model.rows.clone() };
                let expected = model.run(&select).unwrap();
                check_output(&output, &expected, &select, &|| format!("{}\n{sql} {params:?}", self.log.join("\n")));
            }
        }
        Ok(())
    }
}

/// Rows without their order.
fn sorted(rows: &[Vec<Value>]) -> Vec<String> {
    let mut rows: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
    rows.sort();
    rows
}

fn same(a: &Output, b: &Output) -> bool {
    match (a, b) {
        (Output::Select { rows: a, .. }, Output::Select { rows: b, .. }) => {
            sorted(a) == sorted(b) || a.len() == b.len()
        }
        (a, b) => a == b,
    }
}

fn check_output(output: &Result<Output, Error>, expected: &Expected, statement: &Statement, log: &dyn Fn() -> String) {
    match (output, expected) {
        (Err(error), Expected::Fails(states)) => assert!(states.contains(&error.state), "{error}\n{}", log()),
        (
            Ok(Output::Insert { count } | Output::Update { count } | Output::Delete { count }),
            Expected::Count(expected),
        ) => {
            assert_eq!(count, expected, "{}", log());
        }
        (Ok(Output::Select { rows, columns }), Expected::Rows(expected, ordered)) => {
            let Statement::Select(select) = statement else { panic!("{statement:?} gives rows") };
            let (limit, offset) = (select.limit, select.offset);
            if *ordered {
                assert_eq!(rows, expected, "{}", log());
            } else if limit.is_none() && offset.is_none() {
                assert_eq!(sorted(rows), sorted(expected), "{}", log());
            } else {
                let left = (expected.len() as u64).saturating_sub(offset.unwrap_or(0));
                assert_eq!(rows.len() as u64, left.min(limit.unwrap_or(u64::MAX)), "{}", log());
                assert!(rows.iter().all(|row| expected.contains(row)), "{rows:?}\n{}", log());
            }
            for row in rows {
                for (value, column) in row.iter().zip(columns) {
                    let fits = value.datatype().is_none() || value.datatype() == column.datatype;
                    assert!(fits, "{value:?} in a column of type {:?}\n{}", column.datatype, log());
                }
            }
        }
        (output, expected) => panic!("{output:?} instead of {expected:?}\n{}", log()),
    }
}

#[test]
fn statements_do_as_the_model_does() {
    let met = Met::default();
    let bytes = bolero::produce::<Vec<u8>>().with().len(0..3_000usize);
    // The statements that lead to a failure are short enough to read, and to shrink bytes of this number takes minutes.
    let check = check!().with_generator(bytes).with_iterations(300).with_max_len(4_096);
    check.with_shrink_time(Duration::ZERO).for_each(|bytes| {
        let mut u = Unstructured::new(bytes);
        let Ok(columns) = generate::table(&mut u) else { return };
        let mut run = Run::start(columns.clone());
        while !u.is_empty() {
            let Ok(statement) = (Generator { u: &mut u, columns: &columns }).statement() else { break };
            run.step(&statement, &met);
        }
        run.check_entries(&mut Unstructured::new(bytes)).unwrap();
    });
    let Met { key, range, unique, violations, unclear, clear } = &met;
    for (name, cell) in
        [("key lookups", key), ("ranges", range), ("index lookups", unique), ("unique violations", violations)]
    {
        let seen = cell.load(Ordering::Relaxed);
        assert!(seen > 20, "only {seen} {name}");
    }
    let (clear, unclear) = (clear.load(Ordering::Relaxed), unclear.load(Ordering::Relaxed));
    assert!(clear > unclear, "{unclear} of {} statements are unclear", unclear + clear);
}
