//! Functions of texts. Positions and lengths are in characters (Unicode scalar values), from 1.

use super::super::error::{Error, SqlState};
use super::super::types::{DataType, SmolStr, Value};
use super::{Argument, Output, Scalar, mismatch};

/// The longest text that functions and operators make, in bytes.
pub const MAX_TEXT: usize = 16 << 20;

const TEXT: Argument = Argument::TEXT;
const INTEGER: Argument = Argument::INTEGER;

pub(super) static FUNCTIONS: &[Scalar] = &[
    Scalar::new("length", &[TEXT], DataType::Integer, |args| counted("length", args, |text| text.chars().count())),
    Scalar::new("char_length", &[TEXT], DataType::Integer, |args| {
        counted("char_length", args, |text| text.chars().count())
    }),
    Scalar::new("character_length", &[TEXT], DataType::Integer, |args| {
        counted("character_length", args, |text| text.chars().count())
    }),
    Scalar::new("octet_length", &[TEXT], DataType::Integer, |args| counted("octet_length", args, str::len)),
    Scalar::new("bit_length", &[TEXT], DataType::Integer, |args| counted("bit_length", args, |text| text.len() * 8)),
    Scalar::new("lower", &[TEXT], DataType::Text, |args| mapped("lower", args, str::to_lowercase)),
    Scalar::new("upper", &[TEXT], DataType::Text, |args| mapped("upper", args, str::to_uppercase)),
    Scalar::new("initcap", &[TEXT], DataType::Text, |args| mapped("initcap", args, initcap)),
    Scalar::new("reverse", &[TEXT], DataType::Text, |args| {
        mapped("reverse", args, |text| text.chars().rev().collect())
    }),
    Scalar::new("trim", &[TEXT], DataType::Text, |args| trimmed("trim", args, true, true)),
    Scalar::new("trim", &[TEXT, TEXT], DataType::Text, |args| trimmed("trim", args, true, true)),
    Scalar::new("btrim", &[TEXT], DataType::Text, |args| trimmed("btrim", args, true, true)),
    Scalar::new("btrim", &[TEXT, TEXT], DataType::Text, |args| trimmed("btrim", args, true, true)),
    Scalar::new("ltrim", &[TEXT], DataType::Text, |args| trimmed("ltrim", args, true, false)),
    Scalar::new("ltrim", &[TEXT, TEXT], DataType::Text, |args| trimmed("ltrim", args, true, false)),
    Scalar::new("rtrim", &[TEXT], DataType::Text, |args| trimmed("rtrim", args, false, true)),
    Scalar::new("rtrim", &[TEXT, TEXT], DataType::Text, |args| trimmed("rtrim", args, false, true)),
    Scalar::new("substr", &[TEXT, INTEGER], DataType::Text, substring),
    Scalar::new("substr", &[TEXT, INTEGER, INTEGER], DataType::Text, substring),
    Scalar::new("substring", &[TEXT, INTEGER], DataType::Text, substring),
    Scalar::new("substring", &[TEXT, INTEGER, INTEGER], DataType::Text, substring),
    Scalar::new("left", &[TEXT, INTEGER], DataType::Text, |args| match args {
        [Value::Text(text), Value::Integer(n)] => Ok(Value::from(end_of(text, *n).0)),
        _ => Err(mismatch("left", args)),
    }),
    Scalar::new("right", &[TEXT, INTEGER], DataType::Text, |args| match args {
        [Value::Text(_), Value::Integer(0)] => Ok(Value::Text(SmolStr::default())),
        // A negative count leaves out so many at the start; a positive one leaves out all but so many.
        [Value::Text(text), Value::Integer(n)] => Ok(Value::from(end_of(text, n.saturating_neg()).1)),
        _ => Err(mismatch("right", args)),
    }),
    Scalar::new("replace", &[TEXT, TEXT, TEXT], DataType::Text, replace),
    Scalar::new("translate", &[TEXT, TEXT, TEXT], DataType::Text, translate),
    Scalar::new("strpos", &[TEXT, TEXT], DataType::Integer, |args| match args {
        [Value::Text(text), Value::Text(part)] => Ok(position(text, part)),
        _ => Err(mismatch("strpos", args)),
    }),
    Scalar::new("instr", &[TEXT, TEXT], DataType::Integer, |args| match args {
        [Value::Text(text), Value::Text(part)] => Ok(position(text, part)),
        _ => Err(mismatch("instr", args)),
    }),
    // As in POSITION(part IN text).
    Scalar::new("position", &[TEXT, TEXT], DataType::Integer, |args| match args {
        [Value::Text(part), Value::Text(text)] => Ok(position(text, part)),
        _ => Err(mismatch("position", args)),
    }),
    Scalar::general("concat", &[], Some(Argument::Any), Output::Is(DataType::Text), |args| concat(args, "")),
    Scalar::general("concat_ws", &[TEXT], Some(Argument::Any), Output::Is(DataType::Text), |args| match args {
        [Value::Null, ..] => Ok(Value::Null),
        [Value::Text(separator), rest @ ..] => concat(rest, separator),
        _ => Err(mismatch("concat_ws", args)),
    }),
    Scalar::new("repeat", &[TEXT, INTEGER], DataType::Text, |args| match args {
        [Value::Text(text), Value::Integer(n)] => {
            let n = usize::try_from((*n).max(0)).unwrap_or(usize::MAX);
            check_length(text.len().saturating_mul(n))?;
            Ok(Value::from(text.repeat(n)))
        }
        _ => Err(mismatch("repeat", args)),
    }),
    Scalar::new("lpad", &[TEXT, INTEGER], DataType::Text, |args| pad("lpad", args, true)),
    Scalar::new("lpad", &[TEXT, INTEGER, TEXT], DataType::Text, |args| pad("lpad", args, true)),
    Scalar::new("rpad", &[TEXT, INTEGER], DataType::Text, |args| pad("rpad", args, false)),
    Scalar::new("rpad", &[TEXT, INTEGER, TEXT], DataType::Text, |args| pad("rpad", args, false)),
    Scalar::new("split_part", &[TEXT, TEXT, INTEGER], DataType::Text, split_part),
    Scalar::new("starts_with", &[TEXT, TEXT], DataType::Boolean, |args| match args {
        [Value::Text(text), Value::Text(part)] => Ok(Value::Boolean(text.starts_with(part.as_str()))),
        _ => Err(mismatch("starts_with", args)),
    }),
    Scalar::new("ascii", &[TEXT], DataType::Integer, |args| match args {
        [Value::Text(text)] => Ok(Value::Integer(text.chars().next().map_or(0, |c| i64::from(u32::from(c))))),
        _ => Err(mismatch("ascii", args)),
    }),
    Scalar::new("chr", &[INTEGER], DataType::Text, |args| match args {
        [Value::Integer(n)] => match u32::try_from(*n).ok().and_then(char::from_u32) {
            Some(c) if c != '\0' => Ok(Value::from(c.to_string())),
            _ => Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, format!("{n} is not a character"))),
        },
        _ => Err(mismatch("chr", args)),
    }),
    Scalar::new("to_hex", &[INTEGER], DataType::Text, |args| match args {
        [Value::Integer(n)] => Ok(Value::from(format!("{n:x}"))),
        _ => Err(mismatch("to_hex", args)),
    }),
    Scalar::general("quote_literal", &[Argument::Any], None, Output::Is(DataType::Text), |args| match args {
        [Value::Null] => Ok(Value::Null),
        [Value::Text(text)] => Ok(Value::from(format!("'{}'", text.replace('\'', "''")))),
        [value] => Ok(Value::from(format!("'{value}'"))),
        _ => Err(mismatch("quote_literal", args)),
    }),
];

/// Refuses to make a text that is too long.
pub(in crate::sql) fn check_length(length: usize) -> Result<(), Error> {
    if length > MAX_TEXT {
        let message = format!("a text has {length} bytes, at most {MAX_TEXT} are allowed");
        return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
    }
    Ok(())
}

fn counted(name: &str, args: &[&Value], count: impl Fn(&str) -> usize) -> Result<Value, Error> {
    match args {
        [Value::Text(text)] => Ok(Value::Integer(count(text) as i64)),
        _ => Err(mismatch(name, args)),
    }
}

fn mapped(name: &str, args: &[&Value], map: impl Fn(&str) -> String) -> Result<Value, Error> {
    let [Value::Text(text)] = args else { return Err(mismatch(name, args)) };
    let text = map(text);
    // A letter of the other case may take more bytes.
    check_length(text.len())?;
    Ok(Value::from(text))
}

fn initcap(text: &str) -> String {
    let mut within = false;
    let mut result = String::with_capacity(text.len());
    for c in text.chars() {
        if within {
            result.extend(c.to_lowercase());
        } else {
            result.extend(c.to_uppercase());
        }
        within = c.is_alphanumeric();
    }
    result
}

fn trimmed(name: &str, args: &[&Value], start: bool, end: bool) -> Result<Value, Error> {
    let (text, characters) = match args {
        [Value::Text(text)] => (text.as_str(), " "),
        [Value::Text(text), Value::Text(characters)] => (text.as_str(), characters.as_str()),
        _ => return Err(mismatch(name, args)),
    };
    // Sorted, so that many characters on a long text are not looked for one by one.
    let mut set: Vec<char> = characters.chars().collect();
    set.sort_unstable();
    let within = |c: char| set.binary_search(&c).is_ok();
    let text = if start { text.trim_start_matches(within) } else { text };
    let text = if end { text.trim_end_matches(within) } else { text };
    Ok(Value::from(text))
}

/// Splits after `n` characters, or before the last `-n`.
fn end_of(text: &str, n: i64) -> (&str, &str) {
    let count = usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX);
    let position = match (n, count.checked_sub(1)) {
        (_, None) if n == 0 => 0,
        (1.., _) => text.char_indices().nth(count).map_or(text.len(), |(position, _)| position),
        (_, Some(last)) => text.char_indices().nth_back(last).map_or(0, |(position, _)| position),
        (_, None) => 0,
    };
    text.split_at(position)
}

/// The part from a position on. Positions before the text count for the length, as the standard has it.
fn substring(args: &[&Value]) -> Result<Value, Error> {
    let (text, start, length) = match args {
        [Value::Text(text), Value::Integer(start)] => (text, *start, None),
        [Value::Text(text), Value::Integer(start), Value::Integer(length)] => (text, *start, Some(*length)),
        _ => return Err(mismatch("substring", args)),
    };
    if length.is_some_and(|length| length < 0) {
        return Err(Error::new(SqlState::SUBSTRING_ERROR, "a part of a text cannot have a negative length"));
    }
    let end = length.map_or(i64::MAX, |length| start.saturating_add(length));
    let skip = usize::try_from(start.max(1) - 1).unwrap_or(usize::MAX);
    let count = usize::try_from(end.saturating_sub(start.max(1)).max(0)).unwrap_or(usize::MAX);
    Ok(Value::from(end_after(end_after(text, skip).1, count).0))
}

fn end_after(text: &str, count: usize) -> (&str, &str) {
    text.split_at(text.char_indices().nth(count).map_or(text.len(), |(position, _)| position))
}

fn replace(args: &[&Value]) -> Result<Value, Error> {
    let [Value::Text(text), Value::Text(from), Value::Text(to)] = args else { return Err(mismatch("replace", args)) };
    if from.is_empty() {
        return Ok(Value::Text(text.clone()));
    }
    let count = text.matches(from.as_str()).count();
    check_length(text.len() - count * from.len() + count.saturating_mul(to.len()))?;
    Ok(Value::from(text.replace(from.as_str(), to)))
}

fn translate(args: &[&Value]) -> Result<Value, Error> {
    let [Value::Text(text), Value::Text(from), Value::Text(to)] = args else {
        return Err(mismatch("translate", args));
    };
    let to: Vec<char> = to.chars().collect();
    let mut map: Vec<(char, usize)> = from.chars().enumerate().map(|(position, c)| (c, position)).collect();
    map.sort_unstable();
    map.dedup_by_key(|(c, _)| *c);
    let translated: String = text
        .chars()
        .filter_map(|c| match map.binary_search_by_key(&c, |(c, _)| *c) {
            Ok(found) => to.get(map[found].1).copied(),
            Err(_) => Some(c),
        })
        .collect();
    check_length(translated.len())?;
    Ok(Value::from(translated))
}

/// Where a part starts, from 1; 0 if nowhere.
fn position(text: &str, part: &str) -> Value {
    Value::Integer(text.find(part).map_or(0, |found| text[..found].chars().count() as i64 + 1))
}

fn concat(args: &[&Value], separator: &str) -> Result<Value, Error> {
    let mut result = String::new();
    for (count, value) in args.iter().filter(|value| !matches!(value, Value::Null)).enumerate() {
        if count > 0 {
            result.push_str(separator);
        }
        match value {
            Value::Text(text) => result.push_str(text),
            value => result.push_str(&value.to_string()),
        }
        check_length(result.len())?;
    }
    Ok(Value::from(result))
}

fn pad(name: &str, args: &[&Value], left: bool) -> Result<Value, Error> {
    let (text, length, fill) = match args {
        [Value::Text(text), Value::Integer(length)] => (text, *length, " "),
        [Value::Text(text), Value::Integer(length), Value::Text(fill)] => (text, *length, fill.as_str()),
        _ => return Err(mismatch(name, args)),
    };
    let length = usize::try_from(length.max(0)).unwrap_or(usize::MAX);
    let has = text.chars().count();
    if length <= has || fill.is_empty() {
        return Ok(Value::from(end_after(text, length).0));
    }
    let missing = length - has;
    // The characters of the filling may be of several bytes.
    check_length(missing.saturating_add(text.len()))?;
    let filling: String = fill.chars().cycle().take(missing).collect();
    check_length(filling.len() + text.len())?;
    Ok(Value::from(if left { filling + text } else { format!("{text}{filling}") }))
}

/// One of the parts between separators, counted from 1, or from the end if negative; an empty text if there is none.
fn split_part(args: &[&Value]) -> Result<Value, Error> {
    let [Value::Text(text), Value::Text(separator), Value::Integer(n)] = args else {
        return Err(mismatch("split_part", args));
    };
    let index = usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX).checked_sub(1);
    let Some(index) = index else {
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "the parts of a text are counted from 1"));
    };
    let part = if separator.is_empty() {
        (index == 0).then_some(text.as_str())
    } else if *n > 0 {
        text.split(separator.as_str()).nth(index)
    } else {
        text.rsplit(separator.as_str()).nth(index)
    };
    Ok(Value::from(part.unwrap_or_default()))
}
