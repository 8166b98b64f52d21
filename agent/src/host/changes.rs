//! VIPs are bound on `lo` of every node, so that services can listen before they are needed, and the kernel is kept
//! from speaking for them. What was changed is recorded in `host.json`, so that it can be taken back by another run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::HostError;
use super::netlink::Netlink;

/// Sysctls per interface. arp_ignore 1: answer only for addresses of the interface that was asked. arp_announce 2:
/// never ask with an address of `lo` as the sender.
const SYSCTLS: [(&str, u8); 2] = [("arp_ignore", 1), ("arp_announce", 2)];

/// What Baton has changed on this host.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    /// Addresses that Baton bound on `lo`.
    bound: BTreeSet<Ipv4Addr>,
    /// Sysctl files with the value they had before.
    sysctls: BTreeMap<PathBuf, String>,
}

/// The changes to the host, and the file that remembers them.
pub struct HostChanges<'a> {
    netlink: &'a Netlink,
    file: PathBuf,
    record: Record,
}

impl<'a> HostChanges<'a> {
    /// Reads the record in `directory`, which may be missing.
    ///
    /// # Errors
    ///
    /// The record is damaged.
    pub fn open(netlink: &'a Netlink, directory: &Path) -> Result<Self, HostError> {
        let file = directory.join("host.json");
        let record = match fs::read_to_string(&file) {
            Ok(text) => serde_json::from_str(&text)
                .map_err(|source| HostError::Record { path: file.clone(), source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Record::default(),
            Err(error) => return Err(HostError::io(format!("reading {}", file.display()))(error)),
        };
        Ok(Self { netlink, file, record })
    }

    /// Whether an earlier run has left changes in place.
    pub fn is_recorded(&self) -> bool {
        !self.record.sysctls.is_empty() || !self.record.bound.is_empty()
    }

    /// Keeps the kernel quiet on `interfaces`, then binds `vips`, and unbinds what an earlier run bound and is no longer
    /// wanted. Each change is recorded before it is made.
    ///
    /// # Errors
    ///
    /// A sysctl cannot be written or an address not bound.
    pub fn apply(&mut self, interfaces: &[&str], vips: &[Ipv4Addr]) -> Result<(), HostError> {
        for interface in interfaces {
            for (name, value) in SYSCTLS {
                self.raise_sysctl(&sysctl_file(interface, name), value)?;
            }
        }
        for vip in self.record.bound.clone() {
            if !vips.contains(&vip) {
                self.netlink.unbind(vip)?;
                self.record.bound.remove(&vip);
            }
        }
        let new: Vec<Ipv4Addr> =
            vips.iter().copied().filter(|vip| !self.record.bound.contains(vip)).collect();
        self.record.bound.extend(&new);
        self.save()?;
        for &vip in vips {
            // One that was there before Baton belongs to the operator and stays when Baton goes.
            if !self.netlink.bind(vip)? && new.contains(&vip) {
                self.record.bound.remove(&vip);
            }
        }
        self.save()
    }

    /// Takes every recorded change back and forgets the record. Addresses go first: while they are bound, the sysctls
    /// keep the kernel quiet about them.
    ///
    /// # Errors
    ///
    /// A change cannot be taken back; the record keeps it then.
    pub fn revert(&mut self) -> Result<(), HostError> {
        while let Some(&vip) = self.record.bound.first() {
            self.netlink.unbind(vip)?;
            self.record.bound.pop_first();
        }
        while let Some((path, value)) = self.record.sysctls.first_key_value() {
            match fs::write(path, value) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(HostError::io(format!("restoring {}", path.display()))(error));
                }
                // Written, or gone together with its interface.
                Ok(()) | Err(_) => {}
            }
            self.record.sysctls.pop_first();
        }
        match fs::remove_file(&self.file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(HostError::io(format!("removing {}", self.file.display()))(error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Raises a sysctl to `value`; a stricter setting of the operator's stays.
    fn raise_sysctl(&mut self, path: &Path, value: u8) -> Result<(), HostError> {
        let what = || format!("setting {} to {value}", path.display());
        let before = fs::read_to_string(path).map_err(HostError::io(what()))?.trim().to_owned();
        if before.parse::<u8>().is_ok_and(|present| present >= value) {
            return Ok(());
        }
        self.record.sysctls.entry(path.to_owned()).or_insert(before);
        self.save()?;
        fs::write(path, value.to_string()).map_err(HostError::io(what()))
    }

    fn save(&self) -> Result<(), HostError> {
        let failed = || HostError::io(format!("writing {}", self.file.display()));
        let text = serde_json::to_string_pretty(&self.record)
            .map_err(|source| HostError::Record { path: self.file.clone(), source })?;
        let draft = self.file.with_extension("json.new");
        fs::write(&draft, text).map_err(failed())?;
        fs::rename(&draft, &self.file).map_err(failed())
    }
}

fn sysctl_file(interface: &str, name: &str) -> PathBuf {
    Path::new("/proc/sys/net/ipv4/conf").join(interface).join(name)
}
