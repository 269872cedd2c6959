//! An invented run to show: five nodes, four elections, a crash, a partition, and an update that is lost in it.
//!
//! It follows a script, with enough dice that it looks like a run. No engine is in it.

use super::{Comparison, Decisive, Edge, Event, Fate, Operation, Report, Sentence, What};

const MS: u64 = 1_000_000;
const END: u64 = 12_000 * MS;
const NODES: u8 = 5;
const CLIENTS: u32 = 6;

/// Who leads from when to when, in milliseconds, and in which term.
const REIGNS: [(u64, u64, u8, u64); 4] =
    [(162, 2_400, 3, 1), (2_650, 5_010, 1, 2), (4_655, 9_100, 4, 3), (9_330, 12_000, 2, 4)];

/// When nodes do not run: from, to, node.
const DOWN: [(u64, u64, u8); 2] = [(2_400, 3_420, 3), (7_130, 7_905, 2)];

/// When the cluster is in two: nodes 1 and 2 on one side.
const PARTED: (u64, u64) = (4_200, 6_100);

/// A small generator: the same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % limit.max(1)
    }
}

struct Run {
    dice: Dice,
    events: Vec<(u64, Option<u8>, What)>,
}

fn text(words: &str) -> String {
    words.to_string()
}

fn parted(at: u64, one: u8, other: u8) -> bool {
    (PARTED.0 * MS..PARTED.1 * MS).contains(&at) && ((one <= 2) != (other <= 2))
}

fn down(at: u64, node: u8) -> bool {
    DOWN.iter().any(|(from, to, who)| *who == node && (from * MS..to * MS).contains(&at))
}

impl Run {
    fn add(&mut self, at: u64, node: u8, what: What) {
        self.events.push((at, (node > 0).then_some(node), what));
    }

    /// Sends a message, and returns when it arrives.
    fn send(&mut self, at: u64, from: &str, to: &str, kind: &str, term: Option<u64>, words: String) -> Option<u64> {
        let number = |place: &str| place.strip_prefix('n').and_then(|n| n.parse::<u8>().ok());
        let arrives = at + 300_000 + self.dice.below(2 * MS);
        let (sender, receiver) = (number(from), number(to));
        let fate = match (sender, receiver) {
            (Some(one), Some(other)) if parted(at, one, other) => "cut off",
            (_, Some(node)) if down(arrives, node) => "node down",
            _ if self.dice.below(60) == 0 => "lost",
            _ => "delivered",
        };
        let arrives_ns = (fate == "delivered").then_some(arrives);
        let (from, to, kind) = (text(from), text(to), text(kind));
        self.add(
            at,
            sender.unwrap_or(0),
            What::Message { from, to, kind, term, text: words, arrives_ns, fate: text(fate) },
        );
        arrives_ns
    }

    fn role(&mut self, ms: u64, node: u8, role: &str, term: u64) {
        self.add(ms * MS, node, What::Role { role: text(role), term });
    }

    fn fault(&mut self, from: u64, to: u64, kind: &str, words: &str, nodes: &[u8], cut: Vec<(String, String)>) {
        let (kind, words) = (text(kind), text(words));
        self.add(from * MS, 0, What::Fault { kind, text: words, nodes: nodes.to_vec(), until_ns: Some(to * MS), cut });
    }

    /// Lives, roles and elections.
    fn script(&mut self) {
        for node in 1..=NODES {
            self.add(u64::from(node) * MS / 4, node, What::Starts { life: 1 });
            self.role(18 + u64::from(node), node, "follower", 0);
        }
        let elections =
            [(3, 148, 0, 1), (4, 2_590, 1, 1), (1, 2_620, 1, 2), (4, 4_610, 2, 3), (5, 9_240, 3, 3), (2, 9_290, 3, 4)];
        for (node, ms, old, term) in elections {
            self.role(ms, node, "pre-candidate", old);
            if term == old {
                self.role(ms + 70, node, "follower", term);
                continue;
            }
            self.role(ms + 9, node, "candidate", term);
            for peer in (1..=NODES).filter(|peer| *peer != node) {
                let (at, me, peer) = ((ms + 9) * MS, format!("n{node}"), format!("n{peer}"));
                if let Some(arrives) =
                    self.send(at, &me, &peer, "vote", Some(term), format!("asks to lead term {term}"))
                {
                    self.send(arrives, &peer, &me, "vote reply", Some(term), text("granted"));
                }
            }
        }
        for (from, to, node, term) in REIGNS {
            self.role(from, node, "leader", term);
            if !down(to * MS, node) && to * MS < END {
                self.role(to, node, "follower", term);
            }
            for peer in
                (1..=NODES).filter(|peer| *peer != node && !down(from * MS, *peer) && !parted(from * MS, node, *peer))
            {
                self.role(from + 2, peer, "follower", term);
            }
        }
        self.role(6_104, 1, "follower", 3);
        self.role(6_105, 2, "follower", 3);
        self.add(2_400 * MS, 3, What::Stops { why: text("power lost") });
        self.add(2_400 * MS, 3, What::Disk { text: text("power lost: 3 of 7 unsynced sectors kept, 1 torn") });
        self.add(3_420 * MS, 3, What::Starts { life: 2 });
        self.role(3_560, 3, "follower", 2);
        self.add(7_130 * MS, 2, What::Disk { text: text("sync of raft.log failed: EIO") });
        self.add(7_130 * MS, 2, What::Stops { why: text("stop on disk error") });
        self.add(7_905 * MS, 2, What::Starts { life: 2 });
        self.role(8_010, 2, "follower", 3);
        self.add(5_240 * MS, 5, What::Pauses);
        self.add(5_930 * MS, 5, What::Resumes);
        self.add(4_655 * MS, 4, What::Probe { name: text("two leaders at once"), count: 1 });
        self.add(3_500 * MS, 3, What::Probe { name: text("torn tail cut at recovery"), count: 3 });
        self.add(9_600 * MS, 0, What::Note { text: text("faults stop; the cluster must recover") });
    }

    fn faults(&mut self) {
        let link = |one: u8, other: u8| (format!("n{one}"), format!("n{other}"));
        let halves =
            (1..=2).flat_map(|one| (3..=5).flat_map(move |other| [link(one, other), link(other, one)])).collect();
        self.fault(PARTED.0, PARTED.1, "partition halves", "n1 n2 | n3 n4 n5", &[1, 2, 3, 4, 5], halves);
        self.fault(2_400, 2_400, "power loss", "3 of 7 unsynced sectors kept", &[3], vec![]);
        self.fault(5_240, 5_930, "pause", "n5 stands still", &[5], vec![]);
        self.fault(6_780, 7_130, "disk stall", "syncs of n2 take 40 times longer", &[2], vec![]);
        self.fault(1_020, 1_900, "latency spike", "all links 8 times slower", &[1, 2, 3, 4, 5], vec![]);
        self.fault(8_320, 9_230, "latency spike", "links of n4 20 times slower", &[4], vec![]);
        self.fault(
            8_600,
            9_400,
            "partition one-way",
            "n4 does not hear n2, n5",
            &[2, 4, 5],
            vec![link(2, 4), link(5, 4)],
        );
        for at in [1_310, 3_800, 6_850, 6_990, 8_800] {
            self.fault(at, at, "slow disk operation", "a sync of 210 ms", &[2], vec![]);
        }
    }

    /// The leader's appends and the answers to them: as many as are wanted.
    fn traffic(&mut self, wanted: usize) {
        let reigning: u64 = REIGNS.iter().map(|(from, to, ..)| to - from).sum();
        let gap = reigning * MS * 8 / wanted.max(8) as u64;
        for (from, to, leader, term) in REIGNS {
            let mut at = from * MS + MS / 2;
            while at < to * MS {
                let index = at / (14 * MS);
                for peer in (1..=NODES).filter(|peer| *peer != leader) {
                    let (me, peer) = (format!("n{leader}"), format!("n{peer}"));
                    let words =
                        format!("{} entries after {index}, commit {}", self.dice.below(4), index.saturating_sub(1));
                    let at = at + self.dice.below(90_000);
                    if let Some(arrives) = self.send(at, &me, &peer, "append", Some(term), words) {
                        self.send(arrives + 200_000, &peer, &me, "append reply", Some(term), format!("has {index}"));
                    }
                }
                at += gap / 2 + self.dice.below(gap);
            }
        }
    }

    /// Log positions: the leader's, and a little later those of everyone who hears it.
    fn logs(&mut self) {
        let (mut last, mut at) = (0, 170 * MS);
        while at < END - 400 * MS {
            at += 4 * MS + self.dice.below(20 * MS);
            let Some((_, _, leader, term)) =
                REIGNS.iter().rev().copied().find(|(from, to, ..)| (from * MS..to * MS).contains(&at))
            else {
                continue;
            };
            last += 1;
            // One entry is a copy that is applied as if it were none.
            let wrong = last == 300;
            let (copy, again) = if wrong { (", another copy", " AGAIN") } else { ("", "") };
            let entry = format!("commit of T{last}{copy}");
            self.add(at, leader, What::Entry { index: last, term, text: entry.clone() });
            for node in 1..=NODES {
                let delay = if node == leader { 0 } else { MS + self.dice.below(3 * MS) };
                let paused = node == 5 && (5_240 * MS..5_930 * MS).contains(&at);
                if !down(at + delay, node) && !parted(at, leader, node) && !paused {
                    let commit = if node == leader { last } else { last - 1 };
                    self.add(at + delay, node, What::Log { last, commit, applied: commit, term });
                    let (entry, ruling) = (entry.clone(), format!("T{last} commits{again}"));
                    self.add(at + delay, node, What::Applies { index: last, entry, ruling, wrong, decided: last });
                }
            }
        }
    }

    fn operations(&mut self) -> Vec<Operation> {
        let mut operations = vec![];
        for client in 1..=CLIENTS {
            let mut at = 200 * MS + self.dice.below(90 * MS);
            while at < 9_500 * MS {
                let id = operations.len() as u64 + 1;
                let (took, roll) = (3 * MS + self.dice.below(60 * MS), self.dice.below(100));
                let hard = parted(at, 1, 3) || (2_400 * MS..2_700 * MS).contains(&at);
                let outcome = if roll < if hard { 20 } else { 3 } {
                    "unknown"
                } else if roll < if hard { 35 } else { 9 } {
                    "failed"
                } else {
                    "ok"
                };
                let node = format!("n{}", self.dice.below(5) + 1);
                let (account, other, amount) = (self.dice.below(8), self.dice.below(8), self.dice.below(50) + 1);
                let (name, words) = match self.dice.below(3) {
                    0 => ("read", format!("a{account} = {}", 100 + amount)),
                    1 => ("audit", text("sum = 800")),
                    _ => ("transfer", format!("a{account} -> a{other}: {amount}")),
                };
                let place = format!("c{client}");
                self.send(at, &place, &node, "request", None, format!("#{id} {name}"));
                let complete_ns = (outcome != "unknown").then_some(at + took);
                if let Some(complete) = complete_ns {
                    self.events.push((
                        complete - MS,
                        node[1..].parse().ok(),
                        What::Message {
                            from: node,
                            to: place,
                            kind: text("reply"),
                            term: None,
                            text: format!("#{id} {outcome}"),
                            arrives_ns: Some(complete),
                            fate: text("delivered"),
                        },
                    ));
                }
                let position = at / (14 * MS);
                operations.push(Operation {
                    id,
                    client,
                    name: text(name),
                    invoke_ns: at,
                    complete_ns,
                    outcome: text(outcome),
                    text: words,
                    snapshot: (outcome == "ok").then_some(position),
                    commit: (outcome == "ok" && name == "transfer").then_some(position + 3),
                    blamed: false,
                    why: String::new(),
                });
                // A client that has no answer waits for its timeout.
                let rest = if outcome == "unknown" { 250 * MS } else { 2 * MS + self.dice.below(70 * MS) };
                at += took + rest;
            }
        }
        operations
    }
}

/// Makes the operations of two clients around a moment into the two that lose an update.
fn blame(operations: &mut [Operation]) -> [u64; 2] {
    [(2, 4_760, 4_842, "a3: 100 -> 70", 331, 341), (5, 4_795, 4_907, "a3: 100 -> 85", 331, 343)].map(
        |(client, from, to, words, snapshot, commit)| {
            let near =
                |operation: &&mut Operation| operation.client == client && operation.invoke_ns > (from - 120) * MS;
            let operation = operations.iter_mut().find(near).expect("there is one");
            operation.invoke_ns = from * MS;
            operation.complete_ns = Some(to * MS);
            operation.outcome = text("ok");
            operation.name = text("withdraw");
            operation.text = text(words);
            (operation.snapshot, operation.commit) = (Some(snapshot), Some(commit));
            operation.blamed = true;
            operation.why = text("part of the evidence");
            operation.id
        },
    )
}

/// The story, as sentences at milliseconds.
fn story(one: u64, other: u64) -> Vec<(u64, String, bool)> {
    let plain = |ms: u64, words: &str| (ms, text(words), false);
    let blamed = |ms: u64, words: String| (ms, words, true);
    vec![
        plain(1, "Five nodes start, and n3 is elected leader of term 1 after 162 ms."),
        plain(1_020, "All links become 8 times slower for 880 ms."),
        plain(2_400, "n3 loses power with 7 unsynced sectors; 3 of them survive, one torn."),
        plain(2_650, "n1 becomes leader of term 2."),
        plain(3_420, "n3 starts again and cuts a torn tail off its log."),
        plain(4_200, "The network parts: n1 and n2 on one side, n3, n4 and n5 on the other."),
        plain(4_655, "n4 becomes leader of term 3, while n1 still believes that it leads term 2."),
        blamed(
            4_760,
            format!("Client 2 withdraws 30 from a3 through n1 (T{one}): it reads 100 at position 331, and writes 70."),
        ),
        blamed(
            4_795,
            format!(
                "Client 5 withdraws 15 from a3 through n4 (T{other}): it reads 100 at position 331 too, and writes 85."
            ),
        ),
        blamed(
            4_907,
            format!(
                "Both were told that they committed. T{other} has overwritten T{one}: the 30 are back in the account."
            ),
        ),
        plain(5_010, "n1 has not heard a majority for 800 ms, and steps down."),
        plain(5_240, "n5 is paused for 690 ms."),
        plain(6_100, "The partition heals, and n1 and n2 follow n4."),
        plain(7_130, "A sync of n2 fails, and n2 stops rather than trust its disk."),
        plain(7_905, "n2 starts again."),
        plain(8_600, "n4 no longer hears n2 and n5."),
        plain(9_330, "n2 becomes leader of term 4."),
        plain(9_600, "The faults stop. The cluster recovers within 190 ms."),
        plain(11_700, "The checker of transactions finds a cycle of two."),
    ]
}

/// The run, with at least `events` events.
pub fn invented(seed: u64, events: usize) -> Report {
    let mut run = Run { dice: Dice(seed | 1), events: vec![] };
    run.script();
    run.faults();
    run.logs();
    let mut operations = run.operations();
    let [one, other] = blame(&mut operations);
    let wanted = events.saturating_sub(run.events.len());
    // Some of the answers that are counted on are lost.
    run.traffic(wanted + wanted / 4);
    let message = "two transactions read the same version of a3, both wrote it, and both committed: one update is lost";
    run.add(11_700 * MS, 0, What::Violation { text: text(message) });
    run.events.sort_by_key(|(at, ..)| *at);
    let events: Vec<Event> =
        (1..).zip(run.events).map(|(n, (at_ns, node, what))| Event { n, at_ns, node, what }).collect();
    let number = |at: u64| events.iter().rev().find(|event| event.at_ns <= at).map_or(0, |event| event.n);
    let drawn = [
        ("scenario", "bank, 8 accounts, snapshot isolation"),
        ("cluster", "5 nodes, 6 clients, BitCask"),
        ("network", "1.3 ms ± 1 ms, 1.7% lost, 2% reordered"),
        ("disk", "power loss keeps any subset, 0.1% sync errors"),
        ("fault 1", "at 1.020 s: latency spike, 880 ms"),
        ("fault 2", "at 2.400 s: power loss of n3, 1.020 s"),
        ("fault 3", "at 4.200 s: partition halves, 1.900 s"),
        ("fault 4", "at 5.240 s: pause of n5, 690 ms"),
        ("fault 5", "at 6.780 s: disk stall of n2, 350 ms"),
        ("fault 6", "at 8.600 s: partition one-way, 800 ms"),
    ];
    let lines = [
        (" ", "4.199 812 s  n1 → n4 append (term 2): 1 entry after 299"),
        ("-", "4.200 000 s  partition halves: n1 n2 | n3 n4 n5"),
        ("-", "4.200 411 s  n1 → n3 append (term 2): cut off"),
        ("-", "4.200 433 s  n1 → n4 append (term 2): cut off"),
        ("+", "4.200 411 s  n1 → n3 append (term 2): 1 entry after 300"),
        ("+", "4.201 702 s  n3 → n1 append reply (term 2): has 301"),
        (" ", "4.203 118 s  c4 → n2 request: #181 read"),
        ("-", "4.610 000 s  n4 is pre-candidate in term 2"),
        ("-", "4.655 000 s  n4 is leader in term 3"),
    ];
    Report {
        title: text("universe 7291: bank"),
        seed: 7_291,
        revision: text("ab12cd3"),
        replay: text("cargo run --release -p sim -- replay traces/7291.json"),
        verdict_line: text("FAIL safety/snapshot/lost-update seed=7291 rev=ab12cd3 event=20113 t=11.700000s"),
        passed: false,
        class: text("safety"),
        checker: text("snapshot"),
        anomaly: text("lost-update"),
        message: text(
            "Two transactions read the same version of a3, both wrote it, and both committed: one update is lost.",
        ),
        evidence: vec![
            format!("T{one} = client 2 [4.760, 4.842] snapshot 331, commit 341: read a3 = 100, wrote a3 = 70"),
            format!("T{other} = client 5 [4.795, 4.907] snapshot 331, commit 343: read a3 = 100, wrote a3 = 85"),
            format!("T{one} < T{other}: wrote the version of a3 that T{other} replaced"),
            format!("T{other} < T{one}: read the version of a3 that T{one} replaced"),
        ],
        found_event: number(11_700 * MS),
        found_ns: 11_700 * MS,
        found_node: None,
        decisive: Some(Decisive {
            at_ns: 4_907 * MS,
            event: number(4_907 * MS),
            text: format!("client 5 has the answer to T{other}: it has committed"),
        }),
        cycle: vec![
            Edge { from: one, to: other, why: text("ww a3") },
            Edge { from: other, to: one, why: text("rw a3") },
        ],
        drawn: drawn.map(|(label, value)| (text(label), text(value))).to_vec(),
        story: story(one, other)
            .into_iter()
            .map(|(ms, text, blamed)| Sentence { at_ns: ms * MS, event: number(ms * MS), text, blamed })
            .collect(),
        nodes: NODES,
        clients: (1..=CLIENTS).collect(),
        end_ns: END,
        phases: vec![(0, text("safety")), (9_600 * MS, text("liveness")), (11_400 * MS, text("judgement"))],
        passing: Some(Comparison {
            what: text("the same without fault 3"),
            first_difference_event: number(4_200 * MS),
            first_difference_ns: 4_200 * MS,
            passed_over: 12,
            fates: vec![Fate { operation: one, here: text("ok: a3: 100 -> 70"), there: text("failed: a conflict") }],
            lines: lines.map(|(sign, line)| (text(sign), text(line))).to_vec(),
        }),
        events,
        operations,
    }
}

/// A run in which nothing was found.
pub fn passing() -> Report {
    let mut report = invented(11, 3_000);
    report.events.retain(|event| !matches!(event.what, What::Violation { .. }));
    report.operations.iter_mut().for_each(|operation| operation.blamed = false);
    report.story.retain(|sentence| !sentence.blamed && sentence.at_ns < 11_000 * MS);
    let found = (text("pass"), text("PASS seed=7291 rev=ab12cd3"));
    Report {
        passed: true,
        class: found.0,
        verdict_line: found.1,
        checker: String::new(),
        anomaly: String::new(),
        message: String::new(),
        evidence: vec![],
        cycle: vec![],
        decisive: None,
        passing: None,
        ..report
    }
}

/// A run all of whose texts try to break out.
pub fn hostile() -> Report {
    const EVIL: &str = "</title></script></pre><img src=x onerror=\"document.body.dataset.injected=1\"><!--\u{2028}\u{2029}'\"`${1}{{script}}\\u003c é 🪐 \u{202e}\0";
    let evil = || EVIL.to_string();
    let whats = [
        What::Message {
            from: text("n1"),
            to: evil(),
            kind: evil(),
            term: None,
            text: evil(),
            arrives_ns: Some(60),
            fate: evil(),
        },
        What::Message {
            from: text("n1"),
            to: text("n2"),
            kind: evil(),
            term: Some(1),
            text: evil(),
            arrives_ns: None,
            fate: evil(),
        },
        What::Starts { life: 1 },
        What::Role { role: evil(), term: 1 },
        What::Stops { why: evil() },
        What::Fault { kind: evil(), text: evil(), nodes: vec![1, 77], until_ns: None, cut: vec![(evil(), text("n1"))] },
        What::Disk { text: evil() },
        What::Probe { name: evil(), count: 2 },
        What::Entry { index: 1, term: 1, text: evil() },
        What::Applies { index: 1, entry: evil(), ruling: evil(), wrong: true, decided: 7 },
        What::Note { text: evil() },
        What::Violation { text: evil() },
    ];
    let events = whats.into_iter().zip(1..).map(|(what, n)| Event { n, at_ns: n * 10, node: Some(1), what }).collect();
    Report {
        title: evil(),
        revision: evil(),
        replay: evil(),
        verdict_line: evil(),
        class: evil(),
        checker: evil(),
        anomaly: evil(),
        message: evil(),
        evidence: vec![evil(), evil()],
        cycle: vec![Edge { from: 1, to: 9, why: evil() }],
        drawn: vec![(evil(), evil())],
        decisive: Some(Decisive { at_ns: 10, event: 1, text: evil() }),
        story: vec![Sentence { at_ns: 10, event: 1, text: evil(), blamed: true }],
        nodes: 2,
        clients: vec![1],
        end_ns: 200,
        found_ns: 100,
        found_event: 10,
        phases: vec![(0, evil()), (50, evil())],
        events,
        operations: vec![Operation {
            id: 1,
            client: 1,
            name: evil(),
            invoke_ns: 20,
            outcome: evil(),
            text: evil(),
            blamed: true,
            why: evil(),
            ..Operation::default()
        }],
        passing: Some(Comparison {
            what: evil(),
            first_difference_event: 3,
            first_difference_ns: 30,
            passed_over: 1,
            fates: vec![Fate { operation: 1, here: evil(), there: evil() }],
            lines: vec![(evil(), evil())],
        }),
        ..Report::default()
    }
}
