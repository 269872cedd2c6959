//! The universe.
