//! Counts false alarms: `cargo run --release -p checkers --example alarms -- COUNT [FIRST SEED]` makes that many random
//! histories at each level, correct by construction, and asks every judge that decides the level. Prints one line for
//! each level, and the first history that was rejected; exits with 1 if there is one.

use std::process::ExitCode;

use checkers::Verdict;
use checkers::generate::{Options, generate};
use checkers::transactions::Level;
use checkers::versions;

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|argument| argument.parse().unwrap_or(0));
    let count: u64 = numbers.next().unwrap_or(1000);
    let first: u64 = numbers.next().unwrap_or(0);
    let mut alarms = 0;
    for level in Level::ALL {
        let (mut transactions, mut rejected, mut gave_up) = (0, 0, 0);
        for seed in first..first + count {
            let options = Options::varied(level, seed);
            let generated = generate(&options, seed);
            transactions += generated.history.transactions.len();
            if let Some(options) = versions::Options::of(level) {
                match versions::check(&generated.history.transactions, options) {
                    Verdict::Pass { .. } => {}
                    Verdict::GaveUp { reason, .. } => {
                        if gave_up == 0 {
                            print(&format!("{level}, seed {seed}: {reason}"));
                        }
                        gave_up += 1;
                    }
                    Verdict::Fail(violation) => {
                        if rejected == 0 {
                            print(&format!("{level}, seed {seed}: {violation}"));
                            for transaction in &generated.history.transactions {
                                print(&format!("  {:?} {transaction:?}", generated.commits[transaction.id as usize]));
                            }
                        }
                        rejected += 1;
                    }
                }
            }
        }
        print(&format!(
            "{level}: {count} histories, {transactions} transactions, {rejected} rejected, {gave_up} not decided"
        ));
        alarms += rejected;
    }
    ExitCode::from(u8::from(alarms > 0))
}

#[expect(clippy::print_stdout, reason = "the report of a command")]
fn print(line: &str) {
    println!("{line}");
}
