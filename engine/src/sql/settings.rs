//! The settings of a session: what SET, RESET and SHOW are about. The limits of statements are among them.
//!
//! A setting has a value that it starts from, which [`Options`] give or which is fixed, and may have a highest value, which
//! whoever runs the database gives. Time is counted in steps, so that a statement that takes too long fails at the same
//! place everywhere: [`STEPS_PER_MILLISECOND`] of them count as a millisecond of `statement_timeout`.

use std::rc::Rc;

use super::ast::Kind;
use super::binder::nearest;
use super::error::{Error, SqlState};
use super::executor::{STEPS_PER_MILLISECOND, Settings};
use super::parse::{self, Limits};
use super::statement::Options;
use super::types::Value;
use crate::mvcc::Isolation;

/// What SET and RESET say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// What is set; `None` is all there are.
    pub name: Option<String>,
    /// To what; `None` is what it was in the beginning.
    pub value: Option<String>,
    /// Whether only until the end of the transaction.
    pub local: bool,
}

/// The settings of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variables {
    values: Values,
    /// What they were in the beginning, and how high the limits may be set.
    given: Rc<(Values, Settings)>,
}

/// The value of each; `u64::MAX` is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Values {
    optimizer: bool,
    limits: Settings,
    text: Limits,
    isolation: Isolation,
    read_only: bool,
    application_name: String,
}

/// What a setting can be, and where it is.
#[derive(Clone, Copy)]
enum Form {
    Switch(fn(&mut Values) -> &mut bool),
    Number(Number),
    Isolation(fn(&mut Values) -> &mut Isolation),
    Text(fn(&mut Values) -> &mut String),
    /// It is the first of these, and can be set to any of them.
    Fixed(&'static [&'static str]),
}

/// A setting that is a number.
#[derive(Clone, Copy)]
struct Number {
    unit: Unit,
    range: (u64, u64),
    /// Whether 0 and -1 stand for no limit.
    unlimited: bool,
    get: fn(&mut Values) -> Slot<'_>,
    /// How high it may be set here.
    most: fn(&Settings) -> u64,
}

/// Where a number is.
enum Slot<'v> {
    Long(&'v mut u64),
    Size(&'v mut usize),
}

#[derive(Clone, Copy, PartialEq)]
enum Unit {
    None,
    /// Kilobytes where none is written.
    Bytes,
    Milliseconds,
}

struct Definition {
    name: &'static str,
    form: Form,
    about: &'static str,
}

const fn unbounded(_: &Settings) -> u64 {
    u64::MAX
}

const DEFINITIONS: [Definition; 18] = [
    Definition {
        name: "application_name",
        form: Form::Text(|values| &mut values.application_name),
        about: "What the client calls itself.",
    },
    Definition {
        name: "client_encoding",
        form: Form::Fixed(&["UTF8", "UTF-8", "UNICODE"]),
        about: "The encoding of texts.",
    },
    Definition {
        name: "client_min_messages",
        form: Form::Fixed(&["notice", "warning", "error", "log"]),
        about: "There are no messages besides errors.",
    },
    Definition { name: "datestyle", form: Form::Fixed(&["ISO, MDY", "ISO"]), about: "There are no types of dates." },
    Definition {
        name: "default_transaction_isolation",
        form: Form::Isolation(|values| &mut values.isolation),
        about: "The isolation of transactions that do not say it themselves.",
    },
    Definition {
        name: "default_transaction_read_only",
        form: Form::Switch(|values| &mut values.read_only),
        about: "Whether transactions only read that do not say it themselves.",
    },
    Definition {
        name: "extra_float_digits",
        form: Form::Fixed(&["1", "2", "3"]),
        about: "Floats are shown with as many digits as tell them apart.",
    },
    Definition { name: "integer_datetimes", form: Form::Fixed(&["on"]), about: "For clients that ask." },
    Definition {
        name: "max_expression_depth",
        form: Form::Number(Number {
            unit: Unit::None,
            range: (10, parse::MAX_DEPTH as u64),
            unlimited: false,
            get: |values| Slot::Size(&mut values.text.depth),
            most: unbounded,
        }),
        about: "The most operators and parentheses along any path into an expression.",
    },
    Definition {
        name: "max_statement_length",
        form: Form::Number(Number {
            unit: Unit::Bytes,
            range: (1 << 10, 64 << 20),
            unlimited: false,
            get: |values| Slot::Size(&mut values.text.length),
            most: unbounded,
        }),
        about: "The longest text of statements.",
    },
    Definition {
        name: "max_steps",
        form: Form::Number(Number {
            unit: Unit::None,
            range: (1, u64::MAX),
            unlimited: true,
            get: |values| Slot::Long(&mut values.limits.steps),
            most: |most| most.steps,
        }),
        about: "The most rows that the operators of a statement look at; 0 is no limit.",
    },
    Definition {
        name: "optimizer",
        form: Form::Switch(|values| &mut values.optimizer),
        about: "Whether statements are optimized.",
    },
    Definition {
        name: "search_path",
        form: Form::Fixed(&["public", "\"$user\", public", "public, pg_catalog", "pg_catalog, public", ""]),
        about: "Where tables without a schema are looked for.",
    },
    Definition { name: "standard_conforming_strings", form: Form::Fixed(&["on"]), about: "A backslash is one." },
    Definition {
        name: "statement_timeout",
        form: Form::Number(Number {
            unit: Unit::Milliseconds,
            range: (1, u64::MAX),
            unlimited: true,
            get: |values| Slot::Long(&mut values.limits.timeout),
            most: unbounded,
        }),
        about: "The longest that a statement may take, at 1000 steps a millisecond; 0 is no limit.",
    },
    Definition {
        name: "temp_file_limit",
        form: Form::Number(Number {
            unit: Unit::Bytes,
            range: (0, u64::MAX),
            unlimited: false,
            get: |values| Slot::Long(&mut values.limits.temporary),
            most: |most| most.temporary,
        }),
        about: "The most bytes of temporary files of a statement.",
    },
    Definition {
        name: "timezone",
        form: Form::Fixed(&["UTC", "GMT", "Etc/UTC"]),
        about: "There are no types of times.",
    },
    Definition {
        name: "work_mem",
        form: Form::Number(Number {
            unit: Unit::Bytes,
            range: (64 << 10, 1 << 40),
            unlimited: false,
            get: |values| Slot::Size(&mut values.limits.memory),
            most: |most| most.memory as u64,
        }),
        about: "The most bytes of memory that a statement keeps, and of its result.",
    },
];

impl Default for Variables {
    fn default() -> Self {
        Self::new(Options::default(), Settings::UNLIMITED)
    }
}

impl Variables {
    /// The settings of a new session: what statements start from, and how high their limits may be set.
    pub fn new(Options { optimize, settings }: Options, most: Settings) -> Self {
        let values = Values {
            optimizer: optimize,
            limits: settings,
            text: Limits::default(),
            isolation: Isolation::default(),
            read_only: false,
            application_name: String::new(),
        };
        Self { given: Rc::new((values.clone(), most)), values }
    }

    /// How statements are run.
    pub fn options(&self) -> Options {
        Options { optimize: self.values.optimizer, settings: self.values.limits }
    }

    /// How long and deep statements may be.
    pub fn limits(&self) -> Limits {
        self.values.text
    }

    /// How transactions are isolated that do not say it themselves, and whether they only read.
    pub fn modes(&self) -> (Isolation, bool) {
        (self.values.isolation, self.values.read_only)
    }

    /// SET SESSION CHARACTERISTICS.
    pub(super) fn set_modes(&mut self, isolation: Option<Isolation>, read_only: Option<bool>) {
        self.values.isolation = isolation.unwrap_or(self.values.isolation);
        self.values.read_only = read_only.unwrap_or(self.values.read_only);
    }

    /// What a statement does to the settings outside of a transaction.
    ///
    /// # Errors
    /// If there is no such setting, or if it cannot have such a value.
    ///
    /// # Panics
    /// If the statement is about something else.
    pub fn control(&mut self, kind: &Kind) -> Result<(), Error> {
        match kind {
            Kind::SetTransaction { read_only, isolation, session: true } => {
                self.set_modes(*isolation, *read_only);
                Ok(())
            }
            // Without a transaction, it is for none.
            Kind::SetTransaction { session: false, .. } => Ok(()),
            Kind::Set(setting) if setting.local => self.clone().set(setting),
            Kind::Set(setting) => self.set(setting),
            kind => unreachable!("{kind:?} is not about settings"),
        }
    }

    /// SET and RESET.
    ///
    /// # Errors
    /// If there is no such setting, or if it cannot have such a value.
    pub(super) fn set(&mut self, setting: &Setting) -> Result<(), Error> {
        let (initial, most) = &*self.given;
        let Setting { name, value, .. } = setting;
        let Some(name) = name else {
            self.values = initial.clone();
            return Ok(());
        };
        let Definition { name, form, .. } = definition(name)?;
        let initial = &mut initial.clone();
        match (form, value) {
            (Form::Switch(get), None) => *get(&mut self.values) = *get(initial),
            (Form::Number(number), None) => (number.get)(&mut self.values).put((number.get)(initial).get()),
            (Form::Isolation(get), None) => *get(&mut self.values) = *get(initial),
            (Form::Text(get), None) => *get(&mut self.values) = std::mem::take(get(initial)),
            (Form::Fixed(_), None) => {}
            (Form::Switch(get), Some(value)) => {
                *get(&mut self.values) = match value.to_ascii_lowercase().as_str() {
                    "on" | "true" | "yes" | "1" => true,
                    "off" | "false" | "no" | "0" => false,
                    _ => return Err(invalid(name, value, "it is on or off")),
                }
            }
            (Form::Number(number), Some(value)) => {
                let n = number.parse(name, value, (number.most)(most))?;
                (number.get)(&mut self.values).put(n);
            }
            (Form::Isolation(get), Some(value)) => {
                let level = parse::isolation(value);
                let hint = "it is read committed, snapshot, repeatable read or serializable";
                *get(&mut self.values) = level.ok_or_else(|| invalid(name, value, hint))?;
            }
            (Form::Text(get), Some(value)) => get(&mut self.values).clone_from(value),
            (Form::Fixed(choices), Some(value)) => {
                if !choices.iter().any(|choice| choice.eq_ignore_ascii_case(value)) {
                    return Err(invalid(name, value, &format!("it is {:?}, and nothing else", choices[0])));
                }
            }
        }
        Ok(())
    }

    /// SHOW of one setting: its name, and its value.
    pub(super) fn show(&self, name: &str) -> Result<(&'static str, String), Error> {
        let definition = definition(name)?;
        Ok((definition.name, self.value(definition)))
    }

    /// SHOW ALL: name, value and description of each.
    pub(super) fn show_all(&self) -> Vec<Vec<Value>> {
        let row = |definition: &Definition| {
            vec![definition.name.into(), self.value(definition).into(), definition.about.into()]
        };
        DEFINITIONS.iter().map(row).collect()
    }

    fn value(&self, definition: &Definition) -> String {
        let values = &mut self.values.clone();
        match definition.form {
            Form::Switch(get) => if *get(values) { "on" } else { "off" }.to_string(),
            Form::Number(number) => number.show((number.get)(values).get()),
            Form::Isolation(get) => level_name(*get(values)).to_string(),
            Form::Text(get) => std::mem::take(get(values)),
            Form::Fixed(choices) => choices[0].to_string(),
        }
    }
}

impl Slot<'_> {
    fn get(self) -> u64 {
        match self {
            Self::Long(n) => *n,
            Self::Size(n) => *n as u64,
        }
    }

    fn put(self, value: u64) {
        match self {
            Self::Long(n) => *n = value,
            Self::Size(n) => *n = usize::try_from(value).unwrap_or(usize::MAX),
        }
    }
}

impl Number {
    fn parse(&self, name: &str, text: &str, most: u64) -> Result<u64, Error> {
        let (least, range) = self.range;
        let most = most.min(range);
        let text = text.trim();
        if self.unlimited && matches!(text, "0" | "-1") {
            return if most == u64::MAX {
                Ok(u64::MAX)
            } else {
                Err(invalid(name, text, &format!("here it is at most {}", self.show(most))))
            };
        }
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = (&text[..end], text[end..].trim());
        let factor = match (self.unit, unit) {
            (Unit::None, "") | (Unit::Bytes, "B") | (Unit::Milliseconds, "" | "ms") => Some(1),
            (Unit::Bytes, "" | "kB" | "KB") => Some(1 << 10),
            (Unit::Bytes, "MB") => Some(1 << 20),
            (Unit::Bytes, "GB") => Some(1 << 30),
            (Unit::Bytes, "TB") => Some(1 << 40),
            (Unit::Milliseconds, "s") => Some(1_000),
            (Unit::Milliseconds, "min") => Some(60_000),
            (Unit::Milliseconds, "h") => Some(3_600_000),
            _ => None,
        };
        let n = digits.parse::<u64>().ok().zip(factor).and_then(|(n, factor)| n.checked_mul(factor));
        n.filter(|n| (least..=most).contains(n)).ok_or_else(|| {
            let units = match self.unit {
                Unit::None => "",
                Unit::Bytes => ", with B, kB, MB, GB or TB",
                Unit::Milliseconds => ", with ms, s, min or h",
            };
            let most = if most == u64::MAX { String::new() } else { format!(" to {}", self.show(most)) };
            invalid(name, text, &format!("it is a number from {}{most}{units}", self.show(least)))
        })
    }

    fn show(&self, n: u64) -> String {
        if self.unlimited && n == u64::MAX {
            return "0".to_string();
        }
        let units: &[(u64, &str)] = match self.unit {
            Unit::None => &[],
            Unit::Bytes => &[(1 << 40, "TB"), (1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB"), (1, "B")],
            Unit::Milliseconds => &[(3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")],
        };
        match units.iter().find(|(unit, _)| n > 0 && n.is_multiple_of(*unit)) {
            Some((unit, name)) => format!("{}{name}", n / unit),
            None => n.to_string(),
        }
    }
}

fn definition(name: &str) -> Result<&'static Definition, Error> {
    let name = match name {
        "time_zone" => "timezone",
        "names" => "client_encoding",
        name => name,
    };
    DEFINITIONS.iter().find(|definition| definition.name == name).ok_or_else(|| {
        let error = Error::new(SqlState::UNDEFINED_OBJECT, format!("there is no setting {name:?}"));
        match nearest(name, DEFINITIONS.iter().map(|definition| definition.name)) {
            Some(nearest) => error.with_hint(format!("did you mean {nearest:?}?")),
            None => error.with_hint("SHOW ALL lists the settings"),
        }
    })
}

fn invalid(name: &str, value: &str, hint: &str) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("{name} cannot be {value:?}")).with_hint(hint)
}

/// An isolation level as PostgreSQL writes it.
pub(super) fn level_name(level: Isolation) -> &'static str {
    match level {
        Isolation::ReadCommitted => "read committed",
        Isolation::Snapshot => "repeatable read",
        Isolation::Serializable => "serializable",
    }
}

// The text of the setting says so.
const _: () = assert!(STEPS_PER_MILLISECOND == 1000, "statement_timeout says how many steps a millisecond has");
