//! Subqueries, common tables, and expressions.

use bolero::check;

use super::super::super::algebra::{Binary, Expr, Is, Node, Quantifier, Recursive, Subquery, SubqueryKind, Unary};
use super::super::super::error::{Failure, SqlState};
use super::super::super::schema::Row;
use super::super::super::types::{DataType, Value};
use super::super::{Context, Profile, comparison, evaluate, truth};
use super::{Dice, collect, column, compare, integer, rows, run};

fn outer(column: usize) -> Expr {
    Expr::Outer { level: 1, column }
}

fn subquery(kind: SubqueryKind, plan: Node, outer: Vec<(usize, usize)>) -> Expr {
    Expr::Subquery(Box::new(Subquery { kind, plan, outer }))
}

fn project(input: Node, exprs: Vec<Expr>) -> Node {
    Node::Project { input: Box::new(input), exprs }
}

/// The second columns of the rows of a table whose first column is equal to one of the row around.
fn matching(table: &[Row], by: usize) -> Node {
    let predicate = compare(Binary::Equal, column(0), outer(by));
    project(Node::Filter { input: Box::new(rows(table.to_vec())), predicate }, vec![column(1)])
}

#[test]
fn subqueries_give_what_they_mean() {
    check!().with_type::<Vec<u8>>().with_iterations(10_000).with_max_len(200).for_each(|bytes| {
        let mut dice = Dice::new(bytes);
        let (left, right) = (dice.rows(10), dice.rows(10));
        let ops = [Binary::Equal, Binary::NotEqual, Binary::Less, Binary::GreaterOrEqual];
        let op = ops[dice.below(4)];
        let any = dice.flip();
        let quantifier = if any { Quantifier::Any } else { Quantifier::All };
        let quantified = SubqueryKind::Quantified { expr: column(1), op, quantifier };
        let exprs = vec![
            subquery(quantified, matching(&right, 0), vec![(1, 0)]),
            subquery(SubqueryKind::Exists, matching(&right, 0), vec![(1, 0)]),
        ];
        let given = run(&project(rows(left.clone()), exprs));
        let meant: Vec<Row> = left
            .iter()
            .map(|row| {
                let matches = right.iter().filter(|other| comparison(Binary::Equal, &other[0], &row[0]) == Some(true));
                let matches: Vec<&Row> = matches.collect();
                let truths: Vec<_> = matches.iter().map(|other| comparison(op, &row[1], &other[1])).collect();
                let decided = truths.contains(&Some(any));
                let unknown = truths.contains(&None);
                let truth = if decided {
                    Value::Boolean(any)
                } else if unknown {
                    Value::Null
                } else {
                    Value::Boolean(!any)
                };
                vec![truth, Value::Boolean(!matches.is_empty())]
            })
            .collect();
        assert_eq!(given, meant);
    });
}

#[test]
fn a_subquery_for_one_value_gives_one() {
    let table =
        |rows: &[(i64, i64)]| -> Vec<Row> { rows.iter().map(|(a, b)| vec![(*a).into(), (*b).into()]).collect() };
    let right = table(&[(1, 10), (2, 20)]);
    let scalar = |right: &[Row]| subquery(SubqueryKind::Scalar, matching(right, 0), vec![(1, 0)]);
    let node = project(rows(table(&[(2, 0), (3, 0), (1, 0)])), vec![scalar(&right)]);
    assert_eq!(run(&node), [vec![20.into()], vec![Value::Null], vec![10.into()]]);
    let node = project(rows(table(&[(1, 0)])), vec![scalar(&table(&[(1, 1), (1, 2)]))]);
    match collect(&node, &Context::without_data(&[])) {
        Err(Failure::Sql(error)) => assert_eq!(error.state, SqlState::CARDINALITY_VIOLATION),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_subquery_without_outer_columns_runs_once() {
    let one: Vec<Row> = vec![vec![1.into(), 2.into()]];
    let inner = project(rows(one), vec![column(1)]);
    let many = rows((0..100).map(|n| vec![n.into(), 0.into()]).collect());
    let node = project(many, vec![subquery(SubqueryKind::Scalar, inner, vec![])]);
    let profile = Profile::default();
    let ctx = Context::without_data(&[]).with_profile(&profile);
    assert_eq!(collect(&node, &ctx).unwrap(), vec![vec![Value::Integer(2)]; 100]);
    let Node::Project { exprs, .. } = &node else { unreachable!() };
    let Expr::Subquery(subquery) = &exprs[0] else { unreachable!() };
    assert_eq!(profile.tally(&subquery.plan).starts, 1);
}

#[test]
fn common_tables_are_made_once_for_each_outer_row() {
    // SELECT (WITH c AS (SELECT t.a) SELECT (SELECT a FROM c) + (SELECT a FROM c)) FROM t
    let common = Node::Values { rows: vec![vec![outer(0)]], width: 1 };
    let read = || subquery(SubqueryKind::Scalar, Node::Common { id: 3, width: 1 }, vec![]);
    let sum = compare(Binary::Add, read(), read());
    let body = Node::Values { rows: vec![vec![sum]], width: 1 };
    let with = Node::With { id: 3, common: Box::new(common), recursive: None, body: Box::new(body) };
    let table = rows((0..5).map(|n| vec![n.into(), 0.into()]).collect());
    let node = project(table, vec![subquery(SubqueryKind::Scalar, with, vec![(1, 0)])]);
    assert_eq!(run(&node), (0..5i64).map(|n| vec![Value::Integer(2 * n)]).collect::<Vec<_>>());
}

fn recursive(all: bool, step: Expr, limit: i64) -> Node {
    let step = Node::Filter {
        input: Box::new(project(Node::Common { id: 0, width: 1 }, vec![step])),
        predicate: compare(Binary::Less, column(0), integer(limit)),
    };
    Node::With {
        id: 0,
        common: Box::new(Node::Values { rows: vec![vec![integer(1)]], width: 1 }),
        recursive: Some(Box::new(Recursive { step, all })),
        body: Box::new(Node::Common { id: 0, width: 1 }),
    }
}

#[test]
fn common_tables_refer_to_themselves() {
    let next = compare(Binary::Add, column(0), integer(1));
    let counted = run(&recursive(true, next, 2000));
    assert_eq!(counted, (1..2000i64).map(|n| vec![n.into()]).collect::<Vec<Row>>());
    // 1, 2, 3, 4, 0, 1: which was there.
    let around = compare(Binary::Remainder, compare(Binary::Add, column(0), integer(1)), integer(5));
    let found = run(&recursive(false, around.clone(), 100));
    assert_eq!(found, [1, 2, 3, 4, 0].map(|n: i64| vec![n.into()]));
    let settings = super::super::Settings { steps: 10_000, ..Default::default() };
    let node = recursive(true, around, 100);
    match collect(&node, &Context::without_data(&[]).with_settings(settings)) {
        Err(Failure::Sql(error)) => assert_eq!(error.state, SqlState::QUERY_CANCELED),
        other => panic!("{other:?}"),
    }
}

#[test]
fn expressions_give_what_they_mean() {
    let constant = |value: Value| Box::new(Expr::Constant(value));
    let null = || constant(Value::Null);
    let text = |text: &str| constant(text.into());
    let like = |value: &str, pattern: &str, insensitive| Expr::Like {
        expr: text(value),
        pattern: text(pattern),
        escape: Some('\\'),
        insensitive,
        negated: false,
    };
    let is = |value: Value, what| Expr::Is { expr: constant(value), what, negated: false };
    let cases = [
        (like("a\nb", "a%b", false), Some(true)),
        (like("a%b", "a\\%b", false), Some(true)),
        (like("axb", "a\\%b", false), Some(false)),
        (like("añb", "a_b", false), Some(true)),
        (like("ABC", "a%", false), Some(false)),
        (like("ABC", "a%", true), Some(true)),
        (like("", "%%", false), Some(true)),
        (like("abab", "%ab", false), Some(true)),
        (is(Value::Float(f64::NAN), Is::Nan), Some(true)),
        (is(Value::Null, Is::Nan), None),
        (is(Value::Null, Is::Unknown), Some(true)),
        (is(false.into(), Is::False), Some(true)),
        (Expr::Binary(Binary::And, null(), constant(false.into())), Some(false)),
        (Expr::Binary(Binary::Or, null(), constant(true.into())), Some(true)),
        (Expr::Binary(Binary::Or, null(), constant(false.into())), None),
        (Expr::Unary(Unary::Not, null()), None),
        (Expr::Binary(Binary::Same, null(), null()), Some(true)),
        (Expr::Binary(Binary::Equal, constant(1.into()), constant(Value::Float(1.0))), Some(true)),
        (
            Expr::Binary(Binary::NotEqual, constant(Value::Float(f64::NAN)), constant(Value::Float(f64::NAN))),
            Some(false),
        ),
        (Expr::In { expr: constant(1.into()), list: vec![], negated: false }, Some(false)),
        (Expr::In { expr: null(), list: vec![integer(1)], negated: false }, None),
        (
            Expr::In { expr: constant(1.into()), list: vec![Expr::Constant(Value::Null), integer(2)], negated: true },
            None,
        ),
        (
            Expr::Between { expr: constant(2.into()), low: null(), high: constant(1.into()), negated: false },
            Some(false),
        ),
    ];
    let ctx = Context::without_data(&[]);
    for (expr, expected) in cases {
        assert_eq!(truth(&expr, &[], &ctx).unwrap(), expected, "{expr:?}");
    }
    let case = Expr::Case {
        operand: Some(Box::new(Expr::Parameter(0))),
        branches: vec![(integer(1), integer(10)), (integer(2), Expr::Cast(text("x"), DataType::Integer))],
        otherwise: None,
    };
    let value = |param: i64| evaluate(&case, &[], &Context::without_data(&[param.into()]));
    assert_eq!((value(1).unwrap(), value(3).unwrap()), (Value::Integer(10), Value::Null));
    assert!(value(2).is_err());
    match evaluate(&Expr::Parameter(1), &[], &ctx) {
        Err(Failure::Sql(error)) => assert_eq!(error.state, SqlState::UNDEFINED_PARAMETER),
        other => panic!("{other:?}"),
    }
}
