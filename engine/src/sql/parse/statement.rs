//! Statements, by their first words; and names.

use sqlparser::ast;
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::super::ast::{Drop, DropKind, Kind, Name, Node, Position, Truncate};
use super::super::error::{Error, SqlState};
use super::{Result, ddl, dml, expected, parser_error, place_of, position, refuse, syntax, transaction};

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

pub(super) fn names(idents: Vec<ast::Ident>) -> Result<Vec<String>> {
    idents.into_iter().map(name).collect()
}

/// The name of a table, view or index.
pub(super) fn object(object: ast::ObjectName) -> Result<Name> {
    let unsupported = format!("the qualified name {object}");
    let mut parts = object.0.into_iter().map(|part| match part {
        ast::ObjectNamePart::Identifier(ident) => Ok((place_of(ident.span.start), name(ident)?)),
        part @ ast::ObjectNamePart::Function(_) => Err(Error::unsupported(format!("the name {part}"))),
    });
    let (Some(first), second, None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Error::unsupported(unsupported));
    };
    let (position, first) = first?;
    Ok(match second.transpose()? {
        None => Name { schema: None, name: first, position },
        Some((_, second)) => match first.as_str() {
            "public" | "main" => Name { schema: None, name: second, position },
            "information_schema" | "pg_catalog" => Name { schema: Some(first), name: second, position },
            _ => return Err(Error::unsupported(unsupported).at(position.0)),
        },
    })
}

/// The parts of a column's name without the schema of its table, which is the only one that there is for users.
pub(super) fn without_schema(mut parts: Vec<ast::Ident>) -> Vec<ast::Ident> {
    let is_ours =
        |ident: &ast::Ident| ident.value.eq_ignore_ascii_case("public") || ident.value.eq_ignore_ascii_case("main");
    if parts.len() == 3 && is_ours(&parts[0]) {
        parts.remove(0);
    }
    parts
}

/// The name of something that users make.
pub(super) fn user_object(object_name: ast::ObjectName) -> Result<Name> {
    let name = object(object_name)?;
    match &name.schema {
        None => Ok(name),
        Some(schema) => {
            let message = format!("{schema:?} is the system's");
            Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message).at(name.position.0))
        }
    }
}

/// A name without a schema.
pub(super) fn plain(object_name: ast::ObjectName) -> Result<String> {
    let Name { schema, name, position } = object(object_name)?;
    match schema {
        None => Ok(name),
        Some(schema) => Err(Error::unsupported(format!("the qualified name {schema}.{name}")).at(position.0)),
    }
}

/// What a call calls.
pub(super) struct Called {
    pub name: String,
    pub position: Position,
}

/// The name of a function. All are the system's.
pub(super) fn called(object_name: ast::ObjectName) -> Result<Called> {
    let Name { schema, name, position } = object(object_name)?;
    match schema.as_deref() {
        None | Some("pg_catalog") => Ok(Called { name, position }),
        Some(schema) => Err(Error::unsupported(format!("the function {schema}.{name}")).at(position.0)),
    }
}

/// The next statement.
pub(super) fn statement(parser: &mut Parser<'_>) -> Result<Node> {
    if parser.parse_keyword(Keyword::BEGIN) || parser.parse_keywords(&[Keyword::START, Keyword::TRANSACTION]) {
        return transaction::begin(parser);
    }
    if let Some(node) = transaction::savepoint(parser)? {
        return Ok(node);
    }
    if parser.parse_keywords(&[Keyword::SET, Keyword::TRANSACTION]) {
        return transaction::set(parser, false);
    }
    let session = [Keyword::SET, Keyword::SESSION, Keyword::CHARACTERISTICS, Keyword::AS, Keyword::TRANSACTION];
    if parser.parse_keywords(&session) {
        return transaction::set(parser, true);
    }
    if parser.parse_keyword(Keyword::SET) {
        return transaction::set_setting(parser);
    }
    if parser.parse_keyword(Keyword::RESET) {
        return transaction::reset(parser);
    }
    if parser.parse_keyword(Keyword::TRUNCATE) {
        return truncate(parser);
    }
    if parser.parse_keyword(Keyword::ANALYZE) {
        return analyze(parser);
    }
    if parser.parse_keyword(Keyword::SHOW) {
        return show(parser);
    }
    if parser.parse_keyword(Keyword::REINDEX) {
        let _ = parser.parse_object_name(false).map_err(parser_error)?;
        return Err(Error::unsupported("REINDEX").with_hint("indexes are never out of step with their tables"));
    }
    if parser.peek_token_ref().token == Token::EOF {
        return Err(syntax("there is no statement".into(), None));
    }
    if parser.peek_keyword(Keyword::TABLE) {
        return Err(Error::unsupported("TABLE").with_hint("write SELECT * FROM"));
    }
    convert(parser.parse_statement().map_err(parser_error)?)
}

fn truncate(parser: &mut Parser<'_>) -> Result<Node> {
    let _ = parser.parse_keyword(Keyword::TABLE);
    let tables = table_list(parser)?;
    refuse!(parser.parse_keywords(&[Keyword::RESTART, Keyword::IDENTITY]) => "RESTART IDENTITY");
    let _ = parser.parse_keywords(&[Keyword::CONTINUE, Keyword::IDENTITY]);
    let cascade = parser.parse_keyword(Keyword::CASCADE);
    let _ = !cascade && parser.parse_keyword(Keyword::RESTRICT);
    Ok(Node::Truncate(Truncate { tables, cascade }))
}

fn table_list(parser: &mut Parser<'_>) -> Result<Vec<Name>> {
    let names = parser.parse_comma_separated(|parser| parser.parse_object_name(false)).map_err(parser_error)?;
    names.into_iter().map(user_object).collect()
}

fn analyze(parser: &mut Parser<'_>) -> Result<Node> {
    let _ = parser.parse_keyword(Keyword::TABLE);
    Ok(Node::Analyze(match parser.peek_token_ref().token {
        Token::EOF | Token::SemiColon => Vec::new(),
        _ => table_list(parser)?,
    }))
}

fn show(parser: &mut Parser<'_>) -> Result<Node> {
    let mut words = Vec::new();
    let next = parser.peek_token();
    while let Token::Word(word) = &parser.peek_token_ref().token {
        words.push(word.value.to_ascii_lowercase());
        parser.next_token();
    }
    if words.is_empty() {
        return Err(expected("what to show", &next));
    }
    Ok(Node::Show(words.join("_")))
}

/// What EXPLAIN is asked for in parentheses: whether ANALYZE. Others are taken as far as they ask for what is given.
fn explain_options(options: Vec<ast::UtilityOption>) -> Result<bool> {
    let mut analyze = false;
    for ast::UtilityOption { name, arg } in options {
        let text = arg.map(|arg| arg.to_string().trim_matches('\'').to_ascii_lowercase());
        let on = match text.as_deref() {
            None | Some("true" | "on" | "1") => Some(true),
            Some("false" | "off" | "0") => Some(false),
            Some(_) => None,
        };
        match (name.value.to_ascii_lowercase().as_str(), on) {
            ("analyze", Some(on)) => analyze = on,
            ("costs" | "summary" | "timing", Some(true))
            | ("verbose" | "buffers" | "wal" | "settings", Some(false)) => {}
            ("format", None) if text.as_deref() == Some("text") => {}
            _ => {
                return Err(Error::unsupported(format!("EXPLAIN with the option {name}")).at(position(name.span.start)));
            }
        }
    }
    Ok(analyze)
}

fn convert(statement: ast::Statement) -> Result<Node> {
    Ok(match statement {
        ast::Statement::Commit { chain, end: _, modifier } => {
            // END is COMMIT.
            refuse!(chain => "COMMIT AND CHAIN", modifier.is_some() => "END with a modifier");
            Node::Transaction(Kind::Commit)
        }
        ast::Statement::CreateTable(table) => Node::CreateTable(ddl::create_table(table)?),
        ast::Statement::CreateIndex(index) => Node::CreateIndex(ddl::create_index(index)?),
        ast::Statement::CreateView(view) => Node::CreateView(ddl::create_view(view)?),
        ast::Statement::AlterTable(table) => Node::AlterTable(ddl::alter_table(table)?),
        ast::Statement::Drop { object_type, if_exists, names, cascade, restrict: _, purge, temporary, table } => {
            let what = match object_type {
                ast::ObjectType::Table => DropKind::Table,
                ast::ObjectType::Index => DropKind::Index,
                ast::ObjectType::View => DropKind::View,
                other => return Err(Error::unsupported(format!("DROP {other}"))),
            };
            refuse!(purge => "PURGE", temporary => "TEMPORARY", table.is_some() => "DROP ... ON");
            let names = names.into_iter().map(user_object).collect::<Result<_>>()?;
            Node::Drop(Drop { what, names, if_exists, cascade })
        }
        ast::Statement::Insert(statement) => Node::Insert(Box::new(dml::insert(statement)?)),
        ast::Statement::Update(statement) => Node::Update(Box::new(dml::update(statement)?)),
        ast::Statement::Delete(statement) => Node::Delete(Box::new(dml::delete(statement)?)),
        ast::Statement::Query(query) => dml::query(*query)?,
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
                verbose => "EXPLAIN VERBOSE", query_plan => "EXPLAIN QUERY PLAN",
                estimate => "EXPLAIN ESTIMATE", format.is_some() => "EXPLAIN FORMAT",
            );
            let analyze = analyze || explain_options(options.unwrap_or_default())?;
            match convert(*statement)? {
                node @ (Node::Query(_) | Node::Insert(_) | Node::Update(_) | Node::Delete(_)) => {
                    Node::Explain { analyze, statement: Box::new(node) }
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
