//! Parsing: text into a [`Statement`], by way of `sqlparser` with a dialect of our own.
//!
//! The parser accepts the SQL of many databases. What this one does not support is refused by name, with SQLSTATE 0A000:
//! every clause that is parsed is either used or refused, never ignored.

mod expression;
mod statement;

use sqlparser::ast;
use sqlparser::dialect::Dialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::ast::{Kind, Node, Statement};
use super::error::{Error, SqlState};
use crate::mvcc::Isolation;

/// The longest statement, in bytes.
const MAX_LENGTH: usize = 16 << 20;
/// The most operators and parentheses along any path into an expression. It bounds the recursion of everything that
/// walks expressions, to well within a thread's stack.
const MAX_DEPTH: usize = 500;
/// How deeply the parser may recurse.
const MAX_RECURSION: usize = 64;

/// The dialect: PostgreSQL's spelling, with toydb's right-associative `^` and postfix `!`.
#[derive(Debug)]
struct Orrery;

/// How tightly `^` binds: more than `*`.
const POWER: u8 = 45;

impl Dialect for Orrery {
    fn is_identifier_start(&self, c: char) -> bool {
        c.is_alphabetic() || c == '_' || !c.is_ascii()
    }

    fn is_identifier_part(&self, c: char) -> bool {
        c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
    }

    fn is_delimited_identifier_start(&self, c: char) -> bool {
        c == '"'
    }

    fn supports_factorial_operator(&self) -> bool {
        true
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        (parser.peek_token().token == Token::Caret).then_some(Ok(POWER))
    }

    fn parse_infix(&self, parser: &mut Parser, left: &ast::Expr, _: u8) -> Option<Result<ast::Expr, ParserError>> {
        if parser.peek_token().token != Token::Caret {
            return None;
        }
        parser.next_token();
        Some(parser.parse_subexpr(POWER - 1).map(|right| ast::Expr::BinaryOp {
            left: Box::new(left.clone()),
            op: ast::BinaryOperator::PGExp,
            right: Box::new(right),
        }))
    }
}

/// Parses one statement; a semicolon may follow it.
pub fn parse(sql: &str) -> Result<Statement, Error> {
    if sql.len() > MAX_LENGTH {
        let message = format!("the statement has {} bytes, at most {MAX_LENGTH} are allowed", sql.len());
        return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
    }
    let tokens = Tokenizer::new(&Orrery, sql)
        .tokenize_with_location()
        .map_err(|error| syntax(error.message, Some((error.location.line, error.location.column))))?;
    check_depth(&tokens)?;
    let mut parser = Parser::new(&Orrery).with_recursion_limit(MAX_RECURSION).with_tokens_with_locations(tokens);
    let node = if parser.parse_keyword(Keyword::BEGIN) || parser.parse_keywords(&[Keyword::START, Keyword::TRANSACTION])
    {
        begin(&mut parser)?
    } else {
        if parser.peek_token().token == Token::EOF {
            return Err(syntax("there is no statement".into(), None));
        }
        statement::convert(parser.parse_statement().map_err(parser_error)?)?
    };
    let mut next = parser.next_token();
    while next.token == Token::SemiColon {
        next = parser.next_token();
    }
    if next.token != Token::EOF {
        let message = format!("unexpected {} after the statement", next.token);
        let hint = "send one statement at a time";
        return Err(syntax(message, position_of(&next)).with_hint(hint));
    }
    Ok(Statement(node))
}

/// What follows BEGIN.
fn begin(parser: &mut Parser) -> Result<Node, Error> {
    let _ = parser.parse_one_of_keywords(&[Keyword::TRANSACTION, Keyword::WORK]);
    let (mut read_only, mut isolation, mut as_of) = (None, None, None);
    let twice = |what: &str| Err(syntax(format!("{what} is given twice"), None));
    loop {
        if parser.parse_keywords(&[Keyword::READ, Keyword::ONLY]) {
            if read_only.replace(true).is_some() {
                return twice("the access mode");
            }
        } else if parser.parse_keywords(&[Keyword::READ, Keyword::WRITE]) {
            if read_only.replace(false).is_some() {
                return twice("the access mode");
            }
        } else if parser.parse_keywords(&[Keyword::ISOLATION, Keyword::LEVEL]) {
            let level = parser.next_token();
            let level = match level.token.to_string().to_ascii_uppercase().as_str() {
                "SNAPSHOT" => Isolation::Snapshot,
                "SERIALIZABLE" => Isolation::Serializable,
                other => return Err(Error::unsupported(format!("ISOLATION LEVEL {other}")).at(position_of(&level))),
            };
            if isolation.replace(level).is_some() {
                return twice("the isolation level");
            }
        } else if parser.parse_keywords(&[Keyword::AS, Keyword::OF, Keyword::SYSTEM]) {
            if !parser.parse_keyword(Keyword::TIME) {
                return Err(expected("TIME", &parser.peek_token()));
            }
            let place = parser.peek_token();
            let version = parser.parse_literal_uint().map_err(|_| expected("a position", &place))?;
            if as_of.replace(version).is_some() {
                return twice("AS OF SYSTEM TIME");
            }
        } else if parser.peek_token().token == Token::Comma {
            parser.next_token();
        } else {
            break;
        }
    }
    if as_of.is_some() && read_only != Some(true) {
        let error = syntax("AS OF SYSTEM TIME needs a READ ONLY transaction".into(), None);
        return Err(error.with_hint("write BEGIN READ ONLY AS OF SYSTEM TIME ..."));
    }
    Ok(Node::Transaction(Kind::Begin {
        read_only: read_only.unwrap_or(false),
        isolation: isolation.unwrap_or_default(),
        as_of,
    }))
}

/// Refuses expressions so deep that walking them could exhaust the stack. The parser builds chains like `1 + 1 + 1 ...`
/// without recursion, so its own limit does not bound them.
fn check_depth(tokens: &[TokenWithSpan]) -> Result<(), Error> {
    // How deep the present item is at each level of parentheses, the levels around it included.
    let mut levels = vec![0usize];
    for token in tokens {
        let level = levels.len() - 1;
        match &token.token {
            Token::LParen | Token::LBracket => levels.push(levels[level] + 1),
            Token::RParen | Token::RBracket if level > 0 => drop(levels.pop()),
            Token::Comma | Token::SemiColon => levels[level] = if level > 0 { levels[level - 1] + 1 } else { 0 },
            Token::Word(word) if matches!(word.keyword, Keyword::NoKeyword) => {}
            Token::Number(..) | Token::SingleQuotedString(_) | Token::Whitespace(_) | Token::Placeholder(_) => {}
            _ => levels[level] += 1,
        }
        if levels[levels.len() - 1] > MAX_DEPTH {
            let message =
                format!("the statement is nested or chained too deeply: at most {MAX_DEPTH} operators are allowed");
            return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, message).at(position_of(token)));
        }
    }
    Ok(())
}

fn position_of(token: &TokenWithSpan) -> Option<(u64, u64)> {
    let start = token.span.start;
    (start.line > 0).then_some((start.line, start.column))
}

fn expected(what: &str, found: &TokenWithSpan) -> Error {
    syntax(format!("expected {what}, found {}", found.token), position_of(found))
}

fn syntax(message: String, position: Option<(u64, u64)>) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, message).at(position)
}

fn parser_error(error: ParserError) -> Error {
    match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => syntax(message, None),
        ParserError::RecursionLimitExceeded => {
            Error::new(SqlState::STATEMENT_TOO_COMPLEX, "the statement is nested too deeply")
        }
    }
}
