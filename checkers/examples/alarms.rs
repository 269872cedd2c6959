//! Counts false alarms: `cargo run --release -p checkers --example alarms -- COUNT [FIRST SEED]` makes that many random
//! histories at each level, correct by construction, and asks every judge that decides the level. Prints one line for
//! each level, and the first history that was rejected; exits with 1 if there is one.

use std::process::ExitCode;

use checkers::generate::{Generated, Options, generate};
use checkers::transactions::{self as judge, Finding, Level};
use checkers::versions;

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|argument| argument.parse().unwrap_or(0));
    let count: u64 = numbers.next().unwrap_or(1000);
    let first: u64 = numbers.next().unwrap_or(0);
    let mut alarms = 0;
    for level in Level::ALL {
        let (mut transactions, mut held, mut undecided) = (0, 0, 0);
        let (mut rejected, mut by_position) = (0, 0);
        for seed in first..first + count {
            let generated = generate(&Options::varied(level, seed), seed);
            transactions += generated.history.transactions.len();
            let options = judge::Options { levels: vec![level], positions: false, ..Default::default() };
            let judgement = judge::judge(&generated.history, &options);
            match judgement.findings.get(&level) {
                Some(Finding::Violated { anomaly }) => {
                    show(&format!("{level}, seed {seed}: {:?}", judgement.anomalies[*anomaly]), rejected, &generated);
                    rejected += 1;
                }
                Some(Finding::Holds) => held += 1,
                Some(Finding::Undecided { .. }) | None => undecided += 1,
            }
            if let Some(options) = versions::Options::of(level) {
                let verdict = versions::check(&generated.history.transactions, options);
                if !verdict.is_pass() {
                    show(&format!("{level}, seed {seed}: {verdict:?}"), by_position, &generated);
                    by_position += 1;
                }
            }
        }
        let known =
            versions::Options::of(level).map_or("no positions".to_owned(), |_| format!("{by_position} by them"));
        print(&format!(
            "{level}: {count} histories, {transactions} transactions; without positions {rejected} rejected, {held} hold, \
             {undecided} undecided; {known} rejected"
        ));
        alarms += rejected + by_position;
    }
    ExitCode::from(u8::from(alarms > 0))
}

/// Shows the first that was rejected.
fn show(what: &str, before: u64, generated: &Generated) {
    if before == 0 {
        print(what);
        for transaction in &generated.history.transactions {
            print(&format!("  {:?} {transaction:?}", generated.commits[transaction.id as usize]));
        }
    }
}

#[expect(clippy::print_stdout, reason = "the report of a command")]
fn print(line: &str) {
    println!("{line}");
}
