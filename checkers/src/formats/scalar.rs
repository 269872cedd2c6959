//! JSON scalars: the keys, clients and values of recorded histories.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

/// A number of this size or larger may already have lost its last digits when it was read.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Something that is neither an array nor an object.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Integer(i64),
    /// A string, a boolean, or another number.
    Other(Value),
}

/// What a read was answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    One(Scalar),
    List(Vec<Scalar>),
}

impl Scalar {
    pub(super) fn of(value: Value) -> Result<Self, String> {
        match value {
            Value::Null => Ok(Self::Null),
            Value::Number(number) => match number.as_i64() {
                Some(integer) => Ok(Self::Integer(integer)),
                None if number.as_f64().is_some_and(|float| float.abs() < EXACT) || number.is_u64() => {
                    Ok(Self::Other(Value::Number(number)))
                }
                None => Err(format!("{number} is too large to be exact; write it as a string")),
            },
            Value::Bool(_) | Value::String(_) => Ok(Self::Other(value)),
            Value::Array(_) => Err("an array where a single value belongs".into()),
            Value::Object(_) => Err("an object where a single value belongs".into()),
        }
    }

    pub(super) fn value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Integer(integer) => integer.into(),
            Self::Other(value) => value,
        }
    }

    /// The scalar as a name: strings without their quotes.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Integer(integer) => integer.to_string(),
            Self::Other(Value::String(text)) => text.clone(),
            Self::Other(value) => value.to_string(),
        }
    }
}

struct Scalars;

impl Visitor<'_> for Scalars {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, a string, a boolean or null")
    }

    fn visit_unit<E: Error>(self) -> Result<Scalar, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Other(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar::Integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar, E> {
        Ok(i64::try_from(value).map_or_else(|_| Scalar::Other(value.into()), Scalar::Integer))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number that is not finite"))?;
        Scalar::of(Value::Number(number)).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Scalar, E> {
        Ok(Scalar::Other(value.into()))
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Scalars)
    }
}

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Answers;

        impl<'de> Visitor<'de> for Answers {
            type Value = Answer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, a string, a boolean, null or an array of them")
            }

            fn visit_unit<E: Error>(self) -> Result<Answer, E> {
                Scalars.visit_unit().map(Answer::One)
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Answer, E> {
                Scalars.visit_bool(value).map(Answer::One)
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Answer, E> {
                Scalars.visit_i64(value).map(Answer::One)
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Answer, E> {
                Scalars.visit_u64(value).map(Answer::One)
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Answer, E> {
                Scalars.visit_f64(value).map(Answer::One)
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Answer, E> {
                Scalars.visit_str(value).map(Answer::One)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Answer, A::Error> {
                let mut list = Vec::new();
                while let Some(element) = elements.next_element()? {
                    list.push(element);
                }
                Ok(Answer::List(list))
            }
        }

        deserializer.deserialize_any(Answers)
    }
}

/// The rows that a predicate read saw, by key, each key once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rows(pub Vec<(String, Scalar)>);

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Rows;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with the rows that were seen, by key")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Rows, A::Error> {
                let mut rows: Vec<(String, Scalar)> = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    rows.push(entry);
                }
                Ok(Rows(rows))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(json: &str) -> Result<Scalar, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn numbers_stay_exact_or_are_refused() {
        assert_eq!(scalar("-9223372036854775808").unwrap(), Scalar::Integer(i64::MIN));
        assert_eq!(scalar("18446744073709551615").unwrap().text(), "18446744073709551615");
        assert!(scalar("18446744073709551616").unwrap_err().to_string().contains("too large to be exact"));
        assert!(scalar("1e400").is_err());
        assert_eq!(scalar("1.5").unwrap().text(), "1.5");
    }

    #[test]
    fn what_is_not_a_scalar_is_refused() {
        assert!(scalar("[1]").is_err() && scalar("{}").is_err() && scalar("").is_err());
        assert!(serde_json::from_str::<Answer>("[[1]]").is_err());
    }
}
