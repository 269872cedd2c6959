//! A judgement over transactions, in words.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{About, Answer, PositionsReport, Report, count, shortened};
use crate::history::{History, Micro, Names, Outcome, Predicate};
use crate::transactions::{Edge, Finding, Judgement, Level, Object, Why};

/// What was found in a history of transactions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TransactionsReport {
    /// How many transactions there are.
    pub transactions: usize,
    /// How many sessions ran them.
    pub sessions: usize,
    /// Whether their times are known.
    pub timed: bool,
    /// The levels that were asked for, the weakest first.
    pub levels: Vec<LevelReport>,
    /// What is wrong, the gravest first.
    pub anomalies: Vec<AnomalyReport>,
    /// What the positions say that the database reports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub positions: Vec<PositionsReport>,
    /// Why they were not judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positions_skipped: Option<String>,
}

/// What is known of one level.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LevelReport {
    /// Its name.
    pub level: Level,
    /// Whether it holds.
    pub verdict: Answer,
    /// The place of the anomaly that violates it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anomaly: Option<usize>,
    /// Why it could not be decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AnomalyReport {
    /// The field's name for it.
    pub name: String,
    /// One sentence.
    pub message: String,
    /// The observations that contradict each other.
    pub evidence: Vec<String>,
    /// The ids of the transactions that take part.
    pub transactions: Vec<u64>,
    /// The cycle, if it is one.
    pub cycle: Vec<EdgeReport>,
    /// The levels that it rules out.
    pub violates: Vec<Level>,
}

/// An edge of a cycle.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EdgeReport {
    /// The id of the earlier transaction.
    pub from: u64,
    /// The id of the later one.
    pub to: u64,
    /// The short name of the dependency: `ww`, `wr`, `rw`, …
    pub label: String,
    /// Why it is there.
    pub reason: String,
}

/// The levels that a history is judged against if nobody says otherwise: all that it can tell about. Whether a read went
/// through a cursor is in no history, and without times nothing is known of real time.
pub fn default_levels(history: &History) -> Vec<Level> {
    let told = |level: &Level| match level {
        Level::CursorStability => false,
        Level::StrongSnapshotIsolation | Level::StrictSerializable => history.timed,
        _ => true,
    };
    Level::ALL.into_iter().filter(told).collect()
}

/// Puts a judgement into words.
pub fn report(source: &str, history: &History, judgement: &Judgement) -> Report {
    let sessions: BTreeSet<u64> = history.transactions.iter().map(|transaction| transaction.client).collect();
    let mut levels = Vec::new();
    for (level, finding) in &judgement.findings {
        let (verdict, anomaly, reason) = match finding {
            Finding::Holds => (Answer::Holds, None, None),
            Finding::Violated { anomaly } => (Answer::Violated, Some(*anomaly), None),
            Finding::Undecided { reason } => (Answer::Unknown, None, Some(reason.clone())),
        };
        levels.push(LevelReport { level: *level, verdict, anomaly, reason });
    }
    let id = |place: usize| history.transactions[place].id;
    let anomalies = judgement.anomalies.iter().map(|anomaly| AnomalyReport {
        name: anomaly.name.name(),
        message: anomaly.message.clone(),
        evidence: anomaly.evidence.clone(),
        transactions: anomaly.transactions.iter().map(|place| id(*place)).collect(),
        cycle: anomaly.cycle.iter().map(|edge| edge_report(history, edge)).collect(),
        violates: Level::ALL.into_iter().filter(|level| anomaly.name.violates(*level)).collect(),
    });
    let anomalies: Vec<AnomalyReport> = anomalies.collect();
    let verdict = levels.iter().map(|level| level.verdict).max().unwrap_or(Answer::Unknown);
    let of = |answer| levels.iter().filter(|level| level.verdict == answer).count();
    let what = count(history.transactions.len(), "transaction");
    let summary = match verdict {
        Answer::Holds => format!("{what}: {} held", count(of(Answer::Holds), "level")),
        Answer::Unknown => {
            let others = if of(Answer::Holds) > 0 { ", the others hold" } else { "" };
            format!("{what}: {} undecided{others}", count(of(Answer::Unknown), "level"))
        }
        Answer::Violated => {
            let name = levels.iter().find_map(|level| level.anomaly).map_or("", |at| anomalies[at].name.as_str());
            format!("{what}: {} violated, by {name}", count(of(Answer::Violated), "level"))
        }
    };
    let about = TransactionsReport {
        transactions: history.transactions.len(),
        sessions: sessions.len(),
        timed: history.timed,
        levels,
        anomalies,
        positions: Vec::new(),
        positions_skipped: None,
    };
    Report { source: source.to_owned(), verdict, summary, about: About::Transactions(about) }
}

fn edge_report(history: &History, edge: &Edge) -> EdgeReport {
    EdgeReport {
        from: history.transactions[edge.from].id,
        to: history.transactions[edge.to].id,
        label: edge.why.label().to_owned(),
        reason: edge_text(history, edge),
    }
}

impl TransactionsReport {
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for LevelReport { level, verdict, anomaly, reason } in &self.levels {
            let why = anomaly.map(|at| self.anomalies[at].name.clone()).or_else(|| reason.clone()).unwrap_or_default();
            lines.push(format!("{:<8}  {:<34}  {why}", verdict.word(), level.name()).trim_end().to_owned());
        }
        if let Some(reason) = &self.positions_skipped {
            lines.push(format!("reported positions are not judged: {reason}"));
        }
        if !self.positions.is_empty() {
            lines.push("by the positions that the database reports:".to_owned());
        }
        lines.extend(self.positions.iter().map(PositionsReport::line));
        let mut told = BTreeSet::new();
        for wrong in self.positions.iter().filter(|one| told.insert(one.message.as_ref())) {
            if wrong.verdict == Answer::Violated {
                lines.push(String::new());
                lines.extend(wrong.evidence_lines());
            }
        }
        for anomaly in &self.anomalies {
            lines.push(String::new());
            lines.push(format!("{}: {}", anomaly.name, anomaly.message));
            lines.extend(anomaly.evidence.iter().map(|line| format!("  {line}")));
            if anomaly.evidence.is_empty() {
                lines.extend(anomaly.cycle.iter().map(|edge| format!("  {}", edge.reason)));
            }
        }
        lines
    }
}

/// Why one transaction comes before another, in a sentence.
pub fn edge_text(history: &History, edge: &Edge) -> String {
    let names = &history.names;
    let (from, to) = (history.transactions[edge.from].id, history.transactions[edge.to].id);
    let place = |object: &Object| match object {
        Object::Row(key) => names.key(*key),
        Object::List(key) => format!("list {}", names.key(*key)),
    };
    let version = |object: &Object, version: &Option<i64>| match (object, version) {
        (_, Some(value)) => names.value(*value),
        (Object::Row(_), None) => "nothing".to_owned(),
        (Object::List(_), None) => "no element".to_owned(),
    };
    match &edge.why {
        Why::Ww { object, before, after, .. } => {
            let (before, after) = (version(object, before), version(object, after));
            let verb = if matches!(object, Object::List(_)) { "appended" } else { "wrote" };
            format!("T{from} {verb} {before} to {}, and then T{to} {verb} {after}", place(object))
        }
        Why::Wr { object, version: seen } => {
            let seen = version(object, seen);
            format!("T{to} read {seen} in {}, which T{from} wrote", place(object))
        }
        Why::Rw { object, seen, next, .. } => {
            let (seen, next) = (version(object, seen), version(object, next));
            format!("T{from} read {} up to {seen}, and did not see {next}, which T{to} wrote", place(object))
        }
        Why::PredicateWr { key, version } => {
            let value = version.map_or("nothing".to_owned(), |value| names.value(value));
            let row = names.key(*key);
            format!("T{to} did not find row {row}, as T{from} had left {value} there")
        }
        Why::PredicateRw { key, next } => {
            let value = next.map_or("nothing".to_owned(), |value| names.value(value));
            let row = names.key(*key);
            format!("T{from} did not find row {row} as T{to} left it, with {value}")
        }
        Why::Session => {
            format!("session {} ran T{from} before T{to}", names.client(history.transactions[edge.from].client))
        }
        Why::RealTime => format!("T{from} was acknowledged before T{to} was invoked"),
        Why::Initial => format!("T{from} made the initial state"),
    }
}

/// The steps of a transaction, in short.
pub fn transaction_text(history: &History, place: usize) -> String {
    let transaction = &history.transactions[place];
    let steps: Vec<String> = transaction.operations.iter().map(|micro| micro_text(micro, &history.names)).collect();
    let outcome = match transaction.outcome {
        Outcome::Ok => "",
        Outcome::Failed => " (aborted)",
        Outcome::Unknown => " (unknown)",
    };
    format!("{}{outcome}", steps.join("; "))
}

/// One step, in short.
pub(super) fn micro_text(micro: &Micro, names: &Names) -> String {
    let value = |value: &Option<i64>| value.map_or("nothing".to_owned(), |value| names.value(value));
    match micro {
        Micro::Read { key, value: seen } => format!("{} = {}", names.key(*key), value(seen)),
        Micro::Write { key, value: None } => format!("delete {}", names.key(*key)),
        Micro::Write { key, value: written } => format!("{} := {}", names.key(*key), value(written)),
        Micro::ReadList { key, elements } => {
            let elements: Vec<String> = elements.iter().map(|element| names.value(*element)).collect();
            format!("{} = [{}]", names.key(*key), shortened(&elements.join(" "), 200))
        }
        Micro::Append { key, element } => format!("{} += {}", names.key(*key), names.value(*element)),
        Micro::ReadRows { predicate, rows } => {
            let rows: Vec<String> =
                rows.iter().map(|(key, value)| format!("{} = {}", names.key(*key), names.value(*value))).collect();
            format!("rows {} {{{}}}", predicate_text(*predicate, names), shortened(&rows.join(", "), 200))
        }
    }
}

fn predicate_text(predicate: Predicate, names: &Names) -> String {
    match predicate {
        Predicate::Any => "any".to_owned(),
        Predicate::Equal(value) => format!("= {}", names.value(value)),
        Predicate::Greater(bound) => format!("> {bound}"),
        Predicate::Less(bound) => format!("< {bound}"),
        Predicate::Modulo { divisor, remainder } => format!("mod {divisor} = {remainder}"),
    }
}
