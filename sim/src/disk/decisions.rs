//! The disk's fate: what is drawn, by logical place, and which draws came out badly.
//!
//! Nothing is drawn from a sequence. Each draw is a hash of the disk's seed, of what is drawn, and of the ordinal of the
//! operation among those of its kind, so what becomes of the twelfth sync does not depend on how many reads came before.
//! Faults are drawn as [`Decision`]s, which are kept when they fire; a run in which they are given from outside, with
//! rates of zero, meets the same faults.

use crate::draw::MILLION;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What an operation is to the disk: what it costs, and among which it is counted. Operations count from 1 over the
/// life of the disk, when they begin, whatever becomes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// Looks at names, lengths and locks.
    Look,
    /// Reads.
    Read,
    /// Writes and changes of length.
    Write,
    /// Openings, creations, renames and removals.
    Name,
    /// Syncs of files and directories.
    Sync,
}

/// How many kinds there are.
pub(super) const KINDS: usize = 5;

/// A fault, and the operation that it hits by its ordinal among those of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Decision {
    /// The read fails.
    ReadFailed(u64),
    /// The read returns a flipped bit.
    ReadRotted(u64),
    /// The read returns the bytes of another place.
    ReadMisdirected(u64),
    /// The write or change of length fails.
    WriteFailed(u64),
    /// The sync, of a file or a directory, fails.
    SyncFailed(u64),
    /// The sync fails (if it does), and the file's unsynced changes count as written.
    PagesDropped(u64),
    /// The operation stalls.
    Stalled(Kind, u64),
    /// The power goes at this operation, counted among those of all kinds that began while writes were unsynced.
    CrashedInFlight(u64),
}

impl Decision {
    /// The topic and ordinal of its draw.
    fn place(self) -> (u64, u64) {
        match self {
            Self::ReadFailed(ordinal) => (1, ordinal),
            Self::ReadRotted(ordinal) => (2, ordinal),
            Self::ReadMisdirected(ordinal) => (3, ordinal),
            Self::WriteFailed(ordinal) => (4, ordinal),
            Self::SyncFailed(ordinal) => (5, ordinal),
            Self::PagesDropped(ordinal) => (6, ordinal),
            Self::CrashedInFlight(ordinal) => (7, ordinal),
            Self::Stalled(kind, ordinal) => (8 + kind as u64, ordinal),
        }
    }
}

/// What is drawn beside decisions.
#[derive(Clone, Copy)]
pub(super) enum Topic {
    /// The time that an operation takes.
    Time(Kind),
    /// Where a read rots.
    RottenBit,
    /// Where a read goes instead.
    ReadTarget,
    /// How far a failed write comes.
    WrittenPart,
    /// What a power loss leaves of a file, of one of its changes, and of the sectors of one.
    FileLoss,
    Change,
    Sector,
    /// What a power loss leaves of the changes of a name.
    NameLoss,
    Name,
    /// Damage at rest.
    Rot,
    RotAt,
    LostSector,
    MisdirectedWrite,
    /// Where damage is, and what it is there.
    Place,
    Amount,
    Bit,
}

impl Topic {
    /// Below 32 are the decisions.
    fn number(self) -> u64 {
        match self {
            Self::Time(kind) => 32 + kind as u64,
            Self::RottenBit => 40,
            Self::ReadTarget => 41,
            Self::WrittenPart => 42,
            Self::FileLoss => 43,
            Self::Change => 44,
            Self::Sector => 45,
            Self::NameLoss => 46,
            Self::Name => 47,
            Self::Rot => 48,
            Self::RotAt => 49,
            Self::LostSector => 50,
            Self::MisdirectedWrite => 51,
            Self::Place => 52,
            Self::Amount => 53,
            Self::Bit => 54,
        }
    }
}

/// A source of draws by topic and ordinal.
#[derive(Clone, Copy)]
pub(super) struct Draws {
    seed: u64,
}

impl Draws {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// A number below `bound`, or 0 when `bound` is 0 or 1.
    pub(super) fn below(self, topic: Topic, ordinal: u64, bound: u64) -> u64 {
        self.scaled(topic.number(), ordinal, bound)
    }

    /// True with a chance of `ppm` in a million.
    pub(super) fn chance(self, topic: Topic, ordinal: u64, ppm: u32) -> bool {
        self.hits(topic.number(), ordinal, ppm)
    }

    /// A source for something that has a name, in one event.
    pub(super) fn of(self, topic: Topic, ordinal: u64, name: &str) -> Self {
        Self { seed: xxh3_64_with_seed(name.as_bytes(), self.hash(topic.number(), ordinal)) }
    }

    fn hits(self, topic: u64, ordinal: u64, ppm: u32) -> bool {
        match ppm {
            0 => false,
            MILLION.. => true,
            _ => self.scaled(topic, ordinal, u64::from(MILLION)) < u64::from(ppm),
        }
    }

    fn scaled(self, topic: u64, ordinal: u64, bound: u64) -> u64 {
        if bound <= 1 {
            return 0;
        }
        ((u128::from(self.hash(topic, ordinal)) * u128::from(bound)) >> 64) as u64
    }

    fn hash(self, topic: u64, ordinal: u64) -> u64 {
        let mut place = [0; 16];
        place[..8].copy_from_slice(&topic.to_le_bytes());
        place[8..].copy_from_slice(&ordinal.to_le_bytes());
        xxh3_64_with_seed(&place, self.seed)
    }
}

/// The faults that are decided from outside, and those that have fired.
#[derive(Default)]
pub(super) struct Decisions {
    given: BTreeSet<Decision>,
    fired: Vec<Decision>,
}

impl Decisions {
    pub(super) fn give(&mut self, decision: Decision) {
        self.given.insert(decision);
    }

    pub(super) fn fired(&self) -> &[Decision] {
        &self.fired
    }

    /// Whether a fault happens: because it was given, or by its rate.
    pub(super) fn decide(&mut self, draws: Draws, decision: Decision, ppm: u32) -> bool {
        let (topic, ordinal) = decision.place();
        let fires = draws.hits(topic, ordinal, ppm) || self.given.contains(&decision);
        if fires {
            self.fired.push(decision);
        }
        fires
    }
}
