//! BEGIN, SET TRANSACTION, savepoints, and settings of a session.

use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::super::ast::{Kind, Node};
use super::super::error::{Error, SqlState};
use super::{Result, expected, parser_error, position_of, statement, syntax};
use crate::mvcc::{Isolation, Version};

/// What BEGIN and SET TRANSACTION say.
#[derive(Default)]
struct Modes {
    read_only: Option<bool>,
    isolation: Option<Isolation>,
    as_of: Option<Version>,
}

/// What follows BEGIN.
pub(super) fn begin(parser: &mut Parser<'_>) -> Result<Node> {
    let _ = parser.parse_one_of_keywords(&[Keyword::TRANSACTION, Keyword::WORK]);
    let Modes { read_only, isolation, as_of } = modes(parser)?;
    if as_of.is_some() && read_only != Some(true) {
        let error = syntax("AS OF SYSTEM TIME needs a READ ONLY transaction".into(), None);
        return Err(error.with_hint("write BEGIN READ ONLY AS OF SYSTEM TIME ..."));
    }
    Ok(Node::Transaction(Kind::Begin { read_only: read_only.unwrap_or(false), isolation, as_of }))
}

/// What follows SET TRANSACTION and SET SESSION CHARACTERISTICS AS TRANSACTION.
pub(super) fn set(parser: &mut Parser<'_>, session: bool) -> Result<Node> {
    let next = parser.peek_token();
    let Modes { read_only, isolation, as_of } = modes(parser)?;
    if as_of.is_some() {
        return Err(Error::unsupported("SET TRANSACTION AS OF SYSTEM TIME")
            .with_hint("write BEGIN READ ONLY AS OF SYSTEM TIME ..."));
    }
    if read_only.is_none() && isolation.is_none() {
        return Err(expected("a transaction mode", &next));
    }
    Ok(Node::Transaction(Kind::SetTransaction { read_only, isolation, session }))
}

/// What follows SET: a setting of the session, and its value.
pub(super) fn set_setting(parser: &mut Parser<'_>) -> Result<Node> {
    let _ = parser.parse_keyword(Keyword::SESSION);
    let name = statement::name(parser.parse_identifier().map_err(parser_error)?)?;
    if name != "optimizer" {
        return Err(Error::unsupported(format!("SET {name}")));
    }
    if !parser.consume_token(&Token::Eq) && !parser.parse_keyword(Keyword::TO) {
        return Err(expected("= or TO", &parser.peek_token()));
    }
    let value = parser.next_token();
    let on = match value.token.to_string().trim_matches('\'').to_ascii_lowercase().as_str() {
        "on" | "true" | "1" => true,
        "off" | "false" | "0" => false,
        _ => return Err(expected("on or off", &value)),
    };
    Ok(Node::Transaction(Kind::SetOptimizer(on)))
}

fn modes(parser: &mut Parser<'_>) -> Result<Modes> {
    let mut modes = Modes::default();
    let mut comma = false;
    let twice = |what: &str| Err(syntax(format!("{what} is given twice"), None));
    loop {
        if parser.parse_keywords(&[Keyword::READ, Keyword::ONLY]) {
            if modes.read_only.replace(true).is_some() {
                return twice("the access mode");
            }
        } else if parser.parse_keywords(&[Keyword::READ, Keyword::WRITE]) {
            if modes.read_only.replace(false).is_some() {
                return twice("the access mode");
            }
        } else if parser.parse_keywords(&[Keyword::ISOLATION, Keyword::LEVEL]) {
            let level = level(parser)?;
            if modes.isolation.replace(level).is_some() {
                return twice("the isolation level");
            }
        } else if parser.parse_keywords(&[Keyword::AS, Keyword::OF, Keyword::SYSTEM]) {
            if !parser.parse_keyword(Keyword::TIME) {
                return Err(expected("TIME", &parser.peek_token()));
            }
            let place = parser.peek_token();
            let version = parser.parse_literal_uint().map_err(|_| expected("a position", &place))?;
            if modes.as_of.replace(version).is_some() {
                return twice("AS OF SYSTEM TIME");
            }
        } else if comma {
            return Err(expected("a transaction mode", &parser.peek_token()));
        } else {
            return Ok(modes);
        }
        comma = parser.consume_token(&Token::Comma);
    }
}

fn level(parser: &mut Parser<'_>) -> Result<Isolation> {
    let first = parser.next_token();
    let word = |token: &Token| token.to_string().to_ascii_uppercase();
    let mut name = word(&first.token);
    if matches!(name.as_str(), "READ" | "REPEATABLE") {
        name = format!("{name} {}", word(&parser.next_token().token));
    }
    Ok(match name.as_str() {
        "SNAPSHOT" | "REPEATABLE READ" => Isolation::Snapshot,
        "SERIALIZABLE" => Isolation::Serializable,
        // As in PostgreSQL, there is nothing weaker.
        "READ COMMITTED" | "READ UNCOMMITTED" => Isolation::ReadCommitted,
        _ => return Err(Error::unsupported(format!("ISOLATION LEVEL {name}")).at(position_of(&first))),
    })
}

/// SAVEPOINT, RELEASE and ROLLBACK TO, where they stand next.
pub(super) fn savepoint(parser: &mut Parser<'_>) -> Result<Option<Node>> {
    let name = |parser: &mut Parser<'_>| statement::name(parser.parse_identifier().map_err(parser_error)?);
    let kind = if parser.parse_keyword(Keyword::SAVEPOINT) {
        Kind::Savepoint(name(parser)?)
    } else if parser.parse_keyword(Keyword::RELEASE) {
        let _ = parser.parse_keyword(Keyword::SAVEPOINT);
        Kind::Release(name(parser)?)
    } else if parser.parse_keyword(Keyword::ROLLBACK) || parser.parse_keyword(Keyword::ABORT) {
        let _ = parser.parse_one_of_keywords(&[Keyword::TRANSACTION, Keyword::WORK]);
        if parser.parse_keyword(Keyword::TO) {
            let _ = parser.parse_keyword(Keyword::SAVEPOINT);
            Kind::RollbackTo(name(parser)?)
        } else {
            if parser.parse_keywords(&[Keyword::AND, Keyword::CHAIN]) {
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, "ROLLBACK AND CHAIN is not supported"));
            }
            let _ = parser.parse_keywords(&[Keyword::AND, Keyword::NO, Keyword::CHAIN]);
            Kind::Rollback
        }
    } else {
        return Ok(None);
    };
    Ok(Some(Node::Transaction(kind)))
}
