//! Plans that are kept, where the schema is not what it was, or is another one.

use crate::Database;
use crate::database::{Prepared, Session};
use crate::sql::Output;
use crate::storage::Memory;

/// How many columns a query gives.
fn width(session: &mut Session<Memory>, query: &Prepared) -> usize {
    match session.run(query, &[]).unwrap() {
        Output::Select { columns, .. } => columns.len(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_transaction_has_its_own_schema() {
    let database = Database::in_memory();
    let (mut session, mut reader) = (database.session(), database.session());
    session.execute("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)").unwrap();
    let query = session.prepare("SELECT * FROM t").unwrap();
    assert_eq!((width(&mut session, &query), width(&mut session, &query)), (1, 1));
    session.execute("BEGIN; ALTER TABLE t ADD COLUMN a INTEGER").unwrap();
    assert_eq!((width(&mut session, &query), width(&mut reader, &query)), (2, 1));
    session.execute("ROLLBACK").unwrap();
    assert_eq!(width(&mut session, &query), 1);
    reader.execute("BEGIN READ ONLY").unwrap();
    assert_eq!(width(&mut reader, &query), 1);
    session.execute("ALTER TABLE t ADD COLUMN a INTEGER").unwrap();
    for _ in 0..2 {
        assert_eq!((width(&mut session, &query), width(&mut reader, &query)), (2, 1));
    }
    reader.execute("COMMIT").unwrap();
    assert_eq!((width(&mut reader, &query), width(&mut session, &query)), (2, 2));
}

/// Two databases can be at the same position and have different tables.
#[test]
fn each_database_has_its_own_schema() {
    let of = |columns: &str| {
        let mut session = Database::in_memory().session();
        session.execute(&format!("CREATE TABLE t ({columns}); INSERT INTO t (id) VALUES (1)")).unwrap();
        session
    };
    let (mut narrow, mut wide) = (of("id INTEGER PRIMARY KEY"), of("id INTEGER PRIMARY KEY, a INTEGER"));
    let query = narrow.prepare("SELECT * FROM t").unwrap();
    for _ in 0..2 {
        assert_eq!((width(&mut narrow, &query), width(&mut wide, &query)), (1, 2));
    }
}
