//! Values and their types.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};
pub use smol_str::SmolStr;

use super::error::{Error, SqlState};

/// A value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Value {
    /// Unknown, or absent.
    Null,
    /// True or false.
    Boolean(bool),
    /// 64 bits, signed.
    Integer(i64),
    /// IEEE 754, 64 bits.
    Float(f64),
    /// UTF-8. A short one stands here, without an allocation; a long one is shared by its copies.
    Text(SmolStr),
}

/// The type of a column or an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DataType {
    /// BOOLEAN.
    Boolean,
    /// INTEGER, 64 bits.
    Integer,
    /// FLOAT, 64 bits.
    Float,
    /// TEXT.
    Text,
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name, or alias.
    pub name: String,
    /// Its type; `None` when all that is known is NULL.
    pub datatype: Option<DataType>,
}

/// Identity, as tests and histories need it: NULL equals NULL, and NaN equals NaN. (SQL's `=` is [`Value::compare`].)
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            (Self::Integer(a), Self::Integer(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.total_cmp(b).is_eq(),
            (Self::Text(a), Self::Text(b)) => a == b,
            _ => false,
        }
    }
}

impl Value {
    /// A float as results have it: with one NaN for all. Which one an operation gives depends on the processor and the
    /// compiler, and replicas must not differ.
    pub fn float(x: f64) -> Self {
        Self::Float(one_nan(x))
    }

    /// Some NULLs: places for values, made without copies.
    pub(crate) fn nulls(count: usize) -> impl Iterator<Item = Self> {
        std::iter::repeat_with(|| Self::Null).take(count)
    }

    /// Takes it out of its place, where NULL stays.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Null)
    }

    /// The type; `None` for NULL.
    pub fn datatype(&self) -> Option<DataType> {
        match self {
            Self::Null => None,
            Self::Boolean(_) => Some(DataType::Boolean),
            Self::Integer(_) => Some(DataType::Integer),
            Self::Float(_) => Some(DataType::Float),
            Self::Text(_) => Some(DataType::Text),
        }
    }

    /// SQL's comparison: `None` when either side is NULL, or of a type that does not compare with the other's. Numbers compare
    /// by value, exactly; as in PostgreSQL, NaN is equal to NaN and greater than all other numbers.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Boolean(a), Self::Boolean(b)) => Some(a.cmp(b)),
            (Self::Integer(a), Self::Integer(b)) => Some(a.cmp(b)),
            (Self::Float(a), Self::Float(b)) => Some(a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))),
            (Self::Integer(a), Self::Float(b)) => Some(compare_integer_float(*a, *b)),
            (Self::Float(a), Self::Integer(b)) => Some(compare_integer_float(*b, *a).reverse()),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    /// The order of ORDER BY for values of one type that are not NULL: that of [`Value::compare`].
    pub fn sort_order(&self, other: &Self) -> Ordering {
        self.compare(other).unwrap_or(Ordering::Equal)
    }

    /// Converts to a type as a CAST does.
    pub fn cast(self, to: DataType) -> Result<Self, Error> {
        let out_of_range = |x: &dyn fmt::Display| {
            Error::new(SqlState::NUMERIC_OUT_OF_RANGE, format!("{x} is out of the range of INTEGER"))
        };
        Ok(match (self, to) {
            (Self::Null, _) => Self::Null,
            (value, to) if value.datatype() == Some(to) => value,
            (Self::Integer(n), DataType::Float) => Self::Float(n as f64),
            (Self::Integer(n), DataType::Boolean) => Self::Boolean(n != 0),
            (Self::Boolean(b), DataType::Integer) => Self::Integer(b.into()),
            (Self::Float(x), DataType::Integer) => {
                let rounded = x.round_ties_even();
                // 2^63 is the first float above the range, and -2^63 is in it.
                if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&rounded) {
                    Self::Integer(rounded as i64)
                } else {
                    return Err(out_of_range(&Self::Float(x)));
                }
            }
            (Self::Text(text), DataType::Integer) => {
                use std::num::IntErrorKind::{NegOverflow, PosOverflow};
                if text.trim().parse::<i64>().is_err_and(|error| matches!(error.kind(), NegOverflow | PosOverflow)) {
                    return Err(out_of_range(&text));
                }
                Self::Integer(parse(&text, to, |text| text.parse().ok())?)
            }
            (Self::Text(text), DataType::Float) => Self::float(parse(&text, to, |text| text.parse().ok())?),
            (Self::Text(text), DataType::Boolean) => {
                Self::Boolean(parse(&text, to, |text| match text.to_ascii_lowercase().as_str() {
                    "t" | "true" | "y" | "yes" | "on" | "1" => Some(true),
                    "f" | "false" | "n" | "no" | "off" | "0" => Some(false),
                    _ => None,
                })?)
            }
            (value, DataType::Text) => match value {
                Self::Boolean(b) => if b { "true" } else { "false" }.into(),
                value => value.to_string().into(),
            },
            (value @ (Self::Float(_) | Self::Boolean(_)), to) => {
                return Err(Error::new(SqlState::DATATYPE_MISMATCH, format!("cannot cast {value} to {to}")));
            }
            (value, to) => unreachable!("{value} is of type {to}"),
        })
    }
}

/// The number, or the one NaN. The bits are looked at, and not the float: to an optimizing compiler all NaN are as good, so
/// it takes `if x.is_nan() { f64::NAN } else { x }` for `x`, and the sign of what the processor gave stays.
pub(in crate::sql) fn one_nan(x: f64) -> f64 {
    const INFINITY: u64 = 0x7ff << 52;
    const NAN: u64 = 0x7ff8 << 48;
    let bits = x.to_bits();
    f64::from_bits(if bits & !(1 << 63) > INFINITY { NAN } else { bits })
}

fn parse<T>(text: &str, to: DataType, parse: impl Fn(&str) -> Option<T>) -> Result<T, Error> {
    parse(text.trim()).ok_or_else(|| {
        Error::new(SqlState::INVALID_TEXT_REPRESENTATION, format!("{text:?} is not a value of type {to}"))
    })
}

/// Compares by value, without rounding the integer.
fn compare_integer_float(a: i64, b: f64) -> Ordering {
    if b.is_nan() || b >= 9_223_372_036_854_775_808.0 {
        Ordering::Less
    } else if b < -9_223_372_036_854_775_808.0 {
        Ordering::Greater
    } else {
        let whole = b.trunc();
        a.cmp(&(whole as i64)).then_with(|| 0.0f64.total_cmp(&((b - whole) + 0.0)))
    }
}

/// As PostgreSQL prints them.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Boolean(true) => f.write_str("t"),
            Self::Boolean(false) => f.write_str("f"),
            Self::Integer(n) => write!(f, "{n}"),
            Self::Float(x) if x.is_nan() => f.write_str("NaN"),
            Self::Float(x) if x.is_infinite() => f.write_str(if *x > 0.0 { "Infinity" } else { "-Infinity" }),
            Self::Float(x) if *x != 0.0 && !(1e-4..1e15).contains(&x.abs()) => {
                let text = format!("{x:e}");
                let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
                let (sign, digits) = exponent.strip_prefix('-').map_or(("+", exponent), |digits| ("-", digits));
                write!(f, "{mantissa}e{sign}{digits:0>2}")
            }
            Self::Float(x) => write!(f, "{x}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "BOOLEAN",
            Self::Integer => "INTEGER",
            Self::Float => "FLOAT",
            Self::Text => "TEXT",
        })
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Self {
        Self::Integer(n)
    }
}

impl From<f64> for Value {
    fn from(x: f64) -> Self {
        Self::Float(one_nan(x))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Self::Boolean(b)
    }
}
