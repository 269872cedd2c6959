//! What a statement runs with: its transaction, its parameters, its limits, and what it has used of them.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::super::algebra::Node;
use super::super::error::{Error, Failure, SqlState};
use super::super::types::Value;
use super::batch::Batch;
use super::spill::Spill;
use super::store::Store;
use super::subquery::Memos;
use super::{Boxed, Operator, Outer};
use crate::mvcc::{Read, Transaction};

/// The limits of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The most bytes of memory that its operators keep, roughly.
    pub memory: usize,
    /// The most bytes of temporary files.
    pub temporary: u64,
    /// The most steps: rows that operators look at.
    pub steps: u64,
    /// The most milliseconds, each of [`STEPS_PER_MILLISECOND`] steps.
    pub timeout: u64,
}

/// How many steps count as a millisecond.
pub const STEPS_PER_MILLISECOND: u64 = 1000;

impl Settings {
    /// No limits.
    pub const UNLIMITED: Self = Self { memory: usize::MAX, temporary: u64::MAX, steps: u64::MAX, timeout: u64::MAX };
}

impl Default for Settings {
    fn default() -> Self {
        Self { memory: 256 << 20, temporary: 16 << 30, ..Self::UNLIMITED }
    }
}

/// What a statement runs with. One context serves one execution.
pub struct Context<'a> {
    txn: Option<&'a dyn Transaction>,
    read: Read,
    params: &'a [Value],
    settings: Settings,
    spill: Option<&'a dyn Spill>,
    cancelled: Option<&'a AtomicBool>,
    profile: Option<&'a Profile>,
    steps: Cell<u64>,
    /// As many as there may be.
    most_steps: u64,
    memory: Cell<usize>,
    temporary: OnceCell<Rc<Cell<u64>>>,
    /// The common tables that are there, by number.
    commons: RefCell<BTreeMap<usize, Rc<Store>>>,
    /// How often a common table was made. What subqueries gave before may be no more what they would give.
    generation: Cell<u64>,
    pub(super) memos: RefCell<Memos>,
}

impl<'a> Context<'a> {
    /// For a statement in a transaction, with the values of its parameters.
    pub fn new(txn: &'a dyn Transaction, params: &'a [Value]) -> Self {
        Self { txn: Some(txn), ..Self::without_data(params) }
    }

    /// For expressions that read no tables.
    pub fn without_data(params: &'a [Value]) -> Self {
        Self {
            txn: None,
            read: Read::Data,
            params,
            settings: Settings::default(),
            spill: None,
            cancelled: None,
            profile: None,
            steps: Cell::new(0),
            most_steps: u64::MAX,
            memory: Cell::new(0),
            temporary: OnceCell::new(),
            commons: RefCell::default(),
            generation: Cell::new(0),
            memos: RefCell::default(),
        }
    }

    /// With limits.
    #[must_use]
    pub fn with_settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self.most_steps = settings.steps.min(settings.timeout.saturating_mul(STEPS_PER_MILLISECOND));
        self
    }

    /// With a place for temporary files.
    #[must_use]
    pub fn with_spill(mut self, spill: &'a dyn Spill) -> Self {
        self.spill = Some(spill);
        self
    }

    /// With a flag that stops the statement (57014) once it is set.
    #[must_use]
    pub fn with_cancellation(mut self, cancelled: &'a AtomicBool) -> Self {
        self.cancelled = Some(cancelled);
        self
    }

    /// With counts of the rows of each operator.
    #[must_use]
    pub fn with_profile(mut self, profile: &'a Profile) -> Self {
        self.profile = Some(profile);
        self
    }

    /// Reading tables for another purpose than rows: for a constraint, so that the commit validates the reads.
    #[must_use]
    pub fn with_read(mut self, read: Read) -> Self {
        self.read = read;
        self
    }

    /// How many steps were taken.
    pub fn steps(&self) -> u64 {
        self.steps.get()
    }

    pub(super) fn txn(&self) -> Result<&'a dyn Transaction, Failure> {
        let error = || Error::new(SqlState::FEATURE_NOT_SUPPORTED, "an expression here cannot read tables");
        Ok(self.txn.ok_or_else(error)?)
    }

    pub(super) fn read(&self) -> Read {
        self.read
    }

    #[inline]
    pub(super) fn param(&self, position: usize) -> Result<&'a Value, Error> {
        let error = || Error::new(SqlState::UNDEFINED_PARAMETER, format!("there is no value for ${}", position + 1));
        self.params.get(position).ok_or_else(error)
    }

    pub(super) fn profile(&self) -> Option<&'a Profile> {
        self.profile
    }

    pub(super) fn spill(&self) -> Option<&'a dyn Spill> {
        self.spill
    }

    /// Counts steps, and fails once there were too many, or when the statement was cancelled.
    #[inline]
    pub(super) fn step(&self, count: usize) -> Result<(), Failure> {
        let steps = self.steps.get().saturating_add(count as u64);
        self.steps.set(steps);
        if steps > self.most_steps {
            return Err(self.too_many_steps());
        }
        if self.cancelled.is_some_and(|cancelled| cancelled.load(Ordering::Relaxed)) {
            return Err(Error::new(SqlState::QUERY_CANCELED, "the statement was cancelled").into());
        }
        Ok(())
    }

    #[cold]
    fn too_many_steps(&self) -> Failure {
        let Settings { steps, timeout, .. } = self.settings;
        let (message, hint) = if self.most_steps == steps {
            (format!("the statement took more than {steps} steps"), "raise max_steps, or look at fewer rows")
        } else {
            let message =
                format!("the statement took more than {} steps, which count as {timeout} ms", self.most_steps);
            (message, "raise statement_timeout, or look at fewer rows")
        };
        Error::new(SqlState::QUERY_CANCELED, message).with_hint(hint).into()
    }

    pub(super) fn out_of_memory(&self) -> Failure {
        let message = format!("the statement needs more than {} bytes of memory", self.settings.memory);
        Error::new(SqlState::OUT_OF_MEMORY, message).with_hint("raise work_mem, or ask for fewer rows").into()
    }

    /// Takes memory that is kept until the end of the statement, and says whether that was within the limit; if not,
    /// nothing was taken.
    pub(super) fn take_shared(&self, bytes: usize) -> bool {
        let total = self.memory.get() + bytes;
        let within = total <= self.settings.memory;
        if within {
            self.memory.set(total);
        }
        within
    }

    /// The most bytes that the statement may keep.
    pub(super) fn memory_limit(&self) -> usize {
        self.settings.memory
    }

    /// Makes temporary files count, and fails when they are too large.
    pub(super) fn grow_temporary(&self, bytes: u64) -> Result<(), Failure> {
        let temporary = self.temporary();
        temporary.set(temporary.get() + bytes);
        if temporary.get() > self.settings.temporary {
            let message = format!("the statement needs more than {} bytes of temporary files", self.settings.temporary);
            return Err(Error::new(SqlState::OUT_OF_MEMORY, message).with_hint("raise temp_file_limit").into());
        }
        Ok(())
    }

    /// What is given back when a temporary file goes.
    pub(super) fn temporary(&self) -> Rc<Cell<u64>> {
        Rc::clone(self.temporary.get_or_init(Rc::default))
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.get()
    }

    /// Gives a common table its rows.
    pub(super) fn set_common(&self, id: usize, rows: Rc<Store>) {
        self.commons.borrow_mut().insert(id, rows);
        self.generation.set(self.generation.get() + 1);
    }

    pub(super) fn common(&self, id: usize) -> Result<Rc<Store>, Failure> {
        let error = || Error::new(SqlState::INTERNAL_ERROR, format!("there is no common table {id}"));
        Ok(self.commons.borrow().get(&id).cloned().ok_or_else(error)?)
    }
}

/// The memory that one operator has taken, which it gives back when it goes.
pub(super) struct Memory<'a> {
    ctx: &'a Context<'a>,
    taken: usize,
}

impl<'a> Memory<'a> {
    pub fn new(ctx: &'a Context<'a>) -> Self {
        Self { ctx, taken: 0 }
    }

    /// Takes more, and says whether that was within the limit. An operator that has taken only a small share of the
    /// limit is within it always, so that each gets on, however much the others have.
    #[inline]
    pub fn take(&mut self, bytes: usize) -> bool {
        let limit = self.ctx.settings.memory;
        let total = self.ctx.memory.get() + bytes;
        self.ctx.memory.set(total);
        self.taken += bytes;
        total <= limit || self.taken <= limit / 16
    }

    /// Takes more, or fails.
    pub fn must_take(&mut self, bytes: usize) -> Result<(), Failure> {
        if self.take(bytes) { Ok(()) } else { Err(self.ctx.out_of_memory()) }
    }

    /// Takes a little for each row that is kept elsewhere, which fails only when that alone is beyond the limit.
    pub fn count(&mut self, bytes: usize) -> Result<(), Failure> {
        self.take(bytes);
        if bytes > self.ctx.settings.memory { Err(self.ctx.out_of_memory()) } else { Ok(()) }
    }

    /// Gives all back.
    pub fn clear(&mut self) {
        self.ctx.memory.set(self.ctx.memory.get() - self.taken);
        self.taken = 0;
    }
}

impl Drop for Memory<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// How much each operator of a plan gave, for EXPLAIN ANALYZE.
#[derive(Debug, Default)]
pub struct Profile {
    /// By the address of the operator's node, which only finds it.
    tallies: RefCell<BTreeMap<usize, Tally>>,
    clock: Option<Clock>,
}

/// Says what time it is, since some moment.
pub type Clock = fn() -> Duration;

/// What an operator gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often it was started: once for each outer row that it was run for.
    pub starts: u64,
    /// How many rows it gave, in all.
    pub rows: u64,
    /// How long that took, what it pulled from included, if there is a clock.
    pub time: Duration,
}

impl Profile {
    /// With a clock, if there is one.
    pub fn new(clock: Option<Clock>) -> Self {
        Self { tallies: RefCell::default(), clock }
    }

    /// Whether there is one.
    pub fn has_clock(&self) -> bool {
        self.clock.is_some()
    }

    /// What an operator of the plan gave; nothing if it was never run.
    pub fn tally(&self, node: &Node) -> Tally {
        self.tallies.borrow().get(&address(node)).copied().unwrap_or_default()
    }

    fn add(&self, node: usize, starts: u64, rows: u64, time: Duration) {
        let mut tallies = self.tallies.borrow_mut();
        let tally = tallies.entry(node).or_default();
        tally.starts += starts;
        tally.rows += rows;
        tally.time += time;
    }
}

fn address(node: &Node) -> usize {
    std::ptr::from_ref(node).addr()
}

/// An operator whose rows are counted.
pub(super) struct Counted<'a> {
    profile: &'a Profile,
    node: usize,
    operator: Boxed<'a>,
}

impl<'a> Counted<'a> {
    pub fn new(profile: &'a Profile, node: &Node, operator: Boxed<'a>) -> Self {
        profile.add(address(node), 1, 0, Duration::ZERO);
        Self { profile, node: address(node), operator }
    }
}

impl Operator for Counted<'_> {
    fn next(&mut self, outer: Option<&Outer<'_>>, want: usize) -> Result<Option<Batch>, Failure> {
        let now = || self.profile.clock.map_or(Duration::ZERO, |clock| clock());
        let start = now();
        let batch = self.operator.next(outer, want)?;
        let time = now().saturating_sub(start);
        self.profile.add(self.node, 0, batch.as_ref().map_or(0, |batch| batch.len() as u64), time);
        Ok(batch)
    }
}
