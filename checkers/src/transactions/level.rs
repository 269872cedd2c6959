//! Consistency levels, by the names that the field gives them.
//!
//! The levels from [`Level::SnapshotIsolation`] and [`Level::Serializable`] down to repeatable read are Adya's
//! ("Weak consistency", MIT 1999) and know nothing of who ran a transaction or when; `strong-session-*` adds the order
//! of each client, [`Level::StrongSnapshotIsolation`] and [`Level::StrictSerializable`] also that of real time.
//! [`Level::ReadCommitted`], [`Level::ReadAtomic`] and [`Level::Causal`] are those of Biswas and Enea ("On the complexity
//! of checking transactional consistency", OOPSLA 2019), which include the order of each client. So a history may be
//! serializable and not causal, but what is strong-session-serializable is all that is weaker.

use serde::{Deserialize, Serialize};

/// A consistency level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Reads see final writes of committed transactions, and never go back behind what the transaction has seen.
    ReadCommitted,
    /// Whoever sees a write of a transaction sees all of its writes.
    ReadAtomic,
    /// Whoever sees a transaction sees what it saw and followed.
    Causal,
    /// Read committed, and no row is overwritten between its read through a cursor and its update.
    CursorStability,
    /// Serializable but for predicate reads (Adya's PL-2.99).
    RepeatableRead,
    /// Every transaction reads some past snapshot, and of two that write the same the later one saw the earlier.
    SnapshotIsolation,
    /// Snapshots include what the same client did before.
    StrongSessionSnapshotIsolation,
    /// Snapshots include all that was over before the transaction began.
    StrongSnapshotIsolation,
    /// There is an order in which all transactions could have run one by one.
    Serializable,
    /// The order keeps to that of each client.
    StrongSessionSerializable,
    /// The order keeps to real time.
    StrictSerializable,
}

impl Level {
    /// All levels, from weak to strong among those that can be compared.
    pub const ALL: [Self; 11] = [
        Self::ReadCommitted,
        Self::ReadAtomic,
        Self::Causal,
        Self::CursorStability,
        Self::RepeatableRead,
        Self::SnapshotIsolation,
        Self::StrongSessionSnapshotIsolation,
        Self::StrongSnapshotIsolation,
        Self::Serializable,
        Self::StrongSessionSerializable,
        Self::StrictSerializable,
    ];

    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadCommitted => "read-committed",
            Self::ReadAtomic => "read-atomic",
            Self::Causal => "causal",
            Self::CursorStability => "cursor-stability",
            Self::RepeatableRead => "repeatable-read",
            Self::SnapshotIsolation => "snapshot-isolation",
            Self::StrongSessionSnapshotIsolation => "strong-session-snapshot-isolation",
            Self::StrongSnapshotIsolation => "strong-snapshot-isolation",
            Self::Serializable => "serializable",
            Self::StrongSessionSerializable => "strong-session-serializable",
            Self::StrictSerializable => "strict-serializable",
        }
    }

    /// Whether every history that is possible under this level is possible under `weaker`.
    pub fn implies(self, weaker: Self) -> bool {
        use Level::{
            Causal, CursorStability, ReadAtomic, ReadCommitted, RepeatableRead, Serializable, SnapshotIsolation,
            StrictSerializable, StrongSessionSerializable, StrongSessionSnapshotIsolation, StrongSnapshotIsolation,
        };
        let implied: &[Self] = match self {
            ReadCommitted | CursorStability => &[],
            ReadAtomic => &[ReadCommitted],
            Causal => &[ReadAtomic, ReadCommitted],
            RepeatableRead | SnapshotIsolation => &[CursorStability],
            Serializable => &[RepeatableRead, SnapshotIsolation, CursorStability],
            StrongSessionSnapshotIsolation => &[SnapshotIsolation, CursorStability, Causal, ReadAtomic, ReadCommitted],
            StrongSnapshotIsolation => {
                &[StrongSessionSnapshotIsolation, SnapshotIsolation, CursorStability, Causal, ReadAtomic, ReadCommitted]
            }
            StrongSessionSerializable => &[
                Serializable,
                StrongSessionSnapshotIsolation,
                SnapshotIsolation,
                RepeatableRead,
                CursorStability,
                Causal,
                ReadAtomic,
                ReadCommitted,
            ],
            StrictSerializable => return true,
        };
        self == weaker || implied.contains(&weaker)
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Level {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|level| level.name() == name).ok_or_else(|| format!("no consistency level `{name}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for level in Level::ALL {
            assert_eq!(level.name().parse(), Ok(level));
            assert_eq!(serde_json::to_value(level).unwrap(), level.name());
        }
        assert_eq!("snapshot".parse::<Level>(), Err("no consistency level `snapshot`".to_owned()));
    }

    #[test]
    fn implication_is_an_order() {
        for one in Level::ALL {
            assert!(one.implies(one));
            for two in Level::ALL {
                assert!(one == two || !(one.implies(two) && two.implies(one)), "{one} {two}");
                for three in Level::ALL {
                    assert!(!(one.implies(two) && two.implies(three)) || one.implies(three), "{one} {two} {three}");
                }
            }
        }
    }
}
