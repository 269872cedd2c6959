//! A small world for workloads: clients that take turns in virtual time, on the engine's SQL, or on a model of the database
//! that can be broken in chosen ways. It proves that the workloads run, and that judging their histories finds what is
//! broken.

mod database;
mod sql;

pub use database::{Bug, Database};
pub use sql::{SqlBug, SqlDatabase};

use engine::sql::types::Value;
use engine::sql::{Error, SqlState};
use rand_chacha::ChaCha8Rng;
use rand_core::Rng as _;
use scenarios::{
    Client, Executed, Failure, FinalRead, Recorder, Scenario, SetupError, run_client, run_final, run_setup, streams,
};
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A database without clusters and faults.
pub trait Backend {
    /// Whether the client is within BEGIN and COMMIT.
    fn is_open(&self, client: u64) -> bool;
    /// Ends the client's transaction, if one is open.
    fn forget(&mut self, client: u64);
    /// Executes a client's statement.
    fn execute(&mut self, client: u64, sql: &str, params: &[Value], rng: &mut ChaCha8Rng) -> Result<Executed, Error>;
}

/// Who runs the setup and the final read. Clients with programs count from 1.
const SETUP_CLIENT: u64 = 0;

/// What all clients share.
struct World {
    now_us: u64,
    rng: ChaCha8Rng,
    database: Box<dyn Backend>,
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
        let (lost, may_commit, result) = {
            let world = &mut *self.world.borrow_mut();
            let lost = world.below(100) < world.lossy;
            let happens = !lost || world.below(2) == 0;
            let may_commit = sql == "COMMIT" || !(sql.starts_with("BEGIN") || world.database.is_open(self.id));
            let result = happens.then(|| world.database.execute(self.id, sql, params, &mut world.rng));
            if lost {
                world.database.forget(self.id);
            }
            (lost, may_commit, result)
        };
        self.wait(after).await;
        match result {
            Some(result) if !lost => result.map_err(Failure::Failed),
            _ if may_commit => Err(Failure::Unknown { reason: "the answer was lost".to_owned() }),
            _ => Err(Failure::Failed(Error::new(SqlState::CONNECTION_FAILURE, "the transaction is lost"))),
        }
    }

    async fn sleep(&mut self, duration_us: u64) {
        self.wait(duration_us).await;
    }
}

/// What a run of a scenario leaves.
pub struct Run {
    pub recorder: Recorder,
    pub final_read: FinalRead,
}

/// Runs a scenario's workload. `lossy` percent of the answers get lost; the clients stop at `until_us`, wherever they are.
/// An answer that makes the setup or the final read impossible is an error.
pub fn run(
    scenario: &Scenario,
    database: impl Backend + 'static,
    lossy: u64,
    until_us: u64,
) -> Result<Run, SetupError> {
    let rng = streams::stream(scenario.seed, "model", 0);
    let world = Rc::new(RefCell::new(World { now_us: 0, rng, database: Box::new(database), lossy }));
    let client = |id: u64| {
        let wake_us = Rc::new(RefCell::new(0));
        (Rc::clone(&wake_us), ModelClient { id, world: Rc::clone(&world), wake_us })
    };
    let mut all = Recorder::new();
    let (wake_us, mut first) = client(SETUP_CLIENT);
    let setup = block_on(&world, &wake_us, run_setup(&scenario.workload, &mut first, &mut all))?;

    let mut recorders: Vec<Recorder> = scenario.clients.iter().map(|_| Recorder::new()).collect();
    {
        let mut tasks: Vec<Task<'_>> = Vec::new();
        for (program, recorder) in scenario.clients.iter().zip(&mut recorders) {
            let (wake_us, mut client) = client(u64::from(program.id));
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
    let (wake_us, mut last) = client(SETUP_CLIENT);
    let final_read = block_on(&world, &wake_us, run_final(&scenario.workload, &mut last, &mut all))?;
    Ok(Run { recorder: all, final_read })
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
