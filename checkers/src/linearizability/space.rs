//! The states of a model, each kept once, and what every operation does to them, computed once.

use hashbrown::hash_table::Entry;
use hashbrown::{HashMap, HashTable};
use rustc_hash::FxBuildHasher;
use std::hash::BuildHasher;

use super::model::{Hints, Model};

/// No state, rank or slot.
pub(super) const NONE: u32 = u32::MAX;

/// A table that is only looked up, never iterated where the order could be seen.
pub(super) type Map<K, V> = HashMap<K, V, FxBuildHasher>;

/// Interned states and memoised transitions.
pub(super) struct Space<M> {
    states: Vec<M>,
    /// By hash, which is kept since a state can be large: where it is.
    places: HashTable<(u64, u32)>,
    /// By state and class of operation: the state after it, or [`NONE`].
    transitions: Map<u64, u32>,
    /// What the states take on the heap, as declared.
    bytes: usize,
}

fn key(state: u32, class: u32) -> u64 {
    u64::from(state) << 32 | u64::from(class)
}

impl<M: Model> Space<M> {
    /// A space with one state, the initial one: number 0, and room for `room` transitions.
    pub(super) fn new<H: Hints<M>>(initial: M, room: usize) -> Self {
        let transitions = Map::with_capacity_and_hasher(room, FxBuildHasher);
        let mut space = Self { states: Vec::new(), places: HashTable::new(), transitions, bytes: 0 };
        space.intern::<H>(initial);
        space
    }

    pub(super) fn state(&self, state: u32) -> &M {
        &self.states[state as usize]
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.states.len() * 20 + self.transitions.capacity() * 13
    }

    /// The state after an operation of `class`, unless it cannot answer `ret` in `state`.
    #[inline]
    pub(super) fn step<H: Hints<M>>(
        &mut self,
        state: u32,
        class: u32,
        op: &M::Op,
        ret: Option<&M::Ret>,
        verify: bool,
    ) -> Option<u32> {
        let key = key(state, class);
        let after = match self.transitions.get(&key) {
            Some(&after) => after,
            None => self.transition::<H>(key, state, (op, ret), verify),
        };
        (after != NONE).then_some(after)
    }

    #[inline(never)]
    fn transition<H: Hints<M>>(&mut self, key: u64, state: u32, call: (&M::Op, Option<&M::Ret>), verify: bool) -> u32 {
        let (op, ret) = call;
        let step = |model: &mut M| {
            if let Some(ret) = ret {
                return model.is_valid_step(op, ret);
            }
            model.invoke(op);
            true
        };
        // What changes no state whatever it answers needs no copy of a state that can be large.
        if !verify && H::read_only(op, None) {
            let after = if step(&mut self.states[state as usize]) { state } else { NONE };
            self.transitions.insert(key, after);
            return after;
        }
        let mut model = self.states[state as usize].clone();
        let legal = step(&mut model);
        let after = if legal { self.intern::<H>(model) } else { NONE };
        if verify && legal && H::read_only(op, ret) {
            assert_eq!(state, after, "{op:?} -> {ret:?} was declared to be read-only, but changed the state");
        }
        self.transitions.insert(key, after);
        after
    }

    fn intern<H: Hints<M>>(&mut self, state: M) -> u32 {
        let Self { states, places, bytes, .. } = self;
        let hash = FxBuildHasher.hash_one(&state);
        let same = |(other, place): &(u64, u32)| *other == hash && states[*place as usize] == state;
        match places.entry(hash, same, |(hash, _)| *hash) {
            Entry::Occupied(entry) => entry.get().1,
            Entry::Vacant(entry) => {
                let place = states.len() as u32;
                assert!(place < NONE, "fewer states than can be numbered");
                *bytes += H::bytes(&state);
                entry.insert((hash, place));
                states.push(state);
                place
            }
        }
    }
}
