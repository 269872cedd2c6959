//! The histories of Jepsen and Elle, and Porcupine's key-value log: maps in EDN.
//!
//! Each map is an event with `:type`, `:process`, `:f` and `:value`; what else is in it (`:time`, `:error`, …) is not
//! looked at, and neither are events of processes that are not numbers, such as the nemesis. Maps stand one after the
//! other or in one vector. With `independent` keys the value is `[key value]`; that is told by all values being so.
//!
//! Meanings are Jepsen's: `:fail` says that a call did not happen, also of a `:cas`, and a register that is read as
//! `nil` says nothing. A file without any invocation is a history without times.

use clojure_reader::edn::{self, Edn};
use clojure_reader::error::Code;
use serde_json::Value;

use super::assemble::{Assembler, Comparison, Condition, Draft, Step};
use super::events::{Event, Pair, Phase, pair};
use super::intern::Interner;
use super::objects::{Call, Kind, Objects, check_call};
use super::scalar::{Answer, Rows, Scalar};
use super::{Recorded, wrong};
use crate::history::{HistoryError, Outcome};

/// What an event is about.
#[derive(Clone, Debug)]
struct What<'a> {
    f: Option<String>,
    key: Option<Edn<'a>>,
    value: Edn<'a>,
}

/// Reads the history of a Jepsen or Elle test.
pub(super) fn read(text: &str) -> Result<Recorded, HistoryError> {
    let events = events(text)?;
    let Some(first) = events.first() else {
        return wrong(1, "no client does anything in this history");
    };
    let has = |event: &Event<What<'_>>, names| has_steps(&event.what.value, names);
    let transactional =
        events.iter().any(|event| match event.what.f.as_deref() {
            Some("init") | None => true,
            Some(_) => has(event, &["r", "w", "append", "insert", "delete", "rp"]),
        }) || events.iter().all(|event| event.what.f.as_deref() == Some("txn") && !has(event, &["read", "write"]));
    let line = first.line;
    if events.iter().any(|event| event.phase == Phase::Invoke) {
        let pairs = pair(events)?;
        if transactional { transactions(pairs, true) } else { objects(pairs).map(Recorded::Objects) }
    } else if transactional {
        transactions(events.into_iter().enumerate().map(completion_only).collect(), false)
    } else {
        wrong(line, "a history of objects needs the invocations, but there is none")
    }
}

/// A call of which only the completion is known.
fn completion_only((at, event): (usize, Event<What<'_>>)) -> Pair<What<'_>> {
    let Event { line, process, phase, what } = event;
    let end = Some((phase, line, what.clone()));
    Pair { line, process, invoke: at as u64, asked: what, complete: None, end }
}

/// Reads Porcupine's key-value log.
pub(super) fn read_kv_log(text: &str) -> Result<Objects, HistoryError> {
    let events = events(text)?;
    for event in &events {
        if event.what.key.is_none() {
            return wrong(event.line, "no :key");
        }
        if !matches!(event.what.f.as_deref(), Some("get" | "put" | "append")) {
            return wrong(event.line, "a key-value log has only :get, :put and :append");
        }
    }
    if events.is_empty() {
        return wrong(1, "no client does anything in this history");
    }
    objects(pair(events)?)
}

/// Nothing in a history is nested deeper than a handful of levels; looking at forms must not exhaust the stack.
const DEEPEST: usize = 64;

/// The line in which a text is nested too deeply.
fn too_deep(text: &str) -> Option<usize> {
    let (mut brackets, mut tags, mut line) = (0_usize, 0_usize, 1);
    let (mut in_string, mut in_comment, mut in_tag, mut escaped) = (false, false, false, false);
    for byte in text.bytes() {
        line += usize::from(byte == b'\n');
        in_tag &= !byte.is_ascii_whitespace();
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'\n' => in_comment = false,
            b'"' if !in_comment => in_string = !in_string,
            _ if in_string || in_comment || byte.is_ascii_whitespace() => {}
            b';' => in_comment = true,
            // Tags nest what follows them: those that follow each other immediately are levels.
            b'#' => (in_tag, tags) = (true, tags + 1),
            b'[' | b'(' | b'{' => (brackets, tags) = (brackets + 1, 0),
            b']' | b')' | b'}' => (brackets, tags) = (brackets.saturating_sub(1), 0),
            _ if in_tag => {}
            _ => tags = 0,
        }
        if brackets + tags > DEEPEST {
            return Some(line);
        }
    }
    None
}

/// Reads the forms of a file, and keeps the events of clients.
fn events(text: &str) -> Result<Vec<Event<What<'_>>>, HistoryError> {
    if let Some(line) = too_deep(text) {
        return wrong(line, "this is nested too deeply for a history");
    }
    let mut events = Vec::new();
    let mut cursor = Cursor { rest: text, line: 1 };
    cursor.skip();
    let closing = match cursor.rest.chars().next() {
        Some('[') => Some(']'),
        Some('(') => Some(')'),
        _ => None,
    };
    if closing.is_some() {
        cursor.rest = &cursor.rest[1..];
    }
    loop {
        cursor.skip();
        match (cursor.rest.chars().next(), closing) {
            (None, None) => return Ok(events),
            (None, Some(_)) => return wrong(cursor.line, "the file ends before the history is closed"),
            (Some(sign), Some(closing)) if sign == closing => {
                cursor.rest = &cursor.rest[1..];
                cursor.skip();
                if cursor.rest.is_empty() {
                    return Ok(events);
                }
                return wrong(cursor.line, "there is more after the end of the history");
            }
            _ => {
                let line = cursor.line;
                if let Some(event) = event(cursor.form()?, line)? {
                    events.push(event);
                }
            }
        }
    }
}

/// Where the reader is.
struct Cursor<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Cursor<'a> {
    /// Goes to the next form.
    fn skip(&mut self) {
        loop {
            let trimmed = self.rest.trim_start_matches(|sign: char| sign.is_whitespace() || sign == ',');
            let trimmed = match trimmed.strip_prefix(';') {
                Some(comment) => comment.trim_start_matches(|sign| sign != '\n'),
                None => trimmed,
            };
            if trimmed.len() == self.rest.len() {
                return;
            }
            self.go_to(trimmed);
        }
    }

    fn go_to(&mut self, rest: &'a str) {
        let passed = &self.rest[..self.rest.len() - rest.len()];
        self.line += passed.matches('\n').count();
        self.rest = rest;
    }

    fn form(&mut self) -> Result<Edn<'a>, HistoryError> {
        match edn::read(self.rest) {
            Ok((form, rest)) => {
                self.go_to(rest);
                Ok(form)
            }
            Err(error) => {
                let line = self.line + error.line.unwrap_or(1) - 1;
                let reason = match error.code {
                    Code::UnexpectedEOF => "the file ends inside a form".into(),
                    Code::HashMapDuplicateKey => "a key is twice in a map".into(),
                    Code::SetDuplicateKey => "an element is twice in a set".into(),
                    Code::InvalidNumber => "this is not a number, or too large".into(),
                    Code::UnmatchedDelimiter(sign) => format!("`{sign}` closes nothing"),
                    code => format!("this is not EDN: {code:?}"),
                };
                let column = error.column.map_or_else(String::new, |column| format!(" (column {column})"));
                wrong(line, reason + &column)
            }
        }
    }
}

/// What one form says, if a client is the speaker.
fn event(form: Edn<'_>, line: usize) -> Result<Option<Event<What<'_>>>, HistoryError> {
    let mut form = form;
    while let Edn::Tagged(_, inner) = &mut form {
        form = std::mem::replace(inner.as_mut(), Edn::Nil);
    }
    let Edn::Map(fields) = &mut form else {
        return wrong(line, "an event is a map such as {:type :invoke, :process 0, :f :read, :value nil}");
    };
    let mut take = |name: &'static str| fields.remove(&Edn::Key(name.into()));
    let process = match take("process") {
        Some(Edn::Int(process)) => match u64::try_from(process) {
            Ok(process) => process,
            Err(_) => return wrong(line, format!("{process} is no process")),
        },
        Some(Edn::Key(_) | Edn::Str(_) | Edn::Nil) => return Ok(None),
        Some(_) => return wrong(line, ":process is neither a number nor a name"),
        None => return wrong(line, "no :process"),
    };
    let phase = match &take("type") {
        Some(Edn::Key(name) | Edn::Str(name)) => match Phase::named(name) {
            Some(phase) => phase,
            None => return wrong(line, format!("unknown :type {name}; it is :invoke, :ok, :fail or :info")),
        },
        Some(_) => return wrong(line, ":type is no keyword"),
        None => return wrong(line, "no :type"),
    };
    let f = match &take("f") {
        Some(Edn::Key(name) | Edn::Str(name)) => Some(name.clone().into_owned()),
        Some(Edn::Nil) | None => None,
        Some(_) => return wrong(line, ":f is no keyword"),
    };
    let key = take("key");
    let value = take("value").unwrap_or(Edn::Nil);
    Ok(Some(Event { line, process, phase, what: What { f, key, value } }))
}

fn sequence<'a, 'e>(value: &'a Edn<'e>) -> Option<&'a [Edn<'e>]> {
    match value {
        Edn::Vector(elements) | Edn::List(elements) => Some(elements),
        _ => None,
    }
}

/// Whether a value is a list with a step of one of these names.
fn has_steps(value: &Edn<'_>, names: &[&str]) -> bool {
    let is_one = |step: &Edn<'_>| match sequence(step).and_then(<[_]>::first) {
        Some(Edn::Key(name)) => names.contains(&name.as_ref()),
        _ => false,
    };
    sequence(value).is_some_and(|steps| steps.iter().any(is_one))
}

fn transactions(pairs: Vec<Pair<What<'_>>>, timed: bool) -> Result<Recorded, HistoryError> {
    let mut assembler = Assembler::default();
    for (id, pair) in pairs.into_iter().enumerate() {
        let (asked, asked_line) = (&pair.asked, pair.line);
        let (outcome, line, what) = match &pair.end {
            Some((Phase::Ok, line, what)) => (Outcome::Ok, *line, what),
            Some((Phase::Fail, ..)) => (Outcome::Failed, asked_line, asked),
            _ => (Outcome::Unknown, asked_line, asked),
        };
        let Some(steps) = sequence(&what.value) else {
            return wrong(line, "the :value of a transaction is a vector of micro-operations");
        };
        // Some tools leave out of an invocation what its completion repeats.
        if outcome == Outcome::Ok && asked.value != Edn::Nil && !is_answer_to(&asked.value, steps) {
            return wrong(line, format!("the call of line {asked_line} asked for something else"));
        }
        let steps = steps.iter().map(step).collect::<Result<Vec<_>, _>>();
        let steps = steps.map_err(|reason| HistoryError { line, reason })?;
        let draft = Draft {
            id: id as u64,
            session: Scalar::Integer(i64::try_from(pair.process).unwrap_or(i64::MAX)),
            outcome,
            call: timed.then_some(pair.invoke),
            back: pair.complete,
            steps,
            initial: what.f.as_deref() == Some("init"),
            snapshot: None,
            commit: None,
            historic: false,
        };
        assembler.add(draft, line)?;
    }
    assembler.finish().map(Recorded::Transactions)
}

/// Whether the steps of a completed transaction are those that were asked for: only what was read may be another.
fn is_answer_to(asked: &Edn<'_>, answered: &[Edn<'_>]) -> bool {
    let Some(asked) = sequence(asked) else { return false };
    let same = |(asked, answered): (&Edn<'_>, &Edn<'_>)| match (sequence(asked), sequence(answered)) {
        (Some([Edn::Key(name), object, ..]), Some([Edn::Key(other), same, ..]))
            if ["r", "rp", "delete"].contains(&name.as_ref()) =>
        {
            name == other && object == same
        }
        (asked, answered) => asked == answered,
    };
    asked.len() == answered.len() && asked.iter().zip(answered).all(same)
}

fn step(step: &Edn<'_>) -> Result<Step, String> {
    let Some([Edn::Key(name), parts @ ..]) = sequence(step) else {
        return Err(format!("{step} is no micro-operation, such as [:r x 1]"));
    };
    match (name.as_ref(), parts) {
        ("r", [key, value]) => Ok(Step::Read(name_of(key)?, answer(value)?)),
        ("w", [key, value]) => Ok(Step::Write(name_of(key)?, scalar(value)?)),
        ("insert", [key, value]) => match scalar(value)? {
            Scalar::Null => Err(format!("{step} inserts nothing")),
            value => Ok(Step::Write(name_of(key)?, value)),
        },
        ("delete", [key] | [key, Edn::Nil]) => Ok(Step::Write(name_of(key)?, Scalar::Null)),
        ("append", [key, value]) => Ok(Step::Append(name_of(key)?, scalar(value)?)),
        ("rp", [predicate, rows]) => Ok(Step::ReadRows(condition(predicate)?, rows_of(rows)?)),
        ("r" | "w" | "insert" | "delete" | "append" | "rp", _) => Err(format!("{step} has too few or too many parts")),
        _ => Err(format!("unknown micro-operation :{name}")),
    }
}

fn answer(value: &Edn<'_>) -> Result<Answer, String> {
    match sequence(value) {
        Some(elements) => elements.iter().map(scalar).collect::<Result<_, _>>().map(Answer::List),
        None => scalar(value).map(Answer::One),
    }
}

fn condition(predicate: &Edn<'_>) -> Result<Condition, String> {
    let compare = |comparison, bound| Ok(Condition::Compare(comparison, scalar(bound)?));
    match predicate {
        Edn::Key(name) | Edn::Str(name) if name == "true" => Ok(Condition::Any),
        Edn::Bool(true) => Ok(Condition::Any),
        _ => match sequence(predicate) {
            Some([Edn::Key(name), bound]) if name == "=" => compare(Comparison::Equal, bound),
            Some([Edn::Key(name), bound]) if name == ">" => compare(Comparison::Greater, bound),
            Some([Edn::Key(name), bound]) if name == "<" => compare(Comparison::Less, bound),
            Some([Edn::Key(name), Edn::Int(divisor), Edn::Int(remainder)]) if name == "mod" => {
                Ok(Condition::Modulo(*divisor, *remainder))
            }
            _ => Err(format!("unknown predicate {predicate}")),
        },
    }
}

fn rows_of(rows: &Edn<'_>) -> Result<Rows, String> {
    match rows {
        Edn::Nil => Ok(Rows::default()),
        Edn::Map(rows) => {
            let row = |(key, value): (&Edn<'_>, &Edn<'_>)| Ok((name_of(key)?.text(), scalar(value)?));
            rows.iter().map(row).collect::<Result<_, _>>().map(Rows)
        }
        _ => Err(format!("{rows} is no map of rows")),
    }
}

/// A key: keywords go by their name.
fn name_of(key: &Edn<'_>) -> Result<Scalar, String> {
    match key {
        Edn::Nil => Err("a key cannot be nil".into()),
        Edn::Key(name) => Ok(Scalar::Other(Value::String(name.clone().into_owned()))),
        key => scalar(key),
    }
}

fn scalar(value: &Edn<'_>) -> Result<Scalar, String> {
    match value {
        Edn::Nil => Ok(Scalar::Null),
        Edn::Int(integer) => Ok(Scalar::Integer(*integer)),
        Edn::Bool(value) => Ok(Scalar::Other((*value).into())),
        Edn::Str(text) => Ok(Scalar::Other(Value::String(text.clone().into_owned()))),
        Edn::Key(name) => Ok(Scalar::Other(Value::String(format!(":{name}")))),
        Edn::Double(double) => Scalar::of(Value::from(double.0)).and_then(|scalar| match scalar {
            Scalar::Null => Err(format!("{value} is no finite number")),
            scalar => Ok(scalar),
        }),
        _ => Err(format!("{value} is no key or value: only numbers, strings, keywords, true, false and nil are")),
    }
}

fn objects(pairs: Vec<Pair<What<'_>>>) -> Result<Objects, HistoryError> {
    let mut interner = Interner::default();
    let mut calls = Vec::with_capacity(pairs.len());
    let independent = pairs.iter().all(|pair| pair.asked.key.is_none() && is_independent(&pair.asked));
    for pair in pairs {
        let line = pair.line;
        let (outcome, complete_line, answered) = match pair.end {
            Some((Phase::Ok, line, what)) => (Outcome::Ok, line, Some(what)),
            Some((Phase::Fail, ..)) => (Outcome::Failed, line, None),
            _ => (Outcome::Unknown, line, None),
        };
        let name = pair.asked.f.clone().unwrap_or_default();
        let Some(kind) = Kind::named(&name).filter(|kind| *kind != Kind::Contains) else {
            let kinds: Vec<&str> =
                Kind::ALL.iter().map(|kind| kind.name()).filter(|name| *name != "contains").collect();
            return wrong(line, format!("unknown operation :{name}; the known ones are {}", kinds.join(", ")));
        };
        let (key, asked) = keyed(pair.asked, independent, line)?;
        let answered = match answered {
            Some(what) if what.f.as_deref() == Some(name.as_str()) => {
                let (other, value) = keyed(what, independent, complete_line)?;
                if other != key {
                    return wrong(complete_line, format!("the call of line {line} had another key"));
                }
                value
            }
            Some(_) => return wrong(complete_line, format!("the call of line {line} was a :{name}")),
            None => Edn::Nil,
        };
        // Jepsen repeats what was written; a log of Porcupine need not.
        let repeats = matches!(kind, Kind::Write | Kind::Cas | Kind::Add | Kind::Remove | Kind::Enqueue);
        if repeats && answered != Edn::Nil && answered != asked {
            return wrong(complete_line, format!("the call of line {line} asked for {asked}, not {answered}"));
        }
        let values = asked_and_answered(kind, &asked, &answered, outcome);
        let (value, output) = values.map_err(|reason| HistoryError { line: complete_line, reason })?;
        // A register that is read as nil tells nothing, as Knossos has it.
        let silent = kind == Kind::Read && outcome == Outcome::Ok && output.is_null();
        let key = key.map(|key| name_of(&key)).transpose().map_err(|reason| HistoryError { line, reason })?;
        calls.push(check_call(Call {
            line,
            client: pair.process,
            key: key.map(|key| interner.key(&key)),
            kind,
            value,
            invoke: pair.invoke,
            complete: pair.complete,
            output,
            outcome: if silent { Outcome::Unknown } else { outcome },
        })?);
    }
    Ok(Objects { calls, names: interner.names(), ..Objects::default() })
}

/// Whether a value can be a key with a value, as `jepsen.independent` writes them.
fn is_independent(what: &What<'_>) -> bool {
    let Some([key, value]) = sequence(&what.value) else { return false };
    match what.f.as_deref() {
        Some("cas") => sequence(value).is_some(),
        Some("txn") => false,
        _ => sequence(key).is_none(),
    }
}

/// Parts a value into key and value.
fn keyed<'a>(what: What<'a>, independent: bool, line: usize) -> Result<(Option<Edn<'a>>, Edn<'a>), HistoryError> {
    if !independent {
        return Ok((what.key, what.value));
    }
    let mut value = what.value;
    let parts = match &mut value {
        Edn::Vector(parts) | Edn::List(parts) => std::mem::take(parts),
        _ => Vec::new(),
    };
    match <[Edn<'a>; 2]>::try_from(parts) {
        Ok([key, value]) => Ok((Some(key), value)),
        Err(_) => wrong(line, "the other values are [key value], but this is not"),
    }
}

/// The argument and the answer of a call, as our model has them.
fn asked_and_answered(
    kind: Kind,
    asked: &Edn<'_>,
    answered: &Edn<'_>,
    outcome: Outcome,
) -> Result<(Value, Value), String> {
    let ok = outcome == Outcome::Ok;
    let plain = |edn: &Edn<'_>| scalar(edn).map(Scalar::value);
    let said = |output: Value| if ok { output } else { Value::Null };
    match kind {
        Kind::Read => match answered {
            Edn::Set(elements) => Ok((Value::Null, elements.iter().map(plain).collect::<Result<_, _>>()?)),
            answered => match sequence(answered) {
                Some(elements) => Ok((Value::Null, elements.iter().map(plain).collect::<Result<_, _>>()?)),
                None => Ok((Value::Null, plain(answered)?)),
            },
        },
        Kind::Get | Kind::Dequeue => Ok((Value::Null, plain(answered)?)),
        Kind::Acquire | Kind::Release => Ok((Value::Null, said("ok".into()))),
        Kind::Cas => match sequence(asked) {
            Some([from, to]) => Ok((Value::Array(vec![plain(from)?, plain(to)?]), said(true.into()))),
            _ => Err(format!("the :value of a :cas is [from to], not {asked}")),
        },
        Kind::Txn => Ok((steps(asked)?, if ok { steps(answered)? } else { Value::Null })),
        Kind::Write | Kind::Put | Kind::Append | Kind::Add | Kind::Remove | Kind::Contains | Kind::Enqueue => {
            Ok((plain(asked)?, said("ok".into())))
        }
    }
}

/// The steps of a transaction of a multi-register.
fn steps(value: &Edn<'_>) -> Result<Value, String> {
    let Some(steps) = sequence(value) else { return Err(format!("a :txn is a vector of steps, not {value}")) };
    let step = |step: &Edn<'_>| match sequence(step) {
        Some([Edn::Key(name), key, value]) if name == "read" || name == "write" => {
            Ok(Value::Array(vec![name.as_ref().into(), name_of(key)?.value(), scalar(value)?.value()]))
        }
        _ => Err(format!("{step} is neither [:read key value] nor [:write key value]")),
    };
    steps.iter().map(step).collect()
}
