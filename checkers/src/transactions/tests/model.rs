//! The checker against a model of a database, sound and broken, and against an exhaustive search for a timeline.

use std::collections::{BTreeMap, BTreeSet};

use super::lists::{check, explained};
use super::{Micro, Outcome, Transaction, a, l, txn, unknown};
use crate::Verdict;
use crate::history::validate;

const LISTS: usize = 4;

/// The content of every list.
type State = [Vec<i64>; LISTS];

/// What is wrong with a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// Snapshots are up to three commits old.
    StaleSnapshot,
    /// The first committer does not win.
    LostUpdate,
    /// A commit becomes visible list by list.
    TornCommit,
    /// A commit forgets what was appended to its first list.
    DroppedAppend,
    /// What failed takes effect.
    FailedApplies,
    /// Two sites, each master of half of the lists, see each other's commits late.
    LongFork,
}

/// A transaction at work.
struct Open {
    transaction: Transaction,
    /// What it reads from, and how many commits that is; taken at some time after its invocation.
    snapshot: Option<(State, usize)>,
    /// It has committed, and the client is about to know.
    over: bool,
}

/// One copy of the lists, with every state it went through, and after which of them each list was appended to last.
#[derive(Clone)]
struct Site {
    states: Vec<State>,
    changed: [usize; LISTS],
}

impl Site {
    fn apply(&mut self, appends: &[(usize, i64)]) {
        let mut state = self.states[self.states.len() - 1].clone();
        for &(list, element) in appends {
            state[list].push(element);
            self.changed[list] = self.states.len();
        }
        self.states.push(state);
    }
}

fn appends(transaction: &Transaction) -> Vec<(usize, i64)> {
    let appends = transaction.operations.iter().filter_map(|micro| match micro {
        Micro::Append { key, element } => Some((*key as usize, *element)),
        _ => None,
    });
    appends.collect()
}

/// A snapshot-isolated database under several clients. The bytes decide who does what next.
fn history(bytes: &[u8], fault: Fault) -> Vec<Transaction> {
    const CLIENTS: usize = 5;
    let mut sites = vec![Site { states: vec![State::default()], changed: [0; LISTS] }; 2];
    let mut open: [Option<Open>; CLIENTS] = [const { None }; CLIENTS];
    // Commits whose client gave up: they may still arrive. Appends that another site or list has not seen yet.
    let (mut lost, mut late) = (Vec::<Open>::new(), Vec::<(usize, Vec<(usize, i64)>)>::new());
    let (mut history, mut id) = (Vec::new(), 0);
    for (now, pair) in (10_u64..).zip(bytes.chunks_exact(2)) {
        let (client, choice) = (usize::from(pair[0]) % CLIENTS, usize::from(pair[1]));
        let home = if fault == Fault::LongFork { client % 2 } else { 0 };
        let conflicts = |site: &Site, open: &Open| {
            let seen = open.snapshot.as_ref().map_or(0, |(_, seen)| *seen);
            appends(&open.transaction).iter().any(|(list, _)| site.changed[*list] >= seen) && fault != Fault::LostUpdate
        };
        // One in eight steps belongs to the network.
        if pair[0] >= 224 {
            if choice % 2 == 0 && !late.is_empty() {
                let (site, appends) = late.remove(0);
                sites[site].apply(&appends);
            } else if !lost.is_empty() {
                let open = lost.remove(choice / 2 % lost.len());
                if choice >= 64 && !conflicts(&sites[0], &open) {
                    sites[0].apply(&appends(&open.transaction));
                }
            }
            continue;
        }
        let Some(mut at) = open[client].take() else {
            id += 1;
            let mut transaction = txn(id, (now, now), Vec::new());
            transaction.client = client as u64;
            transaction.historic = choice % 16 == 0;
            open[client] = Some(Open { transaction, snapshot: None, over: false });
            continue;
        };
        let site = &mut sites[home];
        let Some((state, _)) = &at.snapshot else {
            let old = match fault {
                _ if at.transaction.historic => choice,
                Fault::StaleSnapshot => choice % 4,
                _ => 0,
            };
            let seen = site.states.len() - old.min(site.states.len() - 1);
            at.snapshot = Some((site.states[seen - 1].clone(), seen));
            open[client] = Some(at);
            continue;
        };
        let transaction = &mut at.transaction;
        transaction.complete = Some(now);
        if at.over {
            history.push(at.transaction);
            continue;
        }
        let list = choice / 8 % LISTS;
        let own = appends(transaction);
        match choice % 8 {
            0..3 => {
                let mut elements = state[list].clone();
                elements.extend(own.iter().filter(|(own, _)| *own == list).map(|(_, element)| element));
                transaction.operations.push(l(list as u64, &elements));
            }
            3..6 if !transaction.historic && (fault != Fault::LongFork || list % 2 == home) => {
                transaction.operations.push(a(list as u64, now as i64));
            }
            6 if choice >= 192 && fault != Fault::LongFork => {
                at.transaction = unknown(at.transaction);
                history.push(at.transaction.clone());
                lost.push(at);
                continue;
            }
            _ => {
                let fails = !own.is_empty() && (conflicts(site, &at) || choice >= 224);
                if fails {
                    at.transaction.outcome = Outcome::Failed;
                }
                let lists: BTreeSet<usize> = own.iter().map(|(list, _)| *list).collect();
                let (first, rest): (Vec<_>, Vec<_>) = own.iter().partition(|(list, _)| Some(list) == lists.first());
                match fault {
                    _ if own.is_empty() || fails && fault != Fault::FailedApplies => {}
                    Fault::TornCommit if lists.len() > 1 => {
                        site.apply(&first);
                        late.push((0, rest));
                    }
                    Fault::DroppedAppend => site.apply(&rest),
                    Fault::LongFork => {
                        site.apply(&own);
                        late.push((1 - home, own));
                    }
                    _ => site.apply(&own),
                }
                at.over = true;
            }
        }
        open[client] = Some(at);
    }
    // What was still open is not known to be over.
    history.extend(open.into_iter().flatten().map(|open| {
        let outcome = if open.over { open.transaction.outcome } else { Outcome::Unknown };
        let complete = open.transaction.complete.filter(|_| open.over);
        Transaction { complete, outcome, ..open.transaction }
    }));
    history
}

#[test]
fn a_correct_database_passes_whatever_clients_miss() {
    bolero::check!().with_type::<[u8; 600]>().with_iterations(600).for_each(|bytes| {
        let history = history(bytes, Fault::None);
        validate(&history).unwrap();
        match check(&history) {
            Verdict::Pass { comparisons } => {
                let known = history.iter().filter(|transaction| transaction.outcome == Outcome::Ok).count();
                assert!(comparisons >= known as u64);
            }
            verdict => panic!("{verdict:#?}\n{history:#?}"),
        }
    });
}

/// How often each anomaly is found in 200 histories of a database with a fault.
fn found(fault: Fault) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for seed in 0..200 {
        let bytes: Vec<u8> = (0..100_u64)
            .flat_map(|at| xxhash_rust::xxh3::xxh3_64_with_seed(&at.to_le_bytes(), seed).to_le_bytes())
            .collect();
        let history = history(&bytes, fault);
        validate(&history).unwrap();
        if let Some(violation) = check(&history).violation() {
            explained(violation);
            let class = violation.anomaly.trim_end_matches("-process").trim_end_matches("-realtime");
            *found.entry(class.to_owned()).or_default() += 1;
        }
    }
    found
}

#[test]
fn broken_databases_are_found() {
    // What a fault must be found as, and may be; with sessions and real time, or without.
    let faults: [(Fault, &[&str], &[&str]); 6] = [
        (Fault::StaleSnapshot, &["G-single"], &["G-nonadjacent"]),
        (Fault::LostUpdate, &["lost-update", "G-single"], &[]),
        // Half a commit is seen, overwritten or overlooked; or all of it later than it was acknowledged.
        (Fault::TornCommit, &["G-single", "G1c", "G0"], &["lost-update", "G-nonadjacent", "long-fork"]),
        // The next one updates the same version, or time shows that the append is missing.
        (Fault::DroppedAppend, &["lost-update", "G-single"], &["G0", "G1c"]),
        (Fault::FailedApplies, &["G1a", "dirty-update"], &[]),
        (Fault::LongFork, &["long-fork", "G-nonadjacent", "G-single"], &[]),
    ];
    for (fault, must, may) in faults {
        let found = found(fault);
        let name = |name: &str| must.contains(&name) || may.contains(&name);
        assert!(must.iter().all(|must| found.contains_key(*must)), "{fault:?}: {found:?}");
        assert!(found.keys().all(|found| name(found)), "{fault:?}: {found:?}");
        assert!(found.values().sum::<usize>() >= 100, "{fault:?}: {found:?}");
    }
    assert_eq!(found(Fault::None), BTreeMap::new());
}

/// An exhaustive search for a timeline on which transactions run one event at a time.
struct Exhaustive<'a> {
    transactions: &'a [Transaction],
    /// By transaction: when it began, and whether it committed since.
    begun: Vec<Option<usize>>,
    committed: Vec<bool>,
    lists: State,
    /// By list: when it was appended to last.
    changed: [usize; LISTS],
}

impl Exhaustive<'_> {
    fn explains(transactions: &[Transaction]) -> bool {
        let (begun, committed) = (vec![None; transactions.len()], vec![false; transactions.len()]);
        let mut search = Exhaustive { transactions, begun, committed, lists: State::default(), changed: [0; LISTS] };
        search.from(1)
    }

    /// Whether the rest can happen from the moment `now` on.
    fn from(&mut self, now: usize) -> bool {
        let done = |(transaction, committed): (&Transaction, &bool)| *committed || transaction.outcome != Outcome::Ok;
        if self.transactions.iter().zip(&self.committed).all(done) {
            return true;
        }
        for (at, transaction) in self.transactions.iter().enumerate() {
            let outdated = self.transactions.iter().zip(&self.committed).any(|(other, committed)| {
                !committed && other.acknowledged().is_some_and(|acknowledged| acknowledged < transaction.invoke)
            });
            match self.begun[at] {
                _ if self.committed[at] || transaction.outcome == Outcome::Failed => {}
                None if transaction.historic || !outdated => {
                    if self.reads(transaction) {
                        self.begun[at] = Some(now);
                        if self.from(now + 1) {
                            return true;
                        }
                        self.begun[at] = None;
                    }
                }
                Some(begun) if !outdated => {
                    let appends = appends(transaction);
                    if appends.iter().any(|(list, _)| self.changed[*list] > begun) {
                        continue;
                    }
                    let before = (self.lists.clone(), self.changed);
                    for (list, element) in appends {
                        self.lists[list].push(element);
                        self.changed[list] = now;
                    }
                    self.committed[at] = true;
                    if self.from(now + 1) {
                        return true;
                    }
                    self.committed[at] = false;
                    (self.lists, self.changed) = before;
                }
                None | Some(_) => {}
            }
        }
        false
    }

    /// Whether the transaction would read now what it read.
    fn reads(&self, transaction: &Transaction) -> bool {
        let mut lists = self.lists.clone();
        transaction.operations.iter().all(|micro| match micro {
            Micro::Append { key, element } => {
                lists[*key as usize].push(*element);
                true
            }
            Micro::ReadList { key, elements } => lists[*key as usize] == *elements,
            Micro::Read { .. } | Micro::Write { .. } | Micro::ReadRows { .. } => true,
        })
    }
}

/// Transactions that ran somehow, some of which saw a little more or less than they should, and one that reads all at
/// the end, so that no order is left open.
fn tangled(bytes: &[u8]) -> Vec<Transaction> {
    let mut bytes = bytes.iter().copied();
    let mut draw = |below: usize| usize::from(bytes.next().unwrap_or(0)) % below;
    let count = 2 + draw(4);
    let slack = [0, 2, 100][draw(3)];
    // By transaction: when it began and committed, and the lengths of the lists at its begin.
    let (mut begun, mut ended) = (vec![None; count], vec![None; count]);
    let mut transactions: Vec<Transaction> = (0..count)
        .map(|at| {
            let kinds: Vec<_> = (0..=draw(3)).map(|nth| (draw(5) < 2, draw(3), (10 * at + nth) as i64)).collect();
            let operations = kinds.into_iter().map(
                |(appends, list, element)| {
                    if appends { a(list as u64, element) } else { l(list as u64, &[]) }
                },
            );
            let transaction = txn(at as u64, (0, 0), operations.collect());
            let outcome =
                [Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Unknown, Outcome::Failed][draw(6)];
            Transaction { outcome, historic: draw(8) == 7 && !transaction.writes(), ..transaction }
        })
        .collect();
    let (mut lists, mut now) = (State::default(), 1000_u64);
    while ended.contains(&None) {
        now += 2;
        let wanted = draw(count);
        let at = (wanted..wanted + count).map(|at| at % count).find(|at| ended[*at].is_none()).unwrap();
        if begun[at].is_none() {
            begun[at] = Some((now, lists.each_ref().map(Vec::len)));
            continue;
        }
        ended[at] = Some(now);
        if transactions[at].outcome == Outcome::Ok || transactions[at].outcome == Outcome::Unknown && draw(2) == 0 {
            for (list, element) in appends(&transactions[at]) {
                lists[list].push(element);
            }
        }
    }
    let list = draw(LISTS);
    if draw(6) == 0 && lists[list].len() > 1 {
        let at = draw(lists[list].len() - 1);
        lists[list].swap(at, at + 1);
    }
    for (at, transaction) in transactions.iter_mut().enumerate() {
        let (Some((begun, lengths)), Some(ended)) = (begun[at], ended[at]) else { unreachable!("all have ended") };
        (transaction.invoke, transaction.complete) =
            (begun - draw(slack + 1) as u64, Some(ended + draw(slack + 1) as u64));
        let lengths: [usize; LISTS] = std::array::from_fn(|list| match draw(12) {
            0 => lengths[list] + 1,
            1 => lengths[list].saturating_sub(1),
            _ => lengths[list],
        });
        let mut own: State = State::default();
        for micro in &mut transaction.operations {
            match micro {
                Micro::Append { key, element } => own[*key as usize].push(*element),
                Micro::ReadList { key, elements } => {
                    let list = *key as usize;
                    elements.extend(lists[list].iter().take(lengths[list]).chain(&own[list]));
                }
                Micro::Read { .. } | Micro::Write { .. } | Micro::ReadRows { .. } => {}
            }
        }
    }
    let all = (0..).zip(&lists).map(|(list, elements)| l(list, elements)).collect();
    transactions.push(txn(count as u64, (5000, 5001), all));
    transactions
}

#[test]
fn the_verdict_is_that_of_an_exhaustive_search() {
    bolero::check!().with_type::<[u8; 100]>().with_iterations(8000).for_each(|bytes| {
        let history = tangled(bytes);
        validate(&history).unwrap();
        let verdict = check(&history);
        assert_eq!(verdict.is_pass(), Exhaustive::explains(&history), "{verdict:#?}\n{history:#?}");
        verdict.violation().into_iter().for_each(explained);
        // Without the last reader there may be more reasons against it than the checker sees, but never fewer.
        let (_, open) = history.split_last().unwrap();
        let verdict = check(open);
        assert!(verdict.is_pass() || !Exhaustive::explains(open), "{verdict:#?}\n{open:#?}");
    });
}
