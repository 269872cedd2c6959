//! Levels that depend on an order of writes which nobody saw: what the [search](super::search) is told, and what it tells.
//!
//! Rows that were overwritten blindly, and reads that several versions explain, make a search necessary for all levels
//! from snapshot isolation on. Appends that no read shows make it necessary for snapshot isolation only, where two
//! writers of one list must not overlap: any order in which all transactions could have run one by one orders them as
//! well. Likewise they may be ordered freely unless both are in one strongly connected component of the view of
//! transactions, as these can run one after the other; so only such components are told.
//!
//! Real time is told as a chain of points, one wherever an acknowledgement is followed by an invocation.

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::anomaly::{Anomaly, Class, Edge, Name, Object as Place, Through, Why};
use super::facts::{Facts, NONE, UNSURE};
use super::graph::{
    Graph, Labels, Link, RW, RW_PREDICATE, SESSION, SESSION_COMMIT, THROUGH, View, WR, WR_PREDICATE, WW,
};
use super::links::Links;
use super::search::{
    Arc, Contradiction, Decision, Forced, Isolation, Kind, Object, Order, Problem, Refutation, Unsure, Version,
    decide_until,
};

/// A link of real time, between transactions and points.
const TIME: Labels = 1 << 9;

/// The most lines of evidence of one refutation.
const LINES: usize = 40;

/// What a level asks for.
#[derive(Clone, Copy)]
pub(super) struct Question {
    pub(super) isolation: Isolation,
    pub(super) labels: Labels,
    pub(super) timed: bool,
    pub(super) through: Through,
}

/// The answer.
pub(super) enum Answer {
    Possible,
    Impossible(Box<Anomaly>),
    Unknown(String),
}

/// Whether the order of some row's versions, or what some read saw, is left open.
pub(super) fn open_rows(facts: &Facts, links: &Links) -> bool {
    let rows = facts.versions.iter().zip(&facts.objects);
    !links.doubts.is_empty()
        || rows.into_iter().any(|(versions, object)| matches!(object, Place::Row(_)) && !versions.loose.is_empty())
}

/// A problem, and how its numbers are to be read.
struct Told {
    problem: Problem,
    /// By number in the problem: the transaction, or a point beyond them.
    members: Vec<u32>,
    /// The links that are known, by tag beyond those of objects.
    links: Vec<Link>,
}

/// Asks whether there is an order under which a level holds.
///
/// The search takes so many steps at most, and gives up soon after `stop` says so.
pub(super) fn answer(
    facts: &Facts,
    links: &Links,
    graph: &Graph,
    question: Question,
    (budget, stop): (u64, &mut dyn FnMut() -> bool),
) -> Answer {
    let Some(told) = tell(facts, links, graph, question) else { return Answer::Possible };
    match decide_until(&told.problem, question.isolation, budget, stop) {
        Decision::Possible { .. } => {
            // They are told as if nothing bound them to what was before.
            let historic = facts.history.transactions.iter().enumerate();
            let mut historic = historic.filter(|(at, one)| one.historic && facts.committed[*at] && one.writes());
            match historic.next() {
                Some((at, _)) => {
                    let who = facts.words.transaction(at as u32);
                    Answer::Unknown(format!(
                        "{who} may have read the past and wrote, which the search does not know of"
                    ))
                }
                None => Answer::Possible,
            }
        }
        Decision::Impossible(refutation) => {
            Answer::Impossible(Box::new(anomaly(facts, links, &told, question, &refutation)))
        }
        Decision::Unknown { reason, .. } => Answer::Unknown(reason),
    }
}

/// What the search is told; `None` if there is nothing to search for.
fn tell(facts: &Facts, links: &Links, graph: &Graph, question: Question) -> Option<Told> {
    let all = open_rows(facts, links);
    let mut known: Vec<Link> =
        graph.links.iter().filter(|link| link.label & question.labels & !SESSION_COMMIT != 0).copied().collect();
    let mut nodes = graph.nodes();
    if question.timed {
        nodes = time(facts, nodes, &mut known);
    }
    let members = members(facts, all, question, nodes, &known)?;
    let mut number = vec![NONE; nodes];
    for (at, node) in (0_u32..).zip(&members) {
        number[*node as usize] = at;
    }
    let objects = objects(facts, links, all, question, &number);
    let told: Vec<u32> = objects.iter().map(|object| object.tag).collect();
    let transactions = facts.history.transactions.len() as u32;
    known.retain(|link| {
        // Points and rows of which the order is open are told as objects.
        let point = link.label == THROUGH || link.label == RW && link.to >= transactions;
        let object = link.label & (WW | WR | RW) != 0 && told.binary_search(&link.object).is_ok();
        let row = object && !facts.versions[link.object as usize].loose.is_empty() && is_row(facts, link.object);
        !point && !row && number[link.from as usize] != NONE && number[link.to as usize] != NONE
    });
    let arcs = known.iter().enumerate().map(|(at, link)| Arc {
        from: number[link.from as usize],
        to: number[link.to as usize],
        kind: match link.label {
            WW => Kind::Ww,
            WR | WR_PREDICATE => Kind::Wr,
            RW | RW_PREDICATE => Kind::Rw,
            TIME => Kind::RealTime,
            _ => Kind::Session,
        },
        tag: (facts.objects.len() + at) as u32,
    });
    let problem = Problem { vertices: members.len() as u32, known: arcs.collect(), objects };
    Some(Told { problem, members, links: known })
}

fn is_row(facts: &Facts, object: u32) -> bool {
    matches!(facts.objects[object as usize], Place::Row(_))
}

/// Adds what real time says, over points. Returns how many nodes there are then.
fn time(facts: &Facts, nodes: usize, links: &mut Vec<Link>) -> usize {
    let link = |from: u32, to: u32| Link { from, to, label: TIME, object: NONE, version: NONE };
    let mut events: Vec<(u64, bool, u32)> = Vec::new();
    for (at, transaction) in (0_u32..).zip(&facts.history.transactions) {
        if !facts.committed[at as usize] || transaction.initial {
            continue;
        }
        // At one moment, what is invoked is not after what is acknowledged.
        events.extend(transaction.acknowledged().map(|end| (end, true, at)));
        if !transaction.historic {
            events.push((transaction.invoke, false, at));
        }
    }
    events.sort_unstable();
    let (mut point, mut count, mut ended) = (NONE, nodes as u32, Vec::new());
    for (_, end, at) in events {
        if end {
            ended.push(at);
            continue;
        }
        if !ended.is_empty() {
            links.extend(ended.drain(..).map(|ended| link(ended, count)));
            if point != NONE {
                links.push(link(point, count));
            }
            point = count;
            count += 1;
        }
        if point != NONE {
            links.push(link(point, at));
        }
    }
    count as usize
}

/// Which nodes are told; nothing if there is no need to search.
fn members(facts: &Facts, all: bool, question: Question, nodes: usize, links: &[Link]) -> Option<Vec<u32>> {
    if all {
        return Some((0..nodes as u32).collect());
    }
    if question.isolation == Isolation::Serializable {
        return None;
    }
    let graph = Graph::new(nodes, links);
    let labels = question.labels | TIME;
    let components = View { graph: &graph, labels, events: false }.components();
    let mut wanted = vec![false; components.count as usize];
    for versions in &facts.versions {
        let writers = writers(facts, &versions.loose);
        let mut of: Vec<u32> = writers.iter().map(|(writer, _)| components.of[*writer as usize]).collect();
        of.sort_unstable();
        for pair in of.windows(2).filter(|pair| pair[0] == pair[1]) {
            wanted[pair[0] as usize] = true;
        }
    }
    let members: Vec<u32> = (0..nodes as u32).filter(|node| wanted[components.of[*node as usize] as usize]).collect();
    (!members.is_empty()).then_some(members)
}

/// Who wrote these, each once, with the first write.
fn writers(facts: &Facts, writes: &[u32]) -> Vec<(u32, u32)> {
    let mut writers: Vec<(u32, u32)> =
        writes.iter().map(|write| (facts.writes[*write as usize].writer, *write)).collect();
    writers.sort_unstable();
    writers.dedup_by_key(|(writer, _)| *writer);
    writers
}

/// The objects of which the order is open, in ascending order.
fn objects(facts: &Facts, links: &Links, all: bool, question: Question, number: &[u32]) -> Vec<Object> {
    let mut doubted: Vec<u32> = links.doubts.iter().map(|doubt| doubt.object).collect();
    doubted.sort_unstable();
    doubted.dedup();
    let mut objects: Vec<Object> = Vec::new();
    // By version, or by object for the one before those that are open: where its readers go.
    let mut slots: HashMap<u32, (usize, usize), FxBuildHasher> = HashMap::default();
    let mut before: HashMap<(u32, u32), usize, FxBuildHasher> = HashMap::default();
    for (object, versions) in (0_u32..).zip(&facts.versions) {
        let row = is_row(facts, object);
        let open = if row {
            all && (!versions.loose.is_empty() || doubted.binary_search(&object).is_ok())
        } else {
            versions.loose.len() > 1 && (question.isolation == Isolation::Snapshot || all)
        };
        if !open {
            continue;
        }
        let writes: Vec<u32> = if row {
            versions.order.iter().chain(&versions.loose).copied().collect()
        } else {
            writers(facts, &versions.loose).into_iter().map(|(_, write)| write).collect()
        };
        let mut told = Object { tag: object, ..Object::default() };
        for write in writes {
            let writer = facts.writes[write as usize].writer;
            if number[writer as usize] != NONE {
                slots.insert(write, (objects.len(), told.versions.len()));
                told.versions.push(Version { writer: number[writer as usize], readers: Vec::new() });
            }
        }
        let last = if row { NONE } else { versions.order.last().copied().unwrap_or(NONE) };
        if told.versions.len() > 1 || row {
            before.insert((object, last), objects.len());
            objects.push(told);
        }
    }
    for read in &facts.reads {
        let reader = number[read.reader as usize];
        if reader == NONE || read.version == UNSURE {
            continue;
        }
        if let Some(&at) = before.get(&(read.object, read.version)) {
            objects[at].initial.push(reader);
        } else if let Some(&(at, version)) = slots.get(&read.version)
            && let Some(version) = objects[at].versions.get_mut(version)
            && version.writer != reader
        {
            version.readers.push(reader);
        }
    }
    for doubt in &links.doubts {
        let at = objects.partition_point(|object| object.tag < doubt.object);
        let mut versions: Vec<u32> =
            doubt.versions.iter().filter_map(|write| slots.get(write)).map(|(_, version)| *version as u32).collect();
        versions.sort_unstable();
        let reader = number[doubt.reader as usize];
        if let Some(object) = objects.get_mut(at).filter(|object| object.tag == doubt.object && reader != NONE) {
            object.unsure.push(Unsure { reader, initial: doubt.initial, versions, loose: false });
        }
    }
    for object in &mut objects {
        let lists = object.versions.iter_mut().map(|version| &mut version.readers).chain([&mut object.initial]);
        for readers in lists {
            readers.sort_unstable();
            readers.dedup();
        }
    }
    objects
}

/// Tells why a level cannot hold.
fn anomaly(facts: &Facts, links: &Links, told: &Told, question: Question, refutation: &Refutation) -> Anomaly {
    let edges = edges(facts, told, refutation.cycle());
    let found = if edges.is_empty() { None } else { Some(Facts::name(&edges)) };
    // What was forced rests on reads that were overwritten, so the last cycle alone must not accuse weaker levels.
    let class = match (question.isolation, found) {
        (Isolation::Serializable, _) => Class::G2,
        (Isolation::Snapshot, Some(Name::Cycle { class: class @ (Class::GSingle | Class::LongFork), .. })) => class,
        (Isolation::Snapshot, _) => Class::GNonadjacent,
    };
    let name = Name::Cycle { class, predicate: links.predicates, through: question.through };
    let mut anomaly = if edges.is_empty() {
        Anomaly { name, message: String::new(), evidence: Vec::new(), transactions: Vec::new(), cycle: Vec::new() }
    } else {
        facts.cycle(name, edges)
    };
    let level = match question.isolation {
        Isolation::Serializable => "in which all could have run one by one",
        Isolation::Snapshot => "of snapshots and commits",
    };
    anomaly.message = format!("no order of the writes that nobody saw gives an order {level}");
    let last = std::mem::take(&mut anomaly.evidence);
    for forced in refutation.forced.iter().take(LINES.saturating_sub(last.len())) {
        anomaly.evidence.push(forced_line(facts, told, forced));
    }
    anomaly.evidence.extend(last);
    if anomaly.transactions.is_empty() {
        let forced = refutation.forced.iter().flat_map(|forced| {
            let because = forced.because.iter().flat_map(|arc| [arc.from, arc.to]);
            who(&forced.order).into_iter().flatten().chain(because)
        });
        let end = match &refutation.end {
            Contradiction::Unexplained { reader, .. } => vec![*reader],
            Contradiction::Choices(choices) => choices.iter().flat_map(|(_, order)| who(order)).flatten().collect(),
            Contradiction::Cycle(_) | Contradiction::Cases { .. } => Vec::new(),
        };
        let mut transactions: Vec<usize> = forced
            .chain(end)
            .map(|at| told.members[at as usize] as usize)
            .filter(|at| *at < facts.history.transactions.len())
            .collect();
        transactions.sort_unstable();
        transactions.dedup();
        anomaly.transactions = transactions;
    }
    if anomaly.evidence.is_empty() {
        anomaly.evidence.push("every way to order them closes a cycle".to_owned());
    }
    anomaly
}

/// Whom an order is about.
fn who(order: &Order) -> [Option<u32>; 2] {
    match *order {
        Order::Before(one, two) | Order::Seen(one, two) | Order::Unseen(one, two) => [Some(one), Some(two)],
        Order::Read(writer, reader) | Order::Unread(writer, reader) => [writer, Some(reader)],
    }
}

/// What the observations force, and why.
fn forced_line(facts: &Facts, told: &Told, forced: &Forced) -> String {
    let who = |at: u32| facts.words.transaction(told.members[at as usize]);
    let object = facts.words.object(facts.objects[forced.tag as usize]);
    let what = match forced.order {
        Order::Before(one, two) => format!("{} wrote {object} before {}", who(one), who(two)),
        Order::Seen(writer, reader) => format!("{} wrote {object} before {} read it", who(writer), who(reader)),
        Order::Unseen(writer, reader) => format!("{} wrote {object} after {} read it", who(writer), who(reader)),
        Order::Read(Some(writer), reader) => format!("{} read {object} as {} left it", who(reader), who(writer)),
        Order::Read(None, reader) => format!("{} read {object} as it was in the beginning", who(reader)),
        Order::Unread(Some(writer), reader) => {
            format!("{} did not read {object} as {} left it", who(reader), who(writer))
        }
        Order::Unread(None, reader) => format!("{} did not read {object} as it was in the beginning", who(reader)),
    };
    let because: Vec<String> = edges(facts, told, &forced.because)
        .iter()
        .map(|edge| {
            let [one, two] = [edge.from, edge.to].map(|at| facts.words.transaction(at as u32));
            format!("{one} ─{}→ {two}", edge.why.label())
        })
        .collect();
    if because.is_empty() { what } else { format!("{what}; otherwise {}", because.join(", ")) }
}

/// A walk of arcs as edges, points of real time left out.
fn edges(facts: &Facts, told: &Told, arcs: &[Arc]) -> Vec<Edge> {
    let transactions = facts.history.transactions.len() as u32;
    let mut edges: Vec<Edge> = Vec::new();
    // So that no chain of points is torn.
    let start = arcs.iter().position(|arc| told.members[arc.from as usize] < transactions).unwrap_or(0);
    let mut from = NONE;
    for arc in arcs[start..].iter().chain(&arcs[..start]) {
        let [one, two] = [arc.from, arc.to].map(|at| told.members[at as usize]);
        if one < transactions {
            from = one;
        }
        if two >= transactions {
            continue;
        }
        let known = (arc.tag as usize).checked_sub(facts.objects.len()).and_then(|at| told.links.get(at));
        let link = match known {
            _ if arc.kind == Kind::RealTime => {
                edges.push(Edge { from: from as usize, to: two as usize, why: Why::RealTime });
                continue;
            }
            Some(link) => Link { from: one, to: two, ..*link },
            None => match found(facts, arc.kind, arc.tag, one, two) {
                Some(link) => link,
                None => continue,
            },
        };
        edges.extend(facts.edges(&[link]));
    }
    edges
}

/// The link that the search found between two transactions over an object.
fn found(facts: &Facts, kind: Kind, object: u32, from: u32, to: u32) -> Option<Link> {
    let written = |by: u32| {
        let last = facts.writes_of(by).iter().rposition(|write| write.object == object)?;
        Some(facts.written_by[by as usize] + last as u32)
    };
    let read = |by: u32| facts.reads_of(by).iter().any(|read| read.object == object && read.version != UNSURE);
    let (label, version) = match kind {
        Kind::Ww => (WW, written(to)?),
        Kind::Wr if read(to) => (WR, written(from)?),
        Kind::Wr => (WR_PREDICATE, written(from)?),
        Kind::Rw if read(from) => (RW, written(to)?),
        Kind::Rw => (RW_PREDICATE, written(to)?),
        Kind::Session => return Some(Link { from, to, label: SESSION, object: NONE, version: NONE }),
        Kind::RealTime => return None,
    };
    Some(Link { from, to, label, object, version })
}
