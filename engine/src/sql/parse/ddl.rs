//! CREATE, DROP and ALTER.
//!
//! Defaults, CHECK conditions and views are kept as text in the schema. The text is what the parser writes of what it
//! read; that it reads the same again is checked here.

use sqlparser::ast;
use sqlparser::ast::helpers::stmt_create_table::CreateTableBuilder;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, Word};

use super::super::ast::{
    AlterTable, Alteration, ColumnDef, Constraint, ConstraintDef, CreateIndex, CreateTable, CreateView, Expr,
};
use super::super::error::{Error, SqlState};
use super::super::schema::Action;
use super::super::types::DataType;
use super::statement::{name, names, object, plain, user_object};
use super::{Result, expression, query, refuse};

pub(super) fn create_table(table: ast::CreateTable) -> Result<CreateTable> {
    // Everything that is not taken here must be as in a statement that does not mention it.
    let bare = CreateTableBuilder::new(table.name.clone())
        .if_not_exists(table.if_not_exists)
        .columns(table.columns.clone())
        .constraints(table.constraints.clone())
        .build();
    if table != bare {
        return Err(Error::unsupported(format!("a clause of {table}")));
    }
    let (mut columns, mut constraints, mut indexes) = (Vec::new(), Vec::new(), Vec::new());
    for definition in table.columns {
        let (definition, index) = column(definition, &mut constraints)?;
        if index {
            indexes.push(definition.name.clone());
        }
        columns.push(definition);
    }
    for definition in table.constraints {
        constraints.push(constraint(definition)?);
    }
    let name = user_object(table.name)?;
    Ok(CreateTable { name, if_not_exists: table.if_not_exists, columns, constraints, indexes })
}

/// A column, with its constraints among those of the table; and whether it has an INDEX.
fn column(column: ast::ColumnDef, constraints: &mut Vec<ConstraintDef>) -> Result<(ColumnDef, bool)> {
    let (datatype, max_length) = data_type(column.data_type)?;
    let mut index = false;
    let mut converted = ColumnDef { name: name(column.name)?, datatype, max_length, nullable: None, default: None };
    for ast::ColumnOptionDef { name: constraint_name, option } in column.options {
        let set_nullable = |converted: &mut ColumnDef, nullable: bool| match converted.nullable.replace(nullable) {
            Some(before) if before != nullable => Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!("column {:?} is both NULL and NOT NULL", converted.name),
            )),
            _ => Ok(()),
        };
        let columns = || vec![converted.name.clone()];
        let constraint = match option {
            ast::ColumnOption::Null => {
                set_nullable(&mut converted, true)?;
                continue;
            }
            ast::ColumnOption::NotNull => {
                set_nullable(&mut converted, false)?;
                continue;
            }
            ast::ColumnOption::Default(expr) => {
                if converted.default.replace(kept(expr)?).is_some() {
                    return Err(Error::new(
                        SqlState::SYNTAX_ERROR,
                        format!("column {:?} has two defaults", converted.name),
                    ));
                }
                continue;
            }
            ast::ColumnOption::DialectSpecific(tokens)
                if matches!(&tokens[..], [Token::Word(Word { keyword: Keyword::INDEX, .. })]) =>
            {
                index = true;
                continue;
            }
            ast::ColumnOption::PrimaryKey(key) => {
                refuse!(key.characteristics.is_some() => "DEFERRABLE");
                Constraint::PrimaryKey(columns())
            }
            ast::ColumnOption::Unique(key) => {
                refuse!(
                    key.characteristics.is_some() => "DEFERRABLE",
                    key.nulls_distinct == ast::NullsDistinctOption::NotDistinct => "NULLS NOT DISTINCT",
                );
                Constraint::Unique(columns())
            }
            ast::ColumnOption::ForeignKey(key) => foreign_key(key, Some(columns()))?,
            ast::ColumnOption::Check(check) => self::check(check, Some(converted.name.clone()))?,
            other => return Err(Error::unsupported(format!("the column option {other}"))),
        };
        constraints.push(ConstraintDef { name: constraint_name.map(name).transpose()?, constraint });
    }
    Ok((converted, index))
}

fn constraint(constraint: ast::TableConstraint) -> Result<ConstraintDef> {
    let (constraint_name, constraint) = match constraint {
        ast::TableConstraint::PrimaryKey(key) => {
            refuse!(!key.include.is_empty() || key.characteristics.is_some() => "a clause of PRIMARY KEY");
            (key.name, Constraint::PrimaryKey(key_columns(key.columns, "PRIMARY KEY")?))
        }
        ast::TableConstraint::Unique(key) => {
            refuse!(
                key.nulls_distinct == ast::NullsDistinctOption::NotDistinct => "NULLS NOT DISTINCT",
                !key.include.is_empty() || key.characteristics.is_some() => "a clause of UNIQUE",
            );
            (key.name, Constraint::Unique(key_columns(key.columns, "UNIQUE")?))
        }
        ast::TableConstraint::ForeignKey(mut key) => (key.name.take(), foreign_key(key, None)?),
        ast::TableConstraint::Check(mut check) => (check.name.take(), self::check(check, None)?),
        other => return Err(Error::unsupported(format!("the constraint {other}"))),
    };
    Ok(ConstraintDef { name: constraint_name.map(name).transpose()?, constraint })
}

fn check(check: ast::CheckConstraint, column: Option<String>) -> Result<Constraint> {
    refuse!(check.no_inherit => "NO INHERIT", check.enforced == Some(false) => "NOT ENFORCED");
    let (expr, text) = kept(*check.expr)?;
    Ok(Constraint::Check(expr, text, column))
}

fn foreign_key(key: ast::ForeignKeyConstraint, column: Option<Vec<String>>) -> Result<Constraint> {
    let full = !matches!(key.match_kind, None | Some(ast::ConstraintReferenceMatchKind::Simple));
    refuse!(
        key.characteristics.is_some() => "DEFERRABLE", full => "MATCH FULL or PARTIAL",
        key.index_name.is_some() => "an index of a FOREIGN KEY",
    );
    let action = |action: Option<ast::ReferentialAction>| match action {
        None | Some(ast::ReferentialAction::NoAction | ast::ReferentialAction::Restrict) => Action::Refuse,
        Some(ast::ReferentialAction::Cascade) => Action::Cascade,
        Some(ast::ReferentialAction::SetNull) => Action::SetNull,
        Some(ast::ReferentialAction::SetDefault) => Action::SetDefault,
    };
    Ok(Constraint::ForeignKey {
        columns: match column {
            Some(columns) => columns,
            None => names(key.columns)?,
        },
        table: user_object(key.foreign_table)?,
        referenced: names(key.referred_columns)?,
        on_delete: action(key.on_delete),
        on_update: action(key.on_update),
    })
}

fn key_columns(columns: Vec<ast::IndexColumn>, what: &str) -> Result<Vec<String>> {
    let mut converted = Vec::with_capacity(columns.len());
    for (column, descending) in index_columns(columns, what)? {
        refuse!(descending => format!("DESC in {what}"));
        converted.push(column);
    }
    Ok(converted)
}

fn index_columns(columns: Vec<ast::IndexColumn>, what: &str) -> Result<Vec<(String, bool)>> {
    columns
        .into_iter()
        .map(|ast::IndexColumn { column, operator_class }| {
            let ast::OrderByExpr { expr, options: ast::OrderByOptions { sort, nulls_first }, with_fill } = column;
            let descending = matches!(sort, Some(ast::OrderBySort::Desc));
            refuse!(
                operator_class.is_some() => "an operator class", with_fill.is_some() => "WITH FILL",
                nulls_first.is_some_and(|first| first != descending) => format!("this order of NULLs in {what}"),
                matches!(sort, Some(ast::OrderBySort::Using(_))) => "USING in an order",
            );
            match expr {
                ast::Expr::Identifier(ident) => Ok((name(ident)?, descending)),
                _ => Err(Error::unsupported(format!("{what} over an expression"))),
            }
        })
        .collect()
}

/// An expression that the schema keeps, and its text.
fn kept(expr: ast::Expr) -> Result<(Expr, String)> {
    let text = expr.to_string();
    let expr = expression::convert(expr)?;
    if super::parse_expression(&text).ok().as_ref() != Some(&expr) {
        return Err(Error::unsupported(format!("the expression {text} in a schema")));
    }
    Ok((expr, text))
}

pub(super) fn create_index(index: ast::CreateIndex) -> Result<CreateIndex> {
    let ast::CreateIndex {
        name: index_name,
        table_name,
        using,
        columns,
        unique,
        concurrently,
        r#async,
        if_not_exists,
        include,
        nulls_distinct,
        with,
        predicate,
        index_options,
        alter_options,
    } = index;
    refuse!(
        !matches!(using, None | Some(ast::IndexType::BTree)) => "USING", concurrently => "CONCURRENTLY",
        r#async => "ASYNC", !include.is_empty() => "INCLUDE", nulls_distinct == Some(false) => "NULLS NOT DISTINCT",
        !with.is_empty() => "WITH", predicate.is_some() => "an index with WHERE",
        !index_options.is_empty() || !alter_options.is_empty() => "an index option",
    );
    Ok(CreateIndex {
        name: index_name.map(plain).transpose()?,
        table: user_object(table_name)?,
        unique,
        if_not_exists,
        columns: index_columns(columns, "an index")?,
    })
}

pub(super) fn create_view(view: ast::CreateView) -> Result<CreateView> {
    let ast::CreateView {
        or_alter,
        or_replace,
        materialized,
        secure,
        name: view_name,
        name_before_not_exists: _,
        columns,
        query,
        options,
        cluster_by,
        comment,
        with_no_schema_binding,
        if_not_exists,
        temporary,
        copy_grants,
        to,
        params,
    } = view;
    refuse!(
        or_alter => "OR ALTER", materialized => "MATERIALIZED", secure => "SECURE", temporary => "TEMPORARY",
        options != ast::CreateTableOptions::None => "a view option", !cluster_by.is_empty() => "CLUSTER BY",
        comment.is_some() => "COMMENT", with_no_schema_binding => "NO SCHEMA BINDING", copy_grants => "COPY GRANTS",
        to.is_some() || params.is_some() => "a clause of CREATE VIEW",
    );
    let mut converted = Vec::with_capacity(columns.len());
    for ast::ViewColumnDef { name: column, data_type, options } in columns {
        refuse!(data_type.is_some() || options.is_some() => "a typed column of a view");
        converted.push(name(column)?);
    }
    let text = query.to_string();
    let query = query::convert(*query)?;
    if super::parse_query(&text).ok().as_ref() != Some(&query) {
        return Err(Error::unsupported("this query in a view"));
    }
    Ok(CreateView { name: user_object(view_name)?, columns: converted, query, text, or_replace, if_not_exists })
}

pub(super) fn alter_table(table: ast::AlterTable) -> Result<AlterTable> {
    let ast::AlterTable { name, if_exists, only, operations, location, on_cluster, table_type, end_token: _ } = table;
    refuse!(
        only => "ALTER TABLE ONLY", location.is_some() => "SET LOCATION", on_cluster.is_some() => "ON CLUSTER",
        table_type.is_some() => "ALTER of what is no table",
    );
    let table = user_object(name)?;
    let operations = operations.into_iter().map(alterations).collect::<Result<Vec<_>>>()?;
    Ok(AlterTable { table, if_exists, operations: operations.into_iter().flatten().collect() })
}

fn alterations(operation: ast::AlterTableOperation) -> Result<Vec<Alteration>> {
    use ast::AlterTableOperation as Op;
    let cascades = |behavior: Option<ast::DropBehavior>| matches!(behavior, Some(ast::DropBehavior::Cascade));
    Ok(vec![match operation {
        Op::AddColumn { column_keyword: _, if_not_exists, column_def, column_position } => {
            refuse!(column_position.is_some() => "a position of a new column");
            let mut constraints = Vec::new();
            let (column, index) = column(column_def, &mut constraints)?;
            Alteration::AddColumn { column: Box::new(column), constraints, index, if_not_exists }
        }
        Op::DropColumn { has_column_keyword: _, column_names, if_exists, drop_behavior } => {
            let cascade = cascades(drop_behavior);
            let drop = |column| Ok(Alteration::DropColumn { name: name(column)?, if_exists, cascade });
            return column_names.into_iter().map(drop).collect();
        }
        Op::RenameColumn { old_column_name, new_column_name } => {
            Alteration::RenameColumn { from: name(old_column_name)?, to: name(new_column_name)? }
        }
        Op::RenameTable { table_name: ast::RenameTableNameKind::To(to) | ast::RenameTableNameKind::As(to) } => {
            Alteration::RenameTable(object(to)?.name)
        }
        Op::AlterColumn { column_name, op } => {
            let column = name(column_name)?;
            match op {
                ast::AlterColumnOperation::SetNotNull => Alteration::SetNullable { column, nullable: false },
                ast::AlterColumnOperation::DropNotNull => Alteration::SetNullable { column, nullable: true },
                ast::AlterColumnOperation::SetDefault { value } => {
                    Alteration::SetDefault { column, default: Some(kept(value)?) }
                }
                ast::AlterColumnOperation::DropDefault => Alteration::SetDefault { column, default: None },
                ast::AlterColumnOperation::SetDataType { data_type: to, using, had_set: _ } => {
                    let (datatype, max_length) = data_type(to)?;
                    let using = using.map(expression::convert).transpose()?;
                    Alteration::SetType { column, datatype, max_length, using }
                }
                ast::AlterColumnOperation::AddGenerated { .. } => {
                    return Err(Error::unsupported("ADD GENERATED"));
                }
            }
        }
        Op::AddConstraint { constraint, not_valid } => {
            refuse!(not_valid => "NOT VALID");
            Alteration::AddConstraint(self::constraint(constraint)?)
        }
        Op::DropConstraint { if_exists, name: constraint, drop_behavior } => {
            let cascade = cascades(drop_behavior);
            Alteration::DropConstraint { name: name(constraint)?, if_exists, cascade }
        }
        other => return Err(Error::unsupported(format!("ALTER TABLE {other}"))),
    }])
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
        // Without the padding, which says nothing in comparisons.
        T::Char(None) | T::Character(None) => (DataType::Text, Some(1)),
        T::Varchar(Some(length))
        | T::CharacterVarying(Some(length))
        | T::CharVarying(Some(length))
        | T::Char(Some(length))
        | T::Character(Some(length)) => match length {
            ast::CharacterLength::IntegerLength { length: 0, .. } => {
                return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "VARCHAR holds at least one character"));
            }
            ast::CharacterLength::IntegerLength { length, unit: None } => (DataType::Text, Some(length)),
            other => return Err(Error::unsupported(format!("VARCHAR({other})"))),
        },
        other => return Err(Error::unsupported(format!("the type {other}"))),
    })
}
