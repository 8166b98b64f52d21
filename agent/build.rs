//! Builds the BPF object from the crate `ebpf` with a cargo inside cargo, and tells the agent where it is.
//!
//! The BPF target has no ready-made `core` in the usual toolchains. Two compilers will do: a rustc that comes with the
//! libraries for it (Debian's rustc-web with libstd-rust-web-dev-bpf), or a nightly with rust-src, which builds them.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

const TARGET: &str = "bpfel-unknown-none";

/// bpf-linker makes the BTF from debug info.
const RUSTFLAGS: &str = "-Cdebuginfo=2\x1f-Clink-arg=--btf";

/// What the outer cargo sets for its own compiler, or a user for the host, and what would mislead the inner one.
const OUTER: [&str; 12] = [
    "CARGO_BUILD_RUSTC",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_TARGET_DIR",
    "RUSTC",
    "RUSTC_LINKER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOC",
    "RUSTFLAGS",
];

/// Whose `core` the object is linked with.
enum Compiler {
    /// This rustc has the libraries of the target.
    Ready(PathBuf),
    /// The nightly of rustup has the sources of the libraries.
    Nightly,
}

fn main() {
    let manifest_dir = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let workspace = manifest_dir.parent().unwrap_or(&manifest_dir);
    for input in
        ["ebpf/src", "ebpf/Cargo.toml", "common/src", "common/Cargo.toml", "Cargo.toml", "Cargo.lock"]
    {
        println!("cargo::rerun-if-changed={}", workspace.join(input).display());
    }

    let out_dir = PathBuf::from(variable("OUT_DIR"));
    let target_dir = target_dir(&out_dir).join("bpf");
    let path = search_path();

    if find_all("bpf-linker", &path).is_empty() {
        fail("bpf-linker is not on the PATH");
    }
    let Some(compiler) = find_compiler(&path) else {
        fail(&format!(
            "no rustc on the PATH has libraries for {TARGET} (Debian: rustc-web and libstd-rust-web-dev-bpf), and \
             there is no nightly toolchain with rust-src"
        ));
    };

    let mut cargo = match &compiler {
        Compiler::Ready(_) => Command::new(variable("CARGO")),
        Compiler::Nightly => {
            let mut rustup = Command::new("rustup");
            rustup.args(["run", "nightly", "cargo"]);
            rustup
        }
    };
    cargo.args(["build", "--locked", "--release", "--package", "baton-ebpf", "--target", TARGET]);
    for name in OUTER {
        cargo.env_remove(name);
    }
    match compiler {
        Compiler::Ready(rustc) => {
            // aya-ebpf uses unstable features, which a released rustc refuses without this.
            cargo.env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1");
        }
        Compiler::Nightly => {
            cargo.env_remove("RUSTUP_TOOLCHAIN").args(["-Z", "build-std=core"]);
        }
    }
    let status = cargo
        .arg("--target-dir")
        .arg(&target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS)
        .env("PATH", path)
        .current_dir(workspace)
        .status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!("the build of crate ebpf for {TARGET} failed ({status}), see above")),
        Err(error) => fail(&format!("cannot run {cargo:?}: {error}")),
    }

    // Debug and release builds share the target directory; the copy cannot change under a compiler that reads it.
    let built = target_dir.join(TARGET).join("release").join("baton-ebpf");
    let object = out_dir.join("baton-ebpf.o");
    if let Err(error) = fs::copy(&built, &object) {
        fail(&format!("cannot copy {} to {}: {error}", built.display(), object.display()));
    }
    println!("cargo::rustc-env=BATON_BPF_OBJECT={}", object.display());
}

/// The target directory of the outer cargo, which marks it with a tag, or the build script's own place in it.
fn target_dir(out_dir: &Path) -> PathBuf {
    let tagged = out_dir.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file());
    tagged.unwrap_or(out_dir).to_owned()
}

/// PATH, and behind it where `cargo install` puts programs.
fn search_path() -> OsString {
    let mut dirs: Vec<PathBuf> = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    dirs.extend(
        cargo_home
            .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))
            .map(|home| home.join("bin")),
    );
    env::join_paths(dirs).unwrap_or_else(|error| fail(&format!("PATH cannot be extended: {error}")))
}

/// Every file called `program` on `path`, in order.
fn find_all(program: &str, path: &OsStr) -> Vec<PathBuf> {
    env::split_paths(path).map(|dir| dir.join(program)).filter(|file| file.is_file()).collect()
}

fn find_compiler(path: &OsStr) -> Option<Compiler> {
    let ready = find_all("rustc", path).into_iter().find(|rustc| {
        let libraries = output(Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]));
        libraries.is_some_and(|dir| has_core(Path::new(&dir)))
    });
    if let Some(rustc) = ready {
        return Some(Compiler::Ready(rustc));
    }
    let sysroot = output(Command::new("rustup").args(["run", "nightly", "rustc", "--print", "sysroot"]))?;
    let sources = Path::new(&sysroot).join("lib/rustlib/src/rust/library/Cargo.lock");
    sources.is_file().then_some(Compiler::Nightly)
}

fn has_core(libraries: &Path) -> bool {
    let Ok(entries) = fs::read_dir(libraries) else {
        return false;
    };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
}

/// What `command` prints on one line, if it succeeds.
fn output(command: &mut Command) -> Option<String> {
    let output =
        command.env_remove("RUSTC_WRAPPER").output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// A variable that cargo sets for every build script.
fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| fail(&format!("{name} is not set: this is a build script of cargo")))
}

fn fail(reason: &str) -> ! {
    println!("cargo::error=cannot build the BPF object: {reason}");
    println!("cargo::error=`cargo xtask setup` installs what is missing");
    exit(1)
}
