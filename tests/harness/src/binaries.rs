use std::path::PathBuf;

use crate::data_dir::workspace_dir;
use crate::{Error, Result};

/// The three programs of a control plane.
#[derive(Debug, Clone)]
pub(crate) struct Binaries {
    pub(crate) etcd: PathBuf,
    pub(crate) kube_apiserver: PathBuf,
    pub(crate) kubectl: PathBuf,
}

impl Binaries {
    /// Finds them in the folder named by `KUBEBUILDER_ASSETS`, which holds
    /// ready-made ones, else by `CONTROL_PLANE_BIN`, else in
    /// `target/control-plane`.
    pub(crate) fn find() -> Result<Self> {
        let (dir, by) = folder(|name| std::env::var_os(name).map(PathBuf::from));
        let tool = |tool: &'static str| {
            let path = dir.join(tool);
            if path.is_file() {
                Ok(path)
            } else {
                let dir = dir.clone();
                Err(Error::MissingBinary { tool, dir, by })
            }
        };
        Ok(Self {
            etcd: tool("etcd")?,
            kube_apiserver: tool("kube-apiserver")?,
            kubectl: tool("kubectl")?,
        })
    }
}

/// The folder, and the variable that named it or could have.
fn folder(variable: impl Fn(&str) -> Option<PathBuf>) -> (PathBuf, &'static str) {
    // `make` exports KUBEBUILDER_ASSETS even where it is empty.
    ["KUBEBUILDER_ASSETS", "CONTROL_PLANE_BIN"]
        .into_iter()
        .find_map(|name| {
            let dir = variable(name).filter(|dir| !dir.as_os_str().is_empty())?;
            // Tests run in their package's folder, make in the workspace's.
            Some((workspace_dir().join(dir), name))
        })
        .unwrap_or_else(|| {
            let default = workspace_dir().join("target").join("control-plane");
            (default, "CONTROL_PLANE_BIN")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_made_programs_win_over_built_ones_and_empty_is_unset() {
        let set = |ready: &'static str, built: &'static str| {
            folder(move |name| {
                let ready_made = name == "KUBEBUILDER_ASSETS";
                Some(PathBuf::from(if ready_made { ready } else { built }))
            })
        };
        assert_eq!(set("/ready", "/built").0, PathBuf::from("/ready"));
        let built = (PathBuf::from("/built"), "CONTROL_PLANE_BIN");
        assert_eq!(set("", "/built"), built);
        assert_eq!(set("", "").0, workspace_dir().join("target/control-plane"));
    }
}
