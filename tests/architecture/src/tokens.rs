//! Source text as words, literals and marks: as much of the language as the rules need.
//!
//! What must stay true: a word in a comment or a literal is never a [`Kind::Word`], and a word in code
//! always is, so that a rule about `SystemTime` neither fires on a sentence nor misses a use.
//!
//! Not understood, and not needed here: macros that build paths, and names changed by `use .. as ..`
//! (the path that is imported is seen; what is done with the new name is not).

/// One piece of source text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its line, from 1.
    pub line: usize,
    /// What it is.
    pub kind: Kind,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// An identifier, a keyword or a number.
    Word(String),
    /// The content of a string literal, as written.
    Text(String),
    /// Any other character that is not white space.
    Mark(char),
}

impl Token {
    fn is(&self, mark: char) -> bool {
        self.kind == Kind::Mark(mark)
    }

    fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            _ => None,
        }
    }
}

/// A `mod name;`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// The name.
    pub name: String,
    /// The inline modules around it, outermost first.
    pub inside: Vec<String>,
    /// What a `#[path = ".."]` before it says.
    pub path: Option<String>,
}

/// All tokens of a file.
pub fn tokens(source: &str) -> Vec<Token> {
    let text: Vec<char> = source.chars().collect();
    let at = |index: usize| text.get(index).copied().unwrap_or('\0');
    let (mut found, mut line, mut here) = (Vec::new(), 1, 0);
    while here < text.len() {
        let (start, first_line) = (here, line);
        let mut kind = None;
        if at(here) == '/' && at(here + 1) == '/' {
            here = until(&text, here, |index| at(index) == '\n');
        } else if at(here) == '/' && at(here + 1) == '*' {
            here = end_of_block_comment(&text, here);
        } else if let Some((open, hashes)) = raw_string(&text, here) {
            let closes = |index: usize| at(index) == '"' && (1..=hashes).all(|offset| at(index + offset) == '#');
            let close = until(&text, open, closes);
            kind = Some(Kind::Text(text[open..close].iter().collect()));
            here = close + 1 + hashes;
        } else if at(here) == '"' {
            let close = end_of_string(&text, here + 1);
            kind = Some(Kind::Text(text[here + 1..close].iter().collect()));
            here = close + 1;
        } else if at(here) == '\'' && at(here + 1) == '\\' {
            here = until(&text, here + 3, |index| at(index) == '\'') + 1;
        } else if at(here) == '\'' && at(here + 2) == '\'' {
            here += 3;
        } else if is_word(at(here)) {
            here = until(&text, here, |index| !is_word(at(index)));
            kind = Some(Kind::Word(text[start..here].iter().collect()));
        } else {
            if !at(here).is_whitespace() {
                kind = Some(Kind::Mark(at(here)));
            }
            here += 1;
        }
        here = here.min(text.len());
        line += text[start..here].iter().filter(|c| **c == '\n').count();
        found.extend(kind.map(|kind| Token { line: first_line, kind }));
    }
    found
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The first index from `start` at which `stop` holds, or the end.
fn until(text: &[char], start: usize, stop: impl Fn(usize) -> bool) -> usize {
    (start..text.len()).find(|index| stop(*index)).unwrap_or(text.len())
}

fn end_of_block_comment(text: &[char], start: usize) -> usize {
    let (mut depth, mut here) = (0, start);
    while here + 1 < text.len() {
        match (text[here], text[here + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                here += 1;
                continue;
            }
        }
        here += 2;
        if depth == 0 {
            return here;
        }
    }
    text.len()
}

fn end_of_string(text: &[char], start: usize) -> usize {
    let mut here = start;
    while here < text.len() && text[here] != '"' {
        here += if text[here] == '\\' { 2 } else { 1 };
    }
    here.min(text.len())
}

/// Where the content of a raw string starts and how many `#` close it, if one starts here.
fn raw_string(text: &[char], start: usize) -> Option<(usize, usize)> {
    if start > 0 && is_word(text[start - 1]) {
        return None;
    }
    let mut here = start;
    if matches!(text[here], 'b' | 'c') {
        here += 1;
    }
    if text.get(here) != Some(&'r') {
        return None;
    }
    let quote = until(text, here + 1, |index| text[index] != '#');
    (text.get(quote) == Some(&'"')).then_some((quote + 1, quote - here - 1))
}

/// How many lines have code on them: neither blank nor comment only.
pub fn lines_of_code(source: &str) -> usize {
    let mut lines: Vec<usize> = tokens(source).iter().map(|token| token.line).collect();
    lines.dedup();
    lines.len()
}

/// The modules a file has in other files.
pub fn modules(tokens: &[Token]) -> Vec<Module> {
    let (mut found, mut path) = (Vec::new(), None);
    // One entry per open brace; `Some` for those of inline modules.
    let mut open: Vec<Option<String>> = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let before = |count: usize| index.checked_sub(count).map(|index| &tokens[index]);
        let name = match (before(2).and_then(Token::word), before(1).and_then(Token::word)) {
            (Some("mod"), Some(name)) => Some(name.to_owned()),
            _ => None,
        };
        match &token.kind {
            Kind::Text(text) if before(2).and_then(Token::word) == Some("path") => path = Some(text.clone()),
            Kind::Mark('{') => open.push(name),
            Kind::Mark('}') => {
                open.pop();
            }
            Kind::Mark(';') => {
                if let Some(name) = name {
                    let inside = open.iter().flatten().cloned().collect();
                    let path = path.take();
                    found.push(Module { name, inside, path });
                }
            }
            _ => continue,
        }
        if matches!(token.kind, Kind::Mark(_)) {
            path = None;
        }
    }
    found
}

/// Every path in a file, with its line; the groups of a `use` are written out.
pub fn paths(tokens: &[Token]) -> Vec<(usize, String)> {
    let (mut found, mut here) = (Vec::new(), 0);
    while here < tokens.len() {
        here = path_at(tokens, here, "", &mut found);
    }
    found
}

/// Reads the path that starts at `here`, if one does; returns where to go on.
fn path_at(tokens: &[Token], here: usize, prefix: &str, found: &mut Vec<(usize, String)>) -> usize {
    let Some(word) = tokens[here].word() else {
        return here + 1;
    };
    let line = tokens[here].line;
    let mut path = match (prefix, word) {
        ("", word) => word.to_owned(),
        (prefix, "self") => prefix.to_owned(),
        (prefix, word) => format!("{prefix}::{word}"),
    };
    let mut here = here + 1;
    let separated = |here: usize| {
        tokens
            .get(here..here + 2)
            .is_some_and(|two| two.iter().all(|token| token.is(':')))
    };
    while separated(here) {
        match tokens.get(here + 2) {
            Some(token) if token.is('{') => return group_at(tokens, here + 3, &path, found),
            Some(token) => match token.word() {
                Some(word) => path = format!("{path}::{word}"),
                None => break,
            },
            None => break,
        }
        here += 3;
    }
    found.push((line, path));
    here
}

/// Reads the rest of a `{..}` in a `use`; returns where to go on.
fn group_at(tokens: &[Token], mut here: usize, prefix: &str, found: &mut Vec<(usize, String)>) -> usize {
    let mut item_starts = true;
    while here < tokens.len() && !tokens[here].is('}') {
        if item_starts && tokens[here].word().is_some() {
            here = path_at(tokens, here, prefix, found);
            item_starts = false;
        } else {
            item_starts |= tokens[here].is(',');
            here += 1;
        }
    }
    here + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        tokens(source)
            .iter()
            .filter_map(|token| token.word().map(str::to_owned))
            .collect()
    }

    fn all_paths(source: &str) -> Vec<String> {
        paths(&tokens(source)).into_iter().map(|(_, path)| path).collect()
    }

    #[test]
    fn comments_and_literals_are_not_words() {
        assert_eq!(words("a // b\n/* c /* d */ e */ f"), ["a", "f"]);
        assert_eq!(words(r##"a("b \" c", r#"d " e"#, br"f") g"##), ["a", "g"]);
        assert_eq!(
            words(r"fn f<'a>(x: &'a str) { '\'' 'b' '\u{1F600}' } g"),
            ["fn", "f", "a", "x", "a", "str", "g"]
        );
        assert_eq!(words("\"never closed"), [""; 0]);
    }

    #[test]
    fn lines_are_counted_across_literals_and_comments() {
        let found = tokens("/*\n*/ a \"\n\n\" b\nc");
        let lines: Vec<usize> = found.iter().map(|token| token.line).collect();
        assert_eq!(lines, [2, 2, 4, 5]);
        assert_eq!(lines_of_code("//! doc\n\nfn f() {\n    // nothing\n}\n"), 2);
    }

    #[test]
    fn modules_are_those_in_other_files() {
        let source =
            "mod a; // mod b;\npub(crate) mod c { mod d; }\n#[cfg(test)]\n#[path = \"x.rs\"]\nmod e; mod f {} mod g;";
        let found: Vec<_> = modules(&tokens(source))
            .into_iter()
            .map(|module| {
                format!(
                    "{} {} {}",
                    module.inside.join("/"),
                    module.name,
                    module.path.unwrap_or_default()
                )
            })
            .collect();
        assert_eq!(found, [" a ", "c d ", " e x.rs", " g "]);
    }

    #[test]
    fn groups_of_a_use_are_written_out() {
        assert_eq!(
            all_paths("use std::{fs, net::{self, TcpStream as T}, env::*}; x"),
            ["use", "std::fs", "std::net", "std::net::TcpStream", "std::env", "x"]
        );
        assert_eq!(all_paths("std::time::Instant::now()"), ["std::time::Instant::now"]);
    }
}
