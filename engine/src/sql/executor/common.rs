//! Common tables (WITH): their rows are made when the query that uses them is first asked for rows, and kept.

use std::rc::Rc;

use super::super::algebra::{Node, Recursive};
use super::super::error::Failure;
use super::batch::{BATCH, Batch};
use super::context::Memory;
use super::hash::Key;
use super::key_table::KeyTable;
use super::store::{Store, StoreReader, StoreWriter};
use super::{Boxed, Context, Operator, Outer, build};

/// A query with a common table.
pub(super) struct With<'a> {
    ctx: &'a Context<'a>,
    id: usize,
    width: usize,
    common: Option<Boxed<'a>>,
    recursive: Option<&'a Recursive>,
    depth: usize,
    memory: Memory<'a>,
    body: Boxed<'a>,
}

impl<'a> With<'a> {
    pub fn new(
        ctx: &'a Context<'a>,
        id: usize,
        common: &'a Node,
        recursive: Option<&'a Recursive>,
        body: &'a Node,
        depth: usize,
    ) -> Result<Self, Failure> {
        let width = common.width();
        let (common, body) = (Some(build(common, ctx, depth)?), build(body, ctx, depth)?);
        Ok(Self { ctx, id, width, common, recursive, depth, memory: Memory::new(ctx), body })
    }

    /// Runs the step on the newest rows until it gives no new ones.
    fn recur(
        &mut self,
        mut common: Boxed<'a>,
        recursive: &'a Recursive,
        outer: Option<&Outer<'_>>,
    ) -> Result<Store, Failure> {
        let columns: Vec<usize> = (0..self.width).collect();
        let mut seen = KeyTable::new(self.width);
        let mut rows = StoreWriter::new(self.ctx, self.width);
        let mut _previous = Memory::new(self.ctx);
        loop {
            let mut memory = Memory::new(self.ctx);
            let mut newest = StoreWriter::new(self.ctx, self.width);
            let mut count = 0;
            while let Some(mut batch) = common.next(outer, BATCH)? {
                if !recursive.all {
                    batch.try_retain(|row| {
                        let key = Key { values: row, columns: &columns };
                        let image = key.image();
                        if seen.find(image, key).is_some() {
                            return Ok(false);
                        }
                        self.memory.must_take(KeyTable::size_of(key))?;
                        seen.insert(image, key);
                        Ok::<_, Failure>(true)
                    })?;
                }
                count += batch.len();
                rows.push(batch.clone(), &mut self.memory)?;
                newest.push(batch, &mut memory)?;
            }
            if count == 0 {
                return rows.finish();
            }
            self.ctx.set_common(self.id, Rc::new(newest.finish()?));
            common = build(&recursive.step, self.ctx, self.depth)?;
            // Counted until the round that reads these rows is over.
            _previous = memory;
        }
    }
}

impl Operator for With<'_> {
    fn next(&mut self, outer: Option<&Outer<'_>>, want: usize) -> Result<Option<Batch>, Failure> {
        if let Some(mut common) = self.common.take() {
            let store = match self.recursive {
                Some(recursive) => self.recur(common, recursive, outer)?,
                None => StoreWriter::new(self.ctx, self.width).drain(&mut *common, outer, &mut self.memory)?,
            };
            self.ctx.set_common(self.id, Rc::new(store));
        }
        self.body.next(outer, want)
    }
}

/// The rows of a common table.
pub(super) struct Common<'a> {
    ctx: &'a Context<'a>,
    id: usize,
    reader: Option<StoreReader>,
}

impl<'a> Common<'a> {
    pub fn new(ctx: &'a Context<'a>, id: usize) -> Self {
        Self { ctx, id, reader: None }
    }
}

impl Operator for Common<'_> {
    fn next(&mut self, _: Option<&Outer<'_>>, _: usize) -> Result<Option<Batch>, Failure> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            None => self.reader.insert(StoreReader::new(self.ctx.common(self.id)?)),
        };
        while let Some(rows) = reader.next()? {
            self.ctx.step(rows.len())?;
            if !rows.is_empty() {
                return Ok(Some(Rc::unwrap_or_clone(rows)));
            }
        }
        Ok(None)
    }
}
