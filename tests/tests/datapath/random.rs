//! Frames that nobody would send: whatever comes, one verdict is counted, nothing is aborted, and a host that owns
//! nothing serves nothing.

use baton_common::verdict::Verdict::{ArpAnswered, NdAnswered, VipDelivered};
use baton_tests::datapath::{Datapath, XDP_DROP, XDP_PASS, XDP_TX};
use baton_tests::frames;
use baton_tests::random::Random;

use super::setup::{Role, host};

const FRAMES: usize = 20_000;

fn judge(host: &Datapath, role: Role, index: usize, frame: &[u8]) {
    let outcome = host.receive(frame);
    let about = || format!("frame {index} at the {role:?}: {frame:02x?} -> {outcome:?}");
    assert!([XDP_DROP, XDP_PASS, XDP_TX].contains(&outcome.action), "{}", about());
    let [(&verdict, &1)] = outcome.counted.iter().collect::<Vec<_>>()[..] else { panic!("{}", about()) };
    let answers = verdict == ArpAnswered || verdict == NdAnswered;
    let serves = answers || verdict == VipDelivered;
    assert!(role == Role::Active || !serves, "{}", about());
    assert!(serves || outcome.frame == frame, "{}", about());
    assert_eq!(outcome.action == XDP_TX, answers, "{}", about());
}

/// Known frames with some octets changed, cut off or added.
#[test]
fn mutated_frames_meet_exactly_one_verdict() {
    let originals: Vec<Vec<u8>> =
        frames::all().values().map(frames::Vector::octets).filter(|frame| frame.len() >= 14).collect();
    let mut random = Random::new(0x9568);
    let (active, backup) = (host(Role::Active), host(Role::Backup));
    for index in 0..FRAMES {
        let mut frame = originals[random.below(originals.len())].clone();
        for _ in 0..=random.below(4) {
            let at = random.below(frame.len().min(64));
            frame[at] = match random.below(3) {
                0 => random.octet(),
                1 => frame[at] ^ 1 << random.below(8),
                _ => random.pick(&[0x00, 0xff, 0x81, 0x08, 0x45, 0x70]),
            };
        }
        match random.below(4) {
            0 => frame.truncate(14 + random.below(frame.len() - 13)),
            1 => frame.resize(frame.len() + random.below(64), 0xa5),
            _ => {}
        }
        judge(&active, Role::Active, index, &frame);
        judge(&backup, Role::Backup, index, &frame);
    }
}

/// Noise behind an Ethernet header that leads deeper into the program than noise would.
#[test]
fn random_frames_meet_exactly_one_verdict() {
    const TYPES: [[u8; 2]; 6] =
        [[0x08, 0x00], [0x08, 0x06], [0x81, 0x00], [0x88, 0xa8], [0x86, 0xdd], [0x91, 0x00]];
    let mut random = Random::new(0x5227);
    let (active, backup) = (host(Role::Active), host(Role::Backup));
    for index in 0..FRAMES {
        let mut frame: Vec<u8> = (0..14 + random.below(200)).map(|_| random.octet()).collect();
        let mut at = 12;
        while at + 2 <= frame.len() && random.below(8) != 0 {
            frame[at..at + 2].copy_from_slice(&random.pick(&TYPES));
            at += 4;
        }
        judge(&active, Role::Active, index, &frame);
        judge(&backup, Role::Backup, index, &frame);
    }
}
