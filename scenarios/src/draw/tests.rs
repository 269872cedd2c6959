use super::*;
use crate::fault::{FaultKind, Partition, When};
use std::collections::{BTreeMap, BTreeSet};

fn draw(seed: u64) -> Scenario {
    Scenario::draw(seed, &Overrides::default())
}

#[test]
fn a_seed_always_draws_the_same() {
    for seed in [0, 1, 2, u64::MAX] {
        assert_eq!(draw(seed), draw(seed));
    }
    assert_ne!(draw(1), Scenario { seed: 1, ..draw(2) });
}

#[test]
fn what_is_drawn_is_valid() {
    for seed in 0..300 {
        for faults in [FaultsMode::None, FaultsMode::Light, FaultsMode::Full] {
            let overrides = Overrides { faults: Some(faults), ..Overrides::default() };
            let scenario = Scenario::draw(seed, &overrides);
            assert_eq!(scenario.validate(), Ok(()), "seed {seed}, faults {faults}");
        }
    }
    for nodes in 1..=15 {
        for clients in [1, 2, 40, 200] {
            for ops in [0, 1, 1_000, 100_000] {
                let overrides =
                    Overrides { nodes: Some(nodes), clients: Some(clients), ops: Some(ops), ..Overrides::default() };
                let scenario = Scenario::draw(u64::from(nodes), &overrides);
                assert_eq!(scenario.validate(), Ok(()), "{overrides:?}");
                assert_eq!((scenario.nodes, scenario.clients.len()), (nodes, clients as usize));
                assert!((ops..ops + clients as usize).contains(&scenario.operations()), "{overrides:?}");
                if ops == 100_000 && nodes > 1 {
                    break;
                }
            }
        }
    }
}

#[test]
fn the_bytes_of_a_seed_draw_the_same_as_the_seed() {
    for seed in 0..20 {
        let bytes = expand(seed);
        assert_eq!(Scenario::arbitrary(&mut Unstructured::new(&bytes)).unwrap(), draw(seed));
        // Bytes that are missing are those of the seed.
        for length in [8, 9, 100, 200, 2_000, bytes.len() - 1] {
            assert_eq!(Scenario::arbitrary(&mut Unstructured::new(&bytes[..length])).unwrap(), draw(seed));
        }
    }
}

#[test]
fn any_bytes_draw_a_valid_scenario() {
    bolero::check!().with_type::<Vec<u8>>().with_iterations(500).for_each(|bytes| {
        let scenario = Scenario::arbitrary(&mut Unstructured::new(bytes)).unwrap();
        assert_eq!(scenario.validate(), Ok(()));
    });
    for byte in [0, 0xff] {
        let bytes = vec![byte; expand(0).len()];
        assert_eq!(Scenario::arbitrary(&mut Unstructured::new(&bytes)).unwrap().validate(), Ok(()));
    }
}

#[test]
fn a_changed_byte_changes_one_component() {
    let bytes = expand(5);
    let original = draw(5);
    let mut position = 8;
    for (name, size) in REGIONS {
        if name == "clocks" || name == "faults" || name == "network" || name == "disk" {
            let mut bytes = bytes.clone();
            for byte in &mut bytes[position..position + size] {
                *byte ^= 0xa5;
            }
            let changed = Scenario::arbitrary(&mut Unstructured::new(&bytes)).unwrap();
            assert_ne!(changed, original, "{name}");
            let restored = match name {
                "clocks" => Scenario { clocks: original.clocks.clone(), ..changed },
                "faults" => Scenario { faults: original.faults.clone(), ..changed },
                "network" => Scenario { network: original.network.clone(), ..changed },
                _ => Scenario { disk: original.disk.clone(), ..changed },
            };
            // A tick may be made longer, so that elections can end on a slow network or disk.
            let tick_ms = original.engine.tick_ms;
            let timing = |scenario: Scenario| Scenario {
                engine: crate::EngineOptions { tick_ms, ..scenario.engine.clone() },
                client_timeout_ms: 0,
                liveness_us: 0,
                ..scenario
            };
            assert_eq!(timing(restored), timing(original.clone()), "{name}");
        }
        position += size;
    }
    // The second client's second step.
    let mut bytes = bytes.clone();
    let step = position + CLIENT_REGION + 48;
    for byte in &mut bytes[step..step + 48] {
        *byte ^= 0xa5;
    }
    let mut changed = Scenario::arbitrary(&mut Unstructured::new(&bytes)).unwrap();
    assert_ne!(changed, original);
    changed.clients[1].steps[1] = original.clients[1].steps[1].clone();
    assert_eq!(changed, original);
}

#[test]
fn an_override_shifts_nothing_else() {
    for seed in 0..50 {
        let original = draw(seed);
        let other = |overrides: Overrides| Scenario::draw(seed, &overrides);

        let more = other(Overrides { ops: Some(original.operations() * 2), ..Overrides::default() });
        assert_eq!(more.faults, original.faults);
        assert_eq!((&more.engine, &more.network, &more.disk), (&original.engine, &original.network, &original.disk));
        assert_eq!((&more.clocks, more.nodes), (&original.clocks, original.nodes));
        // The waits get shorter, the number of keys may grow in long runs; the rest of a program goes on where it ended.
        if more.workload == original.workload {
            for (more, less) in more.clients.iter().zip(&original.clients) {
                let operations = |program: &crate::ClientProgram| -> Vec<crate::Operation> {
                    program.steps.iter().map(|step| step.operation.clone()).collect()
                };
                assert_eq!(operations(more)[..less.steps.len()], operations(less));
            }
        }

        let quiet = other(Overrides { faults: Some(FaultsMode::None), ..Overrides::default() });
        assert!(quiet.faults.is_empty());
        assert_eq!((&quiet.clients, &quiet.workload), (&original.clients, &original.workload));
        assert_eq!((&quiet.engine, quiet.nodes), (&original.engine, original.nodes));

        let bank = other(Overrides { scenario: Some(WorkloadKind::Bank), ..Overrides::default() });
        assert_eq!(bank.name(), "bank");
        assert_eq!(
            (&bank.faults, &bank.engine, &bank.network),
            (&original.faults, &original.engine, &original.network)
        );
        let thinking = |scenario: &Scenario| -> Vec<Vec<u64>> {
            scenario.clients.iter().map(|client| client.steps.iter().map(|step| step.think_us).collect()).collect()
        };
        assert_eq!(thinking(&bank), thinking(&original));

        let fewer = other(Overrides { nodes: Some(3), ..Overrides::default() });
        assert_eq!((&fewer.clients, &fewer.network), (&original.clients, &original.network));
        let shared = fewer.clocks.len().min(original.clocks.len());
        assert_eq!(fewer.clocks[..shared], original.clocks[..shared]);
    }
}

type Property = fn(&Scenario) -> bool;

/// Each property holds for a fair share of the seeds.
fn frequencies<const N: usize>(scenarios: &[Scenario], properties: [(&str, Property); N]) {
    for (name, property) in properties {
        let count = scenarios.iter().filter(|scenario| property(scenario)).count();
        let share = count * 100 / scenarios.len();
        assert!((5..=90).contains(&share), "{name}: {share} % of {} seeds", scenarios.len());
    }
}

#[test]
fn everything_is_drawn_in_a_few_hundred_seeds() {
    let scenarios: Vec<Scenario> = (0..400).map(draw).collect();
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut operations: BTreeMap<&str, usize> = BTreeMap::new();
    let mut nodes: BTreeMap<u8, usize> = BTreeMap::new();
    for scenario in &scenarios {
        *names.entry(scenario.name()).or_default() += 1;
        *nodes.entry(scenario.nodes).or_default() += 1;
        let present: BTreeSet<&str> = scenario.faults.iter().map(|fault| fault.kind.name()).collect();
        for kind in present {
            *kinds.entry(kind).or_default() += 1;
        }
        for step in scenario.clients.iter().flat_map(|client| &client.steps) {
            *operations.entry(step.operation.name()).or_default() += 1;
        }
    }
    for kind in WorkloadKind::ALL {
        assert!(names[kind.name()] >= 10, "{names:?}");
    }
    for name in FaultKind::NAMES {
        assert!(kinds.get(name).is_some_and(|&count| count >= 20), "{name}: {kinds:?}");
    }
    assert_eq!(operations.len(), 33, "{operations:?}");
    assert!(operations.values().all(|&count| count >= 100), "{operations:?}");
    assert_eq!(nodes.keys().copied().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 7]);
    assert!(nodes[&5] > 240 && nodes[&3] > 40, "{nodes:?}");
    frequencies(
        &scenarios,
        [
            ("loss", |s| s.network.loss_ppm > 0),
            ("duplication", |s| s.network.duplicate_ppm > 0),
            ("reordering", |s| s.network.reorder_ppm > 0),
            ("EIO on read", |s| s.disk.eio_read_ppm > 0),
            ("EIO on write", |s| s.disk.eio_write_ppm > 0),
            ("EIO on sync", |s| s.disk.eio_sync_ppm > 0),
            ("stalls", |s| s.disk.stall_ppm > 0),
            ("lost writes", |s| s.disk.lose_unsynced_ppm > 0),
            ("all unsynced lost", |s| s.disk.lose_unsynced_ppm == 1_000_000),
            ("torn writes", |s| s.disk.tear_ppm > 0),
            ("lost names", |s| s.disk.lose_dir_ppm > 0),
            ("skew", |s| s.clocks.iter().any(|clock| clock.skew_us != 0)),
            ("drift", |s| s.clocks.iter().any(|clock| clock.drift_ppm != 0)),
            ("crashes", |s| s.faults.iter().any(|f| matches!(f.kind, FaultKind::Crash { .. }))),
            ("crashes between disk operations", |s| {
                s.faults.iter().any(|f| matches!(f.kind, FaultKind::Crash { after_disk_ops: Some(_), .. }))
            }),
            ("power failures", |s| {
                s.faults.iter().any(|f| matches!(f.kind, FaultKind::Crash { power_loss: true, .. }))
            }),
            ("the unrestricted mode", |s| s.mode == Mode::Unrestricted),
            ("an engine that acts up", |s| s.buggify != 0),
            ("nodes that are gone in the end", |s| s.core.len() < usize::from(s.nodes)),
            ("voters wiped in an election", |s| {
                s.faults.iter().any(|f| matches!((f.when, &f.kind), (When::Votes { .. }, FaultKind::Wipe { .. })))
            }),
            ("faults that wait for something", |s| s.faults.iter().any(|fault| fault.when.us().is_none())),
            ("replays", |s| s.network.replay_ppm > 0),
            ("rotten reads", |s| s.disk.rot_read_ppm > 0),
            ("misdirected reads", |s| s.disk.misdirect_read_ppm > 0),
            ("power lost in flight", |s| s.disk.crash_in_flight_ppm > 0),
            ("large sectors", |s| s.disk.sector == 4_096),
            ("one statement kept", |s| s.engine.cached_statements == 1),
            ("storage in memory", |s| s.engine.storage == crate::StorageOptions::Memory),
            ("garbage collection", |s| s.engine.retention.is_some()),
            ("leaders that come and go throughout", |s| {
                s.faults.iter().any(|f| matches!(f.kind, FaultKind::ShortReigns { for_us, .. } if for_us >= 3_000_000))
            }),
            ("one entry a message", |s| s.engine.max_entries_per_append == 1),
            ("a majority down at once", |s| most_down(s) * 2 > usize::from(s.nodes) && s.nodes > 2),
        ],
    );
}

#[test]
fn sides_of_partitions_have_members() {
    let sided = |shape: &Partition, seed| {
        if let Partition::Halves { left, right } | Partition::Bridge { left, right, .. } = shape {
            assert!(!left.nodes.is_empty() && !right.nodes.is_empty(), "seed {seed}: {shape}");
        }
        if let Partition::OneWay { from, to } = shape {
            assert!(!from.nodes.is_empty() && !to.nodes.is_empty(), "seed {seed}: {shape}");
        }
        if let Partition::ClientSide { clients, nodes } = shape {
            assert!(!clients.is_empty() && !nodes.is_empty(), "seed {seed}: {shape}");
        }
    };
    for seed in 0..300 {
        for fault in draw(seed).faults {
            match &fault.kind {
                FaultKind::Partition { shape: Partition::Flapping { shape, .. }, .. } => sided(shape, seed),
                FaultKind::Partition { shape, .. } => sided(shape, seed),
                _ => {}
            }
        }
    }
}

/// The most nodes that are down at a time, by the schedule.
fn most_down(scenario: &Scenario) -> usize {
    let mut down = BTreeSet::new();
    let mut most = 0;
    for fault in &scenario.faults {
        match fault.kind {
            FaultKind::Crash { node, .. } => {
                down.insert(node);
            }
            FaultKind::Restart { node } => {
                down.remove(&node);
            }
            _ => {}
        }
        most = most.max(down.len());
    }
    assert!(down.is_empty(), "{down:?} never start again");
    most
}

#[test]
fn light_faults_are_light() {
    let overrides = Overrides { faults: Some(FaultsMode::Light), ..Overrides::default() };
    let mut crashes = 0;
    for seed in 0..300 {
        let scenario = Scenario::draw(seed, &overrides);
        assert!(most_down(&scenario) <= 1, "seed {seed}");
        assert!(scenario.network.loss_ppm <= 10_001 && scenario.network.duplicate_ppm <= 10_001, "seed {seed}");
        crashes += usize::from(most_down(&scenario) == 1);
    }
    assert!(crashes > 60, "{crashes} of 300 seeds had a crash");
}

#[test]
fn without_faults_nothing_goes_wrong() {
    let overrides = Overrides { faults: Some(FaultsMode::None), ..Overrides::default() };
    for seed in 0..100 {
        let Scenario { network, disk, clocks, faults, .. } = Scenario::draw(seed, &overrides);
        assert!(faults.is_empty());
        assert_eq!((network.loss_ppm, network.duplicate_ppm, network.reorder_ppm), (0, 0, 0));
        assert_eq!((disk.eio_read_ppm, disk.eio_write_ppm, disk.eio_sync_ppm, disk.stall_ppm), (0, 0, 0, 0));
        assert_eq!((disk.lose_unsynced_ppm, disk.tear_ppm, disk.lose_dir_ppm), (0, 0, 0));
        assert!(clocks.iter().all(|clock| *clock == crate::Clock::default()));
    }
}

#[test]
fn a_drawn_scenario_survives_json() {
    for seed in 0..50 {
        let scenario = draw(seed);
        let text = serde_json::to_string(&scenario).unwrap();
        assert_eq!(Scenario::from_json(&text), Ok(scenario));
    }
}
