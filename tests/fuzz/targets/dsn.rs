//! No text makes the DSN's parser panic, and no error repeats a piece of it.
#![no_main]

use ha_sync::ledger::Dsn;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match text.parse::<Dsn>() {
        Ok(dsn) => drop(dsn.to_string()),
        Err(error) => assert!(error.to_string().contains(" is wrong: ")),
    }
});
