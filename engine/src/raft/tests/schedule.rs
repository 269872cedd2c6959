//! Arbitrary schedules: ticks, losses, duplicates, reorderings, partitions, crashes at any point of a turn, and disks that
//! are wiped. Nothing unsafe may happen on the way, and when all faults end the cluster must work again, with all voters.

use bolero::ValueGenerator;

use super::super::{NodeId, Options};
use super::cluster::Cluster;

/// Plays a schedule: one byte says what happens, the next one to whom.
fn play(bytes: &[u8]) {
    let Some((&size, schedule)) = bytes.split_first() else { return };
    // Small numbers make everything meet everything.
    let options = Options {
        election_ticks: 4,
        heartbeat_ticks: 1 + u32::from(size / 128),
        max_entries_per_append: 1 + usize::from(size / 16 % 4),
        max_bytes_per_append: 100,
        max_inflight_entries: 3,
    };
    let size = [3, 5, 4, 3, 5, 2, 5, 1][usize::from(size % 8)];
    let mut cluster = Cluster::new(size, options);
    for step in schedule.chunks_exact(2) {
        play_step(&mut cluster, step[0], step[1]);
    }
    cluster.heal();
}

/// The node of an operand.
fn pick(cluster: &Cluster, operand: u8) -> NodeId {
    1 + operand % cluster.nodes.len() as u8
}

/// A node returns and is elected by some of the others, takes a command, and is gone after a few deliveries.
fn play_reign(cluster: &mut Cluster, [who, with, passes, last]: [u8; 4]) {
    let id = pick(cluster, who);
    cluster.restart(id);
    let group = |node: NodeId| u8::from(node == id || with >> (node % 8) & 1 == 1);
    cluster.partition(group);
    let others: Vec<NodeId> = cluster.ids().into_iter().filter(|&node| node != id && group(node) == 1).collect();
    for &node in &others {
        cluster.restart(node);
        // No leader is heard, and nobody else campaigns where it is seen.
        (0..4).for_each(|_| cluster.tick(node));
    }
    cluster.network.clear();
    cluster.campaign(id);
    (0..4 + passes % 4).for_each(|_| cluster.deliver_round());
    if passes & 0x40 != 0 {
        cluster.propose(id);
        cluster.ready(id);
    }
    (0..passes / 4 % 4).for_each(|_| cluster.deliver_round());
    for _ in 0..last % 4 {
        play_step(cluster, 9, last);
    }
    if last & 0xc0 != 0 {
        cluster.crash(id);
    }
    cluster.network.clear();
}

/// A node loses its disk, if the others can do without it, and comes back with nothing.
fn play_wipe(cluster: &mut Cluster, id: NodeId) {
    if cluster.can_spare(id) {
        cluster.wipe(id);
        cluster.restart(id);
    }
}

fn play_step(cluster: &mut Cluster, action: u8, operand: u8) {
    let id = pick(cluster, operand);
    let position = |cluster: &Cluster| operand as usize % cluster.network.len().max(1);
    match action % 33 {
        0..=2 => cluster.tick(id),
        3..=4 => cluster.round(),
        5 => cluster.slow = cluster.ids().into_iter().filter(|id| operand >> (id % 8) & 1 == 1).collect(),
        // Rivals at the same time.
        6 => cluster.ids().into_iter().filter(|id| operand >> (id % 8) & 1 == 1).for_each(|id| cluster.campaign(id)),
        // Time enough for an election, or for a partition to be noticed.
        7..=8 => (0..3 + operand % 8).for_each(|_| cluster.round()),
        9..=11 if !cluster.network.is_empty() => {
            let envelope = cluster.network.remove(position(cluster));
            cluster.deliver(envelope);
        }
        12 if !cluster.network.is_empty() => {
            let envelope = cluster.network[position(cluster)].clone();
            cluster.deliver(envelope);
        }
        13 if !cluster.network.is_empty() => drop(cluster.network.remove(position(cluster))),
        14 => cluster.network.retain(|envelope| envelope.from != id && envelope.to != id),
        15 => cluster.network.clear(),
        16..=18 => {
            cluster.propose(id);
            cluster.ready(id);
        }
        // Several inputs in a turn, which may not come to its end.
        19 => drop(cluster.propose(cluster.leader().unwrap_or(id))),
        20 => cluster.input(id, super::super::Raft::tick),
        21 if !cluster.network.is_empty() => {
            let envelope = cluster.network.remove(position(cluster));
            cluster.step(envelope);
        }
        22 => cluster.ready(id),
        // Power fails after the sync, before anything is sent.
        23 => {
            cluster.persist(id);
            cluster.crash(id);
        }
        24 => cluster.crash(id),
        25..=26 => cluster.restart(id),
        27..=28 => {
            cluster.read(id);
            cluster.ready(id);
        }
        29..=30 => cluster.partition(|id| operand >> (id % 8) & 1),
        31 if operand.is_multiple_of(2) => cluster.cut.clear(),
        // The latest messages arrive first.
        31 => cluster.network.reverse(),
        32 => play_wipe(cluster, id),
        _ => {}
    }
}

/// Bytes of a random length up to a maximum. (Left to itself, bolero makes a few dozen.)
fn bytes(max_len: usize) -> impl ValueGenerator<Output = Vec<u8>> {
    bolero::produce::<Vec<u8>>().with().len(0..=max_len)
}

#[test]
fn schedules_are_safe_and_recover() {
    bolero::check!().with_generator(bytes(1_500)).with_iterations(1_500).for_each(|bytes| play(bytes));
}

/// Partitions that move between short phases of work, which is what leaves many different logs behind.
#[test]
fn moving_partitions_are_safe() {
    bolero::check!().with_generator(bytes(400)).with_iterations(400).for_each(|bytes| {
        let mut schedule = vec![1];
        for phase in bytes.chunks_exact(4) {
            // One side stands still at times, and the other one goes on.
            schedule.extend([29, phase[0], 5, [phase[0], !phase[0], 0, 0][phase[1] as usize / 8 % 4], 7, phase[1]]);
            schedule.extend([19, 0, 20, 0, 22, phase[2] % 5, 9, phase[3], phase[2] / 8, phase[3], 27, phase[2], 4, 0]);
        }
        play(&schedule);
    });
}

/// Reigns that end when they have hardly begun: what the paper's figure 8 is made of.
#[test]
fn short_reigns_are_safe() {
    bolero::check!().with_generator(bytes(150)).with_iterations(2_500).for_each(|bytes| {
        let options =
            Options { election_ticks: 4, heartbeat_ticks: 1, max_entries_per_append: 1, ..Options::default() };
        let mut cluster = Cluster::new(5, options);
        for reign in bytes.chunks_exact(4) {
            play_reign(&mut cluster, reign.try_into().unwrap());
        }
        cluster.heal();
    });
}

/// Short reigns among which nodes forget, at any moment, and meet messages from before.
#[test]
fn short_reigns_of_forgetful_nodes_are_safe() {
    bolero::check!().with_generator(bytes(200)).with_iterations(2_500).for_each(|bytes| {
        let options =
            Options { election_ticks: 4, heartbeat_ticks: 1, max_entries_per_append: 1, ..Options::default() };
        let Some((&size, schedule)) = bytes.split_first() else { return };
        let mut cluster = Cluster::new([3, 5][usize::from(size % 2)], options);
        let mut held = Vec::new();
        for phase in schedule.chunks_exact(6) {
            let id = pick(&cluster, phase[0]);
            // Some of what is on its way now is there again later.
            if phase[1] & 0x01 != 0 {
                held.extend(cluster.network.clone());
            }
            if phase[1] & 0x06 == 0x06 {
                play_wipe(&mut cluster, id);
            }
            play_reign(&mut cluster, phase[2..].try_into().unwrap());
            if phase[1] & 0x08 != 0 {
                cluster.network.append(&mut held);
            }
            if phase[1] & 0x30 == 0x30 {
                let other = pick(&cluster, phase[0] / 8);
                play_wipe(&mut cluster, other);
            }
            (0..phase[1] / 64).for_each(|_| cluster.deliver_round());
        }
        cluster.network.append(&mut held);
        cluster.heal();
    });
}

/// Partitions that move around nodes for which time stands still, so that leaders of old are not deposed; and nodes that
/// forget go from one leader to the other, while messages from before are still on their way.
#[test]
fn forgetful_nodes_between_leaders_are_safe() {
    bolero::check!().with_generator(bytes(150)).with_iterations(15_000).for_each(|bytes| {
        let options = Options { election_ticks: 4, heartbeat_ticks: 1, ..Options::default() };
        let Some((&size, schedule)) = bytes.split_first() else { return };
        let mut cluster = Cluster::new([3, 3, 5][usize::from(size % 3)], options);
        let mut held = Vec::new();
        for phase in schedule.chunks_exact(4) {
            let &[groups, who, what, rounds] = phase else { unreachable!("four bytes") };
            let id = pick(&cluster, who);
            if what.is_multiple_of(4) {
                play_wipe(&mut cluster, id);
            }
            if what & 0x0c == 0 {
                held.append(&mut cluster.network);
            }
            cluster.partition(|id| groups >> (id % 8) & 1);
            if groups & 0x80 != 0 {
                cluster.slow =
                    cluster.ids().into_iter().filter(|id| groups >> (id % 8) & 1 == groups >> 6 & 1).collect();
            }
            for id in cluster.ids() {
                cluster.propose(id);
                if what & 0x10 != 0 {
                    cluster.read(id);
                }
                cluster.ready(id);
            }
            if what & 0x20 != 0 {
                cluster.campaign(id);
            }
            for _ in 0..rounds % 8 {
                if rounds & 0x80 == 0 { cluster.round() } else { cluster.deliver_round() }
            }
            if what & 0xc0 == 0 {
                // The latest ones first, at times.
                if rounds & 0x40 != 0 {
                    held.reverse();
                }
                cluster.network.append(&mut held);
            }
        }
        cluster.heal();
    });
}
