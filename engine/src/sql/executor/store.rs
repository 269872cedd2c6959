//! Rows that are kept, and read as often as one likes: in memory, and beyond the limit in a temporary file.

use std::rc::Rc;

use super::super::error::Failure;
use super::batch::{BATCH, Batch};
use super::context::Memory;
use super::spill::{File, Reader, Writer};
use super::{Context, Operator, Outer};

/// Rows that are kept.
#[derive(Default)]
pub(super) struct Store {
    width: usize,
    rows: usize,
    chunks: Vec<Rc<Batch>>,
    file: Option<Rc<File>>,
}

impl Store {
    /// How many rows.
    pub fn len(&self) -> usize {
        self.rows
    }
}

/// Puts rows into a store.
pub(super) struct StoreWriter<'a> {
    ctx: &'a Context<'a>,
    store: Store,
    writer: Option<Writer<'a>>,
}

impl<'a> StoreWriter<'a> {
    pub fn new(ctx: &'a Context<'a>, width: usize) -> Self {
        Self { ctx, store: Store { width, ..Store::default() }, writer: None }
    }

    /// Appends rows, whose bytes are taken from `memory` while they fit.
    pub fn push(&mut self, batch: Batch, memory: &mut Memory<'a>) -> Result<(), Failure> {
        self.ctx.step(batch.len())?;
        self.store.rows += batch.len();
        if self.writer.is_none() && memory.take(batch.size()) {
            self.store.chunks.push(Rc::new(batch));
            return Ok(());
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => self.writer.insert(Writer::new(self.ctx)?),
        };
        // A row without columns is an empty record.
        batch.iter().try_for_each(|row| writer.write_row(row))
    }

    /// Appends all rows of an operator.
    pub fn drain(
        mut self,
        input: &mut dyn Operator,
        outer: Option<&Outer<'_>>,
        memory: &mut Memory<'a>,
    ) -> Result<Store, Failure> {
        while let Some(batch) = input.next(outer, BATCH)? {
            self.push(batch, memory)?;
        }
        self.finish()
    }

    pub fn finish(mut self) -> Result<Store, Failure> {
        self.store.file = self.writer.map(Writer::finish).transpose()?.map(Rc::new);
        Ok(self.store)
    }
}

/// Reads a store from its start.
pub(super) struct StoreReader {
    store: Rc<Store>,
    chunk: usize,
    file: Option<Reader>,
}

impl StoreReader {
    pub fn new(store: Rc<Store>) -> Self {
        let file = store.file.clone().map(Reader::new);
        Self { store, chunk: 0, file }
    }

    /// The next rows, at least one.
    pub fn next(&mut self) -> Result<Option<Rc<Batch>>, Failure> {
        if let Some(chunk) = self.store.chunks.get(self.chunk) {
            self.chunk += 1;
            return Ok(Some(Rc::clone(chunk)));
        }
        let Some(file) = &mut self.file else { return Ok(None) };
        let mut batch = Batch::new(self.store.width);
        Ok(file.read_rows(&mut batch, BATCH)?.then(|| Rc::new(batch)))
    }
}
