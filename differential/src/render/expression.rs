//! Expressions, all in parentheses.

use engine::sql::types::{DataType, Value};

use super::{Dialect, Difference, Renderer, type_name};
use crate::ast::{Body, Expr, Part, Query, Walk};

impl Renderer<'_> {
    pub(super) fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Literal(value) => self.literal(value),
            Expr::Null { datatype, bare } => {
                self.kind("NULL");
                if *bare || self.is_sqlite() {
                    self.put("NULL");
                } else {
                    self.put(&format!("CAST(NULL AS {})", type_name(*datatype, false)));
                }
            }
            Expr::Column { table, name, .. } => {
                if let Some(table) = table {
                    self.put(table);
                    self.put(".");
                } else {
                    self.kind("column without table");
                }
                self.put(name);
            }
            Expr::Unary("!", operand) => {
                self.kind("!");
                self.differs(Difference::Factorial);
                self.put("(");
                self.expr(operand);
                self.put("!)");
            }
            Expr::Unary(op, operand) => {
                self.kind(if *op == "NOT" { "NOT" } else { "unary -" });
                self.put("(");
                self.put(op);
                self.put(" ");
                self.expr(operand);
                self.put(")");
            }
            Expr::Binary(op, a, b) => self.binary(op, a, b),
            Expr::Is { expr, what, negated } => {
                self.kind(match *what {
                    "NULL" => "IS NULL",
                    "NAN" => "IS NAN",
                    _ => "IS TRUE, FALSE, UNKNOWN",
                });
                if *what == "NAN" {
                    self.differs(Difference::Nan);
                }
                let what = if *what == "UNKNOWN" && self.is_sqlite() { "NULL" } else { what };
                self.put("(");
                self.expr(expr);
                self.put(if *negated { " IS NOT " } else { " IS " });
                self.put(what);
                self.put(")");
            }
            Expr::In { expr, list, negated } => {
                self.kind(if *negated { "NOT IN list" } else { "IN list" });
                self.put("(");
                self.expr(expr);
                self.put(if *negated { " NOT IN (" } else { " IN (" });
                self.list(list, Self::expr);
                self.put("))");
            }
            Expr::InQuery { expr, query, negated } => {
                self.kind(if *negated { "NOT IN query" } else { "IN query" });
                self.in_query(expr, query, *negated);
            }
            Expr::Quantified { expr, op, all, query } => self.quantified(expr, op, *all, query),
            Expr::Between { expr, low, high, negated } => {
                self.kind("BETWEEN");
                self.put("(");
                self.expr(expr);
                self.put(if *negated { " NOT BETWEEN " } else { " BETWEEN " });
                self.expr(low);
                self.put(" AND ");
                self.expr(high);
                self.put(")");
            }
            Expr::Like { expr, pattern, escape, negated } => {
                self.kind("LIKE");
                self.put("(");
                self.expr(expr);
                self.put(if *negated { " NOT LIKE " } else { " LIKE " });
                self.text(pattern);
                if let Some(escape) = escape {
                    self.kind("ESCAPE");
                    self.put(" ESCAPE ");
                    self.text(&escape.to_string());
                } else if self.is_sqlite() {
                    self.put(" ESCAPE '\\'");
                }
                self.put(")");
            }
            Expr::Case { operand, branches, otherwise } => {
                self.kind(if operand.is_some() { "CASE of a value" } else { "CASE" });
                self.put("(CASE");
                if let Some(operand) = operand {
                    self.put(" ");
                    self.expr(operand);
                }
                for (condition, result) in branches {
                    self.put(" WHEN ");
                    self.expr(condition);
                    self.put(" THEN ");
                    self.expr(result);
                }
                if let Some(otherwise) = otherwise {
                    self.put(" ELSE ");
                    self.expr(otherwise);
                }
                self.put(" END)");
            }
            Expr::Cast(operand, to) => self.cast(operand, *to),
            Expr::Call(name, args) => self.call(name, args),
            Expr::Aggregate { name, distinct, arg, filter } => {
                self.aggregate(name, *distinct, arg.as_deref(), filter.as_deref());
            }
            Expr::Scalar(query, _) => {
                self.kind("scalar query");
                self.put("(");
                self.nested(query);
                self.put(")");
            }
            Expr::Exists(query) => {
                self.kind("EXISTS");
                if query.offset.is_some() && matches!(&query.body, Body::Select(select) if select.distinct) {
                    self.differs(Difference::ExistsDistinct);
                }
                self.put("(EXISTS (");
                self.nested(query);
                self.put("))");
            }
        }
    }

    fn literal(&mut self, value: &Value) {
        if self.dialect == Dialect::Parameters {
            // Equal values are one parameter, so that what is grouped by an expression can name it.
            let found = self.out.params.iter().position(|param| param == value);
            let position = found.unwrap_or_else(|| {
                self.out.params.push(value.clone());
                self.out.params.len() - 1
            });
            self.put(&format!("${}", position + 1));
            return;
        }
        match value {
            Value::Null => self.put("NULL"),
            Value::Boolean(b) => self.put(if *b { "TRUE" } else { "FALSE" }),
            Value::Integer(n) if *n < 0 => self.put(&format!("({n})")),
            Value::Integer(n) => self.put(&n.to_string()),
            Value::Float(x) if x.is_nan() => {
                self.differs(Difference::Nan);
                self.put("NAN");
            }
            Value::Float(x) if x.is_infinite() => {
                self.differs(Difference::Infinity);
                self.put(if *x > 0.0 { "INFINITY" } else { "(-INFINITY)" });
            }
            Value::Float(x) if x.is_sign_negative() => self.put(&format!("({x:?})")),
            Value::Float(x) => self.put(&format!("{x:?}")),
            Value::Text(text) => self.text(text),
        }
    }

    /// A text in quotes.
    pub(super) fn text(&mut self, text: &str) {
        self.put("'");
        self.put(&text.replace('\'', "''"));
        self.put("'");
    }

    fn binary(&mut self, op: &'static str, a: &Expr, b: &Expr) {
        let float = a.datatype() == DataType::Float || b.datatype() == DataType::Float;
        match op {
            "^" => self.differs(Difference::Power),
            "%" if float => self.differs(Difference::FloatRemainder),
            _ => {}
        }
        self.kind(match op {
            "=" | "<>" | "<" | "<=" | ">" | ">=" if a.datatype() != b.datatype() => "comparison of two types",
            op => op,
        });
        self.put("(");
        self.expr(a);
        self.put(" ");
        self.put(op);
        self.put(" ");
        self.expr(b);
        self.put(")");
    }

    fn in_query(&mut self, expr: &Expr, query: &Query, negated: bool) {
        self.put("(");
        self.expr(expr);
        self.put(if negated { " NOT IN (" } else { " IN (" });
        self.nested(query);
        self.put("))");
    }

    /// In SQLite, ANY and ALL look for a row that decides, then for one that leaves it open.
    fn quantified(&mut self, expr: &Expr, op: &'static str, all: bool, query: &Query) {
        self.kind(if all { "ALL" } else { "ANY" });
        if !self.is_sqlite() {
            self.put("(");
            self.expr(expr);
            self.put(&format!(" {op} {} (", if all { "ALL" } else { "ANY" }));
            self.nested(query);
            self.put("))");
            return;
        }
        if has_aggregate(expr) {
            self.differs(Difference::QuantifiedAggregate);
        }
        match (op, all) {
            ("=", false) => return self.in_query(expr, query, false),
            ("<>", true) => return self.in_query(expr, query, true),
            _ => {}
        }
        let rows = |this: &mut Self, before: &str, after: &str| {
            this.put("EXISTS (SELECT 1 FROM (SELECT c0 AS quantified FROM (");
            this.query(query);
            this.put(")) WHERE ");
            this.put(before);
            this.put("(");
            this.expr(expr);
            this.put(&format!(" {op} quantified)"));
            this.put(after);
            this.put(")");
        };
        self.put("(CASE WHEN ");
        rows(self, if all { "NOT " } else { "" }, "");
        self.put(if all { " THEN FALSE WHEN " } else { " THEN TRUE WHEN " });
        rows(self, "", " IS NULL");
        self.put(if all { " THEN NULL ELSE TRUE END)" } else { " THEN NULL ELSE FALSE END)" });
    }

    fn cast(&mut self, operand: &Expr, to: DataType) {
        use DataType::{Boolean, Float, Integer, Text};
        self.kind("CAST");
        let from = operand.datatype();
        let around = |this: &mut Self, before: &str, after: &str| {
            this.put(before);
            this.expr(operand);
            this.put(after);
        };
        match (from, to) {
            (Float, Integer) if !self.is_sqlite() => around(self, "CAST(TRUNC(", ") AS INTEGER)"),
            // Which zero it is depends on the plan, and only a text shows it.
            (Float, Text) => {
                self.differs(Difference::FloatText);
                around(self, "CAST((", " + 0.0) AS TEXT)");
            }
            (Text, Float | Boolean) => {
                self.differs(Difference::TextCast);
                around(self, "CAST(", if to == Float { " AS FLOAT)" } else { " AS BOOLEAN)" });
            }
            (Boolean, Text) if self.is_sqlite() => {
                around(self, "(CASE WHEN ", " THEN 'true'");
                around(self, " WHEN NOT ", " THEN 'false' END)");
            }
            (Integer, Boolean) if self.is_sqlite() => around(self, "(", " <> 0)"),
            (_, to) => {
                let to = match (to, self.is_sqlite()) {
                    (Integer | Boolean, true) => "INTEGER",
                    (to, sqlite) => type_name(to, sqlite),
                };
                around(self, "CAST(", &format!(" AS {to})"));
            }
        }
    }

    fn call(&mut self, name: &'static str, args: &[Expr]) {
        self.kind(name);
        if matches!(name, "SQRT" | "LEFT" | "REVERSE" | "GREATEST" | "LEAST" | "CEIL" | "FLOOR") {
            self.differs(Difference::Function);
        }
        // SQLite's SIGN gives an integer.
        let sign = name == "SIGN" && self.is_sqlite() && args.iter().any(|arg| arg.datatype() == DataType::Float);
        self.put(if sign { "CAST(" } else { "" });
        self.put(name);
        self.put("(");
        self.list(args, Self::expr);
        self.put(")");
        self.put(if sign { " AS REAL)" } else { "" });
    }

    fn aggregate(&mut self, name: &'static str, distinct: bool, arg: Option<&Expr>, filter: Option<&Expr>) {
        self.kind(name);
        let called = match name {
            "BOOL_AND" if self.is_sqlite() => "MIN",
            "BOOL_OR" if self.is_sqlite() => "MAX",
            name => name,
        };
        self.put(called);
        self.put("(");
        match arg {
            None => self.put("*"),
            Some(arg) => {
                if distinct {
                    self.kind("aggregate of DISTINCT");
                    self.put("DISTINCT ");
                }
                self.expr(arg);
            }
        }
        self.put(")");
        if let Some(filter) = filter {
            self.kind("FILTER");
            self.put(" FILTER (WHERE ");
            self.expr(filter);
            self.put(")");
        }
    }
}

/// Whether there is an aggregate in an expression, also within queries in it.
pub fn has_aggregate(expr: &Expr) -> bool {
    let mut found = false;
    expr.clone().walk(&mut |part| found |= matches!(part, Part::Expr(Expr::Aggregate { .. })));
    found
}
