//! Reads of the past by time: AS OF SYSTEM TIME.
//!
//! Commits carry what the gateway's clock said, and applying them gives each the time of the one before at least. So times
//! never decrease along the log, whatever clocks do, and what was there at a time before that of the last commit is the
//! same forever and on every replica. At a later time a commit may still be on its way that has an earlier one; the gateway
//! then puts the time itself into the log, and waits until the log has passed it. (`CockroachDB` has closed timestamps for
//! this, which its leaders promise all the time; here one is made when somebody asks.)

use std::sync::Arc;

use super::machine::Machine;
use super::protocol::ClientId;
use crate::mvcc::{Time, Version};
use crate::sql::{self, AsOf, Failure, SqlState};
use crate::storage::Storage;

/// A time on its way into the log.
pub(super) struct Passing {
    pub command: Arc<[u8]>,
    pub sent: u64,
    /// The clients that wait, with the numbers of their requests.
    pub waiting: Vec<(ClientId, u64)>,
}

/// Where a past is.
pub(super) enum Past {
    At(Version),
    /// It is known once the log is beyond this time.
    After(Time),
}

/// Where the past is that a statement reads: at a time that it has waited for, or by what time it is now.
pub(super) fn past<S: Storage>(
    as_of: AsOf,
    waited: Option<Time>,
    now: Option<Time>,
    machine: &Machine<S>,
) -> Result<Past, Failure> {
    let (store, latest) = (machine.store(), machine.applied());
    if let AsOf::Position(version) = as_of {
        if version > latest {
            let message = format!("position {version} is in the future: the latest is {latest}");
            return Err(sql::Error::new(SqlState::INVALID_PARAMETER_VALUE, message).into());
        }
        return Ok(Past::At(version));
    }
    let time = match waited {
        Some(time) => time,
        None => as_of.time(now)?,
    };
    Ok(if time < store.time() { Past::At(store.position_at(time)?) } else { Past::After(time) })
}
