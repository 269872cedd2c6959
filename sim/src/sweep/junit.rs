//! A summary as JUnit XML, which every continuous integration reads.
//!
//! One suite has a test case for each kind of scenario, which stands for its universes that passed and holds their
//! number, one for the sweep as a whole, and one for each failure, with evidence and the commands that play it again.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{Failure, Summary};

impl Summary {
    /// The summary as JUnit XML.
    pub(super) fn junit(&self, partial: bool) -> Result<String, quick_junit::SerializeError> {
        let mut suite = TestSuite::new("sweep");
        suite.set_time(Duration::from_micros(self.wall_us));
        suite.add_property(("seeds", self.swept().as_str()));
        suite.add_property(("revision", self.revisions().into_iter().collect::<Vec<_>>().join(",").as_str()));
        suite.add_property(("digest", self.digest.as_str()));
        suite.add_test_case(self.as_a_whole(partial));
        for (scenario, universes) in &self.scenarios {
            let failed = self.failures.iter().filter(|failure| failure.scenario == *scenario).count();
            let mut case = TestCase::new(scenario.as_str(), TestCaseStatus::success());
            case.set_classname("sweep");
            case.set_system_out(format!("{universes} universes, {failed} failed"));
            suite.add_test_case(case);
        }
        suite.add_test_cases(self.failures.iter().map(|failure| self.failed(failure)));
        let mut report = Report::new("sim");
        report.add_test_suite(suite);
        report.to_string()
    }

    /// The test case of the whole sweep: that something was played, and nothing is missing.
    fn as_a_whole(&self, partial: bool) -> TestCase {
        let problems = self.problems(partial);
        let mut status = TestCaseStatus::success();
        if !problems.is_empty() {
            status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_type("sweep").set_message(problems.join("; "));
        }
        let mut case = TestCase::new("universes", status);
        case.set_classname("sweep");
        case.set_system_out(self.table(partial));
        case
    }

    fn failed(&self, failure: &Failure) -> TestCase {
        let Failure { seed, scenario, outcome, .. } = failure;
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_type(outcome.signature());
        status.set_message(outcome.finding().map_or("", |finding| finding.message.as_str()));
        status.set_description(self.account(failure));
        let mut case = TestCase::new(format!("seed {seed}"), status);
        case.set_classname(format!("sweep.{scenario}"));
        case
    }

    /// Everything that is known of a failure, in lines.
    pub(super) fn account(&self, failure: &Failure) -> String {
        let mut lines = vec![failure.outcome.line_at(failure.seed, &failure.revision)];
        if let Some(finding) = failure.outcome.finding() {
            lines.push(finding.message.clone());
            lines.extend(finding.evidence.iter().map(|line| format!("  {line}")));
        }
        lines.push(format!("replay: {}", failure.replay()));
        lines.push(format!("or, at revision {}: {}", failure.revision, failure.command(&self.overrides)));
        lines.join("\n")
    }
}
