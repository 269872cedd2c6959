//! The camera: films a universe as it happens, when it was asked to.

use std::collections::BTreeMap;

use engine::node::Decided;
use engine::raft::Entry;
use scenarios::MessageKind;

use super::ledger::{self, Ledger, Ruling};
use super::{Packet, Universe, time};
use crate::film::{Event, What};
use crate::network::{Address, Delivery, Sent, Shape};

/// Films a universe.
pub struct Camera {
    events: Vec<Event>,
    /// Messages on their way: where they are among the events.
    flying: BTreeMap<u64, usize>,
    /// What was last filmed of each node's log and role.
    logs: Vec<[u64; 4]>,
    roles: Vec<(&'static str, u64)>,
    /// How often each probe had been passed when it was last looked at.
    probes: BTreeMap<&'static str, u64>,
    /// What is known of the log.
    ledger: Ledger,
}

impl Camera {
    /// A camera on so many nodes.
    pub fn new(nodes: u8) -> Self {
        Self {
            events: Vec::new(),
            flying: BTreeMap::new(),
            logs: vec![[0; 4]; usize::from(nodes) + 1],
            roles: vec![("", 0); usize::from(nodes) + 1],
            probes: BTreeMap::new(),
            ledger: Ledger::default(),
        }
    }

    /// What was filmed.
    pub fn into_events(self) -> Vec<Event> {
        self.events
    }
}

impl Universe {
    /// Films an event, if there is a camera.
    pub fn film(&self, node: Option<u8>, what: impl FnOnce() -> What) {
        if let Some(camera) = &mut *self.camera.borrow_mut() {
            let event = Event { n: self.digest.borrow().events(), at_ns: time::now_ns(), node, what: what() };
            camera.events.push(event);
        }
    }

    /// What a packet says, if there is a camera.
    pub fn packet_words(&self, packet: &Packet) -> Option<String> {
        self.camera.borrow_mut().as_mut().map(|camera| packet.text(&mut camera.ledger))
    }

    /// Films entries that a node has stored, if no node had them before.
    pub fn film_stored(&self, node: u8, entries: &[Entry]) {
        for entry in entries {
            let text = self.camera.borrow_mut().as_mut().and_then(|camera| camera.ledger.learn(entry));
            if let Some(text) = text {
                self.film(Some(node), || What::Entry { index: entry.index, term: entry.term, text });
            }
        }
    }

    /// Films that a node has applied an entry.
    pub fn film_applied(&self, node: u8, entry: &Entry, decided: Option<&Decided>) {
        let told = self.camera.borrow_mut().as_mut().map(|camera| {
            let Ruling { text, wrong } = camera.ledger.applied(entry, decided);
            (ledger::label(entry), text, wrong)
        });
        if let Some((entry_text, ruling, wrong)) = told {
            let decided = Decided::digest(decided);
            self.film(Some(node), || What::Applies { index: entry.index, entry: entry_text, ruling, wrong, decided });
        }
    }

    /// Films a message that was sent.
    pub fn film_sent(
        &self,
        from: Address,
        to: Address,
        kind: MessageKind,
        term: Option<u64>,
        text: String,
        sent: Sent,
    ) {
        let (arrives_ns, fate) = match sent {
            Sent::Due { at, .. } => (Some(at), "on its way".to_string()),
            Sent::Lost => (None, "lost".to_string()),
            Sent::Cut(shape) => (None, format!("cut off ({})", shape.name())),
        };
        let node = if let Address::Node(id) = from { Some(id) } else { None };
        let (from, to, kind) = (from.to_string(), to.to_string(), kind.to_string());
        self.film(node, || What::Message { from, to, kind, term, text, arrives_ns, fate });
        if let (Sent::Due { number, .. }, Some(camera)) = (sent, &mut *self.camera.borrow_mut()) {
            camera.flying.insert(number, camera.events.len() - 1);
        }
    }

    /// Films that a message has arrived, or has not.
    pub fn film_arrival(&self, delivery: &Delivery<Packet>, blocked: Option<Shape>) {
        if self.camera.borrow().is_none() {
            return;
        }
        let Delivery { from, to, message, number, .. } = delivery;
        let (node, down) = match *to {
            Address::Node(id) => (Some(id), !self.node(id).up.get()),
            Address::Client(_) => (None, false),
        };
        let outcome = match blocked {
            Some(shape) => format!("cut off ({})", shape.name()),
            None if down => "node down".to_string(),
            None => "delivered".to_string(),
        };
        if let Some(camera) = &mut *self.camera.borrow_mut()
            && let Some(place) = camera.flying.remove(number)
            && let What::Message { fate, .. } = &mut camera.events[place].what
        {
            *fate = outcome;
        }
        if blocked.is_none() {
            let (from, to, kind) = (from.to_string(), to.to_string(), message.kind().to_string());
            self.film(node, || What::Arrives { from, to, kind });
        }
    }

    /// Films what has changed of a node, and which probes were passed.
    pub fn film_node(&self, node: u8, role: &'static str, log: [u64; 4]) {
        let (new_role, new_log, probes) = {
            let mut camera = self.camera.borrow_mut();
            let Some(camera) = &mut *camera else { return };
            let place = usize::from(node);
            let new_role = std::mem::replace(&mut camera.roles[place], (role, log[3])) != (role, log[3]);
            let new_log = std::mem::replace(&mut camera.logs[place], log) != log;
            let counts = engine::probe::counts().into_iter();
            let passed = |&(name, count): &(&'static str, u64)| camera.probes.insert(name, count) != Some(count);
            let probes: Vec<(&str, u64)> = counts.filter(passed).collect();
            (new_role, new_log, probes)
        };
        let [last, commit, applied, term] = log;
        if new_role {
            self.film(Some(node), || What::Role { role: role.to_string(), term });
        }
        if new_log {
            self.film(Some(node), || What::Log { last, commit, applied, term });
        }
        for (name, count) in probes {
            self.film(Some(node), || What::Probe { name: name.to_string(), count });
        }
    }
}
