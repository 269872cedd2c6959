//! Functions of numbers.
//!
//! Floats are IEEE 754's: what has no value is NaN, and what is too large is infinite. Integers are checked.

use super::super::error::{Error, SqlState};
use super::super::types::{DataType, Value};
use super::{Argument, Scalar, mismatch};

const INTEGER: Argument = Argument::INTEGER;
const FLOAT: Argument = Argument::FLOAT;

pub(super) static FUNCTIONS: &[Scalar] = &[
    Scalar::new("abs", &[INTEGER], DataType::Integer, |args| {
        integer("abs", args, |n| n.checked_abs().ok_or_else(overflow))
    }),
    Scalar::new("abs", &[FLOAT], DataType::Float, |args| float("abs", args, f64::abs)),
    Scalar::new("sign", &[INTEGER], DataType::Integer, |args| integer("sign", args, |n| Ok(n.signum()))),
    Scalar::new("sign", &[FLOAT], DataType::Float, |args| {
        float("sign", args, |x| if x == 0.0 || x.is_nan() { x } else { x.signum() })
    }),
    Scalar::new("ceil", &[INTEGER], DataType::Integer, |args| integer("ceil", args, Ok)),
    Scalar::new("ceil", &[FLOAT], DataType::Float, |args| float("ceil", args, f64::ceil)),
    Scalar::new("ceiling", &[INTEGER], DataType::Integer, |args| integer("ceiling", args, Ok)),
    Scalar::new("ceiling", &[FLOAT], DataType::Float, |args| float("ceiling", args, f64::ceil)),
    Scalar::new("floor", &[INTEGER], DataType::Integer, |args| integer("floor", args, Ok)),
    Scalar::new("floor", &[FLOAT], DataType::Float, |args| float("floor", args, f64::floor)),
    Scalar::new("round", &[INTEGER], DataType::Integer, |args| integer("round", args, Ok)),
    Scalar::new("round", &[FLOAT], DataType::Float, |args| float("round", args, f64::round)),
    Scalar::new("round", &[FLOAT, INTEGER], DataType::Float, |args| to_digits("round", args, f64::round)),
    Scalar::new("trunc", &[INTEGER], DataType::Integer, |args| integer("trunc", args, Ok)),
    Scalar::new("trunc", &[FLOAT], DataType::Float, |args| float("trunc", args, f64::trunc)),
    Scalar::new("trunc", &[FLOAT, INTEGER], DataType::Float, |args| to_digits("trunc", args, f64::trunc)),
    Scalar::new("mod", &[INTEGER, INTEGER], DataType::Integer, |args| {
        integers("mod", args, |a, b| {
            let zero = || Error::new(SqlState::DIVISION_BY_ZERO, "division by zero");
            // The remainder by -1 is 0, also where the quotient is out of range.
            if b == 0 { Err(zero()) } else { Ok(a.checked_rem(b).unwrap_or(0)) }
        })
    }),
    Scalar::new("mod", &[FLOAT, FLOAT], DataType::Float, |args| floats("mod", args, |a, b| a % b)),
    Scalar::new("div", &[INTEGER, INTEGER], DataType::Integer, |args| {
        integers("div", args, |a, b| {
            let zero = || Error::new(SqlState::DIVISION_BY_ZERO, "division by zero");
            if b == 0 { Err(zero()) } else { a.checked_div(b).ok_or_else(overflow) }
        })
    }),
    Scalar::new("gcd", &[INTEGER, INTEGER], DataType::Integer, |args| {
        integers("gcd", args, |a, b| {
            let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
            while b != 0 {
                (a, b) = (b, a % b);
            }
            i64::try_from(a).map_err(|_| overflow())
        })
    }),
    Scalar::new("sqrt", &[FLOAT], DataType::Float, |args| float("sqrt", args, f64::sqrt)),
    Scalar::new("cbrt", &[FLOAT], DataType::Float, |args| float("cbrt", args, libm::cbrt)),
    Scalar::new("exp", &[FLOAT], DataType::Float, |args| float("exp", args, libm::exp)),
    Scalar::new("ln", &[FLOAT], DataType::Float, |args| float("ln", args, libm::log)),
    Scalar::new("log", &[FLOAT], DataType::Float, |args| float("log", args, libm::log10)),
    Scalar::new("log", &[FLOAT, FLOAT], DataType::Float, |args| {
        floats("log", args, |base, x| libm::log(x) / libm::log(base))
    }),
    Scalar::new("log10", &[FLOAT], DataType::Float, |args| float("log10", args, libm::log10)),
    Scalar::new("log2", &[FLOAT], DataType::Float, |args| float("log2", args, libm::log2)),
    Scalar::new("power", &[FLOAT, FLOAT], DataType::Float, |args| floats("power", args, libm::pow)),
    Scalar::new("pow", &[FLOAT, FLOAT], DataType::Float, |args| floats("pow", args, libm::pow)),
    Scalar::new("pi", &[], DataType::Float, |_| Ok(Value::Float(std::f64::consts::PI))),
    Scalar::new("degrees", &[FLOAT], DataType::Float, |args| float("degrees", args, f64::to_degrees)),
    Scalar::new("radians", &[FLOAT], DataType::Float, |args| float("radians", args, f64::to_radians)),
    Scalar::new("sin", &[FLOAT], DataType::Float, |args| float("sin", args, libm::sin)),
    Scalar::new("cos", &[FLOAT], DataType::Float, |args| float("cos", args, libm::cos)),
    Scalar::new("tan", &[FLOAT], DataType::Float, |args| float("tan", args, libm::tan)),
    Scalar::new("asin", &[FLOAT], DataType::Float, |args| float("asin", args, libm::asin)),
    Scalar::new("acos", &[FLOAT], DataType::Float, |args| float("acos", args, libm::acos)),
    Scalar::new("atan", &[FLOAT], DataType::Float, |args| float("atan", args, libm::atan)),
    Scalar::new("atan2", &[FLOAT, FLOAT], DataType::Float, |args| floats("atan2", args, libm::atan2)),
];

fn overflow() -> Error {
    Error::new(SqlState::NUMERIC_OUT_OF_RANGE, "INTEGER is out of range")
}

fn integer(name: &str, args: &[&Value], f: impl Fn(i64) -> Result<i64, Error>) -> Result<Value, Error> {
    match args {
        [Value::Integer(n)] => f(*n).map(Value::Integer),
        _ => Err(mismatch(name, args)),
    }
}

fn integers(name: &str, args: &[&Value], f: impl Fn(i64, i64) -> Result<i64, Error>) -> Result<Value, Error> {
    match args {
        [Value::Integer(a), Value::Integer(b)] => f(*a, *b).map(Value::Integer),
        _ => Err(mismatch(name, args)),
    }
}

fn float(name: &str, args: &[&Value], f: impl Fn(f64) -> f64) -> Result<Value, Error> {
    match args {
        [Value::Float(x)] => Ok(Value::float(f(*x))),
        _ => Err(mismatch(name, args)),
    }
}

fn floats(name: &str, args: &[&Value], f: impl Fn(f64, f64) -> f64) -> Result<Value, Error> {
    match args {
        [Value::Float(a), Value::Float(b)] => Ok(Value::float(f(*a, *b))),
        _ => Err(mismatch(name, args)),
    }
}

/// Rounds to a number of decimal digits after the point, or before it if that is negative.
fn to_digits(name: &str, args: &[&Value], round: impl Fn(f64) -> f64) -> Result<Value, Error> {
    let [Value::Float(x), Value::Integer(digits)] = args else { return Err(mismatch(name, args)) };
    // Beyond these, a float has no such digits, or nothing but them.
    let digits = (*digits).clamp(-330, 330) as i32;
    // Powers of ten are exact up to 22. What is scaled beyond the range has no digits to round there.
    let power = libm::pow(10.0, f64::from(digits.abs()));
    let rounded = if digits >= 0 { round(x * power) / power } else { round(x / power) * power };
    Ok(Value::float(if rounded.is_finite() { rounded } else { *x }))
}
