//! A Job in a tenant's cluster, made once from the template of a CronJob that the tenant's people keep there.

use std::time::Duration;

use fleet_api::labels;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::remote::{Fault, Place, Remote, Resource, Writing};

/// For how long a Job that has ended is kept, so that people can read its log: three days.
const KEPT_SECONDS: i64 = 3 * 24 * 60 * 60;

/// Which Job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRun {
    /// The namespace.
    pub namespace: String,
    /// The CronJob whose template is run.
    pub cron_job: String,
    /// The Job's name. The same name is the same run: it is made once.
    pub name: String,
    /// After how long a Job that has not ended counts as failed.
    pub deadline: Duration,
}

/// How far a Job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// It has not ended.
    Running,
    /// It ended well.
    Succeeded,
    /// It failed, for this reason.
    Failed(String),
}

/// Makes the Job, if it is not there, and tells how far it is.
///
/// # Errors
/// The API server does not do its part, or the CronJob is not there.
pub async fn run_job(remote: &Remote, run: &JobRun, now: Timestamp) -> Result<JobState, Fault> {
    let jobs = Resource::new("batch/v1", "Job");
    let place = Place { resource: &jobs, namespace: Some(&run.namespace), name: &run.name };
    match remote.get(place, None).await {
        Ok(job) => return Ok(state_of(&job, run, now)),
        Err(fault) if fault.is_not_found() => {}
        Err(fault) => return Err(fault),
    }
    let cron_jobs = Resource::new("batch/v1", "CronJob");
    let place = Place { resource: &cron_jobs, namespace: Some(&run.namespace), name: &run.cron_job };
    let cron_job = remote.get(place, None).await?;
    match remote.create(&jobs, Some(&run.namespace), &job_of(&cron_job, run), Writing::default()).await {
        Ok(_) => Ok(JobState::Running),
        // Somebody made it in between, and that can only be another run of this check.
        Err(fault) if fault.is_conflict() => Ok(JobState::Running),
        Err(fault) => Err(fault),
    }
}

fn job_of(cron_job: &Value, run: &JobRun) -> Value {
    let mut spec = cron_job.pointer("/spec/jobTemplate/spec").cloned().unwrap_or_else(|| json!({}));
    let seconds = i64::try_from(run.deadline.as_secs()).unwrap_or(i64::MAX).max(1);
    let own = spec.get("activeDeadlineSeconds").and_then(Value::as_i64).unwrap_or(i64::MAX);
    spec["activeDeadlineSeconds"] = json!(own.min(seconds));
    spec["ttlSecondsAfterFinished"] = json!(KEPT_SECONDS);
    let template = |field: &str| {
        let found = cron_job.pointer(&format!("/spec/jobTemplate/metadata/{field}")).cloned();
        found.filter(Value::is_object).unwrap_or_else(|| json!({}))
    };
    let mut own_labels = template("labels");
    own_labels[labels::MANAGED_BY] = json!(labels::MANAGED_BY_FLEET);
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": run.name,
            "namespace": run.namespace,
            "labels": own_labels,
            "annotations": template("annotations"),
        },
        "spec": spec,
    })
}

fn state_of(job: &Value, run: &JobRun, now: Timestamp) -> JobState {
    let conditions = job.pointer("/status/conditions").and_then(Value::as_array);
    let holds = |type_: &str| {
        conditions.into_iter().flatten().find(|one| {
            one.get("type").and_then(Value::as_str) == Some(type_)
                && one.get("status").and_then(Value::as_str) == Some("True")
        })
    };
    if holds("Complete").is_some() {
        return JobState::Succeeded;
    }
    if let Some(failed) = holds("Failed") {
        let why = failed.get("message").and_then(Value::as_str).unwrap_or("the Job gives no reason");
        return JobState::Failed(why.chars().take(300).collect());
    }
    let made_at = job.pointer("/metadata/creationTimestamp").and_then(Value::as_str);
    let lasted = made_at.and_then(|text| text.parse::<Timestamp>().ok()).map(|at| at.duration_until(now));
    // The Job has the same deadline itself; where no controller runs it, nobody else would say so.
    match lasted.and_then(|lasted| Duration::try_from(lasted).ok()) {
        Some(lasted) if lasted > run.deadline => {
            JobState::Failed(format!("it has not ended within {} s", run.deadline.as_secs()))
        }
        _ => JobState::Running,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> JobRun {
        JobRun {
            namespace: "shop".to_owned(),
            cron_job: "smoke".to_owned(),
            name: "fleet-gate-1".to_owned(),
            deadline: Duration::from_secs(600),
        }
    }

    #[test]
    fn a_job_is_made_from_the_template_with_our_deadline_and_our_label() {
        let cron_job = json!({ "spec": { "jobTemplate": {
            "metadata": { "labels": { "app": "smoke" } },
            "spec": { "activeDeadlineSeconds": 900, "backoffLimit": 1, "template": { "spec": {} } },
        } } });
        let job = job_of(&cron_job, &run());
        assert_eq!(job["spec"]["activeDeadlineSeconds"], 600);
        assert_eq!(job["spec"]["backoffLimit"], 1);
        assert_eq!(
            job["metadata"]["labels"],
            json!({ "app": "smoke", "app.kubernetes.io/managed-by": "fleet" })
        );
    }

    #[test]
    fn a_job_is_judged_by_its_conditions_and_by_its_deadline() {
        let now: Timestamp = "2026-11-24T12:30:00Z".parse().unwrap();
        let job = |made: &str, conditions: Value| {
            let job =
                json!({ "metadata": { "creationTimestamp": made }, "status": { "conditions": conditions } });
            state_of(&job, &run(), now)
        };
        let early = "2026-11-24T12:00:00Z";
        let complete = json!([{ "type": "Complete", "status": "True" }]);
        assert_eq!(job(early, complete), JobState::Succeeded);
        let failed = json!([{ "type": "Failed", "status": "True", "message": "exit 1" }]);
        assert_eq!(job(early, failed), JobState::Failed("exit 1".to_owned()));
        assert_eq!(job("2026-11-24T12:25:00Z", json!([])), JobState::Running);
        assert!(matches!(job(early, json!([])), JobState::Failed(_)));
    }
}
