//! Text within SVG and HTML.

use std::borrow::Cow;

/// The text as it may stand between tags and in quoted attributes: it can't begin a tag, end an
/// attribute or be an entity. What XML forbids outright becomes a replacement character.
pub(in super::super) fn escape(text: &str) -> Cow<'_, str> {
    let is_plain =
        |letter: char| !matches!(letter, '&' | '<' | '>' | '"' | '\'') && is_legal(letter);
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ if is_legal(letter) => escaped.push(letter),
            _ => escaped.push(char::REPLACEMENT_CHARACTER),
        }
    }
    Cow::Owned(escaped)
}

/// The characters that XML 1.0 has.
fn is_legal(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_what_it_stands_in() {
        assert_eq!(escape("p99 µs"), "p99 µs");
        assert_eq!(
            escape("</text><script a='1' b=\"2\">&lt;\0\u{1b}\u{fffe}"),
            "&lt;/text&gt;&lt;script a=&#39;1&#39; b=&quot;2&quot;&gt;&amp;lt;\u{fffd}\u{fffd}\u{fffd}"
        );
    }
}
