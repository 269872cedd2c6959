//! Writes histories in the EDN of Jepsen and Elle.
//!
//! Jepsen orders events by their place in the file, and has no words for some of what a history can say: times that are
//! equal, initial values, commit positions, a comparison that was false. What is lost is told.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use super::Written;
use super::objects::{Kind, Objects, step_parts};
use super::write_jsonl::named_value;
use crate::history::{History, Micro, Names, Outcome, Predicate};

/// A call in words of EDN.
struct Call {
    client: u64,
    invoke: u64,
    complete: Option<u64>,
    f: &'static str,
    asked: String,
    /// The type of the completion and its value.
    end: (&'static str, String),
}

pub(super) fn objects(objects: &Objects) -> Result<Written, String> {
    let keyed = objects.calls.iter().filter(|call| call.key.is_some()).count();
    if keyed != 0 && keyed != objects.calls.len() {
        return Err("only some operations have a key, which EDN cannot say".into());
    }
    let mut losses = Vec::new();
    if objects.initial.is_some() {
        losses.push("the initial value is not in the file: give it with --initial".into());
    }
    let (mut comparisons, mut absent) = (0, 0);
    let mut calls = Vec::with_capacity(objects.calls.len());
    for call in &objects.calls {
        let with_key = |value: String| match call.key {
            Some(key) => format!("[{} {value}]", key_word(&objects.names, key)),
            None => value,
        };
        let (asked, answered) = match call.kind {
            Kind::Contains => return Err("`contains` has no form in EDN histories".into()),
            Kind::Read | Kind::Get | Kind::Dequeue => ("nil".into(), word(&call.output)?),
            Kind::Txn => (steps(&call.value)?, steps(&call.output)?),
            _ => (word(&call.value)?, word(&call.value)?),
        };
        let comparison_failed = call.kind == Kind::Cas && call.output == Value::Bool(false);
        comparisons += usize::from(comparison_failed);
        absent += usize::from(call.kind == Kind::Read && call.outcome == Outcome::Ok && call.output.is_null());
        let end = match call.outcome {
            Outcome::Ok if !comparison_failed => ("ok", with_key(answered)),
            Outcome::Ok | Outcome::Failed => ("fail", with_key(asked.clone())),
            Outcome::Unknown => ("info", with_key(asked.clone())),
        };
        let (client, invoke, complete) = (call.client, call.invoke, call.complete);
        calls.push(Call { client, invoke, complete, f: call.kind.name(), asked: with_key(asked), end });
    }
    if comparisons > 0 {
        losses.push(format!(
            "{comparisons} comparisons that were false became :fail, which says that they did not happen"
        ));
    }
    if absent > 0 {
        losses.push(format!("{absent} reads of null became reads of nil, which say nothing"));
    }
    let text = timed(calls, &objects.names, &mut losses);
    Ok(Written { text, losses })
}

pub(super) fn transactions(history: &History) -> Result<Written, String> {
    let mut losses = Vec::new();
    let positions = history
        .transactions
        .iter()
        .filter(|transaction| transaction.snapshot.is_some() || transaction.commit.is_some() || transaction.historic)
        .count();
    if positions > 0 {
        losses.push(format!("{positions} transactions lost what the database said of their positions"));
    }
    let mut calls = Vec::with_capacity(history.transactions.len());
    for transaction in &history.transactions {
        let micros = |answered: bool| -> Result<String, String> {
            let words = transaction.operations.iter().map(|micro| micro_word(micro, answered, &history.names));
            Ok(format!("[{}]", words.collect::<Result<Vec<_>, _>>()?.join(" ")))
        };
        let end = match transaction.outcome {
            Outcome::Ok => ("ok", micros(true)?),
            Outcome::Failed => ("fail", micros(true)?),
            Outcome::Unknown => ("info", micros(true)?),
        };
        calls.push(Call {
            client: transaction.client,
            invoke: transaction.invoke,
            complete: transaction.complete,
            f: if transaction.initial { "init" } else { "txn" },
            asked: if transaction.outcome == Outcome::Ok { micros(false)? } else { micros(true)? },
            end,
        });
    }
    let text = if history.timed {
        timed(calls, &history.names, &mut losses)
    } else {
        let processes = processes(&calls, &history.names);
        let mut text = String::new();
        for (index, call) in calls.iter().enumerate() {
            event(&mut text, index, None, processes[&call.client], call.end.0, call.f, &call.end.1);
        }
        text
    };
    Ok(Written { text, losses })
}

/// Numbers for the clients: those without a name keep theirs.
fn processes(calls: &[Call], names: &Names) -> BTreeMap<u64, u64> {
    let named = |client: &u64| names.clients.contains_key(client);
    let mut processes: BTreeMap<u64, u64> = calls.iter().map(|call| (call.client, call.client)).collect();
    let mut next = processes.keys().filter(|client| !named(client)).max().map_or(0, |largest| largest + 1);
    for (client, process) in &mut processes {
        if named(client) {
            *process = next;
            next += 1;
        }
    }
    processes
}

/// The events in the order of their times. At one time calls come before returns, except where that would give a client
/// two calls at once.
fn timed(mut calls: Vec<Call>, names: &Names, losses: &mut Vec<String>) -> String {
    struct Moment {
        time: u64,
        rank: u64,
        call: usize,
        is_end: bool,
    }
    calls.sort_by_key(|call| (call.invoke, call.complete.unwrap_or(u64::MAX)));
    let mut moments = Vec::with_capacity(2 * calls.len());
    // By client: the time of its latest event, and how many of its events of that time there were, calls even.
    let mut latest: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for (place, call) in calls.iter().enumerate() {
        for (time, is_end) in [(Some(call.invoke), false), (call.complete, true)] {
            let Some(time) = time else { continue };
            let rank = match latest.get(&call.client) {
                Some(&(before, rank)) if before == time => rank + 1,
                _ => u64::from(is_end),
            };
            latest.insert(call.client, (time, rank));
            moments.push(Moment { time, rank, call: place, is_end });
        }
    }
    moments.sort_by_key(|moment| (moment.time, moment.rank, moment.call));
    let ties = moments.windows(2).filter(|pair| pair[0].time == pair[1].time && pair[0].call != pair[1].call).count();
    if ties > 0 {
        losses.push(format!("{ties} events were at the time of another, and are now after it"));
    }
    let processes = processes(&calls, names);
    let mut text = String::new();
    for (index, moment) in moments.iter().enumerate() {
        let call = &calls[moment.call];
        let (kind, value) = if moment.is_end { (call.end.0, &call.end.1) } else { ("invoke", &call.asked) };
        event(&mut text, index, Some(moment.time), processes[&call.client], kind, call.f, value);
    }
    text
}

fn event(text: &mut String, index: usize, time: Option<u64>, process: u64, kind: &str, f: &str, value: &str) {
    let time = time.map_or_else(String::new, |time| format!(" :time {time},"));
    writeln!(text, "{{:index {index},{time} :type :{kind}, :process {process}, :f :{f}, :value {value}}}")
        .expect("a string takes whatever is written");
}

fn micro_word(micro: &Micro, answered: bool, names: &Names) -> Result<String, String> {
    let key = |key: &u64| key_word(names, *key);
    let value = |value: i64| scalar_word(&named_value(names, value));
    Ok(match micro {
        Micro::Read { key: row, value: Some(seen) } if answered => format!("[:r {} {}]", key(row), value(*seen)?),
        Micro::ReadList { key: list, elements } if answered => {
            let elements = elements.iter().map(|element| value(*element)).collect::<Result<Vec<_>, _>>()?;
            format!("[:r {} [{}]]", key(list), elements.join(" "))
        }
        Micro::Read { key: row, .. } | Micro::ReadList { key: row, .. } => format!("[:r {} nil]", key(row)),
        Micro::Write { key: row, value: Some(written) } => format!("[:w {} {}]", key(row), value(*written)?),
        Micro::Write { key: row, value: None } => format!("[:delete {}]", key(row)),
        Micro::Append { key: list, element } => format!("[:append {} {}]", key(list), value(*element)?),
        Micro::ReadRows { predicate, rows } => {
            let predicate = match *predicate {
                Predicate::Any => ":true".into(),
                Predicate::Equal(bound) => format!("[:= {}]", value(bound)?),
                Predicate::Greater(bound) => format!("[:> {bound}]"),
                Predicate::Less(bound) => format!("[:< {bound}]"),
                Predicate::Modulo { divisor, remainder } => format!("[:mod {divisor} {remainder}]"),
            };
            let rows = if answered {
                let rows = rows.iter().map(|(row, seen)| Ok(format!("{} {}", key(row), value(*seen)?)));
                format!("{{{}}}", rows.collect::<Result<Vec<_>, String>>()?.join(", "))
            } else {
                "nil".into()
            };
            format!("[:rp {predicate} {rows}]")
        }
    })
}

/// A key: a number if it is one, a keyword if it can be, else a string.
fn key_word(names: &Names, key: u64) -> String {
    text_word(&names.key(key))
}

fn text_word(name: &str) -> String {
    match name.parse::<i64>() {
        Ok(number) if number.to_string() == name => name.into(),
        _ if is_keyword(name) => format!(":{name}"),
        _ => quoted(name),
    }
}

fn is_keyword(name: &str) -> bool {
    name.starts_with(|sign: char| sign.is_ascii_alphabetic())
        && name.chars().all(|sign| sign.is_ascii_alphanumeric() || matches!(sign, '-' | '_'))
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for sign in text.chars() {
        match sign {
            '"' => quoted += "\\\"",
            '\\' => quoted += "\\\\",
            '\n' => quoted += "\\n",
            '\r' => quoted += "\\r",
            '\t' => quoted += "\\t",
            sign => quoted.push(sign),
        }
    }
    quoted + "\""
}

/// A scalar or a list of them.
fn word(value: &Value) -> Result<String, String> {
    match value {
        Value::Array(elements) => {
            let words = elements.iter().map(scalar_word).collect::<Result<Vec<_>, _>>()?;
            Ok(format!("[{}]", words.join(" ")))
        }
        value => scalar_word(value),
    }
}

fn scalar_word(value: &Value) -> Result<String, String> {
    match value {
        Value::Null => Ok("nil".into()),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Number(number) if number.is_i64() || number.is_f64() => Ok(number.to_string()),
        Value::String(text) => match text.strip_prefix(':') {
            Some(name) if is_keyword(name) => Ok(text.clone()),
            _ => Ok(quoted(text)),
        },
        _ => Err(format!("EDN histories cannot have the value {value}")),
    }
}

/// The steps of a transaction of a multi-register.
fn steps(value: &Value) -> Result<String, String> {
    let Value::Array(steps) = value else { return Ok("nil".into()) };
    let step = |step: &Value| {
        let (name, key, value) = step_parts(step)?;
        let key = key.as_str().map_or_else(|| scalar_word(key), |name| Ok(text_word(name)));
        Ok(format!("[:{name} {} {}]", key?, scalar_word(value)?))
    };
    Ok(format!("[{}]", steps.iter().map(step).collect::<Result<Vec<_>, String>>()?.join(" ")))
}
