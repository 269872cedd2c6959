//! The story of the nodes: who was up and who led when, drawn as a lane for each node.

use serde::Serialize;

/// Something that happened to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// When, in microseconds of virtual time.
    pub at_us: u64,
    /// The node.
    pub node: u8,
    /// What.
    pub change: Change,
}

/// What can happen to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// A process of it begins.
    Starts,
    /// Its process ends.
    Stops,
    /// It becomes the leader of a term.
    Leads,
    /// Its time stands still.
    Pauses,
    /// Its time goes on.
    Resumes,
}

/// What the signs of a lane mean.
pub const LEGEND: &str = "█ leads, ─ follows, ░ is paused, x stops, . is down";

/// Draws a lane of `width` signs for each of `nodes` nodes, from the beginning to `end_us`. `moments` are in order.
///
/// A sign stands for a stretch of time: for what was the most notable in it, of a stop, leading, and the state at its end.
/// A leader is shown as one until another node leads, though it may have stepped down before.
pub fn lanes(moments: &[Moment], nodes: u8, end_us: u64, width: usize) -> Vec<String> {
    (1..=nodes).map(|node| lane(moments, node, end_us.max(1), width)).collect()
}

fn lane(moments: &[Moment], node: u8, end_us: u64, width: usize) -> String {
    let (mut up, mut leads, mut paused) = (false, false, false);
    let mut moments = moments.iter().peekable();
    let sign = |column: usize| {
        let until = end_us as u128 * (column as u128 + 1) / width as u128;
        let (mut stopped, mut led) = (false, leads);
        while let Some(moment) = moments.next_if(|moment| u128::from(moment.at_us) <= until) {
            match moment.change {
                Change::Leads => leads = moment.node == node,
                _ if moment.node != node => {}
                Change::Starts => up = true,
                Change::Stops => (up, leads, paused, stopped) = (false, false, false, true),
                Change::Pauses => paused = true,
                Change::Resumes => paused = false,
            }
            led |= leads;
        }
        match (stopped, led, up, paused) {
            (true, ..) => 'x',
            (_, true, ..) => '█',
            (_, _, false, _) => '.',
            (_, _, _, true) => '░',
            _ => '─',
        }
    };
    (0..width).map(sign).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_show_who_was_up_and_who_led() {
        let moments = [
            (0, 1, Change::Starts),
            (0, 2, Change::Starts),
            (15, 1, Change::Leads),
            (35, 1, Change::Stops),
            (42, 2, Change::Leads),
            (55, 1, Change::Starts),
            (65, 1, Change::Pauses),
            (85, 1, Change::Resumes),
        ];
        let moments = moments.map(|(at_us, node, change)| Moment { at_us, node, change });
        assert_eq!(lanes(&moments, 3, 100, 10), ["─██x.─░░──", "────██████", ".........."]);
        assert_eq!(lanes(&[], 1, 0, 3), ["..."]);
    }
}
