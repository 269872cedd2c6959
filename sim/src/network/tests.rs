use super::*;
use Address::{Client, Node};

fn network(options: NetworkOptions, seed: u64) -> Network<u64> {
    Network::new(options, seed)
}

/// Everything that arrives by `now_ns`, as (message, moment of arrival).
fn drain(network: &mut Network<u64>, now_ns: u64) -> Vec<(u64, u64)> {
    let mut arrived = Vec::new();
    while let Some(due) = network.next_due().filter(|due| *due <= now_ns) {
        let (delivery, blocked) = network.pop_due(due).expect("something is due");
        if blocked.is_none() {
            arrived.push((delivery.message, due));
        }
    }
    arrived
}

const HOSTILE: NetworkOptions = NetworkOptions {
    latency_min_us: 50,
    latency_mean_us: 500,
    latency_tail_us: 10_000,
    tail_ppm: 20_000,
    loss_ppm: 100_000,
    duplicate_ppm: 50_000,
    reorder_ppm: 200_000,
    reorder_us: 3_000,
    replay_ppm: 10_000,
    replay_us: 500_000,
};

#[test]
fn without_faults_everything_arrives_once_and_in_order() {
    let mut network = network(NetworkOptions::default(), 1);
    for message in 0..10_000 {
        network.send(message * 1_000, Node(1), Node(2), 0, message);
    }
    assert_eq!(network.in_flight(), 10_000);
    let arrived = drain(&mut network, u64::MAX);
    assert!(arrived.iter().map(|(message, _)| *message).eq(0..10_000));
    assert!(arrived.iter().all(|(message, due)| *due >= message * 1_000 + 100_000), "faster than the least latency");
    assert_eq!((network.counters().delivered, network.in_flight(), network.next_due()), (10_000, 0, None));
}

#[test]
fn a_delivery_says_who_and_when() {
    let mut network = network(NetworkOptions::default(), 1);
    network.send(5, Client(9), Node(3), 0, 77);
    let due = network.next_due().expect("on its way");
    assert_eq!(network.pop_due(due - 1), None);
    assert_eq!(
        network.pop_due(due),
        Some((Delivery { from: Client(9), to: Node(3), message: 77, sent_at: 5, number: 0 }, None))
    );
    assert_eq!(network.pop_due(u64::MAX), None);
}

#[test]
fn the_same_seed_has_the_same_fates() {
    let run = |seed| {
        let mut network = network(HOSTILE, seed);
        for message in 0..2_000 {
            network.send(message * 10_000, Node((message % 5) as u8), Node((message % 3) as u8), 0, message);
        }
        (drain(&mut network, u64::MAX), network.counters().clone())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

/// What the dice decide can be said from outside instead: the run is the same, and any one decision can be left out.
#[test]
fn decisions_as_fates_give_the_same_run() {
    let send = |network: &mut Network<u64>| {
        network.keep_decisions();
        for message in 0..2_000 {
            network.send(message * 10_000, Node((message % 5) as u8), Node((message % 3) as u8), 3, message);
        }
        drain(network, u64::MAX)
    };
    let mut drawn = network(HOSTILE, 7);
    let expected = send(&mut drawn);
    let decisions = drawn.decisions().to_vec();
    assert!(decisions.len() > 500, "{} decisions", decisions.len());
    let quiet = NetworkOptions { loss_ppm: 0, duplicate_ppm: 0, reorder_ppm: 0, replay_ppm: 0, ..HOSTILE };
    let mut told = network(quiet, 7);
    for &(name, fate) in &decisions {
        told.set_fate(name, fate);
    }
    assert_eq!(send(&mut told), expected);
    assert!(told.decisions().is_empty());
    let (left_out, rest) =
        decisions.iter().position(|(_, fate)| *fate == Fate::Lost).map(|at| (decisions[at], at)).unwrap();
    let mut fewer = network(quiet, 7);
    decisions
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != rest)
        .for_each(|(_, &(name, fate))| fewer.set_fate(name, fate));
    assert_eq!(send(&mut fewer).len(), expected.len() + 1, "{left_out:?} arrives");
}

#[test]
fn one_message_more_changes_the_fate_of_no_other_link_or_kind() {
    let run = |more: bool| {
        let mut network = network(HOSTILE, 8);
        for message in 0..500 {
            network.send(message * 10_000, Node(1), Node(2), 1, message);
            if more && message == 100 {
                network.send(message * 10_000, Node(1), Node(3), 1, 1_000_000);
                network.send(message * 10_000, Node(1), Node(2), 2, 1_000_000);
            }
        }
        let mut arrived = drain(&mut network, u64::MAX);
        arrived.retain(|(message, _)| *message < 1_000_000);
        arrived
    };
    // What is sent in order waits for what was sent before, so moments may differ, but not who arrives, and how often.
    let count = |arrived: Vec<(u64, u64)>| {
        let mut messages: Vec<u64> = arrived.into_iter().map(|(message, _)| message).collect();
        messages.sort_unstable();
        messages
    };
    assert_eq!(count(run(true)), count(run(false)));
}

/// Another platform that drew other fates would make every trace unreplayable.
#[test]
fn golden() {
    let mut network = network(HOSTILE, 42);
    for message in 0..8 {
        network.send(message * 10_000, Node(0), Node(1), 0, message);
    }
    assert_eq!(
        drain(&mut network, u64::MAX),
        [(0, 487_379), (1, 600_486), (3, 600_486), (5, 600_486), (6, 761_935), (7, 761_935), (4, 2_968_707)]
    );
}

#[test]
fn rates_come_out_as_asked() {
    const COUNT: u64 = 100_000;
    let mut network = network(HOSTILE, 3);
    for message in 0..COUNT {
        // A link of its own for each message in a window, so that order on the link delays nothing.
        network.send(message * 1_000_000, Node((message % 32) as u8), Client((message / 32 % 32) as u32), 0, message);
    }
    let arrived = drain(&mut network, u64::MAX);
    let counters = network.counters();
    let near = |got: u64, of: u64, ppm: u64| {
        let expected = of * ppm / 1_000_000;
        assert!(got.abs_diff(expected) * 100 <= expected * 5, "{got}, not about {expected}");
    };
    near(counters.lost, COUNT, 100_000);
    let kept = COUNT - counters.lost;
    near(counters.duplicated, kept, 50_000);
    near(counters.reordered, kept, 200_000);
    near(counters.replayed, kept, 10_000);
    near(counters.tail, COUNT, 20_000);
    assert_eq!((counters.sent, counters.delivered), (COUNT, kept + counters.duplicated + counters.replayed));
    assert_eq!(arrived.len() as u64, counters.delivered);
    // 500 µs, plus 2 % of 5 ms in the tail, plus 1.5 ms for the reordered 20 % and the 5 % of copies, plus 250 ms for 1 %.
    let mean = arrived.iter().map(|(message, due)| due - message * 1_000_000).sum::<u64>() / arrived.len() as u64;
    assert!((3_000_000..3_700_000).contains(&mean), "mean latency {mean} ns");
    let overtaken = arrived.windows(2).filter(|pair| pair[0].0 > pair[1].0).count();
    assert!(overtaken > 1_000, "{overtaken} messages overtaken");
}

#[test]
fn faults_off_means_off() {
    let mut network = network(HOSTILE, 4);
    network.partition(0, &Partition::Isolate { node: 1, clients: true });
    network.set_latency_factor(1_000);
    network.set_faults_enabled(false);
    for message in 0..1_000 {
        network.send(0, Node(1), Node(2), 0, message);
    }
    let arrived = drain(&mut network, 1_000_000_000);
    assert!(arrived.iter().map(|(message, _)| *message).eq(0..1_000));
    network.set_faults_enabled(true);
    for message in 0..1_000 {
        network.send(0, Node(1), Node(2), 0, message);
    }
    assert!(network.counters().lost > 0);
}

#[test]
fn a_spike_multiplies_latency() {
    let run = |factor| {
        let mut network = network(NetworkOptions { tail_ppm: 0, ..NetworkOptions::default() }, 5);
        network.set_latency_factor(factor);
        network.send(0, Node(1), Node(2), 0, 0);
        network.next_due().expect("on its way")
    };
    assert_eq!(run(7), 7 * run(1));
    assert_eq!(run(0), run(1));
}

#[test]
fn absurd_options_saturate() {
    let max = u64::MAX;
    let options = NetworkOptions {
        latency_min_us: max,
        latency_mean_us: max,
        latency_tail_us: max,
        tail_ppm: u32::MAX,
        loss_ppm: 0,
        duplicate_ppm: u32::MAX,
        reorder_ppm: u32::MAX,
        reorder_us: max,
        replay_ppm: u32::MAX,
        replay_us: max,
    };
    for options in [options, NetworkOptions { latency_min_us: 0, ..options }] {
        let mut network = network(options, 6);
        network.set_latency_factor(u32::MAX);
        network.send(max, Node(1), Node(2), 0, 0);
        assert_eq!(drain(&mut network, max).len(), 3);
    }
}

/// Five nodes and two clients: which links does each shape block?
#[test]
fn each_shape_blocks_exactly_what_it_says() {
    fn both(pairs: &[(Address, Address)]) -> Vec<(Address, Address)> {
        pairs.iter().flat_map(|&(a, b)| [(a, b), (b, a)]).collect()
    }
    let (n1, n2, n3, n4, n5, c1, c2) = (Node(1), Node(2), Node(3), Node(4), Node(5), Client(1), Client(2));
    let all = [n1, n2, n3, n4, n5, c1, c2];
    let set = |addresses: &[Address]| addresses.iter().copied().collect::<Endpoints>();
    let table = [
        (Partition::Groups(vec![]), vec![]),
        (Partition::Groups(vec![set(&all)]), vec![]),
        (
            Partition::Groups(vec![set(&[n1, n2]), set(&[n3, n4, n5])]),
            both(&[(n1, n3), (n1, n4), (n1, n5), (n2, n3), (n2, n4), (n2, n5)]),
        ),
        (Partition::Groups(vec![set(&[n1, c1]), set(&[n2]), set(&[c2])]), {
            both(&[(n1, n2), (c1, n2), (n1, c2), (c1, c2), (n2, c2)])
        }),
        (Partition::Groups(vec![set(&[n1, n2]), set(&[n2, n3])]), both(&[(n1, n3)])),
        (Partition::Isolate { node: 3, clients: false }, both(&[(n3, n1), (n3, n2), (n3, n4), (n3, n5)])),
        (
            Partition::Isolate { node: 3, clients: true },
            both(&[(n3, n1), (n3, n2), (n3, n4), (n3, n5), (n3, c1), (n3, c2)]),
        ),
        (
            Partition::Bridge { bridge: 3, left: set(&[n1, n2, n3]), right: set(&[n3, n4, n5]) },
            both(&[(n1, n4), (n1, n5), (n2, n4), (n2, n5)]),
        ),
        (Partition::Ring(vec![1, 2, 3, 4, 5]), both(&[(n1, n3), (n1, n4), (n2, n4), (n2, n5), (n3, n5)])),
        (Partition::Ring(vec![4, 2, 1, 3]), both(&[(n4, n1), (n2, n3)])),
        (Partition::Ring(vec![1, 2, 3]), vec![]),
        (Partition::Ring(vec![1, 2]), vec![]),
        (
            Partition::OneWay { from: set(&[n1, n2]), to: set(&[n2, n3, c1]) },
            vec![(n1, n2), (n1, n3), (n1, c1), (n2, n3), (n2, c1)],
        ),
        (
            // Only links between a client and a node, whatever the sets say.
            Partition::ClientSide { clients: set(&[c1, n5]), nodes: set(&[n1, n2, c2]) },
            both(&[(c1, n1), (c1, n2)]),
        ),
    ];
    for (partition, blocked) in table {
        partition.validate().expect("valid");
        let mut network = network(NetworkOptions::default(), 7);
        let id = network.partition(0, &partition);
        for from in all {
            for to in all {
                let expected = blocked.contains(&(from, to)).then_some(partition.shape());
                assert_eq!(network.blocked(9, from, to), expected, "{partition:?}: {from} -> {to}");
            }
        }
        assert!(network.heal(id) && !network.heal(id));
        assert!(all.iter().all(|&from| all.iter().all(|&to| network.blocked(9, from, to).is_none())));
    }
}

#[test]
fn flapping_cuts_and_opens_by_the_clock() {
    let inner = Partition::Isolate { node: 1, clients: false };
    let flapping = |cut_us, open_us, partition: &Partition| Partition::Flapping {
        partition: Box::new(partition.clone()),
        cut_us,
        open_us,
    };
    let mut network = network(NetworkOptions::default(), 8);
    let start = 1_000_000;
    let cut_at = |network: &Network<u64>, us: u64| network.blocked(start + us * 1_000, Node(1), Node(2)).is_some();
    let id = network.partition(start, &flapping(10, 30, &inner));
    for (us, cut) in [(0, true), (9, true), (10, false), (39, false), (40, true), (49, true), (50, false), (400, true)]
    {
        assert_eq!(cut_at(&network, us), cut, "at {us} µs");
    }
    assert_eq!(network.blocked(start, Node(1), Node(2)), Some(Shape::Flapping));
    network.heal(id);
    // Nested: cut only where both are.
    network.partition(start, &flapping(100, 100, &flapping(10, 30, &inner)));
    for (us, cut) in [(0, true), (15, false), (85, true), (125, false), (245, true)] {
        assert_eq!(cut_at(&network, us), cut, "nested, at {us} µs");
    }
    network.heal_all();
    network.partition(start, &flapping(0, 0, &inner));
    assert!(!cut_at(&network, 0));
    network.partition(start, &flapping(5, 0, &inner));
    assert!((0..50).all(|us| cut_at(&network, us)), "never open");
}

#[test]
fn stacked_partitions_heal_one_by_one() {
    let mut network = network(NetworkOptions::default(), 9);
    let first = network.partition(0, &Partition::Ring(vec![1, 2, 3, 4, 5]));
    let second = network.partition(0, &Partition::Isolate { node: 1, clients: false });
    assert_eq!(network.blocked(0, Node(1), Node(3)), Some(Shape::Ring));
    assert_eq!(network.blocked(0, Node(1), Node(2)), Some(Shape::Isolate));
    assert!(network.heal(first));
    assert_eq!(network.blocked(0, Node(1), Node(3)), Some(Shape::Isolate));
    assert_eq!(network.blocked(0, Node(2), Node(4)), None);
    assert!(network.heal(second) && network.blocked(0, Node(1), Node(3)).is_none());
    network.partition(0, &Partition::Ring(vec![1, 2, 3, 4, 5]));
    assert_eq!((network.heal_all(), network.heal_all(), network.counters().partitions), (1, 0, 3));
}

#[test]
fn a_cut_takes_what_is_on_its_way_and_only_that() {
    let mut network = network(NetworkOptions::default(), 10);
    network.send(0, Node(1), Node(2), 0, 0);
    network.send(0, Node(2), Node(3), 0, 1);
    let id = network.partition(1, &Partition::Isolate { node: 1, clients: false });
    network.send(2, Node(1), Node(2), 0, 2);
    assert!(drain(&mut network, 1_000_000_000).iter().map(|(message, _)| *message).eq([1]));
    network.heal(id);
    network.send(3, Node(1), Node(2), 0, 3);
    assert!(drain(&mut network, 1_000_000_000).iter().map(|(message, _)| *message).eq([3]));
    assert_eq!(network.counters().partitioned, BTreeMap::from([(Shape::Isolate, 2)]));
}

#[test]
fn a_cut_is_judged_by_direction_and_at_the_moment_of_arrival() {
    let one_way = Partition::OneWay { from: Endpoints::nodes([1]), to: Endpoints::ALL_NODES };
    let mut network = network(NetworkOptions::default(), 11);
    network.send(0, Node(1), Node(2), 0, 0);
    network.send(0, Node(2), Node(1), 0, 1);
    network.partition(1, &one_way);
    assert!(drain(&mut network, 1_000_000_000).iter().map(|(message, _)| *message).eq([1]));
    network.heal_all();
    // A host that comes late finds what arrived before the cut, but not what arrived in it.
    network.send(0, Node(1), Node(2), 0, 2);
    let due = network.next_due().expect("on its way");
    network.partition(due + 1, &one_way);
    assert_eq!(drain(&mut network, u64::MAX).first().map(|(message, _)| *message), Some(2));
    network.heal_all();
    network.send(0, Node(1), Node(2), 0, 3);
    let due = network.next_due().expect("on its way");
    network.partition(due, &Partition::Flapping { partition: Box::new(one_way), cut_us: 1, open_us: 1_000_000 });
    let (_, blocked) = network.pop_due(due + 500_000_000).expect("it is due");
    assert_eq!(blocked, Some(Shape::Flapping));
}

/// Whatever is done to a network, every message and copy is accounted for.
#[test]
fn nothing_vanishes_uncounted() {
    bolero::check!().with_type().with_iterations(4_000).cloned().for_each(
        |(seed, steps): (u64, Vec<(u8, u8, u8, u16)>)| {
            let mut network = network(HOSTILE, seed);
            let (mut now, mut handed_out) = (0, 0);
            let mut cuts = Vec::new();
            for (action, a, b, pause) in steps {
                match action % 8 {
                    0 => cuts.push(network.partition(now, &Partition::Isolate { node: a % 5, clients: b % 2 == 0 })),
                    1 => cuts.push(network.partition(
                        now,
                        &Partition::Flapping {
                            partition: Box::new(Partition::Ring(vec![0, 1, 2, 3, 4])),
                            cut_us: u64::from(a),
                            open_us: u64::from(b),
                        },
                    )),
                    2 => drop(cuts.pop().map(|id| assert!(network.heal(id)))),
                    3 => {
                        now += u64::from(pause) * 1_000;
                        while let Some((_, blocked)) = network.pop_due(now) {
                            handed_out += u64::from(blocked.is_none());
                        }
                        assert!(network.next_due().is_none_or(|due| due > now));
                    }
                    _ => drop(network.send(now, Node(a % 5), Node(b % 5), a % 16, now)),
                }
            }
            let counters = network.counters();
            let partitioned: u64 = counters.partitioned.values().sum();
            assert_eq!(counters.delivered, handed_out);
            assert_eq!(
                counters.sent + counters.duplicated + counters.replayed,
                counters.delivered + counters.lost + partitioned + network.in_flight() as u64
            );
        },
    );
}

#[test]
fn counters_merge() {
    let run = |seed| {
        let mut network = network(HOSTILE, seed);
        network.partition(0, &Partition::Ring(vec![1, 2, 3, 4]));
        for message in 0..200 {
            network.send(0, Node(1), Node(1 + (message % 3) as u8), 0, message);
        }
        drain(&mut network, u64::MAX);
        network.counters().clone()
    };
    let mut sum = run(1);
    sum.merge(&run(1));
    let json = |counters: &Counters| serde_json::to_value(counters).expect("serialisable");
    let (one, two) = (json(&run(1)), json(&sum));
    for (name, count) in one.as_object().expect("an object") {
        match count.as_u64() {
            Some(count) => assert_eq!(two[name], 2 * count, "{name}"),
            None => assert_eq!(two[name]["ring"], 2 * count["ring"].as_u64().expect("a count"), "{name}"),
        }
    }
    assert!(one["lost"] != 0 && one["partitioned"]["ring"] != 0);
}

#[test]
fn senseless_partitions_are_refused() {
    let nested = Partition::Flapping {
        partition: Box::new(Partition::Isolate { node: 32, clients: false }),
        cut_us: 1,
        open_us: 1,
    };
    assert_eq!(nested.validate(), Err(PartitionError::UnknownNode(32)));
    assert_eq!(Partition::Ring(vec![1, 2, 40]).validate(), Err(PartitionError::UnknownNode(40)));
    assert_eq!(Partition::Ring(vec![1, 2, 1]).validate(), Err(PartitionError::RepeatedNode(1)));
    let groups = Partition::Groups(vec![Endpoints::default(); 65]);
    assert_eq!(groups.validate(), Err(PartitionError::TooManyGroups(65)));
    assert_eq!(Shape::ALL.map(Shape::name).len(), 7);
    for shape in Shape::ALL {
        assert_eq!(serde_json::to_value(shape).expect("serialisable"), shape.name());
    }
}
