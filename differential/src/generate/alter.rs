//! ALTER TABLE.
//!
//! What a view reads gets no other name and does not go, since a view is kept as text; nor does its table get a column
//! whose name others have, by which a name could become ambiguous in SQLite, where a view is only text. SQLite drops no
//! column that a key, an index or a CHECK has, and drops and renames none where a view of any table has a join in
//! parentheses, which it does not understand when it reads the views again for that.

use super::Generator;
use crate::ast::{Alter, Alteration, Expr, ForeignKey, Part, Table, Walk};

/// The most columns of a table.
const MOST: usize = 7;

impl Generator<'_, '_> {
    pub(super) fn alter(&mut self) -> Option<Alter> {
        let position = self.draw.below(self.tables.len());
        let table = self.tables[position].clone();
        let choice = match self.draw.below(5) {
            0 | 1 if table.columns.len() < MOST => 0,
            0..=2 => 2,
            choice => choice,
        };
        if matches!(choice, 2 | 3) && self.nested_join || choice > 0 && self.viewed.contains(&table.name) {
            return None;
        }
        let change = match choice {
            // It would find the new column in SQLite.
            0 if self.natural_view && self.viewed.contains(&table.name) => return None,
            0 => {
                let name = self.free_name(&table);
                let mut column = self.column(&name);
                if column.default.is_none() {
                    // The rows that are there need a value.
                    if self.draw.chance(1, 2) {
                        column.default = Some(Expr::Literal(self.value(column.shape)));
                    } else {
                        column.nullable = true;
                    }
                }
                Alteration::Add(column)
            }
            2 => {
                let free = |column: &&crate::ast::Column| self.can_go(&table, &column.name);
                let free: Vec<_> = table.columns.iter().filter(free).collect();
                if free.is_empty() || table.columns.len() == 1 {
                    return None;
                }
                let name = free[self.draw.below(free.len())].name.clone();
                // Its rows are not as they were.
                self.rows.remove(&table.name);
                Alteration::Drop(name)
            }
            3 => {
                let from = table.columns[self.draw.below(table.columns.len())].name.clone();
                let to = self.free_name(&table);
                for index in self.indexes.iter_mut().filter(|index| index.table == table.name) {
                    for (name, _) in index.columns.iter_mut().filter(|(name, _)| *name == from) {
                        name.clone_from(&to);
                    }
                }
                Alteration::Rename(from, to)
            }
            _ => {
                self.renamed += 1;
                let to = format!("s{}", self.renamed);
                for index in self.indexes.iter_mut().filter(|index| index.table == table.name) {
                    index.table.clone_from(&to);
                }
                Alteration::RenameTable(to)
            }
        };
        Some(Alter { table: table.name, change })
    }

    /// A name that no column of a table has: one of those that others may have, or a new one.
    fn free_name(&mut self, table: &Table) -> String {
        let free = |name: &&str| table.columns.iter().all(|column| column.name != **name);
        if let Some(name) = ["a", "b", "c", "d", "e"].iter().find(|name| free(name))
            && !self.viewed.contains(&table.name)
            && self.draw.chance(1, 2)
        {
            return (*name).to_string();
        }
        self.renamed += 1;
        format!("n{}", self.renamed)
    }

    /// Whether a column can be dropped everywhere: in the twin too, whose key may have another column that is NOT NULL.
    fn can_go(&self, table: &Table, name: &str) -> bool {
        let key = table.primary_key.iter().any(|&column| table.columns[column].name == name);
        let mut checked = false;
        table.checks.clone().walk(&mut |part| {
            if let Part::Expr(Expr::Column { name: other, .. }) = part {
                checked |= other == name;
            }
        });
        let indexed = self
            .indexes
            .iter()
            .any(|index| index.table == table.name && index.columns.iter().any(|(column, _)| column == name));
        let unique = table.uniques.iter().any(|columns| columns.iter().any(|column| column == name));
        let refers = |key: &ForeignKey| key.columns.iter().any(|column| column == name);
        let referenced = |other: &Table| {
            let here = other.foreign_keys.iter().filter(|key| key.parent == table.name);
            here.flat_map(|key| &key.referenced).any(|column| column == name)
        };
        let foreign = table.foreign_keys.iter().any(refers) || self.tables.iter().any(referenced);
        let nullable = table.columns.iter().any(|column| column.name == name && column.nullable);
        !key && !checked && !indexed && !unique && !foreign && (nullable || table.primary_key.len() != 1)
    }
}
