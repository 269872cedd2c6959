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
    (|n| format!("SELECT 1{}", " EXCEPT SELECT 2".repeat(n)), 150),
    (|n| format!("SELECT {}1{}", "(".repeat(n), format!("{})", " + 1".repeat(9)).repeat(n)), 15),
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

/// Builds a statement of some width.
const WIDE: [(Deep, usize); 12] = [
    (|n| format!("SELECT count(*) FROM t WHERE id = 1{}", " OR id = 1".repeat(n)), 990),
    (|n| format!("SELECT count(*) FROM t WHERE t.id <> 1{}", " AND t.id <> 1".repeat(n)), 990),
    (|n| numbered("SELECT count(*) FROM t WHERE id = 1", n, " OR id = # AND id + 1 = 2", ""), 900),
    (|n| numbered("SELECT count(*) FROM t WHERE id = 1", n, " AND (id = # OR id BETWEEN 1 AND 2)", ""), 900),
    (|n| format!("SELECT TRUE{}", " AND TRUE".repeat(n)), 990),
    (|n| format!("SELECT CASE{} END", " WHEN 1 = 2 AND TRUE THEN -1".repeat(n)), 3_000),
    (|n| format!("SELECT 1{}", " UNION SELECT 1".repeat(n)), 900),
    (|n| format!("SELECT count(*) FROM (SELECT id FROM t{}) AS u", " UNION ALL SELECT id FROM t".repeat(n)), 900),
    (|n| format!("SELECT 1{}", " INTERSECT SELECT 1".repeat(n)), 900),
    (|n| numbered("SELECT count(*) FROM t", n, " JOIN t AS t# ON t#.id = t.id AND t#.id > 0", ""), 127),
    (|n| numbered("SELECT count(*) FROM t", n, " LEFT JOIN t AS t# ON t#.id = t.id", ""), 127),
    (|n| numbered("SELECT count(*) FROM t", n, ", t AS t#", ""), 127),
];

#[test]
fn width_is_no_depth() {
    let mut database = Database::new();
    database.run("", "CREATE TABLE t (id INTEGER PRIMARY KEY)", &[], on()).unwrap();
    database.run("", "INSERT INTO t VALUES (1)", &[], on()).unwrap();
    for (statement, width) in WIDE {
        for n in [1, 18, 19, 20, 21, 100, width] {
            let sql = statement(n.min(width));
            for options in [on(), off()] {
                match database.try_out("", &sql, &[], options) {
                    Ok(Output::Select { rows, .. }) => assert_eq!(rows.len(), 1, "{}", &sql[..60]),
                    other => panic!("{other:?}: {}", &sql[..60]),
                }
            }
        }
    }
}

/// What is grouped means the same.
#[test]
fn groups_change_nothing() {
    let database = Database::new();
    let value = |expr: &str| match database.try_out("", &format!("SELECT {expr}"), &[], on()) {
        Ok(Output::Select { rows, .. }) => rows[0][0].clone(),
        other => panic!("{other:?}: {expr}"),
    };
    for n in [40, 600] {
        // The one that counts, at each place of some.
        for at in (0..n).step_by(n / 20).chain([n - 1]) {
            let chain = |op: &str, most: &str, one: &str| {
                let operands: Vec<&str> = (0..n).map(|nth| if nth == at { one } else { most }).collect();
                operands.join(op)
            };
            assert_eq!(value(&chain(" AND ", "TRUE", "FALSE")), Value::Boolean(false));
            assert_eq!(value(&chain(" AND ", "TRUE", "NULL")), Value::Null);
            assert_eq!(value(&chain(" OR ", "NOT 1 = 1", "1 BETWEEN 0 AND 2")), Value::Boolean(true));
            assert_eq!(value(&chain(" OR ", "1 = 1 AND FALSE", "TRUE AND NOT FALSE")), Value::Boolean(true));
            assert_eq!(value(&chain(" AND ", "FALSE OR TRUE", "TRUE OR FALSE")), Value::Boolean(true));
            let short = chain(" AND ", "1 / 1 = 1", "FALSE") + " AND 1 / 0 = 1";
            assert_eq!(value(&short), Value::Boolean(false));
            let case = chain(" AND ", "CASE WHEN TRUE OR FALSE AND FALSE THEN TRUE END", "CASE 1 WHEN 2 THEN TRUE END");
            assert_eq!(value(&case), Value::Null);
            let count = |query: String| value(&format!("(SELECT count(*) FROM ({query}) AS x)"));
            let n = i64::try_from(n).unwrap();
            assert_eq!(count(chain(" UNION ", "SELECT 1", "SELECT 2 AS a WHERE TRUE")), Value::Integer(2));
            assert_eq!(count(chain(" UNION ALL ", "SELECT 1", "SELECT 2 UNION ALL SELECT 3")), Value::Integer(n + 1));
            assert_eq!(count(chain(" INTERSECT ", "SELECT 1", "SELECT 2")), Value::Integer(0));
            assert_eq!(count(chain(" UNION ", "VALUES (1)", "SELECT 2 INTERSECT SELECT 3")), Value::Integer(1));
        }
    }
    // Sums and differences stay as they are.
    assert_eq!(value(&format!("9223372036854775807{} - 1", " - 1 + 1".repeat(50))), Value::Integer(i64::MAX - 1));
    let difference = format!("SELECT 1{}", " EXCEPT SELECT 2 EXCEPT SELECT 1 UNION SELECT 1".repeat(20));
    assert_eq!(value(&format!("(SELECT count(*) FROM ({difference}) AS x)")), Value::Integer(1));
}

/// Names that are keywords hide no depth.
#[test]
fn keywords_as_names_hide_no_depth() {
    let words = [
        "join",
        "when",
        "then",
        "else",
        "union",
        "case",
        "end",
        "as",
        "and",
        "between",
        "select",
        "order",
        "limit",
        "returning",
        "left",
        "from",
        "where",
        "on",
        "join(1)",
        "then(1)",
        "1",
        "t.join",
        "union(1)",
    ];
    let operators = [
        " + ",
        " LIKE ",
        " IS DISTINCT FROM ",
        " IS NULL - ",
        " AT TIME ZONE ",
        " BETWEEN 1 AND ",
        " || ",
        "::int % ",
        " ! * ",
        " OPERATOR(+) ",
        " SIMILAR TO ",
        " AND ",
        " OR ",
        " UNION SELECT ",
        " JOIN ",
        " , ",
        " ! UNION SELECT ",
        " EXCEPT SELECT ",
    ];
    for word in words {
        for operator in operators {
            for (start, end) in [("", ""), ("CASE WHEN ", " THEN 1 END"), ("(", ")")] {
                // Queries are freed with the least stack, so it takes most of them to exhaust it.
                let length = if start.is_empty() && operator.ends_with("SELECT ") { 50_000 } else { 10_000 };
                let chain = vec![word; length].join(operator);
                attempt(&format!("SELECT {start}{chain}{end}"), &[]);
            }
        }
    }
}

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
    let mut run = |sql: &str, text: String| database.run("", sql, &[Value::from(text)], on());
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
