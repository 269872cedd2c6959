//! What a statement may use: memory, temporary files, steps; and what becomes of the files.

use std::sync::atomic::{AtomicBool, Ordering};

use super::super::super::algebra::{
    Aggregate, AggregateCall, AggregateMethod, Join, JoinKind, JoinMethod, Node, SetOperator, SortKey,
};
use super::super::super::error::{Failure, SqlState};
use super::super::super::functions::AggregateFunction;
use super::super::super::types::Value;
use super::super::{Context, DiskSpill, Settings, open};
use super::{collect, column, rows};
use crate::disk::{Disk, File as _, MemDisk};

/// Many distinct rows.
fn many(count: i64) -> Node {
    rows((0..count).map(|n| vec![Value::Integer(n * 7919 % count), Value::from(format!("row {n}"))]).collect())
}

fn sort(input: Node) -> Node {
    let keys = vec![SortKey { expr: column(0), descending: true, nulls_first: false }];
    Node::Sort { input: Box::new(input), keys, first: None }
}

/// Each operator that keeps rows, over many of them.
fn keepers() -> Vec<Node> {
    let count = 3000;
    let keys = vec![(column(0), column(0))];
    let join = |method| Join { left: many(10), right: many(count), kind: JoinKind::Full, on: None, method };
    let call =
        AggregateCall { function: AggregateFunction::Count, args: vec![column(1)], distinct: true, filter: None };
    let aggregate = |groups| {
        let (calls, method) = (vec![call.clone()], AggregateMethod::Hash);
        Node::Aggregate(Box::new(Aggregate { input: many(count), groups, calls, method }))
    };
    vec![
        sort(many(count)),
        Node::Distinct { input: Box::new(many(count)) },
        Node::Set {
            operator: SetOperator::Intersect,
            all: false,
            left: Box::new(many(10)),
            right: Box::new(many(count)),
        },
        Node::Join(Box::new(join(JoinMethod::NestedLoop))),
        Node::Join(Box::new(join(JoinMethod::Hash { keys, residual: None }))),
        aggregate(vec![column(0)]),
        aggregate(vec![]),
        Node::With {
            id: 0,
            common: Box::new(many(count)),
            recursive: None,
            body: Box::new(Node::Common { id: 0, width: 2 }),
        },
    ]
}

fn state(result: Result<impl Sized, Failure>) -> SqlState {
    match result {
        Err(Failure::Sql(error)) => error.state,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it did not fail"),
    }
}

const TIGHT: Settings = Settings { memory: 20_000, temporary: 1 << 30, ..Settings::UNLIMITED };

#[test]
fn memory_is_limited() {
    for node in keepers() {
        let ctx = Context::without_data(&[]).with_settings(TIGHT);
        assert_eq!(state(collect(&node, &ctx)), SqlState::OUT_OF_MEMORY, "{node:.40?}");
        drop(ctx);
        let spill = DiskSpill::open(MemDisk::new(), "tmp").unwrap();
        let ctx = Context::without_data(&[]).with_settings(TIGHT).with_spill(&spill);
        assert_eq!(collect(&node, &ctx).unwrap().len(), super::run(&node).len());
        let settings = Settings { temporary: 30_000, ..TIGHT };
        let ctx = Context::without_data(&[]).with_settings(settings).with_spill(&spill);
        assert_eq!(state(collect(&node, &ctx)), SqlState::OUT_OF_MEMORY, "{node:.40?}");
    }
}

#[test]
fn steps_are_limited() {
    for node in keepers() {
        let ctx = Context::without_data(&[]).with_settings(Settings { steps: 1000, ..Settings::default() });
        assert_eq!(state(collect(&node, &ctx)), SqlState::QUERY_CANCELED);
        let cancelled = AtomicBool::new(true);
        let ctx = Context::without_data(&[]).with_cancellation(&cancelled);
        assert_eq!(state(collect(&node, &ctx)), SqlState::QUERY_CANCELED);
        cancelled.store(false, Ordering::Relaxed);
        assert!(collect(&node, &ctx).is_ok());
    }
}

#[test]
fn temporary_files_go_when_a_statement_ends() {
    let disk = MemDisk::new();
    let spill = DiskSpill::open(disk.clone(), "tmp").unwrap();
    let files = || disk.list("tmp").unwrap().len();
    for node in keepers() {
        let ctx = Context::without_data(&[]).with_settings(TIGHT).with_spill(&spill);
        let mut rows = open(&node, &ctx).unwrap();
        rows.next_batch().unwrap();
        // A statement that stops halfway.
        drop(rows);
        drop(ctx);
        assert_eq!(files(), 0);
        let settings = Settings { temporary: 60_000, ..TIGHT };
        let ctx = Context::without_data(&[]).with_settings(settings).with_spill(&spill);
        drop(collect(&node, &ctx));
        drop(ctx);
        assert_eq!(files(), 0);
    }
}

#[test]
fn files_that_were_left_go_when_their_place_is_opened() {
    let disk = MemDisk::new();
    disk.create_dir("tmp").unwrap();
    disk.open("tmp/00000007").unwrap().write_at(b"left", 0).unwrap();
    let _spill = DiskSpill::open(disk.clone(), "tmp").unwrap();
    assert_eq!(disk.list("tmp").unwrap(), Vec::<String>::new());
}

#[test]
fn a_temporary_file_that_comes_back_changed_fails_the_statement() {
    let disk = MemDisk::new();
    let spill = DiskSpill::open(disk.clone(), "tmp").unwrap();
    let node = sort(many(20_000));
    // Runs of several blocks, of which only the first has been read when the first rows come.
    let settings = Settings { memory: 500_000, ..TIGHT };
    let ctx = Context::without_data(&[]).with_settings(settings).with_spill(&spill);
    let mut rows = open(&node, &ctx).unwrap();
    rows.next_batch().unwrap();
    for name in disk.list("tmp").unwrap() {
        let file = disk.open(&format!("tmp/{name}")).unwrap();
        let last = file.len().unwrap() - 1;
        assert!(last > 70_000, "{name} has {last} bytes");
        let mut byte = [0];
        file.read_at(&mut byte, last).unwrap();
        file.write_at(&[byte[0] ^ 1], last).unwrap();
    }
    assert_eq!(state(rows.collect()), SqlState::IO_ERROR);
    assert_eq!(disk.list("tmp").unwrap(), Vec::<String>::new());
}

#[test]
fn operators_over_one_another_are_limited() {
    let mut node = many(1);
    for _ in 0..1000 {
        node = Node::Distinct { input: Box::new(node) };
    }
    let ctx = Context::without_data(&[]);
    assert_eq!(state(collect(&node, &ctx)), SqlState::STATEMENT_TOO_COMPLEX);
}
