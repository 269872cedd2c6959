//! Tests of the protocol: golden scripts for what should happen, arbitrary schedules for what must never happen; and of
//! the log on disk, under crashes and damage.

mod cluster;
mod codec;
mod durable_log;
mod lost_log;

mod safety;
mod schedule;
mod scripts;
