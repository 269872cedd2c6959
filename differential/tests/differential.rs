//! A few thousand queries in every test run.

use differential::render::{Dialect, script};
use differential::run::{Run, run};

#[test]
fn all_judges_agree() {
    let (tally, found, _) = run(&Run { queries: 2_000, seed: 1, jobs: 1, most: 1, case: None }, &|_| {}).unwrap();
    if let Some(found) = found.first() {
        let script = script(&found.small, Dialect::Engine).into_iter().map(|step| step.sql + ";");
        panic!("{}\n{}", script.collect::<Vec<_>>().join("\n"), found.mismatch);
    }
    assert!(tally.with_rows > tally.queries / 3, "only {} of {} queries gave rows", tally.with_rows, tally.queries);
    let rare = ["reopen"];
    let missing: Vec<_> = tally.missing().into_iter().filter(|kind| !rare.contains(kind)).collect();
    assert!(missing.is_empty(), "never met: {missing:?}");
}
