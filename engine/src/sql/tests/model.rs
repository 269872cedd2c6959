//! What expressions and statements of the tests mean, written down a second time.

use std::cmp::Ordering;

use super::generate::{Column, Expr, Select, Statement};
use crate::sql::SqlState;
use crate::sql::types::{DataType, Value};

/// Evaluation failed somewhere, perhaps where the engine never gets to: what the statement does is not for the model.
#[derive(Debug)]
pub(super) struct Unclear;

type Result<T> = std::result::Result<T, Unclear>;

/// What a statement must do.
#[derive(Debug)]
pub(super) enum Expected {
    /// Rows, in this order if it is one.
    Rows(Vec<Vec<Value>>, bool),
    /// The number of rows that are written.
    Count(u64),
    /// One of these errors.
    Fails(Vec<SqlState>),
}

/// The table: rows in no order.
pub(super) struct Model {
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Value>>,
}

impl Model {
    /// What a statement does. It changes the rows if it succeeds.
    pub fn run(&mut self, statement: &Statement) -> Result<Expected> {
        match statement {
            Statement::Insert(new) => {
                let mut rows = self.rows.clone();
                for row in new {
                    let values = row.iter().zip(&self.columns).map(|(value, column)| match value {
                        Some(value) => assign(value.evaluate(&[])?, column.datatype),
                        None => Ok(Value::Null),
                    });
                    rows.push(values.collect::<Result<_>>()?);
                }
                Ok(self.replace(rows, new.len()))
            }
            Statement::Update(assignments, filter) => {
                let mut rows = self.rows.clone();
                let mut count = 0;
                for (position, value) in assignments {
                    assign(value.evaluate(&self.nulls())?, self.columns[*position].datatype)?;
                }
                let hits = self.hits(filter.as_ref())?;
                for (row, _) in rows.iter_mut().zip(hits).filter(|(_, hit)| *hit) {
                    count += 1;
                    let old = row.clone();
                    for (position, value) in assignments {
                        row[*position] = assign(value.evaluate(&old)?, self.columns[*position].datatype)?;
                    }
                }
                Ok(self.replace(rows, count))
            }
            Statement::Delete(filter) => {
                let hits = self.hits(filter.as_ref())?;
                let before = self.rows.len();
                let mut hits = hits.into_iter();
                self.rows.retain(|_| hits.next() == Some(false));
                Ok(Expected::Count((before - self.rows.len()) as u64))
            }
            Statement::Select(select) => self.select(select),
        }
    }

    fn nulls(&self) -> Vec<Value> {
        vec![Value::Null; self.columns.len()]
    }

    /// For which rows a condition is true.
    fn hits(&self, filter: Option<&Expr>) -> Result<Vec<bool>> {
        let Some(filter) = filter else { return Ok(vec![true; self.rows.len()]) };
        // What fails without looking at a row may fail early.
        filter.evaluate(&self.nulls())?;
        self.rows.iter().map(|row| Ok(filter.evaluate(row)? == Value::Boolean(true))).collect()
    }

    /// Takes the rows if they keep the constraints.
    fn replace(&mut self, rows: Vec<Vec<Value>>, count: usize) -> Expected {
        let mut errors = Vec::new();
        for (position, column) in self.columns.iter().enumerate() {
            let values = || rows.iter().map(|row| &row[position]);
            if !column.nullable && values().any(|value| *value == Value::Null) {
                errors.push(SqlState::NOT_NULL_VIOLATION);
            }
            let equal = |(i, a): (usize, &Value)| values().skip(i + 1).any(|b| compare(a, b) == Some(Ordering::Equal));
            if (position == 0 || column.unique) && values().enumerate().any(equal) {
                errors.push(SqlState::UNIQUE_VIOLATION);
            }
        }
        if !errors.is_empty() {
            return Expected::Fails(errors);
        }
        self.rows = rows;
        Expected::Count(count as u64)
    }

    fn select(&self, select: &Select) -> Result<Expected> {
        let Select { items, filter, order, limit, offset } = select;
        let mut found = Vec::new();
        for (row, hit) in self.rows.iter().zip(self.hits(filter.as_ref())?) {
            let keys = order.iter().map(|(expr, ..)| expr.evaluate(row)).collect::<Result<Vec<_>>>()?;
            let mut result = row.clone();
            for item in items {
                result.push(item.evaluate(row)?);
            }
            if hit {
                found.push((keys, result));
            }
        }
        for item in items {
            item.evaluate(&self.nulls())?;
        }
        found.sort_by(|(a, _), (b, _)| {
            let keys = a.iter().zip(b).zip(order).map(|((a, b), (_, descending, nulls_first))| {
                let nulls_first = nulls_first.unwrap_or(*descending);
                match (*a == Value::Null, *b == Value::Null) {
                    (true, true) => Ordering::Equal,
                    (true, false) if nulls_first => Ordering::Less,
                    (true, false) => Ordering::Greater,
                    (false, true) if nulls_first => Ordering::Greater,
                    (false, true) => Ordering::Less,
                    (false, false) => {
                        let ascending = compare(a, b).unwrap_or(Ordering::Equal);
                        if *descending { ascending.reverse() } else { ascending }
                    }
                }
            });
            keys.fold(Ordering::Equal, Ordering::then)
        });
        let rows = found.into_iter().map(|(_, row)| row);
        if order.is_empty() {
            // Which rows a limit lets through is open: the test looks at their number.
            return Ok(Expected::Rows(rows.collect(), false));
        }
        let rows = rows.skip(offset.unwrap_or(0) as usize).take(limit.map_or(usize::MAX, |limit| limit as usize));
        Ok(Expected::Rows(rows.collect(), true))
    }
}

/// SQL's order of two values: exact between numbers, of which NaN is the greatest, and none with NULL.
pub(super) fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Boolean(a), Value::Boolean(b)) => Some(a.cmp(b)),
        (Value::Text(a), Value::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        (Value::Integer(a), Value::Integer(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => match (a.is_nan(), b.is_nan()) {
            (true, true) => Some(Ordering::Equal),
            (true, false) => Some(Ordering::Greater),
            (false, true) => Some(Ordering::Less),
            (false, false) => a.partial_cmp(b),
        },
        (Value::Integer(a), Value::Float(b)) => against(*a, *b),
        (Value::Float(a), Value::Integer(b)) => against(*b, *a).map(Ordering::reverse),
        _ => None,
    }
}

fn against(a: i64, b: f64) -> Option<Ordering> {
    if b.is_nan() {
        return Some(Ordering::Less);
    }
    if b.abs() > 1e30 {
        return 0.0.partial_cmp(&b);
    }
    let floor = b.floor();
    Some(i128::from(a).cmp(&(floor as i128)).then(if b > floor { Ordering::Less } else { Ordering::Equal }))
}

fn assign(value: Value, to: DataType) -> Result<Value> {
    Ok(match cast(value, to)? {
        Value::Float(0.0) => Value::Float(0.0),
        value => value,
    })
}

fn cast(value: Value, to: DataType) -> Result<Value> {
    Ok(match (value, to) {
        (Value::Null, _) => Value::Null,
        (Value::Integer(n), DataType::Float) => Value::Float(n as f64),
        (Value::Boolean(b), DataType::Integer) => Value::Integer(i64::from(b)),
        (Value::Float(x), DataType::Integer) => {
            // Halves go to the even side.
            let (below, rest) = (x.floor(), x - x.floor());
            let up = rest > 0.5 || rest == 0.5 && below % 2.0 != 0.0;
            integer(if x.abs() < 1e30 { Some(below as i128 + i128::from(up)) } else { None })?
        }
        (Value::Boolean(b), DataType::Text) => Value::from(b.to_string()),
        (value @ (Value::Integer(_) | Value::Float(_)), DataType::Text) => Value::from(value.to_string()),
        (value, to) => {
            assert_eq!(value.datatype(), Some(to), "the generator casts nothing else");
            value
        }
    })
}

fn integer(n: Option<i128>) -> Result<Value> {
    n.and_then(|n| i64::try_from(n).ok()).map(Value::Integer).ok_or(Unclear)
}

fn float(x: f64) -> Value {
    Value::Float(if x.is_nan() { f64::NAN } else { x })
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Null => None,
        Value::Boolean(b) => Some(*b),
        other => panic!("{other} is no condition"),
    }
}

fn boolean(truth: Option<bool>) -> Value {
    truth.map_or(Value::Null, Value::Boolean)
}

/// Kleene's conjunction: the lesser of the two, where unknown lies between false and true.
fn all(truths: &[Option<bool>]) -> Option<bool> {
    let rank = |truth: &Option<bool>| truth.map_or(1, |truth| 2 * u8::from(truth));
    truths.iter().copied().min_by_key(rank).unwrap_or(Some(true))
}

fn any(truths: &[Option<bool>]) -> Option<bool> {
    let negated: Vec<Option<bool>> = truths.iter().map(|truth| truth.map(|truth| !truth)).collect();
    all(&negated).map(|truth| !truth)
}

fn holds(op: &str, a: &Value, b: &Value) -> Option<bool> {
    if *a == Value::Null || *b == Value::Null {
        return None;
    }
    let order = compare(a, b);
    Some(match op {
        "=" => order == Some(Ordering::Equal),
        "<>" => order != Some(Ordering::Equal),
        "<" => order == Some(Ordering::Less),
        ">" => order == Some(Ordering::Greater),
        "<=" => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        ">=" => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        other => panic!("{other} is no comparison"),
    })
}

fn arithmetic(op: &str, a: &Value, b: &Value) -> Result<Value> {
    let (x, y) = match (a, b) {
        (Value::Null, _) | (_, Value::Null) => return Ok(Value::Null),
        (Value::Integer(a), Value::Integer(b)) => {
            let (a, b) = (i128::from(*a), i128::from(*b));
            return integer(match op {
                "+" => Some(a + b),
                "-" => Some(a - b),
                "*" => Some(a * b),
                "/" if b != 0 => Some(a / b),
                "%" if b != 0 => Some(a % b),
                "^" if b >= 0 => {
                    let mut power = 1i128;
                    // Beyond 200 factors only 0, 1 and -1 stay in range, and they repeat.
                    for _ in 0..b.min(200 + b % 2) {
                        power = power.saturating_mul(a);
                    }
                    Some(power)
                }
                _ => None,
            });
        }
        (Value::Float(a), Value::Float(b)) => (*a, *b),
        (Value::Integer(a), Value::Float(b)) => (*a as f64, *b),
        (Value::Float(a), Value::Integer(b)) => (*a, *b as f64),
        other => panic!("{other:?} are no numbers"),
    };
    Ok(float(match op {
        "+" => x + y,
        "-" => x - y,
        "*" => x * y,
        "/" => x / y,
        "%" => x % y,
        "^" => libm::pow(x, y),
        other => panic!("{other} is no arithmetic"),
    }))
}

fn like(text: &[char], pattern: &[char]) -> Result<bool> {
    Ok(match pattern {
        [] => text.is_empty(),
        ['\\'] => return Err(Unclear),
        ['\\', c, rest @ ..] => text.first() == Some(c) && like(&text[1..], rest)?,
        ['%', rest @ ..] => {
            let mut found = false;
            for skipped in 0..=text.len() {
                found |= like(&text[skipped..], rest)?;
            }
            found
        }
        ['_', rest @ ..] => !text.is_empty() && like(&text[1..], rest)?,
        [c, rest @ ..] => text.first() == Some(c) && like(&text[1..], rest)?,
    })
}

impl Expr {
    /// The value for a row. Everything is evaluated, whether it decides or not.
    pub fn evaluate(&self, row: &[Value]) -> Result<Value> {
        let convert = |value: Value| match self.datatype() {
            Some(DataType::Float) => cast(value, DataType::Float),
            _ => Ok(value),
        };
        Ok(match self {
            Self::Literal(value) | Self::Parameter(value) => value.clone(),
            Self::Column(position, ..) => row[*position].clone(),
            Self::Unary(op, expr) => match (*op, expr.evaluate(row)?) {
                (_, Value::Null) => Value::Null,
                ("+", value) => value,
                ("-", Value::Integer(n)) => integer(Some(-i128::from(n)))?,
                ("-", Value::Float(x)) => float(-x),
                ("NOT", Value::Boolean(b)) => Value::Boolean(!b),
                other => panic!("{other:?}"),
            },
            Self::Binary(op, a, b) => {
                let (a, b) = (a.evaluate(row)?, b.evaluate(row)?);
                match *op {
                    "AND" => boolean(all(&[truth(&a), truth(&b)])),
                    "OR" => boolean(any(&[truth(&a), truth(&b)])),
                    "=" | "<>" | "<" | "<=" | ">" | ">=" => boolean(holds(op, &a, &b)),
                    "||" => match (cast(a, DataType::Text)?, cast(b, DataType::Text)?) {
                        (Value::Text(a), Value::Text(b)) => Value::from(format!("{a}{b}")),
                        _ => Value::Null,
                    },
                    op => arithmetic(op, &a, &b)?,
                }
            }
            Self::Is(expr, what, negated) => {
                let value = expr.evaluate(row)?;
                let is = match *what {
                    "TRUE" => value == Value::Boolean(true),
                    "FALSE" => value == Value::Boolean(false),
                    _ => value == Value::Null,
                };
                Value::Boolean(is != *negated)
            }
            Self::In(expr, list, negated) => {
                let value = expr.evaluate(row)?;
                let equal = list.iter().map(|item| Ok(holds("=", &value, &item.evaluate(row)?)));
                let found = any(&equal.collect::<Result<Vec<_>>>()?);
                boolean(found.map(|found| found != *negated))
            }
            Self::Between(expr, low, high, negated) => {
                let (value, low, high) = (expr.evaluate(row)?, low.evaluate(row)?, high.evaluate(row)?);
                let within = all(&[holds(">=", &value, &low), holds("<=", &value, &high)]);
                boolean(within.map(|within| within != *negated))
            }
            Self::Like(expr, pattern, negated) => match (expr.evaluate(row)?, pattern.evaluate(row)?) {
                (Value::Text(text), Value::Text(pattern)) => {
                    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
                    // A pattern that is malformed is so whatever the text.
                    if pattern.ends_with(&['\\']) && !pattern.ends_with(&['\\', '\\']) {
                        return Err(Unclear);
                    }
                    Value::Boolean(like(&text, &pattern)? != *negated)
                }
                _ => Value::Null,
            },
            Self::Case(branches, otherwise) => {
                let mut result = None;
                for (condition, value) in branches {
                    let (condition, value) = (condition.evaluate(row)?, value.evaluate(row)?);
                    if truth(&condition) == Some(true) && result.is_none() {
                        result = Some(value);
                    }
                }
                let otherwise = otherwise.as_ref().map_or(Ok(Value::Null), |otherwise| otherwise.evaluate(row))?;
                convert(result.unwrap_or(otherwise))?
            }
            Self::Cast(expr, to) => cast(expr.evaluate(row)?, *to)?,
            Self::Call(name, args) => {
                let mut values = args.iter().map(|arg| arg.evaluate(row)).collect::<Result<Vec<_>>>()?;
                match *name {
                    "COALESCE" => {
                        convert(values.into_iter().find(|value| *value != Value::Null).unwrap_or(Value::Null))?
                    }
                    "NULLIF" if holds("=", &values[0], &values[1]) == Some(true) => Value::Null,
                    "NULLIF" => values.swap_remove(0),
                    name => match (name, &values[0]) {
                        (_, Value::Null) => Value::Null,
                        ("ABS", Value::Integer(n)) => integer(Some(i128::from(*n).abs()))?,
                        ("ABS", Value::Float(x)) => float(x.abs()),
                        ("LENGTH", Value::Text(text)) => Value::Integer(text.chars().count() as i64),
                        ("UPPER", Value::Text(text)) => Value::from(text.to_uppercase()),
                        ("LOWER", Value::Text(text)) => Value::from(text.to_lowercase()),
                        other => panic!("{other:?}"),
                    },
                }
            }
        })
    }
}
