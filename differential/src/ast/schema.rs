//! Tables, indexes, and what becomes of them.

use engine::sql::types::DataType;

use super::{Expr, Part, Walk};

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// The positions of the columns of the primary key; empty if there is none.
    pub primary_key: Vec<usize>,
    /// CHECK constraints.
    pub checks: Vec<Expr>,
    /// Whether SQLite is to cluster it by its primary key.
    pub without_rowid: bool,
}

/// A column of a table.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, and the bounds that all its values keep.
    pub shape: Shape,
    /// Whether it can be NULL.
    pub nullable: bool,
    /// What it is by default.
    pub default: Option<Expr>,
}

/// A type with bounds, by which overflow and rounding are kept out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// The type.
    pub datatype: DataType,
    /// The largest absolute value of a number; the most characters of a text.
    pub max: f64,
    /// The binary digits after the point of a float.
    pub digits: u32,
}

/// A secondary index.
#[derive(Clone, Debug)]
pub struct Index {
    /// Its name.
    pub name: String,
    /// Its table.
    pub table: String,
    /// Its columns, and whether they descend.
    pub columns: Vec<(String, bool)>,
    /// Whether no two rows may have the same values.
    pub unique: bool,
}

/// ALTER TABLE.
#[derive(Clone, Debug)]
pub struct Alter {
    /// The table.
    pub table: String,
    /// What is altered.
    pub change: Alteration,
}

/// What ALTER TABLE does.
#[derive(Clone, Debug)]
pub enum Alteration {
    /// ADD COLUMN.
    Add(Column),
    /// DROP COLUMN.
    Drop(String),
    /// RENAME COLUMN, from a name to another.
    Rename(String, String),
    /// RENAME TO.
    RenameTable(String),
}

impl Alter {
    /// Does to the tables what the statement does.
    pub fn apply(&self, tables: &mut [Table]) {
        let Some(table) = tables.iter_mut().find(|table| table.name == self.table) else { return };
        match &self.change {
            Alteration::Add(column) => table.columns.push(column.clone()),
            Alteration::Drop(name) => table.drop_column(name),
            Alteration::Rename(from, to) => table.rename_column(from, to),
            Alteration::RenameTable(to) => table.name.clone_from(to),
        }
    }
}

impl Table {
    /// Takes a column away, also from the primary key.
    pub fn drop_column(&mut self, name: &str) {
        let Some(position) = self.columns.iter().position(|column| column.name == name) else { return };
        self.columns.remove(position);
        self.primary_key.retain(|other| *other != position);
        for other in &mut self.primary_key {
            *other -= usize::from(*other > position);
        }
    }

    fn rename_column(&mut self, from: &str, to: &str) {
        for column in self.columns.iter_mut().filter(|column| column.name == from) {
            column.name = to.to_string();
        }
        self.checks.walk(&mut |part| {
            if let Part::Expr(Expr::Column { name, .. }) = part
                && *name == from
            {
                *name = to.to_string();
            }
        });
    }
}
