//! Draws a scenario from bytes.
//!
//! There is one door: bytes are read as a scenario. A seed goes through it with the bytes that its named streams give
//! ([`expand`]), a fuzzer with its own. Each component (options, network, disk, clocks, workload, faults, each client)
//! reads a region of its own, so that an override, say of the number of operations, does not shift what the others draw.
//!
//! Seeds have character, after the *swarm testing* of Groce et al.: every seed draws its own rates and sizes, and turns whole
//! classes of faults off, so that some runs meet one kind of trouble in plenty instead of all meeting a little of each.

mod environment;
mod faults;
mod programs;
mod region;
mod script;

use crate::scenario::{FaultsMode, Mode, Scenario};
use crate::streams::stream;
use crate::work::WorkloadKind;
use arbitrary::{Arbitrary, Unstructured};
pub use faults::{FAULT_RECORD, FAULTS_HEADER};
use rand_core::Rng as _;
pub use region::regions;
use region::{CLIENT, CLIENT_REGION, CLIENT_REGIONS, REGIONS, Record, Region};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What is not left to the draw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Overrides {
    /// The workload.
    pub scenario: Option<WorkloadKind>,
    /// How many nodes, at least 1.
    pub nodes: Option<u8>,
    /// How many clients, at least 1.
    pub clients: Option<u32>,
    /// How many operations in all. They are shared out evenly; without [`Overrides::clients`] there are not more
    /// clients than operations.
    pub ops: Option<usize>,
    /// How hostile. [`FaultsMode::Full`] when not given.
    pub faults: Option<FaultsMode>,
    /// What faults may destroy.
    pub mode: Option<Mode>,
}

/// The bytes of a seed: as input of [`Scenario::arbitrary`](Arbitrary::arbitrary) they give what [`Scenario::draw`] gives, and a
/// fuzzer can start from them.
pub fn expand(seed: u64) -> Vec<u8> {
    let mut bytes = seed.to_le_bytes().to_vec();
    let clients = (1..=u64::from(CLIENT_REGIONS)).map(|id| (CLIENT, id, CLIENT_REGION));
    for (name, index, size) in REGIONS.into_iter().map(|(name, size)| (name, 0, size)).chain(clients) {
        let start = bytes.len();
        bytes.resize(start + size, 0);
        stream(seed, name, index).fill_bytes(&mut bytes[start..]);
    }
    bytes
}

impl Scenario {
    /// The scenario of a seed.
    pub fn draw(seed: u64, overrides: &Overrides) -> Self {
        Self::read(&[], seed, overrides)
    }

    /// The scenario of the bytes that `u` holds; the seed continues them where they end, and names the streams of the run.
    pub fn arbitrary_with(u: &mut Unstructured<'_>, seed: u64, overrides: &Overrides) -> arbitrary::Result<Self> {
        Ok(Self::read(u.bytes(u.len())?, seed, overrides))
    }

    fn read(input: &[u8], seed: u64, overrides: &Overrides) -> Self {
        let faults_mode = overrides.faults.unwrap_or_default();
        let region = |name| Region::new(input, seed, name);

        let mut options: Record<192> = region("options").record();
        let size = Size::draw(&mut options, overrides);
        let network = environment::network(&mut region("network").record(), faults_mode);
        let disk = environment::disk(&mut region("disk").record(), faults_mode);
        let clocks = environment::clocks(&mut region("clocks"), size.nodes, faults_mode);
        let engine = environment::engine(&mut options, &size, &network, &disk);
        let election_us = u64::from(engine.tick_ms) * u64::from(engine.election_ticks) * 1_000;
        let client_timeout_ms = (election_us * options.range(1, 4) / 1_000).clamp(200, 5_000) as u32;
        let patience = options.range(1, 8) as u32;
        let restart_us = options.scale(20_000, 2_000_000);
        let conflict_retries = options.below(4) as u32;

        // Without faults there is nothing to be restricted.
        let unrestricted = options.percent(20) && faults_mode == FaultsMode::Full;
        let drawn = if unrestricted { Mode::Unrestricted } else { Mode::Recoverable };
        let mode = overrides.mode.unwrap_or(drawn);
        let acts_up = options.percent(60) && faults_mode != FaultsMode::None;
        let buggify = if acts_up { options.range(1, u64::from(u32::MAX)) } else { 0 };
        let core = Self::core(&mut options, size.nodes, faults_mode);

        let plan = programs::Plan::draw(&mut region("workload").record(), &size, overrides.scenario);
        let clients = (1..=size.clients)
            .map(|id| plan.program(id, size.share(id), &mut Region::client(input, seed, id)))
            .collect();
        let faults = faults::schedule(&mut region("faults"), &size, faults_mode);

        Self {
            seed,
            faults_mode,
            mode,
            nodes: size.nodes,
            engine,
            network,
            disk,
            clocks,
            faults,
            fates: Vec::new(),
            buggify,
            core,
            restart_us,
            client_timeout_ms,
            patience,
            // Programs are made to last about as long as the faults; waiting for answers comes on top.
            safety_us: size.horizon_us + 10_000_000 + size.share(1) as u64 * 100_000,
            liveness_us: (election_us * 100).clamp(30_000_000, 300_000_000),
            workload: plan.workload,
            conflict_retries,
            clients,
        }
    }
}

impl Scenario {
    /// All nodes most of the time, and else a quorum or more, by the draw.
    fn core(record: &mut Record<192>, nodes: u8, mode: FaultsMode) -> BTreeSet<u8> {
        let (some, mask) = (record.percent(40), record.below(1 << 15));
        let mut core: BTreeSet<u8> = (1..=nodes).collect();
        if some && mode == FaultsMode::Full {
            for node in 1..=nodes {
                if mask & (1 << (node - 1)) != 0 && core.len() > usize::from(nodes) / 2 + 1 {
                    core.remove(&node);
                }
            }
        }
        core
    }
}

/// Sizes that several components depend on.
struct Size {
    nodes: u8,
    clients: u32,
    operations: usize,
    /// When the last fault is over.
    horizon_us: u64,
    /// Whether leaders come and go most of the time, and replicate entry by entry.
    unsettled: bool,
}

impl Size {
    fn draw(record: &mut Record<192>, overrides: &Overrides) -> Self {
        let nodes = [5, 3, 4, 7, 2, 1][record.weighted(&[70, 18, 4, 4, 2, 2])];
        let clients = record.range(3, 10) as u32;
        let operations = record.range(160, 240) as usize;
        let horizon_us = record.range(4_000_000, 20_000_000);
        let nodes = overrides.nodes.unwrap_or(nodes).max(1);
        let operations = overrides.ops.unwrap_or(operations);
        let clients = overrides.clients.unwrap_or(clients.min(operations as u32)).max(1);
        let unsettled = record.percent(16);
        Self { nodes, clients, operations, horizon_us, unsettled }
    }

    /// How many operations a client has, by its number from 1.
    fn share(&self, client: u32) -> usize {
        let (each, left) = (self.operations / self.clients as usize, self.operations % self.clients as usize);
        each + usize::from(client as usize <= left)
    }
}

/// For fuzzers: the first 8 bytes are the seed, the rest goes by regions.
impl<'a> Arbitrary<'a> for Scenario {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let seed = u64::arbitrary(u)?;
        Self::arbitrary_with(u, seed, &Overrides::default())
    }
}

#[cfg(test)]
mod tests;
