//! An order of vertices that is kept up to date as edges come and go.
//!
//! Pearce and Kelly, "A dynamic topological sort algorithm for directed acyclic graphs": an edge that agrees with the
//! order costs nothing; one that does not reorders only the vertices between its ends. Edges are taken away last in,
//! first out, and leave the order as it is. If an edge would close a cycle, the cycle with the fewest tagged edges
//! among the vertices looked at is reported.

use std::collections::VecDeque;

/// The tag of an edge that never goes away.
pub(super) const FIXED: u32 = u32::MAX;

/// Marks the end of a list of edges, and a vertex that no edge led to.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Link {
    from: u32,
    to: u32,
    tag: u32,
    /// The edge added before this one that leaves the same vertex.
    next_out: u32,
    /// The edge added before this one that enters the same vertex.
    next_in: u32,
}

/// What a walk knows of a vertex.
#[derive(Clone, Copy, Debug)]
struct Mark {
    walk: u32,
    /// How many tagged edges led here.
    distance: u32,
    /// The last edge that led here.
    by: u32,
}

/// The order and its edges.
#[derive(Clone, Debug)]
pub(super) struct Dynamic {
    rank: Vec<u32>,
    first_out: Vec<u32>,
    first_in: Vec<u32>,
    links: Vec<Link>,
    marks: Vec<Mark>,
    walk: u32,
    /// Vertices reached forward and backward by the latest walks.
    forward: Vec<u32>,
    backward: Vec<u32>,
    queue: VecDeque<u32>,
    /// The tags on the cycle that the last rejected edge would have closed, without its own.
    cycle: Vec<u32>,
    /// How many vertices and edges were looked at.
    pub steps: u64,
}

impl Dynamic {
    /// Without edges; vertex `v` has place `rank[v]`, which must be a permutation.
    pub fn new(rank: Vec<u32>) -> Self {
        let nodes = rank.len();
        Self {
            rank,
            first_out: vec![NONE; nodes],
            first_in: vec![NONE; nodes],
            links: Vec::new(),
            marks: vec![Mark { walk: 0, distance: 0, by: NONE }; nodes],
            walk: 0,
            forward: Vec::new(),
            backward: Vec::new(),
            queue: VecDeque::new(),
            cycle: Vec::new(),
            steps: 0,
        }
    }

    /// Whether the order already has the first vertex before the second.
    pub fn agrees(&self, from: u32, to: u32) -> bool {
        self.rank[from as usize] < self.rank[to as usize]
    }

    /// How many edges there are.
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Takes away the latest edges until only so many are left.
    pub fn truncate(&mut self, len: usize) {
        while self.links.len() > len {
            let Some(link) = self.links.pop() else { break };
            self.first_out[link.from as usize] = link.next_out;
            self.first_in[link.to as usize] = link.next_in;
        }
    }

    /// Adds an edge, or returns the tags of a path from its end to its start.
    pub fn insert(&mut self, from: u32, to: u32, tag: u32) -> Result<(), &[u32]> {
        self.steps += 1;
        if !self.agrees(from, to) {
            if self.walk_forward(to, from) {
                return Err(&self.cycle);
            }
            self.walk_backward(from, to);
            self.reorder();
        }
        let at = self.links.len() as u32;
        let next_out = std::mem::replace(&mut self.first_out[from as usize], at);
        let next_in = std::mem::replace(&mut self.first_in[to as usize], at);
        self.links.push(Link { from, to, tag, next_out, next_in });
        Ok(())
    }

    /// Visits what `start` reaches at places up to that of `goal`, and says whether that includes `goal`.
    ///
    /// Edges that never go away count nothing, so the path found has the fewest tagged ones.
    fn walk_forward(&mut self, start: u32, goal: u32) -> bool {
        self.walk += 1;
        let limit = self.rank[goal as usize];
        self.forward.clear();
        self.queue.clear();
        self.marks[start as usize] = Mark { walk: self.walk, distance: 0, by: NONE };
        self.queue.push_back(start);
        self.forward.push(start);
        while let Some(vertex) = self.queue.pop_front() {
            if vertex == goal {
                self.trace(start, goal);
                return true;
            }
            let distance = self.marks[vertex as usize].distance;
            let mut at = self.first_out[vertex as usize];
            while at != NONE {
                self.steps += 1;
                let Link { to, tag, next_out, .. } = self.links[at as usize];
                let weight = u32::from(tag != FIXED);
                let mark = &mut self.marks[to as usize];
                let is_new = mark.walk != self.walk;
                if self.rank[to as usize] <= limit && (is_new || distance + weight < mark.distance) {
                    *mark = Mark { walk: self.walk, distance: distance + weight, by: at };
                    if is_new {
                        self.forward.push(to);
                    }
                    if weight == 0 { self.queue.push_front(to) } else { self.queue.push_back(to) }
                }
                at = next_out;
            }
        }
        false
    }

    /// Notes the tags of the path that led to `goal`.
    fn trace(&mut self, start: u32, goal: u32) {
        self.cycle.clear();
        let mut at = goal;
        while at != start {
            let link = self.links[self.marks[at as usize].by as usize];
            if link.tag != FIXED {
                self.cycle.push(link.tag);
            }
            at = link.from;
        }
    }

    /// Visits what reaches `start` from places down to that of `goal`.
    fn walk_backward(&mut self, start: u32, goal: u32) {
        self.walk += 1;
        let limit = self.rank[goal as usize];
        self.backward.clear();
        self.backward.push(start);
        self.marks[start as usize].walk = self.walk;
        let mut next = 0;
        while let Some(&vertex) = self.backward.get(next) {
            next += 1;
            let mut at = self.first_in[vertex as usize];
            while at != NONE {
                self.steps += 1;
                let Link { from, next_in, .. } = self.links[at as usize];
                let mark = &mut self.marks[from as usize];
                if mark.walk != self.walk && self.rank[from as usize] >= limit {
                    mark.walk = self.walk;
                    self.backward.push(from);
                }
                at = next_in;
            }
        }
    }

    /// Puts all that was reached backward before all that was reached forward, in the places that they have together.
    fn reorder(&mut self) {
        let rank = &mut self.rank;
        self.backward.sort_unstable_by_key(|vertex| rank[*vertex as usize]);
        self.forward.sort_unstable_by_key(|vertex| rank[*vertex as usize]);
        let moved = || self.backward.iter().chain(&self.forward);
        let mut places: Vec<u32> = moved().map(|vertex| rank[*vertex as usize]).collect();
        places.sort_unstable();
        for (vertex, place) in moved().zip(places) {
            rank[*vertex as usize] = place;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_are_found_exactly() {
        bolero::check!().with_type::<Vec<(u8, u8, bool)>>().with_iterations(2_000).for_each(|moves| {
            const NODES: u32 = 9;
            let mut order = Dynamic::new((0..NODES).rev().collect());
            let mut edges: Vec<(u32, u32)> = Vec::new();
            for &(from, to, undo) in moves {
                let (from, to) = (u32::from(from) % NODES, u32::from(to) % NODES);
                if undo {
                    edges.truncate(from as usize);
                    order.truncate(from as usize);
                    continue;
                }
                let mut reached = vec![to];
                let mut next = 0;
                while next < reached.len() {
                    let found = edges.iter().filter(|edge| edge.0 == reached[next]).map(|edge| edge.1);
                    let found: Vec<u32> = found.filter(|vertex| !reached.contains(vertex)).collect();
                    reached.extend(found);
                    next += 1;
                }
                let tag = edges.len() as u32;
                match order.insert(from, to, tag) {
                    Ok(()) => {
                        assert!(!reached.contains(&from));
                        edges.push((from, to));
                    }
                    Err(path) => {
                        assert!(reached.contains(&from));
                        let mut at = from;
                        for tag in path {
                            assert_eq!(edges[*tag as usize].1, at);
                            at = edges[*tag as usize].0;
                        }
                        assert_eq!(at, to);
                    }
                }
                assert_eq!(order.len(), edges.len());
                assert!(edges.iter().all(|&(from, to)| order.agrees(from, to)));
            }
        });
    }
}
