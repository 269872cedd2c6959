//! Messages as bytes, and as anything that bytes could mean.

use std::sync::Arc;

use bolero::TypeGenerator;

use super::super::{Append, Entry, Envelope, HardState, Message, Nonce, Options, Payload, Raft, Recovered, Term};
use crate::encoding::value;

/// A number that is near something: small, or at the end of its range.
#[derive(Clone, Copy, Debug, TypeGenerator)]
struct Number(u8, u64);

impl Number {
    fn get(self) -> u64 {
        match self.0 {
            0..=200 => self.1 % 8,
            201..=220 => u64::MAX - self.1 % 3,
            221..=235 => u64::MAX / 2 + self.1 % 3 - 1,
            236..=255 => self.1,
        }
    }
}

#[derive(Clone, Debug, TypeGenerator)]
enum AnyPayload {
    Empty,
    Command(Vec<u8>),
    Reinstate(u8, Number),
}

impl AnyPayload {
    fn payload(&self) -> Payload {
        match self {
            Self::Empty => Payload::Empty,
            Self::Command(command) => Payload::Command(command[..].into()),
            Self::Reinstate(node, nonce) => Payload::Reinstate { node: node % 5, nonce: near(nonce.get()) },
        }
    }
}

fn near(nonce: u64) -> Nonce {
    Nonce::new(nonce).unwrap_or(Nonce::MIN)
}

#[derive(Clone, Debug, TypeGenerator)]
struct AnyEnvelope {
    ends: (u8, u8),
    /// The receiver's, if there is none.
    term: Option<Number>,
    kind: u8,
    numbers: [Number; 5],
    recovering: Option<Number>,
    entries: Vec<(Option<Number>, Number, AnyPayload)>,
}

impl AnyEnvelope {
    fn envelope(&self, current: Term) -> Envelope {
        let [a, b, c, d, e] = self.numbers.map(Number::get);
        let recovering = self.recovering.map(|nonce| near(nonce.get()));
        let entries = self.entries.iter().zip(1..).map(|((index, term, payload), next)| Entry {
            index: index.map_or(a.wrapping_add(next), Number::get),
            term: term.get(),
            payload: payload.payload(),
        });
        let message = match self.kind % 12 {
            0 => Message::PreVote { last_index: a, last_term: b },
            1 => Message::PreVoteGranted,
            2 => Message::Vote { last_index: a, last_term: b },
            3 => Message::VoteGranted,
            4 | 5 => {
                let entries = entries.collect();
                Message::Append(Append { prev_index: a, prev_term: b, entries, commit: c, round: d, matched: e })
            }
            6 => Message::AppendAccepted { matched: a, round: b, recovering },
            7 => Message::AppendRejected { prev_index: a, conflict_term: b, conflict_index: c, round: d, recovering },
            8 => Message::Commit { index: a, index_term: b },
            9 => Message::ReadIndex { token: a },
            10 => Message::ReadIndexResponse { token: a, index: b },
            _ => Message::NewerTerm,
        };
        let (from, to) = self.ends;
        Envelope {
            from: from % 5,
            to: if to < 250 { 1 } else { to },
            term: self.term.map_or(current, Number::get),
            message,
        }
    }
}

#[test]
fn envelopes_survive_encoding() {
    bolero::check!().with_type::<AnyEnvelope>().with_iterations(2_000).for_each(|any| {
        let envelope = any.envelope(1);
        let bytes = value::serialize(&envelope).unwrap();
        assert_eq!(value::deserialize::<Envelope>(&bytes).unwrap(), envelope);
    });
}

#[test]
fn a_payload_is_encoded_as_bytes() {
    let payload: Arc<[u8]> = vec![0xff; 1000].into();
    let bytes = value::serialize(&Entry { index: 1, term: 1, payload: Payload::Command(payload) }).unwrap();
    assert_eq!(bytes.len(), 1000 + 5);
}

/// Whatever peers say, a node neither panics nor changes what is committed.
#[test]
fn nonsense_neither_panics_nor_changes_committed_entries() {
    bolero::check!().with_type::<(u8, Vec<AnyEnvelope>)>().with_iterations(2_000).for_each(|(status, all)| {
        let (leads, recovers) = (status % 3 == 0, status % 3 == 1);
        let entry = |index| Entry { index, term: 1 + index / 3, payload: Payload::Empty };
        let hard_state = HardState { term: 2, vote: None, recovering: recovers.then_some(near(3)) };
        let recovered = Recovered { hard_state, entries: (1..=4).map(entry).collect() };
        let mut raft = Raft::new(1, [2, 3].into(), Options::default(), 7, recovered);
        let ready = |raft: &mut Raft| {
            while raft.unpersisted().is_some() {
                raft.persisted();
            }
            raft.take_messages();
            raft.take_reads();
        };
        let step = |raft: &mut Raft, from, term, message| raft.step(Envelope { from, to: 1, term, message }).unwrap();
        if leads {
            while raft.vote() != Some(1) {
                raft.tick();
                let term = raft.term() + 1;
                step(&mut raft, 2, term, Message::PreVoteGranted);
            }
            raft.persisted();
            step(&mut raft, 2, 3, Message::VoteGranted);
            ready(&mut raft);
            step(&mut raft, 2, 3, Message::AppendAccepted { matched: 4, round: 0, recovering: None });
        } else {
            let append = Append { prev_index: 4, prev_term: 2, entries: vec![], commit: 3, round: 0, matched: 0 };
            step(&mut raft, 2, 2, Message::Append(append));
        }
        for any in all {
            let committed = raft.entries(1, raft.commit_index()).to_vec();
            // A peer may also lie about what this node has said.
            let _ = raft.step(any.envelope(raft.term()));
            raft.tick();
            raft.read(1);
            let _ = raft.propose([1].into());
            ready(&mut raft);
            assert!(raft.entries(1, raft.commit_index()).starts_with(&committed));
        }
    });
}
