//! ALTER TABLE.

use sqlparser::dialect::GenericDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

use super::super::algebra::Expr;
use super::super::ast::{self, Alteration, Constraint, ConstraintDef};
use super::super::binder::{column, primary_key_name};
use super::super::catalog::{Object, Statistics, put, put_table, remove};
use super::super::dml::{check_row, has_key, put_row, rows_of, violation};
use super::super::error::{Error, SqlState};
use super::super::executor;
use super::super::schema::{IndexColumn, Row, Table};
use super::super::types::{DataType, Value};
use super::{Change, Result};

impl Change<'_> {
    pub(super) fn alter_table(&mut self, alter: &ast::AlterTable) -> Result<()> {
        if alter.if_exists && self.object(&alter.table.name)?.is_none() {
            return Ok(());
        }
        let mut table = self.table(&alter.table)?;
        for operation in &alter.operations {
            // The name may have changed.
            table = self.table_named(&table.name)?;
            self.alter(&mut table, operation)?;
            put_table(self.txn, table.clone())?;
        }
        self.check_views(&table.name)
    }

    fn alter(&mut self, table: &mut Table, operation: &Alteration) -> Result<()> {
        match operation {
            Alteration::AddColumn { column, constraints, index, if_not_exists } => {
                let exists = table.columns.iter().any(|other| !other.dropped && other.name == column.name);
                if exists && *if_not_exists {
                    return Ok(());
                }
                let position = self.add_column(table, column)?;
                if let Some((default, _)) = &column.default {
                    table.columns[position].missing = self.default_value(table, position, default)?;
                }
                for constraint in constraints {
                    self.add(table, constraint)?;
                }
                if *index {
                    let name = self.free_name(table, &[position], "idx")?;
                    let columns = vec![IndexColumn { column: position, descending: false }];
                    self.add_index(table, &name, columns, false, false)?;
                }
                self.check_rows(table)
            }
            Alteration::DropColumn { name, if_exists, cascade } => {
                if *if_exists && !table.columns.iter().any(|column| !column.dropped && column.name == *name) {
                    return Ok(());
                }
                self.drop_column(table, name, *cascade)
            }
            Alteration::RenameColumn { from, to } => self.rename_column(table, from, to),
            Alteration::RenameTable(to) => self.rename_table(table, to),
            Alteration::SetDefault { column: name, default } => {
                let position = column(table, name)?;
                if let Some((default, _)) = default {
                    self.default_value(table, position, default)?;
                }
                table.columns[position].default = default.as_ref().map(|(_, text)| text.clone());
                Ok(())
            }
            Alteration::SetNullable { column: name, nullable } => {
                let position = column(table, name)?;
                if *nullable && table.primary_key.contains(&position) {
                    let message = format!("column {name:?} is in the primary key, so it cannot be NULL");
                    return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message).into());
                }
                table.columns[position].nullable = *nullable;
                if *nullable { Ok(()) } else { self.check_rows(table) }
            }
            Alteration::SetType { column: name, datatype, max_length, using } => {
                self.set_type(table, name, *datatype, *max_length, using.as_ref())
            }
            Alteration::AddConstraint(definition) => {
                self.add(table, definition)?;
                if matches!(definition.constraint, Constraint::Check(..)) { self.check_rows(table) } else { Ok(()) }
            }
            Alteration::DropConstraint { name, if_exists, cascade } => {
                self.drop_constraint(table, name, *if_exists, *cascade)
            }
        }
    }

    /// Adds a constraint, which the rows must obey.
    fn add(&mut self, table: &mut Table, definition: &ConstraintDef) -> Result<()> {
        match &definition.constraint {
            Constraint::PrimaryKey(columns) => {
                if !table.primary_key.is_empty() {
                    let message = format!("table {:?} has a primary key", table.name);
                    return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message).into());
                }
                let before = table.clone();
                Self::set_primary_key(table, definition.name.as_deref(), columns, &[])?;
                self.rewrite(&before, table)
            }
            Constraint::Unique(_) | Constraint::Check(..) => self.add_constraint(table, definition),
            Constraint::ForeignKey { .. } => {
                self.add_constraint(table, definition)?;
                let key = table.foreign_keys.last().expect("it was added just now").clone();
                let parent = if key.table == table.name { table.clone() } else { self.table_named(&key.table)? };
                for row in rows_of(table, &*self.txn)? {
                    let row = row?.1;
                    let values: Vec<Value> = key.columns.iter().map(|&column| row[column].clone()).collect();
                    if values.iter().any(|value| matches!(value, Value::Null)) {
                        continue;
                    }
                    if !has_key(&parent, &key.referenced, &values, &*self.txn)? {
                        return Err(violation(table, &key, &values, &parent));
                    }
                }
                Ok(())
            }
        }
    }

    /// Checks all rows against what must hold for each.
    fn check_rows(&self, table: &Table) -> Result<()> {
        let target = self.target(table)?;
        for row in rows_of(table, &*self.txn)? {
            check_row(&target, row?.1, &[])?;
        }
        Ok(())
    }

    /// Gives a column another type, and its values what `using` makes of the rows; without it, what INSERT would make of them.
    fn set_type(
        &mut self,
        table: &mut Table,
        name: &str,
        datatype: DataType,
        max_length: Option<u64>,
        using: Option<&ast::Expr>,
    ) -> Result<()> {
        let position = column(table, name)?;
        let foreign = table.foreign_keys.iter().any(|key| key.columns.contains(&position))
            || self.references_to(table)?.iter().any(|(_, key)| key.referenced.contains(&position));
        if foreign && datatype != table.columns[position].datatype {
            let message = format!("column {name:?} of table {:?} is in a foreign key", table.name);
            return Err(Error::new(SqlState::DEPENDENT_OBJECTS, message).with_hint("drop that first").into());
        }
        let before = table.clone();
        let changed = &mut table.columns[position];
        // All rows are written anew, so none is older than the column.
        (changed.datatype, changed.max_length, changed.missing) = (datatype, max_length, Value::Null);
        let own = ast::Expr::Column { table: None, name: name.to_string(), position: ast::Position::default() };
        let using = self.bind(|binder| binder.conversion(&before, table, position, using.unwrap_or(&own)))?;
        if let Some(default) = &before.columns[position].default {
            let default = super::super::parse::parse_expression(default)?;
            self.default_value(table, position, &default)?;
        }
        let target = self.target(table)?;
        let context = executor::Context::without_data(&[]);
        let mut rows: Vec<Row> = Vec::new();
        for row in rows_of(&before, &*self.txn)? {
            let mut row = row?.1;
            row[position] = executor::evaluate(&using, &row, &context)?;
            rows.push(row);
        }
        self.clear(before.whole_range())?;
        for row in rows {
            put_row(table, &check_row(&target, row, &[])?, self.txn)?;
        }
        // What ANALYZE has found is about values of the other type.
        Statistics::remove(self.txn, table.id)
    }

    /// Stores all rows anew, since their keys have changed.
    fn rewrite(&mut self, before: &Table, table: &Table) -> Result<()> {
        let target = self.target(table)?;
        let rows: Vec<Row> = rows_of(before, &*self.txn)?.map(|row| Ok(row?.1)).collect::<Result<_>>()?;
        self.clear(before.whole_range())?;
        for row in rows {
            put_row(table, &check_row(&target, row, &[])?, self.txn)?;
        }
        Ok(())
    }

    fn drop_column(&mut self, table: &mut Table, name: &str, cascade: bool) -> Result<()> {
        let position = column(table, name)?;
        let dependent = |message: String| Error::new(SqlState::DEPENDENT_OBJECTS, message);
        if table.primary_key.contains(&position) {
            let message = format!("column {name:?} is in the primary key of table {:?}", table.name);
            return Err(dependent(message).with_hint("drop the primary key first").into());
        }
        for (child, key) in self.references_to(table)? {
            if key.referenced.contains(&position) {
                if !cascade {
                    let message =
                        format!("the foreign key {:?} of table {child:?} refers to column {name:?}", key.name);
                    return Err(dependent(message).with_hint("use CASCADE").into());
                }
                self.drop_foreign_key(table, &child, &key.name)?;
            }
        }
        let own: Vec<String> = table
            .foreign_keys
            .iter()
            .filter(|key| key.columns.contains(&position))
            .map(|key| key.name.clone())
            .collect();
        for key in own {
            let table_name = table.name.clone();
            self.drop_foreign_key(table, &table_name, &key)?;
        }
        let target = self.target(table)?;
        table.checks.retain(|check| {
            let condition = &target.checks.iter().find(|other| other.name == check.name).expect("it is of this table");
            let mut uses = false;
            condition.condition.walk(0, &mut |_, expr| uses |= *expr == Expr::Column(position));
            !uses
        });
        while let Some(index) =
            table.indexes.iter().position(|index| index.columns.iter().any(|by| by.column == position))
        {
            self.remove_index(table, index)?;
        }
        let column = &mut table.columns[position];
        (column.dropped, column.nullable, column.default) = (true, true, None);
        column.max_length = None;
        column.name = String::new();
        Ok(())
    }

    /// Removes a foreign key to `table` of another table or of itself, or of `table` to another.
    fn drop_foreign_key(&mut self, table: &mut Table, child: &str, name: &str) -> Result<()> {
        let mut other = if child == table.name { table.clone() } else { self.table_named(child)? };
        let Some(position) = other.foreign_keys.iter().position(|key| key.name == name) else { return Ok(()) };
        let key = other.foreign_keys.remove(position);
        let last = !other.foreign_keys.iter().any(|others| others.table == key.table);
        if child == table.name {
            *table = other;
        } else {
            put_table(self.txn, other)?;
        }
        if last {
            if key.table == table.name {
                table.referenced_by.retain(|referring| referring != child);
            } else {
                let mut parent = self.table_named(&key.table)?;
                parent.referenced_by.retain(|referring| referring != child);
                put_table(self.txn, parent)?;
            }
        }
        Ok(())
    }

    fn drop_constraint(&mut self, table: &mut Table, name: &str, if_exists: bool, cascade: bool) -> Result<()> {
        if let Some(position) = table.checks.iter().position(|check| check.name == name) {
            table.checks.remove(position);
        } else if table.foreign_keys.iter().any(|key| key.name == name) {
            let child = table.name.clone();
            self.drop_foreign_key(table, &child, name)?;
        } else if let Some(position) = table.indexes.iter().position(|index| index.constraint && index.name == name) {
            if cascade {
                let columns: Vec<usize> = table.indexes[position].columns.iter().map(|by| by.column).collect();
                self.drop_references(table, &columns)?;
            }
            self.check_referenced(table, position)?;
            self.remove_index(table, position)?;
        } else if !table.primary_key.is_empty() && name == primary_key_name(table) {
            let columns = table.primary_key.clone();
            if cascade {
                self.drop_references(table, &columns)?;
            }
            if let Some((child, key)) =
                self.references_to(table)?.into_iter().find(|(_, key)| same(&key.referenced, &columns))
            {
                let message = format!("the foreign key {:?} of table {child:?} refers to the primary key", key.name);
                return Err(Error::new(SqlState::DEPENDENT_OBJECTS, message).with_hint("use CASCADE").into());
            }
            let before = table.clone();
            table.primary_key.clear();
            table.key_name = None;
            self.rewrite(&before, table)?;
        } else if !if_exists {
            let message = format!("table {:?} has no constraint {name:?}", table.name);
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, message).into());
        }
        Ok(())
    }

    /// Drops the foreign keys that refer to columns.
    fn drop_references(&mut self, table: &mut Table, columns: &[usize]) -> Result<()> {
        for (child, key) in self.references_to(table)? {
            if same(&key.referenced, columns) {
                self.drop_foreign_key(table, &child, &key.name)?;
            }
        }
        Ok(())
    }

    fn rename_column(&mut self, table: &mut Table, from: &str, to: &str) -> Result<()> {
        let position = column(table, from)?;
        if table.columns.iter().any(|column| !column.dropped && column.name == to) {
            let message = format!("column {to:?} of table {:?} exists", table.name);
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message).into());
        }
        let before = self.target(table)?;
        table.columns[position].name = to.to_string();
        for check in &mut table.checks {
            check.condition = rename_in(&check.condition, from, to);
        }
        let after = self.target(table)?;
        let same = before.checks.iter().zip(&after.checks).all(|(a, b)| a.condition == b.condition);
        if !same {
            let message = format!("a CHECK constraint of table {:?} names column {from:?}", table.name);
            return Err(Error::new(SqlState::DEPENDENT_OBJECTS, message).with_hint("drop it first").into());
        }
        Ok(())
    }

    fn rename_table(&mut self, table: &mut Table, to: &str) -> Result<()> {
        self.must_be_free(&ast::Name { schema: None, name: to.to_string(), position: ast::Position::default() })?;
        let from = std::mem::replace(&mut table.name, to.to_string());
        if let Some(view) = self.catalog().dependents(&from)?.first() {
            let message = format!("view {:?} reads table {from:?}", view.name);
            return Err(Error::new(SqlState::DEPENDENT_OBJECTS, message).with_hint("drop it first").into());
        }
        for key in &mut table.foreign_keys {
            if key.table == from {
                key.table = to.to_string();
            } else {
                let mut parent = self.table_named(&key.table)?;
                for child in parent.referenced_by.iter_mut().filter(|child| **child == from) {
                    *child = to.to_string();
                }
                put_table(self.txn, parent)?;
            }
        }
        for name in &mut table.referenced_by {
            if *name == from {
                *name = to.to_string();
                continue;
            }
            let mut child = self.table_named(name)?;
            for key in child.foreign_keys.iter_mut().filter(|key| key.table == from) {
                key.table = to.to_string();
            }
            put_table(self.txn, child)?;
        }
        for index in &table.indexes {
            put(self.txn, &index.name, Object::Index(to.to_string()))?;
        }
        remove(self.txn, &from)?;
        // Conditions may name the table.
        self.target(table)?;
        Ok(())
    }

    /// Checks that the views that read something still make sense.
    pub(super) fn check_views(&self, name: &str) -> Result<()> {
        let (mut names, mut next) = (vec![name.to_string()], 0);
        while let Some(name) = names.get(next) {
            next += 1;
            for view in self.catalog().dependents(name)? {
                let query = super::super::parse::parse_query(&view.query)?;
                let bound = self.bind(|binder| binder.view(&query, &view.shapes));
                let broken = match bound {
                    Ok(query) => query.columns.len() < view.columns.len(),
                    Err(super::Failure::Sql(_)) => true,
                    Err(failure) => return Err(failure),
                };
                if broken {
                    let message = format!("view {:?} would make no sense then", view.name);
                    return Err(Error::new(SqlState::DEPENDENT_OBJECTS, message).with_hint("drop it first").into());
                }
                if !names.contains(&view.name) {
                    names.push(view.name);
                }
            }
        }
        Ok(())
    }
}

fn same(a: &[usize], b: &[usize]) -> bool {
    a.len() == b.len() && a.iter().all(|column| b.contains(column))
}

/// Renames a column in the text of a condition: every word that is its name, and calls nothing.
fn rename_in(condition: &str, from: &str, to: &str) -> String {
    // Doubled quotes stay so, since the tokens are written again as they are.
    let tokens = Tokenizer::new(&GenericDialect {}, condition).with_unescape(false).tokenize();
    let Ok(tokens) = tokens else { return condition.to_string() };
    let mut text = String::with_capacity(condition.len());
    for (position, token) in tokens.iter().enumerate() {
        let named = match token {
            Token::Word(word) if word.quote_style.is_some() => word.value.replace("\"\"", "\"") == from,
            Token::Word(word) => word.value.to_ascii_lowercase() == from,
            _ => false,
        };
        let next = tokens[position + 1..].iter().find(|token| !matches!(token, Token::Whitespace(_)));
        if named && next != Some(&Token::LParen) {
            text.push('"');
            text.push_str(&to.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(&token.to_string());
        }
    }
    text
}
