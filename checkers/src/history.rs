//! Histories: what clients asked, when, and what they were told.
//!
//! Times are nanoseconds of one clock; operation A precedes operation B only if A completed strictly before B was
//! invoked, so equal times count as concurrent. An outcome that the client does not know is first class: such an
//! operation may take effect at any time after its invocation, or never.
//!
//! Keys and values are numbers; a history that was read from elsewhere has its own words for them in [`Names`].
//!
//! The readers take JSON lines, one operation or transaction a line, and reject what is not a well-formed history with
//! the line and the reason; checkers may rely on a history that was read or passed [`validate`]. They do not judge
//! the answers themselves.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What the client was told about a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It committed (or, if it only read, its reads are valid).
    Ok,
    /// It certainly did not and will not take effect.
    Failed,
    /// It may have taken effect, may do so later, or never.
    Unknown,
}

/// One call of an object, e.g. of a register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation<I, O> {
    /// The sequential caller.
    pub client: u64,
    /// When it was invoked, in nanoseconds.
    pub invoke: u64,
    /// When it completed or was given up, in nanoseconds.
    pub complete: Option<u64>,
    /// What was asked.
    pub input: I,
    /// What was answered; without it or without `complete` the outcome is unknown.
    pub output: Option<O>,
}

/// One step of a transaction, with what it observed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Micro {
    /// Read a key-value row; `None` means that the row was absent.
    Read {
        /// The row.
        key: u64,
        /// The value seen.
        value: Option<i64>,
    },
    /// Write a key-value row; `None` deletes it.
    Write {
        /// The row.
        key: u64,
        /// The value written.
        value: Option<i64>,
    },
    /// Read a whole list.
    ReadList {
        /// The list.
        key: u64,
        /// Its elements in order.
        elements: Vec<i64>,
    },
    /// Append to a list.
    Append {
        /// The list.
        key: u64,
        /// The element, unique within the list over the whole history.
        element: i64,
    },
    /// Read all rows that match a predicate.
    ReadRows {
        /// What the rows must match.
        predicate: Predicate,
        /// The rows that it saw, by key and value: all that match.
        rows: Vec<(u64, i64)>,
    },
}

/// What a value must be for its row to be in the answer; an absent row matches no predicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Predicate {
    /// Every row that exists.
    Any,
    /// This value.
    Equal(i64),
    /// A larger value.
    Greater(i64),
    /// A smaller value.
    Less(i64),
    /// A value that leaves `remainder` (not negative) when divided by `divisor` (not 0).
    Modulo {
        /// What is divided by.
        divisor: i64,
        /// What is left, from 0.
        remainder: i64,
    },
}

impl Predicate {
    /// Whether a row with this value, or an absent one, is in the answer.
    pub fn matches(&self, value: Option<i64>) -> bool {
        value.is_some_and(|value| match *self {
            Self::Any => true,
            Self::Equal(wanted) => value == wanted,
            Self::Greater(bound) => value > bound,
            Self::Less(bound) => value < bound,
            Self::Modulo { divisor, remainder } => {
                value.checked_rem_euclid(divisor).is_some_and(|rest| rest == remainder)
            }
        })
    }
}

/// One transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transaction {
    /// Its unique name in the history.
    pub id: u64,
    /// The sequential caller.
    pub client: u64,
    /// When it began, in nanoseconds.
    pub invoke: u64,
    /// When its outcome was known or it was given up, in nanoseconds.
    pub complete: Option<u64>,
    /// What the client was told.
    pub outcome: Outcome,
    /// The commit position the database says the transaction read at.
    #[serde(default)]
    pub snapshot: Option<u64>,
    /// The position the database says it committed at; `None` for a transaction that wrote nothing.
    #[serde(default)]
    pub commit: Option<u64>,
    /// Whether it asked to read a past snapshot, so that recency does not bind it.
    #[serde(default)]
    pub historic: bool,
    /// Whether it made the initial state: it precedes every other, whatever the times say.
    #[serde(default)]
    pub initial: bool,
    /// Its steps in program order.
    pub operations: Vec<Micro>,
}

impl Transaction {
    /// Whether it wrote or appended anything.
    pub fn writes(&self) -> bool {
        self.operations.iter().any(|micro| matches!(micro, Micro::Write { .. } | Micro::Append { .. }))
    }

    /// When it certainly was over, if the client knows that it committed.
    pub fn acknowledged(&self) -> Option<u64> {
        self.complete.filter(|_| self.outcome == Outcome::Ok)
    }
}

/// What happens in a run, as it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A transaction was invoked.
    Invoked {
        /// Its name.
        id: u64,
        /// When.
        time: u64,
    },
    /// Its outcome became known, or its client gave up.
    Over(Transaction),
}

/// Transactions, and what else is known about them as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// All transactions; those of one client in the order in which it ran them.
    pub transactions: Vec<Transaction>,
    /// Whether `invoke` and `complete` are times. If not, they only order the transactions of each client, and nothing
    /// that depends on real time can be decided.
    pub timed: bool,
    /// What its source calls the numbers in it.
    pub names: Names,
}

/// What the source of a history calls its clients, keys and values. Who has no name is called by its number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// By client.
    pub clients: BTreeMap<u64, String>,
    /// By key.
    pub keys: BTreeMap<u64, String>,
    /// By value.
    pub values: BTreeMap<i64, String>,
}

/// Why a history is not well formed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("history line {line}: {reason}")]
pub struct HistoryError {
    /// The line, from 1; for a history in memory, the place of the operation, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// The time span of one client's call.
trait Span {
    fn span(&self) -> (u64, u64, Option<u64>);
}

impl<I, O> Span for Operation<I, O> {
    fn span(&self) -> (u64, u64, Option<u64>) {
        (self.client, self.invoke, self.complete)
    }
}

impl Span for Transaction {
    fn span(&self) -> (u64, u64, Option<u64>) {
        (self.client, self.invoke, self.complete)
    }
}

/// Reads a history of operations, one JSON object a line.
///
/// # Errors
/// The first line that is not a valid operation, or that overlaps another operation of its client.
pub fn read_operations<I, O>(text: &str) -> Result<Vec<Operation<I, O>>, HistoryError>
where
    I: DeserializeOwned,
    O: DeserializeOwned,
{
    let operations = parse(text)?;
    validate_spans(&operations)?;
    Ok(operations)
}

/// Reads a history of transactions, one JSON object a line.
///
/// # Errors
/// The first line that is not a valid transaction, see [`validate`].
pub fn read_transactions(text: &str) -> Result<Vec<Transaction>, HistoryError> {
    let transactions = parse(text)?;
    validate(&transactions)?;
    Ok(transactions)
}

/// Checks that a history of transactions is well formed: names are unique, no call completes before it was invoked, no
/// client has two at once, an acknowledged one has a completion time, and commit positions follow snapshots only if
/// something was written.
///
/// # Errors
/// The first transaction that is not.
pub fn validate(transactions: &[Transaction]) -> Result<(), HistoryError> {
    let mut ids = BTreeSet::new();
    for (at, transaction) in transactions.iter().enumerate() {
        let fail = |reason: String| Err(HistoryError { line: at + 1, reason });
        if !ids.insert(transaction.id) {
            return fail(format!("transaction {} is there twice", transaction.id));
        }
        if transaction.outcome == Outcome::Ok && transaction.complete.is_none() {
            return fail(format!("transaction {} is ok but has no completion time", transaction.id));
        }
        if transaction.commit.is_some() && !transaction.writes() {
            return fail(format!("transaction {} has a commit position but wrote nothing", transaction.id));
        }
    }
    validate_spans(transactions)
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, HistoryError> {
    text.lines()
        .enumerate()
        .map(|(at, line)| {
            serde_json::from_str(line).map_err(|error| HistoryError { line: at + 1, reason: error.to_string() })
        })
        .collect()
}

fn validate_spans<T: Span>(calls: &[T]) -> Result<(), HistoryError> {
    let mut clients: BTreeMap<u64, Vec<(u64, Option<u64>, usize)>> = BTreeMap::new();
    for (at, call) in calls.iter().enumerate() {
        let (client, invoke, complete) = call.span();
        if let Some(complete) = complete.filter(|complete| *complete < invoke) {
            let reason = format!("completed at {complete}, before its invocation at {invoke}");
            return Err(HistoryError { line: at + 1, reason });
        }
        clients.entry(client).or_default().push((invoke, complete, at + 1));
    }
    for (client, calls) in &mut clients {
        // The call that is still open sorts last among those invoked at one instant.
        calls.sort_by_key(|&(invoke, complete, line)| (invoke, complete.unwrap_or(u64::MAX), line));
        for pair in calls.windows(2) {
            let ((_, complete, earlier), (invoke, _, line)) = (pair[0], pair[1]);
            if complete.is_none_or(|complete| complete > invoke) {
                let reason = format!("client {client} invoked at {invoke} while its call of line {earlier} was open");
                return Err(HistoryError { line, reason });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Register = Operation<String, String>;

    fn operations(lines: &[&str]) -> Result<Vec<Register>, HistoryError> {
        read_operations(&lines.join("\n"))
    }

    const FIRST: &str = r#"{"client":1,"invoke":10,"complete":20,"input":"r","output":"5"}"#;

    #[track_caller]
    fn rejected(lines: &[&str], line: usize, reason: &str) {
        let error = operations(lines).unwrap_err();
        assert_eq!(error.line, line, "{error}");
        assert!(error.reason.contains(reason), "{error}");
    }

    #[test]
    fn well_formed_lines_are_read() {
        let second = r#"{"client":1,"invoke":20,"complete":null,"input":"w","output":null}"#;
        let other = r#"{"client":2,"invoke":11,"complete":11,"input":"w","output":null}"#;
        let read = operations(&[FIRST, second, other]).unwrap();
        assert_eq!(read.len(), 3);
        assert_eq!((read[1].complete, &read[1].output), (None, &None));
    }

    #[test]
    fn malformed_lines_are_rejected_with_place_and_reason() {
        rejected(&[FIRST, &FIRST[..30]], 2, "EOF");
        rejected(&[FIRST, "", FIRST], 2, "EOF");
        rejected(&[&FIRST.replace("client", "klient")], 1, "unknown field `klient`");
        rejected(&[&FIRST.replace(r#""invoke":10,"#, "")], 1, "missing field `invoke`");
        rejected(&[&FIRST.replace("20", "9")], 1, "before its invocation");
        rejected(&[FIRST, &FIRST.replace("10", "19")], 2, "while its call of line 1 was open");
        let open = FIRST.replace("20", "null");
        rejected(&[&open, &FIRST.replace("10", "15")], 2, "while its call of line 1 was open");
    }

    #[test]
    fn transactions_are_validated() {
        let line = r#"{"id":1,"client":1,"invoke":1,"complete":2,"outcome":"ok","commit":3,"operations":[{"append":{"key":1,"element":2}}]}"#;
        let read = read_transactions(line).unwrap();
        assert_eq!((read[0].snapshot, read[0].commit, read[0].historic), (None, Some(3), false));
        let rejected = |text: String, reason: &str| {
            let error = read_transactions(&text).unwrap_err();
            assert!(error.reason.contains(reason), "{error}");
        };
        rejected(format!("{line}\n{line}"), "twice");
        rejected(line.replace(r#""complete":2"#, r#""complete":null"#), "no completion time");
        rejected(line.replace(r#"{"append":{"key":1,"element":2}}"#, ""), "wrote nothing");
        rejected(line.replace("element", "elements"), "unknown field");
        rejected(line.replace(r#""ok""#, r#""fine""#), "unknown variant");
    }

    #[test]
    fn reading_never_panics_and_inverts_writing() {
        bolero::check!().with_type::<(String, Vec<(u8, u8, Option<u8>)>)>().with_iterations(500).for_each(
            |(noise, calls)| {
                let _: Result<Vec<Register>, _> = read_operations(noise);
                let operations: Vec<Operation<u8, u8>> = calls
                    .iter()
                    .enumerate()
                    .map(|(client, &(invoke, length, output))| Operation {
                        client: client as u64,
                        invoke: u64::from(invoke),
                        complete: output.map(|_| u64::from(invoke) + u64::from(length)),
                        input: length,
                        output,
                    })
                    .collect();
                let lines: Vec<String> =
                    operations.iter().map(|operation| serde_json::to_string(operation).unwrap()).collect();
                assert_eq!(read_operations(&lines.join("\n")), Ok(operations));
            },
        );
    }
}
