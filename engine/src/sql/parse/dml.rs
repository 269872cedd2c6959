//! INSERT, UPDATE and DELETE.

use sqlparser::ast::{self, SetExpr, TableFactor};

use super::super::ast::{
    Assignment, Body, Conflict, ConflictTarget, Delete, From, Insert, Item, Name, Node, Query, Source, Update,
};
use super::super::error::Error;
use super::{Result, expression, query, refuse, statement};

pub(super) fn insert(statement: ast::Insert) -> Result<Insert> {
    let ast::Insert {
        insert_token: _,
        optimizer_hints,
        or,
        ignore,
        into: _,
        table,
        table_alias,
        columns,
        overwrite,
        source,
        assignments,
        partitioned,
        after_columns,
        has_table_keyword,
        on,
        returning,
        output,
        replace_into,
        priority,
        insert_alias,
        settings,
        format_clause,
        multi_table_insert_type,
        multi_table_into_clauses,
        multi_table_when_clauses,
        multi_table_else_clause,
    } = statement;
    refuse!(
        or.is_some() => "INSERT OR", ignore => "INSERT IGNORE", overwrite => "INSERT OVERWRITE",
        output.is_some() => "OUTPUT",
        replace_into => "REPLACE", priority.is_some() => "an INSERT priority", partitioned.is_some() => "PARTITION",
        insert_alias.is_some() => "an alias in INSERT",
        !assignments.is_empty() => "INSERT ... SET", !after_columns.is_empty() => "columns after PARTITION",
        has_table_keyword => "INSERT INTO TABLE", settings.is_some() || format_clause.is_some() => "INSERT settings",
        multi_table_insert_type.is_some() || !multi_table_into_clauses.is_empty() => "INSERT into several tables",
        !multi_table_when_clauses.is_empty() || multi_table_else_clause.is_some() => "INSERT into several tables",
        !optimizer_hints.is_empty() => "an optimizer hint",
    );
    let ast::TableObject::TableName(table) = table else { return Err(Error::unsupported("INSERT into a function")) };
    let alias = match table_alias {
        None => None,
        Some(ast::TableAliasWithoutColumns { explicit: _, alias }) => Some(statement::name(alias)?),
    };
    let source = match source {
        None => Source::Default,
        Some(source) => self::source(*source)?,
    };
    let conflict = match on {
        None => None,
        Some(ast::OnInsert::OnConflict(conflict)) => Some(self::conflict(conflict)?),
        Some(_) => return Err(Error::unsupported("ON DUPLICATE KEY UPDATE").with_hint("write ON CONFLICT")),
    };
    Ok(Insert {
        table: statement::user_object(table)?,
        alias,
        columns: columns.into_iter().map(statement::plain).collect::<Result<_>>()?,
        source,
        conflict,
        returning: self::returning(returning)?,
    })
}

/// A query, or a statement that writes with WITH in front. The common tables of INSERT are those of the query that it
/// inserts.
pub(super) fn query(mut query: ast::Query) -> Result<Node> {
    if !matches!(&*query.body, SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_)) {
        return Ok(Node::Query(Box::new(query::convert(query)?)));
    }
    let bare = query.order_by.is_none() && query.limit_clause.is_none() && query.fetch.is_none();
    refuse!(!bare || !query.locks.is_empty() => "a clause after INSERT, UPDATE or DELETE");
    let (recursive, with) = match query.with.take() {
        None => (false, Vec::new()),
        Some(ast::With { with_token: _, recursive, cte_tables }) => {
            query::check_tables(cte_tables.len())?;
            (recursive, cte_tables.into_iter().map(query::common).collect::<Result<_>>()?)
        }
    };
    Ok(match *query.body {
        SetExpr::Insert(ast::Statement::Insert(statement)) => {
            let mut insert = insert(statement)?;
            if !with.is_empty() {
                let body = match insert.source {
                    Source::Query(inner) => Body::Query(inner.into()),
                    Source::Values(_) | Source::Default => {
                        return Err(Error::unsupported("WITH before INSERT of values"));
                    }
                };
                let (order_by, limit, offset) = (Vec::new(), None, None);
                insert.source = Source::Query(Query { recursive, with, body, order_by, limit, offset });
            }
            Node::Insert(Box::new(insert))
        }
        SetExpr::Update(ast::Statement::Update(statement)) => {
            Node::Update(Box::new(Update { recursive, with, ..update(statement)? }))
        }
        SetExpr::Delete(ast::Statement::Delete(statement)) => {
            Node::Delete(Box::new(Delete { recursive, with, ..delete(statement)? }))
        }
        _ => return Err(Error::unsupported("WITH before this statement")),
    })
}

fn source(source: ast::Query) -> Result<Source> {
    let bare = source.with.is_none() && source.order_by.is_none() && source.limit_clause.is_none();
    match *source.body {
        // Only these have DEFAULT.
        SetExpr::Values(ast::Values { explicit_row: false, value_keyword: false, rows })
            if bare && source.fetch.is_none() =>
        {
            let rows =
                rows.into_iter().map(|row| row.content.into_iter().map(expression::convert_or_default).collect());
            Ok(Source::Values(rows.collect::<Result<_>>()?))
        }
        body => Ok(Source::Query(query::convert(ast::Query { body: Box::new(body), ..source })?)),
    }
}

fn conflict(conflict: ast::OnConflict) -> Result<Conflict> {
    let target = match conflict.conflict_target {
        None => ConflictTarget::Any,
        Some(ast::ConflictTarget::Columns(columns)) => ConflictTarget::Columns(statement::names(columns)?),
        Some(ast::ConflictTarget::OnConstraint(name)) => ConflictTarget::Constraint(statement::plain(name)?),
    };
    let update = match conflict.action {
        ast::OnConflictAction::DoNothing => None,
        ast::OnConflictAction::DoUpdate(ast::DoUpdate { assignments, selection }) => {
            Some((self::assignments(assignments)?, selection.map(expression::convert).transpose()?))
        }
    };
    Ok(Conflict { target, update })
}

fn assignments(assignments: Vec<ast::Assignment>) -> Result<Vec<Assignment>> {
    let mut converted = Vec::with_capacity(assignments.len());
    for ast::Assignment { target, value } in assignments {
        match target {
            ast::AssignmentTarget::ColumnName(column) => {
                converted.push((statement::plain(column)?, expression::convert_or_default(value)?));
            }
            ast::AssignmentTarget::Tuple(columns) => {
                let ast::Expr::Tuple(values) = value else {
                    return Err(Error::unsupported("SET of several columns to a query"));
                };
                refuse!(values.len() != columns.len() => "SET of several columns to another number of values");
                for (column, value) in columns.into_iter().zip(values) {
                    converted.push((statement::plain(column)?, expression::convert_or_default(value)?));
                }
            }
        }
    }
    Ok(converted)
}

fn returning(returning: Option<Vec<ast::SelectItem>>) -> Result<Option<Vec<Item>>> {
    returning.map(|items| items.into_iter().map(query::item).collect()).transpose()
}

/// The table that is written, and its alias.
fn target(table: ast::TableWithJoins) -> Result<(Name, Option<String>)> {
    refuse!(
        !table.joins.is_empty() => "a write to a join",
        !matches!(table.relation, TableFactor::Table { .. }) => "a write to what is no table",
    );
    let [From::Table { name, alias }] = &query::from(vec![table])?[..] else {
        unreachable!("a table without joins is one table")
    };
    refuse!(alias.as_ref().is_some_and(|alias| !alias.columns.is_empty()) => "an alias with columns");
    if let Some(schema) = &name.schema {
        let message = format!("{schema:?} is the system's");
        return Err(Error::new(crate::sql::SqlState::INSUFFICIENT_PRIVILEGE, message).at(name.position.0));
    }
    Ok((name.clone(), alias.as_ref().map(|alias| alias.name.clone())))
}

pub(super) fn update(statement: ast::Update) -> Result<Update> {
    let ast::Update {
        update_token: _,
        optimizer_hints,
        table,
        assignments,
        from,
        selection,
        returning,
        output,
        or,
        order_by,
        limit,
    } = statement;
    refuse!(
        output.is_some() => "OUTPUT", or.is_some() => "UPDATE OR", !order_by.is_empty() => "UPDATE ... ORDER BY",
        limit.is_some() => "UPDATE ... LIMIT", !optimizer_hints.is_empty() => "an optimizer hint",
    );
    let from = match from {
        None => Vec::new(),
        Some(ast::UpdateTableFromKind::AfterSet(from)) => query::from(from)?,
        Some(ast::UpdateTableFromKind::BeforeSet(_)) => return Err(Error::unsupported("UPDATE FROM before SET")),
    };
    let (table, alias) = target(table)?;
    Ok(Update {
        recursive: false,
        with: Vec::new(),
        table,
        alias,
        assignments: self::assignments(assignments)?,
        from,
        filter: selection.map(expression::convert).transpose()?,
        returning: self::returning(returning)?,
    })
}

pub(super) fn delete(statement: ast::Delete) -> Result<Delete> {
    let ast::Delete {
        delete_token: _,
        optimizer_hints,
        tables,
        from,
        using,
        selection,
        returning,
        output,
        order_by,
        limit,
    } = statement;
    refuse!(
        !tables.is_empty() => "DELETE from several tables", output.is_some() => "OUTPUT",
        !order_by.is_empty() => "DELETE ... ORDER BY", limit.is_some() => "DELETE ... LIMIT",
        !optimizer_hints.is_empty() => "an optimizer hint",
    );
    let ast::FromTable::WithFromKeyword(mut from) = from else { return Err(Error::unsupported("DELETE without FROM")) };
    let (Some(table), true) = (from.pop(), from.is_empty()) else {
        return Err(Error::unsupported("DELETE from several tables"));
    };
    let (table, alias) = target(table)?;
    Ok(Delete {
        recursive: false,
        with: Vec::new(),
        table,
        alias,
        using: query::from(using.unwrap_or_default())?,
        filter: selection.map(expression::convert).transpose()?,
        returning: self::returning(returning)?,
    })
}
