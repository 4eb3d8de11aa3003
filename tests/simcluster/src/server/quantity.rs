//! Quantities of resources, such as `250m` or `1Gi`.
//!
//! What must stay true: equal amounts compare equal however they are written. Amounts are counted in
//! thousandths in whole numbers, as finely as Kubernetes counts.
//!
//! What cannot be read as a quantity where the API reference has one cannot be read at all, as any value of
//! another type; a plain number counts as its text.
//!
//! Refused: rewriting quantities into their canonical form; clients read back what they wrote.

use serde_json::{Value, json};

use super::kinds::Kind;

/// The ways to quantities in the spec of a pod; `*` is every item, or every field.
const IN_POD: [&[&str]; 8] = [
    &["containers", "*", "resources", "limits", "*"],
    &["containers", "*", "resources", "requests", "*"],
    &["initContainers", "*", "resources", "limits", "*"],
    &["initContainers", "*", "resources", "requests", "*"],
    &["overhead", "*"],
    &["resources", "limits", "*"],
    &["resources", "requests", "*"],
    &["volumes", "*", "emptyDir", "sizeLimit"],
];
const IN_NODE: [&[&str]; 2] = [&["capacity", "*"], &["allocatable", "*"]];
const IN_AUTOSCALER: [&[&str]; 2] = [
    &["metrics", "*", "*", "target", "value"],
    &["metrics", "*", "*", "target", "averageValue"],
];

/// Makes texts of the quantities of an object; fails with the field of one that is none.
pub(crate) fn conform(kind: &Kind, object: &mut Value) -> Result<(), String> {
    let (root, ways): (&[&str], &[&[&str]]) = match kind.kind.as_str() {
        "Pod" => (&["spec"], &IN_POD),
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" => (&["spec", "template", "spec"], &IN_POD),
        "CronJob" => (&["spec", "jobTemplate", "spec", "template", "spec"], &IN_POD),
        "Node" => (&["status"], &IN_NODE),
        "HorizontalPodAutoscaler" => (&["spec"], &IN_AUTOSCALER),
        _ => return Ok(()),
    };
    let below = root.iter().try_fold(object, |value, field| value.get_mut(field));
    let Some(below) = below else {
        return Ok(());
    };
    let mut ways = ways.iter();
    ways.try_for_each(|way| conform_at(below, way).map_err(|why| format!("{}.{why}", root.join("."))))
}

fn conform_at(value: &mut Value, way: &[&str]) -> Result<(), String> {
    let join = |field: &str, why: String| match why.strip_prefix(':') {
        Some(_) => format!("{field}{why}"),
        None => format!("{field}.{why}"),
    };
    match (way, value) {
        ([], Value::Null) => Ok(()),
        ([], value) => {
            if value.is_number() {
                *value = json!(value.to_string());
            }
            let known = value.as_str().is_some_and(|text| milli(text).is_some());
            known.then_some(()).ok_or_else(|| {
                ": quantities must match the regular expression \
                 '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
                    .to_owned()
            })
        }
        (["*", rest @ ..], Value::Object(map)) => {
            let mut fields = map.iter_mut();
            fields.try_for_each(|(name, value)| conform_at(value, rest).map_err(|why| join(name, why)))
        }
        (["*", rest @ ..], Value::Array(items)) => {
            let mut items = items.iter_mut().enumerate();
            items.try_for_each(|(index, item)| conform_at(item, rest).map_err(|why| join(&index.to_string(), why)))
        }
        ([field, rest @ ..], Value::Object(map)) => match map.get_mut(*field) {
            Some(value) => conform_at(value, rest).map_err(|why| join(field, why)),
            None => Ok(()),
        },
        // Whatever else is there is for the type of the field to refuse.
        _ => Ok(()),
    }
}

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
