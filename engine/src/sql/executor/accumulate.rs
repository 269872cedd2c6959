//! What aggregates make of the values of a group, one by one.

use std::cmp::Ordering;

use super::super::error::{Error, Failure, SqlState};
use super::super::functions::{AggregateFunction, check_length};
use super::super::types::Value;
use super::context::Memory;

/// The states of one aggregate for numbered groups. Those that are most common are small, since to add to them is to wait
/// for memory where there are many groups.
pub(super) enum States {
    Counts(Vec<i64>),
    /// Sums of integers, as long as each of them is one. They become [`Accumulator`]s, all at once, with the first value
    /// that makes one of them something else.
    Sums(Vec<IntegerSum>),
    Others(Vec<Accumulator>),
}

/// The sum of some integers.
#[derive(Clone, Copy, Default)]
pub(super) struct IntegerSum {
    count: u64,
    sum: i64,
}

impl IntegerSum {
    /// Adds a value, unless the sum would be no integer.
    #[inline]
    fn add(&mut self, value: &Value) -> bool {
        let Value::Integer(n) = value else { return false };
        let Some(sum) = self.sum.checked_add(*n) else { return false };
        *self = Self { count: self.count + 1, sum };
        true
    }
}

impl States {
    pub fn new(function: AggregateFunction) -> Self {
        match function {
            AggregateFunction::CountRows | AggregateFunction::Count => Self::Counts(Vec::new()),
            AggregateFunction::Sum | AggregateFunction::Total | AggregateFunction::Avg => Self::Sums(Vec::new()),
            _ => Self::Others(Vec::new()),
        }
    }

    /// How many bytes a state takes at most, besides what its value has elsewhere.
    pub fn size(&self) -> usize {
        match self {
            Self::Counts(_) => size_of::<i64>(),
            Self::Sums(_) | Self::Others(_) => size_of::<Accumulator>(),
        }
    }

    /// Adds the state of a group without rows.
    pub fn add_group(&mut self, function: AggregateFunction) {
        match self {
            Self::Counts(counts) => counts.push(0),
            Self::Sums(sums) => sums.push(IntegerSum::default()),
            Self::Others(accumulators) => accumulators.push(Accumulator::new(function)),
        }
    }

    /// Adds a value that is not NULL to a group; for COUNT(*), a row. `second` is the second argument.
    #[inline]
    pub fn add(
        &mut self,
        group: usize,
        function: AggregateFunction,
        (value, second): (&Value, Option<&Value>),
        memory: &mut Memory<'_>,
    ) -> Result<(), Failure> {
        match self {
            Self::Counts(counts) => {
                counts[group] += 1;
                Ok(())
            }
            Self::Sums(sums) => {
                if sums[group].add(value) {
                    return Ok(());
                }
                self.widen();
                self.add(group, function, (value, second), memory)
            }
            Self::Others(accumulators) => accumulators[group].add(function, value, second, memory),
        }
    }

    /// As [`States::add`], for values that have no second argument. To do little else for each leaves the processor room to
    /// wait for many at once.
    pub fn add_all<'v>(
        &mut self,
        function: AggregateFunction,
        mut values: impl Iterator<Item = (usize, &'v Value)>,
        memory: &mut Memory<'_>,
    ) -> Result<(), Failure> {
        match self {
            Self::Counts(counts) => {
                values.for_each(|(group, _)| counts[group] += 1);
                return Ok(());
            }
            Self::Sums(sums) => {
                let other = values.find(|(group, value)| !sums[*group].add(value));
                let Some((group, value)) = other else { return Ok(()) };
                self.widen();
                self.add(group, function, (value, None), memory)?;
            }
            Self::Others(_) => {}
        }
        values.try_for_each(|(group, value)| self.add(group, function, (value, None), memory))
    }

    /// Makes sums of integers larger, which can become anything.
    fn widen(&mut self) {
        if let Self::Sums(sums) = self {
            *self = Self::Others(sums.iter().map(|sum| Accumulator::sum(*sum)).collect());
        }
    }

    /// Puts what the aggregate gives for a group where it stays.
    pub fn finish(&self, group: usize, function: AggregateFunction, result: &mut Value) -> Result<(), Error> {
        match self {
            Self::Counts(counts) => {
                *result = Value::Integer(counts[group]);
                Ok(())
            }
            Self::Sums(sums) => Accumulator::sum(sums[group]).finish(function, result),
            Self::Others(accumulators) => accumulators[group].finish(function, result),
        }
    }

    /// Forgets all groups.
    pub fn clear(&mut self) {
        match self {
            Self::Counts(counts) => counts.clear(),
            Self::Sums(sums) => sums.clear(),
            Self::Others(accumulators) => accumulators.clear(),
        }
    }
}

/// The state of an aggregate over the values so far, of any that is no count.
#[derive(Clone, Debug)]
pub(super) enum Accumulator {
    /// Integers are summed exactly, so only the result can be out of range: the bytes of an `i128`, which would make the
    /// state larger.
    Sum {
        count: u64,
        sum: [u8; 16],
    },
    /// A sum from the first float on.
    Floats {
        count: u64,
        sum: f64,
    },
    /// The best value so far.
    Best(Value),
    Truth(Option<bool>),
    Texts(Option<String>),
    /// Welford's method.
    Moments {
        count: u64,
        mean: f64,
        squares: f64,
    },
}

impl Accumulator {
    fn sum(IntegerSum { count, sum }: IntegerSum) -> Self {
        Self::Sum { count, sum: i128::from(sum).to_ne_bytes() }
    }

    fn new(function: AggregateFunction) -> Self {
        use AggregateFunction::{
            And, Avg, Concat, Count, CountRows, Deviation, DeviationPopulation, Max, Min, Or, Sum, Total, Variance,
            VariancePopulation,
        };
        match function {
            CountRows | Count => unreachable!("counts stand alone"),
            Sum | Total | Avg => Self::sum(IntegerSum::default()),
            Min | Max => Self::Best(Value::Null),
            And | Or => Self::Truth(None),
            Concat => Self::Texts(None),
            Variance | VariancePopulation | Deviation | DeviationPopulation => {
                Self::Moments { count: 0, mean: 0.0, squares: 0.0 }
            }
        }
    }

    /// Adds a value that is not NULL. `second` is the second argument.
    #[inline]
    fn add(
        &mut self,
        function: AggregateFunction,
        value: &Value,
        second: Option<&Value>,
        memory: &mut Memory<'_>,
    ) -> Result<(), Failure> {
        match (self, value) {
            (Self::Sum { count, sum }, Value::Integer(n)) => {
                *count += 1;
                *sum = (i128::from_ne_bytes(*sum) + i128::from(*n)).to_ne_bytes();
            }
            (state, value) => state.add_rarer(function, value, second, memory)?,
        }
        Ok(())
    }

    /// Adds what is no integer to sum.
    fn add_rarer(
        &mut self,
        function: AggregateFunction,
        value: &Value,
        second: Option<&Value>,
        memory: &mut Memory<'_>,
    ) -> Result<(), Failure> {
        match (self, value) {
            (state @ Self::Sum { .. }, Value::Float(x)) => {
                let Self::Sum { count, sum } = *state else { unreachable!("it is a sum") };
                *state = Self::Floats { count: count + 1, sum: i128::from_ne_bytes(sum) as f64 + x };
            }
            (Self::Floats { count, sum }, value @ (Value::Float(_) | Value::Integer(_))) => {
                *count += 1;
                *sum += number(value);
            }
            (Self::Best(best), value) => {
                let wanted = if function == AggregateFunction::Min { Ordering::Less } else { Ordering::Greater };
                if matches!(best, Value::Null) || value.sort_order(best) == wanted {
                    if let Value::Text(text) = value {
                        memory.must_take(text.len())?;
                    }
                    *best = value.clone();
                }
            }
            (Self::Truth(truth), Value::Boolean(b)) => {
                *truth = Some(match (function, *truth) {
                    (_, None) => *b,
                    (AggregateFunction::And, Some(truth)) => truth && *b,
                    (_, Some(truth)) => truth || *b,
                });
            }
            (Self::Texts(texts), Value::Text(text)) => {
                memory.must_take(text.len() + 1)?;
                match texts {
                    None => *texts = Some(text.to_string()),
                    Some(texts) => {
                        match second {
                            None => texts.push(','),
                            Some(Value::Text(separator)) => {
                                memory.must_take(separator.len())?;
                                texts.push_str(separator);
                            }
                            // A separator that is NULL is none.
                            Some(_) => {}
                        }
                        texts.push_str(text);
                        check_length(texts.len())?;
                    }
                }
            }
            (Self::Moments { count, mean, squares }, value @ (Value::Float(_) | Value::Integer(_))) => {
                let x = number(value);
                *count += 1;
                let before = x - *mean;
                *mean += before / *count as f64;
                *squares += before * (x - *mean);
            }
            (_, value) => {
                let message = format!("{function:?} does not take {value:?}");
                return Err(Error::new(SqlState::DATATYPE_MISMATCH, message).into());
            }
        }
        Ok(())
    }

    /// Puts what the aggregate gives where it stays.
    fn finish(&self, function: AggregateFunction, result: &mut Value) -> Result<(), Error> {
        *result = match self {
            Self::Sum { count, sum } => {
                let sum = i128::from_ne_bytes(*sum);
                match function {
                    AggregateFunction::Total => Value::Float(sum as f64),
                    _ if *count == 0 => Value::Null,
                    AggregateFunction::Avg => Value::Float(sum as f64 / *count as f64),
                    _ => Value::Integer(i64::try_from(sum).map_err(|_| {
                        Error::new(SqlState::NUMERIC_OUT_OF_RANGE, "a sum is out of the range of INTEGER")
                    })?),
                }
            }
            Self::Floats { count, sum } => match function {
                AggregateFunction::Avg => Value::float(sum / *count as f64),
                _ => Value::float(*sum),
            },
            Self::Best(best) => best.clone(),
            Self::Truth(truth) => truth.map_or(Value::Null, Value::Boolean),
            Self::Texts(texts) => texts.as_deref().map_or(Value::Null, Value::from),
            Self::Moments { count, squares, .. } => {
                use AggregateFunction::{Deviation, DeviationPopulation, Variance};
                let degrees = if matches!(function, Variance | Deviation) { count.saturating_sub(1) } else { *count };
                let variance = squares / degrees as f64;
                let root = matches!(function, Deviation | DeviationPopulation);
                match degrees {
                    0 => Value::Null,
                    _ => Value::float(if root { variance.sqrt() } else { variance }),
                }
            }
        };
        Ok(())
    }
}

/// A number as a float.
fn number(value: &Value) -> f64 {
    match value {
        Value::Integer(n) => *n as f64,
        Value::Float(x) => *x,
        other => unreachable!("{other:?} is no number"),
    }
}
