//! `sim sweep` and `sim merge`: arguments, files that are known to be writable before the work, and exit codes.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use super::results::Error;
use super::{Options, Results, Shard, Summary, cores, merge, sweep, sweep_guided};
use crate::cli::{Fixed, print, print_json};
use crate::trace::Trace;
use crate::{files, logging, post_mortem, shrink};

/// The arguments of `sim sweep`.
#[derive(Args)]
pub(crate) struct SweepArguments {
    /// The seeds, first..end (the end is not played)
    #[arg(long, value_name = "A..B", value_parser = seeds)]
    seeds: Range<u64>,
    /// Play only one of N shares of the seeds: those with seed % N + 1 = I
    #[arg(long, value_name = "I/N", default_value = "1/1", hide_default_value = true)]
    shard: Shard,
    /// Universes at a time [default: the number of cores]
    #[arg(long, short, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Start no universe after this many seconds
    #[arg(long, value_name = "SECONDS")]
    time_limit: Option<u64>,
    /// Directory for the traces of failures
    #[arg(long, value_name = "DIR", default_value = "failures")]
    failures: PathBuf,
    /// Play this share of the universes twice, and fail those that differ
    #[arg(long, value_name = "PERCENT", default_value_t = 5, value_parser = clap::value_parser!(u8).range(..=100))]
    recheck: u8,
    /// Play every universe twice: `--recheck 100`
    #[arg(long, conflicts_with = "recheck")]
    twice: bool,
    /// Learn from each universe: make the next ones from those that reached something new
    #[arg(long, conflicts_with_all = ["shard", "recheck", "twice"])]
    guided: bool,
    /// Directory of inputs that a guided sweep begins with, and leaves what it has learnt in; a fuzzer's will do
    #[arg(long, value_name = "DIR", requires = "guided")]
    corpus: Option<PathBuf>,
    /// Make the first failure of each kind small: beside its trace, as SEED.min.json
    #[arg(long)]
    shrink: bool,
    /// Fail (exit code 5) if a probe is never passed
    #[arg(long)]
    require_probes: bool,
    #[command(flatten)]
    overrides: Fixed,
    #[command(flatten)]
    output: Output,
}

/// How many failures of a sweep get a post-mortem, each of another kind.
const REPORTS: usize = 5;

/// How long to shrink one failure of a sweep.
const SHRINK: Duration = Duration::from_mins(1);

/// The arguments of `sim merge`.
#[derive(Args)]
pub(crate) struct MergeArguments {
    /// Results, as `sweep --out` has written them
    #[arg(required = true, value_name = "FILES")]
    files: Vec<PathBuf>,
    /// Merge results of different revisions of the source
    #[arg(long)]
    mixed_revisions: bool,
    /// Do not fail if shards are missing
    #[arg(long)]
    partial: bool,
    /// Directory for the traces of failures
    #[arg(long, value_name = "DIR", default_value = "failures")]
    failures: PathBuf,
    #[command(flatten)]
    output: Output,
}

/// Where a summary goes, and in what form.
#[derive(Args)]
struct Output {
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
    /// Write the results as JSON, for `merge`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the summary as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print failures as workflow commands of GitHub Actions, too
    #[arg(long, conflicts_with = "json")]
    github: bool,
    /// Append the summary to this file, as Markdown: the job summary of GitHub Actions
    #[arg(long, value_name = "FILE")]
    github_summary: Option<PathBuf>,
}

/// Reads a range of seeds, as in `0..1000`.
pub(crate) fn seeds(text: &str) -> Result<Range<u64>, String> {
    let (start, end) = text.split_once("..").ok_or("expected first..end, as in 0..1000")?;
    let parse = |part: &str| part.parse::<u64>().map_err(|error| format!("{part:?} is not a seed: {error}"));
    let (start, end) = (parse(start)?, parse(end)?);
    if start >= end {
        return Err(format!("{start}..{end} holds no seed"));
    }
    Ok(start..end)
}

/// Runs `sim sweep`, and returns the exit code.
pub(crate) fn run_sweep(arguments: SweepArguments) -> anyhow::Result<u8> {
    let SweepArguments { seeds, shard, jobs, time_limit, failures, recheck, twice, .. } = arguments;
    let SweepArguments { guided, corpus, shrink, require_probes, overrides, output, .. } = arguments;
    logging::init(0)?;
    if shard.count(&seeds) == 0 {
        bail!("shard {shard} of {}..{} holds no seed: use fewer shards", seeds.start, seeds.end);
    }
    output.check(&[])?;
    Trace::check_writable(&failures.join("writable"))?;
    let options = Options {
        seeds,
        shard,
        jobs: jobs.map_or_else(cores, usize::from),
        time_limit: time_limit.map(Duration::from_secs),
        overrides: overrides.overrides(),
        failures,
        corpus,
        recheck: if twice { 100 } else { recheck },
        progress: std::io::stderr().is_terminal(),
    };
    let mut summary = if guided { sweep_guided(&options)? } else { sweep(&options)? };
    summary.require_probes = require_probes;
    explain(&summary, &options, shrink)?;
    // That the other shards are elsewhere is as it should be.
    let partial = true;
    if output.out.is_some() {
        let results = Results::new(summary)?;
        output.save(&results)?;
        output.show(&results.summary, partial)
    } else {
        output.show(&summary, partial)
    }
}

/// Writes the post-mortem of the first failure of each kind, after making it small if that was asked for.
fn explain(summary: &Summary, options: &Options, shrink: bool) -> anyhow::Result<()> {
    let mut kinds = BTreeSet::new();
    let first = summary.failures.iter().filter(|failure| kinds.insert(failure.outcome.signature()));
    for failure in first.take(REPORTS) {
        let mut trace = Trace::load(&failure.trace)?;
        let mut path = failure.trace.clone();
        if shrink {
            let shrink_options =
                shrink::Options { jobs: options.jobs, time_limit: SHRINK, steps: None, progress: options.progress };
            match shrink::shrink(&trace.scenario, &shrink_options) {
                Ok(small) => {
                    path = path.with_extension("min.json");
                    trace =
                        Trace::new(small.scenario.clone(), small.report.digest.clone(), small.report.outcome.clone());
                    trace.save(&path)?;
                    eprintln!("seed {}: {}\n{}", failure.seed, path.display(), small.text());
                }
                // A run that differs each time cannot be shrunk, and its trace stays as it is.
                Err(error) => eprintln!("seed {}: cannot shrink: {error}", failure.seed),
            }
        }
        let page = failure.trace.with_extension("html");
        let replay = format!("cargo run -p sim -- replay {}", path.display());
        post_mortem::write(&trace.scenario, &replay, &page)?;
        eprintln!("seed {}: report: {}", failure.seed, page.display());
    }
    Ok(())
}

/// Runs `sim merge`, and returns the exit code.
pub(crate) fn run_merge(arguments: MergeArguments) -> anyhow::Result<u8> {
    let MergeArguments { files, mixed_revisions, partial, failures, output } = arguments;
    output.check(&files)?;
    let load = |path: PathBuf| Results::load(&path).map(|results| (path, results));
    let results = files.into_iter().map(load).collect::<Result<Vec<_>, Error>>()?;
    let mut results = merge(results, mixed_revisions)?.context("there is nothing to merge")?;
    results.unpack(&failures)?;
    output.save(&results)?;
    output.show(&results.summary, partial)
}

impl Output {
    /// Checks that everything could be written, and that nothing is written over what else is used.
    fn check(&self, inputs: &[PathBuf]) -> anyhow::Result<()> {
        let Self { json: _, out, junit, github: _, github_summary } = self;
        let outputs = [("--out", out), ("--junit", junit), ("--github-summary", github_summary)];
        let mut used: Vec<(String, PathBuf)> = inputs.iter().map(|path| ("an input".to_string(), real(path))).collect();
        for (option, path) in outputs {
            let Some(path) = path else { continue };
            let written =
                if option == "--github-summary" { files::append(path, b"") } else { files::check_writable(path) };
            written?;
            let real = real(path);
            if let Some((other, _)) = used.iter().find(|(_, other)| *other == real) {
                bail!("{option} would write {}, which is {other} as well", path.display());
            }
            used.push((option.to_string(), real));
        }
        Ok(())
    }

    fn save(&self, results: &Results) -> Result<(), Error> {
        match &self.out {
            Some(path) => results.save(path),
            None => Ok(()),
        }
    }

    /// Writes and prints a summary in all forms but that of results, and returns its exit code.
    fn show(&self, summary: &Summary, partial: bool) -> anyhow::Result<u8> {
        if let Some(path) = &self.junit {
            let xml = summary.junit(partial).context("cannot write JUnit XML")?;
            files::replace(path, xml.as_bytes())?;
        }
        if let Some(path) = &self.github_summary {
            let text = summary.github_summary(partial);
            files::append(path, text.as_bytes())?;
        }
        if self.json {
            print_json(summary)?;
        } else {
            print(&summary.text(partial))?;
            if self.github {
                print(&summary.github_commands(partial))?;
            }
            print(&(summary.line(partial) + "\n"))?;
        }
        Ok(summary.exit_code(partial))
    }
}

/// What a path is a name of, as far as it can be told.
fn real(path: &Path) -> PathBuf {
    let name = path.file_name().map(PathBuf::from).unwrap_or_default();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    path.canonicalize().or_else(|_| Ok::<_, std::io::Error>(parent.canonicalize()?.join(name))).unwrap_or(path.into())
}
