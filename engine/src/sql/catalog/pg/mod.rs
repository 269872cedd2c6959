//! The tables of `pg_catalog` that `psql` and drivers ask for what there is: relations, columns, indexes and constraints, and
//! empty ones for what there never is.
//!
//! Objects have numbers (oids) that follow from those of the catalog: a table has a block of them, in which its indexes have
//! places by their own numbers, and its CHECKs and foreign keys by their positions. A view has one of such numbers too.

mod columns;

use super::super::binder::primary_key_name;
use super::super::schema::{Action, ForeignKey, Index, Table};
use super::super::types::{DataType, Value};
use super::system::{Columns, Rows, SCHEMA, optional, text};
use super::{Object, View};
use columns::{
    AM, ATTRDEF, ATTRIBUTE, CLASS, COLLATIONS, CONSTRAINT, DATABASES, DEFINITIONS, EMPTY, INDEX, NAMESPACE, ROLES,
    TABLES, TYPE, VIEWS,
};

use DataType::{Boolean, Integer, Text};

/// The first number of what users make, as in PostgreSQL.
const FIRST: i64 = 16_384;
/// How many numbers each table has.
const BLOCK: i64 = 8_192;
/// Places within a table's numbers: the primary key's index and constraint, indexes with their constraints, DEFAULTs,
/// CHECKs, and foreign keys.
const KEY: i64 = 1;
const INDEXES: i64 = 16;
const DEFAULTS: i64 = 4_096;
const CHECKS: i64 = 6_144;
const FOREIGN: i64 = 7_168;

/// The numbers of the schemas, and of the ways to keep rows, as in PostgreSQL.
const PG_CATALOG: i64 = 11;
const PUBLIC: i64 = 2_200;
const INFORMATION: i64 = 13_000;
const HEAP: i64 = 2;
const BTREE: i64 = 403;
/// The only user.
const OWNER: i64 = 10;
/// The collation of texts: by code point.
const COLLATION: i64 = 100;

/// The numbers of system tables that are named in queries, as in PostgreSQL.
const SYSTEM: [(&str, i64); 9] = [
    ("pg_type", 1_247),
    ("pg_attribute", 1_249),
    ("pg_proc", 1_255),
    ("pg_class", 1_259),
    ("pg_attrdef", 2_604),
    ("pg_constraint", 2_606),
    ("pg_index", 2_610),
    ("pg_namespace", 2_615),
    ("pg_trigger", 2_620),
];

/// Whether there is such a table.
pub(super) fn is_table(name: &str) -> bool {
    table(name, &[]).is_some()
}

/// A table of `pg_catalog` over all objects.
pub(super) fn table(name: &str, objects: &[(String, Object)]) -> Option<(Columns, Rows)> {
    let each = |columns, make: fn(&str, &Object, &[(String, Object)]) -> Rows| {
        (columns, objects.iter().flat_map(|(name, object)| make(name, object, objects)).collect())
    };
    Some(match name {
        "$definitions" => {
            let (columns, mut rows): (_, Rows) = each(DEFINITIONS, definitions);
            rows.extend(SYSTEM.map(|(name, oid)| definition("relation", oid, 0, name)));
            (columns, rows)
        }
        "pg_class" => each(CLASS, classes),
        "pg_attribute" => each(ATTRIBUTE, attributes),
        "pg_attrdef" => each(ATTRDEF, defaults),
        "pg_index" => each(INDEX, indexes),
        "pg_constraint" => each(CONSTRAINT, constraints),
        "pg_tables" => each(TABLES, tables),
        "pg_views" => each(VIEWS, views),
        "pg_namespace" => {
            let schemas = [(PG_CATALOG, "pg_catalog"), (PUBLIC, SCHEMA), (INFORMATION, "information_schema")];
            (NAMESPACE, schemas.map(|(oid, name)| vec![int(oid), text(name), int(OWNER), Value::Null]).to_vec())
        }
        "pg_am" => {
            let row = |(oid, name, kind)| vec![int(oid), text(name), text(kind)];
            (AM, [(HEAP, "heap", "t"), (BTREE, "btree", "i")].map(row).to_vec())
        }
        "pg_collation" => {
            let row = |(oid, name)| vec![int(oid), text(name), int(PG_CATALOG)];
            (COLLATIONS, [(COLLATION, "default"), (950, "C"), (951, "POSIX")].map(row).to_vec())
        }
        "pg_database" => {
            (DATABASES, vec![vec![int(1), text(super::system::DATABASE), int(OWNER), int(6), true.into()]])
        }
        "pg_roles" => (ROLES, vec![vec![int(OWNER), text("orrery"), true.into(), true.into(), true.into()]]),
        "pg_type" => (TYPE, types()),
        name => {
            let (_, columns) = EMPTY.iter().find(|(empty, _)| *empty == name)?;
            (columns, Vec::new())
        }
    })
}

fn int(n: i64) -> Value {
    Value::Integer(n)
}

/// The number of a table or view.
fn oid(id: u32) -> i64 {
    FIRST + i64::from(id) * BLOCK
}

fn index_oid(table: &Table, index: &Index) -> i64 {
    oid(table.id) + INDEXES + 2 * i64::from(index.id)
}

/// The number of the relation of a name.
fn oid_of(name: &str, objects: &[(String, Object)]) -> Option<i64> {
    objects.iter().find(|(other, _)| other == name).and_then(|(_, object)| match object {
        Object::Table(table) => Some(oid(table.id)),
        Object::View(view) => Some(oid(view.id)),
        Object::Index(_) => None,
    })
}

fn types() -> Rows {
    let rows = [
        (16, "bool", 1, "B", 0),
        (18, "char", 1, "Z", 0),
        (19, "name", 64, "S", 950),
        (20, "int8", 8, "N", 0),
        (21, "int2", 2, "N", 0),
        (23, "int4", 4, "N", 0),
        (25, "text", -1, "S", COLLATION),
        (26, "oid", 4, "N", 0),
        (701, "float8", 8, "N", 0),
        (1_043, "varchar", -1, "S", COLLATION),
    ];
    let row = |(oid, name, length, category, collation): (i64, &str, i64, &str, i64)| {
        let (none, zero) = (Value::Null, int(0));
        vec![
            int(oid),
            text(name),
            int(PG_CATALOG),
            int(OWNER),
            int(length),
            text("b"),
            text(category),
            zero.clone(),
            zero.clone(),
            zero.clone(),
            false.into(),
            zero,
            int(-1),
            int(collation),
            none,
        ]
    };
    rows.map(row).to_vec()
}

/// The type of a column, how long its values are, and its modifier.
fn type_of(datatype: DataType, max_length: Option<u64>) -> (i64, i64, i64) {
    match (datatype, max_length) {
        (Boolean, _) => (16, 1, -1),
        (Integer, _) => (20, 8, -1),
        (DataType::Float, _) => (701, 8, -1),
        (Text, None) => (25, -1, -1),
        // Four bytes are those of the length, which PostgreSQL counts too.
        (Text, Some(length)) => (1_043, -1, i64::try_from(length).unwrap_or(i64::MAX).saturating_add(4)),
    }
}

/// What a row of `pg_class` tells of a relation, besides what all have in common.
#[derive(Default)]
struct Class {
    oid: i64,
    kind: &'static str,
    method: i64,
    columns: usize,
    indexed: bool,
    checks: usize,
    triggers: bool,
}

fn class(name: &str, class: &Class) -> Vec<Value> {
    let (no, zero) = (Value::Boolean(false), int(0));
    vec![
        int(class.oid),
        text(name),
        int(PUBLIC),
        zero.clone(),
        zero.clone(),
        int(OWNER),
        int(class.method),
        zero.clone(),
        zero.clone(),
        Value::Float(-1.0),
        zero,
        class.indexed.into(),
        no.clone(),
        text("p"),
        text(class.kind),
        int(class.columns as i64),
        int(class.checks as i64),
        no.clone(),
        class.triggers.into(),
        no.clone(),
        no.clone(),
        no.clone(),
        true.into(),
        text(if class.kind == "r" { "d" } else { "n" }),
        no,
        Value::Null,
        Value::Null,
        Value::Null,
    ]
}

fn classes(name: &str, object: &Object, _: &[(String, Object)]) -> Rows {
    let table = match object {
        Object::Table(table) => table,
        Object::View(view) => {
            let view = Class { oid: oid(view.id), kind: "v", columns: view.columns.len(), ..Class::default() };
            return vec![class(name, &view)];
        }
        Object::Index(_) => return Vec::new(),
    };
    let columns = table.columns.iter().filter(|column| !column.dropped).count();
    let mut rows = vec![class(
        name,
        &Class {
            oid: oid(table.id),
            kind: "r",
            method: HEAP,
            columns,
            indexed: !table.primary_key.is_empty() || !table.indexes.is_empty(),
            checks: table.checks.len(),
            // In PostgreSQL, foreign keys are triggers, and psql looks for them where there are some.
            triggers: !table.foreign_keys.is_empty() || !table.referenced_by.is_empty(),
        },
    )];
    for Key { oid, name, columns, .. } in keys(table) {
        let index = Class { oid, kind: "i", method: BTREE, columns: columns.len(), ..Class::default() };
        rows.push(class(&name, &index));
    }
    rows
}

fn attribute(relation: i64, number: usize, name: &str, datatype: DataType, max_length: Option<u64>) -> Vec<Value> {
    let (id, length, modifier) = type_of(datatype, max_length);
    vec![
        int(relation),
        text(name),
        int(id),
        int(length),
        int(number as i64 + 1),
        int(modifier),
        false.into(),
        false.into(),
        text(""),
        text(""),
        false.into(),
        true.into(),
        int(0),
        int(if datatype == Text { COLLATION } else { 0 }),
        text(if datatype == Text { "x" } else { "p" }),
        text(""),
        int(-1),
        Value::Null,
        Value::Null,
    ]
}

fn attributes(_: &str, object: &Object, objects: &[(String, Object)]) -> Rows {
    let table = match object {
        Object::Table(table) => table,
        Object::View(view) => return view_attributes(view, objects),
        Object::Index(_) => return Vec::new(),
    };
    let mut rows = Vec::new();
    for (number, column) in table.columns.iter().enumerate() {
        let name =
            if column.dropped { format!("........pg.dropped.{}........", number + 1) } else { column.name.clone() };
        let mut row = attribute(oid(table.id), number, &name, column.datatype, column.max_length);
        row[6] = (!column.nullable).into();
        row[7] = column.default.is_some().into();
        row[10] = column.dropped.into();
        rows.push(row);
    }
    for Key { oid, columns, .. } in keys(table) {
        for (number, (column, _)) in columns.into_iter().enumerate() {
            let column = &table.columns[column];
            rows.push(attribute(oid, number, &column.name, column.datatype, column.max_length));
        }
    }
    rows
}

/// The columns of a view: those of tables that they have their names from tell their types, which are not kept.
fn view_attributes(view: &View, objects: &[(String, Object)]) -> Rows {
    let datatype = |name: &str| {
        let tables = view.shapes.iter().filter_map(|(table, _)| {
            objects.iter().find(|(other, _)| other == table).and_then(|(_, object)| match object {
                Object::Table(table) => Some(table),
                _ => None,
            })
        });
        let mut columns = tables.flat_map(|table| &table.columns).filter(|column| !column.dropped);
        columns.find(|column| column.name == name).map_or(Text, |column| column.datatype)
    };
    let columns = view.columns.iter().enumerate();
    columns.map(|(number, name)| attribute(oid(view.id), number, name, datatype(name), None)).collect()
}

fn defaults(_: &str, object: &Object, _: &[(String, Object)]) -> Rows {
    let Some(table) = object.table() else { return Vec::new() };
    let with_default = table.columns.iter().enumerate().filter(|(_, column)| !column.dropped);
    with_default
        .filter_map(|(number, column)| {
            let default = column.default.as_ref()?;
            let place = number as i64 + 1;
            Some(vec![int(oid(table.id) + DEFAULTS + place), int(oid(table.id)), int(place), text(default)])
        })
        .collect()
}

/// The primary key, or an index.
struct Key {
    oid: i64,
    name: String,
    /// Columns, and whether they descend.
    columns: Vec<(usize, bool)>,
    unique: bool,
    primary: bool,
    /// The number of its constraint.
    constraint: Option<i64>,
}

fn keys(table: &Table) -> Vec<Key> {
    let mut keys = Vec::new();
    if !table.primary_key.is_empty() {
        let oid = oid(table.id) + KEY;
        let columns = table.primary_key.iter().map(|&column| (column, false)).collect();
        let (name, constraint) = (primary_key_name(table), Some(oid + 1));
        keys.push(Key { oid, name, columns, unique: true, primary: true, constraint });
    }
    keys.extend(table.indexes.iter().map(|index| {
        let oid = index_oid(table, index);
        let columns = index.columns.iter().map(|by| (by.column, by.descending)).collect();
        let (name, constraint) = (index.name.clone(), index.constraint.then_some(oid + 1));
        Key { oid, name, columns, unique: index.unique, primary: false, constraint }
    }));
    keys
}

/// Positions as PostgreSQL writes them: from 1.
fn positions(columns: impl Iterator<Item = usize>) -> Vec<String> {
    columns.map(|column| (column + 1).to_string()).collect()
}

fn indexes(_: &str, object: &Object, _: &[(String, Object)]) -> Rows {
    let Some(table) = object.table() else { return Vec::new() };
    let row = |key: Key| {
        let count = int(key.columns.len() as i64);
        let (yes, no) = (Value::Boolean(true), Value::Boolean(false));
        let columns = positions(key.columns.iter().map(|(column, _)| *column)).join(" ");
        vec![
            int(key.oid),
            int(oid(table.id)),
            count.clone(),
            count,
            key.unique.into(),
            no.clone(),
            key.primary.into(),
            no.clone(),
            yes.clone(),
            no.clone(),
            yes.clone(),
            yes.clone(),
            yes,
            no,
            text(columns),
            Value::Null,
            Value::Null,
        ]
    };
    keys(table).into_iter().map(row).collect()
}

/// What a row of `pg_constraint` tells, besides what all have in common.
struct Constraint<'t> {
    oid: i64,
    name: &'t str,
    kind: &'static str,
    index: i64,
    columns: Vec<usize>,
    foreign: Option<(&'t ForeignKey, i64)>,
    condition: Option<&'t str>,
}

fn constraint(table: &Table, constraint: &Constraint<'_>) -> Vec<Value> {
    let action = |action: Action| match action {
        Action::Refuse => "a",
        Action::Cascade => "c",
        Action::SetNull => "n",
        Action::SetDefault => "d",
    };
    let foreign = constraint.foreign;
    let list = |columns: &[usize]| text(format!("{{{}}}", positions(columns.iter().copied()).join(",")));
    vec![
        int(constraint.oid),
        text(constraint.name),
        int(PUBLIC),
        text(constraint.kind),
        false.into(),
        false.into(),
        true.into(),
        int(oid(table.id)),
        int(0),
        int(constraint.index),
        int(0),
        int(foreign.map_or(0, |(_, referenced)| referenced)),
        text(foreign.map_or(" ", |(key, _)| action(key.on_update))),
        text(foreign.map_or(" ", |(key, _)| action(key.on_delete))),
        text(if foreign.is_some() { "s" } else { " " }),
        true.into(),
        int(0),
        true.into(),
        list(&constraint.columns),
        foreign.map_or(Value::Null, |(key, _)| list(&key.referenced)),
        optional(constraint.condition),
    ]
}

fn constraints(_: &str, object: &Object, objects: &[(String, Object)]) -> Rows {
    let Some(table) = object.table() else { return Vec::new() };
    let mut rows = Vec::new();
    for key in keys(table) {
        let Some(oid) = key.constraint else { continue };
        let columns = key.columns.iter().map(|(column, _)| *column).collect();
        let kind = if key.primary { "p" } else { "u" };
        let (name, index) = (&key.name, key.oid);
        rows.push(constraint(table, &Constraint { oid, name, kind, index, columns, foreign: None, condition: None }));
    }
    for (place, check) in table.checks.iter().enumerate() {
        let (oid, condition) = (oid(table.id) + CHECKS + place as i64, Some(check.condition.as_str()));
        let (name, columns) = (check.name.as_str(), Vec::new());
        rows.push(constraint(table, &Constraint { oid, name, kind: "c", index: 0, columns, foreign: None, condition }));
    }
    for (place, key) in table.foreign_keys.iter().enumerate() {
        let oid = oid(table.id) + FOREIGN + place as i64;
        let foreign = Some((key, oid_of(&key.table, objects).unwrap_or(0)));
        let (name, columns) = (key.name.as_str(), key.columns.clone());
        rows.push(constraint(table, &Constraint { oid, name, kind: "f", index: 0, columns, foreign, condition: None }));
    }
    rows
}

fn definition(kind: &str, oid: i64, part: usize, what: &str) -> Vec<Value> {
    vec![text(kind), int(oid), int(part as i64), text(what)]
}

/// How objects are written: relations by their names, indexes and constraints as SQL.
fn definitions(name: &str, object: &Object, objects: &[(String, Object)]) -> Rows {
    let table = match object {
        Object::Table(table) => table,
        Object::View(view) => {
            return vec![
                definition("relation", oid(view.id), 0, name),
                definition("view", oid(view.id), 0, &view.query),
            ];
        }
        Object::Index(_) => return Vec::new(),
    };
    let mut rows = vec![definition("relation", oid(table.id), 0, name)];
    let names = |table: &Table, columns: &[usize]| {
        columns.iter().map(|&column| quoted(&table.columns[column].name)).collect::<Vec<_>>().join(", ")
    };
    for key in keys(table) {
        rows.push(definition("relation", key.oid, 0, &key.name));
        let columns: Vec<String> = key
            .columns
            .iter()
            .map(|(column, descending)| {
                format!("{}{}", quoted(&table.columns[*column].name), if *descending { " DESC" } else { "" })
            })
            .collect();
        let unique = if key.unique { "UNIQUE " } else { "" };
        let (index, on) = (quoted(&key.name), quoted(&table.name));
        let columns_text = columns.join(", ");
        let sql = format!("CREATE {unique}INDEX {index} ON {SCHEMA}.{on} USING btree ({columns_text})");
        rows.push(definition("index", key.oid, 0, &sql));
        for (place, (column, _)) in key.columns.iter().enumerate() {
            rows.push(definition("index", key.oid, place + 1, &quoted(&table.columns[*column].name)));
        }
        if let Some(oid) = key.constraint {
            let kind = if key.primary { "PRIMARY KEY" } else { "UNIQUE" };
            let columns: Vec<usize> = key.columns.iter().map(|(column, _)| *column).collect();
            rows.push(definition("constraint", oid, 0, &format!("{kind} ({})", names(table, &columns))));
        }
    }
    for (place, check) in table.checks.iter().enumerate() {
        let oid = oid(table.id) + CHECKS + place as i64;
        rows.push(definition("constraint", oid, 0, &format!("CHECK ({})", check.condition)));
    }
    for (place, key) in table.foreign_keys.iter().enumerate() {
        let oid = oid(table.id) + FOREIGN + place as i64;
        let referenced = objects.iter().find(|(name, _)| *name == key.table).and_then(|(_, object)| object.table());
        let referenced = referenced.map_or_else(String::new, |table| format!("({})", names(table, &key.referenced)));
        let action = |on: &str, action: Action| match action {
            Action::Refuse => String::new(),
            Action::Cascade => format!(" ON {on} CASCADE"),
            Action::SetNull => format!(" ON {on} SET NULL"),
            Action::SetDefault => format!(" ON {on} SET DEFAULT"),
        };
        let sql = format!(
            "FOREIGN KEY ({}) REFERENCES {}{referenced}{}{}",
            names(table, &key.columns),
            quoted(&key.table),
            action("UPDATE", key.on_update),
            action("DELETE", key.on_delete)
        );
        rows.push(definition("constraint", oid, 0, &sql));
    }
    rows
}

/// A name as it has to be written.
fn quoted(name: &str) -> String {
    let plain = name.bytes().enumerate().all(|(at, byte)| {
        byte == b'_' || byte.is_ascii_lowercase() || at > 0 && (byte.is_ascii_digit() || byte == b'$')
    });
    if plain && !name.is_empty() { name.to_string() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

fn tables(name: &str, object: &Object, _: &[(String, Object)]) -> Rows {
    let Some(table) = object.table() else { return Vec::new() };
    let (no, indexed) = (Value::Boolean(false), !table.primary_key.is_empty() || !table.indexes.is_empty());
    let triggers = !table.foreign_keys.is_empty() || !table.referenced_by.is_empty();
    let (owner, space) = (text("orrery"), Value::Null);
    vec![vec![text(SCHEMA), text(name), owner, space, indexed.into(), no.clone(), triggers.into(), no]]
}

fn views(name: &str, object: &Object, _: &[(String, Object)]) -> Rows {
    match object {
        Object::View(view) => vec![vec![text(SCHEMA), text(name), text("orrery"), text(&view.query)]],
        _ => Vec::new(),
    }
}
