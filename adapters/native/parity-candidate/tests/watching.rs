//! A tap that a port watches by itself: names, phases, steps, and elements as they lie in memory.
#![cfg(feature = "capture")]

use std::cell::RefCell;

use parity_candidate::{Error, Input, Point, Record, Role, Tap, Values, View};

type Seen = Vec<(String, Role, String, String, i64, Vec<u8>)>;

fn watched(run: impl Fn(&Tap<'_>)) -> Seen {
    let seen = RefCell::new(Vec::new());
    let tap = Tap::watching(|named, view| {
        let texts = [named.path, named.slot, named.phase].map(str::to_owned);
        let [path, slot, phase] = texts;
        seen.borrow_mut().push((path, named.role, slot, phase, named.step, view.bytes()));
        Ok(())
    });
    run(&tap);
    drop(tap);
    seen.into_inner()
}

fn bytes(values: Vec<u8>) -> Values<u8> {
    Values { shape: vec![values.len()], values }
}

#[test]
fn phases_nest_and_steps_begin_anew() {
    let seen = watched(|tap| {
        tap.record("a", &bytes(vec![1])).unwrap();
        let outer = tap.phase("outer");
        tap.next_step();
        {
            let _inner = tap.phase("inner");
            tap.next_step();
            tap.next_step();
            tap.record(Point::new("b", Role::State).slot("k"), &bytes(vec![2])).unwrap();
        }
        tap.record("c", &bytes(vec![3])).unwrap();
        drop(outer);
        tap.record("d", &bytes(vec![])).unwrap();
    });
    let found: Vec<_> =
        seen.iter().map(|s| (s.0.as_str(), s.1, s.2.as_str(), s.3.as_str(), s.4)).collect();
    assert_eq!(
        found,
        [
            ("a", Role::Output, "", "", -1),
            ("b", Role::State, "k", "inner", 1),
            ("c", Role::Output, "", "outer", 0),
            ("d", Role::Output, "", "", -1),
        ]
    );
}

#[test]
fn strided_elements_come_out_in_order() {
    let values: Vec<u8> = (0..6).collect();
    let view = View::strided(&values, &[3, 2], Some(&[1, 3])).unwrap();
    assert_eq!(view.bytes(), [0, 3, 1, 4, 2, 5]);
    assert_eq!(view.type_name(), "uint8");
}

#[test]
fn a_shape_that_does_not_fit_is_refused() {
    assert!(matches!(View::new(&[1u8, 2], &[3]), Err(Error::Failed(_))));
    assert!(View::strided(&[1u8, 2], &[2, 2], Some(&[1, 1])).is_err());
    assert!(View::strided(&[1u8, 2], &[2], Some(&[-1])).is_err());
    assert!(View::strided::<u8>(&[], &[0, 5], Some(&[5, 1])).is_ok());
}

#[test]
fn a_shape_that_cannot_be_counted_is_refused() {
    let half = 1 << (usize::BITS / 2);
    assert!(View::new::<u8>(&[], &[half, half]).is_err());
    assert!(View::strided(&[1u8], &[half, half], Some(&[0, 0])).is_err());
    assert_eq!(View::strided(&[1u8], &[2, 2], Some(&[0, 0])).unwrap().bytes(), [1; 4]);
}

#[test]
fn an_input_has_as_many_elements_as_its_shape_says() {
    let values = [1.0f32, 2.0];
    assert_eq!(Input::new(&values, &[2, 1]).unwrap().values::<f32>().unwrap(), values);
    let shapes: [&[i64]; 4] = [&[1000], &[-1, -2], &[1], &[i64::MIN, 2, 1 << 40]];
    assert!(shapes.iter().all(|shape| Input::new(&values, shape).is_err()));
    assert!(Input::new::<f32>(&[], &[0, 5]).is_ok());
}

#[test]
fn a_replacement_of_another_length_is_refused() {
    assert!(bytes(vec![1, 2]).replaced(&[1]).is_err());
    assert_eq!(bytes(vec![1, 2]).replaced(&[3, 4]).unwrap(), bytes(vec![3, 4]));
}

#[test]
fn what_cannot_be_seen_is_said_with_its_name() {
    let torn = Values { values: vec![1u8, 2], shape: vec![3] };
    watched(|tap| {
        for error in [tap.record("torn", &torn), tap.pass("torn", torn.clone()).map(drop)] {
            assert!(error.unwrap_err().to_string().starts_with("torn: 2 elements do not make"));
        }
    });
}

#[test]
fn a_tap_of_nobody_hands_tensors_back() {
    let given = bytes(vec![7]);
    assert_eq!(Tap::none().pass("a", given.clone()).unwrap(), given);
}
