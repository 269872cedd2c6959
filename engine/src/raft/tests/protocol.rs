//! The protocol under chosen and under arbitrary schedules.

use bolero::{TypeGenerator, check};

use super::super::*;
use super::cluster::Cluster;

#[derive(Clone, Copy, Debug, TypeGenerator)]
enum Step {
    Tick(u8),
    TickAll,
    Run(u8),
    Deliver(u8),
    DeliverAll,
    Drop(u8),
    Duplicate(u8),
    Propose(u8),
    Read(u8),
    CrashInTick(u8),
    CrashInDelivery(u8),
    Restart(u8),
    Isolate(u8),
}

fn play(size: u8, steps: &[Step]) {
    let mut cluster = Cluster::new(size);
    // Elect someone first, so that schedules begin where it matters.
    for _ in 0..12 {
        run(&mut cluster, None);
    }
    let mut isolated = None;
    for &step in steps {
        let id = |n: u8| n % size + 1;
        match step {
            Step::Tick(n) => cluster.tick(id(n)),
            Step::TickAll => (1..=size).for_each(|id| cluster.tick(id)),
            Step::Run(n) => (0..n % 8).for_each(|_| run(&mut cluster, isolated)),
            Step::Deliver(n) => {
                if let Some(envelope) = cluster.take(n.into()) {
                    cluster.deliver(envelope);
                }
            }
            Step::DeliverAll => {
                for envelope in std::mem::take(&mut cluster.messages) {
                    cluster.deliver(envelope);
                }
            }
            Step::Drop(n) => drop(cluster.take(n.into())),
            Step::Duplicate(n) => {
                if let Some(envelope) = cluster.take(n.into()) {
                    cluster.messages.push(envelope.clone());
                    cluster.deliver(envelope);
                }
            }
            Step::Propose(n) => drop(cluster.propose(cluster.leader().unwrap_or(id(n)))),
            Step::Read(n) => cluster.read(id(n)),
            Step::CrashInTick(n) => cluster.crash_during(id(n), Raft::tick),
            Step::CrashInDelivery(n) => {
                if let Some(envelope) = cluster.take(n.into()) {
                    cluster.crash_during(envelope.to, |member| member.step(envelope));
                }
            }
            Step::Restart(n) => cluster.restart(id(n)),
            Step::Isolate(n) => isolated = (n % 2 == 0).then_some(id(n)),
        }
    }
    cluster.heal();
}

/// A tick for everyone, and all messages but those of an isolated member.
fn run(cluster: &mut Cluster, isolated: Option<NodeId>) {
    (1..=cluster.size()).for_each(|id| cluster.tick(id));
    for envelope in std::mem::take(&mut cluster.messages) {
        if isolated != Some(envelope.from) && isolated != Some(envelope.to) {
            cluster.deliver(envelope);
        }
    }
}

#[test]
fn arbitrary_schedules_are_safe_and_recover() {
    check!().with_type::<(u8, Vec<Step>)>().with_iterations(4_000).with_max_len(600).for_each(|(size, steps)| {
        play([3, 5, 4, 2, 1][usize::from(*size % 5)], steps);
    });
}

/// Long schedules of mostly time and proposals with partitions that move: what it takes for deep histories.
#[test]
fn moving_partitions_are_safe() {
    check!().with_type::<Vec<(u8, u8, u8)>>().with_iterations(2_000).with_max_len(300).for_each(|rounds| {
        let mut steps = Vec::new();
        for &(victim, ticks, kind) in rounds {
            steps.push(Step::Isolate(victim));
            steps.push(Step::Propose(victim));
            steps.push(Step::Run(ticks));
            steps.push(Step::Propose(victim));
            match kind % 6 {
                0 => steps.push(Step::CrashInDelivery(ticks)),
                1 => steps.push(Step::Restart(ticks)),
                2 => steps.push(Step::CrashInTick(ticks)),
                3 => steps.push(Step::Read(ticks)),
                4 => steps.extend([Step::Deliver(ticks), Step::Duplicate(victim), Step::TickAll]),
                _ => steps.push(Step::DeliverAll),
            }
        }
        play(5, &steps);
    });
}

#[test]
fn a_group_elects_a_leader_that_commits_and_reads() {
    for size in [1, 2, 3, 5, 7] {
        let mut cluster = Cluster::new(size);
        cluster.heal();
        (0..8).for_each(|_| run(&mut cluster, None));
        assert!(cluster.confirmed_reads > 0, "{size} members");
    }
}

#[test]
fn a_deposed_leader_confirms_no_read() {
    let mut cluster = Cluster::new(3);
    cluster.heal();
    let old = cluster.leader().unwrap();
    let before = cluster.confirmed_reads;
    // The others elect a new leader, and commit.
    while cluster.leader() == Some(old) {
        for id in (1..=3).filter(|&id| id != old) {
            cluster.tick(id);
        }
        for envelope in std::mem::take(&mut cluster.messages) {
            if envelope.from != old && envelope.to != old {
                cluster.deliver(envelope);
            }
        }
    }
    assert_eq!(cluster.member(old).role(), Role::Leader, "it has not noticed");
    cluster.read(old);
    for envelope in std::mem::take(&mut cluster.messages) {
        cluster.deliver(envelope);
    }
    assert_eq!(cluster.confirmed_reads, before);
}

#[test]
fn a_leader_without_a_quorum_steps_down() {
    let mut cluster = Cluster::new(5);
    cluster.heal();
    let leader = cluster.leader().unwrap();
    for _ in 0..20 {
        cluster.tick(leader);
    }
    assert_ne!(cluster.member(leader).role(), Role::Leader);
    let term = cluster.member(leader).term();
    for _ in 0..100 {
        cluster.tick(leader);
    }
    assert_eq!(cluster.member(leader).term(), term, "pre-votes that nobody answers start no term");
}

#[test]
fn a_member_that_was_cut_off_does_not_disturb_the_leader() {
    let mut cluster = Cluster::new(3);
    cluster.heal();
    let (leader, term) = (cluster.leader().unwrap(), cluster.member(cluster.leader().unwrap()).term());
    let cut_off = leader % 3 + 1;
    (0..50).for_each(|_| run(&mut cluster, Some(cut_off)));
    (0..50).for_each(|_| run(&mut cluster, None));
    assert_eq!((cluster.leader(), cluster.member(leader).term()), (Some(leader), term));
}

#[test]
fn proposals_before_one_sync_share_one_append() {
    let mut leader = Raft::new(1, [2].into(), Options::default(), 1, HardState::default(), Vec::new());
    let sync = |member: &mut Raft| {
        if member.unpersisted().is_some() {
            member.persisted();
        }
        member.take_messages()
    };
    let answer = |message| Envelope { from: 2, to: 1, term: 1, message };
    while leader.role() != Role::PreCandidate {
        leader.tick();
    }
    leader.step(Envelope { term: 0, ..answer(Message::PreVoteResponse { term: 1, granted: true }) });
    sync(&mut leader);
    leader.step(answer(Message::VoteResponse { granted: true }));
    sync(&mut leader);
    leader.step(answer(Message::AppendAccepted { matched: 0, round: 0 }));
    sync(&mut leader);
    for n in 0..5u8 {
        leader.propose([n].into()).unwrap();
    }
    let messages = sync(&mut leader);
    assert!(
        matches!(&messages[..], [Envelope { message: Message::Append { entries, .. }, .. }] if entries.len() == 5),
        "{messages:?}"
    );
}

#[test]
fn only_a_leader_takes_proposals() {
    let mut member = Raft::new(1, [2, 3].into(), Options::default(), 1, HardState::default(), Vec::new());
    assert_eq!(member.propose([1].into()), Err(NotLeader { leader: None }));
    let message = Message::Append { prev_index: 0, prev_term: 0, entries: vec![], commit: 0, round: 0 };
    member.step(Envelope { from: 3, to: 1, term: 1, message });
    assert_eq!(member.propose([1].into()), Err(NotLeader { leader: Some(3) }));
}

#[derive(Clone, Debug, TypeGenerator)]
struct Nonsense(u8, u8, u64, u8, u64, u64, u64, bool, Vec<(u64, u64)>);

/// Messages from the network may hold anything. (One that contradicts a committed entry stops the node; here nothing is
/// committed.)
#[test]
fn nonsense_is_ignored() {
    check!().with_type::<Vec<Nonsense>>().with_iterations(4_000).for_each(|all| {
        let mut member = Raft::new(1, [2, 3].into(), Options::default(), 1, HardState::default(), Vec::new());
        for Nonsense(from, to, term, kind, a, b, c, flag, entries) in all {
            let entries = entries
                .iter()
                .map(|&(index, term)| Entry { index: index % 8, term: term % 4, payload: None })
                .collect();
            let (a, b, c) = (a % 10 / 9 * a + a % 7, *b % 5, *c);
            let message = match kind % 9 {
                0 => Message::PreVote { term: c, last_index: a, last_term: b },
                1 => Message::PreVoteResponse { term: a, granted: *flag },
                2 => Message::Vote { last_index: a, last_term: b },
                3 => Message::VoteResponse { granted: *flag },
                4 => Message::Append { prev_index: a, prev_term: b, entries, commit: 0, round: c },
                5 => Message::AppendAccepted { matched: a, round: c },
                6 => Message::AppendRejected {
                    prev_index: a,
                    conflict_term: flag.then_some(b),
                    conflict_index: c,
                    round: a,
                },
                7 => Message::ReadIndex { token: a },
                _ => Message::ReadIndexResponse { token: a, index: 0 },
            };
            let encoded = crate::encoding::value::serialize(&message).unwrap();
            assert_eq!(crate::encoding::value::deserialize::<Message>(&encoded).unwrap(), message);
            let leads = member.role() == Role::Leader;
            let envelope = Envelope { from: from % 4, to: to % 2 + 1, term: term % 4, message };
            if leads && envelope.term == member.term() && matches!(envelope.message, Message::Append { .. }) {
                continue; // Two leaders in a term: the node rightly stops.
            }
            member.step(envelope);
            member.tick();
            while member.unpersisted().is_some() {
                member.persisted();
            }
            member.take_messages();
        }
    });
}
