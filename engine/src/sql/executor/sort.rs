//! Sorting: by keys of bytes that compare as the order says, in memory or in runs that are merged (external merge sort;
//! Knuth, volume 3, section 5.4).
//!
//! Rows that are equal in the order keep theirs: in memory by their numbers, and between runs by the runs'.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

use super::super::algebra::{Expr, SortKey};
use super::super::error::{Failure, SqlState};
use super::super::types::Value;
use super::batch::{BATCH, Batch};
use super::context::Memory;
use super::evaluate::{Env, Tuple};
use super::pile::Pile;
use super::row::count;
use super::sort_keys::{Keys, key_into};
use super::spill::{File, Reader, Writer, row_from, row_into};
use super::{Boxed, Context, Operator, Outer};

/// A row by its key, of which some bytes stand here when it is sorted, see [`Keys::prefixes`].
#[derive(Clone, Copy)]
struct Entry {
    prefix: u64,
    /// The number of its key.
    key: u32,
    /// The row's position in the pile.
    row: u32,
}

/// The most files that are merged at once.
const FAN_IN: usize = 64;

/// Sorts rows by keys of bytes.
pub(super) struct Sorter<'a> {
    ctx: &'a Context<'a>,
    memory: Memory<'a>,
    width: usize,
    rows: Pile,
    keys: Keys,
    entries: Vec<Entry>,
    runs: Vec<File>,
}

impl<'a> Sorter<'a> {
    pub fn new(ctx: &'a Context<'a>, width: usize) -> Self {
        let (keys, entries, runs) = Default::default();
        Self { ctx, memory: Memory::new(ctx), width, rows: Pile::new(width), keys, entries, runs }
    }

    /// Adds rows, whose keys `key` appends to the bytes that it is given.
    pub fn add(
        &mut self,
        batch: Batch,
        mut key: impl FnMut(&[Value], &mut Vec<u8>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.ctx.step(batch.len())?;
        let first = self.entries.len();
        for row in batch.iter() {
            key(row, self.keys.next())?;
            self.entries.push(Entry { prefix: 0, key: self.keys.end(), row: 0 });
        }
        for (entry, position) in self.entries[first..].iter_mut().zip(self.rows.push(batch)) {
            entry.row = u32::try_from(position).map_err(|_| self.ctx.out_of_memory())?;
        }
        if self.take_memory() { Ok(()) } else { self.write_run() }
    }

    /// Takes the memory of what is here, and says whether that was within the limit.
    fn take_memory(&mut self) -> bool {
        self.memory.clear();
        self.memory.take(self.rows.size() + self.keys.size() + self.entries.len() * size_of::<Entry>())
    }

    fn sort(&mut self) {
        let prefixes = self.keys.prefixes();
        for entry in &mut self.entries {
            entry.prefix = prefixes.get(entry.key);
        }
        if prefixes.are_all {
            // Without a branch for each comparison.
            self.entries.sort_unstable_by_key(|entry| u128::from(entry.prefix) << 32 | u128::from(entry.row));
        } else {
            self.entries.sort_unstable_by(|a, b| {
                let by_rest = || prefixes.rest(a.key).cmp(prefixes.rest(b.key));
                a.prefix.cmp(&b.prefix).then_with(by_rest).then(a.row.cmp(&b.row))
            });
        }
    }

    fn write_run(&mut self) -> Result<(), Failure> {
        self.sort();
        let mut writer = Writer::new(self.ctx)?;
        for entries in self.entries.chunks(BATCH) {
            let rows = self.rows.take_rows(&entries.iter().map(|entry| entry.row as usize));
            for (entry, row) in entries.iter().zip(rows.iter()) {
                let key = self.keys.get(entry.key);
                writer.write(|bytes| record_into(bytes, key, |bytes| row_into(bytes, row)))?;
            }
        }
        self.runs.push(writer.finish()?);
        (self.rows, self.keys, self.entries) = (Pile::new(self.width), Keys::default(), Vec::new());
        self.memory.clear();
        Ok(())
    }

    /// Keeps only the first rows of those that are here.
    fn keep_first(&mut self, count: usize) {
        self.sort();
        self.entries.truncate(count);
        let mut rows = Pile::new(self.width);
        let mut keys = Keys::default();
        for entries in self.entries.chunks_mut(BATCH) {
            let positions = rows.push(self.rows.take_rows(&entries.iter().map(|entry| entry.row as usize)));
            for (entry, position) in entries.iter_mut().zip(positions) {
                keys.next().extend_from_slice(self.keys.get(entry.key));
                (entry.key, entry.row) = (keys.end(), position as u32);
            }
        }
        (self.rows, self.keys) = (rows, keys);
        // What is kept fitted before.
        self.take_memory();
    }

    /// The rows in order.
    pub fn finish(mut self) -> Result<Sorted<'a>, Failure> {
        if self.runs.is_empty() {
            self.sort();
            return Ok(Sorted::Memory { sorter: self, next: 0 });
        }
        if !self.entries.is_empty() {
            self.write_run()?;
        }
        let mut runs = std::mem::take(&mut self.runs);
        while runs.len() > FAN_IN {
            let mut merged = Vec::new();
            let mut rest = runs.into_iter().peekable();
            while rest.peek().is_some() {
                let mut merge = Merge::new(rest.by_ref().take(FAN_IN), self.width)?;
                let mut writer = Writer::new(self.ctx)?;
                while merge.advance()? {
                    self.ctx.step(1)?;
                    let head = &merge.current;
                    writer.write(|bytes| record_into(bytes, &head.key, |bytes| bytes.extend_from_slice(&head.row)))?;
                }
                merged.push(writer.finish()?);
            }
            runs = merged;
        }
        Ok(Sorted::Merged(Merge::new(runs.into_iter(), self.width)?))
    }
}

/// A record of a run: the key with its length, then the row.
fn record_into(bytes: &mut Vec<u8>, key: &[u8], row: impl FnOnce(&mut Vec<u8>)) {
    bytes.extend_from_slice(&(key.len() as u32).to_le_bytes());
    bytes.extend_from_slice(key);
    row(bytes);
}

/// Rows in order.
pub(super) enum Sorted<'a> {
    Memory { sorter: Sorter<'a>, next: usize },
    Merged(Merge),
}

impl Sorted<'_> {
    /// Appends the next row to a batch, and its key to some bytes, if there is one.
    pub fn next(&mut self, batch: &mut Batch, key: &mut Vec<u8>) -> Result<bool, Failure> {
        match self {
            Self::Memory { sorter, next } => {
                let Some(entry) = sorter.entries.get(*next) else { return Ok(false) };
                *next += 1;
                key.extend_from_slice(sorter.keys.get(entry.key));
                sorter.rows.take_row(entry.row as usize, batch);
                Ok(true)
            }
            Self::Merged(merge) => {
                if !merge.advance()? {
                    return Ok(false);
                }
                key.extend_from_slice(&merge.current.key);
                batch.try_push_with(|values| row_from(&merge.current.row, values))?;
                Ok(true)
            }
        }
    }

    /// The next rows, at most some; `None` when there are no more.
    pub fn next_batch(&mut self, most: usize) -> Result<Option<Batch>, Failure> {
        let batch = match self {
            Self::Memory { sorter, next } => {
                let entries = &sorter.entries[*next..sorter.entries.len().min(next.saturating_add(most))];
                *next += entries.len();
                sorter.rows.take_rows(&entries.iter().map(|entry| entry.row as usize))
            }
            Self::Merged(merge) => {
                let mut batch = Batch::new(merge.width);
                while batch.len() < most && merge.advance()? {
                    batch.try_push_with(|values| row_from(&merge.current.row, values))?;
                }
                batch
            }
        };
        Ok((!batch.is_empty()).then_some(batch))
    }
}

/// The first record of a run that was not given yet.
#[derive(Default, PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    key: Vec<u8>,
    run: usize,
    row: Vec<u8>,
}

/// Runs that are merged. The earlier run comes first where keys are equal.
pub(super) struct Merge {
    width: usize,
    readers: Vec<Reader>,
    heads: BinaryHeap<Reverse<Head>>,
    current: Head,
    started: bool,
}

impl Merge {
    fn new(runs: impl Iterator<Item = File>, width: usize) -> Result<Self, Failure> {
        let readers: Vec<Reader> = runs.map(|file| Reader::new(Rc::new(file))).collect();
        let mut merge = Self { width, readers, heads: BinaryHeap::new(), current: Head::default(), started: false };
        for run in 0..merge.readers.len() {
            merge.current.run = run;
            if merge.refill()? {
                let head = std::mem::take(&mut merge.current);
                merge.heads.push(Reverse(head));
            }
        }
        Ok(merge)
    }

    /// Reads the next record of the current head's run into it.
    fn refill(&mut self) -> Result<bool, Failure> {
        let Some(record) = self.readers[self.current.run].next()? else { return Ok(false) };
        let (length, rest) = record.split_first_chunk::<4>().expect("a record begins with the length of its key");
        let (key, row) = rest.split_at(u32::from_le_bytes(*length) as usize);
        self.current.key.clear();
        self.current.key.extend_from_slice(key);
        self.current.row.clear();
        self.current.row.extend_from_slice(row);
        Ok(true)
    }

    /// Makes the next record in order the current one.
    fn advance(&mut self) -> Result<bool, Failure> {
        if self.started && self.refill()? {
            let head = std::mem::take(&mut self.current);
            self.heads.push(Reverse(head));
        }
        let head = self.heads.pop();
        self.started = head.is_some();
        if let Some(Reverse(head)) = head {
            self.current = head;
        }
        Ok(self.started)
    }
}

/// The rows in an order.
pub(super) struct Sort<'a> {
    ctx: &'a Context<'a>,
    input: Boxed<'a>,
    keys: &'a [SortKey],
    first: Option<&'a Expr>,
    width: usize,
    sorted: Option<(Sorted<'a>, usize)>,
}

impl<'a> Sort<'a> {
    pub fn new(
        ctx: &'a Context<'a>,
        input: Boxed<'a>,
        keys: &'a [SortKey],
        first: Option<&'a Expr>,
        width: usize,
    ) -> Self {
        Self { ctx, input, keys, first, width, sorted: None }
    }

    fn sort(&mut self, outer: Option<&Outer<'_>>) -> Result<(Sorted<'a>, usize), Failure> {
        let env = Env::new(self.ctx, outer);
        let first = self.first.map(|first| count(first, env, SqlState::INVALID_LIMIT)).transpose()?.flatten();
        let first = first.unwrap_or(usize::MAX);
        let mut sorter = Sorter::new(self.ctx, self.width);
        if first == 0 {
            return Ok((sorter.finish()?, 0));
        }
        // Of more than these, the first ones are taken from time to time.
        let most = first.saturating_mul(2).max(2 * BATCH);
        // The key of the last row that can still be among the first ones.
        let mut last: Option<Vec<u8>> = None;
        while let Some(mut batch) = self.input.next(outer, BATCH)? {
            let order = |row: &[Value], bytes: &mut Vec<u8>| {
                for key in self.keys {
                    env.with_value(&key.expr, Tuple::of(row), |value| {
                        key_into(bytes, value, key.descending, key.nulls_first);
                        Ok(())
                    })?;
                }
                Ok(())
            };
            if let Some(last) = &last {
                let mut bytes = Vec::new();
                self.ctx.step(batch.len())?;
                batch.try_retain(|row| {
                    bytes.clear();
                    order(row, &mut bytes)?;
                    // A later row that is equal to the last comes after it.
                    Ok::<_, Failure>(bytes < *last)
                })?;
                if batch.is_empty() {
                    continue;
                }
            }
            sorter.add(batch, order)?;
            if sorter.entries.len() > most && sorter.runs.is_empty() {
                sorter.keep_first(first);
                last = sorter.entries.last().map(|entry| sorter.keys.get(entry.key).to_vec());
            }
        }
        Ok((sorter.finish()?, first))
    }
}

impl Operator for Sort<'_> {
    fn next(&mut self, outer: Option<&Outer<'_>>, want: usize) -> Result<Option<Batch>, Failure> {
        if self.sorted.is_none() {
            self.sorted = Some(self.sort(outer)?);
        }
        let Some((sorted, left)) = &mut self.sorted else { return Ok(None) };
        if *left == 0 {
            return Ok(None);
        }
        let batch = sorted.next_batch(want.min(*left))?;
        *left -= batch.as_ref().map_or(0, Batch::len);
        Ok(batch)
    }
}
