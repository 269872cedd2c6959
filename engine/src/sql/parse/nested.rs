//! Queries in parentheses that the parser does not take for queries: `ANY (VALUES ...)`, `((SELECT ...) UNION ...)` as a value,
//! and lists after IN that begin with a query. Their tokens are changed into what it does take, with the same meaning: a
//! query becomes `SELECT * FROM (...)`, and a list begins with a plus sign.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

/// What a place of the tokens is given before it.
#[derive(Clone, Copy)]
enum Change {
    /// `SELECT * FROM (`
    Open,
    /// `) AS "$query"`
    Close,
    Plus,
}

/// Changes the tokens so that the parser finds all queries.
pub(super) fn disambiguate(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let significant: Vec<usize> =
        (0..tokens.len()).filter(|&at| !matches!(tokens[at].token, Token::Whitespace(_))).collect();
    let token = |place: usize| significant.get(place).map(|&at| &tokens[at].token);
    let keyword = |place: usize| match token(place) {
        Some(Token::Word(word)) if word.quote_style.is_none() => word.keyword,
        _ => Keyword::NoKeyword,
    };
    let mut ends = vec![usize::MAX; significant.len()];
    let mut open = Vec::new();
    for place in 0..significant.len() {
        match token(place) {
            Some(Token::LParen) => open.push(place),
            Some(Token::RParen) => {
                if let Some(start) = open.pop() {
                    ends[start] = place;
                }
            }
            _ => {}
        }
    }
    // Where the queries begin that stand behind any number of parentheses, from the last one on.
    let mut begins = vec![false; significant.len() + 1];
    for place in (0..significant.len()).rev() {
        begins[place] = match token(place) {
            Some(Token::LParen) => begins[place + 1],
            _ => matches!(keyword(place), Keyword::SELECT | Keyword::WITH | Keyword::VALUES),
        };
    }
    let mut changes: Vec<(usize, Change)> = Vec::new();
    for place in 0..significant.len() {
        let end = ends[place];
        if token(place) != Some(&Token::LParen) || end == usize::MAX || !begins[place + 1] {
            continue;
        }
        let inner = token(place + 1) == Some(&Token::LParen);
        let after = if inner { ends[place + 1].saturating_add(1) } else { usize::MAX };
        let before = place.checked_sub(1);
        let wrap = match before.map(keyword) {
            // At the beginning it is a statement.
            None => false,
            Some(Keyword::IN) => {
                if inner && token(after) == Some(&Token::Comma) {
                    changes.push((significant[place + 1], Change::Plus));
                }
                false
            }
            Some(Keyword::ANY | Keyword::SOME | Keyword::ALL) => {
                let compared = matches!(
                    place.checked_sub(2).and_then(token),
                    Some(Token::Eq | Token::Neq | Token::Lt | Token::LtEq | Token::Gt | Token::GtEq)
                );
                compared && !matches!(keyword(place + 1), Keyword::SELECT | Keyword::WITH)
            }
            Some(before) => {
                let combined = matches!(keyword(after), Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT);
                let value = match before {
                    Keyword::NoKeyword => !matches!(token(place - 1), Some(Token::Word(_) | Token::SemiColon)),
                    before => IN_FRONT_OF_VALUES.contains(&before),
                };
                value && (combined || keyword(place + 1) == Keyword::VALUES)
            }
        };
        if wrap {
            changes.push((significant[place + 1], Change::Open));
            changes.push((significant[end], Change::Close));
        }
    }
    if changes.is_empty() {
        return tokens;
    }
    // Of several changes at one place, those of the outer parentheses close last and open first.
    changes.sort_by_key(|(at, _)| *at);
    let mut changed = Vec::with_capacity(tokens.len() + 6 * changes.len());
    let mut changes = changes.into_iter().peekable();
    for (at, token) in tokens.into_iter().enumerate() {
        while let Some((_, change)) = changes.next_if(|(place, _)| *place == at) {
            let added = match change {
                Change::Open => vec![word("SELECT"), Token::Mul, word("FROM"), Token::LParen],
                Change::Close => vec![Token::RParen, word("AS"), Token::Word(name())],
                Change::Plus => vec![Token::Plus],
            };
            changed.extend(added.into_iter().map(|added| TokenWithSpan { token: added, span: token.span }));
        }
        changed.push(token);
    }
    changed
}

/// Keywords that a value follows, of those that a table does not.
const IN_FRONT_OF_VALUES: [Keyword; 14] = [
    Keyword::SELECT,
    Keyword::DISTINCT,
    Keyword::WHERE,
    Keyword::AND,
    Keyword::OR,
    Keyword::NOT,
    Keyword::ON,
    Keyword::HAVING,
    Keyword::BY,
    Keyword::WHEN,
    Keyword::THEN,
    Keyword::ELSE,
    Keyword::BETWEEN,
    Keyword::CASE,
];

fn word(word: &str) -> Token {
    Token::make_keyword(word)
}

fn name() -> Word {
    Word { value: "$query".to_string(), quote_style: Some('"'), keyword: Keyword::NoKeyword }
}
