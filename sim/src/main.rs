//! The command line of the universe.

fn main() {}
