//! Names for numbers: the rest of the crate calls clients, keys and values by number.
//!
//! A number of a file stays itself as far as it fits; everything else gets a number from a range that no file's numbers
//! are in, and its name is kept. So the number 7 and the string "7" are one key, but two values.

use std::collections::BTreeMap;

use super::scalar::Scalar;
use crate::history::Names;

/// Clients and keys from here on stand for names.
const NAMED: u64 = 1 << 62;

/// Values up to here stand for names.
const NAMED_VALUES: i64 = -(1 << 62);

/// Gives numbers to names.
#[derive(Default)]
pub(super) struct Interner {
    clients: BTreeMap<String, u64>,
    keys: BTreeMap<String, u64>,
    values: BTreeMap<String, i64>,
    names: Names,
}

impl Interner {
    pub(super) fn client(&mut self, name: &Scalar) -> u64 {
        number(&mut self.clients, &mut self.names.clients, name.text())
    }

    pub(super) fn key(&mut self, name: &Scalar) -> u64 {
        if let Scalar::Integer(integer) = name
            && let Ok(number) = u64::try_from(*integer)
            && number < NAMED
        {
            return number;
        }
        self.key_text(name.text())
    }

    pub(super) fn key_text(&mut self, name: String) -> u64 {
        number(&mut self.keys, &mut self.names.keys, name)
    }

    /// The number of a value, or nothing for null.
    pub(super) fn value(&mut self, value: &Scalar) -> Option<i64> {
        match value {
            Scalar::Null => None,
            Scalar::Integer(integer) if *integer > NAMED_VALUES => Some(*integer),
            Scalar::Integer(integer) => Some(self.named_value(integer.to_string())),
            Scalar::Other(value) => Some(self.named_value(value.to_string())),
        }
    }

    fn named_value(&mut self, json: String) -> i64 {
        let next = i64::MIN + self.values.len() as i64;
        let names = &mut self.names.values;
        *self.values.entry(json).or_insert_with_key(|json| {
            names.insert(next, json.clone());
            next
        })
    }

    pub(super) fn key_name(&self, key: u64) -> String {
        self.names.key(key)
    }

    /// Whether any value is not a whole number of ordinary size.
    pub(super) fn has_named_values(&self) -> bool {
        !self.names.values.is_empty()
    }

    /// The names so far.
    pub(super) fn known(&self) -> &Names {
        &self.names
    }

    pub(super) fn names(self) -> Names {
        self.names
    }
}

/// Whether a value stands for a name, so that it has no size.
pub(super) fn is_named(value: i64) -> bool {
    value <= NAMED_VALUES
}

fn number(numbers: &mut BTreeMap<String, u64>, names: &mut BTreeMap<u64, String>, name: String) -> u64 {
    if let Ok(number) = name.parse::<u64>()
        && number < NAMED
        && number.to_string() == name
    {
        return number;
    }
    let next = NAMED + numbers.len() as u64;
    *numbers.entry(name).or_insert_with_key(|name| {
        names.insert(next, name.clone());
        next
    })
}

impl Names {
    /// What the source calls a client.
    pub fn client(&self, client: u64) -> String {
        self.clients.get(&client).cloned().unwrap_or_else(|| client.to_string())
    }

    /// What the source calls a key.
    pub fn key(&self, key: u64) -> String {
        self.keys.get(&key).cloned().unwrap_or_else(|| key.to_string())
    }

    /// What the source calls a value, as JSON.
    pub fn value(&self, value: i64) -> String {
        self.values.get(&value).cloned().unwrap_or_else(|| value.to_string())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_stay_themselves_and_names_do_not_meet_them() {
        let mut interner = Interner::default();
        let other = |value| Scalar::Other(value);
        assert_eq!(interner.key(&Scalar::Integer(7)), 7);
        assert_eq!(interner.key(&other(json!("7"))), 7);
        assert_eq!(interner.key(&other(json!("07"))), NAMED);
        assert_eq!(interner.key(&Scalar::Integer(-1)), NAMED + 1);
        assert_eq!(interner.key(&other(json!("07"))), NAMED);
        assert_eq!(interner.value(&Scalar::Integer(7)), Some(7));
        assert_eq!(interner.value(&other(json!("7"))), Some(i64::MIN));
        assert_eq!(interner.value(&Scalar::Integer(i64::MIN)), Some(i64::MIN + 1));
        let names = interner.names();
        assert_eq!(names.keys[&NAMED], "07");
        assert_eq!(names.values[&i64::MIN], "\"7\"");
    }
}
