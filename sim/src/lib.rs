//! The universe.

pub mod clock;
pub mod digest;
pub mod disk;
pub mod draw;
pub mod network;
