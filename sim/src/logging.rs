//! Logging: `tracing` events with the virtual time and the node they happened on.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::universe;

/// Writes the time and the node of the universe that this thread plays.
struct VirtualTime;

impl FormatTime for VirtualTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        match universe::here() {
            Some(ns) => write!(writer, "{:>4}.{:06}s", ns / 1_000_000_000, ns / 1_000 % 1_000_000),
            None => Ok(()),
        }
    }
}

/// Logs to standard error, as `verbose` and the `RUST_LOG` variable ask.
#[expect(
    clippy::disallowed_methods,
    reason = "RUST_LOG is the conventional way to choose what is logged; it decides nothing else"
)]
pub fn init(verbose: u8) -> anyhow::Result<()> {
    let filter = match (std::env::var("RUST_LOG"), verbose) {
        (Ok(directives), _) => EnvFilter::try_new(directives).context("RUST_LOG is malformed")?,
        (Err(_), 0) => return Ok(()),
        (Err(_), 1) => EnvFilter::new("engine=info,sim=info"),
        (Err(_), 2) => EnvFilter::new("engine=debug,sim=debug"),
        (Err(_), _) => EnvFilter::new("engine=trace,sim=trace"),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_timer(VirtualTime)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    Ok(())
}
