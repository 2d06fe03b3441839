use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Error, Result};

/// Waits for the end of the process that started it, keeps the audit log and
/// removes the folder. Servers that are just being killed may still write into
/// it, so it looks again until the folder stays away.
const SWEEPER: &str = r#"
read -r _
if test -s "$1/audit.log"; then mkdir -p "${2%/*}" && mv -f "$1/audit.log" "$2"; fi
n=0
while test $n -lt 100; do
    rm -rf "$1" 2>/dev/null
    sleep 0.1
    test -e "$1" || exit 0
    n=$((n + 1))
done
"#;

/// A folder under the target folder that does not outlive this process, however
/// it ends: statics are never dropped, so a process of its own removes it.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    sweeper: Child,
}

impl DataDir {
    /// Makes an empty folder.
    pub(crate) fn new() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let root = target_dir().join("harness");
        let path = root.join(format!("{}-{number}", std::process::id()));
        // One of the same pid, from before a reboot or in another container.
        if path.exists() {
            std::fs::remove_dir_all(&path)
                .map_err(Error::io(format!("remove {}", path.display())))?;
        }
        std::fs::create_dir_all(&path).map_err(Error::io(format!("make {}", path.display())))?;
        let kept = kept_audit_log(&root, number);
        let sweeper = Command::new("/bin/sh")
            .args(["-c", SWEEPER, "sh"])
            .args([&path, &kept])
            // Or a Ctrl-C would end it before its work begins.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(Error::io("start the process that removes the data folder"))?;
        Ok(Self { path, sweeper })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        drop(self.sweeper.stdin.take());
        // It can only fail where the sweeper was already waited for.
        let _ = self.sweeper.wait();
    }
}

/// The workspace's folder: the current one, or the next above it that holds
/// Cargo.lock. Cargo and make start in it or below it. A path that was compiled in
/// would be another checkout's where two of them share a target folder.
pub fn workspace_dir() -> PathBuf {
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let holds = |dir: &&Path| dir.join("Cargo.lock").is_file();
    here.ancestors().find(holds).unwrap_or(&here).to_owned()
}

/// Cargo's target folder: `CARGO_TARGET_DIR`, else `target` of the workspace.
pub fn target_dir() -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").filter(|dir| !dir.is_empty());
    named.map_or_else(|| workspace_dir().join("target"), |dir| workspace_dir().join(dir))
}

/// Where audit logs are kept after their control plane is gone.
pub(crate) fn audit_dir() -> PathBuf {
    target_dir().join("harness").join("audit")
}

/// One file per test binary and control plane. A test binary's name ends in a
/// hash that changes with its source, which would let old runs pile up.
fn kept_audit_log(root: &Path, number: u32) -> PathBuf {
    let exe = std::env::current_exe().unwrap_or_default();
    let stem = exe.file_stem().unwrap_or_default().to_string_lossy();
    let name = match stem.rsplit_once('-') {
        Some((name, hash)) if hash.len() == 16 => name,
        _ => &stem,
    };
    root.join("audit").join(format!("{name}-{number}.log"))
}
