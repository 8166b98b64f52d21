//! The little HTML and SVG that the page needs.

use std::fmt::Write as _;

/// Colours are named here and nowhere else, so that the page reads in light and in dark.
pub(super) const STYLE: &str = "\
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1c1f23; --faint: #6a7078; --line: #d8dce0; --shade: #f3f5f7; \
--s0: #0b62a8; --s1: #1d8a7a; --s2: #c2452d; --s3: #b0760a; --s4: #7b4bb3; --s5: #6b6259; --bad: #c2452d; }\n\
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --ink: #e4e7ea; --faint: #969da5; --line: #343a40; \
--shade: #1d2125; --s0: #62b0f0; --s1: #58cfb9; --s2: #f2806a; --s3: #e8b450; --s4: #b894ee; --s5: #b5aa9e; --bad: #f2806a; } }\n\
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; \
margin: 2rem auto; padding: 0 1rem; }\n\
h1 { font-size: 1.7rem; } h2 { font-size: 1.25rem; margin-top: 2.4rem; } h3 { font-size: 1rem; margin: 1.4rem 0 0; }\n\
p.note { color: var(--faint); } div.wide { overflow-x: auto; }\n\
table { border-collapse: collapse; font-size: 0.82rem; font-variant-numeric: tabular-nums; }\n\
th, td { padding: 0.2rem 0.6rem; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }\n\
td.long { white-space: normal; } th { background: var(--shade); }\n\
svg { width: 100%; height: auto; font-family: system-ui, sans-serif; font-size: 12px; }\n\
svg text { fill: var(--ink); } svg .faint { fill: var(--faint); } svg .grid { stroke: var(--line); }\n\
svg .curve { fill: none; stroke-width: 2; } svg .unfenced { stroke-dasharray: 5 4; }\n\
svg .gap { stroke: var(--bad); stroke-width: 7; opacity: 0.35; } svg .tail { stroke: var(--faint); }\n\
svg .c0 { stroke: var(--s0); } svg .c1 { stroke: var(--s1); } svg .c2 { stroke: var(--s2); } svg .c3 { stroke: var(--s3); } \
svg .c4 { stroke: var(--s4); } svg .c5 { stroke: var(--s5); }\n\
svg .f0 { fill: var(--s0); } svg .f1 { fill: var(--s1); } svg .f2 { fill: var(--s2); } svg .f3 { fill: var(--s3); } \
svg .f4 { fill: var(--s4); } svg .f5 { fill: var(--s5); }\n";

/// `text` as HTML shows it.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A table of texts; nothing without rows.
pub(super) fn table<const N: usize>(heads: [&str; N], rows: &[[String; N]]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let heads: String = heads.iter().map(|head| format!("<th>{}</th>", escape(head))).collect();
    let mut html = format!("<div class=\"wide\"><table>\n<tr>{heads}</tr>\n");
    for row in rows {
        let cell = |text: &String| {
            // Sentences may be broken, figures not.
            let class = if text.len() > 60 { " class=\"long\"" } else { "" };
            format!("<td{class}>{}</td>", escape(text))
        };
        let _ = writeln!(html, "<tr>{}</tr>", row.iter().map(cell).collect::<String>());
    }
    html + "</table></div>\n"
}

/// A section; nothing without a body.
pub(super) fn section(title: &str, note: &str, body: &str) -> String {
    if body.is_empty() {
        return String::new();
    }
    let note =
        if note.is_empty() { String::new() } else { format!("<p class=\"note\">{}</p>\n", escape(note)) };
    format!("<section>\n<h2>{}</h2>\n{note}{body}</section>\n", escape(title))
}

/// Where everything is opened, closed in order, and closed once; the elements that it finds otherwise are an error.
#[cfg(test)]
pub(super) fn check(html: &str) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    for part in html.split('<').skip(1) {
        let (tag, text) = part.split_once('>').ok_or_else(|| format!("`<{part}` has no end"))?;
        if text.contains('>') {
            return Err(format!("a bare > in `{text}`"));
        }
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        if tag.starts_with('!') || tag.ends_with('/') || name == "meta" {
            continue;
        }
        if tag.matches('"').count() % 2 != 0 {
            return Err(format!("quotes in <{tag}>"));
        }
        if !tag.starts_with('/') {
            open.push(name);
        } else if open.pop() != Some(name) {
            return Err(format!("</{name}> closes nothing"));
        }
    }
    if open.is_empty() { Ok(()) } else { Err(format!("still open: {open:?}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_no_markup() {
        let html = table(["a<b"], &[["1 > 0 & \"so\"".to_owned()]]);
        assert!(
            html.contains("<th>a&lt;b</th>") && html.contains("<td>1 &gt; 0 &amp; &quot;so&quot;</td>"),
            "{html}"
        );
        assert_eq!(check(&html), Ok(()));
    }

    #[test]
    fn the_check_finds_what_is_not_closed() {
        for bad in ["<p>", "<p></b>", "<p><b></p></b>", "<p class=\"x></p>", "</p>", "<p"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert_eq!(check("<!DOCTYPE html><p><line x=\"1\"/></p>"), Ok(()));
    }
}
