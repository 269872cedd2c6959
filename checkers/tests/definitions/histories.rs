//! Small random histories: run on a store that keeps to some rules and not to others, then perhaps changed.

use std::collections::BTreeMap;

use checkers::history::{History, Micro, Outcome, Predicate, Transaction};

/// Numbers that look random and follow from a seed (`SplitMix64`).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % limit
    }

    pub fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }
}

/// What the operations are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Reads and writes of rows, without deletes.
    Registers,
    /// Reads of lists and appends.
    Lists,
    /// Rows with deletes and predicate reads.
    Rows,
    /// All of them.
    Mixed,
    /// Rows, with few values, so that a value does not tell who wrote it.
    Repeated,
}

#[derive(Clone, Debug, Default)]
struct State {
    rows: BTreeMap<u64, i64>,
    lists: BTreeMap<u64, Vec<i64>>,
}

/// What a transaction does to one row or list, without what it reads.
#[derive(Clone, Copy, Debug)]
enum Plan {
    Read(u64),
    Write(u64, Option<i64>),
    ReadList(u64),
    Append(u64, i64),
    ReadRows(Predicate),
}

struct Running {
    at: usize,
    plan: Vec<Plan>,
    /// What it reads from, and what it wrote itself.
    snapshot: State,
    own: Vec<Plan>,
    begun: u64,
}

/// How the store behaves.
struct Rules {
    /// Whether each operation reads what is committed then, and not when the transaction began.
    latest: bool,
    /// Whether a snapshot may be old.
    stale: bool,
    /// Whether a transaction fails if another one wrote the same since it began.
    conflicts: bool,
    /// Whether only one transaction runs at a time.
    serial: bool,
}

/// A history of at most so many transactions.
pub fn random(seed: u64, shape: Shape, most: u64) -> History {
    let random = &mut Random(seed);
    let count = 2 + random.below(most - 1);
    let clients = 1 + random.below(4);
    let keys = 1 + random.below(3);
    let rules = Rules {
        latest: random.one_in(2),
        stale: random.one_in(3),
        conflicts: !random.one_in(3),
        serial: random.one_in(6),
    };
    let rows = matches!(shape, Shape::Rows | Shape::Mixed | Shape::Repeated);
    let mut value = 0;
    let mut plan = |random: &mut Random| {
        let steps = 1 + random.below(4);
        let steps = (0..steps).map(|_| {
            let key = random.below(keys);
            value = if shape == Shape::Repeated { 1 + random.below(3) as i64 } else { value + 1 };
            let is_list = match shape {
                Shape::Lists => true,
                Shape::Registers | Shape::Rows | Shape::Repeated => false,
                Shape::Mixed => random.one_in(2),
            };
            match random.below(5) {
                0 | 1 if is_list => Plan::Append(key, value),
                _ if is_list => Plan::ReadList(key),
                0 if rows && random.one_in(3) => Plan::Write(key, None),
                0 | 1 => Plan::Write(key, Some(value)),
                2 | 3 if rows && random.one_in(2) => Plan::ReadRows(match random.below(4) {
                    0 => Predicate::Any,
                    1 => Predicate::Modulo { divisor: 2, remainder: random.below(2) as i64 },
                    2 => Predicate::Greater(random.below(8) as i64),
                    _ => Predicate::Less(random.below(12) as i64),
                }),
                _ => Plan::Read(key),
            }
        });
        steps.collect::<Vec<Plan>>()
    };

    let mut transactions: Vec<Transaction> = Vec::new();
    let mut states = vec![State::default()];
    let mut written_at: Vec<Vec<Plan>> = vec![Vec::new()];
    if random.one_in(4) {
        let rows = (0..keys).map(|key| Plan::Write(key, Some(1_000 + key as i64)));
        let rows: Vec<Plan> = rows.filter(|_| shape != Shape::Lists).collect();
        let mut state = State::default();
        for plan in &rows {
            apply(&mut state, plan);
        }
        states.push(state);
        let mut first = transaction(0, clients, 0);
        first.initial = true;
        first.complete = Some(0);
        first.operations = rows.iter().map(|plan| observe(&State::default(), plan)).collect();
        transactions.push(first);
        written_at.push(rows);
    }
    let mut running: Vec<Running> = Vec::new();
    let mut now = 1;
    let total = transactions.len() + count as usize;
    while transactions.len() < total || !running.is_empty() {
        now += 1;
        let may_begin = transactions.len() < total && (!rules.serial || running.is_empty());
        let client = random.below(clients);
        let is_free = running.iter().all(|running| transactions[running.at].client != client);
        if may_begin && is_free && (running.is_empty() || random.one_in(3)) {
            let begun = states.len() as u64 - if rules.stale { random.below(states.len() as u64) } else { 0 } - 1;
            let at = transactions.len();
            transactions.push(transaction(at as u64, client, now));
            let snapshot = states[begun as usize].clone();
            running.push(Running { at, plan: plan(random), snapshot, own: Vec::new(), begun });
            continue;
        }
        if running.is_empty() {
            continue;
        }
        let which = random.below(running.len() as u64) as usize;
        let turn = &mut running[which];
        if !turn.plan.is_empty() {
            let step = turn.plan.remove(0);
            if rules.latest {
                turn.snapshot = states[states.len() - 1].clone();
            }
            let mut view = turn.snapshot.clone();
            turn.own.iter().for_each(|plan| apply(&mut view, plan));
            transactions[turn.at].operations.push(observe(&view, &step));
            if matches!(step, Plan::Write(..) | Plan::Append(..)) {
                turn.own.push(step);
            }
            continue;
        }
        let done = running.swap_remove(which);
        let is_taken = |plan: &Plan| match plan {
            Plan::Write(key, _) => (Some(*key), None),
            Plan::Append(key, _) => (None, Some(*key)),
            _ => (None, None),
        };
        let since = written_at[done.begun as usize + 1..].iter().flatten();
        let conflict =
            rules.conflicts && since.clone().any(|theirs| done.own.iter().any(|own| is_taken(own) == is_taken(theirs)));
        let transaction = &mut transactions[done.at];
        transaction.complete = Some(now);
        if conflict || random.one_in(12) {
            transaction.outcome = if random.one_in(4) { Outcome::Unknown } else { Outcome::Failed };
            continue;
        }
        if random.one_in(10) {
            transaction.outcome = Outcome::Unknown;
        }
        let mut state = states[states.len() - 1].clone();
        done.own.iter().for_each(|plan| apply(&mut state, plan));
        states.push(state);
        written_at.push(done.own);
    }
    for _ in 0..random.below(4) {
        change(random, &mut transactions, &states);
    }
    History { transactions, timed: true, ..History::default() }
}

fn transaction(id: u64, client: u64, now: u64) -> Transaction {
    Transaction {
        id,
        client,
        invoke: now,
        complete: None,
        outcome: Outcome::Ok,
        snapshot: None,
        commit: None,
        historic: false,
        initial: false,
        operations: Vec::new(),
    }
}

fn apply(state: &mut State, plan: &Plan) {
    match *plan {
        Plan::Write(key, Some(value)) => {
            state.rows.insert(key, value);
        }
        Plan::Write(key, None) => {
            state.rows.remove(&key);
        }
        Plan::Append(key, element) => state.lists.entry(key).or_default().push(element),
        Plan::Read(_) | Plan::ReadList(_) | Plan::ReadRows(_) => {}
    }
}

fn observe(state: &State, plan: &Plan) -> Micro {
    match *plan {
        Plan::Read(key) => Micro::Read { key, value: state.rows.get(&key).copied() },
        Plan::Write(key, value) => Micro::Write { key, value },
        Plan::ReadList(key) => Micro::ReadList { key, elements: state.lists.get(&key).cloned().unwrap_or_default() },
        Plan::Append(key, element) => Micro::Append { key, element },
        Plan::ReadRows(predicate) => {
            let rows = state.rows.iter().filter(|(_, value)| predicate.matches(Some(**value)));
            Micro::ReadRows { predicate, rows: rows.map(|(key, value)| (*key, *value)).collect() }
        }
    }
}

/// Lets one read see another state.
fn change(random: &mut Random, transactions: &mut [Transaction], states: &[State]) {
    let at = random.below(transactions.len() as u64) as usize;
    let state = &states[random.below(states.len() as u64) as usize];
    let count = transactions[at].operations.len() as u64;
    if count == 0 {
        return;
    }
    let micro = &mut transactions[at].operations[random.below(count) as usize];
    match micro {
        Micro::Read { key, .. } => *micro = observe(state, &Plan::Read(*key)),
        Micro::ReadList { key, .. } => *micro = observe(state, &Plan::ReadList(*key)),
        Micro::ReadRows { predicate, .. } => *micro = observe(state, &Plan::ReadRows(*predicate)),
        Micro::Write { .. } | Micro::Append { .. } => {}
    }
}
