//! Walks over the parts of statements: to count them, to look for something, and to replace one.

use super::{
    Alter, Alteration, Body, Checked, Conflict, Expr, From, Group, On, Parts, Query, Select, Source, Step, Write,
    WriteKind,
};

/// A part of a statement that can be replaced.
pub enum Part<'a> {
    /// An expression.
    Expr(&'a mut Expr),
    /// A query.
    Query(&'a mut Query),
    /// A SELECT.
    Select(&'a mut Select),
    /// An item of FROM.
    From(&'a mut From),
}

/// Calls a function with each part of a statement, outer parts first.
pub trait Walk {
    /// Walks over the statement itself and all within.
    fn walk(&mut self, f: &mut dyn FnMut(Part<'_>));
}

impl<T: Walk> Walk for Option<T> {
    fn walk(&mut self, f: &mut dyn FnMut(Part<'_>)) {
        if let Some(part) = self {
            part.walk(f);
        }
    }
}

impl<T: Walk> Walk for Vec<T> {
    fn walk(&mut self, f: &mut dyn FnMut(Part<'_>)) {
        for part in self {
            part.walk(f);
        }
    }
}

impl<T: Walk> Walk for Box<T> {
    fn walk(&mut self, f: &mut dyn FnMut(Part<'_>)) {
        (**self).walk(f);
    }
}

impl<T: Walk> Walk for (String, T) {
    fn walk(&mut self, f: &mut dyn FnMut(Part<'_>)) {
        self.1.walk(f);
    }
}

impl Walk for Step {
    fn walk(&mut self, f: &mut dyn FnMut(Part<'_>)) {
        match self {
            Self::Table(table) => {
                table.checks.walk(f);
                table.columns.iter_mut().for_each(|column| column.default.walk(f));
            }
            Self::Index(_) => {}
            Self::Alter(Alter { change, .. }) => {
                if let Alteration::Add(column) = change {
                    column.default.walk(f);
                }
            }
            Self::View(_, query) => query.walk(f),
            Self::Write(Write { kind, returning, .. }) => {
                match kind {
                    WriteKind::Insert { source, conflict, .. } => {
                        match source {
                            Source::Values(rows) => rows.walk(f),
                            Source::Query(query) => query.walk(f),
                        }
                        if let Some(Conflict { update: Some((set, filter)), .. }) = conflict {
                            set.walk(f);
                            filter.walk(f);
                        }
                    }
                    WriteKind::Update { set, from, filter } => {
                        set.walk(f);
                        from.walk(f);
                        filter.walk(f);
                    }
                    WriteKind::Delete { using, filter } => {
                        using.walk(f);
                        filter.walk(f);
                    }
                }
                returning.walk(f);
            }
            Self::Query(query) => query.statement.walk(f),
            Self::Parts(Checked { statement: Parts { select, predicate, .. }, .. }) => {
                select.walk(f);
                predicate.walk(f);
            }
        }
    }
}

impl Walk for Query {
    fn walk(&mut self, f: &mut dyn FnMut(Part<'_>)) {
        f(Part::Query(self));
        for common in &mut self.with {
            common.query.walk(f);
            if let Some((step, _)) = &mut common.step {
                step.walk(f);
            }
        }
        match &mut self.body {
            Body::Select(select) => select.walk(f),
            Body::Values(rows) => rows.walk(f),
            Body::Set { left, right, .. } => {
                left.walk(f);
                right.walk(f);
            }
        }
        for order in &mut self.order {
            if let Group::Expr(expr) = &mut order.key {
                expr.walk(f);
            }
        }
    }
}

impl Walk for Select {
    fn walk(&mut self, f: &mut dyn FnMut(Part<'_>)) {
        f(Part::Select(self));
        self.items.walk(f);
        self.from.walk(f);
        self.filter.walk(f);
        for group in &mut self.group {
            if let Group::Expr(expr) = group {
                expr.walk(f);
            }
        }
        self.having.walk(f);
    }
}

impl Walk for From {
    fn walk(&mut self, f: &mut dyn FnMut(Part<'_>)) {
        f(Part::From(self));
        match self {
            Self::Table { .. } => {}
            Self::Query { query, .. } => query.walk(f),
            Self::Join { left, right, on, .. } => {
                left.walk(f);
                right.walk(f);
                if let On::Expr(expr) = on {
                    expr.walk(f);
                }
            }
        }
    }
}

impl Walk for Expr {
    fn walk(&mut self, f: &mut dyn FnMut(Part<'_>)) {
        f(Part::Expr(self));
        match self {
            Self::Literal(_) | Self::Null { .. } | Self::Column { .. } => {}
            Self::Unary(_, expr) | Self::Is { expr, .. } | Self::Like { expr, .. } | Self::Cast(expr, _) => {
                expr.walk(f);
            }
            Self::Binary(_, a, b) => {
                a.walk(f);
                b.walk(f);
            }
            Self::In { expr, list, .. } => {
                expr.walk(f);
                list.walk(f);
            }
            Self::InQuery { expr, query, .. } | Self::Quantified { expr, query, .. } => {
                expr.walk(f);
                query.walk(f);
            }
            Self::Between { expr, low, high, .. } => {
                expr.walk(f);
                low.walk(f);
                high.walk(f);
            }
            Self::Case { operand, branches, otherwise } => {
                operand.walk(f);
                for (condition, result) in branches {
                    condition.walk(f);
                    result.walk(f);
                }
                otherwise.walk(f);
            }
            Self::Call(_, args) => args.walk(f),
            Self::Aggregate { arg, filter, .. } => {
                arg.walk(f);
                filter.walk(f);
            }
            Self::Scalar(query, _) | Self::Exists(query) => query.walk(f),
        }
    }
}
