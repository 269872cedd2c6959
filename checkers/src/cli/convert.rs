//! `checkers convert`: writes a history in another format.

use std::path::Path;

use anyhow::{anyhow, bail};

use super::{ConvertArguments, host};
use crate::formats::{Format, read, write};

/// Converts, and returns the exit code.
pub(super) fn run(arguments: &ConvertArguments) -> anyhow::Result<u8> {
    let ConvertArguments { input, output, from, to } = arguments;
    let to = match to {
        Some(to) => *to,
        None => named(output)?,
    };
    host::refuse_same(input, output)?;
    let bytes = host::read(input)?;
    let recorded =
        read(&bytes, *from).map_err(|error| anyhow!("{}:{}: {}", input.display(), error.line, error.reason))?;
    let written = write(&recorded, to).map_err(|reason| anyhow!("cannot convert {}: {reason}", input.display()))?;
    host::write(output, &written.text)?;
    for loss in written.losses {
        eprintln!("note: {loss}");
    }
    Ok(0)
}

/// The format that a file's name tells.
fn named(path: &Path) -> anyhow::Result<Format> {
    match path.extension().and_then(std::ffi::OsStr::to_str) {
        Some("jsonl" | "ndjson" | "json") => Ok(Format::Jsonl),
        Some("edn") => Ok(Format::Edn),
        _ => bail!("{} does not tell the format: name it .jsonl or .edn, or give --to", path.display()),
    }
}
