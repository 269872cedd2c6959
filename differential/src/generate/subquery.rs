//! Aggregates, and queries within expressions.

use engine::sql::types::DataType;

use super::expression::{has_column, is_exact};
use super::query::Wanted;
use super::schema::{BOOLEAN, float, integer, text};
use super::{EXACT, Generator, INEXACT, TYPES, Typed};
use crate::ast::{Body, Expr, From, Group, Order, Query, Select, Shape};

/// How deep queries are within each other.
const MAX_LEVEL: usize = 3;

impl Generator<'_, '_> {
    /// An aggregate of a type, where one may stand.
    pub(super) fn aggregate(&mut self, datatype: DataType) -> Option<Typed> {
        let leaves = self.aggregates.clone()?;
        // What it is of is over the rows that are grouped, and not only over those of an outer query, whose aggregate it
        // would be then. Queries stay out, since each database has its own view of what they may name.
        let scopes = std::mem::replace(&mut self.scopes, vec![leaves]);
        let (aggregates, queries) = (self.aggregates.take(), std::mem::take(&mut self.queries));
        let typed = self.aggregate_of_rows(datatype);
        (self.scopes, self.aggregates, self.queries) = (scopes, aggregates, queries);
        Some(typed)
    }

    fn operand(&mut self, datatype: DataType) -> Option<Typed> {
        let operand = self.expr(datatype, 1);
        if has_column(&operand.expr) {
            return Some(operand);
        }
        let leaves = self.scopes.last()?.iter().filter(|leaf| leaf.shape.datatype == datatype);
        let leaves: Vec<&Typed> = leaves.collect();
        if leaves.is_empty() { None } else { Some(leaves[self.draw.below(leaves.len())].clone()) }
    }

    fn aggregate_of_rows(&mut self, datatype: DataType) -> Typed {
        let filter = if self.draw.chance(1, 5) { Some(Box::new(self.condition(1).expr)) } else { None };
        let distinct = self.draw.chance(1, 4);
        let build = |name, arg: Option<Expr>, shape| {
            let (arg, filter) = (arg.map(Box::new), filter.clone());
            Typed { expr: Expr::Aggregate { name, distinct: distinct && arg.is_some(), arg, filter }, shape }
        };
        let extreme = self.draw.choose(&["MIN", "MAX"]);
        match datatype {
            DataType::Integer => match self.draw.below(6) {
                0 | 1 => {}
                2 | 3 => {
                    let of = self.draw.choose(&TYPES);
                    if let Some(operand) = self.operand(of) {
                        return build("COUNT", Some(operand.expr), integer(1e6));
                    }
                }
                4 => {
                    if let Some(operand) = self.operand(DataType::Integer) {
                        return build(extreme, Some(operand.expr), operand.shape);
                    }
                }
                _ => {
                    if let Some(operand) = self.operand(DataType::Integer) {
                        let max = operand.shape.max * 1e6;
                        self.fallible |= self.wild && max > EXACT;
                        if max < EXACT || self.wild {
                            return build("SUM", Some(operand.expr), integer(max));
                        }
                    }
                }
            },
            DataType::Float => {
                let of = self.draw.choose(&[DataType::Integer, DataType::Float]);
                if let Some(operand) = self.operand(of) {
                    let exact = is_exact(operand.shape);
                    let (max, digits) = (operand.shape.max * 1e6, operand.shape.digits);
                    match (exact, of, self.draw.below(4)) {
                        (true, _, 0) => return build("AVG", Some(operand.expr), float(operand.shape.max, INEXACT)),
                        (true, DataType::Float, 1) => return build("SUM", Some(operand.expr), float(max, digits)),
                        (true, _, 2) => return build("TOTAL", Some(operand.expr), float(max, digits)),
                        (_, DataType::Float, _) => return build(extreme, Some(operand.expr), operand.shape),
                        _ => {}
                    }
                }
            }
            DataType::Text => {
                if let Some(operand) = self.operand(DataType::Text) {
                    return build(extreme, Some(operand.expr), operand.shape);
                }
            }
            DataType::Boolean => {
                if let Some(operand) = self.operand(DataType::Boolean) {
                    let name = self.draw.choose(&["BOOL_AND", "BOOL_OR", extreme]);
                    return build(name, Some(operand.expr), BOOLEAN);
                }
            }
        }
        match datatype {
            DataType::Integer if self.draw.chance(1, 8) => {
                // The order of the texts is open, but not their length.
                let operand = self.operand(DataType::Text);
                match operand {
                    Some(operand) => {
                        let typed = build("GROUP_CONCAT", Some(operand.expr), text(1e6));
                        Typed { expr: Expr::Call("LENGTH", vec![typed.expr]), shape: integer(1e8) }
                    }
                    None => build("COUNT", None, integer(1e6)),
                }
            }
            DataType::Integer => build("COUNT", None, integer(1e6)),
            datatype => self.constant(datatype),
        }
    }

    /// Runs something one query deeper, where no aggregate of this one may stand.
    fn within<T>(&mut self, f: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.queries == 0 || self.level >= MAX_LEVEL {
            return None;
        }
        self.queries -= 1;
        self.level += 1;
        let (aggregates, commons) = (self.aggregates.take(), self.commons.len());
        let result = f(self);
        self.aggregates = aggregates;
        self.commons.truncate(commons);
        self.level -= 1;
        Some(result)
    }

    /// A query that gives at most one row.
    pub(super) fn scalar(&mut self, datatype: DataType) -> Option<Typed> {
        let (query, shape) = self.within(|this| match this.draw.below(4) {
            0 => this.by_key(datatype),
            1 => {
                let (mut query, shapes) = this.query(&[datatype]);
                this.order(&mut query, 1, Vec::new());
                query.limit = Some(1);
                (query, shapes[0])
            }
            _ => {
                let (select, shapes, _) = this.select(&[datatype], Wanted::OneRow);
                (Query::of(select), shapes[0])
            }
        })?;
        Some(Typed { expr: Expr::Scalar(Box::new(query), datatype), shape })
    }

    /// A row by its primary key, if there is such a table.
    fn by_key(&mut self, datatype: DataType) -> (Query, Shape) {
        let fits = |table: &&crate::ast::Table| {
            table.primary_key.len() == 1 && table.columns.iter().any(|column| column.shape.datatype == datatype)
        };
        let tables: Vec<_> = self.tables.iter().filter(fits).cloned().collect();
        if tables.is_empty() {
            let (select, shapes, _) = self.select(&[datatype], Wanted::OneRow);
            return (Query::of(select), shapes[0]);
        }
        let table = &tables[self.draw.below(tables.len())];
        let columns: Vec<_> = table.columns.iter().filter(|column| column.shape.datatype == datatype).collect();
        let column = columns[self.draw.below(columns.len())];
        let key = &table.columns[table.primary_key[0]];
        self.scopes.push(Vec::new());
        let other = self.leaf(key.shape.datatype);
        self.scopes.pop();
        let alias = self.alias();
        let named = |column: &crate::ast::Column| Expr::Column {
            table: Some(alias.clone()),
            name: column.name.clone(),
            datatype: column.shape.datatype,
        };
        let select = Select {
            distinct: false,
            star: false,
            items: vec![named(column)],
            from: vec![From::Table { name: table.name.clone(), alias: alias.clone() }],
            filter: Some(Expr::binary("=", named(key), other.expr)),
            group: Vec::new(),
            having: None,
        };
        (Query::of(select), column.shape)
    }

    /// A condition about the rows of a query.
    pub(super) fn about_a_query(&mut self, depth: usize, negated: bool) -> Typed {
        let datatype = self.draw.choose(&TYPES);
        let expr = match self.draw.below(3) {
            0 => {
                let types = self.types();
                self.within(|this| this.query(&types).0).map(|query| Expr::Exists(Box::new(query)))
            }
            1 => {
                let operand = self.expr(datatype, depth.min(1));
                let query = self.within(|this| this.query(&[datatype]).0);
                query.map(|query| Expr::InQuery { expr: Box::new(operand.expr), query: Box::new(query), negated })
            }
            _ => {
                let operand = self.expr(datatype, depth.min(1));
                let query = self.within(|this| this.query(&[datatype]).0);
                let op = self.draw.choose(&["=", "<>", "<", "<=", ">", ">="]);
                let all = self.draw.chance(1, 2);
                query.map(|query| Expr::Quantified { expr: Box::new(operand.expr), op, all, query: Box::new(query) })
            }
        };
        match expr {
            Some(expr) => Typed { expr, shape: BOOLEAN },
            None => self.leaf(DataType::Boolean),
        }
    }

    /// Gives a query an order that is total, by all its columns after some others.
    pub(super) fn order(&mut self, query: &mut Query, width: usize, keys: Vec<Expr>) {
        let mut order: Vec<Group> = keys.into_iter().map(Group::Expr).collect();
        let named = is_named(query);
        for _ in 0..self.draw.below(3) {
            let column = self.draw.below(width);
            order.push(if named && self.draw.chance(1, 2) { Group::Alias(column) } else { Group::Ordinal(column + 1) });
        }
        for column in 1..=width {
            order.push(Group::Ordinal(column));
        }
        let order = order.into_iter().map(|key| {
            let nulls_first = if self.draw.chance(1, 3) { Some(self.draw.chance(1, 2)) } else { None };
            Order { key, descending: self.draw.chance(1, 3), nulls_first }
        });
        query.order = order.collect();
    }
}

/// Whether the columns of a query are called `c0` and so on: those of VALUES are not.
fn is_named(query: &Query) -> bool {
    match &query.body {
        Body::Select(select) => !select.star,
        Body::Values(_) => false,
        Body::Set { left, .. } => is_named(left),
    }
}
