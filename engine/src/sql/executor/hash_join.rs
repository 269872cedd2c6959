//! Hash join: the right side in a hash table, the left side looked up in it row by row.
//!
//! The rows come out in the order of a nested loop: by the left row, then by the right one; right rows without a partner
//! last. A key that cannot be computed (a sum out of range) equals nothing; but it is an error in a nested loop, as soon as
//! there is a row on the other side that the rest of the condition does not exclude before. So its row is compared with all
//! rows of the other side by the whole condition, which ends in that error or in nothing.
//!
//! When the right side does not fit in memory, both sides go to partitions ([`super::grace`]).

use super::super::algebra::{self, Expr};
use super::super::error::Failure;
use super::super::types::Value;
use super::batch::{BATCH, Batch};
use super::context::Memory;
use super::evaluate::{Env, Tuple};
use super::grace::Partitions;
use super::hash::{Key, KeyTable, Keys};
use super::join::Shape;
use super::{Boxed, Context, Operator, Outer};

/// No row.
const NONE: u32 = u32::MAX;
/// No row, since the key cannot be computed.
const UNKNOWN: u32 = u32::MAX - 1;

/// What a hash join is about, apart from the rows.
pub(super) struct Condition<'a> {
    pub ctx: &'a Context<'a>,
    pub shape: Shape,
    pub left: Keys<'a>,
    pub right: Keys<'a>,
    /// What must hold besides equal keys.
    pub residual: Option<&'a Expr>,
    /// The whole condition.
    pub on: Option<&'a Expr>,
}

impl Condition<'_> {
    /// Whether right rows are kept that equal nothing: they come out, or a left key may be an error with them.
    pub fn keeps_right(&self) -> bool {
        self.shape.gives_lone_right() || self.left.are_computed()
    }

    /// Compares a pair of which one key cannot be computed.
    pub fn fail(&self, left: &[Value], right: &[Value], env: Env<'_>) -> Result<(), Failure> {
        self.ctx.step(1)?;
        let holds = env.holds(self.on, Tuple::pair(left, right))?;
        assert!(!holds, "a condition is not true without its keys");
        Ok(())
    }
}

/// Right rows by their keys.
pub(super) struct Table {
    pub rows: Batch,
    keys: KeyTable,
    /// For each key its first and its last row.
    ends: Vec<(u32, u32)>,
    /// For each row the next one with the same key.
    following: Vec<u32>,
    /// Rows whose keys cannot be computed.
    unknown: Vec<u32>,
    /// Which rows have had a partner, where that matters.
    partnered: Vec<bool>,
}

impl Table {
    pub fn new(condition: &Condition<'_>, keys: usize) -> Self {
        let rows = Batch::new(condition.shape.right);
        let (ends, following, unknown, partnered) = Default::default();
        Self { rows, keys: KeyTable::new(keys), ends, following, unknown, partnered }
    }

    /// Adds rows, and says how many bytes they take. Rows that equal nothing are left out where they do not come out.
    pub fn add(&mut self, batch: Batch, condition: &mut Condition<'_>, env: Env<'_>) -> Result<usize, Failure> {
        let keeps = condition.keeps_right();
        let mut size = batch.size() + batch.len() * 8;
        let mut left_out = 0;
        for (nth, row) in batch.iter().enumerate() {
            let number = (self.rows.len() + nth - left_out) as u32;
            let Some(key) = condition.right.of_any(row, env)? else {
                self.unknown.push(number);
                self.following.push(NONE);
                continue;
            };
            if !key.is_comparable() {
                if keeps {
                    self.following.push(NONE);
                } else {
                    left_out += 1;
                }
                continue;
            }
            let hash = key.hash();
            if let Some(key) = self.keys.find(hash, key) {
                let (_, last) = &mut self.ends[key];
                self.following[*last as usize] = number;
                *last = number;
            } else {
                size += KeyTable::size_of(key) + 8;
                self.keys.insert(hash, key);
                self.ends.push((number, number));
            }
            self.following.push(NONE);
        }
        if left_out == 0 {
            self.rows.append(batch);
        } else {
            for row in batch.iter() {
                if condition.right.of_any(row, env)?.is_none_or(Key::is_comparable) {
                    self.rows.push(row);
                }
            }
        }
        assert_eq!(self.following.len(), self.rows.len(), "each row has its place");
        if condition.shape.gives_lone_right() {
            self.partnered.resize(self.rows.len(), false);
        }
        Ok(size)
    }

    /// The first right row with the key of a left row.
    fn first(&self, left: &[Value], condition: &mut Condition<'_>, env: Env<'_>) -> Result<u32, Failure> {
        let Some(key) = condition.left.of_any(left, env)? else { return Ok(UNKNOWN) };
        if !key.is_comparable() {
            return Ok(NONE);
        }
        Ok(self.keys.find(key.hash(), key).map_or(NONE, |key| self.ends[key].0))
    }

    /// Gives out right rows without a partner, from one on, until the batch is full; gives back where to go on.
    pub fn push_lone(&self, shape: Shape, mut from: usize, out: &mut Batch, want: usize) -> usize {
        while from < self.rows.len() && out.len() < want {
            if !self.partnered[from] {
                shape.push_lone_right(out, self.rows.row(from));
            }
            from += 1;
        }
        from
    }
}

/// Left rows that are looked up in a table.
#[derive(Default)]
pub(super) struct Probe {
    rows: Batch,
    /// For each row the first right row with its key. They are looked up all at once, which waits less for memory than to
    /// do it one by one between other things.
    firsts: Vec<u32>,
    next: usize,
    /// The right row that is next for the left row at hand, and whether that has had a partner.
    at: Option<(u32, bool)>,
}

impl Probe {
    /// Takes the next left rows. Those before must be through.
    pub fn start(&mut self, rows: Batch) {
        (self.rows, self.next, self.at) = (rows, 0, None);
        self.firsts.clear();
    }

    /// Whether all rows are through.
    pub fn is_through(&self) -> bool {
        self.next == self.rows.len()
    }

    /// Looks rows up until they are through or the batch is full. `known` says of a left row by its position whether it has
    /// had a partner elsewhere, and is told when it has one; then lone rows come out only if this is the `last` table.
    pub fn run(
        &mut self,
        table: &mut Table,
        condition: &mut Condition<'_>,
        env: Env<'_>,
        (out, want): (&mut Batch, usize),
        (mut known, last): (Option<&mut [bool]>, bool),
    ) -> Result<(), Failure> {
        let shape = condition.shape;
        if self.firsts.is_empty() {
            for row in self.rows.iter() {
                self.firsts.push(table.first(row, condition, env)?);
            }
        }
        let mut looked = 0;
        while self.next < self.rows.len() && out.len() < want {
            let left = self.rows.row(self.next);
            looked += 1;
            let (mut at, mut partnered) = if let Some(at) = self.at.take() {
                at
            } else {
                let before = known.as_ref().is_some_and(|known| known[self.next]);
                if before && shape.is_decided_by_first() {
                    self.next += 1;
                    continue;
                }
                for &right in &table.unknown {
                    condition.fail(left, table.rows.row(right as usize), env)?;
                }
                let mut first = self.firsts[self.next];
                if first == UNKNOWN {
                    first = NONE;
                    for right in table.rows.iter() {
                        condition.fail(left, right, env)?;
                    }
                }
                (first, before)
            };
            while at != NONE {
                if out.len() >= want {
                    self.at = Some((at, partnered));
                    condition.ctx.step(looked)?;
                    return Ok(());
                }
                looked += 1;
                let right = table.rows.row(at as usize);
                if env.holds(condition.residual, Tuple::pair(left, right))? {
                    partnered = true;
                    shape.push_pair(out, left, right);
                    if let Some(partnered) = table.partnered.get_mut(at as usize) {
                        *partnered = true;
                    }
                    if shape.is_decided_by_first() {
                        break;
                    }
                }
                at = table.following[at as usize];
            }
            if let Some(known) = &mut known {
                known[self.next] = partnered;
            }
            if last && !partnered {
                shape.push_lone_left(out, left);
            }
            self.next += 1;
        }
        condition.ctx.step(looked)
    }
}

/// A hash join.
pub(super) struct HashJoin<'a> {
    condition: Condition<'a>,
    left: Boxed<'a>,
    right: Option<Boxed<'a>>,
    keys: usize,
    memory: Memory<'a>,
    state: State<'a>,
}

enum State<'a> {
    /// The right side is in the table.
    Memory {
        table: Box<Table>,
        probe: Probe,
        left_done: bool,
        lone: usize,
    },
    Partitioned(Box<Partitions<'a>>),
}

impl<'a> HashJoin<'a> {
    pub fn new(
        ctx: &'a Context<'a>,
        join: &'a algebra::Join,
        (keys, residual): (&'a [(Expr, Expr)], Option<&'a Expr>),
        left: Boxed<'a>,
        right: Boxed<'a>,
    ) -> Self {
        let condition = Condition {
            ctx,
            shape: Shape::new(join),
            left: Keys::new(keys.iter().map(|(left, _)| left).collect()),
            right: Keys::new(keys.iter().map(|(_, right)| right).collect()),
            residual,
            on: join.on.as_ref(),
        };
        let table = Box::new(Table::new(&condition, keys.len()));
        let state = State::Memory { table, probe: Probe::default(), left_done: false, lone: 0 };
        Self { condition, left, right: Some(right), keys: keys.len(), memory: Memory::new(ctx), state }
    }

    /// Makes the table, or partitions of both sides if it gets too large.
    fn build(&mut self, mut right: Boxed<'a>, outer: Option<&Outer<'_>>) -> Result<(), Failure> {
        let ctx = self.condition.ctx;
        let env = Env::new(ctx, outer);
        let State::Memory { table, .. } = &mut self.state else { return Ok(()) };
        let mut fits = true;
        while let Some(batch) = right.next(outer, BATCH)? {
            ctx.step(batch.len())?;
            let size = table.add(batch, &mut self.condition, env)?;
            fits = self.memory.take(size);
            if !fits {
                break;
            }
        }
        if fits {
            return Ok(());
        }
        let mut partitions = Partitions::new(ctx, self.keys, self.condition.shape)?;
        let rows = std::mem::take(&mut table.rows);
        **table = Table::new(&self.condition, self.keys);
        self.memory.clear();
        partitions.add_right(&rows, &mut self.condition, env)?;
        drop(rows);
        while let Some(batch) = right.next(outer, BATCH)? {
            partitions.add_right(&batch, &mut self.condition, env)?;
        }
        drop(right);
        while let Some(batch) = self.left.next(outer, BATCH)? {
            partitions.add_left(&batch, &mut self.condition, env)?;
        }
        partitions.seal(&self.condition, env)?;
        self.state = State::Partitioned(Box::new(partitions));
        Ok(())
    }
}

impl Operator for HashJoin<'_> {
    fn next(&mut self, outer: Option<&Outer<'_>>, want: usize) -> Result<Option<Batch>, Failure> {
        if let Some(right) = self.right.take() {
            self.build(right, outer)?;
        }
        let env = Env::new(self.condition.ctx, outer);
        let shape = self.condition.shape;
        let mut out = Batch::new(shape.width());
        match &mut self.state {
            State::Partitioned(partitions) => partitions.run(&mut self.condition, env, (&mut out, want))?,
            State::Memory { table, probe, left_done, lone } => {
                while out.len() < want && !*left_done {
                    if probe.is_through() {
                        match self.left.next(outer, want)? {
                            Some(rows) => probe.start(rows),
                            None => *left_done = true,
                        }
                    } else {
                        probe.run(table, &mut self.condition, env, (&mut out, want), (None, true))?;
                    }
                }
                if *left_done && shape.gives_lone_right() {
                    *lone = table.push_lone(shape, *lone, &mut out, want);
                }
            }
        }
        Ok((!out.is_empty()).then_some(out))
    }
}
