//! The story of a run in words: what happened to the nodes, what went wrong, and what the clients saw, in order of time.

use checkers::history::Outcome;
use scenarios::Told;
use serde::Serialize;

use crate::film::{Event, What};
use crate::verdict::Finding;

/// One sentence of the story.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sentence {
    /// When, in nanoseconds of virtual time.
    pub at_ns: u64,
    /// How many events had happened.
    pub event: u64,
    /// What.
    pub text: String,
    /// Whether it is a step of what went wrong.
    pub blamed: bool,
}

/// The most operations that are told one by one; of more, only those to blame are.
const FEW_OPERATIONS: usize = 60;

/// Tells the story of a run.
pub fn narrate(film: &[Event], operations: &[Told], finding: Option<&Finding>) -> Vec<Sentence> {
    let mut story: Vec<Sentence> = film.iter().filter_map(sentence).collect();
    let event_at = |at_ns: u64| {
        let place = film.partition_point(|event| event.at_ns <= at_ns);
        place.checked_sub(1).map_or(0, |place| film[place].n)
    };
    let few = operations.len() <= FEW_OPERATIONS;
    for operation in operations {
        let blamed = finding.is_some_and(|finding| is_blamed(operation, finding));
        if !few && !blamed {
            continue;
        }
        let Told { id, client, name, invoke, complete, outcome, text, .. } = operation;
        let end = match (outcome, complete) {
            (Outcome::Ok, Some(at)) => format!("which is done at {}", moment(*at)),
            (Outcome::Failed, Some(at)) => format!("which fails at {}", moment(*at)),
            _ => "and never learns what became of it".to_string(),
        };
        let mark = if blamed { " (part of the evidence)" } else { "" };
        let text = format!("client {client} begins T{id}, {name}: {text}; {end}{mark}");
        story.push(Sentence { at_ns: *invoke, event: event_at(*invoke), text, blamed });
    }
    if let Some(finding) = finding {
        let at_ns = finding.time_us * 1_000;
        let text = format!("{} finds {}: {}", finding.checker, finding.anomaly, finding.message);
        story.push(Sentence { at_ns, event: finding.event, text, blamed: true });
    }
    story.sort_by_key(|sentence| (sentence.at_ns, sentence.event));
    story
}

/// Whether an operation is part of the evidence, which names it by its number or by its client and time.
pub fn is_blamed(operation: &Told, finding: &Finding) -> bool {
    let named = |text: &str, name: &str| {
        text.match_indices(name).any(|(at, _)| {
            let next = text[at + name.len()..].chars().next();
            let before = text[..at].chars().next_back();
            !next.is_some_and(|c| c.is_ascii_digit()) && !before.is_some_and(char::is_alphanumeric)
        })
    };
    let id = format!("T{}", operation.id);
    let span = format!("client {} [{},", operation.client, operation.invoke);
    let lines = || finding.evidence.iter().chain([&finding.message]);
    lines().any(|line| named(line, &id) || line.contains(&span))
}

/// The sentence for an event, if it deserves one.
fn sentence(event: &Event) -> Option<Sentence> {
    let node = event.node.map(|node| format!("n{node}")).unwrap_or_default();
    let text = match &event.what {
        What::Message { .. } | What::Arrives { .. } | What::Log { .. } | What::Applies { .. } => return None,
        What::Starts { life: 1 } => format!("{node} starts"),
        What::Starts { life } => format!("{node} starts again, for its life {life}"),
        What::Stops { why } => format!("{node} stops: {why}"),
        What::Role { role, term } if role == "leader" => format!("{node} becomes the leader of term {term}"),
        What::Role { role, term } if role == "candidate" => format!("{node} asks for votes in term {term}"),
        What::Role { role, term } if role == "recovering" => {
            format!("{node} has lost its memory, and catches up without a vote, in term {term}")
        }
        What::Role { .. } => return None,
        What::Pauses => format!("{node} stands still"),
        What::Resumes => format!("{node} goes on"),
        What::Fault { text, .. } => format!("fault: {text}"),
        What::Disk { text } => format!("{node}'s disk: {text}"),
        What::Probe { name } => format!("{node}, for the first time: {name}"),
        What::Note { text } => text.clone(),
        What::Violation { text } => format!("broken: {text}"),
    };
    let blamed = matches!(event.what, What::Violation { .. });
    Some(Sentence { at_ns: event.at_ns, event: event.n, text, blamed })
}

/// A moment in seconds.
pub fn moment(ns: u64) -> String {
    format!("{}.{:06} s", ns / 1_000_000_000, ns / 1_000 % 1_000_000)
}
