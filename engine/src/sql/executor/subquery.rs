//! Subqueries within expressions.
//!
//! What a subquery gives depends on the outer columns that it reads, and on nothing else: so each answer is kept under
//! their values, and one without such columns runs once. Where hardly any answer is asked for again, they are kept no
//! more.

use std::cell::RefCell;
use std::rc::Rc;

use super::super::algebra::{Binary, Quantifier, Subquery, SubqueryKind};
use super::super::error::{Error, Failure, SqlState};
use super::super::types::Value;
use super::arithmetic::{and, comparison, or};
use super::batch::BATCH;
use super::evaluate::{Env, Tuple};
use super::hash::{AddressMap, Key};
use super::key_table::KeyTable;
use super::{Outer, build};

/// The answers of a statement's subqueries, by the addresses of these, which only find them.
#[derive(Default)]
pub(super) struct Memos(AddressMap<Rc<RefCell<Memo>>>);

/// The answers of a subquery.
struct Memo {
    generation: u64,
    keys: KeyTable,
    answers: Vec<Answer>,
    asked: u64,
}

/// What a subquery gave.
#[derive(Clone)]
enum Answer {
    /// A scalar, or whether there is a row.
    Value(Value),
    /// All that a comparison is with.
    Set(Rc<Set>),
}

/// The distinct values of a column.
struct Set {
    values: KeyTable,
    has_null: bool,
}

/// After so many questions, at least one in eight has to have been answered before.
const TRIAL: u64 = 1024;

impl Env<'_> {
    /// The value of a subquery for a row.
    pub fn subquery(self, subquery: &Subquery, row: Tuple<'_>) -> Result<Value, Failure> {
        let answer = self.answer(subquery, row)?;
        let (SubqueryKind::Quantified { expr, op, quantifier }, Answer::Set(set)) = (&subquery.kind, &answer) else {
            return Ok(match answer {
                Answer::Value(value) => value,
                Answer::Set(_) => unreachable!("only comparisons are with sets"),
            });
        };
        let value = self.value(expr, row)?;
        Ok(set.compare(&value, *op, *quantifier, self)?.map_or(Value::Null, Value::Boolean))
    }

    fn answer(self, subquery: &Subquery, row: Tuple<'_>) -> Result<Answer, Failure> {
        let address = std::ptr::from_ref(subquery).addr();
        let memo = {
            let mut memos = self.ctx.memos.borrow_mut();
            let new = || Rc::new(RefCell::new(Memo::new(subquery.outer.len())));
            Rc::clone(memos.0.entry(address).or_insert_with(new))
        };
        let columns: Vec<usize> = (0..subquery.outer.len()).collect();
        let mut values = Vec::with_capacity(columns.len());
        for &(level, column) in &subquery.outer {
            let value = if level == 1 { row.get(column) } else { self.outer_value(level - 1, column)? };
            values.push(value.clone());
        }
        let key = Key { values: &values, columns: &columns };
        let image = key.image();
        {
            let mut memo = memo.borrow_mut();
            if memo.generation != self.ctx.generation() {
                // A common table has been made anew, which the subquery may read.
                *memo = Memo::new(columns.len());
                memo.generation = self.ctx.generation();
            }
            memo.asked += 1;
            // Different numbers that are equal can be told apart by what a query makes of them: as text, or divided.
            if let Some(number) = memo.keys.find(image, key)
                && memo.keys.key(number).iter().zip(&values).all(|(a, b)| a.datatype() == b.datatype() && a == b)
            {
                return Ok(memo.answers[number].clone());
            }
        }
        let answer = self.run(subquery, row)?;
        let mut memo = memo.borrow_mut();
        let worthwhile = memo.asked < TRIAL || memo.keys.len() as u64 <= memo.asked - memo.asked / 8;
        if memo.generation == self.ctx.generation() && worthwhile && memo.keys.find(image, key).is_none() {
            let size = KeyTable::size_of(key) + size_of::<Answer>() + answer.size();
            if !self.ctx.take_shared(size) {
                if columns.is_empty() {
                    return Err(self.ctx.out_of_memory());
                }
                return Ok(answer);
            }
            memo.keys.insert(image, key);
            memo.answers.push(answer.clone());
        }
        Ok(answer)
    }

    fn run(self, subquery: &Subquery, row: Tuple<'_>) -> Result<Answer, Failure> {
        let outer = Outer { row, around: self.outer };
        let mut rows = build(&subquery.plan, self.ctx, 0)?;
        Ok(match &subquery.kind {
            SubqueryKind::Exists => Answer::Value(Value::Boolean(rows.next(Some(&outer), 1)?.is_some())),
            SubqueryKind::Scalar => {
                let Some(mut batch) = rows.next(Some(&outer), 2)? else { return Ok(Answer::Value(Value::Null)) };
                if batch.len() > 1 || rows.next(Some(&outer), 1)?.is_some() {
                    let message = "a subquery that stands for one value gave several rows";
                    return Err(Error::new(SqlState::CARDINALITY_VIOLATION, message).into());
                }
                Answer::Value(batch.row_mut(0)[0].take())
            }
            SubqueryKind::Quantified { .. } => {
                let mut set = Set { values: KeyTable::new(1), has_null: false };
                let mut size = 0;
                while let Some(batch) = rows.next(Some(&outer), BATCH)? {
                    self.ctx.step(batch.len())?;
                    for row in batch.iter() {
                        let key = Key { values: row, columns: &[0] };
                        let image = key.image();
                        if matches!(row[0], Value::Null) {
                            set.has_null = true;
                        } else if set.values.find(image, key).is_none() {
                            size += KeyTable::size_of(key);
                            if size > self.ctx.memory_limit() {
                                return Err(self.ctx.out_of_memory());
                            }
                            set.values.insert(image, key);
                        }
                    }
                }
                Answer::Set(Rc::new(set))
            }
        })
    }
}

impl Memo {
    fn new(width: usize) -> Self {
        Self { generation: 0, keys: KeyTable::new(width), answers: Vec::new(), asked: 0 }
    }
}

impl Answer {
    /// About how many bytes it takes, besides itself.
    fn size(&self) -> usize {
        match self {
            Self::Value(Value::Text(text)) => text.len(),
            Self::Value(_) => 0,
            Self::Set(set) => (0..set.values.len())
                .map(|number| KeyTable::size_of(Key { values: set.values.key(number), columns: &[0] }))
                .sum(),
        }
    }
}

impl Set {
    /// Whether a comparison with the values holds.
    fn compare(
        &self,
        value: &Value,
        op: Binary,
        quantifier: Quantifier,
        env: Env<'_>,
    ) -> Result<Option<bool>, Failure> {
        let any = quantifier == Quantifier::Any;
        if self.values.len() == 0 && !self.has_null {
            return Ok(Some(!any));
        }
        // What the NULLs among the values make of it, and a NULL on the left.
        let null = if self.has_null || matches!(value, Value::Null) { None } else { Some(!any) };
        let combine = |so_far, truth| if any { or(so_far, truth) } else { and(so_far, truth) };
        if matches!(value, Value::Null) && !matches!(op, Binary::Same | Binary::NotSame) {
            return Ok(None);
        }
        if matches!((op, any), (Binary::Equal, true) | (Binary::NotEqual, false)) {
            let key = Key { values: std::slice::from_ref(value), columns: &[0] };
            let found = key.is_comparable() && self.values.find(key.image(), key).is_some();
            return Ok(combine(null, Some(found == any)));
        }
        env.ctx.step(self.values.len())?;
        let mut truth = Some(!any);
        if self.has_null {
            truth = combine(truth, comparison(op, value, &Value::Null));
        }
        for number in 0..self.values.len() {
            truth = combine(truth, comparison(op, value, &self.values.key(number)[0]));
            if truth == Some(any) {
                break;
            }
        }
        Ok(truth)
    }
}
