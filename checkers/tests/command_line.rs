//! The command, as somebody uses it.

#![expect(clippy::disallowed_methods, reason = "tests files of the host")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A directory of its own for a test.
fn directory(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("command_line").join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_checkers")).args(arguments).current_dir(directory).output().unwrap()
}

/// Runs the command, and gives its exit code, its output and its errors.
fn ran(directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = run(directory, arguments);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

const LEGAL: &str = r#"{"client":0,"kind":"write","value":1,"call_ts":0,"return_ts":5,"output":"ok"}
{"client":1,"kind":"read","call_ts":1,"return_ts":2,"output":1}
{"client":1,"kind":"read","call_ts":6,"return_ts":7,"output":1}
"#;

/// A read of what was overwritten before.
const STALE: &str = r#"{"client":0,"kind":"write","key":"x","value":1,"call_ts":0,"return_ts":1,"output":"ok"}
{"client":0,"kind":"write","key":"x","value":2,"call_ts":2,"return_ts":3,"output":"ok"}
{"client":1,"kind":"read","key":"x","call_ts":4,"return_ts":5,"output":1}
{"client":1,"kind":"read","key":"y","call_ts":6,"return_ts":7,"output":null}
"#;

const SKEW: &str = r#"{"id":0,"session":"init","status":"ok","call_ts":0,"return_ts":1,"ops":[["w","a",1],["w","b",1]],"init":true}
{"id":1,"session":1,"status":"ok","call_ts":2,"return_ts":10,"ops":[["r","a",1],["r","b",1],["w","a",0]]}
{"id":2,"session":2,"status":"ok","call_ts":3,"return_ts":9,"ops":[["r","a",1],["r","b",1],["w","b",0]]}
"#;

fn files(name: &str) -> PathBuf {
    let directory = directory(name);
    for (name, text) in
        [("legal.jsonl", LEGAL), ("stale.jsonl", STALE), ("skew.jsonl", SKEW), ("broken.jsonl", &LEGAL[..90])]
    {
        std::fs::write(directory.join(name), text).unwrap();
    }
    directory
}

#[test]
fn exit_codes_tell_the_verdict() {
    let directory = files("exit_codes");
    let code = |arguments: &[&str]| ran(&directory, arguments).0;
    assert_eq!(code(&["check", "legal.jsonl"]), 0);
    assert_eq!(code(&["check", "stale.jsonl"]), 1);
    assert_eq!(code(&["check", "broken.jsonl"]), 2);
    assert_eq!(code(&["check", "nowhere.jsonl"]), 2);
    assert_eq!(code(&["check", "legal.jsonl", "--budget", "0"]), 0, "unique writes need no search");
    assert_eq!(code(&["check", "skew.jsonl"]), 1);
    assert_eq!(code(&["check", "skew.jsonl", "--level", "snapshot-isolation"]), 0);
    assert_eq!(code(&["check", "skew.jsonl", "--level", "cursor-stability", "--level", "serializable"]), 1);
    assert_eq!(code(&["check", "legal.jsonl", "stale.jsonl"]), 1);
    assert_eq!(code(&["check", "stale.jsonl", "broken.jsonl"]), 2, "bad input is worse than a violation");
    let twice = SKEW.replace("[\"w\",\"a\",0]", "[\"w\",\"a\",1]");
    std::fs::write(directory.join("twice.jsonl"), twice).unwrap();
    let (code, text, _) = ran(&directory, &["check", "twice.jsonl", "--level", "serializable"]);
    assert!(code == 0 && text.contains("1 level held"), "the second may have read what the first wrote: {text}");
    let (code, text, _) = ran(&directory, &["check", "twice.jsonl", "--level", "serializable", "--budget", "0"]);
    assert!(code == 3 && text.contains("1 level undecided"), "{text}");
    assert!(ran(&directory, &["check", "--help"]).1.contains("3 unknown"));
    for usage in [
        &["check"][..],
        &["check", "skew.jsonl", "--level", "perfect"],
        &["check", "skew.jsonl", "--model", "kv"],
        &["check", "legal.jsonl", "--model", "stack"],
        &["check", "legal.jsonl", "--level", "serializable"],
        &["check", "legal.jsonl", "--initial", "x"],
        &["check", "legal.jsonl", "--format", "xml"],
        &["frobnicate"],
    ] {
        let (code, _, errors) = ran(&directory, usage);
        assert_eq!(code, 2, "{usage:?}");
        assert!(errors.starts_with("error: "), "{usage:?}: {errors}");
    }
}

#[test]
fn the_text_tells_what_is_wrong() {
    let directory = files("text");
    let (_, text, _) = ran(&directory, &["check", "stale.jsonl"]);
    assert!(text.contains("4 operations of a register: not linearizable"), "{text}");
    assert!(text.contains("line 3: client 1: read: 1 of key x cannot be explained"), "{text}");
    assert!(text.contains("ends in 2, where the answer is 2"), "{text}");
    let (_, text, _) = ran(&directory, &["check", "skew.jsonl"]);
    assert!(text.contains("violated  serializable") && text.contains("holds     snapshot-isolation"), "{text}");
    assert!(text.contains("G2-item: T1, T2"), "{text}");
    let (_, _, errors) = ran(&directory, &["check", "broken.jsonl"]);
    assert!(errors.starts_with("error: broken.jsonl:2: EOF while parsing"), "{errors}");
    let (_, text, _) = ran(&directory, &["check", "stale.jsonl", "--initial", "7", "--model", "cas-register"]);
    assert!(text.contains("of a cas-register"), "{text}");
}

#[test]
fn the_json_keeps_to_its_schema() {
    let directory = files("json");
    let schema: Value = serde_json::from_str(&ran(&directory, &["schema", "result"]).1).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let arguments = ["check", "--json", "legal.jsonl", "stale.jsonl", "skew.jsonl", "broken.jsonl", "nowhere.jsonl"];
    let (code, text, errors) = ran(&directory, &arguments);
    assert_eq!((code, errors.as_str()), (2, ""));
    let result: Value = serde_json::from_str(&text).unwrap();
    let problems: Vec<String> = validator.iter_errors(&result).map(|error| error.to_string()).collect();
    assert!(problems.is_empty(), "{problems:?}\n{text}");
    assert_eq!(result["verdict"], "bad-input");
    let verdicts: Vec<&Value> = result["results"].as_array().unwrap().iter().map(|one| &one["verdict"]).collect();
    assert_eq!(verdicts, ["holds", "violated", "violated", "bad-input", "bad-input"]);
    assert_eq!(result["results"][1]["stuck"]["line"], 3);
    assert_eq!(result["results"][2]["anomalies"][0]["name"], "G2-item");
    assert_eq!(result["results"][3]["line"], 2);
}

#[test]
fn pictures_are_written_and_histories_are_not_overwritten() {
    let directory = files("pictures");
    let all = ["check", "skew.jsonl", "--html", "skew.html", "--svg", "skew.svg", "--dot", "skew.dot"];
    assert_eq!(ran(&directory, &all).0, 1);
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
    assert!(read("skew.html").starts_with("<!doctype html>"));
    assert!(read("skew.svg").starts_with("<svg ") && read("skew.svg").contains("G2-item"));
    assert!(read("skew.dot").starts_with("digraph") && read("skew.dot").contains("T1 -> T2 [label=\"rw\""));
    assert_eq!(ran(&directory, &["check", "stale.jsonl", "--svg", "stale.svg"]).0, 1);
    assert!(read("stale.svg").contains("bar bad"));
    let (code, _, errors) = ran(&directory, &["check", "skew.jsonl", "--html", "./skew.jsonl"]);
    assert!(code == 2 && errors.contains("is the history itself"), "{errors}");
    assert_eq!(read("skew.jsonl"), SKEW);
    std::fs::write(directory.join("kept.html"), "kept").unwrap();
    assert_eq!(ran(&directory, &["check", "broken.jsonl", "--html", "kept.html"]).0, 2);
    assert_eq!(read("kept.html"), "kept", "bad input writes nothing");
    let (code, _, errors) = ran(&directory, &["check", "legal.jsonl", "stale.jsonl", "--html", "both.html"]);
    assert!(code == 2 && errors.contains("one by one"), "{errors}");
    let (code, _, errors) = ran(&directory, &["check", "stale.jsonl", "--dot", "stale.dot"]);
    assert!(code == 2 && errors.contains("use --svg"), "{errors}");
}

#[test]
fn histories_are_converted() {
    let directory = files("convert");
    assert_eq!(ran(&directory, &["convert", "skew.jsonl", "skew.edn"]), (0, String::new(), String::new()));
    let (code, text, _) = ran(&directory, &["check", "skew.edn", "--level", "serializable"]);
    assert!(code == 1 && text.contains("G2-item"), "{text}");
    assert_eq!(ran(&directory, &["convert", "skew.edn", "back.jsonl"]).0, 0);
    assert_eq!(ran(&directory, &["check", "back.jsonl", "--level", "serializable"]).0, 1);
    let (code, _, errors) = ran(&directory, &["convert", "skew.jsonl", "skew.txt"]);
    assert!(code == 2 && errors.contains("name it .jsonl or .edn"), "{errors}");
    let (code, _, errors) = ran(&directory, &["convert", "broken.jsonl", "out.edn"]);
    assert!(code == 2 && errors.contains("broken.jsonl:2:") && !directory.join("out.edn").exists(), "{errors}");
    assert_eq!(ran(&directory, &["convert", "skew.jsonl", "skew.jsonl"]).0, 2);
    assert_eq!(std::fs::read_to_string(directory.join("skew.jsonl")).unwrap(), SKEW);
}

#[test]
fn suites_are_compared_with_their_manifest() {
    let directory = files("suite");
    let manifest = |text: &str| std::fs::write(directory.join("manifest.json"), text).unwrap();
    manifest(
        r#"[{"file":"legal.jsonl","model":"register(init=null)","expected":"ok","ops":3},
            {"file":"stale.jsonl","model":"cas-register","expected":"bad"},
            {"file":"skew.jsonl","expected":{"snapshot-isolation":"ok","serializable":"bad"}}]"#,
    );
    let (code, text, errors) = ran(&directory, &["suite", "."]);
    assert_eq!((code, errors.as_str()), (0, ""), "{text}");
    assert!(text.contains("3 files, 4 verdicts: 4 right, 0 wrong, 0 unknown"), "{text}");
    manifest(r#"[{"file":"skew.jsonl","expected":{"serializable":"ok"}},{"file":"legal.jsonl","expected":"bad"}]"#);
    let (code, text, _) = ran(&directory, &["suite", "."]);
    assert!(code == 1 && text.contains("serializable: expected holds, found violated"), "{text}");
    assert!(text.contains("0 right, 2 wrong, 0 unknown"), "{text}");
    manifest(r#"[{"file":"broken.jsonl","expected":"ok"}]"#);
    let (code, text, errors) = ran(&directory, &["suite", ".", "--json"]);
    assert!(code == 2 && errors.contains("broken.jsonl:2"), "{errors}");
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["summary"]["unreadable"], 1);
    manifest("{}");
    assert_eq!(ran(&directory, &["suite", "."]).0, 2);
}

#[test]
fn the_lists_name_everything() {
    let directory = directory("lists");
    let (_, models, _) = ran(&directory, &["models"]);
    assert!(["cas-register", "kv", "mutex"].iter().all(|model| models.contains(model)), "{models}");
    let (_, levels, _) = ran(&directory, &["levels"]);
    assert!(levels.contains("strict-serializable") && levels.contains("violated by  G0"), "{levels}");
    for schema in ["transactions", "operations", "result"] {
        let (code, text, _) = ran(&directory, &["schema", schema]);
        assert!(code == 0 && serde_json::from_str::<Value>(&text).unwrap().is_object());
    }
}

#[test]
fn what_the_schemas_accept_is_what_is_read() {
    let directory = directory("schemas");
    let validator = |of: &str| {
        let schema = serde_json::from_str(&ran(&directory, &["schema", of]).1).unwrap();
        jsonschema::validator_for(&schema).unwrap()
    };
    let (operations, transactions) = (validator("operations"), validator("transactions"));
    let reads = |line: &str| checkers::formats::read(line.as_bytes(), None).is_ok();
    for line in LEGAL.lines().chain(STALE.lines()) {
        assert!(operations.is_valid(&serde_json::from_str(line).unwrap()) && reads(line), "{line}");
    }
    // A header needs something to stand before.
    let header = r#"{"model":"set","initial":[1]}"#;
    assert!(operations.is_valid(&serde_json::from_str(header).unwrap()));
    assert!(reads(&format!("{header}\n{}", LEGAL.lines().next().unwrap())) && !reads(header));
    for line in SKEW.lines() {
        assert!(transactions.is_valid(&serde_json::from_str(line).unwrap()) && reads(line), "{line}");
    }
    let mut refused = 0;
    let changes = [
        ("\"ok\"", "7"),
        ("\"client\"", "\"klient\""),
        ("\"id\":", "\"id\":-1"),
        ("[\"r\"", "[\"q\""),
        (":0,", ":-1,"),
        ("\"x\"", "[]"),
        ("\"read\"", "\"peek\""),
        ("]]", "],[]]"),
    ];
    for (line, validator) in LEGAL
        .lines()
        .chain(STALE.lines())
        .map(|line| (line, &operations))
        .chain(SKEW.lines().map(|line| (line, &transactions)))
    {
        for (from, to) in changes {
            let changed = line.replacen(from, to, 1);
            if changed != line && !reads(&changed) && changed.contains("\"call_ts\"") {
                let accepted = validator.is_valid(&serde_json::from_str(&changed).unwrap());
                assert!(!accepted || from == "\"ok\"", "{changed}");
                refused += usize::from(!accepted);
            }
        }
    }
    assert!(refused > 10, "{refused}");
}
