//! BEGIN, SET TRANSACTION, savepoints, and settings of a session.

use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::super::as_of::AsOf;
use super::super::ast::{Kind, Node};
use super::super::error::{Error, SqlState};
use super::super::settings::Setting;
use super::{Result, expected, parser_error, position_of, statement, syntax};
use crate::mvcc::Isolation;

/// What BEGIN and SET TRANSACTION say.
#[derive(Default)]
struct Modes {
    read_only: Option<bool>,
    isolation: Option<Isolation>,
    as_of: Option<AsOf>,
}

/// What follows BEGIN.
pub(super) fn begin(parser: &mut Parser<'_>) -> Result<Node> {
    let _ = parser.parse_one_of_keywords(&[Keyword::TRANSACTION, Keyword::WORK]);
    let Modes { read_only, isolation, as_of } = modes(parser)?;
    if as_of.is_some() && read_only != Some(true) {
        let error = syntax("AS OF SYSTEM TIME needs a READ ONLY transaction".into(), None);
        return Err(error.with_hint("write BEGIN READ ONLY AS OF SYSTEM TIME ..."));
    }
    Ok(Node::Transaction(Kind::Begin { read_only, isolation, as_of }))
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
    let local = parser.parse_keyword(Keyword::LOCAL);
    let _ = !local && parser.parse_keyword(Keyword::SESSION);
    if parser.parse_keywords(&[Keyword::TIME, Keyword::ZONE]) {
        return value(parser, "timezone".into(), local);
    }
    let name = statement::name(parser.parse_identifier().map_err(parser_error)?)?;
    // SET NAMES 'UTF8' is standard SQL.
    if name != "names" && !parser.consume_token(&Token::Eq) && !parser.parse_keyword(Keyword::TO) {
        return Err(expected("= or TO", &parser.peek_token()));
    }
    value(parser, name, local)
}

/// The value of a setting: words, numbers and texts between commas, or DEFAULT.
fn value(parser: &mut Parser<'_>, name: String, local: bool) -> Result<Node> {
    let set = |value| Node::Transaction(Kind::Set(Setting { name: Some(name), value, local }));
    if parser.parse_keyword(Keyword::DEFAULT) {
        return Ok(set(None));
    }
    let mut parts = Vec::new();
    loop {
        let minus = if parser.consume_token(&Token::Minus) { "-" } else { "" };
        let next = parser.next_token();
        parts.push(match next.token {
            Token::Word(word) if minus.is_empty() => match word.quote_style {
                Some(_) if word.value.starts_with('$') => format!("\"{}\"", word.value),
                _ => word.value,
            },
            Token::SingleQuotedString(text) if minus.is_empty() => text,
            Token::Number(digits, _) => format!("{minus}{digits}"),
            _ => return Err(expected("a value", &next)),
        });
        if !parser.consume_token(&Token::Comma) {
            return Ok(set(Some(parts.join(", "))));
        }
    }
}

/// What follows RESET.
pub(super) fn reset(parser: &mut Parser<'_>) -> Result<Node> {
    let name = if parser.parse_keyword(Keyword::ALL) {
        None
    } else if parser.parse_keywords(&[Keyword::TIME, Keyword::ZONE]) {
        Some("timezone".into())
    } else {
        Some(statement::name(parser.parse_identifier().map_err(parser_error)?)?)
    };
    Ok(Node::Transaction(Kind::Set(Setting { name, value: None, local: false })))
}

/// What follows AS OF SYSTEM TIME.
fn as_of(token: &TokenWithSpan) -> Result<AsOf> {
    match &token.token {
        Token::Number(digits, _) => {
            let version = digits.parse().map_err(|_| expected("a position", token))?;
            Ok(AsOf::Position(version))
        }
        Token::SingleQuotedString(text) => AsOf::parse(text).map_err(|error| error.at(position_of(token))),
        _ => Err(expected("a position, or a time in quotes", token)),
    }
}

/// Takes AS OF SYSTEM TIME out of a query, where it stands after the tables of FROM. A statement ends at a semicolon.
pub(super) fn take_as_of(tokens: &mut Vec<TokenWithSpan>, from: usize) -> Result<Option<AsOf>> {
    let mut significant = Vec::new();
    let (mut depth, mut tables) = (0usize, false);
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match &token.token {
            Token::Whitespace(_) => continue,
            Token::SemiColon => break,
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            Token::Word(word) if word.keyword == Keyword::FROM && depth == 0 => tables = true,
            _ => {}
        }
        significant.push(at);
        let [.., a, b, c, d] = significant[..] else { continue };
        let words = [a, b, c, d].map(|at| match &tokens[at].token {
            Token::Word(word) if word.quote_style.is_none() => word.keyword,
            _ => Keyword::NoKeyword,
        });
        if words != [Keyword::AS, Keyword::OF, Keyword::SYSTEM, Keyword::TIME] {
            continue;
        }
        if !matches!(tokens[significant[0]].token, Token::Word(ref word) if QUERIES.contains(&word.keyword)) {
            return Ok(None);
        }
        let here = position_of(&tokens[a]);
        let mut rest = (d + 1..tokens.len()).filter(|&at| !matches!(tokens[at].token, Token::Whitespace(_)));
        let value = rest.next().ok_or_else(|| syntax("AS OF SYSTEM TIME has no time".into(), here))?;
        let follows = match rest.next().map(|at| &tokens[at].token) {
            None | Some(Token::SemiColon | Token::EOF) => true,
            Some(Token::Word(word)) => AFTER_FROM.contains(&word.keyword),
            Some(_) => false,
        };
        if depth > 0 || !tables || !follows {
            let error = syntax("AS OF SYSTEM TIME is in the wrong place".into(), here);
            return Err(error.with_hint("it stands once, after the tables of the FROM of the whole query"));
        }
        let past = as_of(&tokens[value])?;
        tokens.drain(a..=value);
        return Ok(Some(past));
    }
    Ok(None)
}

/// What queries begin with.
const QUERIES: [Keyword; 3] = [Keyword::SELECT, Keyword::WITH, Keyword::EXPLAIN];

/// What can follow the tables of FROM.
const AFTER_FROM: [Keyword; 10] = [
    Keyword::WHERE,
    Keyword::GROUP,
    Keyword::HAVING,
    Keyword::ORDER,
    Keyword::LIMIT,
    Keyword::OFFSET,
    Keyword::FETCH,
    Keyword::UNION,
    Keyword::INTERSECT,
    Keyword::EXCEPT,
];

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
            let past = as_of(&parser.next_token())?;
            if modes.as_of.replace(past).is_some() {
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
    isolation(&name).ok_or_else(|| Error::unsupported(format!("ISOLATION LEVEL {name}")).at(position_of(&first)))
}

/// An isolation level by its name.
pub(in crate::sql) fn isolation(name: &str) -> Option<Isolation> {
    Some(match name.to_ascii_lowercase().as_str() {
        "snapshot" | "repeatable read" => Isolation::Snapshot,
        "serializable" => Isolation::Serializable,
        // As in PostgreSQL, there is nothing weaker.
        "read committed" | "read uncommitted" => Isolation::ReadCommitted,
        _ => return None,
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
