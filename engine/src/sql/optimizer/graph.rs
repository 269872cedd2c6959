//! What inner joins next to each other consist of: relations, and conditions between them.

use super::super::algebra::{Binary, Expr, JoinKind, Node, Scan};
use super::estimate::Estimate;

/// What is joined.
pub(super) struct Relation {
    /// As it came: for a lookup for each row of the other side.
    pub raw: Option<Scan>,
    pub node: Node,
    pub estimate: Estimate,
    pub kind: JoinKind,
    /// The number of its first column among those of all relations.
    pub base: usize,
    /// The condition of a semijoin or antijoin.
    pub on: Vec<Expr>,
    /// The relations that it needs.
    pub needs: u64,
    /// The share of rows that stay.
    pub share: f64,
}

/// A condition between relations, over the columns of all.
pub(super) struct Condition {
    pub expr: Expr,
    pub relations: u64,
    pub share: f64,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Method {
    NestedLoop,
    Lateral,
    Hash,
}

/// The best tree over some relations.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub relations: u64,
    pub rows: f64,
    pub cost: f64,
    /// The sides of the topmost join; none for one relation.
    pub join: Option<(u64, u64, Method)>,
}

/// Relations, and conditions between them.
#[derive(Default)]
pub(super) struct Graph {
    pub relations: Vec<Relation>,
    pub conditions: Vec<Condition>,
    /// Conditions that can fail, in the order in which they are evaluated: after all others.
    pub last: Vec<Expr>,
    /// The relation of each column.
    pub owners: Vec<usize>,
}

impl Relation {
    pub fn is_inner(&self) -> bool {
        self.kind == JoinKind::Inner
    }

    pub fn take(&mut self) -> (Node, Vec<usize>) {
        let columns = (self.base..self.base + self.node.width()).collect();
        (std::mem::replace(&mut self.node, Node::Nothing { width: 0 }), columns)
    }
}

impl Graph {
    pub fn relations_of(&self, condition: &Expr) -> u64 {
        let mut relations = 0;
        condition.for_each_column(&mut |column| relations |= 1 << self.owners[column]);
        relations
    }

    /// How many rows come of some relations, in whatever order they are joined.
    pub fn rows(&self, relations: u64) -> f64 {
        let mut rows = 1.0;
        for (_, relation) in self.relations.iter().enumerate().filter(|(number, _)| relations >> number & 1 == 1) {
            rows *= if relation.is_inner() { relation.estimate.rows } else { relation.share };
        }
        let within = self.conditions.iter().filter(|condition| condition.relations & !relations == 0);
        within.fold(rows, |rows, condition| rows * condition.share)
    }

    /// The conditions that two parts have between them.
    pub fn between(&self, left: u64, right: u64) -> Vec<&Expr> {
        if right.is_power_of_two()
            && let relation = &self.relations[right.trailing_zeros() as usize]
            && !relation.is_inner()
        {
            return relation.on.iter().collect();
        }
        let both = left | right;
        let new = |condition: &&Condition| {
            condition.relations & !both == 0 && condition.relations & left != 0 && condition.relations & right != 0
        };
        self.conditions.iter().filter(new).map(|condition| &condition.expr).collect()
    }

    /// The keys that a condition is the equality of, one of either part.
    pub fn keys<'e>(&self, condition: &'e Expr, left: u64, right: u64) -> Option<(&'e Expr, &'e Expr)> {
        let Expr::Binary(Binary::Equal, a, b) = condition else { return None };
        let (of_a, of_b) = (self.relations_of(a), self.relations_of(b));
        let within = |relations: u64, part: u64| relations != 0 && relations & !part == 0;
        if within(of_a, left) && within(of_b, right) {
            Some((a, b))
        } else if within(of_a, right) && within(of_b, left) {
            Some((b, a))
        } else {
            None
        }
    }
}
