//! Draws the statements of a script: a client makes a few tables of its own, changes and asks them, alters them, and undoes
//! some of it.
//!
//! Names begin with the client's, so that no two clients meet. What a query gives is in an order that it says, or a single
//! row, and does not depend on what was chosen to get at it.

use super::region::Record;

/// The bytes of a script.
type Bytes = Record<1024>;

/// The statements of a client's step of this number.
pub(super) fn draw(client: u32, number: usize, bytes: &mut Bytes) -> Vec<String> {
    let mut script = Script { client, bytes };
    if number < 3 {
        return vec![script.create(number)];
    }
    if script.bytes.percent(70) {
        return vec![script.statement()];
    }
    let mut statements = vec!["BEGIN".to_owned()];
    let mut saved = false;
    for _ in 0..script.bytes.range(1, 5) {
        if script.bytes.is_short() {
            break;
        }
        match script.bytes.below(8) {
            0 => {
                saved = true;
                statements.push("SAVEPOINT s".to_owned());
            }
            1 if saved => statements.push("ROLLBACK TO SAVEPOINT s".to_owned()),
            2 if saved => {
                saved = false;
                statements.push("RELEASE SAVEPOINT s".to_owned());
            }
            _ => statements.push(script.statement()),
        }
    }
    let end = if script.bytes.percent(85) { "COMMIT" } else { "ROLLBACK" };
    statements.push(end.to_owned());
    statements
}

struct Script<'b> {
    client: u32,
    bytes: &'b mut Bytes,
}

impl Script<'_> {
    fn one(&mut self, of: &[&str]) -> String {
        self.bytes.choose(of).to_owned()
    }

    fn number(&mut self) -> u64 {
        self.bytes.below(12)
    }

    /// A table: `a` and `b` have a key, `c` has none.
    fn table(&mut self) -> String {
        let table = self.one(&["a", "a", "b", "c"]);
        self.named(&table)
    }

    fn named(&self, name: &str) -> String {
        format!("c{}_{name}", self.client)
    }

    fn create(&mut self, number: usize) -> String {
        let (a, b, c) = (self.named("a"), self.named("b"), self.named("c"));
        let check = self.one(&["", " CHECK (n < 11)", " DEFAULT 5"]);
        let unique = self.one(&["", " UNIQUE"]);
        let action = self.one(&["", " ON DELETE CASCADE", " ON DELETE SET NULL", " ON DELETE SET DEFAULT"]);
        match number {
            0 => format!("CREATE TABLE {a} (k INTEGER PRIMARY KEY, n INTEGER{check}, s TEXT{unique}, x FLOAT)"),
            1 => {
                format!(
                    "CREATE TABLE {b} (k INTEGER, n INTEGER DEFAULT 0 REFERENCES {a}{action}, s TEXT, x FLOAT, \
                     PRIMARY KEY (k, s))"
                )
            }
            _ => format!("CREATE TABLE {c} (k INTEGER, n INTEGER, s TEXT NOT NULL, x FLOAT)"),
        }
    }

    fn text(&mut self) -> String {
        self.one(&["'x'", "'y'", "'z'", "'xy'", "''", "'Ä'"])
    }

    /// A value for a column.
    fn value(&mut self, column: &str) -> String {
        if self.bytes.percent(12) {
            return "NULL".to_owned();
        }
        match column {
            "s" => self.text(),
            "x" => self.one(&["0.5", "-1.25", "2", "1e10", "0.0"]),
            _ => self.number().to_string(),
        }
    }

    /// A condition on the columns of a table with this name.
    fn condition(&mut self, of: &str) -> String {
        let (one, two) = (self.number(), self.number());
        match self.bytes.below(9) {
            0 => format!("{of}.k = {one}"),
            1 => format!("{of}.n > {one}"),
            2 => format!("{of}.k BETWEEN {} AND {}", one.min(two), one.max(two)),
            3 => format!("{of}.s LIKE '%x%'"),
            4 => format!("{of}.n IS NULL OR {of}.x < 1"),
            5 => format!("{of}.k IN ({one}, {two}) AND {of}.s <> 'z'"),
            6 => format!("{of}.n IN (SELECT k FROM {} WHERE x IS NOT NULL)", self.table()),
            7 => format!("NOT EXISTS (SELECT 1 FROM {} AS i WHERE i.n = {of}.k)", self.table()),
            _ => format!("coalesce({of}.n, {one}) + {of}.k < {two}"),
        }
    }

    fn statement(&mut self) -> String {
        match self.bytes.below(20) {
            0..=4 => self.insert(),
            5..=7 => self.update(),
            8 | 9 => {
                let table = self.table();
                let condition = self.condition(&table);
                format!("DELETE FROM {table} WHERE {condition}")
            }
            10 => self.alter(),
            _ => self.query(),
        }
    }

    fn insert(&mut self) -> String {
        let table = self.table();
        let rows = self.bytes.range(1, 3);
        let source = if self.bytes.percent(15) {
            let from = self.table();
            format!("SELECT k + {}, n, s, x FROM {from} ORDER BY k, n, s, x LIMIT 3", self.number())
        } else {
            let rows = (0..rows).map(|_| {
                let row: Vec<String> = ["k", "n", "s", "x"].map(|column| self.value(column)).into();
                format!("({})", row.join(", "))
            });
            format!("VALUES {}", rows.collect::<Vec<_>>().join(", "))
        };
        let conflict = self.one(&["", "", " ON CONFLICT DO NOTHING", " RETURNING k, n, s"]);
        format!("INSERT INTO {table} (k, n, s, x) {source}{conflict}")
    }

    fn update(&mut self) -> String {
        let table = self.table();
        let condition = self.condition(&table);
        let change = match self.bytes.below(5) {
            0 => format!("n = n + {}", self.number()),
            1 => "s = s || 'x'".to_owned(),
            2 => format!("k = k + {}", self.number()),
            3 => format!("x = {}, n = k", self.value("x")),
            _ => format!("n = {}", self.value("n")),
        };
        format!("UPDATE {table} SET {change} WHERE {condition}")
    }

    fn alter(&mut self) -> String {
        let table = self.table();
        let index = self.named("i");
        match self.bytes.below(8) {
            0 => format!("CREATE INDEX {index} ON {table} (n, k DESC)"),
            1 => format!("CREATE UNIQUE INDEX {index} ON {table} (s, x)"),
            2 => format!("DROP INDEX {index}"),
            3 => format!("ALTER TABLE {table} ADD COLUMN y INTEGER DEFAULT 3"),
            4 => format!("ALTER TABLE {table} DROP COLUMN y"),
            5 => format!("TRUNCATE {}", self.named("c")),
            6 => format!("DROP TABLE {}", self.named("c")),
            _ => format!("ANALYZE {table}"),
        }
    }

    fn query(&mut self) -> String {
        let (one, two) = (self.table(), self.table());
        let condition = self.condition("p");
        match self.bytes.below(7) {
            0 => format!("SELECT k, n, s, x FROM {one} AS p WHERE {condition} ORDER BY 1, 2, 3, 4"),
            1 => format!("SELECT count(*), sum(n), min(s), max(x), avg(k) FROM {one} AS p WHERE {condition}"),
            2 => {
                let kind = self.one(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
                format!(
                    "SELECT p.k, p.s, q.n, q.x FROM {one} AS p {kind} {two} AS q ON p.n = q.k AND q.s <> 'y' \
                     ORDER BY 1 NULLS FIRST, 2, 3, 4"
                )
            }
            3 => format!("SELECT n, count(DISTINCT s) FROM {one} AS p GROUP BY n HAVING count(*) > 1 ORDER BY n"),
            4 => {
                let operator = self.one(&["UNION", "UNION ALL", "INTERSECT", "EXCEPT"]);
                format!("SELECT k, s FROM {one} {operator} SELECT n, s FROM {two} ORDER BY 1, 2")
            }
            5 => format!(
                "SELECT DISTINCT s, (SELECT count(*) FROM {two} AS q WHERE q.k < p.k) FROM {one} AS p WHERE {condition} \
                 ORDER BY 1, 2"
            ),
            _ => format!(
                "SELECT k, CASE WHEN n > 5 THEN upper(s) ELSE s END, x * 2 FROM {one} AS p WHERE {condition} \
                 ORDER BY k DESC, n, s, x LIMIT 3 OFFSET 1"
            ),
        }
    }
}
