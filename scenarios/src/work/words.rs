//! Workloads and operations in words, for people.

use std::fmt;
use std::str::FromStr;

use super::{MicroOperation, Operation, RowOperation, SchemaChange, Way, WorkloadKind};

impl Operation {
    /// Its name, for counting.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Read { .. } => "read",
            Self::Write { .. } => "write",
            Self::CompareAndSet { .. } => "compare-and-set",
            Self::Insert { .. } => "insert",
            Self::Delete { .. } => "delete",
            Self::Transfer { .. } => "transfer",
            Self::Close { .. } => "close",
            Self::Open { .. } => "open",
            Self::ReadAccounts { back: None } => "read all",
            Self::ReadAccounts { back: Some(_) } => "read all as of",
            Self::Append { .. } => "append",
            Self::ReadList { .. } => "read list",
            Self::Transaction { .. } => "transaction",
            Self::OnRows { back: None, .. } => "rows",
            Self::OnRows { back: Some(_), .. } => "rows as of",
            Self::Claim { .. } => "claim",
            Self::Release { .. } => "release",
            Self::Rename { .. } => "rename",
            Self::ReadNames {} => "read names",
            Self::AddParent { .. } => "add parent",
            Self::RemoveParent { .. } => "remove parent",
            Self::AddChild { .. } => "add child",
            Self::MoveChild { .. } => "move child",
            Self::RemoveChild { .. } => "remove child",
            Self::ReadFamilies {} => "read families",
            Self::PutItem { .. } => "put item",
            Self::DropItem { .. } => "drop item",
            Self::MoveItems { .. } => "move items",
            Self::ReadBucket { .. } => "read bucket",
            Self::ReadItems {} => "read items",
            Self::Alter { .. } => "alter",
            Self::ReadThrough { .. } => "read through",
            Self::Script { .. } => "script",
        }
    }
}

/// "write row 3", "append to list 1 and read list 2".
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { key } => write!(f, "read row {key}"),
            Self::Write { key } => write!(f, "write row {key}"),
            Self::CompareAndSet { key } => write!(f, "compare and set row {key}"),
            Self::Insert { key } => write!(f, "insert row {key}"),
            Self::Delete { key } => write!(f, "delete row {key}"),
            Self::Transfer { from, to, amount } => write!(f, "transfer {amount} from {from} to {to}"),
            Self::Close { account, heir } => write!(f, "close {account} in favour of {heir}"),
            Self::Open { account, from, amount } => write!(f, "open {account} with {amount} from {from}"),
            Self::ReadAccounts { back: None } => write!(f, "read all accounts"),
            Self::ReadAccounts { back: Some(back) } => write!(f, "read all accounts as of {back} positions ago"),
            Self::Append { list } => write!(f, "append to list {list}"),
            Self::ReadList { list } => write!(f, "read list {list}"),
            Self::Transaction { operations } => {
                let operations = operations.iter().map(|operation| match operation {
                    MicroOperation::Append { list } => format!("append to list {list}"),
                    MicroOperation::Read { list } => format!("read list {list}"),
                });
                f.write_str(&operations.collect::<Vec<_>>().join(" and "))
            }
            Self::OnRows { operations, back } => {
                let operations = operations.iter().map(|operation| match operation {
                    RowOperation::Get { key } => format!("read row {key}"),
                    RowOperation::Put { key } => format!("write row {key}"),
                });
                f.write_str(&operations.collect::<Vec<_>>().join(" and "))?;
                match back {
                    Some(back) => write!(f, " as of {back} positions ago"),
                    None => Ok(()),
                }
            }
            Self::Claim { name, look: true } => write!(f, "look at name {name} and claim it"),
            Self::Claim { name, look: false } => write!(f, "claim name {name}"),
            Self::Release { name } => write!(f, "release name {name}"),
            Self::Rename { from, to } => write!(f, "rename {from} to {to}"),
            Self::ReadNames {} => write!(f, "read all names"),
            Self::AddParent { parent } => write!(f, "add parent {parent}"),
            Self::RemoveParent { parent } => write!(f, "remove parent {parent}"),
            Self::AddChild { child, parent, look: true } => {
                write!(f, "look at child {child} and parent {parent}, and add the child to it")
            }
            Self::AddChild { child, parent, look: false } => write!(f, "add child {child} to parent {parent}"),
            Self::MoveChild { child, parent } => write!(f, "move child {child} to parent {parent}"),
            Self::RemoveChild { child } => write!(f, "remove child {child}"),
            Self::ReadFamilies {} => write!(f, "read all parents and children"),
            Self::PutItem { item, bucket } => write!(f, "put item {item} into bucket {bucket}"),
            Self::DropItem { item } => write!(f, "drop item {item}"),
            Self::MoveItems { from, to } => write!(f, "move the items of bucket {from} to bucket {to}"),
            Self::ReadBucket { bucket } => write!(f, "read bucket {bucket}"),
            Self::ReadItems {} => write!(f, "read all items"),
            Self::Alter { change, with, undo } => {
                write!(f, "{change}")?;
                if let Some(key) = with {
                    write!(f, " and write row {key}")?;
                }
                if *undo { write!(f, ", and undo it") } else { Ok(()) }
            }
            Self::ReadThrough { key, way } => {
                let way = match way {
                    Way::Value => "find it by its value",
                    Way::Column => "read its new column",
                    Way::View => "read it through the view",
                };
                write!(f, "read row {key} and {way}")
            }
            Self::Script { statements } => f.write_str(&statements.join("; ")),
        }
    }
}

impl fmt::Display for SchemaChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreateIndex => "create the index",
            Self::DropIndex => "drop the index",
            Self::AddColumn => "add the column",
            Self::DropColumn => "drop the column",
            Self::CreateView => "create the view",
            Self::DropView => "drop the view",
        })
    }
}

impl fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for WorkloadKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no scenario {name:?}: choose one of {names}")
        })
    }
}
