//! Orders that rows come in by themselves, so that they need not be sorted.

use super::super::algebra::{
    Access, Aggregate, AggregateMethod, Expr, Is, Join, JoinKind, JoinMethod, KeyRange, Node, Scan, SortKey,
};
use super::super::functions::AggregateFunction;
use super::super::types::Value;
use super::access::is_covered;
use super::estimate::{sort_cost, way_cost};
use super::facts::Facts;

/// An order of rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    /// Columns that have one value.
    constant: Vec<usize>,
    /// By these columns, each after those before.
    keys: Vec<Key>,
    /// No two rows have the same values in these columns.
    total: bool,
}

#[derive(Clone, Copy, Debug)]
struct Key {
    column: usize,
    descending: bool,
    /// Whether NULLs are among the values, and then come after them, or before where it descends.
    nullable: bool,
}

impl Order {
    /// Whether rows in this order are in that of some keys.
    pub fn is_by(&self, keys: &[SortKey]) -> bool {
        let mut own = self.keys.iter();
        for SortKey { expr, descending, nulls_first } in keys {
            let Expr::Column(column) = expr else { return false };
            if self.constant.contains(column) {
                continue;
            }
            match own.next() {
                None => return self.total,
                Some(key) => {
                    let nulls = !key.nullable || nulls_first == descending;
                    if key.column != *column || key.descending != *descending || !nulls {
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Whether rows with the same values in some columns come one after the other.
    fn groups(&self, groups: &[Expr]) -> bool {
        let mut wanted = Vec::new();
        for group in groups {
            match group {
                Expr::Column(column) if self.constant.contains(column) || wanted.contains(column) => {}
                Expr::Column(column) => wanted.push(*column),
                _ => return false,
            }
        }
        self.keys.len() >= wanted.len() && self.keys[..wanted.len()].iter().all(|key| wanted.contains(&key.column))
            || self.total && self.keys.iter().all(|key| wanted.contains(&key.column))
    }

    /// Leaves out columns that are there already: they tell no rows apart.
    fn name_once(&mut self) {
        let mut seen = self.constant.clone();
        self.keys.retain(|key| {
            let new = !seen.contains(&key.column);
            seen.push(key.column);
            new
        });
    }

    /// The same order of rows of other columns.
    fn moved(self, place: impl Fn(usize) -> Option<usize>) -> Self {
        let all = self.keys.len();
        let keys: Vec<Key> =
            self.keys.into_iter().map_while(|key| Some(Key { column: place(key.column)?, ..key })).collect();
        let total = self.total && keys.len() == all;
        Self { constant: self.constant.into_iter().filter_map(place).collect(), keys, total }
    }
}

/// The order that the rows of a plan come in.
pub(super) fn order(node: &Node) -> Order {
    match node {
        Node::Scan(scan) => order_of_scan(scan),
        Node::Filter { input, .. } | Node::Limit { input, .. } => order(input),
        Node::Project { input, exprs } => {
            order(input).moved(|column| exprs.iter().position(|expr| *expr == Expr::Column(column)))
        }
        Node::Sort { keys, .. } => {
            let key = |SortKey { expr, descending, nulls_first }: &SortKey| match expr {
                Expr::Column(column) if nulls_first == descending => {
                    Some(Key { column: *column, descending: *descending, nullable: true })
                }
                _ => None,
            };
            let mut order = Order { keys: keys.iter().map_while(key).collect(), ..Order::default() };
            order.name_once();
            order
        }
        Node::Join(join) if keeps_left_order(join) => Order { total: false, ..order(&join.left) },
        Node::Aggregate(aggregate) if aggregate.method == AggregateMethod::Sorted => {
            let position = |column: usize| aggregate.groups.iter().position(|group| *group == Expr::Column(column));
            let mut order = order(&aggregate.input).moved(position);
            // Each group comes once.
            order.total = order.keys.len() + order.constant.len() >= aggregate.groups.len();
            order
        }
        Node::With { body, .. } => order(body),
        _ => Order::default(),
    }
}

/// Whether the rows of a join come in the order of the left ones. (Those of a hash join may go through partitions.)
fn keeps_left_order(join: &Join) -> bool {
    matches!(join.method, JoinMethod::NestedLoop | JoinMethod::Lateral | JoinMethod::Merge { .. })
        && matches!(join.kind, JoinKind::Inner | JoinKind::Left | JoinKind::Semi | JoinKind::Anti)
}

fn order_of_scan(scan: &Scan) -> Order {
    let table = &scan.table;
    let by: Vec<(usize, bool)> = match scan.access.index {
        None => table.primary_key.iter().map(|&column| (column, false)).collect(),
        Some(index) => table.indexes[index].columns.iter().map(|by| (by.column, by.descending)).collect(),
    };
    let fixed = match scan.access.ranges.as_slice() {
        [range] => range.prefix.len(),
        _ => 0,
    };
    let place = |column: usize| scan.columns.iter().position(|&wanted| wanted == column);
    let constant = by[..fixed].iter().filter_map(|&(column, _)| place(column)).collect();
    let nullable = |column: usize| table.columns[column].nullable;
    let mut keys = Vec::new();
    let unique = scan.access.index.is_none_or(|index| table.indexes[index].unique);
    let mut total = unique && by[fixed..].iter().all(|&(column, _)| !nullable(column));
    // Entries with the same values are in the order of the rows' keys.
    let rest = if total || table.primary_key.is_empty() { &[][..] } else { &table.primary_key[..] };
    total |= !rest.is_empty() && !by.is_empty();
    for (column, descending) in by[fixed..].iter().copied().chain(rest.iter().map(|&column| (column, false))) {
        let Some(position) = place(column) else {
            total = false;
            break;
        };
        keys.push(Key { column: position, descending: descending != scan.reverse, nullable: nullable(column) });
    }
    // What a filter has left no NULLs of.
    for key in &mut keys {
        if let Some(filter) = &scan.filter {
            let known = Expr::Is { expr: Box::new(Expr::Column(key.column)), what: Is::Null, negated: true };
            key.nullable &= !super::conjuncts::parts(Some(filter.clone())).contains(&known);
        }
    }
    let total = total && (scan.access.index.is_some() || !table.primary_key.is_empty());
    let mut order = Order { constant, keys, total };
    order.name_once();
    order
}

impl Facts<'_> {
    /// A plan whose rows come in an order: the plan with another way of a scan, or with a sort on top. `first` is how many of
    /// them will be asked for, as far as that is known.
    pub fn sorted(&self, input: Node, keys: Vec<SortKey>, first: Option<f64>) -> Node {
        if order(&input).is_by(&keys) {
            return input;
        }
        let plain = self.estimate(&input);
        let kept = first.unwrap_or(plain.rows).min(plain.rows);
        let most = plain.cost + sort_cost(plain.rows, kept);
        let part = if plain.rows > 0.0 { (kept / plain.rows).min(1.0) } else { 1.0 };
        let mut other = input.clone();
        if self.arrange(&mut other, &keys) && order(&other).is_by(&keys) && self.estimate(&other).cost * part <= most {
            return other;
        }
        Node::Sort { input: Box::new(input), keys, first: None }
    }

    /// Makes the rows of a plan come in an order by another way of a scan, if one can. The plan is worth nothing if not.
    fn arrange(&self, node: &mut Node, keys: &[SortKey]) -> bool {
        match node {
            Node::Scan(scan) => self.arrange_scan(scan, keys),
            Node::Filter { input, .. } => self.arrange(input, keys),
            Node::Project { input, exprs } => {
                let keys: Option<Vec<SortKey>> = keys.iter().map(|key| below(key, exprs)).collect();
                keys.is_some_and(|keys| self.arrange(input, &keys))
            }
            // Both sides of a merge join have an order that it needs.
            Node::Join(join) if keeps_left_order(join) && !matches!(join.method, JoinMethod::Merge { .. }) => {
                let left_width = join.left.width();
                let of_left = |key: &SortKey| matches!(key.expr, Expr::Column(column) if column < left_width);
                keys.iter().all(of_left) && self.arrange(&mut join.left, keys)
            }
            _ => false,
        }
    }

    fn arrange_scan(&self, scan: &mut Scan, keys: &[SortKey]) -> bool {
        let turned = Scan { reverse: !scan.reverse, ..scan.clone() };
        if order_of_scan(&turned).is_by(keys) {
            *scan = turned;
            return true;
        }
        if scan.access != Access::all() {
            return false;
        }
        let mut best: Option<(f64, Scan)> = None;
        for index in 0..scan.table.indexes.len() {
            let only = is_covered(scan, index);
            let access = Access { index: Some(index), ranges: vec![KeyRange::all()], only };
            for reverse in [false, true] {
                let other = Scan { access: access.clone(), reverse, ..scan.clone() };
                let cost = way_cost(&other, self.rows(&other.table));
                if order_of_scan(&other).is_by(keys) && best.as_ref().is_none_or(|(least, _)| cost < *least) {
                    best = Some((cost, other));
                }
            }
        }
        let Some((_, found)) = best else { return false };
        *scan = found;
        true
    }

    /// Groups rows in the best way: MIN and MAX by one end of an order, and groups that come one after the other as they
    /// come.
    pub fn aggregated(&self, mut aggregate: Aggregate) -> Node {
        if aggregate.groups.is_empty() {
            return match self.ends(&aggregate) {
                Some(node) => node,
                None => Node::Aggregate(Box::new(aggregate)),
            };
        }
        if order(&aggregate.input).groups(&aggregate.groups) {
            aggregate.method = AggregateMethod::Sorted;
        }
        Node::Aggregate(Box::new(aggregate))
    }

    /// MIN and MAX of columns of a table, each as the first of its rows in an order.
    fn ends(&self, aggregate: &Aggregate) -> Option<Node> {
        let Node::Scan(scan) = &aggregate.input else { return None };
        if aggregate.calls.is_empty() || aggregate.calls.len() > 4 {
            return None;
        }
        let mut joined: Option<Node> = None;
        let mut cost = 0.0;
        for call in &aggregate.calls {
            let descending = match call.function {
                AggregateFunction::Min => false,
                AggregateFunction::Max => true,
                _ => return None,
            };
            let ([Expr::Column(column)], None) = (call.args.as_slice(), &call.filter) else { return None };
            let mut scan = scan.clone();
            let known = Expr::Is { expr: Box::new(Expr::Column(*column)), what: Is::Null, negated: true };
            if scan.table.columns.get(scan.columns[*column])?.nullable {
                let filter = scan.filter.take();
                scan.filter = super::conjuncts::all(filter.into_iter().chain([known]).collect());
            }
            let keys = [SortKey { expr: Expr::Column(*column), descending, nulls_first: descending }];
            if !order_of_scan(&scan).is_by(&keys) && !self.arrange_scan(&mut scan, &keys) {
                return None;
            }
            let estimate = self.estimate(&Node::Scan(scan.clone()));
            cost += estimate.cost / estimate.rows.max(1.0);
            let limit = Some(Expr::Constant(Value::Integer(1)));
            let input = Node::Limit { input: Box::new(Node::Scan(scan)), offset: None, limit };
            let one = Aggregate { input, calls: vec![call.clone()], ..aggregate.clone() };
            let one = Node::Aggregate(Box::new(one));
            joined = Some(match joined {
                None => one,
                Some(left) => {
                    let (kind, method) = (JoinKind::Inner, JoinMethod::NestedLoop);
                    Node::Join(Box::new(Join { left, right: one, kind, on: None, method }))
                }
            });
        }
        let all = self.estimate(&aggregate.input).cost;
        joined.filter(|_| cost <= all)
    }
}

/// A key over projected rows as one over those that are projected, if it is a column of both.
fn below(key: &SortKey, exprs: &[Expr]) -> Option<SortKey> {
    match &key.expr {
        Expr::Column(column) => match &exprs[*column] {
            expr @ Expr::Column(_) => Some(SortKey { expr: expr.clone(), ..key.clone() }),
            _ => None,
        },
        _ => None,
    }
}
