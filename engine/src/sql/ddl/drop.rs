//! DROP and TRUNCATE.

use super::super::ast::{self, DropKind};
use super::super::catalog::{Object, Statistics, View, put_table, remove};
use super::super::error::{Error, SqlState};
use super::super::schema::Table;
use super::{Change, Result};

impl Change<'_> {
    pub(super) fn drop(&mut self, drop: &ast::Drop) -> Result<()> {
        match drop.what {
            DropKind::Table => self.drop_tables(drop),
            DropKind::Index => drop.names.iter().try_for_each(|name| self.drop_index(name, drop.if_exists)),
            DropKind::View => drop.names.iter().try_for_each(|name| self.drop_view(name, drop.if_exists, drop.cascade)),
        }
    }

    fn drop_tables(&mut self, drop: &ast::Drop) -> Result<()> {
        let mut tables: Vec<Table> = Vec::with_capacity(drop.names.len());
        for name in &drop.names {
            match self.object(&name.name)? {
                None if drop.if_exists => {}
                _ => tables.push(self.table(name)?),
            }
        }
        let dropped: Vec<String> = tables.iter().map(|table| table.name.clone()).collect();
        for name in &dropped {
            let others = self.table_named(name)?.referenced_by;
            for child in others.iter().filter(|child| !dropped.contains(child)) {
                if !drop.cascade {
                    let message = format!("table {child:?} has a foreign key to table {name:?}");
                    return Err(dependent(message).into());
                }
                let mut child = self.table_named(child)?;
                child.foreign_keys.retain(|key| key.table != *name);
                put_table(self.txn, child)?;
            }
            self.drop_dependents(name, drop.cascade)?;
        }
        for name in &dropped {
            // What was dropped before may have changed it.
            let Some(Object::Table(table)) = self.object(name)? else { continue };
            self.drop_table(&table)?;
        }
        Ok(())
    }

    fn drop_table(&mut self, table: &Table) -> Result<()> {
        for key in table.foreign_keys.iter().filter(|key| key.table != table.name) {
            if let Some(Object::Table(mut parent)) = self.object(&key.table)? {
                parent.referenced_by.retain(|child| *child != table.name);
                put_table(self.txn, parent)?;
            }
        }
        self.clear(table.whole_range())?;
        for index in &table.indexes {
            remove(self.txn, &index.name)?;
        }
        Statistics::remove(self.txn, table.id)?;
        remove(self.txn, &table.name)
    }

    /// Drops the views that read something, or refuses to.
    fn drop_dependents(&mut self, name: &str, cascade: bool) -> Result<()> {
        let views = self.catalog().dependents(name)?;
        for View { name: view, .. } in views {
            if !cascade {
                return Err(dependent(format!("view {view:?} reads {name:?}")).into());
            }
            // One view may have gone with another.
            if self.object(&view)?.is_some() {
                self.drop_dependents(&view, true)?;
                remove(self.txn, &view)?;
            }
        }
        Ok(())
    }

    fn drop_view(&mut self, name: &ast::Name, if_exists: bool, cascade: bool) -> Result<()> {
        match self.object(&name.name)? {
            Some(Object::View(_)) => {
                self.drop_dependents(&name.name, cascade)?;
                remove(self.txn, &name.name)
            }
            Some(_) => {
                let message = format!("{:?} is no view", name.name);
                Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).at(name.position.0).into())
            }
            None if if_exists => Ok(()),
            None => {
                let message = format!("there is no view {:?}", name.name);
                Err(Error::new(SqlState::UNDEFINED_TABLE, message).at(name.position.0).into())
            }
        }
    }

    pub(super) fn truncate(&mut self, truncate: &ast::Truncate) -> Result<()> {
        let mut tables = truncate.tables.iter().map(|name| self.table(name)).collect::<Result<Vec<_>>>()?;
        let mut next = 0;
        while let Some(table) = tables.get(next) {
            next += 1;
            for child in table.referenced_by.clone() {
                if tables.iter().any(|other| other.name == child) {
                    continue;
                }
                if !truncate.cascade {
                    let message = format!("table {child:?} has a foreign key to table {:?}", tables[next - 1].name);
                    let error = Error::new(SqlState::FEATURE_NOT_SUPPORTED, message);
                    return Err(error.with_hint("truncate both, or use CASCADE").into());
                }
                tables.push(self.table_named(&child)?);
            }
        }
        for table in tables {
            self.clear(table.whole_range())?;
        }
        Ok(())
    }
}

fn dependent(message: String) -> Error {
    Error::new(SqlState::DEPENDENT_OBJECTS, message).with_hint("use CASCADE")
}
