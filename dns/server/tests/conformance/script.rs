//! The text of a script: its first line, blocks, and the cases among them.
//!
//! A line without indentation begins a block, indented lines belong to it. What must stay true: a word
//! that is not understood is an error with its file and line, never skipped, because a case that checks
//! less than it says is worse than none. `README.md` beside the scripts explains the format.
//!
//! Refused: a format of somebody else (`.rpl` of Unbound and NSD). It has no word for most of EDNS, for
//! encrypted transports or for a fleet.

use std::fmt;

use crate::expect::Expected;
use crate::query::Query;

/// What is wrong with a script, and in which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// One line with its number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) number: usize,
    pub(crate) text: &'a str,
}

impl<'a> Line<'a> {
    pub(crate) fn problem(&self, message: impl Into<String>) -> Problem {
        Problem {
            line: self.number,
            message: message.into(),
        }
    }

    /// The first word, and what follows it.
    pub(crate) fn split(&self) -> (&'a str, &'a str) {
        let text = self.text.trim();
        text.split_once(char::is_whitespace)
            .map_or((text, ""), |(word, rest)| (word, rest.trim()))
    }

    pub(crate) fn parse<T: std::str::FromStr>(&self, what: &str, text: &str) -> Result<T, Problem> {
        text.parse()
            .map_err(|_| self.problem(format!("{text:?} is not {what}")))
    }

    /// Octets as hexadecimal digits, with or without spaces between.
    pub(crate) fn octets(&self, text: &str) -> Result<Vec<u8>, Problem> {
        let digits: String = text.split_whitespace().collect();
        data_encoding::HEXLOWER_PERMISSIVE
            .decode(digits.as_bytes())
            .map_err(|error| self.problem(format!("{text:?} is not octets in hexadecimal digits: {error}")))
    }
}

/// A line without indentation, and the indented ones behind it.
#[derive(Debug, Clone)]
pub(crate) struct Block<'a> {
    pub(crate) head: Line<'a>,
    pub(crate) body: Vec<Line<'a>>,
}

/// How the messages of a case travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Over {
    Udp,
    Tcp,
    Tls,
    HttpsGet,
    HttpsPost,
    Quic,
}

/// One message and what shall come back.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) query: Query,
    pub(crate) expected: Expected,
}

/// Steps of one client, over one connection where there are connections.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) title: String,
    pub(crate) over: Over,
    /// What stands before the message or the connection: a PROXY header.
    pub(crate) prefix: Option<Vec<u8>>,
    pub(crate) steps: Vec<Step>,
}

/// A whole script.
#[derive(Debug)]
pub(crate) struct Script<'a> {
    /// `RFC 1035 section 4.1.1`.
    pub(crate) section: &'a str,
    /// The blocks that say what the server holds.
    pub(crate) world: Vec<Block<'a>>,
    pub(crate) cases: Vec<Case>,
}

/// Reads a script.
pub(crate) fn read(text: &str) -> Result<Script<'_>, Problem> {
    let mut lines = (1..).zip(text.lines()).map(|(number, text)| Line { number, text });
    let section = lines.next().and_then(|first| section(first.text)).ok_or(Problem {
        line: 1,
        message: "the first line names the RFC and the section: RFC 1035 section 4.1.1: the header".to_owned(),
    })?;
    let mut blocks: Vec<Block<'_>> = Vec::new();
    for line in lines {
        if line.text.trim().is_empty() || line.text.trim_start().starts_with(';') {
            continue;
        }
        if !line.text.starts_with(char::is_whitespace) {
            blocks.push(Block {
                head: line,
                body: Vec::new(),
            });
        } else if let Some(block) = blocks.last_mut() {
            block.body.push(line);
        } else {
            return Err(line.problem("an indented line belongs to the line above it, and there is none"));
        }
    }
    let (cases, world): (Vec<_>, Vec<_>) = blocks.into_iter().partition(|block| block.head.split().0 == "case");
    let cases = cases.iter().map(case).collect::<Result<Vec<_>, _>>()?;
    let mut titles = std::collections::BTreeSet::new();
    if let Some(twice) = cases.iter().find(|case| !titles.insert(&case.title)) {
        return Err(Problem {
            line: twice.steps.first().map_or(1, |step| step.line),
            message: format!("there is another case {:?}", twice.title),
        });
    }
    Ok(Script { section, world, cases })
}

/// `RFC 1035 section 4.1.1` of `RFC 1035 section 4.1.1: the header`.
fn section(line: &str) -> Option<&str> {
    let (section, title) = line.split_once(": ")?;
    let mut words = section.split(' ');
    // The PROXY protocol has no RFC, but sections.
    let number = match (words.next(), words.next()) {
        (Some("RFC"), Some(number)) => number.parse::<u16>().is_ok(),
        (Some("PROXY"), Some("protocol")) => true,
        _ => false,
    };
    let rest = matches!(
        (words.next(), words.next(), words.next()),
        (None, ..) | (Some("section"), Some(_), None)
    );
    (number && rest && !title.trim().is_empty()).then_some(section)
}

fn case(block: &Block<'_>) -> Result<Case, Problem> {
    let title = block.head.split().1;
    if title.is_empty() {
        return Err(block.head.problem("a case has a title that says what must be true"));
    }
    let mut case = Case {
        title: title.to_owned(),
        over: Over::Udp,
        prefix: None,
        steps: Vec::new(),
    };
    let mut current: Option<(usize, Query, Option<Expected>)> = None;
    for line in &block.body {
        let (word, rest) = line.split();
        match word {
            "over" => case.over = over(line, rest)?,
            "from" => case.prefix = Some(crate::query::proxy_header(line, rest, case.over != Over::Udp)?),
            "prefix" => case.prefix = Some(line.octets(rest)?),
            "ask" | "raw" => {
                finish(current.take(), &mut case)?;
                current = Some((line.number, Query::read(line)?, None));
            }
            "option" | "tail" => match &mut current {
                Some((_, query, None)) => query.more(line)?,
                _ => return Err(line.problem(format!("{word} stands behind ask and before expect"))),
            },
            "expect" => match &mut current {
                Some((_, _, expected @ None)) => *expected = Some(Expected::read(line)?),
                _ => return Err(line.problem("expect stands behind its ask or raw")),
            },
            _ => match &mut current {
                Some((_, _, Some(expected))) => expected.more(line)?,
                _ => return Err(line.problem(format!("{word:?} is not a word that can stand here"))),
            },
        }
    }
    finish(current, &mut case)?;
    if case.steps.is_empty() {
        return Err(block.head.problem("the case asks nothing"));
    }
    Ok(case)
}

fn finish(current: Option<(usize, Query, Option<Expected>)>, case: &mut Case) -> Result<(), Problem> {
    match current {
        None => Ok(()),
        Some((line, query, Some(expected))) => {
            case.steps.push(Step { line, query, expected });
            Ok(())
        }
        Some((line, ..)) => Err(Problem {
            line,
            message: "nothing is expected of this message; say so with expect".to_owned(),
        }),
    }
}

fn over(line: &Line<'_>, text: &str) -> Result<Over, Problem> {
    Ok(match text {
        "udp" => Over::Udp,
        "tcp" => Over::Tcp,
        "tls" => Over::Tls,
        "https-get" => Over::HttpsGet,
        "https-post" => Over::HttpsPost,
        "quic" => Over::Quic,
        _ => {
            return Err(line.problem(format!(
                "{text:?} is none of udp, tcp, tls, https-get, https-post and quic"
            )));
        }
    })
}

/// What the reader must refuse; run with the scripts, since this program has a harness of its own.
pub(crate) fn refuses_what_it_does_not_know() -> Result<(), String> {
    let head = "RFC 1035 section 4.1.1: the header\n";
    for (text, expected) in [
        ("RFC 1035\n", "line 1: the first line names"),
        (&*format!("{head}  x\n"), "line 2: an indented line belongs"),
        (&format!("{head}case\n ask a.test A\n"), "line 2: a case has a title"),
        (&format!("{head}case x\n"), "line 2: the case asks nothing"),
        (&format!("{head}case x\n ask a.test A\n"), "line 3: nothing is expected"),
        (
            &format!("{head}case x\n expect NOERROR\n"),
            "line 3: expect stands behind",
        ),
        (
            &format!("{head}case x\n ask a.test A\n answer\n"),
            "line 4: \"answer\" is not a word",
        ),
        (
            &format!("{head}case x\n ask a.test NOPE\n"),
            "line 3: \"NOPE\" is not a record type",
        ),
        (
            &format!("{head}case x\n ask a.test A fast\n"),
            "line 3: \"fast\" is not",
        ),
        (
            &format!("{head}case x\n ask a.test A\n option x\n"),
            "line 4: \"x\" is not the number of an option",
        ),
        (
            &format!("{head}case x\n ask a.test A\n expect FINE\n"),
            "line 4: \"FINE\" is not a response code",
        ),
        (
            &format!("{head}case x\n ask a.test A\n expect NOERROR\n answer a.test x A\n"),
            "line 5: \"x\" is not a TTL",
        ),
        (&format!("{head}case x\n raw 0\n"), "line 3: \"0\" is not octets"),
        (
            &format!("{head}case x\n over pigeon\n"),
            "line 3: \"pigeon\" is none of",
        ),
        (
            &format!("{head}case x\n ask a.test A\n expect NOERROR\ncase x\n ask a.test A\n expect NOERROR\n"),
            "line 6: there is another case \"x\"",
        ),
    ] {
        match read(text) {
            Ok(_) => return Err(format!("{text:?} was taken")),
            Err(problem) if !problem.to_string().starts_with(expected) => {
                return Err(format!("{text:?}: {problem}, and not {expected}"));
            }
            Err(_) => {}
        }
    }
    Ok(())
}
