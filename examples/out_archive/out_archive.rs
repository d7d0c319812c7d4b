// SPDX-License-Identifier: 0BSD
//! out_archive: appends each chunk's records to a file, in msgpack as they are: what any peer of the Fluentd Forward
//! protocol reads. In Rust (1.63 and later) with its standard library only.
//!
//! No panic may leave a callback: it is built with panic=abort, and nothing here is meant to panic.

mod weir;

use std::ffi::{CStr, CString, OsStr};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::raw::{c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;

/// weir fills it in; it is there until `destroy` returns.
#[repr(C)]
struct Config {
    path: *const c_char,
}

struct Archive {
    host: *const weir::Host,
    instance: *mut weir::Instance,
    config: *const Config,
    file: Option<File>,
}

impl Archive {
    /// Shown to the operator. The text is an argument, never the format.
    fn error(&self, text: &str) {
        let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
        unsafe { ((*self.host).error)(self.instance, zero(b"%s\0"), text.as_ptr()) }
    }

    fn clear_error(&self) {
        unsafe { ((*self.host).error)(self.instance, std::ptr::null()) }
    }

    fn path(&self) -> &OsStr {
        OsStr::from_bytes(unsafe { CStr::from_ptr((*self.config).path) }.to_bytes())
    }

    fn start(&mut self) -> c_int {
        let opened = OpenOptions::new().append(true).create(true).mode(0o640).open(self.path());
        match opened {
            Ok(file) => {
                self.file = Some(file);
                0
            }
            Err(e) => {
                self.error(&format!("can't open {}: {}", self.path().to_string_lossy(), e));
                -e.raw_os_error().unwrap_or(5)
            }
        }
    }

    /// All of it, or what was written is cut off again: the chunk will come as a whole.
    fn write(&mut self, records: &[u8]) -> std::io::Result<()> {
        let file = self.file.as_mut().ok_or(std::io::ErrorKind::NotConnected)?;
        let before = file.metadata()?.len();
        file.write_all(records).or_else(|e| {
            file.set_len(before)?;
            Err(e)
        })
    }
}

unsafe extern "C" fn create(
    host: *const weir::Host,
    instance: *mut weir::Instance,
    config: *const c_void,
    ret_self: *mut *mut c_void,
) -> c_int {
    let archive = Archive { host, instance, config: config.cast(), file: None };
    *ret_self = Box::into_raw(Box::new(archive)).cast();
    0
}

unsafe extern "C" fn start(data: *mut c_void) -> c_int {
    (*data.cast::<Archive>()).start()
}

unsafe extern "C" fn write(data: *mut c_void, chunk: *mut weir::Chunk) -> c_int {
    let archive = &mut *data.cast::<Archive>();
    match archive.write(std::slice::from_raw_parts((*chunk).data, (*chunk).size)) {
        Ok(()) => {
            archive.clear_error();
            weir::DELIVERED
        }
        Err(e) => {
            archive.error(&format!("can't write to {}: {}", archive.path().to_string_lossy(), e));
            weir::RETRY
        }
    }
}

unsafe extern "C" fn stop(data: *mut c_void) {
    let archive = &*data.cast::<Archive>();
    ((*archive.host).stopped)(archive.instance)
}

unsafe extern "C" fn destroy(data: *mut c_void) {
    drop(Box::from_raw(data.cast::<Archive>()));
}

const fn zero(zero_terminated: &'static [u8]) -> *const c_char {
    zero_terminated.as_ptr().cast()
}

static OPTIONS: [weir::OptionRow; 2] = [
    weir::OptionRow {
        name: zero(b"path\0"),
        alias: std::ptr::null(),
        kind: weir::OPTION_PATH,
        flags: weir::OPTION_REQUIRED | weir::OPTION_WRITES,
        offset: 0, // the only member of Config
        def: std::ptr::null(),
        min: 0,
        max: 0,
        choices: std::ptr::null(),
        help: zero(b"the file that records are appended to\0"),
    },
    weir::OptionRow {
        name: std::ptr::null(),
        alias: std::ptr::null(),
        kind: 0,
        flags: 0,
        offset: 0,
        def: std::ptr::null(),
        min: 0,
        max: 0,
        choices: std::ptr::null(),
        help: std::ptr::null(),
    },
];

/// The one symbol.
#[no_mangle]
#[allow(non_upper_case_globals)]
pub static weir_plugin_descriptor: weir::Plugin = weir::Plugin {
    struct_size: std::mem::size_of::<weir::Plugin>() as u32,
    abi_version: weir::ABI_VERSION,
    option_size: std::mem::size_of::<weir::OptionRow>() as u32,
    kind: weir::OUTPUT,
    name: zero(b"archive\0"),
    version: zero(b"1.0\0"),
    summary: zero(b"records in msgpack, appended to a file\0"),
    options: OPTIONS.as_ptr(),
    config_size: std::mem::size_of::<Config>(),
    create: Some(create),
    start: Some(start),
    write: Some(write),
    resume: None,
    stop: Some(stop),
    destroy: Some(destroy),
    flags: 0,
    details: std::ptr::null(),
    series: std::ptr::null(),
    load: std::ptr::null(),
    retire: std::ptr::null(),
};
