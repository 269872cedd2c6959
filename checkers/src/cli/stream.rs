//! `checkers stream`: judges reported positions while the run that reports them goes on.

use std::rc::Rc;

use anyhow::bail;
use serde::Serialize;

use super::check::BadLine;
use super::{BAD, StreamArguments, exit_code, host, print, print_json};
use crate::Verdict;
use crate::evidence::{Answer, PositionsReport, count};
use crate::formats::Stream;
use crate::history::{Event, Transaction};
use crate::transactions::Level;
use crate::versions::{Checker, Kept, Options};

/// How many lines are read between two looks at the clock and at what is kept.
const BATCH: usize = 1024;

/// What `--json` prints.
#[derive(Serialize)]
struct Printed {
    version: u32,
    source: String,
    /// An [`Answer`], or `bad-input`.
    verdict: &'static str,
    summary: String,
    level: Level,
    /// How many lines were read.
    lines: usize,
    transactions: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    positions: Option<PositionsReport>,
    /// How many snapshots, commits and writers of unknown outcome were held back at most.
    kept: usize,
    cpu_ms: f64,
}

/// The judge at work.
struct Judge {
    stream: Stream,
    checker: Checker<Rc<Transaction>>,
    transactions: u64,
    announced: bool,
    most: Kept,
}

impl Judge {
    /// Reads until the end, or the first violation.
    fn read(&mut self, lines: &mut host::Lines, source: &str) -> anyhow::Result<()> {
        let mut status = host::Status::new();
        while self.checker.violation().is_none() {
            let Some(line) = lines.next()? else {
                self.stream.end().map_err(|error| BadLine::new(source, error))?;
                return Ok(());
            };
            match self.stream.read(line).map_err(|error| BadLine::new(source, error))? {
                Event::Invoked { id, time } => {
                    self.announced = true;
                    self.checker.invoked(id, time);
                }
                Event::Over(transaction) => {
                    self.transactions += 1;
                    self.checker.push(Rc::new(transaction));
                }
            }
            if self.stream.lines().is_multiple_of(BATCH) {
                let kept = self.look();
                let transactions = self.transactions;
                status.say(|| {
                    format!("{transactions} transactions, {} running, {} held back", kept.running, kept.waiting)
                });
            }
        }
        Ok(())
    }

    fn look(&mut self) -> Kept {
        let kept = self.checker.kept();
        self.most.waiting = self.most.waiting.max(kept.waiting);
        self.most.unknown = self.most.unknown.max(kept.unknown);
        kept
    }
}

/// Judges the stream, and returns the exit code.
pub(super) fn run(arguments: &StreamArguments) -> anyhow::Result<u8> {
    let level = arguments.level;
    let Some(options) = Options::of(level) else {
        bail!("positions do not decide {level}: choose snapshot-isolation or a stronger level");
    };
    let source = arguments.file.display().to_string();
    let mut lines = host::Lines::open(&arguments.file)?;
    let mut judge = Judge {
        stream: Stream::new(),
        checker: Checker::new(options),
        transactions: 0,
        announced: false,
        most: Kept::default(),
    };
    let began = host::thread_cpu();
    let read = judge.read(&mut lines, &source);
    judge.look();
    let Judge { stream, checker, transactions, announced, most } = judge;
    let what = count(transactions as usize, "transaction");
    let (code, verdict, summary, positions) = match read {
        Err(error) if arguments.json => (BAD, "bad-input", format!("{error:#}"), None),
        Err(error) => return Err(error),
        Ok(()) => {
            let early = checker.violation().is_some();
            let verdict = checker.finish();
            let report = PositionsReport::new(level, &verdict, stream.names());
            let summary = match &verdict {
                Verdict::Pass { comparisons } => {
                    format!("{what}: {level} holds, {} compared", count(*comparisons as usize, "observation"))
                }
                Verdict::Fail(violation) => {
                    let when = if early { format!("in line {}", stream.lines()) } else { "at the end".to_owned() };
                    format!("{what}: {level} is violated by {}, as is seen {when}", violation.anomaly)
                }
                Verdict::GaveUp { .. } => format!("{what}: {level} is undecided"),
            };
            (exit_code(report.verdict), report.verdict.word(), summary, Some(report))
        }
    };
    let cpu_ms = (host::thread_cpu().saturating_sub(began).as_secs_f64() * 1e6).round() / 1e3;
    let kept = most.waiting + most.unknown;
    if arguments.json {
        let lines = stream.lines();
        print_json(&Printed {
            version: 1,
            source,
            verdict,
            summary,
            level,
            lines,
            transactions,
            positions,
            kept,
            cpu_ms,
        })?;
        return Ok(code);
    }
    let mut lines = vec![format!("{source}: {summary}")];
    lines.extend(positions.iter().flat_map(PositionsReport::evidence_lines).map(|line| format!("  {line}")));
    lines.push(format!("  at most {kept} held back at a time; {cpu_ms:.0} ms of CPU time"));
    if !announced && transactions > 0 && verdict == Answer::Holds.word() {
        lines.push("  no line says who was invoked, so all was judged at the end".to_owned());
    }
    print(&(lines.join("\n") + "\n"))?;
    Ok(code)
}
