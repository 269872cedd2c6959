//! Groups of rows, by a hash table or by their order.
//!
//! When the hash table may not grow any more, the groups that are in it go on; the rows of others are sorted by group (in
//! temporary files, as far as needed), and grouped by their order afterwards. The rows of a group come in the same
//! order in either case, so that sums of floats are the same.

use super::super::algebra::{Aggregate, Expr};
use super::super::error::Failure;
use super::super::types::Value;
use super::accumulate::States;
use super::arithmetic::same;
use super::batch::{BATCH, Batch};
use super::context::Memory;
use super::evaluate::{Env, Tuple};
use super::hash::{Image, Key, Keys};
use super::key_table::KeyTable;
use super::sort::{Sorted, Sorter};
use super::sort_keys::key_into;
use super::{Boxed, Context, Operator, Outer};

/// No group.
const NONE: u32 = u32::MAX;

/// Values that a DISTINCT aggregate has taken, with their groups' numbers before them.
struct Seen<'a> {
    table: KeyTable,
    columns: Vec<usize>,
    /// Values that were not seen, from when there was no more room: each is taken when all groups are complete.
    rest: Option<Sorter<'a>>,
}

/// The states of the aggregates for numbered groups.
struct Groups<'a> {
    ctx: &'a Context<'a>,
    aggregate: &'a Aggregate,
    states: Vec<States>,
    seen: Vec<Option<Seen<'a>>>,
    memory: Memory<'a>,
    scratch: Vec<Value>,
}

impl<'a> Groups<'a> {
    fn new(ctx: &'a Context<'a>, aggregate: &'a Aggregate) -> Self {
        let seen = aggregate.calls.iter().map(|call| {
            let width = 1 + call.args.len();
            call.distinct.then(|| Seen { table: KeyTable::new(width), columns: (0..width).collect(), rest: None })
        });
        let states = aggregate.calls.iter().map(|call| States::new(call.function)).collect();
        Self { ctx, aggregate, states, seen: seen.collect(), memory: Memory::new(ctx), scratch: Vec::new() }
    }

    /// Adds a group without rows.
    fn add_group(&mut self) {
        for (call, states) in self.aggregate.calls.iter().zip(&mut self.states) {
            states.add_group(call.function);
        }
    }

    /// About how many bytes a group takes, besides its key.
    fn size(&self) -> usize {
        self.states.iter().map(States::size).sum()
    }

    /// Adds rows to groups by their numbers, or to none. Aggregate by aggregate, since that is waiting for memory for the
    /// most part, and what does little else waits for many rows at once.
    fn add(&mut self, rows: &Batch, groups: &[u32], env: Env<'_>) -> Result<(), Failure> {
        for (nth, call) in self.aggregate.calls.iter().enumerate() {
            let members = rows.iter().zip(groups).filter(|(_, group)| **group != NONE);
            let members = members.map(|(row, group)| (row, *group as usize));
            let plain = call.filter.is_none() && !call.distinct;
            match call.args.as_slice() {
                [] if plain => {
                    let rows = members.map(|(_, group)| (group, &Value::Null));
                    self.states[nth].add_all(call.function, rows, &mut self.memory)?;
                }
                [Expr::Column(column)] if plain => {
                    let values = members.map(|(row, group)| (group, &row[*column]));
                    let values = values.filter(|(_, value)| !matches!(value, Value::Null));
                    self.states[nth].add_all(call.function, values, &mut self.memory)?;
                }
                _ => {
                    for (row, group) in members {
                        self.add_value(nth, group, row, env)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds a row to a group.
    fn add_row(&mut self, group: usize, row: &[Value], env: Env<'_>) -> Result<(), Failure> {
        (0..self.aggregate.calls.len()).try_for_each(|nth| self.add_value(nth, group, row, env))
    }

    /// Adds a row to an aggregate of a group.
    fn add_value(&mut self, nth: usize, group: usize, row: &[Value], env: Env<'_>) -> Result<(), Failure> {
        let (row, call) = (Tuple::of(row), &self.aggregate.calls[nth]);
        if call.filter.is_some() && !env.holds(call.filter.as_ref(), row)? {
            return Ok(());
        }
        let states = &mut self.states[nth];
        let Some(first) = call.args.first() else {
            return states.add(group, call.function, (&Value::Null, None), &mut self.memory);
        };
        let first = env.value(first, row)?;
        if matches!(*first, Value::Null) {
            return Ok(());
        }
        let second = match call.args.get(1) {
            Some(second) => Some(env.value(second, row)?),
            None => None,
        };
        if let Some(seen) = &mut self.seen[nth] {
            self.scratch.clear();
            self.scratch.extend([Value::Integer(group as i64), first.clone().into_owned()]);
            self.scratch.extend(second.iter().map(|second| second.clone().into_owned()));
            let key = Key { values: &self.scratch, columns: &seen.columns };
            let image = key.image();
            if seen.table.find(image, key).is_some() {
                return Ok(());
            }
            if seen.rest.is_some() || !self.memory.take(KeyTable::size_of(key)) {
                if self.ctx.spill().is_none() {
                    return Err(self.ctx.out_of_memory());
                }
                let width = self.scratch.len();
                let rest = seen.rest.get_or_insert_with(|| Sorter::new(self.ctx, width));
                let mut one = Batch::with_capacity(width, 1);
                one.push(&self.scratch);
                return rest.add(one, |row, bytes| {
                    for value in row {
                        key_into(bytes, value, false, false);
                    }
                    Ok(())
                });
            }
            seen.table.insert(image, key);
        }
        states.add(group, call.function, (&first, second.as_deref()), &mut self.memory)
    }

    /// Takes the DISTINCT values that were left, when all rows have been added.
    fn complete(&mut self) -> Result<(), Failure> {
        for (nth, call) in self.aggregate.calls.iter().enumerate() {
            let Some(rest) = self.seen[nth].as_mut().and_then(|seen| seen.rest.take()) else { continue };
            let mut sorted = rest.finish()?;
            let (mut last, mut key) = (Vec::new(), Vec::new());
            let mut row = Batch::new(1 + call.args.len());
            while sorted.next(&mut row, &mut key)? {
                self.ctx.step(1)?;
                if key != last
                    && let [Value::Integer(group), value, second @ ..] = row.row(0)
                {
                    let values = (value, second.first());
                    self.states[nth].add(*group as usize, call.function, values, &mut self.memory)?;
                }
                std::mem::swap(&mut last, &mut key);
                key.clear();
                row.truncate(0);
            }
        }
        Ok(())
    }

    /// Appends what the aggregates give for a group.
    fn finish(&self, group: usize, values: &mut Vec<Value>) -> Result<(), Failure> {
        let calls = &self.aggregate.calls;
        let start = values.len();
        values.extend(Value::nulls(calls.len()));
        for ((call, states), result) in calls.iter().zip(&self.states).zip(&mut values[start..]) {
            states.finish(group, call.function, result)?;
        }
        Ok(())
    }

    /// Forgets all groups.
    fn clear(&mut self) {
        self.states.iter_mut().for_each(States::clear);
        self.seen.iter_mut().flatten().for_each(|seen| seen.table.clear());
        self.memory.clear();
    }
}

/// Groups by a hash table, in the order in which they came.
pub(super) struct HashAggregate<'a> {
    ctx: &'a Context<'a>,
    aggregate: &'a Aggregate,
    input: Option<Boxed<'a>>,
    keys: Keys<'a>,
    table: KeyTable,
    groups: Groups<'a>,
    given: usize,
    /// The groups for which there was no room.
    rest: Option<SortedAggregate<'a>>,
}

impl<'a> HashAggregate<'a> {
    pub fn new(ctx: &'a Context<'a>, aggregate: &'a Aggregate, input: Boxed<'a>) -> Self {
        Self {
            ctx,
            aggregate,
            input: Some(input),
            keys: Keys::new(aggregate.groups.iter().collect()),
            table: KeyTable::new(aggregate.groups.len()),
            groups: Groups::new(ctx, aggregate),
            given: 0,
            rest: None,
        }
    }

    fn run(&mut self, mut input: Boxed<'a>, outer: Option<&Outer<'_>>) -> Result<(), Failure> {
        let env = Env::new(self.ctx, outer);
        let mut numbers: Vec<u32> = Vec::new();
        if self.aggregate.groups.is_empty() {
            let key = Key { values: &[], columns: &[] };
            self.table.insert(key.image(), key);
            self.groups.add_group();
            while let Some(batch) = input.next(outer, BATCH)? {
                self.ctx.step(batch.len())?;
                numbers.resize(batch.len(), 0);
                self.groups.add(&batch, &numbers, env)?;
            }
            return self.groups.complete();
        }
        let mut rest: Option<Sorter<'a>> = None;
        let mut images: Vec<Image> = Vec::new();
        while let Some(batch) = input.next(outer, BATCH)? {
            self.ctx.step(batch.len())?;
            // As with the states, one thing is done for all rows before the next.
            let mut left = Batch::new(batch.width());
            let keys = self.keys.of_rows(&batch, env)?;
            images.clear();
            images.extend(keys.images());
            numbers.clear();
            for (position, &image) in images.iter().enumerate() {
                let key = keys.key(position);
                if let Some(number) = self.table.find(image, key) {
                    numbers.push(number as u32);
                    continue;
                }
                let size = KeyTable::size_of(key) + self.groups.size();
                if rest.is_some() || !left.is_empty() || !self.groups.memory.take(size) {
                    left.push(batch.row(position));
                    numbers.push(NONE);
                } else {
                    self.groups.add_group();
                    numbers.push(self.table.insert(image, key) as u32);
                }
            }
            self.groups.add(&batch, &numbers, env)?;
            if !left.is_empty() {
                if self.ctx.spill().is_none() {
                    return Err(self.ctx.out_of_memory());
                }
                let rest = rest.get_or_insert_with(|| Sorter::new(self.ctx, batch.width()));
                let keys = &mut self.keys;
                rest.add(left, |row, bytes| {
                    keys.of(row, env)?.iter().for_each(|value| key_into(bytes, value, false, false));
                    Ok(())
                })?;
            }
        }
        self.groups.complete()?;
        if let Some(rest) = rest {
            let sorted = Box::new(InOrder(rest.finish()?));
            self.rest = Some(SortedAggregate::new(self.ctx, self.aggregate, sorted));
        }
        Ok(())
    }
}

impl Operator for HashAggregate<'_> {
    fn next(&mut self, outer: Option<&Outer<'_>>, want: usize) -> Result<Option<Batch>, Failure> {
        if let Some(input) = self.input.take() {
            self.run(input, outer)?;
        }
        let count = want.min(self.table.len() - self.given);
        if count > 0 {
            let mut batch = Batch::with_capacity(self.aggregate.groups.len() + self.aggregate.calls.len(), count);
            for group in self.given..self.given + count {
                batch.try_push_with(|values| {
                    values.extend_from_slice(self.table.key(group));
                    self.groups.finish(group, values)
                })?;
            }
            self.given += count;
            return Ok(Some(batch));
        }
        match &mut self.rest {
            Some(rest) => {
                if self.given > 0 {
                    self.given = 0;
                    self.table = KeyTable::new(self.aggregate.groups.len());
                    self.groups = Groups::new(self.ctx, self.aggregate);
                }
                rest.next(outer, want)
            }
            None => Ok(None),
        }
    }
}

/// Rows that have been sorted.
struct InOrder<'a>(Sorted<'a>);

impl Operator for InOrder<'_> {
    fn next(&mut self, _: Option<&Outer<'_>>, want: usize) -> Result<Option<Batch>, Failure> {
        self.0.next_batch(want)
    }
}

/// Groups whose rows come one after the other.
pub(super) struct SortedAggregate<'a> {
    ctx: &'a Context<'a>,
    aggregate: &'a Aggregate,
    input: Boxed<'a>,
    keys: Keys<'a>,
    /// The key of the group at hand, if there is one.
    current: Option<Vec<Value>>,
    groups: Groups<'a>,
    /// The rows at hand, and which of them is next.
    rows: Batch,
    next: usize,
    done: bool,
}

impl<'a> SortedAggregate<'a> {
    pub fn new(ctx: &'a Context<'a>, aggregate: &'a Aggregate, input: Boxed<'a>) -> Self {
        Self {
            ctx,
            aggregate,
            input,
            keys: Keys::new(aggregate.groups.iter().collect()),
            current: None,
            groups: Groups::new(ctx, aggregate),
            rows: Batch::default(),
            next: 0,
            done: false,
        }
    }

    /// Gives the group at hand, whose key is moved.
    fn give(key: &mut Vec<Value>, groups: &mut Groups<'_>, batch: &mut Batch) -> Result<(), Failure> {
        groups.complete()?;
        batch.try_push_with(|values| {
            values.append(key);
            groups.finish(0, values)
        })?;
        groups.clear();
        Ok(())
    }
}

impl Operator for SortedAggregate<'_> {
    fn next(&mut self, outer: Option<&Outer<'_>>, want: usize) -> Result<Option<Batch>, Failure> {
        let env = Env::new(self.ctx, outer);
        let mut batch = Batch::new(self.aggregate.groups.len() + self.aggregate.calls.len());
        while !self.done && batch.len() < want {
            if self.next == self.rows.len() {
                let input = self.input.next(outer, BATCH)?;
                let Some(input) = input else {
                    self.done = true;
                    if self.current.is_none() && self.aggregate.groups.is_empty() {
                        // The group of no rows.
                        self.current = Some(Vec::new());
                        self.groups.add_group();
                    }
                    if let Some(mut key) = self.current.take() {
                        Self::give(&mut key, &mut self.groups, &mut batch)?;
                    }
                    break;
                };
                self.ctx.step(input.len())?;
                (self.rows, self.next) = (input, 0);
            }
            let row = self.rows.row(self.next);
            let key = self.keys.of(row, env)?;
            match &mut self.current {
                Some(current) if current.iter().zip(key.iter()).all(|(a, b)| same(a, b)) => {}
                Some(current) => {
                    Self::give(current, &mut self.groups, &mut batch)?;
                    current.extend(key.iter().cloned());
                    self.groups.add_group();
                }
                None => {
                    self.current = Some(key.iter().cloned().collect());
                    self.groups.add_group();
                }
            }
            self.groups.add_row(0, row, env)?;
            self.next += 1;
        }
        Ok((!batch.is_empty()).then_some(batch))
    }
}
