//! The files of an example on a node. They are the operator's, but for where they lie and for the network: what is below
//! `/etc`, `/run` or `/var` is below the node's directory, and 192.0.2.0/24 is the lab's.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use baton_tests::lab::{Host, Lab};

/// A line that differs between the nodes, as it is for a, and as the example says that it is for b.
pub(super) type Differing = (&'static str, &'static str);

/// Puts the files of the example `name` on `host`, below `etc/baton/NAME`.
pub(super) fn install(lab: &Lab, host: Host, name: &str, differing: &[Differing]) -> Result<()> {
    let root = lab.host_directory(host);
    for directory in ["etc/baton", "run", "var/log"] {
        fs::create_dir_all(root.join(directory))?;
    }
    let target = root.join("etc/baton").join(name);
    fs::create_dir(&target).with_context(|| format!("make {}", target.display()))?;
    let mut texts = String::new();
    for file in fs::read_dir(examples().join(name)).context("read the example")? {
        let path = file?.path();
        let installed = target.join(path.file_name().context("a file has a name")?);
        let mut text = fs::read_to_string(&path)?;
        texts += &text;
        if host == Host::B {
            text = differing.iter().fold(text, |text, (a, b)| text.replace(a, b));
        }
        // A copy has the rights of the file.
        fs::copy(&path, &installed)?;
        fs::write(&installed, moved(&text, &root))?;
    }
    for (line, _) in differing {
        ensure!(texts.contains(line), "example {name} has no `{line}`");
    }
    Ok(())
}

/// Makes the example's `baton.toml` for `host` the one of its agent, with a runtime directory and pins of its own.
pub(super) fn configure(lab: &Lab, host: Host, name: &str) -> Result<()> {
    let root = lab.host_directory(host);
    let file = root.join("etc/baton").join(name).join(format!("baton-{}.toml", host.name()));
    let configuration = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let pins = lab.directory().join("bpf").join(host.name());
    fs::create_dir_all(&pins)?;
    let runtime = format!("\n[runtime]\ndirectory = \"{}\"\npins = \"{}\"\n", root.display(), pins.display());
    fs::write(root.join("baton.toml"), configuration + &runtime).context("write baton.toml")
}

/// The directories of the examples.
pub(super) fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/examples")
}

/// `text` for a lab whose node has its files below `root`.
fn moved(text: &str, root: &Path) -> String {
    let below = |text: String, path: &str| text.replace(path, &format!("{}{path}", root.display()));
    // First of all `/run`, where the lab itself is.
    let text = ["/run/", "/etc/", "/var/"].into_iter().fold(text.to_owned(), below);
    text.replace("192.0.2.", "10.77.0.")
}
