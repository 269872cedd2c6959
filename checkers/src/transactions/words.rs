//! The words for transactions, keys and values in sentences.

use super::anomaly::Object;
use crate::history::{History, Micro, Outcome, Predicate};

/// How many elements of a list are shown, half from each end.
const SHOWN: usize = 40;

/// Speaks of a history by the names that its source uses.
#[derive(Clone, Copy)]
pub(super) struct Words<'a> {
    history: &'a History,
}

impl<'a> Words<'a> {
    pub(super) fn new(history: &'a History) -> Self {
        Self { history }
    }

    /// `T7`.
    pub(super) fn transaction(self, at: u32) -> String {
        format!("T{}", self.history.transactions[at as usize].id)
    }

    /// `list 1`, `row x`.
    pub(super) fn object(self, object: Object) -> String {
        let (kind, key) = match object {
            Object::Row(key) => ("row", key),
            Object::List(key) => ("list", key),
        };
        format!("{kind} {}", self.key(key))
    }

    fn key(self, key: u64) -> String {
        self.history.names.keys.get(&key).cloned().unwrap_or_else(|| key.to_string())
    }

    /// A value or element.
    pub(super) fn value(self, value: i64) -> String {
        self.history.names.values.get(&value).cloned().unwrap_or_else(|| value.to_string())
    }

    /// A value, or that there is none.
    pub(super) fn version(self, value: Option<i64>) -> String {
        value.map_or("nothing".to_owned(), |value| self.value(value))
    }

    /// `[1, 2]`, the middle left out if it is long.
    pub(super) fn elements(self, elements: &[i64]) -> String {
        let show = |elements: &[i64]| elements.iter().map(|value| self.value(*value)).collect::<Vec<_>>().join(", ");
        if elements.len() <= SHOWN {
            return format!("[{}]", show(elements));
        }
        let (start, rest) = elements.split_at(SHOWN / 2);
        let (middle, end) = rest.split_at(rest.len() - SHOWN / 2);
        format!("[{}, … {} more …, {}]", show(start), middle.len(), show(end))
    }

    /// The line of evidence that a transaction read something.
    pub(super) fn shows(self, reader: u32, place: usize) -> String {
        match &self.history.transactions[reader as usize].operations[place] {
            Micro::Read { key, value } => {
                format!("{} read {} as {}", self.when(reader), self.object(Object::Row(*key)), self.version(*value))
            }
            Micro::ReadList { key, elements } => self.shows_list(reader, Object::List(*key), elements),
            Micro::ReadRows { predicate, rows } => {
                let rows: Vec<String> =
                    rows.iter().map(|(key, value)| format!("{}={}", self.key(*key), self.value(*value))).collect();
                let (who, asked) = (self.when(reader), self.predicate(*predicate));
                format!("{who} read the rows {asked} as {{{}}}", rows.join(", "))
            }
            Micro::Write { .. } | Micro::Append { .. } => format!("{} wrote", self.when(reader)),
        }
    }

    /// The line of evidence that a transaction read a list.
    pub(super) fn shows_list(self, reader: u32, list: Object, elements: &[i64]) -> String {
        format!("{} read {} as {}", self.when(reader), self.object(list), self.elements(elements))
    }

    /// What rows a predicate asks for.
    pub(super) fn predicate(self, predicate: Predicate) -> String {
        match predicate {
            Predicate::Any => "that exist".to_owned(),
            Predicate::Equal(value) => format!("= {}", self.value(value)),
            Predicate::Greater(value) => format!("> {}", self.value(value)),
            Predicate::Less(value) => format!("< {}", self.value(value)),
            Predicate::Modulo { divisor, remainder } => format!("that are {remainder} modulo {divisor}"),
        }
    }

    /// A transaction with its times, if there are any.
    fn when(self, at: u32) -> String {
        let transaction = &self.history.transactions[at as usize];
        let (name, invoke) = (self.transaction(at), transaction.invoke);
        if !self.history.timed || transaction.initial {
            return name;
        }
        match transaction.complete {
            Some(complete) if transaction.outcome != Outcome::Unknown => format!("{name} [{invoke}, {complete}]"),
            Some(_) | None => format!("{name} [{invoke}, ?]"),
        }
    }
}
