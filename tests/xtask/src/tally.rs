//! How many tests passed and failed, from what cargo prints.
//!
//! What must stay true: the numbers are cargo's own, added up; nothing is counted that cargo does not
//! report. A test program that dies reports nothing, so a run that failed without a failed test is said
//! to be incomplete.

/// The sums so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    programs: usize,
    passed: usize,
    failed: usize,
}

impl Tally {
    /// Looks at one line of output.
    pub(crate) fn see(&mut self, line: &str) {
        let Some(numbers) = line.strip_prefix("test result: ") else {
            return;
        };
        let words: Vec<&str> = numbers.split_whitespace().collect();
        let number = |name| {
            words
                .windows(2)
                .find(|pair| pair[1] == name)
                .and_then(|pair| pair[0].parse::<usize>().ok())
        };
        if let (Some(passed), Some(failed)) = (number("passed;"), number("failed;")) {
            self.programs += 1;
            self.passed += passed;
            self.failed += failed;
        }
    }

    /// The closing line; `None` if no tests have run.
    pub(crate) fn line(&self, run_failed: bool) -> Option<String> {
        let incomplete = if run_failed && self.failed == 0 {
            ", not complete"
        } else {
            ""
        };
        (self.programs > 0).then(|| format!("{} passed, {} failed{incomplete}", self.passed, self.failed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_programs_are_added_up() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests\n",
            "test a ... ok\n",
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 4 filtered out; finished in 0.40s\n",
            "test result: \u{1b}[31mFAILED\u{1b}[m. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n",
            "a test that prints test result: ok. 100 passed; 0 failed;\n",
        ] {
            tally.see(line);
        }
        assert_eq!(tally.line(true).as_deref(), Some("13 passed, 2 failed"));
    }

    #[test]
    fn no_tests_are_no_numbers() {
        assert_eq!(Tally::default().line(false), None);
        assert_eq!(Tally::default().line(true), None);
    }

    #[test]
    fn a_failure_without_a_failed_test_is_an_incomplete_count() {
        let mut tally = Tally::default();
        tally.see("test result: ok. 12 passed; 0 failed; 0 ignored;");
        assert_eq!(tally.line(false).as_deref(), Some("12 passed, 0 failed"));
        assert_eq!(tally.line(true).as_deref(), Some("12 passed, 0 failed, not complete"));
    }
}
