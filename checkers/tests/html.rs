//! The page: that it needs nothing from outside, that hostile texts stay texts, and that it works in a browser.
//!
//! The browser tests need a Chromium on the PATH. Without one they say so, and test nothing.

#![expect(clippy::disallowed_methods, reason = "tests files of the host")]

use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

use checkers::evidence::{self, PositionsReport, default_levels, page};
use checkers::formats::{Recorded, judge, read};
use checkers::{linearizability, transactions};
use serde_json::Value;

/// The page about a history.
fn rendered(text: &str) -> String {
    match read(text.as_bytes(), None).unwrap() {
        Recorded::Objects(objects) => {
            let judged = judge(&objects, None, None, &linearizability::Options::default(), true).unwrap();
            page::objects(&evidence::objects("a history", &objects, &judged), &objects, &judged)
        }
        Recorded::Transactions(history) => {
            let levels = default_levels(&history);
            let judgement = transactions::judge(&history, &transactions::Options { levels, ..Default::default() });
            let mut report = evidence::transactions("a history", &history, &judgement);
            report.add_positions(PositionsReport::of(&history, &[]));
            page::transactions(&report, &history, &judgement)
        }
    }
}

/// A register that is written and read by ten clients, legally; `stale` reads what was overwritten at the end.
fn register(operations: u64, stale: bool) -> String {
    let mut text = String::new();
    for at in 0..operations {
        let (call, back) = (at * 3, at * 3 + 3 + (at * 7) % 17);
        let (kind, value, output) = if at % 3 == 0 {
            ("write", at.to_string(), "\"ok\"".to_string())
        } else {
            ("read", "null".to_string(), (at - at % 3).to_string())
        };
        let client = at % 10;
        writeln!(
            text,
            r#"{{"client":"c{client}","kind":"{kind}","value":{value},"call_ts":{call},"return_ts":{back},"output":{output}}}"#
        )
        .unwrap();
    }
    if stale {
        let end = operations * 3 + 100;
        writeln!(text, r#"{{"client":"late","kind":"read","call_ts":{end},"return_ts":{},"output":3}}"#, end + 5)
            .unwrap();
    }
    text
}

/// Read skew, write skew and a cycle of reads, in names that want to be something else.
const HOSTILE: &str = r#"{"id":1,"session":"</script><img src=x onerror=alert(1)>","status":"ok","call_ts":0,"return_ts":9,"ops":[["append","<b>&\"","</title><!--"],["r","y",["\u2028"]]]}
{"id":2,"session":"{{data}}","status":"ok","call_ts":1,"return_ts":8,"ops":[["append","y","\u2028"],["r","<b>&\"",["</title><!--"]]]}
{"id":3,"session":3,"status":"unknown","call_ts":10,"return_ts":null,"ops":[["append","y","]]>"]]}
"#;

/// T2 claims an older snapshot than its client was promised; what it read is right at either, so only the positions are
/// wrong.
const POSITIONS: &str = r#"{"id":1,"session":"a","status":"ok","call_ts":0,"return_ts":5,"ops":[["w","x",1]],"snapshot":0,"commit":1}
{"id":2,"session":"a","status":"ok","call_ts":6,"return_ts":9,"ops":[["r","y",null]],"snapshot":0}
"#;

/// The document after a headless browser has run the self test of a page, or nothing without a browser.
fn visited(name: &str, page: &str) -> Option<String> {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("html");
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join(name);
    std::fs::write(&path, page).unwrap();
    let profile = path.with_extension("profile");
    for browser in ["chromium", "chromium-browser", "google-chrome"] {
        let output = Command::new(browser)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,900", "--dump-dom"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(format!("file://{}#selftest", path.display()))
            .output();
        match output {
            Ok(output) => return Some(String::from_utf8(output.stdout).unwrap()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => panic!("cannot run {browser}: {error}"),
        }
    }
    eprintln!("no chromium, chromium-browser or google-chrome on the PATH: the page was not tried in a browser");
    None
}

/// What the page found out about itself, with at least so many checks.
fn measured(document: &str, checks: u64) -> Value {
    let (_, rest) = document.split_once(r#"<pre id="selftest" hidden="">"#).expect("the page has its result");
    let (result, _) = rest.split_once("</pre>").unwrap();
    let result = result.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let result: Value = serde_json::from_str(&result).unwrap_or_else(|_| panic!("no result: {result}"));
    eprintln!("{result}");
    assert_eq!(result["passed"], true, "{result:#}");
    assert!(result["checks"].as_u64().unwrap() >= checks, "{result:#}");
    result
}

#[test]
fn a_page_asks_for_nothing_from_outside() {
    let page = rendered(&register(30, true));
    let (before, rest) = page.split_once(r#"<script type="application/json" id="data">"#).unwrap();
    let (_, after) = rest.split_once("</script>").unwrap();
    for part in [before, after] {
        for forbidden in
            ["http:", "https:", "//cdn", "src=", "href=", "@import", "url(", "fetch(", "XMLHttp", "import("]
        {
            assert!(!part.contains(forbidden), "the page has {forbidden:?}");
        }
    }
    assert!(before.contains("default-src 'none'"));
}

#[test]
fn hostile_texts_cannot_leave_the_data() {
    let page = rendered(HOSTILE);
    assert_eq!(page.matches("</script>").count(), 2, "the data and the script end once each");
    assert!(!page.contains("<img") && !page.contains("<!--"));
    let (_, rest) = page.split_once(r#"id="data">"#).unwrap();
    let (data, _) = rest.split_once("</script>").unwrap();
    let data: Value = serde_json::from_str(data).unwrap();
    assert!(data["clients"].as_array().unwrap().contains(&"{{data}}".into()), "a text is no place of the template");
    assert!(data["anomalies"][0]["svg"].as_str().unwrap().contains("&lt;/title&gt;"));
}

#[test]
fn a_long_history_opens_at_once() {
    let text = register(10_000, false);
    let Some(document) = visited("long.html", &rendered(&text)) else { return };
    let result = measured(&document, 25);
    assert_eq!(result["bars"], 10_000);
    // From the first script to the first picture; the browser's own start is not ours.
    assert!(result["ready_ms"].as_f64().unwrap() < 2_000.0, "{result:#}");
}

#[test]
fn an_illegal_history_works_in_a_browser() {
    let Some(document) = visited("stale.html", &rendered(&register(60, true))) else { return };
    measured(&document, 30);
}

#[test]
fn hostile_texts_stay_texts_in_a_browser() {
    let Some(document) = visited("hostile.html", &rendered(HOSTILE)) else { return };
    measured(&document, 20);
    assert!(!document.contains("<img"), "a text became an element");
}

#[test]
fn what_positions_say_is_on_the_page() {
    let page = rendered(POSITIONS);
    let (_, rest) = page.split_once(r#"id="data">"#).unwrap();
    let data: Value = serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap();
    let verdicts: Vec<&Value> =
        data["report"]["positions"].as_array().unwrap().iter().map(|one| &one["verdict"]).collect();
    assert_eq!(
        verdicts,
        ["holds", "violated", "violated"],
        "snapshot isolation, with the session's order, in real time"
    );
    assert_eq!(data["anomalies"], Value::Array(Vec::new()), "nothing else is wrong");
    assert_eq!(data["report"]["verdict"], "violated");

    let Some(document) = visited("positions.html", &page) else { return };
    measured(&document, 33);
    assert!(document.contains("By the reported positions") && document.contains("T2 read snapshot 0"));
    let missing = POSITIONS.replace(r#","commit":1"#, "");
    let Some(document) = visited("no-positions.html", &rendered(&missing)) else { return };
    measured(&document, 20);
    assert!(document.contains("They are not judged: writer T1"), "a reason is told");
}

#[test]
fn histories_without_times_work_in_a_browser() {
    let text = HOSTILE.replace(",\"call_ts\":0,\"return_ts\":9", "").replace(",\"call_ts\":1,\"return_ts\":8", "");
    let untimed = text
        .replace(",\"call_ts\":10,\"return_ts\":null", "")
        .replace("\"ops\"", "\"call_ts\":null,\"return_ts\":null,\"ops\"");
    let Some(document) = visited("untimed.html", &rendered(&untimed)) else { return };
    measured(&document, 20);
}
