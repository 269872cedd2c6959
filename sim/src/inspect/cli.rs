//! The subcommands that look at runs, and their arguments.

use std::io::IsTerminal;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Subcommand;

use crate::cli::{Fixed, print, print_json};
use crate::sweep::cli::seeds;
use crate::sweep::cores;
use crate::trace::{self, Trace};
use crate::{inspect, post_mortem, shrink};

/// The exit code of `diff` for runs that differ.
const DIFFERENT: u8 = 4;

/// The subcommands that look at runs.
#[derive(Subcommand)]
pub(crate) enum Inspect {
    /// Tell a trace as a story: what is in it, and what happens when it is played
    Show {
        /// The trace
        path: PathBuf,
    },
    /// Write the post-mortem of a trace: one HTML file that opens from disk
    Report {
        /// The trace
        path: PathBuf,
        /// The file
        #[arg(long, short, value_name = "PATH")]
        out: PathBuf,
    },
    /// Make a failing trace small: fewer nodes, clients, operations and faults, and the same failure
    Shrink {
        /// The trace
        path: PathBuf,
        /// Where the small trace goes [default: beside the trace, as NAME.min.json]
        #[arg(long, short, value_name = "PATH")]
        out: Option<PathBuf>,
        /// Start no universe after this many seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        time_limit: u64,
        /// Universes at a time [default: the number of cores]
        #[arg(long, short, value_parser = clap::value_parser!(u16).range(1..=1024))]
        jobs: Option<u16>,
        /// Directory for a trace of each step
        #[arg(long, value_name = "DIR")]
        steps: Option<PathBuf>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Play a trace, and write every event to a file, for `diff`
    Film {
        /// The trace
        path: PathBuf,
        /// The file: JSON lines
        #[arg(long, short, value_name = "PATH")]
        out: PathBuf,
    },
    /// Name the first event that differs between two runs, builds or machines
    Diff {
        /// A film, or a trace, which is played
        left: PathBuf,
        /// Another
        right: PathBuf,
    },
    /// List the probes (rare places in the code), with how often some seeds pass them
    Probes {
        /// The seeds, first..end (the end is not played)
        #[arg(long, value_name = "A..B", value_parser = seeds, default_value = "0..200")]
        seeds: Range<u64>,
        #[command(flatten)]
        overrides: Fixed,
        /// Print the counts as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON schema of traces
    Schema,
}

impl Inspect {
    /// Runs the subcommand, and returns the exit code.
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        match self {
            Self::Show { path } => {
                let (text, code) = inspect::show(&path)?;
                print(&text)?;
                Ok(code)
            }
            Self::Report { path, out } => {
                refuse_same(&path, &out)?;
                let outcome = post_mortem::report(&path, &out)?;
                print(&format!("{}: {}\n", out.display(), outcome.signature()))?;
                Ok(outcome.exit_code())
            }
            Self::Shrink { path, out, time_limit, jobs, steps, json } => {
                let options = shrink::Options {
                    jobs: jobs.map_or_else(cores, usize::from),
                    time_limit: Duration::from_secs(time_limit),
                    steps,
                    progress: std::io::stderr().is_terminal(),
                };
                shrink_trace(&path, out, &options, json)
            }
            Self::Film { path, out } => {
                refuse_same(&path, &out)?;
                let events = inspect::film(&Trace::load(&path)?.scenario, &out)?;
                print(&format!("{events} events in {}\n", out.display()))?;
                Ok(0)
            }
            Self::Diff { left, right } => {
                let (text, same) = inspect::diff(&left, &right)?;
                print(&text)?;
                Ok(if same { 0 } else { DIFFERENT })
            }
            Self::Probes { seeds, overrides, json } => {
                let counts = inspect::probes(seeds, &overrides.overrides());
                if json {
                    print_json(&counts)?;
                } else {
                    print(&inspect::probes_text(&counts))?;
                }
                Ok(0)
            }
            Self::Schema => {
                print_json(&trace::schema())?;
                Ok(0)
            }
        }
    }
}

/// What is read must not be written over.
fn refuse_same(input: &Path, out: &Path) -> anyhow::Result<()> {
    let same = match (input.canonicalize(), out.canonicalize()) {
        (Ok(input), Ok(out)) => input == out,
        _ => input == out,
    };
    if same {
        bail!("--out {} is the trace itself: choose another file", out.display());
    }
    Ok(())
}

fn shrink_trace(path: &Path, out: Option<PathBuf>, options: &shrink::Options, json: bool) -> anyhow::Result<u8> {
    let out = out.unwrap_or_else(|| path.with_extension("min.json"));
    refuse_same(path, &out)?;
    let trace = Trace::load(path)?;
    Trace::check_writable(&out)?;
    if let Some(directory) = &options.steps {
        Trace::check_writable(&directory.join("writable"))?;
    }
    let shrunk =
        shrink::shrink(&trace.scenario, options).with_context(|| format!("cannot shrink {}", path.display()))?;
    let small = Trace::new(shrunk.scenario.clone(), shrunk.report.digest.clone(), shrunk.report.outcome.clone());
    small.save(&out)?;
    if json {
        print_json(&shrunk)?;
    } else {
        print(&shrunk.text())?;
        let line = shrunk.report.outcome.line(shrunk.report.seed);
        print(&format!("{line} | replay: cargo run -p sim -- replay {}\n", out.display()))?;
    }
    Ok(0)
}
