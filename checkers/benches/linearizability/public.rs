//! Reads a directory of recorded histories, with the verdict in the file's name (`…-ok.jsonl` or `…-bad.jsonl`).

use std::path::Path;

use checkers::formats::{Decided, ModelName, Objects, Recorded, judge, read};
use checkers::history::Operation;
use checkers::linearizability::{Decision, Hints, Model, Options, decide};
use serde_json::Value;

/// A file with calls.
pub struct File {
    pub name: String,
    /// Whether it is linearizable.
    pub expected: bool,
    objects: Objects,
}

impl File {
    /// Whether the keys of a store can be checked apart.
    pub fn is_key_value(&self) -> bool {
        self.objects.model(None) == Ok(ModelName::Kv)
    }

    /// Whether it is linearizable, if that was found out, and how many configurations that took.
    pub fn judge(&self, options: &Options) -> anyhow::Result<(Option<bool>, u64)> {
        // What the tests of others have in their registers at first is not in the files.
        let initial = match self.objects.model(None)? {
            ModelName::Register | ModelName::CasRegister if !self.name.starts_with("etcd") => Value::from(0),
            ModelName::MultiRegister => serde_json::json!({ "x": 0, "y": 0 }),
            _ => Value::Null,
        };
        let judged = judge(&self.objects, None, Some(&initial), options, false)?;
        let legal = match judged.decided {
            Decided::Linearizable { .. } => Some(true),
            Decided::Illegal(_) => Some(false),
            Decided::Unknown { .. } => None,
        };
        Ok((legal, judged.explored))
    }
}

pub fn verdict<M: Model + Hints<M>>(
    model: &M,
    operations: &[Operation<M::Op, M::Ret>],
    options: &Options,
) -> (Option<bool>, u64) {
    match decide::<M, M>(model, operations, options) {
        Decision::Linearizable { explored, .. } => (Some(true), explored),
        Decision::Illegal(illegal) => (Some(false), illegal.explored),
        Decision::Unknown { explored, .. } => (None, explored),
    }
}

/// All histories of a directory, by name.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads what it is pointed at")]
pub fn files(directory: &Path) -> anyhow::Result<Vec<File>> {
    let mut names: Vec<String> = std::fs::read_dir(directory)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<anyhow::Result<_>>()?;
    names.sort();
    let mut all = Vec::new();
    for name in names {
        let expected = match name.strip_suffix(".jsonl") {
            Some(stem) if stem.ends_with("-ok") => true,
            Some(stem) if stem.ends_with("-bad") => false,
            _ => continue,
        };
        let bytes = std::fs::read(directory.join(&name))?;
        let recorded = if bytes.is_empty() { Recorded::Objects(Objects::default()) } else { read(&bytes, None)? };
        let Recorded::Objects(objects) = recorded else { anyhow::bail!("{name} has transactions") };
        all.push(File { name, expected, objects });
    }
    Ok(all)
}
