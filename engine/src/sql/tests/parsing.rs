//! Text that is no statement, or one that is too much: errors, never a panic or a stack overflow.

use arbitrary::Unstructured;
use bolero::check;

use super::database::{Database, off, on};
use super::generate::{self, Generator};
use crate::sql::executor::Settings;
use crate::sql::types::Value;
use crate::sql::{self, Options, Output, SqlState};

const WORDS: [&str; 104] = [
    "SELECT",
    "FROM",
    "WHERE",
    "ORDER",
    "BY",
    "LIMIT",
    "OFFSET",
    "ASC",
    "DESC",
    "NULLS",
    "FIRST",
    "LAST",
    "INSERT",
    "INTO",
    "VALUES",
    "DEFAULT",
    "UPDATE",
    "SET",
    "DELETE",
    "CREATE",
    "TABLE",
    "DROP",
    "IF",
    "NOT",
    "EXISTS",
    "PRIMARY",
    "KEY",
    "UNIQUE",
    "NULL",
    "INTEGER",
    "FLOAT",
    "TEXT",
    "BOOLEAN",
    "VARCHAR",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "READ",
    "ONLY",
    "ISOLATION",
    "LEVEL",
    "SERIALIZABLE",
    "AS",
    "OF",
    "SYSTEM",
    "TIME",
    "EXPLAIN",
    "AND",
    "OR",
    "IS",
    "TRUE",
    "FALSE",
    "UNKNOWN",
    "BETWEEN",
    "IN",
    "LIKE",
    "ESCAPE",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "CAST",
    "COALESCE",
    "ABS",
    "JOIN",
    "ON",
    "GROUP",
    "DISTINCT",
    "UNION",
    "WITH",
    "COUNT",
    "t",
    "id",
    "a",
    "\"a\"",
    "'x'",
    "1",
    "1.5",
    "1e400",
    "$1",
    "$2",
    "(",
    ")",
    ",",
    ";",
    ".",
    "*",
    "+",
    "-",
    "/",
    "%",
    "^",
    "!",
    "||",
    "=",
    "<>",
    "<",
    ">=",
    "::",
    "--",
    "/*",
    "[",
    "?",
];

/// Parses, and runs what parses.
fn attempt(text: &str, params: &[Value]) {
    let Ok(statement) = sql::parse(text) else { return };
    if statement.kind() != sql::Kind::Query {
        return;
    }
    let mut database = Database::new();
    let create = "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE)";
    database.run("", create, &[], on()).unwrap();
    database.run("", "INSERT INTO t VALUES (1, 'x'), (2, NULL)", &[], on()).unwrap();
    // What a text asks for may be more than anybody can wait for.
    for options in [on(), off()] {
        let settings = Settings { steps: 10_000, ..options.settings };
        let _ = database.try_out("", text, params, Options { settings, ..options });
    }
}

#[test]
fn any_text_is_a_statement_or_an_error() {
    check!().with_type::<String>().with_iterations(3_000).for_each(|text| attempt(text, &[]));
    check!()
        .with_type::<Vec<u8>>()
        .with_iterations(3_000)
        .for_each(|bytes| attempt(&String::from_utf8_lossy(bytes), &[]));
}

#[test]
fn any_sequence_of_words_is_a_statement_or_an_error() {
    let params = [Value::Integer(1), Value::Null];
    check!().with_type::<Vec<u8>>().with_iterations(2_000).for_each(|choices| {
        let words: Vec<&str> = choices.iter().map(|&choice| WORDS[usize::from(choice) % WORDS.len()]).collect();
        attempt(&words.join(" "), &params);
        attempt(&format!("SELECT {}", words.join(" ")), &params);
    });
}

/// Statements that mean something, with words taken out, put in, or put elsewhere.
#[test]
fn a_damaged_statement_is_a_statement_or_an_error() {
    let bytes = bolero::produce::<Vec<u8>>().with().len(0..400usize);
    check!().with_generator(bytes).with_iterations(3_000).for_each(|bytes| {
        let mut u = Unstructured::new(bytes);
        let Ok(columns) = generate::table(&mut u) else { return };
        let Ok(statement) = (Generator { u: &mut u, columns: &columns }).statement() else { return };
        let (sql, params) = statement.sql(&columns);
        let mut words: Vec<&str> = sql.split(' ').collect();
        for _ in 0..u.int_in_range(1..=3).unwrap_or(1) {
            let from = u.choose_index(words.len()).unwrap_or(0);
            let to = u.choose_index(words.len()).unwrap_or(0);
            match u.int_in_range(0..=3).unwrap_or(0) {
                0 if words.len() > 1 => drop(words.remove(from)),
                1 => words.swap(from, to),
                2 => words.insert(from, words[to]),
                _ => words.insert(from, WORDS[u.choose_index(WORDS.len()).unwrap_or(0)]),
            }
        }
        attempt(&words.join(" "), &params);
    });
}

/// Builds a statement of some depth.
type Deep = fn(usize) -> String;

/// A text with numbered parts between its ends.
fn numbered(start: &str, count: usize, part: &str, end: &str) -> String {
    let parts: Vec<String> = (0..count).map(|n| part.replace('#', &n.to_string())).collect();
    format!("{start}{}{end}", parts.concat())
}

/// Ways into the depth, each with a depth that must still work.
const DEEP: [(Deep, usize); 25] = [
    (|n| format!("SELECT {}1{}", "(".repeat(n), ")".repeat(n)), 20),
    (|n| format!("SELECT {}1", "- ".repeat(n)), 40),
    (|n| format!("SELECT {}TRUE", "NOT ".repeat(n)), 40),
    (|n| format!("SELECT 1{}", " + 1".repeat(n)), 180),
    (|n| format!("SELECT TRUE{}", " AND TRUE".repeat(n)), 90),
    (|n| format!("SELECT 1{}", " ^ 1".repeat(n)), 40),
    (|n| format!("SELECT 1{}", "::INTEGER".repeat(n)), 90),
    (|n| format!("SELECT 1{}", " !".repeat(n)), 180),
    (|n| format!("SELECT {}1{}", "ABS(".repeat(n), ")".repeat(n)), 20),
    (|n| format!("SELECT {}1{}", "CASE WHEN TRUE THEN ".repeat(n), " END".repeat(n)), 20),
    (|n| format!("SELECT {}1{}", "COALESCE(NULL, ".repeat(n), ")".repeat(n)), 20),
    (|n| format!("SELECT {}TRUE{}", "(".repeat(n), " BETWEEN FALSE AND TRUE)".repeat(n)), 20),
    (|n| format!("SELECT {}1{}", "1 IN (".repeat(n), ")".repeat(n)), 20),
    (|n| format!("SELECT {}1{}", "(SELECT ".repeat(n), ")".repeat(n)), 10),
    (|n| format!("SELECT {}TRUE{}", "EXISTS (SELECT 1 WHERE ".repeat(n), ")".repeat(n)), 10),
    (|n| format!("SELECT 1{}", " UNION SELECT 1".repeat(n)), 40),
    (|n| numbered("SELECT count(*) FROM t", n, ", t AS t#", ""), 40),
    (|n| numbered("SELECT count(*) FROM t", n, " JOIN t AS t# USING (id)", ""), 20),
    (|n| format!("SELECT count(*) FROM {}t{}", "(SELECT * FROM ".repeat(n), ") AS x".repeat(n)), 10),
    (|n| numbered("WITH ", n, "x# AS (SELECT 1), ", "y AS (SELECT 1) SELECT count(*) FROM y"), 20),
    (|n| format!("SELECT {}TRUE{}", "(".repeat(n), ", 1) < (TRUE, 1)".repeat(n)), 5),
    (|n| format!("SELECT {}TRUE{}", "(1, 1) NOT IN (SELECT 1, 1 WHERE ".repeat(n), ")".repeat(n)), 4),
    (|n| format!("SELECT {}TRUE{}", "(1, 1) = (SELECT 1, 1 WHERE ".repeat(n), ")".repeat(n)), 4),
    (|n| format!("SELECT 1{}", "::REGCLASS".repeat(n)), 5),
    (|n| format!("EXPLAIN SELECT * FROM t WHERE {}id = 1{}", "(".repeat(n), ")".repeat(n)), 20),
];

#[test]
fn depth_is_limited() {
    let mut database = Database::new();
    database.run("", "CREATE TABLE t (id INTEGER PRIMARY KEY)", &[], on()).unwrap();
    for (statement, works) in DEEP {
        let sql = statement(works);
        match database.try_out("", &sql, &[], on()) {
            Ok(Output::Select { rows, .. }) => assert_eq!(rows.len(), 1, "{sql}"),
            Ok(Output::Explain { .. }) => {}
            // Types do not matter here, only that the depth is no problem.
            Err(error) => assert_eq!(error.state, SqlState::UNDEFINED_FUNCTION, "{error}: {sql}"),
            Ok(other) => panic!("{other:?}: {sql}"),
        }
        for n in (works..600).step_by(7).chain([5_000, 40_000]) {
            let sql = statement(n);
            attempt(&sql, &[]);
            if n >= 600 {
                let error = sql::parse(&sql).unwrap_err();
                // Some are too long before they are too deep.
                let too_much = [SqlState::STATEMENT_TOO_COMPLEX, SqlState::PROGRAM_LIMIT_EXCEEDED];
                assert!(too_much.contains(&error.state), "{error}: depth {n} of {}", statement(1));
            }
        }
    }
}

#[test]
fn lengths_are_limited() {
    let state = |sql: &str| sql::parse(sql).unwrap_err().state;
    assert_eq!(state(&" ".repeat(2 << 20)), SqlState::PROGRAM_LIMIT_EXCEEDED);
    assert_eq!(state(&format!("SELECT {}", "a".repeat(200))), SqlState::NAME_TOO_LONG);
    assert_eq!(
        state(&format!("CREATE TABLE \"{}\" (id INTEGER PRIMARY KEY)", "a".repeat(200))),
        SqlState::NAME_TOO_LONG
    );
    let wide = vec!["1"; 100_000].join(", ");
    assert!(sql::parse(&format!("SELECT {wide}")).is_ok());
    assert!(sql::parse(&format!("SELECT 1 IN ({wide})")).is_ok());
}

#[test]
fn texts_are_limited() {
    let mut database = Database::new();
    let mut run = |sql: &str, text: String| database.run("", sql, &[Value::Text(text)], on());
    let create = "CREATE TABLE t (id TEXT PRIMARY KEY, u TEXT UNIQUE, a TEXT)";
    run(create, String::new()).unwrap();
    // A zero byte is where encodings grow.
    let longest = "\0".repeat(8 << 10);
    run("INSERT INTO t VALUES ($1, $1, $1)", longest.clone()).unwrap();
    let state = |result: Result<Output, sql::Error>| result.unwrap_err().state;
    for column in ["id", "u"] {
        let insert =
            format!("INSERT INTO t (id, {column}) VALUES ('x', $1)").replace("(id, id) VALUES ('x', ", "(id) VALUES (");
        assert_eq!(state(run(&insert, longest.clone() + "a")), SqlState::PROGRAM_LIMIT_EXCEEDED);
    }
    let found = run("SELECT id FROM t WHERE u = $1", longest.clone() + "a").unwrap();
    assert!(matches!(found, Output::Select { rows, .. } if rows.is_empty()));
    run("INSERT INTO t (id, a) VALUES ('x', $1)", longest.repeat(100)).unwrap();
    let double = "UPDATE t SET a = a || a WHERE id = 'x'";
    let error = (0..20).find_map(|_| run(double, String::new()).err()).unwrap();
    assert_eq!(error.state, SqlState::PROGRAM_LIMIT_EXCEEDED);
}
