//! INSERT, UPDATE and DELETE.

use super::others::Others;
use super::{Generator, Typed};
use crate::ast::{Column, Conflict, Expr, Source, Step, Table, Write, WriteKind};

/// Where columns are in a table.
fn positions<'a>(table: &'a Table, names: &'a [String]) -> impl Iterator<Item = usize> + 'a {
    table.columns.iter().enumerate().filter(|(_, column)| names.contains(&column.name)).map(|(position, _)| position)
}

/// Keeps the first of the rows that have the same values in some columns.
fn keep_first(table: &Table, names: &[String], rows: &mut Vec<Vec<Option<Expr>>>) {
    let mut seen = Vec::new();
    rows.retain(|row| {
        let values =
            positions(table, names).map(|position| row[position].as_ref().or(table.columns[position].default.as_ref()));
        let values = format!("{:?}", values.collect::<Vec<_>>());
        let new = !seen.contains(&values);
        seen.push(values);
        new
    });
}

impl Generator<'_, '_> {
    /// The columns of a table that is written, which go without its name.
    pub(super) fn columns(table: &Table, called: Option<&str>) -> Vec<Typed> {
        let typed = |column: &Column| Typed {
            expr: Expr::Column {
                table: called.map(ToString::to_string),
                name: column.name.clone(),
                datatype: column.shape.datatype,
            },
            shape: column.shape,
        };
        table.columns.iter().map(typed).collect()
    }

    pub(super) fn new_row(&mut self, table: &Table) -> Vec<Option<Expr>> {
        let mut row = Vec::new();
        for (position, column) in table.columns.iter().enumerate() {
            let nullable = column.nullable && !table.primary_key.contains(&position);
            let null = nullable && self.draw.chance(1, 5) || self.draw.chance(1, 150);
            let default = nullable || column.default.is_some() || self.draw.chance(1, 8);
            row.push(if default && self.draw.chance(1, 15) {
                None
            } else if null {
                Some(Expr::Null { datatype: column.shape.datatype, bare: true })
            } else {
                Some(Expr::Literal(self.value(column.shape)))
            });
        }
        self.refer(table, &mut row);
        row
    }

    pub(super) fn insert(table: &Table, rows: Vec<Vec<Option<Expr>>>, conflict: Option<Conflict>) -> Step {
        let columns = table.columns.iter().map(|column| column.name.clone()).collect();
        let kind = WriteKind::Insert { columns, source: Source::Values(rows), conflict };
        Step::Write(Write { table: table.name.clone(), kind, returning: Vec::new(), fallible: false })
    }

    pub(super) fn write(&mut self) -> Step {
        if self.draw.chance(1, 2)
            && let Some(write) = self.write_referenced()
        {
            return Step::Write(write);
        }
        let table = self.tables[self.draw.below(self.tables.len())].clone();
        let mut step = match self.draw.below(9) {
            0..=2 => {
                let conflict = self.conflict(&table);
                let mut rows: Vec<_> = (0..=self.draw.below(4)).map(|_| self.new_row(&table)).collect();
                if let Some(Conflict { target, update: Some(_) }) = &conflict
                    && self.draw.chance(7, 8)
                {
                    // A second conflict of one statement with the same row is an error.
                    keep_first(&table, target, &mut rows);
                }
                let mut step = Self::insert(&table, rows, conflict);
                if let Step::Write(write) = &mut step {
                    write.returning = self.returning_of(&table, None);
                }
                step
            }
            3 => self.insert_query(&table),
            4..=6 => self.update(&table),
            _ => self.delete(&table),
        };
        if let Step::Write(write) = &mut step {
            write.fallible = self.fallible;
        }
        step
    }

    /// RETURNING, of columns.
    pub(super) fn returning(&mut self, columns: Vec<Typed>) -> Vec<Expr> {
        let mut returning = Vec::new();
        if self.draw.chance(1, 3) {
            self.scopes.push(columns);
            let queries = std::mem::take(&mut self.queries);
            for datatype in self.types() {
                returning.push(self.expr(datatype, 1).expr);
            }
            self.queries = queries;
            self.scopes.pop();
        }
        returning
    }

    /// RETURNING, of columns of a table, and of its single partners.
    fn returning_of(&mut self, table: &Table, others: Option<&Others>) -> Vec<Expr> {
        // Beside others, a name alone could be that of theirs.
        let mut columns = Self::columns(table, others.map(|_| &*table.name));
        if let Some(others) = others
            && others.single
            && self.draw.chance(1, 3)
        {
            columns.extend(others.columns.iter().cloned());
        }
        self.returning(columns)
    }

    fn delete(&mut self, table: &Table) -> Step {
        let own = Self::columns(table, Some(&table.name));
        let others = self.draw.chance(1, 3).then(|| self.others(&own));
        let filter = self.filter(own, others.as_ref(), 12);
        let returning = self.returning_of(table, others.as_ref());
        let kind = WriteKind::Delete { using: others.map_or_else(Vec::new, |others| others.from), filter };
        Step::Write(Write { table: table.name.clone(), kind, returning, fallible: false })
    }

    /// WHERE, missing one time of so many; what connects a table with others is always in it.
    fn filter(&mut self, mut columns: Vec<Typed>, others: Option<&Others>, of: usize) -> Option<Expr> {
        let on = others.and_then(|others| others.on.clone());
        if self.draw.chance(1, of) || on.is_some() && self.draw.chance(1, 3) {
            return on;
        }
        columns.extend(others.iter().flat_map(|others| others.columns.iter().cloned()));
        self.scopes.push(columns);
        let condition = self.condition(2).expr;
        self.scopes.pop();
        Some(Expr::and(on, condition))
    }

    fn update(&mut self, table: &Table) -> Step {
        let own = Self::columns(table, Some(&table.name));
        let others = self.draw.chance(1, 3).then(|| self.others(&own));
        let mut columns = own.clone();
        if let Some(others) = &others
            && others.single
        {
            columns.extend(others.columns.iter().cloned());
        }
        self.scopes.push(columns);
        let mut set: Vec<(String, Expr)> = Vec::new();
        for _ in 0..=self.draw.below(2) {
            let column = &table.columns[self.draw.below(table.columns.len())];
            if set.iter().all(|(name, _)| *name != column.name) {
                let value = if let Some(value) = self.referred(table, &column.name) {
                    value
                } else {
                    let typed = self.expr(column.shape.datatype, 2);
                    self.fit(typed, column.shape)
                };
                set.push((column.name.clone(), value));
            }
        }
        self.scopes.pop();
        let filter = self.filter(own, others.as_ref(), 8);
        let returning = self.returning_of(table, others.as_ref());
        let kind = WriteKind::Update { set, from: others.map_or_else(Vec::new, |others| others.from), filter };
        Step::Write(Write { table: table.name.clone(), kind, returning, fallible: false })
    }

    fn insert_query(&mut self, table: &Table) -> Step {
        let types: Vec<_> = table.columns.iter().map(|column| column.shape.datatype).collect();
        let (mut query, shapes) = self.query(&types);
        let fits = shapes
            .iter()
            .zip(&table.columns)
            .all(|(shape, column)| shape.max <= column.shape.max && shape.digits <= column.shape.digits);
        if !fits {
            // Cut to size by a query around it.
            let alias = self.alias();
            let mut items = Vec::new();
            for (position, (shape, column)) in shapes.iter().zip(&table.columns).enumerate() {
                let (name, datatype) = (format!("c{position}"), shape.datatype);
                let expr = Expr::Column { table: Some(alias.clone()), name, datatype };
                items.push(self.fit(Typed { expr, shape: *shape }, column.shape));
            }
            let from = vec![crate::ast::From::Query { query: Box::new(query), alias, lateral: false }];
            let (distinct, star, filter, group, having) = Default::default();
            query = crate::ast::Query::of(crate::ast::Select { distinct, star, items, from, filter, group, having });
        }
        let columns = table.columns.iter().map(|column| column.name.clone()).collect();
        let conflict = self.conflict(table);
        if let Some(Conflict { target, update: Some(_) }) = &conflict
            && self.draw.chance(7, 8)
        {
            let keys: Vec<usize> = positions(table, target).collect();
            query = self.grouped(query, &types, &keys);
        }
        if conflict.is_some() {
            // The first of the rows that conflict with each other stays.
            self.order(&mut query, types.len(), Vec::new());
        }
        let returning = self.returning_of(table, None);
        let kind = WriteKind::Insert { columns, source: Source::Query(Box::new(query)), conflict };
        Step::Write(Write { table: table.name.clone(), kind, returning, fallible: false })
    }

    /// ON CONFLICT on one of the keys that a table has.
    fn conflict(&mut self, table: &Table) -> Option<Conflict> {
        if !self.draw.chance(1, 2) {
            return None;
        }
        let mut keys: Vec<Vec<String>> = Vec::new();
        if !table.primary_key.is_empty() {
            keys.push(table.primary_key.iter().map(|&column| table.columns[column].name.clone()).collect());
        }
        keys.extend(table.uniques.iter().cloned());
        for index in self.indexes.iter().filter(|index| index.unique && index.table == table.name) {
            keys.push(index.columns.iter().map(|(name, _)| name.clone()).collect());
        }
        if keys.is_empty() || self.draw.chance(1, 3) {
            return Some(Conflict { target: Vec::new(), update: None });
        }
        let target = keys.swap_remove(self.draw.below(keys.len()));
        if self.draw.chance(1, 3) {
            return Some(Conflict { target, update: None });
        }
        let mut leaves = Self::columns(table, Some(&table.name));
        leaves.extend(Self::columns(table, Some("excluded")));
        self.scopes.push(leaves);
        let queries = std::mem::take(&mut self.queries);
        let column = &table.columns[self.draw.below(table.columns.len())];
        let typed = self.expr(column.shape.datatype, 2);
        let set = vec![(column.name.clone(), self.fit(typed, column.shape))];
        let filter = if self.draw.chance(1, 3) { Some(self.condition(1).expr) } else { None };
        self.queries = queries;
        self.scopes.pop();
        Some(Conflict { target, update: Some((set, filter)) })
    }
}
