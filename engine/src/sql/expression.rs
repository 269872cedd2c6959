//! Expressions over a row: names are positions, parameters are values, types have been checked.

use std::borrow::Cow;
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
    Between {
        expr: Box<Self>,
        low: Box<Self>,
        high: Box<Self>,
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

/// The longest text that operators make, in bytes.
const MAX_TEXT: usize = 16 << 20;

type Result<T> = std::result::Result<T, Error>;

impl Expression {
    /// The value for a row.
    pub fn evaluate(&self, row: &[Value]) -> Result<Value> {
        Ok(match self {
            Self::Constant(value) => value.clone(),
            Self::Column(position, _) => row[*position].clone(),
            Self::Unary(op, expr) if *op != Unary::Not => unary(*op, expr.evaluate(row)?)?,
            Self::Binary(op, a, b) if op.is_scalar() => binary(*op, a.evaluate(row)?, b.evaluate(row)?)?,
            Self::Case { operand, branches, otherwise } => {
                let operand = operand.as_ref().map(|operand| operand.value(row)).transpose()?;
                for (condition, result) in branches {
                    let holds = match &operand {
                        Some(operand) => comparison(Binary::Equal, operand, &*condition.value(row)?),
                        None => condition.truth(row)?,
                    };
                    if holds == Some(true) {
                        return result.evaluate(row);
                    }
                }
                otherwise.as_ref().map_or(Ok(Value::Null), |otherwise| otherwise.evaluate(row))?
            }
            Self::Cast(expr, to) => expr.evaluate(row)?.cast(*to)?,
            Self::Function(function, args) => call(*function, args, row)?,
            condition => condition.truth(row)?.map_or(Value::Null, Value::Boolean),
        })
    }

    /// The value for a row, borrowed where it is in the row or in the expression.
    fn value<'a>(&'a self, row: &'a [Value]) -> Result<Cow<'a, Value>> {
        Ok(match self {
            Self::Constant(value) => Cow::Borrowed(value),
            Self::Column(position, _) => Cow::Borrowed(&row[*position]),
            other => Cow::Owned(other.evaluate(row)?),
        })
    }

    /// The truth of a condition for a row; `None` is unknown.
    pub fn truth(&self, row: &[Value]) -> Result<Option<bool>> {
        let negate = |truth: Option<bool>, negated: &bool| truth.map(|truth| truth != *negated);
        Ok(match self {
            Self::Unary(Unary::Not, expr) => negate(expr.truth(row)?, &true),
            Self::Binary(Binary::And, a, b) => match a.truth(row)? {
                Some(false) => Some(false),
                a => and(a, b.truth(row)?),
            },
            Self::Binary(Binary::Or, a, b) => match a.truth(row)? {
                Some(true) => Some(true),
                a => or(a, b.truth(row)?),
            },
            Self::Binary(op, a, b) if !op.is_scalar() => comparison(*op, &*a.value(row)?, &*b.value(row)?),
            Self::Is { expr, what, negated } => {
                let holds = match (what, &*expr.value(row)?) {
                    (Is::Null | Is::Unknown, value) => matches!(value, Value::Null),
                    (Is::True, value) => matches!(value, Value::Boolean(true)),
                    (Is::False, value) => matches!(value, Value::Boolean(false)),
                };
                Some(holds != *negated)
            }
            Self::In { expr, list, negated } => {
                let value = expr.value(row)?;
                let mut found = Some(false);
                for item in list {
                    found = or(found, comparison(Binary::Equal, &value, &*item.value(row)?));
                    if found == Some(true) {
                        break;
                    }
                }
                negate(found, negated)
            }
            Self::Between { expr, low, high, negated } => {
                let value = expr.value(row)?;
                let within = match comparison(Binary::GreaterOrEqual, &value, &*low.value(row)?) {
                    Some(false) => Some(false),
                    above => and(above, comparison(Binary::LessOrEqual, &value, &*high.value(row)?)),
                };
                negate(within, negated)
            }
            Self::Like { expr, pattern, escape, negated } => match (&*expr.value(row)?, &*pattern.value(row)?) {
                (Value::Text(text), Value::Text(pattern)) => Some(like(text, pattern, *escape)? != *negated),
                _ => None,
            },
            other => match &*other.value(row)? {
                Value::Boolean(truth) => Some(*truth),
                Value::Null => None,
                other => unreachable!("the planner lets no {other:?} be a condition"),
            },
        })
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
            Self::Between { expr, low, high, .. } => [expr, low, high].iter().all(|part| part.constant().is_some()),
            Self::Case { .. } => false,
        };
        if foldable && let Ok(value) = self.evaluate(&[]) {
            return Self::Constant(value);
        }
        // A side that decides before the other is evaluated, or that leaves the decision to the other.
        match self {
            Self::Binary(op @ (Binary::And | Binary::Or), a, b) => match (*a, *b) {
                (Self::Constant(Value::Boolean(a)), b) => {
                    if a == (op == Binary::And) {
                        b
                    } else {
                        Self::Constant(Value::Boolean(a))
                    }
                }
                (a, Self::Constant(Value::Boolean(b))) if b == (op == Binary::And) => a,
                (a, b) => Self::Binary(op, Box::new(a), Box::new(b)),
            },
            other => other,
        }
    }
}

/// AND of what may be unknown.
fn and(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

/// OR of what may be unknown.
fn or(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

/// The truth of a comparison.
fn comparison(op: Binary, a: &Value, b: &Value) -> Option<bool> {
    if matches!(a, Value::Null) || matches!(b, Value::Null) {
        return None;
    }
    // NaN is unequal to everything, and in no order with anything.
    let Some(order) = a.compare(b) else { return Some(op == Binary::NotEqual) };
    Some(match op {
        Binary::Equal => order.is_eq(),
        Binary::NotEqual => order.is_ne(),
        Binary::Less => order.is_lt(),
        Binary::LessOrEqual => order.is_le(),
        Binary::Greater => order.is_gt(),
        Binary::GreaterOrEqual => order.is_ge(),
        other => unreachable!("{other:?} is no comparison"),
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
        (Unary::Minus, Value::Float(x)) => Value::float(-x),
        (Unary::Not, Value::Boolean(b)) => Value::Boolean(!b),
        (Unary::Factorial, Value::Integer(n)) => {
            if n < 0 {
                let message = "the factorial of a negative number is undefined";
                return Err(Error::new(SqlState::NUMERIC_OUT_OF_RANGE, message));
            }
            // 21! is beyond the range, so this ends soon.
            let product = (1..=n.min(21)).try_fold(1, i64::checked_mul);
            Value::Integer(product.ok_or_else(overflow)?)
        }
        (op, value) => return Err(mismatch(op, &[&value])),
    })
}

fn binary(op: Binary, a: Value, b: Value) -> Result<Value> {
    use Value::{Float, Integer, Null, Text};
    Ok(match (a, b) {
        (Null, _) | (_, Null) => Null,
        (Integer(a), Integer(b)) if op != Binary::Concat => Integer(integers(op, a, b)?),
        (Float(a), Float(b)) if op != Binary::Concat => Value::float(floats(op, a, b)),
        (Integer(a), Float(b)) if op != Binary::Concat => Value::float(floats(op, a as f64, b)),
        (Float(a), Integer(b)) if op != Binary::Concat => Value::float(floats(op, a, b as f64)),
        (a, b) if op == Binary::Concat => {
            let (mut a, b) = (text(a)?, text(b)?);
            let length = a.len() + b.len();
            if length > MAX_TEXT {
                let message = format!("a text has {length} bytes, at most {MAX_TEXT} are allowed");
                return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
            }
            a.push_str(&b);
            Text(a)
        }
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
        // The system's function may differ from platform to platform.
        Binary::Power => libm::pow(a, b),
        _ => unreachable!("{op:?} is no arithmetic"),
    }
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
        (Function::Abs, Value::Float(x)) => Value::float(x.abs()),
        (Function::Sqrt, Value::Float(x)) => Value::float(x.sqrt()),
        (Function::Sqrt, Value::Integer(n)) => Value::float((n as f64).sqrt()),
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

/// A value as a statement writes it, for EXPLAIN.
pub(super) struct Literal<'a>(pub &'a Value);

impl fmt::Display for Literal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
            Value::Boolean(b) => f.write_str(if *b { "TRUE" } else { "FALSE" }),
            value => value.fmt(f),
        }
    }
}

/// For EXPLAIN.
impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |negated: &bool| if *negated { "NOT " } else { "" };
        match self {
            Self::Constant(value) => Literal(value).fmt(f),
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
            Self::Between { expr, low, high, negated } => {
                write!(f, "({expr} {}BETWEEN {low} AND {high})", not(negated))
            }
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
