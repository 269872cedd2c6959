//! The notations of histories: that each is read as it is meant, that wrong files are refused with the line and the
//! reason, and that what is written reads back as the same.

use checkers::formats::{Format, Kind, ModelName, Objects, Recorded, read, write};
use checkers::history::{History, Micro, Outcome, Predicate};
use serde_json::{Value, json};

#[track_caller]
fn objects(text: &str) -> Objects {
    match read(text.as_bytes(), None) {
        Ok(Recorded::Objects(objects)) => objects,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn transactions(text: &str) -> History {
    match read(text.as_bytes(), None) {
        Ok(Recorded::Transactions(history)) => history,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(text: &str, line: usize, reason: &str) {
    match read(text.as_bytes(), None) {
        Ok(read) => panic!("{text} was read as {read:?}"),
        Err(error) => {
            assert_eq!(error.line, line, "{error}");
            assert!(error.reason.contains(reason), "{error}");
        }
    }
}

const WRITE: &str = r#"{"client":0,"kind":"write","key":"x","value":3,"call_ts":1,"return_ts":2,"output":"ok"}"#;
const READ: &str = r#"{"client":1,"kind":"read","key":"x","value":null,"call_ts":1,"return_ts":4,"output":3}"#;
const TXN: &str =
    r#"{"id":7,"session":"a","status":"ok","call_ts":1,"return_ts":4,"ops":[["w","x",3],["r","y",null]]}"#;

#[test]
fn lines_of_operations_are_read() {
    let header = r#"{"model":"cas-register","initial":0}"#;
    let lost = r#"{"client":"c","kind":"cas","key":"x","value":[3,4],"call_ts":9,"return_ts":null,"output":null}"#;
    let failed = r#"{"client":1,"kind":"write","key":"x","value":9,"call_ts":4,"return_ts":5,"outcome":"fail"}"#;
    let read = objects(&[header, WRITE, READ, lost, failed].join("\n"));
    assert_eq!((read.model, read.initial.as_ref()), (Some(ModelName::CasRegister), Some(&json!(0))));
    let kinds: Vec<(Kind, Outcome)> = read.calls.iter().map(|call| (call.kind, call.outcome)).collect();
    assert_eq!(
        kinds,
        [
            (Kind::Write, Outcome::Ok),
            (Kind::Read, Outcome::Ok),
            (Kind::Cas, Outcome::Unknown),
            (Kind::Write, Outcome::Failed)
        ]
    );
    assert_eq!(read.names.key(read.calls[0].key.unwrap()), "x");
    assert_eq!(read.names.client(read.calls[2].client), "c");
    assert_eq!((read.calls[1].line, &read.calls[1].output), (3, &json!(3)));
}

#[test]
fn the_model_is_told_by_the_operations() {
    let line = |client: u64, kind: &str, value: Value, output: Value| {
        json!({"client": client, "kind": kind, "value": value, "call_ts": 0, "return_ts": 1, "output": output})
            .to_string()
    };
    let guessed = |lines: &[String]| objects(&lines.join("\n")).model(None);
    let null = Value::Null;
    let read = |output| line(0, "read", Value::Null, output);
    assert_eq!(guessed(&[read(json!(1))]), Ok(ModelName::Register));
    assert_eq!(guessed(&[read(json!(1)), line(1, "cas", json!([1, 2]), json!(true))]), Ok(ModelName::CasRegister));
    assert_eq!(guessed(&[line(0, "get", null.clone(), json!(""))]), Ok(ModelName::Kv));
    assert_eq!(guessed(&[line(0, "acquire", null.clone(), json!("ok"))]), Ok(ModelName::Mutex));
    assert_eq!(guessed(&[line(0, "dequeue", null.clone(), null.clone())]), Ok(ModelName::Queue));
    assert_eq!(
        guessed(&[line(0, "txn", json!([["read", "x", null]]), json!([["read", "x", 1]]))]),
        Ok(ModelName::MultiRegister)
    );
    let add = line(1, "add", json!(1), json!("ok"));
    assert_eq!(guessed(&[add.clone(), read(json!([1]))]), Ok(ModelName::Set));
    assert_eq!(guessed(&[add.clone(), read(json!(1))]), Ok(ModelName::Counter));
    assert_eq!(guessed(&[line(0, "contains", json!(1), json!(true))]), Ok(ModelName::Set));
    assert!(guessed(std::slice::from_ref(&add)).unwrap_err().reason.contains("set or a counter"));
    let error = guessed(&[add.clone(), line(2, "write", json!(1), json!("ok"))]).unwrap_err();
    assert!(error.line == 2 && error.reason.contains("`write`"), "{error}");
    let error = objects(&add).model(Some(ModelName::Kv)).unwrap_err();
    assert!(error.reason.contains("`add` is no operation of a kv"), "{error}");
    let error = objects(&read(json!([1]))).model(Some(ModelName::Counter)).unwrap_err();
    assert!(error.reason.contains("whole number"), "{error}");
}

#[test]
fn lines_of_transactions_are_read() {
    let lists = r#"{"id":8,"session":"b","status":"unknown","call_ts":2,"return_ts":null,"ops":[["append","l",1],["r","l",null],["r","l",[1,2]]]}"#;
    let rows = r#"{"id":9,"session":3,"status":"ok","call_ts":5,"return_ts":6,"ops":[["rp",["mod",3,0],{"x":3,"7":6}],["delete",7],["insert",7,6]],"snapshot":4,"commit":5,"historic":true}"#;
    let first =
        r#"{"id":0,"session":"init","status":"ok","call_ts":null,"return_ts":null,"ops":[["w","x",1]],"init":true}"#;
    let history = transactions(&[first, TXN, lists, rows].join("\n"));
    assert!(history.timed);
    let [first, plain, lists, rows] = &history.transactions[..] else { panic!() };
    assert!(first.initial && !plain.initial);
    assert_eq!((plain.id, plain.invoke, plain.complete), (7, 1, Some(4)));
    assert!(matches!(plain.operations[1], Micro::Read { value: None, .. }));
    assert_eq!(lists.outcome, Outcome::Unknown);
    let Micro::ReadList { ref elements, .. } = lists.operations[1] else { panic!("a read of nothing of a list") };
    assert!(elements.is_empty());
    let Micro::ReadRows { predicate, rows: ref seen } = rows.operations[0] else { panic!() };
    assert_eq!(predicate, Predicate::Modulo { divisor: 3, remainder: 0 });
    assert_eq!(
        seen.iter().map(|(key, value)| (history.names.key(*key), *value)).collect::<Vec<_>>(),
        [("7".to_string(), 6), ("x".to_string(), 3)]
    );
    assert_eq!(rows.operations[1], Micro::Write { key: 7, value: None });
    assert_eq!((rows.snapshot, rows.commit, rows.historic), (Some(4), Some(5), true));
}

#[test]
fn the_format_is_told_by_the_text() {
    for (text, format) in [
        (WRITE, Format::Jsonl),
        ("{ \"model\": \"set\" }", Format::Jsonl),
        (ELLE, Format::Edn),
        ("\n  [{:process 0}]", Format::Edn),
        ("{:process 0, :type :invoke, :f :get, :key \"0\", :value nil}", Format::KvLog),
        ("something else\nINFO  jepsen.util - 0\t:invoke\t:read\tnil", Format::EtcdLog),
    ] {
        assert_eq!(Format::guess(text), Some(format), "{text}");
    }
    assert_eq!(Format::guess("client,kind,value"), None);
}

#[test]
fn transactions_without_times_are_in_order() {
    let line = |id, session| {
        json!({"id": id, "session": session, "status": "ok", "call_ts": null, "return_ts": null, "ops": []}).to_string()
    };
    let history = transactions(&[line(0, 1), line(1, 2), line(2, 1)].join("\n"));
    assert!(!history.timed);
    let [first, _, third] = &history.transactions[..] else { panic!() };
    assert!(first.complete.unwrap() < third.invoke);
}

#[test]
fn wrong_operations_are_refused() {
    refused("", 1, "empty");
    refused(" \n\n", 1, "empty");
    refused("hello", 1, "none of the known formats");
    refused(&WRITE[..50], 1, "EOF");
    refused(&format!("{WRITE}\n{}", &READ[..50]), 2, "EOF");
    refused(&format!("{WRITE}\n\n{READ}"), 2, "empty");
    refused(&format!("{WRITE}\n{TXN}"), 2, "unknown field `id`");
    refused(&WRITE.replace("output", "outputs"), 1, "unknown field `outputs`");
    refused(&WRITE.replace(",\"output\":\"ok\"", ""), 1, "missing field `output`");
    refused(&WRITE.replace("\"ok\"", "\"ok\",\"outcome\":\"fail\""), 1, "so it did not happen");
    refused("{\"model\":\"register\"}", 1, "no operation");
    refused("[]", 1, "no");
    refused(&WRITE.replace("\"return_ts\":2,", ""), 1, "missing field `return_ts`");
    refused(&WRITE.replace("\"value\":3,", ""), 1, "has no value");
    refused(&WRITE.replace(":3,", ":[3],"), 1, "an array where a single value belongs");
    refused(&WRITE.replace("\"write\"", "\"wrote\""), 1, "unknown variant `wrote`");
    refused(&WRITE.replace("\"return_ts\":2", "\"return_ts\":0"), 1, "before it was called");
    refused(&WRITE.replace(":1,", ":-1,"), 1, "invalid value");
    refused(&WRITE.replace(":1,", ":99999999999999999999,"), 1, "invalid");
    refused(&WRITE.replace("\"ok\"", "\"fine\""), 1, "answers \"ok\"");
    refused(&WRITE.replace('}', ",\"outcome\":\"ok\",\"outcome\":\"ok\"}"), 1, "duplicate field");
    refused(&format!("{WRITE}\n{WRITE}"), 2, "client 0 called at 1 while its call of line 1 was open");
    let open = READ.replace("\"return_ts\":4", "\"return_ts\":null");
    let late = READ.replace("\"call_ts\":1", "\"call_ts\":3");
    refused(&format!("{READ}\n{late}"), 2, "was open");
    assert_eq!(objects(&format!("{open}\n{late}")).calls.len(), 2, "the client has given the first one up");
    refused(&open.replace('}', ",\"outcome\":\"ok\"}"), 1, "no time of return");
    refused(
        &WRITE.replace("\"value\":3", &format!("\"value\":{}{}", "[".repeat(100_000), "]".repeat(100_000))),
        1,
        "recursion limit",
    );
    refused(&WRITE.replace("\"value\":3", "\"value\":123456789012345678901"), 1, "too large to be exact");
    refused(r#"{"model":"stack"}"#, 1, "unknown variant `stack`");
    refused("{\"model\":\"set\",\"start\":0}", 1, "unknown field `start`");
    refused(r#"{"name":1}"#, 1, "neither an operation");
    let cas = r#"{"client":0,"kind":"cas","value":[1,2],"call_ts":1,"return_ts":2,"output":true}"#;
    refused(&cas.replace("[1,2]", "[1]"), 1, "takes [from, to]");
    refused(&cas.replace("true", "\"ok\""), 1, "true or false");
    let txn =
        r#"{"client":0,"kind":"txn","value":[["read","x",null]],"call_ts":1,"return_ts":2,"output":[["read","y",1]]}"#;
    refused(txn, 1, "asks [\"read\",\"x\",null], but answers");
    refused(&txn.replace("\"read\"", "\"peek\""), 1, "neither [\"read\"");
}

#[test]
fn wrong_transactions_are_refused() {
    let with = |from: &str, to: &str| {
        assert!(TXN.contains(from), "{from}");
        TXN.replace(from, to)
    };
    refused(&with("\"w\"", "\"x\""), 1, "unknown variant `x`");
    refused(&with("[\"w\",\"x\",3]", "[\"w\",\"x\"]"), 1, "its value is missing");
    refused(&with("[\"w\",\"x\",3]", "[]"), 1, "its name is missing");
    refused(&with("\"x\",3]", "\"x\",3,4]"), 1, "too many parts");
    refused(&with("\"x\",3]", "null,3]"), 1, "a key cannot be null");
    refused(&with("\"w\",\"x\",3", "\"append\",\"x\",null"), 1, "its value is null");
    refused(&with("null]", "[1,[2]]]"), 1, "invalid type");
    refused(&with("[\"r\",\"y\",null]", "[\"r\",\"x\",[1]]"), 1, "key x is a list here, but a single value in line 1");
    refused(&with("\"ok\"", "\"okay\""), 1, "unknown variant `okay`");
    refused(&with("\"return_ts\":4", "\"return_ts\":null"), 1, "no completion time");
    refused(&with("\"return_ts\":4", "\"return_ts\":0"), 1, "before");
    refused(&with("\"call_ts\":1", "\"call_ts\":null"), 1, "none of its call");
    refused(&with("4,\"ops\"", "4,\"opera\""), 1, "neither");
    refused(&with("]]}", "]],\"commits\":1}"), 1, "unknown field `commits`");
    refused(&with("\"id\":7", "\"id\":\"7\""), 1, "invalid type");
    refused(&format!("{TXN}\n{}", TXN.replace("\"a\"", "\"b\"")), 2, "transaction 7 is there twice");
    refused(&format!("{TXN}\n{}", with("\"id\":7", "\"id\":8")), 2, "open");
    let early = with("\"id\":7", "\"id\":8").replace(":1,", ":0,").replace(":4,", ":1,");
    refused(&format!("{TXN}\n{early}"), 2, "before its transaction of line 1");
    let untimed = with("\"id\":7", "\"id\":8").replace(":1,", ":null,").replace(":4,", ":null,");
    refused(&format!("{TXN}\n{untimed}"), 2, "it has no times, but line 1 has some");
    let rows = |pred: &str, rows: &str| with("[\"w\",\"x\",3]", &format!("[\"rp\",{pred},{rows}]"));
    refused(&rows("\"all\"", "{}"), 1, "unknown predicate");
    refused(&rows("[\"mod\",0,0]", "{}"), 1, "no number leaves 0 when divided by 0");
    refused(&rows("[\"mod\",3,3]", "{}"), 1, "no number leaves 3");
    refused(&rows("[\">\",\"a\"]", "{}"), 1, "only whole numbers");
    refused(&rows("[\">\",1]", r#"{"a":"b"}"#), 1, "not all values are whole numbers");
    refused(&rows("\"true\"", r#"{"a":null}"#), 1, "without a value");
    refused(&rows("\"true\"", r#"{"a":1,"a":1}"#), 1, "seen twice");
    refused(&with("]]}", "]],\"init\":true}").replace("\"ok\"", "\"unknown\""), 1, "must be ok");
    refused(&format!("{TXN}\n{}", &TXN[..TXN.len() - 3]), 2, "EOF");
}

#[test]
fn binary_files_are_refused() {
    let error = read(&[0x7f, b'E', b'L', b'F', b'\n', 0xff, 0xfe], None).unwrap_err();
    assert_eq!((error.line, error.reason.contains("UTF-8")), (2, true));
    for format in Format::ALL {
        assert!(read(b"\0\0\0\0", Some(format)).is_err());
        assert!(read(b"\xef\xbb\xbf", Some(format)).is_err());
    }
}

const ELLE: &str = "\
{:index 0, :time 10, :type :invoke, :process 0, :f :txn, :value [[:append :x 1] [:r :y nil]]}
{:index 1, :time 11, :type :invoke, :process 1, :f :txn, :value [[:r :x nil] [:append :y 2]]}
{:index 2, :time 12, :type :info, :process :nemesis, :f :kill, :value {:n1 #{1 2}}}
#jepsen.history.Op{:index 3, :time 13, :type :ok, :process 1, :f :txn, :value [[:r :x [1]] [:append :y 2]]}
; the first one crashed
{:index 4, :type :info, :process 0, :f :txn, :value [[:append :x 1] [:r :y nil]], :error [:timeout \"x\"]}
{:index 5, :type :invoke, :process 2, :f :txn, :value [[:w 3 7] [:rp [:mod 3 0] nil]]}
{:index 6, :type :fail, :process 2, :f :txn, :value [[:w 3 7] [:rp [:mod 3 0] nil]]}
";

#[test]
fn histories_of_elle_are_read() {
    for text in [ELLE.to_string(), format!("[{ELLE}]"), format!("\n ({ELLE})")] {
        let history = transactions(&text);
        assert!(history.timed);
        let [crashed, reader, failed] = &history.transactions[..] else { panic!("{history:?}") };
        assert_eq!((crashed.outcome, crashed.invoke, crashed.complete), (Outcome::Unknown, 0, None));
        assert_eq!((reader.outcome, reader.invoke, reader.complete), (Outcome::Ok, 1, Some(2)));
        assert_eq!(failed.outcome, Outcome::Failed);
        let Micro::ReadList { key, ref elements } = reader.operations[0] else { panic!() };
        assert_eq!((history.names.key(key), &elements[..]), ("x".into(), &[1][..]));
    }
    let untimed =
        "{:type :ok, :process 0, :f :init, :value [[:insert :x 1]]}\n{:type :ok, :process 1, :value [[:r :x 1]]}";
    let history = transactions(untimed);
    assert!(!history.timed && history.transactions[0].initial && !history.transactions[1].initial);
}

#[test]
fn histories_of_jepsen_objects_are_read() {
    let text = "\
{:process 0, :type :invoke, :f :write, :value [:a 3]}
{:process 1, :type :invoke, :f :read, :value [:a nil]}
{:process 0, :type :ok, :f :write, :value [:a 3]}
{:process 1, :type :ok, :f :read, :value [:a 3]}
{:process 1, :type :invoke, :f :cas, :value [:b [3 4]]}
{:process 1, :type :fail, :f :cas, :value [:b [3 4]]}
{:process 0, :type :invoke, :f :read, :value [:b nil]}
{:process 0, :type :ok, :f :read, :value [:b nil]}
";
    let read = objects(text);
    let [write, reads, cas, nil] = &read.calls[..] else { panic!() };
    assert_eq!((write.kind, &write.value, write.invoke, write.complete), (Kind::Write, &json!(3), 0, Some(2)));
    assert_eq!((&reads.output, reads.key == write.key), (&json!(3), true));
    assert_eq!((cas.outcome, &cas.value), (Outcome::Failed, &json!([3, 4])));
    assert_eq!(nil.outcome, Outcome::Unknown, "a read of nil says nothing");
    assert_eq!(read.names.key(cas.key.unwrap()), "b");
    let plain = "{:process 0 :type :invoke :f :cas :value [1 2]} {:process 0 :type :ok :f :cas :value [1 2]}";
    let read = objects(plain);
    assert_eq!((read.calls[0].key, &read.calls[0].output), (None, &json!(true)));
    let set = "{:process 0 :type :invoke :f :read}{:process 0 :type :ok :f :read :value #{1 2}}";
    assert_eq!(objects(set).calls[0].output, json!([1, 2]));
}

#[test]
fn wrong_edn_is_refused() {
    let line = ELLE.lines().next().unwrap();
    refused(&line[..line.len() - 1], 1, "ends inside a form");
    refused(&format!("{line}\n{{:a"), 2, "ends inside a form");
    refused(&format!("[{line}"), 1, "before the history is closed");
    refused(&format!("[{line}]\n 7"), 2, "more after the end");
    refused(&format!("{line}\n]"), 2, "`]` closes nothing");
    refused(&format!("{line}\n7"), 2, "an event is a map");
    refused(&format!("{line}\n{line}"), 2, "process 0 calls again while its call of line 1 is open");
    refused(&line.replace(":invoke", ":ok").replace(":process 0", ":process 0 :process 0"), 1, "twice");
    refused(
        &format!("{line}\n{}", line.replace(":invoke", ":ok").replace(":process 0", ":process 9")),
        2,
        "not invoked",
    );
    refused(&line.replace(":process 0,", ""), 1, "no :process");
    refused(&line.replace(":process 0", ":process -4"), 1, "-4 is no process");
    refused(&line.replace(":type :invoke,", ""), 1, "no :type");
    refused(&line.replace(":invoke", ":invoked"), 1, "unknown :type invoked");
    refused(&line.replace(":append :x 1", ":append :x"), 1, "too few or too many parts");
    refused(&line.replace(":append :x 1", ":append nil 1"), 1, "a key cannot be nil");
    refused(&line.replace(":append :x 1", ":pop :x 1"), 1, "unknown micro-operation :pop");
    refused(&line.replace(":append :x 1", ":append :x 99999999999999999999"), 1, "not a number, or too large");
    refused(&line.replace(":append :x 1", ":append :x {}"), 1, "no key or value");
    refused("{:type :info :process :nemesis :f :kill}", 1, "no client");
    refused("{:process 0 :type :ok :f :read :value 3}", 1, "needs the invocations");
    refused("{:process 0 :type :invoke :f :pop}", 1, "unknown operation :pop");
    let deep = format!("{{:process 0 :type :invoke :f :write :value {}", "[".repeat(1_000_000));
    refused(&deep, 1, "nested too deeply");
    refused(&format!("{deep}{}}}", "]".repeat(1_000_000)), 1, "nested too deeply");
    refused(&format!("{line}\n{}", "#a ".repeat(100_000)), 2, "nested too deeply");
    refused(&format!("{line}\n{}", "#_".repeat(100_000)), 2, "nested too deeply");
    refused(&format!("{line}\n{}7", "#a ".repeat(60)), 2, "an event is a map");
}

#[test]
fn logs_of_porcupine_are_read() {
    let log = "\
INFO  jepsen.core - Running test
INFO  jepsen.util - 0\t:invoke\t:read\tnil
INFO  jepsen.util - 2\t:invoke\t:write\t4
INFO  jepsen.util - :nemesis\t:info\t:start\tnil
INFO  jepsen.util - 0\t:ok\t:read\tnil
INFO  jepsen.util - 1\t:invoke\t:cas\t[4 2]
INFO  jepsen.util - 1\t:fail\t:cas\t[4 2]
INFO  jepsen.util - 2\t:info\t:write\t:timed-out
INFO  jepsen.util - 0\t:invoke\t:read\tnil
INFO  jepsen.util - 0\t:fail\t:read\t:timed-out
";
    let read = objects(log);
    let told: Vec<(Kind, Outcome, &Value)> =
        read.calls.iter().map(|call| (call.kind, call.outcome, &call.output)).collect();
    assert_eq!(
        told,
        [
            (Kind::Read, Outcome::Ok, &Value::Null),
            (Kind::Write, Outcome::Unknown, &Value::Null),
            (Kind::Cas, Outcome::Ok, &json!(false)),
            (Kind::Read, Outcome::Unknown, &Value::Null),
        ]
    );
    assert_eq!(read.model, Some(ModelName::CasRegister));
    refused(&log[..log.len() - 12], 10, "ends before the value");
    refused(&log.replace(":ok", ":oh"), 5, ":invoke, :ok, :fail or :info");
    refused(&log.replace("[4 2]", "[4 2 1]"), 6, "neither nil");
    refused(&log.replace("1\t:invoke", "3\t:invoke"), 7, "not invoked");
    refused(&log.replace("0\t:ok\t:read\tnil", "0\t:ok\t:write\tnil"), 5, "was a :read");
    refused(&log.replace(":fail\t:cas\t[4 2]", ":ok\t:cas\t[4 3]"), 7, "asked for [4 2], not [4 3]");

    let kv = "\
{:process 0, :type :invoke, :f :get, :key \"0\", :value nil}
{:process 1, :type :invoke, :f :append, :key \"0\", :value \"x 1 0 y\"}
{:process 0, :type :ok, :f :get, :key \"0\", :value \"\"}
{:process 1, :type :ok, :f :append, :key \"0\", :value \"x 1 0 y\"}
";
    let read = objects(kv);
    assert_eq!(read.model(None), Ok(ModelName::Kv));
    assert_eq!((&read.calls[0].output, &read.calls[1].value), (&json!(""), &json!("x 1 0 y")));
    refused(&kv.replace(", :value \"\"", ", :value \"\", :key \"0\""), 3, "twice");
    refused(&kv.replace(":f :get, :key \"0\", :value \"\"", ":f :get, :key \"1\", :value \"\""), 3, "another key");
    refused(&kv.replace(":get", ":peek"), 1, "only :get, :put and :append");
}

#[test]
fn a_completion_answers_what_was_asked() {
    let call = |f: &str, asked: &str, told: &str| {
        format!(
            "{{:type :invoke, :process 0, :f {f}, :value {asked}}}\n{{:type :ok, :process 0, :f {f}, :value {told}}}\n"
        )
    };
    refused(&call(":write", "3", "4"), 2, "asked for 3, not 4");
    refused(&call(":cas", "[1 2]", "[1 3]"), 2, "asked for");
    for told in
        ["[[:r :y 1] [:append :x 1]]", "[[:r :x [1]]]", "[[:r :x [1]] [:append :x 2]]", "[[:w :x 1] [:append :x 1]]"]
    {
        refused(&call(":txn", "[[:r :x nil] [:append :x 1]]", told), 2, "line 1 asked for something else");
    }
    for (f, asked, told) in [
        (":write", "3", "3"),
        (":write", "3", "nil"),
        (":txn", "[[:r :x nil] [:append :x 1]]", "[[:r :x []] [:append :x 1]]"),
        (":txn", "nil", "[[:r :x []] [:append :x 1]]"),
        (":txn", "[[:delete :x]]", "[[:delete :x nil]]"),
    ] {
        let text = call(f, asked, told);
        read(text.as_bytes(), None).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}

/// Arbitrary lines made of fragments that occur in histories.
fn fragments(choice: &[u8]) -> String {
    const PARTS: [&str; 48] = [
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        "\"",
        ":",
        ",",
        " ",
        "\n",
        "null",
        "nil",
        "1",
        "-1",
        "9e99",
        "\"client\"",
        "\"kind\"",
        "\"read\"",
        "\"ops\"",
        "\"call_ts\"",
        "\"return_ts\"",
        ":process ",
        ":type ",
        ":invoke ",
        ":ok ",
        ":f ",
        ":value ",
        ":txn ",
        ":append ",
        ":r ",
        ":key ",
        "INFO  jepsen.util - ",
        "0\t",
        ":read\t",
        ":cas\t",
        "#{",
        "#_",
        ";",
        "\\",
        "\u{fe0f}",
        "[\"r\",1,",
        WRITE,
        READ,
        TXN,
        "{\"model\":\"set\"}\n",
        "1/2",
        "##Inf",
    ];
    choice.iter().map(|byte| PARTS[usize::from(*byte) % PARTS.len()]).collect()
}

#[test]
fn no_text_makes_a_reader_panic() {
    bolero::check!().with_type::<(Vec<u8>, Vec<u8>, u8)>().with_iterations(3000).for_each(|(noise, choice, cut)| {
        let mangled = {
            let mut text = ELLE.as_bytes().to_vec();
            let place = usize::from(*cut) * 3 % text.len();
            text.splice(place..place, noise.iter().copied());
            text
        };
        for bytes in [noise, fragments(choice).as_bytes(), &mangled] {
            for format in [None, Some(Format::Jsonl), Some(Format::Edn), Some(Format::EtcdLog), Some(Format::KvLog)] {
                if let Ok(recorded) = read(bytes, format) {
                    let written = write(&recorded, Format::Jsonl).unwrap();
                    let empty = written.text.is_empty();
                    assert!(empty || read(written.text.as_bytes(), Some(Format::Jsonl)).is_ok(), "{}", written.text);
                    let _ = write(&recorded, Format::Edn);
                }
            }
        }
    });
}

/// A history of transactions from arbitrary numbers: clients one after the other, with names and all kinds of steps.
fn invented(numbers: &[(u8, u8, u8)], timed: bool) -> String {
    let mut clock = 0_u64;
    let mut tick = || {
        clock += 1;
        clock
    };
    let mut text = String::new();
    for (id, &(client, what, value)) in numbers.iter().enumerate() {
        let row = ["x", "a \"quoted\" key", "7"][usize::from(what) % 3];
        let value = match value % 5 {
            0 => json!(-3),
            1 => json!("text\twith \\ signs \u{2028}"),
            2 => json!(true),
            3 => json!(1.5),
            _ => json!(u64::from(value)),
        };
        let list = format!("list{}", what % 2);
        let ops = match what % 7 {
            0 => json!([["r", row, value], ["w", row, value]]),
            1 => json!([["append", list, value], ["r", list, [value, 1]]]),
            2 => json!([["r", list, []], ["delete", row]]),
            3 => json!([["rp", ["=", value], {"x": value, "7": 6}]]),
            4 => json!([["rp", "true", {}], ["r", row, null]]),
            5 => json!([]),
            _ => json!([["insert", row, value]]),
        };
        let status = ["ok", "fail", "unknown"][usize::from(what / 7 % 3)];
        let (call, back) = (tick(), tick());
        let times = if timed { (json!(call), json!(back)) } else { (Value::Null, Value::Null) };
        let session = if client % 2 == 0 { json!(client % 3) } else { json!(format!("session {}", client % 3)) };
        let mut line = json!({"id": id, "session": session, "status": status, "call_ts": times.0, "return_ts": times.1, "ops": ops});
        if client % 3 == 0 {
            line["snapshot"] = json!(id);
            line["historic"] = json!(true);
        }
        if client % 5 == 0 && !matches!(what % 7, 3..=5) {
            line["commit"] = json!(id + 1);
        }
        text.push_str(&line.to_string());
        text.push('\n');
    }
    text
}

#[test]
fn what_is_written_reads_back_as_the_same() {
    bolero::check!().with_type::<(Vec<(u8, u8, u8)>, bool)>().with_iterations(500).for_each(|(numbers, timed)| {
        let text = invented(numbers, *timed);
        if text.is_empty() {
            return;
        }
        let history = transactions(&text);
        assert_eq!(history.transactions.len(), numbers.len());
        let recorded = Recorded::Transactions(history);
        let lines = write(&recorded, Format::Jsonl).unwrap();
        assert_eq!(read(lines.text.as_bytes(), None).as_ref(), Ok(&recorded), "{text}{}", lines.text);
        // Through EDN, clients are numbered anew and the rest is as it was.
        let edn = write(&recorded, Format::Edn).unwrap();
        let Ok(Recorded::Transactions(back)) = read(edn.text.as_bytes(), None) else { panic!("{}", edn.text) };
        let again = write(&Recorded::Transactions(back), Format::Edn).unwrap();
        // The times are now places in the file, and of what is unknown it is no longer known when it was given up.
        let told = |text: &str| {
            let event = |line: &str| line.split_once(":type").expect("an event").1.to_owned();
            text.lines().map(event).filter(|event| !(*timed && event.starts_with(" :info"))).collect::<Vec<_>>()
        };
        assert_eq!(told(&edn.text), told(&again.text));
    });
}

#[test]
fn operations_survive_a_journey() {
    let queue = r#"{"client":5,"kind":"enqueue","key":null,"value":"a","call_ts":1,"return_ts":2,"output":"ok"}"#;
    let gone = r#"{"client":6,"kind":"dequeue","key":null,"value":null,"call_ts":1,"return_ts":4,"output":null,"outcome":"unknown"}"#;
    let register = r#"{"client":"c","kind":"cas","key":"x","value":[3,4],"call_ts":9,"return_ts":null,"output":null}"#;
    for text in [[queue, gone].join("\n"), [WRITE, READ, register].join("\n")] {
        let recorded = Recorded::Objects(objects(&text));
        let lines = write(&recorded, Format::Jsonl).unwrap();
        assert_eq!(lines.text.trim_end(), text);
        let edn = write(&recorded, Format::Edn).unwrap();
        let back = objects(&edn.text);
        let told = |objects: &Objects| {
            let call = |call: &checkers::formats::Call| {
                (
                    call.kind,
                    call.value.clone(),
                    call.output.clone(),
                    call.outcome,
                    call.key.map(|key| objects.names.key(key)),
                )
            };
            objects.calls.iter().map(call).collect::<Vec<_>>()
        };
        assert_eq!(told(&back), told(&objects(&text)), "{}", edn.text);
    }
    let cas = r#"{"client":0,"kind":"cas","value":[1,2],"call_ts":1,"return_ts":2,"output":false}"#;
    let edn = write(&Recorded::Objects(objects(cas)), Format::Edn).unwrap();
    assert!(edn.text.contains(":fail") && edn.losses[0].contains("1 comparisons"), "{edn:?}");
    let contains = r#"{"client":0,"kind":"contains","value":1,"call_ts":1,"return_ts":2,"output":false}"#;
    assert!(write(&Recorded::Objects(objects(contains)), Format::Edn).unwrap_err().contains("contains"));
    assert!(write(&Recorded::Objects(objects(cas)), Format::KvLog).unwrap_err().contains("only read"));
}
