//! Reads and runs sqllogictest files as the SQLite project writes them.
//!
//! A file is records between empty lines: `statement ok` or `statement error`, then SQL; and `query TYPES SORT LABEL`, SQL,
//! `----`, and the values, one a line, or several in a line between tabs or two spaces, or how many there are and their MD5.
//! `skipif` and `onlyif` before a record name databases, `hash-threshold` and comments are passed over, `halt` ends the
//! file. Beyond what SQLite has, `statement error CODE` and `query error CODE` ask for an SQLSTATE, `statement count N` for a
//! number of rows, and `session NAME` lets another session run what follows.

use std::collections::BTreeMap;

use engine::database::{Database, Session};
use engine::sql::types::Value;
use engine::sql::{Failure, Output};
use engine::storage::Memory;

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
    pub line: usize,
    /// Its SQL.
    pub sql: String,
    /// What was wrong, in words that are the same for the same cause.
    pub cause: String,
    /// What was wrong.
    pub detail: String,
}

/// How results are ordered before they are compared.
#[derive(Clone, Copy, PartialEq)]
enum Sort {
    No,
    Rows,
    Values,
}

enum Expect {
    Ok,
    Count(u64),
    Error(Option<String>),
    Rows { types: String, sort: Sort, label: Option<String>, values: Vec<String> },
}

struct Record {
    line: usize,
    sql: String,
    expect: Expect,
}

/// Whether a record is left out, by what is said before it. The engine has its own name, and no file knows it. What files
/// say of PostgreSQL is true of it as well, but for the AS that PostgreSQL wants before an alias.
fn is_skipped(directive: &str) -> bool {
    let (directive, reason) = directive.split_once('#').unwrap_or((directive, ""));
    let mut words = directive.split_whitespace();
    match (words.next(), words.next()) {
        (Some("onlyif"), name) => name != Some("orrery"),
        (Some("skipif"), Some("postgresql")) => !reason.contains("requires AS"),
        (Some("skipif"), name) => name == Some("orrery"),
        _ => false,
    }
}

/// Runs a file on an empty database.
pub fn run(text: &str) -> Report {
    let database = Database::in_memory();
    let mut sessions: BTreeMap<String, Session<Memory>> = BTreeMap::new();
    let mut session = String::new();
    let mut labels: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut report = Report::default();
    let mut lines = text.lines().enumerate().map(|(number, line)| (number + 1, line)).peekable();
    let mut skip = false;
    while let Some((number, line)) = lines.next() {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') || line.starts_with("hash-threshold") {
            continue;
        }
        if line.starts_with("skipif") || line.starts_with("onlyif") {
            skip |= is_skipped(line);
            continue;
        }
        if line.starts_with("halt") {
            if !skip {
                break;
            }
            skip = false;
            continue;
        }
        if let Some(name) = line.strip_prefix("session").filter(|name| name.is_empty() || name.starts_with(' ')) {
            session = name.trim().to_string();
            continue;
        }
        let mut sql = Vec::new();
        let mut expected = Vec::new();
        let mut in_values = false;
        while let Some((_, line)) = lines.next_if(|(_, line)| !line.trim_end().is_empty()) {
            if !in_values && line.trim_end() == "----" {
                in_values = true;
            } else if in_values {
                expected.push(line.trim_end().to_string());
            } else {
                sql.push(line);
            }
        }
        if std::mem::take(&mut skip) {
            report.skipped += 1;
            continue;
        }
        let record = match parse(number, line, sql.join("\n"), expected) {
            Ok(record) => record,
            Err(cause) => {
                let detail = cause.clone();
                report.failures.push(Mismatch { line: number, sql: line.to_string(), cause, detail });
                continue;
            }
        };
        let session = sessions.entry(session.clone()).or_insert_with(|| database.session());
        match check(&record, session, &mut labels) {
            Ok(()) => report.passed += 1,
            Err((cause, detail)) => {
                report.failures.push(Mismatch { line: record.line, sql: record.sql, cause, detail });
            }
        }
    }
    report
}

fn parse(line: usize, first: &str, sql: String, values: Vec<String>) -> Result<Record, String> {
    let words: Vec<&str> = first.split('#').next().unwrap_or_default().split_whitespace().collect();
    let expect = match words[..] {
        ["statement", "ok"] => Expect::Ok,
        ["statement", "count", count] => Expect::Count(count.parse().map_err(|_| format!("no count: {count}"))?),
        ["statement" | "query", "error"] => Expect::Error(None),
        ["statement" | "query", "error", code] => Expect::Error(Some(code.to_string())),
        ["query", types, ref rest @ ..] => {
            let sort = match rest.first() {
                None | Some(&"nosort") => Sort::No,
                Some(&"rowsort") => Sort::Rows,
                Some(&"valuesort") => Sort::Values,
                Some(other) => return Err(format!("no order: {other}")),
            };
            Expect::Rows { types: types.to_string(), sort, label: rest.get(1).map(ToString::to_string), values }
        }
        _ => return Err(format!("no record: {first}")),
    };
    Ok(Record { line, sql, expect })
}

fn check(
    record: &Record,
    session: &mut Session<Memory>,
    labels: &mut BTreeMap<String, Vec<String>>,
) -> Result<(), (String, String)> {
    let outputs = session.execute(&record.sql);
    let outputs = match (outputs, &record.expect) {
        (Err(Failure::Sql(error)), Expect::Error(code)) => {
            return match code {
                Some(code) if error.state.code() != code => {
                    Err(("another error".into(), format!("wanted {code}, got {error}")))
                }
                _ => Ok(()),
            };
        }
        (Ok(_), Expect::Error(_)) => return Err(("no error".into(), "it should fail".into())),
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
    match (&record.expect, output) {
        (Expect::Count(wanted), Output::Insert { count } | Output::Update { count } | Output::Delete { count }) => {
            if count == wanted {
                Ok(())
            } else {
                Err(("another count".into(), format!("wanted {wanted} rows, got {count}")))
            }
        }
        (Expect::Rows { types, sort, label, values }, Output::Select { rows, .. } | Output::Returning { rows, .. }) => {
            let got = results(rows, types, *sort)?;
            if let Some(label) = label {
                let before = labels.entry(label.clone()).or_insert_with(|| got.clone());
                if *before != got {
                    return Err(("label".into(), format!("it differs from the results of {label}")));
                }
            }
            compare(&got, values, types.len())
        }
        (Expect::Rows { types, values, .. }, Output::Explain { text }) => {
            let got: Vec<String> = text.lines().map(|line| line.trim_end().to_string()).collect();
            compare(&got, values, types.len())
        }
        (Expect::Ok, _) => Ok(()),
        _ => Err(("another kind of output".into(), format!("{output:?}"))),
    }
}

/// The values of rows as text, in order.
fn results(rows: &[Vec<Value>], types: &str, sort: Sort) -> Result<Vec<String>, (String, String)> {
    let types: Vec<char> = types.chars().collect();
    let mut texts: Vec<Vec<String>> = Vec::with_capacity(rows.len());
    for row in rows {
        if row.len() != types.len() {
            return Err(("columns".into(), format!("{} columns instead of {}", row.len(), types.len())));
        }
        texts.push(row.iter().zip(&types).map(|(value, kind)| show(value, *kind)).collect());
    }
    if sort == Sort::Rows {
        texts.sort();
    }
    let mut values: Vec<String> = texts.into_iter().flatten().collect();
    if sort == Sort::Values {
        values.sort();
    }
    Ok(values)
}

/// A value as SQLite's runner shows it for a column of a type.
fn show(value: &Value, kind: char) -> String {
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

fn compare(got: &[String], wanted: &[String], width: usize) -> Result<(), (String, String)> {
    if let [line] = wanted
        && let Some((count, hash)) = line.split_once(" values hashing to ")
    {
        let mut text = String::new();
        for value in got {
            text.push_str(value);
            text.push('\n');
        }
        let found = md5(text.as_bytes());
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

/// The MD5 digest of RFC 1321, in hexadecimal.
fn md5(data: &[u8]) -> String {
    const SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
    let constant = |step: usize| ((step as f64 + 1.0).sin().abs() * 4_294_967_296.0) as u32;
    let mut message = data.to_vec();
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    message.extend_from_slice(&(data.len() as u64 * 8).to_le_bytes());
    let mut state = [0x6745_2301u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    for block in message.chunks_exact(64) {
        let word = |position: usize| {
            let bytes = &block[4 * position..4 * position + 4];
            u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
        };
        let [mut a, mut b, mut c, mut d] = state;
        for step in 0..64 {
            let (mixed, position) = match step / 16 {
                0 => ((b & c) | (!b & d), step),
                1 => ((d & b) | (!d & c), (5 * step + 1) % 16),
                2 => (b ^ c ^ d, (3 * step + 5) % 16),
                _ => (c ^ (b | !d), (7 * step) % 16),
            };
            let sum = a.wrapping_add(mixed).wrapping_add(constant(step)).wrapping_add(word(position));
            (a, d, c) = (d, c, b);
            b = b.wrapping_add(sum.rotate_left(SHIFTS[step / 16][step % 4]));
        }
        for (total, value) in state.iter_mut().zip([a, b, c, d]) {
            *total = total.wrapping_add(value);
        }
    }
    let digits: Vec<String> = state.iter().map(|word| format!("{:08x}", word.swap_bytes())).collect();
    digits.concat()
}
