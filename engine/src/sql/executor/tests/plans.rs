//! Random plans give what the model says, in memory and with next to none.

use bolero::check;

use super::super::super::algebra::{
    Aggregate, AggregateCall, AggregateMethod, Binary, Expr, Join, JoinKind, JoinMethod, Node, SetOperator, SortKey,
};
use super::super::super::functions::AggregateFunction;
use super::super::super::schema::Row;
use super::super::super::types::Value;
use super::super::{Context, DiskSpill, Settings};
use super::{Dice, collect, column, compare, integer, model, rows};
use crate::disk::{Disk, MemDisk};

/// What is generated.
#[derive(Clone, Copy)]
struct Choice {
    /// The most rows of a leaf.
    rows: usize,
    /// With what depends on the order of rows that have none.
    order: bool,
}

/// A plan with rows of two columns.
fn plan(dice: &mut Dice<'_>, depth: usize, choice: Choice) -> Node {
    if depth == 0 {
        return rows(dice.rows(choice.rows));
    }
    let below = |dice: &mut Dice<'_>| Box::new(plan(dice, depth - 1, choice));
    match dice.below(10) {
        0 => Node::Filter { input: below(dice), predicate: condition(dice, 2) },
        1 => Node::Project { input: below(dice), exprs: vec![column(dice.below(2)), column(dice.below(2))] },
        2 => sort(*below(dice), dice, choice),
        3 if choice.order => {
            let count = |dice: &mut Dice<'_>| dice.flip().then(|| integer(dice.below(20) as i64));
            Node::Limit { input: below(dice), offset: count(dice), limit: count(dice) }
        }
        4 => Node::Distinct { input: below(dice) },
        5 => {
            let operator = [SetOperator::Union, SetOperator::Intersect, SetOperator::Except][dice.below(3)];
            Node::Set { operator, all: dice.flip(), left: below(dice), right: below(dice) }
        }
        6 | 7 => aggregate(*below(dice), dice),
        _ => {
            let join = join(*below(dice), *below(dice), dice);
            let width = join.width();
            let exprs = vec![column(dice.below(width)), column(dice.below(width))];
            Node::Project { input: Box::new(join), exprs }
        }
    }
}

fn condition(dice: &mut Dice<'_>, width: usize) -> Expr {
    let ops = [Binary::Equal, Binary::NotEqual, Binary::Less, Binary::GreaterOrEqual, Binary::Same];
    let other = if dice.flip() { column(dice.below(width)) } else { Expr::Constant(dice.value()) };
    compare(ops[dice.below(5)], column(dice.below(width)), other)
}

fn sort(input: Node, dice: &mut Dice<'_>, choice: Choice) -> Node {
    let key = |dice: &mut Dice<'_>| SortKey {
        expr: column(dice.below(2)),
        descending: dice.flip(),
        nulls_first: dice.flip(),
    };
    let keys = (0..=dice.below(2)).map(|_| key(dice)).collect();
    let first = (choice.order && dice.flip()).then(|| integer(dice.below(8) as i64));
    Node::Sort { input: Box::new(input), keys, first }
}

fn in_order(input: Node, by: usize) -> Node {
    let keys = vec![SortKey { expr: column(by), descending: false, nulls_first: false }];
    Node::Sort { input: Box::new(input), keys, first: None }
}

fn aggregate(input: Node, dice: &mut Dice<'_>) -> Node {
    use AggregateFunction::{Avg, Count, CountRows, Max, Min, Sum};
    let sorted = dice.below(3) == 0;
    let functions = [CountRows, Count, Sum, Avg, Min, Max];
    let function = functions[dice.below(6)];
    let by = dice.below(2);
    let call = AggregateCall {
        function,
        args: if function == CountRows { Vec::new() } else { vec![column(dice.below(2))] },
        distinct: function != CountRows && dice.flip(),
        filter: (dice.below(3) == 0).then(|| condition(dice, 2)),
    };
    let grouped = dice.below(4) > 0;
    let (groups, calls) = if grouped { (vec![column(by)], vec![call]) } else { (vec![], vec![call.clone(), call]) };
    let (input, method) =
        if sorted { (in_order(input, by), AggregateMethod::Sorted) } else { (input, AggregateMethod::Hash) };
    Node::Aggregate(Box::new(Aggregate { input, groups, calls, method }))
}

const KINDS: [JoinKind; 6] =
    [JoinKind::Inner, JoinKind::Left, JoinKind::Right, JoinKind::Full, JoinKind::Semi, JoinKind::Anti];

fn join(left: Node, right: Node, dice: &mut Dice<'_>) -> Node {
    let kind = KINDS[dice.below(6)];
    let (a, b) = (dice.below(2), dice.below(2));
    let residual = dice.flip().then(|| condition(dice, 4));
    let equal = compare(Binary::Equal, column(a), column(2 + b));
    let both = |residual: &Option<Expr>| match residual {
        Some(residual) => compare(Binary::And, equal.clone(), residual.clone()),
        None => equal.clone(),
    };
    let keys = vec![(column(a), column(b))];
    let lateral = !matches!(kind, JoinKind::Right | JoinKind::Full);
    let (left, right, on, method) = match dice.below(4) {
        0 => (left, right, residual, JoinMethod::NestedLoop),
        1 => (left, right, Some(both(&residual)), JoinMethod::Hash { keys, residual }),
        2 => {
            let on = both(&residual);
            (in_order(left, a), in_order(right, b), Some(on), JoinMethod::Merge { keys, residual })
        }
        _ if lateral => {
            let predicate = compare(Binary::Equal, column(b), Expr::Outer { level: 1, column: a });
            let right = Node::Filter { input: Box::new(right), predicate };
            (left, right, residual, JoinMethod::Lateral)
        }
        _ => (left, right, Some(both(&residual)), JoinMethod::Hash { keys, residual }),
    };
    Node::Join(Box::new(Join { left, right, kind, on, method }))
}

/// Whether rows come out in another order than the model's: a merge gives lone rows in between.
fn merges(node: &Node) -> bool {
    match node {
        Node::Join(join) => {
            matches!(join.method, JoinMethod::Merge { .. }) || merges(&join.left) || merges(&join.right)
        }
        Node::Filter { input, .. } | Node::Project { input, .. } | Node::Sort { input, .. } => merges(input),
        Node::Limit { input, .. } | Node::Distinct { input } => merges(input),
        Node::Aggregate(aggregate) => merges(&aggregate.input),
        Node::Set { left, right, .. } => merges(left) || merges(right),
        _ => false,
    }
}

/// The rows in an order of their own, with equal numbers made the same.
fn bag(rows: &[Row]) -> Vec<String> {
    let value = |value: &Value| match value {
        Value::Integer(n) => format!("{:?}", *n as f64),
        Value::Float(x) => format!("{:?}", x + 0.0),
        other => format!("{other:?}"),
    };
    let mut bag: Vec<String> = rows.iter().map(|row| row.iter().map(value).collect::<Vec<_>>().join(" ")).collect();
    bag.sort();
    bag
}

#[test]
fn plans_give_what_they_mean() {
    check!().with_type::<Vec<u8>>().with_iterations(30_000).with_max_len(400).for_each(|bytes| {
        let mut dice = Dice::new(bytes);
        let depth = 1 + dice.below(3);
        let node = plan(&mut dice, depth, Choice { rows: 12, order: true });
        let merges = merges(&node);
        if merges && has_limit(&node) {
            return;
        }
        let (given, meant) = (super::run(&node), model::run(&node));
        if merges {
            assert_eq!(bag(&given), bag(&meant), "{node:#?}");
        } else {
            assert_eq!(given, meant, "{node:#?}");
        }
    });
}

fn has_limit(node: &Node) -> bool {
    match node {
        Node::Limit { .. } => true,
        Node::Sort { input, first, .. } => first.is_some() || has_limit(input),
        Node::Join(join) => has_limit(&join.left) || has_limit(&join.right),
        Node::Filter { input, .. } | Node::Project { input, .. } | Node::Distinct { input } => has_limit(input),
        Node::Aggregate(aggregate) => has_limit(&aggregate.input),
        Node::Set { left, right, .. } => has_limit(left) || has_limit(right),
        _ => false,
    }
}

#[test]
fn plans_give_the_same_with_next_to_no_memory() {
    check!().with_type::<(Vec<u8>, u16)>().with_iterations(6_000).with_max_len(3000).for_each(|(bytes, limit)| {
        let mut dice = Dice::new(bytes);
        let depth = 1 + dice.below(3);
        let node = plan(&mut dice, depth, Choice { rows: 100, order: false });
        let disk = MemDisk::new();
        let spill = DiskSpill::open(disk.clone(), "tmp").unwrap();
        let settings = Settings { memory: usize::from(limit % 8192), ..Settings::default() };
        let given = {
            let ctx = Context::without_data(&[]).with_settings(settings).with_spill(&spill);
            collect(&node, &ctx).unwrap()
        };
        assert_eq!(bag(&given), bag(&super::run(&node)), "{node:#?}");
        assert_eq!(disk.list("tmp").unwrap(), Vec::<String>::new(), "no temporary file stays");
    });
}

#[test]
fn each_method_of_a_join_gives_the_same() {
    check!().with_type::<Vec<u8>>().with_iterations(10_000).with_max_len(400).for_each(|bytes| {
        let mut dice = Dice::new(bytes);
        let (left, right) = (rows(dice.rows(40)), rows(dice.rows(40)));
        let kind = KINDS[dice.below(6)];
        let residual = dice.flip().then(|| condition(&mut dice, 4));
        let equal = [0, 1].map(|n| compare(Binary::Equal, column(n), column(2 + n)));
        let [first, second] = equal;
        let keys = vec![(column(0), column(0)), (column(1), column(1))];
        let on = compare(Binary::And, first, second);
        let on = match &residual {
            Some(residual) => compare(Binary::And, on, residual.clone()),
            None => on,
        };
        let sorted = |input: &Node| {
            let keys = [0, 1].map(|n| SortKey { expr: column(n), descending: false, nulls_first: false });
            Node::Sort { input: Box::new(input.clone()), keys: keys.to_vec(), first: None }
        };
        let run = |left: Node, right: Node, method| {
            super::run(&Node::Join(Box::new(Join { left, right, kind, on: Some(on.clone()), method })))
        };
        let nested = run(left.clone(), right.clone(), JoinMethod::NestedLoop);
        let (hash, merge) =
            (JoinMethod::Hash { keys: keys.clone(), residual: residual.clone() }, JoinMethod::Merge { keys, residual });
        let hashed = run(left.clone(), right.clone(), hash);
        assert_eq!(hashed, nested);
        assert_eq!(bag(&run(sorted(&left), sorted(&right), merge)), bag(&nested));
    });
}
