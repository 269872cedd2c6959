//! Settings of a session, and plans that are made anew.

use std::time::Duration;

use crate::Database;
use crate::database::{DatabaseOptions, Session};
use crate::sql::Output;
use crate::sql::types::Value;
use crate::storage::Memory;

fn explain(session: &mut Session<Memory>, sql: &str) -> String {
    match session.execute(&format!("EXPLAIN {sql}")).unwrap().pop() {
        Some(Output::Explain { text }) => text,
        other => panic!("{other:?}"),
    }
}

fn shown(session: &mut Session<Memory>) -> Value {
    match session.execute("SHOW optimizer").unwrap().pop() {
        Some(Output::Select { mut rows, .. }) => rows.remove(0).remove(0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_session_switches_the_optimizer_off() {
    let database = Database::in_memory();
    let (mut session, mut other) = (database.session(), database.session());
    session.execute("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)").unwrap();
    let query = "SELECT * FROM t WHERE id = 1";
    assert_eq!(shown(&mut session), "on".into());
    assert!(explain(&mut session, query).starts_with("Key lookup"));
    session.execute("SET optimizer = off").unwrap();
    assert_eq!(shown(&mut session), "off".into());
    assert!(explain(&mut session, query).starts_with("Filter"));
    assert!(explain(&mut other, query).starts_with("Key lookup"));
    session.execute("SET SESSION optimizer TO 'on'").unwrap();
    assert!(explain(&mut session, query).starts_with("Key lookup"));
    assert!(session.execute("SET optimizer = perhaps").is_err());
    assert!(session.execute("SET nothing = 1").is_err());
}

/// A plan that is kept is made anew when the session or ANALYZE says something else.
#[test]
fn kept_plans_follow_settings_and_statistics() {
    let database = Database::in_memory();
    let mut session = database.session();
    session.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT); CREATE INDEX t_a ON t (a)").unwrap();
    let rows: Vec<String> = (0..500).map(|id| format!("({id}, {}, 'x')", id % 2)).collect();
    session.execute(&format!("INSERT INTO t VALUES {}", rows.join(", "))).unwrap();
    let explain = session.prepare("EXPLAIN SELECT * FROM t WHERE a = 1").unwrap();
    let plan = |session: &mut Session<Memory>| match session.run(&explain, &[]).unwrap() {
        Output::Explain { text } => text,
        other => panic!("{other:?}"),
    };
    let starts = |text: String, with: &str| assert!(text.starts_with(with), "{text}");
    starts(plan(&mut session), "Index lookup");
    session.execute("ANALYZE t").unwrap();
    starts(plan(&mut session), "Scan");
    session.execute("SET optimizer = off").unwrap();
    starts(plan(&mut session), "Filter");
}

#[test]
fn analyze_tells_the_time_by_a_clock_that_is_given() {
    fn clock() -> Duration {
        Duration::from_millis(5)
    }
    for (clock, told) in [(None, false), (Some(clock as fn() -> Duration), true)] {
        let options = DatabaseOptions { clock, ..DatabaseOptions::default() };
        let mut session = Database::on(Memory::new(), options).unwrap().session();
        let text = match session.execute("EXPLAIN ANALYZE SELECT 1").unwrap().pop() {
            Some(Output::Explain { text }) => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(text.contains("starts 1, 0.000 ms)"), told, "{text}");
    }
}
