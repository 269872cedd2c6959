//! Our JSON lines: one operation of an object, or one transaction, a line.
//!
//! Transactions are read into the crate's own type as they come, so a long file costs little more than its history.

use std::fmt;

use serde::Deserialize as Derive;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, SeqAccess, Visitor};
use serde_json::Value;

use super::assemble::{Assembler, Comparison, Condition, Draft, Step};
use super::intern::Interner;
use super::objects::{Call, Kind, ModelName, Objects, check_call, check_clients};
use super::scalar::Scalar;
use super::stream::Announced;
use super::{Recorded, wrong};
use crate::history::{History, HistoryError, Outcome};

#[derive(Clone, Copy, Derive)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Fail,
    Unknown,
}

impl Status {
    fn outcome(self) -> Outcome {
        match self {
            Self::Ok => Outcome::Ok,
            Self::Fail => Outcome::Failed,
            Self::Unknown => Outcome::Unknown,
        }
    }
}

/// What the lines before the first operation may say.
#[derive(Derive)]
#[serde(deny_unknown_fields)]
struct Header {
    model: Option<ModelName>,
    #[serde(default, deserialize_with = "present")]
    initial: Option<Value>,
}

#[derive(Derive)]
#[serde(deny_unknown_fields)]
struct OperationLine {
    client: Scalar,
    kind: Kind,
    #[serde(default = "null")]
    key: Scalar,
    #[serde(default)]
    value: Value,
    call_ts: u64,
    #[serde(deserialize_with = "required")]
    return_ts: Option<u64>,
    #[serde(default, deserialize_with = "present")]
    output: Option<Value>,
    outcome: Option<Status>,
}

#[derive(Derive)]
#[serde(deny_unknown_fields)]
struct TransactionLine {
    id: u64,
    session: Scalar,
    status: Status,
    #[serde(deserialize_with = "required")]
    call_ts: Option<u64>,
    #[serde(deserialize_with = "required")]
    return_ts: Option<u64>,
    ops: Vec<Step>,
    #[serde(default)]
    init: bool,
    snapshot: Option<u64>,
    commit: Option<u64>,
    #[serde(default)]
    historic: bool,
}

/// Says that a transaction was invoked, before it is over.
#[derive(Derive)]
#[serde(deny_unknown_fields)]
struct AnnouncementLine {
    id: u64,
    call_ts: u64,
}

/// A line of a history of transactions.
pub(super) enum TransactionEvent {
    Invoked { id: u64, time: u64 },
    Over(Draft),
}

/// Reads a line of a history of transactions.
pub(super) fn transaction_event(text: &str, line: usize) -> Result<TransactionEvent, HistoryError> {
    if !text.contains("\"ops\"") && !text.contains("\"session\"") {
        let AnnouncementLine { id, call_ts } = parse(text, line)?;
        return Ok(TransactionEvent::Invoked { id, time: call_ts });
    }
    let read: TransactionLine = parse(text, line)?;
    Ok(TransactionEvent::Over(Draft {
        id: read.id,
        session: read.session,
        outcome: read.status.outcome(),
        call: read.call_ts,
        back: read.return_ts,
        steps: read.ops,
        initial: read.init,
        snapshot: read.snapshot,
        commit: read.commit,
        historic: read.historic,
    }))
}

fn null() -> Scalar {
    Scalar::Null
}

/// A field that must be there, even if only to say null.
fn required<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Option::deserialize(deserializer)
}

/// A field of which null is not the same as nothing.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Steps;

        impl<'de> Visitor<'de> for Steps {
            type Value = Step;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a micro-operation such as [\"r\", key, value]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Step, A::Error> {
                let name: String = part(&mut parts, "name")?;
                let step = match name.as_str() {
                    "r" => Step::Read(key(&mut parts)?, part(&mut parts, "value")?),
                    "w" => Step::Write(key(&mut parts)?, part(&mut parts, "value")?),
                    "insert" => Step::Write(key(&mut parts)?, value(&mut parts)?),
                    "delete" => Step::Write(key(&mut parts)?, Scalar::Null),
                    "append" => Step::Append(key(&mut parts)?, value(&mut parts)?),
                    "rp" => Step::ReadRows(part(&mut parts, "predicate")?, part(&mut parts, "rows")?),
                    _ => return Err(Error::unknown_variant(&name, &["r", "w", "append", "insert", "delete", "rp"])),
                };
                end(parts)?;
                Ok(step)
            }
        }

        deserializer.deserialize_seq(Steps)
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Conditions;

        impl<'de> Visitor<'de> for Conditions {
            type Value = Condition;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a predicate: \"true\", [\"=\", n], [\">\", n], [\"<\", n] or [\"mod\", m, r]")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Condition, E> {
                if name == "true" { Ok(Condition::Any) } else { Err(E::custom(format!("unknown predicate `{name}`"))) }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Condition, A::Error> {
                let name: String = part(&mut parts, "name")?;
                let condition = match name.as_str() {
                    "=" => Condition::Compare(Comparison::Equal, value(&mut parts)?),
                    ">" => Condition::Compare(Comparison::Greater, value(&mut parts)?),
                    "<" => Condition::Compare(Comparison::Less, value(&mut parts)?),
                    "mod" => Condition::Modulo(part(&mut parts, "divisor")?, part(&mut parts, "remainder")?),
                    _ => return Err(Error::custom(format!("unknown predicate `{name}`"))),
                };
                end(parts)?;
                Ok(condition)
            }
        }

        deserializer.deserialize_any(Conditions)
    }
}

fn part<'de, A: SeqAccess<'de>, T: Deserialize<'de>>(parts: &mut A, what: &str) -> Result<T, A::Error> {
    parts.next_element()?.ok_or_else(|| Error::custom(format!("its {what} is missing")))
}

fn key<'de, A: SeqAccess<'de>>(parts: &mut A) -> Result<Scalar, A::Error> {
    match part(parts, "key")? {
        Scalar::Null => Err(Error::custom("a key cannot be null")),
        key => Ok(key),
    }
}

fn value<'de, A: SeqAccess<'de>>(parts: &mut A) -> Result<Scalar, A::Error> {
    match part(parts, "value")? {
        Scalar::Null => Err(Error::custom("its value is null")),
        value => Ok(value),
    }
}

fn end<'de, A: SeqAccess<'de>>(mut parts: A) -> Result<(), A::Error> {
    match parts.next_element::<IgnoredAny>()? {
        Some(_) => Err(Error::custom("it has too many parts")),
        None => Ok(()),
    }
}

/// Reads one line; the place within it is part of the reason.
fn parse<'a, T: Deserialize<'a>>(text: &'a str, line: usize) -> Result<T, HistoryError> {
    serde_json::from_str(text).map_err(|error| {
        let whole = error.to_string();
        let told = whole.rsplit_once(" at line ").map_or(whole.as_str(), |(told, _)| told);
        HistoryError { line, reason: format!("{told} (column {})", error.column()) }
    })
}

/// The lines with their numbers.
fn lines(text: &str) -> impl Iterator<Item = Result<(usize, &str), HistoryError>> {
    text.lines()
        .enumerate()
        .map(|(at, line)| if line.trim().is_empty() { wrong(at + 1, "the line is empty") } else { Ok((at + 1, line)) })
}

/// What one line holds, by the names of its fields.
#[derive(Default, Derive)]
struct Shape {
    ops: Option<IgnoredAny>,
    id: Option<IgnoredAny>,
    session: Option<IgnoredAny>,
    kind: Option<IgnoredAny>,
    model: Option<IgnoredAny>,
    initial: Option<IgnoredAny>,
}

/// Reads a history of either sort; the first line tells which.
pub(super) fn read(text: &str) -> Result<Recorded, HistoryError> {
    let first = text.lines().next().unwrap_or_default();
    let shape: Shape = parse(first, 1)?;
    let announces = shape.id.is_some() && shape.session.is_none();
    if shape.ops.is_some() || announces {
        read_transactions(text).map(Recorded::Transactions)
    } else if shape.kind.is_some() || shape.model.is_some() || shape.initial.is_some() {
        read_objects(text).map(Recorded::Objects)
    } else {
        wrong(1, "neither an operation (it would have a field `kind`) nor a transaction (it would have `ops`)")
    }
}

fn read_objects(text: &str) -> Result<Objects, HistoryError> {
    let mut interner = Interner::default();
    let mut objects = Objects::default();
    for item in lines(text) {
        let (line, text) = item?;
        if line == 1 && parse::<Shape>(text, 1)?.kind.is_none() {
            let Header { model, initial } = parse(text, 1)?;
            (objects.model, objects.initial) = (model, initial);
            continue;
        }
        let read: OperationLine = parse(text, line)?;
        let outcome = match (read.outcome, read.return_ts) {
            (Some(status), _) => status.outcome(),
            (None, Some(_)) => Outcome::Ok,
            (None, None) => Outcome::Unknown,
        };
        if outcome == Outcome::Ok && read.return_ts.is_some() && read.output.is_none() {
            return wrong(line, "missing field `output`");
        }
        if outcome == Outcome::Failed && read.output.as_ref().is_some_and(|output| !output.is_null()) {
            return wrong(line, "the outcome is fail, so it did not happen, but there is an `output`");
        }
        objects.calls.push(check_call(Call {
            line,
            client: interner.client(&read.client),
            key: (read.key != Scalar::Null).then(|| interner.key(&read.key)),
            kind: read.kind,
            value: read.value,
            invoke: read.call_ts,
            complete: read.return_ts,
            output: read.output.unwrap_or_default(),
            outcome,
        })?);
    }
    objects.names = interner.names();
    check_clients(&objects.calls, |client| objects.names.client(client))?;
    Ok(objects)
}

fn read_transactions(text: &str) -> Result<History, HistoryError> {
    let mut assembler = Assembler::default();
    let mut announced = Announced::default();
    for item in lines(text) {
        let (line, text) = item?;
        match transaction_event(text, line)? {
            TransactionEvent::Invoked { id, time } => announced.invoked(id, time, line)?,
            TransactionEvent::Over(draft) => {
                announced.over(draft.id, draft.call, line)?;
                assembler.add(draft, line)?;
            }
        }
    }
    announced.end()?;
    assembler.finish()
}
