//! Random queries on several tables, with the optimizer and without: what succeeds without it gives the same rows with it.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use bolero::check;

use super::database::{Database, off, on};
use crate::sql::Output;
use crate::sql::types::Value;

/// What plans have had in them. A test that never joins by an index proves nothing about it.
const WANTED: [&str; 16] = [
    "Lateral join (inner)",
    "Lateral join (left)",
    "Hash join (inner)",
    "Hash join (left)",
    "Hash join (semi)",
    "Hash join (anti)",
    "Nested loop join (full)",
    "Merge join",
    "Index lookup",
    "Index-only lookup",
    "Key lookup",
    " or ",
    "reversed",
    "Top ",
    "Nothing",
    "Correlated subquery",
];

/// The tables; each has the columns `id`, `x`, `y` and `z`.
const TABLES: [(&str, &str); 4] = [
    ("a", "CREATE TABLE a (id INTEGER PRIMARY KEY, x INTEGER, y INTEGER, z TEXT); CREATE INDEX a_x ON a (x, y)"),
    (
        "b",
        "CREATE TABLE b (id INTEGER PRIMARY KEY, x FLOAT, y INTEGER NOT NULL, z TEXT); CREATE INDEX b_y ON b (y DESC)",
    ),
    ("c", "CREATE TABLE c (x INTEGER, id INTEGER, y INTEGER, z TEXT, PRIMARY KEY (x, id)); CREATE INDEX c_z ON c (z)"),
    ("d", "CREATE TABLE d (id INTEGER NOT NULL, x INTEGER, y FLOAT, z TEXT); CREATE UNIQUE INDEX d_id ON d (id)"),
];

struct Generator<'a, 'b> {
    u: &'a mut Unstructured<'b>,
    /// The tables that can be named.
    scope: Vec<String>,
    aliases: usize,
}

impl Generator<'_, '_> {
    fn pick(&mut self, choices: &[&'static str]) -> Result<&'static str> {
        Ok(*self.u.choose(choices)?)
    }

    fn number(&mut self) -> Result<String> {
        Ok(match self.u.int_in_range(0..=9)? {
            0 => "NULL".to_string(),
            1 => "1.5".to_string(),
            2 => "2.0".to_string(),
            _ => self.u.int_in_range(-1..=5)?.to_string(),
        })
    }

    fn column(&mut self) -> Result<String> {
        let table = self.u.choose(&self.scope)?.clone();
        let column = self.pick(&["id", "x", "y", "x", "y"])?;
        Ok(format!("{table}.{column}"))
    }

    fn operand(&mut self) -> Result<String> {
        Ok(match self.u.int_in_range(0..=9)? {
            0..=4 => self.column()?,
            5 => format!("({} + {})", self.column()?, self.number()?),
            6 => format!("(6 / {})", self.column()?),
            7 => format!("COALESCE({}, {})", self.column()?, self.number()?),
            _ => self.number()?,
        })
    }

    fn condition(&mut self, depth: usize) -> Result<String> {
        let not = if self.u.ratio(1, 6)? { "NOT " } else { "" };
        Ok(match self.u.int_in_range(0..=15)? {
            0..=3 => format!("{} = {}", self.column()?, self.column()?),
            4 | 5 => format!("{} {} {}", self.column()?, self.pick(&["=", "<", ">=", ">", "<>"])?, self.number()?),
            6 => format!("{} {} {}", self.operand()?, self.pick(&["=", "<", ">="])?, self.operand()?),
            7 => format!("{} {not}IN ({}, {})", self.column()?, self.number()?, self.number()?),
            8 => format!("{} {not}BETWEEN {} AND {}", self.column()?, self.number()?, self.number()?),
            9 => format!("{} IS {not}NULL", self.column()?),
            10 => format!("({} OR {})", self.condition(0)?, self.condition(0)?),
            11 => {
                let column = self.column()?;
                format!("({column} = {} OR {column} > {})", self.number()?, self.number()?)
            }
            12 | 13 if depth > 0 => {
                let (table, inner) = self.inner(depth)?;
                format!("{not}EXISTS (SELECT {table}.y FROM {inner})")
            }
            14 if depth > 0 => {
                let column = self.column()?;
                let (table, inner) = self.inner(depth)?;
                format!("{column} {not}IN (SELECT {table}.y FROM {inner})")
            }
            15 if depth > 0 => {
                let column = self.column()?;
                let (table, inner) = self.inner(depth)?;
                format!("{column} = (SELECT MAX({table}.x) FROM {inner})")
            }
            _ => {
                let text = self.u.choose(&self.scope)?.clone();
                format!("{text}.z {not}LIKE '{}'", self.pick(&["a%", "%b", "_"])?)
            }
        })
    }

    /// What follows FROM in a subquery, and its first table.
    fn inner(&mut self, depth: usize) -> Result<(String, String)> {
        let before = self.scope.len();
        let (table, alias) = self.table()?;
        let mut text = format!("{table} {alias}");
        // In most, something of the outer row.
        if self.u.ratio(3, 4)? {
            let outer = self.u.choose_index(before)?;
            let outer = self.scope[outer].clone();
            let column = self.pick(&["id", "x", "y"])?;
            self.scope.push(alias.clone());
            write!(text, " WHERE {alias}.{} = {outer}.{column}", self.pick(&["id", "x", "y"])?).expect("memory");
            if self.u.ratio(1, 3)? {
                write!(text, " AND {}", self.condition(depth - 1)?).expect("memory");
            }
        }
        self.scope.truncate(before);
        Ok((alias, text))
    }

    fn table(&mut self) -> Result<(&'static str, String)> {
        let (table, _) = *self.u.choose(&TABLES)?;
        self.aliases += 1;
        Ok((table, format!("t{}", self.aliases)))
    }

    /// A query, and whether its order is total.
    fn query(&mut self) -> Result<(String, bool)> {
        let (table, alias) = self.table()?;
        let mut from = format!("{table} {alias}");
        self.scope.push(alias);
        for _ in 0..self.u.int_in_range(0..=3)? {
            let (name, alias) = self.table()?;
            let mut table = name.to_string();
            if self.u.ratio(1, 8)? {
                table = format!("(SELECT y, x + 1 AS x, id, z FROM {name} WHERE id < 4)");
            }
            let kind =
                self.pick(&["JOIN", "JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", ","])?;
            self.scope.push(alias.clone());
            if kind == "," {
                from = format!("{from} CROSS JOIN {table} {alias}");
            } else {
                let mut on = format!("{alias}.{} = {}", self.pick(&["id", "x", "y"])?, self.column()?);
                if self.u.ratio(1, 3)? {
                    write!(on, " AND {}", self.condition(0)?).expect("memory");
                }
                from = format!("{from} {kind} {table} {alias} ON {on}");
            }
        }
        let mut text = String::new();
        let mut conditions = Vec::new();
        for _ in 0..self.u.int_in_range(0..=3)? {
            conditions.push(self.condition(2)?);
        }
        let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        let mut ordered = false;
        match self.u.int_in_range(0..=5)? {
            0 => {
                let (key, value) = (self.column()?, self.column()?);
                let call = self.pick(&["COUNT(*), SUM", "MIN", "MAX", "COUNT(DISTINCT "])?;
                let value = if call.ends_with(' ') { format!("{value})") } else { format!("({value})") };
                write!(text, "SELECT {key}, {call}{value} FROM {from}{filter} GROUP BY {key}").expect("memory");
                if self.u.ratio(1, 2)? {
                    write!(text, " HAVING {key} > {}", self.number()?).expect("memory");
                }
            }
            1 => {
                let call = self.pick(&["MIN", "MAX", "COUNT"])?;
                write!(text, "SELECT {call}({}) FROM {from}{filter}", self.column()?).expect("memory");
            }
            2 => write!(text, "SELECT DISTINCT {}, {} FROM {from}{filter}", self.column()?, self.column()?)
                .expect("memory"),
            _ => {
                let first = self.column()?;
                let second = self.operand()?;
                write!(text, "SELECT {first}, {second} AS w FROM {from}{filter}").expect("memory");
                ordered = self.u.ratio(1, 2)?;
                if ordered {
                    let direction = self.pick(&["", " DESC", " NULLS FIRST"])?;
                    write!(text, " ORDER BY {first}{direction}, w").expect("memory");
                    // Without, LIMIT could take other rows, of which some fail.
                    if self.u.ratio(1, 2)? && !second.contains('/') {
                        write!(text, " LIMIT {}", self.u.int_in_range(0..=4)?).expect("memory");
                    }
                }
            }
        }
        Ok((text, ordered))
    }
}

/// Tables with random rows, analyzed or not.
fn tables(u: &mut Unstructured<'_>) -> Result<Database> {
    let mut database = Database::new();
    for (table, create) in TABLES {
        for statement in create.split("; ") {
            database.run("", statement, &[], on()).expect("a table");
        }
        let rows = u.int_in_range(0..=8)?;
        let mut values = Vec::new();
        for id in 0..rows {
            let mut number = |most: i64| -> Result<String> {
                let n = u.int_in_range(-1..=most)?;
                Ok(if n < 0 { "NULL".to_string() } else { n.to_string() })
            };
            let (x, y) = (number(4)?, number(5)?);
            let z = *u.choose(&["'a'", "'b'", "'ab'", "NULL"])?;
            values.push(match table {
                "a" => format!("({id}, {x}, {y}, {z})"),
                "b" => format!("({id}, {x}, COALESCE({y}, 0), {z})"),
                "c" => format!("(COALESCE({x}, 0), {id}, {y}, {z})"),
                _ => format!("({id}, {x}, {y} + 0.5, {z})"),
            });
        }
        if !values.is_empty() {
            let insert = format!("INSERT INTO {table} VALUES {}", values.join(", "));
            database.run("", &insert, &[], on()).expect("rows");
        }
    }
    if u.arbitrary()? {
        database.run("", "ANALYZE", &[], on()).expect("statistics");
    }
    Ok(database)
}

/// The rows in an order of their own.
fn bag(rows: &[Vec<Value>]) -> Vec<String> {
    let mut bag: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
    bag.sort();
    bag
}

#[test]
fn queries_give_the_same_rows_optimized() {
    let met: Vec<AtomicUsize> = WANTED.iter().map(|_| AtomicUsize::new(0)).collect();
    let (compared, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let bytes = bolero::produce::<Vec<u8>>().with().len(100..2_000usize);
    let check = check!().with_generator(bytes).with_iterations(600).with_max_len(4_096);
    check.with_shrink_time(Duration::ZERO).for_each(|bytes| {
        let mut u = Unstructured::new(bytes);
        let Ok(database) = tables(&mut u) else { return };
        while !u.is_empty() {
            let Ok((sql, ordered)) = (Generator { u: &mut u, scope: Vec::new(), aliases: 0 }).query() else { break };
            let plan = match database.try_out("", &format!("EXPLAIN {sql}"), &[], on()) {
                Ok(Output::Explain { text }) => text,
                Ok(other) => panic!("{other:?}"),
                Err(error) => panic!("{error}\n{sql}"),
            };
            for (what, count) in WANTED.iter().zip(&met) {
                count.fetch_add(usize::from(plan.contains(what)), Ordering::Relaxed);
            }
            let Ok(Output::Select { rows: plain, .. }) = database.try_out("", &sql, &[], off()) else {
                failed.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            let rows = match database.try_out("", &sql, &[], on()) {
                Ok(Output::Select { rows, .. }) => rows,
                Ok(other) => panic!("{other:?}"),
                Err(error) => panic!("only with the optimizer: {error}\n{sql}\n{plan}"),
            };
            compared.fetch_add(1, Ordering::Relaxed);
            assert_eq!(bag(&rows), bag(&plain), "{sql}\n{plan}");
            if ordered {
                assert_eq!(rows, plain, "{sql}\n{plan}");
            }
        }
    });
    for (what, count) in WANTED.iter().zip(&met) {
        let count = count.load(Ordering::Relaxed);
        assert!(count > 2, "only {count} plans with {what:?}");
    }
    let (compared, failed) = (compared.load(Ordering::Relaxed), failed.load(Ordering::Relaxed));
    assert!(compared > 2 * failed, "{failed} queries failed, {compared} did not");
}
