//! Baton's data plane. `baton_xdp` decides for every received frame whether this host may answer it, serve it or hear
//! it; `baton_answer` looks at answers on an engine's other interfaces, `baton_ingress` and `baton_egress` do at the tcx hooks what XDP
//! cannot, and `baton_decap` runs on backends. The README of the repository shows where they stand, `baton_common` holds what they share
//! with the agent.
//!
//! ```text
//! frame -> classify -> arp | nd | vrrp | vip (balance, tunnel, nat) | sbfd | virtual MAC -> Verdict -> counter, event, action
//! ```
//!
//! Loops are bounded. The protocols are functions of their own, for together they have more on the stack than the 512 octets
//! of a program; all else is inlined, so that the verifier knows of every access where it comes from.
#![no_std]
#![no_main]
#![expect(clippy::needless_pass_by_value, reason = "aya hands a program its context by value")]

mod arp;
mod balance;
mod checksum;
mod classify;
mod decap;
mod ip;
mod lines;
mod maps;
mod nat;
mod nd;
mod packet;
mod sbfd;
mod tc;
mod tunnel;
mod vip;
mod vrrp;

use aya_ebpf::bindings::tcx_action_base::TCX_NEXT;
use aya_ebpf::bindings::{TC_ACT_SHOT, xdp_action};
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use aya_log_ebpf::debug;
use baton_common::maps::engine_socket;
use baton_common::verdict::Verdict;

use decap::Outcome;

/// Judges a received frame. Works on frames in several buffers too: all headers of interest are in the first.
#[xdp(frags)]
fn baton_xdp(ctx: XdpContext) -> u32 {
    let verdict = classify::received(&ctx);
    maps::count(verdict);
    // Ordinary traffic and the pulse between the hosts cause no events.
    if !matches!(
        verdict,
        Verdict::Other
            | Verdict::HeadersApart
            | Verdict::VipDelivered
            | Verdict::VipForwarded
            | Verdict::VipCrossed
            | Verdict::VipBalanced
            | Verdict::GatewayDelivered
            | Verdict::SbfdUp
            | Verdict::SbfdAnswer
    ) {
        report(&ctx, verdict);
    }
    if matches!(verdict, Verdict::Other | Verdict::GatewayDelivered) {
        maps::leave_to_engine(&ctx);
    }
    action(&ctx, verdict, maps::HOME)
}

/// On an arm of an engine: takes answers out of what `baton_xdp` of that interface leaves to the kernel.
#[xdp(frags)]
fn baton_answer(ctx: XdpContext) -> u32 {
    let Some((verdict, arm)) = classify::answered(&ctx) else { return xdp_action::XDP_PASS };
    maps::count(verdict);
    action(&ctx, verdict, arm)
}

/// What becomes of a frame with this verdict that came in by this arm, if the interface is one.
#[inline(always)]
fn action(ctx: &XdpContext, verdict: Verdict, arm: u32) -> u32 {
    match verdict {
        Verdict::Other
        | Verdict::LinkControl
        | Verdict::HeadersApart
        | Verdict::VrrpUnknownRouter
        | Verdict::VipDelivered
        | Verdict::GatewayDelivered => xdp_action::XDP_PASS,
        Verdict::ArpAnswered
        | Verdict::NdAnswered
        | Verdict::SbfdUp
        | Verdict::SbfdAdminDown
        | Verdict::VipForwarded => xdp_action::XDP_TX,
        Verdict::VipCrossed => xdp_action::XDP_REDIRECT,
        // Without a socket on this queue the kernel gets the advert, for the agent's raw socket.
        Verdict::VrrpReceived => maps::XSKS
            .redirect(ctx.rx_queue_index(), u64::from(xdp_action::XDP_PASS))
            .unwrap_or_else(|fallback| fallback),
        // Not to the kernel, which would reset connections that it does not know.
        Verdict::VipBalanced => maps::ENGINE_XSKS
            .redirect(engine_socket(arm, ctx.rx_queue_index()), u64::from(xdp_action::XDP_DROP))
            .unwrap_or_else(|fallback| fallback),
        Verdict::ArpNotOwner
        | Verdict::NdNotOwner
        | Verdict::VipAnnounced
        | Verdict::VrrpOwn
        | Verdict::VrrpIpHeader
        | Verdict::VrrpDestination
        | Verdict::VrrpNotPeer
        | Verdict::VrrpTtl
        | Verdict::VrrpVersion
        | Verdict::VrrpAuthentication
        | Verdict::VrrpType
        | Verdict::VrrpLength
        | Verdict::VrrpAddress
        | Verdict::VrrpInterval
        | Verdict::VrrpChecksum
        | Verdict::SbfdAnswer
        | Verdict::SbfdUnknown
        | Verdict::SbfdDiscarded
        | Verdict::VipFragment
        | Verdict::VipHeadersApart
        | Verdict::VipNotOwner
        | Verdict::VipNotAccepted
        | Verdict::VirtualMacNotOwner
        | Verdict::VirtualMacNotVip
        | Verdict::EgressArp
        | Verdict::EgressNd
        | Verdict::EgressVirtualMac => xdp_action::XDP_DROP,
    }
}

/// On a backend: takes what a node has wrapped for it out again.
#[xdp(frags)]
fn baton_decap(ctx: XdpContext) -> u32 {
    match decap::received(&ctx) {
        Outcome::Other | Outcome::Unwrapped => xdp_action::XDP_PASS,
        Outcome::Congested => xdp_action::XDP_DROP,
    }
}

/// Tells the agent's log of a frame, if the agent has set AYA_LOG_LEVEL when it loaded the program: the verifier removes what a
/// constant forbids. A function of its own, for it has much on the stack.
#[inline(never)]
fn report(ctx: &XdpContext, verdict: Verdict) {
    debug!(
        ctx,
        "verdict {} interface {} queue {}",
        verdict as u32,
        ctx.ingress_ifindex(),
        ctx.rx_queue_index()
    );
}

/// Marks frames that XDP has readdressed to this interface as frames for this host.
#[classifier]
fn baton_ingress(ctx: TcContext) -> i32 {
    tc::ingress(&ctx);
    TCX_NEXT
}

/// Keeps the host from speaking for a VIP or a virtual MAC that it does not own. Counts only what it drops.
#[classifier]
fn baton_egress(ctx: TcContext) -> i32 {
    let verdict = tc::egress(&ctx);
    if verdict == Verdict::Other {
        return TCX_NEXT;
    }
    maps::count(verdict);
    debug!(&ctx, "verdict {} length {}", verdict as u32, ctx.len());
    TC_ACT_SHOT
}

/// The verifier proves that no panic is reachable; the compiler wants a handler all the same.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Some helpers are for GPL-compatible programs.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
