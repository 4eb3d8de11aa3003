//! The whole body, as a user runs it: `meridian demo --story` must end with every step as expected.
//!
//! The binary is run, not a function of it: arguments, exit code and output belong to what is promised.
//! Each step's own checks (DNS over UDP and TCP, HTTP, the members' APIs) are in the demo itself.

use std::process::{Command, Stdio};

use serde_json::Value;

fn meridian() -> Command {
    Command::new(env!("CARGO_BIN_EXE_meridian"))
}

#[test]
fn every_step_of_the_story_is_as_expected() {
    let output = meridian()
        .args([
            "demo",
            "--story",
            "--output",
            "json",
            "--dns",
            "127.0.0.1:0",
            "--load-balancers",
            "127.78.0.0",
        ])
        .stderr(Stdio::inherit())
        .output()
        .expect("the demo starts");
    let text = String::from_utf8(output.stdout).expect("text");
    let steps: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("one JSON object per line"))
        .collect();
    assert_eq!(steps.len(), 11, "{text}");
    for (index, step) in steps.iter().enumerate() {
        assert_eq!(step["step"], index + 1);
        assert_eq!(step["ok"], true, "{step}");
        for field in ["expected", "seen"] {
            assert!(step[field].as_str().is_some_and(|text| !text.is_empty()), "{step}");
        }
        assert!(step["millis"].is_u64(), "{step}");
    }
    assert_eq!(output.status.code(), Some(0));
}
