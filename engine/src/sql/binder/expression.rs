//! Expressions: names to positions, with types checked.

use std::cell::RefCell;

use super::super::algebra::{AggregateCall, Binary, Expr, Is, Quantifier, Subquery, SubqueryKind, Unary};
use super::super::ast;
use super::super::error::{Error, SqlState};
use super::super::explain::symbol;
use super::super::functions;
use super::super::types::{DataType, Value};
use super::scope::{Scope, resolve_outer, undefined};
use super::typed::{adapt, adapt_all, common_type, comparable, no_operator};
use super::{Binder, Context, Outer, Result, Typed};

/// The place of an expression: what it can name, and what may stand in it.
#[derive(Clone, Copy)]
pub(super) struct Scoped<'s, 'a> {
    pub binder: &'s Binder<'a>,
    pub scope: &'s Scope,
    pub context: Context<'s>,
    /// Output columns that can be named where the scope has no such column.
    pub aliases: &'s [(String, Typed)],
    /// The aggregates of the query, where they may stand.
    pub aggregates: Option<&'s Aggregates>,
    /// The clause, for errors.
    pub clause: &'static str,
}

/// The aggregates of a query. In expressions, they are columns after those of the rows that are grouped.
pub(super) struct Aggregates {
    /// How many columns these rows have.
    pub width: usize,
    pub calls: RefCell<Vec<AggregateCall>>,
}

impl Scoped<'_, '_> {
    /// Binds a condition.
    pub fn condition(&self, expr: &ast::Expr, clause: &str) -> Result<Expr> {
        let typed = self.bind(expr)?;
        typed.condition(clause).map_err(|error| error.at(expr.position()).into())
    }

    /// Binds an expression.
    pub fn bind(&self, expr: &ast::Expr) -> Result<Typed> {
        self.binder.deeper(|| self.build(expr))
    }

    fn bind_all(&self, exprs: &[ast::Expr]) -> Result<Vec<Typed>> {
        exprs.iter().map(|expr| self.bind(expr)).collect()
    }

    // Each kind has a function of its own, so that a level of depth takes little of the stack.
    fn build(&self, expr: &ast::Expr) -> Result<Typed> {
        match expr {
            ast::Expr::Literal(value) => Ok(Typed::constant(value.clone())),
            ast::Expr::Parameter(number) => self.parameter(*number),
            ast::Expr::Column { table, name, position } => {
                self.column(table.as_deref(), name).map_err(|error| error.at(position.0).into())
            }
            ast::Expr::Unary(op, operand) => self.unary(*op, operand).map_err(|error| error.at(operand.position())),
            ast::Expr::Binary(op, a, b) => self.binary(*op, a, b),
            ast::Expr::Is { expr, what, negated } => self.is(expr, *what, *negated),
            ast::Expr::In { expr, list, negated } => self.in_list(expr, list, *negated),
            ast::Expr::Between { expr, low, high, negated } => self.between(expr, low, high, *negated),
            ast::Expr::Like { .. } => self.like(expr),
            ast::Expr::Case { operand, branches, otherwise } => {
                let case = self.case(operand.as_deref(), branches, otherwise.as_deref());
                case.map_err(|error| error.at(expr.position()))
            }
            ast::Expr::Cast(operand, to) => self.cast(operand, *to),
            ast::Expr::Call(call) => self.call(call).map_err(|error| error.at(call.position.0)),
            ast::Expr::Scalar(query) => self.scalar(query),
            ast::Expr::Exists(query) => self.exists(query),
            ast::Expr::Quantified { expr, op, quantifier, query } => self.quantified(expr, *op, *quantifier, query),
        }
    }

    #[inline(never)]
    fn parameter(&self, number: usize) -> Result<Typed> {
        let datatype = *self.binder.params.get(number - 1).ok_or_else(|| {
            let count = self.binder.params.len();
            let message = format!("there is no parameter ${number}: {count} values were given");
            Error::new(SqlState::UNDEFINED_PARAMETER, message)
        })?;
        Ok(Typed { expr: Expr::Parameter(number - 1), datatype, adapts: datatype == Some(DataType::Text) })
    }

    #[inline(never)]
    fn binary(&self, op: Binary, a: &ast::Expr, b: &ast::Expr) -> Result<Typed> {
        let place = a;
        let (a, b) = (self.bind(a)?, self.bind(b)?);
        binary(op, a, b).map_err(|error| error.at(place.position()).into())
    }

    #[inline(never)]
    fn is(&self, operand: &ast::Expr, what: Is, negated: bool) -> Result<Typed> {
        let here = |error: Error| error.at(operand.position());
        let typed = self.bind(operand)?;
        let expr = match what {
            Is::Null => typed.expr,
            Is::Nan => {
                let typed = if typed.adapts { typed.cast(DataType::Float).map_err(here)? } else { typed };
                if !matches!(typed.datatype, None | Some(DataType::Float)) {
                    return Err(here(no_operator("IS NAN", &[&typed])).into());
                }
                typed.expr
            }
            Is::True | Is::False | Is::Unknown => typed.condition("IS").map_err(here)?,
        };
        Ok(Typed::boolean(Expr::Is { expr: Box::new(expr), what, negated }))
    }

    #[inline(never)]
    fn in_list(&self, operand: &ast::Expr, list: &[ast::Expr], negated: bool) -> Result<Typed> {
        let here = |error: Error| error.at(operand.position());
        let (expr, list) = (self.bind(operand)?, self.bind_all(list)?);
        let (expr, list) = adapt_all(Binary::Equal, expr, list).map_err(here)?;
        let list = list.into_iter().map(|item| item.expr).collect();
        Ok(Typed::boolean(Expr::In { expr: Box::new(expr.expr), list, negated }))
    }

    #[inline(never)]
    fn between(&self, operand: &ast::Expr, low: &ast::Expr, high: &ast::Expr, negated: bool) -> Result<Typed> {
        let here = |error: Error| error.at(operand.position());
        let (expr, limits) = (self.bind(operand)?, vec![self.bind(low)?, self.bind(high)?]);
        let (expr, limits) = adapt_all(Binary::GreaterOrEqual, expr, limits).map_err(here)?;
        let [low, high] = <[Typed; 2]>::try_from(limits).expect("two went in").map(|limit| Box::new(limit.expr));
        Ok(Typed::boolean(Expr::Between { expr: Box::new(expr.expr), low, high, negated }))
    }

    #[inline(never)]
    fn like(&self, like: &ast::Expr) -> Result<Typed> {
        let ast::Expr::Like { expr, pattern, escape, insensitive, negated } = like else {
            unreachable!("the caller has matched it")
        };
        let (operand, pattern) = (self.bind(expr)?, self.bind(pattern)?);
        for side in [&operand, &pattern] {
            if side.datatype.is_some_and(|datatype| datatype != DataType::Text) {
                return Err(no_operator("LIKE", &[&operand, &pattern]).at(expr.position()).into());
            }
        }
        let (expr, pattern) = (Box::new(operand.expr), Box::new(pattern.expr));
        let (escape, insensitive, negated) = (*escape, *insensitive, *negated);
        Ok(Typed::boolean(Expr::Like { expr, pattern, escape, insensitive, negated }))
    }

    #[inline(never)]
    fn cast(&self, operand: &ast::Expr, to: DataType) -> Result<Typed> {
        let typed = self.bind(operand)?;
        typed.cast(to).map_err(|error| error.at(operand.position()).into())
    }

    #[inline(never)]
    fn scalar(&self, query: &ast::Query) -> Result<Typed> {
        let query = self.subquery(query)?;
        let [column] = &query.columns[..] else {
            return Err(columns_of_subquery(query.columns.len()).into());
        };
        let datatype = column.datatype;
        let subquery = Subquery::new(SubqueryKind::Scalar, query.node);
        Ok(Typed::new(Expr::Subquery(Box::new(subquery)), datatype))
    }

    #[inline(never)]
    fn exists(&self, query: &ast::Query) -> Result<Typed> {
        let subquery = Subquery::new(SubqueryKind::Exists, self.subquery(query)?.node);
        Ok(Typed::boolean(Expr::Subquery(Box::new(subquery))))
    }

    #[inline(never)]
    fn quantified(&self, expr: &ast::Expr, op: Binary, quantifier: Quantifier, query: &ast::Query) -> Result<Typed> {
        use Binary::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        let here = |error: Error| error.at(expr.position());
        let operand = self.bind(expr)?;
        let mut query = self.subquery(query)?;
        let [column] = &query.columns[..] else {
            return Err(columns_of_subquery(query.columns.len()).into());
        };
        if !matches!(op, Equal | NotEqual | Less | LessOrEqual | Greater | GreaterOrEqual) {
            return Err(Error::unsupported(format!("{} ANY or ALL", symbol(op))).into());
        }
        let column = Typed { expr: Expr::Column(0), datatype: column.datatype, adapts: column.adapts };
        let (operand, column) = adapt(operand, column).map_err(here)?;
        comparable(op, &operand, &column).map_err(here)?;
        if column.expr != Expr::Column(0) {
            query.node = super::select::project(query.node, vec![column.expr]);
        }
        let kind = SubqueryKind::Quantified { expr: operand.expr, op, quantifier };
        Ok(Typed::boolean(Expr::Subquery(Box::new(Subquery::new(kind, query.node)))))
    }

    #[inline(never)]
    fn subquery(&self, query: &ast::Query) -> Result<super::Query> {
        let outer = Outer { scope: self.scope, outer: self.context.outer, aggregates: self.aggregates };
        self.binder.bind_query(query, Context { outer: Some(&outer), ..self.context })
    }

    #[inline(never)]
    fn column(&self, table: Option<&str>, name: &str) -> std::result::Result<Typed, Error> {
        if let Some(typed) = self.scope.resolve(table, name)? {
            return Ok(typed);
        }
        if table.is_none() {
            let mut aliases = self.aliases.iter().filter(|(alias, _)| alias == name).map(|(_, typed)| typed);
            if let Some(first) = aliases.next() {
                if aliases.any(|other| other.expr != first.expr) {
                    return Err(Error::new(SqlState::AMBIGUOUS_COLUMN, format!("{name:?} is ambiguous")));
                }
                return Ok(first.clone());
            }
        }
        match resolve_outer(self.context, table, name)? {
            Some(typed) => Ok(typed),
            None => Err(undefined(self.scope, self.context, table, name)),
        }
    }

    #[inline(never)]
    fn unary(&self, op: Unary, operand: &ast::Expr) -> Result<Typed> {
        let typed = self.bind(operand)?;
        if op == Unary::Not {
            let condition = typed.condition("NOT")?;
            return Ok(Typed::boolean(Expr::Unary(op, Box::new(condition))));
        }
        let allowed = match typed.datatype {
            None | Some(DataType::Integer) => true,
            Some(DataType::Float) => op != Unary::Factorial,
            // As in SQLite, plus does nothing, to anything.
            Some(DataType::Text | DataType::Boolean) => op == Unary::Plus,
        };
        if !allowed {
            let name = match op {
                Unary::Plus => "+",
                Unary::Minus => "-",
                Unary::Not => "NOT",
                Unary::Factorial => "!",
            };
            return Err(no_operator(name, &[&typed]).into());
        }
        Ok(match (op, typed.expr) {
            (Unary::Minus, Expr::Constant(Value::Float(x))) => Typed::constant(Value::float(-x)),
            (Unary::Minus, Expr::Constant(Value::Integer(n))) if n != i64::MIN => Typed::constant(Value::Integer(-n)),
            (Unary::Plus, expr) => Typed::new(expr, typed.datatype),
            (op, expr) => Typed::new(Expr::Unary(op, Box::new(expr)), typed.datatype),
        })
    }

    #[inline(never)]
    fn case(
        &self,
        operand: Option<&ast::Expr>,
        branches: &[(ast::Expr, ast::Expr)],
        otherwise: Option<&ast::Expr>,
    ) -> Result<Typed> {
        let operand = operand.map(|operand| self.bind(operand)).transpose()?;
        let conditions = branches.iter().map(|(condition, _)| self.bind(condition)).collect::<Result<Vec<_>>>()?;
        let (operand, conditions) = if let Some(operand) = operand {
            let (operand, conditions) = adapt_all(Binary::Equal, operand, conditions)?;
            let conditions = conditions.into_iter().map(|condition| condition.expr).collect();
            (Some(Box::new(operand.expr)), conditions)
        } else {
            let conditions = conditions.into_iter().map(|condition| condition.condition("WHEN"));
            (None, conditions.collect::<std::result::Result<Vec<_>, _>>()?)
        };
        let mut results = branches.iter().map(|(_, result)| self.bind(result)).collect::<Result<Vec<_>>>()?;
        let has_otherwise = otherwise.is_some();
        results.extend(otherwise.map(|otherwise| self.bind(otherwise)).transpose()?);
        let datatype = common_type("CASE", results.iter())?;
        let mut results = cast_all(results, datatype)?;
        let otherwise = if has_otherwise { results.pop().map(Box::new) } else { None };
        let branches = conditions.into_iter().zip(results).collect();
        Ok(Typed::new(Expr::Case { operand, branches, otherwise }, datatype))
    }

    #[inline(never)]
    fn call(&self, call: &ast::Call) -> Result<Typed> {
        let name = call.name.as_str();
        if functions::is_aggregate(name) && !self.is_scalar_extreme(call) {
            return self.aggregate(call);
        }
        let what = match () {
            () if call.star => Some("*"),
            () if call.distinct => Some("DISTINCT"),
            () if call.filter.is_some() => Some("FILTER"),
            () => None,
        };
        if let Some(what) = what {
            let message = format!("{what} in the call of {name}, which is no aggregate");
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).into());
        }
        let args = self.bind_all(&call.args)?;
        let types: Vec<Option<DataType>> = args.iter().map(Typed::argument).collect();
        let resolved = self.binder.functions.scalar(name, &types).map_err(|error| {
            if error.hint.is_some() {
                return error;
            }
            match super::nearest(name, self.binder.functions.names()) {
                Some(nearest) => error.with_hint(format!("did you mean {nearest:?}?")),
                None => error,
            }
        })?;
        // Where all that is known is NULL, so is the type of the result.
        let all_null = !args.is_empty() && args.iter().all(|arg| arg.datatype.is_none())
            || name == "nullif" && args[0].datatype.is_none();
        if name == "nullif"
            && types.iter().all(|datatype| matches!(datatype, Some(DataType::Integer | DataType::Float)))
        {
            // Numbers compare without a cast, so the first one stays what it is.
            let args = args.into_iter().map(|arg| arg.expr).collect();
            return Ok(Typed::new(Expr::Call(resolved.function, args), types[0]));
        }
        let args = args.into_iter().zip(&resolved.arguments);
        let args = args.map(|(arg, to)| Ok(arg.cast(*to)?.expr)).collect::<Result<_>>()?;
        let generic = resolved.function == functions::Function::Coalesce || name == "nullif";
        let datatype = if all_null && generic { None } else { Some(resolved.result) };
        Ok(Typed::new(Expr::Call(resolved.function, args), datatype))
    }

    /// MIN and MAX of several values, as SQLite has them: GREATEST and LEAST elsewhere. They are not supported.
    fn is_scalar_extreme(&self, call: &ast::Call) -> bool {
        matches!(call.name.as_str(), "min" | "max")
            && call.args.len() > 1
            && self.binder.functions.is_scalar(&call.name)
    }

    #[inline(never)]
    fn aggregate(&self, call: &ast::Call) -> Result<Typed> {
        let name = call.name.as_str();
        if call.star && (name != "count" || call.distinct) {
            let message = format!("{name}({}*) makes no sense", if call.distinct { "DISTINCT " } else { "" });
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).into());
        }
        if name == "count" && !call.star && call.args.is_empty() {
            let error = Error::new(SqlState::UNDEFINED_FUNCTION, "count() has no argument");
            return Err(error.with_hint("write count(*)").into());
        }
        let inner = Self { aggregates: None, aliases: &[], clause: "an aggregate", ..*self };
        let args = inner.bind_all(&call.args)?;
        let mut filter = call.filter.as_ref().map(|filter| inner.condition(filter, "FILTER")).transpose()?;
        let types: Vec<Option<DataType>> = args
            .iter()
            .map(|arg| if matches!(name, "count" | "min" | "max") { arg.datatype } else { arg.argument() })
            .collect();
        let resolved = functions::aggregate(name, &types)?;
        let unknown = args.len() == 1 && args[0].datatype.is_none() && matches!(name, "min" | "max" | "any_value");
        let args = args.into_iter().zip(&resolved.arguments);
        let mut args: Vec<Expr> = args.map(|(arg, to)| Ok(arg.cast(*to)?.expr)).collect::<Result<_>>()?;
        // It belongs to the innermost query whose columns it reads, and to this one if it reads none.
        let level = args.iter().chain(&filter).filter_map(innermost).min().unwrap_or(0);
        let aggregates = match level {
            0 => self.aggregates,
            level => self.context.outer_at(level).and_then(|outer| outer.aggregates),
        };
        let Some(aggregates) = aggregates else {
            let clause = if level == 0 { self.clause } else { "this part of the query around it" };
            let message = format!("the aggregate {name} cannot stand in {clause}");
            return Err(Error::new(SqlState::GROUPING_ERROR, message).into());
        };
        if level > 0 {
            args.iter_mut().chain(&mut filter).for_each(|expr| move_out(expr, level));
        }
        let aggregate = AggregateCall { function: resolved.function, args, distinct: call.distinct, filter };
        let mut calls = aggregates.calls.borrow_mut();
        let index = calls.iter().position(|other| *other == aggregate).unwrap_or_else(|| {
            calls.push(aggregate);
            calls.len() - 1
        });
        let datatype = if unknown { None } else { Some(resolved.result) };
        let column = aggregates.width + index;
        let expr = if level == 0 { Expr::Column(column) } else { Expr::Outer { level, column } };
        Ok(Typed::new(expr, datatype))
    }
}

/// How far out the innermost row is that an expression reads: 0 is that of its own query.
fn innermost(expr: &Expr) -> Option<usize> {
    let mut level = None;
    expr.walk(0, &mut |depth, expr| {
        let here = match expr {
            Expr::Column(_) if depth == 0 => 0,
            Expr::Outer { level, .. } if *level >= depth => *level - depth,
            _ => return,
        };
        level = Some(level.map_or(here, |level: usize| level.min(here)));
    });
    level
}

/// Makes an expression that reads rows from `level` outwards only one of the query there.
fn move_out(expr: &mut Expr, level: usize) {
    expr.walk_mut(0, &mut |depth, expr| {
        if let Expr::Outer { level: from, column } = expr
            && *from >= depth + level
        {
            let to = *from - level;
            *expr = if to == 0 { Expr::Column(*column) } else { Expr::Outer { level: to, column: *column } };
        }
    });
}

fn columns_of_subquery(count: usize) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, format!("a query in an expression gives one column, not {count}"))
}

/// Casts results to the type that they have in common.
pub(super) fn cast_all(results: Vec<Typed>, common: Option<DataType>) -> Result<Vec<Expr>> {
    let cast = |result: Typed| match common {
        Some(common) if result.datatype.is_some() => Ok(result.cast(common)?.expr),
        _ => Ok(result.expr),
    };
    results.into_iter().map(cast).collect()
}

fn binary(op: Binary, a: Typed, b: Typed) -> std::result::Result<Typed, Error> {
    let combine = |a: Typed, b: Typed| Expr::Binary(op, Box::new(a.expr), Box::new(b.expr));
    match op {
        Binary::And | Binary::Or => {
            let (a, b) = (a.condition(symbol(op))?, b.condition(symbol(op))?);
            Ok(Typed::boolean(Expr::Binary(op, Box::new(a), Box::new(b))))
        }
        Binary::Equal
        | Binary::NotEqual
        | Binary::Less
        | Binary::LessOrEqual
        | Binary::Greater
        | Binary::GreaterOrEqual
        | Binary::Same
        | Binary::NotSame => {
            let (a, b) = adapt(a, b)?;
            comparable(op, &a, &b)?;
            Ok(Typed::boolean(combine(a, b)))
        }
        Binary::Concat => {
            let text = |side: &Typed| side.datatype.is_none_or(|datatype| datatype == DataType::Text);
            if !text(&a) && !text(&b) {
                return Err(no_operator("||", &[&a, &b]));
            }
            Ok(Typed::new(combine(a, b), Some(DataType::Text)))
        }
        Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Remainder | Binary::Power => {
            let (a, b) = adapt(a, b)?;
            let numeric = |side: &Typed| {
                side.datatype.is_none_or(|datatype| matches!(datatype, DataType::Integer | DataType::Float))
            };
            if !numeric(&a) || !numeric(&b) {
                return Err(no_operator(symbol(op), &[&a, &b]));
            }
            let datatype = match (a.datatype, b.datatype) {
                (Some(DataType::Float), _) | (_, Some(DataType::Float)) => Some(DataType::Float),
                (a, b) => a.or(b),
            };
            Ok(Typed::new(combine(a, b), datatype))
        }
    }
}
