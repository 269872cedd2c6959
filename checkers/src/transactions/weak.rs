//! Read committed, read atomic and causal: what [saturation](super::saturation) is told, and what it tells.
//!
//! Who read a list saw everybody who appended one of its elements. All but the last of them wrote something that nobody
//! else can have written, so each is told as a read of an object of its own.

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::anomaly::{Anomaly, Class, Edge, Name, Object, Through};
use super::facts::{Facts, NONE, Read, UNSURE};
use super::graph::{Graph, INITIAL, Labels, Link, RW, RW_PREDICATE, SESSION, WR, WR_PREDICATE, WW};
use super::saturation::{Observations, Place, Saturated, Seen, Step, Weak, saturate};
use super::search::{Arc, Kind};
use crate::history::{Micro, Outcome};

/// What saturation is told.
pub(super) fn observations(facts: &Facts, graph: &Graph) -> Observations {
    let transactions = &facts.history.transactions;
    let mut clients: HashMap<u64, u32, FxBuildHasher> = HashMap::default();
    let mut told = Observations::default();
    for (at, transaction) in (0_u32..).zip(transactions) {
        let count = clients.len() as u32;
        let committed = facts.committed[at as usize];
        // Who may read the past has no place in a session.
        let alone = !committed || transaction.historic || transaction.initial;
        let session = if alone { u32::MAX } else { *clients.entry(transaction.client).or_insert(count) };
        told.sessions.resize(clients.len(), Vec::new());
        told.reads.push(if committed { seen(facts, at) } else { Vec::new() });
        let mut writes: Vec<u32> = Vec::new();
        if committed {
            writes.extend(facts.writes_of(at).iter().map(|write| write.object));
            writes.retain(|object| !facts.versions[*object as usize].ambiguous);
            writes.sort_unstable();
            writes.dedup();
        }
        told.writes.push(writes);
        if transaction.initial && committed && told.initial.is_none() {
            told.initial = Some(at);
        }
        let before = told.sessions.get(session as usize).map_or(0, Vec::len) as u32;
        told.places.push(Place { session, before });
        if transaction.outcome == Outcome::Ok && !alone {
            told.sessions[session as usize].push(at);
        }
    }
    // One more session, where nothing is.
    let nowhere = told.sessions.len() as u32;
    told.sessions.push(Vec::new());
    for place in told.places.iter_mut().filter(|place| place.session == u32::MAX) {
        *place = Place { session: nowhere, before: 0 };
    }
    for link in &graph.links {
        let list = || matches!(facts.objects[link.object as usize], Object::List(_));
        let kind = match link.label {
            WW if list() => Kind::Ww,
            INITIAL if told.initial != Some(link.from) => Kind::Session,
            _ => continue,
        };
        told.known.push(Arc { from: link.from, to: link.to, kind, tag: link.object });
    }
    told
}

/// Everything that a transaction saw, in the order of its program.
fn seen(facts: &Facts, reader: u32) -> Vec<Seen> {
    let reads = facts.reads_of(reader);
    let mut all: Vec<Seen> = Vec::with_capacity(reads.len());
    let (mut next, mut written) = (0, Vec::new());
    for (place, micro) in facts.transaction(reader).operations.iter().enumerate() {
        let object = facts.object_at(reader, place);
        let here = next;
        while reads.get(next).is_some_and(|read| read.place == place as u32) {
            next += 1;
        }
        let here = &reads[here..next];
        // Only what changes is noted as a read of its own.
        let repeated = |object: u32| {
            let mut first = reads.iter().take_while(|read| read.place < place as u32);
            first.find(|read| read.object == object).filter(|_| here.iter().all(|read| read.object != object))
        };
        let known: Vec<&Read> = match micro {
            Micro::Write { .. } | Micro::Append { .. } => {
                written.push(object);
                continue;
            }
            Micro::Read { .. } => repeated(object).filter(|_| !written.contains(&object)).into_iter().collect(),
            // A list shows what others appended also to who appended to it.
            Micro::ReadList { .. } => repeated(object).into_iter().collect(),
            Micro::ReadRows { rows, .. } => {
                let rows = rows.iter().filter_map(|(key, _)| facts.row(*key));
                rows.filter(|row| !written.contains(row)).filter_map(repeated).collect()
            }
        };
        for read in known.into_iter().chain(here).filter(|read| read.version != UNSURE) {
            let versions = &facts.versions[read.object as usize];
            let write = facts.writes.get(read.version as usize);
            if let (Object::List(_), Some(write)) = (facts.objects[read.object as usize], write) {
                let before = &versions.order[..write.position as usize];
                let others = before.iter().map(|write| (*write, facts.writes[*write as usize].writer));
                all.extend(others.filter(|(_, by)| *by != write.writer && *by != reader).map(|(write, by)| Seen {
                    step: place as u32,
                    object: facts.objects.len() as u32 + write,
                    writer: Some(by),
                }));
            }
            let writer = write.map(|write| write.writer);
            if writer != Some(reader) {
                all.push(Seen { step: place as u32, object: read.object, writer });
            }
        }
    }
    all
}

/// The arcs that steps take, or rest on.
fn arcs(steps: &[Step]) -> impl Iterator<Item = &Arc> {
    let because = steps.iter().flat_map(|step| step.inferred.iter().flat_map(|(_, arcs)| arcs));
    steps.iter().map(|step| &step.arc).chain(because)
}

/// Whether the order of sessions has a part in a contradiction.
pub(super) fn through(told: &Observations, steps: &[Step]) -> Through {
    let sessions = arcs(steps).any(|arc| arc.kind == Kind::Session && told.initial != Some(arc.from));
    if sessions { Through::Session } else { Through::Data }
}

impl Facts<'_> {
    /// Holds the observations against a level, and notes what is wrong. Says whether nothing is.
    pub(super) fn saturated(&mut self, told: &Observations, level: Weak) -> bool {
        let Saturated::Impossible(steps) = saturate(told, level) else { return true };
        let inferred = steps.iter().any(|step| step.inferred.is_some() || step.arc.kind == Kind::Rw);
        let reads = arcs(&steps).any(|arc| arc.kind == Kind::Wr);
        let class = match level {
            _ if !inferred && reads => Class::G1c,
            _ if !inferred => Class::G0,
            Weak::ReadCommitted => Class::GMonotonic,
            Weak::ReadAtomic => Class::FracturedRead,
            Weak::Causal => Class::Causality,
        };
        let name = Name::Cycle { class, predicate: false, through: through(told, &steps) };
        if self.found.wanted(name) {
            let anomaly = self.contradiction(told, &steps, name);
            self.found.anomalies.push(anomaly);
        }
        false
    }

    /// Tells steps that contradict each other.
    pub(super) fn contradiction(&self, told: &Observations, steps: &[Step], name: Name) -> Anomaly {
        let edges: Vec<Edge> = steps.iter().filter_map(|step| self.edge_of(told, &step.arc)).collect();
        let mut anomaly = self.cycle(name, edges);
        for Step { arc, inferred } in steps {
            let Some((reader, because)) = inferred else { continue };
            let [one, two, reader] = [arc.from, arc.to, *reader].map(|at| self.words.transaction(at));
            let object = self.words.object(self.objects[arc.tag as usize]);
            let mut known: Vec<String> =
                because.iter().filter_map(|arc| self.edge_of(told, arc)).map(|edge| self.sentence(&edge)).collect();
            known.push(format!(
                "so {one} wrote {object} before {two}, since {reader} saw {one} and read {two}'s {object}"
            ));
            anomaly.evidence.extend(known);
        }
        anomaly
    }

    /// An arc of saturation as an edge.
    fn edge_of(&self, told: &Observations, arc: &Arc) -> Option<Edge> {
        let written = |by: u32| {
            let last = self.writes_of(by).iter().rposition(|write| write.object == arc.tag)?;
            Some(self.written_by[by as usize] + last as u32)
        };
        let read = |by: u32| self.reads_of(by).iter().any(|read| read.object == arc.tag);
        let (label, object, version): (Labels, u32, u32) = match arc.kind {
            Kind::Session if told.initial == Some(arc.from) => (INITIAL, NONE, NONE),
            Kind::Session | Kind::RealTime => (SESSION, NONE, NONE),
            Kind::Wr if arc.tag as usize >= self.objects.len() => {
                let write = arc.tag - self.objects.len() as u32;
                (WR, self.writes[write as usize].object, write)
            }
            Kind::Wr => (if read(arc.to) { WR } else { WR_PREDICATE }, arc.tag, written(arc.from)?),
            Kind::Ww => (WW, arc.tag, written(arc.to)?),
            Kind::Rw => (if read(arc.from) { RW } else { RW_PREDICATE }, arc.tag, written(arc.to)?),
        };
        self.edges(&[Link { from: arc.from, to: arc.to, label, object, version }]).pop()
    }
}
