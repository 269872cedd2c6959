//! Adya's levels that no run of the transactions explains, by his graphs: all orders of versions are tried, and the
//! edges that a level forbids cycles of are looked at.
//!
//! A row that the answer to a predicate read lacks gives a dependency on the version that took it out of the answer, and
//! an anti-dependency that only the levels above repeatable read look at. Rows in the answer were read by themselves.

use std::collections::{BTreeMap, BTreeSet};

use checkers::history::Micro;

use crate::oracle::{Committed, Left, Object, permutations};
use crate::versions::{choices, is_prefix, readings};

/// The edges of one way in which a history may have come about.
struct Graph {
    dependencies: BTreeSet<(usize, usize)>,
    /// Anti-dependencies of reads of single objects, with the object.
    unread: BTreeSet<(usize, usize, Object)>,
    /// Writes over writes, by object.
    overwrites: BTreeSet<(usize, usize, Object)>,
}

/// PL-2: no cycle of dependencies.
pub fn is_read_committed(committed: &Committed) -> bool {
    exists(committed, |graph| is_acyclic(graph.dependencies.clone()))
}

/// PL-CS if every read was through a cursor: besides, no cycle of one anti-dependency and overwrites of one object.
pub fn is_cursor_stable(committed: &Committed) -> bool {
    exists(committed, |graph| {
        is_acyclic(graph.dependencies.clone())
            && graph.unread.iter().all(|(from, to, object)| {
                let own = graph.overwrites.iter().filter(|(_, _, at)| at == object).map(|(from, to, _)| (*from, *to));
                is_acyclic(own.chain([(*from, *to)]).collect())
            })
    })
}

/// PL-2.99: no cycle of dependencies and anti-dependencies of single objects.
pub fn is_repeatable(committed: &Committed) -> bool {
    exists(committed, |graph| {
        is_acyclic(
            graph.dependencies.iter().copied().chain(graph.unread.iter().map(|(from, to, _)| (*from, *to))).collect(),
        )
    })
}

fn is_acyclic(mut edges: BTreeSet<(usize, usize)>) -> bool {
    loop {
        let targets: BTreeSet<usize> = edges.iter().map(|(_, to)| *to).collect();
        let size = edges.len();
        edges.retain(|(from, _)| targets.contains(from));
        if edges.is_empty() || edges.len() == size {
            return edges.is_empty();
        }
    }
}

/// Whether there is a way without the forbidden.
fn exists(committed: &Committed, is_fine: impl Fn(&Graph) -> bool) -> bool {
    let Some(readings) = readings(committed) else { return false };
    let written: Vec<BTreeMap<Object, Left>> =
        (0..committed.transactions.len()).map(|at| committed.written(at)).collect();
    let mut orders: Vec<BTreeMap<Object, Vec<usize>>> = vec![BTreeMap::new()];
    for object in committed.objects() {
        let writers: Vec<usize> = (0..written.len()).filter(|at| written[*at].contains_key(&object)).collect();
        let mut ways = permutations(&writers);
        ways.retain(|way| {
            committed.initial().is_none_or(|initial| !way.contains(&initial) || way.first() == Some(&initial))
        });
        let longer = |order: &BTreeMap<Object, Vec<usize>>| {
            let ways = ways.iter().map(|way| order.clone().into_iter().chain([(object, way.clone())]).collect());
            ways.collect::<Vec<BTreeMap<Object, Vec<usize>>>>()
        };
        orders = orders.iter().flat_map(longer).collect();
    }
    let choices = choices(&readings);
    orders.iter().any(|orders| {
        choices.iter().any(|choice| {
            let reads = || readings.iter().zip(choice);
            reads().all(|(reading, version)| is_prefix(committed, reading, *version, &orders[&reading.object]))
                && is_fine(&graph(committed, orders, &written, reads()))
        })
    })
}

fn graph<'a>(
    committed: &Committed,
    orders: &BTreeMap<Object, Vec<usize>>,
    written: &[BTreeMap<Object, Left>],
    reads: impl Iterator<Item = (&'a crate::versions::Reading, &'a Option<usize>)>,
) -> Graph {
    let mut graph = Graph { dependencies: BTreeSet::new(), unread: BTreeSet::new(), overwrites: BTreeSet::new() };
    for (object, order) in orders {
        for (at, from) in order.iter().enumerate() {
            graph.overwrites.extend(order[at + 1..].iter().map(|to| (*from, *to, *object)));
        }
    }
    if let Some(initial) = committed.initial() {
        let others = (0..written.len()).filter(|other| *other != initial);
        graph.dependencies.extend(others.map(|other| (initial, other)));
    }
    graph.dependencies.extend(graph.overwrites.iter().map(|(from, to, _)| (*from, *to)));
    for (reading, version) in reads {
        let order = &orders[&reading.object];
        let upto = version.and_then(|version| order.iter().position(|at| *at == version)).map_or(0, |at| at + 1);
        let reader = reading.reader;
        if let Some(place) = reading.missed {
            let Micro::ReadRows { predicate, .. } = &committed.transactions[reader].operations[place] else { continue };
            let matches = |at: &usize| match &written[order[*at]][&reading.object] {
                Left::Value(value) => predicate.matches(*value),
                Left::Elements(_) => false,
            };
            // The last version that took the row out of the answer.
            let changed = (1..upto).rev().find(|at| !matches(at) && matches(&(at - 1)));
            graph.dependencies.extend(changed.map(|at| (order[at], reader)).filter(|(from, to)| from != to));
            continue;
        }
        graph.dependencies.extend(version.map(|version| (version, reader)));
        let later = order[upto..].iter().filter(|writer| **writer != reader);
        graph.unread.extend(later.map(|writer| (reader, *writer, reading.object)));
    }
    graph
}
