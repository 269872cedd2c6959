//! Scans: the rows of a table, by its primary key or by an index.

use super::super::algebra;
use super::super::error::{Error, Failure, SqlState};
use super::super::schema::keys::{self, RowKey};
use super::super::schema::row::Decoder;
use super::super::types::Value;
use super::access::{Place, Way};
use super::batch::{BATCH, Batch};
use super::evaluate::{Env, Tuple};
use super::{Context, Operator, Outer};
use crate::mvcc::{Cursor, Transaction};

/// How many rows the first batch has at most; each one after it may have more, up to [`BATCH`].
const FIRST: usize = 16;

/// A scan.
pub(super) struct Scan<'a> {
    ctx: &'a Context<'a>,
    txn: &'a dyn Transaction,
    plan: &'a algebra::Scan,
    way: Way<'a>,
    source: Source,
    /// The places that are left, the next one last; `None` before the first pull.
    places: Option<Vec<Place>>,
    /// The place at hand.
    cursor: Option<Box<dyn Cursor + 'a>>,
    /// Where the row's key goes, if it is asked for.
    row_key: Option<usize>,
    /// Whether the keys are looked at.
    with_key: bool,
    size: usize,
}

/// Where the columns come from.
enum Source {
    /// The stored row.
    Row(Decoder),
    /// The keys of an index's entries, or of rows. For each value in the key whether it descends and where it goes to; then
    /// the same for what the row's key is made of.
    Keys { values: Vec<(bool, Option<usize>)>, row: Vec<Option<usize>> },
}

impl<'a> Scan<'a> {
    pub fn new(ctx: &'a Context<'a>, scan: &'a algebra::Scan) -> Result<Self, Failure> {
        let way = Way::new(&scan.table, scan.access.index);
        let source = match (scan.access.only, way.index) {
            (true, Some(_)) => Source::keys(&way, &scan.columns)?,
            _ => Source::Row(Decoder::new(&scan.table, &scan.columns)),
        };
        let row_key = scan.columns.iter().position(|&column| column == scan.table.columns.len());
        let with_key = way.index.is_some() || row_key.is_some();
        let txn = ctx.txn()?;
        Ok(Self { ctx, txn, plan: scan, way, source, places: None, cursor: None, row_key, with_key, size: FIRST })
    }

    /// Adds the row of a pair from the way, unless the filter leaves it out. Says whether it was added.
    fn add(&self, key: &[u8], value: &[u8], batch: &mut Batch, env: Env<'_>) -> Result<(), Failure> {
        let table = self.way.table;
        match (&self.source, self.way.index) {
            (Source::Keys { values, row }, Some(index)) => {
                let mut rest = table.index_values(index, key)?;
                batch.try_push_with(|out| {
                    let start = out.len();
                    out.extend(Value::nulls(self.plan.columns.len()));
                    for (descending, slot) in values {
                        match slot {
                            Some(slot) => out[start + slot] = keys::decode(&mut rest, *descending)?,
                            None => keys::skip(&mut rest, *descending)?,
                        }
                    }
                    let mut rest = if rest.is_empty() { value } else { rest };
                    self.fill_row_key(|| Ok(RowKey::number(rest)), &mut out[start..])?;
                    for slot in row {
                        match slot {
                            Some(slot) => out[start + slot] = keys::decode(&mut rest, false)?,
                            None => keys::skip(&mut rest, false)?,
                        }
                    }
                    Ok::<_, Failure>(())
                })?;
            }
            (Source::Row(decoder), None) => {
                batch.try_push_with(|out| {
                    let start = out.len();
                    decoder.decode_into(value, out)?;
                    self.fill_row_key(|| Ok(table.parse_row_key(key)?), &mut out[start..])
                })?;
            }
            (Source::Row(decoder), Some(index)) => {
                let row_key = table.index_row_key(index, key, value)?;
                let Some(stored) = self.txn.read(&table.row_key(&row_key), self.ctx.read())? else {
                    let message = format!("index {:?} has an entry for a row that is not there", index.name);
                    return Err(Error::new(SqlState::INTERNAL_ERROR, message).into());
                };
                batch.try_push_with(|out| {
                    let start = out.len();
                    decoder.decode_into(&stored, out)?;
                    self.fill_row_key(|| Ok(row_key), &mut out[start..])
                })?;
            }
            (Source::Keys { .. }, None) => unreachable!("the primary key's way reads the rows"),
        }
        if let Some(filter) = &self.plan.filter
            && !env.holds(Some(filter), Tuple::of(batch.row(batch.len() - 1)))?
        {
            batch.pop();
        }
        Ok(())
    }

    /// Gives the row's key where the scan asks for it, at the position after the table's last column.
    fn fill_row_key(&self, key: impl FnOnce() -> Result<RowKey, Failure>, row: &mut [Value]) -> Result<(), Failure> {
        if let Some(slot) = self.row_key {
            row[slot] = key()?.to_value();
        }
        Ok(())
    }

    /// Goes to the next place. A single key is looked up at once.
    fn advance(&mut self, batch: &mut Batch, env: Env<'_>) -> Result<bool, Failure> {
        let Some(place) = self.places.as_mut().and_then(Vec::pop) else { return Ok(false) };
        match place {
            Place::Key(key) => {
                self.ctx.step(1)?;
                if let Some(value) = self.txn.read(&key, self.ctx.read())? {
                    self.add(&key, &value, batch, env)?;
                }
            }
            Place::Range(range) => {
                self.cursor = Some(self.txn.cursor(range, self.plan.reverse, self.ctx.read())?);
            }
        }
        Ok(true)
    }
}

impl Source {
    fn keys(way: &Way<'_>, columns: &[usize]) -> Result<Self, Failure> {
        let slot = |column: usize| columns.iter().position(|&wanted| wanted == column);
        let by = way.columns();
        let values: Vec<_> = by.iter().map(|by| (by.descending, slot(by.column))).collect();
        let in_index = |column: usize| by.iter().any(|by| by.column == column);
        let row: Vec<_> =
            way.table.primary_key.iter().map(|&column| if in_index(column) { None } else { slot(column) }).collect();
        let found = values.iter().filter_map(|(_, slot)| *slot).chain(row.iter().filter_map(|slot| *slot)).count();
        let wanted = columns.iter().filter(|&&column| column < way.table.columns.len()).count();
        if found != wanted {
            let message = format!("an index of table {:?} does not have all columns that are read", way.table.name);
            return Err(Error::new(SqlState::INTERNAL_ERROR, message).into());
        }
        Ok(Self::Keys { values, row })
    }
}

impl Operator for Scan<'_> {
    fn next(&mut self, outer: Option<&Outer<'_>>, want: usize) -> Result<Option<Batch>, Failure> {
        let env = Env::new(self.ctx, outer);
        if self.places.is_none() {
            // A key that has no value is looked at below.
            if let [range] = self.plan.access.ranges.as_slice()
                && self.way.is_row(range)
                && let Ok(row) = self.way.row_key(range, env)
            {
                self.places = Some(Vec::new());
                let mut batch = Batch::with_capacity(self.plan.columns.len(), 1);
                self.ctx.step(1)?;
                if let Some(key) = row
                    && let Some(value) = self.txn.read(&key, self.ctx.read())?
                {
                    self.add(&key, &value, &mut batch, env)?;
                }
                return Ok((!batch.is_empty()).then_some(batch));
            }
            let mut places = self.way.places(&self.plan.access.ranges, env)?;
            if !self.plan.reverse {
                places.reverse();
            }
            self.places = Some(places);
        }
        if self.cursor.is_none() && self.places.as_ref().is_some_and(Vec::is_empty) {
            return Ok(None);
        }
        let size = self.size.min(want);
        let mut batch = Batch::with_capacity(self.plan.columns.len(), size);
        loop {
            if let Some(mut cursor) = self.cursor.take() {
                let mut looked = 0;
                loop {
                    if batch.len() == size {
                        self.cursor = Some(cursor);
                        break;
                    }
                    let Some((key, value)) = cursor.next(self.with_key)? else { break };
                    self.add(key, value, &mut batch, env)?;
                    looked += 1;
                    if looked == BATCH {
                        self.ctx.step(looked)?;
                        looked = 0;
                    }
                }
                self.ctx.step(looked)?;
            }
            if batch.len() >= size || self.cursor.is_none() && !self.advance(&mut batch, env)? {
                break;
            }
        }
        self.size = BATCH.min(self.size * 4);
        Ok((!batch.is_empty()).then_some(batch))
    }
}
