//! What the positions that a database reports say about a level, in words.

use serde::Serialize;

use super::{About, Answer, Report};
use crate::Verdict;
use crate::history::{History, Names};
use crate::transactions::Level;
use crate::versions::{self, Options};

/// What the reported positions say about one level.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PositionsReport {
    /// The level.
    pub level: Level,
    /// Whether the order that the positions claim explains all that was seen.
    pub verdict: Answer,
    /// The name of what contradicts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anomaly: Option<String>,
    /// One sentence: what contradicts it, or why it could not be decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The observations that contradict each other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
}

impl PositionsReport {
    /// Puts a verdict into words, with the names of the source.
    pub fn new(level: Level, verdict: &Verdict, names: &Names) -> Self {
        let nothing = Self { level, verdict: Answer::Holds, anomaly: None, message: None, evidence: Vec::new() };
        match verdict {
            Verdict::Pass { .. } => nothing,
            Verdict::GaveUp { reason, .. } => {
                Self { verdict: Answer::Unknown, message: Some(named(reason, names)), ..nothing }
            }
            Verdict::Fail(violation) => Self {
                verdict: Answer::Violated,
                anomaly: Some(violation.anomaly.clone()),
                message: Some(named(&violation.message, names)),
                evidence: violation.evidence.iter().map(|line| named(line, names)).collect(),
                ..nothing
            },
        }
    }

    /// Judges the positions of a history, if it reports any: against the levels asked for, or what every database with
    /// snapshots promises. The reason, if positions are missing.
    ///
    /// A database may keep a serializable level in another order than that of its commits, so it must be asked for.
    pub fn of(history: &History, asked: &[Level]) -> Result<Vec<Self>, String> {
        if history.transactions.iter().all(|one| one.snapshot.is_none() && one.commit.is_none()) {
            return Ok(Vec::new());
        }
        let snapshots = |level: &Level| {
            !asked.is_empty()
                || matches!(level, Level::SnapshotIsolation)
                || matches!(level, Level::StrongSessionSnapshotIsolation)
                || (history.timed && matches!(level, Level::StrongSnapshotIsolation))
        };
        let levels = if asked.is_empty() { &Level::ALL[..] } else { asked };
        let mut reports = Vec::new();
        for level in levels.iter().copied().filter(snapshots) {
            let Some(options) = Options::of(level) else { continue };
            let verdict = versions::check(&history.transactions, options);
            if let Some(violation) = verdict.violation()
                && violation.anomaly.ends_with("-missing")
            {
                return Err(violation.message.clone());
            }
            reports.push(Self::new(level, &verdict, &history.names));
        }
        Ok(reports)
    }

    /// The level and what is found, in one line.
    pub(super) fn line(&self) -> String {
        let why = self.anomaly.as_ref().or(self.message.as_ref()).map_or("", String::as_str);
        format!("{:<8}  {:<34}  {why}", self.verdict.word(), self.level.name()).trim_end().to_owned()
    }

    /// What contradicts the level, in lines.
    pub fn evidence_lines(&self) -> Vec<String> {
        let what = match (&self.anomaly, &self.message) {
            (Some(anomaly), Some(message)) => Some(format!("{anomaly}: {message}")),
            (None, Some(message)) => Some(message.clone()),
            (_, None) => None,
        };
        what.into_iter().chain(self.evidence.iter().map(|line| format!("  {line}"))).collect()
    }
}

impl Report {
    /// Adds what the positions say; a verdict that is worse than that over the levels counts.
    pub fn add_positions(&mut self, positions: Result<Vec<PositionsReport>, String>) {
        let About::Transactions(about) = &mut self.about else { return };
        match positions {
            Ok(positions) => {
                let worst = positions.iter().map(|one| one.verdict).max().unwrap_or(Answer::Holds);
                if worst > self.verdict {
                    self.verdict = worst;
                    self.summary += match worst {
                        Answer::Violated => ", but the reported positions contradict what was seen",
                        Answer::Unknown | Answer::Holds => ", but the reported positions are undecided",
                    };
                }
                about.positions = positions;
            }
            Err(reason) => about.positions_skipped = Some(reason),
        }
    }
}

/// A text with the source's names for the numbers that stand for them.
fn named(text: &str, names: &Names) -> String {
    if names.clients.is_empty() && names.keys.is_empty() && names.values.is_empty() {
        return text.to_owned();
    }
    let mut told = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|sign: char| sign.is_ascii_digit()) {
        let minus = rest[..start].ends_with('-');
        let begin = start - usize::from(minus);
        let end = rest[start..].find(|sign: char| !sign.is_ascii_digit()).map_or(rest.len(), |length| start + length);
        told += &rest[..begin];
        let number = &rest[begin..end];
        let name = if minus {
            number.parse().ok().and_then(|value: i64| names.values.get(&value))
        } else {
            let of = if told.ends_with("client ") { &names.clients } else { &names.keys };
            number.parse().ok().and_then(|key: u64| of.get(&key))
        };
        told += name.map_or(number, String::as_str);
        rest = &rest[end..];
    }
    told + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_called_by_their_names() {
        let names = Names {
            clients: [(1 << 62, "alice".to_owned())].into(),
            keys: [(1 << 62, "x".to_owned())].into(),
            values: [(i64::MIN, "\"v\"".to_owned())].into(),
        };
        let text = "T7 of client 4611686018427387904 read -9223372036854775808 in row 4611686018427387904, not -5";
        assert_eq!(named(text, &names), "T7 of client alice read \"v\" in row x, not -5");
        assert_eq!(named("", &names), "");
        assert_eq!(named("12", &names), "12");
    }
}
