//! Expressions.

use sqlparser::ast;

use super::super::algebra::{Binary, Is, Quantifier, Unary};
use super::super::ast::{Call, Expr};
use super::super::error::{Error, SqlState};
use super::super::types::Value;
use super::ddl::data_type;
use super::depth::balanced;
use super::statement::{self, name};
use super::{Result, place_of, query, refuse, row, system};

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
        // Names that are no longer free, as in toydb; in double quotes they are columns.
        ast::Expr::Identifier(ident) if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("nan") => {
            Expr::Literal(Value::Float(f64::NAN))
        }
        ast::Expr::Identifier(ident) if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("infinity") => {
            Expr::Literal(Value::Float(f64::INFINITY))
        }
        ast::Expr::Identifier(ident) => {
            let position = place_of(ident.span.start);
            Expr::Column { table: None, name: name(ident)?, position }
        }
        ast::Expr::CompoundIdentifier(parts) => match <[ast::Ident; 2]>::try_from(statement::without_schema(parts)) {
            Ok([table, column]) => {
                let position = place_of(table.span.start);
                Expr::Column { table: Some(name(table)?), name: name(column)?, position }
            }
            Err(parts) => {
                let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
                return Err(Error::unsupported(format!("the qualified name {}", parts.join("."))));
            }
        },
        ast::Expr::IsNull(expr) if row::is_row(&expr) => row::is_null(row_columns(*expr), false)?,
        ast::Expr::IsNotNull(expr) if row::is_row(&expr) => row::is_null(row_columns(*expr), true)?,
        ast::Expr::IsNull(expr) => is(*expr, Is::Null, false)?,
        ast::Expr::IsNotNull(expr) => is(*expr, Is::Null, true)?,
        ast::Expr::IsUnknown(expr) => is(*expr, Is::Unknown, false)?,
        ast::Expr::IsNotUnknown(expr) => is(*expr, Is::Unknown, true)?,
        ast::Expr::IsTrue(expr) => is(*expr, Is::True, false)?,
        ast::Expr::IsNotTrue(expr) => is(*expr, Is::True, true)?,
        ast::Expr::IsFalse(expr) => is(*expr, Is::False, false)?,
        ast::Expr::IsNotFalse(expr) => is(*expr, Is::False, true)?,
        ast::Expr::InList { expr, list, negated } if row::is_row(&expr) => {
            row::in_list(row_columns(*expr), list, negated)?
        }
        ast::Expr::InList { expr, list, negated } => {
            Expr::In { expr: boxed(*expr)?, list: list.into_iter().map(convert).collect::<Result<_>>()?, negated }
        }
        ast::Expr::Between { expr, negated, low, high } => {
            Expr::Between { expr: boxed(*expr)?, low: boxed(*low)?, high: boxed(*high)?, negated }
        }
        ast::Expr::BinaryOp { left, op: op @ (ast::BinaryOperator::And | ast::BinaryOperator::Or), right } => {
            chain(&op, *left, *right, convert)?
        }
        ast::Expr::BinaryOp { left, op, right } if regular(&op).is_some() => matches(*left, &op, *right)?,
        ast::Expr::BinaryOp { left, op, right } if row::is_row(&left) || row::is_row(&right) => {
            row::compare(binary(&op)?, *left, *right)?
        }
        ast::Expr::BinaryOp { left, op, right } => Expr::Binary(binary(&op)?, boxed(*left)?, boxed(*right)?),
        ast::Expr::UnaryOp { op, expr } => unary(op, *expr)?,
        ast::Expr::IsDistinctFrom(left, right) if row::is_row(&left) || row::is_row(&right) => {
            row::compare(Binary::NotSame, *left, *right)?
        }
        ast::Expr::IsNotDistinctFrom(left, right) if row::is_row(&left) || row::is_row(&right) => {
            row::compare(Binary::Same, *left, *right)?
        }
        ast::Expr::IsDistinctFrom(left, right) => Expr::Binary(Binary::NotSame, boxed(*left)?, boxed(*right)?),
        ast::Expr::IsNotDistinctFrom(left, right) => Expr::Binary(Binary::Same, boxed(*left)?, boxed(*right)?),
        ast::Expr::Like { negated, any: false, expr, pattern, escape_char } => {
            like(*expr, *pattern, escape_char, false, negated)?
        }
        ast::Expr::ILike { negated, any: false, expr, pattern, escape_char } => {
            like(*expr, *pattern, escape_char, true, negated)?
        }
        ast::Expr::InSubquery { expr, subquery, negated } if row::is_row(&expr) => {
            row::in_query(row_columns(*expr), *subquery, negated, false)?
        }
        ast::Expr::InSubquery { expr, subquery, negated } => {
            let (op, quantifier) =
                if negated { (Binary::NotEqual, Quantifier::All) } else { (Binary::Equal, Quantifier::Any) };
            quantified(*expr, op, quantifier, *subquery)?
        }
        ast::Expr::AnyOp { left, compare_op, right, is_some: _ } => {
            let op = binary(&compare_op)?;
            if row::is_row(&left) {
                return match (op, *right) {
                    (Binary::Equal, ast::Expr::Subquery(query)) => {
                        row::in_query(row_columns(*left), *query, false, false)
                    }
                    _ => Err(Error::unsupported("ANY with a row value, but for = and a query")),
                };
            }
            match *right {
                ast::Expr::Subquery(query) => quantified(*left, op, Quantifier::Any, *query)?,
                array => system::any(*left, op, array)?,
            }
        }
        ast::Expr::AllOp { left, compare_op, right } => {
            let op = binary(&compare_op)?;
            quantified(*left, op, Quantifier::All, subquery(*right)?)?
        }
        ast::Expr::Subquery(query) => Expr::Scalar(Box::new(query::convert(*query)?)),
        ast::Expr::Exists { subquery, negated } => {
            let exists = Expr::Exists(Box::new(query::convert(*subquery)?));
            if negated { Expr::Unary(Unary::Not, Box::new(exists)) } else { exists }
        }
        ast::Expr::Ceil { expr, field: ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime) } => {
            function("ceil", vec![convert(*expr)?])
        }
        ast::Expr::Floor { expr, field: ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime) } => {
            function("floor", vec![convert(*expr)?])
        }
        ast::Expr::Position { expr, r#in } => function("strpos", vec![convert(*r#in)?, convert(*expr)?]),
        ast::Expr::Substring { expr, substring_from, substring_for, special: _, shorthand: _ } => {
            let mut args = vec![convert(*expr)?];
            match substring_from {
                Some(from) => args.push(convert(*from)?),
                None => args.push(Expr::Literal(Value::Integer(1))),
            }
            args.extend(substring_for.map(|length| convert(*length)).transpose()?);
            function("substr", args)
        }
        ast::Expr::Trim { trim_where, trim_what, expr, trim_characters } => {
            let mut args = vec![convert(*expr)?];
            args.extend(trim_what.map(|what| convert(*what)).transpose()?);
            for what in trim_characters.unwrap_or_default() {
                args.push(convert(what)?);
            }
            let name = match trim_where {
                None | Some(ast::TrimWhereField::Both) => "btrim",
                Some(ast::TrimWhereField::Leading) => "ltrim",
                Some(ast::TrimWhereField::Trailing) => "rtrim",
            };
            function(name, args)
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
        } => match system::cast(&expr, &to)? {
            Some(cast) => cast,
            None => match data_type(to)? {
                (to, None) => Expr::Cast(boxed(*expr)?, to),
                // What is too long is cut, unlike in an assignment.
                (to, Some(length)) => {
                    let length = i64::try_from(length).unwrap_or(i64::MAX);
                    function("left", vec![Expr::Cast(boxed(*expr)?, to), Expr::Literal(Value::Integer(length))])
                }
            },
        },
        // There is one collation, by code point, whatever it is called.
        ast::Expr::Collate { expr, collation } => {
            let name = collation.to_string().to_ascii_lowercase();
            let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
            if !matches!(name.trim_matches('"'), "default" | "c" | "posix" | "ucs_basic" | "binary") {
                return Err(
                    Error::unsupported(format!("COLLATE {collation}")).with_hint("texts are ordered by code point")
                );
            }
            convert(*expr)?
        }
        ast::Expr::CompoundFieldAccess { root, access_chain } => match <[ast::AccessExpr; 1]>::try_from(access_chain) {
            Ok([ast::AccessExpr::Subscript(ast::Subscript::Index { index })]) => {
                function("array_element", vec![convert(*root)?, convert(index)?])
            }
            _ => return Err(Error::unsupported("a part of a value")),
        },
        ast::Expr::Function(function) => call(function)?,
        ast::Expr::Tuple(_) => return Err(Error::unsupported("a row value")),
        other => return Err(Error::unsupported(format!("the expression {other}"))),
    })
}

/// A chain of AND or OR, which the parser has grouped to the left.
fn chain(
    op: &ast::BinaryOperator,
    left: ast::Expr,
    right: ast::Expr,
    convert: impl FnMut(ast::Expr) -> Result<Expr>,
) -> Result<Expr> {
    let mut operands = vec![right];
    let mut rest = left;
    loop {
        match rest {
            ast::Expr::BinaryOp { left, op: before, right } if before == *op => {
                operands.push(*right);
                rest = *left;
            }
            first => break operands.push(first),
        }
    }
    let operands = operands.into_iter().rev().map(convert).collect::<Result<_>>()?;
    let op = binary(op)?;
    Ok(balanced(operands, |a, b| Expr::Binary(op, Box::new(a), Box::new(b))))
}

fn row_columns(expr: ast::Expr) -> Vec<ast::Expr> {
    row::columns(expr).expect("the caller has seen to it")
}

/// A condition of WHERE: false and unknown are the same.
pub(super) fn condition(expr: ast::Expr) -> Result<Expr> {
    match expr {
        ast::Expr::Nested(expr) => condition(*expr),
        ast::Expr::BinaryOp { left, op: op @ ast::BinaryOperator::And, right } => chain(&op, *left, *right, condition),
        ast::Expr::InSubquery { expr, subquery, negated: false } if row::is_row(&expr) => {
            row::in_query(row_columns(*expr), *subquery, false, true)
        }
        expr => convert(expr),
    }
}

fn literal(value: ast::Value) -> Result<Expr> {
    Ok(match value {
        ast::Value::Null => Expr::Literal(Value::Null),
        ast::Value::Boolean(b) => Expr::Literal(b.into()),
        ast::Value::SingleQuotedString(text) => Expr::Literal(text.into()),
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

fn like(
    expr: ast::Expr,
    pattern: ast::Expr,
    escape: Option<Box<ast::Expr>>,
    insensitive: bool,
    negated: bool,
) -> Result<Expr> {
    let escape = match escape.map(|escape| convert(*escape)).transpose()? {
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
    Ok(Expr::Like { expr: boxed(expr)?, pattern: boxed(pattern)?, escape, insensitive, negated })
}

fn quantified(expr: ast::Expr, op: Binary, quantifier: Quantifier, query: ast::Query) -> Result<Expr> {
    Ok(Expr::Quantified { expr: boxed(expr)?, op, quantifier, query: Box::new(query::convert(query)?) })
}

fn subquery(expr: ast::Expr) -> Result<ast::Query> {
    match expr {
        ast::Expr::Subquery(query) => Ok(*query),
        _ => Err(Error::unsupported("ANY or ALL of what is no query")),
    }
}

/// The regular expression that an operator looks for: whether it is insensitive, and whether negated.
fn regular(op: &ast::BinaryOperator) -> Option<(bool, bool)> {
    Some(match op {
        ast::BinaryOperator::PGRegexMatch => (false, false),
        ast::BinaryOperator::PGRegexIMatch => (true, false),
        ast::BinaryOperator::PGRegexNotMatch => (false, true),
        ast::BinaryOperator::PGRegexNotIMatch => (true, true),
        _ => return None,
    })
}

fn matches(left: ast::Expr, op: &ast::BinaryOperator, right: ast::Expr) -> Result<Expr> {
    let (insensitive, negated) = regular(op).expect("the caller has seen to it");
    let mut args = vec![convert(left)?, convert(right)?];
    if insensitive {
        args.push(Expr::Literal(Value::Text("i".into())));
    }
    let call = function("regexp_like", args);
    Ok(if negated { Expr::Unary(Unary::Not, Box::new(call)) } else { call })
}

pub(super) fn function(name: &str, args: Vec<Expr>) -> Expr {
    let (star, distinct, filter, position) = Default::default();
    Expr::Call(Box::new(Call { name: name.to_string(), args, star, distinct, filter, position }))
}

fn call(function: ast::Function) -> Result<Expr> {
    let ast::Function { name: called, uses_odbc_syntax, parameters, args, within_group, filter, null_treatment, over } =
        function;
    let statement::Called { name, position } = statement::called(called)?;
    let (duplicate_treatment, args, clauses) = match args {
        ast::FunctionArguments::List(ast::FunctionArgumentList { duplicate_treatment, args, clauses }) => {
            (duplicate_treatment, args, clauses)
        }
        // CURRENT_USER and the like.
        ast::FunctionArguments::None => (None, Vec::new(), Vec::new()),
        ast::FunctionArguments::Subquery(query) if name == "array" => return system::array(*query),
        ast::FunctionArguments::Subquery(_) => return Err(Error::unsupported("a query as the argument of a function")),
    };
    refuse!(
        over.is_some() => "OVER", !within_group.is_empty() => "WITHIN GROUP",
        null_treatment.is_some() => "IGNORE or RESPECT NULLS",
        uses_odbc_syntax || parameters != ast::FunctionArguments::None || !clauses.is_empty()
            => format!("a clause of the call of {name}"),
    );
    let star = matches!(&args[..], [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Wildcard)]);
    let args = if star { Vec::new() } else { args };
    let args = args
        .into_iter()
        .map(|arg| match arg {
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => convert(expr),
            other => Err(Error::unsupported(format!("the argument {other}"))),
        })
        .collect::<Result<Vec<Expr>>>()?;
    let distinct = matches!(duplicate_treatment, Some(ast::DuplicateTreatment::Distinct));
    let filter = filter.map(|filter| convert(*filter)).transpose()?;
    if name == "iif" && args.len() == 3 && !distinct && filter.is_none() {
        let mut args = args.into_iter();
        if let (Some(condition), Some(then), Some(otherwise)) = (args.next(), args.next(), args.next()) {
            let otherwise = Some(Box::new(otherwise));
            return Ok(Expr::Case { operand: None, branches: vec![(condition, then)], otherwise });
        }
        unreachable!("there are three");
    }
    if name == "isnan" && !star && !distinct && filter.is_none() {
        let [arg] = <[Expr; 1]>::try_from(args).map_err(|args: Vec<Expr>| {
            let message = format!("isnan does not take {} arguments", args.len());
            Error::new(SqlState::UNDEFINED_FUNCTION, message).at(position.0)
        })?;
        return Ok(Expr::Is { expr: Box::new(arg), what: Is::Nan, negated: false });
    }
    if let Some(query) = system::call(&name, &args) {
        return Ok(query);
    }
    Ok(Expr::Call(Box::new(Call { name, args, star, distinct, filter, position })))
}
