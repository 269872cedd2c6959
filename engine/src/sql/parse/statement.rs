//! Statements.

use sqlparser::ast::helpers::stmt_create_table::CreateTableBuilder;
use sqlparser::ast::{self, SetExpr, TableFactor};

use super::super::ast::{ColumnDef, CreateTable, Delete, Insert, Item, Kind, Node, Order, Select, Table, Update};
use super::super::error::{Error, SqlState};
use super::super::types::DataType;
use super::{expression, position};

type Result<T> = std::result::Result<T, Error>;

/// Refuses the constructs that are present.
macro_rules! refuse {
    ($($present:expr => $name:expr),* $(,)?) => {
        $(if $present {
            return Err(Error::unsupported($name));
        })*
    };
}

/// The longest identifier, in bytes.
const MAX_NAME: usize = 128;

/// An identifier: as it stands when quoted, else in lower case.
pub(super) fn name(ident: ast::Ident) -> Result<String> {
    let ast::Ident { value, quote_style, span } = ident;
    let refused = |state, message: String| Err(Error::new(state, message).at(position(span.start)));
    if value.is_empty() {
        refused(SqlState::SYNTAX_ERROR, "a name is empty".into())
    } else if quote_style == Some('\'') {
        let error = refused(SqlState::SYNTAX_ERROR, format!("the text '{value}' stands in the place of a name"));
        error.map_err(|error| error.with_hint("put names into double quotes, if into any"))
    } else if value.len() > MAX_NAME {
        let message = format!("a name has {} bytes, at most {MAX_NAME} are allowed", value.len());
        refused(SqlState::NAME_TOO_LONG, message)
    } else {
        Ok(if quote_style.is_some() { value } else { value.to_ascii_lowercase() })
    }
}

/// A name without a schema.
fn object_name(object: ast::ObjectName) -> Result<String> {
    match <[ast::ObjectNamePart; 1]>::try_from(object.0) {
        Ok([ast::ObjectNamePart::Identifier(ident)]) => name(ident),
        Ok([part]) => Err(Error::unsupported(format!("the name {part}"))),
        Err(parts) => Err(Error::unsupported(format!("the qualified name {}", ast::ObjectName(parts)))),
    }
}

pub(super) fn convert(statement: ast::Statement) -> Result<Node> {
    Ok(match statement {
        ast::Statement::Commit { chain, end: _, modifier } => {
            // END is COMMIT.
            refuse!(chain => "COMMIT AND CHAIN", modifier.is_some() => "END with a modifier");
            Node::Transaction(Kind::Commit)
        }
        ast::Statement::Rollback { chain, savepoint } => {
            refuse!(chain => "ROLLBACK AND CHAIN", savepoint.is_some() => "SAVEPOINT");
            Node::Transaction(Kind::Rollback)
        }
        ast::Statement::CreateTable(table) => Node::CreateTable(create_table(table)?),
        ast::Statement::Drop { object_type, if_exists, names, cascade, restrict: _, purge, temporary, table } => {
            refuse!(
                object_type != ast::ObjectType::Table => format!("DROP {object_type}"),
                cascade => "DROP TABLE CASCADE", purge => "PURGE", temporary => "TEMPORARY",
                table.is_some() => "DROP ... ON",
            );
            Node::DropTable { names: names.into_iter().map(object_name).collect::<Result<_>>()?, if_exists }
        }
        ast::Statement::Insert(statement) => Node::Insert(insert(statement)?),
        ast::Statement::Update(statement) => Node::Update(update(statement)?),
        ast::Statement::Delete(statement) => Node::Delete(delete(statement)?),
        ast::Statement::Query(query) => Node::Select(select(*query)?),
        ast::Statement::Explain {
            describe_alias,
            analyze,
            verbose,
            query_plan,
            estimate,
            statement,
            format,
            options,
        } => {
            refuse!(
                describe_alias != ast::DescribeAlias::Explain => "DESCRIBE",
                analyze => "EXPLAIN ANALYZE", verbose => "EXPLAIN VERBOSE", query_plan => "EXPLAIN QUERY PLAN",
                estimate => "EXPLAIN ESTIMATE", format.is_some() => "EXPLAIN FORMAT",
                options.is_some() => "EXPLAIN with options",
            );
            match convert(*statement)? {
                node @ (Node::Select(_) | Node::Insert(_) | Node::Update(_) | Node::Delete(_)) => {
                    Node::Explain(Box::new(node))
                }
                _ => return Err(Error::unsupported("EXPLAIN of this statement")),
            }
        }
        other => {
            let text = other.to_string();
            let words: Vec<&str> = text.split_whitespace().take(2).collect();
            return Err(Error::unsupported(words.join(" ")));
        }
    })
}

fn create_table(table: ast::CreateTable) -> Result<CreateTable> {
    // Everything that is not taken here must be as in a statement that does not mention it.
    let plain = CreateTableBuilder::new(table.name.clone())
        .if_not_exists(table.if_not_exists)
        .columns(table.columns.clone())
        .constraints(table.constraints.clone())
        .build();
    if table != plain {
        return Err(Error::unsupported(format!("a clause of {table}")));
    }
    let mut columns: Vec<ColumnDef> = table.columns.into_iter().map(column).collect::<Result<_>>()?;
    for constraint in table.constraints {
        let (index_columns, primary) = match constraint {
            ast::TableConstraint::PrimaryKey(key) => {
                refuse!(!key.include.is_empty() || key.characteristics.is_some() => "a clause of PRIMARY KEY");
                (key.columns, true)
            }
            ast::TableConstraint::Unique(key) => {
                let nulls_not_distinct = key.nulls_distinct == ast::NullsDistinctOption::NotDistinct;
                refuse!(
                    nulls_not_distinct => "NULLS NOT DISTINCT",
                    !key.include.is_empty() || key.characteristics.is_some() => "a clause of UNIQUE",
                );
                (key.columns, false)
            }
            ast::TableConstraint::ForeignKey(_) => return Err(Error::unsupported("FOREIGN KEY")),
            ast::TableConstraint::Check(_) => return Err(Error::unsupported("CHECK")),
            other => return Err(Error::unsupported(format!("the constraint {other}"))),
        };
        let kind = if primary { "PRIMARY KEY" } else { "UNIQUE" };
        let [index_column] = index_columns.as_slice() else {
            return Err(Error::unsupported(format!("{kind} over several columns")));
        };
        let ast::Expr::Identifier(ident) = &index_column.column.expr else {
            return Err(Error::unsupported(format!("{kind} over an expression")));
        };
        let wanted = name(ident.clone())?;
        let column = columns.iter_mut().find(|column| column.name == wanted).ok_or_else(|| {
            Error::new(SqlState::UNDEFINED_COLUMN, format!("{kind} names the column {wanted:?}, which does not exist"))
        })?;
        if primary && std::mem::replace(&mut column.primary_key, true) {
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, "a table has one primary key"));
        }
        column.unique |= !primary;
    }
    Ok(CreateTable { name: object_name(table.name)?, if_not_exists: table.if_not_exists, columns })
}

fn column(column: ast::ColumnDef) -> Result<ColumnDef> {
    let (datatype, max_length) = data_type(column.data_type)?;
    let (primary_key, nullable, unique, default) = Default::default();
    let mut converted =
        ColumnDef { name: name(column.name)?, datatype, max_length, primary_key, nullable, unique, default };
    for ast::ColumnOptionDef { option, .. } in column.options {
        let set_nullable = |converted: &mut ColumnDef, nullable: bool| match converted.nullable.replace(nullable) {
            Some(before) if before != nullable => Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!("column {:?} is both NULL and NOT NULL", converted.name),
            )),
            _ => Ok(()),
        };
        match option {
            ast::ColumnOption::Null => set_nullable(&mut converted, true)?,
            ast::ColumnOption::NotNull => set_nullable(&mut converted, false)?,
            ast::ColumnOption::Default(expr) => {
                if converted.default.replace(expression::convert(expr)?).is_some() {
                    return Err(Error::new(
                        SqlState::SYNTAX_ERROR,
                        format!("column {:?} has two defaults", converted.name),
                    ));
                }
            }
            ast::ColumnOption::PrimaryKey(key) => {
                refuse!(key.characteristics.is_some() => "DEFERRABLE");
                converted.primary_key = true;
            }
            ast::ColumnOption::Unique(key) => {
                refuse!(
                    key.characteristics.is_some() => "DEFERRABLE",
                    key.nulls_distinct == ast::NullsDistinctOption::NotDistinct => "NULLS NOT DISTINCT",
                );
                converted.unique = true;
            }
            ast::ColumnOption::ForeignKey(_) => return Err(Error::unsupported("REFERENCES")),
            ast::ColumnOption::Check(_) => return Err(Error::unsupported("CHECK")),
            other => return Err(Error::unsupported(format!("the column option {other}"))),
        }
    }
    Ok(converted)
}

/// A type, and the most characters of a VARCHAR(n).
pub(super) fn data_type(datatype: ast::DataType) -> Result<(DataType, Option<u64>)> {
    use ast::DataType as T;
    let float = |info: &ast::ExactNumberInfo| {
        // FLOAT(1) to FLOAT(53) are bits of precision.
        matches!(info, ast::ExactNumberInfo::None | ast::ExactNumberInfo::Precision(1..=53))
    };
    Ok(match datatype {
        T::Bool | T::Boolean => (DataType::Boolean, None),
        T::SmallInt(None)
        | T::Int(None)
        | T::Integer(None)
        | T::BigInt(None)
        | T::Int2(None)
        | T::Int4(None)
        | T::Int8(None)
        | T::Int64 => (DataType::Integer, None),
        T::Float4 | T::Float8 | T::Float64 | T::Real | T::DoublePrecision => (DataType::Float, None),
        T::Float(info) | T::Double(info) if float(&info) => (DataType::Float, None),
        T::Text | T::String(None) | T::Varchar(None) | T::CharacterVarying(None) | T::CharVarying(None) => {
            (DataType::Text, None)
        }
        T::Varchar(Some(length)) | T::CharacterVarying(Some(length)) | T::CharVarying(Some(length)) => match length {
            ast::CharacterLength::IntegerLength { length: 0, .. } => {
                return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "VARCHAR holds at least one character"));
            }
            ast::CharacterLength::IntegerLength { length, unit: None } => (DataType::Text, Some(length)),
            other => return Err(Error::unsupported(format!("VARCHAR({other})"))),
        },
        other => return Err(Error::unsupported(format!("the type {other}"))),
    })
}

fn insert(statement: ast::Insert) -> Result<Insert> {
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
        on.is_some() => "ON CONFLICT", returning.is_some() => "RETURNING", output.is_some() => "OUTPUT",
        replace_into => "REPLACE", priority.is_some() => "an INSERT priority", partitioned.is_some() => "PARTITION",
        table_alias.is_some() || insert_alias.is_some() => "an alias in INSERT",
        !assignments.is_empty() => "INSERT ... SET", !after_columns.is_empty() => "columns after PARTITION",
        has_table_keyword => "INSERT INTO TABLE", settings.is_some() || format_clause.is_some() => "INSERT settings",
        multi_table_insert_type.is_some() || !multi_table_into_clauses.is_empty() => "INSERT into several tables",
        !multi_table_when_clauses.is_empty() || multi_table_else_clause.is_some() => "INSERT into several tables",
        !optimizer_hints.is_empty() => "an optimizer hint",
    );
    let ast::TableObject::TableName(table) = table else { return Err(Error::unsupported("INSERT into a function")) };
    let rows = match source {
        // INSERT INTO t DEFAULT VALUES
        None => vec![Vec::new()],
        Some(query) => {
            let ast::Query { body, .. } = only_body(*query)?;
            match *body {
                SetExpr::Values(ast::Values { explicit_row, value_keyword, rows }) => {
                    refuse!(explicit_row => "VALUES ROW", value_keyword => "VALUE");
                    rows.into_iter()
                        .map(|row| row.content.into_iter().map(expression::convert_or_default).collect())
                        .collect::<Result<_>>()?
                }
                _ => return Err(Error::unsupported("INSERT ... SELECT")),
            }
        }
    };
    let columns = columns.into_iter().map(object_name).collect::<Result<_>>()?;
    Ok(Insert { table: object_name(table)?, columns, rows })
}

fn update(statement: ast::Update) -> Result<Update> {
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
        from.is_some() => "UPDATE ... FROM", returning.is_some() => "RETURNING", output.is_some() => "OUTPUT",
        or.is_some() => "UPDATE OR", !order_by.is_empty() => "UPDATE ... ORDER BY", limit.is_some() => "UPDATE ... LIMIT",
        !optimizer_hints.is_empty() => "an optimizer hint",
    );
    let assignments = assignments
        .into_iter()
        .map(|ast::Assignment { target, value }| match target {
            ast::AssignmentTarget::ColumnName(column) => {
                Ok((object_name(column)?, expression::convert_or_default(value)?))
            }
            ast::AssignmentTarget::Tuple(_) => Err(Error::unsupported("SET of several columns at once")),
        })
        .collect::<Result<_>>()?;
    let filter = selection.map(expression::convert).transpose()?;
    Ok(Update { table: single_table(table)?, assignments, filter })
}

fn delete(statement: ast::Delete) -> Result<Delete> {
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
        !tables.is_empty() => "DELETE from several tables", using.is_some() => "DELETE ... USING",
        returning.is_some() => "RETURNING", output.is_some() => "OUTPUT",
        !order_by.is_empty() => "DELETE ... ORDER BY", limit.is_some() => "DELETE ... LIMIT",
        !optimizer_hints.is_empty() => "an optimizer hint",
    );
    let ast::FromTable::WithFromKeyword(mut from) = from else { return Err(Error::unsupported("DELETE without FROM")) };
    let (Some(table), true) = (from.pop(), from.is_empty()) else {
        return Err(Error::unsupported("DELETE from several tables"));
    };
    Ok(Delete { table: single_table(table)?, filter: selection.map(expression::convert).transpose()? })
}

/// Checks that a query is no more than its body.
fn only_body(query: ast::Query) -> Result<ast::Query> {
    refuse!(
        query.with.is_some() => "WITH", query.order_by.is_some() => "ORDER BY of VALUES",
        query.limit_clause.is_some() => "LIMIT of VALUES", query.fetch.is_some() => "FETCH",
        !query.locks.is_empty() => "FOR UPDATE", query.for_clause.is_some() => "FOR",
        query.settings.is_some() || query.format_clause.is_some() => "a SETTINGS or FORMAT clause",
        !query.pipe_operators.is_empty() => "|>",
    );
    Ok(query)
}

fn select(mut query: ast::Query) -> Result<Select> {
    let (order_by, limit_clause) = (query.order_by.take(), query.limit_clause.take());
    let query = only_body(query)?;
    let select = match *query.body {
        SetExpr::Select(select) => *select,
        SetExpr::SetOperation { op, .. } => return Err(Error::unsupported(op)),
        SetExpr::Values(_) => return Err(Error::unsupported("VALUES as a statement")),
        SetExpr::Query(_) => return Err(Error::unsupported("a SELECT in parentheses")),
        SetExpr::Table(_) => return Err(Error::unsupported("TABLE")),
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
            return Err(Error::unsupported("a write in a query"));
        }
    };
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
        mut from,
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
    let grouped = match &group_by {
        ast::GroupByExpr::All(_) => true,
        ast::GroupByExpr::Expressions(expressions, modifiers) => !expressions.is_empty() || !modifiers.is_empty(),
    };
    refuse!(
        matches!(distinct, Some(ast::Distinct::Distinct | ast::Distinct::On(_))) => "DISTINCT",
        grouped => "GROUP BY", having.is_some() => "HAVING", !named_window.is_empty() => "WINDOW",
        top.is_some() => "TOP", into.is_some() => "SELECT INTO", qualify.is_some() => "QUALIFY",
        !lateral_views.is_empty() => "LATERAL VIEW", prewhere.is_some() => "PREWHERE",
        !connect_by.is_empty() => "CONNECT BY", !cluster_by.is_empty() => "CLUSTER BY",
        !distribute_by.is_empty() => "DISTRIBUTE BY", !sort_by.is_empty() => "SORT BY",
        exclude.is_some() => "EXCLUDE", value_table_mode.is_some() => "SELECT AS",
        select_modifiers.is_some() => "a SELECT modifier", !optimizer_hints.is_empty() => "an optimizer hint",
        flavor != ast::SelectFlavor::Standard => "FROM before SELECT",
        from.len() > 1 => "a join",
    );
    let items = projection.into_iter().map(item).collect::<Result<_>>()?;
    let from = from.pop().map(single_table).transpose()?;
    let filter = selection.map(expression::convert).transpose()?;
    let order_by = match order_by {
        None => Vec::new(),
        Some(ast::OrderBy { kind: ast::OrderByKind::Expressions(expressions), interpolate: None }) => {
            expressions.into_iter().map(order).collect::<Result<_>>()?
        }
        Some(_) => return Err(Error::unsupported("ORDER BY ALL")),
    };
    let (limit, offset) = match limit_clause {
        None => (None, None),
        Some(ast::LimitClause::LimitOffset { limit, offset, limit_by }) => {
            refuse!(!limit_by.is_empty() => "LIMIT BY");
            (limit, offset.map(|offset| offset.value))
        }
        Some(ast::LimitClause::OffsetCommaLimit { .. }) => return Err(Error::unsupported("LIMIT offset, count")),
    };
    let limit = limit.map(expression::convert).transpose()?;
    Ok(Select { items, from, filter, order_by, limit, offset: offset.map(expression::convert).transpose()? })
}

fn item(item: ast::SelectItem) -> Result<Item> {
    let plain = |options: &ast::WildcardAdditionalOptions| {
        let ast::WildcardAdditionalOptions { wildcard_token, .. } = options;
        let bare = ast::WildcardAdditionalOptions { wildcard_token: wildcard_token.clone(), ..Default::default() };
        if *options == bare { Ok(()) } else { Err(Error::unsupported(format!("*{options}"))) }
    };
    Ok(match item {
        ast::SelectItem::UnnamedExpr(expr) => Item::Expr { expr: expression::convert(expr)?, alias: None },
        ast::SelectItem::ExprWithAlias { expr, alias } => {
            Item::Expr { expr: expression::convert(expr)?, alias: Some(name(alias)?) }
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
                    Item::All { table: Some(object_name(table)?) }
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

/// A FROM clause with one plain table.
fn single_table(table: ast::TableWithJoins) -> Result<Table> {
    refuse!(!table.joins.is_empty() => "JOIN");
    match table.relation {
        TableFactor::Table {
            name: table,
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
                args.is_some() => "a table function", !with_hints.is_empty() || !index_hints.is_empty() => "a table hint",
                version.is_some() => "AS OF SYSTEM TIME in a query (use BEGIN READ ONLY AS OF SYSTEM TIME)",
                with_ordinality => "WITH ORDINALITY", !partitions.is_empty() => "PARTITION",
                json_path.is_some() => "a JSON path", sample.is_some() => "TABLESAMPLE",
            );
            let alias = match alias {
                None => None,
                Some(ast::TableAlias { explicit: _, name: alias, columns, at }) => {
                    refuse!(!columns.is_empty() || at.is_some() => "an alias with columns");
                    Some(name(alias)?)
                }
            };
            Ok(Table { name: object_name(table)?, alias })
        }
        TableFactor::Derived { .. } => Err(Error::unsupported("a subquery in FROM")),
        TableFactor::NestedJoin { .. } => Err(Error::unsupported("JOIN")),
        other => Err(Error::unsupported(format!("{other} in FROM"))),
    }
}
