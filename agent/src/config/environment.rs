//! Variables of the environment in the texts of `baton.toml`: `${NAME}`, `${NAME:-default}`, and `$$` for a `$`.

use std::env::VarError;

use super::document::{Map, Node, Value};
use super::findings::Findings;

/// Where variables are looked up.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Result<String, VarError>;

/// Why there is nothing to put in the place of a variable.
#[derive(Debug, PartialEq, Eq)]
struct Wrong {
    what: String,
    remedy: String,
}

/// Puts variables into all texts of a file. Of a text where that goes wrong, nothing is left to read.
pub(super) fn substitute(members: &mut Map, environment: Environment<'_>, findings: &mut Findings) {
    for member in members.values_mut() {
        substitute_in(&mut member.node, environment, findings);
    }
}

fn substitute_in(node: &mut Node, environment: Environment<'_>, findings: &mut Findings) {
    match &mut node.value {
        Value::Text(text) if text.contains('$') => {
            node.value = match expand(text, environment) {
                Ok(value) => value,
                Err(Wrong { what, remedy }) => {
                    findings.add(node.spot, what, remedy);
                    Value::Broken
                }
            };
        }
        Value::List(items) => {
            for item in items {
                substitute_in(item, environment, findings);
            }
        }
        Value::Table(members) => substitute(members, environment, findings),
        Value::Text(_)
        | Value::Substituted(_)
        | Value::Integer(..)
        | Value::Boolean(_)
        | Value::Other(_)
        | Value::Broken => {}
    }
}

/// The value that `text` spells: plain text where it names no variable.
fn expand(text: &str, environment: Environment<'_>) -> Result<Value, Wrong> {
    let (mut expanded, mut left, mut names_one) = (String::new(), text, false);
    while let Some((before, after)) = left.split_once('$') {
        expanded.push_str(before);
        left = if let Some(after) = after.strip_prefix('$') {
            expanded.push('$');
            after
        } else if let Some(after) = after.strip_prefix('{') {
            let (inside, after) = after.split_once('}').ok_or_else(|| unclosed(text))?;
            expanded.push_str(&variable(inside, environment)?);
            names_one = true;
            after
        } else {
            expanded.push('$');
            after
        };
    }
    expanded.push_str(left);
    Ok(if names_one { Value::Substituted(expanded) } else { Value::Text(expanded) })
}

/// What stands for `${inside}`. As in a shell, a default is also taken where the variable is empty.
fn variable(inside: &str, environment: Environment<'_>) -> Result<String, Wrong> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(plain) || name.as_bytes()[0].is_ascii_digit() {
        return Err(Wrong {
            what: format!("${{{inside}}} names no variable"),
            remedy: "write ${NAME} or ${NAME:-default}, with letters, digits and _, or $$ for a $".to_owned(),
        });
    }
    match (environment(name), default) {
        (Ok(value), None) => Ok(value),
        (Ok(value), Some(_)) if !value.is_empty() => Ok(value),
        (Ok(_) | Err(VarError::NotPresent), Some(default)) => Ok(default.to_owned()),
        (Err(VarError::NotPresent), None) => Err(Wrong {
            what: format!("the environment has no variable {name}"),
            remedy: format!(
                "set it where baton is started (systemd: Environment=), or write ${{{name}:-default}}, or $$ for a $"
            ),
        }),
        (Err(VarError::NotUnicode(_)), _) => Err(Wrong {
            what: format!("the variable {name} is no UTF-8 text"),
            remedy: "set it to one".to_owned(),
        }),
    }
}

fn unclosed(text: &str) -> Wrong {
    Wrong {
        what: format!("\"{text}\" has a ${{ without its }}"),
        remedy: "write ${NAME} or ${NAME:-default}, or $$ for a $".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Result<String, VarError> {
        match name {
            "VIP" => Ok("192.0.2.100".to_owned()),
            "EMPTY" => Ok(String::new()),
            "TRICKY" => Ok("${VIP}".to_owned()),
            "LATIN_1" => Err(VarError::NotUnicode("\u{e4}".into())),
            _ => Err(VarError::NotPresent),
        }
    }

    /// (text, what becomes of it, whether that came from the environment)
    #[test]
    fn variables_are_put_in_and_a_dollar_can_be_written() {
        for (text, expanded, substituted) in [
            ("no variable", "no variable", false),
            ("${VIP}", "192.0.2.100", true),
            ("a ${VIP} b ${VIP}", "a 192.0.2.100 b 192.0.2.100", true),
            ("${NONE:-10.0.0.1}", "10.0.0.1", true),
            ("${EMPTY:-10.0.0.1}", "10.0.0.1", true),
            ("${VIP:-10.0.0.1}", "192.0.2.100", true),
            ("${NONE:-}${EMPTY}", "", true),
            ("${NONE:-a:-b$}", "a:-b$", true),
            ("${TRICKY}", "${VIP}", true),
            ("$$", "$", false),
            ("$${VIP}", "${VIP}", false),
            ("$$${VIP}", "$192.0.2.100", true),
            ("$VIP costs 5$", "$VIP costs 5$", false),
        ] {
            let value = expand(text, &environment).expect(text);
            let came = matches!(value, Value::Substituted(_));
            assert_eq!((value.text(), came), (Ok(expanded), substituted), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_put_in_is_named_with_its_remedy() {
        for (text, what, remedy) in [
            ("${NONE}", "no variable NONE", "${NONE:-default}"),
            ("${VIP", "\"${VIP\" has a ${ without its }", "$$ for a $"),
            ("${}", "${} names no variable", "${NAME}"),
            ("${1ST}", "${1ST} names no variable", "${NAME}"),
            ("${A B:-c}", "${A B:-c} names no variable", "${NAME}"),
            ("${LATIN_1:-x}", "LATIN_1 is no UTF-8", "set it"),
        ] {
            let wrong = expand(text, &environment).expect_err(text);
            assert!(wrong.what.contains(what) && wrong.remedy.contains(remedy), "{text}: {wrong:?}");
        }
    }
}
