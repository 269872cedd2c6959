//! The universe: plays scenarios against a cluster of the real engine in virtual time, and judges them.
//!
//! [`universe`] is one run: processes, clients, faults and phases on madsim, over the hostile parts ([`disk`],
//! [`network`], [`clock`]). [`play()`] runs one on a fresh thread and gives its [`report`]; [`sweep`](mod@sweep) runs many.
//! A [`trace`] keeps one as a file. Nothing here knows how the engine works inside: a universe moves bytes and time.

pub mod cli;
pub mod clock;
mod compare;
pub mod digest;
pub mod disk;
pub mod draw;
mod files;
pub mod film;
pub mod guided;
mod host;
pub mod html;
pub mod inspect;
mod logging;
mod migrate;
mod names;
pub mod narrate;
pub mod network;
mod play;
mod post_mortem;
pub mod report;
pub mod shrink;
pub mod story;
pub mod sweep;
pub mod trace;
pub mod universe;
pub mod verdict;

pub use play::{Footage, play, play_twice, watch};
