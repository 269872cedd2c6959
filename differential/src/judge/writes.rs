//! Statements that write: their answers, and the rows that they leave.

use super::answer::{Answer, Rows, compare_rows, same};
use super::engine::{How, USUAL, parsed};
use super::{Judged, Session};
use crate::ast::{Expr, From, Part, Select, Step, Walk, Write, WriteKind};
use crate::render::{Dialect, Renderer};

impl Session<'_> {
    pub(super) fn write(&mut self, step: &Step, write: &Write) -> anyhow::Result<Judged> {
        self.tally.writes += 1;
        let here = self.render(Dialect::Engine, step);
        self.tally.met(here.kinds.clone());
        if let Err(mismatch) = self.determined(write) {
            return Ok(Err(mismatch));
        }
        let all = format!("SELECT * FROM {}", write.table);
        let (statement, every) = (parsed(&here.sql), parsed(&all));
        let (plain, plain_rows) = self.engine.ask_then(&statement, &[], How { optimize: false, ..USUAL }, &every);
        let parameters = self.render(Dialect::Parameters, step);
        let twice = How { twice: true, ..USUAL };
        let with_parameters = parsed(&parameters.sql);
        let (prepared, prepared_rows) = self.engine.ask_then(&with_parameters, &parameters.params, twice, &every);
        let before = self.engine.ask(&every, &[], USUAL);
        let answer = self.engine.run(&statement, &[]);
        let rows = self.engine.ask(&every, &[], USUAL);
        let judged = self.judge_write(
            &here.sql,
            write,
            &answer,
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
            &rows,
        );
        if judged.is_err() {
            return Ok(judged);
        }
        if let Err(mismatch) = self.write_twin(&here.sql, write, &answer, &all, &rows) {
            return Ok(Err(mismatch));
        }
        self.write_sqlite(&here.sql, step, write, &answer, &all, &rows)
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
        sql: &str,
        write: &Write,
        answer: &Answer,
        others: [(&'static str, String, Answer, Answer); 2],
        before: &Answer,
        rows: &Answer,
    ) -> Judged {
        self.expected(sql, answer, write.fallible, &["23", "57014", "42P10", "21000"])?;
        if answer.state().is_some() && !same(before, rows, Rows::Bag) {
            let sides = vec![("rows before a failure".to_string(), before.clone()), (sql.to_string(), rows.clone())];
            return self.mismatch("atomicity", sides);
        }
        for (judge, how, other, other_rows) in others {
            self.agree(judge, sql, answer, &how, &other, Rows::Bag, write.fallible)?;
            if answer.state().is_none() && other.state().is_none() {
                self.agree(judge, &format!("rows after {sql}"), rows, &how, &other_rows, Rows::Bag, false)?;
            }
        }
        Ok(())
    }

    /// On the twin, nothing is unique but what is so here too.
    fn write_twin(&mut self, sql: &str, write: &Write, answer: &Answer, all: &str, rows: &Answer) -> Judged {
        let conflict = matches!(&write.kind, WriteKind::Insert { conflict: Some(_), .. });
        if conflict || answer.state().is_some_and(|state| matches!(state, "23505" | "42P10" | "57014")) {
            return self.renew_twin(write, rows);
        }
        let judge = "writes: keys";
        let twin = self.twin.run(&parsed(sql), &[]);
        self.agree(judge, sql, answer, "with other keys", &twin, Rows::Bag, write.fallible)?;
        if answer.state().is_some() != twin.state().is_some() {
            return self.renew_twin(write, rows);
        }
        let twin_rows = self.twin.ask(&parsed(all), &[], USUAL);
        self.agree(judge, &format!("rows after {sql}"), rows, "with other keys", &twin_rows, Rows::Bag, false)
    }

    /// Gives the twin the rows that there are.
    fn renew_twin(&mut self, write: &Write, rows: &Answer) -> Judged {
        let Answer::Rows { rows, .. } = rows else { return Ok(()) };
        let mut answers = vec![self.twin.run(&parsed(&format!("DELETE FROM {}", write.table)), &[])];
        let marks: Vec<String> = (1..=rows.first().map_or(0, Vec::len)).map(|n| format!("${n}")).collect();
        let insert = parsed(&format!("INSERT INTO {} VALUES ({})", write.table, marks.join(", ")));
        answers.extend(rows.iter().map(|row| self.twin.run(&insert, row)));
        match answers.into_iter().find(|answer| !matches!(answer, Answer::Count(_))) {
            None => Ok(()),
            Some(answer) => self.mismatch("writes: keys", vec![("the same rows again".to_string(), answer)]),
        }
    }

    fn write_sqlite(
        &mut self,
        sql: &str,
        step: &Step,
        write: &Write,
        answer: &Answer,
        all: &str,
        rows: &Answer,
    ) -> anyhow::Result<Judged> {
        let there = self.render(Dialect::Sqlite, step);
        let Some(sqlite) = &self.sqlite else { return Ok(Ok(())) };
        let Answer::Rows { rows: kept, .. } = rows else { return Ok(Ok(())) };
        if let Some(difference) = there.difference {
            sqlite.replace(&write.table, kept)?;
            self.tally.differs(difference);
            return Ok(Ok(()));
        }
        let found = sqlite.run(&there.sql);
        let judge = "writes: SQLite";
        let update = matches!(write.kind, WriteKind::Update { .. });
        let excuse = match (answer.state(), found.state()) {
            (None, Some("23505")) if update => Some("transient duplicate"),
            (Some("21000"), _) if found.state().is_none() || found.is_class("23") => Some("a row twice"),
            _ => None,
        };
        if let Some(excuse) = excuse {
            sqlite.replace(&write.table, kept)?;
            self.tally.excuse(excuse);
            return Ok(Ok(()));
        }
        let different = answer.state().is_some() != found.state().is_some();
        let found_rows = sqlite.run(all);
        // A statement that one of them gave up has no fault, but its rows are as here from now on.
        if different {
            sqlite.replace(&write.table, kept)?;
        }
        if let Err(mismatch) = self.agree(judge, sql, answer, &there.sql, &found, Rows::Bag, write.fallible) {
            return Ok(Err(mismatch));
        }
        if different {
            return Ok(Ok(()));
        }
        Ok(self.agree(judge, &format!("rows after {sql}"), rows, &there.sql, &found_rows, Rows::Bag, false))
    }
}
