//! See [`baton_tests::fuzz::digest`].
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    baton_tests::fuzz::digest(octets);
});
