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

#[cfg(test)]
mod tests {
    use bolero::{TypeGenerator, check};

    use super::*;

    #[derive(Clone, Debug, PartialEq, TypeGenerator, Serialize, Deserialize)]
    enum Value {
        Null,
        Number(i64),
        Text(String),
        Record { id: u64, fields: Vec<Option<Field>> },
    }

    #[derive(Clone, Debug, PartialEq, TypeGenerator, Serialize, Deserialize)]
    struct Field(Vec<u8>, bool, (i8, u16));

    #[test]
    fn values_come_back() {
        check!().with_type::<Value>().with_iterations(4_000).for_each(|value| {
            assert_eq!(&deserialize::<Value>(&serialize(value).unwrap()).unwrap(), value);
        });
    }

    #[test]
    fn floats_come_back_bit_by_bit() {
        for x in [0.0, -0.0, f64::NAN, -f64::NAN, f64::INFINITY, 5e-324] {
            assert_eq!(deserialize::<f64>(&serialize(&x).unwrap()).unwrap().to_bits(), x.to_bits());
        }
    }

    #[test]
    fn every_cut_and_every_addition_is_an_error() {
        check!().with_type::<(Value, u8)>().with_iterations(2_000).for_each(|(value, byte)| {
            let mut bytes = serialize(value).unwrap();
            for len in 0..bytes.len() {
                assert!(deserialize::<Value>(&bytes[..len]).is_err());
            }
            bytes.push(*byte);
            assert_eq!(deserialize::<Value>(&bytes), Err(Error::Value("1 bytes are left over".into())));
        });
    }

    #[test]
    fn bytes_from_outside_never_panic() {
        check!().with_type::<Vec<u8>>().with_iterations(20_000).for_each(|bytes| {
            let _: Result<Value, Error> = deserialize(bytes);
            let _: Result<Vec<Vec<String>>, Error> = deserialize(bytes);
        });
        // A length that the input does not fill reserves no memory for it.
        let claims_to_be_huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert!(deserialize::<Vec<u64>>(&claims_to_be_huge).is_err());
        assert!(deserialize::<String>(&claims_to_be_huge).is_err());
    }
}
