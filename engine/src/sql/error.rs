//! Errors of SQL statements, with the SQLSTATE codes that PostgreSQL gives them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{mvcc, storage};

/// A SQLSTATE code: five characters, of which the first two are the class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SqlState([u8; 5]);

macro_rules! states {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        impl SqlState {
            $($(#[$doc])* pub const $name: Self = Self(*$code);)*
        }
    };
}

states! {
    /// The client lost its connection, or never had one.
    CONNECTION_FAILURE = b"08006";
    /// The construct is not supported.
    FEATURE_NOT_SUPPORTED = b"0A000";
    /// A subquery that stands for one value gave several rows.
    CARDINALITY_VIOLATION = b"21000";
    /// A text is too long for its column.
    STRING_TOO_LONG = b"22001";
    /// A number is out of range.
    NUMERIC_OUT_OF_RANGE = b"22003";
    /// A text that is no time.
    INVALID_DATETIME_FORMAT = b"22007";
    /// A negative length of a part of a text.
    SUBSTRING_ERROR = b"22011";
    /// Division by zero.
    DIVISION_BY_ZERO = b"22012";
    /// A parameter or an option has a value that it cannot have.
    INVALID_PARAMETER_VALUE = b"22023";
    /// LIKE has a pattern that ends in its escape character.
    INVALID_ESCAPE_SEQUENCE = b"22025";
    /// A text does not spell a value of its type.
    INVALID_TEXT_REPRESENTATION = b"22P02";
    /// A text that is no regular expression.
    INVALID_REGULAR_EXPRESSION = b"2201B";
    /// A negative LIMIT.
    INVALID_LIMIT = b"2201W";
    /// A negative OFFSET.
    INVALID_OFFSET = b"2201X";
    /// NULL in a NOT NULL column.
    NOT_NULL_VIOLATION = b"23502";
    /// A duplicate key.
    UNIQUE_VIOLATION = b"23505";
    /// A row that a foreign key refers to is missing.
    FOREIGN_KEY_VIOLATION = b"23503";
    /// A CHECK condition is false.
    CHECK_VIOLATION = b"23514";
    /// What is asked for needs something that is not there.
    OBJECT_NOT_IN_PREREQUISITE_STATE = b"55000";
    /// There is a transaction already.
    ACTIVE_TRANSACTION = b"25001";
    /// A write in a READ ONLY transaction.
    READ_ONLY_TRANSACTION = b"25006";
    /// There is no open transaction.
    NO_ACTIVE_TRANSACTION = b"25P01";
    /// The transaction has failed.
    IN_FAILED_TRANSACTION = b"25P02";
    /// Other objects depend on it.
    DEPENDENT_OBJECTS = b"2BP01";
    /// There is no such savepoint.
    INVALID_SAVEPOINT = b"3B001";
    /// The transaction was rolled back for a reason of its own.
    TRANSACTION_ROLLBACK = b"40000";
    /// Another transaction came first.
    SERIALIZATION_FAILURE = b"40001";
    /// Whether the statement took effect is not known.
    STATEMENT_COMPLETION_UNKNOWN = b"40003";
    /// The system's own is not for users to change.
    INSUFFICIENT_PRIVILEGE = b"42501";
    /// The statement does not parse.
    SYNTAX_ERROR = b"42601";
    /// An identifier is too long.
    NAME_TOO_LONG = b"42622";
    /// A column is named twice.
    DUPLICATE_COLUMN = b"42701";
    /// A column name could mean several.
    AMBIGUOUS_COLUMN = b"42702";
    /// There is no such column.
    UNDEFINED_COLUMN = b"42703";
    /// There is no such constraint, or another object.
    UNDEFINED_OBJECT = b"42704";
    /// The object exists.
    DUPLICATE_OBJECT = b"42710";
    /// A table is named twice in FROM.
    DUPLICATE_ALIAS = b"42712";
    /// A column stands outside of its groups, or an aggregate where there are none.
    GROUPING_ERROR = b"42803";
    /// Types do not fit.
    DATATYPE_MISMATCH = b"42804";
    /// The function exists.
    DUPLICATE_FUNCTION = b"42723";
    /// There is no such function or operator for these types.
    UNDEFINED_FUNCTION = b"42883";
    /// The object is of another kind.
    WRONG_OBJECT_TYPE = b"42809";
    /// A foreign key refers to what is no key.
    INVALID_FOREIGN_KEY = b"42830";
    /// There is no such table.
    UNDEFINED_TABLE = b"42P01";
    /// A parameter has no value.
    UNDEFINED_PARAMETER = b"42P02";
    /// The table exists.
    DUPLICATE_TABLE = b"42P07";
    /// A column cannot be used here.
    INVALID_COLUMN_REFERENCE = b"42P10";
    /// A recursive query is not one that can be run.
    INVALID_RECURSION = b"42P19";
    /// The table's definition makes no sense.
    INVALID_TABLE_DEFINITION = b"42P16";
    /// There is no room on the disk.
    DISK_FULL = b"53100";
    /// The statement needs more memory than it may have.
    OUT_OF_MEMORY = b"53200";
    /// A limit of this implementation.
    PROGRAM_LIMIT_EXCEEDED = b"54000";
    /// The statement is nested too deeply.
    STATEMENT_TOO_COMPLEX = b"54001";
    /// The object is in use.
    OBJECT_IN_USE = b"55006";
    /// The statement was cancelled, or took more steps than it may.
    QUERY_CANCELED = b"57014";
    /// A temporary file cannot be written or read.
    IO_ERROR = b"58030";
    /// The snapshot's versions were garbage-collected.
    SNAPSHOT_TOO_OLD = b"72000";
    /// A bug.
    INTERNAL_ERROR = b"XX000";
}

impl SqlState {
    /// The five characters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XX000")
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An error that the client is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}{} ({state}){}",
    position.map(|(line, column)| format!(" at line {line}, column {column}")).unwrap_or_default(),
    hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default())]
pub struct Error {
    /// The class of the error.
    pub state: SqlState,
    /// What is wrong.
    pub message: String,
    /// Line and column in the statement, from 1.
    pub position: Option<(u64, u64)>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Error {
    /// An error without position and hint.
    pub fn new(state: SqlState, message: impl Into<String>) -> Self {
        Self { state, message: message.into(), position: None, hint: None }
    }

    /// What is not supported, by name.
    pub fn unsupported(construct: impl fmt::Display) -> Self {
        Self::new(SqlState::FEATURE_NOT_SUPPORTED, format!("{construct} is not supported"))
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the place, unless it has one.
    #[must_use]
    pub fn at(mut self, position: Option<(u64, u64)>) -> Self {
        self.position = self.position.or(position);
        self
    }
}

/// Why a statement failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The client is told, and life goes on.
    #[error(transparent)]
    Sql(#[from] Error),
    /// The store failed: the process must stop.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

impl Failure {
    /// Adds the place, unless it has one.
    #[must_use]
    pub fn at(self, position: Option<(u64, u64)>) -> Self {
        match self {
            Self::Sql(error) => Self::Sql(error.at(position)),
            failure @ Self::Storage(_) => failure,
        }
    }
}

impl From<mvcc::Error> for Failure {
    fn from(error: mvcc::Error) -> Self {
        let (state, hint) = match &error {
            mvcc::Error::Storage(error) => return Self::Storage(error.clone()),
            mvcc::Error::Running => (SqlState::ACTIVE_TRANSACTION, None),
            mvcc::Error::ReadOnly => (SqlState::READ_ONLY_TRANSACTION, None),
            mvcc::Error::SnapshotTooOld { .. } => (SqlState::SNAPSHOT_TOO_OLD, Some("begin again")),
            mvcc::Error::TimeTooOld { .. } => (SqlState::SNAPSHOT_TOO_OLD, None),
            mvcc::Error::Future { .. } => (SqlState::INVALID_PARAMETER_VALUE, None),
        };
        let error = Error::new(state, error.to_string());
        Self::Sql(match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        })
    }
}

impl From<crate::encoding::Error> for Failure {
    fn from(error: crate::encoding::Error) -> Self {
        Self::Storage(error.into())
    }
}
