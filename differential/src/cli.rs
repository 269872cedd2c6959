//! The command line.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use serde::Serialize;

use crate::coverage::Tally;
use crate::render::{Dialect, script};
use crate::run::{Found, Run, run};

/// Runs random SQL on the engine, and has it judged: by SQLite, by other plans, tables and limits, and by what must hold
/// of any answer.
///
/// The same seed always runs the same statements. A mismatch is made small and printed as a script.
#[derive(Parser)]
#[command(name = "differential", version, after_help = AFTER_HELP)]
struct Cli {
    /// How many queries to run
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    queries: u64,
    /// The seed: any number
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// How many threads
    #[arg(long, value_name = "J", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    jobs: u64,
    /// Stop after so many mismatches
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    most: u64,
    /// Run only the case of this number
    #[arg(long, value_name = "NUMBER")]
    case: Option<u64>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "Exit codes: 0 nothing was found, 1 a mismatch, 2 usage, 5 vacuous (of 20000 queries or more, some kind \
of clause was in none, or some judge was never asked).\n\nExamples:\n  differential --queries 100000 --seed 7\n  \
differential --seed 7 --case 1234";

/// From so many queries on, everything has to be met.
const MUST_MEET_ALL: u64 = 20_000;

/// What is printed as JSON.
#[derive(Serialize)]
struct Report<'a> {
    seed: u64,
    cpu_seconds: f64,
    tally: &'a Tally,
    missing: &'a [&'static str],
    mismatches: Vec<Small<'a>>,
}

/// A mismatch.
#[derive(Serialize)]
struct Small<'a> {
    case: u64,
    queries: u64,
    judge: &'a str,
    script: Vec<String>,
    explained: String,
}

/// Runs the command line of the process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.run() {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(2)
        }
    }
}

impl Cli {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let Self { queries, seed, jobs, most, case, json } = *self;
        let (tally, found, cpu_seconds) = run(&Run { queries, seed, jobs, most, case }, &|found| {
            if !json {
                let _ = writeln!(std::io::stdout(), "{}", explain(found, seed));
            }
        })?;
        let missing = if case.is_none() && tally.queries >= MUST_MEET_ALL { tally.missing() } else { Vec::new() };
        let mut out = std::io::stdout().lock();
        if json {
            let mismatches = found.iter().map(small).collect();
            let report = Report { seed, cpu_seconds, tally: &tally, missing: &missing, mismatches };
            serde_json::to_writer_pretty(&mut out, &report)?;
            writeln!(out)?;
        } else {
            write!(out, "{}", text(&tally, found.len(), cpu_seconds, seed)).context("cannot print")?;
            if !missing.is_empty() {
                writeln!(out, "VACUOUS: never met: {}", missing.join(", "))?;
            }
        }
        Ok(match (found.is_empty(), missing.is_empty()) {
            (false, _) => ExitCode::from(1),
            (true, false) => ExitCode::from(5),
            (true, true) => ExitCode::SUCCESS,
        })
    }
}

fn small(found: &Found) -> Small<'_> {
    let script = script(&found.small, Dialect::Engine).into_iter().map(|step| step.sql + ";").collect();
    let explained = found.mismatch.to_string();
    Small { case: found.case, queries: found.queries, judge: found.mismatch.judge, script, explained }
}

/// A mismatch as a script that can be pasted, with the answers as comments.
fn explain(found: &Found, seed: u64) -> String {
    let Small { case, queries, script, explained, .. } = small(found);
    let head = format!("-- mismatch in case {case} after {queries} queries (--seed {seed} --case {case})");
    format!("{head}\n{}\n{explained}", script.join("\n"))
}

/// The result in words.
fn text(tally: &Tally, found: usize, cpu_seconds: f64, seed: u64) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    let line = |name: &str, counts: Vec<String>| format!("{name:<12} {}\n", counts.join(", "));
    let counts = |map: &std::collections::BTreeMap<&'static str, u64>| -> Vec<String> {
        map.iter().map(|(name, count)| format!("{name} {count}")).collect()
    };
    let named = |map: &std::collections::BTreeMap<String, u64>| -> Vec<String> {
        map.iter().map(|(name, count)| format!("{name} {count}")).collect()
    };
    let totals = format!(
        "{} queries, {} of them with rows, and {} writes in {} cases, {cpu_seconds:.1} s of CPU",
        tally.queries, tally.with_rows, tally.writes, tally.cases,
    );
    text += &line("ran", vec![totals]);
    text += &line("judges", counts(&tally.judges));
    text += &line("kinds", counts(&tally.kinds));
    text += &line("let off", counts(&tally.excused));
    text += &line("not SQLite", named(&tally.not_in_sqlite));
    text += &line("errors", named(&tally.errors));
    let verdict = if found == 0 { "PASS" } else { "FAIL" };
    let _ = writeln!(text, "{verdict} seed={seed} mismatches={found}");
    text
}
