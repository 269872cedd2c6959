//! A drop-in for stateright's `LinearizabilityTester`, for histories of any length.
//!
//! Like stateright's it records calls and returns by thread, as events come. What it records is the partial order of the
//! operations and nothing else, so that two testers are equal if and only if their histories are: a model checker does not
//! see more states than there are.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::marker::PhantomData;

use stateright::semantics::ConsistencyTester;

use super::model::{Hints, Model};
use super::{Decision, Operation, Options, decide};

/// Records a history of threads `T` on an object `S`, and tells whether it is linearizable. `H` declares what is known of
/// the object, see [`Hints`].
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Tester<T, S: Model, H = ()> {
    initial: S,
    /// By thread, its operations in order: the moments of call and return, what was asked, and what was answered.
    threads: BTreeMap<T, Vec<Recorded<S>>>,
    /// How often a call has followed a return. Calls and returns between the same two steps are concurrent.
    moment: u64,
    /// Whether the last event was a return.
    returned: bool,
    valid: bool,
    hints: PhantomData<H>,
}

#[derive(Clone, Debug, PartialEq, Hash)]
struct Recorded<S: Model> {
    invoke: u64,
    op: S::Op,
    answer: Option<(u64, S::Ret)>,
}

impl<T: Ord, S: Model, H: Hints<S>> Tester<T, S, H> {
    /// A tester without operations, of an object that is `initial`ly so.
    pub fn new(initial: S) -> Self {
        Self { initial, threads: BTreeMap::new(), moment: 0, returned: false, valid: true, hints: PhantomData }
    }

    /// How many operations were recorded, completed or in flight.
    pub fn len(&self) -> usize {
        self.threads.values().map(Vec::len).sum()
    }

    /// Whether no operation was recorded.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The history as it was recorded. Clients are threads, numbered in their order.
    pub fn history(&self) -> Vec<Operation<S::Op, S::Ret>> {
        let mut history = Vec::with_capacity(self.len());
        for (client, operations) in self.threads.values().enumerate() {
            history.extend(operations.iter().map(|Recorded { invoke, op, answer }| Operation {
                client: client as u64,
                invoke: *invoke,
                complete: answer.as_ref().map(|(complete, _)| *complete),
                input: op.clone(),
                output: answer.as_ref().map(|(_, ret)| ret.clone()),
            }));
        }
        history
    }

    /// What the search says of the history, as far as `options` allow. `None` if the recorded events are no history.
    pub fn decide(&self, options: &Options) -> Option<Decision<S>> {
        self.valid.then(|| decide::<S, H>(&self.initial, &self.history(), options))
    }

    /// An order that explains the history, with the answers, if there is one.
    pub fn serialized_history(&self) -> Option<Vec<(S::Op, S::Ret)>> {
        let history = self.history();
        match self.decide(&unlimited())? {
            Decision::Linearizable { order, .. } => {
                let mut state = self.initial.clone();
                let step = |place: usize| {
                    let Operation { input, output, .. } = &history[place];
                    let answer = state.invoke(input);
                    (input.clone(), output.clone().unwrap_or(answer))
                };
                Some(order.into_iter().map(step).collect())
            }
            Decision::Illegal(_) | Decision::Unknown { .. } => None,
        }
    }

    fn open(&self, thread: &T) -> Option<&Recorded<S>> {
        self.threads.get(thread)?.last().filter(|last| last.answer.is_none())
    }
}

/// Whoever asks for a yes or a no gets one.
fn unlimited() -> Options {
    Options { configurations: u64::MAX, bytes: usize::MAX, evidence: false, ..Options::default() }
}

impl<T: Ord, S: Model + Default, H: Hints<S>> Default for Tester<T, S, H> {
    fn default() -> Self {
        Self::new(S::default())
    }
}

impl<T: Copy + Debug + Ord, S: Model, H: Hints<S>> ConsistencyTester<T, S> for Tester<T, S, H> {
    fn on_invoke(&mut self, thread: T, op: S::Op) -> Result<&mut Self, String> {
        if !self.valid {
            return Err("The history before was no history already.".to_owned());
        }
        if let Some(open) = self.open(&thread) {
            let error = format!("Thread {thread:?} has an operation in flight already: {:?}.", open.op);
            self.valid = false;
            return Err(error);
        }
        if std::mem::take(&mut self.returned) {
            self.moment += 1;
        }
        let recorded = Recorded { invoke: 2 * self.moment, op, answer: None };
        self.threads.entry(thread).or_default().push(recorded);
        Ok(self)
    }

    fn on_return(&mut self, thread: T, ret: S::Ret) -> Result<&mut Self, String> {
        if !self.valid {
            return Err("The history before was no history already.".to_owned());
        }
        let last = self.threads.get_mut(&thread).and_then(|operations| operations.last_mut());
        if let Some(open) = last.filter(|last| last.answer.is_none()) {
            open.answer = Some((2 * self.moment + 1, ret));
            self.returned = true;
            Ok(self)
        } else {
            self.valid = false;
            Err(format!("Thread {thread:?} has no operation in flight that could return {ret:?}."))
        }
    }

    fn is_consistent(&self) -> bool {
        self.decide(&unlimited()).is_some_and(|decision| decision.is_linearizable())
    }
}
