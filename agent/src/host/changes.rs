//! VIPs are bound on `lo` of every node unless told otherwise, so that services can listen before they are needed, and the
//! kernel is kept from speaking for them. What was changed is recorded in `host.json`, so that another run can take it back.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::HostError;
use super::netlink::Netlink;
use super::sysctls::{self, Change};

/// What Baton has changed on this host.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Record {
    /// Interfaces that Baton's programs are on.
    interfaces: BTreeSet<String>,
    /// Addresses that Baton bound on `lo`, or binds there at times.
    bound: BTreeSet<IpAddr>,
    /// Sysctl files with the value they had before.
    sysctls: BTreeMap<PathBuf, String>,
}

/// A change that this process has made.
enum Step {
    Bound(IpAddr),
    Unbound(IpAddr),
    /// A sysctl, with the value that it had.
    Set(PathBuf, String),
}

/// The changes to the host, and the file that remembers them.
pub struct HostChanges<'a> {
    netlink: &'a Netlink,
    file: PathBuf,
    record: Record,
    /// The record as this process found it, if there was one.
    found: Option<Record>,
    /// What this process has done, in order.
    steps: Vec<Step>,
}

impl<'a> HostChanges<'a> {
    /// Reads the record in `directory`, which may be missing.
    ///
    /// # Errors
    ///
    /// The record is damaged.
    pub fn open(netlink: &'a Netlink, directory: &Path) -> Result<Self, HostError> {
        let file = directory.join("host.json");
        let found: Option<Record> = match fs::read_to_string(&file) {
            Ok(text) => Some(
                serde_json::from_str(&text)
                    .map_err(|source| HostError::Record { path: file.clone(), source })?,
            ),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(HostError::io(format!("reading {}", file.display()))(error)),
        };
        let record = found.clone().unwrap_or_default();
        Ok(Self { netlink, file, record, found, steps: Vec::new() })
    }

    /// The interfaces that an earlier run has put its programs on.
    pub fn interfaces(&self) -> impl Iterator<Item = &str> {
        self.record.interfaces.iter().map(String::as_str)
    }

    /// Remembers the interfaces that programs are about to be put on.
    ///
    /// # Errors
    ///
    /// The record cannot be written.
    pub fn record_interfaces(&mut self, interfaces: &[&str]) -> Result<(), HostError> {
        self.record.interfaces.extend(interfaces.iter().map(|&name| name.to_owned()));
        self.save()
    }

    /// Forgets an interface that programs were taken off.
    ///
    /// # Errors
    ///
    /// The record cannot be written.
    pub fn forget_interface(&mut self, interface: &str) -> Result<(), HostError> {
        self.record.interfaces.remove(interface);
        self.save()
    }

    /// Keeps the kernel quiet about addresses of `lo`, then binds `vips` there. Each change is recorded before it is made, and
    /// those that are to be made while this host is Active, to `temporary`.
    ///
    /// # Errors
    ///
    /// A sysctl cannot be written or an address not bound.
    pub fn bind(&mut self, vips: &[IpAddr], temporary: &[IpAddr]) -> Result<(), HostError> {
        for rule in &sysctls::RULES {
            for change in rule.changes()? {
                if change.before > change.value {
                    // An operator's choice, which is more than the usual 0.
                    let Change { path, before, value } = &change;
                    let path = path.display();
                    tracing::warn!(%path, before, value, "sysctl let the kernel speak for addresses of lo; set until baton is detached");
                }
                self.set_sysctl(change)?;
            }
        }
        // One that was there before Baton belongs to the operator and stays when Baton goes.
        let present = self.netlink.loopback_addresses()?;
        let missing: Vec<IpAddr> = vips.iter().copied().filter(|vip| !present.contains(vip)).collect();
        self.record.bound.extend(missing.iter().chain(temporary));
        self.save()?;
        missing.into_iter().try_for_each(|vip| {
            self.steps.push(Step::Bound(vip));
            self.netlink.bind(vip)
        })
    }

    /// Keeps the kernel from sending redirects to the hosts behind `gateways`, interfaces. Each change is recorded before it is
    /// made.
    ///
    /// # Errors
    ///
    /// A sysctl cannot be written.
    pub fn stop_redirects(&mut self, gateways: &[&str]) -> Result<(), HostError> {
        if gateways.is_empty() {
            return Ok(());
        }
        let changes = sysctls::REDIRECTS.changes_on(gateways)?;
        changes.into_iter().try_for_each(|change| self.set_sysctl(change))
    }

    /// Unbinds what an earlier run bound and is not among `vips`. To be called while the fence still knows them.
    ///
    /// # Errors
    ///
    /// The kernel refuses it; the record keeps the address then.
    pub fn unbind_others(&mut self, vips: &[IpAddr]) -> Result<(), HostError> {
        let present = self.netlink.loopback_addresses()?;
        let others: Vec<IpAddr> =
            self.record.bound.iter().copied().filter(|vip| !vips.contains(vip)).collect();
        for vip in others {
            if present.contains(&vip) {
                self.netlink.unbind(vip)?;
                self.steps.push(Step::Unbound(vip));
            }
            self.record.bound.remove(&vip);
            self.save()?;
        }
        Ok(())
    }

    /// Undoes what this process has done to addresses and sysctls, the last change first. The fence is left to the caller,
    /// who then calls [`Self::restore_record`].
    ///
    /// # Errors
    ///
    /// A change cannot be taken back.
    pub fn take_back(&mut self) -> Result<(), HostError> {
        while let Some(step) = self.steps.pop() {
            match step {
                Step::Bound(vip) => self.netlink.unbind(vip)?,
                Step::Unbound(vip) => {
                    self.record.bound.insert(vip);
                    self.save()?;
                    self.netlink.bind(vip)?;
                }
                Step::Set(path, before) => sysctls::restore(&path, &before)?,
            }
        }
        Ok(())
    }

    /// Makes the record what this process has found: everything was taken back.
    ///
    /// # Errors
    ///
    /// The file cannot be written or removed.
    pub fn restore_record(mut self) -> Result<(), HostError> {
        match self.found.take() {
            Some(found) => {
                self.record = found;
                self.save()
            }
            None => self.forget(),
        }
    }

    /// Takes addresses and sysctls back; a sysctl that somebody has changed since stays. Addresses go first: while they are
    /// bound, the sysctls keep the kernel quiet about them. The programs are left to the caller, who then calls [`Self::forget`].
    ///
    /// # Errors
    ///
    /// A change cannot be taken back; the record in the file keeps all of them then.
    pub fn revert(&mut self) -> Result<(), HostError> {
        while let Some(&vip) = self.record.bound.first() {
            self.netlink.unbind(vip)?;
            self.record.bound.pop_first();
        }
        while let Some((path, value)) = self.record.sysctls.first_key_value() {
            sysctls::restore(path, value)?;
            self.record.sysctls.pop_first();
        }
        Ok(())
    }

    /// Forgets the record: everything in it was taken back.
    ///
    /// # Errors
    ///
    /// The file cannot be removed.
    pub fn forget(self) -> Result<(), HostError> {
        match fs::remove_file(&self.file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(HostError::io(format!("removing {}", self.file.display()))(error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn set_sysctl(&mut self, change: Change) -> Result<(), HostError> {
        let Change { path, before, value } = change;
        self.steps.push(Step::Set(path.clone(), before.to_string()));
        // One that an earlier run has recorded was changed by somebody since.
        self.record.sysctls.insert(path.clone(), before.to_string());
        self.save()?;
        sysctls::write(&path, &value.to_string())
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
