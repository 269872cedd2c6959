//! The post-mortem of a trace: plays it on film, tells what happened, finds the nearest run that passes, and puts all of it
//! into one HTML page.

use std::path::Path;
use std::time::Duration;

use checkers::history::Outcome;
use indicatif::{ProgressBar, ProgressStyle};
use scenarios::{Scenario, Told};

use crate::compare::{compare, same_names};
use crate::files;
use crate::film::{Event, What};
use crate::host::WallClock;
use crate::html::{self, Edge, Operation};
use crate::narrate::Account;
use crate::play::{Footage, play, watch};
use crate::trace::Trace;
use crate::universe::Watch;
use crate::verdict::{Finding, REVISION, Verdict};

/// How long to look for a run that passes.
const SEARCH: Duration = Duration::from_secs(10);

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
    let (report, footage) = watch(scenario, FILM);
    let account = Account::new(&footage.film, footage.record.told(), report.outcome.finding());
    let passing = account.finding.as_ref().and_then(|_| nearest(scenario)).map(|Passing { what, footage, without }| {
        let told = same_names(&account.told, footage.record.told(), without);
        compare(what, &account, &Account::new(&footage.film, told, None))
    });
    let found = account.finding.clone().unwrap_or_else(Finding::nothing);
    let page = html::Report {
        title: format!("universe {}: {}", scenario.seed, report.outcome.signature()),
        seed: scenario.seed,
        revision: REVISION.to_string(),
        replay: replay.to_string(),
        verdict_line: report.outcome.line(scenario.seed),
        passed: account.finding.is_none(),
        class: report.outcome.class().to_string(),
        checker: found.checker,
        anomaly: found.anomaly,
        message: found.message,
        cycle: cycle(&found.evidence, &account.told),
        evidence: found.evidence,
        found_event: found.event,
        found_ns: found.time_us * 1_000,
        found_node: found.node,
        drawn: scenario.summary(),
        story: account.story(),
        decisive: account.decisive.clone(),
        nodes: scenario.nodes,
        clients: scenario.clients.iter().map(|client| client.id).collect(),
        end_ns: account.film.last().map_or(0, |event| event.at_ns).max(report.counts.virtual_us * 1_000),
        phases: phases(&account.film),
        operations: account.told.iter().map(|told| operation(told, &account)).collect(),
        events: account.film.into_iter().filter(|event| !is_echo(&event.what)).collect(),
        passing,
    };
    (html::render(&page), report.outcome)
}

/// Played on film.
const FILM: Watch = Watch { film: true, decisions: false, states: false };

/// What says nothing that another event does not say.
fn is_echo(what: &What) -> bool {
    matches!(what, What::Arrives { .. })
}

fn phases(film: &[Event]) -> Vec<(u64, String)> {
    let peace = film.iter().find(|e| matches!(&e.what, What::Note { text } if text == "the faults have stopped"));
    let peace = peace.map(|event| (event.at_ns, "liveness".to_string()));
    [(0, "safety".to_string())].into_iter().chain(peace).collect()
}

fn operation(told: &Told, account: &Account) -> Operation {
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
        blamed: account.blamed.contains_key(&told.id),
        why: account.blamed.get(&told.id).cloned().unwrap_or_default(),
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

/// A run that passes.
struct Passing {
    /// What is different about it.
    what: String,
    footage: Footage,
    /// The client whose step it lacks, and the step's place.
    without: Option<(u64, usize)>,
}

/// A run that passes and differs as little as possible: one fault, decision, operation or client less.
fn nearest(scenario: &Scenario) -> Option<Passing> {
    let clock = WallClock::start();
    // What is different, the scenario, and the step that it lacks.
    let mut tries = Vec::new();
    for (place, fault) in scenario.faults.iter().enumerate().rev() {
        let mut other = scenario.clone();
        other.faults.remove(place);
        tries.push((format!("the same without the fault {} ({})", fault.when, fault.kind), other, None));
    }
    for (place, fate) in scenario.fates.iter().enumerate().rev() {
        let mut other = scenario.clone();
        other.fates.remove(place);
        tries.push((format!("the same, but not that {fate}"), other, None));
    }
    for (c, client) in scenario.clients.iter().enumerate() {
        for (s, step) in client.steps.iter().enumerate().rev() {
            let mut other = scenario.clone();
            other.clients[c].steps.remove(s);
            let what = format!("the same, but client {} does not {}", client.id, step.operation);
            tries.push((what, other, Some((u64::from(client.id), s))));
        }
    }
    let seeds = (1..=50).map(|k| {
        let seed = scenario.seed ^ k;
        (format!("the same with other dice (seed {seed})"), Scenario { seed, ..scenario.clone() }, None)
    });
    tries.extend(seeds);
    let total = tries.len() as u64;
    let bar = progress_bar(total);
    let mut found = None;
    for (what, other, without) in tries {
        if clock.elapsed() > SEARCH {
            break;
        }
        bar.inc(1);
        if play(&other).outcome.is_pass() {
            let (_, footage) = watch(&other, FILM);
            found = Some(Passing { what, footage, without });
            break;
        }
    }
    bar.finish_and_clear();
    found
}

/// Shows how many runs were tried for one that passes. It draws nothing where nobody looks.
fn progress_bar(total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} looking for a run that passes: {pos} of {len} tried, {elapsed}")
        .expect("the template is a constant");
    ProgressBar::new(total).with_style(style)
}
