//! The phases of a universe: *safety*, with clients and faults; *liveness*, when the faults have stopped and the cluster
//! must make progress and converge within a deadline; and *judgement*.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use madsim::runtime::Runtime;
use scenarios::{FinalRead, Recorder, Scenario, Setup, SetupError, run_client, run_final, run_setup};

use super::client::SimClient;
use super::{Universe, event, time};
use crate::report::Counts;
use crate::story::Moment;
use crate::verdict::{Finding, Verdict};

/// The client that fills the tables, and the one that reads them in the end; the scenario's are numbered from 1.
const SETUP_CLIENT: u32 = 0;
const FINAL_CLIENT: u32 = 1_000_000;

/// How often convergence is looked at.
const LOOK_NS: u64 = 20_000_000;

/// How a universe went.
pub struct Played {
    /// How it ended.
    pub outcome: Verdict,
    /// The digest over all events, in hexadecimal.
    pub digest: String,
    /// What happened.
    pub counts: Counts,
    /// What was checked, with the number of comparisons.
    pub checks: Vec<(String, u64)>,
    /// What happened to the nodes.
    pub story: Vec<Moment>,
}

/// Plays a scenario on this thread.
pub fn run(scenario: Rc<Scenario>) -> Played {
    // madsim's own randomness only decides the order of tasks that are ready at the same moment.
    let runtime = Runtime::with_seed_and_config(scenario.seed, madsim::Config::default());
    runtime.block_on(async move {
        let universe = Universe::begin(scenario);
        madsim::task::spawn_local(Rc::clone(&universe).deliver_packets());
        madsim::task::spawn_local(Rc::clone(&universe).follow_timeline());
        universe.plan_faults();
        let mut record = Record::default();
        let outcome = universe.play(&mut record).await;
        let played = universe.account(outcome, &mut record);
        universe.end();
        played
    })
}

/// What the clients saw.
#[derive(Default)]
struct Record {
    clients: Rc<RefCell<Vec<Recorder>>>,
    all: Recorder,
    checks: Vec<(String, u64)>,
}

impl Record {
    /// Brings together what all clients have recorded.
    fn merge(&mut self) -> &Recorder {
        for recorder in self.clients.take() {
            self.all.merge(recorder);
        }
        &self.all
    }
}

/// A client's record, which is kept however the client ends.
struct Kept {
    recorder: Recorder,
    all: Rc<RefCell<Vec<Recorder>>>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.all.borrow_mut().push(std::mem::take(&mut self.recorder));
    }
}

impl Universe {
    async fn play(self: &Rc<Self>, record: &mut Record) -> Verdict {
        let scenario = &self.scenario;
        let safety_end = scenario.safety_us * 1_000;
        let mut clients_end = safety_end;
        let mut recorder = Recorder::new();
        let setup = {
            let mut client = SimClient::new(Rc::clone(self), SETUP_CLIENT);
            let mut setup = pin!(run_setup(&scenario.workload, &mut client, &mut recorder));
            if let Some(setup) = before(safety_end, setup.as_mut()).await {
                Some(setup)
            } else {
                // The faults were too much for it. It goes on in peace, and so do the clients.
                self.begin_liveness();
                let setup = before(self.liveness_end(), setup.as_mut()).await;
                clients_end = time::now_ns() + safety_end;
                setup
            }
        };
        let setup = match setup {
            Some(Ok(setup)) => setup,
            Some(Err(error)) => return self.wrong_answer("setup", &error),
            None => return self.no_progress("the tables could not be filled"),
        };
        record.clients.borrow_mut().push(recorder);
        self.run_clients(setup, clients_end, record).await;
        if let Some(finding) = self.violation.take() {
            return Verdict::Safety(finding);
        }

        self.begin_liveness();
        let mut recorder = Recorder::new();
        let mut client = SimClient::new(Rc::clone(self), FINAL_CLIENT);
        let last = {
            let mut last = pin!(run_final(&scenario.workload, &mut client, &mut recorder));
            before(self.liveness_end(), last.as_mut()).await
        };
        if let Some(finding) = self.violation.take() {
            return Verdict::Safety(finding);
        }
        let last = match last {
            Some(Ok(last)) => last,
            Some(Err(error)) => return self.wrong_answer("final read", &error),
            None => return self.no_progress("a write and a read after the faults got no answer"),
        };
        record.clients.borrow_mut().push(recorder);
        let converged = self.converge().await;
        if let Some(finding) = self.violation.take() {
            return Verdict::Safety(finding);
        }
        if !converged {
            return self.no_progress("the replicas did not reach the same position");
        }
        self.event(event::PHASE, &[3]);
        self.judgement(record, &last)
    }

    /// Runs the clients until all are done, something is found wrong, or the phase ends.
    async fn run_clients(self: &Rc<Self>, setup: Setup, end: u64, record: &mut Record) {
        let running = Rc::new(Cell::new(self.scenario.clients.len()));
        let mut tasks = Vec::new();
        for position in 0..self.scenario.clients.len() {
            let (universe, running) = (Rc::clone(self), Rc::clone(&running));
            let mut kept = Kept { recorder: Recorder::new(), all: Rc::clone(&record.clients) };
            tasks.push(madsim::task::spawn_local(async move {
                let scenario = Rc::clone(&universe.scenario);
                let program = &scenario.clients[position];
                let mut client = SimClient::new(Rc::clone(&universe), program.id);
                run_client(&scenario, program, setup, &mut client, &mut kept.recorder).await;
                drop(kept);
                running.set(running.get() - 1);
                universe.found.notify();
            }));
        }
        let done = || (running.get() == 0 || self.violation.borrow().is_some()).then_some(());
        let mut done = pin!(self.found.wait(done));
        before(end, done.as_mut()).await;
        for task in &tasks {
            task.abort();
        }
        for task in tasks {
            // Waits until it has been dropped, with its record kept. Having been cancelled is what was asked for.
            let _ = task.await;
        }
    }

    fn begin_liveness(&self) {
        self.event(event::PHASE, &[2]);
        tracing::info!("the faults have stopped");
        self.heal_everything();
    }

    fn liveness_end(&self) -> u64 {
        time::now_ns() + self.scenario.liveness_us * 1_000
    }

    /// Waits until all replicas have applied the same position, and what they hold there is known.
    async fn converge(&self) -> bool {
        let end = self.liveness_end();
        while time::now_ns() < end {
            for id in 1..=self.scenario.nodes {
                self.node(id).state.set(None);
                self.node(id).wanted.set(true);
            }
            time::sleep_ns(LOOK_NS + u64::from(self.scenario.engine.tick_ms) * 3_000_000).await;
            let states: Vec<_> = (1..=self.scenario.nodes).filter_map(|id| self.node(id).state.get()).collect();
            if states.len() == usize::from(self.scenario.nodes) && states.iter().all(|state| state.0 == states[0].0) {
                for (id, state) in (1..).zip(&states) {
                    if state.1 != states[0].1 {
                        let message = format!("nodes 1 and {id} hold different data at position {}", state.0);
                        self.report("replicas", "divergence", message, Vec::new(), Some(id));
                    }
                }
                return true;
            }
        }
        false
    }

    fn judgement(&self, record: &mut Record, last: &FinalRead) -> Verdict {
        record.merge();
        let stats = record.all.stats();
        record.checks.push(("raft".into(), self.monitor.borrow().comparisons()));
        record.checks.push(("replicas".into(), u64::from(self.scenario.nodes)));
        let mut verdict = Verdict::Pass;
        for check in scenarios::judge(&self.scenario, &record.all, Some(last)) {
            record.checks.push((check.checker.to_string(), check.comparisons));
            let finding =
                |anomaly: &str, message: String, evidence| self.finding(check.checker, anomaly, message, evidence);
            match check.verdict {
                scenarios::Verdict::Pass => {}
                scenarios::Verdict::Fail { anomaly, evidence } => {
                    let message = evidence.first().cloned().unwrap_or_default();
                    return Verdict::Safety(finding(&anomaly, message, evidence));
                }
                scenarios::Verdict::GaveUp { reason } => {
                    verdict = Verdict::GaveUp(finding("budget", reason, Vec::new()));
                }
            }
        }
        if verdict.is_pass() {
            if stats.ok == 0 || stats.commits == 0 {
                let message = format!("{} operations succeeded, {} of them writes", stats.ok, stats.commits);
                return Verdict::Vacuous(self.finding("vacuity", "no-operations", message, Vec::new()));
            }
            if let Some((checker, _)) = record.checks.iter().find(|(_, comparisons)| *comparisons == 0) {
                let message = format!("the checker {checker} had nothing to compare");
                return Verdict::Vacuous(self.finding("vacuity", "no-comparisons", message, Vec::new()));
            }
        }
        verdict
    }

    pub(super) fn finding(&self, checker: &str, anomaly: &str, message: String, evidence: Vec<String>) -> Finding {
        Finding {
            checker: checker.to_string(),
            anomaly: anomaly.to_string(),
            message,
            evidence,
            event: self.digest.borrow().events(),
            time_us: time::now_ns() / 1_000,
            node: None,
        }
    }

    fn wrong_answer(&self, phase: &str, error: &SetupError) -> Verdict {
        if let Some(finding) = self.violation.take() {
            return Verdict::Safety(finding);
        }
        Verdict::Safety(self.finding("answers", phase, error.to_string(), Vec::new()))
    }

    fn no_progress(&self, message: &str) -> Verdict {
        if let Some(finding) = self.violation.take() {
            return Verdict::Safety(finding);
        }
        let nodes = (1..=self.scenario.nodes).map(|id| {
            let slot = self.node(id);
            let state = if slot.up.get() { "up" } else { "down" };
            format!("node {id}: {state}, life {}, applied {}", slot.lives.get(), slot.applied.get())
        });
        let message = format!("{message} within {} ms", self.scenario.liveness_us / 1_000);
        Verdict::Liveness(self.finding("liveness", "no-progress", message, nodes.collect()))
    }

    /// Adds up what happened.
    fn account(&self, outcome: Verdict, record: &mut Record) -> Played {
        let stats = record.merge().stats();
        let network = self.network.borrow();
        let mut disks = crate::disk::Counters::default();
        for slot in &self.nodes {
            disks.merge(&slot.disk.counters());
        }
        let mut faults: BTreeMap<String, u64> =
            self.faults.borrow().iter().map(|(kind, count)| ((*kind).to_string(), *count)).collect();
        let counters = network.counters();
        let fired = [
            ("message lost", counters.lost),
            ("message duplicated", counters.duplicated),
            ("message reordered", counters.reordered),
            ("message cut off", counters.partitioned.values().sum()),
            ("message delayed", counters.tail),
            ("read error", disks.eio_reads),
            ("write error", disks.eio_writes),
            ("sync error", disks.eio_syncs),
            ("slow disk operation", disks.stalls),
            ("write lost", disks.lost_pieces),
            ("write torn", disks.torn_writes),
            ("directory entry lost", disks.lost_entries),
        ];
        faults.extend(fired.into_iter().filter(|(_, n)| *n > 0).map(|(kind, n)| (kind.to_string(), n)));
        let monitor = self.monitor.borrow();
        let counts = Counts {
            events: self.digest.borrow().events(),
            virtual_us: time::now_ns() / 1_000,
            ok: stats.ok,
            failed: stats.failed,
            unknown: stats.unknown,
            committed: stats.commits,
            messages: counters.delivered,
            leaders: self.leaders.borrow().len() as u64,
            entries: monitor.highest_committed(),
            syncs: disks.syncs,
            faults,
        };
        let digest = format!("{:016x}", self.digest.borrow().value());
        let story = self.story.take();
        Played { outcome, digest, counts, checks: record.checks.clone(), story }
    }
}

/// What a future gives, if it does before a moment. It can be waited for again.
async fn before<F: Future>(end: u64, mut future: Pin<&mut F>) -> Option<F::Output> {
    let mut alarm = time::Alarm::at(end);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => alarm.ring(context).map(|()| None),
    })
    .await
}
