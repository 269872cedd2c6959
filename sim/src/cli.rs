//! The command line.

use std::io::{IsTerminal, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, CommandFactory, Parser, Subcommand};
use scenarios::{FaultsMode, Overrides, Scenario, WorkloadKind};

use crate::play::{play, play_twice};
use crate::sweep::{self, sweep};
use crate::trace::Trace;
use crate::verdict::REVISION;
use crate::{logging, report};

/// Plays universes of the Orrery database: a whole cluster under attack, on virtual disks, network and clocks, judged.
///
/// A seed picks everything: the cluster, the clients, the faults. The same seed always plays the same universe.
#[derive(Parser)]
#[command(name = "sim", version, args_conflicts_with_subcommands = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

const AFTER_HELP: &str = "Exit codes: 0 pass, 1 safety, 2 usage, 3 liveness, 4 determinism, 5 vacuous (nothing was tested), \
6 a checker gave up, 7 panic.\n\nExamples:\n  sim --seed 1\n  sim --seed 1 --scenario bank --faults none\n  \
sim sweep --seeds 0..1000\n  sim replay failures/7291.json";

#[derive(Subcommand)]
enum Command {
    /// Play a saved trace, and say whether verdict and digest are the same
    Replay {
        /// The trace, as `--trace` or a sweep has written it
        path: PathBuf,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        log: Log,
    },
    /// Play many universes in parallel
    Sweep {
        /// The seeds, first..end (the end is not played)
        #[arg(long, value_name = "A..B", value_parser = seeds)]
        seeds: Range<u64>,
        /// Universes at a time [default: the number of cores]
        #[arg(long, short, value_parser = clap::value_parser!(u16).range(1..=1024))]
        jobs: Option<u16>,
        /// Start no universe after this many seconds
        #[arg(long, value_name = "SECONDS")]
        time_limit: Option<u64>,
        /// Directory for the traces of failures
        #[arg(long, value_name = "DIR", default_value = "failures")]
        failures: PathBuf,
        /// Play every universe twice, and fail those that differ
        #[arg(long)]
        twice: bool,
        #[command(flatten)]
        overrides: Fixed,
        /// Print the summary as JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
struct Run {
    /// The seed of the universe: any number picks everything
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    overrides: Fixed,
    /// Save the universe as a trace, for `replay`
    #[arg(long, value_name = "PATH")]
    trace: Option<PathBuf>,
    /// Play the universe twice, and fail if the two differ
    #[arg(long)]
    twice: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    log: Log,
}

/// What a command line can fix of a scenario; the seed draws the rest.
#[derive(Args)]
struct Fixed {
    /// Play this scenario: register, bank or append
    #[arg(long, value_name = "NAME")]
    scenario: Option<WorkloadKind>,
    /// Nodes in the cluster
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=i64::from(scenarios::MAX_NODES)))]
    nodes: Option<u8>,
    /// Clients
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(scenarios::MAX_CLIENTS)))]
    clients: Option<u32>,
    /// Operations of all clients together
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=scenarios::MAX_STEPS as i64))]
    ops: Option<u32>,
    /// How hostile the universe is [default: full]
    #[arg(long, value_name = "none|light|full")]
    faults: Option<FaultsMode>,
}

#[derive(Args)]
struct Log {
    /// Log what happens, with virtual time and node; twice for more. `RUST_LOG` chooses in detail
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

impl Fixed {
    fn overrides(&self) -> Overrides {
        let Self { scenario, nodes, clients, ops, faults } = *self;
        Overrides { scenario, nodes, clients, ops: ops.map(|ops| ops as usize), faults }
    }
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let (start, end) = text.split_once("..").ok_or("expected first..end, as in 0..1000")?;
    let parse = |part: &str| part.parse::<u64>().map_err(|error| format!("{part:?} is not a seed: {error}"));
    let (start, end) = (parse(start)?, parse(end)?);
    if start >= end {
        return Err(format!("{start}..{end} holds no seed"));
    }
    Ok(start..end)
}

/// Runs the command line, and returns the exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Some(Command::Replay { path, json, log }) => replay(&path, json, &log),
        Some(Command::Sweep { seeds, jobs, time_limit, failures, twice, overrides, json }) => {
            let jobs = jobs.map_or_else(|| std::thread::available_parallelism().map_or(1, Into::into), usize::from);
            let options = sweep::Options {
                seeds,
                jobs,
                time_limit: time_limit.map(Duration::from_secs),
                overrides: overrides.overrides(),
                failures,
                twice,
                progress: std::io::stderr().is_terminal(),
            };
            run_sweep(&options, json)
        }
        None => run(&cli.run),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(run: &Run) -> anyhow::Result<u8> {
    let Some(seed) = run.seed else {
        Cli::command().print_help().context("cannot print the help")?;
        bail!("a seed is missing: try --seed 1");
    };
    logging::init(run.log.verbose)?;
    if let Some(path) = &run.trace {
        Trace::check_writable(path)?;
    }
    let scenario = Scenario::draw(seed, &run.overrides.overrides());
    if !run.json {
        print(&report::draw(&scenario))?;
    }
    let report = if run.twice { play_twice(&scenario) } else { play(&scenario) };
    let outcome = report.outcome.clone();
    if let Some(path) = &run.trace {
        Trace::new(scenario, report.digest.clone(), outcome.clone()).save(path)?;
    }
    if run.json {
        print_json(&report)?;
    } else {
        print(&report.text())?;
        let again = match &run.trace {
            Some(path) => format!("replay {}", path.display()),
            None => command_line(seed, &run.overrides),
        };
        let line = outcome.line(seed);
        if outcome.is_pass() {
            print(&format!("{line} digest={}\n", report.digest))?;
        } else {
            print(&format!("{line} digest={} | replay: cargo run -p sim -- {again}\n", report.digest))?;
        }
    }
    Ok(outcome.exit_code())
}

/// The arguments that play the same universe again.
fn command_line(seed: u64, fixed: &Fixed) -> String {
    let mut line = format!("--seed {seed}");
    let options = [
        ("scenario", fixed.scenario.map(|scenario| scenario.to_string())),
        ("nodes", fixed.nodes.map(|nodes| nodes.to_string())),
        ("clients", fixed.clients.map(|clients| clients.to_string())),
        ("ops", fixed.ops.map(|ops| ops.to_string())),
        ("faults", fixed.faults.map(|faults| faults.to_string())),
    ];
    for (name, value) in options {
        if let Some(value) = value {
            line = format!("{line} --{name} {value}");
        }
    }
    line
}

fn replay(path: &std::path::Path, json: bool, log: &Log) -> anyhow::Result<u8> {
    logging::init(log.verbose)?;
    let trace = Trace::load(path)?;
    if !json {
        print(&report::draw(&trace.scenario))?;
    }
    let report = play(&trace.scenario);
    let same_verdict = report.outcome.signature() == trace.outcome.signature();
    let same_digest = report.digest == trace.digest;
    if json {
        let result = serde_json::json!({
            "report": report,
            "trace": { "revision": trace.revision, "outcome": trace.outcome, "digest": trace.digest },
            "same_verdict": same_verdict,
            "same_digest": same_digest,
        });
        print_json(&result)?;
    } else {
        print(&report.text())?;
        print(&format!("{} digest={}\n", report.outcome.line(report.seed), report.digest))?;
        print(&format!(
            "verdict: {}; digest: {} (the trace is of revision {})\n",
            if same_verdict { "the same".to_string() } else { format!("was {}", trace.outcome.signature()) },
            if same_digest { "the same".to_string() } else { format!("was {}", trace.digest) },
            trace.revision
        ))?;
    }
    Ok(report.outcome.exit_code())
}

fn run_sweep(options: &sweep::Options, json: bool) -> anyhow::Result<u8> {
    logging::init(0)?;
    let probe = options.failures.join("writable");
    Trace::check_writable(&probe)?;
    let summary = sweep(options)?;
    if json {
        print_json(&summary)?;
    } else {
        print(&summary.text())?;
        let verdict = if summary.failures.is_empty() { "PASS" } else { "FAIL" };
        let (start, end) = (options.seeds.start, options.seeds.end);
        let sweep::Summary { played, digest, .. } = &summary;
        print(&format!("{verdict} sweep seeds={start}..{end} played={played} rev={REVISION} digest={digest}\n"))?;
    }
    Ok(summary.exit_code())
}

fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // The reader has seen enough, as with `| head`.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}

fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}
