//! What is legal in a configuration and probably not meant: on another host, or with other words, it may be right. Each comes
//! with its place and a remedy, as mistakes do.

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::if_nametoindex;
use nix::unistd::User;
use serde_json::Value as Json;

use crate::address;
use crate::config::{Config, Object, Problem};
use crate::host::forwarding;

/// All that is suspicious in `config` on this host, in the order of its objects.
pub fn review(config: &Config) -> Vec<Problem> {
    let suspect = |object| {
        [
            no_interface(object),
            no_source(object),
            slow_by_default(object),
            no_forwarding(object),
            unused(object, config),
            no_program(object),
            no_user(object),
        ]
    };
    config.objects.iter().flat_map(suspect).flatten().collect()
}

/// An interface that this host does not have.
fn no_interface(object: &Object) -> Option<Problem> {
    let name = text(object, "interface")?;
    let is_missing = if_nametoindex(name).is_err();
    is_missing.then(|| {
        let remedy = "write one that `ip link` shows, or make it before baton starts";
        problem(object, "interface", format!("there is no interface {name} on this host"), remedy)
    })
}

/// A source that an interface of this host does not have.
fn no_source(object: &Object) -> Option<Problem> {
    let (source, interface) = (text(object, "source")?, text(object, "interface")?);
    let wanted: IpAddr = source.parse().ok()?;
    let present: Vec<InterfaceAddress> =
        getifaddrs().ok()?.filter(|present| present.interface_name == interface).collect();
    let is_missing = !present.is_empty() && !present.iter().filter_map(address_of).any(|ip| ip == wanted);
    is_missing.then(|| {
        let remedy =
            "add it with `ip address add`, or write one that `ip address show` shows for the interface";
        problem(object, "source", format!("{interface} has no address {source}"), remedy)
    })
}

fn address_of(present: &InterfaceAddress) -> Option<IpAddr> {
    let address = present.address.as_ref()?;
    let ipv4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    ipv4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

/// An Advertisement_Interval that nobody has chosen.
fn slow_by_default(object: &Object) -> Option<Problem> {
    let is_unsaid = object.kind == "router" && object.settings.get("interval_ms")?.place.is_none();
    is_unsaid.then(|| {
        let what = "interval_ms is not written: peers other than Baton notice silence after more than 3 s"
            .to_owned();
        problem(
            object,
            "interval_ms",
            what,
            "write interval_ms = 10, or 1000 if that is meant, the same on all nodes",
        )
    })
}

/// A gateway whose host routes nothing.
fn no_forwarding(object: &Object) -> Option<Problem> {
    let interface = text(object, "interface").filter(|_| text(object, "delivery") == Some("gateway"))?;
    let vip = object.settings.get("vips")?.value.get(0)?.as_str()?.parse().ok()?;
    let sysctl = forwarding::missing(interface, address::family(vip))?;
    let what = format!("delivery is \"gateway\", but the kernel routes nothing from {interface}");
    Some(problem(object, "delivery", what, &format!("set {sysctl}=1, and in /etc/sysctl.d too")))
}

/// A tracker on which no virtual router depends.
fn unused(object: &Object, config: &Config) -> Option<Problem> {
    let index =
        config.trackers.iter().position(|tracker| object.kind == "track" && tracker.name == object.name)?;
    let is_unused = !config.routers.iter().any(|router| router.trackers.contains(&index));
    is_unused.then(|| {
        let what = format!("no virtual router depends on tracker {}", object.name);
        problem(object, "name", what, "name it in `track` of a [[router]], or remove it")
    })
}

/// A program that cannot be run.
fn no_program(object: &Object) -> Option<Problem> {
    let program = object.settings.get("exec")?.value.get(0)?.as_str()?;
    let (what, remedy) = match std::fs::metadata(program) {
        Err(error) => (format!("{program} cannot be run: {error}"), "install it, or mend its path"),
        Ok(found) if !found.is_file() => (format!("{program} is no program"), "write the path of a program"),
        Ok(found) if found.permissions().mode() & 0o111 == 0 => {
            (format!("{program} is not executable"), "`chmod +x` it, or run it by its interpreter")
        }
        Ok(_) => return None,
    };
    Some(problem(object, "exec", what, remedy))
}

/// A user that this host does not have.
fn no_user(object: &Object) -> Option<Problem> {
    let name = text(object, "user")?;
    // What cannot be looked up is not suspicious.
    let is_missing = matches!(User::from_name(name), Ok(None));
    is_missing.then(|| {
        let remedy = "add it with `useradd --system`, or write another";
        problem(object, "user", format!("there is no user {name} on this host"), remedy)
    })
}

fn text<'a>(object: &'a Object, key: &str) -> Option<&'a str> {
    object.settings.get(key).map(|setting| &setting.value).and_then(Json::as_str)
}

/// A problem with the value of `key`, or with its absence.
fn problem(object: &Object, key: &str, what: String, remedy: &str) -> Problem {
    let place = object.settings.get(key).and_then(|setting| setting.place.as_ref());
    Problem { place: place.unwrap_or(&object.place).clone(), what, remedy: remedy.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn reviewed(name: &str, text: &str) -> Vec<String> {
        let path = std::env::temp_dir().join(format!("baton-review-{name}-{}.toml", std::process::id()));
        fs::write(&path, text).expect("written");
        let config = Config::load(&path);
        fs::remove_file(&path).expect("it is there");
        let said = review(&config.expect("valid"));
        said.iter().map(|p| format!("{}:{}: {}", p.place.line, p.place.column, p.what)).collect()
    }

    #[test]
    fn what_fits_this_host_and_is_used_is_not_suspicious() {
        let text = "[[router]]\ninterface = \"lo\"\nvrid = 1\nvips = [\"192.0.2.1\"]\ninterval_ms = 1000\ntrack = [\"a\"]\n\
                    [[track]]\nname = \"a\"\nexec = [\"/bin/sh\", \"-c\", \"true\"]\nuser = \"root\"\n\
                    [[hook]]\nexec = [\"/bin/sh\"]\n";
        assert_eq!(reviewed("sound", text), Vec::<String>::new());
    }

    #[test]
    fn what_is_legal_and_probably_not_meant_is_named_with_its_place() {
        let text = "[[router]]\ninterface = \"none7\"\nvrid = 1\nvips = [\"192.0.2.1\"]\n\
                    [[track]]\nname = \"a\"\nexec = [\"/no/such\"]\nuser = \"no-such-user\"\n\
                    [[hook]]\nexec = [\"/etc/passwd\"]\n[[hook]]\nexec = [\"/etc\"]\n\
                    [[router]]\ninterface = \"lo\"\nvrid = 2\nvips = [\"192.0.2.2\"]\ninterval_ms = 10\nsource = \"192.0.2.3\"\n";
        let expected = [
            "2:13: there is no interface none7 on this host",
            "1:1: interval_ms is not written: peers other than Baton notice silence after more than 3 s",
            "18:10: lo has no address 192.0.2.3",
            "6:8: no virtual router depends on tracker a",
            "7:8: /no/such cannot be run: No such file or directory (os error 2)",
            "8:8: there is no user no-such-user on this host",
            "10:8: /etc/passwd is not executable",
            "12:8: /etc is no program",
        ];
        assert_eq!(reviewed("odd", text), expected);
    }
}
