//! Expressions of a type.

use engine::sql::types::{DataType, Value};

use super::schema::{BOOLEAN, float, integer, shape_of, text, usual};
use super::{EXACT, Generator, INEXACT, TYPES, Typed};
use crate::ast::{Expr, Part, Shape, Walk};

const COMPARISONS: [&str; 6] = ["=", "<>", "<", "<=", ">", ">="];
const PATTERNS: [&str; 14] =
    ["", "%", "_", "a%", "%b", "%a%", "a_", "\\%%", "__", "%日%", "a\\\\b", "A%", "_%", "%\\_"];
/// The longest text that is made.
const LONGEST: f64 = 200.0;

/// The bounds of what can be either.
pub(super) fn either(a: Shape, b: Shape) -> Shape {
    Shape { datatype: a.datatype, max: a.max.max(b.max), digits: a.digits.max(b.digits) }
}

/// Whether sums of up to a million of these are exact, in any order.
pub(super) fn is_exact(shape: Shape) -> bool {
    shape.digits < 64 && shape.max * 2f64.powi(shape.digits as i32) * 1e6 < EXACT
}

/// Whether an expression names a column.
pub(super) fn has_column(expr: &Expr) -> bool {
    let mut found = false;
    expr.clone().walk(&mut |part| found |= matches!(part, Part::Expr(Expr::Column { .. })));
    found
}

fn boxed(typed: Typed) -> Box<Expr> {
    Box::new(typed.expr)
}

impl Generator<'_, '_> {
    /// An expression.
    pub(super) fn expr(&mut self, datatype: DataType, depth: usize) -> Typed {
        if depth == 0 || !self.draw.chance(3, 4) {
            return self.leaf(datatype);
        }
        let depth = depth - 1;
        match self.draw.below(14) {
            0 => return self.case(datatype, depth),
            1 => {
                let mut args: Vec<Typed> = (0..2).map(|_| self.expr(datatype, depth)).collect();
                if self.draw.chance(1, 4) {
                    args.push(self.expr(datatype, depth));
                }
                let shape = args.iter().skip(1).fold(args[0].shape, |shape, arg| either(shape, arg.shape));
                let args = args.into_iter().map(|arg| arg.expr).collect();
                return Typed { expr: Expr::Call("COALESCE", args), shape };
            }
            2 => {
                let (a, b) = (self.expr(datatype, depth), self.expr(datatype, depth));
                return Typed { expr: Expr::Call("NULLIF", vec![a.expr, b.expr]), shape: a.shape };
            }
            3 => {
                if let Some(typed) = self.scalar(datatype) {
                    return typed;
                }
            }
            4 | 5 => {
                if let Some(typed) = self.aggregate(datatype) {
                    return typed;
                }
            }
            6 if self.wild => {
                let name = self.draw.choose(&["GREATEST", "LEAST"]);
                let (a, b) = (self.expr(datatype, depth), self.expr(datatype, depth));
                return Typed { shape: either(a.shape, b.shape), expr: Expr::Call(name, vec![a.expr, b.expr]) };
            }
            _ => {}
        }
        match datatype {
            DataType::Boolean => self.condition(depth),
            DataType::Integer => self.integer(depth),
            DataType::Float => self.float(depth),
            DataType::Text => self.text(depth),
        }
    }

    fn case(&mut self, datatype: DataType, depth: usize) -> Typed {
        let operand = if self.draw.chance(1, 3) {
            let datatype = self.draw.choose(&TYPES);
            Some(self.expr(datatype, depth).expr)
        } else {
            None
        };
        let compared = operand.as_ref().map_or(DataType::Boolean, Expr::datatype);
        let mut branches = Vec::new();
        let mut shape: Option<Shape> = None;
        for _ in 0..=self.draw.below(2) {
            let condition = self.expr(compared, depth);
            let result = self.expr(datatype, depth);
            shape = Some(shape.map_or(result.shape, |shape| either(shape, result.shape)));
            branches.push((condition.expr, result.expr));
        }
        let mut shape = shape.unwrap_or(BOOLEAN);
        let otherwise = self.draw.chance(1, 2).then(|| {
            let otherwise = self.expr(datatype, depth);
            shape = either(shape, otherwise.shape);
            boxed(otherwise)
        });
        Typed { expr: Expr::Case { operand: operand.map(Box::new), branches, otherwise }, shape }
    }

    /// A column or a constant.
    pub(super) fn leaf(&mut self, datatype: DataType) -> Typed {
        let of = |leaves: &Vec<Typed>| -> Vec<Typed> {
            leaves.iter().filter(|leaf| leaf.shape.datatype == datatype).cloned().collect()
        };
        let innermost = self.scopes.last().map(of).unwrap_or_default();
        let outer: Vec<Typed> = self.scopes.iter().rev().skip(1).flat_map(of).collect();
        // Of an outer query only columns can be named, with their tables: here, the name alone could be another column.
        let named = |leaf: &Typed| matches!(leaf.expr, Expr::Column { table: Some(_), .. });
        let outer: Vec<Typed> = outer.into_iter().filter(named).collect();
        if !outer.is_empty() && self.draw.chance(1, 4) {
            return outer[self.draw.below(outer.len())].clone();
        }
        if !innermost.is_empty() && self.draw.chance(3, 4) {
            return innermost[self.draw.below(innermost.len())].clone();
        }
        if self.aggregates.is_some()
            && self.draw.chance(1, 2)
            && let Some(typed) = self.aggregate(datatype)
        {
            return typed;
        }
        self.constant(datatype)
    }

    /// A constant.
    pub(super) fn constant(&mut self, datatype: DataType) -> Typed {
        if self.draw.chance(1, 10) {
            let max = if datatype == DataType::Boolean { 1.0 } else { 0.0 };
            let bare = self.draw.chance(1, 4) && self.level == 0 && datatype == DataType::Text;
            return Typed { expr: Expr::Null { datatype, bare }, shape: Shape { datatype, max, digits: 0 } };
        }
        let shape = match datatype {
            DataType::Integer if self.wild => integer(super::UNBOUNDED),
            DataType::Float if self.wild => float(f64::INFINITY, INEXACT),
            datatype => usual(datatype),
        };
        let value = self.value(shape);
        Typed { shape: shape_of(&value), expr: Expr::Literal(value) }
    }

    /// Whether a result may be as large as that; in a wild case it may, and then the statement can fail.
    fn allows(&mut self, max: f64) -> bool {
        if max < EXACT / 2.0 {
            return true;
        }
        self.fallible |= self.wild;
        self.wild
    }

    fn integer(&mut self, depth: usize) -> Typed {
        match self.draw.below(12) {
            0 => {
                let operand = self.expr(DataType::Text, depth);
                Typed { shape: integer(operand.shape.max), expr: Expr::Call("LENGTH", vec![operand.expr]) }
            }
            1 => {
                let (a, b) = (self.expr(DataType::Text, depth), self.expr(DataType::Text, 0));
                Typed { shape: integer(a.shape.max + 1.0), expr: Expr::Call("INSTR", vec![a.expr, b.expr]) }
            }
            2 => {
                let from = self.draw.choose(&[DataType::Float, DataType::Boolean]);
                let operand = self.expr(from, depth);
                if !self.allows(operand.shape.max) {
                    return self.leaf(DataType::Integer);
                }
                Typed { shape: integer(operand.shape.max), expr: Expr::Cast(boxed(operand), DataType::Integer) }
            }
            3 => {
                let operand = self.expr(DataType::Integer, depth);
                if !self.allows(operand.shape.max) {
                    return operand;
                }
                let shape = operand.shape;
                let expr = match self.draw.below(3) {
                    0 => Expr::Unary("-", boxed(operand)),
                    1 => Expr::Call("SIGN", vec![operand.expr]),
                    _ => Expr::Call("ABS", vec![operand.expr]),
                };
                Typed { expr, shape }
            }
            4 => {
                // There and back.
                let operand = self.expr(DataType::Integer, depth);
                let shape = operand.shape;
                let written = Expr::Cast(boxed(operand), DataType::Text);
                Typed { expr: Expr::Cast(Box::new(written), DataType::Integer), shape }
            }
            5 if self.wild => {
                let operand = self.expr(DataType::Integer, depth);
                self.fallible = true;
                if self.draw.chance(1, 2) {
                    return Typed { expr: Expr::Unary("!", boxed(operand)), shape: integer(super::UNBOUNDED) };
                }
                let other = self.expr(DataType::Integer, depth);
                Typed { expr: Expr::Binary("^", boxed(operand), boxed(other)), shape: integer(super::UNBOUNDED) }
            }
            n => {
                let (a, b) = (self.expr(DataType::Integer, depth), self.expr(DataType::Integer, depth));
                let op = ["+", "-", "*", "/", "%", "+", "-"][n % 7];
                let max = match op {
                    "+" | "-" => a.shape.max + b.shape.max,
                    "*" => a.shape.max * b.shape.max,
                    _ => a.shape.max,
                };
                if !self.allows(max) {
                    return a;
                }
                let b = if matches!(op, "/" | "%") { self.divisor(b) } else { b };
                Typed { expr: Expr::Binary(op, boxed(a), boxed(b)), shape: integer(max) }
            }
        }
    }

    /// What can be divided by: NULL instead of zero, on which SQLite does not agree.
    fn divisor(&mut self, typed: Typed) -> Typed {
        if self.wild && self.draw.chance(1, 2) {
            self.fallible = true;
            return typed;
        }
        let zero = if typed.shape.datatype == DataType::Float { Value::Float(0.0) } else { Value::Integer(0) };
        Typed { shape: typed.shape, expr: Expr::Call("NULLIF", vec![typed.expr, Expr::Literal(zero)]) }
    }

    fn float(&mut self, depth: usize) -> Typed {
        match self.draw.below(10) {
            0 | 1 => {
                let operand = self.expr(DataType::Integer, depth);
                let digits = if operand.shape.max > EXACT { INEXACT } else { 0 };
                let shape = float(operand.shape.max, digits);
                Typed { expr: Expr::Cast(boxed(operand), DataType::Float), shape }
            }
            2 => {
                let operand = self.expr(DataType::Float, depth);
                let shape = float(operand.shape.max + 1.0, operand.shape.digits);
                // ROUND by hand in SQLite gives up beyond the integers that floats hold.
                let name = if operand.shape.max < EXACT || self.wild {
                    self.draw.choose(&["ABS", "SIGN", "ROUND"])
                } else {
                    "ABS"
                };
                Typed { expr: Expr::Call(name, vec![operand.expr]), shape }
            }
            3 => {
                let operand = self.expr(DataType::Float, depth);
                Typed { shape: operand.shape, expr: Expr::Unary("-", boxed(operand)) }
            }
            4 if self.wild => {
                let operand = self.expr(DataType::Float, depth);
                let name = self.draw.choose(&["SQRT", "CEIL", "FLOOR"]);
                Typed { expr: Expr::Call(name, vec![operand.expr]), shape: float(f64::INFINITY, INEXACT) }
            }
            n => {
                let (left, right) = self.draw.choose(&[
                    (DataType::Float, DataType::Float),
                    (DataType::Float, DataType::Integer),
                    (DataType::Integer, DataType::Float),
                ]);
                let (a, b) = (self.expr(left, depth), self.expr(right, depth));
                let op = if self.wild && n == 9 { self.draw.choose(&["%", "^"]) } else { ["+", "-", "*", "/"][n % 4] };
                let digits = a.shape.digits.max(b.shape.digits);
                // Zero by zero is NaN, and so is zero times infinity: nothing bounds these.
                let unbounded = self.wild && (op == "/" || a.shape.max.max(b.shape.max) == f64::INFINITY);
                let shape = match op {
                    _ if unbounded => float(f64::INFINITY, INEXACT),
                    "+" | "-" => float(a.shape.max + b.shape.max, digits),
                    "*" => float(a.shape.max * b.shape.max, (a.shape.digits + b.shape.digits).min(INEXACT)),
                    // The least divisor is one of the last digit.
                    "/" if b.shape.digits < 64 => float(a.shape.max * 2f64.powi(b.shape.digits as i32), INEXACT),
                    _ => float(f64::INFINITY, INEXACT),
                };
                if shape.max > 1e100 && !self.wild {
                    return if left == DataType::Float { a } else { b };
                }
                let shape = if is_exact(shape) { shape } else { float(shape.max, INEXACT) };
                let b = if op == "/" && !self.wild { self.divisor(b) } else { b };
                Typed { expr: Expr::Binary(op, boxed(a), boxed(b)), shape }
            }
        }
    }

    fn text(&mut self, depth: usize) -> Typed {
        let operand = self.expr(DataType::Text, depth);
        let max = operand.shape.max;
        match self.draw.below(9) {
            0 => {
                Typed { shape: text(max), expr: Expr::Call(self.draw.choose(&["UPPER", "LOWER"]), vec![operand.expr]) }
            }
            1 => {
                let mut args = vec![operand.expr, Expr::Literal(Value::Integer(self.draw.between(1, 4)))];
                if self.draw.chance(1, 2) {
                    args.push(Expr::Literal(Value::Integer(self.draw.between(0, 3))));
                }
                Typed { expr: Expr::Call("SUBSTR", args), shape: text(max) }
            }
            2 if max * 4.0 < LONGEST => {
                let (from, to) = (self.draw.choose(&["a", "ab", "日", "zz", ""]), self.draw.choose(&["", "b", "aa"]));
                let args = vec![operand.expr, Expr::Literal(from.into()), Expr::Literal(to.into())];
                Typed { expr: Expr::Call("REPLACE", args), shape: text(max * 2.0) }
            }
            3 => {
                let mut args = vec![operand.expr];
                if self.draw.chance(1, 2) {
                    args.push(Expr::Literal(self.draw.choose(&["a", "ab", " b"]).into()));
                }
                let name = self.draw.choose(&["TRIM", "LTRIM", "RTRIM"]);
                Typed { expr: Expr::Call(name, args), shape: text(max) }
            }
            4 => {
                let from = if self.draw.chance(1, 6) {
                    DataType::Float
                } else {
                    self.draw.choose(&[DataType::Integer, DataType::Boolean])
                };
                let operand = self.expr(from, depth);
                Typed { expr: Expr::Cast(boxed(operand), DataType::Text), shape: text(40.0) }
            }
            5 if self.wild => {
                if self.draw.chance(1, 2) {
                    return Typed { shape: text(max), expr: Expr::Call("REVERSE", vec![operand.expr]) };
                }
                let count = Expr::Literal(Value::Integer(self.draw.between(-2, 3)));
                Typed { shape: text(max), expr: Expr::Call("LEFT", vec![operand.expr, count]) }
            }
            _ => {
                let other = self.expr(DataType::Text, depth);
                let shape = text(max + other.shape.max);
                if shape.max > LONGEST {
                    return operand;
                }
                Typed { expr: Expr::Binary("||", boxed(operand), boxed(other)), shape }
            }
        }
    }

    /// Something to compare a value with.
    fn comparand(&mut self, subject: &Typed, depth: usize) -> Typed {
        let datatype = match subject.shape.datatype {
            // Integers that floats do not hold are compared exactly here, and rounded at times in SQLite.
            DataType::Integer if subject.shape.max <= EXACT || self.wild => {
                self.draw.choose(&[DataType::Integer, DataType::Integer, DataType::Integer, DataType::Float])
            }
            DataType::Float => self.draw.choose(&[DataType::Float, DataType::Float, DataType::Integer]),
            datatype => datatype,
        };
        let other = if self.draw.chance(1, 2) { self.constant(datatype) } else { self.expr(datatype, depth) };
        if datatype == subject.shape.datatype || self.wild || other.shape.max <= EXACT {
            return other;
        }
        self.constant(subject.shape.datatype)
    }

    /// Something that is true or not.
    pub(super) fn condition(&mut self, depth: usize) -> Typed {
        let negated = self.draw.chance(1, 3);
        let expr = match self.draw.below(16) {
            0..=2 if depth > 0 => {
                let op = self.draw.choose(&["AND", "AND", "OR"]);
                let (a, b) = (self.condition(depth - 1), self.condition(depth - 1));
                Expr::binary(op, a.expr, b.expr)
            }
            3 if depth > 0 => Expr::Unary("NOT", boxed(self.condition(depth - 1))),
            4 => {
                let what = self.draw.choose(&["TRUE", "FALSE", "UNKNOWN"]);
                Expr::Is { expr: boxed(self.expr(DataType::Boolean, depth)), what, negated }
            }
            5 => {
                let datatype = self.draw.choose(&TYPES);
                Expr::Is { expr: boxed(self.expr(datatype, depth)), what: "NULL", negated }
            }
            6 => {
                let pattern = self.draw.choose(&PATTERNS).to_string();
                let escape = self.draw.chance(1, 4).then_some('!');
                Expr::Like { expr: boxed(self.expr(DataType::Text, depth)), pattern, escape, negated }
            }
            7 | 8 if self.queries > 0 => return self.about_a_query(depth, negated),
            9 => self.expr(DataType::Boolean, depth.min(1)).expr,
            10 if self.wild => Expr::Is { expr: boxed(self.expr(DataType::Float, depth)), what: "NAN", negated },
            _ => {
                let datatype = self.draw.choose(&TYPES);
                let subject = if self.draw.chance(3, 4) { self.leaf(datatype) } else { self.expr(datatype, depth) };
                match self.draw.below(9) {
                    0 | 1 => {
                        let list = (0..=self.draw.below(4)).map(|_| self.comparand(&subject, 0).expr).collect();
                        Expr::In { expr: boxed(subject), list, negated }
                    }
                    2 => {
                        let (low, high) = (self.comparand(&subject, 0), self.comparand(&subject, 0));
                        Expr::Between { expr: boxed(subject), low: boxed(low), high: boxed(high), negated }
                    }
                    3 => {
                        let other = self.comparand(&subject, depth.min(1));
                        let op = if negated { "IS NOT DISTINCT FROM" } else { "IS DISTINCT FROM" };
                        Expr::Binary(op, boxed(subject), boxed(other))
                    }
                    4 => {
                        let other = self.comparand(&subject, depth.min(1));
                        Expr::Binary(self.draw.choose(&COMPARISONS), boxed(other), boxed(subject))
                    }
                    n => {
                        let other = self.comparand(&subject, depth.min(1));
                        let op = if n < 7 { "=" } else { self.draw.choose(&COMPARISONS) };
                        Expr::Binary(op, boxed(subject), boxed(other))
                    }
                }
            }
        };
        Typed { expr, shape: BOOLEAN }
    }

    /// Makes an expression fit into a column.
    pub(super) fn fit(&mut self, typed: Typed, shape: Shape) -> Expr {
        let fits = typed.shape.max <= shape.max && typed.shape.digits <= shape.digits;
        if fits {
            return typed.expr;
        }
        match shape.datatype {
            DataType::Boolean => typed.expr,
            DataType::Integer => {
                Expr::Binary("%", boxed(typed), Box::new(Expr::Literal(Value::Integer(shape.max as i64))))
            }
            DataType::Float => Expr::Literal(self.value(shape)),
            DataType::Text => {
                let limits = [1, shape.max as i64].map(|n| Expr::Literal(Value::Integer(n)));
                Expr::Call("SUBSTR", std::iter::once(typed.expr).chain(limits).collect())
            }
        }
    }
}
