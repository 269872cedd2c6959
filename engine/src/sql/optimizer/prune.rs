//! Columns that nobody reads are not made, down to the scans; and projections that only rearrange columns are dropped, as
//! what is above can read them where they are.

use super::super::algebra::{Expr, JoinMethod, Node, SetOperator};

/// Where the columns of a plan have gone: for each the position that it has now, if it is still there.
type Places = Vec<Option<usize>>;

/// The plan with all its columns, each in its place, and nothing more in what it is made of than that takes.
pub(super) fn prune(node: Node) -> Node {
    let width = node.width();
    let wanted: Vec<usize> = (0..width).collect();
    let (node, places) = keep(node, &vec![true; width]);
    arranged(node, &places, &wanted)
}

/// A plan of which only the number of rows matters.
pub(super) fn prune_all(node: Node) -> Node {
    let width = node.width();
    keep(node, &vec![false; width]).0
}

/// These columns, and only these.
fn arranged(node: Node, places: &Places, wanted: &[usize]) -> Node {
    let columns: Vec<usize> = wanted.iter().map(|&column| place(places, column)).collect();
    if columns.len() == node.width() && columns.iter().enumerate().all(|(nth, &column)| nth == column) {
        return node;
    }
    Node::Project { input: Box::new(node), exprs: columns.into_iter().map(Expr::Column).collect() }
}

fn place(places: &Places, column: usize) -> usize {
    places[column].expect("a column that is read has been kept")
}

fn mark(expr: &Expr, needed: &mut [bool]) {
    expr.for_each_column(&mut |column| needed[column] = true);
}

fn moved(expr: &mut Expr, places: &Places) {
    expr.map_columns(&mut |column| place(places, column));
}

fn identity(width: usize) -> Places {
    (0..width).map(Some).collect()
}

/// The places of the columns that are kept, if the others go.
fn without_gaps(kept: &[bool]) -> Places {
    let mut next = 0..;
    kept.iter().map(|&kept| if kept { next.next() } else { None }).collect()
}

/// Keeps the columns that are needed, and maybe others.
fn keep(node: Node, needed: &[bool]) -> (Node, Places) {
    let width = node.width();
    match node {
        Node::Scan(mut scan) => {
            let mut needed = needed.to_vec();
            scan.filter.iter().for_each(|filter| mark(filter, &mut needed));
            let places = without_gaps(&needed);
            let mut column = 0..;
            scan.columns.retain(|_| column.next().is_some_and(|column| needed[column]));
            scan.filter.iter_mut().for_each(|filter| moved(filter, &places));
            (Node::Scan(scan), places)
        }
        Node::Filter { input, mut predicate } => {
            let mut needed = needed.to_vec();
            mark(&predicate, &mut needed);
            let (input, places) = keep(*input, &needed);
            moved(&mut predicate, &places);
            (Node::Filter { input: Box::new(input), predicate }, places)
        }
        Node::Project { input, exprs } => {
            let mut below = vec![false; input.width()];
            for (expr, _) in exprs.iter().zip(needed).filter(|(_, needed)| **needed) {
                mark(expr, &mut below);
            }
            let (input, places) = keep(*input, &below);
            let plain = exprs.iter().zip(needed).all(|(expr, needed)| !needed || matches!(expr, Expr::Column(_)));
            if plain {
                let found = exprs.iter().zip(needed).map(|(expr, needed)| match expr {
                    Expr::Column(column) if *needed => places[*column],
                    _ => None,
                });
                return (input, found.collect());
            }
            let mut exprs: Vec<(Expr, bool)> = exprs.into_iter().zip(needed.iter().copied()).collect();
            exprs.retain(|(_, needed)| *needed);
            for (expr, _) in &mut exprs {
                moved(expr, &places);
            }
            let exprs = exprs.into_iter().map(|(expr, _)| expr).collect();
            (Node::Project { input: Box::new(input), exprs }, without_gaps(needed))
        }
        Node::Join(mut join) => {
            let left_width = join.left.width();
            let mut both = vec![false; left_width + join.right.width()];
            both[..width].copy_from_slice(needed);
            join.on.iter().for_each(|on| mark(on, &mut both));
            let (left, right) = both.split_at_mut(left_width);
            if let JoinMethod::Hash { keys, .. } | JoinMethod::Merge { keys, .. } = &join.method {
                for (a, b) in keys {
                    mark(a, left);
                    mark(b, right);
                }
            }
            let lateral = join.method == JoinMethod::Lateral;
            if lateral {
                join.right.for_each_outer_column(&mut |column| left[column] = true);
            }
            if let JoinMethod::Hash { residual: Some(residual), .. }
            | JoinMethod::Merge { residual: Some(residual), .. } = &join.method
            {
                mark(residual, &mut both);
            }
            let (left, right) = both.split_at(left_width);
            let (inner, left_places) = keep(join.left, left);
            join.left = inner;
            if lateral {
                join.right.map_outer_columns(&mut |column| place(&left_places, column));
            }
            let (inner, right_places) = keep(join.right, right);
            join.right = inner;
            let offset = join.left.width();
            let right_moved = right_places.iter().map(|place| place.map(|place| place + offset));
            let places: Places = left_places.iter().copied().chain(right_moved).collect();
            join.on.iter_mut().for_each(|on| moved(on, &places));
            if let JoinMethod::Hash { keys, residual } | JoinMethod::Merge { keys, residual } = &mut join.method {
                for (a, b) in keys {
                    moved(a, &left_places);
                    moved(b, &right_places);
                }
                if let Some(residual) = residual {
                    moved(residual, &places);
                }
            }
            (Node::Join(join), places[..width].to_vec())
        }
        Node::Aggregate(mut aggregate) => {
            let groups = aggregate.groups.len();
            let mut kept = needed.to_vec();
            kept[..groups].fill(true);
            let mut call = groups..;
            aggregate.calls.retain(|_| call.next().is_some_and(|call| kept[call]));
            let mut below = vec![false; aggregate.input.width()];
            for expr in &aggregate.groups {
                mark(expr, &mut below);
            }
            for call in &aggregate.calls {
                call.args.iter().chain(&call.filter).for_each(|expr| mark(expr, &mut below));
            }
            let (input, places) = keep(aggregate.input, &below);
            aggregate.input = input;
            aggregate.groups.iter_mut().for_each(|expr| moved(expr, &places));
            for call in &mut aggregate.calls {
                call.args.iter_mut().chain(&mut call.filter).for_each(|expr| moved(expr, &places));
            }
            (Node::Aggregate(aggregate), without_gaps(&kept))
        }
        Node::Sort { input, mut keys, first } => {
            let mut needed = needed.to_vec();
            for key in &keys {
                mark(&key.expr, &mut needed);
            }
            let (input, places) = keep(*input, &needed);
            for key in &mut keys {
                moved(&mut key.expr, &places);
            }
            (Node::Sort { input: Box::new(input), keys, first }, places)
        }
        Node::Limit { input, offset, limit } => {
            let (input, places) = keep(*input, needed);
            (Node::Limit { input: Box::new(input), offset, limit }, places)
        }
        Node::Values { rows, .. } => {
            let kept =
                |row: Vec<Expr>| row.into_iter().zip(needed).filter(|(_, needed)| **needed).map(|(expr, _)| expr);
            let rows = rows.into_iter().map(|row| kept(row).collect()).collect();
            let places = without_gaps(needed);
            (Node::Values { rows, width: places.iter().flatten().count() }, places)
        }
        Node::Set { operator: SetOperator::Union, all: true, left, right } => {
            let wanted: Vec<usize> = (0..width).filter(|&column| needed[column]).collect();
            let side = |side: Node| {
                let (side, places) = keep(side, needed);
                Box::new(arranged(side, &places, &wanted))
            };
            let (left, right) = (side(*left), side(*right));
            (Node::Set { operator: SetOperator::Union, all: true, left, right }, without_gaps(needed))
        }
        // Which rows are the same depends on all columns.
        Node::Distinct { input } => (Node::Distinct { input: Box::new(prune(*input)) }, identity(width)),
        Node::Set { operator, all, left, right } => {
            let (left, right) = (Box::new(prune(*left)), Box::new(prune(*right)));
            (Node::Set { operator, all, left, right }, identity(width))
        }
        Node::With { id, common, recursive, body } => {
            let common = Box::new(prune(*common));
            let recursive = recursive.map(|mut recursive| {
                recursive.step = prune(recursive.step);
                recursive
            });
            let (body, places) = keep(*body, needed);
            (Node::With { id, common, recursive, body: Box::new(body) }, places)
        }
        node @ (Node::Nothing { .. } | Node::Rows { .. } | Node::Common { .. }) => (node, identity(width)),
    }
}
