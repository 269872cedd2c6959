//! Power losses against a model that tries every subset of the unsynced changes of names.

use super::*;

/// What each path holds: a file by its number, or a directory.
type Names = BTreeMap<String, Option<u32>>;

#[derive(Clone)]
enum Change {
    Create(String, Option<u32>),
    Rename(String, String, Option<u32>),
    Remove(String, Option<u32>),
}

impl Change {
    fn dirs(&self) -> BTreeSet<String> {
        match self {
            Self::Create(path, _) | Self::Remove(path, _) => BTreeSet::from([dir_of(path)]),
            Self::Rename(from, to, _) => BTreeSet::from([dir_of(from), dir_of(to)]),
        }
    }

    fn apply(&self, names: &mut Names) {
        match self {
            Self::Create(path, file) => drop(names.insert(path.clone(), *file)),
            Self::Rename(from, to, file) => {
                if names.get(from) == Some(file) {
                    names.remove(from);
                    names.insert(to.clone(), *file);
                }
            }
            Self::Remove(path, file) => {
                if names.get(path) == Some(file) {
                    names.remove(path);
                }
            }
        }
    }
}

fn dir_of(path: &str) -> String {
    path.rsplit_once('/').map_or("", |(dir, _)| dir).to_owned()
}

#[derive(Default)]
struct Model {
    current: Names,
    durable: Names,
    pending: Vec<Change>,
}

impl Model {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        self.pending.push(change);
    }

    /// The synced directory, and those that renames tie to it, are durable as they are now.
    fn sync(&mut self, dir: &str) {
        let mut dirs = BTreeSet::from([dir.to_owned()]);
        loop {
            let tied = self.pending.iter().map(Change::dirs).filter(|tied| !tied.is_disjoint(&dirs)).flatten();
            let grown: BTreeSet<String> = dirs.iter().cloned().chain(tied).collect();
            if grown == dirs {
                break;
            }
            dirs = grown;
        }
        self.durable.retain(|path, _| !dirs.contains(&dir_of(path)));
        self.durable.extend(self.current.clone().into_iter().filter(|(path, _)| dirs.contains(&dir_of(path))));
        self.pending.retain(|change| change.dirs().is_disjoint(&dirs));
    }

    /// What is left when exactly these pending changes survive.
    fn outcome(&self, survives: impl Fn(usize) -> bool) -> Names {
        let mut names = self.durable.clone();
        for (_, change) in self.pending.iter().enumerate().filter(|(i, _)| survives(*i)) {
            change.apply(&mut names);
        }
        // Directories are never removed, and the only one is in the root.
        let reachable = |path: &str| dir_of(path).is_empty() || names.contains_key(&dir_of(path));
        names.iter().filter(|(path, _)| reachable(path)).map(|(path, file)| (path.clone(), *file)).collect()
    }
}

fn observe(disk: &SimDisk) -> Names {
    let mut names = Names::new();
    for dir in ["", "d", "e"] {
        if !disk.exists(dir).expect("exists") {
            continue;
        }
        for name in disk.list(dir).expect("list") {
            let path = if dir.is_empty() { name } else { format!("{dir}/{name}") };
            let file = (!["d", "e"].contains(&path.as_str())).then(|| {
                u32::from_le_bytes(read_all(disk, &path).try_into().expect("the file's number, synced with it"))
            });
            names.insert(path, file);
        }
    }
    names
}

#[test]
fn names_survive_in_any_subset_and_no_other_way() {
    const PATHS: [&str; 6] = ["a", "b", "d/a", "d/b", "e/a", "e/b"];
    bolero::check!().with_type().with_iterations(4_000).cloned().for_each(
        |(seed, keep, steps): (u64, u8, Vec<(u8, u8, u8)>)| {
            let keep_directory_ppm = [0, FULL, 500_000][usize::from(keep % 3)];
            let disk = disk(DiskOptions { keep_directory_ppm, ..DiskOptions::default() }, seed);
            let mut model = Model::default();
            for (number, (action, a, b)) in steps.into_iter().enumerate() {
                let (path, other) = (PATHS[usize::from(a % 6)], PATHS[usize::from(b % 6)]);
                let dir = ["", "d", "e"][usize::from(a % 3)];
                match action % 8 {
                    0 => {
                        let exists = dir.is_empty() || model.current.contains_key(dir);
                        assert_eq!(disk.sync_dir(dir).is_ok(), exists);
                        if exists {
                            model.sync(dir);
                        }
                    }
                    1 => {
                        disk.power_loss();
                        disk.restart();
                        let survived = observe(&disk);
                        match keep_directory_ppm {
                            0 => assert_eq!(survived, model.outcome(|_| false)),
                            FULL => assert_eq!(survived, model.current),
                            _ => {
                                let mut outcomes = (0..1 << model.pending.len())
                                    .map(|subset: u32| model.outcome(|i| subset >> i & 1 != 0));
                                assert!(outcomes.any(|outcome| outcome == survived), "impossible: {survived:?}");
                            }
                        }
                        model = Model { current: survived.clone(), durable: survived, pending: Vec::new() };
                    }
                    // So many subsets are enough.
                    _ if model.pending.len() >= 8 => {}
                    2 if !dir.is_empty() => {
                        disk.create_dir(dir).expect("create");
                        if !model.current.contains_key(dir) {
                            model.change(Change::Create(dir.to_owned(), None));
                        }
                    }
                    3 => match (model.current.get(path), disk.remove(path)) {
                        (Some(&file), Ok(())) => model.change(Change::Remove(path.to_owned(), file)),
                        (None, Err(error)) => assert_eq!(error.kind, ErrorKind::NotFound),
                        (expected, result) => panic!("{expected:?}, {result:?}"),
                    },
                    4 | 5 => {
                        let has_parent = dir_of(other).is_empty() || model.current.contains_key(&dir_of(other));
                        match (model.current.get(path).filter(|_| has_parent), disk.rename(path, other)) {
                            (Some(&file), Ok(())) => {
                                if path != other {
                                    model.change(Change::Rename(path.to_owned(), other.to_owned(), file));
                                }
                            }
                            (None, Err(error)) => assert_eq!(error.kind, ErrorKind::NotFound),
                            (expected, result) => panic!("{expected:?}, {result:?}"),
                        }
                    }
                    _ => {
                        let has_parent = dir_of(path).is_empty() || model.current.contains_key(&dir_of(path));
                        let opened = disk.open(path);
                        assert_eq!(opened.is_ok(), has_parent);
                        if let Ok(file) = opened
                            && !model.current.contains_key(path)
                        {
                            file.write_at(&(number as u32).to_le_bytes(), 0).expect("write");
                            file.sync().expect("sync");
                            model.change(Change::Create(path.to_owned(), Some(number as u32)));
                        }
                    }
                }
                assert_eq!(observe(&disk), model.current);
            }
        },
    );
}

/// Scripts in which one name stands for different files in turn. What is possible is exactly what happens.
#[test]
fn a_change_is_about_a_file_and_not_about_a_name() {
    #[derive(Clone, Copy)]
    enum Step {
        Create(&'static str),
        Rename(&'static str, &'static str),
        Remove(&'static str),
    }
    use Step::{Create, Remove, Rename};
    let scripts: [&[Step]; 4] = [
        &[Remove("a"), Create("a"), Rename("a", "c")],
        &[Rename("b", "a"), Remove("a")],
        &[Rename("a", "c"), Create("a"), Rename("a", "b"), Remove("c")],
        &[Remove("a"), Rename("b", "a"), Create("b"), Remove("a"), Create("a")],
    ];
    for script in scripts {
        let mut model = Model::default();
        let mut happened = BTreeSet::new();
        for seed in 0..400 {
            let disk = disk(DiskOptions::default(), seed);
            model = Model::default();
            let create = |model: &mut Model, path: &str, number: u32| {
                let file = disk.open(path).expect("open");
                file.write_at(&number.to_le_bytes(), 0).expect("write");
                file.sync().expect("sync");
                model.change(Change::Create(path.to_owned(), Some(number)));
            };
            create(&mut model, "a", 100);
            create(&mut model, "b", 200);
            disk.sync_dir("").expect("sync");
            model.sync("");
            for (number, &step) in (0..).zip(script) {
                match step {
                    Create(path) => create(&mut model, path, number),
                    Rename(from, to) => {
                        disk.rename(from, to).expect("rename");
                        model.change(Change::Rename(from.to_owned(), to.to_owned(), model.current[from]));
                    }
                    Remove(path) => {
                        disk.remove(path).expect("remove");
                        model.change(Change::Remove(path.to_owned(), model.current[path]));
                    }
                }
            }
            disk.power_loss();
            disk.restart();
            happened.insert(observe(&disk));
        }
        let possible = (0..1 << model.pending.len()).map(|subset: u32| model.outcome(|i| subset >> i & 1 != 0));
        assert_eq!(happened, possible.collect());
    }
}

/// The usual way to replace a file: write another, sync it, rename it over the old, sync the directory.
#[test]
fn a_rename_is_atomic() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..50 {
        let disk = disk(DiskOptions::default(), seed);
        durable_file(&disk, "f", b"old");
        durable_file(&disk, "f.new", b"new");
        disk.rename("f.new", "f").expect("rename");
        if seed % 2 == 0 {
            disk.sync_dir("").expect("sync");
        }
        disk.power_loss();
        disk.restart();
        let outcome = (disk.list("").expect("list").join(" "), read_all(&disk, "f"));
        assert!(seed % 2 == 1 || outcome == ("f".to_owned(), b"new".to_vec()));
        outcomes.insert(outcome);
    }
    let expected = [("f", b"new"), ("f f.new", b"old")];
    assert_eq!(outcomes, expected.map(|(names, bytes)| (names.to_owned(), bytes.to_vec())).into());
}

#[test]
fn a_synced_file_in_a_lost_directory_is_lost() {
    let disk = disk(DiskOptions { keep_directory_ppm: 0, ..DiskOptions::default() }, 1);
    disk.create_dir("d/e").expect("create");
    durable_file(&disk, "d/e/f", b"synced");
    disk.sync_dir("d").expect("sync");
    disk.power_loss();
    disk.restart();
    assert_eq!(disk.list("").expect("list"), [""; 0]);
    assert_eq!(kind(disk.open("d/e/f")), ErrorKind::NotFound);
    // The creation of d, and d/e and d/e/f with it.
    assert_eq!(disk.counters().lost_entries, 3);
}
