//! The process: its flags, its end.

use std::process::Command;

use serde_json::json;

use crate::alone;
use crate::stage::{LIMIT, REGIONS, Stage};

#[test]
fn bad_flags_are_refused_before_anything_starts() {
    for (flag, value, allowed) in [
        ("--poll-min", "fast", "15s"),
        ("--resync", "0s", "above zero"),
        ("--lease-duration", "10s", "less than 10s"),
        ("--retry-period", "9s", "less than 8.333s"),
        ("--leader-elect", "perhaps", "true, false"),
        ("--ses-rate", "-1", "0.001"),
        ("--route53-rate", "many", "0.001"),
        ("--dns-resolver", "dns.example", "IP:PORT"),
        ("--dns-port", "65536", "1..=65535"),
        ("--listen", "8080", ":PORT"),
        ("--region", "us-east-9", "NAME=FEEDBACK-HOST"),
        ("--watch-namespace", "Mail", "lower-case"),
        ("--max-concurrent-reconciles", "0", "1..=65535"),
        ("--log-format", "xml", "json"),
        ("--log", "ses_mailfrom=loud", "TARGET=LEVEL"),
    ] {
        let mut refused = Command::new(env!("CARGO_BIN_EXE_ses-mailfrom"));
        // No API server, no AWS: what it would do with them it must not reach.
        let refused = refused.env_clear().arg("run").arg(format!("{flag}={value}"));
        let output = refused.output().expect("the binary runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flag}={value}: {said}");
        for part in [flag, value, allowed] {
            assert!(said.contains(part), "{flag}={value}: no {part} in: {said}");
        }
        assert!(!said.contains("Started"), "{said}");
    }
}

#[test]
fn a_bad_value_in_the_environment_is_refused_too() {
    let mut refused = Command::new(env!("CARGO_BIN_EXE_ses-mailfrom"));
    let refused = refused.env_clear().env("SES_MAILFROM_POLL_MIN", "soon").arg("run");
    let output = refused.output().expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--poll-min") && said.contains("soon"), "{said}");
}

#[tokio::test]
async fn sigterm_ends_it_cleanly() {
    let _alone = alone().await;
    let stage = Stage::new("sigterm").await;
    let operator = stage.operator().await;
    stage.apply("kept", json!({"regions": REGIONS.map(|name| json!({"name": name}))})).await;
    stage.ready("kept").await;
    let code = operator.stop(LIMIT).await.expect("an end");
    let output = operator.output();
    assert_eq!(code, 0, "{}", output.tail(20));
    for said in ["Stopping", "Released the lease", "Stopped"] {
        output.wait_for_line(said, LIMIT).await.unwrap_or_else(|error| panic!("{error}"));
    }
    let text = output.tail(usize::MAX);
    assert!(!text.contains("panicked") && !text.contains("\"ERROR\""), "{text}");
    // Nothing was left half done: the next one has nothing to write.
    let (writes, version) = (stage.writes(), version(&stage).await);
    let _operator = stage.operator().await;
    stage.rounds(4).await;
    assert_eq!(stage.writes(), writes);
    assert_eq!(self::version(&stage).await, version);
}

async fn version(stage: &Stage) -> Option<String> {
    stage.api().get("kept").await.expect("the object").metadata.resource_version
}
