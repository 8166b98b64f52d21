//! The data plane without an interface: the object that the agent carries, under BPF_PROG_TEST_RUN. Every test loads
//! its own copy with its own maps, sets it up, puts frames in, and looks at all that comes out: the action, the
//! counters, the frame, the mailbox.

mod arp;
mod balance;
mod decap;
mod events;
mod gateway;
mod layout;
mod lease;
mod neighbour;
mod random;
mod sbfd;
mod setup;
mod tc;
mod unicast;
mod vectors;
mod version2;
mod veth;
mod vip;
mod vlan;
mod vrrp;
