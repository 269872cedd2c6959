//! The formats of traces: the schema in the repository describes the newest, every kept trace keeps to it, and older ones
//! still load. `UPDATE_GOLDENFILES=1 cargo test -p sim --test trace_formats` writes the schema anew.

#![expect(clippy::disallowed_methods, reason = "tests files of the host")]

use std::path::{Path, PathBuf};

use scenarios::{Mode, Overrides, Scenario, When};
use serde_json::Value;
use sim::trace::{FORMAT, Trace, schema};

fn traces() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces")
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn the_schema_in_the_repository_is_that_of_the_code() {
    let path = traces().join("schema/trace.schema.json");
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var("UPDATE_GOLDENFILES").is_ok() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(
        kept == text,
        "the types have changed; see the head of this test if that is meant, and think of older traces"
    );
}

#[test]
fn traces_of_the_newest_format_keep_to_the_schema() {
    let schema = schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut checked = 0;
    for entry in std::fs::read_dir(traces()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let trace = json(&path);
            if trace["format"] == FORMAT {
                let errors: Vec<String> = validator.iter_errors(&trace).map(|error| error.to_string()).collect();
                assert!(errors.is_empty(), "{}: {errors:?}", path.display());
                checked += 1;
            }
        }
    }
    for seed in 0..50 {
        let scenario = Scenario::draw(seed, &Overrides::default());
        let trace = Trace::new(scenario, "0".into(), sim::verdict::Verdict::Pass);
        let mut value = serde_json::to_value(&trace).unwrap();
        assert!(validator.is_valid(&value), "seed {seed}");
        value["scenario"]["nodes"] = "three".into();
        assert!(!validator.is_valid(&value), "a schema that accepts anything");
        checked += 1;
    }
    assert!(checked >= 50);
}

#[test]
fn a_trace_of_format_1_is_brought_up_to_date() {
    let path = traces().join("figure-8.json");
    assert_eq!(json(&path)["format"], 1, "one trace is kept in the old format");
    let trace = Trace::load(&path).unwrap();
    let Scenario { mode, nodes, ref core, ref fates, buggify, ref disk, ref faults, .. } = trace.scenario;
    assert_eq!((mode, buggify, disk.sector), (Mode::Recoverable, 0, 512));
    assert!(fates.is_empty() && core.len() == usize::from(nodes));
    assert!(!faults.is_empty() && faults.iter().all(|fault| matches!(fault.when, When::Time { .. })));
}
