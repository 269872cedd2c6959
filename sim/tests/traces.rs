//! Replays the kept traces: universes that once broke the engine or the simulator, or that are worth keeping. All of
//! them must pass. What each shows is told in `traces/README.md`.

#![expect(clippy::disallowed_methods, reason = "tests files of the host")]

use std::path::{Path, PathBuf};

use sim::trace::Trace;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces")
}

fn traces() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path());
    let mut traces: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
    traces.sort();
    traces
}

#[test]
fn kept_traces_pass() {
    let traces = traces();
    assert!(traces.len() >= 3, "only {} traces", traces.len());
    for path in traces {
        let trace = Trace::load(&path).unwrap();
        let report = sim::play(&trace.scenario);
        assert!(report.outcome.is_pass(), "{}: {:?}", path.display(), report.outcome);
    }
}

#[test]
fn kept_traces_are_explained() {
    let readme = std::fs::read_to_string(directory().join("README.md")).unwrap();
    for path in traces() {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(readme.contains(&format!("`{name}`")), "traces/README.md does not say what {name} is");
    }
}
