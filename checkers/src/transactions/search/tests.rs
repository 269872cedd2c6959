use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Numbers that look random and follow from a seed (`SplitMix64`).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) % u64::from(limit)) as u32
    }

    fn one_in(&mut self, chances: u32) -> bool {
        self.below(chances) == 0
    }
}

/// A small problem, with several versions for some reads if `unsure`.
fn random(seed: u64, unsure: bool) -> Problem {
    let random = &mut Random(seed);
    let vertices = 2 + random.below(5);
    let mut problem = Problem { vertices, ..Problem::default() };
    for from in 0..vertices {
        for to in 0..vertices {
            if from != to && random.one_in(16) {
                let kind = [Kind::Session, Kind::RealTime, Kind::Rw][random.below(3) as usize];
                problem.known.push(Arc { from, to, kind, tag: 100 });
            }
        }
    }
    for tag in 0..=random.below(3) {
        let mut object = Object { tag, ..Object::default() };
        for writer in 0..vertices {
            if random.one_in(2) && object.versions.len() < 3 {
                object.versions.push(Version { writer, readers: Vec::new() });
            }
        }
        let count = object.versions.len() as u32;
        for reader in 0..vertices {
            if random.one_in(2) {
                continue;
            }
            if unsure && random.one_in(2) {
                let versions: Vec<u32> = (0..count).filter(|_| random.one_in(2)).collect();
                let initial = random.one_in(2);
                object.unsure.push(Unsure { reader, initial, versions, loose: random.one_in(4) });
                continue;
            }
            match random.below(count + 1) {
                0 => object.initial.push(reader),
                version => object.versions[version as usize - 1].readers.push(reader),
            }
        }
        problem.objects.push(object);
    }
    problem
}

fn permutations(items: &[u32]) -> Vec<Vec<u32>> {
    let Some((first, others)) = items.split_first() else { return vec![Vec::new()] };
    let shorter = permutations(others);
    let places = |short: &Vec<u32>| {
        (0..=short.len()).map(|at| [&short[..at], &[*first], &short[at..]].concat()).collect::<Vec<_>>()
    };
    shorter.iter().flat_map(places).collect()
}

/// All arcs of an object, by the definitions, if its versions come in this order, for each way to explain its reads.
fn arcs_of(object: &Object, order: &[u32]) -> Vec<Vec<Arc>> {
    let writers: Vec<u32> = order.iter().map(|at| object.versions[*at as usize].writer).collect();
    let tag = object.tag;
    let mut sure = Vec::new();
    for (at, from) in writers.iter().enumerate() {
        sure.extend(writers[at + 1..].iter().map(|to| Arc { from: *from, to: *to, kind: Kind::Ww, tag }));
    }
    // A read of the version at a place in the order, or of the initial version.
    let read = |reader: u32, version: Option<usize>, loose: bool| {
        let from = version.map(|at| Arc { from: writers[at], to: reader, kind: Kind::Wr, tag });
        let later = writers[if loose { writers.len() } else { version.map_or(0, |at| at + 1) }..].iter();
        let later = later.map(|to| Arc { from: reader, to: *to, kind: Kind::Rw, tag });
        from.into_iter().chain(later).filter(|arc| arc.from != arc.to).collect::<Vec<Arc>>()
    };
    for &reader in &object.initial {
        sure.extend(read(reader, None, false));
    }
    for (at, version) in order.iter().enumerate() {
        for &reader in &object.versions[*version as usize].readers {
            sure.extend(if reader == writers[at] { Vec::new() } else { read(reader, Some(at), false) });
        }
    }
    let mut ways = vec![sure];
    for unsure in &object.unsure {
        let mut explained: Vec<Vec<Arc>> = Vec::new();
        if unsure.initial {
            explained.push(read(unsure.reader, None, unsure.loose));
        }
        for (at, version) in order.iter().enumerate() {
            if unsure.versions.contains(version) && writers[at] != unsure.reader {
                explained.push(read(unsure.reader, Some(at), unsure.loose));
            }
        }
        ways = ways.iter().flat_map(|way| explained.iter().map(|more| [&way[..], &more[..]].concat())).collect();
    }
    ways
}

/// Whether arcs have no forbidden cycle, by the definition: of `D ∪ Rw`, or of `D ; Rw?`.
fn is_legal(vertices: u32, arcs: &[Arc], isolation: Isolation) -> bool {
    let pairs: Vec<(u32, u32)> = match isolation {
        Isolation::Serializable => arcs.iter().map(|arc| (arc.from, arc.to)).collect(),
        Isolation::Snapshot => {
            let dependencies = || arcs.iter().filter(|arc| arc.kind != Kind::Rw);
            let after = |arc: &Arc| {
                let start = arc.to;
                arcs.iter().filter(move |next| next.kind == Kind::Rw && next.from == start).map(|next| next.to)
            };
            let composed = dependencies().flat_map(|arc| after(arc).map(|to| (arc.from, to)));
            dependencies().map(|arc| (arc.from, arc.to)).chain(composed).collect()
        }
    };
    let mut left: BTreeSet<u32> = (0..vertices).collect();
    while let Some(first) =
        left.iter().copied().find(|to| !pairs.iter().any(|(from, at)| at == to && left.contains(from)))
    {
        left.remove(&first);
    }
    left.is_empty()
}

fn ways(problem: &Problem, orders: &[Vec<u32>]) -> Vec<Vec<Arc>> {
    let mut ways = vec![problem.known.clone()];
    for (object, order) in problem.objects.iter().zip(orders) {
        let more = arcs_of(object, order);
        ways = ways.iter().flat_map(|way| more.iter().map(|more| [&way[..], &more[..]].concat())).collect();
    }
    ways
}

fn fits(problem: &Problem, orders: &[Vec<u32>], isolation: Isolation) -> bool {
    ways(problem, orders).iter().any(|arcs| is_legal(problem.vertices, arcs, isolation))
}

/// Tries every order.
fn brute_force(problem: &Problem, isolation: Isolation) -> bool {
    let mut all = vec![Vec::new()];
    for object in &problem.objects {
        let orders = permutations(&(0..object.versions.len() as u32).collect::<Vec<_>>());
        all = all
            .iter()
            .flat_map(|before: &Vec<Vec<u32>>| {
                orders.iter().map(|order| before.iter().cloned().chain([order.clone()]).collect())
            })
            .collect();
    }
    all.iter().any(|orders| fits(problem, orders, isolation))
}

/// Follows a refutation step by step, and believes nothing.
struct Proof<'a> {
    problem: &'a Problem,
    isolation: Isolation,
}

impl Proof<'_> {
    fn object(&self, tag: u32) -> &Object {
        self.problem.objects.iter().find(|object| object.tag == tag).expect("an object has this tag")
    }

    /// Who certainly read a version of an object, or its initial version.
    fn read(&self, tag: u32, reader: u32) -> Vec<Option<u32>> {
        let object = self.object(tag);
        let versions = object.versions.iter().filter(|version| version.readers.contains(&reader));
        let initial = object.initial.contains(&reader).then_some(None);
        versions.map(|version| Some(version.writer)).chain(initial).collect()
    }

    /// Whether one writer is certainly before another, given some orders.
    fn before(&self, tag: u32, orders: &[(u32, Order)], one: u32, other: u32) -> bool {
        let object = self.object(tag);
        let writers: Vec<u32> = object.versions.iter().map(|version| version.writer).collect();
        // Who read a version and overwrote it comes right after it, so nobody is between.
        let mut direct = Vec::new();
        for version in &object.versions {
            let readers = version.readers.iter().filter(|reader| **reader != version.writer);
            direct.extend(readers.filter(|reader| writers.contains(reader)).map(|reader| (version.writer, *reader)));
        }
        let mut known: BTreeSet<(u32, u32)> = direct.iter().copied().collect();
        known.extend(orders.iter().filter(|(at, _)| *at == tag).filter_map(|(_, order)| match *order {
            Order::Before(from, to) => Some((from, to)),
            _ => None,
        }));
        for &first in object.initial.iter().filter(|reader| writers.contains(reader)) {
            known.extend(writers.iter().filter(|writer| **writer != first).map(|writer| (first, *writer)));
        }
        loop {
            let mut more = known.clone();
            for &(from, to) in &known {
                more.extend(known.iter().filter(|pair| pair.0 == to).map(|pair| (from, pair.1)));
                more.extend(direct.iter().filter(|pair| pair.1 == to && pair.0 != from).map(|pair| (from, pair.0)));
                more.extend(direct.iter().filter(|pair| pair.0 == from && pair.1 != to).map(|pair| (pair.1, to)));
            }
            if more.len() == known.len() {
                return known.contains(&(one, other));
            }
            known = more;
        }
    }

    fn follows(&self, arc: &Arc, orders: &[(u32, Order)]) -> bool {
        if self.problem.known.contains(arc) {
            return true;
        }
        let Arc { from, to, kind, tag } = *arc;
        match kind {
            Kind::Ww => self.before(tag, orders, from, to),
            Kind::Wr => self.read(tag, to).contains(&Some(from)) || orders.contains(&(tag, Order::Seen(from, to))),
            Kind::Rw => {
                let is_later = |version: Option<u32>| {
                    version.is_none_or(|version| version != to && self.before(tag, orders, version, to))
                };
                self.read(tag, from).into_iter().any(is_later) || orders.contains(&(tag, Order::Unseen(to, from)))
            }
            Kind::Session | Kind::RealTime => false,
        }
    }

    #[track_caller]
    fn cycle(&self, cycle: &[Arc], orders: &[(u32, Order)]) {
        assert!(!cycle.is_empty());
        for (at, arc) in cycle.iter().enumerate() {
            let next = &cycle[(at + 1) % cycle.len()];
            assert_eq!(arc.to, next.from, "{cycle:?}");
            assert!(self.follows(arc, orders), "{arc:?} of {cycle:?} given {orders:?}: {:#?}", self.problem);
            let adjacent = arc.kind == Kind::Rw && next.kind == Kind::Rw;
            assert!(self.isolation == Isolation::Serializable || !adjacent, "{cycle:?}");
        }
    }

    fn check(&self, refutation: &Refutation, orders: &mut Vec<(u32, Order)>) {
        let length = orders.len();
        for Forced { tag, order, because } in &refutation.forced {
            let contrary = match *order {
                Order::Before(one, other) => Some(Order::Before(other, one)),
                Order::Seen(writer, reader) => Some(Order::Unseen(writer, reader)),
                Order::Unseen(writer, reader) => Some(Order::Seen(writer, reader)),
                Order::Read(..) | Order::Unread(..) => None,
            };
            if let Some(contrary) = contrary.filter(|_| !because.is_empty()) {
                orders.push((*tag, contrary));
                self.cycle(because, orders);
                orders.pop();
            } else {
                assert!(because.is_empty() && self.problem.objects.iter().any(|object| !object.unsure.is_empty()));
            }
            orders.push((*tag, *order));
        }
        match &refutation.end {
            Contradiction::Cycle(cycle) => self.cycle(cycle, orders),
            Contradiction::Cases { tag, one, other } => {
                for (order, refutation) in [one, other] {
                    orders.push((*tag, *order));
                    self.check(refutation, orders);
                    orders.pop();
                }
            }
            Contradiction::Unexplained { tag, reader } => {
                assert!(self.object(*tag).unsure.iter().any(|unsure| unsure.reader == *reader));
            }
            Contradiction::Choices(choices) => assert!(!choices.is_empty()),
        }
        orders.truncate(length);
    }
}

#[track_caller]
fn agree(problem: &Problem) -> [bool; 2] {
    [Isolation::Serializable, Isolation::Snapshot].map(|isolation| {
        let legal = brute_force(problem, isolation);
        match decide(problem, isolation, 1_000_000) {
            Decision::Possible { orders } => {
                assert!(legal, "{isolation:?} is impossible: {problem:#?}");
                assert!(fits(problem, &orders, isolation), "{isolation:?} {orders:?}: {problem:#?}");
            }
            Decision::Impossible(refutation) => {
                assert!(!legal, "{isolation:?} is possible, not {refutation:#?}: {problem:#?}");
                Proof { problem, isolation }.check(&refutation, &mut Vec::new());
            }
            Decision::Unknown { reason, .. } => panic!("{reason}: {problem:#?}"),
        }
        legal
    })
}

#[test]
fn agrees_with_trying_every_order() {
    let mut verdicts = BTreeMap::new();
    for (seed, unsure) in (0..4_000).flat_map(|seed| [(seed, false), (seed, true)]) {
        *verdicts.entry(agree(&random(seed, unsure))).or_insert(0) += 1;
    }
    assert!(verdicts.values().all(|count| *count > 100), "{verdicts:?}");
}
