//! Values: postcard, which is compact and not self-describing.

use serde::{Deserialize, Serialize};

use super::Error;

/// Encodes a value.
pub fn serialize<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    postcard::to_stdvec(value).map_err(|error| Error::Value(error.to_string()))
}

/// Decodes a value. Bytes that are left over are an error.
pub fn deserialize<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Error> {
    let (value, rest) = postcard::take_from_bytes(bytes).map_err(|error| Error::Value(error.to_string()))?;
    if !rest.is_empty() {
        return Err(Error::Value(format!("{} bytes are left over", rest.len())));
    }
    Ok(value)
}
