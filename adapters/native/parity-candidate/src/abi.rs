//! The structures and numbers of `parity_candidate.h`, version 1.

#![allow(missing_docs)] // the header documents every field

use std::ffi::{c_char, c_void};

pub const ABI_VERSION: u32 = 1;

pub const TENSOR: u32 = 0;
pub const ASK: u32 = 1;
pub const NOISE: u32 = 2;

pub const STOP: i32 = 1;
pub const REPLACE: i32 = 2;
pub const SKIP: i32 = 3;

pub const OK: i32 = 0;
pub const ERROR: i32 = 1;
pub const BAD_INPUT: i32 = 2;
pub const PANIC: i32 = 3;
pub const STOPPED: i32 = 4;

/// `parity_tensor`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Tensor {
    pub name: *const c_char,
    pub dtype: u32,
    pub rank: u32,
    pub shape: *const i64,
    pub strides: *const i64,
    pub data: *const c_void,
}

/// `parity_tap`.
#[repr(C)]
pub struct TapCall {
    pub kind: u32,
    pub role: u32,
    pub tensor: Tensor,
    pub slot: *const c_char,
    pub phase: *const c_char,
    pub step: i64,
    pub source: *const c_char,
}

/// `parity_on_tap`.
pub type OnTap =
    unsafe extern "C" fn(ctx: *mut c_void, tap: *const TapCall, replacement: *mut Tensor) -> i32;
