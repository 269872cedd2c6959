//! Statements that write: their answers, and the rows that they leave.

use super::answer::{Answer, Rows, compare_rows, same};
use super::engine::{Engine, How, Parsed, USUAL, parsed};
use super::sqlite::TableRows;
use super::{Judged, Session};
use crate::ast::{Expr, ForeignKey, From, Part, Select, Step, Table, Walk, Write, WriteKind, family};
use crate::render::{Dialect, Renderer};

impl Session<'_> {
    pub(super) fn write(&mut self, step: &Step, write: &Write) -> anyhow::Result<Judged> {
        self.tally.writes += 1;
        let here = self.render(Dialect::Engine, step);
        self.tally.met(here.kinds.clone());
        if let Err(mismatch) = self.determined(write) {
            return Ok(Err(mismatch));
        }
        let family = Family::new(&self.tables, write);
        let (statement, every) = (parsed(&here.sql), &family.queries);
        let (plain, plain_rows) = self.engine.ask_then(&statement, &[], How { optimize: false, ..USUAL }, every);
        let parameters = self.render(Dialect::Parameters, step);
        let twice = How { twice: true, ..USUAL };
        let with_parameters = parsed(&parameters.sql);
        let (prepared, prepared_rows) = self.engine.ask_then(&with_parameters, &parameters.params, twice, every);
        let before = family.rows(&self.engine);
        let answer = self.engine.run(&statement, &[]);
        let rows = family.rows(&self.engine);
        let others = family.names.iter().zip(before.iter().zip(&rows)).filter(|(name, _)| **name != write.table);
        let changed = others.filter(|(_, (before, after))| !same(before, after, Rows::Bag)).count();
        if changed > 0 {
            self.tally.judged("consequences");
        }
        let done = Done { sql: here.sql, answer, rows };
        let judged = self.judge_write(
            write,
            &family,
            &done,
            [
                ("writes: optimizer", "without optimizer".to_string(), plain, plain_rows),
                (
                    "writes: parameters",
                    format!("{} with {:?}", parameters.sql, parameters.params),
                    prepared,
                    prepared_rows,
                ),
            ],
            &before,
        );
        let judged = judged.and_then(|()| self.references(&family, &done));
        if judged.is_err() {
            return Ok(judged);
        }
        if let Err(mismatch) = self.write_twin(write, &family, &done) {
            return Ok(Err(mismatch));
        }
        self.write_sqlite(step, write, &family, &done)
    }

    /// Fails if rows that are equal find partners that make a difference: such a case proves nothing, and cannot come of
    /// making another one smaller.
    fn determined(&mut self, write: &Write) -> Judged {
        let (set, others): (&[_], _) = match &write.kind {
            WriteKind::Update { set, from, .. } => (set, from),
            WriteKind::Delete { using, .. } => (&[], using),
            WriteKind::Insert { .. } => return Ok(()),
        };
        let aliases: Vec<&str> = others.iter().flat_map(From::aliases).collect();
        let mut named: Vec<Expr> = Vec::new();
        let mut collect = |part: Part<'_>| {
            if let Part::Expr(expr) = part
                && let Expr::Column { table: Some(table), .. } = &*expr
                && aliases.contains(&table.as_str())
            {
                named.push(expr.clone());
            }
        };
        set.to_vec().walk(&mut collect);
        write.returning.clone().walk(&mut collect);
        let Some(table) = self.tables.iter().find(|table| table.name == write.table) else { return Ok(()) };
        if named.is_empty() {
            return Ok(());
        }
        let own = table.columns.iter().map(|column| {
            let (table, name) = (Some(table.name.clone()), column.name.clone());
            Expr::Column { table, name, datatype: column.shape.datatype }
        });
        let width = own.len();
        let itself = From::Table { name: table.name.clone(), alias: table.name.clone() };
        let filter = match &write.kind {
            WriteKind::Update { filter, .. } | WriteKind::Delete { filter, .. } => filter.clone(),
            WriteKind::Insert { .. } => None,
        };
        let items = own.chain(named).collect();
        let from = std::iter::once(itself).chain(others.iter().cloned()).collect();
        let (distinct, star, group, having) = Default::default();
        let select = Select { distinct, star, items, from, filter, group, having };
        let partners = Renderer::new(Dialect::Engine, &self.tables).whole_select(&select).sql;
        let answer = self.engine.ask(&parsed(&partners), &[], How { optimize: false, ..USUAL });
        let Answer::Rows { rows, .. } = &answer else { return Ok(()) };
        let mut rows: Vec<_> = rows.iter().collect();
        rows.sort_by(|a, b| compare_rows(a, b));
        rows.dedup_by(|a, b| compare_rows(a, b).is_eq());
        let open = rows.windows(2).any(|pair| compare_rows(&pair[0][..width], &pair[1][..width]).is_eq());
        if open { self.mismatch("determined", vec![(partners, answer)]) } else { Ok(()) }
    }

    fn judge_write(
        &mut self,
        write: &Write,
        family: &Family,
        done: &Done,
        others: [(&'static str, String, Answer, Vec<Answer>); 2],
        before: &[Answer],
    ) -> Judged {
        let Done { sql, answer, rows } = done;
        self.expected(sql, answer, write.fallible, &["23", "57014", "42P10", "21000"])?;
        if answer.state().is_some() {
            for (before, rows) in before.iter().zip(rows) {
                if !same(before, rows, Rows::Bag) {
                    let before = ("rows before a failure".to_string(), before.clone());
                    return self.mismatch("atomicity", vec![before, (sql.clone(), rows.clone())]);
                }
            }
        }
        for (judge, how, other, other_rows) in others {
            self.agree(judge, sql, answer, &how, &other, Rows::Bag, write.fallible)?;
            if answer.state().is_none() && other.state().is_none() {
                self.agree_on_rows(judge, family, done, &how, &other_rows)?;
            }
        }
        Ok(())
    }

    /// Whatever was written, what refers to something refers to what is there.
    fn references(&mut self, family: &Family, done: &Done) -> Judged {
        for query in &family.dangling {
            let answer = self.engine.ask(&parsed(query), &[], How { optimize: false, ..USUAL });
            if matches!(&answer, Answer::Rows { rows, .. } if !rows.is_empty()) {
                let sides = vec![(done.sql.clone(), done.answer.clone()), (query.clone(), answer)];
                return self.mismatch("references", sides);
            }
            self.tally.judged("references");
        }
        Ok(())
    }

    fn agree_on_rows(
        &mut self,
        judge: &'static str,
        family: &Family,
        done: &Done,
        how: &str,
        others: &[Answer],
    ) -> Judged {
        for (name, (rows, other)) in family.names.iter().zip(done.rows.iter().zip(others)) {
            let asked = format!("rows of {name} after {}", done.sql);
            self.agree(judge, &asked, rows, how, other, Rows::Bag, false)?;
        }
        Ok(())
    }

    /// On the twin, nothing is unique but what is so here too.
    fn write_twin(&mut self, write: &Write, family: &Family, done: &Done) -> Judged {
        let conflict = matches!(&write.kind, WriteKind::Insert { conflict: Some(_), .. });
        if conflict || done.answer.state().is_some_and(|state| matches!(state, "23505" | "42P10" | "57014")) {
            return self.renew_twin(family, done);
        }
        let judge = "writes: keys";
        let twin = self.twin.run(&parsed(&done.sql), &[]);
        self.agree(judge, &done.sql, &done.answer, "with other keys", &twin, Rows::Bag, write.fallible)?;
        if done.answer.state().is_some() != twin.state().is_some() {
            return self.renew_twin(family, done);
        }
        let twin_rows = family.rows(&self.twin);
        self.agree_on_rows(judge, family, done, "with other keys", &twin_rows)
    }

    /// Gives the twin the rows that there are.
    fn renew_twin(&mut self, family: &Family, done: &Done) -> Judged {
        let Some(tables) = done.tables(family) else { return Ok(()) };
        let mut answers = Vec::new();
        for name in family.names.iter().rev() {
            answers.push(self.twin.run(&parsed(&format!("DELETE FROM {name}")), &[]));
        }
        for (name, rows) in tables.into_iter().filter(|(_, rows)| !rows.is_empty()) {
            // Rows that refer to each other come at once.
            let width = rows[0].len();
            let row = |number: usize| {
                let marks: Vec<String> = (1..=width).map(|n| format!("${}", number * width + n)).collect();
                format!("({})", marks.join(", "))
            };
            let values: Vec<String> = (0..rows.len()).map(row).collect();
            let insert = parsed(&format!("INSERT INTO {name} VALUES {}", values.join(", ")));
            answers.push(self.twin.run(&insert, &rows.concat()));
        }
        match answers.into_iter().find(|answer| !matches!(answer, Answer::Count(_))) {
            None => Ok(()),
            Some(answer) => self.mismatch("writes: keys", vec![("the same rows again".to_string(), answer)]),
        }
    }

    fn write_sqlite(&mut self, step: &Step, write: &Write, family: &Family, done: &Done) -> anyhow::Result<Judged> {
        let there = self.render(Dialect::Sqlite, step);
        let Some(sqlite) = &self.sqlite else { return Ok(Ok(())) };
        let Done { sql, answer, .. } = done;
        let Some(kept) = done.tables(family) else { return Ok(Ok(())) };
        if let Some(difference) = there.difference {
            sqlite.replace(kept)?;
            self.tally.differs(difference);
            return Ok(Ok(()));
        }
        let found = sqlite.run(&there.sql);
        let judge = "writes: SQLite";
        let update = matches!(write.kind, WriteKind::Update { .. });
        let excuse = match (answer.state(), found.state()) {
            (None, Some("23505")) if update => Some("transient duplicate"),
            // That nothing is missing in the end was seen already.
            (None, Some("23503")) if family.restricts => Some("RESTRICT at once"),
            (None, Some("23503")) if update && family.refers_to_itself => Some("a key of its own"),
            (Some("21000"), _) if found.state().is_none() || found.is_class("23") => Some("a row twice"),
            _ => None,
        };
        if let Some(excuse) = excuse {
            sqlite.replace(kept)?;
            self.tally.excuse(excuse);
            return Ok(Ok(()));
        }
        let different = answer.state().is_some() != found.state().is_some();
        let found_rows: Vec<Answer> =
            family.names.iter().map(|name| sqlite.run(&format!("SELECT * FROM {name}"))).collect();
        // A statement that one of them gave up has no fault, but its rows are as here from now on.
        if different {
            sqlite.replace(kept)?;
        }
        let fewer = matches!((answer, &found), (Answer::Count(a), Answer::Count(b)) if b < a);
        if fewer && family.follows_itself && matches!(write.kind, WriteKind::Delete { .. }) {
            self.tally.excuse("gone already");
        } else if let Err(mismatch) = self.agree(judge, sql, answer, &there.sql, &found, Rows::Bag, write.fallible) {
            return Ok(Err(mismatch));
        }
        if different {
            return Ok(Ok(()));
        }
        Ok(self.agree_on_rows(judge, family, done, &there.sql, &found_rows))
    }
}

/// The tables that a write can change.
struct Family {
    /// Their names, in the order in which they were made: what refers to another one is behind it.
    names: Vec<String>,
    /// All rows of each.
    queries: Vec<Parsed>,
    /// Whether a foreign key among them has RESTRICT.
    restricts: bool,
    /// Whether the table that is written refers to itself.
    refers_to_itself: bool,
    /// Whether its rows go with others of it.
    follows_itself: bool,
    /// Queries for rows that refer to what is not there.
    dangling: Vec<String>,
}

impl Family {
    fn new(tables: &[Table], write: &Write) -> Self {
        let mut tables = family(tables, &write.table);
        let names: Vec<String> = if tables.is_empty() {
            // The table is not there, and nothing can be written.
            vec![write.table.clone()]
        } else {
            tables.iter().map(|table| table.name.clone()).collect()
        };
        let queries = names.iter().map(|name| parsed(&format!("SELECT * FROM {name}"))).collect();
        let restrict = |key: &ForeignKey| key.on_delete.ends_with("RESTRICT") || key.on_update.ends_with("RESTRICT");
        let restricts = tables.iter().any(|table| table.foreign_keys.iter().any(restrict));
        let dangling =
            tables.iter().flat_map(|table| table.foreign_keys.iter().map(|key| dangling(&table.name, key))).collect();
        tables.retain(|table| table.name == write.table);
        let refers_to_itself =
            tables.iter().any(|table| table.foreign_keys.iter().any(|key| key.parent == write.table));
        let follows = |key: &ForeignKey| key.parent == write.table && key.on_delete.ends_with("CASCADE");
        let follows_itself = tables.iter().any(|table| table.foreign_keys.iter().any(follows));
        Self { names, queries, restricts, refers_to_itself, follows_itself, dangling }
    }

    fn rows(&self, engine: &Engine) -> Vec<Answer> {
        self.queries.iter().map(|query| engine.ask(query, &[], USUAL)).collect()
    }
}

/// A query for the rows of a table that refer to what is not there.
fn dangling(table: &str, key: &ForeignKey) -> String {
    let ForeignKey { columns, parent, referenced, .. } = key;
    let known: Vec<String> = columns.iter().map(|column| format!("child.{column} IS NOT NULL")).collect();
    let same = columns.iter().zip(referenced).map(|(column, other)| format!("parent.{other} = child.{column}"));
    let (known, same) = (known.join(" AND "), same.collect::<Vec<_>>().join(" AND "));
    format!(
        "SELECT * FROM {table} AS child WHERE {known} AND NOT EXISTS (SELECT * FROM {parent} AS parent WHERE {same})"
    )
}

/// What a write did in the engine.
struct Done {
    sql: String,
    answer: Answer,
    /// The rows of its family.
    rows: Vec<Answer>,
}

impl Done {
    /// The rows, by table, if they could be read.
    fn tables<'a>(&'a self, family: &'a Family) -> Option<Vec<TableRows<'a>>> {
        let rows = |(name, answer): (&'a String, &'a Answer)| match answer {
            Answer::Rows { rows, .. } => Some((name.as_str(), rows.as_slice())),
            _ => None,
        };
        family.names.iter().zip(&self.rows).map(rows).collect()
    }
}
