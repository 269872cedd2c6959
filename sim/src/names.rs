//! One name for each operation, wherever it is told of: `T12`, as the checkers call it.
//!
//! Messages and log entries know only a client and the number of its transaction, `c3.5`; some checkers know a client and
//! a time. Which operation that was follows from the film: it is the one that the client was at when it first asked for
//! something under that number. Times in the words of checkers are nanoseconds; they become seconds here, as elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;

use scenarios::Told;

use crate::film::{Event, What};
use crate::narrate::moment;
use crate::verdict::Finding;

/// The names of a run's operations.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// By client and transaction.
    operations: BTreeMap<(u64, u64), u64>,
}

impl Names {
    /// Finds the names in a film. `told` is in the order of invocation.
    pub fn new(film: &[Event], told: &[Told]) -> Self {
        let mut begun: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
        for Told { id, client, invoke, .. } in told {
            begun.entry(*client).or_default().push((*invoke, *id));
        }
        let mut operations = BTreeMap::new();
        for event in film {
            let What::Message { kind, text, .. } = &event.what else { continue };
            if kind != "request" {
                continue;
            }
            let Some((_, (client, transaction))) = transactions(text).next() else { continue };
            let Some(begun) = begun.get(&client) else { continue };
            let before = begun.partition_point(|(invoke, _)| *invoke <= event.at_ns);
            if let Some((_, id)) = before.checked_sub(1).and_then(|place| begun.get(place)) {
                operations.entry((client, transaction)).or_insert(*id);
            }
        }
        Self { operations }
    }

    /// A text in which operations have their names.
    pub fn name(&self, text: &str) -> String {
        let (mut named, mut from) = (String::new(), 0);
        for (place, (client, transaction)) in transactions(text) {
            named.push_str(&text[from..place.start]);
            // Writing to a string does not fail.
            let _ = match self.operations.get(&(client, transaction)) {
                Some(id) => write!(named, "T{id}"),
                None => write!(named, "transaction {transaction} of client {client}"),
            };
            from = place.end;
        }
        named.push_str(&text[from..]);
        named
    }

    /// An event in whose words operations have their names.
    pub fn event(&self, event: &Event) -> Event {
        let mut event = event.clone();
        let texts: [Option<&mut String>; 2] = match &mut event.what {
            What::Message { text, .. } | What::Entry { text, .. } => [Some(text), None],
            What::Applies { entry, ruling, .. } => [Some(entry), Some(ruling)],
            _ => [None, None],
        };
        for text in texts.into_iter().flatten() {
            *text = self.name(text);
        }
        event
    }
}

/// What was found, with the operations' names, what they did, and times in seconds.
pub fn finding(finding: &Finding, told: &[Told]) -> Finding {
    let mut evidence: Vec<String> = finding.evidence.iter().map(|line| tell(line, told)).collect();
    let message = tell(&finding.message, told);
    evidence.dedup();
    Finding { message, evidence, ..finding.clone() }
}

/// A checker's line.
fn tell(line: &str, told: &[Told]) -> String {
    let mut line = line.to_string();
    for operation in told {
        let Told { id, client, invoke, .. } = operation;
        let (span, lie) = (format!("client {client} [{invoke}, "), format!("client {client}'s "));
        if let Some((before, _)) = line.split_once(&span) {
            // The rest of the line is the operation as its checker sees it.
            return format!("{}{}", before.trim_end_matches(&format!("T{id} of ")), describe(operation));
        }
        if line.contains(&lie) && line.contains(&format!("invoked at {invoke},")) {
            line = line.replace(&lie, &format!("T{id}, {lie}"));
        }
    }
    // What a register answers, as its checker writes it.
    line = line.replace("Value(None)", "nothing");
    while let Some((before, rest)) = line.split_once("Value(Some(")
        && let Some((value, after)) = rest.split_once("))")
    {
        line = format!("{before}{value}{after}");
    }
    let times: BTreeSet<u64> = told.iter().flat_map(|told| [Some(told.invoke), told.complete]).flatten().collect();
    replace_numbers(&line, |number| (number >= 1_000 && times.contains(&number)).then(|| moment(number)))
}

/// An operation in a line.
fn describe(operation: &Told) -> String {
    let Told { id, client, name, invoke, complete, outcome, text, snapshot, commit } = operation;
    let end = complete.map_or("no answer".to_string(), moment);
    let outcome = format!("{outcome:?}").to_lowercase();
    let read = snapshot.map_or(String::new(), |snapshot| format!(", read at {snapshot}"));
    let wrote = commit.map_or(String::new(), |commit| format!(", committed at {commit}"));
    format!("T{id} of client {client} [{}, {end}] {name}, {outcome}{read}{wrote}: {text}", moment(*invoke))
}

/// Replaces whole numbers in a text, where `by` has something for them.
fn replace_numbers(text: &str, by: impl Fn(u64) -> Option<String>) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let end = rest[start..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |length| start + length);
        let (before, number) = (&rest[..start], &rest[start..end]);
        let inside = before.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '.');
        out.push_str(before);
        match number.parse().ok().filter(|_| !inside).and_then(&by) {
            Some(words) => out.push_str(&words),
            None => out.push_str(number),
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// The places of transactions such as `c3.5` in a text.
fn transactions(text: &str) -> impl Iterator<Item = (Range<usize>, (u64, u64))> {
    text.match_indices('c').filter_map(|(start, _)| {
        if text[..start].chars().next_back().is_some_and(char::is_alphanumeric) {
            return None;
        }
        let digits = |from: usize| {
            let length = text[from..].find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len() - from);
            text[from..from + length].parse::<u64>().ok().map(|number| (number, from + length))
        };
        let (client, dot) = digits(start + 1)?;
        let (transaction, end) = digits(dot + text[dot..].strip_prefix('.').map(|_| 1)?)?;
        Some((start..end, (client, transaction)))
    })
}

/// Whether a text names an operation.
pub fn mentions(text: &str, id: u64) -> bool {
    let name = format!("T{id}");
    text.match_indices(&name).any(|(at, _)| {
        let next = text[at + name.len()..].chars().next();
        let before = text[..at].chars().next_back();
        !next.is_some_and(|c| c.is_ascii_digit()) && !before.is_some_and(char::is_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use checkers::history::Outcome;

    use super::*;

    fn told(id: u64, client: u64, invoke: u64, complete: u64) -> Told {
        let (name, text) = ("write", "0 := 7".to_string());
        let complete = Some(complete);
        Told { id, client, name, invoke, complete, outcome: Outcome::Ok, text, snapshot: Some(3), commit: Some(4) }
    }

    fn request(at_ns: u64, text: &str) -> Event {
        let what = What::Message {
            from: "c3".into(),
            to: "n1".into(),
            kind: "request".into(),
            term: None,
            text: text.into(),
            arrives_ns: None,
            fate: "lost".into(),
        };
        Event { n: 0, at_ns, node: None, what }
    }

    #[test]
    fn a_transaction_has_the_name_of_the_operation_that_asked_for_it_first() {
        let told = [told(1, 3, 100, 200), told(2, 4, 150, 180), told(3, 3, 300, 400)];
        let film = [request(100, "c3.1, request 2: x"), request(250, "c3.1, request 3: x"), request(300, "c3.2: y")];
        let names = Names::new(&film, &told);
        assert_eq!(
            names.name("c3.1, c3.2 and c4.1; abc3.1, c3, c3."),
            "T1, T3 and transaction 1 of client 4; abc3.1, c3, c3."
        );
    }

    #[test]
    fn lines_of_checkers_get_names_and_seconds() {
        let told = [told(1, 3, 1_500_000_000, 2_000_001_000), told(12, 3, 2_500_000_000, 2_600_000_000)];
        let line = |text: &str| tell(text, &told);
        assert_eq!(
            line("cannot be placed: client 3 [1500000000, 2000001000] Read -> 9"),
            "cannot be placed: T1 of client 3 [1.500000 s, 2.000001 s] write, ok, read at 3, committed at 4: 0 := 7"
        );
        assert_eq!(
            line("T12 of client 3 [2500000000, 2600000000] Ok, snapshot 3: [Write { key: 0 }]"),
            "T12 of client 3 [2.500000 s, 2.600000 s] write, ok, read at 3, committed at 4: 0 := 7"
        );
        assert_eq!(line("T1 [1500000000, ?] read 77"), "T1 [1.500000 s, ?] read 77");
        assert_eq!(line("it is Value(Some(8)) or Value(None), Value(Some("), "it is 8 or nothing, Value(Some(");
        assert_eq!(
            line("all is legal if client 3's Write(8), invoked at 2500000000, had happened"),
            "all is legal if T12, client 3's Write(8), invoked at 2.500000 s, had happened"
        );
    }

    #[test]
    fn a_name_is_no_part_of_another() {
        assert!(mentions("then T1, and", 1) && mentions("T1", 1));
        assert!(!mentions("T12 and aT1", 1));
    }
}
