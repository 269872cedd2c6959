//! A cluster of nodes, with its clients, in golden scripts.

mod cluster;
mod golden;
