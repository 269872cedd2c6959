//! Verdicts: how a universe ended, in one line and one exit code.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The revision of the source that this program was built from.
pub const REVISION: &str = env!("ORRERY_REVISION");

/// How a universe ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "verdict", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Verdict {
    /// Every checker has judged, and found nothing.
    Pass,
    /// A checker found that the database did what it must never do.
    Safety(Finding),
    /// The faults had stopped, and the cluster did not recover in time.
    Liveness(Finding),
    /// The same scenario went differently.
    Determinism(Finding),
    /// Nothing was tested.
    Vacuous(Finding),
    /// A checker ran out of its budget.
    GaveUp(Finding),
    /// The engine, or the simulator, panicked.
    Panic(Finding),
}

/// What was found, where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// The checker or phase.
    pub checker: String,
    /// The anomaly, as a stable name.
    pub anomaly: String,
    /// One sentence.
    pub message: String,
    /// Lines that show it.
    pub evidence: Vec<String>,
    /// How many events had happened when it was noticed.
    pub event: u64,
    /// The virtual time when it was noticed, in microseconds.
    pub time_us: u64,
    /// The node that it was noticed on, if it is about one.
    pub node: Option<u8>,
}

impl Finding {
    /// What a passing run has found.
    pub fn nothing() -> Self {
        Self {
            checker: String::new(),
            anomaly: String::new(),
            message: String::new(),
            evidence: Vec::new(),
            event: 0,
            time_us: 0,
            node: None,
        }
    }
}

impl Verdict {
    /// Whether nothing was found.
    pub fn is_pass(&self) -> bool {
        matches!(self, Self::Pass)
    }

    /// The exit code of the process: 0 pass, 1 safety, 3 liveness, 4 determinism, 5 vacuous, 6 gave up, 7 panic.
    /// (2 is for bad usage.)
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Safety(_) => 1,
            Self::Liveness(_) => 3,
            Self::Determinism(_) => 4,
            Self::Vacuous(_) => 5,
            Self::GaveUp(_) => 6,
            Self::Panic(_) => 7,
        }
    }

    /// The class of the verdict, as it is printed.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Safety(_) => "safety",
            Self::Liveness(_) => "liveness",
            Self::Determinism(_) => "determinism",
            Self::Vacuous(_) => "vacuous",
            Self::GaveUp(_) => "gave-up",
            Self::Panic(_) => "panic",
        }
    }

    /// What was found, unless it is a pass.
    pub fn finding(&self) -> Option<&Finding> {
        match self {
            Self::Pass => None,
            Self::Safety(finding)
            | Self::Liveness(finding)
            | Self::Determinism(finding)
            | Self::Vacuous(finding)
            | Self::GaveUp(finding)
            | Self::Panic(finding) => Some(finding),
        }
    }

    /// Class, checker, anomaly, and the source file of a panic: what two failures must share to count as the same.
    pub fn signature(&self) -> String {
        match self {
            Self::Pass => "pass".to_string(),
            Self::Panic(Finding { checker, anomaly, message, .. }) => {
                // "panicked at engine/src/raft/core.rs:12:5: message": lines move with every change, files do not.
                let place = message.strip_prefix("panicked at ").and_then(|rest| rest.split(':').next());
                format!("{}/{checker}/{anomaly}@{}", self.class(), place.unwrap_or("unknown"))
            }
            Self::Safety(found)
            | Self::Liveness(found)
            | Self::Determinism(found)
            | Self::Vacuous(found)
            | Self::GaveUp(found) => format!("{}/{}/{}", self.class(), found.checker, found.anomaly),
        }
    }

    /// The verdict of a run of this revision as one line: what, and where.
    pub fn line(&self, seed: u64) -> String {
        self.line_at(seed, REVISION)
    }

    /// The verdict of a run of some revision as one line.
    pub fn line_at(&self, seed: u64, revision: &str) -> String {
        let Some(finding) = self.finding() else { return format!("PASS seed={seed} rev={revision}") };
        let Finding { event, time_us, node, .. } = finding;
        let node = node.map(|node| format!(" node={node}")).unwrap_or_default();
        let (seconds, micros) = (time_us / 1_000_000, time_us % 1_000_000);
        let signature = self.signature();
        format!("FAIL {signature} seed={seed} rev={revision} event={event} t={seconds}.{micros:06}s{node}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding() -> Finding {
        Finding {
            checker: "snapshot-isolation".into(),
            anomaly: "lost-update".into(),
            message: "two transactions updated one version".into(),
            evidence: vec!["T1".into()],
            event: 18_204,
            time_us: 41_207_000,
            node: Some(2),
        }
    }

    #[test]
    fn a_line_says_what_and_where() {
        let line = Verdict::Safety(finding()).line(7291);
        assert_eq!(
            line,
            format!(
                "FAIL safety/snapshot-isolation/lost-update seed=7291 rev={REVISION} event=18204 t=41.207000s node=2"
            )
        );
        assert_eq!(Verdict::Pass.line(1), format!("PASS seed=1 rev={REVISION}"));
    }

    #[test]
    fn exit_codes_differ() {
        let all = [
            Verdict::Pass,
            Verdict::Safety(finding()),
            Verdict::Liveness(finding()),
            Verdict::Determinism(finding()),
            Verdict::Vacuous(finding()),
            Verdict::GaveUp(finding()),
            Verdict::Panic(finding()),
        ];
        let codes: Vec<u8> = all.iter().map(Verdict::exit_code).collect();
        assert_eq!(codes, [0, 1, 3, 4, 5, 6, 7]);
    }
}
