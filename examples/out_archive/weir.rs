// SPDX-License-Identifier: 0BSD
//! What out_archive needs of <weir/plugin.h>, written by hand: the structures as far as they are used, in the order and with
//! the types of the header. `layout.rs` prints their sizes and offsets, and a test compares that with the C compiler's.
//!
//! A structure may end earlier than in the header (Host does): weir says how long its own is, and gives pointers only.
#![allow(dead_code)]

use std::os::raw::{c_char, c_int, c_void};

#[repr(C)]
pub struct Instance {
    _private: [u8; 0],
}

pub const ABI_VERSION: u32 = 1;
pub const OUTPUT: c_int = 2;
pub const LOG_ERROR: c_int = 1;
pub const LOG_INFO: c_int = 3;
pub const OPTION_PATH: c_int = 6;
pub const OPTION_REQUIRED: u32 = 1;
pub const OPTION_WRITES: u32 = 8;
pub const DELIVERED: c_int = 0;
pub const RETRY: c_int = 1;

#[repr(C)]
pub struct OptionRow {
    pub name: *const c_char,
    pub alias: *const c_char,
    pub kind: c_int,
    pub flags: u32,
    pub offset: usize,
    pub def: *const c_char,
    pub min: i64,
    pub max: i64,
    pub choices: *const *const c_char,
    pub help: *const c_char,
}

#[repr(C)]
pub struct Chunk {
    pub struct_size: u32,
    pub records: u32,
    pub data: *const u8,
    pub size: usize,
    pub tag: *const c_char,
    pub topic: *const c_char,
    pub input: *const c_char,
    pub id: u64,
}

/// The first members; those in between that are not used are only pointers.
#[repr(C)]
pub struct Host {
    pub struct_size: u32,
    pub abi_version: u32,
    pub version: *const c_char,
    pub log: unsafe extern "C" fn(*mut Instance, c_int, *const c_char, ...),
    pub log_enabled: unsafe extern "C" fn(*mut Instance, c_int) -> bool,
    pub error: unsafe extern "C" fn(*mut Instance, *const c_char, ...),
    pub fail: unsafe extern "C" fn(*mut Instance, *const c_char, ...),
    pub metric: *const c_void,
    pub metric_add: *const c_void,
    pub metric_set: *const c_void,
    pub stopped: unsafe extern "C" fn(*mut Instance),
}

#[repr(C)]
pub struct Plugin {
    pub struct_size: u32,
    pub abi_version: u32,
    pub option_size: u32,
    pub kind: c_int,
    pub name: *const c_char,
    pub version: *const c_char,
    pub summary: *const c_char,
    pub options: *const OptionRow,
    pub config_size: usize,
    pub create: Option<unsafe extern "C" fn(*const Host, *mut Instance, *const c_void, *mut *mut c_void) -> c_int>,
    pub start: Option<unsafe extern "C" fn(*mut c_void) -> c_int>,
    pub write: Option<unsafe extern "C" fn(*mut c_void, *mut Chunk) -> c_int>,
    pub resume: Option<unsafe extern "C" fn(*mut c_void)>,
    pub stop: Option<unsafe extern "C" fn(*mut c_void)>,
    pub destroy: Option<unsafe extern "C" fn(*mut c_void)>,
    pub flags: u32,
    pub details: *const c_void,
    pub series: *const c_void,
    pub load: *const c_void,
    pub retire: *const c_void,
}

// Constant tables of pointers to constants: nothing in them ever changes.
unsafe impl Sync for OptionRow {}
unsafe impl Sync for Plugin {}
