//! The camera: films a universe as it happens, when it was asked to.

use std::collections::BTreeMap;

use scenarios::MessageKind;

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
    probes: std::collections::BTreeSet<&'static str>,
}

impl Camera {
    /// A camera on so many nodes.
    pub fn new(nodes: u8) -> Self {
        Self {
            events: Vec::new(),
            flying: BTreeMap::new(),
            logs: vec![[0; 4]; usize::from(nodes) + 1],
            roles: vec![("", 0); usize::from(nodes) + 1],
            probes: std::collections::BTreeSet::new(),
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

    /// Films what has changed of a node, and which probes were passed for the first time.
    pub fn film_node(&self, node: u8, role: &'static str, log: [u64; 4]) {
        let (new_role, new_log, probes) = {
            let mut camera = self.camera.borrow_mut();
            let Some(camera) = &mut *camera else { return };
            let place = usize::from(node);
            let new_role = std::mem::replace(&mut camera.roles[place], (role, log[3])) != (role, log[3]);
            let new_log = std::mem::replace(&mut camera.logs[place], log) != log;
            let counts = engine::probe::counts();
            let probes: Vec<&str> = counts.into_keys().filter(|name| camera.probes.insert(name)).collect();
            (new_role, new_log, probes)
        };
        let [last, commit, applied, term] = log;
        if new_role {
            self.film(Some(node), || What::Role { role: role.to_string(), term });
        }
        if new_log {
            self.film(Some(node), || What::Log { last, commit, applied, term });
        }
        for name in probes {
            self.film(Some(node), || What::Probe { name: name.to_string() });
        }
    }
}
