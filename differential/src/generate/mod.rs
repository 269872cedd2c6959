//! Random cases from bytes.
//!
//! All expressions are typed, and numbers carry bounds ([`Shape`]): in a tame case no integer can overflow, no division is
//! by zero, and what is summed up has few enough digits that every order of adding gives the same sum. So a tame
//! statement must never fail but for a constraint, and SQLite must agree to the last bit. A wild case has NaN, infinities and
//! extremes everywhere, is for the engine alone, and may fail where [`Checked::fallible`] says so.

mod alter;
mod expression;
mod foreign;
mod others;
mod parts;
mod query;
mod schema;
mod subquery;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::Unstructured;
use engine::sql::types::DataType;

use crate::ast::{Case, Checked, Expr, From, Index, On, Part, Shape, Step, Table, Walk};

/// The digits of a float of which nothing is known.
const INEXACT: u32 = 1_000;
/// Integers up to here are floats exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;
/// Integers beyond the range.
const UNBOUNDED: f64 = 9.3e18;
const TYPES: [DataType; 4] = [DataType::Integer, DataType::Text, DataType::Float, DataType::Boolean];

/// Draws from the bytes. When there are no more of them, it draws zeros and `false`, which end everything soon.
struct Draw<'a, 'b>(&'a mut Unstructured<'b>);

impl Draw<'_, '_> {
    fn below(&mut self, n: usize) -> usize {
        self.0.int_in_range(0..=n.max(1) - 1).unwrap_or(0)
    }

    fn between(&mut self, low: i64, high: i64) -> i64 {
        self.0.int_in_range(low..=high).unwrap_or(low)
    }

    /// True `n` times `of`.
    fn chance(&mut self, n: usize, of: usize) -> bool {
        self.below(of) >= of - n
    }

    fn choose<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// An expression, and what is known of its values.
#[derive(Clone, Debug)]
struct Typed {
    expr: Expr,
    shape: Shape,
}

/// Draws statements.
struct Generator<'a, 'b> {
    draw: Draw<'a, 'b>,
    wild: bool,
    tables: Vec<Table>,
    indexes: Vec<Index>,
    /// Names and columns.
    views: Vec<(String, Vec<Shape>)>,
    /// What views read.
    viewed: BTreeSet<String>,
    /// Rows that tables were given first, by table.
    rows: BTreeMap<String, Vec<Vec<Option<Expr>>>>,
    /// Whether a view has a join in parentheses.
    nested_join: bool,
    /// Whether a view has a NATURAL JOIN.
    natural_view: bool,
    /// For names that ALTER TABLE gives.
    renamed: usize,
    /// The common tables that can be named.
    commons: Vec<(String, Vec<Shape>)>,
    /// What can be named: the innermost query last.
    scopes: Vec<Vec<Typed>>,
    /// Where aggregates may stand, what they can be of.
    aggregates: Option<Vec<Typed>>,
    /// For aliases.
    next: usize,
    /// How many queries within others the statement may still have.
    queries: usize,
    /// How deep in queries this is.
    level: usize,
    fallible: bool,
}

fn is_join(from: &From) -> bool {
    matches!(from, From::Join { .. })
}

/// A case from bytes.
pub fn case(u: &mut Unstructured<'_>) -> Case {
    let mut draw = Draw(u);
    let wild = draw.chance(1, 5);
    let reopen = draw.chance(1, 200);
    let mut generator = Generator {
        draw,
        wild,
        tables: Vec::new(),
        indexes: Vec::new(),
        views: Vec::new(),
        viewed: BTreeSet::new(),
        rows: BTreeMap::new(),
        nested_join: false,
        natural_view: false,
        renamed: 0,
        commons: Vec::new(),
        scopes: Vec::new(),
        aggregates: None,
        next: 0,
        queries: 0,
        level: 0,
        fallible: false,
    };
    let steps = generator.steps();
    Case { wild, reopen, steps }
}

impl Generator<'_, '_> {
    fn steps(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        for position in 0..=self.draw.below(3) {
            let table = self.table(position);
            steps.push(Step::Table(table.clone()));
            self.tables.push(table);
        }
        // Half of the indexes are there before the rows, the others are filled when they are made.
        let count = self.draw.below(5);
        for number in 0..count {
            if number * 2 < count
                && let Some(index) = self.index()
            {
                steps.push(Step::Index(index));
            }
        }
        for position in 0..self.tables.len() {
            let related = usize::from(!self.tables[position].foreign_keys.is_empty());
            let count = if self.draw.chance(1, 12) { 10 } else { 1 + related + self.draw.below(3) };
            for _ in 0..count {
                steps.push(self.fill(position));
            }
        }
        for number in 0..count {
            if number * 2 >= count
                && let Some(index) = self.index()
            {
                steps.push(Step::Index(index));
            }
        }
        for number in 0..self.draw.below(3) {
            self.begin();
            let types = self.types();
            let (query, shapes) = self.query(&types);
            // A view that can fail would make fail what uses it.
            if !self.fallible {
                let name = format!("v{number}");
                self.views.push((name.clone(), shapes));
                let mut view = Step::View(name, query);
                view.walk(&mut |part| match part {
                    Part::From(From::Table { name, .. }) => drop(self.viewed.insert(name.clone())),
                    Part::From(From::Join { right, on, .. }) => {
                        self.nested_join |= is_join(right);
                        self.natural_view |= matches!(on, On::Natural);
                    }
                    Part::Select(select) => {
                        self.nested_join |= select.from.len() > 1 && select.from.iter().any(is_join);
                    }
                    _ => {}
                });
                steps.push(view);
            }
        }
        let related = self.tables.iter().any(|table| !table.foreign_keys.is_empty());
        let most = 30 + self.draw.below(30);
        while steps.len() < most && !self.draw.0.is_empty() {
            self.begin();
            if self.draw.chance(1, 20)
                && let Some(alter) = self.alter()
            {
                alter.apply(&mut self.tables);
                steps.push(Step::Alter(alter));
                continue;
            }
            steps.push(match self.draw.below(10) {
                0 | 1 => self.write(),
                2 if related => self.write(),
                2..=4 => {
                    let parts = self.parts();
                    Step::Parts(Checked { statement: parts, fallible: self.fallible })
                }
                _ => {
                    let types = self.types();
                    let (query, _) = self.query(&types);
                    Step::Query(Checked { statement: query, fallible: self.fallible })
                }
            });
        }
        steps
    }

    /// Starts a statement.
    fn begin(&mut self) {
        self.scopes.clear();
        self.commons.clear();
        self.aggregates = None;
        (self.next, self.level, self.queries, self.fallible) = (0, 0, 5, false);
    }

    fn types(&mut self) -> Vec<DataType> {
        (0..=self.draw.below(3)).map(|_| self.draw.choose(&TYPES)).collect()
    }

    fn alias(&mut self) -> String {
        self.next += 1;
        format!("t{}", self.next)
    }
}
