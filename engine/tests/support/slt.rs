//! Runs scripts of records, which the `sqllogictest` crate reads.
//!
//! Its runner does not run them: how a value is shown depends on the type that a record wants for its column, as the SQLite
//! project has it, and that runner's databases are not told it.
//!
//! A record whose SQL starts with a line `-- parameters: 1, 'x'` is prepared, and run with the values of these expressions.
//!
//! Results stand one value a line, or a row a line with tabs or two spaces between its values, or as how many values there
//! are and their MD5.

use std::collections::BTreeMap;

use engine::database::{Database, Session};
use engine::sql::types::Value;
use engine::sql::{Failure, Output};
use engine::storage::Storage;
use md5::{Digest, Md5};
use sqllogictest::parser::{Condition, Connection, ExpectedError, QueryExpect, Record, SortMode, StatementExpect};

/// What became of the records of a file.
#[derive(Default)]
pub struct Report {
    /// Records that did what they should.
    pub passed: usize,
    /// Records for other databases.
    pub skipped: usize,
    /// Those that did something else.
    pub failures: Vec<Mismatch>,
}

/// A record that did something else than it should.
pub struct Mismatch {
    /// Where it starts.
    pub line: u32,
    /// Its SQL.
    pub sql: String,
    /// What was wrong, in words that are the same for the same cause.
    pub cause: String,
    /// What was wrong.
    pub detail: String,
}

impl Mismatch {
    fn new(line: u32, sql: &str, (cause, detail): Wrong) -> Self {
        Self { line, sql: sql.to_string(), cause, detail }
    }
}

/// A cause and the detail.
type Wrong = (String, String);

/// The type that a record wants for a column: `I`, `R` or `T`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind(char);

impl sqllogictest::ColumnType for Kind {
    fn from_char(kind: char) -> Option<Self> {
        matches!(kind, 'I' | 'R' | 'T').then_some(Self(kind))
    }

    fn to_char(&self) -> char {
        self.0
    }
}

/// Whether a record is left out. Files know PostgreSQL, whose SQL is the engine's, and not the engine.
fn is_skipped(condition: &Condition) -> bool {
    match condition {
        Condition::OnlyIf { label } => label != "orrery",
        Condition::SkipIf { label } => matches!(label.as_str(), "orrery" | "postgresql"),
    }
}

/// Runs a file on a database.
pub fn run<S: Storage>(text: &str, database: &Database<S>) -> Report {
    let mut report = Report::default();
    let records = match sqllogictest::parse::<Kind>(text) {
        Ok(records) => records,
        Err(error) => {
            let wrong = ("no sqllogictest file".into(), error.kind().to_string());
            report.failures.push(Mismatch::new(error.location().line(), "", wrong));
            return report;
        }
    };
    let mut sessions: BTreeMap<String, Session<S>> = BTreeMap::new();
    let mut labels: BTreeMap<String, Vec<String>> = BTreeMap::new();
    // What was said before a record that has no conditions of its own.
    let mut skip = false;
    for record in records {
        let (loc, conditions, connection, sql, expected) = match record {
            Record::Statement { loc, conditions, connection, sql, expected, .. } => {
                (loc, conditions, connection, sql, Expected::of_statement(expected))
            }
            Record::Query { loc, conditions, connection, sql, expected, .. } => {
                (loc, conditions, connection, sql, Expected::of_query(expected))
            }
            Record::Halt { .. } if std::mem::take(&mut skip) => continue,
            Record::Halt { .. } => break,
            Record::Condition(condition) => {
                skip |= is_skipped(&condition);
                continue;
            }
            Record::Connection(_) | Record::Comment(_) | Record::Newline | Record::HashThreshold { .. } => continue,
            other => {
                let wrong = ("no record of SQL".into(), other.to_string());
                report.failures.push(Mismatch::new(0, "", wrong));
                continue;
            }
        };
        skip = false;
        if conditions.iter().any(is_skipped) {
            report.skipped += 1;
            continue;
        }
        let name = match connection {
            Connection::Default => String::new(),
            Connection::Named(name) => name,
        };
        let session = sessions.entry(name).or_insert_with(|| database.session());
        match check(&sql, &expected, session, &mut labels) {
            Ok(()) => report.passed += 1,
            Err(wrong) => report.failures.push(Mismatch::new(loc.line(), &sql, wrong)),
        }
    }
    report
}

/// What a record says of what it gives.
enum Expected {
    Ok,
    Count(u64),
    Error(ExpectedError),
    Rows { kinds: Vec<Kind>, sort: Option<SortMode>, label: Option<String>, values: Vec<String> },
}

impl Expected {
    fn of_statement(expected: StatementExpect) -> Self {
        match expected {
            StatementExpect::Ok => Self::Ok,
            StatementExpect::Count(count) => Self::Count(count),
            StatementExpect::Error(error) => Self::Error(error),
        }
    }

    fn of_query(expected: QueryExpect<Kind>) -> Self {
        match expected {
            QueryExpect::Results { types, sort_mode, label, results, .. } => {
                let values = results.iter().map(|line| line.trim_end().to_string()).collect();
                Self::Rows { kinds: types, sort: sort_mode, label, values }
            }
            QueryExpect::Error(error) => Self::Error(error),
        }
    }
}

/// Runs SQL, with parameters if its first line has some.
fn execute<S: Storage>(sql: &str, session: &mut Session<S>) -> Result<Vec<Output>, Failure> {
    let Some((parameters, sql)) = sql.strip_prefix("-- parameters:").and_then(|rest| rest.split_once('\n')) else {
        return session.execute(sql);
    };
    let Some(Output::Select { mut rows, .. }) = session.execute(&format!("SELECT {parameters}"))?.pop() else {
        unreachable!("a query gives rows");
    };
    let prepared = session.prepare(sql)?;
    Ok(vec![session.run(&prepared, &rows.remove(0))?])
}

fn check<S: Storage>(
    sql: &str,
    expected: &Expected,
    session: &mut Session<S>,
    labels: &mut BTreeMap<String, Vec<String>>,
) -> Result<(), Wrong> {
    let outputs = match (execute(sql, session), expected) {
        (Err(Failure::Sql(error)), Expected::Error(wanted)) => {
            if wanted.is_match(&error.to_string(), Some(error.state.code())) {
                return Ok(());
            }
            return Err(("another error".into(), format!("wanted {wanted}, got {error}")));
        }
        (Ok(_), Expected::Error(_)) => return Err(("no error".into(), "it should fail".into())),
        (Err(failure), _) => {
            let cause = match &failure {
                Failure::Sql(error) => format!("error {}", error.state.code()),
                Failure::Storage(_) => "storage".into(),
            };
            return Err((cause, failure.to_string()));
        }
        (Ok(outputs), _) => outputs,
    };
    let Some(output) = outputs.last() else { return Err(("nothing".into(), "there is no statement".into())) };
    match (expected, output) {
        (Expected::Count(wanted), Output::Insert { count } | Output::Update { count } | Output::Delete { count }) => {
            if count == wanted {
                Ok(())
            } else {
                Err(("another count".into(), format!("wanted {wanted} rows, got {count}")))
            }
        }
        (
            Expected::Rows { kinds, sort, label, values },
            Output::Select { rows, .. } | Output::Returning { rows, .. },
        ) => {
            let got = results(rows, kinds, sort.unwrap_or(SortMode::NoSort))?;
            if let Some(label) = label {
                let before = labels.entry(label.clone()).or_insert_with(|| got.clone());
                if *before != got {
                    return Err(("label".into(), format!("it differs from the results of {label}")));
                }
            }
            compare(&got, values, kinds.len())
        }
        (Expected::Rows { kinds, values, .. }, Output::Explain { text }) => {
            let got: Vec<String> = text.lines().map(|line| line.trim_end().to_string()).collect();
            compare(&got, values, kinds.len())
        }
        (Expected::Ok, _) => Ok(()),
        _ => Err(("another kind of output".into(), format!("{output:?}"))),
    }
}

/// The values of rows as text, in order.
fn results(rows: &[Vec<Value>], kinds: &[Kind], sort: SortMode) -> Result<Vec<String>, Wrong> {
    let mut texts: Vec<Vec<String>> = Vec::with_capacity(rows.len());
    for row in rows {
        if row.len() != kinds.len() {
            return Err(("columns".into(), format!("{} columns instead of {}", row.len(), kinds.len())));
        }
        texts.push(row.iter().zip(kinds).map(|(value, kind)| show(value, *kind)).collect());
    }
    if sort == SortMode::RowSort {
        texts.sort();
    }
    let mut values: Vec<String> = texts.into_iter().flatten().collect();
    if sort == SortMode::ValueSort {
        values.sort();
    }
    Ok(values)
}

/// A value as SQLite's runner shows it for a column of a type.
fn show(value: &Value, Kind(kind): Kind) -> String {
    match (value, kind) {
        (Value::Null, _) => "NULL".into(),
        (Value::Boolean(b), 'I') => u8::from(*b).to_string(),
        (Value::Float(x), 'I') => format!("{}", x.trunc() as i64),
        (Value::Integer(n), 'R') => format!("{:.3}", *n as f64),
        (Value::Float(x), 'R') if x.is_finite() => format!("{:.3}", x + 0.0),
        (Value::Text(text), 'I') => {
            let digits = text.trim_start();
            let end = digits.char_indices().find(|(at, c)| !(c.is_ascii_digit() || *at == 0 && *c == '-'));
            digits[..end.map_or(digits.len(), |(at, _)| at)].parse::<i64>().unwrap_or(0).to_string()
        }
        (Value::Text(text), _) if text.is_empty() => "(empty)".into(),
        (Value::Text(text), _) => {
            text.chars().map(|c| if (' '..='~').contains(&c) || !c.is_ascii() { c } else { '@' }).collect()
        }
        (value, _) => value.to_string(),
    }
}

fn compare(got: &[String], wanted: &[String], width: usize) -> Result<(), Wrong> {
    if let [line] = wanted
        && let Some((count, hash)) = line.split_once(" values hashing to ")
    {
        let mut digest = Md5::new();
        for value in got {
            digest.update(value);
            digest.update("\n");
        }
        let found = format!("{:x}", digest.finalize());
        if count.trim().parse() == Ok(got.len()) && hash.trim() == found {
            return Ok(());
        }
        return Err(("another hash".into(), format!("wanted {line}, got {} values hashing to {found}", got.len())));
    }
    if got == wanted {
        return Ok(());
    }
    // Our own files have a row a line.
    let in_rows: Vec<String> = wanted
        .iter()
        .flat_map(|line| line.split(['\t']).flat_map(|part| part.split("  ")))
        .filter(|value| !value.is_empty())
        .map(|value| value.trim().to_string())
        .collect();
    if width > 1 && got == in_rows {
        return Ok(());
    }
    Err(("another result".into(), format!("wanted {wanted:?}, got {got:?}")))
}
