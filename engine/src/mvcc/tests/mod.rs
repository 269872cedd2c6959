mod golden;
mod model;
mod sweep;
