//! The post-mortem of one universe, as one HTML file that needs nothing else.
//!
//! [`render`] puts a [`Report`] into the page as JSON, with its style and its scripts. The scripts draw all the rest in the
//! browser: lanes over virtual time, the state at a moment, the story, the operations to blame. The file opens from disk,
//! and its content security policy forbids it the network and every script but its own, whatever texts the run had.
//! Opened with `#selftest`, the page tries itself out, and leaves what it measured in `<pre id="selftest">`.
//!
//! Nothing here plays or judges a run.

mod data;

use checkers::evidence::frame::{self, Parts};

pub use data::{Comparison, Edge, Fate, Operation, Report};

pub use crate::film::{Event, What};
pub use crate::narrate::{Decisive, Sentence};

const BODY: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");

/// The scripts, in the order in which they need each other. They share one scope.
const SCRIPTS: [&str; 9] = [
    include_str!("model.js"),
    include_str!("view.js"),
    include_str!("scene.js"),
    include_str!("traffic.js"),
    include_str!("panel.js"),
    include_str!("map.js"),
    include_str!("text.js"),
    include_str!("page.js"),
    include_str!("selftest.js"),
];

/// The page as one HTML document.
pub fn render(report: &Report) -> String {
    let data = serde_json::to_string(report).expect("a report is plain data");
    frame::page(&Parts { title: &report.title, style: STYLE, body: BODY, data: &data, scripts: &SCRIPTS })
}
