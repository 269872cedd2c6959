//! Our JSON lines of transactions, read while the run that writes them goes on.
//!
//! The lines come in the order of time: one for each transaction when it is over, at the time of its return, and before
//! it, if there is one, a line that it was invoked. What can only be known from the whole file is demanded of the lines so
//! far: an empty list is read as `[]` and not as null before it is known that the key holds a list.
//!
//! Memory is bounded by the transactions that run at the same time, the sessions, the keys, and the gaps between the ids.

use std::collections::BTreeMap;

use super::assemble::{Draft, Vocabulary};
use super::jsonl::{TransactionEvent, transaction_event};
use super::{shortened, wrong};
use crate::history::{Event, HistoryError, Micro, Names, Outcome, Transaction};

/// Transactions that were announced, and are not over yet: when they were invoked, and the line that says so.
#[derive(Default)]
pub(super) struct Announced(BTreeMap<u64, (u64, usize)>);

impl Announced {
    pub(super) fn invoked(&mut self, id: u64, time: u64, line: usize) -> Result<(), HistoryError> {
        match self.0.insert(id, (time, line)) {
            Some((_, earlier)) => wrong(line, format!("transaction {id} was invoked in line {earlier} already")),
            None => Ok(()),
        }
    }

    pub(super) fn over(&mut self, id: u64, call: Option<u64>, line: usize) -> Result<(), HistoryError> {
        match self.0.remove(&id) {
            Some((time, earlier)) if call != Some(time) => {
                wrong(line, format!("transaction {id} has another time of its call than line {earlier}"))
            }
            _ => Ok(()),
        }
    }

    /// Nobody may be missing, since nothing is known of what they did.
    pub(super) fn end(&self) -> Result<(), HistoryError> {
        let first = self.0.iter().min_by_key(|(_, (_, line))| *line);
        match first {
            Some((id, (_, line))) => {
                let others = match self.0.len() {
                    1 => String::new(),
                    more => format!(", and neither are {} others", more - 1),
                };
                wrong(*line, format!("transaction {id} was invoked, and is not over at the end{others}"))
            }
            None => Ok(()),
        }
    }
}

/// Numbers that were seen, as ranges: from the first to the last.
#[derive(Default)]
struct Ids(BTreeMap<u64, u64>);

impl Ids {
    /// Adds a number. Returns whether it is new.
    fn insert(&mut self, id: u64) -> bool {
        let before = self.0.range(..=id).next_back().map(|(first, last)| (*first, *last));
        if before.is_some_and(|(_, last)| last >= id) {
            return false;
        }
        let joined = before.filter(|(_, last)| last.checked_add(1) == Some(id));
        let first = joined.map_or(id, |(first, _)| first);
        let last = id.checked_add(1).and_then(|next| self.0.remove(&next)).unwrap_or(id);
        self.0.insert(first, last);
        true
    }
}

/// A reader of lines.
#[derive(Default)]
pub struct Stream {
    line: usize,
    vocabulary: Vocabulary,
    announced: Announced,
    ids: Ids,
    /// The latest time, and the line that says so.
    now: (u64, usize),
    /// When the last transaction of each client was over, and its line.
    clients: BTreeMap<u64, (u64, usize)>,
    /// Keys of which nobody knows yet whether they hold lists, and the line that read nothing there.
    empty: BTreeMap<u64, usize>,
}

impl Stream {
    /// A reader that has read nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many lines were read.
    pub fn lines(&self) -> usize {
        self.line
    }

    /// What the source calls the numbers, so far.
    pub fn names(&self) -> &Names {
        self.vocabulary.interner.known()
    }

    /// Reads the next line.
    ///
    /// # Errors
    /// When the line is wrong, or contradicts those before it.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Event, HistoryError> {
        self.line += 1;
        let line = self.line;
        let Ok(text) = std::str::from_utf8(bytes) else { return wrong(line, "this is not UTF-8 text") };
        let text = if line == 1 { text.strip_prefix('\u{feff}').unwrap_or(text) } else { text };
        if text.trim().is_empty() {
            return wrong(line, "the line is empty");
        }
        let event = transaction_event(text, line).and_then(|event| match event {
            TransactionEvent::Invoked { id, time } => {
                self.passes(time, "invoked")?;
                if !self.ids.insert(id) {
                    return wrong(line, format!("transaction {id} is there twice"));
                }
                self.announced.invoked(id, time, line)?;
                Ok(Event::Invoked { id, time })
            }
            TransactionEvent::Over(draft) => self.over(draft).map(Event::Over),
        });
        event.map_err(|error| HistoryError { reason: shortened(error.reason), ..error })
    }

    /// The stream is over.
    ///
    /// # Errors
    /// When there was nothing, or transactions that were invoked are missing.
    pub fn end(&self) -> Result<(), HistoryError> {
        if self.line == 0 {
            return wrong(1, "the file is empty");
        }
        self.announced.end()
    }

    /// Time does not go back.
    fn passes(&mut self, time: u64, what: &str) -> Result<(), HistoryError> {
        let (now, earlier) = self.now;
        if time < now {
            let order = "a stream is in the order of time";
            return wrong(self.line, format!("it was {what} at {time}, before {now} in line {earlier}: {order}"));
        }
        self.now = (time, self.line);
        Ok(())
    }

    fn over(&mut self, mut draft: Draft) -> Result<Transaction, HistoryError> {
        let (line, id) = (self.line, draft.id);
        let announced = self.announced.0.contains_key(&id);
        self.announced.over(id, draft.call, line)?;
        if !announced && !self.ids.insert(id) {
            return wrong(line, format!("transaction {id} is there twice"));
        }
        let Some(invoke) = draft.call.or(draft.initial.then_some(0)) else {
            return wrong(line, "a stream needs the times of calls");
        };
        let complete = if draft.initial { draft.back.or(Some(0)) } else { draft.back };
        if let Some(complete) = complete {
            if complete < invoke {
                return wrong(line, format!("completed at {complete}, before its invocation at {invoke}"));
            }
            self.passes(complete, "over")?;
        } else if draft.outcome == Outcome::Ok {
            return wrong(line, format!("transaction {id} is ok but has no completion time"));
        }
        if draft.initial && draft.outcome != Outcome::Ok {
            return wrong(line, "the transaction that made the initial state must be ok");
        }
        let client = self.vocabulary.interner.client(&draft.session);
        // Who goes on has given up what never returned.
        let over = (complete.unwrap_or(invoke), line);
        if let Some((before, earlier)) = self.clients.insert(client, over)
            && before > invoke
        {
            let session = draft.session.text();
            let reason = format!("session {session} invoked at {invoke} while its call of line {earlier} was open");
            return wrong(line, reason);
        }
        let mut operations = self.vocabulary.steps(std::mem::take(&mut draft.steps), line)?;
        self.vocabulary.check_sizes()?;
        self.vocabulary.settle(&mut operations);
        self.lists(&operations)?;
        let transaction = draft.transaction(client, (invoke, complete), operations);
        if transaction.commit.is_some() && !transaction.writes() {
            return wrong(line, format!("transaction {id} has a commit position but wrote nothing"));
        }
        Ok(transaction)
    }

    /// Whoever read nothing has read an absent row, so the key must not turn out to hold a list.
    fn lists(&mut self, operations: &[Micro]) -> Result<(), HistoryError> {
        for micro in operations {
            match micro {
                Micro::Read { key, value: None } => {
                    self.empty.entry(*key).or_insert(self.line);
                }
                Micro::Read { key, .. } | Micro::Write { key, .. } => {
                    self.empty.remove(key);
                }
                Micro::ReadList { key, .. } | Micro::Append { key, .. } => {
                    if let Some(earlier) = self.empty.get(key) {
                        let key = self.names().key(*key);
                        let reason = format!(
                            "key {key} is a list, but line {earlier} read null there: in a stream an empty list is []"
                        );
                        return wrong(self.line, reason);
                    }
                }
                Micro::ReadRows { .. } => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::{Recorded, event, read};
    use crate::generate::{Options, Run, number_apart};
    use crate::transactions::Level;

    fn told(lines: &[&str]) -> Result<Vec<Event>, HistoryError> {
        let mut stream = Stream::new();
        let events = lines.iter().map(|line| stream.read(line.as_bytes())).collect::<Result<Vec<_>, _>>()?;
        stream.end().map(|()| events)
    }

    #[track_caller]
    fn rejected(lines: &[&str], line: usize, reason: &str) {
        let error = told(lines).unwrap_err();
        assert_eq!(error.line, line, "{error}");
        assert!(error.reason.contains(reason), "{error}");
    }

    const CALL: &str = r#"{"id":1,"call_ts":5}"#;
    const OVER: &str = r#"{"id":1,"session":"a","status":"ok","call_ts":5,"return_ts":9,"ops":[["append",7,1]],"snapshot":0,"commit":1}"#;

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        assert_eq!(told(&[CALL, OVER]).unwrap().len(), 2);
        let other = &OVER.replace("\"id\":1", "\"id\":2").replace("\"a\"", "\"b\"");
        assert_eq!(told(&[CALL, OVER, other]).unwrap().len(), 3, "nobody must be announced");
        rejected(&[CALL, OVER, "{}"], 3, "missing field `id`");
        rejected(&[CALL, OVER, ""], 3, "empty");
        rejected(&[CALL, &OVER[..40]], 2, "EOF");
        rejected(&[CALL, OVER, CALL], 3, "before 9 in line 2");
        rejected(&[CALL, OVER, OVER], 3, "there twice");
        rejected(&[CALL, CALL], 2, "there twice");
        rejected(&[CALL, &OVER.replace('5', "4")], 2, "another time");
        rejected(&[OVER, CALL, other], 2, "in the order of time");
        rejected(&[OVER, &other.replace('9', "8")], 2, "in the order of time");
        rejected(&[CALL, &OVER.replace("\"call_ts\":5", "\"call_ts\":null")], 2, "another time");
        rejected(&[&OVER.replace("\"call_ts\":5", "\"call_ts\":null")], 1, "needs the times");
        rejected(&[&OVER.replace('9', "3")], 1, "before its invocation");
        rejected(&[&OVER.replace('9', "null")], 1, "no completion time");
        rejected(&[OVER, &other.replace("\"b\"", "\"a\"")], 2, "while its call of line 1");
        rejected(&[&OVER.replace("append", "r")], 1, "wrote nothing");
        rejected(&[OVER, CALL.replace('1', "3").replace('5', "20").as_str()], 2, "not over at the end");
        let null = OVER.replace("[\"append\",7,1]", "[\"r\",7,null]").replace(",\"commit\":1", "");
        rejected(&[&null, other], 2, "an empty list is []");
        let list = null.replace("\"id\":1", "\"id\":3").replace("\"a\"", "\"c\"");
        assert!(matches!(&told(&[other, &list]).unwrap()[1],
            Event::Over(one) if one.operations == [Micro::ReadList { key: 7, elements: vec![] }]));
    }

    #[test]
    fn ids_are_known_in_any_order() {
        bolero::check!().with_type::<Vec<u8>>().with_iterations(500).for_each(|numbers| {
            let (mut ids, mut plain) = (Ids::default(), std::collections::BTreeSet::new());
            for number in numbers {
                assert_eq!(ids.insert(u64::from(*number)), plain.insert(*number));
            }
            let gaps = plain.iter().filter(|number| !number.checked_sub(1).is_some_and(|one| plain.contains(&one)));
            assert_eq!(ids.0.len(), gaps.count(), "ranges that touch are one");
        });
        let mut ids = Ids::default();
        assert!(ids.insert(u64::MAX) && ids.insert(u64::MAX - 1) && !ids.insert(u64::MAX));
        assert!(ids.insert(0) && ids.0.len() == 2);
    }

    #[test]
    fn a_run_reads_back_as_it_happened() {
        for seed in 0..100 {
            let options = Options::varied(Level::StrongSnapshotIsolation, seed);
            let mut events: Vec<Event> = Run::new(&options, seed).collect();
            for event in &mut events {
                if let Event::Over(transaction) = event {
                    number_apart(transaction);
                }
            }
            let lines: Vec<String> = events.iter().map(|one| event(one, &Names::default())).collect();
            let read_back = told(&lines.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(read_back.as_ref(), Ok(&events));
            let Ok(Recorded::Transactions(history)) = read(lines.join("\n").as_bytes(), None) else {
                panic!("the whole is a history");
            };
            let over = |event: &Event| match event {
                Event::Over(transaction) => Some(transaction.id),
                Event::Invoked { .. } => None,
            };
            let ids: Vec<u64> = history.transactions.iter().map(|one| one.id).collect();
            assert_eq!(ids, events.iter().filter_map(over).collect::<Vec<_>>());
        }
    }

    #[test]
    fn noise_is_no_stream() {
        bolero::check!().with_type::<Vec<Vec<u8>>>().with_iterations(500).for_each(|lines| {
            let mut stream = Stream::new();
            for line in lines {
                let _ = stream.read(line);
            }
            let _ = stream.end();
        });
    }
}
