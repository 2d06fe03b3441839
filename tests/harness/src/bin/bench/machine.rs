//! What the kernel says of the machine and of a process.

use std::fs::read_to_string;

use serde_json::{Value, json};

use crate::Failure;

/// Ticks per second in /proc, which Linux has fixed for its readers.
const USER_HZ: f64 = 100.0;

/// Time that the CPUs have spent since the start, in ticks of all of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct CpuTimes {
    busy: f64,
    total: f64,
}

impl CpuTimes {
    /// As it stands now.
    pub(crate) fn now() -> Result<Self, Failure> {
        Self::parse(&read_to_string("/proc/stat")?)
            .ok_or_else(|| "/proc/stat has no line of all CPUs".into())
    }

    /// proc(5): user, nice, system, idle, iowait, irq, softirq, steal; what guests
    /// use is in user already.
    fn parse(stat: &str) -> Option<Self> {
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let times: Vec<f64> =
            line.split_whitespace().take(8).filter_map(|text| text.parse().ok()).collect();
        let total: f64 = times.iter().sum();
        let idle = times.get(3)? + times.get(4)?;
        Some(Self { busy: total - idle, total })
    }

    /// Which share of the CPUs was busy from `before` to now, from 0 to 1.
    pub(crate) fn busy_since(self, before: Self) -> f64 {
        let total = self.total - before.total;
        if total > 0.0 { (self.busy - before.busy) / total } else { 0.0 }
    }
}

/// CPU-seconds, user and system, that a process has used.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64, Failure> {
    let path = format!("/proc/{pid}/stat");
    let stat = read_to_string(&path)?;
    parse_cpu_seconds(&stat).ok_or_else(|| format!("{path} has no times: {stat}").into())
}

/// Fields 14 and 15; the name before them may hold anything, in brackets.
fn parse_cpu_seconds(stat: &str) -> Option<f64> {
    let mut rest = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = rest.next()?.parse().ok()?;
    let system: f64 = rest.next()?.parse().ok()?;
    Some((user + system) / USER_HZ)
}

/// The most resident memory that a process has had, in bytes.
pub(crate) fn rss_peak(pid: u32) -> Result<f64, Failure> {
    let path = format!("/proc/{pid}/status");
    let status = read_to_string(&path)?;
    parse_peak(&status).ok_or_else(|| format!("{path} has no VmHWM").into())
}

fn parse_peak(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

/// The machine, for the report.
pub(crate) fn describe() -> Value {
    let text = |path| read_to_string(path).unwrap_or_default();
    let (cpus, memory) = (text("/proc/cpuinfo"), text("/proc/meminfo"));
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
    };
    json!({
        "cpus": cpus.lines().filter(|line| line.starts_with("processor")).count(),
        "model": field(&cpus, "model name"),
        "memory": field(&memory, "MemTotal"),
        "kernel": text("/proc/sys/kernel/osrelease").trim(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn idle_and_waiting_for_disks_is_not_busy() {
        let at = |line: &str| CpuTimes::parse(&format!("{line}\ncpu0 1 1 1 1 1 1 1 1\n")).unwrap();
        let before = at("cpu  100 0 100 800 0 0 0 0 50 0");
        let after = at("cpu  130 10 110 840 10 0 0 0 99 0");
        assert!((after.busy_since(before) - 0.5).abs() < 1e-9);
        assert!(after.busy_since(after).abs() < 1e-9, "no time has passed");
    }

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 9 9 20 0 8 0 1 2 3";
        assert!((parse_cpu_seconds(stat).unwrap() - 2.0).abs() < 1e-9);
    }

    #[test]
    fn the_peak_is_the_high_water_mark_in_bytes() {
        let status = "VmPeak:\t  9 kB\nVmHWM:\t     2 kB\nVmRSS:\t  1 kB\n";
        assert!((parse_peak(status).unwrap() - 2048.0).abs() < 1e-9);
    }
}
