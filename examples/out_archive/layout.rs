// SPDX-License-Identifier: 0BSD
//! Prints the layout that weir.rs believes in; layout.c prints the header's.
mod weir;

use std::mem::{size_of, MaybeUninit};

macro_rules! show {
    ($rust:ty, $c:literal, [$($member:ident as $name:literal),*]) => {{
        let some = MaybeUninit::<$rust>::uninit();
        let base = some.as_ptr();
        $(println!("{}.{} {}", $c, $name, unsafe { std::ptr::addr_of!((*base).$member) } as usize - base as usize);)*
    }};
}

fn main() {
    println!("weir_option {}", size_of::<weir::OptionRow>());
    show!(weir::OptionRow, "weir_option", [name as "name", alias as "alias", kind as "type", flags as "flags",
        offset as "offset", def as "def", min as "min", max as "max", choices as "choices", help as "help"]);
    println!("weir_chunk {}", size_of::<weir::Chunk>());
    show!(weir::Chunk, "weir_chunk", [struct_size as "struct_size", records as "records", data as "data", size as "size",
        tag as "tag", topic as "topic", input as "input", id as "id"]);
    println!("weir_plugin {}", size_of::<weir::Plugin>());
    show!(weir::Plugin, "weir_plugin", [struct_size as "struct_size", abi_version as "abi_version",
        option_size as "option_size", kind as "kind", name as "name", version as "version", summary as "summary",
        options as "options", config_size as "config_size", create as "create", start as "start", write as "write",
        resume as "resume", stop as "stop", destroy as "destroy", flags as "flags", details as "details",
        series as "series", load as "load", retire as "retire"]);
    show!(weir::Host, "weir_host", [struct_size as "struct_size", abi_version as "abi_version", version as "version",
        log as "log", log_enabled as "log_enabled", error as "error", fail as "fail", metric as "metric",
        metric_add as "metric_add", metric_set as "metric_set", stopped as "stopped"]);
    println!("numbers {} {} {} {} {} {} {} {} {}", weir::ABI_VERSION, weir::OUTPUT, weir::LOG_ERROR, weir::LOG_INFO,
        weir::OPTION_PATH, weir::OPTION_REQUIRED, weir::OPTION_WRITES, weir::DELIVERED, weir::RETRY);
}
