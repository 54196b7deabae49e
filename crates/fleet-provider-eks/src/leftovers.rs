//! The sweep after a deletion: what still carries our ownership tag, or the cluster's name, although the cluster
//! is gone. It only reads. One list that cannot be read makes the whole answer unknown, never shorter.

use std::collections::BTreeMap;

use fleet_api::{
    eks::{ClusterTarget, Leftover},
    labels,
};
use fleet_provider::ErrorClass;
use futures::future::try_join;
use serde::Deserialize;
use serde_json::json;

use crate::{
    error::CallError,
    launch_template::{self, Parameters},
    operations::Service,
    session::Session,
    signed::Call,
    xml::{self, Node},
};

/// A list of EC2 and what a leftover in it looks like.
struct Sweep {
    operation: &'static str,
    /// The element of the answer that holds the items.
    list: &'static str,
    id: &'static str,
    kind: &'static str,
    /// The state that counts, as a filter; all states when `None`.
    state: Option<(&'static str, &'static [&'static str])>,
    why: fn(&Node<'_>) -> String,
}

const SWEEPS: [Sweep; 3] = [
    Sweep {
        operation: "DescribeVolumes",
        list: "volumeSet",
        id: "volumeId",
        kind: "volume",
        state: None,
        why: |item| {
            let state = item.text("status").unwrap_or_else(|| "of unknown state".to_owned());
            format!("it holds data, is {state}, and is deleted only by hand")
        },
    },
    Sweep {
        operation: "DescribeNetworkInterfaces",
        list: "networkInterfaceSet",
        id: "networkInterfaceId",
        kind: "network interface",
        state: Some(("status", &["available"])),
        why: |_| {
            "it is attached to nothing, and keeps its subnet and security groups from being deleted"
                .to_owned()
        },
    },
    Sweep {
        operation: "DescribeSecurityGroups",
        list: "securityGroupInfo",
        id: "groupId",
        kind: "security group",
        state: None,
        why: |_| "a controller in the cluster made it, and was gone before it could delete it".to_owned(),
    },
];

/// Everything that is left of a cluster.
pub(crate) async fn sweep(session: &Session, target: &ClusterTarget) -> Result<Vec<Leftover>, CallError> {
    let (ec2, others) = try_join(sweep_ec2(session, target), sweep_others(session, target)).await?;
    let found: BTreeMap<String, Leftover> =
        ec2.into_iter().chain(others).map(|leftover| (leftover.id.clone(), leftover)).collect();
    Ok(found.into_values().collect())
}

async fn sweep_ec2(session: &Session, target: &ClusterTarget) -> Result<Vec<Leftover>, CallError> {
    let mut found = Vec::new();
    for sweep in &SWEEPS {
        for tag in tags(target) {
            let parameters = filters(&tag, sweep.state);
            found.extend(
                xml::pages(session, sweep.operation, parameters, |page| {
                    page.items(sweep.list)
                        .filter_map(|item| {
                            Some(Leftover {
                                id: item.text(sweep.id)?,
                                kind: sweep.kind.to_owned(),
                                why: (sweep.why)(&item),
                            })
                        })
                        .collect()
                })
                .await?,
            );
        }
    }
    for tag in tags(target) {
        let parameters =
            filters(&tag, Some(("instance-state-name", &["pending", "running", "stopping", "stopped"])));
        found.extend(xml::pages(session, "DescribeInstances", parameters, instances).await?);
    }
    let templates = launch_template::owned_by(session, &target.owner_uid, None).await?;
    found.extend(templates.into_iter().map(|template| Leftover {
        id: template.id,
        kind: "launch template".to_owned(),
        why: format!("{} was not deleted", template.name),
    }));
    Ok(found)
}

fn instances(page: Node<'_>) -> Vec<Leftover> {
    page.items("reservationSet")
        .flat_map(|reservation| reservation.items("instancesSet").collect::<Vec<_>>())
        .filter_map(|instance| {
            let state = instance.child("instanceState").and_then(|state| state.text("name"));
            Some(Leftover {
                id: instance.text("instanceId")?,
                kind: "instance".to_owned(),
                why: format!("it is {}", state.as_deref().unwrap_or("of unknown state")),
            })
        })
        .collect()
}

/// The tags that say that something belongs to a cluster, as filters of EC2: ours, that of the cloud controllers,
/// that of the VPC network plugin, and that of EKS itself.
fn tags(target: &ClusterTarget) -> [(String, String); 4] {
    let name = target.cluster_name.clone();
    [
        (format!("tag:{}", labels::TAG_OWNER), target.owner_uid.clone()),
        (format!("tag:kubernetes.io/cluster/{name}"), "owned".to_owned()),
        ("tag:cluster.k8s.amazonaws.com/name".to_owned(), name.clone()),
        ("tag:aws:eks:cluster-name".to_owned(), name),
    ]
}

fn filters((tag, value): &(String, String), state: Option<(&str, &[&str])>) -> Parameters {
    let mut parameters = Parameters::default();
    parameters.filter(1, tag, &[value]);
    if let Some((name, values)) = state {
        parameters.filter(2, name, values);
    }
    parameters
}

async fn sweep_others(session: &Session, target: &ClusterTarget) -> Result<Vec<Leftover>, CallError> {
    let name = &target.cluster_name;
    let by_tag = [
        (labels::TAG_OWNER.to_owned(), target.owner_uid.clone()),
        (format!("kubernetes.io/cluster/{name}"), "owned".to_owned()),
        ("elbv2.k8s.aws/cluster".to_owned(), name.clone()),
    ];
    let mut found = Vec::new();
    for (key, value) in &by_tag {
        found.extend(tagged(session, key, value).await?.into_iter().filter_map(|arn| of_arn(&arn)));
    }
    found.extend(log_groups(session, &format!("/aws/eks/{name}/cluster")).await?);
    Ok(found)
}

/// A leftover that is known by its ARN. What EKS and EC2 answer for themselves is left out here, because the
/// tagging service remembers deleted things for a while.
fn of_arn(arn: &str) -> Option<Leftover> {
    let mut parts = arn.splitn(6, ':').skip(2);
    let service = parts.next()?;
    let resource = parts.nth(2)?;
    let (kind, why) = match service {
        "eks" | "ec2" | "logs" => return None,
        "elasticloadbalancing" if resource.starts_with("loadbalancer/") => {
            ("load balancer".to_owned(), "its Service or Ingress was not deleted while its controller ran")
        }
        "elasticloadbalancing" if resource.starts_with("targetgroup/") => {
            ("target group".to_owned(), "its load balancer's controller was gone before it could delete it")
        }
        other => (other.to_owned(), "it carries the cluster's tags"),
    };
    Some(Leftover { id: arn.to_owned(), kind, why: why.to_owned() })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TaggedPage {
    #[serde(default)]
    pagination_token: Option<String>,
    resource_tag_mapping_list: Vec<TaggedResource>,
}

#[derive(Deserialize)]
struct TaggedResource {
    #[serde(rename = "ResourceARN")]
    arn: String,
}

async fn tagged(session: &Session, key: &str, value: &str) -> Result<Vec<String>, CallError> {
    let mut found = Vec::new();
    let mut token = String::new();
    loop {
        let body = json!({
            "TagFilters": [{"Key": key, "Values": [value]}],
            "ResourcesPerPage": 100,
            "PaginationToken": token,
        });
        let call = Call::json(Service::Tagging, "ResourceGroupsTaggingAPI_20170126", "GetResources", &body);
        let page: TaggedPage = parsed(&call, &session.send(&call).await?)?;
        found.extend(page.resource_tag_mapping_list.into_iter().map(|resource| resource.arn));
        match page.pagination_token.filter(|next| !next.is_empty()) {
            Some(next) => token = next,
            None => return Ok(found),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogGroupPage {
    log_groups: Vec<LogGroup>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogGroup {
    log_group_name: String,
    #[serde(default)]
    arn: Option<String>,
    #[serde(default)]
    retention_in_days: Option<i64>,
}

async fn log_groups(session: &Session, name: &str) -> Result<Vec<Leftover>, CallError> {
    let body = json!({"logGroupNamePrefix": name, "limit": 10});
    let call = Call::json(Service::Logs, "Logs_20140328", "DescribeLogGroups", &body);
    let page: LogGroupPage = parsed(&call, &session.send(&call).await?)?;
    Ok(page
        .log_groups
        .into_iter()
        .filter(|group| group.log_group_name == name)
        .map(|group| Leftover {
            id: group.arn.unwrap_or(group.log_group_name),
            kind: "log group".to_owned(),
            why: match group.retention_in_days {
                Some(days) => format!("EKS keeps the logs of a deleted cluster, here for {days} days"),
                None => "EKS keeps the logs of a deleted cluster, here without end".to_owned(),
            },
        })
        .collect())
}

fn parsed<'a, T: Deserialize<'a>>(call: &Call, text: &'a str) -> Result<T, CallError> {
    serde_json::from_str(text).map_err(|error| CallError {
        class: ErrorClass::Unknown,
        operation: call.operation,
        code: None,
        message: Some("the answer is not as documented".to_owned()),
        source: Some(Box::new(error)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_become_leftovers_unless_another_list_knows_better() {
        let balancer = "arn:aws:elasticloadbalancing:eu-central-1:1:loadbalancer/net/k8s-shop-web/1";
        assert_eq!(of_arn(balancer).unwrap().kind, "load balancer");
        let group = "arn:aws:elasticloadbalancing:eu-central-1:1:targetgroup/k8s-shop-web/1";
        assert_eq!(of_arn(group).unwrap().kind, "target group");
        assert_eq!(of_arn("arn:aws:s3:::bucket").unwrap().kind, "s3");
        assert_eq!(of_arn("arn:aws:eks:eu-central-1:1:cluster/acme"), None);
        assert_eq!(of_arn("arn:aws:ec2:eu-central-1:1:volume/vol-1"), None);
        assert_eq!(of_arn("nonsense"), None);
    }

    #[test]
    fn an_answer_without_its_list_is_not_an_empty_list() {
        let call = Call::json(Service::Tagging, "x", "GetResources", &json!({}));
        assert!(parsed::<TaggedPage>(&call, "{}").is_err());
        assert!(parsed::<TaggedPage>(&call, r#"{"ResourceTagMappingList": []}"#).is_ok());
    }
}
