//! The post-mortem of a trace: plays it on film, tells what happened, finds the nearest run that passes, and puts all of it
//! into one HTML page.

use std::path::Path;
use std::time::Duration;

use checkers::history::Outcome;
use scenarios::{Scenario, Told};

use crate::files;
use crate::film::{Event, What};
use crate::host::WallClock;
use crate::html::{self, Comparison, Edge, Operation};
use crate::narrate::{is_blamed, moment, narrate};
use crate::play::{play, watch};
use crate::trace::Trace;
use crate::universe::Watch;
use crate::verdict::{Finding, REVISION, Verdict};

/// How long to look for a run that passes.
const SEARCH: Duration = Duration::from_secs(10);

/// How many lines of a comparison are kept.
const LINES: usize = 14;

/// Plays a scenario and writes its post-mortem to a file. `replay` is the command that plays it again.
pub fn write(scenario: &Scenario, replay: &str, out: &Path) -> anyhow::Result<Verdict> {
    let (page, outcome) = page(scenario, replay);
    files::replace(out, page.as_bytes())?;
    Ok(outcome)
}

/// Writes the post-mortem of a trace.
pub fn report(path: &Path, out: &Path) -> anyhow::Result<Verdict> {
    let trace = Trace::load(path)?;
    Trace::check_writable(out)?;
    write(&trace.scenario, &format!("cargo run -p sim -- replay {}", path.display()), out)
}

/// The page for a scenario, and how it ended.
fn page(scenario: &Scenario, replay: &str) -> (String, Verdict) {
    let (report, footage) = watch(scenario, Watch { film: true, ..Watch::default() });
    let told = footage.record.told();
    let finding = report.outcome.finding();
    let found = finding.cloned().unwrap_or_else(Finding::nothing);
    let story = narrate(&footage.film, &told, finding);
    let passing = finding.and_then(|_| nearest(scenario)).map(|(what, other)| compare(what, &footage.film, &other));
    let page = html::Report {
        title: format!("universe {}: {}", scenario.seed, report.outcome.signature()),
        seed: scenario.seed,
        revision: REVISION.to_string(),
        replay: replay.to_string(),
        verdict_line: report.outcome.line(scenario.seed),
        passed: finding.is_none(),
        class: report.outcome.class().to_string(),
        checker: found.checker,
        anomaly: found.anomaly,
        message: found.message,
        cycle: cycle(&found.evidence, &told),
        evidence: found.evidence,
        found_event: found.event,
        found_ns: found.time_us * 1_000,
        found_node: found.node,
        drawn: scenario.summary(),
        story,
        nodes: scenario.nodes,
        clients: scenario.clients.iter().map(|client| client.id).collect(),
        end_ns: footage.film.last().map_or(0, |event| event.at_ns).max(report.counts.virtual_us * 1_000),
        phases: phases(&footage.film),
        operations: told.iter().map(|told| operation(told, finding)).collect(),
        events: footage.film.into_iter().filter(|event| !is_echo(&event.what)).collect(),
        passing,
    };
    (html::render(&page), report.outcome)
}

/// What says nothing that another event does not say.
fn is_echo(what: &What) -> bool {
    matches!(what, What::Arrives { .. } | What::Applies { .. })
}

fn phases(film: &[Event]) -> Vec<(u64, String)> {
    let peace = film.iter().find(|e| matches!(&e.what, What::Note { text } if text == "the faults have stopped"));
    let peace = peace.map(|event| (event.at_ns, "liveness".to_string()));
    [(0, "safety".to_string())].into_iter().chain(peace).collect()
}

fn operation(told: &Told, finding: Option<&Finding>) -> Operation {
    let outcome = match told.outcome {
        Outcome::Ok => "ok",
        Outcome::Failed => "failed",
        Outcome::Unknown => "unknown",
    };
    Operation {
        id: told.id,
        client: told.client as u32,
        name: told.name.to_string(),
        invoke_ns: told.invoke,
        complete_ns: told.complete,
        outcome: outcome.to_string(),
        text: told.text.clone(),
        snapshot: told.snapshot,
        commit: told.commit,
        blamed: finding.is_some_and(|finding| is_blamed(told, finding)),
    }
}

/// The steps of a cycle, from lines of evidence such as "T3 -rw-> T5: ...".
fn cycle(evidence: &[String], told: &[Told]) -> Vec<Edge> {
    let known = |name: &str| {
        let id = name.strip_prefix('T')?.parse().ok()?;
        told.iter().any(|told| told.id == id).then_some(id)
    };
    let edge = |line: &String| {
        let words: Vec<&str> = line.split(|c: char| c.is_whitespace() || matches!(c, ':' | ',' | '(' | ')')).collect();
        let from = known(words.first()?)?;
        let to = words.iter().skip(1).find_map(|word| known(word)).filter(|to| *to != from)?;
        Some(Edge { from, to, why: line.clone() })
    };
    let edges: Vec<Edge> = evidence.iter().filter_map(edge).collect();
    let closed = edges.len() > 1
        && edges.windows(2).all(|pair| pair[0].to == pair[1].from)
        && edges.last().map(|edge| edge.to) == edges.first().map(|edge| edge.from);
    if closed { edges } else { Vec::new() }
}

/// A run that passes and differs as little as possible: one fault, decision, operation or client less.
fn nearest(scenario: &Scenario) -> Option<(String, Vec<Event>)> {
    let clock = WallClock::start();
    let mut tries: Vec<(String, Scenario)> = Vec::new();
    for (place, fault) in scenario.faults.iter().enumerate().rev() {
        let mut other = scenario.clone();
        other.faults.remove(place);
        tries.push((format!("the same without the fault {} ({})", fault.when, fault.kind), other));
    }
    for (place, fate) in scenario.fates.iter().enumerate().rev() {
        let mut other = scenario.clone();
        other.fates.remove(place);
        tries.push((format!("the same, but not that {fate}"), other));
    }
    for (c, client) in scenario.clients.iter().enumerate() {
        for (s, step) in client.steps.iter().enumerate().rev() {
            let mut other = scenario.clone();
            other.clients[c].steps.remove(s);
            tries.push((format!("the same, but client {} does not {}", client.id, step.operation), other));
        }
    }
    let seeds = (1..=50).map(|k| {
        let seed = scenario.seed ^ k;
        (format!("the same with other dice (seed {seed})"), Scenario { seed, ..scenario.clone() })
    });
    tries.extend(seeds);
    for (what, other) in tries {
        if clock.elapsed() > SEARCH {
            return None;
        }
        if play(&other).outcome.is_pass() {
            let (_, footage) = watch(&other, Watch { film: true, ..Watch::default() });
            return Some((what, footage.film));
        }
    }
    None
}

/// Where two runs part, and what each does then.
fn compare(what: String, failing: &[Event], passing: &[Event]) -> Comparison {
    let same = failing.iter().zip(passing).take_while(|(a, b)| a == b).count();
    let at = failing.get(same).or(failing.last());
    let words = |event: &Event| {
        let node = event.node.map_or(String::new(), |node| format!("n{node} "));
        format!("{} {node}{}", moment(event.at_ns), event.what)
    };
    let sign = |sign: &str, events: &[Event]| {
        events.iter().map(|event| (sign.to_string(), words(event))).collect::<Vec<(String, String)>>()
    };
    let end = |events: &[Event]| events.len().min(same + LINES);
    let mut lines = sign(" ", &failing[same.saturating_sub(4)..same]);
    lines.extend(sign("-", &failing[same.min(failing.len())..end(failing)]));
    lines.extend(sign("+", &passing[same.min(passing.len())..end(passing)]));
    Comparison {
        what,
        first_difference_event: at.map_or(0, |event| event.n),
        first_difference_ns: at.map_or(0, |event| event.at_ns),
        lines,
    }
}
