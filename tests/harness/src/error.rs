use std::path::PathBuf;

use crate::TimedOut;

/// Why a part of the test bench could not be started, asked or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file, socket or process could not be used.
    #[error("{what}: {source}")]
    Io {
        /// What was attempted, with the path or address.
        what: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A program of the control plane is not there.
    #[error(
        "no {tool} in {}: run `make control-plane`, or name a folder that has it by {by}",
        dir.display()
    )]
    MissingBinary {
        /// The program's file name.
        tool: &'static str,
        /// Where it was looked for.
        dir: PathBuf,
        /// The environment variable that names the folder.
        by: &'static str,
    },
    /// A process that should be running has ended.
    #[error("{process} ended with exit code {code}; its last lines:\n{tail}")]
    Died {
        /// The process's name.
        process: String,
        /// Its exit code, 128 + n for signal n.
        code: i32,
        /// The end of its output.
        tail: String,
    },
    /// A condition did not come about.
    #[error(transparent)]
    TimedOut(#[from] TimedOut),
    /// A command failed.
    #[error("`{command}` failed with exit code {code}:\n{stderr}")]
    Command {
        /// The command line.
        command: String,
        /// Its exit code, -1 where a signal ended it.
        code: i32,
        /// What it said.
        stderr: String,
    },
    /// The API server refused or could not be reached.
    #[error("{what}: {source}")]
    Kube {
        /// What was asked.
        what: String,
        /// kube's error.
        source: Box<kube::Error>,
    },
    /// A manifest, kubeconfig or audit line does not read as what it should be.
    #[error("{0}")]
    Malformed(String),
    /// The operator would be started without everything that keeps it away from
    /// the real AWS.
    #[error("the operator is not started: {0}")]
    Unsafe(String),
}

impl Error {
    /// An I/O error with what was attempted.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// An error of the API server with what was asked.
    pub(crate) fn kube(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |source| Self::Kube { what, source: Box::new(source) }
    }
}
