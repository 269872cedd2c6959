//! Joins by looking at all pairs, and by running one side for each row of the other.

use std::rc::Rc;

use super::super::algebra::{self, Expr, JoinKind};
use super::super::error::{Error, Failure, SqlState};
use super::super::types::Value;
use super::batch::Batch;
use super::context::Memory;
use super::evaluate::{Env, Tuple};
use super::store::{Store, StoreReader, StoreWriter};
use super::{Boxed, Context, Operator, Outer, build};

/// What of a join comes out, and how wide its sides are.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub kind: JoinKind,
    pub left: usize,
    pub right: usize,
}

impl Shape {
    pub fn new(join: &algebra::Join) -> Self {
        Self { kind: join.kind, left: join.left.width(), right: join.right.width() }
    }

    /// How many columns come out.
    pub fn width(self) -> usize {
        if self.gives_pairs() { self.left + self.right } else { self.left }
    }

    /// Whether pairs come out, and not only their left rows.
    pub fn gives_pairs(self) -> bool {
        !matches!(self.kind, JoinKind::Semi | JoinKind::Anti)
    }

    /// Whether a left row without a partner comes out.
    pub fn gives_lone_left(self) -> bool {
        matches!(self.kind, JoinKind::Left | JoinKind::Full | JoinKind::Anti)
    }

    /// Whether a right row without a partner comes out.
    pub fn gives_lone_right(self) -> bool {
        matches!(self.kind, JoinKind::Right | JoinKind::Full)
    }

    /// Whether the first partner of a left row decides.
    pub fn is_decided_by_first(self) -> bool {
        !self.gives_pairs()
    }

    /// Gives out what a left row and a partner of it make. For a semijoin that must be the first one.
    pub fn push_pair(self, out: &mut Batch, left: &[Value], right: &[Value]) {
        match self.kind {
            JoinKind::Anti => {}
            JoinKind::Semi => out.push(left),
            _ => out.extend(left.iter().chain(right).cloned()),
        }
    }

    /// Gives out a left row without a partner, if that comes out.
    pub fn push_lone_left(self, out: &mut Batch, left: &[Value]) {
        match self.kind {
            JoinKind::Anti => out.push(left),
            JoinKind::Left | JoinKind::Full => {
                out.extend(left.iter().cloned().chain(Value::nulls(self.right)));
            }
            _ => {}
        }
    }

    /// Gives out a right row without a partner.
    pub fn push_lone_right(self, out: &mut Batch, right: &[Value]) {
        out.extend(Value::nulls(self.left).chain(right.iter().cloned()));
    }
}

/// All pairs of rows.
pub(super) struct NestedLoop<'a> {
    ctx: &'a Context<'a>,
    shape: Shape,
    on: Option<&'a Expr>,
    left: Boxed<'a>,
    /// The right side, until its rows are kept.
    right: Option<Boxed<'a>>,
    kept: Rc<Store>,
    memory: Memory<'a>,
    /// Which of the right rows have had a partner, where that matters.
    partnered: Vec<bool>,
    /// The left rows at hand, and which of them is next.
    rows: Batch,
    next: usize,
    /// How far the left row at hand has been compared.
    at: Option<Place>,
    /// The right rows that are given out at the end.
    lone: Option<(StoreReader, usize)>,
}

/// A place in the right side.
struct Place {
    reader: StoreReader,
    chunk: Option<Rc<Batch>>,
    row: usize,
    /// The number of the chunk's first row.
    base: usize,
    /// Whether the left row has had a partner.
    partnered: bool,
}

impl<'a> NestedLoop<'a> {
    pub fn new(ctx: &'a Context<'a>, join: &'a algebra::Join, left: Boxed<'a>, right: Boxed<'a>) -> Self {
        Self {
            ctx,
            shape: Shape::new(join),
            on: join.on.as_ref(),
            left,
            right: Some(right),
            kept: Rc::default(),
            memory: Memory::new(ctx),
            partnered: Vec::new(),
            rows: Batch::default(),
            next: 0,
            at: None,
            lone: None,
        }
    }

    /// Compares the left row at hand with what is left of the right side, until that ends or the batch is full. Says
    /// whether it is through.
    fn compare(&mut self, place: &mut Place, out: &mut Batch, env: Env<'_>, want: usize) -> Result<bool, Failure> {
        let left = self.rows.row(self.next);
        loop {
            let Some(chunk) = &place.chunk else {
                place.chunk = place.reader.next()?;
                if place.chunk.is_none() {
                    return Ok(true);
                }
                continue;
            };
            self.ctx.step(chunk.len() - place.row)?;
            while place.row < chunk.len() {
                if out.len() >= want {
                    return Ok(false);
                }
                let right = chunk.row(place.row);
                if env.holds(self.on, Tuple::pair(left, right))? {
                    place.partnered = true;
                    self.shape.push_pair(out, left, right);
                    if self.shape.is_decided_by_first() {
                        return Ok(true);
                    }
                    if let Some(partnered) = self.partnered.get_mut(place.base + place.row) {
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

impl Operator for NestedLoop<'_> {
    fn next(&mut self, outer: Option<&Outer<'_>>, want: usize) -> Result<Option<Batch>, Failure> {
        if let Some(mut right) = self.right.take() {
            let writer = StoreWriter::new(self.ctx, self.shape.right);
            self.kept = Rc::new(writer.drain(&mut *right, outer, &mut self.memory)?);
            if self.shape.gives_lone_right() {
                self.memory.count(self.kept.len())?;
                self.partnered = vec![false; self.kept.len()];
            }
        }
        let env = Env::new(self.ctx, outer);
        let mut out = Batch::new(self.shape.width());
        while self.lone.is_none() && out.len() < want {
            if self.next == self.rows.len() {
                let Some(rows) = self.left.next(outer, want)? else {
                    self.lone = Some((StoreReader::new(Rc::clone(&self.kept)), 0));
                    break;
                };
                (self.rows, self.next) = (rows, 0);
            }
            let mut place = self.at.take().unwrap_or_else(|| Place {
                reader: StoreReader::new(Rc::clone(&self.kept)),
                chunk: None,
                row: 0,
                base: 0,
                partnered: false,
            });
            if !self.compare(&mut place, &mut out, env, want)? {
                self.at = Some(place);
                break;
            }
            if !place.partnered {
                self.shape.push_lone_left(&mut out, self.rows.row(self.next));
            }
            self.next += 1;
        }
        if let Some((reader, base)) = &mut self.lone
            && self.shape.gives_lone_right()
        {
            while out.len() < want {
                let Some(chunk) = reader.next()? else { break };
                for (row, partnered) in chunk.iter().zip(&self.partnered[*base..]) {
                    if !partnered {
                        self.shape.push_lone_right(&mut out, row);
                    }
                }
                *base += chunk.len();
            }
        }
        Ok((!out.is_empty()).then_some(out))
    }
}

/// For each left row, the right side is run anew, with the left row as the innermost outer row.
pub(super) struct Lateral<'a> {
    ctx: &'a Context<'a>,
    shape: Shape,
    on: Option<&'a Expr>,
    node: &'a algebra::Node,
    depth: usize,
    left: Boxed<'a>,
    rows: Batch,
    next: usize,
    /// The right side for the left row at hand, and whether that has had a partner.
    right: Option<(Boxed<'a>, bool)>,
    done: bool,
}

impl<'a> Lateral<'a> {
    pub fn new(ctx: &'a Context<'a>, join: &'a algebra::Join, left: Boxed<'a>, depth: usize) -> Result<Self, Failure> {
        let shape = Shape::new(join);
        if shape.gives_lone_right() {
            let message = "the right side of a RIGHT or FULL join cannot refer to the left";
            return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message).into());
        }
        let (on, node) = (join.on.as_ref(), &join.right);
        Ok(Self { ctx, shape, on, node, depth, left, rows: Batch::default(), next: 0, right: None, done: false })
    }
}

impl Operator for Lateral<'_> {
    fn next(&mut self, outer: Option<&Outer<'_>>, want: usize) -> Result<Option<Batch>, Failure> {
        let env = Env::new(self.ctx, outer);
        let mut out = Batch::new(self.shape.width());
        while !self.done && out.len() < want {
            if self.next == self.rows.len() {
                let Some(rows) = self.left.next(outer, want)? else {
                    self.done = true;
                    break;
                };
                (self.rows, self.next) = (rows, 0);
            }
            let left = self.rows.row(self.next);
            let (mut right, mut partnered) = match self.right.take() {
                Some(right) => right,
                None => (build(self.node, self.ctx, self.depth)?, false),
            };
            let inner = Outer { row: Tuple::of(left), around: outer };
            let decided_by_any = self.on.is_none() && self.shape.is_decided_by_first();
            let batch = right.next(Some(&inner), if decided_by_any { 1 } else { want - out.len() })?;
            self.ctx.step(1 + batch.as_ref().map_or(0, Batch::len))?;
            let mut decided = batch.is_none();
            for row in batch.iter().flat_map(Batch::iter) {
                if env.holds(self.on, Tuple::pair(left, row))? {
                    partnered = true;
                    self.shape.push_pair(&mut out, left, row);
                    if self.shape.is_decided_by_first() {
                        decided = true;
                        break;
                    }
                }
            }
            if decided {
                if !partnered {
                    self.shape.push_lone_left(&mut out, left);
                }
                self.next += 1;
            } else {
                self.right = Some((right, partnered));
            }
        }
        Ok((!out.is_empty()).then_some(out))
    }
}
