//! Where a run that fails and a near one that passes part, as far as it matters.
//!
//! Two runs differ at once in things that mean nothing: a message is a microsecond late, and all positions and times after it
//! are others. So what is compared are the *beats* of the runs: what clients were answered, what did not reach them, what the log
//! holds and what applying it came to, who led, who stopped; in words without times and positions. The beats are
//! aligned by patience diff. The first difference that matters has a beat that is not in the other run as often, and is about an
//! operation to blame; failing that, about any answer or commit; failing that, any.

use std::collections::{BTreeMap, BTreeSet};

use scenarios::Told;
use similar::{Algorithm, ChangeTag, DiffOp, capture_diff_slices};

use crate::film::{Event, What};
use crate::html::{Comparison, Fate};
use crate::narrate::{Account, moment, sentence};

/// How many beats are shown before a difference.
const BEFORE: usize = 4;

/// How many lines of one run are shown of one difference.
const LINES: usize = 14;

/// How many differences are shown.
const PLACES: usize = 3;

/// Something that happened in a run, which matters for what becomes of operations.
struct Beat<'a> {
    event: &'a Event,
    /// The same in both runs if the same happened.
    key: String,
    /// How much it means: an operation to blame, any operation, or the cluster.
    weight: u8,
}

/// Gives the operations of another run the names of those in this one: the same of the same client. `without` is a step that
/// the other run lacks: the client and the place.
pub fn same_names(here: &[Told], mut there: Vec<Told>, without: Option<(u64, usize)>) -> Vec<Told> {
    let mut of: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for Told { client, id, .. } in here {
        of.entry(*client).or_default().push(*id);
    }
    let mut seen: BTreeMap<u64, usize> = BTreeMap::new();
    let mut unknown = here.iter().map(|told| told.id).max().unwrap_or(0);
    for told in &mut there {
        let place = seen.entry(told.client).or_default();
        if without == Some((told.client, *place)) {
            *place += 1;
        }
        told.id = of.get(&told.client).and_then(|ids| ids.get(*place)).copied().unwrap_or_else(|| {
            unknown += 1;
            unknown
        });
        *place += 1;
    }
    there
}

/// Where two runs part. Both accounts call the same operation by the same name.
pub fn compare(what: String, failing: &Account, passing: &Account) -> Comparison {
    let (here, there) = (beats(failing, failing), beats(passing, failing));
    let keys = |beats: &[Beat<'_>]| beats.iter().map(|beat| beat.key.clone()).collect::<Vec<String>>();
    let (left, right) = (keys(&here), keys(&there));
    let mut more: BTreeMap<&str, i64> = BTreeMap::new();
    for (keys, sign) in [(&left, 1), (&right, -1)] {
        for key in keys {
            *more.entry(key).or_default() += sign;
        }
    }
    // What both runs have equally often has only changed its place.
    let news = |beat: &Beat<'_>| more.get(beat.key.as_str()).is_some_and(|more| *more != 0);
    let ops = capture_diff_slices(Algorithm::Patience, &left, &right);
    let weight = |op: &DiffOp| {
        let beats = here[op.old_range()].iter().chain(&there[op.new_range()]);
        beats.filter(|beat| news(beat)).map(|beat| beat.weight).max().unwrap_or(0)
    };
    let differs: Vec<(u8, &DiffOp)> =
        ops.iter().filter(|op| !matches!(op, DiffOp::Equal { .. })).map(|op| (weight(op), op)).collect();
    let most = differs.iter().map(|(weight, _)| *weight).max().unwrap_or(0);
    let passed_over = differs.iter().take_while(|(weight, _)| *weight < most).count() as u64;
    let decisive = failing.decisive.as_ref().map(|decisive| (decisive.at_ns, decisive.event));
    let decides =
        |op: &DiffOp| here[op.old_range()].iter().any(|beat| Some((beat.event.at_ns, beat.event.n)) == decisive);
    let matter: Vec<&DiffOp> = differs.iter().filter(|(weight, _)| *weight == most).map(|(_, op)| *op).collect();
    let mut shown: Vec<&DiffOp> = matter.iter().copied().take(PLACES).collect();
    if let (Some(last), Some(op)) = (shown.last_mut(), matter.iter().skip(PLACES).find(|op| decides(op))) {
        *last = op;
    }

    let mut lines = Vec::new();
    for (number, op) in shown.iter().enumerate() {
        let (old, new) = (op.old_range(), op.new_range());
        if number > 0 {
            lines.push(("…".to_string(), String::new()));
        }
        let before = &here[old.start.saturating_sub(BEFORE)..old.start];
        lines.extend(before.iter().map(|beat| line(" ", beat)));
        for (sign, beats) in [(ChangeTag::Delete, &here[old]), (ChangeTag::Insert, &there[new])] {
            // Where there are too many, those that matter most stay.
            let few = beats.iter().filter(|beat| news(beat)).count() <= LINES;
            let chosen = beats.iter().filter(|beat| news(beat) && (few || beat.weight == most)).take(LINES);
            let sign = if sign == ChangeTag::Delete { "-" } else { "+" };
            lines.extend(chosen.map(|beat| line(sign, beat)));
        }
    }
    // Without a difference between beats there is still the first event that differs.
    let parted = failing.film.iter().zip(&passing.film).take_while(|(a, b)| a == b).count();
    let first = shown.first().and_then(|op| {
        let old = op.old_range();
        let own = here[old.clone()].iter().find(|beat| news(beat)).or(here.get(old.start));
        own.map(|beat| beat.event)
    });
    let first = first.or(failing.film.get(parted)).or(failing.film.last());
    Comparison {
        what,
        first_difference_event: first.map_or(0, |event| event.n),
        first_difference_ns: first.map_or(0, |event| event.at_ns),
        passed_over,
        fates: fates(failing, passing),
        lines,
    }
}

fn line(sign: &str, beat: &Beat<'_>) -> (String, String) {
    let text = sentence(beat.event).unwrap_or_else(|| beat.event.what.to_string());
    (sign.to_string(), format!("{} {text}", moment(beat.event.at_ns)))
}

/// The beats of a run, weighed by what is to blame in the failing one.
fn beats<'a>(run: &'a Account, failing: &Account) -> Vec<Beat<'a>> {
    let mut applied = BTreeSet::new();
    let beat = |event: &'a Event| {
        let (key, about) = match &event.what {
            What::Message { kind, text, fate, .. } if names_one(text) => {
                let again = text.contains(", tried again");
                match (kind.as_str(), fate.as_str()) {
                    ("reply", "delivered") => (format!("answer {}", plain(text)), text),
                    ("request", "delivered") if again => (format!("again {}", plain(text)), text),
                    ("request" | "propose", "delivered") => return None,
                    ("request" | "reply" | "propose", fate) => (format!("{fate} {kind} {}", plain(text)), text),
                    _ => return None,
                }
            }
            What::Entry { text, .. } => (format!("entry {}", plain(text)), text),
            What::Applies { index, ruling, .. } if applied.insert((*index, ruling)) => {
                (format!("applies {}", plain(ruling)), ruling)
            }
            What::Role { role, term } if role == "leader" => {
                return Some(Beat { event, key: format!("n{} leads {term}", event.node.unwrap_or(0)), weight: 1 });
            }
            What::Stops { .. } | What::Starts { .. } | What::Fault { .. } => {
                let key = format!("n{} {}", event.node.unwrap_or(0), event.what);
                return Some(Beat { event, key, weight: 1 });
            }
            _ => return None,
        };
        let weight = if failing.concerns(about) { 3 } else { 2 };
        Some(Beat { event, key, weight })
    };
    run.film.iter().filter_map(beat).collect()
}

/// Whether a message is about an operation.
fn names_one(text: &str) -> bool {
    text.starts_with('T') || text.contains(" of T") || text.contains("whether T")
}

/// A text without the numbers that any delay changes: positions in the log, requests, and terms.
fn plain(text: &str) -> String {
    const BEFORE: [&str; 8] =
        ["request ", "entry ", "read at ", "committed at ", "position ", "older than ", "of term ", "watermark "];
    let mut plain = text.to_string();
    for before in BEFORE {
        let parts: Vec<&str> = plain.split(before).collect();
        let rest = parts.iter().skip(1).map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()));
        plain = std::iter::once(parts[0]).chain(rest).collect::<Vec<_>>().join(before);
    }
    plain
}

/// What became of the operations to blame in either run, where that is not the same.
fn fates(failing: &Account, passing: &Account) -> Vec<Fate> {
    let fate = |run: &Account, id: u64| {
        let told = run.told.iter().find(|told| told.id == id)?;
        let commits = format!("T{id} commits");
        let entries: BTreeSet<u64> = run
            .film
            .iter()
            .filter_map(|event| match &event.what {
                What::Applies { index, ruling, .. } if ruling.starts_with(&commits) => Some(*index),
                _ => None,
            })
            .collect();
        let entries: Vec<String> = entries.iter().map(u64::to_string).collect();
        let log = match entries.as_slice() {
            [] => String::new(),
            [one] => format!(", committed once, by entry {one}"),
            more => format!(", committed {} times, by entries {}", more.len(), more.join(" and ")),
        };
        Some((format!("{}: {}", format!("{:?}", told.outcome).to_lowercase(), told.text), entries.len(), log))
    };
    let mut fates = Vec::new();
    for id in failing.blamed.keys() {
        let (Some(here), there) = (fate(failing, *id), fate(passing, *id)) else { continue };
        if there.as_ref().is_some_and(|there| (&there.0, there.1) == (&here.0, here.1)) {
            continue;
        }
        let words = |(text, _, log): (String, usize, String)| format!("{text}{log}");
        let there = there.map_or("it is not there".to_string(), words);
        fates.push(Fate { operation: *id, here: words(here), there });
    }
    fates
}

#[cfg(test)]
mod tests {
    use checkers::history::Outcome;

    use super::*;
    use crate::verdict::Finding;

    fn told(id: u64, client: u64) -> Told {
        let (name, text) = ("write", format!("0 := {id}"));
        let (complete, outcome) = (Some(id * 100 + 50), Outcome::Ok);
        Told { id, client, name, invoke: id * 100, complete, outcome, text, snapshot: None, commit: None }
    }

    fn event(at_ns: u64, node: u8, what: What) -> Event {
        Event { n: at_ns, at_ns, node: Some(node), what }
    }

    fn asks(at: u64, client: u64, transaction: u64) -> Event {
        let (from, to, kind, fate) = (format!("c{client}"), "n1".into(), "request".into(), "delivered".into());
        let text = format!("c{client}.{transaction}, request {at}: x");
        event(at, 1, What::Message { from, to, kind, term: None, text, arrives_ns: Some(at + 1), fate })
    }

    fn applies(at: u64, index: u64, transaction: &str, ruling: &str, wrong: bool) -> Event {
        let (entry, ruling) = (format!("commit of {transaction}"), format!("{transaction} {ruling}"));
        event(at, 1, What::Applies { index, entry, ruling, wrong, decided: 0 })
    }

    #[test]
    fn the_first_difference_that_matters_is_found_behind_those_that_do_not() {
        let finding = Finding { message: "T2 wrote twice".into(), ..Finding::nothing() };
        let fault = |text: &str| What::Stops { why: text.into() };
        let common = |late: u64| {
            vec![
                asks(100, 1, 1),
                asks(200, 2, 1),
                asks(300, 1, 2),
                applies(310 + late, 7 + late, "c1.1", "commits", false),
            ]
        };
        let mut here = common(0);
        here.extend([
            event(320, 2, fault("power")),
            applies(330, 8, "c2.1", "commits", false),
            applies(340, 9, "c2.1", "commits AGAIN", true),
        ]);
        let mut there = common(5);
        there.push(applies(350, 13, "c2.1", "commits", false));
        let all = vec![told(1, 1), told(2, 2), told(3, 1)];
        let failing = Account::new(&here, all.clone(), Some(&finding));
        let passing = Account::new(&there, same_names(&failing.told, all, None), None);
        let comparison = compare("the same".into(), &failing, &passing);
        assert_eq!((comparison.first_difference_ns, comparison.passed_over), (340, 1), "{comparison:#?}");
        let [fate] = comparison.fates.as_slice() else { panic!("{:#?}", comparison.fates) };
        assert_eq!(fate.operation, 2);
        assert!(fate.here.contains("committed 2 times, by entries 8 and 9"), "{fate:?}");
        assert!(fate.there.contains("committed once, by entry 13"), "{fate:?}");
        let only = |sign: &str| comparison.lines.iter().filter(|line| line.0 == sign).count();
        assert_eq!((only("-"), only("+")), (1, 0), "{:#?}", comparison.lines);
        assert_eq!(failing.decisive.map(|decisive| decisive.at_ns), Some(340));
    }

    #[test]
    fn operations_keep_their_names_when_one_is_left_out() {
        let here = [told(1, 1), told(2, 2), told(3, 1), told(4, 1)];
        let there = vec![told(1, 1), told(2, 2), told(3, 1), told(4, 2)];
        let ids = |told: Vec<Told>| told.iter().map(|told| told.id).collect::<Vec<u64>>();
        assert_eq!(ids(same_names(&here, there.clone(), None)), [1, 2, 3, 5]);
        assert_eq!(ids(same_names(&here, there, Some((1, 0)))), [3, 2, 4, 5]);
    }

    #[test]
    fn positions_do_not_make_texts_differ() {
        assert_eq!(plain("T1, request 12: read at 7, committed at 8"), "T1, request : read at , committed at ");
        assert_eq!(plain("T1, request 2: (7) (8)"), "T1, request : (7) (8)");
    }
}
