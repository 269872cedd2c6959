//! The post-mortem of one universe, as one HTML file that needs nothing else.
//!
//! [`render`] puts a [`Report`] into the page as JSON, with its style and its scripts. The scripts draw all the rest in the
//! browser: lanes over virtual time, the state at a moment, the story, the operations to blame. The file opens from disk,
//! and its content security policy forbids it the network and every script but its own, whatever texts the run had.
//! Opened with `#selftest`, the page tries itself out, and leaves what it measured in `<pre id="selftest">`.
//!
//! Nothing here plays or judges a run.

mod data;

pub use data::{Comparison, Edge, Operation, Report};

pub use crate::film::{Event, What};
pub use crate::narrate::Sentence;

const PAGE: &str = include_str!("page.html");
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
    let script = format!("(() => {{\n'use strict';\n{}}})();\n", SCRIPTS.join("\n"));
    let data = embedded(&serde_json::to_string(report).expect("a report is plain data"));
    let title = escaped(&report.title);
    fill(PAGE, &[("{{title}}", &title), ("{{style}}", STYLE), ("{{data}}", &data), ("{{script}}", &script)])
}

/// Puts values into a template, each at its place, in order. What a value says is never taken for a place.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut page = String::with_capacity(template.len() + values.iter().map(|(_, value)| value.len()).sum::<usize>());
    let mut rest = template;
    for (place, value) in values {
        let (before, after) = rest.split_once(place).expect("the page has its places, in order");
        page.push_str(before);
        page.push_str(value);
        rest = after;
    }
    page + rest
}

/// JSON that cannot end the element that holds it, nor a line of a script. In JSON these signs are only in strings.
fn embedded(json: &str) -> String {
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// Text for an element.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_and_the_style_cannot_end_their_elements() {
        for script in SCRIPTS {
            assert!(!script.contains("</script") && !script.contains("<!--"));
        }
        assert!(!STYLE.contains("</style"));
    }

    #[test]
    fn a_value_is_not_a_place() {
        assert_eq!(fill("a{{x}}b{{y}}c", &[("{{x}}", "{{y}}"), ("{{y}}", "2")]), "a{{y}}b2c");
    }

    #[test]
    fn embedded_json_says_the_same() {
        let text = "</script><!-- \u{2028}\u{2029} \" \\ \\u003c";
        let json = embedded(&serde_json::to_string(text).unwrap());
        assert!(!json.contains(['<', '\u{2028}', '\u{2029}']), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
