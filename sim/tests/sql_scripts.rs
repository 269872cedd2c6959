//! The engine's SQL scripts inside universes under full faults: one client runs a script from its first statement to its
//! last, and gets the answers that it gets in one process, where the engine's own tests compare them with what the script
//! says. What a fault or a conflict has undone is tried again.

use scenarios::{ClientProgram, Operation, Overrides, Scenario, Step, WorkloadKind};
use sim::verdict::Verdict;
use sqllogictest::{DefaultColumnType, Record};

/// How many universes each script is run in.
const SEEDS: u64 = 6;

macro_rules! scripts {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../engine/tests/sql/", $name, ".slt")))),*]
    };
}

/// All scripts but those that are about several sessions, of which a client has one, and about which tables there are, of
/// which a universe has more.
const SCRIPTS: [(&str, &str); 16] = scripts![
    "aggregates",
    "alter",
    "conflicts",
    "ctes",
    "expressions",
    "foreign_keys",
    "indexes",
    "insert",
    "joins",
    "nan",
    "rows",
    "select",
    "sets",
    "subqueries",
    "unique",
    "views",
];

/// The statements of a script, without what they should give.
fn statements(script: &str) -> Vec<String> {
    let records = sqllogictest::parse::<DefaultColumnType>(script).expect("the engine's tests run it");
    let sql = records.into_iter().filter_map(|record| match record {
        Record::Statement { sql, .. } | Record::Query { sql, .. } => Some(sql),
        _ => None,
    });
    sql.flat_map(|sql| separated(&sql)).collect()
}

/// The statements of a text, which semicolons separate.
fn separated(sql: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quote = None;
    for c in sql.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c == ';' => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().expect("never empty").push(c);
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// Statements as steps of a client: what is between BEGIN and its end is one.
fn program(statements: Vec<String>, pause_us: u64) -> ClientProgram {
    let mut steps: Vec<Step> = Vec::new();
    let mut open = false;
    for sql in statements {
        let word = sql.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
        match steps.last_mut() {
            Some(Step { operation: Operation::Script { statements }, .. }) if open => statements.push(sql.clone()),
            _ => {
                let operation = Operation::Script { statements: vec![sql.clone()] };
                steps.push(Step { think_us: pause_us, operation });
            }
        }
        match word.as_str() {
            "BEGIN" => open = true,
            "COMMIT" => open = false,
            "ROLLBACK" if !sql.to_ascii_uppercase().contains(" TO ") => open = false,
            _ => {}
        }
    }
    ClientProgram { id: 1, steps }
}

#[test]
fn scripts_have_the_same_answers_in_a_universe() {
    let mut failures = Vec::new();
    for (name, script) in SCRIPTS {
        let mut statements = statements(script);
        // A run that has written nothing proves nothing to the judges, and one script only reads.
        statements.push("CREATE TABLE written (n INTEGER)".to_owned());
        assert!(statements.len() > 8, "{name}: {statements:?}");
        for seed in 0..SEEDS {
            let overrides = Overrides { scenario: Some(WorkloadKind::Sql), clients: Some(1), ..Overrides::default() };
            let mut scenario = Scenario::draw(seed, &overrides);
            let last = scenario.faults.iter().filter_map(|fault| fault.when.us()).max().unwrap_or(0);
            scenario.clients = vec![program(statements.clone(), last / statements.len() as u64)];
            scenario.safety_us += 60_000_000;
            assert_eq!(scenario.validate(), Ok(()), "{name}");
            let report = sim::play(&scenario);
            if report.outcome != Verdict::Pass {
                failures.push(format!("{name}, seed {seed}: {:#?}", report.outcome));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
