//! A history as the search sees it: operations ranked by return, with slots, classes, and what is pending when.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use rustc_hash::FxBuildHasher;
use stateright::semantics::SequentialSpec;
use std::collections::BTreeMap;
use std::hash::BuildHasher;

use super::Operation;
use super::model::{Hints, Model};
use super::space::NONE;

/// One operation of a history, borrowed. Without `ret` its outcome is unknown, and `complete` means nothing.
pub(super) struct Call<'a, M: SequentialSpec> {
    /// Its place in the caller's history.
    pub(super) place: usize,
    pub(super) invoke: u64,
    pub(super) complete: u64,
    pub(super) op: &'a M::Op,
    pub(super) ret: Option<&'a M::Ret>,
}

impl<M: SequentialSpec> Clone for Call<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: SequentialSpec> Copy for Call<'_, M> {}

impl<'a, M: SequentialSpec> Call<'a, M> {
    pub(super) fn new(place: usize, operation: &'a Operation<M::Op, M::Ret>) -> Self {
        let ret = operation.output.as_ref().filter(|_| operation.complete.is_some());
        // A return before its call is no history; were there one, the operation would take no time.
        let complete = operation.complete.map_or(u64::MAX, |time| time.max(operation.invoke));
        Self { place, invoke: operation.invoke, complete, op: &operation.input, ret }
    }

    /// The same call, whose outcome nobody knows.
    pub(super) fn crashed(self) -> Self {
        Self { ret: None, complete: u64::MAX, ..self }
    }
}

/// Operations that ask the same and are answered the same.
#[derive(Clone, Copy)]
pub(super) struct Class<'a, M: SequentialSpec> {
    pub(super) op: &'a M::Op,
    pub(super) ret: Option<&'a M::Ret>,
    pub(super) read_only: bool,
    pub(super) observer: bool,
    pub(super) reset: bool,
    /// The part of the object that it is about, numbered; 0 if parts are not declared.
    pub(super) group: u32,
    /// The same for operations that ask the same, however they are answered.
    pub(super) question: u32,
}

/// A prepared history. Ranks number the completed operations by return, and crashed places the others by call.
pub(super) struct Plan<'a, M: SequentialSpec> {
    pub(super) classes: Vec<Class<'a, M>>,
    /// By rank: place in the caller's history.
    pub(super) returns: Vec<usize>,
    pub(super) class: Vec<u32>,
    pub(super) slot: Vec<u32>,
    /// By rank: the nearest lower rank of the same class.
    pub(super) same: Vec<u32>,
    /// Ranks by call.
    pub(super) by_call: Vec<u32>,
    /// By rank: how many completed operations are called before that return.
    pub(super) called: Vec<u32>,
    /// By crashed place: place in the caller's history.
    pub(super) crashed: Vec<usize>,
    pub(super) crashed_class: Vec<u32>,
    /// By crashed place: the nearest lower crashed place of the same class.
    pub(super) crashed_same: Vec<u32>,
    /// By rank: how many crashed operations are called before that return.
    pub(super) crashed_called: Vec<u32>,
    /// By rank: when it was called, as the first rank before whose return it may take effect.
    pub(super) first: Vec<u32>,
    pub(super) crashed_first: Vec<u32>,
    /// How many slots and crashed places there are at most.
    pub(super) width: usize,
    pub(super) groups: usize,
}

impl<'a, M: Model> Plan<'a, M> {
    pub(super) fn new<H: Hints<M>>(calls: &[Call<'a, M>]) -> Self {
        let mut completed: Vec<&Call<'a, M>> = calls.iter().filter(|call| call.ret.is_some()).collect();
        completed.sort_by_key(|call| (call.complete, call.place));
        // What never changes anything and has no answer says nothing at all.
        let mut crashed: Vec<&Call<'a, M>> =
            calls.iter().filter(|call| call.ret.is_none() && !H::read_only(call.op, None)).collect();
        crashed.sort_by_key(|call| (call.invoke, call.place));

        let mut classes = Classes::new(calls.len());
        let class: Vec<u32> = completed.iter().map(|call| classes.of::<H>(call)).collect();
        let crashed_class: Vec<u32> = crashed.iter().map(|call| classes.of::<H>(call)).collect();
        let (classes, groups) = classes.finish();

        let count = completed.len() as u32;
        let mut by_call: Vec<u32> = (0..count).collect();
        by_call.sort_by_key(|rank| (completed[*rank as usize].invoke, *rank));
        // At equal times the call comes first: the two are concurrent.
        let called_by = |limit: u64, invoke: &dyn Fn(usize) -> u64, from: &mut usize, all: usize| {
            while *from < all && invoke(*from) <= limit {
                *from += 1;
            }
            *from as u32
        };
        let (mut from, mut crashed_from) = (0, 0);
        let (mut called, mut crashed_called) = (Vec::new(), Vec::new());
        for call in &completed {
            let invoke = |at: usize| completed[by_call[at] as usize].invoke;
            called.push(called_by(call.complete, &invoke, &mut from, by_call.len()));
            let invoke = |at: usize| crashed[at].invoke;
            crashed_called.push(called_by(call.complete, &invoke, &mut crashed_from, crashed.len()));
        }
        let first_of = |called: &[u32], all: usize| {
            (0..all).map(|at| called.partition_point(|before| *before as usize <= at) as u32).collect::<Vec<u32>>()
        };
        let mut first = vec![0; by_call.len()];
        for (at, before) in first_of(&called, by_call.len()).into_iter().enumerate() {
            first[by_call[at] as usize] = before;
        }
        let crashed_first = first_of(&crashed_called, crashed.len());

        let (slot, slots) = slots(&by_call, &called);
        Self {
            same: same(&class, classes.len()),
            crashed_same: same(&crashed_class, classes.len()),
            classes,
            returns: completed.iter().map(|call| call.place).collect(),
            class,
            slot,
            by_call,
            called,
            width: slots.max(crashed.len()),
            crashed: crashed.iter().map(|call| call.place).collect(),
            crashed_class,
            crashed_called,
            first,
            crashed_first,
            groups,
        }
    }
}

/// A slot for every operation, taken at its call and given back at its return, and how many there are.
fn slots(by_call: &[u32], called: &[u32]) -> (Vec<u32>, usize) {
    let (mut slot, mut free, mut used, mut at) = (vec![NONE; by_call.len()], Vec::new(), 0, 0);
    for (rank, &called) in called.iter().enumerate() {
        for &other in &by_call[at..called as usize] {
            slot[other as usize] = free.pop().unwrap_or_else(|| {
                used += 1;
                used - 1
            });
        }
        at = called as usize;
        free.push(slot[rank]);
    }
    (slot, used as usize)
}

/// By place: the nearest lower place of the same class.
fn same(class: &[u32], classes: usize) -> Vec<u32> {
    let mut last = vec![NONE; classes];
    class.iter().enumerate().map(|(at, class)| std::mem::replace(&mut last[*class as usize], at as u32)).collect()
}

/// Classes of operations, as they are numbered. Operations and answers can be long, so their hashes are kept.
struct Classes<'a, M: SequentialSpec, K> {
    all: Vec<Class<'a, M>>,
    places: HashTable<(u64, u32)>,
    questions: HashTable<(u64, u32)>,
    /// By part, its number; `None` once an operation is about none.
    keys: Option<BTreeMap<K, u32>>,
}

impl<'a, M: Model, K: Ord> Classes<'a, M, K> {
    fn new(calls: usize) -> Self {
        let (places, questions) = (HashTable::with_capacity(calls), HashTable::with_capacity(calls));
        Self { all: Vec::with_capacity(calls), places, questions, keys: Some(BTreeMap::new()) }
    }

    fn of<H: Hints<M, Key = K>>(&mut self, call: &Call<'a, M>) -> u32 {
        let Self { all, places, questions, keys } = self;
        let next = all.len() as u32;
        let hash = FxBuildHasher.hash_one((call.op, call.ret));
        let same = |(other, place): &(u64, u32)| {
            *other == hash && all[*place as usize].op == call.op && all[*place as usize].ret == call.ret
        };
        let entry = match places.entry(hash, same, |(hash, _)| *hash) {
            Entry::Occupied(entry) => return entry.get().1,
            Entry::Vacant(entry) => entry,
        };
        entry.insert((hash, next));
        let hash = FxBuildHasher.hash_one(call.op);
        let same = |(other, place): &(u64, u32)| *other == hash && all[*place as usize].op == call.op;
        let question = questions.entry(hash, same, |(hash, _)| *hash).or_insert((hash, next)).get().1;
        let mut group = 0;
        if let Some(numbers) = keys {
            if let Some(key) = H::key(call.op) {
                let next = numbers.len() as u32;
                group = *numbers.entry(key).or_insert(next);
            } else {
                *keys = None;
            }
        }
        all.push(Class {
            op: call.op,
            ret: call.ret,
            read_only: H::read_only(call.op, call.ret),
            observer: call.ret.is_some() && H::observer(call.op),
            reset: H::reset(call.op),
            group,
            question,
        });
        next
    }

    /// The classes, and how many parts they are about.
    fn finish(mut self) -> (Vec<Class<'a, M>>, usize) {
        // Parts mean something only if every operation is about one.
        let Some(keys) = self.keys else {
            self.all.iter_mut().for_each(|class| class.group = 0);
            return (self.all, 1);
        };
        (self.all, keys.len().max(1))
    }
}
