//! The binary: one line of JSON, and an end when its standard input ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Command, Stdio},
};

fn simulator() -> Command {
    Command::new(env!("CARGO_BIN_EXE_aws-simulator"))
}

#[test]
fn it_says_where_it_listens_serves_a_scenario_and_ends_with_its_input() {
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join(format!("scenario-{}.json", std::process::id()));
    std::fs::write(&file, r#"{"identities": [{"region": "us-east-1", "name": "example.com"}]}"#)
        .unwrap();
    let mut child = simulator()
        .args(["--time-scale", "4320", "--equal-put", "resets", "--scenario"])
        .arg(&file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let here: serde_json::Value = serde_json::from_str(&line).unwrap();
    let address = here["endpoint"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let scope =
        format!("{}/20260101/us-east-1/ses/aws4_request", here["accessKeyId"].as_str().unwrap());
    let request = format!(
        "GET /v2/email/identities/example.com HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         authorization: AWS4-HMAC-SHA256 Credential={scope}, Signature=0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("VerifiedForSendingStatus\":true"),
        "{answer}"
    );
    drop(child.stdin.take());
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "123456789012 us-east-1 GetEmailIdentity 1\n");
    assert!(child.wait().unwrap().success());
    std::fs::remove_file(file).unwrap();
}

#[test]
fn it_refuses_to_listen_beyond_loopback() {
    let output = simulator().args(["--listen", "0.0.0.0:0"]).stdin(Stdio::null()).output().unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("--listen 0.0.0.0:0: must be a loopback address"), "{error}");
}
