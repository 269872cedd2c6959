use bolero::{TypeGenerator, check};

use super::super::{Column, IndexColumn};
use super::*;
use std::ops::RangeBounds;

#[derive(Clone, Debug, TypeGenerator)]
enum Any {
    Null,
    Boolean(bool),
    Small(i8),
    Integer(i64),
    Power(u8, i8, bool),
    Float(f64),
    Nan,
    Infinite(bool),
    Text(String),
    Short(u8),
}

impl Any {
    fn value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Boolean(b) => Value::Boolean(*b),
            Self::Small(n) => Value::Integer((*n).into()),
            Self::Integer(n) => Value::Integer(*n),
            // About powers of two, also as floats, where rounding and lengths change.
            Self::Power(shift, delta, false) => Value::Integer((1i64 << (shift % 64)).wrapping_add((*delta).into())),
            Self::Power(shift, delta, true) => {
                Value::float(f64::from(*delta).mul_add(0.5, 2f64.powi((shift % 66).into())))
            }
            Self::Float(x) => Value::float(*x),
            Self::Nan => Value::Float(f64::NAN),
            Self::Infinite(b) => Value::Float(if *b { f64::INFINITY } else { f64::NEG_INFINITY }),
            Self::Text(text) => Value::from(text.as_str()),
            Self::Short(bits) => Value::Text((0..bits % 4).map(|n| char::from(bits >> (2 + n * 2) & 3)).collect()),
        }
    }

    fn of(&self, datatype: DataType) -> Value {
        let value = self.value();
        if value.datatype() == Some(datatype) { value } else { Value::Null }
    }
}

const TYPES: [DataType; 4] = [DataType::Boolean, DataType::Integer, DataType::Float, DataType::Text];

/// The order of keys, ascending.
fn order(a: &Value, b: &Value) -> Ordering {
    let null = |value: &Value| matches!(value, Value::Null);
    null(a).cmp(&null(b)).then_with(|| a.sort_order(b))
}

fn encoded(values: &[(Value, bool)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (value, descending) in values {
        encode_into(&mut bytes, value, *descending);
    }
    bytes
}

#[test]
fn bytes_compare_as_values_do() {
    check!().with_type::<Vec<(u8, bool, Any, Any)>>().with_iterations(50_000).for_each(|columns| {
        let values = |second: bool| -> Vec<(Value, bool)> {
            let value = |(datatype, descending, a, b): &(u8, bool, Any, Any)| {
                let any = if second { b } else { a };
                (any.of(TYPES[usize::from(*datatype) % 4]), *descending)
            };
            columns.iter().map(value).collect()
        };
        let (a, b) = (values(false), values(true));
        let expected =
            a.iter().zip(&b).map(|((a, descending), (b, _))| if *descending { order(b, a) } else { order(a, b) });
        let expected = expected.fold(Ordering::Equal, Ordering::then);
        assert_eq!(encoded(&a).cmp(&encoded(&b)), expected, "{a:?} {b:?}");
    });
}

#[test]
fn values_come_back() {
    check!().with_type::<Vec<(Any, bool)>>().with_iterations(20_000).for_each(|values| {
        let values: Vec<_> = values.iter().map(|(any, descending)| (any.value(), *descending)).collect();
        let bytes = encoded(&values);
        let (mut rest, mut skipped) = (bytes.as_slice(), bytes.as_slice());
        for (value, descending) in &values {
            let decoded = decode(&mut rest, *descending).unwrap();
            assert!(decoded == *value || *value == Value::Float(-0.0), "{value:?} {decoded:?}");
            skip(&mut skipped, *descending).unwrap();
            assert_eq!(rest, skipped);
        }
        assert!(rest.is_empty());
        // No encoding is the start of another: a key that is cut does not decode to the same number of values.
        if let Some(cut) = bytes.len().checked_sub(1) {
            let mut rest = &bytes[..cut];
            assert!(values.iter().try_for_each(|(_, descending)| decode(&mut rest, *descending).map(drop)).is_err());
        }
    });
}

#[test]
fn bytes_from_outside_never_panic() {
    check!().with_type::<(Vec<u8>, bool)>().with_iterations(50_000).for_each(|(bytes, descending)| {
        let mut rest = bytes.as_slice();
        while decode(&mut rest, *descending).is_ok() {}
        let mut rest = bytes.as_slice();
        while skip(&mut rest, *descending).is_ok() {}
        let text = Value::from(&*String::from_utf8_lossy(bytes));
        let _ = RowKey::from_value(&text);
    });
}

#[test]
fn row_keys_come_back_from_text() {
    check!().with_type::<Vec<u8>>().for_each(|bytes| {
        let key = RowKey::number(bytes);
        assert_eq!(RowKey::from_value(&key.to_value()), Ok(key));
    });
}

fn bound(kind: u8, any: &Any) -> Bound<Value> {
    match kind % 3 {
        0 => Bound::Unbounded,
        1 => Bound::Included(any.value()),
        _ => Bound::Excluded(any.value()),
    }
}

/// What the range is to hold, told from the values.
fn within(values: &[Value], equal: &[Value], low: &Bound<Value>, high: &Bound<Value>) -> bool {
    let compares =
        |a: &Value, b: &Value, wanted: &[Ordering]| a.compare(b).is_some_and(|order| wanted.contains(&order));
    let next = &values[equal.len().min(values.len() - 1)];
    let above = match low {
        Bound::Included(low) => compares(next, low, &[Ordering::Equal, Ordering::Greater]),
        Bound::Excluded(low) => compares(next, low, &[Ordering::Greater]),
        Bound::Unbounded => true,
    };
    let below = match high {
        Bound::Included(high) => compares(next, high, &[Ordering::Equal, Ordering::Less]),
        Bound::Excluded(high) => compares(next, high, &[Ordering::Less]),
        Bound::Unbounded => true,
    };
    let unbounded = matches!((low, high), (Bound::Unbounded, Bound::Unbounded));
    let bounded = unbounded || next.compare(next).is_some() && above && below;
    values.iter().zip(equal).all(|(a, b)| compares(a, b, &[Ordering::Equal])) && (equal.len() == 2 || bounded)
}

#[test]
fn ranges_hold_what_compares_so() {
    type Case = ([(u8, bool); 2], Vec<(Any, Any)>, Vec<Any>, (u8, Any), (u8, Any));
    check!().with_type::<Case>().with_iterations(50_000).for_each(|(columns, rows, equal, low, high)| {
        let columns: Vec<KeyColumn> = columns
            .iter()
            .enumerate()
            .map(|(column, (datatype, descending))| KeyColumn {
                column,
                datatype: TYPES[usize::from(*datatype) % 4],
                descending: *descending,
            })
            .collect();
        let equal: Vec<Value> = equal.iter().take(2).map(Any::value).collect();
        let (low, high) = (bound(low.0, &low.1), bound(high.0, &high.1));
        let range = bounded(vec![DATA], &columns, &equal, &low, &high);
        for (a, b) in rows {
            let values = [a.of(columns[0].datatype), b.of(columns[1].datatype)];
            let mut key = vec![DATA];
            for (value, column) in values.iter().zip(&columns) {
                encode_into(&mut key, value, column.descending);
            }
            key.push(7);
            let found = range.as_ref().is_some_and(|range| range.contains(&key));
            assert_eq!(
                found,
                within(&values, &equal, &low, &high),
                "{values:?} {equal:?} {low:?} {high:?} {columns:?}"
            );
        }
    });
}

fn table() -> Table {
    let column = |name: &str, datatype| Column {
        name: name.to_string(),
        datatype,
        max_length: None,
        nullable: true,
        default: None,
        missing: Value::Null,
        dropped: false,
    };
    let index = |id, unique| Index {
        id,
        name: format!("index {id}"),
        columns: vec![IndexColumn { column: 1, descending: true }],
        unique,
        constraint: false,
    };
    Table {
        id: 300,
        name: "t".to_string(),
        columns: vec![column("a", DataType::Integer), column("b", DataType::Float)],
        primary_key: vec![0],
        key_name: None,
        indexes: vec![index(0, true), index(1, false)],
        checks: Vec::new(),
        foreign_keys: Vec::new(),
        referenced_by: Vec::new(),
    }
}

#[test]
fn entries_of_unique_indexes_collide_where_they_must() {
    let table = table();
    let entry = |index: usize, id: i64, value: Value| {
        let row = [Value::Integer(id), value];
        table.index_entry(&table.indexes[index], &row, &RowKey::of(&table, &row))
    };
    let one = Value::Float(1.0);
    assert_eq!(entry(0, 1, one.clone()).0, entry(0, 2, one.clone()).0);
    assert_ne!(entry(0, 1, one.clone()).1, entry(0, 2, one.clone()).1);
    assert_eq!(entry(0, 1, Value::Float(0.0)).0, entry(0, 2, Value::Float(-0.0)).0);
    assert_ne!(entry(0, 1, Value::Null).0, entry(0, 2, Value::Null).0);
    let nan = Value::Float(f64::NAN);
    assert_eq!(entry(0, 1, nan.clone()).0, entry(0, 2, nan).0);
    assert_ne!(entry(1, 1, one.clone()).0, entry(1, 2, one.clone()).0);
    assert_ne!(entry(0, 1, one.clone()).0, entry(1, 1, one.clone()).0);
    for (index, value) in [(0, one.clone()), (0, Value::Null), (1, one)] {
        let (key, content) = entry(index, 7, value.clone());
        let found = table.index_row_key(&table.indexes[index], &key, &content).unwrap();
        assert_eq!(found, RowKey::of(&table, &[Value::Integer(7), value]));
        assert!(table.range(Some(&table.indexes[index])).contains(&key));
        assert!(table.whole_range().contains(&key) && !table.range(None).contains(&key));
        let row = table.row_key(&found);
        assert!(table.range(None).contains(&row) && table.whole_range().contains(&row));
        assert_eq!(table.parse_row_key(&row), Ok(found));
    }
}
