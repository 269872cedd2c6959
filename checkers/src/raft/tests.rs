use super::*;

#[track_caller]
fn rejected(result: Result<(), Violation>, anomaly: &str) {
    assert_eq!(result.expect_err("must be rejected").anomaly, anomaly);
}

/// Three nodes; nodes 0 and 1 have the entries (1, 10) and (1, 11), persisted and committed by node 0 in term 1.
fn group() -> Monitor {
    let mut monitor = Monitor::new(3);
    for node in 0..2 {
        monitor.term(node, 1).unwrap();
        monitor.appended(node, 1, [(1, 10), (1, 11)]).unwrap();
        monitor.persisted(node, 2).unwrap();
    }
    monitor.leader(0, 1).unwrap();
    monitor.committed(0, 2).unwrap();
    monitor
}

#[test]
fn terms_and_votes_survive_restarts() {
    let mut monitor = group();
    monitor.vote(1, 2, 7).unwrap();
    monitor.term(1, 2).unwrap();
    monitor.restarted(1, [(1, 10), (1, 11)]).unwrap();
    monitor.vote(1, 2, 7).unwrap();
    monitor.term(1, 2).unwrap();
    rejected(monitor.vote(1, 2, 8), "double-vote");
    rejected(monitor.term(1, 1), "term-regression");
    monitor.vote(1, 3, 8).unwrap();
}

#[test]
fn logs_that_share_an_entry_share_all_before_it() {
    let mut monitor = group();
    monitor.appended(2, 1, [(1, 10)]).unwrap();
    rejected(monitor.appended(2, 2, [(1, 12)]), "log-matching");
    let mut monitor = group();
    monitor.appended(2, 1, [(1, 10), (2, 12)]).unwrap();
    let mut monitor = group();
    // The last entry is equal by itself, but follows another one.
    monitor.appended(2, 1, [(0, 10)]).unwrap();
    rejected(monitor.appended(2, 2, [(1, 11)]), "log-matching");
}

#[test]
fn logs_have_no_gaps_and_ascending_terms() {
    rejected(group().appended(0, 4, [(1, 12)]), "log-gap");
    rejected(group().appended(0, 0, [(1, 12)]), "log-gap");
    group().appended(0, 3, [(1, 12)]).unwrap();
    rejected(group().appended(2, 1, [(3, 1), (2, 1)]), "log-term-regression");
    group().appended(2, 1, [(2, 1), (3, 1)]).unwrap();
}

#[test]
fn committed_entries_are_not_truncated() {
    rejected(group().appended(0, 2, [(2, 12)]), "committed-entry-lost");
    rejected(group().appended(0, 2, []), "committed-entry-lost");
    // Writing the same again loses nothing, and node 1 does not know of the commitment.
    group().appended(0, 2, [(1, 11)]).unwrap();
    group().appended(1, 2, [(2, 12)]).unwrap();
}

#[test]
fn a_term_has_one_leader() {
    let mut monitor = group();
    monitor.leader(0, 1).unwrap();
    rejected(monitor.leader(1, 1), "two-leaders");
    group().leader(1, 2).unwrap();
}

#[test]
fn leaders_have_what_earlier_terms_committed() {
    let mut monitor = group();
    monitor.term(2, 2).unwrap();
    monitor.appended(2, 1, [(1, 10)]).unwrap();
    rejected(monitor.leader(2, 2), "leader-completeness");
    let mut monitor = group();
    monitor.appended(2, 1, [(1, 10), (2, 11)]).unwrap();
    rejected(monitor.leader(2, 3), "leader-completeness");
    group().leader(1, 2).unwrap();

    // Late votes may make a leader of a term that is already over; what later terms committed does not bind it.
    let mut monitor = Monitor::new(3);
    monitor.term(0, 3).unwrap();
    monitor.appended(0, 1, [(1, 10), (3, 11)]).unwrap();
    monitor.committed(0, 2).unwrap();
    monitor.leader(2, 2).unwrap();
    monitor.leader(2, 3).unwrap();
    rejected(monitor.leader(2, 4), "leader-completeness");
}

#[test]
fn earlier_knowledge_of_a_commitment_counts() {
    let mut monitor = group();
    monitor.term(1, 5).unwrap();
    monitor.committed(1, 1).unwrap();
    // Node 1 knew less in a later term; term 1's knowledge of index 2 still binds the leader of term 6.
    monitor.appended(2, 1, [(1, 10)]).unwrap();
    rejected(monitor.leader(2, 6), "leader-completeness");
}

#[test]
fn one_log_is_committed() {
    let mut monitor = group();
    monitor.committed(1, 2).unwrap();
    monitor.appended(2, 1, [(1, 10), (2, 11)]).unwrap();
    monitor.committed(2, 1).unwrap();
    rejected(monitor.committed(2, 2), "state-machine-safety");
    rejected(group().committed(2, 1), "committed-beyond-log");
    let mut monitor = group();
    rejected(monitor.committed(0, 1), "commit-regression");
    monitor.restarted(0, [(1, 10), (1, 11)]).unwrap();
    monitor.committed(0, 1).unwrap();
}

#[test]
fn entries_are_applied_once_in_order_with_one_outcome() {
    let mut monitor = group();
    monitor.applied(0, 1, 5).unwrap();
    rejected(monitor.applied(0, 1, 5), "apply-order");
    monitor.applied(0, 2, 6).unwrap();
    monitor.applied(1, 1, 5).unwrap();
    rejected(monitor.applied(1, 2, 7), "apply-divergence");
    rejected(group().applied(0, 2, 6), "apply-order");
    rejected(monitor.applied(0, 3, 0), "applied-uncommitted");
    rejected(group().applied(2, 1, 0), "applied-uncommitted");
    // A restart begins where the durable state says.
    monitor.restarted(0, [(1, 10), (1, 11)]).unwrap();
    monitor.committed(0, 2).unwrap();
    monitor.applied(0, 2, 6).unwrap();
    rejected(monitor.applied(0, 2, 6), "apply-order");
}

#[test]
fn persisted_entries_survive_restarts() {
    rejected(group().restarted(1, [(1, 10)]), "persisted-entry-lost");
    rejected(group().restarted(1, [(1, 10), (2, 11)]), "persisted-entry-lost");
    rejected(group().persisted(1, 3), "persisted-beyond-log");
    let mut monitor = group();
    monitor.appended(1, 3, [(1, 12)]).unwrap();
    monitor.restarted(1, [(1, 10), (1, 11)]).unwrap();
    monitor.restarted(1, [(1, 10), (1, 11), (1, 12)]).unwrap();
    // A crash in the middle of overwriting leaves the old entry or the new one, but all before it.
    let mut monitor = group();
    monitor.overwriting(1, 2);
    monitor.restarted(1, [(1, 10), (2, 12)]).unwrap();
    let mut monitor = group();
    monitor.overwriting(1, 2);
    rejected(monitor.restarted(1, [(2, 12)]), "persisted-entry-lost");
    // What was overwritten is no longer owed.
    let mut monitor = group();
    monitor.appended(1, 2, [(2, 11)]).unwrap();
    monitor.restarted(1, [(1, 10)]).unwrap();
}

#[test]
fn a_node_that_has_forgotten_owes_nothing_of_its_own() {
    // Node 1 had voted in term 2, and had two entries on disk.
    let before = || {
        let mut monitor = group();
        monitor.term(1, 2).unwrap();
        monitor.vote(1, 2, 7).unwrap();
        monitor
    };
    rejected(before().restarted(1, []), "persisted-entry-lost");
    let mut monitor = before();
    monitor.forgot(1);
    monitor.restarted(1, []).unwrap();
    monitor.term(1, 0).unwrap();
    monitor.term(1, 2).unwrap();
    // It may vote again, but only when it is a voter again.
    rejected(monitor.forgotten_vote(1, 2, 8), "forgotten-vote");
    monitor.vote(1, 2, 8).unwrap();
    // What it promises from now on counts again.
    rejected(monitor.vote(1, 2, 7), "double-vote");
    rejected(monitor.term(1, 1), "term-regression");
    monitor.appended(1, 1, [(1, 10)]).unwrap();
    monitor.persisted(1, 1).unwrap();
    rejected(monitor.restarted(1, []), "persisted-entry-lost");
}

#[test]
fn what_is_known_of_all_survives_an_amnesia() {
    let forgotten = |node| {
        let mut monitor = group();
        monitor.forgot(node);
        monitor.restarted(node, []).unwrap();
        monitor
    };
    // The leader of term 1 stays it, and what it committed stays committed.
    rejected(forgotten(0).leader(1, 1), "two-leaders");
    let mut monitor = forgotten(0);
    monitor.term(0, 2).unwrap();
    rejected(monitor.leader(0, 2), "leader-completeness");
    let mut monitor = forgotten(1);
    monitor.appended(1, 1, [(1, 10), (2, 11)]).unwrap();
    rejected(monitor.committed(1, 2), "state-machine-safety");
    let mut monitor = forgotten(1);
    monitor.appended(1, 1, [(1, 10)]).unwrap();
    rejected(monitor.appended(1, 2, [(1, 12)]), "log-matching");
    // It may learn all of it again, and apply it from the beginning.
    let mut monitor = forgotten(0);
    monitor.appended(0, 1, [(1, 10), (1, 11)]).unwrap();
    monitor.committed(0, 2).unwrap();
    monitor.applied(0, 1, 5).unwrap();
    rejected(monitor.applied(0, 1, 5), "apply-order");
    // The others owe what they owed.
    rejected(forgotten(0).restarted(1, []), "persisted-entry-lost");
}

/// Prefixes of one log never trip the monitor, whatever the order of events; and a changed entry always does.
#[test]
fn any_interleaving_of_one_log_is_legal_and_any_other_log_is_not() {
    bolero::check!().with_type::<(Vec<(u8, u8, u8)>, u8)>().with_iterations(2000).for_each(|(events, changed)| {
        let entry = |index: u64| (index / 4, index * 31);
        let mut monitor = Monitor::new(3);
        let (mut lengths, mut persisted, mut committed) = ([0_u64; 3], [0_u64; 3], [0_u64; 3]);
        for &(node, event, amount) in events {
            let (node, amount) = (usize::from(node % 3), u64::from(amount));
            match event % 4 {
                0 => {
                    let first = committed[node].min(lengths[node]) + 1;
                    let last = (first + amount % 8).max(committed[node]);
                    monitor.appended(node, first, (first..=last).map(entry)).unwrap();
                    lengths[node] = last;
                    persisted[node] = persisted[node].min(first - 1);
                }
                1 => {
                    persisted[node] = persisted[node].max(amount % (lengths[node] + 1));
                    monitor.persisted(node, persisted[node]).unwrap();
                }
                2 => {
                    committed[node] += amount % (lengths[node] - committed[node] + 1);
                    monitor.committed(node, committed[node]).unwrap();
                }
                _ => {
                    lengths[node] = persisted[node] + amount % (lengths[node] - persisted[node] + 1);
                    monitor.restarted(node, (1..=lengths[node]).map(entry)).unwrap();
                    committed[node] = 0;
                }
            }
        }
        let highest = lengths.iter().copied().max().unwrap_or(0);
        if highest > 0 {
            let other = u64::from(*changed) % highest + 1;
            let log = (1..=highest).map(|index| (index / 4, index * 31 + u64::from(index == other)));
            let node = lengths.iter().position(|length| *length == highest).unwrap();
            monitor.appended((node + 1) % 3, 1, log).unwrap_err();
        }
    });
}
