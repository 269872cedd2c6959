//! Virtual time, in nanoseconds since the universe began.
//!
//! madsim's timers have a granularity of one millisecond and its scheduler spends 50 to 100 of its nanoseconds on each
//! poll. Messages and disk operations here take microseconds, so the universe runs its clock a thousand times slower
//! than madsim's: a madsim millisecond is a microsecond of the universe, and a poll costs next to nothing.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use madsim::time::{Sleep, TimeHandle};

/// madsim's nanoseconds per nanosecond of the universe.
const SCALE: u64 = 1_000;

/// Nanoseconds since the universe began.
pub fn now_ns() -> u64 {
    TimeHandle::current().elapsed().as_nanos() as u64 / SCALE
}

/// Waits for at least `ns` nanoseconds; the granularity is a microsecond.
pub async fn sleep_ns(ns: u64) {
    madsim::time::sleep(Duration::from_nanos(ns * SCALE)).await;
}

/// Waits until a moment, if it has not passed.
pub async fn sleep_until_ns(at: u64) {
    let now = now_ns();
    if at > now {
        sleep_ns(at - now).await;
    }
}

/// A wake-up call for the task that polls it: a sleep that may be polled again without setting another timer.
pub struct Alarm {
    sleep: Pin<Box<Sleep>>,
    set: bool,
}

impl Alarm {
    /// An alarm that rings at a moment.
    pub fn at(at: u64) -> Self {
        let ns = at.saturating_sub(now_ns());
        Self { sleep: Box::pin(madsim::time::sleep(Duration::from_nanos(ns * SCALE))), set: false }
    }

    /// Whether its moment has passed.
    pub fn has_rung(&self) -> bool {
        self.sleep.is_elapsed()
    }

    /// Whether it has rung; if not, the task will be woken when it does.
    pub fn ring(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.has_rung() {
            Poll::Ready(())
        } else if std::mem::replace(&mut self.set, true) {
            Poll::Pending
        } else {
            self.sleep.as_mut().poll(context)
        }
    }
}
