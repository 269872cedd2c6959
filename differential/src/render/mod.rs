//! Statements as text, for the engine and for SQLite.
//!
//! What both have but spell differently is translated; each translation says at its place what it bridges:
//!
//! - SQLite has no booleans: they are 0 and 1, and `true` and `false` when they become text.
//! - NULL sorts first in SQLite and last here, so the order is always written out.
//! - A CAST of a float to an integer truncates in SQLite and rounds here, so it is always truncated first.
//! - LIKE has no escape character in SQLite unless it is given. (Its case is a pragma.)
//! - SQLite has no ANY and ALL, no INTERSECT ALL and EXCEPT ALL, no column names for a query in FROM, no parentheses around
//!   the sides of UNION, and no DEFAULT within VALUES: these are written with what it has.
//! - Its `INTEGER PRIMARY KEY` is a row number that fills itself, so columns are `INT` there; and its primary keys take
//!   NULL, so they are NOT NULL.
//!
//! What cannot be translated is a [`Difference`], and the statement is not run in SQLite.

mod expression;
mod query;
mod write;

pub use expression::has_aggregate;

use std::fmt::Write as _;

use engine::sql::types::{DataType, Value};

use crate::ast::{Alter, Alteration, Case, Column, ForeignKey, Index, Step, Table};

/// For whom the text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The engine.
    Engine,
    /// The engine, with parameters for values.
    Parameters,
    /// SQLite.
    Sqlite,
}

/// Why a statement is not run in SQLite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// `^`, which SQLite has not.
    Power,
    /// `!`, which SQLite has not.
    Factorial,
    /// `%` of floats, which are integers first in SQLite.
    FloatRemainder,
    /// IS NAN: NaN is NULL in SQLite.
    Nan,
    /// Floats as text: `1` here, `1.0` in SQLite.
    FloatText,
    /// A text that becomes a float or a boolean, which is an error here where SQLite takes what it can.
    TextCast,
    /// Functions that SQLite has not.
    Function,
    /// LATERAL, which SQLite has not.
    Lateral,
    /// An aggregate to the left of ANY or ALL, which the translation would put into a subquery.
    QuantifiedAggregate,
    /// Infinity, of which SQLite makes NULL where NaN would come of it.
    Infinity,
    /// An UPDATE whose new values are queries: in SQLite they see the rows that it has changed already.
    QueryInSet,
    /// RETURNING of an UPDATE with FROM or a DELETE with USING that names the others: SQLite knows the written row only.
    ReturningOthers,
    /// A write to a table that refers to itself, and changes what it has not come to yet: in SQLite, row by row.
    SelfReference,
    /// EXISTS of a query with DISTINCT and OFFSET: SQLite (3.54) forgets the DISTINCT, and skips equal rows.
    ExistsDistinct,
}

/// A statement as text.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    /// The text.
    pub sql: String,
    /// The values of `$1` and so on.
    pub params: Vec<Value>,
    /// The kinds of clauses and operators in it.
    pub kinds: Vec<&'static str>,
    /// Why SQLite cannot run it.
    pub difference: Option<Difference>,
}

/// Writes statements.
pub struct Renderer<'a> {
    dialect: Dialect,
    /// For DEFAULT.
    tables: &'a [Table],
    out: Rendered,
}

impl<'a> Renderer<'a> {
    /// A writer for a dialect, which has to know the tables.
    pub fn new(dialect: Dialect, tables: &'a [Table]) -> Self {
        Self { dialect, tables, out: Rendered::default() }
    }

    /// A step as text.
    pub fn step(mut self, step: &Step) -> Rendered {
        match step {
            Step::Table(table) => self.table(table),
            Step::Index(index) => self.index(index),
            Step::Alter(alter) => self.alter(alter),
            Step::View(name, query) => {
                self.kind("CREATE VIEW");
                // The columns have these names anyway, but in VALUES.
                self.put(&format!("CREATE VIEW {name}({}) AS ", query::names(query::width(query))));
                self.query(query);
            }
            Step::Write(write) => self.write(write),
            Step::Query(query) => self.query(&query.statement),
            Step::Parts(parts) => self.select(&parts.statement.select, true),
        }
        self.out
    }

    /// A SELECT as text.
    pub fn whole_select(mut self, select: &crate::ast::Select) -> Rendered {
        self.select(select, true);
        self.out
    }

    /// An expression alone.
    pub fn alone(mut self, expr: &crate::ast::Expr) -> Rendered {
        self.expr(expr);
        self.out
    }

    fn is_sqlite(&self) -> bool {
        self.dialect == Dialect::Sqlite
    }

    fn put(&mut self, text: &str) {
        self.out.sql.push_str(text);
    }

    fn kind(&mut self, kind: &'static str) {
        self.out.kinds.push(kind);
    }

    fn differs(&mut self, difference: Difference) {
        self.out.difference.get_or_insert(difference);
    }

    /// Parts with a separator.
    fn list<T>(&mut self, parts: &[T], mut part: impl FnMut(&mut Self, &T)) {
        for (position, item) in parts.iter().enumerate() {
            if position > 0 {
                self.put(", ");
            }
            part(self, item);
        }
    }

    fn table(&mut self, table: &Table) {
        self.put(&format!("CREATE TABLE {} (", table.name));
        let sqlite = self.is_sqlite();
        for (position, column) in table.columns.iter().enumerate() {
            if position > 0 {
                self.put(", ");
            }
            self.column(column, sqlite && table.primary_key.contains(&position));
        }
        match table.primary_key.len() {
            0 => self.kind("no primary key"),
            1 => self.kind("primary key"),
            _ => self.kind("composite primary key"),
        }
        if !table.primary_key.is_empty() {
            let names: Vec<&str> = table.primary_key.iter().map(|&i| table.columns[i].name.as_str()).collect();
            let _ = write!(self.out.sql, ", PRIMARY KEY ({})", names.join(", "));
        }
        for columns in &table.uniques {
            self.kind("UNIQUE");
            self.put(&format!(", UNIQUE ({})", columns.join(", ")));
        }
        for key in &table.foreign_keys {
            self.foreign_key(&table.name, key);
        }
        for check in &table.checks {
            self.kind("CHECK");
            self.put(", CHECK (");
            self.expr(check);
            self.put(")");
        }
        self.put(")");
        if sqlite && table.without_rowid && !table.primary_key.is_empty() {
            self.put(" WITHOUT ROWID");
        }
    }

    fn foreign_key(&mut self, table: &str, key: &ForeignKey) {
        let ForeignKey { columns, parent, referenced, on_delete, on_update } = key;
        self.kind(if columns.len() > 1 { "composite foreign key" } else { "foreign key" });
        if parent == table {
            self.kind("foreign key to itself");
        }
        self.kind(on_delete);
        self.kind(on_update);
        let (columns, referenced) = (columns.join(", "), referenced.join(", "));
        self.put(&format!(", FOREIGN KEY ({columns}) REFERENCES {parent} ({referenced}) {on_delete} {on_update}"));
    }

    /// A column of a table, which cannot be NULL if it is a key.
    fn column(&mut self, column: &Column, key: bool) {
        let _ = write!(self.out.sql, "{} {}", column.name, type_name(column.shape.datatype, self.is_sqlite()));
        if !column.nullable || key {
            self.kind("NOT NULL");
            self.put(" NOT NULL");
        }
        if let Some(default) = &column.default {
            self.kind("DEFAULT");
            self.put(" DEFAULT (");
            self.expr(default);
            self.put(")");
        }
    }

    fn alter(&mut self, alter: &Alter) {
        self.put(&format!("ALTER TABLE {} ", alter.table));
        match &alter.change {
            Alteration::Add(column) => {
                self.kind(match (&column.default, column.nullable) {
                    (None, _) => "ADD COLUMN",
                    (Some(_), true) => "ADD COLUMN with DEFAULT",
                    (Some(_), false) => "ADD COLUMN with DEFAULT and NOT NULL",
                });
                self.put("ADD COLUMN ");
                self.column(column, false);
            }
            Alteration::Drop(name) => {
                self.kind("DROP COLUMN");
                self.put(&format!("DROP COLUMN {name}"));
            }
            Alteration::Rename(from, to) => {
                self.kind("RENAME COLUMN");
                self.put(&format!("RENAME COLUMN {from} TO {to}"));
            }
            Alteration::RenameTable(to) => {
                self.kind("RENAME TO");
                self.put(&format!("RENAME TO {to}"));
            }
        }
    }

    fn index(&mut self, index: &Index) {
        self.kind(if index.unique { "unique index" } else { "index" });
        if index.columns.len() > 1 {
            self.kind("index of several columns");
        }
        let unique = if index.unique { "UNIQUE " } else { "" };
        self.put(&format!("CREATE {unique}INDEX {} ON {} (", index.name, index.table));
        self.list(&index.columns, |this, (column, descending)| {
            this.put(column);
            if *descending {
                this.kind("descending index");
                this.put(" DESC");
            }
        });
        self.put(")");
    }
}

/// The whole case as a script that can be pasted.
pub fn script(case: &Case, dialect: Dialect) -> Vec<Rendered> {
    let mut tables = Vec::new();
    let step = |step| {
        let rendered = Renderer::new(dialect, &tables).step(step);
        follow(step, &mut tables);
        rendered
    };
    case.steps.iter().map(step).collect()
}

/// Does to the tables what a step does to their schema.
pub fn follow(step: &Step, tables: &mut Vec<Table>) {
    match step {
        Step::Table(table) => tables.push(table.clone()),
        Step::Alter(alter) => alter.apply(tables),
        Step::Index(_) | Step::View(..) | Step::Write(_) | Step::Query(_) | Step::Parts(_) => {}
    }
}

fn type_name(datatype: DataType, sqlite: bool) -> &'static str {
    match datatype {
        DataType::Boolean | DataType::Integer if sqlite => "INT",
        DataType::Float if sqlite => "REAL",
        DataType::Boolean => "BOOLEAN",
        DataType::Integer => "INTEGER",
        DataType::Float => "FLOAT",
        DataType::Text => "TEXT",
    }
}
