//! A zone file cut into entries (RFC 1035 section 5.1).
//!
//! An entry ends with a line, unless that is inside parentheses or quotes. The reader gets one entry at
//! a time, so that a mistake has the line of its entry, and so that it never meets the end of the text
//! inside an entry, where it reads past its buffer.

use meridian_dns_core::TextError;

/// An entry, with the number of its first line, counted from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) line: usize,
    pub(super) text: &'a str,
}

/// The entries of a text, in order; an error for one that does not end.
pub(super) struct Entries<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Entries<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { rest: text, line: 1 }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, TextError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, Some(length)) = (self.line, length(self.rest)) else {
            let line = self.line;
            self.rest = "";
            let message = "an entry begins here whose quotes or parentheses are not closed".to_owned();
            return Some(Err(TextError { line, message }));
        };
        let (text, rest) = self.rest.split_at_checked(length)?;
        self.line += text.matches('\n').count();
        self.rest = rest;
        Some(Ok(Entry { line, text }))
    }
}

/// Octets of the first entry with the end of its line; `None` if it does not end.
fn length(text: &str) -> Option<usize> {
    let (mut quoted, mut open, mut octets) = (false, 0_usize, text.bytes().enumerate());
    while let Some((at, octet)) = octets.next() {
        match octet {
            b'\\' => {
                octets.next();
            }
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'(' => open += 1,
            // One too many is the reader's to refuse.
            b')' => open = open.saturating_sub(1),
            b';' => {
                let end = text.get(at..)?.find('\n').map_or(text.len(), |length| at + length);
                if end > at + 1 {
                    octets.nth(end - at - 2);
                }
            }
            b'\n' if open == 0 => return Some(at + 1),
            _ => {}
        }
    }
    (!quoted && open == 0).then_some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(usize, &str)]) {
        let entries: Result<Vec<_>, _> = Entries::of(text).collect();
        let entries: Vec<_> = entries
            .expect("closed")
            .iter()
            .map(|entry| (entry.line, entry.text))
            .collect();
        assert_eq!(entries, expected);
    }

    #[test]
    fn an_entry_ends_with_its_line_or_with_what_is_open_in_it() {
        check("", &[]);
        check("a\nb", &[(1, "a\n"), (2, "b")]);
        check("a (\n b\n) c\nd", &[(1, "a (\n b\n) c\n"), (4, "d")]);
        check("a \"(\" ; (\nb", &[(1, "a \"(\" ; (\n"), (2, "b")]);
        check("a \"x\ny\"\nb", &[(1, "a \"x\ny\"\n"), (3, "b")]);
        check("a \\\" \\(\nb", &[(1, "a \\\" \\(\n"), (2, "b")]);
        check(";\n;\n", &[(1, ";\n"), (2, ";\n")]);
        check("a ; x", &[(1, "a ; x")]);
        check("a ( ; )\n )\n", &[(1, "a ( ; )\n )\n")]);
    }

    #[test]
    fn what_is_not_closed_is_an_error_at_its_first_line() {
        for text in ["a\nb (\nc", "a\nb \"\nc", "a\nb ( ; )", "a\nb \"\\\""] {
            let entries: Result<Vec<_>, _> = Entries::of(text).collect();
            assert_eq!(entries.expect_err("open").line, 2, "{text}");
        }
    }
}
