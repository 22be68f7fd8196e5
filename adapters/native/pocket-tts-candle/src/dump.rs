//! Named tensors into a .safetensors file, for comparing without the C ABI.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;

use parity_candidate::{Error, Named, Tap, View};
use pocket_tts_candle::Result;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

/// Keeps what a tap names.
#[derive(Default)]
pub struct Dump(RefCell<Kept>);

#[derive(Default)]
struct Kept {
    tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)>,
    calls: HashMap<String, usize>,
}

impl Dump {
    /// A tap whose tensors are kept here.
    pub fn tap(&self) -> Tap<'_> {
        Tap::watching(|named, view| self.keep(named, view))
    }

    fn keep(&self, named: &Named<'_>, view: View<'_>) -> Result<()> {
        let (name, kept) = (name_of(named), &mut *self.0.borrow_mut());
        let call = kept.calls.entry(name.clone()).or_default();
        let dtype = dtype_of(view.type_name())?;
        kept.tensors.push((
            format!("{name}.call{call}"),
            dtype,
            view.shape().to_vec(),
            view.bytes(),
        ));
        *call += 1;
        Ok(())
    }

    /// Write what was kept.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let kept = self.0.borrow();
        let views = kept.tensors.iter().map(|(name, dtype, shape, bytes)| {
            TensorView::new(*dtype, shape.clone(), bytes).map(|view| (name, view))
        });
        let views = views.collect::<std::result::Result<Vec<_>, _>>().map_err(Error::failed)?;
        safetensors::serialize_to_file(views, None, path).map_err(Error::failed)
    }
}

/// As `parity import` reads it: phase, path, role and slot.
fn name_of(named: &Named<'_>) -> String {
    let phase = if named.phase.is_empty() { String::new() } else { format!("@{}/", named.phase) };
    let slot = if named.slot.is_empty() { String::new() } else { format!(".{}", named.slot) };
    format!("{phase}{}.output{slot}", named.path)
}

fn dtype_of(name: &str) -> Result<Dtype> {
    Ok(match name {
        "bool" => Dtype::BOOL,
        "uint8" => Dtype::U8,
        "uint32" => Dtype::U32,
        "int64" => Dtype::I64,
        "float32" => Dtype::F32,
        "float64" => Dtype::F64,
        other => return Err(Error::failed(format!("{other} is not dumped"))),
    })
}
