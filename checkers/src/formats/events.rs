//! Histories of events: an invocation and a completion each, as Jepsen records them.
//!
//! Events are put together into calls by their process. The place of an event in the file is its time: that is the order
//! in which the test saw them.

use std::collections::BTreeMap;

use super::wrong;
use crate::history::HistoryError;

/// What an event says of its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Invoke,
    /// It happened.
    Ok,
    /// It did not happen.
    Fail,
    /// It may have happened, or may yet.
    Info,
}

impl Phase {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "invoke" => Some(Self::Invoke),
            "ok" => Some(Self::Ok),
            "fail" => Some(Self::Fail),
            "info" => Some(Self::Info),
            _ => None,
        }
    }
}

/// One event.
#[derive(Clone, Debug)]
pub(super) struct Event<T> {
    pub line: usize,
    pub process: u64,
    pub phase: Phase,
    pub what: T,
}

/// A call: what was asked, when, and how it ended.
#[derive(Clone, Debug)]
pub(super) struct Pair<T> {
    pub line: usize,
    pub process: u64,
    pub invoke: u64,
    pub asked: T,
    /// When it ended. Nothing if it never did, or with an `:info` after which the process did nothing more.
    pub complete: Option<u64>,
    /// How it ended, and with what.
    pub end: Option<(Phase, usize, T)>,
}

/// Puts events together, in the order of the invocations.
pub(super) fn pair<T>(events: Vec<Event<T>>) -> Result<Vec<Pair<T>>, HistoryError> {
    let mut pairs: Vec<Pair<T>> = Vec::new();
    let mut latest: BTreeMap<u64, usize> = BTreeMap::new();
    for (at, event) in events.into_iter().enumerate() {
        let Event { line, process, phase, what } = event;
        let before = latest.get(&process).and_then(|&place| pairs.get_mut(place));
        if phase == Phase::Invoke {
            if let Some(before) = before {
                match &before.end {
                    None => {
                        let reason =
                            format!("process {process} calls again while its call of line {} is open", before.line);
                        return wrong(line, reason);
                    }
                    // It was given up before this, whenever that was.
                    Some((Phase::Info, ..)) => before.complete = Some(at as u64),
                    Some(_) => {}
                }
            }
            latest.insert(process, pairs.len());
            pairs.push(Pair { line, process, invoke: at as u64, asked: what, complete: None, end: None });
        } else {
            match before {
                Some(open) if open.end.is_none() => {
                    open.complete = (phase != Phase::Info).then_some(at as u64);
                    open.end = Some((phase, line, what));
                }
                _ => return wrong(line, format!("process {process} completes a call that it has not invoked")),
            }
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paired(events: &[(u64, Phase)]) -> Result<Vec<Pair<()>>, HistoryError> {
        let event = |(at, &(process, phase))| Event { line: at + 1, process, phase, what: () };
        pair(events.iter().enumerate().map(event).collect())
    }

    #[test]
    fn events_become_calls() {
        let calls = paired(&[(1, Phase::Invoke), (2, Phase::Invoke), (2, Phase::Ok), (1, Phase::Info)]).unwrap();
        assert_eq!((calls[0].invoke, calls[0].complete), (0, None));
        assert_eq!((calls[1].invoke, calls[1].complete), (1, Some(2)));
    }

    #[test]
    fn a_process_that_goes_on_has_given_its_call_up() {
        let calls = paired(&[(1, Phase::Invoke), (1, Phase::Info), (1, Phase::Invoke)]).unwrap();
        assert_eq!((calls[0].complete, calls[1].complete), (Some(2), None));
    }

    #[test]
    fn events_that_contradict_each_other_are_refused() {
        let error = paired(&[(1, Phase::Invoke), (1, Phase::Invoke)]).unwrap_err();
        assert_eq!((error.line, error.reason.contains("of line 1 is open")), (2, true));
        for wrong in [&[(1, Phase::Ok)][..], &[(1, Phase::Invoke), (1, Phase::Ok), (1, Phase::Fail)]] {
            assert!(paired(wrong).unwrap_err().reason.contains("not invoked"));
        }
    }
}
