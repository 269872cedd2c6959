//! Merge join: both sides come in the ascending order of the keys, NULLs last, and are gone through side by side.
//!
//! The right rows with one key are kept while left rows have it too. A side that is not in order is an error, and not a
//! wrong result.

use std::rc::Rc;

use super::super::algebra::{self, Expr};
use super::super::error::{Error, Failure, SqlState};
use super::batch::{BATCH, Batch};
use super::context::Memory;
use super::evaluate::{Env, Tuple};
use super::hash::Keys;
use super::join::Shape;
use super::sort_keys::key_into;
use super::store::{Store, StoreReader, StoreWriter};
use super::{Boxed, Context, Operator, Outer};

/// A side, and its next row.
struct Side<'a> {
    input: Boxed<'a>,
    keys: Keys<'a>,
    rows: Batch,
    next: usize,
    /// Whether `key` is that of the next row; else of the one before.
    ready: bool,
    key: Vec<u8>,
    comparable: bool,
}

impl<'a> Side<'a> {
    fn new(input: Boxed<'a>, keys: Vec<&'a Expr>) -> Self {
        let keys = Keys::new(keys);
        Self { input, keys, rows: Batch::default(), next: 0, ready: false, key: Vec::new(), comparable: false }
    }

    /// Makes the next row ready, if there is one.
    fn prepare(&mut self, env: Env<'_>, want: usize) -> Result<bool, Failure> {
        if self.ready {
            return Ok(true);
        }
        if self.next == self.rows.len() {
            let Some(rows) = self.input.next(env.outer, want)? else { return Ok(false) };
            env.ctx.step(rows.len())?;
            (self.rows, self.next) = (rows, 0);
        }
        let key = self.keys.of(self.rows.row(self.next), env)?;
        let mut bytes = Vec::with_capacity(self.key.len());
        key.iter().for_each(|value| key_into(&mut bytes, value, false, false));
        if bytes < self.key {
            let message = "an input of a merge join is not in the order of its keys";
            return Err(Error::new(SqlState::INTERNAL_ERROR, message).into());
        }
        (self.ready, self.comparable, self.key) = (true, key.is_comparable(), bytes);
        Ok(true)
    }

    fn pass(&mut self) {
        self.next += 1;
        self.ready = false;
    }
}

/// Right rows with one key.
struct Group {
    key: Vec<u8>,
    rows: Rc<Store>,
    /// Which have had a partner, where that matters.
    partnered: Vec<bool>,
}

/// A merge join.
pub(super) struct MergeJoin<'a> {
    ctx: &'a Context<'a>,
    shape: Shape,
    residual: Option<&'a Expr>,
    left: Side<'a>,
    right: Side<'a>,
    group: Option<Group>,
    memory: Memory<'a>,
    step: Step,
}

/// What is being done.
enum Step {
    /// The next left row is looked at.
    Advance,
    /// The left row is compared with its group.
    Compare(Place),
    /// The lone rows of the group are given out, and it is forgotten.
    Discard(StoreReader, usize),
}

/// A place in a group.
struct Place {
    reader: StoreReader,
    chunk: Option<Rc<Batch>>,
    row: usize,
    base: usize,
    partnered: bool,
}

impl<'a> MergeJoin<'a> {
    pub fn new(
        ctx: &'a Context<'a>,
        join: &'a algebra::Join,
        (keys, residual): (&'a [(Expr, Expr)], Option<&'a Expr>),
        left: Boxed<'a>,
        right: Boxed<'a>,
    ) -> Self {
        Self {
            ctx,
            shape: Shape::new(join),
            residual,
            left: Side::new(left, keys.iter().map(|(left, _)| left).collect()),
            right: Side::new(right, keys.iter().map(|(_, right)| right).collect()),
            group: None,
            memory: Memory::new(ctx),
            step: Step::Advance,
        }
    }

    /// Keeps the next right rows with one key. Those that equal nothing are given out or passed over.
    fn load(&mut self, env: Env<'_>, out: &mut Batch, want: usize) -> Result<(), Failure> {
        while self.right.prepare(env, BATCH)? {
            if !self.right.comparable {
                if self.shape.gives_lone_right() {
                    self.shape.push_lone_right(out, self.right.rows.row(self.right.next));
                }
                self.right.pass();
                if out.len() >= want {
                    return Ok(());
                }
                continue;
            }
            self.memory.clear();
            let key = self.right.key.clone();
            let mut writer = StoreWriter::new(self.ctx, self.shape.right);
            let mut batch = Batch::new(self.shape.right);
            while self.right.prepare(env, BATCH)? && self.right.key == key {
                batch.push(self.right.rows.row(self.right.next));
                self.right.pass();
                if batch.len() == BATCH {
                    writer.push(std::mem::replace(&mut batch, Batch::new(self.shape.right)), &mut self.memory)?;
                }
            }
            if !batch.is_empty() {
                writer.push(batch, &mut self.memory)?;
            }
            let rows = Rc::new(writer.finish()?);
            let partnered = if self.shape.gives_lone_right() { vec![false; rows.len()] } else { Vec::new() };
            self.group = Some(Group { key, rows, partnered });
            return Ok(());
        }
        Ok(())
    }

    /// Forgets the group.
    fn discard(&mut self) {
        if let Some(group) = &self.group {
            if self.shape.gives_lone_right() {
                self.step = Step::Discard(StoreReader::new(Rc::clone(&group.rows)), 0);
            } else {
                self.group = None;
            }
        }
    }

    /// Looks at the next left row. Says whether there is anything left.
    fn advance(&mut self, env: Env<'_>, out: &mut Batch, want: usize) -> Result<bool, Failure> {
        if !self.left.prepare(env, want)? {
            if self.group.is_some() {
                self.discard();
                return Ok(true);
            }
            if !self.shape.gives_lone_right() {
                return Ok(false);
            }
            let before = out.len();
            self.load(env, out, want)?;
            return Ok(self.group.is_some() || out.len() > before);
        }
        let row = self.left.rows.row(self.left.next);
        if !self.left.comparable {
            self.shape.push_lone_left(out, row);
            self.left.pass();
            return Ok(true);
        }
        match &self.group {
            Some(group) if group.key < self.left.key => self.discard(),
            Some(group) if group.key == self.left.key => {
                let reader = StoreReader::new(Rc::clone(&group.rows));
                self.step = Step::Compare(Place { reader, chunk: None, row: 0, base: 0, partnered: false });
            }
            Some(_) => {
                self.shape.push_lone_left(out, row);
                self.left.pass();
            }
            None => {
                self.load(env, out, want)?;
                if self.group.is_none() && out.len() < want {
                    // The right side is through.
                    self.shape.push_lone_left(out, self.left.rows.row(self.left.next));
                    self.left.pass();
                }
            }
        }
        Ok(true)
    }

    /// Compares the left row with its group. Says whether it is through, and not the batch full.
    fn compare(&mut self, place: &mut Place, env: Env<'_>, out: &mut Batch, want: usize) -> Result<bool, Failure> {
        let left = self.left.rows.row(self.left.next);
        loop {
            let Some(chunk) = &place.chunk else {
                place.chunk = place.reader.next()?;
                if place.chunk.is_none() {
                    return Ok(true);
                }
                continue;
            };
            while place.row < chunk.len() {
                if out.len() >= want {
                    return Ok(false);
                }
                let right = chunk.row(place.row);
                self.ctx.step(1)?;
                if env.holds(self.residual, Tuple::pair(left, right))? {
                    place.partnered = true;
                    self.shape.push_pair(out, left, right);
                    if self.shape.is_decided_by_first() {
                        return Ok(true);
                    }
                    let partnered =
                        self.group.as_mut().and_then(|group| group.partnered.get_mut(place.base + place.row));
                    if let Some(partnered) = partnered {
                        *partnered = true;
                    }
                }
                place.row += 1;
            }
            place.base += chunk.len();
            (place.chunk, place.row) = (None, 0);
        }
    }
}

impl Operator for MergeJoin<'_> {
    fn next(&mut self, outer: Option<&Outer<'_>>, want: usize) -> Result<Option<Batch>, Failure> {
        let env = Env::new(self.ctx, outer);
        let mut out = Batch::new(self.shape.width());
        while out.len() < want {
            match std::mem::replace(&mut self.step, Step::Advance) {
                Step::Advance => {
                    if !self.advance(env, &mut out, want)? {
                        break;
                    }
                }
                Step::Compare(mut place) => {
                    if self.compare(&mut place, env, &mut out, want)? {
                        if !place.partnered {
                            self.shape.push_lone_left(&mut out, self.left.rows.row(self.left.next));
                        }
                        self.left.pass();
                    } else {
                        self.step = Step::Compare(place);
                    }
                }
                Step::Discard(mut reader, base) => {
                    let Some(group) = &self.group else { continue };
                    match reader.next()? {
                        Some(chunk) => {
                            for (row, partnered) in chunk.iter().zip(&group.partnered[base..]) {
                                if !partnered {
                                    self.shape.push_lone_right(&mut out, row);
                                }
                            }
                            self.step = Step::Discard(reader, base + chunk.len());
                        }
                        None => self.group = None,
                    }
                }
            }
        }
        Ok((!out.is_empty()).then_some(out))
    }
}
