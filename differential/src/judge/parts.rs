//! Parts of a query that have to make up the whole: ternary logic partitioning (Rigger and Su, 2020), and a count that no
//! access path can help.

use engine::sql::types::Value;

use super::answer::{Answer, Rows, same_rows};
use super::engine::{USUAL, parsed};
use super::{Judged, Session};
use crate::ast::{Checked, Expr, Parts, PartsKind, Query, Select, Step};
use crate::render::{Dialect, Renderer};

impl Session<'_> {
    pub(super) fn parts(&mut self, checked: &Checked<Parts>) -> Judged {
        let Checked { statement: parts, fallible } = checked;
        let whole = Query::of(parts.select.clone());
        let step = Step::Query(Checked { statement: whole.clone(), fallible: *fallible });
        self.query(&step, &Checked { statement: whole, fallible: *fallible })?;
        match parts.kind {
            PartsKind::Count => self.count(parts, *fallible),
            PartsKind::Aggregate => self.aggregate(parts, *fallible),
            PartsKind::Where | PartsKind::Distinct | PartsKind::Group | PartsKind::Having => {
                self.rows_of_parts(parts, *fallible)
            }
        }
    }

    fn text(&mut self, select: &Select) -> String {
        let rendered = Renderer::new(Dialect::Engine, &self.tables).whole_select(select);
        self.tally.met(rendered.kinds);
        rendered.sql
    }

    fn texts(&mut self, parts: &Parts) -> Vec<String> {
        let predicate = || Box::new(parts.predicate.clone());
        let thirds = [
            *predicate(),
            Expr::Unary("NOT", predicate()),
            Expr::Is { expr: predicate(), what: "NULL", negated: false },
        ];
        thirds.map(|third| self.text(&part(parts, third))).to_vec()
    }

    fn rows_of_parts(&mut self, parts: &Parts, fallible: bool) -> Judged {
        let whole = self.text(&parts.select);
        let answer = self.engine.ask(&parsed(&whole), &[], USUAL);
        let mut sides = vec![(whole, answer)];
        for text in self.texts(parts) {
            let answer = self.engine.ask(&parsed(&text), &[], USUAL);
            self.expected(&text, &answer, fallible, &["57014"])?;
            sides.push((text, answer));
        }
        let mut rows: Vec<Vec<Vec<Value>>> = Vec::new();
        for (_, answer) in &sides {
            match answer {
                Answer::Rows { rows: some, .. } => rows.push(some.clone()),
                Answer::Error { state, .. } if state == "57014" => {
                    self.tally.excuse("too many steps");
                    return Ok(());
                }
                _ => {
                    self.tally.excuse("evaluated in one plan only");
                    return Ok(());
                }
            }
        }
        let whole = rows.remove(0);
        let (judge, how) = match parts.kind {
            PartsKind::Distinct => ("parts: distinct", Rows::Set),
            PartsKind::Group => ("parts: group", Rows::Set),
            PartsKind::Having => ("parts: having", Rows::Bag),
            PartsKind::Where | PartsKind::Aggregate | PartsKind::Count => ("parts: where", Rows::Bag),
        };
        self.tally.judged(judge);
        if same_rows(whole, rows.concat(), how) { Ok(()) } else { self.mismatch(judge, sides) }
    }

    /// Aggregates of the whole are aggregates of those of the parts.
    fn aggregate(&mut self, parts: &Parts, fallible: bool) -> Judged {
        let whole = self.text(&parts.select);
        let united = self.texts(parts).join(" UNION ALL ");
        let outer = parts.select.items.iter().enumerate().map(|(position, item)| {
            let name = match item {
                Expr::Aggregate { name: "COUNT", .. } => "SUM",
                Expr::Aggregate { name, .. } => name,
                _ => "MIN",
            };
            format!("{name}(parts.c{position}) AS c{position}")
        });
        let outer: Vec<String> = outer.collect();
        let combined = format!("SELECT {} FROM ({united}) AS parts", outer.join(", "));
        self.compare("parts: aggregate", &whole, &combined, fallible)
    }

    fn count(&mut self, parts: &Parts, fallible: bool) -> Judged {
        let star = Expr::Aggregate { name: "COUNT", distinct: false, arg: None, filter: None };
        let filtered = Select { items: vec![star], ..part(parts, parts.predicate.clone()) };
        let number = |n: i64| Expr::Literal(Value::Integer(n));
        let branches = vec![(parts.predicate.clone(), number(1))];
        let one = Expr::Case { operand: None, branches, otherwise: Some(Box::new(number(0))) };
        let sum = Expr::Aggregate { name: "SUM", distinct: false, arg: Some(Box::new(one)), filter: None };
        let counted = Select { items: vec![Expr::Call("COALESCE", vec![sum, number(0)])], ..parts.select.clone() };
        let (filtered, counted) = (self.text(&filtered), self.text(&counted));
        self.compare("count", &filtered, &counted, fallible)
    }

    fn compare(&mut self, judge: &'static str, sql: &str, other: &str, fallible: bool) -> Judged {
        let (a, b) = (self.engine.ask(&parsed(sql), &[], USUAL), self.engine.ask(&parsed(other), &[], USUAL));
        self.expected(sql, &a, fallible, &["57014"])?;
        self.expected(other, &b, fallible, &["57014"])?;
        self.agree(judge, sql, &a, other, &b, Rows::Bag, fallible)
    }
}

/// A SELECT of a part of the rows, or of the groups.
fn part(parts: &Parts, predicate: Expr) -> Select {
    let mut select = parts.select.clone();
    if parts.kind == PartsKind::Having {
        select.having = Some(Expr::and(select.having.take(), predicate));
    } else {
        select.filter = Some(Expr::and(select.filter.take(), predicate));
    }
    select
}
