//! What can be recorded: anything that can show its elements in memory.

use crate::{Error, Result};

mod seal {
    pub trait Sealed {}
}

/// An element type that the header knows.
pub trait Element: Copy + seal::Sealed {
    /// Its number in the header.
    const CODE: u32;
}

/// Name and size of the element types, by their number in the header.
pub(crate) fn type_of(code: u32) -> (&'static str, usize) {
    match code {
        1 => ("bool", 1),
        2 => ("int8", 1),
        3 => ("int16", 2),
        4 => ("int32", 4),
        5 => ("int64", 8),
        6 => ("uint8", 1),
        7 => ("uint16", 2),
        8 => ("uint32", 4),
        9 => ("uint64", 8),
        10 => ("float16", 2),
        11 => ("bfloat16", 2),
        12 => ("float32", 4),
        _ => ("float64", 8),
    }
}

macro_rules! elements {
    ($($(#[$gate:meta])* $kind:ty => $code:expr),* $(,)?) => {$(
        $(#[$gate])*
        impl seal::Sealed for $kind {}
        $(#[$gate])*
        impl Element for $kind {
            const CODE: u32 = $code;
        }
    )*};
}

elements! {
    bool => 1, i8 => 2, i16 => 3, i32 => 4, i64 => 5,
    u8 => 6, u16 => 7, u32 => 8, u64 => 9, f32 => 12, f64 => 13,
    #[cfg(feature = "half")] half::f16 => 10,
    #[cfg(feature = "half")] half::bf16 => 11,
}

/// A tensor in memory that somebody else owns.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub(crate) code: u32,
    pub(crate) shape: &'a [usize],
    pub(crate) strides: Option<&'a [isize]>,
    pub(crate) data: *const u8,
    marker: std::marker::PhantomData<&'a [u8]>,
}

impl<'a> View<'a> {
    /// Elements in C order.
    ///
    /// # Errors
    ///
    /// When there are not as many elements as the shape says.
    pub fn new<T: Element>(values: &'a [T], shape: &'a [usize]) -> Result<Self> {
        Self::strided(values, shape, None)
    }

    /// Elements at the given steps from the first, in elements; `None` for C order.
    ///
    /// # Errors
    ///
    /// When a step leads out of `values`.
    pub fn strided<T: Element>(
        values: &'a [T],
        shape: &'a [usize],
        strides: Option<&'a [isize]>,
    ) -> Result<Self> {
        let fits = match strides {
            None => product(shape) == Some(values.len()),
            // The number of elements counts too: along steps of 0 it can be more than there are.
            Some(steps) => {
                steps.len() == shape.len()
                    && product(shape).is_some()
                    && reach(shape, steps, values.len())
            }
        };
        if !fits {
            let count = values.len();
            return Err(Error::failed(format!(
                "{count} elements do not make the shape {shape:?} with the strides {strides:?}"
            )));
        }
        let data = values.as_ptr().cast();
        Ok(Self { code: T::CODE, shape, strides, data, marker: std::marker::PhantomData })
    }
}

impl View<'_> {
    /// The extent of each axis.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        self.shape
    }

    /// The element type, by numpy's name: `float32`.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        type_of(self.code).0
    }

    /// The elements in C order, as they lie in memory.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let (count, size) = (self.shape.iter().product::<usize>(), type_of(self.code).1);
        let mut bytes = Vec::with_capacity(count * size);
        for number in 0..count {
            let place = self.place(number) * size;
            // SAFETY: making the view has shown that every place lies inside the elements.
            bytes.extend_from_slice(unsafe {
                std::slice::from_raw_parts(self.data.add(place), size)
            });
        }
        bytes
    }

    /// Where the element of that number, in C order, lies.
    fn place(&self, mut number: usize) -> usize {
        let Some(strides) = self.strides else { return number };
        let mut place = 0;
        for (&extent, &step) in self.shape.iter().zip(strides).rev() {
            place += number % extent * step as usize;
            number /= extent;
        }
        place
    }
}

/// The number of elements of a shape; `None` where that is more than can be counted.
pub(crate) fn product(shape: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent))
}

/// Whether steps from the first of `count` elements stay inside them; none may go back.
fn reach(shape: &[usize], steps: &[isize], count: usize) -> bool {
    if shape.contains(&0) {
        return true;
    }
    let last = shape.iter().zip(steps).try_fold(0usize, |sum, (&extent, &step)| {
        sum.checked_add(usize::try_from(step).ok()?.checked_mul(extent - 1)?)
    });
    last.is_some_and(|last| last < count)
}

/// Elements in C order with their shape, for ports without a tensor type of their own.
#[derive(Debug, Clone, PartialEq)]
pub struct Values<T> {
    /// The elements.
    pub values: Vec<T>,
    /// Extent of each axis.
    pub shape: Vec<usize>,
}

/// A tensor type that taps take.
pub trait Record: Sized {
    /// Call `look` with a view of the tensor's elements.
    ///
    /// # Errors
    ///
    /// When its elements cannot be seen from here, and what `look` returns.
    fn view<R>(&self, look: impl FnOnce(View<'_>) -> Result<R>) -> Result<R>;

    /// A tensor of the same type, shape and place, with these elements in C order.
    ///
    /// # Errors
    ///
    /// When such a tensor cannot be made.
    fn replaced(&self, bytes: &[u8]) -> Result<Self>;
}

/// Elements from their bytes, which need not be aligned.
///
/// # Safety
///
/// Every pattern of bits that `bytes` holds must be a value of `T`.
unsafe fn elements_of<T: Element>(bytes: &[u8]) -> Vec<T> {
    let count = bytes.len() / size_of::<T>();
    let mut values: Vec<T> = Vec::with_capacity(count);
    // SAFETY: there is room for `count` elements, all of which are written; the caller vouches for
    // their bits.
    unsafe {
        std::ptr::copy_nonoverlapping(
            bytes.as_ptr(),
            values.as_mut_ptr().cast::<u8>(),
            count * size_of::<T>(),
        );
        values.set_len(count);
    }
    values
}

/// As [`elements_of`], refusing bits that are no value of `T`, and another number of elements.
fn checked<T: Element>(bytes: &[u8], count: usize) -> Result<Vec<T>> {
    if Some(bytes.len()) != count.checked_mul(size_of::<T>()) {
        let length = bytes.len();
        return Err(Error::failed(format!(
            "a replacement of {length} bytes does not make {count} elements"
        )));
    }
    if T::CODE == <bool as Element>::CODE && bytes.iter().any(|&byte| byte > 1) {
        return Err(Error::bad_input("a replacement of bool holds a byte other than 0 and 1"));
    }
    // SAFETY: of the sealed element types only bool has bits that are no value.
    Ok(unsafe { elements_of(bytes) })
}

impl<T: Element> Record for Values<T> {
    fn view<R>(&self, look: impl FnOnce(View<'_>) -> Result<R>) -> Result<R> {
        look(View::new(&self.values, &self.shape)?)
    }

    fn replaced(&self, bytes: &[u8]) -> Result<Self> {
        Ok(Self { values: checked(bytes, self.values.len())?, shape: self.shape.clone() })
    }
}

#[cfg(feature = "ndarray")]
impl<T: Element, D: ndarray::Dimension> Record for ndarray::Array<T, D> {
    fn view<R>(&self, look: impl FnOnce(View<'_>) -> Result<R>) -> Result<R> {
        if let Some(values) = self.as_slice() {
            return look(View::new(values, self.shape())?);
        }
        let values: Vec<T> = self.iter().copied().collect();
        look(View::new(&values, self.shape())?)
    }

    fn replaced(&self, bytes: &[u8]) -> Result<Self> {
        Self::from_shape_vec(self.raw_dim(), checked(bytes, self.len())?).map_err(Error::failed)
    }
}

#[cfg(feature = "candle")]
mod candle {
    use candle_core::{CpuStorage, Device, Storage, Tensor};

    use super::{Element, Record, View, checked};
    use crate::{Error, Result};

    fn look_at<T: Element, R>(
        values: &[T],
        layout: &candle_core::Layout,
        look: impl FnOnce(View<'_>) -> Result<R>,
    ) -> Result<R> {
        let strides: Vec<isize> = layout.stride().iter().map(|&step| step as isize).collect();
        let values = values.get(layout.start_offset()..).unwrap_or_default();
        look(View::strided(values, layout.dims(), Some(&strides))?)
    }

    impl Record for Tensor {
        fn view<R>(&self, look: impl FnOnce(View<'_>) -> Result<R>) -> Result<R> {
            if !self.device().is_cpu() {
                return self.to_device(&Device::Cpu)?.view(look);
            }
            let (storage, layout) = self.storage_and_layout();
            let Storage::Cpu(storage) = &*storage else {
                return Err(Error::failed("a tensor on the processor is not in its memory"));
            };
            match storage {
                CpuStorage::U8(values) => look_at(values, layout, look),
                CpuStorage::U32(values) => look_at(values, layout, look),
                CpuStorage::I64(values) => look_at(values, layout, look),
                #[cfg(feature = "half")]
                CpuStorage::F16(values) => look_at(values, layout, look),
                #[cfg(feature = "half")]
                CpuStorage::BF16(values) => look_at(values, layout, look),
                CpuStorage::F32(values) => look_at(values, layout, look),
                CpuStorage::F64(values) => look_at(values, layout, look),
                _ => Err(Error::failed(format!("{:?} cannot be recorded", self.dtype()))),
            }
        }

        fn replaced(&self, bytes: &[u8]) -> Result<Self> {
            use candle_core::DType;
            let (shape, device) = (self.shape(), self.device());
            // candle itself does not count what it is given with a shape.
            let count = self.elem_count();
            Ok(match self.dtype() {
                DType::U8 => Tensor::from_vec(checked::<u8>(bytes, count)?, shape, device)?,
                DType::U32 => Tensor::from_vec(checked::<u32>(bytes, count)?, shape, device)?,
                DType::I64 => Tensor::from_vec(checked::<i64>(bytes, count)?, shape, device)?,
                #[cfg(feature = "half")]
                DType::F16 => Tensor::from_vec(checked::<half::f16>(bytes, count)?, shape, device)?,
                #[cfg(feature = "half")]
                DType::BF16 => {
                    Tensor::from_vec(checked::<half::bf16>(bytes, count)?, shape, device)?
                }
                DType::F32 => Tensor::from_vec(checked::<f32>(bytes, count)?, shape, device)?,
                DType::F64 => Tensor::from_vec(checked::<f64>(bytes, count)?, shape, device)?,
                other => return Err(Error::failed(format!("{other:?} cannot be replaced"))),
            })
        }
    }
}
