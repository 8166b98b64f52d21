//! BPF instructions, as the kernel's `struct bpf_insn` lays them out: code, registers, offset, immediate. Only those that the
//! programs of the benchmark are made of.

/// Registers.
pub(super) const R0: u8 = 0;
pub(super) const R1: u8 = 1;
pub(super) const R2: u8 = 2;
pub(super) const R3: u8 = 3;
pub(super) const R4: u8 = 4;
pub(super) const R6: u8 = 6;
pub(super) const R7: u8 = 7;
pub(super) const R8: u8 = 8;
pub(super) const R9: u8 = 9;

/// How many octets a load or a store moves.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Size {
    Word = 0x00,
    Half = 0x08,
    Octet = 0x10,
    Double = 0x18,
}

/// What is done with a register of 64 bits.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Operation {
    Add = 0x07,
    Subtract = 0x17,
    Multiply = 0x27,
    Divide = 0x37,
    And = 0x57,
    ShiftLeft = 0x67,
    ShiftRight = 0x77,
    Remainder = 0x97,
    ExclusiveOr = 0xa7,
    Move = 0xb7,
}

/// The bit by which the other operand is a register.
const BY_REGISTER: u8 = 0x08;

fn instruction(code: u8, registers: (u8, u8), offset: i16, immediate: i32) -> u64 {
    let (destination, source) = registers;
    let [a, b] = offset.to_le_bytes();
    let [c, d, e, f] = immediate.to_le_bytes();
    u64::from_le_bytes([code, source << 4 | destination, a, b, c, d, e, f])
}

/// `register` by a number.
pub(super) fn by(operation: Operation, register: u8, number: i32) -> u64 {
    instruction(operation as u8, (register, 0), 0, number)
}

/// `register` by another.
pub(super) fn with(operation: Operation, register: u8, other: u8) -> u64 {
    instruction(operation as u8 | BY_REGISTER, (register, other), 0, 0)
}

/// The low half of `register` by an odd number, without the high half.
pub(super) fn multiply_low(register: u8, number: u32) -> u64 {
    instruction(0x24, (register, 0), 0, number.cast_signed())
}

/// The low `bits` of `register` in network order.
pub(super) fn to_network_order(register: u8, bits: i32) -> u64 {
    instruction(0xdc, (register, 0), 0, bits)
}

/// What stands at `place`, an address and an offset, into `register`.
pub(super) fn load(size: Size, register: u8, place: (u8, i16)) -> u64 {
    instruction(0x61 | size as u8, (register, place.0), place.1, 0)
}

/// `register` to `place`.
pub(super) fn store(size: Size, place: (u8, i16), register: u8) -> u64 {
    instruction(0x63 | size as u8, (place.0, register), place.1, 0)
}

/// A number to `place`.
pub(super) fn store_number(size: Size, place: (u8, i16), number: i32) -> u64 {
    instruction(0x62 | size as u8, (place.0, 0), place.1, number)
}

/// The map with that descriptor into `register`; two instructions.
pub(super) fn map(register: u8, descriptor: i32) -> [u64; 2] {
    [instruction(0x18, (register, 1), 0, descriptor), 0]
}

/// The address of the first value of an array map into `register`; two instructions.
pub(super) fn map_value(register: u8, descriptor: i32) -> [u64; 2] {
    [instruction(0x18, (register, 2), 0, descriptor), 0]
}

/// Goes on after so many instructions if `register` is above `other`.
pub(super) fn skip_if_above(register: u8, other: u8, instructions: i16) -> u64 {
    instruction(0x2d, (register, other), instructions, 0)
}

/// Goes on after so many instructions if `register` is not above a number.
pub(super) fn skip_unless_above(register: u8, number: i32, instructions: i16) -> u64 {
    instruction(0xb5, (register, 0), instructions, number)
}

/// Goes on after so many instructions if `register` is not a number.
pub(super) fn skip_unless(register: u8, number: i32, instructions: i16) -> u64 {
    instruction(0x55, (register, 0), instructions, number)
}

/// Calls a helper by its number.
pub(super) fn call(helper: i32) -> u64 {
    instruction(0x85, (0, 0), 0, helper)
}

/// Ends the program with what is in the first register.
pub(super) fn exit() -> u64 {
    instruction(0x95, (0, 0), 0, 0)
}
