//! What `psql` and drivers write to read the system catalog, in terms of the rest: casts to `regclass` and the like, functions
//! that give the definitions of objects, arrays, and functions that give rows.

use sqlparser::ast;

use super::super::algebra::{Binary, SetOperator};
use super::super::ast::{Alias, Body, Common, Expr, From, Item, Name, Position, Query, Select};
use super::super::error::{Error, SqlState};
use super::super::types::{DataType, Value};
use super::expression::{convert, function};
use super::{Result, query};

/// Types of the system catalog, which are shown as names.
enum SystemType {
    /// The name of a relation.
    Class,
    Namespace,
    Type,
    /// What is like another type.
    Plain(DataType),
}

fn system_type(datatype: &ast::DataType) -> Option<SystemType> {
    let name = match datatype {
        ast::DataType::Regclass => "regclass".to_string(),
        ast::DataType::Array(_) => datatype.to_string(),
        ast::DataType::Custom(name, modifiers) if modifiers.is_empty() => name.to_string(),
        _ => return None,
    };
    let name = name.to_ascii_lowercase();
    let (qualified, name) = match name.strip_prefix("pg_catalog.") {
        Some(name) => (true, name),
        None => (false, name.as_str()),
    };
    Some(match name {
        "regclass" => SystemType::Class,
        "regnamespace" => SystemType::Namespace,
        "regtype" => SystemType::Type,
        "oid" | "int2" | "int4" | "int8" => SystemType::Plain(DataType::Integer),
        "text" | "name" | "\"char\"" | "varchar" => SystemType::Plain(DataType::Text),
        "bool" => SystemType::Plain(DataType::Boolean),
        "float8" => SystemType::Plain(DataType::Float),
        // Arrays of the catalog are texts.
        name if qualified && name.ends_with("[]") => SystemType::Plain(DataType::Text),
        _ => return None,
    })
}

/// A cast to a type of the system catalog, if it is one.
pub(super) fn cast(expr: &ast::Expr, to: &ast::DataType) -> Result<Option<Expr>> {
    let Some(to) = system_type(to) else { return Ok(None) };
    let expr = convert(expr.clone())?;
    Ok(Some(match (to, expr) {
        (SystemType::Class, Expr::Literal(Value::Text(name))) => match name.parse() {
            Ok(oid) => Expr::Literal(Value::Integer(oid)),
            Err(_) => relation(&name),
        },
        (SystemType::Class, expr) => class_name(expr),
        (SystemType::Namespace, expr) => function("regnamespace", vec![expr]),
        (SystemType::Type, expr) => function("format_type", vec![expr, Expr::Literal(Value::Integer(-1))]),
        (SystemType::Plain(datatype), expr) => Expr::Cast(Box::new(expr), datatype),
    }))
}

/// The name of a relation by its number; of an unknown one, the number. It stands in the query once, however it is used.
fn class_name(oid: Expr) -> Expr {
    let number = plain(select(vec![oid], Vec::new(), None));
    let alias = Some(Alias { name: "$cast".to_string(), columns: vec!["$number".to_string()], whole: true });
    let from = vec![From::Query { query: Box::new(number), lateral: false, alias }];
    let name = definition("relation", column("$number"), None);
    let shown = function("coalesce", vec![name, Expr::Cast(Box::new(column("$number")), DataType::Text)]);
    Expr::Scalar(Box::new(plain(select(vec![shown], from, None))))
}

/// The call of a function that gives the definition of an object, if it is one.
pub(super) fn call(name: &str, args: &[Expr]) -> Option<Expr> {
    let kind = match name {
        "pg_get_indexdef" => "index",
        "pg_get_constraintdef" => "constraint",
        "pg_get_viewdef" => "view",
        "to_regclass" => match args {
            [Expr::Literal(Value::Text(name))] => return Some(relation(name)),
            _ => return None,
        },
        _ => return None,
    };
    match (kind, args) {
        (kind, [oid]) => Some(definition(kind, oid.clone(), None)),
        ("index", [oid, part, _]) => Some(definition("index", oid.clone(), Some(part.clone()))),
        ("constraint" | "view", [oid, _]) => Some(definition(kind, oid.clone(), None)),
        _ => None,
    }
}

fn column(name: &str) -> Expr {
    Expr::Column { table: None, name: name.to_string(), position: Position::default() }
}

fn text(text: &str) -> Expr {
    Expr::Literal(text.into())
}

fn equal(a: Expr, b: Expr) -> Expr {
    Expr::Binary(Binary::Equal, Box::new(a), Box::new(b))
}

fn and(a: Expr, b: Expr) -> Expr {
    Expr::Binary(Binary::And, Box::new(a), Box::new(b))
}

fn select(items: Vec<Expr>, from: Vec<From>, filter: Option<Expr>) -> Body {
    let items = items.into_iter().map(|expr| Item::Expr { expr, alias: None }).collect();
    Body::Select(Box::new(Select { distinct: false, items, from, filter, group_by: Vec::new(), having: None }))
}

fn plain(body: Body) -> Query {
    Query { recursive: false, with: Vec::new(), body, order_by: Vec::new(), limit: None, offset: None }
}

/// A query of the definitions, whose columns have names that nobody else has.
fn definitions(column_name: &str, filter: Expr) -> Expr {
    let name = Name {
        schema: Some("pg_catalog".to_string()),
        name: "$definitions".to_string(),
        position: Position::default(),
    };
    let from = vec![From::Table { name, alias: None }];
    Expr::Scalar(Box::new(plain(select(vec![column(column_name)], from, Some(filter)))))
}

fn definition(kind: &str, oid: Expr, part: Option<Expr>) -> Expr {
    let part = part.unwrap_or(Expr::Literal(Value::Integer(0)));
    let filter = and(equal(column("$kind"), text(kind)), equal(column("$part"), part));
    definitions("$text", and(filter, equal(column("$oid"), oid)))
}

/// The number of a relation by its name, as a text has it.
fn relation(name: &str) -> Expr {
    let name = name.strip_prefix("public.").or_else(|| name.strip_prefix("pg_catalog.")).unwrap_or(name);
    let name = match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => name.to_ascii_lowercase(),
    };
    definitions("$oid", and(equal(column("$kind"), text("relation")), equal(column("$text"), text(&name))))
}

/// ANY of an array, where that is a text.
pub(super) fn any(left: ast::Expr, op: Binary, array: ast::Expr) -> Result<Expr> {
    if op != Binary::Equal {
        return Err(Error::unsupported("ANY of what is no query, but for ="));
    }
    Ok(function("array_contains", vec![convert(array)?, convert(left)?]))
}

/// ARRAY of a query: the text of an array of its values, in their order.
pub(super) fn array(query: ast::Query) -> Result<Expr> {
    let query = Box::new(query::convert(query)?);
    let alias = Some(Alias { name: "$array".to_string(), columns: vec!["$element".to_string()], whole: false });
    let from = vec![From::Query { query, lateral: false, alias }];
    let element = Expr::Cast(Box::new(column("$element")), DataType::Text);
    let joined = function("string_agg", vec![element, text(",")]);
    let joined = function("coalesce", vec![joined, text("")]);
    let array = function("concat", vec![text("{"), joined, text("}")]);
    Ok(Expr::Scalar(Box::new(plain(select(vec![array], from, None)))))
}

/// A function in FROM.
pub(super) fn rows(name: &str, args: Vec<Expr>, ordinality: bool, alias: Option<Alias>) -> Result<From> {
    let count = args.len();
    let wrong = || {
        let message = format!("{name} does not take {count} arguments");
        Error::new(SqlState::UNDEFINED_FUNCTION, message)
    };
    let query = match (name, ordinality) {
        ("generate_series", false) => {
            let [first, last] = <[Expr; 2]>::try_from(args).map_err(|_| wrong())?;
            series(first, last)
        }
        // There are no partitions.
        ("pg_partition_ancestors", _) => {
            let null = Expr::Cast(Box::new(Expr::Literal(Value::Null)), DataType::Integer);
            let items = if ordinality { vec![null.clone(), null] } else { vec![null] };
            plain(select(items, Vec::new(), Some(Expr::Literal(Value::Boolean(false)))))
        }
        _ => return Err(Error::unsupported(format!("the function {name} in FROM"))),
    };
    // A function with one column gives it its own name.
    let alias = match alias {
        None => Alias { name: name.to_string(), columns: vec![name.to_string()], whole: false },
        Some(Alias { name, columns, .. }) if columns.is_empty() && !ordinality => {
            Alias { columns: vec![name.clone()], name, whole: false }
        }
        Some(alias) => alias,
    };
    Ok(From::Query { query: Box::new(query), lateral: true, alias: Some(alias) })
}

/// The integers from one to another.
fn series(first: Expr, last: Expr) -> Query {
    let name = "$series".to_string();
    let integer = |expr| Expr::Cast(Box::new(expr), DataType::Integer);
    let bounds = From::Query {
        query: Box::new(plain(select(vec![integer(first), integer(last)], Vec::new(), None))),
        lateral: false,
        alias: Some(Alias {
            name: "$bounds".to_string(),
            columns: vec!["$n".to_string(), "$last".to_string()],
            whole: false,
        }),
    };
    let binary = |op, a, b| Expr::Binary(op, Box::new(a), Box::new(b));
    let within = binary(Binary::LessOrEqual, column("$n"), column("$last"));
    let start = select(vec![column("$n"), column("$last")], vec![bounds], Some(within));
    let table = || {
        let name = Name { schema: None, name: name.clone(), position: Position::default() };
        vec![From::Table { name, alias: None }]
    };
    let next = binary(Binary::Add, column("$n"), Expr::Literal(Value::Integer(1)));
    let more = binary(Binary::Less, column("$n"), column("$last"));
    let step = select(vec![next, column("$last")], table(), Some(more));
    let (left, right) = (Box::new(start), Box::new(step));
    let body = Body::Set { operator: SetOperator::Union, all: true, left, right };
    let columns = vec!["$n".to_string(), "$last".to_string()];
    let common = Common { name: name.clone(), columns, query: plain(body) };
    let body = select(vec![column("$n")], table(), None);
    Query { recursive: true, with: vec![common], ..plain(body) }
}
