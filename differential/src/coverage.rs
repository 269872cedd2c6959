//! What was tried, so that nothing is vacuous.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::render::Difference;

/// The kinds of clauses, operators and functions that a run has to meet.
pub const KINDS: &[&str] = &[
    "!",
    "%",
    "*",
    "+",
    "-",
    "/",
    "<",
    "<=",
    "<>",
    "=",
    ">",
    ">=",
    "ABS",
    "ADD COLUMN",
    "ADD COLUMN with DEFAULT",
    "ADD COLUMN with DEFAULT and NOT NULL",
    "ALL",
    "AND",
    "ANY",
    "AVG",
    "BETWEEN",
    "BOOL_AND",
    "BOOL_OR",
    "CASE",
    "CASE of a value",
    "CAST",
    "CEIL",
    "CHECK",
    "COALESCE",
    "COUNT",
    "CREATE VIEW",
    "CROSS JOIN",
    "DEFAULT",
    "DEFAULT in VALUES",
    "DELETE",
    "DELETE USING",
    "DESC",
    "DISTINCT",
    "DROP COLUMN",
    "ESCAPE",
    "EXCEPT",
    "EXCEPT ALL",
    "EXISTS",
    "FILTER",
    "FLOOR",
    "FULL JOIN",
    "GREATEST",
    "GROUP BY",
    "GROUP BY alias",
    "GROUP BY position",
    "GROUP_CONCAT",
    "HAVING",
    "IN list",
    "IN query",
    "INNER JOIN",
    "INSERT of VALUES",
    "INSERT of a query",
    "INSTR",
    "INTERSECT",
    "INTERSECT ALL",
    "IS DISTINCT FROM",
    "IS NAN",
    "IS NOT DISTINCT FROM",
    "IS NULL",
    "IS TRUE, FALSE, UNKNOWN",
    "LATERAL",
    "LEAST",
    "LEFT",
    "LEFT JOIN",
    "LENGTH",
    "LIKE",
    "LIMIT",
    "LOWER",
    "LTRIM",
    "MAX",
    "MIN",
    "NATURAL",
    "NOT",
    "NOT IN list",
    "NOT IN query",
    "NOT NULL",
    "NULL",
    "NULLIF",
    "NULLS FIRST",
    "NULLS LAST",
    "OFFSET",
    "ON",
    "ON DELETE CASCADE",
    "ON DELETE NO ACTION",
    "ON DELETE RESTRICT",
    "ON DELETE SET DEFAULT",
    "ON DELETE SET NULL",
    "ON UPDATE CASCADE",
    "ON UPDATE NO ACTION",
    "ON UPDATE RESTRICT",
    "ON UPDATE SET DEFAULT",
    "ON UPDATE SET NULL",
    "ON CONFLICT DO NOTHING",
    "ON CONFLICT DO UPDATE",
    "ON CONFLICT DO UPDATE by a query",
    "ON CONFLICT DO UPDATE by several rows",
    "OR",
    "ORDER BY",
    "ORDER BY alias",
    "ORDER BY position",
    "RENAME COLUMN",
    "RENAME TO",
    "REPLACE",
    "RETURNING",
    "RETURNING of others",
    "REVERSE",
    "RIGHT JOIN",
    "ROUND",
    "RTRIM",
    "SELECT",
    "SIGN",
    "SQRT",
    "SUBSTR",
    "SUM",
    "TOTAL",
    "TRIM",
    "UNION",
    "UNION ALL",
    "UNIQUE",
    "UPDATE",
    "UPDATE FROM",
    "UPPER",
    "USING",
    "VALUES",
    "WHERE",
    "WHERE of a write",
    "WITH",
    "WITH RECURSIVE",
    "^",
    "aggregate of DISTINCT",
    "column without table",
    "composite foreign key",
    "comma in FROM",
    "comparison of two types",
    "composite primary key",
    "descending index",
    "foreign key",
    "foreign key to itself",
    "index",
    "index of several columns",
    "join in parentheses",
    "no primary key",
    "primary key",
    "query",
    "query in FROM",
    "scalar query",
    "unary -",
    "unique index",
    "||",
];

/// The judges that a run has to ask.
pub const JUDGES: &[&str] = &[
    "ALTER TABLE: SQLite",
    "ALTER TABLE: keys",
    "SQLite",
    "consequences",
    "count",
    "keys",
    "memory",
    "optimizer",
    "parameters",
    "parts: aggregate",
    "parts: distinct",
    "parts: group",
    "parts: having",
    "parts: where",
    "references",
    "reopen",
    "spilling",
    "writes: SQLite",
    "writes: keys",
    "writes: optimizer",
    "writes: parameters",
];

/// Counts of what was tried.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// Cases.
    pub cases: u64,
    /// Queries that were judged.
    pub queries: u64,
    /// Statements that write that were judged.
    pub writes: u64,
    /// Queries that gave some row.
    pub with_rows: u64,
    /// Comparisons, by judge.
    pub judges: BTreeMap<&'static str, u64>,
    /// Statements in which a kind of clause or operator was.
    pub kinds: BTreeMap<&'static str, u64>,
    /// Comparisons that a rule let off, by rule.
    pub excused: BTreeMap<&'static str, u64>,
    /// Statements that were not run in SQLite, by reason.
    pub not_in_sqlite: BTreeMap<String, u64>,
    /// Statements that failed, by SQLSTATE.
    pub errors: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts one.
    pub fn judged(&mut self, judge: &'static str) {
        *self.judges.entry(judge).or_default() += 1;
    }

    /// Counts a comparison that a rule let off.
    pub fn excuse(&mut self, rule: &'static str) {
        *self.excused.entry(rule).or_default() += 1;
    }

    /// Counts what SQLite could not run.
    pub fn differs(&mut self, difference: Difference) {
        *self.not_in_sqlite.entry(format!("{difference:?}")).or_default() += 1;
    }

    /// Counts the kinds in a statement, each once.
    pub fn met(&mut self, mut kinds: Vec<&'static str>) {
        kinds.sort_unstable();
        kinds.dedup();
        for kind in kinds {
            *self.kinds.entry(kind).or_default() += 1;
        }
    }

    /// Adds what another thread has counted.
    pub fn add(&mut self, other: Self) {
        self.cases += other.cases;
        self.queries += other.queries;
        self.writes += other.writes;
        self.with_rows += other.with_rows;
        let maps =
            [(&mut self.judges, other.judges), (&mut self.kinds, other.kinds), (&mut self.excused, other.excused)];
        for (map, other) in maps {
            for (name, count) in other {
                *map.entry(name).or_default() += count;
            }
        }
        let maps = [(&mut self.not_in_sqlite, other.not_in_sqlite), (&mut self.errors, other.errors)];
        for (map, other) in maps {
            for (name, count) in other {
                *map.entry(name).or_default() += count;
            }
        }
    }

    /// What was never tried.
    pub fn missing(&self) -> Vec<&'static str> {
        let kinds = KINDS.iter().filter(|kind| !self.kinds.contains_key(*kind));
        let judges = JUDGES.iter().filter(|judge| !self.judges.contains_key(*judge));
        kinds.chain(judges).copied().collect()
    }
}
