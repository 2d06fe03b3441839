use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::TimedOut;

/// Which of its two streams a process wrote a line to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// One line that a process wrote, without its line end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it was written.
    pub stream: Stream,
    /// What was written.
    pub text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Everything a process has written so far. Clones share the lines.
#[derive(Debug, Clone)]
pub struct Output {
    lines: Arc<Mutex<Vec<Line>>>,
    count: watch::Sender<usize>,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self { lines: Arc::default(), count: watch::Sender::new(0) }
    }

    pub(crate) fn push(&self, stream: Stream, text: String) {
        let mut lines = self.lock();
        lines.push(Line { stream, text });
        self.count.send_replace(lines.len());
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Line>> {
        // A line is pushed whole or not at all, so a poisoned list is still right.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All lines so far, in the order in which they were read.
    pub fn lines(&self) -> Vec<Line> {
        self.lock().clone()
    }

    /// How many lines there are: a mark for [`Output::wait_for_line_after`].
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing has been written yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The last `count` lines, joined.
    pub fn tail(&self, count: usize) -> String {
        let lines = self.lock();
        let from = lines.len().saturating_sub(count);
        join(&lines[from..])
    }

    /// Waits for a line that contains `needle`, past ones included.
    pub async fn wait_for_line(&self, needle: &str, limit: Duration) -> Result<Line, TimedOut> {
        self.wait_for_line_after(0, needle, limit).await
    }

    /// As [`Output::wait_for_line`], but blind to the first `skip` lines.
    pub async fn wait_for_line_after(
        &self,
        skip: usize,
        needle: &str,
        limit: Duration,
    ) -> Result<Line, TimedOut> {
        let mut count = self.count.subscribe();
        let mut seen = skip;
        let search = async {
            loop {
                let total = *count.borrow_and_update();
                if let Some(line) = self.find(seen, needle) {
                    return Some(line);
                }
                seen = seen.max(total);
                if count.changed().await.is_err() {
                    return None;
                }
            }
        };
        match timeout(limit, search).await {
            Ok(Some(line)) => Ok(line),
            _ => Err(TimedOut {
                what: format!("a line with {needle:?}"),
                limit,
                last_seen: self.tail(20),
            }),
        }
    }

    fn find(&self, from: usize, needle: &str) -> Option<Line> {
        self.lock().iter().skip(from).find(|line| line.text.contains(needle)).cloned()
    }
}

fn join(lines: &[Line]) -> String {
    lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n")
}
