//! The program as its users meet it: output, exit codes, and what it says about bad input.

#![expect(clippy::disallowed_methods, reason = "tests files of the host")]

use std::path::PathBuf;
use std::process::{Command, Output};

fn sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sim")).args(arguments).current_dir(directory()).output().unwrap()
}

fn directory() -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("command_line");
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Asserts that the program refuses its arguments: exit code 2, nothing on standard output, and these words in the error.
fn refused(arguments: &[&str], words: &[&str]) {
    let output = sim(arguments);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
    assert_eq!(text(&output.stdout), "", "{arguments:?}");
    for word in words {
        assert!(error.contains(word), "{arguments:?} says {error:?}, without {word:?}");
    }
}

fn write(name: &str, content: impl AsRef<[u8]>) -> String {
    std::fs::write(directory().join(name), content).unwrap();
    name.to_string()
}

/// Plays a small universe and returns its trace.
fn saved_trace(name: &str) -> String {
    let output = sim(&["--seed", "3", "--ops", "20", "--faults", "none", "--trace", name]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    std::fs::read_to_string(directory().join(name)).unwrap()
}

#[test]
fn a_run_tells_what_was_drawn_happened_and_checked() {
    let output = sim(&["--seed", "3", "--scenario", "bank"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    for words in ["universe 3: scenario bank", "drawn", "happened", "checked", "\nPASS seed=3 rev="] {
        assert!(shown.contains(words), "{shown}");
    }
    for line in shown.lines() {
        assert!(line.chars().count() <= 100, "too long: {line}");
    }
}

#[test]
fn json_is_json() {
    for arguments in [&["--seed", "3", "--json"][..], &["sweep", "--seeds", "3..5", "--json"]] {
        let output = sim(arguments);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(json["counts"]["ok"].as_u64().unwrap() > 0, "{json}");
    }
}

#[test]
fn a_replay_says_whether_it_went_the_same() {
    let trace = saved_trace("same.json");
    let output = sim(&["replay", "same.json"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("verdict: the same; digest: the same"), "{}", text(&output.stdout));

    let mut other: serde_json::Value = serde_json::from_str(&trace).unwrap();
    other["digest"] = "0000000000000000".into();
    write("other.json", other.to_string());
    let shown = text(&sim(&["replay", "other.json"]).stdout);
    assert!(shown.contains("verdict: the same; digest: was 0000000000000000"), "{shown}");
}

#[test]
fn a_failure_has_its_exit_code_and_says_how_to_play_it_again() {
    let mut trace: serde_json::Value = serde_json::from_str(&saved_trace("short.json")).unwrap();
    // Nothing can recover within a microsecond.
    trace["scenario"]["liveness_us"] = 1.into();
    write("short.json", trace.to_string());
    let output = sim(&["replay", "short.json"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{shown}");
    for words in ["FAIL liveness/liveness/no-progress seed=3", "verdict: was pass", "node 1: "] {
        assert!(shown.contains(words), "{shown}");
    }
}

#[test]
fn bad_arguments_are_refused() {
    refused(&["--seed", "one"], &["one", "--seed"]);
    refused(&["--seed", "-1"], &["-1"]);
    refused(&["--seed", "18446744073709551616"], &["18446744073709551616"]);
    refused(&["--seed", "1", "--scenario", "shop"], &["shop", "register", "bank", "append"]);
    refused(&["--seed", "1", "--faults", "some"], &["some", "none", "light", "full"]);
    refused(&["--seed", "1", "--nodes", "0"], &["0", "--nodes"]);
    refused(&["--seed", "1", "--nodes", "200"], &["200", "--nodes"]);
    refused(&["--seed", "1", "--ops", "0"], &["0", "--ops"]);
    refused(&["--sed", "1"], &["--sed", "--seed"]);
    refused(&["sweep", "--seeds", "5"], &["5", "first..end"]);
    refused(&["sweep", "--seeds", "5..5"], &["5..5", "no seed"]);
    refused(&["sweep", "--seeds", "a..5"], &["a", "not a seed"]);
    refused(&["sweep", "--seeds", "0..5", "--jobs", "0"], &["0", "--jobs"]);
    refused(&["sweep"], &["--seeds"]);
    refused(&["replay"], &["PATH"]);
}

#[test]
fn a_missing_seed_is_asked_for() {
    let output = sim(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("try --seed 1"), "{}", text(&output.stderr));
}

#[test]
fn bad_traces_are_refused() {
    let good = saved_trace("good.json");
    refused(&["replay", "absent.json"], &["absent.json", "cannot read"]);
    let name = write("truncated.json", &good[..good.len() / 2]);
    refused(&["replay", &name], &["truncated.json", "not a trace", "line"]);
    let name = write("empty.json", "");
    refused(&["replay", &name], &["empty.json", "not a trace"]);
    let name = write("binary.json", [0xff, 0xfe, 0x00]);
    refused(&["replay", &name], &["binary.json", "not a trace"]);
    let name = write("field.json", good.replacen("\"seed\"", "\"sead\"", 1));
    refused(&["replay", &name], &["field.json", "sead"]);
    let name = write("newer.json", good.replacen("\"format\": 3", "\"format\": 999", 1));
    refused(&["replay", &name], &["newer.json", "999", "newer version"]);

    let mut invalid: serde_json::Value = serde_json::from_str(&good).unwrap();
    invalid["scenario"]["nodes"] = 0.into();
    let name = write("invalid.json", invalid.to_string());
    refused(&["replay", &name], &["invalid.json", "nodes"]);
}

#[test]
fn unwritable_paths_are_refused_before_the_run() {
    write("file", "");
    refused(&["--seed", "1", "--trace", "file/trace.json"], &["file/trace.json", "cannot write"]);
    refused(&["--seed", "1", "--trace", "."], &["cannot write", "directory"]);
    refused(&["sweep", "--seeds", "0..1", "--failures", "file"], &["file", "cannot write"]);
    assert_eq!(std::fs::read(directory().join("file")).unwrap(), b"", "what was there is untouched");
}

#[test]
fn a_broken_filter_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_sim")).args(["--seed", "1"]).env("RUST_LOG", "sim=loud").output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("RUST_LOG"), "{}", text(&output.stderr));
}

#[test]
fn logs_have_the_time_and_the_node() {
    let output = sim(&["--seed", "3", "--ops", "5", "-v"]);
    let log = text(&output.stderr);
    assert!(log.contains("0.000000s  INFO node{id=1 life=1}: engine::node: opened"), "{log}");
}

#[test]
fn help_names_everything() {
    let help = text(&sim(&["--help"]).stdout);
    for word in ["sweep", "replay", "--seed", "--scenario", "--faults", "--trace", "Exit codes"] {
        assert!(help.contains(word), "{help}");
    }
}
