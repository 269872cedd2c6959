//! INSERT, UPDATE and DELETE.

use super::{Difference, Renderer};
use crate::ast::{Conflict, Expr, ForeignKey, From, Part, Set, Source, Table, Walk, Write, WriteKind, acts};

/// Whether RETURNING names what is not in the table that is written.
fn names_others(write: &Write) -> bool {
    let mut named = false;
    write.returning.clone().walk(&mut |part| {
        if let Part::Expr(Expr::Column { table: Some(table), .. }) = part {
            named |= *table != write.table;
        }
    });
    named
}

/// Whether a write has consequences for rows of the same table that it may be about, too.
fn changes_itself(write: &Write, tables: &[Table]) -> bool {
    let table = tables.iter().find(|table| table.name == write.table);
    let mut own = table.iter().flat_map(|table| &table.foreign_keys).filter(|key| key.parent == write.table);
    let update = |set: &Set, key: &ForeignKey| {
        acts(key.on_update) && set.iter().any(|(column, _)| key.referenced.contains(column))
    };
    match &write.kind {
        WriteKind::Insert { conflict: Some(Conflict { update: Some((set, _)), .. }), .. } => {
            own.any(|key| update(set, key))
        }
        WriteKind::Update { set, filter, .. } => {
            own.any(|key| update(set, key) && !(write.returning.is_empty() && is_one_row(filter.as_ref(), key)))
        }
        // The same rows are left, unless a default breaks something, or others refer to what is changed in a row before it
        // goes, too.
        WriteKind::Delete { .. } => {
            let followed = |key: &ForeignKey| {
                let mut all = tables.iter().flat_map(|table| &table.foreign_keys);
                key.on_delete.ends_with("NULL")
                    && all.any(|other| {
                        other.parent == write.table
                            && other.referenced.iter().any(|column| key.columns.contains(column))
                    })
            };
            let breaks = |key: &ForeignKey| key.on_delete.ends_with("DEFAULT") || followed(key);
            own.any(|key| acts(key.on_delete) && (!write.returning.is_empty() || breaks(key)))
        }
        WriteKind::Insert { .. } => false,
    }
}

/// Whether a condition is that the key to which another refers, of one column, has a value.
fn is_one_row(filter: Option<&Expr>, key: &ForeignKey) -> bool {
    let Some(Expr::Binary("=", column, value)) = filter else { return false };
    match (&**column, &**value) {
        (Expr::Column { name, .. }, Expr::Literal(_)) => key.referenced == [name.as_str()],
        _ => false,
    }
}

impl Renderer<'_> {
    pub(super) fn write(&mut self, write: &Write) {
        let Write { table, kind, returning, fallible: _ } = write;
        match kind {
            WriteKind::Insert { columns, source, conflict } => {
                self.put(&format!("INSERT INTO {table} ({}) ", columns.join(", ")));
                self.source(table, columns, source, conflict.is_some());
                if let Some(conflict) = conflict {
                    match (source, &conflict.update) {
                        (Source::Query(_), Some(_)) => self.kind("ON CONFLICT DO UPDATE by a query"),
                        (Source::Values(rows), Some(_)) if rows.len() > 1 => {
                            self.kind("ON CONFLICT DO UPDATE by several rows");
                        }
                        _ => {}
                    }
                    self.conflict(conflict);
                }
            }
            WriteKind::Update { set, from, filter } => {
                self.kind("UPDATE");
                let mut query = false;
                set.clone().walk(&mut |part| query |= matches!(part, Part::Query(_)));
                if query {
                    self.differs(Difference::QueryInSet);
                }
                self.put(&format!("UPDATE {table} SET "));
                self.set_list(set);
                if !from.is_empty() {
                    self.kind("UPDATE FROM");
                    self.put(" FROM ");
                    self.list(from, Self::from);
                }
                self.filter(filter.as_ref());
            }
            WriteKind::Delete { using, filter } => {
                self.kind("DELETE");
                self.put(&format!("DELETE FROM {table}"));
                self.using(using, filter.as_ref());
            }
        }
        if changes_itself(write, self.tables) {
            self.differs(Difference::SelfReference);
        }
        if names_others(write) {
            self.kind("RETURNING of others");
            self.differs(Difference::ReturningOthers);
        }
        if !returning.is_empty() {
            self.kind("RETURNING");
            self.put(" RETURNING ");
            self.list(returning, Self::expr);
        }
    }

    /// In SQLite a row goes if there is a partner for it among the others.
    fn using(&mut self, using: &[From], filter: Option<&Expr>) {
        if using.is_empty() {
            return self.filter(filter);
        }
        self.kind("DELETE USING");
        let sqlite = self.is_sqlite();
        self.put(if sqlite { " WHERE EXISTS (SELECT 1 FROM " } else { " USING " });
        self.list(using, Self::from);
        self.filter(filter);
        self.put(if sqlite { ")" } else { "" });
    }

    fn source(&mut self, table: &str, columns: &[String], source: &Source, conflict: bool) {
        match source {
            Source::Values(rows) => {
                self.kind("INSERT of VALUES");
                self.put("VALUES ");
                self.list(rows, |this, row| {
                    this.put("(");
                    let values: Vec<_> = columns.iter().zip(row).collect();
                    this.list(&values, |this, (column, value)| match value {
                        Some(value) => this.expr(value),
                        None => this.default(table, column),
                    });
                    this.put(")");
                });
            }
            Source::Query(query) => {
                self.kind("INSERT of a query");
                // The ON that follows could be that of a join.
                let wrapped = conflict && self.is_sqlite();
                self.put(if wrapped { "SELECT * FROM (" } else { "" });
                self.query(query);
                self.put(if wrapped { ") WHERE TRUE" } else { "" });
            }
        }
    }

    fn default(&mut self, table: &str, column: &str) {
        self.kind("DEFAULT in VALUES");
        if !self.is_sqlite() {
            return self.put("DEFAULT");
        }
        let found = self.tables.iter().find(|other| other.name == table);
        let found = found.and_then(|table| table.columns.iter().find(|other| other.name == column));
        match found.and_then(|column| column.default.as_ref()) {
            Some(default) => self.expr(default),
            None => self.put("NULL"),
        }
    }

    fn conflict(&mut self, conflict: &Conflict) {
        let Conflict { target, update } = conflict;
        self.put(" ON CONFLICT");
        if !target.is_empty() {
            self.put(&format!(" ({})", target.join(", ")));
        }
        match update {
            None => {
                self.kind("ON CONFLICT DO NOTHING");
                self.put(" DO NOTHING");
            }
            Some((set, filter)) => {
                self.kind("ON CONFLICT DO UPDATE");
                self.put(" DO UPDATE SET ");
                self.set_list(set);
                self.filter(filter.as_ref());
            }
        }
    }

    fn set_list(&mut self, set: &[(String, Expr)]) {
        self.list(set, |this, (column, value)| {
            this.put(column);
            this.put(" = ");
            this.expr(value);
        });
    }

    fn filter(&mut self, filter: Option<&Expr>) {
        if let Some(filter) = filter {
            self.kind("WHERE of a write");
            self.put(" WHERE ");
            self.expr(filter);
        }
    }
}
