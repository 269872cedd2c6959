//! The store's keys of rows and of index entries.
//!
//! A key is a byte for the key space, the table's number, a number for the way (0 for the rows themselves, and for an
//! index its own number plus 1), and then values so encoded that bytes compare as the values do. The keys that the
//! store sees hold few zero bytes, since it has to escape each.
//!
//! | value | encoding |
//! |---|---|
//! | FALSE, TRUE | 0x02, 0x03 |
//! | INTEGER | 0x18 plus or minus the number of bytes that follow: the magnitude, big-endian, flipped when negative |
//! | FLOAT | 0x30, then big-endian bits: all flipped when negative, else the sign bit; -0 is 0 |
//! | NaN | 0x31 |
//! | TEXT | 0x40, then the bytes, with 0x00 as 0x01 0x01 and 0x01 as 0x01 0x02; ended by 0x00 |
//! | NULL | 0xfe |
//!
//! In a column that descends, every byte is flipped, so NULLs come first there. No encoding is the start of another
//! one. The variable length of integers is that of FoundationDB's tuple layer.

use std::cmp::Ordering;
use std::ops::Bound;

use super::super::ordered;
use super::super::types::{DataType, Value};
use super::{Index, Table};
use crate::encoding::Error;
use crate::storage::KeyRange;

/// First byte of the keys of rows and index entries. What else the SQL layer stores begins with another one.
pub const DATA: u8 = 0x02;

const FALSE: u8 = 0x02;
const TRUE: u8 = 0x03;
const ZERO: u8 = 0x18;
const FLOAT: u8 = 0x30;
const NAN: u8 = 0x31;
const TEXT: u8 = 0x40;
const NULL: u8 = 0xfe;

/// What tells the rows of a table apart: the primary key's values, or the row number, encoded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey(Vec<u8>);

impl RowKey {
    /// The key of a row by its primary key.
    ///
    /// # Panics
    /// If the table has no primary key.
    pub fn of(table: &Table, row: &[Value]) -> Self {
        assert!(!table.primary_key.is_empty(), "the rows of table {:?} have numbers", table.name);
        let mut bytes = Vec::with_capacity(12 * table.primary_key.len());
        for &column in &table.primary_key {
            encode_into(&mut bytes, &row[column], false);
        }
        Self(bytes)
    }

    /// The key of a row by its number, as the bytes that the transaction made; rows come in the order of these.
    pub fn number(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// The bytes that follow the table's prefix in the store's key.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes in hexadecimal digits: what a scan gives for the position after the last column, so that a statement
    /// knows which row it has to change.
    pub fn to_value(&self) -> Value {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digits = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        Value::Text(digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect())
    }

    /// What [`RowKey::to_value`] was made of.
    pub fn from_value(value: &Value) -> Result<Self, Error> {
        let invalid = || Error::Key(format!("{value:?} is no row key"));
        let Value::Text(text) = value else { return Err(invalid()) };
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let bytes: Option<Vec<u8>> = pairs.iter().map(|[a, b]| Some(digit(*a)? << 4 | digit(*b)?)).collect();
        bytes.filter(|_| rest.is_empty()).map(Self).ok_or_else(invalid)
    }
}

impl Table {
    /// The store's key of a row.
    pub fn row_key(&self, key: &RowKey) -> Vec<u8> {
        let mut bytes = self.prefix(None);
        bytes.extend_from_slice(&key.0);
        bytes
    }

    /// The row key in a store's key of a row.
    pub fn parse_row_key(&self, key: &[u8]) -> Result<RowKey, Error> {
        let prefix = self.prefix(None);
        let rest = key.strip_prefix(prefix.as_slice());
        rest.map(RowKey::number).ok_or_else(|| Error::Key(format!("{key:02x?} is no row of table {}", self.id)))
    }

    /// What the store's keys of the rows (`None`) or of an index begin with.
    pub fn prefix(&self, index: Option<&Index>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32);
        bytes.push(DATA);
        integer_into(&mut bytes, i64::from(self.id));
        integer_into(&mut bytes, index.map_or(0, |index| i64::from(index.id) + 1));
        bytes
    }

    /// All keys of the rows (`None`) or of an index.
    pub fn range(&self, index: Option<&Index>) -> KeyRange {
        range_of(&self.prefix(index))
    }

    /// All keys of the table: of its rows and of all indexes that it has or had.
    pub fn whole_range(&self) -> KeyRange {
        let mut bytes = vec![DATA];
        integer_into(&mut bytes, i64::from(self.id));
        range_of(&bytes)
    }

    /// The entry of an index for a row: its key and its value. Where the index is unique, and none of the values is NULL,
    /// the value is the row's key, and the key has the indexed values alone; else the key ends in the row's key.
    pub fn index_entry(&self, index: &Index, row: &[Value], key: &RowKey) -> (Vec<u8>, Vec<u8>) {
        let mut bytes = self.prefix(Some(index));
        let mut alone = index.unique;
        for column in &index.columns {
            let value = &row[column.column];
            alone &= !matches!(value, Value::Null);
            encode_into(&mut bytes, value, column.descending);
        }
        if alone {
            return (bytes, key.0.clone());
        }
        bytes.extend_from_slice(&key.0);
        (bytes, Vec::new())
    }

    /// The key of the row that an entry of an index is for.
    pub fn index_row_key(&self, index: &Index, key: &[u8], value: &[u8]) -> Result<RowKey, Error> {
        let mut rest = self.index_values(index, key)?;
        for column in &index.columns {
            skip(&mut rest, column.descending)?;
        }
        Ok(RowKey::number(if rest.is_empty() { value } else { rest }))
    }

    /// The values and what follows them in the key of an entry of an index.
    pub fn index_values<'a>(&self, index: &Index, key: &'a [u8]) -> Result<&'a [u8], Error> {
        let rest = key.strip_prefix(self.prefix(Some(index)).as_slice());
        rest.ok_or_else(|| Error::Key(format!("{key:02x?} is no entry of index {:?}", index.name)))
    }

    /// The types and directions of the columns of a way: the primary key (`None`) or an index.
    pub fn key_columns(&self, index: Option<&Index>) -> Vec<KeyColumn> {
        let column =
            |column: usize, descending| KeyColumn { column, datatype: self.columns[column].datatype, descending };
        match index {
            None => self.primary_key.iter().map(|&position| column(position, false)).collect(),
            Some(index) => index.columns.iter().map(|by| column(by.column, by.descending)).collect(),
        }
    }
}

/// A column of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyColumn {
    /// Its position in the table.
    pub column: usize,
    /// Its type.
    pub datatype: DataType,
    /// Whether the keys descend.
    pub descending: bool,
}

/// The keys that start with a prefix.
fn range_of(prefix: &[u8]) -> KeyRange {
    crate::encoding::keycode::prefix_range(prefix)
}

/// The key of a way that begins with these values, in all of its columns; `None` if it cannot be there, since a value is
/// NULL, or none of the column's type.
pub fn point(start: &[u8], columns: &[KeyColumn], equal: &[Value]) -> Option<Vec<u8>> {
    let mut prefix = Vec::with_capacity(start.len() + 12 * columns.len());
    prefix.extend_from_slice(start);
    let encode = |(value, column): (&Value, &KeyColumn)| equal_into(&mut prefix, value, column);
    equal.iter().zip(columns).all(encode).then_some(prefix)
}

/// Appends the value of a column's type that is equal to a value, and says whether there is one.
pub fn equal_into(bytes: &mut Vec<u8>, value: &Value, column: &KeyColumn) -> bool {
    if value.datatype() == Some(column.datatype) {
        encode_into(bytes, value, column.descending);
        return true;
    }
    let Some(value) = exactly(value, column.datatype) else { return false };
    encode_into(bytes, &value, column.descending);
    true
}

/// The range of a way's keys in which the first columns have values, and the next one is within bounds; `None` if no key
/// can be in it. NULL is equal to nothing and within no bounds. Values may be of the other type of number than
/// the column is.
pub fn bounded(
    mut prefix: Vec<u8>,
    columns: &[KeyColumn],
    equal: &[Value],
    low: &Bound<Value>,
    high: &Bound<Value>,
) -> Option<KeyRange> {
    for (value, column) in equal.iter().zip(columns) {
        let value = exactly(value, column.datatype)?;
        encode_into(&mut prefix, &value, column.descending);
    }
    let Some(column) = columns.get(equal.len()) else { return Some(range_of(&prefix)) };
    if matches!((low, high), (Bound::Unbounded, Bound::Unbounded)) {
        return Some(range_of(&prefix));
    }
    let low = fit(low, column.datatype, true)?;
    let high = fit(high, column.datatype, false)?;
    let encoded = |value: &Value| {
        let mut bytes = prefix.clone();
        encode_into(&mut bytes, value, column.descending);
        bytes
    };
    // Where the values end that are in an order.
    let last = || encoded(&Value::Null);
    let after = |bytes: Vec<u8>| range_of(&bytes).1;
    Some(if column.descending {
        let start = match &high {
            Bound::Included(value) => Bound::Included(encoded(value)),
            Bound::Excluded(value) => as_start(after(encoded(value))),
            Bound::Unbounded => as_start(after(last())),
        };
        let end = match &low {
            Bound::Included(value) => after(encoded(value)),
            Bound::Excluded(value) => Bound::Excluded(encoded(value)),
            Bound::Unbounded => after(prefix.clone()),
        };
        (start, end)
    } else {
        let start = match &low {
            Bound::Included(value) => Bound::Included(encoded(value)),
            Bound::Excluded(value) => as_start(after(encoded(value))),
            Bound::Unbounded => Bound::Included(prefix.clone()),
        };
        let end = match &high {
            Bound::Included(value) => after(encoded(value)),
            Bound::Excluded(value) => Bound::Excluded(encoded(value)),
            Bound::Unbounded => Bound::Excluded(last()),
        };
        (start, end)
    })
}

/// The end of a range as the start of the one after it.
fn as_start(end: Bound<Vec<u8>>) -> Bound<Vec<u8>> {
    match end {
        Bound::Excluded(key) => Bound::Included(key),
        other => unreachable!("keys of data are followed by others, not by {other:?}"),
    }
}

/// A value as one of a column's type that is equal to it, if there is one.
fn exactly(value: &Value, datatype: DataType) -> Option<Value> {
    let converted = match (value, datatype) {
        (Value::Integer(n), DataType::Float) => Value::Float(*n as f64),
        // What is out of range becomes the nearest that is in it, which is not equal.
        (Value::Float(x), DataType::Integer) => Value::Integer(*x as i64),
        (value, _) => value.clone(),
    };
    let equal = converted.datatype() == Some(datatype) && value.compare(&converted).is_some_and(Ordering::is_eq);
    equal.then_some(converted)
}

/// A bound as one of a column's type with the same values of that type on either side; `None` if nothing is in it.
fn fit(bound: &Bound<Value>, datatype: DataType, low: bool) -> Option<Bound<Value>> {
    let (Bound::Included(value) | Bound::Excluded(value)) = bound else { return Some(Bound::Unbounded) };
    let near = match (value, datatype) {
        (Value::Integer(n), DataType::Float) => Value::Float(*n as f64),
        // It is greater than all integers.
        (Value::Float(x), DataType::Integer) if x.is_nan() => Value::Integer(i64::MAX),
        (Value::Float(x), DataType::Integer) => Value::Integer(*x as i64),
        (value, datatype) if value.datatype() == Some(datatype) => value.clone(),
        _ => return None,
    };
    // No value of the type is between the bound and the nearest one.
    Some(match (near.compare(value)?, low) {
        (Ordering::Equal, _) => match bound {
            Bound::Included(_) => Bound::Included(near),
            _ => Bound::Excluded(near),
        },
        (Ordering::Less, true) | (Ordering::Greater, false) => Bound::Excluded(near),
        (Ordering::Greater, true) | (Ordering::Less, false) => Bound::Included(near),
    })
}

/// Appends a value as a key has it.
pub fn encode_into(bytes: &mut Vec<u8>, value: &Value, descending: bool) {
    let start = bytes.len();
    match value {
        Value::Null => bytes.push(NULL),
        Value::Boolean(b) => bytes.push(if *b { TRUE } else { FALSE }),
        Value::Integer(n) => integer_into(bytes, *n),
        Value::Float(x) if x.is_nan() => bytes.push(NAN),
        Value::Float(x) => {
            bytes.push(FLOAT);
            bytes.extend_from_slice(&ordered::float(*x).to_be_bytes());
        }
        Value::Text(text) => {
            bytes.push(TEXT);
            ordered::text_into(bytes, text);
        }
    }
    if descending {
        ordered::descend(&mut bytes[start..]);
    }
}

fn integer_into(bytes: &mut Vec<u8>, n: i64) {
    let magnitude = n.unsigned_abs();
    let length = 8 - magnitude.leading_zeros() as usize / 8;
    let (tag, content) = if n < 0 { (ZERO - length as u8, !magnitude) } else { (ZERO + length as u8, magnitude) };
    bytes.push(tag);
    bytes.extend_from_slice(&content.to_be_bytes()[8 - length..]);
}

/// Reads a value off the start of a key.
pub fn decode(bytes: &mut &[u8], descending: bool) -> Result<Value, Error> {
    let flip = if descending { 0xff } else { 0 };
    let mut take = |count: usize| -> Result<&[u8], Error> {
        let (taken, rest) = bytes.split_at_checked(count).ok_or_else(|| Error::Key("a key ends too early".into()))?;
        *bytes = rest;
        Ok(taken)
    };
    let number = |content: &[u8]| content.iter().fold(0u64, |number, byte| number << 8 | u64::from(byte ^ flip));
    let tag = take(1)?[0] ^ flip;
    Ok(match tag {
        NULL => Value::Null,
        FALSE => Value::Boolean(false),
        TRUE => Value::Boolean(true),
        0x10..=0x20 => {
            let length = usize::from(tag.abs_diff(ZERO));
            let content = number(take(length)?);
            let out_of_range = || Error::Key("an integer of a key is out of range".into());
            Value::Integer(if tag < ZERO {
                let magnitude = !content & (u64::MAX >> (64 - 8 * length));
                0i64.checked_sub_unsigned(magnitude).ok_or_else(out_of_range)?
            } else {
                i64::try_from(content).map_err(|_| out_of_range())?
            })
        }
        FLOAT => Value::float(ordered::parse_float(number(take(8)?))),
        NAN => Value::Float(f64::NAN),
        TEXT => {
            let mut content = Vec::new();
            loop {
                match take(1)?[0] ^ flip {
                    0 => break,
                    1 => match take(1)?[0] ^ flip {
                        escaped @ (1 | 2) => content.push(escaped - 1),
                        other => return Err(Error::Key(format!("0x01 is followed by {other:#04x}"))),
                    },
                    byte => content.push(byte),
                }
            }
            std::str::from_utf8(&content).map_err(|_| Error::Key("a text of a key is not UTF-8".into()))?.into()
        }
        other => return Err(Error::Key(format!("{other:#04x} begins no value"))),
    })
}

/// Passes over a value at the start of a key.
pub fn skip(bytes: &mut &[u8], descending: bool) -> Result<(), Error> {
    let flip = if descending { 0xff } else { 0 };
    let early = || Error::Key("a key ends too early".into());
    let length = match bytes.first().ok_or_else(early)? ^ flip {
        tag @ 0x10..=0x20 => 1 + usize::from(tag.abs_diff(ZERO)),
        FLOAT => 9,
        TEXT => 1 + bytes.iter().position(|byte| byte ^ flip == 0).ok_or_else(early)?,
        _ => 1,
    };
    *bytes = bytes.get(length..).ok_or_else(early)?;
    Ok(())
}

#[cfg(test)]
mod tests;
