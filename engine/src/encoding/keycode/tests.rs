use std::ops::RangeBounds;

use bolero::{TypeGenerator, check};
use serde::{Deserialize, Serialize};

use super::*;

#[derive(Clone, Debug, PartialEq, PartialOrd, TypeGenerator, Serialize, Deserialize)]
enum Key {
    Unit,
    Flag(bool),
    Pair(i64, String),
    Struct { a: Option<u64>, b: Vec<String> },
    Nested(Box<(u8, i32, Vec<Vec<i16>>)>),
    Char(char),
}

/// Encodes two values, and checks that they come back and that their bytes are in the values' order.
fn check_pair<T: Serialize + for<'a> Deserialize<'a> + PartialOrd + std::fmt::Debug>(a: &T, b: &T) {
    let (x, y) = (serialize(a).unwrap(), serialize(b).unwrap());
    assert_eq!(&deserialize::<T>(&x).unwrap(), a);
    assert_eq!(a.partial_cmp(b).unwrap(), x.cmp(&y), "{a:?} {b:?}: {x:x?} {y:x?}");
}

macro_rules! order_and_round_trip {
    ($($name:ident: $type:ty),* $(,)?) => {
        $(#[test]
        fn $name() {
            check!().with_type::<($type, $type)>().with_iterations(4_000).for_each(|(a, b)| check_pair(a, b));
        })*
    };
}

order_and_round_trip! {
    booleans: bool,
    unsigned: u64,
    signed: i64,
    small: (u8, i8, u16, i16, u32, i32),
    large: (u128, i128),
    strings: String,
    sequences: Vec<u64>,
    nested: Vec<Vec<Option<String>>>,
    tuples: (String, i64, bool),
    enums: Key,
}

#[test]
fn floats_follow_the_total_order() {
    let special =
        [f64::NAN, -f64::NAN, 0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, 5e-324, 1.0, -1.0];
    let check = |a: f64, b: f64| {
        let (x, y) = (serialize(&a).unwrap(), serialize(&b).unwrap());
        assert_eq!(deserialize::<f64>(&x).unwrap().to_bits(), a.to_bits());
        assert_eq!(a.total_cmp(&b), x.cmp(&y), "{a} {b}");
    };
    for a in special {
        for b in special {
            check(a, b);
        }
    }
    check!().with_type::<(u64, u64)>().with_iterations(4_000).for_each(|(a, b)| {
        check(f64::from_bits(*a), f64::from_bits(*b));
    });
}

#[test]
fn byte_strings_with_zeros_keep_their_order() {
    check!().with_type::<(Vec<u8>, Vec<u8>)>().with_iterations(4_000).for_each(|(a, b)| {
        let encode = |content: &[u8]| {
            let mut bytes = Vec::new();
            escape_into(&mut bytes, content);
            bytes
        };
        let (x, y) = (encode(a), encode(b));
        assert_eq!(a.cmp(b), x.cmp(&y));
        assert_eq!(unescape(&x).unwrap(), (a.clone(), &[][..]));
    });
}

#[test]
fn prefix_ranges_hold_exactly_the_keys_with_the_prefix() {
    check!().with_type::<(Vec<u8>, Vec<u8>)>().with_iterations(4_000).for_each(|(prefix, key)| {
        assert_eq!(prefix_range(prefix).contains(key), key.starts_with(prefix));
        let longer = [prefix.as_slice(), key].concat();
        assert!(prefix_range(prefix).contains(&longer));
    });
    for prefix in [&[][..], &[0xff], &[0xff, 0xff], &[0x01, 0xff], &[0x01, 0xff, 0xff]] {
        for tail in [&[][..], &[0x00], &[0xff], &[0xff, 0xff]] {
            let key = [prefix, tail].concat();
            assert!(prefix_range(prefix).contains(&key), "{prefix:x?} {key:x?}");
        }
    }
    assert!(!prefix_range(&[0x01, 0xff]).contains(&vec![0x02]));
}

#[test]
fn bytes_from_outside_never_panic() {
    check!().with_type::<Vec<u8>>().with_iterations(20_000).for_each(|bytes| {
        let _: Result<Key, Error> = deserialize(bytes);
        let _: Result<(u64, String, Vec<Option<i64>>), Error> = deserialize(bytes);
        let _: Result<f64, Error> = deserialize(bytes);
        // What decodes is the only encoding of its value.
        if let Ok(key) = deserialize::<Vec<Vec<bool>>>(bytes) {
            assert_eq!(&serialize(&key).unwrap(), bytes);
        }
    });
}

#[test]
fn errors_say_what_is_wrong() {
    let message = |result: Result<u64, Error>| result.unwrap_err().to_string();
    assert_eq!(message(deserialize(&[0; 7])), "invalid key: 8 bytes are expected, 7 are left");
    assert_eq!(message(deserialize(&[0; 9])), "invalid key: 1 bytes are left over");
    assert!(deserialize::<String>(b"abc").unwrap_err().to_string().contains("does not end"));
    assert!(deserialize::<bool>(&[2]).unwrap_err().to_string().contains("0x02 is no boolean"));
    let map = std::collections::BTreeMap::from([(1, 2)]);
    assert_eq!(serialize(&map), Err(Error::Key("a map cannot be a key".into())));
}
