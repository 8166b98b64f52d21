//! The BPF object that build.rs makes from the crate `ebpf`.

/// The ELF object with the XDP program, the tcx programs and the maps, aligned as a parser of ELF needs it.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("BATON_BPF_OBJECT"));
