//! Tensors of candle: recorded as they lie in memory, whatever part of it they are, and replaced.
#![cfg(all(feature = "capture", feature = "candle"))]

use candle_core::{D, DType, Device, Tensor};
use parity_candidate::{Element, Error, Record, View};

fn described(tensor: &Tensor) -> (&'static str, Vec<usize>, Vec<u8>) {
    let look = |view: View<'_>| Ok((view.type_name(), view.shape().to_vec(), view.bytes()));
    tensor.view(look).unwrap()
}

fn bytes<T: Element>(values: &[T], of: impl Fn(&T) -> Vec<u8>) -> Vec<u8> {
    values.iter().flat_map(of).collect()
}

fn floats(values: &[f32]) -> Vec<u8> {
    bytes(values, |value| value.to_ne_bytes().to_vec())
}

/// 0 to 5 in two rows of three.
fn rows() -> Tensor {
    Tensor::arange(0f32, 6., &Device::Cpu).unwrap().reshape((2, 3)).unwrap()
}

#[test]
fn a_part_of_a_tensor_comes_out_in_its_own_order() {
    let turned = rows().t().unwrap();
    assert_eq!(described(&turned), ("float32", vec![3, 2], floats(&[0., 3., 1., 4., 2., 5.])));
    let corner = rows().narrow(0, 1, 1).unwrap().narrow(D::Minus1, 1, 2).unwrap();
    assert_eq!(described(&corner), ("float32", vec![1, 2], floats(&[4., 5.])));
    let corner = turned.narrow(0, 1, 2).unwrap();
    assert_eq!(described(&corner), ("float32", vec![2, 2], floats(&[1., 4., 2., 5.])));
    let repeated = rows().narrow(0, 1, 1).unwrap().broadcast_as((2, 2, 3)).unwrap();
    assert_eq!(described(&repeated).2, floats(&[3., 4., 5.].repeat(4)));
    let nothing = rows().narrow(0, 2, 0).unwrap();
    assert_eq!(described(&nothing), ("float32", vec![0, 3], vec![]));
    let scalar = Tensor::new(7f32, &Device::Cpu).unwrap();
    assert_eq!(described(&scalar), ("float32", vec![], floats(&[7.])));
}

#[test]
fn elements_keep_their_type() {
    let of = |dtype| described(&rows().to_dtype(dtype).unwrap());
    assert_eq!(of(DType::U8), ("uint8", vec![2, 3], vec![0, 1, 2, 3, 4, 5]));
    let whole = bytes(&[0i64, 1, 2, 3, 4, 5], |value| value.to_ne_bytes().to_vec());
    assert_eq!(of(DType::I64), ("int64", vec![2, 3], whole));
    let counts = bytes(&[0u32, 1, 2, 3, 4, 5], |value| value.to_ne_bytes().to_vec());
    assert_eq!(of(DType::U32), ("uint32", vec![2, 3], counts));
    let wide = bytes(&[0f64, 1., 2., 3., 4., 5.], |value| value.to_ne_bytes().to_vec());
    assert_eq!(of(DType::F64), ("float64", vec![2, 3], wide));
    #[cfg(feature = "half")]
    {
        assert_eq!(of(DType::F16).0, "float16");
        assert_eq!(of(DType::BF16).2[2..4], half::bf16::from_f32(1.).to_ne_bytes());
    }
    #[cfg(not(feature = "half"))]
    {
        let half = rows().to_dtype(DType::F16).unwrap();
        assert!(matches!(half.view(|_| Ok(())), Err(Error::Failed(_))));
    }
}

#[test]
fn a_replacement_is_of_the_tensors_type_and_shape() {
    let turned = rows().t().unwrap();
    let given = floats(&[9., 8., 7., 6., 5., 4.]);
    let replaced = turned.replaced(&given).unwrap();
    assert_eq!(described(&replaced), ("float32", vec![3, 2], given.clone()));
    assert!(matches!(turned.replaced(&given[..20]), Err(Error::Failed(_))));
}
