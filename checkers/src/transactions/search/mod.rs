//! Snapshot isolation and serializability when the order of versions is not known.
//!
//! Transactions that overwrite registers blindly leave no trace of who wrote first. Each pair of writers is then a
//! choice: one came before the other and before it whoever read its version, or the mirror image. The history is legal
//! if the choices can be made so that no forbidden cycle arises: none of dependencies and anti-dependencies together for
//! serializability; none without two anti-dependencies in a row for snapshot isolation (Cerone and Gotsman, "Analysing
//! snapshot isolation"). Both are plain acyclicity here, because for snapshot isolation a transaction is two events, its
//! begin and its commit (as in Viper): a dependency leads from commit to begin, an anti-dependency from begin to commit,
//! and begin precedes commit.
//!
//! The way to an answer is that of `PolySI` and Cobra (generalized polygraphs), in three steps:
//!
//! 1. `graph`: a version whose writer read the version before it directly follows it, so whole chains of such writers
//!    are ordered as one. All readers of a chain's last version meet in one vertex, so that a choice costs two edges.
//! 2. `prune`: whatever would close a cycle with what is already known is forced the other way, until nothing more is.
//!    Reachability is computed in blocks of columns, so memory is bounded whatever the size of the history.
//! 3. `rest` and `solver`: the choices that are left and can be on a cycle go to a small conflict-driven search with an incremental order as its theory.
//!
//! Everything is deterministic and counted in steps; when the budget is spent, the answer is [`Decision::Unknown`].
//!
//! Who overwrites a version only to be overwritten unseen binds nobody: a transaction of unknown outcome that nobody
//! observed can always come last, so it may be given or left out, if nothing (no session order either) leaves it.
//! What is not done here: whether a value that was read was written at all, and by a committed transaction, and what a
//! transaction says of its own writes. That is for the caller to check before.

mod budget;
mod explain;
mod graph;
mod order;
mod prune;
mod rest;
mod solver;
#[cfg(test)]
mod tests;

use serde::Serialize;

use budget::Budget;
use graph::{Chain, Chains, GIVEN, Graph, Obstacle};
use prune::{Adjacency, Pruned};
use rest::{Rest, Variable};
use solver::Outcome;

/// Why one transaction is before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The second overwrote a version of the first.
    Ww,
    /// The second read a version of the first.
    Wr,
    /// The second overwrote a version that the first read: an anti-dependency. All others are dependencies.
    Rw,
    /// One client ran them in this order.
    Session,
    /// The first was over before the second began.
    RealTime,
}

/// One transaction is before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Arc {
    /// The earlier transaction.
    pub from: u32,
    /// The later transaction.
    pub to: u32,
    /// Why.
    pub kind: Kind,
    /// Whatever the caller needs to explain it; of an arc that the search found, the tag of the object.
    pub tag: u32,
}

/// A version of an object, with those who certainly read it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// The transaction that left it, which leaves no other version of this object.
    pub writer: u32,
    /// Who read it before writing the object itself, if at all. The writer's own reads do not count.
    pub readers: Vec<u32>,
}

/// A read that several versions explain: of an absent row that was deleted more than once, or by a predicate that does
/// not match what these versions hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsure {
    /// Who read.
    pub reader: u32,
    /// Whether it may have found the object as it was before every version.
    pub initial: bool,
    /// Which versions it may have read, as places in [`Object::versions`], in ascending order.
    pub versions: Vec<u32>,
    /// Whether it may come after those who overwrote what it read, as a read by predicate may under repeatable read.
    pub loose: bool,
}

/// Something that transactions read and overwrite, in an order of versions that is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object {
    /// Names it in [`Arc::tag`].
    pub tag: u32,
    /// Its versions, in any order, without the initial one.
    pub versions: Vec<Version>,
    /// Who certainly read the initial version.
    pub initial: Vec<u32>,
    /// Reads that more than one version explains.
    pub unsure: Vec<Unsure>,
}

/// What is known of a history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// How many transactions there are, numbered from 0. Numbers in the likely order of commit make the search faster.
    /// There may be more, e.g. the points in time that make a sparse real-time order.
    pub vertices: u32,
    /// What is before what, other than by the objects below.
    pub known: Vec<Arc>,
    /// What is read and written. Its arcs are not among those known.
    pub objects: Vec<Object>,
}

/// The two levels that make a search necessary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// No cycle at all.
    Serializable,
    /// No cycle but those with two anti-dependencies in a row.
    Snapshot,
}

/// Two writers whose order the observations force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Forced {
    /// The object, by its tag.
    pub tag: u32,
    /// What is so.
    pub order: Order,
    /// The cycle that the contrary would close, given what is known and forced before this. Empty if this is the only
    /// way left to explain a read.
    pub because: Vec<Arc>,
}

/// One of the two ways of a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The first transaction overwrote the object before the second did.
    Before(u32, u32),
    /// The transaction's version was there already when the second read.
    Seen(u32, u32),
    /// The transaction's version was not yet there when the second read.
    Unseen(u32, u32),
    /// The second read the version of the first (without one: the initial version), or one directly after it that
    /// explains the read as well.
    Read(Option<u32>, u32),
    /// The contrary.
    Unread(Option<u32>, u32),
}

/// Why no order of versions will do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refutation {
    /// What the observations force, as far as the end needs it, each after what it rests on.
    pub forced: Vec<Forced>,
    /// The contradiction.
    pub end: Contradiction,
}

/// How a refutation ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Contradiction {
    /// A forbidden cycle of what is known and forced.
    Cycle(Vec<Arc>),
    /// No version is left that explains a read.
    Unexplained {
        /// The object, by its tag.
        tag: u32,
        /// Who read it.
        reader: u32,
    },
    /// Either way of a choice leads to a contradiction.
    Cases {
        /// The object, by its tag.
        tag: u32,
        /// One way, and why it will not do.
        one: (Order, Box<Refutation>),
        /// The other way, and why it will not do.
        other: (Order, Box<Refutation>),
    },
    /// Too many cases to tell them apart: these choices, by object, cannot all be made.
    Choices(Vec<(u32, Order)>),
}

impl Refutation {
    /// A cycle that makes the contradiction visible: the end, or that of the first case.
    pub fn cycle(&self) -> &[Arc] {
        let mut refutation = self;
        loop {
            match &refutation.end {
                Contradiction::Cycle(cycle) => return cycle,
                Contradiction::Cases { one, .. } => refutation = &one.1,
                Contradiction::Unexplained { .. } | Contradiction::Choices(_) => return &[],
            }
        }
    }
}

/// The answer of [`decide`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// There is an order of versions without a forbidden cycle.
    Possible {
        /// For each object, its versions in such an order, as places in [`Object::versions`].
        orders: Vec<Vec<u32>>,
    },
    /// There is none.
    Impossible(Refutation),
    /// The search was cut off.
    Unknown {
        /// Why.
        reason: String,
        /// How many choices were open then.
        unresolved: usize,
    },
}

/// Looks for an order of versions under which a history is possible.
///
/// The budget counts steps of some nanoseconds each.
pub fn decide(problem: &Problem, isolation: Isolation, budget: u64) -> Decision {
    decide_until(problem, isolation, budget, &mut || false)
}

/// Like [`decide`], and gives up soon after `stop` says so. It is asked between slices of some milliseconds.
pub fn decide_until(problem: &Problem, isolation: Isolation, budget: u64, stop: &mut dyn FnMut() -> bool) -> Decision {
    let mut budget = Budget::new(budget, stop);
    let mut graph = match Graph::new(problem, isolation) {
        Ok(graph) => graph,
        Err(Obstacle::LostUpdate { tag, one, other }) => {
            return Decision::Impossible(explain::lost_update(tag, one, other));
        }
        Err(Obstacle::TooMany { chains }) => {
            let reason = format!("{chains} writers of one object in an unknown order are too many");
            return Decision::Unknown { reason, unresolved: chains * (chains - 1) / 2 };
        }
    };
    let spent = |budget: &Budget<'_>, unresolved| {
        let reason = format!("{} with {unresolved} orders of two writers open", budget.why());
        Decision::Unknown { reason, unresolved }
    };
    let mut decided = Vec::new();
    let order = match prune::prune(&mut graph, &mut decided, &mut budget) {
        Pruned::Cyclic => return Decision::Impossible(explain::cyclic(&graph, &decided)),
        Pruned::Spent => return spent(&budget, graph.open()),
        Pruned::Open { order } => order,
    };
    let mut rank = vec![0; order.len()];
    for (node, at) in order.iter().zip(0..) {
        rank[*node as usize] = at;
    }
    let rest = Rest::new(problem, &graph);
    match rest.solve(&graph, &rank, None, &mut budget) {
        Outcome::Satisfied(ways) => Decision::Possible { orders: witness(graph, &rest, &ways) },
        Outcome::Refuted(core) => {
            // Explaining must not cost more than finding.
            let refutation = explain::refuted(problem, &graph, &decided, &rest, &rank, core, &mut budget);
            Decision::Impossible(refutation)
        }
        Outcome::Spent => spent(&budget, rest.len()),
    }
}

/// The orders of versions that a solution stands for.
fn witness(mut graph: Graph, rest: &Rest, ways: &[bool]) -> Vec<Vec<u32>> {
    for (variable, way) in rest.variables.iter().zip(ways) {
        if let Variable::Choice(choice) = *variable {
            let edges = graph.chosen(choice, *way, GIVEN);
            graph.edges.extend(edges);
        }
    }
    let adjacency = Adjacency::new(graph.nodes as usize, &graph.edges, |edge| edge.from);
    let order = prune::sort(&graph, &graph.edges, &adjacency).expect("a solution has no cycle");
    let mut rank = vec![0; order.len()];
    for (node, at) in order.iter().zip(1u32..) {
        rank[*node as usize] = at;
    }
    let versions = |object: &Chains| {
        let place = |chain: &&Chain| chain.ends.map_or(0, |(head, _)| rank[graph.events.commit(head) as usize]);
        let mut chains: Vec<&Chain> = object.all.iter().collect();
        chains[1..].sort_by_key(place);
        chains.into_iter().flat_map(|chain| chain.versions.iter().copied()).collect()
    };
    graph.objects.iter().map(versions).collect()
}
