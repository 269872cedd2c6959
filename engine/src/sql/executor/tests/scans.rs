//! Scans give the rows that their ranges hold, by every way.

use std::ops::Bound;
use std::sync::Arc;

use bolero::check;

use super::super::super::algebra::{Access, Binary, Expr, KeyRange, Node, Scan};
use super::super::super::schema::keys::RowKey;
use super::super::super::schema::{Column, Index, IndexColumn, Row, Table, row};
use super::super::super::types::{DataType, Value};
use super::super::{Context, Profile, comparison};
use super::{Dice, collect, column, compare, integer};
use crate::mvcc::{Isolation, Store, Txn, View};
use crate::storage::Memory;

/// A table of integers, floats and texts, with an index on the latter two, and a unique one on the float.
pub(super) fn table(numbered: bool) -> Table {
    let types = [("a", DataType::Integer), ("b", DataType::Float), ("c", DataType::Text)];
    let column = |(name, datatype): (&str, DataType)| Column {
        name: name.to_string(),
        datatype,
        max_length: None,
        nullable: true,
        default: None,
        missing: Value::Null,
        dropped: false,
    };
    let index = |id: u32, columns: &[(usize, bool)], unique| Index {
        id,
        name: format!("index {id}"),
        columns: columns.iter().map(|&(column, descending)| IndexColumn { column, descending }).collect(),
        unique,
        constraint: false,
    };
    Table {
        id: 7,
        name: "t".to_string(),
        columns: types.into_iter().map(column).collect(),
        primary_key: if numbered { vec![] } else { vec![0] },
        key_name: None,
        indexes: vec![index(0, &[(2, false), (1, true)], false), index(1, &[(1, true)], true)],
        checks: Vec::new(),
        foreign_keys: Vec::new(),
        referenced_by: Vec::new(),
    }
}

/// Rows whose first column is unique, and the second one too where it is a number.
fn random_rows(dice: &mut Dice<'_>) -> Vec<Row> {
    let text = |dice: &mut Dice<'_>| match dice.below(4) {
        0 => Value::Null,
        n => Value::from(["a", "b\0", "b"][n - 1]),
    };
    let mut nan = false;
    let mut float = |n: usize, dice: &mut Dice<'_>| match dice.below(5) {
        0 => Value::Null,
        1 if !std::mem::replace(&mut nan, true) => Value::Float(f64::NAN),
        _ => Value::Float((n as f64 - 5.0) / 2.0),
    };
    (0..dice.below(20)).map(|n| vec![Value::Integer(n as i64 * 3 - 9), float(n, dice), text(dice)]).collect()
}

/// A store with the rows, and a transaction over it that has written some of them itself.
pub(super) fn store(table: &Table, rows: &[Row], own: usize) -> (Store<Memory>, Txn) {
    let pairs = |number: usize, values: &Row| {
        let key = if table.primary_key.is_empty() {
            RowKey::number(&(number as u64).to_be_bytes())
        } else {
            RowKey::of(table, values)
        };
        let mut pairs = vec![(table.row_key(&key), row::encode(values))];
        pairs.extend(table.indexes.iter().map(|index| table.index_entry(index, values, &key)));
        pairs
    };
    let all: Vec<_> = rows.iter().enumerate().map(|(number, values)| pairs(number, values)).collect();
    let (stored, own) = all.split_at(rows.len().saturating_sub(own));
    let mut store = Store::new(Memory::new()).unwrap();
    let mut writes: Vec<_> = stored.iter().flatten().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
    writes.sort();
    store.commit(1, writes, []).unwrap();
    let mut txn = Txn::new(1, Isolation::Snapshot, false);
    let mut view = View::new(&store, &mut txn);
    for (key, value) in own.iter().flatten() {
        crate::mvcc::Transaction::set(&mut view, key.clone(), value.clone()).unwrap();
    }
    (store, txn)
}

/// Makes a random value.
type Make = fn(&mut Dice<'_>) -> Value;

fn bound(dice: &mut Dice<'_>, value: Make) -> Bound<Expr> {
    match dice.below(3) {
        0 => Bound::Unbounded,
        1 => Bound::Included(Expr::Constant(value(dice))),
        _ => Bound::Excluded(Expr::Constant(value(dice))),
    }
}

fn number(dice: &mut Dice<'_>) -> Value {
    match dice.below(8) {
        0 => Value::Null,
        1 => Value::Float(f64::NAN),
        2 | 3 => Value::Integer(dice.below(30) as i64 - 12),
        _ => Value::Float((dice.below(60) as f64 - 24.0) / 2.0),
    }
}

fn text(dice: &mut Dice<'_>) -> Value {
    match dice.below(6) {
        0 => Value::Null,
        n => Value::from(["", "a", "b\0", "b", "c"][n - 1]),
    }
}

/// Whether a row is in a range of a way, told from the values.
fn within(row: &Row, columns: &[usize], range: &KeyRange) -> bool {
    let constant = |expr: &Expr| match expr {
        Expr::Constant(value) => value.clone(),
        other => panic!("{other:?} is no constant"),
    };
    let holds = |op, column: usize, expr: &Expr| comparison(op, &row[column], &constant(expr)) == Some(true);
    let equal = range.prefix.iter().zip(columns).all(|(expr, column)| holds(Binary::Equal, *column, expr));
    let Some(&next) = columns.get(range.prefix.len()) else { return equal };
    equal
        && match &range.low {
            Bound::Unbounded => true,
            Bound::Included(low) => holds(Binary::GreaterOrEqual, next, low),
            Bound::Excluded(low) => holds(Binary::Greater, next, low),
        }
        && match &range.high {
            Bound::Unbounded => true,
            Bound::Included(high) => holds(Binary::LessOrEqual, next, high),
            Bound::Excluded(high) => holds(Binary::Less, next, high),
        }
        && (matches!((&range.low, &range.high), (Bound::Unbounded, Bound::Unbounded))
            // NULL is within no bounds.
            || comparison(Binary::Equal, &row[next], &row[next]) == Some(true))
}

#[test]
fn scans_give_what_is_in_their_ranges() {
    check!().with_type::<Vec<u8>>().with_iterations(30_000).with_max_len(200).for_each(|bytes| {
        let mut dice = Dice::new(bytes);
        let numbered = dice.flip();
        let table = Arc::new(table(numbered));
        let rows = random_rows(&mut dice);
        let (store, mut txn) = store(&table, &rows, dice.below(10));
        let index = [None, Some(0), Some(1)][dice.below(3)];
        let ways: (&[usize], &[Make]) = match index {
            None if numbered => (&[], &[]),
            None => (&[0], &[number]),
            Some(0) => (&[2, 1], &[text, number]),
            Some(_) => (&[1], &[number]),
        };
        let (by, values) = ways;
        let ranges: Vec<KeyRange> = (0..=dice.below(3))
            .map(|_| {
                let equal = dice.below(by.len() + 1);
                let prefix = values[..equal].iter().map(|value| Expr::Constant(value(&mut dice))).collect();
                let (low, high) = match values.get(equal) {
                    Some(value) => (bound(&mut dice, *value), bound(&mut dice, *value)),
                    None => (Bound::Unbounded, Bound::Unbounded),
                };
                KeyRange { prefix, low, high }
            })
            .collect();
        let filter = dice.flip().then(|| compare(Binary::GreaterOrEqual, column(0), integer(0)));
        let only = index.is_some() && !numbered && dice.flip();
        let columns = match (index, only) {
            (Some(1), true) => vec![0, 1],
            (_, false) if dice.flip() => vec![0, 2, 1],
            _ => vec![0, 1, 2],
        };
        let expected = rows.iter().filter(|row| ranges.iter().any(|range| within(row, by, range)));
        let expected = expected.filter(|row| filter.is_none() || matches!(row[0], Value::Integer(n) if n >= 0));
        let mut expected: Vec<Row> =
            expected.map(|row| columns.iter().map(|column| row[*column].clone()).collect()).collect();
        let reverse = dice.flip();
        let access = Access { index, ranges, only };
        let node = Node::Scan(Box::new(Scan {
            table: Arc::clone(&table),
            alias: "t".to_string(),
            columns,
            access,
            reverse,
            filter,
        }));
        let view = View::new(&store, &mut txn);
        let given = collect(&node, &Context::new(&view, &[])).unwrap();
        if index.is_none() {
            if reverse {
                expected.reverse();
            }
            assert_eq!(given, expected, "{node:#?}");
        }
        let bag = |mut rows: Vec<Row>| {
            rows.sort_by_key(|row| format!("{row:?}"));
            rows
        };
        assert_eq!(bag(given), bag(expected), "{node:#?}");
    });
}

#[test]
fn an_index_gives_its_order_both_ways() {
    let table = Arc::new(table(false));
    let text = |text: &str| Value::from(text);
    let rows: Vec<Row> = [("b", 1.0), ("a", 0.5), ("b", 2.0), ("a", f64::NAN), ("b", -1.0)]
        .iter()
        .enumerate()
        .map(|(n, (c, b))| vec![Value::Integer(n as i64), Value::Float(*b), text(c)])
        .collect();
    let (store, mut txn) = store(&table, &rows, 2);
    let view = View::new(&store, &mut txn);
    for reverse in [false, true] {
        let mut scan = Scan::all(Arc::clone(&table), "t".to_string());
        scan.access.index = Some(0);
        (scan.reverse, scan.columns) = (reverse, vec![0, 3]);
        let ctx = Context::new(&view, &[]);
        let given = collect(&Node::Scan(Box::new(scan)), &ctx).unwrap();
        // The second column of the index descends.
        let mut expected = vec![3, 1, 2, 0, 4];
        if reverse {
            expected.reverse();
        }
        let ids: Vec<i64> = given.iter().map(|row| if let Value::Integer(n) = row[0] { n } else { -1 }).collect();
        assert_eq!(ids, expected);
        for row in given {
            assert_eq!(RowKey::from_value(&row[1]), Ok(RowKey::of(&table, &row[..1])));
        }
    }
}

#[test]
fn the_rows_of_operators_are_counted() {
    let table = Arc::new(table(false));
    let rows: Vec<Row> = (0..40).map(|n| vec![Value::Integer(n), Value::Null, Value::Null]).collect();
    let (store, mut txn) = store(&table, &rows, 0);
    let view = View::new(&store, &mut txn);
    let scan = Node::Scan(Box::new(Scan::all(table, "t".to_string())));
    let filter = compare(Binary::Less, column(0), integer(5));
    let node = Node::Filter { input: Box::new(scan), predicate: filter };
    let profile = Profile::default();
    let ctx = Context::new(&view, &[]).with_profile(&profile);
    assert_eq!(collect(&node, &ctx).unwrap().len(), 5);
    let Node::Filter { input, .. } = &node else { unreachable!() };
    assert_eq!((profile.tally(&node).rows, profile.tally(input).rows), (5, 40));
    assert_eq!(profile.tally(input).starts, 1);
}
