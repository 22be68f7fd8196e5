//! The tap: what a running candidate hands its tensors to.

#[cfg(feature = "capture")]
pub(crate) use on::Listener;

use crate::{Point, Record, Result, Role, View};
use std::cell::{Cell, RefCell};

/// What a running candidate hands its tensors to.
///
/// Without the feature `capture` its methods are empty, and compile to nothing.
pub struct Tap<'a> {
    #[cfg(feature = "capture")]
    listener: Option<Listener<'a>>,
    phase: RefCell<String>,
    step: Cell<i64>,
    marker: std::marker::PhantomData<&'a ()>,
}

/// Everything about a tensor but its elements.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// Dotted path.
    pub path: &'a str,
    /// What it was there.
    pub role: Role,
    /// Which of several of that role; empty for the only one.
    pub slot: &'a str,
    /// The phase; empty outside of phases.
    pub phase: &'a str,
    /// The step, or -1.
    pub step: i64,
}

impl<'a> Tap<'a> {
    /// A tap that hands everything to a function, for running the port by itself. Without the
    /// feature `capture` the function is never called.
    pub fn watching(watch: impl Fn(&Named<'_>, View<'_>) -> Result<()> + 'a) -> Self {
        #[cfg(feature = "capture")]
        return Self { listener: Some(Listener::Near(Box::new(watch))), ..Self::none() };
        #[cfg(not(feature = "capture"))]
        {
            drop(watch);
            Self::none()
        }
    }

    /// A tap that hands nothing to anybody, for running the port by itself.
    #[must_use]
    pub fn none() -> Self {
        Self {
            #[cfg(feature = "capture")]
            listener: None,
            phase: RefCell::default(),
            step: Cell::new(-1),
            marker: std::marker::PhantomData,
        }
    }

    /// Name a tensor, which nothing can be put in the place of.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`](crate::Error::Stopped) when nobody wants the rest of the run, and what
    /// the tensor says when its elements cannot be seen.
    #[inline]
    pub fn record<'p, T: Record>(&self, point: impl Into<Point<'p>>, tensor: &T) -> Result<()> {
        #[cfg(feature = "capture")]
        if let Some(listener) = &self.listener {
            let point = point.into();
            if listener.wants(point)? {
                let nothing = None::<fn(&[u8]) -> Result<()>>;
                tensor
                    .view(|view| self.hand_over(listener, point, view, nothing).map(drop))
                    .map_err(|error| error.at(point.path))?;
            }
        }
        #[cfg(not(feature = "capture"))]
        let _ = (point, tensor);
        Ok(())
    }

    /// Name a tensor, and go on with what is returned: the tensor, or what the tap puts in its
    /// place.
    ///
    /// # Errors
    ///
    /// As [`Tap::record`].
    #[inline]
    pub fn pass<'p, T: Record>(&self, point: impl Into<Point<'p>>, tensor: T) -> Result<T> {
        #[cfg(feature = "capture")]
        if let Some(listener) = &self.listener {
            let point = point.into();
            if listener.wants(point)? {
                let put = Some(|bytes: &[u8]| tensor.replaced(bytes));
                let found = tensor.view(|view| self.hand_over(listener, point, view, put));
                return Ok(found.map_err(|error| error.at(point.path))?.unwrap_or(tensor));
            }
        }
        #[cfg(not(feature = "capture"))]
        let _ = (point,);
        Ok(tensor)
    }

    /// Say which random numbers were drawn, as they came out, in the order of drawing.
    ///
    /// # Errors
    ///
    /// As [`Tap::record`].
    #[inline]
    pub fn noise<T: Record>(&self, distribution: &str, values: &T) -> Result<()> {
        #[cfg(feature = "capture")]
        if let Some(listener) = &self.listener {
            values
                .view(|view| listener.draw(distribution, &self.phase.borrow(), view))
                .map_err(|error| error.at(distribution))?;
        }
        #[cfg(not(feature = "capture"))]
        let _ = (distribution, values);
        Ok(())
    }

    /// Hold a phase until what is returned goes out of scope. Steps begin anew.
    #[must_use]
    pub fn phase(&self, name: &str) -> Phase<'_> {
        let before = (self.phase.replace(name.into()), self.step.replace(-1));
        Phase { name: &self.phase, step: &self.step, before }
    }

    /// Begin the next step of the phase; the first call begins step 0.
    pub fn next_step(&self) {
        self.step.set(self.step.get() + 1);
    }
}

/// A phase that is being held; it ends when this is dropped.
pub struct Phase<'a> {
    name: &'a RefCell<String>,
    step: &'a Cell<i64>,
    before: (String, i64),
}

impl Drop for Phase<'_> {
    fn drop(&mut self) {
        self.name.replace(std::mem::take(&mut self.before.0));
        self.step.set(self.before.1);
    }
}

#[cfg(feature = "capture")]
mod on {
    use std::cell::{Cell, RefCell};
    use std::collections::HashMap;
    use std::ffi::{CString, c_void};
    use std::ptr::{null, null_mut};

    use super::Tap;
    use crate::abi::{self, OnTap, TapCall};
    use crate::record::type_of;
    use crate::{Error, Named, Point, Result, Role, View};

    /// Who hears a tap.
    pub(crate) enum Listener<'a> {
        Far(Far),
        Near(Box<Watch<'a>>),
    }

    pub(crate) type Watch<'a> = dyn Fn(&Named<'_>, View<'_>) -> Result<()> + 'a;

    impl Listener<'_> {
        pub(super) fn wants(&self, point: Point<'_>) -> Result<bool> {
            match self {
                Self::Far(far) => far.wants(point),
                Self::Near(_) => Ok(true),
            }
        }

        pub(super) fn draw(&self, distribution: &str, phase: &str, view: View<'_>) -> Result<()> {
            match self {
                Self::Far(far) => far.draw(distribution, phase, view),
                Self::Near(_) => Ok(()),
            }
        }
    }

    /// The far side of the header, and what it has said about paths: yes or no for each role.
    pub(crate) struct Far {
        on_tap: OnTap,
        ctx: *mut c_void,
        wanted: RefCell<HashMap<String, [Option<bool>; 5]>>,
    }

    impl Far {
        pub(super) fn wants(&self, point: Point<'_>) -> Result<bool> {
            // Asked once a path and run: a tap that nobody wants costs a look-up.
            let role = point.role as usize;
            if let Some(known) = self.wanted.borrow().get(point.path).and_then(|known| known[role])
            {
                return Ok(known);
            }
            let name = text(point.path)?;
            let tensor = abi::Tensor { name: name.as_ptr(), ..empty() };
            let answer = self.call(&TapCall { tensor, ..quiet(abi::ASK, point.role) }, null_mut());
            let known = answer? != abi::SKIP;
            self.wanted.borrow_mut().entry(point.path.to_owned()).or_default()[role] = Some(known);
            Ok(known)
        }

        pub(super) fn draw(&self, distribution: &str, phase: &str, view: View<'_>) -> Result<()> {
            let (name, phase) = (text(distribution)?, text(phase)?);
            lend(view, name.as_ptr(), |tensor| {
                let call =
                    TapCall { tensor, phase: phase.as_ptr(), ..quiet(abi::NOISE, Role::Tap) };
                self.call(&call, null_mut()).map(drop)
            })
        }

        fn call(&self, call: &TapCall, replacement: *mut abi::Tensor) -> Result<i32> {
            // SAFETY: the header promises that function and context are good during the run, and
            // everything that `call` points to outlives this line.
            let answer = unsafe { (self.on_tap)(self.ctx, call, replacement) };
            if answer == abi::STOP { Err(Error::Stopped) } else { Ok(answer) }
        }
    }

    impl Tap<'_> {
        pub(crate) fn to(on_tap: Option<OnTap>, ctx: *mut c_void) -> Self {
            let far = |on_tap| Listener::Far(Far { on_tap, ctx, wanted: RefCell::default() });
            Self { listener: on_tap.map(far), ..Self::none() }
        }

        /// Hand a tensor over; what `put` makes of the replacement, if there is one. Without `put`
        /// there is no place for one, so that parity refuses to replace instead of believing it did.
        pub(super) fn hand_over<R>(
            &self,
            listener: &Listener<'_>,
            point: Point<'_>,
            view: View<'_>,
            put: Option<impl FnOnce(&[u8]) -> Result<R>>,
        ) -> Result<Option<R>> {
            let listener = match listener {
                Listener::Far(far) => far,
                Listener::Near(watch) => {
                    let phase = &self.phase.borrow();
                    let (path, role, slot) = (point.path, point.role, point.slot);
                    let step = Cell::get(&self.step);
                    return watch(&Named { path, role, slot, phase, step }, view).map(|()| None);
                }
            };
            let (name, slot) = (text(point.path)?, text(point.slot)?);
            let phase = text(&self.phase.borrow())?;
            lend(view, name.as_ptr(), |tensor| {
                let mut replacement = empty();
                let call = TapCall {
                    tensor,
                    slot: slot.as_ptr(),
                    phase: phase.as_ptr(),
                    step: Cell::get(&self.step),
                    ..quiet(abi::TENSOR, point.role)
                };
                let place = if put.is_some() { &raw mut replacement } else { null_mut() };
                let answer = listener.call(&call, place)?;
                match put {
                    Some(put) if answer == abi::REPLACE => {
                        put(bytes_of(&replacement, &call.tensor)?).map(Some)
                    }
                    _ => Ok(None),
                }
            })
        }
    }

    /// The replacement's bytes.
    fn bytes_of<'a>(replacement: &'a abi::Tensor, tensor: &abi::Tensor) -> Result<&'a [u8]> {
        let shape_of = |one: &abi::Tensor| -> Vec<i64> {
            if one.rank == 0 || one.shape.is_null() {
                return Vec::new();
            }
            // SAFETY: the header says that a shape has `rank` extents.
            unsafe { std::slice::from_raw_parts(one.shape, one.rank as usize) }.to_vec()
        };
        let shape = shape_of(replacement);
        if (replacement.dtype, &shape) != (tensor.dtype, &shape_of(tensor)) {
            return Err(Error::failed("a replacement is not of the tensor's type and shape"));
        }
        let count: i64 = shape.iter().product();
        if count == 0 {
            return Ok(&[]);
        }
        if replacement.data.is_null() {
            return Err(Error::failed("a replacement has no data"));
        }
        let size = count as usize * type_of(replacement.dtype).1;
        // SAFETY: the header says that it is in C order and good until the next call of the tap.
        Ok(unsafe { std::slice::from_raw_parts(replacement.data.cast(), size) })
    }

    fn lend<R>(
        view: View<'_>,
        name: *const std::ffi::c_char,
        lent: impl FnOnce(abi::Tensor) -> Result<R>,
    ) -> Result<R> {
        let shape: Vec<i64> = view.shape.iter().map(|&extent| extent as i64).collect();
        let strides: Option<Vec<i64>> =
            view.strides.map(|steps| steps.iter().map(|&step| step as i64).collect());
        lent(abi::Tensor {
            name,
            dtype: view.code,
            rank: shape.len() as u32,
            shape: shape.as_ptr(),
            strides: strides.as_ref().map_or(null(), Vec::as_ptr),
            data: view.data.cast(),
        })
    }

    fn empty() -> abi::Tensor {
        abi::Tensor {
            name: null(),
            dtype: 0,
            rank: 0,
            shape: null(),
            strides: null(),
            data: null(),
        }
    }

    fn quiet(kind: u32, role: Role) -> TapCall {
        TapCall {
            kind,
            role: role as u32,
            tensor: empty(),
            slot: null(),
            phase: null(),
            step: -1,
            source: null(),
        }
    }

    fn text(text: &str) -> Result<CString> {
        CString::new(text).map_err(|_| Error::failed(format!("{text:?} holds a NUL")))
    }
}
