use std::time::Duration;

use harness::{Objects, condition, wait_until};
use serde_json::Value;

use crate::Failure;
use crate::aws::{self, MAIL_FROM, REGIONS};
use crate::setting::Setting;

/// How long any one chapter may take.
const LIMIT: Duration = Duration::from_secs(40);

/// Where the samples are applied.
const NAMESPACE: &str = "default";

/// An MX that is nobody's here.
const FOREIGN_MX: &str = "10 mail.elsewhere.example";

/// Route 53's only write to a zone.
const CHANGE: &str = "ChangeResourceRecordSets";

/// How the operator looks at a name.
const LIST: &str = "ListResourceRecordSets";

/// What marks a TXT value as the operator's sign of ownership.
const MARKER: &str = "ses-mailfrom-owner=";

/// Tells the whole, or all but the end where everything is kept.
pub(crate) async fn tell(setting: &Setting, keep: bool) -> Result<(), Failure> {
    apply_samples(setting).await?;
    repair(setting).await?;
    conflict(setting).await?;
    recover(setting).await?;
    if !keep {
        delete(setting).await?;
    }
    Ok(())
}

async fn apply_samples(setting: &Setting) -> Result<(), Failure> {
    setting.chapter("Two objects: one in two regions, one whose zone nobody delegates to").await;
    println!("$ kubectl apply -f deploy/samples/");
    setting.plane.apply_folder("deploy/samples", NAMESPACE).await?;
    ready(setting, "example-com is Ready").await?;
    let undelegated =
        |objects: &Objects| reason(objects, "undelegated-example", "ZoneNotDelegated");
    let what = "undelegated-example says that its zone is not delegated";
    setting.objects.wait_for(what, LIMIT, undelegated).await?;
    Ok(())
}

async fn repair(setting: &Setting) -> Result<(), Failure> {
    setting.chapter("Someone deletes the MX").await;
    let ours = aws::mx(&setting.simulator);
    aws::delete_mx(&setting.simulator)?;
    repaired(setting, &ours).await
}

async fn conflict(setting: &Setting) -> Result<(), Failure> {
    setting.chapter("Someone puts another MX in its place").await;
    let changes = aws::zone_calls(&setting.simulator, CHANGE);
    aws::put_mx(&setting.simulator, FOREIGN_MX)?;
    let conflict = |objects: &Objects| reason(objects, "example-com", "RecordConflict");
    let what = "example-com reports the conflict";
    setting.objects.wait_for(what, LIMIT, conflict).await?;

    // It has been looked at again and again, and is what it was.
    let looks = aws::zone_calls(&setting.simulator, LIST);
    wait_until("three more looks at the zone", LIMIT, async || {
        match aws::zone_calls(&setting.simulator, LIST) - looks {
            fresh @ 0..3 => Err(format!("{fresh} looks")),
            _ => Ok(()),
        }
    })
    .await?;
    let mx = aws::mx(&setting.simulator);
    let fresh = aws::zone_calls(&setting.simulator, CHANGE) - changes;
    if mx != [FOREIGN_MX] || fresh != 0 {
        return Err(format!("the foreign MX was touched: now {mx:?}, {fresh} changes").into());
    }
    println!("Looked at three times more, and untouched: {MAIL_FROM} MX {FOREIGN_MX}");
    Ok(())
}

async fn recover(setting: &Setting) -> Result<(), Failure> {
    setting.chapter("Someone takes the foreign MX away again").await;
    let ours = format!("10 feedback-smtp.{}.amazonses.com", REGIONS[0]);
    aws::delete_mx(&setting.simulator)?;
    repaired(setting, &[ours]).await
}

async fn delete(setting: &Setting) -> Result<(), Failure> {
    setting.chapter("The object is deleted, with deletionPolicy RetainDNS, the default").await;
    println!("$ kubectl delete sesmailfrom example-com");
    let command = ["delete", "sesmailfrom", "example-com", "--timeout=40s", "-n", NAMESPACE];
    setting.plane.kubectl(command).await?;
    setting.all_is_told().await;

    let mut wrong = Vec::new();
    for region in REGIONS {
        let held = aws::mail_from(&setting.simulator, region);
        println!("SES {region} holds MAIL FROM {held:?}");
        if !held.is_empty() {
            wrong.push(format!("SES {region} still holds {held}"));
        }
    }
    let (mx, txt) = (aws::mx(&setting.simulator), aws::txt(&setting.simulator));
    println!("DNS holds {MAIL_FROM} MX {mx:?}, TXT {txt:?}");
    if mx.is_empty() || !txt.iter().any(|value| value.contains("v=spf1")) {
        wrong.push("the records that late bounces need are gone".to_owned());
    }
    if txt.iter().any(|value| value.contains(MARKER)) {
        wrong.push("the marker of ownership is left".to_owned());
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ").into()) }
}

/// Waits until the MX is `wanted` again and the object Ready.
async fn repaired(setting: &Setting, wanted: &[String]) -> Result<(), Failure> {
    wait_until("the MX is put back", LIMIT, async || {
        let mx = aws::mx(&setting.simulator);
        if mx == wanted { Ok(()) } else { Err(format!("MX {mx:?}")) }
    })
    .await?;
    ready(setting, "example-com is Ready again").await
}

async fn ready(setting: &Setting, what: &str) -> Result<(), Failure> {
    let ready = |objects: &Objects| {
        let ready = ready_condition(objects, "example-com")?;
        if ready["status"] == "True" { Ok(()) } else { Err(ready.to_string()) }
    };
    Ok(setting.objects.wait_for(what, LIMIT, ready).await?)
}

fn reason(objects: &Objects, name: &str, wanted: &str) -> Result<(), String> {
    let ready = ready_condition(objects, name)?;
    if ready["reason"] == wanted { Ok(()) } else { Err(ready.to_string()) }
}

fn ready_condition(objects: &Objects, name: &str) -> Result<Value, String> {
    let object = objects.get(&format!("{NAMESPACE}/{name}"));
    let object = object.ok_or_else(|| format!("no {name}"))?;
    let ready = condition(object, "Ready").cloned();
    ready.ok_or_else(|| format!("{name} has no condition Ready"))
}
