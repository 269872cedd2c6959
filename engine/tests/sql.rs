//! SQL scripts in the format of sqllogictest, each on an embedded database: `tests/sql/*.slt`. The comment at the head of
//! each names the rows of the checklist that it proves.

#[path = "support/slt.rs"]
mod slt;

macro_rules! scripts {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            let report = slt::run(include_str!(concat!("sql/", stringify!($name), ".slt")));
            let failures: Vec<String> = report
                .failures
                .iter()
                .map(|failure| format!("line {}: {}: {}\n{}", failure.line, failure.cause, failure.detail, failure.sql))
                .collect();
            assert!(failures.is_empty(), "{}", failures.join("\n\n"));
            assert!(report.passed > 0 && report.skipped == 0, "a script runs whole");
        })*
    };
}

scripts! {
    aggregates, alter, conflicts, ctes, dialect, errors, everyday, executor, expressions, foreign_keys, functions,
    indexes, insert, joins, nan, nested_queries, optimizer, pg_catalog, rows, schema, select, sets, settings,
    subqueries, time_travel, transactions, types, unique, views,
}
