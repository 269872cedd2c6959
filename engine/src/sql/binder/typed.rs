//! Expressions with their types, and what types make of each other.

use super::super::algebra::{Binary, Expr};
use super::super::error::{Error, SqlState};
use super::super::explain::symbol;
use super::super::schema::Table;
use super::super::types::{DataType, Value};

type Result<T> = std::result::Result<T, Error>;

/// An expression with its type. The type is `None` if it is not known: NULL, which fits everywhere.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    pub expr: Expr,
    pub datatype: Option<DataType>,
    /// A literal or parameter of type TEXT, which adapts to the type that is wanted.
    pub adapts: bool,
}

impl Typed {
    pub fn new(expr: Expr, datatype: Option<DataType>) -> Self {
        Self { expr, datatype, adapts: false }
    }

    pub fn boolean(expr: Expr) -> Self {
        Self::new(expr, Some(DataType::Boolean))
    }

    pub fn constant(value: Value) -> Self {
        let (datatype, adapts) = (value.datatype(), matches!(value, Value::Text(_)));
        Self { expr: Expr::Constant(value), datatype, adapts }
    }

    /// The type as functions look at it: a literal text can be anything.
    pub fn argument(&self) -> Option<DataType> {
        if self.adapts { None } else { self.datatype }
    }

    /// As a condition of a clause.
    pub fn condition(self, clause: &str) -> Result<Expr> {
        let typed = if self.adapts { self.cast(DataType::Boolean)? } else { self };
        match typed.datatype {
            None | Some(DataType::Boolean) => Ok(typed.expr),
            Some(other) => {
                let message = format!("the argument of {clause} is of type {other}, not BOOLEAN");
                Err(Error::new(SqlState::DATATYPE_MISMATCH, message))
            }
        }
    }

    /// Cast to a type, unless it has that type. A literal is cast at once: one that cannot be is an error wherever it
    /// stands.
    pub fn cast(self, to: DataType) -> Result<Self> {
        let expr = match self.expr {
            expr if self.datatype == Some(to) => expr,
            Expr::Constant(value) => Expr::Constant(value.cast(to)?),
            expr if self.datatype.is_none() => expr,
            expr => {
                if let (Some(DataType::Boolean), DataType::Float) | (Some(DataType::Float), DataType::Boolean) =
                    (self.datatype, to)
                {
                    let from = self.datatype.map_or_else(String::new, |from| from.to_string());
                    return Err(Error::new(SqlState::DATATYPE_MISMATCH, format!("cannot cast {from} to {to}")));
                }
                Expr::Cast(Box::new(expr), to)
            }
        };
        Ok(Self::new(expr, Some(to)))
    }
}

/// Gives a literal text the type of the other side, as PostgreSQL does with literals of unknown type.
pub(super) fn adapt(a: Typed, b: Typed) -> Result<(Typed, Typed)> {
    match (a.datatype, b.datatype) {
        (_, Some(to)) if a.adapts && to != DataType::Text => Ok((a.cast(to)?, b)),
        (Some(to), _) if b.adapts && to != DataType::Text => Ok((a, b.cast(to)?)),
        _ => Ok((a, b)),
    }
}

/// Makes an expression comparable with several others. Texts among them adapt to a type that any of them has.
pub(super) fn adapt_all(op: Binary, expr: Typed, others: Vec<Typed>) -> Result<(Typed, Vec<Typed>)> {
    let wanted = std::iter::once(&expr).chain(&others).filter(|typed| !typed.adapts).find_map(|typed| typed.datatype);
    let adapted = |typed: Typed| match wanted {
        Some(wanted) if typed.adapts => typed.cast(wanted),
        _ => Ok(typed),
    };
    let expr = adapted(expr)?;
    let others = others.into_iter().map(adapted).collect::<Result<Vec<_>>>()?;
    for other in &others {
        comparable(op, &expr, other)?;
    }
    Ok((expr, others))
}

pub(super) fn comparable(op: Binary, a: &Typed, b: &Typed) -> Result<()> {
    let class = |datatype: DataType| if datatype == DataType::Float { DataType::Integer } else { datatype };
    match (a.datatype, b.datatype) {
        (Some(x), Some(y)) if class(x) != class(y) => Err(no_operator(symbol(op), &[a, b])),
        _ => Ok(()),
    }
}

/// The type that several results have in common; integers become floats next to floats, and texts adapt.
pub(super) fn common_type<'t>(what: &str, types: impl Iterator<Item = &'t Typed> + Clone) -> Result<Option<DataType>> {
    let of = |typed: &Typed| (typed.datatype, typed.adapts);
    common_of(what, types.map(of))
}

/// As [`common_type`], of types and whether they adapt.
pub(super) fn common_of(
    what: &str,
    types: impl Iterator<Item = (Option<DataType>, bool)> + Clone,
) -> Result<Option<DataType>> {
    let mut common: Option<DataType> = None;
    for (datatype, _) in types.clone().filter(|(_, adapts)| !adapts) {
        common = match (common, datatype) {
            (Some(DataType::Integer), Some(DataType::Float)) | (Some(DataType::Float), Some(DataType::Integer)) => {
                Some(DataType::Float)
            }
            (Some(a), Some(b)) if a != b => {
                let message = format!("the results of {what} are of types {a} and {b}");
                return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
            }
            (a, b) => a.or(b),
        };
    }
    Ok(common.or_else(|| types.into_iter().find_map(|(datatype, _)| datatype)))
}

/// Converts a value that is assigned to a column: numbers to each other's type, anything to text, and a literal text to
/// anything.
pub(super) fn assign(value: Typed, table: &Table, column: usize) -> Result<Expr> {
    let column = &table.columns[column];
    let allowed = match (value.datatype, column.datatype) {
        (None, _) | (_, DataType::Text) => true,
        (Some(from), to) if from == to => true,
        (Some(DataType::Integer | DataType::Float), DataType::Integer | DataType::Float) => true,
        (Some(DataType::Text), _) => value.adapts,
        _ => false,
    };
    if !allowed {
        let from = value.datatype.map_or_else(String::new, |from| from.to_string());
        let message =
            format!("column {:?} is of type {}, but the value is of type {from}", column.name, column.datatype);
        return Err(Error::new(SqlState::DATATYPE_MISMATCH, message).with_hint("use CAST"));
    }
    Ok(value.cast(column.datatype)?.expr)
}

pub(super) fn no_operator(name: &str, args: &[&Typed]) -> Error {
    let types: Vec<String> = args
        .iter()
        .map(|arg| arg.datatype.map_or_else(|| "NULL".to_string(), |datatype| datatype.to_string()))
        .collect();
    let message = format!("{name} does not take {}", types.join(" and "));
    Error::new(SqlState::UNDEFINED_FUNCTION, message).with_hint("use CAST")
}
