//! Which completed operations are pending before a return, as the search walks forth and back over the returns.
//!
//! Operations are named by rank, their place in the order of returns. All form one doubly linked list in that order; those
//! that are not called yet are unlinked, the last called first, so that moving on links them again in reverse and every
//! step of either direction costs a constant (Knuth's dancing links). What has returned stays linked but lies before
//! the place where reading starts.

pub(super) struct Window {
    /// By rank + 1; place 0 is the head, the last place the end.
    next: Vec<u32>,
    previous: Vec<u32>,
    /// How many operations, in the order of calls, are linked.
    linked: u32,
}

impl Window {
    /// All of `count` operations, none of them called.
    pub(super) fn new(by_call: &[u32]) -> Self {
        let count = by_call.len() as u32;
        let next = (1..=count + 1).chain([count + 1]).collect();
        let previous = [0].into_iter().chain(0..=count).collect();
        let mut window = Self { next, previous, linked: count };
        window.set(by_call, 0);
        window
    }

    /// Links the first `called` operations of the order of calls, and no other.
    pub(super) fn set(&mut self, by_call: &[u32], called: u32) {
        while self.linked < called {
            let node = by_call[self.linked as usize] + 1;
            let (before, after) = (self.previous[node as usize], self.next[node as usize]);
            self.next[before as usize] = node;
            self.previous[after as usize] = node;
            self.linked += 1;
        }
        while self.linked > called {
            self.linked -= 1;
            let node = by_call[self.linked as usize] + 1;
            let (before, after) = (self.previous[node as usize], self.next[node as usize]);
            self.next[before as usize] = after;
            self.previous[after as usize] = before;
        }
    }

    /// The pending operation that returns next after `rank`, which must be linked; the number of operations if there is
    /// none.
    #[inline]
    pub(super) fn after(&self, rank: u32) -> u32 {
        self.next[rank as usize + 1] - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_what_is_called() {
        bolero::check!().with_type::<(Vec<u8>, Vec<u8>)>().with_iterations(500).for_each(|(keys, moves)| {
            let mut by_call: Vec<u32> = (0..keys.len() as u32).collect();
            by_call.sort_by_key(|rank| keys[*rank as usize]);
            let mut window = Window::new(&by_call);
            for at in moves {
                let called = usize::from(*at) % (by_call.len() + 1);
                window.set(&by_call, called as u32);
                let mut expected = by_call[..called].to_vec();
                expected.sort_unstable();
                let mut linked = Vec::new();
                let mut node = window.next[0];
                while node <= by_call.len() as u32 {
                    linked.push(node - 1);
                    node = window.after(node - 1) + 1;
                }
                assert_eq!(linked, expected);
            }
        });
    }
}
