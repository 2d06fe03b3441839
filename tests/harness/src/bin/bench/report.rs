//! `bench/report.json` in the target folder, and a table to read.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::Failure;
use crate::figures::{Figure, Logs, seconds};
use crate::judge::FLOORS;
use crate::machine;
use crate::scenario::{Scenario, Zones};
use crate::stage::SCRAPE;
use crate::world::raises_record_quota;

/// A run in which the machine was too busy.
pub(crate) struct Void {
    pub(crate) scenario: Scenario,
    /// Share of the CPUs, from 0 to 1.
    pub(crate) busy: f64,
    /// What it would have said.
    pub(crate) figures: Vec<Figure>,
}

/// A run that broke off.
pub(crate) struct Broken {
    pub(crate) scenario: Scenario,
    pub(crate) why: String,
}

/// What a benchmark has come to so far.
#[derive(Default)]
pub(crate) struct Results {
    /// `--profile`.
    pub(crate) profile: String,
    /// Flags that the operator was given besides.
    pub(crate) flags: Vec<(String, String)>,
    pub(crate) scenarios: Vec<Scenario>,
    pub(crate) figures: Vec<Figure>,
    pub(crate) voids: Vec<Void>,
    pub(crate) broken: Vec<Broken>,
}

/// The report as it is written.
pub(crate) fn report(results: &Results) -> Value {
    let Results { profile, flags, scenarios, figures, voids, broken } = results;
    let floors: Map<String, Value> =
        FLOORS.iter().map(|(name, how)| ((*name).to_owned(), json!(how))).collect();
    let void = |void: &Void| {
        let Void { scenario, busy, figures } = void;
        json!({"scenario": scenario.label(), "n": scenario.n, "busy": busy, "figures": figures})
    };
    let stopped = |Broken { scenario, why }: &Broken| json!({"scenario": scenario.label(), "n": scenario.n, "why": why});
    json!({
        "machine": machine::describe(),
        "parameters": {
            "profile": profile,
            "operatorFlags": flags,
            "scenarios": scenarios.iter().map(parameters).collect::<Vec<_>>(),
            "floors": floors,
            "busiestAllowed": crate::BUSIEST,
            "metricsReadEverySeconds": seconds(SCRAPE),
            "broken": broken.iter().map(stopped).collect::<Vec<_>>(),
            "void": voids.iter().map(void).collect::<Vec<_>>(),
        },
        "figures": figures,
    })
}

fn parameters(scenario: &Scenario) -> Value {
    json!({
        "scenario": scenario.label(),
        "n": scenario.n,
        "zones": scenario.zone_count(),
        "recordSetQuotaRaised": raises_record_quota(scenario),
        "regions": scenario.regions(),
        "behaviorOnMxFailure": if scenario.reject { "RejectMessage" } else { "UseDefaultValue" },
        "rollout": "WhenVerified",
        "sesQuotaScale": scenario.ses_scale,
        "sesAllowancePerSecond": scenario.ses_allowance(),
        "route53QuotaPerSecond": scenario.route53_quota(),
        "route53AllowancePerSecond": scenario.route53_allowance(),
        "inSyncAfterSeconds": seconds(scenario.in_sync_after),
        "sesFirstLookSeconds": seconds(scenario.first_look),
        "pollMinSeconds": scenario.poll_min.map(seconds),
        "resyncSeconds": seconds(scenario.resync()),
        "steadySeconds": seconds(scenario.steady),
        "domainsPerZone": if scenario.zones == Zones::One { scenario.n } else { 10 },
    })
}

/// Writes it; yields where.
pub(crate) fn write(report: &Value) -> Result<PathBuf, Failure> {
    let path = dir()?.join("report.json");
    std::fs::write(&path, serde_json::to_string_pretty(report)?)?;
    Ok(path)
}

/// Writes every call to AWS and every request to the API server of a run, a line
/// each, for who asks why a figure is what it is.
pub(crate) fn write_logs(scenario: &Scenario, logs: &Logs) -> Result<(), Failure> {
    write_lines(scenario, "calls", &logs.calls)?;
    let requests = logs.requests.iter().map(|asked| {
        let request = &asked.request;
        json!({
            "at": asked.at, "verb": request.verb, "resource": request.resource,
            "subresource": request.subresource, "name": request.name, "code": request.code,
        })
    });
    write_lines(scenario, "requests", requests)
}

fn write_lines(
    scenario: &Scenario,
    what: &str,
    lines: impl IntoIterator<Item = impl Serialize>,
) -> Result<(), Failure> {
    let path = dir()?.join(format!("{}-{}-{what}.jsonl", scenario.name, scenario.n));
    let mut file = BufWriter::new(File::create(path)?);
    for line in lines {
        serde_json::to_writer(&mut file, &line)?;
        writeln!(file)?;
    }
    Ok(file.flush()?)
}

fn dir() -> Result<PathBuf, Failure> {
    let dir = harness::target_dir().join("bench");
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// One line a figure.
pub(crate) fn table(figures: &[Figure]) -> String {
    let head = ["figure", "scenario", "n", "value", "floor", "bound", "unit", ""];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(figures.iter().map(row));
    let mut widths = [0; 8];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    let line = |row: &[String; 8]| {
        let cells = row.iter().zip(widths).enumerate().map(|(at, (cell, width))| {
            // Numbers end where their columns do.
            if (2..6).contains(&at) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

fn row(figure: &Figure) -> [String; 8] {
    let number = |value: Option<f64>| value.map_or("-".to_owned(), shown);
    [
        figure.name.to_owned(),
        figure.scenario.clone(),
        figure.n.to_string(),
        number(figure.value),
        number(figure.floor),
        number(figure.bound),
        figure.unit.to_owned(),
        if figure.is_good() { String::new() } else { "OVER".to_owned() },
    ]
}

/// Large numbers whole, small ones with what tells them apart.
fn shown(value: f64) -> String {
    if value.abs() >= 1_000.0 || value == 0.0 {
        format!("{value:.0}")
    } else if value.abs() >= 1.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.4}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::quick;

    fn figure(value: Option<f64>) -> Figure {
        let scenario = "one-zone".to_owned();
        let (name, unit) = ("converge_ratio", "of floor");
        Figure { name, scenario, n: 100, value, unit, floor: Some(1.0), bound: Some(1.05) }
    }

    #[test]
    fn the_report_has_the_shape_that_readers_expect() {
        let mut results = Results { scenarios: quick(), ..Results::default() };
        results.figures.push(figure(Some(1.5)));
        let (scenario, why) = (quick().remove(0), "it died".to_owned());
        results.broken.push(Broken { scenario, why });
        let report = report(&results);
        assert_eq!(report["parameters"]["broken"][0]["why"], "it died");
        assert_eq!(
            report["figures"][0],
            json!({
                "name": "converge_ratio", "scenario": "one-zone", "n": 100, "value": 1.5,
                "unit": "of floor", "floor": 1.0, "bound": 1.05,
            })
        );
        for part in ["machine", "parameters", "figures"] {
            assert!(!report[part].is_null(), "{part}");
        }
        assert!(report["parameters"]["floors"]["converge_seconds"].is_string());
    }

    #[test]
    fn the_table_marks_what_is_over_its_bound_or_was_not_measured() {
        let table = table(&[figure(Some(1.0)), figure(Some(1.5)), figure(None)]);
        let over: Vec<bool> = table.lines().map(|line| line.ends_with("OVER")).collect();
        assert_eq!(over, [false, false, true, true]);
    }

    #[test]
    fn numbers_are_shown_as_far_as_they_tell() {
        assert_eq!(
            [20_000_000.0, 1.234, 0.0123, 0.0].map(shown),
            ["20000000", "1.23", "0.0123", "0"]
        );
    }
}
