//! Words of a script that stand for numbers: types, classes, response codes, names.
//!
//! What must stay true: they are those of the IANA registries. Names are absolute with or without the
//! last dot, and their case is kept.

use std::str::FromStr;

use domain::base::Name;
use domain::base::iana::{Class, Rtype};

use crate::script::{Line, Problem};

/// A type by its mnemonic, or `TYPE1234`.
pub(crate) fn record_type(line: &Line<'_>, text: &str) -> Result<u16, Problem> {
    Rtype::from_str(text)
        .map(Rtype::to_int)
        .map_err(|_| line.problem(format!("{text:?} is not a record type")))
}

/// A class by its mnemonic, or `CLASS1234`.
pub(crate) fn class(line: &Line<'_>, text: &str) -> Result<u16, Problem> {
    match text {
        "ANY" => Ok(255),
        "NONE" => Ok(254),
        _ => Class::from_str(text)
            .map(Class::to_int)
            .map_err(|_| line.problem(format!("{text:?} is not a class, nor another word of this line"))),
    }
}

/// The wire form of a name, its case kept.
pub(crate) fn wire_name(line: &Line<'_>, text: &str) -> Result<Vec<u8>, Problem> {
    Name::<Vec<u8>>::from_str(text)
        .map(|name| name.as_slice().to_vec())
        .map_err(|error| line.problem(format!("{text:?} is not a name: {error}")))
}

/// Response codes, with those that the OPT record extends.
const CODES: [(&str, u16); 14] = [
    ("NOERROR", 0),
    ("FORMERR", 1),
    ("SERVFAIL", 2),
    ("NXDOMAIN", 3),
    ("NOTIMP", 4),
    ("REFUSED", 5),
    ("YXDOMAIN", 6),
    ("NOTAUTH", 9),
    ("NOTZONE", 10),
    ("DSOTYPENI", 11),
    ("BADVERS", 16),
    ("BADKEY", 17),
    ("BADTIME", 18),
    ("BADCOOKIE", 23),
];

/// The number of a response code.
pub(crate) fn code(line: &Line<'_>, text: &str) -> Result<u16, Problem> {
    let found = CODES.iter().find(|(name, _)| *name == text);
    found
        .map(|(_, number)| *number)
        .ok_or_else(|| line.problem(format!("{text:?} is not a response code")))
}

/// A response code as a script writes it.
pub(crate) fn shown_code(number: u16) -> String {
    let found = CODES.iter().find(|(_, code)| *code == number);
    found.map_or_else(|| format!("code {number}"), |(name, _)| (*name).to_owned())
}
