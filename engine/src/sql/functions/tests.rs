use super::super::types::{DataType, Value};
use super::*;

/// Calls a function as a statement would.
fn call(name: &str, args: &[Value]) -> Result<Value, Error> {
    let types: Vec<_> = args.iter().map(Value::datatype).collect();
    let resolved = scalar(name, &types)?;
    let args: Vec<Value> =
        args.iter().zip(&resolved.arguments).map(|(value, to)| value.clone().cast(*to)).collect::<Result<_, _>>()?;
    resolved.function.call(&args.iter().collect::<Vec<_>>())
}

fn shown(name: &str, args: &[Value]) -> String {
    match call(name, args) {
        Ok(value) => format!("{value:?}"),
        Err(error) => error.state.to_string(),
    }
}

fn t(text: &str) -> Value {
    text.into()
}

fn i(n: i64) -> Value {
    n.into()
}

fn f(x: f64) -> Value {
    Value::Float(x)
}

#[test]
fn functions_give_what_people_expect() {
    let cases: &[(&str, &[Value], &str)] = &[
        ("abs", &[i(-3)], "Integer(3)"),
        ("abs", &[i(i64::MIN)], "22003"),
        ("abs", &[f(-0.5)], "Float(0.5)"),
        ("abs", &[Value::Null], "Null"),
        ("abs", &[t("x")], "42883"),
        ("abs", &[], "42883"),
        ("nonsense", &[i(1)], "42883"),
        ("sign", &[f(-3.5)], "Float(-1.0)"),
        ("ceil", &[f(1.2)], "Float(2.0)"),
        ("floor", &[f(-1.2)], "Float(-2.0)"),
        ("floor", &[i(7)], "Integer(7)"),
        ("round", &[f(2.5)], "Float(3.0)"),
        ("round", &[f(-2.5)], "Float(-3.0)"),
        ("round", &[f(2.675), i(2)], "Float(2.68)"),
        ("round", &[i(1234), i(-2)], "Float(1200.0)"),
        ("round", &[f(1.5), i(i64::MAX)], "Float(1.5)"),
        ("trunc", &[f(2.679), i(2)], "Float(2.67)"),
        ("mod", &[i(-7), i(3)], "Integer(-1)"),
        ("mod", &[i(i64::MIN), i(-1)], "Integer(0)"),
        ("mod", &[i(1), i(0)], "22012"),
        ("mod", &[f(5.5), i(2)], "Float(1.5)"),
        ("div", &[i(i64::MIN), i(-1)], "22003"),
        ("gcd", &[i(12), i(-18)], "Integer(6)"),
        ("gcd", &[i(i64::MIN), i(0)], "22003"),
        ("sqrt", &[i(2)], "Float(1.4142135623730951)"),
        ("sqrt", &[f(-1.0)], "Float(NaN)"),
        ("ln", &[f(0.0)], "Float(-inf)"),
        ("log", &[i(2), i(8)], "Float(3.0)"),
        ("log", &[i(1000)], "Float(3.0)"),
        ("power", &[i(2), i(10)], "Float(1024.0)"),
        ("length", &[t("añb")], "Integer(3)"),
        ("octet_length", &[t("añb")], "Integer(4)"),
        ("upper", &[t("aß")], "Text(\"ASS\")"),
        ("initcap", &[t("hello wORLD")], "Text(\"Hello World\")"),
        ("trim", &[t("  a b ")], "Text(\"a b\")"),
        ("trim", &[t("xyaxy"), t("yx")], "Text(\"a\")"),
        ("ltrim", &[t("  a ")], "Text(\"a \")"),
        ("rtrim", &[t("  a ")], "Text(\"  a\")"),
        ("substr", &[t("alphabet"), i(3)], "Text(\"phabet\")"),
        ("substr", &[t("alphabet"), i(3), i(2)], "Text(\"ph\")"),
        ("substr", &[t("alphabet"), i(-1), i(3)], "Text(\"a\")"),
        ("substr", &[t("alphabet"), i(i64::MIN), i(i64::MAX)], "Text(\"\")"),
        ("substr", &[t("alphabet"), i(1), i(-1)], "22011"),
        ("substring", &[t("añb"), i(2), i(i64::MAX)], "Text(\"ñb\")"),
        ("left", &[t("abcde"), i(2)], "Text(\"ab\")"),
        ("left", &[t("abcde"), i(-2)], "Text(\"abc\")"),
        ("left", &[t("abcde"), i(0)], "Text(\"\")"),
        ("left", &[t("abcde"), i(i64::MIN)], "Text(\"\")"),
        ("right", &[t("abcde"), i(2)], "Text(\"de\")"),
        ("right", &[t("abcde"), i(-2)], "Text(\"cde\")"),
        ("right", &[t("abcde"), i(0)], "Text(\"\")"),
        ("right", &[t("abcde"), i(9)], "Text(\"abcde\")"),
        ("replace", &[t("banana"), t("an"), t("-")], "Text(\"b--a\")"),
        ("replace", &[t("banana"), t(""), t("-")], "Text(\"banana\")"),
        ("translate", &[t("12345"), t("143"), t("ax")], "Text(\"a2x5\")"),
        ("strpos", &[t("añbc"), t("b")], "Integer(3)"),
        ("position", &[t("z"), t("añb")], "Integer(0)"),
        ("concat", &[t("a"), Value::Null, i(1), f(1.5), true.into()], "Text(\"a11.5t\")"),
        ("concat", &[], "Text(\"\")"),
        ("concat_ws", &[t(", "), t("a"), Value::Null, t("b")], "Text(\"a, b\")"),
        ("concat_ws", &[Value::Null, t("a")], "Null"),
        ("repeat", &[t("ab"), i(3)], "Text(\"ababab\")"),
        ("repeat", &[t("ab"), i(i64::MAX)], "54000"),
        ("repeat", &[t("ab"), i(-1)], "Text(\"\")"),
        ("lpad", &[t("hi"), i(5), t("xy")], "Text(\"xyxhi\")"),
        ("rpad", &[t("hi"), i(5)], "Text(\"hi   \")"),
        ("lpad", &[t("hello"), i(2)], "Text(\"he\")"),
        ("lpad", &[t("hello"), i(1 << 40)], "54000"),
        ("reverse", &[t("añb")], "Text(\"bña\")"),
        ("split_part", &[t("a,b,c"), t(","), i(2)], "Text(\"b\")"),
        ("split_part", &[t("a,b,c"), t(","), i(-1)], "Text(\"c\")"),
        ("split_part", &[t("a,b,c"), t(","), i(4)], "Text(\"\")"),
        ("split_part", &[t("a,b,c"), t(","), i(0)], "22023"),
        ("starts_with", &[t("abc"), t("ab")], "Boolean(true)"),
        ("ascii", &[t("ñ")], "Integer(241)"),
        ("chr", &[i(241)], "Text(\"ñ\")"),
        ("chr", &[i(0)], "54000"),
        ("coalesce", &[Value::Null, i(1), f(2.5)], "Float(1.0)"),
        ("coalesce", &[Value::Null, Value::Null], "Null"),
        ("coalesce", &[i(1), t("x")], "42804"),
        ("ifnull", &[Value::Null, i(1)], "Integer(1)"),
        ("nullif", &[i(1), f(1.0)], "Null"),
        ("nullif", &[i(1), Value::Null], "Integer(1)"),
        ("greatest", &[i(1), Value::Null, f(2.5)], "Float(2.5)"),
        ("least", &[t("b"), t("a")], "Text(\"a\")"),
        ("typeof", &[f(1.0)], "Text(\"float\")"),
        ("typeof", &[Value::Null], "Text(\"null\")"),
        ("quote_literal", &[t("it's")], "Text(\"'it''s'\")"),
    ];
    for (name, args, expected) in cases {
        assert_eq!(shown(name, args), *expected, "{name}({args:?})");
    }
}

#[test]
fn no_argument_makes_a_function_panic() {
    let values = [
        Value::Null,
        i(0),
        i(1),
        i(-1),
        i(i64::MIN),
        i(i64::MAX),
        f(0.0),
        f(-2.5),
        f(f64::NAN),
        f(f64::INFINITY),
        f(1e308),
        t(""),
        t("añ 𝄞b"),
        t("\u{130}ß"),
        true.into(),
    ];
    for name in Registry::default().names() {
        let _ = call(name, &[]);
        for a in &values {
            let _ = call(name, std::slice::from_ref(a));
            for b in &values {
                let _ = call(name, &[a.clone(), b.clone()]);
                for c in &values {
                    let _ = call(name, &[a.clone(), b.clone(), c.clone()]);
                }
            }
        }
    }
}

#[test]
fn a_program_adds_functions() {
    static DOUBLE: Scalar = Scalar::new("double", &[Argument::INTEGER], DataType::Integer, |args| match args {
        [Value::Integer(n)] => Ok(Value::Integer(n.saturating_mul(2))),
        _ => Err(mismatch("double", args)),
    });
    static ABS: Scalar = Scalar::new("abs", &[Argument::INTEGER], DataType::Integer, |_| Ok(Value::Null));
    static SUM: Scalar = Scalar::new("sum", &[Argument::INTEGER], DataType::Integer, |_| Ok(Value::Null));
    let mut registry = Registry::default();
    assert!(!registry.is_scalar("double"));
    registry.add(&DOUBLE).unwrap();
    let resolved = registry.scalar("double", &[None]).unwrap();
    assert_eq!((resolved.arguments.as_slice(), resolved.result), (&[DataType::Integer][..], DataType::Integer));
    assert_eq!(resolved.function.call(&[&i(21)]), Ok(i(42)));
    assert_eq!(resolved.function.call(&[&Value::Null]), Ok(Value::Null));
    for taken in [&DOUBLE, &ABS, &SUM] {
        assert_eq!(registry.add(taken).unwrap_err().state, SqlState::DUPLICATE_FUNCTION);
    }
}

#[test]
fn aggregates_are_resolved_by_type() {
    use DataType::{Boolean, Float, Integer, Text};
    let result = |name: &str, types: &[Option<DataType>]| aggregate(name, types).map(|call| call.result).ok();
    assert_eq!(aggregate("count", &[]).unwrap().function, AggregateFunction::CountRows);
    assert_eq!(result("sum", &[Some(Integer)]), Some(Integer));
    assert_eq!(result("sum", &[Some(Float)]), Some(Float));
    assert_eq!(result("sum", &[Some(Boolean)]), None);
    assert_eq!(result("avg", &[Some(Integer)]), Some(Float));
    assert_eq!(result("max", &[Some(Boolean)]), Some(Boolean));
    assert_eq!(result("max", &[None]), Some(Text));
    assert_eq!(aggregate("group_concat", &[Some(Integer)]).unwrap().arguments, [Text]);
    assert_eq!(aggregate("stddev", &[Some(Integer)]).unwrap().arguments, [Float]);
    assert_eq!(result("bool_and", &[Some(Integer)]), None);
    assert_eq!(result("abs", &[Some(Integer)]), None);
}

#[test]
fn there_is_one_nan() {
    // What the processor gives has the sign bit, which an optimizing build must not let through either.
    let call = |name: &str, args: &[Value]| {
        let types: Vec<_> = args.iter().map(Value::datatype).collect();
        let resolved = Registry::default().scalar(name, &types).unwrap();
        resolved.function.call(&args.iter().collect::<Vec<_>>()).unwrap()
    };
    let one = f64::NAN.to_bits();
    for (name, args) in [("sqrt", vec![f(-0.5)]), ("mod", vec![f(1.0), f(0.0)]), ("abs", vec![f(-f64::NAN)])] {
        let Value::Float(x) = call(name, &args) else { panic!("{name} gives a float") };
        assert_eq!(x.to_bits(), one, "{name}");
    }
    for x in [-f64::NAN, f64::from_bits(0x7ff0_0000_0000_0001), f64::from_bits(u64::MAX)] {
        let Value::Float(x) = Value::float(x) else { panic!("it is a float") };
        assert_eq!(x.to_bits(), one);
    }
    for x in [f64::INFINITY, f64::NEG_INFINITY, -0.0, 5e-324] {
        let Value::Float(same) = Value::float(x) else { panic!("it is a float") };
        assert_eq!(same.to_bits(), x.to_bits());
    }
}
