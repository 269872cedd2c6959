//! `checkers models` and `checkers levels`.

use crate::formats::ModelName;
use crate::transactions::{Class, Level, Name, Through};

/// The models, a line each.
pub(super) fn models() -> String {
    let line = |model: ModelName| {
        let kinds: Vec<&str> = model.kinds().iter().map(|kind| kind.name()).collect();
        format!("{:<15} {:<45} {}\n", model.name(), model.describe(), kinds.join(", "))
    };
    ModelName::ALL.into_iter().map(line).collect()
}

/// The levels, each with the anomalies that violate it and no weaker one.
pub(super) fn levels() -> String {
    let names = names();
    let mut text = String::new();
    for level in Level::ALL {
        let weaker: Vec<Level> =
            Level::ALL.into_iter().filter(|weaker| *weaker != level && level.implies(*weaker)).collect();
        let new =
            names.iter().filter(|name| name.violates(level) && !weaker.iter().any(|weaker| name.violates(*weaker)));
        let new: Vec<String> = new.map(|name| name.name()).collect();
        let implied: Vec<&str> = weaker.iter().map(|level| level.name()).collect();
        text.push_str(level.name());
        text.push('\n');
        if !implied.is_empty() {
            text.extend(["  includes     ", &implied.join(", "), "\n"]);
        }
        if !new.is_empty() {
            text.extend(["  violated by  ", &new.join(", "), "\n"]);
        }
    }
    text
}

/// Every anomaly.
fn names() -> Vec<Name> {
    let mut names = vec![
        Name::GarbageRead,
        Name::Internal,
        Name::FutureRead,
        Name::DuplicateElements,
        Name::IncompatibleOrder,
        Name::DirtyUpdate,
        Name::G1a,
        Name::G1b,
        Name::NonRepeatableRead,
        Name::LostUpdate,
    ];
    let classes = [
        Class::G0,
        Class::G1c,
        Class::GMonotonic,
        Class::FracturedRead,
        Class::Causality,
        Class::GSingle,
        Class::LongFork,
        Class::GNonadjacent,
        Class::G2,
    ];
    for class in classes {
        for predicate in [false, true] {
            for through in [Through::Data, Through::Session, Through::RealTime] {
                let name = Name::Cycle { class, predicate, through };
                if !names.iter().any(|other| other.name() == name.name()) {
                    names.push(name);
                }
            }
        }
    }
    names
}
