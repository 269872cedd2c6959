//! Conditions go down, to the rows that they are about.
//!
//! A filter is taken apart at its ANDs, and each part goes as far down as it can: through projections, sorts, set
//! operations and groups, and to the side of a join that it is about. Only what cannot fail goes through a join, or ahead
//! of another condition. An outer join whose NULLs a condition above refuses becomes an inner one (Galindo-Legaria and
//! Rosenthal, 1997). The conditions of inner joins next to each other are looked at together, so that `a = b AND b = 5`
//! gives `a = 5` too.

use super::super::algebra::{Binary, Expr, Join, JoinKind, JoinMethod, Node, SetOperator, Subquery};
use super::conjuncts::{all, comparison, consistent, divide, equal_columns, filtered, is_known, parts, split};
use super::fallible::can_fail;

/// Pushes conditions, which come in order, down into a plan.
pub(super) fn push(node: Node, conditions: Vec<Expr>) -> Node {
    let width = node.width();
    let Some(conditions) = consistent(conditions) else { return Node::Nothing { width } };
    match node {
        Node::Filter { input, predicate } => {
            let mut inner = parts(Some(predicate));
            inner.extend(conditions);
            push(*input, inner)
        }
        Node::Join(join) => self::join(*join, conditions),
        Node::Scan(mut scan) => {
            let mut filter = parts(scan.filter.take());
            filter.extend(conditions);
            let Some(filter) = consistent(filter) else { return Node::Nothing { width } };
            scan.filter = all(filter);
            Node::Scan(scan)
        }
        Node::Project { input, exprs } => {
            let (below, above) = divide(conditions, |condition| substituted(condition, &exprs));
            match push(*input, below) {
                Node::Nothing { .. } => Node::Nothing { width },
                input => filtered(Node::Project { input: Box::new(input), exprs }, above),
            }
        }
        Node::Aggregate(mut aggregate) => {
            // Groups are of values that are equal, not of the same ones.
            let (below, above) = divide(conditions, |condition| {
                let mut of_groups = !aggregate.groups.is_empty() && !can_fail(condition) && is_of_equals(condition);
                condition.for_each_column(&mut |column| of_groups &= column < aggregate.groups.len());
                if of_groups { substituted(condition, &aggregate.groups) } else { None }
            });
            let grouped = !aggregate.groups.is_empty();
            aggregate.input = push(aggregate.input, below);
            if grouped && is_nothing(&aggregate.input) {
                return Node::Nothing { width };
            }
            filtered(Node::Aggregate(aggregate), above)
        }
        Node::Sort { input, keys, first: None } => match push(*input, conditions) {
            Node::Nothing { .. } => Node::Nothing { width },
            input => Node::Sort { input: Box::new(input), keys, first: None },
        },
        Node::Distinct { input } => {
            let (below, above) = divide(conditions, of_equals);
            match push(*input, below) {
                Node::Nothing { .. } => Node::Nothing { width },
                input => filtered(Node::Distinct { input: Box::new(input) }, above),
            }
        }
        Node::Set { operator, all, left, right } => {
            let (below, above) = divide(conditions, of_equals);
            let also_right = if operator == SetOperator::Union { below.clone() } else { Vec::new() };
            let (left, right) = (push(*left, below), push(*right, also_right));
            let set = match (operator, all, is_nothing(&left), is_nothing(&right)) {
                (SetOperator::Union, true, true, _) => right,
                (SetOperator::Union | SetOperator::Except, true, _, true) => left,
                (SetOperator::Intersect | SetOperator::Except, _, true, _)
                | (SetOperator::Intersect, _, _, true)
                | (SetOperator::Union, _, true, true) => return Node::Nothing { width },
                _ => Node::Set { operator, all, left: Box::new(left), right: Box::new(right) },
            };
            filtered(set, above)
        }
        Node::With { id, common, recursive, body } => {
            let common = Box::new(push(*common, Vec::new()));
            let recursive = recursive.map(|mut recursive| {
                recursive.step = push(recursive.step, Vec::new());
                recursive
            });
            Node::With { id, common, recursive, body: Box::new(push(*body, conditions)) }
        }
        mut other => {
            other.for_each_input_mut(&mut |input, _| {
                let inner = std::mem::replace(input, Node::Nothing { width: 0 });
                *input = push(inner, Vec::new());
            });
            filtered(other, conditions)
        }
    }
}

fn is_nothing(node: &Node) -> bool {
    matches!(node, Node::Nothing { .. })
}

/// A condition that cannot fail and tells no values apart that are equal.
fn of_equals(condition: &Expr) -> Option<Expr> {
    (!can_fail(condition) && is_of_equals(condition)).then(|| condition.clone())
}

/// Whether a condition tells no values apart that are equal: 0 and -0 are, but not as texts.
fn is_of_equals(condition: &Expr) -> bool {
    use Binary::{Add, Concat, Divide, Multiply, Power, Remainder, Subtract};
    let mut found = !matches!(
        condition,
        Expr::Cast(..)
            | Expr::Call(..)
            | Expr::Subquery(_)
            | Expr::Binary(Add | Subtract | Multiply | Divide | Remainder | Power | Concat, ..)
    );
    condition.for_each_operand(&mut |operand| found = found && is_of_equals(operand));
    found
}

/// A condition over projected rows as one over the rows that are projected, if it computes nothing twice that may fail.
pub(super) fn substituted(condition: &Expr, exprs: &[Expr]) -> Option<Expr> {
    let mut possible = true;
    condition.walk(0, &mut |depth, expr| match expr {
        Expr::Column(column) if depth == 0 => {
            possible &= is_known(&exprs[*column]) || !can_fail(&exprs[*column]);
        }
        Expr::Outer { level, column } if depth > 0 && *level == depth => {
            possible &= matches!(exprs[*column], Expr::Column(_));
        }
        _ => {}
    });
    possible.then(|| {
        let mut condition = condition.clone();
        substitute(&mut condition, exprs);
        condition
    })
}

/// Puts expressions in the place of columns; where queries in it read a column, it must be one again.
pub(super) fn substitute(expr: &mut Expr, exprs: &[Expr]) {
    if let Expr::Column(column) = expr {
        *expr = exprs[*column].clone();
        return;
    }
    expr.for_each_operand_mut(&mut |operand| substitute(operand, exprs));
    if let Expr::Subquery(subquery) = expr {
        subquery.plan.map_outer_columns(&mut |column| match exprs[column] {
            Expr::Column(column) => column,
            ref other => unreachable!("a query in the condition reads {other:?}"),
        });
        let plan = std::mem::replace(&mut subquery.plan, Node::Nothing { width: 0 });
        let kind = subquery.kind.clone();
        **subquery = Subquery::new(kind, plan);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
    Both,
}

/// Which side of a join a condition is about; one that is about neither is as well about the left.
fn side(condition: &Expr, left_width: usize) -> Side {
    let (mut left, mut right) = (false, false);
    condition.for_each_column(&mut |column| {
        left |= column < left_width;
        right |= column >= left_width;
    });
    match (left, right) {
        (_, false) => Side::Left,
        (false, true) => Side::Right,
        (true, true) => Side::Both,
    }
}

/// A condition about the right side alone as one over its rows.
fn of_right(mut condition: Expr, left_width: usize, lateral: bool) -> Expr {
    condition.map_columns(&mut |column| column - left_width);
    if lateral {
        condition.shift_outer(1);
    }
    condition
}

fn join(mut join: Join, mut conditions: Vec<Expr>) -> Node {
    let left_width = join.left.width();
    let lateral = join.method == JoinMethod::Lateral;
    join.kind = strengthened(join.kind, &conditions, left_width);
    let width = Node::width_of_join(join.kind, left_width, join.right.width());
    let mut on = Vec::new();
    if join.kind == JoinKind::Inner {
        lift(&mut join, 0, &mut on);
        on.append(&mut conditions);
        conditions = on;
        on = parts(join.on.take());
        transitive(&mut conditions);
        let Some(consistent) = consistent(conditions) else { return Node::Nothing { width } };
        conditions = consistent;
    } else if let Some(condition) = join.on.take() {
        split(condition, &mut on);
    }
    let (mut left, mut right, mut above, mut pairs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (to_left, to_right) = match join.kind {
        JoinKind::Inner => (true, true),
        JoinKind::Left | JoinKind::Semi | JoinKind::Anti => (true, false),
        JoinKind::Right => (false, true),
        JoinKind::Full => (false, false),
    };
    // What follows the join's own conditions may join them, which is for the same pairs.
    let mut last = Vec::new();
    for condition in conditions {
        match side(&condition, left_width) {
            Side::Both if join.kind == JoinKind::Inner && !lateral && above.is_empty() && can_fail(&condition) => {
                last.push(condition);
            }
            _ if can_fail(&condition) => above.push(condition),
            Side::Left if to_left => left.push(condition),
            Side::Right if to_right => right.push(of_right(condition, left_width, lateral)),
            Side::Both if join.kind == JoinKind::Inner => pairs.push(condition),
            _ => above.push(condition),
        }
    }
    // What the condition of the join says of a side of which no row is kept for itself decides whether its rows are there.
    let (from_left, from_right) = match join.kind {
        JoinKind::Inner => (false, false),
        JoinKind::Left | JoinKind::Anti => (false, true),
        JoinKind::Semi => (true, true),
        JoinKind::Right => (true, false),
        JoinKind::Full => (false, false),
    };
    if from_right {
        for condition in implied(&left, &on, 0, left_width) {
            right.push(of_right(condition, left_width, lateral));
        }
    } else if from_left {
        left.extend(implied(&right, &on, left_width, left_width));
    }
    let mut fallible = Vec::new();
    for condition in on {
        match side(&condition, left_width) {
            _ if can_fail(&condition) => fallible.push(condition),
            Side::Left if from_left => left.push(condition),
            Side::Right if from_right => right.push(of_right(condition, left_width, lateral)),
            _ => pairs.push(condition),
        }
    }
    pairs.append(&mut fallible);
    pairs.append(&mut last);
    join.left = push(join.left, left);
    join.right = push(join.right, right);
    let Some(on) = consistent(pairs) else { return without_pairs(join, above) };
    join.on = all(on);
    match (join.kind, is_nothing(&join.left), is_nothing(&join.right)) {
        (JoinKind::Inner | JoinKind::Semi | JoinKind::Right, _, true) => Node::Nothing { width },
        (JoinKind::Inner | JoinKind::Semi | JoinKind::Left | JoinKind::Anti, true, _) => Node::Nothing { width },
        (JoinKind::Anti, _, true) => filtered(join.left, above),
        _ => filtered(Node::Join(Box::new(join)), above),
    }
}

/// A join whose condition is never true.
fn without_pairs(mut join: Join, above: Vec<Expr>) -> Node {
    let width = Node::width_of_join(join.kind, join.left.width(), join.right.width());
    match join.kind {
        JoinKind::Inner | JoinKind::Semi => Node::Nothing { width },
        JoinKind::Anti => filtered(join.left, above),
        JoinKind::Left | JoinKind::Right | JoinKind::Full => {
            join.on = Some(Expr::Constant(super::super::types::Value::Boolean(false)));
            filtered(Node::Join(Box::new(join)), above)
        }
    }
}

/// Takes the conditions that cannot fail out of inner joins next to each other. `offset` is that of the join's columns.
fn lift(join: &mut Join, offset: usize, out: &mut Vec<Expr>) {
    let left_width = join.left.width();
    for (side, offset) in [(&mut join.left, offset), (&mut join.right, offset + left_width)] {
        if let Node::Join(inner) = side
            && inner.kind == JoinKind::Inner
            && inner.method != JoinMethod::Lateral
            && join.method != JoinMethod::Lateral
        {
            lift(inner, offset, out);
        }
    }
    let (fallible, lifted): (Vec<Expr>, Vec<Expr>) = parts(join.on.take()).into_iter().partition(can_fail);
    join.on = all(fallible);
    out.extend(lifted.into_iter().map(|mut condition| {
        condition.map_columns(&mut |column| column + offset);
        condition
    }));
}

/// Adds for each column that equals another one with a known value that it has this value. Where both are known, it need
/// not be said that they are equal. (Numbers compare exactly, whatever their types, so this holds for all.)
fn transitive(conditions: &mut Vec<Expr>) {
    let pairs: Vec<(usize, usize)> = conditions.iter().filter_map(equal_columns).collect();
    let mut changed = !pairs.is_empty();
    while changed {
        changed = false;
        for &(a, b) in &pairs {
            for (from, to) in [(a, b), (b, a)] {
                for condition in known_values(conditions, from, to) {
                    if !conditions.contains(&condition) {
                        conditions.push(condition);
                        changed = true;
                    }
                }
            }
        }
    }
    let values = |column: usize| known_values(conditions, column, column);
    let settled: Vec<(usize, usize)> =
        pairs.into_iter().filter(|&(a, b)| a != b && values(a).iter().any(|_| !values(b).is_empty())).collect();
    conditions.retain(|condition| equal_columns(condition).is_none_or(|pair| !settled.contains(&pair)));
}

/// The conditions that a column equals something known, said of another column.
fn known_values(conditions: &[Expr], column: usize, of: usize) -> Vec<Expr> {
    let known = conditions.iter().filter_map(|condition| match comparison(condition) {
        Some((Binary::Equal, found, value)) if found == column && is_known(value) => {
            Some(Expr::Binary(Binary::Equal, Box::new(Expr::Column(of)), Box::new(value.clone())))
        }
        _ => None,
    });
    known.collect()
}

/// What conditions on one side of a join, whose columns come after `offset` others, say of columns of the other side that
/// must be equal.
fn implied(conditions: &[Expr], on: &[Expr], offset: usize, left_width: usize) -> Vec<Expr> {
    let mut found = Vec::new();
    for (a, b) in on.iter().filter_map(equal_columns) {
        for (from, to) in [(a, b), (b, a)] {
            let crosses = (from < left_width) == (offset == 0) && (to < left_width) != (from < left_width);
            if crosses {
                found.extend(known_values(conditions, from - offset, to));
            }
        }
    }
    found
}

/// An outer join without the rows that conditions refuse anyway.
fn strengthened(kind: JoinKind, conditions: &[Expr], left_width: usize) -> JoinKind {
    let refuses =
        |is_missing: &dyn Fn(usize) -> bool| conditions.iter().any(|condition| refuses(condition, is_missing));
    let lone_left = || refuses(&|column| column >= left_width);
    let lone_right = || refuses(&|column| column < left_width);
    match kind {
        JoinKind::Left if lone_left() => JoinKind::Inner,
        JoinKind::Right if lone_right() => JoinKind::Inner,
        JoinKind::Full => match (lone_left(), lone_right()) {
            (true, true) => JoinKind::Inner,
            // Without lone left rows, the right side is the one that is kept.
            (true, false) => JoinKind::Right,
            (false, true) => JoinKind::Left,
            (false, false) => JoinKind::Full,
        },
        kind => kind,
    }
}

/// Whether a condition is not true wherever these columns are NULL.
fn refuses(condition: &Expr, is_missing: &dyn Fn(usize) -> bool) -> bool {
    let null = |expr: &Expr| is_null(expr, is_missing);
    match condition {
        Expr::Binary(Binary::And, a, b) => refuses(a, is_missing) || refuses(b, is_missing),
        Expr::Binary(Binary::Or, a, b) => refuses(a, is_missing) && refuses(b, is_missing),
        Expr::Is { expr, what, negated } => {
            use super::super::algebra::Is;
            match what {
                Is::Null | Is::Unknown => *negated && null(expr),
                Is::True | Is::False => !*negated && null(expr),
                Is::Nan => null(expr),
            }
        }
        condition => null(condition),
    }
}

/// Whether an expression is NULL wherever these columns are.
fn is_null(expr: &Expr, is_missing: &dyn Fn(usize) -> bool) -> bool {
    let null = |expr: &Expr| is_null(expr, is_missing);
    match expr {
        Expr::Column(column) => is_missing(*column),
        Expr::Constant(super::super::types::Value::Null) => true,
        Expr::Unary(_, operand) | Expr::Cast(operand, _) => null(operand),
        Expr::Binary(Binary::And | Binary::Or, a, b) => null(a) && null(b),
        Expr::Binary(Binary::Same | Binary::NotSame, ..) => false,
        Expr::Binary(_, a, b) => null(a) || null(b),
        Expr::In { expr, list, .. } => !list.is_empty() && null(expr),
        Expr::Between { expr, .. } => null(expr),
        Expr::Like { expr, pattern, .. } => null(expr) || null(pattern),
        _ => false,
    }
}
