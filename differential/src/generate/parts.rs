//! Queries that a predicate cuts into parts.

use engine::sql::types::DataType;

use super::query::Wanted;
use super::schema::BOOLEAN;
use super::{Generator, Typed};
use crate::ast::{Expr, From, Group, Parts, PartsKind};

/// The aggregates of which parts can be put together.
const ADDING: [&str; 7] = ["COUNT", "SUM", "MIN", "MAX", "TOTAL", "BOOL_AND", "BOOL_OR"];

impl Generator<'_, '_> {
    pub(super) fn parts(&mut self) -> Parts {
        use PartsKind::{Aggregate, Count, Distinct, Group as Groups, Having, Where};
        let kind = self.draw.choose(&[Where, Where, Distinct, Groups, Aggregate, Aggregate, Having, Count]);
        let types = self.types();
        let wanted = match kind {
            Where | Distinct | Count => Wanted::Plain,
            Groups | Having => Wanted::Grouped,
            Aggregate => Wanted::OneRow,
        };
        let (mut select, _, _) = self.select(&types, wanted);
        select.distinct = kind == Distinct;
        select.having = None;
        if matches!(kind, Groups | Having) {
            select.group = select
                .group
                .into_iter()
                .map(|group| match group {
                    // The items may change.
                    Group::Ordinal(_) | Group::Alias(_) => Group::Expr(select.items[0].clone()),
                    group @ Group::Expr(_) => group,
                })
                .collect();
        }
        if kind == Aggregate {
            select
                .items
                .retain(|item| matches!(item, Expr::Aggregate { name, distinct: false, .. } if ADDING.contains(name)));
            if select.items.is_empty() {
                select.items.push(Expr::Aggregate { name: "COUNT", distinct: false, arg: None, filter: None });
            }
        }
        let leaves = self.columns_of(&select.from);
        if kind == Groups {
            // Without aggregates, the groups are just rows once each.
            let keys: Vec<Expr> = select
                .group
                .iter()
                .filter_map(|group| match group {
                    Group::Expr(expr) => Some(expr.clone()),
                    Group::Ordinal(_) | Group::Alias(_) => None,
                })
                .collect();
            select.items = keys;
        }
        let predicate = if kind == Having {
            let keys = select.group.iter().filter_map(|group| match group {
                Group::Expr(expr) => Some(Typed { expr: expr.clone(), shape: Self::shape_in(expr, &leaves) }),
                Group::Ordinal(_) | Group::Alias(_) => None,
            });
            let keys = keys.collect();
            self.scopes.push(keys);
            self.aggregates = Some(leaves);
            let predicate = self.condition(2).expr;
            self.aggregates = None;
            self.scopes.pop();
            predicate
        } else {
            self.scopes.push(leaves);
            let predicate = self.condition(2).expr;
            self.scopes.pop();
            predicate
        };
        Parts { kind, select, predicate }
    }

    fn shape_in(expr: &Expr, leaves: &[Typed]) -> crate::ast::Shape {
        let name_of = |expr: &Expr| match expr {
            Expr::Column { table, name, .. } => Some((table.clone(), name.clone())),
            _ => None,
        };
        let found = leaves.iter().find(|leaf| name_of(&leaf.expr).is_some() && name_of(&leaf.expr) == name_of(expr));
        let datatype = expr.datatype();
        // Of what is no column little is known.
        found.map_or(
            match datatype {
                DataType::Boolean => BOOLEAN,
                datatype => crate::ast::Shape { datatype, max: 1e18, digits: super::INEXACT },
            },
            |leaf| leaf.shape,
        )
    }

    /// The columns of base tables in FROM, which are all that a predicate of parts names.
    fn columns_of(&self, from: &[From]) -> Vec<Typed> {
        let mut leaves = Vec::new();
        for item in from {
            self.collect(item, &mut leaves);
        }
        leaves
    }

    fn collect(&self, from: &From, leaves: &mut Vec<Typed>) {
        match from {
            From::Join { left, right, .. } => {
                self.collect(left, leaves);
                self.collect(right, leaves);
            }
            From::Query { .. } => {}
            From::Table { name, alias } => {
                let table = self.tables.iter().find(|table| table.name == *name);
                for column in table.iter().flat_map(|table| &table.columns) {
                    let (table, name) = (Some(alias.clone()), column.name.clone());
                    let expr = Expr::Column { table, name, datatype: column.shape.datatype };
                    leaves.push(Typed { expr, shape: column.shape });
                }
                let view = self.views.iter().find(|(view, _)| view == name);
                for (position, shape) in view.iter().flat_map(|(_, shapes)| shapes).enumerate() {
                    let (table, name) = (Some(alias.clone()), format!("c{position}"));
                    leaves.push(Typed { expr: Expr::Column { table, name, datatype: shape.datatype }, shape: *shape });
                }
            }
        }
    }
}
