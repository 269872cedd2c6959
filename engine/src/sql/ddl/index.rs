//! Indexes: made of the rows that are there, and removed.

use super::super::ast;
use super::super::binder::column;
use super::super::catalog::{Object, put, put_table, remove};
use super::super::dml::{put_entry, rows_of};
use super::super::error::{Error, SqlState};
use super::super::schema::{Index, IndexColumn, Table};
use super::{Change, Result};

impl Change<'_> {
    pub(super) fn create_index(&mut self, create: &ast::CreateIndex) -> Result<()> {
        let mut table = self.table(&create.table)?;
        let mut columns: Vec<IndexColumn> = Vec::with_capacity(create.columns.len());
        for (name, descending) in &create.columns {
            let column = column(&table, name)?;
            if columns.iter().any(|other| other.column == column) {
                let message = format!("column {name:?} stands twice in the index");
                return Err(Error::new(SqlState::DUPLICATE_COLUMN, message).into());
            }
            columns.push(IndexColumn { column, descending: *descending });
        }
        let name = if let Some(name) = &create.name {
            if create.if_not_exists && matches!(self.object(name)?, Some(Object::Index(_))) {
                return Ok(());
            }
            name.clone()
        } else {
            let columns: Vec<usize> = columns.iter().map(|by| by.column).collect();
            self.free_name(&table, &columns, "idx")?
        };
        self.add_index(&mut table, &name, columns, create.unique, false)?;
        put_table(self.txn, table)
    }

    /// Adds an index to a table, with entries for all rows. The table itself is stored by the caller.
    pub(super) fn add_index(
        &mut self,
        table: &mut Table,
        name: &str,
        columns: Vec<IndexColumn>,
        unique: bool,
        constraint: bool,
    ) -> Result<()> {
        self.must_be_free(&ast::Name { schema: None, name: name.to_string(), position: ast::Position::default() })?;
        if name == table.name {
            let message = format!("an index cannot be called {name:?} like its table");
            return Err(Error::new(SqlState::DUPLICATE_TABLE, message).into());
        }
        let id = table.indexes.iter().map(|index| index.id + 1).max().unwrap_or(0);
        let index = Index { id, name: name.to_string(), columns, unique, constraint };
        let rows = rows_of(table, &*self.txn)?.collect::<Result<Vec<_>>>()?;
        for (key, row) in rows {
            put_entry(table, &index, &row, &key, self.txn)?;
        }
        table.indexes.push(index);
        put(self.txn, name, Object::Index(table.name.clone()))
    }

    /// Removes an index from a table. The table itself is stored by the caller.
    pub(super) fn remove_index(&mut self, table: &mut Table, position: usize) -> Result<()> {
        let index = table.indexes.remove(position);
        self.clear(table.range(Some(&index)))?;
        remove(self.txn, &index.name)
    }

    pub(super) fn drop_index(&mut self, name: &ast::Name, if_exists: bool) -> Result<()> {
        let table = match self.object(&name.name)? {
            Some(Object::Index(table)) => table,
            Some(_) => {
                let message = format!("{:?} is no index", name.name);
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).at(name.position.0).into());
            }
            None if if_exists => return Ok(()),
            None => {
                let message = format!("there is no index {:?}", name.name);
                return Err(Error::new(SqlState::UNDEFINED_OBJECT, message).at(name.position.0).into());
            }
        };
        let mut table = self.table_named(&table)?;
        let position = table.indexes.iter().position(|index| index.name == name.name).ok_or_else(|| {
            let message = format!("table {:?} does not have its index {:?}", table.name, name.name);
            Error::new(SqlState::INTERNAL_ERROR, message)
        })?;
        if table.indexes[position].constraint {
            let message = format!("index {:?} is that of a UNIQUE constraint of table {:?}", name.name, table.name);
            let error = Error::new(SqlState::DEPENDENT_OBJECTS, message);
            return Err(error.with_hint("use ALTER TABLE ... DROP CONSTRAINT").into());
        }
        self.check_referenced(&table, position)?;
        self.remove_index(&mut table, position)?;
        put_table(self.txn, table)
    }

    /// Refuses to drop a unique index that a foreign key refers to, unless another key does as well.
    pub(super) fn check_referenced(&self, table: &Table, position: usize) -> Result<()> {
        let columns = |index: &Index| {
            let mut columns: Vec<usize> = index.columns.iter().map(|by| by.column).collect();
            columns.sort_unstable();
            columns
        };
        let wanted = columns(&table.indexes[position]);
        let mut primary = table.primary_key.clone();
        primary.sort_unstable();
        let others = table.indexes.iter().enumerate().filter(|(other, index)| *other != position && index.unique);
        if !table.indexes[position].unique
            || primary == wanted
            || others.into_iter().any(|(_, index)| columns(index) == wanted)
        {
            return Ok(());
        }
        for (child, key) in self.references_to(table)? {
            let mut referenced = key.referenced;
            referenced.sort_unstable();
            if referenced == wanted {
                let name = &table.indexes[position].name;
                let message = format!("the foreign key {:?} of table {child:?} needs index {name:?}", key.name);
                return Err(Error::new(SqlState::DEPENDENT_OBJECTS, message).into());
            }
        }
        Ok(())
    }

    /// The foreign keys to a table, with the names of the tables that have them.
    pub(super) fn references_to(&self, table: &Table) -> Result<Vec<(String, super::super::schema::ForeignKey)>> {
        let mut found = Vec::new();
        for name in &table.referenced_by {
            let child = if *name == table.name { table.clone() } else { self.table_named(name)? };
            let keys = child.foreign_keys.into_iter().filter(|key| key.table == table.name);
            found.extend(keys.map(|key| (name.clone(), key)));
        }
        Ok(found)
    }
}
