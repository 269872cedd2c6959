//! The frame of a page that needs nothing else: one HTML document that holds its style, its data as JSON, and its scripts.
//!
//! Whatever texts the data has, they cannot end the element that holds them. What the page shows is for its scripts to say.

const FRAME: &str = include_str!("frame.html");

/// What goes into the frame.
pub struct Parts<'a> {
    /// The document's title, as plain text.
    pub title: &'a str,
    /// The style sheet.
    pub style: &'a str,
    /// What is in the body, as HTML.
    pub body: &'a str,
    /// What the page shows, as a JSON document: the text of the element `data`.
    pub data: &'a str,
    /// Scripts that share one scope, in the order in which they need each other.
    pub scripts: &'a [&'a str],
}

/// The document. Its content security policy forbids it the network and every script but its own.
///
/// # Panics
/// A script or the style could end the element that holds it: those are parts of a program, and no input.
pub fn page(parts: &Parts<'_>) -> String {
    let Parts { title, style, body, data, scripts } = parts;
    assert!(!style.contains("</style"), "a style sheet does not end its element");
    for script in *scripts {
        assert!(!script.contains("</script") && !script.contains("<!--"), "a script does not end its element");
    }
    let script = format!("(() => {{\n'use strict';\n{}}})();\n", scripts.join("\n"));
    let (title, data) = (escaped(title), embedded(data));
    put(
        FRAME,
        &[
            ("{{title}}", &title),
            ("{{style}}", style),
            ("{{body}}", body),
            ("{{data}}", &data),
            ("{{script}}", &script),
        ],
    )
}

/// Puts values into a template, each at its place, in order. What a value says is never taken for a place.
fn put(template: &str, values: &[(&str, &str)]) -> String {
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
    fn a_value_is_not_a_place() {
        assert_eq!(put("a{{x}}b{{y}}c", &[("{{x}}", "{{y}}"), ("{{y}}", "2")]), "a{{y}}b2c");
    }

    #[test]
    fn embedded_json_says_the_same() {
        let text = "</script><!-- \u{2028}\u{2029} \" \\ \\u003c";
        let json = embedded(&serde_json::to_string(text).unwrap());
        assert!(!json.contains(['<', '\u{2028}', '\u{2029}']), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
