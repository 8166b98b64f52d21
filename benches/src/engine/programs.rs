//! The programs of the benchmark: what makes frames, what sends them back, what hands them to an AF_XDP socket, and what takes
//! the time that they were on their way.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;
use baton::wire::Mac;
use baton_tests::program::{Kind, MapKind, NumberMap, Program};

use super::assembler::{
    Operation, R0, R1, R2, R3, R4, R6, R7, R8, R9, Size, by, call, exit, load, map, map_value, multiply_low,
    skip_if_above, skip_unless, skip_unless_above, store, store_number, to_network_order, with,
};

/// Services at one address, and the first of their ports.
pub(super) const PORTS: u16 = 100;
pub(super) const FIRST_PORT: u16 = 8000;
/// The first address that has services.
pub(super) const FIRST_VIP: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// Where flows come from: each address has so many, a power of two.
const FIRST_CLIENT: Ipv4Addr = Ipv4Addr::new(198, 19, 0, 1);
const CLIENT_PORTS_BITS: i32 = 15;
const FIRST_CLIENT_PORT: i32 = 1024;

/// 2^32 by the golden ratio: multiples of it visit all flows evenly, and neighbours in time are none in any table.
const GOLDEN: u32 = 0x9e37_79b1;

/// How late a frame may be made.
const LATE_NS: i32 = 100_000;

/// Numbers of helpers.
const NOW: i32 = 5;
const REDIRECT: i32 = 23;
const REDIRECT_MAP: i32 = 51;
/// Verdicts.
const DROP: i32 = 1;
const TRANSMIT: i32 = 3;

/// Offsets in an IPv4 frame.
const IP: usize = 14;
const UDP: usize = 34;
const STAMP_AT: i16 = 42;
const HEADERS: i32 = 50;

/// What a generator makes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traffic {
    /// Octets of a frame, without the checksum that a wire would add.
    pub(super) frame: u16,
    /// Different flows, visited by turns in a scattered order.
    pub(super) flows: u32,
    /// Services that they are spread over.
    pub(super) services: u16,
    /// The least from one frame to the next; 0 for as fast as the CPU can.
    pub(super) interval_ns: i32,
}

/// The frame that a generator fills in, and the program that does it.
#[derive(Debug)]
pub(super) struct Generator {
    pub(super) program: Program,
    pub(super) frame: Vec<u8>,
    /// Frames that go together; 0 leaves that to the kernel.
    pub(super) batch: u32,
    /// How many frames were made, when the next is due, and when the last and the first were made.
    state: NumberMap,
}

/// The octets of what a generator remembers.
const STATE: usize = 4 * size_of::<u64>();

impl Generator {
    /// What makes `traffic` from `source` to `target` and sends it out at the interface with index `port`. The program writes all
    /// of the headers, for frames come back changed.
    pub(super) fn load(traffic: Traffic, source: Mac, target: Mac, port: u32) -> Result<Self> {
        let frame = template(traffic.frame);
        let state = NumberMap::create(MapKind::Array, STATE, 1)?;
        let sum: u32 =
            frame[IP..UDP].chunks(2).map(|pair| u32::from(u16::from_ne_bytes([pair[0], pair[1]]))).sum();
        let program =
            instructions(traffic, (source, target), port.cast_signed(), (&state, sum.cast_signed()));
        // One that waits for its time is not held back by those that are not due.
        let batch = if traffic.interval_ns > 0 { 8 } else { 0 };
        Ok(Self { program: Program::load(Kind::Xdp, &program)?, frame, batch, state })
    }

    /// How many frames it has made, and how long that took.
    pub(super) fn made(&self) -> Result<(u64, Duration)> {
        let mut state = [0; STATE / size_of::<u64>()];
        self.state.read(&mut state)?;
        let [frames, _, last_ns, first_ns] = state;
        Ok((frames, Duration::from_nanos(last_ns - first_ns)))
    }
}

/// A datagram without addresses, ports and checksum of the header.
fn template(length: u16) -> Vec<u8> {
    let mut frame = vec![0; usize::from(length)];
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    frame[14..24].copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17]);
    frame[16..18].copy_from_slice(&(length - 14).to_be_bytes());
    frame[38..40].copy_from_slice(&(length - 34).to_be_bytes());
    frame
}

fn instructions(
    traffic: Traffic,
    (source, target): (Mac, Mac),
    port: i32,
    (state, sum): (&NumberMap, i32),
) -> Vec<u64> {
    use Operation::{
        Add, And, Divide, ExclusiveOr, Move, Multiply, Remainder, ShiftLeft, ShiftRight, Subtract,
    };
    let clock = [
        call(NOW),
        load(Double, R8, (R7, 8)),
        skip_if_above(R0, R8, 2),
        by(Move, R0, DROP),
        exit(),
        // The next is due an interval later; what could not be made for long never is.
        by(Add, R8, traffic.interval_ns),
        with(Move, R4, R0),
        by(Subtract, R4, LATE_NS),
        skip_if_above(R8, R4, 1),
        with(Move, R8, R4),
        store(Double, (R7, 8), R8),
    ];
    use Size::{Double, Half, Word};
    let word = |octets: &[u8]| i32::from_ne_bytes([octets[0], octets[1], octets[2], octets[3]]);
    let half = |octets: &[u8]| i32::from(u16::from_ne_bytes([octets[0], octets[1]]));
    let address = |address: Ipv4Addr| u32::from(address).cast_signed();
    let body = [
        // Whether it is time for one. What the registers hold is lost in the call, but for the higher ones.
        &map_value(R7, state.descriptor())[..],
        &[with(Move, R6, R2)],
        &clock,
        &[
            with(Move, R2, R6),
            store(Double, (R2, STAMP_AT), R0),
            store(Double, (R7, 16), R0),
            load(Double, R4, (R7, 24)),
            skip_unless(R4, 0, 1),
            store(Double, (R7, 24), R0),
            // The number of the frame, and from it that of its flow.
            load(Double, R8, (R7, 0)),
            with(Move, R9, R8),
            by(Add, R9, 1),
            store(Double, (R7, 0), R9),
            multiply_low(R8, GOLDEN),
            by(Multiply, R8, traffic.flows.cast_signed()),
            by(ShiftRight, R8, 32),
            store_number(Word, (R2, 0), word(&target)),
            store_number(Half, (R2, 4), half(&target[4..])),
            store_number(Word, (R2, 6), word(&source)),
            store_number(Half, (R2, 10), half(&source[4..])),
            // What was wrapped has had an address of the outer header there.
            store_number(Half, (R2, 12), half(&[0x08, 0x00])),
            store_number(Half, (R2, 22), half(&[64, 17])),
            // The service of the flow.
            with(Move, R9, R8),
            by(Remainder, R9, i32::from(traffic.services)),
            with(Move, R0, R9),
            by(Divide, R9, i32::from(PORTS)),
            by(Remainder, R0, i32::from(PORTS)),
            by(Add, R9, address(FIRST_VIP)),
            to_network_order(R9, 32),
            by(Add, R0, i32::from(FIRST_PORT)),
            to_network_order(R0, 16),
            store(Word, (R2, 30), R9),
            store(Half, (R2, 36), R0),
            // Its client.
            with(Move, R7, R8),
            by(ShiftRight, R8, CLIENT_PORTS_BITS),
            by(Add, R8, address(FIRST_CLIENT)),
            to_network_order(R8, 32),
            by(And, R7, (1 << CLIENT_PORTS_BITS) - 1),
            by(Add, R7, FIRST_CLIENT_PORT),
            to_network_order(R7, 16),
            store(Word, (R2, 26), R8),
            store(Half, (R2, 34), R7),
            // The sum of halves in whatever order is that of the header, in the same.
            by(Move, R0, sum),
        ],
        &[R8, R9]
            .map(|address| {
                [
                    with(Move, R4, address),
                    by(And, R4, 0xffff),
                    with(Add, R0, R4),
                    by(ShiftLeft, address, 32),
                    by(ShiftRight, address, 48),
                    with(Add, R0, address),
                ]
            })
            .concat(),
        &[
            with(Move, R4, R0),
            by(ShiftRight, R4, 16),
            by(And, R0, 0xffff),
            with(Add, R0, R4),
            with(Move, R4, R0),
            by(ShiftRight, R4, 16),
            with(Add, R0, R4),
            by(ExclusiveOr, R0, 0xffff),
            store(Half, (R2, 24), R0),
            // No checksum of the datagram.
            store_number(Half, (R2, 40), 0),
            by(Move, R1, port),
            by(Move, R2, 0),
            call(REDIRECT),
            exit(),
        ],
    ]
    .concat();
    within_frame(HEADERS, &body)
}

/// A program that has the frame in R2 for `body`, which ends it, and drops one that is shorter than `length`.
fn within_frame(length: i32, body: &[u64]) -> Vec<u64> {
    use Operation::{Add, Move};
    let end = i16::try_from(body.len()).unwrap_or(i16::MAX);
    let head = [
        load(Size::Word, R2, (R1, 0)),
        load(Size::Word, R3, (R1, 4)),
        with(Move, R4, R2),
        by(Add, R4, length),
        skip_if_above(R4, R3, end),
    ];
    [&head, body, &[by(Move, R0, DROP), exit()]].concat()
}

/// What sends every frame back to where it came from: the least that a balancer in XDP can do.
pub(super) fn reflector() -> Result<Program> {
    use Size::{Half, Word};
    let places = [(Word, 0, 6), (Half, 4, 10)];
    let swap = |(size, one, other): (Size, i16, i16)| {
        [
            load(size, R7, (R2, one)),
            load(size, R8, (R2, other)),
            store(size, (R2, one), R8),
            store(size, (R2, other), R7),
        ]
    };
    let body = [&places.map(swap).concat()[..], &[by(Operation::Move, R0, TRANSMIT), exit()]].concat();
    Program::load(Kind::Xdp, &within_frame(14, &body))
}

/// How long frames were on their way, in steps of [`STEP_NS`] and with one place for all that took longer.
pub(super) const STEPS: usize = 16_384;
pub(super) const STEP_NS: u64 = 64;
const STEP_BITS: i32 = 6;
/// Where a datagram says that it is one.
const PROTOCOL: i16 = 23;
const UDP_PROTOCOL: i32 = 17;

/// What drops every frame and counts, in a map with a value of [`STEPS`] numbers, how long it was on its way.
pub(super) fn clock(times: &NumberMap) -> Result<Program> {
    use Operation::{Add, Move, ShiftLeft, ShiftRight, Subtract};
    let last = i32::try_from(STEPS)? - 1;
    let count = [
        &map_value(R7, times.descriptor())[..],
        &[
            load(Size::Double, R6, (R2, STAMP_AT)),
            call(NOW),
            with(Subtract, R0, R6),
            by(ShiftRight, R0, STEP_BITS),
            skip_unless_above(R0, last, 1),
            by(Move, R0, last),
            by(ShiftLeft, R0, 3),
            with(Add, R7, R0),
            load(Size::Double, R8, (R7, 0)),
            by(Add, R8, 1),
            store(Size::Double, (R7, 0), R8),
        ],
    ]
    .concat();
    let is_datagram =
        [load(Size::Octet, R8, (R2, PROTOCOL)), skip_unless(R8, UDP_PROTOCOL, i16::try_from(count.len())?)];
    let body = [&is_datagram[..], &count, &[by(Move, R0, DROP), exit()]].concat();
    Program::load(Kind::Xdp, &within_frame(HEADERS, &body))
}

/// What hands every frame to the socket of its receive queue in `sockets`.
pub(super) fn to_sockets(sockets: &NumberMap) -> Result<Program> {
    let queue = load(Size::Word, R2, (R1, 16));
    let rest = [by(Operation::Move, R3, DROP), call(REDIRECT_MAP), exit()];
    Program::load(Kind::Xdp, &[&[queue][..], &map(R1, sockets.descriptor()), &rest].concat())
}
