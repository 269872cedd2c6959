//! Messages as bytes, and as anything that bytes could mean.

use std::sync::Arc;

use bolero::TypeGenerator;

use super::super::{Entry, Envelope, HardState, Message, Options, Raft, Term};
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
struct AnyEnvelope {
    ends: (u8, u8),
    /// The receiver's, if there is none.
    term: Option<Number>,
    kind: u8,
    numbers: [Number; 4],
    entries: Vec<(Option<Number>, Number, Option<Vec<u8>>)>,
}

impl AnyEnvelope {
    fn envelope(&self, current: Term) -> Envelope {
        let [a, b, c, d] = self.numbers.map(Number::get);
        let entries = self.entries.iter().zip(1..).map(|((index, term, payload), next)| Entry {
            index: index.map_or(a.wrapping_add(next), Number::get),
            term: term.get(),
            payload: payload.as_deref().map(Arc::from),
        });
        let message = match self.kind % 12 {
            0 => Message::PreVote { last_index: a, last_term: b },
            1 => Message::PreVoteGranted,
            2 => Message::Vote { last_index: a, last_term: b },
            3 => Message::VoteGranted,
            4 | 5 => Message::Append { prev_index: a, prev_term: b, entries: entries.collect(), commit: c, round: d },
            6 => Message::AppendAccepted { matched: a, round: b },
            7 => Message::AppendRejected { prev_index: a, conflict_term: b, conflict_index: c, round: d },
            8 => Message::Commit { index: a },
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
    let bytes = value::serialize(&Entry { index: 1, term: 1, payload: Some(payload) }).unwrap();
    assert_eq!(bytes.len(), 1000 + 5);
}

/// Whatever peers say, a node neither panics nor changes what is committed.
#[test]
fn nonsense_neither_panics_nor_changes_committed_entries() {
    bolero::check!().with_type::<(bool, Vec<AnyEnvelope>)>().with_iterations(2_000).for_each(|(leads, all)| {
        let entries = (1..=4).map(|index| Entry { index, term: 1 + index / 3, payload: None }).collect();
        let hard_state = HardState { term: 2, vote: None };
        let mut raft = Raft::new(1, [2, 3].into(), Options::default(), 7, hard_state, entries);
        let ready = |raft: &mut Raft| {
            while raft.unpersisted().is_some() {
                raft.persisted();
            }
            raft.take_messages();
            raft.take_reads();
        };
        if *leads {
            while raft.vote() != Some(1) {
                raft.tick();
                raft.step(Envelope { from: 2, to: 1, term: raft.term() + 1, message: Message::PreVoteGranted });
            }
            raft.persisted();
            raft.step(Envelope { from: 2, to: 1, term: 3, message: Message::VoteGranted });
            ready(&mut raft);
            raft.step(Envelope { from: 2, to: 1, term: 3, message: Message::AppendAccepted { matched: 4, round: 0 } });
        } else {
            let message = Message::Append { prev_index: 4, prev_term: 2, entries: vec![], commit: 3, round: 0 };
            raft.step(Envelope { from: 2, to: 1, term: 2, message });
        }
        for any in all {
            let committed = raft.entries(1, raft.commit_index()).to_vec();
            raft.step(any.envelope(raft.term()));
            raft.tick();
            raft.read(1);
            let _ = raft.propose([1].into());
            ready(&mut raft);
            assert!(raft.entries(1, raft.commit_index()).starts_with(&committed));
        }
    });
}
