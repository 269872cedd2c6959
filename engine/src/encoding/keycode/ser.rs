//! The encoder.

use serde::ser::{self, Serialize};

use super::{Error, escape_into};

pub(super) struct Serializer<'a> {
    pub bytes: &'a mut Vec<u8>,
}

/// Big-endian integers; signed ones with the sign bit flipped.
macro_rules! integers {
    ($($name:ident: $type:ty => $flip:expr),* $(,)?) => {
        $(fn $name(self, value: $type) -> Result<(), Error> {
            self.bytes.extend_from_slice(&(value ^ $flip).to_be_bytes());
            Ok(())
        })*
    };
}

impl<'a, 'b> ser::Serializer for &'b mut Serializer<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Sequence<'b, 'a>;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = ser::Impossible<(), Error>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    integers! {
        serialize_u8: u8 => 0, serialize_u16: u16 => 0, serialize_u32: u32 => 0, serialize_u64: u64 => 0,
        serialize_u128: u128 => 0,
        serialize_i8: i8 => i8::MIN, serialize_i16: i16 => i16::MIN, serialize_i32: i32 => i32::MIN,
        serialize_i64: i64 => i64::MIN, serialize_i128: i128 => i128::MIN,
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.serialize_u8(u8::from(value))
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        let bits = value.to_bits();
        self.serialize_u32(if value.is_sign_negative() { !bits } else { bits ^ 1 << 31 })
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        let bits = value.to_bits();
        self.serialize_u64(if value.is_sign_negative() { !bits } else { bits ^ 1 << 63 })
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_u32(value.into())
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        self.serialize_bytes(value.as_bytes())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        escape_into(self.bytes, value);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_u8(0)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        self.bytes.push(1);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        Ok(())
    }

    fn serialize_unit_variant(self, name: &'static str, index: u32, _: &'static str) -> Result<(), Error> {
        let index = u8::try_from(index).map_err(|_| Error::Key(format!("{name} has more than 256 variants")))?;
        self.serialize_u8(index)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.serialize_unit_variant(name, index, variant)?;
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Error> {
        Ok(Sequence(self))
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self, Error> {
        self.serialize_unit_variant(name, index, variant)?;
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Error> {
        Err(Error::Key("a map cannot be a key".into()))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self, Error> {
        self.serialize_unit_variant(name, index, variant)?;
        Ok(self)
    }
}

pub(super) struct Sequence<'b, 'a>(&'b mut Serializer<'a>);

impl ser::SerializeSeq for Sequence<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.0.bytes.push(1);
        value.serialize(&mut *self.0)
    }

    fn end(self) -> Result<(), Error> {
        self.0.bytes.push(0);
        Ok(())
    }
}

/// Everything with a fixed shape: one field after the other.
macro_rules! concatenate {
    ($($trait:ident::$method:ident($($name:ident: $type:ty)?)),* $(,)?) => {
        $(impl ser::$trait for &mut Serializer<'_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, $($name: $type,)? value: &T) -> Result<(), Error> {
                value.serialize(&mut **self)
            }

            fn end(self) -> Result<(), Error> {
                Ok(())
            }
        })*
    };
}

concatenate! {
    SerializeTuple::serialize_element(),
    SerializeTupleStruct::serialize_field(),
    SerializeTupleVariant::serialize_field(),
    SerializeStruct::serialize_field(_name: &'static str),
    SerializeStructVariant::serialize_field(_name: &'static str),
}
