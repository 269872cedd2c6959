//! Looking at runs: `show`, `film`, `diff`, `probes` and `schema`.

pub(crate) mod cli;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use scenarios::{Overrides, Scenario};
use serde::{Deserialize, Serialize};

use crate::files;
use crate::film::{self, Event};
use crate::narrate::{Account, moment};
use crate::play::{play, watch};
use crate::report::{self, number};
use crate::trace::Trace;
use crate::universe::Watch;

const FILM: Watch = Watch { film: true, decisions: false, states: false };

/// How many events are shown on either side of a difference.
const CONTEXT: usize = 6;

/// The first line of a film on disk.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    film: u32,
    seed: u64,
    revision: String,
    digest: String,
}

/// A trace as a readable story: what is in it, and what happens when it is played.
pub fn show(path: &Path) -> anyhow::Result<(String, u8)> {
    let trace = Trace::load(path)?;
    let (report, footage) = watch(&trace.scenario, FILM);
    let mut text = report::draw(&trace.scenario);
    if !trace.scenario.faults.is_empty() || !trace.scenario.fates.is_empty() {
        text.push_str("\nwhat goes wrong\n");
        let faults = trace.scenario.faults.iter().map(|fault| format!("{}: {}", fault.when, fault.kind));
        let fates = trace.scenario.fates.iter().map(ToString::to_string);
        lines(&mut text, faults.chain(fates));
    }
    text.push_str("\nwhat the clients do\n");
    let programs = trace.scenario.clients.iter().map(|client| {
        let steps: Vec<String> = client.steps.iter().map(|step| step.operation.to_string()).collect();
        format!("client {}: {}", client.id, steps.join("; "))
    });
    lines(&mut text, programs);
    text.push_str("\nwhat happens\n");
    let account = Account::new(&footage.film, footage.record.told(), report.outcome.finding());
    lines(&mut text, account.story().iter().map(|sentence| format!("{}  {}", moment(sentence.at_ns), sentence.text)));
    text.push('\n');
    text.push_str(&report.text());
    text.push_str(&report.outcome.line(report.seed));
    text.push('\n');
    Ok((text, report.outcome.exit_code()))
}

fn lines(text: &mut String, lines: impl Iterator<Item = String>) {
    for line in lines {
        report::row(text, "  ", &line);
    }
}

/// Plays a trace or a seed, and writes every event to a file.
pub fn film(scenario: &Scenario, out: &Path) -> anyhow::Result<u64> {
    Trace::check_writable(out)?;
    let (report, footage) = watch(scenario, FILM);
    let header = Header {
        film: film::FORMAT,
        seed: scenario.seed,
        revision: crate::verdict::REVISION.to_string(),
        digest: report.digest,
    };
    let mut text = serde_json::to_string(&header)? + "\n";
    for event in &footage.film {
        text.push_str(&serde_json::to_string(event)?);
        text.push('\n');
    }
    files::replace(out, text.as_bytes())?;
    Ok(footage.film.len() as u64)
}

/// A run to compare: a film, or a trace that is played for it.
struct Run {
    name: String,
    digest: String,
    events: Vec<Event>,
}

impl Run {
    #[expect(clippy::disallowed_methods, reason = "a film is a file of the host")]
    fn load(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let first = text.lines().next().unwrap_or_default();
        let Ok(header) = serde_json::from_str::<Header>(first) else {
            let trace = Trace::load(path).context("it is no film, whose first line says so, and no trace either")?;
            let (report, footage) = watch(&trace.scenario, FILM);
            return Ok(Self { name, digest: report.digest, events: footage.film });
        };
        if header.film != film::FORMAT {
            let (path, format) = (path.display(), header.film);
            bail!("the film {path} has format {format}, but this version reads format {}: film it again", film::FORMAT);
        }
        let events = (2..).zip(text.lines().skip(1)).map(|(line, text)| {
            serde_json::from_str(text)
                .with_context(|| format!("{}, line {line}: not an event of a film", path.display()))
        });
        Ok(Self { name, digest: header.digest, events: events.collect::<anyhow::Result<_>>()? })
    }
}

/// Compares two runs. Says where they part, with what was before and after in each, and whether they are the same.
pub fn diff(left: &Path, right: &Path) -> anyhow::Result<(String, bool)> {
    let (left, right) = (Run::load(left)?, Run::load(right)?);
    let same = left.events.iter().zip(&right.events).take_while(|(a, b)| a == b).count();
    if same == left.events.len() && same == right.events.len() {
        let digests = if left.digest == right.digest { "equal digests" } else { "but their digests differ" };
        return Ok((format!("the same {} events, {digests}\n", number(same as u64)), left.digest == right.digest));
    }
    let mut text = format!("the first {} events are the same; then the runs differ\n", number(same as u64));
    let before = same.saturating_sub(CONTEXT);
    if before < same {
        text.push_str("  both\n");
        left.events[before..same].iter().for_each(|event| line(&mut text, "    ", event));
    }
    for Run { name, events, digest } in [&left, &right] {
        let after = &events[same..events.len().min(same + CONTEXT)];
        let _ = writeln!(text, "  {name} (digest {digest})");
        if after.is_empty() {
            text.push_str("    ends here\n");
        }
        for (place, event) in after.iter().enumerate() {
            line(&mut text, if place == 0 { "  → " } else { "    " }, event);
        }
    }
    Ok((text, false))
}

fn line(text: &mut String, indent: &str, event: &Event) {
    let node = event.node.map_or("  ".to_string(), |node| format!("n{node}"));
    let _ = writeln!(text, "{indent}{:>8}  {}  {node}  {}", event.n, moment(event.at_ns), event.what);
}

/// How often each probe is passed in some seeds; those that were never come first.
pub fn probes(seeds: std::ops::Range<u64>, overrides: &Overrides) -> BTreeMap<&'static str, u64> {
    let mut counts: BTreeMap<&'static str, u64> = engine::probe::all().into_iter().map(|p| (p.name, 0)).collect();
    for seed in seeds {
        add_probes(&mut counts, &play(&Scenario::draw(seed, overrides)).probes);
    }
    counts
}

/// Adds the counts of one run.
pub fn add_probes(counts: &mut BTreeMap<&'static str, u64>, run: &BTreeMap<String, u64>) {
    for (name, total) in counts {
        *total += run.get(*name).copied().unwrap_or(0);
    }
}

/// The list of all probes, for a terminal.
pub fn probes_text(counts: &BTreeMap<&'static str, u64>) -> String {
    let mut text = String::new();
    for probe in engine::probe::all() {
        let count = counts.get(probe.name).copied().unwrap_or(0);
        let _ = writeln!(text, "{:>12}  {}  ({}:{})", number(count), probe.name, probe.file, probe.line);
    }
    let missing = counts.values().filter(|&&count| count == 0).count();
    let _ = writeln!(text, "{} probes, {missing} never passed", counts.len());
    text
}
