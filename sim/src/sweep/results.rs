//! Results: a summary as a file, to be merged with those of other shards.
//!
//! A file stands for itself: the traces of the first failures are in it, so that nothing else must be carried from
//! machine to machine. It is JSON with a version, and is checked when it is read: what does not add up is refused, with
//! the place. It holds the digest of each universe and a histogram of their CPU times, about 30 bytes a seed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::Summary;
use crate::files;
use crate::trace::{self, Trace};

/// The newest format that this version reads, and the one that it writes.
pub const FORMAT: u32 = 2;

/// The most traces that one sweep puts into its results: those of the smallest seeds.
const MAX_TRACES: usize = 100;

/// What a sweep found, with the traces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// The version of this format.
    pub format: u32,
    /// What was found.
    pub summary: Summary,
    /// Traces of failures, by seed.
    pub traces: BTreeMap<u64, Trace>,
}

/// Why results cannot be read, written or merged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The file holds no results.
    #[error("{path:?} does not hold the results of a sweep: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        reason: serde_json::Error,
    },
    /// The file was written by a newer version.
    #[error(
        "the results {path:?} have format {format}, but this version reads formats up to {FORMAT}: use a newer version"
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// The file contradicts itself.
    #[error("the results {path:?} do not add up: {reason}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where, and why.
        reason: String,
    },
    /// The file does not fit to those before it.
    #[error("the results {path:?} do not fit: {reason}")]
    Unfit {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A trace cannot be read or written.
    #[error(transparent)]
    Trace(#[from] trace::Error),
}

impl Results {
    /// The results of a sweep, with the traces that it has left.
    pub fn new(summary: Summary) -> Result<Self, Error> {
        let mut traces = BTreeMap::new();
        for failure in summary.failures.iter().take(MAX_TRACES) {
            traces.insert(failure.seed, Trace::load(&failure.trace)?);
        }
        Ok(Self { format: FORMAT, summary, traces })
    }

    /// Reads and checks results.
    pub fn load(path: &Path) -> Result<Self, Error> {
        /// The fields that every format has, to tell a newer file from a broken one, and from a trace.
        #[derive(Deserialize)]
        struct Header {
            format: u32,
            #[serde(rename = "summary")]
            _summary: IgnoredAny,
        }
        let bytes = files::read(path)?;
        let malformed = |reason| Error::Malformed { path: path.into(), reason };
        let Header { format, .. } = serde_json::from_slice(&bytes).map_err(malformed)?;
        if format > FORMAT {
            return Err(Error::TooNew { path: path.into(), format });
        }
        let results: Self = serde_json::from_slice(&bytes).map_err(malformed)?;
        results.check().map_err(|reason| Error::Invalid { path: path.into(), reason })?;
        Ok(results)
    }

    fn check(&self) -> Result<(), String> {
        if self.format == 0 {
            return Err("format: they are counted from 1".into());
        }
        self.summary.check().map_err(|reason| format!("summary.{reason}"))?;
        for (seed, trace) in &self.traces {
            let place = self.summary.failures.binary_search_by_key(seed, |failure| failure.seed);
            let Some(failure) = place.ok().map(|place| &self.summary.failures[place]) else {
                return Err(format!("traces: seed {seed} has not failed"));
            };
            if trace.scenario.seed != *seed || trace.outcome != failure.outcome {
                return Err(format!("traces: that of seed {seed} is not of its failure"));
            }
        }
        Ok(())
    }

    /// Writes the results, creating directories on the way. The file appears whole or not at all.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let mut json = serde_json::to_vec(self).expect("results are valid JSON");
        json.push(b'\n');
        Ok(files::replace(path, &json)?)
    }

    /// Writes the traces to a directory, where the failures then have them.
    pub fn unpack(&mut self, directory: &Path) -> Result<(), Error> {
        for failure in &mut self.summary.failures {
            if let Some(trace) = self.traces.get(&failure.seed) {
                failure.trace = directory.join(format!("{}.json", failure.seed));
                trace.save(&failure.trace)?;
            }
        }
        Ok(())
    }
}
