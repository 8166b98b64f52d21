//! See [`baton_tests::fuzz::answer`].
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    baton_tests::fuzz::answer(octets);
});
