//! The commands that look at runs: what they print and write, and that bad input is refused with exit code 2 and nothing
//! overwritten.

#![expect(clippy::disallowed_methods, reason = "tests files of the host")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use scenarios::{Fault, FaultKind, Overrides, Scenario, When};
use sim::trace::Trace;
use sim::verdict::Verdict;

/// An empty directory for a test.
fn place(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("inspecting").join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn sim(place: &Path, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_sim")).args(arguments).current_dir(place).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn refused(place: &Path, arguments: &[&str], words: &[&str]) {
    let (code, _, error) = sim(place, arguments);
    assert_eq!(code, 2, "{arguments:?}: {error}");
    for word in words {
        assert!(error.contains(word), "{arguments:?} says {error:?}, without {word:?}");
    }
}

/// A scenario that no engine can pass: nothing is ever heard again between nodes and clients.
fn failing() -> Scenario {
    let overrides = Overrides { nodes: Some(3), clients: Some(2), ops: Some(10), ..Overrides::default() };
    let mut scenario = Scenario::draw(3, &overrides);
    scenario.liveness_us = 1;
    scenario.faults.push(Fault { when: When::Time { us: 10_000 }, kind: FaultKind::Wipe { node: 1, down_us: 5_000 } });
    scenario
}

fn save(place: &Path, name: &str, scenario: &Scenario) {
    let report = sim::play(scenario);
    Trace::new(scenario.clone(), report.digest, report.outcome).save(&place.join(name)).unwrap();
}

#[test]
fn a_trace_is_told_as_a_story() {
    let place = place("show");
    let overrides = Overrides { nodes: Some(3), clients: Some(2), ops: Some(10), ..Overrides::default() };
    save(&place, "trace.json", &Scenario::draw(1, &overrides));
    let (code, text, _) = sim(&place, &["show", "trace.json"]);
    assert_eq!(code, 0);
    // Lines are wrapped.
    let text = text.split_whitespace().collect::<Vec<&str>>().join(" ");
    for words in
        ["what goes wrong", "what the clients do", "becomes the leader of term", "client 1 begins T", "PASS seed=1"]
    {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
}

#[test]
fn a_failing_trace_is_made_small_and_fails_alike() {
    let place = place("shrink");
    let scenario = failing();
    save(&place, "big.json", &scenario);
    let (code, text, error) = sim(&place, &["shrink", "big.json", "--time-limit", "20", "--steps", "steps"]);
    assert_eq!(code, 0, "{text}{error}");
    let (big, small) =
        (Trace::load(&place.join("big.json")).unwrap(), Trace::load(&place.join("big.min.json")).unwrap());
    assert_eq!(big.outcome.signature(), small.outcome.signature());
    assert!(small.scenario.operations() < big.scenario.operations() && small.scenario.faults.len() <= 1, "{text}");
    let steps = std::fs::read_dir(place.join("steps")).unwrap().count();
    assert!(steps > 0, "no step was kept");
    for step in std::fs::read_dir(place.join("steps")).unwrap() {
        let step = Trace::load(&step.unwrap().path()).unwrap();
        assert_eq!(sim::play(&step.scenario).outcome.signature(), big.outcome.signature());
    }
    let before = std::fs::read(place.join("big.json")).unwrap();
    refused(&place, &["shrink", "big.json", "--out", "big.json"], &["big.json", "the trace itself"]);
    assert_eq!(std::fs::read(place.join("big.json")).unwrap(), before);
}

#[test]
fn films_of_one_run_are_equal_and_of_two_differ_where_they_part() {
    let place = place("diff");
    let overrides = Overrides { nodes: Some(3), clients: Some(2), ops: Some(10), ..Overrides::default() };
    let mut scenario = Scenario::draw(1, &overrides);
    save(&place, "a.json", &scenario);
    scenario.clients[0].steps.pop();
    save(&place, "b.json", &scenario);
    assert_eq!(sim(&place, &["film", "a.json", "--out", "a.jsonl"]).0, 0);
    let (code, text, _) = sim(&place, &["diff", "a.json", "a.jsonl"]);
    assert_eq!((code, text.contains("equal digests")), (0, true), "{text}");
    let (code, text, _) = sim(&place, &["diff", "a.jsonl", "b.json"]);
    assert_eq!((code, text.contains("then the runs differ"), text.contains("  → ")), (4, true, true), "{text}");
    assert!(text.contains("both") && text.contains("b.json (digest"), "{text}");

    let film = std::fs::read_to_string(place.join("a.jsonl")).unwrap();
    let format = format!("\"film\":{}", sim::film::FORMAT);
    for other in [1, 9] {
        std::fs::write(place.join("other.jsonl"), film.replacen(&format, &format!("\"film\":{other}"), 1)).unwrap();
        let words = format!("format {other}");
        refused(&place, &["diff", "a.jsonl", "other.jsonl"], &["other.jsonl", &words, "film it again"]);
    }
    std::fs::write(place.join("broken.jsonl"), film.lines().take(2).collect::<Vec<_>>().join("\n") + "\n{oops\n")
        .unwrap();
    refused(&place, &["diff", "a.jsonl", "broken.jsonl"], &["broken.jsonl, line 3"]);
    refused(&place, &["film", "a.json", "--out", "a.json"], &["the trace itself"]);
}

#[test]
fn a_report_is_one_file_that_says_what_broke() {
    let place = place("report");
    save(&place, "big.json", &failing());
    let (code, text, _) = sim(&place, &["report", "big.json", "--out", "deep/er/report.html"]);
    assert_eq!(code, 3, "{text}");
    let page = std::fs::read_to_string(place.join("deep/er/report.html")).unwrap();
    for words in ["no-progress", "replay big.json", "becomes the leader", "\"what\":\"message\""] {
        assert!(page.contains(words), "{words:?} is not on the page");
    }
    refused(&place, &["report", "big.json", "--out", "big.json"], &["the trace itself"]);
    refused(&place, &["report", "big.json", "--out", "."], &["cannot write"]);
}

#[test]
fn what_is_no_trace_is_refused_by_every_command() {
    let place = place("refused");
    std::fs::write(place.join("text.json"), "hello").unwrap();
    std::fs::write(place.join("kept.html"), "kept").unwrap();
    for name in ["absent.json", "text.json", "."] {
        refused(&place, &["show", name], &[name]);
        refused(&place, &["shrink", name, "--out", "kept.html"], &[name]);
        refused(&place, &["report", name, "--out", "kept.html"], &[name]);
        refused(&place, &["film", name, "--out", "kept.html"], &[name]);
        refused(&place, &["diff", name, name], &[name]);
    }
    assert_eq!(std::fs::read_to_string(place.join("kept.html")).unwrap(), "kept");
    let passing =
        Scenario::draw(1, &Overrides { nodes: Some(1), clients: Some(1), ops: Some(5), ..Overrides::default() });
    save(&place, "passes.json", &passing);
    assert_eq!(Trace::load(&place.join("passes.json")).unwrap().outcome, Verdict::Pass);
    refused(&place, &["shrink", "passes.json"], &["passes.json", "nothing to shrink"]);
    refused(&place, &["probes", "--seeds", "5..5"], &["5..5 holds no seed"]);
    refused(&place, &["shrink"], &["Usage"]);
    refused(&place, &["sweep", "--seeds", "0..9", "--guided", "--shard", "1/2"], &["cannot be used with"]);
}

#[test]
fn probes_and_schema_are_printed() {
    let place = place("probes");
    let (code, text, _) = sim(&place, &["probes", "--seeds", "0..3"]);
    assert_eq!(code, 0);
    let probes = text.lines().filter(|line| line.contains(".rs:")).count();
    assert!(probes >= 60 && text.contains(&format!("{probes} probes, ")), "{text}");
    let (code, text, _) = sim(&place, &["schema"]);
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, schema["title"].as_str()), (0, Some("Trace")));
    let (code, text, _) = sim(&place, &["sweep", "--seeds", "0..2", "--require-probes"]);
    assert_eq!(code, 5, "two universes do not pass every probe: {text}");
    assert!(text.contains("probes were never passed"), "{text}");
}
