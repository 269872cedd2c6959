//! Foreign keys, and values that are there to refer to.

use engine::sql::types::DataType;

use super::{EXACT, Generator, Typed};
use crate::ast::{Expr, ForeignKey, Shape, Table, Write, WriteKind};

const ON_DELETE: [&str; 5] =
    ["ON DELETE NO ACTION", "ON DELETE RESTRICT", "ON DELETE CASCADE", "ON DELETE SET NULL", "ON DELETE SET DEFAULT"];
const ON_UPDATE: [&str; 5] =
    ["ON UPDATE NO ACTION", "ON UPDATE RESTRICT", "ON UPDATE CASCADE", "ON UPDATE SET NULL", "ON UPDATE SET DEFAULT"];
/// The names that columns have from the beginning.
const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

impl Generator<'_, '_> {
    /// Gives a table a foreign key to one that was made before, or to itself, if there is a key to refer to.
    ///
    /// No column is in two foreign keys: if two of them changed it at once, it would be open who is last. And where there
    /// is SET DEFAULT, there is one foreign key only: its row may be a duplicate of one that another one takes away, and
    /// whether it meets that is open too.
    pub(super) fn foreign_key(&mut self, table: &mut Table) {
        let others = self.tables.len();
        let resets = |key: &ForeignKey| key.on_delete.ends_with("DEFAULT") || key.on_update.ends_with("DEFAULT");
        if table.foreign_keys.iter().any(resets) {
            return;
        }
        let itself = self.draw.chance(1, 5);
        if !itself && others == 0 {
            return;
        }
        let parent = if itself { table.clone() } else { self.tables[self.draw.below(others)].clone() };
        let mut keys = parent.uniques.clone();
        if !parent.primary_key.is_empty() {
            keys.push(parent.primary_key.iter().map(|&column| parent.columns[column].name.clone()).collect());
        }
        if keys.is_empty() {
            return;
        }
        let referenced = keys.swap_remove(self.draw.below(keys.len()));
        let mut columns: Vec<String> = Vec::new();
        for name in &referenced {
            let taken = |name: &String| {
                columns.contains(name)
                    || itself && referenced.contains(name)
                    || table.foreign_keys.iter().any(|key| key.columns.contains(name) || key.referenced.contains(name))
            };
            let free: Vec<usize> =
                (0..table.columns.len()).filter(|&column| !taken(&table.columns[column].name)).collect();
            let position = if free.is_empty() {
                let Some(name) = NAMES.get(table.columns.len()) else { return };
                let column = self.column(name);
                table.columns.push(column);
                table.columns.len() - 1
            } else {
                free[self.draw.below(free.len())]
            };
            let Some(other) = parent.columns.iter().find(|column| column.name == *name) else { return };
            // What cascades has to fit.
            let column = &mut table.columns[position];
            column.shape = other.shape;
            if column.default.is_some() {
                column.default = Some(Expr::Literal(self.value(other.shape)));
            }
            columns.push(column.name.clone());
        }
        let own = |name: &String| table.columns.iter().position(|column| column.name == *name);
        let positions: Vec<usize> = columns.iter().filter_map(own).collect();
        let nullable = |&column: &usize| table.columns[column].nullable && !table.primary_key.contains(&column);
        let null = positions.iter().all(nullable);
        let default = table.foreign_keys.is_empty()
            && positions.iter().all(|column| nullable(column) || table.columns[*column].default.is_some());
        // What could never be done is not asked for.
        let can = |clause: &&str| match *clause {
            "ON DELETE SET NULL" | "ON UPDATE SET NULL" => null,
            "ON DELETE SET DEFAULT" | "ON UPDATE SET DEFAULT" => default,
            _ => true,
        };
        let on_delete: Vec<&str> = ON_DELETE.into_iter().filter(can).collect();
        let on_update: Vec<&str> = ON_UPDATE.into_iter().filter(can).collect();
        let (on_delete, on_update) = (self.draw.choose(&on_delete), self.draw.choose(&on_update));
        table.foreign_keys.push(ForeignKey { columns, parent: parent.name, referenced, on_delete, on_update });
    }

    /// Makes a row refer to rows that may be there, most of the time.
    pub(super) fn refer(&mut self, table: &Table, row: &mut [Option<Expr>]) {
        for key in &table.foreign_keys {
            if self.draw.chance(1, 16) {
                continue;
            }
            let Some(values) = self.values_of(key) else { continue };
            for (name, value) in key.columns.iter().zip(values) {
                if let Some(position) = table.columns.iter().position(|column| column.name == *name) {
                    row[position] = value;
                }
            }
        }
    }

    /// Deletes rows that others may refer to, or changes their key.
    pub(super) fn write_referenced(&mut self) -> Option<Write> {
        let keys: Vec<ForeignKey> = self.tables.iter().flat_map(|table| table.foreign_keys.clone()).collect();
        if keys.is_empty() {
            return None;
        }
        let key = &keys[self.draw.below(keys.len())];
        let parent = self.tables.iter().find(|table| table.name == key.parent)?.clone();
        let columns = Self::columns(&parent, Some(&parent.name));
        let position = self.draw.below(key.referenced.len());
        let at = parent.columns.iter().position(|column| column.name == key.referenced[position])?;
        let column = &columns[at];
        let known = self.values_of(key).and_then(|mut values| values.swap_remove(position));
        let filter = match known {
            Some(value @ Expr::Literal(_)) if self.draw.chance(3, 4) => {
                Some(Expr::binary("=", column.expr.clone(), value))
            }
            _ => {
                self.scopes.push(columns.clone());
                let condition = self.condition(1).expr;
                self.scopes.pop();
                self.draw.chance(3, 4).then_some(condition)
            }
        };
        let kind = if self.draw.chance(1, 2) {
            WriteKind::Delete { using: Vec::new(), filter }
        } else {
            let other = self.neighbour(column);
            let value = self.fit(other, column.shape);
            let set = vec![(parent.columns[at].name.clone(), value)];
            WriteKind::Update { set, from: Vec::new(), filter }
        };
        let returning = self.returning(Self::columns(&parent, None));
        Some(Write { table: parent.name, kind, returning, fallible: self.fallible })
    }

    /// A value beside that of a column, another one for each.
    fn neighbour(&mut self, column: &Typed) -> Typed {
        let operand = column.expr.clone();
        let (expr, max) = match column.shape.datatype {
            DataType::Boolean => (Expr::Unary("NOT", Box::new(operand)), 1.0),
            DataType::Integer if column.shape.max > EXACT => (operand, column.shape.max),
            DataType::Integer => {
                let step = self.draw.choose(&[1, -1, 10]);
                (Expr::binary("+", operand, Expr::Literal(step.into())), column.shape.max + 10.0)
            }
            DataType::Float => (Expr::Unary("-", Box::new(operand)), column.shape.max),
            DataType::Text => (Expr::binary("||", operand, Expr::Literal("a".into())), column.shape.max + 1.0),
        };
        Typed { expr, shape: Shape { max, ..column.shape } }
    }

    /// What a column of a foreign key could be.
    pub(super) fn referred(&mut self, table: &Table, column: &str) -> Option<Expr> {
        let key = table.foreign_keys.iter().find(|key| key.columns.iter().any(|name| name == column))?;
        if self.draw.chance(1, 4) {
            return None;
        }
        let position = key.columns.iter().position(|name| name == column)?;
        self.values_of(key)?.swap_remove(position)
    }

    /// Values that a foreign key may refer to; `None` is what is there by default.
    fn values_of(&mut self, key: &ForeignKey) -> Option<Vec<Option<Expr>>> {
        // The table that is made has rows before it is among those that are known.
        let parent = self.tables.iter().find(|table| table.name == key.parent)?;
        let rows = self.rows.get(&key.parent)?;
        let row = &rows[self.draw.below(rows.len())];
        let value = |name: &String| {
            let position = parent.columns.iter().position(|column| column.name == *name)?;
            Some(row.get(position)?.clone().or_else(|| parent.columns[position].default.clone()))
        };
        key.referenced.iter().map(value).collect()
    }
}
