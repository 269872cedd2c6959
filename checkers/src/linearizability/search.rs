//! The depth-first search for an order of the operations of one part of an object.
//!
//! A configuration is the number of operations that have returned, the set of pending completed operations that took
//! effect, the set of crashed ones that did, and the state. From each the search tries every pending operation that is
//! legal, the one that returns next first, unless a pruning of [`Prunings`] says that another configuration does as well.

use std::marker::PhantomData;
use std::rc::Rc;

use super::bits::Bits;
use super::lookahead::Lookahead;
use super::model::{Hints, Model};
use super::plan::Plan;
use super::space::{NONE, Space};
use super::table::{Key, Table};
use super::window::Window;
use super::{Order, Prunings};

/// How far a search has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Legal,
    Illegal,
    /// It has used up what it was given, and may go on.
    More,
}

/// A configuration on the search's path, and what was tried from it.
struct Frame<B> {
    key: Key<B>,
    used: B,
    /// The state before the crashed operation that led here, if nothing has proved it necessary yet.
    unproven: u32,
    /// How long the trail was before what led here.
    trail: u32,
    /// The next completed candidate: a rank, or a place in the order of calls.
    next: u32,
    /// The next crashed candidate.
    crashed: u32,
    leaf: bool,
}

/// By element of a trail, the longest trail that it is on.
type Partials = Vec<Option<Rc<[u32]>>>;

/// A search that can be interrupted.
pub(super) struct Search<'a, M: Model, H, B> {
    plan: Plan<'a, M>,
    space: Space<M>,
    window: Window,
    table: Table<B>,
    lookahead: Option<Lookahead>,
    /// By rank, for the order of calls: where the pending operations begin in it.
    oldest: Vec<u32>,
    frames: Vec<Frame<B>>,
    /// What took effect, in order: ranks, and crashed places after them.
    trail: Vec<u32>,
    prunings: Prunings,
    verify: bool,
    explored: u64,
    deepest: u32,
    /// Where a trail is to be kept, and the first that got there.
    wanted: Option<(u32, Vec<u32>)>,
    partials: Option<Partials>,
    hints: PhantomData<H>,
}

/// What one can do with a search, whatever its sets of slots are made of.
pub(super) trait Resume<M> {
    /// Goes on until it knows, or `configurations` more are explored.
    fn run(&mut self, configurations: u64) -> Progress;
    fn explored(&self) -> u64;
    fn bytes(&self) -> usize;
    /// What took effect in order, after [`Progress::Legal`], as places in the caller's history.
    fn order(&self) -> Vec<usize>;
    /// The highest number of returns that some legal order explains.
    fn deepest(&self) -> usize;
    /// A legal order of what [`want`](Self::want) asked for, if one was found.
    fn wanted(&self) -> Option<Vec<usize>>;
    /// Asks for a legal order that explains `returned` returns.
    fn want(&mut self, returned: usize);
    /// All states that legal orders of the first `returned` operations were found to end in.
    fn frontier(&self, returned: usize) -> Vec<M>;
    /// Asks for the longest legal order with each operation, at some cost.
    fn keep_partials(&mut self);
    /// Those orders, by place in the caller's history.
    fn partials(&self) -> Vec<(usize, Rc<[u32]>)>;
    /// An element of an order of [`partials`](Self::partials), as a place in the caller's history.
    fn place(&self, element: u32) -> usize;
}

impl<'a, M: Model, H: Hints<M>, B: Bits> Search<'a, M, H, B> {
    pub(super) fn new(model: M, plan: Plan<'a, M>, prunings: Prunings, verify: bool) -> Self {
        let mut oldest = Vec::new();
        if prunings.order == Order::Call {
            oldest = vec![0; plan.by_call.len()];
            for (at, rank) in plan.by_call.iter().enumerate() {
                oldest[*rank as usize] = at as u32;
            }
            for rank in (1..oldest.len()).rev() {
                oldest[rank - 1] = oldest[rank - 1].min(oldest[rank]);
            }
        }
        // Few searches see fewer configurations than there are operations.
        let room = plan.returns.len();
        let mut search = Self {
            lookahead: prunings.lookahead.then(|| Lookahead::new(&plan)).flatten(),
            window: Window::new(&plan.by_call),
            // A configuration asks for several.
            space: Space::new::<H>(model, 4 * room),
            table: Table::new(prunings.dominance, room),
            plan,
            oldest,
            frames: Vec::with_capacity(room + 1),
            trail: Vec::with_capacity(room),
            prunings,
            verify,
            explored: 0,
            deepest: 0,
            wanted: None,
            partials: None,
            hints: PhantomData,
        };
        search.open(Key { returned: 0, state: 0, done: B::default() }, B::default(), NONE, (0, None));
        search
    }

    fn count(&self) -> u32 {
        self.plan.returns.len() as u32
    }

    #[inline]
    fn step(&mut self, state: u32, class: u32) -> Option<u32> {
        let known = &self.plan.classes[class as usize];
        self.space.step::<H>(state, class, known.op, known.ret, self.verify)
    }

    /// Enters a configuration, whose trail began at `trail`, unless it is superfluous or hopeless. `scanned` says how many
    /// operations, in the order of calls, were found not to be closed in its state.
    fn open(&mut self, mut key: Key<B>, used: B, mut unproven: u32, (trail, scanned): (u32, Option<u32>)) -> bool {
        let before = self.trail.len();
        self.settle(&mut key, scanned);
        if self.trail.len() > before {
            unproven = NONE;
        }
        if key.returned > self.deepest {
            self.deepest = key.returned;
        }
        if let Some((wanted, found)) = &mut self.wanted
            && key.returned >= *wanted
            && found.is_empty()
        {
            found.clone_from(&self.trail);
        }
        if self.contradicts(&key, &used, trail) || !self.table.insert(&key, &used) {
            self.trail.truncate(trail as usize);
            return false;
        }
        self.explored += 1;
        let next = match self.prunings.order {
            _ if key.returned == self.count() => key.returned,
            Order::Return => key.returned,
            Order::Call => self.oldest[key.returned as usize],
        };
        self.frames.push(Frame { key, used, unproven, trail, next, crashed: 0, leaf: true });
        true
    }

    /// Whether an answer yet to come contradicts the state that the last operation of the trail has made.
    fn contradicts(&self, key: &Key<B>, used: &B, trail: u32) -> bool {
        let (Some(lookahead), Some(&by)) = (&self.lookahead, self.trail.get(trail as usize)) else { return false };
        let class = match by.checked_sub(self.count()) {
            None => self.plan.class[by as usize],
            Some(place) => self.plan.crashed_class[place as usize],
        };
        let group = self.plan.classes[class as usize].group;
        let configuration = (key.returned, &key.done, used);
        lookahead.contradicts::<M, H, B>(&self.plan, group, configuration, self.space.state(key.state))
    }

    /// Lets operations return that took effect, and read-only ones take effect that are legal.
    fn settle(&mut self, key: &mut Key<B>, scanned: Option<u32>) {
        let count = self.count();
        let mut scanned = scanned;
        loop {
            while key.returned < count && key.done.contains(self.plan.slot[key.returned as usize]) {
                key.done.remove(self.plan.slot[key.returned as usize]);
                key.returned += 1;
            }
            if key.returned == count || !self.prunings.read_only {
                return;
            }
            let called = self.plan.called[key.returned as usize];
            match scanned {
                None => {
                    self.window.set(&self.plan.by_call, called);
                    let mut rank = key.returned;
                    while rank < count {
                        self.close(key, rank);
                        rank = self.window.after(rank);
                    }
                }
                Some(from) if from < called => {
                    for at in from..called {
                        self.close(key, self.plan.by_call[at as usize]);
                    }
                }
                Some(_) => return,
            }
            scanned = Some(called);
        }
    }

    /// Lets a pending operation take effect if it is read-only and legal.
    #[inline]
    fn close(&mut self, key: &mut Key<B>, rank: u32) {
        let class = self.plan.class[rank as usize];
        if self.plan.classes[class as usize].read_only
            && !key.done.contains(self.plan.slot[rank as usize])
            && self.step(key.state, class) == Some(key.state)
        {
            key.done.insert(self.plan.slot[rank as usize]);
            self.trail.push(rank);
        }
    }

    /// The next thing to try from the last frame: an element of the trail, its class, and the state after it.
    fn candidate(&mut self) -> Option<(u32, u32)> {
        let mut frame = self.frames.pop()?;
        let found = self.completed_candidate(&mut frame).or_else(|| self.crashed_candidate(&mut frame));
        frame.leaf &= found.is_none();
        self.frames.push(frame);
        found
    }

    /// Where the candidates of the order end, and the one at the cursor, which moves on.
    #[inline]
    fn advance(&self, frame: &mut Frame<B>) -> Option<u32> {
        match self.prunings.order {
            Order::Return => {
                let rank = frame.next;
                (rank < self.count()).then(|| {
                    frame.next = self.window.after(rank);
                    rank
                })
            }
            Order::Call => {
                let at = frame.next;
                (at < self.plan.called[frame.key.returned as usize]).then(|| {
                    frame.next += 1;
                    self.plan.by_call[at as usize]
                })
            }
        }
    }

    fn completed_candidate(&mut self, frame: &mut Frame<B>) -> Option<(u32, u32)> {
        let returned = frame.key.returned;
        let group = self.plan.classes[self.plan.class[returned as usize] as usize].group;
        while let Some(rank) = self.advance(frame) {
            let class = self.plan.class[rank as usize];
            let known = &self.plan.classes[class as usize];
            if rank < returned
                || self.prunings.read_only && known.read_only
                || self.prunings.independence && known.group != group
                || frame.key.done.contains(self.plan.slot[rank as usize])
                || self.prunings.symmetry && self.equal_before(frame, rank)
            {
                continue;
            }
            let Some(after) = self.step(frame.key.state, class) else { continue };
            if self.unneeded(frame, class, after) {
                continue;
            }
            return Some((rank, after));
        }
        None
    }

    fn crashed_candidate(&mut self, frame: &mut Frame<B>) -> Option<(u32, u32)> {
        let returned = frame.key.returned;
        let group = self.plan.classes[self.plan.class[returned as usize] as usize].group;
        while frame.crashed < self.plan.crashed_called[returned as usize] {
            let place = frame.crashed;
            frame.crashed += 1;
            let same = self.plan.crashed_same[place as usize];
            let class = self.plan.crashed_class[place as usize];
            if frame.used.contains(place)
                || self.prunings.independence && self.plan.classes[class as usize].group != group
                || self.prunings.symmetry && same != NONE && !frame.used.contains(same)
            {
                continue;
            }
            let Some(after) = self.step(frame.key.state, class) else { continue };
            if self.prunings.unneeded && after == frame.key.state
                || self.unneeded(frame, class, after)
                || self.prunings.symmetry && self.completed_instead(frame, class)
            {
                continue;
            }
            return Some((self.count() + place, after));
        }
        None
    }

    /// Whether a pending operation of the same class returns before that of `rank`, and has not taken effect: the two may
    /// change places.
    fn equal_before(&self, frame: &Frame<B>, rank: u32) -> bool {
        let mut other = self.plan.same[rank as usize];
        while other != NONE && other >= frame.key.returned {
            if self.plan.first[other as usize] <= frame.key.returned
                && !frame.key.done.contains(self.plan.slot[other as usize])
            {
                return true;
            }
            other = self.plan.same[other as usize];
        }
        false
    }

    /// Whether the crashed operation just before makes no difference to what follows: it may as well not have happened.
    fn unneeded(&mut self, frame: &Frame<B>, class: u32, after: u32) -> bool {
        self.prunings.unneeded && frame.unproven != NONE && self.step(frame.unproven, class) == Some(after)
    }

    /// Whether a pending completed operation asks the same as the crashed `class` and is legal: it may take its place,
    /// and the crashed one that of the completed one.
    fn completed_instead(&mut self, frame: &Frame<B>, class: u32) -> bool {
        let question = self.plan.classes[class as usize].question;
        let mut rank = frame.key.returned;
        while rank < self.count() {
            let other = self.plan.class[rank as usize];
            if self.plan.classes[other as usize].question == question
                && !frame.key.done.contains(self.plan.slot[rank as usize])
                && self.step(frame.key.state, other).is_some()
            {
                return true;
            }
            rank = self.window.after(rank);
        }
        false
    }

    /// Keeps the trail for those of its elements that were on no longer one.
    fn record(&mut self) {
        let Some(partials) = &mut self.partials else { return };
        let length = self.trail.len();
        let mut kept: Option<Rc<[u32]>> = None;
        for element in &self.trail {
            let best = &mut partials[*element as usize];
            if best.as_ref().is_none_or(|best| best.len() < length) {
                *best = Some(kept.get_or_insert_with(|| self.trail.as_slice().into()).clone());
            }
        }
    }
}

impl<M: Model, H: Hints<M>, B: Bits> Resume<M> for Search<'_, M, H, B> {
    fn run(&mut self, configurations: u64) -> Progress {
        let limit = self.explored.saturating_add(configurations);
        loop {
            let Some(frame) = self.frames.last() else { return Progress::Illegal };
            let returned = frame.key.returned;
            if returned == self.count() {
                self.record();
                return Progress::Legal;
            }
            if self.explored >= limit {
                return Progress::More;
            }
            self.window.set(&self.plan.by_call, self.plan.called[returned as usize]);
            let Some((element, after)) = self.candidate() else {
                if let Some(frame) = self.frames.pop() {
                    if frame.leaf {
                        self.record();
                    }
                    self.trail.truncate(frame.trail as usize);
                }
                continue;
            };
            let Some(frame) = self.frames.last() else { continue };
            let (mut key, mut used) = (frame.key.clone(), frame.used.clone());
            let scanned = (after == key.state).then(|| self.plan.called[returned as usize]);
            let mut unproven = NONE;
            match element.checked_sub(self.plan.returns.len() as u32) {
                None => key.done.insert(self.plan.slot[element as usize]),
                Some(place) => {
                    used.insert(place);
                    unproven = key.state;
                }
            }
            key.state = after;
            let trail = self.trail.len() as u32;
            self.trail.push(element);
            self.open(key, used, unproven, (trail, scanned));
        }
    }

    fn explored(&self) -> u64 {
        self.explored
    }

    fn bytes(&self) -> usize {
        let frames = self.frames.capacity() * size_of::<Frame<B>>() + self.trail.capacity() * 4;
        self.space.bytes() + self.table.bytes() + frames
    }

    fn order(&self) -> Vec<usize> {
        self.trail.iter().map(|element| self.place(*element)).collect()
    }

    fn deepest(&self) -> usize {
        self.deepest as usize
    }

    fn wanted(&self) -> Option<Vec<usize>> {
        let (wanted, found) = self.wanted.as_ref()?;
        (*wanted == 0 || !found.is_empty()).then(|| found.iter().map(|element| self.place(*element)).collect())
    }

    fn want(&mut self, returned: usize) {
        self.wanted = Some((returned as u32, Vec::new()));
        if self.deepest as usize >= returned {
            self.wanted = Some((returned as u32, self.trail.clone()));
        }
    }

    fn frontier(&self, returned: usize) -> Vec<M> {
        let states = self.table.states(returned as u32);
        states.into_iter().map(|state| self.space.state(state).clone()).collect()
    }

    fn keep_partials(&mut self) {
        self.partials = Some(vec![None; self.plan.returns.len() + self.plan.crashed.len()]);
    }

    fn partials(&self) -> Vec<(usize, Rc<[u32]>)> {
        let kept = self.partials.iter().flatten().enumerate();
        kept.filter_map(|(element, trail)| Some((self.place(element as u32), trail.clone()?))).collect()
    }

    fn place(&self, element: u32) -> usize {
        match (element as usize).checked_sub(self.plan.returns.len()) {
            None => self.plan.returns[element as usize],
            Some(place) => self.plan.crashed[place],
        }
    }
}
