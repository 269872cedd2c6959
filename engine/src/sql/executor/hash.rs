//! Keys of rows, and their hashes.

use std::hash::{BuildHasherDefault, Hasher};

use super::super::types::Value;
use super::batch::Batch;
use super::evaluate::{Env, Tuple};
use crate::sql::algebra::Expr;
use crate::sql::error::{Failure, SqlState};

/// Mixes a number into a hash: the two halves of a product with an odd number.
#[inline]
fn mix(hash: u64, n: u64) -> u64 {
    let product = u128::from(hash ^ n) * 0x9e37_79b9_7f4a_7c15;
    (product as u64) ^ (product >> 64) as u64
}

/// The integer that a float is equal to, if there is one.
#[inline]
fn integer(x: f64) -> Option<i64> {
    (x == (x as i64) as f64 && x < 9_223_372_036_854_775_808.0).then_some(x as i64)
}

#[inline]
fn hash_value(hash: u64, value: &Value) -> u64 {
    match value {
        Value::Integer(n) => mix(hash, *n as u64),
        Value::Null => mix(hash, 0x6e75_6c6c),
        Value::Boolean(b) => mix(hash, 0x626f_6f6c + u64::from(*b)),
        Value::Float(x) => match integer(*x) {
            Some(n) => mix(hash, n as u64),
            None => mix(hash, if x.is_nan() { 0x006e_616e } else { x.to_bits().rotate_left(17) }),
        },
        Value::Text(text) => {
            let (words, rest) = text.as_bytes().as_chunks::<8>();
            let hash =
                words.iter().fold(mix(hash, text.len() as u64), |hash, word| mix(hash, u64::from_le_bytes(*word)));
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            mix(hash, u64::from_le_bytes(last))
        }
    }
}

/// The hash of some columns of a row: equal for values that are the same.
#[inline]
fn hash(row: &[Value], columns: &[usize]) -> u64 {
    columns.iter().fold(0x243f_6a88_85a3_08d3, |hash, &column| hash_value(hash, &row[column]))
}

/// A hasher of addresses.
#[derive(Default)]
pub(super) struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = mix(self.0, u64::from(byte));
        }
    }

    fn write_usize(&mut self, n: usize) {
        self.0 = mix(self.0, n as u64);
    }
}

/// A map that is looked up by address.
pub(super) type AddressMap<V> = hashbrown::HashMap<usize, V, BuildHasherDefault<AddressHasher>>;

/// Expressions that make a key of a row. Where all are columns, nothing is copied to look the key up.
pub(super) struct Keys<'a> {
    exprs: Vec<&'a Expr>,
    /// The columns of the rows, or of those that were computed.
    columns: Vec<usize>,
    computed: Option<Batch>,
}

impl<'a> Keys<'a> {
    pub fn new(exprs: Vec<&'a Expr>) -> Self {
        let columns: Option<Vec<usize>> =
            exprs.iter().map(|expr| if let Expr::Column(column) = expr { Some(*column) } else { None }).collect();
        match columns {
            Some(columns) => Self { exprs, columns, computed: None },
            None => Self { columns: (0..exprs.len()).collect(), computed: Some(Batch::new(exprs.len())), exprs },
        }
    }

    /// The key of a row.
    #[inline]
    pub fn of<'r>(&'r mut self, row: &'r [Value], env: Env<'_>) -> Result<Key<'r>, Failure> {
        let Some(computed) = &mut self.computed else { return Ok(Key { values: row, columns: &self.columns }) };
        computed.truncate(0);
        compute(&self.exprs, row, computed, env)?;
        Ok(Key { values: computed.row(0), columns: &self.columns })
    }

    /// As [`Keys::of`], with `None` for a key that cannot be computed, as a sum that is out of range.
    pub fn of_any<'r>(&'r mut self, row: &'r [Value], env: Env<'_>) -> Result<Option<Key<'r>>, Failure> {
        match self.of(row, env) {
            Ok(key) => Ok(Some(key)),
            Err(failure) if is_of_values(&failure) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// The keys of some rows.
    pub fn of_rows<'r>(&'r mut self, rows: &'r Batch, env: Env<'_>) -> Result<RowKeys<'r>, Failure> {
        let Some(computed) = &mut self.computed else { return Ok(RowKeys { rows, columns: &self.columns }) };
        *computed = Batch::with_capacity(self.exprs.len(), rows.len());
        rows.iter().try_for_each(|row| compute(&self.exprs, row, computed, env))?;
        Ok(RowKeys { rows: computed, columns: &self.columns })
    }

    /// As [`Keys::of_rows`], with NULL for keys that cannot be computed. The positions of these are appended to `unknown`.
    pub fn of_any_rows<'r>(
        &'r mut self,
        rows: &'r Batch,
        unknown: &mut Vec<u32>,
        env: Env<'_>,
    ) -> Result<RowKeys<'r>, Failure> {
        let Some(computed) = &mut self.computed else { return Ok(RowKeys { rows, columns: &self.columns }) };
        *computed = Batch::with_capacity(self.exprs.len(), rows.len());
        for (position, row) in rows.iter().enumerate() {
            match compute(&self.exprs, row, computed, env) {
                Ok(()) => {}
                Err(failure) if is_of_values(&failure) => {
                    computed.extend(Value::nulls(self.exprs.len()));
                    unknown.push(position as u32);
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(RowKeys { rows: computed, columns: &self.columns })
    }

    /// Whether the keys are more than columns.
    pub fn are_computed(&self) -> bool {
        self.computed.is_some()
    }
}

/// Appends the values of expressions for a row, or nothing if one fails.
fn compute(exprs: &[&Expr], row: &[Value], computed: &mut Batch, env: Env<'_>) -> Result<(), Failure> {
    let rows = computed.len();
    let fill = |values: &mut Vec<Value>| {
        exprs.iter().try_for_each(|expr| {
            values.push(env.evaluate(expr, Tuple::of(row))?);
            Ok(())
        })
    };
    computed.try_push_with(fill).inspect_err(|_| computed.truncate(rows))
}

/// Whether an error says something of the values, and nothing of limits or the store.
fn is_of_values(failure: &Failure) -> bool {
    use SqlState as State;
    matches!(failure, Failure::Sql(error)
        if ![State::QUERY_CANCELED, State::OUT_OF_MEMORY, State::INTERNAL_ERROR].contains(&error.state))
}

/// A key: some columns of some values.
#[derive(Clone, Copy)]
pub(super) struct Key<'r> {
    pub values: &'r [Value],
    pub columns: &'r [usize],
}

impl<'r> Key<'r> {
    #[inline]
    pub fn image(self) -> Image {
        let hash = hash(self.values, self.columns);
        let integer = match self.columns {
            [column] => match &self.values[*column] {
                Value::Integer(n) => Some(*n),
                Value::Float(x) => integer(*x),
                _ => None,
            },
            _ => None,
        };
        Image { hash, bits: integer.map_or(hash, |n| n as u64), is_integer: integer.is_some() }
    }

    /// The values.
    pub fn iter(self) -> impl Iterator<Item = &'r Value> {
        self.columns.iter().map(move |&column| &self.values[column])
    }

    /// Whether it can be equal to another one.
    #[inline]
    pub fn is_comparable(self) -> bool {
        !self.iter().any(|value| matches!(value, Value::Null))
    }
}

/// The keys of some rows.
#[derive(Clone, Copy)]
pub(super) struct RowKeys<'r> {
    rows: &'r Batch,
    columns: &'r [usize],
}

impl<'r> RowKeys<'r> {
    /// The key of a row by its position.
    #[inline]
    pub fn key(self, position: usize) -> Key<'r> {
        Key { values: self.rows.row(position), columns: self.columns }
    }

    /// The images of the keys in order.
    pub fn images(self) -> impl Iterator<Item = Image> {
        self.rows.iter().map(move |values| Key { values, columns: self.columns }.image())
    }

    /// The images of the keys in order, of those that can be equal to another one.
    pub fn comparable_images(self) -> impl Iterator<Item = Option<Image>> {
        let keys = self.rows.iter().map(move |values| Key { values, columns: self.columns });
        keys.map(|key| key.is_comparable().then(|| key.image()))
    }
}

/// A key in short: its hash, equal for keys that are the same, and what tells it from most others, or from all.
#[derive(Clone, Copy)]
pub(super) struct Image {
    pub hash: u64,
    /// The key if it is one integer, else its hash.
    pub bits: u64,
    pub is_integer: bool,
}
