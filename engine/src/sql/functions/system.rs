//! Functions of PostgreSQL's system catalog, for `psql` and drivers, and regular expressions. Those that need the schema are
//! queries of it: see `parse::system`.
//!
//! There are no arrays: where PostgreSQL has one in the catalog, there is its text here, `{a,b}`.

use std::cell::RefCell;

use regex::{Regex, RegexBuilder};

use super::super::error::{Error, SqlState};
use super::super::types::{DataType, Value};
use super::{Argument, Scalar, mismatch};

const INTEGER: Argument = Argument::INTEGER;
const TEXT: Argument = Argument::TEXT;
const ANY: Argument = Argument::Any;

/// The most bytes that a regular expression may take when it is compiled.
const MAX_REGEX: usize = 1 << 20;

pub(super) static FUNCTIONS: &[Scalar] = &[
    Scalar::new("pg_table_is_visible", &[INTEGER], DataType::Boolean, yes),
    Scalar::new("pg_relation_is_publishable", &[ANY], DataType::Boolean, yes),
    Scalar::new("pg_get_userbyid", &[INTEGER], DataType::Text, |_| Ok(Value::Text("orrery".into()))),
    Scalar::new("pg_encoding_to_char", &[INTEGER], DataType::Text, |_| Ok(Value::Text("UTF8".into()))),
    Scalar::new("format_type", &[INTEGER, INTEGER], DataType::Text, format_type).with_nulls(),
    Scalar::new("pg_get_expr", &[TEXT, INTEGER], DataType::Text, first),
    Scalar::new("pg_get_expr", &[TEXT, INTEGER, Argument::BOOLEAN], DataType::Text, first),
    // What there never is.
    Scalar::new("pg_get_triggerdef", &[INTEGER, Argument::BOOLEAN], DataType::Text, none),
    Scalar::new("pg_get_ruledef", &[INTEGER, Argument::BOOLEAN], DataType::Text, none),
    Scalar::new("pg_get_statisticsobjdef_columns", &[INTEGER], DataType::Text, none),
    Scalar::new("pg_partition_ancestors", &[ANY], DataType::Integer, none),
    Scalar::new("obj_description", &[INTEGER, TEXT], DataType::Text, none),
    Scalar::new("col_description", &[INTEGER, INTEGER], DataType::Text, none),
    Scalar::new("shobj_description", &[INTEGER, TEXT], DataType::Text, none),
    Scalar::new("current_schema", &[], DataType::Text, |_| Ok(Value::Text("public".into()))),
    Scalar::new("current_database", &[], DataType::Text, |_| Ok(Value::Text("orrery".into()))),
    Scalar::new("current_user", &[], DataType::Text, |_| Ok(Value::Text("orrery".into()))),
    Scalar::new("session_user", &[], DataType::Text, |_| Ok(Value::Text("orrery".into()))),
    Scalar::new("version", &[], DataType::Text, |_| {
        Ok(Value::Text(concat!("Orrery ", env!("CARGO_PKG_VERSION")).into()))
    }),
    Scalar::new("regnamespace", &[INTEGER], DataType::Text, |args| match args {
        [Value::Integer(oid)] => Ok(Value::Text(match oid {
            11 => "pg_catalog".into(),
            2_200 => "public".into(),
            13_000 => "information_schema".into(),
            oid => oid.to_string().into(),
        })),
        _ => Err(mismatch("regnamespace", args)),
    }),
    Scalar::new("array_upper", &[TEXT, INTEGER], DataType::Integer, |args| match args {
        [Value::Text(array), Value::Integer(1)] => {
            let count = elements(array).count() as i64;
            Ok(if count == 0 { Value::Null } else { Value::Integer(count) })
        }
        _ => Ok(Value::Null),
    }),
    Scalar::new("array_element", &[TEXT, INTEGER], DataType::Integer, |args| match args {
        [Value::Text(array), Value::Integer(place)] => {
            let place = place.checked_sub(1).and_then(|place| usize::try_from(place).ok());
            let element = place.and_then(|place| elements(array).nth(place));
            Ok(element.and_then(|element| element.parse().ok()).map_or(Value::Null, Value::Integer))
        }
        _ => Err(mismatch("array_element", args)),
    }),
    Scalar::new("array_contains", &[TEXT, ANY], DataType::Boolean, |args| match args {
        [Value::Text(array), value] => {
            let value = value.to_string();
            Ok(Value::Boolean(elements(array).any(|element| element == value)))
        }
        _ => Err(mismatch("array_contains", args)),
    }),
    Scalar::new("array_to_string", &[TEXT, TEXT], DataType::Text, |args| match args {
        [Value::Text(array), Value::Text(between)] => Ok(elements(array).collect::<Vec<_>>().join(between).into()),
        _ => Err(mismatch("array_to_string", args)),
    }),
    Scalar::new("regexp_like", &[TEXT, TEXT], DataType::Boolean, |args| match args {
        [Value::Text(text), Value::Text(pattern)] => matches(text, pattern, false),
        _ => Err(mismatch("regexp_like", args)),
    }),
    Scalar::new("regexp_like", &[TEXT, TEXT, TEXT], DataType::Boolean, |args| match args {
        [Value::Text(text), Value::Text(pattern), Value::Text(flags)] => match flags.as_str() {
            "" | "c" => matches(text, pattern, false),
            "i" => matches(text, pattern, true),
            flags => {
                let message = format!("regexp_like has no flags {flags:?}");
                Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).with_hint("there are c and i"))
            }
        },
        _ => Err(mismatch("regexp_like", args)),
    }),
];

#[expect(clippy::unnecessary_wraps, reason = "as all functions")]
fn yes(_: &[&Value]) -> Result<Value, Error> {
    Ok(Value::Boolean(true))
}

#[expect(clippy::unnecessary_wraps, reason = "as all functions")]
fn none(_: &[&Value]) -> Result<Value, Error> {
    Ok(Value::Null)
}

fn first(args: &[&Value]) -> Result<Value, Error> {
    args.first().map(|value| (*value).clone()).ok_or_else(|| mismatch("pg_get_expr", args))
}

/// The elements of an array that is a text, without those that need quotes.
fn elements(array: &str) -> impl Iterator<Item = &str> {
    let inside = array.strip_prefix('{').and_then(|array| array.strip_suffix('}')).unwrap_or(array);
    inside.split([',', ' ']).filter(|element| !element.is_empty())
}

/// The name of a type by its number and modifier.
fn format_type(args: &[&Value]) -> Result<Value, Error> {
    let name = match args {
        [Value::Null, _] => return Ok(Value::Null),
        [Value::Integer(1_043), Value::Integer(modifier)] if *modifier > 4 => {
            format!("character varying({})", modifier - 4)
        }
        [Value::Integer(oid), _] => match oid {
            0 => "-",
            16 => "boolean",
            18 => "\"char\"",
            19 => "name",
            20 => "bigint",
            21 => "smallint",
            23 => "integer",
            25 => "text",
            26 => "oid",
            701 => "double precision",
            1_043 => "character varying",
            _ => "???",
        }
        .to_string(),
        _ => return Err(mismatch("format_type", args)),
    };
    Ok(name.into())
}

thread_local! {
    /// The last regular expression, since the next row has the same one. It makes no difference to any result.
    static LAST: RefCell<Option<(String, bool, Regex)>> = const { RefCell::new(None) };
}

fn matches(text: &str, pattern: &str, insensitive: bool) -> Result<Value, Error> {
    LAST.with_borrow_mut(|last| {
        let regex = match last {
            Some((before, same, regex)) if before == pattern && *same == insensitive => regex,
            last => {
                let regex = compile(pattern, insensitive)?;
                &mut last.insert((pattern.to_string(), insensitive, regex)).2
            }
        };
        Ok(Value::Boolean(regex.is_match(text)))
    })
}

fn compile(pattern: &str, insensitive: bool) -> Result<Regex, Error> {
    let built = RegexBuilder::new(pattern)
        .case_insensitive(insensitive)
        // As in PostgreSQL, `.` is any character.
        .dot_matches_new_line(true)
        .size_limit(MAX_REGEX)
        .dfa_size_limit(MAX_REGEX)
        .nest_limit(50)
        .build();
    built.map_err(|error| {
        let message = format!("{pattern:?} is no regular expression: {}", error.to_string().replace('\n', " "));
        Error::new(SqlState::INVALID_REGULAR_EXPRESSION, message)
    })
}
