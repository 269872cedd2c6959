//! How deep a statement is, found out from its tokens before it is parsed.
//!
//! Where the parser recurses, it has a limit of its own. But it makes trees that grow by a level with each operator of a
//! chain like `1 + 1 + 1 ...` without recursion, and what walks a tree, or frees it, does recurse. So the operators of chains
//! are counted here, those around parentheses on top of those within.
//!
//! Chains of AND, of OR and of a set operation are not deep once they are converted, since they are [`balanced`] then. So they
//! count for little, but the parser's own trees, which have one level for each, are limited too.
//!
//! All keywords can be names of columns, which could hide operators if a clause were thought to begin there. A name within a
//! chain stands after an operator, and a clause does not begin there.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::super::error::{Error, SqlState};
use super::{MAX_DEPTH, Result, position_of};

/// The most levels of the parser's own trees. They are freed, and written as text, by recursion with little stack.
const MAX_PARSED: usize = 1_000;

/// The longest chain that keeps its form. A balanced one is no deeper, as long as a statement can be.
const LONG: usize = 20;

/// Puts the operands of a chain together in their order, as a tree that is not as deep as they are many.
///
/// # Panics
/// If there are none.
pub(super) fn balanced<T>(mut operands: Vec<T>, mut join: impl FnMut(T, T) -> T) -> T {
    while operands.len() > LONG {
        let mut rest = operands.into_iter();
        operands = Vec::with_capacity(rest.len().div_ceil(2));
        while let Some(left) = rest.next() {
            operands.push(match rest.next() {
                Some(right) => join(left, right),
                None => left,
            });
        }
    }
    operands.into_iter().reduce(join).expect("a chain has operands")
}

/// What a token is to the depth of a statement.
enum Role {
    Open,
    Close,
    Case,
    End,
    /// Also that of BETWEEN.
    And,
    Or,
    /// A set operation.
    Set(Keyword),
    /// The word of a set operation where a name could be, too.
    SetOrName,
    /// No operator goes across it.
    Break,
    /// The same, within CASE.
    Branch,
    Semicolon,
    /// What may make a tree a level deeper.
    Operator,
    Other,
}

/// Whether a word is an operator or a part of one: all that the parser goes on with after an operand, and what can stand
/// between these and the next operand.
fn is_operator_word(keyword: Keyword) -> bool {
    use Keyword::{
        ALL, AND, ANY, ASYMMETRIC, AT, BETWEEN, BINARY, COLLATE, CONNECT_BY_ROOT, DISTINCT, DIV, ESCAPE, GLOB, ILIKE,
        IN, INTERVAL, IS, LIKE, MATCH, MEMBER, NOT, NOTNULL, OF, OPERATOR, OR, OVERLAPS, PRIOR, REGEXP, RLIKE, SIMILAR,
        SOME, SYMMETRIC, TIME, TO, UNNEST, XOR, ZONE,
    };
    matches!(
        keyword,
        ALL | AND
            | ANY
            | ASYMMETRIC
            | AT
            | BETWEEN
            | BINARY
            | COLLATE
            | CONNECT_BY_ROOT
            | DISTINCT
            | DIV
            | ESCAPE
            | GLOB
            | ILIKE
            | IN
            | INTERVAL
            | IS
            | LIKE
            | MATCH
            | MEMBER
            | NOT
            | NOTNULL
            | OF
            | OPERATOR
            | OR
            | OVERLAPS
            | PRIOR
            | REGEXP
            | RLIKE
            | SIMILAR
            | SOME
            | SYMMETRIC
            | TIME
            | TO
            | UNNEST
            | XOR
            | ZONE
    )
}

fn is_set_word(keyword: Keyword) -> bool {
    matches!(keyword, Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::MINUS)
}

fn keyword(token: &Token) -> Keyword {
    match token {
        Token::Word(Word { quote_style: None, keyword, .. }) => *keyword,
        _ => Keyword::NoKeyword,
    }
}

/// Whether a token may be an operator or a part of one.
fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(_) => {
            is_operator_word(keyword(token)) || keyword(token) == Keyword::FROM || super::is_isnull(token)
        }
        Token::LParen | Token::LBracket | Token::LBrace | Token::RParen | Token::RBracket | Token::RBrace => false,
        Token::Comma | Token::SemiColon | Token::Period | Token::EOF => false,
        Token::Number(..) | Token::SingleQuotedString(_) | Token::Placeholder(_) => false,
        _ => true,
    }
}

/// What a token is after another one.
fn role(token: &Token, before: Option<&Token>) -> Role {
    match token {
        Token::LParen | Token::LBracket | Token::LBrace => return Role::Open,
        Token::RParen | Token::RBracket | Token::RBrace => return Role::Close,
        Token::Comma => return Role::Break,
        Token::SemiColon => return Role::Semicolon,
        Token::Word(_) => {}
        token => return if is_operator(token) { Role::Operator } else { Role::Other },
    }
    let word = keyword(token);
    let links = matches!(word, Keyword::AND | Keyword::OR);
    match before {
        Some(Token::Period) => return Role::Other,
        _ if word == Keyword::CASE => return Role::Case,
        // What was before may have been a name.
        Some(before) if is_operator(before) && is_set_word(word) => return Role::SetOrName,
        // A name, or a part of an operator.
        Some(before) if is_operator(before) => return Role::Operator,
        // A name.
        None | Some(Token::LParen | Token::LBracket | Token::Comma) if links => return Role::Operator,
        _ if word == Keyword::AND => return Role::And,
        _ if word == Keyword::OR => return Role::Or,
        _ if is_operator_word(word) || super::is_isnull(token) => return Role::Operator,
        _ => {}
    }
    match word {
        Keyword::END => Role::End,
        word if is_set_word(word) => Role::Set(word),
        Keyword::WHEN | Keyword::THEN | Keyword::ELSE => Role::Branch,
        Keyword::CHECK
        | Keyword::CROSS
        | Keyword::DEFAULT
        | Keyword::FETCH
        | Keyword::FILTER
        | Keyword::FROM
        | Keyword::FULL
        | Keyword::GROUP
        | Keyword::HAVING
        | Keyword::INNER
        | Keyword::JOIN
        | Keyword::LEFT
        | Keyword::LIMIT
        | Keyword::NATURAL
        | Keyword::OFFSET
        | Keyword::ON
        | Keyword::ORDER
        | Keyword::RETURNING
        | Keyword::RIGHT
        | Keyword::SELECT
        | Keyword::SET
        | Keyword::USING
        | Keyword::VALUES
        | Keyword::WHERE => Role::Break,
        _ => Role::Other,
    }
}

/// How many levels there are: in our trees, and in the parser's.
#[derive(Clone, Copy, Default)]
struct Height {
    ours: usize,
    parsed: usize,
}

impl Height {
    fn max(self, other: Self) -> Self {
        Self { ours: self.ours.max(other.ours), parsed: self.parsed.max(other.parsed) }
    }

    fn plus(self, ours: usize, parsed: usize) -> Self {
        Self { ours: self.ours + ours, parsed: self.parsed + parsed }
    }
}

/// The statement, or what is in parentheses or in a CASE.
#[derive(Default)]
struct Level {
    is_case: bool,
    /// The highest before the last break.
    done: Height,
    /// The operators of the operand of AND or OR at hand, and the highest in parentheses there.
    operators: usize,
    inner: Height,
    /// The highest operand of AND since the last OR, and how many AND there are.
    operands: Height,
    ands: usize,
    /// The highest operand of OR since the break, and how many OR there are.
    terms: Height,
    ors: usize,
    /// The set operations: levels, the last one with ALL or not, and how often it came in a row.
    sets: Height,
    last: Option<(Keyword, bool)>,
    run: usize,
}

impl Level {
    fn operand(&self) -> Height {
        self.inner.plus(self.operators, self.operators)
    }

    fn term(&self) -> Height {
        self.operands.max(self.operand()).plus(self.ands.min(LONG), self.ands)
    }

    fn condition(&self) -> Height {
        self.terms.max(self.term()).plus(self.ors.min(LONG), self.ors)
    }

    fn whole(&self) -> Height {
        self.done.max(self.condition()).plus(self.sets.ours, self.sets.parsed)
    }

    fn and(&mut self) {
        self.operands = self.operands.max(self.operand());
        (self.operators, self.inner) = Default::default();
        self.ands += 1;
    }

    fn or(&mut self) {
        self.terms = self.terms.max(self.term());
        (self.operators, self.inner, self.operands, self.ands) = Default::default();
        self.ors += 1;
    }

    fn end(&mut self) {
        self.done = self.done.max(self.condition());
        (self.operators, self.inner, self.operands, self.ands) = Default::default();
        (self.terms, self.ors) = Default::default();
    }

    fn combine(&mut self, operation: (Keyword, bool)) {
        self.end();
        // Differences are not balanced.
        let goes_on = self.last == Some(operation) && operation.0 != Keyword::EXCEPT;
        self.run = if goes_on { self.run + 1 } else { 0 };
        self.sets = self.sets.plus(usize::from(self.run < LONG), 1);
        self.last = Some(operation);
    }
}

/// Refuses statements that are so deep that walking them could exhaust the stack.
pub(super) fn check(tokens: &[TokenWithSpan], most: usize) -> Result<()> {
    let mut levels = vec![Level::default()];
    let mut before: Option<&Token> = None;
    let is_space = |token: &&TokenWithSpan| matches!(token.token, Token::Whitespace(_));
    let mut significant = tokens.iter().filter(|token| !is_space(token)).peekable();
    while let Some(token) = significant.next() {
        let role = role(&token.token, before);
        // An operand ends with an operator that follows it, as with a parenthesis.
        let may_follow = token.token == Token::ExclamationMark
            || super::is_isnull(&token.token)
            || keyword(&token.token) == Keyword::NOTNULL;
        let follows = may_follow && before.is_some_and(|before| !is_operator(before));
        before = Some(if follows { &Token::RParen } else { &token.token });
        let top = levels.len() - 1;
        let level = &mut levels[top];
        match role {
            Role::Open => levels.push(Level::default()),
            Role::Case => levels.push(Level { is_case: true, ..Level::default() }),
            // A parenthesis ends what is in it, a CASE without an END too.
            Role::Close => {
                while levels.len() > 1 {
                    if !close(&mut levels) {
                        break;
                    }
                }
            }
            Role::End if level.is_case => {
                close(&mut levels);
            }
            Role::And => level.and(),
            Role::Or => level.or(),
            Role::Set(keyword) => {
                let all = significant.peek().is_some_and(|next| self::keyword(&next.token) == Keyword::ALL);
                level.combine((keyword, all));
            }
            // Whichever it is, it makes a tree a level deeper, and nothing ends with a name.
            Role::SetOrName => {
                level.operators += 1;
                level.sets = level.sets.plus(1, 1);
            }
            Role::Branch if level.is_case => level.end(),
            Role::Break => level.end(),
            Role::Semicolon => *level = Level { is_case: level.is_case, ..Level::default() },
            Role::Operator => level.operators += 1,
            Role::End | Role::Branch | Role::Other => {}
        }
        let Height { ours, parsed } = levels[levels.len() - 1].whole().plus(levels.len() - 1, levels.len() - 1);
        if ours > most || parsed > MAX_PARSED {
            return Err(too_deep(token, ours > most, most));
        }
    }
    Ok(())
}

/// Ends a level, and says whether it was a CASE.
fn close(levels: &mut Vec<Level>) -> bool {
    let level = levels.pop().expect("there is one to end");
    let around = levels.last_mut().expect("there is one around it");
    around.inner = around.inner.max(level.whole().plus(1, 1));
    level.is_case
}

fn too_deep(token: &TokenWithSpan, deep: bool, most: usize) -> Error {
    let message = if deep {
        format!("the statement is nested or chained too deeply: at most {most} operators are allowed")
    } else {
        format!("the statement has a chain of more than {MAX_PARSED} conditions or queries")
    };
    let error = Error::new(SqlState::STATEMENT_TOO_COMPLEX, message).at(position_of(token));
    if deep && most < MAX_DEPTH {
        error.with_hint(format!("raise max_expression_depth, which can be {MAX_DEPTH}"))
    } else {
        error.with_hint("write IN for a chain of OR, or take the statement apart")
    }
}
