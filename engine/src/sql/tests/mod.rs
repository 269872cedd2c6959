//! Tests of SQL from text to rows, over the versioned store: golden scripts, random statements beside a model, and text
//! that is no statement.

mod as_of;
mod database;
mod generate;
mod golden;
mod model;
mod parsing;
mod prepared;
mod queries;
mod random;
mod settings;
