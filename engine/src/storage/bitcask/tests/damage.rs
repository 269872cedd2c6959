//! Bits that flip, records in the wrong place, lengths that lie: damage is reported with its place, or is a torn tail, but
//! never data.

use bolero::check;

use super::super::format::{FILE_HEADER, FileHeader, RECORD_HEADER, RecordBuffer};
use super::*;

/// A file with records, of which those before `claimed` are called synced by the last; where each starts, and the state
/// before each, and at the end.
struct Fixture {
    bytes: Vec<u8>,
    claimed: usize,
    starts: Vec<usize>,
    states: Vec<Map>,
}

fn fixture() -> Fixture {
    let disk = MemDisk::new();
    let mut store = open(&disk, LAZY).unwrap();
    let (mut starts, mut states) = (Vec::new(), vec![Map::new()]);
    let mut apply = |store: &mut BitCask<MemDisk>, number, operations: &[_]| {
        let batch = batch(number, operations);
        starts.push(store.end as usize);
        states.push(after(states.last().unwrap().clone(), &batch));
        store.apply(batch).unwrap();
    };
    apply(&mut store, 1, &[(1, Some(10)), (2, Some(30)), (3, Some(0))]);
    apply(&mut store, 2, &[(1, None), (4, Some(100))]);
    store.flush().unwrap();
    apply(&mut store, 3, &[(2, Some(31)), (5, Some(7))]);
    store.flush().unwrap();
    let claimed = store.end as usize;
    apply(&mut store, 4, &[(6, Some(5))]);
    drop(store);
    Fixture { bytes: bytes_of(&disk), claimed, starts, states }
}

impl Fixture {
    /// The number of the record that a byte belongs to.
    fn record_of(&self, byte: usize) -> usize {
        self.starts.partition_point(|&start| start <= byte) - 1
    }
}

fn corrupt_at<T>(result: Result<T, Error>) -> u64 {
    match result.err().expect("must be noticed") {
        Error::Corrupt { path, offset, reason } => {
            assert_eq!(path, DATA);
            assert!(!reason.is_empty());
            offset
        }
        error => panic!("{error}"),
    }
}

#[test]
fn every_flipped_bit_is_noticed_on_open() {
    let fixture = fixture();
    for bit in 0..fixture.bytes.len() * 8 {
        let mut bytes = fixture.bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let byte = bit / 8;
        let result = open(&disk_with(&bytes), LAZY);
        if byte < FILE_HEADER {
            assert_eq!(corrupt_at(result), 0);
        } else if byte < fixture.claimed {
            assert_eq!(corrupt_at(result), fixture.starts[fixture.record_of(byte)] as u64, "bit {bit}");
        } else {
            // Nothing says that the last record was synced.
            let found = contents(&result.expect("opens")).expect("reads");
            assert_eq!(found, fixture.states[3], "bit {bit}");
        }
    }
}

#[test]
fn every_flipped_bit_is_noticed_on_reading() {
    let fixture = fixture();
    let expected = fixture.states.last().unwrap();
    let mut noticed = 0;
    for bit in 0..fixture.bytes.len() * 8 {
        let disk = disk_with(&fixture.bytes);
        let mut store = open(&disk, LAZY).unwrap();
        let byte = [fixture.bytes[bit / 8] ^ 1 << (bit % 8)];
        disk.open(DATA).unwrap().write_at(&byte, bit as u64 / 8).unwrap();
        match contents(&store) {
            Ok(found) => {
                assert_eq!(found, *expected, "bit {bit}");
                // What is not live is not copied either.
                store.compact().unwrap();
                assert_eq!(contents(&store).unwrap(), *expected, "bit {bit}");
            }
            error => {
                noticed += 1;
                corrupt_at(error);
                store.get(b"absent").unwrap_err();
                store.compact().unwrap_err();
                assert_eq!(bytes_of(&disk).len(), fixture.bytes.len(), "a damaged file is not replaced");
            }
        }
    }
    assert_eq!(noticed, expected.values().map(|value| value.len() * 8).sum::<usize>());
}

#[test]
fn any_damage_is_noticed_or_harmless() {
    let fixture = fixture();
    check!().with_type::<Vec<(u16, u8)>>().with_iterations(3_000).for_each(|writes| {
        let mut bytes = fixture.bytes.clone();
        let mut first = bytes.len();
        for &(at, byte) in writes {
            let at = usize::from(at) % bytes.len();
            if bytes[at] != byte {
                bytes[at] = byte;
                first = first.min(at);
            }
        }
        match open(&disk_with(&bytes), LAZY) {
            Ok(store) => assert!(fixture.states.contains(&contents(&store).expect("reads"))),
            error => _ = corrupt_at(error),
        }
    });
}

#[test]
fn any_bytes_are_no_store() {
    check!().with_iterations(2_000).for_each(|bytes| {
        corrupt_at(open(&disk_with(bytes), LAZY));
    });
    // With a good header any bytes are a torn tail.
    check!().with_iterations(2_000).for_each(|bytes| {
        let header = FileHeader { generation: 7, base: FILE_HEADER as u64 };
        let disk = disk_with(&[&header.encode(), bytes].concat());
        assert_eq!(contents(&open(&disk, LAZY).expect("opens")).expect("reads"), Map::new());
        assert_eq!(bytes_of(&disk).len(), FILE_HEADER);
    });
}

#[test]
fn a_shortened_file_is_noticed_where_it_was_durable_from_the_beginning() {
    let disk = MemDisk::new();
    let mut store = open(&disk, LAZY).unwrap();
    store.apply(batch(1, &[(1, Some(10)), (2, Some(2_000))])).unwrap();
    store.compact().unwrap();
    let base = store.end as usize;
    store.apply(batch(2, &[(3, Some(3))])).unwrap();
    drop(store);
    let bytes = bytes_of(&disk);
    for len in 0..base {
        let offset = corrupt_at(open(&disk_with(&bytes[..len]), LAZY));
        assert_eq!(offset, if len < FILE_HEADER { 0 } else { FILE_HEADER as u64 });
    }
    // A flipped bit there is damage although no later record says so.
    let mut flipped = bytes[..base].to_vec();
    flipped[base - 1] ^= 1;
    assert_eq!(corrupt_at(open(&disk_with(&flipped), LAZY)), FILE_HEADER as u64);
    open(&disk_with(&bytes[..base]), LAZY).expect("opens");
}

#[test]
fn records_count_only_in_their_place() {
    let Fixture { bytes, starts, .. } = fixture();
    // Two records of equal length change places, both durable.
    let disk = MemDisk::new();
    let mut store = open(&disk, LAZY).unwrap();
    for number in 1..=3 {
        store.apply(batch(number, &[(number, Some(10))])).unwrap();
        store.flush().unwrap();
    }
    drop(store);
    let original = bytes_of(&disk);
    let len = (original.len() - FILE_HEADER) / 3;
    let mut swapped = original.clone();
    swapped[FILE_HEADER..FILE_HEADER + 2 * len].rotate_left(len);
    assert_eq!(corrupt_at(open(&disk_with(&swapped), LAZY)), FILE_HEADER as u64);
    // A record again after the last one is none.
    let again = [&bytes[..], &bytes[starts[2]..starts[3]]].concat();
    let disk = disk_with(&again);
    drop(open(&disk, LAZY).unwrap());
    assert_eq!(bytes_of(&disk), bytes);
    // Nor are the records of another generation, in their place.
    let header = FileHeader { generation: 2, base: FILE_HEADER as u64 };
    let disk = disk_with(&[&header.encode(), &bytes[FILE_HEADER..]].concat());
    assert_eq!(contents(&open(&disk, LAZY).unwrap()).unwrap(), Map::new());
}

/// A value may hold anything, even a whole file whose records claim to be durable: in a torn record it proves nothing.
#[test]
fn a_value_is_never_taken_for_a_record() {
    let inner = fixture().bytes;
    let disk = MemDisk::new();
    let mut store = open(&disk, LAZY).unwrap();
    store.apply(batch(1, &[(1, Some(1))])).unwrap();
    store.flush().unwrap();
    let kept = contents(&store).unwrap();
    let mut batch = Batch::default();
    for shift in 0..64 {
        batch.set(vec![shift; 1 + usize::from(shift)], inner.clone());
    }
    store.apply(batch).unwrap();
    drop(store);
    let bytes = bytes_of(&disk);
    let torn = disk_with(&bytes[..bytes.len() - 1]);
    assert_eq!(contents(&open(&torn, LAZY).expect("opens")).unwrap(), kept);
}

/// A length that reaches beyond the end of the file is not believed, nor is memory allocated for it.
#[test]
fn a_record_longer_than_the_file_is_torn() {
    let header = FileHeader { generation: 1, base: FILE_HEADER as u64 };
    let mut bytes = header.encode().to_vec();
    let mut record = RecordBuffer::new();
    record.push(b"key", Some(&[1; 100]));
    bytes.extend_from_slice(record.seal(1, FILE_HEADER as u64, 0));
    assert_eq!(open(&disk_with(&bytes), LAZY).unwrap().status().keys, 1);
    // The header is good, but for the content that is missing.
    for len in FILE_HEADER + RECORD_HEADER..bytes.len() {
        assert_eq!(open(&disk_with(&bytes[..len]), LAZY).unwrap().status().keys, 0);
    }
}

/// Records that are what was written, but hold what no batch encodes to.
#[test]
fn a_record_of_nonsense_is_reported() {
    let nonsense: [&[u8]; 4] = [b"x", &[0, 0, 0, 1, 0, 0, 0, 0], &[0, 0, 0, 0, 0, 0, 0, 2, 1], &[0xff; 12]];
    for content in nonsense {
        let mut record = RecordBuffer::new();
        record.push_raw(content);
        let header = FileHeader { generation: 1, base: FILE_HEADER as u64 };
        let bytes = [&header.encode(), record.seal(1, FILE_HEADER as u64, 0)].concat();
        assert_eq!(corrupt_at(open(&disk_with(&bytes), LAZY)), FILE_HEADER as u64);
    }
}
