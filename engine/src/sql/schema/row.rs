//! How a row is stored: a count of columns, then a value after the other.
//!
//! Each value starts with a byte that tells its type and its length, so the ones that nobody wants are passed over. What
//! follows the last wanted column is not looked at.
//!
//! | byte | value |
//! |---|---|
//! | 0 | NULL |
//! | 1, 2 | FALSE, TRUE |
//! | 3 to 11 | INTEGER in 0 to 8 bytes, little-endian, two's complement |
//! | 12 | FLOAT in 8 bytes, little-endian |
//! | 13 to 254 | TEXT of 0 to 241 bytes |
//! | 255 | TEXT, with its length before it as the count of columns has it: 7 bits a byte, the low ones first |

use super::super::types::{SmolStr, Value, one_nan};
use super::{Row, Table};
use crate::encoding::Error;

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const INTEGER: u8 = 3;
const FLOAT: u8 = 12;
const TEXT: u8 = 13;
const LONG: u8 = 255;

/// Encodes a row of a table. It has one zero: a negative one becomes positive.
pub fn encode(row: &[Value]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2 + 9 * row.len());
    length_into(&mut bytes, row.len());
    for value in row {
        match value {
            Value::Float(0.0) => encode_into(&mut bytes, &Value::Float(0.0)),
            value => encode_into(&mut bytes, value),
        }
    }
    bytes
}

/// Appends a value.
pub fn encode_into(bytes: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => bytes.push(NULL),
        Value::Boolean(b) => bytes.push(if *b { TRUE } else { FALSE }),
        Value::Integer(n) => {
            // As many bytes as the sign and the digits need.
            let bits = if *n == 0 { 0 } else { 65 - (n ^ (n >> 63)).leading_zeros() };
            let length = bits.div_ceil(8) as usize;
            bytes.push(INTEGER + length as u8);
            bytes.extend_from_slice(&n.to_le_bytes()[..length]);
        }
        Value::Float(x) => {
            bytes.push(FLOAT);
            // One NaN for all.
            bytes.extend_from_slice(&one_nan(*x).to_le_bytes());
        }
        Value::Text(text) => {
            if text.len() < usize::from(LONG - TEXT) {
                bytes.push(TEXT + text.len() as u8);
            } else {
                bytes.push(LONG);
                length_into(bytes, text.len());
            }
            bytes.extend_from_slice(text.as_bytes());
        }
    }
}

fn length_into(bytes: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
}

#[inline]
fn length(bytes: &mut &[u8]) -> Result<usize, Error> {
    if let [byte @ 0..0x80, rest @ ..] = bytes {
        let length = usize::from(*byte);
        *bytes = rest;
        return Ok(length);
    }
    long_length(bytes)
}

#[cold]
fn long_length(bytes: &mut &[u8]) -> Result<usize, Error> {
    let mut length = 0;
    for shift in (0..63).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or_else(early)?;
        *bytes = rest;
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(length);
        }
    }
    Err(Error::Value("a length in a row is too long".into()))
}

fn early() -> Error {
    Error::Value("a row ends too early".into())
}

/// By the first byte of a value, how many bytes follow; after [`LONG`], the length does.
const LENGTHS: [u8; 256] = {
    let mut lengths = [0; 256];
    let mut tag = INTEGER;
    while tag < LONG {
        lengths[tag as usize] = match tag {
            INTEGER..FLOAT => tag - INTEGER,
            FLOAT => 8,
            text => text - TEXT,
        };
        tag += 1;
    }
    lengths
};

/// The content of the value at the start of `bytes`, with its first byte.
#[inline]
fn content<'a>(bytes: &mut &'a [u8]) -> Result<(u8, &'a [u8]), Error> {
    let (&tag, rest) = bytes.split_first().ok_or_else(early)?;
    *bytes = rest;
    let length = if tag == LONG { length(bytes)? } else { usize::from(LENGTHS[usize::from(tag)]) };
    let (content, rest) = bytes.split_at_checked(length).ok_or_else(early)?;
    *bytes = rest;
    Ok((tag, content))
}

/// The integer in the first bytes of some, whose highest bit is the sign.
#[inline]
fn integer(bits: u64, length: u8) -> i64 {
    let missing = 64 - 8 * u32::from(length);
    if missing == 64 { 0 } else { (bits << missing) as i64 >> missing }
}

/// Decodes the value at the start of some bytes.
pub fn decode_value(bytes: &mut &[u8]) -> Result<Value, Error> {
    let mut value = Value::Null;
    decode_to(bytes, &mut value)?;
    Ok(value)
}

/// Decodes the value at the start of some bytes to where it stays: to move it there would take longer than to decode it.
fn decode_to(bytes: &mut &[u8], value: &mut Value) -> Result<(), Error> {
    // An integer with bytes after it, as most of them are, is read with them.
    if let [tag @ INTEGER..FLOAT, rest @ ..] = bytes
        && let Some(chunk) = rest.first_chunk::<8>()
    {
        let length = tag - INTEGER;
        *bytes = &rest[usize::from(length)..];
        *value = Value::Integer(integer(u64::from_le_bytes(*chunk), length));
        return Ok(());
    }
    let (tag, content) = content(bytes)?;
    *value = match tag {
        NULL => Value::Null,
        FALSE => Value::Boolean(false),
        TRUE => Value::Boolean(true),
        INTEGER..FLOAT => {
            let mut chunk = [0; 8];
            chunk[..content.len()].copy_from_slice(content);
            Value::Integer(integer(u64::from_le_bytes(chunk), tag - INTEGER))
        }
        FLOAT => Value::float(f64::from_le_bytes(content.try_into().expect("a float has eight bytes"))),
        _ => match std::str::from_utf8(content) {
            Ok(text) => Value::Text(SmolStr::new(text)),
            Err(_) => return Err(Error::Value("a text in a row is not UTF-8".into())),
        },
    };
    Ok(())
}

/// Decodes some columns of a table's rows.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// The columns in the order of the table, and where each goes to.
    wanted: Vec<(usize, usize)>,
    /// The values that rows have which are older than the column, in the order of `wanted`; none if all are NULL.
    missing: Vec<Value>,
    width: usize,
}

impl Decoder {
    /// For rows with these columns of a table. A column beyond the table's is NULL in them.
    pub fn new(table: &Table, columns: &[usize]) -> Self {
        let mut wanted: Vec<(usize, usize)> =
            columns.iter().enumerate().map(|(slot, &column)| (column, slot)).collect();
        wanted.retain(|(column, _)| *column < table.columns.len());
        wanted.sort_unstable();
        let is_null = |(column, _): &(usize, usize)| matches!(table.columns[*column].missing, Value::Null);
        let missing = if wanted.iter().all(is_null) {
            Vec::new()
        } else {
            wanted.iter().map(|(column, _)| table.columns[*column].missing.clone()).collect()
        };
        Self { wanted, missing, width: columns.len() }
    }

    /// Appends the columns of a row.
    pub fn decode_into(&self, bytes: &[u8], out: &mut Vec<Value>) -> Result<(), Error> {
        let mut rest = bytes;
        let count = length(&mut rest)?;
        let mut position = 0;
        let start = out.len();
        out.extend(Value::nulls(self.width));
        let row = &mut out[start..];
        let mut last: Option<(usize, usize)> = None;
        for (nth, &(column, slot)) in self.wanted.iter().enumerate() {
            match last {
                Some((before, same)) if before == column => row[slot] = row[same].clone(),
                _ if column < count => {
                    while position < column {
                        content(&mut rest)?;
                        position += 1;
                    }
                    position += 1;
                    decode_to(&mut rest, &mut row[slot])?;
                }
                _ => row[slot] = self.missing.get(nth).cloned().unwrap_or(Value::Null),
            }
            last = Some((column, slot));
        }
        Ok(())
    }
}

impl Table {
    /// Decodes a whole row. Bytes that are left over are an error.
    pub fn decode_row(&self, bytes: &[u8]) -> Result<Row, Error> {
        let mut rest = bytes;
        let count = length(&mut rest)?;
        if count > self.columns.len() {
            return Err(Error::Value(format!("a row of table {:?} has {count} columns", self.name)));
        }
        let mut row = Vec::with_capacity(self.columns.len());
        for _ in 0..count {
            row.push(decode_value(&mut rest)?);
        }
        if !rest.is_empty() {
            return Err(Error::Value(format!("{} bytes of a row are left over", rest.len())));
        }
        row.extend(self.columns[count..].iter().map(|column| column.missing.clone()));
        Ok(row)
    }
}

#[cfg(test)]
mod tests {
    use bolero::{TypeGenerator, check};

    use super::super::super::types::DataType;
    use super::super::Column;
    use super::*;

    #[derive(Clone, Debug, TypeGenerator)]
    enum Any {
        Null,
        Boolean(bool),
        Integer(i64),
        Bits(u8, bool),
        Float(f64),
        Text(String),
        Long(u16),
    }

    impl Any {
        fn value(&self) -> Value {
            match self {
                Self::Null => Value::Null,
                Self::Boolean(b) => Value::Boolean(*b),
                Self::Integer(n) => Value::Integer(*n),
                Self::Bits(shift, negative) => {
                    let n = i64::MAX >> (shift % 64);
                    Value::Integer(if *negative { !n } else { n })
                }
                Self::Float(x) => Value::float(*x + 0.0),
                Self::Text(text) => Value::from(text.as_str()),
                Self::Long(length) => Value::from("x".repeat(usize::from(length % 600))),
            }
        }
    }

    /// A table whose columns have been added one by one, so that each has a value for older rows.
    fn table(columns: usize) -> Table {
        let column = |n: usize| Column {
            name: format!("c{n}"),
            datatype: DataType::Integer,
            max_length: None,
            nullable: true,
            default: None,
            missing: Value::Integer(1000 + n as i64),
            dropped: false,
        };
        Table {
            id: 1,
            name: "t".to_string(),
            columns: (0..columns).map(column).collect(),
            primary_key: vec![0],
            key_name: None,
            indexes: Vec::new(),
            checks: Vec::new(),
            foreign_keys: Vec::new(),
            referenced_by: Vec::new(),
        }
    }

    #[test]
    fn wanted_columns_come_back_in_any_order() {
        check!().with_type::<(Vec<Any>, u8, Vec<u8>)>().with_iterations(30_000).for_each(|(row, newer, wanted)| {
            let row: Row = row.iter().map(Any::value).collect();
            let table = table(row.len() + usize::from(newer % 3));
            let bytes = encode(&row);
            let mut full = row.clone();
            full.extend((row.len()..table.columns.len()).map(|n| Value::Integer(1000 + n as i64)));
            assert_eq!(table.decode_row(&bytes).unwrap(), full);
            // One beyond the last column stands for what is not in the row.
            let wanted: Vec<usize> = wanted.iter().map(|n| usize::from(*n) % (table.columns.len() + 1)).collect();
            full.push(Value::Null);
            let expected: Vec<Value> = wanted.iter().map(|column| full[*column].clone()).collect();
            let mut out = vec![Value::Integer(7)];
            Decoder::new(&table, &wanted).decode_into(&bytes, &mut out).unwrap();
            assert_eq!(out[1..], expected, "{row:?} {wanted:?}");
        });
    }

    #[test]
    fn every_cut_is_an_error() {
        check!().with_type::<Vec<Any>>().with_iterations(5_000).for_each(|row| {
            let row: Row = row.iter().map(Any::value).collect();
            let table = table(row.len());
            let mut bytes = encode(&row);
            for length in 0..bytes.len() {
                assert!(table.decode_row(&bytes[..length]).is_err());
            }
            bytes.push(0);
            assert!(table.decode_row(&bytes).is_err());
        });
    }

    #[test]
    fn bytes_from_outside_never_panic() {
        check!().with_type::<(Vec<u8>, Vec<u8>)>().with_iterations(50_000).for_each(|(bytes, wanted)| {
            let table = table(5);
            let wanted: Vec<usize> = wanted.iter().map(|n| usize::from(n % 6)).collect();
            let _ = table.decode_row(bytes);
            let _ = Decoder::new(&table, &wanted).decode_into(bytes, &mut Vec::new());
        });
    }
}
