//! Waking tasks by hand: a flag-less signal for conditions that live in shared state.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Poll, Waker};

use super::time::{Alarm, now_ns};

/// Wakes the one task that waits.
#[derive(Default)]
pub struct Signal {
    waker: RefCell<Option<Waker>>,
}

impl Signal {
    /// Wakes the waiting task, if there is one, to look at its condition again.
    pub fn notify(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Waits until `condition` gives something. It is looked at now, and after each [`Signal::notify`].
    pub async fn wait<T>(&self, mut condition: impl FnMut() -> Option<T>) -> T {
        poll_fn(|context| {
            let value = condition();
            if value.is_none() {
                self.set(context.waker());
            }
            value.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Waits until the moment that `due` gives has come, while that may change with each [`Signal::notify`].
    pub async fn wait_until(&self, due: impl Fn() -> Option<u64>) {
        let mut alarm: Option<(u64, Alarm)> = None;
        poll_fn(|context| {
            self.set(context.waker());
            let Some(due) = due() else { return Poll::Pending };
            if due <= now_ns() {
                return Poll::Ready(());
            }
            // An alarm for an earlier moment than needed does no harm: it only leads to another look.
            let alarm = match &mut alarm {
                Some((at, alarm)) if *at <= due && !alarm.has_rung() => alarm,
                slot => &mut slot.insert((due, Alarm::at(due))).1,
            };
            alarm.ring(context)
        })
        .await;
    }

    /// Remembers whom to wake.
    pub fn set(&self, waker: &Waker) {
        let mut slot = self.waker.borrow_mut();
        if !slot.as_ref().is_some_and(|old| old.will_wake(waker)) {
            *slot = Some(waker.clone());
        }
    }
}
