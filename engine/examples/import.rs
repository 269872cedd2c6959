//! A bulk import that is killed again and again: `cargo run --release -p engine --example import -- DIRECTORY [ROWS]`.
//!
//! A process of its own imports rows, a thousand in each transaction, and says so after each commit. This one kills it in
//! the midst of that, opens the database, and looks at what is there: whole transactions only, and no fewer than had been
//! told of. An import that is started anew goes on where the database ends.

#![expect(clippy::print_stdout, reason = "a command")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use engine::Database;
use engine::database::Session;
use engine::sql::Output;
use engine::sql::types::Value;
use engine::storage::Storage;

/// Rows of a transaction.
const BATCH: i64 = 1_000;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["import", directory, rows] => import(directory, rows.parse()?),
        [directory] => watch(directory, 100 * BATCH),
        [directory, rows] => watch(directory, rows.parse().context("ROWS is a number")?),
        _ => bail!("usage: import DIRECTORY [ROWS]"),
    }
}

/// How many rows there are, and the sum of their numbers.
fn rows<S: Storage>(session: &mut Session<S>) -> Result<(i64, i64)> {
    session
        .execute("CREATE TABLE IF NOT EXISTS readings (id INTEGER PRIMARY KEY, place TEXT NOT NULL, value FLOAT)")?;
    let outputs = session.execute("SELECT count(*), coalesce(sum(id), 0) FROM readings")?;
    match &outputs[..] {
        [Output::Select { rows, .. }] => match &rows[0][..] {
            [Value::Integer(count), Value::Integer(sum)] => Ok((*count, *sum)),
            row => bail!("{row:?} are no numbers"),
        },
        other => bail!("{other:?} are no rows"),
    }
}

fn import(directory: &str, most: i64) -> Result<()> {
    let database = Database::open(directory)?;
    let mut session = database.session();
    let (mut count, _) = rows(&mut session)?;
    let insert = session.prepare("INSERT INTO readings VALUES ($1, $2, $3)")?;
    while count < most {
        session.execute("BEGIN")?;
        for id in count..(count + BATCH).min(most) {
            session.run(&insert, &[id.into(), format!("station {}", id % 17).into(), (id as f64 / 8.0).into()])?;
        }
        session.execute("COMMIT")?;
        count = (count + BATCH).min(most);
        println!("{count}");
    }
    Ok(())
}

fn watch(directory: &str, most: i64) -> Result<()> {
    for round in 1.. {
        let program = std::env::current_exe()?;
        let mut command = Command::new(program);
        let mut child = command
            .args(["import", directory, &most.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .context("no process")?;
        // It is killed somewhere within the transaction after these, unless it comes to its end.
        let output = child.stdout.take().context("its output is a pipe")?;
        let told = BufReader::new(output).lines().take(round * 7).collect::<Result<Vec<_>, _>>()?;
        let killed = told.len() == round * 7;
        if killed {
            child.kill()?;
        }
        let status = child.wait()?;
        ensure!(killed || status.success(), "the import failed: {status}");
        let told = told.last().map_or(Ok(0), |count| count.parse())?;

        let database = Database::open(directory)?;
        let (count, sum) = rows(&mut database.session())?;
        let what = if killed { "killed" } else { "came to its end" };
        println!("{what} after {told} rows were told to be committed: {count} are there");
        ensure!(count >= told, "rows are lost");
        ensure!(count == most || count % BATCH == 0, "a part of a transaction is there");
        ensure!(sum == count * (count - 1) / 2, "they are other rows");
        if count == most {
            println!("all {most} rows are there, once each");
            break;
        }
    }
    Ok(())
}
