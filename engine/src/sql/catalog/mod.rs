//! The catalog: tables, views and indexes as keys of the versioned store, so that DDL is as transactional as DML, and
//! time travel shows the schema of its time.
//!
//! | key | value |
//! |---|---|
//! | `0` | the number of the next table |
//! | `1`, name | a table, a view, or the table of an index |
//! | `2`, … | rows and index entries: see [`super::schema::keys`] |
//! | `3`, table number | what ANALYZE found |
//!
//! Tables, views and indexes share their names, as in PostgreSQL. Everything is read as [`Read::Schema`], so no statement
//! outruns a change of the schema; and a catalog remembers what it has read, which says how long a plan is good.

mod pg;
mod statistics;
mod system;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ast;
use super::binder::nearest;
use super::error::{Error, Failure, SqlState};
use super::schema::Table;
use crate::encoding::{keycode, value};
use crate::mvcc::{Isolation, Read, Transaction};

pub use statistics::{ColumnStatistics, Statistics};

const NEXT_TABLE: &[u8] = &[0];
const OBJECT: u8 = 1;

/// What a name stands for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Object {
    Table(Table),
    View(View),
    /// An index of the table.
    Index(String),
}

/// What a name stands for, as it lies in the store.
#[derive(Serialize, Deserialize)]
enum Stored {
    Table(Table),
    View(View),
    Index(String),
    /// A table whose primary key has a name of its own.
    Named(Table, String),
}

impl Object {
    fn decode(bytes: &[u8]) -> Result<Self> {
        Ok(match value::deserialize(bytes)? {
            Stored::Table(table) => Self::Table(table),
            Stored::View(view) => Self::View(view),
            Stored::Index(table) => Self::Index(table),
            Stored::Named(table, name) => Self::Table(Table { key_name: Some(name), ..table }),
        })
    }

    /// It, if it is a table.
    fn table(&self) -> Option<&Table> {
        match self {
            Self::Table(table) => Some(table),
            Self::View(_) | Self::Index(_) => None,
        }
    }
}

/// A view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct View {
    /// A number that no table and no other view has.
    pub id: u32,
    pub name: String,
    pub columns: Vec<String>,
    /// The text of its query.
    pub query: String,
    /// The tables and views that it reads, and how many columns they had when it was made, which `*` stands for.
    pub shapes: Vec<(String, usize)>,
}

/// What can be read.
#[derive(Clone, Debug)]
pub(super) enum Relation {
    Table(Arc<Table>),
    View(Arc<View>),
}

/// The keys that a plan was made from, with what they were.
pub(super) type Seen = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// The schema as a transaction sees it.
pub(super) struct Catalog<'a> {
    txn: &'a dyn Transaction,
    seen: RefCell<Seen>,
    relations: RefCell<BTreeMap<String, Relation>>,
}

type Result<T> = std::result::Result<T, Failure>;

impl<'a> Catalog<'a> {
    pub fn new(txn: &'a dyn Transaction) -> Self {
        let (seen, relations) = Default::default();
        Self { txn, seen, relations }
    }

    /// How the transaction is isolated, and whether it only reads.
    pub fn modes(&self) -> (Isolation, bool) {
        self.txn.modes()
    }

    /// What has been read.
    pub fn into_seen(self) -> Seen {
        self.seen.into_inner()
    }

    /// What a name stands for.
    pub fn object(&self, name: &str) -> Result<Option<Object>> {
        let key = object_key(name);
        let bytes = self.txn.get(&key, Read::Schema)?;
        let object = bytes.as_deref().map(Object::decode).transpose()?;
        self.remember(key, bytes);
        Ok(object)
    }

    /// What ANALYZE has found of a table, if it has run.
    pub fn statistics(&self, table: u32) -> Result<Option<Statistics>> {
        let key = statistics::key(table);
        let bytes = self.txn.get(&key, Read::Schema)?;
        let found = Statistics::decode(bytes.as_deref())?;
        self.remember(key, bytes);
        Ok(found)
    }

    fn remember(&self, key: Vec<u8>, bytes: Option<Vec<u8>>) {
        let mut seen = self.seen.borrow_mut();
        if !seen.iter().any(|(other, _)| *other == key) {
            seen.push((key, bytes));
        }
    }

    /// The table or view of a name.
    pub fn relation(&self, name: &ast::Name) -> Result<Option<Relation>> {
        if name.schema.is_some() {
            return Ok(None);
        }
        if let Some(relation) = self.relations.borrow().get(&name.name) {
            return Ok(Some(relation.clone()));
        }
        let relation = match self.object(&name.name)? {
            Some(Object::Table(table)) => Relation::Table(Arc::new(table)),
            Some(Object::View(view)) => Relation::View(Arc::new(view)),
            Some(Object::Index(_)) | None => return Ok(None),
        };
        self.relations.borrow_mut().insert(name.name.clone(), relation.clone());
        Ok(Some(relation))
    }

    /// The table of a name.
    pub fn table(&self, name: &str) -> Result<Option<Arc<Table>>> {
        let name = ast::Name { schema: None, name: name.to_string(), position: ast::Position::default() };
        Ok(match self.relation(&name)? {
            Some(Relation::Table(table)) => Some(table),
            _ => None,
        })
    }

    /// The table of a name, or the error that it is none.
    pub fn must_table(&self, name: &ast::Name) -> Result<Arc<Table>> {
        match self.relation(name)? {
            Some(Relation::Table(table)) => Ok(table),
            Some(Relation::View(view)) => {
                let error = Error::new(SqlState::WRONG_OBJECT_TYPE, format!("{:?} is a view", view.name));
                Err(error.at(name.position.0).into())
            }
            None => Err(self.undefined_table(name, Vec::new())?.into()),
        }
    }

    /// The error that there is no such table, with the nearest name that there is, also among `others`.
    pub fn undefined_table(&self, name: &ast::Name, others: Vec<&str>) -> Result<Error> {
        let schema = name.schema.as_ref().map_or_else(String::new, |schema| format!("{schema}."));
        let message = format!("there is no table {:?}", format!("{schema}{}", name.name));
        let error = Error::new(SqlState::UNDEFINED_TABLE, message).at(name.position.0);
        // The names are for people: a change of them is no reason to fail.
        let objects = self.objects(Read::Data)?;
        let names = objects.iter().filter(|(_, object)| !matches!(object, Object::Index(_)));
        let names = names.map(|(name, _)| name.as_str()).chain(others);
        Ok(match nearest(&name.name, names) {
            Some(nearest) => error.with_hint(format!("did you mean {nearest:?}?")),
            None => error,
        })
    }

    /// The tables and views that have been looked at, and how many columns they have.
    pub fn shapes(&self) -> Vec<(String, usize)> {
        let relations = self.relations.borrow();
        let shape = |(name, relation): (&String, &Relation)| match relation {
            Relation::Table(table) => (name.clone(), table.columns.len()),
            Relation::View(view) => (name.clone(), view.columns.len()),
        };
        relations.iter().map(shape).collect()
    }

    /// All objects, by name.
    pub fn objects(&self, read: Read) -> Result<Vec<(String, Object)>> {
        let range = keycode::prefix_range(&[OBJECT]);
        let mut objects = Vec::new();
        for pair in self.txn.scan(range, read)? {
            let (key, bytes) = pair?;
            let name = String::from_utf8_lossy(&key[1..]).into_owned();
            objects.push((name, Object::decode(&bytes)?));
        }
        Ok(objects)
    }

    /// The views that read a table or view, directly.
    pub fn dependents(&self, name: &str) -> Result<Vec<View>> {
        let views = self.objects(Read::Schema)?.into_iter().filter_map(|(_, object)| match object {
            Object::View(view) if view.shapes.iter().any(|(shape, _)| shape == name) => Some(view),
            _ => None,
        });
        Ok(views.collect())
    }
}

/// Whether what a plan was made from is still so. The reads are validated at commit.
pub(super) fn is_unchanged(seen: &Seen, txn: &dyn Transaction) -> Result<bool> {
    for (key, bytes) in seen {
        if txn.read(key, Read::Schema)?.as_deref() != bytes.as_deref() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Stores an object under a name.
pub(super) fn put(txn: &mut dyn Transaction, name: &str, object: Object) -> Result<()> {
    let bytes = value::serialize(&match object {
        Object::Table(mut table) => match table.key_name.take() {
            Some(name) => Stored::Named(table, name),
            None => Stored::Table(table),
        },
        Object::View(view) => Stored::View(view),
        Object::Index(table) => Stored::Index(table),
    })?;
    Ok(txn.set(object_key(name), bytes)?)
}

/// Stores a table.
pub(super) fn put_table(txn: &mut dyn Transaction, table: Table) -> Result<()> {
    let name = table.name.clone();
    put(txn, &name, Object::Table(table))
}

/// Removes an object's name.
pub(super) fn remove(txn: &mut dyn Transaction, name: &str) -> Result<()> {
    Ok(txn.delete(object_key(name))?)
}

/// A number for a new table. Two transactions that take one at once conflict.
pub(super) fn next_table(txn: &mut dyn Transaction) -> Result<u32> {
    let id = match txn.get(NEXT_TABLE, Read::Schema)? {
        Some(bytes) => value::deserialize(&bytes)?,
        None => 1u32,
    };
    let next = id.checked_add(1).ok_or_else(|| {
        Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "there were as many tables as there can ever be")
    })?;
    txn.set(NEXT_TABLE.to_vec(), value::serialize(&next)?)?;
    Ok(id)
}

fn object_key(name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len() + 1);
    key.push(OBJECT);
    key.extend_from_slice(name.as_bytes());
    key
}
