//! What can be wrong with a history, by the names that the field gives it.
//!
//! Names and their spelling are Adya's ("Weak consistency", MIT 1999) and Elle's (Kingsbury & Alvaro, VLDB 2020).

use serde::{Serialize, Serializer};

use super::level::Level;

/// One thing that is wrong with a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Anomaly {
    /// What the field calls it.
    pub name: Name,
    /// One sentence that says what happened.
    pub message: String,
    /// The observations that contradict each other, one a line, in an order that can be followed.
    pub evidence: Vec<String>,
    /// Who took part: places in [`crate::history::History::transactions`], each once.
    pub transactions: Vec<usize>,
    /// The cycle of dependencies, if it is one: each edge begins where the one before ends, the first where the last does.
    pub cycle: Vec<Edge>,
}

/// What the field calls an anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// Something was read that nobody wrote.
    GarbageRead,
    /// A transaction read something else than it wrote itself.
    Internal,
    /// A transaction read what it wrote only later.
    FutureRead,
    /// An element stands twice in a list.
    DuplicateElements,
    /// Two reads of a list cannot both be prefixes of one list.
    IncompatibleOrder,
    /// A committed write stands on top of one that was aborted.
    DirtyUpdate,
    /// Aborted read.
    G1a,
    /// Intermediate read: of a write that its transaction overwrote.
    G1b,
    /// A transaction read one row or list twice and saw it change.
    NonRepeatableRead,
    /// Two transactions updated the same version.
    LostUpdate,
    /// A cycle of dependencies.
    Cycle {
        /// By the edges that it has.
        class: Class,
        /// Whether an edge says that a predicate read missed a row (and could not be left out). The class [`Class::G2`]
        /// is then called `G2`, without such an edge `G2-item`.
        predicate: bool,
        /// Whether it takes more than data to close it.
        through: Through,
    },
}

/// Cycles by the edges that they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Only writes over writes.
    G0,
    /// Writes over writes and reads of writes, at least one.
    G1c,
    /// A transaction saw a write and later in its program a version from before that write's transaction.
    GMonotonic,
    /// A transaction saw a part of another one only.
    FracturedRead,
    /// A transaction did not see what it, or something it saw, had seen or followed.
    Causality,
    /// Exactly one read of what was then overwritten: read skew.
    GSingle,
    /// Two readers saw two writers, each one and not the other.
    LongFork,
    /// Several reads of what was then overwritten, no two in a row.
    GNonadjacent,
    /// Several reads of what was then overwritten, two of them in a row: write skew.
    G2,
}

/// What closes a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Through {
    /// Reads and writes alone.
    Data,
    /// Also the order in which clients ran their transactions.
    Session,
    /// Also which transactions were over before others began.
    RealTime,
}

impl Name {
    /// Its name in files and reports.
    pub fn name(self) -> String {
        let (class, predicate, through) = match self {
            Self::GarbageRead => return "garbage-read".to_owned(),
            Self::Internal => return "internal".to_owned(),
            Self::FutureRead => return "future-read".to_owned(),
            Self::DuplicateElements => return "duplicate-elements".to_owned(),
            Self::IncompatibleOrder => return "incompatible-order".to_owned(),
            Self::DirtyUpdate => return "dirty-update".to_owned(),
            Self::G1a => return "G1a".to_owned(),
            Self::G1b => return "G1b".to_owned(),
            Self::NonRepeatableRead => return "non-repeatable-read".to_owned(),
            Self::LostUpdate => return "lost-update".to_owned(),
            Self::Cycle { class, predicate, through } => (class, predicate, through),
        };
        let class = match (class, predicate) {
            (Class::G0, _) => "G0",
            (Class::G1c, _) => "G1c",
            (Class::GMonotonic, _) => "G-monotonic",
            (Class::FracturedRead, _) => "fractured-read",
            (Class::Causality, _) => "causality-violation",
            (Class::GSingle, false) => "G-single",
            (Class::GSingle, true) => "G-single-predicate",
            (Class::LongFork, false) => "long-fork",
            (Class::LongFork, true) => "long-fork-predicate",
            (Class::GNonadjacent, false) => "G-nonadjacent",
            (Class::GNonadjacent, true) => "G-nonadjacent-predicate",
            (Class::G2, false) => "G2-item",
            (Class::G2, true) => "G2",
        };
        let suffix = match through {
            Through::Data => "",
            Through::Session => "-process",
            Through::RealTime => "-realtime",
        };
        format!("{class}{suffix}")
    }

    /// Whether a history with this anomaly is impossible under a level. Of a lost update under
    /// [`Level::CursorStability`] this is not known, as a history does not tell which reads were through a cursor.
    pub fn violates(self, level: Level) -> bool {
        use Level::{
            Causal, CursorStability, ReadAtomic, ReadCommitted, RepeatableRead, Serializable, SnapshotIsolation,
            StrictSerializable, StrongSessionSerializable, StrongSessionSnapshotIsolation, StrongSnapshotIsolation,
        };
        // The weakest levels that it violates, if no session and no real time takes part.
        let weakest: &[Level] = match self {
            Self::GarbageRead
            | Self::Internal
            | Self::FutureRead
            | Self::DuplicateElements
            | Self::IncompatibleOrder
            | Self::DirtyUpdate
            | Self::G1a
            | Self::G1b => &[ReadCommitted, CursorStability],
            Self::NonRepeatableRead => &[ReadAtomic, RepeatableRead, SnapshotIsolation],
            Self::LostUpdate => &[RepeatableRead, SnapshotIsolation],
            Self::Cycle { class, predicate, .. } => match (class, predicate) {
                (Class::G0 | Class::G1c, _) => &[ReadCommitted, CursorStability],
                (Class::GMonotonic, false) => &[ReadCommitted, RepeatableRead, SnapshotIsolation],
                (Class::GMonotonic, true) => &[ReadCommitted, SnapshotIsolation],
                (Class::FracturedRead, false) => &[ReadAtomic, RepeatableRead, SnapshotIsolation],
                (Class::FracturedRead, true) => &[ReadAtomic, SnapshotIsolation],
                (Class::Causality, false) => &[Causal, RepeatableRead, SnapshotIsolation],
                (Class::Causality, true) => &[Causal, SnapshotIsolation],
                (Class::GSingle | Class::LongFork | Class::GNonadjacent, false) => &[RepeatableRead, SnapshotIsolation],
                (Class::GSingle | Class::LongFork | Class::GNonadjacent, true) => &[SnapshotIsolation],
                (Class::G2, false) => &[RepeatableRead],
                (Class::G2, true) => &[Serializable],
            },
        };
        let enough = match self {
            Self::Cycle { through: Through::RealTime, .. } => {
                matches!(level, StrongSnapshotIsolation | StrictSerializable)
            }
            Self::Cycle { through: Through::Session, .. } => matches!(
                level,
                ReadCommitted
                    | ReadAtomic
                    | Causal
                    | StrongSessionSnapshotIsolation
                    | StrongSnapshotIsolation
                    | StrongSessionSerializable
                    | StrictSerializable
            ),
            _ => true,
        };
        enough && weakest.iter().any(|weakest| level.implies(*weakest))
    }

    /// The name of what violates a level and no other that the level does not follow from. All that is known to violate
    /// [`Level::CursorStability`] violates [`Level::ReadCommitted`] as well.
    pub(super) fn of_level(level: Level) -> Self {
        let (class, predicate, through) = match level {
            Level::ReadCommitted => (Class::GMonotonic, true, Through::Session),
            Level::ReadAtomic => (Class::FracturedRead, true, Through::Session),
            Level::Causal => (Class::Causality, true, Through::Session),
            Level::CursorStability => (Class::G1c, false, Through::Data),
            Level::RepeatableRead => (Class::G2, false, Through::Data),
            Level::SnapshotIsolation => (Class::GNonadjacent, true, Through::Data),
            Level::StrongSessionSnapshotIsolation => (Class::GNonadjacent, true, Through::Session),
            Level::StrongSnapshotIsolation => (Class::GNonadjacent, true, Through::RealTime),
            Level::Serializable => (Class::G2, true, Through::Data),
            Level::StrongSessionSerializable => (Class::G2, true, Through::Session),
            Level::StrictSerializable => (Class::G2, true, Through::RealTime),
        };
        Self::Cycle { class, predicate, through }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// That one transaction comes before another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// The earlier one: a place in [`crate::history::History::transactions`].
    pub from: usize,
    /// The later one.
    pub to: usize,
    /// Why.
    pub why: Why,
}

/// What is read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Object {
    /// A row, by key.
    Row(u64),
    /// A list, by key.
    List(u64),
}

/// Why one transaction comes before another. A version of a row is its value (`None`: absent), one of a list is its
/// last element (`None`: empty).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Why {
    /// The second overwrote the first.
    Ww {
        /// Where.
        object: Object,
        /// What the first wrote.
        before: Option<i64>,
        /// What the second wrote.
        after: Option<i64>,
        /// Whether a read shows both in this order; if not, it follows from what else is known.
        shown: bool,
    },
    /// The second read what the first wrote.
    Wr {
        /// Where.
        object: Object,
        /// What was written and read.
        version: Option<i64>,
    },
    /// The first read a version that the second overwrote.
    Rw {
        /// Where.
        object: Object,
        /// What the first read.
        seen: Option<i64>,
        /// What the second wrote.
        next: Option<i64>,
        /// Whether a read shows what the second wrote.
        shown: bool,
    },
    /// A write of the first decided that a row was not in the answer to the second.
    PredicateWr {
        /// The row.
        key: u64,
        /// What the first wrote.
        version: Option<i64>,
    },
    /// The answer to the first lacks a row that is there since a write of the second.
    PredicateRw {
        /// The row.
        key: u64,
        /// What the second wrote.
        next: Option<i64>,
    },
    /// The same client ran the first before the second.
    Session,
    /// The first was acknowledged before the second was invoked.
    RealTime,
    /// The first made the initial state.
    Initial,
}

impl Why {
    /// The short name that the field gives to such an edge.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Ww { .. } => "ww",
            Self::Wr { .. } => "wr",
            Self::Rw { .. } => "rw",
            Self::PredicateWr { .. } => "wrp",
            Self::PredicateRw { .. } => "rwp",
            Self::Session => "session",
            Self::RealTime => "rt",
            Self::Initial => "initial",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_level_accuses_what_implies_it() {
        for level in Level::ALL.into_iter().filter(|level| *level != Level::CursorStability) {
            for other in Level::ALL {
                assert_eq!(Name::of_level(level).violates(other), other.implies(level), "{level} {other}");
            }
        }
        let unstable = Name::of_level(Level::CursorStability);
        assert!(Level::ALL.into_iter().all(|level| unstable.violates(level)), "{unstable}");
    }
}
