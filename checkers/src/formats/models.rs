//! Judges recorded calls: gives them a model, and asks whether they are linearizable.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use super::intern::Interner;
use super::keyed::{Keyed, RecordedSet};
use super::objects::{Call, Kind, ModelName, Objects, step_parts};
use super::scalar::Scalar;
use crate::history::{HistoryError, Names, Operation, Outcome};
use crate::linearizability::{
    Decision, Hints, Model, Options, cas_register, counter, decide_until, key_value, minimal, multi_register, mutex,
    partial, queue, set,
};

/// What was found out about recorded calls. Calls are places in [`Objects::calls`].
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The model that they were judged by.
    pub model: ModelName,
    /// Whether they are linearizable.
    pub decided: Decided,
    /// How many configurations were explored.
    pub explored: u64,
}

/// Whether calls are linearizable.
#[derive(Clone, Debug, PartialEq)]
pub enum Decided {
    /// They are.
    Linearizable {
        /// An order that explains them.
        order: Vec<usize>,
    },
    /// They are not.
    Illegal(Stuck),
    /// It could not be found out.
    Unknown {
        /// What ran out.
        why: String,
    },
}

/// Why calls are not linearizable.
#[derive(Clone, Debug, PartialEq)]
pub struct Stuck {
    /// The call that cannot be placed: all is well until just before its return.
    pub call: usize,
    /// An order of what returned before.
    pub prefix: Vec<usize>,
    /// The states in which such orders end, and what the model would answer there.
    pub frontier: Vec<(String, String)>,
    /// Whether those are all such states.
    pub complete: bool,
    /// Calls that contradict each other whatever else happened. Empty without an explanation.
    pub core: Vec<usize>,
    /// For every call the longest order with it, as far as they were looked for. Empty without an explanation.
    pub partials: Vec<Vec<usize>>,
}

/// What an explanation may cost: configurations of one search, and searches for a small contradiction.
const EXPLAINED: (u64, u64) = (50_000, 300);
/// How many calls a history may have for partial orders to be looked for, and how long these may be together.
const PARTIAL: (usize, usize) = (20_000, 400_000);

impl Stuck {
    /// The orders that are known to have no contradiction: first that of what returned before, then the longest.
    pub fn orders(&self) -> Vec<Vec<usize>> {
        let mut orders = vec![self.prefix.clone()];
        orders.extend(self.partials.iter().filter(|order| **order != self.prefix).cloned());
        orders
    }
}

/// Judges the calls of a file. The model and the initial value are the given ones, else those of the file, else guessed.
/// An explanation of what is wrong may cost more than to find it.
///
/// # Errors
/// A call that is not of the model, or an initial value that it cannot have.
pub fn judge(
    objects: &Objects,
    model: Option<ModelName>,
    initial: Option<&Value>,
    options: &Options,
    explain: bool,
) -> Result<Judged, HistoryError> {
    judge_until(objects, model, initial, options, explain, &mut || false)
}

/// Like [`judge`], and gives up soon after `stop` says so. It is asked between slices of some milliseconds.
///
/// # Errors
/// As [`judge`].
pub fn judge_until(
    objects: &Objects,
    model: Option<ModelName>,
    initial: Option<&Value>,
    options: &Options,
    explain: bool,
    stop: &mut dyn FnMut() -> bool,
) -> Result<Judged, HistoryError> {
    let model = objects.model(model)?;
    let initial = initial.or(objects.initial.as_ref()).unwrap_or(&Value::Null);
    let mut task = Task { objects, options: options.clone(), explain, stop, interner: Interner::default() };
    let (decided, explored) = match model {
        ModelName::Register | ModelName::CasRegister => task.register(initial),
        ModelName::Kv => task.key_value(initial),
        ModelName::MultiRegister => task.multi_register(initial),
        ModelName::Set => task.set(initial),
        ModelName::Queue => task.queue(initial),
        ModelName::Counter => task.counter(initial),
        ModelName::Mutex => task.mutex(initial),
    }?;
    Ok(Judged { model, decided, explored })
}

struct Task<'a> {
    objects: &'a Objects,
    options: Options,
    explain: bool,
    stop: &'a mut dyn FnMut() -> bool,
    interner: Interner,
}

type Found = Result<(Decided, u64), HistoryError>;

/// Operations as a model has them, with the places of their calls.
struct Asked<O, R> {
    operations: Vec<Operation<O, R>>,
    places: Vec<usize>,
}

/// How a model shows its states and answers.
struct Shown<M: Model> {
    state: fn(&M, &Names) -> String,
    answer: fn(&M::Ret, &Names) -> String,
}

impl Task<'_> {
    fn value(&mut self, value: &Value) -> Result<i64, String> {
        let scalar = Scalar::of(value.clone())?;
        self.interner.value(&scalar).ok_or_else(|| "null is no value here".to_owned())
    }

    fn optional(&mut self, value: &Value) -> Result<Option<i64>, String> {
        Scalar::of(value.clone()).map(|scalar| self.interner.value(&scalar))
    }

    fn values(&mut self, value: &Value) -> Result<Vec<i64>, String> {
        match value {
            Value::Null => Ok(Vec::new()),
            Value::Array(elements) => elements.iter().map(|element| self.value(element)).collect(),
            other => Err(format!("{other} is no array")),
        }
    }

    fn register(&mut self, initial: &Value) -> Found {
        use cas_register::{CasRegister, Op, Ret};
        let first = self.optional(initial).map_err(start)?;
        let op = |task: &mut Self, call: &Call| match (call.kind, call.value.as_array().map(Vec::as_slice)) {
            (Kind::Write, _) => task.value(&call.value).map(Op::Write),
            (Kind::Cas, Some([from, to])) => Ok(Op::CompareAndSet { from: task.value(from)?, to: task.value(to)? }),
            _ => Ok(Op::Read),
        };
        let ret = |task: &mut Self, call: &Call| match call.kind {
            Kind::Write => Ok(Ret::Written),
            Kind::Cas => Ok(Ret::Compared(call.output == Value::Bool(true))),
            _ => task.optional(&call.output).map(Ret::Value),
        };
        let shown = Shown::<CasRegister> {
            state: |state, names| optional(state.0, names),
            answer: |ret, names| match ret {
                Ret::Value(value) => optional(*value, names),
                Ret::Written => "ok".into(),
                Ret::Compared(held) => held.to_string(),
            },
        };
        self.decide(CasRegister(first), op, ret, &shown)
    }

    fn set(&mut self, initial: &Value) -> Found {
        use set::{Op, Ret, Set};
        let first: BTreeSet<i64> = self.values(initial).map_err(start)?.into_iter().collect();
        let op = |task: &mut Self, call: &Call| match call.kind {
            Kind::Add => task.value(&call.value).map(Op::Add),
            Kind::Remove => task.value(&call.value).map(Op::Remove),
            Kind::Contains => task.value(&call.value).map(Op::Contains),
            _ => Ok(Op::Read),
        };
        let ret = |task: &mut Self, call: &Call| match &call.output {
            Value::Bool(was) => Ok(Some(Ret::Was(*was))),
            Value::Array(elements) => {
                let values = task.values(&call.output)?;
                let set: BTreeSet<i64> = values.iter().copied().collect();
                if set.len() == elements.len() {
                    Ok(Some(Ret::Elements(set)))
                } else {
                    Err("an element is twice in a set".to_owned())
                }
            }
            _ => Ok(None),
        };
        let shown = Shown::<RecordedSet> {
            state: |state, names| list(state.0.0.iter(), names),
            answer: |ret, names| match ret {
                Some(Ret::Elements(elements)) => list(elements.iter(), names),
                Some(Ret::Was(was)) => was.to_string(),
                None => "ok".into(),
            },
        };
        self.decide(RecordedSet(Set(first)), op, ret, &shown)
    }

    fn queue(&mut self, initial: &Value) -> Found {
        use queue::{Op, Queue, Ret};
        let first: VecDeque<i64> = self.values(initial).map_err(start)?.into();
        let op = |task: &mut Self, call: &Call| match call.kind {
            Kind::Enqueue => task.value(&call.value).map(Op::Enqueue),
            _ => Ok(Op::Dequeue),
        };
        let ret = |task: &mut Self, call: &Call| match call.kind {
            Kind::Enqueue => Ok(Ret::Enqueued),
            _ => task.optional(&call.output).map(Ret::Dequeued),
        };
        let shown = Shown::<Queue> {
            state: |state, names| list(state.0.iter(), names),
            answer: |ret, names| match ret {
                Ret::Enqueued => "ok".into(),
                Ret::Dequeued(element) => optional(*element, names),
            },
        };
        self.decide(Queue(first), op, ret, &shown)
    }

    fn counter(&mut self, initial: &Value) -> Found {
        use counter::{Counter, Op, Ret};
        let first = match initial {
            Value::Null => 0,
            other => other.as_i64().ok_or_else(|| start(format!("{other} is no whole number")))?,
        };
        let number = |value: &Value| value.as_i64().ok_or_else(|| format!("{value} is no whole number"));
        let op = |_: &mut Self, call: &Call| match call.kind {
            Kind::Add => number(&call.value).map(Op::Add),
            _ => Ok(Op::Read),
        };
        let ret = |_: &mut Self, call: &Call| match call.kind {
            Kind::Add => Ok(Ret::Added),
            _ => number(&call.output).map(Ret::Value),
        };
        let shown = Shown::<Counter> {
            state: |state, _| state.0.to_string(),
            answer: |ret, _| match ret {
                Ret::Value(value) => value.to_string(),
                Ret::Added => "ok".into(),
            },
        };
        self.decide(Counter(first), op, ret, &shown)
    }

    fn mutex(&mut self, initial: &Value) -> Found {
        use mutex::{Mutex, Op, Ret};
        let held = match initial {
            Value::Null | Value::Bool(false) => false,
            Value::Bool(true) => true,
            Value::String(word) if word == "free" => false,
            Value::String(word) if word == "held" => true,
            other => return Err(start(format!("{other} is neither \"free\" nor \"held\""))),
        };
        let op = |_: &mut Self, call: &Call| Ok(if call.kind == Kind::Acquire { Op::Acquire } else { Op::Release });
        let ret = |_: &mut Self, _: &Call| Ok(Ret::Done);
        let shown = Shown::<Mutex> {
            state: |state, _| if state.held { "held" } else { "free" }.into(),
            answer: |ret, _| if *ret == Ret::Done { "ok" } else { "refused" }.into(),
        };
        self.decide(Mutex { held }, op, ret, &shown)
    }

    fn key_value(&mut self, initial: &Value) -> Found {
        use key_value::{KeyValue, Op, Ret};
        let objects = self.objects;
        let name = |call: &Call| call.key.map_or_else(String::new, |key| objects.names.key(key));
        let first = match initial {
            Value::Null => BTreeMap::new(),
            Value::String(text) if text.is_empty() => BTreeMap::new(),
            Value::String(text) => objects.calls.iter().map(|call| (name(call), text.clone())).collect(),
            other => return Err(start(format!("{other} is no string"))),
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let op = |_: &mut Self, call: &Call| {
            let key = name(call);
            Ok(match call.kind {
                Kind::Put => Op::Put { key, value: text(&call.value) },
                Kind::Append => Op::Append { key, value: text(&call.value) },
                _ => Op::Get { key },
            })
        };
        let ret = |_: &mut Self, call: &Call| {
            Ok(if call.kind == Kind::Get { Ret::Value(text(&call.output)) } else { Ret::Done })
        };
        let shown = Shown::<KeyValue> {
            state: |state, _| {
                let entries = state.0.iter().map(|(key, value)| format!("{key} = {value:?}"));
                entries.collect::<Vec<_>>().join(", ")
            },
            answer: |ret, _| match ret {
                Ret::Value(value) => format!("{value:?}"),
                Ret::Done => "ok".into(),
            },
        };
        let asked = self.operations(op, ret)?;
        Ok(self.run(&KeyValue(first), &asked, |state, _, names| (shown.state)(state, names), shown.answer))
    }

    fn multi_register(&mut self, initial: &Value) -> Found {
        use multi_register::{MultiRegister, Step};
        let name = |key: &Value| key.as_str().map_or_else(|| key.to_string(), str::to_owned);
        let mut first = BTreeMap::new();
        match initial {
            Value::Null => {}
            Value::Object(values) => {
                for (key, value) in values {
                    first.insert(key.clone(), self.value(value).map_err(start)?);
                }
            }
            value => {
                let value = self.value(value).map_err(start)?;
                let steps = self.objects.calls.iter().filter_map(|call| call.value.as_array()).flatten();
                let parts = steps.filter_map(|step| step_parts(step).ok());
                first = parts.map(|(_, key, _)| (name(key), value)).collect();
            }
        }
        let op = |task: &mut Self, call: &Call| {
            let mut steps = Vec::new();
            for step in call.value.as_array().into_iter().flatten() {
                let (kind, key, value) = step_parts(step)?;
                let key = name(key);
                steps.push(if kind == "read" { Step::Read(key) } else { Step::Write(key, task.value(value)?) });
            }
            Ok(steps)
        };
        let ret = |task: &mut Self, call: &Call| {
            let mut seen = Vec::new();
            for step in call.output.as_array().into_iter().flatten() {
                let (kind, _, value) = step_parts(step)?;
                if kind == "read" {
                    seen.push(task.optional(value)?);
                }
            }
            Ok(seen)
        };
        let shown = Shown::<MultiRegister> {
            state: |state, names| {
                let entries = state.0.iter().map(|(key, value)| format!("{key} = {}", names.value(*value)));
                entries.collect::<Vec<_>>().join(", ")
            },
            answer: |ret, names| {
                let seen: Vec<String> = ret.iter().map(|value| optional(*value, names)).collect();
                format!("[{}]", seen.join(" "))
            },
        };
        self.decide(MultiRegister(first), op, ret, &shown)
    }

    /// The operations as the model has them, with the places of their calls. Calls that did not happen are left out.
    fn operations<O, R>(
        &mut self,
        mut op: impl FnMut(&mut Self, &Call) -> Result<O, String>,
        mut ret: impl FnMut(&mut Self, &Call) -> Result<R, String>,
    ) -> Result<Asked<O, R>, HistoryError> {
        let mut operations = Vec::new();
        let mut places = Vec::new();
        for (place, call) in self.objects.calls.iter().enumerate() {
            if call.outcome == Outcome::Failed {
                continue;
            }
            let (line, client, invoke, complete) = (call.line, call.client, call.invoke, call.complete);
            let input = op(self, call).map_err(|reason| HistoryError { line, reason })?;
            let output = match call.outcome {
                Outcome::Ok => Some(ret(self, call).map_err(|reason| HistoryError { line, reason })?),
                _ => None,
            };
            operations.push(Operation { client, invoke, complete, input, output });
            places.push(place);
        }
        Ok(Asked { operations, places })
    }

    /// Decides one object, or one of each key.
    fn decide<M: Model + Hints<M>>(
        &mut self,
        first: M,
        op: impl FnMut(&mut Self, &Call) -> Result<M::Op, String>,
        ret: impl FnMut(&mut Self, &Call) -> Result<M::Ret, String>,
        shown: &Shown<M>,
    ) -> Found {
        let asked = self.operations(op, ret)?;
        let objects = self.objects;
        if objects.calls.iter().all(|call| call.key.is_none()) {
            return Ok(self.run(&first, &asked, |state, _, names| (shown.state)(state, names), shown.answer));
        }
        let Asked { operations, places } = asked;
        let with_keys = operations.into_iter().zip(&places).map(|(operation, place)| {
            let Operation { client, invoke, complete, input, output } = operation;
            Operation { client, invoke, complete, input: (objects.calls[*place].key, input), output }
        });
        let operations: Vec<_> = with_keys.collect();
        // What holds of a register does not hold of several at once.
        self.options.special &= self.options.split;
        let state = |state: &Keyed<M>, key, names: &Names| (shown.state)(state.at(key), names);
        Ok(self.run(&Keyed::new(first), &Asked { operations, places }, state, shown.answer))
    }

    fn run<M: Model + Hints<M>>(
        &mut self,
        first: &M,
        Asked { operations, places }: &Asked<M::Op, M::Ret>,
        state: impl Fn(&M, Option<u64>, &Names) -> String,
        answer: fn(&M::Ret, &Names) -> String,
    ) -> (Decided, u64) {
        let names = std::mem::take(&mut self.interner).names();
        let places = |order: Vec<usize>| order.into_iter().map(|at| places[at]).collect::<Vec<_>>();
        match decide_until::<M, M>(first, operations, &self.options, self.stop) {
            Decision::Linearizable { order, explored } => (Decided::Linearizable { order: places(order) }, explored),
            Decision::Unknown { why, explored } => (Decided::Unknown { why }, explored),
            Decision::Illegal(illegal) => {
                let call = places(vec![illegal.stuck])[0];
                let key = self.objects.calls[call].key;
                let ends = illegal.frontier.iter();
                let frontier = ends.map(|end| (state(&end.state, key, &names), answer(&end.answer, &names))).collect();
                let (mut core, mut partials) = (Vec::new(), Vec::new());
                if self.explain && !(self.stop)() {
                    let (configurations, attempts) = EXPLAINED;
                    let options = Options { configurations, ..self.options.clone() };
                    let drop = minimal::Drop::Forget;
                    let found = minimal::minimal::<M, M>(first, operations, &illegal, drop, (&options, attempts));
                    core = places(found.operations);
                    if operations.len() <= PARTIAL.0 {
                        partials = partial::partials::<M, M>(first, operations, &options).orders;
                        partials.sort_by_key(|order| std::cmp::Reverse(order.len()));
                        let mut room = PARTIAL.1;
                        partials.retain(|order| {
                            let fits = order.len() <= room;
                            room -= if fits { order.len() } else { 0 };
                            fits
                        });
                    }
                }
                let partials = partials.into_iter().map(&places).collect();
                let (prefix, complete, explored) = (places(illegal.prefix), illegal.complete, illegal.explored);
                (Decided::Illegal(Stuck { call, prefix, frontier, complete, core, partials }), explored)
            }
        }
    }
}

/// An initial value that a model cannot have.
fn start(reason: impl Into<String>) -> HistoryError {
    HistoryError { line: 1, reason: format!("as initial value: {}", reason.into()) }
}

fn optional(value: Option<i64>, names: &Names) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| names.value(value))
}

fn list<'a>(elements: impl Iterator<Item = &'a i64>, names: &Names) -> String {
    format!("[{}]", elements.map(|element| names.value(*element)).collect::<Vec<_>>().join(" "))
}
