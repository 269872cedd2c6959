use super::*;

/// Numbers that follow from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(limit)) as u32
    }
}

fn random(seed: u64) -> Observations {
    let random = &mut Random(seed);
    let transactions = 2 + random.below(4);
    let sessions = 1 + random.below(3);
    let objects = 1 + random.below(3);
    let mut observations = Observations { sessions: vec![Vec::new(); sessions as usize], ..Observations::default() };
    for transaction in 0..transactions {
        let session = random.below(sessions);
        let line = &mut observations.sessions[session as usize];
        observations.places.push(Place { session, before: line.len() as u32 });
        if random.below(8) > 0 {
            line.push(transaction);
        }
        observations.writes.push((0..objects).filter(|_| random.below(2) == 0).collect());
    }
    if random.below(4) == 0 && observations.places[0].before == 0 {
        observations.initial = Some(0);
        observations.writes[0] = (0..objects).collect();
    }
    for reader in 0..transactions {
        let mut reads = Vec::new();
        let count = if observations.initial == Some(reader) { 0 } else { random.below(4) };
        for step in 0..count {
            let object = random.below(objects);
            let writers = (0..transactions)
                .filter(|writer| *writer != reader && observations.writes[*writer as usize].contains(&object));
            let mut choices: Vec<Option<u32>> = writers.map(Some).collect();
            choices.push(None);
            // Mostly what numbers suggest, so that some histories are legal.
            let likely = choices.iter().copied().filter(|writer| *writer < Some(reader)).max().flatten();
            let writer =
                if random.below(3) > 0 { likely } else { choices[random.below(choices.len() as u32) as usize] };
            // Some steps show several objects.
            let together = reads
                .last()
                .map(|read: &Seen| read.step)
                .filter(|step| !reads.iter().any(|read| read.step == *step && read.object == object));
            let step = together.filter(|_| random.below(3) == 0).unwrap_or(step);
            reads.push(Seen { step, object, writer });
        }
        observations.reads.push(reads);
    }
    if random.below(4) == 0 {
        let (from, to) = (random.below(transactions), random.below(transactions));
        if from != to {
            observations.known.push(Arc { from, to, kind: Kind::Ww, tag: 0 });
        }
    }
    observations
}

/// Whether one transaction is before another in a session.
fn in_session(observations: &Observations, one: u32, other: u32) -> bool {
    let place = observations.places[other as usize];
    let before = &observations.sessions[place.session as usize][..place.before as usize];
    one != other && (before.contains(&one) || observations.initial == Some(one))
}

fn reads_from(observations: &Observations, writer: u32, reader: u32) -> bool {
    observations.reads[reader as usize].iter().any(|read| read.writer == Some(writer))
}

fn follows(observations: &Observations, one: u32, other: u32) -> bool {
    let count = observations.places.len() as u32;
    let mut reached = vec![one];
    let mut at = 0;
    while at < reached.len() {
        let from = reached[at];
        let more = (0..count).filter(|to| in_session(observations, from, *to) || reads_from(observations, from, *to));
        let more: Vec<u32> = more.filter(|to| !reached[1..].contains(to)).collect();
        reached.extend(more);
        at += 1;
    }
    reached[1..].contains(&other)
}

/// Whether an order of all transactions keeps to the definition.
fn keeps(observations: &Observations, level: Weak, order: &[u32]) -> bool {
    let place = |vertex: u32| order.iter().position(|at| *at == vertex);
    let before = |one: u32, other: u32| place(one) < place(other);
    let all = || 0..observations.places.len() as u32;
    let pairs = || all().flat_map(move |one| all().map(move |other| (one, other)));
    let base = pairs().all(|(one, other)| {
        !(in_session(observations, one, other) || reads_from(observations, one, other)) || before(one, other)
    });
    base && observations.known.iter().all(|arc| before(arc.from, arc.to))
        && all().all(|reader| {
            let reads = &observations.reads[reader as usize];
            (0..reads.len()).all(|at| {
                let Seen { step, object, writer } = reads[at];
                all().all(|other| {
                    let visible = match level {
                        Weak::ReadCommitted => reads.iter().any(|read| read.step < step && read.writer == Some(other)),
                        Weak::ReadAtomic => {
                            in_session(observations, other, reader) || reads_from(observations, other, reader)
                        }
                        Weak::Causal => follows(observations, other, reader),
                    };
                    let binds =
                        visible && writer != Some(other) && observations.writes[other as usize].contains(&object);
                    !binds || writer.is_some_and(|writer| before(other, writer))
                })
            })
        })
}

fn permutations(count: u32) -> Vec<Vec<u32>> {
    let Some(last) = count.checked_sub(1) else { return vec![Vec::new()] };
    let shorter = permutations(last);
    let longer = |short: &Vec<u32>| {
        (0..=short.len()).map(|at| [&short[..at], &[last], &short[at..]].concat()).collect::<Vec<_>>()
    };
    shorter.iter().flat_map(longer).collect()
}

/// Follows a cycle step by step.
fn check(observations: &Observations, level: Weak, steps: &[Step]) {
    let follows_from = |arc: &Arc| {
        observations.known.contains(arc)
            || match arc.kind {
                Kind::Session => in_session(observations, arc.from, arc.to),
                Kind::Wr => observations.reads[arc.to as usize]
                    .iter()
                    .any(|read| (read.object, read.writer) == (arc.tag, Some(arc.from))),
                _ => false,
            }
    };
    assert!(!steps.is_empty());
    for (at, Step { arc, inferred }) in steps.iter().enumerate() {
        assert_eq!(arc.to, steps[(at + 1) % steps.len()].arc.from, "{steps:?}");
        let object = arc.tag;
        match inferred {
            Some((reader, path)) => {
                assert!(observations.writes[arc.from as usize].contains(&object));
                assert!(
                    observations.reads[*reader as usize]
                        .iter()
                        .any(|read| (read.object, read.writer) == (object, Some(arc.to)))
                );
                assert!(path.iter().all(follows_from), "{steps:?}");
                assert!(path.windows(2).all(|pair| pair[0].to == pair[1].from), "{steps:?}");
                assert_eq!(path.first().map(|arc| arc.from), Some(arc.from), "{steps:?}");
                assert_eq!(path.last().map(|arc| arc.to), Some(*reader), "{steps:?}");
                assert!(level == Weak::Causal || path.len() == 1);
            }
            None if arc.kind == Kind::Rw => {
                assert!(
                    observations.reads[arc.from as usize]
                        .iter()
                        .any(|read| (read.object, read.writer) == (object, None))
                );
                assert!(observations.writes[arc.to as usize].contains(&object));
            }
            None => assert!(follows_from(arc), "{arc:?}"),
        }
    }
}

#[test]
fn agrees_with_trying_every_order() {
    let mut counts = [[0; 2]; 3];
    for seed in 0..20_000 {
        let observations = random(seed);
        let orders = permutations(observations.places.len() as u32);
        for (at, level) in [Weak::ReadCommitted, Weak::ReadAtomic, Weak::Causal].into_iter().enumerate() {
            let legal = orders.iter().find(|order| keeps(&observations, level, order));
            match saturate(&observations, level) {
                Saturated::Possible(inferences) => {
                    let order = legal.unwrap_or_else(|| panic!("{level:?} is impossible: {observations:#?}"));
                    let place = |vertex: u32| order.iter().position(|at| *at == vertex);
                    assert!(inferences.iter().all(|inference| place(inference.arc.from) < place(inference.arc.to)));
                }
                Saturated::Impossible(steps) => {
                    assert_eq!(legal, None, "{level:?} is possible: {observations:#?} {steps:#?}");
                    check(&observations, level, &steps);
                }
            }
            counts[at][usize::from(legal.is_some())] += 1;
        }
    }
    assert!(counts.iter().flatten().all(|count| *count > 2_000), "{counts:?}");
}
