//! The tables of the system: `information_schema`, and by way of `pg` those of `pg_catalog`.

use super::super::ast;
use super::super::binder::primary_key_name;
use super::super::error::Failure;
use super::super::schema::{Action, Table};
use super::super::types::{DataType, SmolStr, Value};
use super::{Catalog, Object, pg};
use crate::mvcc::Read;

use DataType::{Integer, Text};

pub(super) type Columns = &'static [(&'static str, DataType)];
pub(super) type Rows = Vec<Vec<Value>>;

const TABLES: Columns = &[("table_catalog", Text), ("table_schema", Text), ("table_name", Text), ("table_type", Text)];
const COLUMNS: Columns = &[
    ("table_catalog", Text),
    ("table_schema", Text),
    ("table_name", Text),
    ("column_name", Text),
    ("ordinal_position", Integer),
    ("column_default", Text),
    ("is_nullable", Text),
    ("data_type", Text),
    ("character_maximum_length", Integer),
];
const VIEWS: Columns =
    &[("table_catalog", Text), ("table_schema", Text), ("table_name", Text), ("view_definition", Text)];
const CONSTRAINTS: Columns = &[
    ("constraint_schema", Text),
    ("constraint_name", Text),
    ("table_schema", Text),
    ("table_name", Text),
    ("constraint_type", Text),
];
const KEY_COLUMNS: Columns = &[
    ("constraint_schema", Text),
    ("constraint_name", Text),
    ("table_schema", Text),
    ("table_name", Text),
    ("column_name", Text),
    ("ordinal_position", Integer),
];
const REFERENTIAL: Columns = &[
    ("constraint_schema", Text),
    ("constraint_name", Text),
    ("match_option", Text),
    ("update_rule", Text),
    ("delete_rule", Text),
    ("referenced_table_name", Text),
];
const CHECKS: Columns = &[("constraint_schema", Text), ("constraint_name", Text), ("check_clause", Text)];
const INDEXES: Columns = &[("schemaname", Text), ("tablename", Text), ("indexname", Text), ("indexdef", Text)];
const SCHEMATA: Columns = &[("catalog_name", Text), ("schema_name", Text)];

/// The name of the only database, and the schema of what users make.
pub(super) const DATABASE: &str = "orrery";
pub(super) const SCHEMA: &str = "public";

impl Catalog<'_> {
    /// The columns and rows of a system table, if that is what a name means.
    pub fn system_table(&self, name: &ast::Name) -> Result<Option<(Columns, Rows)>, Failure> {
        let make: (Columns, fn(&str, &Object) -> Rows) = match (name.schema.as_deref(), name.name.as_str()) {
            (Some("information_schema"), "tables") => (TABLES, tables),
            (Some("information_schema"), "columns") => (COLUMNS, columns),
            (Some("information_schema"), "views") => (VIEWS, views),
            (Some("information_schema"), "table_constraints") => (CONSTRAINTS, constraints),
            (Some("information_schema"), "key_column_usage") => (KEY_COLUMNS, key_columns),
            (Some("information_schema"), "referential_constraints") => (REFERENTIAL, referential),
            (Some("information_schema"), "check_constraints") => (CHECKS, checks),
            (Some("pg_catalog") | None, "pg_indexes") => (INDEXES, indexes),
            (Some("information_schema"), "schemata") => {
                let schemas = [SCHEMA, "information_schema", "pg_catalog"];
                return Ok(Some((SCHEMATA, schemas.map(|schema| vec![text(DATABASE), text(schema)]).to_vec())));
            }
            // Tables of `pg_catalog` are found without its name as well.
            (Some("pg_catalog"), name) => return self.pg_table(name),
            (None, name) if name.starts_with("pg_") => return self.pg_table(name),
            _ => return Ok(None),
        };
        let objects = self.objects(Read::Schema)?;
        let rows = objects.iter().flat_map(|(name, object)| make.1(name, object));
        Ok(Some((make.0, rows.collect())))
    }

    fn pg_table(&self, name: &str) -> Result<Option<(Columns, Rows)>, Failure> {
        if !pg::is_table(name) {
            return Ok(None);
        }
        Ok(pg::table(name, &self.objects(Read::Schema)?))
    }
}

pub(super) fn text(text: impl Into<SmolStr>) -> Value {
    Value::Text(text.into())
}

pub(super) fn optional(value: Option<impl Into<SmolStr>>) -> Value {
    value.map_or(Value::Null, text)
}

fn yes(truth: bool) -> Value {
    text(if truth { "YES" } else { "NO" })
}

fn tables(name: &str, object: &Object) -> Rows {
    let kind = match object {
        Object::Table(_) => "BASE TABLE",
        Object::View(_) => "VIEW",
        Object::Index(_) => return Vec::new(),
    };
    vec![vec![text(DATABASE), text(SCHEMA), text(name), text(kind)]]
}

fn columns(_: &str, object: &Object) -> Rows {
    let Object::Table(table) = object else { return Vec::new() };
    let columns = table.columns.iter().filter(|column| !column.dropped).enumerate();
    columns
        .map(|(position, column)| {
            let datatype = match (column.datatype, column.max_length) {
                (DataType::Boolean, _) => "boolean",
                (Integer, _) => "bigint",
                (DataType::Float, _) => "double precision",
                (Text, Some(_)) => "character varying",
                (Text, None) => "text",
            };
            vec![
                text(DATABASE),
                text(SCHEMA),
                text(&table.name),
                text(&column.name),
                Value::Integer(position as i64 + 1),
                optional(column.default.clone()),
                yes(column.nullable),
                text(datatype),
                column.max_length.map_or(Value::Null, |length| Value::Integer(length as i64)),
            ]
        })
        .collect()
}

fn views(name: &str, object: &Object) -> Rows {
    match object {
        Object::View(view) => vec![vec![text(DATABASE), text(SCHEMA), text(name), text(&view.query)]],
        _ => Vec::new(),
    }
}

/// The keys of a table: name, kind and columns.
fn keys(table: &Table) -> Vec<(String, &'static str, Vec<usize>)> {
    let mut keys = Vec::new();
    if !table.primary_key.is_empty() {
        keys.push((primary_key_name(table), "PRIMARY KEY", table.primary_key.clone()));
    }
    for index in table.indexes.iter().filter(|index| index.constraint) {
        keys.push((index.name.clone(), "UNIQUE", index.columns.iter().map(|by| by.column).collect()));
    }
    for key in &table.foreign_keys {
        keys.push((key.name.clone(), "FOREIGN KEY", key.columns.clone()));
    }
    keys
}

fn constraints(_: &str, object: &Object) -> Rows {
    let Object::Table(table) = object else { return Vec::new() };
    let checks = table.checks.iter().map(|check| (check.name.clone(), "CHECK"));
    let all = keys(table).into_iter().map(|(name, kind, _)| (name, kind)).chain(checks);
    all.map(|(name, kind)| vec![text(SCHEMA), text(name), text(SCHEMA), text(&table.name), text(kind)]).collect()
}

fn key_columns(_: &str, object: &Object) -> Rows {
    let Object::Table(table) = object else { return Vec::new() };
    let mut rows = Vec::new();
    for (name, _, columns) in keys(table) {
        for (position, column) in columns.into_iter().enumerate() {
            let column = &table.columns[column].name;
            let position = Value::Integer(position as i64 + 1);
            rows.push(vec![text(SCHEMA), text(&name), text(SCHEMA), text(&table.name), text(column), position]);
        }
    }
    rows
}

fn referential(_: &str, object: &Object) -> Rows {
    let Object::Table(table) = object else { return Vec::new() };
    let rule = |action: Action| match action {
        Action::Refuse => "NO ACTION",
        Action::Cascade => "CASCADE",
        Action::SetNull => "SET NULL",
        Action::SetDefault => "SET DEFAULT",
    };
    let row = |key: &super::super::schema::ForeignKey| {
        let (update, delete) = (text(rule(key.on_update)), text(rule(key.on_delete)));
        vec![text(SCHEMA), text(&key.name), text("NONE"), update, delete, text(&key.table)]
    };
    table.foreign_keys.iter().map(row).collect()
}

fn checks(_: &str, object: &Object) -> Rows {
    let Object::Table(table) = object else { return Vec::new() };
    table.checks.iter().map(|check| vec![text(SCHEMA), text(&check.name), text(&check.condition)]).collect()
}

fn indexes(_: &str, object: &Object) -> Rows {
    let Object::Table(table) = object else { return Vec::new() };
    let definition = |name: &str, unique: bool, columns: Vec<String>| {
        let unique = if unique { "UNIQUE " } else { "" };
        text(format!("CREATE {unique}INDEX {name} ON {} ({})", table.name, columns.join(", ")))
    };
    let mut rows = Vec::new();
    if !table.primary_key.is_empty() {
        let name = primary_key_name(table);
        let columns = table.primary_key.iter().map(|&column| table.columns[column].name.clone()).collect();
        rows.push(vec![text(SCHEMA), text(&table.name), text(&name), definition(&name, true, columns)]);
    }
    for index in &table.indexes {
        let column = |by: &super::super::schema::IndexColumn| {
            format!("{}{}", table.columns[by.column].name, if by.descending { " DESC" } else { "" })
        };
        let columns = index.columns.iter().map(column).collect();
        let definition = definition(&index.name, index.unique, columns);
        rows.push(vec![text(SCHEMA), text(&table.name), text(&index.name), definition]);
    }
    rows
}
