//! What a streaming model remembers between two calls.

use std::collections::HashMap;

use candle_core::Tensor;

use crate::Result;

/// The memory of one stream through one model. Tensors in it are replaced, never written to, so a
/// clone goes on by itself from the same point.
#[derive(Clone, Default)]
pub struct Stream {
    /// How many positions its transformer has seen.
    pub position: usize,
    tensors: HashMap<String, Tensor>,
}

impl Stream {
    /// What was kept under a name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// Keep a tensor under a name.
    pub fn put(&mut self, name: &str, tensor: Tensor) {
        self.tensors.insert(name.to_owned(), tensor);
    }

    /// Put `piece` behind what was kept under a name, along an axis; the whole of it.
    pub fn append(&mut self, name: &str, piece: &Tensor, axis: usize) -> Result<Tensor> {
        let whole = match self.get(name) {
            Some(past) => Tensor::cat(&[past, piece], axis)?,
            None => piece.contiguous()?,
        };
        self.put(name, whole.clone());
        Ok(whole)
    }
}
