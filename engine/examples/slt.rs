//! Runs sqllogictest files as the SQLite project has them: `cargo run --release -p engine --example slt -- FILES…`.
//!
//! Prints how many records of each file passed, and the failures by cause; with `--verbose`, each of them. Records for
//! other databases are left out, and so are those that files leave out for PostgreSQL, except where the only reason is
//! that PostgreSQL wants AS before an alias.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a command")]

#[path = "../tests/support/slt.rs"]
mod slt;

use std::collections::BTreeMap;
use std::process::ExitCode;

use engine::Database;

/// Takes remarks from lines that say for which database a record is, where the SQLite project has them and the
/// sqllogictest crate knows none. What is left out for PostgreSQL because it wants AS before an alias is not left out.
fn without_remarks(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for line in text.lines() {
        if line.starts_with("skipif") || line.starts_with("onlyif") {
            let (condition, remark) = line.split_once('#').unwrap_or((line, ""));
            let is_meant = !(condition.trim_end() == "skipif postgresql" && remark.contains("requires AS"));
            plain.push_str(if is_meant { condition.trim_end() } else { "#" });
        } else {
            plain.push_str(line);
        }
        plain.push('\n');
    }
    plain
}

fn main() -> ExitCode {
    let (flags, files): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|arg| arg.starts_with("--"));
    let verbose = flags.iter().any(|flag| flag == "--verbose");
    if files.is_empty() || flags.iter().any(|flag| flag != "--verbose") {
        println!("usage: slt [--verbose] FILES");
        return ExitCode::from(2);
    }
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    let mut causes: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for file in &files {
        let text = match std::fs::read(file) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => {
                println!("{file}: {error}");
                return ExitCode::from(2);
            }
        };
        let report = slt::run(&without_remarks(&text), &Database::in_memory());
        println!("{file}: {} passed, {} failed, {} left out", report.passed, report.failures.len(), report.skipped);
        if report.passed + report.skipped + report.failures.len() == 0 {
            println!("{file} has no records");
        }
        passed += report.passed;
        failed += report.failures.len();
        skipped += report.skipped;
        for failure in report.failures {
            let place = format!("{file}:{}: {}\n    {}", failure.line, failure.detail, failure.sql.replace('\n', " "));
            if verbose {
                println!("  {place}");
            }
            causes.entry(failure.cause).or_insert((0, place)).0 += 1;
        }
    }
    let share = 100.0 * passed as f64 / (passed + failed).max(1) as f64;
    println!("in all: {passed} passed, {failed} failed ({share:.3} % passed), {skipped} left out");
    for (cause, (count, first)) in &causes {
        println!("{count:>8} {cause}, first at {first}");
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
