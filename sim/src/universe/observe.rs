//! What the checker of Raft's safety sees of a node, after each of its steps.

use checkers::Violation;
use engine::disk::Disk;
use engine::node::{Decided, Node, Ready};
use engine::raft::{Entry, Payload, Role};
use engine::storage::Storage;
use scenarios::When;
use xxhash_rust::xxh3::xxh3_64;

use super::schedule::Action;
use super::{Universe, event, time};
use crate::film::What;
use crate::story::Change;

/// A hash of what an entry holds.
fn content(entry: &Entry) -> (u64, u64) {
    let hash = match &entry.payload {
        Payload::Empty => 0,
        Payload::Command(command) => xxh3_64(command),
        Payload::Reinstate { node, nonce } => u64::from(*node) ^ nonce.get(),
    };
    (entry.term, hash)
}

impl Universe {
    /// A node was recovered from its disk.
    pub fn observe_restart<D: Disk, S: Storage>(&self, node: &Node<D, S>) {
        let (raft, id) = (node.raft(), usize::from(node.id()));
        let entries = raft.entries(1, raft.last_index()).iter().map(content);
        let result = self.monitor.borrow_mut().restarted(id, entries);
        self.judge(result, node.id());
        self.observe_role(node);
    }

    /// A node is about to write what is not durable yet; it may die over it.
    pub fn observe_write<D: Disk, S: Storage>(&self, node: &Node<D, S>) {
        if let Some(first) = node.raft().unpersisted().and_then(|unpersisted| unpersisted.entries.first()) {
            self.monitor.borrow_mut().overwriting(usize::from(node.id()), first.index);
        }
    }

    /// A node has made durable what it had to, and will send what `ready` holds when its disk is done.
    pub fn observe<D: Disk, S: Storage>(&self, node: &Node<D, S>, ready: &Ready) {
        let (raft, id) = (node.raft(), usize::from(node.id()));
        let syncs = self.node(node.id()).disk.counters().syncs;
        self.happened(|when| matches!(when, When::Synced { node: n, count } if n == node.id() && count <= syncs));
        if let Some((first, last)) = ready.persisted {
            self.happened(|when| matches!(when, When::Appended { node: n, index } if n == node.id() && index <= last));
            let entries = raft.entries(first, last).iter().map(content);
            let mut monitor = self.monitor.borrow_mut();
            let result = monitor.appended(id, first, entries).and_then(|()| monitor.persisted(id, last));
            drop(monitor);
            self.judge(result, node.id());
            self.film_stored(node.id(), raft.entries(first, last));
            let slot = self.node(node.id());
            if last >= slot.forgotten.get() {
                slot.forgotten.set(0);
            }
        }
        self.observe_role(node);
        if let Some((last, _)) = ready.applied.last() {
            let mut monitor = self.monitor.borrow_mut();
            let mut result = monitor.committed(id, raft.commit_index());
            let mut together = 0;
            for (index, decided) in &ready.applied {
                let digest = Decided::digest(decided.as_ref());
                result = result.and_then(|()| monitor.applied(id, *index, digest));
                together ^= digest;
            }
            drop(monitor);
            self.judge(result, node.id());
            self.event(event::APPLY, &[u64::from(node.id()), *last, together]);
            self.node(node.id()).applied.set(*last);
            if self.camera.borrow().is_some() {
                for (index, decided) in &ready.applied {
                    for entry in raft.entries(*index, *index) {
                        self.film_applied(node.id(), entry, decided.as_ref());
                    }
                }
            }
            self.happened(|when| matches!(when, When::Applied { node: n, index } if n == node.id() && index <= *last));
        }
        if self.node(node.id()).wanted.replace(false) {
            match node.machine().store().digest() {
                Ok(digest) => self.node(node.id()).state.set(Some((node.machine().applied(), digest))),
                // The store has found damage, and refuses all further work: an operator starts the process again.
                Err(error) => {
                    tracing::info!(node = node.id(), %error, "the state cannot be read");
                    self.count("stop on damage");
                    let id = node.id();
                    self.plan(time::now_ns(), Action::Crash { node: id, power_loss: false });
                    self.plan(time::now_ns() + self.scenario.restart_us * 1_000, Action::Restart(id));
                }
            }
        }
    }

    fn observe_role<D: Disk, S: Storage>(&self, node: &Node<D, S>) {
        let (raft, id) = (node.raft(), usize::from(node.id()));
        let mut monitor = self.monitor.borrow_mut();
        let mut result = monitor.term(id, raft.term());
        if let Some(candidate) = raft.vote().map(u64::from) {
            result = result.and_then(|()| {
                if raft.is_recovering() {
                    monitor.forgotten_vote(id, raft.term(), candidate)
                } else {
                    monitor.vote(id, raft.term(), candidate)
                }
            });
        }
        let leads = raft.role() == Role::Leader;
        self.node(node.id()).leads.set(leads);
        if leads && (1..=self.scenario.nodes).any(|other| other != node.id() && self.node(other).leads.get()) {
            engine::probe!("two nodes believe that they lead");
        }
        if leads {
            if self.leaders.borrow_mut().insert(raft.term()) {
                self.tell(node.id(), Change::Leads);
                self.note_leader(node.id(), raft.term());
                let slot = self.node(node.id());
                slot.reigns.set(slot.reigns.get() + 1);
                let reigns = slot.reigns.get();
                self.happened(
                    |when| matches!(when, When::Leads { node: n, count } if n == node.id() && count <= reigns),
                );
            }
            result = result.and_then(|()| monitor.leader(id, raft.term()));
        }
        drop(monitor);
        self.judge(result, node.id());
        if self.node(node.id()).recovering.replace(node.is_recovering()) && !node.is_recovering() {
            self.count("reinstated");
            self.film(Some(node.id()), || What::Note { text: format!("n{} votes again", node.id()) });
        }
        if self.states.borrow().is_some() {
            let role = match raft.role() {
                Role::Follower { leader: None } => 1,
                Role::Follower { leader: Some(_) } => 2,
                Role::PreCandidate => 3,
                Role::Candidate => 4,
                Role::Leader => 5,
            };
            self.note_nature(node.id(), [role, raft.term(), raft.last_index(), raft.commit_index()]);
        }
        if self.camera.borrow().is_some() {
            let role = match raft.role() {
                _ if node.is_recovering() => "recovering",
                Role::Follower { .. } => "follower",
                Role::PreCandidate => "pre-candidate",
                Role::Candidate => "candidate",
                Role::Leader => "leader",
            };
            let log = [raft.last_index(), raft.commit_index(), node.machine().applied(), raft.term()];
            self.film_node(node.id(), role, log);
        }
    }

    /// Notes the abstract state of the cluster: how many lead, campaign and are down, and how far the last is behind the first
    /// in term, log and commit, roughly.
    fn note_nature(&self, id: u8, nature: [u64; 4]) {
        let mut natures = self.nature.borrow_mut();
        let place = usize::from(id) - 1;
        if natures[place] == nature {
            return;
        }
        natures[place] = nature;
        let first = |part: usize| natures.iter().map(|nature| nature[part]).max().unwrap_or(0);
        let (term, last, commit) = (first(1), first(2), first(3));
        let gap = |ahead: u64, of: u64| match ahead - of {
            0 => 0,
            1 => 1,
            2..5 => 2,
            _ => 3,
        };
        let roles = |role: u64| natures.iter().filter(|nature| nature[0] == role).count().min(2) as u64;
        let down = (1..=self.scenario.nodes).filter(|&id| !self.node(id).up.get()).count().min(2) as u64;
        let widest = |part: usize, ahead: u64| natures.iter().map(|n| gap(ahead, n[part])).max().unwrap_or(0);
        let gaps = [widest(1, term), widest(2, last), widest(3, commit)];
        let state = [roles(5), roles(4), down].into_iter().chain(gaps).fold(0_u64, |state, part| state << 2 | part);
        if let Some(states) = &mut *self.states.borrow_mut() {
            states.insert(state);
        }
    }

    fn judge(&self, result: Result<(), Violation>, node: u8) {
        let Err(Violation { checker, anomaly, message, evidence, at: _ }) = result else { return };
        self.report(checker, &anomaly, message, evidence, Some(node));
    }
}
