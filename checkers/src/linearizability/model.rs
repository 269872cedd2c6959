//! What the search needs of a model, and what a model may say about itself to make the search faster.

use std::fmt::Debug;
use std::hash::Hash;

use stateright::semantics::SequentialSpec;

/// A sequential object: any stateright [`SequentialSpec`] whose states can be kept and compared.
///
/// The search asks no more than `PartialEq` and `Hash`, since stateright's own models have no `Eq`; equal values must
/// hash alike.
pub trait Model:
    SequentialSpec<Op: Clone + Debug + Hash + PartialEq, Ret: Clone + Debug + Hash + PartialEq> + Clone + Hash + PartialEq
{
}

impl<M> Model for M where
    M: SequentialSpec<Op: Clone + Debug + Hash + PartialEq, Ret: Clone + Debug + Hash + PartialEq>
        + Clone
        + Hash
        + PartialEq
{
}

/// What an operation is to a register whose written values are unique, see [`Hints::role`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sets the state to one that does not depend on the state before, and answers the same wherever reads and writes
    /// lead.
    Write,
    /// Never changes the state; its answer is different for every state.
    Read,
    /// Anything else.
    Other,
}

/// Declarations about a model `M`. All are optional: the defaults declare nothing, and `()` is the type that leaves it at
/// that. A model of ours declares itself (`impl Hints<Self>`); for a model of another crate, implement this for a type of
/// your own.
///
/// A wrong declaration makes verdicts wrong. [`Options::verify`](super::Options::verify) makes the search assert what it
/// can.
pub trait Hints<M: SequentialSpec> {
    /// Names a part of the object; `()` if it has no parts.
    type Key: Clone + Debug + Ord;

    /// The part that `op` is about. If all operations of a history have one, every part is checked apart: the object must
    /// be a product, in which an operation on one part neither changes another nor depends on it.
    fn key(op: &M::Op) -> Option<Self::Key> {
        let _ = op;
        None
    }

    /// Whether `op` leaves *every* state in which it answers `ret` as it is; with `ret` `None`, every state at all.
    fn read_only(op: &M::Op, ret: Option<&M::Ret>) -> bool {
        let _ = (op, ret);
        false
    }

    /// Whether [`reach`](Self::reach) has something to say about the answers of `op`.
    fn observer(op: &M::Op) -> bool {
        let _ = op;
        false
    }

    /// Whether `op` may lead to states that [`reach`](Self::reach) does not foresee, but
    /// [`reach_after`](Self::reach_after) does.
    fn reset(op: &M::Op) -> bool {
        let _ = op;
        true
    }

    /// Whether operations other than [`reset`](Self::reset)s, or none, may lead from `state` to one in which the
    /// observer `op` answers `ret`. Only operations of the same [`key`](Self::key) matter.
    fn reach(state: &M, op: &M::Op, ret: &M::Ret) -> bool {
        let _ = (state, op, ret);
        true
    }

    /// Whether operations other than resets, or none, may lead from any state in which the [`reset`](Self::reset) `reset`
    /// has just taken effect to one in which the observer `op` answers `ret`.
    fn reach_after(reset: &M::Op, op: &M::Op, ret: &M::Ret) -> bool {
        let _ = (reset, op, ret);
        true
    }

    /// What `op` is to a register, for the check of registers with unique writes.
    fn role(op: &M::Op, ret: Option<&M::Ret>) -> Role {
        let _ = (op, ret);
        Role::Other
    }

    /// About how many bytes a state takes.
    fn bytes(state: &M) -> usize {
        size_of_val(state)
    }
}

impl<M: SequentialSpec> Hints<M> for () {
    type Key = ();
}
