//! Queries.

use engine::sql::types::DataType;

use super::expression::either;
use super::schema::usual;
use super::{Generator, TYPES, Typed};
use crate::ast::{Body, Common, Expr, From, Group, On, Query, Select, Shape};
use crate::render::has_aggregate;

/// What a SELECT has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Anything.
    Any,
    /// Without groups and DISTINCT.
    Plain,
    /// With groups.
    Grouped,
    /// Of aggregates over all rows.
    OneRow,
}

/// Something in FROM.
pub(super) struct Source {
    pub from: From,
    /// The columns, with their tables.
    pub columns: Vec<Typed>,
    /// What can be named without a table, if it is there once.
    visible: Vec<(String, Shape)>,
}

impl Source {
    /// What can be named in it.
    fn leaves(&self) -> Vec<Typed> {
        let mut leaves = self.columns.clone();
        for (position, (name, shape)) in self.visible.iter().enumerate() {
            let mut others = self.visible.iter().enumerate().filter(|(other, _)| *other != position);
            if others.all(|(_, (other, _))| other != name) {
                let expr = Expr::Column { table: None, name: name.clone(), datatype: shape.datatype };
                leaves.push(Typed { expr, shape: *shape });
            }
        }
        leaves
    }
}

impl Generator<'_, '_> {
    /// A query of some types.
    pub(super) fn query(&mut self, types: &[DataType]) -> (Query, Vec<Shape>) {
        let known = self.commons.len();
        let mut with = Vec::new();
        if self.level < 2 {
            while self.queries > 1 && self.draw.chance(1, 8) {
                with.push(self.common());
            }
        }
        let (mut query, shapes) = self.body(types);
        query.with = with;
        self.commons.truncate(known);
        (query, shapes)
    }

    fn body(&mut self, types: &[DataType]) -> (Query, Vec<Shape>) {
        let (mut query, shapes, keys) = match self.draw.below(12) {
            0 | 1 if self.queries > 1 => {
                self.queries -= 2;
                let operator = self.draw.choose(&["UNION", "UNION", "INTERSECT", "EXCEPT"]);
                let (left, a) = self.body(types);
                let (right, b) = self.body(types);
                let shapes = a.into_iter().zip(b).map(|(a, b)| either(a, b)).collect();
                let (left, right) = (Box::new(left), Box::new(right));
                let body = Body::Set { operator, all: self.draw.chance(1, 2), left, right };
                (Query { with: Vec::new(), body, order: Vec::new(), limit: None, offset: None }, shapes, Vec::new())
            }
            2 if self.draw.chance(1, 3) => {
                let mut shapes: Vec<Shape> = Vec::new();
                let rows = 0..=self.draw.below(3);
                let rows = rows.map(|_| {
                    let row: Vec<Typed> = types.iter().map(|datatype| self.constant(*datatype)).collect();
                    if shapes.is_empty() {
                        shapes = row.iter().map(|typed| typed.shape).collect();
                    }
                    for (shape, typed) in shapes.iter_mut().zip(&row) {
                        *shape = either(*shape, typed.shape);
                    }
                    row.into_iter().map(|typed| typed.expr).collect()
                });
                let body = Body::Values(rows.collect());
                (Query { with: Vec::new(), body, order: Vec::new(), limit: None, offset: None }, shapes, Vec::new())
            }
            _ => {
                let (select, shapes, keys) = self.select(types, Wanted::Any);
                (Query::of(select), shapes, keys)
            }
        };
        if self.draw.chance(1, 3) {
            self.order(&mut query, types.len(), keys);
            if self.draw.chance(1, 2) {
                query.limit = Some(self.draw.below(6) as u64);
            }
            if self.draw.chance(1, 4) {
                query.offset = Some(self.draw.below(4) as u64);
            }
        }
        (query, shapes)
    }

    /// A common table. It names nothing of the queries around it.
    fn common(&mut self) -> Common {
        self.queries -= 1;
        let scopes = std::mem::take(&mut self.scopes);
        let aggregates = self.aggregates.take();
        self.level += 1;
        let name = format!("w{}", self.alias());
        let recursive = self.draw.chance(1, 3);
        let mut types = self.types();
        if recursive {
            types.insert(0, DataType::Integer);
        }
        let (common, shapes) = if recursive {
            self.recursive(name.clone(), &types)
        } else {
            let (query, shapes) = self.body(&types);
            (Common { name: name.clone(), width: types.len(), query, step: None }, shapes)
        };
        self.level -= 1;
        self.commons.push((name, shapes));
        (self.scopes, self.aggregates) = (scopes, aggregates);
        common
    }

    /// A recursive common table that counts up to a limit in its first column.
    fn recursive(&mut self, name: String, types: &[DataType]) -> (Common, Vec<Shape>) {
        let shapes: Vec<Shape> = types.iter().map(|datatype| usual(*datatype)).collect();
        let (mut first, found, _) = self.select(types, Wanted::Plain);
        for ((item, shape), wanted) in first.items.iter_mut().zip(found).zip(&shapes) {
            let typed = Typed { expr: item.clone(), shape };
            *item = self.fit(typed, *wanted);
        }
        first.items[0] = Expr::Literal(0.into());
        let alias = self.alias();
        let own = Self::named(&name, &alias, &shapes);
        let count = own.columns[0].expr.clone();
        let mut leaves = own.leaves();
        let mut from = own.from;
        if self.draw.chance(1, 2) {
            let other = self.source(false);
            leaves.clone_from(&own.columns);
            leaves.extend(other.columns);
            self.scopes.push(leaves.clone());
            let on = On::Expr(self.condition(1).expr);
            self.scopes.pop();
            from = From::Join { kind: "INNER", left: Box::new(from), right: Box::new(other.from), on };
        }
        self.scopes.push(leaves);
        let mut items = vec![Expr::binary("+", count.clone(), Expr::Literal(1.into()))];
        for shape in &shapes[1..] {
            let typed = self.expr(shape.datatype, 1);
            items.push(self.fit(typed, *shape));
        }
        let bound = Expr::binary("<", count, Expr::Literal(self.draw.between(1, 3).into()));
        let filter = if self.draw.chance(1, 3) { Expr::and(Some(self.condition(1).expr), bound) } else { bound };
        self.scopes.pop();
        let (distinct, star, group, having) = (false, false, Vec::new(), None);
        let step = Select { distinct, star, items, from: vec![from], filter: Some(filter), group, having };
        let all = self.draw.chance(1, 2);
        let common = Common { name, width: types.len(), query: Query::of(first), step: Some((step, all)) };
        (common, shapes)
    }

    /// Rows of a name with columns `c0`, ...
    fn named(name: &str, alias: &str, shapes: &[Shape]) -> Source {
        Self::source_of(
            From::Table { name: name.to_string(), alias: alias.to_string() },
            alias,
            shapes.iter().enumerate().map(|(position, shape)| (format!("c{position}"), *shape)).collect(),
        )
    }

    pub(super) fn source_of(from: From, alias: &str, visible: Vec<(String, Shape)>) -> Source {
        let columns = visible.iter().map(|(name, shape)| Typed {
            expr: Expr::Column { table: Some(alias.to_string()), name: name.clone(), datatype: shape.datatype },
            shape: *shape,
        });
        Source { from, columns: columns.collect(), visible }
    }

    /// A table, a view, a common table or a query.
    pub(super) fn source(&mut self, lateral: bool) -> Source {
        let alias = self.alias();
        match self.draw.below(10) {
            0 if !self.views.is_empty() => {
                let (name, shapes) = self.views[self.draw.below(self.views.len())].clone();
                return Self::named(&name, &alias, &shapes);
            }
            1 | 2 if !self.commons.is_empty() => {
                let (name, shapes) = self.commons[self.draw.below(self.commons.len())].clone();
                return Self::named(&name, &alias, &shapes);
            }
            3 | 4 if self.queries > 0 && self.level < 2 => {
                self.queries -= 1;
                self.level += 1;
                let types = self.types();
                let (aggregates, commons) = (self.aggregates.take(), self.commons.len());
                let (query, shapes) = self.query(&types);
                self.commons.truncate(commons);
                self.aggregates = aggregates;
                self.level -= 1;
                let from = From::Query { query: Box::new(query), alias: alias.clone(), lateral };
                let visible = shapes.into_iter().enumerate().map(|(position, shape)| (format!("c{position}"), shape));
                return Self::source_of(from, &alias, visible.collect());
            }
            _ => {}
        }
        let table = &self.tables[self.draw.below(self.tables.len())];
        let visible = table.columns.iter().map(|column| (column.name.clone(), column.shape)).collect();
        Self::source_of(From::Table { name: table.name.clone(), alias: alias.clone() }, &alias, visible)
    }

    /// A source, or a join in parentheses.
    fn side(&mut self, left: &Source, kind: &'static str) -> Source {
        if self.draw.chance(1, 16) {
            let (first, second) = (self.source(false), self.source(false));
            return self.join(first, second);
        }
        let lateral = matches!(kind, "INNER" | "LEFT" | "CROSS") && self.draw.chance(1, 6);
        if !lateral {
            return self.source(false);
        }
        self.scopes.push(left.leaves());
        let source = self.source(true);
        self.scopes.pop();
        source
    }

    fn join(&mut self, left: Source, right: Source) -> Source {
        let kind = self.draw.choose(&["INNER", "INNER", "LEFT", "LEFT", "RIGHT", "FULL", "CROSS"]);
        self.joined(kind, left, right)
    }

    fn joined(&mut self, kind: &'static str, left: Source, right: Source) -> Source {
        let once = |visible: &[(String, Shape)], name: &str| {
            let mut found = visible.iter().filter(|(other, _)| other == name);
            match (found.next(), found.next()) {
                (Some((_, shape)), None) => Some(*shape),
                _ => None,
            }
        };
        let mut common: Vec<(String, Shape)> = Vec::new();
        for (name, shape) in &right.visible {
            if let (Some(a), Some(b)) = (once(&left.visible, name), once(&right.visible, name))
                && a.datatype == b.datatype
                && shape.datatype == a.datatype
            {
                common.push((name.clone(), either(a, b)));
            }
        }
        let everywhere = right.visible.iter().all(|(name, _)| {
            left.visible.iter().all(|(other, _)| other != name) || common.iter().any(|(other, _)| other == name)
        });
        let mut merged = Vec::new();
        let on = if kind == "CROSS" {
            On::None
        } else if !common.is_empty() && self.draw.chance(1, 4) {
            if everywhere && self.draw.chance(1, 4) {
                merged = common;
                On::Natural
            } else {
                common.truncate(1 + self.draw.below(2));
                merged = common;
                On::Using(merged.iter().map(|(name, _)| name.clone()).collect())
            }
        } else {
            let mut leaves = left.leaves();
            leaves.extend(right.columns.iter().cloned());
            leaves.retain(|leaf| matches!(&leaf.expr, Expr::Column { table: Some(_), .. }));
            self.scopes.push(leaves);
            let on = self.on(&left, &right);
            self.scopes.pop();
            On::Expr(on)
        };
        let kept = |visible: Vec<(String, Shape)>, merged: &[(String, Shape)]| -> Vec<(String, Shape)> {
            visible.into_iter().filter(|(name, _)| merged.iter().all(|(other, _)| other != name)).collect()
        };
        let mut visible = merged.clone();
        visible.extend(kept(left.visible, &merged));
        visible.extend(kept(right.visible, &merged));
        let mut columns = left.columns;
        columns.extend(right.columns);
        Source {
            from: From::Join { kind, left: Box::new(left.from), right: Box::new(right.from), on },
            columns,
            visible,
        }
    }

    /// The condition of a join: mostly that columns are equal, and perhaps more.
    fn on(&mut self, left: &Source, right: &Source) -> Expr {
        if self.draw.chance(1, 5) {
            return self.condition(2).expr;
        }
        let mut condition = None;
        for _ in 0..=self.draw.below(2) {
            let a = &left.columns[self.draw.below(left.columns.len())];
            let fits: Vec<&Typed> = right.columns.iter().filter(|b| b.shape.datatype == a.shape.datatype).collect();
            if !fits.is_empty() {
                let b = fits[self.draw.below(fits.len())];
                let op = self.draw.choose(&["=", "=", "=", "<", ">="]);
                condition = Some(Expr::and(condition, Expr::binary(op, a.expr.clone(), b.expr.clone())));
            }
        }
        match condition {
            Some(condition) if self.draw.chance(1, 3) => Expr::and(Some(condition), self.condition(1).expr),
            Some(condition) => condition,
            None => self.condition(2).expr,
        }
    }

    /// FROM, and what can be named then. The flag tells whether `*` means the same to all.
    fn from(&mut self) -> (Vec<From>, Vec<Typed>, bool) {
        let count = self.draw.choose(&[1, 1, 1, 1, 2, 2, 2, 3]);
        let mut all = self.source(false);
        if self.draw.chance(1, 6) {
            // Commas: nothing is merged, and only what stands between them can be a join.
            let mut from = Vec::new();
            let mut whole: Option<Source> = None;
            for _ in 0..count.max(2) {
                let next = if self.draw.chance(1, 4) {
                    let (left, right) = (self.source(false), self.source(false));
                    self.join(left, right)
                } else {
                    self.source(false)
                };
                from.push(next.from.clone());
                whole = Some(match whole {
                    None => next,
                    Some(mut whole) => {
                        whole.columns.extend(next.columns);
                        whole.visible.extend(next.visible);
                        whole
                    }
                });
            }
            let leaves = whole.map_or_else(Vec::new, |whole| whole.leaves());
            return (from, leaves, false);
        }
        for _ in 1..count {
            let kind = self.draw.choose(&["INNER", "INNER", "LEFT", "LEFT", "RIGHT", "FULL", "CROSS"]);
            let right = self.side(&all, kind);
            all = self.joined(kind, all, right);
        }
        let plain = all.visible.len() == all.columns.len();
        let leaves = all.leaves();
        (vec![all.from], leaves, plain)
    }

    /// A SELECT, the shapes of its items, and what it could be ordered by besides.
    pub(super) fn select(&mut self, types: &[DataType], wanted: Wanted) -> (Select, Vec<Shape>, Vec<Expr>) {
        let (from, leaves, plain) = if wanted == Wanted::Any && self.draw.chance(1, 24) {
            (Vec::new(), Vec::new(), false)
        } else {
            self.from()
        };
        let aggregates = self.aggregates.take();
        self.scopes.push(leaves.clone());
        let filter = if self.draw.chance(1, 2) { Some(self.condition(2).expr) } else { None };
        let grouped = match wanted {
            Wanted::Any => !from.is_empty() && self.draw.chance(1, 3),
            Wanted::Plain => false,
            Wanted::Grouped | Wanted::OneRow => true,
        };
        let mut group = Vec::new();
        let mut keys: Vec<Typed> = Vec::new();
        if grouped {
            let count = if wanted == Wanted::OneRow { 0 } else { self.draw.below(3) };
            for _ in 0..count.max(usize::from(wanted == Wanted::Grouped)) {
                let datatype = self.draw.choose(&TYPES);
                let depth = usize::from(self.draw.chance(1, 4));
                let mut key = self.expr(datatype, depth);
                // A constant could be a position, and a query is the same expression to nobody.
                let fixed = self.is_fixed(&key.expr);
                if fixed {
                    key = leaves[self.draw.below(leaves.len())].clone();
                }
                keys.push(key);
            }
            self.scopes.last_mut().expect("it was pushed").clone_from(&keys);
            self.aggregates = Some(leaves.clone());
            group = keys.iter().map(|key| Group::Expr(key.expr.clone())).collect();
        }
        let mut items: Vec<Typed> = types.iter().map(|datatype| self.expr(*datatype, 2)).collect();
        if wanted == Wanted::OneRow && group.is_empty() {
            // Without an aggregate there would be a row for each.
            for (item, datatype) in items.iter_mut().zip(types) {
                if !has_own_aggregate(&item.expr) {
                    *item = self.one_row(*datatype);
                }
            }
        }
        if grouped
            && let (Some(first), Some(key)) = (items.first_mut(), keys.first())
            && first.shape.datatype == key.shape.datatype
            && self.draw.chance(1, 2)
        {
            *first = key.clone();
            let hidden = leaves.iter().any(|leaf| matches!(&leaf.expr, Expr::Column { name, .. } if name == "c0"));
            group[0] = match self.draw.below(3) {
                0 => Group::Ordinal(1),
                1 if !hidden => Group::Alias(0),
                _ => Group::Expr(key.expr.clone()),
            };
        }
        let some_aggregate = !group.is_empty() || items.iter().any(|item| has_own_aggregate(&item.expr));
        let having =
            if grouped && some_aggregate && self.draw.chance(1, 3) { Some(self.condition(1).expr) } else { None };
        let distinct = wanted == Wanted::Any && self.draw.chance(1, 6);
        // In a query without groups or aggregates, what was drawn as grouped is not, and constants are all there is.
        let mut order = Vec::new();
        if !distinct && self.draw.chance(1, 2) && (!grouped || some_aggregate) {
            let datatype = self.draw.choose(&TYPES);
            let key = self.expr(datatype, 1);
            if !self.is_fixed(&key.expr) {
                order.push(key.expr);
            }
        }
        self.scopes.pop();
        self.aggregates = aggregates;
        let mut star = false;
        if wanted == Wanted::Any && plain && !grouped && self.level == 0 && self.draw.chance(1, 16) {
            let columns: Vec<Typed> = leaves
                .iter()
                .filter(|leaf| matches!(&leaf.expr, Expr::Column { table: Some(_), .. }))
                .cloned()
                .collect();
            let same = columns.len() == types.len()
                && columns.iter().zip(types).all(|(column, datatype)| column.shape.datatype == *datatype);
            if same {
                (items, star) = (columns, true);
                order.clear();
            }
        }
        let shapes = items.iter().map(|item| item.shape).collect();
        let items = items.into_iter().map(|item| item.expr).collect();
        (Select { distinct, star, items, from, filter, group, having }, shapes, order)
    }

    /// Whether an expression is no good as a key of an order or of groups.
    fn is_fixed(&self, expr: &Expr) -> bool {
        use crate::ast::{Part, Walk};
        let mut query = false;
        expr.clone().walk(&mut |part| query |= matches!(part, Part::Query(_)));
        let own = self.scopes.last().is_some_and(|leaves| {
            let mut found = false;
            expr.clone().walk(&mut |part| {
                if let Part::Expr(Expr::Column { table, name, .. }) = part {
                    found |= leaves.iter().any(
                        |leaf| matches!(&leaf.expr, Expr::Column { table: t, name: n, .. } if t == table && n == name),
                    );
                }
            });
            found
        });
        query || !(own || has_aggregate(expr))
    }

    fn one_row(&mut self, datatype: DataType) -> Typed {
        let typed = self.aggregate(datatype);
        match typed {
            Some(typed) if has_own_aggregate(&typed.expr) => typed,
            // There is nothing of this type to aggregate, so a constant stands beside a count.
            _ => {
                let count = Expr::Aggregate { name: "COUNT", distinct: false, arg: None, filter: None };
                let some = Expr::binary(">", count, Expr::Literal(0.into()));
                let constant = self.constant(datatype);
                let branches = vec![(some, constant.expr)];
                Typed { expr: Expr::Case { operand: None, branches, otherwise: None }, shape: constant.shape }
            }
        }
    }
}

/// Whether an expression has an aggregate of its own query, not only of one within it.
fn has_own_aggregate(expr: &Expr) -> bool {
    use crate::ast::{Part, Walk};
    let (mut all, mut inner) = (0, 0);
    expr.clone().walk(&mut |part| match part {
        Part::Expr(Expr::Aggregate { .. }) => all += 1,
        Part::Expr(Expr::Scalar(query, _) | Expr::Exists(query)) => inner += count_aggregates(query),
        Part::Expr(Expr::InQuery { query, .. } | Expr::Quantified { query, .. }) => inner += count_aggregates(query),
        _ => {}
    });
    // Aggregates two queries down are counted twice among the inner ones, which errs on the side of none.
    all > inner
}

fn count_aggregates(query: &Query) -> i32 {
    use crate::ast::{Part, Walk};
    let mut count = 0;
    query.clone().walk(&mut |part| count += i32::from(matches!(part, Part::Expr(Expr::Aggregate { .. }))));
    count
}
