//! Changes one thing in a correct history, so that it is probably wrong.
//!
//! Whether it is depends on what else was observed: a stale read may be legal where nobody can tell.

use std::collections::BTreeMap;

use super::{Generated, Random};
use crate::history::{Micro, Outcome, Transaction};

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutation {
    /// A read shows an older version.
    StaleRead,
    /// A transaction that reads and writes a key read the version before.
    LostUpdate,
    /// A read shows what a failed transaction wrote.
    AbortedRead,
    /// A read shows a write that its transaction replaced itself.
    IntermediateRead,
    /// A transaction that sees one write of another does not see its other one.
    FracturedRead,
    /// Two transactions that write different keys did not see each other's write.
    WriteSkew,
    /// Two elements of a list are read the other way round.
    ReorderedList,
    /// A read shows a version of a transaction that was invoked after the reader had completed.
    FutureRead,
    /// A client does not see what it wrote before.
    SessionViolation,
    /// A read does not show what was acknowledged before it was invoked.
    RealTimeViolation,
    /// The reported snapshot is another one.
    ShiftedSnapshot,
    /// Two writers report each other's commit position.
    SwappedCommits,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::StaleRead,
        Self::LostUpdate,
        Self::AbortedRead,
        Self::IntermediateRead,
        Self::FracturedRead,
        Self::WriteSkew,
        Self::ReorderedList,
        Self::FutureRead,
        Self::SessionViolation,
        Self::RealTimeViolation,
        Self::ShiftedSnapshot,
        Self::SwappedCommits,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::StaleRead => "stale-read",
            Self::LostUpdate => "lost-update",
            Self::AbortedRead => "aborted-read",
            Self::IntermediateRead => "intermediate-read",
            Self::FracturedRead => "fractured-read",
            Self::WriteSkew => "write-skew",
            Self::ReorderedList => "reordered-list",
            Self::FutureRead => "future-read",
            Self::SessionViolation => "session-violation",
            Self::RealTimeViolation => "real-time-violation",
            Self::ShiftedSnapshot => "shifted-snapshot",
            Self::SwappedCommits => "swapped-commits",
        }
    }

    /// Whether only reported positions change, and nothing that was observed.
    pub fn only_positions(self) -> bool {
        matches!(self, Self::ShiftedSnapshot | Self::SwappedCommits)
    }
}

/// What was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The kind of change.
    pub mutation: Mutation,
    /// The names of the transactions that take part.
    pub transactions: Vec<u64>,
    /// In words.
    pub what: String,
}

/// A row or a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Object {
    Row(u64),
    List(u64),
}

/// What one of them holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Value(Option<i64>),
    Elements(Vec<i64>),
}

/// A version: whose it is, by place in the history, and what it holds.
#[derive(Clone, Debug)]
struct Version {
    place: usize,
    content: Content,
}

/// An external read: by whom, of what, and which version of it, from 0 for the initial one.
#[derive(Clone, Copy, Debug)]
struct Seen {
    place: usize,
    object: Object,
    version: usize,
}

/// All versions of all keys, oldest first, without the initial one.
struct Versions(BTreeMap<Object, Vec<Version>>);

impl Versions {
    fn of(generated: &Generated) -> Self {
        let transactions = &generated.history.transactions;
        let commit = |transaction: &Transaction| generated.commits.get(transaction.id as usize).copied().flatten();
        let mut committed: Vec<(u64, usize)> = transactions
            .iter()
            .enumerate()
            .filter_map(|(place, transaction)| Some((commit(transaction)?, place)))
            .collect();
        committed.sort_unstable();
        let mut versions: BTreeMap<Object, Vec<Version>> = BTreeMap::new();
        for (_, place) in committed {
            for micro in &transactions[place].operations {
                let (object, content) = match micro {
                    Micro::Write { key, value } => (Object::Row(*key), Content::Value(*value)),
                    Micro::Append { key, element } => {
                        let object = Object::List(*key);
                        let before = versions.get(&object).and_then(|versions| versions.last());
                        let mut elements = match before.map(|version| &version.content) {
                            Some(Content::Elements(elements)) => elements.clone(),
                            _ => Vec::new(),
                        };
                        elements.push(*element);
                        (object, Content::Elements(elements))
                    }
                    _ => continue,
                };
                let versions = versions.entry(object).or_default();
                match versions.last_mut().filter(|last| last.place == place) {
                    Some(last) => last.content = content,
                    None => versions.push(Version { place, content }),
                }
            }
        }
        Self(versions)
    }

    /// What version `number` holds.
    fn content(&self, object: Object, number: usize) -> Content {
        match number.checked_sub(1) {
            Some(at) => self.0[&object][at].content.clone(),
            None => match object {
                Object::Row(_) => Content::Value(None),
                Object::List(_) => Content::Elements(Vec::new()),
            },
        }
    }

    /// Whose version `number` is.
    fn writer(&self, object: Object, number: usize) -> Option<usize> {
        number.checked_sub(1).map(|at| self.0[&object][at].place)
    }

    /// What the acknowledged transactions read of others, where it is known which version it is.
    fn seen(&self, transactions: &[Transaction]) -> Vec<Seen> {
        let mut all = Vec::new();
        for (place, transaction) in transactions.iter().enumerate().filter(|(_, one)| one.outcome == Outcome::Ok) {
            let mut known: Vec<Object> = Vec::new();
            for micro in &transaction.operations {
                let (object, content) = match micro {
                    Micro::Read { key, value } => (Object::Row(*key), Some(Content::Value(*value))),
                    Micro::ReadList { key, elements } => {
                        (Object::List(*key), Some(Content::Elements(elements.clone())))
                    }
                    Micro::Write { key, .. } => (Object::Row(*key), None),
                    Micro::Append { key, .. } => (Object::List(*key), None),
                    Micro::ReadRows { .. } => continue,
                };
                if known.contains(&object) {
                    continue;
                }
                known.push(object);
                let Some(content) = content else { continue };
                let count = self.0.get(&object).map_or(0, Vec::len);
                if let Some(version) = (0..=count).find(|number| self.content(object, *number) == content) {
                    all.push(Seen { place, object, version });
                }
            }
        }
        all
    }
}

/// Applies one mutation somewhere, if the history has a place for it.
pub fn mutate(generated: &mut Generated, mutation: Mutation, random: &mut Random) -> Option<Done> {
    let versions = Versions::of(generated);
    let transactions = &mut generated.history.transactions;
    let seen = versions.seen(transactions);
    let (places, what) = match mutation {
        Mutation::StaleRead => {
            let fresh: Vec<Seen> = seen.into_iter().filter(|seen| seen.version > 0).collect();
            let one = *random.pick(&fresh)?;
            reread(transactions, &versions, one, random.below(one.version as u64) as usize)
        }
        Mutation::LostUpdate => {
            let updates = seen.into_iter().filter(|seen| {
                let operations = &transactions[seen.place].operations;
                seen.version > 0 && operations.iter().any(|micro| written(micro) == Some(seen.object))
            });
            let one = *random.pick(&updates.collect::<Vec<_>>())?;
            reread(transactions, &versions, one, one.version - 1)
        }
        Mutation::FutureRead => {
            let later = seen.iter().flat_map(|seen| {
                let count = versions.0.get(&seen.object).map_or(0, Vec::len);
                (seen.version + 1..=count).map(move |number| (*seen, number))
            });
            let later = later.filter(|(seen, number)| {
                let writer = versions.writer(seen.object, *number);
                writer.is_some_and(|writer| Some(transactions[writer].invoke) > transactions[seen.place].complete)
            });
            let (one, number) = *random.pick(&later.collect::<Vec<_>>())?;
            reread(transactions, &versions, one, number)
        }
        Mutation::SessionViolation | Mutation::RealTimeViolation => {
            let before = |writer: usize, reader: &Transaction| {
                let writer = &transactions[writer];
                let told = writer.acknowledged().is_some_and(|time| time < reader.invoke);
                told && (mutation == Mutation::RealTimeViolation || writer.client == reader.client)
            };
            let due = seen.iter().filter_map(|seen| {
                let reader = &transactions[seen.place];
                let newest = (1..=seen.version).rev();
                let mut newest = newest.filter(|number| {
                    versions.writer(seen.object, *number).is_some_and(|writer| before(writer, reader))
                });
                newest.next().map(|number| (*seen, number - 1))
            });
            let (one, number) = *random.pick(&due.collect::<Vec<_>>())?;
            reread(transactions, &versions, one, number)
        }
        Mutation::AbortedRead => aborted(transactions, &seen, random)?,
        Mutation::IntermediateRead => intermediate(transactions, &versions, &seen, random)?,
        Mutation::FracturedRead => fractured(transactions, &versions, &seen, random)?,
        Mutation::WriteSkew => write_skew(transactions, &versions, random)?,
        Mutation::ReorderedList => reordered(transactions, random)?,
        Mutation::ShiftedSnapshot | Mutation::SwappedCommits => positions(transactions, mutation, random)?,
    };
    let names = places.iter().map(|place| transactions[*place].id).collect();
    Some(Done { mutation, transactions: names, what })
}

type Change = (Vec<usize>, String);

/// Lets a read show another version.
fn reread(transactions: &mut [Transaction], versions: &Versions, seen: Seen, number: usize) -> Change {
    let Seen { place, object, version } = seen;
    let (before, content) = (versions.content(object, version), versions.content(object, number));
    let what = format!("T{} reads {content:?} from {object:?} instead of {before:?}", transactions[place].id);
    set(&mut transactions[place], object, &content);
    (versions.writer(object, version).into_iter().chain([place]).collect(), what)
}

/// What a step writes.
fn written(micro: &Micro) -> Option<Object> {
    match micro {
        Micro::Write { key, .. } => Some(Object::Row(*key)),
        Micro::Append { key, .. } => Some(Object::List(*key)),
        _ => None,
    }
}

/// Lets all external reads of an object show `content`.
fn set(transaction: &mut Transaction, object: Object, content: &Content) {
    let mut own = Vec::new();
    for micro in &mut transaction.operations {
        match (micro, object, content) {
            (Micro::Write { key, .. }, Object::Row(row), _) if *key == row => return,
            (Micro::Append { key, element }, Object::List(list), _) if *key == list => own.push(*element),
            (Micro::Read { key, value }, Object::Row(row), Content::Value(new)) if *key == row => *value = *new,
            (Micro::ReadList { key, elements }, Object::List(list), Content::Elements(new)) if *key == list => {
                *elements = [new.as_slice(), &own].concat();
            }
            _ => {}
        }
    }
}

/// A step that reads `content`.
fn read(object: Object, content: Content) -> Micro {
    match (object, content) {
        (Object::Row(key), Content::Value(value)) => Micro::Read { key, value },
        (Object::Row(key), Content::Elements(_)) => Micro::Read { key, value: None },
        (Object::List(key), Content::Elements(elements)) => Micro::ReadList { key, elements },
        (Object::List(key), Content::Value(_)) => Micro::ReadList { key, elements: Vec::new() },
    }
}

fn aborted(transactions: &mut [Transaction], seen: &[Seen], random: &mut Random) -> Option<Change> {
    let mut choices = Vec::new();
    for (failed, transaction) in transactions.iter().enumerate().filter(|(_, one)| one.outcome == Outcome::Failed) {
        for micro in &transaction.operations {
            let readers = seen.iter().filter(|seen| Some(seen.object) == written(micro));
            choices.extend(readers.map(|seen| (failed, micro.clone(), *seen)));
        }
    }
    let (failed, micro, seen) = random.pick(&choices)?.clone();
    let content = match micro {
        Micro::Write { value, .. } => Content::Value(value),
        Micro::Append { key, element } => {
            let read = transactions[seen.place].operations.iter().find_map(|micro| match micro {
                Micro::ReadList { key: list, elements } if *list == key => Some(elements),
                _ => None,
            });
            Content::Elements([read?.as_slice(), &[element]].concat())
        }
        _ => return None,
    };
    set(&mut transactions[seen.place], seen.object, &content);
    let (reader, writer) = (transactions[seen.place].id, transactions[failed].id);
    let what = format!("T{reader} reads {content:?} from {:?}, of T{writer}, which failed", seen.object);
    Some((vec![failed, seen.place], what))
}

fn intermediate(
    transactions: &mut [Transaction],
    versions: &Versions,
    seen: &[Seen],
    random: &mut Random,
) -> Option<Change> {
    let of_others = seen.iter().filter_map(|seen| Some((*seen, versions.writer(seen.object, seen.version)?)));
    let (one, writer) = *random.pick(&of_others.collect::<Vec<_>>())?;
    let id = transactions[one.place].id;
    let content = match one.object {
        Object::Row(row) => {
            let operations = &mut transactions[writer].operations;
            let last = operations.iter().rposition(|micro| written(micro) == Some(one.object))?;
            // A value that nobody else writes.
            let value = Some(i64::MAX - id as i64);
            operations.insert(last, Micro::Write { key: row, value });
            Content::Value(value)
        }
        Object::List(_) => {
            let count =
                transactions[writer].operations.iter().filter(|micro| written(micro) == Some(one.object)).count();
            let Content::Elements(mut elements) = versions.content(one.object, one.version) else { return None };
            if count < 2 {
                return None;
            }
            elements.pop();
            Content::Elements(elements)
        }
    };
    set(&mut transactions[one.place], one.object, &content);
    let what = format!(
        "T{id} reads {content:?} from {:?}, which is not the last that T{} wrote",
        one.object, transactions[writer].id
    );
    Some((vec![writer, one.place], what))
}

fn fractured(
    transactions: &mut [Transaction],
    versions: &Versions,
    seen: &[Seen],
    random: &mut Random,
) -> Option<Change> {
    let mut choices = Vec::new();
    for one in seen {
        let Some(writer) = versions.writer(one.object, one.version) else { continue };
        for other in transactions[writer].operations.iter().filter_map(written) {
            let own = transactions[one.place].operations.iter().any(|micro| written(micro) == Some(other));
            if other != one.object && !own {
                choices.push((*one, writer, other));
            }
        }
    }
    let (one, writer, other) = *random.pick(&choices)?;
    let number = versions.0.get(&other)?.iter().position(|version| version.place == writer)?;
    let content = versions.content(other, number);
    let (reader, name) = (transactions[one.place].id, transactions[writer].id);
    let what = format!(
        "T{reader} reads what T{name} wrote in {:?}, but {content:?} from {other:?}, from before T{name}",
        one.object
    );
    let reads = seen.iter().any(|seen| seen.place == one.place && seen.object == other);
    if reads {
        set(&mut transactions[one.place], other, &content);
    } else {
        transactions[one.place].operations.push(read(other, content));
    }
    Some((vec![writer, one.place], what))
}

fn write_skew(transactions: &mut [Transaction], versions: &Versions, random: &mut Random) -> Option<Change> {
    let mut choices = Vec::new();
    let touches = |place: usize, object: Object| {
        transactions[place].operations.iter().any(|micro| match micro {
            Micro::Read { key, .. } => object == Object::Row(*key),
            Micro::ReadList { key, .. } => object == Object::List(*key),
            _ => written(micro) == Some(object),
        })
    };
    let writers: Vec<(usize, Object, usize)> = versions
        .0
        .iter()
        .flat_map(|(object, all)| all.iter().enumerate().map(|(before, version)| (version.place, *object, before)))
        .filter(|(place, ..)| transactions[*place].outcome == Outcome::Ok)
        .collect();
    for (at, (one, object, before)) in writers.iter().enumerate() {
        for (two, other, earlier) in &writers[at + 1..] {
            let (first, second) = (&transactions[*one], &transactions[*two]);
            let overlap = first.complete >= Some(second.invoke) && second.complete >= Some(first.invoke);
            if overlap && one != two && !touches(*one, *other) && !touches(*two, *object) {
                choices.push(((*one, *other, *earlier), (*two, *object, *before)));
            }
        }
        if choices.len() > 256 {
            break;
        }
    }
    let (one, two) = *random.pick(&choices)?;
    for (place, object, before) in [one, two] {
        transactions[place].operations.insert(0, read(object, versions.content(object, before)));
    }
    let (first, second) = (transactions[one.0].id, transactions[two.0].id);
    let what = format!(
        "T{first} reads {:?} from before T{second}, and T{second} reads {:?} from before T{first}",
        one.1, two.1
    );
    Some((vec![one.0, two.0], what))
}

fn reordered(transactions: &mut [Transaction], random: &mut Random) -> Option<Change> {
    let mut choices = Vec::new();
    for (place, transaction) in transactions.iter().enumerate().filter(|(_, one)| one.outcome == Outcome::Ok) {
        for (at, micro) in transaction.operations.iter().enumerate() {
            if matches!(micro, Micro::ReadList { elements, .. } if elements.len() > 1) {
                choices.push((place, at));
            }
        }
    }
    let (place, at) = *random.pick(&choices)?;
    let Micro::ReadList { key, elements } = &mut transactions[place].operations[at] else { return None };
    let first = random.below(elements.len() as u64 - 1) as usize;
    elements.swap(first, first + 1);
    let what = format!("of list {key}, elements {} and {} are swapped", elements[first + 1], elements[first]);
    Some((vec![place], what))
}

fn positions(transactions: &mut [Transaction], mutation: Mutation, random: &mut Random) -> Option<Change> {
    let ok = transactions.iter().enumerate().filter(|(_, one)| one.outcome == Outcome::Ok);
    if mutation == Mutation::ShiftedSnapshot {
        let readers: Vec<(usize, u64)> = ok.filter_map(|(place, one)| Some((place, one.snapshot?))).collect();
        let (place, before) = *random.pick(&readers)?;
        let mut positions: Vec<u64> = transactions.iter().filter_map(|one| one.commit).collect();
        positions.retain(|position| *position != before);
        let snapshot = *random.pick(&positions)?;
        transactions[place].snapshot = Some(snapshot);
        let what = format!("T{} reports snapshot {snapshot} instead of {before}", transactions[place].id);
        return Some((vec![place], what));
    }
    let mut writers: Vec<(u64, usize)> = ok.filter_map(|(place, one)| Some((one.commit?, place))).collect();
    writers.sort_unstable();
    let at = random.below(writers.len().saturating_sub(1) as u64) as usize;
    let ((first, one), (second, two)) = (*writers.get(at)?, *writers.get(at + 1)?);
    (transactions[one].commit, transactions[two].commit) = (Some(second), Some(first));
    let what = format!("T{} and T{} report each other's commit position", transactions[one].id, transactions[two].id);
    Some((vec![one, two], what))
}
