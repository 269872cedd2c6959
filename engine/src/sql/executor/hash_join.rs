//! Hash join: the right side in a hash table, the left side looked up in it row by row.
//!
//! The rows come out in the order of a nested loop: by the left row, then by the right one; right rows without a partner
//! last. A key that cannot be computed (a sum out of range) equals nothing; but it is an error in a nested loop, as soon as
//! there is a row on the other side that the rest of the condition does not exclude before. So its row is compared with all
//! rows of the other side by the whole condition, which ends in that error or in nothing.
//!
//! When the right side does not fit in memory, both sides go to partitions ([`super::grace`]).

use super::super::algebra::{self, Expr, JoinKind};
use super::super::error::Failure;
use super::super::types::Value;
use super::batch::{BATCH, Batch};
use super::context::Memory;
use super::evaluate::{Env, Tuple};
use super::grace::Partitions;
use super::hash::{Image, Keys};
use super::join::Shape;
use super::key_table::KeyTable;
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
    /// Without them, each row has a key of its own, whose number is the row's.
    chains: Option<Chains>,
    /// Rows whose keys cannot be computed.
    unknown: Vec<u32>,
    /// Which rows have had a partner, where that matters.
    partnered: Vec<bool>,
}

/// Which rows have the same key.
struct Chains {
    /// For each key its first and its last row.
    ends: Vec<(u32, u32)>,
    /// For each row the next one with the same key.
    following: Vec<u32>,
}

impl Chains {
    /// Each of some rows by itself.
    fn alone(rows: usize) -> Self {
        Self { ends: (0..rows as u32).map(|row| (row, row)).collect(), following: vec![NONE; rows] }
    }
}

impl Table {
    pub fn new(condition: &Condition<'_>, keys: usize) -> Self {
        let rows = Batch::new(condition.shape.right);
        let (chains, unknown, partnered) = Default::default();
        Self { rows, keys: KeyTable::new(keys), chains, unknown, partnered }
    }

    /// Adds rows, and says how many bytes they take. Rows that equal nothing are left out where they do not come out.
    pub fn add(&mut self, mut batch: Batch, condition: &mut Condition<'_>, env: Env<'_>) -> Result<usize, Failure> {
        let keeps = condition.keeps_right();
        let mut size = batch.size() + batch.len() * 8;
        let mut unknown = Vec::new();
        let keys = condition.right.of_any_rows(&batch, &mut unknown, env)?;
        let images: Vec<Option<Image>> = keys.comparable_images().collect();
        let mut stays = vec![true; batch.len()];
        let mut number = self.rows.len();
        for (position, image) in images.into_iter().enumerate() {
            let key = keys.key(position);
            if let Some(image) = image {
                if let Some(key) = self.keys.find(image, key) {
                    let Chains { ends, following } = self.chains.get_or_insert_with(|| Chains::alone(number));
                    let (_, last) = &mut ends[key];
                    following[*last as usize] = number as u32;
                    *last = number as u32;
                    following.push(NONE);
                } else {
                    size += KeyTable::size_of(key) + 8;
                    self.keys.insert(image, key);
                    if let Some(Chains { ends, following }) = &mut self.chains {
                        ends.push((number as u32, number as u32));
                        following.push(NONE);
                    }
                }
            } else {
                if unknown.binary_search(&(position as u32)).is_ok() {
                    self.unknown.push(number as u32);
                } else if !keeps {
                    stays[position] = false;
                    continue;
                }
                self.chains.get_or_insert_with(|| Chains::alone(number)).following.push(NONE);
            }
            number += 1;
        }
        if number < self.rows.len() + batch.len() {
            let mut stays = stays.into_iter();
            batch.try_retain(|_| Ok::<_, Failure>(stays.next() == Some(true)))?;
        }
        self.rows.append(batch);
        let placed = self.chains.as_ref().map_or(self.keys.len(), |chains| chains.following.len());
        assert_eq!(placed, self.rows.len(), "each row has its place");
        if condition.shape.gives_lone_right() {
            self.partnered.resize(self.rows.len(), false);
        }
        Ok(size)
    }

    /// Appends for each left row the first right row with its key.
    fn find_firsts(
        &self,
        left: &Batch,
        condition: &mut Condition<'_>,
        env: Env<'_>,
        firsts: &mut Vec<u32>,
    ) -> Result<(), Failure> {
        let mut unknown = Vec::new();
        let keys = condition.left.of_any_rows(left, &mut unknown, env)?;
        let images: Vec<Option<Image>> = keys.comparable_images().collect();
        let find = |(position, image): (usize, Option<Image>)| {
            image.and_then(|image| self.keys.find(image, keys.key(position))).map_or(NONE, |number| number as u32)
        };
        firsts.extend(images.into_iter().enumerate().map(find));
        if let Some(chains) = &self.chains {
            for first in firsts.iter_mut().filter(|first| **first != NONE) {
                *first = chains.ends[*first as usize].0;
            }
        }
        for position in unknown {
            firsts[position as usize] = UNKNOWN;
        }
        Ok(())
    }

    /// Whether a left row has one partner at most, and to find it is all that there is to do.
    fn has_single_partners(&self, condition: &Condition<'_>) -> bool {
        matches!(condition.shape.kind, JoinKind::Inner | JoinKind::Left)
            && condition.residual.is_none()
            && !condition.left.are_computed()
            && self.chains.is_none()
            && self.unknown.is_empty()
    }

    /// The next right row with the key of one.
    #[inline]
    fn following(&self, row: u32) -> u32 {
        self.chains.as_ref().map_or(NONE, |chains| chains.following[row as usize])
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

    /// As [`Probe::run`], where a left row has one partner at most.
    fn run_single(
        &mut self,
        table: &Table,
        condition: &Condition<'_>,
        out: &mut Batch,
        want: usize,
    ) -> Result<(), Failure> {
        let count = (self.rows.len() - self.next).min(want - out.len());
        let firsts = &self.firsts[self.next..self.next + count];
        let mut left = self.rows.take(self.next, count);
        self.next += count;
        let mut partners: Vec<Option<u32>> = firsts.iter().map(|&first| (first != NONE).then_some(first)).collect();
        if !condition.shape.gives_lone_left() {
            let mut firsts = firsts.iter();
            left.try_retain(|_| Ok::<_, Failure>(firsts.next() != Some(&NONE)))?;
            partners.retain(Option::is_some);
        }
        condition.ctx.step(count + partners.len())?;
        out.extend_pairs(left, &table.rows, &partners);
        Ok(())
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
            table.find_firsts(&self.rows, condition, env, &mut self.firsts)?;
        }
        if table.has_single_partners(condition) && known.is_none() {
            return self.run_single(table, condition, out, want);
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
                at = table.following(at);
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
