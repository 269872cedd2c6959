//! What every fault-free disk must do, on each of them.

use super::*;

/// A directory of the operating system that is removed again.
#[cfg(unix)]
pub(crate) struct Scratch(std::path::PathBuf);

#[cfg(unix)]
impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("orrery-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("create");
        Self(path)
    }

    pub(crate) fn disk(&self) -> OsDisk {
        OsDisk::new(self.0.clone())
    }
}

#[cfg(unix)]
impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("remove");
    }
}

/// Each rule becomes a test on each disk.
macro_rules! conformance {
    ($($rule:ident),* $(,)?) => {
        mod memory {
            $(#[test]
            fn $rule() {
                super::$rule(&super::MemDisk::new());
            })*
        }

        #[cfg(unix)]
        mod os {
            $(#[test]
            fn $rule() {
                let scratch = super::Scratch::new(stringify!($rule));
                super::$rule(&scratch.disk());
            })*
        }
    };
}

conformance!(
    a_file_holds_what_was_written,
    a_file_grows_with_zeros,
    reads_past_the_end_fail_and_absurd_offsets_too,
    names_are_listed_sorted,
    directories_are_made_with_their_parents,
    a_rename_replaces,
    a_handle_outlives_its_name,
    what_is_not_there_is_not_found,
    directories_are_no_files,
    paths_stay_below_the_root,
    a_lock_excludes,
);

fn kind<T>(result: Result<T, Error>) -> ErrorKind {
    result.err().expect("must fail").kind
}

fn contents<F: File>(file: &F) -> Vec<u8> {
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    bytes
}

fn a_file_holds_what_was_written(disk: &impl Disk) {
    let file = disk.open("a").unwrap();
    assert!(file.is_empty().unwrap());
    file.write_at(b"hello", 0).unwrap();
    file.write_at(b"LO", 3).unwrap();
    file.write_at(b", world", 5).unwrap();
    file.write_at(b"", 100).unwrap();
    file.sync().unwrap();
    assert_eq!(contents(&file), b"helLO, world");
    let mut part = [0; 4];
    file.read_at(&mut part, 2).unwrap();
    assert_eq!(&part, b"lLO,");
    let again = disk.open("a").unwrap();
    assert_eq!(contents(&again), b"helLO, world");
    again.write_at(b"J", 0).unwrap();
    assert_eq!(contents(&file), b"JelLO, world", "handles share the file");
    assert_eq!(contents(&disk.clone().open("a").unwrap()), b"JelLO, world", "clones are the same disk");
}

fn a_file_grows_with_zeros(disk: &impl Disk) {
    let file = disk.open("a").unwrap();
    file.write_at(b"abc", 2).unwrap();
    assert_eq!(contents(&file), b"\0\0abc");
    file.set_len(4).unwrap();
    assert_eq!(contents(&file), b"\0\0ab");
    file.set_len(6).unwrap();
    assert_eq!(contents(&file), b"\0\0ab\0\0", "what was cut does not come back");
    file.write_at(b"xy", 8).unwrap();
    assert_eq!(contents(&file), b"\0\0ab\0\0\0\0xy");
    file.set_len(0).unwrap();
    assert!(file.is_empty().unwrap());
}

fn reads_past_the_end_fail_and_absurd_offsets_too(disk: &impl Disk) {
    let file = disk.open("a").unwrap();
    file.write_at(b"abc", 0).unwrap();
    assert_eq!(kind(file.read_at(&mut [0; 4], 0)), ErrorKind::UnexpectedEof);
    assert_eq!(kind(file.read_at(&mut [0; 1], 3)), ErrorKind::UnexpectedEof);
    file.read_at(&mut [], 3).unwrap();
    file.read_at(&mut [0; 1], u64::MAX).unwrap_err();
    file.write_at(b"x", u64::MAX - 1).unwrap_err();
    file.set_len(u64::MAX).unwrap_err();
    assert_eq!(contents(&file), b"abc");
}

fn names_are_listed_sorted(disk: &impl Disk) {
    assert!(disk.list("").unwrap().is_empty());
    disk.create_dir("d").unwrap();
    for path in ["b", "d/z", "a", "d/y", "c"] {
        disk.open(path).unwrap();
    }
    disk.create_dir("d/e/f").unwrap();
    assert_eq!(disk.list("").unwrap(), ["a", "b", "c", "d"]);
    assert_eq!(disk.list("d").unwrap(), ["e", "y", "z"]);
    assert_eq!(disk.list("d/e/f").unwrap(), [""; 0]);
    disk.remove("b").unwrap();
    assert_eq!(disk.list("").unwrap(), ["a", "c", "d"]);
}

fn directories_are_made_with_their_parents(disk: &impl Disk) {
    assert_eq!(kind(disk.open("d/e/a")), ErrorKind::NotFound);
    disk.create_dir("d/e").unwrap();
    disk.create_dir("d/e").unwrap();
    disk.create_dir("").unwrap();
    disk.open("d/e/a").unwrap().write_at(b"x", 0).unwrap();
    for (path, exists) in [("", true), ("d", true), ("d/e", true), ("d/e/a", true), ("d/a", false), ("d/e/a/b", false)]
    {
        assert_eq!(disk.exists(path).unwrap(), exists, "{path}");
    }
    disk.create_dir("d/e/a").unwrap_err();
    disk.create_dir("d/e/a/b").unwrap_err();
    for dir in ["", "d", "d/e"] {
        disk.sync_dir(dir).unwrap();
    }
}

fn a_rename_replaces(disk: &impl Disk) {
    disk.create_dir("d").unwrap();
    disk.open("a").unwrap().write_at(b"new", 0).unwrap();
    disk.open("d/b").unwrap().write_at(b"older", 0).unwrap();
    disk.rename("a", "d/b").unwrap();
    assert!(!disk.exists("a").unwrap());
    assert_eq!(contents(&disk.open("d/b").unwrap()), b"new");
    disk.rename("d/b", "d/b").unwrap();
    assert_eq!(contents(&disk.open("d/b").unwrap()), b"new");
    disk.rename("d/b", "c").unwrap();
    assert_eq!(disk.list("d").unwrap(), [""; 0]);
    assert_eq!(contents(&disk.open("c").unwrap()), b"new");
    assert_eq!(kind(disk.rename("c", "x/c")), ErrorKind::NotFound);
    assert_eq!(contents(&disk.open("c").unwrap()), b"new");
}

fn a_handle_outlives_its_name(disk: &impl Disk) {
    let old = disk.open("a").unwrap();
    old.write_at(b"old", 0).unwrap();
    disk.remove("a").unwrap();
    let new = disk.open("a").unwrap();
    assert!(new.is_empty().unwrap());
    old.write_at(b"OLD", 0).unwrap();
    assert_eq!(contents(&old), b"OLD");
    new.write_at(b"new", 0).unwrap();
    disk.rename("a", "b").unwrap();
    new.write_at(b"N", 0).unwrap();
    assert_eq!(contents(&disk.open("b").unwrap()), b"New", "a handle follows its file");
}

fn what_is_not_there_is_not_found(disk: &impl Disk) {
    assert_eq!(kind(disk.open("x/a")), ErrorKind::NotFound);
    assert_eq!(kind(disk.rename("x", "y")), ErrorKind::NotFound);
    assert_eq!(kind(disk.remove("x")), ErrorKind::NotFound);
    assert_eq!(kind(disk.list("x")), ErrorKind::NotFound);
    assert_eq!(kind(disk.sync_dir("x")), ErrorKind::NotFound);
    assert_eq!(kind(disk.lock("x/lock")), ErrorKind::NotFound);
    assert!(!disk.exists("x").unwrap());
    let error = disk.remove("x").unwrap_err();
    assert_eq!(error.to_string(), r#"remove "x": no such file or directory"#);
}

fn directories_are_no_files(disk: &impl Disk) {
    disk.create_dir("d/e").unwrap();
    disk.open("a").unwrap();
    assert!(disk.open("d").is_err());
    disk.remove("d/e").unwrap_err();
    disk.rename("d", "x").unwrap_err();
    disk.rename("a", "d/e").unwrap_err();
    disk.list("a").unwrap_err();
    disk.sync_dir("a").unwrap_err();
    assert!(disk.open("a/b").is_err());
    assert_eq!(disk.list("").unwrap(), ["a", "d"]);
    assert_eq!(disk.list("d").unwrap(), ["e"]);
}

fn paths_stay_below_the_root(disk: &impl Disk) {
    disk.create_dir("d").unwrap();
    disk.open("a").unwrap();
    for path in ["..", "../a", "d/../../a", "/", "/etc/passwd", "d/../a", "./a", ".", "d//a", "d/"] {
        let refused = ErrorKind::Other("not a relative path of plain names".into());
        assert_eq!(kind(disk.open(path)), refused, "{path}");
        assert_eq!(kind(disk.exists(path)), refused, "{path}");
        assert_eq!(kind(disk.rename("a", path)), refused, "{path}");
        assert_eq!(kind(disk.rename(path, "a")), refused, "{path}");
        assert_eq!(kind(disk.remove(path)), refused, "{path}");
        assert_eq!(kind(disk.list(path)), refused, "{path}");
        assert_eq!(kind(disk.create_dir(path)), refused, "{path}");
        assert_eq!(kind(disk.sync_dir(path)), refused, "{path}");
        assert_eq!(kind(disk.lock(path)), refused, "{path}");
    }
    assert!(disk.open("").is_err());
    assert_eq!(disk.list("").unwrap(), ["a", "d"]);
}

fn a_lock_excludes(disk: &impl Disk) {
    disk.create_dir("d").unwrap();
    let lock = disk.lock("d/lock").unwrap();
    assert_eq!(kind(disk.clone().lock("d/lock")), ErrorKind::Locked);
    let other = disk.lock("other").unwrap();
    drop(lock);
    let again = disk.lock("d/lock").unwrap();
    assert_eq!(kind(disk.lock("d/lock")), ErrorKind::Locked);
    assert_eq!(kind(disk.lock("other")), ErrorKind::Locked);
    drop((again, other));
    disk.lock("other").unwrap();
}

#[test]
fn memory_counts() {
    let disk = MemDisk::new();
    let file = disk.open("a").unwrap();
    file.write_at(b"abc", 0).unwrap();
    file.write_at(b"def", 3).unwrap();
    file.set_len(5).unwrap();
    file.sync().unwrap();
    contents(&file);
    disk.sync_dir("").unwrap();
    assert_eq!(disk.counters(), MemCounters { reads: 1, writes: 2, syncs: 1, directory_syncs: 1 });
}
