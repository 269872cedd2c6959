//! A small world for workloads: clients that take turns in virtual time, on a model of the database that can be broken in
//! chosen ways. It proves that the workloads run, and that judging their histories finds what is broken.

mod database;

pub use database::Bug;
use database::{Database, Session};
use engine::sql::Error;
use engine::sql::types::Value;
use rand_chacha::ChaCha8Rng;
use rand_core::Rng as _;
use scenarios::{Client, Executed, Failure, FinalRead, Recorder, Scenario, run_client, run_final, run_setup, streams};
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// What all clients share.
struct World {
    now_us: u64,
    rng: ChaCha8Rng,
    database: Database,
    /// How many answers get lost, in percent.
    lossy: u64,
}

impl World {
    fn below(&mut self, bound: u64) -> u64 {
        self.rng.next_u64() % bound
    }
}

/// When a client wants to be polled again, and its program, until that is done.
type Task<'a> = (Rc<RefCell<u64>>, Option<Pin<Box<dyn Future<Output = ()> + 'a>>>);

/// A client of the model.
struct ModelClient {
    id: u64,
    world: Rc<RefCell<World>>,
    /// When the client's future wants to be polled again.
    wake_us: Rc<RefCell<u64>>,
    session: Session,
}

impl ModelClient {
    async fn wait(&mut self, duration_us: u64) {
        let until = self.world.borrow().now_us + duration_us;
        *self.wake_us.borrow_mut() = until;
        let world = Rc::clone(&self.world);
        poll_fn(|_| if world.borrow().now_us >= until { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

impl Client for ModelClient {
    fn id(&self) -> u64 {
        self.id
    }

    fn now(&self) -> u64 {
        self.world.borrow().now_us * 1_000
    }

    async fn execute(&mut self, sql: &str, params: &[Value]) -> Result<Executed, Failure> {
        let (before, after) = {
            let mut world = self.world.borrow_mut();
            (world.below(2_000), world.below(2_000))
        };
        self.wait(before).await;
        // A lost answer costs a transaction its gateway; one that may have committed is unknown.
        let (lost, happens) = {
            let mut world = self.world.borrow_mut();
            let lossy = world.lossy;
            (world.below(100) < lossy, world.below(2) == 0)
        };
        let may_commit = sql == "COMMIT" || (self.session.is_idle() && !sql.starts_with("BEGIN"));
        let result = if lost && !happens {
            self.session = Session::default();
            None
        } else {
            let world = &mut *self.world.borrow_mut();
            Some(world.database.execute(&mut self.session, sql, params, &mut world.rng))
        };
        self.wait(after).await;
        if lost {
            self.session = Session::default();
            let reason = "the answer was lost".to_owned();
            return Err(if may_commit { Failure::Unknown { reason } } else { Failure::Failed(lost_gateway()) });
        }
        result.expect("executed").map_err(Failure::Failed)
    }

    async fn sleep(&mut self, duration_us: u64) {
        self.wait(duration_us).await;
    }
}

fn lost_gateway() -> Error {
    database::error(database::CONNECTION_FAILURE, "transaction lost")
}

/// What a run of a scenario leaves.
pub struct Run {
    pub recorder: Recorder,
    pub final_read: FinalRead,
}

/// Runs a scenario's workload. `lossy` percent of the answers get lost; the clients stop at `until_us`, wherever they are.
pub fn run(scenario: &Scenario, bug: Option<Bug>, lossy: u64, until_us: u64) -> Run {
    let rng = streams::stream(scenario.seed, "model", 0);
    let world = Rc::new(RefCell::new(World { now_us: 0, rng, database: Database::new(bug), lossy }));
    let client = |id: u32| {
        let wake_us = Rc::new(RefCell::new(0));
        let session = Session::default();
        (Rc::clone(&wake_us), ModelClient { id: u64::from(id), world: Rc::clone(&world), wake_us, session })
    };
    let mut all = Recorder::new();
    let (wake_us, mut first) = client(1);
    let setup = block_on(&world, &wake_us, run_setup(&scenario.workload, &mut first, &mut all)).expect("setup");

    let mut recorders: Vec<Recorder> = scenario.clients.iter().map(|_| Recorder::new()).collect();
    {
        let mut tasks: Vec<Task<'_>> = Vec::new();
        for (program, recorder) in scenario.clients.iter().zip(&mut recorders) {
            let (wake_us, mut client) = client(program.id);
            let future = async move { run_client(scenario, program, setup, &mut client, recorder).await };
            tasks.push((wake_us, Some(Box::pin(future))));
        }
        while let Some(next) = (0..tasks.len()).filter(|&i| tasks[i].1.is_some()).min_by_key(|&i| *tasks[i].0.borrow())
        {
            let (wake_us, task) = &mut tasks[next];
            let wake_us = *wake_us.borrow();
            if wake_us > until_us {
                break;
            }
            advance(&world, wake_us);
            let future = task.as_mut().expect("not done");
            if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                *task = None;
            }
        }
    }
    for recorder in recorders {
        all.merge(recorder);
    }
    let (wake_us, mut last) = client(1);
    let final_read =
        block_on(&world, &wake_us, run_final(&scenario.workload, &mut last, &mut all)).expect("final read");
    Run { recorder: all, final_read }
}

/// Runs a future to its end, jumping in time to where it wants to be.
fn block_on<T>(world: &RefCell<World>, wake_us: &RefCell<u64>, future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
        advance(world, *wake_us.borrow());
    }
}

fn advance(world: &RefCell<World>, until_us: u64) {
    let mut world = world.borrow_mut();
    world.now_us = world.now_us.max(until_us);
}
