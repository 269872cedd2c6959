//! Functions by name: which there are, what they take, and what they give.
//!
//! A call is resolved once, when a statement is bound: the name and the types of the arguments pick one of the
//! signatures, and the answer says which types the arguments have to be cast to. What is left in the plan is a handle.
//! Functions are pure: of the same arguments they make the same value, bit for bit, on every machine, so the
//! transcendental ones come from `libm` and not from the system.
//!
//! An embedding program adds scalar functions of its own to a [`Registry`].

mod aggregate;
mod general;
mod numeric;
mod system;
mod text;

use std::fmt;

use super::error::{Error, SqlState};
use super::types::{DataType, Value};

pub use aggregate::{AggregateFunction, AggregateResolved, aggregate, is_aggregate};
pub use text::MAX_TEXT;
pub(in crate::sql) use text::check_length;

/// What a function makes of its arguments.
pub type Call = fn(&[&Value]) -> Result<Value, Error>;

/// A scalar function with one signature.
pub struct Scalar {
    name: &'static str,
    arguments: &'static [Argument],
    /// What may follow the arguments, any number of times.
    rest: Option<Argument>,
    result: Output,
    /// NULL if an argument is NULL, without a call.
    strict: bool,
    call: Call,
}

/// What an argument may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// Of a type, or what can be taken for it.
    Is(DataType),
    /// Anything.
    Any,
    /// Of the type that all such arguments have in common.
    Common,
}

impl Argument {
    /// A truth.
    pub const BOOLEAN: Self = Self::Is(DataType::Boolean);
    /// An integer.
    pub const INTEGER: Self = Self::Is(DataType::Integer);
    /// A float; an integer is converted.
    pub const FLOAT: Self = Self::Is(DataType::Float);
    /// A text.
    pub const TEXT: Self = Self::Is(DataType::Text);
}

/// What type the result has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    Is(DataType),
    /// That of the arguments of type [`Argument::Common`].
    Common,
}

impl Scalar {
    /// A function that gives NULL if an argument is NULL, and is called with values of the types otherwise. The name is
    /// in lower case.
    pub const fn new(name: &'static str, arguments: &'static [Argument], result: DataType, call: Call) -> Self {
        Self { name, arguments, rest: None, result: Output::Is(result), strict: true, call }
    }

    /// Lets the function have the NULLs too.
    #[must_use]
    pub const fn with_nulls(mut self) -> Self {
        self.strict = false;
        self
    }

    /// A function of any number of arguments, which has the NULLs too.
    const fn general(
        name: &'static str,
        arguments: &'static [Argument],
        rest: Option<Argument>,
        result: Output,
        call: Call,
    ) -> Self {
        Self { name, arguments, rest, result, strict: false, call }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The kind of an argument by its position; `None` if there are not so many.
    fn argument(&self, position: usize) -> Option<Argument> {
        self.arguments.get(position).copied().or(self.rest)
    }

    fn takes(&self, count: usize) -> bool {
        count >= self.arguments.len() && (count == self.arguments.len() || self.rest.is_some())
    }

    /// How well the types fit: how many have to be converted, or `None` if they do not fit at all.
    fn fit(&self, types: &[Option<DataType>]) -> Option<usize> {
        if !self.takes(types.len()) {
            return None;
        }
        let mut converted = 0;
        for (position, &given) in types.iter().enumerate() {
            match (self.argument(position)?, given) {
                (Argument::Any | Argument::Common, _) | (_, None) => {}
                (Argument::Is(wanted), Some(given)) if wanted == given => {}
                (Argument::Is(DataType::Float), Some(DataType::Integer)) => converted += 1,
                _ => return None,
            }
        }
        self.common(types).ok()?;
        Some(converted)
    }

    /// The type that the arguments of type [`Argument::Common`] have in common.
    fn common(&self, types: &[Option<DataType>]) -> Result<DataType, Error> {
        let common =
            types.iter().enumerate().filter(|(position, _)| self.argument(*position) == Some(Argument::Common));
        common_type(common.map(|(_, datatype)| *datatype))
    }

    fn resolve(&'static self, types: &[Option<DataType>]) -> Result<Resolved, Error> {
        let common = self.common(types)?;
        let arguments = types.iter().enumerate().map(|(position, given)| match self.argument(position) {
            Some(Argument::Is(datatype)) => datatype,
            Some(Argument::Common) => common,
            _ => given.unwrap_or(DataType::Text),
        });
        let result = match self.result {
            Output::Is(datatype) => datatype,
            Output::Common => common,
        };
        let function =
            if self.name == "coalesce" || self.name == "ifnull" { Function::Coalesce } else { Function::Scalar(self) };
        Ok(Resolved { function, arguments: arguments.collect(), result })
    }
}

/// The type of which values of several types can all be; TEXT if nothing is known of any.
pub fn common_type(types: impl Iterator<Item = Option<DataType>>) -> Result<DataType, Error> {
    let mut common = None;
    for datatype in types.flatten() {
        common = Some(match (common, datatype) {
            (None, datatype) => datatype,
            (Some(common), datatype) if common == datatype => datatype,
            (Some(DataType::Integer | DataType::Float), DataType::Integer | DataType::Float) => DataType::Float,
            (Some(common), datatype) => {
                let message = format!("{common} and {datatype} have no type in common");
                return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
            }
        });
    }
    Ok(common.unwrap_or(DataType::Text))
}

/// A scalar function as a plan has it.
#[derive(Clone, Copy)]
pub enum Function {
    /// The first argument that is not NULL; those after it are not evaluated.
    Coalesce,
    /// Any other.
    Scalar(&'static Scalar),
}

/// A call that has been resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The function.
    pub function: Function,
    /// The types that the arguments have to be of: those that are not have to be cast.
    pub arguments: Vec<DataType>,
    /// The type of what it gives, unless that is NULL.
    pub result: DataType,
}

impl Function {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Coalesce => "coalesce",
            Self::Scalar(scalar) => scalar.name,
        }
    }

    /// Whether it has a value for all arguments of the types that it was resolved to.
    pub fn is_total(&self) -> bool {
        const TOTAL: [&str; 14] = [
            "nullif",
            "greatest",
            "least",
            "typeof",
            "pg_typeof",
            "num_nulls",
            "num_nonnulls",
            "length",
            "char_length",
            "character_length",
            "octet_length",
            "starts_with",
            "strpos",
            "sign",
        ];
        match self {
            Self::Coalesce => true,
            // A function that a program has added may have one of the names.
            Self::Scalar(scalar) => {
                TOTAL.contains(&scalar.name)
                    && BUILT_IN.iter().any(|functions| functions.iter().any(|own| std::ptr::eq(own, *scalar)))
            }
        }
    }

    /// Calls it with values of the types that it was resolved to.
    pub fn call(&self, args: &[&Value]) -> Result<Value, Error> {
        match self {
            Self::Coalesce => {
                let value = args.iter().find(|value| !matches!(value, Value::Null));
                Ok(value.map_or(Value::Null, |value| (*value).clone()))
            }
            Self::Scalar(scalar) if scalar.strict && args.iter().any(|value| matches!(value, Value::Null)) => {
                Ok(Value::Null)
            }
            Self::Scalar(scalar) => (scalar.call)(args),
        }
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Coalesce, Self::Coalesce) => true,
            (Self::Scalar(a), Self::Scalar(b)) => std::ptr::eq(*a, *b),
            _ => false,
        }
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name)?;
        for (position, argument) in self.arguments.iter().chain(&self.rest).enumerate() {
            let comma = if position == 0 { "" } else { ", " };
            match argument {
                Argument::Is(datatype) => write!(f, "{comma}{datatype}")?,
                Argument::Any | Argument::Common => write!(f, "{comma}any")?,
            }
        }
        f.write_str(if self.rest.is_some() { ", ...)" } else { ")" })
    }
}

/// The functions that every database has, and those that a program has added.
#[derive(Clone, Default)]
pub struct Registry {
    added: Vec<&'static Scalar>,
}

/// The functions that are there always.
static BUILT_IN: [&[Scalar]; 4] = [numeric::FUNCTIONS, text::FUNCTIONS, general::FUNCTIONS, system::FUNCTIONS];

impl Registry {
    /// Adds a function. One with the same name and the same arguments as one that is there is an error (42723).
    pub fn add(&mut self, function: &'static Scalar) -> Result<(), Error> {
        let same = |other: &'static Scalar| other.arguments == function.arguments && other.rest == function.rest;
        if self.named(function.name).any(same) || is_aggregate(function.name) {
            let message = format!("there is a function {function} already");
            return Err(Error::new(SqlState::DUPLICATE_FUNCTION, message));
        }
        self.added.push(function);
        Ok(())
    }

    /// Finds the function for a call of a name, in lower case, with arguments of these types; `None` is a NULL, or a
    /// literal that can be of any type.
    pub fn scalar(&self, name: &str, types: &[Option<DataType>]) -> Result<Resolved, Error> {
        let fits = self.named(name).filter_map(|function| Some((function.fit(types)?, function)));
        if let Some((_, function)) = fits.min_by_key(|(converted, _)| *converted) {
            return function.resolve(types);
        }
        // All arguments would do, but not together.
        if let Some(function) = self.named(name).find(|function| function.takes(types.len()))
            && function.rest == Some(Argument::Common)
        {
            function.common(types)?;
        }
        let known: Vec<String> = self.named(name).map(ToString::to_string).collect();
        let given = types.iter().map(|datatype| datatype.map_or_else(|| "NULL".to_string(), |given| given.to_string()));
        let given = given.collect::<Vec<_>>().join(", ");
        let error = Error::new(SqlState::UNDEFINED_FUNCTION, format!("there is no function {name}({given})"));
        Err(if known.is_empty() { error } else { error.with_hint(format!("there is {}", known.join(", "))) })
    }

    /// Whether there is a scalar function of a name, in lower case.
    pub fn is_scalar(&self, name: &str) -> bool {
        self.named(name).next().is_some()
    }

    /// The names of all scalar functions, in no particular order, some several times.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.all().map(|function| function.name)
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &'static Scalar> {
        self.all().filter(move |function| function.name == name)
    }

    fn all(&self) -> impl Iterator<Item = &'static Scalar> {
        BUILT_IN.iter().flat_map(|functions| functions.iter()).chain(self.added.iter().copied())
    }
}

/// Finds one of the functions that every database has: see [`Registry::scalar`].
pub fn scalar(name: &str, types: &[Option<DataType>]) -> Result<Resolved, Error> {
    Registry::default().scalar(name, types)
}

/// An argument of another type than the function takes, which the casts of a resolved call prevent.
fn mismatch(function: &str, args: &[&Value]) -> Error {
    Error::new(SqlState::DATATYPE_MISMATCH, format!("{function} does not take {args:?}"))
}

#[cfg(test)]
mod tests;
