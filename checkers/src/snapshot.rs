//! Strong snapshot isolation, judged with the commit positions the database reports.
//!
//! The database says at which position of its commit order every transaction read (its snapshot) and committed. That
//! makes the check linear and its evidence precise, and is not trusted: every observation must agree with it.
//!
//! * An acknowledged writer has a commit position of its own, after its snapshot.
//! * A transaction reads its own writes, else what the newest commit at or before its snapshot left.
//! * First committer wins: nobody committed a key between the snapshot and the commit of another writer of it.
//! * A transaction sees whatever was acknowledged before it was invoked, unless it asked for a historic snapshot.
//!
//! A writer of unknown outcome without a known position may have committed at any free position after its snapshot
//! where first committer wins lets it, or never. Once a read can only be explained by such a writer, it has committed
//! at a position within bounds, and no read beyond them may miss it. The order of several such writers among each other
//! is not derived: the `append` checker does so without positions.

use std::collections::BTreeMap;

use crate::history::{Micro, Outcome, Transaction, ambiguous_append};
use crate::{Verdict, Violation};

/// A key of rows or of lists, which are different name spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Row(u64),
    List(u64),
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Row(key) => write!(f, "row {key}"),
            Self::List(key) => write!(f, "list {key}"),
        }
    }
}

/// What a transaction leaves in a key: the last value it wrote, or all elements it appended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Effect {
    Value(Option<i64>),
    Elements(Vec<i64>),
}

/// A writer of one key.
#[derive(Clone, Debug)]
struct Writer {
    /// The transaction's place in the history.
    at: usize,
    effect: Effect,
}

/// All writers of one key.
#[derive(Debug, Default)]
struct Writers {
    /// With a known commit position, by that position.
    committed: Vec<(u64, Writer)>,
    /// Of unknown outcome and position.
    unknown: Vec<Writer>,
    failed: Vec<Writer>,
}

/// Where a writer of unknown outcome committed, once it was seen: after the first and up to the second position.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    after: u64,
    upto: u64,
}

/// Checks what transactions observed against the positions the database reports for them.
///
/// Acknowledged transactions must report their snapshot if they read anything, and writers also their commit position.
/// Gives up on a history where an element was appended to a list more than once.
pub fn check_versions(transactions: &[Transaction]) -> Verdict {
    if let Some(reason) = ambiguous_append(transactions) {
        return Verdict::GaveUp { reason, comparisons: 0 };
    }
    let by_predicate =
        |transaction: &&Transaction| transaction.operations.iter().any(|micro| matches!(micro, Micro::ReadRows { .. }));
    if let Some(transaction) = transactions.iter().find(by_predicate) {
        let reason = format!("T{} reads by a predicate, which is not judged by positions", transaction.id);
        return Verdict::GaveUp { reason, comparisons: 0 };
    }
    let mut check = match Check::new(transactions) {
        Ok(check) => check,
        Err(violation) => return Verdict::Fail(violation),
    };
    match check.run() {
        Ok(()) => Verdict::Pass { comparisons: check.comparisons },
        Err(violation) => Verdict::Fail(violation),
    }
}

struct Check<'a> {
    transactions: &'a [Transaction],
    keys: BTreeMap<Key, Writers>,
    /// Commit positions in use, ascending.
    positions: Vec<u64>,
    /// By place in the history: where a writer of unknown position committed, if it was seen.
    seen: BTreeMap<usize, Bounds>,
    comparisons: u64,
}

impl<'a> Check<'a> {
    fn new(transactions: &'a [Transaction]) -> Result<Self, Violation> {
        let mut keys: BTreeMap<Key, Writers> = BTreeMap::new();
        let mut positions = BTreeMap::new();
        for (at, transaction) in transactions.iter().enumerate() {
            let name = transaction.id;
            let acknowledged = transaction.outcome == Outcome::Ok;
            let effects = effects(transaction);
            let reads =
                || transaction.operations.iter().any(|m| matches!(m, Micro::Read { .. } | Micro::ReadList { .. }));
            if acknowledged && !effects.is_empty() && transaction.commit.is_none() {
                return Err(violation(
                    "commit-missing",
                    format!("writer T{name} was acknowledged without a commit position"),
                    transaction,
                ));
            }
            if acknowledged && transaction.snapshot.is_none() && (reads() || !effects.is_empty()) {
                return Err(violation(
                    "snapshot-missing",
                    format!("T{name} was acknowledged without a snapshot"),
                    transaction,
                ));
            }
            let commit = transaction.commit.filter(|_| transaction.outcome != Outcome::Failed);
            if let Some(commit) = commit {
                if let Some(snapshot) = transaction.snapshot.filter(|snapshot| *snapshot >= commit) {
                    return Err(violation(
                        "commit-order",
                        format!("T{name} committed at {commit}, not after its snapshot {snapshot}"),
                        transaction,
                    ));
                }
                if let Some(other) = positions.insert(commit, name) {
                    return Err(violation(
                        "commit-twice",
                        format!("T{other} and T{name} both committed at {commit}"),
                        transaction,
                    ));
                }
            }
            for (key, effect) in effects {
                let writers = keys.entry(key).or_default();
                let writer = Writer { at, effect };
                match (transaction.outcome, commit) {
                    (Outcome::Failed, _) => writers.failed.push(writer),
                    (_, Some(commit)) => writers.committed.push((commit, writer)),
                    (_, None) => writers.unknown.push(writer),
                }
            }
        }
        for writers in keys.values_mut() {
            writers.committed.sort_by_key(|(commit, _)| *commit);
        }
        Ok(Self {
            transactions,
            keys,
            positions: positions.into_keys().collect(),
            seen: BTreeMap::new(),
            comparisons: 0,
        })
    }

    fn run(&mut self) -> Result<(), Violation> {
        self.first_committer_wins()?;
        self.recency()?;
        // The second round holds every read against all writers that the first one found to have committed.
        for _ in 0..2 {
            for at in 0..self.transactions.len() {
                if self.transactions[at].outcome == Outcome::Ok {
                    self.reads(at)?;
                }
            }
        }
        Ok(())
    }

    fn first_committer_wins(&mut self) -> Result<(), Violation> {
        for (key, writers) in &self.keys {
            for pair in writers.committed.windows(2) {
                self.comparisons += 1;
                let ((first, one), (second, other)) = (&pair[0], &pair[1]);
                let (one, other) = (&self.transactions[one.at], &self.transactions[other.at]);
                if let Some(snapshot) = other.snapshot.filter(|snapshot| snapshot < first) {
                    let message = format!(
                        "T{} wrote {key} at {second} from snapshot {snapshot}, though T{} wrote it at {first}",
                        other.id, one.id
                    );
                    return Err(violation("lost-update", message, other));
                }
            }
        }
        Ok(())
    }

    /// Strong session-free recency: a snapshot holds everything acknowledged before the invocation.
    fn recency(&mut self) -> Result<(), Violation> {
        let mut acknowledged: Vec<(u64, u64, usize)> = Vec::new();
        let mut invoked = Vec::new();
        for (at, transaction) in self.transactions.iter().enumerate() {
            if let (Some(time), Some(position)) =
                (transaction.acknowledged(), transaction.commit.or(transaction.snapshot))
            {
                acknowledged.push((time, position, at));
            }
            if transaction.outcome == Outcome::Ok && !transaction.historic && transaction.snapshot.is_some() {
                invoked.push((transaction.invoke, at));
            }
        }
        acknowledged.sort_unstable();
        invoked.sort_unstable();
        let (mut next, mut newest) = (0, None::<(u64, usize)>);
        for (invoke, at) in invoked {
            while let Some((_, position, writer)) = acknowledged.get(next).filter(|(time, ..)| *time < invoke) {
                newest = newest.max(Some((*position, *writer)));
                next += 1;
            }
            self.comparisons += 1;
            let transaction = &self.transactions[at];
            if let (Some((position, before)), Some(snapshot)) = (newest, transaction.snapshot)
                && snapshot < position
            {
                let before = &self.transactions[before];
                let message = format!(
                    "T{} was invoked at {invoke} and read snapshot {snapshot}, but T{} at position {position} was acknowledged before",
                    transaction.id, before.id
                );
                let mut violation = violation("stale-snapshot", message, transaction);
                violation.evidence.insert(0, describe(before));
                return Err(violation);
            }
        }
        Ok(())
    }

    /// Holds every read of one acknowledged transaction against its snapshot.
    fn reads(&mut self, at: usize) -> Result<(), Violation> {
        let transaction = &self.transactions[at];
        // What the transaction knows of a key: what it read first, and what it did since.
        let mut rows: BTreeMap<u64, Option<i64>> = BTreeMap::new();
        let mut lists: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
        let mut appended: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
        for micro in &transaction.operations {
            match micro {
                Micro::Write { key, value } => {
                    rows.insert(*key, *value);
                }
                Micro::Append { key, element } => {
                    appended.entry(*key).or_default().push(*element);
                    if let Some(list) = lists.get_mut(key) {
                        list.push(*element);
                    }
                }
                Micro::Read { key, value } => {
                    self.comparisons += 1;
                    if let Some(known) = rows.get(key) {
                        if known != value {
                            let message =
                                format!("T{} had {known:?} in row {key}, then read {value:?}", transaction.id);
                            return Err(violation("internal", message, transaction));
                        }
                        continue;
                    }
                    self.row(at, *key, *value)?;
                    rows.insert(*key, *value);
                }
                Micro::ReadList { key, elements } => {
                    self.comparisons += 1 + elements.len() as u64;
                    if let Some(known) = lists.get(key) {
                        if known != elements {
                            let message =
                                format!("T{} had {known:?} in list {key}, then read {elements:?}", transaction.id);
                            return Err(violation("internal", message, transaction));
                        }
                        continue;
                    }
                    let own = appended.get(key).map_or(&[][..], Vec::as_slice);
                    let Some(external) = elements.strip_suffix(own) else {
                        let message =
                            format!("T{} appended {own:?} to list {key}, then read {elements:?}", transaction.id);
                        return Err(violation("internal", message, transaction));
                    };
                    self.list(at, *key, external)?;
                    lists.insert(*key, elements.clone());
                }
                Micro::ReadRows { .. } => unreachable!("such histories are not judged here"),
            }
        }
        Ok(())
    }

    /// The positions, after the first and up to the second, where `writer` of unknown position may have committed so
    /// that `snapshot` saw it and no known writer of `key` did so between it and `snapshot`.
    fn window(&self, key: Key, writer: &Writer, reader: usize, snapshot: u64) -> Option<Bounds> {
        let (transaction, reader) = (&self.transactions[writer.at], &self.transactions[reader]);
        if reader.complete.is_some_and(|complete| transaction.invoke > complete) {
            return None;
        }
        let committed = self.keys.get(&key).map_or(&[][..], |writers| &writers.committed);
        let next = committed.partition_point(|(commit, _)| *commit <= snapshot);
        let base = next.checked_sub(1).map_or(0, |last| committed[last].0);
        // First committer wins: it saw the version it replaced, and whoever replaced it saw it.
        if transaction.snapshot.is_some_and(|seen| seen < base) {
            return None;
        }
        let replaced = committed.get(next).and_then(|(_, writer)| self.transactions[writer.at].snapshot);
        let seen = self.seen.get(&writer.at);
        let after = base.max(transaction.snapshot.unwrap_or(0)).max(seen.map_or(0, |seen| seen.after));
        let upto = snapshot.min(replaced.unwrap_or(u64::MAX)).min(seen.map_or(u64::MAX, |seen| seen.upto));
        self.free(after, upto).then_some(Bounds { after, upto })
    }

    /// Whether a position after `after` and up to `upto` is nobody's.
    fn free(&self, after: u64, upto: u64) -> bool {
        let taken = |upto: u64| self.positions.partition_point(|position| *position <= upto) as u64;
        after < upto && upto - after > taken(upto) - taken(after)
    }

    /// Notes that the writer of unknown position certainly committed within `bounds`.
    fn saw(&mut self, writer: usize, bounds: Bounds) {
        let seen = self.seen.entry(writer).or_insert(bounds);
        seen.after = seen.after.max(bounds.after);
        seen.upto = seen.upto.min(bounds.upto);
    }

    fn row(&mut self, at: usize, key: u64, value: Option<i64>) -> Result<(), Violation> {
        let transaction = &self.transactions[at];
        let (name, snapshot) = (Key::Row(key), transaction.snapshot.unwrap_or(0));
        let Some(writers) = self.keys.get(&name) else {
            return match value {
                None => Ok(()),
                Some(value) => Err(violation(
                    "garbage-read",
                    format!("T{} read {value} from row {key}, which nobody wrote", transaction.id),
                    transaction,
                )),
            };
        };
        let base = newest(&writers.committed, snapshot);
        let (position, expected) = match base {
            Some((commit, Writer { effect: Effect::Value(value), .. })) => (*commit, *value),
            Some(_) | None => (0, None),
        };
        let others = || writers.unknown.iter().filter(|writer| writer.at != at);
        // A writer that was seen to commit after the base and before the snapshot has replaced the base.
        let replaced = others().find(|writer| {
            self.seen.get(&writer.at).is_some_and(|seen| seen.after >= position && seen.upto <= snapshot)
        });
        if replaced.is_none() && expected == value {
            return Ok(());
        }
        let mut explanations = others()
            .filter(|writer| writer.effect == Effect::Value(value))
            .filter_map(|writer| Some((writer.at, self.window(name, writer, at, snapshot)?)));
        match (explanations.next(), explanations.next()) {
            (Some((writer, bounds)), None) => self.saw(writer, bounds),
            (Some(_), Some(_)) => {}
            (None, _) => {
                let wrote = |writer: &&Writer| writer.effect == Effect::Value(value);
                let intermediate = || {
                    self.transactions.iter().enumerate().any(|(other, transaction)| {
                        other != at && transaction.operations.contains(&Micro::Write { key, value })
                    })
                };
                let mut committed = writers.committed.iter().filter(|(_, writer)| wrote(&writer));
                let anomaly = match committed.next() {
                    Some((commit, _)) if *commit <= snapshot => "stale-read",
                    Some(_) => "future-read",
                    None if value.is_none() => "stale-read",
                    None if writers.failed.iter().any(|writer| wrote(&writer)) => "G1a",
                    None if writers.unknown.iter().any(|writer| wrote(&writer)) => "impossible-read",
                    None if intermediate() => "G1b",
                    None => "garbage-read",
                };
                let instead = match (replaced, base) {
                    (Some(by), _) => format!("but T{} had replaced {}", self.transactions[by.at].id, show(expected)),
                    (None, Some((commit, by))) => {
                        format!("where T{} had left {} at {commit}", self.transactions[by.at].id, show(expected))
                    }
                    (None, None) => "where nobody had written it".into(),
                };
                let message = format!(
                    "T{} read {} from row {key} at snapshot {snapshot}, {instead}",
                    transaction.id,
                    show(value)
                );
                let mut violation = violation(anomaly, message, transaction);
                violation
                    .evidence
                    .extend(replaced.or(base.map(|(_, by)| by)).map(|by| describe(&self.transactions[by.at])));
                return Err(violation);
            }
        }
        Ok(())
    }

    fn list(&mut self, at: usize, key: u64, elements: &[i64]) -> Result<(), Violation> {
        let transaction = &self.transactions[at];
        let (name, snapshot) = (Key::List(key), transaction.snapshot.unwrap_or(0));
        let empty = Writers::default();
        let writers = self.keys.get(&name).unwrap_or(&empty);
        let fail = |anomaly: &str, message: String| {
            let message =
                format!("T{} read {elements:?} from list {key} at snapshot {snapshot}: {message}", transaction.id);
            Err(violation(anomaly, message, transaction))
        };
        let visible = &writers.committed[..writers.committed.partition_point(|(commit, _)| *commit <= snapshot)];
        let mut expected = visible.iter().filter(|(_, writer)| writer.at != at).peekable();
        let (mut rest, mut last, mut found) = (elements, 0, Vec::<(usize, Bounds)>::new());
        loop {
            if let Some((commit, writer)) = expected.peek()
                && let Some(after) = strip(rest, &writer.effect)
            {
                rest = after;
                // Whatever of unknown position stands before it committed before it.
                for (_, bounds) in found.iter_mut().filter(|(_, bounds)| bounds.upto > *commit) {
                    bounds.upto = commit - 1;
                }
                last = *commit;
                expected.next();
                continue;
            }
            let Some(element) = rest.first() else { break };
            let unknown = writers.unknown.iter().filter(|writer| writer.at != at).find_map(|writer| {
                let after = strip(rest, &writer.effect)?;
                found.iter().all(|(other, _)| *other != writer.at).then_some((writer, after))
            });
            let Some((writer, after)) = unknown else {
                let wrote = |writer: &Writer| matches!(&writer.effect, Effect::Elements(all) if all.contains(element));
                let committed = writers.committed.iter().find(|(_, writer)| wrote(writer));
                let consumed = &elements[..elements.len() - rest.len()];
                return match committed {
                    _ if consumed.contains(element) => fail("duplicate-element", format!("{element} is there twice")),
                    Some((commit, _)) if *commit > snapshot => {
                        fail("future-read", format!("{element} was committed later, at {commit}"))
                    }
                    Some((commit, writer)) => {
                        let id = self.transactions[writer.at].id;
                        match expected.peek() {
                            Some((before, missing)) if before < commit => fail(
                                "lost-append",
                                format!(
                                    "the append of T{} at {before} is not before {element} of T{id} at {commit}",
                                    self.transactions[missing.at].id
                                ),
                            ),
                            _ => fail("G1b", format!("{element} is not where the appends of T{id} are")),
                        }
                    }
                    None if writers.failed.iter().any(wrote) => fail("G1a", format!("the append of {element} failed")),
                    None if writers.unknown.iter().any(wrote) => {
                        fail("G1b", format!("{element} is not all its transaction appended"))
                    }
                    None => fail("garbage-read", format!("nobody appended {element}")),
                };
            };
            let (id, seen) = (self.transactions[writer.at].snapshot, self.transactions[writer.at].invoke);
            if transaction.complete.is_some_and(|complete| seen > complete) {
                return fail("future-read", format!("the append of {element} was not invoked yet"));
            }
            let after_position = last.max(id.unwrap_or(0));
            found.push((writer.at, Bounds { after: after_position, upto: snapshot }));
            rest = after;
        }
        if let Some((commit, missing)) = expected.next() {
            return fail(
                "lost-append",
                format!("the append of T{} at {commit} is missing", self.transactions[missing.at].id),
            );
        }
        let missing = writers.unknown.iter().map(|writer| writer.at).find(|writer| {
            *writer != at
                && self.seen.get(writer).is_some_and(|seen| seen.upto <= snapshot)
                && found.iter().all(|(other, _)| other != writer)
        });
        if let Some(missing) = missing {
            let (id, upto) = (self.transactions[missing].id, self.seen[&missing].upto);
            return fail(
                "lost-append",
                format!("the append of T{id}, which committed at {upto} at the latest, is missing"),
            );
        }
        for (writer, bounds) in found {
            let seen = self.seen.get(&writer).copied().unwrap_or(bounds);
            let joint = Bounds { after: seen.after.max(bounds.after), upto: seen.upto.min(bounds.upto) };
            if !self.free(joint.after, joint.upto) {
                let message = format!(
                    "T{} cannot have committed between {} and {}, where its append must be",
                    self.transactions[writer].id, joint.after, joint.upto
                );
                let message =
                    format!("T{} read {elements:?} from list {key} at snapshot {snapshot}: {message}", transaction.id);
                return Err(violation("impossible-read", message, transaction));
            }
            self.saw(writer, bounds);
        }
        Ok(())
    }
}

/// What each key is left with by a transaction, by key.
fn effects(transaction: &Transaction) -> BTreeMap<Key, Effect> {
    let mut effects = BTreeMap::new();
    for micro in &transaction.operations {
        match micro {
            Micro::Write { key, value } => {
                effects.insert(Key::Row(*key), Effect::Value(*value));
            }
            Micro::Append { key, element } => {
                match effects.entry(Key::List(*key)).or_insert_with(|| Effect::Elements(Vec::new())) {
                    Effect::Elements(elements) => elements.push(*element),
                    Effect::Value(_) => unreachable!("rows and lists are different keys"),
                }
            }
            Micro::Read { .. } | Micro::ReadList { .. } | Micro::ReadRows { .. } => {}
        }
    }
    effects
}

fn newest(committed: &[(u64, Writer)], snapshot: u64) -> Option<&(u64, Writer)> {
    committed[..committed.partition_point(|(commit, _)| *commit <= snapshot)].last()
}

/// What of `list` follows the elements of `effect`, if it begins with them.
fn strip<'a>(list: &'a [i64], effect: &Effect) -> Option<&'a [i64]> {
    match effect {
        Effect::Elements(elements) => list.strip_prefix(elements.as_slice()),
        Effect::Value(_) => None,
    }
}

fn show(value: Option<i64>) -> String {
    value.map_or("nothing".into(), |value| value.to_string())
}

fn describe(transaction: &Transaction) -> String {
    let Transaction { id, client, invoke, complete, outcome, snapshot, commit, operations, .. } = transaction;
    let time = |time: &Option<u64>| time.map_or("?".into(), |time| time.to_string());
    format!(
        "T{id} of client {client} [{invoke}, {}] {outcome:?}, snapshot {}, commit {}: {operations:?}",
        time(complete),
        time(snapshot),
        time(commit)
    )
}

fn violation(anomaly: &str, message: String, transaction: &Transaction) -> Violation {
    Violation {
        checker: "snapshot",
        anomaly: anomaly.into(),
        message,
        evidence: vec![describe(transaction)],
        at: transaction.complete,
    }
}

#[cfg(test)]
mod tests;
