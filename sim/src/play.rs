//! Playing one scenario from beginning to end, on a fresh thread.
//!
//! A universe gets a thread of its own because the order of std's hash maps, which madsim uses, is the same only in the
//! first runtime of a thread; and so that a panic ends this universe only.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::sync::Once;

use scenarios::{Fate, Recorder, Scenario};

use crate::film::Event;
use crate::host::thread_cpu_us;
use crate::report::Report;
use crate::universe::{self, Played, Watch};
use crate::verdict::{Finding, Verdict};

/// Enough for the deepest expression that SQL allows, many times over.
const STACK: usize = 16 << 20;

thread_local! {
    /// What a panic of this thread said, and where.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What is kept of a run beside its report, when it was [asked for](Watch).
#[derive(Debug, Default)]
pub struct Footage {
    /// Every event.
    pub film: Vec<Event>,
    /// What the dice decided.
    pub decisions: Vec<Fate>,
    /// What the clients did and saw.
    pub record: Recorder,
}

/// Plays a scenario, which must be valid, and says how it went. A panic of the engine is a verdict like others.
pub fn play(scenario: &Scenario) -> Report {
    watch(scenario, Watch::default()).0
}

/// Plays a scenario, and keeps more of it.
pub fn watch(scenario: &Scenario, watch: Watch) -> (Report, Footage) {
    hook_panics();
    let thread = std::thread::Builder::new().name("universe".into()).stack_size(STACK);
    std::thread::scope(|scope| {
        let handle = thread.spawn_scoped(scope, || play_here(scenario, watch)).expect("a thread can be started");
        handle.join().expect("panics are caught within the thread")
    })
}

/// Plays a scenario twice. That the two go alike is part of the verdict.
pub fn play_twice(scenario: &Scenario) -> Report {
    let (first, second) = (play(scenario), play(scenario));
    let mut report = second;
    if let Some(message) = difference(&first, &report) {
        let events = first.counts.events.min(report.counts.events);
        let evidence = vec![format!("the first time: {}", first.outcome.signature())];
        report.outcome = Verdict::Determinism(Finding {
            checker: "twice".into(),
            anomaly: "divergence".into(),
            message,
            evidence,
            event: events,
            time_us: first.counts.virtual_us.min(report.counts.virtual_us),
            node: None,
        });
    }
    report.cpu_us += first.cpu_us;
    report
}

/// Says what differs between two runs of one scenario, if anything does.
fn difference(first: &Report, second: &Report) -> Option<String> {
    if first.digest != second.digest {
        let (a, b) = (&first.digest, &second.digest);
        let (m, n) = (first.counts.events, second.counts.events);
        return Some(format!("the same scenario has digest {a} after {m} events, and then {b} after {n}"));
    }
    let same = first.outcome == second.outcome && first.counts == second.counts && first.checks == second.checks;
    (!same).then(|| "the same events were counted or judged differently".to_string())
}

fn play_here(scenario: &Scenario, watch: Watch) -> (Report, Footage) {
    let start = thread_cpu_us();
    let shared = Rc::new(scenario.clone());
    let played = panic::catch_unwind(AssertUnwindSafe(|| universe::run(shared, watch))).unwrap_or_else(|_| {
        let message = PANIC.take().unwrap_or_else(|| "a panic without a message".into());
        universe::wreck(message)
    });
    let Played { outcome, digest, counts, checks, story, probes, record, film, decisions, states } = played;
    let report = Report {
        seed: scenario.seed,
        scenario: scenario.name().to_string(),
        outcome,
        digest,
        counts,
        checks,
        nodes: scenario.nodes,
        story,
        probes: probes.into_iter().map(|(name, hits)| (name.to_string(), hits)).collect(),
        states,
        cpu_us: thread_cpu_us() - start,
    };
    (report, Footage { film, decisions, record })
}

/// Keeps the message of a universe's panic for its report, instead of printing it.
fn hook_panics() {
    static ONCE: Once = Once::new();
    #[expect(clippy::disallowed_methods, reason = "tells a universe's panic from one of the program")]
    ONCE.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if std::thread::current().name() == Some("universe") {
                PANIC.set(Some(info.to_string().replace('\n', " ")));
            } else {
                print(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::report::Counts;

    fn report(digest: &str, ok: u64) -> Report {
        Report {
            seed: 1,
            scenario: "bank".into(),
            outcome: Verdict::Pass,
            digest: digest.into(),
            counts: Counts { ok, ..Counts::default() },
            checks: Vec::new(),
            nodes: 5,
            story: Vec::new(),
            probes: BTreeMap::new(),
            states: BTreeSet::new(),
            cpu_us: 0,
        }
    }

    #[test]
    fn runs_that_differ_are_told_apart() {
        assert_eq!(difference(&report("a", 1), &Report { cpu_us: 7, ..report("a", 1) }), None);
        assert!(difference(&report("a", 1), &report("b", 1)).unwrap().contains("digest a"));
        assert!(difference(&report("a", 1), &report("a", 2)).unwrap().contains("counted"));
    }
}
