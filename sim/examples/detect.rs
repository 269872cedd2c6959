//! How long it takes to find a failure: CPU time and universes until the first one, by fresh seeds and by guided search, over
//! several starts. Every guided search begins with what the corpus holds. `plants/run` asks this of engines with a planted
//! failure.
//!
//! `cargo run --release -p sim --example detect -- STARTS MOST_CPU_SECONDS CORPUS`

#![expect(clippy::print_stdout, reason = "prints its figures")]

use std::path::Path;

use scenarios::{Overrides, Scenario};
use sim::guided::{Search, corpus};
use sim::play;

/// Starts are so many seeds apart.
const APART: u64 = 1_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize| arguments.get(place).and_then(|argument| argument.parse::<u64>().ok());
    let (Some(starts), Some(most_s), Some(corpus)) = (number(0).filter(|n| *n > 0), number(1), arguments.get(2)) else {
        println!("usage: detect STARTS MOST_CPU_SECONDS CORPUS");
        std::process::exit(2);
    };
    for guided in [false, true] {
        let mut figures: Vec<(u64, u64, bool)> =
            (1..=starts).map(|start| detect(start * APART, most_s, guided.then_some(Path::new(corpus)))).collect();
        figures.sort_unstable();
        let found = figures.iter().filter(|(.., found)| *found).count();
        let (total_us, runs) = figures.iter().fold((0, 0), |sum, (us, runs, _)| (sum.0 + us, sum.1 + runs));
        let (median_us, median_runs, _) = figures[figures.len() / 2];
        println!(
            "{} found={found}/{starts} mean_cpu_ms={} median_cpu_ms={} mean_universes={} median_universes={median_runs}",
            if guided { "guided" } else { "random" },
            total_us / 1_000 / starts,
            median_us / 1_000,
            runs / starts,
        );
    }
}

/// CPU time and universes until the first failure, and whether there was one; guided if a corpus is given.
fn detect(start: u64, most_s: u64, corpus: Option<&Path>) -> (u64, u64, bool) {
    let mut search = corpus.map(|corpus| {
        let mut search = Search::new(start, Overrides::default(), true);
        corpus::load(corpus, &mut search).expect("the corpus can be read");
        search
    });
    let (mut cpu_us, mut runs) = (0, 0);
    while cpu_us < most_s * 1_000_000 {
        let report = match &mut search {
            Some(search) => {
                let input = search.next_input();
                search.play(input).report
            }
            None => play(&Scenario::draw(start + runs, &Overrides::default())),
        };
        cpu_us += report.cpu_us;
        runs += 1;
        if !report.outcome.is_pass() {
            return (cpu_us, runs, true);
        }
    }
    (cpu_us, runs, false)
}
