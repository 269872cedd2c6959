//! Judges a history while it is made.
//!
//! A [`Monitor`] is told of calls and returns as they happen. It keeps all configurations that explain what has returned
//! (Lowe's "just in time" linearization): a state, the pending operations that took effect with the answers they got, and,
//! for each pending operation that has not, the answers with which it could have returned without an effect since it was
//! called. So reads do not multiply the configurations. A return first keeps those configurations in which the operation
//! got that answer; in the others it lets pending operations take effect until it gets it. If none is left, nothing
//! explains the history up to this return, and up to the one before something did.
//!
//! Memory is bounded by the concurrency: states that no configuration is in are collected, and an operation is forgotten
//! when it has returned. Operations that never return are kept until they took effect in every configuration; a
//! configuration is dropped if an equal one has used up fewer of them, or could have answered more.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::marker::PhantomData;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use rustc_hash::FxBuildHasher;

use super::Frontier;
use super::bits::{Bits, Wide};
use super::model::{Hints, Model};
use super::space::Map;

/// States are collected when there are this many more than four times those in use.
const SLACK: usize = 1024;
/// How many states are shown of what came before.
const STATES: usize = 64;

/// What went wrong with an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault<M: Model> {
    /// The client has an operation open already.
    Open,
    /// The client has no operation open.
    NotOpen,
    /// The history has ended with an earlier fault of this kind or the next two.
    Over,
    /// Nothing explains this return. Holds the states in which orders of what returned before end, with the answers
    /// that the operation could have got there.
    Illegal(Vec<Frontier<M>>),
    /// More configurations than allowed would have to be kept.
    Full,
}

/// A pending operation.
struct Pending<M: Model> {
    /// Names it among all operations of the run.
    serial: u32,
    client: Option<u64>,
    op: M::Op,
    /// The different answers that it got so far, somewhere.
    answers: Vec<M::Ret>,
}

/// By slot and place in the answers of its operation.
type Answers = Vec<(u32, u32)>;

/// What must be equal for one configuration to make another superfluous.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    state: u32,
    /// The pending operations that took effect, with the answers that they got.
    taken: Answers,
}

/// The rest of a configuration.
#[derive(Clone, PartialEq, Eq)]
struct Rest {
    /// The crashed operations that took effect.
    used: Wide,
    /// What those that did not take effect could have answered since they were called.
    seen: Answers,
}

impl Rest {
    /// Whether whatever follows from `other` follows from this as well.
    fn dominates(&self, other: &Self) -> bool {
        self.used.is_subset(&other.used) && {
            let mut mine = self.seen.iter();
            other.seen.iter().all(|answer| mine.any(|own| own == answer))
        }
    }
}

/// Configurations, without those that are superfluous.
#[derive(Default)]
struct Level {
    places: Map<Key, Vec<u32>>,
    all: Vec<Option<(Key, Rest)>>,
}

impl Level {
    fn insert(&mut self, key: Key, rest: Rest) -> bool {
        let places = self.places.entry(key.clone()).or_default();
        let all = &mut self.all;
        let dominated =
            places.iter().any(|place| all[*place as usize].as_ref().is_some_and(|(_, other)| other.dominates(&rest)));
        if dominated {
            return false;
        }
        places.retain(|place| {
            let superfluous = all[*place as usize].as_ref().is_some_and(|(_, other)| rest.dominates(other));
            if superfluous {
                all[*place as usize] = None;
            }
            !superfluous
        });
        places.push(all.len() as u32);
        all.push(Some((key, rest)));
        true
    }

    fn into_configurations(self) -> Vec<(Key, Rest)> {
        self.all.into_iter().flatten().collect()
    }
}

/// How much a monitor holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// Configurations that explain what has returned.
    pub configurations: usize,
    /// States that are kept, in use or not.
    pub states: usize,
    /// Slots for pending operations, in use or not.
    pub slots: usize,
    /// Transitions that are remembered.
    pub transitions: usize,
}

/// What an operation does in a state: the state after it, its answer, and whether it is read-only with that answer.
type Move = (u32, u32, bool);

/// Judges a history on an object `M` while it is made. See the module.
pub struct Monitor<M: Model, H = ()> {
    states: Vec<M>,
    places: HashTable<u32>,
    /// By state and serial number of the operation.
    moves: Map<(u32, u32), Move>,
    pending: Vec<Option<Pending<M>>>,
    free: Vec<u32>,
    clients: BTreeMap<u64, u32>,
    configurations: Vec<(Key, Rest)>,
    serial: u32,
    most: usize,
    over: bool,
    hints: PhantomData<H>,
}

impl<M: Model, H: Hints<M>> Monitor<M, H> {
    /// A monitor of an object in the state `initial`, which gives up when more than `most` configurations would have to
    /// be kept.
    pub fn new(initial: M, most: usize) -> Self {
        let mut monitor = Self {
            states: Vec::new(),
            places: HashTable::new(),
            moves: Map::default(),
            pending: Vec::new(),
            free: Vec::new(),
            clients: BTreeMap::new(),
            configurations: Vec::new(),
            serial: 0,
            most,
            over: false,
            hints: PhantomData,
        };
        let state = monitor.intern(initial);
        let key = Key { state, taken: Vec::new() };
        monitor.configurations.push((key, Rest { used: Wide::default(), seen: Vec::new() }));
        monitor
    }

    /// How much is held just now.
    pub fn holding(&self) -> Holding {
        Holding {
            configurations: self.configurations.len(),
            states: self.states.len(),
            slots: self.pending.len(),
            transitions: self.moves.len(),
        }
    }

    /// `client` calls an operation.
    ///
    /// # Errors
    /// [`Fault::Open`] or [`Fault::Over`].
    pub fn invoke(&mut self, client: u64, op: M::Op) -> Result<(), Fault<M>> {
        if self.over {
            return Err(Fault::Over);
        }
        if self.clients.contains_key(&client) {
            self.over = true;
            return Err(Fault::Open);
        }
        if self.serial == u32::MAX {
            self.renumber();
        }
        let pending = Pending { serial: self.serial, client: Some(client), op, answers: Vec::new() };
        self.serial += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.pending.push(None);
            self.pending.len() as u32 - 1
        });
        self.pending[slot as usize] = Some(pending);
        self.clients.insert(client, slot);
        for at in 0..self.configurations.len() {
            let state = self.configurations[at].0.state;
            if let Some((_, answer, true)) = self.step(state, slot) {
                look(&mut self.configurations[at].1.seen, (slot, answer));
            }
        }
        Ok(())
    }

    /// `client`'s operation will never return; it may take effect later. The client may go on.
    ///
    /// # Errors
    /// [`Fault::NotOpen`] or [`Fault::Over`].
    pub fn crash(&mut self, client: u64) -> Result<(), Fault<M>> {
        let slot = self.close(client)?;
        let Some(pending) = self.pending[slot as usize].as_mut() else { return Ok(()) };
        pending.client = None;
        let idle = H::read_only(&pending.op, None);
        let mut level = Level::default();
        for (mut key, mut rest) in std::mem::take(&mut self.configurations) {
            if remove(&mut key.taken, slot).is_some() && !idle {
                rest.used.insert(slot);
            }
            rest.seen.retain(|(other, _)| *other != slot);
            level.insert(key, rest);
        }
        self.configurations = level.into_configurations();
        if idle {
            self.release(slot);
        }
        self.collect();
        Ok(())
    }

    /// `client`'s operation returns `ret`.
    ///
    /// # Errors
    /// [`Fault::Illegal`] if nothing explains it; [`Fault::NotOpen`], [`Fault::Over`] or [`Fault::Full`].
    pub fn respond(&mut self, client: u64, ret: &M::Ret) -> Result<(), Fault<M>> {
        let slot = self.close(client)?;
        let before = std::mem::take(&mut self.configurations);
        let states: Vec<u32> = before.iter().map(|(key, _)| key.state).collect();
        let Some(next) = self.explain(before, slot, ret) else {
            self.over = true;
            return Err(Fault::Full);
        };
        self.configurations = next.into_configurations();
        if self.configurations.is_empty() {
            self.over = true;
            return Err(Fault::Illegal(self.frontier(states, slot)));
        }
        self.release(slot);
        self.collect();
        Ok(())
    }

    fn close(&mut self, client: u64) -> Result<u32, Fault<M>> {
        if self.over {
            return Err(Fault::Over);
        }
        self.clients.remove(&client).ok_or_else(|| {
            self.over = true;
            Fault::NotOpen
        })
    }

    /// The configurations in which the operation of `slot` has returned `ret`; `None` if they are too many.
    fn explain(&mut self, before: Vec<(Key, Rest)>, slot: u32, ret: &M::Ret) -> Option<Level> {
        let answer = self.pending[slot as usize].as_ref()?.answers.iter().position(|known| known == ret);
        let answer = answer.map(|answer| answer as u32);
        let read_only = self.pending[slot as usize].as_ref().is_some_and(|one| H::read_only(&one.op, Some(ret)));
        let (mut next, mut visited, mut open) = (Level::default(), Level::default(), Vec::new());
        for (mut key, mut rest) in before {
            match remove(&mut key.taken, slot) {
                Some(got) if Some(got) == answer => {
                    next.insert(key, rest);
                }
                Some(_) => {}
                None if answer.is_some_and(|answer| rest.seen.binary_search(&(slot, answer)).is_ok()) => {
                    rest.seen.retain(|(other, _)| *other != slot);
                    next.insert(key, rest);
                }
                None => open.push((key, rest, None)),
            }
        }
        while let Some((key, rest, unproven)) = open.pop() {
            if next.all.len() + visited.all.len() > self.most {
                return None;
            }
            if !read_only && let Some((state, got, _)) = self.step(key.state, slot) {
                let right = self.pending[slot as usize].as_ref().is_some_and(|one| one.answers[got as usize] == *ret);
                if right && unproven.is_none_or(|before| self.step(before, slot) != Some((state, got, false))) {
                    let (mut key, mut rest) = (key.clone(), rest.clone());
                    key.state = state;
                    self.see(&key, &mut rest);
                    rest.seen.retain(|(other, _)| *other != slot);
                    next.insert(key, rest);
                }
            }
            for other in 0..self.pending.len() as u32 {
                if other == slot || !self.may_take(&key, &rest, other) {
                    continue;
                }
                let Some((state, got, silent)) = self.step(key.state, other) else { continue };
                let crashed = self.pending[other as usize].as_ref().is_some_and(|one| one.client.is_none());
                // What a read-only operation could answer is seen already.
                if silent || crashed && state == key.state {
                    continue;
                }
                // A crashed operation whose effect the next one wipes out need not have happened.
                if unproven.is_some_and(|before| self.step(before, other) == Some((state, got, silent))) {
                    continue;
                }
                let (mut after, mut left) = (key.clone(), rest.clone());
                after.state = state;
                left.seen.retain(|(seen, _)| *seen != other);
                if crashed {
                    left.used.insert(other);
                } else {
                    let place = after.taken.partition_point(|taken| *taken < (other, got));
                    after.taken.insert(place, (other, got));
                }
                let seen = left.seen.len();
                self.see(&after, &mut left);
                // A read that returns now has what it needs.
                let place = left.seen.iter().position(|(seen, got)| {
                    *seen == slot
                        && self.pending[slot as usize].as_ref().is_some_and(|one| one.answers[*got as usize] == *ret)
                });
                if read_only && place.is_some() {
                    left.seen.retain(|(seen, _)| *seen != slot);
                    next.insert(after, left);
                    continue;
                }
                let unproven = (crashed && left.seen.len() == seen).then_some(key.state);
                if visited.insert(after.clone(), left.clone()) {
                    open.push((after, left, unproven));
                }
            }
        }
        Some(next)
    }

    /// Whether the pending operation of `slot` has not taken effect, and no equal crashed one should do so before.
    fn may_take(&self, key: &Key, rest: &Rest, slot: u32) -> bool {
        let Some(one) = &self.pending[slot as usize] else { return false };
        if one.client.is_some() {
            return key.taken.binary_search_by_key(&slot, |(taken, _)| *taken).is_err();
        }
        let equal = |(at, other): (usize, &Option<Pending<M>>)| {
            other.as_ref().is_some_and(|other| {
                other.client.is_none()
                    && other.serial < one.serial
                    && other.op == one.op
                    && !rest.used.contains(at as u32)
            })
        };
        !rest.used.contains(slot) && !self.pending.iter().enumerate().any(equal)
    }

    /// Adds what the pending operations that have not taken effect could answer in the state.
    fn see(&mut self, key: &Key, rest: &mut Rest) {
        for slot in 0..self.pending.len() as u32 {
            let waits = self.pending[slot as usize].as_ref().is_some_and(|one| one.client.is_some());
            if waits
                && key.taken.binary_search_by_key(&slot, |(taken, _)| *taken).is_err()
                && let Some((_, answer, true)) = self.step(key.state, slot)
            {
                look(&mut rest.seen, (slot, answer));
            }
        }
    }

    /// What the operation of `slot` does in `state`.
    fn step(&mut self, state: u32, slot: u32) -> Option<Move> {
        let one = self.pending[slot as usize].as_ref()?;
        let name = (state, one.serial);
        if let Some(known) = self.moves.get(&name) {
            return Some(*known);
        }
        let mut model = self.states[state as usize].clone();
        let ret = model.invoke(&one.op);
        let silent = H::read_only(&one.op, Some(&ret));
        let after = self.intern(model);
        debug_assert!(!silent || after == state, "declared to be read-only, but changed the state");
        let one = self.pending[slot as usize].as_mut()?;
        let answer = one.answers.iter().position(|known| *known == ret).unwrap_or_else(|| {
            one.answers.push(ret);
            one.answers.len() - 1
        });
        self.moves.insert(name, (after, answer as u32, silent));
        Some((after, answer as u32, silent))
    }

    fn intern(&mut self, state: M) -> u32 {
        let Self { states, places, .. } = self;
        let hasher = FxBuildHasher;
        match places.entry(
            hasher.hash_one(&state),
            |place| states[*place as usize] == state,
            |place| hasher.hash_one(&states[*place as usize]),
        ) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                entry.insert(states.len() as u32);
                states.push(state);
                states.len() as u32 - 1
            }
        }
    }

    fn release(&mut self, slot: u32) {
        self.pending[slot as usize] = None;
        self.free.push(slot);
    }

    /// Forgets crashed operations that took effect everywhere, and states in which nothing is.
    fn collect(&mut self) {
        for slot in 0..self.pending.len() as u32 {
            let crashed = self.pending[slot as usize].as_ref().is_some_and(|one| one.client.is_none());
            if crashed && self.configurations.iter().all(|(_, rest)| rest.used.contains(slot)) {
                self.configurations.iter_mut().for_each(|(_, rest)| rest.used.remove(slot));
                self.release(slot);
            }
        }
        if self.states.len().max(self.moves.len() / 8) <= SLACK + 4 * self.configurations.len() {
            return;
        }
        let mut live: Vec<u32> = self.configurations.iter().map(|(key, _)| key.state).collect();
        live.sort_unstable();
        live.dedup();
        let states = std::mem::take(&mut self.states);
        self.places.clear();
        self.moves.clear();
        let kept = states.into_iter().enumerate().filter(|(at, _)| live.binary_search(&(*at as u32)).is_ok());
        for (_, state) in kept {
            self.intern(state);
        }
        for (key, _) in &mut self.configurations {
            // States keep their order.
            key.state = live.partition_point(|state| *state < key.state) as u32;
        }
    }

    /// Gives the pending operations the lowest serial numbers, in their order.
    fn renumber(&mut self) {
        self.moves.clear();
        let mut pending: Vec<&mut Pending<M>> = self.pending.iter_mut().flatten().collect();
        pending.sort_by_key(|one| one.serial);
        self.serial = pending.len() as u32;
        for (serial, one) in pending.into_iter().enumerate() {
            one.serial = serial as u32;
        }
    }

    fn frontier(&self, mut states: Vec<u32>, slot: u32) -> Vec<Frontier<M>> {
        states.sort_unstable();
        states.dedup();
        let Some(stuck) = &self.pending[slot as usize] else { return Vec::new() };
        let states = states.into_iter().take(STATES).map(|state| self.states[state as usize].clone());
        states.map(|state| Frontier { answer: state.clone().invoke(&stuck.op), state }).collect()
    }
}

/// Adds an answer, in order.
fn look(seen: &mut Answers, answer: (u32, u32)) {
    if let Err(place) = seen.binary_search(&answer) {
        seen.insert(place, answer);
    }
}

/// Takes the answer of `slot` away.
fn remove(taken: &mut Answers, slot: u32) -> Option<u32> {
    let place = taken.binary_search_by_key(&slot, |(taken, _)| *taken).ok()?;
    Some(taken.remove(place).1)
}
