//! The engine on a store in memory, so that one statement can be run in several ways on the same data.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use engine::disk::MemDisk;
use engine::mvcc::{Store, Txn, View};
use engine::sql::executor::{DiskSpill, Settings, Spill, SpillFile};
use engine::sql::functions::Registry;
use engine::sql::types::Value;
use engine::sql::{Environment, Failure, Options, Output, Prepared, Statement, parse};
use engine::storage::Memory;

use super::answer::Answer;

/// The most steps of a statement. Beyond them it is no test but a burden.
const MAX_STEPS: u64 = 100_000;

/// How a statement is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct How {
    /// With the optimizer.
    pub optimize: bool,
    /// The most bytes of memory, if not as many as needed.
    pub memory: Option<usize>,
    /// Twice, the second time with the plan of the first.
    pub twice: bool,
}

/// As users run statements.
pub const USUAL: How = How { optimize: true, memory: None, twice: false };

/// A database in memory.
pub struct Engine {
    store: Store<Memory>,
    functions: Registry,
    /// How many transactions there were.
    number: u64,
    spill: Counting,
}

/// Temporary files, counted.
struct Counting {
    inner: DiskSpill<MemDisk>,
    files: Rc<Cell<u64>>,
}

impl Spill for Counting {
    fn create(&self) -> Result<Box<dyn SpillFile>, engine::disk::Error> {
        self.files.set(self.files.get() + 1);
        self.inner.create()
    }
}

impl Engine {
    /// An empty database.
    pub fn new() -> anyhow::Result<Self> {
        let inner = DiskSpill::open(MemDisk::new(), "temporary")?;
        let spill = Counting { inner, files: Rc::default() };
        Ok(Self { store: Store::new(Memory::new())?, functions: Registry::default(), number: 0, spill })
    }

    /// How many temporary files there were.
    pub fn files(&self) -> u64 {
        self.spill.files.get()
    }

    /// Runs a statement, and forgets what it did.
    pub fn ask(&self, sql: &Parsed, params: &[Value], how: How) -> Answer {
        self.execute(&mut self.begin(self.number + 1), sql, params, how)
    }

    /// Runs a statement, then queries that see what it did, and forgets that.
    pub fn ask_then(&self, sql: &Parsed, params: &[Value], how: How, then: &[Parsed]) -> (Answer, Vec<Answer>) {
        let mut txn = self.begin(self.number + 1);
        let answer = self.execute(&mut txn, sql, params, how);
        let after = then.iter().map(|query| self.execute(&mut txn, query, &[], USUAL)).collect();
        (answer, after)
    }

    /// Runs a statement in a transaction of its own.
    pub fn run(&mut self, sql: &Parsed, params: &[Value]) -> Answer {
        self.number += 1;
        let mut txn = self.begin(self.number);
        let answer = self.execute(&mut txn, sql, params, USUAL);
        if matches!(answer, Answer::Error { .. } | Answer::Panic(_)) || !txn.has_writes() {
            return answer;
        }
        let commit = txn.into_commit();
        let result = self.store.validate(&commit).map(|valid| valid.is_ok());
        let version = self.store.applied() + 1;
        match result.and_then(|valid| self.store.commit(version, commit.writes, []).map(|()| valid)) {
            Ok(true) => answer,
            Ok(false) => Answer::Error { state: "40001".to_string(), message: "there was no other".to_string() },
            Err(error) => Answer::Error { state: "storage".to_string(), message: error.to_string() },
        }
    }

    fn begin(&self, number: u64) -> Txn {
        Txn::new(self.store.applied(), Default::default(), false).identified(1, number)
    }

    fn execute(&self, txn: &mut Txn, sql: &Parsed, params: &[Value], how: How) -> Answer {
        let statement = match sql {
            Ok(statement) => statement,
            Err(answer) => return answer.clone(),
        };
        let mut settings = Settings { steps: MAX_STEPS, ..Settings::default() };
        if let Some(memory) = how.memory {
            settings.memory = memory;
        }
        let options = Options { optimize: how.optimize, settings };
        let spill: Option<&dyn Spill> = Some(&self.spill);
        let environment = Environment { functions: &self.functions, options, variables: None, spill, clock: None };
        let result = caught(|| {
            let prepared = Prepared::new(statement.clone());
            if how.twice && statement.is_read_only() {
                // As in an embedded database, where the second run knows the schema from the first one.
                let mut alone = txn.clone().alone();
                let mut view = View::new(&self.store, &mut alone);
                prepared.execute(params, &mut view, environment)?;
                return prepared.execute(params, &mut view, environment);
            }
            if how.twice {
                prepared.execute(params, &mut View::new(&self.store, &mut txn.clone()), environment)?;
            }
            prepared.execute(params, &mut View::new(&self.store, txn), environment)
        });
        result.map_or_else(|answer| answer, answer)
    }
}

/// A statement that was parsed, or what came of that.
pub type Parsed = Result<Statement, Answer>;

/// Parses a statement, to run it more than once.
pub fn parsed(sql: &str) -> Parsed {
    caught(|| Ok(parse(sql)?))
}

/// Runs something, and makes an answer of an error and of a panic.
fn caught<T>(f: impl FnOnce() -> Result<T, Failure>) -> Result<T, Answer> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Failure::Sql(error))) => {
            Err(Answer::Error { state: error.state.code().to_string(), message: error.to_string() })
        }
        Ok(Err(Failure::Storage(error))) => {
            Err(Answer::Error { state: "storage".to_string(), message: error.to_string() })
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            Err(Answer::Panic(text.unwrap_or_else(|| "without a text".to_string())))
        }
    }
}

/// What the engine gave.
pub fn answer(output: Output) -> Answer {
    match output {
        Output::Select { columns, rows } | Output::Returning { columns, rows, .. } => {
            Answer::Rows { types: columns.iter().map(|column| column.datatype).collect(), rows }
        }
        Output::Insert { count } | Output::Update { count } | Output::Delete { count } => Answer::Count(count),
        _ => Answer::Done,
    }
}
