//! The phases of a universe: *safety*, with clients and faults; *liveness*, when the faults have stopped and the cluster
//! must make progress and converge within a deadline; and *judgement*.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use madsim::runtime::Runtime;
use scenarios::{
    End, Fate, FinalRead, MessageFate, MessageKind, Mode, Recorder, Scenario, Setup, SetupError, run_client, run_final,
    run_setup,
};

use super::client::SimClient;
use super::film::Camera;
use super::{Universe, Watch, event, time};
use crate::film::{Event, What};
use crate::network::{self, Address};
use crate::report::Counts;
use crate::story::Moment;
use crate::verdict::{Finding, Verdict};

/// The client that fills the tables, and the one that reads them in the end; the scenario's are numbered from 1.
const SETUP_CLIENT: u32 = 0;
const FINAL_CLIENT: u32 = 9_999;

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
    /// How often rare places in the code were passed.
    pub probes: BTreeMap<&'static str, u64>,
    /// What the clients did and saw.
    pub record: Recorder,
    /// Every event, if the run was filmed.
    pub film: Vec<Event>,
    /// What the dice decided, if that was asked for.
    pub decisions: Vec<Fate>,
    /// Hashes of the abstract states that the cluster was in, if that was asked for.
    pub states: BTreeSet<u64>,
}

/// Plays a scenario on this thread.
pub fn run(scenario: Rc<Scenario>, watch: Watch) -> Played {
    // madsim's own randomness only decides the order of tasks that are ready at the same moment.
    let runtime = Runtime::with_seed_and_config(scenario.seed, madsim::Config::default());
    runtime.block_on(async move {
        let universe = Universe::begin(scenario, watch);
        let tasks = [
            madsim::task::spawn_local(Rc::clone(&universe).deliver_packets()),
            madsim::task::spawn_local(Rc::clone(&universe).follow_timeline()),
        ];
        universe.plan_faults();
        let mut record = Record::default();
        let outcome = universe.play(&mut record).await;
        let played = universe.account(outcome, record);
        universe.end();
        for task in tasks {
            task.abort();
            let _ = task.await;
        }
        // The tasks of the processes are dropped when they would run next. A task that is left when the runtime ends is never
        // dropped, and all that it refers to with it.
        time::sleep_ns(1).await;
        assert_eq!(Rc::strong_count(&universe), 1, "all tasks of a universe end with it");
        played
    })
}

/// What is left of this thread's universe after a panic.
pub fn wreck(message: String) -> Played {
    // Whatever was being changed at that moment is left alone.
    let (event, last_ns, mut film) = Universe::rescue().unwrap_or_default();
    film.push(Event { n: event, at_ns: last_ns, node: None, what: What::Violation { text: message.clone() } });
    let finding = Finding {
        checker: "engine".into(),
        anomaly: "panic".into(),
        message,
        evidence: Vec::new(),
        event,
        time_us: last_ns / 1_000,
        node: None,
    };
    Played {
        outcome: Verdict::Panic(finding),
        digest: String::new(),
        counts: Counts::default(),
        checks: Vec::new(),
        story: Vec::new(),
        probes: engine::probe::counts(),
        record: Recorder::new(),
        film,
        decisions: Vec::new(),
        states: BTreeSet::new(),
    }
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
        self.filled.set(Some(setup.position));
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
            None if scenario.mode == Mode::Unrestricted => {
                // The disks of a quorum may be gone. What was answered until then must still be right.
                engine::probe!("a cluster whose disks were destroyed gives no answer any more");
                return self.judgement(record, None);
            }
            None => return self.no_progress("a write and a read after the faults got no answer"),
        };
        record.clients.borrow_mut().push(recorder);
        let converged = self.converge().await;
        if let Some(finding) = self.violation.take() {
            return Verdict::Safety(finding);
        }
        if !converged && scenario.mode == Mode::Recoverable {
            return self.no_progress("the replicas did not reach the same position");
        }
        self.event(event::PHASE, &[3]);
        self.judgement(record, Some(&last))
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
        if self.peace.get().is_none() {
            self.peace.set(Some(time::now_ns()));
        }
        self.film(None, || What::Note { text: "the faults have stopped".to_string() });
        tracing::info!("the faults have stopped");
        let core = self.core();
        self.heal_everything(&core);
    }

    /// The nodes that run in the end: those that the scenario names, and more of those with good disks if it takes them for
    /// a quorum.
    fn core(&self) -> BTreeSet<u8> {
        let mut core = self.scenario.core.clone();
        let good = |core: &BTreeSet<u8>| core.iter().filter(|&&id| !self.node(id).is_damaged()).count();
        for id in 1..=self.scenario.nodes {
            if good(&core) < self.quorum() && !self.node(id).is_damaged() {
                core.insert(id);
            }
        }
        core
    }

    fn liveness_end(&self) -> u64 {
        time::now_ns() + self.scenario.liveness_us * 1_000
    }

    /// Waits until all replicas have applied the same position, and what they hold there is known.
    async fn converge(&self) -> bool {
        let end = self.liveness_end();
        while time::now_ns() < end {
            let core: Vec<u8> = (1..=self.scenario.nodes).filter(|&id| !self.node(id).gone.get()).collect();
            for &id in &core {
                self.node(id).state.set(None);
                self.node(id).wanted.set(true);
            }
            time::sleep_ns(LOOK_NS + u64::from(self.scenario.engine.tick_ms) * 3_000_000).await;
            let states: Vec<_> = core.iter().filter_map(|&id| self.node(id).state.get()).collect();
            if states.len() == core.len() && states.iter().all(|state| state.0 == states[0].0) {
                let first = core[0];
                for (&id, state) in core.iter().zip(&states) {
                    if state.1 != states[0].1 {
                        let message = format!("nodes {first} and {id} hold different data at position {}", state.0);
                        self.report("replicas", "divergence", message, Vec::new(), Some(id));
                    }
                }
                return true;
            }
        }
        false
    }

    fn judgement(&self, record: &mut Record, last: Option<&FinalRead>) -> Verdict {
        record.merge();
        let stats = record.all.stats();
        record.checks.push(("raft".into(), self.monitor.borrow().comparisons()));
        record.checks.push(("replicas".into(), u64::from(self.scenario.nodes)));
        let mut verdict = Verdict::Pass;
        for check in scenarios::judge(&self.scenario, &record.all, last) {
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
            // A cluster whose disks were destroyed early leaves some judges without work, but not all.
            let idle = |(_, comparisons): &&(String, u64)| *comparisons == 0;
            let history = record.checks.iter().skip(2).map(|(_, comparisons)| comparisons).sum::<u64>();
            if let Some((checker, _)) = record.checks.iter().find(idle).filter(|_| last.is_some() || history == 0) {
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
            let state = match (slot.gone.get(), slot.up.get()) {
                (true, _) => "gone",
                (_, true) => "up",
                (_, false) => "down",
            };
            format!("node {id}: {state}, life {}, applied {}", slot.lives.get(), slot.applied.get())
        });
        let message = format!("{message} within {} ms", self.scenario.liveness_us / 1_000);
        Verdict::Liveness(self.finding("liveness", "no-progress", message, nodes.collect()))
    }

    /// Adds up what happened.
    fn account(&self, outcome: Verdict, mut record: Record) -> Played {
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
            ("message replayed", counters.replayed),
            ("message cut off", counters.partitioned.values().sum()),
            ("message delayed", counters.tail),
            ("read error", disks.eio_reads),
            ("write error", disks.eio_writes),
            ("sync error", disks.eio_syncs),
            ("slow disk operation", disks.stalls),
            ("write lost", disks.lost_pieces),
            ("write torn", disks.torn_writes),
            ("directory entry lost", disks.lost_entries),
            ("rotten read", disks.rotten_reads),
            ("misdirected read", disks.misdirected_reads),
            ("pages dropped by a failed sync", disks.dropped_pages),
            ("no space", disks.no_space),
            ("power loss in flight", disks.crashes_in_flight),
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
            committed_under_fault: self.committed_under_fault(&record.all),
            messages: counters.delivered,
            leaders: self.leaders.borrow().len() as u64,
            entries: monitor.highest_committed(),
            syncs: disks.syncs,
            faults,
        };
        let digest = format!("{:016x}", self.digest.borrow().value());
        let decisions = network.decisions().iter().map(|(name, fate)| decided(name, fate));
        let decisions = decisions.chain(self.disk_decisions()).collect();
        Played {
            outcome,
            digest,
            counts,
            checks: record.checks,
            story: self.story.take(),
            probes: engine::probe::counts(),
            record: record.all,
            film: self.camera.take().map(Camera::into_events).unwrap_or_default(),
            decisions,
            states: self.states.take().unwrap_or_default(),
        }
    }

    /// How many transactions committed while something was wrong.
    fn committed_under_fault(&self, record: &Recorder) -> u64 {
        let peace = self.peace.get().unwrap_or(u64::MAX);
        let Scenario { network, .. } = &*self.scenario;
        let rates = [network.loss_ppm, network.duplicate_ppm, network.reorder_ppm, network.replay_ppm];
        let always = rates.iter().any(|&ppm| ppm > 0);
        let troubles = self.troubles.borrow();
        let troubled = |from: u64, to: u64| always || troubles.iter().any(|&(begin, end)| begin <= to && from <= end);
        let history = record.history();
        let commits = history.iter().filter(|t| t.commit.is_some() && t.invoke < peace);
        commits.filter(|t| troubled(t.invoke, t.complete.unwrap_or(peace).min(peace))).count() as u64
    }
}

/// What the dice decided about a message, as a fate.
fn decided(&(from, to, kind, count): &network::Name, fate: &network::Fate) -> Fate {
    let end = |address: Address| match address {
        Address::Node(id) => End::Node(id),
        Address::Client(id) => End::Client(id),
    };
    let what = match *fate {
        network::Fate::Lost => MessageFate::Lost,
        network::Fate::Late(by_us) => MessageFate::Late { by_us },
        network::Fate::Again(after_us) => MessageFate::Again { after_us },
    };
    Fate::Message { from: end(from), to: end(to), kind: MessageKind::ALL[usize::from(kind)], count, what }
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
