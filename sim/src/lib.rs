//! The universe.

pub mod clock;
pub mod digest;
pub mod draw;
pub mod network;
