//! Arrays of the crates ndarray and half: recorded in C order, and replaced.
#![cfg(all(feature = "capture", feature = "ndarray", feature = "half"))]

use half::{bf16, f16};
use ndarray::{Array2, arr2};
use parity_candidate::{Record, View};

fn described(view: View<'_>) -> (&'static str, Vec<usize>, Vec<u8>) {
    (view.type_name(), view.shape().to_vec(), view.bytes())
}

#[test]
fn a_transposed_array_comes_out_in_its_own_order() {
    let array = arr2(&[[1_i16, 2, 3], [4, 5, 6]]).reversed_axes();
    let (name, shape, bytes) = Record::view(&array, |view| Ok(described(view))).unwrap();
    let expected: Vec<u8> = [1_i16, 4, 2, 5, 3, 6].iter().flat_map(|v| v.to_ne_bytes()).collect();
    assert_eq!((name, shape, bytes), ("int16", vec![3, 2], expected));
}

#[test]
fn halves_keep_their_type() {
    let half = Array2::from_elem((1, 2), f16::from_f32(1.5));
    let brain = Array2::from_elem((2, 1), bf16::from_f32(-2.0));
    let (name, shape, bytes) = Record::view(&half, |view| Ok(described(view))).unwrap();
    assert_eq!((name, shape, bytes), ("float16", vec![1, 2], [0x00, 0x3e].repeat(2)));
    let (name, shape, bytes) = Record::view(&brain, |view| Ok(described(view))).unwrap();
    assert_eq!((name, shape, bytes), ("bfloat16", vec![2, 1], [0x00, 0xc0].repeat(2)));
}

#[test]
fn a_replacement_has_the_shape_of_what_it_replaces() {
    let array = arr2(&[[1.0_f32, 2.0], [3.0, 4.0]]).reversed_axes();
    let bytes: Vec<u8> = [5.0_f32, 6.0, 7.0, 8.0].iter().flat_map(|v| v.to_ne_bytes()).collect();
    assert_eq!(array.replaced(&bytes).unwrap(), arr2(&[[5.0, 6.0], [7.0, 8.0]]));
    assert!(array.replaced(&bytes[..12]).is_err());
}
