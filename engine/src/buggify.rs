//! Buggify: places where the engine does something legal and unlikely, when a simulator asks for it.
//!
//! After FoundationDB's macro of this name, in two levels: a [`Site`] is active in a quarter of the runs, and an active one
//! fires in a quarter of its passes. So a run is odd in a few ways at a time, and odd again and again. What a site does must
//! be right at any moment: flush now, ask again, end a session. The seed comes in with the configuration, and
//! the state is plain data; switched [off](Buggify::OFF), a pass is one comparison.

use crate::mix::splitmix64;

/// A place in the engine that can act up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Site {
    /// Term and vote are made durable in a sync of their own, before the entries.
    SyncHardStateApart,
    /// The storage is flushed after an entry, however few there were.
    FlushEarly,
    /// A gateway sends its proposals and asks for its reads again before they are late.
    AskEarly,
    /// A session ends as if it had been idle for long.
    EndSession,
}

/// Whether and how the engine acts up. Plain data: equal states act equally.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Buggify {
    /// Picks the active sites; 0 when off.
    run: u64,
    /// Picks the passes.
    life: u64,
    passes: u64,
}

impl Buggify {
    /// Never fires.
    pub const OFF: Self = Self { run: 0, life: 0, passes: 0 };

    /// Fires by the seed of a run, which picks the active sites (0 is off), and the seed of a life, which picks the passes.
    pub fn new(run: u64, life: u64) -> Self {
        Self { run, life, passes: 0 }
    }

    /// Whether the site acts up in this pass.
    #[inline]
    pub fn fires(&mut self, site: Site) -> bool {
        self.run != 0 && self.draw(site, 4)
    }

    /// Whether a site acts up for which a quarter of its passes would be too many: it does in one of 64.
    #[inline]
    pub fn seldom(&mut self, site: Site) -> bool {
        self.run != 0 && self.draw(site, 64)
    }

    #[cold]
    fn draw(&mut self, site: Site, one_of: u64) -> bool {
        let of_site = splitmix64(self.run ^ splitmix64(site as u64 + 1));
        if !of_site.is_multiple_of(4) {
            return false;
        }
        self.passes += 1;
        splitmix64(of_site ^ splitmix64(self.life ^ self.passes)).is_multiple_of(one_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_runs_and_of_the_passes() {
        let fired = |seed| {
            let mut buggify = Buggify::new(seed, 1);
            (0..1_000).filter(|_| buggify.fires(Site::FlushEarly)).count()
        };
        let counts: Vec<usize> = (1..=1_000).map(fired).collect();
        let active = counts.iter().filter(|&&count| count > 0).count();
        assert!((200..300).contains(&active), "active in {active} of 1000 runs");
        assert!(counts.iter().all(|&count| count == 0 || (180..320).contains(&count)), "{counts:?}");
        assert!((0..1_000).all(|_| !Buggify::OFF.clone().fires(Site::FlushEarly)));
    }
}
