//! A summary for GitHub Actions: workflow commands, which show failures on the page of a run, and a job summary.

use std::fmt::Write as _;

use super::Summary;

/// A job summary may have 1 MiB; failures that would go beyond this are only counted.
const LONGEST: usize = 900_000;

impl Summary {
    /// A workflow command for each failure, and for what is wrong with the sweep as a whole.
    pub(super) fn github_commands(&self, partial: bool) -> String {
        let mut commands = String::new();
        let mut error = |title: &str, message: &str| {
            let _ = writeln!(commands, "::error title={}::{}", property(title), data(message));
        };
        for problem in self.problems(partial) {
            error("sweep", &problem);
        }
        for failure in &self.failures {
            let title = format!("{} seed={}", failure.outcome.signature(), failure.seed);
            error(&title, &self.account(failure));
        }
        commands
    }

    /// The summary in Markdown.
    pub(super) fn github_summary(&self, partial: bool) -> String {
        let (failed, played) = (self.failures.len(), self.played);
        let passed = self.exit_code(partial) == 0;
        let sign = if passed { "✅" } else { "❌" };
        let mut text = format!("### {sign} Sweep: {failed} of {played} universes failed\n\n");
        for problem in self.problems(partial) {
            let _ = writeln!(text, "**{}**\n", html(&problem));
        }
        let _ = writeln!(text, "<pre>\n{}{}\n</pre>\n", html(&self.table(partial)), html(&self.line(partial)));
        for (place, failure) in self.failures.iter().enumerate() {
            let (title, account) = (html(&failure.outcome.signature()), html(&self.account(failure)));
            let seed = failure.seed;
            let block = format!(
                "<details><summary>seed {seed}: {title}</summary>\n\n<pre>\n{account}\n</pre>\n\n</details>\n\n"
            );
            if text.len() + block.len() > LONGEST {
                let _ = writeln!(text, "... and {} more failures.", failed - place);
                break;
            }
            text.push_str(&block);
        }
        text
    }
}

/// Escapes the message of a workflow command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a property of a workflow command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Escapes text for Markdown and for HTML within it.
fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::Failure;
    use crate::verdict::{Finding, Verdict};

    /// A sweep of so many failures, each with a line of evidence so long.
    fn failed(failures: u64, length: usize) -> Summary {
        let failure = |seed| Failure {
            seed,
            scenario: "bank".into(),
            revision: "abc".into(),
            outcome: Verdict::Safety(Finding {
                checker: "a:b,c".into(),
                anomaly: "100%".into(),
                message: "<b>two\r\nlines".into(),
                evidence: vec!["x".repeat(length)],
                event: 1,
                time_us: 2,
                node: None,
            }),
            trace: "failures/1.json".into(),
        };
        Summary { failures: (0..failures).map(failure).collect(), played: failures, ..Summary::default() }
    }

    #[test]
    fn a_failure_is_one_command_whatever_is_in_it() {
        let commands = failed(1, 3).github_commands(true);
        let expected = "::error title=safety/a%3Ab%2Cc/100%25 seed=0::FAIL safety/a:b,c/100%25 seed=0 rev=abc event=1 \
                        t=0.000002s%0A<b>two%0D%0Alines%0A  xxx%0Areplay: cargo run -p sim -- replay \
                        failures/1.json%0Aor, at revision abc: cargo run -p sim -- --seed 0\n";
        assert_eq!(commands, expected);
    }

    #[test]
    fn a_summary_is_escaped_and_has_an_end() {
        let text = failed(2, 3).github_summary(true);
        assert!(text.contains("&lt;b&gt;two") && !text.contains("<b>"), "{text}");
        let text = failed(100, 50_000).github_summary(true);
        assert!(text.len() < 1 << 20 && text.contains("more failures."), "{} bytes", text.len());
    }
}
