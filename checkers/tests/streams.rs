//! Runs that are judged by the positions that the database reports, as somebody uses the command.

#![expect(clippy::disallowed_methods, reason = "tests files of the host")]

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Runs the command with this as its standard input, and gives its exit code, its output and its errors.
fn piped(arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_checkers"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_owned());
    // The command may stop before it has read everything.
    let writer = std::thread::spawn(move || {
        let _ = stdin.write_all(input.as_bytes());
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn generated(arguments: &[&str]) -> String {
    let (code, text, errors) = piped(&[&["generate"], arguments].concat(), "");
    assert_eq!(code, 0, "{errors}");
    text
}

/// T2 read row x at position 1 and did not see what T1 committed there. It shows when T3 has committed after that and T4
/// comes.
const STALE: &str = r#"{"id":1,"call_ts":0}
{"id":1,"session":1,"status":"ok","call_ts":0,"return_ts":5,"ops":[["w","x","a"]],"snapshot":0,"commit":1}
{"id":2,"call_ts":6}
{"id":2,"session":"b","status":"ok","call_ts":6,"return_ts":8,"ops":[["r","x",null]],"snapshot":1}
{"id":3,"call_ts":9}
{"id":3,"session":"b","status":"ok","call_ts":9,"return_ts":10,"ops":[["w","x","b"]],"snapshot":1,"commit":2}
{"id":4,"call_ts":11}
"#;

/// The first bytes, up to a line and a part of the next.
fn cut(text: &str, lines: usize, part: usize) -> &str {
    let whole: usize = text.split_inclusive('\n').take(lines).map(str::len).sum();
    &text[..whole + part]
}

/// Nothing is observed that would be wrong, but T2 says that it read before T1, who was acknowledged.
const OLD: &str = r#"{"id":1,"session":1,"status":"ok","call_ts":0,"return_ts":5,"ops":[["w","x",1]],"snapshot":0,"commit":1}
{"id":2,"session":2,"status":"ok","call_ts":6,"return_ts":8,"ops":[["r","y",null]],"snapshot":0}
"#;

#[test]
fn a_stream_stops_at_its_first_violation() {
    let (code, text, errors) = piped(&["stream", "-"], STALE);
    assert_eq!((code, errors.as_str()), (1, ""), "{text}");
    assert!(text.contains("strong-snapshot-isolation is violated by stale-read"), "{text}");
    assert!(text.contains("in line 7"), "{text}");
    assert!(text.contains("T2 of client b"), "the names are those of the file: {text}");
    let endless = format!("{STALE}this is no line\n");
    let code = piped(&["stream", "-"], &endless).0;
    assert_eq!(code, 1, "what comes after the violation is not read");
    let right = STALE.replace("[\"r\",\"x\",null]", "[\"r\",\"x\",\"a\"]");
    let code = piped(&["stream", "-"], &format!("{right}this is no line\n")).0;
    assert_eq!(code, 2, "here it is");
    let (code, text, _) = piped(&["stream", "-"], cut(&right, 6, 0));
    assert!(code == 0 && text.contains("3 transactions: strong-snapshot-isolation holds"), "{text}");
    let (code, text, _) = piped(&["stream", "-"], OLD);
    assert!(code == 1 && text.contains("stale-snapshot"), "{text}");
    assert_eq!(piped(&["stream", "-", "--level", "strong-session-snapshot-isolation"], OLD).0, 0);
}

#[test]
fn a_wrong_line_is_no_verdict() {
    for (input, line, reason) in [
        ("", 1, "empty"),
        (cut(STALE, 3, 50), 4, "EOF"),
        (cut(STALE, 1, 50), 2, "EOF"),
        (cut(STALE, 1, 0), 1, "not over at the end"),
        (&STALE.replace("\"id\":2", "\"id\":1"), 3, "there twice"),
        (&STALE.replace("snapshot", "snapsnot"), 2, "unknown field `snapsnot`"),
        (&STALE.replace("return_ts\":8", "return_ts\":4"), 4, "before its invocation"),
    ] {
        let (code, text, errors) = piped(&["stream", "-"], input);
        assert_eq!((code, text.as_str()), (2, ""), "{errors}");
        assert!(errors.starts_with(&format!("error: -:{line}: ")) && errors.contains(reason), "{errors}");
    }
    assert_eq!(piped(&["stream", "nowhere.jsonl"], "").0, 2);
    let (code, _, errors) = piped(&["stream", "-", "--level", "read-committed"], STALE);
    assert!(code == 2 && errors.contains("positions do not decide read-committed"), "{errors}");
}

#[test]
fn generated_runs_are_what_they_promise() {
    let of = ["rows", "lists", "both", "predicates"];
    let levels = ["strong-snapshot-isolation", "strict-serializable", "serializable", "snapshot-isolation"];
    for (seed, (of, level)) in ["1", "2", "3", "4"].into_iter().zip(of.into_iter().zip(levels)) {
        let history = generated(&["--level", level, "--of", of, "--seed", seed, "--unknown", "20"]);
        assert_eq!(history, generated(&["--level", level, "--of", of, "--seed", seed, "--unknown", "20"]));
        let (code, text, errors) = piped(&["stream", "-", "--level", level], &history);
        assert_eq!(code, 0, "{level}: {text}{errors}");
        let (code, text, errors) = piped(&["check", "-", "--level", level], &history);
        assert_eq!(code, 0, "{level}: {text}{errors}");
        assert!(text.contains("by the positions that the database reports:"), "{text}");
    }
    let (code, text, errors) =
        piped(&["check", "-", "--level", "read-committed"], &generated(&["--level", "read-committed"]));
    assert!(code == 0 && !text.contains("positions"), "{text}{errors}");
    assert_eq!(piped(&["generate", "--level", "perfect"], "").0, 2);
    let (code, _, errors) = piped(&["generate", "--mutate", "bit-rot"], "");
    assert!(code == 2 && errors.contains("stale-read, lost-update"), "{errors}");
    let (code, _, errors) = piped(&["generate", "--transactions", "1", "--mutate", "write-skew"], "");
    assert!(code == 2 && errors.contains("no place"), "{errors}");
}

#[test]
fn changed_runs_are_found_out() {
    for mutation in ["stale-read", "lost-update", "shifted-snapshot", "swapped-commits", "future-read"] {
        let found = (0..10).filter(|seed| {
            let history = generated(&["--mutate", mutation, "--unknown", "0", "--seed", &seed.to_string()]);
            let (code, text, errors) = piped(&["stream", "-"], &history);
            assert!(code < 2, "{mutation}: {text}{errors}");
            let checked = piped(&["check", "-", "--level", "strong-snapshot-isolation"], &history).0;
            assert_eq!(checked, code, "{mutation}: {text}");
            code == 1
        });
        let found = found.count();
        assert!(found >= 5, "{mutation}: {found} of 10");
    }
}

#[test]
fn check_judges_positions_beside_the_levels() {
    let (code, text, _) = piped(&["check", "-", "--level", "strong-snapshot-isolation"], OLD);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("1 level held, but the reported positions contradict"), "{text}");
    assert!(text.contains("violated  strong-snapshot-isolation           stale-snapshot"), "{text}");
    let (code, text, _) = piped(&["check", "-", "--level", "snapshot-isolation"], OLD);
    assert_eq!(code, 0, "{text}");
    let partial = OLD.replace(",\"commit\":1", "");
    let (code, text, _) = piped(&["check", "-"], &partial);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("not judged: writer T1 was acknowledged without a commit position"), "{text}");
}

#[test]
fn what_is_printed_as_json_keeps_to_its_schema() {
    let schema = |of: &str| {
        let schema: Value = serde_json::from_str(&piped(&["schema", of], "").1).unwrap();
        jsonschema::validator_for(&schema).unwrap()
    };
    let (stream, result, lines) = (schema("stream"), schema("result"), schema("transactions"));
    for (input, verdict) in
        [(STALE, "violated"), (OLD, "violated"), (cut(STALE, 1, 0), "bad-input"), (cut(STALE, 2, 0), "holds")]
    {
        let (_, text, errors) = piped(&["stream", "-", "--json"], input);
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{errors}"));
        let problems: Vec<String> = stream.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(problems.is_empty() && value["verdict"] == verdict, "{problems:?}\n{text}");
    }
    for input in [OLD.to_owned(), OLD.replace(",\"commit\":1", "")] {
        let (_, text, _) = piped(&["check", "-", "--json"], &input);
        let value: Value = serde_json::from_str(&text).unwrap();
        let problems: Vec<String> = result.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(problems.is_empty(), "{problems:?}\n{text}");
    }
    for line in STALE.lines().chain(generated(&["--of", "predicates"]).lines()) {
        assert!(lines.is_valid(&serde_json::from_str(line).unwrap()), "{line}");
    }
}

/// Registers that are overwritten blindly, by many at once, so that only a search can tell the order.
fn blind() -> String {
    let transaction = |id: u64| {
        let (read, written) = (id % 7, id % 5);
        let seen = if id < 40 { "null".to_owned() } else { (id - 20 - id % 3).to_string() };
        let key = (id.saturating_sub(20 + id % 3)) % 5;
        let read = if id < 40 { read + 100 } else { key };
        format!(
            "{{\"id\":{id},\"session\":{id},\"status\":\"ok\",\"call_ts\":null,\"return_ts\":null,\
             \"ops\":[[\"r\",{read},{seen}],[\"w\",{written},{id}]]}}\n"
        )
    };
    (1..300).map(transaction).collect()
}

#[test]
fn a_search_ends_when_its_time_is_over() {
    let (code, text, _) = piped(&["check", "-", "--level", "serializable", "--time-limit", "0"], &blind());
    assert!(code == 3 && text.contains("there was no more time"), "{text}");
    assert_ne!(piped(&["check", "-", "--level", "serializable"], &blind()).0, 2);
}
