//! The command `checkers`: judges, converts and draws recorded histories.
//!
//! Judging runs in a thread of its own, so that the command can say that it is still at work. The
//! exit code is the worst of all that was asked: bad input before violated before unknown before holds.

mod check;
mod convert;
mod generate;
mod host;
mod lists;
mod stream;
mod suite;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::evidence::Answer;
use crate::formats::{Format, ModelName};
use crate::generate::Mutation;
use crate::transactions::Level;

/// Judges recorded histories of databases: are they linearizable, and which levels of isolation do they keep?
#[derive(Parser)]
#[command(name = "checkers", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 holds, 1 violated, 2 bad input or usage, 3 unknown.";

const AFTER_HELP: &str = "Exit codes: 0 holds, 1 violated, 2 bad input or usage, 3 unknown.\n\n\
Examples:\n  checkers check history.jsonl\n  checkers check history.edn --level serializable --html evidence.html\n  \
checkers check etcd.log --format etcd-log\n  checkers generate --transactions 1000000 | checkers stream -\n  \
  checkers convert history.edn history.jsonl\n  checkers suite histories/";

#[derive(Subcommand)]
enum Command {
    /// Judge histories, and show what is wrong with them
    Check(CheckArguments),
    /// Judge the positions that a database reports while its run goes on, and stop at the first violation
    Stream(StreamArguments),
    /// Write a history that is correct at a level by construction, or one that is changed in one place
    Generate(GenerateArguments),
    /// Write a history in another format; the format is told by the name of the file
    Convert(ConvertArguments),
    /// Judge all histories of a directory with a manifest.json, and compare with what it expects
    Suite(SuiteArguments),
    /// List the models of objects
    Models,
    /// List the consistency levels of transactions, and what violates them
    Levels,
    /// Print the JSON schema of a format
    Schema {
        /// Of what
        #[arg(value_enum, default_value = "transactions")]
        of: SchemaOf,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum SchemaOf {
    /// A line of a history of transactions
    Transactions,
    /// A line of a history of operations
    Operations,
    /// What `check --json` prints
    Result,
    /// What `stream --json` prints
    Stream,
}

/// The files to judge.
#[derive(Args)]
#[command(after_help = EXIT_CODES)]
struct CheckArguments {
    /// The histories; `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    how: How,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
    /// Write the evidence as one HTML file, which needs no network
    #[arg(long, value_name = "OUT")]
    html: Option<PathBuf>,
    /// Draw the cycle, or the calls around the impossible one, as SVG
    #[arg(long, value_name = "OUT")]
    svg: Option<PathBuf>,
    /// Draw the cycle for Graphviz
    #[arg(long, value_name = "OUT")]
    dot: Option<PathBuf>,
}

/// How to judge.
#[derive(Args, Clone)]
struct How {
    /// How the files are written [default: told by their text]
    #[arg(long, value_parser = format_named, value_name = "jsonl|edn|etcd-log|kv-log")]
    format: Option<Format>,
    /// What the objects are, see `checkers models` [default: told by the operations]
    #[arg(long, value_parser = model_named, value_name = "NAME")]
    model: Option<ModelName>,
    /// The initial value of the objects, as JSON [default: nothing, "", 0, [] or free]
    #[arg(long, value_name = "JSON")]
    initial: Option<String>,
    /// A level to decide, see `checkers levels`; may be given several times [default: all that the history tells about]
    #[arg(long, value_name = "NAME")]
    level: Vec<Level>,
    /// Stop the search for an answer after this many seconds, per file
    #[arg(long, value_name = "SECONDS")]
    time_limit: Option<u64>,
    /// How many configurations or steps of a search are explored at most, per file
    #[arg(long, value_name = "N")]
    budget: Option<u64>,
    /// Check all keys as one object
    #[arg(long)]
    no_partition: bool,
    /// Whether a file with nothing in it is a history in which nothing happened.
    #[arg(skip)]
    may_be_empty: bool,
    /// Whether to look for the smallest contradiction, and the like.
    #[arg(skip)]
    explain: bool,
}

/// The stream to judge.
#[derive(Args)]
#[command(after_help = EXIT_CODES)]
struct StreamArguments {
    /// Transactions as JSON lines in the order of time; `-` reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The level that the database promises, from snapshot-isolation on upwards
    #[arg(long, value_name = "NAME", default_value = "strong-snapshot-isolation")]
    level: Level,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What a generated history looks like.
#[derive(Args)]
struct GenerateArguments {
    /// The level that it is correct at, see `checkers levels`
    #[arg(long, value_name = "NAME", default_value = "strong-snapshot-isolation")]
    level: Level,
    /// How many transactions there are
    #[arg(long, value_name = "N", default_value_t = 100)]
    transactions: usize,
    /// The same seed gives the same history
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// How many clients there are
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..100_000))]
    clients: u64,
    /// How many rows and how many lists are in use at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..100_000))]
    keys: u64,
    /// What the transactions read and write
    #[arg(long, value_enum, default_value = "both")]
    of: GenerateOf,
    /// How many of 1000 transactions have an outcome that the client never learns
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(..=1000))]
    unknown: u64,
    /// Change one thing, which probably makes it wrong
    #[arg(long, value_parser = mutation_named, value_name = "KIND")]
    mutate: Option<Mutation>,
}

#[derive(Clone, Copy, ValueEnum)]
enum GenerateOf {
    /// Rows
    Rows,
    /// Lists
    Lists,
    /// Rows and lists
    Both,
    /// Rows, some of them by predicates
    Predicates,
}

/// The files of a conversion.
#[derive(Args)]
struct ConvertArguments {
    /// The history
    input: PathBuf,
    /// The file to write: NAME.jsonl or NAME.edn
    output: PathBuf,
    /// How the history is written [default: told by its text]
    #[arg(long, value_parser = format_named, value_name = "jsonl|edn|etcd-log|kv-log")]
    from: Option<Format>,
    /// How to write it [default: told by the name of the file]
    #[arg(long, value_parser = format_named, value_name = "jsonl|edn")]
    to: Option<Format>,
}

/// The directory of a suite.
#[derive(Args)]
#[command(after_help = EXIT_CODES)]
struct SuiteArguments {
    /// The directory with the manifest.json
    directory: PathBuf,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
    /// Stop the search for an answer after this many seconds, per file
    #[arg(long, value_name = "SECONDS")]
    time_limit: Option<u64>,
    /// How many configurations or steps of a search are explored at most, per file
    #[arg(long, value_name = "N")]
    budget: Option<u64>,
    /// Print only the files with a wrong or unknown verdict
    #[arg(long)]
    quiet: bool,
}

fn format_named(name: &str) -> Result<Format, String> {
    Format::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
        let names: Vec<&str> = Format::ALL.iter().map(|format| format.name()).collect();
        format!("the formats are {}", names.join(", "))
    })
}

fn mutation_named(name: &str) -> Result<Mutation, String> {
    Mutation::ALL.into_iter().find(|mutation| mutation.name() == name).ok_or_else(|| {
        let names: Vec<&str> = Mutation::ALL.iter().map(|mutation| mutation.name()).collect();
        format!("the changes are {}", names.join(", "))
    })
}

fn model_named(name: &str) -> Result<ModelName, String> {
    ModelName::named(name).ok_or_else(|| {
        let names: Vec<&str> = ModelName::ALL.iter().map(|model| model.name()).collect();
        format!("the models are {}", names.join(", "))
    })
}

/// The exit code for bad input and usage.
const BAD: u8 = 2;

fn exit_code(answer: Answer) -> u8 {
    match answer {
        Answer::Holds => 0,
        Answer::Violated => 1,
        Answer::Unknown => 3,
    }
}

/// Runs the command line, and returns the exit code.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Check(arguments) => check::run(&arguments),
        Command::Stream(arguments) => stream::run(&arguments),
        Command::Generate(arguments) => generate::run(&arguments),
        Command::Convert(arguments) => convert::run(&arguments),
        Command::Suite(arguments) => suite::run(&arguments),
        Command::Models => print(&lists::models()).map(|()| 0),
        Command::Levels => print(&lists::levels()).map(|()| 0),
        Command::Schema { of } => print(match of {
            SchemaOf::Transactions => crate::formats::TRANSACTIONS_SCHEMA,
            SchemaOf::Operations => crate::formats::OPERATIONS_SCHEMA,
            SchemaOf::Result => crate::evidence::RESULT_SCHEMA,
            SchemaOf::Stream => crate::evidence::STREAM_SCHEMA,
        })
        .map(|()| 0),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(BAD)
        }
    }
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
