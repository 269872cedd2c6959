//! What happened on a disk, as counts.

use serde::{Deserialize, Serialize};

/// Declares the counts with the sum over all of them, so that none is forgotten.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What happened on a disk.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// Adds another disk's counts.
            pub fn merge(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

counters! {
    /// Operations begun, of every kind.
    operations,
    /// Reads.
    reads,
    /// Bytes read.
    bytes_read,
    /// Writes and truncations.
    writes,
    /// Bytes written.
    bytes_written,
    /// Syncs of files.
    syncs,
    /// Syncs of directories.
    directory_syncs,
    /// Reads that failed, those of lost sectors among them.
    eio_reads,
    /// Writes and truncations that failed, those that needed a lost sector among them.
    eio_writes,
    /// Syncs, of files and directories, that failed.
    eio_syncs,
    /// Operations that stalled.
    stalls,
    /// Power losses, in the middle of a step or between two.
    power_losses,
    /// Power losses between two operations of one step.
    crashes_mid_step,
    /// Those of them that came by chance while writes were in flight.
    crashes_in_flight,
    /// Deaths of a process alone.
    process_crashes,
    /// Unsynced sectors of writes, and truncations, lost in power losses.
    lost_pieces,
    /// Writes that survived a power loss in part.
    torn_writes,
    /// Names, and changes of names, lost in power losses.
    lost_entries,
    /// Reads that returned a flipped bit.
    rotten_reads,
    /// Reads that returned the bytes of another place.
    misdirected_reads,
    /// Unsynced sectors of writes, and truncations, that a failed sync marked as written.
    dropped_pages,
    /// Writes, extensions and creations that found too little space.
    no_space,
    /// Sectors rotten at rest.
    rot,
    /// Sectors that became unreadable.
    lost_sectors,
    /// Synced writes found in another place.
    misdirected_writes,
    /// Returns of an older image.
    images_restored,
    /// Disks emptied.
    wipes,
}
