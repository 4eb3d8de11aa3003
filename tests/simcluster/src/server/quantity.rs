//! Quantities of resources, such as `250m` or `1Gi`.
//!
//! What must stay true: equal amounts compare equal however they are written. Amounts are counted in
//! thousandths in whole numbers, as finely as Kubernetes counts.
//!
//! Refused: rewriting quantities into their canonical form; clients read back what they wrote.

/// The amount in thousandths; `None` when the text is no quantity.
pub(crate) fn milli(text: &str) -> Option<i128> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || number.len() > 18 {
        return None;
    }
    // The number times ten to the power of `digits`.
    let digits = u32::try_from(fraction.len()).ok()?;
    let number: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let (factor, power): (i128, i32) = match suffix {
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "" => (1, 0),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        "Ei" => (1 << 60, 0),
        exponent => (
            1,
            exponent
                .strip_prefix(['e', 'E'])?
                .parse()
                .ok()
                .filter(|power| (-18..=18).contains(power))?,
        ),
    };
    let power = power + 3 - i32::try_from(digits).ok()?;
    let scaled = number.checked_mul(factor)?;
    let ten = 10_i128.checked_pow(power.unsigned_abs())?;
    let amount = match power >= 0 {
        true => scaled.checked_mul(ten)?,
        // Finer than a thousandth is rounded up.
        false => (scaled + ten - 1) / ten,
    };
    Some(sign * amount)
}

#[cfg(test)]
mod tests {
    use super::milli;

    #[test]
    fn amounts_however_written() {
        let check = |text: &str, wanted: Option<i128>| assert_eq!(milli(text), wanted, "{text}");
        check("1", Some(1_000));
        check("1000m", Some(1_000));
        check("0.5", Some(500));
        check(".5", Some(500));
        check("1e3", Some(1_000_000));
        check("1Ki", Some(1_024_000));
        check("1.5Gi", Some(1_610_612_736_000));
        check("-1", Some(-1_000));
        check("100n", Some(1));
        for wrong in [
            "",
            ".",
            "m",
            "1.2.3",
            "1Kb",
            "1 Gi",
            "e",
            "1e99",
            "99999999999999999999",
        ] {
            check(wrong, None);
        }
    }
}
