//! Rows that are piled up until they are taken out again by their positions, once each.
//!
//! Rows of integers, as many have nothing else, take a third of the memory that values take, so more of a large pile is in
//! the caches when rows are taken from anywhere. From the first other value on, rows stay in the batches that they come in.

use std::mem::{forget, replace, swap};
use std::ops::Range;

use super::super::types::Value;
use super::batch::{BATCH, Batch};

/// Rows by their positions, which ascend as the rows come, with gaps.
#[derive(Debug)]
pub(super) struct Pile {
    width: usize,
    /// The rows before the batches, one after the other, and how many they are.
    integers: Vec<i64>,
    rows: usize,
    /// Row `n` of batch `b` is at position `rows + b * BATCH + n`.
    batches: Vec<Batch>,
    size: usize,
    /// Integers on their way out.
    taken: Vec<i64>,
}

impl Pile {
    pub fn new(width: usize) -> Self {
        let (integers, batches, taken) = Default::default();
        Self { width, integers, rows: 0, batches, size: 0, taken }
    }

    /// Adds a batch, and says where its rows are.
    ///
    /// # Panics
    /// If it has more rows than a batch that was asked for, or other columns.
    pub fn push(&mut self, mut batch: Batch) -> Range<usize> {
        let count = batch.len();
        assert!(batch.width() == self.width && count <= BATCH, "{count} rows of {} columns", batch.width());
        if self.batches.is_empty() && self.push_integers(&mut batch) {
            return self.rows - count..self.rows;
        }
        self.size += batch.size();
        let first = match self.batches.last_mut() {
            // So any two neighbours have more rows than one batch holds.
            Some(last) if last.len() + count <= BATCH => {
                let before = last.len();
                last.append(batch);
                self.rows + (self.batches.len() - 1) * BATCH + before
            }
            _ => {
                batch.give_back_room();
                self.batches.push(batch);
                self.rows + (self.batches.len() - 1) * BATCH
            }
        };
        first..first + count
    }

    /// Adds a batch that has nothing but integers, and says whether that is so.
    fn push_integers(&mut self, batch: &mut Batch) -> bool {
        let before = self.integers.len();
        let integer = |value: &Value| if let Value::Integer(n) = value { Some(*n) } else { None };
        self.integers.extend(batch.values_mut().iter().map_while(integer));
        let added = self.integers.len() - before;
        if added < batch.len() * self.width {
            self.integers.truncate(before);
            return false;
        }
        self.rows += batch.len();
        self.size += added * size_of::<i64>();
        true
    }

    /// Moves a row out by its position, to the end of a batch.
    pub fn take_row(&mut self, position: usize, to: &mut Batch) {
        match position.checked_sub(self.rows) {
            None => {
                let row = &self.integers[position * self.width..(position + 1) * self.width];
                to.extend(row.iter().map(|n| Value::Integer(*n)));
            }
            Some(rest) => to.extend(self.batches[rest / BATCH].row_mut(rest % BATCH).iter_mut().map(Value::take)),
        }
    }

    /// Moves rows out by their positions. To copy from anywhere is waiting for memory for the most part, and the fewer
    /// instructions each copy takes, the more of them the processor begins while it waits: so it is done column by column,
    /// and integers become values afterwards. Within its caller it was a third slower.
    #[inline(never)]
    pub fn take_rows(&mut self, positions: &(impl ExactSizeIterator<Item = usize> + Clone)) -> Batch {
        let width = self.width;
        let (integers, batches) = (self.integers.as_slice(), self.batches.as_mut_slice());
        let mut rows = Batch::nulls(width, positions.len());
        for column in 0..width {
            let to = rows.values_mut().chunks_exact_mut(width).map(|row| &mut row[column]);
            if batches.is_empty() {
                self.taken.clear();
                self.taken.extend(positions.clone().map(|position| integers[position * width + column]));
                to.zip(&self.taken).for_each(|(to, n)| put(to, *n));
                continue;
            }
            for (to, position) in to.zip(positions.clone()) {
                match position.checked_sub(self.rows) {
                    None => put(to, integers[position * width + column]),
                    Some(rest) => swap(to, &mut batches[rest / BATCH].values_mut()[rest % BATCH * width + column]),
                }
            }
        }
        rows
    }

    /// About how many bytes the rows take that were added, without the room for more.
    pub fn size(&self) -> usize {
        self.size
    }
}

/// Puts an integer in the place of NULL. For an assignment, which may have to drop what was there, the value is made
/// elsewhere in pieces and copied as a whole, for which the processor waits until the pieces are written.
#[inline]
fn put(to: &mut Value, n: i64) {
    debug_assert!(matches!(to, Value::Null), "it would not be dropped");
    forget(replace(to, Value::Integer(n)));
}

#[cfg(test)]
mod tests {
    use bolero::check;

    use super::*;

    /// A row of integers, or with what is none.
    fn row(number: usize, width: usize, integers: bool) -> Vec<Value> {
        let text = Value::from(format!("row {number}"));
        let other = if integers { Value::Integer(-(number as i64)) } else { text };
        [Value::Integer(number as i64), other][..width].to_vec()
    }

    #[test]
    fn rows_are_where_the_pile_says() {
        check!().with_type::<(bool, u8, Vec<(bool, u16)>)>().with_iterations(2_000).for_each(
            |(by_row, width, steps)| {
                let (width, mut integers) = (usize::from(width % 3), true);
                let (mut pile, mut size, mut places, mut rows) = (Pile::new(width), 0, Vec::new(), Vec::new());
                for (only_integers, count) in steps {
                    let mut batch = Batch::new(width);
                    for _ in 0..count % 513 {
                        rows.push(row(rows.len(), width, *only_integers));
                        batch.push(&rows[rows.len() - 1]);
                    }
                    integers &= *only_integers || width < 2 || batch.is_empty();
                    size += if integers { batch.len() * width * 8 } else { batch.size() };
                    places.extend(pile.push(batch));
                }
                assert!(places.is_sorted_by(|a, b| a < b) && places.len() == rows.len());
                assert!(places.last().is_none_or(|last| *last < 2 * places.len() + 2 * BATCH), "too many gaps");
                assert_eq!((pile.size(), pile.integers.len()), (size, pile.rows * width));
                let positions = places.iter().copied().rev();
                let mut taken = Batch::new(width);
                if *by_row {
                    positions.for_each(|position| pile.take_row(position, &mut taken));
                } else {
                    taken = pile.take_rows(&positions);
                }
                assert!(taken.iter().eq(rows.iter().rev()));
            },
        );
    }
}
