//! Tells whoever calls plain cargo what that leaves out.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!(
        "cargo::warning=left out of a plain `cargo build` and `cargo test`: the crates tests and benches, whose suites, \
         lab and measurements need root; `cargo xtask test` (as root) runs everything"
    );
}
