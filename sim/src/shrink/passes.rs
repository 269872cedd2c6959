//! The passes: how a scenario can be made smaller.

use scenarios::{Clock, EngineOptions, FaultsMode, Latency, Operation, Scenario, Step, StorageOptions, When};

use super::Shrinker;
use super::ddmin::ddmin;
use crate::film::{Event, What};
use crate::play::watch;
use crate::universe::Watch;

/// How many other seeds are tried for a cluster of fewer nodes, whose dice fall differently.
const SEEDS: u64 = 24;

/// Runs all passes, again and again, as long as they get anywhere; then in a steady world, if there is one.
pub(super) fn run(shrinker: &mut Shrinker<'_>) {
    nodes(shrinker);
    rounds(shrinker);
    if steady(shrinker) {
        rounds(shrinker);
    }
    anchors(shrinker);
}

fn rounds(shrinker: &mut Shrinker<'_>) {
    loop {
        let before = shrinker.steps;
        quiet(shrinker);
        operations(shrinker);
        faults(shrinker);
        fates(shrinker);
        nodes(shrinker);
        simple(shrinker);
        durations(shrinker);
        if shrinker.steps == before || shrinker.out_of_time() {
            break;
        }
    }
}

/// Messages and disks that take the same time always, under other dice if need be: what happens then depends on fewer of
/// them, so that the trace still fails when other code draws more or less.
fn steady(shrinker: &mut Shrinker<'_>) -> bool {
    let even = |latency: Latency| Latency { min_us: latency.mean_us, ..latency };
    let mut candidate = shrinker.best.clone();
    candidate.network.latency = even(candidate.network.latency);
    candidate.network.tail_ppm = 0;
    (candidate.disk.write, candidate.disk.sync) = (even(candidate.disk.write), even(candidate.disk.sync));
    if candidate == shrinker.best {
        return false;
    }
    shrinker.adopt(with_other_dice(&candidate, SEEDS))
}

/// A scenario, and the same with so many other dice.
pub(super) fn with_other_dice(scenario: &Scenario, count: u64) -> Vec<Scenario> {
    let other = |by: u64| Scenario { seed: scenario.seed.wrapping_add(by), ..scenario.clone() };
    (0..=count).map(other).collect()
}

/// Fewer nodes: those that the faults name least go first.
fn nodes(shrinker: &mut Shrinker<'_>) {
    while shrinker.best.nodes > 1 && !shrinker.out_of_time() {
        let best = &shrinker.best;
        let fewer: Vec<u8> = if best.nodes > 3 { vec![3, best.nodes - 1] } else { vec![best.nodes - 1] };
        let mut candidates = Vec::new();
        for count in fewer {
            let subsets = subsets(best.nodes, count);
            for kept in &subsets {
                candidates.push(keep_nodes(best, kept));
            }
            // Smaller clusters live other lives: one of several seeds may end in the same failure.
            for seed in 1..=SEEDS {
                let kept = &subsets[seed as usize % subsets.len()];
                candidates.push(Scenario { seed: best.seed ^ seed, ..keep_nodes(best, kept) });
            }
        }
        if !shrinker.adopt(candidates) {
            break;
        }
    }
}

/// All sets of `count` of the nodes 1 to `nodes`, at most some dozens.
fn subsets(nodes: u8, count: u8) -> Vec<Vec<u8>> {
    let all = (0_u32..1 << nodes).filter(|mask| mask.count_ones() == u32::from(count));
    all.take(40).map(|mask| (1..=nodes).filter(|node| mask >> (node - 1) & 1 == 1).collect()).collect()
}

/// The scenario with some nodes only, which are numbered anew.
fn keep_nodes(scenario: &Scenario, kept: &[u8]) -> Scenario {
    let new = |node: u8| kept.iter().position(|&old| old == node).map(|place| place as u8 + 1);
    let mut smaller = scenario.clone();
    smaller.nodes = kept.len() as u8;
    smaller.clocks = kept.iter().map(|&old| scenario.clocks[usize::from(old) - 1]).collect();
    smaller.core = scenario.core.iter().filter_map(|&node| new(node)).collect();
    smaller.faults = scenario.faults.iter().filter_map(|fault| fault.renumbered(&new)).collect();
    smaller.fates = scenario.fates.iter().filter_map(|fate| fate.renumbered(&new)).collect();
    smaller
}

/// No rates: nothing goes wrong by the dice, or only what they decided, each by itself.
fn quiet(shrinker: &mut Shrinker<'_>) {
    let rates = |scenario: &mut Scenario| {
        let (network, disk) = (&mut scenario.network, &mut scenario.disk);
        for rate in [
            &mut network.loss_ppm,
            &mut network.duplicate_ppm,
            &mut network.reorder_ppm,
            &mut network.replay_ppm,
            &mut disk.eio_read_ppm,
            &mut disk.eio_write_ppm,
            &mut disk.eio_sync_ppm,
            &mut disk.rot_read_ppm,
            &mut disk.misdirect_read_ppm,
            &mut disk.crash_in_flight_ppm,
            &mut disk.drop_on_sync_failure_ppm,
        ] {
            *rate = 0;
        }
    };
    let mut silent = shrinker.best.clone();
    rates(&mut silent);
    if silent == shrinker.best {
        return;
    }
    let (_, footage) = watch(&shrinker.best, Watch { decisions: true, ..Watch::default() });
    let mut told = silent.clone();
    told.fates.extend(footage.decisions);
    let mut candidates = vec![silent, told];
    // Where that is not the same, at least some rates may go.
    let rates: [fn(&mut Scenario) -> &mut u32; 10] = [
        |s| &mut s.network.loss_ppm,
        |s| &mut s.network.duplicate_ppm,
        |s| &mut s.network.reorder_ppm,
        |s| &mut s.network.replay_ppm,
        |s| &mut s.disk.eio_read_ppm,
        |s| &mut s.disk.eio_write_ppm,
        |s| &mut s.disk.eio_sync_ppm,
        |s| &mut s.disk.rot_read_ppm,
        |s| &mut s.disk.misdirect_read_ppm,
        |s| &mut s.disk.crash_in_flight_ppm,
    ];
    for rate in rates {
        let mut candidate = shrinker.best.clone();
        if std::mem::take(rate(&mut candidate)) > 0 {
            candidates.push(candidate);
        }
    }
    while shrinker.adopt(candidates.clone()) && is_noisy(&shrinker.best) {
        candidates.remove(0);
    }
}

/// Whether rates are left.
fn is_noisy(scenario: &Scenario) -> bool {
    let (network, disk) = (&scenario.network, &scenario.disk);
    let rates = [network.loss_ppm, network.duplicate_ppm, network.reorder_ppm, network.replay_ppm];
    let more = [disk.eio_read_ppm, disk.eio_write_ppm, disk.eio_sync_ppm, disk.rot_read_ppm];
    let more = more.into_iter().chain([disk.misdirect_read_ppm, disk.crash_in_flight_ppm]);
    rates.into_iter().chain(more).any(|ppm| ppm > 0)
}

/// Fewer clients, then fewer operations of each, then fewer statements in each.
fn operations(shrinker: &mut Shrinker<'_>) {
    let with = |scenario: &Scenario, clients| Scenario { clients, ..scenario.clone() };
    reduce(shrinker, |scenario| scenario.clients.clone(), with);
    let steps = |scenario: &Scenario| {
        let of = |(place, client): (usize, &scenarios::ClientProgram)| {
            client.steps.iter().map(move |step| (place, step.clone())).collect::<Vec<_>>()
        };
        scenario.clients.iter().enumerate().flat_map(of).collect::<Vec<(usize, Step)>>()
    };
    reduce(shrinker, steps, |scenario, steps| {
        let mut smaller = scenario.clone();
        for (place, client) in smaller.clients.iter_mut().enumerate() {
            client.steps = steps.iter().filter(|(of, _)| *of == place).map(|(_, step)| step.clone()).collect();
        }
        smaller.clients.retain(|client| !client.steps.is_empty());
        smaller
    });
    let places = |scenario: &Scenario| {
        let mut places = Vec::new();
        for (c, client) in scenario.clients.iter().enumerate() {
            for (s, step) in client.steps.iter().enumerate() {
                places.extend((0..step.operation.parts()).map(|part| (c, s, part)));
            }
        }
        places
    };
    reduce(shrinker, places, |scenario, kept: Vec<(usize, usize, usize)>| {
        let mut smaller = scenario.clone();
        for (c, client) in smaller.clients.iter_mut().enumerate() {
            let steps = std::mem::take(&mut client.steps).into_iter().enumerate();
            client.steps = steps
                .filter_map(|(s, mut step)| {
                    if step.operation.parts() > 0 {
                        let parts = kept.iter().filter(|(client, step, _)| (*client, *step) == (c, s));
                        let parts: Vec<usize> = parts.map(|(.., part)| *part).collect();
                        step.operation.keep(&parts);
                        (!parts.is_empty()).then_some(step)
                    } else {
                        Some(step)
                    }
                })
                .collect();
        }
        smaller.clients.retain(|client| !client.steps.is_empty());
        smaller
    });
}

fn faults(shrinker: &mut Shrinker<'_>) {
    let with = |scenario: &Scenario, faults| Scenario { faults, ..scenario.clone() };
    reduce(shrinker, |scenario| scenario.faults.clone(), with);
}

fn fates(shrinker: &mut Shrinker<'_>) {
    let with = |scenario: &Scenario, fates| Scenario { fates, ..scenario.clone() };
    reduce(shrinker, |scenario| scenario.fates.clone(), with);
}

/// Cuts one list of the scenario down.
fn reduce<T: Clone>(
    shrinker: &mut Shrinker<'_>,
    list: impl Fn(&Scenario) -> Vec<T>,
    with: impl Fn(&Scenario, Vec<T>) -> Scenario,
) {
    let whole = shrinker.best.clone();
    ddmin(list(&whole), |lists| {
        let candidates: Vec<Scenario> = lists.iter().map(|list| with(&whole, list.clone())).collect();
        let place = shrinker.first(&candidates)?;
        shrinker.take(candidates[place].clone());
        Some(place)
    });
}

/// Plain options, one after the other.
fn simple(shrinker: &mut Shrinker<'_>) {
    let plain: [fn(&mut Scenario); 16] = [
        |s| s.faults_mode = if s.faults.is_empty() && s.fates.is_empty() { FaultsMode::None } else { s.faults_mode },
        |s| s.core = (1..=s.nodes).collect(),
        |s| s.buggify = 0,
        |s| s.clocks = vec![Clock::default(); s.clocks.len()],
        |s| s.network.tail_ppm = 0,
        |s| s.network.latency = Latency { min_us: s.network.latency.mean_us, ..s.network.latency },
        |s| {
            let disk = &mut s.disk;
            (disk.stall_ppm, disk.rot_read_ppm, disk.misdirect_read_ppm, disk.crash_in_flight_ppm) = (0, 0, 0, 0);
        },
        |s| s.disk.lose_unsynced_ppm = 0,
        |s| s.disk.lose_unsynced_ppm = if s.disk.lose_unsynced_ppm == 0 { 0 } else { 1_000_000 },
        |s| (s.disk.tear_ppm, s.disk.lose_dir_ppm, s.disk.drop_on_sync_failure_ppm) = (0, 0, 0),
        |s| s.engine.storage = StorageOptions::Memory,
        |s| s.engine.retention = None,
        |s| {
            let engine = &mut s.engine;
            (engine.max_entries_per_append, engine.max_bytes_per_append, engine.max_inflight) = (128, 1 << 20, 64);
        },
        |s| s.engine = EngineOptions { flush_every: 1, cached_statements: 256, ..s.engine.clone() },
        |s| s.conflict_retries = 0,
        |s| s.patience = s.patience.min(1),
    ];
    for change in plain {
        let mut candidate = shrinker.best.clone();
        change(&mut candidate);
        shrinker.adopt(vec![candidate]);
    }
    for kind in 0..shrinker.best.workload.numbers().len() {
        let fewer = |scenario: &Scenario, count: u32| {
            let mut smaller = scenario.clone();
            *smaller.workload.numbers_mut()[kind].1 = count;
            for step in smaller.clients.iter_mut().flat_map(|client| &mut client.steps) {
                step.operation.for_each_number_mut(&mut |of, number| {
                    if of == kind {
                        *number %= count;
                    }
                });
                if let Operation::Transfer { amount, .. } | Operation::Open { amount, .. } = &mut step.operation {
                    *amount = 1;
                }
            }
            smaller
        };
        let (_, count) = shrinker.best.workload.numbers()[kind];
        let candidates = (1..=3.min(count)).map(|count| fewer(&shrinker.best, count)).collect();
        shrinker.adopt(candidates);
    }
}

/// Shorter waits: of clients, of faults, and of the whole.
fn durations(shrinker: &mut Shrinker<'_>) {
    let mut candidate = shrinker.best.clone();
    candidate.clients.iter_mut().flat_map(|client| &mut client.steps).for_each(|step| step.think_us = 0);
    shrinker.adopt(vec![candidate]);
    for client in 0..shrinker.best.clients.len() {
        for step in 0..shrinker.best.clients[client].steps.len() {
            let think_us = shrinker.best.clients[client].steps[step].think_us;
            let with = |think_us: u64| {
                let mut candidate = shrinker.best.clone();
                candidate.clients[client].steps[step].think_us = think_us;
                candidate
            };
            let candidates = vec![with(0), with(think_us / 2)];
            shrinker.adopt(candidates);
        }
    }
    let last = shrinker.best.faults.iter().filter_map(|fault| fault.when.us()).max().unwrap_or(0);
    for more_us in [500_000, 2_000_000, 8_000_000] {
        let safety_us = last + more_us;
        if safety_us < shrinker.best.safety_us && shrinker.adopt(vec![Scenario { safety_us, ..shrinker.best.clone() }])
        {
            break;
        }
    }
}

/// Faults at a time are tied to what happens then, to a node that they name or to any. The nearest before comes first; what
/// is tied is also tried with other dice, and the tie that holds with most of them is best.
fn anchors(shrinker: &mut Shrinker<'_>) {
    for place in 0..shrinker.best.faults.len() {
        let fault = &shrinker.best.faults[place];
        let Some(us) = fault.when.us() else { continue };
        if shrinker.out_of_time() {
            return;
        }
        let (_, footage) = watch(&shrinker.best, Watch { film: true, ..Watch::default() });
        let named = fault.kind.nodes();
        let near = moments(&footage.film, us);
        let (own, other): (Vec<When>, Vec<When>) =
            near.into_iter().partition(|when| when.node().is_some_and(|node| named.contains(&node)));
        let tied = |when: &When| {
            let mut candidate = shrinker.best.clone();
            candidate.faults[place].when = *when;
            candidate
        };
        let candidates: Vec<Scenario> = own.iter().take(4).chain(other.iter().take(4)).map(tied).collect();
        shrinker.adopt(candidates);
    }
}

/// What happened up to a moment that a fault could wait for, the last first.
fn moments(film: &[Event], us: u64) -> Vec<When> {
    let mut reigns = std::collections::BTreeMap::new();
    let mut logs = std::collections::BTreeMap::new();
    let mut moments = Vec::new();
    for event in film.iter().take_while(|event| event.at_ns <= us * 1_000) {
        let Some(node) = event.node else { continue };
        match &event.what {
            What::Role { role, .. } if role == "leader" => {
                let count = reigns.entry(node).or_insert(0);
                *count += 1;
                moments.push(When::Leads { node, count: *count });
            }
            What::Log { last, applied, .. } => {
                let (old_last, old_applied) = logs.insert(node, (*last, *applied)).unwrap_or_default();
                if *last > old_last {
                    moments.push(When::Appended { node, index: *last });
                }
                if *applied > old_applied {
                    moments.push(When::Applied { node, index: *applied });
                }
            }
            _ => {}
        }
    }
    moments.reverse();
    moments
}
