//! Scenarios are read from files: whatever is wrong with one must be said with its place, and never be run.

use scenarios::{Error, Overrides, Scenario, WorkloadKind};
use serde_json::{Value, json};

/// A valid scenario with something of everything.
fn valid() -> Value {
    let overrides = Overrides {
        scenario: Some(WorkloadKind::Bank),
        nodes: Some(3),
        clients: Some(2),
        ops: Some(4),
        ..Overrides::default()
    };
    let mut scenario = serde_json::to_value(Scenario::draw(1, &overrides)).unwrap();
    scenario["workload"] = json!({"bank": {"accounts": 3, "balance": 10}});
    scenario["clients"] = json!([
        {"id": 1, "steps": [{"think_us": 5, "do": {"transfer": {"from": 0, "to": 1, "amount": 3}}}]},
        {"id": 2, "steps": [{"think_us": 0, "do": {"read_accounts": {"back": null}}}]},
    ]);
    scenario["faults"] = json!([
        {"when": {"time": {"us": 10}}, "kind": {"crash": {"node": 1, "after_disk_ops": null, "power_loss": true}}},
        {"when": {"time": {"us": 20}}, "kind": {"restart": {"node": 1}}},
        {"when": {"time": {"us": 20}}, "kind": {"pause": {"node": 3, "for_us": 5}}},
        {"when": {"time": {"us": 30}}, "kind": {"partition": {"for_us": 5, "shape": {"halves": {"left": {"nodes": [1]}, "right": {"nodes": [2, 3], "clients": [2]}}}}}},
        {"when": {"time": {"us": 31}}, "kind": {"partition": {"for_us": 5, "shape": {"bridge": {"node": 1, "left": {"nodes": [2]}, "right": {"nodes": [3]}}}}}},
        {"when": {"time": {"us": 32}}, "kind": {"partition": {"for_us": 5, "shape": {"ring": {"nodes": [1, 2, 3]}}}}},
        {"when": {"time": {"us": 33}}, "kind": {"partition": {"for_us": 5, "shape": {"flapping": {"cut_us": 1, "open_us": 1, "shape": {"isolate": {"node": 1, "clients": true}}}}}}},
        {"when": {"time": {"us": 34}}, "kind": {"partition": {"for_us": 5, "shape": {"client_side": {"clients": [1], "nodes": [1]}}}}},
        {"when": {"time": {"us": 40}}, "kind": {"disk_errors": {"node": 2, "for_us": 1, "read_ppm": 1, "write_ppm": 1, "sync_ppm": 1}}},
        {"when": {"time": {"us": 40}}, "kind": {"latency_spike": {"factor": 2, "for_us": 1}}},
        {"when": {"time": {"us": 50}}, "kind": "heal"},
        {"when": {"appended": {"node": 1, "index": 3}}, "kind": {"swizzle": {"cut": [1, 2], "heal": [2, 1], "every_us": 5}}},
        {"when": {"synced": {"node": 1, "count": 3}}, "kind": {"rot": {"node": 2, "file": "log", "permille": 500}}},
        {"when": {"leads": {"node": 1, "count": 1}}, "kind": {"clock_jump": {"node": 2, "by_us": -5}}},
        {"when": {"applied": {"node": 1, "index": 3}}, "kind": {"crash_loop": {"node": 2, "times": 2, "up_us": 1, "down_us": 1, "power_loss": true}}},
        {"when": {"time": {"us": 60}}, "kind": {"lose_kind": {"kind": "append", "ppm": 5, "for_us": 1}}},
        {"when": {"votes": {"node": 1, "count": 2}}, "kind": {"wipe": {"node": 2, "down_us": 5}}},
    ]);
    scenario["fates"] = json!([
        {"message": {"from": {"node": 1}, "to": {"client": 2}, "kind": "reply", "count": 1, "what": "lost"}},
        {"disk": {"node": 2, "what": "sync_fails", "count": 7}},
    ]);
    scenario
}

/// The message for a scenario with one place changed.
fn message(pointer: &str, value: Value) -> String {
    let mut scenario = valid();
    if let Some(place) = scenario.pointer_mut(pointer) {
        *place = value;
    } else {
        let (parent, name) = pointer.rsplit_once('/').expect("a path");
        let parent = scenario.pointer_mut(parent).expect("the parent is there");
        parent.as_object_mut().expect("an object").insert(name.to_owned(), value);
    }
    Scenario::from_json(&scenario.to_string()).expect_err(pointer).to_string()
}

#[test]
fn a_valid_scenario_is_read() {
    Scenario::from_json(&valid().to_string()).expect("valid");
}

#[test]
fn what_is_no_scenario_is_refused_with_its_place() {
    let text = valid().to_string();
    for cut in [0, 1, text.len() / 2, text.len() - 1] {
        let error = Scenario::from_json(&text[..cut]).expect_err("cut off");
        assert!(matches!(&error, Error::Json(reason) if reason.contains("line 1 column")), "{error}");
    }
    let deep = "[".repeat(100_000);
    assert!(Scenario::from_json(&deep).is_err());
    let nested = r#"{"flapping":{"cut_us":1,"open_us":1,"shape":"#.repeat(10_000);
    let deep = text.replacen(r#"{"isolate":"#, &format!("{nested}{{"), 1);
    assert!(Scenario::from_json(&deep).is_err());
    for (pointer, value, expected) in [
        ("/surprise", json!(1), "unknown field `surprise`"),
        ("/engine/surprise", json!(1), "unknown field `surprise`"),
        ("/faults/0/kind", json!({"explode": {}}), "unknown variant `explode`"),
        ("/faults/0/kind/crash/extra", json!(1), "unknown field `extra`"),
        ("/clients/0/steps/0/do", json!({"steal": {}}), "unknown variant `steal`"),
        ("/nodes", json!(-1), "invalid value: integer `-1`"),
        ("/nodes", json!(3.5), "invalid type: floating point `3.5`"),
        ("/seed", json!("one"), "invalid type: string \"one\""),
        ("/network", json!(null), "invalid type: null"),
    ] {
        let message = message(pointer, value);
        assert!(message.starts_with("not a scenario: ") && message.contains(expected), "{pointer}: {message}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    for (pointer, value, expected) in [
        ("/nodes", json!(0), "nodes: 0 is not within 1 to 15"),
        ("/nodes", json!(16), "nodes: 16 is not within 1 to 15"),
        ("/nodes", json!(4), "clocks: 3 clocks for 4 nodes"),
        ("/clocks/1/drift_ppm", json!(1_000_000), "clocks[1].drift_ppm: 1000000 is not within -500000 to 500000"),
        (
            "/clocks/1/skew_us",
            json!(i64::MIN),
            "clocks[1].skew_us: -9223372036854775808 is not within -3600000000 to 3600000000",
        ),
        ("/engine/tick_ms", json!(0), "engine.tick_ms: 0 is not within 1 to 10000"),
        ("/engine/election_ticks", json!(1), "engine.election_ticks: 1 is not within 2 to 1000"),
        ("/engine/heartbeat_ticks", json!(1_000), "engine.heartbeat_ticks: 1000 is not within 1 to"),
        ("/engine/retention", json!(0), "engine.retention: 0 is not within 1 to"),
        ("/engine/flush_every", json!(0), "engine.flush_every: 0 is not within 1 to 1000000"),
        (
            "/engine/storage",
            json!({"bit_cask": {"compact_garbage_percent": 0, "compact_min_bytes": 1}}),
            "engine.storage.bit_cask.compact_garbage_percent: 0 is not within 1 to 100",
        ),
        ("/network/loss_ppm", json!(1_000_001), "network.loss_ppm: 1000001 is not within 0 to 1000000"),
        ("/network/latency", json!({"min_us": 2, "mean_us": 1}), "network.latency.min_us: 2 is not within 0 to 1"),
        ("/disk/tear_ppm", json!(2_000_000), "disk.tear_ppm: 2000000 is not within 0 to 1000000"),
        ("/disk/sync", json!({"min_us": 2, "mean_us": 1}), "disk.sync.min_us: 2 is not within 0 to 1"),
        ("/client_timeout_ms", json!(0), "client_timeout_ms: 0 is not within 1 to 600000"),
        ("/safety_us", json!(u64::MAX), "safety_us: 18446744073709551615 is not within 1 to 86400000000"),
        ("/conflict_retries", json!(1_000), "conflict_retries: 1000 is not within 0 to 5"),
        (
            "/workload",
            json!({"bank": {"accounts": 0, "balance": 1}}),
            "workload.bank.accounts: 0 is not within 1 to 100000",
        ),
        (
            "/workload",
            json!({"bank": {"accounts": 3, "balance": -1}}),
            "workload.bank.balance: -1 is not within 0 to 1000000000",
        ),
        (
            "/workload",
            json!({"register": {"keys": 3}}),
            "clients[0].steps[0].do: \"transfer\" is no operation of register",
        ),
        ("/clients", json!([]), "clients.length: 0 is not within 1 to 1024"),
        ("/clients/1/id", json!(1), "clients[1].id: two clients have the id 1"),
        ("/clients/1/id", json!(0), "clients[1].id: 0 is not within 1 to 1024"),
        ("/clients/0/steps/0/think_us", json!(u64::MAX), "clients[0].steps[0].think_us: longer than a day"),
        (
            "/clients/0/steps/0/do/transfer/from",
            json!(3),
            "clients[0].steps[0].do: account 3 is not one of the 3, which count from 0",
        ),
        ("/clients/0/steps/0/do/transfer/to", json!(0), "clients[0].steps[0].do: both accounts are 0"),
        ("/clients/0/steps/0/do/transfer/amount", json!(0), "clients[0].steps[0].do: an amount of 0"),
        ("/faults/0/kind/crash/node", json!(0), "faults[0].kind.crash.node: there is no node 0: they are 1 to 3"),
        ("/faults/1/kind/restart/node", json!(4), "faults[1].kind.restart.node: there is no node 4: they are 1 to 3"),
        ("/faults/2/when/time/us", json!(u64::MAX), "faults[2].when.time.us: 18446744073709551615 is not within 0 to"),
        (
            "/faults/11/when/appended/node",
            json!(4),
            "faults[11].when.appended.node: there is no node 4: they are 1 to 3",
        ),
        (
            "/faults/11/kind/swizzle/heal",
            json!([1, 3]),
            "faults[11].kind.swizzle.heal: not the nodes of `cut`, each once, in any order",
        ),
        ("/faults/12/kind/rot/permille", json!(1_001), "faults[12].kind.rot.permille: 1001 is not within 0 to 1000"),
        (
            "/faults/13/kind/clock_jump/by_us",
            json!(i64::MAX),
            "faults[13].kind.clock_jump.by_us: 9223372036854775807 is not",
        ),
        ("/faults/14/kind/crash_loop/times", json!(0), "faults[14].kind.crash_loop.times: 0 is not within 1 to 1000"),
        ("/faults/15/kind/lose_kind/ppm", json!(1_000_001), "faults[15].kind.lose_kind.ppm: 1000001 is not within"),
        ("/fates/0/message/from/node", json!(9), "fates[0].message.from: there is no node 9: they are 1 to 3"),
        ("/fates/0/message/count", json!(0), "fates[0].message.count: 0 is not within 1 to"),
        ("/fates/1/disk/count", json!(0), "fates[1].disk.count: 0 is not within 1 to"),
        ("/core", json!([4]), "core: there is no node 4: they are 1 to 3"),
        ("/disk/sector", json!(1_000), "disk.sector: 1000 is not 512 or 4096"),
        ("/faults/2/kind/pause/for_us", json!(0), "faults[2].kind.pause.for_us: 0 is not within 1 to 86400000000"),
        (
            "/faults/3/kind/partition/shape/halves/left/nodes",
            json!([2]),
            "faults[3].kind.partition.shape.halves: the sides have a member in common",
        ),
        (
            "/faults/3/kind/partition/shape/halves/left/nodes",
            json!([9]),
            "faults[3].kind.partition.shape.halves.left: there is no node 9: they are 1 to 3",
        ),
        (
            "/faults/3/kind/partition/shape/halves/right/clients",
            json!([3]),
            "faults[3].kind.partition.shape.halves.right: there is no client 3",
        ),
        (
            "/faults/4/kind/partition/shape/bridge/left/nodes",
            json!([1]),
            "faults[4].kind.partition.shape.bridge.node: node 1 is on a side too",
        ),
        (
            "/faults/5/kind/partition/shape/ring/nodes",
            json!([1, 1]),
            "faults[5].kind.partition.shape.ring.nodes: a node is named twice",
        ),
        (
            "/faults/6/kind/partition/shape/flapping/shape",
            json!({"flapping": {"cut_us": 1, "open_us": 1, "shape": {"isolate": {"node": 1, "clients": true}}}}),
            "faults[6].kind.partition.shape.flapping.shape: flapping within flapping",
        ),
        (
            "/faults/6/kind/partition/shape/flapping/shape/isolate/node",
            json!(7),
            "faults[6].kind.partition.shape.flapping.shape.isolate.node: there is no node 7: they are 1 to 3",
        ),
        (
            "/faults/7/kind/partition/shape/client_side/clients",
            json!([8]),
            "faults[7].kind.partition.shape.client_side: there is no client 8",
        ),
        (
            "/faults/8/kind/disk_errors/read_ppm",
            json!(1_000_001),
            "faults[8].kind.disk_errors.read_ppm: 1000001 is not within 0 to 1000000",
        ),
        (
            "/faults/9/kind/latency_spike/factor",
            json!(0),
            "faults[9].kind.latency_spike.factor: 0 is not within 1 to 1000000",
        ),
    ] {
        let message = message(pointer, value);
        assert!(message.starts_with(expected), "{pointer}: {message}");
    }
}

#[test]
fn names_that_do_not_exist_are_refused_with_those_that_do() {
    assert_eq!("bank".parse(), Ok(WorkloadKind::Bank));
    assert_eq!(
        "banks".parse::<WorkloadKind>(),
        Err("there is no scenario \"banks\": choose one of register, bank, append, write-skew, long-fork, time-travel, unique, foreign-key, index, ddl, sql".to_owned())
    );
    assert_eq!(
        "some".parse::<scenarios::FaultsMode>(),
        Err("there is no faults mode \"some\": choose one of none, light, full".to_owned())
    );
}
