//! Infers which transaction comes before which.
//!
//! For every object: each version's writer before the next one's (ww), each version's writer before its readers (wr), and
//! they before the next version's writer (rw). In a list, appends that no read shows follow the last one that is shown.
//! In a row whose order of versions is not known, only those are linked that hold in every order: who overwrote what it
//! read follows that and all others who read it, and who read the row as it was in the beginning precedes all writers.
//!
//! A row that was not in the answer to a predicate read was in some version that does not match. Along the known order of
//! versions these form runs; if there is one run only, the writer of its first version precedes the reader (unless the
//! row begins with it), and the reader precedes the writer of the version after its last. This is Adya's rule that a
//! predicate read depends on the version that changes the match; an absent row matches nothing, so rows that are not yet
//! there and rows that were deleted need no rule of their own. Several runs are a [doubt](Doubt).

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::anomaly::{Name, Object};
use super::facts::{Facts, NONE, Read, UNSURE, Write};
use super::graph::{INITIAL, Labels, Link, RW, RW_PREDICATE, SESSION, SESSION_COMMIT, THROUGH, WR, WR_PREDICATE, WW};
use crate::history::{Micro, Outcome, Predicate};

/// A read that more than one version explains.
pub(super) struct Doubt {
    pub(super) reader: u32,
    pub(super) object: u32,
    /// Whether it may have found the row as it was before all writes.
    pub(super) initial: bool,
    /// Which writes may have left what it found.
    pub(super) versions: Vec<u32>,
}

/// Everything that comes before something else.
pub(super) struct Links {
    pub(super) all: Vec<Link>,
    /// Transactions and points.
    pub(super) nodes: usize,
    pub(super) doubts: Vec<Doubt>,
    /// Whether somebody read by a predicate.
    pub(super) predicates: bool,
}

impl Links {
    /// What the facts say, and the order of clients.
    pub(super) fn new(facts: &mut Facts) -> Self {
        let nodes = facts.history.transactions.len();
        let all = Vec::with_capacity(2 * facts.reads.len() + facts.writes.len() + nodes);
        let mut links = Self { all, nodes, doubts: Vec::new(), predicates: !facts.predicates.is_empty() };
        links.versions(facts);
        links.reads(facts);
        links.predicates(facts);
        links.sessions(facts);
        links
    }

    fn push(&mut self, from: u32, to: u32, label: Labels, object: u32, version: u32) {
        if from != to {
            self.all.push(Link { from, to, label, object, version });
        }
    }

    /// Writers over writers, and what no read of a list shows.
    fn versions(&mut self, facts: &Facts) {
        let writer = |write: u32| facts.writes[write as usize].writer;
        // Who read the last version that is known of its object; only where others follow in an unknown order.
        let mut readers: HashMap<u32, Vec<u32>, FxBuildHasher> = HashMap::default();
        for (object, versions) in (0_u32..).zip(&facts.versions) {
            for pair in versions.order.windows(2) {
                self.push(writer(pair[0]), writer(pair[1]), WW, object, pair[1]);
            }
            if let (Some(&last), Object::List(_)) = (versions.order.last(), facts.objects[object as usize]) {
                for &write in &versions.loose {
                    self.push(writer(last), writer(write), WW, object, write);
                }
            }
            if !versions.loose.is_empty() {
                readers.insert(object, Vec::new());
            }
        }
        if readers.is_empty() {
            return;
        }
        for read in &facts.reads {
            let last = facts.versions[read.object as usize].order.last().copied().unwrap_or(NONE);
            if read.version == last
                && let Some(readers) = readers.get_mut(&read.object)
            {
                readers.push(read.reader);
            }
        }
        for (object, versions) in (0_u32..).zip(&facts.versions) {
            if let Some(readers) = readers.get(&object).filter(|readers| !readers.is_empty()) {
                let mut loose: Vec<(u32, u32)> = versions.loose.iter().map(|write| (writer(*write), *write)).collect();
                loose.sort_unstable();
                loose.dedup_by_key(|(writer, _)| *writer);
                self.before_loose(object, readers, &loose);
            }
        }
    }

    /// Links all who read the last known version of an object with all who wrote it after that.
    fn before_loose(&mut self, object: u32, readers: &[u32], loose: &[(u32, u32)]) {
        let writes = |reader: u32| loose.binary_search_by_key(&reader, |(writer, _)| *writer).ok();
        if loose.len() * readers.len() <= 2 * (loose.len() + readers.len()) {
            for &reader in readers {
                for &(writer, write) in loose {
                    self.push(reader, writer, RW, object, write);
                }
            }
            return;
        }
        // Over a point, so that the links are no more than readers and writers; but nobody precedes itself.
        let (updaters, others): (Vec<u32>, Vec<u32>) =
            readers.iter().copied().partition(|reader| writes(*reader).is_some());
        let point = self.point();
        for &reader in &others {
            self.push(reader, point, RW, object, NONE);
        }
        for &(writer, write) in loose {
            self.push(point, writer, THROUGH, object, write);
        }
        let (Some(&first), Some(&last)) = (updaters.first(), updaters.last()) else { return };
        let point = self.point();
        for &reader in &updaters {
            self.push(reader, point, RW, object, NONE);
        }
        for &(writer, write) in loose {
            if !updaters.contains(&writer) {
                self.push(point, writer, THROUGH, object, write);
            }
        }
        // Two updaters of one version contradict each other, and any cycle of them says so.
        let cyclic = updaters.windows(2).map(|pair| (pair[0], pair[1])).chain([(last, first)]);
        for (one, two) in cyclic.flat_map(|(one, two)| [(one, two), (two, one)]) {
            if let Some(at) = writes(two) {
                self.push(one, two, RW, object, loose[at].1);
            }
        }
    }

    fn point(&mut self) -> u32 {
        self.nodes += 1;
        self.nodes as u32 - 1
    }

    /// Writers before readers, and readers before who overwrote what they read.
    fn reads(&mut self, facts: &Facts) {
        // By version of a row without a known order: who overwrote it having read it.
        let mut updates: Vec<(u32, u32, u32)> = Vec::new();
        for read in &facts.reads {
            let &Read { reader, object, version, own, first, .. } = read;
            let versions = &facts.versions[object as usize];
            if version == UNSURE {
                continue;
            }
            if let Some(write) = facts.writes.get(version as usize) {
                self.push(write.writer, reader, WR, object, version);
            }
            let position = facts.writes.get(version as usize).map_or(NONE, |write| write.position);
            if version != NONE && position == NONE {
                if own != NONE && first {
                    updates.push((version, reader, own));
                }
            } else if let Some(&next) = versions.order.get(position.wrapping_add(1) as usize) {
                self.push(reader, facts.writes[next as usize].writer, RW, object, next);
            }
        }
        if updates.is_empty() {
            return;
        }
        updates.sort_unstable();
        for read in &facts.reads {
            let from = updates.partition_point(|(version, ..)| *version < read.version);
            let over =
                updates[from..].iter().take_while(|(version, ..)| *version == read.version && read.version != NONE);
            for &(version, updater, own) in over {
                if updater == read.reader {
                    self.push(facts.writes[version as usize].writer, updater, WW, read.object, own);
                } else {
                    self.push(read.reader, updater, RW, read.object, own);
                }
            }
        }
    }

    /// What the absence of rows from the answers to predicate reads says.
    fn predicates(&mut self, facts: &mut Facts) {
        if facts.predicates.is_empty() {
            return;
        }
        let rows: Vec<u32> = (0_u32..)
            .zip(&facts.objects)
            .filter(|(_, object)| matches!(object, Object::Row(_)))
            .map(|(at, _)| at)
            .collect();
        let mut answered = vec![NONE; facts.objects.len()];
        let mut own: Vec<(u32, u32)> = vec![(NONE, NONE); facts.objects.len()];
        for at in 0..facts.predicates.len() {
            let (reader, place) = facts.predicates[at];
            let transaction = facts.transaction(reader);
            let Micro::ReadRows { predicate, rows: answer } = &transaction.operations[place as usize] else {
                unreachable!("a predicate read is one")
            };
            for (key, _) in answer {
                if let Some(object) = facts.row(*key) {
                    answered[object as usize] = at as u32;
                }
            }
            let mut write = facts.written_by[reader as usize];
            for (earlier, micro) in transaction.operations[..place as usize].iter().enumerate() {
                if matches!(micro, Micro::Write { .. } | Micro::Append { .. }) {
                    own[facts.object_at(reader, earlier) as usize] = (at as u32, write);
                    write += 1;
                }
            }
            for &object in rows.iter().filter(|object| answered[**object as usize] != at as u32) {
                facts.compared += 1;
                match own[object as usize] {
                    (by, write) if by == at as u32 => misses_own(facts, reader, place, *predicate, write),
                    _ if facts.versions[object as usize].ambiguous => {}
                    _ => self.absent(facts, reader, object, *predicate),
                }
            }
        }
    }

    /// A row is not in the answer to a predicate read.
    fn absent(&mut self, facts: &Facts, reader: u32, object: u32, predicate: Predicate) {
        let versions = &facts.versions[object as usize];
        let matches = |write: u32| predicate.matches(facts.writes[write as usize].value);
        let writer = |write: u32| facts.writes[write as usize].writer;
        if !versions.loose.is_empty() {
            // Nothing is known of the order.
            if !versions.loose.iter().any(|write| matches(*write) && writer(*write) != reader) {
                return;
            }
            let (initial, fitting) = facts.candidates(reader, object, |value| !predicate.matches(value));
            if fitting.is_empty() {
                for &write in versions.loose.iter().filter(|write| matches(**write)) {
                    self.push(reader, writer(write), RW_PREDICATE, object, write);
                }
            } else {
                self.doubts.push(Doubt { reader, object, initial, versions: fitting });
            }
            return;
        }
        // What the reader wrote itself, and all after it, it has not read.
        let end = versions.order.iter().position(|write| writer(*write) == reader).unwrap_or(versions.order.len());
        let order = &versions.order[..end];
        let mut runs: Vec<(Option<usize>, usize)> = Vec::new();
        // The version before all writes matches nothing.
        let mut open = Some(None);
        for (at, &write) in order.iter().enumerate() {
            if matches(write) {
                runs.extend(open.take().map(|from| (from, at)));
            } else {
                open.get_or_insert(Some(at));
            }
        }
        runs.extend(open.map(|from| (from, order.len())));
        // What the initial state holds, everybody sees.
        if order.first().is_some_and(|write| facts.transaction(writer(*write)).initial && matches(*write))
            && runs.len() > 1
        {
            runs.remove(0);
        }
        if let [(from, to)] = *runs.as_slice() {
            if let Some(from) = from {
                self.push(writer(order[from]), reader, WR_PREDICATE, object, order[from]);
            }
            if let Some(&next) = versions.order.get(to) {
                self.push(reader, writer(next), RW_PREDICATE, object, next);
            }
            return;
        }
        let (initial, fitting) = facts.candidates(reader, object, |value| !predicate.matches(value));
        let versions = fitting.into_iter().filter(|write| order.contains(write)).collect();
        self.doubts.push(Doubt { reader, object, initial, versions });
    }

    /// The order of clients, and what precedes all.
    fn sessions(&mut self, facts: &mut Facts) {
        for at in 0..facts.reads.len() {
            let &Read { reader, object, version, .. } = &facts.reads[at];
            if version != UNSURE || !matches!(facts.objects[object as usize], Object::Row(_)) {
                continue;
            }
            let (initial, versions) = facts.candidates(reader, object, |value| value.is_none());
            if versions.len() + usize::from(initial) > 1 {
                self.doubts.push(Doubt { reader, object, initial, versions });
            }
        }
        let transactions = &facts.history.transactions;
        let initial = |at: u32| facts.committed[at as usize] && transactions[at as usize].initial;
        for from in (0..transactions.len() as u32).filter(|at| initial(*at)) {
            for to in (0..transactions.len() as u32).filter(|to| facts.committed[*to as usize] && !initial(*to)) {
                self.push(from, to, INITIAL, NONE, NONE);
            }
        }
        // By client: the last transaction that certainly was over and read no past snapshot, and those after it that
        // did.
        let mut clients: HashMap<u64, (u32, Vec<u32>), FxBuildHasher> = HashMap::default();
        for (at, transaction) in (0_u32..).zip(transactions) {
            if !facts.committed[at as usize] || transaction.initial {
                continue;
            }
            let (last, historic) = clients.entry(transaction.client).or_insert((NONE, Vec::new()));
            if transaction.historic {
                let before = historic.last().copied().unwrap_or(*last);
                if before != NONE {
                    self.push(before, at, SESSION_COMMIT, NONE, NONE);
                }
            } else {
                if *last != NONE {
                    self.push(*last, at, SESSION, NONE, NONE);
                }
                for &before in &*historic {
                    self.push(before, at, SESSION, NONE, NONE);
                }
            }
            // Who does not know the outcome may be overtaken by it.
            if transaction.outcome == Outcome::Ok {
                if transaction.historic {
                    historic.push(at);
                } else {
                    *last = at;
                    historic.clear();
                }
            }
        }
    }
}

/// The reader wrote a row before it asked for such rows, and did not get it.
fn misses_own(facts: &mut Facts, reader: u32, place: u32, predicate: Predicate, write: u32) {
    let &Write { object, value, .. } = &facts.writes[write as usize];
    if predicate.matches(value) {
        facts.wrong(Name::Internal, &[reader], |facts| {
            let (who, row) = (facts.words.transaction(reader), facts.words.object(facts.objects[object as usize]));
            let message = format!("{who} wrote {} to {row} and did not get it", facts.words.version(value));
            (message, vec![facts.words.shows(reader, place as usize)])
        });
    }
}
