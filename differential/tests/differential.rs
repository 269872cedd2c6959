//! A few thousand queries in every test run, and as many as a fuzzer likes: `cargo bolero test -p differential cases`.

use differential::coverage::Tally;
use differential::render::{Dialect, script};
use differential::run::{Run, play, run};

fn complain(small: &differential::ast::Case, mismatch: &differential::judge::Mismatch) -> ! {
    let script: Vec<String> = script(small, Dialect::Engine).into_iter().map(|step| step.sql + ";").collect();
    panic!("{}\n{mismatch}", script.join("\n"));
}

#[test]
fn all_judges_agree() {
    let (tally, found, _) = run(&Run { queries: 2_000, seed: 1, jobs: 1, most: 1, case: None }, &|_| {}).unwrap();
    if let Some(found) = found.first() {
        complain(&found.small, &found.mismatch);
    }
    assert!(tally.with_rows > tally.queries / 3, "only {} of {} queries gave rows", tally.with_rows, tally.queries);
    let rare = ["reopen"];
    let missing: Vec<_> = tally.missing().into_iter().filter(|kind| !rare.contains(kind)).collect();
    assert!(missing.is_empty(), "never met: {missing:?}");
}

#[test]
fn cases() {
    let bytes = bolero::produce::<Vec<u8>>().with().len(0..6_000usize);
    let check = bolero::check!().with_generator(bytes).with_iterations(30).with_max_len(8_192);
    // The script that is printed has been made small already.
    check.with_shrink_time(std::time::Duration::ZERO).for_each(|bytes| {
        if let Some((small, mismatch)) = play(differential::case_of(bytes), &mut Tally::default()).unwrap() {
            complain(&small, &mismatch);
        }
    });
}
