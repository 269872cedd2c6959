//! Raft as plain data.
