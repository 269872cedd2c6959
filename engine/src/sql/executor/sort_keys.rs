//! Keys of bytes that compare as an order says.

use super::super::ordered;
use super::super::types::Value;

/// How many bytes of a key compare as one number.
const PREFIX: usize = 8;

/// Appends a value so that bytes compare as an order says. Numbers compare by value, whether integer or float; NaN comes
/// after all numbers.
pub(super) fn key_into(bytes: &mut Vec<u8>, value: &Value, descending: bool, nulls_first: bool) {
    let start = bytes.len();
    match value {
        Value::Null => {
            bytes.push(if nulls_first { 0x00 } else { 0xff });
            return;
        }
        Value::Boolean(b) => bytes.push(0x10 + u8::from(*b)),
        // The nearest float, and what is missing to the integer, at most half of the distance between floats.
        Value::Integer(n) => {
            let near = *n as f64;
            number_into(bytes, near, (i128::from(*n) - near as i128) as i16);
        }
        Value::Float(x) if x.is_nan() => bytes.push(0x21),
        Value::Float(x) => number_into(bytes, *x, 0),
        Value::Text(text) => {
            bytes.push(0x40);
            ordered::text_into(bytes, text);
        }
    }
    if descending {
        ordered::descend(&mut bytes[start..]);
    }
}

fn number_into(bytes: &mut Vec<u8>, x: f64, rest: i16) {
    let mut encoded = [0x20; 11];
    encoded[1..9].copy_from_slice(&ordered::float(x).to_be_bytes());
    encoded[9..].copy_from_slice(&((rest as u16) ^ 0x8000).to_be_bytes());
    bytes.extend_from_slice(&encoded);
}

/// Keys one after the other. None is the start of another one.
#[derive(Default)]
pub(super) struct Keys {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Keys {
    /// Where the bytes of the next key are appended, up to its end.
    #[inline]
    pub fn next(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Ends the next key, and says its number.
    #[inline]
    pub fn end(&mut self) -> u32 {
        self.ends.push(self.bytes.len());
        (self.ends.len() - 1) as u32
    }

    /// A key by its number.
    #[inline]
    pub fn get(&self, number: u32) -> &[u8] {
        let number = number as usize;
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.bytes[start..self.ends[number]]
    }

    /// How many bytes they take.
    pub fn size(&self) -> usize {
        self.bytes.len() + self.ends.len() * size_of::<usize>()
    }

    /// What to compare of them.
    pub fn prefixes(&self) -> Prefixes<'_> {
        let count = self.ends.len() as u32;
        let first = if count == 0 { &[] } else { self.get(0) };
        let alike = |(a, b): &(&u8, &u8)| a == b;
        let (mut start, mut end, mut longest) = (first.len(), first.len(), 0);
        for key in (0..count).map(|number| self.get(number)) {
            start = first[..start].iter().zip(key).take_while(alike).count();
            let ends = first[first.len() - end..].iter().rev().zip(key.iter().rev());
            end = if key.len() == first.len() { ends.take_while(alike).count() } else { 0 };
            longest = longest.max(key.len());
        }
        Prefixes { keys: self, start, are_all: longest <= start + PREFIX + end }
    }
}

/// Some bytes of each key: the first ones after those that all keys begin with, which say nothing of the order.
pub(super) struct Prefixes<'a> {
    keys: &'a Keys,
    start: usize,
    /// Whether what comes after them says nothing either: nothing comes, or what all keys, of one length, end with.
    pub are_all: bool,
}

impl<'a> Prefixes<'a> {
    /// The prefix of a key, with zeros after a shorter one, as a number.
    #[inline]
    pub fn get(&self, key: u32) -> u64 {
        let key = &self.keys.get(key)[self.start..];
        if let Some(first) = key.first_chunk::<PREFIX>() {
            return u64::from_be_bytes(*first);
        }
        let mut first = [0; PREFIX];
        first[..key.len()].copy_from_slice(key);
        u64::from_be_bytes(first)
    }

    /// What comes after the prefix. Of keys with the same prefix all have something there or, being equal, none.
    #[inline]
    pub fn rest(&self, key: u32) -> &'a [u8] {
        self.keys.get(key).get(self.start + PREFIX..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use bolero::check;

    use super::*;

    /// What differs early, late, within a prefix and after it, and in length.
    fn value(kind: u8, detail: u8) -> Value {
        match kind % 4 {
            0 => Value::Integer(i64::from(detail % 4)),
            1 => Value::Integer((1 << 60) + i64::from(detail % 4)),
            2 => Value::from(format!("{}{}", "a".repeat(usize::from(detail % 13)), detail % 3)),
            // Of one letter but for one place, in one length or in two.
            _ => {
                let (length, place) = (12 + usize::from(kind >> 2 & detail & 1), usize::from(detail >> 1) % 16);
                let letters: String = (0..length).map(|n| if n == place { 'b' } else { 'a' }).collect();
                letters.into()
            }
        }
    }

    #[test]
    fn prefixes_and_what_comes_after_them_order_as_the_keys_do() {
        check!().with_type::<(u8, bool, Vec<(u8, u8, u8)>)>().with_iterations(20_000).for_each(|(only, one, rows)| {
            let mut keys = Keys::default();
            for (kind, first, second) in rows.iter().take(usize::from(only % 8)) {
                let kind = if *one { only >> 3 } else { *kind };
                key_into(keys.next(), &value(kind, *first), only & 64 > 0, false);
                if only & 128 > 0 {
                    key_into(keys.next(), &value(kind, *second), false, false);
                }
                keys.end();
            }
            let prefixes = keys.prefixes();
            for a in 0..keys.ends.len() as u32 {
                for b in 0..a {
                    let rest = |key| if prefixes.are_all { &[] } else { prefixes.rest(key) };
                    let found = prefixes.get(a).cmp(&prefixes.get(b)).then_with(|| rest(a).cmp(rest(b)));
                    assert_eq!(found, keys.get(a).cmp(keys.get(b)), "{:02x?} and {:02x?}", keys.get(a), keys.get(b));
                }
            }
        });
    }
}
