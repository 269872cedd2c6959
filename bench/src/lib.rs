//! Benchmarks that need what the engine's own crate should not: `cargo bench -p bench`. There is no code here.
