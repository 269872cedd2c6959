//! Rows that are piled up, column by column, until they are taken out again by their positions, once each.
//!
//! A column of integers takes a third of the memory that values take, so more of a large pile is in the caches when rows
//! are taken from anywhere.

use std::mem::{forget, replace, swap, take};

use super::super::types::Value;
use super::batch::Batch;

/// Rows by their positions, from 0 as they come.
#[derive(Debug)]
pub(super) struct Pile {
    columns: Vec<Column>,
    rows: usize,
    /// Integers on their way out.
    integers: Vec<i64>,
}

#[derive(Debug)]
enum Column {
    /// As long as there is nothing else.
    Integers(Vec<i64>),
    Values(Pieces),
}

/// How many values are in a piece.
const PIECE: usize = 1024;

/// Values in pieces of memory, which stay where they are while there come more.
#[derive(Debug, Default)]
struct Pieces {
    pieces: Vec<Vec<Value>>,
    /// About how many bytes were added.
    size: usize,
}

impl Pieces {
    /// Appends values, and no more than are said.
    fn extend(&mut self, mut values: impl Iterator<Item = Value>, mut count: usize) {
        while count > 0 {
            match self.pieces.last_mut().filter(|last| last.len() < PIECE) {
                None => self.pieces.push(Vec::with_capacity(count.min(PIECE))),
                Some(last) => {
                    let (before, some) = (last.len(), count.min(PIECE - last.len()));
                    last.extend(values.by_ref().take(some));
                    self.size += Batch::size_of(&last[before..]);
                    count -= some;
                }
            }
        }
    }

    #[inline]
    fn get_mut(&mut self, position: usize) -> &mut Value {
        &mut self.pieces[position / PIECE][position % PIECE]
    }
}

impl Column {
    /// Appends a column of a batch.
    fn extend(&mut self, batch: &mut Batch, nth: usize) {
        let (rows, width) = (batch.len(), batch.width());
        let values = batch.values_mut().iter_mut().skip(nth).step_by(width);
        match self {
            Self::Values(all) => all.extend(values.map(Value::take), rows),
            Self::Integers(all) => {
                let before = all.len();
                let integer = |value: &mut Value| if let Value::Integer(n) = value { Some(*n) } else { None };
                all.extend(values.map_while(integer));
                if all.len() < before + rows {
                    let mut pieces = Pieces::default();
                    pieces.extend(take(all).into_iter().map(Value::Integer), before);
                    *self = Self::Values(pieces);
                    self.extend(batch, nth);
                }
            }
        }
    }

    /// About how many bytes were added.
    fn size(&self) -> usize {
        match self {
            Self::Integers(all) => size_of_val(all.as_slice()),
            Self::Values(all) => all.size,
        }
    }
}

impl Pile {
    pub fn new(width: usize) -> Self {
        let columns = (0..width).map(|_| Column::Integers(Vec::new())).collect();
        Self { columns, rows: 0, integers: Vec::new() }
    }

    /// Adds a batch, and says how many rows there are.
    pub fn push(&mut self, mut batch: Batch) -> usize {
        assert_eq!(batch.width(), self.columns.len(), "a batch of other columns");
        for (nth, column) in self.columns.iter_mut().enumerate() {
            column.extend(&mut batch, nth);
        }
        self.rows += batch.len();
        self.rows
    }

    /// Moves a row out by its position, to the end of a batch.
    pub fn take_row(&mut self, position: usize, to: &mut Batch) {
        let values = self.columns.iter_mut().map(|column| match column {
            Column::Integers(all) => Value::Integer(all[position]),
            Column::Values(all) => all.get_mut(position).take(),
        });
        to.extend(values);
    }

    /// Moves rows out by their positions. To copy from anywhere is waiting for memory for the most part, and the fewer
    /// instructions each copy takes, the more of them the processor begins while it waits: so it is done column by column,
    /// and integers become values afterwards.
    #[inline(never)]
    pub fn take_rows(&mut self, positions: &(impl ExactSizeIterator<Item = usize> + Clone)) -> Batch {
        let width = self.columns.len();
        let mut rows = Batch::nulls(width, positions.len());
        for (nth, column) in self.columns.iter_mut().enumerate() {
            let to = rows.values_mut().chunks_exact_mut(width).map(|row| &mut row[nth]);
            match column {
                Column::Integers(all) => {
                    self.integers.clear();
                    self.integers.extend(positions.clone().map(|position| all[position]));
                    for (to, n) in to.zip(&self.integers) {
                        // For an assignment, which may have to drop what was there, the value is made elsewhere and copied:
                        // to read at once what was written in pieces takes as long as all else here. NULL needs no drop.
                        forget(replace(to, Value::Integer(*n)));
                    }
                }
                Column::Values(all) => to.zip(positions.clone()).for_each(|(to, from)| swap(to, all.get_mut(from))),
            }
        }
        rows
    }

    /// About how many bytes the rows take that were added.
    pub fn size(&self) -> usize {
        self.columns.iter().map(Column::size).sum()
    }
}

#[cfg(test)]
mod tests {
    use bolero::check;

    use super::*;

    /// A row of an integer, of a text, and of what is an integer for the most part.
    fn row(number: usize) -> [Value; 3] {
        let other = if number % 3000 == 2999 { Value::Null } else { Value::Integer(-(number as i64)) };
        [Value::Integer(number as i64), Value::from(format!("row {number}")), other]
    }

    #[test]
    fn rows_are_where_the_pile_says() {
        check!().with_type::<(bool, Vec<u16>)>().with_iterations(1_000).for_each(|(by_row, batches)| {
            let (mut pile, mut count, mut size) = (Pile::new(3), 0, 0);
            for rows in batches {
                let mut batch = Batch::new(3);
                (0..usize::from(rows % 513)).for_each(|n| batch.push(&row(count + n)));
                size += batch.size();
                count += batch.len();
                assert_eq!(pile.push(batch), count);
            }
            let integers = if count < 3000 { 2 } else { 1 };
            assert_eq!(pile.size(), size - count * integers * (size_of::<Value>() - size_of::<i64>()));
            let positions = (0..count).rev();
            let mut taken = Batch::new(3);
            if *by_row {
                positions.for_each(|position| pile.take_row(position, &mut taken));
            } else {
                taken = pile.take_rows(&positions);
            }
            assert!(taken.iter().eq((0..count).rev().map(row)));
        });
    }
}
