//! The syntax of statements, as parsing leaves it: names are not resolved, types not known.

use super::algebra::{Binary, Is, JoinKind, Quantifier, SetOperator, Unary};
use super::as_of::AsOf;
use super::schema::Action;
use super::settings::Setting;
use super::types::{DataType, Value};
use crate::mvcc::Isolation;

/// A parsed statement. It depends on nothing but its text, so it can be kept and run again.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub(super) node: Node,
    /// AS OF SYSTEM TIME of a query.
    pub(super) as_of: Option<AsOf>,
}

/// What a statement is to the session that runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Opens a transaction.
    Begin {
        /// Whether it may not write; `None` is as the session has it.
        read_only: Option<bool>,
        /// How isolated it is; `None` is as the session has it.
        isolation: Option<Isolation>,
        /// The past to read; `None` is now.
        as_of: Option<AsOf>,
    },
    /// Commits it.
    Commit,
    /// Rolls it back.
    Rollback,
    /// Marks a place in it.
    Savepoint(String),
    /// Forgets a place.
    Release(String),
    /// Returns to a place.
    RollbackTo(String),
    /// SET TRANSACTION, or, for all that follow, SET SESSION CHARACTERISTICS.
    SetTransaction {
        /// Whether it may not write.
        read_only: Option<bool>,
        /// How isolated it is.
        isolation: Option<Isolation>,
        /// Whether it is for the session's later transactions.
        session: bool,
    },
    /// SET and RESET of a setting.
    Set(Setting),
    /// Runs within one.
    Query,
}

impl Statement {
    /// What the statement is to its session.
    pub fn kind(&self) -> Kind {
        match &self.node {
            Node::Transaction(kind) => kind.clone(),
            _ => Kind::Query,
        }
    }

    /// The past that a query reads by itself.
    pub fn as_of(&self) -> Option<AsOf> {
        self.as_of
    }

    /// Whether it certainly writes nothing.
    pub fn is_read_only(&self) -> bool {
        match &self.node {
            Node::Transaction(_) | Node::Query(_) | Node::Show(_) => true,
            Node::Explain { analyze, statement } => !analyze || matches!(**statement, Node::Query(_)),
            _ => false,
        }
    }
}

/// A place in a statement, line and column. It makes no difference to what stands there, so all places are equal.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Position(pub Option<(u64, u64)>);

impl PartialEq for Position {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// The name of a table, view or index, perhaps in a schema of the system.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_field_names, reason = "it is the name within the schema")]
pub(super) struct Name {
    /// `information_schema` or `pg_catalog`; `None` for what users make.
    pub schema: Option<String>,
    pub name: String,
    pub position: Position,
}

/// The kinds of statements.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one for each statement")]
pub(super) enum Node {
    Transaction(Kind),
    Query(Box<Query>),
    Insert(Box<Insert>),
    Update(Box<Update>),
    Delete(Box<Delete>),
    Truncate(Truncate),
    CreateTable(CreateTable),
    CreateIndex(CreateIndex),
    CreateView(CreateView),
    Drop(Drop),
    AlterTable(AlterTable),
    Explain {
        analyze: bool,
        statement: Box<Self>,
    },
    /// ANALYZE of tables; of all, when none is named.
    Analyze(Vec<Name>),
    /// SHOW of a setting, or of TABLES.
    Show(String),
}

/// A query: a body, its common tables, and what is done with its rows in the end.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Query {
    pub recursive: bool,
    pub with: Vec<Common>,
    pub body: Body,
    pub order_by: Vec<Order>,
    pub limit: Option<Expr>,
    pub offset: Option<Expr>,
}

/// A common table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Common {
    pub name: String,
    pub columns: Vec<String>,
    pub query: Query,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Body {
    Select(Box<Select>),
    Values(Vec<Vec<Expr>>),
    Query(Box<Query>),
    Set { operator: SetOperator, all: bool, left: Box<Self>, right: Box<Self> },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Select {
    pub distinct: bool,
    pub items: Vec<Item>,
    /// The tables between commas.
    pub from: Vec<From>,
    pub filter: Option<Expr>,
    pub group_by: Vec<Expr>,
    pub having: Option<Expr>,
}

/// What stands in FROM.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum From {
    Table { name: Name, alias: Option<Alias> },
    Query { query: Box<Query>, lateral: bool, alias: Option<Alias> },
    Join { left: Box<Self>, right: Box<Self>, kind: JoinKind, condition: JoinCondition },
}

/// What a table is called in a statement, and its columns if they are renamed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Alias {
    pub name: String,
    pub columns: Vec<String>,
    /// Whether the columns must be all that there are.
    pub whole: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum JoinCondition {
    None,
    On(Expr),
    Using(Vec<String>),
    Natural,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    /// `*` or `t.*`.
    All {
        table: Option<String>,
    },
    Expr {
        expr: Expr,
        alias: Option<String>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Order {
    pub expr: Expr,
    pub descending: bool,
    pub nulls_first: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Insert {
    pub table: Name,
    pub alias: Option<String>,
    pub columns: Vec<String>,
    pub source: Source,
    pub conflict: Option<Conflict>,
    pub returning: Option<Vec<Item>>,
}

/// What INSERT inserts.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one for each INSERT")]
pub(super) enum Source {
    /// DEFAULT VALUES.
    Default,
    /// VALUES; `None` stands for DEFAULT.
    Values(Vec<Vec<Option<Expr>>>),
    Query(Query),
}

/// ON CONFLICT.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Conflict {
    pub target: ConflictTarget,
    /// DO UPDATE; `None` is DO NOTHING.
    pub update: Option<(Vec<Assignment>, Option<Expr>)>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum ConflictTarget {
    Any,
    Columns(Vec<String>),
    Constraint(String),
}

/// A column and its new value; `None` stands for DEFAULT.
pub(super) type Assignment = (String, Option<Expr>);

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Update {
    pub recursive: bool,
    pub with: Vec<Common>,
    pub table: Name,
    pub alias: Option<String>,
    pub assignments: Vec<Assignment>,
    pub from: Vec<From>,
    pub filter: Option<Expr>,
    pub returning: Option<Vec<Item>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Delete {
    pub recursive: bool,
    pub with: Vec<Common>,
    pub table: Name,
    pub alias: Option<String>,
    pub using: Vec<From>,
    pub filter: Option<Expr>,
    pub returning: Option<Vec<Item>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Truncate {
    pub tables: Vec<Name>,
    pub cascade: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct CreateTable {
    pub name: Name,
    pub if_not_exists: bool,
    pub columns: Vec<ColumnDef>,
    pub constraints: Vec<ConstraintDef>,
    /// Columns with INDEX.
    pub indexes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct ColumnDef {
    pub name: String,
    pub datatype: DataType,
    /// The most characters of a VARCHAR(n).
    pub max_length: Option<u64>,
    pub nullable: Option<bool>,
    /// The expression, and how it is written.
    pub default: Option<(Expr, String)>,
}

/// A constraint of a table; those that stand at a column are here too.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ConstraintDef {
    pub name: Option<String>,
    pub constraint: Constraint,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Constraint {
    PrimaryKey(Vec<String>),
    Unique(Vec<String>),
    /// The condition, how it is written, and the column that it stands at.
    Check(Expr, String, Option<String>),
    ForeignKey {
        columns: Vec<String>,
        table: Name,
        /// None, and it is the primary key.
        referenced: Vec<String>,
        on_delete: Action,
        on_update: Action,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct CreateIndex {
    pub name: Option<String>,
    pub table: Name,
    pub unique: bool,
    pub if_not_exists: bool,
    /// Columns, and whether they descend.
    pub columns: Vec<(String, bool)>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct CreateView {
    pub name: Name,
    pub columns: Vec<String>,
    pub query: Query,
    /// The text of the query.
    pub text: String,
    pub or_replace: bool,
    pub if_not_exists: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Drop {
    pub what: DropKind,
    pub names: Vec<Name>,
    pub if_exists: bool,
    pub cascade: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DropKind {
    Table,
    Index,
    View,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct AlterTable {
    pub table: Name,
    pub if_exists: bool,
    pub operations: Vec<Alteration>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Alteration {
    AddColumn {
        column: Box<ColumnDef>,
        constraints: Vec<ConstraintDef>,
        index: bool,
        if_not_exists: bool,
    },
    DropColumn {
        name: String,
        if_exists: bool,
        cascade: bool,
    },
    RenameColumn {
        from: String,
        to: String,
    },
    RenameTable(String),
    SetDefault {
        column: String,
        default: Option<(Expr, String)>,
    },
    SetNullable {
        column: String,
        nullable: bool,
    },
    /// ALTER COLUMN TYPE: the type, the most characters of a VARCHAR(n), and USING.
    SetType {
        column: String,
        datatype: DataType,
        max_length: Option<u64>,
        using: Option<Expr>,
    },
    AddConstraint(ConstraintDef),
    DropConstraint {
        name: String,
        if_exists: bool,
        cascade: bool,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Literal(Value),
    /// A column, perhaps with its table; and where it stands.
    Column {
        table: Option<String>,
        name: String,
        position: Position,
    },
    /// `$1` is 1.
    Parameter(usize),
    Unary(Unary, Box<Self>),
    Binary(Binary, Box<Self>, Box<Self>),
    /// IS NULL, IS TRUE, ...; `negated` for IS NOT.
    Is {
        expr: Box<Self>,
        what: Is,
        negated: bool,
    },
    In {
        expr: Box<Self>,
        list: Vec<Self>,
        negated: bool,
    },
    Between {
        expr: Box<Self>,
        low: Box<Self>,
        high: Box<Self>,
        negated: bool,
    },
    Like {
        expr: Box<Self>,
        pattern: Box<Self>,
        escape: Option<char>,
        insensitive: bool,
        negated: bool,
    },
    Case {
        operand: Option<Box<Self>>,
        branches: Vec<(Self, Self)>,
        otherwise: Option<Box<Self>>,
    },
    Cast(Box<Self>, DataType),
    Call(Box<Call>),
    Scalar(Box<Query>),
    Exists(Box<Query>),
    Quantified {
        expr: Box<Self>,
        op: Binary,
        quantifier: Quantifier,
        query: Box<Query>,
    },
}

/// A call of a function or an aggregate.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub name: String,
    pub args: Vec<Expr>,
    /// `COUNT(*)`.
    pub star: bool,
    pub distinct: bool,
    pub filter: Option<Expr>,
    pub position: Position,
}

impl Expr {
    /// The first place in the expression that is known.
    pub fn position(&self) -> Option<(u64, u64)> {
        let mut expr = self;
        loop {
            expr = match expr {
                Self::Column { position, .. } => return position.0,
                Self::Call(call) => return call.position.0,
                Self::Unary(_, expr)
                | Self::Binary(_, expr, _)
                | Self::Is { expr, .. }
                | Self::In { expr, .. }
                | Self::Between { expr, .. }
                | Self::Like { expr, .. }
                | Self::Cast(expr, _)
                | Self::Quantified { expr, .. } => expr,
                Self::Case { operand: Some(expr), .. } => expr,
                Self::Case { branches, .. } => match branches.first() {
                    Some((condition, _)) => condition,
                    None => return None,
                },
                Self::Literal(_) | Self::Parameter(_) | Self::Scalar(_) | Self::Exists(_) => return None,
            };
        }
    }
}
