//! What guided searches have learnt, in a directory: a file of bytes for each input, and an index that says how often runs
//! passed each probe, which inputs are its champions and at what rate, and which are troubled.
//!
//! Any other file of the directory is an input of which nothing is known yet, from a fuzzer or by hand: the next search plays
//! it first. Such files are never removed, while the inputs of the index are, once nothing of them is a champion any more.
//! The engine changes under a corpus, and a champion need not be what it was: a rate that was read counts a tenth less,
//! so that one which is not reached any more gives way in time. So do the counts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{CHAMPIONS, Champion, Search, TROUBLED, insert};
use crate::files;

/// The name of the index.
const INDEX: &str = "champions.json";

/// The index.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    runs: u64,
    events: u64,
    troubled: Vec<Entry>,
    probes: BTreeMap<String, Passes>,
}

/// What the index has of a probe.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Passes {
    passes: u64,
    champions: Vec<Entry>,
}

/// One champion of the index.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    rate: u64,
    /// The name of the file with its bytes.
    input: String,
}

impl Index {
    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.probes.values().flat_map(|probe| &probe.champions).chain(&self.troubled)
    }
}

/// Why a corpus cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read, written or removed.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The index is none.
    #[error("{} is not the index of a corpus: {reason}; without it, the inputs beside it are played again", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
}

/// Gives a search what a directory holds; nothing if it is not there.
///
/// # Errors
/// A file cannot be read, or the index is none. An input of the index that is gone is no error: it is forgotten.
pub fn load(directory: &Path, search: &mut Search) -> Result<(), Error> {
    let mut inputs: BTreeMap<String, PathBuf> = BTreeMap::new();
    for path in files::list(directory)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        inputs.insert(name, path);
    }
    let index = match inputs.remove(INDEX) {
        Some(path) => read_index(&path)?,
        None => Index::default(),
    };
    let mut known: BTreeMap<String, Rc<[u8]>> = BTreeMap::new();
    for Entry { input, .. } in index.entries() {
        if let Some(path) = inputs.remove(input) {
            known.insert(input.clone(), files::read(&path)?.into());
        }
    }
    let champions = |entries: &[Entry]| -> Vec<Champion> {
        let champion =
            |entry: &Entry| Some(Champion { rate: aged(entry.rate), input: Rc::clone(known.get(&entry.input)?) });
        entries.iter().filter_map(champion).collect()
    };
    search.fresh += aged(index.runs);
    search.events += aged(index.events);
    for champion in champions(&index.troubled) {
        insert(&mut search.troubled, TROUBLED, champion);
    }
    for (name, Passes { passes, champions: entries }) in index.probes {
        let probe = search.probes.entry(name).or_default();
        probe.passes += aged(passes);
        for champion in champions(&entries) {
            insert(&mut probe.champions, CHAMPIONS, champion);
        }
    }
    for path in inputs.into_values() {
        search.add_input(files::read(&path)?);
    }
    Ok(())
}

/// Keeps what a search has learnt in a directory.
///
/// # Errors
/// A file cannot be written or removed, or the index that is there is none.
pub fn save(directory: &Path, search: &Search) -> Result<(), Error> {
    let path = directory.join(INDEX);
    let mut names = BTreeSet::new();
    let mut entries = |champions: &[Champion]| -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::with_capacity(champions.len());
        for Champion { rate, input: bytes } in champions {
            let input = format!("{:016x}", xxh3_64(bytes));
            if names.insert(input.clone()) {
                files::replace(&directory.join(&input), bytes)?;
            }
            entries.push(Entry { rate: *rate, input });
        }
        Ok(entries)
    };
    let troubled = entries(&search.troubled)?;
    let mut probes = BTreeMap::new();
    for (name, probe) in &search.probes {
        probes.insert(name.clone(), Passes { passes: probe.passes, champions: entries(&probe.champions)? });
    }
    let index = Index { runs: search.fresh, events: search.events, troubled, probes };
    let before = if path.exists() { read_index(&path)? } else { Index::default() };
    let text = serde_json::to_vec_pretty(&index).expect("an index is valid JSON");
    files::replace(&path, &text)?;
    // The index no longer names them, so what is left after an error here is played again, and nothing is lost.
    for old in before.entries().map(|entry| entry.input.clone()).collect::<BTreeSet<_>>().difference(&names) {
        files::remove(&directory.join(old))?;
    }
    Ok(())
}

/// What is read counts a tenth less.
fn aged(count: u64) -> u64 {
    count - count / 10
}

fn read_index(path: &Path) -> Result<Index, Error> {
    let malformed = |reason| Error::Malformed { path: path.to_path_buf(), reason };
    let index: Index = serde_json::from_slice(&files::read(path)?).map_err(|error| malformed(error.to_string()))?;
    // A name that leads elsewhere would be removed there once it is no champion any more.
    let plain = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(entry) = index.entries().find(|entry| !plain(&entry.input)) {
        return Err(malformed(format!("inputs are named by hexadecimal numbers, not {:?}", entry.input)));
    }
    Ok(index)
}

#[cfg(test)]
mod tests {
    use scenarios::{Overrides, expand};

    use super::super::Input;
    use super::*;

    fn search() -> Search {
        Search::new(1, Overrides { ops: Some(20), ..Overrides::default() }, true)
    }

    /// All champions with their rates, after the name of their probe, and the troubled after none.
    fn champions(search: &Search) -> Vec<(&str, u64, Rc<[u8]>)> {
        let probes = search.probes.iter().map(|(name, probe)| (name.as_str(), &probe.champions));
        let all = probes.chain([("", &search.troubled)]);
        all.flat_map(|(name, champions)| champions.iter().map(move |c| (name, c.rate, Rc::clone(&c.input)))).collect()
    }

    #[test]
    fn what_was_learnt_is_there_for_the_next_search() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let mut first = search();
        for seed in 0..4 {
            first.play(Input { bytes: expand(seed), mutant: false });
        }
        save(directory, &first).unwrap();
        let files = files::list(directory).unwrap().len();
        assert!((2..=5).contains(&files), "an index and up to four inputs, not {files} files");

        let mut second = search();
        load(directory, &mut second).unwrap();
        let expected: Vec<_> =
            champions(&first).into_iter().map(|(probe, rate, input)| (probe, rate - rate / 10, input)).collect();
        assert_eq!(champions(&second), expected);
        assert_eq!((second.fresh, second.events), (aged(4), aged(first.events)));
        assert!(first.probes.iter().all(|(name, probe)| second.probes[name].passes == aged(probe.passes)));
        assert!(second.given.is_empty(), "inputs of the index are not played again");

        // Whoever is beaten leaves, with its file; what somebody else put there stays, and is played first.
        files::replace(&directory.join("by-hand"), b"bytes").unwrap();
        let mut beaten = false;
        for champions in second.probes.values_mut().map(|probe| &mut probe.champions).chain([&mut second.troubled]) {
            for _ in 0..TROUBLED {
                beaten |= insert(
                    champions,
                    TROUBLED.min(champions.len()),
                    Champion { rate: u64::MAX, input: expand(9).into() },
                );
            }
        }
        assert!(beaten);
        save(directory, &second).unwrap();
        let names: Vec<_> =
            files::list(directory).unwrap().into_iter().map(|path| path.file_name().unwrap().to_owned()).collect();
        assert_eq!(names.len(), 3, "{names:?}");
        let mut third = search();
        load(directory, &mut third).unwrap();
        assert_eq!(third.next_input().bytes, b"bytes");
    }

    #[test]
    fn an_index_that_is_none_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let index = |entry| format!(r#"{{"runs": 1, "events": 1, "troubled": [{entry}], "probes": {{}}}}"#);
        let refused = |text: &str, reason: &str| {
            files::replace(&directory.path().join(INDEX), text.as_bytes()).unwrap();
            let error = load(directory.path(), &mut search()).unwrap_err().to_string();
            assert!(error.contains(INDEX) && error.contains(reason), "{error}");
        };
        refused("[", "EOF");
        refused(&index(r#"{"rate": -1, "input": "0"}"#), "`-1`");
        refused(&index(r#"{"rate": 1, "input": "../../trace"}"#), "hexadecimal");
        files::replace(&directory.path().join(INDEX), index(r#"{"rate": 1, "input": "12"}"#).as_bytes()).unwrap();
        let mut search = search();
        load(directory.path(), &mut search).unwrap();
        assert_eq!(champions(&search), []);
    }
}
