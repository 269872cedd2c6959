//! What clients do, as data: workloads, and the operations of their programs.
//!
//! A workload names its rows by numbers from 0, of one or two kinds (accounts; parents and children), so that whoever changes
//! a program (a shrinker, a fuzzer) can do so without knowing what its operations mean.

mod words;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A workload's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkloadKind {
    /// Single rows that are read, written, compared and set, inserted and deleted.
    Register,
    /// Transfers between accounts, whose total never changes.
    Bank,
    /// Transactions that append to lists and read them.
    Append,
    /// Transactions that read two rows and write one of them.
    WriteSkew,
    /// Rows that are written alone and read together.
    LongFork,
    /// Rows as they were before.
    TimeTravel,
    /// Names of which each has one owner.
    Unique,
    /// Children that have parents.
    ForeignKey,
    /// Rows that are found by an index.
    Index,
    /// Rows whose table changes its columns, indexes and views.
    Ddl,
    /// SQL of any kind, with the same answers as in one process.
    Sql,
}

/// The data that clients work on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Workload {
    /// Single rows.
    Register {
        /// How many keys there are: 0 to this.
        keys: u32,
    },
    /// Accounts.
    Bank {
        /// How many accounts there are: 0 to this.
        accounts: u32,
        /// What each holds in the beginning.
        balance: i64,
    },
    /// Lists.
    Append {
        /// How many lists there are: 0 to this.
        lists: u32,
    },
    /// Rows that transactions read and write together.
    WriteSkew {
        /// How many keys there are: 0 to this.
        keys: u32,
        /// How isolated the transactions are: under snapshot isolation two of them may each miss what the other writes, and
        /// under serializable they may not.
        isolation: Isolation,
    },
    /// Rows that are written alone and read together.
    LongFork {
        /// How many keys there are: 0 to this.
        keys: u32,
    },
    /// Rows that are read as of earlier positions.
    TimeTravel {
        /// How many keys there are: 0 to this.
        keys: u32,
    },
    /// Names, under a UNIQUE constraint.
    Unique {
        /// How many names there are: 0 to this.
        names: u32,
    },
    /// Two tables with a foreign key.
    ForeignKey {
        /// How many parents there can be: 0 to this.
        parents: u32,
        /// How many children there can be: 0 to this.
        children: u32,
        /// What becomes of the children of a parent that is deleted.
        on_delete: OnDelete,
    },
    /// Items in buckets, with an index.
    Index {
        /// How many items there can be: 0 to this.
        items: u32,
        /// How many buckets there are: 0 to this.
        buckets: u32,
    },
    /// Rows of a table that changes.
    Ddl {
        /// How many keys there are: 0 to this.
        keys: u32,
    },
    /// Each client's own tables.
    Sql {},
}

/// How isolated transactions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Snapshot isolation.
    Snapshot,
    /// Serializable.
    Serializable,
}

/// What becomes of rows that refer to one that is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDelete {
    /// It cannot be deleted.
    NoAction,
    /// They are deleted too.
    Cascade,
    /// They refer to nothing.
    SetNull,
}

/// What a client does, one step after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientProgram {
    /// Unique, from 1.
    pub id: u32,
    /// The steps.
    pub steps: Vec<Step>,
}

/// One step of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// How long the client waits before it.
    pub think_us: u64,
    /// What it does then.
    #[serde(rename = "do")]
    pub operation: Operation,
}

/// What a client does in a step. Values that are written are not part of it: each is used once in a run, and says who
/// wrote it (client 3 writes 3000001, 3000002, …), so that a checker can tell from a value where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Operation {
    /// register: reads a row.
    Read {
        /// The row's key.
        key: u32,
    },
    /// register: changes a row, if there is one.
    Write {
        /// The row's key.
        key: u32,
    },
    /// register: changes a row if it holds what this client last saw in it.
    CompareAndSet {
        /// The row's key.
        key: u32,
    },
    /// register: inserts a row; fails when there is one.
    Insert {
        /// The row's key.
        key: u32,
    },
    /// register: deletes a row, if there is one.
    Delete {
        /// The row's key.
        key: u32,
    },
    /// bank: moves money, if the account holds enough; opens the other account if need be.
    Transfer {
        /// The account to take from.
        from: u32,
        /// The account to give to.
        to: u32,
        /// How much.
        amount: i64,
    },
    /// bank: deletes an account, after moving all of its money to another.
    Close {
        /// The account.
        account: u32,
        /// Where its money goes.
        heir: u32,
    },
    /// bank: inserts an account, with money from another.
    Open {
        /// The account.
        account: u32,
        /// Where its money comes from.
        from: u32,
        /// How much.
        amount: i64,
    },
    /// bank: reads all accounts in one transaction.
    ReadAccounts {
        /// How many log positions before the newest one that the client has seen; `None` reads the present.
        back: Option<u64>,
    },
    /// append: appends to a list, in a statement of its own.
    Append {
        /// The list.
        list: u32,
    },
    /// append: reads a list, in a statement of its own.
    ReadList {
        /// The list.
        list: u32,
    },
    /// append: several appends and reads in one transaction.
    Transaction {
        /// In this order.
        operations: Vec<MicroOperation>,
    },
    /// write-skew, long-fork, time-travel, ddl: several reads and writes of rows in one transaction.
    OnRows {
        /// In this order.
        operations: Vec<RowOperation>,
        /// How many log positions before the newest one that the client has seen; `None` is the present. Only for reads.
        back: Option<u64>,
    },
    /// unique: gives a name a new owner; fails when it has one.
    Claim {
        /// The name.
        name: u32,
        /// Whether to look before, in the same transaction.
        look: bool,
    },
    /// unique: a name has no owner any more.
    Release {
        /// The name.
        name: u32,
    },
    /// unique: the owner of a name gets another name; fails when that has one.
    Rename {
        /// The name.
        from: u32,
        /// The other name.
        to: u32,
    },
    /// unique: reads all names.
    ReadNames {},
    /// foreign-key: inserts a parent; fails when it is there.
    AddParent {
        /// The parent.
        parent: u32,
    },
    /// foreign-key: deletes a parent, and what must become of its children becomes of them.
    RemoveParent {
        /// The parent.
        parent: u32,
    },
    /// foreign-key: inserts a child; fails when it is there, or the parent is not.
    AddChild {
        /// The child.
        child: u32,
        /// Its parent.
        parent: u32,
        /// Whether to look before, in the same transaction.
        look: bool,
    },
    /// foreign-key: gives a child another parent; fails when that is not there.
    MoveChild {
        /// The child.
        child: u32,
        /// Its new parent.
        parent: u32,
    },
    /// foreign-key: deletes a child.
    RemoveChild {
        /// The child.
        child: u32,
    },
    /// foreign-key: reads both tables.
    ReadFamilies {},
    /// index: puts an item into a bucket, whether or not there was one.
    PutItem {
        /// The item.
        item: u32,
        /// The bucket.
        bucket: u32,
    },
    /// index: deletes an item.
    DropItem {
        /// The item.
        item: u32,
    },
    /// index: puts all items of a bucket into another.
    MoveItems {
        /// The bucket.
        from: u32,
        /// The other bucket.
        to: u32,
    },
    /// index: reads a bucket by way of the index, and without it.
    ReadBucket {
        /// The bucket.
        bucket: u32,
    },
    /// index: reads all items by way of the index, and without it.
    ReadItems {},
    /// ddl: changes the schema.
    Alter {
        /// How.
        change: SchemaChange,
        /// A row that is written in the same transaction.
        with: Option<u32>,
        /// Whether that transaction is rolled back.
        undo: bool,
    },
    /// ddl: reads a row by its key, and by its value, with a column that may be gone, or through a view that may be gone.
    ReadThrough {
        /// The row's key.
        key: u32,
        /// By way of what.
        way: Way,
    },
    /// sql: statements of which the first opens a transaction and the last ends it, or a single one. All of them again if
    /// they were lost to a fault.
    Script {
        /// In this order.
        statements: Vec<String>,
    },
}

/// One statement of an append transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum MicroOperation {
    /// Appends to a list.
    Append {
        /// The list.
        list: u32,
    },
    /// Reads a list.
    Read {
        /// The list.
        list: u32,
    },
}

/// One statement of a transaction on rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RowOperation {
    /// Reads a row.
    Get {
        /// The row's key.
        key: u32,
    },
    /// Writes a row.
    Put {
        /// The row's key.
        key: u32,
    },
}

/// A change of the schema. Each can fail, for what it makes is there, or what it removes is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SchemaChange {
    /// Makes an index on the values.
    CreateIndex,
    /// Removes it.
    DropIndex,
    /// Adds a column with a default.
    AddColumn,
    /// Removes it.
    DropColumn,
    /// Makes a view.
    CreateView,
    /// Removes it.
    DropView,
}

/// A way to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// By its value, for which there may be an index.
    Value,
    /// With the column that may be there.
    Column,
    /// Through the view that may be there.
    View,
}

impl Workload {
    /// Which one it is.
    pub fn kind(&self) -> WorkloadKind {
        match self {
            Self::Register { .. } => WorkloadKind::Register,
            Self::Bank { .. } => WorkloadKind::Bank,
            Self::Append { .. } => WorkloadKind::Append,
            Self::WriteSkew { .. } => WorkloadKind::WriteSkew,
            Self::LongFork { .. } => WorkloadKind::LongFork,
            Self::TimeTravel { .. } => WorkloadKind::TimeTravel,
            Self::Unique { .. } => WorkloadKind::Unique,
            Self::ForeignKey { .. } => WorkloadKind::ForeignKey,
            Self::Index { .. } => WorkloadKind::Index,
            Self::Ddl { .. } => WorkloadKind::Ddl,
            Self::Sql {} => WorkloadKind::Sql,
        }
    }

    /// The kinds of numbers that operations name rows by, each with the field that says how many there are.
    pub fn numbers_mut(&mut self) -> Vec<(Number, &mut u32)> {
        let number = |one, field| Number { one, field };
        match self {
            Self::Register { keys }
            | Self::WriteSkew { keys, .. }
            | Self::LongFork { keys }
            | Self::TimeTravel { keys }
            | Self::Ddl { keys } => vec![(number("key", "keys"), keys)],
            Self::Bank { accounts, .. } => vec![(number("account", "accounts"), accounts)],
            Self::Append { lists } => vec![(number("list", "lists"), lists)],
            Self::Unique { names } => vec![(number("name", "names"), names)],
            Self::ForeignKey { parents, children, .. } => {
                vec![(number("parent", "parents"), parents), (number("child", "children"), children)]
            }
            Self::Index { items, buckets } => {
                vec![(number("item", "items"), items), (number("bucket", "buckets"), buckets)]
            }
            Self::Sql {} => Vec::new(),
        }
    }

    /// The kinds of numbers that operations name rows by, each with how many there are.
    pub fn numbers(&self) -> Vec<(Number, u32)> {
        self.clone().numbers_mut().into_iter().map(|(number, count)| (number, *count)).collect()
    }
}

/// A kind of numbers that rows are named by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// What one of them is called.
    pub one: &'static str,
    /// The field that says how many there are.
    pub field: &'static str,
}

impl WorkloadKind {
    /// All workloads.
    pub const ALL: [Self; 11] = [
        Self::Register,
        Self::Bank,
        Self::Append,
        Self::WriteSkew,
        Self::LongFork,
        Self::TimeTravel,
        Self::Unique,
        Self::ForeignKey,
        Self::Index,
        Self::Ddl,
        Self::Sql,
    ];

    /// The name that selects it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Bank => "bank",
            Self::Append => "append",
            Self::WriteSkew => "write-skew",
            Self::LongFork => "long-fork",
            Self::TimeTravel => "time-travel",
            Self::Unique => "unique",
            Self::ForeignKey => "foreign-key",
            Self::Index => "index",
            Self::Ddl => "ddl",
            Self::Sql => "sql",
        }
    }
}

impl Operation {
    /// Whether it is one of a workload's.
    pub fn fits(&self, kind: WorkloadKind) -> bool {
        match self {
            Self::Read { .. }
            | Self::Write { .. }
            | Self::CompareAndSet { .. }
            | Self::Insert { .. }
            | Self::Delete { .. } => kind == WorkloadKind::Register,
            Self::Transfer { .. } | Self::Close { .. } | Self::Open { .. } | Self::ReadAccounts { .. } => {
                kind == WorkloadKind::Bank
            }
            Self::Append { .. } | Self::ReadList { .. } | Self::Transaction { .. } => kind == WorkloadKind::Append,
            Self::OnRows { .. } => matches!(
                kind,
                WorkloadKind::WriteSkew | WorkloadKind::LongFork | WorkloadKind::TimeTravel | WorkloadKind::Ddl
            ),
            Self::Claim { .. } | Self::Release { .. } | Self::Rename { .. } | Self::ReadNames {} => {
                kind == WorkloadKind::Unique
            }
            Self::AddParent { .. }
            | Self::RemoveParent { .. }
            | Self::AddChild { .. }
            | Self::MoveChild { .. }
            | Self::RemoveChild { .. }
            | Self::ReadFamilies {} => kind == WorkloadKind::ForeignKey,
            Self::PutItem { .. }
            | Self::DropItem { .. }
            | Self::MoveItems { .. }
            | Self::ReadBucket { .. }
            | Self::ReadItems {} => kind == WorkloadKind::Index,
            Self::Alter { .. } | Self::ReadThrough { .. } => kind == WorkloadKind::Ddl,
            Self::Script { .. } => kind == WorkloadKind::Sql,
        }
    }

    /// Calls `f` with each number that names a row, and with which of the workload's [kinds](Workload::numbers) it is of.
    pub fn for_each_number_mut(&mut self, f: &mut dyn FnMut(usize, &mut u32)) {
        match self {
            Self::Read { key: number }
            | Self::Write { key: number }
            | Self::CompareAndSet { key: number }
            | Self::Insert { key: number }
            | Self::Delete { key: number }
            | Self::Append { list: number }
            | Self::ReadList { list: number }
            | Self::Claim { name: number, .. }
            | Self::Release { name: number }
            | Self::AddParent { parent: number }
            | Self::RemoveParent { parent: number }
            | Self::DropItem { item: number }
            | Self::ReadThrough { key: number, .. } => f(0, number),
            Self::Transfer { from: a, to: b, .. }
            | Self::Close { account: a, heir: b }
            | Self::Open { account: a, from: b, .. }
            | Self::Rename { from: a, to: b } => {
                f(0, a);
                f(0, b);
            }
            Self::RemoveChild { child: number } | Self::ReadBucket { bucket: number } => f(1, number),
            Self::AddChild { child: second, parent: first, .. }
            | Self::MoveChild { child: second, parent: first }
            | Self::PutItem { item: first, bucket: second } => {
                f(0, first);
                f(1, second);
            }
            Self::MoveItems { from, to } => {
                f(1, from);
                f(1, to);
            }
            Self::Alter { with, .. } => with.iter_mut().for_each(|key| f(0, key)),
            Self::Transaction { operations } => {
                for micro in operations {
                    let (MicroOperation::Append { list } | MicroOperation::Read { list }) = micro;
                    f(0, list);
                }
            }
            Self::OnRows { operations, .. } => {
                for row in operations {
                    let (RowOperation::Get { key } | RowOperation::Put { key }) = row;
                    f(0, key);
                }
            }
            Self::ReadAccounts { .. }
            | Self::ReadNames {}
            | Self::ReadFamilies {}
            | Self::ReadItems {}
            | Self::Script { .. } => {}
        }
    }

    /// How many statements it has that can be left out one by one.
    pub fn parts(&self) -> usize {
        match self {
            Self::Transaction { operations } => operations.len(),
            Self::OnRows { operations, .. } => operations.len(),
            Self::Script { statements } => statements.len(),
            _ => 0,
        }
    }

    /// Leaves out all of its [parts](Self::parts) but those at these places.
    pub fn keep(&mut self, places: &[usize]) {
        fn only<T>(all: &mut Vec<T>, places: &[usize]) {
            let mut place = 0..;
            all.retain(|_| place.next().is_some_and(|place| places.contains(&place)));
        }
        match self {
            Self::Transaction { operations } => only(operations, places),
            Self::OnRows { operations, .. } => only(operations, places),
            Self::Script { statements } => only(statements, places),
            _ => {}
        }
    }
}
