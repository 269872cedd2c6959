//! Random SQL as a fuzz target: any bytes are a schema with rows and queries, and all judges must agree on them.

use differential::coverage::Tally;
use differential::render::{Dialect, script};
use differential::run::play;

#[test]
fn cases() {
    let bytes = bolero::produce::<Vec<u8>>().with().len(0..6_000usize);
    let check = bolero::check!().with_generator(bytes).with_iterations(30).with_max_len(8_192);
    // The script that is printed has been made small already.
    check.with_shrink_time(std::time::Duration::ZERO).for_each(|bytes| {
        if let Some((small, mismatch)) = play(differential::case_of(bytes), &mut Tally::default()).unwrap() {
            let script: Vec<String> = script(&small, Dialect::Engine).into_iter().map(|step| step.sql + ";").collect();
            panic!("{}\n{mismatch}", script.join("\n"));
        }
    });
}
