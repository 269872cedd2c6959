//! Parsing: text into a [`Statement`], by way of `sqlparser` with a dialect of our own.
//!
//! The parser accepts the SQL of many databases. What this one does not support is refused by name, with SQLSTATE 0A000:
//! every clause that is parsed is either used or refused, never ignored.

mod expression;
mod statement;

use sqlparser::ast;
use sqlparser::dialect::{Dialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use super::ast::{Kind, Node, Statement};
use super::error::{Error, SqlState};
use crate::mvcc::Isolation;

/// The longest statement, in bytes.
const MAX_LENGTH: usize = 1 << 20;
/// The most operators and parentheses along any path into an expression. It bounds the recursion of everything that
/// walks expressions, to well within a thread's stack.
const MAX_DEPTH: usize = 500;
/// How deeply the parser may recurse.
const MAX_RECURSION: usize = 64;

/// The dialect: PostgreSQL's spelling and precedence, with what toydb has beside them: `^` that groups to the right, postfix
/// `!`, and equality that binds less than order, so that `5 > 3 = TRUE` has a meaning.
#[derive(Debug)]
struct Orrery;

/// How tightly operators bind, where the parser does not ask by name.
mod precedence {
    pub const SIGN: u8 = 80;
    pub const FACTORIAL: u8 = 70;
    pub const POWER: u8 = 60;
    pub const OTHER: u8 = 30;
    pub const ORDER: u8 = 19;
}

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

    fn supports_nested_comments(&self) -> bool {
        true
    }

    // What follows is here to be refused by name: where a dialect does not have these clauses, the parser takes them for
    // something else, or takes some of their keywords and says nothing.

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_string_escape_constant(&self) -> bool {
        true
    }

    fn supports_asc_desc_in_column_definition(&self) -> bool {
        true
    }

    fn parse_column_option(
        &self,
        parser: &mut Parser,
    ) -> Result<Option<Result<Option<ast::ColumnOption>, ParserError>>, ParserError> {
        let Token::Word(word) = &parser.peek_token_ref().token else { return Ok(None) };
        let of_others = [
            Keyword::AS,
            Keyword::AUTO_INCREMENT,
            Keyword::AUTOINCREMENT,
            Keyword::IDENTITY,
            Keyword::ON,
            Keyword::SRID,
        ];
        if !of_others.contains(&word.keyword) {
            return Ok(None);
        }
        let token = parser.next_token().token;
        Ok(Some(Ok(Some(ast::ColumnOption::DialectSpecific(vec![token])))))
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        match precedence {
            Precedence::Period => 100,
            Precedence::DoubleColon => 90,
            Precedence::AtTz => 65,
            Precedence::MulDivModOp => 50,
            Precedence::PlusMinus => 40,
            Precedence::Xor
            | Precedence::Ampersand
            | Precedence::Caret
            | Precedence::Pipe
            | Precedence::Colon
            | Precedence::PgOther => precedence::OTHER,
            Precedence::Between | Precedence::Like => 20,
            Precedence::Eq => 18,
            Precedence::Is => 17,
            Precedence::UnaryNot => 15,
            Precedence::And => 10,
            Precedence::Or => 5,
        }
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        match parser.peek_token_ref().token {
            Token::Caret => Some(Ok(precedence::POWER)),
            Token::ExclamationMark => Some(Ok(precedence::FACTORIAL)),
            Token::StringConcat => Some(Ok(precedence::OTHER)),
            Token::Lt | Token::LtEq | Token::Gt | Token::GtEq => Some(Ok(precedence::ORDER)),
            _ => None,
        }
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<ast::Expr, ParserError>> {
        let op = match parser.peek_token_ref().token {
            Token::Plus => ast::UnaryOperator::Plus,
            Token::Minus => ast::UnaryOperator::Minus,
            _ => return None,
        };
        parser.next_token();
        let operand = parser.parse_subexpr(precedence::SIGN);
        Some(operand.map(|expr| ast::Expr::UnaryOp { op, expr: Box::new(expr) }))
    }

    fn parse_infix(&self, parser: &mut Parser, left: &ast::Expr, _: u8) -> Option<Result<ast::Expr, ParserError>> {
        if parser.peek_token_ref().token != Token::Caret {
            return None;
        }
        parser.next_token();
        Some(parser.parse_subexpr(precedence::POWER - 1).map(|right| ast::Expr::BinaryOp {
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
        .map_err(|error| syntax(error.message, position(error.location)))?;
    check_numbers(&tokens)?;
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
    let mut comma = false;
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
                other => {
                    let mut name = other.to_string();
                    if matches!(other, "READ" | "REPEATABLE") {
                        name = format!("{name} {}", parser.next_token().token);
                    }
                    return Err(Error::unsupported(format!("ISOLATION LEVEL {name}")).at(position_of(&level)));
                }
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
        } else if comma {
            return Err(expected("a transaction mode", &parser.peek_token()));
        } else {
            break;
        }
        comma = parser.consume_token(&Token::Comma);
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

/// Refuses letters that follow a number at once, which the parser would take for an alias.
fn check_numbers(tokens: &[TokenWithSpan]) -> Result<(), Error> {
    for pair in tokens.windows(2) {
        if let (Token::Number(digits, _), Token::Word(word)) = (&pair[0].token, &pair[1].token) {
            let message = format!("the number {digits} is followed by {word} without a space");
            return Err(syntax(message, position_of(&pair[0])));
        }
    }
    Ok(())
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

/// A place in the statement, if it is known.
fn position(location: Location) -> Option<(u64, u64)> {
    (location.line > 0).then_some((location.line, location.column))
}

fn position_of(token: &TokenWithSpan) -> Option<(u64, u64)> {
    position(token.span.start)
}

fn expected(what: &str, found: &TokenWithSpan) -> Error {
    syntax(format!("expected {what}, found {}", found.token), position_of(found))
}

fn syntax(message: String, position: Option<(u64, u64)>) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, message).at(position)
}

fn parser_error(error: ParserError) -> Error {
    match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => match place(&message) {
            Some((message, position)) => syntax(message.to_string(), Some(position)),
            None => syntax(message, None),
        },
        ParserError::RecursionLimitExceeded => {
            Error::new(SqlState::STATEMENT_TOO_COMPLEX, "the statement is nested too deeply")
        }
    }
}

/// Takes apart a message that ends in ` at Line: 1, Column: 2`.
fn place(message: &str) -> Option<(&str, (u64, u64))> {
    let (message, place) = message.rsplit_once(" at Line: ")?;
    let (line, column) = place.split_once(", Column: ")?;
    Some((message, (line.parse().ok()?, column.parse().ok()?)))
}
