//! The order of joins, and how each is done.
//!
//! Inner joins next to each other, with the semijoins and antijoins on top of them, are a set of relations and conditions
//! between them. Up to [`EXHAUSTIVE`] relations, the best tree over each subset is found from those over its parts
//! (dynamic programming, Selinger and others, 1979; with both sides composite, after Moerkotte and Neumann, 2006); beyond,
//! the two parts are joined whose join costs least, again and again. A semijoin can be done as soon as the relations are
//! together that its condition is about. Of joins that cost the same, the first one that was found is taken.

use std::collections::BTreeMap;

use super::super::algebra::{Binary, Expr, Join, JoinKind, JoinMethod, Node, Scan, SortKey};
use super::conjuncts::{all, filtered, parts};
use super::estimate::{Estimate, share_with_partner, weight};
use super::facts::{ColumnFacts, Facts, origin};
use super::fallible::can_fail;
use super::graph::{Condition, Graph, Method, Part, Relation};
use super::order::order;

/// The most relations of which all orders are tried.
const EXHAUSTIVE: usize = 8;
/// The most relations that are looked at together.
const MOST: usize = 40;

impl Facts<'_> {
    /// Plans a join and what is joined.
    pub fn join(&self, join: Join) -> Node {
        let count = count(&join);
        if count > MOST {
            return self.far(join);
        }
        if !is_free(&join) {
            return self.pair(join);
        }
        let width = Node::width_of_join(join.kind, join.left.width(), join.right.width());
        let mut graph = Graph::default();
        let columns = self.flatten(Node::Join(Box::new(join)), &mut graph);
        let best = self.best(&graph);
        let whole = (1u64 << graph.relations.len()) - 1;
        let last = std::mem::take(&mut graph.last);
        let (node, layout) = self.build(&mut graph, &best, whole);
        let place = |column: usize| layout.iter().position(|&other| other == column).expect("it is in the result");
        let exprs: Vec<Expr> = columns.iter().map(|&column| Expr::Column(place(column))).collect();
        assert_eq!(exprs.len(), width, "no column of a join is lost");
        let last = last.into_iter().map(|mut condition| {
            condition.map_columns(&mut |column| place(column));
            condition
        });
        let node = filtered(node, last.collect());
        if exprs.len() == node.width() && exprs.iter().enumerate().all(|(nth, expr)| *expr == Expr::Column(nth)) {
            return node;
        }
        Node::Project { input: Box::new(node), exprs }
    }

    /// Takes a tree of joins apart. Gives the columns of its rows.
    fn flatten(&self, node: Node, graph: &mut Graph) -> Vec<usize> {
        let mut join = match node {
            Node::Join(join) if is_free(&join) => *join,
            node => return self.relation(node, JoinKind::Inner, graph),
        };
        let left = self.flatten(join.left, graph);
        let conditions = parts(join.on.take());
        if join.kind != JoinKind::Inner {
            let base = graph.owners.len();
            let right = self.relation(join.right, join.kind, graph);
            let both: Vec<usize> = left.iter().chain(&right).copied().collect();
            let on: Vec<Expr> = conditions.into_iter().map(|condition| of_all(condition, &both)).collect();
            let number = graph.relations.len() - 1;
            let mut needs = on.iter().fold(0, |needs, condition| needs | graph.relations_of(condition));
            needs &= !(1 << number);
            if needs == 0 {
                // It is about the rows of the left as a whole; any of its relations will do.
                needs = 1 << left.first().map_or(0, |&column| graph.owners[column]);
            }
            let origins = |column: usize| self.of_graph(graph, column);
            let pair = self.share_of_all(&on, &origins);
            let rows = graph.relations[number].estimate.rows;
            let mut share = share_with_partner(&on, rows, pair, base, &origins);
            if join.kind == JoinKind::Anti {
                share = (1.0 - share).max(0.1);
            }
            let relation = &mut graph.relations[number];
            (relation.on, relation.needs, relation.share) = (on, needs, share);
            return left;
        }
        let right = self.flatten(join.right, graph);
        let both: Vec<usize> = left.into_iter().chain(right).collect();
        for condition in conditions {
            let expr = of_all(condition, &both);
            let relations = graph.relations_of(&expr);
            if can_fail(&expr) || relations.count_ones() < 2 {
                graph.last.push(expr);
                continue;
            }
            let share = self.share_of_all(std::slice::from_ref(&expr), &|column| self.of_graph(graph, column));
            graph.conditions.push(Condition { expr, relations, share });
        }
        both
    }

    fn relation(&self, node: Node, kind: JoinKind, graph: &mut Graph) -> Vec<usize> {
        let base = graph.owners.len();
        let width = node.width();
        let number = graph.relations.len();
        graph.owners.extend(std::iter::repeat_n(number, width));
        let raw = if let Node::Scan(scan) = &node { Some((**scan).clone()) } else { None };
        let node = self.plan(node);
        let estimate = self.estimate(&node);
        let (on, needs, share) = (Vec::new(), 0, 1.0);
        graph.relations.push(Relation { raw, node, estimate, kind, base, on, needs, share });
        (base..base + width).collect()
    }

    fn of_graph(&self, graph: &Graph, column: usize) -> Option<ColumnFacts> {
        let relation = &graph.relations[graph.owners[column]];
        origin(&relation.node, column - relation.base).map(|(scan, column)| self.column(&scan.table, column))
    }

    /// The best trees over sets of relations, among them all that the best one over all consists of.
    fn best(&self, graph: &Graph) -> BTreeMap<u64, Part> {
        let mut best: BTreeMap<u64, Part> = BTreeMap::new();
        for (number, relation) in graph.relations.iter().enumerate().filter(|(_, relation)| relation.is_inner()) {
            let Estimate { rows, cost } = relation.estimate;
            best.insert(1 << number, Part { relations: 1 << number, rows, cost, join: None });
        }
        if graph.relations.len() > EXHAUSTIVE {
            self.greedy(graph, &mut best);
            return best;
        }
        for whole in 1..1u64 << graph.relations.len() {
            // The proper subsets from the least on, so that of equal plans the one that is most like the statement stays.
            let mut left = whole & whole.wrapping_neg();
            while left != whole {
                if let Some(part) = self.joined(graph, &best, left, whole & !left)
                    && best.get(&whole).is_none_or(|other| part.cost < other.cost)
                {
                    best.insert(whole, part);
                }
                left = left.wrapping_sub(whole) & whole;
            }
        }
        best
    }

    /// Joins the two parts whose join costs least, until there is one.
    fn greedy(&self, graph: &Graph, best: &mut BTreeMap<u64, Part>) {
        let mut parts: Vec<u64> = (0..graph.relations.len()).map(|number| 1 << number).collect();
        let mut pairs: BTreeMap<(u64, u64), Option<Part>> = BTreeMap::new();
        while parts.len() > 1 {
            let mut least: Option<Part> = None;
            for &left in &parts {
                for &right in parts.iter().filter(|&&right| right != left) {
                    let part = *pairs.entry((left, right)).or_insert_with(|| self.joined(graph, best, left, right));
                    if let Some(part) = part
                        && least.is_none_or(|other| part.cost < other.cost)
                    {
                        least = Some(part);
                    }
                }
            }
            let part = least.expect("any two parts can be joined, semijoins last");
            let Some((left, right, _)) = part.join else { unreachable!("it is a join") };
            parts.retain(|&part| part != left && part != right);
            parts.push(part.relations);
            best.insert(part.relations, part);
        }
    }

    /// The best join of two parts.
    fn joined(&self, graph: &Graph, best: &BTreeMap<u64, Part>, left: u64, right: u64) -> Option<Part> {
        let number = right.trailing_zeros() as usize;
        let single = right.is_power_of_two().then(|| &graph.relations[number]);
        let left = best.get(&left)?;
        let (right_cost, right_rows) = match single {
            Some(relation) if !relation.is_inner() => {
                if relation.needs & left.relations != relation.needs {
                    return None;
                }
                (relation.estimate.cost, relation.estimate.rows)
            }
            _ => {
                let right = best.get(&right)?;
                (right.cost, right.rows)
            }
        };
        let relations = left.relations | right;
        let rows = graph.rows(relations);
        let conditions = graph.between(left.relations, right);
        let plain = left.cost + right_cost;
        let mut choices = vec![(plain + left.rows * right_rows * weight::PAIR, Method::NestedLoop)];
        if conditions.iter().any(|condition| graph.keys(condition, left.relations, right).is_some()) {
            choices.push((plain + left.rows * weight::PROBE + right_rows * weight::BUILD, Method::Hash));
        }
        if let Some(relation) = single
            && let Some(scan) = self.lookup(relation, &conditions, &|column| column)
        {
            let found = self.estimate(&Node::Scan(Box::new(scan)));
            let part = if relation.is_inner() { 1.0 } else { 1.0 / found.rows.max(1.0) };
            choices.push((left.cost + left.rows * (weight::START + found.cost * part), Method::Lateral));
        }
        let (cost, method) = choices.into_iter().reduce(|a, b| if b.0 < a.0 { b } else { a })?;
        let join = Some((left.relations, right, method));
        Some(Part { relations, rows, cost: cost + rows * weight::COPY, join })
    }

    /// A scan that looks up the rows for which conditions hold with the left row at hand, if it can. `place` says where a
    /// column of the left side stands.
    fn lookup(&self, relation: &Relation, conditions: &[&Expr], place: &dyn Fn(usize) -> usize) -> Option<Scan> {
        let own = relation.base..relation.base + relation.node.width();
        let conditions = conditions.iter().map(|condition| {
            let mut condition = (*condition).clone();
            condition.shift_outer(1);
            outwards(&mut condition, &|column| {
                if own.contains(&column) { Err(column - own.start) } else { Ok(place(column)) }
            });
            condition
        });
        self.lookup_scan(relation.raw.as_ref()?, conditions.collect())
    }

    fn lookup_scan(&self, scan: &Scan, mut conditions: Vec<Expr>) -> Option<Scan> {
        let mut node = Node::Scan(Box::new(scan.clone()));
        node.shift_outer(1);
        let Node::Scan(mut scan) = node else { unreachable!("it is a scan") };
        let fallible = parts(scan.filter.take());
        let (fallible, mut filter): (Vec<Expr>, Vec<Expr>) = fallible.into_iter().partition(can_fail);
        filter.append(&mut conditions);
        filter.extend(fallible);
        scan.filter = all(filter);
        self.choose(&mut scan);
        let mut found = false;
        for range in &scan.access.ranges {
            let ends = [&range.low, &range.high].into_iter().filter_map(|bound| match bound {
                std::ops::Bound::Included(value) | std::ops::Bound::Excluded(value) => Some(value),
                std::ops::Bound::Unbounded => None,
            });
            for value in range.prefix.iter().chain(ends) {
                value.walk(0, &mut |_, expr| found |= matches!(expr, Expr::Outer { level: 1, .. }));
            }
        }
        found.then_some(*scan)
    }

    /// The tree over some relations, with the columns of its rows.
    fn build(&self, graph: &mut Graph, best: &BTreeMap<u64, Part>, whole: u64) -> (Node, Vec<usize>) {
        let part = best.get(&whole).expect("it has been looked at");
        let Some((left, right, method)) = part.join else {
            let relation = &mut graph.relations[whole.trailing_zeros() as usize];
            return relation.take();
        };
        let conditions: Vec<Expr> = graph.between(left, right).into_iter().cloned().collect();
        let (left_node, left_columns) = self.build(graph, best, left);
        let number = right.trailing_zeros() as usize;
        let single = right.is_power_of_two();
        let kind = if single { graph.relations[number].kind } else { JoinKind::Inner };
        let place =
            |column: usize| left_columns.iter().position(|&other| other == column).expect("a column of the left");
        if method == Method::Lateral {
            let conditions: Vec<&Expr> = conditions.iter().collect();
            let relation = &mut graph.relations[number];
            let scan = self.lookup(relation, &conditions, &place).expect("the same conditions as before");
            let columns = relation.take().1;
            let right = Node::Scan(Box::new(scan));
            let node =
                Node::Join(Box::new(Join { left: left_node, right, kind, on: None, method: JoinMethod::Lateral }));
            return (node, layout(kind, left_columns, columns));
        }
        let (right_node, right_columns) =
            if single { graph.relations[number].take() } else { self.build(graph, best, right) };
        let both: Vec<usize> = left_columns.iter().chain(&right_columns).copied().collect();
        let place = |column: usize| both.iter().position(|&other| other == column).expect("a column of either side");
        let on = conditions.into_iter().map(|mut condition| {
            condition.map_columns(&mut |column| place(column));
            condition
        });
        let on = on.collect();
        let join = Join { left: left_node, right: right_node, kind, on: None, method: JoinMethod::NestedLoop };
        let node = self.with_method(join, on, method == Method::Hash);
        (node, layout(kind, left_columns, right_columns))
    }

    /// A join with a condition, by hash or by merge if there are keys for it and they are wanted.
    fn with_method(&self, mut join: Join, on: Vec<Expr>, hash: bool) -> Node {
        let (keys, method) = methods(&on, join.left.width(), hash);
        join.on = all(on);
        if let Some(method) = method {
            let by = |exprs: Vec<&Expr>| -> Vec<SortKey> {
                let key = |expr: &Expr| SortKey { expr: expr.clone(), descending: false, nulls_first: false };
                exprs.into_iter().map(key).collect()
            };
            let in_order = order(&join.left).is_by(&by(keys.iter().map(|(a, _)| a).collect()))
                && order(&join.right).is_by(&by(keys.iter().map(|(_, b)| b).collect()));
            let (left, right) = (self.estimate(&join.left).rows, self.estimate(&join.right).rows);
            let total = !keys.iter().any(|(a, b)| can_fail(a) || can_fail(b));
            let merge =
                total && in_order && (left + right) * weight::MERGE < left * weight::PROBE + right * weight::BUILD;
            join.method = match method {
                JoinMethod::Hash { keys, residual } if merge => JoinMethod::Merge { keys, residual },
                method => method,
            };
        }
        Node::Join(Box::new(join))
    }

    /// Plans the topmost of very many joins, without a look at what they cost.
    fn far(&self, mut join: Join) -> Node {
        join.left = self.plan(join.left);
        join.right = self.plan(join.right);
        let on = parts(join.on.take());
        let (_, method) = methods(&on, join.left.width(), join.method == JoinMethod::NestedLoop);
        join.on = all(on);
        Node::Join(Box::new(Join { method: method.unwrap_or(join.method), ..join }))
    }

    /// Plans a join by itself: an outer one, or one that the statement calls lateral.
    fn pair(&self, mut join: Join) -> Node {
        let raw = if let Node::Scan(scan) = &join.right { Some((**scan).clone()) } else { None };
        join.left = self.plan(join.left);
        join.right = self.plan(join.right);
        if join.method == JoinMethod::Lateral {
            return Node::Join(Box::new(join));
        }
        let left_width = join.left.width();
        let on = parts(join.on.take());
        let (left, right) = (self.estimate(&join.left), self.estimate(&join.right));
        let plain = left.cost + right.cost;
        let keyed = has_keys(&on, left_width, false) || has_keys(&on, left_width, true);
        let mut least = plain + left.rows * right.rows * weight::PAIR;
        let hash = plain + left.rows * weight::PROBE + right.rows * weight::BUILD;
        if keyed {
            least = least.min(hash);
        }
        if let (JoinKind::Left | JoinKind::Semi | JoinKind::Anti, Some(raw)) = (join.kind, &raw) {
            let conditions = on.iter().map(|condition| {
                let mut condition = condition.clone();
                condition.shift_outer(1);
                let side = |column: usize| if column < left_width { Ok(column) } else { Err(column - left_width) };
                outwards(&mut condition, &side);
                condition
            });
            if let Some(scan) = self.lookup_scan(raw, conditions.collect())
                && !on.iter().any(can_fail)
            {
                let right = Node::Scan(Box::new(scan));
                if left.cost + left.rows * (weight::START + self.estimate(&right).cost) < least {
                    let (on, method) = (None, JoinMethod::Lateral);
                    return Node::Join(Box::new(Join { right, on, method, ..join }));
                }
            }
        }
        self.with_method(join, on, keyed && hash <= least)
    }
}

/// Whether a join can be done in another order with those next to it. One whose only keys can fail stays as it is: in its
/// place, its condition is evaluated for the rows for which it would be in a nested loop.
fn is_free(join: &Join) -> bool {
    let left_width = join.left.width();
    match join.kind {
        _ if join.method == JoinMethod::Lateral => false,
        JoinKind::Inner => {
            let on = parts(join.on.clone());
            has_keys(&on, left_width, false) || !has_keys(&on, left_width, true)
        }
        JoinKind::Semi | JoinKind::Anti => !parts(join.on.clone()).iter().any(can_fail),
        _ => false,
    }
}

/// How many relations there are in a tree of joins.
fn count(join: &Join) -> usize {
    let side = |node: &Node| match node {
        Node::Join(join) if is_free(join) => count(join),
        _ => 1,
    };
    side(&join.left) + if join.kind == JoinKind::Inner { side(&join.right) } else { 1 }
}

/// A condition over the columns of all relations.
fn of_all(mut condition: Expr, columns: &[usize]) -> Expr {
    condition.map_columns(&mut |column| columns[column]);
    condition
}

/// Makes the columns of the left side columns of the row around the right one: `side` says where either stands. There are
/// no queries in the expression.
fn outwards(expr: &mut Expr, side: &dyn Fn(usize) -> Result<usize, usize>) {
    if let Expr::Column(column) = expr {
        *expr = match side(*column) {
            Ok(column) => Expr::Outer { level: 1, column },
            Err(column) => Expr::Column(column),
        };
        return;
    }
    expr.for_each_operand_mut(&mut |operand| outwards(operand, side));
}

fn layout(kind: JoinKind, left: Vec<usize>, right: Vec<usize>) -> Vec<usize> {
    match kind {
        JoinKind::Semi | JoinKind::Anti => left,
        _ => left.into_iter().chain(right).collect(),
    }
}

/// The keys among conditions, and the hash join by them, if there are any and it is wanted.
fn methods(on: &[Expr], left_width: usize, wanted: bool) -> (Vec<(Expr, Expr)>, Option<JoinMethod>) {
    let (mut keys, mut residual) = (Vec::new(), Vec::new());
    let fallible = !has_keys(on, left_width, false);
    for condition in on {
        match keys_of(condition, left_width, fallible).filter(|_| wanted) {
            Some(pair) => keys.push(pair),
            None => residual.push(condition.clone()),
        }
    }
    let method = (!keys.is_empty()).then(|| JoinMethod::Hash { keys: keys.clone(), residual: all(residual) });
    (keys, method)
}

/// Whether there are keys among conditions: that cannot fail, or that can.
fn has_keys(on: &[Expr], left_width: usize, fallible: bool) -> bool {
    on.iter().any(|condition| keys_of(condition, left_width, fallible).is_some())
}

/// The expressions over the left and over the right row whose equality a condition is, if it cannot fail, or can.
fn keys_of(condition: &Expr, left_width: usize, fallible: bool) -> Option<(Expr, Expr)> {
    let Expr::Binary(Binary::Equal, a, b) = condition else { return None };
    if can_fail(condition) != fallible {
        return None;
    }
    let mut has_query = false;
    condition.walk(0, &mut |_, expr| has_query |= matches!(expr, Expr::Subquery(_)));
    if has_query {
        return None;
    }
    let sides = |expr: &Expr| {
        let (mut left, mut right) = (false, false);
        expr.for_each_column(&mut |column| {
            left |= column < left_width;
            right |= column >= left_width;
        });
        (left, right)
    };
    let right = |expr: &Expr| {
        let mut expr = expr.clone();
        expr.map_columns(&mut |column| column - left_width);
        expr
    };
    match (sides(a), sides(b)) {
        ((true, false), (false, true)) => Some(((**a).clone(), right(b))),
        ((false, true), (true, false)) => Some(((**b).clone(), right(a))),
        _ => None,
    }
}
