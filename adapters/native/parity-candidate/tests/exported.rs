//! The exported functions, called as another language would: no panic leaves them.
#![cfg(feature = "capture")]

use std::ffi::{CStr, c_char, c_void};
use std::panic::panic_any;
use std::ptr::{null, null_mut};

use parity_candidate::{Candidate, Case, Description, Error, Result, Tap, export_candidate};

const OK: i32 = 0;
const BAD_INPUT: i32 = 2;
const PANIC: i32 = 3;

/// Panics when it is dropped, as a candidate and as what is thrown.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

struct Bad {
    what: String,
    bomb: Option<Bomb>,
}

impl Candidate for Bad {
    fn open(config: &str) -> Result<Self> {
        let bomb = (config == "close").then(|| Bomb);
        Ok(Self { what: config.into(), bomb })
    }

    fn describe(&self) -> Description {
        Description::new("bad", "rust")
    }

    fn run(&mut self, case: &Case<'_>, _: &Tap<'_>) -> Result<()> {
        match self.what.as_str() {
            "throw" => panic_any(Bomb),
            "number" => panic_any(7),
            "formatted" => panic!("row {}", self.what.len()),
            "close" => self.bomb.as_ref().map(drop).ok_or_else(|| Error::failed("no bomb")),
            _ => case.array::<f32>("x").map(drop),
        }
    }
}

export_candidate!(Bad);

unsafe extern "C" {
    fn parity_open(config: *const c_char, candidate: *mut *mut c_void) -> i32;
    fn parity_run(
        candidate: *mut c_void,
        inputs: *const c_void,
        count: usize,
        on_tap: *const c_void,
        ctx: *mut c_void,
    ) -> i32;
    fn parity_last_error(candidate: *mut c_void) -> *const c_char;
    fn parity_close(candidate: *mut c_void);
}

/// How a run without inputs ends, and what is said about it.
fn ran(config: &CStr) -> (i32, String) {
    let mut handle = null_mut();
    // SAFETY: the calls are in the order that the header asks for.
    unsafe {
        assert_eq!(parity_open(config.as_ptr(), &raw mut handle), OK);
        let status = parity_run(handle, null(), 0, null(), null_mut());
        let said = CStr::from_ptr(parity_last_error(handle)).to_str().unwrap().to_owned();
        parity_close(handle);
        (status, said)
    }
}

#[test]
fn a_panic_is_a_status_whatever_is_thrown() {
    assert_eq!(ran(c"formatted"), (PANIC, "row 9".into()));
    assert_eq!(ran(c"number"), (PANIC, "no message".into()));
    assert_eq!(ran(c"throw"), (PANIC, "no message".into()));
}

#[test]
fn a_port_may_panic_when_it_is_closed() {
    assert_eq!(ran(c"close"), (OK, String::new()));
}

#[test]
fn a_run_may_have_no_inputs_at_all() {
    assert_eq!(ran(c""), (BAD_INPUT, "the case has no array x".into()));
}
