//! The six functions of the header, for the macro [`export_candidate!`](crate::export_candidate).

/// Export a type that implements [`Candidate`](crate::Candidate) as the six functions of
/// `parity_candidate.h`. Once a library; the crate type is `cdylib`.
///
/// Without the feature `capture` it exports nothing.
#[macro_export]
macro_rules! export_candidate {
    ($candidate:ty) => {
        $crate::__export!($candidate);
    };
}

#[cfg(not(feature = "capture"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($candidate:ty) => {
        // So that the port's own code is not reported as dead.
        const _: fn(&str) -> $crate::Result<$candidate> = <$candidate as $crate::Candidate>::open;
    };
}

#[cfg(feature = "capture")]
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($candidate:ty) => {
        const _: () = {
            use ::std::ffi::{c_char, c_void};
            use $crate::export::{Handle, OnTap, Tensor};

            #[unsafe(no_mangle)]
            extern "C" fn parity_abi_version() -> u32 {
                $crate::export::VERSION
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn parity_open(
                config: *const c_char,
                candidate: *mut *mut Handle<$candidate>,
            ) -> i32 {
                unsafe { $crate::export::open(config, candidate) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn parity_describe(
                candidate: *mut Handle<$candidate>,
            ) -> *const c_char {
                unsafe { $crate::export::describe(candidate) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn parity_run(
                candidate: *mut Handle<$candidate>,
                inputs: *const Tensor,
                count: usize,
                on_tap: Option<OnTap>,
                ctx: *mut c_void,
            ) -> i32 {
                unsafe { $crate::export::run(candidate, inputs, count, on_tap, ctx) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn parity_last_error(
                candidate: *mut Handle<$candidate>,
            ) -> *const c_char {
                unsafe { $crate::export::last_error(candidate) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn parity_close(candidate: *mut Handle<$candidate>) {
                unsafe { $crate::export::close(candidate) }
            }
        };
    };
}

#[cfg(feature = "capture")]
pub use on::*;

#[cfg(feature = "capture")]
#[allow(clippy::missing_safety_doc)] // called by the macro alone, with what the header promises
mod on {
    use std::any::Any;
    use std::ffi::{CStr, CString, c_char, c_void};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::ptr::null;
    use std::slice;

    pub use crate::abi::{ABI_VERSION as VERSION, OnTap, Tensor};
    use crate::{Candidate, Case, Error, Result, Tap, abi};

    /// What the opaque handle points to.
    pub struct Handle<C> {
        candidate: Option<C>,
        description: CString,
        error: CString,
    }

    impl<C> Handle<C> {
        /// Run `work`, keep what it says when it fails, and give its status.
        fn guarded(&mut self, work: impl FnOnce(&mut Self) -> Result<()>) -> i32 {
            self.error = CString::default();
            let (status, reason) = match catch_unwind(AssertUnwindSafe(|| work(self))) {
                Ok(Ok(())) => return abi::OK,
                Ok(Err(Error::Stopped)) => (abi::STOPPED, Error::Stopped.to_string()),
                Ok(Err(Error::BadInput(reason))) => (abi::BAD_INPUT, reason),
                Ok(Err(Error::Failed(reason))) => (abi::ERROR, reason),
                Err(panic) => (abi::PANIC, said(panic)),
            };
            self.error = CString::new(reason.replace('\0', " ")).unwrap_or_default();
            status
        }
    }

    fn said(panic: Box<dyn Any + Send>) -> String {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        // A payload of the port's own may panic when it is dropped, which nobody would catch.
        text.unwrap_or_else(|| {
            std::mem::forget(panic);
            "no message".into()
        })
    }

    pub unsafe fn open<C: Candidate>(config: *const c_char, handle: *mut *mut Handle<C>) -> i32 {
        let mut opened = Box::new(Handle {
            candidate: None,
            description: CString::default(),
            error: CString::default(),
        });
        let status = opened.guarded(|opened| {
            // SAFETY: the header promises text that ends with NUL.
            let config = unsafe { CStr::from_ptr(config) }.to_str().map_err(Error::bad_input)?;
            let candidate = C::open(config)?;
            opened.description =
                CString::new(candidate.describe().to_json()).map_err(Error::failed)?;
            opened.candidate = Some(candidate);
            Ok(())
        });
        // SAFETY: the header promises a place for the handle.
        unsafe { *handle = Box::into_raw(opened) };
        status
    }

    pub unsafe fn describe<C>(handle: *mut Handle<C>) -> *const c_char {
        // SAFETY: the header promises a handle from `open`.
        unsafe { handle.as_ref() }.map_or(null(), |handle| handle.description.as_ptr())
    }

    pub unsafe fn run<C: Candidate>(
        handle: *mut Handle<C>,
        inputs: *const Tensor,
        count: usize,
        on_tap: Option<OnTap>,
        ctx: *mut c_void,
    ) -> i32 {
        // SAFETY: the header promises a handle from `open`, used by one thread at a time.
        let Some(handle) = (unsafe { handle.as_mut() }) else { return abi::ERROR };
        handle.guarded(|handle| {
            let candidate =
                handle.candidate.as_mut().ok_or_else(|| Error::failed("it is not open"))?;
            // SAFETY: the header promises `count` inputs for the time of the run.
            let inputs = match count {
                0 => &[],
                _ => unsafe { slice::from_raw_parts(inputs, count) },
            };
            // SAFETY: likewise.
            let case = unsafe { Case::from_inputs(inputs)? };
            candidate.run(&case, &Tap::to(on_tap, ctx))
        })
    }

    pub unsafe fn last_error<C>(handle: *mut Handle<C>) -> *const c_char {
        // SAFETY: as in `describe`.
        unsafe { handle.as_ref() }.map_or(null(), |handle| handle.error.as_ptr())
    }

    pub unsafe fn close<C>(handle: *mut Handle<C>) {
        if handle.is_null() {
            return;
        }
        // SAFETY: it came from `open`, and the header promises that it is not used again.
        let handle = unsafe { Box::from_raw(handle) };
        // There is nobody to tell: what a port says when it panics here is on its standard error.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(handle))) {
            std::mem::forget(panic);
        }
    }
}
