//! What is run: workloads (client programs), fault schedules and the environment, all as plain data.
//!
//! A [`Scenario`] says everything that a universe needs: the cluster and its options, the network, the disks, the clocks, the
//! schedule of faults, and what each client does. It is [drawn](Scenario::draw) from a seed or [read](Scenario::from_json)
//! from a trace; replaying one needs no generator. A workload talks to the [`Client`] trait and never to the simulator, so
//! the same programs can run against a real cluster. The runner records what clients saw, and [`judge()`]
//! hands it to the checkers that fit the workload.
//!
//! Nothing here knows how a universe is played, and nothing here does I/O.

mod client;
mod draw;
mod fate;
mod fault;
mod judge;
mod recorder;
mod renumber;
mod scenario;
mod scripts;
pub mod streams;
mod summary;
mod validate;
mod work;
mod workload;

pub use client::{Client, Executed, Failure};
pub use draw::{FAULT_RECORD, FAULTS_HEADER, Overrides, expand, regions};
pub use fate::{DiskFate, End, Fate, MessageFate, MessageKind};
pub use fault::{Fault, FaultKind, Partition, Side, Target, When};
pub use judge::{CheckResult, Verdict, judge};
pub use recorder::{Recorder, Stats, Told};
pub use scenario::{
    Clock, DiskOptions, EngineOptions, FaultsMode, Latency, Mode, NetworkOptions, Scenario, StorageOptions,
};
pub use validate::{Error, MAX_CLIENTS, MAX_NODES, MAX_STEPS};
pub use work::{
    ClientProgram, Isolation, MicroOperation, Number, OnDelete, Operation, RowOperation, SchemaChange, Step, Way,
    Workload, WorkloadKind,
};
pub use workload::{FinalRead, Setup, SetupError, run_client, run_final, run_setup};
