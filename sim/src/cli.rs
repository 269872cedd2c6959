//! The command line.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, CommandFactory, Parser, Subcommand};
use scenarios::{FaultsMode, Mode, Overrides, Scenario, WorkloadKind};

use crate::inspect::cli::Inspect;
use crate::play::{play, play_twice};
use crate::sweep::cli::{MergeArguments, SweepArguments, run_merge, run_sweep};
use crate::trace::Trace;
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
sim sweep --seeds 0..1000\n  sim sweep --seeds 0..1000 --shard 1/4 --out 1.json\n  sim merge *.json\n  sim replay failures/7291.json";

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
    #[command(flatten)]
    Inspect(Inspect),
    /// Play many universes in parallel
    Sweep(SweepArguments),
    /// Put the results of sweeps together, as if one process had played them all
    Merge(MergeArguments),
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
pub(crate) struct Fixed {
    /// Play this scenario: register, bank, append, write-skew, long-fork, time-travel, unique, foreign-key, index, ddl or sql
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
    /// What faults may destroy: recoverable (good copies stay on a quorum; safety and liveness) or unrestricted (safety only)
    #[arg(long, value_name = "MODE")]
    mode: Option<Mode>,
}

#[derive(Args)]
struct Log {
    /// Log what happens, with virtual time and node; twice for more. `RUST_LOG` chooses in detail
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

impl Fixed {
    pub(crate) fn overrides(&self) -> Overrides {
        let Self { scenario, nodes, clients, ops, faults, mode } = *self;
        Overrides { scenario, nodes, clients, ops: ops.map(|ops| ops as usize), faults, mode }
    }
}

/// Runs the command line, and returns the exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Some(Command::Replay { path, json, log }) => replay(&path, json, &log),
        Some(Command::Inspect(command)) => command.run(),
        Some(Command::Sweep(arguments)) => run_sweep(arguments),
        Some(Command::Merge(arguments)) => run_merge(arguments),
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
            None => command_line(seed, &run.overrides.overrides()),
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
pub(crate) fn command_line(seed: u64, fixed: &Overrides) -> String {
    let mut line = format!("--seed {seed}");
    let options = [
        ("scenario", fixed.scenario.map(|scenario| scenario.to_string())),
        ("nodes", fixed.nodes.map(|nodes| nodes.to_string())),
        ("clients", fixed.clients.map(|clients| clients.to_string())),
        ("ops", fixed.ops.map(|ops| ops.to_string())),
        ("faults", fixed.faults.map(|faults| faults.to_string())),
        ("mode", fixed.mode.map(|mode| mode.to_string())),
    ];
    for (name, value) in options {
        if let Some(value) = value {
            line = format!("{line} --{name} {value}");
        }
    }
    line
}

fn replay(path: &Path, json: bool, log: &Log) -> anyhow::Result<u8> {
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

pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // The reader has seen enough, as with `| head`.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}

pub(crate) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}
