//! Puts a history of transactions together from what a notation says of each.
//!
//! Whether a key holds a list is known only at the end, since a read that found nothing looks the same either way. A
//! history without times is given times that only order the transactions of each session.

use std::collections::BTreeMap;

use super::intern::{Interner, is_named};
use super::scalar::{Answer, Rows, Scalar};
use super::wrong;
use crate::history::{History, HistoryError, Micro, Outcome, Predicate, Transaction, validate};

/// A micro-operation as it is written.
pub(super) enum Step {
    Read(Scalar, Answer),
    Write(Scalar, Scalar),
    Append(Scalar, Scalar),
    ReadRows(Condition, Rows),
}

/// A predicate as it is written.
pub(super) enum Condition {
    Any,
    Compare(Comparison, Scalar),
    Modulo(i64, i64),
}

#[derive(Clone, Copy)]
pub(super) enum Comparison {
    Equal,
    Greater,
    Less,
}

/// A transaction as it is written.
pub(super) struct Draft {
    pub id: u64,
    pub session: Scalar,
    pub outcome: Outcome,
    pub call: Option<u64>,
    pub back: Option<u64>,
    pub steps: Vec<Step>,
    pub initial: bool,
    pub snapshot: Option<u64>,
    pub commit: Option<u64>,
    pub historic: bool,
}

impl Draft {
    /// The transaction, once it is known whose it is, when it ran and what its steps mean.
    pub fn transaction(
        &self,
        client: u64,
        (invoke, complete): (u64, Option<u64>),
        operations: Vec<Micro>,
    ) -> Transaction {
        let Self { id, outcome, snapshot, commit, historic, initial, .. } = *self;
        Transaction { id, client, invoke, complete, outcome, snapshot, commit, historic, initial, operations }
    }
}

/// What a key holds.
#[derive(Clone, Copy, PartialEq)]
enum Holds {
    Value,
    List,
}

/// What was learnt of the keys and values of a history.
#[derive(Default)]
pub(super) struct Vocabulary {
    pub(super) interner: Interner,
    /// What each key holds, and the first line that says so.
    keys: BTreeMap<u64, (Holds, usize)>,
    /// The first line with a predicate about the size of values.
    sized: Option<usize>,
}

/// The history so far.
#[derive(Default)]
pub(super) struct Assembler {
    vocabulary: Vocabulary,
    transactions: Vec<Transaction>,
    /// The line of each transaction.
    lines: Vec<usize>,
    /// Whether there are times, and the first line that says so.
    timed: Option<(bool, usize)>,
    /// The latest transaction of each client.
    latest: BTreeMap<u64, usize>,
}

impl Assembler {
    pub(super) fn add(&mut self, mut draft: Draft, line: usize) -> Result<(), HistoryError> {
        let client = self.vocabulary.interner.client(&draft.session);
        let (invoke, complete) = self.times(&draft, line)?;
        if let Some(place) = self.latest.insert(client, self.transactions.len()) {
            let before = &mut self.transactions[place];
            if before.invoke > invoke {
                let (session, earlier) = (draft.session.text(), self.lines[place]);
                let reason =
                    format!("session {session} was called at {invoke}, before its transaction of line {earlier}");
                return wrong(line, reason);
            }
            if before.outcome == Outcome::Unknown && before.complete.is_none() {
                // Who goes on has given it up.
                before.complete = Some(invoke);
            }
        }
        if draft.initial && draft.outcome != Outcome::Ok {
            return wrong(line, "the transaction that made the initial state must be ok");
        }
        let operations = self.vocabulary.steps(std::mem::take(&mut draft.steps), line)?;
        self.transactions.push(draft.transaction(client, (invoke, complete), operations));
        self.lines.push(line);
        Ok(())
    }

    fn times(&mut self, draft: &Draft, line: usize) -> Result<(u64, Option<u64>), HistoryError> {
        if draft.call.is_none() && draft.back.is_some() {
            return wrong(line, "it has a time of return, but none of its call");
        }
        if draft.initial && draft.call.is_none() {
            return Ok((0, Some(0)));
        }
        let has = draft.call.is_some();
        let (timed, first) = *self.timed.get_or_insert((has, line));
        if has != timed {
            let (this, that) = if has { ("has times", "has none") } else { ("has no times", "has some") };
            return wrong(line, format!("it {this}, but line {first} {that}"));
        }
        if let Some(call) = draft.call {
            return Ok((call, draft.back));
        }
        let place = 2 * (self.transactions.len() as u64 + 1);
        Ok((place, Some(place + 1)))
    }

    /// The whole history.
    pub(super) fn finish(mut self) -> Result<History, HistoryError> {
        self.vocabulary.check_sizes()?;
        for transaction in &mut self.transactions {
            self.vocabulary.settle(&mut transaction.operations);
        }
        validate(&self.transactions).map_err(|error| HistoryError {
            line: self.lines.get(error.line - 1).copied().unwrap_or(error.line),
            reason: error.reason,
        })?;
        let timed = self.timed.is_some_and(|(timed, _)| timed);
        Ok(History { transactions: self.transactions, timed, names: self.vocabulary.interner.names() })
    }
}

impl Vocabulary {
    /// The steps of a transaction, in the terms of the crate.
    pub(super) fn steps(&mut self, steps: Vec<Step>, line: usize) -> Result<Vec<Micro>, HistoryError> {
        steps.into_iter().map(|step| self.step(step, line)).collect()
    }

    /// Tells reads of empty lists from reads of absent rows, as far as it is known what the keys hold.
    pub(super) fn settle(&self, operations: &mut [Micro]) {
        for micro in operations {
            if let Micro::Read { key, value: None } = *micro
                && self.is_list(key)
            {
                *micro = Micro::ReadList { key, elements: Vec::new() };
            }
        }
    }

    /// Whether a key is known to hold a list.
    pub(super) fn is_list(&self, key: u64) -> bool {
        self.keys.get(&key).is_some_and(|(holds, _)| *holds == Holds::List)
    }

    /// Values that a predicate compares have sizes.
    pub(super) fn check_sizes(&self) -> Result<(), HistoryError> {
        match self.sized.filter(|_| self.interner.has_named_values()) {
            Some(line) => wrong(line, "a predicate asks for the size of values, but not all values are whole numbers"),
            None => Ok(()),
        }
    }

    fn step(&mut self, step: Step, line: usize) -> Result<Micro, HistoryError> {
        Ok(match step {
            Step::Read(key, Answer::One(Scalar::Null)) => Micro::Read { key: self.interner.key(&key), value: None },
            Step::Read(key, Answer::One(value)) => {
                let key = self.holds(&key, Holds::Value, line)?;
                Micro::Read { key, value: self.interner.value(&value) }
            }
            Step::Read(key, Answer::List(list)) => {
                let key = self.holds(&key, Holds::List, line)?;
                let mut elements = Vec::with_capacity(list.len());
                for element in list {
                    match self.interner.value(&element) {
                        Some(element) => elements.push(element),
                        None => return wrong(line, "a list cannot have null in it"),
                    }
                }
                Micro::ReadList { key, elements }
            }
            Step::Write(key, value) => {
                let key = self.holds(&key, Holds::Value, line)?;
                Micro::Write { key, value: self.interner.value(&value) }
            }
            Step::Append(key, element) => {
                let key = self.holds(&key, Holds::List, line)?;
                match self.interner.value(&element) {
                    Some(element) => Micro::Append { key, element },
                    None => return wrong(line, "null cannot be appended"),
                }
            }
            Step::ReadRows(condition, rows) => {
                let predicate = self.predicate(condition, line)?;
                Micro::ReadRows { predicate, rows: self.rows(rows, line)? }
            }
        })
    }

    fn holds(&mut self, key: &Scalar, holds: Holds, line: usize) -> Result<u64, HistoryError> {
        let number = self.interner.key(key);
        self.number_holds(number, holds, line).map(|()| number)
    }

    fn number_holds(&mut self, key: u64, holds: Holds, line: usize) -> Result<(), HistoryError> {
        let (before, first) = *self.keys.entry(key).or_insert((holds, line));
        if before == holds {
            return Ok(());
        }
        let word = |holds| if holds == Holds::List { "a list" } else { "a single value" };
        let key = self.interner.key_name(key);
        wrong(line, format!("key {key} is {} here, but {} in line {first}", word(holds), word(before)))
    }

    fn predicate(&mut self, condition: Condition, line: usize) -> Result<Predicate, HistoryError> {
        Ok(match condition {
            Condition::Any => Predicate::Any,
            Condition::Compare(comparison, bound) => {
                let Some(bound) = self.interner.value(&bound) else {
                    return wrong(line, "a predicate cannot compare with null");
                };
                match comparison {
                    Comparison::Equal => Predicate::Equal(bound),
                    Comparison::Greater | Comparison::Less if is_named(bound) => {
                        return wrong(line, "only whole numbers are greater or less");
                    }
                    Comparison::Greater => {
                        self.sized.get_or_insert(line);
                        Predicate::Greater(bound)
                    }
                    Comparison::Less => {
                        self.sized.get_or_insert(line);
                        Predicate::Less(bound)
                    }
                }
            }
            Condition::Modulo(divisor, remainder) => {
                if divisor == 0 || remainder < 0 || remainder.unsigned_abs() >= divisor.unsigned_abs() {
                    return wrong(line, format!("no number leaves {remainder} when divided by {divisor}"));
                }
                self.sized.get_or_insert(line);
                Predicate::Modulo { divisor, remainder }
            }
        })
    }

    fn rows(&mut self, rows: Rows, line: usize) -> Result<Vec<(u64, i64)>, HistoryError> {
        let mut seen = BTreeMap::new();
        for (name, value) in rows.0 {
            let key = self.interner.key_text(name.clone());
            self.number_holds(key, Holds::Value, line)?;
            let Some(value) = self.interner.value(&value) else {
                return wrong(line, format!("row {name} was seen without a value"));
            };
            if seen.insert(key, value).is_some() {
                return wrong(line, format!("row {name} was seen twice"));
            }
        }
        Ok(seen.into_iter().collect())
    }
}
