//! Probes: named places in the code where something rare and interesting happens.
//!
//! `probe!("torn record at the tail")` counts that its place was passed. Every probe of the program is registered when it is
//! linked, so a host can list those that were never reached: [`all`] names them, [`counts`] says how often this thread
//! passed each. A simulator gives each universe a thread of its own, and so gets the counts of one universe. A probe decides
//! nothing and costs one increment of a thread-local number.
//!
//! After `BUGGIFY` probes of FoundationDB's "coverage test" macros (Zhou et al., "FoundationDB", SIGMOD 2021) and SQLite's
//! `testcase()`.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::thread::LocalKey;

/// One place that is counted.
pub struct Probe {
    /// What happens here, in words. Unique.
    pub name: &'static str,
    /// The source file.
    pub file: &'static str,
    /// The line in it.
    pub line: u32,
    #[doc(hidden)]
    pub hits: &'static LocalKey<Cell<u64>>,
}

/// All probes that are linked into the program, in no order.
#[doc(hidden)]
#[linkme::distributed_slice]
pub static PROBES: [Probe];

#[doc(hidden)]
pub use linkme;

/// Counts that this place was passed.
///
/// ```
/// engine::probe!("a doctest was run");
/// assert_eq!(engine::probe::counts()["a doctest was run"], 1);
/// ```
#[macro_export]
macro_rules! probe {
    ($name:literal) => {{
        ::std::thread_local! {
            static HITS: ::std::cell::Cell<u64> = const { ::std::cell::Cell::new(0) };
        }
        // The slice is put together by the linker, from one section of each object file: `linkme` checks the types.
        #[allow(unsafe_code, reason = "a static is placed in a named section; nothing is called or dereferenced")]
        #[$crate::probe::linkme::distributed_slice($crate::probe::PROBES)]
        #[linkme(crate = $crate::probe::linkme)]
        static PROBE: $crate::probe::Probe =
            $crate::probe::Probe { name: $name, file: file!(), line: line!(), hits: &HITS };
        HITS.set(HITS.get() + 1);
    }};
}

/// All probes of the program, by name.
pub fn all() -> Vec<&'static Probe> {
    let mut probes: Vec<&Probe> = PROBES.iter().collect();
    probes.sort_by_key(|probe| probe.name);
    probes
}

/// How often this thread has passed each probe, for those that it has passed at all.
pub fn counts() -> BTreeMap<&'static str, u64> {
    PROBES.iter().map(|probe| (probe.name, probe.hits.get())).filter(|&(_, hits)| hits > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passed_probe_is_counted_and_every_probe_is_listed() {
        let listed = |name| all().iter().filter(|probe| probe.name == name).count();
        assert_eq!((listed("a probe that a test passes"), listed("a probe that no test passes")), (1, 1));
        for round in 1..=3 {
            probe!("a probe that a test passes");
            assert_eq!(counts()["a probe that a test passes"], round);
        }
        if all().is_empty() {
            probe!("a probe that no test passes");
        }
        assert!(!counts().contains_key("a probe that no test passes"));
    }

    #[test]
    fn names_are_unique() {
        let probes = all();
        for pair in probes.windows(2) {
            assert_ne!(
                pair[0].name, pair[1].name,
                "{}:{} and {}:{}",
                pair[0].file, pair[0].line, pair[1].file, pair[1].line
            );
        }
    }
}
