//! Older trace formats, brought up to date.
//!
//! Each version has one step, from the JSON of the version before; a trace goes through all that it needs. What a step adds
//! is what the older version did without saying so. What does not look as it should is left for the reader to refuse,
//! with its place.

use serde_json::{Map, Value, json};

/// Brings a trace of an older format up to the newest.
pub fn migrate(trace: &mut Value, format: u32) {
    if format < 2 {
        to_2(trace);
    }
    if format < 3 {
        to_3(trace);
    }
}

/// Format 3 has workloads that the ones before did not know.
fn to_3(trace: &mut Value) {
    trace["format"] = json!(3);
}

/// Format 2 names faults by when they come, which was always a time before; and says what was fixed before: the sector's
/// size, the cache's, that all nodes run in the end.
fn to_2(trace: &mut Value) {
    trace["format"] = json!(2);
    let Some(scenario) = trace.get_mut("scenario").and_then(Value::as_object_mut) else { return };
    let nodes = scenario.get("nodes").and_then(Value::as_u64).unwrap_or(0).min(u64::from(u8::MAX));
    add(
        scenario,
        &[
            ("mode", json!("recoverable")),
            ("fates", json!([])),
            ("buggify", json!(0)),
            ("core", json!((1..=nodes).collect::<Vec<u64>>())),
        ],
    );
    if let Some(engine) = object(scenario, "engine") {
        add(engine, &[("cached_statements", json!(256))]);
    }
    if let Some(network) = object(scenario, "network") {
        add(network, &[("replay_ppm", json!(0)), ("replay_us", json!(0))]);
    }
    if let Some(disk) = object(scenario, "disk") {
        add(
            disk,
            &[
                ("sector", json!(512)),
                ("rot_read_ppm", json!(0)),
                ("misdirect_read_ppm", json!(0)),
                ("drop_on_sync_failure_ppm", json!(0)),
                ("crash_in_flight_ppm", json!(0)),
            ],
        );
    }
    let faults = scenario.get_mut("faults").and_then(Value::as_array_mut);
    for fault in faults.into_iter().flatten().filter_map(Value::as_object_mut) {
        if let Some(us) = fault.remove("at_us") {
            fault.insert("when".to_owned(), json!({"time": {"us": us}}));
        }
    }
}

fn object<'a>(parent: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Map<String, Value>> {
    parent.get_mut(name).and_then(Value::as_object_mut)
}

/// Adds what is not there.
fn add(object: &mut Map<String, Value>, fields: &[(&str, Value)]) {
    for (name, value) in fields {
        object.entry(*name).or_insert_with(|| value.clone());
    }
}
