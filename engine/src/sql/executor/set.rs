//! DISTINCT and set operations: rows that are the same, where NULL is as NULL.

use super::super::algebra::SetOperator;
use super::super::error::Failure;
use super::super::types::Value;
use super::batch::{BATCH, Batch};
use super::context::Memory;
use super::hash::Key;
use super::key_table::KeyTable;
use super::sort::{Sorted, Sorter};
use super::sort_keys::key_into;
use super::{Boxed, Context, Operator, Outer};

/// The key of a row for sorting it beside those that are the same.
fn whole_row(row: &[Value], bytes: &mut Vec<u8>) {
    for value in row {
        key_into(bytes, value, false, false);
    }
}

/// The rows of one, then those of another.
pub(super) struct Concat<'a> {
    left: Option<Boxed<'a>>,
    right: Boxed<'a>,
}

impl<'a> Concat<'a> {
    pub fn new(left: Boxed<'a>, right: Boxed<'a>) -> Self {
        Self { left: Some(left), right }
    }
}

impl Operator for Concat<'_> {
    fn next(&mut self, outer: Option<&Outer<'_>>, want: usize) -> Result<Option<Batch>, Failure> {
        if let Some(left) = &mut self.left {
            if let Some(batch) = left.next(outer, want)? {
                return Ok(Some(batch));
            }
            self.left = None;
        }
        self.right.next(outer, want)
    }
}

/// Each row once, where it comes first. When there is no more room, rows that were not seen before are sorted, and come
/// last.
pub(super) struct Distinct<'a> {
    ctx: &'a Context<'a>,
    input: Boxed<'a>,
    columns: Vec<usize>,
    seen: KeyTable,
    memory: Memory<'a>,
    rest: Option<Sorter<'a>>,
    sorted: Option<(Sorted<'a>, Vec<u8>)>,
}

impl<'a> Distinct<'a> {
    pub fn new(ctx: &'a Context<'a>, input: Boxed<'a>, width: usize) -> Self {
        let (seen, memory) = (KeyTable::new(width), Memory::new(ctx));
        Self { ctx, input, columns: (0..width).collect(), seen, memory, rest: None, sorted: None }
    }
}

impl Operator for Distinct<'_> {
    fn next(&mut self, outer: Option<&Outer<'_>>, want: usize) -> Result<Option<Batch>, Failure> {
        while self.sorted.is_none() {
            let Some(mut batch) = self.input.next(outer, want)? else {
                let sorter = self.rest.take().unwrap_or_else(|| Sorter::new(self.ctx, self.columns.len()));
                self.sorted = Some((sorter.finish()?, Vec::new()));
                break;
            };
            self.ctx.step(batch.len())?;
            let mut unseen = Batch::new(self.columns.len());
            batch.try_retain(|row| {
                let key = Key { values: row, columns: &self.columns };
                let image = key.image();
                if self.seen.find(image, key).is_some() {
                    return Ok(false);
                }
                if self.rest.is_none() && self.memory.take(KeyTable::size_of(key)) {
                    self.seen.insert(image, key);
                    return Ok(true);
                }
                unseen.push(row);
                Ok::<_, Failure>(false)
            })?;
            if !unseen.is_empty() {
                if self.ctx.spill().is_none() {
                    return Err(self.ctx.out_of_memory());
                }
                let rest = self.rest.get_or_insert_with(|| Sorter::new(self.ctx, self.columns.len()));
                rest.add(unseen, |row, bytes| {
                    whole_row(row, bytes);
                    Ok(())
                })?;
            }
            if !batch.is_empty() {
                return Ok(Some(batch));
            }
        }
        let Some((sorted, last)) = &mut self.sorted else { return Ok(None) };
        let mut batch = Batch::new(self.columns.len());
        let mut key = Vec::new();
        while batch.len() < want {
            key.clear();
            if !sorted.next(&mut batch, &mut key)? {
                break;
            }
            // The first key is not empty, unless rows have no columns.
            if *last == key && (!key.is_empty() || batch.len() > 1) {
                batch.pop();
            } else {
                std::mem::swap(last, &mut key);
            }
        }
        Ok((!batch.is_empty()).then_some(batch))
    }
}

/// INTERSECT and EXCEPT: rows of the left by how often they are on the right.
///
/// For EXCEPT without ALL, the left gives each row once. The rows of the right are counted in a hash table; when they do
/// not fit, both sides are sorted and merged.
pub(super) struct Match<'a> {
    ctx: &'a Context<'a>,
    left: Boxed<'a>,
    right: Boxed<'a>,
    operator: SetOperator,
    all: bool,
    columns: Vec<usize>,
    memory: Memory<'a>,
    state: State<'a>,
}

enum State<'a> {
    Start,
    Counted { rows: KeyTable, counts: Vec<u64> },
    Sorted(Box<Merging<'a>>),
}

/// Both sides in order.
struct Merging<'a> {
    left: Side<'a>,
    right: Side<'a>,
}

/// A side in order, and its next row.
struct Side<'a> {
    sorted: Sorted<'a>,
    row: Batch,
    key: Vec<u8>,
}

impl<'a> Side<'a> {
    fn new(sorter: Sorter<'a>, width: usize) -> Result<Self, Failure> {
        let mut side = Self { sorted: sorter.finish()?, row: Batch::new(width), key: Vec::new() };
        side.advance()?;
        Ok(side)
    }

    fn advance(&mut self) -> Result<(), Failure> {
        self.row.truncate(0);
        self.key.clear();
        self.sorted.next(&mut self.row, &mut self.key)?;
        Ok(())
    }

    /// Passes over the rows with a key, and counts them.
    fn count(&mut self, ctx: &Context<'_>, key: &[u8]) -> Result<u64, Failure> {
        let mut count = 0;
        while !self.row.is_empty() && self.key == key {
            ctx.step(1)?;
            count += 1;
            self.advance()?;
        }
        Ok(count)
    }
}

impl<'a> Match<'a> {
    pub fn new(
        ctx: &'a Context<'a>,
        (left, right): (Boxed<'a>, Boxed<'a>),
        operator: SetOperator,
        all: bool,
        width: usize,
    ) -> Self {
        let columns = (0..width).collect();
        Self { ctx, left, right, operator, all, columns, memory: Memory::new(ctx), state: State::Start }
    }

    fn start(&mut self, outer: Option<&Outer<'_>>) -> Result<State<'a>, Failure> {
        let width = self.columns.len();
        let (mut rows, mut counts) = (KeyTable::new(width), Vec::<u64>::new());
        let mut sorter: Option<Sorter<'a>> = None;
        let order = |row: &[Value], bytes: &mut Vec<u8>| {
            whole_row(row, bytes);
            Ok(())
        };
        while let Some(batch) = self.right.next(outer, BATCH)? {
            self.ctx.step(batch.len())?;
            if let Some(sorter) = &mut sorter {
                sorter.add(batch, order)?;
                continue;
            }
            let mut fits = true;
            for row in batch.iter() {
                let key = Key { values: row, columns: &self.columns };
                let image = key.image();
                if let Some(number) = rows.find(image, key) {
                    counts[number] += 1;
                } else {
                    fits &= self.memory.take(KeyTable::size_of(key) + 8);
                    rows.insert(image, key);
                    counts.push(1);
                }
            }
            if !fits {
                if self.ctx.spill().is_none() {
                    return Err(self.ctx.out_of_memory());
                }
                let sorter = sorter.insert(Sorter::new(self.ctx, width));
                let (rows, counts) = (std::mem::replace(&mut rows, KeyTable::new(width)), std::mem::take(&mut counts));
                let mut batch = Batch::new(width);
                for (number, count) in counts.into_iter().enumerate() {
                    for _ in 0..count {
                        batch.push(rows.key(number));
                        if batch.len() == BATCH {
                            sorter.add(std::mem::replace(&mut batch, Batch::new(width)), order)?;
                        }
                    }
                }
                sorter.add(batch, order)?;
                self.memory.clear();
            }
        }
        let Some(right) = sorter else { return Ok(State::Counted { rows, counts }) };
        let mut left = Sorter::new(self.ctx, width);
        while let Some(batch) = self.left.next(outer, BATCH)? {
            left.add(batch, order)?;
        }
        let (left, right) = (Side::new(left, width)?, Side::new(right, width)?);
        Ok(State::Sorted(Box::new(Merging { left, right })))
    }
}

impl Operator for Match<'_> {
    fn next(&mut self, outer: Option<&Outer<'_>>, want: usize) -> Result<Option<Batch>, Failure> {
        if matches!(self.state, State::Start) {
            self.state = self.start(outer)?;
        }
        let intersect = self.operator == SetOperator::Intersect;
        match &mut self.state {
            State::Start => unreachable!("it has been started"),
            State::Counted { rows, counts } => {
                while let Some(mut batch) = self.left.next(outer, want)? {
                    self.ctx.step(batch.len())?;
                    batch.try_retain(|row| {
                        let key = Key { values: row, columns: &self.columns };
                        let Some(number) = rows.find(key.image(), key) else { return Ok(!intersect) };
                        let has = counts[number] > 0;
                        if self.all {
                            counts[number] = counts[number].saturating_sub(1);
                        } else if intersect {
                            // Given once.
                            counts[number] = 0;
                        }
                        Ok::<_, Failure>(has == intersect)
                    })?;
                    if !batch.is_empty() {
                        return Ok(Some(batch));
                    }
                }
                Ok(None)
            }
            State::Sorted(merging) => {
                let Merging { left, right } = &mut **merging;
                let mut batch = Batch::new(self.columns.len());
                while batch.len() < want && !left.row.is_empty() {
                    while !right.row.is_empty() && right.key < left.key {
                        right.advance()?;
                    }
                    let (row, key) = (left.row.clone(), left.key.clone());
                    let (here, there) = (left.count(self.ctx, &key)?, right.count(self.ctx, &key)?);
                    let times = match (intersect, self.all) {
                        (true, true) => here.min(there),
                        (false, true) => here.saturating_sub(there),
                        (true, false) => u64::from(there > 0),
                        (false, false) => u64::from(there == 0),
                    };
                    for _ in 0..times {
                        batch.push(row.row(0));
                    }
                }
                Ok((!batch.is_empty()).then_some(batch))
            }
        }
    }
}
