//! Rows in which a value was written more than once: who wrote what was read is chosen.
//!
//! The judgement that comes first leaves such rows out, so what it finds wrong is wrong whoever wrote what. What it
//! leaves open is judged again under every choice of the writers that were read: a level that holds under one of them
//! holds, and one that is violated under all of them is violated, though each may violate it in a way of its own. Writers whose writes nobody may read under any level
//! (they failed, or wrote something else after it, or are the reader itself) are chosen only if there are no others.
//! Elements of lists are unique by definition, so lists are left alone.
//!
//! The choices share one budget of the search. It is divided among them, and if it does not suffice to look at the whole
//! history under each of them, none is tried.

use std::collections::BTreeMap;

use super::anomaly::{Anomaly, Name};
use super::facts::{Chosen, Facts, Unseen};
use super::level::Level;
use super::levels::{COST, Stop, gravity, steps, told};
use super::{Finding, Judgement, Options};
use crate::history::{History, Micro, Outcome};

/// The most ways that are tried.
const WAYS: u64 = 4096;

/// A read that several writes explain: the transaction, which operation of it, the row, and the writes.
struct Read {
    at: (u32, u32, u32),
    writes: Vec<u32>,
}

/// Judges again what is open because values are not unique, until `stop` says that the time is up.
pub(super) fn decide(history: &History, options: &Options, stop: Stop<'_>, judgement: &mut Judgement) {
    let is_open = |finding: &Finding| matches!(finding, Finding::Undecided { .. });
    let mut open: Vec<Level> =
        judgement.findings.iter().filter(|(_, finding)| is_open(finding)).map(|(level, _)| *level).collect();
    if open.is_empty() {
        return;
    }
    let Some((reads, ways)) = reads(history, options) else { return };
    let share = options.budget / ways;
    let mut places = vec![0; reads.len()];
    let mut reasons: BTreeMap<Level, String> = BTreeMap::new();
    let mut fallen = Fallen::new();
    loop {
        let chosen: Chosen = reads.iter().zip(&places).map(|(read, place)| (read.at, read.writes[*place])).collect();
        if stop() {
            return;
        }
        let options = Options { levels: open.clone(), budget: share, ..options.clone() };
        let one = told(history, &options, Some(&chosen), stop).judgement;
        judgement.comparisons += one.comparisons;
        for (level, finding) in &one.findings {
            match finding {
                Finding::Holds => {
                    judgement.findings.insert(*level, Finding::Holds);
                    open.retain(|open| open != level);
                }
                Finding::Undecided { reason } => {
                    reasons.entry(*level).or_insert_with(|| reason.clone());
                }
                Finding::Violated { .. } => {}
            }
        }
        fallen.under(one.anomalies);
        if open.is_empty() || !advance(&mut places, &reads) {
            break;
        }
    }
    let repeated = reads.iter().any(|read| read.writes.len() > 1);
    for level in open {
        if fallen.levels.contains(&level) {
            // What violates it may violate others too, and the next of them need nothing more.
            if !judgement.anomalies.iter().any(|known| known.name.violates(level)) {
                judgement.anomalies.push(fallen.anomaly(level, repeated));
            }
        } else if let Some(reason) = reasons.remove(&level) {
            judgement.findings.insert(level, Finding::Undecided { reason });
        }
    }
    judgement.anomalies.sort_by_key(gravity);
    judgement.point();
}

/// What no choice of writers explains.
struct Fallen {
    /// The levels that are violated under every choice so far.
    levels: Vec<Level>,
    /// Of every name, the first that was found under some choice.
    anomalies: BTreeMap<Name, Anomaly>,
}

impl Fallen {
    fn new() -> Self {
        Self { levels: Level::ALL.to_vec(), anomalies: BTreeMap::new() }
    }

    /// Takes in what is wrong under one more choice.
    fn under(&mut self, anomalies: Vec<Anomaly>) {
        self.levels.retain(|level| anomalies.iter().any(|anomaly| anomaly.name.violates(*level)));
        for anomaly in anomalies {
            self.anomalies.entry(anomaly.name).or_insert(anomaly);
        }
    }

    /// What shows that a level is violated. Under another choice something else may be wrong, so an anomaly keeps its
    /// name only if every choice violates all levels that the name does.
    fn anomaly(&self, level: Level, repeated: bool) -> Anomaly {
        let all = || self.anomalies.values().filter(|anomaly| anomaly.name.violates(level));
        let is_sure = |anomaly: &&Anomaly| {
            let mut violated = Level::ALL.into_iter().filter(|other| anomaly.name.violates(*other));
            violated.all(|other| self.levels.contains(&other))
        };
        let sure = all().filter(is_sure).min_by_key(|anomaly| gravity(anomaly));
        let mut anomaly = sure.or_else(|| all().next()).expect("every choice violates the level").clone();
        if sure.is_none() {
            anomaly.name = Name::of_level(level);
            anomaly.message = format!("whoever wrote what was read, {level} does not explain it");
        }
        if repeated {
            anomaly.evidence.push("one value was written more than once; no choice of its writers will do".to_owned());
        }
        anomaly
    }
}

/// The next way to choose, if there is one.
fn advance(places: &mut [usize], reads: &[Read]) -> bool {
    for (place, read) in places.iter_mut().zip(reads) {
        *place += 1;
        if *place < read.writes.len() {
            return true;
        }
        *place = 0;
    }
    false
}

/// The reads that are of a chosen write, and how many ways to choose there are, unless there are too many.
fn reads(history: &History, options: &Options) -> Option<(Vec<Read>, u64)> {
    let facts = Facts::new(history, 1, Unseen::Absent, None);
    let mut writers: BTreeMap<(u32, i64), Vec<u32>> = BTreeMap::new();
    for (at, write) in (0_u32..).zip(&facts.writes) {
        let may_be_read = write.last && facts.transaction(write.writer).outcome != Outcome::Failed;
        if let Some(value) = write.value.filter(|_| may_be_read) {
            writers.entry((write.object, value)).or_default().push(at);
        }
    }
    let most = WAYS.min(options.budget / COST / steps(history));
    let (mut ways, mut reads) = (1_u64, Vec::new());
    for (reader, transaction) in (0_u32..).zip(&history.transactions) {
        if transaction.outcome == Outcome::Failed {
            continue;
        }
        let mut own: Vec<u64> = Vec::new();
        for (place, micro) in (0_u32..).zip(&transaction.operations) {
            let one;
            let seen: &[(u64, i64)] = match micro {
                Micro::Write { key, .. } => {
                    own.push(*key);
                    continue;
                }
                Micro::Read { key, value: Some(value) } => {
                    one = [(*key, *value)];
                    &one
                }
                Micro::ReadRows { rows, .. } => rows,
                _ => continue,
            };
            for (key, value) in seen.iter().filter(|(key, _)| !own.contains(key)) {
                let Some(object) = facts.row(*key) else { continue };
                let writes = writers.get(&(object, *value)).into_iter().flatten().copied();
                let writes: Vec<u32> = writes.filter(|write| facts.writes[*write as usize].writer != reader).collect();
                if !writes.is_empty() {
                    ways = ways.saturating_mul(writes.len() as u64);
                    if ways > most {
                        return None;
                    }
                    reads.push(Read { at: (reader, place, object), writes });
                }
            }
        }
    }
    Some((reads, ways))
}
