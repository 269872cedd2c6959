//! Rows that are piled up in the batches that they come in, without a copy, and are taken out again by their positions.

use std::mem::swap;
use std::ops::Range;

use super::super::types::Value;
use super::batch::{BATCH, Batch};

/// Rows by their positions, which ascend as the rows come, with gaps.
#[derive(Debug)]
pub(super) struct Pile {
    width: usize,
    /// Row `n` of batch `b` is at position `b * BATCH + n`.
    batches: Vec<Batch>,
}

impl Pile {
    pub fn new(width: usize) -> Self {
        Self { width, batches: Vec::new() }
    }

    /// Adds a batch, and says where its rows are.
    ///
    /// # Panics
    /// If it has more rows than a batch that was asked for, or other columns.
    pub fn push(&mut self, mut batch: Batch) -> Range<usize> {
        let count = batch.len();
        assert!(batch.width() == self.width && count <= BATCH, "{count} rows of {} columns", batch.width());
        let first = match self.batches.last_mut() {
            // So any two neighbours have more rows than one batch holds.
            Some(last) if last.len() + count <= BATCH => {
                let before = last.len();
                last.append(batch);
                (self.batches.len() - 1) * BATCH + before
            }
            _ => {
                batch.give_back_room();
                self.batches.push(batch);
                (self.batches.len() - 1) * BATCH
            }
        };
        first..first + count
    }

    /// Adds a row that is moved out of another place, and says where it is.
    #[inline]
    pub fn push_row(&mut self, row: &mut [Value]) -> usize {
        if self.batches.last().is_none_or(|last| last.len() == BATCH) {
            self.batches.push(Batch::with_capacity(self.width, BATCH));
        }
        let before = self.batches.len() - 1;
        let last = &mut self.batches[before];
        last.extend(row.iter_mut().map(Value::take));
        before * BATCH + last.len() - 1
    }

    /// A row by its position.
    #[inline]
    pub fn row(&self, position: usize) -> &[Value] {
        self.batches[position / BATCH].row(position % BATCH)
    }

    /// The same, to take values out of it.
    #[inline]
    pub fn row_mut(&mut self, position: usize) -> &mut [Value] {
        self.batches[position / BATCH].row_mut(position % BATCH)
    }

    /// Moves rows out by their positions. Column by column: to copy from anywhere is waiting for memory for the most part, and
    /// what does little else waits for many rows at once. Within its caller the loop was a third slower.
    #[inline(never)]
    pub fn take_rows(&mut self, positions: &(impl ExactSizeIterator<Item = usize> + Clone)) -> Batch {
        let (width, batches) = (self.width, self.batches.as_mut_slice());
        let mut rows = Batch::nulls(width, positions.len());
        for column in 0..width {
            let to = rows.values_mut().iter_mut().skip(column).step_by(width);
            for (to, position) in to.zip(positions.clone()) {
                let from = batches[position / BATCH].values_mut();
                swap(to, &mut from[position % BATCH * width + column]);
            }
        }
        rows
    }

    /// About how many bytes the rows take.
    pub fn size(&self) -> usize {
        self.batches.iter().map(Batch::size).sum()
    }
}

#[cfg(test)]
mod tests {
    use bolero::check;

    use super::*;

    #[test]
    fn rows_are_where_the_pile_says() {
        check!().with_type::<Vec<(bool, u16)>>().with_iterations(2_000).for_each(|steps| {
            let (mut pile, mut count, mut places) = (Pile::new(2), 0i64, Vec::new());
            let mut row = || {
                count += 1;
                [Value::Integer(count), Value::from(format!("row {count}"))]
            };
            for (one, rows) in steps {
                if *one {
                    places.push(pile.push_row(&mut row()));
                } else {
                    let mut batch = Batch::new(2);
                    (0..rows % 513).for_each(|_| batch.push(&row()));
                    places.extend(pile.push(batch));
                }
            }
            assert!(places.is_sorted_by(|a, b| a < b) && places.len() == count as usize);
            assert!(places.last().is_none_or(|last| *last < 2 * places.len() + 2 * BATCH), "too many gaps");
            let expected = |number: usize| [Value::Integer(number as i64 + 1), format!("row {}", number + 1).into()];
            for (number, &place) in places.iter().enumerate() {
                assert_eq!(pile.row(place), expected(number));
            }
            let batch = pile.take_rows(&places.iter().copied().rev());
            assert!(batch.iter().eq((0..places.len()).rev().map(expected)));
        });
    }
}
