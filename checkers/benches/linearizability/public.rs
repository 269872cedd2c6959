//! Reads a directory of recorded histories: one JSON object a line, one operation each, and the verdict in the file's name
//! (`…-ok.jsonl` or `…-bad.jsonl`).

use checkers::history::Operation;
use checkers::linearizability::{Decision, Hints, Model, Options, decide};
use checkers::linearizability::{cas_register, key_value, multi_register, mutex};
use serde_json::Value;
use std::path::Path;

/// One file, as operations on the model it is about.
pub enum Recorded {
    Register(cas_register::CasRegister, Vec<Operation<cas_register::Op, cas_register::Ret>>),
    KeyValue(Vec<Operation<key_value::Op, key_value::Ret>>),
    Mutex(Vec<Operation<mutex::Op, mutex::Ret>>),
    Multi(Vec<Operation<Vec<multi_register::Step>, Vec<Option<i64>>>>),
}

impl Recorded {
    /// Whether it is linearizable, if that was found out, and how many configurations that took.
    pub fn judge(&self, options: &Options) -> (Option<bool>, u64) {
        match self {
            Self::Register(model, operations) => verdict(model, operations, options),
            Self::KeyValue(operations) => verdict(&key_value::KeyValue::default(), operations, options),
            Self::Mutex(operations) => verdict(&mutex::Mutex::default(), operations, options),
            Self::Multi(operations) => {
                let initial = multi_register::MultiRegister([("x".to_owned(), 0), ("y".to_owned(), 0)].into());
                verdict(&initial, operations, options)
            }
        }
    }
}

pub fn verdict<M: Model + Hints<M>>(
    model: &M,
    operations: &[Operation<M::Op, M::Ret>],
    options: &Options,
) -> (Option<bool>, u64) {
    match decide::<M, M>(model, operations, options) {
        Decision::Linearizable { explored, .. } => (Some(true), explored),
        Decision::Illegal(illegal) => (Some(false), illegal.explored),
        Decision::Unknown { explored, .. } => (None, explored),
    }
}

/// All histories of a directory, by name, with what is expected of them.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads what it is pointed at")]
pub fn read(directory: &Path) -> anyhow::Result<Vec<(String, bool, Recorded)>> {
    let mut names: Vec<String> = std::fs::read_dir(directory)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<anyhow::Result<_>>()?;
    names.sort();
    let mut all = Vec::new();
    for name in names {
        let expected = match name.strip_suffix(".jsonl") {
            Some(stem) if stem.ends_with("-ok") => true,
            Some(stem) if stem.ends_with("-bad") => false,
            _ => continue,
        };
        let text = std::fs::read_to_string(directory.join(&name))?;
        let lines = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
        all.push((name.clone(), expected, history(&name, &lines)?));
    }
    Ok(all)
}

fn history(name: &str, lines: &[Value]) -> anyhow::Result<Recorded> {
    let kind = |line: &Value| line["kind"].as_str().unwrap_or_default().to_owned();
    let first = lines.first().map(kind).unwrap_or_default();
    let (number, text) = (Value::as_i64, |value: &Value| value.as_str().unwrap_or_default().to_owned());
    Ok(match first.as_str() {
        "get" | "put" | "append" => Recorded::KeyValue(operations(lines, |line| {
            let (key, value) = (text(&line["key"]), text(&line["value"]));
            Ok(match kind(line).as_str() {
                "get" => (key_value::Op::Get { key }, key_value::Ret::Value(text(&line["output"]))),
                "put" => (key_value::Op::Put { key, value }, key_value::Ret::Done),
                "append" => (key_value::Op::Append { key, value }, key_value::Ret::Done),
                other => anyhow::bail!("{name}: unknown kind {other}"),
            })
        })?),
        "acquire" | "release" => Recorded::Mutex(operations(lines, |line| {
            let op = if kind(line) == "acquire" { mutex::Op::Acquire } else { mutex::Op::Release };
            Ok((op, mutex::Ret::Done))
        })?),
        "txn" => Recorded::Multi(operations(lines, |line| {
            let (mut steps, mut seen) = (Vec::new(), Vec::new());
            let outputs = line["output"].as_array().map_or(&[][..], Vec::as_slice);
            for (at, step) in line["value"].as_array().into_iter().flatten().enumerate() {
                let register = text(&step[1]);
                if step[0] == "read" {
                    steps.push(multi_register::Step::Read(register));
                    seen.push(outputs.get(at).and_then(|output| number(&output[2])));
                } else {
                    let value = number(&step[2]).ok_or_else(|| anyhow::anyhow!("{name}: {step}"))?;
                    steps.push(multi_register::Step::Write(register, value));
                }
            }
            Ok((steps, seen))
        })?),
        _ => {
            let initial = if name.starts_with("etcd") { None } else { Some(0) };
            let operations = operations(lines, |line| {
                let required = |value: &Value| number(value).ok_or_else(|| anyhow::anyhow!("{name}: {line}"));
                Ok(match kind(line).as_str() {
                    "read" => (cas_register::Op::Read, cas_register::Ret::Value(number(&line["output"]))),
                    "write" => (cas_register::Op::Write(required(&line["value"])?), cas_register::Ret::Written),
                    "cas" => {
                        let (from, to) = (required(&line["value"][0])?, required(&line["value"][1])?);
                        let held = line["output"].as_bool().unwrap_or_default();
                        (cas_register::Op::CompareAndSet { from, to }, cas_register::Ret::Compared(held))
                    }
                    other => anyhow::bail!("{name}: unknown kind {other}"),
                })
            })?;
            Recorded::Register(cas_register::CasRegister(initial), operations)
        }
    })
}

fn operations<I, O>(
    lines: &[Value],
    read: impl Fn(&Value) -> anyhow::Result<(I, O)>,
) -> anyhow::Result<Vec<Operation<I, O>>> {
    let operation = |line: &Value| {
        let (input, output) = read(line)?;
        let complete = line["return_ts"].as_u64();
        Ok(Operation {
            client: line["client"].as_u64().unwrap_or_default(),
            invoke: line["call_ts"].as_u64().unwrap_or_default(),
            complete,
            input,
            output: complete.map(|_| output),
        })
    };
    lines.iter().map(operation).collect()
}
