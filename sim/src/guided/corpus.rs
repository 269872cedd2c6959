//! What guided searches have learnt, in a directory: a file of bytes for each input, and an index that says of which probes it
//! is a champion, and at what rate.
//!
//! Any other file of the directory is an input of which nothing is known yet, from a fuzzer or by hand: the next search plays
//! it first. Such files are never removed, while the inputs of the index are, once nothing of them is a champion any more.
//! The engine changes under a corpus, and a champion need not be what it was: a rate that was read counts a tenth less,
//! so that one which is not reached any more gives way in time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{Champion, Search};
use crate::files;

/// The name of the index.
const INDEX: &str = "champions.json";

/// One champion of the index.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    probe: String,
    rate: u64,
    /// The name of the file with its bytes.
    input: String,
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
        None => Vec::new(),
    };
    let mut known = BTreeMap::new();
    for Entry { probe, rate, input } in index {
        if !known.contains_key(&input) {
            let Some(path) = inputs.remove(&input) else { continue };
            let bytes: Rc<[u8]> = files::read(&path)?.into();
            known.insert(input.clone(), bytes);
        }
        let champion = Champion { rate: rate - rate / 10, input: Rc::clone(&known[&input]) };
        search.add_champion(&probe, champion);
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
    let mut index = Vec::new();
    for (probe, champion) in search.champions() {
        let input = format!("{:016x}", xxh3_64(&champion.input));
        if names.insert(input.clone()) {
            files::replace(&directory.join(&input), &champion.input)?;
        }
        index.push(Entry { probe: probe.to_owned(), rate: champion.rate, input });
    }
    let before = if path.exists() { read_index(&path)? } else { Vec::new() };
    let text = serde_json::to_vec_pretty(&index).expect("an index is valid JSON");
    files::replace(&path, &text)?;
    // The index no longer names them, so what is left after an error here is played again, and nothing is lost.
    for old in before.into_iter().map(|entry| entry.input).collect::<BTreeSet<_>>().difference(&names) {
        files::remove(&directory.join(old))?;
    }
    Ok(())
}

fn read_index(path: &Path) -> Result<Vec<Entry>, Error> {
    let malformed = |reason| Error::Malformed { path: path.to_path_buf(), reason };
    let index: Vec<Entry> =
        serde_json::from_slice(&files::read(path)?).map_err(|error| malformed(error.to_string()))?;
    // A name that leads elsewhere would be removed there once it is no champion any more.
    let plain = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    match index.iter().find(|entry| !plain(&entry.input)) {
        Some(entry) => Err(malformed(format!("inputs are named by hexadecimal numbers, not {:?}", entry.input))),
        None => Ok(index),
    }
}

#[cfg(test)]
mod tests {
    use scenarios::{Overrides, expand};

    use super::*;

    fn search() -> Search {
        Search::new(1, Overrides { ops: Some(20), ..Overrides::default() }, true)
    }

    fn champions(search: &Search) -> Vec<(String, u64, Rc<[u8]>)> {
        search.champions().map(|(probe, c)| (probe.to_owned(), c.rate, Rc::clone(&c.input))).collect()
    }

    #[test]
    fn what_was_learnt_is_there_for_the_next_search() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let mut first = search();
        for seed in 0..4 {
            first.play(expand(seed));
        }
        save(directory, &first).unwrap();
        let files = files::list(directory).unwrap().len();
        assert!((2..=5).contains(&files), "an index and up to four inputs, not {files} files");

        let mut second = search();
        load(directory, &mut second).unwrap();
        let expected: Vec<_> =
            champions(&first).into_iter().map(|(probe, rate, input)| (probe, rate - rate / 10, input)).collect();
        assert_eq!(champions(&second), expected);
        assert!(second.given.is_empty(), "inputs of the index are not played again");

        // Whoever is beaten leaves, with its file; what somebody else put there stays, and is played first.
        files::replace(&directory.join("by-hand"), b"bytes").unwrap();
        let better: Vec<String> = champions(&second).into_iter().map(|(probe, ..)| probe).collect();
        for probe in better {
            for _ in 0..2 {
                second.add_champion(&probe, Champion { rate: u64::MAX, input: expand(9).into() });
            }
        }
        save(directory, &second).unwrap();
        let names: Vec<_> =
            files::list(directory).unwrap().into_iter().map(|path| path.file_name().unwrap().to_owned()).collect();
        assert_eq!(names.len(), 3, "{names:?}");
        let mut third = search();
        load(directory, &mut third).unwrap();
        assert_eq!(third.next_input(), b"bytes");
    }

    #[test]
    fn an_index_that_is_none_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let refused = |text: &str, reason: &str| {
            files::replace(&directory.path().join(INDEX), text.as_bytes()).unwrap();
            let error = load(directory.path(), &mut search()).unwrap_err().to_string();
            assert!(error.contains(INDEX) && error.contains(reason), "{error}");
        };
        refused("[", "EOF");
        refused(r#"[{"probe": "p", "rate": -1, "input": "0"}]"#, "column 26");
        refused(r#"[{"probe": "p", "rate": 1, "input": "../../trace"}]"#, "hexadecimal");
        files::replace(&directory.path().join(INDEX), br#"[{"probe": "p", "rate": 1, "input": "12"}]"#).unwrap();
        let mut search = search();
        load(directory.path(), &mut search).unwrap();
        assert_eq!(champions(&search), []);
    }
}
