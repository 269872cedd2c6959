//! What plans mean, computed as plainly as possible.

use std::cmp::Ordering;

use super::super::super::algebra::{
    Aggregate, AggregateCall, Expr, Join, JoinKind, JoinMethod, Node, SetOperator, SortKey,
};
use super::super::super::functions::AggregateFunction;
use super::super::super::schema::Row;
use super::super::super::types::Value;
use super::super::arithmetic::same;
use super::super::{Context, evaluate, truth};

fn value(expr: &Expr, row: &[Value]) -> Value {
    evaluate(expr, row, &Context::without_data(&[])).unwrap()
}

fn holds(expr: Option<&Expr>, row: &[Value]) -> bool {
    expr.is_none_or(|expr| truth(expr, row, &Context::without_data(&[])).unwrap() == Some(true))
}

fn same_row(a: &[Value], b: &[Value]) -> bool {
    a.iter().zip(b).all(|(a, b)| same(a, b))
}

/// The rows of a plan, in the order in which the executor gives them when all fits in memory.
pub(super) fn run(node: &Node) -> Vec<Row> {
    match node {
        Node::Rows { rows, .. } => rows.to_vec(),
        Node::Filter { input, predicate } => run(input).into_iter().filter(|row| holds(Some(predicate), row)).collect(),
        Node::Project { input, exprs } => {
            run(input).iter().map(|row| exprs.iter().map(|expr| value(expr, row)).collect()).collect()
        }
        Node::Join(join) => self::join(join),
        Node::Aggregate(aggregate) => self::aggregate(aggregate),
        Node::Sort { input, keys, first } => {
            let mut rows = run(input);
            rows.sort_by(|a, b| order(keys, a, b));
            rows.truncate(first.as_ref().map_or(usize::MAX, count));
            rows
        }
        Node::Limit { input, offset, limit } => {
            let rows = run(input).into_iter().skip(offset.as_ref().map_or(0, count));
            rows.take(limit.as_ref().map_or(usize::MAX, count)).collect()
        }
        Node::Distinct { input } => distinct(run(input)),
        Node::Set { operator, all, left, right } => set(*operator, *all, run(left), run(right)),
        other => panic!("the model does not know {other:?}"),
    }
}

fn count(expr: &Expr) -> usize {
    match value(expr, &[]) {
        Value::Integer(n) => n as usize,
        Value::Null => usize::MAX,
        other => panic!("{other:?} is no count"),
    }
}

fn order(keys: &[SortKey], a: &[Value], b: &[Value]) -> Ordering {
    let by = |key: &SortKey| match (value(&key.expr, a), value(&key.expr, b)) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => {
            if key.nulls_first {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        }
        (_, Value::Null) => {
            if key.nulls_first {
                Ordering::Greater
            } else {
                Ordering::Less
            }
        }
        (a, b) if key.descending => b.sort_order(&a),
        (a, b) => a.sort_order(&b),
    };
    keys.iter().map(by).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

fn distinct(rows: Vec<Row>) -> Vec<Row> {
    let mut distinct: Vec<Row> = Vec::new();
    for row in rows {
        if !distinct.iter().any(|other| same_row(other, &row)) {
            distinct.push(row);
        }
    }
    distinct
}

fn set(operator: SetOperator, all: bool, left: Vec<Row>, mut right: Vec<Row>) -> Vec<Row> {
    if operator == SetOperator::Union {
        let both = left.into_iter().chain(right).collect();
        return if all { both } else { distinct(both) };
    }
    let left = if all { left } else { distinct(left) };
    let wanted = operator == SetOperator::Intersect;
    left.into_iter()
        .filter(|row| {
            let found = right.iter().position(|other| same_row(other, row));
            if let Some(found) = found.filter(|_| all) {
                right.remove(found);
            }
            found.is_some() == wanted
        })
        .collect()
}

fn join(join: &Join) -> Vec<Row> {
    let left = run(&join.left);
    let (mut rows, mut partnered) = (Vec::new(), Vec::new());
    for row in &left {
        // The right side of a lateral join is a filter that compares one of its columns with one of the left row.
        let right = match (&join.method, &join.right) {
            (JoinMethod::Lateral, Node::Filter { input, predicate: Expr::Binary(op, a, b) }) => {
                let (Expr::Column(a), Expr::Outer { level: 1, column: b }) = (&**a, &**b) else { panic!("{b:?}") };
                let all = run(input).into_iter();
                all.filter(|other| super::super::comparison(*op, &other[*a], &row[*b]) == Some(true)).collect()
            }
            _ => run(&join.right),
        };
        partnered.resize(right.len(), false);
        let before = rows.len();
        let mut any = false;
        for (other, partnered) in right.iter().zip(&mut partnered) {
            let pair = [row.as_slice(), other].concat();
            if holds(join.on.as_ref(), &pair) {
                (any, *partnered) = (true, true);
                rows.push(pair);
            }
        }
        match join.kind {
            JoinKind::Semi | JoinKind::Anti => {
                rows.truncate(before);
                if any == (join.kind == JoinKind::Semi) {
                    rows.push(row.clone());
                }
            }
            JoinKind::Left | JoinKind::Full if !any => {
                rows.push([row.as_slice(), &vec![Value::Null; join.right.width()]].concat());
            }
            _ => {}
        }
    }
    if matches!(join.kind, JoinKind::Right | JoinKind::Full) {
        let right = run(&join.right);
        partnered.resize(right.len(), false);
        for (other, _) in right.iter().zip(&partnered).filter(|(_, partnered)| !**partnered) {
            rows.push([&vec![Value::Null; join.left.width()], other.as_slice()].concat());
        }
    }
    rows
}

fn aggregate(aggregate: &Aggregate) -> Vec<Row> {
    let mut groups: Vec<(Row, Vec<Row>)> = Vec::new();
    if aggregate.groups.is_empty() {
        groups.push(Default::default());
    }
    for row in run(&aggregate.input) {
        let key: Row = aggregate.groups.iter().map(|expr| value(expr, &row)).collect();
        match groups.iter_mut().find(|(other, _)| same_row(other, &key)) {
            Some((_, rows)) => rows.push(row),
            None => groups.push((key, vec![row])),
        }
    }
    let finish = |(mut key, rows): (Row, Vec<Row>)| {
        key.extend(aggregate.calls.iter().map(|call| self::call(call, &rows)));
        key
    };
    groups.into_iter().map(finish).collect()
}

fn call(call: &AggregateCall, rows: &[Row]) -> Value {
    let rows = rows.iter().filter(|row| holds(call.filter.as_ref(), row));
    if call.function == AggregateFunction::CountRows {
        return Value::Integer(rows.count() as i64);
    }
    let values = rows.map(|row| vec![value(&call.args[0], row)]).filter(|row| !matches!(row[0], Value::Null));
    let values: Vec<Row> = values.collect();
    let values: Vec<Value> = if call.distinct { distinct(values) } else { values }.into_iter().flatten().collect();
    let floats = || {
        values.iter().map(|value| match value {
            Value::Integer(n) => *n as f64,
            Value::Float(x) => *x,
            other => panic!("{other:?} is no number"),
        })
    };
    // A sum starts at 0, and not at -0 as that of an iterator does.
    let total = || floats().fold(0.0, |sum, x| sum + x);
    let best = |wanted| {
        values.iter().cloned().reduce(|best, value| if value.sort_order(&best) == wanted { value } else { best })
    };
    match call.function {
        AggregateFunction::Count => Value::Integer(values.len() as i64),
        _ if values.is_empty() => Value::Null,
        AggregateFunction::Sum if values.iter().any(|value| matches!(value, Value::Float(_))) => Value::float(total()),
        AggregateFunction::Sum => Value::Integer(total() as i64),
        AggregateFunction::Avg => Value::float(total() / values.len() as f64),
        AggregateFunction::Min => best(Ordering::Less).unwrap(),
        AggregateFunction::Max => best(Ordering::Greater).unwrap(),
        other => panic!("the model does not know {other:?}"),
    }
}
