//! The statements of a case in a directory, which is then opened again.

use engine::Database;
use engine::database::DatabaseOptions;
use engine::sql::Failure;

use super::Mismatch;
use super::answer::{Answer, Rows, same};
use super::engine::{Engine, USUAL, answer, parsed};
use crate::ast::{Case, Step};
use crate::coverage::Tally;
use crate::render::{Dialect, follow, script};

/// Writes everything into a directory, and asks before it is closed, after it was opened again, and in memory.
pub(super) fn judge(case: &Case, engine: &Engine, tally: &mut Tally) -> anyhow::Result<Option<Mismatch>> {
    let directory = tempfile::tempdir()?;
    let options = DatabaseOptions { sync: false, ..DatabaseOptions::default() };
    let texts = script(case, Dialect::Engine);
    let run = |session: &mut engine::database::Session<_>, sql: &str| match session.execute(sql) {
        Ok(mut outputs) => outputs.pop().map_or(Answer::Done, answer),
        Err(Failure::Sql(error)) => Answer::Error { state: error.state.code().to_string(), message: error.to_string() },
        Err(Failure::Storage(error)) => Answer::Error { state: "storage".to_string(), message: error.to_string() },
    };
    let database = Database::open_with(directory.path(), options)?;
    let mut session = database.session();
    for (step, text) in case.steps.iter().zip(&texts) {
        // What fails, fails here as it did in memory; its rows are compared below.
        if !matches!(step, Step::Query(_) | Step::Parts(_)) {
            run(&mut session, &text.sql);
        }
    }
    let mut tables = Vec::new();
    case.steps.iter().for_each(|step| follow(step, &mut tables));
    // Queries of before an ALTER TABLE may fail, so the tables are asked for too.
    let mut queries: Vec<(usize, String)> =
        tables.iter().map(|table| (case.steps.len() - 1, format!("SELECT * FROM {}", table.name))).collect();
    for (position, (step, text)) in case.steps.iter().zip(&texts).enumerate() {
        if matches!(step, Step::Query(_) | Step::Parts(_)) {
            queries.push((position, text.sql.clone()));
        }
    }
    let before: Vec<Answer> = queries.iter().map(|(_, sql)| run(&mut session, sql)).collect();
    drop(session);
    drop(database);
    let database = Database::open_with(directory.path(), options)?;
    let mut session = database.session();
    for ((position, sql), before) in queries.iter().zip(before) {
        let after = run(&mut session, sql);
        let memory = engine.ask(&parsed(sql), &[], USUAL);
        tally.judged("reopen");
        let fine = |a: &Answer, b: &Answer| {
            same(a, b, Rows::Bag)
                || a.state().is_some() && a.state() == b.state()
                || a.is_class("57")
                || b.is_class("57")
        };
        if !fine(&memory, &before) || !fine(&before, &after) {
            let sides = vec![
                (sql.clone(), memory),
                ("in a directory".to_string(), before),
                ("after opening it again".to_string(), after),
            ];
            return Ok(Some(Mismatch { judge: "reopen", step: *position, sides }));
        }
    }
    Ok(None)
}
