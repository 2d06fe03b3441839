//! The least that the operator's role needs.

use std::collections::BTreeSet;

use super::document::{Document, Statement};
use super::need::{Need, ZonePattern};

/// Which half of the work a role does: the operator's own credentials do both,
/// unless objects name roles for either.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// The setting in SES.
    Ses,
    /// The records in Route 53.
    Dns,
}

/// How identities are read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reads {
    /// A hundred or a thousand a call. IAM cannot hold these actions to single
    /// identities (service authorization reference of SES).
    ManyAtOnce,
    /// By `ses:GetEmailIdentity`, which it can.
    OneByOne,
}

/// What a role that does these parts of the work must be allowed, and no more.
pub fn policy(need: &Need, parts: &[Part], reads: Reads) -> Document {
    let mut statements = Vec::new();
    if parts.contains(&Part::Ses) && !need.identities.is_empty() {
        statements.extend(of_ses(need, reads));
    }
    if parts.contains(&Part::Dns) && !need.names.is_empty() {
        statements.extend(of_dns(need));
    }
    if !need.roles.is_empty() {
        // Sessions are tagged with cluster and namespace.
        let assume = Statement::allow("AssumeRoles", &["sts:AssumeRole", "sts:TagSession"]);
        statements.push(assume.on(need.roles.iter().cloned()));
    }
    Document::new(statements)
}

fn of_ses(need: &Need, reads: Reads) -> [Statement; 2] {
    const MANY: [&str; 3] = [
        "ses:GetIdentityMailFromDomainAttributes",
        "ses:GetIdentityVerificationAttributes",
        "ses:ListEmailIdentities",
    ];
    let set = || need.identities.iter().cloned();
    let read: BTreeSet<String> = set().chain(need.names_as_identities.iter().cloned()).collect();
    [
        match reads {
            Reads::ManyAtOnce => Statement::allow("ReadIdentities", &MANY).on(["*"]),
            Reads::OneByOne => {
                Statement::allow("ReadIdentities", &["ses:GetEmailIdentity"]).on(read)
            }
        },
        Statement::allow("SetMailFrom", &["ses:PutEmailIdentityMailFromAttributes"]).on(set()),
    ]
}

fn of_dns(need: &Need) -> Vec<Statement> {
    let partition = need.partition.as_str();
    let arn = |zone: &ZonePattern| match zone {
        ZonePattern::Any => format!("arn:{partition}:route53:::hostedzone/*"),
        ZonePattern::One(id) => format!("arn:{partition}:route53:::hostedzone/{id}"),
    };
    // Of any zone includes of each.
    let read = match need.names.get_key_value(&ZonePattern::Any) {
        Some((any, _)) => vec![arn(any)],
        None => need.names.keys().map(arn).collect(),
    };
    let mut statements = vec![
        Statement::allow("FindZone", &["route53:ListHostedZonesByName"]).on(["*"]),
        Statement::allow("ReadRecords", &["route53:ListResourceRecordSets"]).on(read),
    ];
    for (zone, names) in &need.names {
        let sid = match zone {
            _ if need.names.len() == 1 => "PublishRecords".to_owned(),
            ZonePattern::Any => "PublishRecordsInAnyZone".to_owned(),
            ZonePattern::One(id) => format!("PublishRecordsIn{id}"),
        };
        statements.push(publish(&sid, arn(zone), names));
    }
    let change = format!("arn:{partition}:route53:::change/*");
    statements.push(Statement::allow("AwaitSync", &["route53:GetChange"]).on([change]));
    statements
}

/// Without UPSERT, which would overwrite blindly what others wrote.
fn publish(sid: &str, zone: String, names: &BTreeSet<String>) -> Statement {
    const ALL: &str = "ForAllValues:StringEquals";
    let key = |what: &str| format!("route53:ChangeResourceRecordSets{what}");
    let statement = Statement::allow(sid, &["route53:ChangeResourceRecordSets"])
        .on([zone])
        .when(ALL, key("RecordTypes"), ["MX", "TXT"])
        .when(ALL, key("Actions"), ["CREATE", "DELETE"]);
    if names.is_empty() {
        return statement;
    }
    statement.when(ALL, key("NormalizedRecordNames"), names.iter().cloned())
}
