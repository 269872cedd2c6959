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
    /// UNIQUE constraints, by their columns.
    pub uniques: Vec<Vec<String>>,
    /// FOREIGN KEY constraints, to tables that were made before, or to this one.
    pub foreign_keys: Vec<ForeignKey>,
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

/// A foreign key.
#[derive(Clone, Debug)]
pub struct ForeignKey {
    /// Its columns.
    pub columns: Vec<String>,
    /// The table that it refers to.
    pub parent: String,
    /// The columns that it refers to.
    pub referenced: Vec<String>,
    /// ON DELETE and what comes of it.
    pub on_delete: &'static str,
    /// ON UPDATE and what comes of it.
    pub on_update: &'static str,
}

/// Whether a clause of a foreign key, ON DELETE or ON UPDATE, changes rows.
pub fn acts(clause: &str) -> bool {
    !clause.ends_with("NO ACTION") && !clause.ends_with("RESTRICT")
}

/// The tables that a write to one may change: itself, and all that refer to it, in the order in which they were made.
pub fn family<'t>(tables: &'t [Table], name: &str) -> Vec<&'t Table> {
    let mut family: Vec<&Table> = Vec::new();
    for table in tables {
        let refers = |key: &ForeignKey| family.iter().any(|parent| parent.name == key.parent);
        if table.name == name || table.foreign_keys.iter().any(refers) {
            family.push(table);
        }
    }
    family
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
        for table in tables {
            for key in table.foreign_keys.iter_mut().filter(|key| key.parent == self.table) {
                match &self.change {
                    Alteration::Rename(from, to) => rename(&mut key.referenced, from, to),
                    Alteration::RenameTable(to) => key.parent.clone_from(to),
                    Alteration::Add(_) | Alteration::Drop(_) => {}
                }
            }
            if table.name != self.table {
                continue;
            }
            match &self.change {
                Alteration::Add(column) => table.columns.push(column.clone()),
                Alteration::Drop(name) => table.drop_column(name),
                Alteration::Rename(from, to) => table.rename_column(from, to),
                Alteration::RenameTable(to) => table.name.clone_from(to),
            }
        }
    }
}

fn rename(names: &mut [String], from: &str, to: &str) {
    for name in names.iter_mut().filter(|name| *name == from) {
        *name = to.to_string();
    }
}

impl Table {
    /// Takes a column away, and from the primary key, and all other constraints but CHECK that have it.
    pub fn drop_column(&mut self, name: &str) {
        let Some(position) = self.columns.iter().position(|column| column.name == name) else { return };
        self.columns.remove(position);
        self.primary_key.retain(|other| *other != position);
        for other in &mut self.primary_key {
            *other -= usize::from(*other > position);
        }
        let has = |columns: &[String]| columns.iter().any(|column| column == name);
        self.uniques.retain(|columns| !has(columns));
        self.foreign_keys.retain(|key| !has(&key.columns));
    }

    fn rename_column(&mut self, from: &str, to: &str) {
        for column in self.columns.iter_mut().filter(|column| column.name == from) {
            column.name = to.to_string();
        }
        self.uniques.iter_mut().for_each(|columns| rename(columns, from, to));
        self.foreign_keys.iter_mut().for_each(|key| rename(&mut key.columns, from, to));
        self.checks.walk(&mut |part| {
            if let Part::Expr(Expr::Column { name, .. }) = part
                && *name == from
            {
                *name = to.to_string();
            }
        });
    }
}
