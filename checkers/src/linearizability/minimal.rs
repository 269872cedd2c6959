//! Makes an illegal history as small as it can be.
//!
//! There are two ways to drop an operation. To *delete* it is what one thinks of first, but a read of a deleted write is
//! illegal by itself, so that what is left is often a single read. To *forget* it says only that its outcome is unknown:
//! it may have taken effect at any time after its call, or never. What is left then are the operations whose answers
//! contradict each other whatever else happened. Forgetting never makes a legal history illegal, so that trying each
//! operation once is enough; deletion is tried until nothing more can go. Both begin with large pieces (delta debugging,
//! Zeller and Hildebrandt 2002).

use super::decide::{Part, parts, search};
use super::model::{Hints, Model};
use super::plan::Call;
use super::search::Progress;
use super::{Illegal, Operation, Options};

/// How many configurations one attempt may explore.
const ATTEMPT: u64 = 20_000;

/// How operations are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    /// Their outcome is unknown.
    Forget,
    /// They are not there.
    Delete,
}

/// What is left of an illegal history. Operations are places in it, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Core {
    /// Operations that are illegal together. If any of them is dropped too, what is left is legal.
    pub operations: Vec<usize>,
    /// With [`Drop::Forget`], some dropped operations with which that is so: those that take effect when one of
    /// `operations` is forgotten as well. All others might as well be deleted.
    pub possible: Vec<usize>,
    /// Whether no operation can be dropped; `false` if the budget was used up before that was known.
    pub minimal: bool,
}

/// A core of a history that was found to be `illegal`; `options` limit each attempt, and `attempts` their number.
pub fn minimal<M: Model, H: Hints<M>>(
    model: &M,
    operations: &[Operation<M::Op, M::Ret>],
    illegal: &Illegal<M>,
    drop: Drop,
    (options, attempts): (&Options, u64),
) -> Core {
    let none = Core { operations: Vec::new(), possible: Vec::new(), minimal: false };
    let part = parts::<M, H>(model, operations, options)
        .into_iter()
        .find(|part| part.calls.iter().any(|call| call.place == illegal.stuck));
    let Some(mut part) = part else { return none };
    let Some(stuck) = part.calls.iter().find(|call| call.place == illegal.stuck).copied() else { return none };
    part.calls.retain(|call| call.invoke <= stuck.complete);
    let until = (stuck.complete, stuck.place);
    // What returned later is forgotten already.
    for call in &mut part.calls {
        if (call.complete, call.place) > until {
            *call = call.crashed();
        }
    }
    let kept = part.calls.iter().map(|call| drop == Drop::Delete || call.ret.is_some()).collect();
    let mut shrinker = Shrinker::<M, H> { part, kept, drop, options, attempts, sure: true, hints: Default::default() };
    shrinker.shrink();
    let places = |shrinker: &Shrinker<'_, M, H>, want: &dyn Fn(usize) -> bool| {
        let calls = shrinker.part.calls.iter().enumerate();
        calls.filter(|(at, _)| want(*at)).map(|(_, call)| call.place).collect::<Vec<usize>>()
    };
    let possible = if drop == Drop::Forget { shrinker.possible() } else { Vec::new() };
    let operations = places(&shrinker, &|at| shrinker.kept[at]);
    Core { operations, possible, minimal: shrinker.sure }
}

struct Shrinker<'a, M: Model, H> {
    part: Part<'a, M>,
    /// By call of the part: whether it is not dropped.
    kept: Vec<bool>,
    drop: Drop,
    options: &'a Options,
    attempts: u64,
    /// Whether every attempt was decided.
    sure: bool,
    hints: std::marker::PhantomData<H>,
}

impl<'a, M: Model + 'a, H: Hints<M> + 'a> Shrinker<'a, M, H> {
    fn history(&self, kept: &[bool]) -> Vec<Call<'a, M>> {
        let calls = self.part.calls.iter().zip(kept);
        match self.drop {
            Drop::Forget => calls.map(|(call, kept)| if *kept { *call } else { call.crashed() }).collect(),
            Drop::Delete => calls.filter(|(_, kept)| **kept).map(|(call, _)| *call).collect(),
        }
    }

    /// Whether the history is still illegal with `kept` only.
    fn still(&mut self, kept: &[bool]) -> bool {
        if self.attempts == 0 {
            self.sure = false;
            return false;
        }
        self.attempts -= 1;
        let calls = self.history(kept);
        let mut search = search::<M, H>(&self.part.model, &calls, self.options.prunings, self.options.verify);
        match search.run(self.options.configurations.min(ATTEMPT)) {
            Progress::Illegal => true,
            Progress::Legal => false,
            Progress::More => {
                self.sure = false;
                false
            }
        }
    }

    fn shrink(&mut self) {
        let mut size = self.kept.len();
        while size > 0 {
            let mut dropped = false;
            let all: Vec<usize> = (0..self.kept.len()).filter(|at| self.kept[*at]).collect();
            // Attempts at large pieces may fail without saying anything about small ones.
            self.sure = true;
            for piece in all.chunks(size) {
                let mut kept = self.kept.clone();
                for at in piece {
                    kept[*at] = false;
                }
                if self.still(&kept) {
                    self.kept = kept;
                    dropped = true;
                }
            }
            if size > 1 {
                size /= 2;
            } else if !dropped || self.drop == Drop::Forget {
                size = 0;
            }
        }
    }

    /// The dropped operations that take effect in some order when one more is forgotten.
    fn possible(&self) -> Vec<usize> {
        let mut taken = Vec::new();
        for at in (0..self.kept.len()).filter(|at| self.kept[*at]) {
            let mut kept = self.kept.clone();
            kept[at] = false;
            let calls = self.history(&kept);
            let mut search = search::<M, H>(&self.part.model, &calls, self.options.prunings, self.options.verify);
            if search.run(self.options.configurations.min(ATTEMPT)) == Progress::Legal {
                taken.extend(search.order());
            }
        }
        taken.sort_unstable();
        taken.dedup();
        taken.retain(|place| !self.part.calls.iter().zip(&self.kept).any(|(call, kept)| *kept && call.place == *place));
        taken
    }
}
