//! The executor beside SQLite, both in memory and with prepared statements: `cargo bench -p bench --bench sql`.
//!
//! Each line is one statement at one size: CPU seconds of the thread for the engine and for SQLite, and their ratio. Both
//! read every value of every row that comes out. The engine's plans are those that a planner would choose; its tables
//! are multi-versioned, SQLite's are not. `-- ROWS` sets the largest size.

#![expect(clippy::print_stdout, reason = "a report")]

use std::sync::Arc;

use engine::mvcc::{Isolation, Read, Store, Transaction, Txn, View};
use engine::sql::Failure;
use engine::sql::algebra::{
    Access, Aggregate, AggregateCall, AggregateMethod, Expr, Join, JoinKind, JoinMethod, KeyRange, Node, Scan, SortKey,
};
use engine::sql::executor::{Context, open};
use engine::sql::functions::AggregateFunction;
use engine::sql::schema::keys::RowKey;
use engine::sql::schema::{Column, Table, row};
use engine::sql::types::{DataType, Value};
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

fn table(id: u32, name: &str, columns: &[(&str, DataType)]) -> Arc<Table> {
    let column = |(name, datatype): &(&str, DataType)| Column {
        name: (*name).to_string(),
        datatype: *datatype,
        max_length: None,
        nullable: true,
        default: None,
        missing: Value::Null,
        dropped: false,
    };
    Arc::new(Table {
        id,
        name: name.to_string(),
        columns: columns.iter().map(column).collect(),
        primary_key: vec![0],
        indexes: Vec::new(),
        checks: Vec::new(),
        foreign_keys: Vec::new(),
        referenced_by: Vec::new(),
    })
}

/// The same tables in both.
struct Both {
    store: Store<Memory>,
    sqlite: Connection,
    facts: Arc<Table>,
    customers: Arc<Table>,
    products: Arc<Table>,
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

impl Both {
    /// `rows` facts that refer to a tenth as many customers and to a hundred products.
    fn new(rows: u64) -> Result<Self> {
        use DataType::{Integer, Text};
        let facts = [("id", Integer), ("customer", Integer), ("product", Integer), ("amount", Integer), ("note", Text)];
        let mut both = Self {
            store: Store::new(Memory::new())?,
            sqlite: Connection::open_in_memory()?,
            facts: table(1, "facts", &facts),
            customers: table(2, "customers", &[("id", Integer), ("region", Integer)]),
            products: table(3, "products", &[("id", Integer), ("kind", Integer)]),
        };
        both.sqlite.execute_batch(
            "CREATE TABLE facts (id INTEGER PRIMARY KEY, customer INTEGER, product INTEGER, amount INTEGER, note TEXT);
             CREATE TABLE customers (id INTEGER PRIMARY KEY, region INTEGER);
             CREATE TABLE products (id INTEGER PRIMARY KEY, kind INTEGER);",
        )?;
        let mut numbers = Numbers(1);
        let mut number = |n: u64| Value::Integer(numbers.below(n) as i64);
        let customers = (rows / 10).max(1);
        let facts = (0..rows as i64).map(|id| {
            let note = Value::Text(format!("note {}", id % 1000));
            vec![Value::Integer(id), number(customers), number(100), number(1_000_000_000), note]
        });
        let facts: Vec<_> = facts.collect();
        both.load(&Arc::clone(&both.facts), facts)?;
        let pair = |id: u64, groups: u64| vec![Value::Integer(id as i64), Value::Integer((id % groups) as i64)];
        both.load(&Arc::clone(&both.customers), (0..customers).map(|id| pair(id, 50)).collect())?;
        both.load(&Arc::clone(&both.products), (0..100).map(|id| pair(id, 10)).collect())?;
        Ok(both)
    }

    fn load(&mut self, table: &Table, rows: Vec<Vec<Value>>) -> Result<()> {
        let writes = rows.iter().map(|row| (table.row_key(&RowKey::of(table, row)), Some(row::encode(row))));
        let writes: Vec<_> = writes.collect();
        self.store.commit(self.store.applied() + 1, writes, [])?;
        let transaction = self.sqlite.transaction()?;
        {
            let marks = vec!["?"; table.columns.len()].join(", ");
            let mut insert = transaction.prepare(&format!("INSERT INTO {} VALUES ({marks})", table.name))?;
            for row in rows {
                insert.execute(rusqlite::params_from_iter(row.iter().map(to_sqlite)))?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Runs a plan once, and gives how many rows came and a sum over their values.
    fn run(&self, plan: &Node, params: &[Value]) -> std::result::Result<(u64, i64), Failure> {
        let mut txn = Txn::new(self.store.applied(), Isolation::Snapshot, true);
        let view = View::new(&self.store, &mut txn);
        let ctx = Context::new(&view, params);
        let mut rows = open(plan, &ctx)?;
        let (mut count, mut sum) = (0, 0i64);
        while let Some(batch) = rows.next_batch()? {
            for row in batch.iter() {
                count += 1;
                for value in row {
                    sum = sum.wrapping_add(match value {
                        Value::Integer(n) => *n,
                        Value::Text(text) => text.len() as i64,
                        _ => 0,
                    });
                }
            }
        }
        Ok((count, sum))
    }
}

fn to_sqlite(value: &Value) -> rusqlite::types::Value {
    match value {
        Value::Integer(n) => (*n).into(),
        Value::Float(x) => (*x).into(),
        Value::Text(text) => text.clone().into(),
        Value::Boolean(b) => (*b).into(),
        Value::Null => rusqlite::types::Value::Null,
    }
}

/// As [`Both::run`] for SQLite.
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

fn scan(table: &Arc<Table>, columns: &[usize]) -> Node {
    let mut scan = Scan::all(Arc::clone(table), table.name.clone());
    scan.columns = columns.to_vec();
    Node::Scan(Box::new(scan))
}

fn call(function: AggregateFunction, args: &[usize]) -> AggregateCall {
    AggregateCall { function, args: args.iter().map(|&n| Expr::Column(n)).collect(), distinct: false, filter: None }
}

fn group(input: Node, by: usize, calls: Vec<AggregateCall>) -> Node {
    let (groups, method) = (vec![Expr::Column(by)], AggregateMethod::Hash);
    Node::Aggregate(Box::new(Aggregate { input, groups, calls, method }))
}

fn join(left: Node, right: Node, (a, b): (usize, usize)) -> Node {
    let keys = vec![(Expr::Column(a), Expr::Column(b))];
    let method = JoinMethod::Hash { keys, residual: None };
    Node::Join(Box::new(Join { left, right, kind: JoinKind::Inner, on: None, method }))
}

fn report(name: &str, rows: u64, (ours, theirs): (f64, f64), unit: (f64, &str)) {
    let (scale, unit) = unit;
    println!("{name:<34} {rows:>9} {:>10.3} {:>10.3} {unit:<3} {:>6.2}", ours * scale, theirs * scale, ours / theirs);
}

/// Compares a plan with a statement. The best of a few runs counts.
fn compare(both: &Both, name: &str, rows: u64, plan: &Node, sql: &str) -> Result<()> {
    let mut statement = both.sqlite.prepare(sql)?;
    let (mut ours, mut theirs) = (f64::MAX, f64::MAX);
    for _ in 0..3 {
        let start = seconds();
        let given = both.run(plan, &[])?;
        let middle = seconds();
        let expected = run_sqlite(&mut statement, [])?;
        ours = ours.min(middle - start);
        theirs = theirs.min(seconds() - middle);
        assert_eq!(given, expected, "{name}");
    }
    report(name, rows, (ours, theirs), (1e3, "ms"));
    Ok(())
}

fn queries(both: &Both, rows: u64) -> Result<()> {
    use AggregateFunction::{CountRows, Sum};
    let facts = &both.facts;
    compare(
        both,
        "scan with a filter",
        rows,
        &{
            let less = Expr::Binary(
                engine::sql::algebra::Binary::Less,
                Box::new(Expr::Column(1)),
                Box::new(Expr::Constant(Value::Integer(10_000_000))),
            );
            Node::Filter { input: Box::new(scan(facts, &[0, 3])), predicate: less }
        },
        "SELECT id, amount FROM facts WHERE amount < 10000000",
    )?;
    let grouped = |by: usize| group(scan(facts, &[by, 3]), 0, vec![call(CountRows, &[]), call(Sum, &[1])]);
    let sql = "SELECT product, COUNT(*), SUM(amount) FROM facts GROUP BY product";
    compare(both, "group by, 100 groups", rows, &grouped(2), sql)?;
    let sql = "SELECT customer, COUNT(*), SUM(amount) FROM facts GROUP BY customer";
    compare(both, "group by, many groups", rows, &grouped(1), sql)?;
    let order = |input: Node, first: Option<Expr>| {
        let keys = vec![SortKey { expr: Expr::Column(1), descending: false, nulls_first: false }];
        Node::Sort { input: Box::new(input), keys, first }
    };
    let sql = "SELECT id, amount FROM facts ORDER BY amount";
    compare(both, "sort by an integer", rows, &order(scan(facts, &[0, 3]), None), sql)?;
    let sql = "SELECT id, note FROM facts ORDER BY note";
    compare(both, "sort by a text", rows, &order(scan(facts, &[0, 4]), None), sql)?;
    let first = Some(Expr::Constant(Value::Integer(10)));
    let sql = "SELECT id, amount FROM facts ORDER BY amount LIMIT 10";
    compare(both, "first ten of a sort", rows, &order(scan(facts, &[0, 3]), first), sql)?;
    let joined = join(scan(facts, &[1, 2, 3]), scan(&both.customers, &[0, 1]), (0, 0));
    let joined = join(joined, scan(&both.products, &[0, 1]), (1, 0));
    let plan = group(joined, 4, vec![call(CountRows, &[]), call(Sum, &[2])]);
    let sql = "SELECT c.region, COUNT(*), SUM(f.amount) FROM facts f JOIN customers c ON f.customer = c.id
               JOIN products p ON f.product = p.id GROUP BY c.region";
    compare(both, "join of three with groups", rows, &plan, sql)
}

fn points(both: &mut Both, rows: u64) -> Result<()> {
    const COUNT: u64 = 100_000;
    let mut lookup = Scan::all(Arc::clone(&both.facts), "facts".to_string());
    lookup.columns = vec![0, 3, 4];
    lookup.access =
        Access { ranges: vec![KeyRange { prefix: vec![Expr::Parameter(0)], ..KeyRange::all() }], ..Access::all() };
    let plan = Node::Scan(Box::new(lookup));
    let (mut ours, mut theirs) = (0.0, 0.0);
    {
        let mut statement = both.sqlite.prepare("SELECT id, amount, note FROM facts WHERE id = ?")?;
        let mut numbers = Numbers(7);
        let ids: Vec<i64> = (0..COUNT).map(|_| numbers.below(rows) as i64).collect();
        let (mut a, mut b) = (0i64, 0i64);
        let start = seconds();
        for &id in &ids {
            a = a.wrapping_add(both.run(&plan, &[Value::Integer(id)])?.1);
        }
        ours += seconds() - start;
        let start = seconds();
        for &id in &ids {
            b = b.wrapping_add(run_sqlite(&mut statement, [id])?.1);
        }
        theirs += seconds() - start;
        assert_eq!(a, b);
    }
    report("point select", rows, (ours / COUNT as f64, theirs / COUNT as f64), (1e6, "us"));
    let new = |id: u64| rows as i64 + id as i64;
    let start = seconds();
    for id in 0..COUNT {
        let row = [new(id), 1, 2, 3].map(Value::Integer);
        let row: Vec<Value> = row.into_iter().chain([Value::Text("note".to_string())]).collect();
        let mut txn = Txn::new(both.store.applied(), Isolation::Snapshot, false);
        let mut view = View::new(&both.store, &mut txn);
        let key = both.facts.row_key(&RowKey::of(&both.facts, &row));
        assert!(view.get(&key, Read::Constraint)?.is_none());
        view.set(key, row::encode(&row))?;
        let commit = txn.into_commit();
        assert!(both.store.validate(&commit)?.is_ok());
        both.store.commit(both.store.applied() + 1, commit.writes, [])?;
    }
    let ours = seconds() - start;
    let mut statement = both.sqlite.prepare("INSERT INTO facts VALUES (?, ?, ?, ?, ?)")?;
    let start = seconds();
    for id in 0..COUNT {
        statement.execute((new(id), 1, 2, 3, "note"))?;
    }
    let theirs = seconds() - start;
    report("point insert", rows, (ours / COUNT as f64, theirs / COUNT as f64), (1e6, "us"));
    Ok(())
}

fn main() -> Result<()> {
    let most = std::env::args().find_map(|arg| arg.parse::<u64>().ok()).unwrap_or(1_000_000);
    println!("{:<34} {:>9} {:>10} {:>10} {:<3} {:>6}", "statement", "rows", "engine", "SQLite", "", "ratio");
    for rows in [10_000, 100_000, 1_000_000].into_iter().filter(|rows| *rows <= most) {
        let mut both = Both::new(rows)?;
        queries(&both, rows)?;
        points(&mut both, rows)?;
    }
    Ok(())
}
