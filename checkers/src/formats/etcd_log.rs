//! The log of Jepsen's etcd test, as Porcupine keeps it: `INFO  jepsen.util - 3 :invoke :cas [1 2]`.
//!
//! Other lines of the log are passed over. A `:cas` that failed says that the comparison was false, and a `:read` that
//! failed had no answer in time: that is what this test's clients meant, unlike Jepsen's in general.

use serde_json::Value;

use super::events::{Event, Phase, pair};
use super::objects::{Call, Kind, ModelName, Objects, check_call};
use super::wrong;
use crate::history::{HistoryError, Outcome};

/// What follows an event's process.
struct What<'a> {
    kind: Kind,
    value: &'a str,
}

/// Whether a line is an event of a client.
pub(super) fn is_event(line: &str) -> bool {
    event_part(line).is_some()
}

/// The line from its process on.
fn event_part(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("INFO")?.trim_start().strip_prefix("jepsen.util")?;
    let event = rest.trim_start().strip_prefix('-')?.trim_start();
    event.starts_with(|sign: char| sign.is_ascii_digit()).then_some(event)
}

/// Reads the log.
pub(super) fn read(text: &str) -> Result<Objects, HistoryError> {
    let mut events = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if let Some(part) = event_part(line) {
            events.push(event(part, at + 1).map_err(|reason| HistoryError { line: at + 1, reason })?);
        }
    }
    if events.is_empty() {
        return wrong(1, "no line is an event such as `INFO jepsen.util - 0 :invoke :read nil`");
    }
    let mut calls = Vec::new();
    for pair in pair(events)? {
        let line = pair.line;
        let kind = pair.asked.kind;
        let (outcome, output) = match pair.end {
            Some((_, line, ref what)) if what.kind != kind => {
                return wrong(line, format!("the call of line {} was a :{}", pair.line, kind.name()));
            }
            Some((Phase::Ok, line, ref what)) if kind != Kind::Read && what.value != pair.asked.value => {
                let (asked, told) = (pair.asked.value, what.value);
                return wrong(line, format!("the call of line {} asked for {asked}, not {told}", pair.line));
            }
            Some((Phase::Ok, line, what)) => match kind {
                Kind::Read => (Outcome::Ok, value(what.value, line)?),
                Kind::Cas => (Outcome::Ok, true.into()),
                _ => (Outcome::Ok, "ok".into()),
            },
            Some((Phase::Fail, ..)) => match kind {
                Kind::Cas => (Outcome::Ok, false.into()),
                Kind::Read => (Outcome::Unknown, Value::Null),
                _ => (Outcome::Failed, Value::Null),
            },
            _ => (Outcome::Unknown, Value::Null),
        };
        let value = value(pair.asked.value, line)?;
        let (client, invoke, complete) = (pair.process, pair.invoke, pair.complete);
        calls.push(check_call(Call { line, client, key: None, kind, value, invoke, complete, output, outcome })?);
    }
    Ok(Objects { model: Some(ModelName::CasRegister), calls, ..Objects::default() })
}

fn event(part: &str, line: usize) -> Result<Event<What<'_>>, String> {
    let (process, rest) = word(part);
    let process = process.parse().map_err(|_| format!("{process} is no process"))?;
    let (phase, rest) = word(rest);
    let phase = phase.strip_prefix(':').and_then(Phase::named);
    let phase = phase.ok_or("after the process comes :invoke, :ok, :fail or :info")?;
    let (kind, value) = word(rest);
    let kind = match kind {
        ":read" => Kind::Read,
        ":write" => Kind::Write,
        ":cas" => Kind::Cas,
        _ => return Err("the operation is :read, :write or :cas".into()),
    };
    if value.is_empty() {
        return Err("the line ends before the value".into());
    }
    Ok(Event { line, process, phase, what: What { kind, value } })
}

/// The first word and what follows it.
fn word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(|sign: char| sign.is_ascii_whitespace()).unwrap_or((text, ""));
    (word, rest.trim())
}

/// `nil`, a number, or two numbers in brackets.
fn value(text: &str, line: usize) -> Result<Value, HistoryError> {
    let number = |text: &str| text.parse::<i64>().ok();
    let parsed = match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(pair) => {
            let (from, to) = word(pair.trim());
            number(from).zip(number(to)).map(|(from, to)| Value::Array(vec![from.into(), to.into()]))
        }
        None if text == "nil" => Some(Value::Null),
        None => number(text).map(Value::from),
    };
    parsed.map_or_else(|| wrong(line, format!("`{text}` is neither nil, a number nor [number number]")), Ok)
}
