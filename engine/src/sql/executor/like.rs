//! LIKE: `%` is any text, `_` any character.

use super::super::error::{Error, Failure, SqlState};
use super::Context;

/// Whether a text matches a pattern. Takes time in the product of the lengths at worst, which counts as steps.
pub(super) fn like(
    ctx: &Context<'_>,
    text: &str,
    pattern: &str,
    escape: Option<char>,
    insensitive: bool,
) -> Result<bool, Failure> {
    if insensitive {
        let (text, pattern) = (text.to_lowercase(), pattern.to_lowercase());
        // The escape character stays itself: its other case would be one in the pattern too.
        return matches(ctx, &text, &pattern, escape.map(|c| c.to_lowercase().next().unwrap_or(c)));
    }
    matches(ctx, text, pattern, escape)
}

fn matches(ctx: &Context<'_>, text: &str, pattern: &str, escape: Option<char>) -> Result<bool, Failure> {
    // What is left of both, and where the last `%` was met: what follows it may be tried again a character later.
    let (mut text, mut parts) = (text.chars(), Parts { chars: pattern.chars(), escape });
    let mut retry: Option<(std::str::Chars<'_>, Parts<'_>)> = None;
    let mut tries = 0;
    loop {
        let (before, mut after) = (text.clone(), parts.clone());
        match (after.next()?, text.next()) {
            (None, None) => return Ok(true),
            (Some(Part::Any), _) => {
                (text, parts) = (before, after);
                retry = Some((text.clone(), parts.clone()));
            }
            (Some(Part::One), Some(_)) => parts = after,
            (Some(Part::Char(wanted)), Some(c)) if wanted == c => parts = after,
            // Nothing that is shorter can match either.
            (Some(_), None) => {
                while after.next()?.is_some() {}
                return Ok(false);
            }
            _ => {
                let Some((from, rest)) = &mut retry else {
                    while after.next()?.is_some() {}
                    return Ok(false);
                };
                from.next();
                (text, parts) = (from.clone(), rest.clone());
                tries += 1;
                if tries % 256 == 0 {
                    ctx.step(1)?;
                }
            }
        }
    }
}

enum Part {
    Any,
    One,
    Char(char),
}

/// A pattern that is read part by part.
#[derive(Clone)]
struct Parts<'p> {
    chars: std::str::Chars<'p>,
    escape: Option<char>,
}

impl Parts<'_> {
    fn next(&mut self) -> Result<Option<Part>, Error> {
        Ok(match self.chars.next() {
            None => None,
            Some(c) if Some(c) == self.escape => Some(Part::Char(self.chars.next().ok_or_else(|| {
                Error::new(SqlState::INVALID_ESCAPE_SEQUENCE, "a LIKE pattern must not end with the escape character")
            })?)),
            Some('%') => Some(Part::Any),
            Some('_') => Some(Part::One),
            Some(c) => Some(Part::Char(c)),
        })
    }
}
