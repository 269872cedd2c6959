//! Random tables, expressions and statements, of which the types are known.

use std::fmt::Write as _;

use arbitrary::{Result, Unstructured};

use crate::sql::types::{DataType, Value};

/// A column of the table; the first one is the primary key.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub name: &'static str,
    pub datatype: DataType,
    pub unique: bool,
    pub nullable: bool,
}

/// An expression of the tests, which knows nothing of the engine's.
#[derive(Clone, Debug)]
pub(super) enum Expr {
    Literal(Value),
    Parameter(Value),
    Column(usize, &'static str, DataType),
    Unary(&'static str, Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
    Is(Box<Expr>, &'static str, bool),
    In(Box<Expr>, Vec<Expr>, bool),
    Between(Box<Expr>, Box<Expr>, Box<Expr>, bool),
    Like(Box<Expr>, Box<Expr>, bool),
    Case(Vec<(Expr, Expr)>, Option<Box<Expr>>),
    Cast(Box<Expr>, DataType),
    Call(&'static str, Vec<Expr>),
}

#[derive(Clone, Debug)]
pub(super) enum Statement {
    /// `None` is DEFAULT, which is NULL.
    Insert(Vec<Vec<Option<Expr>>>),
    Update(Vec<(usize, Expr)>, Option<Expr>),
    Delete(Option<Expr>),
    Select(Select),
}

#[derive(Clone, Debug)]
pub(super) struct Select {
    pub items: Vec<Expr>,
    pub filter: Option<Expr>,
    /// Ends in the primary key, so that the order is total; or is empty.
    pub order: Vec<(Expr, bool, Option<bool>)>,
    pub limit: Option<u64>,
    pub offset: Option<u64>,
}

use DataType::{Boolean, Float, Integer, Text};

const TYPES: [DataType; 4] = [Boolean, Integer, Float, Text];
const COMPARISONS: [&str; 6] = ["=", "<>", "<", "<=", ">", ">="];

/// A table with a primary key and some unique columns.
pub(super) fn table(u: &mut Unstructured<'_>) -> Result<Vec<Column>> {
    let names = ["id", "a", "b", "c", "d"];
    let count = u.int_in_range(1..=names.len())?;
    let mut columns = Vec::new();
    for (position, name) in names.into_iter().take(count).enumerate() {
        let datatype = *u.choose(&[Integer, Integer, Float, Float, Text, Boolean])?;
        let unique = position > 0 && u.ratio(1, 3)?;
        columns.push(Column { name, datatype, unique, nullable: position > 0 && u.ratio(3, 4)? });
    }
    Ok(columns)
}

/// A value of a type. The pools are small, so that values meet.
pub(super) fn value(u: &mut Unstructured<'_>, datatype: DataType) -> Result<Value> {
    Ok(match datatype {
        Boolean => Value::Boolean(u.arbitrary()?),
        Integer => Value::Integer(if u.ratio(2, 3)? { u.int_in_range(-2..=4)? } else { *u.choose(&INTEGERS)? }),
        Float => Value::float(if u.ratio(1, 2)? { u.int_in_range(-2..=4)? as f64 / 2.0 } else { *u.choose(&FLOATS)? }),
        Text => Value::from(*u.choose(&TEXTS)?),
    })
}

/// Integers that no float equals. They round to floats of the pool below.
const ROUNDING: [i64; 2] = [9_007_199_254_740_993, 9_007_199_254_740_995];
const INTEGERS: [i64; 10] = [
    i64::MIN,
    i64::MIN + 1,
    i64::MAX,
    i64::MAX - 1,
    9_007_199_254_740_993,
    9_007_199_254_740_993,
    9_007_199_254_740_995,
    9_007_199_254_740_995,
    3_037_000_500,
    63,
];
const FLOATS: [f64; 14] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    -0.0,
    0.0,
    5e-324,
    1e308,
    9_007_199_254_740_992.0,
    9_007_199_254_740_992.0,
    9_007_199_254_740_996.0,
    9_007_199_254_740_996.0,
    9_223_372_036_854_775_808.0,
    -9_223_372_036_854_775_808.0,
    0.1,
];
const TEXTS: [&str; 10] = ["", "a", "b", "ab", "aab", "A", "é", "a%", "%b", "a\0b"];
const PATTERNS: [&str; 10] = ["", "%", "_", "a%", "%b", "%a%", "a_", "\\%%", "_\\", "a\0%"];

/// Draws expressions over some columns.
pub(super) struct Generator<'a, 'b> {
    pub u: &'a mut Unstructured<'b>,
    pub columns: &'a [Column],
}

impl Generator<'_, '_> {
    /// An expression of a type, or of no type: NULL.
    pub fn expr(&mut self, datatype: DataType, depth: usize) -> Result<Expr> {
        if depth == 0 || self.u.ratio(1, 4)? {
            return self.leaf(datatype);
        }
        let depth = depth - 1;
        Ok(match (self.u.int_in_range(0..=9)?, datatype) {
            (0, datatype) => {
                let branches = (0..self.u.int_in_range(1..=2)?)
                    .map(|_| Ok((self.expr(Boolean, depth)?, self.expr(datatype, depth)?)))
                    .collect::<Result<_>>()?;
                let otherwise = if self.u.arbitrary()? { Some(Box::new(self.expr(datatype, depth)?)) } else { None };
                Expr::Case(branches, otherwise)
            }
            (1, datatype) => {
                let args = (0..self.u.int_in_range(1..=3)?).map(|_| self.expr(datatype, depth));
                Expr::Call("COALESCE", args.collect::<Result<_>>()?)
            }
            (2, datatype) => Expr::Call("NULLIF", vec![self.expr(datatype, depth)?, self.expr(datatype, depth)?]),
            (3, Integer) => {
                let from = *self.u.choose(&[Float, Boolean])?;
                Expr::Cast(Box::new(self.expr(from, depth)?), Integer)
            }
            (3 | 4, Float) => Expr::Cast(Box::new(self.expr(Integer, depth)?), Float),
            (3 | 4, Text) => {
                let from = *self.u.choose(&TYPES)?;
                Expr::Cast(Box::new(self.expr(from, depth)?), Text)
            }
            (4, Integer) => Expr::Call("LENGTH", vec![self.expr(Text, depth)?]),
            (5, Integer | Float) => Expr::Call("ABS", vec![self.expr(datatype, depth)?]),
            (6, Integer | Float) => {
                let op = *self.u.choose(&["-", "+"])?;
                Expr::Unary(op, Box::new(self.expr(datatype, depth)?))
            }
            (_, Integer) => {
                let op = *self.u.choose(&["+", "-", "*", "/", "%", "^"])?;
                self.binary(op, Integer, Integer, depth)?
            }
            (_, Float) => {
                let op = *self.u.choose(&["+", "-", "*", "/", "%", "^"])?;
                let (a, b) = *self.u.choose(&[(Float, Float), (Float, Integer), (Integer, Float)])?;
                self.binary(op, a, b, depth)?
            }
            (5, Text) => Expr::Call(self.u.choose(&["UPPER", "LOWER"])?, vec![self.expr(Text, depth)?]),
            (_, Text) => {
                let other = *self.u.choose(&TYPES)?;
                self.binary("||", Text, other, depth)?
            }
            (_, Boolean) => self.condition(depth)?,
        })
    }

    /// A condition, of which many could be found by a key.
    pub fn condition(&mut self, depth: usize) -> Result<Expr> {
        let negated = self.u.ratio(1, 4)?;
        Ok(match self.u.int_in_range(0..=11)? {
            0..=2 if depth > 0 => {
                let op = *self.u.choose(&["AND", "AND", "OR"])?;
                let (a, b) = (self.condition(depth - 1)?, self.condition(depth - 1)?);
                Expr::Binary(op, Box::new(a), Box::new(b))
            }
            3 if depth > 0 => Expr::Unary("NOT", Box::new(self.condition(depth - 1)?)),
            4 if depth > 0 => {
                let what = *self.u.choose(&["TRUE", "FALSE", "UNKNOWN"])?;
                Expr::Is(Box::new(self.condition(depth - 1)?), what, negated)
            }
            5 => {
                let datatype = *self.u.choose(&TYPES)?;
                Expr::Is(Box::new(self.expr(datatype, depth)?), "NULL", negated)
            }
            6 => {
                let text = self.expr(Text, depth)?;
                let pattern = Expr::Literal(Value::from(*self.u.choose(&PATTERNS)?));
                Expr::Like(Box::new(text), Box::new(pattern), negated)
            }
            _ => {
                let subject = match self.columns {
                    [] => {
                        let datatype = *self.u.choose(&TYPES)?;
                        self.leaf(datatype)?
                    }
                    _ if self.u.ratio(1, 5)? => {
                        let datatype = *self.u.choose(&TYPES)?;
                        self.expr(datatype, depth)?
                    }
                    columns => column(columns, self.u.choose_index(columns.len())?),
                };
                let datatype = subject.datatype();
                let other = |this: &mut Self| {
                    let datatype = match datatype {
                        None => *this.u.choose(&TYPES)?,
                        Some(Integer | Float) => *this.u.choose(&[Integer, Float])?,
                        Some(datatype) => datatype,
                    };
                    if this.u.ratio(3, 4)? { this.constant(datatype) } else { this.expr(datatype, depth.min(1)) }
                };
                let subject = Box::new(subject);
                match self.u.int_in_range(0..=5)? {
                    0 => {
                        let item = other(self)?;
                        let mut items = vec![item];
                        for _ in 0..self.u.int_in_range(0..=3)? {
                            // Items of types that do not compare would be refused.
                            let item = other(self)?;
                            if items.iter().all(|other| comparable(other.datatype(), item.datatype())) {
                                items.push(item);
                            }
                        }
                        Expr::In(subject, items, negated)
                    }
                    1 => {
                        let (low, high) = (other(self)?, other(self)?);
                        if comparable(low.datatype(), high.datatype()) {
                            Expr::Between(subject, Box::new(low), Box::new(high), negated)
                        } else {
                            Expr::Binary("<", subject, Box::new(low))
                        }
                    }
                    2 => Expr::Binary(self.u.choose(&COMPARISONS)?, Box::new(other(self)?), subject),
                    _ => Expr::Binary(self.u.choose(&COMPARISONS)?, subject, Box::new(other(self)?)),
                }
            }
        })
    }

    fn binary(&mut self, op: &'static str, a: DataType, b: DataType, depth: usize) -> Result<Expr> {
        Ok(Expr::Binary(op, Box::new(self.expr(a, depth)?), Box::new(self.expr(b, depth)?)))
    }

    fn leaf(&mut self, datatype: DataType) -> Result<Expr> {
        let fitting: Vec<usize> = (0..self.columns.len()).filter(|&i| self.columns[i].datatype == datatype).collect();
        if !fitting.is_empty() && self.u.ratio(2, 3)? {
            return Ok(column(self.columns, *self.u.choose(&fitting)?));
        }
        self.constant(datatype)
    }

    pub fn constant(&mut self, datatype: DataType) -> Result<Expr> {
        let value = if self.u.ratio(1, 8)? { Value::Null } else { value(self.u, datatype)? };
        // Only a parameter can be NaN, or a text with a zero byte.
        Ok(if self.u.arbitrary()? { Expr::Parameter(value) } else { Expr::Literal(value) })
    }

    pub fn statement(&mut self) -> Result<Statement> {
        let columns = self.columns;
        Ok(match self.u.int_in_range(0..=9)? {
            0..=3 => {
                let rows = (0..self.u.int_in_range(1..=4)?).map(|_| self.new_row()).collect::<Result<_>>()?;
                Statement::Insert(rows)
            }
            4 | 5 => {
                let mut assignments: Vec<(usize, Expr)> = Vec::new();
                for (position, column) in columns.iter().enumerate() {
                    if self.u.ratio(1, if position == 0 { 4 } else { 2 })? {
                        assignments.push((position, self.assigned(column.datatype, 2)?));
                    }
                }
                let filter = self.filter()?;
                if assignments.is_empty() { Statement::Delete(filter) } else { Statement::Update(assignments, filter) }
            }
            6 if self.u.ratio(1, 2)? => Statement::Delete(self.filter()?),
            _ => Statement::Select(self.select()?),
        })
    }

    /// A value for a column: of its type, or of one that is converted to it.
    fn assigned(&mut self, datatype: DataType, depth: usize) -> Result<Expr> {
        let from = match datatype {
            Integer | Float if self.u.ratio(1, 6)? => *self.u.choose(&[Integer, Float])?,
            Text if self.u.ratio(1, 6)? => *self.u.choose(&TYPES)?,
            datatype => datatype,
        };
        self.expr(from, depth)
    }

    fn new_row(&mut self) -> Result<Vec<Option<Expr>>> {
        let columns = self.columns;
        let mut constants = Generator { u: self.u, columns: &[] };
        let row = columns.iter().map(|column| {
            if constants.u.ratio(1, 10)? {
                return Ok(None);
            }
            let depth = usize::from(constants.u.ratio(1, 6)?);
            constants.assigned(column.datatype, depth).map(Some)
        });
        row.collect()
    }

    fn filter(&mut self) -> Result<Option<Expr>> {
        Ok(match self.u.int_in_range(0..=7)? {
            0 => None,
            1..=3 => Some(self.lookup()?),
            4 => Some(Expr::Binary("AND", Box::new(self.lookup()?), Box::new(self.condition(1)?))),
            _ => Some(self.condition(2)?),
        })
    }

    /// A condition as an access path is made for, or one that only looks so.
    fn lookup(&mut self) -> Result<Expr> {
        let position = if self.u.ratio(1, 2)? { 0 } else { self.u.choose_index(self.columns.len())? };
        let subject = column(self.columns, position);
        match self.u.int_in_range(0..=3)? {
            0 => self.compared(subject, &["="]),
            1 => {
                let items = (0..self.u.int_in_range(1..=4)?).map(|_| self.comparand(&subject));
                let items = items.collect::<Result<_>>()?;
                Ok(Expr::In(Box::new(subject), items, self.u.ratio(1, 8)?))
            }
            2 => {
                let other = self.lookup()?;
                let op = *self.u.choose(&["OR", "AND"])?;
                Ok(Expr::Binary(op, Box::new(self.compared(subject, &["="])?), Box::new(other)))
            }
            _ => {
                let first = self.compared(subject.clone(), &["<", "<=", ">", ">="])?;
                if self.u.arbitrary()? {
                    return Ok(first);
                }
                let second = self.compared(subject, &["<", "<=", ">", ">=", "="])?;
                Ok(Expr::Binary("AND", Box::new(first), Box::new(second)))
            }
        }
    }

    fn compared(&mut self, subject: Expr, operators: &[&'static str]) -> Result<Expr> {
        let value = Box::new(self.comparand(&subject)?);
        Ok(Expr::Binary(self.u.choose(operators)?, Box::new(subject), value))
    }

    /// A constant that compares with a column.
    fn comparand(&mut self, subject: &Expr) -> Result<Expr> {
        let datatype = match subject.datatype() {
            Some(Float) if self.u.ratio(1, 6)? => {
                return Ok(Expr::Literal(Value::Integer(*self.u.choose(&ROUNDING)?)));
            }
            Some(Integer | Float) => *self.u.choose(&[Integer, Float])?,
            datatype => datatype.unwrap_or(Integer),
        };
        self.constant(datatype)
    }

    pub fn select(&mut self) -> Result<Select> {
        let items = (0..self.u.int_in_range(0..=2)?)
            .map(|_| {
                let datatype = *self.u.choose(&TYPES)?;
                self.expr(datatype, 2)
            })
            .collect::<Result<Vec<_>>>()?;
        let filter = self.filter()?;
        let mut order = Vec::new();
        if self.u.ratio(1, 2)? {
            for _ in 0..self.u.int_in_range(0..=1)? {
                let position = self.u.choose_index(self.columns.len())?;
                let nulls_first = if self.u.ratio(1, 3)? { Some(self.u.arbitrary()?) } else { None };
                order.push((column(self.columns, position), self.u.arbitrary()?, nulls_first));
            }
            order.push((column(self.columns, 0), self.u.arbitrary()?, None));
        }
        let mut count = || if self.u.ratio(1, 3)? { self.u.int_in_range(0..=4).map(Some) } else { Ok(None) };
        let (limit, offset) = (count()?, count()?);
        Ok(Select { items, filter, order, limit, offset })
    }
}

fn comparable(a: Option<DataType>, b: Option<DataType>) -> bool {
    match (a, b) {
        (None, _) | (_, None) | (Some(Integer | Float), Some(Integer | Float)) => true,
        (Some(a), Some(b)) => a == b,
    }
}

fn column(columns: &[Column], position: usize) -> Expr {
    Expr::Column(position, columns[position].name, columns[position].datatype)
}

impl Expr {
    /// The type; `None` is that of NULL.
    pub fn datatype(&self) -> Option<DataType> {
        let common = |mut types: Vec<Option<DataType>>| {
            types.retain(Option::is_some);
            let first = types.first().copied().flatten();
            if types.contains(&Some(Float)) { Some(Float) } else { first }
        };
        match self {
            Self::Literal(value) | Self::Parameter(value) => value.datatype(),
            Self::Column(_, _, datatype) => Some(*datatype),
            Self::Unary("NOT", _) => Some(Boolean),
            Self::Unary(_, expr) => expr.datatype(),
            Self::Binary("+" | "-" | "*" | "/" | "%" | "^", a, b) => common(vec![a.datatype(), b.datatype()]),
            Self::Binary("||", ..) => Some(Text),
            Self::Binary(..) | Self::Is(..) | Self::In(..) | Self::Between(..) | Self::Like(..) => Some(Boolean),
            Self::Case(branches, otherwise) => {
                let results = branches.iter().map(|(_, result)| result).chain(otherwise.as_deref());
                common(results.map(Self::datatype).collect())
            }
            Self::Cast(_, to) => Some(*to),
            Self::Call("COALESCE", args) => common(args.iter().map(Self::datatype).collect()),
            Self::Call("LENGTH", _) => Some(Integer),
            Self::Call("UPPER" | "LOWER", _) => Some(Text),
            // A function of numbers takes NULL for one.
            Self::Call("ABS", args) => args[0].datatype().or(Some(Integer)),
            Self::Call(_, args) => args[0].datatype(),
        }
    }

    /// The text; parameters are appended.
    pub fn sql(&self, params: &mut Vec<Value>) -> String {
        let not = |negated: &bool| if *negated { "NOT " } else { "" };
        let join = |list: &[Self], params: &mut Vec<Value>| {
            list.iter().map(|item| item.sql(params)).collect::<Vec<_>>().join(", ")
        };
        match self {
            Self::Parameter(value) => parameter(value, params),
            Self::Literal(Value::Null) => "NULL".to_string(),
            Self::Literal(Value::Boolean(b)) => b.to_string().to_uppercase(),
            Self::Literal(Value::Integer(n)) => format!("({n})"),
            Self::Literal(value @ Value::Float(x)) if x.is_nan() || x.is_infinite() => parameter(value, params),
            Self::Literal(Value::Float(x)) => format!("({x:?})"),
            Self::Literal(Value::Text(text)) => format!("'{text}'"),
            Self::Column(_, name, _) => (*name).to_string(),
            Self::Unary(op, expr) => format!("({op} {})", expr.sql(params)),
            Self::Binary(op, a, b) => format!("({} {op} {})", a.sql(params), b.sql(params)),
            Self::Is(expr, what, negated) => format!("({} IS {}{what})", expr.sql(params), not(negated)),
            Self::In(expr, list, negated) => {
                format!("({} {}IN ({}))", expr.sql(params), not(negated), join(list, params))
            }
            Self::Between(expr, low, high, negated) => {
                let expr = expr.sql(params);
                format!("({expr} {}BETWEEN {} AND {})", not(negated), low.sql(params), high.sql(params))
            }
            Self::Like(expr, pattern, negated) => {
                format!("({} {}LIKE {})", expr.sql(params), not(negated), pattern.sql(params))
            }
            Self::Case(branches, otherwise) => {
                let mut text = "CASE".to_string();
                for (condition, result) in branches {
                    write!(text, " WHEN {} THEN {}", condition.sql(params), result.sql(params)).unwrap();
                }
                if let Some(otherwise) = otherwise {
                    write!(text, " ELSE {}", otherwise.sql(params)).unwrap();
                }
                text + " END"
            }
            Self::Cast(expr, to) => format!("CAST({} AS {to})", expr.sql(params)),
            Self::Call(name, args) => format!("{name}({})", join(args, params)),
        }
    }
}

fn parameter(value: &Value, params: &mut Vec<Value>) -> String {
    params.push(value.clone());
    format!("${}", params.len())
}

/// CREATE TABLE t.
pub(super) fn create(columns: &[Column]) -> String {
    let columns = columns.iter().enumerate().map(|(position, Column { name, datatype, unique, nullable })| {
        let key = if position == 0 { " PRIMARY KEY" } else { "" };
        let unique = if *unique { " UNIQUE" } else { "" };
        let nullable = if *nullable || position == 0 { "" } else { " NOT NULL" };
        format!("{name} {datatype}{key}{unique}{nullable}")
    });
    format!("CREATE TABLE t ({})", columns.collect::<Vec<_>>().join(", "))
}

impl Statement {
    /// The text and its parameters.
    pub fn sql(&self, columns: &[Column]) -> (String, Vec<Value>) {
        let mut params = Vec::new();
        let condition = |filter: &Option<Expr>, params: &mut Vec<Value>| {
            filter.as_ref().map_or_else(String::new, |filter| format!(" WHERE {}", filter.sql(params)))
        };
        let text = match self {
            Self::Insert(rows) => {
                let mut texts = Vec::new();
                for row in rows {
                    let values = row.iter().map(|value| match value {
                        Some(value) => value.sql(&mut params),
                        None => "DEFAULT".to_string(),
                    });
                    texts.push(format!("({})", values.collect::<Vec<_>>().join(", ")));
                }
                format!("INSERT INTO t VALUES {}", texts.join(", "))
            }
            Self::Update(assignments, filter) => {
                let set = assignments
                    .iter()
                    .map(|(position, value)| format!("{} = {}", columns[*position].name, value.sql(&mut params)));
                let set = set.collect::<Vec<_>>().join(", ");
                format!("UPDATE t SET {set}{}", condition(filter, &mut params))
            }
            Self::Delete(filter) => format!("DELETE FROM t{}", condition(filter, &mut params)),
            Self::Select(Select { items, filter, order, limit, offset }) => {
                let mut text = "SELECT *".to_string();
                for item in items {
                    write!(text, ", {}", item.sql(&mut params)).unwrap();
                }
                write!(text, " FROM t{}", condition(filter, &mut params)).unwrap();
                for (position, (expr, descending, nulls_first)) in order.iter().enumerate() {
                    text += if position == 0 { " ORDER BY " } else { ", " };
                    text += &expr.sql(&mut params);
                    text += if *descending { " DESC" } else { "" };
                    text += nulls_first.map_or("", |first| if first { " NULLS FIRST" } else { " NULLS LAST" });
                }
                if let Some(limit) = limit {
                    write!(text, " LIMIT {limit}").unwrap();
                }
                if let Some(offset) = offset {
                    write!(text, " OFFSET {offset}").unwrap();
                }
                text
            }
        };
        (text, params)
    }
}
