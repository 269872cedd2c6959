//! `checkers suite`: judges a directory of histories, and compares with what its manifest expects.
//!
//! The manifest is an array of objects with a `file` and what is `expected` of it: `"ok"` or `"bad"` for operations, whose
//! `model` may have its initial value in it (`cas-register(init=0)`), or an object of verdicts by level for transactions.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::check::{Checked, check};
use super::{How, SuiteArguments, host, print, print_json};
use crate::evidence::{About, Answer};
use crate::formats::ModelName;
use crate::transactions::Level;

#[derive(Deserialize)]
struct Entry {
    file: String,
    expected: Value,
    model: Option<String>,
}

/// One verdict that was compared.
#[derive(Serialize)]
struct Compared {
    file: String,
    /// The level, or nothing for operations.
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<Level>,
    expected: Answer,
    found: Answer,
    cpu_ms: f64,
}

#[derive(Default, Serialize)]
struct Summary {
    files: usize,
    right: usize,
    wrong: usize,
    unknown: usize,
    unreadable: usize,
    cpu_ms: f64,
    longest_cpu_ms: f64,
    longest: String,
}

/// Judges the files, and returns the exit code.
pub(super) fn run(arguments: &SuiteArguments) -> anyhow::Result<u8> {
    let path = arguments.directory.join("manifest.json");
    let manifest = host::read(&path)?;
    let entries: Vec<Entry> = serde_json::from_slice(&manifest)
        .with_context(|| format!("{} is no array of objects with `file` and `expected`", path.display()))?;
    let mut compared = Vec::new();
    let mut summary = Summary::default();
    for entry in &entries {
        let file = arguments.directory.join(&entry.file);
        let expected = expected(entry).with_context(|| format!("{}: {}", path.display(), entry.file))?;
        let how = how(entry, arguments, &expected).with_context(|| format!("{}: {}", path.display(), entry.file))?;
        summary.files += 1;
        match check(&file, &entry.file, &how) {
            Ok(checked) => {
                let cpu_ms = checked.judged.as_secs_f64() * 1e3;
                summary.cpu_ms += cpu_ms;
                if cpu_ms > summary.longest_cpu_ms {
                    (summary.longest_cpu_ms, summary.longest) = (cpu_ms, entry.file.clone());
                }
                let before = compared.len();
                compare(entry, &expected, &checked, &mut compared);
                if !arguments.json {
                    print(&line(&entry.file, &compared[before..], checked.judged, arguments.quiet))?;
                }
            }
            Err(error) => {
                summary.unreadable += 1;
                eprintln!("error: {error:#}");
            }
        }
    }
    for Compared { expected, found, .. } in &compared {
        if expected == found {
            summary.right += 1;
        } else if *found == Answer::Unknown {
            summary.unknown += 1;
        } else {
            summary.wrong += 1;
        }
    }
    if arguments.json {
        print_json(&serde_json::json!({ "summary": summary, "verdicts": compared }))?;
    } else {
        let Summary { files, right, wrong, unknown, unreadable, cpu_ms, longest_cpu_ms, longest } = &summary;
        let verdicts = compared.len();
        let unreadable = if *unreadable > 0 { format!(", {unreadable} files unreadable") } else { String::new() };
        let text = format!(
            "{files} files, {verdicts} verdicts: {right} right, {wrong} wrong, {unknown} unknown{unreadable}; \
             CPU {cpu_ms:.1} ms, at most {longest_cpu_ms:.2} ms ({longest})\n"
        );
        print(&text)?;
    }
    Ok(match summary {
        Summary { unreadable: 1.., .. } => super::BAD,
        Summary { wrong: 1.., .. } => super::exit_code(Answer::Violated),
        Summary { unknown: 1.., .. } => super::exit_code(Answer::Unknown),
        _ => 0,
    })
}

/// What a manifest expects: by level, or under `None` of the whole.
type Expected = BTreeMap<Option<Level>, Answer>;

fn expected(entry: &Entry) -> anyhow::Result<Expected> {
    let answer = |value: &Value| match value.as_str() {
        Some("ok") => Ok(Answer::Holds),
        Some("bad") => Ok(Answer::Violated),
        _ => bail!("a verdict is \"ok\" or \"bad\", not {value}"),
    };
    match &entry.expected {
        Value::Object(levels) => {
            let mut expected = Expected::new();
            for (level, value) in levels {
                let level: Level = level.parse().map_err(anyhow::Error::msg)?;
                expected.insert(Some(level), answer(value)?);
            }
            Ok(expected)
        }
        value => Ok(Expected::from([(None, answer(value)?)])),
    }
}

/// How to judge one file.
fn how(entry: &Entry, arguments: &SuiteArguments, expected: &Expected) -> anyhow::Result<How> {
    let (model, initial) = match &entry.model {
        Some(text) => model(text)?,
        None => (None, None),
    };
    Ok(How {
        format: None,
        model,
        initial,
        level: expected.keys().copied().flatten().collect(),
        time_limit: arguments.time_limit,
        budget: arguments.budget,
        no_partition: false,
        may_be_empty: entry.model.is_some(),
        explain: false,
    })
}

/// `cas-register(init=0)`, `multi-register(x=0, y=0)`: a model, and its initial value. What else is said is for people.
fn model(text: &str) -> anyhow::Result<(Option<ModelName>, Option<String>)> {
    let end = text.find(|sign: char| !sign.is_ascii_lowercase() && sign != '-').unwrap_or(text.len());
    let Some(name) = ModelName::named(&text[..end]) else {
        bail!("unknown model {text}; see `checkers models`");
    };
    let mut initial = serde_json::Map::new();
    let inside = text.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map_or("", |(inside, _)| inside);
    for part in inside.split(',') {
        if let Some((of, value)) = part.split_once('=') {
            let value = value.split_whitespace().next().unwrap_or_default();
            initial.insert(of.trim().to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into()));
        }
    }
    let initial = match initial.remove("init") {
        Some(value) => Some(value.to_string()),
        None if initial.is_empty() => None,
        None => Some(Value::Object(initial).to_string()),
    };
    Ok((Some(name), initial))
}

fn compare(entry: &Entry, expected: &Expected, checked: &Checked, compared: &mut Vec<Compared>) {
    let cpu_ms = checked.judged.as_secs_f64() * 1e3;
    for (level, expected) in expected {
        let found = match (&checked.report.about, level) {
            (About::Transactions(about), Some(level)) => {
                about.levels.iter().find(|found| found.level == *level).map_or(Answer::Unknown, |found| found.verdict)
            }
            _ => checked.report.verdict,
        };
        compared.push(Compared { file: entry.file.clone(), level: *level, expected: *expected, found, cpu_ms });
    }
}

/// One line for a file, and one for each verdict that differs.
fn line(file: &str, compared: &[Compared], cpu: Duration, quiet: bool) -> String {
    let differs = |one: &&Compared| one.expected != one.found;
    let wrong: Vec<&Compared> = compared.iter().filter(differs).collect();
    if quiet && wrong.is_empty() {
        return String::new();
    }
    let (expected, found) = match compared {
        [one] => (one.expected.word().to_owned(), one.found.word().to_owned()),
        many => {
            let told = |answer: fn(&Compared) -> Answer| {
                let bad = many.iter().filter(|one| answer(one) == Answer::Violated).count();
                format!("{bad} of {} violated", many.len())
            };
            (told(|one| one.expected), told(|one| one.found))
        }
    };
    let mark = if wrong.is_empty() { "right" } else { "WRONG" };
    let first = format!("{mark:<6} {expected:<17} {found:<17} {:>10.3} ms  {file}\n", cpu.as_secs_f64() * 1e3);
    let others = wrong.iter().map(|one| {
        let level = one.level.map_or("linearizable", |level| level.name());
        format!("       {level}: expected {}, found {}\n", one.expected.word(), one.found.word())
    });
    std::iter::once(first).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_of_manifests_are_read() {
        assert_eq!(model("cas-register(init=null)").unwrap(), (Some(ModelName::CasRegister), Some("null".into())));
        assert_eq!(model("kv").unwrap(), (Some(ModelName::Kv), None));
        assert_eq!(model("kv string map (init=\"\" per key)").unwrap(), (Some(ModelName::Kv), Some("\"\"".into())));
        assert_eq!(model("mutex(init=free)").unwrap().1.unwrap(), "\"free\"");
        assert_eq!(model("multi-register(x=0, y=0)").unwrap().1.unwrap(), r#"{"x":0,"y":0}"#);
        assert!(model("stack").is_err());
    }

    #[test]
    fn expectations_are_read() {
        let entry = |expected| Entry { file: "f".into(), expected, model: None };
        assert_eq!(expected(&entry("bad".into())).unwrap(), Expected::from([(None, Answer::Violated)]));
        let levels = serde_json::json!({"serializable": "ok"});
        assert_eq!(expected(&entry(levels)).unwrap(), Expected::from([(Some(Level::Serializable), Answer::Holds)]));
        assert!(expected(&entry(serde_json::json!({"serial": "ok"}))).is_err());
        assert!(expected(&entry("good".into())).is_err());
    }
}
