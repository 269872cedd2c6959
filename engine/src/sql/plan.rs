//! Planning: syntax and schema into expressions and scans, with names resolved and types checked.
//!
//! A plan is made for one execution, with its parameters' values in place, so that folding sees constants where the
//! syntax has parameters.

use super::access::Scan;
use super::ast::{self, Binary, Expr, Function, Is, Unary};
use super::catalog::Table;
use super::error::{Error, SqlState};
use super::expression::Expression;
use super::types::{Column, DataType, Value};

type Result<T> = std::result::Result<T, Error>;

/// A SELECT, ready to execute.
#[derive(Debug)]
pub(super) struct Select {
    /// Where rows come from; without a table there is one row without columns.
    pub scan: Option<Scan>,
    pub order: Vec<Order>,
    pub offset: u64,
    pub limit: Option<u64>,
    pub items: Vec<Expression>,
    pub columns: Vec<Column>,
}

/// One key of an order.
#[derive(Debug)]
pub(super) struct Order {
    pub expr: Expression,
    pub descending: bool,
    pub nulls_first: bool,
}

/// What names and parameters mean in an expression.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub table: Option<(&'a Table, &'a str)>,
    pub params: &'a [Value],
}

/// An expression with its type. The type is `None` if it is not known: NULL, which fits everywhere.
struct Typed {
    expr: Expression,
    datatype: Option<DataType>,
    /// A literal or parameter of type TEXT, which adapts to the type that is wanted.
    adapts: bool,
}

impl<'a> Scope<'a> {
    pub fn without_table(params: &'a [Value]) -> Self {
        Self { table: None, params }
    }

    pub fn of(table: &'a Table, alias: Option<&'a String>, params: &'a [Value]) -> Self {
        let name = alias.map_or(table.name.as_str(), String::as_str);
        Self { table: Some((table, name)), params }
    }

    /// Resolves an expression; the type is for results.
    pub fn expression(&self, expr: &Expr) -> Result<(Expression, Option<DataType>)> {
        let Typed { expr, datatype, .. } = self.build(expr)?;
        Ok((expr, datatype))
    }

    /// Resolves a condition.
    pub fn condition(&self, expr: &Expr, clause: &str) -> Result<Expression> {
        let typed = self.build(expr)?;
        Self::boolean(typed, clause)
    }

    /// Resolves a value that is assigned to a column; also whether it is a literal.
    pub fn assigned(&self, expr: &Expr) -> Result<(Expression, bool)> {
        let Typed { expr, adapts, .. } = self.build(expr)?;
        Ok((expr, adapts))
    }

    fn build(&self, expr: &Expr) -> Result<Typed> {
        let typed = match expr {
            Expr::Literal(value) => return Ok(constant_of(value.clone())),
            Expr::Parameter(number) => {
                let value = self.params.get(number - 1).ok_or_else(|| {
                    let message = format!("there is no parameter ${number}: {} values were given", self.params.len());
                    Error::new(SqlState::UNDEFINED_PARAMETER, message)
                })?;
                return Ok(constant_of(match value {
                    Value::Float(x) => Value::float(*x),
                    value => value.clone(),
                }));
            }
            Expr::Column { table, name, position } => return self.column(table.as_deref(), name, *position),
            Expr::Unary(op, expr) => self.unary(*op, expr)?,
            Expr::Binary(op, a, b) => Self::binary(*op, self.build(a)?, self.build(b)?)?,
            Expr::Is { expr, what, negated } => {
                let typed = self.build(expr)?;
                let expr = if *what == Is::Null { typed.expr } else { Self::boolean(typed, "IS")? };
                boolean(Expression::Is { expr: Box::new(expr), what: *what, negated: *negated })
            }
            Expr::In { expr, list, negated } => {
                let mut expr = self.build(expr)?;
                let mut items = list.iter().map(|item| self.build(item)).collect::<Result<Vec<_>>>()?;
                adapt_all(Binary::Equal, &mut expr, &mut items)?;
                let list = items.into_iter().map(|item| item.expr).collect();
                boolean(Expression::In { expr: Box::new(expr.expr), list, negated: *negated })
            }
            Expr::Between { expr, low, high, negated } => {
                let mut expr = self.build(expr)?;
                let mut limits = [self.build(low)?, self.build(high)?];
                adapt_all(Binary::GreaterOrEqual, &mut expr, &mut limits)?;
                let [low, high] = limits.map(|limit| Box::new(limit.expr));
                boolean(Expression::Between { expr: Box::new(expr.expr), low, high, negated: *negated })
            }
            Expr::Like { expr, pattern, escape, negated } => {
                let (expr, pattern) = (self.build(expr)?, self.build(pattern)?);
                for side in [&expr, &pattern] {
                    if side.datatype.is_some_and(|datatype| datatype != DataType::Text) {
                        return Err(no_operator("LIKE", &[&expr, &pattern]));
                    }
                }
                let (expr, pattern) = (Box::new(expr.expr), Box::new(pattern.expr));
                boolean(Expression::Like { expr, pattern, escape: *escape, negated: *negated })
            }
            Expr::Case { operand, branches, otherwise } => {
                self.case(operand.as_deref(), branches, otherwise.as_deref())?
            }
            Expr::Cast(expr, to) => {
                let typed = self.build(expr)?;
                if let Some(value) = typed.expr.constant() {
                    // A literal that cannot be cast is an error wherever it stands.
                    return Ok(constant_of(value.clone().cast(*to)?).typed(*to));
                }
                if let (Some(DataType::Boolean), DataType::Float) | (Some(DataType::Float), DataType::Boolean) =
                    (typed.datatype, *to)
                {
                    let from = typed.datatype.map_or_else(String::new, |from| from.to_string());
                    return Err(Error::new(SqlState::DATATYPE_MISMATCH, format!("cannot cast {from} to {to}")));
                }
                Typed { expr: Expression::Cast(Box::new(typed.expr), *to), datatype: Some(*to), adapts: false }
            }
            Expr::Function(function, args) => self.call(*function, args)?,
        };
        Ok(Typed { expr: typed.expr.fold(), ..typed })
    }

    fn column(&self, table: Option<&str>, name: &str, position: Option<(u64, u64)>) -> Result<Typed> {
        let undefined = |state, message: String| Err(Error::new(state, message).at(position));
        let Some((from, alias)) = self.table else {
            return undefined(
                SqlState::UNDEFINED_COLUMN,
                format!("there is no column {name:?}: there is no table here"),
            );
        };
        if let Some(table) = table
            && table != alias
        {
            return undefined(SqlState::UNDEFINED_TABLE, format!("there is no table {table:?} in this statement"));
        }
        let index = from.column(name, position)?;
        let column = &from.columns[index];
        let expr = Expression::Column(index, column.name.clone());
        Ok(Typed { expr, datatype: Some(column.datatype), adapts: false })
    }

    fn unary(&self, op: Unary, expr: &Expr) -> Result<Typed> {
        let typed = self.build(expr)?;
        if op == Unary::Not {
            return Ok(boolean(Expression::Unary(op, Box::new(Self::boolean(typed, "NOT")?))));
        }
        let allowed = match typed.datatype {
            None | Some(DataType::Integer) => true,
            Some(DataType::Float) => op != Unary::Factorial,
            Some(_) => false,
        };
        if !allowed {
            let name = match op {
                Unary::Plus => "+",
                Unary::Minus => "-",
                Unary::Not => "NOT",
                Unary::Factorial => "!",
            };
            return Err(no_operator(name, &[&typed]));
        }
        Ok(Typed { expr: Expression::Unary(op, Box::new(typed.expr)), datatype: typed.datatype, adapts: false })
    }

    fn binary(op: Binary, mut a: Typed, mut b: Typed) -> Result<Typed> {
        let combine = |a: Typed, b: Typed| Expression::Binary(op, Box::new(a.expr), Box::new(b.expr));
        match op {
            Binary::And | Binary::Or => {
                let name = if op == Binary::And { "AND" } else { "OR" };
                let (a, b) = (Self::boolean(a, name)?, Self::boolean(b, name)?);
                Ok(boolean(Expression::Binary(op, Box::new(a), Box::new(b))))
            }
            Binary::Equal
            | Binary::NotEqual
            | Binary::Less
            | Binary::LessOrEqual
            | Binary::Greater
            | Binary::GreaterOrEqual => {
                adapt(&mut a, &mut b)?;
                comparable(op, &a, &b)?;
                Ok(boolean(combine(a, b)))
            }
            Binary::Concat => {
                let text = |side: &Typed| side.datatype.is_none_or(|datatype| datatype == DataType::Text);
                if !text(&a) && !text(&b) {
                    return Err(no_operator("||", &[&a, &b]));
                }
                Ok(Typed { expr: combine(a, b), datatype: Some(DataType::Text), adapts: false })
            }
            Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Remainder | Binary::Power => {
                adapt(&mut a, &mut b)?;
                let numeric = |side: &Typed| {
                    side.datatype.is_none_or(|datatype| matches!(datatype, DataType::Integer | DataType::Float))
                };
                if !numeric(&a) || !numeric(&b) {
                    return Err(no_operator(&op.to_string(), &[&a, &b]));
                }
                let datatype = match (a.datatype, b.datatype) {
                    (Some(DataType::Float), _) | (_, Some(DataType::Float)) => Some(DataType::Float),
                    (a, b) => a.or(b),
                };
                Ok(Typed { expr: combine(a, b), datatype, adapts: false })
            }
        }
    }

    fn case(&self, operand: Option<&Expr>, branches: &[(Expr, Expr)], otherwise: Option<&Expr>) -> Result<Typed> {
        let mut operand = operand.map(|operand| self.build(operand)).transpose()?;
        let conditions = branches.iter().map(|(condition, _)| self.build(condition));
        let mut conditions = conditions.collect::<Result<Vec<_>>>()?;
        let conditions: Vec<Expression> = if let Some(operand) = &mut operand {
            adapt_all(Binary::Equal, operand, &mut conditions)?;
            conditions.into_iter().map(|condition| condition.expr).collect()
        } else {
            let conditions = conditions.into_iter().map(|condition| Self::boolean(condition, "WHEN"));
            conditions.collect::<Result<_>>()?
        };
        let mut results = branches.iter().map(|(_, result)| self.build(result)).collect::<Result<Vec<_>>>()?;
        let has_otherwise = otherwise.is_some();
        results.extend(otherwise.map(|otherwise| self.build(otherwise)).transpose()?);
        let datatype = common_type("CASE", &mut results)?;
        let otherwise = if has_otherwise { results.pop().map(|result| Box::new(result.expr)) } else { None };
        let branches = conditions.into_iter().zip(results.into_iter().map(|result| result.expr)).collect();
        let operand = operand.map(|operand| Box::new(operand.expr));
        Ok(Typed { expr: Expression::Case { operand, branches, otherwise }, datatype, adapts: false })
    }

    fn call(&self, function: Function, args: &[Expr]) -> Result<Typed> {
        let mut args: Vec<Typed> = args.iter().map(|arg| self.build(arg)).collect::<Result<_>>()?;
        let one_of = |allowed: &[DataType]| args[0].datatype.is_none_or(|datatype| allowed.contains(&datatype));
        let (allowed, datatype) = match function {
            Function::Abs => (one_of(&[DataType::Integer, DataType::Float]), args[0].datatype),
            Function::Sqrt => (one_of(&[DataType::Integer, DataType::Float]), Some(DataType::Float)),
            Function::Length => (one_of(&[DataType::Text]), Some(DataType::Integer)),
            Function::Lower | Function::Upper => (one_of(&[DataType::Text]), Some(DataType::Text)),
            Function::Coalesce => (true, common_type("COALESCE", &mut args)?),
            Function::Nullif => {
                let [a, b] = args.as_mut_slice() else { unreachable!("the parser counts the arguments") };
                adapt(a, b)?;
                comparable(Binary::Equal, a, b)?;
                (true, a.datatype)
            }
        };
        if !allowed {
            return Err(no_operator(&format!("{function:?}").to_ascii_lowercase(), &[&args[0]]));
        }
        let args = args.into_iter().map(|arg| arg.expr).collect();
        Ok(Typed { expr: Expression::Function(function, args), datatype, adapts: false })
    }

    fn boolean(mut typed: Typed, clause: &str) -> Result<Expression> {
        if typed.adapts {
            typed = adapted(typed, DataType::Boolean)?;
        }
        match typed.datatype {
            None | Some(DataType::Boolean) => Ok(typed.expr),
            Some(other) => {
                let message = format!("the argument of {clause} is of type {other}, not BOOLEAN");
                Err(Error::new(SqlState::DATATYPE_MISMATCH, message))
            }
        }
    }
}

impl Typed {
    fn typed(mut self, datatype: DataType) -> Self {
        (self.datatype, self.adapts) = (Some(datatype), false);
        self
    }
}

fn boolean(expr: Expression) -> Typed {
    Typed { expr, datatype: Some(DataType::Boolean), adapts: false }
}

fn constant_of(value: Value) -> Typed {
    let (datatype, adapts) = (value.datatype(), matches!(value, Value::Text(_)));
    Typed { expr: Expression::Constant(value), datatype, adapts }
}

fn adapted(typed: Typed, to: DataType) -> Result<Typed> {
    match typed.expr {
        Expression::Constant(value) => Ok(constant_of(value.cast(to)?).typed(to)),
        expr => Ok(Typed { expr, ..typed }),
    }
}

/// Gives a literal text the type of the other side, as PostgreSQL does with literals of unknown type.
fn adapt(a: &mut Typed, b: &mut Typed) -> Result<()> {
    let (wanted_of_a, wanted_of_b) = (b.datatype, a.datatype);
    for (from, to) in [(a, wanted_of_a), (b, wanted_of_b)] {
        if let Some(to) = to
            && from.adapts
            && to != DataType::Text
        {
            let taken = std::mem::replace(from, constant_of(Value::Null));
            *from = adapted(taken, to)?;
            break;
        }
    }
    Ok(())
}

/// Makes an expression comparable with several others. Text among them adapts to a type that any of them has.
fn adapt_all(op: Binary, expr: &mut Typed, others: &mut [Typed]) -> Result<()> {
    for other in &mut *others {
        adapt(expr, other)?;
    }
    for other in others {
        adapt(expr, other)?;
        comparable(op, expr, other)?;
    }
    Ok(())
}

fn comparable(op: Binary, a: &Typed, b: &Typed) -> Result<()> {
    let class = |datatype: DataType| if datatype == DataType::Float { DataType::Integer } else { datatype };
    match (a.datatype, b.datatype) {
        (Some(x), Some(y)) if class(x) != class(y) => Err(no_operator(&op.to_string(), &[a, b])),
        _ => Ok(()),
    }
}

/// The type that several results have in common; integers become floats next to floats.
fn common_type(what: &str, results: &mut [Typed]) -> Result<Option<DataType>> {
    let mut common: Option<DataType> = None;
    for result in results.iter().filter(|result| !result.adapts) {
        common = match (common, result.datatype) {
            (Some(DataType::Integer), Some(DataType::Float)) | (Some(DataType::Float), Some(DataType::Integer)) => {
                Some(DataType::Float)
            }
            (Some(a), Some(b)) if a != b => {
                let message = format!("the results of {what} are of types {a} and {b}");
                return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
            }
            (a, b) => a.or(b),
        };
    }
    let common = common.or_else(|| results.iter().find_map(|result| result.datatype));
    for result in results.iter_mut() {
        if let Some(common) = common
            && result.datatype.is_some_and(|datatype| datatype != common)
        {
            let expr = std::mem::replace(&mut result.expr, Expression::Constant(Value::Null));
            result.expr = match expr {
                Expression::Constant(value) => Expression::Constant(value.cast(common)?),
                expr => Expression::Cast(Box::new(expr), common),
            };
        }
    }
    Ok(common)
}

fn no_operator(name: &str, args: &[&Typed]) -> Error {
    let types: Vec<String> = args
        .iter()
        .map(|arg| arg.datatype.map_or_else(|| "NULL".to_string(), |datatype| datatype.to_string()))
        .collect();
    let message = format!("{name} does not take {}", types.join(" and "));
    Error::new(SqlState::UNDEFINED_FUNCTION, message).with_hint("use CAST")
}

/// The value of an expression without columns and parameters, and whether it is a literal.
pub(super) fn constant(expr: &Expr) -> Result<(Value, bool)> {
    let (expr, literal) = Scope::without_table(&[]).assigned(expr)?;
    Ok((expr.evaluate(&[])?, literal))
}

/// Plans a SELECT over the table that it names.
pub(super) fn select(select: &ast::Select, table: Option<Table>, params: &[Value], optimize: bool) -> Result<Select> {
    let alias = select.from.as_ref().and_then(|from| from.alias.as_ref());
    let scope = match &table {
        Some(table) => Scope::of(table, alias, params),
        None => Scope::without_table(params),
    };
    let (mut items, mut columns) = (Vec::new(), Vec::new());
    for item in &select.items {
        match item {
            ast::Item::All { table: qualifier } => {
                let Some((table, name)) = scope.table else {
                    return Err(Error::new(SqlState::SYNTAX_ERROR, "* needs a table"));
                };
                if let Some(qualifier) = qualifier.as_ref().filter(|qualifier| *qualifier != name) {
                    let message = format!("there is no table {qualifier:?} in this statement");
                    return Err(Error::new(SqlState::UNDEFINED_TABLE, message));
                }
                for (index, column) in table.columns.iter().enumerate() {
                    items.push(Expression::Column(index, column.name.clone()));
                    columns.push(Column { name: column.name.clone(), datatype: Some(column.datatype) });
                }
            }
            ast::Item::Expr { expr, alias } => {
                let (planned, datatype) = scope.expression(expr)?;
                let name = match (alias, expr) {
                    (Some(alias), _) => alias.clone(),
                    (None, Expr::Column { name, .. }) => name.clone(),
                    (None, _) => "?column?".to_string(),
                };
                items.push(planned);
                columns.push(Column { name, datatype });
            }
        }
    }
    let order = select.order_by.iter().map(|order| order_key(order, scope, &items, &columns)).collect::<Result<_>>()?;
    let filter = select.filter.as_ref().map(|filter| scope.condition(filter, "WHERE")).transpose()?;
    let limit = select.limit.as_ref().map(|limit| count(limit, scope, SqlState::INVALID_LIMIT, "LIMIT")).transpose()?;
    let offset = select.offset.as_ref().map(|offset| count(offset, scope, SqlState::INVALID_OFFSET, "OFFSET"));
    let offset = offset.transpose()?.flatten().unwrap_or(0);
    let scan = match table {
        Some(table) => Some(Scan::new(table, filter, optimize)),
        // Without a table the condition decides over the one row.
        None => filter.map(Scan::of_nothing),
    };
    let mut plan = Select { scan, order, offset, limit: limit.flatten(), items, columns };
    if optimize {
        plan.order_by_scan();
    }
    Ok(plan)
}

impl Select {
    /// Rows come in the order of their primary key, so an order by that needs no sorting. (What follows a unique key in an
    /// order has no effect.)
    fn order_by_scan(&mut self) {
        if let (Some(scan), Some(Order { expr: Expression::Column(column, _), descending, .. })) =
            (&mut self.scan, self.order.first())
            && scan.gives_key_order(*column)
        {
            scan.reverse = *descending;
            self.order.clear();
        }
    }
}

/// A key of ORDER BY: the position of a result column, its name, or an expression over the table.
fn order_key(order: &ast::Order, scope: Scope<'_>, items: &[Expression], columns: &[Column]) -> Result<Order> {
    let ast::Order { expr, descending, nulls_first } = order;
    let by_name = |name: &str| columns.iter().position(|column| column.name == name);
    let expr = match expr {
        Expr::Literal(Value::Integer(n)) => {
            let item = usize::try_from(*n).ok().and_then(|n| n.checked_sub(1)).and_then(|n| items.get(n));
            let message = || format!("ORDER BY position {n} is not in the result");
            item.cloned().ok_or_else(|| Error::new(SqlState::INVALID_COLUMN_REFERENCE, message()))?
        }
        Expr::Literal(_) => {
            let message = "ORDER BY has a constant that is no position";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
        Expr::Column { table: None, name, .. } if by_name(name).is_some() => {
            let first = by_name(name).expect("checked by the guard");
            if columns.iter().zip(items).any(|(column, item)| column.name == *name && *item != items[first]) {
                let message = format!("ORDER BY {name:?} is ambiguous");
                return Err(Error::new(SqlState::AMBIGUOUS_COLUMN, message));
            }
            items[first].clone()
        }
        expr => scope.expression(expr)?.0,
    };
    Ok(Order { expr, descending: *descending, nulls_first: *nulls_first })
}

/// A number of rows; NULL is no limit.
fn count(expr: &Expr, scope: Scope<'_>, state: SqlState, clause: &str) -> Result<Option<u64>> {
    let Typed { expr, datatype, adapts } = Scope { table: None, ..scope }.build(expr)?;
    if let Some(datatype @ (DataType::Boolean | DataType::Text)) = datatype
        && !adapts
    {
        let message = format!("the argument of {clause} is of type {datatype}, not INTEGER");
        return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
    }
    match expr.evaluate(&[])?.cast(DataType::Integer)? {
        Value::Null => Ok(None),
        Value::Integer(n) => {
            u64::try_from(n).map(Some).map_err(|_| Error::new(state, format!("{clause} must not be negative")))
        }
        other => unreachable!("{other} was cast to INTEGER"),
    }
}
