//! How long a search may go on: so many steps, and until somebody says stop.

/// After so many steps somebody is asked whether to stop: some milliseconds.
const INTERVAL: u64 = 1 << 20;

/// What is left.
pub(super) struct Budget<'a> {
    steps: u64,
    /// How many steps are left when it is asked again.
    ask: u64,
    stop: &'a mut dyn FnMut() -> bool,
    stopped: bool,
}

impl<'a> Budget<'a> {
    pub fn new(steps: u64, stop: &'a mut dyn FnMut() -> bool) -> Self {
        let stopped = stop();
        Self { steps: if stopped { 0 } else { steps }, ask: steps.saturating_sub(INTERVAL), stop, stopped }
    }

    /// Takes steps away.
    pub fn spend(&mut self, steps: u64) {
        self.steps = self.steps.saturating_sub(steps);
        if self.steps < self.ask {
            self.ask = self.steps.saturating_sub(INTERVAL);
            if (self.stop)() {
                (self.steps, self.stopped) = (0, true);
            }
        }
    }

    pub fn is_spent(&self) -> bool {
        self.steps == 0
    }

    /// Why it is spent.
    pub fn why(&self) -> &'static str {
        if self.stopped { "there was no more time" } else { "the budget was spent" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_by_steps_or_when_it_is_told_to() {
        let mut never = || false;
        let mut budget = Budget::new(10, &mut never);
        budget.spend(9);
        assert!(!budget.is_spent());
        budget.spend(9);
        assert!(budget.is_spent() && budget.why().contains("budget"));
        let mut asked = 0;
        let mut third = || {
            asked += 1;
            asked == 3
        };
        let mut budget = Budget::new(u64::MAX, &mut third);
        let mut spent = 0;
        while !budget.is_spent() {
            budget.spend(1000);
            spent += 1000;
        }
        assert!(budget.why().contains("time"));
        assert!((2 * INTERVAL..3 * INTERVAL).contains(&spent), "{spent}");
        assert!(Budget::new(10, &mut || true).is_spent());
    }
}
