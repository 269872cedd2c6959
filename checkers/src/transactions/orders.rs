//! In which order the versions of each object were written, as far as the history tells.
//!
//! Of a list the longest read tells; committed appends that no read shows stand after it, in an order that is left open.
//! Of a row the order is known if every writer read the version that it overwrote, or if the database reported the
//! commit positions of all its writers and they are to be trusted; otherwise it is [left open](super::undetermined).

use super::anomaly::{Name, Object};
use super::facts::{Facts, NONE, Read, UNSURE, Write};
use crate::history::Micro;

/// What the orders of versions say beside themselves.
#[derive(Default)]
pub(super) struct Orders {
    /// Whether some row's order was taken from commit positions.
    pub(super) trusted: bool,
    /// An update that went by other versions than the one it read, or may have: of which object.
    pub(super) skipped: Option<Object>,
}

impl Facts<'_> {
    /// Puts versions in order, and finds what contradicts it.
    pub(super) fn order(&mut self, positions: bool) -> Orders {
        let mut orders = Orders::default();
        self.collect_versions();
        self.find_absent();
        self.lost_updates();
        self.order_rows(positions, &mut orders);
        for at in 0..self.reads.len() {
            self.hold_against_order(at, &mut orders);
        }
        orders
    }

    /// Gathers committed versions that no read of a list shows, and holds the others against the order in which their
    /// transactions appended them.
    fn collect_versions(&mut self) {
        for write in 0..self.writes.len() as u32 {
            let (writer, object, position) = {
                let write = &self.writes[write as usize];
                (write.writer, write.object, write.position)
            };
            if !self.committed[writer as usize] || self.versions[object as usize].ambiguous {
                continue;
            }
            if matches!(self.objects[object as usize], Object::Row(_)) {
                if self.writes[write as usize].last {
                    self.versions[object as usize].loose.push(write);
                }
                continue;
            }
            if position == NONE {
                self.versions[object as usize].loose.push(write);
                continue;
            }
            let previous = self.writes[write as usize].previous;
            if previous != NONE && self.writes[previous as usize].position > position {
                let reader = self.versions[object as usize].reader;
                self.wrong(Name::IncompatibleOrder, &[reader, writer], |facts| {
                    let [before, after] =
                        [previous, write].map(|write| facts.words.version(facts.writes[write as usize].value));
                    let (who, list) = (facts.words.transaction(writer), facts.objects[object as usize]);
                    let message = format!("{who} appended {before} to {} before {after}", facts.words.object(list));
                    let shows = facts.words.shows_list(reader, list, facts.versions[object as usize].longest);
                    let evidence = vec![message.clone(), shows];
                    (format!("{message}, but the list does not have it there"), evidence)
                });
            }
        }
    }

    /// Finds out which version a read saw that found a row absent which was deleted somewhen, where only one will do.
    fn find_absent(&mut self) {
        if !self.reads.iter().any(|read| read.version == UNSURE) {
            return;
        }
        for at in 0..self.reads.len() {
            let &Read { reader, object, version, .. } = &self.reads[at];
            if version != UNSURE {
                continue;
            }
            let (initial, versions) = self.candidates(reader, object, |value| value.is_none());
            if let ([], true) = (versions.as_slice(), initial) {
                self.reads[at].version = NONE;
            } else if let ([only], false) = (versions.as_slice(), initial) {
                self.reads[at].version = *only;
            }
        }
    }

    /// The versions of a row that a read before the reader's own writes may have seen, by what they hold: whether it may
    /// be the one before all writes, and which others.
    pub(super) fn candidates(&self, reader: u32, object: u32, fits: impl Fn(Option<i64>) -> bool) -> (bool, Vec<u32>) {
        let versions = &self.versions[object as usize];
        let mut initial = fits(None);
        let mut fitting = Vec::new();
        for &write in versions.order.iter().chain(&versions.loose) {
            let Write { writer, value, .. } = self.writes[write as usize];
            initial &= writer == reader || !self.transaction(writer).initial;
            if writer != reader && fits(value) {
                fitting.push(write);
            }
        }
        (initial, fitting)
    }

    /// Finds transactions that updated the same version.
    fn lost_updates(&mut self) {
        let mut updates: Vec<(u32, u32, u32)> = Vec::new();
        for (at, read) in self.reads.iter().enumerate() {
            if read.first && read.own != NONE && read.version != UNSURE {
                updates.push((read.object, read.version, at as u32));
            }
        }
        updates.sort_unstable();
        for pair in updates.windows(2) {
            let ((object, version, one), (other, same, two)) = (pair[0], pair[1]);
            if (object, version) != (other, same) {
                continue;
            }
            let mut reads = [one, two].map(|at| (self.reads[at as usize].reader, self.reads[at as usize].place));
            reads.sort_unstable();
            let object = self.objects[object as usize];
            self.wrong(Name::LostUpdate, &[reads[0].0, reads[1].0], |facts| {
                let [one, two] = reads.map(|(reader, _)| facts.words.transaction(reader));
                let name = facts.words.object(object);
                let message = format!("{one} and {two} updated the same version of {name}");
                let did = if matches!(object, Object::List(_)) { "appended to it" } else { "wrote it" };
                let evidence = [(0, &two), (1, &one)].map(|(at, other)| {
                    let (reader, place) = reads[at];
                    format!("{}, then {did}, as {other} did", facts.words.shows(reader, place as usize))
                });
                (message, evidence.to_vec())
            });
        }
    }

    /// Orders the versions of rows where the order is known.
    fn order_rows(&mut self, positions: bool, orders: &mut Orders) {
        // By the version that was overwritten: who read it first.
        let mut next = vec![NONE; self.writes.len()];
        let mut first = vec![NONE; self.objects.len()];
        let mut torn = vec![false; self.objects.len()];
        for read in &self.reads {
            if !read.first || read.own == NONE || matches!(self.objects[read.object as usize], Object::List(_)) {
                continue;
            }
            let slot = match read.version {
                UNSURE => {
                    torn[read.object as usize] = true;
                    continue;
                }
                NONE => &mut first[read.object as usize],
                version => &mut next[version as usize],
            };
            if *slot != NONE {
                torn[read.object as usize] = true;
            }
            *slot = read.own;
        }
        for object in 0..self.objects.len() {
            if !matches!(self.objects[object], Object::Row(_)) || self.versions[object].loose.is_empty() {
                continue;
            }
            let loose = std::mem::take(&mut self.versions[object].loose);
            let initial: Vec<u32> = loose
                .iter()
                .copied()
                .filter(|write| self.transaction(self.writes[*write as usize].writer).initial)
                .collect();
            let mut order = Vec::with_capacity(loose.len());
            let mut follow = match (initial.as_slice(), loose.as_slice()) {
                (_, [only]) => *only,
                ([initial], _) => *initial,
                ([], _) => first[object],
                _ => NONE,
            };
            while follow != NONE && !torn[object] && order.len() < loose.len() {
                order.push(follow);
                follow = next[follow as usize];
            }
            if let ([initial], [one, two]) = (initial.as_slice(), loose.as_slice()) {
                order = vec![*initial, if one == initial { *two } else { *one }];
            }
            if order.len() < loose.len() && positions {
                let commit = |write: &u32| self.transaction(self.writes[*write as usize].writer).commit;
                let mut reported: Vec<(u64, u32)> =
                    loose.iter().filter_map(|write| Some((commit(write)?, *write))).collect();
                reported.sort_unstable();
                if reported.len() == loose.len() && reported.windows(2).all(|pair| pair[0].0 < pair[1].0) {
                    order = reported.into_iter().map(|(_, write)| write).collect();
                    orders.trusted = true;
                }
            }
            if order.len() == loose.len() {
                for (position, write) in order.iter().enumerate() {
                    self.writes[*write as usize].position = position as u32;
                }
                self.versions[object].order = order;
            } else {
                self.versions[object].loose = loose;
            }
        }
    }

    /// Finds reads of lists between two appends of a transaction, and of the reader's own later appends; and updates of
    /// other versions than were read.
    fn hold_against_order(&mut self, at: usize, orders: &mut Orders) {
        let &Read { reader, object, version, own, place, first } = &self.reads[at];
        if own != NONE && first && version != UNSURE {
            let position = self.writes[own as usize].position;
            let next = self.writes.get(version as usize).map_or(0, |version| version.position.wrapping_add(1));
            if position != next && !(position == NONE && next as usize == self.versions[object as usize].order.len()) {
                orders.skipped = Some(self.objects[object as usize]);
            }
        }
        if matches!(self.objects[object as usize], Object::Row(_)) {
            return;
        }
        if version == UNSURE {
            return;
        }
        let length = self.length(object, version);
        if own != NONE && (self.writes[own as usize].position as usize) < length {
            let Micro::ReadList { elements, .. } = &self.transaction(reader).operations[place as usize] else {
                unreachable!("a read of a list is one")
            };
            let twice = length < elements.len();
            let name = if twice { Name::DuplicateElements } else { Name::FutureRead };
            self.wrong(name, &[reader], |facts| {
                let (who, list) = (facts.words.transaction(reader), facts.words.object(facts.objects[object as usize]));
                let own = facts.words.version(facts.writes[own as usize].value);
                let message = if twice {
                    format!("{who} read its {own} in {list} twice")
                } else {
                    format!("{who} read {own} in {list} before it appended it")
                };
                (message, vec![facts.words.shows(reader, place as usize)])
            });
            // Nothing follows from such a read.
            self.reads[at].version = UNSURE;
            return;
        }
        let Some(&Write { writer, value, last, .. }) = self.writes.get(version as usize) else { return };
        if !last && writer != reader {
            self.wrong(Name::G1b, &[reader, writer], |facts| {
                let [who, by] = [reader, writer].map(|at| facts.words.transaction(at));
                let list = facts.words.object(facts.objects[object as usize]);
                let value = facts.words.version(value);
                let message = format!("{who} read {list} in the middle of the appends of {by}");
                let evidence = vec![
                    format!("{by} appended more to {list} after {value}"),
                    facts.words.shows(reader, place as usize),
                ];
                (message, evidence)
            });
            self.reads[at].version = UNSURE;
        }
    }
}
