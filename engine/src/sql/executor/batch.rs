//! Rows on their way from one operator to the next.

use super::super::schema::Row;
use super::super::types::Value;

/// How many rows a batch has at most, for the most part.
pub(super) const BATCH: usize = 512;

/// Some rows of one width, one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    width: usize,
    rows: usize,
    values: Vec<Value>,
}

impl Batch {
    /// No rows, of a width.
    pub fn new(width: usize) -> Self {
        Self { width, rows: 0, values: Vec::new() }
    }

    /// No rows, with room for some.
    pub fn with_capacity(width: usize, rows: usize) -> Self {
        Self { width, rows: 0, values: Vec::with_capacity(width * rows) }
    }

    /// Rows of NULLs.
    pub(super) fn nulls(width: usize, rows: usize) -> Self {
        Self { width, rows, values: Value::nulls(width * rows).collect() }
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// How many columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// A row by its position.
    #[inline]
    pub fn row(&self, position: usize) -> &[Value] {
        &self.values[position * self.width..(position + 1) * self.width]
    }

    /// The same, to take values out of it.
    pub(super) fn row_mut(&mut self, position: usize) -> &mut [Value] {
        &mut self.values[position * self.width..(position + 1) * self.width]
    }

    /// The values of all rows, one row after the other.
    #[inline]
    pub(super) fn values_mut(&mut self) -> &mut [Value] {
        &mut self.values
    }

    /// The rows in order.
    pub fn iter(&self) -> impl Iterator<Item = &[Value]> {
        (0..self.rows).map(|position| self.row(position))
    }

    /// Appends a row.
    pub fn push(&mut self, row: &[Value]) {
        debug_assert_eq!(row.len(), self.width);
        self.values.extend_from_slice(row);
        self.rows += 1;
    }

    /// Appends a row of the values that `fill` appends.
    ///
    /// # Panics
    /// If it appends another number of values than there are columns.
    #[inline]
    pub(super) fn try_push_with<E>(&mut self, fill: impl FnOnce(&mut Vec<Value>) -> Result<(), E>) -> Result<(), E> {
        fill(&mut self.values)?;
        self.rows += 1;
        assert_eq!(self.values.len(), self.rows * self.width, "a row of another width");
        Ok(())
    }

    /// Appends a row of values that are moved.
    pub(super) fn extend(&mut self, row: impl Iterator<Item = Value>) {
        self.values.extend(row);
        self.rows += 1;
        assert_eq!(self.values.len(), self.rows * self.width, "a row of another width");
    }

    /// Appends pairs: of each row of one batch, which is moved, and the row that another batch has at a position, or NULLs
    /// if there is none. Column by column: to copy from anywhere is waiting for memory for the most part, and what does little
    /// else waits for many rows at once.
    pub(super) fn extend_pairs(&mut self, left: Self, right: &Self, positions: &[Option<u32>]) {
        assert_eq!(self.width, left.width + right.width, "pairs of another width");
        assert_eq!(left.rows, positions.len(), "a position for each row");
        let start = self.values.len();
        self.rows += left.rows;
        self.values.reserve(left.rows * self.width);
        let mut values = left.values.into_iter();
        for _ in 0..left.rows {
            self.values.extend(values.by_ref().take(left.width));
            self.values.extend(Value::nulls(right.width));
        }
        for column in 0..right.width {
            let to = self.values[start..].iter_mut().skip(left.width + column).step_by(self.width);
            for (to, position) in to.zip(positions) {
                if let Some(position) = position {
                    *to = right.values[*position as usize * right.width + column].clone();
                }
            }
        }
    }

    /// Appends the rows of another batch.
    pub(super) fn append(&mut self, mut other: Self) {
        self.values.append(&mut other.values);
        self.rows += other.rows;
    }

    /// Gives back the room for more rows, if there is room for many.
    pub(super) fn give_back_room(&mut self) {
        if self.values.capacity() > 2 * self.values.len() {
            self.values.shrink_to_fit();
        }
    }

    /// Takes the last row away.
    pub(super) fn pop(&mut self) {
        self.rows -= 1;
        self.values.truncate(self.rows * self.width);
    }

    /// Keeps the first rows.
    pub fn truncate(&mut self, rows: usize) {
        self.rows = self.rows.min(rows);
        self.values.truncate(self.rows * self.width);
    }

    /// Takes the first rows away.
    pub(super) fn skip(&mut self, rows: usize) {
        let rows = rows.min(self.rows);
        self.rows -= rows;
        self.values.drain(..rows * self.width);
    }

    /// Keeps the rows that `keep` says, in their order.
    pub(super) fn try_retain<E>(&mut self, mut keep: impl FnMut(&[Value]) -> Result<bool, E>) -> Result<(), E> {
        let mut kept = 0;
        for position in 0..self.rows {
            if keep(self.row(position))? {
                if kept < position {
                    for column in 0..self.width {
                        self.values.swap(kept * self.width + column, position * self.width + column);
                    }
                }
                kept += 1;
            }
        }
        self.truncate(kept);
        Ok(())
    }

    /// Moves some rows out, from one on, at most some.
    pub(super) fn take(&mut self, from: usize, most: usize) -> Self {
        let rows = most.min(self.rows - from);
        let values = self.values[from * self.width..(from + rows) * self.width].iter_mut();
        let values = values.map(Value::take).collect();
        Self { width: self.width, rows, values }
    }

    /// Appends the rows to a list, each by itself.
    pub fn into_rows(self, rows: &mut Vec<Row>) {
        rows.reserve(self.rows);
        let mut values = self.values.into_iter();
        for _ in 0..self.rows {
            rows.push(values.by_ref().take(self.width).collect());
        }
    }

    /// About how many bytes a row takes.
    pub(super) fn size_of(row: &[Value]) -> usize {
        let texts = row.iter().map(|value| if let Value::Text(text) = value { text.len() } else { 0 });
        size_of_val(row) + texts.sum::<usize>()
    }

    /// About how many bytes the rows take.
    pub(super) fn size(&self) -> usize {
        Self::size_of(&self.values)
    }
}
