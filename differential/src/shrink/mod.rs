//! Makes a case small that has a mismatch: statements, rows, columns, clauses and parts of expressions are taken away as long
//! as the same judge finds the same kind of mismatch.
//!
//! A smaller case that makes no sense fails in another way, and is not taken; so nothing here has to know which names
//! are still needed.

mod schema;

use crate::ast::{Body, Case, Expr, From, On, Part, Query, Select, Source, Step, Walk, Write, WriteKind};
use crate::coverage::Tally;
use crate::judge::{Mismatch, judge};

/// How often a smaller case is tried.
const TRIES: usize = 6_000;

/// A case that is being made smaller.
struct Shrinking {
    case: Case,
    mismatch: Mismatch,
    tries: usize,
}

/// Makes a case smaller that has a mismatch.
pub fn shrink(mut case: Case, mismatch: Mismatch) -> anyhow::Result<(Case, Mismatch)> {
    if mismatch.judge != "reopen" {
        case.steps.truncate(mismatch.step + 1);
    }
    let mut this = Shrinking { case, mismatch, tries: TRIES };
    loop {
        let before = this.tries;
        let mut changed = this.drop_steps()?;
        changed |= this.drop_rows()?;
        changed |= this.undo_alterations()?;
        changed |= this.drop_columns()?;
        changed |= this.simplify()?;
        if !changed || this.tries == 0 || this.tries == before {
            return Ok((this.case, this.mismatch));
        }
    }
}

impl Shrinking {
    /// Takes a smaller case if it has the same mismatch.
    fn accept(&mut self, case: Case) -> anyhow::Result<bool> {
        if self.tries == 0 {
            return Ok(false);
        }
        self.tries -= 1;
        let Some(mismatch) = judge(&case, &mut Tally::default())? else { return Ok(false) };
        let same = mismatch.signature() == self.mismatch.signature();
        if same {
            (self.case, self.mismatch) = (case, mismatch);
            if self.mismatch.judge != "reopen" {
                self.case.steps.truncate(self.mismatch.step + 1);
            }
        }
        Ok(same)
    }

    fn drop_steps(&mut self) -> anyhow::Result<bool> {
        let mut changed = false;
        let mut size = self.case.steps.len() / 2;
        while size > 0 {
            let mut from = 0;
            while from < self.case.steps.len() {
                let mut case = self.case.clone();
                case.steps.drain(from..(from + size).min(case.steps.len()));
                if self.accept(case)? {
                    changed = true;
                } else {
                    from += size;
                }
            }
            size /= 2;
        }
        Ok(changed)
    }

    fn drop_rows(&mut self) -> anyhow::Result<bool> {
        let mut changed = false;
        for step in 0..self.case.steps.len() {
            let mut row = 0;
            loop {
                let mut case = self.case.clone();
                let Some(Step::Write(write)) = case.steps.get_mut(step) else { break };
                let WriteKind::Insert { source: Source::Values(rows), .. } = &mut write.kind else { break };
                if row >= rows.len() || rows.len() == 1 {
                    break;
                }
                rows.remove(row);
                if self.accept(case)? {
                    changed = true;
                } else {
                    row += 1;
                }
            }
        }
        Ok(changed)
    }

    fn simplify(&mut self) -> anyhow::Result<bool> {
        let mut changed = false;
        let mut step = 0;
        while step < self.case.steps.len() {
            let now = format!("{:?}", self.case.steps[step]);
            for smaller in smaller_steps(&self.case.steps[step]) {
                if format!("{smaller:?}") == now {
                    continue;
                }
                let mut case = self.case.clone();
                case.steps[step] = smaller;
                if self.accept(case)? {
                    changed = true;
                    break;
                }
            }
            let mut part = 0;
            while step < self.case.steps.len() && part < count(&self.case.steps[step]) {
                let mut taken = false;
                for option in options(&self.case.steps[step], part) {
                    let mut case = self.case.clone();
                    replace(&mut case.steps[step], part, option);
                    if self.accept(case)? {
                        (changed, taken) = (true, true);
                        break;
                    }
                }
                if !taken {
                    part += 1;
                }
            }
            step += 1;
        }
        Ok(changed)
    }
}

fn drop_item(query: &mut Query, position: usize) {
    match &mut query.body {
        Body::Select(select) if position < select.items.len() => drop(select.items.remove(position)),
        Body::Select(_) => {}
        Body::Values(rows) => rows.iter_mut().for_each(|row| drop(row.remove(position))),
        Body::Set { left, right, .. } => {
            drop_item(left, position);
            drop_item(right, position);
        }
    }
}

/// A step without one of its clauses.
fn smaller_steps(step: &Step) -> Vec<Step> {
    match step {
        Step::Table(_) | Step::Index(_) | Step::Alter(_) => schema::smaller_steps(step),
        Step::Write(write) => {
            let mut smaller = vec![Write { returning: Vec::new(), ..write.clone() }];
            let kinds = match write.kind.clone() {
                WriteKind::Insert { columns, source, .. } => {
                    vec![WriteKind::Insert { columns, source, conflict: None }]
                }
                WriteKind::Update { set, from, filter } => {
                    let first = set.iter().take(1).cloned().collect();
                    let mut kinds = vec![
                        WriteKind::Update { set: set.clone(), from: from.clone(), filter: None },
                        WriteKind::Update { set: first, from: from.clone(), filter: filter.clone() },
                    ];
                    kinds.extend(without_one(&from).map(|from| WriteKind::Update {
                        set: set.clone(),
                        from,
                        filter: filter.clone(),
                    }));
                    kinds
                }
                WriteKind::Delete { using, filter } => {
                    let mut kinds = vec![WriteKind::Delete { using: using.clone(), filter: None }];
                    kinds.extend(without_one(&using).map(|using| WriteKind::Delete { using, filter: filter.clone() }));
                    kinds
                }
            };
            smaller.extend(kinds.into_iter().map(|kind| Write { kind, ..write.clone() }));
            smaller.into_iter().map(Step::Write).collect()
        }
        Step::View(..) | Step::Query(_) | Step::Parts(_) => Vec::new(),
    }
}

/// Parts without one of them.
fn without_one<T: Clone>(parts: &[T]) -> impl Iterator<Item = Vec<T>> {
    (0..parts.len()).map(|position| {
        let mut parts = parts.to_vec();
        parts.remove(position);
        parts
    })
}

fn count(step: &Step) -> usize {
    let mut count = 0;
    step.clone().walk(&mut |_| count += 1);
    count
}

/// Something smaller for a part.
enum Smaller {
    Expr(Expr),
    Query(Query),
    Select(Select),
    From(From),
}

/// What is smaller than a part of a step, the smallest first.
fn options(step: &Step, wanted: usize) -> Vec<Smaller> {
    let mut options = Vec::new();
    let mut position = 0;
    step.clone().walk(&mut |part| {
        if position == wanted {
            options = match part {
                Part::Expr(expr) => smaller_exprs(expr).into_iter().map(Smaller::Expr).collect(),
                Part::Query(query) => smaller_queries(query).into_iter().map(Smaller::Query).collect(),
                Part::Select(select) => smaller_selects(select).into_iter().map(Smaller::Select).collect(),
                Part::From(from) => smaller_froms(from).into_iter().map(Smaller::From).collect(),
            };
        }
        position += 1;
    });
    options
}

fn replace(step: &mut Step, wanted: usize, smaller: Smaller) {
    let mut position = 0;
    let mut smaller = Some(smaller);
    step.walk(&mut |part| {
        if position == wanted {
            match (part, smaller.take()) {
                (Part::Expr(expr), Some(Smaller::Expr(smaller))) => *expr = smaller,
                (Part::Query(query), Some(Smaller::Query(smaller))) => *query = smaller,
                (Part::Select(select), Some(Smaller::Select(smaller))) => *select = smaller,
                (Part::From(from), Some(Smaller::From(smaller))) => *from = smaller,
                _ => {}
            }
        }
        position += 1;
    });
}

fn smaller_exprs(expr: &Expr) -> Vec<Expr> {
    use engine::sql::types::{DataType, Value};
    let datatype = expr.datatype();
    let mut smaller = Vec::new();
    let simple = match datatype {
        DataType::Boolean => vec![Value::Boolean(true), Value::Boolean(false)],
        DataType::Integer => vec![Value::Integer(0), Value::Integer(1)],
        DataType::Float => vec![Value::Float(0.0), Value::Float(1.0)],
        DataType::Text => vec![Value::Text("a".into())],
    };
    let is_simple = match expr {
        Expr::Literal(value) => simple.contains(value),
        Expr::Null { .. } => true,
        _ => false,
    };
    if is_simple {
        return smaller;
    }
    smaller.extend(simple.into_iter().map(Expr::Literal));
    smaller.push(Expr::Null { datatype, bare: false });
    // Any part of the same type, the smaller ones of which come later.
    let mut first = true;
    expr.clone().walk(&mut |part| {
        if let Part::Expr(part) = part {
            if !first && part.datatype() == datatype && !matches!(part, Expr::Literal(_) | Expr::Null { .. }) {
                smaller.push(part.clone());
            }
            first = false;
        }
    });
    match expr {
        Expr::Case { operand, branches, otherwise } => {
            for position in 0..branches.len() {
                let mut branches = branches.clone();
                branches.remove(position);
                if !branches.is_empty() {
                    smaller.push(Expr::Case { operand: operand.clone(), branches, otherwise: otherwise.clone() });
                }
            }
            if otherwise.is_some() {
                smaller.push(Expr::Case { operand: operand.clone(), branches: branches.clone(), otherwise: None });
            }
        }
        Expr::In { expr, list, negated } if list.len() > 1 => {
            for position in 0..list.len() {
                let mut list = list.clone();
                list.remove(position);
                smaller.push(Expr::In { expr: expr.clone(), list, negated: *negated });
            }
        }
        Expr::Aggregate { name, distinct, arg, filter } => {
            let (name, arg) = (*name, arg.clone());
            if *distinct {
                smaller.push(Expr::Aggregate { name, distinct: false, arg: arg.clone(), filter: filter.clone() });
            }
            if filter.is_some() {
                smaller.push(Expr::Aggregate { name, distinct: *distinct, arg, filter: None });
            }
        }
        _ => {}
    }
    smaller
}

fn smaller_queries(query: &Query) -> Vec<Query> {
    let mut smaller = Vec::new();
    let mut push = |change: &dyn Fn(&mut Query)| {
        let mut query = query.clone();
        change(&mut query);
        smaller.push(query);
    };
    if let Body::Set { left, right, .. } = &query.body {
        push(&|query| query.body = left.body.clone());
        push(&|query| query.body = right.body.clone());
    }
    for position in 0..query.with.len() {
        push(&|query| drop(query.with.remove(position)));
        if query.with[position].step.is_some() {
            push(&|query| query.with[position].step = None);
        }
    }
    if query.limit.is_some() {
        push(&|query| query.limit = None);
    }
    if query.offset.is_some() {
        push(&|query| query.offset = None);
    }
    if !query.order.is_empty() && query.limit.is_none() && query.offset.is_none() {
        push(&|query| query.order.clear());
    }
    // The last ones make the order total.
    let keys = query.order.len();
    for position in 0..keys {
        push(&|query| drop(query.order.remove(position)));
    }
    if let Body::Values(rows) = &query.body
        && rows.len() > 1
    {
        for position in 0..rows.len() {
            push(&|query| {
                if let Body::Values(rows) = &mut query.body {
                    rows.remove(position);
                }
            });
        }
    }
    smaller
}

fn smaller_selects(select: &Select) -> Vec<Select> {
    let mut smaller = Vec::new();
    let mut push = |change: &dyn Fn(&mut Select)| {
        let mut select = select.clone();
        change(&mut select);
        smaller.push(select);
    };
    if select.filter.is_some() {
        push(&|select| select.filter = None);
    }
    if select.having.is_some() {
        push(&|select| select.having = None);
    }
    if select.distinct {
        push(&|select| select.distinct = false);
    }
    for position in 0..select.group.len() {
        push(&|select| drop(select.group.remove(position)));
    }
    if select.items.len() > 1 {
        for position in 0..select.items.len() {
            push(&|select| drop(select.items.remove(position)));
        }
    }
    for position in 0..select.from.len() {
        push(&|select| drop(select.from.remove(position)));
    }
    smaller
}

fn smaller_froms(from: &From) -> Vec<From> {
    let From::Join { kind, left, right, on } = from else { return Vec::new() };
    let mut smaller = vec![(**left).clone(), (**right).clone()];
    let join = |kind, on| From::Join { kind, left: left.clone(), right: right.clone(), on };
    if !matches!(on, On::Expr(_) | On::None) {
        smaller.push(join(*kind, On::Expr(Expr::Literal(true.into()))));
    }
    if *kind != "INNER" && !matches!(on, On::None) {
        smaller.push(join("INNER", on.clone()));
    }
    smaller
}
