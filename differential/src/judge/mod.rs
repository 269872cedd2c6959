//! The judges: each runs a statement in another way, in which its answer has to be the same.
//!
//! | judge | the other way |
//! | --- | --- |
//! | optimizer | without the optimizer |
//! | keys | on the same rows in tables without secondary indexes, and without primary keys or with others |
//! | parameters | with parameters for the values, and with the plan of an earlier run |
//! | memory | with so little memory that it spills |
//! | `SQLite` | in SQLite |
//! | parts | as the rows for which a predicate is true, false and unknown, together |
//! | count | as a count of the rows for which a predicate is true as a column |
//! | references | as a query for rows that refer to what is not there, after a write |
//! | reopen | after the database was closed and opened again |
//!
//! A difference is let off only by one of these rules, which are counted:
//!
//! - *evaluated in one plan only*: a statement that may fail by overflow or by a division by zero fails (class 22) in one
//!   way, and not in the other one, which did not have to look at that row.
//! - *too many steps*, *out of memory*: a limit of the run (57014, 53200) was reached.
//! - *too deep for SQLite*: views in views are more than it takes (54001).
//! - *another violation*: two constraints are broken, and each database names another one.
//! - *transient duplicate*: SQLite looks at uniqueness after each row of an UPDATE, the engine after all of them.
//! - *RESTRICT at once*: SQLite looks at RESTRICT before the statement is through, the engine in the end.
//! - *a key of its own*: SQLite (3.54) fails an UPDATE that leaves the key of a row as it was, to which that row and
//!   others refer. What refers to nothing is found by *references* here.
//! - *gone already*: SQLite counts no rows that went as a consequence before a DELETE came to them.
//! - *a row twice*: ON CONFLICT DO UPDATE meets a row of its own (21000), which SQLite updates again, and goes on.
//!
//! An UPDATE whose rows have several partners in FROM that make a difference is a mismatch in itself (*determined*).

pub mod answer;
pub mod engine;
mod parts;
mod reopen;
mod sqlite;
mod writes;

use std::fmt;

use self::answer::{Answer, Rows, same};
use self::engine::{Engine, How, USUAL, parsed};
use self::sqlite::Sqlite;
use crate::ast::{Alter, Alteration, Case, Checked, Query, Step, Table};
use crate::coverage::Tally;
use crate::render::{Dialect, Rendered, Renderer, follow};

/// Two answers that had to be the same.
#[derive(Clone, Debug)]
pub struct Mismatch {
    /// Who has found it.
    pub judge: &'static str,
    /// The statement in the case.
    pub step: usize,
    /// What was asked, and in which way, and the answer.
    pub sides: Vec<(String, Answer)>,
}

impl Mismatch {
    /// What has to stay the same when it is made smaller: who found it, and the kinds of answers.
    pub fn signature(&self) -> (&'static str, Vec<String>) {
        (self.judge, self.sides.iter().map(|(_, answer)| answer.word()).collect())
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "-- judge: {}", self.judge)?;
        for (asked, answer) in &self.sides {
            writeln!(f, "-- {asked}\n--   {answer}")?;
        }
        Ok(())
    }
}

/// The databases of a case.
struct Session<'t> {
    engine: Engine,
    /// The same rows in other tables.
    twin: Engine,
    /// Not in a wild case.
    sqlite: Option<Sqlite>,
    tables: Vec<Table>,
    /// What foreign keys of the case refer to: tables and columns.
    referenced: Vec<(String, Vec<String>)>,
    tally: &'t mut Tally,
    step: usize,
}

/// Runs a case, up to the first mismatch.
pub fn judge(case: &Case, tally: &mut Tally) -> anyhow::Result<Option<Mismatch>> {
    tally.cases += 1;
    let sqlite = if case.wild { None } else { Some(Sqlite::new()?) };
    let (engine, twin) = (Engine::new()?, Engine::new()?);
    let keys = case.steps.iter().flat_map(|step| match step {
        Step::Table(table) => table.foreign_keys.as_slice(),
        _ => &[],
    });
    let referenced = keys.map(|key| (key.parent.clone(), key.referenced.clone())).collect();
    let mut session = Session { engine, twin, sqlite, tables: Vec::new(), referenced, tally, step: 0 };
    for (position, step) in case.steps.iter().enumerate() {
        session.step = position;
        if let Err(mismatch) = session.step(step)? {
            return Ok(Some(mismatch));
        }
        follow(step, &mut session.tables);
    }
    let files = session.engine.files();
    *session.tally.judges.entry("spilling").or_default() += files;
    if case.reopen {
        return reopen::judge(case, &session.engine, session.tally);
    }
    Ok(None)
}

/// What a judge says. `Err` is a mismatch.
type Judged = Result<(), Mismatch>;

impl Session<'_> {
    fn step(&mut self, step: &Step) -> anyhow::Result<Judged> {
        match step {
            Step::Table(table) => Ok(self.make(step, &Step::Table(other_keys(table, &self.referenced)))),
            Step::View(..) => Ok(self.make(step, step)),
            Step::Alter(alter) => Ok(self.alter(step, alter)),
            Step::Index(index) => {
                let here = self.render(Dialect::Engine, step);
                self.tally.met(here.kinds);
                let answer = self.engine.run(&parsed(&here.sql), &[]);
                let Some(sqlite) = &self.sqlite else { return Ok(Ok(())) };
                let there = sqlite.run(&self.render(Dialect::Sqlite, step).sql);
                // The twin has no indexes, so what may not be unique is all that can fail.
                let fine = match (&answer, &there) {
                    (Answer::Done, Answer::Done) => true,
                    (a, b) => index.unique && a.state() == Some("23505") && b.state() == Some("23505"),
                };
                Ok(if fine {
                    Ok(())
                } else {
                    self.mismatch("SQLite", vec![(here.sql, answer), ("SQLite".into(), there)])
                })
            }
            Step::Write(write) => self.write(step, write),
            Step::Query(query) => Ok(self.query(step, query)),
            Step::Parts(parts) => Ok(self.parts(parts)),
        }
    }

    fn render(&self, dialect: Dialect, step: &Step) -> Rendered {
        Renderer::new(dialect, &self.tables).step(step)
    }

    fn mismatch(&self, judge: &'static str, sides: Vec<(String, Answer)>) -> Judged {
        Err(Mismatch { judge, step: self.step, sides })
    }

    /// Alters a table everywhere, which must have the same rows then.
    fn alter(&mut self, step: &Step, alter: &Alter) -> Judged {
        self.make(step, step)?;
        let name = match &alter.change {
            Alteration::RenameTable(to) => to,
            Alteration::Add(_) | Alteration::Drop(_) | Alteration::Rename(..) => &alter.table,
        };
        let all = format!("SELECT * FROM {name}");
        let rows = self.engine.ask(&parsed(&all), &[], USUAL);
        let asked = format!("{all} after ALTER TABLE");
        let twin = self.twin.ask(&parsed(&all), &[], USUAL);
        self.agree("ALTER TABLE: keys", &asked, &rows, "with other keys", &twin, Rows::Bag, false)?;
        if let Some(sqlite) = &self.sqlite {
            let there = sqlite.run(&all);
            self.agree("ALTER TABLE: SQLite", &asked, &rows, "in SQLite", &there, Rows::Bag, false)?;
        }
        Ok(())
    }

    /// Makes or alters a table or a view everywhere.
    fn make(&mut self, step: &Step, twin: &Step) -> Judged {
        let here = self.render(Dialect::Engine, step);
        self.tally.met(here.kinds);
        let twin = self.render(Dialect::Engine, twin);
        let mut answers = vec![
            (here.sql.clone(), self.engine.run(&parsed(&here.sql), &[])),
            (twin.sql.clone(), self.twin.run(&parsed(&twin.sql), &[])),
        ];
        if let Some(sqlite) = &self.sqlite {
            let there = self.render(Dialect::Sqlite, step);
            if there.difference.is_some() {
                // What names the view cannot run there either.
                self.sqlite = None;
            } else {
                answers.push((there.sql.clone(), sqlite.run(&there.sql)));
            }
        }
        if answers.iter().all(|(_, answer)| matches!(answer, Answer::Done)) {
            return Ok(());
        }
        self.mismatch("error", answers)
    }

    fn query(&mut self, step: &Step, query: &Checked<Query>) -> Judged {
        let here = self.render(Dialect::Engine, step);
        let how = if query.statement.order.is_empty() { Rows::Bag } else { Rows::InOrder };
        let parameters = self.render(Dialect::Parameters, step);
        let there = self.sqlite.is_some().then(|| self.render(Dialect::Sqlite, step));
        self.tally.met(here.kinds.clone());
        self.ask(&here, &parameters, there.as_ref(), how, query.fallible)
    }

    /// Asks in all ways.
    fn ask(
        &mut self,
        here: &Rendered,
        parameters: &Rendered,
        there: Option<&Rendered>,
        how: Rows,
        fallible: bool,
    ) -> Judged {
        self.tally.queries += 1;
        let sql = &here.sql;
        let statement = parsed(sql);
        let answer = self.engine.ask(&statement, &[], USUAL);
        self.expected(sql, &answer, fallible, &["57014"])?;
        if matches!(&answer, Answer::Rows { rows, .. } if !rows.is_empty()) {
            self.tally.with_rows += 1;
        }
        let plain = self.engine.ask(&statement, &[], How { optimize: false, ..USUAL });
        self.agree("optimizer", sql, &answer, "without optimizer", &plain, how, fallible)?;
        let twin = self.twin.ask(&statement, &[], USUAL);
        self.agree("keys", sql, &answer, "with other keys", &twin, how, fallible)?;
        let prepared = self.engine.ask(&parsed(&parameters.sql), &parameters.params, How { twice: true, ..USUAL });
        let label = format!("{} with {:?}", parameters.sql, parameters.params);
        self.agree("parameters", sql, &answer, &label, &prepared, how, fallible)?;
        // Files are slow, so not everything is spilled; from nothing at all to what is nearly enough.
        let choice = sql.len() % 12;
        if choice.is_multiple_of(3) {
            let memory = [1 << 8, 1 << 10, 1 << 12, 1 << 13][choice / 3];
            let little = How { memory: Some(memory), optimize: !sql.len().is_multiple_of(5), twice: false };
            let spilled = self.engine.ask(&statement, &[], little);
            self.agree("memory", sql, &answer, &format!("{little:?}"), &spilled, how, fallible)?;
        }
        if let (Some(sqlite), Some(there)) = (&self.sqlite, there) {
            if let Some(difference) = there.difference {
                self.tally.differs(difference);
            } else {
                let found = sqlite.run(&there.sql);
                self.agree("SQLite", sql, &answer, &there.sql, &found, how, fallible)?;
            }
        }
        Ok(())
    }

    /// Fails if an answer is an error that no statement should give.
    fn expected(&mut self, sql: &str, answer: &Answer, fallible: bool, allowed: &[&str]) -> Judged {
        if let Some(state) = answer.state() {
            *self.tally.errors.entry(state.to_string()).or_default() += 1;
            if fallible && answer.is_class("22") || allowed.iter().any(|allowed| state.starts_with(allowed)) {
                return Ok(());
            }
        } else if !matches!(answer, Answer::Panic(_)) {
            return Ok(());
        }
        self.mismatch("error", vec![(sql.to_string(), answer.clone())])
    }

    /// Fails if two answers are not the same, and no rule allows that.
    #[expect(clippy::too_many_arguments, reason = "two answers, each with what it is")]
    fn agree(
        &mut self,
        judge: &'static str,
        sql: &str,
        answer: &Answer,
        other_way: &str,
        other: &Answer,
        how: Rows,
        fallible: bool,
    ) -> Judged {
        if same(answer, other, how) {
            self.tally.judged(judge);
            return Ok(());
        }
        match (answer.state(), other.state()) {
            (Some("57014"), _) | (_, Some("57014")) => self.tally.excuse("too many steps"),
            (_, Some("54001")) if judge.ends_with("SQLite") => self.tally.excuse("too deep for SQLite"),
            (_, Some("53200")) if judge == "memory" => self.tally.excuse("out of memory"),
            (Some(a), Some(b)) if a == b => self.tally.judged(judge),
            (Some(_), Some(_)) if answer.is_class("22") && other.is_class("22") && fallible => self.tally.judged(judge),
            // The optimizer may keep a query from failing, and must never make one fail.
            (Some(_), None) if judge == "optimizer" => return self.disagree(judge, sql, answer, other_way, other),
            (Some(_), _) | (_, Some(_)) if fallible && (answer.is_class("22") || other.is_class("22")) => {
                self.tally.excuse("evaluated in one plan only");
            }
            (Some(_), Some(_)) if answer.is_class("23") && other.is_class("23") => {
                self.tally.excuse("another violation");
            }
            _ => return self.disagree(judge, sql, answer, other_way, other),
        }
        Ok(())
    }

    fn disagree(&mut self, judge: &'static str, sql: &str, answer: &Answer, other_way: &str, other: &Answer) -> Judged {
        self.mismatch(judge, vec![(sql.to_string(), answer.clone()), (other_way.to_string(), other.clone())])
    }
}

/// The table with another primary key, or none: the columns stay NOT NULL. Unique is only what foreign keys refer to.
fn other_keys(table: &Table, referenced: &[(String, Vec<String>)]) -> Table {
    let mut table = table.clone();
    let own = referenced.iter().filter(|(parent, _)| *parent == table.name).map(|(_, columns)| columns);
    table.uniques = own.cloned().collect();
    table.uniques.sort_unstable();
    table.uniques.dedup();
    for &column in &table.primary_key {
        table.columns[column].nullable = false;
    }
    // Longer by a column, or turned about, it is a key as well.
    let other = table
        .columns
        .iter()
        .enumerate()
        .position(|(position, column)| !column.nullable && !table.primary_key.contains(&position));
    match (table.primary_key.len(), other) {
        (1, Some(other)) => table.primary_key.insert(0, other),
        (2.., _) => table.primary_key.reverse(),
        _ => table.primary_key.clear(),
    }
    table
}
