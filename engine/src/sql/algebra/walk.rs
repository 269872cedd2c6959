//! Walks over plans: every expression of a plan, with how many queries inwards it stands.

use std::ops::Bound;

use super::{Expr, JoinMethod, KeyRange, Node, SortKey, Subquery, SubqueryKind};

impl Expr {
    /// Calls `f` with each operand. The query of a subquery is none.
    pub fn for_each_operand(&self, f: &mut dyn FnMut(&Self)) {
        match self {
            Self::Constant(_) | Self::Parameter(_) | Self::Column(_) | Self::Outer { .. } => {}
            Self::Unary(_, expr) | Self::Is { expr, .. } | Self::Cast(expr, _) => f(expr),
            Self::Binary(_, left, right) => {
                f(left);
                f(right);
            }
            Self::In { expr, list, .. } => {
                f(expr);
                list.iter().for_each(f);
            }
            Self::Between { expr, low, high, .. } => {
                for expr in [expr, low, high] {
                    f(expr);
                }
            }
            Self::Like { expr, pattern, .. } => {
                for expr in [expr, pattern] {
                    f(expr);
                }
            }
            Self::Case { operand, branches, otherwise } => {
                if let Some(expr) = operand {
                    f(expr);
                }
                for (condition, result) in branches {
                    f(condition);
                    f(result);
                }
                if let Some(expr) = otherwise {
                    f(expr);
                }
            }
            Self::Call(_, args) => args.iter().for_each(f),
            Self::Subquery(subquery) => {
                if let SubqueryKind::Quantified { expr, .. } = &subquery.kind {
                    f(expr);
                }
            }
        }
    }

    /// As [`Expr::for_each_operand`], to change them.
    pub fn for_each_operand_mut(&mut self, f: &mut dyn FnMut(&mut Self)) {
        match self {
            Self::Constant(_) | Self::Parameter(_) | Self::Column(_) | Self::Outer { .. } => {}
            Self::Unary(_, expr) | Self::Is { expr, .. } | Self::Cast(expr, _) => f(expr),
            Self::Binary(_, left, right) => {
                f(left);
                f(right);
            }
            Self::In { expr, list, .. } => {
                f(expr);
                list.iter_mut().for_each(f);
            }
            Self::Between { expr, low, high, .. } => {
                for expr in [expr, low, high] {
                    f(expr);
                }
            }
            Self::Like { expr, pattern, .. } => {
                for expr in [expr, pattern] {
                    f(expr);
                }
            }
            Self::Case { operand, branches, otherwise } => {
                if let Some(expr) = operand {
                    f(expr);
                }
                for (condition, result) in branches {
                    f(condition);
                    f(result);
                }
                if let Some(expr) = otherwise {
                    f(expr);
                }
            }
            Self::Call(_, args) => args.iter_mut().for_each(f),
            Self::Subquery(subquery) => {
                if let SubqueryKind::Quantified { expr, .. } = &mut subquery.kind {
                    f(expr);
                }
            }
        }
    }

    /// Calls `f` with the expression and every one in it, also in subqueries, from the outermost inwards, and with how
    /// many rows inwards from `depth` it stands.
    pub fn walk(&self, depth: usize, f: &mut dyn FnMut(usize, &Self)) {
        f(depth, self);
        self.for_each_operand(&mut |operand| operand.walk(depth, f));
        if let Self::Subquery(subquery) = self {
            subquery.plan.walk(depth + 1, f);
        }
    }

    /// As [`Expr::walk`], to change them; what an expression has become is what the walk goes into.
    pub fn walk_mut(&mut self, depth: usize, f: &mut dyn FnMut(usize, &mut Self)) {
        f(depth, self);
        self.for_each_operand_mut(&mut |operand| operand.walk_mut(depth, f));
        if let Self::Subquery(subquery) = self {
            subquery.plan.walk_mut(depth + 1, f);
            subquery.find_outer();
        }
    }
}

impl Expr {
    /// Calls `f` with each column of the row that the expression is over, also where a query in it reads it.
    pub fn for_each_column(&self, f: &mut dyn FnMut(usize)) {
        self.walk(0, &mut |depth, expr| match expr {
            Self::Column(column) if depth == 0 => f(*column),
            Self::Outer { level, column } if depth > 0 && *level == depth => f(*column),
            _ => {}
        });
    }

    /// Gives each of these columns another position.
    pub fn map_columns(&mut self, f: &mut dyn FnMut(usize) -> usize) {
        self.walk_mut(0, &mut |depth, expr| match expr {
            Self::Column(column) if depth == 0 => *column = f(*column),
            Self::Outer { level, column } if depth > 0 && *level == depth => *column = f(*column),
            _ => {}
        });
    }

    /// Moves the expression further inwards (or outwards) by so many rows: what it reads of outer rows is so many levels
    /// further away.
    pub fn shift_outer(&mut self, by: isize) {
        self.walk_mut(0, &mut |depth, expr| shift(depth, expr, by));
    }
}

fn shift(depth: usize, expr: &mut Expr, by: isize) {
    if let Expr::Outer { level, .. } = expr
        && *level > depth
    {
        *level = level.checked_add_signed(by).expect("a level that is there");
    }
}

impl Node {
    /// As [`Expr::shift_outer`].
    pub fn shift_outer(&mut self, by: isize) {
        self.walk_mut(0, &mut |depth, expr| shift(depth, expr, by));
    }

    /// Calls `f` with each column of the row around the query that it reads: of the left side's, for the right side of a
    /// lateral join.
    pub fn for_each_outer_column(&self, f: &mut dyn FnMut(usize)) {
        self.walk(1, &mut |depth, expr| {
            if let Expr::Outer { level, column } = expr
                && *level == depth
            {
                f(*column);
            }
        });
    }

    /// Gives each of these columns another position.
    pub fn map_outer_columns(&mut self, f: &mut dyn FnMut(usize) -> usize) {
        self.walk_mut(1, &mut |depth, expr| {
            if let Expr::Outer { level, column } = expr
                && *level == depth
            {
                *column = f(*column);
            }
        });
    }
}

impl Subquery {
    /// A subquery, with the outer columns that it reads.
    pub fn new(kind: SubqueryKind, plan: Node) -> Self {
        let mut subquery = Self { kind, plan, outer: Vec::new() };
        subquery.find_outer();
        subquery
    }

    fn find_outer(&mut self) {
        let outer = &mut self.outer;
        outer.clear();
        self.plan.walk(0, &mut |depth, expr| {
            if let Expr::Outer { level, column } = expr
                && *level > depth
                && !outer.contains(&(level - depth, *column))
            {
                outer.push((level - depth, *column));
            }
        });
        outer.sort_unstable();
    }
}

impl Node {
    /// Calls `f` with each expression of this operator.
    pub fn for_each_expr(&self, f: &mut dyn FnMut(&Expr)) {
        match self {
            Self::Nothing { .. }
            | Self::Rows { .. }
            | Self::Distinct { .. }
            | Self::Set { .. }
            | Self::With { .. }
            | Self::Common { .. } => {}
            Self::Values { rows, .. } => rows.iter().flatten().for_each(f),
            Self::Scan(scan) => {
                scan.filter.iter().for_each(&mut *f);
                for range in &scan.access.ranges {
                    range.prefix.iter().for_each(&mut *f);
                    for bound in [&range.low, &range.high] {
                        if let Bound::Included(expr) | Bound::Excluded(expr) = bound {
                            f(expr);
                        }
                    }
                }
            }
            Self::Filter { predicate, .. } => f(predicate),
            Self::Project { exprs, .. } => exprs.iter().for_each(f),
            Self::Join(join) => {
                join.on.iter().for_each(&mut *f);
                if let JoinMethod::Hash { keys, residual } | JoinMethod::Merge { keys, residual } = &join.method {
                    for (left, right) in keys {
                        f(left);
                        f(right);
                    }
                    residual.iter().for_each(f);
                }
            }
            Self::Aggregate(aggregate) => {
                aggregate.groups.iter().for_each(&mut *f);
                for call in &aggregate.calls {
                    call.args.iter().chain(&call.filter).for_each(&mut *f);
                }
            }
            Self::Sort { keys, first, .. } => keys.iter().map(|SortKey { expr, .. }| expr).chain(first).for_each(f),
            Self::Limit { offset, limit, .. } => offset.iter().chain(limit).for_each(f),
        }
    }

    /// As [`Node::for_each_expr`], to change them.
    pub fn for_each_expr_mut(&mut self, f: &mut dyn FnMut(&mut Expr)) {
        match self {
            Self::Nothing { .. }
            | Self::Rows { .. }
            | Self::Distinct { .. }
            | Self::Set { .. }
            | Self::With { .. }
            | Self::Common { .. } => {}
            Self::Values { rows, .. } => rows.iter_mut().flatten().for_each(f),
            Self::Scan(scan) => {
                scan.filter.iter_mut().for_each(&mut *f);
                for KeyRange { prefix, low, high } in &mut scan.access.ranges {
                    prefix.iter_mut().for_each(&mut *f);
                    for bound in [low, high] {
                        if let Bound::Included(expr) | Bound::Excluded(expr) = bound {
                            f(expr);
                        }
                    }
                }
            }
            Self::Filter { predicate, .. } => f(predicate),
            Self::Project { exprs, .. } => exprs.iter_mut().for_each(f),
            Self::Join(join) => {
                join.on.iter_mut().for_each(&mut *f);
                if let JoinMethod::Hash { keys, residual } | JoinMethod::Merge { keys, residual } = &mut join.method {
                    for (left, right) in keys {
                        f(left);
                        f(right);
                    }
                    residual.iter_mut().for_each(f);
                }
            }
            Self::Aggregate(aggregate) => {
                aggregate.groups.iter_mut().for_each(&mut *f);
                for call in &mut aggregate.calls {
                    call.args.iter_mut().chain(&mut call.filter).for_each(&mut *f);
                }
            }
            Self::Sort { keys, first, .. } => {
                keys.iter_mut().map(|SortKey { expr, .. }| expr).chain(first).for_each(f);
            }
            Self::Limit { offset, limit, .. } => offset.iter_mut().chain(limit).for_each(f),
        }
    }

    /// Calls `f` with each input, and with how many rows further inwards its expressions stand: 1 for the right side of a
    /// lateral join, else 0.
    pub fn for_each_input(&self, f: &mut dyn FnMut(&Self, usize)) {
        match self {
            Self::Nothing { .. } | Self::Values { .. } | Self::Rows { .. } | Self::Scan(_) | Self::Common { .. } => {}
            Self::Filter { input, .. }
            | Self::Project { input, .. }
            | Self::Sort { input, .. }
            | Self::Limit { input, .. }
            | Self::Distinct { input } => f(input, 0),
            Self::Join(join) => {
                f(&join.left, 0);
                f(&join.right, usize::from(join.method == JoinMethod::Lateral));
            }
            Self::Aggregate(aggregate) => f(&aggregate.input, 0),
            Self::Set { left, right, .. } => {
                f(left, 0);
                f(right, 0);
            }
            Self::With { common, recursive, body, .. } => {
                f(common, 0);
                if let Some(recursive) = recursive {
                    f(&recursive.step, 0);
                }
                f(body, 0);
            }
        }
    }

    /// As [`Node::for_each_input`], to change them.
    pub fn for_each_input_mut(&mut self, f: &mut dyn FnMut(&mut Self, usize)) {
        match self {
            Self::Nothing { .. } | Self::Values { .. } | Self::Rows { .. } | Self::Scan(_) | Self::Common { .. } => {}
            Self::Filter { input, .. }
            | Self::Project { input, .. }
            | Self::Sort { input, .. }
            | Self::Limit { input, .. }
            | Self::Distinct { input } => f(input, 0),
            Self::Join(join) => {
                f(&mut join.left, 0);
                let lateral = usize::from(join.method == JoinMethod::Lateral);
                f(&mut join.right, lateral);
            }
            Self::Aggregate(aggregate) => f(&mut aggregate.input, 0),
            Self::Set { left, right, .. } => {
                f(left, 0);
                f(right, 0);
            }
            Self::With { common, recursive, body, .. } => {
                f(common, 0);
                if let Some(recursive) = recursive {
                    f(&mut recursive.step, 0);
                }
                f(body, 0);
            }
        }
    }

    /// [`Expr::walk`] of all expressions of the plan.
    pub fn walk(&self, depth: usize, f: &mut dyn FnMut(usize, &Expr)) {
        self.for_each_expr(&mut |expr| expr.walk(depth, f));
        self.for_each_input(&mut |input, inwards| input.walk(depth + inwards, f));
    }

    /// [`Expr::walk_mut`] of all expressions of the plan.
    pub fn walk_mut(&mut self, depth: usize, f: &mut dyn FnMut(usize, &mut Expr)) {
        self.for_each_expr_mut(&mut |expr| expr.walk_mut(depth, f));
        self.for_each_input_mut(&mut |input, inwards| input.walk_mut(depth + inwards, f));
    }
}

impl Node {
    /// Calls `f` with the number of each common table that is read, also in subqueries.
    pub fn for_each_common(&self, f: &mut dyn FnMut(usize)) {
        if let Self::Common { id, .. } = self {
            f(*id);
        }
        self.for_each_expr(&mut |expr| {
            expr.walk(0, &mut |depth, expr| {
                // Deeper queries are found from the subqueries that they are in.
                if let (0, Expr::Subquery(subquery)) = (depth, expr) {
                    subquery.plan.for_each_common(f);
                }
            });
        });
        self.for_each_input(&mut |input, _| input.for_each_common(f));
    }
}
