mod cluster;
mod durable_log;
mod protocol;
