//! The status as a person reads it.

use std::fmt::{self, Write};

use super::protocol::{HandoverResult, InterfaceStatus, RouterStatus, Status};

/// The text of `baton status`.
pub fn status(status: &Status) -> String {
    let mut text = format!("baton {}, process {}\n", status.version, status.pid);
    for interface in &status.interfaces {
        // Writing to a String cannot fail.
        let _ = write_interface(&mut text, interface);
        for router in status.routers.iter().filter(|router| router.interface == interface.interface) {
            let _ = write_router(&mut text, router);
        }
    }
    text
}

fn write_interface(text: &mut String, interface: &InterfaceStatus) -> fmt::Result {
    writeln!(
        text,
        "\n{}: XDP {}, {} queue(s), adverts heard by {}",
        interface.interface, interface.xdp_mode, interface.queues, interface.receive_path
    )?;
    let seen: Vec<String> = interface
        .verdicts
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(verdict, count)| format!("{verdict} {count}"))
        .collect();
    writeln!(
        text,
        "  frames by verdict: {}",
        if seen.is_empty() { "none yet".to_owned() } else { seen.join(", ") }
    )
}

fn write_router(text: &mut String, router: &RouterStatus) -> fmt::Result {
    let since = router.since_ms.map_or_else(String::new, |millis| format!(" for {}", span(millis)));
    let reason = router.reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
    let note = match (router.leaving, router.yielded) {
        (true, _) => ", serving until a successor speaks",
        (false, true) => ", handed over and not preempting",
        (false, false) => "",
    };
    writeln!(text, "  vrid {}: {}{since}{reason}{note}", router.vrid, router.role)?;
    let vips: Vec<String> = router.vips.iter().map(ToString::to_string).collect();
    writeln!(text, "    vips {} at {}", vips.join(", "), router.mac)?;
    writeln!(
        text,
        "    priority {}, interval {} ms, lease left {:.1} ms, {} takeover(s)",
        router.priority,
        u32::from(router.interval_cs) * 10,
        std::time::Duration::from_micros(router.lease_left_us).as_secs_f64() * 1000.0,
        router.epoch
    )?;
    for peer in &router.peers {
        let vips = if peer.same_vips { "" } else { ", with OTHER VIPS" };
        let standing = match peer.priority {
            0 => "left".to_owned(),
            priority => format!("priority {priority}"),
        };
        writeln!(
            text,
            "    peer {}: {standing}, heard {} ago{vips}",
            peer.address,
            span(peer.last_heard_ms)
        )?;
    }
    Ok(())
}

/// A span in the unit that suits it.
fn span(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..120_000 => format!("{} s", millis / 1_000),
        120_000..7_200_000 => format!("{} min", millis / 60_000),
        _ => format!("{} h", millis / 3_600_000),
    }
}

/// The text of `baton handover`.
pub fn handover(results: &[HandoverResult]) -> String {
    let line = |result: &HandoverResult| {
        let HandoverResult { interface, vrid, moved, detail } = result;
        let outcome = if *moved { "handed over to" } else { "not handed over:" };
        format!("{interface} vrid {vrid}: {outcome} {detail}\n")
    };
    results.iter().map(line).collect()
}
