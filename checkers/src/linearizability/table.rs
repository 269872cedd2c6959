//! The configurations that a search has seen.

use hashbrown::hash_map::Entry;
use rustc_hash::FxBuildHasher;

use super::bits::Bits;
use super::space::{Map, NONE};

/// The part of a configuration that must be equal for one to make another superfluous.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key<B> {
    /// How many operations have returned.
    pub(super) returned: u32,
    pub(super) state: u32,
    /// The pending completed operations that took effect.
    pub(super) done: B,
}

/// A set of crashed operations that took effect, and where the next one with the same key is.
struct Node<B> {
    used: B,
    next: u32,
}

/// By key, the sets of crashed operations that it was reached with: only minimal ones, or all.
pub(super) struct Table<B> {
    heads: Map<Key<B>, u32>,
    nodes: Vec<Node<B>>,
    /// Whether a set makes its supersets superfluous.
    dominance: bool,
    /// What wide sets take on the heap.
    heap: usize,
}

impl<B: Bits> Table<B> {
    /// An empty set with room for `room` configurations.
    pub(super) fn new(dominance: bool, room: usize) -> Self {
        Self { heads: Map::with_capacity_and_hasher(room, FxBuildHasher), nodes: Vec::new(), dominance, heap: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.heads.capacity() * (size_of::<(Key<B>, u32)>() + 1)
            + self.nodes.capacity() * size_of::<Node<B>>()
            + self.heap
    }

    /// Adds a configuration, unless it is superfluous.
    pub(super) fn insert(&mut self, key: &Key<B>, used: &B) -> bool {
        let Self { heads, nodes, dominance, heap } = self;
        let head = match heads.entry(key.clone()) {
            Entry::Vacant(entry) => {
                *heap += key.done.heap();
                // No node stands for the empty set alone, which is all there is without crashed operations.
                if *used == B::default() {
                    entry.insert(NONE);
                } else {
                    *heap += used.heap();
                    entry.insert(nodes.len() as u32);
                    nodes.push(Node { used: used.clone(), next: NONE });
                }
                return true;
            }
            Entry::Occupied(entry) => entry.into_mut(),
        };
        if *head == NONE && (*dominance || *used == B::default()) {
            return false;
        }
        if *dominance && *used == B::default() {
            *head = NONE;
            return true;
        }
        let (mut at, mut before) = (*head, NONE);
        while at != NONE {
            let Node { used: other, next } = &nodes[at as usize];
            let next = *next;
            if if *dominance { other.is_subset(used) } else { other == used } {
                return false;
            }
            if *dominance && used.is_subset(other) {
                match before {
                    NONE => *head = next,
                    _ => nodes[before as usize].next = next,
                }
            } else {
                before = at;
            }
            at = next;
        }
        *heap += used.heap();
        nodes.push(Node { used: used.clone(), next: *head });
        *head = nodes.len() as u32 - 1;
        true
    }

    /// The states of the configurations in which `returned` operations have returned, each once, in order.
    pub(super) fn states(&self, returned: u32) -> Vec<u32> {
        let mut states: Vec<u32> =
            self.heads.keys().filter(|key| key.returned == returned).map(|key| key.state).collect();
        states.sort_unstable();
        states.dedup();
        states
    }
}
