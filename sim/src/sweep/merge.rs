//! Merging: the results of many shards as those of one sweep.

use std::ops::Range;
use std::path::PathBuf;

use super::Part;
use super::results::{Error, Results};

/// Merges results, in any order. They fit if they have the same overrides, no seed twice, and, unless `mixed`, one
/// revision; and if shards of overlapping ranges are shards of one sweep, so that it can be told which are missing.
pub fn merge(files: Vec<(PathBuf, Results)>, mixed: bool) -> Result<Option<Results>, Error> {
    let mut merged: Option<(PathBuf, Results)> = None;
    let mut parts: Vec<(PathBuf, Part)> = Vec::new();
    for (path, results) in files {
        let unfit = |reason| Error::Unfit { path: path.clone(), reason };
        for part in &results.summary.parts {
            fits(part, &parts, mixed).map_err(unfit)?;
            parts.push((path.clone(), part.clone()));
        }
        match &mut merged {
            None => merged = Some((path, results)),
            Some((first, sum)) => {
                let Results { format: _, summary, traces } = results;
                if summary.overrides != sum.summary.overrides {
                    let first = first.display();
                    return Err(unfit(format!("they were swept with other options than {first}")));
                }
                sum.summary.merge(summary);
                sum.summary.check_sizes().map_err(unfit)?;
                sum.traces.extend(traces);
            }
        }
    }
    Ok(merged.map(|(_, mut results)| {
        results.summary.finish();
        results
    }))
}

/// Says why a part does not fit to others.
fn fits(part: &Part, others: &[(PathBuf, Part)], mixed: bool) -> Result<(), String> {
    let shown = |Range { start, end }: &Range<u64>| format!("{start}..{end}");
    for (path, other) in others {
        let path = path.display();
        if other.revision != part.revision && !mixed {
            let (this, that) = (&part.revision, &other.revision);
            return Err(format!(
                "they are of revision {this}, and {path} is of {that} (--mixed-revisions merges them all the same)"
            ));
        }
        let (seeds, shard) = (shown(&part.seeds), part.shard);
        if other.seeds == part.seeds && other.shard.of() == shard.of() {
            if other.shard == shard {
                return Err(format!("shard {shard} of seeds {seeds} is in {path} as well"));
            }
        } else if other.seeds.start < part.seeds.end && part.seeds.start < other.seeds.end {
            let (that, whole) = (shown(&other.seeds), other.shard);
            return Err(format!("shard {shard} of seeds {seeds} overlaps with shard {whole} of {that} in {path}"));
        }
    }
    Ok(())
}
