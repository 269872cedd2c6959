//! Traces: a universe as a file.
//!
//! A trace holds the whole scenario as data, with the digest and the verdict of the run that wrote it. Replaying one
//! needs no generator: a later version may draw different scenarios from a seed, and still plays an old trace. Older
//! formats are brought up to date when they are read. [`schema`] describes the newest as JSON Schema.

use std::path::{Path, PathBuf};

use scenarios::Scenario;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::files;
use crate::migrate::migrate;
use crate::verdict::{REVISION, Verdict};

/// The newest format that this version reads, and the one that it writes.
pub const FORMAT: u32 = 3;

/// A universe, and how it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trace {
    /// The version of this format.
    pub format: u32,
    /// The revision of the source that played it.
    pub revision: String,
    /// How the run ended.
    pub outcome: Verdict,
    /// The digest over all events of the run.
    pub digest: String,
    /// Everything that the universe depends on.
    pub scenario: Scenario,
}

/// The newest format as JSON Schema.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Trace).to_value()
}

/// Why a trace cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The file is no trace.
    #[error("{path:?} is not a trace: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        reason: serde_json::Error,
    },
    /// The file was written by a newer version.
    #[error(
        "the trace {path:?} has format {format}, but this version reads formats up to {FORMAT}: use a newer version"
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// The scenario in the file cannot be played.
    #[error("the trace {path:?} cannot be played: {reason}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Which field, and why.
        reason: scenarios::Error,
    },
}

impl Trace {
    /// A trace of a run of this version.
    pub fn new(scenario: Scenario, digest: String, outcome: Verdict) -> Self {
        Self { format: FORMAT, revision: REVISION.to_string(), outcome, digest, scenario }
    }

    /// Reads and checks a trace.
    pub fn load(path: &Path) -> Result<Self, Error> {
        /// The one field that every format has, to tell a newer file from a broken one.
        #[derive(Deserialize)]
        struct Header {
            format: u32,
        }
        let bytes = files::read(path)?;
        let malformed = |reason| Error::Malformed { path: path.into(), reason };
        let Header { format } = serde_json::from_slice(&bytes).map_err(malformed)?;
        if format > FORMAT {
            return Err(Error::TooNew { path: path.into(), format });
        }
        let trace: Self = if format == FORMAT {
            serde_json::from_slice(&bytes).map_err(malformed)?
        } else {
            let mut value: serde_json::Value = serde_json::from_slice(&bytes).map_err(malformed)?;
            migrate(&mut value, format);
            // Places are those of the migrated trace, whose lines nobody has seen: the field's name has to do.
            serde_json::from_value(value).map_err(malformed)?
        };
        trace.scenario.validate().map_err(|reason| Error::Invalid { path: path.into(), reason })?;
        Ok(trace)
    }

    /// Writes the trace, creating directories on the way. The file appears whole or not at all.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let mut json = serde_json::to_vec_pretty(self).expect("a trace is valid JSON");
        json.push(b'\n');
        Ok(files::replace(path, &json)?)
    }

    /// Checks that a trace could be written to a path, before a long run.
    pub fn check_writable(path: &Path) -> Result<(), Error> {
        Ok(files::check_writable(path)?)
    }
}
