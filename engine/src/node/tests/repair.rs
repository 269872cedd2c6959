//! Nodes whose disks are wiped, damaged, or put back to an older state: what they repair by themselves, what their peers
//! give back, and when they stop.

use std::collections::BTreeSet;

use super::cluster::{Cluster, open_store};
use crate::disk::faulty::{Fault, FaultyDisk, Random};
use crate::disk::{Disk, ErrorKind, File, MemDisk};
use crate::mvcc::Store;
use crate::node::protocol::{Body, ReplyBody, Request};
use crate::node::{self, Config, Error, Freshness, GatewayOptions, Machine, Node, Repair};
use crate::raft::{self, Entry, HardState, Log, NodeId, Opened, Payload};
use crate::storage::{self, BitCask, BitCaskOptions, Memory, Storage};

const LOG: &str = "raft/log";
const DATA: &str = "store/data";

/// Runs statements, each as a new client of a node.
fn execute(cluster: &mut Cluster, node: NodeId, statements: &[&str]) {
    for sql in statements {
        let client = cluster.replies.len() as u64 + 1;
        cluster.request(node, Request { client, connection: 0, request: 1, body: Body::Connect });
        let Some(ReplyBody::Connected(connection)) = cluster.replies.last().map(|reply| reply.body.clone()) else {
            panic!("not connected");
        };
        let body = Body::Execute { sql: (*sql).into(), params: vec![], transaction: 1, begun: false, retry: false };
        cluster.request(node, Request { client, connection, request: 2, body });
        let reply = cluster.replies.last().unwrap();
        assert!(reply.request == 2 && matches!(reply.body, ReplyBody::Executed { .. }), "{sql}: {:?}", reply.body);
    }
}

/// A cluster with a table of a few rows, led by node 1.
fn filled(size: u8) -> Cluster {
    let mut cluster = Cluster::new(size);
    cluster.ids().into_iter().for_each(|id| cluster.start(id));
    (0..raft::Options::default().election_ticks * 2).for_each(|_| cluster.tick(1));
    assert_eq!(cluster.elect(), 1);
    execute(&mut cluster, 1, &["CREATE TABLE t (id INT PRIMARY KEY, x INT)"]);
    for row in 0..10 {
        execute(&mut cluster, size, &[&format!("INSERT INTO t VALUES ({row}, {row})")]);
    }
    pass(&mut cluster);
    cluster
}

/// Lets time pass for the leader, for everyone to hear of everything.
fn pass(cluster: &mut Cluster) {
    let leader = cluster.elect();
    (0..10).for_each(|_| cluster.tick(leader));
}

fn bytes(disk: &MemDisk, path: &str) -> Vec<u8> {
    let file = disk.open(path).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    bytes
}

/// Changes a bit in the middle of a file.
fn damage(disk: &MemDisk, path: &str) {
    let bytes = bytes(disk, path);
    let middle = bytes.len() / 2;
    disk.open(path).unwrap().write_at(&[bytes[middle] ^ 1], middle as u64).unwrap();
}

/// Another disk with these files of a disk.
fn copy(disk: &MemDisk, paths: &[&str]) -> MemDisk {
    let copy = MemDisk::new();
    for path in paths {
        copy.create_dir(path.split('/').next().unwrap()).unwrap();
        copy.open(path).unwrap().write_at(&bytes(disk, path), 0).unwrap();
    }
    copy
}

/// The names of the files that a node has, but for locks.
fn names(disk: &MemDisk) -> Vec<String> {
    let names = ["raft", "store"].map(|dir| disk.list(dir).unwrap_or_default());
    names.into_iter().flatten().filter(|name| name != "lock").collect()
}

/// All nodes are voters, and have applied the same.
fn demand_equal(cluster: &Cluster) {
    let state = |id| {
        let node = cluster.node(id).unwrap();
        assert!(!node.is_recovering(), "{id} has not been reinstated");
        (node.machine().applied(), node.machine().store().digest().unwrap())
    };
    let first = state(1);
    cluster.ids().into_iter().for_each(|id| assert_eq!(state(id), first, "node {id}"));
}

/// The node has begun to recover. Lets it, and shows that its vote counts.
fn demand_recovery(cluster: &mut Cluster, id: NodeId) {
    assert!(cluster.node(id).unwrap().is_recovering());
    assert_eq!(cluster.node(id).unwrap().machine().applied(), 0, "the store of before is not trusted");
    pass(cluster);
    demand_equal(cluster);
    let other = cluster.ids().into_iter().find(|&other| other != id && other != cluster.elect()).unwrap();
    cluster.kill(other);
    execute(cluster, id, &["INSERT INTO t VALUES (100, 1)"]);
    cluster.start(other);
    pass(cluster);
    demand_equal(cluster);
}

#[test]
fn a_damaged_store_is_rebuilt_from_the_log() {
    for size in [1, 2, 3] {
        let mut cluster = filled(size);
        cluster.kill(size);
        damage(cluster.disk(size), DATA);
        let damaged = bytes(cluster.disk(size), DATA);
        cluster.start(size);
        let node = cluster.node(size).unwrap();
        let Repair::StoreRebuilt(storage::Error::Corrupt { path, .. }) = node.repaired() else {
            panic!("{:?}", node.repaired())
        };
        assert_eq!(path, DATA);
        assert!(!node.is_recovering() && node.machine().applied() == 0 && node.raft().last_index() > 10);
        pass(&mut cluster);
        demand_equal(&cluster);
        assert_eq!(bytes(cluster.disk(size), "store/data.damaged"), damaged);
        // Once repaired it stays so.
        cluster.kill(size);
        cluster.start(size);
        assert_eq!(*cluster.node(size).unwrap().repaired(), Repair::Nothing);
        pass(&mut cluster);
        demand_equal(&cluster);
    }
}

#[test]
fn a_wiped_node_recovers_from_its_peers() {
    for id in 1..=3 {
        let mut cluster = filled(3);
        cluster.kill(id);
        *cluster.disk(id) = MemDisk::new();
        cluster.start(id);
        let reason = storage::Error::NotFormatted { path: LOG.into() };
        assert_eq!(*cluster.node(id).unwrap().repaired(), Repair::LogLost(Some(reason.into())));
        demand_recovery(&mut cluster, id);
    }
}

#[test]
fn a_damaged_log_is_set_aside_with_the_store() {
    let mut cluster = filled(3);
    cluster.kill(2);
    damage(cluster.disk(2), LOG);
    let before = [LOG, DATA].map(|path| bytes(cluster.disk(2), path));
    cluster.start(2);
    let repair = cluster.node(2).unwrap().repaired();
    assert!(matches!(repair, Repair::LogLost(Some(Error::Storage(storage::Error::Corrupt { .. })))), "{repair:?}");
    assert_eq!(["raft/log.damaged", "store/data.damaged"].map(|path| bytes(cluster.disk(2), path)), before);
    demand_recovery(&mut cluster, 2);
}

/// The store is what is left of the entries that the log has lost.
#[test]
fn a_log_that_ends_before_the_store_is_lost() {
    let mut cluster = filled(3);
    let older = copy(cluster.disk(2), &[LOG]);
    (20..40).for_each(|row| execute(&mut cluster, 2, &[&format!("INSERT INTO t VALUES ({row}, 0)")]));
    cluster.kill(2);
    let disk = copy(cluster.disk(2), &[DATA]);
    disk.create_dir("raft").unwrap();
    disk.open(LOG).unwrap().write_at(&bytes(&older, LOG), 0).unwrap();
    *cluster.disk(2) = disk;
    cluster.start(2);
    let repair = cluster.node(2).unwrap().repaired();
    assert!(matches!(repair, Repair::LogLost(Some(Error::StoreAheadOfLog { .. }))), "{repair:?}");
    demand_recovery(&mut cluster, 2);
}

/// An older image of a whole disk is a good disk. Only the leader knows that it has held more.
#[test]
fn an_older_disk_is_found_out_by_the_leader() {
    let mut cluster = filled(3);
    let older = copy(cluster.disk(3), &[LOG, DATA]);
    execute(&mut cluster, 1, &["INSERT INTO t VALUES (50, 0)"]);
    cluster.kill(3);
    *cluster.disk(3) = older;
    cluster.start(3);
    assert_eq!(*cluster.node(3).unwrap().repaired(), Repair::Nothing);
    cluster.stopped = Some(Vec::new());
    (0..5).for_each(|_| cluster.tick(1));
    let stopped = cluster.stopped.take().unwrap();
    assert!(matches!(stopped[..], [(3, Error::Forgot(raft::Forgot { acknowledged, last }))] if acknowledged > last));
    assert!(cluster.node(3).is_none());
    cluster.start(3);
    assert!(matches!(cluster.node(3).unwrap().repaired(), Repair::LogLost(Some(_))));
    demand_recovery(&mut cluster, 3);
}

/// Where the others are no quorum, nobody could give a node its vote back. So nothing is touched.
#[test]
fn a_node_that_its_peers_cannot_spare_stops() {
    for size in [1, 2] {
        let mut cluster = filled(size);
        cluster.kill(size);
        let whole = copy(cluster.disk(size), &[LOG, DATA]);
        let mut demand_stop = |disk: MemDisk, expected: fn(&Error) -> bool| {
            let before = names(&disk);
            *cluster.disk(size) = disk.clone();
            for _ in 0..2 {
                let error = cluster.try_start(size).unwrap_err();
                assert!(expected(&error), "{error}");
                assert_eq!(names(&disk), before);
            }
        };
        demand_stop(MemDisk::new(), |error| matches!(error, Error::Storage(storage::Error::NotFormatted { .. })));
        damage(&whole, LOG);
        demand_stop(copy(&whole, &[LOG, DATA]), |error| {
            matches!(error, Error::Storage(storage::Error::Corrupt { .. }))
        });
        let fresh = copy(&whole, &[DATA]);
        node::format(&fresh).unwrap();
        demand_stop(fresh, |error| matches!(error, Error::StoreAheadOfLog { last: 0, .. }));
    }
    // An older image of the only peer's disk. Without the log's help, nothing is set aside either.
    let mut cluster = filled(2);
    let older = copy(cluster.disk(2), &[LOG, DATA]);
    execute(&mut cluster, 1, &["INSERT INTO t VALUES (50, 0)"]);
    cluster.kill(2);
    *cluster.disk(2) = older;
    cluster.start(2);
    cluster.stopped = Some(Vec::new());
    (0..5).for_each(|_| cluster.tick(1));
    assert!(matches!(cluster.stopped.take().unwrap()[..], [(2, Error::Forgot(_))]));
    assert_eq!(cluster.disk(2).list("raft").unwrap(), ["lock", "log"]);
}

fn config() -> Config {
    Config {
        buggify: 0,
        id: 1,
        peers: BTreeSet::from([2, 3]),
        raft: raft::Options::default(),
        gateway: GatewayOptions::default(),
        flush_every: 4,
        retention: None,
    }
}

#[test]
fn a_store_in_memory_needs_no_repair() {
    let disk = MemDisk::new();
    let mut asked = Vec::new();
    let node = Node::open(config(), disk.clone(), 1, |freshness| {
        asked.push(freshness);
        Ok(Memory::new())
    });
    assert!(node.unwrap().is_recovering());
    assert_eq!(asked, [Freshness::Empty]);
    // What an earlier life began is the same amnesia, until something has come of it.
    let node = Node::open(config(), disk, 2, |_| Ok(Memory::new())).unwrap();
    assert_eq!((node.is_recovering(), node.repaired()), (true, &Repair::LogLost(None)));
}

/// A disk with a log of a few entries and a store that has applied them.
fn used() -> FaultyDisk {
    let disk = FaultyDisk::default();
    node::format(&disk).unwrap();
    let entries: Vec<Entry> = (1..=6).map(|index| Entry { index, term: 2, payload: Payload::Empty }).collect();
    let Opened::Whole(mut log, _) = Log::open(disk.clone(), "raft").unwrap() else { panic!("it was formatted") };
    log.append(Some(HardState { term: 2, vote: Some(2), recovering: None }), &entries[..3]).unwrap();
    log.sync().unwrap();
    log.append(None, &entries[3..]).unwrap();
    log.sync().unwrap();
    let store = BitCask::open(disk.clone(), "store", BitCaskOptions::default()).unwrap();
    let mut machine = Machine::new(Store::new(store).unwrap(), 1);
    for entry in &entries {
        machine.apply(entry).unwrap();
    }
    disk
}

/// Damages a file where it was durable.
fn damage_durably(disk: &FaultyDisk, path: &str) {
    let mut bytes = disk.bytes(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    disk.put(path, &bytes);
}

type OnFaulty = Node<FaultyDisk, BitCask<FaultyDisk>>;

fn open(disk: &FaultyDisk, seed: u64) -> Result<OnFaulty, Error> {
    Node::open(config(), disk.clone(), seed, open_store(disk))
}

/// What `open` makes of a disk survives losing power at every operation of it, and again at every one of the next attempt.
fn crash_everywhere(disk: fn() -> FaultyDisk, check: fn(&OnFaulty)) {
    let operations = {
        let disk = disk();
        disk.restart_process();
        check(&open(&disk, 1).unwrap());
        disk.operations()
    };
    for at in 0..=operations {
        for again in (0..=operations).step_by(3) {
            let disk = disk();
            let mut random = Random((at * 1_000 + again) as u64);
            for (seed, at) in [(1, at), (2, again)] {
                disk.restart_process();
                disk.fault_at(at, Fault::PowerLoss);
                if let Ok(node) = open(&disk, seed) {
                    check(&node);
                }
                disk.lose_power(&mut random);
            }
            check(&open(&disk, 3).unwrap());
        }
    }
}

#[test]
fn a_crash_in_the_middle_of_amnesia_never_makes_a_voter() {
    let check = |node: &OnFaulty| {
        assert!(node.is_recovering());
        assert!(matches!(node.repaired(), Repair::LogLost(_)), "{:?}", node.repaired());
        assert_eq!((node.raft().last_index(), node.machine().applied()), (0, 0));
    };
    let damaged_log = || {
        let disk = used();
        damage_durably(&disk, LOG);
        disk
    };
    let store_ahead = || {
        let disk = used();
        let log = disk.bytes(LOG).unwrap();
        disk.put(LOG, &log[..log.len() - 10]);
        disk
    };
    let both_damaged = || {
        let disk = used();
        damage_durably(&disk, LOG);
        damage_durably(&disk, DATA);
        disk
    };
    for disk in [damaged_log, store_ahead, both_damaged] {
        crash_everywhere(disk, check);
    }
}

#[test]
fn a_crash_while_the_store_is_rebuilt_loses_nothing() {
    let damaged_store = || {
        let disk = used();
        damage_durably(&disk, DATA);
        disk
    };
    crash_everywhere(damaged_store, |node| {
        assert!(!node.is_recovering());
        assert_eq!((node.raft().last_index(), node.raft().vote(), node.machine().applied()), (6, Some(2), 0));
    });
}

#[test]
fn what_cannot_be_read_is_repaired_like_damage() {
    // The log is read before the store, so this hits both.
    let disk = used();
    let mut opened = 0;
    disk.fail(Some(("read", ErrorKind::Io)));
    let node = Node::open(config(), disk.clone(), 1, |freshness| {
        assert_eq!(freshness, Freshness::Empty);
        opened += 1;
        disk.fail(None);
        open_store(&disk)(freshness)
    });
    let node = node.unwrap();
    let repair = node.repaired();
    assert!(matches!(repair, Repair::LogLost(Some(Error::Storage(storage::Error::Unreadable(_))))), "{repair:?}");
    assert!(node.is_recovering() && opened == 1);

    // Only the store.
    let disk = used();
    let node = Node::open(config(), disk.clone(), 1, |freshness| {
        disk.fail((freshness == Freshness::Kept).then_some(("read", ErrorKind::Io)));
        open_store(&disk)(freshness)
    });
    let node = node.unwrap();
    assert!(matches!(node.repaired(), Repair::StoreRebuilt(storage::Error::Unreadable(_))), "{:?}", node.repaired());
    assert!(!node.is_recovering() && node.raft().last_index() == 6);
    assert_eq!(node.machine().store().storage().status().keys, 0);
}
