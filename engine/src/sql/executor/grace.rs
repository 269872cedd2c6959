//! Partitions of both sides of a hash join that does not fit in memory (the GRACE hash join of Kitsuregawa, Tanaka and
//! Moto-oka, 1983).
//!
//! Rows that are equal are in the same partition, so the partitions are joined one after the other. One whose right side
//! does not fit, because it is large or because many rows have one key, is joined in parts: for each part of the right
//! rows all left rows are read, and which of these have had a partner is remembered until the last part.
//!
//! Rows whose keys cannot be computed are kept apart as well, to be compared with all rows of the other side.

use std::rc::Rc;

use super::super::error::Failure;
use super::Context;
use super::batch::{BATCH, Batch};
use super::context::Memory;
use super::evaluate::Env;
use super::hash_join::{Condition, Probe, Table};
use super::join::Shape;
use super::spill::{File, Reader, Writer};

/// How many partitions there are.
const COUNT: usize = 32;

/// Both sides of a join in partitions.
pub(super) struct Partitions<'a> {
    ctx: &'a Context<'a>,
    keys: usize,
    writers: Vec<(Writer<'a>, Writer<'a>)>,
    /// The left and right files of the partitions that are left, the next one last.
    files: Vec<(Rc<File>, Rc<File>)>,
    /// Left and right rows whose keys cannot be computed.
    unknown: (Batch, Batch),
    memory: Memory<'a>,
    current: Option<Current<'a>>,
}

/// A partition that is being joined.
struct Current<'a> {
    left: Rc<File>,
    right: Reader,
    memory: Memory<'a>,
    part: Option<Part>,
    /// Which left rows have had a partner, if there are several parts.
    partnered: Vec<bool>,
}

/// A part of a partition's right rows.
struct Part {
    table: Table,
    left: Reader,
    probe: Probe,
    /// The number of the first left row at hand, and how many are at hand.
    base: usize,
    count: usize,
    left_done: bool,
    lone: usize,
    /// Whether no right rows come after these.
    last: bool,
    /// Whether the partition has no other part.
    only: bool,
}

impl<'a> Partitions<'a> {
    pub fn new(ctx: &'a Context<'a>, keys: usize, shape: Shape) -> Result<Self, Failure> {
        let writers = (0..COUNT).map(|_| Ok((Writer::new(ctx)?, Writer::new(ctx)?))).collect::<Result<_, Failure>>()?;
        let unknown = (Batch::new(shape.left), Batch::new(shape.right));
        Ok(Self { ctx, keys, writers, files: Vec::new(), unknown, memory: Memory::new(ctx), current: None })
    }

    /// The partition of a hash. The table looks at other bits.
    fn of(hash: u64) -> usize {
        (hash >> 40) as usize % COUNT
    }

    /// Adds right rows.
    pub fn add_right(&mut self, batch: &Batch, condition: &mut Condition<'_>, env: Env<'_>) -> Result<(), Failure> {
        self.ctx.step(batch.len())?;
        for row in batch.iter() {
            let keeps = condition.keeps_right();
            let Some(key) = condition.right.of_any(row, env)? else {
                self.memory.must_take(size_of_val(row))?;
                self.unknown.1.push(row);
                self.writers[0].1.write_row(row)?;
                continue;
            };
            if key.is_comparable() || keeps {
                self.writers[Self::of(key.image().hash)].1.write_row(row)?;
            }
        }
        Ok(())
    }

    /// Adds left rows.
    pub fn add_left(&mut self, batch: &Batch, condition: &mut Condition<'_>, env: Env<'_>) -> Result<(), Failure> {
        self.ctx.step(batch.len())?;
        for row in batch.iter() {
            for right in self.unknown.1.iter() {
                condition.fail(row, right, env)?;
            }
            let Some(key) = condition.left.of_any(row, env)? else {
                self.memory.must_take(size_of_val(row))?;
                self.unknown.0.push(row);
                self.writers[0].0.write_row(row)?;
                continue;
            };
            if key.is_comparable() || condition.shape.gives_lone_left() {
                self.writers[Self::of(key.image().hash)].0.write_row(row)?;
            }
        }
        Ok(())
    }

    /// Says that all rows have been added.
    pub fn seal(&mut self, condition: &Condition<'_>, env: Env<'_>) -> Result<(), Failure> {
        for (left, right) in self.writers.drain(..).rev() {
            self.files.push((Rc::new(left.finish()?), Rc::new(right.finish()?)));
        }
        if self.unknown.0.is_empty() {
            return Ok(());
        }
        for (_, right) in &self.files {
            let mut reader = Reader::new(Rc::clone(right));
            let mut rows = Batch::new(condition.shape.right);
            while reader.read_rows(&mut rows, BATCH)? {
                let batch = std::mem::replace(&mut rows, Batch::new(condition.shape.right));
                for left in self.unknown.0.iter() {
                    for right in batch.iter() {
                        condition.fail(left, right, env)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Joins until the batch is full, or nothing is left.
    pub fn run(
        &mut self,
        condition: &mut Condition<'_>,
        env: Env<'_>,
        (out, want): (&mut Batch, usize),
    ) -> Result<(), Failure> {
        while out.len() < want {
            if self.current.is_none() {
                let Some((left, right)) = self.files.pop() else { break };
                let (right, memory) = (Reader::new(right), Memory::new(self.ctx));
                self.current = Some(Current { left, right, memory, part: None, partnered: Vec::new() });
            }
            let Some(current) = &mut self.current else { break };
            if current.run(self.keys, condition, env, (out, want))? {
                self.current = None;
            }
        }
        Ok(())
    }
}

impl Current<'_> {
    /// Reads right rows into a table until they end or memory does.
    fn load(&mut self, keys: usize, condition: &mut Condition<'_>, env: Env<'_>, only: bool) -> Result<Part, Failure> {
        self.memory.clear();
        let mut table = Table::new(condition, keys);
        let mut last = true;
        let mut batch = Batch::new(condition.shape.right);
        while self.right.read_rows(&mut batch, BATCH / 8)? {
            let rows = std::mem::replace(&mut batch, Batch::new(condition.shape.right));
            if !self.memory.take(table.add(rows, condition, env)?) {
                last = false;
                break;
            }
        }
        let left = Reader::new(Rc::clone(&self.left));
        let probe = Probe::default();
        let only = only && last;
        Ok(Part { table, left, probe, base: 0, count: 0, left_done: false, lone: 0, last, only })
    }

    /// Joins until the batch is full. Says whether the partition is through.
    fn run(
        &mut self,
        keys: usize,
        condition: &mut Condition<'_>,
        env: Env<'_>,
        (out, want): (&mut Batch, usize),
    ) -> Result<bool, Failure> {
        let mut part = match self.part.take() {
            Some(part) => part,
            None => self.load(keys, condition, env, true)?,
        };
        let shape = condition.shape;
        while out.len() < want {
            if part.left_done {
                if shape.gives_lone_right() {
                    part.lone = part.table.push_lone(shape, part.lone, out, want);
                    if part.lone < part.table.rows.len() {
                        continue;
                    }
                }
                if part.last {
                    return Ok(true);
                }
                part = self.load(keys, condition, env, false)?;
            } else if part.probe.is_through() {
                part.base += part.count;
                let mut rows = Batch::new(shape.left);
                part.left_done = !part.left.read_rows(&mut rows, BATCH)?;
                part.count = rows.len();
                if !part.only && self.partnered.len() < part.base + part.count {
                    self.memory.count(part.base + part.count)?;
                    self.partnered.resize(part.base + part.count, false);
                }
                part.probe.start(rows);
            } else {
                // In the last part, left rows that had no partner in any come out.
                let known = &mut self.partnered[..];
                let known = if part.only { None } else { Some(&mut known[part.base..part.base + part.count]) };
                part.probe.run(&mut part.table, condition, env, (out, want), (known, part.last))?;
            }
        }
        self.part = Some(part);
        Ok(false)
    }
}
