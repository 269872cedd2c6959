//! The story of a run in words: what happened to the nodes, what went wrong, and what the clients saw, in order of time.
//!
//! An [`Account`] has the film and the finding with one name for each operation, and says which operations are to blame
//! and which moment is the decisive one: where the state machine did what none may, or else where the last answer came that
//! the evidence needs. Of operations to blame everything is told: what their clients asked and were answered, where their
//! commands stand in the log, and what applying those came to. Of others only that they were.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use checkers::history::Outcome;
use scenarios::Told;
use serde::Serialize;

use crate::film::{Event, What};
use crate::names::{self, Names, mentions};
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

/// The moment at which the rule was broken, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Decisive {
    /// When, in nanoseconds of virtual time.
    pub at_ns: u64,
    /// How many events had happened.
    pub event: u64,
    /// What happens then.
    pub text: String,
}

/// The most operations that are told one by one; of more, only those to blame are.
const FEW_OPERATIONS: usize = 60;

/// With what a line of evidence begins that names the one operation that makes a history illegal.
const STUCK: &str = "cannot be placed: ";

/// With what it begins that an operation was stale.
const STALE: &str = "it read at";

/// How many operations of which the state machine decided wrongly are blamed when none has to do with the evidence.
const FEW_WRONG: usize = 3;

/// How many probes around the decisive moment are told that were passed before.
const NEAR_PROBES: usize = 20;

/// How many of them are kept for the page, beside those passed for the first time.
const KEPT_PROBES: usize = 400;

/// A run, ready to be told.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// What happened. Of probes that are passed again and again, only those near the decisive moment.
    pub film: Vec<Event>,
    /// What the clients did.
    pub told: Vec<Told>,
    /// What was found, in the words of the page.
    pub finding: Option<Finding>,
    /// The operations to blame, and why.
    pub blamed: BTreeMap<u64, String>,
    /// The decisive moment, if something was found.
    pub decisive: Option<Decisive>,
    /// What operations are called.
    pub names: Names,
}

impl Account {
    /// Prepares a run to be told.
    pub fn new(film: &[Event], told: Vec<Told>, finding: Option<&Finding>) -> Self {
        let names = Names::new(film, &told);
        let finding = finding.map(|finding| names::finding(finding, &told));
        let film: Vec<Event> = film.iter().map(|event| names.event(event)).collect();
        let mut blamed = finding.as_ref().map_or_else(BTreeMap::new, |finding| blame(&film, &told, finding));
        for operation in &told {
            if let Some(why) = blamed.get_mut(&operation.id)
                && let Some(stale) = stale(&film, operation)
            {
                let _ = write!(why, "; {stale}");
            }
        }
        let mut account = Self { film, told, finding, blamed, decisive: None, names };
        account.decisive = account.decide();
        account.thin_probes();
        account
    }

    /// Whether a text names an operation to blame.
    pub fn concerns(&self, text: &str) -> bool {
        self.blamed.keys().any(|id| mentions(text, *id))
    }

    /// Finds the decisive moment.
    fn decide(&self) -> Option<Decisive> {
        let finding = self.finding.as_ref()?;
        let at = |event: &Event, text| Some(Decisive { at_ns: event.at_ns, event: event.n, text });
        // What a monitor saw while it happened was broken then.
        if let Some(event) = self.film.iter().find(|event| matches!(event.what, What::Violation { .. })) {
            return at(event, finding.message.clone());
        }
        let wrong = |event: &&Event| match &event.what {
            What::Applies { entry, wrong, .. } => *wrong && self.concerns(entry),
            _ => false,
        };
        if let Some(event) = self.film.iter().find(wrong) {
            return at(event, sentence(event).unwrap_or_default());
        }
        let stuck = finding.evidence.iter().find(|line| line.starts_with(STUCK));
        let blamed = self.told.iter().filter(|told| self.blamed.contains_key(&told.id));
        let answered = blamed.filter(|told| stuck.is_none_or(|line| mentions(line, told.id)));
        // Of those that were answered, one that was stale is the one; else the evidence is complete with the last.
        let answered = answered.filter_map(|told| Some((told.complete?, told)));
        let last = answered.max_by_key(|(complete, told)| (self.blamed[&told.id].contains(STALE), *complete));
        let Some((at_ns, Told { id, client, name, outcome, text, .. })) = last else {
            let (at_ns, event) = (finding.time_us * 1_000, finding.event);
            return Some(Decisive { at_ns, event, text: finding.message.clone() });
        };
        let outcome = format!("{outcome:?}").to_lowercase();
        let stale = self.blamed[id].find(STALE).map_or("", |at| &self.blamed[id][at..]);
        let why = if stale.is_empty() { String::new() } else { format!(" ({stale})") };
        let text = format!("client {client} has the answer to T{id}, {name}, {outcome}: {text}{why}");
        Some(Decisive { at_ns, event: self.event_at(at_ns), text })
    }

    /// Keeps of probes the first times, and those near the decisive moment.
    fn thin_probes(&mut self) {
        let again = |event: &Event| matches!(event.what, What::Probe { count, .. } if count > 1);
        let places = self.film.iter().enumerate().filter(|(_, event)| again(event)).map(|(place, _)| place);
        let places: Vec<usize> = places.collect();
        let kept: BTreeSet<usize> = self.near(&places, KEPT_PROBES).iter().copied().collect();
        let mut place = 0;
        self.film.retain(|event| {
            place += 1;
            !again(event) || kept.contains(&(place - 1))
        });
    }

    /// Of places in the film, in order, those that are nearest to the decisive moment: more before it than after it.
    fn near<'a>(&self, places: &'a [usize], count: usize) -> &'a [usize] {
        let moment = self.decisive.as_ref().map_or(u64::MAX, |decisive| decisive.at_ns);
        let before = places.partition_point(|place| self.film[*place].at_ns <= moment);
        let (from, to) = (before.saturating_sub(count * 3 / 4), (before + count / 4).min(places.len()));
        &places[from..to]
    }

    /// How many events had happened at a time.
    fn event_at(&self, at_ns: u64) -> u64 {
        let place = self.film.partition_point(|event| event.at_ns <= at_ns);
        place.checked_sub(1).map_or(0, |place| self.film[place].n)
    }

    /// Tells the story.
    pub fn story(&self) -> Vec<Sentence> {
        // At one time, operations begin first and end last.
        let mut story: Vec<(u8, Sentence)> = self.events().into_iter().map(|sentence| (1, sentence)).collect();
        let few = self.told.len() <= FEW_OPERATIONS;
        for operation in &self.told {
            let blamed = self.blamed.get(&operation.id);
            if !few && blamed.is_none() {
                continue;
            }
            let Told { id, client, name, invoke, complete, outcome, text, snapshot, commit } = operation;
            let event = self.event_at(*invoke);
            let Some(why) = blamed else {
                let end = match (outcome, complete) {
                    (Outcome::Ok, Some(at)) => format!("which is done at {}", moment(*at)),
                    (Outcome::Failed, Some(at)) => format!("which fails at {}", moment(*at)),
                    _ => "and never learns what became of it".to_string(),
                };
                let text = format!("client {client} begins T{id}, {name}: {text}; {end}");
                story.push((0, Sentence { at_ns: *invoke, event, text, blamed: false }));
                continue;
            };
            let never = if complete.is_some() { "" } else { ", and never learns what became of it" };
            let begin = format!("client {client} begins T{id}, {name} ({why}){never}");
            story.push((0, Sentence { at_ns: *invoke, event, text: begin, blamed: true }));
            let Some(at_ns) = *complete else { continue };
            let read = snapshot.map_or(String::new(), |snapshot| format!(", read at {snapshot}"));
            let wrote = commit.map_or(String::new(), |commit| format!(", committed at {commit}"));
            let end = match outcome {
                Outcome::Ok => "is done",
                Outcome::Failed => "has failed",
                Outcome::Unknown => "may have happened or not",
            };
            let end = format!("to client {client}, T{id} {end}{read}{wrote}: {text}");
            story.push((2, Sentence { at_ns, event: self.event_at(at_ns), text: end, blamed: true }));
        }
        if let Some(finding) = &self.finding {
            let at_ns = finding.time_us * 1_000;
            let text = format!("{} finds {}: {}", finding.checker, finding.anomaly, finding.message);
            story.push((3, Sentence { at_ns, event: finding.event, text, blamed: true }));
        }
        story.sort_by_key(|(rank, sentence)| (sentence.at_ns, *rank, sentence.event));
        story.into_iter().map(|(_, sentence)| sentence).collect()
    }

    /// The sentences for what the film shows.
    fn events(&self) -> Vec<Sentence> {
        let again = |event: &Event| matches!(event.what, What::Probe { count, .. } if count > 1);
        let places: Vec<usize> = (0..self.film.len()).filter(|place| again(&self.film[*place])).collect();
        let near: BTreeSet<usize> = self.near(&places, NEAR_PROBES).iter().copied().collect();
        // What applying an entry comes to is told when the first node does it, and of another where that differs.
        let mut rulings: BTreeMap<u64, &str> = BTreeMap::new();
        let mut story = Vec::new();
        for (place, event) in self.film.iter().enumerate() {
            let blamed = match &event.what {
                What::Violation { .. } => true,
                What::Message { kind, text, .. } => {
                    matches!(kind.as_str(), "request" | "reply" | "propose") && self.concerns(text)
                }
                What::Entry { text, .. } => self.concerns(text),
                What::Applies { index, entry, ruling, wrong, .. } => {
                    let news = rulings.insert(*index, ruling) != Some(ruling);
                    news && (self.concerns(entry) || *wrong)
                }
                _ => false,
            };
            let told = match &event.what {
                What::Message { .. } | What::Entry { .. } | What::Applies { .. } => blamed,
                _ => !again(event) || near.contains(&place),
            };
            if let Some(text) = sentence(event).filter(|_| told) {
                story.push(Sentence { at_ns: event.at_ns, event: event.n, text, blamed });
            }
        }
        story
    }
}

/// The operations to blame: those that the evidence names, those that wrote what it is about, and of those of which the state
/// machine decided what none may, the ones that can have led to it.
fn blame(film: &[Event], told: &[Told], finding: &Finding) -> BTreeMap<u64, String> {
    let mut blamed = BTreeMap::new();
    let lines = || finding.evidence.iter().chain([&finding.message]);
    for Told { id, .. } in told {
        if lines().any(|line| mentions(line, *id)) {
            blamed.insert(*id, "part of the evidence".to_string());
        }
    }
    let about = lines().filter(|line| **line == finding.message || line.starts_with(STUCK));
    let values: BTreeSet<&str> = about
        .flat_map(|line| line.split(|c: char| !c.is_ascii_digit() && c != '-'))
        .filter(|v| !v.is_empty())
        .collect();
    let wrote = |told: &Told| {
        let of = |value: &&&str| {
            let written = [format!("+= {value}"), format!(":= {value}")];
            told.text.split(", ").any(|part| written.iter().any(|written| part.ends_with(written.as_str())))
        };
        values.iter().find(of).copied()
    };
    // A small number may be anything; the elements of lists, and what registers hold, are numbers that are used once.
    for operation in told {
        if let Some(value) = wrote(operation).filter(|value| value.len() >= 7) {
            blamed.entry(operation.id).or_insert_with(|| format!("it wrote {value}"));
        }
    }
    let mut wrong: Vec<(&Told, String)> = Vec::new();
    for event in film {
        if let What::Applies { index, entry, ruling, wrong: true, .. } = &event.what
            && let Some(of) = told.iter().find(|told| mentions(entry, told.id))
            && wrong.iter().all(|(known, _)| known.id != of.id)
        {
            wrong.push((of, format!("entry {index}: {ruling}")));
        }
    }
    let related = |told: &Told| blamed.contains_key(&told.id) || wrote(told).is_some();
    let chosen: Vec<&(&Told, String)> = match wrong.iter().filter(|(told, _)| related(told)).collect::<Vec<_>>() {
        none if none.is_empty() => wrong.iter().take(FEW_WRONG).collect(),
        some => some,
    };
    for (told, ruling) in chosen {
        let why = blamed.entry(told.id).or_default();
        let and = if why.is_empty() { "" } else { "; " };
        // Writing to a string does not fail.
        let _ = write!(why, "{and}{ruling}");
    }
    blamed
}

/// How an operation was stale, if it was: it read at a position before one that was committed when it began. Reads of the
/// past are that on purpose.
fn stale(film: &[Event], operation: &Told) -> Option<String> {
    let Told { name, invoke, complete, outcome, snapshot, .. } = operation;
    let (snapshot, complete) = ((*snapshot)?, (*complete)?);
    if *outcome != Outcome::Ok || name.contains("as of") {
        return None;
    }
    let before = film.iter().take_while(|event| event.at_ns <= *invoke);
    let committed = before.filter_map(|event| match event.what {
        What::Log { commit, .. } if commit > snapshot => Some((commit, event)),
        _ => None,
    });
    // The first node to have committed the most of it.
    let (commit, event) = committed.reduce(|most, next| if next.0 > most.0 { next } else { most })?;
    let mut text = format!(
        "{STALE} {snapshot}, though n{} had committed {commit} at {}, before it began",
        event.node?,
        moment(event.at_ns)
    );
    let mut leading = BTreeMap::new();
    let mut most = BTreeMap::new();
    for event in film.iter().take_while(|event| event.at_ns <= complete) {
        match (&event.what, event.node) {
            (What::Role { role, term }, Some(node)) if role == "leader" => drop(leading.insert(node, *term)),
            (What::Role { .. } | What::Stops { .. }, Some(node)) => drop(leading.remove(&node)),
            _ => continue,
        }
        if event.at_ns <= *invoke || leading.len() > most.len() {
            most.clone_from(&leading);
        }
    }
    if most.len() > 1 {
        let leaders = most.iter().map(|(node, term)| format!("n{node} (term {term})")).collect::<Vec<_>>();
        let _ = write!(text, "; meanwhile each of {} believed that it led", leaders.join(" and "));
    }
    Some(text)
}

/// The sentence for an event, if it deserves one.
pub(crate) fn sentence(event: &Event) -> Option<String> {
    let node = event.node.map(|node| format!("n{node}")).unwrap_or_default();
    Some(match &event.what {
        What::Message { from, to, kind, text, arrives_ns, fate, .. } => {
            let verb = match kind.as_str() {
                "request" => "asks",
                "reply" => "answers",
                "propose" => "proposes to",
                _ => "tells",
            };
            let end = match (fate.as_str(), arrives_ns) {
                ("delivered", Some(at)) => format!("arrives at {}", moment(*at)),
                (fate, _) => format!("it is {fate}"),
            };
            format!("{from} {verb} {to}: {text} ({end})")
        }
        What::Entry { index, text, .. } => format!("{node} has entry {index} in its log: {text}"),
        What::Applies { index, entry, ruling, .. } => format!("{node} applies entry {index}, {entry}: {ruling}"),
        What::Arrives { .. } | What::Log { .. } => return None,
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
        What::Probe { name, count: 1 } => format!("{node}, for the first time: {name}"),
        What::Probe { name, count } => format!("{node}, for time {count}: {name}"),
        What::Note { text } => text.clone(),
        What::Violation { text } => format!("broken: {text}"),
    })
}

/// A moment in seconds.
pub fn moment(ns: u64) -> String {
    format!("{}.{:06} s", ns / 1_000_000_000, ns / 1_000 % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(id: u64, text: &str) -> Told {
        let (client, name, invoke, outcome) = (id, "write", id * 100, Outcome::Ok);
        let complete = Some(id * 100 + 50);
        Told { id, client, name, invoke, complete, outcome, text: text.into(), snapshot: None, commit: None }
    }

    fn applies(at_ns: u64, index: u64, id: u64, wrong: bool) -> Event {
        let ruling = format!("T{id} commits{}", if wrong { " AGAIN" } else { "" });
        let what = What::Applies { index, entry: format!("commit of T{id}"), ruling, wrong, decided: 0 };
        Event { n: at_ns, at_ns, node: Some(1), what }
    }

    fn finding(message: &str, evidence: &[&str]) -> Finding {
        let evidence = evidence.iter().map(ToString::to_string).collect();
        Finding { message: message.into(), evidence, time_us: 9, event: 900, ..Finding::nothing() }
    }

    fn account(film: &[Event], finding: &Finding) -> Account {
        Account::new(film, vec![told(1, "0 is 7"), told(2, "0 := 7"), told(3, "1 := 8")], Some(finding))
    }

    #[test]
    fn of_wrong_decisions_those_about_what_was_seen_are_to_blame() {
        let film = [applies(310, 4, 3, true), applies(320, 5, 2, false), applies(330, 6, 2, true)];
        let seen = finding("T1 read 7", &["T1 [100, 150] read 7"]);
        let account = account(&film, &seen);
        assert_eq!(account.blamed.keys().copied().collect::<Vec<_>>(), [1, 2]);
        assert!(account.blamed[&2].contains("entry 6: T2 commits AGAIN"), "{:?}", account.blamed);
        assert_eq!(account.decisive.as_ref().map(|decisive| decisive.at_ns), Some(330));
        // When none has to do with it, the first ones are all that is known.
        let other = Account::new(&film, account.told.clone(), Some(&finding("the sum is wrong", &[])));
        assert_eq!(other.blamed.keys().copied().collect::<Vec<_>>(), [2, 3]);
        assert_eq!(other.decisive.map(|decisive| decisive.at_ns), Some(310));
    }

    #[test]
    fn without_a_wrong_decision_the_last_answer_decides() {
        let film = [applies(320, 5, 2, false)];
        let decisive =
            |evidence: &[&str]| account(&film, &finding("illegal", evidence)).decisive.map(|found| found.at_ns);
        assert_eq!(decisive(&["T1 and T2", "then T3"]), Some(350));
        assert_eq!(decisive(&["T2", "cannot be placed: client 1 [100, 150] Read"]), Some(150));
        assert_eq!(decisive(&[]), Some(9_000));
    }

    #[test]
    fn a_stale_read_is_told_with_who_led() {
        let event = |at_ns: u64, node: u8, what: What| Event { n: at_ns, at_ns, node: Some(node), what };
        let leads = |term: u64| What::Role { role: "leader".into(), term };
        let log = |commit: u64| What::Log { last: 9, commit, applied: 0, term: 1 };
        let film = [event(10, 1, leads(1)), event(20, 2, leads(2)), event(30, 2, log(5)), event(110, 2, log(7))];
        let read = |snapshot: u64| Told { snapshot: Some(snapshot), ..told(1, "0 is 7") };
        let words = "it read at 4, though n2 had committed 5 at 0.000000 s, before it began; \
                     meanwhile each of n1 (term 1) and n2 (term 2) believed that it led";
        assert_eq!(stale(&film, &read(4)).as_deref(), Some(words));
        assert_eq!(stale(&film, &read(5)), None);
        assert_eq!(stale(&film, &Told { name: "read all as of", ..read(4) }), None);
        let account = Account::new(&film, vec![read(4), told(2, "0 := 8")], Some(&finding("T1 and T2", &[])));
        let decisive = account.decisive.unwrap();
        assert!(decisive.at_ns == 150 && decisive.text.contains(words), "{decisive:?}");
    }

    #[test]
    fn the_story_tells_all_of_what_is_to_blame() {
        let mut film = vec![applies(320, 5, 2, false), applies(325, 5, 2, false)];
        film.extend((0..1_000).map(|at| {
            let what = What::Probe { name: "rare".into(), count: at + 1 };
            Event { n: at, at_ns: at, node: Some(1), what }
        }));
        film.sort_by_key(|event| event.at_ns);
        let account = account(&film, &finding("T2 is lost", &[]));
        let story = account.story();
        let count = |words: &str| story.iter().filter(|sentence| sentence.text.contains(words)).count();
        assert_eq!(count("n1 applies entry 5, commit of T2: T2 commits"), 1, "{story:#?}");
        assert_eq!((count("for the first time: rare"), count("time 240: rare"), count("time 600: rare")), (1, 1, 0));
        assert_eq!(count("client 2 begins T2, write (part of the evidence)"), 1);
        assert_eq!(count("to client 2, T2 is done: 0 := 7"), 1);
        let probes = account.film.iter().filter(|event| matches!(event.what, What::Probe { .. })).count();
        assert!((KEPT_PROBES / 2..=KEPT_PROBES + 1).contains(&probes), "{probes}");
    }
}
