//! The contract's types as aya wants them.

use aya::Pod;
use baton_common::flow::{Arm, Backend, CachedFlow, Carried, NamedBackend, Nat, Translation, Tunnel};
use baton_common::line::Line;
use baton_common::maps::{Device, DiscriminatorKey, FrontendKey, PeerKey, Router, RouterKey, VipKey};
use baton_common::ownership::{Mailbox, Ownership, Service};
use baton_common::sbfd::{Answer, Standby};

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
unsafe impl Pod for Plain<DiscriminatorKey> {}
// SAFETY: as above.
unsafe impl Pod for Plain<PeerKey> {}
// SAFETY: as above.
unsafe impl Pod for Plain<FrontendKey> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Ownership> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Mailbox> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Service> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Answer> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Standby> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Line<CachedFlow>> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Line<Translation>> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Nat> {}
// SAFETY: as above.
unsafe impl Pod for Plain<NamedBackend> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Backend> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Arm> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Carried> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Tunnel> {}
