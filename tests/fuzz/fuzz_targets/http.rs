//! See [`baton_tests::fuzz::http`].
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    baton_tests::fuzz::http(octets);
});
