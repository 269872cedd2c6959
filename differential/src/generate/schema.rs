//! Tables, indexes, and values that meet each other.

use engine::sql::types::{DataType, Value};

use super::{Generator, INEXACT, UNBOUNDED};
use crate::ast::{Column, Conflict, Expr, Index, Shape, Step, Table};

const INTEGERS: [i64; 10] = [
    i64::MIN,
    i64::MIN + 1,
    i64::MAX,
    i64::MAX - 1,
    9_007_199_254_740_993,
    9_007_199_254_740_992,
    -9_007_199_254_740_993,
    3_037_000_500,
    4_294_967_296,
    -1,
];
const FLOATS: [f64; 13] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    -0.0,
    0.0,
    5e-324,
    1e308,
    -1e308,
    9_007_199_254_740_992.0,
    9_223_372_036_854_775_808.0,
    -9_223_372_036_854_775_808.0,
    0.1,
    1e15,
];
/// Letters without case are the only ones beyond ASCII: SQLite maps the case of ASCII alone.
const TEXTS: [&str; 16] =
    ["", "a", "b", "ab", "aab", "A", "B", "a%", "%b", "_", "x'y", "日", "a日b", " a", "a b ", "a\\b"];

pub(super) const BOOLEAN: Shape = Shape { datatype: DataType::Boolean, max: 1.0, digits: 0 };

/// The shape of integers up to a bound.
pub(super) fn integer(max: f64) -> Shape {
    Shape { datatype: DataType::Integer, max, digits: 0 }
}

/// The shape of texts up to a length.
pub(super) fn text(max: f64) -> Shape {
    Shape { datatype: DataType::Text, max, digits: 0 }
}

/// The shape of floats.
pub(super) fn float(max: f64, digits: u32) -> Shape {
    Shape { datatype: DataType::Float, max, digits }
}

/// The shape of most columns of a type, where nothing is extreme.
pub(super) fn usual(datatype: DataType) -> Shape {
    match datatype {
        DataType::Boolean => BOOLEAN,
        DataType::Integer => integer(100.0),
        DataType::Float => float(16.0, 2),
        DataType::Text => text(8.0),
    }
}

/// What is known of one value.
pub(super) fn shape_of(value: &Value) -> Shape {
    match value {
        Value::Null | Value::Boolean(_) => BOOLEAN,
        Value::Integer(n) => integer((*n as f64).abs()),
        Value::Float(x) if x.abs() <= 100.0 && (x * 4.0).fract() == 0.0 => float(x.abs(), 2),
        Value::Float(x) => float(if x.is_nan() { f64::INFINITY } else { x.abs() }, INEXACT),
        Value::Text(t) => text(t.chars().count() as f64),
    }
}

impl Generator<'_, '_> {
    pub(super) fn table(&mut self, position: usize) -> Table {
        let mut columns = Vec::new();
        // The same names in all tables, for USING.
        for name in ["a", "b", "c", "d", "e"].into_iter().take(1 + self.draw.below(5)) {
            columns.push(self.column(name));
        }
        let mut primary_key: Vec<usize> = Vec::new();
        let count = self.draw.choose(&[0, 0, 1, 1, 1, 2, 2, 3]);
        for _ in 0..count {
            let column = self.draw.below(columns.len());
            // A truth value alone lets in two rows.
            let short = columns[column].shape.datatype == DataType::Boolean && count == 1;
            if !primary_key.contains(&column) && !short {
                primary_key.push(column);
            }
        }
        let mut uniques: Vec<Vec<String>> = Vec::new();
        if self.draw.chance(1, 5) {
            let mut key: Vec<usize> = Vec::new();
            for _ in 0..self.draw.choose(&[1, 1, 2]) {
                let column = self.draw.below(columns.len());
                if !key.contains(&column) {
                    key.push(column);
                }
            }
            let same = key.len() == primary_key.len() && key.iter().all(|column| primary_key.contains(column));
            if !same {
                uniques.push(key.into_iter().map(|column| columns[column].name.clone()).collect());
            }
        }
        let name = format!("r{position}");
        let without_rowid = self.draw.chance(1, 3);
        let (foreign_keys, checks) = (Vec::new(), Vec::new());
        let mut table = Table { name, columns, primary_key, uniques, foreign_keys, checks, without_rowid };
        for _ in 0..self.draw.choose(&[0, 0, 0, 1, 1, 2]) {
            self.foreign_key(&mut table);
        }
        let columns = &table.columns;
        if self.draw.chance(1, 4) {
            let column = &columns[self.draw.below(columns.len())];
            let (name, shape) = (column.name.clone(), column.shape);
            let subject = Expr::Column { table: None, name, datatype: shape.datatype };
            let op = self.draw.choose(&["<>", "<>", "<=", ">"]);
            let value = Expr::Literal(self.value(shape));
            let check = Expr::binary(op, subject.clone(), value);
            let check = if self.draw.chance(1, 2) {
                let unknown = Expr::Is { expr: Box::new(subject), what: "NULL", negated: false };
                Expr::binary("OR", unknown, check)
            } else {
                check
            };
            table.checks.push(check);
        }
        table
    }

    /// A column of a name.
    pub(super) fn column(&mut self, name: &str) -> Column {
        let datatype = self.draw.choose(&[
            DataType::Integer,
            DataType::Integer,
            DataType::Text,
            DataType::Float,
            DataType::Boolean,
        ]);
        let shape = self.shape(datatype);
        let nullable = self.draw.chance(4, 5);
        let default = self.draw.chance(1, 5).then(|| Expr::Literal(self.value(shape)));
        Column { name: name.to_string(), shape, nullable, default }
    }

    fn shape(&mut self, datatype: DataType) -> Shape {
        let extreme = self.wild && self.draw.chance(1, 2) || self.draw.chance(1, 8);
        match datatype {
            DataType::Integer if extreme => integer(UNBOUNDED),
            DataType::Float if extreme && self.wild => float(f64::INFINITY, INEXACT),
            datatype => usual(datatype),
        }
    }

    pub(super) fn index(&mut self) -> Option<Index> {
        let table = &self.tables[self.draw.below(self.tables.len())];
        let mut columns: Vec<(String, bool)> = Vec::new();
        for _ in 0..self.draw.choose(&[1, 1, 1, 2, 2, 3]) {
            let name = &table.columns[self.draw.below(table.columns.len())].name;
            if columns.iter().all(|(other, _)| other != name) {
                columns.push((name.clone(), self.draw.chance(1, 3)));
            }
        }
        let unique = self.draw.chance(1, 4);
        let name = format!("i{}", self.indexes.len());
        let index = Index { name, table: table.name.clone(), columns, unique };
        // What one index does, another of the same columns does too.
        let same = |other: &Index| other.table == index.table && other.columns == index.columns;
        if self.indexes.iter().any(same) {
            return None;
        }
        self.indexes.push(index.clone());
        Some(index)
    }

    /// A value within bounds. There are few of them, so that they meet.
    pub(super) fn value(&mut self, shape: Shape) -> Value {
        match shape.datatype {
            DataType::Boolean => Value::Boolean(self.draw.chance(1, 2)),
            DataType::Integer if shape.max > 1e15 && self.draw.chance(1, 2) => {
                Value::Integer(self.draw.choose(&INTEGERS))
            }
            DataType::Integer => {
                let wide = self.draw.chance(1, 4);
                Value::Integer(if wide { self.draw.between(-3, 40) } else { self.draw.between(-1, 3) })
            }
            DataType::Float if shape.max.is_infinite() && self.draw.chance(1, 2) => {
                Value::float(self.draw.choose(&FLOATS))
            }
            DataType::Float => {
                let wide = self.draw.chance(1, 4);
                let quarters = if wide { self.draw.between(-60, 60) } else { self.draw.between(-2, 5) };
                Value::Float(quarters as f64 / 4.0)
            }
            DataType::Text if self.draw.chance(1, 4) => {
                let letter = |n: usize| char::from(b'a' + n as u8);
                let (a, b) = (letter(self.draw.below(6)), letter(self.draw.below(6)));
                Value::from(format!("{a}{b}"))
            }
            DataType::Text if self.draw.chance(1, 2) => Value::from(self.draw.choose(&["a", "b", "ab"])),
            DataType::Text => Value::from(self.draw.choose(&TEXTS)),
        }
    }

    /// One of the first INSERTs of a table.
    pub(super) fn fill(&mut self, position: usize) -> Step {
        self.begin();
        let table = self.tables[position].clone();
        let mut rows = Vec::new();
        // A row that refers to nothing fails all of them.
        let most = if table.foreign_keys.is_empty() { 6 } else { 3 };
        for _ in 0..=self.draw.below(most) {
            let row = self.new_row(&table);
            // Others will refer to it.
            self.rows.entry(table.name.clone()).or_default().push(row.clone());
            rows.push(row);
        }
        // Most rows should find a place.
        let conflict = self.draw.chance(5, 6).then(|| Conflict { target: Vec::new(), update: None });
        Self::insert(&table, rows, conflict)
    }
}
