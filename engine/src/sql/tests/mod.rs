//! Tests of SQL from text to rows, over the versioned store: golden scripts, and random statements beside a model.

mod database;
mod golden;
