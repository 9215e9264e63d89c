//! No bytes make the opslog's reader panic, and what it takes for whole lines is no more than there
//! is.
#![no_main]

use std::io::Write as _;

use ha_sync::opslog::{End, OpslogReader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // The reader wants a path, since nothing else ever holds an opslog; this one lies in memory.
    let path = format!("/dev/shm/ha-sync-fuzz-{}", std::process::id());
    std::fs::File::create(&path).unwrap().write_all(bytes).unwrap();
    if let Ok((_, reader)) = OpslogReader::open(path.as_ref()) {
        let end = reader.read(|record| {
            drop(record.path_bytes());
            Ok(())
        });
        if let Ok(End::Torn { valid_len }) = end {
            assert!(valid_len <= bytes.len() as u64);
        }
    }
});
