//! A disk that comes back as it was, or empty: backups restored, machines replaced.

use super::SimDisk;
use super::directory::Directory;
use super::journal::Image;
use std::collections::BTreeMap;

/// All that is durable, by path: a file, or no file but a directory.
#[derive(Clone, Debug, Default)]
pub(super) struct SavedImage {
    pub(super) entries: BTreeMap<String, Option<Image>>,
}

impl SimDisk {
    /// Keeps a copy of everything that is durable now, in the place of an earlier copy.
    pub fn save_image(&self) {
        let mut state = self.state.borrow_mut();
        state.saved_image = Some(state.names.save());
    }

    /// Makes the disk hold exactly what it held at the last [`SimDisk::save_image`], and nothing unsynced. Returns false,
    /// and does nothing, when no copy was kept. The copy stays.
    ///
    /// # Panics
    ///
    /// When a process runs.
    pub fn restore_image(&self) -> bool {
        let Some(image) = self.state.borrow().saved_image.clone() else { return false };
        self.replace(image);
        self.state.borrow_mut().counters.images_restored += 1;
        true
    }

    /// Empties the disk. A copy that [`SimDisk::save_image`] has kept stays.
    ///
    /// # Panics
    ///
    /// When a process runs.
    pub fn wipe(&self) {
        self.replace(SavedImage::default());
        self.state.borrow_mut().counters.wipes += 1;
    }

    fn replace(&self, image: SavedImage) {
        let mut state = self.state.borrow_mut();
        assert!(!state.running, "a disk is replaced while no process runs");
        state.names = Directory::restored(state.sector(), image);
        state.recount();
    }
}
