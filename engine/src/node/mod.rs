//! One database node.
