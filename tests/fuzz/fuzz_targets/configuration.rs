//! See [`baton_tests::fuzz::configuration`].
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    baton_tests::fuzz::configuration(octets);
});
