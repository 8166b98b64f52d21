//! Single values of `baton.toml`: what they must be, and what is said of those that are not.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What an interface name may hold: IFNAMSIZ less the closing zero.
const MAX_INTERFACE_NAME: usize = 15;

pub(super) fn text<'a>(value: &'a DeValue<'_>) -> Result<&'a str, String> {
    value.as_str().ok_or_else(|| format!("is of type {}, not a string", value.type_str()))
}

pub(super) fn array<'a>(value: &'a DeValue<'a>) -> Result<&'a [Spanned<DeValue<'a>>], String> {
    let array = value.as_array().map(|array| &array[..]);
    array.ok_or_else(|| format!("is of type {}, not an array", value.type_str()))
}

pub(super) fn table<'a>(value: &'a DeValue<'a>) -> Result<&'a DeTable<'a>, String> {
    value.as_table().ok_or_else(|| format!("is of type {}, not a table", value.type_str()))
}

pub(super) fn boolean(value: &DeValue<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("is of type {}, not a boolean", value.type_str()))
}

pub(super) fn number(value: &DeValue<'_>, range: RangeInclusive<u32>) -> Result<u32, String> {
    let Some(integer) = value.as_integer() else {
        return Err(format!("is of type {}, not an integer", value.type_str()));
    };
    let number = u32::from_str_radix(integer.as_str(), integer.radix()).ok();
    number.filter(|number| range.contains(number)).ok_or_else(|| format!("{integer} is out of range"))
}

/// A span of so many milliseconds.
pub(super) fn millis(value: &DeValue<'_>, range: RangeInclusive<u32>) -> Result<Duration, String> {
    number(value, range).map(|millis| Duration::from_millis(millis.into()))
}

pub(super) fn octet(value: &DeValue<'_>, range: RangeInclusive<u8>) -> Result<u8, String> {
    let wide = number(value, u32::from(*range.start())..=u32::from(*range.end()))?;
    u8::try_from(wide).map_err(|_| format!("{wide} is out of range"))
}

/// One of the words of `table`.
pub(super) fn choice<T: Copy>(value: &DeValue<'_>, table: &[(&str, T)]) -> Result<T, String> {
    let word = text(value)?;
    let found = table.iter().find(|(known, _)| *known == word);
    found.map(|&(_, meaning)| meaning).ok_or_else(|| format!("\"{word}\" is unknown"))
}

/// Relative paths would depend on where the agent was started, and each command on where it is called.
pub(super) fn absolute(value: &DeValue<'_>) -> Result<PathBuf, String> {
    let path = PathBuf::from(text(value)?);
    if path.is_absolute() { Ok(path) } else { Err(format!("\"{}\" is no absolute path", path.display())) }
}

pub(super) fn name(value: &DeValue<'_>) -> Result<String, String> {
    let name = text(value)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_name = !name.is_empty() && name.bytes().all(plain);
    if is_name {
        Ok(name.to_owned())
    } else {
        Err(format!("\"{name}\" is not a name of letters, digits, - _ ."))
    }
}

/// A program and its arguments.
pub(super) fn program(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let words = array(value)?.iter().map(|item| text(item.get_ref()).map(str::to_owned));
    let words: Vec<String> = words.collect::<Result<_, _>>()?;
    match words.first() {
        Some(program) if program.starts_with('/') => Ok(words),
        Some(program) => Err(format!("\"{program}\" is no absolute path")),
        None => Err("is empty".to_owned()),
    }
}

pub(super) fn interface(value: &DeValue<'_>) -> Result<String, String> {
    let name = text(value)?;
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'/' && byte != b':';
    if (1..=MAX_INTERFACE_NAME).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(name.to_owned());
    }
    Err(format!("\"{name}\" is not an interface name"))
}

pub(super) fn socket_address(value: &DeValue<'_>) -> Result<SocketAddr, String> {
    let text = text(value)?;
    text.parse().map_err(|_| format!("\"{text}\" is not an address with a port"))
}

/// An address that no other host reaches.
pub(super) fn loopback(value: &DeValue<'_>) -> Result<SocketAddr, String> {
    let address = socket_address(value)?;
    if address.port() == 0 {
        return Err(format!("\"{address}\" has no port"));
    }
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err(format!("\"{address}\" is no loopback address"))
    }
}

pub(super) fn vip(value: &DeValue<'_>) -> Result<IpAddr, String> {
    let text = text(value)?;
    let usable = |address: &IpAddr| {
        let of_no_host = match address {
            IpAddr::V4(address) => address.is_broadcast(),
            IpAddr::V6(address) => address.to_ipv4_mapped().is_some(),
        };
        !of_no_host && !address.is_unspecified() && !address.is_loopback() && !address.is_multicast()
    };
    let address = text.parse().ok().filter(usable);
    address.ok_or_else(|| format!("\"{text}\" is not a unicast IPv4 or IPv6 address"))
}

/// A password of VRRPv2, filled up with zeroes.
pub(super) fn password(value: &DeValue<'_>) -> Result<[u8; 8], String> {
    let text = text(value)?;
    let mut password = [0; 8];
    match password.get_mut(..text.len()) {
        Some(place) if !text.is_empty() => {
            place.copy_from_slice(text.as_bytes());
            Ok(password)
        }
        Some(_) => Err("is empty".to_owned()),
        None => Err(format!("has {} octets", text.len())),
    }
}
