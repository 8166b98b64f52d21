//! The contract's types as aya wants them.

use aya::Pod;
use baton_common::maps::{Device, Router, RouterKey, VipKey};
use baton_common::ownership::{Mailbox, Ownership};

/// A type of the contract that may be copied to and from a map as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Plain<T>(pub T);

// SAFETY: `repr(C)`, made of integers and byte arrays, without implicit padding (its size is asserted).
unsafe impl Pod for Plain<Device> {}
// SAFETY: as above.
unsafe impl Pod for Plain<RouterKey> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Router> {}
// SAFETY: as above.
unsafe impl Pod for Plain<VipKey> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Ownership> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Mailbox> {}
