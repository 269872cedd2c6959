//! Small random histories with crashed operations, ties and many equal operations, and the brute force that judges them:
//! it tries every order of every subset that has all completed operations.

use checkers::history::Operation;
use checkers::linearizability::Model;
use checkers::linearizability::{cas_register, counter, key_value, multi_register, mutex, queue, register, set};

/// A small generator of numbers, so that a history is known by its number.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678_9abc_def1))
    }

    /// A number below `limit`, which is not 0 (splitmix64).
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % limit
    }
}

/// A history of operations on `M`.
pub type History<M> =
    Vec<Operation<<M as stateright::semantics::SequentialSpec>::Op, <M as stateright::semantics::SequentialSpec>::Ret>>;

/// A model of which histories can be made up.
pub trait Asked: Model + std::fmt::Debug {
    /// The state in which histories begin.
    fn initial(dice: &mut Dice) -> Self;
    /// Something to ask. `serial` is different for every operation of a history.
    fn ask(dice: &mut Dice, serial: u64) -> Self::Op;
    /// Some answer to it, right or wrong.
    fn answer(op: &Self::Op, dice: &mut Dice) -> Self::Ret;
}

/// A history of up to `most` operations. Half of them are answered by the model in some legal order, and then half of
/// these have one answer changed; the others are answered at random.
pub fn history<M: Asked>(model: &M, most: u64, dice: &mut Dice) -> History<M> {
    let (clients, span) = (1 + dice.below(4), 1 + dice.below(5));
    let crash = dice.below(5);
    let mut free = vec![0; clients as usize];
    let mut names: Vec<u64> = (0..clients).collect();
    let mut operations: Vec<Operation<M::Op, M::Ret>> = Vec::new();
    for serial in 0..=dice.below(most) {
        let client = dice.below(clients) as usize;
        let invoke = free[client] + dice.below(span);
        let complete = invoke + dice.below(2 * span);
        let crashed = dice.below(10) < crash;
        operations.push(Operation {
            client: names[client],
            invoke,
            complete: (!crashed || dice.below(3) == 0).then_some(complete),
            input: M::ask(dice, serial),
            output: None,
        });
        if crashed {
            names[client] = clients + serial;
            operations.last_mut().expect("just pushed").client = names[client];
            names[client] = 1000 + serial;
        } else {
            operations.last_mut().expect("just pushed").output =
                Some(M::answer(&operations[operations.len() - 1].input.clone(), dice));
        }
        free[client] = complete + 1;
    }
    if dice.below(2) == 0 {
        // Every operation takes effect at some moment of its span; a crashed one at a later one, or never.
        let mut moments: Vec<(u64, u64, usize)> = Vec::new();
        for (at, operation) in operations.iter().enumerate() {
            let length = match operation.complete {
                Some(complete) if operation.output.is_some() => complete - operation.invoke,
                _ if dice.below(3) == 0 => continue,
                _ => 10,
            };
            moments.push((operation.invoke + dice.below(length + 1), dice.below(100), at));
        }
        moments.sort_unstable();
        let mut state = model.clone();
        for (_, _, at) in moments {
            let answer = state.invoke(&operations[at].input);
            if let Some(output) = &mut operations[at].output {
                *output = answer;
            }
        }
        if dice.below(2) == 0 {
            let at = dice.below(operations.len() as u64) as usize;
            let Operation { input, output, .. } = &mut operations[at];
            if let Some(output) = output {
                *output = M::answer(input, dice);
            }
        }
    }
    operations
}

/// Whether some order of some subset with every completed operation is legal and keeps to real time.
pub fn brute_force<M: Asked>(state: &M, rest: &[&Operation<M::Op, M::Ret>]) -> bool {
    let known = |one: &Operation<M::Op, M::Ret>| one.output.is_some() && one.complete.is_some();
    if !rest.iter().any(|one| known(one)) {
        return true;
    }
    (0..rest.len()).any(|at| {
        let first = rest[at];
        if rest.iter().any(|other| known(other) && other.complete.is_some_and(|complete| complete < first.invoke)) {
            return false;
        }
        let mut after = state.clone();
        let answer = after.invoke(&first.input);
        if known(first) && first.output != Some(answer) {
            return false;
        }
        let rest: Vec<_> = rest[..at].iter().chain(&rest[at + 1..]).copied().collect();
        brute_force(&after, &rest)
    })
}

impl Asked for register::Register {
    fn initial(dice: &mut Dice) -> Self {
        Self(dice.below(4).checked_sub(1).map(|value| value as i64 / 2))
    }

    fn ask(dice: &mut Dice, _: u64) -> register::Op {
        let (a, b) = (dice.below(3) as i64, dice.below(3) as i64);
        match dice.below(8) {
            0..=2 => register::Op::Read,
            3..=4 => register::Op::Write(a),
            5 => register::Op::CompareAndSet { from: a, to: b },
            6 => register::Op::Insert(a),
            _ => register::Op::Delete,
        }
    }

    fn answer(op: &register::Op, dice: &mut Dice) -> register::Ret {
        match op {
            register::Op::Read => register::Ret::Value(dice.below(4).checked_sub(1).map(|value| value as i64)),
            _ => register::Ret::Changed(dice.below(4) > 0),
        }
    }
}

impl Asked for cas_register::CasRegister {
    fn initial(dice: &mut Dice) -> Self {
        Self(dice.below(2).checked_sub(1).map(|value| value as i64))
    }

    fn ask(dice: &mut Dice, _: u64) -> cas_register::Op {
        let (a, b) = (dice.below(3) as i64, dice.below(3) as i64);
        match dice.below(8) {
            0..=2 => cas_register::Op::Read,
            3..=5 => cas_register::Op::Write(a),
            _ => cas_register::Op::CompareAndSet { from: a, to: b },
        }
    }

    fn answer(op: &cas_register::Op, dice: &mut Dice) -> cas_register::Ret {
        match op {
            cas_register::Op::Read => cas_register::Ret::Value(dice.below(4).checked_sub(1).map(|value| value as i64)),
            cas_register::Op::Write(_) => cas_register::Ret::Written,
            cas_register::Op::CompareAndSet { .. } => cas_register::Ret::Compared(dice.below(3) > 0),
        }
    }
}

/// A register that is only read and written, mostly with values of its own for every write.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Unique(pub cas_register::CasRegister);

impl stateright::semantics::SequentialSpec for Unique {
    type Op = cas_register::Op;
    type Ret = cas_register::Ret;

    fn invoke(&mut self, op: &cas_register::Op) -> cas_register::Ret {
        self.0.invoke(op)
    }
}

impl checkers::linearizability::Hints<Self> for Unique {
    type Key = ();

    fn read_only(op: &cas_register::Op, _: Option<&cas_register::Ret>) -> bool {
        matches!(op, cas_register::Op::Read)
    }

    fn role(op: &cas_register::Op, ret: Option<&cas_register::Ret>) -> checkers::linearizability::Role {
        <cas_register::CasRegister as checkers::linearizability::Hints<cas_register::CasRegister>>::role(op, ret)
    }
}

impl Asked for Unique {
    fn initial(dice: &mut Dice) -> Self {
        Self(cas_register::CasRegister(dice.below(2).checked_sub(1).map(|_| 99)))
    }

    fn ask(dice: &mut Dice, serial: u64) -> cas_register::Op {
        match dice.below(30) {
            0 => cas_register::Op::Write(0),
            1..=14 => cas_register::Op::Write(serial as i64),
            _ => cas_register::Op::Read,
        }
    }

    fn answer(op: &cas_register::Op, dice: &mut Dice) -> cas_register::Ret {
        match op {
            cas_register::Op::Read => cas_register::Ret::Value(match dice.below(8) {
                0 => None,
                1 => Some(99),
                value => Some(value as i64 - 2),
            }),
            _ => cas_register::Ret::Written,
        }
    }
}

impl Asked for key_value::KeyValue {
    fn initial(_: &mut Dice) -> Self {
        Self::default()
    }

    fn ask(dice: &mut Dice, _: u64) -> key_value::Op {
        let key = ["k", "l"][dice.below(2) as usize].to_owned();
        let value = ["a", "b", ""][dice.below(8).min(2) as usize % 3].to_owned();
        match dice.below(8) {
            0..=2 => key_value::Op::Get { key },
            3..=4 => key_value::Op::Put { key, value },
            _ => key_value::Op::Append { key, value: ["a", "b"][dice.below(2) as usize].to_owned() },
        }
    }

    fn answer(op: &key_value::Op, dice: &mut Dice) -> key_value::Ret {
        match op {
            key_value::Op::Get { .. } => {
                let value = ["", "a", "b", "ab", "ba", "aa", "bb", "aab"][dice.below(8) as usize];
                key_value::Ret::Value(value.to_owned())
            }
            _ => key_value::Ret::Done,
        }
    }
}

impl Asked for multi_register::MultiRegister {
    fn initial(_: &mut Dice) -> Self {
        Self([("x".to_owned(), 0), ("y".to_owned(), 0)].into())
    }

    fn ask(dice: &mut Dice, _: u64) -> Vec<multi_register::Step> {
        (0..=dice.below(2))
            .map(|_| {
                let register = ["x", "y"][dice.below(2) as usize].to_owned();
                match dice.below(2) {
                    0 => multi_register::Step::Read(register),
                    _ => multi_register::Step::Write(register, dice.below(3) as i64),
                }
            })
            .collect()
    }

    fn answer(op: &Vec<multi_register::Step>, dice: &mut Dice) -> Vec<Option<i64>> {
        let reads = op.iter().filter(|step| matches!(step, multi_register::Step::Read(_)));
        reads.map(|_| Some(dice.below(3) as i64)).collect()
    }
}

impl Asked for mutex::Mutex {
    fn initial(dice: &mut Dice) -> Self {
        Self { held: dice.below(3) == 0 }
    }

    fn ask(dice: &mut Dice, _: u64) -> mutex::Op {
        if dice.below(2) == 0 { mutex::Op::Acquire } else { mutex::Op::Release }
    }

    fn answer(_: &mutex::Op, dice: &mut Dice) -> mutex::Ret {
        if dice.below(3) == 0 { mutex::Ret::Refused } else { mutex::Ret::Done }
    }
}

impl Asked for queue::Queue {
    fn initial(dice: &mut Dice) -> Self {
        Self((0..dice.below(3) as i64).collect())
    }

    fn ask(dice: &mut Dice, _: u64) -> queue::Op {
        if dice.below(2) == 0 { queue::Op::Enqueue(dice.below(3) as i64) } else { queue::Op::Dequeue }
    }

    fn answer(op: &queue::Op, dice: &mut Dice) -> queue::Ret {
        match op {
            queue::Op::Enqueue(_) => queue::Ret::Enqueued,
            queue::Op::Dequeue => queue::Ret::Dequeued(dice.below(4).checked_sub(1).map(|value| value as i64)),
        }
    }
}

impl Asked for set::Set {
    fn initial(dice: &mut Dice) -> Self {
        Self((0..dice.below(2) as i64).collect())
    }

    fn ask(dice: &mut Dice, _: u64) -> set::Op {
        let element = dice.below(3) as i64;
        match dice.below(8) {
            0..=2 => set::Op::Add(element),
            3..=4 => set::Op::Remove(element),
            5..=6 => set::Op::Contains(element),
            _ => set::Op::Read,
        }
    }

    fn answer(op: &set::Op, dice: &mut Dice) -> set::Ret {
        match op {
            set::Op::Read => set::Ret::Elements((0..3).filter(|_| dice.below(2) == 0).collect()),
            _ => set::Ret::Was(dice.below(2) == 0),
        }
    }
}

impl Asked for counter::Counter {
    fn initial(dice: &mut Dice) -> Self {
        Self(dice.below(2) as i64)
    }

    fn ask(dice: &mut Dice, _: u64) -> counter::Op {
        let number = dice.below(4) as i64 - 1;
        match dice.below(3) {
            0 => counter::Op::Read,
            1 => counter::Op::Add(number),
            _ => counter::Op::AddAndGet(number),
        }
    }

    fn answer(op: &counter::Op, dice: &mut Dice) -> counter::Ret {
        match op {
            counter::Op::Add(_) => counter::Ret::Added,
            _ => counter::Ret::Value(dice.below(6) as i64 - 1),
        }
    }
}
