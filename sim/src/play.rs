//! Playing one scenario from beginning to end, on a fresh thread.
//!
//! A universe gets a thread of its own because the order of std's hash maps, which madsim uses, is the same only in the
//! first runtime of a thread; and so that a panic ends this universe only.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::sync::Once;

use scenarios::Scenario;

use crate::host::thread_cpu_us;
use crate::report::{Counts, Report};
use crate::universe::{self, Played};
use crate::verdict::{Finding, Verdict};

/// Enough for the deepest expression that SQL allows, many times over.
const STACK: usize = 16 << 20;

thread_local! {
    /// What a panic of this thread said, and where.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Plays a scenario, which must be valid, and says how it went. A panic of the engine is a verdict like others.
#[expect(clippy::disallowed_methods, reason = "a thread for a whole universe, which ends before this returns")]
pub fn play(scenario: &Scenario) -> Report {
    hook_panics();
    let thread = std::thread::Builder::new().name("universe".into()).stack_size(STACK);
    std::thread::scope(|scope| {
        let handle = thread.spawn_scoped(scope, || play_here(scenario)).expect("a thread can be started");
        handle.join().expect("panics are caught within the thread")
    })
}

fn play_here(scenario: &Scenario) -> Report {
    let start = thread_cpu_us();
    let shared = Rc::new(scenario.clone());
    let played = panic::catch_unwind(AssertUnwindSafe(|| universe::run(shared))).unwrap_or_else(|_| {
        let message = PANIC.take().unwrap_or_else(|| "a panic without a message".into());
        let finding = Finding {
            checker: "engine".into(),
            anomaly: "panic".into(),
            message,
            evidence: Vec::new(),
            event: 0,
            time_us: 0,
            node: None,
        };
        Played {
            outcome: Verdict::Panic(finding),
            digest: String::new(),
            counts: Counts::default(),
            checks: Vec::new(),
        }
    });
    let Played { outcome, digest, counts, checks } = played;
    Report {
        seed: scenario.seed,
        scenario: scenario.name().to_string(),
        outcome,
        digest,
        counts,
        checks,
        cpu_us: thread_cpu_us() - start,
    }
}

/// Keeps the message of a universe's panic for its report, instead of printing it.
fn hook_panics() {
    static ONCE: Once = Once::new();
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
