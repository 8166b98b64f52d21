//! See [`baton_tests::fuzz::translate`].
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    baton_tests::fuzz::translate(octets);
});
