//! Sweeps in shards, their results, and what becomes of them: through the program, as a cluster would.

#![expect(clippy::disallowed_methods, reason = "tests files of the host")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use quick_junit::{Report, TestCaseStatus};
use serde_json::{Value, json};

/// Universes so small that some are vacuous: failures to work with.
const SMALL: [&str; 4] = ["--ops", "1", "--clients", "1"];
/// Universes that pass.
const QUIET: [&str; 4] = ["--ops", "20", "--faults", "none"];

/// The seeds of 0..40 whose small universes are vacuous. Which they are depends on how scenarios are drawn.
fn vacuous() -> &'static BTreeSet<u64> {
    static VACUOUS: OnceLock<BTreeSet<u64>> = OnceLock::new();
    VACUOUS.get_or_init(|| {
        let output = Place::new("which").sim(&[&["sweep", "--seeds", "0..40", "--json"], &SMALL[..]].concat());
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        let failures = summary["failures"].as_array().unwrap();
        assert!(failures.iter().all(|failure| failure["outcome"]["verdict"] == "vacuous"), "{failures:?}");
        assert!((2..39).contains(&failures.len()), "other universes are needed for these tests: {failures:?}");
        failures.iter().map(|failure| failure["seed"].as_u64().unwrap()).collect()
    })
}

/// The exit code of a sweep of small universes.
fn code(seeds: impl IntoIterator<Item = u64>) -> i32 {
    if seeds.into_iter().any(|seed| vacuous().contains(&seed)) { 5 } else { 0 }
}

/// A seed of a vacuous universe, and its shard of four.
fn some_vacuous() -> (u64, u64) {
    let seed = *vacuous().first().unwrap();
    (seed, seed % 4 + 1)
}

/// A directory of one test, empty.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("sweep_at_scale").join(name);
        if path.exists() {
            std::fs::remove_dir_all(&path).unwrap();
        }
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn sim(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_sim")).args(arguments).current_dir(&self.0).output().unwrap()
    }

    /// Sweeps, and asserts the exit code.
    fn sweep(&self, code: i32, universes: [&str; 4], arguments: &[&str]) -> String {
        let output = self.sim(&[&["sweep"], &universes[..], arguments].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Merges, and asserts the exit code.
    fn merge(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.sim(&[&["merge"], arguments].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Asserts that the program refuses its arguments: exit code 2, nothing on standard output, and these words.
    fn refused(&self, arguments: &[&str], words: &[&str]) {
        let output = self.sim(arguments);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        for word in words {
            assert!(error.contains(word), "{arguments:?} says {error:?}, without {word:?}");
        }
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.0.join(name), content).unwrap();
    }

    /// Sweeps small universes 0..40 in so many shards, into `1.json` and so on.
    fn shards(&self, of: u64, arguments: &[&str]) {
        for shard in 1..=of {
            let (out, share) = (format!("{shard}.json"), format!("{shard}/{of}"));
            let code = code((0..40).filter(|seed| seed % of == shard - 1));
            self.sweep(code, SMALL, &[&["--seeds", "0..40", "--shard", &share, "--out", &out], arguments].concat());
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What follows a word and an equals sign.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let (_, rest) = text.rsplit_once(&format!("{name}=")).unwrap_or_else(|| panic!("{name} is not in {text}"));
    rest.split_whitespace().next().unwrap()
}

/// The parts of a summary that depend on the universes alone, and not on how fast the machine is.
fn of_universes(summary: &Value) -> Value {
    let fields = ["played", "twice", "skipped", "scenarios", "counts", "checks", "digests", "digest", "failures"];
    fields.iter().map(|field| (field.to_string(), summary[field].clone())).collect()
}

#[test]
fn merged_shards_are_the_sweep_in_one_piece() {
    let place = Place::new("merged");
    let whole = place.sweep(5, SMALL, &["--seeds", "0..40", "--json", "--recheck", "30"]);
    let whole: Value = serde_json::from_str(&whole).unwrap();
    assert!(whole["twice"].as_u64().unwrap() > 1, "{whole}");
    place.shards(3, &["--recheck", "30"]);
    for order in [["1.json", "2.json", "3.json"], ["3.json", "1.json", "2.json"]] {
        let merged: Value = serde_json::from_str(&place.merge(5, &[&order[..], &["--json"]].concat())).unwrap();
        assert_eq!(of_universes(&merged), of_universes(&whole));
        let count = |summary: &Value| {
            let times = summary["cpu_us_histogram"].as_object().unwrap().values();
            times.map(|n| n.as_u64().unwrap()).sum::<u64>()
        };
        assert_eq!((count(&merged), count(&whole)), (40, 40));
    }
    let shown = place.merge(5, &["1.json", "2.json", "3.json"]);
    assert!(shown.contains("seeds 0..40 in 3 shards"), "{shown}");
    assert_eq!(field(&shown, "digest"), whole["digest"]);

    // A merge can be merged.
    place.merge(1, &["1.json", "3.json", "--out", "two.json"]);
    let merged = place.merge(5, &["two.json", "2.json", "--out", "all.json"]);
    assert_eq!(field(&merged, "digest"), whole["digest"]);
    assert_eq!(of_universes(&place.json("all.json")["summary"]), of_universes(&whole));
}

#[test]
fn a_shard_is_named_and_holds_its_seeds() {
    let place = Place::new("shard");
    let shown = place.sweep(0, QUIET, &["--seeds", "6..30", "--shard", "1/4", "--out", "1.json"]);
    assert!(shown.contains("seeds 6..30, shard 1 of 4"), "{shown}");
    assert_eq!(field(&shown, "shard"), "1/4");
    let digests = place.json("1.json")["summary"]["digests"].clone();
    let mut seeds: Vec<u64> = digests.as_object().unwrap().keys().map(|seed| seed.parse().unwrap()).collect();
    seeds.sort_unstable();
    assert_eq!(seeds, [8, 12, 16, 20, 24, 28]);
}

#[test]
fn missing_shards_are_named() {
    let place = Place::new("missing");
    for shard in ["1", "3"] {
        let out = format!("{shard}.json");
        place.sweep(0, QUIET, &["--seeds", "0..8", "--shard", &format!("{shard}/4"), "--out", &out]);
    }
    let shown = place.merge(1, &["3.json", "--junit", "junit.xml", "--github", "--github-summary", "summary.md"]);
    for words in [
        "missing shards: 1/4 of 0..8, 2/4 of 0..8, 4/4 of 0..8",
        "\n::error title=sweep::missing shards: 1/4",
        "\nFAIL sweep ",
    ] {
        assert!(shown.contains(words), "{shown}");
    }
    assert!(place.read("junit.xml").contains("missing shards: 1/4"));
    assert!(place.read("summary.md").contains("❌") && place.read("summary.md").contains("**missing shards: 1/4"));
    assert_eq!(field(&shown, "shard"), "3/4");
    let shown = place.merge(0, &["3.json", "--partial"]);
    assert!(!shown.contains("missing") && shown.contains("\nPASS sweep "), "{shown}");
    assert!(place.merge(1, &["3.json", "1.json"]).contains("missing shards: 2/4 of 0..8, 4/4 of 0..8"));

    // A shard that has no seed is not missed.
    place.sweep(0, QUIET, &["--seeds", "3..4", "--shard", "4/9", "--out", "alone.json"]);
    place.merge(0, &["alone.json"]);

    // Failures do not hide that shards are missing.
    let (_, shard) = some_vacuous();
    let (out, shard) = (format!("{shard}.json"), format!("{shard}/4"));
    place.sweep(5, SMALL, &["--seeds", "0..40", "--shard", &shard, "--out", &out]);
    place.merge(1, &[&out]);
    place.merge(5, &[&out, "--partial"]);
}

#[test]
fn a_sweep_that_found_vacuous_universes_only_is_vacuous() {
    let place = Place::new("vacuous");
    let shown = place.sweep(5, SMALL, &["--seeds", "0..40"]);
    assert!(shown.contains("\nFAIL vacuous/vacuity/no-"), "{shown}");
    assert!(!shown.contains("FAIL safety") && shown.contains("\nFAIL sweep "), "{shown}");

    let shown = place.sweep(5, QUIET, &["--seeds", "0..40", "--time-limit", "0", "--out", "nothing.json"]);
    assert!(shown.contains("vacuous: no universe was played") && shown.contains("\nFAIL sweep "), "{shown}");
    assert!(place.merge(5, &["nothing.json"]).contains("vacuous: no universe was played"));
}

#[test]
fn a_summary_says_what_its_numbers_are_worth() {
    let place = Place::new("numbers");
    let shown = place.sweep(5, SMALL, &["--seeds", "0..40", "--jobs", "1"]);
    for words in [
        " seeds/s on 1 core; ",
        " seeds/s a core; ",
        "CPU-hour",
        "virtual : CPU time ",
        " and p99 ",
        "% of universes like these",
        "Wilson",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let shown = place.sweep(0, QUIET, &["--seeds", "0..8", "--twice"]);
    for words in
        ["no failure in 8: under 38 % of", "rule of three", "8 of 8 universes played twice, and all went alike"]
    {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let shown = place.sweep(0, QUIET, &["--seeds", "0..8", "--recheck", "0"]);
    assert!(shown.contains("0 of 8 universes played twice\n"), "{shown}");
    for line in shown.lines() {
        assert!(line.chars().count() <= 100, "too long: {line}");
    }
}

#[test]
fn results_hold_the_traces_of_failures() {
    let place = Place::new("traces");
    place.shards(2, &[]);
    std::fs::remove_dir_all(place.0.join("failures")).unwrap();
    let shown = place.merge(5, &["1.json", "2.json", "--failures", "unpacked"]);
    let (_, line) = shown.split_once("cargo run -p sim -- ").unwrap();
    let arguments: Vec<&str> = line.lines().next().unwrap().split(' ').collect();
    let output = place.sim(&arguments);
    assert!(arguments[1].starts_with("unpacked/"), "{arguments:?}");
    assert_eq!(output.status.code(), Some(5), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("verdict: the same; digest: the same"));
}

#[test]
fn failures_come_as_junit_xml() {
    let place = Place::new("junit");
    place.sweep(5, SMALL, &["--seeds", "0..40", "--junit", "junit.xml"]);
    let report = Report::deserialize_from_str(&place.read("junit.xml")).unwrap();
    let [suite] = &report.test_suites[..] else { panic!("one suite: {report:?}") };
    let names = |failed: bool| -> Vec<&str> {
        let cases = suite.test_cases.iter();
        let cases = cases.filter(|case| matches!(case.status, TestCaseStatus::NonSuccess { .. }) == failed);
        cases.map(|case| case.name.as_str()).collect()
    };
    let sound = names(false);
    assert_eq!(sound[0], "universes");
    let all: Vec<&str> = scenarios::WorkloadKind::ALL.iter().map(|kind| kind.name()).collect();
    assert!(sound.len() > 4 && sound[1..].iter().all(|name| all.contains(name)), "{sound:?}");
    assert_eq!(names(true), vacuous().iter().map(|seed| format!("seed {seed}")).collect::<Vec<_>>());
    assert_eq!((suite.tests, suite.failures), (sound.len() + vacuous().len(), vacuous().len()));
    let (seed, _) = some_vacuous();
    let failed = &suite.test_cases[sound.len()];
    let TestCaseStatus::NonSuccess { message, description, .. } = &failed.status else { panic!("{failed:?}") };
    let (message, account) = (message.as_ref().unwrap().as_str(), description.as_ref().unwrap().as_str());
    for words in [
        message,
        &format!("seed={seed} rev="),
        &format!("-- replay failures/{seed}.json"),
        &format!("-- --seed {seed} --clients 1 --ops 1"),
    ] {
        assert!(account.contains(words), "{account}");
    }
}

#[test]
fn failures_come_as_workflow_commands_and_a_job_summary() {
    let place = Place::new("github");
    place.write("summary.md", "what was there\n");
    let shown = place.sweep(5, SMALL, &["--seeds", "0..40", "--github", "--github-summary", "summary.md"]);
    let commands: Vec<&str> = shown.lines().filter(|line| line.starts_with("::")).collect();
    let ((seed, _), failed) = (some_vacuous(), vacuous().len());
    assert_eq!(commands.len(), failed);
    assert!(commands[0].starts_with("::error title=vacuous/vacuity/no-"), "{commands:?}");
    assert!(commands[0].contains(&format!(" seed={seed}::FAIL vacuous/vacuity/no-")), "{commands:?}");
    assert!(commands[0].contains("%0Areplay: cargo run"), "{commands:?}");
    let summary = place.read("summary.md");
    let head = format!("what was there\n### ❌ Sweep: {failed} of 40 universes failed\n");
    assert!(summary.starts_with(&head), "{summary}");
    assert_eq!(summary.matches("<details>").count(), failed);
    place.sweep(0, QUIET, &["--seeds", "0..3", "--github-summary", "summary.md"]);
    assert!(place.read("summary.md").contains("\n### ✅ Sweep: 0 of 3 universes failed\n"));
}

#[test]
fn bad_arguments_are_refused() {
    let place = Place::new("arguments");
    for (shard, words) in [
        ("0/4", &["from 1 to 4", "0/4"][..]),
        ("5/4", &["from 1 to 4", "no shard 5"]),
        ("1/0", &["1 to 100000 shards", "not 0"]),
        ("1/100001", &["1 to 100000 shards"]),
        ("x", &["expected shard/shards"]),
        ("1/x", &["\"x\" is not a number"]),
        ("-1/4", &["-1"]),
        ("", &["--shard"]),
    ] {
        place.refused(&["sweep", "--seeds", "0..4", "--shard", shard], words);
    }
    place.refused(&["sweep", "--seeds", "0..2", "--shard", "3/4"], &["3/4", "0..2 holds no seed"]);
    place.refused(&["sweep", "--seeds", "0..2", "--recheck", "101"], &["101", "--recheck"]);
    place.refused(&["sweep", "--seeds", "0..2", "--recheck", "x"], &["x", "--recheck"]);
    place.refused(&["sweep", "--seeds", "0..2", "--recheck", "5", "--twice"], &["--recheck", "--twice"]);
    place.refused(&["sweep", "--seeds", "0..2", "--json", "--github"], &["--json", "--github"]);
    place.refused(&["merge"], &["FILES"]);
    place.refused(&["sweep", "--seeds", "0..2", "--out", "a", "--junit", "./a"], &["--junit", "--out as well"]);
}

#[test]
fn unwritable_files_are_refused_before_the_sweep_and_nothing_is_overwritten() {
    let place = Place::new("unwritable");
    place.write("file", "kept");
    std::fs::create_dir(place.0.join("directory")).unwrap();
    for option in ["--out", "--junit", "--github-summary"] {
        for path in ["directory", "file/below", "/proc/nothing/here"] {
            place.refused(&["sweep", "--seeds", "0..2", option, path], &[path, "cannot write"]);
        }
    }
    assert!(!place.0.join("failures").exists());
    let seed = some_vacuous().0;
    place.sweep(5, SMALL, &["--seeds", &format!("{seed}..{}", seed + 1), "--out", "results.json"]);
    let before = place.read("results.json");
    place.refused(
        &["sweep", "--seeds", "0..2", "--out", "results.json", "--failures", "file"],
        &["file", "cannot write"],
    );
    place.refused(&["merge", "results.json", "--out", "results.json"], &["--out", "results.json", "an input"]);
    place.refused(&["merge", "results.json", "--failures", "file"], &["file", "cannot write"]);
    place.refused(&["merge", "results.json", "absent.json", "--out", "file"], &["absent.json", "cannot read"]);
    assert_eq!((place.read("results.json"), place.read("file").as_str()), (before, "kept"));
    let names = std::fs::read_dir(&place.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = names.filter(|name| Path::new(name).extension().is_some_and(|end| end == "tmp")).collect();
    assert_eq!(left, [""; 0]);

    // Results are replaced when there are new ones.
    place.sweep(0, QUIET, &["--seeds", "0..2", "--out", "results.json"]);
    assert_eq!(place.json("results.json")["summary"]["played"], 2);
}

/// Changes results and saves them under another name.
fn changed(place: &Place, from: &str, to: &str, change: impl FnOnce(&mut Value)) {
    let mut results = place.json(from);
    change(&mut results);
    place.write(to, results.to_string());
}

#[test]
fn results_that_do_not_fit_are_refused() {
    let place = Place::new("unfit");
    place.sweep(0, QUIET, &["--seeds", "0..8", "--shard", "1/4", "--out", "1.json"]);
    place.sweep(0, QUIET, &["--seeds", "0..8", "--shard", "2/4", "--out", "2.json"]);
    place
        .refused(&["merge", "1.json", "2.json", "1.json"], &["1.json", "shard 1/4 of seeds 0..8 is in 1.json as well"]);
    place.sweep(0, QUIET, &["--seeds", "7..12", "--shard", "1/4", "--out", "overlap.json"]);
    place.refused(&["merge", "1.json", "overlap.json"], &["overlap.json", "shard 1/4 of seeds 7..12", "overlaps"]);
    place.sweep(0, QUIET, &["--seeds", "0..8", "--shard", "4/5", "--out", "five.json"]);
    place.refused(&["merge", "five.json", "1.json"], &["1.json", "overlaps with shard 4/5 of 0..8 in five.json"]);
    place.sweep(0, ["--ops", "21", "--faults", "none"], &["--seeds", "8..9", "--out", "other.json"]);
    place.refused(&["merge", "1.json", "other.json"], &["other.json", "other options than 1.json"]);

    changed(&place, "2.json", "old.json", |results| results["summary"]["parts"][0]["revision"] = "0ld".into());
    place.refused(
        &["merge", "1.json", "old.json"],
        &["old.json", "of revision 0ld", "1.json is of", "--mixed-revisions"],
    );
    let shown = place.merge(0, &["1.json", "old.json", "--mixed-revisions", "--partial"]);
    assert!(field(&shown, "rev").split(',').any(|revision| revision == "0ld"), "{shown}");
    assert_eq!(field(&place.merge(0, &["old.json", "--partial"]), "rev"), "0ld");
}

#[test]
fn malformed_results_are_refused_with_the_place() {
    let place = Place::new("malformed");
    place.shards(4, &[]);
    let (seed, shard) = some_vacuous();
    let (name, other) = (format!("{shard}.json"), format!("{}.json", shard % 4 + 1));
    let (name, other) = (name.as_str(), other.as_str());
    let trace = format!("failures/{seed}.json");
    let good = place.read(name);
    place.write("truncated.json", &good[..good.len() / 2]);
    place.refused(&["merge", other, "truncated.json"], &["truncated.json", "line 1 column"]);
    place.write("empty.json", "");
    place.refused(&["merge", "empty.json"], &["empty.json", "does not hold the results"]);
    place.write("binary.json", [0xff, 0xfe, 0]);
    place.refused(&["merge", "binary.json"], &["binary.json", "does not hold the results"]);
    place.write("deep.json", "[".repeat(100_000));
    place.refused(&["merge", "deep.json"], &["deep.json", "column"]);
    place.refused(&["merge", "absent.json"], &["absent.json", "cannot read"]);
    place.refused(&["merge", "failures"], &["failures", "cannot read"]);
    place.refused(&["merge", &trace], &[&trace, "does not hold the results", "line"]);
    place.write("field.json", good.replacen("\"played\"", "\"plaid\"", 1));
    place.refused(&["merge", "field.json"], &["field.json", "plaid", "column"]);
    place.write("newer.json", good.replacen("\"format\":2", "\"format\":3", 1));
    place.refused(&["merge", "newer.json"], &["newer.json", "format 3", "newer version"]);

    let over = (1u64 << 53) + 1;
    let changes = [
        ("/format", json!(0), "format"),
        ("/summary/parts", json!([]), "summary.parts"),
        ("/summary/parts/0/shard", json!(format!("{}/4", shard % 4 + 1)), "summary.digests: seed "),
        ("/summary/parts/0/shard", json!("9/4"), "no shard 9"),
        ("/summary/parts/0/seeds/end", json!(0), " of 0..0 holds no seed"),
        ("/summary/played", json!(9), "summary.played"),
        ("/summary/played", json!(-1), "invalid value"),
        ("/summary/twice", json!(11), "summary.twice"),
        ("/summary/scenarios", json!({"bank": 99}), "summary.scenarios"),
        ("/summary/cpu_us_histogram", json!({"1": u64::MAX, "2": 3}), "summary.cpu_us_histogram"),
        ("/summary/digest", json!("0000000000000000"), "summary.digest"),
        ("/summary/counts/ok", json!(over), "summary.counts.ok"),
        ("/summary/counts/faults", json!({"heal": over}), "summary.counts.faults.heal"),
        ("/summary/failures", json!([]), "traces: seed "),
        ("/summary/failures/0/seed", json!(1_000_000), "summary.failures[0]: seed 1000000 was not played"),
        ("/summary/failures/0/outcome", json!({"verdict": "pass"}), " has passed"),
    ];
    for (pointer, value, words) in changes {
        changed(&place, name, "bad.json", |results| {
            *results.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
        });
        place.refused(&["merge", other, "bad.json"], &["bad.json", words]);
    }
    // Sums that are fine alone can be too large together.
    for name in ["1.json", "2.json"] {
        changed(&place, name, &format!("large-{name}"), |results| {
            results["summary"]["counts"]["ok"] = (over - 2).into();
        });
    }
    place.refused(&["merge", "large-1.json", "large-2.json"], &["large-2.json", "counts.ok"]);
}

/// The lines of a shell script in `deploy/`, with what a service would fill in.
fn run_script(place: &Place, script: &str, variables: &[(&str, &str)]) -> Output {
    // What a service keeps between steps is the directory, with the program in it; elsewhere it is in the path.
    let program = place.0.join("sim");
    if !program.exists() {
        std::fs::hard_link(env!("CARGO_BIN_EXE_sim"), &program).unwrap();
    }
    let mut command = Command::new("sh");
    command.args(["-e", "-c", script]).current_dir(&place.0).envs(variables.iter().copied());
    command.env("PATH", format!("{}:/usr/bin:/bin", place.0.display())).output().unwrap()
}

fn deployed(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name);
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The digest of the sweep that all of `deploy/` is tried with, in one piece.
fn digest_of_twenty(place: &Place) -> String {
    let output = place.sim(&["sweep", "--seeds", "0..20"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    field(&text(&output.stdout), "digest").to_string()
}

#[test]
fn the_github_workflow_sweeps_and_merges() {
    let workflow = deployed("github-actions.yml");
    let place = Place::new("workflow");
    let shards: u64 = workflow["env"]["SHARDS"].as_u64().unwrap();
    let matrix = workflow["jobs"]["shard"]["strategy"]["matrix"]["shard"].as_array().unwrap();
    assert_eq!(
        matrix.iter().map(|shard| shard.as_u64().unwrap()).collect::<Vec<_>>(),
        (1..=shards).collect::<Vec<_>>()
    );
    let script = |job: &str| {
        let steps = workflow["jobs"][job]["steps"].as_array().unwrap();
        steps.iter().find_map(|step| step["run"].as_str()).unwrap().to_string()
    };
    let shards = shards.to_string();
    let variables = [("SEEDS", "0..20"), ("SHARDS", shards.as_str()), ("GITHUB_STEP_SUMMARY", "summary.md")];
    for shard in matrix {
        let output =
            run_script(&place, &script("shard").replace("${{ matrix.shard }}", &shard.to_string()), &variables);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
    let output = run_script(&place, &script("merge"), &variables);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(field(&text(&output.stdout), "digest"), digest_of_twenty(&place));
    assert!(place.read("summary.md").contains("✅") && place.read("junit.xml").contains("failures=\"0\""));
    assert!(!script("merge").contains("${{"), "what is not filled in here");

    // What the jobs hand on is what they write.
    let given = |job: &str| workflow["jobs"][job]["steps"].as_array().unwrap().last().unwrap()["with"]["path"].clone();
    assert_eq!(given("build"), "target/release/sim");
    assert_eq!(given("shard"), "shard-${{ matrix.shard }}.json");
    assert_eq!(given("merge"), "sweep.json\njunit.xml\nfailures\n");
}

/// The script of a job's container.
fn container(job: &Value) -> &Value {
    assert_eq!((&job["apiVersion"], &job["kind"]), (&json!("batch/v1"), &json!("Job")));
    let pod = &job["spec"]["template"]["spec"];
    assert_eq!(pod["restartPolicy"], "Never");
    let container = &pod["containers"][0];
    assert_eq!(container["command"], json!(["sh", "-c"]));
    assert_eq!(container["volumeMounts"][0]["name"], pod["volumes"][0]["name"]);
    container
}

#[test]
fn the_kubernetes_jobs_sweep_and_merge() {
    let (sweep, merge) = (deployed("kubernetes-job.yaml"), deployed("kubernetes-merge.yaml"));
    let place = Place::new("kubernetes");
    let spec = &sweep["spec"];
    assert_eq!(spec["completionMode"], "Indexed");
    assert_eq!(spec["parallelism"], spec["completions"]);
    let shards = spec["completions"].as_u64().unwrap();
    let variables = |container: &Value| -> Vec<(String, String)> {
        let listed = container["env"].as_array().unwrap().iter();
        listed.map(|entry| (entry["name"].as_str().unwrap().into(), entry["value"].as_str().unwrap().into())).collect()
    };
    let run = |container: &Value, index: &str, seeds: &str| {
        assert!(variables(container).iter().all(|(name, _)| ["SEEDS", "RESULTS"].contains(&name.as_str())));
        let script = container["args"][0].as_str().unwrap();
        run_script(&place, script, &[("SEEDS", seeds), ("RESULTS", "."), ("JOB_COMPLETION_INDEX", index)])
    };
    for index in 0..shards {
        let output = run(container(&sweep), &index.to_string(), "0..20");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
    let output = run(container(&merge), "", "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(field(&text(&output.stdout), "digest"), digest_of_twenty(&place));

    // A sweep that cannot run leaves nothing, and its pod has failed.
    std::fs::remove_file(place.0.join("shard-0.json")).unwrap();
    assert_ne!(run(container(&sweep), "0", "none").status.code(), Some(0));
    // One that found something has not: the merge tells.
    let small = container(&sweep)["args"][0].as_str().unwrap().replace("--seeds", "--ops 1 --clients 1 --seeds");
    let index = (some_vacuous().0 % shards).to_string();
    let variables = [("SEEDS", "0..40"), ("RESULTS", "."), ("JOB_COMPLETION_INDEX", index.as_str())];
    let output = run_script(&place, &small, &variables);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("FAIL sweep"));
}

/// Slurm itself is tried by `deploy/test-slurm`; here, `sbatch` is a stand-in that runs all tasks at once.
#[test]
fn the_slurm_script_sweeps_and_merges() {
    let place = Place::new("slurm");
    place.write(
        "sbatch",
        r#"#!/bin/sh
for argument; do case $argument in
  --array=1-*) tasks=${argument#--array=1-} ;;
  --output=*) output=${argument#--output=} ;;
esac; done
script=$(cat)
for task in $(seq "${tasks:-1}"); do
  SLURM_ARRAY_TASK_ID=$task sh -c "$script" >"$(echo "$output" | sed "s/%a/$task/")" 2>&1 || code=$?
done
if [ -n "${tasks:-}" ]; then echo "7;cluster"; exit 0; fi
exit "${code:-0}"
"#,
    );
    run_script(&place, "chmod +x sbatch", &[]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/slurm.sh");
    let output = run_script(&place, &format!("{} 0..20 4 results", script.display()), &[]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown} {}", text(&output.stderr));
    assert_eq!(field(&shown, "digest"), digest_of_twenty(&place));
    assert!(shown.contains("seeds 0..20 in 4 shards"), "{shown}");

    std::fs::remove_file(place.0.join("results/shard-2.json")).unwrap();
    let merge = "cd results && sim merge shard-*.json";
    assert_eq!(run_script(&place, merge, &[]).status.code(), Some(1));
}
