//! Histories that are correct by construction, and mutations that make them wrong.
//!
//! [`generate`] runs a tiny abstract database under a random scheduler: a few clients, each with one transaction at a time,
//! take steps in random order (invoke, read or write, commit, learn the outcome), and the [level](Level) says what a
//! transaction sees, and what stops it from committing. So every history shows what its level allows: old
//! snapshots, lost updates, write skew, phantoms, whatever is not forbidden. It depends on nothing but the options.
//!
//! | level | sees | commits if |
//! | --- | --- | --- |
//! | read committed | the newest commit at every step | always |
//! | read atomic | a prefix of the commits that holds its client's, and some others | always |
//! | causal | what has arrived at its site | the lists that it appends to have arrived as they are |
//! | cursor stability | the newest commit at every step | what it read and writes has not changed |
//! | repeatable read | the newest commit at every step | no row or list that it read has changed |
//! | snapshot isolation | a prefix of the commits | nobody has written what it writes |
//! | serializable | a prefix of the commits | what it read still holds; always if it wrote nothing |
//!
//! With `strong-session-` the prefix holds what the client was told before, with `strong-` and `strict-` all that was
//! committed before the transaction was invoked.
//!
//! [`mutate`](fn@mutate) changes one thing, so that most histories become illegal; which ones, a judge must say.

mod database;
mod mutate;
mod random;
#[cfg(test)]
mod tests;

pub use crate::history::Event;
pub use mutate::{Done, Mutation, mutate};
pub use random::Random;

use std::collections::VecDeque;

use crate::history::{History, Micro, Outcome, Predicate, Transaction};
use crate::transactions::Level;
use database::{Commit, Database, View, Write};

/// What histories look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What the database promises.
    pub level: Level,
    /// How many transactions there are.
    pub transactions: usize,
    /// How many run at a time, at most.
    pub clients: u64,
    /// How many rows and how many lists are in use at a time.
    pub keys: u64,
    /// The least and the greatest number of steps in a transaction.
    pub operations: (u64, u64),
    /// How often a step is on a row, on a list, or reads by a predicate, relative to each other.
    pub kinds: (u64, u64, u64),
    /// How many of 100 steps on a row or list write, in transactions that write.
    pub writes: u64,
    /// How many of 1,000 transactions give up by themselves.
    pub aborted: u64,
    /// How many of 1,000 transactions have an outcome that the client never learns. Half of them commit, some of these
    /// later.
    pub unknown: u64,
    /// Whether snapshots and commit positions are reported, where the level has them.
    pub positions: bool,
    /// How many positions may lie between two commits.
    pub gap: u64,
    /// How many commits old a snapshot may be, where the level allows it.
    pub lag: u64,
    /// After so many writes a key is replaced by a new one.
    pub retire: Option<u64>,
    /// Whether a value is written only once. If not, rows are also deleted.
    pub unique: bool,
}

impl Options {
    /// A mix of rows, lists and predicate reads, some aborts and unknown outcomes, and few keys.
    pub fn new(level: Level, transactions: usize) -> Self {
        Self {
            level,
            transactions,
            clients: 4,
            keys: 4,
            operations: (1, 5),
            kinds: (4, 4, 1),
            writes: 50,
            aborted: 50,
            unknown: 50,
            positions: true,
            gap: 0,
            lag: 8,
            retire: None,
            unique: true,
        }
    }

    /// Small histories of all kinds: the number of transactions (from 3 to 40), clients and keys, what steps do, and
    /// how positions and values are given follow from `seed`.
    pub fn varied(level: Level, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let kinds = [(4, 4, 1), (1, 0, 0), (0, 1, 0), (3, 0, 1), (1, 1, 0)];
        Self {
            clients: 2 + random.below(5),
            keys: 1 + random.below(5),
            operations: (1, 1 + random.below(6)),
            kinds: kinds[random.below(kinds.len() as u64) as usize],
            writes: 20 + random.below(80),
            aborted: random.below(200),
            unknown: random.below(2) * random.below(300),
            gap: random.below(2) * random.below(5),
            lag: random.below(10),
            retire: random.chance(1, 4).then_some(4),
            unique: !random.chance(1, 4),
            ..Self::new(level, 3 + random.below(38) as usize)
        }
    }
}

/// A history, and what really happened.
#[derive(Clone, Debug)]
pub struct Generated {
    /// What the clients saw, in the order of completion.
    pub history: History,
    /// By name of the transaction: its place in the order of commits, if it committed a write.
    pub commits: Vec<Option<u64>>,
}

/// Something that the client has under way.
#[derive(Debug)]
struct Active {
    transaction: Transaction,
    view: View,
    /// How many steps are left, and whether they may write.
    steps: u64,
    reader: bool,
    writes: Vec<Write>,
    /// What it read, as it stands in the order of commits: rows and lists by key.
    read_rows: Vec<(u64, Commit)>,
    read_lists: Vec<(u64, Commit)>,
    predicates: Vec<(Predicate, Vec<(u64, i64)>)>,
    /// Set when it is over and only the client does not know it yet.
    over: Option<Outcome>,
    /// The last commit when it was.
    commit: Option<Commit>,
}

/// A client, which has a new name after every outcome that it did not learn.
#[derive(Debug)]
struct Client {
    name: u64,
    active: Option<Active>,
    /// The last commit that it knows of.
    told: Commit,
}

/// A run of the database, which goes on as far as its events are asked for.
#[derive(Debug)]
pub struct Run<'a> {
    options: &'a Options,
    random: Random,
    database: Database,
    clients: Vec<Client>,
    names: u64,
    now: u64,
    /// By commit: the position that is reported.
    positions: Vec<u64>,
    events: VecDeque<Event>,
    commits: Vec<Option<u64>>,
    /// Whose client has given up, but which may commit yet.
    late: Vec<(usize, Active)>,
    /// The keys in use, with the number of writes: of rows and of lists.
    rows: Vec<(u64, u64)>,
    lists: Vec<(u64, u64)>,
    next: i64,
}

/// Runs the database until there are as many transactions as asked for.
pub fn generate(options: &Options, seed: u64) -> Generated {
    let mut run = Run::new(options, seed);
    let mut transactions = Vec::with_capacity(options.transactions);
    transactions.extend(run.by_ref().filter_map(|event| match event {
        Event::Over(transaction) => Some(transaction),
        Event::Invoked { .. } => None,
    }));
    Generated { history: History { transactions, timed: true, ..History::default() }, commits: run.commits }
}

/// Gives rows even numbers and lists odd ones. Here they are apart, but a file has one space of keys for both.
pub fn number_apart(transaction: &mut Transaction) {
    for micro in &mut transaction.operations {
        match micro {
            Micro::Read { key, .. } | Micro::Write { key, .. } => *key *= 2,
            Micro::ReadList { key, .. } | Micro::Append { key, .. } => *key = *key * 2 + 1,
            Micro::ReadRows { rows, .. } => rows.iter_mut().for_each(|(key, _)| *key *= 2),
        }
    }
}

impl Iterator for Run<'_> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        while self.events.is_empty() && self.busy() {
            let at = self.random.below(self.clients.len() as u64) as usize;
            self.step(at);
        }
        self.events.pop_front()
    }
}

impl<'a> Run<'a> {
    /// A run in which nothing has happened.
    pub fn new(options: &'a Options, seed: u64) -> Self {
        let clients = options.clients.max(1);
        let keys = || (0..options.keys.max(1)).map(|key| (key, 0)).collect();
        let sites = if options.level == Level::Causal { clients.min(3) } else { 1 };
        Self {
            options,
            random: Random::new(seed),
            database: Database::new(sites as usize),
            clients: (0..clients).map(|name| Client { name, active: None, told: 0 }).collect(),
            names: clients,
            now: 0,
            positions: vec![0],
            events: VecDeque::new(),
            commits: Vec::with_capacity(options.transactions),
            late: Vec::new(),
            rows: keys(),
            lists: keys(),
            next: 0,
        }
    }

    fn busy(&self) -> bool {
        self.commits.len() < self.options.transactions || self.clients.iter().any(|client| client.active.is_some())
    }

    fn step(&mut self, at: usize) {
        self.now += self.random.below(4);
        if self.options.level == Level::Causal {
            let sites = self.clients.len().min(3) as u64;
            let (from, to) = (self.random.below(sites), self.random.below(sites));
            if from != to {
                self.database.replicate(from as usize, to as usize);
            }
        }
        if !self.late.is_empty() && self.random.chance(1, 16) {
            let one = self.random.below(self.late.len() as u64) as usize;
            let (site, active) = self.late.swap_remove(one);
            if self.may_commit(&active) {
                self.commit(site, &active);
            }
        }
        match self.clients[at].active.take() {
            None if self.commits.len() < self.options.transactions => {
                let active = self.begin(at);
                self.clients[at].active = Some(active);
            }
            None => {}
            Some(active) if active.over.is_some() => self.tell(at, active),
            Some(mut active) if active.steps > 0 => {
                active.steps -= 1;
                self.operation(&mut active);
                self.clients[at].active = Some(active);
            }
            Some(active) => self.end(at, active),
        }
    }

    fn site(&self, at: usize) -> usize {
        if self.options.level == Level::Causal { at % self.clients.len().min(3) } else { 0 }
    }

    fn begin(&mut self, at: usize) -> Active {
        let reader = self.random.chance(1, 3);
        let latest = self.database.latest();
        let old = latest.saturating_sub(self.random.below(self.options.lag + 1));
        let old = if self.random.chance(1, 2) { old } else { latest };
        let Client { name, told, .. } = self.clients[at];
        let view = match self.options.level {
            Level::ReadCommitted | Level::CursorStability | Level::RepeatableRead => View::Latest,
            Level::ReadAtomic => View::Some { upto: old.max(told), now: latest, salt: self.random.any() },
            Level::Causal => self.database.arrived(self.site(at)),
            Level::SnapshotIsolation => View::Upto(old),
            Level::Serializable if reader => View::Upto(old),
            Level::StrongSessionSnapshotIsolation => View::Upto(old.max(told)),
            Level::StrongSessionSerializable if reader => View::Upto(old.max(told)),
            Level::StrongSnapshotIsolation
            | Level::Serializable
            | Level::StrongSessionSerializable
            | Level::StrictSerializable => View::Upto(latest),
        };
        let snapshot = match view {
            View::Upto(commit) => Some(self.positions[commit as usize]),
            View::Latest | View::Some { .. } | View::Arrived(_) => None,
        };
        let id = self.commits.len() as u64;
        self.commits.push(None);
        self.events.push_back(Event::Invoked { id, time: self.now });
        let (least, most) = self.options.operations;
        Active {
            transaction: Transaction {
                id,
                client: name,
                invoke: self.now,
                complete: None,
                outcome: Outcome::Unknown,
                snapshot: snapshot.filter(|_| self.options.positions),
                commit: None,
                historic: false,
                initial: false,
                operations: Vec::with_capacity(most as usize),
            },
            view,
            steps: least + self.random.below(most.saturating_sub(least) + 1),
            reader,
            writes: Vec::new(),
            read_rows: Vec::new(),
            read_lists: Vec::new(),
            predicates: Vec::new(),
            over: None,
            commit: None,
        }
    }

    fn operation(&mut self, active: &mut Active) {
        let (rows, lists, predicates) = self.options.kinds;
        let kind = self.random.below(rows + lists + predicates);
        let writes = !active.reader && self.random.chance(self.options.writes, 100);
        let place = self.random.below(self.options.keys.max(1)) as usize;
        // To write what was read is how updates are lost.
        let again = writes && self.random.chance(1, 2);
        if kind < rows {
            let key = self.rows[place].0;
            if writes {
                let key = active.read_rows.last().filter(|_| again).map_or(key, |(key, _)| *key);
                self.next += 1;
                let value = if self.options.unique {
                    Some(self.next)
                } else {
                    Some(self.random.below(4) as i64).filter(|value| *value != 0)
                };
                active.transaction.operations.push(Micro::Write { key, value });
                active.writes.push(Write::Row(key, value));
            } else {
                let value = self.read_row(active, key);
                active.transaction.operations.push(Micro::Read { key, value });
            }
        } else if kind < rows + lists {
            let key = self.lists[place].0;
            if writes {
                let key = active.read_lists.last().filter(|_| again).map_or(key, |(key, _)| *key);
                self.next += 1;
                active.transaction.operations.push(Micro::Append { key, element: self.next });
                active.writes.push(Write::Element(key, self.next));
            } else {
                self.read_list(active, key);
            }
        } else {
            self.read_rows(active);
        }
    }

    fn read_row(&mut self, active: &mut Active, key: u64) -> Option<i64> {
        let own = active.writes.iter().rev().find_map(|write| match write {
            Write::Row(row, value) if *row == key => Some(*value),
            _ => None,
        });
        own.unwrap_or_else(|| {
            let (commit, value) = self.database.row(key, &active.view);
            active.read_rows.push((key, commit));
            value
        })
    }

    fn read_list(&mut self, active: &mut Active, key: u64) {
        let own = active.writes.iter().filter_map(|write| match write {
            Write::Element(list, element) if *list == key => Some(*element),
            _ => None,
        });
        let own: Vec<i64> = own.collect();
        let weak = matches!(self.options.level, Level::ReadCommitted | Level::ReadAtomic | Level::Causal);
        // Others may append before its own elements come to stand where it saw them.
        if weak && !own.is_empty() {
            return;
        }
        let (commit, before) = self.database.list(key, &active.view);
        active.read_lists.push((key, commit));
        let elements = [before, &own].concat();
        active.transaction.operations.push(Micro::ReadList { key, elements });
    }

    fn read_rows(&mut self, active: &mut Active) {
        let number = self.next - self.random.below(12) as i64;
        let predicate = match self.random.below(5) {
            0 => Predicate::Any,
            1 => Predicate::Equal(number),
            2 => Predicate::Greater(number),
            3 => Predicate::Less(number),
            _ => Predicate::Modulo { divisor: 2, remainder: self.random.below(2) as i64 },
        };
        active.predicates.push((predicate, self.matching(predicate, &active.view)));
        let mut rows = Vec::new();
        let keys = self.rows.iter().map(|(key, _)| key + 1).max().unwrap_or(0);
        for key in 0..self.database.rows().max(keys) {
            let known = active.read_rows.len();
            let value = self.read_row(active, key);
            if predicate.matches(value) {
                rows.extend(value.map(|value| (key, value)));
            } else {
                // It has not seen more than that the row does not match.
                active.read_rows.truncate(known);
            }
        }
        active.transaction.operations.push(Micro::ReadRows { predicate, rows });
    }

    fn matching(&self, predicate: Predicate, view: &View) -> Vec<(u64, i64)> {
        let rows = (0..self.database.rows()).map(|key| (key, self.database.row(key, view).1));
        rows.filter(|(_, value)| predicate.matches(*value)).filter_map(|(key, value)| Some((key, value?))).collect()
    }

    /// Whether nobody else was in the way, see the table above.
    fn may_commit(&self, active: &Active) -> bool {
        let row = |key: u64| self.database.row(key, &View::Latest).0;
        let list = |key: u64| self.database.list(key, &View::Latest).0;
        let item = |only: &dyn Fn(bool, u64) -> bool| {
            active.read_rows.iter().all(|(key, commit)| !only(true, *key) || row(*key) == *commit)
                && active.read_lists.iter().all(|(key, commit)| !only(false, *key) || list(*key) == *commit)
        };
        let written = |is_row: bool, key: u64| {
            active.writes.iter().any(|write| match write {
                Write::Row(row, _) => is_row && *row == key,
                Write::Element(list, _) => !is_row && *list == key,
            })
        };
        match self.options.level {
            Level::ReadCommitted | Level::ReadAtomic => true,
            Level::Causal => active.writes.iter().all(|write| match write {
                Write::Row(..) => true,
                Write::Element(key, _) => list(*key) == 0 || self.database.sees(&active.view, list(*key)),
            }),
            Level::CursorStability => item(&written),
            Level::RepeatableRead => item(&|_, _| true),
            Level::SnapshotIsolation | Level::StrongSessionSnapshotIsolation | Level::StrongSnapshotIsolation => {
                let View::Upto(snapshot) = active.view else { return true };
                active.writes.iter().all(|write| match write {
                    Write::Row(key, _) => row(*key) <= snapshot,
                    Write::Element(key, _) => list(*key) <= snapshot,
                })
            }
            Level::Serializable | Level::StrongSessionSerializable | Level::StrictSerializable => {
                let same = |(predicate, rows): &(Predicate, Vec<_>)| self.matching(*predicate, &View::Latest) == *rows;
                active.writes.is_empty() || (item(&|_, _| true) && active.predicates.iter().all(same))
            }
        }
    }

    fn commit(&mut self, site: usize, active: &Active) -> Commit {
        let commit = self.database.commit(site, &active.writes);
        let last = self.positions[commit as usize - 1];
        self.positions.push(last + 1 + self.random.below(self.options.gap + 1));
        self.commits[active.transaction.id as usize] = Some(commit);
        let needed = self.needed();
        self.database.forget_order(needed);
        for write in &active.writes {
            self.database.forget(*write, needed);
            if let Some(retire) = self.options.retire {
                let (keys, key) = match *write {
                    Write::Row(key, _) => (&mut self.rows, key),
                    Write::Element(key, _) => (&mut self.lists, key),
                };
                let fresh = keys.iter().map(|(key, _)| *key).max().map_or(0, |last| last + 1);
                if let Some(slot) = keys.iter_mut().find(|(slot, _)| *slot == key) {
                    slot.1 += 1;
                    if slot.1 >= retire {
                        *slot = (fresh, 0);
                    }
                }
            }
        }
        commit
    }

    /// All commits up to this one are seen by everybody who runs or begins.
    fn needed(&self) -> Commit {
        let views = self.clients.iter().filter_map(|client| client.active.as_ref()).map(|active| &active.view);
        let seen = views.map(|view| match view {
            View::Upto(upto) | View::Some { upto, .. } => *upto,
            View::Latest => u64::MAX,
            View::Arrived(_) => 0,
        });
        let oldest = seen.min().unwrap_or(u64::MAX).min(self.database.latest().saturating_sub(self.options.lag));
        if self.options.level == Level::Causal { oldest.min(self.database.everywhere()) } else { oldest }
    }

    /// The last step of a transaction has been taken.
    fn end(&mut self, at: usize, mut active: Active) {
        let site = self.site(at);
        if self.random.chance(self.options.unknown, 1000) {
            let late = self.random.chance(1, 4);
            if !late && self.random.chance(1, 2) && !active.writes.is_empty() && self.may_commit(&active) {
                self.commit(site, &active);
            }
            self.give_up(at, active, late);
            return;
        }
        let commits = !self.random.chance(self.options.aborted, 1000) && self.may_commit(&active);
        active.over = Some(if commits { Outcome::Ok } else { Outcome::Failed });
        if commits && !active.writes.is_empty() {
            let commit = self.commit(site, &active);
            active.commit = Some(commit);
            active.transaction.commit = Some(self.positions[commit as usize]).filter(|_| self.options.positions);
        }
        self.clients[at].active = Some(active);
    }

    /// The client learns the outcome.
    fn tell(&mut self, at: usize, active: Active) {
        let seen = match active.view {
            View::Upto(upto) => upto,
            View::Latest | View::Some { .. } | View::Arrived(_) => 0,
        };
        let mut transaction = active.transaction;
        transaction.complete = Some(self.now);
        transaction.outcome = active.over.unwrap_or(Outcome::Failed);
        if transaction.outcome == Outcome::Ok {
            let told = &mut self.clients[at].told;
            *told = (*told).max(active.commit.unwrap_or(seen));
        }
        self.events.push_back(Event::Over(transaction));
    }

    /// The client does not learn it, and has a successor.
    fn give_up(&mut self, at: usize, active: Active, late: bool) {
        let mut transaction = active.transaction.clone();
        if self.random.chance(1, 2) {
            transaction.complete = Some(self.now);
        }
        if self.random.chance(1, 2) {
            transaction.snapshot = None;
        }
        self.events.push_back(Event::Over(transaction));
        let client = &mut self.clients[at];
        client.name = self.names;
        client.told = 0;
        self.names += 1;
        if late && !active.writes.is_empty() {
            let site = self.site(at);
            self.late.push((site, active));
        }
    }
}
