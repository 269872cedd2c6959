//! Aggregates by name. What they do with the rows of a group is the executor's.

use super::super::error::{Error, SqlState};
use super::super::types::DataType;

/// An aggregate as a plan has it. All but `CountRows` leave out the rows where the first argument is NULL, and all but the
/// counts and `Total` are NULL of no rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregateFunction {
    /// COUNT(*)
    CountRows,
    /// COUNT
    Count,
    /// SUM, of integers or of floats.
    Sum,
    /// TOTAL: SUM as a float, and 0 of no rows.
    Total,
    /// AVG, as a float.
    Avg,
    /// MIN
    Min,
    /// MAX
    Max,
    /// `BOOL_AND`, EVERY
    And,
    /// `BOOL_OR`
    Or,
    /// `STRING_AGG`, `GROUP_CONCAT`: the second argument comes between the texts, by default a comma.
    Concat,
    /// `VAR_SAMP`, VARIANCE
    Variance,
    /// `VAR_POP`
    VariancePopulation,
    /// `STDDEV_SAMP`, STDDEV
    Deviation,
    /// `STDDEV_POP`
    DeviationPopulation,
}

/// A call of an aggregate that has been resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AggregateResolved {
    /// The function.
    pub function: AggregateFunction,
    /// The types that the arguments have to be of: those that are not have to be cast.
    pub arguments: Vec<DataType>,
    /// The type of what it gives, unless that is NULL.
    pub result: DataType,
}

/// The aggregates with one argument of one type, by name.
const NAMES: [(&str, AggregateFunction); 17] = [
    ("count", AggregateFunction::Count),
    ("sum", AggregateFunction::Sum),
    ("total", AggregateFunction::Total),
    ("avg", AggregateFunction::Avg),
    ("min", AggregateFunction::Min),
    ("max", AggregateFunction::Max),
    ("bool_and", AggregateFunction::And),
    ("every", AggregateFunction::And),
    ("bool_or", AggregateFunction::Or),
    ("string_agg", AggregateFunction::Concat),
    ("group_concat", AggregateFunction::Concat),
    ("var_samp", AggregateFunction::Variance),
    ("variance", AggregateFunction::Variance),
    ("var_pop", AggregateFunction::VariancePopulation),
    ("stddev", AggregateFunction::Deviation),
    ("stddev_samp", AggregateFunction::Deviation),
    ("stddev_pop", AggregateFunction::DeviationPopulation),
];

/// Whether an aggregate has a name, in lower case.
pub fn is_aggregate(name: &str) -> bool {
    NAMES.iter().any(|(known, _)| *known == name)
}

/// Finds the aggregate for a call of a name, in lower case, with arguments of these types, none for COUNT(*). `None` is
/// a NULL, or a literal that can be of any type.
pub fn aggregate(name: &str, types: &[Option<DataType>]) -> Result<AggregateResolved, Error> {
    use AggregateFunction::{And, Avg, Concat, Count, CountRows, Max, Min, Or, Sum, Total};
    use DataType::{Boolean, Float, Integer, Text};
    let function = NAMES.iter().find(|(known, _)| *known == name).map(|(_, function)| *function);
    let resolved = match (function, types) {
        (Some(Count), []) => Some((CountRows, vec![], Integer)),
        (Some(Count), [any]) => Some((Count, vec![any.unwrap_or(Text)], Integer)),
        (Some(Sum), [None | Some(Integer)]) => Some((Sum, vec![Integer], Integer)),
        (Some(Sum), [Some(Float)]) => Some((Sum, vec![Float], Float)),
        (Some(function @ (Total | Avg)), [number @ (None | Some(Integer | Float))]) => {
            Some((function, vec![number.unwrap_or(Integer)], Float))
        }
        (Some(function @ (Min | Max)), [any]) => Some((function, vec![any.unwrap_or(Text)], any.unwrap_or(Text))),
        (Some(function @ (And | Or)), [None | Some(Boolean)]) => Some((function, vec![Boolean], Boolean)),
        (Some(Concat), [_]) => Some((Concat, vec![Text], Text)),
        (Some(Concat), [_, None | Some(Text)]) => Some((Concat, vec![Text, Text], Text)),
        (Some(Count | Sum | Total | Avg | Min | Max | And | Or | Concat | CountRows) | None, _) => None,
        (Some(statistic), [None | Some(Integer | Float)]) => Some((statistic, vec![Float], Float)),
        (Some(_), _) => None,
    };
    let resolved = resolved.map(|(function, arguments, result)| AggregateResolved { function, arguments, result });
    resolved.ok_or_else(|| {
        let given = types.iter().map(|datatype| datatype.map_or_else(|| "NULL".to_string(), |given| given.to_string()));
        let given = given.collect::<Vec<_>>().join(", ");
        Error::new(SqlState::UNDEFINED_FUNCTION, format!("there is no aggregate {name}({given})"))
    })
}
