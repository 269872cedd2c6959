//! SQL beside SQLite, both in memory and with prepared statements: `cargo bench -p bench --bench sql`.
//!
//! Each line is one statement at one size: CPU seconds of the thread for the engine and for SQLite, and their ratio. Both
//! are given the same text, plan it as they will, and have every value of every row read. The engine's tables are
//! multi-versioned, and each statement is a transaction; SQLite's are not. `-- ROWS` sets the largest size, `-- naive`
//! leaves the optimizer out, and any other word leaves only the statements with that word in their names.

#![expect(clippy::print_stdout, reason = "a report")]

use std::ops::ControlFlow;

use engine::database::{Database, DatabaseOptions, Prepared, Session};
use engine::sql::types::Value;
use engine::sql::{Failure, Options};
use engine::storage::Memory;
use rusqlite::Connection;
use rustix::time::{ClockId, clock_gettime};

fn seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// A sequence of numbers that look random (Knuth's MMIX constants).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// The same tables in both.
struct Both {
    session: Session<Memory>,
    sqlite: Connection,
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const SCHEMA: &str =
    "CREATE TABLE facts (id INTEGER PRIMARY KEY, customer INTEGER, product INTEGER, amount INTEGER, note TEXT);
     CREATE TABLE customers (id INTEGER PRIMARY KEY, region INTEGER);
     CREATE TABLE products (id INTEGER PRIMARY KEY, kind INTEGER);";

/// Writes between two commits.
const CHUNK: usize = 10_000;

impl Both {
    /// `rows` facts that refer to a tenth as many customers and to a hundred products.
    fn new(rows: u64, statements: Options) -> Result<Self> {
        let options = DatabaseOptions { statements, ..DatabaseOptions::default() };
        let database = Database::on(Memory::new(), options)?;
        let mut both = Self { session: database.session(), sqlite: Connection::open_in_memory()? };
        both.session.execute(SCHEMA)?;
        both.sqlite.execute_batch(SCHEMA)?;
        let mut numbers = Numbers(1);
        let mut number = |n: u64| Value::Integer(numbers.below(n) as i64);
        let customers = (rows / 10).max(1);
        let facts = (0..rows as i64).map(|id| {
            let note = Value::from(format!("note {}", id % 1000));
            vec![Value::Integer(id), number(customers), number(100), number(1_000_000_000), note]
        });
        let facts: Vec<_> = facts.collect();
        both.load("facts", &facts)?;
        let pair = |id: u64, groups: u64| vec![Value::Integer(id as i64), Value::Integer((id % groups) as i64)];
        both.load("customers", &(0..customers).map(|id| pair(id, 50)).collect::<Vec<_>>())?;
        both.load("products", &(0..100).map(|id| pair(id, 10)).collect::<Vec<_>>())?;
        both.session.execute("ANALYZE")?;
        both.sqlite.execute_batch("ANALYZE")?;
        Ok(both)
    }

    fn load(&mut self, table: &str, rows: &[Vec<Value>]) -> Result<()> {
        let width = rows.first().map_or(0, Vec::len);
        let marks = (1..=width).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
        let sql = format!("INSERT INTO {table} VALUES ({marks})");
        let ours = self.session.prepare(&sql)?;
        let transaction = self.sqlite.transaction()?;
        {
            let mut theirs = transaction.prepare(&sql)?;
            for chunk in rows.chunks(CHUNK) {
                self.session.execute("BEGIN")?;
                for row in chunk {
                    self.session.run(&ours, row)?;
                    theirs.execute(rusqlite::params_from_iter(row.iter().map(to_sqlite)))?;
                }
                self.session.execute("COMMIT")?;
            }
        }
        Ok(transaction.commit()?)
    }
}

/// Runs a query once, and gives how many rows came and a sum over their values.
fn run(session: &mut Session<Memory>, query: &Prepared, params: &[Value]) -> std::result::Result<(u64, i64), Failure> {
    let (mut count, mut sum) = (0, 0i64);
    session.query(query, params, |row| {
        count += 1;
        for value in row {
            sum = sum.wrapping_add(match value {
                Value::Integer(n) => *n,
                Value::Text(text) => text.len() as i64,
                _ => 0,
            });
        }
        ControlFlow::Continue(())
    })?;
    Ok((count, sum))
}

fn to_sqlite(value: &Value) -> rusqlite::types::Value {
    match value {
        Value::Integer(n) => (*n).into(),
        Value::Float(x) => (*x).into(),
        Value::Text(text) => text.to_string().into(),
        Value::Boolean(b) => (*b).into(),
        Value::Null => rusqlite::types::Value::Null,
    }
}

/// As [`run`] for SQLite.
fn run_sqlite(statement: &mut rusqlite::Statement<'_>, params: impl rusqlite::Params) -> rusqlite::Result<(u64, i64)> {
    let width = statement.column_count();
    let mut rows = statement.query(params)?;
    let (mut count, mut sum) = (0, 0i64);
    while let Some(row) = rows.next()? {
        count += 1;
        for column in 0..width {
            sum = sum.wrapping_add(match row.get_ref(column)? {
                rusqlite::types::ValueRef::Integer(n) => n,
                rusqlite::types::ValueRef::Text(text) => text.len() as i64,
                _ => 0,
            });
        }
    }
    Ok((count, sum))
}

fn report(name: &str, rows: u64, (ours, theirs): (f64, f64), unit: (f64, &str)) {
    let (scale, unit) = unit;
    println!("{name:<34} {rows:>9} {:>10.3} {:>10.3} {unit:<3} {:>6.2}", ours * scale, theirs * scale, ours / theirs);
}

/// The queries, each with the most facts that it can do without the optimizer, where that is a question of patience.
const QUERIES: [(&str, &str, u64); 12] = [
    ("scan with a filter", "SELECT id, amount FROM facts WHERE amount < 10000000", u64::MAX),
    ("group by, 100 groups", "SELECT product, COUNT(*), SUM(amount) FROM facts GROUP BY product", u64::MAX),
    ("group by, many groups", "SELECT customer, COUNT(*), SUM(amount) FROM facts GROUP BY customer", u64::MAX),
    ("group by the key", "SELECT id, COUNT(*) FROM facts GROUP BY id", u64::MAX),
    ("sort by an integer", "SELECT id, amount FROM facts ORDER BY amount", u64::MAX),
    ("sort by a text", "SELECT id, note FROM facts ORDER BY note", u64::MAX),
    ("first ten of a sort", "SELECT id, amount FROM facts ORDER BY amount LIMIT 10", u64::MAX),
    ("last ten by the key", "SELECT id, amount FROM facts ORDER BY id DESC LIMIT 10", u64::MAX),
    ("greatest key", "SELECT MAX(id) FROM facts", u64::MAX),
    (
        "join of three with groups",
        "SELECT c.region, COUNT(*), SUM(f.amount) FROM facts f JOIN customers c ON f.customer = c.id
         JOIN products p ON f.product = p.id GROUP BY c.region",
        0,
    ),
    (
        "join of three, few rows",
        "SELECT p.kind, c.region, f.amount FROM products p, customers c, facts f
         WHERE f.customer = c.id AND f.product = p.id AND f.id BETWEEN 100 AND 199",
        0,
    ),
    (
        "customers with a small fact",
        "SELECT id, region FROM customers c
         WHERE EXISTS (SELECT 1 FROM facts f WHERE f.customer = c.id AND f.amount < 50000000)",
        0,
    ),
];

/// How many seconds the runs of a statement take together, at least: a short one may find the processor slow at first.
const ENOUGH: f64 = 0.1;

/// Compares the two on a statement. The best of at least three runs counts.
fn compare(both: &mut Both, name: &str, rows: u64, sql: &str) -> Result<()> {
    let query = both.session.prepare(sql)?;
    let mut statement = both.sqlite.prepare(sql)?;
    let (mut ours, mut theirs) = (f64::MAX, f64::MAX);
    let (begin, mut runs) = (seconds(), 0);
    while runs < 3 || seconds() - begin < ENOUGH {
        let start = seconds();
        let given = run(&mut both.session, &query, &[])?;
        let middle = seconds();
        let expected = run_sqlite(&mut statement, [])?;
        ours = ours.min(middle - start);
        theirs = theirs.min(seconds() - middle);
        assert_eq!(given, expected, "{name}");
        runs += 1;
    }
    report(name, rows, (ours, theirs), (1e3, "ms"));
    Ok(())
}

/// Statements of a microsecond, each many times.
const COUNT: u64 = 100_000;

const POINT_SELECT: &str = "point select";
const POINT_INSERT: &str = "point insert";

fn point_select(both: &mut Both, rows: u64) -> Result<()> {
    let sql = "SELECT id, amount, note FROM facts WHERE id = $1";
    let query = both.session.prepare(sql)?;
    let mut statement = both.sqlite.prepare(sql)?;
    let mut numbers = Numbers(7);
    let ids: Vec<i64> = (0..COUNT).map(|_| numbers.below(rows) as i64).collect();
    let (mut a, mut b) = (0i64, 0i64);
    let start = seconds();
    for &id in &ids {
        a = a.wrapping_add(run(&mut both.session, &query, &[Value::Integer(id)])?.1);
    }
    let ours = seconds() - start;
    let start = seconds();
    for &id in &ids {
        b = b.wrapping_add(run_sqlite(&mut statement, [id])?.1);
    }
    let theirs = seconds() - start;
    assert_eq!(a, b);
    report(POINT_SELECT, rows, (ours / COUNT as f64, theirs / COUNT as f64), (1e6, "us"));
    Ok(())
}

fn point_insert(both: &mut Both, rows: u64) -> Result<()> {
    let new = |id: u64| rows as i64 + id as i64;
    let sql = "INSERT INTO facts VALUES ($1, $2, $3, $4, $5)";
    let insert = both.session.prepare(sql)?;
    let start = seconds();
    for id in 0..COUNT {
        let [id, customer, product, amount] = [new(id), 1, 2, 3].map(Value::Integer);
        both.session.run(&insert, &[id, customer, product, amount, Value::from("note")])?;
    }
    let ours = seconds() - start;
    let mut statement = both.sqlite.prepare(sql)?;
    let start = seconds();
    for id in 0..COUNT {
        statement.execute((new(id), 1, 2, 3, "note"))?;
    }
    let theirs = seconds() - start;
    report(POINT_INSERT, rows, (ours / COUNT as f64, theirs / COUNT as f64), (1e6, "us"));
    Ok(())
}

fn main() -> Result<()> {
    let most = std::env::args().find_map(|arg| arg.parse::<u64>().ok()).unwrap_or(1_000_000);
    let naive = std::env::args().any(|arg| arg == "naive");
    // Cargo adds `--bench`.
    let is_word = |arg: &String| arg != "naive" && !arg.starts_with('-') && arg.parse::<u64>().is_err();
    let words: Vec<String> = std::env::args().skip(1).filter(is_word).collect();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    let options = Options { optimize: !naive, ..Options::default() };
    println!("{:<34} {:>9} {:>10} {:>10} {:<3} {:>6}", "statement", "rows", "engine", "SQLite", "", "ratio");
    for rows in [10_000, 100_000, 1_000_000].into_iter().filter(|rows| *rows <= most) {
        let mut both = Both::new(rows, options)?;
        for (name, sql, most_naive) in QUERIES {
            if wanted(name) && (!naive || rows <= most_naive) {
                compare(&mut both, name, rows, sql)?;
            }
        }
        if wanted(POINT_SELECT) {
            point_select(&mut both, rows)?;
        }
        if wanted(POINT_INSERT) {
            point_insert(&mut both, rows)?;
        }
    }
    Ok(())
}
