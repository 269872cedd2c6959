//! One node of the cluster as a process of the universe: moves messages, time and disk latency in and out of the engine.

use std::convert::Infallible;
use std::rc::Rc;

use engine::disk::ErrorKind;
use engine::node::{Error, Freshness, Input, Node, Ready};
use engine::storage::{self, BitCask, BitCaskOptions, Memory, Storage};
use scenarios::StorageOptions;
use tracing::Instrument;

use super::{Death, Packet, Universe, time};
use crate::disk::SimDisk;
use crate::network::Address;

/// Lives one life of a node: recovers it from its disk and runs it until the process is killed or the engine stops.
pub async fn live(universe: Rc<Universe>, id: u8) {
    let life = universe.begin_life(id);
    let Err(error) = run(&universe, id, life).instrument(tracing::info_span!("node", id, life)).await;
    universe.die(id, death(error));
}

/// Runs a node on the storage that the scenario names.
async fn run(universe: &Rc<Universe>, id: u8, life: u32) -> Result<Infallible, Error> {
    let disk = universe.node(id).disk.clone();
    match universe.scenario.engine.storage {
        StorageOptions::Memory => run_on(universe, id, life, &disk, |_| Ok(Memory::new())).await,
        StorageOptions::BitCask { compact_garbage_percent, compact_min_bytes } => {
            let options = BitCaskOptions {
                compact_garbage_bytes: compact_min_bytes,
                compact_garbage_percent,
                compact_on_open: true,
            };
            let open = |freshness| match freshness {
                Freshness::Kept => BitCask::open(disk.clone(), "store", options),
                Freshness::Empty => BitCask::open_empty(disk.clone(), "store", options),
            };
            run_on(universe, id, life, &disk, open).await
        }
    }
}

/// What the end of a node means to the universe.
fn death(error: Error) -> Death {
    match error {
        Error::Storage(storage::Error::Disk(error) | storage::Error::Unreadable(error)) => match error.kind {
            ErrorKind::PowerLoss => Death::PowerLoss,
            _ => Death::DiskError(error.to_string()),
        },
        Error::Forgot(error) => Death::Forgot(error.to_string()),
        error => Death::Corruption(error.to_string()),
    }
}

async fn run_on<S: Storage>(
    universe: &Rc<Universe>,
    id: u8,
    life: u32,
    disk: &SimDisk,
    open: impl FnMut(Freshness) -> Result<S, storage::Error>,
) -> Result<Infallible, Error> {
    let seed = universe.life_seed(id, life);
    let mut node = Node::open(universe.config(id), disk.clone(), seed, open)?;
    if let Some(time) = universe.time_of(id) {
        node.tell_time(time);
    }
    universe.note_opened(id, node.repaired(), node.is_recovering());
    wait_for_disk(universe, id, disk).await;
    universe.observe_restart(&node);
    madsim::task::spawn_local(tick(Rc::clone(universe), id));
    let mut ready = Ready::default();
    loop {
        let slot = universe.node(id);
        slot.signal.wait(|| (!slot.inbox.borrow().is_empty()).then_some(())).await;
        loop {
            // The borrow ends before the step, which may send to itself through the network.
            let Some(input) = slot.inbox.borrow_mut().pop_front() else { break };
            if let (Input::Tick, Some(time)) = (&input, universe.time_of(id)) {
                node.tell_time(time);
            }
            node.step(input)?;
        }
        let mut more = true;
        while more {
            universe.observe_write(&node);
            more = node.ready(&mut ready)?;
            universe.observe(&node, &ready);
            universe.node(id).sending.set(!ready.messages.is_empty() || !ready.replies.is_empty());
            wait_for_disk(universe, id, disk).await;
            universe.node(id).sending.set(false);
            for message in ready.messages.drain(..) {
                let to = message.to();
                universe.send(Address::Node(id), Address::Node(to), Packet::Peer(message));
            }
            for reply in ready.replies.drain(..) {
                let to = reply.client as u32;
                universe.send(Address::Node(id), Address::Client(to), Packet::Reply(reply));
            }
        }
    }
}

/// Disk operations take no time within the engine; the process sleeps for it before anything leaves the node.
async fn wait_for_disk(universe: &Universe, id: u8, disk: &SimDisk) {
    let busy = disk.take_busy_us();
    if busy > 0 {
        let stalled = universe.node(id).stalled_until.get();
        time::sleep_until_ns(stalled.max(time::now_ns()) + busy * 1_000).await;
    }
}

/// Ticks by the node's own clock, which is skewed, drifts and jumps.
async fn tick(universe: Rc<Universe>, id: u8) {
    let period = u64::from(universe.scenario.engine.tick_ms) * 1_000_000;
    let mut due = universe.clock(id).local(time::now_ns()) + period;
    loop {
        universe.node(id).clock_signal.wait_until(|| Some(universe.clock(id).universe(due))).await;
        if universe.clock_stands_still(id) {
            if universe.node(id).leads.get() {
                engine::probe!("time stands still for a leader");
            }
        } else {
            universe.deliver(id, Input::Tick);
        }
        // A process that was paused, or whose clock leapt ahead, does not make up for the ticks it missed.
        due = (due + period).max(universe.clock(id).local(time::now_ns()));
    }
}
