//! Faults that wait for something to happen: a node's so manieth sync, a log entry on its disk, a reign, a vote.

use std::cell::{Cell, RefCell};

use scenarios::{FaultKind, When};

use super::schedule::Action;
use super::{Universe, time};

/// The faults that wait, each for its moment, which comes once.
#[derive(Default)]
pub struct Triggers {
    waiting: RefCell<Vec<(When, FaultKind)>>,
    /// Whether any is waiting: most universes have none at most times.
    armed: Cell<bool>,
}

impl Universe {
    /// Lets a fault wait for something other than a moment.
    pub fn arm(&self, when: When, kind: FaultKind) {
        self.triggers.waiting.borrow_mut().push((when, kind));
        self.triggers.armed.set(true);
    }

    /// Calls off all that wait.
    pub fn disarm(&self) {
        self.triggers.waiting.borrow_mut().clear();
        self.triggers.armed.set(false);
    }

    /// Something has happened to a node: what has waited for it comes next, when the node's step is over.
    pub fn happened(&self, happened: impl Fn(When) -> bool) {
        if !self.triggers.armed.get() {
            return;
        }
        let mut waiting = self.triggers.waiting.borrow_mut();
        waiting.retain(|(when, kind)| {
            let now = happened(*when);
            if now {
                self.plan(time::now_ns(), Action::Fault(kind.clone()));
            }
            !now
        });
        self.triggers.armed.set(!waiting.is_empty());
    }
}
