//! Which levels hold: from the graph, from the search for an order of writes that nobody saw, and from each other.
//!
//! If there is no cycle at all, sessions and real time included, every level holds, so one pass suffices for a history
//! that is right. Otherwise the [smallest cycles](super::witness) are searched, and each level that none of them violates
//! is tested in its own view of the graph.

use std::collections::BTreeMap;

use super::absent::explained;
use super::anomaly::{Anomaly, Name, Through};
use super::choices;
use super::cycles::Shape;
use super::facts::{Chosen, Facts, NONE, UNSURE, Unseen};
use super::graph::{DATA, Graph, ITEMS, Labels, SESSION, SESSIONS, View};
use super::level::Level;
use super::links::Links;
use super::orders::Orders;
use super::saturation::{Observations, Weak};
use super::search::Isolation;
use super::undetermined::{Answer, Question, answer, open_rows};
use super::weak::observations;
use super::words::Words;
use super::{Finding, Judgement, Options};
use crate::history::History;

/// Levels with those first that imply others.
const STRONG_FIRST: [Level; 11] = [
    Level::StrictSerializable,
    Level::StrongSessionSerializable,
    Level::Serializable,
    Level::StrongSnapshotIsolation,
    Level::StrongSessionSnapshotIsolation,
    Level::SnapshotIsolation,
    Level::RepeatableRead,
    Level::CursorStability,
    Level::Causal,
    Level::ReadAtomic,
    Level::ReadCommitted,
];

/// Levels that may take a search, with those first that are implied by others.
const SEARCHED: [Level; 6] = [
    Level::SnapshotIsolation,
    Level::StrongSessionSnapshotIsolation,
    Level::StrongSnapshotIsolation,
    Level::Serializable,
    Level::StrongSessionSerializable,
    Level::StrictSerializable,
];

/// Levels that are decided by saturation, from the weakest.
const WEAK: [(Level, Weak); 3] =
    [(Level::ReadCommitted, Weak::ReadCommitted), (Level::ReadAtomic, Weak::ReadAtomic), (Level::Causal, Weak::Causal)];

fn timed(level: Level) -> bool {
    matches!(level, Level::StrongSnapshotIsolation | Level::StrictSerializable)
}

/// See [`super::judge`].
pub(super) fn judge(history: &History, options: &Options, stop: Stop<'_>) -> Judgement {
    let Told { mut judgement, ambiguous, .. } = told(history, options, None, stop);
    if ambiguous {
        choices::decide(history, options, stop, &mut judgement);
    }
    judgement
}

/// What is said of a history under some assumptions.
pub(super) struct Told {
    pub(super) judgement: Judgement,
    /// Whether reported positions were used.
    trusted: bool,
    /// Who may be wrongly left out.
    hidden: Option<u32>,
    /// Whether rows were left out because one value was written to them more than once.
    ambiguous: bool,
}

/// Judges a history in which it may be chosen who wrote what was read.
pub(super) fn told(history: &History, options: &Options, chosen: Option<&Chosen>, stop: Stop<'_>) -> Told {
    let mut told = settled(history, options, options.positions, chosen, stop);
    if told.trusted && told.judgement.findings.values().any(|finding| *finding != Finding::Holds) {
        // The positions may be wrong. What they prove is proven, but what contradicts them is no fault of the history.
        let proven = told.judgement.findings;
        told = settled(history, options, false, chosen, stop);
        for (level, finding) in proven {
            if finding == Finding::Holds {
                told.judgement.findings.insert(level, finding);
            }
        }
    }
    told
}

/// What one step of a history costs in steps of the search, wherever the whole history is looked at once more.
pub(super) const COST: u64 = 1000;

/// How many steps a history has, at least one.
pub(super) fn steps(history: &History) -> u64 {
    history.transactions.iter().map(|transaction| 1 + transaction.operations.len() as u64).sum::<u64>().max(1)
}

/// By what anomalies are sorted: what needs real time or sessions comes after what does not.
pub(super) fn gravity(anomaly: &Anomaly) -> (Through, Name, usize) {
    let through = match anomaly.name {
        Name::Cycle { through, .. } => through,
        _ => Through::Data,
    };
    (through, anomaly.name, anomaly.cycle.len())
}

/// Says whether the time is up.
pub(super) type Stop<'a> = &'a mut dyn FnMut() -> bool;

/// A history at work.
struct Case<'a> {
    facts: Facts<'a>,
    orders: Orders,
    links: Links,
    graph: Graph,
    options: &'a Options,
    stop: Stop<'a>,
    /// Whether nothing at all is wrong with the graph.
    clean: bool,
    findings: BTreeMap<Level, Finding>,
    /// What the search said.
    answers: BTreeMap<Level, Answer>,
    /// What saturation is told.
    told: Option<Observations>,
    /// The levels that saturation found possible.
    saturated: Vec<Level>,
    /// Whether those that were asked explain also what was not there.
    explained: BTreeMap<Level, Option<bool>>,
    /// How many versions of what was not there may still be tried.
    attempts: u64,
}

/// Judges a history, whoever of those that nobody saw committed.
fn settled(history: &History, options: &Options, positions: bool, chosen: Option<&Chosen>, stop: Stop<'_>) -> Told {
    let mut attempt = |unseen| attempt(history, options, positions, (unseen, chosen), stop);
    let without = attempt(Unseen::Absent);
    let is_open = without.judgement.findings.values().any(|finding| *finding != Finding::Holds);
    let Some(hidden) = without.hidden.filter(|_| is_open) else { return without };
    let with = attempt(Unseen::Present).judgement;
    let mut judgement = attempt(Unseen::Silent).judgement;
    for (level, finding) in &mut judgement.findings {
        if [&without.judgement, &with].iter().any(|one| one.findings.get(level) == Some(&Finding::Holds)) {
            *finding = Finding::Holds;
        } else if *finding == Finding::Holds {
            let reason = format!("it is not known whether {} committed", Words::new(history).transaction(hidden));
            *finding = Finding::Undecided { reason };
        }
    }
    Told { judgement, ..without }
}

/// Judges a history under an assumption.
fn attempt(
    history: &History,
    options: &Options,
    positions: bool,
    (unseen, chosen): (Unseen, Option<&Chosen>),
    stop: Stop<'_>,
) -> Told {
    let mut facts = Facts::new(history, options.shown, unseen, chosen);
    let orders = facts.order(positions);
    let mut links = Links::new(&mut facts);
    let all = std::mem::take(&mut links.all);
    let graph = Graph::new(links.nodes, &all);
    drop(all);
    let mut case = Case {
        facts,
        orders,
        links,
        graph,
        options,
        stop,
        clean: false,
        findings: BTreeMap::new(),
        answers: BTreeMap::new(),
        told: None,
        saturated: Vec::new(),
        explained: BTreeMap::new(),
        attempts: options.budget / COST / steps(history),
    };
    case.search();
    if case.open() {
        // Much cheaper than a search, and violates stronger levels as well.
        case.saturate(Level::Causal);
    }
    for level in STRONG_FIRST {
        if options.levels.contains(&level) {
            let finding = case.find(level);
            case.findings.insert(level, finding);
        }
    }
    let (trusted, hidden) = (case.orders.trusted, case.facts.hidden);
    let facts = &case.facts;
    let ambiguous = (0_u32..).zip(&facts.versions).any(|(object, versions)| versions.ambiguous && facts.is_row(object));
    Told { judgement: case.done(), trusted, hidden, ambiguous }
}

impl Case<'_> {
    /// Finds what is wrong with the graph.
    fn search(&mut self) {
        let historic = self.facts.history.transactions.iter().any(|transaction| transaction.historic);
        // Those who may read the past are bound in their commits only, which only events tell.
        self.clean = !(self.late(DATA | SESSION, false) || historic && self.late(DATA | SESSIONS, true));
        if self.clean {
            return;
        }
        let components = self.view(DATA | SESSIONS, false).components();
        self.facts.smallest_cycles(&self.graph, &components);
        if self.facts.history.timed {
            self.facts.smallest_cycles_in_time(&self.graph);
        }
    }

    fn view(&self, labels: Labels, events: bool) -> View<'_> {
        View { graph: &self.graph, labels, events }
    }

    /// Whether real time closes a cycle, or there is one already.
    fn late(&self, labels: Labels, events: bool) -> bool {
        let view = self.view(labels, events);
        let components = view.components();
        let transactions = &self.facts.history.transactions;
        components.cyclic || self.facts.history.timed && view.late(&components, transactions).next().is_some()
    }

    /// Whether an anomaly that was found violates a level.
    fn violated(&self, level: Level) -> bool {
        self.facts.found.anomalies.iter().any(|anomaly| anomaly.name.violates(level))
    }

    fn find(&mut self, level: Level) -> Finding {
        if self.violated(level) {
            return Finding::Violated { anomaly: 0 };
        }
        if self.findings.iter().any(|(other, finding)| *finding == Finding::Holds && other.implies(level)) {
            return Finding::Holds;
        }
        if let Some(gap) = &self.facts.gap {
            return Finding::Undecided { reason: gap.clone() };
        }
        let (labels, shape, timed) = match level {
            Level::ReadCommitted | Level::ReadAtomic | Level::Causal => return self.weak(level),
            Level::CursorStability => return self.cursor_stability(),
            Level::RepeatableRead => (ITEMS, Shape::Any, false),
            Level::SnapshotIsolation => (DATA, Shape::Snapshot, false),
            Level::StrongSessionSnapshotIsolation => (DATA | SESSIONS, Shape::Snapshot, false),
            Level::StrongSnapshotIsolation => (DATA | SESSIONS, Shape::Snapshot, true),
            Level::Serializable => (DATA, Shape::Any, false),
            Level::StrongSessionSerializable => (DATA | SESSION, Shape::Any, false),
            Level::StrictSerializable => (DATA | SESSION, Shape::Any, true),
        };
        if !self.clean {
            let events = shape == Shape::Snapshot;
            let cyclic = self.view(labels, events).components().cyclic;
            if cyclic || timed && self.late(labels, events) {
                self.facts.some_cycle(&self.graph, shape, labels, timed && !cyclic);
                assert!(self.violated(level), "a cycle of the view of {level} violates it");
                return Finding::Violated { anomaly: 0 };
            }
        }
        if timed && !self.facts.history.timed && !self.one_client() {
            return Finding::Undecided { reason: "the history has no times".to_owned() };
        }
        if level == Level::RepeatableRead {
            if !self.open() {
                return Finding::Holds;
            }
            // Without predicate reads it is the same as serializable, and then violated as that is.
            return match self.ask(Level::Serializable) {
                Finding::Violated { .. } if !self.violated(level) => {
                    let reason = "it is not known in which order rows were overwritten";
                    Finding::Undecided { reason: reason.to_owned() }
                }
                finding => finding,
            };
        }
        self.ask(level)
    }

    /// Whether real time says no more than the order of the only client.
    fn one_client(&self) -> bool {
        let mut clients = self.facts.history.transactions.iter().filter(|transaction| !transaction.initial);
        let first = clients.next().map(|transaction| transaction.client);
        clients.all(|transaction| Some(transaction.client) == first)
    }

    /// Whether the order of some row's versions is left open, or what some read saw.
    fn open(&self) -> bool {
        open_rows(&self.facts, &self.links)
    }

    /// Decides a level by search. If it does not hold, so may not a weaker one, and that is what is told.
    fn ask(&mut self, level: Level) -> Finding {
        let mut unknown = match self.answer(level) {
            Answer::Possible => return Finding::Holds,
            Answer::Impossible(_) => None,
            Answer::Unknown(reason) => Some(reason.clone()),
        };
        let weaker = SEARCHED.into_iter().filter(|weaker| level.implies(*weaker));
        for weaker in weaker {
            if timed(weaker) && !self.facts.history.timed {
                continue;
            }
            match self.answer(weaker) {
                Answer::Possible => {}
                Answer::Impossible(anomaly) => {
                    let anomaly = (**anomaly).clone();
                    if self.facts.found.wanted(anomaly.name) {
                        self.facts.found.anomalies.push(anomaly);
                    }
                    return Finding::Violated { anomaly: 0 };
                }
                Answer::Unknown(reason) => unknown = Some(reason.clone()),
            }
        }
        let reason = unknown.unwrap_or_else(|| "the search was cut off".to_owned());
        Finding::Undecided { reason }
    }

    fn answer(&mut self, level: Level) -> &Answer {
        self.answers.entry(level).or_insert_with(|| {
            let (isolation, labels, through) = match level {
                Level::SnapshotIsolation => (Isolation::Snapshot, DATA, Through::Data),
                Level::StrongSessionSnapshotIsolation => (Isolation::Snapshot, DATA | SESSION, Through::Session),
                Level::StrongSnapshotIsolation => (Isolation::Snapshot, DATA | SESSION, Through::RealTime),
                Level::Serializable => (Isolation::Serializable, DATA, Through::Data),
                Level::StrongSessionSerializable => (Isolation::Serializable, DATA | SESSION, Through::Session),
                _ => (Isolation::Serializable, DATA | SESSION, Through::RealTime),
            };
            let timed = timed(level) && self.facts.history.timed;
            let question = Question { isolation, labels, timed, through };
            answer(&self.facts, &self.links, &self.graph, question, (self.options.budget, &mut *self.stop))
        })
    }

    /// Whether what was seen is possible under a level that saturation decides.
    fn saturate(&mut self, level: Level) -> bool {
        let told = self.told.get_or_insert_with(|| observations(&self.facts, &self.graph));
        for (weaker, weak) in WEAK.into_iter().filter(|(weaker, _)| level.implies(*weaker)) {
            if !self.saturated.contains(&weaker) && !self.facts.saturated(told, weak) {
                return false;
            }
            self.saturated.push(weaker);
        }
        true
    }

    fn weak(&mut self, level: Level) -> Finding {
        if !self.saturate(level) {
            return Finding::Violated { anomaly: 0 };
        }
        if !self.links.predicates && self.links.doubts.is_empty() {
            return Finding::Holds;
        }
        let told = self.told.get_or_insert_with(|| observations(&self.facts, &self.graph));
        for (at, (weaker, weak)) in WEAK.into_iter().enumerate().filter(|(_, (weaker, _))| level.implies(*weaker)) {
            if !self.explained.contains_key(&weaker) {
                // What one level leaves of its share is for the next.
                let share = self.attempts / (WEAK.len() - at) as u64;
                let mut left = share;
                let answer = explained(&mut self.facts, told, weak, (&mut left, &mut *self.stop));
                self.attempts -= share - left;
                self.explained.insert(weaker, answer);
            }
            if self.explained[&weaker] == Some(false) {
                return Finding::Violated { anomaly: 0 };
            }
        }
        if self.explained.iter().any(|(stronger, answer)| stronger.implies(level) && *answer == Some(true)) {
            return Finding::Holds;
        }
        let reason = "there are too many versions of which predicate reads and reads of absent rows may be";
        Finding::Undecided { reason: reason.to_owned() }
    }

    /// Whether a transaction may have overwritten another version of a row or list than one that it had read.
    fn overtaken(&self) -> bool {
        let facts = &self.facts;
        let lost = facts.found.anomalies.iter().any(|anomaly| anomaly.name == Name::LostUpdate);
        lost || facts.reads.iter().any(|read| {
            let Some(own) = facts.writes.get(read.own as usize) else {
                // It saw it change, and one of the reads was not of what it overwrote.
                return !read.first && facts.writes_of(read.reader).iter().any(|write| write.object == read.object);
            };
            if read.version == UNSURE {
                return true;
            }
            let versions = &facts.versions[read.object as usize];
            let others = || versions.loose.iter().any(|write| facts.writes[*write as usize].writer != read.reader);
            let place = if own.position == NONE { versions.order.len() } else { own.position as usize };
            place != facts.length(read.object, read.version) || own.position == NONE && others()
        })
    }

    /// Whether it is not known in which order some row was overwritten.
    fn blind(&self) -> bool {
        (0_u32..)
            .zip(&self.facts.versions)
            .any(|(object, versions)| self.facts.is_row(object) && !versions.loose.is_empty())
    }

    fn cursor_stability(&self) -> Finding {
        let reason = if self.overtaken() || self.orders.skipped.is_some() {
            "an update may be lost, and the history does not tell whether it read through a cursor"
        } else if self.blind() {
            "it is not known in which order rows were overwritten"
        } else {
            return Finding::Holds;
        };
        Finding::Undecided { reason: reason.to_owned() }
    }

    fn done(self) -> Judgement {
        let (mut anomalies, findings) = (self.facts.found.anomalies, self.findings);
        anomalies.sort_by_key(gravity);
        let comparisons = self.facts.compared + self.graph.links.len() as u64;
        let mut judgement = Judgement { anomalies, findings, comparisons };
        // What was found last may violate what was not decided before.
        judgement.point();
        judgement
    }
}
