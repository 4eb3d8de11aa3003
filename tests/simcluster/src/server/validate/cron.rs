//! The schedule of a CronJob.
//!
//! What must stay true: what is accepted here, cron accepts; when it would run is nobody's business here.

/// The fields, with their names, bounds and the names values may have.
const FIELDS: [(u32, u32, &[&str]); 5] = [
    (0, 59, &[]),
    (0, 23, &[]),
    (1, 31, &[]),
    (
        1,
        12,
        &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
    ),
    (0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];

/// Why a text is no schedule; `None` when it is one.
pub(super) fn why_not(schedule: &str) -> Option<String> {
    if schedule.contains("TZ") {
        return Some("cannot use TZ or CRON_TZ in schedule, use timeZone field instead".to_owned());
    }
    if let Some(name) = schedule.strip_prefix('@') {
        let known = ["yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly"];
        let every = name.strip_prefix("every ").is_some_and(is_duration);
        return (!known.contains(&name) && !every).then(|| format!("unrecognized descriptor: {schedule}"));
    }
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        let found = fields.join(" ");
        return Some(format!("expected exactly 5 fields, found {}: [{found}]", fields.len()));
    }
    let mut parts = fields
        .iter()
        .zip(FIELDS)
        .flat_map(|(field, bounds)| field.split(',').map(move |part| (part, bounds)));
    parts.find_map(|(part, bounds)| why_not_part(part, bounds))
}

fn is_duration(text: &str) -> bool {
    text.len() > 1 && text.ends_with(['s', 'm', 'h']) && text.starts_with(|c: char| c.is_ascii_digit())
}

/// `*`, a number, a range, each perhaps with a step.
fn why_not_part(part: &str, (least, most, names): (u32, u32, &[&str])) -> Option<String> {
    let number = |text: &str| {
        let name = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        // Both lists of names are shorter than any bound of u32.
        let named = name
            .and_then(|index| u32::try_from(index).ok())
            .map(|index| index + least);
        named.or_else(|| text.parse().ok())
    };
    let fail = |text: &str| Some(format!("failed to parse int from {text}"));
    let (range, step) = match part.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (part, None),
    };
    match step.map(str::parse::<u32>) {
        Some(Ok(0)) => return Some(format!("step of range should be a positive number: {part}")),
        Some(Err(_)) => return fail(step.unwrap_or_default()),
        _ => {}
    }
    if range == "*" || range == "?" {
        return None;
    }
    let (from, to) = range.split_once('-').unwrap_or((range, range));
    let (Some(from), Some(to)) = (number(from), number(to)) else {
        return fail(range);
    };
    if from < least {
        return Some(format!("beginning of range ({from}) below minimum ({least}): {part}"));
    }
    if to > most {
        return Some(format!("end of range ({to}) above maximum ({most}): {part}"));
    }
    (from > to).then(|| format!("beginning of range ({from}) beyond end of range ({to}): {part}"))
}

#[cfg(test)]
mod tests {
    use super::why_not;

    #[test]
    fn schedules() {
        for good in [
            "* * * * *",
            "*/5 0-23/2 1,15 jan-MAR sun",
            "@daily",
            "@every 1h30m",
            "0 0 ? * 6",
        ] {
            assert_eq!(why_not(good), None, "{good}");
        }
        for bad in [
            "",
            "* * * *",
            "60 * * * *",
            "* * 0 * *",
            "5-1 * * * *",
            "*/0 * * * *",
            "x * * * *",
            "@sometimes",
            "TZ=UTC * * * * *",
        ] {
            assert!(why_not(bad).is_some(), "{bad}");
        }
    }
}
