use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::{Error, Output, Result, Stream, wait_until};

/// Runs its arguments as a child and kills that child when its own standard
/// input closes, which the kernel does for it when the test process ends, however
/// it ends. It is in a process group of its own, out of reach of a Ctrl-C or a
/// time limit that is meant for the whole of a test run. A child that ends by itself ends the wrapper with its exit code.
/// The inner shell says the child's pid before it becomes the child.
const WRAPPER: &str = r#"
exec 3<&0
/bin/sh -c 'echo $$; exec "$@"' sh "$@" </dev/null 3<&- &
child=$!
( read -r _ <&3; kill -KILL $child ) >/dev/null 2>&1 &
watch=$!
wait $child
code=$?
kill -KILL $watch 2>/dev/null
exit $code
"#;

/// Lines shown of a process that ended when it should not have.
const TAIL: usize = 40;

/// A process that does not outlive this one.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: Pid,
    output: Output,
    wrapper: Mutex<Wrapper>,
}

#[derive(Debug)]
struct Wrapper {
    child: Child,
    ended: Option<i32>,
}

impl Process {
    /// Starts `program` with `args` and no environment but `env`. `name` is what
    /// errors call it.
    pub fn start<A, E, K, V>(name: &str, program: &OsStr, args: A, env: E) -> Result<Self>
    where
        A: IntoIterator<Item: Into<OsString>>,
        E: IntoIterator<Item = (K, V)>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        let mut child = Command::new("/bin/sh")
            .args(["-c", WRAPPER, "sh"])
            .arg(program)
            .args(args.into_iter().map(Into::into))
            .env_clear()
            .envs(env)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(Error::io(format!("start {name}")))?;
        let output = Output::new();
        if let Some(stderr) = child.stderr.take() {
            collect(stderr, Stream::Err, output.clone());
        }
        let mut first = String::new();
        if let Some(stdout) = child.stdout.take() {
            let mut stdout = BufReader::new(stdout);
            stdout.read_line(&mut first).map_err(Error::io(format!("read the pid of {name}")))?;
            collect(stdout, Stream::Out, output.clone());
        }
        let pid = first
            .trim()
            .parse()
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| Error::Malformed(format!("{name} has no pid but {first:?}")))?;
        let wrapper = Wrapper { child, ended: None };
        Ok(Self { name: name.to_owned(), pid, output, wrapper: Mutex::new(wrapper) })
    }

    /// What errors call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process id of the program itself.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().cast_unsigned()
    }

    /// What it has written.
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Its exit code once it has ended: 128 + n where signal n ended it.
    pub fn exit_code(&self) -> Option<i32> {
        self.lock().poll()
    }

    /// An error with its last lines if it has ended.
    pub fn check_running(&self) -> Result<()> {
        match self.exit_code() {
            None => Ok(()),
            Some(code) => {
                Err(Error::Died { process: self.name.clone(), code, tail: self.output.tail(TAIL) })
            }
        }
    }

    /// Waits for its end and gives the exit code as [`Process::exit_code`] does.
    pub async fn wait(&self, limit: Duration) -> Result<i32> {
        let what = format!("the end of {}", self.name);
        let code = wait_until(what, limit, async || {
            self.exit_code().ok_or_else(|| format!("running, and wrote:\n{}", self.output.tail(10)))
        })
        .await?;
        Ok(code)
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Sends SIGKILL and waits until the process is gone. One that has ended
    /// already is fine.
    pub fn kill(&self) {
        self.lock().kill();
    }

    /// Sends SIGSTOP: alive, and deaf, until [`Process::resume`].
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Sends SIGCONT.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        // Held over the call: a pid that was not waited for cannot be another's.
        let mut wrapper = self.lock();
        if let Some(code) = wrapper.poll() {
            drop(wrapper);
            return Err(Error::Died {
                process: self.name.clone(),
                code,
                tail: self.output.tail(TAIL),
            });
        }
        kill_process(self.pid, signal)
            .map_err(std::io::Error::from)
            .map_err(Error::io(format!("send {signal:?} to {}", self.name)))
    }

    /// Resident memory in bytes, as /proc tells it.
    pub fn rss_bytes(&self) -> Result<u64> {
        self.check_running()?;
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(&path).map_err(Error::io(path.as_str()))?;
        status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().strip_suffix("kB"))
            .and_then(|kib| kib.trim().parse::<u64>().ok())
            .map(|kib| kib * 1024)
            .ok_or_else(|| Error::Malformed(format!("{path} has no VmRSS")))
    }

    fn lock(&self) -> MutexGuard<'_, Wrapper> {
        self.wrapper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Wrapper {
    fn poll(&mut self) -> Option<i32> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten().map(exit_code);
        }
        self.ended
    }

    fn kill(&mut self) {
        if self.ended.is_none() {
            drop(self.child.stdin.take());
            self.ended = self.child.wait().ok().map(exit_code);
        }
    }
}

/// A shell's reading of an exit status.
fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// Reads lines on a thread of its own, which ends with the stream: tests that
/// share a process have no runtime in common.
fn collect(from: impl Read + Send + 'static, stream: Stream, to: Output) {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while matches!(from.read_until(b'\n', &mut line), Ok(read) if read > 0) {
            to.push(stream, String::from_utf8_lossy(&line).trim_end().to_owned());
            line.clear();
        }
    });
}

/// Whether a process of this id is there and not merely waiting to be reaped.
pub fn is_running(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        // The state follows the name, which stands in brackets and may hold any.
        .is_ok_and(|stat| {
            stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
        })
}
