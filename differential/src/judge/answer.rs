//! What databases answer, and whether answers agree.

use std::cmp::Ordering;

use engine::sql::types::{DataType, Value};

/// What a statement gave.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Rows, and how many were written if it writes.
    Rows {
        /// The types of the columns, as far as they are known.
        types: Vec<Option<DataType>>,
        /// The rows.
        rows: Vec<Vec<Value>>,
    },
    /// So many rows were written.
    Count(u64),
    /// Something was made.
    Done,
    /// An error, with its SQLSTATE.
    Error {
        /// The SQLSTATE, or what SQLite's error comes to.
        state: String,
        /// What it says.
        message: String,
    },
    /// A panic.
    Panic(String),
}

impl Answer {
    /// The SQLSTATE, of an error.
    pub fn state(&self) -> Option<&str> {
        match self {
            Self::Error { state, .. } => Some(state),
            _ => None,
        }
    }

    /// Whether it is an error of a class.
    pub fn is_class(&self, class: &str) -> bool {
        self.state().is_some_and(|state| state.starts_with(class))
    }

    /// What kind of answer it is, in a word.
    pub fn word(&self) -> String {
        match self {
            Self::Rows { .. } | Self::Count(_) | Self::Done => "an answer".to_string(),
            Self::Error { state, message } if state == "SQLite" => {
                format!("error {}", message.split(':').next().unwrap_or_default())
            }
            Self::Error { state, .. } => format!("error {state}"),
            Self::Panic(message) => format!("panic {message}"),
        }
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rows { rows, .. } => {
                write!(f, "{} rows", rows.len())?;
                for row in rows.iter().take(40) {
                    let values: Vec<String> = row.iter().map(show).collect();
                    write!(f, "\n--     {}", values.join(" | "))?;
                }
                if rows.len() > 40 { write!(f, "\n--     ...") } else { Ok(()) }
            }
            Self::Count(count) => write!(f, "{count} rows written"),
            Self::Done => write!(f, "done"),
            Self::Error { state, message } => write!(f, "error {state}: {message}"),
            Self::Panic(message) => write!(f, "panic: {message}"),
        }
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("{text:?}"),
        Value::Float(x) if x.is_nan() => format!("NaN of {:x}", x.to_bits()),
        Value::Float(x) => format!("{x:?}"),
        value => value.to_string(),
    }
}

/// How rows are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// In their order, which is total.
    InOrder,
    /// As a bag.
    Bag,
    /// As a set.
    Set,
}

/// Whether two answers that are no errors are the same. Those of SQLite, on the right, are read with the types on the left.
pub fn same(left: &Answer, right: &Answer, how: Rows) -> bool {
    match (left, right) {
        (Answer::Rows { types, rows: a }, Answer::Rows { rows: b, .. }) => {
            let b: Vec<Vec<Value>> = b.iter().map(|row| typed(row, types)).collect();
            same_rows(a.clone(), b, how)
        }
        (Answer::Count(a), Answer::Count(b)) => a == b,
        (Answer::Done, Answer::Done) => true,
        _ => false,
    }
}

/// Whether rows are the same.
pub fn same_rows(mut a: Vec<Vec<Value>>, mut b: Vec<Vec<Value>>, how: Rows) -> bool {
    if how != Rows::InOrder {
        for rows in [&mut a, &mut b] {
            rows.sort_by(|a, b| compare_rows(a, b));
            if how == Rows::Set {
                rows.dedup_by(|a, b| compare_rows(a, b).is_eq());
            }
        }
    }
    a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| compare_rows(a, b).is_eq())
}

/// Compares rows value by value.
pub(super) fn compare_rows(a: &[Value], b: &[Value]) -> Ordering {
    let by_values = a.iter().zip(b).map(|(a, b)| compare(a, b)).find(|order| order.is_ne());
    by_values.unwrap_or_else(|| a.len().cmp(&b.len()))
}

/// A total order, in which the two zeros are one.
fn compare(a: &Value, b: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null => 0,
        Value::Boolean(_) => 1,
        Value::Integer(_) => 2,
        Value::Float(_) => 3,
        Value::Text(_) => 4,
    };
    match (a, b) {
        (Value::Boolean(a), Value::Boolean(b)) => a.cmp(b),
        (Value::Integer(a), Value::Integer(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) if *a == 0.0 && *b == 0.0 => Ordering::Equal,
        (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (a, b) => rank(a).cmp(&rank(b)),
    }
}

/// Values of SQLite in the types of the engine: it has no booleans, and keeps whole floats as integers at times.
fn typed(row: &[Value], types: &[Option<DataType>]) -> Vec<Value> {
    let typed = |(position, value): (usize, &Value)| match (value, types.get(position).copied().flatten()) {
        (Value::Integer(n @ 0..=1), Some(DataType::Boolean)) => Value::Boolean(*n == 1),
        (Value::Integer(n), Some(DataType::Float)) => Value::Float(*n as f64),
        (value, _) => value.clone(),
    };
    row.iter().enumerate().map(typed).collect()
}
