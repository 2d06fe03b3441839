//! Who asked the API server for what, from its audit log.
//!
//! A control plane that is gone leaves its log in `harness/audit/` of the target
//! folder, one file per test binary, so that the requests of a whole suite can be
//! compared with what RBAC grants.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;

use crate::data_dir::audit_dir;
use crate::{ControlPlane, Error, Result};

/// One request that was answered, or a watch that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// When it arrived.
    pub at: Timestamp,
    /// `system:serviceaccount:<namespace>:<name>` for a ServiceAccount.
    pub user: String,
    /// RBAC's verb: get, list, watch, create, update, patch, delete, deletecollection.
    pub verb: String,
    /// The API group, empty for the core one.
    pub group: String,
    /// The plural name; empty where a path that is no resource was asked for.
    pub resource: String,
    /// Such as `status`; empty for the object itself.
    pub subresource: String,
    /// The namespace, empty where there is none.
    pub namespace: String,
    /// The object's name, empty for lists and watches.
    pub name: String,
    /// Path and query, in which field manager and selectors can be read.
    pub uri: String,
    /// The HTTP status answered.
    pub code: u16,
}

/// What RBAC grants or refuses: the part of a request that roles speak of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// The API group, empty for the core one.
    pub group: String,
    /// The plural name, with `/` and the subresource where there is one, as roles
    /// spell it.
    pub resource: String,
    /// RBAC's verb.
    pub verb: String,
}

impl Request {
    /// The permission that it needed. `None` where no resource was asked for.
    pub fn permission(&self) -> Option<Permission> {
        let resource = match (self.resource.as_str(), self.subresource.as_str()) {
            ("", _) => return None,
            (resource, "") => resource.to_owned(),
            (resource, subresource) => format!("{resource}/{subresource}"),
        };
        Some(Permission { group: self.group.clone(), resource, verb: self.verb.clone() })
    }
}

impl ControlPlane {
    /// All requests so far, in the order in which they were answered.
    pub fn requests(&self) -> Result<Vec<Request>> {
        read(&self.data_dir().join("audit.log"))
    }

    /// The requests so far of one user, such as
    /// `system:serviceaccount:ses-mailfrom-system:ses-mailfrom`.
    pub fn requests_of(&self, user: &str) -> Result<Vec<Request>> {
        let mut requests = self.requests()?;
        requests.retain(|request| request.user == user);
        Ok(requests)
    }

    /// The permissions that one user has used so far.
    pub fn permissions_used(&self, user: &str) -> Result<BTreeSet<Permission>> {
        let requests = self.requests_of(user)?;
        Ok(requests.iter().filter_map(Request::permission).collect())
    }
}

/// The requests of all control planes that ended since the folder was emptied.
pub fn kept_requests() -> Result<Vec<Request>> {
    let dir = audit_dir();
    let listing = match std::fs::read_dir(&dir) {
        Ok(listing) => listing,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(dir.display().to_string())(error)),
    };
    let mut requests = Vec::new();
    for entry in listing {
        let entry = entry.map_err(Error::io(dir.display().to_string()))?;
        requests.extend(read(&entry.path())?);
    }
    Ok(requests)
}

/// Reads one log. A last line that is still being written is left out.
pub fn read(path: &Path) -> Result<Vec<Request>> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path.display().to_string()))?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut begun = BTreeSet::new();
    let mut requests = Vec::new();
    for line in whole.lines() {
        let event: Event = serde_json::from_str(line)
            .map_err(|error| Error::Malformed(format!("{}: {error}: {line}", path.display())))?;
        // A watch is logged when it begins and again when it ends.
        let watch = event.verb == "watch";
        if event.stage == "Panic" || (watch && !begun.insert(event.audit_id.clone())) {
            continue;
        }
        requests.push(event.into());
    }
    Ok(requests)
}

/// `audit.k8s.io/v1`, Event: the part that is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(rename = "auditID")]
    audit_id: String,
    stage: String,
    #[serde(rename = "requestURI")]
    uri: String,
    verb: String,
    user: User,
    object_ref: Option<ObjectRef>,
    response_status: Option<ResponseStatus>,
    request_received_timestamp: Timestamp,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
    api_group: String,
}

#[derive(Deserialize, Default)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}

impl From<Event> for Request {
    fn from(event: Event) -> Self {
        let object = event.object_ref.unwrap_or_default();
        Self {
            at: event.request_received_timestamp,
            user: event.user.username,
            verb: event.verb,
            group: object.api_group,
            resource: object.resource,
            subresource: object.subresource,
            namespace: object.namespace,
            name: object.name,
            uri: event.uri,
            code: event.response_status.unwrap_or_default().code,
        }
    }
}
