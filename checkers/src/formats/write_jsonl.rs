//! Writes our JSON lines. What is written reads back as the same history.

use serde::Serialize;
use serde_json::{Value, json};

use super::Written;
use super::objects::{Call, ModelName, Objects};
use crate::history::{Event, History, Micro, Names, Outcome, Predicate, Transaction};

#[derive(Serialize)]
struct Header<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<ModelName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    initial: Option<&'a Value>,
}

#[derive(Serialize)]
struct OperationLine<'a> {
    client: Value,
    kind: &'a str,
    key: Value,
    value: &'a Value,
    call_ts: u64,
    return_ts: Option<u64>,
    output: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'a str>,
}

#[derive(Serialize)]
struct TransactionLine<'a> {
    id: u64,
    session: Value,
    status: &'a str,
    call_ts: Option<u64>,
    return_ts: Option<u64>,
    ops: Vec<Value>,
    #[serde(skip_serializing_if = "is_false")]
    init: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<u64>,
    #[serde(skip_serializing_if = "is_false")]
    historic: bool,
}

#[derive(Serialize)]
struct AnnouncementLine {
    id: u64,
    call_ts: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it so")]
fn is_false(flag: &bool) -> bool {
    !flag
}

pub(super) fn objects(objects: &Objects) -> Written {
    let mut lines = Lines::default();
    if objects.model.is_some() || objects.initial.is_some() {
        lines.push(&Header { model: objects.model, initial: objects.initial.as_ref() });
    }
    for call in &objects.calls {
        let Call { line: _, client, key, kind, value, invoke, complete, output, outcome } = call;
        lines.push(&OperationLine {
            client: named(objects.names.clients.get(client), *client),
            kind: kind.name(),
            key: key.map_or(Value::Null, |key| named(objects.names.keys.get(&key), key)),
            value,
            call_ts: *invoke,
            return_ts: *complete,
            output,
            outcome: match (outcome, complete) {
                (Outcome::Ok, _) | (Outcome::Unknown, None) => None,
                (Outcome::Unknown, Some(_)) => Some("unknown"),
                (Outcome::Failed, _) => Some("fail"),
            },
        });
    }
    lines.written()
}

pub(super) fn transactions(history: &History) -> Written {
    let mut lines = Lines::default();
    for transaction in &history.transactions {
        lines.push(&line(transaction, history.timed, &history.names));
    }
    lines.written()
}

/// A line, without its end, about what happens in a run that is recorded while it goes on: that a transaction was invoked,
/// or all about one that is over.
pub fn event(event: &Event, names: &Names) -> String {
    let written = match event {
        Event::Invoked { id, time } => serde_json::to_string(&AnnouncementLine { id: *id, call_ts: *time }),
        Event::Over(transaction) => serde_json::to_string(&line(transaction, true, names)),
    };
    written.expect("a line is plain data")
}

fn line<'a>(transaction: &Transaction, timed: bool, names: &Names) -> TransactionLine<'a> {
    let Transaction { id, client, invoke, complete, outcome, snapshot, commit, historic, initial, operations } =
        transaction;
    TransactionLine {
        id: *id,
        session: named(names.clients.get(client), *client),
        status: match outcome {
            Outcome::Ok => "ok",
            Outcome::Failed => "fail",
            Outcome::Unknown => "unknown",
        },
        call_ts: timed.then_some(*invoke),
        return_ts: complete.filter(|_| timed),
        ops: operations.iter().map(|micro| step(micro, names)).collect(),
        init: *initial,
        snapshot: *snapshot,
        commit: *commit,
        historic: *historic,
    }
}

fn named(name: Option<&String>, number: u64) -> Value {
    name.map_or_else(|| number.into(), |name| name.as_str().into())
}

fn step(micro: &Micro, names: &Names) -> Value {
    let key = |key: &u64| named(names.keys.get(key), *key);
    let value = |value: i64| named_value(names, value);
    let read = |read: Option<i64>| read.map_or(Value::Null, value);
    match micro {
        Micro::Read { key: row, value } => json!(["r", key(row), read(*value)]),
        Micro::Write { key: row, value } => json!(["w", key(row), read(*value)]),
        Micro::ReadList { key: list, elements } => {
            json!(["r", key(list), elements.iter().map(|element| value(*element)).collect::<Vec<_>>()])
        }
        Micro::Append { key: list, element } => json!(["append", key(list), value(*element)]),
        Micro::ReadRows { predicate, rows } => {
            let rows: serde_json::Map<String, Value> =
                rows.iter().map(|(row, seen)| (names.key(*row), value(*seen))).collect();
            json!(["rp", condition(predicate, names), rows])
        }
    }
}

fn condition(predicate: &Predicate, names: &Names) -> Value {
    match *predicate {
        Predicate::Any => "true".into(),
        Predicate::Equal(bound) => json!(["=", named_value(names, bound)]),
        Predicate::Greater(bound) => json!([">", bound]),
        Predicate::Less(bound) => json!(["<", bound]),
        Predicate::Modulo { divisor, remainder } => json!(["mod", divisor, remainder]),
    }
}

/// A value as the source has it.
pub(super) fn named_value(names: &Names, value: i64) -> Value {
    match names.values.get(&value) {
        Some(name) => serde_json::from_str(name).unwrap_or_else(|_| name.as_str().into()),
        None => value.into(),
    }
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn push(&mut self, line: &impl Serialize) {
        self.0 += &serde_json::to_string(line).expect("a line is plain data");
        self.0.push('\n');
    }

    fn written(self) -> Written {
        Written { text: self.0, losses: Vec::new() }
    }
}
