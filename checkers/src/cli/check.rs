//! `checkers check`: judges files, and writes the evidence.

use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use serde::Serialize;
use serde_json::Value;

use super::{BAD, CheckArguments, How, exit_code, host, print, print_json};
use crate::evidence::{self, Answer, PositionsReport, Report, dot, page, svg};
use crate::formats::{Judged, Objects, Recorded, judge_until, read};
use crate::history::{History, HistoryError};
use crate::linearizability;
use crate::transactions::{self, Judgement};

/// A judged history.
pub(super) struct Checked {
    pub report: Report,
    /// CPU time of reading.
    pub read: Duration,
    /// CPU time of judging.
    pub judged: Duration,
    pub about: Judgements,
}

/// A history with its judgement.
pub(super) enum Judgements {
    Objects(Objects, Judged),
    Transactions(History, Judgement),
}

/// What `--json` prints of one file.
#[derive(Serialize)]
struct FileResult<'a> {
    #[serde(flatten)]
    report: &'a Report,
    read_cpu_ms: f64,
    judge_cpu_ms: f64,
}

#[derive(Serialize)]
struct Failed {
    source: String,
    verdict: &'static str,
    summary: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    version: u32,
    verdict: &'static str,
    results: &'a [Value],
}

/// Judges the files, and returns the exit code.
pub(super) fn run(arguments: &CheckArguments) -> anyhow::Result<u8> {
    let outputs: Vec<&Path> = [&arguments.html, &arguments.svg, &arguments.dot]
        .into_iter()
        .flatten()
        .map(std::path::PathBuf::as_path)
        .collect();
    if arguments.files.len() > 1 && !outputs.is_empty() {
        bail!("--html, --svg and --dot take one history: judge the files one by one");
    }
    for out in &outputs {
        for file in &arguments.files {
            host::refuse_same(file, out)?;
        }
    }
    let mut verdict = Some(Answer::Holds);
    let mut results = Vec::new();
    for file in &arguments.files {
        let source = file.display().to_string();
        let how = How { explain: true, ..arguments.how.clone() };
        match check(file, &source, &how) {
            Ok(checked) => {
                draw(arguments, &checked)?;
                verdict = verdict.map(|verdict| verdict.max(checked.report.verdict));
                if arguments.json {
                    let milliseconds = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
                    results.push(serde_json::to_value(FileResult {
                        report: &checked.report,
                        read_cpu_ms: milliseconds(checked.read),
                        judge_cpu_ms: milliseconds(checked.judged),
                    })?);
                } else {
                    print(&checked.report.text())?;
                }
            }
            Err(error) => {
                verdict = None;
                if arguments.json {
                    let line = error.downcast_ref::<BadLine>().map(|bad| bad.line);
                    let summary = format!("{error:#}");
                    results.push(serde_json::to_value(Failed { source, verdict: "bad-input", summary, line })?);
                } else {
                    eprintln!("error: {error:#}");
                }
            }
        }
    }
    if arguments.json {
        let verdict = verdict.map_or("bad-input", Answer::word);
        print_json(&Printed { version: 1, verdict, results: &results })?;
    }
    Ok(verdict.map_or(BAD, exit_code))
}

/// A line of a file that is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{source_name}:{line}: {reason}")]
pub(super) struct BadLine {
    source_name: String,
    line: usize,
    reason: String,
}

impl BadLine {
    pub(super) fn new(source: &str, error: HistoryError) -> Self {
        Self { source_name: source.to_owned(), line: error.line, reason: error.reason }
    }
}

/// Reads and judges one file.
pub(super) fn check(file: &Path, source: &str, how: &How) -> anyhow::Result<Checked> {
    let initial: Option<Value> = match &how.initial {
        Some(json) => match serde_json::from_str(json) {
            Ok(value) => Some(value),
            Err(_) => bail!("--initial {json} is no JSON: write a string as '\"text\"'"),
        },
        None => None,
    };
    let bytes = host::read(file)?;
    let bad = |error: HistoryError| BadLine::new(source, error);
    let began = host::thread_cpu();
    let recorded = if bytes.is_empty() && how.may_be_empty {
        Recorded::Objects(Objects::default())
    } else {
        read(&bytes, how.format).map_err(bad)?
    };
    let read = host::thread_cpu().saturating_sub(began);
    drop(bytes);
    match recorded {
        Recorded::Objects(objects) => {
            if !how.level.is_empty() {
                bail!("{source} has operations of objects, which have no --level: they are linearizable or not");
            }
            let (objects, judged, time) = judge_objects(objects, initial, source, how)?;
            let judged = judged.map_err(bad)?;
            let report = evidence::objects(source, &objects, &judged);
            Ok(Checked { report, read, judged: time, about: Judgements::Objects(objects, judged) })
        }
        Recorded::Transactions(history) => {
            if how.model.is_some() || how.initial.is_some() || how.no_partition {
                bail!("{source} has transactions: --model, --initial and --no-partition are for operations of objects");
            }
            let (history, judgement, positions, time) = judge_transactions(history, source, how)?;
            let mut report = evidence::transactions(source, &history, &judgement);
            report.add_positions(positions);
            Ok(Checked { report, read, judged: time, about: Judgements::Transactions(history, judgement) })
        }
    }
}

type JudgedObjects = (Objects, Result<Judged, HistoryError>, Duration);

fn judge_objects(objects: Objects, initial: Option<Value>, source: &str, how: &How) -> anyhow::Result<JudgedObjects> {
    let mut options = linearizability::Options { split: !how.no_partition, ..linearizability::Options::default() };
    if let Some(budget) = how.budget {
        options.configurations = budget;
    }
    let (model, explain) = (how.model, how.explain);
    let mut stop = host::deadline(how.time_limit);
    host::patiently(&format!("judging {source}"), move || {
        let began = host::thread_cpu();
        let judged = judge_until(&objects, model, initial.as_ref(), &options, explain, &mut stop);
        (objects, judged, host::thread_cpu().saturating_sub(began))
    })
}

/// A history, its judgement, and what its positions say.
type JudgedTransactions = (History, Judgement, Result<Vec<PositionsReport>, String>, Duration);

fn judge_transactions(history: History, source: &str, how: &How) -> anyhow::Result<JudgedTransactions> {
    let levels = if how.level.is_empty() { evidence::default_levels(&history) } else { how.level.clone() };
    let mut options = transactions::Options { levels, ..transactions::Options::default() };
    if let Some(budget) = how.budget {
        options.budget = budget;
    }
    let (asked, explain) = (how.level.clone(), how.explain);
    let mut stop = host::deadline(how.time_limit);
    host::patiently(&format!("judging {source}"), move || {
        let began = host::thread_cpu();
        let judgement = transactions::judge_until(&history, &options, &mut stop);
        let positions = if explain { PositionsReport::of(&history, &asked) } else { Ok(Vec::new()) };
        (history, judgement, positions, host::thread_cpu().saturating_sub(began))
    })
}

/// Writes the pictures that were asked for.
fn draw(arguments: &CheckArguments, checked: &Checked) -> anyhow::Result<()> {
    if let Some(out) = &arguments.html {
        let page = match &checked.about {
            Judgements::Objects(objects, judged) => page::objects(&checked.report, objects, judged),
            Judgements::Transactions(history, judgement) => page::transactions(&checked.report, history, judgement),
        };
        host::write(out, &page)?;
    }
    let nothing = |out: &Path| eprintln!("nothing is wrong that could be drawn: {} is not written", out.display());
    if let Some(out) = &arguments.svg {
        match &checked.about {
            Judgements::Objects(objects, judged) => host::write(out, &svg::timeline(objects, judged))?,
            Judgements::Transactions(history, judgement) => match judgement.anomalies.first() {
                Some(anomaly) => host::write(out, &svg::anomaly(history, anomaly))?,
                None => nothing(out),
            },
        }
    }
    if let Some(out) = &arguments.dot {
        match &checked.about {
            Judgements::Objects(..) => {
                bail!("--dot draws cycles of transactions, and this history has none: use --svg")
            }
            Judgements::Transactions(history, judgement) => match judgement.anomalies.first() {
                Some(anomaly) => host::write(out, &dot::anomaly(history, anomaly))?,
                None => nothing(out),
            },
        }
    }
    Ok(())
}
