//! The CustomResourceDefinitions as the API server gets them.

use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::{SesMailFrom, SesMailFromPolicy};

/// Why the CustomResourceDefinition cannot be printed.
#[derive(Debug, thiserror::Error)]
pub enum CrdError {
    /// The schema derived from the Rust types is not JSON.
    #[error("the CustomResourceDefinition is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The JSON cannot be written as YAML.
    #[error("the CustomResourceDefinition cannot be written as YAML: {0}")]
    Yaml(#[from] serde_yaml_ng::Error),
}

/// A CustomResourceDefinition as it is installed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Crd {
    /// Its file in `crds/`.
    pub file: String,
    /// A YAML document.
    pub yaml: String,
}

/// Every CustomResourceDefinition: what `ses-mailfrom crd` prints and `crds/` holds.
pub fn crds() -> Result<Vec<Crd>, CrdError> {
    [mail_from()?, policy()?].iter().map(rendered).collect()
}

fn rendered(crd: &Value) -> Result<Crd, CrdError> {
    let yaml = serde_yaml_ng::to_string(crd)?;
    let plural = crd["spec"]["names"]["plural"].as_str().unwrap_or_default();
    Ok(Crd {
        file: format!("mailfrom.dev_{plural}.yaml"),
        yaml: format!("# Generated from src/api by `make generate`; do not edit.\n{yaml}"),
    })
}

const SCHEMA: &str = "/spec/versions/0/schema/openAPIV3Schema";

/// What kube derives from the types, less what the API server would take the
/// wrong way.
fn mail_from() -> Result<Value, CrdError> {
    let mut crd = serde_json::to_value(SesMailFrom::crd())?;
    if let Some(root) = crd.pointer_mut(SCHEMA) {
        polish(root);
        if let Some(status) = root.pointer_mut("/properties/status") {
            drop_defaults(status);
            // The API server fills this in before anybody sees a new object,
            // so that kstatus and `kubectl wait` never take it for a settled one.
            status["default"] = json!({ "observedGeneration": -1 });
            status["properties"]["observedGeneration"]["default"] = json!(-1);
        }
    }
    Ok(crd)
}

fn policy() -> Result<Value, CrdError> {
    let mut crd = serde_json::to_value(SesMailFromPolicy::crd())?;
    crd.pointer_mut(SCHEMA).map(polish);
    Ok(crd)
}

/// Takes out `nullable`, which every `Option` brings and with which an explicit
/// null would pass for a value and skip the default; writes whole numbers as
/// such; and joins the lines of descriptions, which clients wrap themselves.
fn polish(schema: &mut Value) {
    visit(schema, &mut |object| {
        object.remove("nullable");
        for bound in ["minimum", "maximum"] {
            if let Some(value) = object.get_mut(bound) {
                *value = value.as_f64().map_or(Value::Null, |number| whole(number).into());
            }
        }
        if let Some(Value::String(text)) = object.get_mut("description") {
            let paragraphs = text.split("\n\n").map(|p| p.replace('\n', " "));
            *text = paragraphs.collect::<Vec<_>>().join("\n\n");
        }
        // What a list of plain values holds, the list's own description says.
        if let Some(Value::Object(item)) = object.get_mut("items")
            && item.get("type").is_some_and(|kind| kind == "string")
        {
            item.remove("description");
        }
    });
}

/// The bounds in this API are small whole numbers, which `f64` holds exactly.
#[allow(clippy::cast_possible_truncation)]
fn whole(number: f64) -> i64 {
    number as i64
}

/// Defaults inside `status` would be values that nobody wrote: they serve Rust,
/// when it reads what an older operator left.
fn drop_defaults(status: &mut Value) {
    visit(status, &mut |object| {
        object.remove("default");
    });
}

/// Calls `f` with every schema at or below `schema`.
fn visit(schema: &mut Value, f: &mut impl FnMut(&mut serde_json::Map<String, Value>)) {
    let Value::Object(object) = schema else { return };
    f(object);
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        properties.values_mut().for_each(|property| visit(property, f));
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = object.get_mut(key) {
            visit(inner, f);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Every schema at or below the roots of both CRDs, with its path; those of
    /// the policy begin with `policy`.
    fn schemas() -> Vec<(String, Value)> {
        fn walk(path: &str, schema: &Value, out: &mut Vec<(String, Value)>) {
            out.push((path.to_owned(), schema.clone()));
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                walk(&format!("{path}.{name}"), property, out);
            }
            if schema["items"].is_object() {
                walk(&format!("{path}[]"), &schema["items"], out);
            }
        }
        let (crd, policy) = (mail_from().unwrap(), policy().unwrap());
        let properties = |crd: &Value| crd.pointer(SCHEMA).unwrap()["properties"].clone();
        let mut out = Vec::new();
        walk("spec", &properties(&crd)["spec"], &mut out);
        walk("status", &properties(&crd)["status"], &mut out);
        walk("policy", &properties(&policy)["spec"], &mut out);
        out
    }

    #[test]
    fn every_string_list_and_integer_is_bounded() {
        for (path, schema) in schemas() {
            let has = |key: &str| schema.get(key).is_some();
            let bounded = match schema["type"].as_str().unwrap() {
                "string" => has("maxLength") || has("enum") || schema["format"] == "date-time",
                "array" => has("maxItems"),
                "integer" => has("minimum") && (has("maximum") || path.starts_with("status")),
                "object" => has("properties") || has("maxProperties"),
                _ => false,
            };
            assert!(bounded, "{path} is unbounded: {schema}");
        }
    }

    #[test]
    fn nothing_is_nullable() {
        assert!(schemas().iter().all(|(_, schema)| schema.get("nullable").is_none()));
    }

    #[test]
    fn every_field_is_explained_and_those_of_the_spec_name_default_and_example() {
        for (path, schema) in schemas() {
            let text = schema["description"].as_str().unwrap_or_default();
            let item = path.ends_with("[]") || !path.contains('.');
            assert!(!text.is_empty() || item, "{path} has no description");
            let requirement = path.contains("matchExpressions[].");
            if item || path.starts_with("status") || requirement {
                continue;
            }
            let default = match schema.get("default") {
                Some(Value::String(word)) => format!("Default: {word}."),
                Some(value) if value.is_object() => format!("Default: {value}, "),
                Some(value) => format!("Default: {value}."),
                None => "Default: ".to_owned(),
            };
            assert!(text.contains(&default), "{path} does not say \"{default}\": {text}");
            assert!(text.contains("Example: `"), "{path} has no example: {text}");
        }
    }

    #[test]
    fn the_only_defaults_of_status_are_of_its_generation() {
        let with_default: Vec<_> = schemas()
            .into_iter()
            .filter(|(path, schema)| path.starts_with("status") && schema.get("default").is_some())
            .map(|(path, schema)| (path, schema["default"].clone()))
            .collect();
        let expected = [
            ("status".to_owned(), json!({ "observedGeneration": -1 })),
            ("status.observedGeneration".to_owned(), json!(-1)),
        ];
        assert_eq!(with_default, expected);
    }

    #[test]
    fn what_is_explained_as_immutable_has_a_transition_rule() {
        let compares =
            |schema: &Value| schema["x-kubernetes-validations"].to_string().contains("oldSelf");
        let all = schemas();
        let immutable = |(_, schema): &&(String, Value)| {
            schema["description"]
                .as_str()
                .is_some_and(|text| text.to_lowercase().contains("immutable"))
        };
        let paths: Vec<_> = all.iter().filter(immutable).map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["spec.dns.hostedZoneID", "spec.dns.provider", "spec.domain"]);
        for path in ["spec.dns", "spec.dns.provider", "spec.domain"] {
            let (_, schema) = all.iter().find(|(other, _)| other == path).unwrap();
            assert!(compares(schema), "{path} has no transition rule");
        }
    }

    #[test]
    fn the_crds_stay_under_100_kb() {
        assert!(crds().unwrap().iter().all(|crd| crd.yaml.len() < 100_000));
    }
}
