//! Plans as text: a line for each operator, indented below the one that pulls from it.

use std::fmt::Write as _;
use std::ops::Bound;

use super::algebra::{
    Access, AggregateCall, Binary, Expr, Is, Join, JoinKind, JoinMethod, KeyRange, Node, Quantifier, Scan, SetOperator,
    SortKey, SubqueryKind, Unary,
};
use super::executor::{Profile, Tally};
use super::optimizer::Facts;
use super::types::Value;

/// The text of a plan, below a title if there is one: with the rows that each operator is thought to give and what that
/// costs, the operators below it included; and with the rows that it gave.
pub(super) fn explain(node: &Node, title: Option<String>, facts: &Facts<'_>, profile: Option<&Profile>) -> String {
    let mut explain = Explain { text: String::new(), facts, profile };
    let mut depth = 0;
    if let Some(title) = title {
        explain.line(0, &title);
        depth = 1;
    }
    explain.node(node, depth);
    explain.text.truncate(explain.text.trim_end().len());
    explain.text
}

struct Explain<'a> {
    text: String,
    facts: &'a Facts<'a>,
    profile: Option<&'a Profile>,
}

impl Explain<'_> {
    fn line(&mut self, depth: usize, line: &str) {
        if depth > 0 {
            self.text.push_str(&"   ".repeat(depth - 1));
            self.text.push_str("└─ ");
        }
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn node(&mut self, node: &Node, depth: usize) {
        let mut line = describe(node);
        let estimate = self.facts.estimate(node);
        let _ = write!(line, " (rows≈{:.0}, cost≈{:.0})", estimate.rows, estimate.cost);
        if let Some(profile) = self.profile {
            let Tally { rows, starts, time } = profile.tally(node);
            let _ = write!(line, " (rows {rows}, starts {starts}");
            if profile.has_clock() {
                let _ = write!(line, ", {:.3} ms", time.as_secs_f64() * 1e3);
            }
            line.push(')');
        }
        self.line(depth, &line);
        node.for_each_input(&mut |input, _| self.node(input, depth + 1));
        node.for_each_expr(&mut |expr| {
            expr.walk(0, &mut |level, expr| {
                if let (0, Expr::Subquery(subquery)) = (level, expr) {
                    let kind = if subquery.outer.is_empty() { "Subquery" } else { "Correlated subquery" };
                    self.line(depth + 1, kind);
                    self.node(&subquery.plan, depth + 2);
                }
            });
        });
    }
}

fn describe(node: &Node) -> String {
    match node {
        Node::Nothing { .. } => "Nothing".into(),
        Node::Values { rows, .. } => format!("Values: {} rows", rows.len()),
        Node::Rows { rows, .. } => format!("Rows: {}", rows.len()),
        Node::Scan(scan) => self::scan(scan),
        Node::Filter { input, predicate } => format!("Filter: {}", show(predicate, &names(input))),
        Node::Project { input, exprs } => format!("Project: {}", list(exprs, &names(input))),
        Node::Join(join) => self::join(join),
        Node::Aggregate(aggregate) => {
            let names = names(&aggregate.input);
            let calls: Vec<String> = aggregate.calls.iter().map(|each| call(each, &names)).collect();
            let calls = calls.join(", ");
            if aggregate.groups.is_empty() {
                format!("Aggregate: {calls}")
            } else {
                format!("Aggregate: {calls} by {}", list(&aggregate.groups, &names))
            }
        }
        Node::Sort { input, keys, first } => {
            let names = names(input);
            let key = |SortKey { expr, descending, nulls_first }: &SortKey| {
                let order = if *descending { " DESC" } else { "" };
                let nulls = match (descending, nulls_first) {
                    (false, true) => " NULLS FIRST",
                    (true, false) => " NULLS LAST",
                    _ => "",
                };
                format!("{}{order}{nulls}", show(expr, &names))
            };
            let keys: Vec<String> = keys.iter().map(key).collect();
            match first {
                Some(first) => format!("Top {}: {}", show(first, &[]), keys.join(", ")),
                None => format!("Sort: {}", keys.join(", ")),
            }
        }
        Node::Limit { offset, limit, .. } => {
            let part =
                |name: &str, expr: &Option<Expr>| expr.as_ref().map(|expr| format!("{name}: {}", show(expr, &[])));
            [part("Limit", limit), part("Offset", offset)].into_iter().flatten().collect::<Vec<_>>().join(", ")
        }
        Node::Distinct { .. } => "Distinct".into(),
        Node::Set { operator, all, .. } => {
            let name = match operator {
                SetOperator::Union => "Union",
                SetOperator::Intersect => "Intersect",
                SetOperator::Except => "Except",
            };
            format!("{name}{}", if *all { " all" } else { "" })
        }
        Node::With { id, recursive, .. } => {
            format!("With: {id}{}", if recursive.is_some() { " (recursive)" } else { "" })
        }
        Node::Common { id, .. } => format!("Common: {id}"),
    }
}

fn scan(scan: &Scan) -> String {
    let table = &scan.table;
    let mut line = String::new();
    let Access { index, ranges, only } = &scan.access;
    let everything = ranges.len() == 1 && ranges[0] == KeyRange::all();
    let columns: Vec<usize> = match index {
        None => table.primary_key.clone(),
        Some(index) => table.indexes[*index].columns.iter().map(|by| by.column).collect(),
    };
    let way = match index {
        None if everything => "Scan",
        None => "Key lookup",
        Some(_) if *only => "Index-only lookup",
        Some(_) => "Index lookup",
    };
    let _ = write!(line, "{way}: {}", table.name);
    if scan.alias != table.name {
        let _ = write!(line, " as {}", scan.alias);
    }
    if let Some(index) = index {
        let _ = write!(line, " by {}", table.indexes[*index].name);
    }
    if !everything {
        let shown: Vec<String> = ranges.iter().map(|range| key_range(range, &columns, scan)).collect();
        let _ = write!(line, " ({})", shown.join(" or "));
    }
    if scan.reverse {
        line.push_str(" reversed");
    }
    if let Some(filter) = &scan.filter {
        let names: Vec<String> = scan.columns.iter().map(|&column| column_name(scan, column)).collect();
        let _ = write!(line, " where {}", show(filter, &names));
    }
    line
}

fn key_range(KeyRange { prefix, low, high }: &KeyRange, columns: &[usize], scan: &Scan) -> String {
    let name = |position: usize| columns.get(position).map_or_else(String::new, |&column| column_name(scan, column));
    let mut parts: Vec<String> = prefix
        .iter()
        .enumerate()
        .map(|(position, value)| format!("{} = {}", name(position), show(value, &[])))
        .collect();
    let next = name(prefix.len());
    match low {
        Bound::Included(value) => parts.push(format!("{next} >= {}", show(value, &[]))),
        Bound::Excluded(value) => parts.push(format!("{next} > {}", show(value, &[]))),
        Bound::Unbounded => {}
    }
    match high {
        Bound::Included(value) => parts.push(format!("{next} <= {}", show(value, &[]))),
        Bound::Excluded(value) => parts.push(format!("{next} < {}", show(value, &[]))),
        Bound::Unbounded => {}
    }
    parts.join(" and ")
}

fn column_name(scan: &Scan, column: usize) -> String {
    scan.table.columns.get(column).map_or_else(|| "#row".to_string(), |column| column.name.clone())
}

fn join(join: &Join) -> String {
    let mut names = names(&join.left);
    let left = names.len();
    names.extend(self::names(&join.right));
    let kind = match join.kind {
        JoinKind::Inner => "inner",
        JoinKind::Left => "left",
        JoinKind::Right => "right",
        JoinKind::Full => "full",
        JoinKind::Semi => "semi",
        JoinKind::Anti => "anti",
    };
    let (method, keys) = match &join.method {
        JoinMethod::NestedLoop => ("Nested loop", None),
        JoinMethod::Lateral => ("Lateral", None),
        JoinMethod::Hash { keys, .. } => ("Hash", Some(keys)),
        JoinMethod::Merge { keys, .. } => ("Merge", Some(keys)),
    };
    let mut line = format!("{method} join ({kind})");
    if let Some(keys) = keys {
        let pair = |(a, b): &(Expr, Expr)| format!("{} = {}", show(a, &names[..left]), show(b, &names[left..]));
        let _ = write!(line, " by {}", keys.iter().map(pair).collect::<Vec<_>>().join(", "));
    }
    if let Some(on) = &join.on {
        let _ = write!(line, " on {}", show(on, &names));
    }
    line
}

/// What the columns of an operator's rows can be called.
fn names(node: &Node) -> Vec<String> {
    match node {
        Node::Scan(scan) => scan
            .columns
            .iter()
            .map(|&column| match scan.alias.as_str() {
                "" => column_name(scan, column),
                alias => format!("{alias}.{}", column_name(scan, column)),
            })
            .collect(),
        Node::Filter { input, .. }
        | Node::Sort { input, .. }
        | Node::Limit { input, .. }
        | Node::Distinct { input } => names(input),
        Node::Project { input, exprs } => {
            let inner = names(input);
            exprs.iter().map(|expr| show(expr, &inner)).collect()
        }
        Node::Join(join) if matches!(join.kind, JoinKind::Semi | JoinKind::Anti) => names(&join.left),
        Node::Join(join) => names(&join.left).into_iter().chain(names(&join.right)).collect(),
        Node::Aggregate(aggregate) => {
            let inner = names(&aggregate.input);
            let groups = aggregate.groups.iter().map(|expr| show(expr, &inner));
            groups.chain(aggregate.calls.iter().map(|each| call(each, &inner))).collect()
        }
        Node::Set { left, .. } => names(left),
        Node::With { body, .. } => names(body),
        Node::Nothing { width }
        | Node::Values { width, .. }
        | Node::Rows { width, .. }
        | Node::Common { width, .. } => (0..*width).map(|position| format!("#{}", position + 1)).collect(),
    }
}

fn call(call: &AggregateCall, names: &[String]) -> String {
    let distinct = if call.distinct { "DISTINCT " } else { "" };
    let mut text = if call.args.is_empty() {
        "count(*)".to_string()
    } else {
        format!("{}({distinct}{})", format!("{:?}", call.function).to_ascii_lowercase(), list(&call.args, names))
    };
    if let Some(filter) = &call.filter {
        let _ = write!(text, " FILTER (WHERE {})", show(filter, names));
    }
    text
}

fn list(exprs: &[Expr], names: &[String]) -> String {
    exprs.iter().map(|expr| show(expr, names)).collect::<Vec<_>>().join(", ")
}

/// An expression over columns of these names.
fn show(expr: &Expr, names: &[String]) -> String {
    let show = |expr: &Expr| show(expr, names);
    let not = |negated: bool| if negated { "NOT " } else { "" };
    match expr {
        Expr::Constant(Value::Text(text)) => format!("'{}'", text.replace('\'', "''")),
        Expr::Constant(value) => value.to_string(),
        Expr::Parameter(position) => format!("${}", position + 1),
        Expr::Column(column) => names.get(*column).cloned().unwrap_or_else(|| format!("#{}", column + 1)),
        Expr::Outer { level, column } => format!("outer({level}, #{})", column + 1),
        Expr::Unary(Unary::Plus, expr) => format!("+{}", show(expr)),
        Expr::Unary(Unary::Minus, expr) => format!("-{}", show(expr)),
        Expr::Unary(Unary::Not, expr) => format!("NOT {}", show(expr)),
        Expr::Unary(Unary::Factorial, expr) => format!("{}!", show(expr)),
        Expr::Binary(op, a, b) => format!("({} {} {})", show(a), symbol(*op), show(b)),
        Expr::Is { expr, what, negated } => {
            let what = match what {
                Is::Null => "NULL",
                Is::True => "TRUE",
                Is::False => "FALSE",
                Is::Unknown => "UNKNOWN",
                Is::Nan => "NAN",
            };
            format!("({} IS {}{what})", show(expr), not(*negated))
        }
        Expr::In { expr, list, negated } => {
            let list: Vec<String> = list.iter().map(show).collect();
            format!("({} {}IN ({}))", show(expr), not(*negated), list.join(", "))
        }
        Expr::Between { expr, low, high, negated } => {
            format!("({} {}BETWEEN {} AND {})", show(expr), not(*negated), show(low), show(high))
        }
        Expr::Like { expr, pattern, insensitive, negated, .. } => {
            let like = if *insensitive { "ILIKE" } else { "LIKE" };
            format!("({} {}{like} {})", show(expr), not(*negated), show(pattern))
        }
        Expr::Case { operand, branches, otherwise } => {
            let mut text = "CASE".to_string();
            if let Some(operand) = operand {
                let _ = write!(text, " {}", show(operand));
            }
            for (condition, result) in branches {
                let _ = write!(text, " WHEN {} THEN {}", show(condition), show(result));
            }
            if let Some(otherwise) = otherwise {
                let _ = write!(text, " ELSE {}", show(otherwise));
            }
            text + " END"
        }
        Expr::Cast(expr, to) => format!("CAST({} AS {to})", show(expr)),
        Expr::Call(function, args) => {
            format!("{}({})", function.name(), args.iter().map(show).collect::<Vec<_>>().join(", "))
        }
        Expr::Subquery(subquery) => match &subquery.kind {
            SubqueryKind::Scalar => "(subquery)".into(),
            SubqueryKind::Exists => "EXISTS (subquery)".into(),
            SubqueryKind::Quantified { expr, op, quantifier } => {
                let quantifier = match quantifier {
                    Quantifier::Any => "ANY",
                    Quantifier::All => "ALL",
                };
                format!("({} {} {quantifier} (subquery))", show(expr), symbol(*op))
            }
        },
    }
}

/// How an operator is written.
pub(super) fn symbol(op: Binary) -> &'static str {
    match op {
        Binary::Add => "+",
        Binary::Subtract => "-",
        Binary::Multiply => "*",
        Binary::Divide => "/",
        Binary::Remainder => "%",
        Binary::Power => "^",
        Binary::Concat => "||",
        Binary::Equal => "=",
        Binary::NotEqual => "<>",
        Binary::Less => "<",
        Binary::LessOrEqual => "<=",
        Binary::Greater => ">",
        Binary::GreaterOrEqual => ">=",
        Binary::Same => "IS NOT DISTINCT FROM",
        Binary::NotSame => "IS DISTINCT FROM",
        Binary::And => "AND",
        Binary::Or => "OR",
    }
}
