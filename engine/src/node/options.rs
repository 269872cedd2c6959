//! How a gateway runs its sessions.

use crate::sql::Options;
use crate::sql::executor::Settings;

/// Timeouts and limits of sessions.
#[derive(Clone, Debug)]
pub struct GatewayOptions {
    /// A request to the leader is sent again after this many ticks without an effect.
    pub resend_ticks: u64,
    /// A session without requests for this many ticks ends, and its transaction is rolled back.
    pub idle_ticks: u64,
    /// The most bytes that one commit may hold.
    pub max_commit_bytes: usize,
    /// How many parsed statements are kept for reuse.
    pub cached_statements: usize,
    /// How statements are run, unless their sessions say something else.
    pub statements: Options,
    /// How high sessions may set their limits: a node does nothing else while it runs a statement.
    pub most: Settings,
}

impl Default for GatewayOptions {
    fn default() -> Self {
        let statements = Options::default();
        // Seconds of work, and the better part of a minute.
        let settings = Settings { steps: 50_000_000, ..statements.settings };
        let most = Settings { memory: 1 << 30, steps: 1_000_000_000, ..Settings::UNLIMITED };
        Self {
            resend_ticks: 10,
            idle_ticks: 3_000,
            max_commit_bytes: 16 << 20,
            cached_statements: 256,
            statements: Options { settings, ..statements },
            most,
        }
    }
}
