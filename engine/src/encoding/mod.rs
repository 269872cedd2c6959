//! Encodings: order-preserving keys ([`keycode`]) and compact values ([`value`]).

pub mod keycode;
pub mod value;

/// Why bytes do not encode or decode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A key does not decode, or its type cannot be a key.
    #[error("invalid key: {0}")]
    Key(String),
    /// A value does not decode.
    #[error("invalid value: {0}")]
    Value(String),
}
