//! For every operation, the longest legal order that it is on: what an interactive picture of a history shows, after
//! porcupine's visualisation.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::decide::{parts, search};
use super::model::{Hints, Model};
use super::search::Progress;
use super::{Operation, Options};

/// Legal orders of parts of a history. Operations are places in the history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partials {
    /// The orders: each is legal and keeps to real time as far as it goes, and has all operations that returned before
    /// any of its own was called. One of an object's part has operations of that part only.
    pub orders: Vec<Vec<usize>>,
    /// By operation: the longest of them that it is on, as a place in `orders`; `None` if it is on none.
    pub longest: Vec<Option<usize>>,
    /// Whether all that the search distinguishes was looked at.
    pub complete: bool,
}

/// Searches for the longest legal order with each operation; also on a history that is not linearizable, which is what
/// it is for. What it explores is limited by `options` for each part of the object.
pub fn partials<M: Model, H: Hints<M>>(
    model: &M,
    operations: &[Operation<M::Op, M::Ret>],
    options: &Options,
) -> Partials {
    let mut found = Partials { orders: Vec::new(), longest: vec![None; operations.len()], complete: true };
    for part in parts::<M, H>(model, operations, options) {
        let mut search = search::<M, H>(&part.model, &part.calls, options.prunings, options.verify);
        search.keep_partials();
        found.complete &= search.run(options.configurations) != Progress::More;
        // Many operations share an order.
        let mut known: BTreeMap<*const u32, usize> = BTreeMap::new();
        for (place, order) in search.partials() {
            let at = *known.entry(Rc::as_ptr(&order).cast()).or_insert_with(|| {
                found.orders.push(order.iter().map(|element| search.place(*element)).collect());
                found.orders.len() - 1
            });
            found.longest[place] = Some(at);
        }
    }
    found
}

/// When each operation of a legal `order` may be thought to take effect: the earliest moments that keep the order, none of
/// them before the operation's call or after its return. In the same units as the history's times.
pub fn moments<I, O>(operations: &[Operation<I, O>], order: &[usize]) -> Vec<u64> {
    let mut now = 0;
    let moment = |place: &usize| {
        now = now.max(operations[*place].invoke);
        now
    };
    order.iter().map(moment).collect()
}
