//! The sequential objects that come with the checker. Each declares its parts, and which of its operations only read.

pub mod cas_register;
pub mod counter;
pub mod key_value;
pub mod known;
pub mod multi_register;

pub mod mutex;
pub mod queue;
pub mod register;
pub mod set;
