//! Judges scripts: a client that has its tables for itself must get the answers that it gets from a database in one process,
//! and its tables must be in the end what they are there.
//!
//! Of a script whose outcome is unknown, both outcomes are followed, each with a database of its own, until answers tell
//! which one it was. That is sound because the client made sure that it had happened by then or never would.

use crate::recorder::{Recorder, Script};
use crate::workload::{FENCES, FinalRead};
use checkers::{Verdict, Violation};
use engine::Database;
use engine::sql::types::Value;
use engine::sql::{Error, Failure, Output};
use engine::storage::Memory;
use std::collections::{BTreeMap, BTreeSet};

/// How many outcomes of one client's unknown scripts are followed at most.
const MAX_WORLDS: usize = 64;

/// A database in which some of the unknown scripts have happened.
struct World {
    session: engine::database::Session<Memory>,
    /// The scripts that have happened, by their places.
    happened: Vec<usize>,
}

/// Checks the scripts of all clients.
pub(crate) fn check(recorder: &Recorder, final_read: Option<&FinalRead>) -> Verdict {
    let mut clients: BTreeMap<u64, Vec<&Script>> = BTreeMap::new();
    for script in &recorder.scripts {
        clients.entry(script.client).or_default().push(script);
    }
    let mut comparisons = 0;
    let mut known: Vec<String> = Vec::new();
    for (client, scripts) in clients {
        let worlds = match follow(client, &scripts, &mut comparisons) {
            Ok(worlds) => worlds,
            Err(verdict) => return verdict,
        };
        if let Some(read) = final_read {
            match compare_tables(client, worlds, read, &mut known) {
                Ok(compared) => comparisons += compared,
                Err(verdict) => return verdict,
            }
        }
    }
    if let Some(table) = final_read.and_then(|read| read.tables.keys().find(|table| !known.contains(table))) {
        return violation(
            "unknown-table",
            format!("in the end there is a table {table:?} that nobody made"),
            Vec::new(),
        );
    }
    Verdict::Pass { comparisons }
}

/// Runs a client's scripts, and gives the worlds in which they have the answers that the client got.
fn follow(client: u64, scripts: &[&Script], comparisons: &mut u64) -> Result<Vec<World>, Verdict> {
    let mut worlds = vec![World::new(scripts, Vec::new())];
    for (place, script) in scripts.iter().enumerate() {
        let Some(answers) = &script.answers else {
            merge(&mut worlds);
            if worlds.len() * 2 > MAX_WORLDS {
                let reason = format!("client {client} has too many scripts of which nobody knows the outcome");
                return Err(Verdict::GaveUp { reason, comparisons: *comparisons });
            }
            let with =
                worlds.iter().map(|world| World::new(scripts, world.happened.iter().copied().chain([place]).collect()));
            let with: Vec<World> = with.collect();
            worlds.extend(with);
            continue;
        };
        *comparisons += answers.len() as u64;
        let mut first: Option<Vec<Result<Output, Error>>> = None;
        worlds.retain_mut(|world| {
            let expected = world.run(script);
            world.happened.push(place);
            let right = alike(&expected, answers);
            first.get_or_insert(expected);
            right
        });
        if worlds.is_empty() {
            let expected = first.unwrap_or_default();
            let evidence = evidence(script, &expected, answers);
            let at = script.at;
            let message = format!(
                "client {client} at {}.{:03} ms: a script has other answers than in one process",
                at / 1_000_000,
                at / 1_000 % 1_000
            );
            return Err(violation("other-answer", message, evidence));
        }
    }
    Ok(worlds)
}

/// Keeps one of several worlds that are the same.
fn merge(worlds: &mut Vec<World>) {
    if worlds.len() > 1 {
        let mut known = BTreeSet::new();
        worlds.retain_mut(|world| known.insert(world.contents()));
    }
}

/// Compares the tables that there are in the end with those of any world.
fn compare_tables(client: u64, worlds: Vec<World>, read: &FinalRead, known: &mut Vec<String>) -> Result<u64, Verdict> {
    let mut difference = None;
    let mut right = false;
    let mut compared = 0;
    for mut world in worlds {
        let mut differs = None;
        for table in world.tables() {
            let expected = world.rows(&table);
            let found = read.tables.get(&table);
            compared += 1;
            if differs.is_none() && found.is_none_or(|found| shown(found) != shown(&expected)) {
                differs = Some(format!(
                    "table {table:?} should hold {} and holds {}",
                    shown(&expected),
                    found.map_or("nothing: it is not there".to_owned(), |found| shown(found))
                ));
            }
            if !known.contains(&table) {
                known.push(table);
            }
        }
        right |= differs.is_none();
        difference = difference.or(differs);
    }
    match difference {
        Some(difference) if !right => {
            Err(violation("other-table", format!("client {client}: {difference}"), Vec::new()))
        }
        _ => Ok(compared),
    }
}

impl World {
    /// A world in which some scripts have happened.
    fn new(scripts: &[&Script], happened: Vec<usize>) -> Self {
        let mut world = Self { session: Database::in_memory().session(), happened: Vec::new() };
        for &place in &happened {
            world.run(scripts[place]);
        }
        Self { happened, ..world }
    }

    fn run(&mut self, script: &Script) -> Vec<Result<Output, Error>> {
        let answers = script.statements.iter().map(|sql| self.execute(sql)).collect();
        if self.session.in_transaction() {
            // The client does so too.
            let _ = self.execute("ROLLBACK");
        }
        answers
    }

    fn execute(&mut self, sql: &str) -> Result<Output, Error> {
        let prepared = self.session.prepare(sql).map_err(told);
        prepared.and_then(|prepared| self.session.run(&prepared, &[]).map_err(told))
    }

    fn tables(&mut self) -> Vec<String> {
        let tables = "SELECT table_name FROM information_schema.tables \
                      WHERE table_type = 'BASE TABLE' AND table_schema = 'public'";
        let names = self.select(tables).into_iter().filter_map(|row| match row.into_iter().next() {
            Some(Value::Text(name)) if name != FENCES => Some(name.into()),
            _ => None,
        });
        names.collect()
    }

    /// All that later scripts can tell this world by.
    fn contents(&mut self) -> String {
        let mut contents = String::new();
        for schema in ["information_schema.columns", "information_schema.table_constraints", "pg_catalog.pg_indexes"] {
            contents += &shown(&self.select(&format!("SELECT * FROM {schema}")));
        }
        for table in self.tables() {
            contents += &shown(&self.rows(&table));
        }
        contents
    }

    fn rows(&mut self, table: &str) -> Vec<Vec<Value>> {
        self.select(&format!("SELECT * FROM \"{}\"", table.replace('"', "\"\"")))
    }

    fn select(&mut self, sql: &str) -> Vec<Vec<Value>> {
        match self.execute(sql) {
            Ok(Output::Select { rows, .. }) => rows,
            other => unreachable!("{sql}: {other:?}"),
        }
    }
}

/// What a database in memory says of a failure.
fn told(failure: Failure) -> Error {
    match failure {
        Failure::Sql(error) => error,
        Failure::Storage(error) => unreachable!("memory does not fail: {error}"),
    }
}

/// Whether answers are equal. NaN is NaN, and a hint may name a table of somebody else's.
fn alike(a: &[Result<Output, Error>], b: &[Result<Output, Error>]) -> bool {
    let same = |(a, b): (&Result<Output, Error>, &Result<Output, Error>)| match (a, b) {
        (Err(a), Err(b)) => (a.state, &a.message, a.position) == (b.state, &b.message, b.position),
        (Ok(a), Ok(b)) => a == b || format!("{a:?}") == format!("{b:?}"),
        _ => false,
    };
    a.len() == b.len() && a.iter().zip(b).all(same)
}

fn evidence(script: &Script, expected: &[Result<Output, Error>], answers: &[Result<Output, Error>]) -> Vec<String> {
    let mut lines = Vec::new();
    for (sql, (expected, found)) in script.statements.iter().zip(expected.iter().zip(answers)) {
        lines.push(format!("{sql};"));
        if alike(std::slice::from_ref(expected), std::slice::from_ref(found)) {
            continue;
        }
        lines.push(format!("  in one process: {}", answer(expected)));
        lines.push(format!("  here:           {}", answer(found)));
        break;
    }
    lines
}

fn answer(answer: &Result<Output, Error>) -> String {
    match answer {
        Ok(Output::Select { rows, .. } | Output::Returning { rows, .. }) => shown(rows),
        Ok(output) => format!("{output:?}"),
        Err(error) => format!("error {}: {error}", error.state.code()),
    }
}

fn shown(rows: &[Vec<Value>]) -> String {
    let row = |row: &Vec<Value>| {
        let values: Vec<String> = row.iter().map(|value| format!("{value:?}")).collect();
        format!("({})", values.join(", "))
    };
    format!("[{}]", rows.iter().map(row).collect::<Vec<_>>().join(" "))
}

fn violation(anomaly: &str, message: String, evidence: Vec<String>) -> Verdict {
    Verdict::Fail(Violation { checker: "sql", anomaly: anomaly.to_owned(), message, evidence, at: None })
}
