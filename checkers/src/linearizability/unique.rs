//! Registers whose written values are unique, decided without a search in O(n log n).
//!
//! After Gibbons and Korach, "Testing shared memories" (1997). A write and the reads that saw its value are a *cluster*;
//! in every legal order a cluster is one piece. Let `first` be its first return and `last` its last call: one cluster must
//! precede another if its `first` is before the other's `last`. The history is linearizable if and only if no read returned
//! before its write was called, and no two clusters must precede each other. If `first` is before `last`, the cluster's
//! zone is *forward*, else *backward*; two backward zones never conflict, so it is enough that forward zones are disjoint
//! and that no backward zone lies inside a forward one. Times that are equal are concurrent.
//!
//! A crashed write that nobody saw need not have happened. One that somebody saw took effect before the first return of
//! those reads. Crashed reads say nothing. What else there is (compare-and-set, two writes of one value, a write of the
//! initial value) is left to the search.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use rustc_hash::FxBuildHasher;
use std::hash::BuildHasher;

use super::model::{Hints, Model, Role};
use super::plan::Call;

/// What was found.
pub(super) enum Unique {
    /// It is not a register with unique writes.
    Other,
    /// A legal order, as places in the history.
    Legal(Vec<usize>),
    Illegal,
}

/// A write and the reads that saw it; the initial value has no write.
struct Cluster<'a, 'c, M: Model> {
    write: Option<&'c Call<'a, M>>,
    reads: Vec<&'c Call<'a, M>>,
    first: u64,
    last: u64,
}

impl<M: Model> Cluster<'_, '_, M> {
    fn forward(&self) -> bool {
        self.first < self.last
    }
}

/// Decides whether `calls` are linearizable if all are reads, and writes of different values.
pub(super) fn decide<M: Model, H: Hints<M>>(model: &M, calls: &[Call<'_, M>]) -> Unique {
    let Some(mut clusters) = clusters::<M, H>(model, calls) else { return Unique::Other };
    let Some(clusters) = &mut clusters else { return Unique::Illegal };
    for cluster in clusters.iter_mut() {
        cluster.first = cluster.reads.iter().map(|read| read.complete).min().unwrap_or(u64::MAX);
        cluster.last = cluster.reads.iter().map(|read| read.invoke).max().unwrap_or(0);
        match cluster.write {
            None => cluster.first = 0,
            Some(write) => {
                if cluster.first < write.invoke {
                    return Unique::Illegal;
                }
                if write.ret.is_some() {
                    cluster.first = cluster.first.min(write.complete);
                }
                cluster.last = cluster.last.max(write.invoke);
            }
        }
    }
    // Those that must precede come first: forward zones by their beginnings, and a backward zone where it can be earliest.
    // The initial value was there before anything was called.
    let key =
        |cluster: &Cluster<'_, '_, M>| (cluster.write.is_some(), cluster.first.min(cluster.last), cluster.forward());
    clusters.sort_by_key(key);
    let mut end = 0;
    for cluster in clusters.iter() {
        // `end` is the latest end of the forward zones that begin before this zone does.
        if cluster.first < end {
            return Unique::Illegal;
        }
        if cluster.forward() || cluster.write.is_none() {
            end = end.max(cluster.last);
        }
    }
    let mut order = Vec::with_capacity(calls.len());
    for cluster in clusters.iter_mut() {
        order.extend(cluster.write.map(|write| write.place));
        cluster.reads.sort_by_key(|read| (read.invoke, read.place));
        order.extend(cluster.reads.iter().map(|read| read.place));
    }
    Unique::Legal(order)
}

/// The clusters that matter; `Some(None)` if a read saw what nobody wrote, `None` if this is no such register.
#[expect(clippy::option_option, reason = "two ways to have none")]
fn clusters<'a, 'c, M: Model, H: Hints<M>>(
    model: &M,
    calls: &'c [Call<'a, M>],
) -> Option<Option<Vec<Cluster<'a, 'c, M>>>> {
    let read = calls.iter().find(|call| H::role(call.op, call.ret) == Role::Read).map(|call| call.op);
    let same = |call: &Call<'_, M>| match H::role(call.op, call.ret) {
        Role::Read => read == Some(call.op),
        Role::Write => true,
        Role::Other => false,
    };
    if !calls.iter().all(same) {
        return None;
    }
    let new = |write| Cluster { write, reads: Vec::new(), first: 0, last: 0 };
    let Some(read) = read else {
        // Nobody looks.
        let writes: Vec<_> = calls.iter().filter(|call| call.ret.is_some()).collect();
        let answers = |write: &&Call<'_, M>| write.ret == Some(&model.clone().invoke(write.op));
        let legal = writes.iter().all(answers);
        return Some(legal.then(|| writes.into_iter().map(|write| new(Some(write))).collect()));
    };
    let hasher = FxBuildHasher;
    // The clusters by what their reads see.
    let mut seen: Vec<M::Ret> = vec![model.clone().invoke(read)];
    let mut places: HashTable<u32> = HashTable::new();
    places.insert_unique(hasher.hash_one(&seen[0]), 0, |_| 0);
    let mut clusters = vec![new(None)];
    for call in calls.iter().filter(|call| H::role(call.op, call.ret) == Role::Write) {
        let mut state = model.clone();
        let answer = state.invoke(call.op);
        if call.ret.is_some_and(|ret| *ret != answer) {
            return Some(None);
        }
        let value = state.invoke(read);
        match places.entry(
            hasher.hash_one(&value),
            |place| seen[*place as usize] == value,
            |place| hasher.hash_one(&seen[*place as usize]),
        ) {
            Entry::Occupied(_) => return None,
            Entry::Vacant(entry) => {
                entry.insert(clusters.len() as u32);
                seen.push(value);
                clusters.push(new(Some(call)));
            }
        }
    }
    for call in calls.iter().filter(|call| H::role(call.op, call.ret) == Role::Read) {
        let Some(ret) = call.ret else { continue };
        let found = places.find(hasher.hash_one(ret), |place| seen[*place as usize] == *ret);
        let Some(place) = found else { return Some(None) };
        clusters[*place as usize].reads.push(call);
    }
    clusters.retain(|cluster| !cluster.reads.is_empty() || cluster.write.is_some_and(|write| write.ret.is_some()));
    Some(Some(clusters))
}
