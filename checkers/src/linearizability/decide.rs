//! Cuts a history into the parts that the model declares, and searches them in turns.

use std::collections::BTreeMap;
use std::fmt::Debug;

use super::bits::{Bits, Wide};
use super::evidence;
use super::model::{Hints, Model};
use super::plan::{Call, Plan};
use super::search::{Progress, Resume, Search};
use super::unique::{self, Unique};
use super::{Decision, Illegal, Options, Prunings};
use crate::history::Operation;

/// How many configurations a part may explore in its first turn; each later turn has four times as many.
const FIRST_TURN: u64 = 256;
/// How many configurations are explored at most before memory and time are looked at.
const SLICE: u64 = 16_384;

/// Decides whether `operations` are linearizable with respect to `model` in its initial state.
pub fn decide<M, H>(model: &M, operations: &[Operation<M::Op, M::Ret>], options: &Options) -> Decision<M>
where
    M: Model,
    H: Hints<M>,
{
    decide_until::<M, H>(model, operations, options, &mut || false)
}

/// Like [`decide`], and gives up soon after `stop` says so. It is asked between slices of some milliseconds.
pub fn decide_until<M, H>(
    model: &M,
    operations: &[Operation<M::Op, M::Ret>],
    options: &Options,
    stop: &mut dyn FnMut() -> bool,
) -> Decision<M>
where
    M: Model,
    H: Hints<M>,
{
    Decider::<M, H>::new(parts::<M, H>(model, operations, options), options).run(stop)
}

/// The parts that the model declares, or the whole.
pub(super) fn parts<'a, M: Model, H: Hints<M>>(
    model: &M,
    operations: &'a [Operation<M::Op, M::Ret>],
    options: &Options,
) -> Vec<Part<'a, M>> {
    let keys: Option<Vec<H::Key>> =
        if options.split { operations.iter().map(|one| H::key(&one.input)).collect() } else { None };
    let mut keys = keys.map(Vec::into_iter);
    let mut parts: BTreeMap<Option<H::Key>, Vec<Call<'a, M>>> = BTreeMap::new();
    for (place, operation) in operations.iter().enumerate() {
        let key = keys.as_mut().and_then(Iterator::next);
        parts.entry(key).or_default().push(Call::new(place, operation));
    }
    let part = |(key, calls): (Option<H::Key>, _)| Part {
        name: key.map(|key| format!("{key:?}")),
        model: model.clone(),
        calls,
    };
    parts.into_iter().map(part).collect()
}

/// Decides by parts that the caller knows, each with a model of its own.
pub(super) fn by_key<M, H, K>(
    operations: &[Operation<M::Op, M::Ret>],
    key: impl Fn(&M::Op) -> K,
    model: impl Fn(&K) -> M,
    options: &Options,
) -> Decision<M>
where
    M: Model,
    H: Hints<M>,
    K: Ord + Debug,
{
    let mut parts: BTreeMap<K, Vec<Call<'_, M>>> = BTreeMap::new();
    for (place, operation) in operations.iter().enumerate() {
        parts.entry(key(&operation.input)).or_default().push(Call::new(place, operation));
    }
    let parts =
        parts.into_iter().map(|(key, calls)| Part { name: Some(format!("{key:?}")), model: model(&key), calls });
    Decider::<M, H>::new(parts.collect(), options).run(&mut || false)
}

/// One part of the object, and the calls on it.
pub(super) struct Part<'a, M: Model> {
    pub(super) name: Option<String>,
    pub(super) model: M,
    pub(super) calls: Vec<Call<'a, M>>,
}

/// A search over `calls`, with sets of slots as wide as they need to be.
pub(super) fn search<'a, M: Model + 'a, H: Hints<M> + 'a>(
    model: &M,
    calls: &[Call<'a, M>],
    prunings: Prunings,
    verify: bool,
) -> Box<dyn Resume<M> + 'a> {
    fn boxed<'a, M: Model + 'a, H: Hints<M> + 'a, B: Bits + 'a>(
        model: M,
        plan: Plan<'a, M>,
        prunings: Prunings,
        verify: bool,
    ) -> Box<dyn Resume<M> + 'a> {
        Box::new(Search::<M, H, B>::new(model, plan, prunings, verify))
    }
    let plan = Plan::new::<H>(calls);
    match plan.width {
        0..=64 => boxed::<M, H, u64>(model.clone(), plan, prunings, verify),
        65..=128 => boxed::<M, H, u128>(model.clone(), plan, prunings, verify),
        _ => boxed::<M, H, Wide>(model.clone(), plan, prunings, verify),
    }
}

/// How far a part has come.
enum Stage<'a, M> {
    /// A legal order, as places in the history.
    Legal(Vec<usize>),
    Open(Box<dyn Resume<M> + 'a>),
}

struct Decider<'a, M: Model, H> {
    parts: Vec<Part<'a, M>>,
    stages: Vec<Stage<'a, M>>,
    options: &'a Options,
    hints: std::marker::PhantomData<H>,
}

impl<'a, M: Model + 'a, H: Hints<M> + 'a> Decider<'a, M, H> {
    fn new(parts: Vec<Part<'a, M>>, options: &'a Options) -> Self {
        Self { parts, stages: Vec::new(), options, hints: std::marker::PhantomData }
    }

    fn run(mut self, stop: &mut dyn FnMut() -> bool) -> Decision<M> {
        let options = self.options;
        let (mut explored, mut turn) = (0, FIRST_TURN);
        for at in 0..self.parts.len() {
            let part = &self.parts[at];
            let special =
                if options.special { unique::decide::<M, H>(&part.model, &part.calls) } else { Unique::Other };
            self.stages.push(match special {
                Unique::Legal(order) => {
                    explored += part.calls.len() as u64;
                    Stage::Legal(order)
                }
                Unique::Illegal => {
                    let illegal = evidence::illegal::<M, H>(part, 0, part.calls.len() as u64, options);
                    return Decision::Illegal(Box::new(illegal));
                }
                Unique::Other => {
                    Stage::Open(search::<M, H>(&part.model, &part.calls, options.prunings, options.verify))
                }
            });
        }
        // What parts hold that wait for their turn.
        let mut waiting: usize = 0;
        loop {
            let (mut open, mut kept) = (false, 0);
            for at in 0..self.parts.len() {
                let Stage::Open(search) = &mut self.stages[at] else { continue };
                let before = search.bytes();
                let mut left = turn;
                let progress = loop {
                    let slice = left.min(SLICE).min(options.configurations.saturating_sub(explored));
                    let already = search.explored();
                    let progress = search.run(slice);
                    explored += search.explored() - already;
                    left = left.saturating_sub(slice);
                    if progress != Progress::More {
                        break progress;
                    }
                    let why = if explored >= options.configurations {
                        Some(format!("more than {} configurations", options.configurations))
                    } else if (waiting + kept).saturating_sub(before) + search.bytes() > options.bytes {
                        Some(format!("more than {} bytes", options.bytes))
                    } else {
                        stop().then(|| "no more time".to_owned())
                    };
                    if let Some(why) = why {
                        let part = self.parts[at].name.as_ref().map(|name| format!("key {name}: ")).unwrap_or_default();
                        return Decision::Unknown { why: format!("{part}{why}"), explored };
                    }
                    if left == 0 {
                        break progress;
                    }
                };
                waiting = waiting.saturating_sub(before);
                match progress {
                    Progress::Legal => self.stages[at] = Stage::Legal(search.order()),
                    Progress::Illegal => {
                        let deepest = search.deepest();
                        return Decision::Illegal(Box::new(self.illegal(at, deepest, explored)));
                    }
                    Progress::More => {
                        open = true;
                        kept += search.bytes();
                    }
                }
            }
            if !open {
                return Decision::Linearizable { order: self.order(), explored };
            }
            waiting = kept;
            turn = turn.saturating_mul(4);
        }
    }

    fn illegal(&self, at: usize, deepest: usize, explored: u64) -> Illegal<M> {
        evidence::illegal::<M, H>(&self.parts[at], deepest, explored, self.options)
    }

    /// The orders of the parts in one. Every operation is given the earliest moment at which it can take effect, which is
    /// not after its return; the parts are merged by these moments, so real time is kept across parts.
    fn order(&self) -> Vec<usize> {
        let mut moments = Vec::new();
        for (part, stage) in self.parts.iter().zip(&self.stages) {
            let Stage::Legal(order) = stage else { continue };
            // By place, since the calls of a part are in the order of the history.
            let call = |place: &usize| {
                let at = part.calls.binary_search_by_key(place, |call| call.place);
                at.map_or_else(|_| unreachable!("an order has the calls of its part only"), |at| &part.calls[at])
            };
            let mut now = 0;
            for place in order {
                now = now.max(call(place).invoke);
                moments.push((now, *place));
            }
            if self.options.verify {
                evidence::replay(&part.model, order.iter().map(call), part.calls.len());
            }
        }
        // A stable sort: within a part the order stays.
        moments.sort_by_key(|(now, _)| *now);
        moments.into_iter().map(|(_, place)| place).collect()
    }
}
