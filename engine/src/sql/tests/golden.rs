//! Golden scripts: `> STATEMENT` runs a statement, for the session that a prefix names. Each query also runs without the
//! optimizer, and must return the same rows.
//!
//! `params VALUE...` gives parameters to the next statement: `null`, `true`, `false`, numbers, or else text.

use std::error::Error;
use std::fmt::Write as _;

use super::database::{Database, off, on};
use crate::sql::Output;
use crate::sql::types::{DataType, Value};

struct Runner {
    database: Database,
    params: Vec<Value>,
}

impl goldenscript::Runner for Runner {
    type Command = goldenscript::Command;

    fn run(
        &mut self,
        command: &goldenscript::Command,
        context: &goldenscript::Context,
    ) -> Result<String, Box<dyn Error>> {
        let session = context.prefix.as_deref().unwrap_or_default();
        if command.name == "params" {
            let mut args = command.consume_args();
            self.params = std::iter::from_fn(|| args.next_pos()).map(param).collect();
            args.reject_next()?;
            return Ok(String::new());
        }
        let sql = command.name.as_str();
        let params = std::mem::take(&mut self.params);
        let output = self.database.run(session, sql, &params, on());
        if let (Ok(Output::Select { rows, .. }), false) = (&output, sql.contains("LIMIT") || sql.contains("OFFSET")) {
            let naive = self.database.try_out(session, sql, &params, off());
            let Ok(Output::Select { rows: naive, .. }) = naive else { panic!("without the optimizer: {naive:?}") };
            let sort = |rows: &[Vec<Value>]| {
                let mut rows: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
                rows.sort();
                rows
            };
            assert_eq!(sort(rows), sort(&naive), "the optimizer changes the rows");
        }
        Ok(show(sql, &output.map_err(Box::new)?))
    }
}

fn param(text: &str) -> Value {
    match text {
        "null" => Value::Null,
        "true" => Value::Boolean(true),
        "false" => Value::Boolean(false),
        text => match (text.parse(), text.parse()) {
            (Ok(n), _) => Value::Integer(n),
            (_, Ok(x)) => Value::Float(x),
            _ => Value::from(text),
        },
    }
}

/// A value as a literal, so that its type shows.
fn literal(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Value::Float(x) if x.fract() == 0.0 && !value.to_string().contains('e') => format!("{value}.0"),
        value => value.to_string(),
    }
}

fn show(sql: &str, output: &Output) -> String {
    let datatype = |datatype: Option<DataType>| datatype.map_or("?".to_string(), |datatype| datatype.to_string());
    match output {
        Output::Select { columns, rows } => {
            if let ([column], [row], Some(text)) = (columns.as_slice(), rows.as_slice(), sql.strip_prefix("SELECT "))
                && !sql.contains(" FROM ")
            {
                return format!("{text} → {} {}", literal(&row[0]), datatype(column.datatype));
            }
            let header: Vec<String> =
                columns.iter().map(|column| format!("{} {}", column.name, datatype(column.datatype))).collect();
            let mut text = header.join(", ");
            for row in rows {
                let row: Vec<String> = row.iter().map(literal).collect();
                write!(text, "\n{}", row.join(", ")).unwrap();
            }
            text
        }
        Output::Explain { text } => text.clone(),
        other => format!("{other:?}"),
    }
}

golden_scripts! {
    "sql/testscripts", Runner { database: Database::new(), params: Vec::new() };
    access_paths,
    create_table,
    delete,
    drop_table,
    expressions,
    identifiers,
    insert,
    nulls,
    optimizer_access,
    optimizer_failures,
    optimizer_joins,
    optimizer_rules,
    optimizer_statistics,
    parameters,
    select,
    syntax,
    tpch,
    transactions,
    unique,
    unsupported,
    update,
}
