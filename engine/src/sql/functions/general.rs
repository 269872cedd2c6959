//! Functions of values of any type.

use std::cmp::Ordering;

use super::super::types::{DataType, Value};
use super::{Argument, Output, Scalar, mismatch};

const COMMON: Argument = Argument::Common;

pub(super) static FUNCTIONS: &[Scalar] = &[
    // These two are never called: what they resolve to evaluates no argument after the one that it gives.
    Scalar::general("coalesce", &[COMMON], Some(COMMON), Output::Common, first_known),
    Scalar::general("ifnull", &[COMMON, COMMON], None, Output::Common, first_known),
    Scalar::general("nullif", &[COMMON, COMMON], None, Output::Common, |args| match args {
        [a, b] if a.compare(b).is_some_and(Ordering::is_eq) => Ok(Value::Null),
        [a, _] => Ok((*a).clone()),
        _ => Err(mismatch("nullif", args)),
    }),
    Scalar::general("greatest", &[COMMON], Some(COMMON), Output::Common, |args| Ok(extreme(args, Ordering::Greater))),
    Scalar::general("least", &[COMMON], Some(COMMON), Output::Common, |args| Ok(extreme(args, Ordering::Less))),
    Scalar::general("typeof", &[Argument::Any], None, Output::Is(DataType::Text), type_name),
    Scalar::general("pg_typeof", &[Argument::Any], None, Output::Is(DataType::Text), type_name),
    Scalar::general("num_nulls", &[Argument::Any], Some(Argument::Any), Output::Is(DataType::Integer), |args| {
        Ok(Value::Integer(args.iter().filter(|value| matches!(value, Value::Null)).count() as i64))
    }),
    Scalar::general("num_nonnulls", &[Argument::Any], Some(Argument::Any), Output::Is(DataType::Integer), |args| {
        Ok(Value::Integer(args.iter().filter(|value| !matches!(value, Value::Null)).count() as i64))
    }),
];

fn first_known(args: &[&Value]) -> Result<Value, super::super::error::Error> {
    super::Function::Coalesce.call(args)
}

/// The greatest or the least of the values that are not NULL, the first of equal ones.
fn extreme(args: &[&Value], wanted: Ordering) -> Value {
    let known = args.iter().filter(|value| !matches!(value, Value::Null));
    let best = known.copied().reduce(|best, value| if value.sort_order(best) == wanted { value } else { best });
    best.cloned().unwrap_or(Value::Null)
}

fn type_name(args: &[&Value]) -> Result<Value, super::super::error::Error> {
    let [value] = args else { return Err(mismatch("typeof", args)) };
    let name = value.datatype().map_or_else(|| "null".to_string(), |datatype| datatype.to_string().to_lowercase());
    Ok(name.into())
}
