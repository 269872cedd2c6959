//! Without faults, a disk is a map from paths to bytes, across reopening and the deaths of processes.

use super::*;

#[test]
fn without_faults_a_disk_is_a_map() {
    const PATHS: [&str; 5] = ["a", "b", "d/a", "d/b", "x/a"];
    bolero::check!().with_type().with_iterations(4_000).cloned().for_each(
        |(seed, steps): (u64, Vec<(u8, u8, u16, u16)>)| {
            let disk = disk(DiskOptions::default(), seed);
            disk.create_dir("d").expect("create");
            let mut model: BTreeMap<String, Vec<u8>> = BTreeMap::new();
            for (action, which, a, b) in steps {
                let path = PATHS[usize::from(which % 5)];
                let (offset, len) = (usize::from(a % 2_000), usize::from(b % 2_000));
                let file = match (disk.open(path), path.starts_with('x')) {
                    (Ok(file), false) => file,
                    (Err(error), true) => {
                        assert_eq!(error.kind, ErrorKind::NotFound);
                        continue;
                    }
                    (result, _) => panic!("{path}: {result:?}"),
                };
                let bytes = model.entry(path.to_owned()).or_default();
                match action % 8 {
                    0 => {
                        file.set_len(len as u64).expect("truncate");
                        bytes.resize(len, 0);
                    }
                    1 => {
                        let mut read = vec![0; len];
                        match bytes.get(offset..offset + len) {
                            None if len == 0 => file.read_at(&mut read, offset as u64).expect("nothing, anywhere"),
                            Some(expected) => {
                                file.read_at(&mut read, offset as u64).expect("read");
                                assert_eq!(read, expected);
                            }
                            None => assert_eq!(kind(file.read_at(&mut read, offset as u64)), ErrorKind::UnexpectedEof),
                        }
                    }
                    2 => {
                        let to = PATHS[usize::from(a % 5)];
                        if to.starts_with('x') {
                            assert_eq!(kind(disk.rename(path, to)), ErrorKind::NotFound);
                        } else {
                            disk.rename(path, to).expect("rename");
                            let bytes = model.remove(path).expect("opened above");
                            model.insert(to.to_owned(), bytes);
                        }
                    }
                    3 => {
                        disk.remove(path).expect("remove");
                        model.remove(path);
                    }
                    4 => file.sync().expect("sync"),
                    5 => disk.sync_dir(path.rsplit_once('/').map_or("", |(dir, _)| dir)).expect("sync"),
                    6 => {
                        disk.process_crash();
                        disk.restart();
                    }
                    _ => {
                        let data = vec![(a ^ b) as u8; len];
                        file.write_at(&data, offset as u64).expect("write");
                        if len > 0 {
                            bytes.resize(bytes.len().max(offset + len), 0);
                            bytes[offset..offset + len].copy_from_slice(&data);
                        }
                    }
                }
            }
            for (dir, prefix) in [("", ""), ("d", "d/")] {
                let names =
                    model.keys().filter_map(|path| path.strip_prefix(prefix)).filter(|name| !name.contains('/'));
                let mut expected: Vec<&str> = names.collect();
                if dir.is_empty() {
                    expected.push("d");
                }
                assert_eq!(disk.list(dir).expect("list"), expected);
            }
            for (path, bytes) in &model {
                assert_eq!(read_all(&disk, path), *bytes, "{path}");
            }
        },
    );
}
