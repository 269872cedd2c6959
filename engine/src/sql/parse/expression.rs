//! Expressions.

use sqlparser::ast;

use super::super::ast::{Binary, Expr, Function, Is, Unary};
use super::super::error::{Error, SqlState};
use super::super::types::Value;
use super::position;
use super::statement::{data_type, name};

type Result<T> = std::result::Result<T, Error>;

/// An expression, or DEFAULT, which is `None`.
pub(super) fn convert_or_default(expr: ast::Expr) -> Result<Option<Expr>> {
    match &expr {
        ast::Expr::Identifier(ident) if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default") => {
            Ok(None)
        }
        _ => convert(expr).map(Some),
    }
}

fn boxed(expr: ast::Expr) -> Result<Box<Expr>> {
    convert(expr).map(Box::new)
}

pub(super) fn convert(expr: ast::Expr) -> Result<Expr> {
    let is = |expr: ast::Expr, what: Is, negated: bool| -> Result<Expr> {
        Ok(Expr::Is { expr: boxed(expr)?, what, negated })
    };
    Ok(match expr {
        ast::Expr::Nested(expr) => convert(*expr)?,
        ast::Expr::Value(value) => literal(value.value)?,
        ast::Expr::Identifier(ident) => {
            let position = position(ident.span.start);
            Expr::Column { table: None, name: name(ident)?, position }
        }
        ast::Expr::CompoundIdentifier(parts) => match <[ast::Ident; 2]>::try_from(parts) {
            Ok([table, column]) => {
                let position = position(table.span.start);
                Expr::Column { table: Some(name(table)?), name: name(column)?, position }
            }
            Err(parts) => {
                let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
                return Err(Error::unsupported(format!("the qualified name {}", parts.join("."))));
            }
        },
        ast::Expr::IsNull(expr) => is(*expr, Is::Null, false)?,
        ast::Expr::IsNotNull(expr) => is(*expr, Is::Null, true)?,
        ast::Expr::IsUnknown(expr) => is(*expr, Is::Unknown, false)?,
        ast::Expr::IsNotUnknown(expr) => is(*expr, Is::Unknown, true)?,
        ast::Expr::IsTrue(expr) => is(*expr, Is::True, false)?,
        ast::Expr::IsNotTrue(expr) => is(*expr, Is::True, true)?,
        ast::Expr::IsFalse(expr) => is(*expr, Is::False, false)?,
        ast::Expr::IsNotFalse(expr) => is(*expr, Is::False, true)?,
        ast::Expr::InList { expr, list, negated } => {
            Expr::In { expr: boxed(*expr)?, list: list.into_iter().map(convert).collect::<Result<_>>()?, negated }
        }
        ast::Expr::Between { expr, negated, low, high } => {
            Expr::Between { expr: boxed(*expr)?, low: boxed(*low)?, high: boxed(*high)?, negated }
        }
        ast::Expr::BinaryOp { left, op, right } => Expr::Binary(binary(&op)?, boxed(*left)?, boxed(*right)?),
        ast::Expr::UnaryOp { op, expr } => unary(op, *expr)?,
        ast::Expr::Like { negated, any: false, expr, pattern, escape_char } => {
            let escape = match escape_char.map(|escape| convert(*escape)).transpose()? {
                None => Some('\\'),
                Some(Expr::Literal(Value::Text(text))) => {
                    let mut chars = text.chars();
                    let escape = chars.next();
                    if chars.next().is_some() {
                        let message = format!("ESCAPE {text:?} is longer than one character");
                        return Err(Error::new(SqlState::INVALID_ESCAPE_SEQUENCE, message));
                    }
                    escape
                }
                Some(_) => return Err(Error::unsupported("ESCAPE with an expression")),
            };
            Expr::Like { expr: boxed(*expr)?, pattern: boxed(*pattern)?, escape, negated }
        }
        ast::Expr::Case { case_token: _, end_token: _, operand, conditions, else_result } => Expr::Case {
            operand: operand.map(|operand| boxed(*operand)).transpose()?,
            branches: conditions
                .into_iter()
                .map(|ast::CaseWhen { condition, result }| Ok((convert(condition)?, convert(result)?)))
                .collect::<Result<_>>()?,
            otherwise: else_result.map(|otherwise| boxed(*otherwise)).transpose()?,
        },
        ast::Expr::Cast {
            kind: ast::CastKind::Cast | ast::CastKind::DoubleColon,
            expr,
            data_type: to,
            format: None,
        } => match data_type(to)? {
            (to, None) => Expr::Cast(boxed(*expr)?, to),
            (_, Some(_)) => return Err(Error::unsupported("CAST to VARCHAR(n)")),
        },
        ast::Expr::Function(function) => call(function)?,
        ast::Expr::Subquery(_) | ast::Expr::Exists { .. } | ast::Expr::InSubquery { .. } => {
            return Err(Error::unsupported("a subquery"));
        }
        other => return Err(Error::unsupported(format!("the expression {other}"))),
    })
}

fn literal(value: ast::Value) -> Result<Expr> {
    Ok(match value {
        ast::Value::Null => Expr::Literal(Value::Null),
        ast::Value::Boolean(b) => Expr::Literal(b.into()),
        ast::Value::SingleQuotedString(text) => Expr::Literal(Value::Text(text)),
        ast::Value::Number(digits, false) => Expr::Literal(number(&digits)?),
        ast::Value::Placeholder(name) => {
            let number = name.strip_prefix('$').and_then(|digits| digits.parse().ok()).filter(|&number| number > 0);
            let number = number.ok_or_else(|| {
                let error = Error::new(SqlState::SYNTAX_ERROR, format!("the parameter {name} has no number"));
                error.with_hint("write $1, $2, ...")
            })?;
            Expr::Parameter(number)
        }
        other => return Err(Error::unsupported(format!("the literal {other}"))),
    })
}

/// An integer if it fits, else a float, as in PostgreSQL (whose larger numbers are exact, though).
fn number(digits: &str) -> Result<Value> {
    if digits.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(n) = digits.parse()
    {
        return Ok(Value::Integer(n));
    }
    let error = |_| Error::new(SqlState::SYNTAX_ERROR, format!("{digits:?} is not a number"));
    Ok(Value::Float(digits.parse().map_err(error)?))
}

fn unary(op: ast::UnaryOperator, expr: ast::Expr) -> Result<Expr> {
    let unary = match op {
        ast::UnaryOperator::Plus => Unary::Plus,
        ast::UnaryOperator::Minus => {
            // The least integer has no positive counterpart.
            if let ast::Expr::Value(ast::ValueWithSpan { value: ast::Value::Number(digits, false), span: _ }) = &expr
                && let Ok(n) = format!("-{digits}").parse()
            {
                return Ok(Expr::Literal(Value::Integer(n)));
            }
            Unary::Minus
        }
        ast::UnaryOperator::Not => Unary::Not,
        ast::UnaryOperator::PGPostfixFactorial => Unary::Factorial,
        other => return Err(Error::unsupported(format!("the operator {other}"))),
    };
    Ok(Expr::Unary(unary, boxed(expr)?))
}

fn binary(op: &ast::BinaryOperator) -> Result<Binary> {
    use ast::BinaryOperator as Op;
    Ok(match op {
        Op::Plus => Binary::Add,
        Op::Minus => Binary::Subtract,
        Op::Multiply => Binary::Multiply,
        Op::Divide => Binary::Divide,
        Op::Modulo => Binary::Remainder,
        Op::PGExp => Binary::Power,
        Op::StringConcat => Binary::Concat,
        Op::Eq => Binary::Equal,
        Op::NotEq => Binary::NotEqual,
        Op::Lt => Binary::Less,
        Op::LtEq => Binary::LessOrEqual,
        Op::Gt => Binary::Greater,
        Op::GtEq => Binary::GreaterOrEqual,
        Op::And => Binary::And,
        Op::Or => Binary::Or,
        other => return Err(Error::unsupported(format!("the operator {other}"))),
    })
}

fn call(function: ast::Function) -> Result<Expr> {
    let ast::Function { name: called, uses_odbc_syntax, parameters, args, within_group, filter, null_treatment, over } =
        function;
    let called = called.to_string().to_ascii_lowercase();
    let ast::FunctionArguments::List(ast::FunctionArgumentList { duplicate_treatment, args, clauses }) = args else {
        return Err(Error::unsupported(format!("the function {called} without parentheses")));
    };
    let plain = !uses_odbc_syntax
        && parameters == ast::FunctionArguments::None
        && within_group.is_empty()
        && filter.is_none()
        && null_treatment.is_none()
        && over.is_none()
        && duplicate_treatment.is_none()
        && clauses.is_empty();
    let (function, arity) = match called.as_str() {
        "abs" => (Function::Abs, 1..=1),
        "coalesce" => (Function::Coalesce, 1..=usize::MAX),
        "length" | "char_length" => (Function::Length, 1..=1),
        "lower" => (Function::Lower, 1..=1),
        "nullif" => (Function::Nullif, 2..=2),
        "sqrt" => (Function::Sqrt, 1..=1),
        "upper" => (Function::Upper, 1..=1),
        "count" | "sum" | "min" | "max" | "avg" => {
            return Err(Error::unsupported(format!("the aggregate {}", called.to_ascii_uppercase())));
        }
        _ => return Err(Error::new(SqlState::UNDEFINED_FUNCTION, format!("there is no function {called}"))),
    };
    if !plain {
        return Err(Error::unsupported(format!("a clause of the call of {called}")));
    }
    if !arity.contains(&args.len()) {
        let message = format!("{called} does not take {} arguments", args.len());
        return Err(Error::new(SqlState::UNDEFINED_FUNCTION, message));
    }
    let args = args
        .into_iter()
        .map(|arg| match arg {
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => convert(expr),
            other => Err(Error::unsupported(format!("the argument {other}"))),
        })
        .collect::<Result<_>>()?;
    Ok(Expr::Function(function, args))
}
