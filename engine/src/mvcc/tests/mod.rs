mod golden;
mod model;
mod snapshot;
mod sweep;
