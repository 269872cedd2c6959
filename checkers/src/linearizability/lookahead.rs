//! Cuts configurations whose state already contradicts the answer of an operation that is yet to come.
//!
//! The next observer of a part of the object that has not taken effect must find a state in which it answers what it
//! did. The model may know that neither the present state leads there, nor any reset of that part that can come between.

use super::bits::Bits;
use super::model::{Hints, Model};
use super::plan::Plan;

/// What matters of one part of the object.
#[derive(Clone, Default)]
struct Group {
    /// Ranks of observers.
    observers: Vec<u32>,
    /// Ranks of completed resets, and by place in it from when on the earliest of this and the later ones is called.
    resets: Vec<u32>,
    earliest: Vec<u32>,
    /// Places of crashed resets.
    crashed: Vec<u32>,
}

pub(super) struct Lookahead(Vec<Group>);

impl Lookahead {
    /// `None` if nothing is declared.
    pub(super) fn new<M: Model>(plan: &Plan<'_, M>) -> Option<Self> {
        if !plan.classes.iter().any(|class| class.observer) {
            return None;
        }
        let mut groups = vec![Group::default(); plan.groups];
        for (rank, class) in plan.class.iter().enumerate() {
            let class = &plan.classes[*class as usize];
            let group = &mut groups[class.group as usize];
            if class.observer {
                group.observers.push(rank as u32);
            }
            if class.reset {
                group.resets.push(rank as u32);
            }
        }
        for (place, class) in plan.crashed_class.iter().enumerate() {
            let class = &plan.classes[*class as usize];
            if class.reset {
                groups[class.group as usize].crashed.push(place as u32);
            }
        }
        for group in &mut groups {
            let mut earliest = u32::MAX;
            group.earliest = group
                .resets
                .iter()
                .rev()
                .map(|rank| {
                    earliest = earliest.min(plan.first[*rank as usize]);
                    earliest
                })
                .collect();
            group.earliest.reverse();
        }
        Some(Self(groups))
    }

    /// Whether `state`, of a configuration with these `returned`, `done` and `used` operations, contradicts what comes.
    pub(super) fn contradicts<M: Model, H: Hints<M>, B: Bits>(
        &self,
        plan: &Plan<'_, M>,
        group: u32,
        (returned, done, used): (u32, &B, &B),
        state: &M,
    ) -> bool {
        let group = &self.0[group as usize];
        let took_effect = |rank: u32| plan.first[rank as usize] <= returned && done.contains(plan.slot[rank as usize]);
        let from = group.observers.partition_point(|rank| *rank < returned);
        let Some(&observer) = group.observers[from..].iter().find(|rank| !took_effect(**rank)) else { return false };
        let class = &plan.classes[plan.class[observer as usize] as usize];
        let Some(ret) = class.ret else { return false };
        if H::reach(state, class.op, ret) {
            return false;
        }
        let leads = |reset: u32| H::reach_after(plan.classes[reset as usize].op, class.op, ret);
        let from = group.resets.partition_point(|rank| *rank < returned);
        for (rank, earliest) in group.resets[from..].iter().zip(&group.earliest[from..]) {
            if *earliest > observer {
                break;
            }
            if plan.first[*rank as usize] <= observer && !took_effect(*rank) && leads(plan.class[*rank as usize]) {
                return false;
            }
        }
        let late = |place: u32| plan.crashed_first[place as usize] > observer || used.contains(place);
        group.crashed.iter().all(|place| late(*place) || !leads(plan.crashed_class[*place as usize]))
    }
}
