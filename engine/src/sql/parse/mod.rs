//! Parsing: text into a [`Statement`], by way of `sqlparser` with a dialect of our own.
//!
//! The parser accepts the SQL of many databases. What this one does not support is refused by name, with SQLSTATE 0A000:
//! every clause that is parsed is either used or refused, never ignored.

mod ddl;
mod depth;
mod dml;
mod expression;
mod nested;
mod query;
mod row;
mod statement;
mod system;
mod transaction;

pub(super) use transaction::isolation;

use sqlparser::ast;
use sqlparser::dialect::{Dialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use super::as_of::AsOf;
use super::ast::{Expr, Position, Query, Statement};
use super::error::{Error, SqlState};

type Result<T> = std::result::Result<T, Error>;

/// Refuses the constructs that are present.
macro_rules! refuse {
    ($($present:expr => $name:expr),* $(,)?) => {
        $(if $present {
            return Err(crate::sql::error::Error::unsupported($name));
        })*
    };
}
use refuse;

/// The most operators and parentheses along any path into an expression. It bounds the recursion of everything that
/// walks expressions, to well within a thread's stack.
pub(super) const MAX_DEPTH: usize = 200;
/// How deeply the parser may recurse.
const MAX_RECURSION: usize = 64;

/// How long and deep a text may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Limits {
    /// The most bytes.
    pub length: usize,
    /// The most operators and parentheses along any path into an expression; at most 200.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { length: 1 << 20, depth: MAX_DEPTH }
    }
}

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

    fn supports_comma_separated_trim(&self) -> bool {
        true
    }

    fn supports_factorial_operator(&self) -> bool {
        true
    }

    fn supports_nested_comments(&self) -> bool {
        true
    }

    fn supports_in_empty_list(&self) -> bool {
        true
    }

    fn supports_parens_around_table_factor(&self) -> bool {
        true
    }

    fn supports_empty_projections(&self) -> bool {
        true
    }

    fn supports_insert_table_alias(&self) -> bool {
        true
    }

    fn supports_order_by_all(&self) -> bool {
        true
    }

    // What follows is here to be refused by name: where a dialect does not have these clauses, the parser takes them for
    // something else, or takes some of their keywords and says nothing.

    fn supports_notnull_operator(&self) -> bool {
        true
    }

    fn supports_limit_comma(&self) -> bool {
        true
    }

    fn supports_explain_with_utility_options(&self) -> bool {
        true
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_alter_column_type_using(&self) -> bool {
        true
    }

    fn supports_array_typedef_with_brackets(&self) -> bool {
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
    ) -> std::result::Result<Option<std::result::Result<Option<ast::ColumnOption>, ParserError>>, ParserError> {
        let Token::Word(word) = &parser.peek_token_ref().token else { return Ok(None) };
        let of_others = [
            Keyword::AS,
            Keyword::AUTO_INCREMENT,
            Keyword::AUTOINCREMENT,
            Keyword::IDENTITY,
            Keyword::INDEX,
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

    fn get_next_precedence(&self, parser: &Parser) -> Option<std::result::Result<u8, ParserError>> {
        match parser.peek_token_ref().token {
            Token::Caret => Some(Ok(precedence::POWER)),
            Token::ExclamationMark => Some(Ok(precedence::FACTORIAL)),
            Token::StringConcat => Some(Ok(precedence::OTHER)),
            Token::Lt | Token::LtEq | Token::Gt | Token::GtEq => Some(Ok(precedence::ORDER)),
            Token::Word(ref word) if word.keyword == Keyword::OPERATOR => Some(Ok(precedence::OTHER)),
            ref token if is_isnull(token) => Some(Ok(self.prec_value(Precedence::Is))),
            _ => None,
        }
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<std::result::Result<ast::Expr, ParserError>> {
        let op = match parser.peek_token_ref().token {
            Token::Plus => ast::UnaryOperator::Plus,
            Token::Minus => ast::UnaryOperator::Minus,
            _ => return None,
        };
        parser.next_token();
        let operand = parser.parse_subexpr(precedence::SIGN);
        // Written out again, two signs must not become a comment.
        let operand = operand.map(|expr| match expr {
            ast::Expr::UnaryOp { .. } => ast::Expr::Nested(Box::new(expr)),
            expr => expr,
        });
        Some(operand.map(|expr| ast::Expr::UnaryOp { op, expr: Box::new(expr) }))
    }

    fn parse_infix(
        &self,
        parser: &mut Parser,
        left: &ast::Expr,
        _: u8,
    ) -> Option<std::result::Result<ast::Expr, ParserError>> {
        match parser.peek_token_ref().token.clone() {
            Token::Caret => {}
            Token::Word(word) if word.keyword == Keyword::IS => return parse_is_nan(parser, left).map(Ok),
            Token::Word(word) if word.keyword == Keyword::OPERATOR => return Some(parse_operator(parser, left)),
            ref token if is_isnull(token) => {
                parser.next_token();
                return Some(Ok(ast::Expr::IsNull(Box::new(left.clone()))));
            }
            _ => return None,
        }
        parser.next_token();
        Some(parser.parse_subexpr(precedence::POWER - 1).map(|right| ast::Expr::BinaryOp {
            left: Box::new(left.clone()),
            op: ast::BinaryOperator::PGExp,
            right: Box::new(right),
        }))
    }
}

/// `OPERATOR(pg_catalog.~)`: an operator in its long form, of which there are the regular expressions.
fn parse_operator(parser: &mut Parser, left: &ast::Expr) -> std::result::Result<ast::Expr, ParserError> {
    parser.next_token();
    parser.expect_token(&Token::LParen)?;
    if parser.parse_identifier()?.value.eq_ignore_ascii_case("pg_catalog") {
        parser.expect_token(&Token::Period)?;
    }
    let op = match parser.next_token().token {
        Token::Tilde => ast::BinaryOperator::PGRegexMatch,
        Token::TildeAsterisk => ast::BinaryOperator::PGRegexIMatch,
        Token::ExclamationMarkTilde => ast::BinaryOperator::PGRegexNotMatch,
        Token::ExclamationMarkTildeAsterisk => ast::BinaryOperator::PGRegexNotIMatch,
        Token::Eq => ast::BinaryOperator::Eq,
        Token::Neq => ast::BinaryOperator::NotEq,
        other => return Err(ParserError::ParserError(format!("there is no OPERATOR(pg_catalog.{other})"))),
    };
    parser.expect_token(&Token::RParen)?;
    let right = Box::new(parser.parse_subexpr(precedence::OTHER)?);
    Ok(ast::Expr::BinaryOp { left: Box::new(left.clone()), op, right })
}

/// ISNULL, which is no keyword to the parser.
fn is_isnull(token: &Token) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("isnull"))
}

/// IS \[NOT\] NAN, which becomes a call of `isnan`, the function for the same.
fn parse_is_nan(parser: &mut Parser, left: &ast::Expr) -> Option<ast::Expr> {
    let [_, second, third] = parser.peek_tokens_ref::<3>().map(|token| match &token.token {
        Token::Word(word) if word.quote_style.is_none() => word.value.to_ascii_lowercase(),
        _ => String::new(),
    });
    let negated = second == "not" && third == "nan";
    if !negated && second != "nan" {
        return None;
    }
    for _ in 0..if negated { 3 } else { 2 } {
        parser.next_token();
    }
    let args = ast::FunctionArgumentList {
        duplicate_treatment: None,
        args: vec![ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(left.clone()))],
        clauses: Vec::new(),
    };
    let call = ast::Expr::Function(ast::Function {
        name: ast::Ident::new("isnan").into(),
        uses_odbc_syntax: false,
        parameters: ast::FunctionArguments::None,
        args: ast::FunctionArguments::List(args),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    });
    Some(if negated {
        let not = ast::Expr::UnaryOp { op: ast::UnaryOperator::Not, expr: Box::new(call) };
        ast::Expr::Nested(Box::new(not))
    } else {
        call
    })
}

/// Parses one statement; a semicolon may follow it.
pub fn parse(sql: &str) -> Result<Statement> {
    parse_within(sql, Limits::default())
}

/// As [`parse()`], within limits.
pub fn parse_within(sql: &str, limits: Limits) -> Result<Statement> {
    let mut tokens = tokens(sql, limits)?;
    let as_of = pasts(&mut tokens)?.first().copied().flatten();
    let mut parser = parser(tokens);
    let node = statement::statement(&mut parser)?;
    while parser.consume_token(&Token::SemiColon) {}
    let next = parser.next_token();
    if next.token != Token::EOF {
        let message = format!("unexpected {} after the statement", next.token);
        let hint = "send one statement at a time";
        return Err(syntax(message, position_of(&next)).with_hint(hint));
    }
    Ok(Statement { node, as_of })
}

/// Parses the statements of a text, which semicolons separate. There may be none.
pub fn parse_all(sql: &str) -> Result<Vec<Statement>> {
    parse_all_within(sql, Limits::default())
}

/// As [`parse_all`], within limits.
pub fn parse_all_within(sql: &str, limits: Limits) -> Result<Vec<Statement>> {
    let mut tokens = tokens(sql, limits)?;
    let mut pasts = pasts(&mut tokens)?.into_iter();
    let mut parser = parser(tokens);
    let mut statements = Vec::new();
    loop {
        while parser.consume_token(&Token::SemiColon) {}
        if parser.peek_token_ref().token == Token::EOF {
            return Ok(statements);
        }
        let as_of = pasts.next().flatten();
        statements.push(Statement { node: statement::statement(&mut parser)?, as_of });
        let next = parser.peek_token();
        if !matches!(next.token, Token::SemiColon | Token::EOF) {
            return Err(syntax(format!("unexpected {} after the statement", next.token), position_of(&next)));
        }
    }
}

/// What the schema keeps was within the limits of the session that made it.
const KEPT: Limits = Limits { length: usize::MAX, depth: MAX_DEPTH };

/// Parses an expression that the schema keeps as text.
pub(super) fn parse_expression(text: &str) -> Result<Expr> {
    let mut parser = parser(tokens(text, KEPT)?);
    let expr = expression::convert(parser.parse_expr().map_err(parser_error)?)?;
    end(&mut parser)?;
    Ok(expr)
}

/// Parses a query that the schema keeps as text.
pub(super) fn parse_query(text: &str) -> Result<Query> {
    let mut parser = parser(tokens(text, KEPT)?);
    let query = query::convert(*parser.parse_query().map_err(parser_error)?)?;
    end(&mut parser)?;
    Ok(query)
}

fn end(parser: &mut Parser<'_>) -> Result<()> {
    match parser.next_token() {
        TokenWithSpan { token: Token::EOF, .. } => Ok(()),
        next => Err(expected("the end", &next)),
    }
}

fn parser(tokens: Vec<TokenWithSpan>) -> Parser<'static> {
    Parser::new(&Orrery).with_recursion_limit(MAX_RECURSION).with_tokens_with_locations(tokens)
}

/// The pasts that the statements between semicolons read, which are taken out of their tokens.
fn pasts(tokens: &mut Vec<TokenWithSpan>) -> Result<Vec<Option<AsOf>>> {
    let mut pasts = Vec::new();
    let mut start = 0;
    loop {
        let end = |tokens: &[TokenWithSpan]| {
            let part = tokens[start..].iter().position(|token| token.token == Token::SemiColon);
            part.map_or(tokens.len(), |length| start + length)
        };
        let blank = |token: &TokenWithSpan| matches!(token.token, Token::Whitespace(_) | Token::EOF);
        if !tokens[start..end(tokens)].iter().all(blank) {
            pasts.push(transaction::take_as_of(tokens, start)?);
        }
        start = end(tokens) + 1;
        if start > tokens.len() {
            return Ok(pasts);
        }
    }
}

/// The tokens of a text that is not too much.
fn tokens(sql: &str, limits: Limits) -> Result<Vec<TokenWithSpan>> {
    if sql.len() > limits.length {
        let message = format!("the statement has {} bytes, at most {} are allowed", sql.len(), limits.length);
        let error = Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message);
        return Err(error.with_hint("raise max_statement_length, or use parameters or several statements"));
    }
    let tokens = Tokenizer::new(&Orrery, sql)
        .tokenize_with_location()
        .map_err(|error| syntax(error.message, position(error.location)))?;
    check_numbers(&tokens)?;
    let mut tokens = nested::disambiguate(without_hints(tokens));
    depth::check(&tokens, limits.depth.min(MAX_DEPTH))?;
    number_parameters(&mut tokens)?;
    Ok(tokens)
}

/// Leaves out what a common table says of whether it is made once: AS \[NOT\] MATERIALIZED. Each is.
fn without_hints(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let keyword = |token: &TokenWithSpan| match &token.token {
        Token::Word(word) if word.quote_style.is_none() => word.keyword,
        _ => Keyword::NoKeyword,
    };
    if !tokens.iter().any(|token| keyword(token) == Keyword::MATERIALIZED) {
        return tokens;
    }
    let mut kept: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut tokens = tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).peekable();
    while let Some(token) = tokens.next() {
        if keyword(&token) == Keyword::MATERIALIZED && tokens.peek().is_some_and(|next| next.token == Token::LParen) {
            let mut before = kept.iter().rev().map(keyword);
            match (before.next(), before.next()) {
                (Some(Keyword::AS), _) => continue,
                (Some(Keyword::NOT), Some(Keyword::AS)) => {
                    kept.pop();
                    continue;
                }
                _ => {}
            }
        }
        kept.push(token);
    }
    kept
}

/// Gives each `?` the number that it has in order.
fn number_parameters(tokens: &mut [TokenWithSpan]) -> Result<()> {
    let (mut count, mut numbered) = (0, false);
    for token in tokens {
        let position = position_of(token);
        let Token::Placeholder(name) = &mut token.token else { continue };
        if name == "?" {
            count += 1;
            *name = format!("${count}");
        } else {
            numbered = true;
        }
        if count > 0 && numbered {
            return Err(syntax("parameters are both numbered and not".into(), position));
        }
    }
    Ok(())
}

/// Refuses letters that follow a number at once, which the parser would take for an alias.
fn check_numbers(tokens: &[TokenWithSpan]) -> Result<()> {
    for pair in tokens.windows(2) {
        if let (Token::Number(digits, _), Token::Word(word)) = (&pair[0].token, &pair[1].token) {
            let message = format!("the number {digits} is followed by {word} without a space");
            return Err(syntax(message, position_of(&pair[0])));
        }
    }
    Ok(())
}

fn place_of(location: Location) -> Position {
    Position(position(location))
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
