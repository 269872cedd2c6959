//! Rows in which a value was written more than once.

use super::{concurrent, failed, timed, unknown};
use crate::history::{Micro, Predicate, Transaction};
use crate::transactions::{Finding, Level, Options, judge};

fn w(key: u64, value: i64) -> Micro {
    Micro::Write { key, value: Some(value) }
}

fn r(key: u64, value: impl Into<Option<i64>>) -> Micro {
    Micro::Read { key, value: value.into() }
}

/// Which levels hold, and which are violated; all others are not decided.
#[track_caller]
fn decides(transactions: &[Transaction], holds: &[Level], violated: &[Level]) {
    let judgement = judge(&timed(transactions), &Options::default());
    for (level, finding) in &judgement.findings {
        assert_eq!(holds.contains(level), *finding == Finding::Holds, "{level}: {judgement:#?}");
        let wrong = judgement.violation(*level).is_some_and(|anomaly| anomaly.name.violates(*level));
        assert_eq!(violated.contains(level), wrong, "{level}: {judgement:#?}");
    }
}

/// All levels that demand more of what a transaction reads than that it was committed. Whether rows that were overwritten
/// blindly were cursor stable is not known.
fn beyond_read_committed() -> Vec<Level> {
    let less = [Level::ReadCommitted, Level::CursorStability];
    Level::ALL.into_iter().filter(|level| !less.contains(level)).collect()
}

#[test]
fn one_choice_of_writers_is_enough() {
    let history = concurrent(&[&[w(1, 1), w(2, 1)], &[w(1, 1), w(2, 2)], &[r(1, 1), r(2, 2)], &[r(2, 1), r(1, 1)]]);
    decides(&history, &Level::ALL, &[]);
}

#[test]
fn no_choice_of_writers_helps() {
    let history = concurrent(&[&[w(1, 1), w(2, 1)], &[w(1, 1), w(2, 2)], &[r(2, None), r(1, 1)]]);
    decides(&history, &[Level::ReadCommitted], &beyond_read_committed());
}

#[test]
fn what_is_read_twice_may_be_of_two_writers() {
    // x=1 of T1, then what T2 wrote over it, then x=1 of T3.
    let history = concurrent(&[&[w(1, 1)], &[r(1, 1), w(1, 2)], &[r(1, 2), w(1, 1)], &[r(1, 1), r(1, 2), r(1, 1)]]);
    decides(&history, &[Level::ReadCommitted], &beyond_read_committed());
}

#[test]
fn nobody_reads_of_a_failed_writer_if_there_is_another() {
    let mut history = concurrent(&[&[w(1, 1), w(2, 1)], &[w(1, 1)], &[w(1, 1)], &[r(1, 1), r(2, None)]]);
    history[0] = failed(history[0].clone());
    history[1] = unknown(history[1].clone());
    decides(&history, &Level::ALL, &[]);
}

#[test]
fn rows_in_an_answer_are_of_a_chosen_writer_too() {
    let any = |rows: &[(u64, i64)]| Micro::ReadRows { predicate: Predicate::Any, rows: rows.to_vec() };
    let two = [w(1, 1), w(2, 1)];
    let writers: [&[Micro]; 2] = [&two, &[w(1, 1), w(2, 2)]];
    decides(&concurrent(&[writers[0], writers[1], &[any(&[(1, 1), (2, 2)])]]), &Level::ALL, &[]);
    let torn = judge(&timed(&concurrent(&[writers[0], writers[1], &[any(&[(1, 1)])]])), &Options::default());
    assert!(torn.violation(Level::SnapshotIsolation).is_some(), "{torn:#?}");
}

#[test]
fn too_many_choices_are_left_open() {
    let readers: Vec<Micro> = (0..20).map(|key| r(key, 1)).collect();
    let writers: Vec<Micro> = (0..20).map(|key| w(key, 1)).collect();
    decides(&concurrent(&[&writers, &writers, &readers]), &[], &[]);
}

#[test]
fn an_anomaly_accuses_no_more_than_all_choices_do() {
    let large = Micro::ReadRows { predicate: Predicate::Greater(4), rows: Vec::new() };
    // Whoever saw the first writer missed another row of it, by a predicate. Whoever saw the second was not over when a
    // third overtook both.
    let history =
        concurrent(&[&[w(1, 1), w(5, 5)], &[w(1, 1), w(6, 1)], &[r(1, 1), r(2, None), large], &[r(6, None), w(2, 2)]]);
    let serial = [Level::Serializable, Level::StrongSessionSerializable, Level::StrictSerializable];
    let others: Vec<Level> =
        Level::ALL.into_iter().filter(|level| !serial.contains(level) && *level != Level::RepeatableRead).collect();
    decides(&history, &others, &serial);
    let judgement = judge(&timed(&history), &Options::default());
    let [anomaly] = judgement.anomalies.as_slice() else { panic!("{judgement:#?}") };
    let accused: Vec<Level> = Level::ALL.into_iter().filter(|level| anomaly.name.violates(*level)).collect();
    assert_eq!((anomaly.name.to_string().as_str(), accused.as_slice()), ("G2", serial.as_slice()), "{anomaly:#?}");
    assert!(anomaly.message.contains("serializable") && !anomaly.evidence.is_empty(), "{anomaly:#?}");
}
