//! What a prober saw, and its file format: three tables of little-endian integers, each behind its length.

use std::io::{self, Read, Write};

use baton::wire::Mac;

use super::Host;

/// One UDP probe and its answer. All times are CLOCK_BOOTTIME, which all namespaces of a machine share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// When it was sent; 0: never.
    pub sent_ns: u64,
    /// When the answer was seen; 0: never.
    pub answered_ns: u64,
    /// When the node's echo received it.
    pub server_ns: u64,
    /// Which node answered.
    pub node: Option<Host>,
}

impl Probe {
    /// Whether an answer came.
    pub const fn is_answered(&self) -> bool {
        self.answered_ns != 0
    }
}

/// One broadcast ARP request for the VIP and its answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArpProbe {
    /// When it was sent; 0: never.
    pub sent_ns: u64,
    /// How many answers came.
    pub answers: u64,
    /// The first answer.
    pub first: ArpAnswer,
    /// The last answer.
    pub last: ArpAnswer,
}

/// An answer to an ARP request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArpAnswer {
    /// Its Ethernet source: the device's own MAC of the node that answered.
    pub source: Mac,
    /// When it was seen.
    pub seen_ns: u64,
}

/// A gratuitous ARP for the VIP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announcement {
    /// When it was seen.
    pub seen_ns: u64,
    /// Its Ethernet source.
    pub source: Mac,
}

/// Everything that one prober saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// Distance between UDP probes, as asked for.
    pub every_ns: u64,
    /// Distance between ARP requests, as asked for.
    pub arp_every_ns: u64,
    /// The probes in the order sent.
    pub probes: Vec<Probe>,
    /// The ARP requests in the order sent.
    pub arps: Vec<ArpProbe>,
    /// The gratuitous ARPs in the order seen.
    pub announcements: Vec<Announcement>,
}

impl Recording {
    /// Writes the file.
    pub fn write_to(&self, file: &mut impl Write) -> io::Result<()> {
        write(file, [self.every_ns, self.arp_every_ns])?;
        write(file, [self.probes.len() as u64])?;
        for probe in &self.probes {
            let node = probe.node.map_or(0, Host::number);
            write(file, [probe.sent_ns, probe.answered_ns, probe.server_ns, node.into()])?;
        }
        write(file, [self.arps.len() as u64])?;
        for arp in &self.arps {
            let ArpProbe { sent_ns, answers, first, last } = *arp;
            let sources = [first, last].map(|answer| mac_number(answer.source));
            write(file, [sent_ns, answers, sources[0], first.seen_ns, sources[1], last.seen_ns])?;
        }
        write(file, [self.announcements.len() as u64])?;
        for announcement in &self.announcements {
            write(file, [announcement.seen_ns, mac_number(announcement.source)])?;
        }
        Ok(())
    }

    /// Reads what [`Recording::write_to`] wrote.
    pub fn read_from(file: &mut impl Read) -> io::Result<Self> {
        let [every_ns, arp_every_ns] = read(file)?;
        let mut recording = Self { every_ns, arp_every_ns, ..Self::default() };
        let [count] = read(file)?;
        for _ in 0..count {
            let [sent_ns, answered_ns, server_ns, node] = read(file)?;
            let node = u8::try_from(node).ok().and_then(Host::from_number);
            recording.probes.push(Probe { sent_ns, answered_ns, server_ns, node });
        }
        let [count] = read(file)?;
        for _ in 0..count {
            let [sent_ns, answers, first_source, first_ns, last_source, last_ns] = read(file)?;
            let first = ArpAnswer { source: mac(first_source), seen_ns: first_ns };
            let last = ArpAnswer { source: mac(last_source), seen_ns: last_ns };
            recording.arps.push(ArpProbe { sent_ns, answers, first, last });
        }
        let [count] = read(file)?;
        for _ in 0..count {
            let [seen_ns, source] = read(file)?;
            recording.announcements.push(Announcement { seen_ns, source: mac(source) });
        }
        Ok(recording)
    }
}

fn mac_number([a, b, c, d, e, f]: Mac) -> u64 {
    u64::from_be_bytes([0, 0, a, b, c, d, e, f])
}

fn mac(number: u64) -> Mac {
    let [_, _, a, b, c, d, e, f] = number.to_be_bytes();
    [a, b, c, d, e, f]
}

fn write<const N: usize>(file: &mut impl Write, values: [u64; N]) -> io::Result<()> {
    values.iter().try_for_each(|value| file.write_all(&value.to_le_bytes()))
}

fn read<const N: usize>(file: &mut impl Read) -> io::Result<[u64; N]> {
    let mut values = [0; N];
    for value in &mut values {
        let mut octets = [0; 8];
        file.read_exact(&mut octets)?;
        *value = u64::from_le_bytes(octets);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_survives_its_file() {
        let recording = Recording {
            every_ns: 50_000,
            arp_every_ns: 250_000,
            probes: vec![
                Probe { sent_ns: 1, answered_ns: 2, server_ns: 3, node: Some(Host::B) },
                Probe { sent_ns: 4, ..Probe::default() },
            ],
            arps: vec![ArpProbe {
                sent_ns: 5,
                answers: 2,
                first: ArpAnswer { source: [1, 2, 3, 4, 5, 6], seen_ns: 10 },
                last: ArpAnswer { source: [0xff; 6], seen_ns: 11 },
            }],
            announcements: vec![Announcement { seen_ns: 8, source: Host::A.mac() }],
        };
        let mut file = Vec::new();
        recording.write_to(&mut file).expect("a vector takes everything");
        assert_eq!(Recording::read_from(&mut file.as_slice()).expect("a whole file"), recording);
        assert!(Recording::read_from(&mut &file[..file.len() - 1]).is_err());
    }
}
