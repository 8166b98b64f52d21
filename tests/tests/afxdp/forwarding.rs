//! The rings that send on what they get, and frames in several buffers.

use aya::maps::XskMap;
use baton::socket::PacketSocket;
use baton::xsk::{ForwardingRing, Queues, Received};
use baton_common::maps::{ENGINE_XSKS, engine_socket};
use baton_tests::datapath::Datapath;
use baton_tests::frames;
use baton_tests::network::{Hears, Listener, ip};
use nix::net::if_::if_nametoindex;

use super::{QUEUES, SENDER, data_plane, eventually, network, next_from};

fn forwarding_rings(host: &mut Datapath) -> Vec<ForwardingRing> {
    let map = host.bpf_mut().map_mut(ENGINE_XSKS).expect("the map");
    let mut map = XskMap::try_from(map).expect("an XSKMAP");
    (0..QUEUES)
        .map(|queue| {
            let ring = ForwardingRing::open(&[Queues { interface: "far", numbers: vec![queue] }]);
            let ring = ring.expect("AF_XDP");
            for (arm, queue, socket) in ring.sockets() {
                let place = engine_socket(u32::try_from(arm).expect("few"), queue);
                map.set(place, socket, 0).expect("room in the map");
            }
            ring
        })
        .collect()
}

/// A frame for the service that has so many octets, unlike others with other numbers.
fn numbered(length: usize, number: usize) -> Vec<u8> {
    let mut frame = frames::octets("lb-tcp-syn-vip");
    let octets = number.to_le_bytes().into_iter().cycle();
    frame.extend(
        octets.zip(0..=u8::MAX).map(|(octet, place)| octet ^ place).cycle().take(length - frame.len()),
    );
    frame
}

/// Has both ends take frames of 9000 octets, and answers with the rings and what sends to them.
fn large_network(host: &mut Option<Datapath>) -> (Vec<ForwardingRing>, PacketSocket) {
    network();
    let host = host.insert(data_plane());
    ip("link set near mtu 9000");
    ip("link set far mtu 9000");
    let near = PacketSocket::open(if_nametoindex("near").expect("the interface")).expect("a packet socket");
    (forwarding_rings(host), near)
}

/// Lengths around what one buffer holds, and two, with and without 40 octets more.
#[test]
fn a_forwarded_frame_leaves_as_it_was_made_in_however_many_buffers_it_is() {
    let mut host = None;
    let (mut rings, near) = large_network(&mut host);
    let ear = Listener::open("near", Hears::Everything).expect("a packet socket");
    let lengths = [60, 3800, 3801, 3839, 3840, 3841, 7640, 7641, 7680, 7681, 8974];
    let head: Vec<u8> = (0..54).collect();
    let head = frames::with(&head, 6, &SENDER);
    // Of one, two and three buffers by turns.
    for number in 0..1100 {
        let length = lengths[number % lengths.len()];
        let frame = numbered(length, number);
        let (expected, make): (_, fn(&mut Received<'_>, &[u8]) -> bool) = match number / lengths.len() % 4 {
            0 => (Some(frames::with(&frame, 6, &SENDER)), |frame, _| {
                frame[6..12].copy_from_slice(&SENDER);
                true
            }),
            1 => (Some([&head, &frame[14..]].concat()), |frame, head| frame.replace_head(14, head)),
            2 => (Some(head.clone()), |frame, head| frame.replace(head)),
            _ => (None, |_, _| false),
        };
        near.transmit(&frame).expect("near is up");
        let mut handle = |received: &mut Received<'_>| {
            assert_eq!(received.len() + received.behind(), length, "frame {number}");
            make(received, &head).then_some(0)
        };
        eventually("no frame in any ring", || {
            rings.iter_mut().any(|ring| ring.forward(|batch| batch.sort(&mut handle)) > 0).then_some(())
        });
        if let Some(expected) = expected {
            assert!(eventually("nothing arrived", || next_from(&ear, SENDER)) == expected, "frame {number}");
        }
    }
}

/// Of three buffers each, so that no number of frames ends where a batch does.
#[test]
fn a_batch_has_whole_frames_however_many_have_arrived() {
    let mut host = None;
    let (mut rings, near) = large_network(&mut host);
    let sent: Vec<_> = (0..100).map(|number| numbered(9014, number)).collect();
    sent.iter().for_each(|frame| near.transmit(frame).expect("near is up"));
    let mut arrived = Vec::new();
    eventually("not all have arrived", || {
        for ring in &mut rings {
            ring.forward(|batch| {
                let lengths: Vec<_> = batch.frames().map(|(first, behind)| first.len() + behind).collect();
                assert_eq!(lengths, vec![9014; lengths.len()]);
                batch.sort(|frame| {
                    arrived.push(frame.to_vec());
                    None
                });
            });
        }
        (arrived.len() >= sent.len()).then_some(())
    });
    // Queues know of no order among them.
    arrived.sort();
    let mut expected: Vec<_> = sent.iter().map(|frame| frame[..3840].to_vec()).collect();
    expected.sort();
    assert!(arrived == expected);
}
