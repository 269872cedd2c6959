//! Counts misses: `cargo run --release -p checkers --example misses -- COUNT [FIRST SEED]` mutates that many small histories
//! of each level in each way, lets the definitions of the levels say which are illegal, and asks the judges. Prints a
//! line for each level and mutation; exits with 1 if a judge rejects what is possible.

use std::process::ExitCode;

use checkers::generate::{Mutation, Options, Random, generate, mutate};
use checkers::transactions::{self, Finding, Level, judge};
use checkers::versions as positions;

#[path = "../tests/definitions/adya.rs"]
mod adya;
#[path = "../tests/definitions/axioms.rs"]
mod axioms;
#[path = "../tests/definitions/oracle.rs"]
mod oracle;
#[path = "../tests/definitions/serial.rs"]
mod serial;
#[path = "../tests/definitions/versions.rs"]
mod versions;

/// What the judges said.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    illegal: u64,
    found: u64,
    undecided: u64,
    by_position: u64,
    alarms: u64,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.illegal += other.illegal;
        self.found += other.found;
        self.undecided += other.undecided;
        self.by_position += other.by_position;
        self.alarms += other.alarms;
    }
}

fn one(level: Level, mutation: Mutation, seed: u64) -> Count {
    let options = Options::varied(level, seed);
    let options = Options { transactions: 3 + seed as usize % 5, operations: (1, 3), keys: 2, ..options };
    let mut generated = generate(&options, seed);
    let mut count = Count::default();
    let Some(done) = mutate(&mut generated, mutation, &mut Random::new(seed)) else { return count };
    let options = transactions::Options { levels: vec![level], positions: false, ..Default::default() };
    let finding = judge(&generated.history, &options).findings.remove(&level);
    let rejected = matches!(finding, Some(Finding::Violated { .. }));
    let known = positions::Options::of(level).map(|options| positions::check(&generated.history.transactions, options));
    if oracle::is_possible(&generated.history, level) == Some(false) {
        count.illegal = 1;
        count.found = u64::from(rejected);
        count.undecided = u64::from(matches!(finding, Some(Finding::Undecided { .. })));
        count.by_position = u64::from(known.is_some_and(|verdict| verdict.violation().is_some()));
    } else if rejected {
        print(&format!("FALSE ALARM at {level}, seed {seed}, {}: {:#?}", done.what, generated.history.transactions));
        count.alarms = 1;
    }
    count
}

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|argument| argument.parse().unwrap_or(0));
    let count: u64 = numbers.next().unwrap_or(1000);
    let first: u64 = numbers.next().unwrap_or(0);
    let mut all = Count::default();
    for level in Level::ALL {
        let decided = positions::Options::of(level).is_some();
        for mutation in Mutation::ALL {
            let mut sum = Count::default();
            (first..first + count).for_each(|seed| sum += one(level, mutation, seed));
            if sum.illegal > 0 {
                let with = if decided { format!(", {} by positions", sum.by_position) } else { String::new() };
                print(&format!(
                    "{level}, {mutation:?}: {} illegal, {} found ({} undecided){with}",
                    sum.illegal, sum.found, sum.undecided
                ));
            }
            all += sum;
        }
    }
    print(&format!(
        "in all {} illegal, {} found without positions, {} undecided, {} false alarms",
        all.illegal, all.found, all.undecided, all.alarms
    ));
    ExitCode::from(u8::from(all.alarms > 0))
}

#[expect(clippy::print_stdout, reason = "the report of a command")]
fn print(line: &str) {
    println!("{line}");
}
