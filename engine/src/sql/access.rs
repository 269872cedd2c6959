//! Access paths: which rows of a table must be looked at for a condition.
//!
//! A condition is a conjunction; a conjunct that compares the primary key or a unique column with constants bounds the
//! rows. The whole condition is checked on the rows that are found all the same, so a path may give more rows than the
//! condition holds for, but never fewer.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Bound;

use super::ast::Binary;
use super::catalog::{Table, is_key};
use super::expression::{Expression, Literal};
use super::types::{DataType, Value};

/// The rows of a table that a condition holds for.
#[derive(Debug)]
pub(super) struct Scan {
    /// `None` stands for one row without columns.
    pub table: Option<Table>,
    pub access: Access,
    pub filter: Option<Expression>,
    /// Whether rows come in descending order of the primary key.
    pub reverse: bool,
}

/// A way to rows.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Access {
    /// All of them, in the order of the primary key.
    All,
    /// Those with these primary keys, in order.
    Keys(Vec<Value>),
    /// Those whose primary key is within bounds, in order.
    Range(Bound<Value>, Bound<Value>),
    /// Those with these values in a unique column.
    Unique(usize, Vec<Value>),
    /// None.
    Nothing,
}

impl Scan {
    /// The best way to the rows that a condition holds for; without optimizing, a look at all of them.
    pub fn new(table: Table, filter: Option<Expression>, optimize: bool) -> Self {
        let filter = filter.filter(|filter| filter.constant() != Some(&Value::Boolean(true)));
        let access = match &filter {
            Some(filter) if optimize => choose(&table, filter),
            _ => Access::All,
        };
        Self { table: Some(table), access, filter, reverse: false }
    }

    /// One row without columns, if the condition holds.
    pub fn of_nothing(filter: Expression) -> Self {
        Self { table: None, access: Access::All, filter: Some(filter), reverse: false }
    }

    /// Whether rows come in the order of this column.
    pub fn gives_key_order(&self, column: usize) -> bool {
        self.table.as_ref().is_some_and(|table| table.primary_key == column)
            && !matches!(self.access, Access::Unique(..))
    }
}

fn choose(table: &Table, filter: &Expression) -> Access {
    let mut conjuncts = Vec::new();
    split(filter, Binary::And, &mut conjuncts);
    let mut unique = None;
    let (mut start, mut end) = (Bound::Unbounded, Bound::Unbounded);
    for conjunct in conjuncts {
        // False or NULL: no row gets through. (Other types do not get through the planner.)
        if let Expression::Constant(Value::Boolean(false) | Value::Null) = conjunct {
            return Access::Nothing;
        }
        if let Some((column, values)) = equalities(conjunct) {
            let lookup =
                table.columns.get(column).filter(|_| column == table.primary_key || table.columns[column].unique);
            if let Some(values) = lookup.and_then(|definition| keys(&values, definition.datatype)) {
                if values.is_empty() {
                    return Access::Nothing;
                }
                if column == table.primary_key {
                    return Access::Keys(values);
                }
                unique.get_or_insert((column, values));
            }
        }
        for (column, op, value) in limits(conjunct) {
            if column != table.primary_key {
                continue;
            }
            let Some(bound) = bound(op, value, table.columns[column].datatype) else { return Access::Nothing };
            match op {
                Binary::Greater | Binary::GreaterOrEqual => tighten(&mut start, bound, Ordering::Greater),
                _ => tighten(&mut end, bound, Ordering::Less),
            }
        }
    }
    match (unique, &start, &end) {
        (Some((column, values)), ..) => Access::Unique(column, values),
        (None, Bound::Unbounded, Bound::Unbounded) => Access::All,
        (None, ..) => Access::Range(start, end),
    }
}

/// The operands of nested operations of one kind.
fn split<'a>(expr: &'a Expression, op: Binary, parts: &mut Vec<&'a Expression>) {
    match expr {
        Expression::Binary(found, a, b) if *found == op => {
            split(a, op, parts);
            split(b, op, parts);
        }
        expr => parts.push(expr),
    }
}

/// A column and the constants that it must equal one of.
fn equalities(expr: &Expression) -> Option<(usize, Vec<&Value>)> {
    match expr {
        Expression::In { expr, list, negated: false } => {
            let Expression::Column(column, _) = **expr else { return None };
            Some((column, list.iter().map(Expression::constant).collect::<Option<_>>()?))
        }
        Expression::Binary(Binary::Or, ..) => {
            let mut alternatives = Vec::new();
            split(expr, Binary::Or, &mut alternatives);
            let mut all = None;
            for alternative in alternatives {
                let (column, values) = equalities(alternative)?;
                let (first, collected) = all.get_or_insert((column, Vec::new()));
                if *first != column {
                    return None;
                }
                collected.extend(values);
            }
            all
        }
        expr => match comparison(expr)? {
            (column, Binary::Equal, value) => Some((column, vec![value])),
            _ => None,
        },
    }
}

/// A comparison of a column with a constant, turned so that the column is on the left.
fn comparison(expr: &Expression) -> Option<(usize, Binary, &Value)> {
    let Expression::Binary(op, a, b) = expr else { return None };
    let turned = match op {
        Binary::Less => Binary::Greater,
        Binary::LessOrEqual => Binary::GreaterOrEqual,
        Binary::Greater => Binary::Less,
        Binary::GreaterOrEqual => Binary::LessOrEqual,
        Binary::Equal => Binary::Equal,
        _ => return None,
    };
    match (&**a, &**b) {
        (Expression::Column(column, _), Expression::Constant(value)) => Some((*column, *op, value)),
        (Expression::Constant(value), Expression::Column(column, _)) => Some((*column, turned, value)),
        _ => None,
    }
}

/// What a condition says about the order of columns and constants.
fn limits(expr: &Expression) -> impl Iterator<Item = (usize, Binary, &Value)> {
    let pair = match expr {
        Expression::Between { expr, low, high, negated: false } => match &**expr {
            Expression::Column(column, _) => [(Binary::GreaterOrEqual, low), (Binary::LessOrEqual, high)]
                .map(|(op, limit)| limit.constant().map(|value| (*column, op, value))),
            _ => [None, None],
        },
        expr => [comparison(expr).filter(|(_, op, _)| *op != Binary::Equal), None],
    };
    pair.into_iter().flatten()
}

/// The bound of the keys of a column that compare so with a constant, or a wider one; `None` if no key does.
fn bound(op: Binary, value: &Value, datatype: DataType) -> Option<Bound<Value>> {
    if !is_key(value) {
        return None;
    }
    let exact = |key| match op {
        Binary::Greater | Binary::Less => Bound::Excluded(key),
        _ => Bound::Included(key),
    };
    let from_below = matches!(op, Binary::Greater | Binary::GreaterOrEqual);
    Some(match (value, datatype) {
        (value, datatype) if value.datatype() == Some(datatype) => exact(value.clone()),
        (Value::Integer(n), DataType::Float) => {
            let key = Value::Float(*n as f64);
            // Rounding may have gone past keys, and only to the next one.
            if value.compare(&key).is_some_and(Ordering::is_eq) { exact(key) } else { Bound::Included(key) }
        }
        (Value::Float(x), DataType::Integer) => {
            let whole = if from_below { x.ceil() } else { x.floor() };
            match Value::Float(whole).cast(DataType::Integer) {
                Ok(key) if whole == *x => exact(key),
                Ok(key) => Bound::Included(key),
                // Beyond all keys, on the one side or the other.
                Err(_) if from_below == (*x < 0.0) => Bound::Unbounded,
                Err(_) => return None,
            }
        }
        _ => Bound::Unbounded,
    })
}

/// A constant as a key of a column: `Some(Err(()))` if no key can equal it, `None` if that cannot be told.
fn key(value: &Value, datatype: DataType) -> Option<Result<Value, ()>> {
    if !is_key(value) {
        return Some(Err(()));
    }
    match (value, datatype) {
        (value, datatype) if value.datatype() == Some(datatype) => Some(Ok(value.clone())),
        // An integer that no float equals is rounded; then the condition itself refuses the row that is found.
        (Value::Integer(n), DataType::Float) => Some(Ok(Value::Float(*n as f64))),
        (Value::Float(x), DataType::Integer) => match value.clone().cast(DataType::Integer) {
            Ok(key) if x.fract() == 0.0 => Some(Ok(key)),
            _ => Some(Err(())),
        },
        _ => None,
    }
}

/// Constants as keys, sorted and without duplicates; `None` if one of them cannot be a key.
fn keys(values: &[&Value], datatype: DataType) -> Option<Vec<Value>> {
    let mut keys = Vec::with_capacity(values.len());
    for value in values {
        if let Ok(key) = key(value, datatype)? {
            keys.push(key);
        }
    }
    keys.sort_by(Value::sort_order);
    keys.dedup_by(|a, b| a.compare(b).is_some_and(Ordering::is_eq));
    Some(keys)
}

/// Replaces a bound by another one that lies further in the direction.
fn tighten(bound: &mut Bound<Value>, other: Bound<Value>, direction: Ordering) {
    let tighter = match (&*bound, &other) {
        (Bound::Unbounded, _) => true,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => match b.compare(a) {
            Some(order) if order.is_eq() => matches!(other, Bound::Excluded(_)),
            order => order == Some(direction),
        },
        (_, Bound::Unbounded) => false,
    };
    if tighter {
        *bound = other;
    }
}

/// For EXPLAIN: one line.
impl fmt::Display for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(table) = &self.table else { return f.write_str("Row") };
        let join =
            |values: &[Value]| values.iter().map(|value| Literal(value).to_string()).collect::<Vec<_>>().join(", ");
        let (name, key) = (&table.name, &table.key_column().name);
        match &self.access {
            Access::All => write!(f, "Scan: {name}")?,
            Access::Keys(values) => write!(f, "KeyLookup: {name} ({key} = {})", join(values))?,
            Access::Unique(column, values) => {
                write!(f, "UniqueLookup: {name} ({} = {})", table.columns[*column].name, join(values))?;
            }
            Access::Range(start, end) => {
                let start = match start {
                    Bound::Included(value) => Some(format!("{key} >= {}", Literal(value))),
                    Bound::Excluded(value) => Some(format!("{key} > {}", Literal(value))),
                    Bound::Unbounded => None,
                };
                let end = match end {
                    Bound::Included(value) => Some(format!("{key} <= {}", Literal(value))),
                    Bound::Excluded(value) => Some(format!("{key} < {}", Literal(value))),
                    Bound::Unbounded => None,
                };
                let bounds: Vec<String> = start.into_iter().chain(end).collect();
                write!(f, "RangeScan: {name} ({})", bounds.join(" AND "))?;
            }
            Access::Nothing => write!(f, "Nothing: {name}")?,
        }
        if self.reverse {
            f.write_str(" backward")?;
        }
        Ok(())
    }
}
