//! The schedule: what goes wrong, and right again, when.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use scenarios::{FaultKind, Side, When};

use super::damage::Damage;
use super::signal::Signal;
use super::{Universe, event, time};
use crate::film::What;
use crate::network::{Address, Endpoints, Partition, PartitionId};

/// Something that happens at a moment.
#[derive(Clone, Debug)]
pub enum Action {
    /// A fault of the scenario.
    Fault(FaultKind),
    /// A partition begins, and ends at a moment.
    Cut(Partition, u64),
    /// A partition ends.
    Heal(PartitionId),
    /// A node goes down.
    Crash {
        /// The node.
        node: u8,
        /// Whether it loses power.
        power_loss: bool,
    },
    /// A pause ends.
    Resume(u8),
    /// A node starts again, if it is down.
    Restart(u8),
    /// An episode of disk errors ends.
    EndDiskErrors(u8),
    /// A disk has space again.
    EndDiskFull(u8),
    /// A latency spike ends.
    EndSpike,
    /// Leaders may last again.
    EndShortReigns,
}

/// What is planned.
#[derive(Default)]
pub struct Timeline {
    /// By time, and in the order of planning.
    actions: RefCell<BTreeMap<(u64, u64), Action>>,
    planned: Cell<u64>,
    signal: Signal,
}

impl Universe {
    /// Plans an action for a moment.
    pub fn plan(&self, at: u64, action: Action) {
        let timeline = &self.timeline;
        timeline.planned.set(timeline.planned.get() + 1);
        timeline.actions.borrow_mut().insert((at, timeline.planned.get()), action);
        timeline.signal.notify();
    }

    /// Plans the scenario's faults.
    pub fn plan_faults(&self) {
        for fault in &self.scenario.faults {
            match fault.when {
                When::Time { us } => self.plan(us * 1_000, Action::Fault(fault.kind.clone())),
                when => self.arm(when, fault.kind.clone()),
            }
        }
    }

    /// Performs what is planned, for as long as the universe lasts.
    pub async fn follow_timeline(self: Rc<Self>) {
        let timeline = &self.timeline;
        loop {
            timeline.signal.wait_until(|| timeline.actions.borrow().keys().next().map(|(at, _)| *at)).await;
            loop {
                let next = timeline.actions.borrow_mut().pop_first();
                let Some(((at, order), action)) = next else { break };
                if at > time::now_ns() {
                    timeline.actions.borrow_mut().insert((at, order), action);
                    break;
                }
                self.perform(action);
            }
        }
    }

    /// Ends every fault: nothing is planned any more, everything works, and the nodes of the core run. The others are gone.
    pub fn heal_everything(&self, core: &BTreeSet<u8>) {
        self.timeline.actions.borrow_mut().clear();
        self.disarm();
        self.end_losing();
        self.end_short_reigns();
        self.network.borrow_mut().set_faults_enabled(false);
        for id in 1..=self.scenario.nodes {
            self.node(id).disk.set_faults_enabled(false);
            self.node(id).disk.set_capacity(None);
            self.node(id).stalled_until.set(0);
            self.resume(id);
            if core.contains(&id) {
                self.restart(id);
            } else if !self.node(id).gone.replace(true) {
                self.count("node gone for good");
                self.crash(id, false);
            }
        }
    }

    fn perform(&self, action: Action) {
        match action {
            Action::Fault(kind) => self.inject(&kind),
            Action::Cut(shape, end) => {
                let id = self.network.borrow_mut().partition(time::now_ns(), &shape);
                self.plan(end, Action::Heal(id));
            }
            Action::Crash { node, power_loss } => self.crash(node, power_loss),
            Action::Heal(id) => drop(self.network.borrow_mut().heal(id)),
            Action::Resume(node) => self.resume(node),
            Action::Restart(node) => self.restart(node),
            Action::EndDiskErrors(node) => self.node(node).disk.set_more_errors(0, 0, 0),
            Action::EndDiskFull(node) => self.node(node).disk.set_capacity(None),
            Action::EndSpike => self.network.borrow_mut().set_latency_factor(1),
            Action::EndShortReigns => self.end_short_reigns(),
        }
    }

    fn inject(&self, kind: &FaultKind) {
        tracing::info!(?kind, "fault");
        let now = time::now_ns();
        let end = |for_us: &u64| now + for_us * 1_000;
        self.event(event::FAULT, &[kind.name().len() as u64, u64::from(kind.name().as_bytes()[0])]);
        self.film_fault(kind);
        self.troubles.borrow_mut().push((now, end(&kind.for_us().unwrap_or(0))));
        match kind {
            FaultKind::Crash { node, after_disk_ops: Some(operations), power_loss: _ } => {
                self.node(*node).disk.crash_after(*operations);
            }
            FaultKind::Crash { node, after_disk_ops: None, power_loss } => self.crash(*node, *power_loss),
            FaultKind::Restart { node } => self.restart(*node),
            FaultKind::Pause { node, for_us } => {
                self.pause(*node);
                self.plan(end(for_us), Action::Resume(*node));
            }
            FaultKind::Partition { shape, for_us } => {
                self.count(kind.name());
                let id = self.network.borrow_mut().partition(now, &partition(shape));
                self.plan(end(for_us), Action::Heal(id));
            }
            FaultKind::Heal => {
                if self.network.borrow_mut().heal_all() > 0 {
                    self.count(kind.name());
                }
            }
            FaultKind::DiskStall { node, for_us } => {
                self.count(kind.name());
                self.node(*node).stalled_until.set(end(for_us));
            }
            FaultKind::DiskErrors { node, for_us, read_ppm, write_ppm, sync_ppm } => {
                self.count(kind.name());
                self.node(*node).disk.set_more_errors(*read_ppm, *write_ppm, *sync_ppm);
                self.plan(end(for_us), Action::EndDiskErrors(*node));
            }
            FaultKind::ShortReigns { for_us, messages } => {
                self.reigns.longest.set(Some(*messages));
                self.plan(end(for_us), Action::EndShortReigns);
            }
            FaultKind::LatencySpike { factor, for_us } => {
                self.count(kind.name());
                self.network.borrow_mut().set_latency_factor(*factor);
                self.plan(end(for_us), Action::EndSpike);
            }
            FaultKind::Swizzle { cut, heal, every_us } => {
                self.count(kind.name());
                self.swizzle(cut, heal, *every_us);
            }
            FaultKind::LoseKind { kind: lost, ppm, for_us } => self.begin_losing(*lost, *ppm, end(for_us)),
            FaultKind::CrashLoop { node, times, up_us, down_us, power_loss } => {
                self.count(kind.name());
                let round = up_us + down_us;
                for time in 0..u64::from(*times) {
                    let at = now + time * round * 1_000;
                    self.plan(at, Action::Crash { node: *node, power_loss: *power_loss });
                    self.plan(at + down_us * 1_000, Action::Restart(*node));
                }
            }
            FaultKind::ClockJump { node, by_us } => {
                self.count(if *by_us < 0 { "clock jump back" } else { "clock jump ahead" });
                let slot = self.node(*node);
                if slot.leads.get() && slot.up.get() {
                    engine::probe!("the clock of a leader jumped");
                }
                slot.clock.set(slot.clock.get().jumped(*by_us));
                slot.clock_signal.notify();
            }
            FaultKind::DiskFull { node, free, for_us } => {
                self.count(kind.name());
                let disk = &self.node(*node).disk;
                disk.set_capacity(Some(disk.used() + free));
                self.plan(end(for_us), Action::EndDiskFull(*node));
            }
            FaultKind::Rot { node, file, permille } => self.damage(*node, *file, Damage::Rot, *permille),
            FaultKind::LoseSector { node, file, permille } => self.damage(*node, *file, Damage::LoseSector, *permille),
            FaultKind::Misdirect { node, file, permille } => self.damage(*node, *file, Damage::Misdirect, *permille),
            FaultKind::Wipe { node, down_us } => self.wipe(*node, end(down_us)),
            FaultKind::SaveImage { node } => {
                self.node(*node).disk.save_image();
                self.node(*node).image.set(true);
            }
            FaultKind::RestoreImage { node, down_us } => self.restore_image(*node, end(down_us)),
        }
    }
}

impl Universe {
    /// Films a fault, with the links that it cuts.
    fn film_fault(&self, kind: &FaultKind) {
        self.film(None, || {
            let until_ns = kind.for_us().map(|us| time::now_ns() + us * 1_000);
            let cut = match kind {
                FaultKind::Partition { shape, .. } => self.links_of(&partition(shape)),
                _ => Vec::new(),
            };
            What::Fault { kind: kind.name().to_string(), text: kind.to_string(), nodes: kind.nodes(), until_ns, cut }
        });
    }

    /// The links that a partition cuts, of those between the nodes and clients that there are.
    fn links_of(&self, partition: &Partition) -> Vec<(String, String)> {
        let nodes = (1..=self.scenario.nodes).map(Address::Node);
        let ends: Vec<Address> = nodes.chain(self.scenario.clients.iter().map(|c| Address::Client(c.id))).collect();
        let mut cut = Vec::new();
        for &from in &ends {
            for &to in &ends {
                let client = |end| matches!(end, Address::Client(_));
                if from != to && !(client(from) && client(to)) && partition.blocks(from, to) {
                    cut.push((from.to_string(), to.to_string()));
                }
            }
        }
        cut
    }
}

fn endpoints(side: &Side) -> Endpoints {
    Endpoints::nodes(side.nodes.iter().copied()).union(Endpoints::clients(side.clients.iter().copied()))
}

/// A scenario's partition as the network has it.
fn partition(shape: &scenarios::Partition) -> Partition {
    match shape {
        scenarios::Partition::Halves { left, right } => Partition::Groups(vec![endpoints(left), endpoints(right)]),
        scenarios::Partition::Isolate { node, clients } => Partition::Isolate { node: *node, clients: *clients },
        scenarios::Partition::Bridge { node, left, right } => {
            Partition::Bridge { bridge: *node, left: endpoints(left), right: endpoints(right) }
        }
        scenarios::Partition::Ring { nodes } => Partition::Ring(nodes.clone()),
        scenarios::Partition::OneWay { from, to } => Partition::OneWay { from: endpoints(from), to: endpoints(to) },
        scenarios::Partition::ClientSide { clients, nodes } => Partition::ClientSide {
            clients: Endpoints::clients(clients.iter().copied()),
            nodes: Endpoints::nodes(nodes.iter().copied()),
        },
        scenarios::Partition::Flapping { shape, cut_us, open_us } => {
            Partition::Flapping { partition: Box::new(partition(shape)), cut_us: *cut_us, open_us: *open_us }
        }
    }
}
