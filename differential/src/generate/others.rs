//! The other tables of UPDATE ... FROM and DELETE ... USING.
//!
//! Which of several partners of a row an UPDATE takes is open. So what it writes names them only where a row has one
//! partner at most: they are joined by their primary key, or are groups, joined by what they are grouped by.

use engine::sql::types::DataType;

use super::query::Source;
use super::{Generator, Typed};
use crate::ast::{Expr, From, Group, Query, Select, Table};

/// Tables and queries beside the one that is written.
pub(super) struct Others {
    pub from: Vec<From>,
    /// Their columns.
    pub columns: Vec<Typed>,
    /// What connects them with the table.
    pub on: Option<Expr>,
    /// Whether no row has two partners.
    pub single: bool,
}

impl Generator<'_, '_> {
    /// Others for a table, of which the columns are known.
    pub(super) fn others(&mut self, own: &[Typed]) -> Others {
        self.scopes.push(Vec::new());
        let found = match self.draw.below(4) {
            0 => self.by_primary_key(),
            1 if self.queries > 1 => Some(self.groups(own)),
            _ => None,
        };
        let others = if let Some((source, keys)) = found {
            self.scopes.push(own.to_vec());
            let mut on = None;
            for key in keys {
                let other = self.leaf(key.shape.datatype);
                on = Some(Expr::and(on, Expr::binary("=", key.expr, other.expr)));
            }
            self.scopes.pop();
            Others { from: vec![source.from], columns: source.columns, on, single: true }
        } else {
            let mut others = Others { from: Vec::new(), columns: Vec::new(), on: None, single: false };
            for _ in 0..self.draw.choose(&[1, 1, 1, 2]) {
                let source = self.source(false);
                others.from.push(source.from);
                others.columns.extend(source.columns);
            }
            others.on = self.equality(own, &others.columns);
            others
        };
        self.scopes.pop();
        others
    }

    /// That a column is equal to one of the others, if some are of the same type.
    fn equality(&mut self, own: &[Typed], others: &[Typed]) -> Option<Expr> {
        let a = &own[self.draw.below(own.len())];
        let fits: Vec<&Typed> = others.iter().filter(|b| b.shape.datatype == a.shape.datatype).collect();
        if fits.is_empty() || self.draw.chance(1, 6) {
            return None;
        }
        let b = fits[self.draw.below(fits.len())];
        Some(Expr::binary("=", a.expr.clone(), b.expr.clone()))
    }

    /// A table with a primary key, and the columns of that.
    fn by_primary_key(&mut self) -> Option<(Source, Vec<Typed>)> {
        let tables: Vec<Table> = self.tables.iter().filter(|table| !table.primary_key.is_empty()).cloned().collect();
        if tables.is_empty() {
            return None;
        }
        let table = &tables[self.draw.below(tables.len())];
        let alias = self.alias();
        let visible = table.columns.iter().map(|column| (column.name.clone(), column.shape)).collect();
        let from = From::Table { name: table.name.clone(), alias: alias.clone() };
        let source = Self::source_of(from, &alias, visible);
        let keys = table.primary_key.iter().map(|&column| source.columns[column].clone()).collect();
        Some((source, keys))
    }

    /// Groups of a query, and what they are grouped by: something of the type of a column.
    fn groups(&mut self, own: &[Typed]) -> (Source, Vec<Typed>) {
        let mut types = vec![own[self.draw.below(own.len())].shape.datatype];
        types.extend(self.types());
        self.queries -= 1;
        self.level += 1;
        let (query, shapes) = self.query(&types);
        self.level -= 1;
        let query = self.grouped(query, &types, &[0]);
        let alias = self.alias();
        let from = From::Query { query: Box::new(query), alias: alias.clone(), lateral: false };
        let visible = shapes.into_iter().enumerate().map(|(position, shape)| (format!("c{position}"), shape)).collect();
        let source = Self::source_of(from, &alias, visible);
        let keys = vec![source.columns[0].clone()];
        (source, keys)
    }

    /// A query around another, with one row for all that have the same values in some columns.
    pub(super) fn grouped(&mut self, query: Query, types: &[DataType], keys: &[usize]) -> Query {
        let alias = self.alias();
        let columns: Vec<Expr> = types
            .iter()
            .enumerate()
            .map(|(position, &datatype)| Expr::Column {
                table: Some(alias.clone()),
                name: format!("c{position}"),
                datatype,
            })
            .collect();
        let group = keys.iter().map(|&key| Group::Expr(columns[key].clone())).collect();
        let mut items = Vec::new();
        for (position, column) in columns.into_iter().enumerate() {
            let name = self.draw.choose(&["MIN", "MAX"]);
            items.push(if keys.contains(&position) {
                column
            } else {
                Expr::Aggregate { name, distinct: false, arg: Some(Box::new(column)), filter: None }
            });
        }
        let from = vec![From::Query { query: Box::new(query), alias, lateral: false }];
        let (distinct, star, filter, having) = Default::default();
        Query::of(Select { distinct, star, items, from, filter, group, having })
    }
}
