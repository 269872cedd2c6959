//! CREATE TABLE and CREATE VIEW, and constraints.

use super::super::ast::{self, Constraint, ConstraintDef};
use super::super::binder::{column, primary_key_name};
use super::super::catalog::{Object, View, next_table, put, put_table};
use super::super::error::{Error, SqlState};
use super::super::executor;
use super::super::schema::{Check, Column, ForeignKey, IndexColumn, Table};
use super::super::types::Value;
use super::{Change, Result, constraint_exists};

/// The most columns of a table.
const MAX_COLUMNS: usize = 1600;

impl Change<'_> {
    pub(super) fn create_table(&mut self, create: &ast::CreateTable) -> Result<()> {
        if create.if_not_exists && matches!(self.object(&create.name.name)?, Some(Object::Table(_))) {
            return Ok(());
        }
        self.must_be_free(&create.name)?;
        let mut table = Table {
            id: 0,
            name: create.name.name.clone(),
            columns: Vec::with_capacity(create.columns.len()),
            primary_key: Vec::new(),
            key_name: None,
            indexes: Vec::new(),
            checks: Vec::new(),
            foreign_keys: Vec::new(),
            referenced_by: Vec::new(),
        };
        for definition in &create.columns {
            self.add_column(&mut table, definition)?;
        }
        table.id = next_table(self.txn)?;
        // Keys first, since foreign keys may refer to them, in this table too.
        let is_key = |def: &&ConstraintDef| matches!(def.constraint, Constraint::PrimaryKey(_) | Constraint::Unique(_));
        let (keys, others): (Vec<_>, Vec<_>) = create.constraints.iter().partition(is_key);
        let primary = |def: &&&ConstraintDef| matches!(def.constraint, Constraint::PrimaryKey(_));
        if keys.iter().filter(primary).count() > 1 {
            let message = format!("table {:?} has two primary keys", table.name);
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message).into());
        }
        for definition in keys.iter().filter(primary) {
            if let Constraint::PrimaryKey(columns) = &definition.constraint {
                Self::set_primary_key(&mut table, definition.name.as_deref(), columns, &create.columns)?;
            }
        }
        for definition in keys.into_iter().filter(|def| !primary(&def)) {
            self.add_constraint(&mut table, definition)?;
        }
        for name in &create.indexes {
            let column = column(&table, name)?;
            // What is a key has an index already.
            let first = |columns: &[IndexColumn]| columns.len() == 1 && columns[0].column == column;
            if table.primary_key != [column] && !table.indexes.iter().any(|index| first(&index.columns)) {
                let name = self.free_name(&table, &[column], "idx")?;
                let columns = vec![IndexColumn { column, descending: false }];
                self.add_index(&mut table, &name, columns, false, false)?;
            }
        }
        for definition in others {
            self.add_constraint(&mut table, definition)?;
        }
        put_table(self.txn, table)
    }

    /// Adds a column, without its constraints.
    pub(super) fn add_column(&mut self, table: &mut Table, definition: &ast::ColumnDef) -> Result<usize> {
        let ast::ColumnDef { name, datatype, max_length, nullable, default } = definition;
        if table.columns.iter().any(|column| !column.dropped && column.name == *name) {
            let message = format!("column {name:?} of table {:?} exists", table.name);
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message).into());
        }
        if table.columns.len() == MAX_COLUMNS {
            let message = format!("a table has at most {MAX_COLUMNS} columns, dropped ones included");
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message).into());
        }
        let position = table.columns.len();
        table.columns.push(Column {
            name: name.clone(),
            datatype: *datatype,
            max_length: *max_length,
            nullable: nullable.unwrap_or(true),
            default: default.as_ref().map(|(_, text)| text.clone()),
            missing: Value::Null,
            dropped: false,
        });
        if let Some((default, _)) = default {
            self.default_value(table, position, default)?;
        }
        Ok(position)
    }

    /// What a default is now. One that cannot be evaluated is refused when it is defined.
    pub(super) fn default_value(&self, table: &Table, position: usize, default: &ast::Expr) -> Result<Value> {
        let name = &table.columns[position].name;
        let explain = |failure| match failure {
            super::Failure::Sql(mut error) => {
                error.message = format!("the default of column {name:?}: {}", error.message);
                super::Failure::Sql(error)
            }
            failure @ super::Failure::Storage(_) => failure,
        };
        let expr = self.bind(|binder| binder.default(table, position, default)).map_err(explain)?;
        executor::evaluate(&expr, &[], &executor::Context::without_data(&[])).map_err(explain)
    }

    pub(super) fn set_primary_key(
        table: &mut Table,
        name: Option<&str>,
        columns: &[String],
        definitions: &[ast::ColumnDef],
    ) -> Result<()> {
        if let Some(name) = name
            && name != primary_key_name(table)
        {
            if constraint_exists(table, name) {
                let message = format!("table {:?} has two constraints {name:?}", table.name);
                return Err(Error::new(SqlState::DUPLICATE_OBJECT, message).into());
            }
            table.key_name = Some(name.to_string());
        }
        for name in columns {
            let position = column(table, name)?;
            if table.primary_key.contains(&position) {
                let message = format!("column {name:?} stands twice in the primary key");
                return Err(Error::new(SqlState::DUPLICATE_COLUMN, message).into());
            }
            if definitions.iter().any(|other| other.name == *name && other.nullable == Some(true)) {
                let message = format!("column {name:?} is in the primary key, so it cannot be NULL");
                return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message).into());
            }
            table.columns[position].nullable = false;
            table.primary_key.push(position);
        }
        Ok(())
    }

    /// Adds a constraint other than a primary key. That the rows obey it is the caller's business, but for UNIQUE.
    pub(super) fn add_constraint(&mut self, table: &mut Table, definition: &ConstraintDef) -> Result<()> {
        let given = |change: &Self, columns: &[usize], suffix: &str, table: &Table| match &definition.name {
            None => change.free_name(table, columns, suffix),
            Some(name) if constraint_exists(table, name) => {
                let message = format!("table {:?} has a constraint {name:?}", table.name);
                Err(Error::new(SqlState::DUPLICATE_OBJECT, message).into())
            }
            Some(name) => Ok(name.clone()),
        };
        match &definition.constraint {
            Constraint::PrimaryKey(_) => unreachable!("a primary key is set by itself"),
            Constraint::Unique(names) => {
                let columns = distinct_columns(table, names, "UNIQUE")?;
                if columns == table.primary_key && definition.name.is_none() {
                    return Ok(());
                }
                let name = given(self, &columns, "key", table)?;
                let columns = columns.into_iter().map(|column| IndexColumn { column, descending: false }).collect();
                self.add_index(table, &name, columns, true, true)?;
            }
            Constraint::Check(condition, text, column_name) => {
                self.bind(|binder| binder.check(table, condition))?;
                let columns: Vec<usize> = column_name.iter().map(|name| column(table, name)).collect::<Result<_>>()?;
                let name = given(self, &columns, "check", table)?;
                table.checks.push(Check { name, condition: text.clone() });
            }
            Constraint::ForeignKey { columns, table: parent, referenced, on_delete, on_update } => {
                let columns = distinct_columns(table, columns, "FOREIGN KEY")?;
                let name = given(self, &columns, "fkey", table)?;
                let own = parent.name == table.name;
                let mut other = if own { table.clone() } else { self.table(parent)? };
                let referenced = referenced_columns(&other, referenced)?;
                check_reference(table, &columns, &other, &referenced)?;
                let (on_delete, on_update) = (*on_delete, *on_update);
                if own {
                    if !table.referenced_by.contains(&table.name) {
                        table.referenced_by.push(table.name.clone());
                    }
                } else if !other.referenced_by.contains(&table.name) {
                    other.referenced_by.push(table.name.clone());
                    put_table(self.txn, other)?;
                }
                let table_name = parent.name.clone();
                table.foreign_keys.push(ForeignKey {
                    name,
                    columns,
                    table: table_name,
                    referenced,
                    on_delete,
                    on_update,
                });
            }
        }
        Ok(())
    }

    pub(super) fn create_view(&mut self, create: &ast::CreateView) -> Result<()> {
        let name = &create.name.name;
        let before = match self.object(name)? {
            Some(Object::View(_)) if create.if_not_exists => return Ok(()),
            Some(Object::View(view)) if create.or_replace => Some(view),
            _ => {
                self.must_be_free(&create.name)?;
                None
            }
        };
        let (columns, shapes) = {
            let catalog = self.catalog();
            let binder = super::Binder::new(&catalog, self.functions, &[]);
            let columns: Vec<String> =
                binder.query(&create.query)?.columns.into_iter().map(|column| column.name).collect();
            (columns, catalog.shapes())
        };
        if shapes.iter().any(|(shape, _)| shape == name) {
            let message = format!("view {name:?} reads itself");
            return Err(Error::new(SqlState::INVALID_RECURSION, message).into());
        }
        if create.columns.len() > columns.len() {
            let message = format!("view {name:?} has {} columns, but more names", columns.len());
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message).into());
        }
        let renamed = create.columns.iter().cloned();
        let columns: Vec<String> = renamed.chain(columns.iter().skip(create.columns.len()).cloned()).collect();
        for (position, column) in columns.iter().enumerate() {
            if columns[..position].contains(column) {
                let message = format!("view {name:?} has two columns {column:?}");
                let error = Error::new(SqlState::DUPLICATE_COLUMN, message);
                return Err(error.with_hint("name its columns").into());
            }
        }
        if let Some(before) = &before
            && !columns.starts_with(&before.columns)
        {
            let message = format!("the columns of view {name:?} can only become more");
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message).into());
        }
        let id = match before {
            Some(before) => before.id,
            None => next_table(self.txn)?,
        };
        let view = View { id, name: name.clone(), columns, query: create.text.clone(), shapes };
        put(self.txn, name, Object::View(view))?;
        // Views that read this one must still make sense, and not read themselves by way of it.
        self.check_views(name)
    }
}

/// The positions of columns, each once.
fn distinct_columns(table: &Table, names: &[String], what: &str) -> Result<Vec<usize>> {
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        let position = column(table, name)?;
        if columns.contains(&position) {
            let message = format!("column {name:?} stands twice in {what}");
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message).into());
        }
        columns.push(position);
    }
    Ok(columns)
}

/// The columns that a foreign key refers to: those named, or the primary key.
fn referenced_columns(table: &Table, names: &[String]) -> Result<Vec<usize>> {
    if !names.is_empty() {
        return distinct_columns(table, names, "REFERENCES");
    }
    if table.primary_key.is_empty() {
        let message = format!("table {:?} has no primary key to refer to", table.name);
        return Err(Error::new(SqlState::INVALID_FOREIGN_KEY, message).into());
    }
    Ok(table.primary_key.clone())
}

/// Checks that a foreign key refers to a key of its types.
fn check_reference(table: &Table, columns: &[usize], other: &Table, referenced: &[usize]) -> Result<()> {
    let invalid = |message: String| Err(Error::new(SqlState::INVALID_FOREIGN_KEY, message).into());
    if columns.len() != referenced.len() {
        return invalid(format!("{} columns cannot refer to {}", columns.len(), referenced.len()));
    }
    let sorted = |mut columns: Vec<usize>| {
        columns.sort_unstable();
        columns
    };
    let wanted = sorted(referenced.to_vec());
    let is_key = !other.primary_key.is_empty() && sorted(other.primary_key.clone()) == wanted
        || other
            .indexes
            .iter()
            .any(|index| index.unique && sorted(index.columns.iter().map(|by| by.column).collect()) == wanted);
    if !is_key {
        return invalid(format!("a foreign key must refer to a primary key or unique columns of {:?}", other.name));
    }
    for (&column, &referenced) in columns.iter().zip(referenced) {
        let (column, referenced) = (&table.columns[column], &other.columns[referenced]);
        if column.datatype != referenced.datatype {
            let message = format!(
                "column {:?} is of type {}, and cannot refer to {:?}, which is of type {}",
                column.name, column.datatype, referenced.name, referenced.datatype
            );
            return Err(Error::new(SqlState::DATATYPE_MISMATCH, message).into());
        }
    }
    Ok(())
}
