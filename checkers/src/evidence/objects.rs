//! A judgement over calls of objects, in words.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::{About, Answer, Report, count, shortened};
use crate::formats::{Call, Decided, Judged, Kind, ModelName, Objects, Stuck};
use crate::history::Outcome;

/// How many calls before the impossible one are told.
const TOLD: usize = 10;

/// What was found in a history of calls.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ObjectsReport {
    /// What the objects are.
    pub model: ModelName,
    /// How many calls there are.
    pub operations: usize,
    /// How many of them have an unknown outcome.
    pub unknown: usize,
    /// How many clients made them.
    pub clients: usize,
    /// How many keys they are about; 0 if they have none.
    pub keys: usize,
    /// How many configurations were explored.
    pub explored: u64,
    /// Why the search ended without an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What cannot be explained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stuck: Option<StuckReport>,
}

/// The call that cannot be placed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StuckReport {
    /// Its line in the file.
    pub line: usize,
    /// The call.
    pub operation: String,
    /// Its client.
    pub client: String,
    /// Its key, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How many calls can be put in order before it.
    pub prefix: usize,
    /// The last of them, in such an order.
    pub before: Vec<String>,
    /// The states that such orders end in.
    pub frontier: Vec<Frontier>,
    /// Whether those are all such states.
    pub complete: bool,
    /// Calls that contradict each other whatever else happened.
    pub core: Vec<String>,
}

/// Where the explanations end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Frontier {
    /// The state of the object.
    pub state: String,
    /// What the call would have been answered there.
    pub answer: String,
}

/// Puts a judgement into words.
pub fn report(source: &str, objects: &Objects, judged: &Judged) -> Report {
    let calls = &objects.calls;
    let keys: BTreeSet<u64> = calls.iter().filter_map(|call| call.key).collect();
    let clients: BTreeSet<u64> = calls.iter().map(|call| call.client).collect();
    let what = count(calls.len(), "operation");
    let (verdict, summary) = match &judged.decided {
        Decided::Linearizable { .. } => (Answer::Holds, format!("{what} of a {}: linearizable", judged.model)),
        Decided::Illegal(_) => (Answer::Violated, format!("{what} of a {}: not linearizable", judged.model)),
        Decided::Unknown { why } => (Answer::Unknown, format!("{what} of a {}: not decided, {why}", judged.model)),
    };
    let about = ObjectsReport {
        model: judged.model,
        operations: calls.len(),
        unknown: calls.iter().filter(|call| call.outcome == Outcome::Unknown).count(),
        clients: clients.len(),
        keys: keys.len(),
        explored: judged.explored,
        reason: if let Decided::Unknown { why } = &judged.decided { Some(why.clone()) } else { None },
        stuck: if let Decided::Illegal(stuck) = &judged.decided { Some(stuck_report(objects, stuck)) } else { None },
    };
    Report { source: source.to_owned(), verdict, summary, about: About::Objects(about) }
}

fn stuck_report(objects: &Objects, stuck: &Stuck) -> StuckReport {
    let call = &objects.calls[stuck.call];
    let from = stuck.prefix.len().saturating_sub(TOLD);
    let before = stuck.prefix[from..].iter().map(|place| {
        let call = &objects.calls[*place];
        format!("client {}: {}", objects.names.client(call.client), operation_text(call))
    });
    StuckReport {
        line: call.line,
        operation: operation_text(call),
        client: objects.names.client(call.client),
        key: call.key.map(|key| objects.names.key(key)),
        prefix: stuck.prefix.len(),
        before: before.collect(),
        frontier: stuck
            .frontier
            .iter()
            .map(|(state, answer)| Frontier { state: shortened(state, 400), answer: shortened(answer, 400) })
            .collect(),
        complete: stuck.complete,
        core: stuck.core.iter().map(|place| placed_text(objects, &objects.calls[*place])).collect(),
    }
}

fn placed_text(objects: &Objects, call: &Call) -> String {
    format!("line {}: client {}: {}", call.line, objects.names.client(call.client), operation_text(call))
}

impl ObjectsReport {
    pub(super) fn lines(&self) -> Vec<String> {
        let mut facts = vec![count(self.clients, "client")];
        if self.keys > 0 {
            facts.push(count(self.keys, "key"));
        }
        if self.unknown > 0 {
            facts.push(format!("{} of unknown outcome", self.unknown));
        }
        facts.push(count(self.explored as usize, "configuration") + " explored");
        let mut lines = vec![facts.join(", ")];
        let Some(stuck) = &self.stuck else { return lines };
        let key = stuck.key.as_ref().map_or_else(String::new, |key| format!(" of key {key}"));
        lines.push(format!(
            "line {}: client {}: {}{key} cannot be explained; until then everything can:",
            stuck.line, stuck.client, stuck.operation
        ));
        if stuck.prefix > stuck.before.len() {
            lines.push(format!("  … {} before", count(stuck.prefix - stuck.before.len(), "operation")));
        }
        lines.extend(stuck.before.iter().map(|line| format!("  {line}")));
        let ends = if stuck.complete { "every order of them ends in" } else { "one order of them ends in" };
        for Frontier { state, answer } in stuck.frontier.iter().take(TOLD) {
            let state = if state.is_empty() { "the initial state" } else { state };
            lines.push(format!("{ends} {state}, where the answer is {answer}"));
        }
        if stuck.frontier.len() > TOLD {
            lines.push(format!("… {}", count(stuck.frontier.len() - TOLD, "more state")));
        }
        if stuck.core.len() > 1 {
            lines.push("these contradict each other, whatever else took effect:".to_owned());
            lines.extend(stuck.core.iter().map(|line| format!("  {line}")));
        }
        lines
    }
}

/// A call with its answer, in short.
pub fn operation_text(call: &Call) -> String {
    let asked = match &call.value {
        Value::Null => call.kind.name().to_owned(),
        Value::Array(parts) if call.kind == Kind::Cas => {
            let parts: Vec<String> = parts.iter().map(Value::to_string).collect();
            format!("cas {}", parts.join(" → "))
        }
        value => format!("{} {}", call.kind.name(), shortened(&value.to_string(), 120)),
    };
    match call.outcome {
        Outcome::Ok if call.kind.answers() => {
            let answer = if call.output.is_null() { "nothing".to_owned() } else { call.output.to_string() };
            format!("{asked}: {}", shortened(&answer, 200))
        }
        Outcome::Ok => asked,
        Outcome::Failed => format!("{asked} (failed)"),
        Outcome::Unknown => format!("{asked} (unknown)"),
    }
}
