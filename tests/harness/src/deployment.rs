use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment as Rendered;
use k8s_openapi::api::core::v1::{Container, EnvVar};
use serde_json::Value;

use crate::kubectl::parse_documents;
use crate::{Error, Result};

/// What the rendered Deployment says about how to run its one container.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployment {
    /// Its name.
    pub name: String,
    /// Its namespace, `default` where it names none.
    pub namespace: String,
    /// The ServiceAccount that its pods run as.
    pub service_account: String,
    /// Its container's command, the program first.
    pub command: Vec<String>,
    /// Its container's arguments behind the command.
    pub args: Vec<String>,
    env: Vec<EnvVar>,
}

/// A container's environment and arguments in a pod of a given name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// What follows the program.
    pub(crate) args: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
}

impl Deployment {
    /// Reads the one Deployment among YAML documents.
    pub fn from_yaml(yaml: &str) -> Result<Self> {
        Self::find(&parse_documents(yaml)?)
    }

    /// Reads the one Deployment among rendered objects, of whatever kinds.
    pub fn find(objects: &[Value]) -> Result<Self> {
        let mut found = objects.iter().filter(|object| object["kind"] == "Deployment");
        match (found.next(), found.next()) {
            (Some(deployment), None) => Self::read(deployment),
            (None, _) => Err(malformed("no Deployment among the objects")),
            (Some(_), Some(_)) => Err(malformed("more than one Deployment among the objects")),
        }
    }

    fn read(deployment: &Value) -> Result<Self> {
        let rendered: Rendered = serde_json::from_value(deployment.clone())
            .map_err(|error| malformed(&format!("the Deployment: {error}")))?;
        let pod =
            rendered.spec.template.spec.ok_or_else(|| malformed("the Deployment has no pod"))?;
        let [container] = <[Container; 1]>::try_from(pod.containers)
            .map_err(|_| malformed("the Deployment has not exactly one container"))?;
        if container.env_from.is_some_and(|from| !from.is_empty()) {
            return Err(malformed("envFrom cannot be resolved without a cluster"));
        }
        Ok(Self {
            name: rendered.metadata.name.unwrap_or_default(),
            namespace: rendered.metadata.namespace.unwrap_or_else(|| "default".to_owned()),
            service_account: pod.service_account_name.unwrap_or_else(|| "default".to_owned()),
            command: container
                .command
                .filter(|command| !command.is_empty())
                .ok_or_else(|| malformed("the container names no command"))?,
            args: container.args.unwrap_or_default(),
            env: container.env.unwrap_or_default(),
        })
    }

    /// The user name that the API server knows its pods by.
    pub fn user(&self) -> String {
        let (namespace, name) = (&self.namespace, &self.service_account);
        format!("system:serviceaccount:{namespace}:{name}")
    }

    /// What a kubelet would make of it for a pod called `pod`.
    pub(crate) fn resolve(&self, pod: &str) -> Result<Resolved> {
        let mut env = BTreeMap::new();
        for variable in &self.env {
            if let Some(value) = self.value(variable, pod)? {
                let value = expand(&value, &env);
                env.insert(variable.name.clone(), value);
            }
        }
        let args = self.command.iter().skip(1).chain(&self.args);
        let args = args.map(|arg| expand(arg, &env)).collect();
        Ok(Resolved { args, env })
    }

    fn value(&self, variable: &EnvVar, pod: &str) -> Result<Option<String>> {
        let Some(source) = &variable.value_from else {
            return Ok(Some(variable.value.clone().unwrap_or_default()));
        };
        if let Some(field) = &source.field_ref {
            return match field.field_path.as_str() {
                "metadata.name" => Ok(Some(pod.to_owned())),
                "metadata.namespace" => Ok(Some(self.namespace.clone())),
                "spec.serviceAccountName" => Ok(Some(self.service_account.clone())),
                "status.podIP" => Ok(Some(crate::own_loopback().to_string())),
                other => Err(malformed(&format!("no pod here has a {other}"))),
            };
        }
        let secret = source.secret_key_ref.as_ref().and_then(|key| key.optional);
        let config = source.config_map_key_ref.as_ref().and_then(|key| key.optional);
        if secret.or(config) == Some(true) {
            return Ok(None);
        }
        let name = &variable.name;
        Err(malformed(&format!("{name} cannot be resolved without a cluster")))
    }
}

/// Kubernetes' `$(NAME)`: an unknown name stays as it is, `$$` is one `$`.
fn expand(text: &str, env: &BTreeMap<String, String>) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let reference = after
            .strip_prefix('(')
            .and_then(|inner| inner.split_once(')'))
            .and_then(|(name, rest)| Some((env.get(name)?, rest)));
        if let Some((value, behind)) = reference {
            expanded.push_str(value);
            rest = behind;
        } else {
            expanded.push('$');
            rest = after.strip_prefix('$').unwrap_or(after);
        }
    }
    expanded + rest
}

fn malformed(what: &str) -> Error {
    Error::Malformed(what.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const MANIFESTS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: system}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: op, namespace: system}
spec:
  selector: {}
  template:
    spec:
      serviceAccountName: robot
      containers:
      - name: op
        command: [/op, run]
        args: ['--who=$(POD)', '--in', '$(NAMESPACE)', '$(NOBODY)', '$$(POD)']
        env:
        - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
        - {name: FULL, value: $(NAMESPACE)/$(POD)}
";

    #[test]
    fn a_deployment_is_read_as_a_kubelet_would() {
        let deployment = Deployment::from_yaml(MANIFESTS).unwrap();
        assert_eq!(deployment.user(), "system:serviceaccount:system:robot");
        let resolved = deployment.resolve("op-1").unwrap();
        let args = ["run", "--who=op-1", "--in", "system", "$(NOBODY)", "$(POD)"];
        assert_eq!(resolved.args, args);
        assert_eq!(resolved.env["FULL"], "system/op-1");
    }

    #[test]
    fn what_only_a_cluster_knows_is_refused_by_name() {
        let node = MANIFESTS.replace("metadata.name}", "spec.nodeName}");
        let refused = Deployment::from_yaml(&node).unwrap().resolve("op-1");
        assert!(refused.unwrap_err().to_string().contains("spec.nodeName"));
    }
}
