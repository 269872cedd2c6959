//! Linearizability of operations on an object, decided exactly.
//!
//! A depth-first search in the line of Wing and Gong, with Lowe's memory of visited configurations ("Testing for
//! linearizability", 2017), over any [`Model`]. Operations are sorted by return; a configuration is the next return, the
//! set of pending operations that took effect already, and the state of the object. Pending operations are named by slots
//! that are reused once an operation returned, so a configuration stays small however long the history is. States are
//! interned and transitions computed once. Operations without known outcome ("crashed") stay pending for ever, and have
//! slots of their own, which are never reused.
//!
//! What makes it fast are its [`Prunings`], and what a model declares of itself ([`Hints`]): most of all its parts, such
//! as keys, which are checked apart (Horn and Kroening, "Faster linearizability checking via P-compositionality", 2015)
//! and in turns, so that a bad part is found before a good one that is expensive. Registers whose written values are
//! unique need no search ([`Options::special`]).
//!
//! The verdict is exact, unless the budget runs out; then it is [`Decision::Unknown`]. A history that is illegal comes
//! with the longest prefix that has an order, and the operation that cannot be placed; [`minimal`] makes it as small as it
//! can be, and [`partial`] has for every operation the longest order with it. [`tester`] is the same judge behind
//! stateright's interface, and [`online`] judges while a history is made.

use std::fmt::Debug;

use crate::history::Operation;
use crate::{Verdict, Violation};

mod bits;
mod decide;
mod evidence;
mod lookahead;
pub mod minimal;
mod model;
mod models;
pub mod online;
pub mod partial;
mod plan;
mod search;
mod space;
mod table;
pub mod tester;
mod unique;
mod window;

pub use decide::{decide, decide_until};
pub use model::{Hints, Model, Role};
pub use models::*;

/// In which order the search tries operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The one that returns next first ("just in time").
    #[default]
    Return,
    /// The one that was called first.
    Call,
}

/// What the search leaves out. All of it is sound; each can be switched off, to see what it is worth and to test it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prunings {
    /// A pending operation that is declared [read-only](Hints::read_only) takes effect as soon as it is legal, and nothing
    /// else is tried before.
    pub read_only: bool,
    /// Of equal pending operations (same question, same answer) only the one that returns first is tried; of equal
    /// crashed ones that called first, and none while a completed one could take its place.
    pub symmetry: bool,
    /// A configuration that has used up more crashed operations than an otherwise equal one is dropped.
    pub dominance: bool,
    /// A crashed operation that changes nothing, or whose effect the next operation wipes out, is not tried.
    pub unneeded: bool,
    /// A configuration is dropped if the answer of an operation to come cannot be [reached](Hints::reach) from it.
    pub lookahead: bool,
    /// Only operations on that part of the object are tried that the next operation to return is about. It matters only if
    /// parts are declared, but not checked apart.
    pub independence: bool,
    /// What is tried first.
    pub order: Order,
}

impl Prunings {
    /// Everything on.
    pub const ALL: Self = Self {
        read_only: true,
        symmetry: true,
        dominance: true,
        unneeded: true,
        lookahead: true,
        independence: true,
        order: Order::Return,
    };

    /// The plain search with memory.
    pub const NONE: Self = Self {
        read_only: false,
        symmetry: false,
        dominance: false,
        unneeded: false,
        lookahead: false,
        independence: false,
        order: Order::Call,
    };
}

impl Default for Prunings {
    fn default() -> Self {
        Self::ALL
    }
}

/// How to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many configurations are explored at most, over all parts.
    pub configurations: u64,
    /// About how many bytes the search may take, over all parts that are open.
    pub bytes: usize,
    /// What the search leaves out.
    pub prunings: Prunings,
    /// Whether the parts that the model declares are checked apart.
    pub split: bool,
    /// Whether registers with unique writes are decided without a search.
    pub special: bool,
    /// Whether to look for the evidence of [`Illegal`]: the shortest illegal prefix, an order of what came before, and the
    /// states that such orders end in. It costs about what the verdict did.
    pub evidence: bool,
    /// Whether to assert what can be asserted of the model's declarations, and to replay every order that is found
    /// through the bare model. By default only in builds with debug assertions.
    pub verify: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            configurations: 20_000_000,
            bytes: 2 << 30,
            prunings: Prunings::ALL,
            split: true,
            special: true,
            evidence: true,
            verify: cfg!(debug_assertions),
        }
    }
}

/// Whether a history is linearizable.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision<M: Model> {
    /// It is.
    Linearizable {
        /// An order that explains it, as places in the history: every operation that returned, and those of unknown
        /// outcome that took effect.
        order: Vec<usize>,
        /// How many configurations were explored.
        explored: u64,
    },
    /// It is not.
    Illegal(Box<Illegal<M>>),
    /// The search stopped before it knew.
    Unknown {
        /// What ran out.
        why: String,
        /// How many configurations were explored.
        explored: u64,
    },
}

impl<M: Model> Decision<M> {
    /// Whether an order was found.
    pub fn is_linearizable(&self) -> bool {
        matches!(self, Self::Linearizable { .. })
    }

    /// What is wrong, if something is.
    pub fn illegal(&self) -> Option<&Illegal<M>> {
        match self {
            Self::Illegal(illegal) => Some(illegal),
            Self::Linearizable { .. } | Self::Unknown { .. } => None,
        }
    }
}

/// Why a history is not linearizable. Operations are places in the history.
#[derive(Clone, Debug, PartialEq)]
pub struct Illegal<M: Model> {
    /// The operation that cannot be placed: the history is linearizable until just before its return, and not with it.
    /// Without [`Options::evidence`], an operation that returned before.
    pub stuck: usize,
    /// The part of the object that it is about, if parts are declared.
    pub part: Option<String>,
    /// A legal order of the longest linearizable prefix of that part: of what returned before `stuck` did.
    pub prefix: Vec<usize>,
    /// States in which legal orders of that prefix end. Each differs from the others.
    pub frontier: Vec<Frontier<M>>,
    /// Whether those are all such states that the search distinguishes, and not one example.
    pub complete: bool,
    /// How many configurations were explored for the verdict.
    pub explored: u64,
}

/// Where a legal order ends, and what the operation that cannot be placed would have been answered there.
#[derive(Clone, Debug, PartialEq)]
pub struct Frontier<M: Model> {
    /// The state.
    pub state: M,
    /// The model's answer.
    pub answer: M::Ret,
}

/// Whether `operations` are linearizable with respect to `model` in its initial state, exploring at most `budget`
/// configurations.
pub fn check<M>(model: &M, operations: &[Operation<M::Op, M::Ret>], budget: u64) -> Verdict
where
    M: Model + Hints<M>,
{
    let options = Options { configurations: budget, ..Options::default() };
    evidence::verdict(operations, decide::<M, M>(model, operations, &options))
}

/// Checks every key's operations against its own `model`; the history is linearizable if and only if every key's is. For
/// objects that declare their parts themselves, [`check`] does the same.
pub fn check_by_key<M, K>(
    operations: &[Operation<M::Op, M::Ret>],
    key: impl Fn(&M::Op) -> K,
    model: impl Fn(&K) -> M,
    budget: u64,
) -> Verdict
where
    K: Ord + Debug,
    M: Model + Hints<M>,
{
    let options = Options { configurations: budget, ..Options::default() };
    evidence::verdict(operations, decide::by_key::<M, M, K>(operations, key, model, &options))
}

#[cfg(test)]
mod tests;
