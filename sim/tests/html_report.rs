//! The HTML report: that it needs nothing from outside, that hostile texts stay texts, and that it works in a browser.
//!
//! The browser tests need a Chromium on the PATH. Without one they say so, and test nothing.

#![expect(clippy::disallowed_methods, reason = "tests files of the host")]

#[path = "html_report/invented.rs"]
mod invented;

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use sim::html::{Comparison, Decisive, Edge, Event, Fate, Operation, Report, Sentence, What, render};

use crate::invented::{hostile, invented, passing};

/// Writes a page to a file of its own.
fn saved(name: &str, page: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("html_report");
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join(name);
    std::fs::write(&path, page).unwrap();
    path
}

/// The document after a headless browser has run the self test of a page, or nothing without a browser.
fn visited(name: &str, report: &Report) -> Option<String> {
    let path = saved(name, &render(report));
    let profile = path.with_extension("profile");
    for browser in ["chromium", "chromium-browser", "google-chrome"] {
        // The self test is over before the page has loaded, so no time has to be given to it. With virtual time the
        // browser's clock would stand still, and the frames would take no time.
        let output = Command::new(browser)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,1000", "--dump-dom"])
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
    assert_eq!(result["passed"], true, "{result:#}");
    assert!(document.contains(r#"data-selftest="pass""#));
    assert!(result["checks"].as_u64().unwrap() >= checks, "{result:#}");
    result
}

#[test]
fn a_page_asks_for_nothing_from_outside() {
    let page = render(&invented(1, 500));
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
fn the_data_is_whole() {
    let report = invented(1, 500);
    let page = render(&report);
    let (_, rest) = page.split_once(r#"<script type="application/json" id="data">"#).unwrap();
    let (data, _) = rest.split_once("</script>").unwrap();
    assert_eq!(serde_json::from_str::<Value>(data).unwrap(), serde_json::to_value(&report).unwrap());
}

#[test]
fn the_data_is_as_the_scripts_read_it() {
    let event = |what| serde_json::to_value(Event { n: 7, at_ns: 9, node: Some(2), what }).unwrap();
    assert_eq!(event(What::Pauses), serde_json::json!({"n": 7, "at_ns": 9, "node": 2, "what": "pauses"}));
    assert_eq!(
        event(What::Role { role: "leader".into(), term: 3 }),
        serde_json::json!({"n": 7, "at_ns": 9, "node": 2, "what": "role", "role": "leader", "term": 3})
    );
    let report = Report { seed: u64::MAX, ..Report::default() };
    assert_eq!(serde_json::to_value(&report).unwrap()["seed"], "18446744073709551615");
}

#[test]
fn hostile_texts_cannot_leave_the_data() {
    let page = render(&hostile());
    assert_eq!(page.matches("</script>").count(), 2, "the data and the script end once each");
    assert!(!page.contains("<img") && !page.contains("<!--"));
    let (_, data) = page.split_once("</title>").unwrap();
    assert!(!data.contains(['\u{2028}', '\u{2029}']));
    assert!(page.contains("<title>&lt;/title&gt;"), "the title is text");
}

#[test]
fn a_long_run_works_in_a_browser_and_stays_smooth() {
    let report = invented(7, 20_000);
    assert!(report.events.len() >= 20_000);
    let Some(document) = visited("long.html", &report) else { return };
    let result = measured(&document, 100);
    eprintln!("{:#}", result["frames"]);
    assert!(result["events"].as_u64().unwrap() >= 20_000);
    // What a frame asks of the canvas does not depend on how busy the machine is. Its time does, so it is only shown: 16 ms
    // is the aim.
    for (what, calls) in [("scrubbing", 2_500), ("panning", 2_500), ("zooming with messages", 6_000)] {
        let frames = &result["frames"][what];
        assert!(frames["most_calls"].as_u64().unwrap() < calls, "{what} draws too much: {frames}");
        assert!(frames["mean_ms"].as_f64().unwrap() > 0.0, "{what} did not happen: {frames}");
    }
}

#[test]
fn hostile_texts_stay_texts_in_a_browser() {
    let Some(document) = visited("hostile.html", &hostile()) else { return };
    measured(&document, 50);
    assert!(!document.contains("data-injected="), "a text became a script");
    assert_eq!(document.matches("</script>").count(), 2);
}

#[test]
fn a_run_that_passes_and_one_without_anything_work_in_a_browser() {
    let empty = Report { nodes: 3, ..Report::default() };
    for (name, report, checks) in [("passing.html", passing(), 100), ("empty.html", empty, 10)] {
        let Some(document) = visited(name, &report) else { return };
        measured(&document, checks);
    }
}
