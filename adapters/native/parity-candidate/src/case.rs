//! One input of the model.

use std::marker::PhantomData;

#[cfg(feature = "capture")]
use crate::abi;
use crate::record::product;
use crate::{Element, Error, Result};

/// An input tensor, lent for the time of the run.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    code: u32,
    shape: &'a [i64],
    data: *const u8,
    marker: PhantomData<&'a [u8]>,
}

impl<'a> Input<'a> {
    /// Elements of your own as an input: for running the port by itself.
    ///
    /// # Errors
    ///
    /// When there are not as many elements as the shape says.
    pub fn new<T: Element>(values: &'a [T], shape: &'a [i64]) -> Result<Self> {
        let extents: Option<Vec<_>> =
            shape.iter().map(|&extent| usize::try_from(extent).ok()).collect();
        if extents.and_then(|extents| product(&extents)) != Some(values.len()) {
            let count = values.len();
            return Err(Error::bad_input(format!(
                "{count} elements do not make the shape {shape:?}"
            )));
        }
        Ok(Self { code: T::CODE, shape, data: values.as_ptr().cast(), marker: PhantomData })
    }

    /// The extent of each axis.
    #[must_use]
    pub fn shape(&self) -> Vec<usize> {
        self.shape.iter().map(|&extent| extent as usize).collect()
    }

    /// The elements in C order; `None` when they are of another type.
    #[must_use]
    pub fn values<T: Element>(&self) -> Option<&'a [T]> {
        let count = self.shape.iter().product::<i64>() as usize;
        if T::CODE != self.code {
            return None;
        }
        if count == 0 {
            return Some(&[]);
        }
        // SAFETY: the header promises `count` aligned elements of this type for the time of the
        // run, and `new` has counted those of its slice.
        Some(unsafe { std::slice::from_raw_parts(self.data.cast(), count) })
    }
}

/// One input of the model.
#[derive(Debug, Clone)]
pub struct Case<'a> {
    json: &'a str,
    arrays: Vec<(&'a str, Input<'a>)>,
    noise: Vec<Input<'a>>,
}

impl<'a> Case<'a> {
    /// A case of your own, for running the port by itself.
    #[must_use]
    pub fn new(json: &'a str, arrays: Vec<(&'a str, Input<'a>)>, noise: Vec<Input<'a>>) -> Self {
        Self { json, arrays, noise }
    }

    /// The case's `name`, `inputs`, `seed` and `noise` as a JSON object.
    #[must_use]
    pub fn json(&self) -> &'a str {
        self.json
    }

    /// The array `name`.
    ///
    /// # Errors
    ///
    /// When the case has no such array, or one of another type.
    pub fn array<T: Element>(&self, name: &str) -> Result<(&'a [T], Vec<usize>)> {
        let found = self.arrays.iter().find(|(known, _)| *known == name);
        let (_, input) =
            found.ok_or_else(|| Error::bad_input(format!("the case has no array {name}")))?;
        let values = input
            .values()
            .ok_or_else(|| Error::bad_input(format!("the array {name} is of another type")))?;
        Ok((values, input.shape()))
    }

    /// The draws to take instead of drawing, in order. Whether there is a tape at all, even an
    /// empty one, is said by `noise` in [`Case::json`].
    #[must_use]
    pub fn noise(&self) -> &[Input<'a>] {
        &self.noise
    }

    /// # Safety
    ///
    /// `inputs` must be as the header says, and stay so for the time of the case.
    #[cfg(feature = "capture")]
    pub(crate) unsafe fn from_inputs(inputs: &'a [abi::Tensor]) -> Result<Self> {
        let mut case = Self { json: "{}", arrays: Vec::new(), noise: Vec::new() };
        for tensor in inputs {
            // SAFETY: the header promises a name that ends with NUL, and the shape's extents.
            let (name, input) = unsafe { (name_of(tensor)?, input_of(tensor)) };
            if name == "case" {
                let text = input.values::<u8>().unwrap_or_default();
                case.json = std::str::from_utf8(text).map_err(Error::bad_input)?;
            } else if let Some(array) = name.strip_prefix("arrays.") {
                case.arrays.push((array, input));
            } else if name.starts_with("noise.") {
                case.noise.push(input);
            }
        }
        Ok(case)
    }
}

#[cfg(feature = "capture")]
unsafe fn name_of<'a>(tensor: &abi::Tensor) -> Result<&'a str> {
    // SAFETY: as the caller promises.
    unsafe { std::ffi::CStr::from_ptr(tensor.name) }.to_str().map_err(Error::bad_input)
}

#[cfg(feature = "capture")]
unsafe fn input_of<'a>(tensor: &abi::Tensor) -> Input<'a> {
    let shape = if tensor.rank == 0 {
        &[]
    } else {
        // SAFETY: as the caller promises.
        unsafe { std::slice::from_raw_parts(tensor.shape, tensor.rank as usize) }
    };
    Input { code: tensor.dtype, shape, data: tensor.data.cast(), marker: PhantomData }
}
