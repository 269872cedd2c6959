//! Calls of objects as a file records them, before a model gives them a meaning.
//!
//! Every call is checked for its own shape when it is read: a `cas` has two values, a completed `read` has an answer.
//! Which operations belong together in one model, and what the answers must look like there, is checked by
//! [`Objects::model`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::scalar::Scalar;
use super::wrong;
use crate::history::{HistoryError, Names, Outcome};

/// What was asked of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Read a register, a set or a counter.
    Read,
    /// Write a register.
    Write,
    /// Write a register if it has an expected value.
    Cas,
    /// Read a string by its key.
    Get,
    /// Replace a string.
    Put,
    /// Append to a string.
    Append,
    /// Take a mutex.
    Acquire,
    /// Free a mutex.
    Release,
    /// Read and write several registers at once.
    Txn,
    /// Add to a set or a counter.
    Add,
    /// Take out of a set.
    Remove,
    /// Ask whether a set has an element.
    Contains,
    /// Put into a queue.
    Enqueue,
    /// Take from a queue.
    Dequeue,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 14] = [
        Self::Read,
        Self::Write,
        Self::Cas,
        Self::Get,
        Self::Put,
        Self::Append,
        Self::Acquire,
        Self::Release,
        Self::Txn,
        Self::Add,
        Self::Remove,
        Self::Contains,
        Self::Enqueue,
        Self::Dequeue,
    ];

    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Cas => "cas",
            Self::Get => "get",
            Self::Put => "put",
            Self::Append => "append",
            Self::Acquire => "acquire",
            Self::Release => "release",
            Self::Txn => "txn",
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Contains => "contains",
            Self::Enqueue => "enqueue",
            Self::Dequeue => "dequeue",
        }
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether the answer tells something that the caller did not say itself.
    pub fn answers(self) -> bool {
        matches!(self, Self::Read | Self::Get | Self::Cas | Self::Contains | Self::Dequeue | Self::Txn)
    }
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelName {
    /// One value: read, write.
    Register,
    /// One value: read, write, compare and set.
    CasRegister,
    /// Several registers, read and written at once by transactions.
    MultiRegister,
    /// Strings by key: get, put, append.
    Kv,
    /// A set: add, remove, contains, read.
    Set,
    /// First in, first out: enqueue, dequeue.
    Queue,
    /// A sum: add, read.
    Counter,
    /// A lock: acquire, release.
    Mutex,
}

impl ModelName {
    /// All models, the first that fits is the one that is guessed.
    pub const ALL: [Self; 8] = [
        Self::Register,
        Self::CasRegister,
        Self::MultiRegister,
        Self::Kv,
        Self::Set,
        Self::Queue,
        Self::Counter,
        Self::Mutex,
    ];

    /// The name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::CasRegister => "cas-register",
            Self::MultiRegister => "multi-register",
            Self::Kv => "kv",
            Self::Set => "set",
            Self::Queue => "queue",
            Self::Counter => "counter",
            Self::Mutex => "mutex",
        }
    }

    /// The model of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|model| model.name() == name)
    }

    /// What can be asked of it.
    pub fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Register => &[Kind::Read, Kind::Write],
            Self::CasRegister => &[Kind::Read, Kind::Write, Kind::Cas],
            Self::MultiRegister => &[Kind::Txn],
            Self::Kv => &[Kind::Get, Kind::Put, Kind::Append],
            Self::Set => &[Kind::Add, Kind::Remove, Kind::Contains, Kind::Read],
            Self::Queue => &[Kind::Enqueue, Kind::Dequeue],
            Self::Counter => &[Kind::Add, Kind::Read],
            Self::Mutex => &[Kind::Acquire, Kind::Release],
        }
    }

    /// What it is, in a few words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Register => "one value",
            Self::CasRegister => "one value with compare-and-set",
            Self::MultiRegister => "several registers, read and written at once",
            Self::Kv => "strings by key, with append",
            Self::Set => "a set of values",
            Self::Queue => "first in, first out",
            Self::Counter => "a sum",
            Self::Mutex => "a lock",
        }
    }
}

impl std::fmt::Display for ModelName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Its line in the file, from 1.
    pub line: usize,
    /// The sequential caller.
    pub client: u64,
    /// The object, if there are several.
    pub key: Option<u64>,
    /// What was asked.
    pub kind: Kind,
    /// With what: null, a scalar, two scalars for `cas`, a list of steps for `txn`.
    pub value: Value,
    /// When it was invoked.
    pub invoke: u64,
    /// When it completed or was given up.
    pub complete: Option<u64>,
    /// What was answered; null for a call that is not known to have succeeded.
    pub output: Value,
    /// Whether it happened.
    pub outcome: Outcome,
}

/// A history of calls.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objects {
    /// The model that the file names.
    pub model: Option<ModelName>,
    /// The initial value that the file names.
    pub initial: Option<Value>,
    /// The calls, in the order of the file.
    pub calls: Vec<Call>,
    /// What the file calls the clients and keys.
    pub names: Names,
}

impl Objects {
    /// The model that the operations are those of: the given one, the file's own, or the first that has them all.
    ///
    /// # Errors
    /// An operation that the model does not have, an answer that it cannot give, or nothing to tell a set from a
    /// counter by.
    pub fn model(&self, given: Option<ModelName>) -> Result<ModelName, HistoryError> {
        let model = match given.or(self.model) {
            Some(model) => model,
            None => self.guess()?,
        };
        for call in &self.calls {
            if !model.kinds().contains(&call.kind) {
                let has: Vec<&str> = model.kinds().iter().map(|kind| kind.name()).collect();
                let reason =
                    format!("`{}` is no operation of a {model}, which has {}", call.kind.name(), has.join(", "));
                return wrong(call.line, reason);
            }
            if let Some(reason) = misfit(model, call) {
                return wrong(call.line, reason);
            }
        }
        Ok(model)
    }

    fn guess(&self) -> Result<ModelName, HistoryError> {
        let mut first: BTreeMap<Kind, usize> = BTreeMap::new();
        for call in &self.calls {
            first.entry(call.kind).or_insert(call.line);
        }
        let fits = |model: &ModelName| first.keys().all(|kind| model.kinds().contains(kind));
        let mut models = ModelName::ALL.into_iter().filter(fits);
        match (models.next(), models.next()) {
            (Some(ModelName::Set), Some(ModelName::Counter)) => {
                let answer = self.calls.iter().find(|call| call.kind == Kind::Read && call.outcome == Outcome::Ok);
                match answer.map(|call| &call.output) {
                    Some(Value::Array(_)) => Ok(ModelName::Set),
                    Some(_) => Ok(ModelName::Counter),
                    None => wrong(1, "with only `add` this may be a set or a counter: name the model"),
                }
            }
            (Some(ModelName::Register), _) if self.calls.iter().any(|call| call.output.is_array()) => {
                Ok(ModelName::Set)
            }
            (Some(model), _) => Ok(model),
            (None, _) => {
                let (kind, line) =
                    first.iter().max_by_key(|(_, line)| **line).map_or(("read", 1), |(k, l)| (k.name(), *l));
                wrong(line, format!("no model has `{kind}` together with the operations before it"))
            }
        }
    }
}

/// Why a model cannot have been asked this or cannot have answered so, whatever its state.
fn misfit(model: ModelName, call: &Call) -> Option<String> {
    let (value, output) = (&call.value, &call.output);
    let answered = call.outcome == Outcome::Ok;
    match (model, call.kind) {
        (ModelName::Register | ModelName::CasRegister, Kind::Read) => {
            output.is_array().then(|| "a register has one value, but the answer is an array".into())
        }
        (ModelName::Kv, Kind::Put | Kind::Append) => {
            (!value.is_string()).then(|| format!("a kv store has strings, but the value is {value}"))
        }
        (ModelName::Kv, Kind::Get) => (answered && !output.is_string()).then(|| {
            format!("a kv store has strings, but the answer is {output} (a key that is not there reads \"\")")
        }),
        (ModelName::Set, Kind::Read) => {
            (answered && !output.is_array()).then(|| format!("a set is read as an array, but the answer is {output}"))
        }
        (ModelName::Counter, Kind::Add) if !value.is_i64() => {
            Some(format!("a counter adds whole numbers, but the value is {value}"))
        }
        (ModelName::Counter, Kind::Add) => {
            output.is_boolean().then(|| format!("a counter answers \"ok\" to an add, not {output}"))
        }
        (ModelName::Counter, Kind::Read) => (answered && !output.is_i64())
            .then(|| format!("a counter is read as a whole number, but the answer is {output}")),
        _ => None,
    }
}

/// Checks a call's own shape, and normalises the answer of one that is not known to have succeeded.
pub(super) fn check_call(mut call: Call) -> Result<Call, HistoryError> {
    let (line, kind) = (call.line, call.kind.name());
    if let Some(complete) = call.complete.filter(|complete| *complete < call.invoke) {
        return wrong(line, format!("returned at {complete}, before it was called at {}", call.invoke));
    }
    if call.outcome != Outcome::Unknown && call.complete.is_none() {
        let outcome = if call.outcome == Outcome::Ok { "ok" } else { "fail" };
        return wrong(line, format!("the outcome is {outcome}, but there is no time of return"));
    }
    let argument = match call.kind {
        Kind::Read | Kind::Get | Kind::Acquire | Kind::Release | Kind::Dequeue => {
            if call.value.is_null() {
                Ok(())
            } else {
                Err("takes no value".into())
            }
        }
        Kind::Cas => match call.value.as_array().map(Vec::as_slice) {
            Some([from, to]) => scalar(from).and_then(|()| scalar(to)),
            _ => Err("takes [from, to]".into()),
        },
        Kind::Txn => steps(&call.value),
        Kind::Write | Kind::Put | Kind::Append | Kind::Add | Kind::Remove | Kind::Contains | Kind::Enqueue => {
            if call.value.is_null() { Err("has no value".into()) } else { scalar(&call.value) }
        }
    };
    if let Err(reason) = argument {
        return wrong(line, format!("`{kind}` {reason}"));
    }
    if call.outcome != Outcome::Ok {
        call.output = Value::Null;
        return Ok(call);
    }
    let output = &call.output;
    let answer =
        match call.kind {
            Kind::Read => match output {
                Value::Array(elements) => elements.iter().try_for_each(scalar),
                one => scalar(one),
            },
            Kind::Get | Kind::Dequeue => scalar(output),
            Kind::Add | Kind::Remove if output == "ok" => Ok(()),
            Kind::Cas | Kind::Contains | Kind::Add | Kind::Remove => {
                if output.is_boolean() {
                    Ok(())
                } else {
                    Err(format!("answers true or false, not {output}"))
                }
            }
            Kind::Txn => steps(output).and_then(|()| same_steps(&call.value, output)),
            Kind::Write | Kind::Put | Kind::Append | Kind::Acquire | Kind::Release | Kind::Enqueue => {
                if output == "ok" { Ok(()) } else { Err(format!("answers \"ok\", not {output}")) }
            }
        };
    match answer {
        Ok(()) => Ok(call),
        Err(reason) => wrong(line, format!("`{kind}`: {reason}")),
    }
}

fn scalar(value: &Value) -> Result<(), String> {
    Scalar::of(value.clone()).map(|_| ())
}

/// The steps of a `txn`: `["read", key, value or null]` and `["write", key, value]`.
fn steps(value: &Value) -> Result<(), String> {
    let Value::Array(steps) = value else { return Err("is a list of steps".into()) };
    for step in steps {
        let (name, key, value) = step_parts(step)?;
        if key.is_null() {
            return Err("has a step without a key".into());
        }
        scalar(key).and_then(|()| scalar(value))?;
        if name == "write" && value.is_null() {
            return Err("has a write without a value".into());
        }
    }
    Ok(())
}

/// The name, key and value of a step.
pub(crate) fn step_parts(step: &Value) -> Result<(&str, &Value, &Value), String> {
    match step.as_array().map(Vec::as_slice) {
        Some([Value::String(name), key, value]) if name == "read" || name == "write" => Ok((name, key, value)),
        _ => Err(format!("has the step {step}, which is neither [\"read\", key, value] nor [\"write\", key, value]")),
    }
}

fn same_steps(asked: &Value, answered: &Value) -> Result<(), String> {
    let (Some(asked), Some(answered)) = (asked.as_array(), answered.as_array()) else { return Ok(()) };
    if asked.len() != answered.len() {
        return Err(format!("asks {} steps, but answers {}", asked.len(), answered.len()));
    }
    for (asked, answered) in asked.iter().zip(answered) {
        let ((name, key, value), (other_name, other_key, other_value)) = (step_parts(asked)?, step_parts(answered)?);
        if name != other_name || key != other_key || (name == "write" && value != other_value) {
            return Err(format!("asks {asked}, but answers {answered}"));
        }
    }
    Ok(())
}

/// Checks that no client has two calls at once. Who calls again while a call of unknown outcome has no time of return has
/// given that one up.
pub(super) fn check_clients(calls: &[Call], name: impl Fn(u64) -> String) -> Result<(), HistoryError> {
    let mut clients: BTreeMap<u64, Vec<&Call>> = BTreeMap::new();
    for call in calls {
        clients.entry(call.client).or_default().push(call);
    }
    for (client, mut calls) in clients {
        // The call that is still open sorts last among those invoked at one instant.
        calls.sort_by_key(|call| (call.invoke, call.complete.unwrap_or(u64::MAX), call.line));
        for pair in calls.windows(2) {
            let (earlier, later) = (pair[0], pair[1]);
            if earlier.complete.is_some_and(|complete| complete > later.invoke) {
                let reason = format!(
                    "client {} called at {} while its call of line {} was open",
                    name(client),
                    later.invoke,
                    earlier.line
                );
                return wrong(later.line, reason);
            }
        }
    }
    Ok(())
}
