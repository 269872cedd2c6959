//! CREATE, DROP, ALTER and TRUNCATE.
//!
//! A schema change is writes like any others, so it commits or not with its transaction. It writes the definition of the
//! table, which every statement on the table reads under validation; and reads all rows under validation where it depends
//! on them. So it conflicts with every transaction that runs beside it on the table, and one of the two fails.

mod alter;
mod create;
mod drop;
mod index;

use super::ast::{self, Node};
use super::binder::{Binder, Target};
use super::catalog::{Catalog, Object, Statistics};
use super::error::{Error, Failure, SqlState};
use super::functions::Registry;
use super::output::Output;
use super::schema::Table;
use crate::mvcc::{Read, Transaction};

type Result<T> = std::result::Result<T, Failure>;

/// Runs a statement that changes the schema.
pub(super) fn execute(node: &Node, txn: &mut dyn Transaction, functions: &Registry) -> Result<Output> {
    let mut change = Change { txn, functions };
    match node {
        Node::CreateTable(create) => change.create_table(create)?,
        Node::CreateIndex(create) => change.create_index(create)?,
        Node::CreateView(create) => change.create_view(create)?,
        Node::Drop(drop) => change.drop(drop)?,
        Node::AlterTable(alter) => change.alter_table(alter)?,
        Node::Truncate(truncate) => change.truncate(truncate)?,
        Node::Analyze(tables) => change.analyze(tables)?,
        other => unreachable!("{other:?} changes no schema"),
    }
    Ok(match node {
        Node::CreateTable(_) => Output::CreateTable,
        Node::CreateIndex(_) => Output::CreateIndex,
        Node::CreateView(_) => Output::CreateView,
        Node::Drop(drop) => match drop.what {
            ast::DropKind::Table => Output::DropTable,
            ast::DropKind::Index => Output::DropIndex,
            ast::DropKind::View => Output::DropView,
        },
        Node::AlterTable(_) => Output::AlterTable,
        Node::Truncate(_) => Output::Truncate,
        _ => Output::Analyze,
    })
}

/// A change of the schema.
struct Change<'a> {
    txn: &'a mut dyn Transaction,
    functions: &'a Registry,
}

impl Change<'_> {
    fn catalog(&self) -> Catalog<'_> {
        Catalog::new(&*self.txn)
    }

    fn bind<T>(&self, f: impl FnOnce(&Binder<'_>) -> Result<T>) -> Result<T> {
        let catalog = self.catalog();
        f(&Binder::new(&catalog, self.functions, &[]))
    }

    /// A table, to change it.
    fn table(&self, name: &ast::Name) -> Result<Table> {
        Ok(Table::clone(&*self.catalog().must_table(name)?))
    }

    fn table_named(&self, name: &str) -> Result<Table> {
        let name = ast::Name { schema: None, name: name.to_string(), position: ast::Position::default() };
        self.table(&name)
    }

    fn object(&self, name: &str) -> Result<Option<Object>> {
        self.catalog().object(name)
    }

    /// Refuses a name that something has.
    fn must_be_free(&self, name: &ast::Name) -> Result<()> {
        let what = match self.object(&name.name)? {
            None => return Ok(()),
            Some(Object::Table(_)) => "table",
            Some(Object::View(_)) => "view",
            Some(Object::Index(_)) => "index",
        };
        let error = Error::new(SqlState::DUPLICATE_TABLE, format!("{what} {:?} exists", name.name));
        Err(error.at(name.position.0).into())
    }

    /// A name for an index or a constraint that nothing has: the parts, and a number if need be.
    fn free_name(&self, table: &Table, columns: &[usize], suffix: &str) -> Result<String> {
        let mut parts = vec![table.name.as_str()];
        parts.extend(columns.iter().map(|&column| table.columns[column].name.as_str()));
        parts.push(suffix);
        // Within what a name may be long, numbers included.
        let name: String = parts.join("_").chars().take(100).collect();
        let mut candidate = name.clone();
        let mut number = 0;
        while self.object(&candidate)?.is_some() || constraint_exists(table, &candidate) {
            number += 1;
            candidate = format!("{name}{number}");
        }
        Ok(candidate)
    }

    /// The table with its constraints, to check rows.
    fn target(&self, table: &Table) -> Result<Target> {
        self.bind(|binder| binder.target(std::sync::Arc::new(table.clone())))
    }

    /// Removes everything in a range of keys.
    fn clear(&mut self, range: crate::storage::KeyRange) -> Result<()> {
        let keys = self.txn.scan(range, Read::Constraint)?.map(|pair| pair.map(|(key, _)| key));
        for key in keys.collect::<std::result::Result<Vec<_>, _>>()? {
            self.txn.delete(key)?;
        }
        Ok(())
    }

    fn analyze(&mut self, names: &[ast::Name]) -> Result<()> {
        let tables: Vec<Table> = if names.is_empty() {
            let objects = self.catalog().objects(Read::Schema)?;
            let tables = objects.into_iter().filter_map(|(_, object)| match object {
                Object::Table(table) => Some(table),
                _ => None,
            });
            tables.collect()
        } else {
            names.iter().map(|name| self.table(name)).collect::<Result<_>>()?
        };
        for table in &tables {
            Statistics::collect(self.txn, table)?;
        }
        Ok(())
    }
}

fn constraint_exists(table: &Table, name: &str) -> bool {
    table.checks.iter().any(|check| check.name == name)
        || table.foreign_keys.iter().any(|key| key.name == name)
        || table.indexes.iter().any(|index| index.name == name)
        || super::binder::primary_key_name(table) == name
}
