//! Replays snapshots and commits in the order of positions, against the newest version of every key.

use std::ops::Deref;

use super::blame::{self, show};
use super::lists::{By, Walk};
use super::own::{External, externals};
use super::rows::Row;
use super::unknown::{Bounds, Name, Overtaken};
use super::{Checker, Event, Kind, Recency};
use crate::Violation;
use crate::history::{Micro, Outcome, Predicate, Transaction};

/// With more writers of unknown outcome in one key than this, nothing is concluded from a read that shows none of them.
const CROWD: usize = 64;

impl<T: Deref<Target = Transaction> + Clone> Checker<T> {
    /// Replays the next event.
    pub(super) fn replay(&mut self, event: Event<T>) {
        let Event { position, kind, transaction, .. } = event;
        let result = match kind {
            Kind::Commit => self.commit(&transaction, position),
            Kind::Snapshot => self.observe(&transaction, position),
        };
        if let Err(violation) = result {
            self.violation = Some(violation);
        }
    }

    fn commit(&mut self, transaction: &T, commit: u64) -> Result<(), Violation> {
        let id = transaction.id;
        if let Some((_, other)) = self.last_commit.filter(|(last, _)| *last == commit) {
            let message = format!("T{other} and T{id} both committed at {commit}");
            return Err(blame::violation("commit-twice", message, transaction));
        }
        self.last_commit = Some((commit, id));
        self.positions.take(commit);
        if self.options.serial && transaction.outcome == Outcome::Ok && !transaction.initial {
            self.observe(transaction, commit.saturating_sub(1)).map_err(|violation| match transaction.snapshot {
                None => violation,
                Some(_) => Violation {
                    anomaly: "order-mismatch".into(),
                    message: format!(
                        "T{id} committed at {commit}, where what it read does not hold any more: {}",
                        violation.message
                    ),
                    ..violation
                },
            })?;
        }
        for micro in &transaction.operations {
            match micro {
                Micro::Write { key, value } => self.write(transaction, *key, *value, commit)?,
                Micro::Append { key, element } => self.append(transaction, *key, *element, commit)?,
                Micro::Read { .. } | Micro::ReadList { .. } | Micro::ReadRows { .. } => {}
            }
        }
        Ok(())
    }

    fn write(&mut self, transaction: &T, key: u64, value: Option<i64>, commit: u64) -> Result<(), Violation> {
        if let Some(row) = self.rows.get(key).filter(|row| row.commit != commit) {
            self.first_committer_wins(transaction, commit, row.commit, || (format!("row {key}"), row.writer.id))?;
        }
        if let Some(pending) = self.rows.pending.get_mut(&key) {
            let mut writers = std::mem::take(&mut pending.writers);
            let result = self.overtake(&mut writers, |(name, _)| *name, transaction, commit, false);
            if writers.is_empty() {
                self.rows.pending.remove(&key);
            } else if let Some(pending) = self.rows.pending.get_mut(&key) {
                pending.writers = writers;
            }
            result.map_err(|name| self.overwritten(name, transaction, &format!("row {key}"), commit))?;
        }
        self.rows.set(key, Row { commit, value, writer: transaction.clone() });
        Ok(())
    }

    fn append(&mut self, transaction: &T, key: u64, element: i64, commit: u64) -> Result<(), Violation> {
        if let Some(list) = self.lists.get_mut(&key).filter(|list| list.commit != commit) {
            let known = list.pieces.iter().rev().find(|piece| matches!(piece.by, By::Known(_))).map(|piece| piece.id);
            let (last, name) = (list.commit, || format!("list {key}"));
            let (mut pending, mut shown) = (std::mem::take(&mut list.pending), std::mem::take(&mut list.shown));
            if let Some(known) = known {
                self.first_committer_wins(transaction, commit, last, || (name(), known))?;
            }
            let result = self
                .overtake(&mut pending, |(name, _)| *name, transaction, commit, true)
                .and_then(|()| self.overtake(&mut shown, |name| *name, transaction, commit, false));
            result.map_err(|other| self.overwritten(other, transaction, &name(), commit))?;
            if let Some(list) = self.lists.get_mut(&key) {
                (list.pending, list.shown) = (pending, shown);
            }
        }
        self.lists.entry(key).or_default().append(element, commit, transaction.id);
        Ok(())
    }

    fn first_committer_wins(
        &self,
        transaction: &T,
        commit: u64,
        before: u64,
        key: impl FnOnce() -> (String, u64),
    ) -> Result<(), Violation> {
        if !self.options.first_committer_wins {
            return Ok(());
        }
        let Some(snapshot) = transaction.snapshot.filter(|snapshot| *snapshot < before) else { return Ok(()) };
        let (key, other) = key();
        let message = format!(
            "T{} wrote {key} at {commit} from snapshot {snapshot}, though T{other} wrote it at {before}",
            transaction.id
        );
        Err(blame::violation("lost-update", message, transaction))
    }

    /// Lets a known writer overwrite those of unknown outcome in one key, and drops those that do not matter there any
    /// more; in a list, one that committed before still does until a read shows it.
    fn overtake<W>(
        &mut self,
        writers: &mut Vec<W>,
        name: impl Fn(&W) -> Name,
        transaction: &T,
        commit: u64,
        hidden: bool,
    ) -> Result<(), Name> {
        let snapshot = transaction.snapshot.unwrap_or(commit.saturating_sub(1));
        let mut contradiction = None;
        let conflicts = self.options.first_committer_wins;
        writers.retain(|writer| {
            let name = name(writer);
            match self.unknown.overtake(name, (snapshot, commit), conflicts, &self.positions) {
                Overtaken::Open => true,
                Overtaken::Before if hidden => true,
                Overtaken::Before => {
                    self.unknown.leave(name);
                    false
                }
                Overtaken::Never => {
                    self.unknown.forget(name);
                    false
                }
                Overtaken::Contradiction => {
                    contradiction.get_or_insert(name);
                    true
                }
            }
        });
        contradiction.map_or(Ok(()), Err)
    }

    fn overwritten(&self, other: Name, transaction: &T, key: &str, commit: u64) -> Violation {
        let snapshot = transaction.snapshot.unwrap_or(commit.saturating_sub(1));
        let (who, evidence) = match self.unknown.get(other) {
            Some(writer) => (format!("T{}", writer.transaction.id), vec![&*writer.transaction, &**transaction]),
            None => ("another".to_owned(), vec![&**transaction]),
        };
        let message = format!(
            "T{} wrote {key} at {commit} from snapshot {snapshot}, though {who}, whose write was seen, can only have \
             committed it between",
            transaction.id
        );
        blame::with("lost-update", message, &evidence, transaction)
    }

    /// Holds everything that an acknowledged transaction read against what was committed up to `position`.
    fn observe(&mut self, transaction: &T, position: u64) -> Result<(), Violation> {
        let mut comparisons = 0;
        let external = externals(transaction, &mut comparisons);
        self.comparisons += comparisons;
        let external = external?;
        if self.unknown.is_empty() {
            return external.iter().try_for_each(|read| self.external(transaction, read, position));
        }
        // First what shows that a writer of unknown outcome has committed, then what it must show as well.
        let (plain, strange): (Vec<_>, Vec<_>) = external.iter().partition(|read| self.newest(read));
        strange.into_iter().chain(plain).try_for_each(|read| self.external(transaction, read, position))
    }

    /// Whether a read shows what known writers left, or cannot show more.
    fn newest(&self, read: &External) -> bool {
        match read {
            External::Row(key, value) => self.rows.get(*key).and_then(|row| row.value) == *value,
            External::List(key, elements) => {
                self.lists.get(key).map_or(&[][..], |list| list.content.as_slice()) == *elements
            }
            External::Rest { .. } => true,
        }
    }

    fn external(&mut self, transaction: &T, read: &External, position: u64) -> Result<(), Violation> {
        match read {
            External::Row(key, value) => {
                if self.explained(transaction, *key, position, |found| found == *value) {
                    Ok(())
                } else {
                    Err(self.wrong_row(transaction, *key, *value, position))
                }
            }
            External::List(key, elements) => self.list(transaction, *key, elements, position),
            External::Rest { predicate, except } => self.rest(transaction, predicate, except, position),
        }
    }

    /// Whether a row can have had a value that `fits` at `position`, and what follows for writers of unknown outcome.
    fn explained(&mut self, reader: &T, key: u64, position: u64, fits: impl Fn(Option<i64>) -> bool) -> bool {
        let (base, known) = self.rows.get(key).map_or((0, None), |row| (row.commit, row.value));
        let Some(pending) = self.rows.pending.get(&key) else { return fits(known) };
        if fits(known) && pending.writers.len() > CROWD {
            return true;
        }
        let replaced = self.replaced(key, base, position).is_some();
        let mut explanations = pending
            .writers
            .iter()
            .filter(|(_, value)| fits(*value))
            .filter_map(|(name, _)| Some((*name, self.window(*name, reader, base, pending.clean, position)?)))
            .filter(|(name, bounds)| {
                // Not if another one is known to have overwritten it.
                pending.writers.iter().all(|(other, _)| {
                    other == name || self.unknown.seen(*other).is_none_or(|seen| !seen.within(bounds.upto, position))
                })
            });
        let (first, second) = (explanations.next(), explanations.next());
        drop(explanations);
        if !replaced && fits(known) {
            // Nobody of unknown outcome has committed since the newest known commit.
            return first.is_some() || self.nobody(key, base, position);
        }
        match (first, second) {
            (None, _) => false,
            (Some((name, bounds)), None) => self.unknown.see(name, bounds, &self.positions),
            (Some(_), Some(_)) => true,
        }
    }

    /// Notes that no writer of unknown outcome committed a row after `base` and up to `position`.
    fn nobody(&mut self, key: u64, base: u64, position: u64) -> bool {
        let Some(pending) = self.rows.pending.get_mut(&key) else { return true };
        pending.clean = pending.clean.max(position);
        let writers = pending.writers.iter();
        writers
            .fold(true, |possible, (name, _)| self.unknown.absent(*name, base, position, &self.positions) && possible)
    }

    /// Who of unknown outcome has certainly replaced the version of a row that was committed at `base`.
    fn replaced(&self, key: u64, base: u64, position: u64) -> Option<Name> {
        let writers = &self.rows.pending.get(&key)?.writers;
        let certain = |name: Name| self.unknown.seen(name).is_some_and(|seen| seen.within(base, position));
        writers.iter().map(|(name, _)| *name).find(|name| certain(*name))
    }

    /// Where a writer of unknown outcome may have committed so that `reader` saw it at `position`, if the newest known
    /// commit is at `base`, and none of unknown outcome is after it up to `clean`.
    fn window(&self, name: Name, reader: &T, base: u64, clean: u64, position: u64) -> Option<Bounds> {
        let writer = self.unknown.get(name)?;
        let invoked = self.options.recency != Recency::RealTime
            || reader.complete.is_none_or(|complete| writer.transaction.invoke <= complete);
        // First committer wins: it saw the version it replaced.
        let stale =
            self.options.first_committer_wins && writer.transaction.snapshot.is_some_and(|snapshot| snapshot < base);
        let bounds = writer.bounds.and(Bounds { after: base.max(clean), upto: position });
        (invoked && !stale && self.positions.free(bounds.after, bounds.upto)).then_some(bounds)
    }

    fn wrong_row(&self, reader: &T, key: u64, value: Option<i64>, position: u64) -> Violation {
        let anomaly = self.wrong_value(reader, key, value, position);
        let base = self.rows.get(key);
        let (commit, known) = base.map_or((0, None), |row| (row.commit, row.value));
        let by = self.replaced(key, commit, position).and_then(|name| self.unknown.get(name));
        let (instead, by) = match (by, base) {
            (Some(by), _) => {
                (format!("but T{} had replaced {}", by.transaction.id, show(known)), Some(&*by.transaction))
            }
            (None, Some(row)) => {
                (format!("where T{} had left {} at {commit}", row.writer.id, show(known)), Some(&*row.writer))
            }
            (None, None) => ("where nobody had written it".to_owned(), None),
        };
        let message = format!("T{} read {} from row {key} at snapshot {position}, {instead}", reader.id, show(value));
        let evidence: Vec<&Transaction> = [Some(&**reader), by].into_iter().flatten().collect();
        blame::with(anomaly, message, &evidence, reader)
    }

    /// Looks for rows that match a predicate and were not in the answer. `except` are the rows, ascending, that were, or
    /// that the reader knows itself.
    fn rest(&mut self, reader: &T, predicate: &Predicate, except: &[u64], position: u64) -> Result<(), Violation> {
        let matching = self.rows.matching(predicate);
        self.comparisons += matching.len() as u64;
        let mut missing = matching.into_keys().find(|key| except.binary_search(key).is_err());
        if missing.is_none() {
            let doubtful: Vec<u64> = self.rows.pending.keys().copied().collect();
            missing = doubtful.into_iter().filter(|key| except.binary_search(key).is_err()).find(|key| {
                self.comparisons += 1;
                !self.explained(reader, *key, position, |found| !predicate.matches(found))
            });
        }
        let Some(key) = missing else { return Ok(()) };
        let row = self.rows.get(key);
        let message = format!(
            "T{} asked for the rows that match {predicate:?} at snapshot {position} and did not get row {key}, which \
             {}",
            reader.id,
            row.map_or("a writer of unknown outcome has made match".to_owned(), |row| format!(
                "T{} had left at {} with {}",
                row.writer.id,
                row.commit,
                show(row.value)
            ))
        );
        let evidence: Vec<&Transaction> =
            [Some(&**reader), row.map(|row| &*row.writer)].into_iter().flatten().collect();
        Err(blame::with("predicate-read-miss", message, &evidence, reader))
    }

    fn list(&mut self, reader: &T, key: u64, elements: &[i64], position: u64) -> Result<(), Violation> {
        let fail = |anomaly: &str, message: String| {
            let message = format!("T{} read {elements:?} from list {key} at snapshot {position}: {message}", reader.id);
            Err(blame::violation(anomaly, message, reader))
        };
        let Some(list) = self.lists.get(&key) else {
            let Some(element) = elements.first() else { return Ok(()) };
            let (anomaly, message) = self.wrong_element(key, *element, position);
            return fail(anomaly, message);
        };
        let mut shown = Vec::new();
        if list.content != elements {
            let walk = list.walk(elements, position);
            let at = |piece: usize| match list.pieces[piece].by {
                By::Known(commit) => format!("the append of T{} at {commit}", list.pieces[piece].id),
                By::Seen => format!("the append of T{}, which an earlier snapshot holds,", list.pieces[piece].id),
            };
            match walk {
                Walk::Shows(found) => shown = found,
                Walk::Lost(piece) => return fail("lost-append", format!("{} is missing", at(piece))),
                Walk::Ambiguous(place) => {
                    let reason = format!(
                        "element {} of list {key} was appended more than once, and one of its writers may not have \
                         committed",
                        elements[place]
                    );
                    self.gave_up.get_or_insert(reason);
                    return Ok(());
                }
                Walk::Strange(place, expected) => {
                    let element = elements[place];
                    if elements[..place].contains(&element) {
                        return fail("duplicate-element", format!("{element} is there twice"));
                    }
                    let owner = (0..list.pieces.len()).find(|piece| list.elements(*piece).contains(&element));
                    let Some(owner) = owner else {
                        let (anomaly, message) = self.wrong_element(key, element, position);
                        return fail(anomaly, message);
                    };
                    let missing = expected.filter(|piece| *piece < owner);
                    return match missing {
                        Some(piece)
                            if matches!(list.pieces[piece].by, By::Seen) && {
                                let all = list.elements(piece);
                                elements.windows(all.len()).any(|part| part == all)
                            } =>
                        {
                            fail("impossible-read", format!("{} was before {element}", at(piece)))
                        }
                        Some(piece) => fail("lost-append", format!("{} is not before {element}", at(piece))),
                        None => {
                            fail("G1b", format!("{element} is not where the appends of T{} are", list.pieces[owner].id))
                        }
                    };
                }
            }
        }
        let mut ids = Vec::with_capacity(shown.len());
        for one in &shown {
            let name = list.pending[one.pending].0;
            let Some(writer) = self.unknown.get(name) else {
                return fail("impossible-read", "one of its writers cannot have committed".to_owned());
            };
            let (id, bounds, invoke) =
                (writer.transaction.id, writer.bounds.and(one.bounds), writer.transaction.invoke);
            if self.options.recency == Recency::RealTime && reader.complete.is_some_and(|complete| invoke > complete) {
                return fail("future-read", format!("the append of T{id} was not invoked yet"));
            }
            if !self.unknown.see(name, one.bounds, &self.positions) {
                let message = format!(
                    "T{id} cannot have committed between {} and {}, where its append must be",
                    bounds.after, bounds.upto
                );
                return fail("impossible-read", message);
            }
            ids.push(id);
        }
        if list.pending.len() > shown.len() && list.pending.len() <= CROWD {
            for (name, _) in &list.pending {
                if shown.iter().all(|one| list.pending[one.pending].0 != *name)
                    && !self.unknown.absent(*name, 0, position, &self.positions)
                    && let Some(writer) = self.unknown.get(*name)
                {
                    let (id, upto) = (writer.transaction.id, writer.bounds.upto);
                    return fail(
                        "lost-append",
                        format!("the append of T{id}, which committed at {upto} at the latest, is missing"),
                    );
                }
            }
        }
        if !list.pending.is_empty()
            && let Some(list) = self.lists.get_mut(&key)
        {
            list.clean = list.clean.max(position);
            if !shown.is_empty() {
                list.show(&shown, &ids);
            }
        }
        Ok(())
    }
}
