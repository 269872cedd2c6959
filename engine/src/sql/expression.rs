//! Expressions over a row: names are positions, parameters are values, types have been checked.

use std::fmt;

use super::ast::{Binary, Function, Is, Unary};
use super::error::{Error, SqlState};
use super::types::{DataType, Value};

/// A resolved expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    Constant(Value),
    /// The value in a column of the row; the name is for people.
    Column(usize, String),
    Unary(Unary, Box<Self>),
    Binary(Binary, Box<Self>, Box<Self>),
    Is {
        expr: Box<Self>,
        what: Is,
        negated: bool,
    },
    In {
        expr: Box<Self>,
        list: Vec<Self>,
        negated: bool,
    },
    Like {
        expr: Box<Self>,
        pattern: Box<Self>,
        escape: Option<char>,
        negated: bool,
    },
    Case {
        operand: Option<Box<Self>>,
        branches: Vec<(Self, Self)>,
        otherwise: Option<Box<Self>>,
    },
    Cast(Box<Self>, DataType),
    Function(Function, Vec<Self>),
}

type Result<T> = std::result::Result<T, Error>;

impl Expression {
    /// The value for a row.
    pub fn evaluate(&self, row: &[Value]) -> Result<Value> {
        Ok(match self {
            Self::Constant(value) => value.clone(),
            Self::Column(position, _) => row[*position].clone(),
            Self::Unary(op, expr) => unary(*op, expr.evaluate(row)?)?,
            Self::Binary(Binary::And, a, b) => match a.truth(row)? {
                Some(false) => Value::Boolean(false),
                a => match (a, b.truth(row)?) {
                    (_, Some(false)) => Value::Boolean(false),
                    (Some(true), Some(true)) => Value::Boolean(true),
                    _ => Value::Null,
                },
            },
            Self::Binary(Binary::Or, a, b) => match a.truth(row)? {
                Some(true) => Value::Boolean(true),
                a => match (a, b.truth(row)?) {
                    (_, Some(true)) => Value::Boolean(true),
                    (Some(false), Some(false)) => Value::Boolean(false),
                    _ => Value::Null,
                },
            },
            Self::Binary(op, a, b) => binary(*op, a.evaluate(row)?, b.evaluate(row)?)?,
            Self::Is { expr, what, negated } => {
                let value = expr.evaluate(row)?;
                let holds = match what {
                    Is::Null => matches!(value, Value::Null),
                    Is::True => matches!(value, Value::Boolean(true)),
                    Is::False => matches!(value, Value::Boolean(false)),
                };
                Value::Boolean(holds != *negated)
            }
            Self::In { expr, list, negated } => {
                let value = expr.evaluate(row)?;
                let mut unknown = matches!(value, Value::Null);
                let mut found = false;
                for item in list {
                    let item = item.evaluate(row)?;
                    found |= value.compare(&item).is_some_and(std::cmp::Ordering::is_eq);
                    unknown |= matches!(item, Value::Null);
                    if found {
                        break;
                    }
                }
                match (found, unknown) {
                    (true, _) => Value::Boolean(!negated),
                    (false, true) => Value::Null,
                    (false, false) => Value::Boolean(*negated),
                }
            }
            Self::Like { expr, pattern, escape, negated } => match (expr.evaluate(row)?, pattern.evaluate(row)?) {
                (Value::Text(text), Value::Text(pattern)) => {
                    Value::Boolean(like(&text, &pattern, *escape)? != *negated)
                }
                _ => Value::Null,
            },
            Self::Case { operand, branches, otherwise } => {
                let operand = operand.as_ref().map(|operand| operand.evaluate(row)).transpose()?;
                for (condition, result) in branches {
                    let holds = match &operand {
                        Some(operand) => {
                            operand.compare(&condition.evaluate(row)?).is_some_and(std::cmp::Ordering::is_eq)
                        }
                        None => condition.truth(row)? == Some(true),
                    };
                    if holds {
                        return result.evaluate(row);
                    }
                }
                otherwise.as_ref().map_or(Ok(Value::Null), |otherwise| otherwise.evaluate(row))?
            }
            Self::Cast(expr, to) => expr.evaluate(row)?.cast(*to)?,
            Self::Function(function, args) => call(*function, args, row)?,
        })
    }

    /// The truth of a condition; `None` is unknown.
    pub fn truth(&self, row: &[Value]) -> Result<Option<bool>> {
        // Comparisons of columns with values, without copying them: the most frequent conditions.
        if let Self::Binary(op, a, b) = self
            && let (Self::Column(a, _), Self::Constant(b)) = (&**a, &**b)
            && let Some(truth) = comparison(*op, &row[*a], b)
        {
            return Ok(truth);
        }
        match self.evaluate(row)? {
            Value::Boolean(truth) => Ok(Some(truth)),
            Value::Null => Ok(None),
            other => Err(Error::new(SqlState::DATATYPE_MISMATCH, format!("{other} is not a BOOLEAN"))),
        }
    }

    /// The value, if it is the same for all rows and needs no more evaluation.
    pub fn constant(&self) -> Option<&Value> {
        match self {
            Self::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// Evaluates what is the same for all rows once, now. What would fail is left for the execution, which may never get
    /// to it.
    pub fn fold(self) -> Self {
        let foldable = match &self {
            Self::Constant(_) | Self::Column(..) => false,
            Self::Unary(_, expr) | Self::Is { expr, .. } | Self::Cast(expr, _) => expr.constant().is_some(),
            Self::Binary(_, a, b) => a.constant().is_some() && b.constant().is_some(),
            Self::In { expr, list, .. } => {
                expr.constant().is_some() && list.iter().all(|item| item.constant().is_some())
            }
            Self::Like { expr, pattern, .. } => expr.constant().is_some() && pattern.constant().is_some(),
            Self::Function(_, args) => args.iter().all(|arg| arg.constant().is_some()),
            Self::Case { .. } => false,
        };
        if foldable && let Ok(value) = self.evaluate(&[]) {
            return Self::Constant(value);
        }
        self
    }
}

/// A comparison's truth, or `None` if the operator is no comparison.
fn comparison(op: Binary, a: &Value, b: &Value) -> Option<Option<bool>> {
    let order = |test: fn(std::cmp::Ordering) -> bool| {
        if matches!(a, Value::Null) || matches!(b, Value::Null) {
            return None;
        }
        // NaN is unequal to everything, and in no order with anything.
        Some(a.compare(b).map_or(op == Binary::NotEqual, test))
    };
    Some(match op {
        Binary::Equal => order(std::cmp::Ordering::is_eq),
        Binary::NotEqual => order(std::cmp::Ordering::is_ne),
        Binary::Less => order(std::cmp::Ordering::is_lt),
        Binary::LessOrEqual => order(std::cmp::Ordering::is_le),
        Binary::Greater => order(std::cmp::Ordering::is_gt),
        Binary::GreaterOrEqual => order(std::cmp::Ordering::is_ge),
        _ => return None,
    })
}

fn overflow() -> Error {
    Error::new(SqlState::NUMERIC_OUT_OF_RANGE, "INTEGER is out of range")
}

fn division_by_zero() -> Error {
    Error::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

fn mismatch(op: impl fmt::Debug, values: &[&Value]) -> Error {
    let values: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    Error::new(SqlState::UNDEFINED_FUNCTION, format!("{op:?} does not take {}", values.join(" and ")))
}

fn unary(op: Unary, value: Value) -> Result<Value> {
    Ok(match (op, value) {
        (_, Value::Null) => Value::Null,
        (Unary::Plus, value @ (Value::Integer(_) | Value::Float(_))) => value,
        (Unary::Minus, Value::Integer(n)) => Value::Integer(n.checked_neg().ok_or_else(overflow)?),
        (Unary::Minus, Value::Float(x)) => Value::Float(-x),
        (Unary::Not, Value::Boolean(b)) => Value::Boolean(!b),
        (Unary::Factorial, Value::Integer(n)) => {
            if n < 0 {
                let message = "the factorial of a negative number is undefined";
                return Err(Error::new(SqlState::NUMERIC_OUT_OF_RANGE, message));
            }
            // 21! is beyond the range, so this ends soon.
            let product = (1..=n.min(21)).try_fold(1i64, |product, factor| product.checked_mul(factor));
            Value::Integer(product.ok_or_else(overflow)?)
        }
        (op, value) => return Err(mismatch(op, &[&value])),
    })
}

fn binary(op: Binary, a: Value, b: Value) -> Result<Value> {
    use Value::{Float, Integer, Null, Text};
    if let Some(truth) = comparison(op, &a, &b) {
        return Ok(truth.map_or(Null, Value::Boolean));
    }
    Ok(match (a, b) {
        (Null, _) | (_, Null) => Null,
        (Integer(a), Integer(b)) if op != Binary::Concat => Integer(integers(op, a, b)?),
        (Float(a), Float(b)) if op != Binary::Concat => Float(floats(op, a, b)),
        (Integer(a), Float(b)) if op != Binary::Concat => Float(floats(op, a as f64, b)),
        (Float(a), Integer(b)) if op != Binary::Concat => Float(floats(op, a, b as f64)),
        (Text(mut a), b) if op == Binary::Concat => {
            match b {
                Text(b) => a.push_str(&b),
                b => a.push_str(&text(b)?),
            }
            Text(a)
        }
        (a, Text(b)) if op == Binary::Concat => Text(text(a)? + &b),
        (a, b) => return Err(mismatch(op, &[&a, &b])),
    })
}

fn text(value: Value) -> Result<String> {
    match value.cast(DataType::Text)? {
        Value::Text(text) => Ok(text),
        other => Err(mismatch(Binary::Concat, &[&other])),
    }
}

fn integers(op: Binary, a: i64, b: i64) -> Result<i64> {
    match op {
        Binary::Add => a.checked_add(b),
        Binary::Subtract => a.checked_sub(b),
        Binary::Multiply => a.checked_mul(b),
        Binary::Divide | Binary::Remainder if b == 0 => return Err(division_by_zero()),
        Binary::Divide => a.checked_div(b),
        // The least integer divided by -1 overflows; its remainder is 0 all the same.
        Binary::Remainder => Some(a.checked_rem(b).unwrap_or(0)),
        Binary::Power => {
            if b < 0 {
                let message = "a negative exponent of an INTEGER";
                return Err(Error::new(SqlState::NUMERIC_OUT_OF_RANGE, message).with_hint("use a FLOAT"));
            }
            match (a, u32::try_from(b)) {
                (0 | 1, _) => Some(if b == 0 { 1 } else { a }),
                (-1, _) => Some(if b % 2 == 0 { 1 } else { -1 }),
                (_, Ok(b)) => a.checked_pow(b),
                (_, Err(_)) => None,
            }
        }
        _ => unreachable!("{op:?} is no arithmetic"),
    }
    .ok_or_else(overflow)
}

fn floats(op: Binary, a: f64, b: f64) -> f64 {
    match op {
        Binary::Add => a + b,
        Binary::Subtract => a - b,
        Binary::Multiply => a * b,
        Binary::Divide => a / b,
        Binary::Remainder => a % b,
        Binary::Power => power(a, b),
        _ => unreachable!("{op:?} is no arithmetic"),
    }
}

/// Whole exponents by multiplication, which is the same on every platform; the system's function may not be.
fn power(base: f64, exponent: f64) -> f64 {
    if exponent.fract() != 0.0 || exponent.abs() > 1_024.0 {
        return base.powf(exponent);
    }
    let (mut result, mut factor, mut left) = (1.0, base, exponent.abs() as u32);
    while left > 0 {
        if left % 2 == 1 {
            result *= factor;
        }
        factor *= factor;
        left /= 2;
    }
    if exponent < 0.0 { 1.0 / result } else { result }
}

fn call(function: Function, args: &[Expression], row: &[Value]) -> Result<Value> {
    if function == Function::Coalesce {
        for arg in args {
            let value = arg.evaluate(row)?;
            if !matches!(value, Value::Null) {
                return Ok(value);
            }
        }
        return Ok(Value::Null);
    }
    let first = args[0].evaluate(row)?;
    if function == Function::Nullif {
        let equal = first.compare(&args[1].evaluate(row)?).is_some_and(std::cmp::Ordering::is_eq);
        return Ok(if equal { Value::Null } else { first });
    }
    Ok(match (function, first) {
        (_, Value::Null) => Value::Null,
        (Function::Abs, Value::Integer(n)) => Value::Integer(n.checked_abs().ok_or_else(overflow)?),
        (Function::Abs, Value::Float(x)) => Value::Float(x.abs()),
        (Function::Sqrt, Value::Float(x)) => Value::Float(x.sqrt()),
        (Function::Sqrt, Value::Integer(n)) => Value::Float((n as f64).sqrt()),
        (Function::Length, Value::Text(text)) => Value::Integer(text.chars().count() as i64),
        (Function::Lower, Value::Text(text)) => Value::Text(text.to_lowercase()),
        (Function::Upper, Value::Text(text)) => Value::Text(text.to_uppercase()),
        (function, value) => return Err(mismatch(function, &[&value])),
    })
}

/// Whether a text matches a pattern of LIKE: `%` is any text, `_` any character. Takes time in the product of the lengths.
fn like(text: &str, pattern: &str, escape: Option<char>) -> Result<bool> {
    enum Part {
        Any,
        One,
        Char(char),
    }
    let mut parts = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        parts.push(match c {
            c if Some(c) == escape => Part::Char(chars.next().ok_or_else(|| {
                Error::new(SqlState::INVALID_ESCAPE_SEQUENCE, "a LIKE pattern must not end with the escape character")
            })?),
            '%' => Part::Any,
            '_' => Part::One,
            c => Part::Char(c),
        });
    }
    let text: Vec<char> = text.chars().collect();
    // Where the last `%` was met: what follows it may be tried again one character later.
    let (mut t, mut p, mut retry) = (0, 0, None);
    while t < text.len() {
        match parts.get(p) {
            Some(Part::Any) => {
                retry = Some((t, p));
                p += 1;
            }
            Some(Part::One) => (t, p) = (t + 1, p + 1),
            Some(Part::Char(c)) if *c == text[t] => (t, p) = (t + 1, p + 1),
            _ => match retry {
                Some((from, any)) => {
                    retry = Some((from + 1, any));
                    (t, p) = (from + 1, any + 1);
                }
                None => return Ok(false),
            },
        }
    }
    Ok(parts[p..].iter().all(|part| matches!(part, Part::Any)))
}

/// For EXPLAIN.
impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |negated: &bool| if *negated { "NOT " } else { "" };
        match self {
            Self::Constant(Value::Text(text)) => write!(f, "'{}'", text.replace('\'', "''")),
            Self::Constant(Value::Boolean(b)) => f.write_str(if *b { "TRUE" } else { "FALSE" }),
            Self::Constant(value) => write!(f, "{value}"),
            Self::Column(_, name) => f.write_str(name),
            Self::Unary(Unary::Plus, expr) => write!(f, "+{expr}"),
            Self::Unary(Unary::Minus, expr) => write!(f, "-{expr}"),
            Self::Unary(Unary::Not, expr) => write!(f, "NOT {expr}"),
            Self::Unary(Unary::Factorial, expr) => write!(f, "{expr}!"),
            Self::Binary(op, a, b) => write!(f, "({a} {op} {b})"),
            Self::Is { expr, what, negated } => {
                write!(f, "({expr} IS {}{})", not(negated), format!("{what:?}").to_ascii_uppercase())
            }
            Self::In { expr, list, negated } => write!(f, "({expr} {}IN ({}))", not(negated), join(list)),
            Self::Like { expr, pattern, negated, .. } => write!(f, "({expr} {}LIKE {pattern})", not(negated)),
            Self::Case { operand, branches, otherwise } => {
                f.write_str("CASE")?;
                if let Some(operand) = operand {
                    write!(f, " {operand}")?;
                }
                for (condition, result) in branches {
                    write!(f, " WHEN {condition} THEN {result}")?;
                }
                if let Some(otherwise) = otherwise {
                    write!(f, " ELSE {otherwise}")?;
                }
                f.write_str(" END")
            }
            Self::Cast(expr, to) => write!(f, "CAST({expr} AS {to})"),
            Self::Function(function, args) => {
                write!(f, "{}({})", format!("{function:?}").to_ascii_lowercase(), join(args))
            }
        }
    }
}

fn join(list: &[Expression]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Power => "^",
            Self::Concat => "||",
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::And => "AND",
            Self::Or => "OR",
        })
    }
}
