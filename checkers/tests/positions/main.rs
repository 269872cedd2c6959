//! The judge of reported positions against its definition: whether there is a choice of who of unknown outcome committed
//! and where, so that all rules hold. All choices are tried.

use std::collections::BTreeMap;

use checkers::Verdict;
use checkers::generate::{Mutation, Options, Random, generate, mutate};
use checkers::history::{Micro, Outcome, Transaction};
use checkers::transactions::Level;
use checkers::versions::{self, Recency};

const LEVELS: [Level; 6] = [
    Level::SnapshotIsolation,
    Level::StrongSessionSnapshotIsolation,
    Level::StrongSnapshotIsolation,
    Level::Serializable,
    Level::StrongSessionSerializable,
    Level::StrictSerializable,
];

/// A key of rows (true) or of lists.
type Key = (bool, u64);

fn keys(transaction: &Transaction) -> Vec<Key> {
    let keys = transaction.operations.iter().filter_map(|micro| match micro {
        Micro::Write { key, .. } => Some((true, *key)),
        Micro::Append { key, .. } => Some((false, *key)),
        _ => None,
    });
    keys.collect()
}

/// What was committed up to a position: rows and lists.
#[derive(Clone, Default)]
struct State {
    rows: BTreeMap<u64, i64>,
    lists: BTreeMap<u64, Vec<i64>>,
}

impl State {
    fn write(&mut self, micro: &Micro) {
        match micro {
            Micro::Write { key, value: Some(value) } => {
                self.rows.insert(*key, *value);
            }
            Micro::Write { key, value: None } => {
                self.rows.remove(key);
            }
            Micro::Append { key, element } => self.lists.entry(*key).or_default().push(*element),
            _ => {}
        }
    }

    /// Whether a transaction that begins in this state reads what it did.
    fn explains(&self, transaction: &Transaction) -> bool {
        let mut state = self.clone();
        transaction.operations.iter().all(|micro| {
            state.write(micro);
            match micro {
                Micro::Read { key, value } => state.rows.get(key) == value.as_ref(),
                Micro::ReadList { key, elements } => state.lists.get(key).map_or(&[][..], Vec::as_slice) == elements,
                Micro::ReadRows { predicate, rows } => {
                    let mut rows = rows.clone();
                    rows.sort_unstable();
                    let matching = state.rows.iter().filter(|(_, value)| predicate.matches(Some(**value)));
                    matching.map(|(key, value)| (*key, *value)).eq(rows)
                }
                Micro::Write { .. } | Micro::Append { .. } => true,
            }
        })
    }
}

/// Whether all rules hold if these committed at these positions.
fn legal(options: &versions::Options, transactions: &[Transaction], commits: &[Option<u64>]) -> bool {
    let mut order: Vec<(u64, usize)> =
        commits.iter().enumerate().filter_map(|(at, commit)| Some(((*commit)?, at))).collect();
    order.sort_unstable();
    if order.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return false;
    }
    let state = |upto: u64| {
        let mut state = State::default();
        for (_, at) in order.iter().take_while(|(commit, _)| *commit <= upto) {
            transactions[*at].operations.iter().for_each(|micro| state.write(micro));
        }
        state
    };
    transactions.iter().enumerate().all(|(at, transaction)| {
        let (snapshot, commit) = (transaction.snapshot, commits[at]);
        let acknowledged = transaction.outcome == Outcome::Ok;
        if !acknowledged && commit.is_none() {
            return true;
        }
        let Some(sees) = snapshot.or(commit.map(|commit| commit - 1)) else { return true };
        if commit.is_some_and(|commit| sees >= commit) {
            return false;
        }
        // Who is of unknown outcome has committed after what it must have seen.
        let bound = if acknowledged { sees } else { commit.unwrap_or(0) - 1 };
        let recent = transactions.iter().enumerate().all(|(other, before)| {
            let Some(told) = before.acknowledged() else { return true };
            let Some(position) = before.commit.or(before.snapshot) else { return true };
            let session = before.client == transaction.client
                && (told, other) < (transaction.invoke, at)
                && told <= transaction.invoke
                && acknowledged;
            match options.recency {
                Recency::None => true,
                Recency::Session => !session || position <= bound,
                Recency::RealTime => !(session || told < transaction.invoke) || position <= bound,
            }
        });
        let first = !options.first_committer_wins
            || commit.is_none()
            || snapshot.is_none()
            || order.iter().filter(|(position, other)| Some(*position) < commit && *other != at).all(
                |(position, other)| {
                    Some(*position) <= snapshot
                        || !keys(&transactions[*other]).iter().any(|key| keys(transaction).contains(key))
                },
            );
        let reads = !acknowledged
            || (snapshot.is_none_or(|snapshot| state(snapshot).explains(transaction))
                && (!options.serial || commit.is_none_or(|commit| state(commit - 1).explains(transaction))));
        recent && first && reads
    })
}

/// Tries everything; `None` if that is too much.
fn possible(options: &versions::Options, transactions: &[Transaction]) -> Option<bool> {
    let mut commits: Vec<Option<u64>> = transactions
        .iter()
        .map(|transaction| transaction.commit.filter(|_| transaction.outcome != Outcome::Failed))
        .collect();
    let doubtful: Vec<usize> = (0..transactions.len())
        .filter(|at| {
            transactions[*at].outcome == Outcome::Unknown && commits[*at].is_none() && transactions[*at].writes()
        })
        .collect();
    let last = transactions.iter().filter_map(|one| one.commit.max(one.snapshot)).max().unwrap_or(0);
    let free: Vec<u64> = (1..=last + 1).filter(|position| !commits.contains(&Some(*position))).collect();
    if (free.len() as u64 + 1).checked_pow(doubtful.len() as u32).is_none_or(|choices| choices > 2000) {
        return None;
    }
    Some(search(options, transactions, &mut commits, &doubtful, &free))
}

fn search(
    options: &versions::Options,
    transactions: &[Transaction],
    commits: &mut Vec<Option<u64>>,
    doubtful: &[usize],
    free: &[u64],
) -> bool {
    let Some((first, rest)) = doubtful.split_first() else { return legal(options, transactions, commits) };
    std::iter::once(None).chain(free.iter().copied().map(Some)).any(|choice| {
        commits[*first] = choice;
        let found = search(options, transactions, commits, rest, free);
        commits[*first] = None;
        found
    })
}

/// No history that is possible is rejected, and of those that are not nearly all are found, mutated or not.
#[test]
fn the_judge_agrees_with_the_definition() {
    for level in LEVELS {
        let options = versions::Options::of(level).unwrap();
        let (mut bad, mut found, mut good) = (0, 0, 0);
        for mutation in [None].into_iter().chain(Mutation::ALL.map(Some)) {
            for seed in 0..300 {
                let shape = Options { transactions: 3 + seed as usize % 13, ..Options::varied(level, seed) };
                let mut generated = generate(&shape, seed);
                let what = match mutation {
                    Some(mutation) => match mutate(&mut generated, mutation, &mut Random::new(seed)) {
                        Some(done) => done.what,
                        None => continue,
                    },
                    None => String::new(),
                };
                let transactions = &generated.history.transactions;
                let Some(possible) = possible(&options, transactions) else { continue };
                assert!(mutation.is_some() || possible, "{level}, seed {seed}: {transactions:#?}");
                let verdict = versions::check(transactions, options);
                match (possible, &verdict) {
                    (true, Verdict::Pass { .. }) => good += 1,
                    (true, _) => panic!("{level}, seed {seed}: {what}\n{verdict:#?}\n{transactions:#?}"),
                    (false, verdict) => {
                        bad += 1;
                        found += u32::from(verdict.violation().is_some());
                    }
                }
            }
        }
        assert!(good > 400 && bad > 1000 && found * 200 > bad * 199, "{level}: {found} of {bad} found, {good} good");
    }
}
