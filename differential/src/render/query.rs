//! Queries.

use super::{Difference, Renderer};
use crate::ast::{Body, Common, Expr, From, Group, On, Order, Query, Select};

impl Renderer<'_> {
    pub(super) fn query(&mut self, query: &Query) {
        self.with(&query.with);
        match &query.body {
            Body::Select(select) => self.select(select, false),
            Body::Values(rows) => self.values(rows),
            Body::Set { operator, all, left, right } => self.set(operator, *all, left, right),
        }
        if !query.order.is_empty() {
            self.kind("ORDER BY");
            self.put(" ORDER BY ");
            self.list(&query.order, Self::order);
        }
        if let Some(limit) = query.limit {
            self.kind("LIMIT");
            self.put(&format!(" LIMIT {limit}"));
        } else if query.offset.is_some() && self.is_sqlite() {
            self.put(" LIMIT -1");
        }
        if let Some(offset) = query.offset {
            self.kind("OFFSET");
            self.put(&format!(" OFFSET {offset}"));
        }
    }

    /// A query within a statement. The parser of the engine wants it to begin with SELECT or WITH.
    pub(super) fn nested(&mut self, query: &Query) {
        let begins = match &query.body {
            Body::Select(_) => true,
            Body::Values(_) => false,
            Body::Set { left, .. } => is_plain(left),
        };
        if begins || !query.with.is_empty() || self.is_sqlite() {
            return self.query(query);
        }
        let names = names(width(query));
        self.put(&format!("WITH inner_query({names}) AS ("));
        self.query(query);
        self.put(&format!(") SELECT {names} FROM inner_query"));
    }

    fn with(&mut self, commons: &[Common]) {
        if commons.is_empty() {
            return;
        }
        let recursive = commons.iter().any(|common| common.step.is_some());
        self.kind(if recursive { "WITH RECURSIVE" } else { "WITH" });
        self.put(if recursive { "WITH RECURSIVE " } else { "WITH " });
        self.list(commons, |this, Common { name, width, query, step }| {
            this.put(&format!("{name}({}) AS (", names(*width)));
            this.query(query);
            if let Some((step, all)) = step {
                this.put(if *all { " UNION ALL " } else { " UNION " });
                this.select(step, false);
            }
            this.put(")");
        });
        self.put(" ");
    }

    fn order(&mut self, order: &Order) {
        self.group(&order.key, "ORDER BY position", "ORDER BY alias");
        if order.descending {
            self.kind("DESC");
            self.put(" DESC");
        }
        match order.nulls_first {
            Some(first) => {
                self.kind(if first { "NULLS FIRST" } else { "NULLS LAST" });
                self.put(if first { " NULLS FIRST" } else { " NULLS LAST" });
            }
            None if self.is_sqlite() => self.put(if order.descending { " NULLS FIRST" } else { " NULLS LAST" }),
            None => {}
        }
    }

    fn group(&mut self, group: &Group, position: &'static str, alias: &'static str) {
        match group {
            Group::Expr(expr) => self.expr(expr),
            Group::Ordinal(n) => {
                self.kind(position);
                self.put(&n.to_string());
            }
            Group::Alias(n) => {
                self.kind(alias);
                self.put(&format!("c{n}"));
            }
        }
    }

    fn values(&mut self, rows: &[Vec<Expr>]) {
        self.kind("VALUES");
        let width = rows.first().map_or(0, Vec::len);
        if self.is_sqlite() {
            let columns: Vec<String> = (0..width).map(|n| format!("column{} AS c{n}", n + 1)).collect();
            self.put(&format!("SELECT {} FROM (", columns.join(", ")));
        }
        self.put("VALUES ");
        self.list(rows, |this, row| {
            this.put("(");
            this.list(row, Self::expr);
            this.put(")");
        });
        if self.is_sqlite() {
            self.put(")");
        }
    }

    fn set(&mut self, operator: &'static str, all: bool, left: &Query, right: &Query) {
        self.kind(match (operator, all) {
            ("UNION", false) => "UNION",
            ("UNION", true) => "UNION ALL",
            ("INTERSECT", false) => "INTERSECT",
            ("INTERSECT", true) => "INTERSECT ALL",
            (_, false) => "EXCEPT",
            (_, true) => "EXCEPT ALL",
        });
        if !self.is_sqlite() {
            let plain = is_plain(left);
            self.put(if plain { "" } else { "(" });
            self.query(left);
            self.put(if plain { "" } else { ")" });
            self.put(&format!(" {operator} {}(", if all { "ALL " } else { "" }));
            self.query(right);
            self.put(")");
            return;
        }
        if all && operator != "UNION" {
            // Equal rows are numbered, which makes them different, and as many of them meet as there are on both sides.
            let names = names(width(left));
            let numbered = |this: &mut Self, side: &Query| {
                let number = format!("ROW_NUMBER() OVER (PARTITION BY {names})");
                this.put(&format!("SELECT {names}, {number} AS number FROM ("));
                this.query(side);
                this.put(")");
            };
            self.put(&format!("SELECT {names} FROM ("));
            numbered(self, left);
            self.put(&format!(" {operator} "));
            numbered(self, right);
            self.put(")");
            return;
        }
        self.put("SELECT * FROM (");
        self.query(left);
        self.put(&format!(") {operator}{} SELECT * FROM (", if all { " ALL" } else { "" }));
        self.query(right);
        self.put(")");
    }

    /// A SELECT; `whole` if it is a statement, and not a part of one.
    pub(super) fn select(&mut self, select: &Select, whole: bool) {
        let Select { distinct, star, items, from, filter, group, having } = select;
        self.kind(if whole { "SELECT" } else { "query" });
        self.put("SELECT ");
        if *distinct {
            self.kind("DISTINCT");
            self.put("DISTINCT ");
        }
        // In SQLite the columns are named one by one, so that they are called `c0` and so on for what is around.
        if *star && !self.is_sqlite() {
            self.kind("*");
            self.put("*");
        } else {
            let mut position = 0;
            self.list(items, |this, item| {
                this.expr(item);
                this.put(&format!(" AS c{position}"));
                position += 1;
            });
        }
        if !from.is_empty() {
            if from.len() > 1 {
                self.kind("comma in FROM");
            }
            self.put(" FROM ");
            // In SQLite a comma binds as tightly as JOIN does.
            let commas = from.len() > 1 && self.is_sqlite();
            self.list(from, |this, from| {
                let join = commas && matches!(from, From::Join { .. });
                this.put(if join { "(" } else { "" });
                this.from(from);
                this.put(if join { ")" } else { "" });
            });
        }
        if let Some(filter) = filter {
            self.kind("WHERE");
            self.put(" WHERE ");
            self.expr(filter);
        }
        if !group.is_empty() {
            self.kind("GROUP BY");
            self.put(" GROUP BY ");
            self.list(group, |this, key| this.group(key, "GROUP BY position", "GROUP BY alias"));
        }
        if let Some(having) = having {
            self.kind("HAVING");
            self.put(" HAVING ");
            self.expr(having);
        }
    }

    pub(super) fn from(&mut self, from: &From) {
        match from {
            From::Table { name, alias } => self.put(&format!("{name} AS {alias}")),
            From::Query { query, alias, lateral } => {
                self.kind("query in FROM");
                if *lateral {
                    self.kind("LATERAL");
                    self.differs(Difference::Lateral);
                    self.put("LATERAL ");
                }
                self.put("(");
                self.nested(query);
                self.put(&format!(") AS {alias}"));
                if !self.is_sqlite() {
                    self.put(&format!("({})", names(width(query))));
                }
            }
            From::Join { kind, left, right, on } => {
                self.from(left);
                self.kind(match *kind {
                    "INNER" => "INNER JOIN",
                    "LEFT" => "LEFT JOIN",
                    "RIGHT" => "RIGHT JOIN",
                    "FULL" => "FULL JOIN",
                    _ => "CROSS JOIN",
                });
                if matches!(on, On::Natural) {
                    self.kind("NATURAL");
                    self.put(" NATURAL");
                }
                self.put(&format!(" {kind} JOIN "));
                let nested = matches!(**right, From::Join { .. });
                if nested {
                    self.kind("join in parentheses");
                }
                self.put(if nested { "(" } else { "" });
                self.from(right);
                self.put(if nested { ")" } else { "" });
                match on {
                    On::None | On::Natural => {}
                    On::Expr(expr) => {
                        self.kind("ON");
                        self.put(" ON ");
                        self.expr(expr);
                    }
                    On::Using(columns) => {
                        self.kind("USING");
                        self.put(&format!(" USING ({})", columns.join(", ")));
                    }
                }
            }
        }
    }
}

/// Whether a query is a SELECT and nothing else.
fn is_plain(query: &Query) -> bool {
    matches!(query.body, Body::Select(_))
        && query.with.is_empty()
        && query.order.is_empty()
        && query.limit.is_none()
        && query.offset.is_none()
}

/// `c0, c1, ...`
pub fn names(width: usize) -> String {
    (0..width).map(|n| format!("c{n}")).collect::<Vec<_>>().join(", ")
}

/// How many columns a query gives.
pub fn width(query: &Query) -> usize {
    match &query.body {
        Body::Select(select) => select.items.len(),
        Body::Values(rows) => rows.first().map_or(0, Vec::len),
        Body::Set { left, .. } => width(left),
    }
}
