//! Queries: SELECT, VALUES, WITH, and what combines them.

use sqlparser::ast::{self, SetExpr, TableFactor};

use super::super::algebra::{JoinKind, SetOperator};
use super::super::ast::{Alias, Body, Common, From, Item, JoinCondition, Order, Query, Select};
use super::super::error::{Error, SqlState};
use super::depth::balanced;
use super::{Result, expression, refuse, statement, system};

/// The most tables in one FROM, and common tables in one WITH, which are as deep in the plan.
const MAX_TABLES: usize = 128;

pub(super) fn check_tables(count: usize) -> Result<()> {
    if count > MAX_TABLES {
        let message = format!("at most {MAX_TABLES} tables can be named in one place");
        return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, message));
    }
    Ok(())
}

pub(super) fn convert(query: ast::Query) -> Result<Query> {
    let ast::Query {
        with,
        body,
        order_by,
        limit_clause,
        fetch,
        locks,
        for_clause,
        settings,
        format_clause,
        pipe_operators,
    } = query;
    refuse!(
        !locks.is_empty() => "FOR UPDATE", for_clause.is_some() => "FOR",
        settings.is_some() || format_clause.is_some() => "a SETTINGS or FORMAT clause",
        !pipe_operators.is_empty() => "|>",
    );
    let (recursive, with) = match with {
        None => (false, Vec::new()),
        Some(ast::With { with_token: _, recursive, cte_tables }) => {
            check_tables(cte_tables.len())?;
            (recursive, cte_tables.into_iter().map(common).collect::<Result<_>>()?)
        }
    };
    let order_by = match order_by {
        None => Vec::new(),
        Some(ast::OrderBy { kind: ast::OrderByKind::Expressions(expressions), interpolate: None }) => {
            expressions.into_iter().map(order).collect::<Result<_>>()?
        }
        Some(_) => return Err(Error::unsupported("ORDER BY ALL")),
    };
    let (mut limit, offset) = match limit_clause {
        None => (None, None),
        Some(ast::LimitClause::LimitOffset { limit, offset, limit_by }) => {
            refuse!(!limit_by.is_empty() => "LIMIT BY");
            (limit, offset.map(|offset| offset.value))
        }
        Some(ast::LimitClause::OffsetCommaLimit { offset, limit }) => (Some(limit), Some(offset)),
    };
    if let Some(ast::Fetch { with_ties, percent, quantity }) = fetch {
        refuse!(with_ties => "FETCH ... WITH TIES", percent => "FETCH ... PERCENT");
        let one = || ast::Expr::value(ast::Value::Number("1".into(), false));
        if limit.replace(quantity.unwrap_or_else(one)).is_some() {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "both LIMIT and FETCH are given"));
        }
    }
    Ok(Query {
        recursive,
        with,
        body: self::body(*body)?,
        order_by,
        limit: limit.map(expression::convert).transpose()?,
        offset: offset.map(expression::convert).transpose()?,
    })
}

pub(super) fn common(common: ast::Cte) -> Result<Common> {
    let ast::Cte { alias, query, from, materialized: _, closing_paren_token: _ } = common;
    refuse!(from.is_some() => "FROM of a common table");
    let Alias { name, columns, .. } = self::alias(alias)?;
    Ok(Common { name, columns, query: convert(*query)? })
}

fn body(body: SetExpr) -> Result<Body> {
    Ok(match body {
        SetExpr::Select(select) => Body::Select(Box::new(self::select(*select)?)),
        SetExpr::Query(query) => Body::Query(Box::new(convert(*query)?)),
        SetExpr::Values(ast::Values { explicit_row, value_keyword, rows }) => {
            refuse!(explicit_row => "VALUES ROW", value_keyword => "VALUE");
            let rows = rows.into_iter().map(|row| row.content.into_iter().map(expression::convert).collect());
            Body::Values(rows.collect::<Result<_>>()?)
        }
        chain @ SetExpr::SetOperation { .. } => set_operations(chain)?,
        SetExpr::Table(_) => return Err(Error::unsupported("TABLE")),
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
            return Err(Error::unsupported("a write in a query"));
        }
    })
}

/// A chain of set operations, which the parser has grouped to the left. It may be long, so it is not walked by recursion.
fn set_operations(chain: SetExpr) -> Result<Body> {
    let mut rest = Vec::new();
    let mut first = chain;
    while let SetExpr::SetOperation { left, op, set_quantifier, right } = first {
        let operator = match op {
            ast::SetOperator::Union => SetOperator::Union,
            ast::SetOperator::Intersect => SetOperator::Intersect,
            ast::SetOperator::Except => SetOperator::Except,
            ast::SetOperator::Minus => return Err(Error::unsupported("MINUS").with_hint("write EXCEPT")),
        };
        let all = match set_quantifier {
            ast::SetQuantifier::All => true,
            ast::SetQuantifier::Distinct | ast::SetQuantifier::None => false,
            other => return Err(Error::unsupported(format!("{op} {other}"))),
        };
        rest.push(((operator, all), *right));
        first = *left;
    }
    let mut result = body(first)?;
    let mut rest = rest.into_iter().rev().peekable();
    while let Some((operation, operand)) = rest.next() {
        let mut operands = vec![result, body(operand)?];
        // Any grouping gives the same, but of differences.
        while operation.0 != SetOperator::Except
            && let Some((_, operand)) = rest.next_if(|(next, _)| *next == operation)
        {
            operands.push(body(operand)?);
        }
        let (operator, all) = operation;
        result = balanced(operands, |left, right| {
            let (left, right) = (Box::new(left), Box::new(right));
            Body::Set { operator, all, left, right }
        });
    }
    Ok(result)
}

fn select(select: ast::Select) -> Result<Select> {
    let ast::Select {
        select_token: _,
        optimizer_hints,
        distinct,
        select_modifiers,
        top,
        top_before_distinct: _,
        projection,
        exclude,
        into,
        from,
        lateral_views,
        prewhere,
        selection,
        connect_by,
        group_by,
        cluster_by,
        distribute_by,
        sort_by,
        having,
        named_window,
        qualify,
        window_before_qualify: _,
        value_table_mode,
        flavor,
    } = select;
    refuse!(
        matches!(distinct, Some(ast::Distinct::On(_))) => "DISTINCT ON", !named_window.is_empty() => "WINDOW",
        top.is_some() => "TOP", into.is_some() => "SELECT INTO", qualify.is_some() => "QUALIFY",
        !lateral_views.is_empty() => "LATERAL VIEW", prewhere.is_some() => "PREWHERE",
        !connect_by.is_empty() => "CONNECT BY", !cluster_by.is_empty() => "CLUSTER BY",
        !distribute_by.is_empty() => "DISTRIBUTE BY", !sort_by.is_empty() => "SORT BY",
        exclude.is_some() => "EXCLUDE", value_table_mode.is_some() => "SELECT AS",
        select_modifiers.is_some() => "a SELECT modifier", !optimizer_hints.is_empty() => "an optimizer hint",
        flavor != ast::SelectFlavor::Standard => "FROM before SELECT",
    );
    let group_by = match group_by {
        ast::GroupByExpr::All(_) => return Err(Error::unsupported("GROUP BY ALL")),
        ast::GroupByExpr::Expressions(expressions, modifiers) => {
            refuse!(!modifiers.is_empty() => "a GROUP BY modifier");
            expressions.into_iter().map(expression::convert).collect::<Result<_>>()?
        }
    };
    Ok(Select {
        distinct: matches!(distinct, Some(ast::Distinct::Distinct)),
        items: projection.into_iter().map(item).collect::<Result<_>>()?,
        from: self::from(from)?,
        filter: selection.map(expression::condition).transpose()?,
        group_by,
        having: having.map(expression::convert).transpose()?,
    })
}

pub(super) fn item(item: ast::SelectItem) -> Result<Item> {
    let plain = |options: &ast::WildcardAdditionalOptions| {
        let ast::WildcardAdditionalOptions { wildcard_token, .. } = options;
        let bare = ast::WildcardAdditionalOptions { wildcard_token: wildcard_token.clone(), ..Default::default() };
        if *options == bare { Ok(()) } else { Err(Error::unsupported(format!("*{options}"))) }
    };
    Ok(match item {
        ast::SelectItem::UnnamedExpr(expr) => Item::Expr { expr: expression::convert(expr)?, alias: None },
        ast::SelectItem::ExprWithAlias { expr, alias } => {
            Item::Expr { expr: expression::convert(expr)?, alias: Some(statement::name(alias)?) }
        }
        ast::SelectItem::ExprWithAliases { .. } => return Err(Error::unsupported("several aliases")),
        ast::SelectItem::Wildcard(options) => {
            plain(&options)?;
            Item::All { table: None }
        }
        ast::SelectItem::QualifiedWildcard(kind, options) => {
            plain(&options)?;
            match kind {
                ast::SelectItemQualifiedWildcardKind::ObjectName(table) => {
                    Item::All { table: Some(statement::plain(table)?) }
                }
                ast::SelectItemQualifiedWildcardKind::Expr(_) => return Err(Error::unsupported("* of an expression")),
            }
        }
    })
}

fn order(order: ast::OrderByExpr) -> Result<Order> {
    let ast::OrderByExpr { expr, options: ast::OrderByOptions { sort, nulls_first }, with_fill } = order;
    refuse!(with_fill.is_some() => "WITH FILL");
    let descending = match sort {
        None | Some(ast::OrderBySort::Asc) => false,
        Some(ast::OrderBySort::Desc) => true,
        Some(ast::OrderBySort::Using(_)) => return Err(Error::unsupported("ORDER BY ... USING")),
    };
    // As in PostgreSQL, NULL counts as larger than everything.
    Ok(Order { expr: expression::convert(expr)?, descending, nulls_first: nulls_first.unwrap_or(descending) })
}

/// The tables between the commas of FROM.
pub(super) fn from(from: Vec<ast::TableWithJoins>) -> Result<Vec<From>> {
    check_tables(from.iter().map(|table| 1 + table.joins.len()).sum())?;
    from.into_iter().map(joins).collect()
}

fn joins(table: ast::TableWithJoins) -> Result<From> {
    use ast::JoinOperator as Op;
    let mut left = factor(table.relation)?;
    for ast::Join { relation, global, join_operator } in table.joins {
        refuse!(global => "GLOBAL JOIN");
        let (kind, constraint) = match join_operator {
            Op::Join(constraint) | Op::Inner(constraint) => (JoinKind::Inner, constraint),
            Op::Left(constraint) | Op::LeftOuter(constraint) => (JoinKind::Left, constraint),
            Op::Right(constraint) | Op::RightOuter(constraint) => (JoinKind::Right, constraint),
            Op::FullOuter(constraint) => (JoinKind::Full, constraint),
            Op::CrossJoin(ast::JoinConstraint::None) => {
                let (left_side, right) = (Box::new(left), Box::new(factor(relation)?));
                let condition = JoinCondition::None;
                left = From::Join { left: left_side, right, kind: JoinKind::Inner, condition };
                continue;
            }
            _ => return Err(Error::unsupported("this kind of JOIN")),
        };
        let condition = match constraint {
            ast::JoinConstraint::On(expr) => JoinCondition::On(expression::convert(expr)?),
            ast::JoinConstraint::Using(columns) => {
                JoinCondition::Using(columns.into_iter().map(statement::plain).collect::<Result<_>>()?)
            }
            ast::JoinConstraint::Natural => JoinCondition::Natural,
            ast::JoinConstraint::None => {
                let error = Error::new(SqlState::SYNTAX_ERROR, "JOIN has no condition");
                return Err(error.with_hint("add ON or USING, or write CROSS JOIN"));
            }
        };
        left = From::Join { left: Box::new(left), right: Box::new(factor(relation)?), kind, condition };
    }
    Ok(left)
}

fn factor(table: TableFactor) -> Result<From> {
    match table {
        TableFactor::Table {
            name,
            alias,
            args,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
        } => {
            refuse!(
                !with_hints.is_empty() || !index_hints.is_empty() => "a table hint",
                version.is_some() => "a version of a table",
                with_ordinality && args.is_none() => "WITH ORDINALITY", !partitions.is_empty() => "PARTITION",
                json_path.is_some() => "a JSON path", sample.is_some() => "TABLESAMPLE",
            );
            let alias = alias.map(self::alias).transpose()?;
            let Some(ast::TableFunctionArgs { args, settings: None }) = args else {
                refuse!(args.is_some() => "SETTINGS of a table function");
                return Ok(From::Table { name: statement::object(name)?, alias });
            };
            let args = args.into_iter().map(|arg| match arg {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => expression::convert(expr),
                other => Err(Error::unsupported(format!("the argument {other}"))),
            });
            let args = args.collect::<Result<_>>()?;
            system::rows(&statement::called(name)?.name, args, with_ordinality, alias)
        }
        TableFactor::Derived { lateral, subquery, alias, sample } => {
            refuse!(sample.is_some() => "TABLESAMPLE");
            let query = Box::new(convert(*subquery)?);
            Ok(From::Query { query, lateral, alias: alias.map(self::alias).transpose()? })
        }
        TableFactor::NestedJoin { table_with_joins, alias } => {
            refuse!(alias.is_some() => "an alias of a join");
            check_tables(table_with_joins.joins.len() + 1)?;
            joins(*table_with_joins)
        }
        other => Err(Error::unsupported(format!("{other} in FROM"))),
    }
}

fn alias(alias: ast::TableAlias) -> Result<Alias> {
    let ast::TableAlias { explicit: _, name, columns, at } = alias;
    refuse!(at.is_some() => "AT in an alias", columns.iter().any(|column| column.data_type.is_some()) => "a typed alias");
    let columns = columns.into_iter().map(|column| statement::name(column.name)).collect::<Result<_>>()?;
    Ok(Alias { name: statement::name(name)?, columns, whole: false })
}
