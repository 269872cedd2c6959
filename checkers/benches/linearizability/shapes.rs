//! Histories of named shapes, made up from numbers: what clients of a correct object would have seen.

use checkers::history::Operation;
use checkers::linearizability::{cas_register, key_value};
use stateright::semantics::SequentialSpec;

/// Numbers that are the same on every run (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % limit
    }
}

/// What `clients` see that ask `model` one thing after the other, `count` in all. Calls, effects and returns come one at a
/// time; of those that could be next, any may be. One call in `crash`, if that is not 0, never returns, and may take
/// effect or not; its client goes on under another name.
pub fn run<M: SequentialSpec>(
    mut model: M,
    clients: u64,
    count: usize,
    crash: u64,
    dice: &mut Dice,
    mut ask: impl FnMut(&mut Dice, u64, usize) -> M::Op,
) -> Vec<Operation<M::Op, M::Ret>> {
    let mut operations: Vec<Operation<M::Op, M::Ret>> = Vec::new();
    let mut names: Vec<u64> = (0..clients).collect();
    // By client: its open call, and whether that took effect.
    let mut open: Vec<Option<(usize, bool)>> = vec![None; clients as usize];
    // Calls that crashed and may still take effect.
    let mut late = Vec::new();
    let (mut now, mut returned) = (0, 0);
    while returned < count {
        now += 1;
        if !late.is_empty() && dice.below(20) == 0 {
            let at: usize = late.swap_remove(dice.below(late.len() as u64) as usize);
            if dice.below(2) == 0 {
                model.invoke(&operations[at].input);
            }
        }
        let client = dice.below(clients) as usize;
        match open[client] {
            None => {
                let input = ask(dice, client as u64, operations.len());
                open[client] = Some((operations.len(), false));
                operations.push(Operation { client: names[client], invoke: now, complete: None, input, output: None });
            }
            Some((at, false)) if crash > 0 && dice.below(crash) == 0 => {
                late.push(at);
                open[client] = None;
                names[client] = clients + at as u64;
                returned += 1;
            }
            Some((at, false)) => {
                let answer = model.invoke(&operations[at].input);
                operations[at].output = Some(answer);
                open[client] = Some((at, true));
            }
            Some((at, true)) => {
                operations[at].complete = Some(now);
                open[client] = None;
                returned += 1;
            }
        }
    }
    for operation in &mut operations {
        if operation.complete.is_none() {
            operation.output = None;
        }
    }
    operations
}

/// Like the logs of Jepsen's test of etcd: five clients on a register of five values, a call in eleven timing out.
pub fn etcd(dice: &mut Dice) -> Vec<Operation<cas_register::Op, cas_register::Ret>> {
    run(cas_register::CasRegister(None), 5, 85, 11, dice, |dice, _, _| {
        let (a, b) = (dice.below(5) as i64, dice.below(5) as i64);
        match dice.below(3) {
            0 => cas_register::Op::Read,
            1 => cas_register::Op::Write(a),
            _ => cas_register::Op::CompareAndSet { from: a, to: b },
        }
    })
}

/// The same, with one read that saw something else: not always illegal.
pub fn etcd_changed(dice: &mut Dice) -> Vec<Operation<cas_register::Op, cas_register::Ret>> {
    let mut operations = etcd(dice);
    let reads: Vec<usize> = (0..operations.len())
        .filter(|at| matches!(operations[*at].output, Some(cas_register::Ret::Value(_))))
        .collect();
    if let Some(at) = reads.get(dice.below(reads.len().max(1) as u64) as usize) {
        operations[*at].output = Some(cas_register::Ret::Value(Some(dice.below(5) as i64)));
    }
    operations
}

/// Like porcupine's key-value histories: ten keys, half of the calls appends, nearly half gets, some puts.
pub fn key_value(clients: u64, count: usize, dice: &mut Dice) -> Vec<Operation<key_value::Op, key_value::Ret>> {
    run(key_value::KeyValue::default(), clients, count, 0, dice, |dice, client, serial| {
        let key = dice.below(10).to_string();
        let value = format!("x {client} {serial} y");
        match dice.below(1712) {
            0..843 => key_value::Op::Append { key, value },
            843..1636 => key_value::Op::Get { key },
            _ => key_value::Op::Put { key, value },
        }
    })
}

/// A register whose written values are unique.
pub fn unique(clients: u64, count: usize, dice: &mut Dice) -> Vec<Operation<cas_register::Op, cas_register::Ret>> {
    run(cas_register::CasRegister(Some(-1)), clients, count, 0, dice, |dice, _, serial| match dice.below(2) {
        0 => cas_register::Op::Read,
        _ => cas_register::Op::Write(serial as i64),
    })
}
