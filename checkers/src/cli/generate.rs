//! `checkers generate`: writes histories that are correct by construction, to try judges on.

use std::io::{ErrorKind, Write};

use anyhow::{Context, bail};

use super::{GenerateArguments, GenerateOf, host};
use crate::formats::event;
use crate::generate::{Event, Options, Random, Run, generate, mutate, number_apart};
use crate::history::{Names, Transaction};

/// How many places are tried for a change.
const ATTEMPTS: u64 = 20;

/// Generates, and returns the exit code.
pub(super) fn run(arguments: &GenerateArguments) -> anyhow::Result<u8> {
    let options = Options {
        clients: arguments.clients,
        keys: arguments.keys,
        kinds: match arguments.of {
            GenerateOf::Rows => (1, 0, 0),
            GenerateOf::Lists => (0, 1, 0),
            GenerateOf::Both => (1, 1, 0),
            GenerateOf::Predicates => (3, 0, 1),
        },
        unknown: arguments.unknown,
        // Lists that grow for ever make a history of quadratic size, and rows that are replaced predicates slow.
        retire: (!matches!(arguments.of, GenerateOf::Predicates)).then_some(32),
        ..Options::new(arguments.level, arguments.transactions)
    };
    let Some(mutation) = arguments.mutate else { return write(Run::new(&options, arguments.seed)) };
    let generated = generate(&options, arguments.seed);
    for attempt in 0..ATTEMPTS {
        let mut changed = generated.clone();
        let mut random = Random::new(arguments.seed.wrapping_add(attempt));
        if let Some(done) = mutate(&mut changed, mutation, &mut random) {
            eprintln!("note: {}: {}", mutation.name(), done.what);
            return write(events(changed.history.transactions));
        }
    }
    bail!("this history has no place for a {}: take another seed, or more transactions", mutation.name())
}

/// Transactions in the order of completion as a run: whoever is invoked is announced before anybody completes later.
fn events(transactions: Vec<Transaction>) -> impl Iterator<Item = Event> {
    let mut calls: Vec<(u64, u64)> = transactions.iter().map(|one| (one.invoke, one.id)).collect();
    calls.sort_unstable();
    let mut calls = calls.into_iter().peekable();
    transactions.into_iter().flat_map(move |transaction| {
        let (over, last) = (transaction.complete, (transaction.invoke, transaction.id));
        let mut events = Vec::new();
        while let Some((time, id)) = calls.next_if(|call| *call <= last || over.is_some_and(|over| call.0 <= over)) {
            events.push(Event::Invoked { id, time });
        }
        events.push(Event::Over(transaction));
        events
    })
}

fn write(events: impl Iterator<Item = Event>) -> anyhow::Result<u8> {
    let mut output = host::output();
    let names = Names::default();
    let written = events
        .map(|mut event| {
            if let Event::Over(transaction) = &mut event {
                number_apart(transaction);
            }
            event
        })
        .try_for_each(|one| writeln!(output, "{}", event(&one, &names)))
        .and_then(|()| output.flush());
    match written {
        // The reader has seen enough, as with `| head`.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(0),
        result => result.map(|()| 0).context("cannot write to standard output"),
    }
}
